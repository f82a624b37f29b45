/*
 * model: the vocabulary of the house. Plain data that every layer above shares, and the closed list
 * of messages that cross threads (op, event, txn).
 *
 * MUST NOT do I/O, know a wire format, a socket, SQL or HTTP. MUST be cheap to copy or explicitly
 * owned. Each message is given away on send: the sender forgets the pointer.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/base.h"

/* ---- path: /object/instance/resource/resource-instance --------------------------------------- */

#define PATH_TEXT_MAX 26
#define MODEL_ID_NONE 65535 /* reserved at every level (LwM2M Core 6.1) */

struct path {
    uint16_t id[4];
    uint8_t depth; /* 0 root, 1 object, 2 instance, 3 resource, 4 resource instance */
};
/* "/", "/3", "/3/0/9", "/3/0/6/1"; ERR_PATH on anything else (leading zeros, 65535, empty or more
 * than four segments, no leading slash). One trailing slash is accepted. */
int path_parse(struct view v, struct path *ret_path);
void path_format(const struct path *p, char out[PATH_TEXT_MAX]);
bool path_eq(const struct path *a, const struct path *b);
int path_cmp(const struct path *a,
             const struct path *b); /* shorter before longer at equal prefix */
/* True when p is `prefix` or below it. */
bool path_covers(const struct path *prefix, const struct path *p);

/* ---- value, record, batch ------------------------------------------------------------------ */

/* LwM2M Core appendix C. NONE: a record that only names a path (composite read), or one of a
 * resource without content. */
enum value_type {
    VALUE_NONE,
    VALUE_STRING,
    VALUE_INTEGER,
    VALUE_UNSIGNED,
    VALUE_FLOAT,
    VALUE_BOOLEAN,
    VALUE_OPAQUE,
    VALUE_TIME,
    VALUE_OBJLNK,
    VALUE_CORELNK,
    VALUE_TYPE_COUNT
};

struct value {
    enum value_type type;
    union {
        int64_t integer;    /* INTEGER, TIME (Unix seconds) */
        uint64_t unsigned_; /* UNSIGNED */
        double float_;      /* FLOAT */
        bool boolean;       /* BOOLEAN */
        struct view bytes;  /* STRING, CORELNK (UTF-8), OPAQUE */
        struct {
            uint16_t object, instance; /* OBJLNK; 65535:65535 is the null link */
        } link;
    } u;
};

/* "string", "integer", "unsigned", "float", "boolean", "opaque", "time", "objlnk", "corelnk" or
 * "none", in lower case. */
const char *value_type_name(enum value_type t);
/* Those names and the ones of object definitions ("Unsigned Integer", "") in any case, else
 * ERR_MALFORMED. */
int value_type_parse(struct view v, enum value_type *ret_type);
/* Same type and content; opaque bytes by content, a float that is no number equals another such. */
bool value_eq(const struct value *a, const struct value *b);
/* Converts in place to what the model asks for where nothing is lost (integer to float, integral
 * float to integer, integer to unsigned or time, integer 0 or 1 to boolean, string to corelnk and
 * back, "o:i" string to objlnk); ERR_TYPE or ERR_RANGE otherwise, with v as it was. VALUE_NONE as
 * `want` asks for nothing. */
int value_coerce(struct value *v, enum value_type want);

struct record {
    struct path path;
    bool timed;
    uint16_t prefix; /* of a device behind a gateway, numbered by the batch; 0 = none */
    int64_t time_ms; /* Unix ms, meaningful when timed */
    struct value value;
};

/* Ordered records that own their bytes; may cross threads with the message that owns it. Bytes of
 * values stay where they are until batch_free; batch_add and batch_sort move records. */
struct batch;
struct batch *batch_new(void);
void batch_free(struct batch *b);
/* Copies the record and its bytes. ERR_LIMIT past 65 536 records or 64 MiB, and nothing changed. */
int batch_add(struct batch *b, const struct record *r);
size_t batch_size(const struct batch *b);
/* NULL past the end. */
const struct record *batch_at(const struct batch *b, size_t i);
/* First record of exactly this path and no prefix, or NULL. */
const struct record *batch_find(const struct batch *b, const struct path *p);
/* Order of batch_sort: by number of the prefix, then by path. */
int batch_cmp(const struct record *a, const struct record *b);
/* Stable; records of one path keep their order. */
void batch_sort(struct batch *b);
struct batch *batch_copy(const struct batch *b);
/* Our own compact form of a batch, for the store: records in order, exact in every type. What was
 * written by an older version stays readable. Fails as the buffer does. */
int pack_encode(const struct batch *b, struct buf *out);
/* ERR_MALFORMED, ERR_TRUNCATED, ERR_LIMIT, ERR_NOMEM on what pack_encode did not write. */
int pack_decode(struct view packed, struct batch **ret_batch);

#define BATCH_PREFIXES_MAX 256
/* The number for record.prefix: that of an equal prefix, or a new one. ERR_LIMIT past
 * BATCH_PREFIXES_MAX of them. */
int batch_prefix_add(struct batch *b, struct view prefix, uint16_t *ret_number);
/* "" for 0 and for a number that was not given out; lives as long as the batch. */
struct view batch_prefix(const struct batch *b, uint16_t number);

/* ---- content formats ----------------------------------------------------------------------- */

/* CoAP Content-Format numbers; FORMAT_NONE = option absent. */
#define FORMAT_NONE (-1)
enum format {
    FORMAT_TEXT = 0,
    FORMAT_LINK = 40,
    FORMAT_OPAQUE = 42,
    FORMAT_CBOR = 60,
    FORMAT_SENML_JSON = 110,
    FORMAT_SENML_CBOR = 112,
    FORMAT_SENML_ETCH_JSON = 320,
    FORMAT_SENML_ETCH_CBOR = 322,
    FORMAT_TLV = 11542,
    FORMAT_LWM2M_JSON = 11543,
    FORMAT_LWM2M_CBOR = 11544
};

/* ---- version ------------------------------------------------------------------------------- */

struct version {
    uint8_t major, minor;
};
/* "1.2"; a third part ("1.2.1") is checked and left out. ERR_MALFORMED, ERR_RANGE past 255. */
int version_parse(struct view v, struct version *ret_version);
int version_cmp(struct version a, struct version b);

/* ---- object definitions -------------------------------------------------------------------- */

enum resource_ops { RESOURCE_READ = 1, RESOURCE_WRITE = 2, RESOURCE_EXECUTE = 4 };

struct resource_def {
    uint16_t id;
    uint8_t ops; /* enum resource_ops; 0 = only the bootstrap interface */
    bool multiple;
    bool mandatory;
    enum value_type type; /* NONE for executables */
    const char *name;
    const char *range; /* "" when none */
    const char *units;
};

struct object_def {
    uint16_t id;
    struct version version;
    const char *name;
    bool multiple;
    bool mandatory;
    struct version min_enabler;
    const struct resource_def *resources; /* ascending id */
    size_t resource_count;
    void *owned; /* memory of the strings and resources */
};
#define OBJECT_DEF_RESOURCES_MAX 4096
/* Deep copy of a draft whose strings and resources may lie anywhere: sorts the resources, takes a
 * missing string as "". ERR_DUPLICATE for two resources of one id, ERR_LIMIT for more than
 * OBJECT_DEF_RESOURCES_MAX of them. */
int object_def_new(const struct object_def *draft, struct object_def **ret_def);
void object_def_free(struct object_def *d);
/* Words of object definition files: "RW", "E", "" or "-"; "Multiple" or "Single"; "Mandatory" or
 * "Optional". ERR_MALFORMED on others. */
int object_def_ops(struct view letters, uint8_t *ret_ops);
int object_def_multiple(struct view word, bool *ret_multiple);
int object_def_mandatory(struct view word, bool *ret_mandatory);
const struct resource_def *object_def_resource(const struct object_def *d, uint16_t id);

/*
 * All known definitions, several versions side by side. Immutable once published, so threads share
 * it; an import makes a new one.
 */
struct registry;
#define REGISTRY_DEFS_MAX 16384
struct registry *registry_new(void);
struct registry *registry_ref(struct registry *r);
void registry_unref(struct registry *r);
/* Before publishing only. Takes d; replaces the same id and version. ERR_LIMIT: there are
 * REGISTRY_DEFS_MAX already. */
int registry_add(struct registry *r, struct object_def *d /* takes on success */);
/* A new, unpublished registry with the same definitions. */
struct registry *registry_clone(const struct registry *r);
/* Tab-separated definitions: the columns of etc/objects.tsv, one row a resource, ascending by
 * object, version and resource; lines that begin with '#' are comments. On failure *ret_line names
 * the line and the definitions before it are in the registry. */
int registry_load_tsv(struct registry *r, struct view text, unsigned *ret_line);
/* Exact version, else the highest known minor of that major, else NULL; {0,0} is the highest. */
const struct object_def *registry_find(const struct registry *r, uint16_t object, struct version v);
size_t registry_size(const struct registry *r);
const struct object_def *registry_at(const struct registry *r,
                                     size_t i); /* ordered by id, version */
/* Definition of the resource a path of depth >= 3 names, in that version of the object, or NULL. */
const struct resource_def *registry_resource(const struct registry *r, const struct path *p,
                                             struct version v);

/* The published registry: read by every thread, replaced by an import. */
struct models;
struct models *models_new(struct registry *first /* takes */);
void models_free(struct models *m);
/* Counts publications; a reader that kept a reference compares it before each use (lock free). */
uint64_t models_version(const struct models *m);
struct registry *models_get(struct models *m); /* a reference */
void models_publish(struct models *m, struct registry *next /* takes */);

/* ---- identity ------------------------------------------------------------------------------ */

enum identity_type {
    IDENTITY_NONE,
    IDENTITY_PSK,
    IDENTITY_RPK,
    IDENTITY_X509,
    IDENTITY_OSCORE,
    IDENTITY_TYPE_COUNT
};

/* Who the peer has proven to be; NONE over plain CoAP. An identity is not an address. */
struct identity {
    enum identity_type type;
    struct view name; /* PSK identity, certificate CN, hex of the SPKI digest; empty with NONE */
};
const char *identity_type_name(enum identity_type t);
bool identity_eq(const struct identity *a, const struct identity *b);
/* Keyed hash for comparisons across threads (claim.identity_hash); 0 exactly for IDENTITY_NONE. */
uint64_t identity_hash(const struct hash_key *key, const struct identity *id);

/* ---- object list --------------------------------------------------------------------------- */

#define OBJLIST_FORMATS_MAX 12

/*
 * What a device said about itself that devices of a kind share word for word: links, alternate
 * path, formats. Interned per thread (lwm2m), so a million equal devices keep one. Immutable.
 */
struct objlist_entry {
    struct path path;       /* depth 1 or 2 */
    struct version version; /* {0,0} when the link had no ver */
};
struct objlist {
    uint32_t refs; /* not atomic: belongs to one thread */
    uint16_t count;
    uint8_t format_count; /* 0: the device offered none */
    uint16_t formats[OBJLIST_FORMATS_MAX];
    struct view alt_path; /* "" or "/lwm2m"; no trailing slash; inside the same allocation */
    struct view text;     /* canonical link-format; inside the same allocation */
    uint64_t hash;
    struct objlist_entry entries[]; /* ascending path */
};

/* ---- registration: a snapshot -------------------------------------------------------------- */

#define REGISTRATION_ID_LEN 16 /* 2 hex of slot, 14 random hex */
#define ENDPOINT_MAX 255       /* bytes of an endpoint name */

/* Bindings as bits, LwM2M Core 1.2 table 6.2.1.2-1. */
enum binding {
    BINDING_U = 1,
    BINDING_T = 2,
    BINDING_S = 4,
    BINDING_N = 8,
    BINDING_M = 16,
    BINDING_H = 32
};
/* "UT"; letters in the order U M H T S N. */
void binding_format(uint8_t bits, char out[8]);
/* Letters in any order; ERR_INVALID on others, duplicates or none. *ret_queue: there was a Q behind
 * one of them (1.0). */
int binding_parse(struct view v, uint8_t *ret_bits, bool *ret_queue);

enum transport {
    TRANSPORT_UDP,
    TRANSPORT_DTLS,
    TRANSPORT_TCP,
    TRANSPORT_TLS,
    TRANSPORT_MQTT,
    TRANSPORT_SMS,
    TRANSPORT_COUNT
};
const char *transport_scheme(enum transport t); /* "coap", "coaps", "coap+tcp", … */

/* Where a device is reached: the peer, and the local address it spoke to, from which we answer. */
struct flow {
    struct addr peer;
    struct addr local;
    uint8_t transport; /* enum transport */
    uint8_t listener;  /* index of the listening socket */
};

/* Views are borrowed unless the holder says it owns them (registration_copy). */
struct registration {
    uint64_t row; /* key in the store; unique for ever; 0 = not assigned */
    uint64_t
        id; /* registration id: slot << 56 | 56 random bits; text form by registration_id_format */
    uint64_t
        generation; /* rises with each Register of this endpoint; the store ignores older ones */
    struct view endpoint;
    struct version version;
    uint32_t lifetime_s; /* 0 = never expires */
    bool lifetime_given; /* false: the client omitted lt */
    uint8_t binding;     /* enum binding */
    bool queue_mode;
    bool awake; /* of a live one: not in queue mode, or within its window; not stored */
    int64_t
        awake_until_ms;  /* queue mode, Unix ms: it listens, or has listened, until then; else 0 */
    struct view sms;     /* digits or external identifier, "" when none */
    struct view profile; /* pid as sent, "" when none */
    struct view links;   /* canonical link-format with alternate path and ct on the root link */
    struct view unknown; /* unknown query parameters as sent, joined by '&' */
    struct flow flow;
    struct identity identity;
    int64_t registered_ms; /* Unix ms */
    int64_t updated_ms;    /* last Register or Update */
    int64_t seen_ms;       /* last message of any kind */
    int64_t expires_ms;    /* INT64_MAX when never */
};
/* One allocation that owns its views; release with mem_free. NULL without memory. */
struct registration *registration_copy(const struct registration *r);
void registration_id_format(uint64_t id, char out[REGISTRATION_ID_LEN + 1]);
int registration_id_parse(struct view v, uint64_t *ret_id);

/* ---- claim: who owns an endpoint ----------------------------------------------------------- */

/*
 * One live or tentative registration in the directory (shard). Made by it, held by exactly one
 * device (or by a Register under way) until given back, read without a lock by the holder.
 */
struct claim {
    uint64_t row; /* of the store */
    uint64_t id;  /* registration id */
    uint64_t generation;
    uint64_t identity_hash; /* 0: registered without a proven identity */
    uint16_t shard;         /* owner; written under the directory's lock */
    uint8_t endpoint_len;
    bool committed;  /* visible in the directory */
    char endpoint[]; /* NUL-terminated */
};

/* ---- observation --------------------------------------------------------------------------- */

/* One observation as the store keeps it: a wish of an operator that outlives registrations, until
 * it is cancelled or the device refuses it. The token's first byte is the slot that the device had
 * when it was made; made again for a later registration it keeps the token. */
struct observation {
    uint64_t token; /* big endian on the wire, 8 bytes; also its id (16 hex) towards operators */
    uint64_t row;   /* registration row it belongs to; 0: the endpoint is not registered now */
    uint64_t registration_id; /* void when the device has another one */
    struct path path;         /* of a composite observation: the root */
    struct view paths;        /* composite: "/3/0/9,/1/0/1"; "" of a single one */
    int32_t format;           /* Accept asked for, or FORMAT_NONE */
    struct view attributes;   /* query text "pmin=5&pmax=10", "" when none */
    /* Unix ms; 0: wanted, but the device has not accepted it under this registration yet. */
    int64_t since_ms;
};

/* ---- blob: a large body, given away with its message --------------------------------------- */

/* Bytes in memory, or in an unlinked temporary file once larger than the spool threshold. */
struct blob {
    uint8_t *p; /* owned; NULL when spooled */
    uint64_t size;
    int fd; /* -1 when in memory; owned */
};
struct blob *blob_new(struct view bytes); /* copies */
struct blob *blob_new_fd(int fd /* takes */, uint64_t size);
void blob_free(struct blob *b);

/* ---- op: a command to a device ------------------------------------------------------------- */

/* The store keeps the numbers of kinds, states and priorities: new ones come at the end. */
enum op_kind {
    OP_STATUS, /* snapshot of the live registration; no radio */
    OP_READ,
    OP_DISCOVER,
    OP_WRITE_REPLACE,
    OP_WRITE_UPDATE,
    OP_WRITE_ATTRIBUTES,
    OP_EXECUTE,
    OP_CREATE,
    OP_DELETE,
    OP_READ_COMPOSITE,  /* values: records of type NONE that name the paths */
    OP_WRITE_COMPOSITE, /* values; a record of type NONE removes a resource instance */
    OP_OBSERVE,
    OP_OBSERVE_COMPOSITE, /* values: as of READ_COMPOSITE */
    OP_OBSERVE_CANCEL,    /* of either, by token */
    OP_OBSERVE_LIST,      /* observations of the device; no radio */
    OP_DEREGISTER,        /* forget the registration; no radio */
    OP_CANCEL,            /* a waiting operation, `target`; no radio */
    OP_KIND_COUNT
};
const char *op_kind_name(enum op_kind k); /* "read", "write", … */

struct op_id {
    uint8_t b[16]; /* UUIDv7, RFC 9562 */
};
void op_id_new(struct random *r, int64_t wall_ms, struct op_id *ret_id);
/* Makes a new id follow the last one of the same maker, also within one millisecond (RFC 9562
 * section 6.2): ids in order are operations in order. */
void op_id_after(const struct op_id *last, struct op_id *id);
void op_id_format(const struct op_id *id, char out[37]);
/* The 36 characters of op_id_format, in any case; ERR_MALFORMED. */
int op_id_parse(struct view v, struct op_id *ret_id);
bool op_id_eq(const struct op_id *a, const struct op_id *b);

/* What has become of a durable operation. From DONE on it is settled; UNKNOWN may still become
 * DONE, REJECTED or DEVICE_ERROR when a late answer comes. */
enum op_state {
    OP_STATE_QUEUED, /* stored; waits for its turn, or for the device to wake */
    OP_STATE_SENT,   /* an attempt has left us and may have been carried out */
    OP_STATE_DONE,
    OP_STATE_REJECTED,     /* the device answered 4.xx, or RST */
    OP_STATE_DEVICE_ERROR, /* … 5.xx */
    OP_STATE_UNKNOWN,      /* sent, and no answer came in time: it may have been carried out */
    OP_STATE_CANCELLED,    /* by an operator, before it was sent */
    OP_STATE_EXPIRED,      /* its time ran out before it was sent */
    OP_STATE_FAILED,       /* never sent: it could not be */
    OP_STATE_COUNT
};
const char *op_state_name(enum op_state s); /* "queued", …, "device-error", … */
/* ERR_MALFORMED. */
int op_state_parse(struct view v, enum op_state *ret_state);
bool op_state_settled(enum op_state s);

enum op_priority { OP_PRIORITY_LOW, OP_PRIORITY_NORMAL, OP_PRIORITY_HIGH, OP_PRIORITY_COUNT };
const char *op_priority_name(enum op_priority p); /* "low", "normal", "high" */

/* One sending of an operation, under a token of its own, so that a late answer says which. */
#define OP_ATTEMPTS_MAX 8
struct op_attempt {
    uint64_t token;
    int64_t sent_ms, answered_ms; /* Unix ms; 0 = not answered */
    uint32_t retransmissions;
    uint8_t code;      /* CoAP code of the answer, 0 when there was none */
    uint8_t transport; /* enum transport */
};

#define OP_OBSERVATION_PATHS 512
struct op_observation { /* one row of OP_OBSERVE_LIST, or the new one of OP_OBSERVE */
    uint64_t token;
    struct path path;
    char paths[OP_OBSERVATION_PATHS]; /* composite: "/3/0/9,/1/0/1"; "" of a single one */
    int64_t since_ms;
    bool active; /* false: asked for, not answered yet */
    char attributes[128];
};

/*
 * Completes exactly once, by op_complete, on whatever thread; `done` must not block: it posts.
 *
 * A durable one is stored before its first datagram leaves and is settled exactly once, whatever
 * happens to us or the device in between (EVENT_OPERATION tells). Its submitter gets the outcome
 * when that comes before `deadline`, else ERR_ACCEPTED as soon as it is stored and the time is up:
 * then the operation goes on without him.
 */
struct op {
    struct mbox_node node;
    struct op_id id;
    enum op_kind kind;
    char *endpoint; /* owned, NUL-terminated */
    struct path path;
    int32_t format;       /* wanted Accept or Content-Format, FORMAT_NONE = the server chooses */
    int8_t depth;         /* Discover: 0..3, -1 = not given */
    struct batch *values; /* owned: Write, Create */
    struct blob *body;    /* owned: Write of one opaque resource from a file, instead of values */
    char *text;           /* owned: Execute arguments, attributes "pmin=5&pmax=10" */
    uint64_t token;       /* OBSERVE_CANCEL; OBSERVE: 0, or the wanted one that moves house */
    uint8_t hops;         /* times it was passed on because the device had moved */
    uint64_t deadline;    /* monotonic ms; of a durable one: how long the submitter waits */
    bool durable;
    bool stored;           /* durable: the store has it; kept by who executes it */
    bool patient;          /* durable: the submitter waits until `deadline` also while the device
                              sleeps; otherwise ERR_ACCEPTED as soon as it is stored */
    bool repeatable;       /* durable Execute, Create: the operator says that twice does no harm */
    uint8_t priority;      /* enum op_priority; higher ones go before lower ones that wait */
    int64_t created_ms;    /* Unix ms */
    int64_t expires_ms;    /* Unix ms; durable: not sent any more after this. 0: never */
    char *key;             /* owned: Idempotency-Key, or NULL */
    uint64_t key_hash;     /* of the whole request, for the key */
    struct op_id target;   /* CANCEL */
    enum op_state state;   /* durable */
    uint8_t attempt_count; /* may exceed OP_ATTEMPTS_MAX: then the first and the newest are kept */
    struct op_attempt *attempts; /* owned; NULL until the first */
    void (*done)(struct op *op);
    void *ctx;
    struct {
        int rc;            /* ERR_OK: the device answered with success; ERR_DEVICE: see coap_code */
        uint8_t coap_code; /* answer of the device, 0 when there was none */
        int32_t format;
        struct batch *values; /* owned; decoded body of Read and Observe */
        struct blob *body;    /* owned; a body above the spool threshold, not decoded */
        char *text;           /* owned; link-format of Discover; diagnostic payload of an error */
        struct path location; /* Create */
        bool has_location;
        struct registration *registration;   /* owned; STATUS */
        struct op_observation *observations; /* owned array */
        size_t observation_count;
        uint32_t retransmissions;
        int64_t sent_ms, answered_ms; /* Unix ms, 0 = never */
        int64_t settled_ms;           /* Unix ms; durable: its state became a settled one */
        bool late;                    /* durable: settled by an answer that came after UNKNOWN */
    } result;
};
struct op *op_new(enum op_kind kind, struct view endpoint);
void op_free(struct op *op);
/* Sets rc and calls done; the op belongs to its submitter again. */
void op_complete(struct op *op, int rc);
/* Notes a sending. ERR_NOMEM. */
int op_attempt_add(struct op *op, const struct op_attempt *attempt);
/* The newest, or NULL. */
struct op_attempt *op_attempt_last(struct op *op);

/* ---- operation: a durable op as the store keeps it ------------------------------------------- */

#define OP_KEY_MAX 255         /* bytes of an Idempotency-Key */
#define OPERATION_BYTES 65536u /* values of a durable operation, packed */

/* Plain data; views are borrowed unless the holder says it owns them (operation_copy). */
struct operation {
    struct op_id id;
    struct view endpoint;
    enum op_kind kind;
    enum op_state state;
    struct path path;
    int32_t format;
    int8_t depth;
    uint8_t priority;
    bool repeatable;
    bool late; /* settled by an answer that came after UNKNOWN */
    uint64_t token;
    int64_t created_ms, expires_ms; /* Unix ms; 0 = never expires */
    int64_t settled_ms;             /* 0 = not settled */
    struct view text;               /* arguments, attributes */
    struct view values;             /* pack_encode; empty when none */
    struct view key;
    uint64_t key_hash;
    int rc; /* why it failed, was rejected, or is unknown */
    uint8_t code;
    int32_t result_format;
    struct view result;      /* pack_encode of the answer */
    struct view result_text; /* link-format of Discover, diagnostic payload */
    struct path location;    /* Create; depth 0 when none */
    uint8_t attempt_count;   /* of all; `attempts` holds at most OP_ATTEMPTS_MAX of them */
    struct op_attempt attempts[OP_ATTEMPTS_MAX];
};
/* One allocation that owns its views; release with mem_free. NULL without memory. */
struct operation *operation_copy(const struct operation *o);
/* What op says of itself, result included. Owned by the caller as above. ERR_LIMIT when values or
 * result do not fit OPERATION_BYTES, ERR_UNSUPPORTED with a body in a file, ERR_NOMEM. */
int operation_of_op(const struct op *op, struct operation **ret_operation);
/* The way back: an op without `done`, ready to be executed (or shown). */
int operation_to_op(const struct operation *o, struct op **ret_op);

/* ---- event: a fact ------------------------------------------------------------------------- */

enum event_type {
    EVENT_REGISTERED,
    EVENT_UPDATED,
    EVENT_DEREGISTERED,
    EVENT_EXPIRED,
    EVENT_REPLACED, /* a registration evicted by a newer one of the same endpoint */
    EVENT_REFUSED,
    EVENT_MOVED, /* the device now talks from another address */
    EVENT_NOTIFICATION,
    EVENT_SEND,
    EVENT_OBSERVATION_STARTED,
    EVENT_OBSERVATION_ENDED,
    EVENT_AWAKE,     /* a device in queue mode was heard after its window had closed */
    EVENT_ASLEEP,    /* its window has closed */
    EVENT_OVERDUE,   /* its lifetime is over, the grace period is not */
    EVENT_OPERATION, /* a durable operation has changed its state: `operation` */
    EVENT_TYPE_COUNT
};
const char *event_type_name(enum event_type t); /* "registered", … */

/* Immutable after event_new, reference counted (atomic), shared by every reader. */
struct event {
    struct mbox_node node; /* used once, between the maker and the ring */
    _Atomic uint32_t refs;
    enum event_type type;
    int64_t time_ms;
    char *endpoint; /* in the same allocation */
    uint64_t registration_id;
    struct flow flow;
    uint64_t token;              /* of the observation, 0 when none */
    struct path path;            /* observed path */
    struct batch *values;        /* owned; notification, send */
    struct operation *operation; /* owned; OPERATION */
    char *detail; /* owned, may be NULL: reason of a refusal, "limit" …, JSON-free text */
    int rc;       /* reason of a refusal or an end */
    uint32_t lifetime_s;
    bool renewal; /* UPDATED: only the lifetime has begun again */
    char text[];  /* of endpoint */
};
/* One allocation: every Update makes one. NULL without memory. */
struct event *event_new(enum event_type type, struct view endpoint, int64_t time_ms);
struct event *event_ref(struct event *e);
void event_unref(struct event *e);

/* ---- txn: a durable write ------------------------------------------------------------------ */

enum txn_kind {
    TXN_PUT_REGISTRATION, /* insert or replace the registration of its endpoint; the old one's
                             observations pass to it, with since 0 unless the id is the same
                             (Update) */
    TXN_DEL_REGISTRATION, /* by row and generation; its observations wait for the next */
    TXN_RENEW,            /* expiry and last seen of many rows, ascending row */
    TXN_PUT_OBSERVATION,
    TXN_DEL_OBSERVATION, /* by token */
    TXN_PUT_MODEL,       /* object definition XML */
    TXN_PUT_OPERATION,   /* a new durable operation */
    TXN_SET_OPERATION,   /* state, attempts and result of one that is there, unless it is settled
                            for good */
    TXN_RECORD,          /* values and timeline entries of one or several devices */
    TXN_PUT_PROFILE,     /* what a profile ID stands for */
    TXN_DEL_PROFILE,
    TXN_KIND_COUNT
};

/* One line of a device's timeline, or values it has told, or both. */
enum value_origin { ORIGIN_READ, ORIGIN_NOTIFY, ORIGIN_SEND, ORIGIN_WRITE, ORIGIN_COUNT };
const char *value_origin_name(enum value_origin o); /* "read", "notify", "send", "write" */
struct entry {
    struct view endpoint; /* borrowed from `bytes` of the txn */
    int64_t time_ms;      /* Unix ms, of reception */
    bool listed;          /* a line of the timeline of `type`, `rc` and `detail` */
    enum event_type type;
    int rc;
    uint64_t registration_id;
    struct view detail;   /* borrowed likewise: address, reason; "" when none */
    struct batch *values; /* owned; NULL when none. A record without time has time_ms */
    enum value_origin origin;
};

/* Where the knowledge of a profile ID comes from. */
enum profile_source { PROFILE_LEARNED, PROFILE_CONFIGURED, PROFILE_SOURCE_COUNT };

struct renewal {
    uint64_t row;
    uint64_t generation;
    int64_t expires_ms;
    int64_t seen_ms;
};

/* Given away to the store; after COMMIT (or failure) `done` runs on the writer's thread, where it
 * must only post. */
struct txn {
    struct mbox_node node;
    enum txn_kind kind;
    struct registration *registration; /* owned: PUT_ */
    uint64_t row, generation;          /* DEL_REGISTRATION */
    uint64_t token;                    /* DEL_OBSERVATION */
    struct observation observation;    /* PUT_OBSERVATION; attributes, paths lie in `text` */
    struct renewal *renewals;          /* owned array: RENEW */
    size_t renewal_count;
    struct operation *operation; /* owned: PUT_ and SET_OPERATION */
    struct entry *entries;       /* owned array: RECORD */
    size_t entry_count;
    char *bytes;     /* owned: what the entries borrow */
    char *profile;   /* owned: PUT_ and DEL_PROFILE, one id; its links are in `text` */
    uint8_t source;  /* PUT_PROFILE: enum profile_source */
    bool dormant;    /* PUT_OPERATION: for an endpoint that is not registered; ERR_CONFLICT when it
                        is, ERR_UNREGISTERED when it never was */
    char *text;      /* owned: attributes and paths, model XML, links of a profile */
    uint16_t object; /* PUT_MODEL */
    struct version version;
    int rc;                      /* set before done */
    void (*done)(struct txn *t); /* NULL: freed by the store */
    void *ctx;
    uint64_t tag; /* the submitter's own */
    /*
     * What the store gives back, owned by the txn. PUT_REGISTRATION of an endpoint that was not
     * registered: the observations that are wanted and the operations that wait, oldest first, for
     * the new registration to take up (of one that was, its device has them in memory).
     * PUT_OPERATION that ended with ERR_EXISTS (its key was used for the same request before) or
     * ERR_KEYREUSED (for another): the operation that had the key first.
     */
    struct observation **carried_observations; /* array of single allocations */
    size_t carried_observation_count;
    struct operation **carried_operations;
    size_t carried_operation_count;
};
struct txn *txn_new(enum txn_kind kind);
void txn_free(struct txn *t);
/* Frees what was carried: nothing of the transaction has happened. */
void txn_uncarry(struct txn *t);

/* ---- profile IDs: what a pid stands for (LwM2M Core 6.2.1) ----------------------------------- */

#define PROFILE_ID_MAX 160     /* bytes of one id */
#define PROFILE_IDS_MAX 8      /* ids in one pid */
#define PROFILE_LINKS_MAX 8192 /* bytes of the links of one id */

enum profile_kind {
    PROFILE_DYNAMIC, /* "<suite>:<lower-case hex>": a hash of the list, made by the client */
    PROFILE_OMA,     /* "oma:<name>": registered with OMA */
    PROFILE_VENDOR   /* "v:<name>" */
};
/* ERR_MALFORMED on anything else. */
int profiles_kind(struct view id, enum profile_kind *ret_kind);

struct profile_ids {
    struct view v[PROFILE_IDS_MAX]; /* borrowed from the pid */
    uint8_t n;
};
/* The value of pid: one id, or a comma-separated list in double quotes. ERR_MALFORMED; ERR_INVALID
 * when there are more than PROFILE_IDS_MAX. */
int profiles_split(struct view pid, struct profile_ids *ret_ids);

/* What one id stands for. Immutable, reference counted (atomic). */
struct profile_entry {
    _Atomic uint32_t refs;
    enum profile_source source;
    bool from_file;
    int64_t since_ms;  /* Unix ms; 0 when from a file */
    struct view id;    /* these two lie in the same allocation */
    struct view links; /* canonical link-format of objects and instances, without a root link */
    char text[];
};

/*
 * The known ids, for all threads. An id has one meaning from the file and one from the store or
 * from a device; that of the file counts. At the limit the one learned longest ago goes.
 */
struct profiles;
/* `limit`: most ids; `learn`: whether devices may define ids. The key is for what was refused. */
struct profiles *profiles_new(size_t limit, bool learn, const struct hash_key *key);
void profiles_free(struct profiles *p);
/* A reference, or NULL when the id is not known. */
struct profile_entry *profiles_get(struct profiles *p, struct view id);
void profiles_unref(struct profile_entry *e); /* NULL is fine */
size_t profiles_size(struct profiles *p);
/* References to the at most n ids after `after` in ascending order ("" from the start). */
size_t profiles_page(struct profiles *p, struct view after, struct profile_entry **ret, size_t n);

/* What a change did besides. */
struct profiles_effect {
    bool changed;  /* the id means something else now, or something at last */
    bool conflict; /* … and it meant something else before */
    bool evicted;  /* `gone` had to make room */
    char gone[PROFILE_ID_MAX + 1];
};
/* Defines an id: by an operator, or as the store has it. ERR_CONFLICT when the file defines it,
 * ERR_FULL when nothing learned is left to go, ERR_TOOLARGE past PROFILE_LINKS_MAX, ERR_MALFORMED
 * (the id), ERR_NOMEM. */
int profiles_set(struct profiles *p, struct view id, struct view links, enum profile_source source,
                 int64_t since_ms, struct profiles_effect *ret_effect);
/* The same by a device. Never changes what is configured: ERR_EXISTS. */
int profiles_learn(struct profiles *p, struct view id, struct view links, int64_t since_ms,
                   struct profiles_effect *ret_effect);
/* ERR_NOTFOUND; ERR_CONFLICT when the file defines it. */
int profiles_forget(struct profiles *p, struct view id);

/* One line of the file. */
struct profile_line {
    struct view id, links;
};
/* Takes the lines in place of those of the file before. ERR_FULL past the limit (of the lines
 * alone), ERR_DUPLICATE, ERR_MALFORMED, ERR_TOOLARGE, ERR_NOMEM: all is as before. */
int profiles_set_file(struct profiles *p, const struct profile_line *lines, size_t n);

/*
 * Only who was refused with an id alone and then tells the list says what the id stands for (with a
 * list beside it from the start, the id may stand for something else, and the union is meant). The
 * last some thousand refusals are remembered.
 */
void profiles_note_refusal(struct profiles *p, struct view endpoint, struct view id);
/* False when devices may not define ids. */
bool profiles_was_refused(struct profiles *p, struct view endpoint, struct view id);
/* It has told the list: the next time it must be refused again. */
void profiles_clear_refusal(struct profiles *p, struct view endpoint, struct view id);

#endif
