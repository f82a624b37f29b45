#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int rc;
        struct version version;
    } rows[] = {
        {"1.0", ERR_OK, {1, 0}},         {"1.2", ERR_OK, {1, 2}},
        {"255.255", ERR_OK, {255, 255}}, {"1.2.1", ERR_OK, {1, 2}},
        {"", ERR_MALFORMED, {0, 0}},     {"1", ERR_MALFORMED, {0, 0}},
        {"1.", ERR_MALFORMED, {0, 0}},   {".1", ERR_MALFORMED, {0, 0}},
        {"1.2.", ERR_MALFORMED, {0, 0}}, {"1.2.3.4", ERR_MALFORMED, {0, 0}},
        {"1,2", ERR_MALFORMED, {0, 0}},  {"256.0", ERR_RANGE, {0, 0}},
        {"1.-1", ERR_MALFORMED, {0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct version v = {0, 0};

        assert_int_equal(version_parse(view_str(rows[i].text), &v), rows[i].rc);
        assert_int_equal(version_cmp(v, rows[i].version), 0);
    }
}

static void test_order(void **state)
{
    static const struct version ascending[] = {{0, 0}, {0, 9}, {1, 0}, {1, 2}, {2, 1}, {10, 0}};

    (void)state;
    for (size_t i = 0; i < mem_count(ascending); i++)
        for (size_t j = 0; j < mem_count(ascending); j++)
            assert_int_equal(version_cmp(ascending[i], ascending[j]), (i > j) - (i < j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
