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

#define SERVER "c10001 c40100015180 c10601 c10755"
#define SERVER_LINES "/1/0/0 integer 1\n/1/0/1 integer 86400\n/1/0/6 boolean true\n/1/0/7 string U"
#define ACL "08000e c10001 c10100 8302417f07 c1037f 080212 c10003 c10100 8702417f0761013601 c1037f"
#define ACL_LINES                                                                                  \
    "/2/0/0 integer 1\n/2/0/1 integer 0\n/2/0/2/127 integer 7\n/2/0/3 integer 127\n"               \
    "/2/2/0 integer 3\n/2/2/1 integer 0\n/2/2/2/127 integer 7\n/2/2/2/310 integer 1\n"             \
    "/2/2/3 integer 127"

/* Bodies that are written exactly as they are read; the first are those of spec 04 section 4. */
static void test_both_ways(void **state)
{
    static const struct {
        const char *base, *hex, *lines;
    } rows[] = {
        {"/1/0", SERVER, SERVER_LINES},
        {"/1", "08000f" SERVER, SERVER_LINES},
        {"/3/0/6", "8606 410001 410105", "/3/0/6/0 integer 1\n/3/0/6/1 integer 5"},
        {"/3303/0/5700", "e4164441b40000", "/3303/0/5700 float 22.5"},
        {"/2/0/2/310", "61013601", "/2/0/2/310 integer 1"},
        {"/3/0/0", "c800144f70656e204d6f62696c6520416c6c69616e6365",
         "/3/0/0 string Open Mobile Alliance"},
        {"/65/0/2", "c40200420000", "/65/0/2 objlnk 66:0"},
        {"/66/0/2", "c102b5", "/66/0/2 integer -75"},
        {"/2", ACL, ACL_LINES},
        {"/2", "0601 c10001 c10100", "/2/1/0 integer 1\n/2/1/1 integer 0"},
        {"/3/0/22", "8016", "/3/0/22"},
        {"/3/0", "8016", "/3/0/22"},
        {"/2", "0001", "/2/1"},
        {"/34000/0", "c300616263", "/34000/0/0 string abc"},
        {"/34000/0/0", "c000", "/34000/0/0 string "},
        {"/34000/0/1", "c2010080", "/34000/0/1 integer 128"},
        {"/34000/0/1", "c2018000", "/34000/0/1 integer -32768"},
        {"/34000/0/1", "c40100008000", "/34000/0/1 integer 32768"},
        {"/34000/0/1", "c801080000000080000000", "/34000/0/1 integer 2147483648"},
        {"/34000/0/1", "c801088000000000000000", "/34000/0/1 integer -9223372036854775808"},
        {"/34000/0/2", "c20200c8", "/34000/0/2 unsigned 200"},
        {"/34000/0/2", "c80208ffffffffffffffff", "/34000/0/2 unsigned 18446744073709551615"},
        {"/34000/0/3", "c803083fb999999999999a", "/34000/0/3 float 0.1"},
        {"/34000/0/4", "c10400", "/34000/0/4 boolean false"},
        {"/34000/0/5", "c3050102ff", "/34000/0/5 opaque 0102ff"},
        {"/34000/0/6", "c4066553f100", "/34000/0/6 time 1700000000"},
        {"/34000/0/7", "c407ffffffff", "/34000/0/7 objlnk 65535:65535"},
        {"/34000/0/8", "c5083c2f333e3b", "/34000/0/8 corelnk </3>;"},
        {"/34000/0/99", "c16341", "/34000/0/99 opaque 41"}, /* unknown: never guessed */
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];
        struct view body = test_hex(rows[i].hex, bytes, sizeof(bytes));
        struct buf out, hex, want;

        test_decode(FORMAT_TLV, &env, body, rows[i].base, rows[i].lines, ERR_OK);
        buf_init(&out, 4096);
        buf_init(&hex, 4096);
        buf_init(&want, 4096);
        assert_int_equal(test_encode(FORMAT_TLV, &env, rows[i].lines, rows[i].base, &out), ERR_OK);
        test_put_hex(&hex, buf_view(&out));
        test_put_hex(&want, body);
        assert_string_equal(buf_cstr(&hex), buf_cstr(&want));
        buf_fini(&out);
        buf_fini(&hex);
        buf_fini(&want);
    }
}

/* Forms that are taken although they are not how we would write them. */
static void test_generous(void **state)
{
    static const struct {
        const char *base, *hex, *lines;
    } rows[] = {
        {"/1/0", "08000f" SERVER, SERVER_LINES}, /* the wrapper is optional here */
        {"/1/0", "08000f" SERVER "c10101", SERVER_LINES "\n/1/0/1 integer 1"},
        {"/1/0/1", "0800 06 c40100015180", "/1/0/1 integer 86400"},
        {"/2/0/2/127", "8302417f07", "/2/0/2/127 integer 7"},
        {"/2/0/2/127", "c10207", "/2/0/2/127 integer 7"},
        {"/3/0/6", "410001 410105", "/3/0/6/0 integer 1\n/3/0/6/1 integer 5"},
        {"/3/0/6", "c10601", "/3/0/6 integer 1"},
        {"/3/0/6", "", "/3/0/6"},
        {"/3", "c10964", "/3/0/9 integer 100"}, /* only instance 0 can be meant */
        {"/1/0", "0000", ""},
        /* bits 2-0 mean nothing once there is a length field; longer fields than needed */
        {"/1/0/0", "cf000101", "/1/0/0 integer 1"},
        {"/1/0/0", "d000000101", "/1/0/0 integer 1"},
        {"/1/0/0", "d80000000101", "/1/0/0 integer 1"},
        {"/1/0/0", "e1000001", "/1/0/0 integer 1"},
        /* integers in more bytes than needed; an integer where a float belongs */
        {"/1/0/0", "c400ffffffff", "/1/0/0 integer -1"},
        {"/34000/0/2", "c102c8", "/34000/0/2 unsigned 200"},
        {"/34000/0/3", "c103fe", "/34000/0/3 float -2"},
        {"/34000/0/3", "c2030100", "/34000/0/3 float 256"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_TLV, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)), rows[i].base,
                    rows[i].lines, ERR_OK);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *base, *hex;
        int rc;
    } rows[] = {
        {"/", "c10901", ERR_FORMAT},
        {"/3/0/9", "", ERR_TRUNCATED},
        {"/3/0/9", "0000", ERR_TRUNCATED}, /* the instance without the resource */
        {"/3/0/9", "c1", ERR_TRUNCATED},
        {"/3/0/9", "c109", ERR_TRUNCATED},
        {"/3/0/9", "c2 09 01", ERR_TRUNCATED},
        {"/3/0/9", "c8 09", ERR_TRUNCATED},
        {"/3/0/9", "d8 09 ffff", ERR_TRUNCATED},
        {"/3/0/9", "d8 09 ffffff 00", ERR_TRUNCATED},
        {"/3/0/9", "e1 00", ERR_TRUNCATED},
        {"/1", "0803 05 c10001", ERR_TRUNCATED},
        {"/1", "0803 02 c100", ERR_TRUNCATED}, /* a child past the end of its parent */
        {"/1", "c10001", ERR_MALFORMED},       /* more than one instance is possible */
        {"/35000", "c10001", ERR_MALFORMED},   /* unknown object */
        {"/1", "410001", ERR_MALFORMED},
        {"/1/0", "410001", ERR_MALFORMED},
        {"/1/0", "0002 00", ERR_PATH}, /* another instance */
        {"/1/0", "0301 c10001", ERR_PATH},
        {"/1", "0200 0001", ERR_MALFORMED},   /* instance in instance */
        {"/1", "0300 410001", ERR_MALFORMED}, /* resource instance in instance */
        {"/3/0", "8306c10001", ERR_MALFORMED},
        {"/3/0", "8206 8007", ERR_MALFORMED},
        {"/3/0/9", "c10001", ERR_PATH},
        {"/2/0/2/127", "8302417e07", ERR_PATH},
        {"/2/0/2/127", "417e07", ERR_PATH},
        {"/2/0/2/127", "c10307", ERR_PATH},
        {"/1/0", "e1ffff01", ERR_PATH}, /* 65535 is reserved */
        {"/1", "20ffff", ERR_PATH},
        {"/3/0/9", "c009", ERR_TYPE}, /* numbers of no or odd length */
        {"/3/0/9", "c309000001", ERR_TYPE},
        {"/3/0/9", "c809100000000000000000000000000000000 0", ERR_TYPE},
        {"/3303/0/5700", "e3164441b400", ERR_TYPE},
        {"/3303/0/5700", "e416447fc00000", ERR_RANGE}, /* NaN */
        {"/3303/0/5700", "e416447f800000", ERR_RANGE}, /* infinity */
        {"/34000/0/4", "c10402", ERR_TYPE},
        {"/34000/0/4", "c2040001", ERR_TYPE},
        {"/34000/0/7", "c3070000 00", ERR_TYPE},
        {"/34000/0/0", "c100ff", ERR_UTF8},
        {"/34000/0/8", "c10800", ERR_UTF8},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];

        test_decode(FORMAT_TLV, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)), rows[i].base,
                    NULL, rows[i].rc);
    }
}

static void test_encoding(void **state)
{
    static const struct {
        const char *base, *lines, *hex;
        int rc;
    } rows[] = {
        /* any order; one wrapper for each instance and each multiple resource */
        {"/2", "/2/2/3 integer 127\n/2/0/2/127 integer 7\n/2/2/0 integer 3\n/2/0/0 integer 1",
         "080008 c100018302417f07 0602 c10003c1037f", ERR_OK},
        {"/3/0", "/3/0/6/1 integer 5\n/3/0/9 integer 1\n/3/0/6/0 integer 1",
         "8606410001410105c10901", ERR_OK},
        {"/3/0/6", "/3/0/6/1 integer 5", "8306410105", ERR_OK},
        {"/3/0", "/3/0", "", ERR_OK},
        {"/3/0", "", "", ERR_OK},
        {"/2", "/2/7", "0007", ERR_OK},
        {"/3/0/9", "/3/0/9 integer 5 @1700000000000", "c10905", ERR_OK}, /* no time in TLV */
        {"/34000/0", "/34000/0/300 string abcdefgh", "e8012c086162636465666768", ERR_OK},
        {"/", "/3/0/9 integer 5", "", ERR_FORMAT},
        {"/3", "/3", "", ERR_PATH},
        {"/3/0/6/1", "/3/0/6/1", "", ERR_TYPE},
        {"/3/0", "/3/0/9 integer 1\n/3/0/9 integer 2", "", ERR_DUPLICATE},
        {"/3/0", "/3/0/6/1 integer 1\n/3/0/6/1 integer 2", "", ERR_DUPLICATE},
        {"/3", "/3/0\n/3/0/9 integer 1", "", ERR_DUPLICATE},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];
        struct buf out, hex, want;

        buf_init(&out, 4096);
        buf_init(&hex, 4096);
        buf_init(&want, 4096);
        assert_int_equal(test_encode(FORMAT_TLV, &env, rows[i].lines, rows[i].base, &out),
                         rows[i].rc);
        test_put_hex(&hex, buf_view(&out));
        test_put_hex(&want, test_hex(rows[i].hex, bytes, sizeof(bytes)));
        assert_string_equal(buf_cstr(&hex), buf_cstr(&want));
        buf_fini(&out);
        buf_fini(&hex);
        buf_fini(&want);
    }
}

static int encode_at(uint16_t object, uint16_t instance, const char *lines, struct buf *out)
{
    struct batch *named = test_batch(lines), *b = batch_new();
    struct path base = {.id = {object}, .depth = 1};
    int rc;

    for (size_t i = 0; i < batch_size(named); i++) {
        struct record r = *batch_at(named, i);

        if (i > 0 || r.path.id[1] == 0)
            r.path.id[1] = instance;
        assert_int_equal(batch_add(b, &r), ERR_OK);
    }
    rc = content_encode(FORMAT_TLV, &env, b, &base, out);
    batch_free(named);
    batch_free(b);
    return rc;
}

/* Create with an instance the device is to number: bare resources. */
static void test_unnamed_instance(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(encode_at(66, MODEL_ID_NONE, "/66/0/2 integer 1\n/66/0/3 integer 2", &out),
                     ERR_OK);
    assert_int_equal(out.n, 6);
    assert_memory_equal(out.p, "\xc1\x02\x01\xc1\x03\x02", 6);
    buf_reset(&out);
    assert_int_equal(encode_at(66, MODEL_ID_NONE, "/66/0", &out), ERR_OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(encode_at(66, MODEL_ID_NONE, "/66/1/2 integer 1\n/66/0/3 integer 2", &out),
                     ERR_PATH);
    buf_fini(&out);
}

/* Every form of the length field, both ways. */
static void test_lengths(void **state)
{
    static const struct {
        size_t n;
        size_t header;
    } rows[] = {{0, 2},   {7, 2},     {8, 3},     {255, 3},      {256, 4},
                {300, 4}, {65535, 4}, {65536, 5}, {0xffffff, 5}, {0x1000000, 0}};
    struct path base = test_path("/34000/0/5");
    uint8_t *bytes = calloc(1, 0x1000000);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct record r = {.path = base,
                           .value = {.type = VALUE_OPAQUE, .u.bytes = {bytes, rows[i].n}}};
        struct batch *in = batch_new(), *back = batch_new();
        struct buf out;

        buf_init(&out, (size_t)32 << 20);
        assert_int_equal(batch_add(in, &r), ERR_OK);
        assert_int_equal(content_encode(FORMAT_TLV, &env, in, &base, &out),
                         rows[i].header > 0 ? ERR_OK : ERR_LIMIT);
        if (rows[i].header > 0) {
            assert_int_equal(out.n, rows[i].header + rows[i].n);
            assert_int_equal(content_decode(FORMAT_TLV, &env, buf_view(&out), &base, back), ERR_OK);
            assert_true(value_eq(&batch_at(back, 0)->value, &r.value));
        }
        buf_fini(&out);
        batch_free(in);
        batch_free(back);
    }
    free(bytes);
}

/* More records than a batch takes are refused, not lost. */
static void test_many(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 1 << 20);
    for (unsigned i = 0; i < 65537; i++)
        buf_put(&body, "\xc1\x63\x01", 3);
    test_decode(FORMAT_TLV, &env, buf_view(&body), "/34000/0", NULL, ERR_LIMIT);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_generous),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_unnamed_instance),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests_name("tlv", tests, setup, teardown);
}
