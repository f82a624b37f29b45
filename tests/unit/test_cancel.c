#include "coap_rig.h"

/* Requests that are given up, and requests made while others end. */

static void test_cancel(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");
    struct exchange *x[3];

    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        out.token = i + 1;
        x[i] = rig_request(r, &out);
    }
    engine_cancel(r->e, x[1], r->now); /* waiting */
    rig_expect_answer(r, 1, ERR_CANCELLED, 0);
    rig_expect_sent(r, 1);
    engine_cancel(r->e, x[0], r->now); /* on the wire */
    rig_expect_answer(r, 2, ERR_CANCELLED, 0);
    assert_true(rig_sent_token(r) == 3);
    rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    engine_cancel(r->e, x[2], r->now); /* acknowledged */
    rig_expect_answer(r, 3, ERR_CANCELLED, 0);
    rig_settle(r);
    rig_expect_sent(r, 0);
    rig_free(r);
}

static uint64_t tokens_seen[RIG_ANSWERS];
static struct rig *ordered;

static void note_token(void *ctx, const struct answer *a, uint64_t now)
{
    (void)now;
    assert_int_equal(a->rc, ERR_CANCELLED);
    tokens_seen[ordered->answers++] = *(const uint64_t *)ctx;
}

static void test_cancel_peer_in_order(void **state)
{
    static const uint64_t tokens[] = {5, 4, 3, 2, 1};
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");
    struct addr nobody = rig_flow(99).peer;
    struct flow other = rig_flow(2);

    (void)state;
    ordered = r;
    for (size_t i = 0; i < mem_count(tokens); i++) {
        out.token = tokens[i];
        out.done = note_token;
        out.ctx = (void *)(uintptr_t)&tokens[i];
        (void)rig_request(r, &out);
        if (i == 0)
            rig_empty(r, PDU_ACK, rig_sent(r, 0).mid);
    }
    rig_ask(r, 6);
    r->flow = other;
    rig_ask(r, 7);
    rig_expect_sent(r, 3);
    engine_cancel_peer(r->e, &nobody, r->now);
    assert_int_equal(r->answers, 0);
    r->flow = rig_flow(1);
    engine_cancel_peer(r->e, &r->flow.peer, r->now);
    assert_int_equal(r->answers, 6);
    assert_memory_equal(tokens_seen, tokens, sizeof(tokens));
    rig_expect_sent(r, 0); /* none of the queue left meanwhile */
    rig_settle(r);
    assert_int_equal(r->answers, 7);
    rig_free(r);
}

/* A callback that cancels, and one that asks again. */
static struct exchange *victim;

static void cancel_another(struct rig *r)
{
    struct exchange *x = victim;

    victim = NULL;
    if (x)
        engine_cancel(r->e, x, r->now);
}

static void test_cancel_within_cancel(void **state)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");

    (void)state;
    rig_ask(r, 1);
    rig_ask(r, 2);
    out.token = 3;
    victim = rig_request(r, &out);
    rig_ask(r, 4);
    r->on_answer = cancel_another;
    engine_cancel_peer(r->e, &r->flow.peer, r->now);
    assert_int_equal(r->answers, 4);
    rig_expect_sent(r, 1);
    rig_settle(r);
    rig_free(r);
}

static size_t again;

static void ask_again(struct rig *r)
{
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");
    size_t answers = r->answers;

    if (again == 0)
        return;
    again--;
    out.token = 100 + again;
    (void)rig_request(r, &out);
    assert_int_equal(r->answers, answers);
}

static void test_request_within_answer(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    again = 5;
    r->on_answer = ask_again;
    for (size_t i = 1; i <= 6; i++) {
        rig_answer_ack(r);
        assert_int_equal(r->answers, i);
        rig_expect_sent(r, i <= 5);
    }
    rig_settle(r);
    rig_free(r);
}

static void test_request_within_cancel_peer(void **state)
{
    struct rig *r = rig_asking();

    (void)state;
    again = 1;
    r->on_answer = ask_again;
    engine_cancel_peer(r->e, &r->flow.peer, r->now);
    assert_int_equal(r->answers, 1);
    rig_expect_sent(r, 1);
    rig_answer_ack(r);
    rig_expect_answer(r, 2, ERR_OK, PDU_CONTENT);
    rig_settle(r);
    rig_free(r);
}

static void test_cancel_all(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint64_t i = 1; i <= 10; i++) {
        r->flow = rig_flow((unsigned)i % 3);
        rig_ask(r, i);
    }
    rig_expect_sent(r, 3);
    engine_cancel_all(r->e, r->now);
    assert_int_equal(r->answers, 10);
    rig_expect_sent(r, 0);
    rig_settle(r);
    rig_free(r);
}

static void test_free_with_work_under_way(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (uint64_t i = 1; i <= 10; i++) {
        r->flow = rig_flow((unsigned)i % 3);
        rig_ask(r, i);
    }
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_peer_in_order),
        cmocka_unit_test(test_cancel_within_cancel),
        cmocka_unit_test(test_request_within_answer),
        cmocka_unit_test(test_request_within_cancel_peer),
        cmocka_unit_test(test_cancel_all),
        cmocka_unit_test(test_free_with_work_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
