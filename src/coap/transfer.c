/*
 * Bodies of requests that arrive in blocks (Block1, RFC 7959 section 2). One transfer per peer,
 * method and set of options (Request-Tag included, the block options not); in order, each block a
 * message of its own.
 */
#include "coap/internal.h"

struct transfer {
    struct list age;     /* in engine.transfer_age */
    struct list of_peer; /* in busy.transfers */
    struct engine_timer timer;
    struct peer *peer; /* held */
    uint64_t key;
    uint64_t touched; /* monotonic ms */
    struct buf body;
    size_t counted; /* bytes of it in engine.transfer_bytes */
};

/* Of one peer at once; a device has few resources to send to. */
#define PER_PEER 4

/* For looking one up. */
struct wanted {
    const struct peer *peer;
    uint64_t key;
};

static bool transfer_eq(const void *item, const void *key)
{
    const struct transfer *t = item;
    const struct wanted *w = key;

    return t->key == w->key && t->peer == w->peer;
}

static bool is_part_of_key(uint32_t number)
{
    return number != PDU_BLOCK1 && number != PDU_BLOCK2 && number != PDU_SIZE1 &&
           number != PDU_SIZE2 && number != PDU_ECHO && number != PDU_OBSERVE;
}

static uint64_t key_of(const struct engine *e, const struct flow *flow, const struct pdu *pdu)
{
    struct pdu_iter it = pdu_iter_init(pdu);
    uint64_t key = hash_u64(&e->key, addr_hash(&e->key, &flow->peer) + flow->transport);
    uint32_t number;
    struct view value;

    key = hash_u64(&e->key, key ^ pdu->code);
    while (pdu_iter_next(&it, &number, &value))
        if (is_part_of_key(number))
            key = hash_u64(&e->key, key ^ hash_bytes(&e->key, value) ^ (uint64_t)number << 48);
    return key;
}

static void uncount(struct engine *e, struct transfer *t)
{
    e->transfer_bytes -= t->counted;
    t->counted = 0;
}

/* Nobody finds it any more. */
static void unlist(struct engine *e, struct transfer *t)
{
    engine_timer_stop(e, &t->timer);
    if (table_del(e->transfers, t->key, t))
        t->peer->busy->transfer_count--;
    list_del(&t->age);
    list_del(&t->of_peer);
}

void transfer_free(struct engine *e, struct transfer *t)
{
    struct peer *p;

    if (!t)
        return;
    p = t->peer;
    unlist(e, t);
    uncount(e, t);
    buf_fini(&t->body);
    mem_free(t);
    peer_release(e, p, e->now);
}

void transfer_free_all(struct engine *e)
{
    list_each_safe(&e->transfer_age, it, next)
    {
        transfer_free(e, list_item(it, struct transfer, age));
    }
}

static void fail(struct engine *e, struct transfer *t)
{
    if (!t)
        return;
    engine_count(e, COUNTER_block_transfers_failed);
    transfer_free(e, t);
}

static void expire(struct engine *e, struct engine_timer *t, uint64_t now)
{
    (void)now;
    fail(e, mem_container(t, struct transfer, timer));
}

/*
 * At a limit the longest untouched transfer gives way, but only when its peer is overdue: otherwise
 * many peers at once would take the room from each other and none would ever end. `but`: not that
 * one.
 */
static bool evict(struct engine *e, const struct transfer *but, uint64_t now)
{
    struct list *it = e->transfer_age.next;
    struct transfer *t;

    if (but && it == &but->age)
        it = it->next;
    if (it == &e->transfer_age)
        return false;
    t = list_item(it, struct transfer, age);
    if (now - t->touched < e->cfg.profile->ack_timeout_ms)
        return false;
    engine_count(e, COUNTER_block_limit);
    fail(e, t);
    return true;
}

static struct transfer *make(struct engine *e, struct peer *p, uint64_t key, uint64_t now)
{
    struct transfer *t;

    if (p->busy && p->busy->transfer_count >= PER_PEER) {
        engine_count(e, COUNTER_block_limit);
        fail(e, list_item(p->busy->transfers.next, struct transfer, of_peer));
    }
    if (table_size(e->transfers) >= e->cfg.transfer_limit && !evict(e, NULL, now)) {
        engine_count(e, COUNTER_block_limit);
        return NULL;
    }
    t = mem_new(sizeof(*t));
    if (!t)
        return NULL;
    t->peer = p;
    t->key = key;
    t->timer.fire = expire;
    buf_init(&t->body, e->cfg.transfer_bytes);
    if (peer_hold(p) < 0) {
        mem_free(t);
        return NULL;
    }
    if (table_put(e->transfers, key, t) < 0) {
        transfer_free(e, t);
        return NULL;
    }
    p->busy->transfer_count++;
    list_push(&e->transfer_age, &t->age);
    list_push(&p->busy->transfers, &t->of_peer);
    engine_count(e, COUNTER_block_transfers_started);
    return t;
}

/* ERR_LIMIT: more than this body may have; ERR_BUSY: more than all may have together. */
static int append(struct engine *e, struct transfer *t, struct view bytes, uint64_t now)
{
    while (e->transfer_bytes + bytes.n > e->cfg.transfer_bytes)
        if (!evict(e, t, now)) {
            engine_count(e, COUNTER_block_limit);
            return ERR_BUSY;
        }
    if (t->body.n + bytes.n > t->body.max)
        return ERR_LIMIT;
    buf_put_view(&t->body, bytes);
    if (t->body.rc < 0)
        return t->body.rc;
    t->counted += bytes.n;
    e->transfer_bytes += bytes.n;
    return ERR_OK;
}

static void restart(struct engine *e, struct transfer *t)
{
    uncount(e, t);
    buf_reset(&t->body);
}

/* The first block asks how much may follow; false when it was refused. */
static bool may_begin(struct engine *e, struct request *req, const struct serving *s, uint64_t now,
                      size_t *ret_limit)
{
    size_t limit = e->ops.body_limit ? e->ops.body_limit(e->ctx, req) : SIZE_MAX;

    if (limit > e->cfg.transfer_bytes)
        limit = e->cfg.transfer_bytes;
    if (req->body.n > limit || (s->has_size1 && s->size1 > limit)) {
        engine_count(e, COUNTER_block_limit);
        reply_code(e, s->origin, CODE_TOO_LARGE, limit, now);
        return false;
    }
    *ret_limit = limit;
    return true;
}

/* A block that is there already, in a message of its own. */
static bool is_repeated(const struct transfer *t, size_t offset, struct view bytes)
{
    return offset + bytes.n <= t->body.n &&
           view_eq(view_sub(buf_view(&t->body), offset, bytes.n), bytes);
}

static void touch(struct engine *e, struct transfer *t, uint64_t now)
{
    t->touched = now;
    list_del(&t->age);
    list_push(&e->transfer_age, &t->age);
    list_del(&t->of_peer);
    list_push(&t->peer->busy->transfers, &t->of_peer);
    engine_timer_start(e, &t->timer, now + profile_exchange_lifetime(e->cfg.profile));
}

/* Block 0: begins the transfer, or begins it again. NULL when it was answered or dropped. */
static struct transfer *begin(struct engine *e, struct request *req, struct serving *s,
                              struct transfer *t, uint64_t key, uint64_t now)
{
    size_t limit;

    if (!may_begin(e, req, s, now, &limit)) {
        fail(e, t);
        return NULL;
    }
    if (t)
        restart(e, t);
    else
        t = make(e, s->origin->peer, key, now);
    if (t)
        t->body.max = limit;
    else
        pending_ignore(e, req);
    return t;
}

/* Adds the block; false when it was answered or dropped, and with it the transfer. */
static bool add(struct engine *e, struct request *req, struct serving *s, struct transfer *t,
                uint64_t now)
{
    struct origin *o = s->origin;
    size_t offset = (size_t)o->block1.num * PDU_BLOCK_SIZE(o->block1.szx);
    size_t limit = t->body.max;
    int rc;

    if (o->block1.more && is_repeated(t, offset, req->body))
        return true;
    if (offset != t->body.n) {
        fail(e, t);
        reply_code(e, o, CODE_INCOMPLETE, REPLY_NO_SIZE, now);
        return false;
    }
    rc = append(e, t, req->body, now);
    if (rc == ERR_OK)
        return true;
    if (rc == ERR_BUSY && offset > 0) {
        pending_ignore(e, req); /* there may be room when the block is repeated */
        return false;
    }
    fail(e, t);
    if (rc == ERR_LIMIT)
        reply_code(e, o, CODE_TOO_LARGE, limit, now);
    else
        pending_ignore(e, req);
    return false;
}

bool transfer_take(struct engine *e, struct request *req, struct serving *s, const struct pdu *pdu,
                   uint64_t now, struct transfer **ret_transfer)
{
    struct origin *o = s->origin;
    uint64_t key = key_of(e, &o->flow, pdu);
    struct wanted wanted = {o->peer, key};
    struct transfer *t = table_get(e->transfers, key, transfer_eq, &wanted);
    size_t size = PDU_BLOCK_SIZE(o->block1.szx);
    bool more = o->block1.more;
    size_t limit;

    req->internal = s;
    if (more ? req->body.n != size : req->body.n > size) {
        reply_code(e, o, CODE_BAD_REQUEST, REPLY_NO_SIZE, now);
        return false;
    }
    if (o->block1.num == 0 && !more) { /* a body of one block needs no transfer */
        fail(e, t);
        return may_begin(e, req, s, now, &limit);
    }
    if (o->block1.num == 0) {
        t = begin(e, req, s, t, key, now);
        if (!t)
            return false;
    }
    if (!t) {
        reply_code(e, o, CODE_INCOMPLETE, REPLY_NO_SIZE, now);
        return false;
    }
    if (!add(e, req, s, t, now))
        return false;
    if (more) {
        touch(e, t, now);
        reply_code(e, o, PDU_CONTINUE, REPLY_NO_SIZE, now);
        return false;
    }
    unlist(e, t);
    req->body = buf_view(&t->body);
    *ret_transfer = t;
    return true;
}
