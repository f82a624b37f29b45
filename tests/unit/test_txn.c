#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_life(void **state)
{
    struct txn *t = txn_new(TXN_RENEW);

    (void)state;
    assert_int_equal(t->kind, TXN_RENEW);
    assert_null(t->done);
    assert_int_equal(t->observation.format, FORMAT_NONE);
    /* Everything it may own goes with it (the leak checker looks). */
    t->registration = registration_copy(&(struct registration){.endpoint = VIEW_LIT("dev1")});
    t->renewals = mem_new(10 * sizeof *t->renewals);
    t->text = mem_text("pmin=5", 6);
    txn_free(t);
    txn_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
