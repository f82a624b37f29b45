/* Lists that devices share: src/lwm2m/objlist_pool.c. */
#include "domain_fixture.h"

#include <stdio.h>

static struct objlist *parse(struct fix *f, const char *text)
{
    struct objlist *list = NULL;

    assert_int_equal(objlist_pool_parse(f->d, view_str(text), &list), ERR_OK);
    return list;
}

static void test_shared(void **state)
{
    struct fix *f = *state;
    struct objlist *a = parse(f, "</1/0>,</3/0>"), *b = parse(f, "</3/0/>, </1/0>;x=y");
    struct objlist *c = parse(f, "</1/0>");

    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(a->refs, 2);
    assert_int_equal(table_size(f->d->objlists), 2);
    objlist_pool_unref(f->d, a);
    objlist_pool_unref(f->d, b);
    objlist_pool_unref(f->d, c);
    objlist_pool_unref(f->d, NULL);
    assert_int_equal(table_size(f->d->objlists), 0);
}

static void test_devices_share(void **state)
{
    struct fix *f = *state;
    struct domain_stats stats;

    for (unsigned i = 1; i <= 20; i++)
        fix_device(f, i);
    domain_stats(f->d, &stats);
    assert_int_equal(stats.objlists, 1);
    assert_int_equal(fix_find(f, 7)->list->refs, 20);
    fix_register(f, 7, "ep=dev7&lt=300&lwm2m=1.1", "</1/0>");
    assert_int_equal(fix_find(f, 8)->list->refs, 19);
}

/* A text heard before gives the list without being parsed, as long as a device has it. */
static void test_known_texts(void **state)
{
    struct fix *f = *state;
    struct objlist *a = parse(f, "</3/0>, </1/0>"), *b = parse(f, "</3/0>, </1/0>");
    struct objlist *c = parse(f, "</1/0>,</3/0>"), *again;
    size_t known = 0;

    assert_ptr_equal(a, b);
    assert_ptr_equal(a, c);
    assert_int_equal(a->refs, 3);
    for (size_t i = 0; i < KNOWN_TEXTS; i++)
        known += f->d->known_texts[i].list == a;
    assert_in_range(known, 1, 2); /* both texts, unless they share a place */
    for (int i = 0; i < 3; i++)
        objlist_pool_unref(f->d, a);
    for (size_t i = 0; i < KNOWN_TEXTS; i++)
        assert_null(f->d->known_texts[i].list);
    again = parse(f, "</3/0>, </1/0>");
    assert_true(view_eq_str(again->text, "</1/0>,</3/0>"));
    objlist_pool_unref(f->d, again);
}

/* More texts than are known, and one too long to be. */
static void test_many_texts(void **state)
{
    struct fix *f = *state;
    struct objlist *lists[100];
    char text[1200];

    for (unsigned i = 0; i < 200; i++) {
        struct objlist *list;

        snprintf(text, sizeof(text), "</3/%u>", i % 100);
        list = parse(f, text);
        assert_true(view_eq_str(list->text, text));
        if (i < 100)
            lists[i] = list;
        else
            assert_ptr_equal(list, lists[i % 100]);
    }
    memset(text, ' ', sizeof(text));
    memcpy(text, "</3/7>", 6);
    text[sizeof(text) - 1] = '\0';
    assert_ptr_equal(parse(f, text), lists[7]);
    for (size_t i = 0; i < KNOWN_TEXTS; i++)
        assert_true(f->d->known_texts[i].n <= 1024);
    objlist_pool_unref(f->d, lists[7]);
    for (unsigned i = 0; i < 200; i++)
        objlist_pool_unref(f->d, lists[i % 100]);
    assert_int_equal(table_size(f->d->objlists), 0);
}

static void expect_edit(struct fix *f, const char *from, const char *path, bool add,
                        const char *wanted)
{
    struct objlist *list = parse(f, from), *edited = NULL;
    struct path p;

    assert_int_equal(path_parse(view_str(path), &p), ERR_OK);
    assert_int_equal(objlist_pool_edit(f->d, list, &p, add, &edited), ERR_OK);
    if (!view_eq_str(edited->text, wanted))
        fail_msg("\"" VIEW_FMT "\" instead of \"%s\"", VIEW_ARG(edited->text), wanted);
    objlist_pool_unref(f->d, list);
    objlist_pool_unref(f->d, edited);
}

static void test_edit(void **state)
{
    struct fix *f = *state;

    expect_edit(f, "</1/0>,</3>", "/3/0", true, "</1/0>,</3>,</3/0>");
    expect_edit(f, "</1/0>", "/5/2", true, "</1/0>,</5/2>");
    expect_edit(f, "</5/0>;ver=1.1", "/5/2", true, "</5/0>;ver=1.1,</5/2>;ver=1.1");
    expect_edit(f, "</5>;ver=1.1,</5/0>", "/5/0", false, "</5>;ver=1.1");
    expect_edit(f, "</5/0>,</5/1>", "/5/0", false, "</5/1>");
    expect_edit(f, "</1/0>,</5/1>;ver=1.1", "/5/1", false, "</1/0>,</5>;ver=1.1");
    expect_edit(f, "</1/0>", "/5/1", false, "</1/0>");
    expect_edit(f, "</a>;rt=\"oma.lwm2m\";ct=\"1 2\",</a/1/0>", "/1/1", true,
                "</a>;rt=\"oma.lwm2m\";ct=\"1 2\",</1/0>,</1/1>");
}

static void test_find(void **state)
{
    struct fix *f = *state;
    struct objlist *list = parse(f, "</3/0>;ver=1.1,</5>,</5/0>,</9/3>");
    struct path p = {.id = {9, 3}, .depth = 2};

    assert_null(objlist_pool_find(list, 1));
    assert_int_equal(objlist_pool_find(list, 3)->version.minor, 1);
    assert_int_equal(objlist_pool_find(list, 5)->path.depth, 1);
    assert_null(objlist_pool_find(list, 10));
    assert_true(objlist_pool_has(list, &p));
    p.id[1] = 4;
    assert_false(objlist_pool_has(list, &p));
    objlist_pool_unref(f->d, list);
}

static void test_malformed(void **state)
{
    struct fix *f = *state;
    struct objlist *list = NULL, *old = parse(f, "</1/0>");

    assert_int_equal(objlist_pool_parse(f->d, TEXT("</1"), &list), ERR_MALFORMED);
    assert_int_equal(objlist_pool_update(f->d, old, TEXT("</1"), &list), ERR_MALFORMED);
    assert_null(list);
    objlist_pool_unref(f->d, old);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_shared), ROW(test_devices_share), ROW(test_known_texts), ROW(test_many_texts),
        ROW(test_edit),   ROW(test_find),          ROW(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
