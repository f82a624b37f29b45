/*
 * Inside coap: the state of the engine and what its files ask of each other.
 *
 * Who calls whom: engine → server, response, exchange; server → transfer, pending, reply;
 * response → exchange, relation; exchange → block; everyone → peer, dedup.
 * A callback of the owner may call the engine again, except for engine_input, engine_run and
 * engine_free; so after one only that may be taken for granted which the comments say still holds.
 */
#ifndef COAP_INTERNAL_H
#define COAP_INTERNAL_H

#include "coap/coap.h"

#define CODE_BAD_REQUEST 0x80
#define CODE_UNAUTHORIZED 0x81
#define CODE_BAD_OPTION 0x82
#define CODE_NOT_FOUND 0x84
#define CODE_NOT_ALLOWED 0x85
#define CODE_INCOMPLETE 0x88
#define CODE_TOO_LARGE 0x8d
#define CODE_INTERNAL 0xa0
#define CODE_NO_PROXY 0xa5

#define CODE_IS_SUCCESS(code) (PDU_CODE_CLASS(code) == 2)

#define BLOCK_NUM_MAX 0xfffffu /* 20 bits */
#define SZX_MAX 6
#define ECHO_MAX 40
#define ETAG_MAX 8

/* A timer that knows what to do. */
struct engine_timer {
    struct timer timer;
    void (*fire)(struct engine *e, struct engine_timer *t, uint64_t now);
};

/* ---- peer: what is remembered of an address ------------------------------------------------ */

/* A message that was received, and how it was answered (dedup.c). 16 bytes. */
struct dedup_entry {
    uint32_t hash; /* of the whole datagram */
    uint16_t mid;
    uint16_t at_s : 15; /* monotonic seconds, the low bits */
    uint16_t is_location : 1;
    uint64_t answer; /* 0: none yet; odd: type and code; else a struct dedup_bytes; or a location */
};

#define PEER_FEW 2 /* messages remembered inside the peer itself */

/* 88 bytes, so that malloc needs 96. */
struct peer {
    struct list idle; /* in engine.idle, the longest unused first; unlinked while busy */
    struct addr addr;
    uint32_t used_s;   /* monotonic seconds of the last use */
    uint16_t listed_s; /* when it took its place in the idle list, low bits */
    uint16_t next_mid;
    uint8_t count; /* of the entries */
    uint8_t cap;   /* PEER_FEW, or more: then they are in `many` */
    struct busy *busy;
    union {
        struct dedup_entry few[PEER_FEW];
        struct dedup_entry *many;
    } entries;
};

/* Exists while an exchange, a pending request, a separate response or a transfer needs the peer. */
struct busy {
    size_t refs;
    size_t owed;           /* pending requests and separate responses, at most queue_per_peer */
    size_t transfer_count; /* in `transfers` */
    size_t slots;          /* exchanges that count against NSTART */
    size_t waiting;        /* in `queue` */
    bool held_back;        /* nothing leaves the queue now */
    struct list exchanges; /* all, by of_peer, in order of creation */
    struct list flight;    /* unacknowledged requests, by line */
    struct list queue;     /* behind NSTART, by line */
    struct list separates; /* unacknowledged responses */
    struct list transfers; /* bodies being received, the longest untouched first */
};

/* NULL when unknown. */
struct peer *peer_find(const struct engine *e, const struct addr *addr);
/* See engine_ahead and engine_prefetch. */
uint64_t peer_ahead(const struct engine *e, const struct addr *addr);
void peer_prefetch(const struct engine *e, uint64_t ahead);
/* Finds or makes, and marks as used. NULL at the limit when nobody can be forgotten. */
struct peer *peer_get(struct engine *e, const struct addr *addr, uint64_t now);
/* While held a peer stays. ERR_NOMEM. */
int peer_hold(struct peer *p);
void peer_release(struct engine *e, struct peer *p, uint64_t now);
uint16_t peer_mid(struct peer *p);
/* Forgets up to `budget` peers that are due. */
void peer_sweep(struct engine *e, uint64_t now, size_t budget);
uint64_t peer_next_sweep(const struct engine *e);
/* Forgets the longest unused peer before its time; false when there is none. */
bool peer_evict(struct engine *e);
/* With everything that hangs on it except `busy`. */
void peer_free(struct engine *e, struct peer *p);

/* ---- dedup: duplicates are answered from memory -------------------------------------------- */

uint32_t dedup_hash(const struct engine *e, const struct flow *flow, struct view datagram);
struct dedup_entry *dedup_find(struct peer *p, uint32_t hash, uint16_t mid);
/* A new entry without an answer; NULL when all are without one (overload) or there is no memory. */
struct dedup_entry *dedup_add(struct engine *e, struct peer *p, uint32_t hash, uint16_t mid,
                              uint64_t now);
/* The answer is a header and a token only (or an empty message, code 0). */
void dedup_set_code(struct engine *e, struct dedup_entry *d, enum pdu_type type, uint8_t code);
/* The answer has options or a payload: `tail` is what follows the token. `non`: it was
 * Non-confirmable with that MID. May forget idle peers other than the pinned one, or this entry, to
 * stay within limits. */
void dedup_set_bytes(struct engine *e, struct peer *p, struct dedup_entry *d, uint8_t code,
                     bool non, uint16_t mid, struct view tail);
/* A duplicate of it will be taken as new. */
void dedup_forget(struct engine *e, struct peer *p, struct dedup_entry *d);
/* Answers a duplicate. */
void dedup_replay(struct engine *e, const struct flow *flow, const struct dedup_entry *d,
                  const struct pdu *pdu);
/* Drops what is older than EXCHANGE_LIFETIME. */
void dedup_expire(struct engine *e, struct peer *p, uint64_t now);
void dedup_clear(struct engine *e, struct peer *p);
/* Remembers that this Confirmable response was answered by an empty message of `type`. */
void dedup_remember(struct engine *e, const struct flow *flow, uint32_t hash, uint16_t mid,
                    enum pdu_type type, uint64_t now);

/* ---- server role --------------------------------------------------------------------------- */

/* Of a request, as much as an answer needs. */
struct origin {
    struct flow flow;
    struct peer *peer;
    uint32_t hash;
    uint16_t mid;
    uint8_t type;
    uint8_t method;
    uint8_t token_len;
    uint8_t token[PDU_TOKEN_MAX];
    bool acked; /* the empty ACK has gone: the answer travels separately */
    bool has_block1, has_block2;
    struct pdu_block block1, block2;
};

/* A request inside ops.request; request.internal points here. */
struct serving {
    struct origin *origin;
    struct view datagram;
    struct pending *pending; /* set when it is handed in again */
    bool settled;            /* one of reply, defer, ignore was called */
    bool kept;               /* deferred */
    bool has_size1;
    uint32_t size1;
};

void server_input(struct engine *e, const struct flow *flow, struct view datagram,
                  const struct pdu *pdu, uint64_t now);
/* Fills req from the options; 0 or the code that refuses it. Views point into the datagram. */
uint8_t server_parse(const struct pdu *pdu, struct request *req, struct serving *s);
/* Hands a whole request to the owner. */
void server_call(struct engine *e, struct request *req, struct serving *s, uint64_t now);

/* No limit hint in a reply. */
#define REPLY_NO_SIZE SIZE_MAX
/* Encodes, sends and remembers. `size1`: the largest body, told with 4.13. */
void reply_send(struct engine *e, struct origin *o, const struct response *resp, size_t size1,
                uint64_t now);
void reply_code(struct engine *e, struct origin *o, uint8_t code, size_t size1, uint64_t now);
/* To a request that is not remembered because refusing it again costs nothing. */
void reply_refuse(struct engine *e, const struct flow *flow, const struct pdu *pdu, uint8_t code);
/* An empty ACK or RST. */
void reply_empty(struct engine *e, const struct flow *flow, enum pdu_type type, uint16_t mid);

struct pending *pending_defer(struct engine *e, struct request *req, uint64_t now);
/* As if it had never come. */
void pending_ignore(struct engine *e, struct request *req);
void pending_respond(struct engine *e, struct pending *p, const struct response *resp,
                     uint64_t now);
void pending_replay(struct engine *e, struct pending *p, uint64_t now);
void pending_drop(struct engine *e, struct pending *p, uint64_t now);
void pending_free_all(struct engine *e);

/* Keeps sending a Confirmable response until it is acknowledged. `datagram` was sent once. */
int separate_start(struct engine *e, struct peer *p, const struct flow *flow, uint16_t mid,
                   struct view datagram, uint64_t now);
/* An ACK or RST came; false when no response of this MID waits for one. */
bool separate_end(struct engine *e, struct peer *p, uint16_t mid, uint64_t now);
void separate_end_all(struct engine *e, struct peer *p, uint64_t now);
void separate_free_all(struct engine *e);

/* A body being received in blocks (Block1). */
struct transfer;
/* Takes one block. True when the body is whole: req->body is it, *ret_transfer (may be NULL) goes
 * to transfer_free after use. False: answered. */
bool transfer_take(struct engine *e, struct request *req, struct serving *s, const struct pdu *pdu,
                   uint64_t now, struct transfer **ret_transfer);
void transfer_free(struct engine *e, struct transfer *t);
void transfer_free_all(struct engine *e);

/* ---- client role --------------------------------------------------------------------------- */

/* What a response says. */
struct heard {
    const struct pdu *pdu;
    const struct flow *flow;
    bool bad; /* an unknown critical option */
    bool observe;
    bool has_block1, has_block2, has_size2;
    uint32_t sequence;
    uint32_t size2;
    int32_t format;
    struct pdu_block block1, block2;
    struct view etag, echo;
    size_t location_n;
    char location[128];
};

void response_input(struct engine *e, const struct flow *flow, struct view datagram,
                    const struct pdu *pdu, uint64_t now);

enum exchange_state {
    EXCHANGE_QUEUED,   /* waits behind NSTART */
    EXCHANGE_READING,  /* waits for bytes of its blob */
    EXCHANGE_FLIGHT,   /* waits for an ACK or the response */
    EXCHANGE_ACKED,    /* waits for the response */
    EXCHANGE_SPOOLING, /* waits until received bytes are spooled */
    EXCHANGE_FAILED,   /* ends at the next run */
    EXCHANGE_ENDED     /* waits only for the spool to let go */
};

/* The body we send. */
struct upload {
    struct view body;        /* in memory, or … */
    const struct blob *blob; /* … in a file, read through a window */
    uint64_t size;
    uint64_t offset; /* of the current block */
    uint8_t szx;
    bool blocks; /* Block1 is used */
    bool restarted;
    uint8_t *window;
    uint64_t window_at;
    size_t window_n;
};

/* The body we receive, once a response has come in blocks. */
struct download {
    bool on;
    bool last;
    bool restarted;
    uint8_t szx;
    uint8_t code;
    bool observe;
    uint32_t sequence;
    uint16_t mid; /* of the message with that sequence */
    int32_t format;
    uint8_t etag_n;
    uint8_t etag[ETAG_MAX];
    uint64_t received;
    struct buf buf;     /* what is not spooled */
    size_t counted;     /* bytes of buf in engine.transfer_bytes */
    struct blob *spool; /* made by the owner */
};

struct exchange {
    struct list all; /* of engine.exchanges or engine.ended */
    struct list of_peer;
    struct list line; /* of the flight or of the queue */
    struct engine_timer timer;
    struct peer *peer;
    struct flow flow;
    const struct profile *profile;
    uint64_t token;    /* on the wire now */
    uint64_t relation; /* the notification it completes, or 0 */
    uint64_t observed; /* the token it had while it asked to observe, or 0 */
    uint64_t cookie;   /* of the job it waits for, or 0 */
    answer_fn done;
    void *ctx;
    uint32_t timeout_ms; /* for the response after the ACK */
    uint32_t wait_ms;    /* until the next retransmission */
    uint32_t attempts;   /* of the present message */
    uint32_t retransmissions;
    size_t body_limit;
    int32_t format, accept, observe;
    int rc; /* of a failed one */
    uint16_t mid;
    uint8_t code;
    uint8_t state; /* enum exchange_state */
    bool slot;     /* counts against NSTART */
    uint8_t echo_n;
    uint8_t echo[ECHO_MAX];
    struct view path, query;
    struct upload up;
    struct download down;
    uint8_t bytes[]; /* path, query, body */
};

/* Checks, copies and registers; does not send.
 * ERR_FULL, ERR_EXISTS, ERR_LIMIT, ERR_UNSUPPORTED, ERR_NOMEM. */
int exchange_new(struct engine *e, const struct outgoing *out, uint64_t now,
                 struct exchange **ret_exchange);
/* Sends, or queues behind those that wait. */
void exchange_begin(struct engine *e, struct exchange *x, uint64_t now);
/* Sends the next message of one that was begun; before those that wait. */
void exchange_advance(struct engine *e, struct exchange *x, uint64_t now);
/* By token and peer; NULL when there is none. */
struct exchange *exchange_find(const struct engine *e, const struct flow *flow, uint64_t token);
/* Unacknowledged, by MID; NULL when there is none. */
struct exchange *exchange_by_mid(const struct flow *flow, const struct peer *p, uint16_t mid);
bool exchange_listens(const struct exchange *x);
/* A response that belongs to x. */
void exchange_heard(struct engine *e, struct exchange *x, const struct heard *h, uint64_t now);
/* An empty ACK or RST. */
void exchange_acked(struct engine *e, struct exchange *x, uint64_t now);
/* Ends x with rc != ERR_OK: `done` is called, x is gone. */
void exchange_fail(struct engine *e, struct exchange *x, int rc, uint64_t now);
void exchange_cancel_peer(struct engine *e, const struct addr *addr, uint64_t now);
void exchange_cancel_all(struct engine *e, uint64_t now);
void exchange_unreachable(struct engine *e, const struct addr *addr, uint64_t now);
void exchange_spool_done(struct engine *e, uint64_t cookie, int rc, uint64_t now);
void exchange_blob_bytes(struct engine *e, uint64_t cookie, int rc, struct view bytes,
                         uint64_t now);
/* Registers the job x is about to wait for; the cookie is x->cookie. */
int exchange_job(struct engine *e, struct exchange *x, enum exchange_state state);
void exchange_unjob(struct engine *e, struct exchange *x);
/* The notification of this relation is being fetched; NULL otherwise. */
struct exchange *exchange_fetching(const struct engine *e, uint64_t relation);
/* Lets x complete the notification of that relation, with a token of its own. */
int exchange_fetches(struct engine *e, struct exchange *x, uint64_t relation);
/* The first block of something to be observed has come with this token, the rest is still on its
 * way; NULL otherwise. */
struct exchange *exchange_observing(const struct engine *e, const struct flow *flow,
                                    uint64_t token);
/* From now on x speaks with a fresh token of the same slot; the old one stays known. */
int exchange_retoken(struct engine *e, struct exchange *x);
bool exchange_token_taken(const struct engine *e, uint64_t token);
/* A token nobody uses, with the first byte of `like`. */
uint64_t exchange_token(struct engine *e, uint64_t like);
void exchange_free_all(struct engine *e);

/* What to do after a response: a negative error ends the exchange. */
enum block_verdict {
    BLOCK_DONE,  /* the answer is complete */
    BLOCK_NEXT,  /* send the next message */
    BLOCK_WAIT,  /* x waits for the spool and must not be touched any more */
    BLOCK_IGNORE /* belongs to an earlier message */
};

/* Plans how x sends its body of up.size bytes; `overhead`: bytes of the message without it. */
int block_plan(struct engine *e, struct exchange *x, size_t overhead);
/* Block options of the next message. */
struct pdu_block block_sent(const struct exchange *x);
struct pdu_block block_wanted(const struct exchange *x);
/* Bytes of the current block; false when they have to be read first. */
bool block_current(const struct exchange *x, struct view *ret_bytes);
/* Asks the owner for the part of the blob that the current block is in. */
int block_read(struct engine *e, struct exchange *x);
int block_read_done(struct exchange *x, struct view bytes);
int block_heard(struct engine *e, struct exchange *x, const struct heard *h);
/* What was handed to the spool is safe. */
void block_spooled(struct engine *e, struct exchange *x);
/* The first block came as a notification. */
int block_download_first(struct engine *e, struct exchange *x, const struct heard *h);
void block_fini(struct engine *e, struct exchange *x);

void relation_heard(struct engine *e, struct relation *rel, const struct heard *h, uint32_t hash,
                    uint64_t now);
/* The notification of the relation is whole, or will never be. */
void relation_fetched(struct engine *e, uint64_t token, const struct answer *a, uint64_t now);
int relation_add(struct engine *e, struct relation *rel);
void relation_del(struct engine *e, struct relation *rel, uint64_t now);
struct relation *relation_find(const struct engine *e, uint64_t token);

/* ---- engine -------------------------------------------------------------------------------- */

struct engine {
    struct engine_config cfg;
    struct engine_ops ops;
    void *ctx;
    struct random *random;
    struct counters *counters;
    struct hash_key key;
    struct timer_wheel *wheel;
    uint64_t now; /* of the last call that knew it, for those that are not told */
    bool in_input;
    uint8_t *out; /* message_max bytes, for the message being sent */

    struct table *peers;
    struct list idle;
    struct peer *pinned; /* must not be forgotten now */
    uint32_t lifetime_s; /* EXCHANGE_LIFETIME */
    uint32_t order_s;    /* the idle list is in order up to this */
    size_t dedup_entries;
    size_t dedup_bytes; /* of cached answers */
    size_t ring_bytes;  /* of entries outside of their peer */

    struct list pendings;
    size_t pending_count;
    struct list separates;
    size_t separate_count;
    struct table *transfers;
    struct list transfer_age; /* the longest untouched first */
    size_t transfer_bytes;    /* of bodies, in both directions */

    struct list exchanges; /* all, in order of creation */
    struct list ended;     /* those the spool still holds */
    bool held_back;        /* no queue moves now */
    struct table *tokens;  /* exchanges */
    struct table *jobs;    /* exchanges that wait for the owner, by cookie */
    struct table *fetches; /* by token: of the notification they complete, or that was `observed` */
    uint64_t last_cookie;
    struct table *relations;
};

/* First retransmission timeout: random between ACK_TIMEOUT and that times ACK_RANDOM_FACTOR. */
uint32_t engine_first_wait(struct engine *e, const struct profile *p);
void engine_send(struct engine *e, const struct flow *flow, struct view datagram);
void engine_count(struct engine *e, enum counter which);
void engine_timer_start(struct engine *e, struct engine_timer *t, uint64_t due);
void engine_timer_stop(struct engine *e, struct engine_timer *t);

#endif
