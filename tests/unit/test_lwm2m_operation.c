/* Operations that outlive us: src/lwm2m/operation.c, queue.c. */
#include "domain_fixture.h"

static struct op *write_of(struct fix *f, unsigned device, const char *path, int64_t value)
{
    struct op *op = fix_durable(f, OP_WRITE_REPLACE, device, path);

    fix_op_value(op, path, fix_integer(value));
    return op;
}

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    return rd_u64(&r);
}

/* The newest event is of an operation in this state. */
static void expect_state(struct fix *f, enum op_state state)
{
    for (size_t i = 0; i < 8; i++) {
        const struct event *e = fix_event(f, i);

        if (e == NULL || e->type != EVENT_OPERATION)
            continue;
        assert_int_equal(e->operation->state, state);
        return;
    }
    fail_msg("no event of an operation");
}

static void expect_done(struct fix *f, size_t count, int rc, enum op_state state)
{
    assert_int_equal(f->done_count, count);
    assert_int_equal(f->done->result.rc, rc);
    assert_int_equal(f->done->state, state);
}

static void changed(struct fix *f, unsigned device)
{
    fix_answer(f, device, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
}

/* ---- the happy way --------------------------------------------------------------------------- */

static void test_stored_before_it_is_sent(void **state)
{
    struct fix *f = *state;
    const struct operation *o;
    size_t before;

    fix_device(f, 1);
    before = f->sent_count;
    f->hold = true;
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    assert_int_equal(f->sent_count, before);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_PUT_OPERATION);
    o = fix_txn(f, 0)->operation;
    assert_int_equal(o->state, OP_STATE_SENT); /* it is its turn: one commit is enough */
    assert_int_equal(o->attempt_count, 1);
    assert_int_equal(o->attempts[0].token >> 56, fix_find(f, 1)->id >> 56);
    {
        uint64_t token = o->attempts[0].token;

        fix_commit(f, ERR_OK);
        assert_int_equal(f->sent_count, before + 1);
        assert_int_equal(token_of(fix_sent(f, 0)), token);
    }
    expect_state(f, OP_STATE_SENT);
    changed(f, 1);
    assert_int_equal(f->done_count, 0);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_SET_OPERATION);
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_DONE);
    assert_int_equal(fix_txn(f, 0)->operation->code, PDU_CHANGED);
    assert_int_equal(fix_txn(f, 0)->operation->attempts[0].code, PDU_CHANGED);
    assert_true(fix_txn(f, 0)->operation->settled_ms > 0);
    fix_commit(f, ERR_OK);
    expect_done(f, 1, ERR_OK, OP_STATE_DONE);
    expect_state(f, OP_STATE_DONE);
    assert_null(fix_find(f, 1)->rare);
    assert_int_equal(f->d->durable_count, 0);
}

static void test_one_waits_for_the_other(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    before = f->sent_count;
    fix_start(f, write_of(f, 1, "/1/0/3", 6));
    assert_int_equal(f->sent_count, before);
    expect_state(f, OP_STATE_QUEUED);
    f->hold = true;
    changed(f, 1);
    assert_int_equal(f->sent_count, before);
    /* The outcome of the first is in the store before the second is. */
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_DONE);
    assert_int_equal(fix_txn(f, 1)->operation->state, OP_STATE_SENT);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->sent_count, before + 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/3");
    f->hold = false;
    changed(f, 1);
    expect_done(f, 2, ERR_OK, OP_STATE_DONE);
}

static void test_priorities(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 1));
    op = write_of(f, 1, "/1/0/3", 2);
    op->priority = OP_PRIORITY_LOW;
    fix_start(f, op);
    fix_start(f, write_of(f, 1, "/1/0/6", 1));
    op = write_of(f, 1, "/1/0/5", 4);
    op->priority = OP_PRIORITY_HIGH;
    fix_start(f, op);
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/5");
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/6");
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/3");
}

/* A format that is refused: another attempt, with a token of its own. */
static void test_formats(void **state)
{
    struct fix *f = *state;
    uint64_t first;

    fix_device(f, 1);
    fix_start(f, fix_durable(f, OP_READ, 1, "/3/0/9"));
    first = token_of(fix_sent(f, 0));
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_not_equal(token_of(fix_sent(f, 0)), first);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("7"), -1);
    expect_done(f, 1, ERR_OK, OP_STATE_DONE);
    assert_int_equal(f->done->attempt_count, 2);
    assert_int_equal(f->done->attempts[0].code, 0x86);
    assert_int_equal(batch_size(f->done->result.values), 1);
    assert_true(fix_event(f, 0)->operation->result.n > 0);
}

/* ---- what the device says -------------------------------------------------------------------- */

static void test_outcomes(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_answer(f, 1, 0x80, FORMAT_NONE, TEXT("no"), -1);
    expect_done(f, 1, ERR_DEVICE, OP_STATE_REJECTED);
    assert_string_equal(f->done->result.text, "no");
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_answer(f, 1, 0xa0, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 2, ERR_DEVICE, OP_STATE_DEVICE_ERROR);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_reset(f, 1);
    expect_done(f, 3, ERR_RESET, OP_STATE_REJECTED);
    /* What cannot be known to fail is refused before anything is stored. */
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/3/0/9"));
    assert_int_equal(f->done->result.rc, ERR_OPERATION);
    assert_int_equal(f->by_kind[TXN_PUT_OPERATION], 3);
}

/* ---- the store ------------------------------------------------------------------------------- */

static void test_store_refuses(void **state)
{
    struct fix *f = *state;
    struct operation *first;
    size_t before;

    fix_device(f, 1);
    before = f->sent_count;
    f->store_full = true;
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    expect_done(f, 1, ERR_FULL, OP_STATE_SENT);
    f->store_full = false;
    f->hold = true;
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_commit(f, ERR_DISKFULL);
    assert_int_equal(f->done->result.rc, ERR_DISKFULL);
    /* The key was used before. */
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    first = operation_copy(fix_txn(f, 0)->operation);
    first->id.b[15] ^= 1;
    first->state = OP_STATE_DONE;
    first->code = PDU_CHANGED;
    fix_txn(f, 0)->carried_operations = mem_new(sizeof(struct operation *));
    fix_txn(f, 0)->carried_operations[0] = first;
    fix_txn(f, 0)->carried_operation_count = 1;
    {
        struct op_id id = first->id;

        fix_commit(f, ERR_EXISTS);
        expect_done(f, 3, ERR_EXISTS, OP_STATE_DONE);
        assert_true(op_id_eq(&f->done->id, &id));
        assert_int_equal(f->done->result.coap_code, PDU_CHANGED);
    }
    assert_int_equal(f->sent_count, before);
    assert_null(fix_find(f, 1)->rare);
}

static void test_store_fails_on_the_way(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    f->hold = true;
    before = f->sent_count;
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    fix_commit(f, ERR_STORE); /* to SENT: it is not */
    assert_int_equal(f->sent_count, before);
    fix_advance(f, 1001);
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_SENT);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->sent_count, before + 1);
    changed(f, 1);
    fix_commit(f, ERR_STORE); /* the outcome */
    assert_int_equal(f->done_count, 1);
    fix_advance(f, 1001);
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_DONE);
    fix_commit(f, ERR_OK);
    expect_done(f, 2, ERR_OK, OP_STATE_DONE);
    assert_int_equal(f->sent_count, before + 1);
}

/* Somebody else has settled it: the store takes no step back. */
static void test_settled_elsewhere(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    f->hold = true;
    before = f->sent_count;
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    fix_commit(f, ERR_STALE);
    assert_int_equal(f->sent_count, before);
    assert_int_equal(f->done->result.rc, ERR_STALE);
    assert_null(fix_find(f, 1)->rare);
}

/* ---- whoever waits --------------------------------------------------------------------------- */

static void test_goes_on_without_him(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = write_of(f, 1, "/1/0/2", 5);
    op->deadline = f->now + 1000;
    fix_start(f, op);
    fix_advance(f, 1001);
    expect_done(f, 1, ERR_ACCEPTED, OP_STATE_SENT);
    assert_int_equal(f->d->run_count, 1);
    changed(f, 1);
    expect_state(f, OP_STATE_DONE);
    assert_int_equal(f->done_count, 1);
    /* Not before it is stored. */
    f->hold = true;
    op = write_of(f, 1, "/1/0/2", 6);
    op->deadline = f->now + 10;
    fix_start(f, op);
    fix_advance(f, 100);
    assert_int_equal(f->done_count, 1);
    fix_commit(f, ERR_OK);
    expect_done(f, 2, ERR_ACCEPTED, OP_STATE_SENT);
}

static void test_limits(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    for (int i = 0; i < 64; i++)
        fix_start(f, write_of(f, 1, "/1/0/2", i));
    assert_int_equal(f->done_count, 0);
    fix_start(f, write_of(f, 1, "/1/0/2", 64));
    assert_int_equal(f->done->result.rc, ERR_QUEUE);
    f->d->cfg.durable_limit = 64;
    fix_device(f, 2);
    fix_start(f, write_of(f, 2, "/1/0/2", 1));
    assert_int_equal(f->done->result.rc, ERR_QUEUE);
    assert_int_equal(fix_count(f, COUNTER_ops_refused), 2);
}

/* Equal ones that wait are one. */
static void test_joins(void **state)
{
    struct fix *f = *state;
    struct op *op;
    struct op_id id;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_start(f, write_of(f, 1, "/1/0/2", 5)); /* the first is on the wire */
    assert_int_equal(f->done_count, 0);
    op = write_of(f, 1, "/1/0/3", 6);
    id = op->id;
    fix_start(f, op);
    fix_start(f, write_of(f, 1, "/1/0/3", 6));
    expect_done(f, 1, ERR_EXISTS, OP_STATE_QUEUED);
    assert_true(op_id_eq(&f->done->id, &id));
    assert_int_equal(fix_count(f, COUNTER_ops_joined), 1);
    fix_start(f, write_of(f, 1, "/1/0/3", 7)); /* another value, and then the first again */
    fix_start(f, write_of(f, 1, "/1/0/3", 6));
    assert_int_equal(f->done_count, 1);
    op = write_of(f, 1, "/1/0/3", 6); /* one with a key is kept under it */
    op->key = mem_text("k", 1);
    fix_start(f, op);
    assert_int_equal(f->done_count, 1);
    op = write_of(f, 1, "/1/0/3", 6); /* this one is in a hurry */
    op->priority = OP_PRIORITY_HIGH;
    fix_start(f, op);
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    assert_int_equal(f->done_count, 1);
}

static void cancel(struct fix *f, unsigned device, const struct op_id *id)
{
    struct op *op = fix_op(f, OP_CANCEL, device, "/");

    op->target = *id;
    fix_start(f, op);
}

static void test_cancel(void **state)
{
    struct fix *f = *state;
    struct op *first, *second;
    struct op_id a, b;
    size_t before;

    fix_device(f, 1);
    first = write_of(f, 1, "/1/0/2", 5);
    second = write_of(f, 1, "/1/0/3", 6);
    a = first->id;
    b = second->id;
    fix_start(f, first);
    fix_start(f, second);
    cancel(f, 1, &a);
    expect_done(f, 1, ERR_CONFLICT, OP_STATE_SENT);
    f->hold = true;
    cancel(f, 1, &b);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_CANCELLED);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done_count, 3); /* both have got their answer */
    expect_state(f, OP_STATE_CANCELLED);
    f->hold = false;
    before = f->sent_count;
    changed(f, 1);
    assert_int_equal(f->sent_count, before);
    cancel(f, 1, &b);
    assert_int_equal(f->done->result.rc, ERR_NOTFOUND);
    /* While the store hears of it. */
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    f->hold = true;
    second = write_of(f, 1, "/1/0/3", 6);
    b = second->id;
    fix_start(f, second);
    cancel(f, 1, &b);
    fix_commit(f, ERR_OK);
    fix_commit(f, ERR_OK);
    expect_state(f, OP_STATE_CANCELLED);
}

/* ---- restart, Register ----------------------------------------------------------------------- */

static void load(struct fix *f, struct op *op)
{
    struct operation *o;

    assert_int_equal(operation_of_op(op, &o), ERR_OK);
    op_free(op);
    assert_int_equal(domain_load_operation(f->d, o, f->now), ERR_OK);
    mem_free(o);
    while (f->txns != NULL && !f->hold)
        fix_commit(f, ERR_OK);
}

static struct op *sent_before(struct fix *f, struct op *op, uint64_t token)
{
    struct op_attempt attempt = {.token = token, .sent_ms = FIX_WALL - 60000};

    op->state = OP_STATE_SENT;
    assert_int_equal(op_attempt_add(op, &attempt), ERR_OK);
    (void)f;
    return op;
}

static void test_restart(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    load(f, sent_before(f, write_of(f, 1, "/1/0/2", 5), 77));
    load(f, write_of(f, 1, "/1/0/3", 6));
    load(f, sent_before(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"), 78));
    expect_state(f, OP_STATE_UNKNOWN); /* nobody knows whether it was done: not again */
    assert_int_equal(f->d->durable_count, 2);
    fix_advance(f, 10001);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2"); /* the same value once more */
    assert_int_not_equal(token_of(fix_sent(f, 0)), 77);
    changed(f, 1);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/3");
    changed(f, 1);
    expect_state(f, OP_STATE_DONE);
    assert_int_equal(f->d->durable_count, 0);
    /* The endpoint is not here. */
    {
        struct op *op = write_of(f, 9, "/1/0/2", 5);
        struct operation *o;

        assert_int_equal(operation_of_op(op, &o), ERR_OK);
        assert_int_equal(domain_load_operation(f->d, o, f->now), ERR_NOTFOUND);
        op_free(op);
        mem_free(o);
    }
}

static void carry(struct txn *t, struct op *op)
{
    struct operation **grown =
        mem_resize(t->carried_operations, (t->carried_operation_count + 1) * sizeof(*grown));

    assert_non_null(grown);
    t->carried_operations = grown;
    assert_int_equal(operation_of_op(op, &grown[t->carried_operation_count++]), ERR_OK);
    op_free(op);
}

static void test_waits_for_the_register(void **state)
{
    struct fix *f = *state;
    struct op *again;
    struct op_id id;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1&Q", fix_links);
    again = write_of(f, 1, "/1/0/2", 5);
    id = again->id;
    carry(fix_txn(f, 0), again);
    carry(fix_txn(f, 0), write_of(f, 1, "/1/0/3", 6));
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CREATED);
    assert_int_equal(f->d->durable_count, 2);
    fix_commit(f, ERR_OK);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    /* A straggler that says the same is nothing new. */
    again = write_of(f, 1, "/1/0/2", 5);
    again->id = id;
    again->stored = true;
    fix_start(f, again);
    expect_done(f, 1, ERR_ACCEPTED, OP_STATE_QUEUED);
    assert_int_equal(f->d->durable_count, 2);
}

/* A newer Register has won: what this one was to take up goes to that. */
static void test_overtaken_register(void **state)
{
    struct fix *f = *state;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
    carry(fix_txn(f, 0), write_of(f, 1, "/1/0/2", 5));
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->d->device_count, 1);
    assert_int_equal(f->d->durable_count, 1);
    fix_commit(f, ERR_OK);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
}

static void test_registers_anew(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    fix_start(f, write_of(f, 1, "/1/0/3", 6));
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    changed(f, 1);
    changed(f, 1);
    expect_done(f, 2, ERR_OK, OP_STATE_DONE);
    assert_int_equal(f->done->attempt_count, 1);
    /* An Execute that may have been done is not done again. */
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    before = f->sent_count;
    fix_device(f, 1);
    assert_int_equal(f->sent_count, before + 1);
    expect_done(f, 3, ERR_UNKNOWN, OP_STATE_UNKNOWN);
    /* One that the store has still to take follows when it has. */
    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    fix_commit(f, ERR_OK); /* the Register, then the operation of the old device */
    assert_int_equal(f->d->durable_count, 1);
    fix_commit(f, ERR_OK);
    assert_string_equal(fix_sent(f, 0)->path, "/5/0/2");
    changed(f, 1);
    fix_commit(f, ERR_OK);
    expect_done(f, 4, ERR_OK, OP_STATE_DONE);
}

static void test_end_of_registration(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    op = write_of(f, 1, "/1/0/3", 6);
    fix_start(f, op);
    f->hold = true;
    fix_start(f, write_of(f, 1, "/1/0/3", 7)); /* the store has still to take it */
    fix_do(f, OP_DEREGISTER, 1, "/");
    fix_start(f, write_of(f, 1, "/1/0/3", 8));
    assert_int_equal(f->done->result.rc, ERR_BUSY);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done_count, 5);
    assert_int_equal(f->d->run_count, 0);
    assert_int_equal(f->d->durable_count, 0);
    assert_null(fix_txn(f, 0)); /* the store keeps them as they are */
}

static void test_stop(void **state)
{
    struct fix *f = fix_new();

    (void)state;
    fix_device(f, 1);
    fix_start(f, write_of(f, 1, "/1/0/2", 5));
    f->hold = true;
    changed(f, 1); /* its outcome is on its way to the store */
    fix_start(f, write_of(f, 1, "/1/0/2", 6));
    domain_free(f->d, f->now);
    assert_int_equal(f->done_count, 2);
    f->d = NULL;
    fix_free(f);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_stored_before_it_is_sent),
        ROW(test_one_waits_for_the_other),
        ROW(test_priorities),
        ROW(test_formats),
        ROW(test_outcomes),
        ROW(test_store_refuses),
        ROW(test_store_fails_on_the_way),
        ROW(test_settled_elsewhere),
        ROW(test_goes_on_without_him),
        ROW(test_limits),
        ROW(test_joins),
        ROW(test_cancel),
        ROW(test_restart),
        ROW(test_waits_for_the_register),
        ROW(test_overtaken_register),
        ROW(test_registers_anew),
        ROW(test_end_of_registration),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
