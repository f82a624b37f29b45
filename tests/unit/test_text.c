#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/base.h"

static void test_hex(void **state)
{
    const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff, 0xa5};
    uint8_t back[5];
    char text[11];
    size_t n = 77;

    (void)state;
    text_hex(bytes, sizeof(bytes), text);
    assert_string_equal(text, "007f80ffa5");
    assert_int_equal(text_unhex(view_str(text), back, sizeof(back), &n), ERR_OK);
    assert_int_equal(n, sizeof(bytes));
    assert_memory_equal(back, bytes, sizeof(bytes));
    assert_int_equal(text_unhex(VIEW_LIT("AbCd"), back, 5, &n), ERR_OK);
    assert_int_equal(n, 2);
    assert_int_equal(back[0], 0xab);
    assert_int_equal(back[1], 0xcd);
    assert_int_equal(text_unhex(VIEW_NONE, back, 0, &n), ERR_OK);
    assert_int_equal(n, 0);
    text_hex(bytes, 0, text);
    assert_string_equal(text, "");
}

static void test_hex_refused(void **state)
{
    uint8_t back[2] = {9, 9};
    size_t n = 77;

    (void)state;
    assert_int_equal(text_unhex(VIEW_LIT("abc"), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("ag"), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("a "), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("@0"), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("`0"), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("\x10\x19"), back, 2, &n), ERR_MALFORMED);
    assert_int_equal(text_unhex(VIEW_LIT("aabbcc"), back, 2, &n), ERR_LIMIT);
    assert_int_equal(n, 77);
    assert_int_equal(back[0], 9);
}

/* RFC 4648 section 10, and bytes that need the last two letters of the alphabet. */
static const struct {
    const char *bytes;
    const char *common;
    const char *url;
} base64_rows[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
    {"\xff", "/w==", "_w"},
};

static void test_base64(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < mem_count(base64_rows); i++) {
        const char *texts[] = {base64_rows[i].common, base64_rows[i].url};

        for (size_t url = 0; url < 2; url++) {
            buf_reset(&b);
            text_base64(&b, view_str(base64_rows[i].bytes), url);
            assert_string_equal(buf_cstr(&b), texts[url]);
            buf_reset(&b);
            buf_put_str(&b, "before:");
            assert_int_equal(text_unbase64(&b, view_str(texts[url])), ERR_OK);
            assert_string_equal(buf_cstr(&b) + 7, base64_rows[i].bytes);
        }
    }
    buf_fini(&b);
}

static void test_base64_refused(void **state)
{
    static const char *const texts[] = {
        "Z",    "Zg=",  "Zg===", "=",  "==",   "====",   "Zm9v=", "Zm9v==",       "Zm9vY",
        "Zm=v", "Z===", "Zh==",  "Zh", "Zm9=", "Zm9v\n", " Zg==", "Zm9vYg==Zg==", "Zm9v*A==",
    };
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < mem_count(texts); i++) {
        buf_reset(&b);
        buf_put_str(&b, "kept");
        assert_int_equal(text_unbase64(&b, view_str(texts[i])), ERR_MALFORMED);
        assert_string_equal(buf_cstr(&b), "kept");
    }
    buf_fini(&b);
    buf_init(&b, 5);
    assert_int_equal(text_unbase64(&b, VIEW_LIT("Zm9vYmFy")), ERR_LIMIT);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void test_base64_round_trip(void **state)
{
    struct random r;
    struct buf text, back;

    (void)state;
    random_init(&r, 1, 2);
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    for (size_t n = 0; n < 300; n++) {
        uint8_t bytes[300];

        random_bytes(&r, bytes, n);
        buf_reset(&text);
        buf_reset(&back);
        text_base64(&text, view_of(bytes, n), n % 2);
        assert_int_equal(text_unbase64(&back, buf_view(&text)), ERR_OK);
        assert_true(view_eq(buf_view(&back), view_of(bytes, n)));
    }
    buf_fini(&text);
    buf_fini(&back);
}

static void check_time(const char *text, int64_t ms)
{
    char back[25];
    int64_t read = 0;

    text_time(ms, back);
    assert_string_equal(back, text);
    assert_int_equal(text_untime(view_str(text), &read), ERR_OK);
    assert_true(read == ms);
}

static void test_time(void **state)
{
    (void)state;
    check_time("1970-01-01T00:00:00.000Z", 0);
    check_time("1969-12-31T23:59:59.999Z", -1);
    check_time("2026-01-01T00:00:00.000Z", 1767225600000);
    check_time("2000-02-29T12:34:56.789Z", 951827696789);
    check_time("1900-03-01T00:00:00.000Z", -2203891200000);
    check_time("0000-01-01T00:00:00.000Z", -62167219200000);
    check_time("0000-02-29T00:00:00.000Z", -62162121600000);
    check_time("9999-12-31T23:59:59.999Z", 253402300799999);
}

/* Years without four digits cannot be written; the nearest that can stand in for them. */
static void test_time_clamped(void **state)
{
    char text[25];

    (void)state;
    text_time(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    text_time(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

/* Against the C library, over all days of four centuries and some more. */
static void test_time_calendar(void **state)
{
    (void)state;
    for (int64_t day = -200000; day < 200000; day++) {
        int64_t ms = day * 86400000 + (day & 0xffff) * 1000 + 123;
        time_t seconds = (time_t)((ms - 123) / 1000);
        struct tm tm;
        char expected[64];
        char text[25];
        int64_t back = 0;

        assert_non_null(gmtime_r(&seconds, &tm));
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.123Z",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        text_time(ms, text);
        assert_string_equal(text, expected);
        assert_int_equal(text_untime(view_str(text), &back), ERR_OK);
        assert_true(back == ms);
    }
}

static void test_untime_forms(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:01Z", ERR_OK, 1000},
        {"1970-01-01t00:00:01z", ERR_OK, 1000},
        {"1970-01-01T00:00:00.5Z", ERR_OK, 500},
        {"1970-01-01T00:00:00.05Z", ERR_OK, 50},
        {"1970-01-01T00:00:00.1239999Z", ERR_OK, 123},
        {"1970-01-01T02:00:00+02:00", ERR_OK, 0},
        {"1969-12-31T23:30:00-00:30", ERR_OK, 0},
        {"1970-01-01T00:00:00-00:00", ERR_OK, 0},
        {"2016-12-31T23:59:60Z", ERR_OK, 1483228800000},
        {"2000-02-29T00:00:00Z", ERR_OK, 951782400000},
        {"1900-02-29T00:00:00Z", ERR_RANGE, 0},
        {"2001-02-29T00:00:00Z", ERR_RANGE, 0},
        {"2001-13-01T00:00:00Z", ERR_RANGE, 0},
        {"2001-00-01T00:00:00Z", ERR_RANGE, 0},
        {"2001-04-31T00:00:00Z", ERR_RANGE, 0},
        {"2001-01-00T00:00:00Z", ERR_RANGE, 0},
        {"2001-01-01T24:00:00Z", ERR_RANGE, 0},
        {"2001-01-01T00:60:00Z", ERR_RANGE, 0},
        {"2001-01-01T00:00:61Z", ERR_RANGE, 0},
        {"2001-01-01T00:00:00+24:00", ERR_RANGE, 0},
        {"2001-01-01T00:00:00+00:60", ERR_RANGE, 0},
        {"", ERR_MALFORMED, 0},
        {"2001-01-01", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00.Z", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00.1", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00ZZ", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00+0100", ERR_MALFORMED, 0},
        {"2001-01-01T00:00:00 01:00", ERR_MALFORMED, 0},
        {"2001-01-01 00:00:00Z", ERR_MALFORMED, 0},
        {"2001/01/01T00:00:00Z", ERR_MALFORMED, 0},
        {"01-01-01T00:00:00Z", ERR_MALFORMED, 0},
        {"+001-01-01T00:00:00Z", ERR_MALFORMED, 0},
        {"2001-1-01T00:00:00Z", ERR_MALFORMED, 0},
        {"2001-01-01T0:00:00Z", ERR_MALFORMED, 0},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        int64_t ms = 4711;

        assert_int_equal(text_untime(view_str(rows[i].text), &ms), rows[i].rc);
        assert_true(ms == (rows[i].rc < 0 ? 4711 : rows[i].ms));
    }
}

static void test_double(void **state)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-17, "-17"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {6.667e-11, "6.667e-11"},
        {123456789012345, "123456789012345"},
        {9007199254740993.0, "9007199254740992"},
        {1e20, "1.0e+20"},
        {1.5e300, "1.5e+300"},
        {-1e-7, "-1.0e-07"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {-DBL_MIN, "-2.2250738585072014e-308"},
        {5e-324, "5.0e-324"},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        text_double(rows[i].number, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_double_round_trip(void **state)
{
    struct random r;

    (void)state;
    random_init(&r, 3, 4);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = random_u64(&r);
        double number, back;
        char text[32];

        memcpy(&number, &bits, sizeof(number));
        if (i % 4 == 0)
            number = (double)random_below(&r, 1000000) / 1000;
        if (!isfinite(number))
            continue;
        memset(text, 'x', sizeof(text));
        text_double(number, text);
        assert_non_null(memchr(text, '\0', sizeof(text)));
        assert_int_equal(view_double(view_str(text), &back), ERR_OK);
        assert_memory_equal(&back, &number, sizeof(back));
        assert_true(strchr(text, '.') || !strchr(text, 'e'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_hex_refused),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_refused),
        cmocka_unit_test(test_base64_round_trip),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_clamped),
        cmocka_unit_test(test_time_calendar),
        cmocka_unit_test(test_untime_forms),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_double_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
