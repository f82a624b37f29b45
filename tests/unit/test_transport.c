#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_schemes(void **state)
{
    (void)state;
    assert_string_equal(transport_scheme(TRANSPORT_UDP), "coap");
    assert_string_equal(transport_scheme(TRANSPORT_DTLS), "coaps");
    assert_string_equal(transport_scheme(TRANSPORT_TCP), "coap+tcp");
    assert_string_equal(transport_scheme(TRANSPORT_TLS), "coaps+tcp");
    assert_string_equal(transport_scheme(TRANSPORT_MQTT), "mqtt");
    assert_string_equal(transport_scheme(TRANSPORT_SMS), "sms");
    assert_string_equal(transport_scheme(TRANSPORT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schemes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
