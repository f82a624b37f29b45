#include "store/read.h"

#include "store/backup.h"
#include "store/durable_read.h"
#include "store/reader.h"
#include "store/row.h"
#include "store/told_read.h"
#include "store/wish.h"

#define SCAN                                                                                       \
    "SELECT r.row, r.endpoint, n.expires FROM registration r CROSS JOIN renewal n ON n.row = "     \
    "r.row "

#define OFFLINE                                                                                    \
    "SELECT 0, endpoint, ended, registered, updated, seen FROM device WHERE offline = 1 "

const char *const read_sql[STMT_COUNT] = {
    [STMT_ROWS] = "SELECT " ROW_SELECT " WHERE r.row > ?1 ORDER BY r.row",
    [STMT_ROW] = "SELECT " ROW_SELECT " WHERE r.row = ?1",
    [STMT_ENDPOINT] = "SELECT " ROW_SELECT " WHERE r.endpoint = ?1",
    [STMT_SCAN_AFTER] = SCAN "WHERE r.endpoint > ?1 ORDER BY r.endpoint",
    [STMT_SCAN_FROM] = SCAN "WHERE r.endpoint >= ?1 ORDER BY r.endpoint",
    [STMT_LINKS] = "SELECT text FROM objlist WHERE id = ?1",
    [STMT_OBSERVATIONS] = "SELECT " WISH_SELECT " WHERE token BETWEEN ?1 AND ?2 AND row <> 0 "
                          "ORDER BY token",
    [STMT_WANTED] = "SELECT " WISH_SELECT " WHERE device = (SELECT id FROM device "
                    "WHERE endpoint = ?1) ORDER BY token",
    [STMT_MODELS] = "SELECT object, version, xml FROM model ORDER BY object, version",
    [STMT_MARK] = "SELECT value FROM meta WHERE key = ?1",
    [STMT_KNOWN] = "SELECT EXISTS (SELECT 1 FROM registration WHERE endpoint = ?1) OR "
                   "EXISTS (SELECT 1 FROM device WHERE endpoint = ?1)",
    [STMT_DEVICE] = "SELECT id FROM device WHERE endpoint = ?1",
    [STMT_OFFLINE_AFTER] = OFFLINE "AND endpoint > ?1 ORDER BY endpoint",
    [STMT_OFFLINE_FROM] = OFFLINE "AND endpoint >= ?1 ORDER BY endpoint",
    [STMT_OFFLINE] = OFFLINE "AND endpoint = ?1",
    [STMT_PROFILES] = "SELECT id, links, source, since FROM profile ORDER BY id",
    DURABLE_READ_SQL,
    TOLD_READ_SQL,
};

int read_open(const char *path, struct reader **ret_reader)
{
    struct reader *r = mem_new(sizeof(*r));

    if (!r)
        return ERR_NOMEM;
    r->path = mem_text(path, strlen(path));
    /* What a page takes is bounded by the limit its caller gives. */
    r->arena = arena_new(SIZE_MAX);
    if (!r->path || !r->arena) {
        read_close(r);
        return ERR_NOMEM;
    }
    *ret_reader = r;
    return ERR_OK;
}

void read_close(struct reader *r)
{
    if (!r)
        return;
    reader_disconnect(r);
    arena_free(r->arena);
    mem_free(r->path);
    mem_free(r);
}

uint64_t read_steps(const struct reader *r)
{
    return r->steps;
}

uint64_t read_skipped(const struct reader *r)
{
    return r->skipped;
}

/* ---- registrations ---------------------------------------------------------------------- */

static int load_links(struct reader *r, int64_t id, struct view *ret_text)
{
    sqlite3_stmt *stmt = r->stmt[STMT_LINKS];
    size_t slot = (uint64_t)id % READER_LINKS;
    int result, rc;

    if (id == 0) {
        *ret_text = VIEW_LIT("");
        return ERR_OK;
    }
    if (r->links[slot].id != id) {
        db_bind_i64(stmt, 1, id);
        result = sqlite3_step(stmt);
        if (result == SQLITE_ROW)
            rc = reader_keep(r, stmt, 0, &r->links[slot].text);
        else
            rc = result == SQLITE_DONE ? ERR_MALFORMED : db_error(r->db, result);
        reader_end(r, stmt);
        r->links[slot].id = rc < 0 ? 0 : id;
        if (rc < 0)
            return rc;
    }
    *ret_text = r->links[slot].text;
    return ERR_OK;
}

/* The row a ROW_SELECT statement is on; ERR_MALFORMED when it cannot be understood. */
static int take_row(struct reader *r, sqlite3_stmt *stmt, struct registration **ret_registration)
{
    int64_t links;
    int rc = row_read(stmt, r->arena, ret_registration, &links);

    return rc < 0 ? rc : load_links(r, links, &(*ret_registration)->links);
}

/* Hands over the one row that a bound statement selects; ERR_NOTFOUND without one, ERR_MALFORMED
 * when it cannot be understood. */
static int give_one(struct reader *r, sqlite3_stmt *stmt, read_registration_fn each, void *ctx)
{
    struct registration *reg;
    int result = sqlite3_step(stmt);
    int rc;

    if (result == SQLITE_ROW)
        rc = take_row(r, stmt, &reg);
    else
        rc = result == SQLITE_DONE ? ERR_NOTFOUND : db_error(r->db, result);
    if (rc == ERR_OK)
        rc = each(ctx, reg);
    reader_end(r, stmt);
    return rc;
}

int read_registrations(struct reader *r, uint64_t after, size_t limit, read_registration_fn each,
                       void *ctx)
{
    sqlite3_stmt *stmt;
    int result = SQLITE_DONE;
    size_t given = 0;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_ROWS];
    db_bind_u64(stmt, 1, after);
    while (rc >= 0 && given < limit && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct registration *reg;

        rc = take_row(r, stmt, &reg);
        if (rc < 0) {
            rc = reader_skip(r, rc, "registration", db_column_u64(stmt, 0));
            continue;
        }
        rc = each(ctx, reg);
        given++;
    }
    return reader_finish(r, stmt, given == limit ? SQLITE_DONE : result, rc);
}

/* ---- pages of devices ------------------------------------------------------------------- */

static bool state_matches(const struct read_filter *f, int64_t expires_ms)
{
    switch (f->state) {
    case READ_ANY:
        return true;
    case READ_REGISTERED:
        return expires_ms > f->now_ms;
    case READ_OFFLINE:
        return expires_ms <= f->now_ms;
    }
    return false;
}

static bool prefix_matches(const struct read_filter *f, struct view endpoint)
{
    return f->prefix.n == 0 || view_eq(view_sub(endpoint, 0, f->prefix.n), f->prefix);
}

static void set_cursor(struct reader *r, struct view endpoint)
{
    r->cursor_len = endpoint.n < sizeof(r->cursor) ? endpoint.n : sizeof(r->cursor);
    memcpy(r->cursor, endpoint.p, r->cursor_len);
}

/* What cannot be read was said at start; a page goes on without it. */
static int give_by_row(struct reader *r, uint64_t row, read_registration_fn each, void *ctx)
{
    int rc;

    db_bind_u64(r->stmt[STMT_ROW], 1, row);
    rc = give_one(r, r->stmt[STMT_ROW], each, ctx);
    return rc == ERR_MALFORMED ? ERR_OK : rc;
}

/* Devices in order of endpoint: those with a registration, or those without. */
struct head {
    sqlite3_stmt *stmt;
    struct view endpoint; /* of the row it is on; p NULL at the end */
};

/* In order of endpoint: behind the first without the prefix there is none with it. */
static int advance(struct reader *r, struct head *h, const struct read_filter *f)
{
    int result = sqlite3_step(h->stmt);

    h->endpoint = result == SQLITE_ROW ? db_column_bytes(h->stmt, 1) : VIEW_NONE;
    if (!prefix_matches(f, h->endpoint))
        h->endpoint = VIEW_NONE;
    return result == SQLITE_ROW || result == SQLITE_DONE ? ERR_OK : db_error(r->db, result);
}

/* Of an endpoint that is not registered its times are known. */
static int give_offline(struct reader *r, sqlite3_stmt *stmt, read_registration_fn each, void *ctx)
{
    struct registration *reg = arena_alloc(r->arena, sizeof(*reg));
    struct view none = VIEW_LIT("");
    int rc;

    if (!reg)
        return ERR_NOMEM;
    *reg = (struct registration){.sms = none,
                                 .profile = none,
                                 .links = none,
                                 .unknown = none,
                                 .identity.name = none,
                                 .expires_ms = sqlite3_column_int64(stmt, 2),
                                 .registered_ms = sqlite3_column_int64(stmt, 3),
                                 .updated_ms = sqlite3_column_int64(stmt, 4),
                                 .seen_ms = sqlite3_column_int64(stmt, 5)};
    rc = reader_keep(r, stmt, 1, &reg->endpoint);
    return rc < 0 ? rc : each(ctx, reg);
}

/* The row of a head, if it passes the filter. *ret_given: it did. */
static int give_head(struct reader *r, const struct head *h, const struct read_filter *f,
                     read_registration_fn each, void *ctx, bool *ret_given)
{
    uint64_t row = db_column_u64(h->stmt, 0);

    *ret_given = row == 0 || state_matches(f, sqlite3_column_int64(h->stmt, 2));
    if (!*ret_given)
        return ERR_OK;
    return row ? give_by_row(r, row, each, ctx) : give_offline(r, h->stmt, each, ctx);
}

/*
 * Walks two indexes on endpoint side by side: that of registrations, with the narrow table beside
 * it, and that of endpoints without one. Reads the wide table only for devices that pass. The
 * statements stay open over these look-ups, so that the page is one snapshot.
 */
static int walk(struct reader *r, struct head *heads, const struct read_filter *f,
                read_registration_fn each, void *ctx)
{
    size_t given = 0, seen = 0;
    int rc = ERR_OK;

    for (size_t i = 0; rc >= 0 && i < 2; i++)
        rc = heads[i].stmt ? advance(r, &heads[i], f) : ERR_OK;
    while (rc >= 0) {
        bool second = heads[1].endpoint.p &&
                      (!heads[0].endpoint.p || view_cmp(heads[1].endpoint, heads[0].endpoint) < 0);
        struct head *h = &heads[second];
        bool passed;

        if (!h->endpoint.p) {
            r->cursor_len = 0;
            return ERR_OK;
        }
        if (given == f->limit || seen == READER_SCAN_MAX)
            return ERR_OK;
        set_cursor(r, h->endpoint);
        seen++;
        rc = give_head(r, h, f, each, ctx, &passed);
        given += passed;
        if (rc >= 0)
            rc = advance(r, h, f);
    }
    return rc;
}

int read_devices(struct reader *r, const struct read_filter *f, read_registration_fn each,
                 void *ctx)
{
    bool behind = f->after.n && view_cmp(f->after, f->prefix) >= 0;
    struct head heads[2] = {{0}};
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    /* One lower bound only: with two of them SQLite might start at the lesser one. */
    heads[0].stmt = r->stmt[behind ? STMT_SCAN_AFTER : STMT_SCAN_FROM];
    if (f->state != READ_REGISTERED)
        heads[1].stmt = r->stmt[behind ? STMT_OFFLINE_AFTER : STMT_OFFLINE_FROM];
    for (size_t i = 0; i < 2 && heads[i].stmt; i++)
        db_bind_text(heads[i].stmt, 1, behind ? f->after : f->prefix);
    rc = walk(r, heads, f, each, ctx);
    for (size_t i = 0; i < 2 && heads[i].stmt; i++)
        reader_end(r, heads[i].stmt);
    return rc;
}

int read_device(struct reader *r, struct view endpoint, read_registration_fn each, void *ctx)
{
    sqlite3_stmt *offline;
    int result;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    db_bind_text(r->stmt[STMT_ENDPOINT], 1, endpoint);
    rc = give_one(r, r->stmt[STMT_ENDPOINT], each, ctx);
    if (rc != ERR_NOTFOUND)
        return rc == ERR_MALFORMED ? ERR_STORE : rc;
    offline = r->stmt[STMT_OFFLINE];
    db_bind_text(offline, 1, endpoint);
    result = sqlite3_step(offline);
    if (result == SQLITE_ROW)
        rc = give_offline(r, offline, each, ctx);
    else if (result != SQLITE_DONE)
        rc = db_error(r->db, result);
    reader_end(r, offline);
    return rc;
}

struct view read_cursor(const struct reader *r)
{
    return r->cursor_len ? view_of(r->cursor, r->cursor_len) : VIEW_NONE;
}

/* ---- the rest --------------------------------------------------------------------------- */

/* The row a statement is on; ERR_MALFORMED when it cannot be understood. */
static int take_observation(struct reader *r, sqlite3_stmt *stmt, struct observation **ret_kept)
{
    struct observation o;
    int rc = wish_read(stmt, &o);

    if (rc == ERR_OK)
        rc = reader_keep(r, stmt, 5, &o.attributes);
    if (rc == ERR_OK)
        rc = reader_keep(r, stmt, 7, &o.paths);
    if (rc < 0)
        return rc;
    *ret_kept = arena_alloc(r->arena, sizeof(**ret_kept));
    if (!*ret_kept)
        return ERR_NOMEM;
    **ret_kept = o;
    return ERR_OK;
}

/* The rows of a bound statement, until *left of them were given. */
static int give_observations(struct reader *r, sqlite3_stmt *stmt, size_t *left,
                             read_observation_fn each, void *ctx)
{
    int result = SQLITE_DONE;
    int rc = ERR_OK;

    while (rc >= 0 && *left && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct observation *o;

        rc = take_observation(r, stmt, &o);
        if (rc < 0) {
            rc = reader_skip(r, rc, "observation", db_column_u64(stmt, 0));
            continue;
        }
        rc = each(ctx, o);
        --*left;
    }
    return reader_finish(r, stmt, *left ? result : SQLITE_DONE, rc);
}

int read_observations(struct reader *r, uint64_t after_token, size_t limit,
                      read_observation_fn each, void *ctx)
{
    /* Tokens ascend as unsigned numbers, the column as signed ones: first the lower half. */
    struct {
        uint64_t from, to;
    } halves[] = {{after_token + 1, INT64_MAX}, {(uint64_t)INT64_MAX + 1, UINT64_MAX}};
    sqlite3_stmt *stmt;
    size_t left = limit;
    int rc = reader_start(r);

    if (rc < 0 || after_token == UINT64_MAX)
        return rc;
    if (halves[0].from > INT64_MAX)
        halves[1].from = halves[0].from;
    stmt = r->stmt[STMT_OBSERVATIONS];
    for (size_t i = halves[0].from > INT64_MAX; i < mem_count(halves) && rc == ERR_OK; i++) {
        db_bind_u64(stmt, 1, halves[i].from);
        db_bind_u64(stmt, 2, halves[i].to);
        rc = give_observations(r, stmt, &left, each, ctx);
    }
    return rc;
}

int read_wanted(struct reader *r, struct view endpoint, read_observation_fn each, void *ctx)
{
    size_t left = SIZE_MAX;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    db_bind_text(r->stmt[STMT_WANTED], 1, endpoint);
    return give_observations(r, r->stmt[STMT_WANTED], &left, each, ctx);
}

int read_models(struct reader *r, read_model_fn each, void *ctx)
{
    sqlite3_stmt *stmt;
    int result = SQLITE_DONE;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_MODELS];
    while (rc >= 0 && (result = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct view xml;

        rc = reader_keep(r, stmt, 2, &xml);
        if (rc == ERR_OK)
            rc = each(ctx, (uint16_t)sqlite3_column_int64(stmt, 0),
                      row_version_of(sqlite3_column_int64(stmt, 1)), xml);
    }
    return reader_finish(r, stmt, result, rc);
}

int read_known(struct reader *r, struct view endpoint)
{
    sqlite3_stmt *stmt;
    int64_t known;
    int result;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_KNOWN];
    db_bind_text(stmt, 1, endpoint);
    result = sqlite3_step(stmt);
    known = sqlite3_column_int64(stmt, 0);
    reader_end(r, stmt);
    if (result != SQLITE_ROW)
        return db_error(r->db, result);
    return known ? ERR_OK : ERR_NOTFOUND;
}

/* ---- operations ------------------------------------------------------------------------- */

int read_open_operations(struct reader *r, const struct op_id *after, size_t limit,
                         read_operation_fn each, void *ctx)
{
    return durable_read_open(r, after, limit, each, ctx);
}

int read_operations(struct reader *r, const struct read_operations_filter *f,
                    read_operation_fn each, void *ctx)
{
    return durable_read_page(r, f, each, ctx);
}

int read_operation(struct reader *r, const struct op_id *id, read_operation_fn each, void *ctx)
{
    return durable_read_one(r, id, each, ctx);
}

/* ---- values and timelines --------------------------------------------------------------- */

int read_values(struct reader *r, struct view endpoint, const struct path *path, read_value_fn each,
                void *ctx)
{
    return told_read_values(r, endpoint, path, each, ctx);
}

int read_history(struct reader *r, const struct read_history_filter *f, read_value_fn each,
                 void *ctx)
{
    return told_read_history(r, f, each, ctx);
}

int read_timeline(struct reader *r, struct view endpoint, struct view cursor, size_t limit,
                  read_entry_fn each, void *ctx)
{
    return told_read_timeline(r, endpoint, cursor, limit, each, ctx);
}

/* ---- profile IDs ------------------------------------------------------------------------ */

static int give_profile(struct reader *r, sqlite3_stmt *stmt, read_profile_fn each, void *ctx)
{
    int64_t source = sqlite3_column_int64(stmt, 2);
    struct view id, links;
    int rc = reader_keep(r, stmt, 0, &id);

    if (rc == ERR_OK)
        rc = reader_keep(r, stmt, 1, &links);
    if (rc != ERR_OK)
        return rc;
    if (source < 0 || source >= PROFILE_SOURCE_COUNT)
        return reader_skip(r, ERR_MALFORMED, "profile", 0);
    return each(ctx, id, links, (enum profile_source)source, sqlite3_column_int64(stmt, 3));
}

int read_profiles(struct reader *r, read_profile_fn each, void *ctx)
{
    sqlite3_stmt *stmt;
    int result = SQLITE_DONE;
    int rc = reader_start(r);

    if (rc < 0)
        return rc;
    stmt = r->stmt[STMT_PROFILES];
    while (rc >= 0 && (result = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = give_profile(r, stmt, each, ctx);
    return reader_finish(r, stmt, result, rc);
}

/* ---- numbers ---------------------------------------------------------------------------- */

static int mark(struct reader *r, const char *key, uint64_t *ret_value)
{
    sqlite3_stmt *stmt = r->stmt[STMT_MARK];
    int result, rc = ERR_OK;

    db_bind_text(stmt, 1, view_str(key));
    result = sqlite3_step(stmt);
    if (result == SQLITE_ROW)
        *ret_value = db_column_u64(stmt, 0);
    else
        rc = result == SQLITE_DONE ? ERR_STORE : db_error(r->db, result);
    reader_end(r, stmt);
    return rc;
}

int read_high_water(struct reader *r, uint64_t *ret_row, uint64_t *ret_generation)
{
    uint64_t row = 0, generation = 0;
    int rc = reader_start(r);

    if (rc == ERR_OK)
        rc = mark(r, "row", &row);
    if (rc == ERR_OK)
        rc = mark(r, "generation", &generation);
    if (rc < 0)
        return rc;
    *ret_row = row;
    *ret_generation = generation;
    return ERR_OK;
}

int read_device_count(struct reader *r, uint64_t *ret_count)
{
    int rc = reader_start(r);

    return rc < 0 ? rc : mark(r, "devices", ret_count);
}

int read_backup(struct reader *r, const char *to_path)
{
    int rc = reader_start(r);

    return rc < 0 ? rc : backup_run(r->db, to_path);
}
