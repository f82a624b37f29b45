/* Large bodies in unnamed files: src/shard/spool.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/shard/spool.c"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#define JOBS 32

struct fixture {
    uv_loop_t loop;
    struct spool *spool;
    char dir[64];
    size_t count;
    struct {
        uint64_t cookie;
        int rc;
        size_t n;
        uint8_t first, last;
    } done[JOBS];
};

static void note(struct fixture *f, uint64_t cookie, int rc, struct view bytes)
{
    assert_true(f->count < JOBS);
    f->done[f->count].cookie = cookie;
    f->done[f->count].rc = rc;
    f->done[f->count].n = bytes.n;
    if (bytes.n > 0) {
        f->done[f->count].first = bytes.p[0];
        f->done[f->count].last = bytes.p[bytes.n - 1];
    }
    f->count++;
}

static void on_appended(void *ctx, uint64_t cookie, int rc)
{
    note(ctx, cookie, rc, VIEW_NONE);
}

static void on_bytes(void *ctx, uint64_t cookie, int rc, struct view bytes)
{
    note(ctx, cookie, rc, bytes);
}

static const struct spool_callbacks callbacks = {.appended = on_appended, .bytes = on_bytes};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/spool.XXXXXX");
    if (!mkdtemp(f->dir) || uv_loop_init(&f->loop) < 0)
        return -1;
    f->spool = spool_new(&f->loop, f->dir, &callbacks, f);
    *state = f;
    return f->spool ? 0 : -1;
}

static void run(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc;

    if (f->spool)
        spool_close(f->spool);
    run(f);
    rc = uv_loop_close(&f->loop);
    rmdir(f->dir);
    free(f);
    return rc;
}

static struct view filled(uint8_t *bytes, size_t n, uint8_t with)
{
    memset(bytes, with, n);
    return view_of(bytes, n);
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    size_t entries = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        entries++;
    closedir(dir);
    return entries == 2; /* . and .. */
}

static void test_what_is_appended_can_be_read(void **state)
{
    static uint8_t bytes[100000];
    struct fixture *f = *state;
    struct blob *blob = NULL;

    run(f); /* files are opened ahead */
    for (uint8_t i = 1; i <= 3; i++) {
        assert_int_equal(spool_append(f->spool, i, &blob, filled(bytes, sizeof(bytes), i)), ERR_OK);
        assert_int_equal(blob->size, i * sizeof(bytes));
        run(f);
        assert_int_equal(f->count, i);
        assert_int_equal(f->done[i - 1].cookie, i);
        assert_int_equal(f->done[i - 1].rc, ERR_OK);
    }
    assert_null(blob->p);
    assert_true(is_empty(f->dir));
    assert_int_equal(spool_read(f->spool, 9, blob, sizeof(bytes) - 1, 2), ERR_OK);
    assert_int_equal(spool_read(f->spool, 10, blob, 2 * sizeof(bytes), sizeof(bytes)), ERR_OK);
    blob_free(blob); /* the reads have descriptors of their own */
    run(f);
    assert_int_equal(f->count, 5);
    for (size_t i = 3; i < 5; i++) {
        bool small = f->done[i].cookie == 9;

        assert_int_equal(f->done[i].rc, ERR_OK);
        assert_int_equal(f->done[i].n, small ? 2 : sizeof(bytes));
        assert_int_equal(f->done[i].first, small ? 1 : 3);
        assert_int_equal(f->done[i].last, small ? 2 : 3);
    }
}

static void test_many_bodies_at_once(void **state)
{
    uint8_t bytes[10];
    struct fixture *f = *state;
    struct blob *blobs[READY_MAX] = {NULL};
    struct blob *late = NULL;

    run(f);
    for (uint8_t i = 0; i < READY_MAX; i++)
        assert_int_equal(spool_append(f->spool, i, &blobs[i], filled(bytes, 10, i)), ERR_OK);
    /* All that were ready are taken; more come when the loop runs. */
    assert_int_equal(spool_append(f->spool, 7, &late, filled(bytes, 10, 7)), ERR_BUSY);
    assert_null(late);
    run(f);
    assert_int_equal(spool_append(f->spool, 8, &late, filled(bytes, 10, 8)), ERR_OK);
    for (uint8_t i = 0; i < READY_MAX; i++)
        assert_int_equal(spool_read(f->spool, 100u + i, blobs[i], 0, 10), ERR_OK);
    run(f);
    assert_int_equal(f->count, 2 * READY_MAX + 1);
    for (size_t i = READY_MAX; i < f->count; i++)
        if (f->done[i].cookie >= 100)
            assert_int_equal(f->done[i].first, f->done[i].cookie - 100);
    for (size_t i = 0; i < READY_MAX; i++)
        blob_free(blobs[i]);
    blob_free(late);
}

static void test_nothing_is_ready_at_first(void **state)
{
    struct fixture *f = *state;
    struct blob *blob = NULL;

    assert_int_equal(spool_append(f->spool, 1, &blob, VIEW_LIT("x")), ERR_BUSY);
    assert_null(blob);
    run(f);
    assert_int_equal(f->count, 0);
    assert_int_equal(spool_append(f->spool, 1, &blob, VIEW_LIT("x")), ERR_OK);
    run(f);
    blob_free(blob);
}

static void test_a_blob_may_go_while_it_is_written(void **state)
{
    static uint8_t bytes[JOB_BYTES_MAX];
    struct fixture *f = *state;
    struct blob *blob = NULL;

    run(f);
    assert_int_equal(spool_append(f->spool, 1, &blob, filled(bytes, sizeof(bytes), 1)), ERR_OK);
    blob_free(blob);
    run(f);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->done[0].rc, ERR_OK);
}

static void test_a_body_in_memory_is_read_too(void **state)
{
    struct fixture *f = *state;
    struct blob *blob = blob_new(VIEW_LIT("abcdef"));

    assert_int_equal(spool_read(f->spool, 1, blob, 2, 3), ERR_OK);
    blob_free(blob);
    run(f);
    assert_int_equal(f->done[0].rc, ERR_OK);
    assert_int_equal(f->done[0].n, 3);
    assert_int_equal(f->done[0].first, 'c');
    assert_int_equal(f->done[0].last, 'e');
}

static void test_limits(void **state)
{
    static uint8_t bytes[JOB_BYTES_MAX + 1];
    struct fixture *f = *state;
    struct blob *blob = NULL;

    run(f);
    assert_int_equal(spool_append(f->spool, 1, &blob, view_of(bytes, sizeof(bytes))), ERR_TOOLARGE);
    assert_null(blob);
    blob = blob_new(view_of(bytes, sizeof(bytes)));
    assert_int_equal(spool_read(f->spool, 1, blob, 0, sizeof(bytes)), ERR_RANGE);
    assert_int_equal(spool_read(f->spool, 1, blob, sizeof(bytes), 1), ERR_RANGE);
    assert_int_equal(spool_read(f->spool, 1, blob, UINT64_MAX, 1), ERR_RANGE);
    assert_int_equal(spool_read(f->spool, 2, blob, sizeof(bytes), 0), ERR_OK);
    blob_free(blob);
    run(f);
    assert_int_equal(f->count, 1);
    assert_int_equal(f->done[0].cookie, 2);
    assert_int_equal(f->done[0].n, 0);
}

static void test_a_file_shorter_than_its_blob(void **state)
{
    struct fixture *f = *state;
    struct blob *blob = NULL;

    run(f);
    assert_int_equal(spool_append(f->spool, 1, &blob, VIEW_LIT("abc")), ERR_OK);
    run(f);
    blob->size = 10;
    assert_int_equal(spool_read(f->spool, 2, blob, 0, 10), ERR_OK);
    run(f);
    assert_int_equal(f->done[1].rc, ERR_IO);
    assert_int_equal(f->done[1].n, 0);
    blob_free(blob);
}

static void test_no_folder(void **state)
{
    struct fixture *f = *state;
    struct blob *blob = NULL;
    struct spool *nowhere = spool_new(&f->loop, "/nonexistent/folder", &callbacks, f);

    run(f);
    assert_int_equal(spool_append(nowhere, 1, &blob, VIEW_LIT("x")), ERR_IO);
    assert_null(blob);
    run(f);
    spool_close(nowhere);
}

/* The kernel refuses what is past a limit on the size of files. */
static void test_a_write_that_fails(void **state)
{
    static uint8_t bytes[5000];
    struct fixture *f = *state;
    struct rlimit before, small;
    struct blob *blob = NULL;

    run(f);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(spool_append(f->spool, 1, &blob, view_of(bytes, sizeof(bytes))), ERR_OK);
    run(f);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(f->done[0].rc, ERR_IO);
    blob_free(blob);
}

static void test_no_callback_after_close(void **state)
{
    static uint8_t bytes[JOB_BYTES_MAX];
    struct fixture *f = *state;
    struct blob *blob = NULL;

    run(f);
    for (uint8_t i = 0; i < 8; i++)
        assert_int_equal(spool_append(f->spool, i, &blob, filled(bytes, sizeof(bytes), i)), ERR_OK);
    assert_int_equal(spool_read(f->spool, 9, blob, 0, 10), ERR_OK);
    spool_close(f->spool);
    f->spool = NULL;
    blob_free(blob);
    run(f);
    assert_int_equal(f->count, 0);
}

static void test_errors_by_number(void **state)
{
    (void)state;
    assert_int_equal(rc_of_errno(ENOSPC), ERR_DISKFULL);
    assert_int_equal(rc_of_errno(EDQUOT), ERR_DISKFULL);
    assert_int_equal(rc_of_errno(EMFILE), ERR_LIMIT);
    assert_int_equal(rc_of_errno(ENFILE), ERR_LIMIT);
    assert_int_equal(rc_of_errno(EIO), ERR_IO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_appended_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_bodies_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_ready_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_blob_may_go_while_it_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_body_in_memory_is_read_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_shorter_than_its_blob, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_callback_after_close, setup, teardown),
        cmocka_unit_test(test_errors_by_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
