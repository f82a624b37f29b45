#include "coap_rig.h"

#define UPDATE_PATH "5a00000000000001"

static void begin_update(struct rig *r, enum pdu_type type, uint16_t mid)
{
    rig_begin(r, type, PDU_POST, mid, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_text(r, PDU_URI_PATH, UPDATE_PATH);
}

static void expect_code(struct rig *r, enum pdu_type type, uint8_t code)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.type, type);
    assert_int_equal(p.code, code);
}

static void test_request_is_seen_whole(void **state)
{
    struct rig *r = rig_new();
    struct pdu p;

    (void)state;
    rig_begin(r, PDU_CON, PDU_POST, 77, RIG_TOKEN);
    rig_text(r, PDU_URI_HOST, "example.org");
    rig_uint(r, PDU_OBSERVE, 0);
    rig_uint(r, PDU_URI_PORT, 5683);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_text(r, PDU_URI_PATH, "");
    rig_uint(r, PDU_CONTENT_FORMAT, 40);
    rig_text(r, PDU_URI_QUERY, "ep=a");
    rig_text(r, PDU_URI_QUERY, "lt=60");
    rig_uint(r, PDU_ACCEPT, 112);
    rig_uint(r, PDU_NO_RESPONSE, 26);
    rig_body(r, "</1/0>", 6);
    rig_input(r);
    assert_int_equal(r->requests, 1);
    assert_int_equal(r->request.method, PDU_POST);
    assert_true(r->request.confirmable);
    assert_false(r->request.replayed);
    assert_string_equal(r->request.path, "/rd/");
    assert_string_equal(r->request.query, "ep=a&lt=60");
    assert_int_equal(r->request.format, 40);
    assert_int_equal(r->request.accept, 112);
    assert_int_equal(r->request.observe, 0);
    assert_int_equal(r->request.body_n, 6);
    /* No-Response is ignored: LwM2M wants an answer */
    expect_code(r, PDU_ACK, PDU_CHANGED);
    p = rig_sent(r, 0);
    assert_int_equal(p.mid, 77);
    assert_true(rig_token(&p) == RIG_TOKEN);
    assert_int_equal(rig_sent_bytes(r, 0).n, 12);
    rig_settle(r);
    rig_free(r);
}

static void test_absent_options(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_begin(r, PDU_CON, PDU_GET, 1, 0);
    rig_input(r);
    assert_int_equal(r->requests, 1);
    assert_int_equal(r->request.format, FORMAT_NONE);
    assert_int_equal(r->request.accept, FORMAT_NONE);
    assert_int_equal(r->request.observe, -1);
    assert_int_equal(r->request.segments, 0);
    assert_int_equal(r->request.body_n, 0);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    rig_free(r);
}

static void test_response_options(void **state)
{
    struct rig *r = rig_new();
    struct view v;
    struct pdu p;

    (void)state;
    r->response = (struct response){.code = PDU_CREATED,
                                    .format = 40,
                                    .location = VIEW_LIT("rd/" UPDATE_PATH),
                                    .payload = VIEW_LIT("hello"),
                                    .max_age_s = 300};
    begin_update(r, PDU_CON, 1);
    rig_input(r);
    expect_code(r, PDU_ACK, PDU_CREATED);
    p = rig_sent(r, 0);
    assert_true(rig_option(&p, PDU_LOCATION_PATH, &v));
    assert_true(view_eq(v, VIEW_LIT("rd")));
    assert_int_equal(rig_option_uint(&p, PDU_CONTENT_FORMAT), 40);
    assert_int_equal(rig_option_uint(&p, PDU_MAX_AGE), 300);
    assert_false(rig_option(&p, PDU_BLOCK2, &v));
    assert_true(view_eq(p.payload, VIEW_LIT("hello")));
    rig_free(r);
}

/* RFC 7252 section 5.4.1. */
static void test_unknown_critical(void **state)
{
    static const uint32_t numbers[] = {PDU_IF_MATCH, PDU_IF_NONE_MATCH, PDU_OSCORE,
                                       PDU_Q_BLOCK1, PDU_Q_BLOCK2,      2049};
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < mem_count(numbers); i++) {
        rig_begin(r, PDU_CON, PDU_GET, (uint16_t)i, RIG_TOKEN);
        rig_text(r, numbers[i], "");
        rig_input(r);
        expect_code(r, PDU_ACK, 0x82);
        rig_begin(r, PDU_NON, PDU_GET, (uint16_t)(100 + i), RIG_TOKEN);
        rig_text(r, numbers[i], "");
        rig_input(r);
        rig_expect_sent(r, 0);
    }
    assert_int_equal(r->requests, 0);
    assert_int_equal(rig_count(r, COUNTER_coap_refused), 2 * mem_count(numbers));
    rig_settle(r);
    rig_free(r);
}

static void test_unknown_elective_is_ignored(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_begin(r, PDU_CON, PDU_GET, 1, RIG_TOKEN);
    rig_text(r, 16, "1");
    rig_text(r, 2050, "x");
    rig_input(r);
    assert_int_equal(r->requests, 1);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    rig_free(r);
}

/* Sections 5.4.3 and 5.4.5: a wrong length, or once too often, is as good as unknown. */
static void test_length_and_repetition(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_begin(r, PDU_CON, PDU_GET, 1, RIG_TOKEN);
    rig_text(r, PDU_ACCEPT, "abc");
    rig_input(r);
    expect_code(r, PDU_ACK, 0x82);
    rig_begin(r, PDU_CON, PDU_GET, 2, RIG_TOKEN);
    rig_uint(r, PDU_ACCEPT, 1);
    rig_uint(r, PDU_ACCEPT, 1);
    rig_input(r);
    expect_code(r, PDU_ACK, 0x82);
    rig_begin(r, PDU_CON, PDU_GET, 3, RIG_TOKEN);
    rig_text(r, PDU_CONTENT_FORMAT, "abc");
    rig_input(r);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    assert_int_equal(r->request.format, FORMAT_NONE);
    rig_begin(r, PDU_CON, PDU_GET, 4, RIG_TOKEN);
    rig_uint(r, PDU_CONTENT_FORMAT, 60);
    rig_uint(r, PDU_CONTENT_FORMAT, 61);
    rig_input(r);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    assert_int_equal(r->request.format, 60);
    rig_free(r);
}

static void test_methods(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint8_t code = 1; code < 32; code++) {
        rig_begin(r, PDU_CON, code, code, RIG_TOKEN);
        rig_text(r, PDU_URI_PATH, "rd");
        rig_input(r);
        expect_code(r, PDU_ACK, code <= PDU_IPATCH ? PDU_CHANGED : 0x85);
    }
    assert_int_equal(r->requests, 7);
    rig_begin(r, PDU_NON, 8, 99, RIG_TOKEN);
    rig_input(r);
    expect_code(r, PDU_NON, 0x85);
    rig_free(r);
}

static void test_proxy(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_begin(r, PDU_CON, PDU_GET, 1, RIG_TOKEN);
    rig_text(r, PDU_PROXY_URI, "coap://example.org/");
    rig_input(r);
    expect_code(r, PDU_ACK, 0xa5);
    rig_begin(r, PDU_CON, PDU_GET, 2, RIG_TOKEN);
    rig_text(r, PDU_PROXY_SCHEME, "http");
    rig_input(r);
    expect_code(r, PDU_ACK, 0xa5);
    rig_free(r);
}

static void test_too_much_path_and_query(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    rig_begin(r, PDU_CON, PDU_GET, 1, RIG_TOKEN);
    for (int i = 0; i <= REQUEST_SEGMENTS_MAX; i++)
        rig_text(r, PDU_URI_PATH, "a");
    rig_input(r);
    expect_code(r, PDU_ACK, 0x84);
    rig_begin(r, PDU_CON, PDU_GET, 2, RIG_TOKEN);
    for (int i = 0; i <= REQUEST_QUERIES_MAX; i++)
        rig_text(r, PDU_URI_QUERY, "a");
    rig_input(r);
    expect_code(r, PDU_ACK, 0x80);
    assert_int_equal(r->requests, 0);
    rig_begin(r, PDU_CON, PDU_GET, 3, RIG_TOKEN);
    for (int i = 0; i < REQUEST_SEGMENTS_MAX; i++)
        rig_text(r, PDU_URI_PATH, "a");
    for (int i = 0; i < REQUEST_QUERIES_MAX; i++)
        rig_text(r, PDU_URI_QUERY, "a");
    rig_input(r);
    assert_int_equal(r->requests, 1);
    assert_int_equal(r->request.queries, REQUEST_QUERIES_MAX);
    rig_free(r);
}

static void test_non_gets_non(void **state)
{
    struct rig *r = rig_new();
    struct pdu first;
    struct pdu second;

    (void)state;
    begin_update(r, PDU_NON, 5);
    rig_input(r);
    assert_false(r->request.confirmable);
    expect_code(r, PDU_NON, PDU_CHANGED);
    first = rig_sent(r, 0);
    assert_true(rig_token(&first) == RIG_TOKEN);
    /* a copy the network made gets the same message again, which the peer recognises as one */
    rig_again(r);
    expect_code(r, PDU_NON, PDU_CHANGED);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    assert_int_equal(r->requests, 1);
    begin_update(r, PDU_NON, 6);
    rig_input(r);
    second = rig_sent(r, 0);
    assert_int_not_equal(first.mid, second.mid);
    rig_free(r);
}

static void test_ignore_is_forgotten(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    r->mode = RIG_IGNORE;
    begin_update(r, PDU_CON, 1);
    rig_input(r);
    rig_expect_sent(r, 0);
    r->mode = RIG_REPLY;
    rig_again(r);
    assert_int_equal(r->requests, 2);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    rig_settle(r);
    rig_free(r);
}

static void test_body_limit(void **state)
{
    static const uint8_t body[101];
    struct rig *r = rig_new();
    struct pdu p;

    (void)state;
    r->body_limit = 100;
    begin_update(r, PDU_CON, 1);
    rig_body(r, body, 101);
    rig_input(r);
    expect_code(r, PDU_ACK, 0x8d);
    p = rig_sent(r, 0);
    assert_int_equal(rig_option_uint(&p, PDU_SIZE1), 100);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    begin_update(r, PDU_CON, 2);
    rig_body(r, body, 100);
    rig_input(r);
    expect_code(r, PDU_ACK, PDU_CHANGED);
    assert_int_equal(r->requests, 1);
    rig_free(r);
}

/* ---- answers in blocks ------------------------------------------------------------------------
 */

static struct pdu get_block(struct rig *r, uint16_t mid, int32_t num, uint8_t szx)
{
    rig_begin(r, PDU_CON, PDU_GET, mid, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "pack");
    if (num >= 0)
        rig_block(r, PDU_BLOCK2, (uint32_t)num, false, szx);
    rig_input(r);
    rig_expect_sent(r, 1);
    return rig_sent(r, 0);
}

static void test_block2(void **state)
{
    struct rig *r = rig_new();
    uint8_t body[2000];
    uint8_t got[2000];
    size_t n = 0;
    struct view etag;
    struct view first_etag = VIEW_NONE;
    uint8_t kept[8];
    struct pdu p;

    (void)state;
    rig_pattern(body, sizeof(body), 3);
    r->response = (struct response){
        .code = PDU_CONTENT, .format = 42, .payload = view_of(body, sizeof(body))};
    for (uint16_t num = 0; n < sizeof(body); num++) {
        /* the first one without the option: the default size is ours */
        struct pdu_block b;

        p = get_block(r, num, num ? num : -1, 5);
        b = rig_option_block(&p, PDU_BLOCK2);
        assert_int_equal(p.code, PDU_CONTENT);
        assert_int_equal(b.num, num);
        assert_int_equal(b.szx, 5);
        assert_int_equal(rig_option_uint(&p, PDU_CONTENT_FORMAT), 42);
        assert_true(rig_option(&p, PDU_ETAG, &etag));
        if (num == 0) {
            assert_int_equal(rig_option_uint(&p, PDU_SIZE2), sizeof(body));
            assert_int_equal(etag.n, sizeof(kept));
            memcpy(kept, etag.p, sizeof(kept));
            first_etag = view_of(kept, sizeof(kept));
        }
        assert_true(view_eq(etag, first_etag));
        memcpy(got + n, p.payload.p, p.payload.n);
        n += p.payload.n;
        assert_true(b.more == (n < sizeof(body)));
    }
    assert_int_equal(n, sizeof(body));
    assert_memory_equal(body, got, n);
    assert_int_equal(r->requests, 4);
    /* past the end */
    p = get_block(r, 50, 4, 5);
    assert_int_equal(p.code, 0x82);
    /* a size of the peer's choice, also the reserved one */
    p = get_block(r, 51, 124, 0);
    assert_int_equal(p.payload.n, 16);
    assert_false(rig_option_block(&p, PDU_BLOCK2).more);
    rig_begin(r, PDU_CON, PDU_GET, 52, RIG_TOKEN);
    rig_uint(r, PDU_BLOCK2, 7);
    rig_input(r);
    expect_code(r, PDU_ACK, 0x80);
    rig_free(r);
}

static void test_block2_of_a_short_body(void **state)
{
    struct rig *r = rig_new();
    struct view v;
    struct pdu p;

    (void)state;
    r->response = (struct response){.code = PDU_CONTENT, .format = 0, .payload = VIEW_LIT("short")};
    p = get_block(r, 1, 0, 6);
    assert_false(rig_option_block(&p, PDU_BLOCK2).more);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, 0);
    assert_int_equal(p.payload.n, 5);
    p = get_block(r, 2, -1, 0);
    assert_false(rig_option(&p, PDU_BLOCK2, &v));
    rig_free(r);
}

static void test_block2_fits_the_message(void **state)
{
    struct rig *r = rig_new_closed();
    uint8_t body[2000];
    struct pdu p;

    (void)state;
    r->cfg.message_max = 300;
    rig_open(r);
    rig_pattern(body, sizeof(body), 3);
    r->response = (struct response){
        .code = PDU_CONTENT, .format = 42, .payload = view_of(body, sizeof(body))};
    p = get_block(r, 1, 1, 6);
    /* the second 1 024 bytes do not fit: their first 256 */
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).szx, 4);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, 4);
    assert_int_equal(p.payload.n, 256);
    assert_memory_equal(p.payload.p, body + 1024, 256);
    rig_free(r);
}

static void test_only_what_can_be_repeated_is_cut(void **state)
{
    struct rig *r = rig_new();
    uint8_t body[2000] = {0};

    (void)state;
    r->response = (struct response){
        .code = PDU_CHANGED, .format = 42, .payload = view_of(body, sizeof(body))};
    begin_update(r, PDU_CON, 1);
    rig_input(r);
    expect_code(r, PDU_ACK, 0xa0);
    rig_begin(r, PDU_CON, PDU_POST, 2, RIG_TOKEN);
    rig_block(r, PDU_BLOCK2, 1, false, 5);
    rig_input(r);
    expect_code(r, PDU_ACK, 0x82);
    assert_int_equal(r->requests, 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_is_seen_whole),
        cmocka_unit_test(test_absent_options),
        cmocka_unit_test(test_response_options),
        cmocka_unit_test(test_unknown_critical),
        cmocka_unit_test(test_unknown_elective_is_ignored),
        cmocka_unit_test(test_length_and_repetition),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_too_much_path_and_query),
        cmocka_unit_test(test_non_gets_non),
        cmocka_unit_test(test_ignore_is_forgotten),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_block2),
        cmocka_unit_test(test_block2_of_a_short_body),
        cmocka_unit_test(test_block2_fits_the_message),
        cmocka_unit_test(test_only_what_can_be_repeated_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
