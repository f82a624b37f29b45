#include "coap_rig.h"

static void expect_empty(struct rig *r, enum pdu_type type, uint16_t mid)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, type);
    assert_int_equal(p.code, PDU_EMPTY);
    assert_int_equal(p.mid, mid);
}

static void test_ping(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_empty(r, PDU_CON, 0x1234);
    expect_empty(r, PDU_RST, 0x1234);
    rig_settle(r);
    rig_free(r);
}

static void test_empty_messages_of_nobody(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_empty(r, PDU_ACK, 1);
    rig_empty(r, PDU_RST, 2);
    rig_empty(r, PDU_NON, 3);
    rig_expect_sent(r, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_malformed), 1);
    rig_settle(r);
    rig_free(r);
}

/* RFC 7252 section 4.2 and 4.3: a malformed CON is rejected, anything else ignored. */
static void test_malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool rst;
    } rows[] = {
        {"", 0, false},
        {"\x40\x01\x00", 3, false},
        {"\x80\x01\x12\x34", 4, false},        /* version 2 */
        {"\x49\x01\x12\x34", 4, true},         /* token length 9 */
        {"\x44\x01\x12\x34tok", 7, true},      /* token cut off */
        {"\x40\x01\x12\x34\xff", 5, true},     /* marker without payload */
        {"\x40\x01\x12\x34\xf0", 5, true},     /* reserved delta */
        {"\x40\x00\x12\x34\xff\x01", 6, true}, /* an empty message with more */
        {"\x40\x3f\x12\x34", 4, true},         /* class 1 */
        {"\x40\xe1\x12\x34", 4, true},         /* class 7 */
        {"\x50\x01\x12\x34\xff", 5, false},
        {"\x60\x01\x12\x34\xff", 5, false},
        {"\x70\x01\x12\x34\xff", 5, false},
        {"\x60\x01\x12\x34", 4, false}, /* a request in an ACK */
        {"\x70\x01\x12\x34", 4, false}, /* and in a RST */
        {"\x70\x45\x12\x34", 4, false}, /* a response in a RST */
    };
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        rig_raw(r, rows[i].bytes, rows[i].n);
        if (rows[i].rst)
            expect_empty(r, PDU_RST, 0x1234);
        else
            rig_expect_sent(r, 0);
    }
    assert_int_equal(rig_count(r, COUNTER_coap_malformed), mem_count(rows));
    assert_int_equal(r->requests, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_next(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");

    (void)state;
    assert_true(engine_next(r->e) == UINT64_MAX);
    (void)rig_request(r, &out);
    assert_true(engine_next(r->e) <= r->now + 3000);
    rig_advance(r, 1000);
    rig_expect_sent(r, 1);
    rig_settle(r);
    assert_true(engine_next(r->e) == UINT64_MAX);
    rig_free(r);
}

/* The same seed, input and times: the same output, byte for byte. */
static uint64_t run_script(uint64_t seed)
{
    struct rig *r = rig_new_closed();
    uint64_t digest = 0;
    struct outgoing out;

    random_init(&r->random, seed, 7);
    rig_open(r);
    out = rig_outgoing(r, PDU_GET, "/3");
    (void)rig_request(r, &out);
    rig_begin(r, PDU_NON, PDU_POST, 1, 0);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_input(r);
    rig_settle(r);
    for (size_t i = 0; i < r->sent_count; i++) {
        struct view v = rig_sent_bytes(r, i);

        digest = digest * 31 + rig_hash(v.p, v.n);
    }
    digest = digest * 31 + r->now;
    rig_free(r);
    return digest;
}

static void test_deterministic(void **state)
{
    (void)state;
    assert_true(run_script(1) == run_script(1));
    assert_true(run_script(1) != run_script(2));
}

static void test_absurd_configuration(void **state)
{
    struct rig *r = rig_new_closed();
    struct profile p = {.name = "zero"};

    (void)state;
    r->cfg = (struct engine_config){.profile = &p, .message_max = 1};
    r->cfg.message_max = 128; /* the least, so that the rig agrees */
    rig_open(r);
    rig_begin(r, PDU_CON, PDU_POST, 1, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_input(r);
    rig_expect_sent(r, 1);
    {
        struct outgoing out = rig_outgoing(r, PDU_GET, "/3");

        out.token++;
        (void)rig_request(r, &out);
    }
    rig_settle(r);
    assert_int_equal(r->answers, 1);
    assert_int_equal(r->answer[0].rc, ERR_TIMEOUT);
    rig_free(r);
}

static void test_defaults(void **state)
{
    struct engine_config cfg;

    (void)state;
    engine_config_defaults(&cfg);
    assert_int_equal(cfg.dedup_per_peer, 4);
    assert_int_equal(cfg.message_max, 1152);
    assert_int_equal(cfg.ack_delay_ms, 1000);
    assert_non_null(cfg.profile);
    assert_string_equal(cfg.profile->name, "ip");
}

static void test_stats(void **state)
{
    struct rig *r = rig_new();
    struct relation rel = {.token = 77};
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");
    struct engine_stats s;
    size_t empty;

    (void)state;
    engine_stats(r->e, &s);
    empty = s.bytes;
    assert_true(empty > 0);
    (void)rig_request(r, &out);
    assert_int_equal(engine_relation_add(r->e, &rel), ERR_OK);
    r->mode = RIG_DEFER;
    rig_begin(r, PDU_CON, PDU_POST, 1, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_input(r);
    rig_begin(r, PDU_CON, PDU_POST, 2, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_block(r, PDU_BLOCK1, 0, true, 0);
    rig_body(r, "0123456789abcdef", 16);
    rig_input(r);
    engine_stats(r->e, &s);
    assert_int_equal(s.peers, 1);
    assert_int_equal(s.exchanges, 1);
    assert_int_equal(s.pending, 1);
    assert_int_equal(s.transfers, 1);
    assert_int_equal(s.relations, 1);
    assert_int_equal(s.dedup_entries, 2);
    assert_true(s.bytes > empty);
    engine_respond(r->e, r->pending, &r->response, r->now);
    engine_relation_del(r->e, &rel);
    rig_settle(r);
    engine_free(NULL);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping),          cmocka_unit_test(test_empty_messages_of_nobody),
        cmocka_unit_test(test_malformed),     cmocka_unit_test(test_next),
        cmocka_unit_test(test_deterministic), cmocka_unit_test(test_absurd_configuration),
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_stats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
