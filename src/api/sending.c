#include "api/internal.h"

#include <stdio.h>

/* Mute Send, /1/x/23 (LwM2M Core, Server object): absent or true, the client must not Send. */

#define OBJECT_SERVER 1
#define RESOURCE_MUTE 23

/* Where it is on this device. */
struct place {
    struct path path;
    unsigned instances;
};

static int find_server(void *ctx, const struct registration *r)
{
    static const struct hash_key no_key = {0, 0};
    struct place *place = ctx;
    struct objlist *list;
    int rc = link_objlist(r->links, &no_key, &list);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < list->count; i++) {
        const struct path *p = &list->entries[i].path;

        if (p->id[0] != OBJECT_SERVER || p->depth < 2)
            continue;
        place->path = (struct path){.id = {OBJECT_SERVER, p->id[1], RESOURCE_MUTE}, .depth = 3};
        place->instances++;
    }
    mem_free(list);
    return ERR_OK;
}

/* Answers a problem when it is not clear which instance is ours. */
static bool find_place(struct call *c, struct reader *reader, struct path *ret_path)
{
    struct place place = {.instances = 0};
    int rc = reader ? read_device(reader, view_str(c->endpoint), find_server, &place) : ERR_STORE;

    if (rc < 0) {
        problem_respond(c, rc == ERR_NOTFOUND ? ERR_UNREGISTERED : rc, NULL);
        return false;
    }
    if (place.instances != 1) {
        problem_respond(
            c, ERR_CONFLICT,
            place.instances == 0
                ? "the device has no instance of object 1"
                : "the device has several instances of object 1; write /1/x/23 of ours");
        return false;
    }
    *ret_path = place.path;
    return true;
}

/* ---- the last known state ---- */

static int take_value(void *ctx, const struct stored_value *v)
{
    struct record *last = ctx;

    if (v->record.value.type == VALUE_BOOLEAN)
        *last = v->record;
    return ERR_OK;
}

static void respond(struct call *c, const struct path *path, const struct record *r)
{
    cJSON *json = cJSON_CreateObject();
    char text[PATH_TEXT_MAX];

    path_format(path, text);
    cJSON_AddStringToObject(json, "path", text);
    if (r->value.type == VALUE_BOOLEAN)
        cJSON_AddBoolToObject(json, "muted", r->value.u.boolean);
    else
        cJSON_AddNullToObject(json, "muted");
    json_time(json, "time", r->time_ms);
    call_json(c, MHD_HTTP_OK, json);
}

void sending_show(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct record last = {.timed = false};
    struct path path;
    int rc;

    if (!find_place(c, reader, &path))
        return;
    rc = read_values(reader, view_str(c->endpoint), &path, take_value, &last);
    if (rc < 0 && rc != ERR_NOTFOUND)
        problem_respond(c, rc, NULL);
    else
        respond(c, &path, &last);
}

/* ---- writing ---- */

static void written(struct call *c)
{
    const struct op *op = c->op;
    struct record r;

    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    r = *batch_at(op->values, 0);
    r.timed = true;
    r.time_ms = clock_wall_ms();
    respond(c, &op->path, &r);
}

void sending_put(struct call *c)
{
    const cJSON *muted = cJSON_GetObjectItemCaseSensitive(c->json, "muted");
    struct record r = {.value = {.type = VALUE_BOOLEAN}};
    struct op *op;

    if (!cJSON_IsBool(muted)) {
        problem_respond(c, ERR_INVALID, "muted is true or false");
        return;
    }
    if (!find_place(c, api_reader(c->api), &c->object_path))
        return;
    op = call_op(c, OP_WRITE_REPLACE);
    if (!op)
        return;
    r.path = c->object_path;
    r.value.u.boolean = cJSON_IsTrue(muted);
    op->values = batch_new();
    if (!op->values || batch_add(op->values, &r) < 0) {
        op_free(op);
        problem_respond(c, ERR_NOMEM, NULL);
        return;
    }
    call_submit(c, op, written);
}
