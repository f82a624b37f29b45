#include "model/model.h"

/* The views of an operation that a copy must own. */
#define VIEW_AT(member) offsetof(struct operation, member)
static const size_t views[] = {
    VIEW_AT(endpoint), VIEW_AT(text),   VIEW_AT(values),
    VIEW_AT(key),      VIEW_AT(result), VIEW_AT(result_text),
};

static struct view view_read(const struct operation *o, size_t at)
{
    struct view v;

    memcpy(&v, (const uint8_t *)o + at, sizeof v);
    return v;
}

struct operation *operation_copy(const struct operation *o)
{
    size_t size = sizeof *o;
    struct operation *copy;
    uint8_t *bytes;

    for (size_t i = 0; i < mem_count(views); i++)
        size += view_read(o, views[i]).n;
    copy = mem_new(size);
    if (copy == NULL)
        return NULL;
    *copy = *o;
    bytes = (uint8_t *)(copy + 1);
    for (size_t i = 0; i < mem_count(views); i++) {
        struct view v = view_read(o, views[i]);
        struct view owned = {v.p != NULL ? bytes : NULL, v.n};

        if (v.n > 0)
            memcpy(bytes, v.p, v.n);
        memcpy((uint8_t *)copy + views[i], &owned, sizeof owned);
        bytes += v.n;
    }
    return copy;
}

/* ---- from an op ------------------------------------------------------------------------------ */

static int pack(const struct batch *b, struct buf *out, struct view *ret)
{
    size_t from = out->n;
    int rc;

    if (b == NULL)
        return ERR_OK;
    rc = pack_encode(b, out);
    *ret = (struct view){NULL, out->n - from};
    return rc;
}

static void copy_attempts(const struct op *op, struct operation *o)
{
    size_t kept = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX;

    o->attempt_count = op->attempt_count;
    if (kept > 0)
        memcpy(o->attempts, op->attempts, kept * sizeof *o->attempts);
}

static void copy_plain(const struct op *op, struct operation *o)
{
    *o = (struct operation){
        .id = op->id,
        .endpoint = view_str(op->endpoint),
        .kind = op->kind,
        .state = op->state,
        .path = op->path,
        .format = op->format,
        .depth = op->depth,
        .priority = op->priority,
        .repeatable = op->repeatable,
        .late = op->result.late,
        .token = op->token,
        .created_ms = op->created_ms,
        .expires_ms = op->expires_ms,
        .settled_ms = op->result.settled_ms,
        .text = view_str(op->text),
        .key = view_str(op->key),
        .key_hash = op->key_hash,
        .rc = op->result.rc,
        .code = op->result.coap_code,
        .result_format = op->result.format,
        .result_text = view_str(op->result.text),
    };
    if (op->result.has_location)
        o->location = op->result.location;
    copy_attempts(op, o);
}

int operation_of_op(const struct op *op, struct operation **ret_operation)
{
    struct operation o;
    struct buf packed;
    int rc;

    if (op->body != NULL)
        return ERR_UNSUPPORTED;
    copy_plain(op, &o);
    buf_init(&packed, OPERATION_BYTES);
    rc = pack(op->values, &packed, &o.values);
    if (rc == ERR_OK)
        rc = pack(op->result.values, &packed, &o.result);
    if (rc == ERR_OK) {
        struct operation *copy;

        o.values.p = packed.p;
        o.result.p = o.result.n > 0 ? packed.p + o.values.n : NULL;
        copy = operation_copy(&o);
        rc = copy != NULL ? ERR_OK : ERR_NOMEM;
        if (rc == ERR_OK)
            *ret_operation = copy;
    }
    buf_fini(&packed);
    return rc;
}

/* ---- to an op -------------------------------------------------------------------------------- */

static int take_text(struct view v, char **ret)
{
    if (v.n == 0)
        return ERR_OK;
    *ret = mem_text(v.p, v.n);
    return *ret != NULL ? ERR_OK : ERR_NOMEM;
}

static int take_batch(struct view v, struct batch **ret)
{
    return v.n > 0 ? pack_decode(v, ret) : ERR_OK;
}

static int take_attempts(const struct operation *o, struct op *op)
{
    if (o->attempt_count == 0)
        return ERR_OK;
    op->attempts = mem_new(OP_ATTEMPTS_MAX * sizeof *op->attempts);
    if (op->attempts == NULL)
        return ERR_NOMEM;
    memcpy(op->attempts, o->attempts, sizeof o->attempts);
    op->attempt_count = o->attempt_count;
    return ERR_OK;
}

static int take_owned(const struct operation *o, struct op *op)
{
    int rc = take_text(o->text, &op->text);

    if (rc == ERR_OK)
        rc = take_text(o->key, &op->key);
    if (rc == ERR_OK)
        rc = take_text(o->result_text, &op->result.text);
    if (rc == ERR_OK)
        rc = take_batch(o->values, &op->values);
    if (rc == ERR_OK)
        rc = take_batch(o->result, &op->result.values);
    return rc == ERR_OK ? take_attempts(o, op) : rc;
}

static void take_plain(const struct operation *o, struct op *op)
{
    op->id = o->id;
    op->state = o->state;
    op->path = o->path;
    op->format = o->format;
    op->depth = o->depth;
    op->priority = o->priority;
    op->repeatable = o->repeatable;
    op->durable = true;
    op->token = o->token;
    op->created_ms = o->created_ms;
    op->expires_ms = o->expires_ms;
    op->key_hash = o->key_hash;
    op->result.late = o->late;
    op->result.settled_ms = o->settled_ms;
    op->result.rc = o->rc;
    op->result.coap_code = o->code;
    op->result.format = o->result_format;
    op->result.location = o->location;
    op->result.has_location = o->location.depth > 0;
}

int operation_to_op(const struct operation *o, struct op **ret_op)
{
    struct op *op = op_new(o->kind, o->endpoint);
    int rc;

    if (op == NULL)
        return ERR_NOMEM;
    take_plain(o, op);
    rc = take_owned(o, op);
    if (rc < 0)
        op_free(op);
    else
        *ret_op = op;
    return rc;
}
