/*
 * application/vnd.oma.lwm2m+tlv (11542), LwM2M Core 7.4.3: object instances holding resources,
 * holding resource instances. Three levels are all there can be, so neither side needs a depth
 * limit.
 */
#include "codec/content.h"

#include <float.h>
#include <math.h>

enum tlv_kind { TLV_OBJECT_INSTANCE, TLV_RESOURCE_INSTANCE, TLV_MULTIPLE, TLV_RESOURCE };

#define TLV_LENGTH_MAX 0xffffffu
#define TLV_ID_16 0x20    /* the identifier takes two bytes */
#define TLV_INLINE_MAX 7u /* longest value whose length fits the type byte */
#define TLV_SCALAR_MAX 8

struct tlv {
    enum tlv_kind kind;
    uint16_t id;
    struct view value;
};

/* ---- decode ------------------------------------------------------------------------------- */

struct tlv_context {
    const struct content_env *env;
    const struct path *base;
    struct batch *out;
};

static int tlv_next(struct rd *r, struct tlv *ret_tlv)
{
    uint8_t type = rd_u8(r);
    uint16_t id = type & TLV_ID_16 ? rd_u16(r) : rd_u8(r);
    size_t n = 0;
    struct view value;

    switch (type >> 3 & 3) {
    case 0:
        n = type & TLV_INLINE_MAX;
        break;
    case 1:
        n = rd_u8(r);
        break;
    case 2:
        n = rd_u16(r);
        break;
    default:
        n = rd_u24(r);
        break;
    }
    value = rd_bytes(r, n);
    if (r->rc < 0)
        return r->rc;
    if (id == MODEL_ID_NONE)
        return ERR_PATH;
    *ret_tlv = (struct tlv){(enum tlv_kind)(type >> 6), id, value};
    return ERR_OK;
}

/* Big endian of 1, 2, 4 or 8 bytes, filled up with the sign or with zeros. */
static int read_integer(struct view v, bool is_signed, uint64_t *ret_bits)
{
    uint64_t bits;

    if (v.n != 1 && v.n != 2 && v.n != 4 && v.n != 8)
        return ERR_TYPE;
    bits = is_signed && v.p[0] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < v.n; i++)
        bits = bits << 8 | v.p[i];
    *ret_bits = bits;
    return ERR_OK;
}

/* One and two bytes can only be an integer, which stands for itself (spec 12 section 6). */
static int read_float(struct view v, double *ret_number)
{
    uint64_t bits = 0;
    uint32_t single_bits;
    float single;
    int rc = read_integer(v, v.n < 4, &bits);

    if (rc < 0)
        return rc;
    if (v.n == 8) {
        memcpy(ret_number, &bits, sizeof(*ret_number));
    } else if (v.n == 4) {
        single_bits = (uint32_t)bits;
        memcpy(&single, &single_bits, sizeof(single));
        *ret_number = (double)single;
    } else {
        *ret_number = (double)(int64_t)bits;
    }
    return ERR_OK;
}

static int read_value(enum value_type type, struct view v, struct value *ret_value)
{
    struct value value = {.type = type};
    uint64_t bits = 0;
    int rc = ERR_OK;

    switch (type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        rc = read_integer(v, true, &bits);
        value.u.integer = (int64_t)bits;
        break;
    case VALUE_UNSIGNED:
        rc = read_integer(v, false, &value.u.unsigned_);
        break;
    case VALUE_FLOAT:
        rc = read_float(v, &value.u.float_);
        break;
    case VALUE_BOOLEAN:
        rc = v.n == 1 && v.p[0] <= 1 ? ERR_OK : ERR_TYPE;
        value.u.boolean = rc == ERR_OK && v.p[0] == 1;
        break;
    case VALUE_OBJLNK:
        rc = v.n == 4 ? read_integer(v, false, &bits) : ERR_TYPE;
        value.u.link.object = (uint16_t)(bits >> 16);
        value.u.link.instance = (uint16_t)bits;
        break;
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        value.u.bytes = v;
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT: /* the model does not know the resource */
        value.type = VALUE_OPAQUE;
        value.u.bytes = v;
        break;
    }
    if (rc == ERR_OK)
        *ret_value = value;
    return rc;
}

static struct path path_below(const struct path *p, uint16_t id)
{
    struct path below = *p;

    below.id[below.depth++] = id;
    return below;
}

static int put_value(const struct tlv_context *c, const struct path *p, enum value_type type,
                     struct view bytes)
{
    struct record r = {.path = *p};
    int rc = read_value(type, bytes, &r.value);

    return rc < 0 ? rc : content_put_typed(c->base, &r, type, c->out);
}

static int put_nothing(const struct tlv_context *c, const struct path *p)
{
    struct record r = {.path = *p};

    return content_put_typed(c->base, &r, VALUE_NONE, c->out);
}

/* The inside of a multiple resource. Without instances it is a record without value. */
static int read_instances(const struct tlv_context *c, const struct path *resource,
                          struct view inside)
{
    enum value_type type = content_type_of(c->env, resource, NULL);
    struct rd r = rd_init(inside);
    int rc = ERR_OK;

    if (inside.n == 0)
        return put_nothing(c, resource);
    while (rc == ERR_OK && !rd_end(&r)) {
        struct path p;
        struct tlv t;

        rc = tlv_next(&r, &t);
        if (rc < 0)
            break;
        if (t.kind != TLV_RESOURCE_INSTANCE)
            return ERR_MALFORMED;
        p = path_below(resource, t.id);
        rc = put_value(c, &p, type, t.value);
    }
    return rc;
}

/* A resource of the instance p. Asked for a resource instance, some devices answer with the
 * resource. */
static int read_resource(const struct tlv_context *c, const struct path *instance,
                         const struct tlv *t)
{
    struct path p = path_below(instance, t->id);

    if (t->kind == TLV_MULTIPLE)
        return read_instances(c, &p, t->value);
    if (c->base->depth == 4 && path_covers(&p, c->base))
        p = *c->base;
    return put_value(c, &p, content_type_of(c->env, &p, NULL), t->value);
}

static int read_object_instance(const struct tlv_context *c, const struct path *instance,
                                struct view inside)
{
    struct rd r = rd_init(inside);
    int rc = ERR_OK;

    if (inside.n == 0 && c->base->depth == 1)
        return put_nothing(c, instance);
    if (inside.n == 0) /* that it exists is no news; a resource would be missing */
        return c->base->depth == 2 ? ERR_OK : ERR_TRUNCATED;
    while (rc == ERR_OK && !rd_end(&r)) {
        struct tlv t;

        rc = tlv_next(&r, &t);
        if (rc == ERR_OK && t.kind != TLV_RESOURCE && t.kind != TLV_MULTIPLE)
            rc = ERR_MALFORMED;
        if (rc == ERR_OK)
            rc = read_resource(c, instance, &t);
    }
    return rc;
}

/* An entry that stands at the top of the answer. */
static int read_top(const struct tlv_context *c, const struct tlv *t)
{
    struct path p = {.id = {c->base->id[0]}, .depth = 1};
    const struct object_def *object;

    if (t->kind == TLV_OBJECT_INSTANCE) {
        p = path_below(&p, t->id);
        if (c->base->depth >= 2 && t->id != c->base->id[1])
            return ERR_PATH;
        return read_object_instance(c, &p, t->value);
    }
    if (t->kind == TLV_RESOURCE_INSTANCE) {
        if (c->base->depth < 3)
            return ERR_MALFORMED;
        p = *c->base;
        p.depth = 3;
        p = path_below(&p, t->id);
        return put_value(c, &p, content_type_of(c->env, &p, NULL), t->value);
    }
    if (c->base->depth == 1 && c->env->use == CONTENT_CREATE) {
        p = path_below(&p, MODEL_ID_NONE);
        return read_resource(c, &p, t);
    }
    if (c->base->depth == 1) {
        /* Leshan leaves the wrapper out for an object that can only have instance 0. */
        object = content_object(c->env, c->base->id[0]);
        if (object == NULL || object->multiple)
            return ERR_MALFORMED;
    }
    p = path_below(&p, c->base->depth >= 2 ? c->base->id[1] : 0);
    return read_resource(c, &p, t);
}

int tlv_decode(const struct content_env *env, struct view body, const struct path *base,
               struct batch *ret_batch)
{
    const struct tlv_context c = {env, base, ret_batch};
    struct rd r = rd_init(body);
    bool multiple = false;
    int rc = ERR_OK;

    if (base->depth == 0)
        return ERR_FORMAT;
    if (body.n == 0) { /* also seen as a multiple resource without instances */
        content_type_of(env, base, &multiple);
        return multiple && base->depth == 3 ? put_nothing(&c, base) : ERR_TRUNCATED;
    }
    while (rc == ERR_OK && !rd_end(&r)) {
        struct tlv t;

        rc = tlv_next(&r, &t);
        if (rc == ERR_OK)
            rc = read_top(&c, &t);
    }
    return rc;
}

/* ---- encode ------------------------------------------------------------------------------- */

/* Records [from, to) of a sorted batch, to be written as entries of one level: 2 object instances,
 * 3 resources, 4 resource instances. */
struct span {
    const struct batch *batch;
    size_t from, to;
    unsigned level;
};

static const struct record *first_of(const struct span *s)
{
    return batch_at(s->batch, s->from);
}

/* Shortest of 1, 2, 4, 8 bytes. A leading zero bit is kept for unsigned numbers too, so that a
 * device that takes them for signed reads the same number. */
static void write_integer(struct wr *w, int64_t v)
{
    if (v >= INT8_MIN && v <= INT8_MAX)
        wr_u8(w, (uint8_t)v);
    else if (v >= INT16_MIN && v <= INT16_MAX)
        wr_u16(w, (uint16_t)v);
    else if (v >= INT32_MIN && v <= INT32_MAX)
        wr_u32(w, (uint32_t)v);
    else
        wr_u64(w, (uint64_t)v);
}

static void write_float(struct wr *w, double v)
{
    float single;
    uint32_t single_bits;
    uint64_t bits;

    if (fabs(v) <= (double)FLT_MAX && (double)(float)v == v) {
        single = (float)v;
        memcpy(&single_bits, &single, sizeof(single_bits));
        wr_u32(w, single_bits);
    } else {
        memcpy(&bits, &v, sizeof(bits));
        wr_u64(w, bits);
    }
}

/* The bytes of a value: borrowed from it, or made in scratch. */
static struct view value_bytes(const struct value *v, uint8_t scratch[TLV_SCALAR_MAX])
{
    struct wr w = wr_init(scratch, TLV_SCALAR_MAX);

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        return v->u.bytes;
    case VALUE_INTEGER:
    case VALUE_TIME:
        write_integer(&w, v->u.integer);
        break;
    case VALUE_UNSIGNED:
        if (v->u.unsigned_ <= INT64_MAX)
            write_integer(&w, (int64_t)v->u.unsigned_);
        else
            wr_u64(&w, v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        write_float(&w, v->u.float_);
        break;
    case VALUE_BOOLEAN:
        wr_u8(&w, v->u.boolean ? 1 : 0);
        break;
    case VALUE_OBJLNK:
        wr_u16(&w, v->u.link.object);
        wr_u16(&w, v->u.link.instance);
        break;
    case VALUE_NONE: /* an empty multiple resource or an instance without resources */
    case VALUE_TYPE_COUNT:
        break;
    }
    return wr_view(&w);
}

/* Splits off the records of the first entry. A resource that has a value of its own is an entry
 * apart from one with instances. */
static struct span span_split(struct span *rest)
{
    const struct record *first = first_of(rest);
    struct span entry = *rest;

    entry.to = entry.from + 1;
    while (entry.to < rest->to) {
        const struct record *next = batch_at(rest->batch, entry.to);

        if (next->path.id[rest->level - 1] != first->path.id[rest->level - 1] ||
            (first->path.depth == rest->level) != (next->path.depth == rest->level))
            break;
        entry.to++;
    }
    rest->from = entry.to;
    return entry;
}

/* Whether the entry holds entries rather than a value. */
static bool span_nested(const struct span *entry)
{
    return first_of(entry)->path.depth > entry->level;
}

static struct span span_inside(const struct span *entry)
{
    struct span inside = *entry;

    inside.level++;
    return inside;
}

static size_t header_size(uint16_t id, size_t n)
{
    size_t length_bytes = n <= TLV_INLINE_MAX ? 0 : n <= UINT8_MAX ? 1 : n <= UINT16_MAX ? 2 : 3;

    return (id > UINT8_MAX ? 3u : 2u) + length_bytes;
}

static size_t entries_size(struct span rest);

static size_t entry_size(const struct span *entry)
{
    uint8_t scratch[TLV_SCALAR_MAX];

    if (span_nested(entry))
        return entries_size(span_inside(entry));
    return value_bytes(&first_of(entry)->value, scratch).n;
}

static size_t entries_size(struct span rest)
{
    size_t size = 0;

    while (rest.from < rest.to) {
        struct span entry = span_split(&rest);
        size_t n = entry_size(&entry);

        size += header_size(first_of(&entry)->path.id[entry.level - 1], n) + n;
    }
    return size;
}

static void write_header(struct buf *out, enum tlv_kind kind, uint16_t id, size_t n)
{
    uint8_t head[6];
    struct wr w = wr_init(head, sizeof(head));
    uint8_t type = (uint8_t)(kind << 6 | (id > UINT8_MAX ? TLV_ID_16 : 0));
    size_t length_bytes = header_size(id, n) - header_size(id, 0);

    wr_u8(&w, (uint8_t)(type | (length_bytes > 0 ? length_bytes << 3 : n)));
    if (id > UINT8_MAX)
        wr_u16(&w, id);
    else
        wr_u8(&w, (uint8_t)id);
    if (length_bytes == 1)
        wr_u8(&w, (uint8_t)n);
    else if (length_bytes == 2)
        wr_u16(&w, (uint16_t)n);
    else if (length_bytes == 3)
        wr_u24(&w, (uint32_t)n);
    buf_put_view(out, wr_view(&w));
}

static enum tlv_kind kind_of(const struct span *entry)
{
    const struct record *r = first_of(entry);

    if (entry->level == 2)
        return TLV_OBJECT_INSTANCE;
    if (entry->level == 4)
        return TLV_RESOURCE_INSTANCE;
    return span_nested(entry) || r->value.type == VALUE_NONE ? TLV_MULTIPLE : TLV_RESOURCE;
}

static int write_entries(struct buf *out, struct span rest)
{
    int rc = ERR_OK;

    while (rc == ERR_OK && rest.from < rest.to) {
        struct span entry = span_split(&rest);
        size_t n = entry_size(&entry);
        uint8_t scratch[TLV_SCALAR_MAX];

        if (n > TLV_LENGTH_MAX)
            return ERR_LIMIT;
        write_header(out, kind_of(&entry), first_of(&entry)->path.id[entry.level - 1], n);
        if (span_nested(&entry))
            rc = write_entries(out, span_inside(&entry));
        else
            buf_put_view(out, value_bytes(&first_of(&entry)->value, scratch));
    }
    return rc;
}

/*
 * What TLV cannot say: two values of one path, an instance both empty and not, a resource instance
 * without value. The times of records are dropped: a Write has none.
 */
static int check_records(const struct batch *sorted, bool unnamed)
{
    for (size_t i = 0; i < batch_size(sorted); i++) {
        const struct record *r = batch_at(sorted, i);
        const struct record *next = batch_at(sorted, i + 1);

        if (r->path.depth < 2 || (r->path.id[1] == MODEL_ID_NONE) != unnamed)
            return ERR_PATH;
        if (r->path.depth == 4 && r->value.type == VALUE_NONE)
            return ERR_TYPE;
        if (next != NULL && r->path.depth != 3 && path_covers(&r->path, &next->path))
            return ERR_DUPLICATE;
        if (next != NULL && path_eq(&r->path, &next->path))
            return ERR_DUPLICATE;
    }
    return ERR_OK;
}

/*
 * Below an object every instance is wrapped, unless its identifier is MODEL_ID_NONE: then the
 * device is to choose one (Create). Below an instance there are bare resources, below a resource
 * instance the bare resource instance.
 */
int tlv_encode(const struct content_env *env, const struct batch *values, const struct path *base,
               struct buf *out)
{
    struct batch *copy = NULL;
    struct span all = {values, 0, batch_size(values), 0};
    bool unnamed;
    int rc;

    (void)env;
    if (base->depth == 0)
        return ERR_FORMAT;
    rc = content_sorted(values, &all.batch, &copy);
    if (rc < 0)
        return rc;
    unnamed = all.to > 0 && first_of(&all)->path.depth >= 2 &&
              first_of(&all)->path.id[1] == MODEL_ID_NONE;
    rc = check_records(all.batch, unnamed);
    if (base->depth == 4)
        all.level = 4;
    else
        all.level = base->depth == 1 && !unnamed ? 2 : 3;
    /* The mark of an instance named by the base says nothing. */
    if (all.to > 0 && first_of(&all)->path.depth < all.level)
        all.from++;
    if (rc == ERR_OK)
        rc = write_entries(out, all);
    batch_free(copy);
    return rc;
}
