#include "store/reader.h"

void reader_disconnect(struct reader *r)
{
    if (!r->db)
        return;
    db_finalize_all(STMT_COUNT, r->stmt);
    db_close(r->db);
    r->db = NULL;
}

int reader_start(struct reader *r)
{
    int rc;

    arena_reset(r->arena);
    memset(r->links, 0, sizeof(r->links));
    r->cursor_len = 0;
    r->steps = 0;
    if (r->db)
        return ERR_OK;
    rc = db_open(r->path, DB_READER, &r->db);
    if (rc < 0)
        return rc;
    rc = db_prepare_all(r->db, read_sql, STMT_COUNT, r->stmt);
    if (rc < 0)
        reader_disconnect(r);
    return rc;
}

void reader_end(struct reader *r, sqlite3_stmt *stmt)
{
    r->steps += (uint64_t)sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
    sqlite3_reset(stmt);
}

int reader_finish(struct reader *r, sqlite3_stmt *stmt, int result, int rc)
{
    if (rc >= 0)
        rc = result == SQLITE_DONE ? ERR_OK : db_error(r->db, result);
    reader_end(r, stmt);
    return rc;
}

int reader_skip(struct reader *r, int rc, const char *table, uint64_t key)
{
    if (rc != ERR_MALFORMED)
        return rc;
    r->skipped++;
    log_error("a row of the database cannot be read and is left out", log_text("table", table),
              log_i64("key", (int64_t)key));
    return ERR_OK;
}

int64_t reader_limit(size_t limit)
{
    return limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
}

int reader_keep(struct reader *r, sqlite3_stmt *stmt, int column, struct view *ret_view)
{
    struct view v = db_column_bytes(stmt, column);

    v = v.n ? arena_copy(r->arena, v) : VIEW_LIT("");
    if (!v.p)
        return ERR_NOMEM;
    *ret_view = v;
    return ERR_OK;
}

int reader_device(struct reader *r, struct view endpoint, int64_t *ret_device)
{
    sqlite3_stmt *stmt = r->stmt[STMT_DEVICE];
    int64_t device = 0;
    int result;

    db_bind_text(stmt, 1, endpoint);
    result = sqlite3_step(stmt);
    if (result == SQLITE_ROW)
        device = sqlite3_column_int64(stmt, 0);
    reader_end(r, stmt);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return db_error(r->db, result);
    *ret_device = device;
    return ERR_OK;
}
