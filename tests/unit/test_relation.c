#include "coap_rig.h"

static uint8_t body[4096];

static struct rig *observing(struct relation *rel)
{
    struct rig *r = rig_new();

    rig_pattern(body, sizeof(body), 5);
    *rel = (struct relation){.token = RIG_TOKEN};
    assert_int_equal(engine_relation_add(r->e, rel), ERR_OK);
    assert_true(engine_token_known(r->e, RIG_TOKEN));
    return r;
}

static void begin(struct rig *r, enum pdu_type type, uint16_t mid, int64_t sequence)
{
    rig_begin(r, type, PDU_CONTENT, mid, RIG_TOKEN);
    if (sequence >= 0)
        rig_uint(r, PDU_OBSERVE, (uint32_t)sequence);
}

static void notify(struct rig *r, enum pdu_type type, uint16_t mid, int64_t sequence)
{
    begin(r, type, mid, sequence);
    rig_uint(r, PDU_CONTENT_FORMAT, 0);
    rig_body(r, "95", 2);
    rig_input(r);
}

static void expect_empty(struct rig *r, enum pdu_type type, uint16_t mid)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, type);
    assert_int_equal(p.code, PDU_EMPTY);
    assert_int_equal(p.mid, mid);
}

static void done(struct rig *r, struct relation *rel)
{
    engine_relation_del(r->e, rel);
    assert_false(engine_token_known(r->e, RIG_TOKEN));
    rig_settle(r);
    rig_free(r);
}

static void test_notifications(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    notify(r, PDU_NON, 10, 5);
    rig_expect_sent(r, 0);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(r->notification.code, PDU_CONTENT);
    assert_int_equal(r->notification.format, 0);
    assert_true(r->notification.observe);
    assert_int_equal(r->notification.sequence, 5);
    assert_int_equal(r->notification.body_n, 2);
    assert_int_equal(rel.sequence, 5);
    notify(r, PDU_CON, 11, 6);
    expect_empty(r, PDU_ACK, 11);
    assert_int_equal(r->notifications, 2);
    rig_again(r); /* our ACK was lost */
    expect_empty(r, PDU_ACK, 11);
    assert_int_equal(r->notifications, 2);
    assert_int_equal(rig_count(r, COUNTER_coap_duplicates), 1);
    assert_int_equal(rig_count(r, COUNTER_notifications_stale), 0);
    done(r, &rel);
}

/* RFC 7641 section 3.4. */
static void test_freshness(void **state)
{
    static const struct {
        uint32_t v1, v2;
        uint32_t seconds;
        bool fresh;
    } rows[] = {
        {5, 6, 0, true},
        {5, 5, 0, true}, /* said again because pmax has elapsed */
        {6, 5, 0, false},
        {5, 5 + (1 << 23) - 1, 0, true},
        {5, 5 + (1 << 23), 0, false},
        {0xffffff, 0, 0, true},
        {0xffffff, 0x7fffff, 0, false},
        {0xffffff, 0x7ffffe, 0, true},
        {6, 5, 128, false},
        {6, 5, 129, true},
        {6, 6, 3600, true},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct relation rel;
        struct rig *r = observing(&rel);

        notify(r, PDU_NON, 10, rows[i].v1);
        rig_advance(r, (uint64_t)rows[i].seconds * 1000);
        notify(r, PDU_CON, 11, rows[i].v2);
        expect_empty(r, PDU_ACK, 11); /* an old one is acknowledged, too */
        assert_int_equal(r->notifications, rows[i].fresh ? 2 : 1);
        assert_int_equal(rel.sequence, rows[i].fresh ? rows[i].v2 : rows[i].v1);
        assert_int_equal(rig_count(r, COUNTER_notifications_stale), rows[i].fresh ? 0 : 1);
        done(r, &rel);
    }
}

/* A copy that the network made is not said again, CON or NON. */
static void test_copies(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    notify(r, PDU_NON, 10, 5);
    rig_again(r);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(rig_count(r, COUNTER_notifications_stale), 1);
    notify(r, PDU_NON, 11, 5);
    assert_int_equal(r->notifications, 2);
    rig_advance(r, 129000);
    rig_again(r);
    assert_int_equal(r->notifications, 3);
    done(r, &rel);
}

/* The first one counts whatever its number, also right after the clock began. */
static void test_first_sequence(void **state)
{
    struct rig *r = rig_new_closed();
    struct relation rel = {.token = RIG_TOKEN};

    (void)state;
    r->now = 0;
    rig_open(r);
    assert_int_equal(engine_relation_add(r->e, &rel), ERR_OK);
    notify(r, PDU_NON, 10, 0);
    assert_int_equal(r->notifications, 1);
    notify(r, PDU_NON, 11, 0xffffff);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(rig_count(r, COUNTER_notifications_stale), 1);
    done(r, &rel);
}

static void test_not_wanted(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    r->notification_rc = ERR_NOTFOUND;
    notify(r, PDU_CON, 10, 5);
    expect_empty(r, PDU_RST, 10);
    rig_again(r);
    expect_empty(r, PDU_RST, 10);
    notify(r, PDU_NON, 11, 6);
    expect_empty(r, PDU_RST, 11);
    assert_int_equal(r->notifications, 2);
    assert_int_equal(rel.seen_s, 0); /* whoever sent it has not moved the sequence */
    done(r, &rel);
}

static void test_unknown_token(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    engine_relation_del(r->e, &rel);
    notify(r, PDU_CON, 10, 5);
    expect_empty(r, PDU_RST, 10);
    notify(r, PDU_NON, 11, 6);
    expect_empty(r, PDU_RST, 11);
    assert_int_equal(r->notifications, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_unknown_tokens), 2);
    done(r, &rel);
}

static void test_unknown_critical_option(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    begin(r, PDU_CON, 10, 5);
    rig_text(r, 2049, "");
    rig_input(r);
    expect_empty(r, PDU_RST, 10);
    assert_int_equal(r->notifications, 0);
    done(r, &rel);
}

static void end_relation(struct rig *r, struct relation *rel)
{
    engine_relation_del(r->e, rel);
    memset(rel, 0xee, sizeof(*rel)); /* as good as freed */
}

/* An error code, or no Observe option: the last one. */
static void test_endings(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct relation rel;
        struct rig *r = observing(&rel);

        r->on_notification = end_relation;
        notify(r, PDU_NON, 9, 50);
        r->notifications = 0;
        assert_int_equal(
            engine_relation_add(r->e,
                                memcpy(&rel, &(struct relation){.token = RIG_TOKEN}, sizeof(rel))),
            ERR_OK);
        if (how == 0) {
            rig_begin(r, PDU_CON, 0x84, 10, RIG_TOKEN);
            rig_input(r);
        } else {
            notify(r, PDU_CON, 10, how == 1 ? -1 : 51);
        }
        expect_empty(r, PDU_ACK, 10);
        assert_int_equal(r->notifications, 1);
        assert_int_equal(r->notification.observe, how == 2);
        rig_again(r); /* a duplicate is still a duplicate */
        expect_empty(r, PDU_ACK, 10);
        notify(r, PDU_CON, 11, 52);
        expect_empty(r, PDU_RST, 11);
        rig_settle(r);
        rig_free(r);
    }
}

/* A number that would be old does not hide the end. */
static void test_ending_is_never_stale(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    notify(r, PDU_NON, 9, 50);
    rig_begin(r, PDU_NON, 0x84, 10, RIG_TOKEN);
    rig_uint(r, PDU_OBSERVE, 3);
    rig_input(r);
    assert_int_equal(r->notifications, 2);
    assert_int_equal(rel.sequence, 50);
    done(r, &rel);
}

static void test_token_is_taken_once(void **state)
{
    struct relation rel;
    struct relation other = {.token = RIG_TOKEN};
    struct rig *r = observing(&rel);

    (void)state;
    assert_int_equal(engine_relation_add(r->e, &other), ERR_EXISTS);
    done(r, &rel);
}

/* While the request that starts it is under way, the response wins over the relation. */
static void test_start(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");

    (void)state;
    out.observe = 0;
    (void)rig_request(r, &out);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_uint(r, PDU_OBSERVE, 3);
    rig_input(r);
    assert_int_equal(r->answers, 1);
    assert_true(r->answer[0].observe);
    assert_int_equal(r->answer[0].sequence, 3);
    assert_int_equal(r->notifications, 0);
    notify(r, PDU_NON, 10, 4);
    assert_int_equal(r->notifications, 1);
    done(r, &rel);
}

/* A notification that crosses the request to end the observation does not answer it. */
static void test_cancel_crosses_notification(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");
    uint16_t mid;

    (void)state;
    out.observe = 1;
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    mid = rig_sent(r, 0).mid;
    assert_int_equal(rig_option_uint(&(struct pdu){.options = rig_sent(r, 0).options}, PDU_OBSERVE),
                     1);
    notify(r, PDU_CON, 10, 4);
    expect_empty(r, PDU_ACK, 10);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(r->answers, 0);
    rig_begin(r, PDU_ACK, PDU_CONTENT, mid, RIG_TOKEN);
    rig_input(r);
    assert_int_equal(r->answers, 1);
    assert_int_equal(r->answer[0].rc, ERR_OK);
    done(r, &rel);
}

/* ---- in blocks ----------------------------------------------------------------------------------
 */

static void first_block(struct rig *r, enum pdu_type type, uint16_t mid, int64_t sequence)
{
    begin(r, type, mid, sequence);
    rig_uint(r, PDU_CONTENT_FORMAT, 11542);
    rig_block(r, PDU_BLOCK2, 0, true, 4);
    rig_body(r, body, 256);
    rig_input(r);
}

static void next_block(struct rig *r, uint32_t num, bool more)
{
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_uint(r, PDU_CONTENT_FORMAT, 11542);
    rig_block(r, PDU_BLOCK2, num, more, 4);
    rig_body(r, body + num * 256, 256);
    rig_input(r);
}

/* The request for that block: with a token of its own, without Observe. */
static void expect_fetch(struct rig *r, size_t back, uint32_t num)
{
    struct pdu p = rig_sent(r, back);
    struct view v;

    assert_int_equal(p.type, PDU_CON);
    assert_int_equal(p.code, PDU_GET);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, num);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).szx, 4);
    assert_int_equal(rig_option_uint(&p, PDU_ACCEPT), FORMAT_TLV);
    assert_true(rig_option(&p, PDU_URI_PATH, &v));
    assert_false(rig_option(&p, PDU_OBSERVE, &v));
    assert_true(rig_token(&p) != RIG_TOKEN);
    assert_int_equal(rig_token(&p) >> 56, RIG_TOKEN >> 56);
}

static void test_in_blocks(void **state)
{
    static const enum pdu_type types[] = {PDU_CON, PDU_NON};

    (void)state;
    for (size_t i = 0; i < mem_count(types); i++) {
        struct relation rel;
        struct rig *r = observing(&rel);

        first_block(r, types[i], 10, 5);
        rig_expect_sent(r, types[i] == PDU_CON ? 2 : 1);
        if (types[i] == PDU_CON) {
            assert_int_equal(rig_sent(r, 0).type, PDU_ACK);
            rig_again(r);
            expect_empty(r, PDU_ACK, 10);
        }
        expect_fetch(r, types[i] == PDU_CON ? 2 : 0, 1);
        assert_int_equal(rel.sequence, 5);
        assert_int_equal(r->notifications, 0);
        {
            struct pdu p = rig_sent(r, types[i] == PDU_CON ? 2 : 0);

            rig_begin(r, PDU_ACK, PDU_CONTENT, p.mid, rig_token(&p));
        }
        rig_uint(r, PDU_CONTENT_FORMAT, 11542);
        rig_block(r, PDU_BLOCK2, 1, true, 4);
        rig_body(r, body + 256, 256);
        rig_input(r);
        expect_fetch(r, 0, 2);
        next_block(r, 2, false);
        assert_int_equal(r->notifications, 1);
        assert_int_equal(r->notification.rc, ERR_OK);
        assert_int_equal(r->notification.code, PDU_CONTENT);
        assert_int_equal(r->notification.format, 11542);
        assert_true(r->notification.observe);
        assert_int_equal(r->notification.sequence, 5);
        assert_int_equal(r->notification.body_n, 768);
        assert_memory_equal(r->notification.body, body, 768);
        assert_int_equal(r->answers, 0);
        done(r, &rel);
    }
}

static void test_newer_one_replaces_the_fetch(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);
    struct pdu p;
    uint64_t older;

    (void)state;
    first_block(r, PDU_NON, 10, 5);
    p = rig_sent(r, 0);
    older = rig_token(&p);
    first_block(r, PDU_NON, 11, 6);
    rig_expect_sent(r, 2);
    expect_fetch(r, 0, 1);
    assert_false(engine_token_known(r->e, older));
    next_block(r, 1, false);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(r->notification.sequence, 6);
    first_block(r, PDU_NON, 12, 4); /* stale */
    assert_int_equal(rig_count(r, COUNTER_notifications_stale), 1);
    done(r, &rel);
}

static void test_changes_while_it_is_fetched(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    begin(r, PDU_NON, 10, 5);
    /* options in order: ETag comes first */
    rig_begin(r, PDU_NON, PDU_CONTENT, 10, RIG_TOKEN);
    rig_text(r, PDU_ETAG, "v1");
    rig_uint(r, PDU_OBSERVE, 5);
    rig_block(r, PDU_BLOCK2, 0, true, 4);
    rig_body(r, body, 256);
    rig_input(r);
    expect_fetch(r, 0, 1);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_text(r, PDU_ETAG, "v2");
    rig_block(r, PDU_BLOCK2, 1, false, 4);
    rig_body(r, body, 256);
    rig_input(r);
    expect_fetch(r, 0, 0);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_text(r, PDU_ETAG, "v2");
    rig_body(r, "now short", 9);
    rig_input(r);
    assert_int_equal(r->notifications, 1);
    assert_int_equal(r->notification.body_n, 9);
    assert_true(r->notification.observe);
    done(r, &rel);
}

static void test_fetch_fails(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    first_block(r, PDU_NON, 10, 5);
    rig_answer_begin(r, PDU_ACK, 0x84, 0);
    rig_input(r);
    assert_int_equal(r->notifications, 0);
    first_block(r, PDU_NON, 11, 6);
    rig_advance(r, 100000);
    assert_int_equal(r->notifications, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_timeouts), 1);
    done(r, &rel);
}

static void test_fetch_is_not_possible(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);

    (void)state;
    r->fetch_rc = ERR_NOTFOUND;
    first_block(r, PDU_CON, 10, 5);
    expect_empty(r, PDU_RST, 10);
    r->fetch_rc = ERR_OK;
    begin(r, PDU_CON, 11, 6);
    rig_block(r, PDU_BLOCK2, 1, true, 4); /* not the first block */
    rig_body(r, body, 256);
    rig_input(r);
    expect_empty(r, PDU_RST, 11);
    begin(r, PDU_CON, 12, 7);
    rig_block(r, PDU_BLOCK2, 0, true, 4); /* not a whole block: acknowledged, and lost */
    rig_body(r, body, 255);
    rig_input(r);
    expect_empty(r, PDU_ACK, 12);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    assert_int_equal(r->notifications, 0);
    done(r, &rel);
}

static void test_fetch_at_the_limit(void **state)
{
    struct relation rel;
    struct rig *r = rig_new_closed();
    struct outgoing out;

    (void)state;
    r->cfg.exchange_limit = 1;
    rig_open(r);
    rel = (struct relation){.token = RIG_TOKEN};
    assert_int_equal(engine_relation_add(r->e, &rel), ERR_OK);
    out = rig_outgoing(r, PDU_GET, "/3");
    out.token = 9;
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    first_block(r, PDU_CON, 10, 5);
    expect_empty(r, PDU_ACK, 10);
    assert_int_equal(rig_count(r, COUNTER_coap_exchange_limit), 1);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    done(r, &rel);
}

static void test_relation_ends_while_it_is_fetched(void **state)
{
    struct relation rel;
    struct rig *r = observing(&rel);
    struct pdu p;

    (void)state;
    first_block(r, PDU_NON, 10, 5);
    p = rig_sent(r, 0);
    rig_expect_sent(r, 1);
    engine_relation_del(r->e, &rel);
    assert_false(engine_token_known(r->e, rig_token(&p)));
    rig_begin(r, PDU_CON, PDU_CONTENT, 11, rig_token(&p));
    rig_input(r);
    expect_empty(r, PDU_RST, 11);
    assert_int_equal(r->notifications, 0);
    done(r, &rel);
}

static void test_fetched_into_the_spool(void **state)
{
    struct rig *r = rig_new_closed();
    struct relation rel = {.token = RIG_TOKEN};

    (void)state;
    rig_pattern(body, sizeof(body), 5);
    r->cfg.spool_threshold = 100; /* less than the first block */
    rig_open(r);
    assert_int_equal(engine_relation_add(r->e, &rel), ERR_OK);
    first_block(r, PDU_CON, 10, 5);
    expect_empty(r, PDU_ACK, 10); /* nothing is asked for before it is safe */
    assert_int_equal(r->jobs, 1);
    engine_spool_done(r->e, r->job, ERR_OK, r->now);
    r->job = 0;
    expect_fetch(r, 0, 1);
    next_block(r, 1, false);
    assert_int_equal(r->jobs, 2);
    assert_int_equal(r->notifications, 0);
    engine_spool_done(r->e, r->job, ERR_OK, r->now);
    assert_int_equal(r->notifications, 1);
    assert_true(r->notification.has_blob);
    assert_int_equal(r->notification.body_whole, 512);
    assert_memory_equal(r->spooled.p, body, 512);
    done(r, &rel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notifications),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_first_sequence),
        cmocka_unit_test(test_not_wanted),
        cmocka_unit_test(test_unknown_token),
        cmocka_unit_test(test_unknown_critical_option),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_ending_is_never_stale),
        cmocka_unit_test(test_token_is_taken_once),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_cancel_crosses_notification),
        cmocka_unit_test(test_in_blocks),
        cmocka_unit_test(test_newer_one_replaces_the_fetch),
        cmocka_unit_test(test_changes_while_it_is_fetched),
        cmocka_unit_test(test_fetch_fails),
        cmocka_unit_test(test_fetch_is_not_possible),
        cmocka_unit_test(test_fetch_at_the_limit),
        cmocka_unit_test(test_relation_ends_while_it_is_fetched),
        cmocka_unit_test(test_fetched_into_the_spool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
