/*
 * One engine on a bench: datagrams are put together option by option and handed in, what the engine
 * sends is kept, and requests, answers and notifications are recorded.
 */
#ifndef COAP_RIG_H
#define COAP_RIG_H

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coap/coap.h"

#define RIG_SENT 128
#define RIG_BYTES 4096
#define RIG_ANSWERS 64
#define RIG_TOKEN 0x0102030405060708u

struct rig_sent {
    struct flow flow;
    size_t n;
    uint8_t bytes[RIG_BYTES];
};

struct rig_answer {
    int rc;
    uint8_t code;
    int32_t format;
    bool observe;
    bool has_blob;
    uint32_t sequence;
    uint8_t szx;
    uint32_t retransmissions;
    size_t body_n;
    size_t body_whole; /* may be more than body_n */
    uint64_t body_hash;
    char location[64];
    uint8_t body[RIG_BYTES];
    void *ctx;
};

enum rig_mode { RIG_REPLY, RIG_DEFER, RIG_IGNORE };

struct rig_request {
    uint8_t method;
    bool confirmable, replayed;
    uint8_t segments, queries;
    char path[128];  /* "/a/b" */
    char query[256]; /* "a&b" */
    int32_t format, accept, observe;
    size_t body_n;
    uint8_t body[RIG_BYTES];
};

struct rig {
    struct engine *e;
    struct engine_config cfg;
    struct engine_ops ops;
    struct random random;
    struct counters counters;
    struct flow flow; /* of the peer that rig_input speaks for */
    uint64_t now;

    size_t expected_from; /* messages sent before the present expectation */
    size_t sent_count;    /* ever; the last RIG_SENT are kept */
    struct rig_sent sent[RIG_SENT];

    /* what the handler does and saw */
    enum rig_mode mode;
    struct response response;
    struct pending *pending;
    size_t body_limit;
    size_t requests;
    struct rig_request request;
    void (*on_request)(struct rig *r);

    size_t answers;
    struct rig_answer answer[RIG_ANSWERS];
    void (*on_answer)(struct rig *r);

    int notification_rc;
    size_t notifications;
    struct rig_answer notification;
    void (*on_notification)(struct rig *r, struct relation *rel);
    int fetch_rc;

    /* spool and blob: jobs are done by hand or at once */
    bool jobs_at_once;
    int job_rc;
    uint64_t job; /* the last cookie, 0 when done */
    size_t jobs;
    struct buf spooled;
    const uint8_t *blob_bytes;
    uint64_t blob_offset;
    size_t blob_n;

    /* message under construction */
    uint8_t out[RIG_BYTES];
    struct pdu_writer writer;
};

struct rig *rig_new(void);
/* With a configuration or callbacks changed in r->cfg and r->ops beforehand. */
void rig_open(struct rig *r);
struct rig *rig_new_closed(void);
void rig_free(struct rig *r);
struct flow rig_flow(unsigned n);

/* token: 8 bytes when not 0, else none */
void rig_begin(struct rig *r, enum pdu_type type, uint8_t code, uint16_t mid, uint64_t token);
void rig_text(struct rig *r, uint32_t number, const char *value);
void rig_uint(struct rig *r, uint32_t number, uint32_t value);
void rig_block(struct rig *r, uint32_t number, uint32_t num, bool more, uint8_t szx);
void rig_body(struct rig *r, const void *p, size_t n);
/* Hands in what was put together. */
void rig_input(struct rig *r);
/* The same bytes once more. */
void rig_again(struct rig *r);
void rig_raw(struct rig *r, const void *p, size_t n);
void rig_empty(struct rig *r, enum pdu_type type, uint16_t mid);

/* Time: runs every timer until then. */
void rig_advance(struct rig *r, uint64_t ms);
/* Runs until nothing is due, EXCHANGE_LIFETIME included; then nothing may be left. */
void rig_settle(struct rig *r);

/* The message sent `back` messages ago, 0 the last; fails the test when there is none. */
struct pdu rig_sent(struct rig *r, size_t back);
struct view rig_sent_bytes(struct rig *r, size_t back);
/* Fails unless exactly n messages were sent since the last call. */
void rig_expect_sent(struct rig *r, size_t n);
bool rig_option(const struct pdu *p, uint32_t number, struct view *ret_value);
uint32_t rig_option_uint(const struct pdu *p, uint32_t number);
struct pdu_block rig_option_block(const struct pdu *p, uint32_t number);
uint64_t rig_token(const struct pdu *p);
uint64_t rig_count(struct rig *r, enum counter which);

struct outgoing rig_outgoing(struct rig *r, uint8_t code, const char *path);
struct exchange *rig_request(struct rig *r, const struct outgoing *out);
/* An answer to the last message sent: piggybacked (PDU_ACK), or of its own. Continue with rig_… */
void rig_answer_begin(struct rig *r, enum pdu_type type, uint8_t code, uint16_t own_mid);
/* The count-th answer, the last so far, says so. */
void rig_expect_answer(struct rig *r, size_t count, int rc, uint8_t code);
/* A Read of /3/0 with this token. */
void rig_ask(struct rig *r, uint64_t token);
/* The token of the one message sent since the last call. */
uint64_t rig_sent_token(struct rig *r);
/* Answers the last message sent with a piggybacked 2.05. */
void rig_answer_ack(struct rig *r);
/* A rig with one Read of /3/0/9 under way. */
struct rig *rig_asking(void);
/* Repeatable bytes. */
void rig_pattern(uint8_t *p, size_t n, unsigned seed);
uint64_t rig_hash(const void *p, size_t n);

#endif
