/*
 * Requests to devices: queue behind NSTART, transmission and retransmission, and the end, which
 * comes exactly once. What a response means is decided in block.c.
 *
 * A transfer in blocks is one exchange: each block is a Confirmable message with a MID of its own
 * and the same token, except that what follows the first block of an observed resource has a fresh
 * token, because notifications keep arriving under the first one.
 */
#include "coap/internal.h"

#include <assert.h>
#include <endian.h>

static void on_timer(struct engine *e, struct engine_timer *t, uint64_t now);

static bool by_token(const void *item, const void *key)
{
    return ((const struct exchange *)item)->token == *(const uint64_t *)key;
}

static bool by_cookie(const void *item, const void *key)
{
    return ((const struct exchange *)item)->cookie == *(const uint64_t *)key;
}

static bool by_relation(const void *item, const void *key)
{
    return ((const struct exchange *)item)->relation == *(const uint64_t *)key;
}

static bool by_observed(const void *item, const void *key)
{
    return ((const struct exchange *)item)->observed == *(const uint64_t *)key;
}

static struct exchange *lookup(const struct engine *e, const struct table *t, table_eq_fn eq,
                               uint64_t key)
{
    return table_get(t, hash_u64(&e->key, key), eq, &key);
}

static bool belongs(const struct exchange *x, const struct flow *flow)
{
    return addr_eq(&x->flow.peer, &flow->peer) && x->flow.transport == flow->transport;
}

struct exchange *exchange_find(const struct engine *e, const struct flow *flow, uint64_t token)
{
    struct exchange *x = lookup(e, e->tokens, by_token, token);

    return x && belongs(x, flow) ? x : NULL;
}

bool exchange_token_taken(const struct engine *e, uint64_t token)
{
    return lookup(e, e->tokens, by_token, token) || lookup(e, e->fetches, by_observed, token);
}

struct exchange *exchange_fetching(const struct engine *e, uint64_t relation)
{
    return lookup(e, e->fetches, by_relation, relation);
}

struct exchange *exchange_observing(const struct engine *e, const struct flow *flow, uint64_t token)
{
    struct exchange *x = lookup(e, e->fetches, by_observed, token);

    return x && belongs(x, flow) ? x : NULL;
}

struct exchange *exchange_by_mid(const struct flow *flow, const struct peer *p, uint16_t mid)
{
    if (!p->busy)
        return NULL;
    list_each(&p->busy->flight, it)
    {
        struct exchange *x = list_item(it, struct exchange, line);

        if (x->mid == mid && x->flow.transport == flow->transport)
            return x;
    }
    return NULL;
}

bool exchange_listens(const struct exchange *x)
{
    return x->state == EXCHANGE_FLIGHT || x->state == EXCHANGE_ACKED;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* A request for a further block of the answer repeats the body of a FETCH, which is part of what is
 * asked for (RFC 8132 section 2); of other methods it would be a second command. A body that went
 * in blocks is not repeated, but its format is: the peer knows the transfer by its options. */
static bool carries_body(const struct exchange *x)
{
    return !x->down.on || (x->code == PDU_FETCH && !x->up.blocks);
}

static int encode(struct engine *e, const struct exchange *x, struct view body,
                  struct view *ret_datagram)
{
    uint64_t token = htobe64(x->token);
    struct pdu_writer w;

    pdu_begin(&w, e->out, e->cfg.message_max, PDU_CON, x->code, x->mid,
              view_of(&token, sizeof(token)));
    if (x->observe >= 0 && !x->down.on)
        pdu_put_uint(&w, PDU_OBSERVE, (uint32_t)x->observe);
    pdu_put_path(&w, PDU_URI_PATH, x->path);
    if (x->format != FORMAT_NONE && (carries_body(x) || x->code == PDU_FETCH))
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)x->format);
    pdu_put_query(&w, PDU_URI_QUERY, x->query);
    if (x->accept != FORMAT_NONE)
        pdu_put_uint(&w, PDU_ACCEPT, (uint32_t)x->accept);
    if (x->down.on)
        pdu_put_uint(&w, PDU_BLOCK2, pdu_block_encode(block_wanted(x)));
    else if (x->up.blocks)
        pdu_put_uint(&w, PDU_BLOCK1, pdu_block_encode(block_sent(x)));
    if (!x->down.on && x->up.blocks && x->up.offset == 0 && x->up.size <= UINT32_MAX)
        pdu_put_uint(&w, PDU_SIZE1, (uint32_t)x->up.size);
    if (x->echo_n > 0)
        pdu_put_option(&w, PDU_ECHO, view_of(x->echo, x->echo_n));
    pdu_put_payload(&w, body);
    return pdu_finish(&w, ret_datagram);
}

/* The same bytes each time while nothing changes in x. */
static int send_message(struct engine *e, struct exchange *x)
{
    struct view body = VIEW_NONE;
    struct view datagram;
    int rc;

    if (carries_body(x) && !block_current(x, &body))
        return ERR_INTERNAL;
    rc = encode(e, x, body, &datagram);
    if (rc == ERR_OK)
        engine_send(e, &x->flow, datagram);
    return rc;
}

/* ---- queue --------------------------------------------------------------------------------- */

/* `done` must not be called from where we are now. */
static void fail_later(struct engine *e, struct exchange *x, int rc, uint64_t now)
{
    x->rc = rc;
    x->state = EXCHANGE_FAILED;
    engine_timer_start(e, &x->timer, now);
}

static void transmit(struct engine *e, struct exchange *x, uint64_t now)
{
    int rc;

    x->mid = peer_mid(x->peer);
    x->attempts = 0;
    x->wait_ms = engine_first_wait(e, x->profile);
    rc = send_message(e, x);
    if (rc < 0) {
        fail_later(e, x, rc, now);
        return;
    }
    x->state = EXCHANGE_FLIGHT;
    list_push(&x->peer->busy->flight, &x->line);
    engine_timer_start(e, &x->timer, now + x->wait_ms);
}

/* Sends the next message of one that has its slot, or gets the bytes for it. */
static void go(struct engine *e, struct exchange *x, uint64_t now)
{
    struct view body;
    int rc;

    if (!carries_body(x) || block_current(x, &body)) {
        transmit(e, x, now);
        return;
    }
    rc = block_read(e, x);
    if (rc < 0)
        fail_later(e, x, rc, now);
}

static bool may_start(const struct exchange *x)
{
    size_t nstart = x->profile->nstart > 0 ? x->profile->nstart : 1;

    return x->peer->busy->slots < nstart;
}

/* Lets those that wait take free slots. */
static void pump(struct engine *e, struct peer *p, uint64_t now)
{
    struct busy *b = p->busy;

    while (!b->held_back && !e->held_back && !list_empty(&b->queue)) {
        struct exchange *x = list_item(b->queue.next, struct exchange, line);

        if (!may_start(x))
            return;
        list_del(&x->line);
        b->waiting--;
        b->slots++;
        x->slot = true;
        go(e, x, now);
    }
}

void exchange_begin(struct engine *e, struct exchange *x, uint64_t now)
{
    struct busy *b = x->peer->busy;

    x->state = EXCHANGE_QUEUED;
    list_push(&b->queue, &x->line);
    b->waiting++;
    pump(e, x->peer, now);
}

void exchange_advance(struct engine *e, struct exchange *x, uint64_t now)
{
    struct busy *b = x->peer->busy;

    if (x->slot) {
        go(e, x, now);
        return;
    }
    x->state = EXCHANGE_QUEUED;
    list_push_front(&b->queue, &x->line);
    b->waiting++;
    pump(e, x->peer, now);
}

/* Out of the flight or the queue, timer stopped; a slot is kept. */
static void leave(struct engine *e, struct exchange *x)
{
    if (x->state == EXCHANGE_QUEUED && list_linked(&x->line))
        x->peer->busy->waiting--;
    list_del(&x->line);
    engine_timer_stop(e, &x->timer);
}

static void give_slot(struct exchange *x)
{
    if (x->slot)
        x->peer->busy->slots--;
    x->slot = false;
}

/* ---- beginning ----------------------------------------------------------------------------- */

static struct view keep(uint8_t **at, struct view v)
{
    struct view kept = view_of(*at, v.n);

    if (v.n > 0)
        memcpy(*at, v.p, v.n);
    *at += v.n;
    return kept;
}

static int check(struct engine *e, const struct outgoing *out, const struct peer *p)
{
    assert(out->token != 0);
    if (out->blob && !out->blob->p && out->blob->size > 0 && !e->ops.blob_read)
        return ERR_UNSUPPORTED;
    if (exchange_token_taken(e, out->token))
        return ERR_EXISTS;
    if (table_size(e->tokens) >= e->cfg.exchange_limit ||
        (p && p->busy && p->busy->waiting >= e->cfg.queue_per_peer)) {
        engine_count(e, COUNTER_coap_exchange_limit);
        return ERR_FULL;
    }
    return ERR_OK;
}

static struct exchange *make(const struct engine *e, const struct outgoing *out)
{
    struct view body = out->blob ? VIEW_NONE : out->body;
    struct exchange *x = mem_new(sizeof(*x) + out->path.n + out->query.n + body.n);
    uint8_t *at;

    if (!x)
        return NULL;
    at = x->bytes;
    x->path = keep(&at, out->path);
    x->query = keep(&at, out->query);
    x->up.body = keep(&at, body);
    x->up.size = body.n;
    if (out->blob) {
        x->up.size = out->blob->size;
        if (out->blob->p)
            x->up.body = view_of(out->blob->p, (size_t)out->blob->size);
        else
            x->up.blob = out->blob;
    }
    x->up.szx = out->szx > SZX_MAX ? out->profile->szx : out->szx;
    if (x->up.szx > SZX_MAX)
        x->up.szx = SZX_MAX;
    x->flow = *out->flow;
    x->profile = out->profile;
    x->token = out->token;
    x->done = out->done;
    x->ctx = out->ctx;
    x->timeout_ms = out->timeout_ms;
    if (x->timeout_ms == 0)
        x->timeout_ms = (uint32_t)profile_max_transmit_wait(out->profile);
    x->body_limit = out->body_limit ? out->body_limit : e->cfg.body_limit;
    if (!e->ops.spool_append && x->body_limit > e->cfg.spool_threshold)
        x->body_limit = e->cfg.spool_threshold;
    x->format = out->format;
    x->accept = out->accept;
    x->observe = out->observe;
    x->code = out->code;
    x->timer.fire = on_timer;
    return x;
}

/* Takes its place in the tables. */
static int enlist(struct engine *e, struct exchange *x, struct peer *p)
{
    int rc = peer_hold(p);

    if (rc < 0)
        return rc;
    x->peer = p;
    rc = table_put(e->tokens, hash_u64(&e->key, x->token), x);
    if (rc < 0) {
        peer_release(e, p, e->now);
        return rc;
    }
    list_push(&p->busy->exchanges, &x->of_peer);
    list_push(&e->exchanges, &x->all);
    return ERR_OK;
}

int exchange_new(struct engine *e, const struct outgoing *out, uint64_t now,
                 struct exchange **ret_exchange)
{
    struct peer *p = peer_get(e, &out->flow->peer, now);
    int rc = check(e, out, p);
    struct view bare;
    struct exchange *x;

    if (rc < 0)
        return rc;
    if (!p) {
        engine_count(e, COUNTER_coap_exchange_limit);
        return ERR_FULL;
    }
    x = make(e, out);
    if (!x)
        return ERR_NOMEM;
    rc = encode(e, x, VIEW_NONE, &bare);
    if (rc == ERR_OK)
        rc = block_plan(e, x, bare.n);
    if (rc == ERR_OK)
        rc = enlist(e, x, p);
    if (rc < 0) {
        mem_free(x);
        return rc;
    }
    *ret_exchange = x;
    return ERR_OK;
}

uint64_t exchange_token(struct engine *e, uint64_t like)
{
    uint64_t slot = like & (uint64_t)0xff << 56;
    uint64_t token;

    do
        token = slot | random_u64(e->random) >> 8;
    while (token == 0 || exchange_token_taken(e, token) || relation_find(e, token));
    return token;
}

int exchange_retoken(struct engine *e, struct exchange *x)
{
    int rc = table_put(e->fetches, hash_u64(&e->key, x->token), x);

    if (rc < 0)
        return rc;
    (void)table_del(e->tokens, hash_u64(&e->key, x->token), x);
    x->observed = x->token;
    x->token = exchange_token(e, x->token);
    return table_put(e->tokens, hash_u64(&e->key, x->token), x);
}

int exchange_fetches(struct engine *e, struct exchange *x, uint64_t relation)
{
    x->relation = relation;
    return table_put(e->fetches, hash_u64(&e->key, relation), x);
}

int exchange_job(struct engine *e, struct exchange *x, enum exchange_state state)
{
    int rc;

    x->cookie = ++e->last_cookie;
    rc = table_put(e->jobs, hash_u64(&e->key, x->cookie), x);
    if (rc < 0) {
        x->cookie = 0;
        return rc;
    }
    leave(e, x);
    x->state = (uint8_t)state;
    return ERR_OK;
}

void exchange_unjob(struct engine *e, struct exchange *x)
{
    if (x->cookie)
        (void)table_del(e->jobs, hash_u64(&e->key, x->cookie), x);
    x->cookie = 0;
}

/* ---- end ----------------------------------------------------------------------------------- */

static void free_one(struct engine *e, struct exchange *x)
{
    exchange_unjob(e, x);
    block_fini(e, x);
    mem_free(x);
}

static void unlist(struct engine *e, struct exchange *x)
{
    leave(e, x);
    give_slot(x);
    list_del(&x->of_peer);
    list_del(&x->all);
    (void)table_del(e->tokens, hash_u64(&e->key, x->token), x);
    if (x->relation)
        (void)table_del(e->fetches, hash_u64(&e->key, x->relation), x);
    if (x->observed)
        (void)table_del(e->fetches, hash_u64(&e->key, x->observed), x);
}

static void finish(struct engine *e, struct exchange *x, struct answer *a, uint64_t now)
{
    struct peer *p = x->peer;
    answer_fn done = x->done;
    void *ctx = x->ctx;
    uint64_t relation = x->relation;
    bool spooling = x->state == EXCHANGE_SPOOLING;

    a->szx = x->down.on ? x->down.szx : x->up.szx;
    a->retransmissions = x->retransmissions;
    unlist(e, x);
    if (spooling) {
        /* The owner still writes to the spool: freed by exchange_spool_done, maybe within `done`.
         */
        x->state = EXCHANGE_ENDED;
        list_push(&e->ended, &x->all);
    }
    if (relation)
        relation_fetched(e, relation, a, now);
    else
        done(ctx, a, now);
    if (!spooling)
        free_one(e, x);
    pump(e, p, now);
    peer_release(e, p, now);
}

void exchange_fail(struct engine *e, struct exchange *x, int rc, uint64_t now)
{
    struct answer a = {.rc = rc, .format = FORMAT_NONE, .flow = x->flow};

    if (rc == ERR_TIMEOUT)
        engine_count(e, COUNTER_coap_timeouts);
    if (x->down.on || x->up.blocks)
        engine_count(e, COUNTER_block_transfers_failed);
    finish(e, x, &a, now);
}

/* `h`: the response that completed it, NULL when it was the spool. */
static void complete(struct engine *e, struct exchange *x, const struct heard *h, uint64_t now)
{
    struct download *d = &x->down;
    struct answer a = {.rc = ERR_OK, .flow = x->flow};

    if (h) {
        a.flow = *h->flow;
        a.code = h->pdu->code;
        a.format = h->format;
        a.observe = h->observe;
        a.sequence = h->sequence;
        a.mid = h->pdu->mid;
        a.body = h->pdu->payload;
        a.location = view_of(h->location, h->location_n);
    }
    if (d->on) {
        a.code = d->code;
        a.format = d->format;
        a.observe = d->observe;
        a.sequence = d->sequence;
        a.mid = d->mid;
        a.body = d->spool ? VIEW_NONE : buf_view(&d->buf);
        a.blob = d->spool;
        if (d->spool)
            d->spool->size = d->received;
        d->spool = NULL;
    }
    finish(e, x, &a, now);
}

/* ---- what happens to it -------------------------------------------------------------------- */

/* RFC 9175 section 2.2: the same request again, with the value the peer wants to see. */
static bool takes_echo(struct exchange *x, const struct heard *h)
{
    if (h->pdu->code != CODE_UNAUTHORIZED || h->echo.n == 0 || x->echo_n > 0)
        return false;
    x->echo_n = (uint8_t)h->echo.n;
    memcpy(x->echo, h->echo.p, h->echo.n);
    return true;
}

void exchange_heard(struct engine *e, struct exchange *x, const struct heard *h, uint64_t now)
{
    int verdict;

    if (!exchange_listens(x))
        return;
    if (h->bad)
        verdict = ERR_BADANSWER;
    else
        verdict = takes_echo(x, h) ? BLOCK_NEXT : block_heard(e, x, h);
    if (verdict == BLOCK_WAIT || verdict == BLOCK_IGNORE)
        return;
    if (verdict == BLOCK_NEXT) {
        leave(e, x);
        exchange_advance(e, x, now);
    } else if (verdict == BLOCK_DONE) {
        complete(e, x, h, now);
    } else {
        exchange_fail(e, x, verdict, now);
    }
}

void exchange_acked(struct engine *e, struct exchange *x, uint64_t now)
{
    leave(e, x);
    give_slot(x);
    x->state = EXCHANGE_ACKED;
    engine_timer_start(e, &x->timer, now + x->timeout_ms);
    pump(e, x->peer, now);
}

static void on_timer(struct engine *e, struct engine_timer *t, uint64_t now)
{
    struct exchange *x = mem_container(t, struct exchange, timer);

    if (x->state == EXCHANGE_FAILED) {
        exchange_fail(e, x, x->rc, now);
        return;
    }
    if (x->state == EXCHANGE_ACKED || x->attempts == x->profile->max_retransmit) {
        exchange_fail(e, x, ERR_TIMEOUT, now);
        return;
    }
    x->attempts++;
    x->retransmissions++;
    x->wait_ms *= 2;
    engine_count(e, COUNTER_coap_retransmissions);
    (void)send_message(e, x);
    engine_timer_start(e, &x->timer, now + x->wait_ms);
}

void exchange_spool_done(struct engine *e, uint64_t cookie, int rc, uint64_t now)
{
    struct exchange *x = lookup(e, e->jobs, by_cookie, cookie);

    if (!x)
        return;
    exchange_unjob(e, x);
    if (x->state == EXCHANGE_ENDED) {
        list_del(&x->all);
        free_one(e, x);
        return;
    }
    x->state = EXCHANGE_ACKED; /* nothing is at work any more */
    if (rc < 0) {
        exchange_fail(e, x, rc, now);
        return;
    }
    block_spooled(e, x);
    if (x->down.last)
        complete(e, x, NULL, now);
    else
        exchange_advance(e, x, now);
}

void exchange_blob_bytes(struct engine *e, uint64_t cookie, int rc, struct view bytes, uint64_t now)
{
    struct exchange *x = lookup(e, e->jobs, by_cookie, cookie);

    if (!x)
        return;
    exchange_unjob(e, x);
    if (rc == ERR_OK)
        rc = block_read_done(x, bytes);
    if (rc == ERR_OK)
        transmit(e, x, now);
    else
        fail_later(e, x, rc, now);
}

/* ---- all at once --------------------------------------------------------------------------- */

static void move_all(struct list *from, struct list *to)
{
    struct list *it;

    while ((it = list_pop(from)))
        list_push(to, it);
}

void exchange_cancel_peer(struct engine *e, const struct addr *addr, uint64_t now)
{
    struct peer *p = peer_find(e, addr);
    struct busy *b = p ? p->busy : NULL;
    struct list mine;
    bool held_back;

    if (!b || peer_hold(p) < 0)
        return;
    held_back = b->held_back;
    b->held_back = true;
    list_init(&mine);
    move_all(&b->exchanges, &mine);
    while (!list_empty(&mine))
        exchange_fail(e, list_item(mine.next, struct exchange, of_peer), ERR_CANCELLED, now);
    b->held_back = held_back;
    pump(e, p, now);
    peer_release(e, p, now);
}

void exchange_cancel_all(struct engine *e, uint64_t now)
{
    bool held_back = e->held_back;
    struct list all;

    e->held_back = true;
    list_init(&all);
    move_all(&e->exchanges, &all);
    while (!list_empty(&all))
        exchange_fail(e, list_item(all.next, struct exchange, all), ERR_CANCELLED, now);
    e->held_back = held_back;
}

void exchange_unreachable(struct engine *e, const struct addr *addr, uint64_t now)
{
    struct peer *p = peer_find(e, addr);
    struct list flight;

    if (!p || !p->busy || peer_hold(p) < 0)
        return;
    /* What leaves the queue meanwhile has not been refused yet. */
    list_init(&flight);
    move_all(&p->busy->flight, &flight);
    while (!list_empty(&flight))
        exchange_fail(e, list_item(flight.next, struct exchange, line), ERR_UNREACHABLE, now);
    separate_end_all(e, p, now);
    peer_release(e, p, now);
}

void exchange_free_all(struct engine *e)
{
    move_all(&e->ended, &e->exchanges);
    while (!list_empty(&e->exchanges)) {
        struct exchange *x = list_item(e->exchanges.next, struct exchange, all);
        bool ended = x->state == EXCHANGE_ENDED;
        struct peer *p = x->peer;

        if (ended)
            list_del(&x->all);
        else
            unlist(e, x);
        free_one(e, x);
        if (!ended)
            peer_release(e, p, e->now);
    }
}
