#include "model/model.h"

/*
 * A batch as bytes: a version byte, then the records. Each begins with a byte of flags and the
 * depth of its path, then a prefix, the path's ids, the time, the type, and the value; numbers big
 * endian, lengths in 32 bits.
 */
#define PACK_VERSION 1
#define TIMED 0x80
#define PREFIXED 0x40
#define DEPTH_MASK 0x07

static void put_u64(struct buf *out, uint64_t v, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;)
        buf_put_u8(out, (uint8_t)(v >> (8 * i)));
}

static uint64_t float_bits(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double float_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void put_value(struct buf *out, const struct value *v)
{
    buf_put_u8(out, (uint8_t)v->type);
    switch (v->type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        put_u64(out, (uint64_t)v->u.integer, 8);
        break;
    case VALUE_UNSIGNED:
        put_u64(out, v->u.unsigned_, 8);
        break;
    case VALUE_FLOAT:
        put_u64(out, float_bits(v->u.float_), 8);
        break;
    case VALUE_BOOLEAN:
        buf_put_u8(out, v->u.boolean);
        break;
    case VALUE_OBJLNK:
        put_u64(out, v->u.link.object, 2);
        put_u64(out, v->u.link.instance, 2);
        break;
    case VALUE_STRING:
    case VALUE_OPAQUE:
    case VALUE_CORELNK:
        put_u64(out, v->u.bytes.n, 4);
        buf_put_view(out, v->u.bytes);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
}

static void put_record(struct buf *out, const struct batch *b, const struct record *r)
{
    struct view prefix = batch_prefix(b, r->prefix);

    buf_put_u8(out,
               (uint8_t)(r->path.depth | (r->timed ? TIMED : 0) | (prefix.n > 0 ? PREFIXED : 0)));
    if (prefix.n > 0) {
        put_u64(out, prefix.n, 2);
        buf_put_view(out, prefix);
    }
    for (unsigned i = 0; i < r->path.depth; i++)
        put_u64(out, r->path.id[i], 2);
    if (r->timed)
        put_u64(out, (uint64_t)r->time_ms, 8);
    put_value(out, &r->value);
}

int pack_encode(const struct batch *b, struct buf *out)
{
    buf_put_u8(out, PACK_VERSION);
    for (size_t i = 0; i < batch_size(b); i++)
        put_record(out, b, batch_at(b, i));
    return out->rc;
}

static void get_value(struct rd *r, struct value *v)
{
    uint8_t type = rd_u8(r);

    *v = (struct value){.type = type < VALUE_TYPE_COUNT ? (enum value_type)type : VALUE_NONE};
    if (type >= VALUE_TYPE_COUNT)
        rd_fail(r, ERR_MALFORMED);
    switch (v->type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        v->u.integer = (int64_t)rd_u64(r);
        break;
    case VALUE_UNSIGNED:
        v->u.unsigned_ = rd_u64(r);
        break;
    case VALUE_FLOAT:
        v->u.float_ = float_of(rd_u64(r));
        break;
    case VALUE_BOOLEAN:
        v->u.boolean = rd_u8(r) != 0;
        break;
    case VALUE_OBJLNK:
        v->u.link.object = rd_u16(r);
        v->u.link.instance = rd_u16(r);
        break;
    case VALUE_STRING:
    case VALUE_OPAQUE:
    case VALUE_CORELNK:
        v->u.bytes = rd_bytes(r, rd_u32(r));
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
}

static void get_prefix(struct rd *r, struct batch *b, struct record *ret)
{
    struct view prefix = rd_bytes(r, rd_u16(r));
    int rc = r->rc;

    if (rc == ERR_OK) /* an empty one would not have been written */
        rc = prefix.n > 0 ? batch_prefix_add(b, prefix, &ret->prefix) : ERR_MALFORMED;
    if (rc < 0)
        rd_fail(r, rc);
}

static void get_record(struct rd *r, struct batch *b, struct record *ret)
{
    uint8_t head = rd_u8(r);
    uint8_t depth = head & DEPTH_MASK;

    *ret = (struct record){.timed = (head & TIMED) != 0};
    if (depth > 4 || (head & ~(TIMED | PREFIXED | DEPTH_MASK)) != 0) {
        rd_fail(r, ERR_MALFORMED);
        return;
    }
    ret->path.depth = depth;
    if ((head & PREFIXED) != 0)
        get_prefix(r, b, ret);
    for (unsigned i = 0; i < depth; i++)
        ret->path.id[i] = rd_u16(r);
    if (ret->timed)
        ret->time_ms = (int64_t)rd_u64(r);
    get_value(r, &ret->value);
}

int pack_decode(struct view packed, struct batch **ret_batch)
{
    struct rd r = rd_init(packed);
    struct batch *b = batch_new();
    int rc = ERR_OK;

    if (b == NULL)
        return ERR_NOMEM;
    if (rd_u8(&r) != PACK_VERSION)
        rd_fail(&r, ERR_MALFORMED);
    while (rc == ERR_OK && !rd_end(&r)) {
        struct record record;

        get_record(&r, b, &record);
        if (!r.rc)
            rc = batch_add(b, &record);
    }
    if (rc == ERR_OK)
        rc = rd_done(&r);
    if (rc < 0)
        batch_free(b);
    else
        *ret_batch = b;
    return rc;
}
