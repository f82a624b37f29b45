#include "coap_rig.h"

static void expect_sent_empty(struct rig *r, enum pdu_type type, uint16_t mid)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, type);
    assert_int_equal(p.code, PDU_EMPTY);
    assert_int_equal(p.mid, mid);
}

static void test_request_on_the_wire(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_PUT, "/lwm2m/3/0/15");
    struct view v;
    struct pdu p;

    (void)state;
    out.query = VIEW_LIT("pmin=5&pmax=10");
    out.format = 60;
    out.accept = 112;
    out.observe = 0;
    out.body = VIEW_LIT("abc");
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, PDU_CON);
    assert_int_equal(p.code, PDU_PUT);
    assert_true(rig_token(&p) == RIG_TOKEN);
    assert_int_equal(rig_option_uint(&p, PDU_CONTENT_FORMAT), 60);
    assert_int_equal(rig_option_uint(&p, PDU_ACCEPT), 112);
    assert_int_equal(rig_option_uint(&p, PDU_OBSERVE), 0);
    assert_true(rig_option(&p, PDU_URI_PATH, &v) && view_eq(v, VIEW_LIT("lwm2m")));
    assert_true(rig_option(&p, PDU_URI_QUERY, &v) && view_eq(v, VIEW_LIT("pmin=5")));
    assert_false(rig_option(&p, PDU_BLOCK1, &v));
    assert_false(rig_option(&p, PDU_BLOCK2, &v));
    assert_true(view_eq(p.payload, VIEW_LIT("abc")));
    rig_free(r);
}

/* The bytes of spec 03 section 7: Observe /3/0/9 as text. */
static void test_worked_bytes(void **state)
{
    static const uint8_t expected[] = {0x60, 0x51, 0x33, 0x01, 0x30, 0x01, 0x39, 0x60};
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");

    (void)state;
    out.observe = 0;
    out.accept = 0;
    (void)rig_request(r, &out);
    assert_int_equal(rig_sent_bytes(r, 0).n, 12 + sizeof(expected));
    assert_memory_equal(rig_sent_bytes(r, 0).p + 12, expected, sizeof(expected));
    rig_free(r);
}

static void test_piggybacked(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_advance(r, 100);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_text(r, PDU_LOCATION_PATH, "3303");
    rig_text(r, PDU_LOCATION_PATH, "1");
    rig_uint(r, PDU_CONTENT_FORMAT, 11542);
    rig_body(r, "95", 2);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    assert_int_equal(r->answer[0].format, 11542);
    assert_string_equal(r->answer[0].location, "/3303/1");
    assert_int_equal(r->answer[0].body_n, 2);
    assert_memory_equal(r->answer[0].body, "95", 2);
    assert_int_equal(r->answer[0].szx, 5);
    assert_false(r->answer[0].observe);
    rig_again(r);
    rig_expect_sent(r, 0);
    assert_int_equal(r->answers, 1);
    rig_settle(r);
    rig_free(r);
}

static void test_error_code_is_an_answer(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_answer_begin(r, PDU_ACK, 0x84, 0);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, 0x84);
    assert_int_equal(r->answer[0].format, FORMAT_NONE);
    rig_settle(r);
    rig_free(r);
}

static void test_separate_con(void **state)
{
    struct rig *r = rig_asking();
    uint16_t mid = rig_sent(r, 0).mid;

    (void)state;
    rig_empty(r, PDU_ACK, mid);
    rig_advance(r, 50000); /* nothing is repeated any more */
    rig_expect_sent(r, 0);
    rig_answer_begin(r, PDU_CON, PDU_CONTENT, 555);
    rig_body(r, "95", 2);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    expect_sent_empty(r, PDU_ACK, 555);
    rig_again(r); /* our ACK was lost */
    expect_sent_empty(r, PDU_ACK, 555);
    assert_int_equal(r->answers, 1);
    assert_int_equal(rig_count(r, COUNTER_coap_duplicates), 1);
    rig_settle(r);
    rig_free(r);
}

static void test_separate_non(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    rig_answer_begin(r, PDU_NON, PDU_CONTENT, 555);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    rig_expect_sent(r, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_response_before_ack(void **state)
{
    struct rig *r = rig_asking();
    uint16_t mid = rig_sent(r, 0).mid;

    (void)state;
    rig_answer_begin(r, PDU_CON, PDU_CONTENT, 555);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    expect_sent_empty(r, PDU_ACK, 555);
    rig_empty(r, PDU_ACK, mid);
    rig_advance(r, 100000);
    rig_expect_sent(r, 0);
    assert_int_equal(r->answers, 1);
    rig_settle(r);
    rig_free(r);
}

/* RFC 7252 section 4.2: waits of ACK_TIMEOUT to 1.5 times that, doubled, 4 retransmissions. */
static void test_retransmission(void **state)
{
    uint64_t shortest = UINT64_MAX;
    uint64_t longest = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rig *r = rig_new_closed();
        uint64_t started;
        uint64_t first_wait;
        struct outgoing out;

        random_init(&r->random, seed, 0);
        rig_open(r);
        out = rig_outgoing(r, PDU_GET, "/3/0/9");
        (void)rig_request(r, &out);
        started = r->now;
        rig_expect_sent(r, 1);
        r->now = engine_next(r->e);
        while (r->sent_count == 1) {
            r->now = engine_next(r->e) > r->now ? engine_next(r->e) : r->now;
            engine_run(r->e, r->now);
        }
        first_wait = r->now - started;
        assert_in_range(first_wait, 2000, 3000);
        shortest = first_wait < shortest ? first_wait : shortest;
        longest = first_wait > longest ? first_wait : longest;
        for (uint64_t n = 1; n <= 4; n++) {
            rig_expect_sent(r, 1);
            assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
            rig_advance(r, (first_wait << n) - 1);
            rig_expect_sent(r, 0);
            assert_int_equal(r->answers, 0);
            rig_advance(r, 1);
        }
        rig_expect_sent(r, 0);
        rig_expect_answer(r, 1, ERR_TIMEOUT, 0);
        assert_int_equal(r->answer[0].retransmissions, 4);
        assert_int_equal(rig_count(r, COUNTER_coap_retransmissions), 4);
        assert_int_equal(rig_count(r, COUNTER_coap_timeouts), 1);
        rig_settle(r);
        rig_free(r);
    }
    assert_true(longest - shortest > 700);
}

static void test_profile_of_the_request(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");

    (void)state;
    out.profile = profile_builtin(VIEW_LIT("nbiot"));
    (void)rig_request(r, &out);
    rig_advance(r, 9999);
    rig_expect_sent(r, 1);
    rig_advance(r, 5001);
    rig_expect_sent(r, 1);
    rig_advance(r, 90000);
    rig_expect_sent(r, 1);
    rig_expect_answer(r, 1, ERR_TIMEOUT, 0);
    rig_free(r);
}

static void test_answer_to_a_retransmission(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_advance(r, 3000);
    rig_expect_sent(r, 1);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    assert_int_equal(r->answer[0].retransmissions, 1);
    rig_settle(r);
    rig_free(r);
}

static void test_patience_after_the_ack(void **state)
{
    static const struct {
        uint32_t asked, expected;
    } rows[] = {{0, 93000}, {5000, 5000}};

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct rig *r = rig_new();
        struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");

        out.timeout_ms = rows[i].asked;
        (void)rig_request(r, &out);
        rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
        rig_advance(r, rows[i].expected - 1);
        assert_int_equal(r->answers, 0);
        rig_advance(r, 1);
        rig_expect_answer(r, 1, ERR_TIMEOUT, 0);
        rig_expect_sent(r, 1);
        rig_settle(r);
        rig_free(r);
    }
}

static void test_reset(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_empty(r, PDU_RST, (uint16_t)(rig_sent(r, 0).mid + 1)); /* not ours */
    assert_int_equal(r->answers, 0);
    rig_empty(r, PDU_RST, rig_sent(r, 0).mid);
    rig_expect_answer(r, 1, ERR_RESET, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_resets_received), 2);
    rig_settle(r);
    rig_free(r);
}

static void test_unreachable(void **state)
{
    struct rig *r = rig_asking();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/1");
    struct addr other = rig_flow(9).peer;

    (void)state;
    out.token++;
    (void)rig_request(r, &out);
    engine_unreachable(r->e, &other, r->now);
    assert_int_equal(r->answers, 0);
    engine_unreachable(r->e, &r->flow.peer, r->now);
    rig_expect_answer(r, 1, ERR_UNREACHABLE, 0);
    rig_expect_sent(r, 1); /* the next one tries for itself */
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_input(r);
    rig_expect_answer(r, 2, ERR_OK, PDU_CONTENT);
    rig_settle(r);
    rig_free(r);
}

/* ---- what is not an answer ----------------------------------------------------------------------
 */

static void test_foreign_responses(void **state)
{
    struct rig *r = rig_asking();
    uint16_t mid = rig_sent(r, 0).mid;

    (void)state;
    /* an ACK with another MID or another token */
    rig_begin(r, PDU_ACK, PDU_CONTENT, (uint16_t)(mid + 1), RIG_TOKEN);
    rig_input(r);
    rig_begin(r, PDU_ACK, PDU_CONTENT, mid, RIG_TOKEN + 1);
    rig_input(r);
    rig_begin(r, PDU_ACK, PDU_CONTENT, mid, 0);
    rig_input(r);
    rig_expect_sent(r, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_unknown_tokens), 3);
    /* the right token from elsewhere */
    r->flow.peer.port++;
    rig_begin(r, PDU_CON, PDU_CONTENT, 5, RIG_TOKEN);
    rig_input(r);
    expect_sent_empty(r, PDU_RST, 5);
    r->flow.peer.port--;
    r->flow.transport = TRANSPORT_DTLS;
    rig_begin(r, PDU_NON, PDU_CONTENT, 6, RIG_TOKEN);
    rig_input(r);
    expect_sent_empty(r, PDU_RST, 6);
    rig_begin(r, PDU_ACK, PDU_CONTENT, mid, RIG_TOKEN);
    rig_input(r);
    rig_empty(r, PDU_RST, mid);
    rig_expect_sent(r, 0);
    r->flow.transport = TRANSPORT_UDP;
    /* a token nobody has, or none */
    rig_begin(r, PDU_CON, PDU_CONTENT, 7, RIG_TOKEN + 1);
    rig_input(r);
    expect_sent_empty(r, PDU_RST, 7);
    rig_begin(r, PDU_NON, PDU_CONTENT, 8, 0);
    rig_input(r);
    expect_sent_empty(r, PDU_RST, 8);
    assert_int_equal(r->answers, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_resets_sent), 4);
    rig_settle(r);
    rig_expect_answer(r, 1, ERR_TIMEOUT, 0);
    rig_free(r);
}

/* RFC 7252 section 5.4.1. */
static void test_unknown_critical_option(void **state)
{
    static const enum pdu_type types[] = {PDU_ACK, PDU_NON, PDU_CON};

    (void)state;
    for (size_t i = 0; i < mem_count(types); i++) {
        struct rig *r = rig_asking();

        rig_answer_begin(r, types[i], PDU_CONTENT, 9);
        rig_text(r, PDU_OBSERVE, "long"); /* elective: ignored */
        rig_text(r, i ? 2049 : PDU_BLOCK2, "long");
        rig_input(r);
        rig_expect_answer(r, 1, ERR_BADANSWER, 0);
        if (types[i] == PDU_CON)
            expect_sent_empty(r, PDU_RST, 9);
        else
            rig_expect_sent(r, 0);
        rig_settle(r);
        rig_free(r);
    }
}

static void test_tolerated_options(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_text(r, PDU_ETAG, "e");
    rig_text(r, PDU_URI_PATH, "3");
    rig_uint(r, PDU_MAX_AGE, 3);
    rig_text(r, PDU_LOCATION_QUERY, "x");
    rig_text(r, 2050, "elective");
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    rig_free(r);
}

static void test_location_too_long_is_left_out(void **state)
{
    struct rig *r = rig_asking();
    char segment[200];

    (void)state;
    memset(segment, 'a', sizeof(segment) - 1);
    segment[sizeof(segment) - 1] = '\0';
    rig_answer_begin(r, PDU_ACK, PDU_CREATED, 0);
    rig_text(r, PDU_LOCATION_PATH, segment);
    rig_text(r, PDU_LOCATION_PATH, "1");
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, PDU_CREATED);
    assert_string_equal(r->answer[0].location, "");
    rig_free(r);
}

/* RFC 9175 section 2: the same request with the value, once. */
static void test_echo(void **state)
{
    struct rig *r = rig_asking();
    uint16_t mid = rig_sent(r, 0).mid;
    struct view v;
    struct pdu p;

    (void)state;
    rig_answer_begin(r, PDU_ACK, 0x81, 0);
    rig_text(r, PDU_ECHO, "fresh?");
    rig_input(r);
    assert_int_equal(r->answers, 0);
    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_not_equal(p.mid, mid);
    assert_true(rig_option(&p, PDU_ECHO, &v) && view_eq(v, VIEW_LIT("fresh?")));
    rig_answer_begin(r, PDU_ACK, 0x81, 0);
    rig_text(r, PDU_ECHO, "again");
    rig_input(r);
    rig_expect_answer(r, 1, ERR_OK, 0x81);
    rig_settle(r);
    rig_free(r);
}

/* ---- NSTART and queue ---------------------------------------------------------------------- */

static void test_nstart_is_fifo(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint64_t token = 1; token <= 4; token++)
        rig_ask(r, token);
    assert_true(rig_sent_token(r) == 1);
    rig_answer_ack(r);
    assert_true(rig_sent_token(r) == 2);
    /* an empty ACK frees the slot (RFC 7252 section 4.7) */
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    assert_true(rig_sent_token(r) == 3);
    rig_empty(r, PDU_RST, rig_sent(r, 0).mid);
    assert_true(rig_sent_token(r) == 4);
    rig_answer_ack(r);
    rig_begin(r, PDU_NON, PDU_CONTENT, 1, 2);
    rig_input(r);
    assert_int_equal(r->answers, 4);
    rig_settle(r);
    rig_free(r);
}

static void test_nstart_of_three(void **state)
{
    struct rig *r = rig_new_closed();
    struct profile p = *r->cfg.profile;

    (void)state;
    p.nstart = 3;
    r->cfg.profile = &p;
    rig_open(r);
    for (uint64_t token = 1; token <= 5; token++)
        rig_ask(r, token);
    rig_expect_sent(r, 3);
    rig_answer_ack(r);
    assert_true(rig_sent_token(r) == 4);
    rig_settle(r);
    assert_int_equal(r->answers, 5);
    rig_free(r);
}

static void test_peers_do_not_wait_for_each_other(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_ask(r, 1);
    r->flow = rig_flow(2);
    rig_ask(r, 2);
    rig_expect_sent(r, 2);
    rig_settle(r);
    rig_free(r);
}

static void test_timeout_lets_the_next_one_go(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_ask(r, 1);
    rig_ask(r, 2);
    rig_advance(r, 93000);
    rig_expect_answer(r, 1, ERR_TIMEOUT, 0);
    rig_settle(r);
    rig_expect_answer(r, 2, ERR_TIMEOUT, 0);
    rig_expect_sent(r, 10);
    rig_free(r);
}

static void test_limits(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    struct exchange *x = NULL;

    (void)state;
    r->cfg.queue_per_peer = 2;
    r->cfg.exchange_limit = 4;
    rig_open(r);
    for (uint64_t token = 1; token <= 3; token++)
        rig_ask(r, token);
    out = rig_outgoing(r, PDU_GET, "/3/0");
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_FULL);
    r->flow = rig_flow(2);
    rig_ask(r, 4);
    r->flow = rig_flow(3);
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_FULL);
    assert_null(x);
    assert_int_equal(rig_count(r, COUNTER_coap_exchange_limit), 2);
    rig_settle(r);
    assert_int_equal(r->answers, 4);
    rig_ask(r, 5);
    rig_settle(r);
    rig_free(r);
}

static void test_token_taken(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");
    struct exchange *x;

    (void)state;
    (void)rig_request(r, &out);
    assert_true(engine_token_known(r->e, out.token));
    assert_false(engine_token_known(r->e, out.token + 1));
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_EXISTS);
    rig_settle(r);
    assert_false(engine_token_known(r->e, out.token));
    (void)rig_request(r, &out);
    rig_settle(r);
    rig_free(r);
}

static void test_path_too_long(void **state)
{
    struct rig *r = rig_new_closed();
    char path[400];
    struct outgoing out;
    struct exchange *x;

    (void)state;
    r->cfg.message_max = 200;
    rig_open(r);
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    out = rig_outgoing(r, PDU_GET, path);
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_LIMIT);
    out.path = view_of(path, 110); /* fits, but nothing with it */
    out.body = VIEW_LIT("abc");
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_LIMIT);
    out.body = VIEW_NONE;
    (void)rig_request(r, &out);
    rig_settle(r);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_on_the_wire),
        cmocka_unit_test(test_worked_bytes),
        cmocka_unit_test(test_piggybacked),
        cmocka_unit_test(test_error_code_is_an_answer),
        cmocka_unit_test(test_separate_con),
        cmocka_unit_test(test_separate_non),
        cmocka_unit_test(test_response_before_ack),
        cmocka_unit_test(test_retransmission),
        cmocka_unit_test(test_profile_of_the_request),
        cmocka_unit_test(test_answer_to_a_retransmission),
        cmocka_unit_test(test_patience_after_the_ack),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_foreign_responses),
        cmocka_unit_test(test_unknown_critical_option),
        cmocka_unit_test(test_tolerated_options),
        cmocka_unit_test(test_location_too_long_is_left_out),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_nstart_is_fifo),
        cmocka_unit_test(test_nstart_of_three),
        cmocka_unit_test(test_peers_do_not_wait_for_each_other),
        cmocka_unit_test(test_timeout_lets_the_next_one_go),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_token_taken),
        cmocka_unit_test(test_path_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
