#include "api/internal.h"

#include <stdio.h>

static void put_text(cJSON *json, const char *key, struct view v)
{
    char *text = mem_text(v.p, v.n);

    if (text)
        cJSON_AddStringToObject(json, key, text);
    mem_free(text);
}

static cJSON *profile_json(const struct profile_entry *e)
{
    cJSON *json = cJSON_CreateObject();

    put_text(json, "id", e->id);
    put_text(json, "links", e->links);
    cJSON_AddStringToObject(json, "source",
                            e->from_file                      ? "file"
                            : e->source == PROFILE_CONFIGURED ? "configured"
                                                              : "learned");
    json_time(json, "since", e->since_ms);
    return json;
}

/* ---- reading ---- */

static bool parse_cursor(struct call *c, struct buf *after)
{
    char text[512];

    if (!call_query(c, "cursor", text, sizeof(text)))
        return !c->answered;
    if (text_unbase64(after, view_str(text)) == 0)
        return true;
    problem_respond(c, ERR_INVALID, "cursor is not one of ours");
    return false;
}

static void list_page(struct call *c, struct view after, size_t limit)
{
    struct profile_entry **page = mem_new((limit + 1) * sizeof(struct profile_entry *));
    cJSON *json = cJSON_CreateObject(), *array = cJSON_AddArrayToObject(json, "profiles");
    size_t n = page ? profiles_page(c->api->deps.profile_ids, after, page, limit + 1) : 0;

    for (size_t i = 0; i < n && i < limit; i++)
        cJSON_AddItemToArray(array, profile_json(page[i]));
    json_cursor(json, n > limit ? page[limit - 1]->id : VIEW_NONE);
    while (n > 0)
        profiles_unref(page[--n]);
    mem_free(page);
    call_json(c, MHD_HTTP_OK, json);
}

void profiles_list(struct call *c)
{
    struct buf after;
    size_t limit;

    buf_init(&after, PROFILE_ID_MAX);
    if (call_query_limit(c, &limit) && parse_cursor(c, &after))
        list_page(c, buf_view(&after), limit);
    buf_fini(&after);
}

/* The id of the path; answers a problem when it is none. */
static bool take_id(struct call *c, struct view *ret_id)
{
    enum profile_kind kind;

    *ret_id = view_str(c->segments[2]);
    if (profiles_kind(*ret_id, &kind) == ERR_OK)
        return true;
    problem_respond(c, ERR_INVALID, "a profile ID is like 6:1234abcd, oma:name or v:name");
    return false;
}

void profiles_show(struct call *c)
{
    struct profile_entry *e;
    struct view id;

    if (!take_id(c, &id))
        return;
    e = profiles_get(c->api->deps.profile_ids, id);
    if (e)
        call_json(c, MHD_HTTP_OK, profile_json(e));
    else
        problem_respond(c, ERR_NOTFOUND, "this profile ID is not known");
    profiles_unref(e);
}

/* ---- defining and forgetting: durable first ---- */

static int store(struct call *c, enum txn_kind kind, struct view id, struct view links)
{
    struct txn *t = txn_new(kind);

    if (!t)
        return ERR_NOMEM;
    t->profile = mem_text(id.p, id.n);
    t->text = kind == TXN_PUT_PROFILE ? mem_text(links.p, links.n) : NULL;
    t->source = PROFILE_CONFIGURED;
    if (!t->profile || (kind == TXN_PUT_PROFILE && !t->text)) {
        txn_free(t);
        return ERR_NOMEM;
    }
    return call_store_wait(c, t);
}

static int may_change(struct call *c, struct view id, bool must_exist)
{
    struct profile_entry *e = profiles_get(c->api->deps.profile_ids, id);
    int rc = e && e->from_file ? ERR_CONFLICT : !e && must_exist ? ERR_NOTFOUND : ERR_OK;

    profiles_unref(e);
    return rc;
}

static int define(struct call *c, struct view id, struct view links)
{
    struct profiles_effect effect;
    int rc = may_change(c, id, false);

    if (rc == ERR_OK)
        rc = store(c, TXN_PUT_PROFILE, id, links);
    if (rc < 0)
        return rc;
    rc = profiles_set(c->api->deps.profile_ids, id, links, PROFILE_CONFIGURED, clock_wall_ms(),
                      &effect);
    if (rc < 0) {
        (void)store(c, TXN_DEL_PROFILE, id, VIEW_NONE);
    } else if (effect.evicted) {
        api_count(c->api, COUNTER_profiles_evicted, 1);
        (void)store(c, TXN_DEL_PROFILE, view_str(effect.gone), VIEW_NONE);
    }
    return rc;
}

static void respond(struct call *c, int rc)
{
    problem_respond(c, rc,
                    rc == ERR_CONFLICT   ? "the file of profile IDs defines it"
                    : rc == ERR_NOTFOUND ? "this profile ID is not known"
                    : rc == ERR_FULL     ? "no more profile IDs fit, see [profiles] limit"
                                         : NULL);
}

static int take_links(const struct call *c, struct objlist **ret_list, const char **ret_what)
{
    static const struct hash_key no_key = {0, 0};
    const cJSON *links = cJSON_GetObjectItemCaseSensitive(c->json, "links");
    struct objlist *list;
    int rc;

    *ret_what = "links is a text like </1/0>,</3/0>;ver=1.2 that names objects";
    if (!cJSON_IsString(links))
        return ERR_INVALID;
    rc = link_objlist(view_str(links->valuestring), &no_key, &list);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc < 0)
        return ERR_INVALID;
    if (list->count > 0 && link_entries(list).n <= PROFILE_LINKS_MAX) {
        *ret_list = list;
        return ERR_OK;
    }
    if (list->count > 0)
        *ret_what = "the links are too long";
    mem_free(list);
    return ERR_INVALID;
}

void profiles_put(struct call *c)
{
    struct objlist *list;
    const char *what;
    struct view id;
    int rc;

    if (!take_id(c, &id))
        return;
    rc = take_links(c, &list, &what);
    if (rc < 0) {
        problem_respond(c, rc, what);
        return;
    }
    pthread_mutex_lock(&c->api->import_lock); /* the store and the table must not disagree */
    rc = define(c, id, link_entries(list));
    pthread_mutex_unlock(&c->api->import_lock);
    mem_free(list);
    if (rc < 0)
        respond(c, rc);
    else
        profiles_show(c);
}

void profiles_delete(struct call *c)
{
    struct view id;
    int rc;

    if (!take_id(c, &id))
        return;
    pthread_mutex_lock(&c->api->import_lock);
    rc = may_change(c, id, true);
    if (rc == ERR_OK)
        rc = store(c, TXN_DEL_PROFILE, id, VIEW_NONE);
    if (rc == ERR_OK)
        rc = profiles_forget(c->api->deps.profile_ids, id);
    pthread_mutex_unlock(&c->api->import_lock);
    if (rc < 0)
        respond(c, rc);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}
