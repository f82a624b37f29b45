#include "store/history.h"

#include "store/row.h"
#include "store/valrow.h"

enum { STMT_PUT, STMT_TRIM, STMT_NEWEST, STMT_SET_NEWEST, STMT_ADD_NEWEST, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    [STMT_PUT] = "INSERT INTO history (seq, device, path, prefix, time, origin, type, content) "
                 "VALUES (?8, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STMT_TRIM] = "DELETE FROM history WHERE seq IN (SELECT seq FROM history WHERE device = ?1 "
                  "ORDER BY time, path, seq LIMIT ?2)",
    [STMT_NEWEST] = "SELECT time FROM value WHERE device = ?1 AND path = ?2 AND prefix = ?3",
    [STMT_SET_NEWEST] = "UPDATE value SET time = ?4, origin = ?5, type = ?6, content = ?7 "
                        "WHERE device = ?1 AND path = ?2 AND prefix = ?3",
    [STMT_ADD_NEWEST] = "INSERT INTO value (device, path, prefix, time, origin, type, content) "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
};

/* Beside as many as are new, rows over the limit that go with one entry: a limit that was lowered
 * is reached in steps. */
#define TRIM_MORE 16

struct history {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct marks *marks; /* borrowed */
    int64_t most;
};

int history_open(sqlite3 *db, struct marks *marks, size_t most, struct history **ret_history)
{
    struct history *h = mem_new(sizeof(*h));
    int rc;

    if (!h)
        return ERR_NOMEM;
    *h = (struct history){.db = db, .marks = marks, .most = (int64_t)most};
    rc = db_prepare_all(db, sql, STMT_COUNT, h->stmt);
    if (rc < 0) {
        history_close(h);
        return rc;
    }
    *ret_history = h;
    return ERR_OK;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    db_finalize_all(STMT_COUNT, h->stmt);
    mem_free(h);
}

/* ---- one value -------------------------------------------------------------------------- */

/* A value as it is written. */
struct told {
    const struct record *record; /* borrowed, as prefix */
    struct view prefix;
    int64_t time_ms;
    enum value_origin origin;
};

/* What the newest one is found by. */
static void bind_key(sqlite3_stmt *stmt, int64_t device, const struct told *v)
{
    db_bind_i64(stmt, 1, device);
    db_bind_i64(stmt, 2, row_path(&v->record->path));
    db_bind_text(stmt, 3, v->prefix);
}

/* Alike in each statement that writes a value. */
static void bind(sqlite3_stmt *stmt, int64_t device, const struct told *v)
{
    bind_key(stmt, device, v);
    db_bind_i64(stmt, 4, v->time_ms);
    db_bind_i64(stmt, 5, v->origin);
    valrow_bind(stmt, 6, &v->record->value);
}

/* Time of the newest value there is; *ret_any: false when there is none. */
static int find_newest(struct history *h, int64_t device, const struct told *v, bool *ret_any,
                       int64_t *ret_time_ms)
{
    sqlite3_stmt *stmt = h->stmt[STMT_NEWEST];
    int result;

    bind_key(stmt, device, v);
    result = sqlite3_step(stmt);
    *ret_any = result == SQLITE_ROW;
    *ret_time_ms = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return result == SQLITE_ROW || result == SQLITE_DONE ? ERR_OK : db_error(h->db, result);
}

/* A value that is older than the newest tells nothing about now. */
static int put_newest(struct history *h, struct known_device *device, const struct told *v)
{
    int64_t newest_ms = 0;
    bool any = false;
    sqlite3_stmt *stmt;
    int rc = find_newest(h, device->id, v, &any, &newest_ms);

    if (rc < 0 || (any && v->time_ms < newest_ms))
        return rc;
    if (!any && device->resources >= HISTORY_RESOURCES_MAX) {
        marks_count(h->marks, COUNTER_records_dropped, 1);
        return ERR_OK;
    }
    stmt = h->stmt[any ? STMT_SET_NEWEST : STMT_ADD_NEWEST];
    bind(stmt, device->id, v);
    rc = db_run(stmt);
    if (rc == ERR_OK && !any)
        device->resources++;
    return rc;
}

static int put_timed(struct history *h, struct known_device *device, const struct told *v,
                     int64_t seq)
{
    int rc;

    bind(h->stmt[STMT_PUT], device->id, v);
    db_bind_i64(h->stmt[STMT_PUT], 8, seq);
    rc = db_run(h->stmt[STMT_PUT]);
    if (rc < 0)
        return rc;
    device->history++;
    marks_add(h->marks, MARK_HISTORY, 1);
    return ERR_OK;
}

/* ---- all of an entry -------------------------------------------------------------------- */

static int trim(struct history *h, struct known_device *device, size_t added)
{
    int64_t over = device->history - h->most, most = (int64_t)added + TRIM_MORE;
    int rc;

    if (over <= 0)
        return ERR_OK;
    db_bind_i64(h->stmt[STMT_TRIM], 1, device->id);
    db_bind_i64(h->stmt[STMT_TRIM], 2, over < most ? over : most);
    rc = db_run(h->stmt[STMT_TRIM]);
    if (rc < 0)
        return rc;
    over = sqlite3_changes(h->db);
    device->history -= over;
    marks_add(h->marks, MARK_HISTORY, -over);
    marks_count(h->marks, COUNTER_history_purged, (uint64_t)over);
    return ERR_OK;
}

int history_put(struct history *h, struct known_device *device, const struct entry *e, int64_t *seq)
{
    size_t n = batch_size(e->values);
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const struct record *r = batch_at(e->values, i);
        struct told v = {.record = r,
                         .prefix = batch_prefix(e->values, r->prefix),
                         .time_ms = r->timed ? r->time_ms : e->time_ms,
                         .origin = e->origin};

        if (valrow_size(&r->value) > HISTORY_VALUE_MAX || v.prefix.n > HISTORY_PREFIX_MAX) {
            marks_count(h->marks, COUNTER_records_dropped, 1);
            continue;
        }
        rc = put_newest(h, device, &v);
        if (rc == ERR_OK)
            rc = put_timed(h, device, &v, (*seq)++);
    }
    return rc < 0 ? rc : trim(h, device, n);
}
