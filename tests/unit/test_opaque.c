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

static void test_decoding(void **state)
{
    static const struct {
        const char *base, *hex, *line;
        int rc;
    } rows[] = {
        {"/0/0/5", "0102ff", "/0/0/5 opaque 0102ff", ERR_OK},
        {"/0/0/5", "", "/0/0/5 opaque ", ERR_OK},
        {"/0/0/5/1", "00", "/0/0/5/1 opaque 00", ERR_OK},
        {"/34000/0/99", "41", "/34000/0/99 opaque 41", ERR_OK},
        {"/3/0/9", "05", NULL, ERR_TYPE},
        {"/3/0/0", "41", NULL, ERR_TYPE},
        {"/0/0", "05", NULL, ERR_MALFORMED},
        {"/0", "05", NULL, ERR_MALFORMED},
        {"/", "05", NULL, ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bytes[64];

        test_decode(FORMAT_OPAQUE, &env, test_hex(rows[i].hex, bytes, sizeof(bytes)), rows[i].base,
                    rows[i].line, rows[i].rc);
    }
}

static void test_encoding(void **state)
{
    static const struct {
        const char *base, *line, *hex; /* NULL: ERR_FORMAT */
    } rows[] = {
        {"/0/0/5", "/0/0/5 opaque 0102ff", "0102ff"},
        {"/0/0/5", "/0/0/5 opaque ", ""},
        {"/0/0/5", "/0/0/5 string abc", NULL},
        {"/0/0/5", "/0/0/5/0 opaque 01", NULL},
        {"/0/0", "/0/0/5 opaque 01", NULL},
        {"/0/0/5", "/0/0/5", NULL},
        {"/0/0/5", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out, text;

        buf_init(&out, 4096);
        buf_init(&text, 4096);
        assert_int_equal(test_encode(FORMAT_OPAQUE, &env, rows[i].line, rows[i].base, &out),
                         rows[i].hex != NULL ? ERR_OK : ERR_FORMAT);
        test_put_hex(&text, buf_view(&out));
        assert_string_equal(buf_cstr(&text), rows[i].hex != NULL ? rows[i].hex : "");
        buf_fini(&out);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_encoding),
    };

    return cmocka_run_group_tests_name("opaque", tests, setup, teardown);
}
