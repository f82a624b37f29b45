/* Send: src/lwm2m/send.c. */
#include "domain_fixture.h"

#include <stdio.h>

#define ONE TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]")

static void sends(struct fix *f, unsigned device, int32_t format, struct view body, uint8_t code)
{
    fix_request(f, device, PDU_POST, "/dp", "", format, body);
    assert_int_equal(fix_code(f), code);
}

static void test_send(void **state)
{
    struct fix *f = *state;
    const struct event *e;

    fix_device(f, 1);
    sends(f, 1, FORMAT_SENML_JSON,
          TEXT("[{\"bn\":\"/3303/0/\",\"n\":\"5700\",\"v\":22.5,\"bt\":1700000000},"
               "{\"n\":\"5700\",\"v\":22.0,\"t\":-60}]"),
          PDU_CHANGED);
    e = fix_event(f, 0);
    assert_int_equal(e->type, EVENT_SEND);
    assert_string_equal(e->endpoint, "dev1");
    assert_int_equal(batch_size(e->values), 2);
    assert_true(batch_at(e->values, 0)->timed);
    assert_int_equal(batch_at(e->values, 1)->time_ms, INT64_C(1699999940000));
    assert_int_equal(fix_count(f, COUNTER_sends), 1);
    {
        static const uint8_t cbor[] = {0x81, 0xa2, 0x00, 0x66, '/',  '3',
                                       '/',  '0',  '/',  '9',  0x02, 0x05};

        sends(f, 1, FORMAT_SENML_CBOR, view_of(cbor, sizeof(cbor)), PDU_CHANGED);
        assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 5);
    }
}

static void test_send_refusals(void **state)
{
    struct fix *f = *state;
    size_t events;

    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"), 0x84); /* who? */
    fix_device(f, 1);
    events = f->event_count;
    sends(f, 1, FORMAT_NONE, TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"), 0x80);
    sends(f, 1, FORMAT_TEXT, TEXT("1"), 0x8f);
    sends(f, 1, FORMAT_TLV, TEXT("1"), 0x8f);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":"), 0x80);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"3/0\",\"v\":1}]"), 0x80);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[]"), 0x80);
    sends(f, 1, FORMAT_SENML_JSON, VIEW_NONE, 0x80);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\"}]"), 0x80);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/4/0/1\",\"v\":1}]"), 0x84); /* not announced */
    assert_int_equal(f->event_count, events);
    assert_int_equal(fix_count(f, COUNTER_sends_refused), 10);
}

/* The instance of each record must have been registered. */
static void test_send_instances(void **state)
{
    struct fix *f = *state;
    size_t events;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1",
                 "</1/0>,</3/0>,</5>,</3303>;ver=1.1,</3303/0>,</3303/7>");
    events = f->event_count;
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3303/1/5700\",\"v\":1}]"), 0x84);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/6/0/0\",\"v\":1}]"), 0x84);
    /* One is enough to refuse them all. */
    sends(f, 1, FORMAT_SENML_JSON,
          TEXT("[{\"n\":\"/3303/0/5700\",\"v\":1},{\"n\":\"/3303/1/5700\",\"v\":1}]"), 0x84);
    assert_int_equal(f->event_count, events);
    sends(f, 1, FORMAT_SENML_JSON,
          TEXT("[{\"n\":\"/3303/7/5700\",\"v\":1},{\"n\":\"/3303/0/5700\",\"v\":1}]"), PDU_CHANGED);
    /* An object announced without instances stands for those it may have. */
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/5/0/3\",\"v\":1}]"), PDU_CHANGED);
    /* A resource that no model knows is no reason. */
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3303/0/9999\",\"v\":1}]"), PDU_CHANGED);
}

/* Several endpoints behind one address: the last to talk is meant. */
static void test_send_shared_address(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_register(f, 1, "ep=dev2&lt=300&lwm2m=1.1", fix_links);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"), PDU_CHANGED);
    assert_string_equal(fix_event(f, 0)->endpoint, "dev2");
    fix_do(f, OP_DEREGISTER, 2, "/");
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"), 0x84);
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    sends(f, 1, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"), PDU_CHANGED);
    assert_string_equal(fix_event(f, 0)->endpoint, "dev1");
}

static void test_lwm2m_cbor(void **state)
{
    /* {3: {0: {9: 7}}} */
    static const uint8_t cbor[] = {0xa1, 0x03, 0xa1, 0x00, 0xa1, 0x09, 0x07};
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.2", fix_links);
    sends(f, 1, FORMAT_LWM2M_CBOR, view_of(cbor, sizeof(cbor)), PDU_CHANGED);
    assert_int_equal(batch_at(fix_event(f, 0)->values, 0)->value.u.integer, 7);
    assert_false(batch_at(fix_event(f, 0)->values, 0)->timed);
}

/* Nothing is answered or told before it is durable; then it is, with every timestamp. */
static void test_waits_for_the_store(void **state)
{
    struct fix *f = *state;
    const struct entry *e;
    struct txn *t;

    fix_device(f, 1);
    f->hold = true;
    sends(f, 1, FORMAT_SENML_JSON,
          TEXT("[{\"bn\":\"/3303/0/\",\"bt\":1600000000,\"n\":\"5700\",\"v\":1,\"t\":0.5},"
               "{\"n\":\"5700\",\"v\":2,\"t\":-1}]"),
          0);
    assert_int_equal(fix_events(f, EVENT_SEND), 0);
    t = fix_txn(f, 0);
    assert_int_equal(t->kind, TXN_RECORD);
    assert_int_equal(t->entry_count, 1);
    e = &t->entries[0];
    assert_true(view_eq_str(e->endpoint, "dev1"));
    assert_int_equal(e->type, EVENT_SEND);
    assert_int_equal(e->origin, ORIGIN_SEND);
    assert_false(e->listed); /* like a notification */
    assert_int_equal(e->time_ms, FIX_WALL + (int64_t)(f->now - FIX_START));
    assert_int_equal(e->registration_id, fix_find(f, 1)->id);
    assert_int_equal(batch_size(e->values), 2);
    assert_int_equal(batch_at(e->values, 0)->time_ms, INT64_C(1600000000500));
    assert_int_equal(batch_at(e->values, 1)->time_ms, INT64_C(1599999999000));
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(fix_event(f, 0)->type, EVENT_SEND);
    assert_int_equal(batch_size(fix_event(f, 0)->values), 2);
    assert_int_equal(fix_count(f, COUNTER_sends), 1);
}

static void test_store_fails(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    f->hold = true;
    sends(f, 1, FORMAT_SENML_JSON, ONE, 0);
    fix_commit(f, ERR_STORE);
    assert_int_equal(fix_code(f), 0);
    f->store_full = true;
    sends(f, 1, FORMAT_SENML_JSON, ONE, 0);
    assert_int_equal(fix_count(f, COUNTER_sends_dropped), 2);
    assert_int_equal(fix_count(f, COUNTER_sends_refused), 0);
    assert_int_equal(fix_events(f, EVENT_SEND), 0);
}

/* One Send, byte for byte the same each time. */
static void send_as(struct fix *f, enum pdu_type type, uint16_t mid, struct view token)
{
    uint8_t out[128];
    struct pdu_writer w;
    struct view datagram;

    pdu_begin(&w, out, sizeof(out), type, PDU_POST, mid, token);
    pdu_put_path(&w, PDU_URI_PATH, TEXT("/dp"));
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_SENML_JSON);
    pdu_put_payload(&w, ONE);
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, 1, datagram);
}

static void test_copies_are_recorded_once(void **state)
{
    struct fix *f = *state;
    size_t sent;

    fix_device(f, 1);
    f->hold = true;
    send_as(f, PDU_CON, 77, TEXT("tk"));
    send_as(f, PDU_CON, 77, TEXT("tk"));
    assert_int_equal(f->by_kind[TXN_RECORD], 1);
    fix_advance(f, 1100); /* the empty ACK leaves */
    send_as(f, PDU_CON, 77, TEXT("tk"));
    assert_int_equal(f->by_kind[TXN_RECORD], 1);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    sent = f->sent_count;
    send_as(f, PDU_CON, 77, TEXT("tk"));
    assert_true(f->sent_count > sent);
    assert_int_equal(f->by_kind[TXN_RECORD], 1);
    assert_int_equal(fix_events(f, EVENT_SEND), 1);
    /* What failed may be tried again with the same bytes. */
    send_as(f, PDU_CON, 78, TEXT("tk"));
    fix_commit(f, ERR_STORE);
    send_as(f, PDU_CON, 78, TEXT("tk"));
    assert_int_equal(f->by_kind[TXN_RECORD], 3);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_events(f, EVENT_SEND), 2);
}

static void test_non_and_empty_token(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    send_as(f, PDU_NON, 5, VIEW_NONE);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_NON);
    assert_int_equal(fix_sent(f, 0)->pdu.token_len, 0);
    send_as(f, PDU_NON, 5, VIEW_NONE);
    send_as(f, PDU_CON, 6, VIEW_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.token_len, 0);
    assert_int_equal(fix_events(f, EVENT_SEND), 2);
}

static void test_in_blocks(void **state)
{
    char body[900] = "[{\"bn\":\"/3303/0/5700\",\"v\":0}";
    struct fix *f = *state;
    size_t n = strlen(body), at = 0;

    fix_device(f, 1);
    for (int i = 1; n < 800; i++)
        n += (size_t)snprintf(body + n, sizeof(body) - n, ",{\"v\":%d,\"t\":-%d}", i, i);
    body[n++] = ']';
    for (uint32_t num = 0; at < n; num++) {
        uint8_t out[512], mid = (uint8_t)(10 + num);
        size_t part = n - at < 256 ? n - at : 256;
        struct pdu_writer w;
        struct view datagram;

        pdu_begin(&w, out, sizeof(out), PDU_CON, PDU_POST, mid, view_of(&mid, 1));
        pdu_put_path(&w, PDU_URI_PATH, TEXT("/dp"));
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_SENML_JSON);
        pdu_put_uint(&w, PDU_BLOCK1, pdu_block_encode((struct pdu_block){num, at + part < n, 4}));
        pdu_put_payload(&w, view_of(body + at, part));
        assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
        fix_input(f, 1, datagram);
        at += part;
        assert_int_equal(fix_code(f), at < n ? PDU_CONTINUE : PDU_CHANGED);
    }
    assert_true(batch_size(fix_event(f, 0)->values) > 30);
}

/* The device goes meanwhile: what it has said is kept all the same. */
static void test_device_goes_meanwhile(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    f->hold = true;
    sends(f, 1, FORMAT_SENML_JSON, ONE, 0);
    fix_do(f, OP_DEREGISTER, 1, "/");
    fix_commit(f, ERR_OK);
    assert_null(fix_find(f, 1));
    assert_int_equal(fix_events(f, EVENT_SEND), 1);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_send),
        ROW(test_send_refusals),
        ROW(test_send_instances),
        ROW(test_send_shared_address),
        ROW(test_lwm2m_cbor),
        ROW(test_waits_for_the_store),
        ROW(test_store_fails),
        ROW(test_copies_are_recorded_once),
        ROW(test_non_and_empty_token),
        ROW(test_in_blocks),
        ROW(test_device_goes_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
