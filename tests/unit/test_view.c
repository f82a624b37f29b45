#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(view_eq(VIEW_LIT("abc"), view_str("abc")));
    assert_false(view_eq(VIEW_LIT("abc"), VIEW_LIT("abd")));
    assert_false(view_eq(VIEW_LIT("abc"), VIEW_LIT("ab")));
    assert_true(view_eq(VIEW_NONE, VIEW_LIT("")));
    assert_true(view_eq_str(VIEW_LIT("x"), "x"));
    assert_false(view_eq_str(VIEW_LIT("x\0"), "x"));
    assert_true(view_eq_str(VIEW_NONE, ""));
    assert_null(view_str(NULL).p);
    assert_int_equal(view_cmp(VIEW_LIT("abc"), VIEW_LIT("abc")), 0);
    assert_true(view_cmp(VIEW_LIT("ab"), VIEW_LIT("abc")) < 0);
    assert_true(view_cmp(VIEW_LIT("b"), VIEW_LIT("abc")) > 0);
    assert_true(view_cmp(VIEW_LIT("a\xff"), VIEW_LIT("a\x01")) > 0);
    assert_true(view_cmp(VIEW_LIT("a"), VIEW_NONE) > 0);
    assert_int_equal(view_cmp(VIEW_NONE, VIEW_NONE), 0);
}

static void test_sub(void **state)
{
    struct view v = VIEW_LIT("hello");

    (void)state;
    assert_true(view_eq_str(view_sub(v, 1, 3), "ell"));
    assert_true(view_eq_str(view_sub(v, 3, 99), "lo"));
    assert_true(view_eq_str(view_sub(v, 3, SIZE_MAX), "lo"));
    assert_int_equal(view_sub(v, 5, 1).n, 0);
    assert_non_null(view_sub(v, 5, 1).p);
    assert_int_equal(view_sub(v, SIZE_MAX, SIZE_MAX).n, 0);
    assert_null(view_sub(VIEW_NONE, 1, 1).p);
}

static void check_split(const char *text, size_t count, const char *const parts[])
{
    struct view rest = view_str(text);
    struct view part = VIEW_NONE;

    for (size_t i = 0; i < count; i++) {
        assert_true(view_split(&rest, ',', &part));
        assert_non_null(part.p);
        assert_true(view_eq_str(part, parts[i]));
    }
    assert_null(rest.p);
    part = VIEW_LIT("untouched");
    assert_false(view_split(&rest, ',', &part));
    assert_true(view_eq_str(part, "untouched"));
}

static void test_split(void **state)
{
    (void)state;
    check_split("a,bc,d", 3, (const char *[]){"a", "bc", "d"});
    check_split("a", 1, (const char *[]){"a"});
    check_split("", 1, (const char *[]){""});
    check_split(",", 2, (const char *[]){"", ""});
    check_split("a,", 2, (const char *[]){"a", ""});
    check_split(",,b", 3, (const char *[]){"", "", "b"});
    check_split(NULL, 0, NULL);
}

static void test_u64(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int rc;
        uint64_t number;
    } rows[] = {
        {"0", 0, ERR_OK, 0},
        {"1", 0, ERR_RANGE, 0},
        {"007", 9, ERR_OK, 7},
        {"65535", 65535, ERR_OK, 65535},
        {"65536", 65535, ERR_RANGE, 0},
        {"18446744073709551615", UINT64_MAX, ERR_OK, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, ERR_RANGE, 0},
        {"18446744073709551620", UINT64_MAX, ERR_RANGE, 0},
        {"99999999999999999999999999", UINT64_MAX, ERR_RANGE, 0},
        {"99999999999999999999999999x", UINT64_MAX, ERR_MALFORMED, 0},
        {"", 9, ERR_MALFORMED, 0},
        {"-1", 9, ERR_MALFORMED, 0},
        {"+1", 9, ERR_MALFORMED, 0},
        {" 1", 9, ERR_MALFORMED, 0},
        {"1 ", 9, ERR_MALFORMED, 0},
        {"0x1", 99, ERR_MALFORMED, 0},
        {"1.0", 99, ERR_MALFORMED, 0},
        {"\xd9\xa1", 99, ERR_MALFORMED, 0},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint64_t number = 4711;

        assert_int_equal(view_u64(view_str(rows[i].text), rows[i].max, &number), rows[i].rc);
        assert_int_equal(number, rows[i].rc < 0 ? 4711 : rows[i].number);
    }
}

static void test_i64(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t number;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"-0", ERR_OK, 0},
        {"-1", ERR_OK, -1},
        {"9223372036854775807", ERR_OK, INT64_MAX},
        {"9223372036854775808", ERR_RANGE, 0},
        {"-9223372036854775808", ERR_OK, INT64_MIN},
        {"-9223372036854775809", ERR_RANGE, 0},
        {"", ERR_MALFORMED, 0},
        {"-", ERR_MALFORMED, 0},
        {"--1", ERR_MALFORMED, 0},
        {"+1", ERR_MALFORMED, 0},
        {"1-", ERR_MALFORMED, 0},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        int64_t number = 4711;

        assert_int_equal(view_i64(view_str(rows[i].text), &number), rows[i].rc);
        assert_true(number == (rows[i].rc < 0 ? 4711 : rows[i].number));
    }
}

static void test_double(void **state)
{
    static const struct {
        const char *text;
        int rc;
        double number;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"-0.5", ERR_OK, -0.5},
        {"5.", ERR_OK, 5},
        {".5", ERR_OK, 0.5},
        {"0.00000000006667", ERR_OK, 6.667e-11},
        {"1e3", ERR_OK, 1000},
        {"1.25E+2", ERR_OK, 125},
        {"125e-2", ERR_OK, 1.25},
        {"1.7976931348623157e308", ERR_OK, 1.7976931348623157e308},
        {"1e309", ERR_RANGE, 0},
        {"-1e309", ERR_RANGE, 0},
        {"1e-400", ERR_OK, 0},
        {"5e-324", ERR_OK, 5e-324},
        {"", ERR_MALFORMED, 0},
        {"-", ERR_MALFORMED, 0},
        {".", ERR_MALFORMED, 0},
        {"1e", ERR_MALFORMED, 0},
        {"1e+", ERR_MALFORMED, 0},
        {"e1", ERR_MALFORMED, 0},
        {"+1", ERR_MALFORMED, 0},
        {" 1", ERR_MALFORMED, 0},
        {"1 ", ERR_MALFORMED, 0},
        {"1,5", ERR_MALFORMED, 0},
        {"1.2.3", ERR_MALFORMED, 0},
        {"0x10", ERR_MALFORMED, 0},
        {"inf", ERR_MALFORMED, 0},
        {"nan", ERR_MALFORMED, 0},
        {"1e5x", ERR_MALFORMED, 0},
    };
    char text[500];
    double number = 4711;

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        number = 4711;
        assert_int_equal(view_double(view_str(rows[i].text), &number), rows[i].rc);
        assert_true(number == (rows[i].rc < 0 ? 4711 : rows[i].number));
    }
    /* Bounded by the view, not by a NUL. */
    assert_int_equal(view_double(view_of("12345", 2), &number), ERR_OK);
    assert_true(number == 12);
    assert_int_equal(view_double(view_of("1\0002", 3), &number), ERR_MALFORMED);
    memset(text, '9', sizeof(text));
    text[1] = '.';
    assert_int_equal(view_double(view_of(text, 400), &number), ERR_OK);
    assert_int_equal(view_double(view_of(text, sizeof(text)), &number), ERR_RANGE);
}

static void test_utf8(void **state)
{
    static const struct {
        struct view text;
        int rc;
    } rows[] = {
        {{(const uint8_t *)"", 0}, ERR_OK},
        {{(const uint8_t *)"plain ascii, longer than eight", 30}, ERR_OK},
        {{(const uint8_t *)"gr\xc3\xbc\xc3\x9f", 6}, ERR_OK},
        {{(const uint8_t *)"\xe2\x82\xac", 3}, ERR_OK},
        {{(const uint8_t *)"\xf0\x9f\x98\x80", 4}, ERR_OK},
        {{(const uint8_t *)"\xf4\x8f\xbf\xbf", 4}, ERR_OK},
        {{(const uint8_t *)"\xed\x9f\xbf\xee\x80\x80", 6}, ERR_OK},
        {{(const uint8_t *)"\0", 1}, ERR_UTF8},
        {{(const uint8_t *)"1234567\0", 8}, ERR_UTF8},
        {{(const uint8_t *)"12345678\0", 9}, ERR_UTF8},
        {{(const uint8_t *)"\x80", 1}, ERR_UTF8},
        {{(const uint8_t *)"1234567\xff", 8}, ERR_UTF8},
        {{(const uint8_t *)"\xc3", 1}, ERR_UTF8},             /* cut */
        {{(const uint8_t *)"\xe2\x82", 2}, ERR_UTF8},         /* cut */
        {{(const uint8_t *)"\xf0\x9f\x98", 3}, ERR_UTF8},     /* cut */
        {{(const uint8_t *)"\xc3\x41", 2}, ERR_UTF8},         /* no continuation */
        {{(const uint8_t *)"\xe2\x82\x41", 3}, ERR_UTF8},     /* no continuation */
        {{(const uint8_t *)"\xc0\xaf", 2}, ERR_UTF8},         /* overlong */
        {{(const uint8_t *)"\xc1\xbf", 2}, ERR_UTF8},         /* overlong */
        {{(const uint8_t *)"\xe0\x9f\xbf", 3}, ERR_UTF8},     /* overlong */
        {{(const uint8_t *)"\xf0\x8f\xbf\xbf", 4}, ERR_UTF8}, /* overlong */
        {{(const uint8_t *)"\xed\xa0\x80", 3}, ERR_UTF8},     /* surrogate */
        {{(const uint8_t *)"\xed\xbf\xbf", 3}, ERR_UTF8},     /* surrogate */
        {{(const uint8_t *)"\xf4\x90\x80\x80", 4}, ERR_UTF8}, /* past U+10FFFF */
        {{(const uint8_t *)"\xf8\x88\x80\x80\x80", 5}, ERR_UTF8},
        {{(const uint8_t *)"\xfe", 1}, ERR_UTF8},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        assert_int_equal(view_utf8(rows[i].text), rows[i].rc);
    assert_int_equal(view_utf8_char(VIEW_LIT("\xe2\x82\xac..")), 3);
    assert_int_equal(view_utf8_char(VIEW_LIT("\0")), 1);
    assert_int_equal(view_utf8_char(VIEW_NONE), 0);
}

/* Every code point, written by hand as RFC 3629 section 3 says. */
static void test_utf8_all_points(void **state)
{
    (void)state;
    for (uint32_t point = 1; point < 0x120000; point++) {
        bool valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        uint8_t b[4];
        size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};

        for (size_t i = n; i-- > 1;)
            b[i] = (uint8_t)(0x80 | (point >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (uint8_t)(lead[n - 1] | point >> 6 * (n - 1));
        assert_int_equal(view_utf8(view_of(b, n)), valid ? ERR_OK : ERR_UTF8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_sub),
        cmocka_unit_test(test_split),   cmocka_unit_test(test_u64),
        cmocka_unit_test(test_i64),     cmocka_unit_test(test_double),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_utf8_all_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
