#include "lane.h"

#include "audit.h"

#include <assert.h>
#include <stdlib.h>

#define PROFILES 4096
#define DATAGRAM_MAX 1152 /* engine_config.message_max */
#define NO_PROXY 0xa5     /* 5.05 */
#define BATCH_MAX 64      /* transactions of one commit */
#define MS_OF(s) ((uint64_t)(s)*SECOND)

/* ---- mailboxes ---- */

/* Kept in order, as the real ones. */
static uint64_t mail_at(struct world *w, uint16_t lane, enum world_box box)
{
    uint64_t at = w->now + world_between(w, 0, w->cfg.mail_ms);
    uint64_t *last = &w->lanes[lane].last_mail[box];

    if (at < *last)
        at = *last;
    *last = at;
    return at;
}

static struct happening *mail(struct world *w, uint16_t lane, enum world_box box,
                              enum happening_kind kind, struct view bytes)
{
    struct happening *h = lane_plan(w, mail_at(w, lane, box), kind, bytes);

    h->lane = lane;
    return h;
}

/* ---- what a core says ---- */

static void check_sent(struct world *w, const struct lane *l, const struct flow *flow,
                       struct view datagram)
{
    struct wire m;
    uint64_t id;
    bool v4 = addr_is_v4(&flow->peer);

    world_check(w, datagram.n <= DATAGRAM_MAX, "a datagram of %zu bytes", datagram.n);
    world_check(w, wire_parse(datagram, &m), "shard %u sends what is no message", l->index);
    world_check(w, m.code >> 5 != 5 || m.code == NO_PROXY,
                "shard %u answers %u.%02u: overload is silence", l->index, m.code >> 5,
                m.code & 31);
    world_check(w, flow->listener == !v4 && flow->local.port == 5683 && !addr_is_any(&flow->local),
                "an answer does not leave from where the request arrived");
    if (m.code != 0x41)
        return;
    world_check(w,
                strncmp(m.location, "/rd/", 4) == 0 &&
                    registration_id_parse(view_str(m.location + 4), &id) == ERR_OK,
                "2.01 with the location \"%s\"", m.location);
    /* The order of effects: COMMIT comes first. */
    world_check(w, disk_ever(&w->disk, id), "2.01 for %s, which is not durable", m.location);
}

static void out_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct lane *l = ctx;
    struct world *w = l->w;
    uint64_t delay = world_between(w, 1, w->cfg.delay_ms);

    if (w->muted)
        return;
    w->sent++;
    lane_trace(w, "send", l->index, flow->peer.port, datagram);
    check_sent(w, l, flow, datagram);
    for (int copies = world_chance(w, w->cfg.duplicate) ? 2 : 1; copies > 0; copies--) {
        if (world_chance(w, w->cfg.late))
            delay += world_between(w, 1 * SECOND, 20 * SECOND);
        if (world_chance(w, w->cfg.loss) || w->deaf)
            w->lost++;
        else
            lane_plan(w, w->now + delay, HAPPEN_TO_CLIENT, datagram)->flow = *flow;
        delay = world_between(w, 1, w->cfg.delay_ms);
    }
}

void lane_plan_commit(struct world *w)
{
    uint64_t at = w->now + world_between(w, 1, w->cfg.commit_ms);

    if (w->committing || w->disk.depth == 0)
        return;
    w->committing = true;
    lane_plan(w, at > w->stalled ? at : w->stalled, HAPPEN_COMMIT, VIEW_NONE);
}

static int out_txn(void *ctx, struct txn *t)
{
    struct lane *l = ctx;
    struct world *w = l->w;
    int rc;

    if (w->muted) {
        txn_free(t);
        return ERR_OK;
    }
    t->ctx = l;
    rc = disk_submit(&w->disk, t);
    lane_trace(w, "txn", t->kind, (uint64_t)-rc, VIEW_NONE);
    if (rc == ERR_OK) {
        l->txns++;
        lane_plan_commit(w);
    }
    return rc;
}

/* A Register counts from when it was sent at the earliest, so nothing may expire before that. */
static void check_expiry(struct world *w, const struct event *e)
{
    const struct client *c = world_client_of(w, view_str(e->endpoint));
    uint64_t most;

    if (!c || !c->registered || c->id != e->registration_id || c->unlucky || w->cfg.forged)
        return;
    world_check(w, c->floor_s != 0, "%s expired with an infinite lifetime", c->endpoint);
    most = c->acknowledged_at + MS_OF(c->floor_s) + MS_OF(w->grace_s);
    world_check(w, w->now >= most, "%s expired %llu ms too early", c->endpoint,
                (unsigned long long)(most - w->now));
}

/* Two that ask at once are both taken; the directory knows committed claims only. */
static void check_replaced(struct world *w, const struct event *e)
{
    const struct registration *r = disk_find(&w->disk, view_str(e->endpoint));
    bool at_once = w->now - disk_since(&w->disk, e->registration_id) < SECOND;

    if (w->cfg.replace == REPLACE_REFUSE && r && r->id != e->registration_id)
        world_check(w, at_once || addr_eq(&r->flow.peer, &e->flow.peer),
                    "%s is replaced from another address", e->endpoint);
}

static void out_event(void *ctx, struct event *e)
{
    struct lane *l = ctx;
    struct world *w = l->w;
    struct client *c;

    if (!w->muted) {
        l->events[e->type]++;
        lane_trace(w, "event", e->type, e->registration_id, view_str(e->endpoint));
        world_say(w, "event %s %s %016llx token %016llx rc %s", event_type_name(e->type),
                  e->endpoint, (unsigned long long)e->registration_id, (unsigned long long)e->token,
                  err_name(e->rc));
        if (e->type == EVENT_REGISTERED)
            world_check(w, disk_ever(&w->disk, e->registration_id),
                        "%s is announced and not durable", e->endpoint);
        if (e->type == EVENT_EXPIRED)
            check_expiry(w, e);
        if (e->type == EVENT_REPLACED)
            check_replaced(w, e);
        c = e->type == EVENT_MOVED || e->type == EVENT_UPDATED
                ? world_client_of(w, view_str(e->endpoint))
                : NULL;
        if (c && c->id == e->registration_id)
            client_believed(c, &e->flow, e->lifetime_s);
        operator_event(w, e);
    }
    event_unref(e);
}

static void move_free(struct world *w, struct move *m)
{
    if (m->device) {
        struct claim *claim = (struct claim *)(uintptr_t)domain_device_claim(m->device);

        domain_device_free(m->device);
        directory_release(w->dir, claim);
    }
    mem_free(m);
}

static void out_move(void *ctx, uint16_t to, struct move *m)
{
    struct lane *l = ctx;
    struct world *w = l->w;

    if (w->muted) {
        move_free(w, m);
        return;
    }
    world_check(w, to < w->shards, "a move to shard %u", to);
    lane_trace(w, "move", m->kind, m->id, VIEW_NONE);
    mail(w, to, BOX_MOVES, HAPPEN_MOVE, VIEW_NONE)->p = m;
}

static void out_op(void *ctx, uint16_t to, struct op *op)
{
    struct lane *l = ctx;
    struct world *w = l->w;

    if (w->muted) {
        op_complete(op, ERR_STOPPING);
        return;
    }
    world_check(w, to < w->shards, "an operation to shard %u", to);
    mail(w, to, BOX_OPS, HAPPEN_OP, VIEW_NONE)->p = op;
}

static int out_spool_append(void *ctx, uint64_t cookie, struct blob **blob, struct view bytes)
{
    struct lane *l = ctx;
    uint8_t *p;

    if (!*blob)
        *blob = blob_new(VIEW_NONE);
    if (!*blob)
        return ERR_NOMEM;
    p = mem_resize((*blob)->p, (size_t)(*blob)->size + bytes.n + 1);
    if (!p)
        return ERR_NOMEM;
    memcpy(p + (*blob)->size, bytes.p, bytes.n);
    (*blob)->p = p;
    (*blob)->size += bytes.n;
    mail(l->w, l->index, BOX_SPOOL, HAPPEN_SPOOL, VIEW_NONE)->arg = cookie;
    return ERR_OK;
}

/* In this world no blob is a file, and one in memory needs no reading. */
static int out_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                         size_t n)
{
    struct lane *l = ctx;
    struct happening *h;

    if (!blob->p || offset > blob->size || n > blob->size - offset)
        return ERR_RANGE;
    h = mail(l->w, l->index, BOX_SPOOL, HAPPEN_BLOB, view_of(blob->p + offset, n));
    h->arg = cookie;
    return ERR_OK;
}

static const struct core_out core_out = {
    .send = out_send,
    .txn = out_txn,
    .event = out_event,
    .move = out_move,
    .op = out_op,
    .spool_append = out_spool_append,
    .blob_read = out_blob_read,
};

/* ---- what comes to a core ---- */

static void input(struct world *w, uint16_t lane, const struct happening *h)
{
    struct core *core = w->lanes[lane].core;
    struct view datagram = view_of(h->bytes, h->n);

    w->lanes[lane].inputs++;
    core_ahead(core, &h->flow, &datagram, 1);
    core_input(core, &h->flow, datagram, w->now);
}

static void to_server(struct world *w, struct happening *h)
{
    uint16_t owner, arrived;
    struct client *c;

    if (w->down || w->deaf)
        return;
    owner = udp_group_shard_of(&h->flow.peer, w->shards);
    arrived = h->arg > 0 ? (uint16_t)((h->arg - 1) % w->shards) : owner;
    w->received++;
    if (w->loud) {
        char peer[ADDR_TEXT_MAX], hex[2 * WIRE_MAX + 1];

        addr_format(&h->flow.peer, peer);
        text_hex(h->bytes, h->n < 24 ? h->n : 24, hex);
        world_say(w, "  shard %u hears %s from %s", owner, hex, peer);
    }
    lane_trace(w, "server", owner, h->n, view_of(h->bytes, h->n));
    if (w->tap && !h->injected)
        w->tap(w, &h->flow, view_of(h->bytes, h->n));
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        c = &w->clients[i];
        if (addr_eq(&c->flow.peer, &h->flow.peer))
            c->heard_at = w->now;
    }
    if (owner != arrived) {
        mail(w, owner, BOX_HANDOVERS, HAPPEN_HANDOVER, view_of(h->bytes, h->n))->flow = h->flow;
        return;
    }
    input(w, owner, h);
}

static void say_txn(struct world *w, const struct txn *t)
{
    static const char *const kinds[TXN_KIND_COUNT] = {
        "put",           "delete",        "renew",  "observe",     "unobserve",     "model",
        "put operation", "set operation", "record", "put profile", "delete profile"};

    world_say(w, "  %s " VIEW_FMT ", row %llu: %s", kinds[t->kind],
              VIEW_ARG(t->registration ? t->registration->endpoint : VIEW_NONE),
              (unsigned long long)(t->registration ? t->registration->row : t->row),
              err_name(t->rc));
    for (size_t i = 0; i < t->renewal_count; i++)
        world_say(w, "    row %llu expires in %lld s", (unsigned long long)t->renewals[i].row,
                  (long long)(t->renewals[i].expires_ms - world_wall(w)) / 1000);
}

static void committed(void *ctx, struct txn *t)
{
    struct world *w = ctx;
    struct lane *l = t->ctx;

    lane_trace(w, "committed", t->kind, (uint64_t)-t->rc, VIEW_NONE);
    say_txn(w, t);
    mail(w, l->index, BOX_TXNS, HAPPEN_TXN, VIEW_NONE)->p = t;
}

static void commit(struct world *w)
{
    int steady = w->disk.rc;

    w->committing = false;
    if (world_chance(w, w->cfg.commit_fails))
        w->disk.rc = world_chance(w, 500) ? ERR_DISKFULL : ERR_STORE;
    w->sick = w->sick || w->disk.rc < 0;
    w->disk.now = w->now;
    (void)disk_commit(&w->disk, BATCH_MAX, committed, w);
    w->disk.rc = steady;
    lane_plan_commit(w);
}

static void wall(struct world *w)
{
    lane_plan(w, w->now + SECOND, HAPPEN_WALL, VIEW_NONE);
    for (uint16_t i = 0; !w->down && i < w->shards; i++)
        core_wall(w->lanes[i].core, world_wall(w), w->now);
}

void lane_happen(struct world *w, struct happening *h)
{
    struct core *core = w->lanes[h->lane].core;

    if (h->kind != HAPPEN_TO_SERVER && h->kind != HAPPEN_WALL)
        lane_trace(w, "inside", h->kind, h->lane, VIEW_NONE);
    switch (h->kind) {
    case HAPPEN_TO_SERVER:
        to_server(w, h);
        break;
    case HAPPEN_HANDOVER:
        input(w, h->lane, h);
        break;
    case HAPPEN_COMMIT:
        commit(w);
        break;
    case HAPPEN_TXN:
        core_txn_done(core, h->p, w->now);
        break;
    case HAPPEN_MOVE:
        core_move(core, h->p, w->now);
        break;
    case HAPPEN_OP:
        core_op(core, h->p, w->now);
        break;
    case HAPPEN_SPOOL:
        core_spool_done(core, h->arg, h->rc, w->now);
        break;
    case HAPPEN_BLOB:
        core_blob_bytes(core, h->arg, ERR_OK, view_of(h->bytes, h->n), w->now);
        break;
    case HAPPEN_WALL:
        wall(w);
        break;
    case HAPPEN_TO_CLIENT:
    case HAPPEN_CLIENT:
    case HAPPEN_CALL:
        break;
    }
}

void lane_drop(struct world *w, struct happening *h)
{
    if (h->kind == HAPPEN_TXN)
        txn_free(h->p);
    else if (h->kind == HAPPEN_MOVE)
        move_free(w, h->p);
    else if (h->kind == HAPPEN_OP)
        op_complete(h->p, ERR_STOPPING);
}

int world_submit(struct world *w, struct op *op)
{
    struct directory_entry entry;
    int rc;

    if (w->down)
        return ERR_LOADING;
    rc = directory_find(w->dir, view_str(op->endpoint), &entry);
    if (rc == ERR_OK)
        mail(w, entry.shard, BOX_OPS, HAPPEN_OP, VIEW_NONE)->p = op;
    return rc;
}

/* ---- lives ---- */

uint64_t lane_next(const struct world *w, uint16_t *ret_lane)
{
    uint64_t first = UINT64_MAX;

    for (uint16_t i = 0; i < w->shards; i++) {
        uint64_t next = core_next(w->lanes[i].core);

        if (next < first) {
            first = next;
            *ret_lane = i;
        }
    }
    return first;
}

void lane_run(struct world *w, uint16_t lane)
{
    core_run(w->lanes[lane].core, w->now);
}

static int by_age(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;

    return memcmp((*x)->id.b, (*y)->id.b, sizeof((*x)->id.b));
}

static bool is_open(const struct operation *o)
{
    return !op_state_settled(o->state) || o->state == OP_STATE_UNKNOWN;
}

static void load_operations(struct world *w)
{
    size_t all = table_size(w->disk.operations), n = 0, pos = 0;
    const struct operation **open = mem_new((all + 1) * sizeof(*open)), *o;

    while ((o = table_next(w->disk.operations, &pos)) != NULL)
        if (is_open(o) && disk_find(&w->disk, o->endpoint))
            open[n++] = o;
    qsort(open, n, sizeof(*open), by_age);
    for (size_t i = 0; i < n; i++) {
        struct directory_entry entry;
        int rc = directory_find(w->dir, open[i]->endpoint, &entry);

        if (rc == ERR_OK)
            rc = core_load_operation(w->lanes[entry.shard].core, open[i], w->now);
        world_check(w, rc == ERR_OK, "a stored operation was not loaded: %s", err_name(rc));
    }
    mem_free(open);
}

static void load(struct world *w, const struct outage *outage)
{
    const struct disk_row *row;
    const struct disk_observation *o;
    size_t pos = 0;

    while ((row = table_next(w->disk.by_row, &pos)) != NULL) {
        uint16_t home = udp_group_shard_of(&row->r->flow.peer, w->shards);
        int rc = core_load(w->lanes[home].core, row->r, outage, w->now);

        world_check(w, rc == ERR_OK, "a stored registration was not loaded: %s", err_name(rc));
    }
    for (pos = 0; (o = table_next(w->disk.observations, &pos)) != NULL;) {
        uint16_t home;
        int rc;

        if (o->o.row == 0)
            continue; /* its endpoint is not registered */
        rc = directory_locate(w->dir, o->o.registration_id, &home);
        if (rc == ERR_OK)
            rc = core_load_observation(w->lanes[home].core, &o->o, w->now);
        world_check(w, rc == ERR_OK, "a stored observation was not loaded: %s", err_name(rc));
    }
    load_operations(w);
}

/* What came back is what was durable. */
static void audit_loaded(void *ctx, const struct audit_device *d)
{
    struct world *w = ctx;
    const struct registration *r = disk_find_id(&w->disk, d->r.endpoint, d->r.id);
    uint64_t least = w->now + MS_OF(w->grace_s);

    world_check(w, r && r->row == d->r.row && r->generation == d->r.generation,
                VIEW_FMT " came back from nowhere", VIEW_ARG(d->r.endpoint));
    world_check(w,
                r->lifetime_s == d->r.lifetime_s && r->lifetime_given == d->r.lifetime_given &&
                    r->binding == d->r.binding && r->queue_mode == d->r.queue_mode &&
                    version_cmp(r->version, d->r.version) == 0 && view_eq(r->links, d->r.links) &&
                    view_eq(r->sms, d->r.sms) && view_eq(r->unknown, d->r.unknown) &&
                    addr_eq(&r->flow.peer, &d->r.flow.peer) &&
                    addr_eq(&r->flow.local, &d->r.flow.local) &&
                    r->registered_ms == d->r.registered_ms,
                VIEW_FMT " came back as another", VIEW_ARG(d->r.endpoint));
    world_check(w, d->expires_at >= least, VIEW_FMT " expires %llu ms after the restart",
                VIEW_ARG(d->r.endpoint), (unsigned long long)(d->expires_at - w->now));
}

static void set_small(struct core_config *cfg)
{
    cfg->engine.peer_limit = LANE_SMALL_PEERS;
    cfg->engine.dedup_bytes = LANE_SMALL_BYTES;
    cfg->engine.transfer_bytes = LANE_SMALL_BYTES;
    cfg->engine.transfer_limit = 64;
    cfg->engine.exchange_limit = 256;
    cfg->domain.device_limit = LANE_SMALL_DEVICES;
    cfg->domain.observation_limit = 8;
    cfg->domain.op_limit = 16;
}

/* As server.c does it. */
static void load_profiles(struct world *w)
{
    const struct disk_profile *p;
    struct profiles_effect effect;
    size_t pos = 0;

    w->profiles = profiles_new(PROFILES, true, &w->key);
    assert(w->profiles);
    while ((p = table_next(w->disk.profiles, &pos)) != NULL) {
        int rc =
            profiles_set(w->profiles, view_str(p->id), view_str(p->links), p->source, 0, &effect);

        world_check(w, rc == ERR_OK, "a stored profile was not loaded: %s", err_name(rc));
    }
}

void lane_start_all(struct world *w, uint16_t shards, const struct outage *outage)
{
    w->shards = shards;
    load_profiles(w);
    w->sick = false;
    for (uint16_t i = 0; i < shards; i++) {
        struct lane *l = &w->lanes[i];
        struct core_config cfg = {.shard = i,
                                  .shards = shards,
                                  .seed = {random_u64(&w->random), random_u64(&w->random)},
                                  .key = w->key,
                                  .counters = &l->counters};

        *l = (struct lane){.w = w, .index = i};
        engine_config_defaults(&cfg.engine);
        domain_config_defaults(&cfg.domain);
        cfg.domain.replace = w->cfg.replace;
        cfg.domain.profile_ids = w->profiles;
        if (w->cfg.small)
            set_small(&cfg);
        w->grace_s = cfg.domain.grace_s;
        l->core = core_new(&cfg, &core_out, l, w->dir, w->models, w->now, world_wall(w));
        assert(l->core);
    }
    load(w, outage);
    for (uint16_t i = 0; i < shards; i++)
        audit_devices(w->lanes[i].core, w->now, audit_loaded, w);
    world_check(w, directory_size(w->dir) == disk_size(&w->disk), "%zu of %zu registrations came",
                directory_size(w->dir), disk_size(&w->disk));
}

void lane_stop_all(struct world *w)
{
    for (uint16_t i = 0; i < w->shards; i++) {
        core_free(w->lanes[i].core, w->now);
        w->lanes[i].core = NULL;
    }
    profiles_free(w->profiles);
    w->profiles = NULL;
}

/* ---- checks ---- */

static void settled_lane(struct world *w, struct lane *l)
{
    struct core_stats s;

    core_stats(l->core, &s);
    world_check(w, s.domain.ops == 0, "shard %u holds %zu operations", l->index, s.domain.ops);
    world_check(w, s.domain.pending_registers == 0, "shard %u holds %zu Registers", l->index,
                s.domain.pending_registers);
    world_check(w, s.engine.exchanges == 0, "shard %u holds %zu exchanges", l->index,
                s.engine.exchanges);
    world_check(w, s.engine.pending == 0, "shard %u holds %zu pending requests", l->index,
                s.engine.pending);
    world_check(w, s.engine.transfers == 0, "shard %u holds %zu transfers", l->index,
                s.engine.transfers);
    world_check(w, s.engine.peers == 0, "shard %u holds %zu peers", l->index, s.engine.peers);
    world_check(w, s.engine.dedup_entries == 0, "shard %u remembers %zu messages", l->index,
                s.engine.dedup_entries);
    world_check(w, s.engine.relations == s.domain.observations,
                "shard %u listens to %zu observations of %zu", l->index, s.engine.relations,
                s.domain.observations);
}

static uint64_t sum_events(const struct world *w, enum event_type type)
{
    uint64_t n = 0;

    for (uint16_t i = 0; i < w->shards; i++)
        n += w->lanes[i].events[type];
    return n;
}

static void check_counter(struct world *w, enum counter which, uint64_t n)
{
    world_check(w, world_counter(w, which) == n, "the counter %s says %llu and not %llu",
                counter_name(which), (unsigned long long)world_counter(w, which),
                (unsigned long long)n);
}

/* What was counted inside is what was seen from outside. */
static void check_counters(struct world *w)
{
    uint64_t events = 0, txns = 0, inputs = 0;

    for (int type = 0; type < EVENT_TYPE_COUNT; type++)
        events += sum_events(w, (enum event_type)type);
    for (uint16_t i = 0; i < w->shards; i++) {
        txns += w->lanes[i].txns;
        inputs += w->lanes[i].inputs;
    }
    check_counter(w, COUNTER_events_emitted, events);
    check_counter(w, COUNTER_txns_submitted, txns);
    check_counter(w, COUNTER_datagrams_received, inputs);
    check_counter(w, COUNTER_registers, sum_events(w, EVENT_REGISTERED));
    check_counter(w, COUNTER_registrations_expired, sum_events(w, EVENT_EXPIRED));
    check_counter(w, COUNTER_deregisters, sum_events(w, EVENT_DEREGISTERED));
    check_counter(w, COUNTER_sends, sum_events(w, EVENT_SEND));
    /* Who says no name is refused without an event. */
    world_check(w, world_counter(w, COUNTER_register_refused) >= sum_events(w, EVENT_REFUSED),
                "more refusals are told than counted");
    check_counter(w, COUNTER_moves_in, world_counter(w, COUNTER_moves_out));
}

void lane_settled(struct world *w)
{
    for (uint16_t i = 0; i < w->shards; i++)
        settled_lane(w, &w->lanes[i]);
    check_counters(w);
    world_check(w, w->disk.depth == 0, "%zu transactions wait for ever", w->disk.depth);
    /* Devices that fell silent are gone; those with an infinite lifetime stay. */
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        const struct client *c = &w->clients[i];
        const struct registration *r = disk_find(&w->disk, view_str(c->endpoint));

        world_check(w, !r || r->lifetime_s == 0 || r->lifetime_s > 600,
                    "%s is still registered, for %u s", c->endpoint, r->lifetime_s);
    }
}

struct audit {
    struct world *w;
    uint16_t lane;
    size_t owned;
};

static bool is_mail(const struct world *w, enum move_kind kind, uint64_t id, uint16_t lane)
{
    for (size_t i = 0; i < w->queued; i++) {
        const struct happening *h = w->queue[i];
        const struct move *m = h->p;

        if (h->kind == HAPPEN_MOVE && h->lane == lane && m->kind == kind && m->id == id)
            return true;
    }
    return false;
}

static void audit_one(void *ctx, const struct audit_device *d)
{
    struct audit *a = ctx;
    struct world *w = a->w;
    struct directory_entry entry = {0};
    int rc = directory_find(w->dir, d->r.endpoint, &entry);

    if (rc < 0 || entry.id != d->r.id) {
        world_check(w, is_mail(w, MOVE_EVICT, d->r.id, a->lane),
                    VIEW_FMT " lives on shard %u beside its owner", VIEW_ARG(d->r.endpoint),
                    a->lane);
        return;
    }
    a->owned++;
    world_check(w, entry.shard == a->lane, VIEW_FMT " lives on shard %u, the directory says %u",
                VIEW_ARG(d->r.endpoint), a->lane, entry.shard);
    world_check(w, entry.row == d->r.row && entry.generation == d->r.generation,
                VIEW_FMT " has another claim than the directory", VIEW_ARG(d->r.endpoint));
    world_check(w, disk_ever(&w->disk, d->r.id), VIEW_FMT " was never durable",
                VIEW_ARG(d->r.endpoint));
}

/* Devices given away and not yet taken count as owned, unless a newer Register has won. */
static size_t on_the_way(const struct world *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->queued; i++) {
        const struct happening *h = w->queue[i];
        const struct move *m = h->p;
        uint16_t shard;

        n += h->kind == HAPPEN_MOVE && m->kind == MOVE_GIVEN &&
             directory_locate(w->dir, m->id, &shard) == ERR_OK;
    }
    return n;
}

void world_audit(struct world *w)
{
    struct audit a = {.w = w};
    size_t moving;

    if (w->down)
        return;
    for (a.lane = 0; a.lane < w->shards; a.lane++)
        audit_devices(w->lanes[a.lane].core, w->now, audit_one, &a);
    moving = on_the_way(w);
    world_check(w, a.owned + moving == directory_size(w->dir),
                "%zu devices and %zu on the way, but %zu endpoints", a.owned, moving,
                directory_size(w->dir));
}
