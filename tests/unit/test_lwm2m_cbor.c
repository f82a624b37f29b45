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

static void expect_hex(const struct content_env *e, const char *base, const char *lines,
                       const char *hex)
{
    uint8_t bytes[512];
    struct view want = test_hex(hex, bytes, sizeof(bytes));
    struct buf out, got, wanted;

    buf_init(&out, 4096);
    buf_init(&got, 8192);
    buf_init(&wanted, 8192);
    assert_int_equal(test_encode(FORMAT_LWM2M_CBOR, e, lines, base, &out), ERR_OK);
    test_put_hex(&got, buf_view(&out));
    test_put_hex(&wanted, want);
    assert_string_equal(buf_cstr(&got), buf_cstr(&wanted));
    buf_fini(&out);
    buf_fini(&got);
    buf_fini(&wanted);
}

/* Bodies that are written exactly as they are read. */
static void test_both_ways(void **state)
{
    static const struct {
        const char *base, *hex, *lines;
    } rows[] = {
        /* spec 04 section 7 */
        {"/3/0/9", "a1 83 03 00 09 1864", "/3/0/9 integer 100"},
        {"/3/0/6", "a1 83 03 00 06 a2 00 01 01 05", "/3/0/6/0 integer 1\n/3/0/6/1 integer 5"},
        {"/3303/0/5700", "a1 83 190ce7 00 191644 f94da0", "/3303/0/5700 float 22.5"},
        /* the composite answer there, its keys in ascending order */
        {"/", "a2 83 01 00 01 1a00015180 82 03 00 a2 00 64 41434d45 09 1864",
         "/1/0/1 integer 86400\n/3/0/0 string ACME\n/3/0/9 integer 100"},
        {"/3/0", "a1 82 03 00 a1 09 1864", "/3/0/9 integer 100"},
        {"/3/0", "a1 82 03 00 a2 06 a2 00 01 02 05 09 1864",
         "/3/0/6/0 integer 1\n/3/0/6/2 integer 5\n/3/0/9 integer 100"},
        {"/3", "a1 82 03 00 a1 09 1864", "/3/0/9 integer 100"},
        {"/2", "a2 82 02 00 a1 00 01 82 02 0a a1 00 02", "/2/0/0 integer 1\n/2/10/0 integer 2"},
        {"/3/0/6/1", "a1 84 03 00 06 01 05", "/3/0/6/1 integer 5"},
        {"/", "a2 84 03 00 06 01 05 83 190ce7 00 191644 f94da0",
         "/3/0/6/1 integer 5\n/3303/0/5700 float 22.5"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];
        struct view body = test_hex(rows[i].hex, bytes, sizeof(bytes));

        test_decode(FORMAT_LWM2M_CBOR, &env, body, rows[i].base, rows[i].lines, ERR_OK);
        expect_hex(&env, rows[i].base, rows[i].lines, rows[i].hex);
    }
}

static void test_every_type(void **state)
{
    static const char lines[] =
        "/34000/0/0 string \xc3\xa9\n/34000/0/1 integer -9223372036854775808\n"
        "/34000/0/2 unsigned 18446744073709551615\n/34000/0/3 float 0.1\n"
        "/34000/0/4 boolean true\n/34000/0/5 opaque 0102ff\n/34000/0/6 time -1\n"
        "/34000/0/7 objlnk 66:0\n/34000/0/8 corelnk </3>\n/34000/0/99 float 2";
    static const char hex[] =
        "a1 82 1984d0 00 aa 00 62 c3a9 01 3b7fffffffffffffff 02 1bffffffffffffffff "
        "03 fb3fb999999999999a 04 f5 05 43 0102ff 06 20 07 64 36363a30 08 64 3c2f333e "
        "1863 f94000";
    uint8_t bytes[512];

    (void)state;
    expect_hex(&env, "/34000/0", lines, hex);
    test_decode(FORMAT_LWM2M_CBOR, &env, test_hex(hex, bytes, sizeof(bytes)), "/34000/0", lines,
                ERR_OK);
}

static void test_decoding(void **state)
{
    static const struct {
        const char *base, *hex, *lines;
    } rows[] = {
        /* spec 04 section 7: nested, indefinite, mixed */
        {"/3/0/9", "a1 03 a1 00 a1 09 1864", "/3/0/9 integer 100"},
        {"/3/0/9", "bf 03 bf 00 bf 09 1864 ff ff ff", "/3/0/9 integer 100"},
        {"/3/0/9", "a1 82 03 00 a1 09 1864", "/3/0/9 integer 100"},
        {"/3/0/9", "a1 03 a1 82 00 09 1864", "/3/0/9 integer 100"},
        {"/", "a2 82 03 00 a2 00 64 41434d45 09 1864 83 01 00 01 1a00015180",
         "/3/0/0 string ACME\n/3/0/9 integer 100\n/1/0/1 integer 86400"},
        /* indefinite keys and strings in chunks; long heads */
        {"/3/0/9", "bf 9f 03 00 09 ff 1864 ff", "/3/0/9 integer 100"},
        {"/3/0/9", "a1 81 03 a1 81 00 a1 81 09 1864", "/3/0/9 integer 100"},
        {"/3/0/9", "b801 9803 1803 190000 1a00000009 1b0000000000000064", "/3/0/9 integer 100"},
        {"/3/0/0", "a1 83 03 00 00 7f 62 4143 62 4d45 ff", "/3/0/0 string ACME"},
        {"/0/0/5", "a1 83 00 00 05 5f 41 01 42 02ff ff", "/0/0/5 opaque 0102ff"},
        /* depths may differ, keys repeat where their paths do not */
        {"/", "a2 03 a1 00 a1 09 05 82 03 01 a1 09 06", "/3/0/9 integer 5\n/3/1/9 integer 6"},
        {"/3/0", "a2 82 03 00 a1 09 05 82 03 00 a1 00 61 78", "/3/0/9 integer 5\n/3/0/0 string x"},
        /* times, floats and integers for each other */
        {"/3/0/13", "a1 83 03 00 0d c1 1a6553f100", "/3/0/13 time 1700000000"},
        {"/3/0/13", "a1 83 03 00 0d c074323032332d31312d31345432323a31333a32305a",
         "/3/0/13 time 1700000000"},
        {"/3/0/13", "a1 83 03 00 0d 20", "/3/0/13 time -1"},
        {"/3303", "a1 83 190ce7 00 191644 16", "/3303/0/5700 float 22"},
        {"/3/0/9", "a1 83 03 00 09 f94900", "/3/0/9 integer 10"},
        {"/65", "a1 83 1841 00 02 69464646463a46464646", "/65/0/2 objlnk 65535:65535"},
        /* empty maps: nothing in there */
        {"/3/0/6", "a1 83 03 00 06 a0", "/3/0/6"},
        {"/2", "a1 02 a2 00 a0 01 a0", "/2/0\n/2/1"},
        {"/2", "a1 02 a0", ""},
        {"/2/0", "a1 82 02 00 a0", ""},
        {"/", "a0", ""},
        {"/", "bf ff", ""},
        {"/3/0/9", "d9d9f7 a1 83 03 00 09 05", "/3/0/9 integer 5"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_LWM2M_CBOR, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)),
                    rows[i].base, rows[i].lines, ERR_OK);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *base, *hex;
        int rc;
    } rows[] = {
        {"/", "", ERR_TRUNCATED},
        {"/", "a1", ERR_TRUNCATED},
        {"/", "bf", ERR_TRUNCATED},
        {"/", "bf 03", ERR_TRUNCATED},
        {"/", "a1 83 03 00", ERR_TRUNCATED},
        {"/", "bbffffffffffffffff 03", ERR_TRUNCATED},
        {"/", "a1 9bffffffffffffffff 03", ERR_TRUNCATED},
        {"/", "80", ERR_MALFORMED},
        {"/", "05", ERR_MALFORMED},
        {"/", "a0 00", ERR_TRAILING},
        /* the same path twice, however it is written; a value and something below it */
        {"/", "a2 83 03 00 09 05 83 03 00 09 05", ERR_DUPLICATE},
        {"/", "a2 83 03 00 09 05 03 a1 00 a1 09 06", ERR_DUPLICATE},
        {"/", "a1 03 a2 00 a1 09 05 82 00 09 05", ERR_DUPLICATE},
        {"/", "a2 83 03 00 06 05 84 03 00 06 01 05", ERR_DUPLICATE},
        {"/", "a3 84 03 00 06 01 05 83 03 00 09 05 83 03 00 06 05", ERR_DUPLICATE},
        /* keys */
        {"/", "a1 80 05", ERR_MALFORMED},
        {"/", "a1 81 81 03 05", ERR_MALFORMED},
        {"/", "a1 20 a1 00 a1 09 05", ERR_MALFORMED},
        {"/", "a1 41 03 05", ERR_MALFORMED},
        {"/", "a1 f6 05", ERR_MALFORMED},
        {"/", "a1 a1 03 00 05", ERR_MALFORMED},
        {"/", "a1 c1 03 05", ERR_MALFORMED},
        {"/", "bf 03 ff", ERR_MALFORMED},
        {"/", "a1 83 03 00 ff 05", ERR_MALFORMED},
        {"/", "a1 83 1a00010000 00 09 05", ERR_PATH},
        {"/", "a1 83 19ffff 00 09 05", ERR_PATH},
        {"/16", "a1 83 10 19ffff 00 61 78", ERR_PATH}, /* no Create */
        {"/", "a1 85 03 00 06 01 00 05", ERR_PATH},
        {"/", "a1 84 03 00 06 01 a1 00 05", ERR_PATH},
        {"/", "a1 84 03 00 06 01 a0", ERR_MALFORMED},
        /* values */
        {"/", "a1 03 05", ERR_PATH},
        {"/", "a1 82 03 00 05", ERR_PATH},
        {"/", "a1 83 03 00 09 f6", ERR_TYPE},
        {"/", "a1 83 03 00 09 81 05", ERR_TYPE},
        {"/", "a1 83 03 00 09 61 35", ERR_TYPE},
        {"/", "a1 83 03 00 00 61 ff", ERR_UTF8},
        {"/", "a1 83 190ce7 00 191644 f97e00", ERR_RANGE},
        {"/3/0", "a1 83 03 01 09 05", ERR_PATH},
        /* paths are absolute: nothing is taken for the request's */
        {"/3/0", "a1 09 05", ERR_PATH},
        /* a device behind a gateway that was not asked for */
        {"/", "a1 84 63 643031 03 00 09 05", ERR_PATH},
        {"/", "a1 a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 00 00", ERR_MALFORMED},
        {"/", "a1 00 a1 00 a1 00 a1 00 a1 00 a1 00 05", ERR_PATH},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_LWM2M_CBOR, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)),
                    rows[i].base, NULL, rows[i].rc);
    }
}

static void test_create(void **state)
{
    /* spec 04 section 7; object 34 has the multiple resource of that example */
    static const char hex[] = "a1 82 10 19ffff a1 00 a1 00 61 78";
    static const char lines[] = "/16/65535/0/0 string x";
    struct content_env create = env;
    uint8_t bytes[64];

    (void)state;
    create.use = CONTENT_CREATE;
    expect_hex(&create, "/16", lines, hex);
    test_decode(FORMAT_LWM2M_CBOR, &create, test_hex(hex, bytes, sizeof(bytes)), "/16", lines,
                ERR_OK);
    expect_hex(&create, "/2", "/2/5/1 integer 0\n/2/5/0 integer 3", "a1 82 02 05 a2 00 03 01 00");
    /* only there, and only in the place of an instance */
    test_decode(FORMAT_LWM2M_CBOR, &create,
                test_hex("a1 83 10 00 19ffff 61 78", bytes, sizeof(bytes)), "/16", NULL, ERR_PATH);
    test_decode(FORMAT_LWM2M_CBOR, &create,
                test_hex("a1 83 19ffff 00 00 61 78", bytes, sizeof(bytes)), "/16", NULL, ERR_PATH);
}

static void test_alternate_path_is_not_in_keys(void **state)
{
    struct content_env under = env;
    uint8_t bytes[64];

    (void)state;
    under.prefix = VIEW_LIT("/lwm2m");
    expect_hex(&under, "/3/0/9", "/3/0/9 integer 100", "a1 83 03 00 09 1864");
    test_decode(FORMAT_LWM2M_CBOR, &under,
                test_hex("a1 84 65 6c776d326d 03 00 09 05", bytes, sizeof(bytes)), "/", NULL,
                ERR_PATH);
}

static void test_gateway(void **state)
{
    static const struct {
        bool prefixes; /* else the device d01 was asked */
        const char *base, *hex, *lines;
        bool written; /* exactly so */
    } rows[] = {
        /* spec 10 section 2 */
        {false, "/3303/0", "a1 83 63 643031 190ce7 00 a1 191644 fb403619999999999a",
         "/3303/0/5700 float 22.1", true},
        {false, "/3303/0", "a1 63 643031 a1 190ce7 a1 00 a1 191644 fb403619999999999a",
         "/3303/0/5700 float 22.1", false},
        {false, "/3303/0", "a1 81 63 643031 a1 82 190ce7 00 a1 191644 fb403619999999999a",
         "/3303/0/5700 float 22.1", false},
        {false, "/3303/0", "bf 9f 7f 61 64 62 3031 ff 190ce7 ff bf 82 00 191644 16 ff ff",
         "/3303/0/5700 float 22", false},
        {false, "/3/0", "a1 82 03 00 a1 09 05", "/3/0/9 integer 5", false},
        {true, "/", "a3 83 03 00 09 05 84 63 643031 03 00 09 06 84 63 643032 03 00 09 07",
         "/3/0/9 integer 5\nd01:/3/0/9 integer 6\nd02:/3/0/9 integer 7", true},
        {true, "/", "a3 83 03 00 09 05 61 61 a1 83 03 00 09 06 61 62 a1 03 a1 00 a1 09 07",
         "/3/0/9 integer 5\na:/3/0/9 integer 6\nb:/3/0/9 integer 7", false},
        {true, "/", "a2 83 61 61 03 00 a2 00 61 78 09 05 83 61 62 03 00 a2 00 61 79 09 06",
         "a:/3/0/0 string x\na:/3/0/9 integer 5\nb:/3/0/0 string y\nb:/3/0/9 integer 6", true},
    };
    static const char *const refused[] = {
        "a1 84 61 61 61 62 03 00 05",    /* two prefixes */
        "a1 61 61 a1 61 62 a1 03 a0",    /* the same, nested */
        "a1 84 03 61 61 00 09 05",       /* not in front */
        "a1 03 a1 61 61 a1 00 a1 09 05", /* nor outermost */
        "a1 84 60 03 00 09 05",          /* empty */
        "a1 84 62 3031 03 00 09 05",     /* a number */
        "a1 84 63 612f62 03 00 09 05",   /* more than a segment */
        "a1 84 61 ff 03 00 09 05",       /* no text */
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct content_env e = env;
        uint8_t bytes[256];
        struct view body = test_hex(rows[i].hex, bytes, sizeof(bytes));

        e.prefixes = rows[i].prefixes;
        e.gateway = rows[i].prefixes ? VIEW_LIT("") : VIEW_LIT("d01");
        test_decode(FORMAT_LWM2M_CBOR, &e, body, rows[i].base, rows[i].lines, ERR_OK);
        if (rows[i].written)
            expect_hex(&e, rows[i].base, rows[i].lines, rows[i].hex);
    }
    for (size_t i = 0; i < mem_count(refused); i++) {
        struct content_env e = env;
        uint8_t bytes[256];

        e.prefixes = true;
        test_decode(FORMAT_LWM2M_CBOR, &e, test_hex(refused[i], bytes, sizeof(bytes)), "/", NULL,
                    ERR_PATH);
    }
}

static void test_every_cut(void **state)
{
    static const char hex[] = "bf 9f 03 00 ff bf 00 7f 62 4143 62 4d45 ff 09 1864 06 a2 00 01 01 "
                              "05 ff 83 01 00 01 1a00015180 ff";
    uint8_t bytes[128];
    struct view body = test_hex(hex, bytes, sizeof(bytes));

    (void)state;
    for (size_t n = 0; n < body.n; n++)
        test_decode(FORMAT_LWM2M_CBOR, &env, view_of(body.p, n), "/", NULL, ERR_TRUNCATED);
}

/* More records than a batch holds; many, in an order that has to be sorted. */
static void test_many(void **state)
{
    struct batch *b = batch_new();
    struct path root = {.depth = 0};
    struct buf body;

    (void)state;
    buf_init(&body, 4 << 20);
    buf_put_u8(&body, 0xbf);
    for (unsigned i = 0; i < 65537; i++) {
        unsigned id = (i * 40503u) & 0xffffu;

        buf_put(&body, "\x84\x19", 2);
        buf_put_u8(&body, (uint8_t)(0x10 + (i >> 16)));
        buf_put(&body, "\x00\x00\x07\x19", 4);
        buf_put_u8(&body, (uint8_t)(id >> 8 == 0xff ? 0xfe : id >> 8));
        buf_put(&body, (const uint8_t[]){(uint8_t)id, 1}, 2);
    }
    buf_put_u8(&body, 0xff);
    test_decode(FORMAT_LWM2M_CBOR, &env, buf_view(&body), "/", NULL, ERR_LIMIT);
    body.n = 1;
    for (unsigned i = 0; i < 60000; i++) {
        unsigned id = (i * 7919u) % 60000u;

        buf_put(&body, "\x84\x07\x00\x07\x19", 5);
        buf_put(&body, (const uint8_t[]){(uint8_t)(id >> 8), (uint8_t)id, 1}, 3);
    }
    buf_put_u8(&body, 0xff);
    assert_int_equal(content_decode(FORMAT_LWM2M_CBOR, &env, buf_view(&body), &root, b), ERR_OK);
    assert_int_equal(batch_size(b), 60000);
    body.p[1 + 8 * 59999 + 5] = body.p[1 + 5];
    body.p[1 + 8 * 59999 + 6] = body.p[1 + 6];
    test_decode(FORMAT_LWM2M_CBOR, &env, buf_view(&body), "/", NULL, ERR_DUPLICATE);
    batch_free(b);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_decoding),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_create),    cmocka_unit_test(test_alternate_path_is_not_in_keys),
        cmocka_unit_test(test_gateway),   cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("lwm2m_cbor", tests, setup, teardown);
}
