#include "coap_rig.h"

static void begin(struct rig *r, enum pdu_type type, uint16_t mid)
{
    rig_begin(r, type, PDU_POST, mid, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_text(r, PDU_URI_QUERY, "ep=a");
    rig_body(r, "</1/0>", 6);
}

static struct rig *deferring(enum pdu_type type)
{
    struct rig *r = rig_new();

    r->mode = RIG_DEFER;
    r->response = (struct response){
        .code = PDU_CREATED, .format = FORMAT_NONE, .location = VIEW_LIT("rd/5a")};
    begin(r, type, 7);
    rig_input(r);
    assert_int_equal(r->requests, 1);
    assert_non_null(r->pending);
    rig_expect_sent(r, 0);
    return r;
}

static void expect(struct rig *r, enum pdu_type type, uint8_t code)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, type);
    assert_int_equal(p.code, code);
}

static void test_in_time_is_piggybacked(void **state)
{
    struct rig *r = deferring(PDU_CON);
    struct pdu p;

    (void)state;
    rig_again(r); /* nothing yet */
    rig_expect_sent(r, 0);
    rig_advance(r, 999);
    rig_expect_sent(r, 0);
    engine_respond(r->e, r->pending, &r->response, r->now);
    expect(r, PDU_ACK, PDU_CREATED);
    p = rig_sent(r, 0);
    assert_int_equal(p.mid, 7);
    rig_again(r);
    expect(r, PDU_ACK, PDU_CREATED);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    assert_int_equal(r->requests, 1);
    rig_settle(r);
    rig_free(r);
}

static void test_late_is_separate(void **state)
{
    struct rig *r = deferring(PDU_CON);
    struct pdu p;

    (void)state;
    rig_advance(r, 1000);
    expect(r, PDU_ACK, PDU_EMPTY);
    p = rig_sent(r, 0);
    assert_int_equal(p.mid, 7);
    rig_again(r);
    expect(r, PDU_ACK, PDU_EMPTY);
    rig_advance(r, 5000);
    rig_expect_sent(r, 0);
    engine_respond(r->e, r->pending, &r->response, r->now);
    expect(r, PDU_CON, PDU_CREATED);
    p = rig_sent(r, 0);
    assert_true(rig_token(&p) == RIG_TOKEN);
    rig_again(r); /* the request still gets its ACK only */
    expect(r, PDU_ACK, PDU_EMPTY);
    rig_advance(r, 3000);
    expect(r, PDU_CON, PDU_CREATED);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 2)));
    rig_empty(r, PDU_ACK, p.mid);
    rig_advance(r, 100000);
    rig_expect_sent(r, 0);
    assert_int_equal(r->requests, 1);
    assert_int_equal(rig_count(r, COUNTER_coap_timeouts), 0);
    rig_settle(r);
    rig_free(r);
}

static void test_separate_is_rejected(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    rig_advance(r, 1000);
    engine_respond(r->e, r->pending, &r->response, r->now);
    rig_expect_sent(r, 2);
    rig_empty(r, PDU_RST, rig_sent(r, 0).mid);
    rig_advance(r, 100000);
    rig_expect_sent(r, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_separate_times_out(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    rig_advance(r, 1000);
    engine_respond(r->e, r->pending, &r->response, r->now);
    rig_advance(r, 93000);
    rig_expect_sent(r, 1 + 5);
    assert_int_equal(rig_count(r, COUNTER_coap_retransmissions), 4);
    assert_int_equal(rig_count(r, COUNTER_coap_timeouts), 1);
    rig_settle(r);
    rig_free(r);
}

static void test_separate_peer_is_gone(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    rig_advance(r, 1000);
    engine_respond(r->e, r->pending, &r->response, r->now);
    rig_expect_sent(r, 2);
    engine_unreachable(r->e, &r->flow.peer, r->now);
    rig_advance(r, 100000);
    rig_expect_sent(r, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_non_has_no_ack(void **state)
{
    struct rig *r = deferring(PDU_NON);
    struct pdu p;

    (void)state;
    rig_advance(r, 10000);
    rig_again(r);
    rig_expect_sent(r, 0);
    engine_respond(r->e, r->pending, &r->response, r->now);
    expect(r, PDU_NON, PDU_CREATED);
    p = rig_sent(r, 0);
    assert_true(rig_token(&p) == RIG_TOKEN);
    rig_again(r);
    expect(r, PDU_NON, PDU_CREATED);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    rig_advance(r, 100000);
    rig_expect_sent(r, 0);
    rig_settle(r);
    rig_free(r);
}

static void expect_copy(struct rig *r)
{
    assert_true(r->request.replayed);
    assert_int_equal(r->request.method, PDU_POST);
    assert_string_equal(r->request.path, "/rd");
    assert_string_equal(r->request.query, "ep=a");
    assert_int_equal(r->request.body_n, 6);
    assert_memory_equal(r->request.body, "</1/0>", 6);
}

static void test_replay_in_time(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    r->mode = RIG_REPLY;
    engine_replay(r->e, r->pending, r->now);
    expect_copy(r);
    expect(r, PDU_ACK, PDU_CREATED);
    rig_again(r);
    expect(r, PDU_ACK, PDU_CREATED);
    assert_int_equal(r->requests, 2);
    rig_settle(r);
    rig_free(r);
}

static void test_replay_late_and_deferred_again(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    rig_advance(r, 500);
    engine_replay(r->e, r->pending, r->now);
    expect_copy(r);
    rig_expect_sent(r, 0);
    rig_advance(r, 500); /* the delay counts from the first time */
    expect(r, PDU_ACK, PDU_EMPTY);
    r->mode = RIG_REPLY;
    engine_replay(r->e, r->pending, r->now);
    expect(r, PDU_CON, PDU_CREATED);
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    rig_settle(r);
    rig_free(r);
}

static void test_replay_ignored(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    r->mode = RIG_IGNORE;
    engine_replay(r->e, r->pending, r->now);
    rig_advance(r, 10000);
    rig_expect_sent(r, 0);
    r->mode = RIG_REPLY;
    rig_again(r);
    assert_int_equal(r->requests, 3);
    expect(r, PDU_ACK, PDU_CREATED);
    rig_settle(r);
    rig_free(r);
}

static void test_drop_is_silence(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    engine_drop(r->e, r->pending);
    rig_advance(r, 10000);
    rig_expect_sent(r, 0);
    r->mode = RIG_REPLY;
    rig_again(r);
    assert_int_equal(r->requests, 2);
    rig_settle(r);
    rig_free(r);
}

static void test_limit(void **state)
{
    struct rig *r = rig_new_closed();

    (void)state;
    r->cfg.exchange_limit = 3;
    r->mode = RIG_DEFER;
    rig_open(r);
    for (unsigned i = 0; i < 4; i++) {
        r->flow = rig_flow(i);
        begin(r, PDU_CON, 7);
        rig_input(r);
        assert_true((r->pending != NULL) == (i < 3));
    }
    assert_int_equal(rig_count(r, COUNTER_coap_dropped), 1);
    rig_expect_sent(r, 0);
    r->mode = RIG_REPLY;
    rig_again(r); /* forgotten, so heard again */
    assert_int_equal(r->requests, 5);
    rig_free(r); /* frees the three that wait */
}

/* One peer that does not acknowledge does not collect responses without end. */
static void test_limit_of_one_peer(void **state)
{
    struct rig *r = rig_new_closed();

    (void)state;
    r->cfg.queue_per_peer = 3;
    r->mode = RIG_DEFER;
    rig_open(r);
    for (uint16_t mid = 0; mid < 3; mid++) {
        begin(r, PDU_CON, mid);
        rig_input(r);
        rig_advance(r, 1000);
        engine_respond(r->e, r->pending, &r->response, r->now);
    }
    begin(r, PDU_CON, 3);
    rig_input(r);
    assert_null(r->pending);
    assert_int_equal(rig_count(r, COUNTER_coap_dropped), 1);
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    rig_again(r);
    begin(r, PDU_CON, 3);
    rig_input(r);
    assert_non_null(r->pending);
    engine_drop(r->e, r->pending);
    rig_settle(r);
    rig_free(r);
}

/* Requests at work are never pushed out of the ring: then a duplicate would run twice. */
static void test_ring_full_of_pending(void **state)
{
    struct rig *r = rig_new();
    struct pending *first;

    (void)state;
    r->mode = RIG_DEFER;
    for (uint16_t mid = 0; mid < 4; mid++) {
        begin(r, PDU_CON, mid);
        rig_input(r);
        if (mid == 0)
            first = r->pending;
    }
    begin(r, PDU_CON, 4);
    rig_input(r);
    assert_int_equal(r->requests, 4);
    assert_int_equal(rig_count(r, COUNTER_coap_dropped), 1);
    engine_respond(r->e, first, &r->response, r->now);
    rig_again(r);
    assert_int_equal(r->requests, 5);
    begin(r, PDU_CON, 1);
    rig_input(r);
    assert_int_equal(r->requests, 5);
    rig_free(r);
}

/* Longer than EXCHANGE_LIFETIME: the duplicate still finds it. */
static void test_patience(void **state)
{
    struct rig *r = deferring(PDU_NON);

    (void)state;
    rig_advance(r, 400000);
    rig_again(r);
    assert_int_equal(r->requests, 1);
    engine_respond(r->e, r->pending, &r->response, r->now);
    rig_settle(r);
    rig_free(r);
}

/* A body that came in blocks is kept whole. */
static void test_reassembled(void **state)
{
    struct rig *r = rig_new();
    uint8_t body[80];
    struct pdu p;

    (void)state;
    rig_pattern(body, sizeof(body), 9);
    r->mode = RIG_DEFER;
    for (uint16_t num = 0; num < 2; num++) {
        rig_begin(r, PDU_CON, PDU_POST, num, RIG_TOKEN);
        rig_text(r, PDU_URI_PATH, "rd");
        rig_block(r, PDU_BLOCK1, num, num == 0, 2);
        rig_body(r, body + num * 64, num ? 16 : 64);
        rig_input(r);
    }
    rig_expect_sent(r, 1);
    assert_int_equal(r->request.body_n, 80);
    memset(r->request.body, 0, sizeof(r->request.body));
    r->mode = RIG_REPLY;
    engine_replay(r->e, r->pending, r->now);
    assert_int_equal(r->request.body_n, 80);
    assert_memory_equal(r->request.body, body, 80);
    p = rig_sent(r, 0);
    assert_int_equal(p.code, PDU_CHANGED);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK1).num, 1);
    assert_false(rig_option_block(&p, PDU_BLOCK1).more);
    rig_settle(r);
    rig_free(r);
}

static void test_free_with_a_separate_response(void **state)
{
    struct rig *r = deferring(PDU_CON);

    (void)state;
    rig_advance(r, 1000);
    engine_respond(r->e, r->pending, &r->response, r->now);
    rig_expect_sent(r, 2);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time_is_piggybacked),
        cmocka_unit_test(test_late_is_separate),
        cmocka_unit_test(test_separate_is_rejected),
        cmocka_unit_test(test_separate_times_out),
        cmocka_unit_test(test_separate_peer_is_gone),
        cmocka_unit_test(test_non_has_no_ack),
        cmocka_unit_test(test_replay_in_time),
        cmocka_unit_test(test_replay_late_and_deferred_again),
        cmocka_unit_test(test_replay_ignored),
        cmocka_unit_test(test_drop_is_silence),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_of_one_peer),
        cmocka_unit_test(test_ring_full_of_pending),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_reassembled),
        cmocka_unit_test(test_free_with_a_separate_response),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
