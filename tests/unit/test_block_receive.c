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

/* ---- receiving: Block2 --------------------------------------------------------------------- */

static struct rig *asking(void)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");

    out.accept = 112;
    out.query = VIEW_LIT("q");
    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    return r;
}

struct part {
    uint32_t num;
    bool more;
    uint8_t szx;
    const char *etag;
    uint32_t size2;
    size_t n; /* 0: as long as the block */
    uint8_t code;
    bool con, non; /* in a message of its own */
    bool observe;
};

static uint16_t own_mid = 1000;

static void give_part(struct rig *r, const struct part *b)
{
    size_t size = PDU_BLOCK_SIZE(b->szx);
    enum pdu_type type = b->con ? PDU_CON : b->non ? PDU_NON : PDU_ACK;

    rig_answer_begin(r, type, b->code ? b->code : PDU_CONTENT, own_mid++);
    if (b->etag)
        rig_text(r, PDU_ETAG, b->etag);
    if (b->observe)
        rig_uint(r, PDU_OBSERVE, 5);
    rig_uint(r, PDU_CONTENT_FORMAT, 112);
    rig_block(r, PDU_BLOCK2, b->num, b->more, b->szx);
    if (b->size2)
        rig_uint(r, PDU_SIZE2, b->size2);
    rig_body(r, body + b->num * size, b->n ? b->n : size);
    rig_input(r);
}

#define give(r, num_, more_, szx_, ...)                                                            \
    give_part(r, &(struct part){.num = (num_), .more = (more_), .szx = (szx_), ##__VA_ARGS__})

static void expect_block2(struct rig *r, uint32_t num, uint8_t szx)
{
    struct view v;
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    assert_int_equal(p.code, PDU_GET);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, num);
    assert_false(rig_option_block(&p, PDU_BLOCK2).more);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).szx, szx);
    assert_int_equal(rig_option_uint(&p, PDU_ACCEPT), 112);
    assert_true(rig_option(&p, PDU_URI_PATH, &v));
    assert_true(rig_option(&p, PDU_URI_QUERY, &v));
    assert_int_equal(p.payload.n, 0);
}

static void expect_body(struct rig *r, size_t n)
{
    expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    assert_int_equal(r->answer[0].format, 112);
    assert_int_equal(r->answer[0].body_whole, n);
    assert_true(r->answer[0].body_hash == rig_hash(body, n));
    rig_expect_sent(r, 0);
}

static void test_download(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 6, .etag = "v1", .size2 = 2100);
    expect_block2(r, 1, 6);
    give(r, 1, true, 6, .etag = "v1");
    expect_block2(r, 2, 6);
    give(r, 2, false, 6, .etag = "v1", .n = 52);
    expect_body(r, 2100);
    assert_int_equal(r->answer[0].szx, 6);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_started), 1);
    assert_int_equal(rig_count(r, COUNTER_block_transfers_failed), 0);
    done(r);
}

static void test_download_of_one_block(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, false, 4, .n = 3);
    expect_body(r, 3);
    done(r);
}

static void test_download_separate(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 2, .con = true);
    rig_expect_sent(r, 2); /* our ACK, and the next request */
    give(r, 1, true, 2, .non = true);
    rig_again(r); /* of the same block: stale */
    expect_block2(r, 2, 2);
    give(r, 2, false, 2);
    expect_body(r, 192);
    done(r);
}

static void test_download_smaller_midway(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4);
    expect_block2(r, 1, 4);
    give(r, 4, true, 2);
    expect_block2(r, 5, 2);
    give(r, 5, false, 2, .n = 1);
    expect_body(r, 321);
    assert_int_equal(r->answer[0].szx, 2);
    done(r);
}

static void test_download_gaps(void **state)
{
    static const struct {
        uint32_t first, second;
    } rows[] = {{1, 0}, {0, 2}, {0, 0}};

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct rig *r = asking();

        give(r, rows[i].first, true, 4);
        if (rows[i].first == 0)
            give(r, rows[i].second, true, 4);
        expect_answer(r, 1, ERR_INCOMPLETE, 0);
        done(r);
    }
}

static void test_download_wrong_length(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4, .n = 255);
    expect_answer(r, 1, ERR_BADANSWER, 0);
    done(r);
    r = asking();
    give(r, 0, true, 4);
    give(r, 1, false, 4, .n = 257);
    expect_answer(r, 1, ERR_BADANSWER, 0);
    done(r);
}

static void test_download_changes_once(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4, .etag = "v1");
    expect_block2(r, 1, 4);
    give(r, 1, true, 4, .etag = "v2");
    expect_block2(r, 0, 4);
    give(r, 0, true, 4, .etag = "v2");
    expect_block2(r, 1, 4);
    give(r, 1, false, 4, .etag = "v2", .n = 1);
    expect_body(r, 257);
    done(r);
}

static void test_download_keeps_changing(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4, .etag = "v1");
    give(r, 1, true, 4, .etag = "v2");
    give(r, 0, true, 4, .etag = "v3");
    rig_expect_sent(r, 3);
    give(r, 1, true, 4, .etag = "v4");
    expect_answer(r, 1, ERR_INCOMPLETE, 0);
    done(r);
}

static void test_download_becomes_short(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4, .etag = "v1");
    give(r, 1, true, 4, .etag = "v2");
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_uint(r, PDU_CONTENT_FORMAT, 112);
    rig_body(r, body, 7);
    rig_input(r);
    rig_expect_sent(r, 2);
    expect_body(r, 7);
    done(r);
}

static void test_download_refused_midway(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4);
    rig_answer_begin(r, PDU_ACK, 0x84, 0);
    rig_body(r, "gone", 4);
    rig_input(r);
    expect_answer(r, 1, ERR_OK, 0x84);
    assert_int_equal(r->answer[0].body_n, 4);
    assert_memory_equal(r->answer[0].body, "gone", 4);
    done(r);
}

static void test_download_block2_lost_midway(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_input(r);
    expect_answer(r, 1, ERR_INCOMPLETE, 0);
    done(r);
}

static void test_download_code_changes(void **state)
{
    struct rig *r = asking();

    (void)state;
    give(r, 0, true, 4);
    give(r, 1, true, 4, .code = PDU_CHANGED);
    expect_answer(r, 1, ERR_INCOMPLETE, 0);
    done(r);
}

static void test_download_limits(void **state)
{
    struct rig *r;
    struct outgoing out;

    (void)state;
    /* announced */
    r = asking();
    give(r, 0, true, 6, .size2 = (16u << 20) + 1);
    expect_answer(r, 1, ERR_TOOLARGE, 0);
    done(r);
    /* never ending */
    r = rig_new();
    out = rig_outgoing(r, PDU_GET, "/3");
    out.body_limit = 1000;
    (void)rig_request(r, &out);
    for (uint32_t num = 0; num < 3; num++)
        give(r, num, true, 4);
    assert_int_equal(r->answers, 0);
    give(r, 3, true, 4);
    expect_answer(r, 1, ERR_TOOLARGE, 0);
    assert_int_equal(rig_count(r, COUNTER_block_limit), 1);
    done(r);
    /* in one message */
    r = rig_new();
    out = rig_outgoing(r, PDU_GET, "/3");
    out.body_limit = 10;
    (void)rig_request(r, &out);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_body(r, body, 11);
    rig_input(r);
    expect_answer(r, 1, ERR_TOOLARGE, 0);
    done(r);
}

static void test_download_memory_limit(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;

    (void)state;
    r->cfg.transfer_bytes = 1000;
    rig_open(r);
    out = rig_outgoing(r, PDU_GET, "/3");
    (void)rig_request(r, &out);
    for (uint32_t num = 0; num < 4; num++)
        give(r, num, true, 4);
    expect_answer(r, 1, ERR_LIMIT, 0);
    done(r);
}

static void test_download_too_many_blocks(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    struct pdu p;

    (void)state;
    r->jobs_at_once = true;
    r->cfg.body_limit = SIZE_MAX;
    rig_open(r);
    out = rig_outgoing(r, PDU_GET, "/3");
    (void)rig_request(r, &out);
    for (uint32_t num = 0; r->answers == 0; num++) {
        p = rig_sent(r, 0);
        rig_begin(r, PDU_ACK, PDU_CONTENT, p.mid, RIG_TOKEN);
        rig_block(r, PDU_BLOCK2, num, true, 0);
        rig_body(r, body, 16);
        rig_input(r);
        assert_true(num <= 0xfffff);
    }
    expect_answer(r, 1, ERR_TOOLARGE, 0);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, 0xfffff);
    done(r);
}

/* The answer to a FETCH: its body is part of what is asked for, that of a POST would be done again.
 */
static void test_download_body_of_the_request(void **state)
{
    (void)state;
    for (int fetch = 0; fetch < 2; fetch++) {
        struct rig *r = rig_new();
        struct outgoing out = rig_outgoing(r, fetch ? PDU_FETCH : PDU_POST, "/");
        struct view v;
        struct pdu p;

        out.body = VIEW_LIT("what");
        out.format = 112;
        (void)rig_request(r, &out);
        give(r, 0, true, 4);
        p = rig_sent(r, 0);
        assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, 1);
        assert_true(view_eq(p.payload, fetch ? VIEW_LIT("what") : VIEW_NONE));
        assert_int_equal(rig_option(&p, PDU_CONTENT_FORMAT, &v), fetch);
        give(r, 1, false, 4, .n = 1);
        rig_expect_sent(r, 2);
        expect_body(r, 257);
        done(r);
    }
}

/* Both ways in one exchange. */
static void test_upload_then_download(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_FETCH, "/");
    struct view v;
    struct pdu p;

    (void)state;
    out.body = view_of(body, 600);
    out.format = 112;
    out.accept = 112;
    (void)rig_request(r, &out);
    rig_answer_begin(r, PDU_ACK, PDU_CONTINUE, 0);
    rig_block(r, PDU_BLOCK1, 0, true, 5);
    rig_input(r);
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_uint(r, PDU_CONTENT_FORMAT, 112);
    rig_block(r, PDU_BLOCK2, 0, true, 4);
    rig_block(r, PDU_BLOCK1, 1, false, 5);
    rig_body(r, body, 256);
    rig_input(r);
    p = rig_sent(r, 0);
    assert_int_equal(rig_option_block(&p, PDU_BLOCK2).num, 1);
    assert_false(rig_option(&p, PDU_BLOCK1, &v));
    assert_int_equal(p.payload.n, 0);
    give(r, 1, false, 4, .n = 1);
    rig_expect_sent(r, 3);
    expect_body(r, 257);
    done(r);
}

/* Once the first block of an observed resource is here, notifications may use the token. */
static void test_observe_in_blocks(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");
    struct view v;
    struct pdu p;

    (void)state;
    out.observe = 0;
    (void)rig_request(r, &out);
    give(r, 0, true, 4, .observe = true);
    p = rig_sent(r, 0);
    assert_true(rig_token(&p) != RIG_TOKEN);
    assert_int_equal(rig_token(&p) >> 56, RIG_TOKEN >> 56);
    assert_false(rig_option(&p, PDU_OBSERVE, &v));
    assert_true(engine_token_known(r->e, RIG_TOKEN));
    assert_true(engine_token_known(r->e, rig_token(&p)));
    give(r, 1, false, 4, .n = 1);
    rig_expect_sent(r, 2);
    expect_body(r, 257);
    assert_true(r->answer[0].observe);
    assert_int_equal(r->answer[0].sequence, 5);
    done(r);
}

/* One that comes before the rest is here does not end the observation, although no relation is
 * there. */
static void test_observe_in_blocks_overtaken(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");
    struct pdu p;

    (void)state;
    out.observe = 0;
    (void)rig_request(r, &out);
    give(r, 0, true, 4, .observe = true);
    p = rig_sent(r, 0);
    rig_expect_sent(r, 2);
    for (int i = 0; i < 2; i++) {
        rig_begin(r, i ? PDU_NON : PDU_CON, PDU_CONTENT, 70, RIG_TOKEN);
        rig_uint(r, PDU_OBSERVE, 6);
        rig_input(r);
        rig_again(r);
        rig_expect_sent(r, i ? 0 : 2);
    }
    assert_int_equal(rig_sent(r, 0).type, PDU_ACK);
    r->flow.peer.port++; /* not for anybody */
    rig_begin(r, PDU_NON, PDU_CONTENT, 71, RIG_TOKEN);
    rig_input(r);
    r->flow.peer.port--;
    rig_expect_sent(r, 1);
    assert_int_equal(rig_sent(r, 0).type, PDU_RST);
    rig_begin(r, PDU_ACK, PDU_CONTENT, p.mid, rig_token(&p));
    rig_uint(r, PDU_CONTENT_FORMAT, 112);
    rig_block(r, PDU_BLOCK2, 1, false, 4);
    rig_body(r, body + 256, 1);
    rig_input(r);
    expect_body(r, 257);
    assert_false(engine_token_known(r->e, RIG_TOKEN));
    done(r);
}

/* ---- spool --------------------------------------------------------------------------------- */

static void spool_done(struct rig *r, int rc)
{
    uint64_t job = r->job;

    assert_int_not_equal(job, 0);
    r->job = 0;
    engine_spool_done(r->e, job, rc, r->now);
}

static void give_until_job(struct rig *r, uint32_t *num, size_t total)
{
    while (!r->job && r->answers == 0) {
        size_t left = total - *num * 1024;

        give(r, *num, left > 1024, 6, .n = left > 1024 ? 1024 : left);
        ++*num;
    }
}

static void expect_spooled(struct rig *r, size_t n)
{
    expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    assert_true(r->answer[0].has_blob);
    assert_int_equal(r->answer[0].body_whole, n);
    assert_int_equal(r->spooled.n, n);
    assert_memory_equal(r->spooled.p, body, n);
}

static void test_spool(void **state)
{
    struct rig *r = asking();
    uint32_t num = 0;
    size_t sent;

    (void)state;
    give_until_job(r, &num, 100001);
    assert_int_equal(num, 65); /* the first block above 64 KiB */
    sent = r->sent_count;
    rig_advance(r, 30000);
    assert_int_equal(r->sent_count, sent); /* nothing is asked for meanwhile */
    spool_done(r, ERR_OK);
    assert_int_equal(r->sent_count, sent + 1);
    while (r->answers == 0) {
        give_until_job(r, &num, 100001);
        spool_done(r, ERR_OK);
    }
    assert_int_equal(r->jobs, 1 + 2 + 1); /* 16 KiB at a time */
    expect_spooled(r, 100001);
    done(r);
}

static void test_spool_at_once(void **state)
{
    struct rig *r = asking();
    uint32_t num = 0;

    (void)state;
    r->jobs_at_once = true;
    give_until_job(r, &num, 65537);
    expect_spooled(r, 65537);
    done(r);
}

static void test_at_the_threshold_nothing_is_spooled(void **state)
{
    struct rig *r = asking();
    uint32_t num = 0;

    (void)state;
    give_until_job(r, &num, 65536);
    assert_int_equal(r->jobs, 0);
    expect_answer(r, 1, ERR_OK, PDU_CONTENT);
    assert_false(r->answer[0].has_blob);
    assert_true(r->answer[0].body_hash == rig_hash(body, 65536));
    done(r);
}

static void test_spool_fails(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig *r = asking();
        uint32_t num = 0;

        r->jobs_at_once = how == 1;
        r->job_rc = how <= 1 ? ERR_DISKFULL : ERR_OK;
        give_until_job(r, &num, 100000);
        if (how == 2)
            spool_done(r, ERR_DISKFULL);
        expect_answer(r, 1, ERR_DISKFULL, 0);
        done(r);
    }
}

static void test_spool_restart(void **state)
{
    struct rig *r = asking();
    uint32_t num = 0;

    (void)state;
    for (; !r->job; num++)
        give(r, num, true, 6, .etag = "v1");
    spool_done(r, ERR_OK);
    give(r, num, true, 6, .etag = "v2");
    for (num = 0; !r->job; num++)
        give(r, num, true, 6, .etag = "v2");
    spool_done(r, ERR_OK);
    give(r, num, false, 6, .etag = "v2", .n = 1);
    spool_done(r, ERR_OK);
    expect_spooled(r, num * 1024 + 1);
    done(r);
}

static void test_cancel_while_spooling(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");
    struct exchange *x = rig_request(r, &out);
    uint32_t num = 0;

    (void)state;
    give_until_job(r, &num, 100000);
    engine_cancel(r->e, x, r->now);
    expect_answer(r, 1, ERR_CANCELLED, 0);
    (void)rig_request(r, &out); /* all the rest of it is gone */
    spool_done(r, ERR_OK);
    assert_int_equal(r->answers, 1);
    done(r);
}

static void test_free_while_spooling(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3");
    uint32_t num = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct exchange *x = rig_request(r, &out);

        for (num = 0; !r->job; num++)
            give(r, num, true, 6);
        r->job = 0;
        if (i == 0)
            engine_cancel(r->e, x, r->now);
    }
    rig_free(r);
}

static void test_without_spool(void **state)
{
    struct rig *r = rig_new_closed();
    struct outgoing out;
    uint32_t num = 0;

    (void)state;
    r->ops.spool_append = NULL;
    rig_open(r);
    out = rig_outgoing(r, PDU_GET, "/3");
    out.body_limit = 1000000;
    (void)rig_request(r, &out);
    give_until_job(r, &num, 100000);
    expect_answer(r, 1, ERR_TOOLARGE, 0);
    assert_int_equal(num, 65);
    done(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_download),
        cmocka_unit_test(test_download_of_one_block),
        cmocka_unit_test(test_download_separate),
        cmocka_unit_test(test_download_smaller_midway),
        cmocka_unit_test(test_download_gaps),
        cmocka_unit_test(test_download_wrong_length),
        cmocka_unit_test(test_download_changes_once),
        cmocka_unit_test(test_download_keeps_changing),
        cmocka_unit_test(test_download_becomes_short),
        cmocka_unit_test(test_download_refused_midway),
        cmocka_unit_test(test_download_block2_lost_midway),
        cmocka_unit_test(test_download_code_changes),
        cmocka_unit_test(test_download_limits),
        cmocka_unit_test(test_download_memory_limit),
        cmocka_unit_test(test_download_too_many_blocks),
        cmocka_unit_test(test_download_body_of_the_request),
        cmocka_unit_test(test_upload_then_download),
        cmocka_unit_test(test_observe_in_blocks),
        cmocka_unit_test(test_observe_in_blocks_overtaken),
        cmocka_unit_test(test_spool),
        cmocka_unit_test(test_spool_at_once),
        cmocka_unit_test(test_at_the_threshold_nothing_is_spooled),
        cmocka_unit_test(test_spool_fails),
        cmocka_unit_test(test_spool_restart),
        cmocka_unit_test(test_cancel_while_spooling),
        cmocka_unit_test(test_free_while_spooling),
        cmocka_unit_test(test_without_spool),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
