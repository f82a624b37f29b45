#include "api/internal.h"

#include <stdio.h>

/* ---- /v1/devices ---- */

/* What ?fields= may name. */
static const char *const field_names[] = {
    "endpoint",  "registrationId", "state",      "version",       "lifetime",
    "binding",   "queueMode",      "transport",  "identity",      "address",
    "sms",       "profileIds",     "parameters", "alternatePath", "registeredAt",
    "updatedAt", "expiresAt",      "lastSeenAt", "objects",
};

struct page {
    uint32_t fields; /* bits of field_names; 0 = all */
    cJSON *devices;
    int64_t now_ms;
};

static bool keeps(const struct page *p, const char *name)
{
    for (size_t i = 0; i < mem_count(field_names); i++) {
        if (strcmp(field_names[i], name) == 0)
            return p->fields & UINT32_C(1) << i;
    }
    return false;
}

static cJSON *device_json(const struct page *p, const struct registration *r)
{
    cJSON *json = json_registration(r, p->now_ms), *item = json->child;

    while (p->fields != 0 && item) {
        cJSON *next = item->next;

        if (!keeps(p, item->string))
            cJSON_Delete(cJSON_DetachItemViaPointer(json, item));
        item = next;
    }
    return json;
}

static int add_device(void *ctx, const struct registration *r)
{
    struct page *p = ctx;

    cJSON_AddItemToArray(p->devices, device_json(p, r));
    return ERR_OK;
}

static bool parse_fields(struct call *c, uint32_t *ret_fields)
{
    char text[512];
    struct view rest, name;

    if (!call_query(c, "fields", text, sizeof(text)))
        return !c->answered;
    rest = view_str(text);
    while (view_split(&rest, ',', &name)) {
        size_t i = 0;

        while (i < mem_count(field_names) && !view_eq_str(name, field_names[i]))
            i++;
        if (i == mem_count(field_names)) {
            problem_respond(c, ERR_INVALID, "fields names something a device does not have");
            return false;
        }
        *ret_fields |= UINT32_C(1) << i;
    }
    return true;
}

static bool parse_filter(struct call *c, struct read_filter *f, char prefix[ENDPOINT_MAX + 1],
                         struct buf *after)
{
    char text[512];

    if (!call_query_limit(c, &f->limit))
        return false;
    if (call_query(c, "cursor", text, sizeof(text)) && text[0] != '\0') {
        if (text_unbase64(after, view_str(text)) < 0) {
            problem_respond(c, ERR_INVALID, "cursor is not one of ours");
            return false;
        }
        f->after = buf_view(after);
    }
    if (call_query(c, "q", prefix, ENDPOINT_MAX + 1))
        f->prefix = view_str(prefix);
    if (call_query(c, "state", text, sizeof(text))) {
        if (strcmp(text, "registered") == 0)
            f->state = READ_REGISTERED;
        else if (strcmp(text, "offline") == 0)
            f->state = READ_OFFLINE;
        else {
            problem_respond(c, ERR_INVALID, "state is registered or offline");
            return false;
        }
    }
    return !c->answered;
}

void devices_list(struct call *c)
{
    struct page page = {.now_ms = clock_wall_ms()};
    struct read_filter filter = {.now_ms = page.now_ms, .state = READ_ANY};
    char prefix[ENDPOINT_MAX + 1] = "";
    struct reader *reader = api_reader(c->api);
    struct buf after;
    cJSON *json;
    int rc;

    buf_init(&after, 512);
    if (parse_fields(c, &page.fields) && parse_filter(c, &filter, prefix, &after)) {
        json = cJSON_CreateObject();
        page.devices = cJSON_AddArrayToObject(json, "devices");
        rc = reader ? read_devices(reader, &filter, add_device, &page) : ERR_STORE;
        if (rc < 0) {
            cJSON_Delete(json);
            problem_respond(c, rc, NULL);
        } else {
            json_cursor(json, read_cursor(reader));
            call_json(c, MHD_HTTP_OK, json);
        }
    }
    buf_fini(&after);
}

/* ---- /v1/devices/{ep} ---- */

static int show_stored(void *ctx, const struct registration *r)
{
    struct call *c = ctx;

    call_json(c, MHD_HTTP_OK, json_registration(r, clock_wall_ms()));
    return ERR_OK;
}

/* What no shard has may be known all the same. */
static void show_absent(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    int rc = reader ? read_device(reader, view_str(c->op->endpoint), show_stored, c) : ERR_STORE;

    if (rc == ERR_NOTFOUND)
        problem_of_op(c, c->op);
    else if (rc < 0)
        problem_respond(c, rc, NULL);
}

static void show_finished(struct call *c)
{
    if (c->op->result.rc == ERR_UNREGISTERED)
        show_absent(c);
    else if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else
        call_json(c, MHD_HTTP_OK, json_registration(c->op->result.registration, clock_wall_ms()));
}

void devices_show(struct call *c)
{
    struct op *op = call_op(c, OP_STATUS);

    if (op)
        call_submit(c, op, show_finished);
}

static void delete_finished(struct call *c)
{
    if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}

void devices_delete(struct call *c)
{
    struct op *op = call_op(c, OP_DEREGISTER);

    if (op)
        call_submit(c, op, delete_finished);
}
