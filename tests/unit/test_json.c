/* JSON bodies to values: src/api/json.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/internal.h"

static int setup(void **state)
{
    struct registry *r = registry_new();
    unsigned line;

    *state = r;
    return r == NULL ||
           registry_load_tsv(r,
                             VIEW_LIT("7\t1.0\tA\t3\tB\tRW\tSingle\tOptional\tFloat\t\t\tMultiple\t"
                                      "Optional\t1.0\n"),
                             &line) < 0;
}

static int teardown(void **state)
{
    registry_unref(*state);
    return 0;
}

static cJSON *parse(const char *text)
{
    struct buf body;
    cJSON *json;

    buf_init(&body, 1024);
    buf_put_str(&body, text);
    json = json_parse(&body);
    buf_fini(&body);
    return json;
}

/* A body as a write of the path; the first value, or what is wrong. */
static int read_body(struct registry *registry, const char *path, const char *body,
                     struct value *ret)
{
    cJSON *json = parse(body);
    struct batch *values = batch_new();
    const char *what = NULL;
    struct path base;
    int rc;

    assert_non_null(json);
    assert_non_null(values);
    assert_int_equal(path_parse(view_str(path), &base), ERR_OK);
    rc = json_to_batch(json, &base, registry, values, &what);
    if (rc == ERR_OK)
        *ret = batch_at(values, 0)->value;
    else
        assert_non_null(what);
    batch_free(values);
    cJSON_Delete(json);
    return rc;
}

static void test_number(void **state)
{
    struct value v;

    assert_int_equal(read_body(*state, "/7/1/3", "{\"value\":1e300}", &v), ERR_OK);
    assert_int_equal(v.type, VALUE_FLOAT);
    assert_true(v.u.float_ == 1e300);
    assert_int_equal(read_body(*state, "/9/1/1", "{\"value\":7}", &v), ERR_OK);
    assert_int_equal(v.type, VALUE_INTEGER);
    assert_int_equal(v.u.integer, 7);
    assert_int_equal(read_body(*state, "/9/1/1", "{\"value\":9007199254740993e2}", &v), ERR_RANGE);
}

/* What is beyond a double is no infinity. */
static void test_number_beyond_double(void **state)
{
    struct value v;

    assert_int_equal(read_body(*state, "/7/1/3", "{\"value\":1e400}", &v), ERR_RANGE);
    assert_int_equal(read_body(*state, "/7/1/3", "{\"value\":-1e400}", &v), ERR_RANGE);
    assert_int_equal(read_body(*state, "/9/1/1", "{\"value\":1e400}", &v), ERR_RANGE);
    assert_int_equal(read_body(*state, "/9/1/1", "{\"value\":1e400,\"type\":\"float\"}", &v),
                     ERR_RANGE);
}

/* Text with a NUL would reach the device without what follows it. */
static void test_nul(void **state)
{
    static const char *const refused[] = {"{\"value\":\"a\\u0000b\"}",
                                          "{\"a\\\\\\u0000\":1}",
                                          "{\"value\":\"\\u0000\"}",
                                          "{} {}",
                                          "{",
                                          ""};
    cJSON *json = parse("{\"value\":\"a\\\\u0000\"}"); /* a backslash, and letters */

    (void)state;
    assert_string_equal(cJSON_GetObjectItem(json, "value")->valuestring, "a\\u0000");
    cJSON_Delete(json);
    for (size_t i = 0; i < mem_count(refused); i++)
        assert_null(parse(refused[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_number_beyond_double),
        cmocka_unit_test(test_nul),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
