#include "api/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SPOOL_FROM 65536 /* an opaque body above this travels as a file */

/* ---- format asked for by the operator ---- */

static bool parse_format(struct call *c, int32_t *ret)
{
    static const struct {
        const char *name;
        int32_t format;
    } names[] = {{"text", FORMAT_TEXT},
                 {"opaque", FORMAT_OPAQUE},
                 {"tlv", FORMAT_TLV},
                 {"senml-json", FORMAT_SENML_JSON},
                 {"senml-cbor", FORMAT_SENML_CBOR},
                 {"cbor", FORMAT_CBOR},
                 {"lwm2m-json", FORMAT_LWM2M_JSON},
                 {"lwm2m-cbor", FORMAT_LWM2M_CBOR}};
    const struct content_format *known = NULL;
    char text[64];
    uint64_t number;

    *ret = FORMAT_NONE;
    if (!call_query(c, "format", text, sizeof(text)))
        return !c->answered;
    for (size_t i = 0; i < mem_count(names); i++) {
        if (strcmp(text, names[i].name) == 0)
            *ret = names[i].format;
    }
    if (*ret == FORMAT_NONE && view_u64(view_str(text), 65535, &number) == ERR_OK)
        known = content_format((int32_t)number);
    if (known && content_usable(known, CONTENT_ANSWER))
        *ret = known->number;
    if (*ret == FORMAT_NONE)
        problem_respond(c, ERR_INVALID,
                        "format is text, opaque, cbor, tlv, senml-json, senml-cbor, lwm2m-json, "
                        "lwm2m-cbor or a number");
    return *ret != FORMAT_NONE;
}

static struct op *op_with_format(struct call *c, enum op_kind kind)
{
    int32_t format;
    struct op *op;

    if (!parse_format(c, &format))
        return NULL;
    op = call_op(c, kind);
    if (op)
        op->format = format;
    return op;
}

/* ---- read ---- */

/* A body that was too large for memory: read back here, where blocking is allowed. */
static int load_blob(const struct blob *b, struct buf *out)
{
    uint8_t chunk[65536];
    uint64_t at = 0;

    if (b->fd < 0) {
        buf_put(out, b->p, b->size);
        return out->rc;
    }
    while (at < b->size) {
        ssize_t n = pread(b->fd, chunk, sizeof(chunk), (off_t)at);

        if (n <= 0)
            return ERR_IO;
        buf_put(out, chunk, (size_t)n);
        at += (uint64_t)n;
    }
    return out->rc;
}

static int decode_blob(struct call *c, struct batch *batch)
{
    struct registry *registry = models_get(c->api->deps.models);
    struct content_env env = {.registry = registry, .now_ms = clock_wall_ms()};
    struct buf body;
    int rc;

    buf_init(&body, c->op->result.body->size + 1);
    rc = load_blob(c->op->result.body, &body);
    if (rc == ERR_OK)
        rc = content_decode(c->op->result.format, &env, buf_view(&body), &c->op->path, batch);
    buf_fini(&body);
    registry_unref(registry);
    return rc;
}

static void read_answer(struct call *c)
{
    struct op *op = c->op;
    int rc;

    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    if (op->result.body) {
        op->result.values = batch_new();
        rc = op->result.values ? decode_blob(c, op->result.values) : ERR_NOMEM;
        if (rc < 0) {
            op->result.rc = ERR_BADANSWER;
            problem_of_op(c, op);
            return;
        }
    }
    call_json(c, MHD_HTTP_OK,
              json_values(&op->path, op->result.values, "read", op->result.answered_ms));
}

/* ---- where a Read is answered from ---- */

enum source { SOURCE_AUTO, SOURCE_CACHE, SOURCE_DEVICE, SOURCE_COUNT };

static bool take_source(struct call *c, enum source *ret, uint64_t *ret_max_age_s)
{
    static const char *const names[SOURCE_COUNT] = {"auto", "cache", "device"};
    char text[16] = "auto";

    if (!call_query_u64(c, "max-age", UINT64_MAX, UINT32_MAX, ret_max_age_s))
        return false;
    if (!call_query(c, "source", text, sizeof(text)) && c->answered)
        return false;
    for (unsigned i = 0; i < SOURCE_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum source)i;
            return true;
        }
    }
    problem_respond(c, ERR_INVALID, "source is auto, cache or device");
    return false;
}

struct told {
    cJSON *array;
    int64_t oldest_ms;
};

static int add_told(void *ctx, const struct stored_value *v)
{
    struct told *told = ctx;
    const struct record *r = &v->record;

    if (told->oldest_ms == 0 || r->time_ms < told->oldest_ms)
        told->oldest_ms = r->time_ms;
    cJSON_AddItemToArray(told->array, json_value(r, value_origin_name(v->origin), r->time_ms));
    return ERR_OK;
}

/* The paths of a composite Read, or the one of a Read. */
static int read_told(struct call *c, const struct op *op, struct told *told)
{
    struct reader *reader = api_reader(c->api);
    int rc = reader ? ERR_OK : ERR_STORE;

    if (op->kind != OP_READ_COMPOSITE)
        return rc < 0 ? rc : read_values(reader, view_str(op->endpoint), &op->path, add_told, told);
    for (size_t i = 0; rc == ERR_OK && i < batch_size(op->values); i++)
        rc = read_values(reader, view_str(op->endpoint), &batch_at(op->values, i)->path, add_told,
                         told);
    return rc;
}

static cJSON *told_json(const struct op *op, struct told *told)
{
    cJSON *json, *first = cJSON_GetArrayItem(told->array, 0);
    char path[PATH_TEXT_MAX];

    path_format(&op->path, path);
    if (op->path.depth >= 3 && cJSON_GetArraySize(told->array) == 1 &&
        strcmp(cJSON_GetObjectItemCaseSensitive(first, "path")->valuestring, path) == 0) {
        json = cJSON_DetachItemFromArray(told->array, 0);
        cJSON_Delete(told->array);
        return json;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    cJSON_AddItemToObject(json, "values", told->array);
    return json;
}

/* From what the device has told before; false when that is nothing, or too old. */
static bool answer_told(struct call *c, const struct op *op, uint64_t max_age_s, bool stale)
{
    struct told told = {.array = cJSON_CreateArray()};
    int64_t age_ms;
    cJSON *json;

    if (read_told(c, op, &told) < 0 || cJSON_GetArraySize(told.array) == 0) {
        cJSON_Delete(told.array);
        return false;
    }
    age_ms = clock_wall_ms() - told.oldest_ms;
    if (age_ms < 0)
        age_ms = 0;
    if ((uint64_t)age_ms / 1000 > max_age_s) {
        cJSON_Delete(told.array);
        return false;
    }
    json = told_json(op, &told);
    if (stale)
        cJSON_AddBoolToObject(json, "stale", true);
    c->age_s = age_ms / 1000;
    call_json(c, MHD_HTTP_OK, json);
    return true;
}

static void read_outcome(struct call *c)
{
    struct op *op = c->op;
    int rc = op->result.rc;
    enum source source;
    uint64_t max_age_s;

    if (op->durable || (rc != ERR_ASLEEP && rc != ERR_UNREGISTERED)) {
        c->answer(c);
        return;
    }
    if (!take_source(c, &source, &max_age_s))
        return;
    if (source == SOURCE_AUTO && answer_told(c, op, UINT64_MAX, true))
        return;
    durable_later(c, read_outcome);
}

void resources_submit_read(struct call *c, struct op *op, void (*answer)(struct call *c))
{
    enum source source;
    uint64_t max_age_s;

    c->answer = answer;
    if (!take_source(c, &source, &max_age_s) || !durable_check(c)) {
        op_free(op);
        return;
    }
    if (source == SOURCE_CACHE || (source == SOURCE_AUTO && max_age_s != UINT64_MAX)) {
        bool answered = answer_told(c, op, max_age_s, false);

        if (!answered && source == SOURCE_CACHE)
            problem_status(c, 404, "not-cached", "the device has not told this yet", NULL);
        if (answered || source == SOURCE_CACHE) {
            op_free(op);
            return;
        }
    }
    call_submit(c, op, read_outcome);
}

void resources_read(struct call *c)
{
    struct op *op = op_with_format(c, OP_READ);

    if (op)
        resources_submit_read(c, op, read_answer);
}

/* ---- write, create, execute ---- */

static void changed(struct call *c)
{
    char location[1024], rest[64], path[PATH_TEXT_MAX];
    const struct op *op = c->op;
    cJSON *json;

    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    if (op->kind != OP_CREATE) {
        call_empty(c, MHD_HTTP_NO_CONTENT);
        return;
    }
    json = cJSON_CreateObject();
    if (!op->result.has_location) {
        call_json(c, MHD_HTTP_CREATED, json);
        return;
    }
    path_format(&op->result.location, path);
    cJSON_AddStringToObject(json, "path", path);
    snprintf(rest, sizeof(rest), "resources%s", path);
    call_location(c, rest, location, sizeof(location));
    call_json_location(c, MHD_HTTP_CREATED, json, location);
}

static void submit_change(struct call *c, struct op *op /* takes */)
{
    if (durable_take(c, op))
        durable_submit(c, op, changed);
    else
        op_free(op);
}

static bool take_values(struct call *c, struct op *op, const struct path *base)
{
    struct registry *registry = models_get(c->api->deps.models);
    const char *what = NULL;
    int rc;

    op->values = batch_new();
    rc = op->values ? json_to_batch(c->json, base, registry, op->values, &what) : ERR_NOMEM;
    registry_unref(registry);
    if (rc < 0)
        problem_respond(c, rc == ERR_TYPE || rc == ERR_RANGE ? ERR_TYPE : rc, what);
    return rc == ERR_OK;
}

static int spool_body(struct call *c, struct blob **ret)
{
    char path[4096];
    struct blob *b;
    int fd;

    if (c->body.n <= SPOOL_FROM) {
        *ret = blob_new(buf_view(&c->body));
        return *ret ? ERR_OK : ERR_NOMEM;
    }
    if (snprintf(path, sizeof(path), "%s/upload.XXXXXX", c->api->cfg.spool_dir) >=
        (int)sizeof(path))
        return ERR_LIMIT;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return ERR_IO;
    unlink(path);
    if (write(fd, c->body.p, c->body.n) != (ssize_t)c->body.n) {
        close(fd);
        return ERR_DISKFULL;
    }
    b = blob_new_fd(fd, c->body.n);
    if (!b) {
        close(fd);
        return ERR_NOMEM;
    }
    *ret = b;
    return ERR_OK;
}

void resources_put(struct call *c)
{
    struct op *op = op_with_format(c, OP_WRITE_REPLACE);
    int rc;

    if (!op)
        return;
    if (c->body_kind == BODY_OPAQUE) {
        op->format = FORMAT_OPAQUE;
        rc = c->object_path.depth < 3 ? ERR_PATH : spool_body(c, &op->body);
        if (rc < 0) {
            op_free(op);
            problem_respond(c, rc, "raw bytes are for one resource");
            return;
        }
    } else if (!c->json) {
        op_free(op);
        problem_status(c, 400, "body-missing", "a body is needed", NULL);
        return;
    } else if (!take_values(c, op, &c->object_path)) {
        op_free(op);
        return;
    }
    submit_change(c, op);
}

/* {"instance":1,"values":[…]}: paths may be absolute, or the instance may be given once. */
static void create(struct call *c)
{
    const cJSON *instance = cJSON_GetObjectItemCaseSensitive(c->json, "instance");
    struct op *op = op_with_format(c, OP_CREATE);

    if (!op)
        return;
    if (instance) {
        if (!cJSON_IsNumber(instance) || instance->valuedouble < 0 ||
            instance->valuedouble > 65534 || instance->valuedouble != (double)instance->valueint) {
            op_free(op);
            problem_respond(c, ERR_INVALID, "instance is a number from 0 to 65534");
            return;
        }
        op->result.location = c->object_path;
        op->result.location.id[1] = (uint16_t)instance->valueint;
        op->result.location.depth = 2;
        op->result.has_location = true;
    }
    if (cJSON_GetObjectItemCaseSensitive(c->json, "values")) {
        const struct path *base = instance ? &op->result.location : &c->object_path;

        if (!take_values(c, op, base)) {
            op_free(op);
            return;
        }
    } else if (instance) {
        op->path = op->result.location; /* nothing else says which */
    }
    submit_change(c, op);
}

static void update(struct call *c)
{
    struct op *op = op_with_format(c, OP_WRITE_UPDATE);

    if (!op)
        return;
    if (!take_values(c, op, &c->object_path)) {
        op_free(op);
        return;
    }
    submit_change(c, op);
}

static void execute(struct call *c)
{
    const cJSON *arguments =
        c->json ? cJSON_GetObjectItemCaseSensitive(c->json, "arguments") : NULL;
    struct op *op = call_op(c, OP_EXECUTE);

    if (!op)
        return;
    if (arguments && !cJSON_IsString(arguments)) {
        op_free(op);
        problem_respond(c, ERR_INVALID, "arguments is a string like 0='U'");
        return;
    }
    if (arguments)
        op->text = mem_text(arguments->valuestring, strlen(arguments->valuestring));
    submit_change(c, op);
}

void resources_post(struct call *c)
{
    bool writes = c->json && (cJSON_GetObjectItemCaseSensitive(c->json, "value") ||
                              cJSON_GetObjectItemCaseSensitive(c->json, "values"));

    switch (c->object_path.depth) {
    case 1:
        create(c);
        break;
    case 2:
        if (writes)
            update(c);
        else
            problem_respond(c, ERR_INVALID, "a partial update needs values");
        break;
    case 3:
        if (writes)
            update(c);
        else
            execute(c);
        break;
    default:
        problem_respond(c, ERR_PATH,
                        "POST creates on an object, updates an instance, executes a resource");
        break;
    }
}

void resources_delete(struct call *c)
{
    struct op *op = call_op(c, OP_DELETE);

    if (op)
        submit_change(c, op);
}

/* ---- discover ---- */

struct links {
    cJSON *array;
};

static int add_link(void *ctx, const struct link *l)
{
    struct links *links = ctx;
    cJSON *json, *attributes;
    char *target;

    if (!l->target.p)
        return ERR_OK;
    json = cJSON_CreateObject();
    target = mem_text(l->target.p, l->target.n);
    if (target)
        cJSON_AddStringToObject(json, "path", target);
    mem_free(target);
    attributes = cJSON_AddObjectToObject(json, "attributes");
    for (size_t i = 0; i < l->param_count; i++) {
        const struct link_param *p = &l->params[i];
        char *name = mem_text(p->name.p, p->name.n);
        char *value = p->value.p ? mem_text(p->value.p, p->value.n) : NULL;
        double number;

        if (name && value && view_double(p->value, &number) == ERR_OK)
            cJSON_AddNumberToObject(attributes, name, number);
        else if (name && value)
            cJSON_AddStringToObject(attributes, name, value);
        else if (name)
            cJSON_AddBoolToObject(attributes, name, true);
        mem_free(name);
        mem_free(value);
    }
    cJSON_AddItemToArray(links->array, json);
    return ERR_OK;
}

static void discover_finished(struct call *c)
{
    struct op *op = c->op;
    struct links links;
    cJSON *json;
    char path[PATH_TEXT_MAX];

    if (durable_later(c, discover_finished))
        return;
    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    json = cJSON_CreateObject();
    path_format(&op->path, path);
    cJSON_AddStringToObject(json, "path", path);
    links.array = cJSON_AddArrayToObject(json, "links");
    if (op->result.text && link_parse(view_str(op->result.text), add_link, &links) < 0) {
        cJSON_Delete(json);
        op->result.rc = ERR_BADANSWER;
        problem_of_op(c, op);
        return;
    }
    call_json(c, MHD_HTTP_OK, json);
}

void resources_discover(struct call *c)
{
    uint64_t depth;
    struct op *op;

    if (!call_query_u64(c, "depth", UINT8_MAX, 3, &depth) || !durable_check(c))
        return;
    op = call_op(c, OP_DISCOVER);
    if (!op)
        return;
    op->depth = depth == UINT8_MAX ? -1 : (int8_t)depth;
    call_submit(c, op, discover_finished);
}
