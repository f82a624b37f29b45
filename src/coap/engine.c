/*
 * The engine: configuration, what a datagram is, timers, and the doors to the other files.
 */
#include "coap/internal.h"

#include <assert.h>

/* Peers forgotten per datagram and per run, timers fired per run: bounds of one step. */
#define SWEEP_INPUT 2
#define SWEEP_RUN 1024
#define TIMERS_RUN 4096
/* A message of ours can hold at least this, and its length needs 15 bits (dedup.c). */
#define MESSAGE_MIN 128
#define MESSAGE_MAX 0x7fff
/* Longest memory of a message in seconds: ages of up to twice as much are kept in 15 bits. */
#define LIFETIME_MAX 15000u

void engine_config_defaults(struct engine_config *cfg)
{
    *cfg = (struct engine_config){
        .peer_limit = 4000000,
        .dedup_per_peer = 4,
        .dedup_bytes = (size_t)64 << 20,
        .exchange_limit = 65536,
        .queue_per_peer = 64,
        .transfer_limit = 1024,
        .transfer_bytes = (size_t)64 << 20,
        .spool_threshold = 65536,
        .body_limit = (size_t)16 << 20,
        .message_max = 1152,
        .ack_delay_ms = 1000,
        .profile = profile_builtin(VIEW_LIT("ip")),
    };
}

static size_t clamp(size_t n, size_t least, size_t most)
{
    return n < least ? least : n > most ? most : n;
}

static void fire(void *ctx, struct timer *t, uint64_t now)
{
    struct engine *e = ctx;
    struct engine_timer *timer = mem_container(t, struct engine_timer, timer);

    timer->fire(e, timer, now);
}

static void take_config(struct engine *e, const struct engine_config *cfg)
{
    uint64_t lifetime_s = (profile_exchange_lifetime(cfg->profile) + 999) / 1000;

    e->cfg = *cfg;
    e->cfg.peer_limit = clamp(cfg->peer_limit, 1, SIZE_MAX);
    e->cfg.dedup_per_peer = clamp(cfg->dedup_per_peer, 1, 128);
    e->cfg.queue_per_peer = clamp(cfg->queue_per_peer, 1, SIZE_MAX);
    e->cfg.exchange_limit = clamp(cfg->exchange_limit, 1, SIZE_MAX);
    e->cfg.transfer_limit = clamp(cfg->transfer_limit, 1, SIZE_MAX);
    e->cfg.message_max = clamp(cfg->message_max, MESSAGE_MIN, MESSAGE_MAX);
    e->lifetime_s = (uint32_t)clamp((size_t)lifetime_s, 1, LIFETIME_MAX);
    e->order_s = e->lifetime_s / 4;
}

struct engine *engine_new(const struct engine_config *cfg, const struct engine_ops *ops, void *ctx,
                          struct random *random, struct counters *counters, uint64_t now)
{
    struct engine *e = mem_new(sizeof(*e));

    if (!e)
        return NULL;
    take_config(e, cfg);
    e->ops = *ops;
    e->ctx = ctx;
    e->random = random;
    e->counters = counters;
    e->now = now;
    e->key = (struct hash_key){random_u64(random), random_u64(random)};
    list_init(&e->idle);
    list_init(&e->pendings);
    list_init(&e->separates);
    list_init(&e->transfer_age);
    list_init(&e->exchanges);
    list_init(&e->ended);
    e->wheel = timer_wheel_new(now, fire, e);
    e->out = mem_new(e->cfg.message_max);
    e->peers = table_new(0);
    e->transfers = table_new(0);
    e->tokens = table_new(0);
    e->jobs = table_new(0);
    e->fetches = table_new(0);
    e->relations = table_new(0);
    if (!e->wheel || !e->out || !e->peers || !e->transfers || !e->tokens || !e->jobs ||
        !e->fetches || !e->relations) {
        engine_free(e);
        return NULL;
    }
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    exchange_free_all(e);
    pending_free_all(e);
    separate_free_all(e);
    transfer_free_all(e);
    while (!list_empty(&e->idle))
        peer_free(e, list_item(e->idle.next, struct peer, idle));
    table_free(e->peers);
    table_free(e->transfers);
    table_free(e->tokens);
    table_free(e->jobs);
    table_free(e->fetches);
    table_free(e->relations);
    timer_wheel_free(e->wheel);
    mem_free(e->out);
    mem_free(e);
}

/* ---- for the other files ------------------------------------------------------------------- */

void engine_send(struct engine *e, const struct flow *flow, struct view datagram)
{
    e->ops.send(e->ctx, flow, datagram);
}

void engine_count(struct engine *e, enum counter which)
{
    counter_add(e->counters, which, 1);
}

void engine_timer_start(struct engine *e, struct engine_timer *t, uint64_t due)
{
    timer_start(e->wheel, &t->timer, due);
}

void engine_timer_stop(struct engine *e, struct engine_timer *t)
{
    timer_stop(e->wheel, &t->timer);
}

uint32_t engine_first_wait(struct engine *e, const struct profile *p)
{
    uint64_t longest = (uint64_t)p->ack_timeout_ms * p->ack_random_permille / 1000;
    uint64_t spread = longest > p->ack_timeout_ms ? longest - p->ack_timeout_ms : 0;

    return p->ack_timeout_ms + (uint32_t)random_below(e->random, spread + 1);
}

/* ---- input --------------------------------------------------------------------------------- */

static void acked(struct engine *e, const struct flow *flow, uint16_t mid, uint64_t now)
{
    struct peer *p = peer_find(e, &flow->peer);
    struct exchange *x = p ? exchange_by_mid(flow, p, mid) : NULL;

    if (x)
        exchange_acked(e, x, now);
    else if (p)
        (void)separate_end(e, p, mid, now);
}

static void reset(struct engine *e, const struct flow *flow, uint16_t mid, uint64_t now)
{
    struct peer *p = peer_find(e, &flow->peer);
    struct exchange *x = p ? exchange_by_mid(flow, p, mid) : NULL;

    engine_count(e, COUNTER_coap_resets_received);
    if (x)
        exchange_fail(e, x, ERR_RESET, now);
    else if (p)
        (void)separate_end(e, p, mid, now);
}

static void malformed(struct engine *e, const struct flow *flow, bool header, const struct pdu *pdu)
{
    engine_count(e, COUNTER_coap_malformed);
    if (header && pdu->type == PDU_CON)
        reply_empty(e, flow, PDU_RST, pdu->mid);
}

static void dispatch(struct engine *e, const struct flow *flow, struct view datagram,
                     const struct pdu *pdu, uint64_t now)
{
    bool message = pdu->type == PDU_CON || pdu->type == PDU_NON;

    if (pdu->code == PDU_EMPTY) {
        if (pdu->type == PDU_CON)
            reply_empty(e, flow, PDU_RST, pdu->mid); /* a ping (RFC 7252 section 4.3) */
        else if (pdu->type == PDU_ACK)
            acked(e, flow, pdu->mid, now);
        else if (pdu->type == PDU_RST)
            reset(e, flow, pdu->mid, now);
        else
            malformed(e, flow, true, pdu);
    } else if (PDU_CODE_CLASS(pdu->code) == 0 && message) {
        server_input(e, flow, datagram, pdu, now);
    } else if (PDU_CODE_CLASS(pdu->code) != 0 && pdu->type != PDU_RST) {
        response_input(e, flow, datagram, pdu, now);
    } else {
        malformed(e, flow, true, pdu);
    }
}

void engine_input(struct engine *e, const struct flow *flow, struct view datagram, uint64_t now)
{
    struct pdu pdu;
    bool header;

    assert(!e->in_input);
    e->in_input = true;
    e->now = now;
    if (pdu_parse(datagram, &pdu, &header) < 0)
        malformed(e, flow, header, &pdu);
    else
        dispatch(e, flow, datagram, &pdu, now);
    peer_sweep(e, now, SWEEP_INPUT);
    e->in_input = false;
}

uint64_t engine_ahead(const struct engine *e, const struct addr *peer)
{
    return peer_ahead(e, peer);
}

void engine_prefetch(const struct engine *e, uint64_t ahead)
{
    peer_prefetch(e, ahead);
}

void engine_run(struct engine *e, uint64_t now)
{
    assert(!e->in_input);
    e->now = now;
    (void)timer_wheel_run(e->wheel, now, TIMERS_RUN);
    peer_sweep(e, now, SWEEP_RUN);
}

uint64_t engine_next(const struct engine *e)
{
    uint64_t timers = timer_wheel_next(e->wheel);
    uint64_t peers = peer_next_sweep(e);

    return timers < peers ? timers : peers;
}

void engine_unreachable(struct engine *e, const struct addr *peer, uint64_t now)
{
    e->now = now;
    exchange_unreachable(e, peer, now);
}

/* ---- doors --------------------------------------------------------------------------------- */

void engine_reply(struct engine *e, struct request *req, const struct response *resp, uint64_t now)
{
    struct serving *s = req->internal;

    assert(!s->settled);
    s->settled = true;
    reply_send(e, s->origin, resp, REPLY_NO_SIZE, now);
}

struct pending *engine_defer(struct engine *e, struct request *req, uint64_t now)
{
    return pending_defer(e, req, now);
}

void engine_ignore(struct engine *e, struct request *req)
{
    pending_ignore(e, req);
}

void engine_respond(struct engine *e, struct pending *p, const struct response *resp, uint64_t now)
{
    e->now = now;
    pending_respond(e, p, resp, now);
}

void engine_replay(struct engine *e, struct pending *p, uint64_t now)
{
    e->now = now;
    pending_replay(e, p, now);
}

void engine_drop(struct engine *e, struct pending *p)
{
    pending_drop(e, p, e->now);
}

int engine_request(struct engine *e, const struct outgoing *out, uint64_t now,
                   struct exchange **ret_exchange)
{
    struct exchange *x;
    int rc;

    e->now = now;
    rc = exchange_new(e, out, now, &x);
    if (rc < 0)
        return rc;
    exchange_begin(e, x, now);
    *ret_exchange = x;
    return ERR_OK;
}

void engine_cancel(struct engine *e, struct exchange *x, uint64_t now)
{
    e->now = now;
    exchange_fail(e, x, ERR_CANCELLED, now);
}

void engine_cancel_peer(struct engine *e, const struct addr *peer, uint64_t now)
{
    e->now = now;
    exchange_cancel_peer(e, peer, now);
}

void engine_cancel_all(struct engine *e, uint64_t now)
{
    e->now = now;
    exchange_cancel_all(e, now);
}

int engine_relation_add(struct engine *e, struct relation *rel)
{
    return relation_add(e, rel);
}

void engine_relation_del(struct engine *e, struct relation *rel)
{
    relation_del(e, rel, e->now);
}

bool engine_token_known(const struct engine *e, uint64_t token)
{
    return exchange_token_taken(e, token) || relation_find(e, token);
}

void engine_spool_done(struct engine *e, uint64_t cookie, int rc, uint64_t now)
{
    e->now = now;
    exchange_spool_done(e, cookie, rc, now);
}

void engine_blob_bytes(struct engine *e, uint64_t cookie, int rc, struct view bytes, uint64_t now)
{
    e->now = now;
    exchange_blob_bytes(e, cookie, rc, bytes, now);
}

void engine_stats(const struct engine *e, struct engine_stats *ret_stats)
{
    const struct table *const tables[] = {e->peers, e->transfers, e->tokens,
                                          e->jobs,  e->fetches,   e->relations};
    size_t bytes = sizeof(*e) + e->cfg.message_max;

    for (size_t i = 0; i < mem_count(tables); i++)
        bytes += table_bytes(tables[i]);
    bytes += table_size(e->peers) * sizeof(struct peer) + e->ring_bytes + e->dedup_bytes;
    bytes += table_size(e->tokens) * sizeof(struct exchange) + e->transfer_bytes;
    *ret_stats = (struct engine_stats){
        .peers = table_size(e->peers),
        .exchanges = table_size(e->tokens),
        .pending = e->pending_count + e->separate_count,
        .transfers = table_size(e->transfers),
        .relations = table_size(e->relations),
        .dedup_entries = e->dedup_entries,
        .bytes = bytes,
    };
}
