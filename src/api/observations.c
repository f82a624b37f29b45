#include "api/internal.h"

#include <stdio.h>

static void put_paths(cJSON *array, const struct op_observation *o)
{
    struct view rest = view_str(o->paths), one;
    char text[PATH_TEXT_MAX];

    if (o->paths[0] == '\0') {
        path_format(&o->path, text);
        cJSON_AddItemToArray(array, cJSON_CreateString(text));
        return;
    }
    while (view_split(&rest, ',', &one)) {
        snprintf(text, sizeof(text), "%.*s", (int)one.n, (const char *)one.p);
        cJSON_AddItemToArray(array, cJSON_CreateString(text));
    }
}

static cJSON *to_json(const struct op_observation *o)
{
    cJSON *json = cJSON_CreateObject(), *paths;
    cJSON *attributes;
    struct view rest = view_str(o->attributes), part;
    char text[PATH_TEXT_MAX];

    registration_id_format(o->token, text); /* 16 hex digits */
    cJSON_AddStringToObject(json, "id", text);
    paths = cJSON_AddArrayToObject(json, "paths");
    put_paths(paths, o);
    attributes = cJSON_AddObjectToObject(json, "attributes");
    while (o->attributes[0] && view_split(&rest, '&', &part)) {
        struct view value = part, name;
        char key[32];
        double number;

        if (!view_split(&value, '=', &name) || name.n >= sizeof(key))
            continue;
        memcpy(key, name.p, name.n);
        key[name.n] = '\0';
        if (view_double(value, &number) == ERR_OK)
            cJSON_AddNumberToObject(attributes, key, number);
        else
            cJSON_AddNullToObject(attributes, key);
    }
    cJSON_AddStringToObject(json, "state", o->active ? "active" : "pending");
    json_time(json, "since", o->since_ms);
    return json;
}

/* A wish of a device that is away, as the store keeps it. */
static int add_wish(void *ctx, const struct observation *o)
{
    struct op_observation row = {.token = o->token, .path = o->path};
    struct view paths = view_sub(o->paths, 0, sizeof(row.paths) - 1);
    struct view attributes = view_sub(o->attributes, 0, sizeof(row.attributes) - 1);

    if (paths.n > 0)
        memcpy(row.paths, paths.p, paths.n);
    if (attributes.n > 0)
        memcpy(row.attributes, attributes.p, attributes.n);
    cJSON_AddItemToArray(ctx, to_json(&row));
    return ERR_OK;
}

static void list_wishes(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    cJSON *json = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(json, "observations");
    int rc = reader ? read_known(reader, view_str(c->endpoint)) : ERR_STORE;

    if (rc == ERR_OK)
        rc = read_wanted(reader, view_str(c->endpoint), add_wish, array);
    if (rc < 0) {
        cJSON_Delete(json);
        problem_respond(c, rc == ERR_NOTFOUND ? ERR_UNREGISTERED : rc, NULL);
        return;
    }
    cJSON_AddNullToObject(json, "next");
    call_json(c, MHD_HTTP_OK, json);
}

static void list_finished(struct call *c)
{
    const struct op *op = c->op;
    cJSON *json, *array;

    if (op->result.rc == ERR_UNREGISTERED) {
        list_wishes(c);
        return;
    }
    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    json = cJSON_CreateObject();
    array = cJSON_AddArrayToObject(json, "observations");
    for (size_t i = 0; i < op->result.observation_count; i++)
        cJSON_AddItemToArray(array, to_json(&op->result.observations[i]));
    cJSON_AddNullToObject(json, "next");
    call_json(c, MHD_HTTP_OK, json);
}

void observations_list(struct call *c)
{
    struct op *op = call_op(c, OP_OBSERVE_LIST);

    if (op)
        call_submit(c, op, list_finished);
}

/* ERR_ACCEPTED with an observation: a wish, asked for when its device wakes. */
static void add_finished(struct call *c)
{
    const struct op *op = c->op;
    bool wish = op->result.rc == ERR_ACCEPTED;
    char location[1024], rest[64], id[REGISTRATION_ID_LEN + 1];
    cJSON *json;

    if ((op->result.rc < 0 && !wish) || op->result.observation_count == 0) {
        problem_of_op(c, op);
        return;
    }
    json = to_json(&op->result.observations[0]);
    if (op->result.values)
        cJSON_AddItemToObject(
            json, "current",
            json_values(&op->path, op->result.values, "notify", op->result.answered_ms));
    registration_id_format(op->result.observations[0].token, id);
    snprintf(rest, sizeof(rest), "observations/%s", id);
    call_location(c, rest, location, sizeof(location));
    call_json_location(c, wish ? MHD_HTTP_ACCEPTED : MHD_HTTP_CREATED, json, location);
}

/* One path is an Observe; several, or "composite": true, are an Observe-Composite of the root. */
static struct op *begin(struct call *c)
{
    const cJSON *paths = cJSON_GetObjectItemCaseSensitive(c->json, "paths");
    const cJSON *flag = cJSON_GetObjectItemCaseSensitive(c->json, "composite");
    bool composite = cJSON_IsTrue(flag) || cJSON_GetArraySize(paths) > 1;
    struct batch *names;
    struct op *op = NULL;
    int rc;

    if (flag && !cJSON_IsBool(flag)) {
        problem_respond(c, ERR_INVALID, "composite is true or false");
        return NULL;
    }
    names = batch_new();
    rc = names ? composite_paths(paths, names) : ERR_NOMEM;

    if (rc == ERR_OK && !composite) {
        c->object_path = batch_at(names, 0)->path;
        rc = c->object_path.depth > 0 ? ERR_OK : ERR_PATH;
    }
    if (rc < 0)
        problem_respond(c, rc, "paths is an array of 1 to 64 different object paths");
    else
        op = call_op(c, composite ? OP_OBSERVE_COMPOSITE : OP_OBSERVE);
    if (op && composite) {
        op->values = names;
        names = NULL;
    }
    batch_free(names);
    return op;
}

/* "pmin=5&pmax=10" of the attributes object; empty when there are none. */
static bool take_attributes(struct call *c, struct buf *out)
{
    const cJSON *attributes = cJSON_GetObjectItemCaseSensitive(c->json, "attributes"), *item;
    const char *what = "attributes is an object of numbers";
    int rc = !attributes || cJSON_IsObject(attributes) ? ERR_OK : ERR_INVALID;

    cJSON_ArrayForEach(item, attributes)
    {
        char number[32];

        if (!cJSON_IsNumber(item) && !cJSON_IsBool(item)) {
            rc = ERR_INVALID;
            break;
        }
        text_double(cJSON_IsBool(item) ? (cJSON_IsTrue(item) ? 1 : 0) : item->valuedouble, number);
        buf_fmt(out, "%s%s=%s", out->n ? "&" : "", item->string, number);
    }
    if (rc == ERR_OK && out->n > 0)
        rc = attr_check(buf_view(out), &c->object_path, &what);
    if (rc < 0)
        problem_respond(c, rc, what);
    return rc == ERR_OK;
}

void observations_add(struct call *c)
{
    struct buf query;
    struct op *op;

    if (!c->json) {
        problem_status(c, 400, "body-missing", "a body is needed", NULL);
        return;
    }
    op = begin(c);
    if (!op)
        return;
    buf_init(&query, 127); /* struct op_observation.attributes */
    if (take_attributes(c, &query) && durable_take(c, op)) {
        if (query.n > 0)
            op->text = mem_text(query.p, query.n);
        durable_submit(c, op, add_finished);
    } else {
        op_free(op);
    }
    buf_fini(&query);
}

static void forgotten(struct call *c)
{
    if (c->txn->rc < 0)
        problem_respond(c, c->txn->rc, NULL);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}

struct search {
    uint64_t token;
    bool found;
};

static int look(void *ctx, const struct observation *o)
{
    struct search *search = ctx;

    search->found |= o->token == search->token;
    return ERR_OK;
}

/* The device is away: the store forgets the wish, and nobody asks for it any more. */
static void forget(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct search search = {.token = c->op->token};
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);

    if (reader)
        read_wanted(reader, view_str(c->endpoint), look, &search);
    if (!t || !search.found) {
        txn_free(t);
        problem_respond(c, t ? ERR_NOTFOUND : ERR_NOMEM, "no such observation");
        return;
    }
    t->token = search.token;
    call_store(c, t, forgotten);
}

static void delete_finished(struct call *c)
{
    if (c->op->result.rc == ERR_UNREGISTERED)
        forget(c);
    else if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}

void observations_delete(struct call *c)
{
    uint64_t token;
    struct op *op;

    if (registration_id_parse(view_str(c->segments[4]), &token) < 0) {
        problem_respond(c, ERR_NOTFOUND, "no such observation");
        return;
    }
    op = call_op(c, OP_OBSERVE_CANCEL);
    if (!op)
        return;
    op->token = token;
    call_submit(c, op, delete_finished);
}
