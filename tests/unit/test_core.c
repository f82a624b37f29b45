/* What the composition root decides by itself; the rest of it is the simulation's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/shard/core.c"

static uint8_t profile_of(const char *beginnings, const char *endpoint)
{
    struct core c = {.cfg.nbiot_endpoints = beginnings};

    return on_profile(&c, view_str(endpoint));
}

static void test_profile(void **state)
{
    (void)state;
    assert_int_equal(profile_of(NULL, "urn:imei:1"), PROFILE_DEFAULT);
    assert_int_equal(profile_of("", "urn:imei:1"), PROFILE_DEFAULT);
    assert_int_equal(profile_of("urn:imei:", "urn:imei:1"), PROFILE_NBIOT);
    assert_int_equal(profile_of("urn:imei:", "urn:imei:"), PROFILE_NBIOT);
    assert_int_equal(profile_of("urn:imei:", "urn:imei"), PROFILE_DEFAULT);
    assert_int_equal(profile_of("urn:imei:", "x-urn:imei:1"), PROFILE_DEFAULT);
    assert_int_equal(profile_of("meter-,urn:imei:", "urn:imei:1"), PROFILE_NBIOT);
    assert_int_equal(profile_of("meter- , urn:imei: ", "urn:imei:1"), PROFILE_NBIOT);
    assert_int_equal(profile_of(" meter-, urn:imei:", "meter-7"), PROFILE_NBIOT);
    /* A comma too many does not mean every device. */
    assert_int_equal(profile_of("meter-,, ", "urn:imei:1"), PROFILE_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
