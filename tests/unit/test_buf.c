#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void test_grow(void **state)
{
    struct buf b;
    uint8_t expected[5000];
    size_t n = 0;

    (void)state;
    buf_init(&b, sizeof(expected));
    assert_int_equal(buf_view(&b).n, 0);
    assert_non_null(buf_view(&b).p);
    for (size_t i = 0; n + i <= sizeof(expected); i++) {
        uint8_t part[200];

        memset(part, (int)(i & 0xff), sizeof(part));
        buf_put(&b, part, i);
        memcpy(expected + n, part, i);
        n += i;
    }
    assert_int_equal(b.rc, ERR_OK);
    assert_true(view_eq(buf_view(&b), view_of(expected, n)));
    buf_fini(&b);
    assert_null(b.p);
    buf_fini(&b);
}

static void test_put_kinds(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_put_str(&b, "ab");
    buf_put_view(&b, VIEW_LIT("cd"));
    buf_put_view(&b, VIEW_NONE);
    buf_put(&b, NULL, 0);
    buf_put_u8(&b, 'e');
    buf_fmt(&b, "%d-%s", 42, "x");
    assert_string_equal(buf_cstr(&b), "abcde42-x");
    assert_int_equal(b.n, 9);
    buf_reset(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_fini(&b);
}

/* The maximum holds for each way of appending, is reached exactly, and the failure sticks. */
static void test_limit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_put_str(&b, "abcd");
    assert_int_equal(b.rc, ERR_OK);
    assert_string_equal(buf_cstr(&b), "abcd");
    buf_put_u8(&b, 'e');
    assert_int_equal(b.rc, ERR_LIMIT);
    assert_null(buf_cstr(&b));
    assert_true(view_eq_str(buf_view(&b), "abcd"));
    buf_reset(&b);
    assert_int_equal(b.rc, ERR_OK);
    buf_put_str(&b, "abcde");
    assert_int_equal(b.rc, ERR_LIMIT);
    assert_int_equal(b.n, 0);
    buf_put_str(&b, "a");
    assert_int_equal(b.n, 0);
    buf_reset(&b);
    buf_fmt(&b, "%s", "abcd");
    assert_string_equal(buf_cstr(&b), "abcd");
    buf_reset(&b);
    buf_fmt(&b, "%s", "abcde");
    assert_int_equal(b.rc, ERR_LIMIT);
    assert_int_equal(b.n, 0);
    buf_reset(&b);
    buf_put(&b, "a", SIZE_MAX);
    assert_int_equal(b.rc, ERR_LIMIT);
    buf_fini(&b);

    buf_init(&b, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_put_u8(&b, 'a');
    assert_int_equal(b.rc, ERR_LIMIT);
    buf_fini(&b);
}

static void test_format_of_any_length(void **state)
{
    struct buf b;
    char text[300];

    (void)state;
    memset(text, 'x', sizeof(text));
    buf_init(&b, SIZE_MAX);
    for (int n = 0; n < (int)sizeof(text); n++) {
        buf_reset(&b);
        buf_fmt(&b, "<%.*s>", n, text);
        assert_int_equal(b.rc, ERR_OK);
        assert_int_equal(b.n, n + 2);
        assert_int_equal(b.p[0], '<');
        assert_int_equal(b.p[b.n - 1], '>');
        assert_int_equal(strlen(buf_cstr(&b)), b.n);
    }
    buf_fini(&b);
    /* And with the memory still to be found. */
    buf_init(&b, 1000);
    buf_fmt(&b, "%.*s", 299, text);
    assert_int_equal(strlen(buf_cstr(&b)), 299);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_put_kinds),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_format_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
