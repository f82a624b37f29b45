#include "coap_rig.h"

/* RFC 7252 section 4.8.2 with the default parameters: 45 s, 93 s, 247 s. */
static void test_ip(void **state)
{
    const struct profile *p = profile_builtin(VIEW_LIT("ip"));

    (void)state;
    assert_non_null(p);
    assert_int_equal(profile_max_transmit_span(p), 45000);
    assert_int_equal(profile_max_transmit_wait(p), 93000);
    assert_int_equal(profile_exchange_lifetime(p), 247000);
}

static void test_nbiot(void **state)
{
    const struct profile *p = profile_builtin(VIEW_LIT("nbiot"));

    (void)state;
    assert_non_null(p);
    assert_int_equal(p->ack_timeout_ms, 10000);
    assert_int_equal(p->max_retransmit, 2);
    assert_int_equal(profile_max_transmit_span(p), 45000);
    assert_int_equal(profile_max_transmit_wait(p), 105000);
    assert_int_equal(profile_exchange_lifetime(p), 255000);
}

static void test_unknown(void **state)
{
    (void)state;
    assert_null(profile_builtin(VIEW_LIT("ipx")));
    assert_null(profile_builtin(VIEW_NONE));
}

static void test_absurd_is_bounded(void **state)
{
    struct profile p = {.ack_timeout_ms = 60000, .ack_random_permille = 3000, .max_retransmit = 99};

    (void)state;
    assert_true(profile_exchange_lifetime(&p) < UINT64_C(400000000000));
    assert_true(profile_max_transmit_wait(&p) >= profile_max_transmit_span(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_nbiot),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_absurd_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
