/*
 * application/vnd.oma.lwm2m+cbor (11544): maps whose keys, from the outside in, make up the path of
 * a value. A key is an identifier or an array of them; the prefix of a device behind a gateway is
 * text, a key of its own or the first of an array. Paths are absolute, without the alternate path.
 *
 * Written: the outermost map has the path of the request as its key, or below an object one key
 * [object, instance] for each instance; below the root an instance with one value only has the
 * whole path as key. What lies below is nested, one identifier a map, ascending, all of definite
 * length.
 */
#include "codec/cbor.h"
#include "codec/content.h"

/* ---- decode ------------------------------------------------------------------------------- */

struct reader {
    const struct content_env *env;
    const struct path *base;
    struct batch *out;
    struct cbor c;
    struct buf scratch; /* strings that came in chunks */
};

/* The way from the outermost key to where the reader is. */
struct way {
    struct path path;
    uint16_t number; /* of the prefix */
    bool prefixed;
};

static int put_none(struct reader *r, const struct way *way)
{
    struct record record = {.path = way->path, .prefix = way->number};

    /* An empty map: a multiple resource without instances, or below an object an instance without
     * resources. That anything above exists is no news. */
    if (way->path.depth == 4)
        return ERR_MALFORMED;
    if (way->path.depth < 2 || (way->path.depth == 2 && r->base->depth == 2))
        return ERR_OK;
    return content_put(r->env, r->base, &record, r->out);
}

static int take_id(const struct reader *r, uint64_t id, struct way *way)
{
    /* "The device is to choose": the instance of a Create. */
    bool open = id == MODEL_ID_NONE && way->path.depth == 1 && r->base->depth == 1 &&
                r->env->use == CONTENT_CREATE;

    if (way->path.depth == 4 || (id >= MODEL_ID_NONE && !open))
        return ERR_PATH;
    way->path.id[way->path.depth++] = (uint16_t)id;
    return ERR_OK;
}

static int take_prefix(struct reader *r, struct cbor_head h, struct way *way)
{
    struct view prefix = cbor_string(&r->c, h, &r->scratch);

    if (r->c.rd.rc < 0)
        return r->c.rd.rc;
    if (way->prefixed || way->path.depth > 0 || prefix.n == 0)
        return ERR_PATH;
    way->prefixed = true;
    return content_prefix(r->env, prefix, r->out, &way->number);
}

static int take_part(struct reader *r, struct way *way)
{
    struct cbor_head h = cbor_head(&r->c);

    if (r->c.rd.rc < 0)
        return r->c.rd.rc;
    if (h.major == CBOR_UINT)
        return take_id(r, h.arg, way);
    return h.major == CBOR_TEXT ? take_prefix(r, h, way) : ERR_MALFORMED;
}

/* A key: one part of the path, or an array of one or more. */
static int read_key(struct reader *r, struct way *way)
{
    struct cbor_scope array;
    size_t parts = 0;
    int rc = ERR_OK;

    if (cbor_peek(&r->c) != CBOR_ARRAY)
        return take_part(r, way);
    cbor_open(&r->c, CBOR_ARRAY, &array);
    while (rc == ERR_OK && cbor_next(&r->c, &array)) {
        rc = take_part(r, way);
        parts++;
    }
    if (rc == ERR_OK)
        rc = r->c.rd.rc;
    return rc == ERR_OK && parts == 0 ? ERR_MALFORMED : rc;
}

static int read_value(struct reader *r, const struct way *way)
{
    struct record record = {.path = way->path, .prefix = way->number};
    int rc = cbor_value(&r->c, &r->scratch, &record.value);

    if (rc < 0)
        return rc;
    if (record.value.type == VALUE_NONE) /* nothing can be removed in this format */
        return ERR_TYPE;
    return content_put(r->env, r->base, &record, r->out);
}

/* Calls itself for a map within: each adds to the path, so at most five deep. */
static int read_map(struct reader *r, const struct way *outer)
{
    struct cbor_scope map;
    bool empty = true;
    int rc = ERR_OK;

    cbor_open(&r->c, CBOR_MAP, &map);
    while (rc == ERR_OK && cbor_next(&r->c, &map)) {
        struct way way = *outer;

        empty = false;
        rc = read_key(r, &way);
        if (rc == ERR_OK)
            rc = cbor_peek(&r->c) == CBOR_MAP ? read_map(r, &way) : read_value(r, &way);
    }
    if (rc == ERR_OK)
        rc = r->c.rd.rc;
    return rc == ERR_OK && empty ? put_none(r, outer) : rc;
}

int lwm2m_cbor_decode(const struct content_env *env, struct view body, const struct path *base,
                      struct batch *ret_batch)
{
    struct reader r = {.env = env, .base = base, .out = ret_batch, .c = cbor_init(body)};
    struct way root = {.number = 0};
    size_t from = batch_size(ret_batch);
    int rc;

    buf_init(&r.scratch, body.n);
    rc = read_map(&r, &root);
    if (rc == ERR_OK)
        rc = cbor_done(&r.c);
    if (rc == ERR_OK)
        rc = content_unique(ret_batch, from);
    buf_fini(&r.scratch);
    return rc;
}

/* ---- encode ------------------------------------------------------------------------------- */

/* Records [from, to) of a sorted batch that share the first `depth` identifiers. */
struct span {
    const struct batch *batch;
    size_t from, to;
    unsigned depth;
};

static const struct record *first_of(const struct span *s)
{
    return batch_at(s->batch, s->from);
}

/* Splits off the records that share one identifier (or `depth` of them) more. */
static struct span span_split(struct span *rest, unsigned depth)
{
    struct span part = {rest->batch, rest->from, rest->from + 1, depth};
    struct path shared = first_of(rest)->path;

    shared.depth = (uint8_t)depth;
    while (part.to < rest->to && batch_at(part.batch, part.to)->prefix == first_of(rest)->prefix &&
           path_covers(&shared, &batch_at(part.batch, part.to)->path))
        part.to++;
    rest->from = part.to;
    return part;
}

static size_t count_parts(struct span all, unsigned depth)
{
    size_t n = 0;

    for (; all.from < all.to; n++)
        span_split(&all, depth);
    return n;
}

/* Calls itself once for each level below the key. */
static void write_below(struct buf *out, const struct span *s)
{
    struct span rest = *s;

    if (first_of(s)->path.depth == s->depth) {
        cbor_put_value(out, &first_of(s)->value);
        return;
    }
    cbor_put_head(out, CBOR_MAP, count_parts(rest, s->depth + 1));
    while (rest.from < rest.to) {
        struct span part = span_split(&rest, s->depth + 1);

        cbor_put_head(out, CBOR_UINT, first_of(&part)->path.id[s->depth]);
        write_below(out, &part);
    }
}

/* An array of one is written as what is in it. */
static void write_key(struct buf *out, struct view prefix, const struct path *p)
{
    size_t n = p->depth + (prefix.n > 0 ? 1u : 0u);

    if (n > 1)
        cbor_put_head(out, CBOR_ARRAY, n);
    if (prefix.n > 0)
        cbor_put_text(out, prefix);
    for (unsigned i = 0; i < p->depth; i++)
        cbor_put_head(out, CBOR_UINT, p->id[i]);
}

/* Null deletes nothing and maps are never empty: what has no value has no form. */
static int check_values(const struct batch *values)
{
    for (size_t i = 0; i < batch_size(values); i++)
        if (batch_at(values, i)->value.type == VALUE_NONE)
            return ERR_FORMAT;
    return content_unique(values, 0);
}

static void write_all(struct buf *out, const struct content_env *env, const struct path *base,
                      struct span all)
{
    unsigned depth = base->depth < 2 ? 2 : base->depth;

    cbor_put_head(out, CBOR_MAP, count_parts(all, depth));
    while (all.from < all.to) {
        struct span part = span_split(&all, depth);
        struct path key = first_of(&part)->path;

        if (base->depth > 0 || part.to - part.from > 1)
            key.depth = (uint8_t)depth;
        part.depth = key.depth;
        write_key(out, content_prefix_of(env, part.batch, first_of(&part)), &key);
        write_below(out, &part);
    }
}

int lwm2m_cbor_encode(const struct content_env *env, const struct batch *values,
                      const struct path *base, struct buf *out)
{
    struct span all = {.to = batch_size(values)};
    struct batch *copy = NULL;
    int rc;

    /* Nothing at all is an empty body: right for what may have nothing in it. */
    if (all.to == 0)
        return base->depth == 1 || base->depth == 2 ? ERR_OK : ERR_FORMAT;
    rc = check_values(values);
    if (rc == ERR_OK)
        rc = content_sorted(values, &all.batch, &copy);
    if (rc == ERR_OK)
        write_all(out, env, base, all);
    batch_free(copy);
    return rc;
}
