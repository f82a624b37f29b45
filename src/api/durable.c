#include "api/internal.h"

#include <stdio.h>

/*
 * Operations that outlive their request: what the client may say of them (ttl, priority, retry,
 * Idempotency-Key, Prefer), where they are handed in, and what is answered before they are settled.
 */

#define TTL_MAX_S (366u * 86400u)
#define REQUEST_TEXT_MAX 65536u /* MHD bounds the header to 32 KiB */

/* ---- what the client says ---- */

static const char *header(const struct call *c, const char *name)
{
    return MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, name);
}

static bool take_ttl(struct call *c, struct op *op)
{
    uint64_t ttl;

    if (!call_query_u64(c, "ttl", c->api->cfg.operation_ttl_s, TTL_MAX_S, &ttl))
        return false;
    op->created_ms = clock_wall_ms();
    op->expires_ms = ttl > 0 ? op->created_ms + (int64_t)ttl * 1000 : 0;
    return true;
}

static bool take_priority(struct call *c, struct op *op)
{
    char text[16];

    if (!call_query(c, "priority", text, sizeof(text)))
        return !c->answered;
    for (unsigned i = 0; i < OP_PRIORITY_COUNT; i++) {
        if (strcmp(text, op_priority_name((enum op_priority)i)) == 0) {
            op->priority = (uint8_t)i;
            return true;
        }
    }
    problem_respond(c, ERR_INVALID, "priority is low, normal or high");
    return false;
}

static bool take_retry(struct call *c, struct op *op)
{
    char text[16];

    if (!call_query(c, "retry", text, sizeof(text)))
        return !c->answered;
    op->repeatable = strcmp(text, "idempotent") == 0;
    if (!op->repeatable && strcmp(text, "safe") != 0) {
        problem_respond(c, ERR_INVALID, "retry is safe or idempotent");
        return false;
    }
    return true;
}

static enum MHD_Result add_argument(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    buf_fmt(ctx, "%c%s=%s", '\0', name, value ? value : "");
    return MHD_YES;
}

/* The same request has the same hash, also after a restart. */
static uint64_t request_hash(const struct call *c)
{
    static const struct hash_key fixed = {0x6c776d326d2d6b65, 0x792d686173682d31};
    struct buf text;
    uint64_t hash;

    buf_init(&text, c->body.n + REQUEST_TEXT_MAX);
    buf_fmt(&text, "%s %s", c->route->method, c->url);
    MHD_get_connection_values(c->connection, MHD_GET_ARGUMENT_KIND, add_argument, &text);
    buf_put_u8(&text, 0);
    buf_put_view(&text, buf_view(&c->body));
    hash = hash_bytes(&fixed, buf_view(&text));
    buf_fini(&text);
    return hash;
}

static bool take_key(struct call *c, struct op *op)
{
    const char *key = header(c, "Idempotency-Key");
    size_t n = key ? strlen(key) : 0;

    if (!key)
        return true;
    if (n == 0 || n > OP_KEY_MAX || view_utf8(view_of(key, n)) < 0) {
        problem_respond(c, ERR_INVALID, "Idempotency-Key has 1 to 255 characters");
        return false;
    }
    op->key = mem_text(key, n);
    op->key_hash = request_hash(c);
    if (!op->key)
        problem_respond(c, ERR_NOMEM, NULL);
    return op->key != NULL;
}

/* RFC 7240: respond-async, or wait=SECONDS. What is not understood is left aside, as it says. */
static void take_preferences(struct call *c, struct op *op)
{
    const char *prefer = header(c, "Prefer");
    struct view rest = view_str(prefer), one;
    uint64_t now = clock_mono_ms(), seconds;

    while (prefer && view_split(&rest, ',', &one)) {
        struct view value, name;

        while (one.n > 0 && one.p[0] == ' ')
            one = view_sub(one, 1, one.n);
        while (one.n > 0 && one.p[one.n - 1] == ' ')
            one.n--;
        value = one;
        if (view_eq_str(one, "respond-async")) {
            op->deadline = now;
        } else if (view_split(&value, '=', &name) && view_eq_str(name, "wait") &&
                   view_u64(value, UINT32_MAX, &seconds) == ERR_OK) {
            uint64_t longest = c->api->cfg.op_timeout_ms;

            op->deadline = now + (seconds * 1000 < longest ? seconds * 1000 : longest);
            op->patient = true;
        }
    }
}

/* Large bodies are not kept: such an operation is tried at once, and ends with its request. */
static bool fits(const struct op *op)
{
    struct operation *o = NULL;

    if (operation_of_op(op, &o) < 0)
        return false;
    mem_free(o);
    return true;
}

static bool take_parameters(struct call *c, struct op *op)
{
    return take_ttl(c, op) && take_priority(c, op) && take_retry(c, op) && take_key(c, op);
}

bool durable_check(struct call *c)
{
    struct op unused = {0};
    bool fine = take_parameters(c, &unused);

    mem_free(unused.key);
    return fine;
}

bool durable_take(struct call *c, struct op *op)
{
    if (!take_parameters(c, op))
        return false;
    take_preferences(c, op);
    op->durable = fits(op);
    return true;
}

/* ---- answers before the end ---- */

static void accepted(struct call *c)
{
    const struct op *op = c->op;
    char id[37], location[64], text[PATH_TEXT_MAX];
    bool settled = op_state_settled(op->state);
    cJSON *json = cJSON_CreateObject(), *inner = cJSON_AddObjectToObject(json, "operation");

    op_id_format(&op->id, id);
    snprintf(location, sizeof(location), "/v1/operations/%s", id);
    cJSON_AddStringToObject(inner, "id", id);
    cJSON_AddStringToObject(inner, "endpoint", op->endpoint);
    cJSON_AddStringToObject(inner, "kind", op_kind_name(op->kind));
    path_format(&op->path, text);
    cJSON_AddStringToObject(inner, "path", text);
    cJSON_AddStringToObject(inner, "state", op_state_name(op->state));
    cJSON_AddStringToObject(inner, "href", location);
    call_json_location(c, settled ? MHD_HTTP_OK : MHD_HTTP_ACCEPTED, json, location);
}

/* ---- handing in ---- */

static struct txn *dormant_txn(const struct op *op)
{
    struct txn *t = txn_new(TXN_PUT_OPERATION);

    if (t && operation_of_op(op, &t->operation) < 0) {
        txn_free(t);
        t = NULL;
    }
    if (t)
        t->dormant = true;
    return t;
}

static void finish_stored(struct call *c);

/* Nobody is registered by that name: the store keeps it for the next Register. */
static void submit_dormant(struct call *c)
{
    struct txn *t = dormant_txn(c->op);

    if (t) {
        call_store(c, t, finish_stored);
        return;
    }
    problem_respond(c, ERR_NOMEM, NULL);
}

static bool is_retry_of(const struct call *c)
{
    return c->op->result.rc == ERR_EXISTS && c->op->durable;
}

static void settle(struct call *c)
{
    struct op *op = c->op;

    if (op->durable && op->result.rc == ERR_UNREGISTERED && !c->dormant) {
        c->dormant = true;
        submit_dormant(c);
        return;
    }
    if (op->durable && (op->result.rc == ERR_ACCEPTED || is_retry_of(c))) {
        accepted(c);
        return;
    }
    c->outcome(c);
}

static void finish_stored(struct call *c)
{
    struct txn *t = c->txn;
    int rc = t->rc;

    c->txn = NULL;
    if (rc == ERR_EXISTS && t->carried_operation_count > 0)
        c->op->id = t->carried_operations[0]->id;
    if (rc == ERR_EXISTS && t->carried_operation_count > 0)
        c->op->state = t->carried_operations[0]->state;
    txn_free(t);
    if (rc == ERR_CONFLICT) { /* it has registered meanwhile */
        call_submit(c, c->op, settle);
        return;
    }
    c->op->result.rc = rc == ERR_OK ? ERR_ACCEPTED : rc;
    settle(c);
}

void durable_submit(struct call *c, struct op *op, void (*outcome)(struct call *c))
{
    c->outcome = outcome;
    call_submit(c, op, settle);
}

bool durable_later(struct call *c, void (*outcome)(struct call *c))
{
    struct op *op = c->op;

    if (op->durable || (op->result.rc != ERR_ASLEEP && op->result.rc != ERR_UNREGISTERED))
        return false;
    op->result.rc = ERR_OK;
    if (durable_take(c, op))
        durable_submit(c, op, outcome);
    return true;
}
