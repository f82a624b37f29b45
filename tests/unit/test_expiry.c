/* Lifetimes and the end of registrations: src/lwm2m/expiry.c, removal.c. */
#include "domain_fixture.h"

static void test_expires_after_grace(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    fix_advance(f, (300 + 93) * 1000 - 1);
    assert_non_null(fix_find(f, 1));
    f->hold = true;
    fix_advance(f, 1001);
    /* Not before the store has forgotten it. */
    assert_non_null(fix_find(f, 1));
    assert_int_equal(fix_txn(f, 0)->kind, TXN_DEL_REGISTRATION);
    assert_int_equal(fix_txn(f, 0)->row, fix_find(f, 1)->claim->row);
    assert_int_equal(fix_txn(f, 0)->generation, fix_find(f, 1)->claim->generation);
    fix_commit(f, ERR_OK);
    assert_null(fix_find(f, 1));
    assert_int_equal(fix_event(f, 0)->type, EVENT_EXPIRED);
    assert_int_equal(fix_event(f, 0)->registration_id, id);
    assert_int_equal(f->dir->alive, 0);
    assert_int_equal(fix_count(f, COUNTER_registrations_expired), 1);
    fix_post(f, 1, fix_path(id), "", "");
    assert_int_equal(fix_sent(f, 0)->pdu.code, 0x84);
}

static void test_updates_keep_it(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    for (int i = 0; i < 20; i++) {
        fix_advance(f, 350 * 1000);
        fix_post(f, 1, fix_path(id), "", "");
        assert_int_equal(fix_code(f), PDU_CHANGED);
    }
    fix_advance(f, 392 * 1000);
    assert_non_null(fix_find(f, 1));
    fix_advance(f, 2000);
    assert_null(fix_find(f, 1));
}

static void test_never(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lt=0&lwm2m=1.1", fix_links);
    fix_register(f, 2, "ep=dev2&lwm2m=1.0", fix_links);
    assert_int_equal(timer_wheel_size(f->d->expiry), 0);
    assert_int_equal(timer_wheel_next(f->d->expiry), UINT64_MAX);
}

static void test_years(void **state)
{
    struct fix *f = *state;
    struct device *dev;

    fix_register(f, 1, "ep=dev1&lt=100000000&lwm2m=1.1", fix_links);
    dev = fix_find(f, 1);
    /* Three years: the timer looks in between. */
    f->now += UINT64_C(366) * 86400 * 1000;
    domain_run(f->d, f->now, 10);
    assert_non_null(fix_find(f, 1));
    assert_true(timer_active(&dev->timer));
    f->now += UINT64_C(1100) * 86400 * 1000;
    domain_run(f->d, f->now, 10);
    fix_commit(f, ERR_OK);
    assert_null(fix_find(f, 1));
}

/* The store cannot: the device stays, and goes later. */
static void test_store_refuses(void **state)
{
    struct fix *f = *state;
    size_t txns;

    fix_device(f, 1);
    txns = f->txn_count;
    f->store_full = true;
    fix_advance(f, 400 * 1000);
    assert_non_null(fix_find(f, 1));
    assert_int_equal(f->txn_count, txns);
    assert_null(fix_find(f, 1)->rare);
    f->store_full = false;
    f->hold = true;
    fix_advance(f, 2000);
    assert_int_equal(fix_commit(f, ERR_DISKFULL), 1);
    assert_non_null(fix_find(f, 1));
    assert_int_equal(fix_events(f, EVENT_EXPIRED), 0);
    f->hold = false;
    fix_advance(f, 2000);
    assert_null(fix_find(f, 1));
}

/* An Update that arrives while the store forgets waits for what becomes of it. */
static void test_update_meets_expiry(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    fix_advance(f, 394 * 1000);
    assert_non_null(fix_txn(f, 0));
    fix_code(f);
    fix_post(f, 1, fix_path(id), "", "");
    assert_int_equal(fix_code(f), 0);
    fix_commit(f, ERR_STORE);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(fix_find(f, 1)->deadline_s, (f->now + 999) / 1000 + 393);
    fix_advance(f, 394 * 1000);
    fix_post(f, 1, fix_path(id), "", "");
    assert_int_equal(fix_code(f), 0);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), 0x84);
    assert_null(fix_find(f, 1));
}

/* Mass expiry: no more a call than the budget, and the next call is wanted at once. */
static void test_braked(void **state)
{
    struct fix *f = *state;

    for (unsigned i = 1; i <= 50; i++)
        fix_device(f, i);
    f->hold = true;
    f->now += 400 * 1000;
    domain_run(f->d, f->now, 10);
    assert_int_equal(f->by_kind[TXN_DEL_REGISTRATION], 10);
    assert_true(domain_next(f->d) <= f->now);
    domain_run(f->d, f->now, 10);
    assert_int_equal(f->by_kind[TXN_DEL_REGISTRATION], 20);
    domain_run(f->d, f->now, 1000);
    assert_int_equal(f->by_kind[TXN_DEL_REGISTRATION], 50);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->d->device_count, 0);
}

/* ---- De-register ----------------------------------------------------------------------------- */

static void deregister(struct fix *f, uint64_t id)
{
    fix_request(f, 1, PDU_DELETE, fix_path(id), "", FORMAT_NONE, VIEW_NONE);
}

static void test_deregister(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    fix_code(f);
    f->hold = true;
    deregister(f, id);
    assert_int_equal(fix_code(f), 0);
    assert_non_null(fix_find(f, 1));
    assert_int_equal(fix_txn(f, 0)->kind, TXN_DEL_REGISTRATION);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_DELETED);
    assert_null(fix_find(f, 1));
    assert_int_equal(fix_event(f, 0)->type, EVENT_DEREGISTERED);
    assert_int_equal(fix_count(f, COUNTER_deregisters), 1);
    assert_int_equal(f->dir->alive, 0);
    deregister(f, id);
    assert_int_equal(fix_code(f), 0x84);
}

static void test_deregister_fails(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    fix_code(f);
    f->hold = true;
    deregister(f, id);
    deregister(f, id); /* repeated with another message id: waits */
    fix_commit(f, ERR_STORE);
    assert_int_equal(fix_code(f), 0);
    assert_non_null(fix_find(f, 1));
    fix_commit(f, ERR_OK); /* of the second */
    assert_int_equal(fix_code(f), PDU_DELETED);
    assert_null(fix_find(f, 1));
}

static void test_deregister_full(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    fix_code(f);
    f->store_full = true;
    deregister(f, id);
    assert_int_equal(fix_code(f), 0);
    assert_non_null(fix_find(f, 1));
    assert_null(fix_find(f, 1)->rare);
}

static void test_operator_deregisters(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    f->hold = true;
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_int_equal(f->done_count, 0);
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_int_equal(f->done->result.rc, ERR_BUSY);
    fix_commit(f, ERR_STORE);
    assert_int_equal(f->done->result.rc, ERR_STORE);
    assert_non_null(fix_find(f, 1));
    f->hold = false;
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_null(fix_find(f, 1));
    assert_int_equal(fix_event(f, 0)->type, EVENT_DEREGISTERED);
    f->store_full = true;
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_int_equal(f->done->result.rc, ERR_UNREGISTERED);
}

/* Replaced while the store forgets it. */
static void test_register_meets_deregister(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    deregister(f, id);
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    {
        /* The other way round: the Register is stored first. */
        struct mbox_node *first = f->txns, *second = first->next;

        f->txns = second;
        second->next = first;
        first->next = NULL;
        f->txns_end = &first->next;
    }
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 60);
    assert_int_equal(f->dir->alive, 1);
    assert_int_equal(fix_events(f, EVENT_REPLACED), 1);
    assert_int_equal(fix_events(f, EVENT_DEREGISTERED), 0);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_expires_after_grace),
        ROW(test_updates_keep_it),
        ROW(test_never),
        ROW(test_years),
        ROW(test_store_refuses),
        ROW(test_update_meets_expiry),
        ROW(test_braked),
        ROW(test_deregister),
        ROW(test_deregister_fails),
        ROW(test_deregister_full),
        ROW(test_operator_deregisters),
        ROW(test_register_meets_deregister),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
