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

/* Bodies that are written exactly as they are read (spec 04 section 8). */
static void test_both_ways(void **state)
{
    static const struct {
        const char *base, *json, *lines;
    } rows[] = {
        {"/3/0",
         "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"ACME\"},{\"n\":\"6/0\",\"v\":1},"
         "{\"n\":\"13\",\"v\":1700000000}]}",
         "/3/0/0 string ACME\n/3/0/6/0 integer 1\n/3/0/13 time 1700000000"},
        {"/3/0/9", "{\"bn\":\"/3/0/9\",\"e\":[{\"v\":95}]}", "/3/0/9 integer 95"},
        {"/3/0/6", "{\"bn\":\"/3/0/6/\",\"e\":[{\"n\":\"1\",\"v\":95}]}", "/3/0/6/1 integer 95"},
        {"/2", "{\"bn\":\"/2/\",\"e\":[{\"n\":\"0/1\",\"v\":0},{\"n\":\"1/1\",\"v\":1}]}",
         "/2/0/1 integer 0\n/2/1/1 integer 1"},
        {"/3303/0/5700",
         "{\"bn\":\"/3303/0/5700\",\"bt\":1700000000,\"e\":[{\"v\":22.5},{\"t\":-60,\"v\":22.0},"
         "{\"t\":0.125,\"v\":1.0e+300}]}",
         "/3303/0/5700 float 22.5 @1700000000000\n/3303/0/5700 float 22 @1699999940000\n"
         "/3303/0/5700 float 1.0e+300 @1700000000125"},
        {"/65/0", "{\"bn\":\"/65/0/\",\"e\":[{\"n\":\"0/0\",\"ov\":\"66:0\"}]}",
         "/65/0/0/0 objlnk 66:0"},
        {"/0/0/5", "{\"bn\":\"/0/0/5\",\"e\":[{\"sv\":\"AQL/\"}]}", "/0/0/5 opaque 0102ff"},
        {"/34000/0",
         "{\"bn\":\"/34000/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"a\\\"b\"},"
         "{\"n\":\"1\",\"v\":-9223372036854775808},{\"n\":\"1\",\"v\":9223372036854775807},"
         "{\"n\":\"2\",\"v\":18446744073709551615},{\"n\":\"4\",\"bv\":true},"
         "{\"n\":\"5\",\"sv\":\"AQ==\"},{\"n\":\"6\",\"v\":-1},"
         "{\"n\":\"7\",\"ov\":\"65535:65535\"},{\"n\":\"8\",\"sv\":\"</3>\"},"
         "{\"n\":\"99\",\"sv\":\"AQ==\"},{\"n\":\"99\",\"v\":0.5}]}",
         "/34000/0/0 string a\"b\n/34000/0/1 integer -9223372036854775808\n"
         "/34000/0/1 integer 9223372036854775807\n/34000/0/2 unsigned 18446744073709551615\n"
         "/34000/0/4 boolean true\n/34000/0/5 opaque 01\n/34000/0/6 time -1\n"
         "/34000/0/7 objlnk 65535:65535\n/34000/0/8 corelnk </3>\n/34000/0/99 string AQ==\n"
         "/34000/0/99 float 0.5"},
        {"/2", "{\"bn\":\"/2/\",\"e\":[]}", ""},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out;

        test_decode(FORMAT_LWM2M_JSON, &env, view_str(rows[i].json), rows[i].base, rows[i].lines,
                    ERR_OK);
        buf_init(&out, 4096);
        assert_int_equal(test_encode(FORMAT_LWM2M_JSON, &env, rows[i].lines, rows[i].base, &out),
                         ERR_OK);
        assert_string_equal(buf_cstr(&out), rows[i].json);
        buf_fini(&out);
    }
}

static void test_decoding(void **state)
{
    static const struct {
        const char *base, *json, *lines;
    } rows[] = {
        /* no base name: that of the request; a name or none */
        {"/3/0", "{\"e\":[{\"n\":\"9\",\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0/9", "{\"e\":[{\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0/9", "{\"e\":[{\"n\":\"\",\"v\":5}]}", "/3/0/9 integer 5"},
        /* with and without a slash on either side */
        {"/3/0", "{\"bn\":\"/3/0\",\"e\":[{\"n\":\"9\",\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0", "{\"bn\":\"/3/0\",\"e\":[{\"n\":\"/9\",\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"/9\",\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0", "{\"bn\":\"\",\"e\":[{\"n\":\"/3/0/9\",\"v\":5}]}", "/3/0/9 integer 5"},
        {"/3/0/9", "{\"bn\":\"/3/0/9\",\"e\":[{\"n\":\"\",\"v\":5}]}", "/3/0/9 integer 5"},
        /* from the root: a linked object is passed over */
        {"/65",
         "{\"bn\":\"/\",\"e\":[{\"n\":\"65/0/0/0\",\"ov\":\"66:0\"},"
         "{\"n\":\"66/0/2\",\"v\":1}]}",
         "/65/0/0/0 objlnk 66:0"},
        /* members in any order, unknown ones; times */
        {"/3/0", "{\"e\":[{\"v\":5,\"x\":[{}],\"n\":\"9\"}],\"ver\":1,\"bn\":\"/3/0/\"}",
         "/3/0/9 integer 5"},
        {"/3/0/9", "{\"bt\":1700000000,\"e\":[{\"t\":5,\"v\":5},{\"v\":6}]}",
         "/3/0/9 integer 5 @1700000005000\n/3/0/9 integer 6 @1700000000000"},
        {"/3/0/9", "{\"e\":[{\"t\":-30,\"v\":5}]}", "/3/0/9 integer 5 @1749999970000"},
        /* integer and float for each other, a number for a boolean, Base64 of the other kind */
        {"/3303", "{\"bn\":\"/3303/\",\"e\":[{\"n\":\"0/5700\",\"v\":22}]}",
         "/3303/0/5700 float 22"},
        {"/3/0/9", "{\"e\":[{\"v\":5.0}]}", "/3/0/9 integer 5"},
        {"/1/0/6", "{\"e\":[{\"v\":1}]}", "/1/0/6 boolean true"},
        {"/0/0/5", "{\"e\":[{\"sv\":\"AQL_\"}]}", "/0/0/5 opaque 0102ff"},
        {"/65/0/2", "{\"e\":[{\"ov\":\"FFFF:FFFF\"}]}", "/65/0/2 objlnk 65535:65535"},
        {"/65/0/2", "{\"e\":[{\"sv\":\"3:0\"}]}", "/65/0/2 objlnk 3:0"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        test_decode(FORMAT_LWM2M_JSON, &env, view_str(rows[i].json), rows[i].base, rows[i].lines,
                    ERR_OK);
        test_decode(1543, &env, view_str(rows[i].json), rows[i].base, rows[i].lines, ERR_OK);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *base, *json;
        int rc;
    } rows[] = {
        {"/", "{\"bn\":\"/3/0/\",\"e\":[]}", ERR_FORMAT},
        {"/3/0/9", "", ERR_TRUNCATED},
        {"/3", "{\"e\":[", ERR_TRUNCATED},
        {"/3", "{\"e\":[]} x", ERR_TRAILING},
        {"/3", "[]", ERR_MALFORMED},
        {"/3", "{}", ERR_MALFORMED},
        {"/3", "{\"e\":{}}", ERR_MALFORMED},
        {"/3", "{\"e\":[5]}", ERR_MALFORMED},
        {"/3", "{\"bn\":5,\"e\":[]}", ERR_TYPE},
        {"/3", "{\"bt\":\"5\",\"e\":[]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\"}]}", ERR_MALFORMED},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":1,\"sv\":\"1\"}]}", ERR_MALFORMED},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":\"1\"}]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":null}]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":true}]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"sv\":\"5\"}]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":5.5}]}", ERR_TYPE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":1,\"v\":1}]}", ERR_DUPLICATE},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9x\",\"v\":1}]}", ERR_PATH},
        {"/3", "{\"bn\":\"/4/0/\",\"e\":[{\"n\":\"9\",\"v\":1}]}", ERR_PATH},
        {"/3", "{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"9\",\"v\":18446744073709551616}]}", ERR_RANGE},
        {"/0", "{\"bn\":\"/0/0/\",\"e\":[{\"n\":\"5\",\"sv\":\"A?==\"}]}", ERR_MALFORMED},
        {"/65", "{\"bn\":\"/65/0/\",\"e\":[{\"n\":\"2\",\"ov\":\"3-0\"}]}", ERR_TYPE},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        test_decode(FORMAT_LWM2M_JSON, &env, view_str(rows[i].json), rows[i].base, NULL,
                    rows[i].rc);
}

static void test_not_written(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    assert_int_equal(test_encode(FORMAT_LWM2M_JSON, &env, "/3/0/6", "/3/0", &out), ERR_FORMAT);
    assert_int_equal(test_encode(FORMAT_LWM2M_JSON, &env, "d01:/3/0/9 integer 5", "/3/0", &out),
                     ERR_FORMAT);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_written),
    };

    return cmocka_run_group_tests_name("lwm2m_json", tests, setup, teardown);
}
