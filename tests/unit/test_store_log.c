/* When the writer commits, and when it copies the write-ahead log, whatever readers do. */
#include "store/store.c"

#include "store_fixture.h"

#define PAGES 100
#define PAGE_BYTES 4120 /* with the header of a frame */

static off_t size_of(const struct fixture *f, const char *suffix)
{
    char name[128];
    struct stat st;

    snprintf(name, sizeof(name), "%s%s", f->path, suffix);
    return stat(name, &st) < 0 ? 0 : st.st_size;
}

static off_t log_size(const struct fixture *f)
{
    return size_of(f, "-wal");
}

/* A store that makes checkpoints often. */
static int setup(void **state)
{
    struct store_config cfg = {.checkpoint_pages = PAGES};
    struct fixture *f;

    fixture_folder(state);
    f = *state;
    cfg.path = f->path;
    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
    return 0;
}

static void the_log_starts_over(void **state)
{
    struct fixture *f = *state;
    off_t largest = 0;

    for (uint64_t n = 1; n <= 2000; n++) {
        put_devices(f->store, n, n);
        if (largest < log_size(f))
            largest = log_size(f);
    }
    assert_true(largest >= PAGES * PAGE_BYTES);
    assert_true(largest < 2 * PAGES * PAGE_BYTES);
}

struct watcher {
    const char *path;
    _Atomic bool *stop;
    _Atomic uint64_t *pages;
};

static int dawdle(void *ctx, const struct registration *r)
{
    (void)ctx;
    (void)r;
    usleep(500);
    return ERR_OK;
}

/* Reads page after page, slowly. */
static void *watch(void *arg)
{
    struct watcher *w = arg;
    struct read_filter filter = {.limit = 10};
    struct reader *r;

    assert_int_equal(read_open(w->path, &r), ERR_OK);
    while (!*w->stop) {
        assert_int_equal(read_devices(r, &filter, dawdle, NULL), ERR_OK);
        ++*w->pages;
    }
    read_close(r);
    return NULL;
}

/* There is always one who reads: without a wait the log would grow as long as they do. */
static void readers_do_not_starve_the_checkpoint(void **state)
{
    struct fixture *f = *state;
    _Atomic bool stop = false;
    _Atomic uint64_t pages = 0;
    struct watcher w = {f->path, &stop, &pages};
    pthread_t thread[4];
    uint64_t n = 100;
    off_t largest = 0;

    put_devices(f->store, 1, n);
    for (size_t i = 0; i < mem_count(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, watch, &w), 0);
    while (n < 6000) {
        put_devices(f->store, n + 1, n + 1);
        n++;
        if (largest < log_size(f))
            largest = log_size(f);
    }
    stop = true;
    for (size_t i = 0; i < mem_count(thread); i++)
        pthread_join(thread[i], NULL);
    print_message("%u commits, %llu pages read, the log had %ld pages at most\n", (unsigned)n,
                  (unsigned long long)pages, (long)(largest / PAGE_BYTES));
    assert_true(pages > 40);
    assert_true(largest >= 2 * PAGES * PAGE_BYTES); /* they were in the way */
    /* A wait may end without success, but not one after the other: they wrote 20 000 pages. */
    assert_true(largest < 30 * PAGES * PAGE_BYTES);
    assert_int_equal(device_count(f), n);
}

/* A log not worth a checkpoint under load is copied when there is nothing else to do. */
static void the_log_is_copied_while_idle(void **state)
{
    struct fixture *f = *state;
    off_t before = size_of(f, "");

    for (uint64_t n = 1; n <= 500; n++)
        put_devices(f->store, n, n);
    assert_true(log_size(f) > CHECKPOINT_IDLE_PAGES * PAGE_BYTES);
    for (int i = 0; i < 2000 && size_of(f, "") <= before; i++)
        usleep(10000);
    assert_true(size_of(f, "") > before);
}

static uint64_t commits(const struct fixture *f)
{
    struct store_status status;

    store_status(f->store, &status);
    return status.commits;
}

/* Pretends that a batch of so many was taken just now, and that it is now for very long. */
static void take_load(struct fixture *f, size_t taken)
{
    pthread_mutex_lock(&f->store->mutex);
    f->store->taken = taken;
    f->store->begun_ns = clock_mono_ns() + 3600000000000;
    pthread_mutex_unlock(&f->store->mutex);
}

/* Under load transactions wait for each other, but not when they are enough. */
static void under_load_a_group_is_gathered(void **state)
{
    struct fixture *f = *state;
    struct latch l = LATCH_INIT;

    take_load(f, GROUP_LOAD);
    for (uint64_t n = 1; n < GROUP_WORTH; n++)
        submit(f->store, put_device(n), &l, n);
    usleep(50000);
    assert_int_equal(commits(f), 0);
    submit(f->store, put_device(GROUP_WORTH), &l, GROUP_WORTH);
    latch_wait(&l, GROUP_WORTH);
    assert_int_equal(commits(f), 1);
}

static void a_lone_transaction_does_not_wait(void **state)
{
    struct fixture *f = *state;

    take_load(f, GROUP_LOAD - 1);
    put_devices(f->store, 1, 1);
    assert_int_equal(commits(f), 1);
}

/* Who stops does not wait for the group. */
static void a_group_ends_with_the_store(void **state)
{
    struct fixture *f = *state;
    struct latch l = LATCH_INIT;

    take_load(f, GROUP_LOAD);
    submit(f->store, put_device(1), &l, 1);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(device_count(f), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_log_is_copied_while_idle, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(under_load_a_group_is_gathered, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_lone_transaction_does_not_wait, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_group_ends_with_the_store, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(the_log_starts_over, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(readers_do_not_starve_the_checkpoint, setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
