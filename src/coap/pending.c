/*
 * Requests that are answered later: kept as they came, acknowledged after a while.
 */
#include "coap/internal.h"

#include <assert.h>

struct pending {
    struct list all;
    struct engine_timer timer; /* until the empty ACK */
    struct origin origin;
    size_t datagram_n;
    bool has_body; /* a reassembled body follows the datagram */
    bool inside;   /* handed in again right now */
    size_t body_n;
    uint8_t bytes[];
};

static void free_one(struct engine *e, struct pending *p)
{
    engine_timer_stop(e, &p->timer);
    list_del(&p->all);
    e->pending_count--;
    p->origin.peer->busy->owed--;
    mem_free(p);
}

static void end(struct engine *e, struct pending *p, uint64_t now)
{
    struct peer *peer = p->origin.peer;

    free_one(e, p);
    peer_release(e, peer, now);
}

static void acknowledge(struct engine *e, struct engine_timer *t, uint64_t now)
{
    struct pending *p = mem_container(t, struct pending, timer);
    struct origin *o = &p->origin;
    struct dedup_entry *d = dedup_find(o->peer, o->hash, o->mid);

    (void)now;
    o->acked = true;
    if (d)
        dedup_set_code(e, d, PDU_ACK, PDU_EMPTY);
    reply_empty(e, &o->flow, PDU_ACK, o->mid);
}

static struct pending *make(struct engine *e, const struct request *req, const struct serving *s)
{
    bool has_body = s->origin->has_block1;
    size_t body_n = has_body ? req->body.n : 0;
    const struct busy *busy = s->origin->peer->busy;
    struct pending *p;

    if (e->pending_count + e->separate_count >= e->cfg.exchange_limit ||
        (busy && busy->owed >= e->cfg.queue_per_peer))
        return NULL;
    p = mem_new(sizeof(*p) + s->datagram.n + body_n);
    if (!p)
        return NULL;
    if (peer_hold(s->origin->peer) < 0) {
        mem_free(p);
        return NULL;
    }
    p->origin = *s->origin;
    p->datagram_n = s->datagram.n;
    p->has_body = has_body;
    p->body_n = body_n;
    memcpy(p->bytes, s->datagram.p, s->datagram.n);
    if (body_n > 0)
        memcpy(p->bytes + p->datagram_n, req->body.p, body_n);
    p->timer.fire = acknowledge;
    return p;
}

static void forget(struct engine *e, struct origin *o)
{
    struct dedup_entry *d = dedup_find(o->peer, o->hash, o->mid);

    if (d)
        dedup_forget(e, o->peer, d);
}

struct pending *pending_defer(struct engine *e, struct request *req, uint64_t now)
{
    struct serving *s = req->internal;
    struct pending *p = s->pending;

    assert(!s->settled);
    s->settled = true;
    if (p) {
        s->kept = true;
        return p;
    }
    p = make(e, req, s);
    if (!p) {
        forget(e, s->origin);
        engine_count(e, COUNTER_coap_dropped);
        return NULL;
    }
    list_push(&e->pendings, &p->all);
    e->pending_count++;
    p->origin.peer->busy->owed++;
    if (p->origin.type == PDU_CON)
        engine_timer_start(e, &p->timer, now + e->cfg.ack_delay_ms);
    return p;
}

void pending_ignore(struct engine *e, struct request *req)
{
    struct serving *s = req->internal;

    assert(!s->settled);
    s->settled = true;
    forget(e, s->origin);
}

void pending_respond(struct engine *e, struct pending *p, const struct response *resp, uint64_t now)
{
    assert(!p->inside);
    reply_send(e, &p->origin, resp, REPLY_NO_SIZE, now);
    end(e, p, now);
}

void pending_replay(struct engine *e, struct pending *p, uint64_t now)
{
    struct serving s = {
        .origin = &p->origin, .datagram = view_of(p->bytes, p->datagram_n), .pending = p};
    struct request req;
    struct pdu pdu;
    bool header;
    int rc = pdu_parse(s.datagram, &pdu, &header);
    uint8_t refusal;

    assert(rc == ERR_OK && !p->inside);
    (void)rc;
    refusal = server_parse(&pdu, &req, &s);
    assert(refusal == 0);
    (void)refusal;
    req.replayed = true;
    if (p->has_body)
        req.body = view_of(p->bytes + p->datagram_n, p->body_n);
    p->inside = true;
    server_call(e, &req, &s, now);
    p->inside = false;
    if (!s.kept)
        end(e, p, now);
}

void pending_drop(struct engine *e, struct pending *p, uint64_t now)
{
    assert(!p->inside);
    forget(e, &p->origin);
    end(e, p, now);
}

void pending_free_all(struct engine *e)
{
    list_each_safe(&e->pendings, it, next)
    {
        struct pending *p = list_item(it, struct pending, all);
        struct peer *peer = p->origin.peer;

        free_one(e, p);
        peer_release(e, peer, e->now);
    }
}
