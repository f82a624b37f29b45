#include "store/oprow.h"

#include "store/row.h"

/* In the order of OPROW_COLUMNS; parameters count from 1, results from 0. */
enum column {
    COL_ID,
    COL_DEVICE, /* or the endpoint */
    COL_KIND,
    COL_PATH,
    COL_FORMAT,
    COL_DEPTH,
    COL_PRIORITY,
    COL_REPEATABLE,
    COL_CREATED,
    COL_EXPIRES,
    COL_ARGUMENTS,
    COL_CONTENT,
    COL_KEY,
    COL_KEY_HASH,
    COL_STATE,
    COL_LATE,
    COL_TOKEN,
    COL_SETTLED,
    COL_RC,
    COL_CODE,
    COL_RESULT_FORMAT,
    COL_RESULT,
    COL_RESULT_TEXT,
    COL_LOCATION,
    COL_ATTEMPT_COUNT,
    COL_ATTEMPTS
};

static size_t attempts_kept(uint8_t count)
{
    return count < OP_ATTEMPTS_MAX ? count : OP_ATTEMPTS_MAX;
}

static struct view pack_attempts(const struct operation *o, uint8_t out[OPROW_ATTEMPTS_MAX])
{
    struct wr w = wr_init(out, OPROW_ATTEMPTS_MAX);

    for (size_t i = 0; i < attempts_kept(o->attempt_count); i++) {
        const struct op_attempt *a = &o->attempts[i];

        wr_u64(&w, a->token);
        wr_u64(&w, (uint64_t)a->sent_ms);
        wr_u64(&w, (uint64_t)a->answered_ms);
        wr_u32(&w, a->retransmissions);
        wr_u8(&w, a->code);
        wr_u8(&w, a->transport);
    }
    return wr_view(&w);
}

static int unpack_attempts(struct view packed, struct operation *o)
{
    struct rd r = rd_init(packed);

    for (size_t i = 0; i < attempts_kept(o->attempt_count); i++) {
        struct op_attempt *a = &o->attempts[i];

        a->token = rd_u64(&r);
        a->sent_ms = (int64_t)rd_u64(&r);
        a->answered_ms = (int64_t)rd_u64(&r);
        a->retransmissions = rd_u32(&r);
        a->code = rd_u8(&r);
        a->transport = rd_u8(&r);
        if (a->transport >= TRANSPORT_COUNT)
            rd_fail(&r, ERR_MALFORMED);
    }
    return rd_done(&r);
}

/* ---- binding ---------------------------------------------------------------------------- */

void oprow_bind_set(sqlite3_stmt *stmt, const struct operation *o, int64_t settled_ms,
                    struct oprow_scratch *scratch)
{
    if (!op_state_settled(o->state))
        settled_ms = 0;
    else if (o->settled_ms != 0)
        settled_ms = o->settled_ms;
    db_bind_blob(stmt, COL_ID + 1, view_of(o->id.b, sizeof(o->id.b)));
    db_bind_i64(stmt, COL_STATE + 1, o->state);
    db_bind_i64(stmt, COL_LATE + 1, o->late);
    db_bind_u64(stmt, COL_TOKEN + 1, o->token);
    db_bind_i64(stmt, COL_SETTLED + 1, settled_ms);
    db_bind_text(stmt, COL_RC + 1, row_error(o->rc));
    db_bind_i64(stmt, COL_CODE + 1, o->code);
    db_bind_i64(stmt, COL_RESULT_FORMAT + 1, o->result_format);
    db_bind_blob(stmt, COL_RESULT + 1, o->result);
    db_bind_text(stmt, COL_RESULT_TEXT + 1, o->result_text);
    db_bind_i64(stmt, COL_LOCATION + 1, row_path(&o->location));
    db_bind_i64(stmt, COL_ATTEMPT_COUNT + 1, o->attempt_count);
    db_bind_blob(stmt, COL_ATTEMPTS + 1, pack_attempts(o, scratch->attempts));
}

void oprow_bind(sqlite3_stmt *stmt, const struct operation *o, int64_t device, int64_t settled_ms,
                struct oprow_scratch *scratch)
{
    db_bind_i64(stmt, COL_DEVICE + 1, device);
    db_bind_i64(stmt, COL_KIND + 1, o->kind);
    db_bind_i64(stmt, COL_PATH + 1, row_path(&o->path));
    db_bind_i64(stmt, COL_FORMAT + 1, o->format);
    db_bind_i64(stmt, COL_DEPTH + 1, o->depth);
    db_bind_i64(stmt, COL_PRIORITY + 1, o->priority);
    db_bind_i64(stmt, COL_REPEATABLE + 1, o->repeatable);
    db_bind_i64(stmt, COL_CREATED + 1, o->created_ms);
    db_bind_i64(stmt, COL_EXPIRES + 1, o->expires_ms);
    db_bind_text(stmt, COL_ARGUMENTS + 1, o->text);
    db_bind_blob(stmt, COL_CONTENT + 1, o->values);
    if (o->key.n)
        db_bind_text(stmt, COL_KEY + 1, o->key);
    else
        sqlite3_bind_null(stmt, COL_KEY + 1);
    db_bind_u64(stmt, COL_KEY_HASH + 1, o->key_hash);
    oprow_bind_set(stmt, o, settled_ms, scratch);
}

/* ---- reading ---------------------------------------------------------------------------- */

static int64_t number(sqlite3_stmt *stmt, enum column column)
{
    return sqlite3_column_int64(stmt, (int)column);
}

static struct view bytes(sqlite3_stmt *stmt, enum column column)
{
    struct view v = db_column_bytes(stmt, (int)column);

    return v.n ? v : VIEW_LIT("");
}

bool oprow_valid(const struct operation *o)
{
    bool valid = (unsigned)o->kind < OP_KIND_COUNT && (unsigned)o->state < OP_STATE_COUNT &&
                 o->priority < OP_PRIORITY_COUNT && o->path.depth <= mem_count(o->path.id) &&
                 o->location.depth <= mem_count(o->location.id);

    for (size_t i = 0; i < attempts_kept(o->attempt_count); i++)
        valid = valid && o->attempts[i].transport < TRANSPORT_COUNT;
    return valid;
}

int oprow_read(sqlite3_stmt *stmt, struct operation *ret_operation)
{
    struct view id = bytes(stmt, COL_ID);
    struct operation o = {
        .endpoint = bytes(stmt, COL_DEVICE),
        .kind = (enum op_kind)number(stmt, COL_KIND),
        .state = (enum op_state)number(stmt, COL_STATE),
        .path = row_path_of(number(stmt, COL_PATH)),
        .format = (int32_t)number(stmt, COL_FORMAT),
        .depth = (int8_t)number(stmt, COL_DEPTH),
        .priority = (uint8_t)number(stmt, COL_PRIORITY),
        .repeatable = number(stmt, COL_REPEATABLE) != 0,
        .late = number(stmt, COL_LATE) != 0,
        .token = db_column_u64(stmt, COL_TOKEN),
        .created_ms = number(stmt, COL_CREATED),
        .expires_ms = number(stmt, COL_EXPIRES),
        .settled_ms = number(stmt, COL_SETTLED),
        .text = bytes(stmt, COL_ARGUMENTS),
        .values = bytes(stmt, COL_CONTENT),
        .key = bytes(stmt, COL_KEY),
        .key_hash = db_column_u64(stmt, COL_KEY_HASH),
        .rc = row_error_of(bytes(stmt, COL_RC)),
        .code = (uint8_t)number(stmt, COL_CODE),
        .result_format = (int32_t)number(stmt, COL_RESULT_FORMAT),
        .result = bytes(stmt, COL_RESULT),
        .result_text = bytes(stmt, COL_RESULT_TEXT),
        .location = row_path_of(number(stmt, COL_LOCATION)),
        .attempt_count = (uint8_t)number(stmt, COL_ATTEMPT_COUNT),
    };

    if (id.n != sizeof(o.id.b) || unpack_attempts(bytes(stmt, COL_ATTEMPTS), &o) < 0 ||
        !oprow_valid(&o)) /* others index tables with its numbers */
        return ERR_MALFORMED;
    memcpy(o.id.b, id.p, sizeof(o.id.b));
    *ret_operation = o;
    return ERR_OK;
}
