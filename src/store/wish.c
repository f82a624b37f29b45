#include "store/wish.h"

enum { STMT_ENDPOINT, STMT_PUT, STMT_DEL, STMT_LEAVE, STMT_DORMANT, STMT_PASS, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    /* Of the registration it was asked of only: a later one has its own. */
    [STMT_ENDPOINT] = "SELECT endpoint FROM registration WHERE row = ?1 AND reg_id = ?2",
    [STMT_PUT] = "INSERT OR REPLACE INTO observation "
                 "(token, row, reg_id, path, format, attributes, since, device, paths) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [STMT_DEL] = "DELETE FROM observation WHERE token = ?1",
    [STMT_LEAVE] = "UPDATE observation SET row = 0 WHERE row = ?1",
    [STMT_DORMANT] = "SELECT " WISH_SELECT " WHERE device = ?1 AND row = 0 "
                     "ORDER BY since, token LIMIT ?2",
    [STMT_PASS] = "UPDATE observation SET row = ?2, reg_id = ?3, since = 0 WHERE token = ?1",
};

struct wish {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct known *known; /* borrowed */
};

int wish_open(sqlite3 *db, struct known *known, struct wish **ret_wish)
{
    struct wish *w = mem_new(sizeof(*w));
    int rc;

    if (!w)
        return ERR_NOMEM;
    w->db = db;
    w->known = known;
    rc = db_prepare_all(db, sql, STMT_COUNT, w->stmt);
    if (rc < 0) {
        wish_close(w);
        return rc;
    }
    *ret_wish = w;
    return ERR_OK;
}

void wish_close(struct wish *w)
{
    if (!w)
        return;
    db_finalize_all(STMT_COUNT, w->stmt);
    mem_free(w);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* The endpoint of the registration it belongs to, as a number. */
static int find_device(struct wish *w, const struct observation *o, int64_t *ret_device)
{
    sqlite3_stmt *stmt = w->stmt[STMT_ENDPOINT];
    struct known_device device;
    int result, rc;

    db_bind_u64(stmt, 1, o->row);
    db_bind_u64(stmt, 2, o->registration_id);
    result = sqlite3_step(stmt);
    if (result == SQLITE_ROW)
        rc = known_need(w->known, db_column_bytes(stmt, 0), &device);
    else
        rc = result == SQLITE_DONE ? ERR_UNREGISTERED : db_error(w->db, result);
    sqlite3_reset(stmt);
    if (rc == ERR_OK)
        *ret_device = device.id;
    return rc;
}

int wish_put(struct wish *w, const struct observation *o)
{
    sqlite3_stmt *stmt = w->stmt[STMT_PUT];
    char path[PATH_TEXT_MAX];
    int64_t device = 0;
    int rc;

    if (!o->token)
        return ERR_INVALID; /* means none; walks start behind it */
    rc = find_device(w, o, &device);
    if (rc < 0)
        return rc;
    path_format(&o->path, path);
    db_bind_u64(stmt, 1, o->token);
    db_bind_u64(stmt, 2, o->row);
    db_bind_u64(stmt, 3, o->registration_id);
    db_bind_text(stmt, 4, view_str(path));
    db_bind_i64(stmt, 5, o->format);
    db_bind_text(stmt, 6, o->attributes);
    db_bind_i64(stmt, 7, o->since_ms);
    db_bind_i64(stmt, 8, device);
    db_bind_text(stmt, 9, o->paths);
    return db_run(stmt);
}

int wish_del(struct wish *w, uint64_t token)
{
    db_bind_u64(w->stmt[STMT_DEL], 1, token);
    return db_run(w->stmt[STMT_DEL]);
}

int wish_leave(struct wish *w, uint64_t row)
{
    db_bind_u64(w->stmt[STMT_LEAVE], 1, row);
    return db_run(w->stmt[STMT_LEAVE]);
}

/* ---- carrying --------------------------------------------------------------------------- */

int wish_read(sqlite3_stmt *stmt, struct observation *ret_observation)
{
    struct observation o = {
        .token = db_column_u64(stmt, 0),
        .row = db_column_u64(stmt, 1),
        .registration_id = db_column_u64(stmt, 2),
        .format = (int32_t)sqlite3_column_int64(stmt, 4),
        .attributes = db_column_bytes(stmt, 5),
        .since_ms = sqlite3_column_int64(stmt, 6),
        .paths = db_column_bytes(stmt, 7),
    };

    if (path_parse(db_column_bytes(stmt, 3), &o.path) < 0)
        return ERR_MALFORMED;
    *ret_observation = o;
    return ERR_OK;
}

/* One allocation. */
static struct observation *copy(const struct observation *o)
{
    struct observation *c = mem_new(sizeof(*c) + o->attributes.n + o->paths.n);
    uint8_t *bytes;

    if (!c)
        return NULL;
    bytes = (uint8_t *)(c + 1);
    *c = *o;
    if (o->attributes.n)
        memcpy(bytes, o->attributes.p, o->attributes.n);
    c->attributes = view_of(bytes, o->attributes.n);
    bytes += o->attributes.n;
    if (o->paths.n)
        memcpy(bytes, o->paths.p, o->paths.n);
    c->paths = view_of(bytes, o->paths.n);
    return c;
}

static int carry_one(sqlite3_stmt *stmt, struct txn *t)
{
    struct observation o, *kept;
    int rc = wish_read(stmt, &o);

    if (rc == ERR_MALFORMED)
        return ERR_OK; /* it keeps no device from registering */
    if (rc < 0)
        return rc;
    o.row = t->registration->row;
    o.registration_id = t->registration->id;
    o.since_ms = 0;
    kept = copy(&o);
    if (!kept)
        return ERR_NOMEM;
    t->carried_observations[t->carried_observation_count++] = kept;
    return ERR_OK;
}

static int collect(struct wish *w, int64_t device, struct txn *t)
{
    sqlite3_stmt *stmt = w->stmt[STMT_DORMANT];
    int result, rc = ERR_OK;

    db_bind_i64(stmt, 1, device);
    db_bind_i64(stmt, 2, WISH_CARRIED_MAX);
    while (rc == ERR_OK && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!t->carried_observations)
            t->carried_observations = mem_new(WISH_CARRIED_MAX * sizeof(struct observation *));
        rc = t->carried_observations ? carry_one(stmt, t) : ERR_NOMEM;
    }
    if (rc == ERR_OK && result != SQLITE_DONE)
        rc = db_error(w->db, result);
    sqlite3_reset(stmt);
    return rc;
}

int wish_carry(struct wish *w, int64_t device, struct txn *t)
{
    sqlite3_stmt *pass = w->stmt[STMT_PASS];
    int rc = collect(w, device, t);

    for (size_t i = 0; rc == ERR_OK && i < t->carried_observation_count; i++) {
        db_bind_u64(pass, 1, t->carried_observations[i]->token);
        db_bind_u64(pass, 2, t->registration->row);
        db_bind_u64(pass, 3, t->registration->id);
        rc = db_run(pass);
    }
    return rc;
}
