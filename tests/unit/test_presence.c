/* Queue mode: src/lwm2m/presence.c. */
#include "domain_fixture.h"

static struct op *write_of(struct fix *f, unsigned device, const char *path, int64_t value)
{
    struct op *op = fix_durable(f, OP_WRITE_REPLACE, device, path);

    fix_op_value(op, path, fix_integer(value));
    return op;
}

static void update(struct fix *f, unsigned device)
{
    fix_post(f, device, fix_path(fix_find(f, device)->id), "", "");
}

static void changed(struct fix *f, unsigned device)
{
    fix_answer(f, device, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
}

static const struct registration *status(struct fix *f, unsigned device)
{
    fix_do(f, OP_STATUS, device, "/");
    return f->done->result.registration;
}

static void test_window(void **state)
{
    struct fix *f = *state;

    fix_sleeper(f, 1);
    assert_true(presence_awake(fix_find(f, 1)));
    assert_true(status(f, 1)->awake);
    assert_in_range(f->done->result.registration->awake_until_ms, FIX_WALL + 92000,
                    FIX_WALL + 93000);
    fix_advance(f, 60000);
    update(f, 1);
    fix_advance(f, 60000); /* from the last message on */
    assert_true(presence_awake(fix_find(f, 1)));
    assert_int_equal(fix_events(f, EVENT_ASLEEP), 0);
    fix_advance(f, 34000);
    assert_false(presence_awake(fix_find(f, 1)));
    assert_int_equal(fix_events(f, EVENT_ASLEEP), 1);
    assert_false(status(f, 1)->awake);
    assert_true(f->done->result.registration->awake_until_ms > FIX_WALL);
    update(f, 1);
    assert_true(presence_awake(fix_find(f, 1)));
    assert_int_equal(fix_events(f, EVENT_AWAKE), 1);
    assert_null(fix_find(f, 1)->rare); /* it costs nothing more */
    /* Another is always there. */
    fix_device(f, 2);
    fix_advance(f, 94000);
    assert_true(presence_awake(fix_find(f, 2)));
    assert_true(status(f, 2)->awake);
    assert_int_equal(f->done->result.registration->awake_until_ms, 0);
}

static void test_nothing_is_sent_to_a_sleeper(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    before = f->sent_count;
    fix_do(f, OP_READ, 1, "/3/0/9");
    assert_int_equal(f->done->result.rc, ERR_ASLEEP);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_start(f, write_of(f, 1, "/1/0/3", 6));
    fix_advance(f, 100000);
    assert_int_equal(f->sent_count, before);
    /* Its Update is answered before it is asked anything. */
    update(f, 1);
    assert_int_equal(f->sent_count, before + 1);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CHANGED);
    fix_advance(f, 2);
    assert_int_equal(f->sent_count, before + 2);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/3");
    changed(f, 1);
    assert_int_equal(f->done_count, 3);
    assert_int_equal(f->done->state, OP_STATE_DONE);
}

/* An Update that changes something is answered after COMMIT, and everything else after that. */
static void test_update_that_changes(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    before = f->sent_count;
    f->hold = true;
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "lt=900", "");
    fix_advance(f, 50);
    assert_int_equal(f->sent_count, before);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CHANGED);
    fix_commit(f, ERR_OK);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
}

static void test_falls_silent(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_sleeper(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    before = f->sent_count;
    fix_advance(f, 94000); /* retransmissions, and that was all */
    assert_int_equal(f->sent_count, before + 4);
    assert_false(presence_awake(fix_find(f, 1)));
    assert_int_equal(fix_events(f, EVENT_ASLEEP), 1);
    fix_advance(f, 200000);
    assert_int_equal(f->sent_count, before + 4); /* no storm */
    update(f, 1);
    fix_advance(f, 2);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2"); /* in order, once more */
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/5/0/2");
    fix_advance(f, 94000);
    assert_int_equal(f->done->result.rc, ERR_UNKNOWN);
    assert_int_equal(f->done->state, OP_STATE_UNKNOWN);
    before = f->sent_count;
    update(f, 1);
    fix_advance(f, 10);
    assert_int_equal(f->sent_count, before + 1);
}

/* Without queue mode it is tried again after a while, longer each time, or when it is heard. */
static void test_silent_without_queue_mode(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_register(f, 1, "ep=dev1&lt=86400&lwm2m=1.1", fix_links);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    before = f->sent_count;
    fix_advance(f, 94000);
    assert_int_equal(f->sent_count, before + 4);
    fix_start(f, write_of(f, 1, "/1/0/3", 5)); /* waits too */
    fix_do(f, OP_READ, 1, "/3/0/9");           /* an operator wants to see for himself */
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    assert_int_equal(f->sent_count, before + 5);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    fix_advance(f, 2);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    fix_advance(f, 4 * 3600000); /* four attempts are enough */
    assert_int_equal(f->sent_count, before - 1 + 1 + 4 * 5 + 4 * 5);
    assert_int_equal(f->d->durable_count, 0);
    assert_int_equal(fix_count(f, COUNTER_ops_completed), 3);
    assert_int_equal(f->done->state, OP_STATE_UNKNOWN);
}

static void test_reset_on_waking(void **state)
{
    struct fix *f = *state;
    uint16_t mid;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    update(f, 1);
    fix_advance(f, 2);
    mid = fix_sent(f, 0)->pdu.mid;
    fix_reset(f, 1);
    assert_int_not_equal(fix_sent(f, 0)->pdu.mid, mid);
    assert_string_equal(fix_sent(f, 0)->path, "/5/0/2");
    fix_reset(f, 1);
    assert_int_equal(f->done->state, OP_STATE_REJECTED);
    /* One that an operator waits for, too. */
    fix_advance(f, 94000);
    update(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_reset(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
}

/* Where there is time left in the window, silence is no reason to wait for the next. */
static void test_once_more_in_a_long_window(void **state)
{
    struct fix *f = *state;
    size_t before;

    f->d->cfg.awake_window_s = 240;
    fix_sleeper(f, 1);
    before = f->sent_count;
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_advance(f, 230000);
    assert_int_equal(f->sent_count, before + 10);
    assert_false(presence_awake(fix_find(f, 1)));
    fix_advance(f, 200000);
    assert_int_equal(f->sent_count, before + 10);
}

static void test_expires_while_asleep(void **state)
{
    struct fix *f = *state;
    struct op *op;
    size_t before;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    op = write_of(f, 1, "/1/0/2", 5);
    op->expires_ms = FIX_WALL + 94000 + 5000;
    fix_start(f, op);
    fix_advance(f, 4990);
    assert_int_equal(f->done_count, 0);
    fix_advance(f, 20);
    assert_int_equal(f->done->result.rc, ERR_EXPIRED);
    assert_int_equal(f->done->state, OP_STATE_EXPIRED);
    before = f->sent_count;
    update(f, 1);
    fix_advance(f, 10);
    assert_int_equal(f->sent_count, before + 1);
}

/* Once complete it is the submitter's. */
static void spoil(struct op *op)
{
    struct fix *f = op->ctx;

    f->done_count++;
    assert_int_equal(op->result.rc, ERR_ACCEPTED);
    op->state = OP_STATE_SENT;
    op_free(op);
}

static void test_expires_when_nobody_waits_any_more(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    op = write_of(f, 1, "/1/0/2", 5);
    op->done = spoil;
    op->patient = true;
    op->deadline = f->now + 5000;
    op->expires_ms = FIX_WALL + 94000 + 5000;
    fix_start(f, op);
    fix_advance(f, 4900);
    assert_int_equal(f->done_count, 0);
    fix_advance(f, 200);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(fix_event(f, 0)->operation->state, OP_STATE_EXPIRED);
}

/* ---- learning -------------------------------------------------------------------------------- */

static void test_window_is_learned(void **state)
{
    struct fix *f = *state;
    struct device *dev;

    fix_sleeper(f, 1);
    dev = fix_find(f, 1);
    fix_advance(f, 40000);
    fix_do(f, OP_READ, 1, "/3/0/9"); /* 40 s after its last message: it sleeps already */
    fix_advance(f, 94000);
    assert_int_equal(dev->window, 30);
    update(f, 1);
    fix_advance(f, 31000);
    assert_false(presence_awake(dev));
    /* It listens longer than that. */
    update(f, 1);
    fix_advance(f, 25000);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(dev->window, 38);
    /* Never less than a few seconds. */
    for (int i = 0; i < 5; i++) {
        update(f, 1);
        fix_advance(f, 6000);
        fix_do(f, OP_READ, 1, "/3/0/9");
        fix_advance(f, 200000);
    }
    assert_int_equal(dev->window, 5);
    for (int i = 0; i < 20; i++) {
        update(f, 1);
        fix_advance(f, (dev->window == 0 ? 93u : dev->window) * 1000u - 1000u);
        fix_do(f, OP_READ, 1, "/3/0/9");
        fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    }
    assert_int_equal(dev->window, 0); /* as configured */
}

static void test_slow_network_listens_longer(void **state)
{
    struct fix *f = *state;

    f->profile = 1;
    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    assert_true(presence_awake(fix_find(f, 1)));
    fix_advance(f, 20000);
    assert_false(presence_awake(fix_find(f, 1)));
}

/* ---- the lifetime ---------------------------------------------------------------------------- */

static void test_overdue(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_advance(f, 299000);
    assert_int_equal(fix_events(f, EVENT_OVERDUE), 0);
    fix_advance(f, 2000);
    assert_int_equal(fix_events(f, EVENT_OVERDUE), 1);
    update(f, 1);
    fix_advance(f, 320000);
    assert_int_equal(fix_events(f, EVENT_OVERDUE), 2); /* once a lifetime */
    fix_advance(f, 75000);
    assert_int_equal(fix_events(f, EVENT_EXPIRED), 1);
    assert_int_equal(fix_events(f, EVENT_OVERDUE), 2);
}

static void test_queue_mode_comes_and_goes(void **state)
{
    struct fix *f = *state;
    struct device *dev;

    fix_device(f, 1);
    dev = fix_find(f, 1);
    fix_post(f, 1, fix_path(dev->id), "Q", "");
    fix_advance(f, 94000);
    assert_false(presence_awake(dev));
    fix_register(f, 2, "ep=dev2&lt=300&lwm2m=1.0&b=UQ", fix_links);
    fix_advance(f, 94000);
    dev = fix_find(f, 2);
    assert_false(presence_awake(dev));
    fix_post(f, 2, fix_path(dev->id), "b=U", "");
    assert_true(presence_awake(dev));
    fix_advance(f, 94000);
    assert_true(presence_awake(dev));
}

static void test_stops_waiting_when_it_sleeps(void **state)
{
    struct fix *f = *state;

    f->d->cfg.awake_window_s = 10;
    fix_sleeper(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_do(f, OP_READ, 1, "/3/0/13");
    fix_advance(f, 60000); /* one is still under way */
    assert_int_equal(f->done_count, 0);
    fix_advance(f, 40000);
    assert_int_equal(f->done_count, 2);
    assert_int_equal(f->done->result.rc, ERR_ASLEEP);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_window),
        ROW(test_nothing_is_sent_to_a_sleeper),
        ROW(test_update_that_changes),
        ROW(test_falls_silent),
        ROW(test_silent_without_queue_mode),
        ROW(test_reset_on_waking),
        ROW(test_once_more_in_a_long_window),
        ROW(test_expires_while_asleep),
        ROW(test_expires_when_nobody_waits_any_more),
        ROW(test_window_is_learned),
        ROW(test_slow_network_listens_longer),
        ROW(test_overdue),
        ROW(test_queue_mode_comes_and_goes),
        ROW(test_stops_waiting_when_it_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
