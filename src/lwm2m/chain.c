#include "lwm2m/internal.h"

/*
 * Linear hashing (Litwin): the table grows by one bucket with each device it gains, so it always
 * has about one device a bucket and no insertion pays for a doubling. Heads and links are 32-bit
 * indexes: eight bytes a device and table.
 *
 * With very many devices each head and each device is a cache miss, so what is needed soon is asked
 * for ahead of time.
 */

#define SEGMENT 4096u
/* Splits of buckets between the prefetch of a device and its use. */
#define GROWTH_AHEAD 8

int chain_init(struct chain *c)
{
    c->segments = mem_new(sizeof(*c->segments));
    if (c->segments == NULL)
        return ERR_NOMEM;
    c->segments[0] = mem_new(SEGMENT * sizeof(**c->segments));
    if (c->segments[0] == NULL)
        return ERR_NOMEM;
    c->segment_cap = 1;
    c->buckets = SEGMENT;
    c->mask = SEGMENT - 1;
    return ERR_OK;
}

void chain_fini(struct chain *c)
{
    for (uint32_t i = 0; c->segments != NULL && i < c->segment_cap; i++)
        mem_free(c->segments[i]);
    mem_free(c->segments);
    *c = (struct chain){0};
}

static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t hash_of(const struct domain *d, enum chain_kind kind, const struct device *dev)
{
    switch (kind) {
    case CHAIN_ID: /* random bits of our own */
        return fold(dev->id);
    case CHAIN_ADDR:
        return fold(addr_hash(&d->key, &dev->peer));
    case CHAIN_COUNT:
        break;
    }
    return 0;
}

static uint32_t bucket_of(const struct chain *c, uint32_t hash)
{
    uint32_t bucket = hash & c->mask;

    return bucket < c->buckets ? bucket : bucket & c->mask >> 1;
}

static uint32_t *head_of(const struct chain *c, uint32_t bucket)
{
    return &c->segments[bucket / SEGMENT][bucket % SEGMENT];
}

/* Room for the heads of a segment; false leaves the table as it is: longer chains, still right. */
static bool add_segment(struct chain *c, uint32_t index)
{
    if (index >= c->segment_cap) {
        uint32_t cap = c->segment_cap * 2;
        uint32_t **segments = mem_resize(c->segments, cap * sizeof(*segments));

        if (segments == NULL)
            return false;
        memset(segments + c->segment_cap, 0, (cap - c->segment_cap) * sizeof(*segments));
        c->segments = segments;
        c->segment_cap = cap;
    }
    if (c->segments[index] == NULL)
        c->segments[index] = mem_new(SEGMENT * sizeof(**c->segments));
    return c->segments[index] != NULL;
}

void chain_reserve(struct chain *c, uint32_t devices)
{
    if (c->size > 0)
        return;
    while (c->buckets < devices && add_segment(c, c->buckets / SEGMENT)) {
        c->buckets += SEGMENT;
        if (c->buckets - 1 > c->mask)
            c->mask = c->mask << 1 | 1;
    }
}

/* The bucket that is split a few insertions from now. */
static void prefetch_growth(struct domain *d, const struct chain *c, uint32_t added)
{
    uint32_t first;

    added += GROWTH_AHEAD;
    if (added > c->mask)
        return;
    first = *head_of(c, added & c->mask >> 1);
    if (first != 0)
        __builtin_prefetch(device_at(d, first), 1);
}

/* One bucket more: takes its share of the bucket that has answered for it so far. */
static void grow(struct domain *d, enum chain_kind kind)
{
    struct chain *c = &d->chains[kind];
    uint32_t added = c->buckets;
    uint32_t *from, *to;

    if (added == UINT32_MAX || !add_segment(c, added / SEGMENT))
        return;
    if (added > c->mask)
        c->mask = c->mask << 1 | 1;
    c->buckets++;
    prefetch_growth(d, c, added);
    from = head_of(c, added & c->mask >> 1);
    to = head_of(c, added);
    while (*from != 0) {
        struct device *dev = device_at(d, *from);

        if (bucket_of(c, hash_of(d, kind, dev)) != added) {
            from = &dev->next[kind];
            continue;
        }
        *from = dev->next[kind];
        dev->next[kind] = 0;
        *to = dev->self;
        to = &dev->next[kind];
    }
}

void chain_put(struct domain *d, enum chain_kind kind, struct device *dev)
{
    struct chain *c = &d->chains[kind];
    uint32_t *head;

    if (c->size >= c->buckets)
        grow(d, kind);
    head = head_of(c, bucket_of(c, hash_of(d, kind, dev)));
    dev->next[kind] = *head;
    *head = dev->self;
    c->size++;
}

void chain_del(struct domain *d, enum chain_kind kind, struct device *dev)
{
    struct chain *c = &d->chains[kind];
    uint32_t *link = head_of(c, bucket_of(c, hash_of(d, kind, dev)));

    while (*link != 0 && *link != dev->self)
        link = &device_at(d, *link)->next[kind];
    if (*link == 0)
        return;
    *link = dev->next[kind];
    dev->next[kind] = 0;
    c->size--;
}

static uint32_t first_of(const struct domain *d, enum chain_kind kind, uint32_t hash)
{
    const struct chain *c = &d->chains[kind];

    return *head_of(c, bucket_of(c, hash));
}

void chain_prefetch(const struct domain *d, uint64_t id)
{
    const struct chain *c = &d->chains[CHAIN_ID];

    __builtin_prefetch(head_of(c, bucket_of(c, fold(id))));
}

const struct device *chain_guess(const struct domain *d, uint64_t id, unsigned nth)
{
    uint32_t i = first_of(d, CHAIN_ID, fold(id));

    for (; i != 0 && nth > 0; nth--)
        i = device_at(d, i)->next[CHAIN_ID];
    return i != 0 ? device_at(d, i) : NULL;
}

struct device *chain_by_id(struct domain *d, uint64_t id)
{
    for (uint32_t i = first_of(d, CHAIN_ID, fold(id)); i != 0;) {
        struct device *dev = device_at(d, i);

        if (dev->id == id)
            return dev;
        i = dev->next[CHAIN_ID];
    }
    return NULL;
}

struct device *chain_by_addr(struct domain *d, const struct addr *peer)
{
    for (uint32_t i = first_of(d, CHAIN_ADDR, fold(addr_hash(&d->key, peer))); i != 0;) {
        struct device *dev = device_at(d, i);

        if (addr_eq(&dev->peer, peer))
            return dev;
        i = dev->next[CHAIN_ADDR];
    }
    return NULL;
}

size_t chain_bytes(const struct chain *c)
{
    size_t bytes = c->segment_cap * sizeof(*c->segments);

    for (uint32_t i = 0; i < c->segment_cap; i++)
        bytes += c->segments[i] != NULL ? SEGMENT * sizeof(**c->segments) : 0;
    return bytes;
}
