#include "store/apply.h"

#include "store/kept.h"
#include "store/links.h"
#include "store/row.h"

#include <assert.h>
#include <stdio.h>

enum {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_SAVEPOINT,
    STMT_RELEASE,
    STMT_ROLLBACK_TO,
    STMT_FIND_ENDPOINT,
    STMT_FIND_ROW,
    STMT_INSERT,
    STMT_UPDATE,
    STMT_DELETE,
    STMT_PUT_RENEWAL,
    STMT_DELETE_RENEWAL,
    STMT_RENEW,
    STMT_PASS_OBSERVATIONS,
    STMT_PUT_MODEL,
    STMT_PROBE,
    STMT_COUNT
};

static const char *const sql[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_SAVEPOINT] = "SAVEPOINT one",
    [STMT_RELEASE] = "RELEASE one",
    [STMT_ROLLBACK_TO] = "ROLLBACK TO one",
    [STMT_FIND_ENDPOINT] = "SELECT row, reg_id, generation, objlist FROM registration "
                           "WHERE endpoint = ?1",
    [STMT_FIND_ROW] = "SELECT row, reg_id, generation, objlist FROM registration WHERE row = ?1",
    [STMT_INSERT] = "INSERT INTO registration (" ROW_COLUMNS ") VALUES (" ROW_PARAMETERS ")",
    [STMT_UPDATE] = "UPDATE registration SET (" ROW_UPDATE_COLUMNS ") = (" ROW_UPDATE_PARAMETERS
                    ") WHERE row = ?1",
    [STMT_DELETE] = "DELETE FROM registration WHERE row = ?1",
    [STMT_PUT_RENEWAL] = "INSERT OR REPLACE INTO renewal (row, generation, expires, seen) "
                         "VALUES (?1, ?2, ?3, ?4)",
    [STMT_DELETE_RENEWAL] = "DELETE FROM renewal WHERE row = ?1",
    [STMT_RENEW] = "UPDATE renewal SET expires = ?3, seen = ?4 WHERE row = ?1 AND generation = ?2",
    /* To the next registration, whose device has yet to be asked; an Update changes nothing. */
    [STMT_PASS_OBSERVATIONS] = "UPDATE observation SET row = ?2, reg_id = ?3, "
                               "since = CASE WHEN reg_id = ?3 THEN since ELSE 0 END WHERE row = ?1",
    [STMT_PUT_MODEL] = "INSERT OR REPLACE INTO model (object, version, xml) VALUES (?1, ?2, ?3)",
    /* Other bytes each time: SQLite does not write pages that stay the same. */
    [STMT_PROBE] = "UPDATE probe SET filler = randomblob(32768)",
};

struct apply {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct links *links;
    struct kept *kept;
    struct counters *counters;
    struct marks *marks;
    char reason[160]; /* of the last failure */
    uint64_t renewed; /* rows renewed by the open transaction */
};

/* What a registration has in the table. */
struct stored {
    uint64_t row; /* 0: there is none */
    uint64_t id;
    int64_t generation;
    int64_t objlist;
};

bool apply_is_outcome(int rc)
{
    static const int outcomes[] = {ERR_OK,     ERR_STALE,     ERR_INVALID,  ERR_UNREGISTERED,
                                   ERR_EXISTS, ERR_KEYREUSED, ERR_NOTFOUND, ERR_QUEUE};

    for (size_t i = 0; i < mem_count(outcomes); i++) {
        if (rc == outcomes[i])
            return true;
    }
    return false;
}

bool apply_is_fatal(int rc)
{
    return !apply_is_outcome(rc) && rc != ERR_CONFLICT && rc != ERR_LIMIT;
}

int apply_open(sqlite3 *db, struct counters *counters, const struct store_retention *keep,
               struct apply **ret_apply)
{
    struct apply *a = mem_new(sizeof(*a));
    int rc;

    if (!a)
        return ERR_NOMEM;
    a->db = db;
    a->counters = counters;
    rc = marks_open(db, counters, &a->marks);
    if (rc == ERR_OK)
        rc = db_prepare_all(db, sql, STMT_COUNT, a->stmt);
    if (rc == ERR_OK)
        rc = links_open(db, &a->links);
    if (rc == ERR_OK)
        rc = kept_open(db, a->marks, keep, &a->kept);
    if (rc < 0) {
        apply_close(a);
        return rc;
    }
    *ret_apply = a;
    return ERR_OK;
}

void apply_close(struct apply *a)
{
    if (!a)
        return;
    kept_close(a->kept);
    links_close(a->links);
    marks_close(a->marks);
    db_finalize_all(STMT_COUNT, a->stmt);
    mem_free(a);
}

/* ---- statements ------------------------------------------------------------------------- */

/* Runs a statement whose only parameter is a number. */
static int run_u64(struct apply *a, unsigned which, uint64_t number)
{
    db_bind_u64(a->stmt[which], 1, number);
    return db_run(a->stmt[which]);
}

/* Reads the row of a bound look-up and resets it. */
static int find(sqlite3_stmt *stmt, struct stored *ret_stored)
{
    struct stored found = {0};
    int result = sqlite3_step(stmt);
    int rc = ERR_OK;

    if (result == SQLITE_ROW) {
        found.row = db_column_u64(stmt, 0);
        found.id = db_column_u64(stmt, 1);
        found.generation = sqlite3_column_int64(stmt, 2);
        found.objlist = sqlite3_column_int64(stmt, 3);
    } else if (result != SQLITE_DONE) {
        rc = db_error(sqlite3_db_handle(stmt), result);
    }
    sqlite3_reset(stmt);
    if (rc == ERR_OK)
        *ret_stored = found;
    return rc;
}

static int put_renewal(struct apply *a, const struct registration *r)
{
    sqlite3_stmt *stmt = a->stmt[STMT_PUT_RENEWAL];

    db_bind_u64(stmt, 1, r->row);
    db_bind_u64(stmt, 2, r->generation);
    db_bind_i64(stmt, 3, r->expires_ms);
    db_bind_i64(stmt, 4, r->seen_ms);
    return db_run(stmt);
}

/* Takes the row out of the two tables; the observations are the caller's. */
static int delete_row(struct apply *a, uint64_t row)
{
    int rc = run_u64(a, STMT_DELETE, row);

    return rc < 0 ? rc : run_u64(a, STMT_DELETE_RENEWAL, row);
}

/* The registration `old` of the endpoint makes way for r: what is lost and what stays. */
static int replace(struct apply *a, const struct stored *old, const struct registration *r)
{
    int rc = links_drop(a->links, old->objlist);

    if (rc == ERR_OK && (old->id != r->id || old->row != r->row)) {
        db_bind_u64(a->stmt[STMT_PASS_OBSERVATIONS], 2, r->row);
        db_bind_u64(a->stmt[STMT_PASS_OBSERVATIONS], 3, r->id);
        rc = run_u64(a, STMT_PASS_OBSERVATIONS, old->row);
    }
    return rc < 0 || old->row == r->row ? rc : delete_row(a, old->row);
}

static bool key_valid(uint64_t row, uint64_t generation)
{
    return row > 0 && row <= INT64_MAX && generation <= INT64_MAX;
}

static int put_registration(struct apply *a, struct txn *t)
{
    const struct registration *r = t->registration;
    sqlite3_stmt *write;
    struct row_scratch scratch;
    struct stored old;
    int64_t objlist;
    int rc;

    if (!key_valid(r->row, r->generation) || !r->endpoint.n || r->endpoint.n > ENDPOINT_MAX)
        return ERR_INVALID;
    db_bind_text(a->stmt[STMT_FIND_ENDPOINT], 1, r->endpoint);
    rc = find(a->stmt[STMT_FIND_ENDPOINT], &old);
    if (rc < 0)
        return rc;
    if (old.row && (int64_t)r->generation < old.generation)
        return ERR_STALE;
    rc = links_get(a->links, r->links, &objlist);
    if (rc == ERR_OK && old.row)
        rc = replace(a, &old, r);
    if (rc < 0)
        return rc;
    write = a->stmt[old.row == r->row ? STMT_UPDATE : STMT_INSERT];
    row_bind(write, r, objlist, &scratch);
    rc = db_run(write);
    if (rc == ERR_OK)
        rc = put_renewal(a, r);
    if (rc < 0)
        return rc;
    if (!old.row)
        marks_add(a->marks, MARK_DEVICES, 1);
    marks_raise(a->marks, MARK_ROW, r->row);
    marks_raise(a->marks, MARK_GENERATION, r->generation);
    return old.row ? ERR_OK : kept_arrive(a->kept, t);
}

static int del_registration(struct apply *a, struct txn *t)
{
    struct stored old;
    int rc;

    if (!key_valid(t->row, t->generation))
        return ERR_INVALID;
    db_bind_u64(a->stmt[STMT_FIND_ROW], 1, t->row);
    rc = find(a->stmt[STMT_FIND_ROW], &old);
    if (rc < 0 || !old.row)
        return rc;
    if (old.generation > (int64_t)t->generation)
        return ERR_STALE;
    rc = links_drop(a->links, old.objlist);
    if (rc == ERR_OK)
        rc = kept_leave(a->kept, t->row);
    if (rc == ERR_OK)
        rc = delete_row(a, t->row);
    if (rc == ERR_OK)
        marks_add(a->marks, MARK_DEVICES, -1);
    return rc;
}

static int renew(struct apply *a, struct txn *t)
{
    sqlite3_stmt *stmt = a->stmt[STMT_RENEW];

    for (size_t i = 0; i < t->renewal_count; i++) {
        const struct renewal *r = &t->renewals[i];
        int rc;

        db_bind_u64(stmt, 1, r->row);
        db_bind_u64(stmt, 2, r->generation);
        db_bind_i64(stmt, 3, r->expires_ms);
        db_bind_i64(stmt, 4, r->seen_ms);
        rc = db_run(stmt);
        if (rc < 0)
            return rc;
        a->renewed += (uint64_t)sqlite3_changes(a->db);
    }
    return ERR_OK;
}

static int put_model(struct apply *a, struct txn *t)
{
    sqlite3_stmt *stmt = a->stmt[STMT_PUT_MODEL];

    db_bind_i64(stmt, 1, t->object);
    db_bind_i64(stmt, 2, row_version(t->version));
    db_bind_text(stmt, 3, view_str(t->text));
    return db_run(stmt);
}

static int (*const kinds[TXN_KIND_COUNT])(struct apply *a, struct txn *t) = {
    [TXN_PUT_REGISTRATION] = put_registration,
    [TXN_DEL_REGISTRATION] = del_registration,
    [TXN_RENEW] = renew,
    [TXN_PUT_MODEL] = put_model,
};

int apply_txn(struct apply *a, struct txn *t)
{
    assert(t->kind < TXN_KIND_COUNT);
    txn_uncarry(t); /* by an attempt that was rolled back */
    return kinds[t->kind] ? kinds[t->kind](a, t) : kept_txn(a->kept, t);
}

/* ---- transactions ----------------------------------------------------------------------- */

static void keep_reason(struct apply *a)
{
    snprintf(a->reason, sizeof(a->reason), "%s", sqlite3_errmsg(a->db));
}

const char *apply_reason(const struct apply *a)
{
    return a->reason;
}

int apply_begin(struct apply *a)
{
    int rc = db_run(a->stmt[STMT_BEGIN]);

    a->renewed = 0;
    if (rc < 0)
        keep_reason(a);
    return rc;
}

/* What is gathered in memory goes with the savepoint, too. */
static int flush(struct apply *a)
{
    int rc = links_flush(a->links);

    return rc < 0 ? rc : marks_flush(a->marks);
}

int apply_guarded(struct apply *a, struct txn *t)
{
    int rc = db_run(a->stmt[STMT_SAVEPOINT]);

    if (rc < 0)
        return rc;
    marks_save(a->marks);
    rc = apply_txn(a, t);
    if (rc == ERR_OK)
        rc = flush(a);
    if (!apply_is_outcome(rc) && !apply_is_fatal(rc)) {
        int undone = db_run(a->stmt[STMT_ROLLBACK_TO]);

        links_forget(a->links);
        marks_undo(a->marks);
        if (undone < 0)
            return undone;
    }
    if (!apply_is_fatal(rc)) {
        int released = db_run(a->stmt[STMT_RELEASE]);

        if (released < 0)
            return released;
    }
    return rc;
}

int apply_commit(struct apply *a)
{
    int rc = flush(a);

    if (rc == ERR_OK)
        rc = db_run(a->stmt[STMT_COMMIT]);
    if (rc < 0) {
        apply_rollback(a);
        return rc;
    }
    marks_commit(a->marks);
    counter_add(a->counters, COUNTER_commits, 1);
    counter_add(a->counters, COUNTER_renewals_written, a->renewed);
    return ERR_OK;
}

void apply_rollback(struct apply *a)
{
    keep_reason(a);
    /* SQLite has rolled back by itself after some failures. */
    if (!sqlite3_get_autocommit(a->db))
        db_run(a->stmt[STMT_ROLLBACK]);
    links_forget(a->links);
    marks_rollback(a->marks);
}

int apply_probe(struct apply *a)
{
    return db_run(a->stmt[STMT_PROBE]);
}

int apply_purge(struct apply *a, size_t *ret_rows)
{
    int rc = apply_begin(a);

    if (rc < 0)
        return rc;
    rc = kept_purge(a->kept, ret_rows);
    if (rc == ERR_OK && *ret_rows == 0)
        rc = db_run(a->stmt[STMT_COMMIT]); /* of nothing */
    else if (rc == ERR_OK)
        return apply_commit(a);
    if (rc < 0)
        apply_rollback(a);
    return rc;
}
