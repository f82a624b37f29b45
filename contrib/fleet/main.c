#include "fleet.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

volatile sig_atomic_t main_stopped, main_signals;

static const struct mode {
    const char *name;
    enum fleet_mode mode;
    int (*run)(const struct options *o);
    const char *help;
} modes[] = {
    {"register", MODE_REGISTER, load_run, "register every device once"},
    {"update", MODE_UPDATE, load_run, "Updates of devices that a state file says are registered"},
    {"deregister", MODE_DEREGISTER, load_run, "the same with De-register"},
    {"storm", MODE_STORM, load_run, "register for as long as --seconds or --count says"},
    {"serve", MODE_SERVE, serve_run, "register, then live: answer, notify, update"},
    {"floor", MODE_FLOOR, floor_run, "answer every datagram with 2.04: the yardstick"},
    {"rest", MODE_REST, rest_run, "read a resource of each device through the REST API"},
    {"submit", MODE_SUBMIT, rest_run, "hand in numbered operations for each device, by REST"},
    {"sleepers", MODE_SLEEPERS, sleepers_run, "register, sleep; wake, answer, sleep again"},
};

static int usage(unsigned of)
{
    fprintf(stderr, "usage: fleet MODE [--option value]...\n");
    for (size_t i = 0; i < mem_count(modes); i++)
        if ((modes[i].mode & of) != 0)
            fprintf(stderr, "  %-18s %s\n", modes[i].name, modes[i].help);
    options_usage(of);
    return EXIT_FAILURE;
}

static void on_signal(int number)
{
    (void)number;
    main_stopped = 1;
}

static void on_user_signal(int number)
{
    (void)number;
    main_signals++;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction user = {.sa_handler = on_user_signal, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &user, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int stay_on(uint64_t cpu)
{
    cpu_set_t set;

    if (cpu == UINT64_MAX)
        return ERR_OK;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) < 0 ? ERR_RANGE : ERR_OK;
}

int main(int argc, char **argv)
{
    const struct mode *mode = NULL;
    struct options o;
    int rc;

    for (size_t i = 0; argc > 1 && i < mem_count(modes); i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            mode = &modes[i];
    if (!mode)
        return usage(~0u);
    o.mode = mode->mode;
    o.mode_name = mode->name;
    if (options_parse(argv + 2, &o) < 0)
        return usage(mode->mode);
    catch_signals();
    rc = stay_on(o.cpu);
    if (rc == ERR_OK)
        rc = mode->run(&o);
    if (rc < 0)
        fprintf(stderr, "fleet %s: %s\n", mode->name, err_text(rc));
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
