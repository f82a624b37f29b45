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

static void test_both_ways(void **state)
{
    static const struct {
        const char *path, *hex, *lines;
    } rows[] = {
        /* spec 04 section 3 */
        {"/1/0/1", "1a 00015180", "/1/0/1 integer 86400"},
        {"/1/0/6", "f5", "/1/0/6 boolean true"},
        {"/1/0/7", "61 55", "/1/0/7 string U"},
        {"/3303/0/5700", "f9 4da0", "/3303/0/5700 float 22.5"},
        {"/0/0/5", "43 0102ff", "/0/0/5 opaque 0102ff"},
        {"/65/0/2", "63 333a30", "/65/0/2 objlnk 3:0"},
        {"/34000/0/1", "3b 7fffffffffffffff", "/34000/0/1 integer -9223372036854775808"},
        {"/34000/0/2", "1b ffffffffffffffff", "/34000/0/2 unsigned 18446744073709551615"},
        {"/34000/0/3", "fa 47c35000", "/34000/0/3 float 100000"},
        {"/34000/0/3", "fb 3fb999999999999a", "/34000/0/3 float 0.1"},
        {"/34000/0/4", "f4", "/34000/0/4 boolean false"},
        {"/34000/0/5", "40", "/34000/0/5 opaque "},
        {"/34000/0/6", "20", "/34000/0/6 time -1"},
        {"/34000/0/7", "6b 36353533353a3635353335", "/34000/0/7 objlnk 65535:65535"},
        {"/34000/0/8", "64 3c2f333e", "/34000/0/8 corelnk </3>"},
        {"/3/0/6/1", "05", "/3/0/6/1 integer 5"},
        {"/9/9/9", "05", "/9/9/9 integer 5"}, /* no model: as the wire says */
        {"/9/9/9", "43 0102ff", "/9/9/9 opaque 0102ff"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[64];
        struct view body = test_hex(rows[i].hex, bytes, sizeof(bytes));
        struct buf out;

        test_decode(FORMAT_CBOR, &env, body, rows[i].path, rows[i].lines, ERR_OK);
        buf_init(&out, 256);
        assert_int_equal(test_encode(FORMAT_CBOR, &env, rows[i].lines, rows[i].path, &out), ERR_OK);
        assert_true(view_eq(buf_view(&out), body));
        buf_fini(&out);
    }
}

static void test_decoding(void **state)
{
    static const struct {
        const char *path, *hex, *lines;
        int rc;
    } rows[] = {
        {"/3303/0/5700", "16", "/3303/0/5700 float 22", ERR_OK},
        {"/3303/0/5700", "fb 4036800000000000", "/3303/0/5700 float 22.5", ERR_OK},
        {"/3/0/9", "fa 41200000", "/3/0/9 integer 10", ERR_OK},
        {"/3/0/9", "18 05", "/3/0/9 integer 5", ERR_OK}, /* not the shortest form */
        {"/3/0/13", "c1 1a6553f100", "/3/0/13 time 1700000000", ERR_OK},
        {"/3/0/13", "c0 74 323032332d31312d31345432323a31333a32305a", "/3/0/13 time 1700000000",
         ERR_OK},
        {"/3/0/0", "7f 62 4143 62 4d45 ff", "/3/0/0 string ACME", ERR_OK},
        {"/0/0/5", "5f 41 01 42 02ff ff", "/0/0/5 opaque 0102ff", ERR_OK},
        {"/65/0/2", "69 464646463a46464646", "/65/0/2 objlnk 65535:65535", ERR_OK},
        {"/34000/0/4", "01", "/34000/0/4 boolean true", ERR_OK},
        {"/3/0/9", "f9 4580", NULL, ERR_TYPE}, /* 5.5 */
        {"/3/0/9", "61 35", NULL, ERR_TYPE},
        {"/3/0/9", "f6", NULL, ERR_TYPE},
        {"/3/0/9", "81 05", NULL, ERR_TYPE},
        {"/3/0/9", "a1 00 05", NULL, ERR_TYPE},
        {"/3/0/9", "05 05", NULL, ERR_TRAILING},
        {"/3/0/9", "", NULL, ERR_TRUNCATED},
        {"/3/0/9", "19 01", NULL, ERR_TRUNCATED},
        {"/3/0/9", "3b ffffffffffffffff", NULL, ERR_RANGE},
        {"/34000/0/2", "20", NULL, ERR_RANGE},
        {"/3303/0/5700", "f9 7c00", NULL, ERR_RANGE},
        {"/3/0/0", "61 ff", NULL, ERR_UTF8},
        {"/3/0", "05", NULL, ERR_MALFORMED},
        {"/", "05", NULL, ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[64];

        test_decode(FORMAT_CBOR, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)), rows[i].path,
                    rows[i].lines, rows[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_decoding),
    };

    return cmocka_run_group_tests_name("cbor_one", tests, setup, teardown);
}
