#include "shard/shard.h"

#include "shard/recorder.h"

/*
 * The composition root of one shard: engine, domain, directory and the way out. No thread, socket
 * or clock; whoever owns a core feeds it one call at a time.
 */

#define EXPIRY_BUDGET                                                                              \
    2000 /* devices expired by one core_run, so that mass expiry leaves air to breathe */
#define OP_HOPS_MAX                                                                                \
    8 /* an operation that chases a moving device gives up after this many shards                  \
       */

#define AHEAD_MAX 64 /* datagrams that are looked at ahead of time */

/* Indexes of domain_config.profiles. */
enum { PROFILE_DEFAULT, PROFILE_NBIOT };

struct core {
    struct core_config cfg;
    struct core_out out;
    void *ctx;
    struct directory *dir;
    struct random random;
    struct counters *counters;
    struct engine *engine;
    struct domain *domain;
    struct recorder *recorder;
    uint64_t now; /* of the call being served: callbacks without a time of their own use it */
};

/* ---- what the engine asks for ---- */

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct core *c = ctx;

    c->out.send(c->ctx, flow, datagram);
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    domain_request(((struct core *)ctx)->domain, req, now);
}

static size_t on_body_limit(void *ctx, const struct request *req)
{
    return domain_body_limit(((struct core *)ctx)->domain, req);
}

static int on_notification(void *ctx, struct relation *rel, const struct answer *a, uint64_t now)
{
    return domain_notification(((struct core *)ctx)->domain, rel, a, now);
}

static bool on_stray(void *ctx, uint64_t token, const struct answer *a, uint64_t now)
{
    return domain_stray(((struct core *)ctx)->domain, token, a, now);
}

static int on_relation_outgoing(void *ctx, struct relation *rel, struct outgoing *fill)
{
    return domain_relation_outgoing(((struct core *)ctx)->domain, rel, fill);
}

static int on_spool_append(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct core *c = ctx;

    return c->out.spool_append(c->ctx, cookie, spool, bytes);
}

static int on_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                        size_t n)
{
    struct core *c = ctx;

    return c->out.blob_read(c->ctx, cookie, blob, offset, n);
}

/* ---- what the domain asks for ---- */

static int on_claim(void *ctx, struct view endpoint, uint64_t identity, bool keep,
                    const struct claim *except, struct claim **ret_claim)
{
    struct core *c = ctx;

    return directory_claim(c->dir, c->cfg.shard, endpoint, identity, keep, except, &c->random,
                           ret_claim);
}

static int on_find(void *ctx, struct view endpoint, uint64_t *ret_id)
{
    struct directory_entry entry;
    int rc = directory_find(((struct core *)ctx)->dir, endpoint, &entry);

    if (rc == ERR_OK)
        *ret_id = entry.id;
    return rc;
}

static int post_move(struct core *c, uint16_t to, struct move move)
{
    struct move *m = mem_new(sizeof(*m));

    if (!m)
        return ERR_NOMEM;
    move.from = c->cfg.shard;
    *m = move;
    c->out.move(c->ctx, to, m);
    return ERR_OK;
}

static int on_claim_commit(void *ctx, struct claim *claim)
{
    struct core *c = ctx;
    struct directory_entry old;
    int rc = directory_commit(c->dir, claim, &old);

    if (rc < 0 || old.shard == UINT16_MAX)
        return rc;
    if (old.shard == c->cfg.shard)
        domain_evict(c->domain, old.id, c->now);
    else
        post_move(c, old.shard, (struct move){.kind = MOVE_EVICT, .id = old.id});
    return ERR_OK;
}

static void on_claim_release(void *ctx, struct claim *claim)
{
    directory_release(((struct core *)ctx)->dir, claim);
}

static bool on_elsewhere(void *ctx, uint64_t registration_id)
{
    struct core *c = ctx;
    uint16_t shard;

    return directory_locate(c->dir, registration_id, &shard) == ERR_OK && shard != c->cfg.shard;
}

static int on_want(void *ctx, uint64_t registration_id, struct pending *p)
{
    struct core *c = ctx;
    uint16_t shard;
    int rc = directory_locate(c->dir, registration_id, &shard);

    if (rc < 0)
        return rc;
    if (shard == c->cfg.shard)
        return ERR_NOTFOUND;
    return post_move(c, shard,
                     (struct move){.kind = MOVE_WANTED, .id = registration_id, .pending = p});
}

/* Plain CoAP proves nothing; the secure transports answer here with what the handshake proved. */
static void on_identity(void *ctx, const struct flow *flow, struct identity *ret_identity)
{
    (void)ctx;
    (void)flow;
    *ret_identity = (struct identity){.type = IDENTITY_NONE, .name = VIEW_NONE};
}

/* A proven identity may use the endpoint name that equals it; an unproven one may use any
 * (LwM2M Core 6.2.1, spec of the Endpoint Client Name). */
static int on_authorize(void *ctx, const struct identity *id, struct view endpoint,
                        struct view *ret_endpoint)
{
    (void)ctx;
    if (endpoint.n == 0) {
        if (id->type == IDENTITY_NONE || id->name.n == 0)
            return ERR_ENDPOINT;
        *ret_endpoint = id->name;
        return ERR_OK;
    }
    if (id->type != IDENTITY_NONE && !view_eq(id->name, endpoint))
        return ERR_ENDPOINT;
    *ret_endpoint = endpoint;
    return ERR_OK;
}

static struct view trimmed(struct view v)
{
    while (v.n > 0 && v.p[0] == ' ')
        v = view_sub(v, 1, v.n);
    while (v.n > 0 && v.p[v.n - 1] == ' ')
        v.n--;
    return v;
}

static uint8_t on_profile(void *ctx, struct view endpoint)
{
    const struct core *c = ctx;
    struct view rest = view_str(c->cfg.nbiot_endpoints);
    struct view beginning;

    while (view_split(&rest, ',', &beginning)) {
        beginning = trimmed(beginning);
        if (beginning.n > 0 && view_eq(view_sub(endpoint, 0, beginning.n), beginning))
            return PROFILE_NBIOT;
    }
    return PROFILE_DEFAULT;
}

static int on_txn(void *ctx, struct txn *t)
{
    struct core *c = ctx;
    int rc = c->out.txn(c->ctx, t);

    counter_add(c->counters, rc < 0 ? COUNTER_txns_dropped : COUNTER_txns_submitted, 1);
    return rc;
}

static void on_event(void *ctx, struct event *e)
{
    struct core *c = ctx;

    counter_add(c->counters, COUNTER_events_emitted, 1);
    recorder_event(c->recorder, e, c->now);
    c->out.event(c->ctx, e);
}

static void on_values(void *ctx, struct view endpoint, uint64_t registration_id,
                      enum value_origin origin, const struct batch *values, int64_t time_ms)
{
    struct core *c = ctx;

    recorder_values(c->recorder, endpoint, registration_id, origin, values, time_ms, c->now);
}

static unsigned on_pressure(void *ctx)
{
    struct core *c = ctx;

    return c->out.store_load ? c->out.store_load(c->ctx) : 0;
}

static const struct recorder_out recorder_out = {.txn = on_txn, .pressure = on_pressure};

static void on_op_elsewhere(void *ctx, struct op *op)
{
    struct core *c = ctx;
    struct directory_entry entry;
    int rc = directory_find(c->dir, view_str(op->endpoint), &entry);

    /* What the store has is done whoever waits for it: it goes on until it is where its device is.
     */
    if (rc == ERR_OK && !op->stored && op->hops++ >= OP_HOPS_MAX)
        rc = ERR_BUSY;
    if (rc < 0)
        op_complete(op, op->stored ? ERR_ACCEPTED : rc);
    else
        c->out.op(c->ctx, entry.shard, op);
}

static const struct engine_ops engine_ops = {
    .send = on_send,
    .request = on_request,
    .body_limit = on_body_limit,
    .notification = on_notification,
    .stray = on_stray,
    .relation_outgoing = on_relation_outgoing,
    .spool_append = on_spool_append,
    .blob_read = on_blob_read,
};

static const struct domain_ops domain_ops = {
    .claim = on_claim,
    .find = on_find,
    .claim_commit = on_claim_commit,
    .claim_release = on_claim_release,
    .want = on_want,
    .elsewhere = on_elsewhere,
    .identity = on_identity,
    .authorize = on_authorize,
    .profile = on_profile,
    .txn = on_txn,
    .event = on_event,
    .values = on_values,
    .op_elsewhere = on_op_elsewhere,
};

/* ---- life ---- */

struct core *core_new(const struct core_config *cfg, const struct core_out *out, void *ctx,
                      struct directory *dir, struct models *models, uint64_t now, int64_t wall_ms)
{
    struct core *c = mem_new(sizeof(*c));

    if (!c)
        return NULL;
    c->cfg = *cfg;
    c->cfg.domain.shard = cfg->shard;
    c->cfg.domain.shards = cfg->shards;
    c->counters = cfg->counters;
    c->out = *out;
    c->ctx = ctx;
    c->dir = dir;
    c->now = now;
    random_init(&c->random, cfg->seed[0], cfg->seed[1]);
    c->recorder = recorder_new(&recorder_out, c, cfg->timeline_lines_per_s, c->counters);
    c->engine = engine_new(&c->cfg.engine, &engine_ops, c, &c->random, c->counters, now);
    if (c->engine && c->recorder)
        c->domain = domain_new(&c->cfg.domain, &domain_ops, c, c->engine, models, &c->random,
                               c->counters, &c->cfg.key, now, wall_ms);
    if (!c->domain) {
        engine_free(c->engine);
        recorder_free(c->recorder);
        mem_free(c);
        return NULL;
    }
    return c;
}

void core_free(struct core *c, uint64_t now)
{
    if (!c)
        return;
    c->now = now;
    domain_free(c->domain, now);
    recorder_flush(c->recorder);
    recorder_free(c->recorder);
    engine_free(c->engine);
    mem_free(c);
}

/* ---- input ---- */

/*
 * With a million devices nearly each look-up is a miss of every cache, some in a row for each
 * datagram. A batch takes the first of these for all its datagrams at once, then the second.
 */
void core_ahead(struct core *c, const struct flow *flows, const struct view *datagrams, size_t n)
{
    struct ahead {
        uint64_t peer, device;
    } a[AHEAD_MAX];

    if (n > AHEAD_MAX)
        n = AHEAD_MAX;
    for (size_t i = 0; i < n; i++) {
        a[i].peer = engine_ahead(c->engine, &flows[i].peer);
        a[i].device = domain_ahead(c->domain, datagrams[i]);
    }
    for (size_t i = 0; i < n; i++)
        engine_prefetch(c->engine, a[i].peer);
    for (int step = 0; step < DOMAIN_PREFETCH_STEPS; step++)
        for (size_t i = 0; i < n; i++)
            if (a[i].device != 0)
                domain_prefetch(c->domain, a[i].device, step);
}

void core_input(struct core *c, const struct flow *flow, struct view datagram, uint64_t now)
{
    c->now = now;
    counter_add(c->counters, COUNTER_datagrams_received, 1);
    engine_input(c->engine, flow, datagram, now);
}

void core_unreachable(struct core *c, const struct addr *peer, uint64_t now)
{
    c->now = now;
    engine_unreachable(c->engine, peer, now);
}

void core_op(struct core *c, struct op *op, uint64_t now)
{
    c->now = now;
    domain_op(c->domain, op, now);
}

void core_txn_done(struct core *c, struct txn *t, uint64_t now)
{
    c->now = now;
    if (t->rc < 0)
        counter_add(c->counters, COUNTER_txns_failed, 1);
    domain_txn_done(c->domain, t, now);
}

static void move_wanted(struct core *c, const struct move *m)
{
    struct device *dev = domain_give(c->domain, m->id, c->now);
    struct move back = {
        .kind = dev ? MOVE_GIVEN : MOVE_DENIED, .id = m->id, .device = dev, .pending = m->pending};

    if (dev)
        counter_add(c->counters, COUNTER_moves_out, 1);
    if (post_move(c, m->from, back) < 0 && dev)
        domain_take(c->domain, dev, c->now);
}

static void move_given(struct core *c, const struct move *m)
{
    const struct claim *claim = domain_device_claim(m->device);
    bool owner = directory_set_shard(c->dir, claim, c->cfg.shard);

    counter_add(c->counters, COUNTER_moves_in, 1);
    if (domain_take(c->domain, m->device, c->now) < 0) {
        engine_drop(c->engine, m->pending);
        return;
    }
    /* A newer registration of the endpoint was committed while this one was on its way, and the
     * order to evict it has found nobody. */
    if (!owner)
        domain_evict(c->domain, m->id, c->now);
    engine_replay(c->engine, m->pending, c->now);
}

void core_move(struct core *c, struct move *m, uint64_t now)
{
    c->now = now;
    switch (m->kind) {
    case MOVE_WANTED:
        move_wanted(c, m);
        break;
    case MOVE_GIVEN:
        move_given(c, m);
        break;
    case MOVE_DENIED:
        engine_replay(c->engine, m->pending, now);
        break;
    case MOVE_EVICT:
        domain_evict(c->domain, m->id, now);
        break;
    }
    mem_free(m);
}

void core_spool_done(struct core *c, uint64_t cookie, int rc, uint64_t now)
{
    c->now = now;
    engine_spool_done(c->engine, cookie, rc, now);
}

void core_blob_bytes(struct core *c, uint64_t cookie, int rc, struct view bytes, uint64_t now)
{
    c->now = now;
    engine_blob_bytes(c->engine, cookie, rc, bytes, now);
}

void core_wall(struct core *c, int64_t wall_ms, uint64_t now)
{
    c->now = now;
    domain_wall(c->domain, wall_ms, now);
}

void core_run(struct core *c, uint64_t now)
{
    c->now = now;
    engine_run(c->engine, now);
    domain_run(c->domain, now, EXPIRY_BUDGET);
    recorder_run(c->recorder, now);
}

uint64_t core_next(const struct core *c)
{
    uint64_t engine = engine_next(c->engine);
    uint64_t domain = domain_next(c->domain);
    uint64_t recorder = recorder_next(c->recorder);

    if (recorder < engine)
        engine = recorder;
    return engine < domain ? engine : domain;
}

/* ---- restart ---- */

void core_reserve(struct core *c, uint32_t devices)
{
    domain_reserve(c->domain, devices);
}

int core_load(struct core *c, const struct registration *r, const struct outage *outage,
              uint64_t now)
{
    struct claim *claim;
    int rc = directory_restore(c->dir, c->cfg.shard, r, &claim);

    if (rc < 0)
        return rc;
    rc = domain_load(c->domain, r, claim, outage, now);
    if (rc < 0)
        directory_release(c->dir, claim);
    return rc;
}

int core_load_observation(struct core *c, const struct observation *o, uint64_t now)
{
    return domain_load_observation(c->domain, o, now);
}

int core_load_operation(struct core *c, const struct operation *o, uint64_t now)
{
    c->now = now;
    return domain_load_operation(c->domain, o, now);
}

void core_stats(const struct core *c, struct core_stats *ret_stats)
{
    domain_stats(c->domain, &ret_stats->domain);
    engine_stats(c->engine, &ret_stats->engine);
}
