#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_copy(void **state)
{
    char name[] = "Name of five", units[] = "s";
    struct resource_def resources[] = {
        {.id = 9, .ops = RESOURCE_READ, .type = VALUE_INTEGER, .name = "Nine", .range = "0..9"},
        {.id = 5, .multiple = true, .type = VALUE_STRING, .name = name, .units = units},
        {.id = 700, .ops = RESOURCE_EXECUTE, .name = NULL},
    };
    struct object_def draft = {.id = 3,
                               .version = {1, 2},
                               .name = "Thing",
                               .multiple = true,
                               .resources = resources,
                               .resource_count = 3};
    struct object_def *d;

    (void)state;
    assert_int_equal(object_def_new(&draft, &d), ERR_OK);
    memset(name, 'x', sizeof name - 1); /* the copy owns its strings */
    memset(units, 'x', sizeof units - 1);
    memset(resources, 0, sizeof resources);
    assert_int_equal(d->id, 3);
    assert_true(d->multiple);
    assert_false(d->mandatory);
    assert_string_equal(d->name, "Thing");
    assert_int_equal(d->resource_count, 3);
    assert_int_equal(d->resources[0].id, 5);
    assert_string_equal(d->resources[0].name, "Name of five");
    assert_string_equal(d->resources[0].units, "s");
    assert_string_equal(d->resources[0].range, "");
    assert_string_equal(object_def_resource(d, 9)->name, "Nine");
    assert_string_equal(object_def_resource(d, 9)->range, "0..9");
    assert_string_equal(object_def_resource(d, 700)->name, "");
    assert_null(object_def_resource(d, 0));
    assert_null(object_def_resource(d, 6));
    assert_null(object_def_resource(d, 65535));
    object_def_free(d);
    object_def_free(NULL);
}

static void test_refused(void **state)
{
    static struct resource_def many[OBJECT_DEF_RESOURCES_MAX + 1];
    struct object_def draft = {.name = "x", .resources = many, .resource_count = mem_count(many)};
    struct object_def *d = NULL;

    (void)state;
    assert_int_equal(object_def_new(&draft, &d), ERR_LIMIT);
    draft.resource_count = 2; /* both have id 0 */
    assert_int_equal(object_def_new(&draft, &d), ERR_DUPLICATE);
    assert_null(d);
    draft.resource_count = 0;
    draft.resources = NULL;
    assert_int_equal(object_def_new(&draft, &d), ERR_OK);
    assert_null(object_def_resource(d, 0));
    object_def_free(d);
}

static void test_words(void **state)
{
    uint8_t ops = 99;
    bool answer = false;

    (void)state;
    assert_int_equal(object_def_ops(VIEW_LIT("RW"), &ops), ERR_OK);
    assert_int_equal(ops, RESOURCE_READ | RESOURCE_WRITE);
    assert_int_equal(object_def_ops(VIEW_LIT("E"), &ops), ERR_OK);
    assert_int_equal(ops, RESOURCE_EXECUTE);
    assert_int_equal(object_def_ops(VIEW_LIT("-"), &ops), ERR_OK);
    assert_int_equal(ops, 0);
    assert_int_equal(object_def_ops(VIEW_LIT(""), &ops), ERR_OK);
    assert_int_equal(object_def_ops(VIEW_LIT("R-"), &ops), ERR_MALFORMED);
    assert_int_equal(object_def_ops(VIEW_LIT("r"), &ops), ERR_MALFORMED);
    assert_int_equal(object_def_multiple(VIEW_LIT("Multiple"), &answer), ERR_OK);
    assert_true(answer);
    assert_int_equal(object_def_multiple(VIEW_LIT("Single"), &answer), ERR_OK);
    assert_false(answer);
    assert_int_equal(object_def_mandatory(VIEW_LIT("Mandatory"), &answer), ERR_OK);
    assert_true(answer);
    assert_int_equal(object_def_mandatory(VIEW_LIT("Multiple"), &answer), ERR_MALFORMED);
    assert_true(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
