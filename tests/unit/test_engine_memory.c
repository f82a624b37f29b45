/*
 * A story with everything in it, in which each allocation fails in turn: nothing breaks, nothing
 * leaks, each exchange that began ends once, and in the end nothing is left.
 *
 * The allocator of base is replaced by the one below.
 */
#include "coap_rig.h"

#include <stdlib.h>

static size_t allocations; /* since the count began */
static size_t fails_at;    /* 0: never */

static bool fails(void)
{
    return ++allocations == fails_at;
}

void *mem_new(size_t size)
{
    return fails() ? NULL : calloc(1, size ? size : 1);
}

void *mem_new_aligned(size_t size, size_t align)
{
    void *p = NULL;

    if (fails() || posix_memalign(&p, align, size) != 0)
        return NULL;
    memset(p, 0, size);
    return p;
}

void *mem_new_huge(size_t size)
{
    return mem_new_aligned(size, MEM_HUGE);
}

void *mem_resize(void *p, size_t size)
{
    return fails() ? NULL : realloc(p, size ? size : 1);
}

char *mem_text(const void *p, size_t n)
{
    char *text = fails() ? NULL : malloc(n + 1);

    if (!text)
        return NULL;
    if (n > 0)
        memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

void mem_free(void *p)
{
    free(p);
}

/* ---- the story --------------------------------------------------------------------------------
 */

static size_t begun;

static int lenient_spool(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct rig *r = ctx;

    (void)bytes;
    if (!*spool)
        *spool = blob_new(VIEW_NONE);
    if (!*spool)
        return ERR_NOMEM;
    engine_spool_done(r->e, cookie, ERR_OK, r->now);
    return ERR_OK;
}

static void ask(struct rig *r, uint8_t code, uint64_t token, struct view body, struct blob *blob,
                int observe)
{
    struct outgoing out = rig_outgoing(r, code, "/3/0");
    struct exchange *x;

    out.token = token;
    out.body = body;
    out.blob = blob;
    out.observe = observe;
    out.szx = 0;
    if (engine_request(r->e, &out, r->now, &x) == ERR_OK)
        begun++;
}

/* Answers the last message by a block, if it was a request. */
static void answer_block(struct rig *r, uint32_t option, uint8_t code, uint32_t num, bool more)
{
    static const uint8_t block[16] = {1};

    if (r->sent_count == 0 || rig_sent(r, 0).type != PDU_CON)
        return;
    rig_answer_begin(r, PDU_ACK, code, 0);
    rig_block(r, option, num, more, 0);
    if (option == PDU_BLOCK2)
        rig_body(r, block, sizeof(block));
    rig_input(r);
}

static void receive(struct rig *r)
{
    for (uint16_t i = 0; i < 6; i++) {
        rig_begin(r, PDU_CON, PDU_POST, i, RIG_TOKEN);
        rig_text(r, PDU_URI_PATH, "rd");
        rig_input(r);
    }
    for (uint16_t i = 0; i < 4; i++) {
        rig_begin(r, PDU_CON, PDU_POST, (uint16_t)(100 + i), RIG_TOKEN);
        rig_text(r, PDU_URI_PATH, "rd");
        rig_block(r, PDU_BLOCK1, i, i < 3, 0);
        rig_body(r, "0123456789abcdef", 16);
        rig_input(r);
    }
    r->mode = RIG_DEFER;
    rig_begin(r, PDU_CON, PDU_POST, 200, RIG_TOKEN);
    rig_text(r, PDU_URI_PATH, "rd");
    r->pending = NULL;
    rig_input(r);
    rig_advance(r, 1000);
    if (r->pending)
        engine_respond(r->e, r->pending, &r->response, r->now);
    r->mode = RIG_REPLY;
}

static void send(struct rig *r)
{
    static const uint8_t body[48];
    static const uint8_t file[100];
    struct blob blob = {.size = sizeof(file), .fd = -1};

    r->blob_bytes = file;
    ask(r, PDU_PUT, 1, view_of(body, sizeof(body)), NULL, -1);
    for (uint32_t i = 0; i < 3; i++)
        answer_block(r, PDU_BLOCK1, i < 2 ? PDU_CONTINUE : PDU_CHANGED, i, i < 2);
    ask(r, PDU_PUT, 2, VIEW_NONE, &blob, -1);
    for (uint32_t i = 0; i < 7; i++)
        answer_block(r, PDU_BLOCK1, i < 6 ? PDU_CONTINUE : PDU_CHANGED, i, i < 6);
    engine_cancel_all(r->e, r->now); /* the blob is ours */
    ask(r, PDU_GET, 3, VIEW_NONE, NULL, 0);
    for (uint32_t i = 0; i < 8; i++)
        answer_block(r, PDU_BLOCK2, PDU_CONTENT, i, i < 7);
    ask(r, PDU_GET, 4, VIEW_NONE, NULL, -1);
    rig_advance(r, 100000);
}

static void observe(struct rig *r)
{
    struct relation rel = {.token = RIG_TOKEN};

    if (engine_relation_add(r->e, &rel) < 0)
        return;
    for (uint16_t i = 0; i < 2; i++) {
        rig_begin(r, PDU_CON, PDU_CONTENT, (uint16_t)(300 + i), RIG_TOKEN);
        rig_uint(r, PDU_OBSERVE, i + 1u);
        rig_block(r, PDU_BLOCK2, 0, i == 1, 0);
        rig_body(r, "0123456789abcdef", 16);
        rig_input(r);
    }
    rig_advance(r, 3000); /* the request for the rest is the last message now */
    for (uint32_t i = 1; i < 5; i++)
        answer_block(r, PDU_BLOCK2, PDU_CONTENT, i, i < 4);
    engine_relation_del(r->e, &rel);
}

/* What the story tells when nothing fails. */
static void expect_success(struct rig *r)
{
    static const int ends[] = {ERR_OK, ERR_OK, ERR_OK, ERR_TIMEOUT};

    assert_int_equal(r->requests, 8);
    assert_int_equal(r->answers, mem_count(ends));
    for (size_t i = 0; i < mem_count(ends); i++)
        assert_int_equal(r->answer[i].rc, ends[i]);
    assert_true(r->answer[2].has_blob);
    assert_int_equal(r->notifications, 2);
}

/* How many allocations it took. */
static size_t tell(size_t fail)
{
    struct rig *r;
    size_t taken;

    fails_at = 0;
    r = rig_new_closed();
    r->cfg.spool_threshold = 64;
    r->cfg.profile = profile_builtin(VIEW_LIT("ip"));
    r->ops.spool_append = lenient_spool;
    r->jobs_at_once = true;
    r->response.payload = VIEW_LIT("payload");
    begun = 0;
    allocations = 0;
    fails_at = fail;
    r->e = engine_new(&r->cfg, &r->ops, r, &r->random, &r->counters, r->now);
    if (r->e) {
        receive(r);
        send(r);
        observe(r);
        engine_cancel_all(r->e, r->now);
        assert_int_equal(r->answers, begun);
        if (fail == 0)
            expect_success(r);
        taken = allocations;
        fails_at = 0;
        rig_settle(r);
    } else {
        assert_true(fail > 0);
        taken = allocations;
    }
    fails_at = 0;
    rig_free(r);
    return taken;
}

static void test_each_allocation_fails_in_turn(void **state)
{
    size_t total = tell(0);

    (void)state;
    assert_in_range(total, 50, 500);
    for (size_t n = 1; n <= total; n++)
        (void)tell(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
