#include "world.h"

#include "lane.h"
#include "story.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CALM_MS (20 * MINUTE) /* past the last deadline of an operation and EXCHANGE_LIFETIME */
#define SHARED 300            /* permille of addresses that differ from another by the port only */
#define V6 200
#define LAG_SLACK (3 * SECOND) /* renewals are gathered by the second, then committed */
#define SPIN_MAX 100000        /* steps in one millisecond */

void world_config_defaults(struct world_config *cfg, uint64_t seed)
{
    *cfg = (struct world_config){
        .seed = seed,
        .shards = 1,
        .clients = 8,
        .loss = 80,
        .duplicate = 40,
        .late = 20,
        .delay_ms = 300,
        .commit_ms = 30,
        .mail_ms = 3,
        .style = {.lifetime_min = 60,
                  .lifetime_max = 600,
                  .changes = 200,
                  .separate = 150,
                  .con = 300,
                  .long_body = 200,
                  .alt_path = 200,
                  .sends = 100,
                  .notify_min = 10,
                  .notify_max = 60},
    };
}

/* ---- telling ---- */

void world_say(struct world *w, const char *fmt, ...)
{
    va_list ap;

    if (!w->loud)
        return;
    fprintf(stderr, "%10.3f  ", (double)(w->now - WORLD_START_MS) / 1000.0);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void world_fail(struct world *w, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    story_failed(w->cfg.seed, w->now - WORLD_START_MS, text);
}

/* ---- chance ---- */

uint32_t world_random(struct world *w, uint32_t below)
{
    return (uint32_t)random_below(&w->random, below);
}

uint64_t world_between(struct world *w, uint64_t least, uint64_t most)
{
    return most <= least ? least : least + random_below(&w->random, most - least + 1);
}

bool world_chance(struct world *w, uint32_t permille)
{
    return permille > 0 && world_random(w, 1000) < permille;
}

int64_t world_wall(const struct world *w)
{
    return (int64_t)w->now + w->wall_offset;
}

/* ---- the queue: a heap by time, then by order of planning ---- */

static bool before(const struct happening *a, const struct happening *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void swap(struct world *w, size_t i, size_t j)
{
    struct happening *h = w->queue[i];

    w->queue[i] = w->queue[j];
    w->queue[j] = h;
}

struct happening *lane_plan(struct world *w, uint64_t at, enum happening_kind kind,
                            struct view bytes)
{
    struct happening *h = mem_new(sizeof(*h) + bytes.n);
    size_t i = w->queued;

    if (w->queued == w->queue_cap) {
        w->queue_cap = w->queue_cap ? w->queue_cap * 2 : 256;
        w->queue = mem_resize(w->queue, w->queue_cap * sizeof(*w->queue));
    }
    assert(h && w->queue);
    h->at = at < w->now ? w->now : at;
    h->seq = ++w->last_seq;
    h->kind = kind;
    h->n = bytes.n;
    if (bytes.n > 0)
        memcpy(h->bytes, bytes.p, bytes.n);
    w->queue[w->queued++] = h;
    for (; i > 0 && before(w->queue[i], w->queue[(i - 1) / 2]); i = (i - 1) / 2)
        swap(w, i, (i - 1) / 2);
    return h;
}

static struct happening *pop(struct world *w)
{
    struct happening *h = w->queue[0];
    size_t i = 0;

    w->queue[0] = w->queue[--w->queued];
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->queued)
            return h;
        if (child + 1 < w->queued && before(w->queue[child + 1], w->queue[child]))
            child++;
        if (!before(w->queue[child], w->queue[i]))
            return h;
        swap(w, i, child);
        i = child;
    }
}

void lane_trace(struct world *w, const char *what, uint64_t a, uint64_t b, struct view bytes)
{
    static const struct hash_key key = {0x7472616365206f66, 0x20612073746f7279};
    uint64_t words[5] = {w->trace, w->now, (uint64_t)(unsigned char)what[0] << 8 | (uint8_t)what[1],
                         a, b};

    w->trace = hash_bytes(&key, view_of(words, sizeof(words)));
    if (bytes.n > 0)
        w->trace ^= hash_bytes(&key, bytes);
}

/* ---- the network ---- */

static struct client *client_at(struct world *w, const struct addr *a)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        if (w->clients[i].on && addr_eq(&w->clients[i].flow.peer, a))
            return &w->clients[i];
    return NULL;
}

struct client *world_client_of(struct world *w, struct view endpoint)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        if (view_eq_str(endpoint, w->clients[i].endpoint))
            return &w->clients[i];
    return NULL;
}

static bool was_used(const struct world *w, const struct addr *a)
{
    for (size_t i = 0; i < w->address_count; i++)
        if (addr_eq(&w->addresses[i], a))
            return true;
    return false;
}

static void random_address(struct world *w, struct addr *a)
{
    static const uint8_t v4[16] = {[10] = 0xff, 0xff, 10};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 7};

    *a = (struct addr){0};
    memcpy(a->ip, world_chance(w, V6) ? v6 : v4, sizeof(v4));
    for (size_t i = 13; i < 16; i++)
        a->ip[i] = (uint8_t)world_random(w, 256);
    if (w->address_count > 0 && world_chance(w, SHARED))
        *a = w->addresses[world_random(w, (uint32_t)w->address_count)];
    if (a->port == 0 || !world_chance(w, w->cfg.reuse))
        a->port = (uint16_t)world_between(w, 1024, 65535);
}

void world_address(struct world *w, struct flow *ret_flow)
{
    static const uint8_t v4[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    struct flow f = {.transport = TRANSPORT_UDP};

    do
        random_address(w, &f.peer);
    while (client_at(w, &f.peer) || (w->cfg.reuse == 0 && was_used(w, &f.peer)));
    if (w->address_count < mem_count(w->addresses))
        w->addresses[w->address_count++] = f.peer;
    f.listener = addr_is_v4(&f.peer) ? 0 : 1;
    f.local.port = 5683;
    memcpy(f.local.ip, addr_is_v4(&f.peer) ? v4 : v6, sizeof(v4));
    *ret_flow = f;
}

/* Copies of a datagram that arrive, each with its own delay. */
static unsigned fate(struct world *w, uint64_t at[2])
{
    unsigned copies = world_chance(w, w->cfg.duplicate) ? 2 : 1;
    unsigned n = 0;

    for (unsigned i = 0; i < copies; i++) {
        uint64_t delay = world_between(w, 1, w->cfg.delay_ms);

        if (world_chance(w, w->cfg.late))
            delay += world_between(w, 1 * SECOND, 20 * SECOND);
        if (world_chance(w, w->cfg.loss) || w->deaf)
            w->lost++;
        else
            at[n++] = w->now + delay;
    }
    return n;
}

void world_from_client(struct world *w, const struct flow *flow, struct view datagram)
{
    uint64_t at[2];
    unsigned n = fate(w, at);

    for (unsigned i = 0; i < n; i++) {
        struct happening *h = lane_plan(w, at[i], HAPPEN_TO_SERVER, datagram);

        h->flow = *flow;
        h->arg = world_chance(w, w->cfg.misroute) ? 1 + world_random(w, WORLD_SHARDS_MAX) : 0;
    }
}

static void to_client(struct world *w, const struct happening *h)
{
    struct client *c = client_at(w, &h->flow.peer);

    lane_trace(w, "client", c ? c->index : UINT64_MAX, h->n, view_of(h->bytes, h->n));
    if (!c)
        return;
    if (c->sleeper && w->now > c->listens_until) {
        w->lost++;
        return;
    }
    client_input(c, &h->flow, view_of(h->bytes, h->n));
    world_client_timer(w, c);
}

void world_client_timer(struct world *w, struct client *c)
{
    uint64_t next = client_next(c);

    if (next < w->now)
        next = w->now;
    if (next == c->armed)
        return;
    c->armed = next;
    if (next != UINT64_MAX)
        lane_plan(w, next, HAPPEN_CLIENT, VIEW_NONE)->p = c;
}

static void client_timer(struct world *w, const struct happening *h)
{
    struct client *c = h->p;

    if (c->armed != h->at)
        return; /* armed anew since */
    c->armed = UINT64_MAX;
    client_run(c);
    world_client_timer(w, c);
}

/* ---- steps ---- */

static void happen(struct world *w, struct happening *h)
{
    switch (h->kind) {
    case HAPPEN_TO_CLIENT:
        to_client(w, h);
        break;
    case HAPPEN_CLIENT:
        client_timer(w, h);
        break;
    case HAPPEN_CALL:
        h->fn(w, h->arg);
        break;
    case HAPPEN_TO_SERVER:
    case HAPPEN_HANDOVER:
    case HAPPEN_COMMIT:
    case HAPPEN_TXN:
    case HAPPEN_MOVE:
    case HAPPEN_OP:
    case HAPPEN_SPOOL:
    case HAPPEN_BLOB:
    case HAPPEN_WALL:
        lane_happen(w, h);
        break;
    }
}

bool world_step(struct world *w, uint64_t until)
{
    uint16_t lane = 0;
    uint64_t due = w->down ? UINT64_MAX : lane_next(w, &lane);
    uint64_t next = w->queued > 0 ? w->queue[0]->at : UINT64_MAX;

    if (due > until && next > until) {
        w->now = until;
        return false;
    }
    w->steps++;
    if (due <= next) {
        if (due > w->now)
            w->now = due;
        w->spun = w->spun_at == w->now ? w->spun + 1 : 0;
        w->spun_at = w->now;
        world_check(w, w->spun < SPIN_MAX, "shard %u spins: its next deadline stays at %llu", lane,
                    (unsigned long long)due);
        lane_run(w, lane);
    } else {
        struct happening *h = pop(w);

        w->now = h->at;
        happen(w, h);
        mem_free(h);
    }
    return true;
}

void world_run(struct world *w, uint64_t until)
{
    while (world_step(w, until))
        ;
}

void world_pass(struct world *w, uint64_t ms)
{
    world_run(w, w->now + ms);
}

void world_later(struct world *w, uint64_t ms, void (*fn)(struct world *w, uint64_t arg),
                 uint64_t arg)
{
    struct happening *h = lane_plan(w, w->now + ms, HAPPEN_CALL, VIEW_NONE);

    h->fn = fn;
    h->arg = arg;
}

/* ---- lives ---- */

struct world *world_new(const struct world_config *cfg)
{
    struct world *w = mem_new(sizeof(*w));
    const char *trace = getenv("SIM_TRACE");

    assert(w);
    w->cfg = *cfg;
    w->now = WORLD_START_MS;
    w->wall_offset = INT64_C(1700000000000);
    w->loud = trace && *trace == '1';
    w->models = story_models();
    random_init(&w->random, cfg->seed, 0x776f726c64);
    disk_init(&w->disk);
    w->clients = mem_new(cfg->clients * sizeof(*w->clients) + 1);
    assert(w->clients);
    for (unsigned i = 0; i < cfg->clients; i++)
        client_init(&w->clients[i], w, i);
    w->down = true;
    w->down_since = w->now;
    world_start(w, cfg->shards);
    lane_plan(w, w->now + SECOND, HAPPEN_WALL, VIEW_NONE);
    return w;
}

/* What is on its way inside the server goes with it. */
static void empty_inside(struct world *w)
{
    size_t kept = 0;

    for (size_t i = 0; i < w->queued; i++) {
        struct happening *h = w->queue[i];

        switch (h->kind) {
        case HAPPEN_TO_SERVER:
        case HAPPEN_TO_CLIENT:
        case HAPPEN_CLIENT:
        case HAPPEN_WALL:
        case HAPPEN_CALL:
            w->queue[kept++] = h;
            continue;
        case HAPPEN_HANDOVER:
        case HAPPEN_COMMIT:
        case HAPPEN_TXN:
        case HAPPEN_MOVE:
        case HAPPEN_OP:
        case HAPPEN_SPOOL:
        case HAPPEN_BLOB:
            break;
        }
        lane_drop(w, h);
        mem_free(h);
    }
    w->queued = kept;
    for (size_t i = 1; i < w->queued; i++) /* what is left may not be a heap any more */
        for (size_t j = i; j > 0 && before(w->queue[j], w->queue[(j - 1) / 2]); j = (j - 1) / 2)
            swap(w, j, (j - 1) / 2);
}

static void end_server(struct world *w)
{
    lane_stop_all(w);
    empty_inside(w);
    world_check(w, directory_size(w->dir) == 0, "%zu claims were never released",
                directory_size(w->dir));
    directory_free(w->dir);
    w->dir = NULL;
    w->down = true;
    w->down_since = w->now;
    w->committing = false;
}

/* Renewals alone are written some time later; what was noted for a longer lifetime, as it was. */
static uint64_t renewal_lag(const struct client *c)
{
    uint64_t tenth = (uint64_t)c->lifetime_s * SECOND / 10;

    if (c->shortened_at > 0 && c->w->now < c->shortened_at + MINUTE + LAG_SLACK)
        return MINUTE + LAG_SLACK;
    return (tenth < MINUTE ? tenth : MINUTE) + LAG_SLACK;
}

void world_inject(struct world *w, const struct flow *flow, struct view datagram, uint64_t delay)
{
    struct happening *h = lane_plan(w, w->now + delay, HAPPEN_TO_SERVER, datagram);

    h->flow = *flow;
    h->injected = true;
}

bool world_is_written(const struct world *w, const struct client *c)
{
    const struct registration *r = disk_find_id(&w->disk, view_str(c->endpoint), c->id);

    return !r || r->expires_ms / 1000 >=
                     ((int64_t)c->acknowledged_at + w->wall_offset) / 1000 + (int64_t)c->floor_s;
}

void world_kill(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        struct client *c = &w->clients[i];

        if (!c->registered || world_is_written(w, c))
            continue;
        world_check(w,
                    c->unlucky || c->strayed_at >= c->acknowledged_at || w->sick ||
                        w->now < c->answered_at + renewal_lag(c),
                    "the renewal of %s is not durable after %llu ms", c->endpoint,
                    (unsigned long long)(w->now - c->answered_at));
        c->unlucky_times += !c->unlucky;
        c->unlucky = true;
    }
    world_say(w, "-- killed");
    w->killed = true;
    lane_trace(w, "killed", 0, 0, VIEW_NONE);
    w->muted = true;
    end_server(w);
    w->muted = false;
    disk_crash(&w->disk);
    operator_killed(w);
}

static void written(void *ctx, struct txn *t)
{
    (void)ctx;
    txn_free(t);
}

void world_stop(struct world *w)
{
    world_say(w, "-- stopped");
    w->killed = false;
    lane_trace(w, "stopped", 0, 0, VIEW_NONE);
    end_server(w);
    (void)disk_commit(&w->disk, SIZE_MAX, written, NULL);
    operator_killed(w);
}

void world_start(struct world *w, uint16_t shards)
{
    const struct outage outage = {.ms = (int64_t)(w->now - w->down_since), .killed = w->killed};

    w->lives++;
    world_say(w, "-- life %u with %u shards after %lld ms", w->lives, shards, (long long)outage.ms);
    w->key = (struct hash_key){random_u64(&w->random), random_u64(&w->random)};
    w->dir = directory_new(shards, &w->key);
    assert(w->dir);
    directory_set_high_water(w->dir, w->disk.row, w->disk.generation);
    w->started = w->now;
    w->down = false;
    lane_start_all(w, shards, &outage);
    world_audit(w);
}

static void say_counters(struct world *w)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        uint64_t n = world_counter(w, (enum counter)i);

        if (n > 0)
            world_say(w, "  %s %llu", counter_name((enum counter)i), (unsigned long long)n);
    }
    for (size_t i = 0; i < mem_count(w->desk.by_rc); i++)
        if (w->desk.by_rc[i] > 0)
            world_say(w, "  operations that end with %s: %llu", err_name(-(int)i),
                      (unsigned long long)w->desk.by_rc[i]);
}

void world_settle(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_off(&w->clients[i]);
    world_pass(w, CALM_MS);
    world_check(w, w->desk.open == 0, "%zu operations never ended", w->desk.open);
    lane_settled(w);
    world_audit(w);
    say_counters(w);
}

void world_free(struct world *w)
{
    if (!w->down)
        world_stop(w);
    operator_fini(w);
    while (w->queued > 0)
        mem_free(pop(w));
    mem_free(w->queue);
    disk_fini(&w->disk);
    mem_free(w->clients);
    mem_free(w);
}

uint64_t world_counter(const struct world *w, enum counter which)
{
    uint64_t n = 0;

    for (uint16_t i = 0; i < w->shards; i++)
        n += counter_get(&w->lanes[i].counters, which);
    return n;
}
