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

/* Bodies that are written exactly as they are read. */
static void test_both_ways(void **state)
{
    static const struct {
        const char *base, *json, *lines;
    } rows[] = {
        /* spec 04 section 5 */
        {"/3/0",
         "[{\"bn\":\"/3/0/\",\"n\":\"0\",\"vs\":\"ACME\"},{\"n\":\"6/0\",\"v\":1},"
         "{\"n\":\"13\",\"v\":1700000000}]",
         "/3/0/0 string ACME\n/3/0/6/0 integer 1\n/3/0/13 time 1700000000"},
        {"/3303/0/5700",
         "[{\"bn\":\"/3303/0/5700\",\"bt\":1700000000,\"v\":22.5},{\"t\":-60,\"v\":22.0}]",
         "/3303/0/5700 float 22.5 @1700000000000\n/3303/0/5700 float 22 @1699999940000"},
        /* milliseconds */
        {"/3303/0/5700",
         "[{\"bn\":\"/3303/0/5700\",\"bt\":1700000000.125,\"v\":22.5},{\"t\":0.001,\"v\":22.0},"
         "{\"t\":-0.126,\"v\":21.0}]",
         "/3303/0/5700 float 22.5 @1700000000125\n/3303/0/5700 float 22 @1700000000126\n"
         "/3303/0/5700 float 21 @1699999999999"},
        {"/", "[{\"n\":\"/3303/0/5700\",\"t\":1700000000,\"v\":22.5},{\"n\":\"/3/0/9\",\"v\":5}]",
         "/3303/0/5700 float 22.5 @1700000000000\n/3/0/9 integer 5"},
        {"/",
         "[{\"bt\":1700000000,\"n\":\"/3303/0/5700\",\"v\":22.5},"
         "{\"n\":\"/3/0/9\",\"t\":1,\"v\":5}]",
         "/3303/0/5700 float 22.5 @1700000000000\n/3/0/9 integer 5 @1700000001000"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"t\":1700000000.500,\"v\":5}]",
         "/3/0/9 integer 5 @1700000000500"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"t\":-1700000000,\"v\":5}]",
         "/3/0/9 integer 5 @50000000000"},
        /* the write of spec 02 section 4, with its names shortened */
        {"/34/0/1",
         "[{\"bn\":\"/34/0/1/\",\"n\":\"1\",\"vs\":\"Yellow\"},{\"n\":\"3\",\"vs\":\"Blue\"}]",
         "/34/0/1/1 string Yellow\n/34/0/1/3 string Blue"},
        /* names without values */
        {"/", "[{\"n\":\"/3/0/0\"},{\"n\":\"/3/0/9\"},{\"n\":\"/1/0/1\"}]",
         "/3/0/0\n/3/0/9\n/1/0/1"},
        {"/", "[{\"bn\":\"/3/\",\"n\":\"0\"},{\"n\":\"0/9\"}]", "/3/0\n/3/0/9"},
        {"/", "[{\"bn\":\"/3/0/\",\"n\":\"9\"},{\"n\":\"9\"}]", "/3/0/9\n/3/0/9"},
        {"/", "[{\"n\":\"/\"}]", "/"},
        {"/", "[{\"n\":\"/3\"},{\"n\":\"/\"}]", "/3\n/"},
        {"/", "[]", ""},
        {"/34000/0",
         "[{\"bn\":\"/34000/0/\",\"n\":\"0\",\"vs\":\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"},"
         "{\"n\":\"1\",\"v\":-9223372036854775808},{\"n\":\"1\",\"v\":9223372036854775807},"
         "{\"n\":\"2\",\"v\":18446744073709551615},{\"n\":\"2\",\"v\":5},"
         "{\"n\":\"3\",\"v\":0.1},{\"n\":\"3\",\"v\":1.0e+300},{\"n\":\"4\",\"vb\":true},"
         "{\"n\":\"4\",\"vb\":false},{\"n\":\"5\",\"vd\":\"AQL_\"},{\"n\":\"5\",\"vd\":\"\"},"
         "{\"n\":\"6\",\"v\":-1},{\"n\":\"7\",\"vlo\":\"66:0\"},"
         "{\"n\":\"8\",\"vs\":\"</3>\"},{\"n\":\"99\",\"v\":18446744073709551615}]",
         "/34000/0/0 string a\"b\\c\x0a\x01\xc3\xa9\n/34000/0/1 integer -9223372036854775808\n"
         "/34000/0/1 integer 9223372036854775807\n/34000/0/2 unsigned 18446744073709551615\n"
         "/34000/0/2 unsigned 5\n/34000/0/3 float 0.1\n/34000/0/3 float 1.0e+300\n"
         "/34000/0/4 boolean true\n/34000/0/4 boolean false\n/34000/0/5 opaque 0102ff\n"
         "/34000/0/5 opaque \n/34000/0/6 time -1\n/34000/0/7 objlnk 66:0\n"
         "/34000/0/8 corelnk </3>\n/34000/0/99 unsigned 18446744073709551615"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct batch *b = batch_new();
        struct path base = test_path(rows[i].base);
        struct buf out;

        test_decode(FORMAT_SENML_JSON, &env, view_str(rows[i].json), rows[i].base, rows[i].lines,
                    ERR_OK);
        buf_init(&out, 4096);
        assert_int_equal(content_decode(FORMAT_SENML_JSON, &env, view_str(rows[i].json), &base, b),
                         ERR_OK);
        assert_int_equal(content_encode(FORMAT_SENML_JSON, &env, b, &base, &out), ERR_OK);
        assert_string_equal(buf_cstr(&out), rows[i].json);
        buf_fini(&out);
        batch_free(b);
    }
}

static void test_decoding(void **state)
{
    static const struct {
        const char *base, *json, *lines;
    } rows[] = {
        /* a Send of spec 03 section 6, the write of spec 02 section 4 as it stands there */
        {"/",
         "[{\"bn\":\"/3303/0/\",\"n\":\"5700\",\"v\":22.5,\"bt\":1700000000},"
         "{\"n\":\"5700\",\"v\":22.0,\"t\":-60}]",
         "/3303/0/5700 float 22.5 @1700000000000\n/3303/0/5700 float 22 @1699999940000"},
        {"/34/0/1",
         "[{\"n\":\"/34/0/1/1\",\"vs\":\"Yellow\"},{\"n\":\"/34/0/1/3\",\"vs\":\"Blue\"}]",
         "/34/0/1/1 string Yellow\n/34/0/1/3 string Blue"},
        {"/3/0/0", "[{\"bn\":\"/3/0/0\",\"vs\":\"x\"}]", "/3/0/0 string x"},
        {"/3/0", " [ {\t\"bn\" : \"/3/0/\" } ,\r\n{ \"n\" : \"9\" , \"v\" : 5 } ] ",
         "/3/0/9 integer 5"},
        /* plain concatenation, and a base name that changes */
        {"/", "[{\"bn\":\"/3/0/1\",\"n\":\"3\",\"v\":7},{\"bn\":\"\",\"n\":\"/1/0/1\",\"v\":5}]",
         "/3/0/13 time 7\n/1/0/1 integer 5"},
        {"/3/0/9", "[{\"n\":\"/3/0/9/\",\"v\":5}]", "/3/0/9 integer 5"},
        /* base fields before or after, in force until changed */
        {"/3303",
         "[{\"bt\":1700000000,\"bn\":\"/3303/0/5700\"},{\"v\":1},{\"t\":2.5,\"v\":2},"
         "{\"v\":3,\"bt\":1800000000},{\"bt\":0,\"v\":4}]",
         "/3303/0/5700 float 1 @1700000000000\n/3303/0/5700 float 2 @1700000002500\n"
         "/3303/0/5700 float 3 @1800000000000\n/3303/0/5700 float 4"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"bv\":100,\"v\":-5},{\"n\":\"/3/0/9\",\"v\":1}]",
         "/3/0/9 integer 95\n/3/0/9 integer 101"},
        {"/34000", "[{\"n\":\"/34000/0/2\",\"bv\":9223372036854775807,\"v\":9223372036854775808}]",
         "/34000/0/2 unsigned 18446744073709551615"},
        {"/34000", "[{\"n\":\"/34000/0/3\",\"bv\":0.5,\"v\":1}]", "/34000/0/3 float 1.5"},
        {"/34000", "[{\"n\":\"/34000/0/0\",\"bv\":5,\"vs\":\"x\"}]", "/34000/0/0 string x"},
        /* relative times: below 2^28 s they count from now */
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":-30.25}]", "/3/0/9 integer 5 @1749999969750"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":0}]", "/3/0/9 integer 5"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":268435455}]",
         "/3/0/9 integer 5 @2018435455000"},
        {"/3/0/9", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":268435456}]",
         "/3/0/9 integer 5 @268435456000"},
        /* what is not used */
        {"/3/0/9",
         "[{\"n\":\"/3/0/9\",\"v\":5,\"u\":\"V\",\"bu\":\"A\",\"s\":1,\"bs\":2,\"ut\":3,"
         "\"bver\":10,\"x\":[{\"y\":[99999999999999999999]}],\"z\":{\"v\":1}}]",
         "/3/0/9 integer 5"},
        /* numbers */
        {"/34000/0/1", "[{\"n\":\"/34000/0/1\",\"v\":9007199254740993}]",
         "/34000/0/1 integer 9007199254740993"},
        {"/34000/0/1", "[{\"n\":\"/34000/0/1\",\"v\":1e3}]", "/34000/0/1 integer 1000"},
        {"/34000/0/1", "[{\"n\":\"/34000/0/1\",\"v\":12.0}]", "/34000/0/1 integer 12"},
        {"/34000/0/3", "[{\"n\":\"/34000/0/3\",\"v\":100000000000000000000}]",
         "/34000/0/3 float 1.0e+20"},
        {"/34000/0/3", "[{\"n\":\"/34000/0/3\",\"v\":-100000000000000000000}]",
         "/34000/0/3 float -1.0e+20"},
        {"/34000/0/2", "[{\"n\":\"/34000/0/2\",\"v\":\"18446744073709551615\"}]",
         "/34000/0/2 unsigned 18446744073709551615"},
        {"/34000/0/99", "[{\"n\":\"/34000/0/99\",\"v\":22.5}]", "/34000/0/99 float 22.5"},
        {"/34000/0/99", "[{\"n\":\"/34000/0/99\",\"vlo\":\"FFFF:FFFF\"}]",
         "/34000/0/99 objlnk 65535:65535"},
        /* opaque in every Base64 */
        {"/0/0/5", "[{\"n\":\"/0/0/5\",\"vd\":\"AQL/+w==\"}]", "/0/0/5 opaque 0102fffb"},
        {"/0/0/5", "[{\"n\":\"/0/0/5\",\"vd\":\"AQL_-w\"}]", "/0/0/5 opaque 0102fffb"},
        /* a string under vs for a link; text with escapes */
        {"/34000/0/7", "[{\"n\":\"/34000/0/7\",\"vs\":\"3:0\"}]", "/34000/0/7 objlnk 3:0"},
        {"/3/0/0", "[{\"n\":\"\\/3\\/0\\/0\",\"vs\":\"\\u00e9\\n\"}]", "/3/0/0 string \xc3\xa9\n"},
        {"/3/0/0", "[{\"n\":\"/3/0/0\",\"vs\":\"[{\\\"v\\\":99999999999999999999\"}]",
         "/3/0/0 string [{\"v\":99999999999999999999"},
        /* null: there is none */
        {"/3/0/6/1", "[{\"n\":\"/3/0/6/1\",\"v\":null}]", "/3/0/6/1"},
        /* linked objects are passed over, what was asked for stays */
        {"/3/0", "[{\"bn\":\"/\",\"n\":\"3/0/9\",\"v\":5},{\"n\":\"1/0/1\",\"v\":60}]",
         "/3/0/9 integer 5"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        test_decode(FORMAT_SENML_JSON, &env, view_str(rows[i].json), rows[i].base, rows[i].lines,
                    ERR_OK);
}

static void test_refused(void **state)
{
    static const struct {
        const char *base, *json;
        int rc;
    } rows[] = {
        {"/", "", ERR_TRUNCATED},
        {"/", "[", ERR_TRUNCATED},
        {"/", "[{\"n\":\"/3/0/9", ERR_TRUNCATED},
        {"/", "[{\"n\":\"/3/0/9\\", ERR_MALFORMED},
        {"/", "[]]", ERR_TRAILING},
        {"/", "{}", ERR_MALFORMED},
        {"/", "5", ERR_MALFORMED},
        {"/", "[5]", ERR_MALFORMED},
        {"/", "[[]]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5,\"v\":6}]", ERR_DUPLICATE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5,\"vs\":\"x\"}]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":05}]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":[5]}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":{}}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":true}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":\"5\"}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5.5}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"vs\":\"5\"}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"vb\":1}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":5}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":18446744073709551615}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":null}]", ERR_TYPE},
        {"/", "[{\"n\":\"/0/0/5\",\"vd\":\"A\"}]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/65/0/2\",\"vlo\":\"3\"}]", ERR_TYPE},
        {"/", "[{\"n\":5,\"v\":5}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":\"1\"}]", ERR_TYPE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":1e30}]", ERR_RANGE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":5,\"t\":18446744073709551615}]", ERR_RANGE},
        {"/", "[{\"bt\":-1099511627776,\"n\":\"/3/0/9\",\"v\":5,\"t\":-1}]", ERR_RANGE},
        {"/", "[{\"n\":\"/3/0/9\",\"v\":1e999}]", ERR_RANGE},
        {"/", "[{\"n\":\"/34000/0/1\",\"v\":9223372036854775808}]", ERR_RANGE},
        {"/", "[{\"n\":\"/34000/0/2\",\"v\":18446744073709551616}]", ERR_RANGE},
        {"/", "[{\"n\":\"/34000/0/2\",\"v\":-1}]", ERR_RANGE},
        {"/", "[{\"n\":\"/34000/0/1\",\"bv\":9223372036854775807,\"v\":1}]", ERR_RANGE},
        {"/", "[{\"n\":\"/34000/0/1\",\"bv\":-9223372036854775808,\"v\":-1}]", ERR_RANGE},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":\"\xff\"}]", ERR_UTF8},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":\"\\u0000\"}]", ERR_UTF8},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":\"x\",\"must_\":1}]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":\"x\",\"bver\":11}]", ERR_MALFORMED},
        {"/", "[{\"n\":\"/3/0/0\",\"vs\":\"x\",\"bver\":\"x\"}]", ERR_TYPE},
        {"/", "[{\"n\":\"3/0/9\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"n\":\"\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"v\":5}]", ERR_PATH},
        {"/", "[{\"n\":\"/3/0\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"n\":\"/3/0/9/0/0\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"n\":\"/65535/0/9\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"n\":\"/03/0/9\",\"v\":5}]", ERR_PATH},
        {"/3/0/9", "[{\"n\":\"/3/0/13\",\"v\":5}]", ERR_PATH},
        {"/3/0/9", "[{\"bn\":\"/3/0/\",\"n\":\"13\",\"v\":5}]", ERR_PATH},
        {"/3/0/6/1", "[{\"n\":\"/3/0/6\",\"v\":5}]", ERR_PATH},
        {"/", "[{\"x\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}]", ERR_DEPTH},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        test_decode(FORMAT_SENML_JSON, &env, view_str(rows[i].json), rows[i].base, NULL,
                    rows[i].rc);
}

/* Names grow by the alternate path; devices that forget it are understood. */
static void test_prefix(void **state)
{
    struct content_env under = env;
    struct buf out;

    (void)state;
    under.prefix = VIEW_LIT("/lwm2m");
    test_decode(FORMAT_SENML_JSON, &under, VIEW_LIT("[{\"n\":\"/lwm2m/3/0/9\",\"v\":5}]"), "/3/0/9",
                "/3/0/9 integer 5", ERR_OK);
    test_decode(FORMAT_SENML_JSON, &under, VIEW_LIT("[{\"n\":\"/3/0/9\",\"v\":5}]"), "/3/0/9",
                "/3/0/9 integer 5", ERR_OK);
    test_decode(
        FORMAT_SENML_JSON, &under,
        VIEW_LIT("[{\"bn\":\"/lwm2m/\",\"n\":\"3/0/9\",\"v\":5},{\"n\":\"1/0/1\",\"v\":1}]"),
        "/3/0/9", "/3/0/9 integer 5", ERR_OK);
    test_decode(FORMAT_SENML_JSON, &under, VIEW_LIT("[{\"n\":\"/lwm2m\"},{\"n\":\"/lwm2m/\"}]"),
                "/", "/\n/", ERR_OK);
    test_decode(FORMAT_SENML_JSON, &under, VIEW_LIT("[{\"n\":\"/lwm2mx/3/0/9\",\"v\":5}]"),
                "/3/0/9", NULL, ERR_PATH);
    test_decode(FORMAT_SENML_JSON, &under, VIEW_LIT("[{\"n\":\"/other/3/0/9\",\"v\":5}]"), "/3/0/9",
                NULL, ERR_PATH);
    buf_init(&out, 4096);
    assert_int_equal(test_encode(FORMAT_SENML_JSON, &under, "/3/0/9 integer 5", "/3/0/9", &out),
                     ERR_OK);
    assert_string_equal(buf_cstr(&out), "[{\"n\":\"/lwm2m/3/0/9\",\"v\":5}]");
    buf_reset(&out);
    assert_int_equal(
        test_encode(FORMAT_SENML_JSON, &under, "/3/0/9 integer 5\n/3/0/13 time 7", "/3/0", &out),
        ERR_OK);
    assert_string_equal(buf_cstr(&out),
                        "[{\"bn\":\"/lwm2m/3/0/\",\"n\":\"9\",\"v\":5},{\"n\":\"13\",\"v\":7}]");
    buf_reset(&out);
    assert_int_equal(test_encode(FORMAT_SENML_JSON, &under, "/", "/", &out), ERR_OK);
    assert_string_equal(buf_cstr(&out), "[{\"n\":\"/lwm2m/\"}]");
    buf_fini(&out);
}

static void test_name_limits(void **state)
{
    struct content_env under = env;
    uint8_t prefix[400];
    struct buf body, out;

    (void)state;
    memset(prefix, 'x', sizeof(prefix));
    prefix[0] = '/';
    buf_init(&out, 4096);
    under.prefix = view_of(prefix, 255);
    assert_int_equal(
        test_encode(FORMAT_SENML_JSON, &under,
                    "/65534/65534/65534/65534 integer 1\n/65534/65534/65534/1 integer 1", "/",
                    &out),
        ERR_OK);
    test_decode(FORMAT_SENML_JSON, &under, buf_view(&out), "/",
                "/65534/65534/65534/65534 integer 1\n/65534/65534/65534/1 integer 1", ERR_OK);
    under.prefix = view_of(prefix, sizeof(prefix));
    assert_int_equal(test_encode(FORMAT_SENML_JSON, &under, "/3/0/9 integer 5", "/3/0/9", &out),
                     ERR_LIMIT);
    for (unsigned i = 0; i < 3; i++) { /* too long: the base name, the name, both together */
        buf_init(&body, 4096);
        buf_fmt(&body, "[{\"bn\":\"%.*s\",\"n\":\"%.*s\",\"v\":5}]", i == 1 ? 0 : 300 + 50 * !i,
                (const char *)prefix, i == 0 ? 0 : 300 + 50 * (i == 1), (const char *)prefix);
        test_decode(FORMAT_SENML_JSON, &env, buf_view(&body), "/", NULL, ERR_PATH);
        buf_fini(&body);
    }
    buf_fini(&out);
}

/* A Create that leaves the identifier to the device is not for SenML. */
static void test_unnamed_instance(void **state)
{
    struct record r = {.path = {.id = {66, MODEL_ID_NONE, 2}, .depth = 3},
                       .value = {.type = VALUE_INTEGER, .u.integer = 1}};
    struct path base = test_path("/66");
    struct batch *b = batch_new();
    struct buf out;

    (void)state;
    buf_init(&out, 256);
    assert_int_equal(batch_add(b, &r), ERR_OK);
    assert_int_equal(content_encode(FORMAT_SENML_JSON, &env, b, &base, &out), ERR_FORMAT);
    assert_int_equal(content_encode(FORMAT_SENML_CBOR, &env, b, &base, &out), ERR_FORMAT);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    batch_free(b);
}

static void test_many(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 8 << 20);
    buf_put_str(&body, "[{\"n\":\"/3/0/9\",\"v\":5}");
    for (unsigned i = 0; i < 65536; i++)
        buf_put_str(&body, ",{\"n\":\"/3/0/9\"}");
    buf_put_str(&body, "]");
    test_decode(FORMAT_SENML_JSON, &env, buf_view(&body), "/", NULL, ERR_LIMIT);
    buf_reset(&body);
    buf_put_str(&body, "[");
    for (unsigned i = 0; i < 200000; i++)
        buf_put_str(&body, "{},");
    test_decode(FORMAT_SENML_JSON, &env, buf_view(&body), "/", NULL, ERR_LIMIT);
    buf_fini(&body);
}

/* Many large integers in one body: each grows by its quotes or by ".0". */
static void test_large_integers(void **state)
{
    struct buf body;
    struct batch *b = batch_new();
    struct path root = test_path("/");

    (void)state;
    buf_init(&body, 1 << 20);
    buf_put_str(&body, "[{\"n\":\"/34000/0/2\",\"v\":9223372036854775808");
    buf_put_str(&body, ",\"x\":[");
    for (unsigned i = 0; i < 1000; i++)
        buf_put_str(&body, "9223372036854775808,");
    buf_put_str(&body, "0]}]");
    assert_int_equal(content_decode(FORMAT_SENML_JSON, &env, buf_view(&body), &root, b), ERR_OK);
    assert_int_equal(batch_size(b), 1);
    assert_true(batch_at(b, 0)->value.u.unsigned_ == 9223372036854775808u);
    buf_fini(&body);
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),      cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_name_limits),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_large_integers), cmocka_unit_test(test_unnamed_instance),
    };

    return cmocka_run_group_tests_name("senml_json", tests, setup, teardown);
}
