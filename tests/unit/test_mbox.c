#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "base/mbox.h"

enum { SENDERS = 4, EACH = 20000, MESSAGES = 64 };

struct message {
    struct mbox_node node;
    unsigned sender;
    unsigned number;
};

struct receiver {
    uv_loop_t loop;
    struct mbox *box;
    unsigned next[SENDERS]; /* number expected from each sender */
    size_t received;
    size_t bursts;
    size_t in_burst;
    size_t close_after; /* closes the box from inside the callback; 0: never */
};

static void on_message(void *ctx, struct mbox_node *node)
{
    struct receiver *r = ctx;
    struct message *m = mem_container(node, struct message, node);

    assert_int_equal(m->number, r->next[m->sender]++);
    r->received++;
    r->in_burst++;
    if (r->received == r->close_after)
        mbox_close(r->box);
}

static void on_idle(void *ctx)
{
    struct receiver *r = ctx;

    assert_true(r->in_burst > 0);
    r->in_burst = 0;
    r->bursts++;
}

static void start(struct receiver *r, size_t limit)
{
    *r = (struct receiver){0};
    assert_int_equal(uv_loop_init(&r->loop), 0);
    r->box = mbox_new(&r->loop, limit, on_message, on_idle, r);
    assert_non_null(r->box);
}

/* Closes what is not closed yet; the loop must have nothing left then. */
static void finish(struct receiver *r)
{
    mbox_close(r->box);
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    mbox_free(r->box);
}

static void number_messages(struct message m[MESSAGES])
{
    for (unsigned i = 0; i < MESSAGES; i++)
        m[i] = (struct message){.number = i};
}

static void test_burst(void **state)
{
    struct message m[MESSAGES];
    struct receiver r;

    (void)state;
    number_messages(m);
    start(&r, MESSAGES);
    assert_int_equal(mbox_depth(r.box), 0);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(mbox_post(r.box, &m[i].node), ERR_OK);
    assert_int_equal(mbox_depth(r.box), 10);
    uv_run(&r.loop, UV_RUN_ONCE);
    assert_int_equal(r.received, 10);
    assert_int_equal(r.bursts, 1);
    assert_int_equal(mbox_depth(r.box), 0);
    /* The next post wakes the loop again. */
    assert_int_equal(mbox_post(r.box, &m[10].node), ERR_OK);
    uv_run(&r.loop, UV_RUN_ONCE);
    assert_int_equal(r.received, 11);
    assert_int_equal(r.bursts, 2);
    finish(&r);
    assert_int_equal(r.bursts, 2);
}

static void test_limit(void **state)
{
    struct message m[MESSAGES];
    struct receiver r;

    (void)state;
    number_messages(m);
    start(&r, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mbox_post(r.box, &m[i].node), ERR_OK);
    assert_int_equal(mbox_post(r.box, &m[3].node), ERR_FULL);
    assert_int_equal(mbox_depth(r.box), 3);
    assert_int_equal(mbox_post_always(r.box, &m[3].node), ERR_OK);
    assert_int_equal(mbox_depth(r.box), 4);
    assert_int_equal(mbox_post(r.box, &m[4].node), ERR_FULL);
    uv_run(&r.loop, UV_RUN_ONCE);
    assert_int_equal(r.received, 4);
    assert_int_equal(mbox_post(r.box, &m[4].node), ERR_OK);
    finish(&r);
    assert_int_equal(r.received, 5);
}

/* What waits at closing is delivered, later posts are refused. */
static void test_close(void **state)
{
    struct message m[MESSAGES];
    struct receiver r;

    (void)state;
    number_messages(m);
    start(&r, MESSAGES);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(mbox_post(r.box, &m[i].node), ERR_OK);
    mbox_close(r.box);
    assert_int_equal(r.received, 5);
    assert_int_equal(r.bursts, 1);
    assert_int_equal(mbox_post(r.box, &m[5].node), ERR_STOPPING);
    assert_int_equal(mbox_post_always(r.box, &m[5].node), ERR_STOPPING);
    assert_int_equal(mbox_depth(r.box), 0);
    finish(&r);
    assert_int_equal(r.received, 5);
    mbox_free(NULL);
}

/* A message may close the box it came through; the rest still comes, each once and in order. */
static void test_close_inside(void **state)
{
    struct message m[MESSAGES];
    struct receiver r;

    (void)state;
    number_messages(m);
    start(&r, MESSAGES);
    r.close_after = 7;
    for (size_t i = 0; i < MESSAGES; i++)
        assert_int_equal(mbox_post(r.box, &m[i].node), ERR_OK);
    assert_int_equal(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(r.received, MESSAGES);
    finish(&r);
}

struct echo {
    uv_loop_t loop;
    struct mbox *box;
    size_t left;
};

static void on_echo(void *ctx, struct mbox_node *node)
{
    struct echo *e = ctx;

    if (e->left-- > 1)
        assert_int_equal(mbox_post(e->box, node), ERR_OK);
    else
        mbox_close(e->box);
}

/* Posting to oneself from the callback, the received message itself, at a limit of one. */
static void test_post_inside(void **state)
{
    struct message m = {0};
    struct echo e = {.left = 1000};

    (void)state;
    assert_int_equal(uv_loop_init(&e.loop), 0);
    e.box = mbox_new(&e.loop, 1, on_echo, NULL, &e);
    assert_non_null(e.box);
    assert_int_equal(mbox_post(e.box, &m.node), ERR_OK);
    assert_int_equal(uv_run(&e.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(e.left, 0);
    assert_int_equal(uv_loop_close(&e.loop), 0);
    mbox_free(e.box);
}

struct sender {
    struct receiver *to;
    struct message *m;
    unsigned number;
    size_t posted;
    size_t refused;
    bool stopped;
};

/* Posts all of its messages in order, waiting while the box is full. */
static void *send_all(void *arg)
{
    struct sender *s = arg;

    for (unsigned i = 0; i < EACH && !s->stopped; i++) {
        int rc;

        s->m[i] = (struct message){.sender = s->number, .number = i};
        while ((rc = mbox_post(s->to->box, &s->m[i].node)) == ERR_FULL) {
            s->refused++;
            sched_yield();
        }
        s->posted += rc == ERR_OK;
        s->stopped = rc == ERR_STOPPING;
    }
    return NULL;
}

static void send_from_threads(size_t close_after)
{
    struct receiver r;
    struct sender s[SENDERS];
    pthread_t thread[SENDERS];
    size_t posted = 0;

    start(&r, 256);
    r.close_after = close_after;
    for (unsigned i = 0; i < SENDERS; i++) {
        s[i] = (struct sender){.to = &r, .number = i};
        s[i].m = mem_new(EACH * sizeof(struct message));
        assert_non_null(s[i].m);
        assert_int_equal(pthread_create(&thread[i], NULL, send_all, &s[i]), 0);
    }
    assert_int_equal(uv_run(&r.loop, UV_RUN_DEFAULT), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(s[i].posted, r.next[i]);
        posted += s[i].posted;
        mem_free(s[i].m);
    }
    assert_int_equal(r.received, posted);
    assert_true(r.received >= close_after);
    assert_true(r.bursts <= r.received);
    finish(&r);
}

static void test_threads(void **state)
{
    (void)state;
    send_from_threads(SENDERS * EACH);
}

/* The box closes under the senders' hands: what was taken was delivered, the rest was refused. */
static void test_close_under_load(void **state)
{
    (void)state;
    for (size_t i = 0; i < 20; i++)
        send_from_threads(1 + i * 997);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_inside),
        cmocka_unit_test(test_post_inside),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_close_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
