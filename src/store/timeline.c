#include "store/timeline.h"

#include "store/row.h"

enum { STMT_PUT, STMT_TRIM, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    [STMT_PUT] = "INSERT INTO timeline (seq, device, time, type, rc, reg_id, detail) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STMT_TRIM] = "DELETE FROM timeline WHERE seq IN (SELECT seq FROM timeline WHERE device = ?1 "
                  "ORDER BY time, seq LIMIT ?2)",
};

/* Rows over the limit that one new line takes away: more than one, so that a limit that was lowered
 * is reached, and few, so that nobody waits for it. */
#define TRIM_MAX 16

struct timeline {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct marks *marks; /* borrowed */
    int64_t most;
};

int timeline_open(sqlite3 *db, struct marks *marks, size_t most, struct timeline **ret_timeline)
{
    struct timeline *l = mem_new(sizeof(*l));
    int rc;

    if (!l)
        return ERR_NOMEM;
    *l = (struct timeline){.db = db, .marks = marks, .most = (int64_t)most};
    rc = db_prepare_all(db, sql, STMT_COUNT, l->stmt);
    if (rc < 0) {
        timeline_close(l);
        return rc;
    }
    *ret_timeline = l;
    return ERR_OK;
}

void timeline_close(struct timeline *l)
{
    if (!l)
        return;
    db_finalize_all(STMT_COUNT, l->stmt);
    mem_free(l);
}

static int trim(struct timeline *l, struct known_device *device)
{
    int64_t over = device->timeline - l->most;
    int rc;

    if (over <= 0)
        return ERR_OK;
    db_bind_i64(l->stmt[STMT_TRIM], 1, device->id);
    db_bind_i64(l->stmt[STMT_TRIM], 2, over < TRIM_MAX ? over : TRIM_MAX);
    rc = db_run(l->stmt[STMT_TRIM]);
    if (rc < 0)
        return rc;
    over = sqlite3_changes(l->db);
    device->timeline -= over;
    marks_add(l->marks, MARK_TIMELINE, -over);
    marks_count(l->marks, COUNTER_timeline_purged, (uint64_t)over);
    return ERR_OK;
}

int timeline_put(struct timeline *l, struct known_device *device, const struct entry *e,
                 int64_t seq)
{
    sqlite3_stmt *stmt = l->stmt[STMT_PUT];
    int rc;

    db_bind_i64(stmt, 1, seq);
    db_bind_i64(stmt, 2, device->id);
    db_bind_i64(stmt, 3, e->time_ms);
    db_bind_i64(stmt, 4, e->type);
    db_bind_text(stmt, 5, row_error(e->rc));
    db_bind_u64(stmt, 6, e->registration_id);
    db_bind_text(stmt, 7, view_sub(e->detail, 0, TIMELINE_DETAIL_MAX));
    rc = db_run(stmt);
    if (rc < 0)
        return rc;
    device->timeline++;
    marks_add(l->marks, MARK_TIMELINE, 1);
    return trim(l, device);
}
