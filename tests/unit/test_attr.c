#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/codec.h"

static const struct {
    const char *query, *path;
    int rc;
    const char *what;
} rows[] = {
    {"pmin=5&pmax=60", "/3/0/9", ERR_OK, NULL},
    {"pmin=5", "/3", ERR_OK, NULL},
    {"pmin", "/3/0/9", ERR_OK, NULL}, /* unsets */
    {"pmin&gt&lt&st&epmin&epmax&edge&con&hqmax&pmax", "/3/0/9", ERR_OK, NULL},
    {"pmin=10&pmax=0", "/3/0", ERR_OK, NULL}, /* no maximum */
    {"pmin=10&pmax=10", "/3/0", ERR_OK, NULL},
    {"pmax=10&pmin=11", "/3/0", ERR_ATTRIBUTES, "pmin must not be greater than pmax"},
    {"pmin=11&pmax", "/3/0", ERR_OK, NULL},
    {"gt=45&lt=20&st=10", "/3303/0/5700", ERR_OK, NULL},
    {"lt=20&gt=85&st=32.5", "/3303/0/5700", ERR_ATTRIBUTES, "lt + 2 st must be less than gt"},
    {"lt=20&gt=85&st=32.4", "/3303/0/5700/1", ERR_OK, NULL},
    {"lt=20&gt=20", "/3303/0/5700", ERR_ATTRIBUTES, "lt must be less than gt"},
    {"lt=30&gt=20&st", "/3303/0/5700", ERR_ATTRIBUTES, "lt must be less than gt"},
    {"lt=-20.5&gt=-3", "/3303/0/5700", ERR_OK, NULL},
    {"gt=1e3", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"gt=nan", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"gt=0x10", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"gt=+5", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"gt=5-5", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"gt=", "/3303/0/5700", ERR_INVALID, "the value must be a plain decimal number"},
    {"st=-1", "/3303/0/5700", ERR_INVALID, "a step must not be negative"},
    {"gt=5", "/3303/0", ERR_INVALID, "attribute not allowed at this level of the path"},
    {"edge=1", "/3303", ERR_INVALID, "attribute not allowed at this level of the path"},
    {"edge=1", "/3342/0/5500", ERR_OK, NULL},
    {"edge=2", "/3342/0/5500", ERR_INVALID, "the value must be 0 or 1"},
    {"edge=01", "/3342/0/5500", ERR_INVALID, "the value must be 0 or 1"},
    {"con=1&pmin=1", "/", ERR_OK, NULL}, /* Observe-Composite */
    {"hqmax=10", "/", ERR_INVALID, "attribute not allowed at this level of the path"},
    {"hqmax=10", "/3", ERR_OK, NULL},
    {"epmin=5&epmax=6", "/3/0", ERR_OK, NULL},
    {"epmin=6&epmax=6", "/3/0", ERR_ATTRIBUTES, "epmin must be less than epmax"},
    {"pmin=5.5", "/3/0", ERR_INVALID, "the value must be a whole number"},
    {"pmin=-5", "/3/0", ERR_INVALID, "the value must be a whole number"},
    {"pmin=4294967296", "/3/0", ERR_INVALID, "the value must be a whole number"},
    {"pmin=4294967295", "/3/0", ERR_OK, NULL},
    {"pmin=1&pmin=1", "/3/0", ERR_DUPLICATE, "attribute given more than once"},
    {"pmin=1&pmin", "/3/0", ERR_DUPLICATE, "attribute given more than once"},
    {"dim=1", "/3/0/6", ERR_INVALID, "unknown attribute"},
    {"ver=1.0", "/3", ERR_INVALID, "unknown attribute"},
    {"PMIN=1", "/3", ERR_INVALID, "unknown attribute"},
    {"pmin=1&", "/3", ERR_INVALID, "unknown attribute"},
    {"=1", "/3", ERR_INVALID, "unknown attribute"},
    {"", "/3", ERR_INVALID, "no attribute given"},
};

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        const char *what = NULL;
        struct path p;

        assert_int_equal(path_parse(view_str(rows[i].path), &p), ERR_OK);
        assert_int_equal(attr_check(view_str(rows[i].query), &p, &what), rows[i].rc);
        if (rows[i].what == NULL)
            assert_null(what);
        else
            assert_string_equal(what, rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
