/*
 * One domain over a real engine, with a directory and a store that do what the test says. Devices
 * are numbers: device n talks from an address of its own. What is sent to them is kept, and so are
 * events and answers of operations.
 */
#ifndef DOMAIN_FIXTURE_H
#define DOMAIN_FIXTURE_H

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lwm2m/run.h"

#define FIX_SENT 64
#define FIX_BYTES 2048
#define FIX_EVENTS 256
#define FIX_PROFILES 8
#define FIX_WALL INT64_C(1700000000000)
#define FIX_START UINT64_C(5000000)

/* A message as the server sent it. Views are into `bytes`. */
struct fix_sent {
    struct flow flow;
    struct pdu pdu;
    char path[300]; /* Uri-Path or Location-Path: "/a/b" */
    char query[300];
    int32_t format, accept, observe;
    size_t n;
    uint8_t bytes[FIX_BYTES];
};

/* A shared world of claims, so that two domains can be in it. */
struct fix_directory {
    struct table *claims; /* committed, by endpoint */
    uint64_t next;        /* row, generation */
    size_t alive;         /* claims not released */
};

struct fix {
    struct engine *e;
    struct domain *d;
    struct engine_config engine_cfg;
    struct domain_config cfg;
    struct random random;
    struct counters counters;
    struct hash_key key;
    struct models *models;
    struct profiles *profiles; /* shared like the directory */
    struct fix_directory *dir;
    bool dir_owned;
    uint16_t shard;
    uint64_t now;
    uint16_t mid;

    struct fix *other; /* where domain_ops.elsewhere finds what is not here */
    struct pending *wanted;
    uint64_t wanted_id;
    int want_rc;

    /* the store */
    struct mbox_node *txns, **txns_end;
    size_t txn_count; /* ever */
    size_t by_kind[TXN_KIND_COUNT];
    bool store_full;
    bool hold; /* completions by hand: fix_commit */

    /* who peers are */
    struct identity identity;
    int authorize_rc;
    uint8_t profile; /* of every endpoint */

    size_t sent_count, code_seen;
    struct fix_sent sent[FIX_SENT];
    size_t event_count;
    struct event *events[FIX_EVENTS];
    size_t done_count;
    struct op *done; /* the last completed operation; freed with the next */
    size_t elsewhere_count;
    int64_t ids;  /* minted: each is younger than the one before */
    bool forward; /* operations for elsewhere wait for fix_forward instead of failing */
    struct mbox_node *strays, **strays_end;
};

struct fix *fix_new(void);
/* With f->cfg changed beforehand. */
struct fix *fix_new_closed(void);
void fix_open(struct fix *f);
/* A second domain in the same world. */
struct fix *fix_beside(struct fix *f);
void fix_free(struct fix *f);
/* For cmocka: state is a struct fix. */
int fix_setup(void **state);
int fix_teardown(void **state);

struct flow fix_flow(unsigned device);
/* A request from a device: CON, a new message id, a token. Query parts are separated by '&'. */
void fix_request(struct fix *f, unsigned device, uint8_t method, const char *path,
                 const char *query, int32_t format, struct view body);
/* POST of a list, as link-format. "" for none. */
void fix_post(struct fix *f, unsigned device, const char *path, const char *query,
              const char *links);
void fix_input(struct fix *f, unsigned device, struct view datagram);
/* Registers and checks for 2.01; the location is returned ("/rd/…"), valid until the next call. */
const char *fix_register(struct fix *f, unsigned device, const char *query, const char *links);
/* The usual one: ep=dev<n>, lt=300, 1.1, links of objects 1, 3, 3303. Its id. */
uint64_t fix_device(struct fix *f, unsigned device);
/* The same in queue mode. */
uint64_t fix_sleeper(struct fix *f, unsigned device);
/* "/rd/…" of a registration id, valid until the next call. */
const char *fix_path(uint64_t id);
/* The list that fix_device announces. */
extern const char fix_links[];

/* The message sent `back` messages ago, 0 the last. */
struct fix_sent *fix_sent(struct fix *f, size_t back);
/* Code of the answer that was sent last, which must have been sent since the last call; 0 for none.
 */
uint8_t fix_code(struct fix *f);
/* An answer of the device to the last request, piggybacked. observe < 0: without the option. */
void fix_answer(struct fix *f, unsigned device, uint8_t code, int32_t format, struct view body,
                int32_t observe);
/* RST to the last request. */
void fix_reset(struct fix *f, unsigned device);
/* One block of a long body. */
void fix_answer_block(struct fix *f, unsigned device, int32_t format, struct view body,
                      struct pdu_block block);
void fix_answer_located(struct fix *f, unsigned device, uint8_t code, const char *location);
/* A notification with the token of an observation; NON. */
void fix_notify(struct fix *f, unsigned device, uint64_t token, uint8_t code, int32_t format,
                struct view body, int32_t observe);

/* Completes the waiting transactions with rc; the number of them. */
size_t fix_commit(struct fix *f, int rc);
/* The waiting transaction at `at`, NULL past the end. */
struct txn *fix_txn(struct fix *f, size_t at);
/* Time passes; timers of domain and engine run. */
void fix_advance(struct fix *f, uint64_t ms);

/* A new operation: completes into f->done. */
struct op *fix_op(struct fix *f, enum op_kind kind, unsigned device, const char *path);
void fix_op_value(struct op *op, const char *path, struct value v);
/* … that is stored before it is sent. */
struct op *fix_durable(struct fix *f, enum op_kind kind, unsigned device, const char *path);
void fix_start(struct fix *f, struct op *op /* takes */);
/* Hands what waits to f->other, which is where its device is, or to nobody. The number of them. */
size_t fix_forward(struct fix *f);
/* fix_op and fix_start, without values. */
void fix_do(struct fix *f, enum op_kind kind, unsigned device, const char *path);

/* The event `back` events ago; NULL when there is none. */
const struct event *fix_event(struct fix *f, size_t back);
/* How many of a type there were. */
size_t fix_events(struct fix *f, enum event_type type);
struct device *fix_find(struct fix *f, unsigned device);
uint64_t fix_count(struct fix *f, enum counter which);

struct value fix_integer(int64_t v);
struct value fix_float(double v);
struct value fix_string(const char *s);
struct value fix_opaque(const void *p, size_t n);

#define TEXT(s) view_str(s)

#endif
