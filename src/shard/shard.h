/*
 * shard: the parts of a server put together, N times.
 *
 * core.c is the composition root of one shard without threads, sockets, libuv or a clock: the
 * simulation runs exactly this. worker.c gives a core its loop, sockets and mailboxes. directory.c
 * says who owns what. MUST keep all of a device on one shard at a time. MUST NOT call SQLite or
 * block.
 */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "lwm2m/lwm2m.h"
#include "net/net.h"
#include "store/read.h"

/* ---- directory: endpoint and registration id → owner --------------------------------------- */

/* Shared by all shards and the API; striped locks held for a look-up only. */
struct directory;
struct directory *directory_new(uint16_t shards, const struct hash_key *key);
void directory_free(struct directory *dir); /* every claim must have been released */
/* Rows and generations continue above these. Before use. */
void directory_set_high_water(struct directory *dir, uint64_t row, uint64_t generation);

/* So many claims are about to be restored: before the first. */
void directory_reserve(struct directory *dir, size_t claims);

/* The committed owner of an endpoint. */
struct directory_entry {
    uint64_t id, row, generation, identity_hash;
    uint16_t shard;
};
int directory_find(struct directory *dir, struct view endpoint, struct directory_entry *ret_entry);
int directory_locate(struct directory *dir, uint64_t registration_id, uint16_t *ret_shard);
size_t directory_size(struct directory *dir);

/* See domain_ops.claim. `random` is the caller's. The slot of the id is congruent to `shard`. */
int directory_claim(struct directory *dir, uint16_t shard, struct view endpoint,
                    uint64_t identity_hash, bool keep, const struct claim *except,
                    struct random *random, struct claim **ret_claim);
/* A committed claim from the store. ERR_EXISTS when endpoint or id is taken. */
int directory_restore(struct directory *dir, uint16_t shard, const struct registration *r,
                      struct claim **ret_claim);
/* ERR_STALE when a newer generation is committed. `ret_old`: what it displaced; its shard is
 * UINT16_MAX when that is nothing. */
int directory_commit(struct directory *dir, struct claim *c, struct directory_entry *ret_old);
void directory_release(struct directory *dir, struct claim *c);
/* The device lives on another shard now. False: a newer claim of its endpoint is committed. */
bool directory_set_shard(struct directory *dir, const struct claim *c, uint16_t shard);

/* ---- move: a live device between shards ---------------------------------------------------- */

enum move_kind {
    MOVE_WANTED, /* to the owner: give me this registration */
    MOVE_GIVEN,  /* back: here it is */
    MOVE_DENIED, /* back: it is not here */
    MOVE_EVICT   /* to the old owner: a newer registration is committed */
};
struct move {
    struct mbox_node node;
    enum move_kind kind;
    uint16_t from;
    uint64_t id;             /* registration id */
    struct device *device;   /* GIVEN; owned */
    struct pending *pending; /* of the shard that asked; only it looks inside */
};

/* ---- handover: a datagram that arrived on the wrong shard ---------------------------------- */

struct handover {
    struct mbox_node node;
    struct flow flow;
    size_t n;
    uint8_t bytes[];
};

/* ---- core: one shard without libuv --------------------------------------------------------- */

struct core_out {
    void (*send)(void *ctx, const struct flow *flow, struct view datagram);
    int (*txn)(void *ctx, struct txn *t /* takes on success */);
    /* How full the queue behind `txn` is, permille; asked now and then. NULL: never. */
    unsigned (*store_load)(void *ctx);
    void (*event)(void *ctx, struct event *e /* takes */);
    void (*move)(void *ctx, uint16_t to, struct move *m /* takes */);
    void (*op)(void *ctx, uint16_t to, struct op *op /* takes */);
    int (*spool_append)(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes);
    int (*blob_read)(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                     size_t n);
};

struct core_config {
    struct engine_config engine;
    struct domain_config domain; /* shard and shards are set from here */
    uint16_t shard, shards;
    uint64_t seed[2]; /* of the random numbers of this shard */
    struct hash_key key;
    struct counters *counters; /* the creator's; outlives the core */
    /* Comma-separated beginnings of endpoint names: those devices get domain.profiles[1]. Borrowed
     * for the life of the core; NULL or "": none. */
    const char *nbiot_endpoints;
    uint32_t timeline_lines_per_s; /* kept for the record at most; 0 = none */
};

struct core;
struct core *core_new(const struct core_config *cfg, const struct core_out *out, void *ctx,
                      struct directory *dir, struct models *models, uint64_t now, int64_t wall_ms);
void core_free(struct core *c, uint64_t now);

/* These datagrams are about to be put in: what they will need is fetched from memory, all at the
 * same time. Without any effect but on speed. */
void core_ahead(struct core *c, const struct flow *flows, const struct view *datagrams, size_t n);
void core_input(struct core *c, const struct flow *flow, struct view datagram, uint64_t now);
void core_unreachable(struct core *c, const struct addr *peer, uint64_t now);
void core_op(struct core *c, struct op *op /* takes */, uint64_t now);
void core_txn_done(struct core *c, struct txn *t /* takes */, uint64_t now);
void core_move(struct core *c, struct move *m /* takes */, uint64_t now);
void core_spool_done(struct core *c, uint64_t cookie, int rc, uint64_t now);
void core_blob_bytes(struct core *c, uint64_t cookie, int rc, struct view bytes, uint64_t now);
void core_wall(struct core *c, int64_t wall_ms, uint64_t now);
void core_run(struct core *c, uint64_t now);
uint64_t core_next(const struct core *c);

/* Restart, before any input: about so many devices will be loaded. */
void core_reserve(struct core *c, uint32_t devices);
int core_load(struct core *c, const struct registration *r, const struct outage *outage,
              uint64_t now);
int core_load_observation(struct core *c, const struct observation *o, uint64_t now);
int core_load_operation(struct core *c, const struct operation *o, uint64_t now);

struct core_stats {
    struct domain_stats domain;
    struct engine_stats engine;
};
void core_stats(const struct core *c, struct core_stats *ret_stats);

/* ---- shards: the running set --------------------------------------------------------------- */

struct shards_config {
    struct core_config core; /* shard, seed are set per shard */
    uint16_t shards;
    size_t op_queue;       /* operations waiting for one shard, default 4 096 */
    const char *spool_dir; /* folder for large bodies */
};

struct shards;
/* Makes the cores; no thread yet. `event` is called on shard threads and must only hand over. */
int shards_new(const struct shards_config *cfg, struct udp_group *group, struct store *store,
               struct directory *dir, struct models *models,
               void (*event)(void *ctx, struct event *e /* takes */), void *ctx,
               struct shards **ret_shards);
/* Reads every registration, observation and open operation of the database into the cores
 * (blocking; before start). `outage_ms`: how long the server was away; deadlines are shifted by it.
 */
int shards_load(struct shards *s, const char *database, const struct outage *outage,
                uint64_t *ret_registrations);
/* Starts the threads; returns when all of them listen. */
int shards_start(struct shards *s);
/* Stops reading, ends operations with ERR_STOPPING, flushes renewals, joins the threads. */
void shards_stop(struct shards *s);
void shards_free(struct shards *s);

/* Gives the operation to the shard that owns op->endpoint. ERR_UNREGISTERED, ERR_FULL,
 * ERR_STOPPING, ERR_LOADING: the caller keeps it. Any thread. */
int shards_submit(struct shards *s, struct op *op);
uint16_t shards_count(const struct shards *s);
/* Oldest heartbeat of the threads, monotonic ms. */
uint64_t shards_beat(const struct shards *s);
/* As of at most a second ago. */
void shards_stats(const struct shards *s, uint16_t shard, struct core_stats *ret_stats);
const struct counters *shards_counters(const struct shards *s, uint16_t shard);

#endif
