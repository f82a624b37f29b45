/*
 * coap: the message layer of RFC 7252 with Block-wise (RFC 7959) and the client half of Observe
 * (RFC 7641), over any datagram flow. One engine per shard, single-threaded.
 *
 * MUST do: message types, retransmission, deduplication, NSTART, separate responses, tokens to
 * exchanges, critical options, reassembly and cutting of bodies, freshness of notifications.
 *
 * MUST NOT do: I/O, clocks, threads, LwM2M. It takes (bytes, now) and answers through engine_ops.
 * libcoap owns the prefix of this folder's name, so the main object is `struct engine`.
 */
#ifndef COAP_COAP_H
#define COAP_COAP_H

#include "codec/codec.h"

struct engine;

/* ---- transmission parameters --------------------------------------------------------------- */

/* One per kind of network; devices point at theirs (RFC 7252 section 4.8, LwM2M Transport 6.2). */
struct profile {
    const char *name;             /* "ip", "nbiot" */
    uint32_t ack_timeout_ms;      /* 2 000; NB-IoT 10 000 */
    uint32_t ack_random_permille; /* 1 500 = factor 1.5 */
    uint32_t max_retransmit;      /* 4; NB-IoT 2 */
    uint32_t nstart;              /* 1 */
    uint8_t szx;                  /* first block size proposed: 5 = 512 bytes */
};
/* Derived times (RFC 7252 section 4.8.2), ms. */
uint64_t profile_max_transmit_span(const struct profile *p);
uint64_t profile_max_transmit_wait(const struct profile *p);
uint64_t profile_exchange_lifetime(const struct profile *p);
/* "ip" or "nbiot" as above; NULL for another name. */
const struct profile *profile_builtin(struct view name);

/* ---- requests from devices ----------------------------------------------------------------- */

#define REQUEST_SEGMENTS_MAX 8
#define REQUEST_QUERIES_MAX 32

/* A whole request: Block1 reassembled, critical options checked. Borrowed during the callback. */
struct request {
    struct flow flow;
    uint8_t method; /* PDU_GET … */
    bool confirmable;
    bool replayed; /* handed in again by engine_replay */
    uint8_t segment_count;
    struct view segments[REQUEST_SEGMENTS_MAX]; /* Uri-Path */
    uint8_t query_count;
    struct view queries[REQUEST_QUERIES_MAX]; /* Uri-Query */
    int32_t format;                           /* Content-Format or FORMAT_NONE */
    int32_t accept;
    int32_t observe; /* Observe value or -1 */
    struct view body;
    void *internal;
};

struct response {
    uint8_t code;
    int32_t format;       /* FORMAT_NONE = absent */
    struct view location; /* "rd/5a3f…", "" = absent */
    struct view payload;  /* of a GET or FETCH: cut by Block2 when needed; the handler runs again
                             for each further block */
    uint32_t max_age_s;   /* 0 = absent */
};

/* A request whose answer comes later. The engine's, until engine_respond, engine_replay or
 * engine_drop ends it. */
struct pending;

/* ---- requests to devices ------------------------------------------------------------------- */

struct answer {
    int rc; /* ERR_OK when a response came (whatever its code), else ERR_TIMEOUT, ERR_RESET,
               ERR_CANCELLED, ERR_UNREACHABLE, ERR_TOOLARGE, ERR_BADANSWER, ERR_INCOMPLETE,
               ERR_LIMIT (transfer_bytes), ERR_NOMEM, or what the spool or the blob failed with */
    uint8_t code;
    int32_t format;
    struct view body;  /* borrowed; empty when spooled */
    struct blob *blob; /* body above the spool threshold; the callee takes it */
    bool observe;      /* the response carries the Observe option */
    uint32_t sequence;
    uint16_t mid;         /* of the message with that sequence, for relation.mid */
    struct view location; /* "/3303/1" from Location-Path, borrowed */
    uint8_t szx;          /* block size the device settled on, or that of the request */
    uint32_t retransmissions;
    struct flow flow; /* where the response came from and to */
};
/* Called exactly once per exchange, never from inside engine_request. */
typedef void (*answer_fn)(void *ctx, const struct answer *a, uint64_t now);

struct exchange;

struct outgoing {
    const struct flow *flow;
    const struct profile *profile;
    uint8_t code;      /* PDU_GET … */
    uint64_t token;    /* 8 bytes on the wire, big endian; minted by the caller, never 0 */
    struct view path;  /* "/lwm2m/3/0/9" */
    struct view query; /* "pmin=5&pmax=10" */
    int32_t format;    /* Content-Format of the body */
    int32_t accept;
    int32_t observe;     /* -1 absent, 0 register, 1 cancel */
    struct view body;    /* copied; with Block1 when it is longer than a block */
    struct blob *blob;   /* body from a file instead; borrowed until the answer */
    uint8_t szx;         /* block size for this device; 7 = that of the profile */
    uint32_t timeout_ms; /* for the answer after the device acknowledged; 0 = MAX_TRANSMIT_WAIT */
    size_t body_limit;   /* largest answer accepted; 0 = that of the configuration */
    answer_fn done;
    void *ctx;
};

/* ---- observations -------------------------------------------------------------------------- */

/* Embedded in whatever keeps the observation; registered with the engine by token. */
struct relation {
    uint64_t token;
    uint32_t sequence; /* last accepted */
    uint32_t seen_s;   /* monotonic seconds of the last accepted; 0 = none yet */
    uint16_t mid;      /* of its message; tells a copy of it from the same number used again */
};

/* ---- the engine ---------------------------------------------------------------------------- */

/* Any of them may call the engine again, except for engine_input, engine_run and engine_free;
 * `send` must not call it at all. body_limit, stray, relation_outgoing, spool_append and blob_read
 * may be NULL. */
struct engine_ops {
    /* Hands bytes to the transport; borrowed during the call. */
    void (*send)(void *ctx, const struct flow *flow, struct view datagram);
    /* A request: exactly one of engine_reply, engine_defer, engine_ignore before returning. */
    void (*request)(void *ctx, struct request *req, uint64_t now);
    /* Largest body accepted for this request, asked at its first block (all but `body` is set).
     * NULL: transfer_bytes. */
    size_t (*body_limit)(void *ctx, const struct request *req);
    /* A fresh notification, whole (blocks fetched). ERR_OK: accepted and acknowledged; anything
     * else: RST. `a->rc` is ERR_OK; a code of 4.xx or 5.xx or a missing Observe option ends the
     * relation (the callee removes it). Borrowed, but for a->blob, which the callee takes in any
     * case. A notification that came in blocks was acknowledged before: its result is ignored. */
    int (*notification)(void *ctx, struct relation *rel, const struct answer *a, uint64_t now);
    /* A whole response with a token of 8 bytes that no exchange and no relation waits for. True: it
     * was awaited, and is acknowledged if it asks for that; false: RST. Borrowed. NULL: none is. */
    bool (*stray)(void *ctx, uint64_t token, const struct answer *a, uint64_t now);
    /* A notification arrived in blocks: fill path, profile, accept, szx to fetch the rest (of a
     * composite observation also code, format and body); flow is set, token, done and ctx are the
     * engine's. A failure rejects the notification with RST. NULL: all in blocks are rejected. */
    int (*relation_outgoing)(void *ctx, struct relation *rel, struct outgoing *fill);
    /*
     * Bodies above the spool threshold, off the shard. ERR_OK: the completion follows (or came
     * within the call): exactly one engine_spool_done or engine_blob_bytes with this cookie. A
     * failure: there will be none. One job per exchange at a time; one whose exchange is gone may
     * still be completed and is then ignored.
     */
    /* Appends to *spool; creates it when it is NULL (an unlinked file) and sets it. Bytes are
     * borrowed during the call. The blob belongs to the engine, which leaves it alone until the
     * completion, also when the exchange ends meanwhile, and hands it over as answer.blob with its
     * size. NULL: answers are limited to spool_threshold. */
    int (*spool_append)(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes);
    /* n bytes from `offset` of a blob without memory (p NULL). After a cancellation the blob may be
     * freed by its owner while the job still runs: the callee keeps a descriptor of its own. */
    int (*blob_read)(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                     size_t n);
};

struct engine_config {
    size_t peer_limit;      /* peers remembered at once, default 4 000 000 */
    size_t dedup_per_peer;  /* messages remembered per peer, default 4 */
    size_t dedup_bytes;     /* all cached answers, default 64 MiB */
    size_t exchange_limit;  /* exchanges under way and queued, default 65 536 */
    size_t queue_per_peer;  /* waiting behind NSTART, default 64 */
    size_t transfer_limit;  /* Block1 transfers being received, default 1 024 */
    size_t transfer_bytes;  /* bodies in memory, both directions together, default 64 MiB */
    size_t spool_threshold; /* bytes kept in memory per answer, default 65 536 */
    size_t body_limit;      /* largest answer, default 16 MiB */
    size_t message_max;     /* largest datagram we send, default 1 152 */
    uint32_t ack_delay_ms;  /* a deferred request gets its empty ACK after this, default 1 000 */
    const struct profile *profile; /* for peers we know nothing about */
};
void engine_config_defaults(struct engine_config *cfg);

struct engine *engine_new(const struct engine_config *cfg, const struct engine_ops *ops, void *ctx,
                          struct random *random, struct counters *counters, uint64_t now);
/* Exchanges end without their `done`: call engine_cancel_all before when it is wanted. */
void engine_free(struct engine *e);

/* A datagram of this peer is about to come: starts to fetch from memory what is remembered of it.
 * Returns what engine_prefetch goes on with, some time later. */
uint64_t engine_ahead(const struct engine *e, const struct addr *peer);
void engine_prefetch(const struct engine *e, uint64_t ahead);
/* A datagram arrived. */
void engine_input(struct engine *e, const struct flow *flow, struct view datagram, uint64_t now);
/* The transport says the peer cannot be reached (ICMP): what waits for an ACK of it ends with
 * ERR_UNREACHABLE, what is queued behind is tried. */
void engine_unreachable(struct engine *e, const struct addr *peer, uint64_t now);
/* Timers: call it at engine_next, or later. Bounded: while more is due, engine_next is past. */
void engine_run(struct engine *e, uint64_t now);
/* Monotonic ms, never later than the next thing to do; UINT64_MAX when there is nothing. */
uint64_t engine_next(const struct engine *e);

void engine_reply(struct engine *e, struct request *req, const struct response *resp, uint64_t now);
/* Keeps a copy of the request; the retransmissions of it get nothing, then an empty ACK after
 * ack_delay_ms, and the answer travels separately. NULL without memory or at a limit, with the
 * request dropped. */
struct pending *engine_defer(struct engine *e, struct request *req, uint64_t now);
/* Silence: forgotten, so that a retransmission is a new request (overload, D14). */
void engine_ignore(struct engine *e, struct request *req);
void engine_respond(struct engine *e, struct pending *p, const struct response *resp, uint64_t now);
/* Calls ops.request with the kept copy again (replayed set); p is gone afterwards, unless it is
 * deferred again: engine_defer returns it then. */
void engine_replay(struct engine *e, struct pending *p, uint64_t now);
/* Silence, as engine_ignore. */
void engine_drop(struct engine *e, struct pending *p);

/* Sends or queues (NSTART). ERR_FULL at a limit, ERR_EXISTS when an exchange with this token is
 * under way, ERR_LIMIT when path and query leave no room for a body, ERR_TOOLARGE, ERR_UNSUPPORTED
 * (a blob without ops.blob_read), ERR_NOMEM. It may be cancelled until `done` was called. */
int engine_request(struct engine *e, const struct outgoing *out, uint64_t now,
                   struct exchange **ret_exchange);
/* `done` is called with ERR_CANCELLED, from inside this call; so it is by the next two. */
void engine_cancel(struct engine *e, struct exchange *x, uint64_t now);
/* Cancels all exchanges (stop). */
void engine_cancel_all(struct engine *e, uint64_t now);
/* Cancels every exchange with this peer, in order (device gone). */
void engine_cancel_peer(struct engine *e, const struct addr *peer, uint64_t now);

/* ERR_EXISTS when the token is taken. Add it before the exchange that observes has ended, at the
 * latest in its `done`; until then what arrives with the token belongs to the exchange. The memory
 * is the caller's until engine_relation_del. */
int engine_relation_add(struct engine *e, struct relation *rel);
void engine_relation_del(struct engine *e, struct relation *rel);
/* Of an exchange or a relation. */
bool engine_token_known(const struct engine *e, uint64_t token);

void engine_spool_done(struct engine *e, uint64_t cookie, int rc, uint64_t now);
void engine_blob_bytes(struct engine *e, uint64_t cookie, int rc, struct view bytes, uint64_t now);

struct engine_stats {
    size_t peers, exchanges, pending, transfers, relations;
    size_t dedup_entries, bytes; /* bytes: everything the engine holds, estimated */
};
void engine_stats(const struct engine *e, struct engine_stats *ret_stats);

#endif
