#include "store/told_read.h"

#include "store/row.h"
#include "store/valrow.h"

/* ---- cursors -------------------------------------------------------------------------------- */

/* The numbers of the last row that was looked at. */
static void set_cursor(struct reader *r, const int64_t *numbers, size_t n)
{
    struct wr w = wr_init(r->cursor, sizeof(r->cursor));

    for (size_t i = 0; i < n; i++)
        wr_u64(&w, (uint64_t)numbers[i]);
    r->cursor_len = wr_view(&w).n;
}

/* Leaves `numbers` as they are without a cursor; ERR_INVALID for one that is not ours. */
static int parse_cursor(struct view cursor, int64_t *numbers, size_t n)
{
    struct rd rd = rd_init(cursor);

    if (cursor.n == 0)
        return ERR_OK;
    if (cursor.n != n * sizeof(*numbers))
        return ERR_INVALID;
    for (size_t i = 0; i < n; i++)
        numbers[i] = (int64_t)rd_u64(&rd);
    return ERR_OK;
}

/* ---- values --------------------------------------------------------------------------------- */

static bool has_bytes(const struct value *v)
{
    return v->type == VALUE_STRING || v->type == VALUE_CORELNK || v->type == VALUE_OPAQUE;
}

/* The row a statement of path, prefix, time, origin, type and content is on; ERR_MALFORMED when it
 * cannot be understood. */
static int take_value(struct reader *r, sqlite3_stmt *stmt, struct stored_value **ret_value)
{
    int64_t origin = sqlite3_column_int64(stmt, 3);
    struct stored_value *v = arena_alloc(r->arena, sizeof(*v));
    int rc;

    if (!v)
        return ERR_NOMEM;
    if (origin < 0 || origin >= ORIGIN_COUNT)
        return ERR_MALFORMED;
    *v = (struct stored_value){.record.path = row_path_of(sqlite3_column_int64(stmt, 0)),
                               .record.timed = true,
                               .record.time_ms = sqlite3_column_int64(stmt, 2),
                               .origin = (enum value_origin)origin};
    rc = valrow_read(stmt, 4, &v->record.value);
    if (rc == ERR_OK && has_bytes(&v->record.value))
        rc = reader_keep(r, stmt, 5, &v->record.value.u.bytes);
    if (rc == ERR_OK)
        rc = reader_keep(r, stmt, 1, &v->prefix);
    if (rc == ERR_OK)
        *ret_value = v;
    return rc;
}

/* A page goes on without what cannot be understood, of a later version perhaps. */
static int give_value(struct reader *r, sqlite3_stmt *stmt, read_value_fn each, void *ctx)
{
    struct stored_value *v;
    int rc = take_value(r, stmt, &v);

    if (rc != ERR_OK)
        return rc == ERR_MALFORMED ? ERR_OK : rc;
    return each(ctx, v);
}

int told_read_values(struct reader *r, struct view endpoint, const struct path *path,
                     read_value_fn each, void *ctx)
{
    int64_t device = 0;
    sqlite3_stmt *stmt;
    int result = SQLITE_DONE;
    int rc = reader_start(r);

    if (rc == ERR_OK)
        rc = reader_device(r, endpoint, &device);
    if (rc < 0 || device == 0)
        return rc;
    stmt = r->stmt[STMT_VALUES];
    db_bind_i64(stmt, 1, device);
    db_bind_i64(stmt, 2, row_path(path));
    db_bind_i64(stmt, 3, row_path_last(path));
    while (rc >= 0 && (result = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = give_value(r, stmt, each, ctx);
    return reader_finish(r, stmt, result, rc);
}

/* ---- history -------------------------------------------------------------------------------- */

static int give_timed(struct reader *r, int64_t seq, read_value_fn each, void *ctx)
{
    sqlite3_stmt *stmt = r->stmt[STMT_HISTORY_ROW];
    int result, rc;

    db_bind_i64(stmt, 1, seq);
    result = sqlite3_step(stmt);
    rc = result == SQLITE_ROW ? give_value(r, stmt, each, ctx) : db_error(r->db, result);
    reader_end(r, stmt);
    return rc;
}

/* The scan stays open over the look-ups, so that the page is one snapshot. */
static int walk_history(struct reader *r, sqlite3_stmt *scan, const struct read_history_filter *f,
                        read_value_fn each, void *ctx)
{
    int64_t first = row_path(&f->path), last = row_path_last(&f->path);
    size_t given = 0;

    for (size_t seen = 0;; seen++) {
        int result = sqlite3_step(scan);
        int64_t at[3];
        int rc;

        if (result == SQLITE_DONE) {
            r->cursor_len = 0;
            return ERR_OK;
        }
        if (result != SQLITE_ROW)
            return db_error(r->db, result);
        if (given >= f->limit || seen == READER_SCAN_MAX)
            return ERR_OK;
        for (int i = 0; i < 3; i++)
            at[i] = sqlite3_column_int64(scan, i);
        set_cursor(r, at, mem_count(at));
        if (at[1] < first || at[1] > last)
            continue;
        given++;
        rc = give_timed(r, at[2], each, ctx);
        if (rc < 0)
            return rc;
    }
}

int told_read_history(struct reader *r, const struct read_history_filter *f, read_value_fn each,
                      void *ctx)
{
    /* Behind every row of that time. */
    int64_t from[3] = {f->to_ms ? f->to_ms : INT64_MAX, INT64_MAX, INT64_MAX};
    int64_t device = 0;
    sqlite3_stmt *scan;
    int rc = parse_cursor(f->cursor, from, mem_count(from));

    if (rc == ERR_OK)
        rc = reader_start(r);
    if (rc == ERR_OK)
        rc = reader_device(r, f->endpoint, &device);
    if (rc < 0 || device == 0)
        return rc;
    scan = r->stmt[STMT_HISTORY];
    db_bind_i64(scan, 1, device);
    db_bind_i64(scan, 2, f->from_ms ? f->from_ms : INT64_MIN);
    for (int i = 0; i < 3; i++)
        db_bind_i64(scan, 3 + i, from[i]);
    rc = walk_history(r, scan, f, each, ctx);
    reader_end(r, scan);
    return rc;
}

/* ---- timeline ------------------------------------------------------------------------------- */

static int give_entry(struct reader *r, sqlite3_stmt *stmt, struct view endpoint,
                      read_entry_fn each, void *ctx)
{
    int64_t type = sqlite3_column_int64(stmt, 2);
    struct entry *e = arena_alloc(r->arena, sizeof(*e));
    int rc;

    if (!e)
        return ERR_NOMEM;
    if (type < 0 || type >= EVENT_TYPE_COUNT)
        return ERR_OK; /* as above */
    *e = (struct entry){.endpoint = endpoint,
                        .time_ms = sqlite3_column_int64(stmt, 0),
                        .listed = true,
                        .type = (enum event_type)type,
                        .rc = row_error_of(db_column_bytes(stmt, 3)),
                        .registration_id = db_column_u64(stmt, 4)};
    rc = reader_keep(r, stmt, 5, &e->detail);
    return rc < 0 ? rc : each(ctx, e);
}

static int walk_timeline(struct reader *r, sqlite3_stmt *stmt, struct view endpoint, size_t limit,
                         read_entry_fn each, void *ctx)
{
    for (size_t given = 0;; given++) {
        int result = sqlite3_step(stmt);
        int64_t at[2];
        int rc;

        if (result == SQLITE_DONE) {
            r->cursor_len = 0;
            return ERR_OK;
        }
        if (result != SQLITE_ROW)
            return db_error(r->db, result);
        if (given >= limit)
            return ERR_OK;
        at[0] = sqlite3_column_int64(stmt, 0);
        at[1] = sqlite3_column_int64(stmt, 1);
        set_cursor(r, at, mem_count(at));
        rc = give_entry(r, stmt, endpoint, each, ctx);
        if (rc < 0)
            return rc;
    }
}

int told_read_timeline(struct reader *r, struct view endpoint, struct view cursor, size_t limit,
                       read_entry_fn each, void *ctx)
{
    int64_t from[2] = {INT64_MAX, INT64_MAX};
    int64_t device = 0;
    sqlite3_stmt *stmt;
    int rc = parse_cursor(cursor, from, mem_count(from));

    if (rc == ERR_OK)
        rc = reader_start(r);
    if (rc == ERR_OK)
        rc = reader_device(r, endpoint, &device);
    if (rc < 0 || device == 0)
        return rc;
    stmt = r->stmt[STMT_TIMELINE];
    db_bind_i64(stmt, 1, device);
    db_bind_i64(stmt, 2, from[0]);
    db_bind_i64(stmt, 3, from[1]);
    rc = walk_timeline(r, stmt, endpoint, limit, each, ctx);
    reader_end(r, stmt);
    return rc;
}
