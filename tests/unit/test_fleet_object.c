#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../contrib/fleet/object.c"

static struct object_state values;

static struct object_view view_now(void)
{
    return (struct object_view){.state = &values,
                                .endpoint = "fleet-00000007",
                                .device = 7,
                                .now_ms = 1000000,
                                .wall_ms = 1700000000000};
}

static struct path at(const char *text)
{
    struct path p;

    assert_int_equal(path_parse(view_str(text), &p), ERR_OK);
    return p;
}

static int setup(void **state)
{
    (void)state;
    object_reset(&values, 300);
    return 0;
}

/* One value, read; the batch is the caller's. */
static const struct value *read_one(const char *path, struct batch *b)
{
    struct object_view v = view_now();
    struct path p = at(path);

    assert_int_equal(object_read(&v, &p, b), ERR_OK);
    assert_int_equal(batch_size(b), 1);
    return &batch_at(b, 0)->value;
}

static int write_one(const char *path, const struct value *value, bool *ret_update)
{
    struct record record = {.path = at(path), .value = *value};
    struct path p = record.path;
    struct object_view v = view_now();
    struct batch *b = batch_new();
    int rc;

    assert_int_equal(batch_add(b, &record), ERR_OK);
    rc = object_write(&v, &p, b);
    batch_free(b);
    if (ret_update)
        *ret_update = v.update_wanted;
    return rc;
}

static void table_is_in_order(void **state)
{
    (void)state;
    for (size_t i = 1; i < mem_count(rows); i++) {
        struct path a = path_of(&rows[i - 1]), b = path_of(&rows[i]);

        assert_true(path_cmp(&a, &b) < 0);
    }
}

/* Everything a device registers is there, and nothing else. */
static void links_match_the_table(void **state)
{
    char text[PATH_TEXT_MAX + 2], path[PATH_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct path p = path_of(&rows[i]);

        p.depth = 2;
        path_format(&p, path);
        snprintf(text, sizeof(text), "<%s>", path);
        assert_non_null(strstr(object_links, text));
    }
}

static void reads(void **state)
{
    struct object_view v = view_now();
    struct batch *b = batch_new();
    struct path p = at("/3/0");

    (void)state;
    assert_int_equal(object_read(&v, &p, b), ERR_OK);
    assert_int_equal(batch_size(b), 12); /* without what can only be executed */
    batch_free(b);
    b = batch_new();
    assert_true(view_eq_str(read_one("/3/0/2", b)->u.bytes, "fleet-00000007"));
    batch_free(b);
    b = batch_new();
    assert_int_equal(read_one("/1/0/1", b)->u.integer, 300);
    batch_free(b);
    b = batch_new();
    assert_int_equal(read_one("/3/0/11", b)->u.integer, 0); /* its one instance */
    assert_int_equal(batch_at(b, 0)->path.depth, 4);
    batch_free(b);
    b = batch_new();
    p = at("/3/0/4");
    assert_int_equal(object_read(&v, &p, b), ERR_METHOD);
    p = at("/3/1");
    assert_int_equal(object_read(&v, &p, b), ERR_NOTFOUND);
    p = at("/9");
    assert_int_equal(object_read(&v, &p, b), ERR_NOTFOUND);
    batch_free(b);
}

static void writes(void **state)
{
    struct value n = {.type = VALUE_INTEGER, .u.integer = 77};
    struct value s = {.type = VALUE_STRING, .u.bytes = VIEW_LIT("cellar")};
    struct batch *b = batch_new();
    bool update;

    (void)state;
    assert_int_equal(write_one("/3311/0/5851", &n, &update), ERR_OK);
    assert_false(update);
    assert_int_equal(read_one("/3311/0/5851", b)->u.integer, 77);
    n.u.integer = 101;
    assert_int_equal(write_one("/3311/0/5851", &n, NULL), ERR_RANGE);
    assert_int_equal(write_one("/1/0/1", &n, &update), ERR_OK);
    assert_true(update);
    assert_int_equal(values.lifetime_s, 101);
    assert_int_equal(write_one("/3303/0/5750", &s, NULL), ERR_OK);
    assert_string_equal(values.application, "cellar");
    s.u.bytes = VIEW_LIT("seventeen letters");
    assert_int_equal(write_one("/3303/0/5750", &s, NULL), ERR_TOOLARGE);
    assert_int_equal(write_one("/3/0/0", &s, NULL), ERR_METHOD);
    assert_int_equal(write_one("/3/0/99", &s, NULL), ERR_NOTFOUND);
    assert_int_equal(write_one("/3311/0/5850", &s, NULL), ERR_TYPE);
    batch_free(b);
}

static void executes(void **state)
{
    struct object_view v = view_now();
    struct path p = at("/3/0/4");

    (void)state;
    values.clock_offset_s = 5;
    values.dimmer = 1;
    assert_int_equal(object_execute(&v, &p), ERR_OK);
    assert_true(v.update_wanted);
    assert_int_equal(values.clock_offset_s, 0);
    assert_int_equal(values.dimmer, 1);
    p = at("/3/0/5");
    assert_int_equal(object_execute(&v, &p), ERR_OK);
    assert_int_equal(values.dimmer, 50);
    p = at("/3/0/0");
    assert_int_equal(object_execute(&v, &p), ERR_METHOD);
    p = at("/3/0/77");
    assert_int_equal(object_execute(&v, &p), ERR_NOTFOUND);
}

static void discovers(void **state)
{
    struct path p = at("/5");
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(object_discover(&p, &out), ERR_OK);
    assert_string_equal(buf_cstr(&out), "</5>,</5/0>,</5/0/3>,</5/0/5>,</5/0/8>,</5/0/9>");
    buf_reset(&out);
    p = at("/3303/1");
    assert_int_equal(object_discover(&p, &out), ERR_OK);
    assert_string_equal(buf_cstr(&out),
                        "</3303/1>,</3303/1/5601>,</3303/1/5602>,</3303/1/5700>,</3303/1/5701>");
    buf_reset(&out);
    p = at("/3/0/11");
    assert_int_equal(object_discover(&p, &out), ERR_OK);
    assert_string_equal(buf_cstr(&out), "</3/0/11>");
    buf_reset(&out);
    p = at("/3/0/99");
    assert_int_equal(object_discover(&p, &out), ERR_NOTFOUND);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(table_is_in_order, setup),
        cmocka_unit_test_setup(links_match_the_table, setup),
        cmocka_unit_test_setup(reads, setup),
        cmocka_unit_test_setup(writes, setup),
        cmocka_unit_test_setup(executes, setup),
        cmocka_unit_test_setup(discovers, setup),
    };

    return cmocka_run_group_tests_name("fleet_object", tests, NULL, NULL);
}
