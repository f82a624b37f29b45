#include "coap_rig.h"

static void begin(struct rig *r, enum pdu_type type, uint16_t mid, uint64_t token)
{
    rig_begin(r, type, PDU_POST, mid, token);
    rig_text(r, PDU_URI_PATH, "rd");
}

static struct engine_stats stats(struct rig *r)
{
    struct engine_stats s;

    engine_stats(r->e, &s);
    return s;
}

static void test_plain_answer_is_rebuilt(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    rig_again(r);
    rig_again(r);
    rig_expect_sent(r, 3);
    assert_int_equal(r->requests, 1);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 2)));
    assert_int_equal(rig_count(r, COUNTER_coap_duplicates), 2);
    assert_int_equal(stats(r).dedup_entries, 1);
    rig_settle(r);
    rig_free(r);
}

static void test_answer_with_content_is_cached(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    r->response = (struct response){.code = PDU_CREATED,
                                    .format = FORMAT_NONE,
                                    .location = VIEW_LIT("rd/0123456789abcdef"),
                                    .payload = VIEW_LIT("x")};
    begin(r, PDU_CON, 9, 0);
    rig_input(r);
    r->response.location = VIEW_LIT("rd/other");
    rig_again(r);
    rig_expect_sent(r, 2);
    assert_int_equal(r->requests, 1);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    rig_settle(r);
    rig_free(r);
}

/* Of the location of a registration the number is kept; anything like it is kept as it is. */
static void test_location(void **state)
{
    static const struct {
        const char *location, *payload;
        bool confirmable, number;
    } rows[] = {
        {"rd/0123456789abcdef", "", true, true},   {"rd/ffffffffffffffff", "", true, true},
        {"rd/8000000000000000", "", true, true},   {"rd/0000000000000001", "", true, true},
        {"rd/0000000000000000", "", true, false},  {"rd/0123456789abcdef", "", false, false},
        {"rd/0123456789abcdef", "x", true, false}, {"rd/0123456789ABCDEF", "", true, false},
        {"rd/0123456789abcdeg", "", true, false},  {"rd/0123456789abcde", "", true, false},
        {"re/0123456789abcdef", "", true, false},  {"rd/0123456789abcde/", "", true, false},
    };

    (void)state;
    for (size_t i = 0; i < 2 * mem_count(rows); i++) {
        size_t row = i / 2;
        bool cached = i % 2 == 0; /* else there is no room for cached answers */
        struct rig *r = rig_new_closed();

        if (!cached)
            r->cfg.dedup_bytes = 10;
        r->response = (struct response){.code = PDU_CREATED,
                                        .format = FORMAT_NONE,
                                        .location = view_str(rows[row].location),
                                        .payload = view_str(rows[row].payload)};
        rig_open(r);
        begin(r, rows[row].confirmable ? PDU_CON : PDU_NON, 9, 8);
        rig_input(r);
        assert_int_equal(stats(r).dedup_entries, cached || rows[row].number);
        if (cached || rows[row].number) {
            r->response.location = VIEW_LIT("rd/other");
            rig_again(r);
            rig_again(r);
            rig_expect_sent(r, 3);
            assert_int_equal(r->requests, 1);
            assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
            assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 2)));
        }
        rig_settle(r);
        rig_free(r);
    }
}

/* A client that rebooted and draws the same MID is heard, whatever differs. */
static void test_same_mid_of_another_message(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    begin(r, PDU_CON, 9, RIG_TOKEN + 1);
    rig_input(r);
    assert_int_equal(r->requests, 2);
    begin(r, PDU_CON, 9, RIG_TOKEN + 1);
    rig_text(r, PDU_URI_QUERY, "b=U");
    rig_input(r);
    assert_int_equal(r->requests, 3);
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    assert_int_equal(r->requests, 3);
    assert_int_equal(rig_count(r, COUNTER_coap_duplicates), 1);
    rig_free(r);
}

static void test_peers_and_transports_are_apart(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    r->flow.peer.port++;
    rig_again(r);
    assert_int_equal(r->requests, 2);
    r->flow.transport = TRANSPORT_DTLS;
    rig_again(r);
    assert_int_equal(r->requests, 3);
    assert_int_equal(stats(r).peers, 2);
    rig_free(r);
}

static void test_lifetime(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    rig_advance(r, 247000);
    rig_again(r);
    assert_int_equal(r->requests, 1);
    /* the peer was used again, but this message is too old by now */
    rig_advance(r, 2000);
    rig_again(r);
    assert_int_equal(r->requests, 2);
    rig_advance(r, 249000);
    assert_int_equal(stats(r).peers, 0);
    rig_again(r);
    assert_int_equal(r->requests, 3);
    rig_settle(r);
    rig_free(r);
}

/* A clock that jumps while nobody calls the engine revives nothing, not even at the period of the
 * ages. */
static void test_long_silence(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    begin(r, PDU_CON, 9, RIG_TOKEN);
    rig_input(r);
    r->now += (uint64_t)65536 * 1000;
    rig_again(r);
    assert_int_equal(r->requests, 2);
    rig_settle(r);
    rig_free(r);
}

static void test_ring(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint16_t mid = 0; mid < 4; mid++) {
        begin(r, PDU_CON, mid, RIG_TOKEN);
        rig_input(r);
        rig_advance(r, 1000);
    }
    assert_int_equal(stats(r).dedup_entries, 4);
    assert_int_equal(rig_count(r, COUNTER_coap_dedup_evicted), 0);
    for (uint16_t mid = 0; mid < 4; mid++) {
        begin(r, PDU_CON, mid, RIG_TOKEN);
        rig_input(r);
    }
    assert_int_equal(r->requests, 4);
    begin(r, PDU_CON, 4, RIG_TOKEN); /* pushes 0 out */
    rig_input(r);
    assert_int_equal(rig_count(r, COUNTER_coap_dedup_evicted), 1);
    assert_int_equal(stats(r).dedup_entries, 4);
    begin(r, PDU_CON, 1, RIG_TOKEN);
    rig_input(r);
    assert_int_equal(r->requests, 5);
    begin(r, PDU_CON, 0, RIG_TOKEN);
    rig_input(r);
    assert_int_equal(r->requests, 6);
    rig_settle(r);
    rig_free(r);
}

static void test_ring_sizes(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 5, 64};

    (void)state;
    for (size_t i = 0; i < mem_count(sizes); i++) {
        struct rig *r = rig_new_closed();
        size_t n = sizes[i];

        r->cfg.dedup_per_peer = n;
        r->response.payload = VIEW_LIT("content");
        r->response.format = 0;
        rig_open(r);
        for (uint16_t mid = 0; mid < n; mid++) {
            begin(r, PDU_CON, mid, RIG_TOKEN);
            rig_input(r);
        }
        for (uint16_t mid = 0; mid < n; mid++) {
            begin(r, PDU_CON, mid, RIG_TOKEN);
            rig_input(r);
        }
        assert_int_equal(r->requests, n);
        assert_int_equal(stats(r).dedup_entries, n);
        rig_settle(r);
        assert_int_equal(rig_count(r, COUNTER_coap_dedup_evicted), 0);
        rig_free(r);
    }
}

static void test_bytes_limit(void **state)
{
    struct rig *r = rig_new_closed();
    uint8_t body[400];

    (void)state;
    rig_pattern(body, sizeof(body), 1);
    r->cfg.dedup_bytes = 1000; /* two answers */
    r->response = (struct response){
        .code = PDU_CONTENT, .format = 42, .payload = view_of(body, sizeof(body))};
    rig_open(r);
    for (unsigned i = 1; i <= 3; i++) {
        r->flow = rig_flow(i);
        begin(r, PDU_CON, 1, RIG_TOKEN);
        rig_input(r);
    }
    assert_int_equal(stats(r).peers, 2);
    assert_int_equal(rig_count(r, COUNTER_coap_dedup_evicted), 1);
    r->flow = rig_flow(3);
    rig_again(r);
    r->flow = rig_flow(2);
    rig_again(r);
    assert_int_equal(r->requests, 3);
    r->flow = rig_flow(1); /* the oldest is new again */
    rig_again(r);
    assert_int_equal(r->requests, 4);
    rig_settle(r);
    rig_free(r);
}

/* An answer that fits nowhere is sent and not remembered. */
static void test_bytes_limit_of_one(void **state)
{
    struct rig *r = rig_new_closed();

    (void)state;
    r->cfg.dedup_bytes = 10;
    r->response =
        (struct response){.code = PDU_CONTENT, .format = 42, .payload = VIEW_LIT("a long payload")};
    rig_open(r);
    begin(r, PDU_CON, 1, RIG_TOKEN);
    rig_input(r);
    rig_expect_sent(r, 1);
    assert_int_equal(stats(r).dedup_entries, 0);
    rig_again(r);
    assert_int_equal(r->requests, 2);
    rig_settle(r);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_answer_is_rebuilt),
        cmocka_unit_test(test_answer_with_content_is_cached),
        cmocka_unit_test(test_location),
        cmocka_unit_test(test_same_mid_of_another_message),
        cmocka_unit_test(test_peers_and_transports_are_apart),
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_long_silence),
        cmocka_unit_test(test_ring),
        cmocka_unit_test(test_ring_sizes),
        cmocka_unit_test(test_bytes_limit),
        cmocka_unit_test(test_bytes_limit_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
