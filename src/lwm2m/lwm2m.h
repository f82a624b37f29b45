/*
 * lwm2m: the domain of one shard. Registration, device management, information reporting.
 *
 * MUST hold the live devices of this shard and everything LwM2M says about them. MUST NOT do I/O or
 * know net, sec, store, threads or the directory: durable writes leave as txn, facts as event,
 * ownership is asked for through domain_ops. Single-threaded; `now` is monotonic ms.
 *
 * Order of effects of a Register: tentative claim, txn, COMMIT, claim made visible (the old owner
 * is told), 2.01, then the event. Nothing that was there changes when the store fails.
 *
 * Policies, where the specification leaves room or clients need it:
 * - Overload and a failing store are silence towards devices, never 5.03.
 * - An Update from a new address is accepted without security too (NAT; some clients stop for ever
 *   on 4.04): the registration id is what its holder was given. With a proven identity the new
 *   peer must have proven the same one.
 * - A list beside profile IDs adds to what they stand for. An ID is learned from a device that was
 *   refused with it alone and then tells it together with a whole list; if another device says
 *   otherwise, the newest counts. Names are never learned. In an Update a list without /1 or /3
 *   adds to the profiles of the registration, too; a whole one replaces everything.
 * - A client that omits lt does not expire before its /1/x/1 was read or written.
 * - One operation of a device is on the wire at a time (NSTART), by priority, then in the order
 * they came. When the device moves or registers anew they are sent again, but for Execute and
 * Create that may have been done: those end with ERR_TIMEOUT.
 * - A durable operation: the store hears of it before anybody is told, of each attempt and its
 * token before the datagram leaves, of the outcome before EVENT_OPERATION. At op.deadline its
 * submitter gets ERR_ACCEPTED and it goes on. Nothing of it is in two places; the store guards
 * that. What no answer means is in settle.c, answers that come later in late.c. When the device
 * does not answer, durable operations wait until it is heard, or without queue mode for a minute
 * and longer each time. They outlive the registration in the store and come back with the next
 * Register.
 * - A durable Read, Write or Write-Attributes that equals one which still waits, with nothing
 * behind it that touches the same path, joins that: ERR_EXISTS with its id and state.
 * - Queue mode: nothing is sent to a device whose window has closed (presence.c), ERR_ASLEEP for
 *   what is not durable. Whatever it sends wakes it, and is answered before anything else is sent.
 * - An Observe that is answered without the option ends with ERR_UNSUPPORTED and the values. Asking
 *   for an observation that is active already returns it. Cancelling always ends it here. One that
 * a sleeping or silent device leaves open is stored as wanted: ERR_ACCEPTED with its token.
 * Cancelled while the device sleeps, it ends at once; its next notification is rejected.
 * - Notifications count from the present address only, unless an identity is proven.
 */
#ifndef LWM2M_LWM2M_H
#define LWM2M_LWM2M_H

#include "coap/coap.h"

struct domain;
struct device; /* a live registration; opaque outside this folder */

enum replace_policy {
    REPLACE_ALWAYS, /* without security, a new Register replaces the old registration */
    REPLACE_REFUSE  /* … only from the same address, or once the old one has expired; else 4.03 */
};

struct domain_config {
    uint32_t default_lifetime_s; /* shown of 1.0 clients that omit lt: 86 400; they never expire */
    uint32_t grace_s;            /* after the lifetime, before expiry: 93 */
    uint32_t renewal_interval_s; /* a renewal is stored within min(lifetime / 10, this): 60 */
    enum replace_policy replace;
    size_t device_limit;            /* per shard; 0 = none */
    size_t observation_limit;       /* per device: 64 */
    size_t op_limit;                /* operations of one device under way or waiting: 64 */
    size_t durable_limit;           /* durable operations waiting, per shard: 500 000 */
    size_t awaited_limit;           /* answers that may still come, per shard: 65 536 */
    uint32_t awake_window_s;        /* queue mode: how long a device of the default profile listens
                                       after its last message, 93; 0: MAX_TRANSMIT_WAIT, as others */
    size_t uplink_body_limit;       /* Register, Update, Send: 65 536 */
    size_t read_body_limit;         /* answers: 16 MiB */
    const struct profile *profiles; /* [0] is the default; domain_ops.profile chooses */
    size_t profile_count;
    struct profiles *profile_ids; /* shared by all shards; NULL: none is known or learned */
    /* Which we are, of how many: slots are minted so that slot % shards == shard. */
    uint16_t shard, shards;
};
void domain_config_defaults(struct domain_config *cfg);

struct domain_ops {
    /* Tentative claim: a new generation, registration id and row of this endpoint for this shard.
     * The committed claim, if any, is untouched. ERR_REFUSED when it belongs to a proven identity
     * other than identity_hash; with `keep` set (REPLACE_REFUSE), also when a committed claim
     * exists on any shard and is not `except`. */
    int (*claim)(void *ctx, struct view endpoint, uint64_t identity_hash, bool keep,
                 const struct claim *except, struct claim **ret_claim);
    /* Registration id of the committed claim of this endpoint, on any shard. ERR_UNREGISTERED. */
    int (*find)(void *ctx, struct view endpoint, uint64_t *ret_id);
    /* Makes it the committed one; the owner before is told to evict. ERR_STALE: a newer one won. */
    int (*claim_commit)(void *ctx, struct claim *c);
    /* Gives it back, committed (deregistered, expired, evicted) or tentative (failed). Frees it. */
    void (*claim_release)(void *ctx, struct claim *c);
    /* The registration is live on another shard: asks for it. Takes p on success: engine_replay
     * once the device has come (domain_take) or was denied. ERR_NOTFOUND: it is nowhere. */
    int (*want)(void *ctx, uint64_t registration_id, struct pending *p);
    /* True when the registration is live on another shard (cheap; asked before engine_defer). */
    bool (*elsewhere)(void *ctx, uint64_t registration_id);
    /* Who the peer of this flow has proven to be (sec); NONE for plain CoAP. Borrowed. */
    void (*identity)(void *ctx, const struct flow *flow, struct identity *ret_identity);
    /* Whether this identity may use this endpoint name: ERR_OK, ERR_ENDPOINT (4.00) or
     * ERR_FORBIDDEN (4.03). `endpoint` may be empty; then *ret_endpoint may name one derived from
     * the identity (borrowed). */
    int (*authorize)(void *ctx, const struct identity *id, struct view endpoint,
                     struct view *ret_endpoint);
    /* Index into domain_config.profiles of the network this endpoint is on, asked at Register and
     * load; past the end is the default. NULL: all are on the default one. */
    uint8_t (*profile)(void *ctx, struct view endpoint);
    /* Takes t on success, and gives it to domain_txn_done; ERR_FULL leaves it with the caller. */
    int (*txn)(void *ctx, struct txn *t);
    void (*event)(void *ctx, struct event *e /* takes */);
    /* What the device has told in answer to a Read, or taken with a Write, for the record.
     * Borrowed. NULL: nobody keeps it. */
    void (*values)(void *ctx, struct view endpoint, uint64_t registration_id,
                   enum value_origin origin, const struct batch *values, int64_t time_ms);
    /* The operation belongs to another shard now (the device has moved): takes op. */
    void (*op_elsewhere)(void *ctx, struct op *op);
};

struct domain *domain_new(const struct domain_config *cfg, const struct domain_ops *ops, void *ctx,
                          struct engine *engine, struct models *models, struct random *random,
                          struct counters *counters, const struct hash_key *key, uint64_t now,
                          int64_t wall_ms);
/* Completes all operations with ERR_STOPPING, writes pending renewals, gives all claims back. */
void domain_free(struct domain *d, uint64_t now);

/* A datagram is about to come: starts to fetch from memory what it will need. Returns what
 * domain_prefetch goes on with, or 0; other datagrams of the batch take turns between the steps. */
uint64_t domain_ahead(const struct domain *d, struct view datagram);
#define DOMAIN_PREFETCH_STEPS 3
void domain_prefetch(const struct domain *d, uint64_t ahead, int step /* from 0 */);

/* Forwarded from the engine's callbacks by the composition root. */
void domain_request(struct domain *d, struct request *req, uint64_t now);
size_t domain_body_limit(struct domain *d, const struct request *req);
int domain_notification(struct domain *d, struct relation *rel, const struct answer *a,
                        uint64_t now);
int domain_relation_outgoing(struct domain *d, struct relation *rel, struct outgoing *fill);
bool domain_stray(struct domain *d, uint64_t token, const struct answer *a, uint64_t now);

/* A command; completes exactly once through op_complete. */
void domain_op(struct domain *d, struct op *op /* takes */, uint64_t now);
/* The store has finished t. */
void domain_txn_done(struct domain *d, struct txn *t /* takes */, uint64_t now);

/* Timers: expiry (at most `budget` devices a call, so that mass expiry is braked), renewals. */
void domain_run(struct domain *d, uint64_t now, size_t budget);
uint64_t domain_next(const struct domain *d);
/* The wall clock, told once a second and after steps; it is only stored, never timed with. */
void domain_wall(struct domain *d, int64_t wall_ms, uint64_t now);

/* Restart: about so many devices are about to be loaded. */
void domain_reserve(struct domain *d, uint32_t devices);
/* How the server before this one went. */
struct outage {
    int64_t ms;  /* nobody served for so long */
    bool killed; /* it did not stop: renewals of its last minute may be missing from the store */
};
/* Restart: before any datagram. The outage shifts the deadlines, each at least a grace period from
 * now; after a kill each at least a lifetime, for the last Update may not have been stored. */
int domain_load(struct domain *d, const struct registration *r,
                struct claim *claim /* takes on success */, const struct outage *outage,
                uint64_t now);
/* ERR_NOTFOUND when its registration is not here. */
int domain_load_observation(struct domain *d, const struct observation *o, uint64_t now);
/* One that waits, or whose late answer is awaited; in the order of their ids. ERR_NOTFOUND when its
 * endpoint is not here. */
int domain_load_operation(struct domain *d, const struct operation *o, uint64_t now);

/* Moving a live device between shards: observations, waiting operations and all. Exchanges under
 * way end with ERR_CANCELLED towards the engine and are sent anew from the new shard. */
struct device *domain_give(struct domain *d, uint64_t registration_id,
                           uint64_t now); /* NULL: not here */
int domain_take(struct domain *d, struct device *dev /* takes */, uint64_t now);
/* A newer registration of the endpoint is committed elsewhere: drop this one if still here. */
void domain_evict(struct domain *d, uint64_t registration_id, uint64_t now);
/* Frees a device that no domain holds (lost move at shutdown). */
void domain_device_free(struct device *dev);
const struct claim *domain_device_claim(const struct device *dev);

struct domain_stats {
    size_t devices, observations, ops, pending_registers, objlists, renewals_waiting;
};
void domain_stats(const struct domain *d, struct domain_stats *ret_stats);

#endif
