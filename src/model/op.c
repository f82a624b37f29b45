#include "model/model.h"

#include <assert.h>

const char *op_kind_name(enum op_kind k)
{
    static const char *const names[OP_KIND_COUNT] = {
        [OP_STATUS] = "status",
        [OP_READ] = "read",
        [OP_DISCOVER] = "discover",
        [OP_WRITE_REPLACE] = "write",
        [OP_WRITE_UPDATE] = "write-update",
        [OP_WRITE_ATTRIBUTES] = "write-attributes",
        [OP_EXECUTE] = "execute",
        [OP_CREATE] = "create",
        [OP_DELETE] = "delete",
        [OP_READ_COMPOSITE] = "read-composite",
        [OP_WRITE_COMPOSITE] = "write-composite",
        [OP_OBSERVE] = "observe",
        [OP_OBSERVE_COMPOSITE] = "observe-composite",
        [OP_OBSERVE_CANCEL] = "observe-cancel",
        [OP_OBSERVE_LIST] = "observe-list",
        [OP_DEREGISTER] = "deregister",
        [OP_CANCEL] = "cancel",
    };

    return (unsigned)k < OP_KIND_COUNT ? names[k] : "unknown";
}

static const char *const states[OP_STATE_COUNT] = {
    [OP_STATE_QUEUED] = "queued",
    [OP_STATE_SENT] = "sent",
    [OP_STATE_DONE] = "done",
    [OP_STATE_REJECTED] = "rejected",
    [OP_STATE_DEVICE_ERROR] = "device-error",
    [OP_STATE_UNKNOWN] = "unknown",
    [OP_STATE_CANCELLED] = "cancelled",
    [OP_STATE_EXPIRED] = "expired",
    [OP_STATE_FAILED] = "failed",
};

const char *op_state_name(enum op_state s)
{
    return (unsigned)s < OP_STATE_COUNT ? states[s] : "invalid";
}

int op_state_parse(struct view v, enum op_state *ret_state)
{
    for (unsigned i = 0; i < OP_STATE_COUNT; i++) {
        if (view_eq_str(v, states[i])) {
            *ret_state = (enum op_state)i;
            return ERR_OK;
        }
    }
    return ERR_MALFORMED;
}

bool op_state_settled(enum op_state s)
{
    return s >= OP_STATE_DONE;
}

const char *op_priority_name(enum op_priority p)
{
    static const char *const names[OP_PRIORITY_COUNT] = {"low", "normal", "high"};

    return (unsigned)p < OP_PRIORITY_COUNT ? names[p] : "invalid";
}

void op_id_new(struct random *r, int64_t wall_ms, struct op_id *ret_id)
{
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    uint64_t a = random_u64(r);

    /* RFC 9562 section 5.7: 48 bits of Unix ms, version 7, 12 random, variant 2, 62 random. */
    for (unsigned i = 0; i < 6; i++)
        ret_id->b[i] = (uint8_t)(ms >> (40 - 8 * i));
    ret_id->b[6] = (uint8_t)(0x70 | (a & 0x0f));
    ret_id->b[7] = (uint8_t)(a >> 8);
    random_bytes(r, ret_id->b + 8, 8);
    ret_id->b[8] = (uint8_t)(0x80 | (ret_id->b[8] & 0x3f));
}

void op_id_format(const struct op_id *id, char out[37])
{
    static const uint8_t group[] = {4, 2, 2, 2, 6};
    const uint8_t *b = id->b;

    for (size_t i = 0; i < sizeof group; i++) {
        if (i > 0)
            *out++ = '-';
        text_hex(b, group[i], out);
        b += group[i];
        out += 2 * group[i];
    }
}

void op_id_after(const struct op_id *last, struct op_id *id)
{
    if (memcmp(id->b, last->b, sizeof id->b) > 0)
        return;
    *id = *last;
    for (unsigned i = sizeof id->b - 1; i > 8 && ++id->b[i] == 0; i--)
        continue;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int op_id_parse(struct view v, struct op_id *ret_id)
{
    struct op_id id = {{0}};
    size_t n = 0;

    if (v.n != 36)
        return ERR_MALFORMED;
    for (size_t i = 0; i < v.n; i++) {
        int digit = hex_digit(v.p[i]);

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (v.p[i] != '-')
                return ERR_MALFORMED;
            continue;
        }
        if (digit < 0)
            return ERR_MALFORMED;
        id.b[n / 2] = (uint8_t)(id.b[n / 2] << 4 | digit);
        n++;
    }
    *ret_id = id;
    return ERR_OK;
}

bool op_id_eq(const struct op_id *a, const struct op_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

struct op *op_new(enum op_kind kind, struct view endpoint)
{
    struct op *op = mem_new(sizeof *op);

    if (op == NULL)
        return NULL;
    op->endpoint = mem_text(endpoint.p, endpoint.n);
    if (op->endpoint == NULL) {
        mem_free(op);
        return NULL;
    }
    op->kind = kind;
    op->format = FORMAT_NONE;
    op->depth = -1;
    op->priority = OP_PRIORITY_NORMAL;
    op->result.format = FORMAT_NONE;
    return op;
}

void op_free(struct op *op)
{
    if (op == NULL)
        return;
    mem_free(op->endpoint);
    batch_free(op->values);
    blob_free(op->body);
    mem_free(op->text);
    mem_free(op->key);
    mem_free(op->attempts);
    batch_free(op->result.values);
    blob_free(op->result.body);
    mem_free(op->result.text);
    mem_free(op->result.registration);
    mem_free(op->result.observations);
    mem_free(op);
}

void op_complete(struct op *op, int rc)
{
    assert(op->done != NULL);
    op->result.rc = rc;
    op->done(op);
}

struct op_attempt *op_attempt_last(struct op *op)
{
    size_t kept = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX;

    return kept > 0 ? &op->attempts[kept - 1] : NULL;
}

int op_attempt_add(struct op *op, const struct op_attempt *attempt)
{
    size_t at = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX - 1;

    if (op->attempts == NULL)
        op->attempts = mem_new(OP_ATTEMPTS_MAX * sizeof *op->attempts);
    if (op->attempts == NULL)
        return ERR_NOMEM;
    if (op->attempt_count >= OP_ATTEMPTS_MAX) /* the first stays */
        memmove(&op->attempts[1], &op->attempts[2], (OP_ATTEMPTS_MAX - 2) * sizeof *op->attempts);
    if (op->attempt_count < UINT8_MAX)
        op->attempt_count++;
    op->attempts[at] = *attempt;
    return ERR_OK;
}
