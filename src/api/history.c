#include "api/internal.h"

/* What a device has told, and what has happened to it, newest first, from the store. */

/* ---- pages ---- */

struct page {
    cJSON *json, *array;
    char cursor_text[512];
    uint8_t cursor[384];
    struct view after;
    size_t limit;
};

static bool page_begin(struct call *c, struct page *p, const char *name)
{
    size_t n;

    *p = (struct page){0};
    if (!call_query_limit(c, &p->limit))
        return false;
    if (call_query(c, "cursor", p->cursor_text, sizeof(p->cursor_text))) {
        if (text_unhex(view_str(p->cursor_text), p->cursor, sizeof(p->cursor), &n) < 0) {
            problem_respond(c, ERR_INVALID, "cursor is not one of ours");
            return false;
        }
        p->after = view_of(p->cursor, n);
    }
    if (c->answered)
        return false;
    p->json = cJSON_CreateObject();
    p->array = cJSON_AddArrayToObject(p->json, name);
    return true;
}

static void page_end(struct call *c, struct page *p, struct reader *reader, int rc)
{
    struct view next;
    char *text;

    if (rc < 0) {
        cJSON_Delete(p->json);
        problem_respond(c, rc, rc == ERR_INVALID ? "cursor is not one of ours" : NULL);
        return;
    }
    next = read_cursor(reader);
    text = next.n > 0 ? mem_new(next.n * 2 + 1) : NULL;
    if (text) {
        text_hex(next.p, next.n, text);
        cJSON_AddStringToObject(p->json, "next", text);
        mem_free(text);
    } else {
        cJSON_AddNullToObject(p->json, "next");
    }
    call_json(c, MHD_HTTP_OK, p->json);
}

static int known(struct reader *reader, const struct call *c)
{
    return reader ? read_known(reader, view_str(c->endpoint)) : ERR_STORE;
}

/* ---- history ---- */

static int add_value(void *ctx, const struct stored_value *v)
{
    struct page *p = ctx;

    cJSON_AddItemToArray(p->array,
                         json_value(&v->record, value_origin_name(v->origin), v->record.time_ms));
    return ERR_OK;
}

static bool take_time(struct call *c, const char *name, int64_t *ret_ms)
{
    char text[64];

    if (!call_query(c, name, text, sizeof(text)))
        return !c->answered;
    if (text_untime(view_str(text), ret_ms) == ERR_OK)
        return true;
    problem_respond(c, ERR_INVALID, "from and to are times like 2026-01-31T12:00:00Z");
    return false;
}

static bool take_path(struct call *c, struct path *ret)
{
    char text[64];

    if (!call_query(c, "path", text, sizeof(text)))
        return !c->answered;
    if (path_parse(view_str(text), ret) == ERR_OK)
        return true;
    problem_respond(c, ERR_PATH, "path is like /3303/0/5700");
    return false;
}

void history_show(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct read_history_filter f = {.endpoint = view_str(c->endpoint)};
    struct page page;
    int rc;

    if (!take_path(c, &f.path) || !take_time(c, "from", &f.from_ms) ||
        !take_time(c, "to", &f.to_ms) || !page_begin(c, &page, "values"))
        return;
    f.cursor = page.after;
    f.limit = page.limit;
    rc = known(reader, c);
    if (rc == ERR_OK)
        rc = read_history(reader, &f, add_value, &page);
    page_end(c, &page, reader, rc);
}

/* ---- timeline ---- */

static int add_entry(void *ctx, const struct entry *e)
{
    struct page *p = ctx;
    cJSON *json = cJSON_CreateObject();
    char id[REGISTRATION_ID_LEN + 1], *detail;

    json_time(json, "time", e->time_ms);
    cJSON_AddStringToObject(json, "type", event_type_name(e->type));
    if (e->registration_id != 0) {
        registration_id_format(e->registration_id, id);
        cJSON_AddStringToObject(json, "registrationId", id);
    }
    if (e->rc < 0)
        cJSON_AddStringToObject(json, "reason", err_text(e->rc));
    detail = e->detail.n > 0 ? mem_text(e->detail.p, e->detail.n) : NULL;
    if (detail)
        cJSON_AddStringToObject(json, "detail", detail);
    mem_free(detail);
    cJSON_AddItemToArray(p->array, json);
    return ERR_OK;
}

void history_timeline(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct page page;
    int rc;

    if (!page_begin(c, &page, "timeline"))
        return;
    rc = known(reader, c);
    if (rc == ERR_OK)
        rc = read_timeline(reader, view_str(c->endpoint), page.after, page.limit, add_entry, &page);
    page_end(c, &page, reader, rc);
}
