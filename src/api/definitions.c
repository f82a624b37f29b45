#include "api/internal.h"

#include <stdio.h>

static void put_version(cJSON *json, const char *key, struct version v)
{
    char text[12];

    snprintf(text, sizeof(text), "%u.%u", v.major, v.minor);
    cJSON_AddStringToObject(json, key, text);
}

static cJSON *summary(const struct object_def *d)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "id", d->id);
    put_version(json, "version", d->version);
    cJSON_AddStringToObject(json, "name", d->name);
    cJSON_AddBoolToObject(json, "multiple", d->multiple);
    cJSON_AddBoolToObject(json, "mandatory", d->mandatory);
    cJSON_AddNumberToObject(json, "resources", (double)d->resource_count);
    return json;
}

void definitions_list(struct call *c)
{
    struct registry *registry = models_get(c->api->deps.models);
    cJSON *json = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(json, "models");

    for (size_t i = 0; i < registry_size(registry); i++)
        cJSON_AddItemToArray(array, summary(registry_at(registry, i)));
    cJSON_AddNullToObject(json, "next");
    registry_unref(registry);
    call_json(c, MHD_HTTP_OK, json);
}

static cJSON *resource(const struct resource_def *r)
{
    char operations[4];
    cJSON *json = cJSON_CreateObject();

    snprintf(operations, sizeof(operations), "%s%s%s", r->ops & RESOURCE_READ ? "R" : "",
             r->ops & RESOURCE_WRITE ? "W" : "", r->ops & RESOURCE_EXECUTE ? "E" : "");
    cJSON_AddNumberToObject(json, "id", r->id);
    cJSON_AddStringToObject(json, "name", r->name);
    cJSON_AddStringToObject(json, "operations", operations);
    cJSON_AddStringToObject(json, "type", value_type_name(r->type));
    cJSON_AddBoolToObject(json, "multiple", r->multiple);
    cJSON_AddBoolToObject(json, "mandatory", r->mandatory);
    if (r->range[0])
        cJSON_AddStringToObject(json, "range", r->range);
    if (r->units[0])
        cJSON_AddStringToObject(json, "units", r->units);
    return json;
}

/* "1.2"; {0,0}, the highest, when absent. */
static bool parse_version(struct call *c, struct version *ret)
{
    char text[16];
    struct view rest, major;
    uint64_t a, b;

    *ret = (struct version){0, 0};
    if (!call_query(c, "version", text, sizeof(text)))
        return !c->answered;
    rest = view_str(text);
    if (!view_split(&rest, '.', &major) || view_u64(major, 255, &a) < 0 ||
        view_u64(rest, 255, &b) < 0) {
        problem_respond(c, ERR_INVALID, "version is like 1.2");
        return false;
    }
    *ret = (struct version){(uint8_t)a, (uint8_t)b};
    return true;
}

void definitions_show(struct call *c)
{
    struct registry *registry;
    const struct object_def *d;
    struct version version;
    uint64_t id;

    if (view_u64(view_str(c->segments[2]), 65534, &id) < 0) {
        problem_respond(c, ERR_NOTFOUND, "an object is named by its number");
        return;
    }
    if (!parse_version(c, &version))
        return;
    registry = models_get(c->api->deps.models);
    d = registry_find(registry, (uint16_t)id, version);
    if (!d) {
        problem_respond(c, ERR_NOTFOUND, "no definition of this object is known");
    } else {
        cJSON *json = summary(d), *array;

        cJSON_DeleteItemFromObjectCaseSensitive(json, "resources");
        array = cJSON_AddArrayToObject(json, "resources");
        for (size_t i = 0; i < d->resource_count; i++)
            cJSON_AddItemToArray(array, resource(&d->resources[i]));
        call_json(c, MHD_HTTP_OK, json);
    }
    registry_unref(registry);
}

/* ---- import: durable first, published then ---- */

static int store_xml(struct call *c, const struct object_def *d)
{
    struct txn *t = txn_new(TXN_PUT_MODEL);

    if (!t)
        return ERR_NOMEM;
    t->object = d->id;
    t->version = d->version;
    t->text = mem_text(c->body.p, c->body.n);
    if (!t->text) {
        txn_free(t);
        return ERR_NOMEM;
    }
    return call_store_wait(c, t);
}

static int publish(struct call *c, struct object_def *d)
{
    struct models *models = c->api->deps.models;
    struct registry *now, *next;
    int rc;

    pthread_mutex_lock(&c->api->import_lock); /* two imports must not lose each other */
    now = models_get(models);
    next = registry_clone(now);
    registry_unref(now);
    rc = next ? registry_add(next, d) : ERR_NOMEM;
    if (rc == ERR_OK)
        models_publish(models, next);
    else
        registry_unref(next);
    pthread_mutex_unlock(&c->api->import_lock);
    return rc;
}

void definitions_put(struct call *c)
{
    struct object_def *d;
    unsigned line = 0;
    char detail[160];
    cJSON *json;
    int rc = objectxml_parse(buf_view(&c->body), &d, &line);

    if (rc < 0) {
        snprintf(detail, sizeof(detail), "object definition, line %u: %s", line, err_text(rc));
        problem_respond(c, rc == ERR_TOOLARGE ? rc : ERR_MALFORMED, detail);
        return;
    }
    rc = store_xml(c, d);
    if (rc < 0) {
        object_def_free(d);
        problem_respond(c, rc, NULL);
        return;
    }
    json = summary(d);
    rc = publish(c, d);
    if (rc < 0) {
        object_def_free(d);
        cJSON_Delete(json);
        problem_respond(c, rc, NULL);
        return;
    }
    call_json(c, MHD_HTTP_OK, json);
}
