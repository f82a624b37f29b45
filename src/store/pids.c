#include "store/pids.h"

enum { STMT_FIND, STMT_PUT, STMT_DEL, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    [STMT_FIND] = "SELECT source FROM profile WHERE id = ?1",
    /* Since when it stands for these links. */
    [STMT_PUT] = "INSERT INTO profile (id, links, source, since) VALUES (?1, ?2, ?3, ?4) "
                 "ON CONFLICT (id) DO UPDATE SET since = CASE links WHEN excluded.links "
                 "THEN since ELSE excluded.since END, links = excluded.links, "
                 "source = excluded.source",
    [STMT_DEL] = "DELETE FROM profile WHERE id = ?1",
};

struct pids {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct marks *marks; /* borrowed */
};

int pids_open(sqlite3 *db, struct marks *marks, struct pids **ret_pids)
{
    struct pids *p = mem_new(sizeof(*p));
    int rc;

    if (!p)
        return ERR_NOMEM;
    p->db = db;
    p->marks = marks;
    rc = db_prepare_all(db, sql, STMT_COUNT, p->stmt);
    if (rc < 0) {
        pids_close(p);
        return rc;
    }
    *ret_pids = p;
    return ERR_OK;
}

void pids_close(struct pids *p)
{
    if (!p)
        return;
    db_finalize_all(STMT_COUNT, p->stmt);
    mem_free(p);
}

/* Where the knowledge of an id comes from; PROFILE_SOURCE_COUNT when there is none. */
static int find_source(struct pids *p, struct view id, enum profile_source *ret_source)
{
    sqlite3_stmt *stmt = p->stmt[STMT_FIND];
    int result;

    db_bind_text(stmt, 1, id);
    result = sqlite3_step(stmt);
    *ret_source = result == SQLITE_ROW ? (enum profile_source)sqlite3_column_int64(stmt, 0)
                                       : PROFILE_SOURCE_COUNT;
    sqlite3_reset(stmt);
    return result == SQLITE_ROW || result == SQLITE_DONE ? ERR_OK : db_error(p->db, result);
}

/* What an operator has said stands, and devices cannot fill the table. */
static int check_learned(const struct pids *p, enum profile_source before)
{
    if (before == PROFILE_CONFIGURED)
        return ERR_STALE;
    return before == PROFILE_SOURCE_COUNT && marks_get(p->marks, MARK_PROFILES) >= PIDS_LEARNED_MAX
               ? ERR_QUEUE
               : ERR_OK;
}

int pids_put(struct pids *p, const struct txn *t)
{
    sqlite3_stmt *stmt = p->stmt[STMT_PUT];
    struct view id = view_str(t->profile);
    enum profile_source before = PROFILE_SOURCE_COUNT;
    int rc;

    if (!id.n || t->source >= PROFILE_SOURCE_COUNT)
        return ERR_INVALID;
    rc = find_source(p, id, &before);
    if (rc == ERR_OK && t->source == PROFILE_LEARNED)
        rc = check_learned(p, before);
    if (rc < 0)
        return rc;
    db_bind_text(stmt, 1, id);
    db_bind_text(stmt, 2, view_str(t->text));
    db_bind_i64(stmt, 3, t->source);
    db_bind_i64(stmt, 4, clock_wall_ms());
    rc = db_run(stmt);
    if (rc == ERR_OK && before == PROFILE_SOURCE_COUNT)
        marks_add(p->marks, MARK_PROFILES, 1);
    return rc;
}

int pids_del(struct pids *p, const struct txn *t)
{
    int rc;

    db_bind_text(p->stmt[STMT_DEL], 1, view_str(t->profile));
    rc = db_run(p->stmt[STMT_DEL]);
    if (rc == ERR_OK)
        marks_add(p->marks, MARK_PROFILES, -sqlite3_changes(p->db));
    return rc;
}
