/*
 * Private to codec/: a small CBOR reader and writer (RFC 8949) for bodies from devices.
 *
 * The reader is a cursor: nothing is allocated from a declared length, nesting stops at
 * CBOR_DEPTH_MAX, time is linear in the input. Failures stick in rd.rc as those of struct rd do;
 * after one, reads return zeros and loops end.
 */
#ifndef CODEC_CBOR_H
#define CODEC_CBOR_H

#include "model/model.h"

#define CBOR_DEPTH_MAX 16

enum cbor_major {
    CBOR_UINT,
    CBOR_NEGATIVE,
    CBOR_BYTES,
    CBOR_TEXT,
    CBOR_ARRAY,
    CBOR_MAP,
    CBOR_TAG,
    CBOR_SIMPLE
};

enum cbor_simple {
    CBOR_FALSE = 20,
    CBOR_TRUE = 21,
    CBOR_NULL = 22,
    CBOR_UNDEFINED = 23,
    CBOR_HALF = 25,
    CBOR_SINGLE = 26,
    CBOR_DOUBLE = 27,
    CBOR_BREAK = 31
};

enum cbor_tag { CBOR_TAG_TIME_TEXT = 0, CBOR_TAG_EPOCH = 1, CBOR_TAG_DECIMAL = 4 };

struct cbor {
    struct rd rd;
    unsigned depth;
};

/* An initial byte with its argument. For CBOR_SIMPLE, info tells which (enum cbor_simple) and arg
 * holds the bits of a float. */
struct cbor_head {
    uint8_t major;
    uint8_t info;
    bool indefinite;
    uint64_t arg;
};

/* A container being read. */
struct cbor_scope {
    uint64_t left;
    bool indefinite;
};

struct cbor cbor_init(struct view v);
struct cbor_head cbor_head(struct cbor *c);
/* The kind of the next item, which is not read; CBOR_SIMPLE at the end. */
enum cbor_major cbor_peek(const struct cbor *c);
/* Enters an array or a map, tagged or not; ERR_MALFORMED when something else follows. */
void cbor_open(struct cbor *c, enum cbor_major major, struct cbor_scope *ret_scope);
/* True when another element (of a map: a key and its value) follows; false, and the container left,
 * at its end or after a failure. */
bool cbor_next(struct cbor *c, struct cbor_scope *s);
/* Content of the string whose head was read: a view into the input, or chunks joined in scratch,
 * which must live as long as the view. Text is not checked for UTF-8. */
struct view cbor_string(struct cbor *c, struct cbor_head h, struct buf *scratch);
/* Passes over one item of any kind. */
void cbor_skip(struct cbor *c);
/*
 * One item that is not a container as a value of the model: integers as INTEGER, above int64 as
 * UNSIGNED; text as STRING; bytes as OPAQUE; null and undefined as NONE; floats of all widths and
 * decimal fractions (tag 4) as FLOAT; tags 0 and 1 as TIME (whole seconds only). Other tags are
 * passed over. ERR_TYPE for what has no such form. Scratch as in cbor_string.
 */
int cbor_value(struct cbor *c, struct buf *scratch, struct value *ret_value);
/* rc, or ERR_TRAILING when bytes are left. */
int cbor_done(const struct cbor *c);

/* Preferred serialization (RFC 8949 section 4.1): shortest heads, definite lengths. */
void cbor_put_head(struct buf *out, enum cbor_major major, uint64_t arg);
void cbor_put_int(struct buf *out, int64_t v);
void cbor_put_text(struct buf *out, struct view v);
/* Half, single or double: the narrowest that holds the same number. */
void cbor_put_double(struct buf *out, double v);
/* NONE as null, OBJLNK as the text "o:i", TIME as a plain integer. */
void cbor_put_value(struct buf *out, const struct value *v);

#endif
