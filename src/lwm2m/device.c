#include "lwm2m/run.h"

#include <assert.h>

/*
 * Devices live in chunks and are named by a 32-bit index, so that the links of two tables cost a
 * device eight bytes. A chunk is never given back: what left makes room for what comes.
 */

#define CHUNK 4096u
#define CHUNK_BYTES (CHUNK * sizeof(struct device))
#define BLOCK_CHUNKS ((uint32_t)(MEM_HUGE / CHUNK_BYTES))
/* A device is two lines, which the processor fetches as a pair. */
#define CACHE_LINES 128

/* ---- pool ------------------------------------------------------------------------------------ */

struct device *device_at(const struct domain *d, uint32_t index)
{
    return &d->pool.chunks[(index - 1) / CHUNK][(index - 1) % CHUNK];
}

void device_prefetch(const struct device *dev)
{
    if (dev == NULL)
        return;
    __builtin_prefetch(dev, 1);
    __builtin_prefetch(&dev->timer, 1);
}

static int make_room(struct device_pool *pool)
{
    uint32_t cap = pool->chunk_cap == 0 ? 16 : pool->chunk_cap * 2;
    struct device **chunks;

    if (pool->chunk_count + BLOCK_CHUNKS <= pool->chunk_cap)
        return ERR_OK;
    chunks = mem_resize(pool->chunks, cap * sizeof(struct device *));
    if (chunks == NULL)
        return ERR_NOMEM;
    pool->chunks = chunks;
    pool->chunk_cap = cap;
    return ERR_OK;
}

/* The first chunk comes alone, for servers of few devices; the others in blocks. */
static int add_chunks(struct device_pool *pool)
{
    uint32_t n = pool->chunk_count == 0 ? 1 : BLOCK_CHUNKS;
    struct device *block;

    if (make_room(pool) < 0)
        return ERR_NOMEM;
    block = n == 1 ? mem_new_aligned(CHUNK_BYTES, CACHE_LINES) : mem_new_huge(MEM_HUGE);
    if (block == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        pool->chunks[pool->chunk_count++] = block + i * CHUNK;
    return ERR_OK;
}

void device_pool_fini(struct device_pool *pool)
{
    for (uint32_t i = 0; i < pool->chunk_count; i += i == 0 ? 1 : BLOCK_CHUNKS)
        mem_free(pool->chunks[i]);
    mem_free(pool->chunks);
}

struct device *device_new(struct domain *d)
{
    struct device_pool *pool = &d->pool;
    struct device *dev;

    if (pool->free != 0) {
        dev = device_at(d, pool->free);
        pool->free = dev->next[0];
        dev->next[0] = 0;
        return dev;
    }
    if (pool->made == pool->chunk_count * CHUNK && add_chunks(pool) < 0)
        return NULL;
    pool->made++;
    dev = device_at(d, pool->made);
    dev->self = pool->made;
    return dev;
}

void device_delete(struct domain *d, struct device *dev)
{
    uint32_t self = dev->self;

    assert((dev->flags & DEVICE_LISTED) == 0 && !timer_active(&dev->timer));
    if (dev->rare != NULL)
        device_rare_free(dev->rare);
    objlist_pool_unref(d, dev->list);
    *dev = (struct device){.self = self};
    dev->next[0] = d->pool.free;
    d->pool.free = self;
}

size_t device_bytes(const struct domain *d)
{
    size_t bytes = d->pool.chunk_count * CHUNK * sizeof(struct device) +
                   d->pool.chunk_cap * sizeof(struct device *);

    for (int i = 0; i < CHAIN_COUNT; i++)
        bytes += chain_bytes(&d->chains[i]);
    return bytes;
}

/* ---- tables ---------------------------------------------------------------------------------- */

void device_insert(struct domain *d, struct device *dev)
{
    chain_put(d, CHAIN_ID, dev);
    dev->flags |= DEVICE_LISTED;
    d->device_count++;
    device_claim_addr(d, dev);
}

static void leave_addr(struct domain *d, struct device *dev)
{
    if ((dev->flags & DEVICE_AT_ADDR) == 0)
        return;
    chain_del(d, CHAIN_ADDR, dev);
    dev->flags &= (uint8_t)~DEVICE_AT_ADDR;
}

struct device *device_by_endpoint(struct domain *d, struct view endpoint)
{
    uint64_t id;

    return d->ops->find(d->ctx, endpoint, &id) == ERR_OK ? chain_by_id(d, id) : NULL;
}

void device_remove(struct domain *d, struct device *dev)
{
    if ((dev->flags & DEVICE_LISTED) == 0)
        return;
    leave_addr(d, dev);
    chain_del(d, CHAIN_ID, dev);
    dev->flags &= (uint8_t)~DEVICE_LISTED;
    d->device_count--;
}

/* One device per address: a gateway or a simulator that speaks for thousands must not make a chain
 * of thousands. The last to talk is the one a Send from there belongs to. */
void device_claim_addr(struct domain *d, struct device *dev)
{
    struct device *other;

    if ((dev->flags & DEVICE_AT_ADDR) != 0)
        return;
    other = chain_by_addr(d, &dev->peer);
    if (other != NULL)
        leave_addr(d, other);
    chain_put(d, CHAIN_ADDR, dev);
    dev->flags |= DEVICE_AT_ADDR;
}

void device_set_flow(struct domain *d, struct device *dev, const struct flow *flow)
{
    leave_addr(d, dev);
    dev->peer = flow->peer;
    dev->local = locals_number(d, &flow->local);
    dev->transport = flow->transport;
    dev->listener = flow->listener;
    if ((dev->flags & DEVICE_LISTED) != 0)
        device_claim_addr(d, dev);
}

bool device_has_flow(const struct domain *d, const struct device *dev, const struct flow *flow)
{
    return addr_eq(&dev->peer, &flow->peer) && dev->transport == flow->transport &&
           dev->listener == flow->listener &&
           (dev->local == 0 || addr_eq(locals_addr(d, dev->local), &flow->local));
}

void device_flow(const struct domain *d, const struct device *dev, struct flow *ret_flow)
{
    *ret_flow = (struct flow){.peer = dev->peer,
                              .local = *locals_addr(d, dev->local),
                              .transport = dev->transport,
                              .listener = dev->listener};
}

/* ---- what few devices have ------------------------------------------------------------------- */

struct device_rare *device_rare(struct device *dev)
{
    if (dev->rare == NULL) {
        dev->rare = mem_new(sizeof(*dev->rare));
        if (dev->rare != NULL) {
            list_init(&dev->rare->reports);
            list_init(&dev->rare->runs);
            list_init(&dev->rare->lates);
        }
    }
    return dev->rare;
}

void device_rare_free(struct device_rare *rare)
{
    assert(list_empty(&rare->reports) && list_empty(&rare->runs) && list_empty(&rare->lates) &&
           rare->job == NULL && rare->waiting == NULL);
    mem_free(rare->sms);
    mem_free(rare->pid);
    mem_free(rare->unknown);
    mem_free(rare->identity_name);
    mem_free(rare);
}

void device_trim(struct device *dev)
{
    const struct device_rare *r = dev->rare;

    if (r == NULL || r->sms != NULL || r->pid != NULL || r->unknown != NULL ||
        r->identity_type != IDENTITY_NONE || !list_empty(&r->reports) || !list_empty(&r->runs) ||
        !list_empty(&r->lates) || r->job != NULL || r->waiting != NULL)
        return;
    device_rare_free(dev->rare);
    dev->rare = NULL;
}

int device_set_text(char **slot, struct view v)
{
    char *text = NULL;

    if (v.n > 0) {
        text = mem_text(v.p, v.n);
        if (text == NULL)
            return ERR_NOMEM;
    }
    mem_free(*slot);
    *slot = text;
    return ERR_OK;
}

int device_set_identity(struct device *dev, const struct identity *id)
{
    struct device_rare *rare;
    int rc;

    if (id->type == IDENTITY_NONE)
        return ERR_OK;
    rare = device_rare(dev);
    if (rare == NULL)
        return ERR_NOMEM;
    rc = device_set_text(&rare->identity_name, id->name);
    if (rc == ERR_OK)
        rare->identity_type = (uint8_t)id->type;
    return rc;
}

void device_identity(const struct device *dev, struct identity *ret_identity)
{
    *ret_identity = (struct identity){.type = IDENTITY_NONE};
    if (dev->rare == NULL || dev->rare->identity_type == IDENTITY_NONE)
        return;
    ret_identity->type = dev->rare->identity_type;
    ret_identity->name = view_str(dev->rare->identity_name);
}

bool device_speaks(struct domain *d, const struct device *dev, const struct flow *flow)
{
    struct identity own, peer;

    device_identity(dev, &own);
    if (own.type == IDENTITY_NONE && device_has_flow(d, dev, flow))
        return true;
    d->ops->identity(d->ctx, flow, &peer);
    return identity_eq(&own, &peer);
}

bool device_is_from(struct domain *d, const struct device *dev, const struct flow *flow)
{
    if ((dev->rare == NULL || dev->rare->identity_type == IDENTITY_NONE) &&
        !addr_eq(&flow->peer, &dev->peer))
        return false;
    return device_speaks(d, dev, flow);
}

/* ---- reading and noting ---------------------------------------------------------------------- */

struct view device_endpoint(const struct device *dev)
{
    return view_of(dev->claim->endpoint, dev->claim->endpoint_len);
}

void device_snapshot(const struct domain *d, const struct device *dev, uint64_t now,
                     struct registration *ret)
{
    const struct device_rare *rare = dev->rare;

    *ret = (struct registration){
        .row = dev->claim->row,
        .id = dev->id,
        .generation = dev->claim->generation,
        .endpoint = device_endpoint(dev),
        .version = dev->version,
        .lifetime_s = dev->lifetime_s,
        .lifetime_given = (dev->flags & DEVICE_LIFETIME_GIVEN) != 0,
        .binding = dev->binding,
        .queue_mode = (dev->flags & DEVICE_QUEUE) != 0,
        .awake = presence_awake(dev),
        .awake_until_ms = presence_until(d, dev, now),
        .sms = view_str(rare != NULL ? rare->sms : NULL),
        .profile = view_str(rare != NULL ? rare->pid : NULL),
        .unknown = view_str(rare != NULL ? rare->unknown : NULL),
        .links = dev->list->text,
        .registered_ms = (int64_t)dev->registered_s * 1000,
        .updated_ms = (int64_t)dev->updated_s * 1000,
        .seen_ms = (int64_t)dev->seen_s * 1000,
        .expires_ms = expiry_unix_ms(d, dev, now),
    };
    device_flow(d, dev, &ret->flow);
    device_identity(dev, &ret->identity);
}

void device_seen(struct domain *d, struct device *dev, uint64_t now)
{
    dev->seen_s = (uint32_t)(domain_unix_ms(d, now) / 1000);
    presence_heard(d, dev, now);
    renewal_note(d, dev, now);
}

void device_choose_profile(struct domain *d, struct device *dev)
{
    if (d->ops->profile != NULL)
        dev->profile = d->ops->profile(d->ctx, device_endpoint(dev));
}

const struct profile *device_profile(const struct domain *d, const struct device *dev)
{
    return &d->cfg.profiles[dev->profile < d->cfg.profile_count ? dev->profile : 0];
}
