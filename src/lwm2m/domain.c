#include "lwm2m/run.h"

#define ARENA_MAX ((size_t)256 << 10)
#define BODY_ELSEWHERE_MAX 2048 /* bodies of requests that are answered 4.04 or 4.05 */

/* LwM2M Transport 6.2 and RFC 7252 section 4.8; the second for networks that take seconds to
 * answer. */
static const struct profile default_profiles[] = {
    {"ip", 2000, 1500, 4, 1, 5},
    {"nbiot", 10000, 1500, 2, 1, 5},
};

void domain_config_defaults(struct domain_config *cfg)
{
    *cfg = (struct domain_config){
        .default_lifetime_s = 86400,
        .grace_s = 93,
        .renewal_interval_s = 60,
        .replace = REPLACE_ALWAYS,
        .observation_limit = 64,
        .op_limit = 64,
        .durable_limit = 500000,
        .awaited_limit = 65536,
        .awake_window_s = 93,
        .uplink_body_limit = 65536,
        .read_body_limit = (size_t)16 << 20,
        .profiles = default_profiles,
        .profile_count = mem_count(default_profiles),
        .shards = 1,
    };
}

/* ---- life ------------------------------------------------------------------------------------ */

static int init(struct domain *d, uint64_t now)
{
    int rc;

    d->arena = arena_new(ARENA_MAX);
    d->objlists = table_new(0);
    d->registering = table_new(0);
    d->awaited = table_new(0);
    d->expiry = timer_wheel_new(now, expiry_fire, d);
    d->limits = timer_wheel_new(now, queue_fire, d);
    if (d->arena == NULL || d->objlists == NULL || d->registering == NULL || d->awaited == NULL ||
        d->expiry == NULL || d->limits == NULL)
        return ERR_NOMEM;
    rc = locals_init(&d->locals);
    for (int i = 0; rc == ERR_OK && i < CHAIN_COUNT; i++)
        rc = chain_init(&d->chains[i]);
    return rc;
}

static void fini(struct domain *d)
{
    renewal_fini(d);
    locals_fini(&d->locals);
    for (int i = 0; i < CHAIN_COUNT; i++)
        chain_fini(&d->chains[i]);
    device_pool_fini(&d->pool);
    timer_wheel_free(d->limits);
    timer_wheel_free(d->expiry);
    table_free(d->awaited);
    table_free(d->registering);
    table_free(d->objlists);
    arena_free(d->arena);
    registry_unref(d->registry);
    mem_free(d);
}

struct domain *domain_new(const struct domain_config *cfg, const struct domain_ops *ops, void *ctx,
                          struct engine *engine, struct models *models, struct random *random,
                          struct counters *counters, const struct hash_key *key, uint64_t now,
                          int64_t wall_ms)
{
    struct domain *d = mem_new(sizeof(*d));

    if (d == NULL)
        return NULL;
    d->cfg = *cfg;
    if (d->cfg.profile_count == 0) {
        d->cfg.profiles = default_profiles;
        d->cfg.profile_count = mem_count(default_profiles);
    }
    d->ops = ops;
    d->ctx = ctx;
    d->engine = engine;
    d->models = models;
    d->random = random;
    d->counters = counters;
    d->key = *key;
    d->wall_ms = wall_ms;
    d->wall_at = now;
    list_init(&d->jobs);
    list_init(&d->orphans);
    list_init(&d->unstored);
    list_init(&d->settling);
    list_init(&d->lates);
    list_init(&d->awaited_age);
    renewal_init(d);
    if (init(d, now) < 0) {
        fini(d);
        return NULL;
    }
    return d;
}

/* Out of memory, not out of the store: this is the end of the process, not of the registration. */
static void let_go(struct domain *d, struct device *dev, uint64_t now)
{
    struct claim *claim = dev->claim;

    queue_end_all(d, dev, ERR_STOPPING, now);
    if (dev->rare != NULL) {
        list_each(&dev->rare->reports, it) list_item(it, struct report, node)->announced = false;
        report_end_all(d, dev, ERR_STOPPING, now);
        if (dev->rare->waiting != NULL)
            engine_drop(d->engine, dev->rare->waiting);
        dev->rare->waiting = NULL;
    }
    timer_stop(d->expiry, &dev->timer);
    device_remove(d, dev);
    device_delete(d, dev);
    d->ops->claim_release(d->ctx, claim);
}

void domain_free(struct domain *d, uint64_t now)
{
    struct list *node;

    if (d == NULL)
        return;
    while ((node = list_pop(&d->orphans)) != NULL) {
        struct run *run = list_item(node, struct run, node);

        manage_complete(d, run->op, run->op->stored ? ERR_ACCEPTED : ERR_STOPPING);
        queue_free(run);
    }
    renewal_flush(d, now);
    d->unstored_at = 0;
    report_unstore_again(d, now);
    operation_abandon_all(d);
    job_abandon_all(d);
    for (uint32_t i = 1; i <= d->pool.made; i++) {
        struct device *dev = device_at(d, i);

        if ((dev->flags & DEVICE_LISTED) != 0)
            let_go(d, dev, now);
    }
    late_free_all(d);
    fini(d);
}

/* ---- what the others use --------------------------------------------------------------------- */

int64_t domain_unix_ms(const struct domain *d, uint64_t now)
{
    return d->wall_ms + ((int64_t)now - (int64_t)d->wall_at);
}

struct registry *domain_registry(struct domain *d)
{
    uint64_t version = models_version(d->models);

    if (d->registry == NULL || version != d->models_version) {
        registry_unref(d->registry);
        d->registry = models_get(d->models);
        d->models_version = version;
    }
    return d->registry;
}

void domain_env(struct domain *d, const struct device *dev, uint64_t now,
                struct content_env *ret_env)
{
    *ret_env = (struct content_env){
        .registry = domain_registry(d),
        .objects = dev->list,
        .prefix = dev->list->alt_path,
        .now_ms = domain_unix_ms(d, now),
    };
}

bool domain_overloaded(int rc)
{
    return PDU_CODE_CLASS(err_coap_code(rc)) == 5;
}

void domain_refuse(struct domain *d, struct request *req, int rc, uint64_t now)
{
    struct response resp = {.code = err_coap_code(rc), .format = FORMAT_NONE};

    if (domain_overloaded(rc)) {
        engine_ignore(d->engine, req);
        return;
    }
    resp.payload = view_str(err_text(rc));
    engine_reply(d->engine, req, &resp, now);
}

void domain_answer(struct domain *d, struct request *req, uint8_t code, uint64_t now)
{
    struct response resp = {.code = code, .format = FORMAT_NONE};

    engine_reply(d->engine, req, &resp, now);
}

struct event *domain_event(struct domain *d, enum event_type type, const struct device *dev,
                           uint64_t now)
{
    struct event *e = event_new(type, device_endpoint(dev), domain_unix_ms(d, now));

    if (e == NULL)
        return NULL;
    e->registration_id = dev->id;
    device_flow(d, dev, &e->flow);
    e->lifetime_s = dev->lifetime_s;
    return e;
}

void domain_emit(struct domain *d, struct event *e)
{
    if (e != NULL)
        d->ops->event(d->ctx, e);
}

void domain_tell(struct domain *d, enum event_type type, const struct device *dev, uint64_t now)
{
    domain_emit(d, domain_event(d, type, dev, now));
}

/* ---- ahead of requests ----------------------------------------------------------------------- */

/* The id of /rd/{id}. */
uint64_t domain_ahead(const struct domain *d, struct view datagram)
{
    struct view segment;
    uint64_t id;

    if (!pdu_guess_segment(datagram, 1, &segment) || registration_id_parse(segment, &id) < 0)
        return 0;
    chain_prefetch(d, id);
    return id;
}

static void prefetch_claim(const struct device *dev)
{
    __builtin_prefetch(dev->claim);
    __builtin_prefetch(dev->claim->endpoint);
}

/* First the first device of the bucket; then its claim, or the second one; then the claim of that.
 */
void domain_prefetch(const struct domain *d, uint64_t ahead, int step)
{
    const struct device *dev = chain_guess(d, ahead, 0);

    if (dev == NULL || step == 0) {
        device_prefetch(dev);
    } else if (dev->id == ahead) {
        if (step == 1)
            prefetch_claim(dev);
    } else {
        dev = chain_guess(d, ahead, 1);
        if (step == 1)
            device_prefetch(dev);
        else if (dev != NULL && dev->id == ahead)
            prefetch_claim(dev);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* RFC 6690: what a CoAP client that asks finds here. */
static void core_request(struct domain *d, struct request *req, uint64_t now)
{
    struct response resp = {.code = PDU_CONTENT, .format = FORMAT_LINK};

    if (req->accept != FORMAT_NONE && req->accept != FORMAT_LINK) {
        domain_refuse(d, req, ERR_NOTACCEPTABLE, now);
        return;
    }
    resp.payload = VIEW_LIT("</rd>;ct=40,</dp>;ct=\"110 112 11544\"");
    engine_reply(d->engine, req, &resp, now);
}

/* NULL matches any segment. */
static const struct route {
    uint8_t method;
    uint8_t segment_count;
    const char *segments[2];
    void (*handle)(struct domain *d, struct request *req, uint64_t now);
} routes[] = {
    {PDU_POST, 2, {"rd", NULL}, update_request},
    {PDU_POST, 1, {"rd"}, registration_request},
    {PDU_DELETE, 2, {"rd", NULL}, removal_request},
    {PDU_POST, 1, {"dp"}, send_request},
    {PDU_GET, 2, {".well-known", "core"}, core_request},
};

static bool is_route(const struct route *r, const struct request *req)
{
    uint8_t n = req->segment_count;

    /* A slash at the end of a path arrives as an empty segment. */
    if (n > 1 && req->segments[n - 1].n == 0)
        n--;
    if (n != r->segment_count)
        return false;
    for (uint8_t i = 0; i < n; i++)
        if (r->segments[i] != NULL && !view_eq_str(req->segments[i], r->segments[i]))
            return false;
    return true;
}

void domain_request(struct domain *d, struct request *req, uint64_t now)
{
    int rc = ERR_NOTFOUND;

    arena_reset(d->arena);
    for (size_t i = 0; i < mem_count(routes); i++) {
        if (!is_route(&routes[i], req))
            continue;
        if (routes[i].method == req->method) {
            routes[i].handle(d, req, now);
            return;
        }
        rc = ERR_METHOD;
    }
    domain_refuse(d, req, rc, now);
}

size_t domain_body_limit(struct domain *d, const struct request *req)
{
    for (size_t i = 0; i < mem_count(routes); i++)
        if (routes[i].method == req->method && is_route(&routes[i], req))
            return d->cfg.uplink_body_limit;
    return BODY_ELSEWHERE_MAX;
}

int domain_notification(struct domain *d, struct relation *rel, const struct answer *a,
                        uint64_t now)
{
    return report_notification(d, rel, a, now);
}

bool domain_stray(struct domain *d, uint64_t token, const struct answer *a, uint64_t now)
{
    return late_answer(d, token, a, now);
}

int domain_relation_outgoing(struct domain *d, struct relation *rel, struct outgoing *fill)
{
    return report_outgoing(d, rel, fill);
}

/* ---- commands, completions, time ------------------------------------------------------------- */

void domain_op(struct domain *d, struct op *op, uint64_t now)
{
    counter_add(d->counters, COUNTER_ops_started, 1);
    manage_op(d, op, now);
}

void domain_txn_done(struct domain *d, struct txn *t, uint64_t now)
{
    job_done(d, t, now);
}

void domain_run(struct domain *d, uint64_t now, size_t budget)
{
    timer_wheel_run(d->limits, now, 0);
    timer_wheel_run(d->expiry, now, budget);
    renewal_run(d, now);
    report_unstore_again(d, now);
}

uint64_t domain_next(const struct domain *d)
{
    uint64_t next = timer_wheel_next(d->limits);
    uint64_t expiry = timer_wheel_next(d->expiry);
    uint64_t renewal = renewal_next(d);

    if (expiry < next)
        next = expiry;
    if (!list_empty(&d->unstored) && d->unstored_at < next)
        next = d->unstored_at;
    return renewal < next ? renewal : next;
}

void domain_wall(struct domain *d, int64_t wall_ms, uint64_t now)
{
    d->wall_ms = wall_ms;
    d->wall_at = now;
}

/* ---- devices that come and go ---------------------------------------------------------------- */

void domain_reserve(struct domain *d, uint32_t devices)
{
    for (int i = 0; i < CHAIN_COUNT; i++)
        chain_reserve(&d->chains[i], devices);
}

int domain_load(struct domain *d, const struct registration *r, struct claim *claim,
                const struct outage *outage, uint64_t now)
{
    return move_load(d, r, claim, outage, now);
}

int domain_load_observation(struct domain *d, const struct observation *o, uint64_t now)
{
    (void)now;
    return report_load(d, o);
}

int domain_load_operation(struct domain *d, const struct operation *o, uint64_t now)
{
    return operation_load(d, o, now);
}

struct device *domain_give(struct domain *d, uint64_t registration_id, uint64_t now)
{
    return move_give(d, registration_id, now);
}

int domain_take(struct domain *d, struct device *dev, uint64_t now)
{
    return move_take(d, dev, now);
}

void domain_evict(struct domain *d, uint64_t registration_id, uint64_t now)
{
    struct device *dev = chain_by_id(d, registration_id);

    if (dev == NULL)
        return;
    removal_forget(d, dev, EVENT_REPLACED, now);
    if (!d->committing)
        queue_rehome(d, now);
}

void domain_device_free(struct device *dev)
{
    if (dev != NULL)
        move_free(dev);
}

const struct claim *domain_device_claim(const struct device *dev)
{
    return dev->claim;
}

void domain_stats(const struct domain *d, struct domain_stats *ret_stats)
{
    *ret_stats = (struct domain_stats){
        .devices = d->device_count,
        .observations = d->report_count,
        .ops = d->run_count,
        .pending_registers = d->register_jobs,
        .objlists = table_size(d->objlists),
        .renewals_waiting = d->renewals.waiting,
    };
}
