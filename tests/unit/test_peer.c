#include "coap_rig.h"

static void hello(struct rig *r, unsigned peer, uint16_t mid)
{
    r->flow = rig_flow(peer);
    rig_begin(r, PDU_CON, PDU_POST, mid, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_input(r);
}

static struct engine_stats stats(struct rig *r)
{
    struct engine_stats s;

    engine_stats(r->e, &s);
    return s;
}

static void test_idle_peers_vanish(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        hello(r, i, 1);
        rig_advance(r, 100);
    }
    assert_int_equal(stats(r).peers, 1000);
    rig_advance(r, 200000); /* those of the first 52 s are older than 247 s */
    assert_in_range(stats(r).peers, 465, 485);
    rig_settle(r);
    rig_free(r);
}

/* Traffic alone, without engine_run, forgets as many as it makes. */
static void test_input_sweeps(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        hello(r, i, 1);
    r->now += 300000;
    for (unsigned i = 0; i < 600; i++)
        hello(r, 5000 + i, 1);
    assert_int_equal(stats(r).peers, 600);
    rig_free(r);
}

static void test_limit_takes_the_oldest(void **state)
{
    struct rig *r = rig_new_closed();

    (void)state;
    r->cfg.peer_limit = 10;
    rig_open(r);
    for (unsigned i = 0; i < 10; i++) {
        hello(r, i, 1);
        rig_advance(r, 100);
    }
    /* 0 comes again after more than the coarseness of the order */
    rig_advance(r, 70000);
    hello(r, 0, 2);
    hello(r, 10, 1);
    assert_int_equal(stats(r).peers, 10);
    assert_int_equal(rig_count(r, COUNTER_coap_peers_evicted), 1);
    assert_int_equal(rig_count(r, COUNTER_coap_dedup_evicted), 1);
    assert_int_equal(r->requests, 12);
    hello(r, 0, 1); /* remembered */
    hello(r, 2, 1);
    assert_int_equal(r->requests, 12);
    hello(r, 1, 1); /* gave way */
    assert_int_equal(r->requests, 13);
    rig_settle(r);
    rig_free(r);
}

/* The peer that is being served is not forgotten by what its handler does. */
static void another_request(struct rig *r)
{
    struct flow flow = rig_flow(77);
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");

    out.flow = &flow;
    (void)rig_request(r, &out);
}

static void test_the_one_served_stays(void **state)
{
    struct rig *r = rig_new_closed();
    struct pdu p;

    (void)state;
    r->cfg.peer_limit = 2;
    rig_open(r);
    hello(r, 1, 1);
    hello(r, 2, 1);
    r->on_request = another_request;
    hello(r, 1, 2); /* is the oldest by place */
    r->on_request = NULL;
    p = rig_sent(r, 0);
    assert_int_equal(p.code, PDU_CHANGED);
    rig_again(r);
    assert_int_equal(r->requests, 3);
    rig_settle(r);
    rig_free(r);
}

static void test_all_are_busy(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    struct exchange *x;

    (void)state;
    r->cfg.peer_limit = 1;
    rig_open(r);
    out = rig_outgoing(r, PDU_GET, "/3/0");
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    hello(r, 2, 1);
    rig_expect_sent(r, 0);
    assert_int_equal(r->requests, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_dropped), 1);
    out.token++;
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_FULL);
    assert_int_equal(rig_count(r, COUNTER_coap_exchange_limit), 1);
    rig_settle(r);
    rig_free(r);
}

/* MIDs go up by one and continue while the peer is remembered. */
static void test_mids(void **state)
{
    struct rig *r = rig_new();
    uint16_t last = 0;

    (void)state;
    for (int i = 0; i < 70000; i++) {
        struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");
        struct exchange *x = rig_request(r, &out);
        struct pdu p = rig_sent(r, 0);

        if (i > 0)
            assert_int_equal(p.mid, (uint16_t)(last + 1));
        last = p.mid;
        engine_cancel(r->e, x, r->now);
        r->answers = 0;
    }
    rig_settle(r);
    rig_free(r);
}

/* What a million devices cost after one Register and one Update each (here fewer of them). */
static void test_bytes_per_peer(void **state)
{
    const unsigned n = 20000;
    struct rig *r = rig_new();
    size_t before = stats(r).bytes;
    size_t each;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        r->response = (struct response){.code = PDU_CREATED,
                                        .format = FORMAT_NONE,
                                        .location = VIEW_LIT("rd/0123456789abcdef")};
        hello(r, i, 1);
        r->response = (struct response){.code = PDU_CHANGED, .format = FORMAT_NONE};
        hello(r, i, 2);
    }
    each = (stats(r).bytes - before) / n;
    assert_in_range(each, 88, 140);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_peers_vanish),      cmocka_unit_test(test_input_sweeps),
        cmocka_unit_test(test_limit_takes_the_oldest), cmocka_unit_test(test_the_one_served_stays),
        cmocka_unit_test(test_all_are_busy),           cmocka_unit_test(test_mids),
        cmocka_unit_test(test_bytes_per_peer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
