#include "codec/cbor.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define CBOR_INFO_INDEFINITE 31
#define CBOR_NO_TAG UINT64_MAX

/* ---- reader ------------------------------------------------------------------------------- */

struct cbor cbor_init(struct view v)
{
    return (struct cbor){.rd = rd_init(v)};
}

int cbor_done(const struct cbor *c)
{
    return rd_done(&c->rd);
}

struct cbor_head cbor_head(struct cbor *c)
{
    uint8_t first = rd_u8(&c->rd);
    struct cbor_head h = {.major = first >> 5, .info = first & 31};

    switch (h.info) {
    case 24:
        h.arg = rd_u8(&c->rd);
        break;
    case 25:
        h.arg = rd_u16(&c->rd);
        break;
    case 26:
        h.arg = rd_u32(&c->rd);
        break;
    case 27:
        h.arg = rd_u64(&c->rd);
        break;
    case 28:
    case 29:
    case 30:
        rd_fail(&c->rd, ERR_MALFORMED);
        break;
    case CBOR_INFO_INDEFINITE:
        h.indefinite = true;
        if (h.major == CBOR_UINT || h.major == CBOR_NEGATIVE || h.major == CBOR_TAG)
            rd_fail(&c->rd, ERR_MALFORMED);
        break;
    default:
        h.arg = h.info;
        break;
    }
    return h;
}

/* Tags in front of an item; the innermost describes it. */
static struct cbor_head untag(struct cbor *c, uint64_t *ret_tag)
{
    struct cbor_head h = cbor_head(c);

    *ret_tag = CBOR_NO_TAG;
    while (h.major == CBOR_TAG && c->rd.rc == ERR_OK) {
        *ret_tag = h.arg;
        h = cbor_head(c);
    }
    return h;
}

static bool at_break(const struct cbor *c)
{
    return !rd_end(&c->rd) && *c->rd.p == (CBOR_SIMPLE << 5 | CBOR_BREAK);
}

static void scope_open(struct cbor *c, struct cbor_head h, struct cbor_scope *ret_scope)
{
    /* An element is at least one byte, a pair two. */
    size_t most = rd_left(&c->rd) / (h.major == CBOR_MAP ? 2 : 1);

    if (c->depth == CBOR_DEPTH_MAX)
        rd_fail(&c->rd, ERR_DEPTH);
    else if (!h.indefinite && h.arg > most)
        rd_fail(&c->rd, ERR_TRUNCATED);
    c->depth++;
    *ret_scope = (struct cbor_scope){h.arg, h.indefinite};
}

enum cbor_major cbor_peek(const struct cbor *c)
{
    return rd_end(&c->rd) ? CBOR_SIMPLE : (enum cbor_major)(*c->rd.p >> 5);
}

void cbor_open(struct cbor *c, enum cbor_major major, struct cbor_scope *ret_scope)
{
    uint64_t tag;
    struct cbor_head h = untag(c, &tag);

    if (h.major != major)
        rd_fail(&c->rd, ERR_MALFORMED);
    scope_open(c, h, ret_scope);
}

bool cbor_next(struct cbor *c, struct cbor_scope *s)
{
    bool more = c->rd.rc == ERR_OK;

    if (more && s->indefinite) {
        more = !at_break(c);
        if (!more)
            rd_u8(&c->rd);
    } else if (more) {
        more = s->left > 0;
        s->left -= more;
    }
    if (!more)
        c->depth--;
    return more;
}

static size_t string_length(struct cbor_head h)
{
    return h.arg < SIZE_MAX ? (size_t)h.arg : SIZE_MAX;
}

struct view cbor_string(struct cbor *c, struct cbor_head h, struct buf *scratch)
{
    if (!h.indefinite)
        return rd_bytes(&c->rd, string_length(h));
    buf_reset(scratch);
    while (c->rd.rc == ERR_OK && !at_break(c)) {
        struct cbor_head chunk = cbor_head(c);

        if (chunk.major != h.major || chunk.indefinite)
            rd_fail(&c->rd, ERR_MALFORMED);
        else
            buf_put_view(scratch, rd_bytes(&c->rd, string_length(chunk)));
        if (scratch->rc < 0)
            rd_fail(&c->rd, scratch->rc);
    }
    rd_u8(&c->rd);
    return buf_view(scratch);
}

static void skip_string(struct cbor *c, struct cbor_head h)
{
    if (!h.indefinite) {
        rd_bytes(&c->rd, string_length(h));
        return;
    }
    while (c->rd.rc == ERR_OK && !at_break(c)) {
        struct cbor_head chunk = cbor_head(c);

        if (chunk.major != h.major || chunk.indefinite)
            rd_fail(&c->rd, ERR_MALFORMED);
        rd_bytes(&c->rd, string_length(chunk));
    }
    rd_u8(&c->rd);
}

/* Calls itself at most CBOR_DEPTH_MAX deep. */
void cbor_skip(struct cbor *c)
{
    uint64_t tag;
    struct cbor_head h = untag(c, &tag);
    struct cbor_scope scope;

    switch (h.major) {
    case CBOR_BYTES:
    case CBOR_TEXT:
        skip_string(c, h);
        break;
    case CBOR_ARRAY:
    case CBOR_MAP:
        scope_open(c, h, &scope);
        while (cbor_next(c, &scope)) {
            cbor_skip(c);
            if (h.major == CBOR_MAP)
                cbor_skip(c);
        }
        break;
    case CBOR_SIMPLE:
        if (h.info == CBOR_BREAK)
            rd_fail(&c->rd, ERR_MALFORMED);
        break;
    default:
        break;
    }
}

/* RFC 8949 appendix D describes the same with shifts. */
static double half_to_double(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 0x1f);
    double mantissa = (double)(bits & 0x3ff);
    double v;

    if (exponent == 0)
        v = ldexp(mantissa, -24);
    else if (exponent < 31)
        v = ldexp(mantissa + 1024, exponent - 25);
    else
        v = mantissa > 0 ? (double)NAN : (double)INFINITY;
    return bits & 0x8000 ? -v : v;
}

static double single_to_double(uint64_t bits)
{
    uint32_t narrow = (uint32_t)bits;
    float v;

    memcpy(&v, &narrow, sizeof(v));
    return (double)v;
}

static double bits_to_double(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static int simple_value(struct cbor_head h, struct value *ret_value)
{
    struct value v = {.type = VALUE_FLOAT};

    switch (h.info) {
    case CBOR_FALSE:
    case CBOR_TRUE:
        v.type = VALUE_BOOLEAN;
        v.u.boolean = h.info == CBOR_TRUE;
        break;
    case CBOR_NULL:
    case CBOR_UNDEFINED:
        v.type = VALUE_NONE;
        break;
    case CBOR_HALF:
        v.u.float_ = half_to_double(h.arg);
        break;
    case CBOR_SINGLE:
        v.u.float_ = single_to_double(h.arg);
        break;
    case CBOR_DOUBLE:
        v.u.float_ = bits_to_double(h.arg);
        break;
    case CBOR_BREAK:
        return ERR_MALFORMED;
    default:
        return ERR_TYPE;
    }
    *ret_value = v;
    return ERR_OK;
}

/* The integer of a head, as INTEGER where int64 holds it. */
static int integer_value(struct cbor_head h, struct value *ret_value)
{
    if (h.major == CBOR_UINT && h.arg > INT64_MAX)
        *ret_value = (struct value){.type = VALUE_UNSIGNED, .u.unsigned_ = h.arg};
    else if (h.major == CBOR_UINT)
        *ret_value = (struct value){.type = VALUE_INTEGER, .u.integer = (int64_t)h.arg};
    else if (h.arg > INT64_MAX)
        return ERR_RANGE;
    else
        *ret_value = (struct value){.type = VALUE_INTEGER, .u.integer = -1 - (int64_t)h.arg};
    return ERR_OK;
}

/* Tag 4: [exponent, mantissa], base 10 (RFC 8949 section 3.4.4). */
static int decimal_value(struct cbor *c, struct cbor_head h, struct value *ret_value)
{
    struct value part[2] = {{.type = VALUE_NONE}, {.type = VALUE_NONE}};
    char text[48];
    double number;
    int rc = ERR_OK;

    if (h.indefinite || h.arg != 2)
        return ERR_TYPE;
    for (size_t i = 0; i < 2 && rc == ERR_OK; i++) {
        struct cbor_head item = cbor_head(c);

        rc = item.major <= CBOR_NEGATIVE ? integer_value(item, &part[i]) : ERR_TYPE;
        if (rc == ERR_OK)
            rc = value_coerce(&part[i], VALUE_INTEGER);
    }
    if (rc < 0 || c->rd.rc < 0)
        return rc < 0 ? rc : c->rd.rc;
    snprintf(text, sizeof(text), "%" PRId64 "e%" PRId64, part[1].u.integer, part[0].u.integer);
    rc = view_double(view_str(text), &number);
    if (rc == ERR_OK)
        *ret_value = (struct value){.type = VALUE_FLOAT, .u.float_ = number};
    return rc;
}

static int apply_tag(uint64_t tag, struct value *v)
{
    int64_t ms;
    int rc;

    if (tag == CBOR_TAG_EPOCH)
        return value_coerce(v, VALUE_TIME);
    if (tag != CBOR_TAG_TIME_TEXT)
        return ERR_OK;
    if (v->type != VALUE_STRING)
        return ERR_TYPE;
    rc = text_untime(v->u.bytes, &ms);
    if (rc == ERR_OK && ms % 1000 != 0)
        rc = ERR_TYPE;
    if (rc == ERR_OK)
        *v = (struct value){.type = VALUE_TIME, .u.integer = ms / 1000};
    return rc;
}

static int untagged_value(struct cbor *c, struct cbor_head h, struct buf *scratch,
                          struct value *ret_value)
{
    switch (h.major) {
    case CBOR_UINT:
    case CBOR_NEGATIVE:
        return integer_value(h, ret_value);
    case CBOR_BYTES:
        ret_value->type = VALUE_OPAQUE;
        ret_value->u.bytes = cbor_string(c, h, scratch);
        return ERR_OK;
    case CBOR_TEXT:
        ret_value->type = VALUE_STRING;
        ret_value->u.bytes = cbor_string(c, h, scratch);
        return ERR_OK;
    case CBOR_SIMPLE:
        return simple_value(h, ret_value);
    default:
        return ERR_TYPE;
    }
}

int cbor_value(struct cbor *c, struct buf *scratch, struct value *ret_value)
{
    uint64_t tag;
    struct cbor_head h = untag(c, &tag);
    struct value v = {.type = VALUE_NONE};
    int rc = c->rd.rc;

    if (rc == ERR_OK && h.major == CBOR_ARRAY && tag == CBOR_TAG_DECIMAL)
        rc = decimal_value(c, h, &v);
    else if (rc == ERR_OK)
        rc = untagged_value(c, h, scratch, &v);
    if (rc == ERR_OK)
        rc = c->rd.rc;
    if (rc == ERR_OK)
        rc = apply_tag(tag, &v);
    if (rc < 0) {
        rd_fail(&c->rd, rc);
        return rc;
    }
    *ret_value = v;
    return ERR_OK;
}

/* ---- writer ------------------------------------------------------------------------------- */

static void put_head(struct buf *out, enum cbor_major major, uint8_t info, unsigned bytes,
                     uint64_t arg)
{
    uint8_t head[9];
    struct wr w = wr_init(head, sizeof(head));

    wr_u8(&w, (uint8_t)(major << 5 | info));
    for (unsigned i = bytes; i > 0; i--)
        wr_u8(&w, (uint8_t)(arg >> (8 * (i - 1))));
    buf_put_view(out, wr_view(&w));
}

void cbor_put_head(struct buf *out, enum cbor_major major, uint64_t arg)
{
    if (arg < 24)
        put_head(out, major, (uint8_t)arg, 0, 0);
    else if (arg <= UINT8_MAX)
        put_head(out, major, 24, 1, arg);
    else if (arg <= UINT16_MAX)
        put_head(out, major, 25, 2, arg);
    else if (arg <= UINT32_MAX)
        put_head(out, major, 26, 4, arg);
    else
        put_head(out, major, 27, 8, arg);
}

void cbor_put_int(struct buf *out, int64_t v)
{
    if (v >= 0)
        cbor_put_head(out, CBOR_UINT, (uint64_t)v);
    else
        cbor_put_head(out, CBOR_NEGATIVE, (uint64_t)(-1 - v));
}

static void put_string(struct buf *out, enum cbor_major major, struct view v)
{
    cbor_put_head(out, major, v.n);
    buf_put_view(out, v);
}

void cbor_put_text(struct buf *out, struct view v)
{
    put_string(out, CBOR_TEXT, v);
}

/* The half of the same number as the single with these bits. */
static bool single_to_half(uint32_t single, uint16_t *ret_half)
{
    uint32_t sign = single >> 16 & 0x8000;
    uint32_t mantissa = single & 0x7fffff;
    int exponent = (int)(single >> 23 & 0xff) - 127;
    unsigned lost = 13; /* low bits of the mantissa that a half has no room for */
    uint32_t rest;

    if (single << 1 == 0) {
        *ret_half = (uint16_t)sign;
        return true;
    }
    if (exponent < -24 || exponent > 15)
        return false;
    if (exponent < -14) { /* subnormal: the leading one moves into the mantissa */
        lost = (unsigned)(-1 - exponent);
        mantissa |= 0x800000;
        exponent = -15;
    }
    rest = mantissa & ((1u << lost) - 1);
    *ret_half = (uint16_t)(sign | (uint32_t)(exponent + 15) << 10 | mantissa >> lost);
    return rest == 0;
}

void cbor_put_double(struct buf *out, double v)
{
    uint64_t bits;
    uint32_t single_bits;
    float single;
    uint16_t half;

    if (!(fabs(v) <= (double)FLT_MAX) || (double)(float)v != v) {
        memcpy(&bits, &v, sizeof(bits));
        put_head(out, CBOR_SIMPLE, CBOR_DOUBLE, 8, bits);
        return;
    }
    single = (float)v;
    memcpy(&single_bits, &single, sizeof(single_bits));
    if (single_to_half(single_bits, &half))
        put_head(out, CBOR_SIMPLE, CBOR_HALF, 2, half);
    else
        put_head(out, CBOR_SIMPLE, CBOR_SINGLE, 4, single_bits);
}

void cbor_put_value(struct buf *out, const struct value *v)
{
    char text[16];

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        put_string(out, CBOR_TEXT, v->u.bytes);
        break;
    case VALUE_OPAQUE:
        put_string(out, CBOR_BYTES, v->u.bytes);
        break;
    case VALUE_INTEGER:
    case VALUE_TIME:
        cbor_put_int(out, v->u.integer);
        break;
    case VALUE_UNSIGNED:
        cbor_put_head(out, CBOR_UINT, v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        cbor_put_double(out, v->u.float_);
        break;
    case VALUE_BOOLEAN:
        cbor_put_head(out, CBOR_SIMPLE, v->u.boolean ? CBOR_TRUE : CBOR_FALSE);
        break;
    case VALUE_OBJLNK:
        snprintf(text, sizeof(text), "%u:%u", v->u.link.object, v->u.link.instance);
        cbor_put_text(out, view_str(text));
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        cbor_put_head(out, CBOR_SIMPLE, CBOR_NULL);
        break;
    }
}
