#include "store/known.h"

enum { STMT_FIND, STMT_ADD, STMT_NUMBERS, STMT_LEAVE, STMT_RETURN, STMT_COUNT };

#define COLUMNS                                                                                    \
    "device (endpoint, offline, registered, updated, seen, ended, resources, history, timeline)"

static const char *const sql[STMT_COUNT] = {
    [STMT_FIND] =
        "SELECT id, offline, resources, history, timeline FROM device WHERE endpoint = ?1",
    [STMT_ADD] = "INSERT INTO " COLUMNS " SELECT endpoint, 0, 0, 0, 0, 0, 0, 0, 0 "
                 "FROM registration WHERE endpoint = ?1",
    [STMT_NUMBERS] = "UPDATE device SET resources = ?2, history = ?3, timeline = ?4 WHERE id = ?1",
    /* It ended when its lifetime did, or now. */
    [STMT_LEAVE] =
        "INSERT INTO " COLUMNS " SELECT r.endpoint, 1, r.registered, r.updated, n.seen, "
        "min(n.expires, ?2), 0, 0, 0 FROM registration r CROSS JOIN renewal n ON n.row = r.row "
        "WHERE r.row = ?1 ON CONFLICT (endpoint) DO UPDATE SET offline = 1, "
        "registered = excluded.registered, updated = excluded.updated, seen = excluded.seen, "
        "ended = excluded.ended",
    [STMT_RETURN] = ("UPDATE device SET offline = 0, registered = 0, updated = 0, seen = 0, "
                     "ended = 0 WHERE id = ?1"),
};

struct known {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct marks *marks; /* borrowed */
    bool any;            /* false: the table is empty, and a Register need not look */
};

int known_open(sqlite3 *db, struct marks *marks, struct known **ret_known)
{
    struct known *k = mem_new(sizeof(*k));
    int64_t any = 0;
    int rc;

    if (!k)
        return ERR_NOMEM;
    k->db = db;
    k->marks = marks;
    rc = db_number(db, "SELECT EXISTS (SELECT 1 FROM device)", &any);
    k->any = any != 0;
    if (rc == ERR_OK)
        rc = db_prepare_all(db, sql, STMT_COUNT, k->stmt);
    if (rc < 0) {
        known_close(k);
        return rc;
    }
    *ret_known = k;
    return ERR_OK;
}

void known_close(struct known *k)
{
    if (!k)
        return;
    db_finalize_all(STMT_COUNT, k->stmt);
    mem_free(k);
}

int known_find(struct known *k, struct view endpoint, struct known_device *ret_device)
{
    sqlite3_stmt *stmt = k->stmt[STMT_FIND];
    struct known_device found = {0};
    int result = SQLITE_DONE;

    if (k->any) {
        db_bind_text(stmt, 1, endpoint);
        result = sqlite3_step(stmt);
    }
    if (result == SQLITE_ROW) {
        found.id = sqlite3_column_int64(stmt, 0);
        found.offline = sqlite3_column_int64(stmt, 1) != 0;
        found.resources = sqlite3_column_int64(stmt, 2);
        found.history = sqlite3_column_int64(stmt, 3);
        found.timeline = sqlite3_column_int64(stmt, 4);
    }
    if (k->any)
        sqlite3_reset(stmt);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return db_error(k->db, result);
    *ret_device = found;
    return ERR_OK;
}

int known_need(struct known *k, struct view endpoint, struct known_device *ret_device)
{
    struct known_device found = {0};
    int rc = known_find(k, endpoint, &found);

    if (rc == ERR_OK && found.id == 0) {
        k->any = true;
        db_bind_text(k->stmt[STMT_ADD], 1, endpoint);
        rc = db_run(k->stmt[STMT_ADD]);
        if (rc == ERR_OK && sqlite3_changes(k->db) == 0)
            rc = ERR_UNREGISTERED;
        found.id = sqlite3_last_insert_rowid(k->db);
    }
    if (rc == ERR_OK)
        *ret_device = found;
    return rc;
}

int known_count(struct known *k, const struct known_device *device)
{
    sqlite3_stmt *stmt = k->stmt[STMT_NUMBERS];

    db_bind_i64(stmt, 1, device->id);
    db_bind_i64(stmt, 2, device->resources);
    db_bind_i64(stmt, 3, device->history);
    db_bind_i64(stmt, 4, device->timeline);
    return db_run(stmt);
}

int known_leave(struct known *k, uint64_t row, int64_t now_ms)
{
    int rc;

    k->any = true;
    db_bind_u64(k->stmt[STMT_LEAVE], 1, row);
    db_bind_i64(k->stmt[STMT_LEAVE], 2, now_ms);
    rc = db_run(k->stmt[STMT_LEAVE]);
    if (rc == ERR_OK)
        marks_add(k->marks, MARK_OFFLINE, 1);
    return rc;
}

int known_return(struct known *k, struct view endpoint, struct known_device *ret_device)
{
    struct known_device found = {0};
    int rc = known_find(k, endpoint, &found);

    if (rc == ERR_OK && found.offline) {
        db_bind_i64(k->stmt[STMT_RETURN], 1, found.id);
        rc = db_run(k->stmt[STMT_RETURN]);
        if (rc == ERR_OK)
            marks_add(k->marks, MARK_OFFLINE, -1);
    }
    if (rc == ERR_OK)
        *ret_device = found;
    return rc;
}
