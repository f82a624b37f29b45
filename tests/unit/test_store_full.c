/* A disk that is full: commits fail and change nothing, the status says so, and it heals by itself.
 */
#include "store_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* How the space is taken away and given back. */
struct squeeze {
    void (*close)(struct fixture *f);
    void (*open)(struct fixture *f);
};

static off_t size_of(const char *path, const char *suffix)
{
    char name[128];
    struct stat st;

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) < 0 ? 0 : st.st_size;
}

static void set_file_limit(rlim_t limit)
{
    struct rlimit r;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = limit;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* No file may grow much beyond what the database and its log are now. */
static void limit_files(struct fixture *f)
{
    off_t log = size_of(f->path, "-wal"), database = size_of(f->path, "");

    set_file_limit((rlim_t)(log > database ? log : database) + 100000);
}

static void unlimit_files(struct fixture *f)
{
    (void)f;
    set_file_limit(RLIM_INFINITY);
}

static void fill_disk(struct fixture *f)
{
    static const char zeros[65536];
    char path[96];
    FILE *ballast;

    fixture_path(f, "ballast", path);
    ballast = fopen(path, "w");
    assert_non_null(ballast);
    setbuf(ballast, NULL);
    while (fwrite(zeros, 1, sizeof(zeros), ballast) == sizeof(zeros))
        ;
    fclose(ballast);
}

static void empty_disk(struct fixture *f)
{
    char path[96];

    fixture_path(f, "ballast", path);
    assert_int_equal(unlink(path), 0);
}

/* Device n with 2 000 bytes of its own, so that the disk fills soon. */
static struct txn *put_large(uint64_t n, uint64_t generation)
{
    char name[32], links[2000];
    struct registration r = device(n, name);

    memset(links, 'x', sizeof(links));
    snprintf(links, sizeof(links), "</%llu/%llu>", (unsigned long long)n,
             (unsigned long long)generation);
    r.links = view_of(links, sizeof(links));
    r.generation = generation;
    return put_txn(&r);
}

/* Writes until one fails; returns its result. The last one committed is *ret_last. */
static int write_until_full(struct fixture *f, uint64_t *ret_last)
{
    for (uint64_t n = 2; n < 100000; n++) {
        int rc = run(f->store, put_large(n, n));

        if (rc < 0) {
            *ret_last = n - 1;
            return rc;
        }
    }
    return ERR_OK;
}

static void wait_until_healthy(struct store *s)
{
    struct store_status status;

    for (int i = 0; i < 1000; i++) {
        store_status(s, &status);
        if (status.rc == ERR_OK)
            return;
        usleep(10000);
    }
    fail_msg("%s", "the store did not heal");
}

static void survive(struct fixture *f, const struct squeeze *squeeze)
{
    static struct latch l = LATCH_INIT;
    struct store_status status;
    uint64_t last = 0;
    int64_t since;

    l.done = 0;
    assert_int_equal(run(f->store, put_large(1, 1)), ERR_OK);
    squeeze->close(f);
    assert_int_equal(write_until_full(f, &last), ERR_DISKFULL);
    store_status(f->store, &status);
    assert_int_equal(status.rc, ERR_DISKFULL);
    since = status.failing_since_ms;
    assert_true(since > 0 && since <= clock_wall_ms());

    /* A whole batch fails, and what was there is there. */
    for (uint64_t n = 1; n <= 200; n++)
        submit(f->store, put_large(n, last + 1000), &l, n);
    latch_wait(&l, 200);
    for (uint64_t n = 1; n <= 200; n++)
        assert_int_equal(l.rc[n], ERR_DISKFULL);
    assert_int_equal(device_count(f), last);
    assert_int_equal(stored_device(f, 1)->generation, 1);
    assert_int_equal(stored_device(f, last)->links.n, 2000);
    assert_null(stored_device(f, last + 1));

    squeeze->open(f);
    wait_until_healthy(f->store); /* without traffic */
    store_status(f->store, &status);
    assert_int_equal(status.failing_since_ms, 0);
    assert_int_equal(run(f->store, put_large(1, last + 1000)), ERR_OK);
    put_devices(f->store, last + 1, last + 500);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(device_count(f), last + 500);
    assert_int_equal(stored_device(f, 1)->generation, last + 1000);
}

static void files_that_may_not_grow(void **state)
{
    static const struct squeeze limits = {limit_files, unlimit_files};

    survive(*state, &limits);
}

static void a_file_system_without_space(void **state)
{
    static const struct squeeze ballast = {fill_disk, empty_disk};
    struct fixture *f = *state;

    if (mount("tmpfs", f->folder, "tmpfs", 0, "size=4m") < 0) {
        print_message("no right to mount: not tested\n");
        skip();
    }
    fixture_open(f);
    survive(f, &ballast);
    fixture_close(f);
    assert_int_equal(umount(f->folder), 0);
}

static void opening_on_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path};
    struct store *s;

    set_file_limit(8192);
    assert_int_equal(store_open(&cfg, &s), ERR_DISKFULL);
    set_file_limit(RLIM_INFINITY);
    fixture_open(f);
    put_devices(f->store, 1, 10);
}

static void backup_to_a_full_disk(void **state)
{
    struct fixture *f = *state;
    char path[96], part[112];

    put_devices(f->store, 1, 3000);
    fixture_path(f, "copy", path);
    snprintf(part, sizeof(part), "%s.part", path);
    set_file_limit(100000);
    assert_int_equal(read_backup(f->reader, path), ERR_DISKFULL);
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(read_backup(f->reader, path), ERR_OK);
}

/* Also after a test that failed in between. */
static int teardown(void **state)
{
    set_file_limit(RLIM_INFINITY);
    return fixture_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_that_may_not_grow, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_system_without_space, fixture_folder, teardown),
        cmocka_unit_test_setup_teardown(opening_on_a_full_disk, fixture_folder, teardown),
        cmocka_unit_test_setup_teardown(backup_to_a_full_disk, fixture_setup, teardown),
    };

    signal(SIGXFSZ, SIG_IGN);
    /* Mounts of our own, which end with the process. */
    if (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
