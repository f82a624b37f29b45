#include "store/durable_read.h"

#define OPEN_STATES (1u << OP_STATE_QUEUED | 1u << OP_STATE_SENT | 1u << OP_STATE_UNKNOWN)

static bool keep_view(struct reader *r, struct view *v)
{
    *v = v->n ? arena_copy(r->arena, *v) : VIEW_LIT("");
    return v->p != NULL;
}

/* A copy in the arena. */
static struct operation *keep(struct reader *r, const struct operation *o)
{
    struct operation *k = arena_alloc(r->arena, sizeof(*k));

    if (!k)
        return NULL;
    *k = *o;
    return keep_view(r, &k->endpoint) && keep_view(r, &k->text) && keep_view(r, &k->values) &&
                   keep_view(r, &k->key) && keep_view(r, &k->result) &&
                   keep_view(r, &k->result_text)
               ? k
               : NULL;
}

static int give(struct reader *r, const struct operation *o, read_operation_fn each, void *ctx)
{
    const struct operation *kept = keep(r, o);

    return kept ? each(ctx, kept) : ERR_NOMEM;
}

static int give_row(struct reader *r, sqlite3_stmt *stmt, read_operation_fn each, void *ctx)
{
    struct operation o;
    int rc = oprow_read(stmt, &o);

    return rc < 0 ? rc : give(r, &o, each, ctx);
}

/* Passes over a row that cannot be understood; says when it was created. */
static int skip(struct reader *r, sqlite3_stmt *stmt, int rc)
{
    return reader_skip(r, rc, "operation", db_column_u64(stmt, OPROW_CREATED));
}

int durable_read_one(struct reader *r, const struct op_id *id, read_operation_fn each, void *ctx)
{
    sqlite3_stmt *stmt;
    int result;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_OPERATION];
    db_bind_blob(stmt, 1, view_of(id->b, sizeof(id->b)));
    result = sqlite3_step(stmt);
    if (result == SQLITE_ROW)
        rc = give_row(r, stmt, each, ctx);
    else
        rc = result == SQLITE_DONE ? ERR_NOTFOUND : db_error(r->db, result);
    reader_end(r, stmt);
    return rc == ERR_MALFORMED ? ERR_STORE : rc;
}

int durable_read_open(struct reader *r, const struct op_id *after, size_t limit,
                      read_operation_fn each, void *ctx)
{
    sqlite3_stmt *stmt;
    int result = SQLITE_DONE;
    size_t given = 0;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_OPEN_OPERATIONS];
    db_bind_blob(stmt, 1, after ? view_of(after->b, sizeof(after->b)) : VIEW_NONE);
    while (rc >= 0 && given < limit && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct operation o;

        rc = oprow_read(stmt, &o);
        if (rc < 0) {
            rc = skip(r, stmt, rc);
            continue;
        }
        rc = give(r, &o, each, ctx);
        given++;
    }
    return reader_finish(r, stmt, given == limit ? SQLITE_DONE : result, rc);
}

/* ---- pages ------------------------------------------------------------------------------ */

static void set_cursor(struct reader *r, const struct op_id *id)
{
    memcpy(r->cursor, id->b, sizeof(id->b));
    r->cursor_len = sizeof(id->b);
}

static int walk(struct reader *r, sqlite3_stmt *stmt, const struct read_operations_filter *f,
                read_operation_fn each, void *ctx)
{
    size_t given = 0;

    for (size_t seen = 0;; seen++) {
        int result = sqlite3_step(stmt);
        struct operation o;
        int rc;

        if (result == SQLITE_DONE) {
            r->cursor_len = 0;
            return ERR_OK;
        }
        if (result != SQLITE_ROW)
            return db_error(r->db, result);
        if (given >= f->limit || seen == READER_SCAN_MAX)
            return ERR_OK;
        rc = oprow_read(stmt, &o);
        if (rc == ERR_MALFORMED)
            continue; /* what cannot be read was said at start */
        if (rc < 0)
            return rc;
        set_cursor(r, &o.id);
        if (f->states != 0 && !(f->states & 1u << o.state))
            continue;
        given++;
        rc = give(r, &o, each, ctx);
        if (rc < 0)
            return rc;
    }
}

/* The narrowest index for the filter. *ret_stmt: NULL when there is nothing to look at. */
static int choose(struct reader *r, const struct read_operations_filter *f, sqlite3_stmt **ret_stmt)
{
    int64_t device = 0;
    int rc = ERR_OK;

    if (f->endpoint.n == 0) {
        bool open = f->states != 0 && !(f->states & ~OPEN_STATES);

        *ret_stmt = r->stmt[open ? STMT_OPERATIONS_OPEN : STMT_OPERATIONS];
        return ERR_OK;
    }
    rc = reader_device(r, f->endpoint, &device);
    if (rc < 0)
        return rc;
    db_bind_i64(r->stmt[STMT_OPERATIONS_OF], 2, device);
    *ret_stmt = device ? r->stmt[STMT_OPERATIONS_OF] : NULL;
    return ERR_OK;
}

int durable_read_page(struct reader *r, const struct read_operations_filter *f,
                      read_operation_fn each, void *ctx)
{
    static const struct op_id last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    const struct op_id *before = f->before ? f->before : &last;
    sqlite3_stmt *stmt = NULL;
    int rc = reader_start(r);

    if (rc == ERR_OK)
        rc = choose(r, f, &stmt);
    if (rc < 0 || !stmt)
        return rc;
    db_bind_blob(stmt, 1, view_of(before->b, sizeof(before->b)));
    rc = walk(r, stmt, f, each, ctx);
    reader_end(r, stmt);
    return rc;
}
