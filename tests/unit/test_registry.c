#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"
#include "model/objects_data.h"

static struct object_def *def_of(uint16_t id, uint8_t major, uint8_t minor, const char *name)
{
    struct resource_def resource = {.id = 1, .name = name};
    struct object_def draft = {.id = id,
                               .version = {major, minor},
                               .name = name,
                               .resources = &resource,
                               .resource_count = 1};
    struct object_def *d;

    assert_int_equal(object_def_new(&draft, &d), ERR_OK);
    return d;
}

static const char *found(const struct registry *r, uint16_t id, uint8_t major, uint8_t minor)
{
    const struct object_def *d = registry_find(r, id, (struct version){major, minor});

    return d != NULL ? d->name : "nothing";
}

static void test_find(void **state)
{
    struct registry *r = registry_new();

    (void)state;
    assert_string_equal(found(r, 3, 0, 0), "nothing");
    assert_int_equal(registry_add(r, def_of(5, 1, 0, "five")), ERR_OK);
    assert_int_equal(registry_add(r, def_of(3, 2, 0, "3 2.0")), ERR_OK);
    assert_int_equal(registry_add(r, def_of(3, 1, 0, "3 1.0")), ERR_OK);
    assert_int_equal(registry_add(r, def_of(3, 1, 2, "3 1.2")), ERR_OK);
    assert_int_equal(registry_add(r, def_of(7, 255, 255, "top")), ERR_OK);
    assert_string_equal(found(r, 3, 1, 0), "3 1.0");
    assert_string_equal(found(r, 3, 1, 1), "3 1.2"); /* not exact: the highest minor */
    assert_string_equal(found(r, 3, 1, 9), "3 1.2");
    assert_string_equal(found(r, 3, 2, 4), "3 2.0");
    assert_string_equal(found(r, 3, 3, 0), "nothing");
    assert_string_equal(found(r, 3, 0, 5), "nothing");
    assert_string_equal(found(r, 3, 0, 0), "3 2.0");
    assert_string_equal(found(r, 2, 0, 0), "nothing");
    assert_string_equal(found(r, 4, 1, 0), "nothing");
    assert_string_equal(found(r, 5, 0, 0), "five");
    assert_string_equal(found(r, 7, 0, 0), "top");
    assert_string_equal(found(r, 65535, 0, 0), "nothing");
    assert_int_equal(registry_size(r), 5);
    assert_string_equal(registry_at(r, 0)->name, "3 1.0");
    assert_string_equal(registry_at(r, 2)->name, "3 2.0");
    assert_null(registry_at(r, 5));
    assert_int_equal(registry_add(r, def_of(3, 1, 2, "again")), ERR_OK);
    assert_int_equal(registry_size(r), 5);
    assert_string_equal(found(r, 3, 1, 2), "again");
    registry_unref(r);
}

static void test_limit(void **state)
{
    struct registry *r = registry_new();
    struct object_def *d;

    (void)state;
    for (unsigned i = 0; i < REGISTRY_DEFS_MAX; i++)
        assert_int_equal(registry_add(r, def_of((uint16_t)i, 1, 0, "")), ERR_OK);
    d = def_of(20000, 1, 0, "one more");
    assert_int_equal(registry_add(r, d), ERR_LIMIT);
    object_def_free(d); /* still ours */
    assert_int_equal(registry_add(r, def_of(7, 1, 0, "replaced")), ERR_OK);
    registry_unref(r);
}

static void test_clone(void **state)
{
    struct registry *r = registry_new(), *clone;

    (void)state;
    assert_int_equal(registry_add(r, def_of(3, 1, 0, "three")), ERR_OK);
    clone = registry_clone(r);
    assert_int_equal(registry_add(clone, def_of(4, 1, 0, "four")), ERR_OK);
    assert_int_equal(registry_size(r), 1);
    registry_unref(r);
    assert_string_equal(found(clone, 3, 0, 0), "three");
    assert_string_equal(found(clone, 4, 0, 0), "four");
    registry_unref(clone);
    registry_unref(NULL);
}

static const struct resource_def *resource(const struct registry *r, const char *path,
                                           uint8_t major, uint8_t minor)
{
    struct path p;

    assert_int_equal(path_parse(view_str(path), &p), ERR_OK);
    return registry_resource(r, &p, (struct version){major, minor});
}

/* Facts of the definitions that come with the server. */
static void test_own_data(void **state)
{
    struct registry *r = registry_new();
    const struct resource_def *d;
    unsigned line = 0;

    (void)state;
    assert_int_equal(registry_load_tsv(r, view_of(objects_data, objects_data_size), &line), ERR_OK);
    assert_true(registry_size(r) >= 100);
    for (uint16_t id = 0; id < 8; id++)
        assert_string_not_equal(found(r, id, 1, 0), "nothing");
    d = resource(r, "/3/0/9", 1, 0);
    assert_string_equal(d->name, "Battery Level");
    assert_int_equal(d->type, VALUE_INTEGER);
    assert_int_equal(d->ops, RESOURCE_READ);
    assert_string_equal(d->range, "0..100");
    assert_string_equal(d->units, "%");
    d = resource(r, "/3/0/4", 1, 2);
    assert_int_equal(d->ops, RESOURCE_EXECUTE);
    assert_int_equal(d->type, VALUE_NONE);
    assert_true(d->mandatory);
    d = resource(r, "/3/0/6/1", 1, 2);
    assert_true(d->multiple);
    d = resource(r, "/0/0/5", 1, 0);
    assert_int_equal(d->ops, 0);
    assert_int_equal(d->type, VALUE_OPAQUE);
    d = resource(r, "/3303/0/5700", 1, 1);
    assert_int_equal(d->type, VALUE_FLOAT);
    assert_int_equal(resource(r, "/1/0/13", 1, 1)->type, VALUE_UNSIGNED);
    assert_null(resource(r, "/1/0/13", 1, 0)); /* came with 1.1 */
    assert_null(resource(r, "/3/0", 1, 0));
    assert_null(resource(r, "/3/0/999", 1, 0));
    assert_null(resource(r, "/60000/0/1", 0, 0));
    assert_true(registry_find(r, 3, (struct version){0, 0})->mandatory);
    assert_false(registry_find(r, 3, (struct version){0, 0})->multiple);
    assert_int_equal(registry_find(r, 25, (struct version){1, 0})->min_enabler.minor, 2);
    for (size_t i = 0; i < registry_size(r); i++) {
        const struct object_def *o = registry_at(r, i);

        assert_true(o->name[0] != '\0' && o->resource_count > 0);
        for (size_t j = 0; j < o->resource_count; j++) {
            assert_true(o->resources[j].name[0] != '\0');
            assert_int_equal(o->resources[j].type == VALUE_NONE,
                             o->resources[j].ops == RESOURCE_EXECUTE);
        }
    }
    registry_unref(r);
}

#define ROW(id, version, resource)                                                                 \
    id "\t" version "\tThing\t" resource "\tName\tRW\tSingle\tOptional\tString\t\t\tMultiple"      \
       "\tOptional\t1.0\n"

static void test_tsv_errors(void **state)
{
    static const struct {
        const char *text;
        int rc;
        unsigned line;
        size_t size;
    } rows[] = {
        {"", ERR_OK, 0, 0},
        {"# nothing\n\n", ERR_OK, 0, 0},
        {ROW("3", "1.0", "0") ROW("3", "1.0", "1") ROW("3", "1.1", "0"), ERR_OK, 0, 2},
        {"3\t1.0\n", ERR_MALFORMED, 1, 0},
        {"# x\n" ROW("3", "1.0", "0") "x" ROW("4", "1.0", "0"), ERR_MALFORMED, 3, 0},
        {ROW("3", "1.0", "0") ROW("65535", "1.0", "0"), ERR_RANGE, 2, 0},
        {ROW("3", "1", "0"), ERR_MALFORMED, 1, 0},
        {ROW("3", "1.0", "1") ROW("3", "1.0", "1"), ERR_DUPLICATE, 2, 0},
        {ROW("3", "1.0", "1") ROW("3", "1.0", "0"), ERR_DUPLICATE, 2, 0},
        {ROW("3", "1.1", "0") ROW("3", "1.0", "0"), ERR_DUPLICATE, 2, 0},
        {ROW("3", "1.0", "0") ROW("4", "1.0", "0") ROW("3", "1.0", "1"), ERR_DUPLICATE, 3, 1},
        {"3\t1.0\tT\t0\tN\tX\tSingle\tOptional\tString\t\t\tMultiple\tOptional\t1.0", ERR_MALFORMED,
         1, 0},
        {"3\t1.0\tT\t0\tN\tR\tDouble\tOptional\tString\t\t\tMultiple\tOptional\t1.0", ERR_MALFORMED,
         1, 0},
        {"3\t1.0\tT\t0\tN\tR\tSingle\tOptional\tText\t\t\tMultiple\tOptional\t1.0", ERR_MALFORMED,
         1, 0},
        {"3\t1.0\tT\t0\tN\tR\tSingle\tOptional\tString\t\t\tMultiple\tOptional\t1.0\tmore",
         ERR_MALFORMED, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct registry *r = registry_new();
        unsigned line = 0;

        assert_int_equal(registry_load_tsv(r, view_str(rows[i].text), &line), rows[i].rc);
        assert_int_equal(line, rows[i].line);
        assert_int_equal(registry_size(r), rows[i].size);
        registry_unref(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),       cmocka_unit_test(test_limit),
        cmocka_unit_test(test_clone),      cmocka_unit_test(test_own_data),
        cmocka_unit_test(test_tsv_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
