/*
 * Peers: one per address that something is remembered of. An idle peer is forgotten
 * EXCHANGE_LIFETIME after its last use; the idle list keeps them in that order up to order_s,
 * because taking an exact place at each use would cost the cache lines of both neighbours every
 * time.
 */
#include "coap/internal.h"

#include <assert.h>

_Static_assert(sizeof(struct peer) <= 88, "a peer is to fit a block of 96 bytes");

static bool peer_eq(const void *item, const void *key)
{
    const struct peer *p = item;

    return addr_eq(&p->addr, key);
}

struct peer *peer_find(const struct engine *e, const struct addr *addr)
{
    return table_get(e->peers, addr_hash(&e->key, addr), peer_eq, addr);
}

uint64_t peer_ahead(const struct engine *e, const struct addr *addr)
{
    uint64_t hash = addr_hash(&e->key, addr);

    table_prefetch(e->peers, hash);
    return hash;
}

void peer_prefetch(const struct engine *e, uint64_t ahead)
{
    const struct peer *p = table_guess(e->peers, ahead);

    if (!p)
        return;
    __builtin_prefetch(p, 1);
    __builtin_prefetch((const char *)(p + 1) - 1, 1);
}

static uint32_t seconds(uint64_t now)
{
    return (uint32_t)(now / 1000);
}

static void take_place(struct engine *e, struct peer *p)
{
    p->listed_s = (uint16_t)p->used_s;
    list_push(&e->idle, &p->idle);
}

static void touch(struct engine *e, struct peer *p, uint64_t now)
{
    uint32_t now_s = seconds(now);

    /* The 15 bits of an entry's age are enough for a peer that was used meanwhile only. */
    if (!p->busy && now_s - p->used_s > e->lifetime_s)
        dedup_clear(e, p);
    else
        dedup_expire(e, p, now);
    p->used_s = now_s;
    if (list_linked(&p->idle) && (uint16_t)((uint16_t)now_s - p->listed_s) >= e->order_s) {
        list_del(&p->idle);
        take_place(e, p);
    }
}

void peer_free(struct engine *e, struct peer *p)
{
    assert(!p->busy);
    table_del(e->peers, addr_hash(&e->key, &p->addr), p);
    list_del(&p->idle);
    dedup_clear(e, p);
    mem_free(p);
}

bool peer_evict(struct engine *e)
{
    list_each(&e->idle, it)
    {
        struct peer *p = list_item(it, struct peer, idle);

        if (p == e->pinned)
            continue;
        counter_add(e->counters, COUNTER_coap_dedup_evicted, p->count);
        peer_free(e, p);
        return true;
    }
    return false;
}

static struct peer *make(struct engine *e, const struct addr *addr, uint64_t hash, uint64_t now)
{
    struct peer *p;

    if (table_size(e->peers) >= e->cfg.peer_limit) {
        if (!peer_evict(e))
            return NULL;
        engine_count(e, COUNTER_coap_peers_evicted);
    }
    p = mem_new(sizeof(*p));
    if (!p)
        return NULL;
    p->addr = *addr;
    p->cap = PEER_FEW;
    p->next_mid = (uint16_t)random_u64(e->random);
    p->used_s = seconds(now);
    if (table_put(e->peers, hash, p) < 0) {
        mem_free(p);
        return NULL;
    }
    take_place(e, p);
    return p;
}

struct peer *peer_get(struct engine *e, const struct addr *addr, uint64_t now)
{
    uint64_t hash = addr_hash(&e->key, addr);
    struct peer *p = table_get(e->peers, hash, peer_eq, addr);

    if (!p)
        return make(e, addr, hash, now);
    touch(e, p, now);
    return p;
}

int peer_hold(struct peer *p)
{
    struct busy *b = p->busy;

    if (!b) {
        b = mem_new(sizeof(*b));
        if (!b)
            return ERR_NOMEM;
        list_init(&b->exchanges);
        list_init(&b->flight);
        list_init(&b->queue);
        list_init(&b->separates);
        list_init(&b->transfers);
        list_del(&p->idle);
        p->busy = b;
    }
    b->refs++;
    return ERR_OK;
}

void peer_release(struct engine *e, struct peer *p, uint64_t now)
{
    struct busy *b = p->busy;

    assert(b && b->refs > 0);
    if (--b->refs > 0)
        return;
    assert(list_empty(&b->exchanges) && b->owed == 0 && b->transfer_count == 0);
    mem_free(b);
    p->busy = NULL;
    touch(e, p, now);
    take_place(e, p);
}

uint16_t peer_mid(struct peer *p)
{
    return p->next_mid++;
}

static bool is_due(const struct engine *e, const struct peer *p, uint64_t now)
{
    return seconds(now) - p->used_s > e->lifetime_s;
}

void peer_sweep(struct engine *e, uint64_t now, size_t budget)
{
    for (; budget > 0 && !list_empty(&e->idle); budget--) {
        struct peer *p = list_item(e->idle.next, struct peer, idle);

        if (!is_due(e, p, now) || p == e->pinned)
            return;
        peer_free(e, p);
    }
}

uint64_t peer_next_sweep(const struct engine *e)
{
    if (list_empty(&e->idle))
        return UINT64_MAX;
    return ((uint64_t)list_item(e->idle.next, struct peer, idle)->used_s + e->lifetime_s + 1) *
           1000;
}
