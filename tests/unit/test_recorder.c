/* What is kept for the record: src/shard/recorder.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/recorder.h"

struct rig {
    struct recorder *r;
    struct counters counters;
    struct txn *t; /* the last */
    size_t txns, entries;
    unsigned pressure;
    bool full;
};

static int on_txn(void *ctx, struct txn *t)
{
    struct rig *g = ctx;

    if (g->full)
        return ERR_FULL;
    txn_free(g->t);
    g->t = t;
    g->txns++;
    g->entries += t->entry_count;
    return ERR_OK;
}

static unsigned on_pressure(void *ctx)
{
    return ((struct rig *)ctx)->pressure;
}

static int setup(void **state)
{
    static const struct recorder_out out = {.txn = on_txn, .pressure = on_pressure};
    struct rig *g = mem_new(sizeof(*g));

    assert_non_null(g);
    g->r = recorder_new(&out, g, 10, &g->counters);
    assert_non_null(g->r);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct rig *g = *state;

    recorder_free(g->r);
    txn_free(g->t);
    mem_free(g);
    return 0;
}

static void tell(struct rig *g, enum event_type type, bool renewal, uint64_t now)
{
    struct event *e = event_new(type, VIEW_LIT("dev1"), 5000);

    assert_non_null(e);
    e->registration_id = 77;
    e->renewal = renewal;
    assert_int_equal(addr_parse(VIEW_LIT("127.0.0.1:5683"), &e->flow.peer), ERR_OK);
    recorder_event(g->r, e, now);
    event_unref(e);
}

static struct batch *some_values(void)
{
    struct record r = {.value = {.type = VALUE_INTEGER, .u.integer = 5}};
    struct batch *b = batch_new();

    assert_int_equal(path_parse(VIEW_LIT("/3/0/9"), &r.path), ERR_OK);
    assert_int_equal(batch_add(b, &r), ERR_OK);
    return b;
}

static void test_together(void **state)
{
    struct rig *g = *state;
    struct batch *b = some_values();

    assert_int_equal(recorder_next(g->r), UINT64_MAX);
    tell(g, EVENT_REGISTERED, false, 1000);
    recorder_values(g->r, VIEW_LIT("dev2"), 78, ORIGIN_READ, b, 6000, 1050);
    batch_free(b);
    assert_int_equal(recorder_next(g->r), 1200);
    recorder_run(g->r, 1199);
    assert_int_equal(g->txns, 0);
    recorder_run(g->r, 1200);
    assert_int_equal(g->txns, 1);
    assert_int_equal(g->t->kind, TXN_RECORD);
    assert_int_equal(g->t->entry_count, 2);
    assert_true(g->t->entries[0].listed);
    assert_int_equal(g->t->entries[0].type, EVENT_REGISTERED);
    assert_true(view_eq_str(g->t->entries[0].endpoint, "dev1"));
    assert_true(view_eq_str(g->t->entries[0].detail, "127.0.0.1:5683"));
    assert_int_equal(g->t->entries[0].time_ms, 5000);
    assert_int_equal(g->t->entries[0].registration_id, 77);
    assert_false(g->t->entries[1].listed);
    assert_true(view_eq_str(g->t->entries[1].endpoint, "dev2"));
    assert_int_equal(g->t->entries[1].origin, ORIGIN_READ);
    assert_int_equal(g->t->entries[1].time_ms, 6000);
    assert_int_equal(batch_size(g->t->entries[1].values), 1);
    assert_int_equal(recorder_next(g->r), UINT64_MAX);
}

static void test_many_at_once(void **state)
{
    struct rig *g = *state;
    struct batch *b = some_values();

    for (int i = 0; i < 256; i++)
        recorder_values(g->r, VIEW_LIT("dev1"), 77, ORIGIN_NOTIFY, b, 1, 1000);
    batch_free(b);
    assert_int_equal(g->txns, 1);
    assert_int_equal(g->entries, 256);
}

static void test_what_is_listed(void **state)
{
    struct rig *g = *state;

    tell(g, EVENT_SEND, false, 1000);
    tell(g, EVENT_NOTIFICATION, false, 1000); /* without values */
    recorder_flush(g->r);
    assert_int_equal(g->txns, 0);
    tell(g, EVENT_OVERDUE, false, 1000);
    tell(g, EVENT_ASLEEP, false, 1000);
    tell(g, EVENT_OPERATION, false, 1000);
    recorder_flush(g->r);
    assert_int_equal(g->entries, 3);
}

static void test_budget(void **state)
{
    struct rig *g = *state;

    for (int i = 0; i < 8; i++)
        tell(g, EVENT_UPDATED, true, 1000);
    for (int i = 0; i < 8; i++)
        tell(g, EVENT_UPDATED, false, 1000);
    recorder_flush(g->r);
    assert_int_equal(g->entries, 10);
    assert_int_equal(counter_get(&g->counters, COUNTER_timeline_renewals_dropped), 3);
    assert_int_equal(counter_get(&g->counters, COUNTER_timeline_dropped), 3);
    tell(g, EVENT_UPDATED, true, 2000); /* another second */
    recorder_flush(g->r);
    assert_int_equal(g->entries, 11);
}

static void test_pressure(void **state)
{
    struct rig *g = *state;
    struct batch *b = some_values();

    g->pressure = 500;
    tell(g, EVENT_UPDATED, true, 1000);
    tell(g, EVENT_REGISTERED, false, 1000);
    recorder_values(g->r, VIEW_LIT("dev1"), 77, ORIGIN_NOTIFY, b, 1, 1000);
    g->pressure = 750;
    tell(g, EVENT_REGISTERED, false, 2000);
    recorder_values(g->r, VIEW_LIT("dev1"), 77, ORIGIN_NOTIFY, b, 1, 2000);
    recorder_flush(g->r);
    assert_int_equal(g->entries, 2);
    assert_int_equal(counter_get(&g->counters, COUNTER_timeline_renewals_dropped), 1);
    assert_int_equal(counter_get(&g->counters, COUNTER_timeline_dropped), 1);
    assert_int_equal(counter_get(&g->counters, COUNTER_values_dropped), 1);
    g->pressure = 0;
    g->full = true; /* the queue refuses it after all */
    tell(g, EVENT_REGISTERED, false, 3000);
    recorder_values(g->r, VIEW_LIT("dev1"), 77, ORIGIN_NOTIFY, b, 1, 3000);
    recorder_flush(g->r);
    batch_free(b);
    assert_int_equal(counter_get(&g->counters, COUNTER_timeline_dropped), 2);
    assert_int_equal(counter_get(&g->counters, COUNTER_values_dropped), 2);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_together), ROW(test_many_at_once), ROW(test_what_is_listed),
        ROW(test_budget),   ROW(test_pressure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
