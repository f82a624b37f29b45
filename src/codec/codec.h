/*
 * codec: every parser of foreign bytes on the device side, and its writer.
 *
 * MUST be bounded in time, depth and memory for any input, MUST NOT keep a pointer into its input
 * after it returns (batches own their bytes), MUST NOT do I/O or know a peer. Emits strictly,
 * accepts generously. libcoap is used by pdu.c only, jansson by jtext.c and the two JSON formats,
 * expat by objectxml.c only.
 */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include "model/model.h"

/* ---- pdu: CoAP messages (RFC 7252 section 3) ----------------------------------------------- */

enum pdu_type { PDU_CON, PDU_NON, PDU_ACK, PDU_RST };

enum pdu_code {
    PDU_EMPTY = 0x00,
    PDU_GET = 0x01,
    PDU_POST = 0x02,
    PDU_PUT = 0x03,
    PDU_DELETE = 0x04,
    PDU_FETCH = 0x05,
    PDU_PATCH = 0x06,
    PDU_IPATCH = 0x07,
    PDU_CREATED = 0x41,
    PDU_DELETED = 0x42,
    PDU_VALID = 0x43,
    PDU_CHANGED = 0x44,
    PDU_CONTENT = 0x45,
    PDU_CONTINUE = 0x5f
};
#define PDU_CODE_CLASS(code) ((code) >> 5)

enum pdu_option {
    PDU_IF_MATCH = 1,
    PDU_URI_HOST = 3,
    PDU_ETAG = 4,
    PDU_IF_NONE_MATCH = 5,
    PDU_OBSERVE = 6,
    PDU_URI_PORT = 7,
    PDU_LOCATION_PATH = 8,
    PDU_OSCORE = 9,
    PDU_URI_PATH = 11,
    PDU_CONTENT_FORMAT = 12,
    PDU_MAX_AGE = 14,
    PDU_URI_QUERY = 15,
    PDU_HOP_LIMIT = 16,
    PDU_ACCEPT = 17,
    PDU_Q_BLOCK1 = 19,
    PDU_LOCATION_QUERY = 20,
    PDU_BLOCK2 = 23,
    PDU_BLOCK1 = 27,
    PDU_SIZE2 = 28,
    PDU_Q_BLOCK2 = 31,
    PDU_PROXY_URI = 35,
    PDU_PROXY_SCHEME = 39,
    PDU_SIZE1 = 60,
    PDU_ECHO = 252,
    PDU_NO_RESPONSE = 258,
    PDU_REQUEST_TAG = 292
};

#define PDU_TOKEN_MAX 8
#define PDU_OPTIONS_MAX 64 /* options in one message; more is ERR_LIMIT */
#define PDU_HEADER_LEN 4

/* A parsed message; views point into the datagram. */
struct pdu {
    uint8_t type; /* enum pdu_type */
    uint8_t code;
    uint16_t mid;
    uint8_t token_len;
    uint8_t token[PDU_TOKEN_MAX];
    struct view options; /* encoded, checked */
    struct view payload;
};

/* Checks the whole message. *ret_header tells whether the header could be read (4 bytes, version
 * 1); then ret_pdu->type and ->mid are set on failure too: a malformed CON is rejected with RST
 * (RFC 7252 section 4.2). */
int pdu_parse(struct view datagram, struct pdu *ret_pdu, bool *ret_header);

struct pdu_iter {
    struct view rest;
    uint32_t number;
};
struct pdu_iter pdu_iter_init(const struct pdu *p);
/* Next option in order; false at the end. */
bool pdu_iter_next(struct pdu_iter *it, uint32_t *ret_number, struct view *ret_value);
/* First option of that number; false when absent. */
bool pdu_option_get(const struct pdu *p, uint32_t number, struct view *ret_value);
/* Value of the Uri-Path option of that index (from 0) when the message, checked by nobody yet,
 * begins with its path: a guess by which memory can be prepared for it. */
bool pdu_guess_segment(struct view datagram, unsigned index, struct view *ret_value);
/* uint option of at most 4 bytes; false when absent or longer. */
bool pdu_option_uint(const struct pdu *p, uint32_t number, uint32_t *ret_value);
/* Decodes a uint option value (0–4 bytes); ERR_RANGE when longer. */
int pdu_uint(struct view value, uint32_t *ret_number);
/* False when the option is known and its length outside of what its definition allows: such an
 * option is treated like an unknown one (RFC 7252 section 5.4.3). */
bool pdu_option_length_ok(uint32_t number, size_t n);

/* Writes a message. Options must come in ascending order (assert). The first error stays:
 * pdu_finish returns it. */
struct pdu_writer {
    uint8_t *start, *p, *end;
    uint32_t last_option;
    int rc;
};
void pdu_begin(struct pdu_writer *w, void *out, size_t cap, enum pdu_type type, uint8_t code,
               uint16_t mid, struct view token);
void pdu_put_option(struct pdu_writer *w, uint32_t number, struct view value);
void pdu_put_uint(struct pdu_writer *w, uint32_t number, uint32_t value);
/* Each segment of "/a/b" or "a/b" as one option (Uri-Path 11, Location-Path 8); "" puts none. */
void pdu_put_path(struct pdu_writer *w, uint32_t number, struct view path);
/* Each part of "a=1&b" as one option (Uri-Query 15). */
void pdu_put_query(struct pdu_writer *w, uint32_t number, struct view query);
void pdu_put_payload(struct pdu_writer *w, struct view payload);
/* ERR_LIMIT when it did not fit. */
int pdu_finish(struct pdu_writer *w, struct view *ret_datagram);

/* Block options, RFC 7959 section 2.2. szx 0–6; 7 is refused over UDP. */
struct pdu_block {
    uint32_t num;
    bool more;
    uint8_t szx;
};
int pdu_block_decode(struct view value, struct pdu_block *ret_block);
uint32_t pdu_block_encode(struct pdu_block b);
#define PDU_BLOCK_SIZE(szx) ((size_t)16 << (szx))

/* "2.05"; out holds 5 bytes. */
void pdu_code_format(uint8_t code, char out[5]);

/* ---- link: application/link-format (RFC 6690, LwM2M Core 6.2.1.2) -------------------------- */

struct link_param {
    struct view name;
    struct view
        value; /* quotes removed, escapes left as they are; p NULL when the parameter has none */
};
#define LINK_PARAMS_MAX 16
struct link {
    struct view
        target; /* between < and >; p NULL for the legacy bare parameters of Bootstrap-Discover */
    size_t param_count;
    struct link_param params[LINK_PARAMS_MAX]; /* further ones are skipped */
};
/* Calls `each` for every link; a negative result of it ends the walk and is returned.
 * Accepts what spec 04 section 9 lists; ERR_MALFORMED otherwise. An empty payload has no links. */
typedef int (*link_fn)(void *ctx, const struct link *l);
int link_parse(struct view text, link_fn each, void *ctx);
const struct link_param *link_param(const struct link *l, const char *name);

/* Object list of a Register or Update payload: finds the alternate path (rt="oma.lwm2m"), `ct` of
 * the root link, objects, instances, versions; drops /0, /21, /23 and what is not an object link;
 * accepts targets with or without the alternate path. ERR_LIMIT past 4 096 links or an alternate
 * path of more than 255 bytes. Caller releases with mem_free when refs is 0 (refs is 1 on return).
 * `hash` is that of the text, with the key.
 *
 * The text is the same for equal lists however they were sent: the root link if there is something
 * to say of it, then the links in ascending order, without the alternate path in front of them.
 * Read again (store to memory) it gives the same list. */
int link_objlist(struct view text, const struct hash_key *key, struct objlist **ret_list);
/* The text of a list without its root link: what devices with other formats or another alternate
 * path have in common. Borrowed from the list. */
struct view link_entries(const struct objlist *list);

/* ---- content: payloads by Content-Format --------------------------------------------------- */

/* What a body is for. It decides which formats can be it and what records mean in it. */
enum content_use {
    CONTENT_ANSWER,    /* to a Read or an Observe of one path; its notifications */
    CONTENT_COMPOSITE, /* the same of several paths: decoded with the root as base */
    CONTENT_WRITE,     /* replaces */
    CONTENT_UPDATE,    /* partial update */
    CONTENT_CREATE,    /* base is the object */
    CONTENT_FETCH,     /* Read- and Observe-Composite: paths without values, on the root */
    CONTENT_PATCH,     /* Write-Composite, on the root: no value = remove a resource instance */
    CONTENT_SEND,
    CONTENT_USE_COUNT
};

/* What a codec must know to type and place values; zeroed = an answer of a device unknown. */
struct content_env {
    const struct registry *registry; /* may be NULL: untyped decoding by best guess */
    const struct objlist *objects;   /* versions of the device's objects; may be NULL */
    struct view prefix;              /* alternate path expected in SenML names, "" when none */
    int64_t now_ms;                  /* Unix ms, base of relative times */
    enum content_use use;
    struct view gateway; /* "d01": all records are of this device behind a gateway; "" when none */
    bool prefixes;       /* decoding: keep records of any device behind a gateway, with the prefix
                            in the batch (record.prefix). Without it such records are ERR_PATH */
};

/* One row per format a device may send or take. */
struct content_format {
    int32_t number;
    const char *media_type;
    bool hierarchical;           /* else one value of the path asked for */
    bool timed;                  /* records can keep a time */
    uint16_t uses;               /* 1 << enum content_use */
    struct version since, until; /* enabler versions that know it; until 0.0: to this day */
    int (*decode)(const struct content_env *env, struct view body, const struct path *base,
                  struct batch *ret_batch);
    int (*encode)(const struct content_env *env, const struct batch *values,
                  const struct path *base, struct buf *out);
};
/* The row of a Content-Format, aliases of drafts included (1541–1543); NULL when unknown. */
const struct content_format *content_format(int32_t number);
const struct content_format *content_format_by_media_type(struct view media_type);
bool content_usable(const struct content_format *f, enum content_use use);

/*
 * Decodes a body for `base` into records with absolute paths, typed by the model where it is
 * known. Adds to ret_batch, which is left in an unspecified but valid state on failure.
 *
 * A value that the model types otherwise is converted where nothing is lost, else ERR_TYPE or
 * ERR_RANGE; numbers that are not finite are ERR_RANGE. Without a model SenML, CBOR and LwM2M JSON
 * say what they hold, text is a string, TLV opaque. A record without value (VALUE_NONE) is an empty
 * multiple resource, an instance without resources below an object, or as env->use says; the same
 * path twice is a history in SenML and ERR_DUPLICATE in LwM2M CBOR. An empty body is no record
 * where base is an object or an instance. In a Create an instance that the device is to choose has
 * the identifier MODEL_ID_NONE. ERR_FORMAT for an unknown format or one that is not for env->use;
 * FORMAT_NONE is taken as text. ERR_PATH for a record outside of base.
 */
int content_decode(int32_t format, const struct content_env *env, struct view body,
                   const struct path *base, struct batch *ret_batch);
/*
 * Encodes values (absolute paths, all under base, else ERR_PATH) as the body of a request on
 * `base`; appends to out, which stays as it was on failure. ERR_FORMAT when the format is not for
 * env->use, or cannot carry the values: text, opaque and CBOR take exactly one, of base; LwM2M CBOR
 * and JSON none that is VALUE_NONE; SenML no instance without identifier; TLV and LwM2M JSON no
 * prefix. ERR_DUPLICATE for two values of one path in TLV and LwM2M CBOR. ERR_TYPE for a value in a
 * FETCH. Times are dropped by formats that are not `timed`. The numbers of drafts are not written.
 *
 * Below an object TLV wraps instances, but leaves the one with identifier MODEL_ID_NONE bare: a
 * Create that lets the device choose. LwM2M CBOR writes 65535 there.
 */
int content_encode(int32_t format, const struct content_env *env, const struct batch *values,
                   const struct path *base, struct buf *out);

/* The type the model gives the resource of p, or NONE. */
enum value_type content_type_of(const struct content_env *env, const struct path *p,
                                bool *ret_multiple);

/* ---- choose: which Content-Format to ask for or to send ------------------------------------ */

enum choose_class {
    CHOOSE_ONE,       /* one value of one resource */
    CHOOSE_MANY,      /* several below one path, or in a Create */
    CHOOSE_COMPOSITE, /* Accept of a Read- or Observe-Composite */
    CHOOSE_FETCH,     /* body of the same */
    CHOOSE_PATCH,     /* body of a Write-Composite */
    CHOOSE_CLASS_COUNT
};

/* What is known of a device. */
struct choose {
    struct version version;
    const uint16_t *offered; /* ct of its root link */
    uint8_t offered_count;
    uint8_t refused; /* choose_bit of formats answered with 4.06 or 4.15, of the class asked for */
    uint8_t worked;  /* choose_bit of formats that it took; tried before the others */
};

#define CHOOSE_MAX 8
/*
 * Content-Formats to try, best first; returns how many. To read, FORMAT_NONE (the device's choice)
 * comes last. To write there is always one, from the start when all were refused, except that
 * version 1.0 has no composites. A 1.0 device gets the formats of 1.0 only, whatever it offers.
 * `type` is that of the value in CHOOSE_ONE, VALUE_NONE when no model tells it. A format may still
 * be unable to carry the values (content_encode says ERR_FORMAT): then the next one is to be taken.
 */
size_t choose_formats(const struct choose *c, enum choose_class class, enum value_type type,
                      bool write, int32_t out[CHOOSE_MAX]);
/* 0 for a format that the class does not have. */
uint8_t choose_bit(enum choose_class class, int32_t format);

/* ---- attr: Write-Attributes and observation attributes (spec 03 section 1) ----------------- */

/* Checks "pmin=5&pmax=10&gt" (a key without value unsets): known keys, number syntax, level of the
 * path, lt < gt and lt + 2 st < gt, pmin <= pmax, epmin < epmax. ERR_ATTRIBUTES, ERR_INVALID or
 * ERR_DUPLICATE; *ret_what (static text) names the trouble. */
int attr_check(struct view query, const struct path *p, const char **ret_what);

/* ---- execargs: Execute arguments (spec 02 section 5) --------------------------------------- */
int execargs_check(struct view text);

/* ---- objectxml: OMA object definition files ------------------------------------------------ */

/* One <Object> of an OMA LWM2M object definition. Bounded: 1 MiB of XML, 4 096 resources, no
 * external entities, no internal DTD expansion. *ret_line is set on failure too. */
int objectxml_parse(struct view xml, struct object_def **ret_def, unsigned *ret_line);

#endif
