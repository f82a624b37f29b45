/* Coalesced lifetimes: src/lwm2m/renewal.c. */
#include "domain_fixture.h"

static void update(struct fix *f, unsigned device)
{
    fix_post(f, device, fix_path(fix_find(f, device)->id), "", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
}

static size_t waiting(struct fix *f)
{
    struct domain_stats stats;

    domain_stats(f->d, &stats);
    return stats.renewals_waiting;
}

static void test_written_in_time(void **state)
{
    struct fix *f = *state;
    const struct txn *t;

    fix_device(f, 1); /* lt=300: within 30 s */
    fix_advance(f, 100);
    f->hold = true;
    update(f, 1);
    fix_advance(f, 5000);
    update(f, 1); /* merged: the later lifetime is written, at the time of the first */
    assert_null(fix_txn(f, 0));
    fix_advance(f, 25000);
    t = fix_txn(f, 0);
    assert_non_null(t);
    assert_null(fix_txn(f, 1));
    assert_int_equal(t->kind, TXN_RENEW);
    assert_int_equal(t->renewal_count, 1);
    assert_int_equal(t->renewals[0].row, fix_find(f, 1)->claim->row);
    assert_int_equal(t->renewals[0].generation, fix_find(f, 1)->claim->generation);
    assert_int_equal(t->renewals[0].seen_ms, FIX_WALL + 5000);
    assert_in_range(t->renewals[0].expires_ms, FIX_WALL + 305000, FIX_WALL + 306100);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_count(f, COUNTER_renewals_written), 1);
    assert_int_equal(waiting(f), 0);
    fix_advance(f, 60000);
    assert_null(fix_txn(f, 0));
}

/* Never later than min(lifetime / 10, interval) after the Update. */
static void test_bounds(void **state)
{
    static const struct {
        const char *query;
        uint64_t most_ms;
    } rows[] = {
        {"ep=dev1&lwm2m=1.1&lt=20", 2000},
        {"ep=dev1&lwm2m=1.1&lt=86400", 60000},
        {"ep=dev1&lwm2m=1.1&lt=0", 60000},
        {"ep=dev1&lwm2m=1.1&lt=100", 10000},
    };
    struct fix *f = *state;

    for (size_t i = 0; i < mem_count(rows); i++) {
        uint64_t start;

        fix_register(f, 1, rows[i].query, fix_links);
        f->hold = true;
        start = f->now;
        update(f, 1);
        while (fix_txn(f, 0) == NULL) {
            f->now = domain_next(f->d) > f->now ? domain_next(f->d) : f->now + 1;
            domain_run(f->d, f->now, 10);
            assert_true(f->now - start <= rows[i].most_ms);
        }
        fix_commit(f, ERR_OK);
        f->hold = false;
    }
}

static void test_sorted_and_cut(void **state)
{
    struct fix *f = *state;
    uint64_t last = 0;
    size_t total = 0;
    struct txn *t;

    for (unsigned i = 1; i <= 5000; i++)
        fix_device(f, i);
    f->hold = true;
    for (unsigned i = 5000; i >= 1; i--)
        update(f, i);
    assert_int_equal(waiting(f), 5000);
    f->now += 31000;
    domain_run(f->d, f->now, 10);
    t = fix_txn(f, 0);
    assert_int_equal(t->renewal_count, 4096);
    assert_null(fix_txn(f, 1)); /* one a call: what else waits gets its turn */
    assert_true(domain_next(f->d) <= f->now);
    domain_run(f->d, f->now, 10);
    assert_int_equal(fix_txn(f, 1)->renewal_count, 5000 - 4096);
    for (size_t n = 0; (t = fix_txn(f, n)) != NULL; n++, last = 0)
        for (size_t i = 0; i < t->renewal_count; i++, total++) {
            assert_true(t->renewals[i].row > last);
            last = t->renewals[i].row;
        }
    assert_int_equal(total, 5000);
    assert_int_equal(waiting(f), 0);
}

static void test_failure_is_written_later(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    f->hold = true;
    update(f, 1);
    fix_advance(f, 31000);
    fix_commit(f, ERR_STORE);
    assert_int_equal(waiting(f), 1);
    fix_advance(f, 2000);
    assert_int_equal(fix_txn(f, 0)->renewal_count, 1);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_count(f, COUNTER_renewals_written), 1);

    update(f, 1);
    f->store_full = true;
    fix_advance(f, 40000);
    assert_int_equal(waiting(f), 1);
    f->store_full = false;
    fix_advance(f, 2000);
    assert_int_equal(fix_txn(f, 0)->renewal_count, 1);
}

static void test_gone_devices_drop_out(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_device(f, 2);
    update(f, 1);
    update(f, 2);
    fix_do(f, OP_DEREGISTER, 1, "/");
    f->hold = true;
    fix_advance(f, 31000);
    assert_int_equal(fix_txn(f, 0)->renewal_count, 1);
    fix_commit(f, ERR_OK);
    /* Nothing left: no transaction at all. */
    update(f, 2);
    f->hold = false;
    fix_do(f, OP_DEREGISTER, 2, "/");
    f->hold = true;
    fix_advance(f, 31000);
    assert_null(fix_txn(f, 0));
}

static void test_stop_writes_what_waits(void **state)
{
    struct fix *f = fix_new();

    (void)state;
    fix_device(f, 1);
    update(f, 1);
    domain_free(f->d, f->now);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_RENEW);
    assert_int_equal(fix_txn(f, 0)->renewal_count, 1);
    f->d = NULL;
    fix_free(f);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_written_in_time),       ROW(test_bounds),
        ROW(test_sorted_and_cut),        ROW(test_failure_is_written_later),
        ROW(test_gone_devices_drop_out), cmocka_unit_test(test_stop_writes_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
