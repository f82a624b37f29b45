#include "coap_rig.h"

static uint8_t body[4096];
static uint16_t next_mid;

struct block {
    uint32_t num;
    bool more;
    uint8_t szx;
    uint32_t size1; /* 0: none */
    const char *path;
    size_t n; /* bytes; 0: as many as the block has */
};

static struct pdu put_flow(struct rig *r, const struct block *b)
{
    size_t size = PDU_BLOCK_SIZE(b->szx);

    rig_begin(r, PDU_CON, PDU_POST, next_mid++, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, b->path ? b->path : "rd");
    rig_block(r, PDU_BLOCK1, b->num, b->more, b->szx);
    if (b->size1)
        rig_uint(r, PDU_SIZE1, b->size1);
    rig_body(r, body + b->num * size, b->n ? b->n : size);
    rig_input(r);
    rig_expect_sent(r, 1);
    return rig_sent(r, 0);
}

#define put(r, num_, more_, szx_, ...)                                                             \
    put_flow(r, &(struct block){.num = (num_), .more = (more_), .szx = (szx_), ##__VA_ARGS__})

static int setup(void **state)
{
    (void)state;
    rig_pattern(body, sizeof(body), 5);
    return 0;
}

static size_t transfers(struct rig *r)
{
    struct engine_stats s;

    engine_stats(r->e, &s);
    return s.transfers;
}

static void expect_whole(struct rig *r, size_t n)
{
    assert_int_equal(r->requests, 1);
    assert_int_equal(r->request.body_n, n);
    assert_memory_equal(r->request.body, body, n);
    assert_int_equal(transfers(r), 0);
    rig_settle(r);
    rig_free(r);
}

static void test_three_blocks(void **state)
{
    struct rig *r = rig_new();
    struct pdu p;

    (void)state;
    p = put(r, 0, true, 5, .size1 = 1100);
    assert_int_equal(p.code, PDU_CONTINUE);
    assert_true(rig_option_block(&p, PDU_BLOCK1).more);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK1).szx, 5);
    p = put(r, 1, true, 5);
    assert_int_equal(p.code, PDU_CONTINUE);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK1).num, 1);
    p = put(r, 2, false, 5, .n = 76);
    assert_int_equal(p.code, PDU_CHANGED);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK1).num, 2);
    assert_false(rig_option_block(&p, PDU_BLOCK1).more);
    rig_again(r); /* the duplicate of the last block */
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    expect_whole(r, 1100);
}

static void test_one_block(void **state)
{
    struct rig *r = rig_new();
    struct pdu p = put(r, 0, false, 6, .n = 10);

    (void)state;
    assert_int_equal(p.code, PDU_CHANGED);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_started), 0);
    expect_whole(r, 10);
}

static void test_duplicate_block(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    rig_again(r);
    rig_expect_sent(r, 1);
    put(r, 0, true, 5); /* a new message with the first block: from the beginning */
    put(r, 1, true, 5);
    put(r, 1, true, 5); /* a new message with bytes we have */
    put(r, 2, false, 5, .n = 1);
    expect_whole(r, 1025);
}

static void test_smaller_blocks_midway(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    put(r, 16, true, 1);
    put(r, 17, false, 1, .n = 2);
    expect_whole(r, 512 + 32 + 2);
}

static void test_gap(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    assert_int_equal(put(r, 2, true, 5).code, 0x88);
    assert_int_equal(transfers(r), 0);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    assert_int_equal(put(r, 1, true, 5).code, 0x88);
    assert_int_equal(r->requests, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_other_bytes_in_a_repeated_block(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    put(r, 1, true, 5);
    body[600] ^= 1;
    assert_int_equal(put(r, 1, true, 5).code, 0x88);
    body[600] ^= 1;
    rig_settle(r);
    rig_free(r);
}

static void test_block_of_wrong_length(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    assert_int_equal(put(r, 0, true, 5, .n = 511).code, 0x80);
    assert_int_equal(put(r, 0, true, 5, .n = 513).code, 0x80);
    assert_int_equal(put(r, 0, false, 5, .n = 513).code, 0x80);
    assert_int_equal(transfers(r), 0);
    rig_settle(r);
    rig_free(r);
}

static void test_announced_too_large(void **state)
{
    struct rig *r = rig_new();
    struct pdu p;

    (void)state;
    p = put(r, 0, true, 5, .size1 = 2049);
    assert_int_equal(p.code, 0x8d);
    assert_int_equal(rig_option_uint(&p, PDU_SIZE1), 2048);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK1).num, 0);
    assert_int_equal(transfers(r), 0);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    assert_int_equal(put(r, 0, true, 5, .size1 = 2048).code, PDU_CONTINUE);
    rig_settle(r);
    rig_free(r);
}

static void test_grows_too_large(void **state)
{
    struct rig *r = rig_new();
    struct pdu p;

    (void)state;
    for (uint32_t num = 0; num < 4; num++)
        assert_int_equal(put(r, num, true, 5).code, PDU_CONTINUE);
    p = put(r, 4, false, 5, .n = 1);
    assert_int_equal(p.code, 0x8d);
    assert_int_equal(rig_option_uint(&p, PDU_SIZE1), 2048);
    assert_int_equal(transfers(r), 0);
    assert_int_equal(r->requests, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_first_block_alone_too_large(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    r->body_limit = 100;
    assert_int_equal(put(r, 0, false, 5, .n = 101).code, 0x8d);
    assert_int_equal(put(r, 0, true, 5).code, 0x8d);
    assert_int_equal(put(r, 0, false, 5, .n = 100).code, PDU_CHANGED);
    expect_whole(r, 100);
}

/* Other options, another method or another peer: another transfer. */
static void test_keys(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5, .path = "rd");
    assert_int_equal(put(r, 1, true, 5, .path = "dp").code, 0x88);
    put(r, 0, true, 5, .path = "dp");
    assert_int_equal(transfers(r), 2);
    r->flow = rig_flow(2);
    assert_int_equal(put(r, 1, true, 5).code, 0x88);
    r->flow.peer = rig_flow(1).peer;
    r->flow.transport = TRANSPORT_DTLS;
    assert_int_equal(put(r, 1, true, 5).code, 0x88);
    r->flow = rig_flow(1);
    assert_int_equal(put(r, 1, false, 5).code, PDU_CHANGED);
    assert_int_equal(transfers(r), 1);
    rig_settle(r);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    rig_free(r);
}

static void test_request_tag(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint32_t num = 0; num < 2; num++) {
        for (int tag = 0; tag < 2; tag++) {
            rig_begin(r, PDU_CON, PDU_POST, next_mid++, RIG_TOKEN);
            rig_text(r, PDU_URI_PATH, "rd");
            rig_block(r, PDU_BLOCK1, num, num == 0, 0);
            rig_text(r, PDU_REQUEST_TAG, tag ? "b" : "a");
            rig_body(r, tag ? "bbbbbbbbbbbbbbbb" : "aaaaaaaaaaaaaaaa", 16);
            rig_input(r);
        }
        assert_int_equal(transfers(r), num ? 0 : 2);
    }
    assert_int_equal(r->requests, 2);
    assert_int_equal(r->request.body_n, 32);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(r->request.body[i], 'b');
    rig_settle(r);
    rig_free(r);
}

static void test_abandoned(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    rig_advance(r, 240000);
    put(r, 1, true, 5);
    rig_advance(r, 240000);
    assert_int_equal(transfers(r), 1);
    rig_advance(r, 10000);
    assert_int_equal(transfers(r), 0);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    rig_settle(r);
    rig_free(r);
}

static void test_limit(void **state)
{
    struct rig *r = rig_new_closed();

    (void)state;
    r->cfg.transfer_limit = 2;
    rig_open(r);
    for (unsigned i = 1; i <= 2; i++) {
        r->flow = rig_flow(i);
        put(r, 0, true, 5);
        rig_advance(r, 900);
    }
    /* both are fresh: the third is not heard */
    r->flow = rig_flow(3);
    rig_begin(r, PDU_CON, PDU_POST, next_mid++, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_block(r, PDU_BLOCK1, 0, true, 5);
    rig_body(r, body, 512);
    rig_input(r);
    rig_expect_sent(r, 0);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    /* its retransmission finds that the first one has stalled */
    rig_advance(r, 500);
    r->flow = rig_flow(2);
    put(r, 1, true, 5);
    r->flow = rig_flow(3);
    rig_advance(r, 1500);
    put(r, 0, true, 5);
    assert_int_equal(transfers(r), 2);
    r->flow = rig_flow(1);
    assert_int_equal(put(r, 1, false, 5).code, 0x88);
    r->flow = rig_flow(2);
    assert_int_equal(put(r, 2, false, 5).code, PDU_CHANGED);
    rig_settle(r);
    rig_free(r);
}

/* One peer does not take the room of all. */
static void test_limit_of_one_peer(void **state)
{
    static const char *const paths[] = {"a", "b", "c", "d", "e"};
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < 4; i++)
        put(r, 0, true, 5, .path = paths[i]);
    put(r, 1, true, 5, .path = "a");
    put(r, 0, true, 5, .path = "e"); /* for "b" */
    assert_int_equal(transfers(r), 4);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    assert_int_equal(put(r, 2, false, 5, .path = "a").code, PDU_CHANGED);
    assert_int_equal(put(r, 1, false, 5, .path = "b").code, 0x88);
    rig_settle(r);
    rig_free(r);
}

static void test_bytes_limit(void **state)
{
    struct rig *r = rig_new_closed();
    struct pdu p;

    (void)state;
    r->cfg.transfer_bytes = 1500;
    rig_open(r);
    r->flow = rig_flow(1);
    put(r, 0, true, 5);
    r->flow = rig_flow(2);
    put(r, 0, true, 5);
    /* no room now: not heard, and not lost */
    rig_begin(r, PDU_CON, PDU_POST, next_mid++, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    rig_block(r, PDU_BLOCK1, 1, true, 5);
    rig_body(r, body + 512, 512);
    rig_input(r);
    rig_expect_sent(r, 0);
    assert_int_equal(transfers(r), 2);
    rig_advance(r, 2500); /* the first one stalls */
    rig_again(r);
    p = rig_sent(r, 0);
    assert_int_equal(p.code, PDU_CONTINUE);
    assert_int_equal(transfers(r), 1);
    /* nobody alone may have more than all */
    r->flow = rig_flow(3);
    rig_expect_sent(r, 1);
    p = put(r, 0, true, 5, .size1 = 1501);
    assert_int_equal(p.code, 0x8d);
    assert_int_equal(rig_option_uint(&p, PDU_SIZE1), 1500);
    rig_settle(r);
    rig_free(r);
}

static void test_non(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint16_t num = 0; num < 2; num++) {
        rig_begin(r, PDU_NON, PDU_POST, num, RIG_TOKEN);
        rig_text(r, PDU_URI_PATH, "dp");
        rig_block(r, PDU_BLOCK1, num, num == 0, 0);
        rig_body(r, body + num * 16, 16);
        rig_input(r);
        rig_expect_sent(r, 1);
        assert_int_equal(rig_sent(r, 0).type, PDU_NON);
        assert_int_equal(rig_sent(r, 0).code, num ? PDU_CHANGED : PDU_CONTINUE);
    }
    expect_whole(r, 32);
}

static void test_free_midway(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    put(r, 0, true, 5);
    assert_int_equal(transfers(r), 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_blocks),
        cmocka_unit_test(test_one_block),
        cmocka_unit_test(test_duplicate_block),
        cmocka_unit_test(test_smaller_blocks_midway),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_other_bytes_in_a_repeated_block),
        cmocka_unit_test(test_block_of_wrong_length),
        cmocka_unit_test(test_announced_too_large),
        cmocka_unit_test(test_grows_too_large),
        cmocka_unit_test(test_first_block_alone_too_large),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_request_tag),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_of_one_peer),
        cmocka_unit_test(test_bytes_limit),
        cmocka_unit_test(test_non),
        cmocka_unit_test(test_free_midway),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
