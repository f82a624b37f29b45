#include "store/marks.h"

static const char *const keys[MARK_COUNT] = {"row",     "generation", "devices",  "offline",
                                             "settled", "history",    "timeline", "profiles"};

struct numbers {
    int64_t v[MARK_COUNT];
    uint64_t counted[COUNTER_COUNT]; /* since COMMIT */
};

struct marks {
    sqlite3 *db;
    sqlite3_stmt *put;
    struct counters *counters; /* borrowed */
    struct numbers now;        /* with what the open transaction changed */
    struct numbers written;    /* in the table, as the open transaction sees it */
    struct numbers committed;  /* in the table, as everyone sees it */
    struct numbers saved;
};

static int load(struct marks *m)
{
    sqlite3_stmt *stmt;
    int rc = db_prepare(m->db, "SELECT value FROM meta WHERE key = ?1", &stmt);

    if (rc < 0)
        return rc;
    for (size_t i = 0; rc == ERR_OK && i < MARK_COUNT; i++) {
        db_bind_text(stmt, 1, view_str(keys[i]));
        if (sqlite3_step(stmt) == SQLITE_ROW)
            m->committed.v[i] = sqlite3_column_int64(stmt, 0);
        else
            rc = ERR_STORE;
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    m->now = m->written = m->committed;
    return rc;
}

int marks_open(sqlite3 *db, struct counters *counters, struct marks **ret_marks)
{
    struct marks *m = mem_new(sizeof(*m));
    int rc;

    if (!m)
        return ERR_NOMEM;
    m->db = db;
    m->counters = counters;
    rc = load(m);
    if (rc == ERR_OK)
        rc = db_prepare(db, "UPDATE meta SET value = ?2 WHERE key = ?1", &m->put);
    if (rc < 0) {
        marks_close(m);
        return rc;
    }
    *ret_marks = m;
    return ERR_OK;
}

void marks_close(struct marks *m)
{
    if (!m)
        return;
    sqlite3_finalize(m->put);
    mem_free(m);
}

int64_t marks_get(const struct marks *m, enum mark mark)
{
    return m->now.v[mark];
}

void marks_add(struct marks *m, enum mark mark, int64_t n)
{
    m->now.v[mark] += n;
}

void marks_raise(struct marks *m, enum mark mark, uint64_t to)
{
    if ((int64_t)to > m->now.v[mark])
        m->now.v[mark] = (int64_t)to;
}

void marks_count(struct marks *m, enum counter which, uint64_t n)
{
    m->now.counted[which] += n;
}

int marks_flush(struct marks *m)
{
    for (size_t i = 0; i < MARK_COUNT; i++) {
        int rc;

        if (m->now.v[i] == m->written.v[i])
            continue;
        db_bind_text(m->put, 1, view_str(keys[i]));
        db_bind_i64(m->put, 2, m->now.v[i]);
        rc = db_run(m->put);
        if (rc < 0)
            return rc;
        m->written.v[i] = m->now.v[i];
    }
    return ERR_OK;
}

/* Whether or not it was flushed since the savepoint before: the table has `written` then. */
void marks_save(struct marks *m)
{
    m->saved = m->now;
}

void marks_undo(struct marks *m)
{
    m->now = m->written = m->saved;
}

void marks_commit(struct marks *m)
{
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        if (m->now.counted[i])
            counter_add(m->counters, (enum counter)i, m->now.counted[i]);
        m->now.counted[i] = 0;
    }
    m->committed = m->now;
}

void marks_rollback(struct marks *m)
{
    m->now = m->written = m->committed;
}
