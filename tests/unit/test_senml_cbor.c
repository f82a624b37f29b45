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
        const char *base, *hex, *lines;
    } rows[] = {
        /* spec 04 section 5: a history, a link, an opaque value, a Read-Composite */
        {"/3303/0/5700",
         "82 a3 21 6c 2f333330332f302f35373030 22 1a6553f100 02 f94da0 a2 06 383b 02 f94d80",
         "/3303/0/5700 float 22.5 @1700000000000\n/3303/0/5700 float 22 @1699999940000"},
        {"/65/0/0/0", "81 a2 00 69 2f36352f302f302f30 63766c6f 64 36363a30",
         "/65/0/0/0 objlnk 66:0"},
        {"/0/0/5", "81 a2 00 66 2f302f302f35 08 43 0102ff", "/0/0/5 opaque 0102ff"},
        {"/", "83 a1 00 66 2f332f302f30 a1 00 66 2f332f302f39 a1 00 66 2f312f302f31",
         "/3/0/0\n/3/0/9\n/1/0/1"},
        /* spec 02 section 10 and spec 03 section 7: Read-Composite, Observe-Composite */
        {"/", "82 a1 00 66 2f332f302f39 a1 00 66 2f312f302f31", "/3/0/9\n/1/0/1"},
        /* spec 02 section 10: Write-Composite */
        {"/", "82 a2 00 66 2f312f302f31 02 190258 a2 00 67 2f332f302f3133 02 1a6553f100",
         "/1/0/1 integer 600\n/3/0/13 time 1700000000"},
        {"/3/0", "82 a3 21 65 2f332f302f 00 61 30 03 64 41434d45 a2 00 61 39 02 1864",
         "/3/0/0 string ACME\n/3/0/9 integer 100"},
        {"/3303/0/5700", "81 a3 00 6c 2f333330332f302f35373030 06 fb41d954fc40080000 02 f94da0",
         "/3303/0/5700 float 22.5 @1700000000125"},
        {"/34000/0",
         "84 a3 21 69 2f33343030302f302f 00 61 31 02 3b7fffffffffffffff a2 00 61 32 02 "
         "1bffffffffffffffff a2 00 61 34 04 f5 a2 00 62 3939 02 fb3fb999999999999a",
         "/34000/0/1 integer -9223372036854775808\n/34000/0/2 unsigned 18446744073709551615\n"
         "/34000/0/4 boolean true\n/34000/0/99 float 0.1"},
        {"/", "80", ""},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];
        struct view body = test_hex(rows[i].hex, bytes, sizeof(bytes));
        struct buf out, hex, want;

        test_decode(FORMAT_SENML_CBOR, &env, body, rows[i].base, rows[i].lines, ERR_OK);
        buf_init(&out, 4096);
        buf_init(&hex, 4096);
        buf_init(&want, 4096);
        assert_int_equal(test_encode(FORMAT_SENML_CBOR, &env, rows[i].lines, rows[i].base, &out),
                         ERR_OK);
        test_put_hex(&hex, buf_view(&out));
        test_put_hex(&want, body);
        assert_string_equal(buf_cstr(&hex), buf_cstr(&want));
        buf_fini(&out);
        buf_fini(&hex);
        buf_fini(&want);
    }
}

static void test_decoding(void **state)
{
    static const struct {
        const char *base, *hex, *lines;
    } rows[] = {
        /* indefinite containers and chunked strings everywhere */
        {"/3/0/0", "9f bf 21 7f 63 2f332f 62 302f ff 00 7f 61 30 ff 03 7f 62 4143 62 4d45 ff ff ff",
         "/3/0/0 string ACME"},
        {"/0/0/5", "9f bf 00 66 2f302f302f35 08 5f 41 01 42 02ff ff ff ff", "/0/0/5 opaque 0102ff"},
        /* labels as text, name last */
        {"/3/0/9", "81 a2 61 76 1864 61 6e 66 2f332f302f39", "/3/0/9 integer 100"},
        {"/3/0/9", "81 a2 7f 61 76 ff 1864 00 66 2f332f302f39", "/3/0/9 integer 100"},
        {"/3/0/9", "81 a2 21 66 2f332f302f39 02 1864", "/3/0/9 integer 100"},
        /* half, single and double, an integer and a decimal fraction for a float */
        {"/3303", "81 a2 00 6c 2f333330332f302f35373030 02 f94da0", "/3303/0/5700 float 22.5"},
        {"/3303", "81 a2 00 6c 2f333330332f302f35373030 02 fa41b40000", "/3303/0/5700 float 22.5"},
        {"/3303", "81 a2 00 6c 2f333330332f302f35373030 02 fb4036800000000000",
         "/3303/0/5700 float 22.5"},
        {"/3303", "81 a2 00 6c 2f333330332f302f35373030 02 16", "/3303/0/5700 float 22"},
        {"/3303", "81 a2 00 6c 2f333330332f302f35373030 02 c4822018e1", "/3303/0/5700 float 22.5"},
        /* a float with nothing behind the point for an integer; tags for a time */
        {"/3/0/9", "81 a2 00 66 2f332f302f39 02 f94900", "/3/0/9 integer 10"},
        {"/3/0/13", "81 a2 00 67 2f332f302f3133 02 c11a6553f100", "/3/0/13 time 1700000000"},
        {"/3/0/13", "81 a2 00 67 2f332f302f3133 02 c074323032332d31312d31345432323a31333a32305a",
         "/3/0/13 time 1700000000"},
        /* unknown keys, labels and nested rubbish are passed over; so are units and sums */
        {"/3/0/9",
         "81 a7 00 66 2f332f302f39 02 05 01 61 56 05 07 1863 a1 01 9f02ff 61 78 f6 "
         "3b7fffffffffffffff 00",
         "/3/0/9 integer 5"},
        {"/3/0/9", "81 a3 00 66 2f332f302f39 02 05 20 0a", "/3/0/9 integer 5"},
        {"/3/0/9", "81 a3 00 66 2f332f302f39 02 05 24 1864", "/3/0/9 integer 105"},
        {"/2/0/2/127", "81 a2 00 6a 2f322f302f322f313237 02 f6", "/2/0/2/127"},
        {"/3/0/9", "d9d9f7 81 a2 00 66 2f332f302f39 02 05", "/3/0/9 integer 5"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_SENML_CBOR, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)),
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
        {"/", "81", ERR_TRUNCATED},
        {"/", "9f", ERR_TRUNCATED},
        {"/", "9bffffffffffffffff", ERR_TRUNCATED},
        {"/", "81bbffffffffffffffff0066", ERR_TRUNCATED},
        {"/", "a0", ERR_MALFORMED},
        {"/", "8105", ERR_MALFORMED},
        {"/", "81 80", ERR_MALFORMED},
        {"/", "80 00", ERR_TRAILING},
        {"/", "81 a1 40 05", ERR_MALFORMED},
        {"/", "81 a1 f5 05", ERR_MALFORMED},
        {"/", "9f a0", ERR_TRUNCATED},
        {"/", "81 bf 00 ff", ERR_MALFORMED},
        {"/", "81 a1 00 ff", ERR_MALFORMED},
        {"/", "81 a2 00 66 2f332f302f39 00 66 2f332f302f39", ERR_DUPLICATE},
        {"/", "81 a3 00 66 2f332f302f39 02 05 03 61 78", ERR_MALFORMED},
        {"/", "81 a3 00 66 2f332f302f39 02 05 62 785f 01", ERR_MALFORMED},
        {"/", "81 a3 00 66 2f332f302f39 02 05 20 0b", ERR_MALFORMED},
        {"/", "81 a2 00 66 2f332f302f39 02 61 35", ERR_TYPE},
        {"/", "81 a2 00 66 2f332f302f39 02 80", ERR_TYPE},
        {"/", "81 a2 00 66 2f332f302f39 02 f5", ERR_TYPE},
        {"/", "81 a2 00 66 2f332f302f39 03 61 35", ERR_TYPE},
        {"/", "81 a2 00 46 2f332f302f39 02 05", ERR_TYPE},
        {"/", "81 a2 00 66 2f302f302f35 08 61 35", ERR_TYPE},
        {"/", "81 a2 00 66 2f332f302f30 03 61 ff", ERR_UTF8},
        {"/", "81 a2 00 6c 2f333330332f302f35373030 02 f97e00", ERR_RANGE},
        {"/", "81 a3 00 66 2f332f302f39 02 05 06 f97e00", ERR_RANGE},
        {"/", "81 a3 00 66 2f332f302f39 02 05 06 f97c00", ERR_RANGE},
        {"/", "81 a2 00 65 2f332f3039 02 05", ERR_PATH},
        {"/3/0/13", "81 a2 00 66 2f332f302f39 02 05", ERR_PATH},
        {"/", "81 a1 1863 81818181818181818181818181818181 00", ERR_DEPTH},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_SENML_CBOR, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)),
                    rows[i].base, NULL, rows[i].rc);
    }
}

/* No byte of a body cut off or changed is read past its end; most changes are noticed. */
static void test_every_cut(void **state)
{
    static const char hex[] = "82 a3 21 6c 2f333330332f302f35373030 22 1a6553f100 02 f94da0 "
                              "a2 06 383b 02 f94d80";
    uint8_t bytes[128];
    struct view body = test_hex(hex, bytes, sizeof(bytes));

    (void)state;
    for (size_t n = 0; n < body.n; n++)
        test_decode(FORMAT_SENML_CBOR, &env, view_of(body.p, n), "/3303/0/5700", NULL,
                    ERR_TRUNCATED);
}

static void test_many(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 4 << 20);
    buf_put_u8(&body, 0x9f);
    for (unsigned i = 0; i < 65537; i++)
        buf_put(&body, "\xa1\x00\x62/3", 5);
    buf_put_u8(&body, 0xff);
    test_decode(FORMAT_SENML_CBOR, &env, buf_view(&body), "/", NULL, ERR_LIMIT);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("senml_cbor", tests, setup, teardown);
}
