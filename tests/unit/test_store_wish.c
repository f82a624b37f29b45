/* Observations as wishes of an endpoint: they outlive its registrations. */
#include "store_kept.h"

#include <sqlite3.h>

static uint64_t id_at(uint64_t n)
{
    char name[32];

    return device(n, name).id;
}

static const struct observation *wanted(struct fixture *f, const char *endpoint, size_t count)
{
    static struct observed o;

    o.count = 0;
    assert_int_equal(read_wanted(f->reader, view_str(endpoint), observed_add, &o), ERR_OK);
    assert_int_equal(o.count, count);
    return count ? o.o[0] : NULL;
}

static void they_wait_for_the_next_register(void **state)
{
    struct fixture *f = *state;
    const struct observation *o;
    struct txn *t;

    put_devices(f->store, 1, 2);
    assert_int_equal(run(f->store, wish_txn(11, 1, id_at(1), 500)), ERR_OK);
    assert_int_equal(run(f->store, wish_txn(10, 1, id_at(1), 600)), ERR_OK);
    assert_int_equal(run(f->store, wish_txn(12, 2, id_at(2), 700)), ERR_OK);
    leave(f, 1, 0);
    assert_int_equal(count_observations(f), 1); /* of registrations */
    o = wanted(f, "device-00000001", 2);
    assert_int_equal(o->token, 10);
    assert_int_equal(o->row, 0);
    assert_int_equal(o->since_ms, 0);
    assert_view(o->attributes, VIEW_LIT("pmin=5"));
    assert_view(o->paths, VIEW_LIT("/3/0/9,/3/0/13"));
    fixture_close(f);
    fixture_open(f);

    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_observation_count, 2);
    o = t->carried_observations[0];
    assert_int_equal(o->token, 11); /* it was accepted first */
    assert_int_equal(o->row, t->registration->row);
    assert_int_equal(o->registration_id, t->registration->id);
    assert_int_equal(o->since_ms, 0);
    assert_int_equal(o->format, FORMAT_SENML_CBOR);
    assert_view(o->attributes, VIEW_LIT("pmin=5"));
    assert_view(o->paths, VIEW_LIT("/3/0/9,/3/0/13"));
    assert_int_equal(t->carried_observations[1]->token, 10);
    txn_free(t);
    assert_int_equal(count_observations(f), 3);
    assert_int_equal(wanted(f, "device-00000001", 2)->row, 11);

    /* Of a live one its device has them in memory. */
    t = arrive(f, 1, 20);
    assert_int_equal(t->carried_observation_count, 0);
    txn_free(t);
    assert_int_equal(wanted(f, "device-00000001", 2)->row, 21);
    wanted(f, "nobody", 0);
}

static void they_can_be_cancelled_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);

    put_devices(f->store, 1, 1);
    assert_int_equal(run(f->store, wish_txn(10, 1, id_at(1), 1)), ERR_OK);
    leave(f, 1, 0);
    t->token = 10;
    assert_int_equal(run(f->store, t), ERR_OK);
    wanted(f, "device-00000001", 0);
    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_observation_count, 0);
    txn_free(t);
}

static void as_many_as_64_are_taken_up(void **state)
{
    struct fixture *f = *state;
    struct txn *t;

    put_devices(f->store, 1, 1);
    for (uint64_t n = 1; n <= 70; n++)
        assert_int_equal(run(f->store, wish_txn(n, 1, id_at(1), 1000 - (int64_t)n)), ERR_OK);
    leave(f, 1, 0);
    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_observation_count, 64);
    assert_int_equal(t->carried_observations[0]->token, 70);
    txn_free(t);
    assert_int_equal(count_observations(f), 64);
    leave(f, 1, 10);
    wanted(f, "device-00000001", 70);
    t = arrive(f, 1, 20);
    assert_int_equal(t->carried_observation_count, 64);
    txn_free(t);
}

/* One that shares its batch with another that fails is done again, but takes up once. */
static void they_are_taken_up_once(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    char name[32];
    struct registration other = device(5, name);
    struct txn *t;

    put_devices(f->store, 1, 2);
    assert_int_equal(run(f->store, wish_txn(10, 1, id_at(1), 1)), ERR_OK);
    leave(f, 1, 0);
    other.row = 2; /* of another endpoint */
    for (uint64_t n = 0; n < 20; n++)
        submit(f->store, put_txn(&other), &l, n);
    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_observation_count, 1);
    txn_free(t);
    latch_wait(&l, 20);
    for (uint64_t n = 0; n < 20; n++)
        assert_int_equal(l.rc[n], ERR_CONFLICT);
}

/* What cannot be read is left; the device registers, and with what can be. */
static void an_unreadable_one_keeps_nobody_away(void **state)
{
    struct fixture *f = *state;
    struct txn *t;
    sqlite3 *db;

    put_devices(f->store, 1, 1);
    assert_int_equal(run(f->store, wish_txn(10, 1, id_at(1), 1)), ERR_OK);
    assert_int_equal(run(f->store, wish_txn(11, 1, id_at(1), 2)), ERR_OK);
    leave(f, 1, 0);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE observation SET path = 'x' WHERE token = 10", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_observation_count, 1);
    assert_int_equal(t->carried_observations[0]->token, 11);
    txn_free(t);
    assert_int_equal(wanted(f, "device-00000001", 1)->token, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_wait_for_the_next_register, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(they_can_be_cancelled_meanwhile, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(as_many_as_64_are_taken_up, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(they_are_taken_up_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_one_keeps_nobody_away, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
