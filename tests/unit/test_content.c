#include "content_util.h"

#include "codec/content.h"

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

static void test_table(void **state)
{
    static const struct {
        int32_t number;
        int32_t found; /* FORMAT_NONE: no row */
        bool hierarchical, timed;
        const char *since;
        const char *uses; /* Answer Composite Write Update cReate Fetch Patch Send */
    } rows[] = {
        {0, 0, false, false, "1.0", "AW"},
        {42, 42, false, false, "1.0", "AW"},
        {60, 60, false, false, "1.1", "AW"},
        {110, 110, true, true, "1.1", "ACWURFPS"},
        {112, 112, true, true, "1.1", "ACWURFPS"},
        {320, 320, true, true, "1.2", "FP"},
        {322, 322, true, true, "1.2", "FP"},
        {11542, 11542, true, false, "1.0", "AWUR"},
        {11543, 11543, true, true, "1.0", "AWUR"},
        {11544, 11544, true, false, "1.2", "ACWURPS"},
        {1541, 0, false, false, "1.0", "AW"},
        {1542, 11542, true, false, "1.0", "AWUR"},
        {1543, 11543, true, true, "1.0", "AWUR"},
        {40, FORMAT_NONE, false, false, "", ""},
        {FORMAT_NONE, FORMAT_NONE, false, false, "", ""},
        {65535, FORMAT_NONE, false, false, "", ""},
    };
    static const char letters[CONTENT_USE_COUNT] = {'A', 'C', 'W', 'U', 'R', 'F', 'P', 'S'};

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        const struct content_format *f = content_format(rows[i].number);
        struct version since;

        if (rows[i].found == FORMAT_NONE) {
            assert_null(f);
            continue;
        }
        assert_non_null(f);
        assert_int_equal(f->number, rows[i].found);
        assert_int_equal(f->hierarchical, rows[i].hierarchical);
        assert_int_equal(f->timed, rows[i].timed);
        assert_int_equal(version_parse(view_str(rows[i].since), &since), ERR_OK);
        assert_int_equal(version_cmp(f->since, since), 0);
        assert_int_equal(f->until.major, f->number == FORMAT_LWM2M_JSON ? 1 : 0);
        for (unsigned use = 0; use < CONTENT_USE_COUNT; use++)
            assert_int_equal(content_usable(f, (enum content_use)use),
                             strchr(rows[i].uses, letters[use]) != NULL);
        assert_ptr_equal(content_format_by_media_type(view_str(f->media_type)), f);
    }
}

static void test_media_type(void **state)
{
    static const struct {
        const char *text;
        int32_t number;
    } rows[] = {
        {"text/plain; charset=utf-8", 0},  {"Application/SenML+JSON", 110},
        {"application/senml+cbor ", 112},  {" application/octet-stream;a=b", 42},
        {"application/json", FORMAT_NONE}, {"", FORMAT_NONE},
        {"text/plai", FORMAT_NONE},        {";", FORMAT_NONE},
    };

    (void)state;
    assert_null(content_format_by_media_type(VIEW_NONE));
    for (size_t i = 0; i < mem_count(rows); i++) {
        const struct content_format *f = content_format_by_media_type(view_str(rows[i].text));

        assert_int_equal(f != NULL ? f->number : FORMAT_NONE, rows[i].number);
    }
}

static struct objlist *objlist_of(const struct objlist_entry *entries, size_t n)
{
    struct objlist *l = mem_new(sizeof(*l) + n * sizeof(*entries));

    assert_non_null(l);
    l->count = (uint16_t)n;
    memcpy(l->entries, entries, n * sizeof(*entries));
    return l;
}

static void test_type_of(void **state)
{
    static const struct objlist_entry entries[] = {
        {{{3}, 1}, {1, 0}},     {{{3, 0}, 2}, {0, 0}},  {{{3303, 0}, 2}, {0, 0}},
        {{{34000}, 1}, {9, 1}}, {{{34001}, 1}, {1, 4}},
    };
    static const struct {
        const char *path;
        bool listed; /* with what the device said of its versions */
        enum value_type type;
        bool multiple;
    } rows[] = {
        {"/3/0/9", true, VALUE_INTEGER, false},
        {"/3/0/6", true, VALUE_INTEGER, true},
        {"/3/0/6/1", true, VALUE_INTEGER, true},
        {"/3/0/22/0", true, VALUE_OBJLNK, true}, /* not in 1.0, but in a newer minor */
        {"/3/0/99", true, VALUE_NONE, false},
        {"/3303/0/5700", true, VALUE_FLOAT, false},
        {"/3303/0/5700", false, VALUE_FLOAT, false},
        {"/34001/0/1", true, VALUE_INTEGER, false},
        {"/34001/0/1", false, VALUE_STRING, false},
        {"/34000/0/1", true, VALUE_NONE, false}, /* an unknown major says nothing */
        {"/34000/0/1", false, VALUE_INTEGER, false},
        {"/35000/0/1", true, VALUE_NONE, false},
        {"/3/0", true, VALUE_NONE, false},
        {"/", true, VALUE_NONE, false},
    };
    struct objlist *objects = objlist_of(entries, mem_count(entries));
    struct content_env listed = env, blind = env;

    (void)state;
    listed.objects = objects;
    blind.registry = NULL;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct path p = test_path(rows[i].path);
        bool multiple = !rows[i].multiple;

        assert_int_equal(content_type_of(rows[i].listed ? &listed : &env, &p, &multiple),
                         rows[i].type);
        assert_int_equal(multiple, rows[i].multiple);
        assert_int_equal(content_type_of(&blind, &p, &multiple), VALUE_NONE);
        assert_false(multiple);
    }
    mem_free(objects);
}

static void test_decode_rules(void **state)
{
    static const int32_t known[] = {0,     42,    60,   110,  112,  11542,
                                    11543, 11544, 1541, 1542, 1543, FORMAT_NONE};

    (void)state;
    for (size_t i = 0; i < mem_count(known); i++) {
        test_decode(known[i], &env, VIEW_LIT(""), "/2", "", ERR_OK);
        test_decode(known[i], &env, VIEW_LIT(""), "/2/0", "", ERR_OK);
    }
    test_decode(FORMAT_NONE, &env, VIEW_LIT("95"), "/3/0/9", "/3/0/9 integer 95", ERR_OK);
    test_decode(1541, &env, VIEW_LIT("95"), "/3/0/9", "/3/0/9 integer 95", ERR_OK);
    test_decode(40, &env, VIEW_LIT("</3>"), "/3", NULL, ERR_FORMAT);
    test_decode(320, &env, VIEW_LIT("[]"), "/", NULL, ERR_FORMAT); /* not an answer */
    test_decode(40, &env, VIEW_LIT(""), "/3", NULL, ERR_FORMAT);
}

static void test_put(void **state)
{
    static const struct {
        const char *base, *line;
        int rc;
        const char *stored;
    } rows[] = {
        {"/3/0", "/3/0/9 integer 5", ERR_OK, "/3/0/9 integer 5"},
        {"/", "/3/0/9 integer 5", ERR_OK, "/3/0/9 integer 5"},
        {"/3/0/9", "/3/0/9 integer 5", ERR_OK, "/3/0/9 integer 5"},
        {"/3/1", "/3/0/9 integer 5", ERR_PATH, NULL},
        {"/3/0/9/0", "/3/0/9 integer 5", ERR_PATH, NULL},
        {"/3", "/3/0 integer 5", ERR_PATH, NULL},
        {"/3", "/3/0", ERR_OK, "/3/0"},
        {"/3/0", "/3/0/9 float 5.0", ERR_OK, "/3/0/9 integer 5"},
        {"/3/0", "/3/0/9 float 5.5", ERR_TYPE, NULL},
        {"/3/0", "/3/0/9 string 5", ERR_TYPE, NULL},
        {"/3/0", "/3/0/13 integer 17 @5", ERR_OK, "/3/0/13 time 17 @5"},
        {"/3/0", "/3/0/22/0 string 3:0", ERR_OK, "/3/0/22/0 objlnk 3:0"},
        {"/3303", "/3303/0/5700 integer 22", ERR_OK, "/3303/0/5700 float 22"},
        {"/34000", "/34000/0/2 integer -1", ERR_RANGE, NULL},
        {"/34000", "/34000/0/8 string </3>", ERR_OK, "/34000/0/8 corelnk </3>"},
        {"/34000", "/34000/0/0 string \xff", ERR_UTF8, NULL},
        {"/34000", "/34000/0/99 string \xc3", ERR_UTF8, NULL},
        {"/34000", "/34000/0/99 float 1.5", ERR_OK, "/34000/0/99 float 1.5"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct batch *in = test_batch(rows[i].line), *out = batch_new();
        struct path base = test_path(rows[i].base);
        struct buf text;

        assert_int_equal(content_put(&env, &base, batch_at(in, 0), out), rows[i].rc);
        buf_init(&text, 1024);
        test_dump(&text, out);
        assert_string_equal(buf_cstr(&text), rows[i].stored != NULL ? rows[i].stored : "");
        buf_fini(&text);
        batch_free(in);
        batch_free(out);
    }
}

static void test_not_finite(void **state)
{
    const double numbers[] = {__builtin_inf(), -__builtin_inf(), __builtin_nan("")};
    struct path base = test_path("/3303");

    (void)state;
    for (size_t i = 0; i < mem_count(numbers); i++) {
        struct record r = {.path = test_path("/3303/0/5700"),
                           .value = {.type = VALUE_FLOAT, .u.float_ = numbers[i]}};
        struct batch *b = batch_new();
        struct buf out;

        buf_init(&out, 1024);
        assert_int_equal(content_put(&env, &base, &r, b), ERR_RANGE);
        assert_int_equal(batch_size(b), 0);
        assert_int_equal(batch_add(b, &r), ERR_OK);
        assert_int_equal(content_encode(112, &env, b, &base, &out), ERR_RANGE);
        assert_int_equal(out.n, 0);
        buf_fini(&out);
        batch_free(b);
    }
}

/* A failing encoder leaves what was in the buffer. */
static void test_encode_rules(void **state)
{
    static const struct {
        int32_t format;
        const char *base, *lines;
        size_t max;
        int rc;
    } rows[] = {
        {40, "/3/0", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {FORMAT_NONE, "/3/0/9", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {112, "/3/0", "/3/1/9 integer 5", 100, ERR_PATH},
        {112, "/", "/3/1 integer 5", 100, ERR_PATH},
        {112, "/", "/34000/0/0 string \xff", 100, ERR_UTF8},
        {112, "/", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 16, ERR_LIMIT},
        {110, "/", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 16, ERR_LIMIT},
        {11542, "/34000", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 16, ERR_LIMIT},
        {0, "/34000/0/0", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 16, ERR_LIMIT},
        /* numbers of drafts are read, not written */
        {1541, "/3/0/9", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {1542, "/3/0", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {1543, "/3/0", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {11544, "/3/0", "/3/0/9 integer 5\n/3/0/9 integer 5", 100, ERR_DUPLICATE},
        {11544, "/3/0", "/3/0/6\n/3/0/6/1 integer 5", 100, ERR_FORMAT},
        {11544, "/", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 16, ERR_LIMIT},
        {11543, "/34000", "/34000/0/0 string abcdefghijklmnopqrstuvwxyz", 32, ERR_LIMIT},
        {11543, "/", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {60, "/3/0", "/3/0/9 integer 5", 100, ERR_FORMAT},
        {320, "/", "/3/0/9", 100, ERR_FORMAT}, /* not an answer */
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out;

        buf_init(&out, rows[i].max);
        buf_put_str(&out, "ab");
        assert_int_equal(test_encode(rows[i].format, &env, rows[i].lines, rows[i].base, &out),
                         rows[i].rc);
        if (rows[i].rc < 0)
            assert_int_equal(out.n, 2);
        assert_memory_equal(out.p, "ab", 2);
        buf_fini(&out);
    }
}

/* What a format may be used for, by env.use. */
static void test_uses(void **state)
{
    static const struct {
        int32_t format;
        enum content_use use;
        const char *base, *lines;
        int rc;
    } rows[] = {
        {0, CONTENT_WRITE, "/3/0/9", "/3/0/9 integer 5", ERR_OK},
        {0, CONTENT_UPDATE, "/3/0/9", "/3/0/9 integer 5", ERR_FORMAT},
        {60, CONTENT_CREATE, "/3", "/3/0/9 integer 5", ERR_FORMAT},
        {11542, CONTENT_CREATE, "/34000", "/34000/65535/1 integer 5", ERR_OK},
        {11544, CONTENT_CREATE, "/34000", "/34000/65535/1 integer 5", ERR_OK},
        {112, CONTENT_CREATE, "/34000", "/34000/65535/1 integer 5", ERR_FORMAT},
        {11543, CONTENT_CREATE, "/34000", "/34000/65535/1 integer 5", ERR_FORMAT},
        {11542, CONTENT_PATCH, "/", "/3/0/9 integer 5", ERR_FORMAT},
        {11544, CONTENT_FETCH, "/", "/3/0/9", ERR_FORMAT},
        {112, CONTENT_FETCH, "/", "/3/0/9\n/3\n/", ERR_OK},
        {112, CONTENT_FETCH, "/", "/3/0/9 integer 5", ERR_TYPE},
        {320, CONTENT_FETCH, "/", "/3/0/9 integer 5", ERR_TYPE},
        {320, CONTENT_SEND, "/", "/3/0/9 integer 5", ERR_FORMAT},
        {322, CONTENT_PATCH, "/", "/3/0/6/1\n/3/0/9 integer 5", ERR_OK},
        {322, CONTENT_PATCH, "/", "/3/0/6", ERR_PATH},
        {112, CONTENT_PATCH, "/", "/3/0/6/1", ERR_FORMAT},
        {11544, CONTENT_PATCH, "/", "/3/0/6/1", ERR_FORMAT},
        {112, CONTENT_WRITE, "/3/0/6", "/3/0/6", ERR_FORMAT}, /* TLV empties a resource */
        {11544, CONTENT_WRITE, "/3/0/6", "/3/0/6", ERR_FORMAT},
        {11542, CONTENT_WRITE, "/3/0/6", "/3/0/6", ERR_OK},
        {112, CONTENT_ANSWER, "/3/0/6", "/3/0/6", ERR_OK},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct content_env used = env;
        struct buf out;

        used.use = rows[i].use;
        buf_init(&out, 1024);
        assert_int_equal(test_encode(rows[i].format, &used, rows[i].lines, rows[i].base, &out),
                         rows[i].rc);
        if (rows[i].rc == ERR_OK)
            test_decode(rows[i].format, &used, buf_view(&out), rows[i].base, rows[i].lines, ERR_OK);
        buf_fini(&out);
    }
}

static void test_split_prefix(void **state)
{
    static const struct {
        const char *name, *prefix, *rest;
    } rows[] = {
        {"/d01/3/0", "d01", "/3/0"},
        {"d01/3", "d01", "/3"},
        {"d01", "d01", "/"},
        {"/d01/", "d01", "/"},
        {"/3d/1", "3d", "/1"},
        {"/3/0", NULL, "/3/0"},
        {"/", NULL, "/"},
        {"", NULL, ""},
        {"//3", NULL, "//3"},
        {"/\xff/3", NULL, "/\xff/3"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct view rest = view_str(rows[i].name), prefix = VIEW_NONE;

        assert_int_equal(content_split_prefix(&rest, &prefix), rows[i].prefix != NULL);
        assert_true(view_eq_str(rest, rows[i].rest));
        if (rows[i].prefix != NULL)
            assert_true(view_eq_str(prefix, rows[i].prefix));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_media_type),
        cmocka_unit_test(test_type_of),      cmocka_unit_test(test_decode_rules),
        cmocka_unit_test(test_put),          cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_encode_rules), cmocka_unit_test(test_uses),
        cmocka_unit_test(test_split_prefix),
    };

    return cmocka_run_group_tests_name("content", tests, setup, teardown);
}
