/* Observations: src/lwm2m/report.c. */
#include "domain_fixture.h"

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    return rd_u64(&r);
}

/* Observes /3/0/9 of device 1, which answers with 95; the token. */
static uint64_t observe(struct fix *f, const char *path, const char *attributes)
{
    struct op *op = fix_op(f, OP_OBSERVE, 1, path);
    uint64_t token;

    if (attributes[0] != '\0')
        op->text = mem_text(attributes, strlen(attributes));
    fix_start(f, op);
    token = token_of(fix_sent(f, 0));
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), 12);
    return token;
}

/* Attributes in an Observe are for 1.2. */
static void device_1_2(struct fix *f)
{
    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.2", fix_links);
}

static void notify(struct fix *f, unsigned device, uint64_t token, const char *text,
                   int32_t sequence)
{
    fix_notify(f, device, token, PDU_CONTENT, FORMAT_TEXT, view_str(text), sequence);
}

static bool last_is_reset(struct fix *f)
{
    return fix_sent(f, 0)->pdu.type == PDU_RST;
}

static void test_observe(void **state)
{
    struct fix *f = *state;
    const struct fix_sent *s;
    const struct observation *o;
    uint64_t token;
    size_t events;

    device_1_2(f);
    f->hold = true;
    events = f->event_count;
    token = observe(f, "/3/0/9", "pmin=5&pmax=10");
    s = fix_sent(f, 0);
    assert_int_equal(s->observe, 0);
    assert_string_equal(s->path, "/3/0/9");
    assert_string_equal(s->query, "pmin=5&pmax=10");
    assert_int_equal(s->accept, FORMAT_TEXT);
    assert_int_equal(token >> 56, fix_find(f, 1)->id >> 56);
    /* Answered when it is durable. */
    assert_int_equal(f->done_count, 0);
    assert_int_equal(f->event_count, events);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_PUT_OBSERVATION);
    o = &fix_txn(f, 0)->observation;
    assert_int_equal(o->token, token);
    assert_int_equal(o->registration_id, fix_find(f, 1)->id);
    assert_int_equal(o->row, fix_find(f, 1)->claim->row);
    assert_int_equal(o->format, FORMAT_TEXT);
    assert_true(view_eq_str(o->attributes, "pmin=5&pmax=10"));
    assert_int_equal(o->since_ms, FIX_WALL);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observation_count, 1);
    assert_int_equal(f->done->result.observations[0].token, token);
    assert_true(f->done->result.observations[0].active);
    assert_string_equal(f->done->result.observations[0].attributes, "pmin=5&pmax=10");
    assert_int_equal(batch_at(f->done->result.values, 0)->value.u.integer, 95);
    assert_int_equal(fix_event(f, 1)->type, EVENT_OBSERVATION_STARTED);
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(fix_event(f, 0)->token, token);
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 95);
}

static void test_notifications(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t events, sent;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    events = f->event_count;
    sent = f->sent_count;
    notify(f, 1, token, "94", 13);
    assert_int_equal(f->event_count, events + 1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_string_equal(fix_event(f, 0)->endpoint, "dev1");
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 94);
    notify(f, 1, token, "99", 11); /* older */
    assert_int_equal(f->event_count, events + 1);
    assert_int_equal(f->sent_count, sent);
    assert_int_equal(fix_count(f, COUNTER_notifications), 1);
    /* One that cannot be understood is a fact as well. */
    notify(f, 1, token, "many", 14);
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_true(fix_event(f, 0)->rc < 0);
    assert_null(fix_event(f, 0)->values);
    /* Heard: the store learns of it with the next renewals. */
    assert_true((fix_find(f, 1)->flags & DEVICE_RENEWED) != 0);
}

/* RFC 7641 lets a notification overtake the COMMIT: it is told after the start. */
static void test_early_notification(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    f->hold = true;
    token = observe(f, "/3/0/9", "");
    notify(f, 1, token, "96", 13);
    assert_int_equal(fix_event(f, 2)->type, EVENT_OBSERVATION_STARTED);
    assert_int_equal(batch_at(fix_event(f, 1)->values, 0)->value.u.integer, 95);
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 96);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
}

static void test_store_fails(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    f->store_full = true;
    token = observe(f, "/3/0/9", "");
    assert_int_equal(f->done->result.rc, ERR_FULL);
    assert_null(fix_find(f, 1)->rare);
    notify(f, 1, token, "96", 13);
    assert_true(last_is_reset(f));
    f->store_full = false;
    f->hold = true;
    token = observe(f, "/3/0/9", "");
    fix_commit(f, ERR_STORE);
    assert_int_equal(f->done->result.rc, ERR_STORE);
    notify(f, 1, token, "96", 13);
    assert_true(last_is_reset(f));
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), 0);
    assert_int_equal(f->d->report_count, 0);
}

static void test_not_observed(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1); /* a plain read */
    assert_int_equal(f->done->result.rc, ERR_UNSUPPORTED);
    assert_int_equal(batch_at(f->done->result.values, 0)->value.u.integer, 95);
    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    assert_int_equal(f->done->result.coap_code, 0x85);
    assert_int_equal(f->d->report_count, 0);
    assert_int_equal(f->by_kind[TXN_PUT_OBSERVATION], 0);
}

static void test_same_again(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t sent;

    device_1_2(f);
    token = observe(f, "/3/0/9", "pmin=5");
    sent = f->sent_count;
    {
        struct op *op = fix_op(f, OP_OBSERVE, 1, "/3/0/9");

        op->text = mem_text("pmin=5", 6);
        fix_start(f, op);
    }
    assert_int_equal(f->sent_count, sent);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observations[0].token, token);
    /* Other attributes: another observation. */
    assert_int_not_equal(observe(f, "/3/0/9", "pmin=6"), token);
    assert_int_equal(f->d->report_count, 2);
}

static void test_limit(void **state)
{
    struct fix *f = fix_new_closed();

    (void)state;
    f->cfg.observation_limit = 1;
    fix_open(f);
    fix_device(f, 1);
    observe(f, "/3/0/9", "");
    fix_do(f, OP_OBSERVE, 1, "/3/0/13");
    assert_int_equal(f->done->result.rc, ERR_LIMIT);
    fix_free(f);
}

static void test_wrong_address(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t events;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    events = f->event_count;
    notify(f, 2, token, "94", 13);
    assert_int_equal(f->event_count, events);
    assert_true(last_is_reset(f));
    notify(f, 1, token, "94", 13); /* it stands */
    assert_int_equal(f->event_count, events + 1);
}

static void test_secured_from_anywhere(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t events;

    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("dev1")};
    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    events = f->event_count;
    notify(f, 2, token, "94", 13);
    assert_int_equal(f->event_count, events + 1);
    f->identity.name = TEXT("dev2");
    notify(f, 2, token, "93", 14);
    assert_int_equal(f->event_count, events + 1);
}

static void test_device_ends_it(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    fix_notify(f, 1, token, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(fix_event(f, 0)->rc, ERR_DEVICE);
    assert_string_equal(fix_event(f, 0)->detail, "4.04");
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    assert_null(fix_find(f, 1)->rare);
    notify(f, 1, token, "1", 20);
    assert_true(last_is_reset(f));
    /* A last value without the option. */
    token = observe(f, "/3/0/9", "");
    notify(f, 1, token, "93", -1);
    assert_int_equal(fix_event(f, 1)->type, EVENT_NOTIFICATION);
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(f->d->report_count, 0);
}

static void cancel(struct fix *f, uint64_t token)
{
    struct op *op = fix_op(f, OP_OBSERVE_CANCEL, 1, "/");

    op->token = token;
    fix_start(f, op);
}

static void test_cancel(void **state)
{
    struct fix *f = *state;
    const struct fix_sent *s;
    uint64_t token;

    device_1_2(f);
    token = observe(f, "/3/0/9", "pmin=5");
    f->hold = true;
    cancel(f, token);
    s = fix_sent(f, 0);
    assert_int_equal(s->pdu.code, PDU_GET);
    assert_int_equal(s->observe, 1);
    assert_int_equal(token_of(s), token);
    assert_string_equal(s->path, "/3/0/9");
    assert_string_equal(s->query, "pmin=5");
    assert_int_equal(s->accept, FORMAT_TEXT);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
    assert_int_equal(fix_event(f, 0)->rc, ERR_CANCELLED);
    assert_int_equal(f->done_count, 1); /* of the observe: the store comes first */
    assert_int_equal(fix_txn(f, 0)->kind, TXN_DEL_OBSERVATION);
    assert_int_equal(fix_txn(f, 0)->token, token);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done_count, 2);
    assert_int_equal(f->done->result.rc, ERR_OK);
    notify(f, 1, token, "1", 20);
    assert_true(last_is_reset(f));
    cancel(f, token);
    assert_int_equal(f->done->result.rc, ERR_NOTFOUND);
}

static void test_cancel_without_answer(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    cancel(f, token);
    notify(f, 1, token, "1", 20); /* while it is being ended: not wanted any more */
    assert_true(last_is_reset(f));
    fix_advance(f, 94000);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.coap_code, 0);
    assert_int_equal(f->d->report_count, 0);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
}

static void test_cancel_store_full(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    f->store_full = true;
    cancel(f, token);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    assert_int_equal(f->done->result.rc, ERR_FULL); /* it would come back with a restart */
    assert_int_equal(f->d->report_count, 0);
    fix_advance(f, 5000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 0);
    f->store_full = false;
    fix_advance(f, 1000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1); /* now it would not */
    fix_advance(f, 5000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
    assert_int_equal(f->done_count, 2);
}

static void test_cancel_store_fails(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    f->hold = true;
    cancel(f, token);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    fix_commit(f, ERR_DISKFULL);
    assert_int_equal(f->done->result.rc, ERR_DISKFULL);
    f->hold = false;
    fix_advance(f, 1000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 2);
    fix_advance(f, 5000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 2);
    assert_int_equal(f->done_count, 2);
}

/* The device ends it, and nobody waits for the store. */
static void test_ended_store_full(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    f->store_full = true;
    notify(f, 1, token, "93", -1);
    assert_int_equal(f->d->report_count, 0);
    f->store_full = false;
    fix_advance(f, 1000);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
}

/* The second of two that ask to end it. */
static void test_cancel_twice(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    cancel(f, token);
    cancel(f, token);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    assert_int_equal(f->done_count, 3);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->by_kind[TXN_DEL_OBSERVATION], 1);
}

/* Another operation is under way: what comes before the cancel is sent is not told any more. */
static void test_cancel_waits(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    size_t events;

    fix_device(f, 1);
    token = observe(f, "/3/0/9", "");
    events = f->event_count;
    fix_do(f, OP_READ, 1, "/3/0/13");
    cancel(f, token);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/13");
    notify(f, 1, token, "94", 13);
    assert_true(last_is_reset(f));
    f->sent_count--; /* fix_answer means the Read */
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(fix_sent(f, 0)->observe, 1);
    /* A notification that crosses, and an answer that looks like one. */
    notify(f, 1, token, "93", 14);
    assert_true(last_is_reset(f));
    f->sent_count--;
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("92"), 15);
    assert_int_equal(f->done->kind, OP_OBSERVE_CANCEL);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->event_count, events + 1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_OBSERVATION_ENDED);
}

/* Cancelled while the store has it: the value that came with it is not told. */
static void test_cancel_before_commit(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    fix_device(f, 1);
    f->hold = true;
    token = observe(f, "/3/0/9", "");
    cancel(f, token);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->kind, OP_OBSERVE_CANCEL);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(fix_events(f, EVENT_NOTIFICATION), 0);
    assert_null(fix_find(f, 1)->rare);
}

static void test_list(void **state)
{
    struct fix *f = *state;
    const struct op_observation *rows;

    device_1_2(f);
    fix_do(f, OP_OBSERVE_LIST, 1, "/");
    assert_int_equal(f->done->result.observation_count, 0);
    observe(f, "/3/0/9", "pmin=5");
    fix_do(f, OP_OBSERVE, 1, "/3/0/13");
    fix_do(f, OP_READ, 1, "/3/0/1");
    fix_do(f, OP_OBSERVE_LIST, 1, "/");
    assert_int_equal(f->done->result.observation_count, 2);
    rows = f->done->result.observations;
    assert_true(rows[0].active);
    assert_string_equal(rows[0].attributes, "pmin=5");
    assert_false(rows[1].active);
    assert_int_equal(rows[1].path.id[2], 13);
    assert_int_not_equal(rows[1].token, 0);
}

/* The registration ends while the store has the observation: nobody was told of it, so that it must
 * not pass to the next. */
static void test_gone_before_commit(void **state)
{
    struct fix *f = *state;
    struct mbox_node *node;
    uint64_t token;

    fix_device(f, 1);
    f->hold = true;
    token = observe(f, "/3/0/9", "");
    node = f->txns;
    f->txns = NULL;
    f->txns_end = &f->txns;
    domain_evict(f->d, fix_find(f, 1)->id, f->now);
    *f->txns_end = node;
    f->txns_end = &node->next;
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_UNREGISTERED);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_STARTED), 0);
    assert_int_equal(fix_events(f, EVENT_OBSERVATION_ENDED), 0);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_DEL_OBSERVATION);
    assert_int_equal(fix_txn(f, 0)->token, token);
}

/* One that comes in blocks: the rest is fetched from the path, through the alternate path. */
static void test_in_blocks(void **state)
{
    struct fix *f = *state;
    uint8_t out[256], token_bytes[8];
    char first[16];
    struct pdu_writer w;
    struct view datagram;
    uint64_t token;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1",
                 "</x>;rt=\"oma.lwm2m\";ct=110,</x/1/0>,</x/3/0>");
    fix_do(f, OP_OBSERVE, 1, "/3/0/0");
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_SENML_JSON);
    assert_string_equal(fix_sent(f, 0)->path, "/x/3/0/0");
    token = token_of(fix_sent(f, 0));
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"bn\":\"/x/3/0/0\",\"vs\":\"a\"}]"),
               1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    /* 16-byte blocks: [{"bn":"/x/3/0/0","vs":"0"}] */
    memcpy(first, "[{\"bn\":\"/x/3/0/0", 16);
    for (unsigned i = 0; i < 8; i++)
        token_bytes[i] = (uint8_t)(token >> (56 - 8 * i));
    pdu_begin(&w, out, sizeof(out), PDU_NON, PDU_CONTENT, 900, view_of(token_bytes, 8));
    pdu_put_uint(&w, PDU_OBSERVE, 2);
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_SENML_JSON);
    pdu_put_uint(&w, PDU_BLOCK2, pdu_block_encode((struct pdu_block){0, true, 0}));
    pdu_put_payload(&w, view_of(first, 16));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, 1, datagram);
    assert_string_equal(fix_sent(f, 0)->path, "/x/3/0/0");
    assert_int_equal(fix_sent(f, 0)->observe, -1);
    pdu_begin(&w, out, sizeof(out), PDU_ACK, PDU_CONTENT, fix_sent(f, 0)->pdu.mid,
              view_of(fix_sent(f, 0)->pdu.token, fix_sent(f, 0)->pdu.token_len));
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_SENML_JSON);
    pdu_put_uint(&w, PDU_BLOCK2, pdu_block_encode((struct pdu_block){1, false, 0}));
    pdu_put_payload(&w, TEXT("\",\"vs\":\"zz\"}]"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, 1, datagram);
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(fix_event(f, 0)->rc, ERR_OK);
    assert_true(view_eq_str(batch_at(fix_event(f, 0)->values, 0)->value.u.bytes, "zz"));
    assert_int_equal(f->d->report_count, 1);
}

/* ---- restart --------------------------------------------------------------------------------- */

static void test_load(void **state)
{
    struct fix *f = *state;
    struct observation o = {.token = 0x0102030405060708,
                            .format = FORMAT_TEXT,
                            .attributes = TEXT("pmin=1"),
                            .since_ms = 5};

    assert_int_equal(path_parse(TEXT("/3/0/9"), &o.path), ERR_OK);
    o.registration_id = 77;
    assert_int_equal(domain_load_observation(f->d, &o, f->now), ERR_NOTFOUND);
    o.registration_id = fix_device(f, 1);
    assert_int_equal(domain_load_observation(f->d, &o, f->now), ERR_OK);
    assert_int_equal(domain_load_observation(f->d, &o, f->now), ERR_EXISTS);
    assert_int_equal(f->d->report_count, 1);
    notify(f, 1, o.token, "42", 1000000); /* whatever the sequence */
    assert_int_equal(fix_event(f, 0)->type, EVENT_NOTIFICATION);
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 42);
    fix_do(f, OP_OBSERVE_LIST, 1, "/");
    assert_int_equal(f->done->result.observations[0].since_ms, 5);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_observe),
        ROW(test_notifications),
        ROW(test_early_notification),
        ROW(test_store_fails),
        ROW(test_not_observed),
        ROW(test_same_again),
        cmocka_unit_test(test_limit),
        ROW(test_wrong_address),
        ROW(test_secured_from_anywhere),
        ROW(test_device_ends_it),
        ROW(test_cancel),
        ROW(test_cancel_without_answer),
        ROW(test_cancel_store_full),
        ROW(test_cancel_store_fails),
        ROW(test_ended_store_full),
        ROW(test_cancel_twice),
        ROW(test_cancel_waits),
        ROW(test_cancel_before_commit),
        ROW(test_list),
        ROW(test_gone_before_commit),
        ROW(test_in_blocks),
        ROW(test_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
