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
        [OP_OBSERVE] = "observe",
        [OP_OBSERVE_CANCEL] = "observe-cancel",
        [OP_OBSERVE_LIST] = "observe-list",
        [OP_DEREGISTER] = "deregister",
    };

    return (unsigned)k < OP_KIND_COUNT ? names[k] : "unknown";
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
