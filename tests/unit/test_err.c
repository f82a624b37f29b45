#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void test_each_row(void **state)
{
    (void)state;
    for (int n = 1; n < ERR_N_COUNT; n++) {
        int rc = -n;
        unsigned http = err_http_status(rc);
        uint8_t coap = err_coap_code(rc);

        assert_non_null(err_name(rc));
        assert_non_null(err_text(rc));
        assert_true(strlen(err_name(rc)) > 1);
        assert_true(strlen(err_text(rc)) > 3);
        assert_true(err_text(rc)[strlen(err_text(rc)) - 1] != '.');
        /* A failure is 4.xx or 5.xx on both sides; not to be done yet is none towards operators. */
        if (rc == ERR_ACCEPTED)
            assert_int_equal(http, 202);
        else
            assert_in_range(http, 400, 599);
        assert_in_range(coap >> 5, 4, 5);
        for (int other = 1; other < n; other++)
            assert_string_not_equal(err_name(rc), err_name(-other));
    }
}

static void test_values(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_int_equal(err_coap_code(ERR_OK), 0);
    assert_int_equal(err_http_status(ERR_OK), 200);
    assert_true(ERR_TRUNCATED < 0);
    assert_string_equal(err_name(ERR_TRUNCATED), "TRUNCATED");
    assert_int_equal(err_coap_code(ERR_NOTFOUND), 0x84);
    assert_int_equal(err_http_status(ERR_NOTFOUND), 404);
    assert_int_equal(err_http_status(ERR_TIMEOUT), 504);
}

static void test_outside_the_table(void **state)
{
    const int outside[] = {1, 1000, -(int)ERR_N_COUNT, -100000, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < mem_count(outside); i++) {
        assert_string_equal(err_name(outside[i]), "UNKNOWN");
        assert_string_equal(err_text(outside[i]), "unknown error");
        assert_int_equal(err_coap_code(outside[i]), 0xa0);
        assert_int_equal(err_http_status(outside[i]), 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_outside_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
