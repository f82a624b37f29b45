#include "content_util.h"

#include <math.h>

#include "codec/cbor.h"

/* The type and text of one item, "" when it is refused. */
static int read_value(const char *hex, struct buf *text, struct value *ret_value)
{
    uint8_t bytes[512];
    struct view body = test_hex(hex, bytes, sizeof(bytes));
    uint8_t *exact = malloc(body.n > 0 ? body.n : 1);
    struct cbor c;
    struct buf scratch;
    int rc;

    assert_non_null(exact);
    memcpy(exact, body.p, body.n);
    c = cbor_init(view_of(exact, body.n));
    buf_init(&scratch, 256);
    rc = cbor_value(&c, &scratch, ret_value);
    if (rc == ERR_OK)
        rc = cbor_done(&c);
    if (rc == ERR_OK) {
        buf_fmt(text, "%s ", value_type_name(ret_value->type));
        test_put_value(text, ret_value);
    }
    buf_put_u8(text, 0);
    ret_value->u.bytes = VIEW_NONE;
    buf_fini(&scratch);
    free(exact);
    return rc;
}

struct value_row {
    const char *hex, *text;
    int rc;
};

static void check_values(const struct value_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct value v = {.type = VALUE_NONE};
        struct buf text;
        int rc;

        buf_init(&text, 4096);
        rc = read_value(rows[i].hex, &text, &v);
        if (rc != rows[i].rc)
            fail_msg("%s gave %s", rows[i].hex, err_name(rc));
        if (rc == ERR_OK)
            assert_string_equal((const char *)text.p, rows[i].text);
        buf_fini(&text);
    }
}

static void test_values(void **state)
{
    static const struct value_row rows[] = {
        /* spec 04 section 3 */
        {"1a00015180", "integer 86400", ERR_OK},
        {"f5", "boolean true", ERR_OK},
        {"6155", "string U", ERR_OK},
        {"f94da0", "float 22.5", ERR_OK},
        {"430102ff", "opaque 0102ff", ERR_OK},
        {"63333a30", "string 3:0", ERR_OK},
        /* RFC 8949 appendix A */
        {"00", "integer 0", ERR_OK},
        {"17", "integer 23", ERR_OK},
        {"1818", "integer 24", ERR_OK},
        {"1903e8", "integer 1000", ERR_OK},
        {"1b000000e8d4a51000", "integer 1000000000000", ERR_OK},
        {"1b7fffffffffffffff", "integer 9223372036854775807", ERR_OK},
        {"1b8000000000000000", "unsigned 9223372036854775808", ERR_OK},
        {"1bffffffffffffffff", "unsigned 18446744073709551615", ERR_OK},
        {"3b7fffffffffffffff", "integer -9223372036854775808", ERR_OK},
        {"3b8000000000000000", "", ERR_RANGE},
        {"20", "integer -1", ERR_OK},
        {"3903e7", "integer -1000", ERR_OK},
        {"f90000", "float 0", ERR_OK},
        {"f93c00", "float 1", ERR_OK},
        {"f97bff", "float 65504", ERR_OK},
        {"f90001", "float 5.9604644775390625e-08", ERR_OK},
        {"f90400", "float 6.103515625e-05", ERR_OK},
        {"f9c400", "float -4", ERR_OK},
        {"fa47c35000", "float 100000", ERR_OK},
        {"fb3ff199999999999a", "float 1.1", ERR_OK},
        {"f4", "boolean false", ERR_OK},
        {"f6", "none ", ERR_OK},
        {"f7", "none ", ERR_OK},
        {"40", "opaque ", ERR_OK},
        {"60", "string ", ERR_OK},
        {"5f42010243030405ff", "opaque 0102030405", ERR_OK},
        {"7f657374726561646d696e67ff", "string streaming", ERR_OK},
        {"5fff", "opaque ", ERR_OK},
    };

    (void)state;
    check_values(rows, mem_count(rows));
}

static void test_tags_and_refused(void **state)
{
    static const struct value_row rows[] = {
        /* tags */
        {"c11a514b67b0", "time 1363896240", ERR_OK},
        {"c1fb41d452d9ec000000", "time 1363896240", ERR_OK},
        {"c1fb41d452d9ec200000", "", ERR_TYPE}, /* half a second */
        {"c11bffffffffffffffff", "", ERR_RANGE},
        {"c16130", "", ERR_TYPE},
        {"c074323031332d30332d32315432303a30343a30305a", "time 1363896240", ERR_OK},
        {"c07818323031332d30332d32315432303a30343a30302e3530305a", "", ERR_TYPE},
        {"c06131", "", ERR_MALFORMED},
        {"c001", "", ERR_TYPE},
        {"d9d9f7c100", "time 0", ERR_OK},
        {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", "string http://www.example.com",
         ERR_OK},
        {"c48221196ab3", "float 273.15", ERR_OK},
        {"c4820301", "float 1000", ERR_OK},
        {"c48221f5", "", ERR_TYPE},
        {"c4822119", "", ERR_TRUNCATED},
        {"c48221", "", ERR_TRUNCATED},
        {"c4821901900a", "", ERR_RANGE},
        {"c49f2101ff", "", ERR_TYPE},
        {"c48101", "", ERR_TYPE},
        {"c4820"
         "01bffffffffffffffff",
         "", ERR_RANGE},
        /* what has no form in the model */
        {"80", "", ERR_TYPE},
        {"a0", "", ERR_TYPE},
        {"e0", "", ERR_TYPE},
        {"f820", "", ERR_TYPE},
        {"ff", "", ERR_MALFORMED},
        /* broken */
        {"", "", ERR_TRUNCATED},
        {"18", "", ERR_TRUNCATED},
        {"1c", "", ERR_MALFORMED},
        {"1f", "", ERR_MALFORMED},
        {"3f", "", ERR_MALFORMED},
        {"df", "", ERR_MALFORMED},
        {"c1", "", ERR_TRUNCATED},
        {"6261", "", ERR_TRUNCATED},
        {"5bffffffffffffffff", "", ERR_TRUNCATED},
        {"5f", "", ERR_TRUNCATED},
        {"5f4101", "", ERR_TRUNCATED},
        {"5f6101ff", "", ERR_MALFORMED},
        {"5f5fffff", "", ERR_MALFORMED},
        {"7f00ff", "", ERR_MALFORMED},
        {"0000", "", ERR_TRAILING},
        {"fb3ff199", "", ERR_TRUNCATED},
    };

    (void)state;
    check_values(rows, mem_count(rows));
}

static void test_not_finite(void **state)
{
    struct buf text;
    struct value v = {.type = VALUE_NONE};

    (void)state;
    buf_init(&text, 256);
    assert_int_equal(read_value("f97e00", &text, &v), ERR_OK);
    assert_int_equal(read_value("fa7f800000", &text, &v), ERR_OK);
    assert_int_equal(read_value("f9fc00", &text, &v), ERR_OK);
    assert_int_equal(v.type, VALUE_FLOAT);
    buf_fini(&text);
}

static void test_skip(void **state)
{
    static const struct {
        const char *hex;
        int rc;
    } rows[] = {
        {"00", ERR_OK},
        {"83010203", ERR_OK},
        {"9f0102ff", ERR_OK},
        {"bf6161016162 9f0203ffff", ERR_OK},
        {"a201020304", ERR_OK},
        {"5f41014102ff", ERR_OK},
        {"c1c2c3c4c5c600", ERR_OK},
        {"f820", ERR_OK},
        {"fb3ff199999999999a", ERR_OK},
        {"8181818181818181818181818181818100", ERR_OK},      /* 16 deep */
        {"818181818181818181818181818181818100", ERR_DEPTH}, /* 17 */
        {"9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9fff", ERR_DEPTH},
        {"bf01ff", ERR_MALFORMED}, /* a key without value */
        {"ff", ERR_MALFORMED},
        {"81ff", ERR_MALFORMED},
        {"9f", ERR_TRUNCATED},
        {"8301", ERR_TRUNCATED},
        {"9bffffffffffffffff00", ERR_TRUNCATED},
        {"bbffffffffffffffff0000", ERR_TRUNCATED},
        {"bb80000000000000000000", ERR_TRUNCATED},
        {"5f6101ff", ERR_MALFORMED},
        {"7f", ERR_TRUNCATED},
        {"0001", ERR_TRAILING},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[512];
        struct cbor c = cbor_init(test_hex(rows[i].hex, bytes, sizeof(bytes)));

        cbor_skip(&c);
        if (cbor_done(&c) != rows[i].rc)
            fail_msg("%s gave %s", rows[i].hex, err_name(cbor_done(&c)));
        if (rows[i].rc == ERR_OK)
            assert_int_equal(c.depth, 0);
    }
}

static void test_scopes(void **state)
{
    static const char *const bodies[] = {"83 01 8102 a10304", "9f 01 9f02ff bf0304ffff"};

    (void)state;
    for (size_t i = 0; i < mem_count(bodies); i++) {
        uint8_t bytes[64];
        struct cbor c = cbor_init(test_hex(bodies[i], bytes, sizeof(bytes)));
        struct cbor_scope outer, inner;

        cbor_open(&c, CBOR_ARRAY, &outer);
        assert_true(cbor_next(&c, &outer));
        assert_int_equal(cbor_head(&c).arg, 1);
        assert_true(cbor_next(&c, &outer));
        cbor_open(&c, CBOR_ARRAY, &inner);
        assert_true(cbor_next(&c, &inner));
        assert_int_equal(cbor_head(&c).arg, 2);
        assert_false(cbor_next(&c, &inner));
        assert_true(cbor_next(&c, &outer));
        cbor_open(&c, CBOR_MAP, &inner);
        assert_true(cbor_next(&c, &inner));
        assert_int_equal(cbor_head(&c).arg, 3);
        assert_int_equal(cbor_head(&c).arg, 4);
        assert_false(cbor_next(&c, &inner));
        assert_false(cbor_next(&c, &outer));
        assert_int_equal(c.depth, 0);
        assert_int_equal(cbor_done(&c), ERR_OK);
    }
}

static void test_wrong_container(void **state)
{
    struct cbor c = cbor_init(VIEW_LIT("\xa0"));
    struct cbor_scope scope;

    (void)state;
    cbor_open(&c, CBOR_ARRAY, &scope);
    assert_false(cbor_next(&c, &scope));
    assert_int_equal(cbor_done(&c), ERR_MALFORMED);
}

/* Chunks that do not fit the scratch buffer end the reading. */
static void test_scratch_limit(void **state)
{
    struct cbor c = cbor_init(VIEW_LIT("\x5f\x43\x01\x02\x03\x43\x01\x02\x03\xff"));
    struct value v;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, 4);
    assert_int_equal(cbor_value(&c, &scratch, &v), ERR_LIMIT);
    buf_fini(&scratch);
}

static void test_writer(void **state)
{
    static const struct {
        const char *line, *hex;
    } rows[] = {
        {"/1/0/0 integer 0", "00"},
        {"/1/0/0 integer 23", "17"},
        {"/1/0/0 integer 24", "1818"},
        {"/1/0/0 integer 255", "18ff"},
        {"/1/0/0 integer 256", "190100"},
        {"/1/0/0 integer 65535", "19ffff"},
        {"/1/0/0 integer 65536", "1a00010000"},
        {"/1/0/0 integer 86400", "1a00015180"},
        {"/1/0/0 integer 4294967296", "1b0000000100000000"},
        {"/1/0/0 integer -1", "20"},
        {"/1/0/0 integer -9223372036854775808", "3b7fffffffffffffff"},
        {"/1/0/0 unsigned 18446744073709551615", "1bffffffffffffffff"},
        {"/1/0/0 time 1700000000", "1a6553f100"},
        {"/1/0/0 boolean true", "f5"},
        {"/1/0/0 boolean false", "f4"},
        {"/1/0/0 string U", "6155"},
        {"/1/0/0 corelnk </3>", "643c2f333e"},
        {"/1/0/0 opaque 0102ff", "430102ff"},
        {"/1/0/0 objlnk 3:0", "63333a30"},
        {"/1/0/0 objlnk 65535:65535", "6b36353533353a3635353335"},
        {"/1/0/0", "f6"},
        {"/1/0/0 float 0", "f90000"},
        {"/1/0/0 float -0.0", "f98000"},
        {"/1/0/0 float 22.5", "f94da0"},
        {"/1/0/0 float 65504", "f97bff"},
        {"/1/0/0 float 65505", "fa477fe100"},
        {"/1/0/0 float 65536", "fa47800000"},
        {"/1/0/0 float 5.9604644775390625e-08", "f90001"},
        {"/1/0/0 float 6.097555160522461e-05", "f903ff"},
        {"/1/0/0 float 6.103515625e-05", "f90400"},
        {"/1/0/0 float 2.9802322387695312e-08", "fa33000000"},
        {"/1/0/0 float 0.1", "fb3fb999999999999a"},
        {"/1/0/0 float 3.4028234663852886e+38", "fa7f7fffff"},
        {"/1/0/0 float 1.0e+300", "fb7e37e43c8800759c"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct batch *b = test_batch(rows[i].line);
        struct buf out, hex;

        buf_init(&out, 256);
        buf_init(&hex, 256);
        cbor_put_value(&out, &batch_at(b, 0)->value);
        test_put_hex(&hex, buf_view(&out));
        assert_string_equal(buf_cstr(&hex), rows[i].hex);
        buf_fini(&out);
        buf_fini(&hex);
        batch_free(b);
    }
}

/* All halves, and what is written for their values: the same number, never wider. */
static void test_halves(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        uint8_t body[3] = {0xf9, (uint8_t)(bits >> 8), (uint8_t)bits};
        struct cbor c = cbor_init(view_of(body, sizeof(body)));
        struct value v;
        struct buf out;

        buf_init(&out, 16);
        assert_int_equal(cbor_value(&c, &out, &v), ERR_OK);
        if (isfinite(v.u.float_)) {
            cbor_put_value(&out, &v);
            assert_int_equal(out.n, 3);
            assert_memory_equal(out.p, body, 3);
        } else {
            assert_int_equal(bits >> 10 & 31, 31);
        }
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_tags_and_refused),
        cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_skip),
        cmocka_unit_test(test_scopes),        cmocka_unit_test(test_wrong_container),
        cmocka_unit_test(test_scratch_limit), cmocka_unit_test(test_writer),
        cmocka_unit_test(test_halves),
    };

    return cmocka_run_group_tests_name("cbor", tests, NULL, NULL);
}
