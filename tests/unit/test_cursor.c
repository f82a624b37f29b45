#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void test_read_all(void **state)
{
    const uint8_t bytes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,
                             11, 12, 13, 14, 15, 16, 17, 18, 'a', 'b'};
    struct rd r = rd_init(view_of(bytes, sizeof(bytes)));

    (void)state;
    assert_int_equal(rd_left(&r), sizeof(bytes));
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_u16(&r), 0x0203);
    assert_int_equal(rd_u24(&r), 0x040506);
    assert_int_equal(rd_u32(&r), 0x0708090a);
    assert_int_equal(rd_u64(&r), 0x0b0c0d0e0f101112);
    assert_false(rd_end(&r));
    assert_int_equal(rd_done(&r), ERR_TRAILING);
    assert_true(view_eq_str(rd_bytes(&r, 2), "ab"));
    assert_true(rd_end(&r));
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(rd_done(&r), ERR_OK);
    assert_non_null(rd_bytes(&r, 0).p);
    assert_int_equal(rd_done(&r), ERR_OK);
}

/* Each read one byte short of what it needs. */
static void test_read_short(void **state)
{
    const uint8_t bytes[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct rd r;

    (void)state;
    r = rd_init(view_of(bytes, 0));
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 1));
    assert_int_equal(rd_u16(&r), 0);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 2));
    assert_int_equal(rd_u24(&r), 0);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 3));
    assert_int_equal(rd_u32(&r), 0);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 7));
    assert_int_equal(rd_u64(&r), 0);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 8));
    assert_null(rd_bytes(&r, 9).p);
    assert_int_equal(r.rc, ERR_TRUNCATED);
    r = rd_init(view_of(bytes, 8));
    assert_null(rd_bytes(&r, SIZE_MAX).p);
    /* Sticky: bytes were left, but no more are read, and the cursor is at its end. */
    assert_int_equal(rd_u8(&r), 0);
    assert_true(rd_end(&r));
    assert_int_equal(rd_left(&r), 0);
    assert_int_equal(rd_done(&r), ERR_TRUNCATED);
}

static void test_read_fail(void **state)
{
    struct rd r = rd_init(VIEW_LIT("abc"));

    (void)state;
    rd_fail(&r, ERR_RANGE);
    assert_true(rd_end(&r));
    assert_int_equal(rd_u8(&r), 0);
    rd_fail(&r, ERR_TYPE);
    assert_int_equal(rd_done(&r), ERR_RANGE);
    r = rd_init(VIEW_NONE);
    assert_true(rd_end(&r));
    assert_int_equal(rd_done(&r), ERR_OK);
    assert_int_equal(rd_bytes(&r, 0).n, 0);
    assert_int_equal(r.rc, ERR_OK);
}

static void write_all(struct wr *w)
{
    wr_u8(w, 1);
    wr_u16(w, 0x0203);
    wr_u24(w, 0x040506);
    wr_u32(w, 0x0708090a);
    wr_u64(w, 0x0b0c0d0e0f101112);
    wr_bytes(w, VIEW_LIT("ab"));
    wr_bytes(w, VIEW_NONE);
}

/* In every size of memory: what fits is there, no byte past the end is touched, nothing comes after
 * the first write that did not fit. */
static void test_write(void **state)
{
    const uint8_t bytes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,
                             11, 12, 13, 14, 15, 16, 17, 18, 'a', 'b'};
    static const size_t ends[] = {0, 1, 3, 6, 10, 18, 20};
    uint8_t memory[32];

    (void)state;
    for (size_t size = 0; size <= sizeof(bytes) + 2; size++) {
        struct wr w;
        size_t fits = 0;

        for (size_t i = 0; i < mem_count(ends); i++)
            if (ends[i] <= size)
                fits = ends[i];
        memset(memory, 0xee, sizeof(memory));
        w = wr_init(memory, size);
        write_all(&w);
        assert_int_equal(w.rc, size < sizeof(bytes) ? ERR_LIMIT : ERR_OK);
        assert_true(view_eq(wr_view(&w), view_of(bytes, fits)));
        for (size_t i = fits; i < sizeof(memory); i++)
            assert_int_equal(memory[i], 0xee);
        if (size < sizeof(bytes)) {
            wr_u8(&w, 0);
            assert_int_equal(wr_view(&w).n, fits);
        }
    }
}

static void test_write_nothing(void **state)
{
    struct wr w = wr_init(NULL, 0);

    (void)state;
    wr_bytes(&w, VIEW_NONE);
    assert_int_equal(w.rc, ERR_OK);
    assert_int_equal(wr_view(&w).n, 0);
    wr_u8(&w, 1);
    assert_int_equal(w.rc, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_all),      cmocka_unit_test(test_read_short),
        cmocka_unit_test(test_read_fail),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
