/*
 * Two engines and a network between them that loses, doubles and reorders, in simulated time. Both
 * ends ask and serve. Whatever happens, each request ends exactly once, no handler runs twice for
 * one, and in the end nothing is left.
 *
 * SEEDS in the environment: how many networks to try (default 300).
 */
#include "coap_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define PACKETS 4096
#define REQUESTS 64
#define WAITING 256
#define BODY_MAX 6000

struct packet {
    uint64_t due;
    unsigned to;
    struct flow flow;
    size_t n;
    uint8_t bytes[1200];
};

/* One request and what became of it. */
struct story {
    struct pair *pair;
    unsigned from;
    uint8_t method;
    size_t up, down;    /* bytes of the two bodies */
    uint32_t think_ms;  /* the handler answers after this, 0 = at once */
    unsigned ignored;   /* the handler wants so many copies to be forgotten first */
    struct exchange *x; /* NULL when it has ended */
    unsigned handled;
    unsigned answered;
    int rc;
    uint8_t code;
    bool body_ok;
};

struct waiting {
    uint64_t due;
    struct pending *pending;
    unsigned at;
    unsigned story;
    bool replay;
};

struct end {
    struct engine *e;
    struct engine_config cfg;
    struct random random;
    struct counters counters;
    struct pair *pair;
    unsigned self;
};

struct pair {
    uint64_t now;
    struct end end[2];
    struct random weather;
    struct profile profile;
    unsigned loss, doubling; /* permille */
    uint64_t delay_max;
    size_t sent;
    size_t drop[2]; /* datagrams lost on purpose, by order of sending */
    size_t packets;
    struct packet *packet;
    size_t stories;
    struct story story[REQUESTS];
    size_t waits;
    struct waiting waiting[WAITING];
    bool answering; /* a waiting one is handed in again */
    uint8_t body[BODY_MAX];
};

static struct flow flow_to(unsigned to)
{
    struct flow f = rig_flow(to + 1);

    f.local = rig_flow(2 - to).peer;
    return f;
}

/* ---- network ----------------------------------------------------------------------------------
 */

static void put_packet(struct pair *p, unsigned to, struct view datagram)
{
    struct packet *k = &p->packet[p->packets++];

    assert_true(p->packets < PACKETS);
    k->due = p->now + 1 + random_below(&p->weather, p->delay_max + 1);
    k->to = to;
    k->flow = flow_to(1 - to); /* seen from there */
    k->n = datagram.n;
    assert_true(datagram.n <= sizeof(k->bytes));
    memcpy(k->bytes, datagram.p, datagram.n);
}

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct end *end = ctx;
    struct pair *p = end->pair;
    struct flow expected = flow_to(1 - end->self);
    size_t order = p->sent++;

    assert_true(addr_eq(&flow->peer, &expected.peer));
    if (order == p->drop[0] || order == p->drop[1])
        return;
    if (random_below(&p->weather, 1000) < p->loss)
        return;
    put_packet(p, 1 - end->self, datagram);
    if (random_below(&p->weather, 1000) < p->doubling)
        put_packet(p, 1 - end->self, datagram);
}

/* ---- server half --------------------------------------------------------------------------------
 */

static void answer_for(struct pair *p, const struct story *s, struct response *resp)
{
    *resp = (struct response){.code = s->down ? PDU_CONTENT : PDU_CHANGED, .format = FORMAT_NONE};
    if (s->down) {
        rig_pattern(p->body, s->down, (unsigned)(s - p->story) + 50);
        resp->format = 42;
        resp->payload = view_of(p->body, s->down);
    }
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    struct end *end = ctx;
    struct pair *p = end->pair;
    struct response resp;
    uint64_t number;
    struct story *s;

    assert_int_equal(req->segment_count, 2);
    assert_int_equal(view_u64(req->segments[1], REQUESTS, &number), ERR_OK);
    s = &p->story[number];
    assert_int_equal(s->from, 1 - end->self);
    assert_int_equal(req->method, s->method);
    assert_int_equal(req->replayed, p->answering);
    if (s->ignored > 0) {
        s->ignored--;
        engine_ignore(end->e, req);
        return;
    }
    if (s->method != PDU_GET && !(s->method == PDU_FETCH && req->body.n == 0)) {
        assert_int_equal(req->body.n, s->up);
        rig_pattern(p->body, s->up, (unsigned)number);
        if (s->up > 0)
            assert_memory_equal(req->body.p, p->body, s->up);
    }
    if (!p->answering)
        s->handled++;
    if (s->think_ms > 0 && !p->answering) {
        struct waiting *w = &p->waiting[p->waits++];

        assert_true(p->waits < WAITING);
        w->due = now + s->think_ms;
        w->pending = engine_defer(end->e, req, now);
        w->at = end->self;
        w->story = (unsigned)number;
        w->replay = s->think_ms % 2 == 1;
        assert_non_null(w->pending);
        return;
    }
    answer_for(p, s, &resp);
    engine_reply(end->e, req, &resp, now);
}

static void finish_waiting(struct pair *p, size_t i)
{
    struct waiting w = p->waiting[i];
    struct engine *e = p->end[w.at].e;
    struct response resp;

    p->waiting[i] = p->waiting[--p->waits];
    if (w.replay) {
        p->answering = true;
        engine_replay(e, w.pending, p->now);
        p->answering = false;
    } else {
        answer_for(p, &p->story[w.story], &resp);
        engine_respond(e, w.pending, &resp, p->now);
    }
}

static size_t on_body_limit(void *ctx, const struct request *req)
{
    (void)ctx;
    (void)req;
    return BODY_MAX;
}

/* ---- client half --------------------------------------------------------------------------- */

static void on_answer(void *ctx, const struct answer *a, uint64_t now)
{
    struct story *s = ctx;

    (void)now;
    s->answered++;
    s->x = NULL;
    s->rc = a->rc;
    s->code = a->code;
    rig_pattern(s->pair->body, s->down, (unsigned)(s - s->pair->story) + 50);
    s->body_ok = view_eq(a->body, view_of(s->pair->body, s->down));
    assert_null(a->blob);
}

static void ask(struct pair *p, const struct story *what)
{
    unsigned number = (unsigned)p->stories++;
    struct story *s = &p->story[number];
    struct flow flow = flow_to(1 - what->from);
    char path[32];
    struct outgoing out = {.flow = &flow,
                           .profile = &p->profile,
                           .code = what->method,
                           .token = (uint64_t)(what->from + 1) << 56 | (number + 1),
                           .format = what->up ? 42 : FORMAT_NONE,
                           .accept = FORMAT_NONE,
                           .observe = -1,
                           .szx = 7,
                           .done = on_answer,
                           .ctx = s};

    *s = *what;
    s->pair = p;
    snprintf(path, sizeof(path), "/r/%u", number);
    out.path = view_str(path);
    rig_pattern(p->body, s->up, number);
    out.body = view_of(p->body, s->up);
    assert_int_equal(engine_request(p->end[s->from].e, &out, p->now, &s->x), ERR_OK);
    assert_int_equal(s->answered, 0);
}

/* ---- life ---------------------------------------------------------------------------------- */

static struct pair *pair_new(uint64_t seed)
{
    static const struct engine_ops ops = {
        .send = on_send, .request = on_request, .body_limit = on_body_limit};
    struct pair *p = mem_new(sizeof(*p));

    assert_non_null(p);
    p->packet = mem_new(sizeof(*p->packet) * PACKETS);
    assert_non_null(p->packet);
    p->now = 5000;
    p->delay_max = 0;
    p->drop[0] = p->drop[1] = SIZE_MAX;
    p->profile = *profile_builtin(VIEW_LIT("ip"));
    random_init(&p->weather, seed, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = &p->end[i];

        end->pair = p;
        end->self = i;
        random_init(&end->random, seed, 2 + i);
        engine_config_defaults(&end->cfg);
        end->cfg.dedup_per_peer = 128;
        end->e = engine_new(&end->cfg, &ops, end, &end->random, &end->counters, p->now);
        assert_non_null(end->e);
    }
    return p;
}

static void pair_free(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++)
        engine_free(p->end[i].e);
    mem_free(p->packet);
    mem_free(p);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_event(const struct pair *p)
{
    uint64_t next = sooner(engine_next(p->end[0].e), engine_next(p->end[1].e));

    for (size_t i = 0; i < p->packets; i++)
        next = sooner(next, p->packet[i].due);
    for (size_t i = 0; i < p->waits; i++)
        next = sooner(next, p->waiting[i].due);
    return next;
}

static void deliver(struct pair *p)
{
    for (size_t i = 0; i < p->packets;) {
        struct packet k = p->packet[i];

        if (k.due > p->now) {
            i++;
            continue;
        }
        p->packet[i] = p->packet[--p->packets];
        engine_input(p->end[k.to].e, &k.flow, view_of(k.bytes, k.n), p->now);
    }
    for (size_t i = 0; i < p->waits;) {
        if (p->waiting[i].due <= p->now)
            finish_waiting(p, i);
        else
            i++;
    }
}

/* One step; false when nothing more can happen until `until`. */
static bool step(struct pair *p, uint64_t until)
{
    uint64_t next = next_event(p);

    if (next == UINT64_MAX || next > until)
        return false;
    if (next > p->now)
        p->now = next;
    deliver(p);
    for (unsigned i = 0; i < 2; i++)
        engine_run(p->end[i].e, p->now);
    return true;
}

static void run(struct pair *p, uint64_t until)
{
    while (step(p, until))
        ;
    if (until != UINT64_MAX)
        p->now = until;
}

static void expect_nothing_left(struct pair *p)
{
    for (unsigned i = 0; i < 2; i++) {
        struct engine_stats s;

        engine_stats(p->end[i].e, &s);
        assert_int_equal(s.peers, 0);
        assert_int_equal(s.exchanges, 0);
        assert_int_equal(s.pending, 0);
        assert_int_equal(s.transfers, 0);
        assert_int_equal(s.dedup_entries, 0);
    }
    assert_int_equal(p->packets, 0);
    assert_int_equal(p->waits, 0);
}

/* How often the handler runs for a whole answer: once per block, when the method can be repeated.
 */
static unsigned runs(const struct story *s)
{
    if (s->down <= 1000) /* fits a message whatever options it has */
        return 1;
    return (unsigned)((s->down + 511) / 512);
}

/* ---- each datagram lost in turn ------------------------------------------------------------ */

static const struct story tales[] = {
    {.method = PDU_POST, .up = 20},                    /* piggybacked */
    {.method = PDU_POST, .up = 20, .think_ms = 4000},  /* separate */
    {.method = PDU_POST, .up = 20, .think_ms = 4001},  /* separate, replayed */
    {.method = PDU_GET, .down = 300, .think_ms = 500}, /* late, but in time */
    {.method = PDU_PUT, .up = 512 * 5},                /* five blocks up */
    {.method = PDU_PUT, .up = 512 * 4 + 1, .think_ms = 4000},
    {.method = PDU_GET, .down = 512 * 5}, /* five blocks down */
    {.method = PDU_GET, .down = 512 * 4 + 1, .think_ms = 4000},
    {.method = PDU_FETCH, .up = 512 * 3, .down = 512 * 3}, /* both */
    {.method = PDU_POST, .up = 20, .ignored = 2},          /* overload at first */
};

static size_t play(const struct story *tale, size_t drop0, size_t drop1)
{
    struct pair *p = pair_new(7);
    size_t sent;
    struct story *s = &p->story[0];

    p->drop[0] = drop0;
    p->drop[1] = drop1;
    ask(p, tale);
    run(p, UINT64_MAX);
    if (s->answered != 1 || s->rc != ERR_OK || !s->body_ok || s->handled != runs(s))
        print_error("method %u, datagrams %zd and %zd lost: answered %u, rc %s, handled %u\n",
                    s->method, (ssize_t)drop0, (ssize_t)drop1, s->answered, err_name(s->rc),
                    s->handled);
    assert_int_equal(s->answered, 1);
    assert_int_equal(s->rc, ERR_OK);
    assert_int_equal(s->code, tale->down ? PDU_CONTENT : PDU_CHANGED);
    assert_true(s->body_ok);
    assert_int_equal(s->handled, runs(s));
    expect_nothing_left(p);
    sent = p->sent;
    pair_free(p);
    return sent;
}

static void test_nothing_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(tales); i++)
        (void)play(&tales[i], SIZE_MAX, SIZE_MAX);
}

static void test_each_lost_in_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(tales); i++) {
        size_t total = play(&tales[i], SIZE_MAX, SIZE_MAX);

        for (size_t k = 0; k < total; k++)
            (void)play(&tales[i], k, SIZE_MAX);
    }
}

static void test_each_two_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(tales); i++) {
        size_t total = play(&tales[i], SIZE_MAX, SIZE_MAX) + 2;

        for (size_t k = 0; k < total; k++)
            for (size_t l = k + 1; l < total; l++)
                (void)play(&tales[i], k, l);
    }
}

/* ---- bad weather --------------------------------------------------------------------------- */

static struct story any_story(struct random *r)
{
    static const uint8_t methods[] = {PDU_GET, PDU_POST, PDU_PUT, PDU_FETCH};
    struct story s = {.method = methods[random_below(r, mem_count(methods))],
                      .from = (unsigned)random_below(r, 2)};

    if (s.method != PDU_GET)
        s.up = random_below(r, 3) ? random_below(r, 100) : random_below(r, BODY_MAX);
    if (s.method == PDU_GET || s.method == PDU_FETCH)
        s.down =
            random_below(r, 3) ? random_below(r, 1000) : 1200 + random_below(r, BODY_MAX - 1200);
    if (random_below(r, 3) == 0)
        s.think_ms = 1 + (uint32_t)random_below(r, 20000);
    if (random_below(r, 8) == 0)
        s.ignored = 1;
    return s;
}

static void expect_good_end(const struct pair *p, const struct story *s, uint64_t seed)
{
    bool ok = s->rc == ERR_OK;
    bool good = s->answered == 1 && s->handled <= runs(s);

    if (ok)
        good = good && s->body_ok && s->handled == runs(s) &&
               s->code == (s->down ? PDU_CONTENT : PDU_CHANGED);
    else
        good = good && (s->rc == ERR_TIMEOUT || s->rc == ERR_CANCELLED);
    if (!good)
        print_error("seed %llu, request %zd: method %u, answered %u, rc %s, code %02x, handled %u "
                    "of %u, body %d, up %zu, down %zu\n",
                    (unsigned long long)seed, s - p->story, s->method, s->answered, err_name(s->rc),
                    s->code, s->handled, runs(s), s->body_ok, s->up, s->down);
    assert_true(good);
}

/* Returns how many requests succeeded. */
static size_t storm(uint64_t seed)
{
    struct pair *p = pair_new(seed);
    struct random *r = &p->weather;
    size_t count = 1 + random_below(r, REQUESTS);
    size_t good = 0;

    p->profile.nstart = 1 + (uint32_t)random_below(r, 3);
    p->loss = (unsigned)random_below(r, 250);
    p->doubling = (unsigned)random_below(r, 200);
    p->delay_max = random_below(r, 4) ? random_below(r, 300) : random_below(r, 4000);
    while (p->stories < count) {
        struct story s = any_story(r);

        ask(p, &s);
        run(p, p->now + random_below(r, 3000));
        if (random_below(r, 20) == 0) {
            struct story *victim = &p->story[random_below(r, p->stories)];

            if (victim->x)
                engine_cancel(p->end[victim->from].e, victim->x, p->now);
        }
        if (random_below(r, 100) == 0) {
            struct flow flow = flow_to(0);

            engine_cancel_peer(p->end[1].e, &flow.peer, p->now);
        }
    }
    run(p, UINT64_MAX);
    for (size_t i = 0; i < p->stories; i++) {
        expect_good_end(p, &p->story[i], seed);
        good += p->story[i].rc == ERR_OK;
    }
    expect_nothing_left(p);
    pair_free(p);
    return good;
}

static void test_storms(void **state)
{
    const char *seeds = getenv("SEEDS");
    uint64_t count = 300;
    size_t good = 0;

    (void)state;
    if (seeds)
        assert_int_equal(view_u64(view_str(seeds), UINT32_MAX, &count), ERR_OK);
    for (uint64_t seed = 1; seed <= count; seed++)
        good += storm(seed);
    /* the weather is bad, not impossible */
    assert_true(good > count * REQUESTS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_lost),
        cmocka_unit_test(test_each_lost_in_turn),
        cmocka_unit_test(test_each_two_lost),
        cmocka_unit_test(test_storms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
