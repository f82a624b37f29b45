#include "api/internal.h"

#define QUEUE_WINDOW_MS 93000 /* MAX_TRANSMIT_WAIT: how long a device in queue mode listens */

#include <math.h>
#include <stdio.h>

/* ---- model to JSON ---- */

void json_time(cJSON *object, const char *key, int64_t unix_ms)
{
    char text[25];

    if (unix_ms == 0 || unix_ms == INT64_MAX)
        return;
    text_time(unix_ms, text);
    cJSON_AddStringToObject(object, key, text);
}

/* Numbers are written by us: cJSON's own printing takes neighbouring doubles for equal. */
void json_integer(cJSON *object, const char *key, int64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)v);
    if (v >= -JSON_EXACT_MAX && v <= JSON_EXACT_MAX)
        cJSON_AddRawToObject(object, key, text);
    else
        cJSON_AddStringToObject(object, key, text);
}

static void put_unsigned(cJSON *object, const char *key, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    if (v <= JSON_EXACT_MAX)
        cJSON_AddRawToObject(object, key, text);
    else
        cJSON_AddStringToObject(object, key, text);
}

static void put_double(cJSON *object, const char *key, double v)
{
    char text[32];

    if (!isfinite(v)) {
        cJSON_AddNullToObject(object, key);
        return;
    }
    text_double(v, text);
    cJSON_AddRawToObject(object, key, text);
}

static void put_view(cJSON *object, const char *key, struct view v)
{
    char *text = mem_text(v.p, v.n);

    if (text)
        cJSON_AddStringToObject(object, key, text);
    mem_free(text);
}

static void put_view_unless_empty(cJSON *object, const char *key, struct view v)
{
    if (v.n > 0)
        put_view(object, key, v);
}

static void put_base64(cJSON *object, const char *key, struct view v)
{
    struct buf out;
    const char *text;

    buf_init(&out, v.n * 2 + 16);
    text_base64(&out, v, false);
    text = buf_cstr(&out);
    if (text)
        cJSON_AddStringToObject(object, key, text);
    buf_fini(&out);
}

static void put_value(cJSON *object, const struct value *v)
{
    char text[24];

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        put_view(object, "value", v->u.bytes);
        break;
    case VALUE_OPAQUE:
        put_base64(object, "value", v->u.bytes);
        break;
    case VALUE_INTEGER:
    case VALUE_TIME:
        json_integer(object, "value", v->u.integer);
        break;
    case VALUE_UNSIGNED:
        put_unsigned(object, "value", v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        put_double(object, "value", v->u.float_);
        break;
    case VALUE_BOOLEAN:
        cJSON_AddBoolToObject(object, "value", v->u.boolean);
        break;
    case VALUE_OBJLNK:
        snprintf(text, sizeof(text), "%u:%u", v->u.link.object, v->u.link.instance);
        cJSON_AddStringToObject(object, "value", text);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        cJSON_AddNullToObject(object, "value");
        break;
    }
}

cJSON *json_value(const struct record *r, const char *origin, int64_t default_ms)
{
    cJSON *json = cJSON_CreateObject();
    char path[PATH_TEXT_MAX];

    path_format(&r->path, path);
    cJSON_AddStringToObject(json, "path", path);
    put_value(json, &r->value);
    cJSON_AddStringToObject(json, "type", value_type_name(r->value.type));
    json_time(json, "time", r->timed ? r->time_ms : default_ms);
    if (origin)
        cJSON_AddStringToObject(json, "origin", origin);
    return json;
}

static cJSON *value_array(const struct batch *values, const char *origin, int64_t default_ms)
{
    cJSON *array = cJSON_CreateArray();

    for (size_t i = 0; i < batch_size(values); i++)
        cJSON_AddItemToArray(array, json_value(batch_at(values, i), origin, default_ms));
    return array;
}

cJSON *json_values(const struct path *asked, const struct batch *values, const char *origin,
                   int64_t default_ms)
{
    cJSON *json;
    char path[PATH_TEXT_MAX];

    if (batch_size(values) == 1 && asked->depth >= 3 && path_eq(&batch_at(values, 0)->path, asked))
        return json_value(batch_at(values, 0), origin, default_ms);
    json = cJSON_CreateObject();
    path_format(asked, path);
    cJSON_AddStringToObject(json, "path", path);
    cJSON_AddItemToObject(json, "values", value_array(values, origin, default_ms));
    return json;
}

/* Opaque: the key the next page begins after, url-safe. */
void json_cursor(cJSON *json, struct view cursor)
{
    struct buf out;
    const char *text;

    buf_init(&out, 1024);
    text_base64(&out, cursor, true);
    text = buf_cstr(&out);
    if (cursor.n > 0 && text)
        cJSON_AddStringToObject(json, "next", text);
    else
        cJSON_AddNullToObject(json, "next");
    buf_fini(&out);
}

/* ---- registration ---- */

static void put_objects(cJSON *json, struct view links)
{
    static const struct hash_key any;
    cJSON *array = cJSON_AddArrayToObject(json, "objects");
    struct objlist *list;

    if (link_objlist(links, &any, &list) < 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        cJSON *object = cJSON_CreateObject();
        char text[PATH_TEXT_MAX];

        path_format(&list->entries[i].path, text);
        cJSON_AddStringToObject(object, "path", text);
        if (list->entries[i].version.major != 0 || list->entries[i].version.minor != 0) {
            snprintf(text, sizeof(text), "%u.%u", list->entries[i].version.major,
                     list->entries[i].version.minor);
            cJSON_AddStringToObject(object, "version", text);
        }
        cJSON_AddItemToArray(array, object);
    }
    put_view_unless_empty(json, "alternatePath", list->alt_path);
    mem_free(list);
}

static void put_identity(cJSON *json, const struct identity *id)
{
    cJSON *object = cJSON_AddObjectToObject(json, "identity");

    cJSON_AddStringToObject(object, "type", identity_type_name(id->type));
    put_view_unless_empty(object, "name", id->name);
}

static void put_profiles(cJSON *json, struct view pid)
{
    struct profile_ids ids;
    cJSON *array;

    if (profiles_split(pid, &ids) < 0)
        return;
    array = cJSON_AddArrayToObject(json, "profileIds");
    for (uint8_t i = 0; i < ids.n; i++) {
        char *text = mem_text(ids.v[i].p, ids.v[i].n);

        if (text)
            cJSON_AddItemToArray(array, cJSON_CreateString(text));
        mem_free(text);
    }
}

/* A page of the store does not know who is awake: it goes by when a device was heard. */
static const char *state_of(const struct registration *r, int64_t now_ms)
{
    bool awake = r->awake || r->seen_ms + QUEUE_WINDOW_MS > now_ms;

    if (r->row == 0 || r->expires_ms <= now_ms)
        return "offline";
    if (r->awake_until_ms != 0)
        awake = r->awake;
    return r->queue_mode && !awake ? "asleep" : "registered";
}

/* When it was what. */
static void put_times(cJSON *json, const struct registration *r)
{
    json_time(json, "registeredAt", r->registered_ms);
    json_time(json, "updatedAt", r->updated_ms);
    json_time(json, "expiresAt", r->expires_ms);
    json_time(json, "lastSeenAt", r->seen_ms);
}

/* Known, but not registered: nothing else is true of it now. */
static cJSON *absent(const struct registration *r)
{
    cJSON *json = cJSON_CreateObject();

    put_view(json, "endpoint", r->endpoint);
    cJSON_AddStringToObject(json, "state", "offline");
    put_times(json, r);
    return json;
}

cJSON *json_registration(const struct registration *r, int64_t now_ms)
{
    cJSON *json;
    char text[ADDR_TEXT_MAX];

    if (r->row == 0)
        return absent(r);
    json = cJSON_CreateObject();
    put_view(json, "endpoint", r->endpoint);
    registration_id_format(r->id, text);
    cJSON_AddStringToObject(json, "registrationId", text);
    cJSON_AddStringToObject(json, "state", state_of(r, now_ms));
    snprintf(text, sizeof(text), "%u.%u", r->version.major, r->version.minor);
    cJSON_AddStringToObject(json, "version", text);
    cJSON_AddNumberToObject(json, "lifetime", r->lifetime_s);
    binding_format(r->binding, text);
    cJSON_AddStringToObject(json, "binding", text);
    cJSON_AddBoolToObject(json, "queueMode", r->queue_mode);
    cJSON_AddStringToObject(json, "transport", transport_scheme((enum transport)r->flow.transport));
    put_identity(json, &r->identity);
    addr_format(&r->flow.peer, text);
    cJSON_AddStringToObject(json, "address", text);
    put_view_unless_empty(json, "sms", r->sms);
    put_profiles(json, r->profile);
    put_view_unless_empty(json, "parameters", r->unknown);
    put_objects(json, r->links);
    json_time(json, "awakeUntil", r->awake_until_ms);
    put_times(json, r);
    return json;
}

/* ---- event ---- */

cJSON *json_event(const struct event *e, const char *id)
{
    cJSON *json = cJSON_CreateObject();
    char text[ADDR_TEXT_MAX];

    cJSON_AddStringToObject(json, "id", id);
    cJSON_AddStringToObject(json, "type", event_type_name(e->type));
    json_time(json, "time", e->time_ms);
    if (e->endpoint)
        cJSON_AddStringToObject(json, "endpoint", e->endpoint);
    if (e->registration_id != 0) {
        registration_id_format(e->registration_id, text);
        cJSON_AddStringToObject(json, "registrationId", text);
    }
    if (e->flow.peer.port != 0) {
        addr_format(&e->flow.peer, text);
        cJSON_AddStringToObject(json, "address", text);
    }
    if (e->token != 0) {
        registration_id_format(e->token, text); /* 16 hex as well */
        cJSON_AddStringToObject(json, "observation", text);
    }
    if (e->path.depth > 0) {
        path_format(&e->path, text);
        cJSON_AddStringToObject(json, "path", text);
    }
    if (e->type == EVENT_REGISTERED || e->type == EVENT_UPDATED)
        cJSON_AddNumberToObject(json, "lifetime", e->lifetime_s);
    if (e->values)
        cJSON_AddItemToObject(json, "values", value_array(e->values, NULL, e->time_ms));
    if (e->operation)
        cJSON_AddItemToObject(json, "operation", operations_json(e->operation));
    if (e->rc < 0)
        cJSON_AddStringToObject(json, "reason", err_text(e->rc));
    if (e->detail)
        cJSON_AddStringToObject(json, "detail", e->detail);
    return json;
}

/* ---- JSON to model ---- */

/* Text of cJSON ends at a NUL, and it would hand on what is before it. */
static bool escapes_nul(struct view text)
{
    for (size_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] != '\\')
            continue;
        i++;
        if (view_eq_str(view_sub(text, i, 5), "u0000"))
            return true;
    }
    return false;
}

cJSON *json_parse(struct buf *body)
{
    const char *text = buf_cstr(body), *end = NULL;

    if (!text || view_utf8(buf_view(body)) < 0 || escapes_nul(buf_view(body)))
        return NULL;
    return cJSON_ParseWithLengthOpts(text, body->n + 1, &end, true);
}

static const char wrong_number[] = "integers beyond 2^53 must be given as strings";

/* The type a value without a definition is meant to have. */
static enum value_type type_of_json(const cJSON *v)
{
    if (cJSON_IsBool(v))
        return VALUE_BOOLEAN;
    if (cJSON_IsNumber(v))
        return v->valuedouble == floor(v->valuedouble) ? VALUE_INTEGER : VALUE_FLOAT;
    return VALUE_STRING;
}

static bool type_named(const cJSON *type, enum value_type *ret)
{
    for (int t = VALUE_STRING; t < VALUE_TYPE_COUNT; t++) {
        if (cJSON_IsString(type) &&
            strcmp(type->valuestring, value_type_name((enum value_type)t)) == 0) {
            *ret = (enum value_type)t;
            return true;
        }
    }
    return false;
}

static int from_number(double number, enum value_type want, struct value *ret,
                       const char **ret_what)
{
    if (!isfinite(number)) { /* how the parser reads 1e400 */
        *ret_what = "a number is beyond the range of a double";
        return ERR_RANGE;
    }
    if (want != VALUE_FLOAT && fabs(number) > (double)JSON_EXACT_MAX) {
        *ret_what = wrong_number;
        return ERR_RANGE;
    }
    if (number == floor(number) && fabs(number) <= (double)JSON_EXACT_MAX) {
        ret->type = VALUE_INTEGER;
        ret->u.integer = (int64_t)number;
    } else {
        ret->type = VALUE_FLOAT;
        ret->u.float_ = number;
    }
    return value_coerce(ret, want);
}

static int from_text(struct view text, enum value_type want, struct buf *scratch, struct value *ret)
{
    int64_t ms;

    switch (want) {
    case VALUE_INTEGER:
        ret->type = want;
        return view_i64(text, &ret->u.integer);
    case VALUE_UNSIGNED:
        ret->type = want;
        return view_u64(text, UINT64_MAX, &ret->u.unsigned_);
    case VALUE_TIME:
        ret->type = want;
        if (text_untime(text, &ms) == ERR_OK) {
            ret->u.integer = ms / 1000;
            return ERR_OK;
        }
        return view_i64(text, &ret->u.integer);
    case VALUE_OPAQUE:
        ret->type = want;
        if (text_unbase64(scratch, text) < 0)
            return ERR_MALFORMED;
        ret->u.bytes = buf_view(scratch);
        return scratch->rc;
    case VALUE_OBJLNK:
    case VALUE_CORELNK:
    case VALUE_STRING:
        ret->type = VALUE_STRING;
        ret->u.bytes = text;
        return value_coerce(ret, want);
    case VALUE_FLOAT:
        ret->type = want;
        return view_double(text, &ret->u.float_);
    case VALUE_BOOLEAN:
        ret->type = want;
        ret->u.boolean = view_eq_str(text, "true") || view_eq_str(text, "1");
        return ret->u.boolean || view_eq_str(text, "false") || view_eq_str(text, "0") ? ERR_OK
                                                                                      : ERR_TYPE;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
    return ERR_TYPE;
}

static int from_json(const cJSON *v, enum value_type want, struct buf *scratch, struct value *ret,
                     const char **ret_what)
{
    if (cJSON_IsBool(v)) {
        ret->type = VALUE_BOOLEAN;
        ret->u.boolean = cJSON_IsTrue(v);
        return want == VALUE_BOOLEAN ? ERR_OK : ERR_TYPE;
    }
    if (cJSON_IsNumber(v))
        return from_number(v->valuedouble, want, ret, ret_what);
    if (cJSON_IsString(v))
        return from_text(view_str(v->valuestring), want, scratch, ret);
    return ERR_TYPE;
}

/* With `removes`, null takes a resource instance away (SenML-ETCH, RFC 8790). */
static int add_value(const cJSON *item, const struct path *path, const struct registry *registry,
                     bool removes, struct batch *batch, const char **ret_what)
{
    const struct resource_def *def = registry_resource(registry, path, (struct version){0, 0});
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(item, "value");
    struct record r = {.path = *path};
    enum value_type want = def ? def->type : type_of_json(v);
    struct buf scratch;
    int rc;

    type_named(cJSON_GetObjectItemCaseSensitive(item, "type"), &want);
    *ret_what = "the value does not fit the type of the resource";
    if (cJSON_IsNull(v) && removes && path->depth == 4)
        return batch_add(batch, &r);
    if (path->depth < 3) {
        *ret_what = "a value needs the path of a resource";
        return ERR_PATH;
    }
    buf_init(&scratch, 64 * 1024 * 1024);
    rc = from_json(v, want, &scratch, &r.value, ret_what);
    if (rc == ERR_OK)
        rc = batch_add(batch, &r);
    buf_fini(&scratch);
    return rc;
}

static int path_of_item(const cJSON *item, const struct path *base, struct path *ret,
                        const char **ret_what)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(item, "path");

    if (!cJSON_IsString(path) || path_parse(view_str(path->valuestring), ret) < 0) {
        *ret_what = "each of values needs a path like /3303/0/5700";
        return ERR_INVALID;
    }
    if (!path_covers(base, ret)) {
        *ret_what = "a path of values lies outside the request path";
        return ERR_INVALID;
    }
    return ERR_OK;
}

int json_to_batch(const cJSON *body, const struct path *base, const struct registry *registry,
                  struct batch *ret_batch, const char **ret_what)
{
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(body, "values"), *item;
    int rc = ERR_OK;

    if (!values && cJSON_GetObjectItemCaseSensitive(body, "value"))
        return add_value(body, base, registry, false, ret_batch, ret_what);
    if (!cJSON_IsArray(values)) {
        *ret_what = "the body needs value, or values as an array";
        return ERR_INVALID;
    }
    cJSON_ArrayForEach(item, values)
    {
        struct path path;

        rc = path_of_item(item, base, &path, ret_what);
        if (rc == ERR_OK)
            rc = add_value(item, &path, registry, base->depth == 0, ret_batch, ret_what);
        if (rc < 0)
            return rc;
    }
    return rc;
}
