/* What SenML means, in both forms: composites (RFC 8790), prefixes of gateways. */
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

/* A pack in JSON, the same in CBOR. */
struct pack {
    const char *json, *hex, *lines;
};

static void check(int32_t json_format, int32_t cbor_format, const struct content_env *e,
                  const struct pack *p, bool written)
{
    uint8_t bytes[512];
    struct view cbor = test_hex(p->hex, bytes, sizeof(bytes));
    struct buf out;

    test_decode(json_format, e, view_str(p->json), "/", p->lines, ERR_OK);
    test_decode(cbor_format, e, cbor, "/", p->lines, ERR_OK);
    if (!written)
        return;
    buf_init(&out, 4096);
    assert_int_equal(test_encode(json_format, e, p->lines, "/", &out), ERR_OK);
    assert_string_equal(buf_cstr(&out), p->json);
    buf_reset(&out);
    assert_int_equal(test_encode(cbor_format, e, p->lines, "/", &out), ERR_OK);
    assert_true(view_eq(buf_view(&out), cbor));
    buf_fini(&out);
}

static void test_fetch(void **state)
{
    static const struct pack written[] = {
        /* spec 04 section 5 and spec 02 section 10: Read-Composite */
        {"[{\"n\":\"/3/0/0\"},{\"n\":\"/3/0/9\"},{\"n\":\"/1/0/1\"}]",
         "83 a1 00 66 2f332f302f30 a1 00 66 2f332f302f39 a1 00 66 2f312f302f31",
         "/3/0/0\n/3/0/9\n/1/0/1"},
        {"[{\"n\":\"/3/0/9\"},{\"n\":\"/1/0/1\"}]",
         "82 a1 00 66 2f332f302f39 a1 00 66 2f312f302f31", "/3/0/9\n/1/0/1"},
        {"[{\"n\":\"/\"}]", "81 a1 00 61 2f", "/"},
        {"[]", "80", ""},
    };
    static const struct pack read[] = {
        /* a base name alone is a name; times and units may stand there */
        {"[{\"bn\":\"/3/0/9\"}]", "81 a1 21 66 2f332f302f39", "/3/0/9"},
        {"[{\"bn\":\"/3/0/\",\"n\":\"9\",\"u\":\"V\",\"bu\":\"V\"},{\"n\":\"0\"}]",
         "82 a4 21 65 2f332f302f 00 61 39 01 61 56 23 61 56 a1 00 61 30", "/3/0/9\n/3/0/0"},
        {"[{\"n\":\"/3/0/9\",\"t\":5,\"bt\":1700000000}]",
         "81 a3 00 66 2f332f302f39 06 05 22 1a6553f100", "/3/0/9 @1700000005000"},
    };
    static const struct {
        const char *json, *hex;
    } refused[] = {
        {"[{\"n\":\"/3/0/9\",\"v\":5}]", "81 a2 00 66 2f332f302f39 02 05"},
        {"[{\"n\":\"/3/0/9\",\"v\":null}]", "81 a2 00 66 2f332f302f39 02 f6"},
        {"[{\"n\":\"/3/0/9\"},{\"n\":\"/3/0/0\",\"vs\":\"\"}]",
         "82 a1 00 66 2f332f302f39 a2 00 66 2f332f302f30 03 60"},
        {"[{\"n\":\"/3/0/9\",\"vb\":true}]", "81 a2 00 66 2f332f302f39 04 f5"},
        {"[{\"n\":\"/3/0/9\",\"vd\":\"\"}]", "81 a2 00 66 2f332f302f39 08 40"},
        {"[{\"n\":\"/3/0/9\",\"vlo\":\"3:0\"}]", "81 a2 00 66 2f332f302f39 63 766c6f 63 333a30"},
        {"[{\"n\":\"/3/0/9\",\"s\":1}]", "81 a2 00 66 2f332f302f39 05 01"},
        {"[{\"n\":\"/3/0/9\",\"bv\":1}]", "81 a2 00 66 2f332f302f39 24 01"},
        {"[{\"n\":\"/3/0/9\",\"ut\":1}]", "81 a2 00 66 2f332f302f39 07 01"},
        {"[{\"n\":\"/3/0/9\",\"x\":1}]", "81 a2 00 66 2f332f302f39 61 78 01"},
    };
    struct content_env e = env;

    (void)state;
    e.use = CONTENT_FETCH;
    for (size_t i = 0; i < mem_count(written); i++) {
        check(320, 322, &e, &written[i], true);
        check(110, 112, &e, &written[i], true);
    }
    for (size_t i = 0; i < mem_count(read); i++) {
        check(320, 322, &e, &read[i], false);
        check(110, 112, &e, &read[i], false);
    }
    for (size_t i = 0; i < mem_count(refused); i++) {
        uint8_t bytes[64];
        struct view cbor = test_hex(refused[i].hex, bytes, sizeof(bytes));

        test_decode(320, &e, view_str(refused[i].json), "/", NULL, ERR_MALFORMED);
        test_decode(110, &e, view_str(refused[i].json), "/", NULL, ERR_MALFORMED);
        test_decode(322, &e, cbor, "/", NULL, ERR_MALFORMED);
        test_decode(112, &e, cbor, "/", NULL, ERR_MALFORMED);
    }
}

static void test_patch(void **state)
{
    static const struct pack etch[] = {
        /* spec 04 section 6: a resource instance removed */
        {"[{\"n\":\"/2/0/2/127\",\"v\":null}]", "81 a2 00 6a 2f322f302f322f313237 02 f6",
         "/2/0/2/127"},
        {"[{\"n\":\"/2/0/2/127\",\"v\":null},{\"n\":\"/65/0/2\",\"vlo\":\"3:0\"}]",
         "82 a2 00 6a 2f322f302f322f313237 02 f6 a2 00 67 2f36352f302f32 63 766c6f 63 333a30",
         "/2/0/2/127\n/65/0/2 objlnk 3:0"},
    };
    static const struct pack both[] = {
        /* spec 02 section 10: Write-Composite */
        {"[{\"n\":\"/1/0/1\",\"v\":600},{\"n\":\"/3/0/13\",\"v\":1700000000}]",
         "82 a2 00 66 2f312f302f31 02 190258 a2 00 67 2f332f302f3133 02 1a6553f100",
         "/1/0/1 integer 600\n/3/0/13 time 1700000000"},
        {"[{\"bn\":\"/3/0/6/\",\"n\":\"1\",\"v\":1},{\"n\":\"2\",\"v\":2}]",
         "82 a3 21 67 2f332f302f362f 00 61 31 02 01 a2 00 61 32 02 02",
         "/3/0/6/1 integer 1\n/3/0/6/2 integer 2"},
    };
    struct content_env e = env;
    uint8_t bytes[64];
    struct view cbor = test_hex(etch[0].hex, bytes, sizeof(bytes));

    (void)state;
    e.use = CONTENT_PATCH;
    for (size_t i = 0; i < mem_count(etch); i++)
        check(320, 322, &e, &etch[i], true);
    for (size_t i = 0; i < mem_count(both); i++) {
        check(320, 322, &e, &both[i], true);
        check(110, 112, &e, &both[i], true);
    }
    /* Plain SenML has no null; every name has a value; only a resource instance is removed. */
    test_decode(110, &e, view_str(etch[0].json), "/", NULL, ERR_MALFORMED);
    test_decode(112, &e, cbor, "/", NULL, ERR_MALFORMED);
    test_decode(320, &e, VIEW_LIT("[{\"n\":\"/3/0/9\"}]"), "/", NULL, ERR_MALFORMED);
    test_decode(110, &e, VIEW_LIT("[{\"n\":\"/3/0/9\"}]"), "/", NULL, ERR_MALFORMED);
    test_decode(320, &e, VIEW_LIT("[{\"n\":\"/3/0/6\",\"v\":null}]"), "/", NULL, ERR_PATH);
    test_decode(320, &e, VIEW_LIT("[{\"n\":\"/3/0/9\",\"v\":1,\"vs\":\"1\"}]"), "/", NULL,
                ERR_MALFORMED);
    test_decode(320, &e, VIEW_LIT("[{\"bn\":\"/3/0/\"},{\"n\":\"9\",\"v\":1}]"), "/",
                "/3/0/9 integer 1", ERR_OK);
}

static void test_must_understand(void **state)
{
    static const char *const refused[] = {
        "[{\"n\":\"/3/0/9\",\"v\":5,\"x_\":1}]",
        "[{\"n\":\"/3/0/9\",\"v\":5},{\"n\":\"/3/0/9\",\"v\":6,\"_\":{}}]",
        "[{\"b_\":null}]",
    };
    uint8_t bytes[64];

    (void)state;
    for (size_t i = 0; i < mem_count(refused); i++)
        test_decode(110, &env, view_str(refused[i]), "/", NULL, ERR_MALFORMED);
    test_decode(
        112, &env,
        test_hex("81 a3 00 66 2f332f302f39 02 05 7f 61 78 61 5f ff 01", bytes, sizeof(bytes)), "/",
        NULL, ERR_MALFORMED);
    test_decode(110, &env, VIEW_LIT("[{\"n\":\"/3/0/9\",\"v\":5,\"ut\":9,\"_x\":1}]"), "/",
                "/3/0/9 integer 5", ERR_OK);
}

static void test_gateway(void **state)
{
    static const struct pack asked = {/* spec 10 section 2 */
                                      "[{\"n\":\"/d01/3303/0/5700\",\"v\":22.5}]",
                                      "81 a2 00 70 2f6430312f333330332f302f35373030 02 f94da0",
                                      "/3303/0/5700 float 22.5"};
    static const struct pack pair = {
        "[{\"bn\":\"/d01/3/0/\",\"n\":\"9\",\"v\":5},{\"n\":\"13\",\"v\":6}]",
        "82 a3 21 69 2f6430312f332f302f 00 61 39 02 05 a2 00 62 3133 02 06",
        "/3/0/9 integer 5\n/3/0/13 time 6"};
    static const struct pack mixed = {
        "[{\"n\":\"/3/0/9\",\"v\":5},{\"n\":\"/d01/3/0/9\",\"v\":6},{\"n\":\"/d02/3/0/"
        "9\",\"v\":7}]",
        "83 a2 00 66 2f332f302f39 02 05 a2 00 6a 2f6430312f332f302f39 02 06 "
        "a2 00 6a 2f6430322f332f302f39 02 07",
        "/3/0/9 integer 5\nd01:/3/0/9 integer 6\nd02:/3/0/9 integer 7"};
    struct content_env e = env;
    struct buf out;

    (void)state;
    e.gateway = VIEW_LIT("d01");
    check(110, 112, &e, &asked, true);
    check(110, 112, &e, &pair, true);
    test_decode(110, &e, VIEW_LIT("[{\"bn\":\"/d01/3/0/\",\"n\":\"/9\",\"v\":5}]"), "/",
                "/3/0/9 integer 5", ERR_OK);
    test_decode(110, &e, view_str(mixed.json), "/", NULL, ERR_PATH);
    test_decode(110, &env, view_str(mixed.json), "/", NULL, ERR_PATH);
    e = env;
    e.prefixes = true;
    check(110, 112, &e, &mixed, true);
    e.use = CONTENT_SEND;
    check(110, 112, &e, &mixed, true);
    test_decode(110, &e, VIEW_LIT("[{\"bn\":\"/d01\",\"n\":\"/3/0/9\",\"v\":5}]"), "/",
                "d01:/3/0/9 integer 5", ERR_OK);
    /* behind an alternate path */
    e.prefix = VIEW_LIT("/lwm2m");
    buf_init(&out, 1024);
    assert_int_equal(test_encode(110, &e, "d01:/3/0/9 integer 5\nd01:/3/0/0 string x", "/", &out),
                     ERR_OK);
    assert_string_equal(buf_cstr(&out), "[{\"bn\":\"/lwm2m/d01/3/0/\",\"n\":\"9\",\"v\":5},"
                                        "{\"n\":\"0\",\"vs\":\"x\"}]");
    test_decode(110, &e, buf_view(&out), "/", "d01:/3/0/9 integer 5\nd01:/3/0/0 string x", ERR_OK);
    buf_fini(&out);
}

static void test_too_many_prefixes(void **state)
{
    struct content_env e = env;
    struct buf body;

    (void)state;
    e.prefixes = true;
    buf_init(&body, 1 << 16);
    buf_put_u8(&body, '[');
    for (unsigned i = 0; i <= BATCH_PREFIXES_MAX; i++)
        buf_fmt(&body, "%s{\"n\":\"/d%u/3/0/9\",\"v\":1}", i > 0 ? "," : "", i);
    buf_put_u8(&body, ']');
    test_decode(110, &e, buf_view(&body), "/", NULL, ERR_LIMIT);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_patch),
        cmocka_unit_test(test_must_understand),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_too_many_prefixes),
    };

    return cmocka_run_group_tests_name("senml", tests, setup, teardown);
}
