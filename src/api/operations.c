#include "api/internal.h"

#include <stdio.h>

/* /v1/operations: what was asked of devices and what has become of it. */

/* ---- shape ---- */

static void put_text(cJSON *json, const char *key, struct view v)
{
    char *text = v.n > 0 ? mem_text(v.p, v.n) : NULL;

    if (text)
        cJSON_AddStringToObject(json, key, text);
    mem_free(text);
}

static void put_code(cJSON *json, const char *key, uint8_t code)
{
    char text[5];

    if (code == 0)
        return;
    pdu_code_format(code, text);
    cJSON_AddStringToObject(json, key, text);
}

static void put_attempts(cJSON *json, const struct operation *o)
{
    cJSON *array = cJSON_AddArrayToObject(json, "attempts");
    unsigned kept = o->attempt_count < OP_ATTEMPTS_MAX ? o->attempt_count : OP_ATTEMPTS_MAX;

    for (unsigned i = 0; i < kept; i++) {
        const struct op_attempt *a = &o->attempts[i];
        unsigned n = i == 0 ? 1 : o->attempt_count - kept + i + 1;
        cJSON *one = cJSON_CreateObject();
        char token[REGISTRATION_ID_LEN + 1];

        registration_id_format(a->token, token); /* 16 hex digits */
        cJSON_AddNumberToObject(one, "n", n);
        cJSON_AddStringToObject(one, "token", token);
        cJSON_AddStringToObject(one, "transport", transport_scheme((enum transport)a->transport));
        json_time(one, "sentAt", a->sent_ms);
        json_time(one, "answeredAt", a->answered_ms);
        put_code(one, "code", a->code);
        cJSON_AddNumberToObject(one, "retransmissions", a->retransmissions);
        cJSON_AddItemToArray(array, one);
    }
}

static void put_paths(cJSON *json, const struct batch *names)
{
    cJSON *array = cJSON_AddArrayToObject(json, "paths");
    char text[PATH_TEXT_MAX];

    for (size_t i = 0; i < batch_size(names); i++) {
        path_format(&batch_at(names, i)->path, text);
        cJSON_AddItemToArray(array, cJSON_CreateString(text));
    }
}

/* What was asked for: paths, values, or text. */
static void put_request(cJSON *json, const struct operation *o)
{
    struct batch *values = NULL;

    if (o->kind == OP_EXECUTE)
        put_text(json, "arguments", o->text);
    else
        put_text(json, "attributes", o->text);
    if (o->values.n == 0 || pack_decode(o->values, &values) < 0)
        return;
    if (o->kind == OP_READ_COMPOSITE || o->kind == OP_OBSERVE_COMPOSITE)
        put_paths(json, values);
    else
        cJSON_AddItemToObject(json, "request", json_values(&o->path, values, NULL, 0));
    batch_free(values);
}

static void put_result(cJSON *json, const struct operation *o)
{
    cJSON *result = cJSON_CreateObject();
    struct batch *values = NULL;
    char text[PATH_TEXT_MAX];

    put_code(result, "coapCode", o->code);
    if (o->rc < 0)
        cJSON_AddStringToObject(result, "reason", err_text(o->rc));
    put_text(result, o->kind == OP_DISCOVER && o->rc == ERR_OK ? "links" : "detail",
             o->result_text);
    if (o->location.depth > 0) {
        path_format(&o->location, text);
        cJSON_AddStringToObject(result, "location", text);
    }
    if (o->result.n > 0 && pack_decode(o->result, &values) == ERR_OK)
        cJSON_AddItemToObject(result, "answer",
                              json_values(&o->path, values, "read", o->settled_ms));
    batch_free(values);
    cJSON_AddItemToObject(json, "result", result);
}

/* One whose device never came back expires without anybody to say so. */
static enum op_state state_of(const struct operation *o)
{
    bool over = o->expires_ms != 0 && o->expires_ms <= clock_wall_ms();

    return o->state == OP_STATE_QUEUED && over ? OP_STATE_EXPIRED : o->state;
}

cJSON *operations_json(const struct operation *o)
{
    enum op_state state = state_of(o);
    cJSON *json = cJSON_CreateObject();
    char text[64], id[37];

    op_id_format(&o->id, id);
    cJSON_AddStringToObject(json, "id", id);
    put_text(json, "endpoint", o->endpoint);
    cJSON_AddStringToObject(json, "kind", op_kind_name(o->kind));
    path_format(&o->path, text);
    cJSON_AddStringToObject(json, "path", text);
    cJSON_AddStringToObject(json, "state", op_state_name(state));
    cJSON_AddStringToObject(json, "priority", op_priority_name((enum op_priority)o->priority));
    json_time(json, "createdAt", o->created_ms);
    json_time(json, "expiresAt", o->expires_ms);
    json_time(json, "settledAt", o->settled_ms);
    if (o->late)
        cJSON_AddBoolToObject(json, "late", true);
    put_text(json, "idempotencyKey", o->key);
    put_request(json, o);
    put_attempts(json, o);
    if (op_state_settled(state))
        put_result(json, o);
    snprintf(text, sizeof(text), "/v1/operations/%s", id);
    cJSON_AddStringToObject(json, "href", text);
    return json;
}

/* ---- GET /v1/operations ---- */

struct page {
    cJSON *array;
    struct op_id last;
    size_t count;
};

static int add_operation(void *ctx, const struct operation *o)
{
    struct page *p = ctx;

    cJSON_AddItemToArray(p->array, operations_json(o));
    p->last = o->id;
    p->count++;
    return ERR_OK;
}

/* "queued,sent", or "open" for both. */
static bool take_states(struct call *c, uint32_t *ret_states)
{
    char text[160];
    struct view rest, name;
    enum op_state state;

    if (!call_query(c, "state", text, sizeof(text)))
        return !c->answered;
    rest = view_str(text);
    while (view_split(&rest, ',', &name)) {
        if (view_eq_str(name, "open")) {
            *ret_states |= 1u << OP_STATE_QUEUED | 1u << OP_STATE_SENT;
        } else if (op_state_parse(name, &state) == ERR_OK) {
            *ret_states |= 1u << state;
        } else {
            problem_respond(c, ERR_INVALID,
                            "state is open, queued, sent, done, rejected, device-error, unknown, "
                            "cancelled, expired or failed, or several of them");
            return false;
        }
    }
    return true;
}

static bool take_cursor(struct call *c, struct read_operations_filter *f, struct op_id *before)
{
    char text[64];

    if (!call_query(c, "cursor", text, sizeof(text)) || text[0] == '\0')
        return !c->answered;
    if (op_id_parse(view_str(text), before) < 0) {
        problem_respond(c, ERR_INVALID, "cursor is not one of ours");
        return false;
    }
    f->before = before;
    return true;
}

void operations_list(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct read_operations_filter filter = {0};
    struct page page = {0};
    char endpoint[ENDPOINT_MAX + 1], next[37];
    struct op_id before;
    cJSON *json;
    int rc;

    if (!call_query_limit(c, &filter.limit) || !take_states(c, &filter.states) ||
        !take_cursor(c, &filter, &before))
        return;
    if (call_query(c, "endpoint", endpoint, sizeof(endpoint)))
        filter.endpoint = view_str(endpoint);
    if (c->answered)
        return;
    json = cJSON_CreateObject();
    page.array = cJSON_AddArrayToObject(json, "operations");
    rc = reader ? read_operations(reader, &filter, add_operation, &page) : ERR_STORE;
    if (rc < 0) {
        cJSON_Delete(json);
        problem_respond(c, rc, NULL);
        return;
    }
    op_id_format(&page.last, next);
    if (page.count == filter.limit)
        cJSON_AddStringToObject(json, "next", next);
    else
        cJSON_AddNullToObject(json, "next");
    call_json(c, MHD_HTTP_OK, json);
}

/* ---- /v1/operations/{id} ---- */

struct one {
    struct operation *copy; /* owned */
};

static int keep_operation(void *ctx, const struct operation *o)
{
    struct one *one = ctx;

    one->copy = operation_copy(o);
    return one->copy ? ERR_OK : ERR_NOMEM;
}

/* NULL: a problem was answered. Release with mem_free. */
static struct operation *find(struct call *c)
{
    struct reader *reader = api_reader(c->api);
    struct one one = {0};
    struct op_id id;
    int rc = op_id_parse(view_str(c->segments[2]), &id);

    if (rc == ERR_OK)
        rc = reader ? read_operation(reader, &id, keep_operation, &one) : ERR_STORE;
    if (rc == ERR_OK)
        return one.copy;
    problem_respond(c, rc == ERR_MALFORMED ? ERR_NOTFOUND : rc, "no such operation");
    return NULL;
}

void operations_show(struct call *c)
{
    struct operation *o = find(c);

    if (o)
        call_json(c, MHD_HTTP_OK, operations_json(o));
    mem_free(o);
}

static void cancelled(struct call *c)
{
    struct operation *o = c->op->result.rc == ERR_OK ? find(c) : NULL;

    if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else if (o)
        call_json(c, MHD_HTTP_OK, operations_json(o));
    mem_free(o);
}

static void cancelled_in_store(struct call *c)
{
    struct operation *o;

    if (c->txn->rc < 0) {
        problem_respond(c, c->txn->rc == ERR_STALE ? ERR_CONFLICT : c->txn->rc, NULL);
        return;
    }
    o = find(c);
    if (o)
        call_json(c, MHD_HTTP_OK, operations_json(o));
    mem_free(o);
}

/* Its device is away: only the store has it. */
static void cancel_dormant(struct call *c)
{
    struct operation *o = find(c);
    struct txn *t = o ? txn_new(TXN_SET_OPERATION) : NULL;

    if (!t) {
        if (o)
            problem_respond(c, ERR_NOMEM, NULL);
        mem_free(o);
        return;
    }
    o->state = OP_STATE_CANCELLED;
    o->rc = ERR_CANCELLED;
    o->settled_ms = clock_wall_ms();
    t->operation = o;
    t->dormant = true;
    call_store(c, t, cancelled_in_store);
}

static void cancel_finished(struct call *c)
{
    if (c->op->result.rc == ERR_UNREGISTERED)
        cancel_dormant(c);
    else
        cancelled(c);
}

void operations_cancel(struct call *c)
{
    struct operation *o = find(c);
    char endpoint[ENDPOINT_MAX + 1];
    struct op *op;

    if (!o)
        return;
    if (o->state != OP_STATE_QUEUED) {
        problem_respond(c, ERR_CONFLICT,
                        o->state == OP_STATE_SENT ? "it is under way: it may have been carried out"
                                                  : "it is settled");
        mem_free(o);
        return;
    }
    snprintf(endpoint, sizeof(endpoint), "%.*s", (int)o->endpoint.n, (const char *)o->endpoint.p);
    c->endpoint = endpoint;
    op = call_op(c, OP_CANCEL);
    c->endpoint = NULL;
    if (op)
        op->target = o->id;
    mem_free(o);
    if (op)
        call_submit(c, op, cancel_finished);
}
