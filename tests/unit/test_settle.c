/* What has become of an operation without an answer: src/lwm2m/settle.c, late.c. */
#include "domain_fixture.h"

#define SILENCE 100000 /* an exchange has ended by then */

static struct op *write_of(struct fix *f, const char *path, int64_t value)
{
    struct op *op = fix_durable(f, OP_WRITE_REPLACE, 1, path);

    fix_op_value(op, path, fix_integer(value));
    return op;
}

static void update(struct fix *f)
{
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", "");
}

/* Heard: what waits is sent. */
static void wake(struct fix *f)
{
    update(f);
    fix_advance(f, 2);
}

static void answer(struct fix *f, uint8_t code)
{
    fix_answer(f, 1, code, FORMAT_NONE, VIEW_NONE, -1);
}

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    return rd_u64(&r);
}

/* A response in a message of its own, with that token. */
static void answer_late(struct fix *f, unsigned device, uint64_t token, uint8_t code)
{
    uint8_t out[64], bytes[8];
    struct view datagram;
    struct pdu_writer w;

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(token >> (56 - 8 * i));
    pdu_begin(&w, out, sizeof(out), PDU_CON, code, f->mid++, view_of(bytes, sizeof(bytes)));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, device, datagram);
}

static const struct operation *last_operation(struct fix *f)
{
    for (size_t i = 0; i < 16; i++) {
        const struct event *e = fix_event(f, i);

        if (e != NULL && e->type == EVENT_OPERATION)
            return e->operation;
    }
    fail_msg("no event of an operation");
    return NULL;
}

static void expect(struct fix *f, enum op_state state)
{
    assert_int_equal(last_operation(f)->state, state);
}

static int setup(void **state)
{
    struct fix *f = fix_new();

    fix_register(f, 1, "ep=dev1&lt=86400&lwm2m=1.1&b=U&Q", fix_links);
    *state = f;
    return 0;
}

/* ---- sent again, or not ---------------------------------------------------------------------- */

static void test_read_is_sent_again(void **state)
{
    struct fix *f = *state;

    fix_start(f, fix_durable(f, OP_READ, 1, "/3/0/9"));
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_SENT);
    wake(f);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("7"), -1);
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->attempt_count, 2);
}

static void test_four_attempts(void **state)
{
    struct fix *f = *state;
    size_t before;

    fix_start(f, fix_durable(f, OP_READ, 1, "/3/0/9"));
    for (int i = 0; i < 4; i++) {
        expect(f, OP_STATE_SENT);
        fix_advance(f, SILENCE);
        wake(f);
    }
    expect(f, OP_STATE_UNKNOWN);
    assert_int_equal(f->done->result.rc, ERR_UNKNOWN);
    assert_int_equal(f->done->attempt_count, 4);
    before = f->sent_count;
    fix_advance(f, SILENCE);
    wake(f);
    assert_int_equal(f->sent_count, before + 1); /* to the Update */
}

static void test_not_after_it_has_expired(void **state)
{
    struct fix *f = *state;
    struct op *op = write_of(f, "/1/0/2", 5);

    op->expires_ms = FIX_WALL + 150000;
    fix_start(f, op);
    fix_advance(f, 160000);
    expect(f, OP_STATE_UNKNOWN);
}

static void test_newer_write(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_start(f, write_of(f, "/1/0/2", 5));
    fix_advance(f, SILENCE);
    op = write_of(f, "/1/0/2", 6);
    op->priority = OP_PRIORITY_HIGH;
    fix_start(f, op);
    wake(f);
    assert_true(view_eq_str(fix_sent(f, 0)->pdu.payload, "6"));
    /* It reads back whether the older one has come after it. */
    answer(f, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_GET);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("5"), -1);
    assert_true(view_eq_str(fix_sent(f, 0)->pdu.payload, "6"));
    answer(f, PDU_CHANGED);
    /* The older one is not sent again. */
    if (fix_sent(f, 0)->pdu.code == PDU_GET)
        fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("6"), -1);
    expect(f, OP_STATE_UNKNOWN);
    assert_int_equal(f->d->durable_count, 0);
}

static void test_after_an_unknown_write(void **state)
{
    struct fix *f = *state;

    fix_start(f, write_of(f, "/1/0/2", 5));
    for (int i = 0; i < 4; i++) {
        fix_advance(f, SILENCE);
        wake(f);
    }
    expect(f, OP_STATE_UNKNOWN);
    fix_start(f, write_of(f, "/1/0/2", 6));
    answer(f, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_GET);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("6"), -1);
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->result.rc, ERR_OK);
    /* Another path has nothing to do with it. */
    fix_start(f, write_of(f, "/1/0/3", 6));
    answer(f, PDU_CHANGED);
    assert_int_equal(f->done_count, 3);
}

static void test_delete(void **state)
{
    struct fix *f = *state;

    fix_start(f, fix_durable(f, OP_DELETE, 1, "/3303/0"));
    fix_advance(f, SILENCE);
    wake(f);
    answer(f, 0x84); /* it is gone: the first one has come through */
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->result.rc, ERR_OK);
    fix_start(f, fix_durable(f, OP_DELETE, 1, "/3303/1"));
    answer(f, 0x84);
    expect(f, OP_STATE_REJECTED);
}

/* ---- Create ---------------------------------------------------------------------------------- */

static void test_create_with_an_id(void **state)
{
    struct fix *f = *state;

    fix_start(f, fix_durable(f, OP_CREATE, 1, "/3303/7"));
    fix_advance(f, SILENCE);
    wake(f);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_GET);
    assert_string_equal(fix_sent(f, 0)->path, "/3303/7");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("x"), -1);
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->result.location.id[1], 7);
    /* It is not there: once more. */
    fix_start(f, fix_durable(f, OP_CREATE, 1, "/3303/8"));
    fix_advance(f, SILENCE);
    wake(f);
    answer(f, 0x84);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_POST);
    answer(f, PDU_CREATED);
    expect(f, OP_STATE_DONE);
    /* No word of that either. */
    fix_start(f, fix_durable(f, OP_CREATE, 1, "/3303/9"));
    fix_advance(f, SILENCE);
    for (int i = 0; i < 4; i++) {
        wake(f);
        assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_GET);
        fix_advance(f, SILENCE);
    }
    expect(f, OP_STATE_UNKNOWN);
}

static void create_and_look(struct fix *f, const char *links)
{
    fix_start(f, fix_durable(f, OP_CREATE, 1, "/3303"));
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_POST);
    fix_advance(f, SILENCE);
    wake(f);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_GET);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_LINK);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_LINK, TEXT(links), -1);
}

static void test_create_without_an_id(void **state)
{
    struct fix *f = *state;

    create_and_look(f, "</3303>,</3303/0>,</3303/0/5700>,</3303/1>,</3303/4>");
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->result.location.id[1], 4);
    create_and_look(f, "</3303>,</3303/0>,</3303/1>,</3303/4>");
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_POST); /* nothing new: once more */
    fix_answer_located(f, 1, PDU_CREATED, "/3303/5");
    expect(f, OP_STATE_DONE);
    create_and_look(f, "</3303>,</3303/0>,</3303/1>,</3303/4>,</3303/5>,</3303/6>,</3303/7>");
    expect(f, OP_STATE_UNKNOWN);
}

/* ---- Execute --------------------------------------------------------------------------------- */

static void test_execute(void **state)
{
    struct fix *f = *state;
    struct op *op;
    size_t before;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_UNKNOWN);
    before = f->sent_count;
    wake(f);
    assert_int_equal(f->sent_count, before + 1);
    /* The operator says that twice does no harm. */
    op = fix_durable(f, OP_EXECUTE, 1, "/5/0/2");
    op->repeatable = true;
    fix_start(f, op);
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_SENT);
    wake(f);
    answer(f, PDU_CHANGED);
    expect(f, OP_STATE_DONE);
}

/* The answer is lost, and the Update it was to bring has come. */
static void test_update_trigger(void **state)
{
    struct fix *f = *state;
    size_t sent;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/1/0/8"));
    update(f);
    sent = f->sent_count;
    fix_advance(f, SILENCE);
    assert_int_equal(f->sent_count, sent + 4);
    expect(f, OP_STATE_DONE);
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/1/0/8"));
    wake(f);
    answer(f, PDU_CHANGED);
    expect(f, OP_STATE_DONE);
}

static void test_reboot(void **state)
{
    struct fix *f = *state;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/3/0/4"));
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_SENT);
    fix_register(f, 1, "ep=dev1&lt=86400&lwm2m=1.1&b=U&Q", fix_links);
    expect(f, OP_STATE_DONE);
    /* It holds back nobody, and ends. */
    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/3/0/4"));
    fix_advance(f, SILENCE);
    fix_start(f, write_of(f, "/1/0/2", 5));
    wake(f);
    assert_string_equal(fix_sent(f, 0)->path, "/1/0/2");
    answer(f, PDU_CHANGED);
    expect(f, OP_STATE_DONE);
    fix_advance(f, 5 * 60000);
    expect(f, OP_STATE_UNKNOWN);
    fix_register(f, 1, "ep=dev1&lt=86400&lwm2m=1.1&b=U&Q", fix_links);
    expect(f, OP_STATE_UNKNOWN);
}

/* ---- late answers ---------------------------------------------------------------------------- */

static void test_late_answer(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_UNKNOWN);
    assert_int_equal(f->done->result.rc, ERR_UNKNOWN);
    /* Of somebody else: that is no answer. */
    answer_late(f, 2, token, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    expect(f, OP_STATE_UNKNOWN);
    fix_advance(f, 3600000);
    answer_late(f, 1, token, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_ACK);
    expect(f, OP_STATE_DONE);
    assert_true(last_operation(f)->late);
    assert_int_equal(last_operation(f)->attempts[0].code, PDU_CHANGED);
    assert_int_equal(fix_count(f, COUNTER_answers_late), 1);
    /* The first final answer counts. */
    answer_late(f, 1, token, 0x80);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    expect(f, OP_STATE_DONE);
    assert_null(fix_find(f, 1)->rare);
}

static void test_late_answer_to_one_that_waits(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_start(f, write_of(f, "/1/0/2", 5));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    expect(f, OP_STATE_SENT);
    answer_late(f, 1, token, 0x80);
    expect(f, OP_STATE_REJECTED);
    assert_false(last_operation(f)->late);
    /* … and to one that is on the wire again. */
    fix_start(f, write_of(f, "/1/0/2", 5));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    wake(f);
    assert_int_not_equal(token_of(fix_sent(f, 0)), token);
    answer_late(f, 1, token, PDU_CHANGED);
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->d->durable_count, 0);
    /* … or on its way there. */
    fix_start(f, write_of(f, "/1/0/2", 5));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    f->hold = true;
    wake(f);
    answer_late(f, 1, token, PDU_CHANGED);
    fix_commit(f, ERR_OK);
    expect(f, OP_STATE_DONE);
}

/* While the store hears of the silence. */
static void test_late_answer_in_between(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    token = token_of(fix_sent(f, 0));
    f->hold = true;
    fix_advance(f, SILENCE);
    assert_int_equal(fix_txn(f, 0)->operation->state, OP_STATE_UNKNOWN);
    answer_late(f, 1, token, PDU_CHANGED);
    fix_commit(f, ERR_OK);
    fix_commit(f, ERR_OK);
    expect(f, OP_STATE_DONE);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->state, OP_STATE_DONE);
}

static void test_late_answer_after_a_restart(void **state)
{
    struct fix *f = *state;
    struct op_attempt attempt = {.token = UINT64_C(0x0011223344556677),
                                 .sent_ms = FIX_WALL - 60000};
    struct op *op = fix_durable(f, OP_EXECUTE, 1, "/5/0/2");
    struct operation *o;

    op->state = OP_STATE_UNKNOWN;
    op->result.settled_ms = FIX_WALL - 1000;
    assert_int_equal(op_attempt_add(op, &attempt), ERR_OK);
    assert_int_equal(operation_of_op(op, &o), ERR_OK);
    op_free(op);
    assert_int_equal(domain_load_operation(f->d, o, f->now), ERR_OK);
    mem_free(o);
    answer_late(f, 1, attempt.token, 0x84);
    expect(f, OP_STATE_REJECTED);
    assert_true(last_operation(f)->late);
}

/* It has answered, if with what we cannot take: nothing more is to come. */
static void test_no_late_answer_to_come(void **state)
{
    struct fix *f = *state;
    static const char body[33] = "abcdefghijklmnopabcdefghijklmnop";

    f->d->cfg.read_body_limit = 16;
    fix_start(f, fix_durable(f, OP_READ, 1, "/3/0/0"));
    fix_answer_block(f, 1, FORMAT_TEXT, view_of(body, 32), (struct pdu_block){0, true, 0});
    if (f->done_count == 0)
        fix_answer_block(f, 1, FORMAT_TEXT, view_of(body, 32), (struct pdu_block){1, false, 0});
    expect(f, OP_STATE_UNKNOWN);
    assert_int_equal(f->done->result.rc, ERR_TOOLARGE);
    assert_null(fix_find(f, 1)->rare);
}

static void test_a_day_is_enough(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "lt=864000", "");
    fix_advance(f, 24 * 3600000);
    answer_late(f, 1, token, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    assert_null(fix_find(f, 1)->rare);
}

static void test_too_many_awaited(void **state)
{
    struct fix *f = *state;
    uint64_t tokens[3];

    f->d->cfg.awaited_limit = 2;
    for (int i = 0; i < 3; i++) {
        fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
        fix_advance(f, 2);
        tokens[i] = token_of(fix_sent(f, 0));
        fix_advance(f, SILENCE);
        wake(f);
    }
    assert_int_equal(fix_count(f, COUNTER_awaited_dropped), 1);
    answer_late(f, 1, tokens[0], PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    answer_late(f, 1, tokens[1], PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_ACK);
}

/* The device has gone: the answer still says what became of it. */
static void test_late_answer_without_a_registration(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    fix_do(f, OP_DEREGISTER, 1, "/");
    answer_late(f, 1, token, PDU_CHANGED);
    expect(f, OP_STATE_DONE);
}

static void test_late_answers_move_with_the_device(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    struct device *dev;
    uint64_t token;

    fix_start(f, fix_durable(f, OP_EXECUTE, 1, "/5/0/2"));
    token = token_of(fix_sent(f, 0));
    fix_advance(f, SILENCE);
    fix_start(f, write_of(f, "/1/0/2", 5));
    g->now = f->now;
    dev = domain_give(f->d, fix_find(f, 1)->id, f->now);
    assert_non_null(dev);
    assert_int_equal(f->d->durable_count, 0);
    assert_int_equal(domain_take(g->d, dev, g->now), ERR_OK);
    answer_late(f, 1, token, PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    answer_late(g, 1, token, PDU_CHANGED);
    expect(g, OP_STATE_DONE);
    /* What waits goes on there. */
    g->hold = false;
    fix_post(g, 1, fix_path(fix_find(g, 1)->id), "", "");
    fix_advance(g, 2);
    assert_string_equal(fix_sent(g, 0)->path, "/1/0/2");
    fix_answer(g, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect(g, OP_STATE_DONE);
    fix_free(g);
    f->other = NULL;
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_read_is_sent_again),
        ROW(test_four_attempts),
        ROW(test_not_after_it_has_expired),
        ROW(test_newer_write),
        ROW(test_after_an_unknown_write),
        ROW(test_delete),
        ROW(test_create_with_an_id),
        ROW(test_create_without_an_id),
        ROW(test_execute),
        ROW(test_update_trigger),
        ROW(test_reboot),
        ROW(test_late_answer),
        ROW(test_late_answer_to_one_that_waits),
        ROW(test_late_answer_in_between),
        ROW(test_late_answer_after_a_restart),
        ROW(test_no_late_answer_to_come),
        ROW(test_a_day_is_enough),
        ROW(test_too_many_awaited),
        ROW(test_late_answer_without_a_registration),
        ROW(test_late_answers_move_with_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
