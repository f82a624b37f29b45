/* What an operator observes outlives registrations: src/lwm2m/wanted.c. */
#include "domain_fixture.h"

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    return rd_u64(&r);
}

static void ask(struct fix *f, const char *path, const char *attributes)
{
    struct op *op = fix_op(f, OP_OBSERVE, 1, path);

    if (attributes[0] != '\0')
        op->text = mem_text(attributes, strlen(attributes));
    fix_start(f, op);
}

static void accept(struct fix *f, const char *text)
{
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, view_str(text), 12);
}

static uint64_t observe(struct fix *f, const char *path)
{
    uint64_t token;

    ask(f, path, "");
    token = token_of(fix_sent(f, 0));
    accept(f, "95");
    assert_int_equal(f->done->result.rc, ERR_OK);
    return token;
}

static void notify(struct fix *f, uint64_t token, const char *text)
{
    fix_notify(f, 1, token, PDU_CONTENT, FORMAT_TEXT, view_str(text), 20);
}

static void expect_asked(struct fix *f, uint64_t token, const char *path)
{
    const struct fix_sent *s = fix_sent(f, 0);

    assert_int_equal(s->pdu.code, PDU_GET);
    assert_int_equal(s->observe, 0);
    assert_string_equal(s->path, path);
    assert_int_equal(token_of(s), token);
}

static void again(struct fix *f)
{
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
}

static void update(struct fix *f)
{
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", "");
}

static void cancel(struct fix *f, uint64_t token)
{
    struct op *op = fix_op(f, OP_OBSERVE_CANCEL, 1, "/");

    op->token = token;
    fix_start(f, op);
}

/* ---- the same registration ---------------------------------------------------------------------
 */

static void test_attributes_before_1_2(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    ask(f, "/3/0/9", "pmin=5&pmax=10");
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_PUT);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "pmin=5&pmax=10");
    assert_int_equal(fix_sent(f, 0)->observe, -1);
    assert_int_equal(fix_sent(f, 0)->format, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 0);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    token = token_of(fix_sent(f, 0));
    expect_asked(f, token, "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "");
    assert_int_equal(f->done_count, 0);
    accept(f, "95");
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_string_equal(f->done->result.observations[0].attributes, "pmin=5&pmax=10");
    /* The options of the observation: without the query. */
    cancel(f, token);
    assert_int_equal(fix_sent(f, 0)->observe, 1);
    assert_string_equal(fix_sent(f, 0)->query, "");
    assert_int_equal(token_of(fix_sent(f, 0)), token);
}

static void test_attributes_are_refused(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    ask(f, "/3/0/9", "pmin=5");
    fix_answer(f, 1, 0x80, FORMAT_NONE, TEXT("no"), -1);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    assert_int_equal(f->done->result.coap_code, 0x80);
    assert_string_equal(f->done->result.text, "no");
    ask(f, "/3/0/9", "pmin=5");
    fix_advance(f, 94000);
    assert_int_equal(f->done_count, 2);
    assert_int_equal(f->done->result.rc, ERR_ACCEPTED); /* wanted, and asked for again */
    assert_false(f->done->result.observations[0].active);
}

static void test_attributes_in_the_query_are_refused(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.2", fix_links);
    ask(f, "/3/0/9", "pmin=5");
    expect_asked(f, token_of(fix_sent(f, 0)), "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "pmin=5");
    fix_answer(f, 1, 0x82, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_PUT);
    assert_string_equal(fix_sent(f, 0)->query, "pmin=5");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_asked(f, token_of(fix_sent(f, 0)), "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "");
    accept(f, "1");
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    /* Refused both ways, it is refused. */
    ask(f, "/3/0/13", "pmin=5");
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done_count, 2);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    /* A server in trouble has not said that it does not know them. */
    ask(f, "/3/0/13", "pmin=5");
    fix_answer(f, 1, 0xa3, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done_count, 3);
    assert_int_equal(f->done->result.coap_code, 0xa3);
}

/* ---- the next registration ---------------------------------------------------------------------
 */

static void test_register_again(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    assert_int_equal(fix_sent(f, 1)->pdu.code, PDU_CREATED);
    expect_asked(f, token, "/3/0/9");
    assert_int_equal(fix_event(f, 2)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(fix_event(f, 2)->rc, ERR_UNREGISTERED);
    assert_int_equal(fix_event(f, 1)->type, EVENT_REPLACED);
    assert_int_equal(fix_event(f, 0)->type, EVENT_REGISTERED);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 0); /* it passes with the row */
    fix_do(f, OP_OBSERVE_LIST, 1, "/");
    assert_int_equal(f->done->result.observation_count, 1);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_false(f->done->result.observations[0].active);
    f->hold = true;
    accept(f, "96");
    assert_int_equal(fix_txn(f, 0)->kind, TXN_PUT_OBSERVATION);
    assert_int_equal(fix_txn(f, 0)->observation.token, token);
    assert_int_equal(fix_txn(f, 0)->observation.registration_id, fix_find(f, 1)->id);
    assert_int_equal(fix_txn(f, 0)->observation.row, fix_find(f, 1)->claim->row);
    assert_int_equal(fix_txn(f, 0)->observation.since_ms, FIX_WALL);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_event(f, 1)->type, EVENT_OBSERVATION_STARTED);
    assert_int_equal(fix_event(f, 1)->token, token);
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 96);
    notify(f, token, "97");
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 97);
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(f->d->run_count, 0);
    assert_false(fix_find(f, 1)->rare->remaking);
    assert_int_equal(fix_count(f, COUNTER_ops_started), fix_count(f, COUNTER_ops_completed));
}

/* Several, one at a time, with what each was asked for; a refusal does not stop the rest. */
static void test_one_after_the_other(void **state)
{
    struct fix *f = *state;
    uint64_t first, second, third;
    size_t events;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.2", fix_links);
    first = observe(f, "/3/0/9");
    ask(f, "/3/0/10", "pmin=5");
    second = token_of(fix_sent(f, 0));
    accept(f, "1");
    third = observe(f, "/3/0/13");
    again(f); /* as 1.1: the attributes have to be written now */
    expect_asked(f, first, "/3/0/9");
    events = f->event_count;
    fix_answer(f, 1, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->event_count, events + 1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(fix_event(f, 0)->token, first);
    assert_int_equal(fix_event(f, 0)->rc, ERR_DEVICE);
    assert_string_equal(fix_event(f, 0)->detail, "4.04");
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_PUT);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/10");
    assert_string_equal(fix_sent(f, 0)->query, "pmin=5");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_asked(f, second, "/3/0/10");
    accept(f, "2");
    expect_asked(f, third, "/3/0/13");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("3"), -1); /* a plain read is a refusal */
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(fix_event(f, 0)->token, third);
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(fix_find(f, 1)->rare->report_count, 1);
    again(f); /* refused is refused: only the one is left */
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_asked(f, second, "/3/0/10");
}

/* What fails for other reasons than the device's will is asked for again when it is awake. */
static void test_silent_device(void **state)
{
    struct fix *f = *state;
    uint64_t first, second;
    size_t sent;

    fix_device(f, 1);
    first = observe(f, "/3/0/9");
    second = observe(f, "/3/0/13");
    again(f);
    fix_advance(f, 94000);
    assert_int_equal(fix_find(f, 1)->rare->report_count, 2);
    assert_int_equal(f->d->report_count, 0);
    assert_int_equal(f->d->run_count, 0);
    sent = f->sent_count;
    fix_advance(f, 60000);
    assert_int_equal(f->sent_count, sent);
    update(f);
    assert_int_equal(fix_sent(f, 1)->pdu.code, PDU_CHANGED);
    expect_asked(f, first, "/3/0/9");
    sent = f->sent_count;
    update(f); /* it is being asked */
    assert_int_equal(f->sent_count, sent + 1);
    f->sent_count--;
    fix_answer(f, 1, 0xa3, FORMAT_NONE, VIEW_NONE, -1);
    expect_asked(f, second, "/3/0/13");
    accept(f, "1");
    assert_int_equal(f->d->report_count, 1);
    /* An Update that changes something is as good. */
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "lt=600", "");
    expect_asked(f, first, "/3/0/9");
    accept(f, "2");
    assert_int_equal(f->d->report_count, 2);
    sent = f->sent_count;
    update(f);
    assert_int_equal(f->sent_count, sent + 1);
}

/* A Register while it is being made again. */
static void test_register_twice(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    again(f);
    expect_asked(f, token, "/3/0/9");
    assert_int_equal(f->d->run_count, 1);
    accept(f, "1");
    assert_int_equal(fix_find(f, 1)->rare->report_count, 1);
    /* … and while the store has it: it was wanted before, so it still is. */
    again(f);
    f->hold = true;
    again(f); /* has no answer yet */
    accept(f, "2");
    assert_int_equal(fix_txn(f, 1)->kind, TXN_PUT_OBSERVATION);
    fix_commit(f, ERR_OK);
    f->hold = false;
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 0);
    expect_asked(f, token, "/3/0/9");
    accept(f, "3");
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(f->d->run_count, 0);
}

/* The Register wins over an observation that no operator was told of yet. */
static void test_not_told_is_not_wanted(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    f->hold = true;
    ask(f, "/3/0/9", "");
    token = token_of(fix_sent(f, 0));
    again(f); /* has no answer yet */
    accept(f, "95");
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_UNREGISTERED);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_DEL_OBSERVATION);
    assert_int_equal(fix_txn(f, 0)->token, token);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CREATED);
    assert_null(fix_find(f, 1)->rare);
}

static void test_store_fails(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    f->store_full = true;
    accept(f, "1");
    assert_int_equal(f->d->report_count, 1);
    notify(f, token, "2");
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    f->store_full = false;
    again(f);
    f->hold = true;
    accept(f, "1");
    fix_commit(f, ERR_STORE);
    notify(f, token, "3");
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), 3);
}

/* ---- operators meanwhile
 * ------------------------------------------------------------------------- */

static void test_cancelled_is_not_wanted(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t sent;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    cancel(f, token);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    sent = f->sent_count;
    again(f);
    assert_int_equal(f->sent_count, sent + 1);
    assert_null(fix_find(f, 1)->rare);
}

/* The Register comes between the cancel and its answer: the cancel goes on, and wins. */
static void test_cancel_under_way(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t started;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    cancel(f, token);
    again(f);
    started = fix_events(f, EVENT_OBSERVATION_STARTED);
    expect_asked(f, token, "/3/0/9");
    accept(f, "1");
    assert_int_equal(fix_sent(f, 0)->observe, 1);
    assert_int_equal(token_of(fix_sent(f, 0)), token);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(f->done->kind, OP_OBSERVE_CANCEL);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), started);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    assert_null(fix_find(f, 1)->rare);
}

static void test_cancel_of_a_wanted_one(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t sent;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    fix_advance(f, 94000);
    cancel(f, token);
    assert_int_equal(fix_sent(f, 0)->observe, 1); /* it may have kept it */
    fix_answer(f, 1, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    sent = f->sent_count;
    update(f);
    assert_int_equal(f->sent_count, sent + 1);
    assert_null(fix_find(f, 1)->rare);
}

/* Who asks for it with each "registered" event gets the one that there is. */
static void test_asked_for_meanwhile(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t sent;

    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    ask(f, "/3/0/9", "");
    sent = f->sent_count;
    accept(f, "1");
    assert_int_equal(f->sent_count, sent);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_int_equal(f->d->report_count, 1);
    /* One that is still wanted is made by who asks. */
    again(f);
    fix_advance(f, 94000);
    ask(f, "/3/0/9", "");
    expect_asked(f, token, "/3/0/9");
    accept(f, "2");
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(fix_find(f, 1)->rare->report_count, 1);
    /* Refused to who asks, it is refused. */
    again(f);
    fix_advance(f, 94000);
    ask(f, "/3/0/9", "");
    fix_answer(f, 1, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    assert_null(fix_find(f, 1)->rare);
}

/* With more than one exchange at a time the second does not ask for what the first is asking for.
 */
static void test_asked_for_at_the_same_time(void **state)
{
    static const struct profile two = {"two", 2000, 1500, 4, 2, 5};
    struct fix *f = fix_new_closed();
    uint64_t token;
    size_t sent;

    (void)state;
    f->cfg.profiles = &two;
    f->cfg.profile_count = 1;
    f->engine_cfg.profile = &two;
    fix_open(f);
    fix_device(f, 1);
    token = observe(f, "/3/0/9");
    again(f);
    sent = f->sent_count;
    ask(f, "/3/0/9", "");
    assert_int_equal(f->sent_count, sent);
    accept(f, "1");
    assert_int_equal(f->sent_count, sent);
    assert_int_equal(f->done->result.observations[0].token, token);
    fix_free(f);
}

/* ---- elsewhere ---------------------------------------------------------------------------------
 */

static void test_next_registration_is_on_another_shard(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t first, second;

    fix_device(f, 1);
    first = observe(f, "/3/0/9");
    second = observe(f, "/3/0/13");
    f->forward = true;
    again(g);
    assert_null(fix_find(f, 1));
    assert_int_equal(f->d->report_count, 0);
    assert_int_equal(g->sent_count, 1);
    assert_int_equal(fix_forward(f), 2);
    expect_asked(g, first, "/3/0/9");
    accept(g, "1");
    expect_asked(g, second, "/3/0/13");
    accept(g, "2");
    assert_int_equal(g->d->report_count, 2);
    notify(g, second, "3");
    assert_int_equal(fix_event(g, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(fix_event(g, 0)->token, second);
    f->other = NULL;
    fix_free(g);
}

/* Moved while it is being made again: it goes on there. */
static void test_moves_meanwhile(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    struct device *dev;
    uint64_t first, second;

    fix_device(f, 1);
    first = observe(f, "/3/0/9");
    second = observe(f, "/3/0/13");
    again(f);
    dev = domain_give(f->d, fix_find(f, 1)->id, f->now);
    assert_int_equal(domain_take(g->d, dev, g->now), ERR_OK);
    fix_advance(g, 2);
    expect_asked(g, first, "/3/0/9");
    accept(g, "1");
    expect_asked(g, second, "/3/0/13");
    accept(g, "2");
    assert_int_equal(g->d->report_count, 2);
    f->other = NULL;
    fix_free(g);
}

/* Moved while the store has it: whoever asked is answered from where it was. */
static void test_moves_before_commit(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    struct device *dev;
    uint64_t token;

    fix_device(f, 1);
    f->hold = true;
    ask(f, "/3/0/9", "");
    token = token_of(fix_sent(f, 0));
    accept(f, "95");
    dev = domain_give(f->d, fix_find(f, 1)->id, f->now);
    assert_int_equal(domain_take(g->d, dev, g->now), ERR_OK);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observation_count, 1);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_true(f->done->result.observations[0].active);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 0);
    fix_find(g, 1)->claim->shard = g->shard;
    again(g);
    expect_asked(g, token, "/3/0/9");
    f->other = NULL;
    fix_free(g);
}

static void test_limit(void **state)
{
    struct fix *f = fix_new_closed();
    struct fix *g;

    (void)state;
    fix_open(f);
    g = fix_beside(f);
    g->d->cfg.observation_limit = 1;
    fix_device(f, 1);
    observe(f, "/3/0/9");
    observe(f, "/3/0/13");
    f->forward = true;
    again(g);
    assert_int_equal(fix_forward(f), 2);
    assert_int_equal(fix_find(g, 1)->rare->report_count, 1);
    assert_int_equal(g->by_kind[TXN_DEL_OBSERVATION], 1);
    f->other = NULL;
    fix_free(g);
    fix_free(f);
}

/* ---- restart
 * ------------------------------------------------------------------------------------- */

static void load(struct fix *f, uint64_t token, int64_t since_ms)
{
    struct observation o = {.token = token,
                            .registration_id = fix_find(f, 1)->id,
                            .format = FORMAT_TEXT,
                            .since_ms = since_ms};

    assert_int_equal(path_parse(TEXT("/3/0/9"), &o.path), ERR_OK);
    assert_int_equal(domain_load_observation(f->d, &o, f->now), ERR_OK);
    assert_int_equal(domain_load_observation(f->d, &o, f->now), ERR_EXISTS);
}

static void test_loaded_and_registered(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    load(f, 0x1122334455667788, FIX_WALL - 1);
    again(f);
    expect_asked(f, 0x1122334455667788, "/3/0/9");
}

/* The server ended between the Register and the answer of the device. */
static void test_loaded_as_wanted(void **state)
{
    struct fix *f = *state;
    size_t sent;

    fix_device(f, 1);
    sent = f->sent_count;
    load(f, 0x1122334455667788, 0);
    assert_int_equal(f->d->report_count, 0);
    fix_advance(f, 1000);
    assert_int_equal(f->sent_count, sent);
    notify(f, 0x1122334455667788, "1");
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    update(f);
    expect_asked(f, 0x1122334455667788, "/3/0/9");
    accept(f, "1");
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(fix_event(f, 1)->type, EVENT_OBSERVATION_STARTED);
}

/* A registration that ends without a successor ends what it wants. */
static void test_deregistered(void **state)
{
    struct fix *f = *state;
    size_t sent;

    fix_device(f, 1);
    observe(f, "/3/0/9");
    fix_do(f, OP_DEREGISTER, 1, "/");
    sent = f->sent_count;
    again(f);
    assert_int_equal(f->sent_count, sent + 1);
}

/* ---- devices that sleep or say nothing --------------------------------------------------------
 */

static void test_wish_of_a_sleeper(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t before;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    before = f->sent_count;
    f->hold = true;
    ask(f, "/3/0/9", "");
    assert_int_equal(f->done_count, 0);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_PUT_OBSERVATION);
    assert_int_equal(fix_txn(f, 0)->observation.since_ms, 0);
    token = fix_txn(f, 0)->observation.token;
    fix_commit(f, ERR_OK);
    f->hold = false;
    assert_int_equal(f->done->result.rc, ERR_ACCEPTED);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_false(f->done->result.observations[0].active);
    assert_int_equal(f->sent_count, before);
    /* The same wish is the same observation. */
    ask(f, "/3/0/9", "");
    assert_int_equal(f->done_count, 2);
    assert_int_equal(f->done->result.rc, ERR_ACCEPTED);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_int_equal(f->by_kind[TXN_PUT_OBSERVATION], 1);
    /* It wakes, with whatever message. */
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", "");
    fix_advance(f, 2);
    expect_asked(f, token, "/3/0/9");
    accept(f, "95");
    assert_int_equal(f->d->report_count, 1);
    assert_int_equal(f->by_kind[TXN_PUT_OBSERVATION], 2);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), 1);
}

static void test_wish_that_the_store_refuses(void **state)
{
    struct fix *f = *state;

    fix_sleeper(f, 1);
    fix_advance(f, 94000);
    f->store_full = true;
    ask(f, "/3/0/9", "");
    assert_int_equal(f->done->result.rc, ERR_FULL);
    f->store_full = false;
    f->hold = true;
    ask(f, "/3/0/9", "");
    fix_commit(f, ERR_DISKFULL);
    assert_int_equal(f->done->result.rc, ERR_DISKFULL);
    assert_null(fix_find(f, 1)->rare);
}

/* Its answer is lost: it has the observation under the token that is kept. */
static void test_silence_is_a_wish(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_OBSERVE, 1, "/3/0/9");
    op->deadline = f->now + 5000;
    fix_start(f, op);
    token = token_of(fix_sent(f, 0));
    fix_advance(f, 5001);
    assert_int_equal(f->done->result.rc, ERR_ACCEPTED);
    assert_int_equal(f->done->result.observations[0].token, token);
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", "");
    expect_asked(f, token, "/3/0/9");
    accept(f, "95");
    assert_int_equal(f->d->report_count, 1);
}

static void test_cancel_while_it_sleeps(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t before;

    fix_sleeper(f, 1);
    ask(f, "/3/0/9", "");
    token = token_of(fix_sent(f, 0));
    accept(f, "95");
    fix_advance(f, 94000);
    before = f->sent_count;
    cancel(f, token);
    assert_int_equal(f->sent_count, before);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_ENDED), 1);
    cancel(f, token);
    assert_int_equal(f->done->result.rc, ERR_NOTFOUND);
    /* It learns with its next notification. */
    fix_notify(f, 1, token, PDU_CONTENT, FORMAT_TEXT, TEXT("96"), 20);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
}

static void test_wish_waits_for_the_register(void **state)
{
    struct fix *f = *state;
    struct observation o = {.token = 77, .format = FORMAT_NONE, .attributes = TEXT("pmin=5")};
    struct txn *t;

    assert_int_equal(path_parse(TEXT("/3/0/9"), &o.path), ERR_OK);
    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.2", fix_links);
    t = fix_txn(f, 0);
    t->carried_observations = mem_new(sizeof(struct observation *));
    t->carried_observations[0] = mem_new(sizeof(o));
    *t->carried_observations[0] = o;
    t->carried_observation_count = 1;
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 1)->pdu.code, PDU_CREATED);
    expect_asked(f, 77, "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "pmin=5");
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_wish_of_a_sleeper),
        ROW(test_wish_that_the_store_refuses),
        ROW(test_silence_is_a_wish),
        ROW(test_cancel_while_it_sleeps),
        ROW(test_wish_waits_for_the_register),
        ROW(test_attributes_before_1_2),
        ROW(test_attributes_are_refused),
        ROW(test_attributes_in_the_query_are_refused),
        ROW(test_register_again),
        ROW(test_one_after_the_other),
        ROW(test_silent_device),
        ROW(test_register_twice),
        ROW(test_not_told_is_not_wanted),
        ROW(test_store_fails),
        ROW(test_cancelled_is_not_wanted),
        ROW(test_cancel_under_way),
        ROW(test_cancel_of_a_wanted_one),
        ROW(test_asked_for_meanwhile),
        cmocka_unit_test(test_asked_for_at_the_same_time),
        ROW(test_next_registration_is_on_another_shard),
        ROW(test_moves_meanwhile),
        ROW(test_moves_before_commit),
        cmocka_unit_test(test_limit),
        ROW(test_loaded_and_registered),
        ROW(test_loaded_as_wanted),
        ROW(test_deregistered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
