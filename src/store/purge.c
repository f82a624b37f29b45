#include "store/purge.h"

enum {
    STMT_OLD_OPERATIONS,
    STMT_OLD_HISTORY,
    STMT_OLD_TIMELINE,
    STMT_OFFLINE,
    STMT_DROP_OPERATION,
    STMT_DROP_HISTORY,
    STMT_DROP_TIMELINE,
    STMT_LESS_HISTORY,
    STMT_LESS_TIMELINE,
    STMT_DROP_VALUES,
    STMT_DEVICE_OPERATIONS,
    STMT_DEVICE_HISTORY,
    STMT_DEVICE_TIMELINE,
    STMT_DROP_DEVICE,
    STMT_COUNT
};

/* Endpoints looked at for one step: those of which something is wanted stay. */
#define LOOK_MAX 64

static const char *const sql[STMT_COUNT] = {
    [STMT_OLD_OPERATIONS] = "SELECT id, settled FROM operation WHERE settled <> 0 "
                            "ORDER BY settled LIMIT ?1",
    [STMT_OLD_HISTORY] = "SELECT seq, device FROM history ORDER BY seq LIMIT ?1",
    [STMT_OLD_TIMELINE] = "SELECT seq, device FROM timeline ORDER BY seq LIMIT ?1",
    [STMT_OFFLINE] =
        "SELECT d.id, d.ended, EXISTS (SELECT 1 FROM observation o WHERE o.device = d.id) OR "
        "EXISTS (SELECT 1 FROM operation p WHERE p.device = d.id AND p.state IN (0, 1, 5) "
        "AND p.state < 2) FROM device d WHERE d.offline = 1 AND (d.ended, d.id) > (?1, ?2) "
        "ORDER BY d.ended, d.id LIMIT ?3",
    [STMT_DROP_OPERATION] = "DELETE FROM operation WHERE id = ?1",
    [STMT_DROP_HISTORY] = "DELETE FROM history WHERE seq = ?1",
    [STMT_DROP_TIMELINE] = "DELETE FROM timeline WHERE seq = ?1",
    [STMT_LESS_HISTORY] = "UPDATE device SET history = history - 1 WHERE id = ?1",
    [STMT_LESS_TIMELINE] = "UPDATE device SET timeline = timeline - 1 WHERE id = ?1",
    [STMT_DROP_VALUES] = "DELETE FROM value WHERE (device, path, prefix) IN (SELECT device, path, "
                         "prefix FROM value WHERE device = ?1 LIMIT ?2)",
    [STMT_DEVICE_OPERATIONS] = "DELETE FROM operation WHERE id IN (SELECT id FROM operation "
                               "WHERE device = ?1 LIMIT ?2)",
    [STMT_DEVICE_HISTORY] = "DELETE FROM history WHERE seq IN (SELECT seq FROM history "
                            "WHERE device = ?1 LIMIT ?2)",
    [STMT_DEVICE_TIMELINE] = "DELETE FROM timeline WHERE seq IN (SELECT seq FROM timeline "
                             "WHERE device = ?1 LIMIT ?2)",
    [STMT_DROP_DEVICE] = "DELETE FROM device WHERE id = ?1",
};

struct purge {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct marks *marks; /* borrowed */
    struct store_retention keep;
    int64_t ended, device; /* endpoints up to here were looked at */
};

int purge_open(sqlite3 *db, struct marks *marks, const struct store_retention *keep,
               struct purge **ret_purge)
{
    struct purge *p = mem_new(sizeof(*p));
    int rc;

    if (!p)
        return ERR_NOMEM;
    *p = (struct purge){.db = db, .marks = marks, .keep = *keep};
    rc = db_prepare_all(db, sql, STMT_COUNT, p->stmt);
    if (rc < 0) {
        purge_close(p);
        return rc;
    }
    *ret_purge = p;
    return ERR_OK;
}

void purge_close(struct purge *p)
{
    if (!p)
        return;
    db_finalize_all(STMT_COUNT, p->stmt);
    mem_free(p);
}

/* ---- rows in order of age ------------------------------------------------------------------- */

/* What is purged alike: rows in the order of their age, until one is young and there are not too
 * many. */
struct kind {
    unsigned oldest, drop, less;
    bool blob_key; /* operations; column 1 is the age then, else the device */
    enum mark mark;
    enum counter counter;
};

static const struct kind operations = {.oldest = STMT_OLD_OPERATIONS,
                                       .drop = STMT_DROP_OPERATION,
                                       .blob_key = true,
                                       .mark = MARK_SETTLED,
                                       .counter = COUNTER_operations_purged};
static const struct kind history = {.oldest = STMT_OLD_HISTORY,
                                    .drop = STMT_DROP_HISTORY,
                                    .less = STMT_LESS_HISTORY,
                                    .mark = MARK_HISTORY,
                                    .counter = COUNTER_history_purged};
static const struct kind timeline = {.oldest = STMT_OLD_TIMELINE,
                                     .drop = STMT_DROP_TIMELINE,
                                     .less = STMT_LESS_TIMELINE,
                                     .mark = MARK_TIMELINE,
                                     .counter = COUNTER_timeline_purged};

struct victim {
    uint8_t id[16]; /* operation */
    int64_t seq, device;
    int64_t age_ms; /* Unix ms, when it was settled or written */
};

static int read_victim(sqlite3_stmt *stmt, const struct kind *kind, struct victim *ret)
{
    struct view id;

    *ret = (struct victim){0};
    if (!kind->blob_key) {
        ret->seq = sqlite3_column_int64(stmt, 0);
        ret->device = sqlite3_column_int64(stmt, 1);
        ret->age_ms = ret->seq >> PURGE_SEQ_BITS;
        return ERR_OK;
    }
    id = db_column_bytes(stmt, 0);
    if (id.n != sizeof(ret->id))
        return ERR_STORE;
    memcpy(ret->id, id.p, id.n);
    ret->age_ms = sqlite3_column_int64(stmt, 1);
    return ERR_OK;
}

/* The oldest, as many as a step takes, that are to go. */
static int choose(struct purge *p, const struct kind *kind, int64_t before_ms, size_t most,
                  struct victim *victims, size_t *ret_n)
{
    sqlite3_stmt *stmt = p->stmt[kind->oldest];
    int64_t have = marks_get(p->marks, kind->mark);
    int64_t over = have > (int64_t)most ? have - (int64_t)most : 0;
    int result = SQLITE_DONE, rc = ERR_OK;
    size_t n = 0;

    db_bind_i64(stmt, 1, PURGE_ROWS);
    while (rc == ERR_OK && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        rc = read_victim(stmt, kind, &victims[n]);
        if (victims[n].age_ms >= before_ms && (int64_t)n >= over)
            break;
        n++;
    }
    sqlite3_reset(stmt);
    if (rc == ERR_OK && result != SQLITE_DONE && result != SQLITE_ROW)
        rc = db_error(p->db, result);
    *ret_n = rc == ERR_OK ? n : 0;
    return rc;
}

static int drop(struct purge *p, const struct kind *kind, const struct victim *v)
{
    sqlite3_stmt *stmt = p->stmt[kind->drop];
    int rc;

    if (kind->blob_key) {
        db_bind_blob(stmt, 1, view_of(v->id, sizeof(v->id)));
        return db_run(stmt);
    }
    db_bind_i64(stmt, 1, v->seq);
    rc = db_run(stmt);
    if (rc < 0)
        return rc;
    db_bind_i64(p->stmt[kind->less], 1, v->device);
    return db_run(p->stmt[kind->less]);
}

static int purge_kind(struct purge *p, const struct kind *kind, int64_t before_ms, size_t most,
                      size_t *rows)
{
    struct victim victims[PURGE_ROWS + 1];
    size_t n = 0;
    int rc = choose(p, kind, before_ms, most, victims, &n);

    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = drop(p, kind, &victims[i]);
    if (rc < 0 || n == 0)
        return rc;
    marks_add(p->marks, kind->mark, -(int64_t)n);
    marks_count(p->marks, kind->counter, n);
    *rows += n;
    return ERR_OK;
}

/* ---- endpoints that are away ---------------------------------------------------------------- */

/* Rows of one table that belong to the device, as many as a step takes. */
static int drop_some(struct purge *p, unsigned which, int64_t device, int64_t *ret_n)
{
    int rc;

    db_bind_i64(p->stmt[which], 1, device);
    db_bind_i64(p->stmt[which], 2, PURGE_ROWS);
    rc = db_run(p->stmt[which]);
    *ret_n = rc == ERR_OK ? sqlite3_changes(p->db) : 0;
    return rc;
}

/* Takes away what belongs to the device, and then the device; in several steps when there is much.
 */
static int drop_device(struct purge *p, int64_t device, size_t *rows)
{
    static const struct {
        unsigned stmt;
        enum mark mark;
        enum counter counter;
    } parts[] = {
        {STMT_DEVICE_OPERATIONS, MARK_SETTLED, COUNTER_operations_purged},
        {STMT_DEVICE_HISTORY, MARK_HISTORY, COUNTER_history_purged},
        {STMT_DEVICE_TIMELINE, MARK_TIMELINE, COUNTER_timeline_purged},
        {STMT_DROP_VALUES, MARK_COUNT, COUNTER_history_purged},
    };

    for (size_t i = 0; i < mem_count(parts); i++) {
        int64_t n;
        int rc = drop_some(p, parts[i].stmt, device, &n);

        if (rc < 0)
            return rc;
        if (parts[i].mark != MARK_COUNT) {
            marks_add(p->marks, parts[i].mark, -n);
            marks_count(p->marks, parts[i].counter, (uint64_t)n);
        }
        *rows += (size_t)n;
        if (n == PURGE_ROWS)
            return ERR_OK; /* the rest in the next step */
    }
    db_bind_i64(p->stmt[STMT_DROP_DEVICE], 1, device);
    marks_add(p->marks, MARK_OFFLINE, -1);
    marks_count(p->marks, COUNTER_endpoints_purged, 1);
    ++*rows;
    return db_run(p->stmt[STMT_DROP_DEVICE]);
}

/* The next endpoint that is to go. *ret_device: 0 when none of those looked at is. */
static int choose_device(struct purge *p, int64_t before_ms, int64_t *ret_device)
{
    sqlite3_stmt *stmt = p->stmt[STMT_OFFLINE];
    bool over = marks_get(p->marks, MARK_OFFLINE) > (int64_t)p->keep.offline;
    int result;

    *ret_device = 0;
    db_bind_i64(stmt, 1, p->ended);
    db_bind_i64(stmt, 2, p->device);
    db_bind_i64(stmt, 3, LOOK_MAX);
    for (size_t seen = 0;; seen++) {
        int64_t ended;

        result = sqlite3_step(stmt);
        ended = sqlite3_column_int64(stmt, 1);
        if (result != SQLITE_ROW || (!over && ended >= before_ms)) {
            if (seen < LOOK_MAX)
                p->ended = p->device = 0; /* all were looked at: begin anew */
            break;
        }
        if (sqlite3_column_int64(stmt, 2) == 0) {
            *ret_device = sqlite3_column_int64(stmt, 0);
            break;
        }
        p->ended = ended;
        p->device = sqlite3_column_int64(stmt, 0);
    }
    sqlite3_reset(stmt);
    return result == SQLITE_ROW || result == SQLITE_DONE ? ERR_OK : db_error(p->db, result);
}

static int purge_offline(struct purge *p, int64_t before_ms, size_t *rows)
{
    int rc = ERR_OK;

    while (rc == ERR_OK && *rows < PURGE_ROWS) {
        int64_t device;

        rc = choose_device(p, before_ms, &device);
        if (rc < 0 || device == 0)
            break;
        rc = drop_device(p, device, rows);
    }
    return rc;
}

int purge_step(struct purge *p, int64_t now_ms, size_t *ret_rows)
{
    const struct store_retention *keep = &p->keep;
    size_t rows = 0;
    int rc = purge_kind(p, &operations, now_ms - (int64_t)keep->operations_s * 1000,
                        keep->operations, &rows);

    if (rc == ERR_OK)
        rc =
            purge_kind(p, &history, now_ms - (int64_t)keep->history_s * 1000, keep->history, &rows);
    if (rc == ERR_OK)
        rc = purge_kind(p, &timeline, now_ms - (int64_t)keep->timeline_s * 1000, keep->timeline,
                        &rows);
    if (rc == ERR_OK)
        rc = purge_offline(p, now_ms - (int64_t)keep->offline_s * 1000, &rows);
    *ret_rows = rows;
    return rc;
}
