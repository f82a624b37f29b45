/*
 * Private to lwm2m/: the live device, the domain that holds it, and what the files of this folder
 * offer each other. A file's own functions carry its stem.
 */
#ifndef LWM2M_INTERNAL_H
#define LWM2M_INTERNAL_H

#include "lwm2m/lwm2m.h"

struct job;

/* ---- the live device ------------------------------------------------------------------------- */

/* The ways a device is found. */
enum chain_kind { CHAIN_ID, CHAIN_ADDR, CHAIN_COUNT };

enum device_flag {
    DEVICE_QUEUE = 1,          /* queue mode */
    DEVICE_LIFETIME_GIVEN = 2, /* the client named its lifetime */
    DEVICE_RENEWED = 4,        /* noted for the next renewal transaction */
    DEVICE_AT_ADDR = 8,        /* in the chain by address: the last to talk from it */
    DEVICE_LISTED = 16,        /* in the tables */
    DEVICE_AWAKE = 32,         /* queue mode: was heard within its window */
    DEVICE_FRESH = 64,         /* … and has answered nothing since it woke */
    DEVICE_OVERDUE = 128       /* its lifetime is over, and that was told */
};

#define DEVICE_NEVER UINT32_MAX

/* One per registration, so every byte counts: times are seconds, names are in the claim, and what
 * few devices have is in `rare`. What an Update touches comes first. */
struct device {
    uint64_t id;                /* registration id, also in the claim */
    uint32_t next[CHAIN_COUNT]; /* indexes of devices, 0 = end */
    uint32_t deadline_s;        /* monotonic; lifetime and grace are over; DEVICE_NEVER */
    uint32_t lifetime_s;        /* 0 = never expires */
    uint32_t updated_s;         /* Unix seconds */
    uint32_t seen_s;            /* Unix seconds */
    struct addr peer;
    uint16_t local; /* number of our address, locals.c */
    uint8_t transport;
    uint8_t listener;
    uint8_t flags; /* enum device_flag */
    uint8_t binding;
    uint8_t szx; /* block size learned, 7 = that of the profile */
    uint8_t profile;
    struct version version;
    uint8_t failed[CHOOSE_CLASS_COUNT]; /* choose_bit of formats refused */
    uint8_t window;                     /* queue mode: seconds it listens; 0 = as configured */
    uint16_t heard;                     /* … monotonic seconds, low bits; while awake */
    struct timer timer;                 /* armed for the deadline or earlier */
    struct device_rare *rare;           /* NULL for most */
    struct claim *claim;
    struct objlist *list;
    uint32_t self;         /* own index */
    uint32_t registered_s; /* Unix seconds */
};
_Static_assert(sizeof(struct device) == 128, "two cache lines");

struct device_rare {
    char *sms, *pid, *unknown; /* NULL when none */
    uint8_t identity_type;
    char *identity_name;
    struct list reports; /* struct report: observations */
    struct list runs;    /* struct run: operations, oldest first */
    uint32_t report_count, run_count, running;
    bool remaking;           /* one of the runs makes a wanted observation of our own accord */
    struct job *job;         /* durable change of this registration under way */
    struct pending *waiting; /* request of the device to handle again when the job is done */
    bool again;              /* changed while the job was under way: store once more */
    struct list lates;       /* struct run: of unknown outcome, an answer may still come */
    uint8_t silences;        /* exchanges in a row that ended without an answer */
    uint64_t resume_at;      /* durable operations wait until then, or until it is heard */
};

/* Growing hash of device indexes with chains through the devices: linear hashing, so one insertion
 * moves one bucket at most. */
struct chain {
    uint32_t **segments;
    uint32_t segment_cap;
    uint32_t buckets;
    uint32_t mask; /* buckets are in (mask / 2, mask + 1] */
    uint32_t size;
};

struct device_pool {
    struct device **chunks;
    uint32_t chunk_count, chunk_cap;
    uint32_t made; /* indexes handed out at least once */
    uint32_t free; /* first of the unused, linked by next[0] */
};

struct local;
struct locals {
    struct table *by_addr;
    struct local **rows; /* from 1 */
    uint32_t count, cap;
};

/* ---- the domain ------------------------------------------------------------------------------ */

#define RENEWAL_BUCKETS 64
struct renewal_chunk;
struct renewal_bucket {
    uint64_t number; /* time / width of what is in it */
    struct renewal_chunk *chunks;
};

struct renewals {
    uint64_t width_ms;
    uint64_t first; /* no bucket before this number holds anything; UINT64_MAX: none does */
    size_t waiting;
    struct renewal_chunk *spare;
    struct renewal_bucket buckets[RENEWAL_BUCKETS];
};

/* Most devices of a kind send the very same text: what it was parsed to. Holds no reference; a list
 * that goes takes its texts with it. */
#define KNOWN_TEXTS 16
struct known_text {
    char *text;
    size_t n;
    struct objlist *list; /* NULL: unused */
};

struct domain {
    struct domain_config cfg;
    const struct domain_ops *ops;
    void *ctx;
    struct engine *engine;
    struct models *models;
    struct registry *registry; /* reference to the published one */
    uint64_t models_version;
    struct random *random;
    struct counters *counters;
    struct hash_key key;
    struct arena *arena; /* of one request or answer */
    int64_t wall_ms;     /* Unix ms at wall_at */
    uint64_t wall_at;
    struct device_pool pool;
    struct locals locals;
    struct chain chains[CHAIN_COUNT];
    size_t device_count, report_count, run_count;
    struct table *objlists;
    struct known_text known_texts[KNOWN_TEXTS];
    struct table *registering; /* struct job by endpoint */
    struct list jobs;
    size_t register_jobs;
    struct timer_wheel *expiry; /* timers of devices */
    struct timer_wheel *limits; /* deadlines of operations */
    struct renewals renewals;
    struct list orphans;  /* struct run: operations of a replaced registration */
    struct list unstored; /* struct job: rows of ended observations that the store did not delete */
    uint64_t unstored_at; /* when it is asked again */
    struct list settling; /* struct run: durable ones whose outcome the store has still to take */
    struct list lates;    /* struct run: of unknown outcome, of devices that are gone */
    size_t durable_count; /* durable operations in memory that may still be sent */
    struct table *awaited;   /* struct awaited by token */
    struct list awaited_age; /* … oldest first */
    bool committing;         /* inside claim_commit: what it evicts is rehomed afterwards */
};

/* Unix ms at `now`. */
int64_t domain_unix_ms(const struct domain *d, uint64_t now);
/* The definitions of the moment; borrowed until the next call. */
struct registry *domain_registry(struct domain *d);
void domain_env(struct domain *d, const struct device *dev, uint64_t now,
                struct content_env *ret_env);
/* Answers with the code of rc and its text; overload is silence (the device retransmits). */
void domain_refuse(struct domain *d, struct request *req, int rc, uint64_t now);
void domain_answer(struct domain *d, struct request *req, uint8_t code, uint64_t now);
/* An event about a device; NULL without memory. The caller hands it to domain_emit. */
struct event *domain_event(struct domain *d, enum event_type type, const struct device *dev,
                           uint64_t now);
void domain_emit(struct domain *d, struct event *e /* takes, may be NULL */);
/* The same for an event without more to say. */
void domain_tell(struct domain *d, enum event_type type, const struct device *dev, uint64_t now);
bool domain_overloaded(int rc);

/* ---- chain.c --------------------------------------------------------------------------------- */

int chain_init(struct chain *c);
void chain_fini(struct chain *c);
/* Takes the buckets of so many devices at once, which saves the growing; no-op unless empty.
 * Without memory it grows as it goes. */
void chain_reserve(struct chain *c, uint32_t devices);
/* In front of its bucket: the newest of equal ones is found first. */
void chain_put(struct domain *d, enum chain_kind kind, struct device *dev);
void chain_del(struct domain *d, enum chain_kind kind, struct device *dev);
struct device *chain_by_id(struct domain *d, uint64_t id);
/* For a look-up by id some time later: asks the memory for the bucket. */
void chain_prefetch(const struct domain *d, uint64_t id);
/* The device at that place (from 0) in the bucket of the id, not compared; NULL past its end. */
const struct device *chain_guess(const struct domain *d, uint64_t id, unsigned nth);
struct device *chain_by_addr(struct domain *d, const struct addr *peer);
size_t chain_bytes(const struct chain *c);

/* ---- locals.c -------------------------------------------------------------------------------- */

int locals_init(struct locals *l);
void locals_fini(struct locals *l);
/* 0 when there is no number left. */
uint16_t locals_number(struct domain *d, const struct addr *addr);
/* The unspecified address for 0. */
const struct addr *locals_addr(const struct domain *d, uint16_t number);

/* ---- device.c -------------------------------------------------------------------------------- */

/* A zeroed device in no table; NULL without memory. */
struct device *device_new(struct domain *d);
/* Frees what it owns but for the claim; it is in no table, without observations or operations. */
void device_delete(struct domain *d, struct device *dev);
/* Every device is gone with it. */
void device_pool_fini(struct device_pool *pool);
struct device *device_at(const struct domain *d, uint32_t index);
/* Asks the memory for the device (may be NULL). */
void device_prefetch(const struct device *dev);
void device_insert(struct domain *d, struct device *dev);
void device_remove(struct domain *d, struct device *dev);
/* The committed registration of the endpoint; NULL when there is none here. */
struct device *device_by_endpoint(struct domain *d, struct view endpoint);
/* Made on first use; NULL without memory. */
struct device_rare *device_rare(struct device *dev);
/* Gives the extension back when nothing is in it. */
void device_trim(struct device *dev);
/* What is in it but for observations and operations. */
void device_rare_free(struct device_rare *rare);
struct view device_endpoint(const struct device *dev);
/* Whether it talks from there, to there, over that. */
bool device_has_flow(const struct domain *d, const struct device *dev, const struct flow *flow);
void device_flow(const struct domain *d, const struct device *dev, struct flow *ret_flow);
/* Talks from here now; becomes the one that is found by this address. */
void device_set_flow(struct domain *d, struct device *dev, const struct flow *flow);
/* Makes it the one that is found by its address, if another took that place. */
void device_claim_addr(struct domain *d, struct device *dev);
/* Keeps a copy of v in *slot (NULL for an empty one). */
int device_set_text(char **slot, struct view v);
int device_set_identity(struct device *dev, const struct identity *id);
void device_identity(const struct device *dev, struct identity *ret_identity);
/* Whether the peer of this flow may speak for the device. */
bool device_speaks(struct domain *d, const struct device *dev, const struct flow *flow);
/* Whether a response on this flow is its own. Without security only the address it has now is; a
 * proven identity may come from anywhere. */
bool device_is_from(struct domain *d, const struct device *dev, const struct flow *flow);
/* Borrows from the device. */
void device_snapshot(const struct domain *d, const struct device *dev, uint64_t now,
                     struct registration *ret);
/* A message of it was received: last seen, renewed later in the store. */
void device_seen(struct domain *d, struct device *dev, uint64_t now);
/* Picks the transmission parameters for what the device said about itself. */
void device_choose_profile(struct domain *d, struct device *dev);
const struct profile *device_profile(const struct domain *d, const struct device *dev);
/* Bytes of all devices and tables. */
size_t device_bytes(const struct domain *d);

/* ---- objlist_pool.c -------------------------------------------------------------------------- */

/* The one of this text that all devices of the kind share, with a reference for the caller. */
struct objlist *objlist_pool_intern(struct domain *d, struct objlist *list /* takes */);
int objlist_pool_parse(struct domain *d, struct view text, struct objlist **ret_list);
void objlist_pool_unref(struct domain *d, struct objlist *list);
/* The list with an instance more or less. ERR_NOMEM. */
int objlist_pool_edit(struct domain *d, const struct objlist *list, const struct path *instance,
                      bool add, struct objlist **ret_list);
/* List of an Update, which leaves out what the client has said before (formats, alternate path). */
int objlist_pool_update(struct domain *d, const struct objlist *old, struct view text,
                        struct objlist **ret_list);
/* Entry of this object or its first instance, NULL when the object is not announced. */
const struct objlist_entry *objlist_pool_find(const struct objlist *list, uint16_t object);
bool objlist_pool_has(const struct objlist *list, const struct path *p);

/* ---- params.c: query of Register and Update -------------------------------------------------- */

enum params_given {
    PARAMS_EP = 1,
    PARAMS_LT = 2,
    PARAMS_VERSION = 4,
    PARAMS_B = 8,
    PARAMS_Q = 16,
    PARAMS_SMS = 32,
    PARAMS_PID = 64
};

/* Views are of the request or of the arena. */
struct params {
    int rc;           /* first fault other than of the version */
    const char *what; /* name of the parameter at fault; static */
    uint8_t given;    /* enum params_given */
    bool queue_in_b;
    uint8_t binding;
    struct version version; /* {0,0}: not understood */
    uint32_t lifetime_s;
    struct view endpoint, sms, pid, unknown;
};
void params_parse(struct arena *a, const struct request *req, struct params *ret);
/* Whether a name can be an endpoint: 1 to 255 bytes of UTF-8 without control characters. */
int params_check_endpoint(struct view v);

/* ---- pid.c: profile IDs of Register and Update ----------------------------------------------- */

struct pid_question {
    struct view pid;           /* as sent, checked by params_parse */
    struct view payload;       /* link-format, may be empty */
    struct view endpoint;      /* of a Register, which may define an id; "" = may not */
    const struct objlist *old; /* of an Update: the list so far; else NULL */
};
struct pid_answer {
    struct objlist *list; /* a reference */
    struct view unknown;  /* the first id we do not know, "" when none; borrowed; also on failure */
    bool teaches;         /* once the Register is durable, pid_learn is to be called */
};
/* The union of what the ids stand for and the payload. ERR_PROFILE when an id is not known and the
 * payload cannot stand alone; failures of parsing. */
int pid_resolve(struct domain *d, const struct pid_question *q, struct pid_answer *ret);
/* The objects that every device has are in it: more than an addition to a profile. */
bool pid_stands_alone(const struct objlist *list);
/* All ids of this pid are known. */
bool pid_known(struct domain *d, struct view pid);
/* A Register or Update was refused because of an unknown id. */
void pid_refused(struct domain *d, const struct pid_question *q);
/* The single id of the device's pid stands for the device's list: remembers and stores it. */
void pid_learn(struct domain *d, const struct device *dev, uint64_t now);
/* "6:ab is not a known profile"; NULL without memory. */
char *pid_detail(struct view unknown);

/* ---- job.c: durable writes under way --------------------------------------------------------- */

enum job_kind {
    JOB_REGISTER,
    JOB_UPDATE,
    JOB_REMOVE,
    JOB_STORE, /* a change we made to the registration ourselves */
    JOB_OBSERVE,
    JOB_UNOBSERVE,
    JOB_RENEW,
    JOB_ACCEPT, /* durable operation: a new one */
    JOB_SEND,   /* … before an attempt */
    JOB_SETTLE, /* … its outcome */
    JOB_DATA,   /* what a device has told by Send */
    JOB_KIND_COUNT
};

/* Remembered by txn.tag. Names its device by id: it may be gone when the store is done. */
struct job {
    struct list node;
    enum job_kind kind;
    uint64_t id;             /* registration */
    struct pending *pending; /* request that waits for it; NULL: nobody does */
    struct op *op;           /* operation that waits for it */
    struct run *run;         /* ACCEPT, SEND, SETTLE: NULL once it has gone elsewhere */
    struct txn *txn;         /* as the store gave it back; during completion */
    struct device *device;   /* REGISTER: owned, in no table yet */
    struct change *change;   /* UPDATE: owned */
    enum event_type reason;  /* REMOVE */
    uint64_t token;          /* OBSERVE, UNOBSERVE */
    bool again;              /* OBSERVE: the store had the observation before */
    bool wish;               /* OBSERVE: the device has still to be asked */
    bool moved;              /* OBSERVE: it is on another shard now, with its device */
    uint64_t *ids;           /* RENEW: owned */
    size_t id_count;
    bool superseded;     /* REGISTER: a newer one of the endpoint waits */
    bool teaches;        /* REGISTER: defines its profile ID (pid.c) */
    struct event *event; /* DATA: owned; emitted once the values are durable */
};

struct job *job_new(enum job_kind kind, uint64_t id);
/* Frees it with what it owns; pending and op are the caller's business. */
void job_free(struct job *job);
/* Hands the transaction to the store on behalf of the job (NULL: nobody waits for it). The
 * transaction is taken in any case, the job on success. */
int job_submit(struct domain *d, struct job *job, struct txn *t);
void job_done(struct domain *d, struct txn *t /* takes */, uint64_t now);
/* Ends everything that waits for the store. */
void job_abandon_all(struct domain *d);
/* The registration of the device as it is now, to be stored. NULL without memory. */
struct txn *job_put_txn(struct domain *d, const struct device *dev, uint64_t now);
/* Makes a job the one of the device: requests of the device wait for it. */
int job_attach(struct device *dev, struct job *job);
/* The device's job is done: store what changed meanwhile, then handle the request that waited. */
void job_detach(struct domain *d, struct device *dev, uint64_t now);
/* Lets a request wait for the device's job; an older one that waits is dropped. */
void job_wait(struct domain *d, struct device *dev, struct request *req, uint64_t now);
/* Stores a change we made ourselves, in the background. */
void job_store(struct domain *d, struct device *dev, uint64_t now);

/* ---- registration.c, update.c, removal.c ----------------------------------------------------- */

void registration_request(struct domain *d, struct request *req, uint64_t now);
void registration_done(struct domain *d, struct job *job, int rc, uint64_t now);
/* Gives up a Register under way. */
void registration_abandon(struct domain *d, struct job *job);

/* The device of /rd/{id}, or NULL when the request has been dealt with (unknown, elsewhere). */
struct device *update_device(struct domain *d, struct request *req, uint64_t now);
void update_request(struct domain *d, struct request *req, uint64_t now);
void update_done(struct domain *d, struct job *job, int rc, uint64_t now);
void update_change_free(struct change *c);
/* Whether the device will be reached elsewhere when the job is done. */
bool update_moves(const struct job *job);
/* Applies what waits for the store at once: the device leaves this domain. */
void update_apply_now(struct domain *d, struct device *dev, struct job *job, uint64_t now);

void removal_request(struct domain *d, struct request *req, uint64_t now);
/* Removes once the store has: EVENT_DEREGISTERED or EVENT_EXPIRED. ERR_FULL: not now. */
int removal_start(struct domain *d, struct device *dev, enum event_type reason,
                  struct op *op /* takes on success */, uint64_t now);
void removal_done(struct domain *d, struct job *job, int rc, uint64_t now);
/* Takes the device out of the house: observations, operations, tables, claim, memory. */
void removal_forget(struct domain *d, struct device *dev, enum event_type reason, uint64_t now);

/* ---- expiry.c, renewal.c --------------------------------------------------------------------- */

/* The device was heard: its lifetime begins again. */
void expiry_restart(struct domain *d, struct device *dev, uint64_t now);
/* Arms the timer for the deadline as it is. */
void expiry_arm(struct domain *d, struct device *dev, uint64_t now);
/* Timer of the expiry wheel. */
void expiry_fire(void *ctx, struct timer *t, uint64_t now);
uint32_t expiry_deadline(const struct domain *d, const struct device *dev, uint64_t now);
/* Unix ms; INT64_MAX when never. */
int64_t expiry_unix_ms(const struct domain *d, const struct device *dev, uint64_t now);

void renewal_init(struct domain *d);
void renewal_fini(struct domain *d);
/* Expiry and last seen shall be in the store soon; merged with what is noted already. */
void renewal_note(struct domain *d, struct device *dev, uint64_t now);
/* At most one transaction. */
void renewal_run(struct domain *d, uint64_t now);
/* Everything that is noted, whether due or not. */
void renewal_flush(struct domain *d, uint64_t now);
uint64_t renewal_next(const struct domain *d);
void renewal_done(struct domain *d, struct job *job, int rc, uint64_t now);

/* ---- report.c: observations; send.c ---------------------------------------------------------- */

enum report_state {
    REPORT_WANTED, /* not in the engine: the device of this registration has not accepted it yet */
    REPORT_ACTIVE, /* in the engine */
    REPORT_ENDING  /* not in the engine any more: being cancelled */
};

struct report {
    struct relation relation;
    struct list node;
    struct device *device;
    struct path path;
    int32_t format;
    enum report_state state;
    bool attached;  /* the attributes were written to the path: they are in no query */
    bool durable;   /* the store has it: wanted by an operator until cancelled */
    bool storing;   /* a job of it is under way */
    bool announced; /* the event has been emitted */
    bool tried;     /* WANTED: the device has been asked in this round */
    int64_t since_ms;
    struct batch *initial; /* value that came with the answer, until announced */
    struct batch *names;   /* composite: records that name the paths; NULL of a single one */
    char attributes[];
};

/* What the device has accepted. */
struct report_terms {
    uint64_t token;
    int32_t format;
    bool attached;
};

/* Whether it makes an observation. */
bool report_is_made_by(const struct op *op);
/* "/3/0/9,/1/0/1"; ERR_LIMIT when it does not fit. */
int report_names_format(const struct batch *names, char out[OP_OBSERVATION_PATHS]);
/* NULL without memory, or when it is no such text. */
struct batch *report_names_parse(struct view paths);
/* Of a composite one: method, body and its format; `body` is the buffer for it. */
int report_fill_names(struct domain *d, const struct report *r, struct outgoing *out,
                      struct buf *body, uint64_t now);
struct report *report_find(const struct device *dev, uint64_t token);
/* Since 1.2 the query of an Observe may carry attributes. */
bool report_in_query(const struct device *dev);
/* An active or wanted one of the same path, attributes and format, or NULL. */
struct report *report_like(const struct device *dev, const struct op *op);
/* One that is durable already and only has to be made. NULL without memory. */
struct report *report_want(struct device *dev, const struct observation *o);
/* The device accepted the observation of op: keeps it, or the wanted one of this token, and has it
 * stored. Takes op on success. */
int report_start(struct domain *d, struct device *dev, struct op *op,
                 const struct report_terms *terms, const struct answer *a, uint64_t now);
/* The device cannot be asked now: stores that it is wanted, under this token, which is the answer.
 * Takes op. */
void report_wish(struct domain *d, struct device *dev, struct op *op, uint64_t token, uint64_t now);
/* From here on nothing is told of it. */
void report_silence(struct domain *d, struct report *r);
void report_done(struct domain *d, struct job *job, int rc, uint64_t now);
/* Out of the engine, out of the device, out of memory; the event says why. */
void report_end(struct domain *d, struct report *r, int rc, const char *detail, uint64_t now);
void report_end_all(struct domain *d, struct device *dev, int rc, uint64_t now);
/* Has the store forget the observation; op (may be NULL) completes then. Takes op in any case. */
void report_unstore(struct domain *d, uint64_t token, struct op *op);
void report_unstore_done(struct domain *d, struct job *job, int rc, uint64_t now);
/* Tries again, once a second at most, to delete rows that the store had no room or disk for. */
void report_unstore_again(struct domain *d, uint64_t now);
void report_announce(struct domain *d, struct report *r, uint64_t now);
int report_notification(struct domain *d, struct relation *rel, const struct answer *a,
                        uint64_t now);
int report_outgoing(struct domain *d, struct relation *rel, struct outgoing *fill);
int report_load(struct domain *d, const struct observation *o);
int report_list(struct device *dev, struct op *op);
void report_describe(const struct report *r, struct op_observation *ret);
/* As the result of an OBSERVE. */
int report_result(const struct report *r, struct op *op);
/* Stops and restarts delivery around a move. */
void report_detach(struct domain *d, struct device *dev, uint64_t now);
void report_adopt(struct domain *d, struct device *dev, uint64_t now);

void send_request(struct domain *d, struct request *req, uint64_t now);
void send_done(struct domain *d, struct job *job, int rc, uint64_t now);

/* ---- wanted.c: observations outlive the registration they were made under ------------------ */

/* The registration is replaced: has its observations follow the endpoint, by way of d->orphans. */
void wanted_leave(struct domain *d, const struct device *dev);
/* One that has followed to this device. Takes op. */
void wanted_inherit(struct domain *d, struct device *dev, struct op *op, uint64_t now);
/* The device has woken: what is wanted is asked for with what else waits. */
void wanted_wake(struct domain *d, struct device *dev);
/* The device is awake and reachable: makes what is wanted, one after the other. */
void wanted_start(struct domain *d, struct device *dev, uint64_t now);
/* One that waited for the endpoint while it was not registered; dev NULL: it is elsewhere now. */
void wanted_carried(struct domain *d, struct device *dev, const struct observation *o,
                    const struct registration *r);
/* The next of this round, without sending it yet. */
void wanted_next(struct domain *d, struct device *dev);
/* The device has refused it: it is wanted no more. */
void wanted_refused(struct domain *d, struct device *dev, uint64_t token, int rc, uint8_t code,
                    uint64_t now);

/* ---- move.c ---------------------------------------------------------------------------------- */

struct device *move_give(struct domain *d, uint64_t id, uint64_t now);
int move_take(struct domain *d, struct device *dev, uint64_t now);
void move_free(struct device *dev);
int move_load(struct domain *d, const struct registration *r, struct claim *claim,
              const struct outage *outage, uint64_t now);

#endif
