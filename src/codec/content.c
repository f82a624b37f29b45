#include "codec/content.h"

#include <math.h>
#include <strings.h>

/*
 * Values whose type the model does not tell: SenML says what it holds, text is a string, and TLV
 * stays opaque even when the bytes happen to be printable, for the type of a resource must not
 * depend on its value of the moment.
 */
static const struct content_format formats[] = {
    {FORMAT_TEXT, "text/plain", false, plain_decode, plain_encode},
    {FORMAT_OPAQUE, "application/octet-stream", false, opaque_decode, opaque_encode},
    {FORMAT_SENML_JSON, "application/senml+json", true, senml_json_decode, senml_json_encode},
    {FORMAT_SENML_CBOR, "application/senml+cbor", true, senml_cbor_decode, senml_cbor_encode},
    {FORMAT_TLV, "application/vnd.oma.lwm2m+tlv", true, tlv_decode, tlv_encode},
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

int content_decode(int32_t format, const struct content_env *env, struct view body,
                   const struct path *base, struct batch *ret_batch)
{
    const struct content_format *f = content_format(format == FORMAT_NONE ? FORMAT_TEXT : format);

    if (f == NULL)
        return ERR_FORMAT;
    /* An object without instances, an instance without readable resources (LwM2M Core 6.3.1). */
    if (body.n == 0 && (base->depth == 1 || base->depth == 2))
        return ERR_OK;
    return f->decode(env, body, base, ret_batch);
}

int content_encode(int32_t format, const struct content_env *env, const struct batch *values,
                   const struct path *base, struct buf *out)
{
    const struct content_format *f = content_format(format);
    size_t before = out->n;
    int rc;

    if (f == NULL || f->encode == NULL)
        return ERR_FORMAT;
    for (size_t i = 0; i < batch_size(values); i++) {
        const struct record *r = batch_at(values, i);

        rc = path_covers(base, &r->path) ? check_value(r) : ERR_PATH;
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
