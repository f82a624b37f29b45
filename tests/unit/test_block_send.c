#include "coap_rig.h"

static uint8_t body[200000];

static int setup(void **state)
{
    (void)state;
    rig_pattern(body, sizeof(body), 5);
    return 0;
}

static void expect_answer(struct rig *r, size_t count, int rc, uint8_t code)
{
    assert_int_equal(r->answers, count);
    assert_int_equal(r->answer[count - 1].rc, rc);
    assert_int_equal(r->answer[count - 1].code, code);
}

static void done(struct rig *r)
{
    r->job = 0;
    r->job_rc = 0;
    rig_settle(r);
    rig_free(r);
}

/* ---- sending: Block1 --------------------------------------------------------------------------
 */

static struct outgoing sending(struct rig *r, size_t n)
{
    struct outgoing out = rig_outgoing(r, PDU_PUT, "/5/0/0");

    out.query = VIEW_LIT("a=b");
    out.format = 42;
    out.accept = 60;
    out.body = view_of(body, n);
    return out;
}

/* The last message must be that block of the body. */
static void expect_block1(struct rig *r, uint32_t num, bool more, uint8_t szx, size_t n)
{
    struct pdu_block b;
    struct view v;
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    b = rig_option_block(&p, PDU_BLOCK1);
    assert_int_equal(p.code, PDU_PUT);
    assert_int_equal(b.num, num);
    assert_int_equal(b.more, more);
    assert_int_equal(b.szx, szx);
    assert_int_equal(p.payload.n, n);
    assert_memory_equal(p.payload.p, body + num * PDU_BLOCK_SIZE(szx), n);
    assert_int_equal(rig_option_uint(&p, PDU_CONTENT_FORMAT), 42);
    assert_int_equal(rig_option_uint(&p, PDU_ACCEPT), 60);
    assert_true(rig_option(&p, PDU_URI_PATH, &v));
    assert_true(rig_option(&p, PDU_URI_QUERY, &v));
    assert_true(rig_option(&p, PDU_SIZE1, &v) == (num == 0));
}

static void answer_block1(struct rig *r, uint8_t code, uint32_t num, bool more, uint8_t szx)
{
    rig_answer_begin(r, PDU_ACK, code, 0);
    rig_block(r, PDU_BLOCK1, num, more, szx);
    rig_input(r);
}

static void test_upload(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 1100);
    struct pdu p;

    (void)state;
    (void)rig_request(r, &out);
    p = rig_sent(r, 0);
    assert_int_equal(rig_option_uint(&p, PDU_SIZE1), 1100);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    assert_int_equal((uint16_t)(p.mid + 1), rig_sent(r, 0).mid);
    expect_block1(r, 1, true, 5, 512);
    answer_block1(r, PDU_CONTINUE, 1, true, 5);
    expect_block1(r, 2, false, 5, 76);
    assert_int_equal(r->answers, 0);
    answer_block1(r, PDU_CHANGED, 2, false, 5);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    assert_int_equal(r->answer[0].szx, 5);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_started), 1);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 0);
    done(r);
}

static void test_upload_of_exactly_one_block(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 512);
    struct view v;
    struct pdu p;

    (void)state;
    (void)rig_request(r, &out);
    p = rig_sent(r, 0);
    assert_false(rig_option(&p, PDU_BLOCK1, &v));
    assert_int_equal(p.payload.n, 512);
    rig_expect_sent(r, 1);
    rig_answer_begin(r, PDU_ACK, PDU_CHANGED, 0);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

static void test_upload_sizes(void **state)
{
    (void)state;
    for (uint8_t szx = 0; szx <= 6; szx++) {
        struct rig *r = rig_new();
        struct outgoing out = sending(r, PDU_BLOCK_SIZE(szx) * 2);

        out.szx = szx;
        (void)rig_request(r, &out);
        expect_block1(r, 0, true, szx, PDU_BLOCK_SIZE(szx));
        answer_block1(r, PDU_CONTINUE, 0, true, szx);
        expect_block1(r, 1, false, szx, PDU_BLOCK_SIZE(szx));
        answer_block1(r, PDU_CHANGED, 1, false, szx);
        expect_answer(r, 1, ERR_OK, PDU_CHANGED);
        assert_int_equal(r->answer[0].szx, szx);
        done(r);
    }
}

static void test_upload_fits_the_message(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;

    (void)state;
    r->cfg.message_max = 300;
    rig_open(r);
    out = sending(r, 290);
    out.szx = 6;
    (void)rig_request(r, &out);
    expect_block1(r, 0, true, 3, 128);
    rig_settle(r);
    rig_free(r);
}

/* RFC 7959 figure 9: the first block was taken whole, what follows is smaller. */
static void test_upload_device_prefers_smaller(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, PDU_CONTINUE, 0, true, 2);
    expect_block1(r, 8, true, 2, 64);
    answer_block1(r, PDU_CONTINUE, 8, true, 2);
    expect_block1(r, 9, false, 2, 24);
    answer_block1(r, PDU_CHANGED, 9, false, 2);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    assert_int_equal(r->answer[0].szx, 2);
    done(r);
}

static void test_upload_too_large_with_hint(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, 0x8d, 0, true, 4);
    expect_block1(r, 0, true, 4, 256);
    answer_block1(r, PDU_CONTINUE, 0, true, 4);
    expect_block1(r, 1, true, 4, 256);
    answer_block1(r, 0x8d, 1, true, 3); /* also midway: at the same place */
    expect_block1(r, 2, true, 3, 128);
    answer_block1(r, 0x8d, 2, true, 3); /* no smaller size: final */
    expect_answer(r, 1, ERR_OK, 0x8d);
    assert_int_equal(r->answer[0].szx, 3);
    done(r);
}

static void test_plain_too_large_with_hint(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 500);

    (void)state;
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    answer_block1(r, 0x8d, 0, true, 4);
    expect_block1(r, 0, true, 4, 256);
    answer_block1(r, PDU_CONTINUE, 0, true, 4);
    expect_block1(r, 1, false, 4, 244);
    answer_block1(r, PDU_CHANGED, 1, false, 4);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

static void test_plain_too_large(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 100);

    (void)state;
    (void)rig_request(r, &out);
    answer_block1(r, 0x8d, 0, true, 5); /* not smaller than what we sent */
    expect_answer(r, 1, ERR_OK, 0x8d);
    done(r);
}

static void test_upload_restarts_once(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    expect_block1(r, 1, false, 5, 88);
    rig_answer_begin(r, PDU_ACK, 0x88, 0);
    rig_input(r);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    expect_block1(r, 1, false, 5, 88);
    rig_answer_begin(r, PDU_ACK, 0x88, 0);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, 0x88);
    done(r);
}

static void test_upload_refused_at_the_first_block(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    rig_answer_begin(r, PDU_ACK, 0x88, 0);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, 0x88);
    done(r);
}

/* A device that acts on each block by itself says so with M = 0 (RFC 7959 section 2.3). */
static void test_upload_block_by_block(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    expect_block1(r, 0, true, 5, 512);
    answer_block1(r, PDU_CHANGED, 0, false, 5);
    expect_block1(r, 1, false, 5, 88);
    answer_block1(r, PDU_CHANGED, 1, false, 5);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

static void test_upload_nonsense(void **state)
{
    static const struct {
        uint8_t code;
        bool block1;
        uint32_t num;
    } rows[] = {
        {PDU_CHANGED, false, 0}, /* block-wise not understood: only a part was written */
        {PDU_CONTINUE, true, 3}, /* another block */
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct rig *r = rig_new();
        struct outgoing out = sending(r, 600);

        (void)rig_request(r, &out);
        rig_answer_begin(r, PDU_ACK, rows[i].code, 0);
        if (rows[i].block1)
            rig_block(r, PDU_BLOCK1, rows[i].num, true, 5);
        rig_input(r);
        expect_answer(r, 1, ERR_BADANSWER, 0);
        done(r);
    }
}

static void test_upload_continue_after_the_last(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 10);

    (void)state;
    (void)rig_request(r, &out);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    expect_answer(r, 1, ERR_BADANSWER, 0);
    done(r);
}

/* A late copy of the answer to the block before. */
static void test_upload_stale_response(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    rig_answer_begin(r, PDU_NON, PDU_CONTINUE, 70);
    rig_block(r, PDU_BLOCK1, 0, true, 5);
    rig_input(r);
    rig_expect_sent(r, 2);
    rig_again(r);
    rig_expect_sent(r, 0);
    assert_int_equal(r->answers, 0);
    answer_block1(r, PDU_CHANGED, 1, false, 5);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

static void test_upload_separate_gives_way(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);
    struct outgoing other = rig_outgoing(r, PDU_GET, "/3/0");
    struct pdu p;

    (void)state;
    other.token = 99;
    (void)rig_request(r, &out);
    (void)rig_request(r, &other);
    other.token = 100;
    (void)rig_request(r, &other);
    rig_expect_sent(r, 1);
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    p = rig_sent(r, 0); /* the other one, since the first waits for the device */
    assert_true(rig_token(&p) == 99);
    rig_begin(r, PDU_CON, PDU_CONTINUE, 70, RIG_TOKEN);
    rig_block(r, PDU_BLOCK1, 0, true, 5);
    rig_input(r);
    rig_expect_sent(r, 2); /* its request, and our ACK: the next block waits for the slot */
    rig_begin(r, PDU_ACK, PDU_CONTENT, p.mid, 99);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    expect_block1(r, 1, false, 5, 88); /* before those that have not begun */
    answer_block1(r, PDU_CHANGED, 1, false, 5);
    expect_answer(r, 2, ERR_OK, PDU_CHANGED);
    rig_expect_sent(r, 1);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_input(r);
    expect_answer(r, 3, ERR_OK, PDU_CONTENT);
    done(r);
}

static void test_upload_times_out_midway(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    rig_settle(r);
    expect_answer(r, 1, ERR_TIMEOUT, 0);
    assert_int_equal(r->answer[0].retransmissions, 4);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 1);
    rig_free(r);
}

static void test_upload_too_many_blocks(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = {.p = body, .size = ((uint64_t)1 << 20) * 16 + 1, .fd = -1};
    struct exchange *x;

    (void)state;
    out.blob = &blob;
    out.szx = 0;
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_TOOLARGE);
    done(r);
}

/* ---- sending a blob ------------------------------------------------------------------------ */

static void acknowledge_blocks(struct rig *r, uint32_t from, uint32_t to)
{
    for (uint32_t num = from; num < to; num++) {
        struct pdu p = rig_sent(r, 0);
        struct pdu_block b = rig_option_block(&p, PDU_BLOCK1);

        assert_int_equal(b.num, num);
        assert_memory_equal(p.payload.p, body + num * PDU_BLOCK_SIZE(b.szx), p.payload.n);
        answer_block1(r, b.more ? PDU_CONTINUE : PDU_CHANGED, num, b.more, b.szx);
    }
}

static void blob_done(struct rig *r, int rc)
{
    uint64_t job = r->job;

    assert_int_not_equal(job, 0);
    r->job = 0;
    engine_blob_bytes(r->e, job, rc, view_of(r->blob_bytes + r->blob_offset, r->blob_n), r->now);
}

static struct blob file_of(size_t n)
{
    return (struct blob){.size = n, .fd = -1};
}

static void test_blob_in_windows(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = file_of(40000);

    (void)state;
    r->blob_bytes = body;
    out.blob = &blob;
    (void)rig_request(r, &out);
    rig_expect_sent(r, 0);
    assert_int_equal(r->blob_offset, 0);
    assert_int_equal(r->blob_n, 16384);
    rig_advance(r, 60000); /* reading has no time limit of ours */
    blob_done(r, ERR_OK);
    rig_expect_sent(r, 1);
    acknowledge_blocks(r, 0, 32);
    assert_int_equal(r->blob_offset, 16384);
    blob_done(r, ERR_OK);
    acknowledge_blocks(r, 32, 64);
    assert_int_equal(r->blob_n, 40000 - 32768);
    blob_done(r, ERR_OK);
    acknowledge_blocks(r, 64, 79);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    assert_int_equal(r->jobs, 3);
    done(r);
}

static void test_blob_at_once(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = file_of(20000);

    (void)state;
    r->blob_bytes = body;
    r->jobs_at_once = true;
    out.blob = &blob;
    (void)rig_request(r, &out);
    acknowledge_blocks(r, 0, 40);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

static void test_blob_in_memory(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = {.p = body, .size = 600, .fd = -1};

    (void)state;
    out.blob = &blob;
    (void)rig_request(r, &out);
    acknowledge_blocks(r, 0, 2);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    assert_int_equal(r->jobs, 0);
    done(r);
}

static void test_blob_of_one_block(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = file_of(300);
    struct pdu p;

    (void)state;
    r->blob_bytes = body;
    r->jobs_at_once = true;
    out.blob = &blob;
    (void)rig_request(r, &out);
    p = rig_sent(r, 0);
    assert_int_equal(p.payload.n, 300);
    rig_advance(r, 3000);
    assert_true(view_eq(rig_sent_bytes(r, 0), rig_sent_bytes(r, 1)));
    rig_answer_begin(r, PDU_ACK, PDU_CHANGED, 0);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    done(r);
}

/* However reading fails, and whenever: `done` is called, but not from inside engine_request. */
static void test_blob_fails(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct rig *r = rig_new();
        struct outgoing out = sending(r, 0);
        struct blob blob = file_of(20000);

        r->blob_bytes = body;
        out.blob = &blob;
        r->jobs_at_once = how == 1;
        r->job_rc = how <= 1 ? ERR_IO : ERR_OK;
        (void)rig_request(r, &out);
        if (how == 2)
            blob_done(r, ERR_IO);
        if (how == 3) {
            r->blob_n = 100; /* less than asked for */
            blob_done(r, ERR_OK);
        }
        rig_advance(r, 0);
        expect_answer(r, 1, how == 3 ? ERR_TRUNCATED : ERR_IO, 0);
        rig_expect_sent(r, 0);
        done(r);
    }
}

static void test_blob_cancelled_while_reading(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = file_of(20000);

    (void)state;
    r->blob_bytes = body;
    out.blob = &blob;
    engine_cancel(r->e, rig_request(r, &out), r->now);
    expect_answer(r, 1, ERR_CANCELLED, 0);
    blob_done(r, ERR_OK); /* nobody waits any more */
    rig_expect_sent(r, 0);
    done(r);
}

static void test_blob_without_reader(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    struct blob blob = file_of(20000);
    struct exchange *x;

    (void)state;
    r->ops.blob_read = NULL;
    rig_open(r);
    out = sending(r, 0);
    out.blob = &blob;
    assert_int_equal(engine_request(r->e, &out, r->now, &x), ERR_UNSUPPORTED);
    done(r);
}

static void test_blob_memory_limit(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    struct blob blob = file_of(20000);

    (void)state;
    r->cfg.transfer_bytes = 20000; /* one window */
    rig_open(r);
    out = sending(r, 0);
    out.blob = &blob;
    (void)rig_request(r, &out);
    r->job = 0;
    r->flow = rig_flow(2);
    out.token++;
    (void)rig_request(r, &out);
    rig_advance(r, 0);
    expect_answer(r, 1, ERR_LIMIT, 0);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    engine_cancel_all(r->e, r->now);
    done(r);
}

static void test_upload_size_learned_at_the_end(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 600);

    (void)state;
    (void)rig_request(r, &out);
    answer_block1(r, PDU_CONTINUE, 0, true, 5);
    answer_block1(r, PDU_CHANGED, 1, false, 3);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    assert_int_equal(r->answer[0].szx, 3);
    done(r);
}

/* While the blob is read nothing is expected, whatever the device says. */
static void test_response_while_reading(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = sending(r, 0);
    struct blob blob = file_of(20000);

    (void)state;
    r->blob_bytes = body;
    out.blob = &blob;
    (void)rig_request(r, &out);
    rig_begin(r, PDU_CON, PDU_CHANGED, 7, RIG_TOKEN);
    rig_input(r);
    assert_int_equal(r->answers, 0);
    rig_expect_sent(r, 1);
    assert_int_equal(rig_sent(r, 0).type, PDU_ACK);
    blob_done(r, ERR_OK);
    acknowledge_blocks(r, 0, 32);
    blob_done(r, ERR_OK);
    acknowledge_blocks(r, 32, 40);
    expect_answer(r, 1, ERR_OK, PDU_CHANGED);
    engine_blob_bytes(r->e, 999, ERR_OK, VIEW_NONE, r->now); /* no such jobs */
    engine_spool_done(r->e, 999, ERR_OK, r->now);
    done(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_upload_of_exactly_one_block),
        cmocka_unit_test(test_upload_sizes),
        cmocka_unit_test(test_upload_fits_the_message),
        cmocka_unit_test(test_upload_device_prefers_smaller),
        cmocka_unit_test(test_upload_too_large_with_hint),
        cmocka_unit_test(test_plain_too_large_with_hint),
        cmocka_unit_test(test_plain_too_large),
        cmocka_unit_test(test_upload_restarts_once),
        cmocka_unit_test(test_upload_refused_at_the_first_block),
        cmocka_unit_test(test_upload_block_by_block),
        cmocka_unit_test(test_upload_nonsense),
        cmocka_unit_test(test_upload_continue_after_the_last),
        cmocka_unit_test(test_upload_stale_response),
        cmocka_unit_test(test_upload_separate_gives_way),
        cmocka_unit_test(test_upload_times_out_midway),
        cmocka_unit_test(test_upload_too_many_blocks),
        cmocka_unit_test(test_blob_in_windows),
        cmocka_unit_test(test_blob_at_once),
        cmocka_unit_test(test_blob_in_memory),
        cmocka_unit_test(test_blob_of_one_block),
        cmocka_unit_test(test_blob_fails),
        cmocka_unit_test(test_blob_cancelled_while_reading),
        cmocka_unit_test(test_blob_without_reader),
        cmocka_unit_test(test_blob_memory_limit),
        cmocka_unit_test(test_upload_size_learned_at_the_end),
        cmocka_unit_test(test_response_while_reading),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
