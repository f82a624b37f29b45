#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(identity_type_name(IDENTITY_NONE), "none");
    assert_string_equal(identity_type_name(IDENTITY_PSK), "psk");
    assert_string_equal(identity_type_name(IDENTITY_RPK), "rpk");
    assert_string_equal(identity_type_name(IDENTITY_X509), "x509");
    assert_string_equal(identity_type_name(IDENTITY_OSCORE), "oscore");
    assert_string_equal(identity_type_name(IDENTITY_TYPE_COUNT), "unknown");
}

static void test_equal(void **state)
{
    struct identity none = {IDENTITY_NONE, VIEW_NONE};
    struct identity psk = {IDENTITY_PSK, VIEW_LIT("dev1")};
    struct identity same = {IDENTITY_PSK, VIEW_LIT("dev1")};
    struct identity other = {IDENTITY_PSK, VIEW_LIT("dev2")};
    struct identity x509 = {IDENTITY_X509, VIEW_LIT("dev1")};

    (void)state;
    assert_true(identity_eq(&none, &none));
    assert_true(identity_eq(&psk, &same));
    assert_false(identity_eq(&psk, &other));
    assert_false(identity_eq(&psk, &x509));
    assert_false(identity_eq(&psk, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
