#include "shard/shard.h"

#include <assert.h>
#include <pthread.h>

/*
 * Two striped tables over the same claims: by endpoint and by registration id. A claim is in both
 * from its commit until its release or until a newer one displaces it. Lock order: endpoint stripe,
 * then id stripe.
 */

#define STRIPES 64
#define SLOTS 256
#define ID_RANDOM_MASK ((UINT64_C(1) << 56) - 1)

struct stripe {
    pthread_mutex_t lock;
    struct table *claims;
};

struct directory {
    struct hash_key key;
    uint16_t shards;
    _Atomic uint64_t row;
    _Atomic uint64_t generation;
    struct stripe by_endpoint[STRIPES];
    struct stripe by_id[STRIPES];
};

static struct view endpoint_of(const struct claim *c)
{
    return view_of(c->endpoint, c->endpoint_len);
}

static bool endpoint_matches(const void *item, const void *key)
{
    return view_eq(endpoint_of(item), *(const struct view *)key);
}

static bool id_matches(const void *item, const void *key)
{
    return ((const struct claim *)item)->id == *(const uint64_t *)key;
}

/* The tables use the low bits of the hash, the stripes the high ones. */
static struct stripe *stripe_of(struct stripe *stripes, uint64_t hash)
{
    return &stripes[hash >> 58];
}

static bool stripes_init(struct stripe *stripes)
{
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&stripes[i].lock, NULL);
        stripes[i].claims = table_new(0);
        if (!stripes[i].claims)
            return false;
    }
    return true;
}

static void stripes_fini(struct stripe *stripes)
{
    for (size_t i = 0; i < STRIPES; i++) {
        table_free(stripes[i].claims);
        pthread_mutex_destroy(&stripes[i].lock);
    }
}

struct directory *directory_new(uint16_t shards, const struct hash_key *key)
{
    struct directory *dir = mem_new(sizeof(*dir));

    if (!dir)
        return NULL;
    dir->key = *key;
    dir->shards = shards;
    if (!stripes_init(dir->by_endpoint) || !stripes_init(dir->by_id)) {
        directory_free(dir);
        return NULL;
    }
    return dir;
}

void directory_free(struct directory *dir)
{
    if (!dir)
        return;
    stripes_fini(dir->by_endpoint);
    stripes_fini(dir->by_id);
    mem_free(dir);
}

void directory_set_high_water(struct directory *dir, uint64_t row, uint64_t generation)
{
    atomic_store(&dir->row, row);
    atomic_store(&dir->generation, generation);
}

void directory_reserve(struct directory *dir, size_t claims)
{
    /* A stripe has some more or less than its share; without memory they grow as they go. */
    size_t each = claims / STRIPES + claims / STRIPES / 16;

    for (size_t i = 0; i < STRIPES; i++) {
        (void)table_reserve(dir->by_endpoint[i].claims, each);
        (void)table_reserve(dir->by_id[i].claims, each);
    }
}

static void entry_of(const struct claim *c, struct directory_entry *ret)
{
    *ret = (struct directory_entry){.id = c->id,
                                    .row = c->row,
                                    .generation = c->generation,
                                    .identity_hash = c->identity_hash,
                                    .shard = c->shard};
}

int directory_find(struct directory *dir, struct view endpoint, struct directory_entry *ret_entry)
{
    uint64_t hash = hash_bytes(&dir->key, endpoint);
    struct stripe *s = stripe_of(dir->by_endpoint, hash);
    const struct claim *c;

    pthread_mutex_lock(&s->lock);
    c = table_get(s->claims, hash, endpoint_matches, &endpoint);
    if (c)
        entry_of(c, ret_entry);
    pthread_mutex_unlock(&s->lock);
    return c ? ERR_OK : ERR_UNREGISTERED;
}

int directory_locate(struct directory *dir, uint64_t registration_id, uint16_t *ret_shard)
{
    uint64_t hash = hash_u64(&dir->key, registration_id);
    struct stripe *s = stripe_of(dir->by_id, hash);
    const struct claim *c;

    pthread_mutex_lock(&s->lock);
    c = table_get(s->claims, hash, id_matches, &registration_id);
    if (c)
        *ret_shard = c->shard;
    pthread_mutex_unlock(&s->lock);
    return c ? ERR_OK : ERR_NOTFOUND;
}

size_t directory_size(struct directory *dir)
{
    size_t n = 0;

    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_lock(&dir->by_endpoint[i].lock);
        n += table_size(dir->by_endpoint[i].claims);
        pthread_mutex_unlock(&dir->by_endpoint[i].lock);
    }
    return n;
}

static struct claim *claim_alloc(struct view endpoint, uint16_t shard, uint64_t identity_hash)
{
    struct claim *c = mem_new(sizeof(*c) + endpoint.n + 1);

    assert(endpoint.n <= ENDPOINT_MAX);
    if (!c)
        return NULL;
    memcpy(c->endpoint, endpoint.p, endpoint.n);
    c->endpoint_len = (uint8_t)endpoint.n;
    c->shard = shard;
    c->identity_hash = identity_hash;
    return c;
}

/* A slot that leads to this shard: the high byte of every id minted for the device (architecture
 * D7). */
static uint64_t mint_id(struct directory *dir, uint16_t shard, struct random *random)
{
    uint16_t owner;
    uint64_t id;

    do {
        uint64_t choices = ((uint64_t)SLOTS - shard + dir->shards - 1) / dir->shards;
        uint64_t slot = shard + dir->shards * random_below(random, choices);

        id = slot << 56 | (random_u64(random) & ID_RANDOM_MASK);
    } while (directory_locate(dir, id, &owner) == ERR_OK);
    return id;
}

int directory_claim(struct directory *dir, uint16_t shard, struct view endpoint,
                    uint64_t identity_hash, bool keep, const struct claim *except,
                    struct random *random, struct claim **ret_claim)
{
    struct directory_entry old;
    struct claim *c;

    if (directory_find(dir, endpoint, &old) == ERR_OK) {
        bool own = except && except->id == old.id;

        if (old.identity_hash != 0 && old.identity_hash != identity_hash)
            return ERR_REFUSED;
        if (keep && !own)
            return ERR_REFUSED;
    }
    c = claim_alloc(endpoint, shard, identity_hash);
    if (!c)
        return ERR_NOMEM;
    c->id = mint_id(dir, shard, random);
    c->row = atomic_fetch_add(&dir->row, 1) + 1;
    c->generation = atomic_fetch_add(&dir->generation, 1) + 1;
    *ret_claim = c;
    return ERR_OK;
}

static int put_id(struct directory *dir, struct claim *c)
{
    uint64_t hash = hash_u64(&dir->key, c->id);
    struct stripe *s = stripe_of(dir->by_id, hash);
    int rc;

    pthread_mutex_lock(&s->lock);
    rc =
        table_get(s->claims, hash, id_matches, &c->id) ? ERR_EXISTS : table_put(s->claims, hash, c);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static void del_id(struct directory *dir, const struct claim *c)
{
    uint64_t hash = hash_u64(&dir->key, c->id);
    struct stripe *s = stripe_of(dir->by_id, hash);

    pthread_mutex_lock(&s->lock);
    table_del(s->claims, hash, c);
    pthread_mutex_unlock(&s->lock);
}

/* Under the lock of the endpoint's stripe: c becomes the committed claim, `old` (may be NULL)
 * leaves. */
static int replace_locked(struct directory *dir, struct stripe *s, uint64_t hash, struct claim *old,
                          struct claim *c)
{
    int rc = put_id(dir, c);

    if (rc < 0)
        return rc;
    if (old) {
        table_del(s->claims, hash, old);
        del_id(dir, old);
    }
    rc = table_put(s->claims, hash, c);
    if (rc < 0) {
        del_id(dir, c);
        return rc;
    }
    c->committed = true;
    return ERR_OK;
}

int directory_commit(struct directory *dir, struct claim *c, struct directory_entry *ret_old)
{
    struct view endpoint = endpoint_of(c);
    uint64_t hash = hash_bytes(&dir->key, endpoint);
    struct stripe *s = stripe_of(dir->by_endpoint, hash);
    struct directory_entry old_entry = {.shard = UINT16_MAX};
    struct claim *old;
    int rc;

    pthread_mutex_lock(&s->lock);
    old = table_get(s->claims, hash, endpoint_matches, &endpoint);
    if (old && old->generation > c->generation) {
        rc = ERR_STALE;
    } else {
        if (old)
            entry_of(old, &old_entry);
        rc = replace_locked(dir, s, hash, old, c);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc == ERR_OK)
        *ret_old = old_entry;
    return rc;
}

int directory_restore(struct directory *dir, uint16_t shard, const struct registration *r,
                      struct claim **ret_claim)
{
    uint64_t hash = hash_bytes(&dir->key, r->endpoint);
    struct stripe *s = stripe_of(dir->by_endpoint, hash);
    struct claim *c = claim_alloc(r->endpoint, shard, 0);
    int rc;

    if (!c)
        return ERR_NOMEM;
    c->id = r->id;
    c->row = r->row;
    c->generation = r->generation;
    if (r->identity.type != IDENTITY_NONE)
        c->identity_hash = identity_hash(&dir->key, &r->identity);
    pthread_mutex_lock(&s->lock);
    if (table_get(s->claims, hash, endpoint_matches, &r->endpoint))
        rc = ERR_EXISTS;
    else
        rc = replace_locked(dir, s, hash, NULL, c);
    pthread_mutex_unlock(&s->lock);
    if (rc < 0) {
        mem_free(c);
        return rc;
    }
    *ret_claim = c;
    return ERR_OK;
}

void directory_release(struct directory *dir, struct claim *c)
{
    if (!c)
        return;
    if (c->committed) {
        uint64_t hash = hash_bytes(&dir->key, endpoint_of(c));
        struct stripe *s = stripe_of(dir->by_endpoint, hash);

        pthread_mutex_lock(&s->lock);
        if (table_del(s->claims, hash, c))
            del_id(dir, c);
        pthread_mutex_unlock(&s->lock);
    }
    mem_free(c);
}

bool directory_set_shard(struct directory *dir, const struct claim *c, uint16_t shard)
{
    struct view endpoint = endpoint_of(c);
    uint64_t hash = hash_bytes(&dir->key, endpoint);
    uint64_t id_hash = hash_u64(&dir->key, c->id);
    struct stripe *s = stripe_of(dir->by_endpoint, hash);
    struct stripe *by_id = stripe_of(dir->by_id, id_hash);
    struct claim *held;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&by_id->lock);
    held = table_get(s->claims, hash, endpoint_matches, &endpoint);
    if (held == c)
        held->shard = shard;
    pthread_mutex_unlock(&by_id->lock);
    pthread_mutex_unlock(&s->lock);
    return held == c;
}
