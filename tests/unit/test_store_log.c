/* The write-ahead log is copied and starts over, whatever readers do. */
#include "store/store.c"

#include "store_fixture.h"

#define PAGES 100
#define PAGE_BYTES 4120 /* with the header of a frame */

static off_t log_size(const struct fixture *f)
{
    char name[128];
    struct stat st;

    snprintf(name, sizeof(name), "%s-wal", f->path);
    return stat(name, &st) < 0 ? 0 : st.st_size;
}

/* A store that makes checkpoints often; the writer has not seen a transaction yet. */
static int setup(void **state)
{
    struct fixture *f;

    fixture_setup(state);
    f = *state;
    pthread_mutex_lock(&f->store->mutex);
    f->store->checkpoint_pages = f->store->next_checkpoint = PAGES;
    pthread_mutex_unlock(&f->store->mutex);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_log_starts_over, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(readers_do_not_starve_the_checkpoint, setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
