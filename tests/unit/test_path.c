#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static struct path path_of(const char *text)
{
    struct path p;

    assert_int_equal(path_parse(view_str(text), &p), ERR_OK);
    return p;
}

static void test_parse_and_format(void **state)
{
    static const struct {
        const char *text, *formatted;
        struct path path;
    } rows[] = {
        {"/", "/", {{0}, 0}},
        {"/0", "/0", {{0}, 1}},
        {"/3", "/3", {{3}, 1}},
        {"/3/", "/3", {{3}, 1}},
        {"/3/0", "/3/0", {{3, 0}, 2}},
        {"/3/0/9", "/3/0/9", {{3, 0, 9}, 3}},
        {"/3/0/9/", "/3/0/9", {{3, 0, 9}, 3}},
        {"/65534/65534/65534/65534", "/65534/65534/65534/65534", {{65534, 65534, 65534, 65534}, 4}},
        {"/1/10/100/1000/", "/1/10/100/1000", {{1, 10, 100, 1000}, 4}},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct path p = path_of(rows[i].text);
        char out[PATH_TEXT_MAX];

        assert_true(path_eq(&p, &rows[i].path));
        path_format(&p, out);
        assert_string_equal(out, rows[i].formatted);
    }
}

static void test_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "3",
        "3/0",
        "//",
        "//3",
        "/3//",
        "/3//0",
        "/03",
        "/3/00",
        "/-1",
        "/+1",
        "/65535",
        "/3/65535",
        "/65536",
        "/4294967296",
        "/3/0/9/1/2",
        "/a",
        "/3/0a",
        "/3/0/ ",
        " /3",
        "/3/0/9/1//",
        "/18446744073709551616",
    };
    struct path p = {{7}, 1};

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        assert_int_equal(path_parse(view_str(rows[i]), &p), ERR_PATH);
    assert_int_equal(path_parse(VIEW_NONE, &p), ERR_PATH);
    assert_int_equal(path_parse(view_of("/3\0", 3), &p), ERR_PATH);
    assert_int_equal(p.id[0], 7);
}

static void test_order(void **state)
{
    static const char *const ascending[] = {
        "/", "/1", "/1/0", "/1/0/1", "/1/0/1/5", "/1/0/2", "/1/1", "/2", "/10", "/10/0",
    };

    (void)state;
    for (size_t i = 0; i < mem_count(ascending); i++) {
        for (size_t j = 0; j < mem_count(ascending); j++) {
            struct path a = path_of(ascending[i]), b = path_of(ascending[j]);

            assert_int_equal(path_cmp(&a, &b), (i > j) - (i < j));
            assert_int_equal(path_eq(&a, &b), i == j);
        }
    }
}

static void test_covers(void **state)
{
    struct path root = path_of("/"), object = path_of("/3"), instance = path_of("/3/0");
    struct path other = path_of("/3/1"), resource = path_of("/3/0/9");

    (void)state;
    assert_true(path_covers(&root, &resource));
    assert_true(path_covers(&object, &resource));
    assert_true(path_covers(&instance, &resource));
    assert_true(path_covers(&resource, &resource));
    assert_false(path_covers(&resource, &instance));
    assert_false(path_covers(&other, &resource));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_covers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
