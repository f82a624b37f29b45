#include "content_util.h"

static struct registry *registry;
static struct content_env env;

static int setup(void **state)
{
    (void)state;
    registry = test_registry();
    env = (struct content_env){.registry = registry, .prefix = VIEW_LIT(""), .now_ms = NOW_MS};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    registry_unref(registry);
    return 0;
}

static void test_values(void **state)
{
    static const struct {
        const char *base, *text, *line;
        int rc;
    } rows[] = {
        /* the notification of spec 03 section 7 */
        {"/3/0/9", "95", "/3/0/9 integer 95", ERR_OK},
        {"/3/0/6/1", "5", "/3/0/6/1 integer 5", ERR_OK},
        {"/3/0/0", "ACME", "/3/0/0 string ACME", ERR_OK},
        {"/3/0/0", "", "/3/0/0 string ", ERR_OK},
        {"/3/0/0", "\xc3\x28", NULL, ERR_UTF8},
        {"/3/0/13", "1700000000", "/3/0/13 time 1700000000", ERR_OK},
        {"/34000/0/1", "-9223372036854775808", "/34000/0/1 integer -9223372036854775808", ERR_OK},
        {"/34000/0/1", "9223372036854775808", NULL, ERR_RANGE},
        {"/34000/0/1", "-9223372036854775809", NULL, ERR_RANGE},
        {"/34000/0/1", "12.0", "/34000/0/1 integer 12", ERR_OK},
        {"/34000/0/1", "12.5", NULL, ERR_TYPE},
        {"/34000/0/1", "", NULL, ERR_MALFORMED},
        {"/34000/0/1", "0x10", NULL, ERR_MALFORMED},
        {"/34000/0/1", " 1", NULL, ERR_MALFORMED},
        {"/34000/0/1", "+1", NULL, ERR_MALFORMED},
        {"/34000/0/2", "18446744073709551615", "/34000/0/2 unsigned 18446744073709551615", ERR_OK},
        {"/34000/0/2", "-1", NULL, ERR_RANGE},
        {"/34000/0/2", "18446744073709551616", NULL, ERR_RANGE},
        {"/3303/0/5700", "22.5", "/3303/0/5700 float 22.5", ERR_OK},
        {"/3303/0/5700", "22", "/3303/0/5700 float 22", ERR_OK},
        {"/3303/0/5700", "0.00000000006667", "/3303/0/5700 float 6.667e-11", ERR_OK},
        {"/3303/0/5700", "-1e3", "/3303/0/5700 float -1000", ERR_OK},
        {"/3303/0/5700", "inf", NULL, ERR_MALFORMED},
        {"/3303/0/5700", "nan", NULL, ERR_MALFORMED},
        {"/3303/0/5700", "1e999", NULL, ERR_RANGE},
        {"/34000/0/4", "0", "/34000/0/4 boolean false", ERR_OK},
        {"/34000/0/4", "1", "/34000/0/4 boolean true", ERR_OK},
        {"/34000/0/4", "true", NULL, ERR_MALFORMED},
        {"/34000/0/4", "2", NULL, ERR_MALFORMED},
        {"/34000/0/5", "AQIDBAU=", "/34000/0/5 opaque 0102030405", ERR_OK},
        {"/34000/0/5", "AQIDBAU", "/34000/0/5 opaque 0102030405", ERR_OK},
        {"/34000/0/5", "-_8", "/34000/0/5 opaque fbff", ERR_OK},
        {"/34000/0/5", "", "/34000/0/5 opaque ", ERR_OK},
        {"/34000/0/5", "A?==", NULL, ERR_MALFORMED},
        {"/34000/0/7", "3:0", "/34000/0/7 objlnk 3:0", ERR_OK},
        {"/34000/0/7", "FFFF:FFFF", "/34000/0/7 objlnk 65535:65535", ERR_OK},
        {"/34000/0/7", "3", NULL, ERR_TYPE},
        {"/34000/0/8", "</3/0>", "/34000/0/8 corelnk </3/0>", ERR_OK},
        /* unknown to the model: a string, whatever it looks like */
        {"/34000/0/99", "95", "/34000/0/99 string 95", ERR_OK},
        {"/34000/0/99", "\xff", NULL, ERR_UTF8},
        {"/3", "95", NULL, ERR_MALFORMED},
        {"/3/0", "95", NULL, ERR_MALFORMED},
        {"/", "95", NULL, ERR_FORMAT},
        {"/", "", NULL, ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        test_decode(FORMAT_TEXT, &env, view_str(rows[i].text), rows[i].base, rows[i].line,
                    rows[i].rc);
}

static void test_encoding(void **state)
{
    static const struct {
        const char *base, *line, *text; /* NULL: ERR_FORMAT */
    } rows[] = {
        {"/3/0/9", "/3/0/9 integer 95", "95"},
        {"/3/0/9", "/3/0/9 integer -9223372036854775808", "-9223372036854775808"},
        {"/34000/0/2", "/34000/0/2 unsigned 18446744073709551615", "18446744073709551615"},
        {"/3/0/13", "/3/0/13 time 1700000000", "1700000000"},
        {"/3/0/0", "/3/0/0 string ACME", "ACME"},
        {"/3/0/0", "/3/0/0 string ", ""},
        {"/34000/0/8", "/34000/0/8 corelnk </3/0>", "</3/0>"},
        {"/34000/0/4", "/34000/0/4 boolean true", "1"},
        {"/34000/0/4", "/34000/0/4 boolean false", "0"},
        {"/34000/0/5", "/34000/0/5 opaque 0102030405", "AQIDBAU="},
        {"/34000/0/7", "/34000/0/7 objlnk 66:0", "66:0"},
        {"/3303/0/5700", "/3303/0/5700 float 22.5", "22.5"},
        {"/3303/0/5700", "/3303/0/5700 float -22", "-22"},
        {"/3303/0/5700", "/3303/0/5700 float 6.667e-11", "0.00000000006667"},
        {"/3303/0/5700", "/3303/0/5700 float -1e-7", "-0.0000001"},
        {"/3303/0/5700", "/3303/0/5700 float 1e21", "1000000000000000000000"},
        {"/3303/0/5700", "/3303/0/5700 float -1.25e20", "-125000000000000000000"},
        {"/3/0/6/1", "/3/0/6/1 integer 5", "5"},
        {"/3/0", "/3/0/9 integer 95", NULL},
        {"/3/0/6", "/3/0/6/0 integer 1", NULL},
        {"/3/0/9", "/3/0/9", NULL},
        {"/3/0/9", "", NULL},
        {"/3/0/9", "/3/0/9 integer 1\n/3/0/9 integer 2", NULL},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out;

        buf_init(&out, 4096);
        assert_int_equal(test_encode(FORMAT_TEXT, &env, rows[i].line, rows[i].base, &out),
                         rows[i].text != NULL ? ERR_OK : ERR_FORMAT);
        if (rows[i].text != NULL)
            assert_string_equal(buf_cstr(&out), rows[i].text);
        buf_fini(&out);
    }
}

/* Every double that is written without exponent is the same number again. */
static void test_floats(void **state)
{
    static const double numbers[] = {
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        0.1,
        1.0 / 3.0,
        123456.789,
        9e15,
        9007199254740993e3,
        -4.35e-12,
        -0.001,
        1e17,
        299792458.0,
    };
    struct path base = test_path("/3303/0/5700");

    (void)state;
    for (size_t i = 0; i < mem_count(numbers); i++) {
        struct record r = {.path = base, .value = {.type = VALUE_FLOAT, .u.float_ = numbers[i]}};
        struct batch *in = batch_new(), *back = batch_new();
        struct buf out;

        buf_init(&out, 4096);
        assert_int_equal(batch_add(in, &r), ERR_OK);
        assert_int_equal(content_encode(FORMAT_TEXT, &env, in, &base, &out), ERR_OK);
        assert_null(strpbrk(buf_cstr(&out), "eE"));
        assert_int_equal(content_decode(FORMAT_TEXT, &env, buf_view(&out), &base, back), ERR_OK);
        assert_true(value_eq(&batch_at(back, 0)->value, &r.value));
        buf_fini(&out);
        batch_free(in);
        batch_free(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_floats),
    };

    return cmocka_run_group_tests_name("plain", tests, setup, teardown);
}
