/* kill -9 at any moment: what was reported as committed is there, and nothing is there by halves.
 */
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS 8
#define OUTSTANDING 64

/* What the child tells before it dies: the device and the generation that is durable. */
struct report {
    uint64_t device, generation;
};

struct child {
    int pipe;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t outstanding;
};

static void child_done(struct txn *t)
{
    struct child *c = t->ctx;
    struct report report = {t->tag, t->registration->generation};

    if (t->rc != ERR_OK || write(c->pipe, &report, sizeof(report)) != sizeof(report))
        _exit(1);
    txn_free(t);
    pthread_mutex_lock(&c->mutex);
    c->outstanding--;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->mutex);
}

/* Registers devices anew until it is killed; the lifetime repeats the generation. */
static void run_child(const char *path, int fd, uint64_t first_generation)
{
    struct store_config cfg = {.path = path};
    struct child c = {fd, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    struct store *s;

    if (store_open(&cfg, &s) < 0)
        _exit(1);
    for (uint64_t generation = first_generation;; generation++) {
        char name[32];
        uint64_t n = 1 + generation % 5000;
        struct registration r = device(n, name);
        struct txn *t;

        r.generation = generation;
        r.lifetime_s = (uint32_t)generation;
        r.expires_ms = (int64_t)generation;
        t = put_txn(&r);
        t->done = child_done;
        t->ctx = &c;
        t->tag = n;
        pthread_mutex_lock(&c.mutex);
        while (c.outstanding == OUTSTANDING)
            pthread_cond_wait(&c.cond, &c.mutex);
        c.outstanding++;
        pthread_mutex_unlock(&c.mutex);
        if (store_submit(s, t) < 0)
            _exit(1);
    }
}

/* Kills it after `us`; collects what it reported. Returns how many reports came. */
static size_t kill_child(pid_t pid, int fd, useconds_t us, uint64_t *generations, uint64_t *highest)
{
    struct report report;
    size_t reports = 0;
    int status;

    /* Not before it works: the first report has come. */
    while (read(fd, &report, sizeof(report)) == sizeof(report)) {
        generations[report.device] = report.generation;
        if (*highest < report.generation)
            *highest = report.generation;
        if (reports++ == 0) {
            usleep(us);
            kill(pid, SIGKILL);
        }
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return reports;
}

struct check {
    const uint64_t *generations;
    size_t count;
};

static int check_device(void *ctx, const struct registration *r)
{
    struct check *check = ctx;

    /* Reported, or a later one whose report was lost with the child; whole in any case. */
    assert_true(r->generation >= check->generations[r->row]);
    assert_int_equal(r->lifetime_s, r->generation);
    assert_int_equal(r->expires_ms, r->generation);
    assert_int_equal(r->links.n, strlen(LINKS));
    check->count++;
    return ERR_OK;
}

static void committed_is_durable(void **state)
{
    static uint64_t generations[5001];
    struct fixture *f = *state;
    uint64_t highest = 0, row, generation;
    size_t reports = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct check check = {generations, 0};
        size_t expected = 0;
        int fd[2];
        pid_t pid;

        assert_int_equal(pipe(fd), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fd[0]);
            run_child(f->path, fd[1], highest + 1000);
        }
        close(fd[1]);
        reports += kill_child(pid, fd[0], 1000 + round * 13000, generations, &highest);
        close(fd[0]);

        fixture_open(f);
        assert_int_equal(read_registrations(f->reader, 0, SIZE_MAX, check_device, &check), ERR_OK);
        for (size_t n = 1; n < mem_count(generations); n++)
            expected += generations[n] != 0;
        assert_true(check.count >= expected);
        assert_int_equal(device_count(f), check.count);
        assert_int_equal(read_high_water(f->reader, &row, &generation), ERR_OK);
        assert_true(generation >= highest);
        fixture_close(f);
    }
    print_message("%zu commits reported before %d kills\n", reports, ROUNDS);
    assert_true(reports > ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(committed_is_durable, fixture_folder, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
