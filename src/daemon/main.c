#include "daemon/host.h"
#include "daemon/server.h"

#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/lwm2m-serverd/lwm2m-serverd.conf"
#define PATH_MAX_TEXT 4096

static const char usage[] =
    "usage: lwm2m-serverd [--config FILE | --run-dir DIR] [-T]\n"
    "  -c, --config FILE         configuration (default " DEFAULT_FILE ")\n"
    "  -r, --run-dir DIR         keep everything in DIR: configuration (made when missing), "
    "database, socket\n"
    "  -T, --test                check the configuration and say what is wrong, line by line\n"
    "      --print-sample-config a commented configuration with every option\n"
    "      --print-config-man    lwm2m-serverd.conf(5) as man source\n"
    "  -V, --version\n"
    "  -h, --help\n";

enum { OPT_SAMPLE = 256, OPT_MAN };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"run-dir", required_argument, NULL, 'r'},
    {"test", no_argument, NULL, 'T'},
    {"print-sample-config", no_argument, NULL, OPT_SAMPLE},
    {"print-config-man", no_argument, NULL, OPT_MAN},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* A first configuration that keeps everything in one folder and listens to devices from everywhere.
 */
static int make_run_dir(const char *dir, char file[PATH_MAX_TEXT])
{
    const struct conf_override overrides[] = {
        {"server", "run-dir", dir},
        {"server", "data-dir", dir},
        {"coap", "listen", "0.0.0.0:5683, [::]:5683"},
    };
    struct stat st;
    FILE *f;
    int rc = host_folder(dir);

    if (rc < 0 || snprintf(file, PATH_MAX_TEXT, "%s/lwm2m-serverd.conf", dir) >= PATH_MAX_TEXT)
        return rc < 0 ? rc : ERR_LIMIT;
    if (stat(file, &st) == 0)
        return ERR_OK;
    f = fopen(file, "we");
    if (!f)
        return ERR_IO;
    conf_sample(f, overrides, mem_count(overrides));
    return fclose(f) == 0 ? ERR_OK : ERR_IO;
}

static int serve(const char *file, bool greet)
{
    struct server *server;
    struct conf conf;
    int rc = conf_load(file, stderr, &conf);

    if (rc < 0)
        return EXIT_FAILURE;
    log_setup((enum log_level)conf.log_level, conf.log_format == 1, STDERR_FILENO);
    if (server_start(&conf, file, &server) < 0)
        return EXIT_FAILURE;
    if (greet)
        server_greet(server);
    server_run(server);
    server_stop(server);
    return EXIT_SUCCESS;
}

static int check(const char *file)
{
    struct conf conf;

    if (conf_load(file, stderr, &conf) < 0)
        return EXIT_FAILURE;
    conf_fini(&conf);
    printf("%s: the configuration is valid\n", file);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    char run_file[PATH_MAX_TEXT];
    const char *file = DEFAULT_FILE, *run_dir = NULL;
    bool test = false;
    int c;

    while ((c = getopt_long(argc, argv, "c:r:TVh", long_options, NULL)) != -1) {
        switch (c) {
        case 'c':
            file = optarg;
            break;
        case 'r':
            run_dir = optarg;
            break;
        case 'T':
            test = true;
            break;
        case OPT_SAMPLE:
            conf_sample(stdout, NULL, 0);
            return EXIT_SUCCESS;
        case OPT_MAN:
            conf_man(stdout);
            return EXIT_SUCCESS;
        case 'V':
            printf("lwm2m-serverd " PACKAGE_VERSION "\n");
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (run_dir) {
        int rc = make_run_dir(run_dir, run_file);

        if (rc < 0) {
            fprintf(stderr, "%s: %s\n", run_dir, err_text(rc));
            return EXIT_FAILURE;
        }
        file = run_file;
    }
    return test ? check(file) : serve(file, run_dir != NULL);
}
