#include "codec/content.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

/*
 * Values whose type the model does not tell: SenML says what it holds, text is a string, and TLV
 * stays opaque even when the bytes happen to be printable, for the type of a resource must not
 * depend on its value of the moment.
 */
#define USE(use) (1u << CONTENT_##use)
/* One value in a body that does not say of which resource. */
#define BARE (USE(ANSWER) | USE(WRITE))
/* Paths relative to that of the request. */
#define RELATIVE (USE(ANSWER) | USE(WRITE) | USE(UPDATE) | USE(CREATE))
/* Paths from the root on. */
#define ABSOLUTE (RELATIVE | USE(COMPOSITE) | USE(PATCH) | USE(SEND))
#define ETCH (USE(FETCH) | USE(PATCH))
#define SINCE(minor)                                                                               \
    {1, minor},                                                                                    \
    {                                                                                              \
        0, 0                                                                                       \
    }
#define ONLY(minor)                                                                                \
    {1, minor},                                                                                    \
    {                                                                                              \
        1, minor                                                                                   \
    }

/* LwM2M Core 7.4 and Transport 6.4; data formats of the wire reference, section 1. */
static const struct content_format formats[] = {
    {FORMAT_TEXT, "text/plain", false, false, BARE, SINCE(0), plain_decode, plain_encode},
    {FORMAT_OPAQUE, "application/octet-stream", false, false, BARE, SINCE(0), opaque_decode,
     opaque_encode},
    {FORMAT_CBOR, "application/cbor", false, false, BARE, SINCE(1), cbor_one_decode,
     cbor_one_encode},
    {FORMAT_SENML_JSON, "application/senml+json", true, true, ABSOLUTE | USE(FETCH), SINCE(1),
     senml_json_decode, senml_json_encode},
    {FORMAT_SENML_CBOR, "application/senml+cbor", true, true, ABSOLUTE | USE(FETCH), SINCE(1),
     senml_cbor_decode, senml_cbor_encode},
    {FORMAT_SENML_ETCH_JSON, "application/senml-etch+json", true, true, ETCH, SINCE(2),
     senml_json_etch_decode, senml_json_etch_encode},
    {FORMAT_SENML_ETCH_CBOR, "application/senml-etch+cbor", true, true, ETCH, SINCE(2),
     senml_cbor_etch_decode, senml_cbor_etch_encode},
    {FORMAT_TLV, "application/vnd.oma.lwm2m+tlv", true, false, RELATIVE, SINCE(0), tlv_decode,
     tlv_encode},
    {FORMAT_LWM2M_JSON, "application/vnd.oma.lwm2m+json", true, true, RELATIVE, ONLY(0),
     lwm2m_json_decode, lwm2m_json_encode},
    {FORMAT_LWM2M_CBOR, "application/vnd.oma.lwm2m+cbor", true, false, ABSOLUTE, SINCE(2),
     lwm2m_cbor_decode, lwm2m_cbor_encode},
};

/* Numbers that drafts used before IANA gave out the present ones. */
static const struct {
    int32_t draft, number;
} aliases[] = {
    {1541, FORMAT_TEXT},
    {1542, FORMAT_TLV},
    {1543, FORMAT_LWM2M_JSON},
};

const struct content_format *content_format(int32_t number)
{
    for (size_t i = 0; i < mem_count(aliases); i++)
        if (aliases[i].draft == number)
            number = aliases[i].number;
    for (size_t i = 0; i < mem_count(formats); i++)
        if (formats[i].number == number)
            return &formats[i];
    return NULL;
}

const struct content_format *content_format_by_media_type(struct view media_type)
{
    struct view name = VIEW_NONE;

    if (!view_split(&media_type, ';', &name))
        return NULL;
    while (name.n > 0 && name.p[0] == ' ')
        name = view_sub(name, 1, name.n);
    while (name.n > 0 && name.p[name.n - 1] == ' ')
        name.n--;
    for (size_t i = 0; i < mem_count(formats); i++) {
        const char *known = formats[i].media_type;

        if (name.n == strlen(known) && strncasecmp((const char *)name.p, known, name.n) == 0)
            return &formats[i];
    }
    return NULL;
}

bool content_usable(const struct content_format *f, enum content_use use)
{
    return (f->uses >> use & 1) != 0;
}

/* Version of the first entry of that object; {0,0} when the device has not told it. */
static struct version version_of(const struct objlist *objects, uint16_t object)
{
    size_t lo = 0, hi = objects != NULL ? objects->count : 0;
    size_t end = hi;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (objects->entries[mid].path.id[0] < object)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == end || objects->entries[lo].path.id[0] != object)
        return (struct version){0, 0};
    return objects->entries[lo].version;
}

const struct object_def *content_object(const struct content_env *env, uint16_t object)
{
    if (env->registry == NULL)
        return NULL;
    return registry_find(env->registry, object, version_of(env->objects, object));
}

enum value_type content_type_of(const struct content_env *env, const struct path *p,
                                bool *ret_multiple)
{
    const struct object_def *object = p->depth >= 3 ? content_object(env, p->id[0]) : NULL;
    const struct resource_def *def = NULL;

    if (object != NULL) {
        struct version newest = {object->version.major, UINT8_MAX};

        def = object_def_resource(object, p->id[2]);
        /* Devices announce an older version than what they implement (spec 12 section 2). */
        if (def == NULL)
            def = registry_resource(env->registry, p, newest);
    }
    if (ret_multiple != NULL)
        *ret_multiple = def != NULL && def->multiple;
    return def != NULL ? def->type : VALUE_NONE;
}

static bool is_text(enum value_type type)
{
    return type == VALUE_STRING || type == VALUE_CORELNK;
}

/* What holds for a value on its way in and on its way out. A number that is not finite has no form
 * in text, JSON and REST, so no format may bring one. */
static int check_value(const struct record *r)
{
    if (r->value.type == VALUE_NONE)
        return ERR_OK;
    if (r->path.depth < 3)
        return ERR_PATH;
    if (r->value.type == VALUE_FLOAT && !isfinite(r->value.u.float_))
        return ERR_RANGE;
    return is_text(r->value.type) ? view_utf8(r->value.u.bytes) : ERR_OK;
}

int content_put_typed(const struct path *base, const struct record *r, enum value_type type,
                      struct batch *ret_batch)
{
    struct record copy = *r;
    int rc;

    if (!path_covers(base, &r->path))
        return ERR_PATH;
    if (copy.value.type != VALUE_NONE && type != VALUE_NONE) {
        rc = value_coerce(&copy.value, type);
        if (rc < 0)
            return rc;
    }
    rc = check_value(&copy);
    if (rc < 0)
        return rc;
    return batch_add(ret_batch, &copy);
}

int content_put(const struct content_env *env, const struct path *base, const struct record *r,
                struct batch *ret_batch)
{
    enum value_type type = VALUE_NONE;

    if (r->value.type != VALUE_NONE && env->use == CONTENT_FETCH)
        return ERR_MALFORMED;
    if (r->value.type == VALUE_NONE && env->use == CONTENT_PATCH && r->path.depth != 4)
        return ERR_PATH;
    if (r->value.type != VALUE_NONE)
        type = content_type_of(env, &r->path, NULL);
    return content_put_typed(base, r, type, ret_batch);
}

int content_leaf(const struct path *base)
{
    if (base->depth == 0)
        return ERR_FORMAT;
    return base->depth < 3 ? ERR_MALFORMED : ERR_OK;
}

int content_only(const struct batch *values, const struct path *base,
                 const struct record **ret_record)
{
    const struct record *r = batch_at(values, 0);

    if (batch_size(values) != 1 || !path_eq(&r->path, base) || r->value.type == VALUE_NONE)
        return ERR_FORMAT;
    *ret_record = r;
    return ERR_OK;
}

/* ---- prefixes of gateways ------------------------------------------------------------------ */

/* What fits a Uri-Path option. */
#define PREFIX_MAX 255

/* One path segment that is not a number. */
static bool is_prefix(struct view v)
{
    bool numeric = true;

    if (v.n > PREFIX_MAX)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '/')
            return false;
        numeric = numeric && v.p[i] >= '0' && v.p[i] <= '9';
    }
    return !numeric && view_utf8(v) == ERR_OK;
}

bool content_split_prefix(struct view *rest, struct view *ret_prefix)
{
    struct view name = *rest;
    const uint8_t *slash;
    size_t n;

    if (name.n > 0 && name.p[0] == '/')
        name = view_sub(name, 1, name.n);
    if (name.n == 0)
        return false;
    slash = memchr(name.p, '/', name.n);
    n = slash != NULL ? (size_t)(slash - name.p) : name.n;
    if (!is_prefix(view_sub(name, 0, n)))
        return false;
    *ret_prefix = view_sub(name, 0, n);
    *rest = slash != NULL ? view_sub(name, n, name.n) : VIEW_LIT("/");
    return true;
}

int content_prefix(const struct content_env *env, struct view prefix, struct batch *b,
                   uint16_t *ret_number)
{
    if (prefix.n == 0 || view_eq(prefix, env->gateway)) {
        *ret_number = 0;
        return ERR_OK;
    }
    if (!env->prefixes || !is_prefix(prefix))
        return ERR_PATH;
    return batch_prefix_add(b, prefix, ret_number);
}

struct view content_prefix_of(const struct content_env *env, const struct batch *values,
                              const struct record *r)
{
    return r->prefix != 0 ? batch_prefix(values, r->prefix) : env->gateway;
}

/* ---- order --------------------------------------------------------------------------------- */

/* Where a record stands: its path as one number, for quick sorting. */
struct place {
    uint64_t ids;
    uint16_t prefix;
    uint8_t depth;
};

static struct place place_of(const struct record *r)
{
    struct place p = {0, r->prefix, r->path.depth};

    for (unsigned i = 0; i < 4; i++)
        p.ids = p.ids << 16 | (i < p.depth ? r->path.id[i] : 0);
    return p;
}

static int place_cmp(const void *a, const void *b)
{
    const struct place *pa = a, *pb = b;

    if (pa->prefix != pb->prefix)
        return pa->prefix < pb->prefix ? -1 : 1;
    if (pa->ids != pb->ids)
        return pa->ids < pb->ids ? -1 : 1;
    return (pa->depth > pb->depth) - (pa->depth < pb->depth);
}

/* Whether the second is the first or lies below it. */
static bool place_covers(const struct place *a, const struct place *b)
{
    unsigned shift = 16 * (4u - a->depth);

    if (a->prefix != b->prefix || a->depth > b->depth)
        return false;
    return a->depth == 0 || a->ids >> shift == b->ids >> shift;
}

int content_unique(const struct batch *values, size_t from)
{
    size_t n = batch_size(values) - from;
    bool sorted = true, again = false;
    struct place *places;

    if (n < 2)
        return ERR_OK;
    places = mem_resize(NULL, n * sizeof(*places));
    if (places == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        places[i] = place_of(batch_at(values, from + i));
        sorted = sorted && (i == 0 || place_cmp(&places[i - 1], &places[i]) < 0);
    }
    if (!sorted)
        qsort(places, n, sizeof(*places), place_cmp);
    for (size_t i = 1; i < n; i++)
        again = again || place_covers(&places[i - 1], &places[i]);
    mem_free(places);
    return again ? ERR_DUPLICATE : ERR_OK;
}

static bool is_sorted(const struct batch *b)
{
    for (size_t i = 1; i < batch_size(b); i++)
        if (batch_cmp(batch_at(b, i - 1), batch_at(b, i)) > 0)
            return false;
    return true;
}

int content_sorted(const struct batch *values, const struct batch **ret_sorted,
                   struct batch **ret_copy)
{
    struct batch *copy = NULL;

    if (!is_sorted(values)) {
        copy = batch_copy(values);
        if (copy == NULL)
            return ERR_NOMEM;
        batch_sort(copy);
        values = copy;
    }
    *ret_sorted = values;
    *ret_copy = copy;
    return ERR_OK;
}

/* ---- dispatch ------------------------------------------------------------------------------ */

int content_decode(int32_t format, const struct content_env *env, struct view body,
                   const struct path *base, struct batch *ret_batch)
{
    const struct content_format *f = content_format(format == FORMAT_NONE ? FORMAT_TEXT : format);

    if (f == NULL || !content_usable(f, env->use))
        return ERR_FORMAT;
    /* An object without instances, an instance without readable resources (LwM2M Core 6.3.1). */
    if (body.n == 0 && (base->depth == 1 || base->depth == 2))
        return ERR_OK;
    return f->decode(env, body, base, ret_batch);
}

/* Whether the record can be in a body of that format and use. */
static int check_record(const struct content_format *f, const struct content_env *env,
                        const struct path *base, const struct record *r)
{
    if (!path_covers(base, &r->path))
        return ERR_PATH;
    if (r->prefix != 0 && !content_usable(f, CONTENT_COMPOSITE) &&
        !content_usable(f, CONTENT_PATCH))
        return ERR_FORMAT;
    if (env->use == CONTENT_FETCH && r->value.type != VALUE_NONE)
        return ERR_TYPE;
    if (env->use == CONTENT_PATCH && r->value.type == VALUE_NONE && r->path.depth != 4)
        return ERR_PATH;
    return check_value(r);
}

int content_encode(int32_t format, const struct content_env *env, const struct batch *values,
                   const struct path *base, struct buf *out)
{
    const struct content_format *f = content_format(format);
    size_t before = out->n;
    int rc;

    if (f == NULL || f->number != format || !content_usable(f, env->use))
        return ERR_FORMAT;
    for (size_t i = 0; i < batch_size(values); i++) {
        rc = check_record(f, env, base, batch_at(values, i));
        if (rc < 0)
            return rc;
    }
    rc = f->encode(env, values, base, out);
    if (rc == ERR_OK)
        rc = out->rc;
    if (rc < 0)
        out->n = before;
    return rc;
}
