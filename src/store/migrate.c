#include "store/migrate.h"

#include <assert.h>
#include <stdio.h>

#define CHUNK_ROWS 16384
#define CHUNK_STATEMENTS 16
#define SQL_MAX 4096
#define MARK_CHUNKED "-- chunked: "
#define MARK_FINISH "-- finish"

/* A step taken apart. */
struct parts {
    struct view opening;
    struct view table; /* "" when it is not chunked */
    struct view chunk;
    struct view finish;
};

/* A chunked step under way. */
struct pass {
    sqlite3 *db;
    const struct migrate_config *cfg;
    unsigned version;
    sqlite3_stmt *bound; /* highest key of the chunk after ?1 */
    sqlite3_stmt *chunk[CHUNK_STATEMENTS];
    size_t count;
    int64_t row, done, total;
};

static struct view cut_line(struct view *rest)
{
    struct view line = VIEW_NONE;

    view_split(rest, '\n', &line);
    return line;
}

/* Splits `text` at the line that begins with `mark`; the rest begins behind the mark, p NULL
 * without one. */
static struct view split_at(struct view text, const char *mark, struct view *ret_rest)
{
    struct view rest = text, line;

    while (view_split(&rest, '\n', &line)) {
        size_t before = (size_t)(line.p - text.p);

        if (line.n >= strlen(mark) && memcmp(line.p, mark, strlen(mark)) == 0) {
            *ret_rest = view_sub(text, before + strlen(mark), text.n);
            return view_of(text.p, before);
        }
    }
    *ret_rest = VIEW_NONE;
    return text;
}

static struct parts take_apart(const char *text)
{
    struct parts p = {0};
    struct view rest;

    p.opening = split_at(view_str(text), MARK_CHUNKED, &rest);
    if (!rest.p)
        return p;
    p.table = cut_line(&rest);
    p.chunk = split_at(rest, MARK_FINISH, &p.finish);
    return p;
}

/* Runs all statements of a part. */
static int run_part(sqlite3 *db, struct view part)
{
    char *sql;
    int rc;

    if (part.n == 0)
        return ERR_OK;
    sql = mem_text(part.p, part.n);
    if (!sql)
        return ERR_NOMEM;
    rc = db_exec(db, sql);
    mem_free(sql);
    return rc;
}

static int run_begin(sqlite3 *db)
{
    return db_exec(db, "BEGIN IMMEDIATE");
}

/* Passes a failure on, after saying what SQLite has to say about it. */
static int explain(sqlite3 *db, int rc)
{
    if (rc < 0)
        log_error("cannot bring the database to the present schema",
                  log_text("reason", sqlite3_errmsg(db)));
    return rc;
}

/* Ends the transaction: COMMIT when all went well, else ROLLBACK. Returns what the caller should.
 */
static int run_end(sqlite3 *db, int rc)
{
    if (rc == ERR_OK)
        rc = db_exec(db, "COMMIT");
    explain(db, rc);
    if (rc < 0 && !sqlite3_get_autocommit(db))
        db_exec(db, "ROLLBACK");
    return rc;
}

static int set_version(sqlite3 *db, unsigned version)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", version);
    return db_exec(db, sql);
}

static int run_plain(sqlite3 *db, const struct schema_step *step)
{
    int rc = run_begin(db);

    if (rc < 0)
        return rc;
    rc = db_exec(db, step->text);
    if (rc == ERR_OK)
        rc = set_version(db, step->version);
    return run_end(db, rc);
}

static int put_meta(sqlite3 *db, const char *key, int64_t value)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO meta (key, value) VALUES ('%s', %lld)", key,
             (long long)value);
    return db_exec(db, sql);
}

static int get_meta(sqlite3 *db, const char *key, int64_t *ret_value)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "SELECT value FROM meta WHERE key = '%s'", key);
    return db_number(db, sql, ret_value);
}

static int in_progress(sqlite3 *db, int64_t *ret_version)
{
    int64_t n = 0;
    int rc = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", &n);

    *ret_version = 0;
    if (rc < 0 || n == 0)
        return rc;
    rc = get_meta(db, "migration_version", ret_version);
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* Runs the opening part and notes that it has been. */
static int start_pass(struct pass *pass, const struct parts *parts)
{
    char sql[SQL_MAX];
    int64_t total = 0;
    int rc = run_begin(pass->db);

    if (rc < 0)
        return rc;
    rc = run_part(pass->db, parts->opening);
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM " VIEW_FMT, VIEW_ARG(parts->table));
    if (rc == ERR_OK)
        rc = db_number(pass->db, sql, &total);
    if (rc == ERR_OK)
        rc = put_meta(pass->db, "migration_version", pass->version);
    if (rc == ERR_OK)
        rc = put_meta(pass->db, "migration_row", INT64_MIN);
    if (rc == ERR_OK)
        rc = put_meta(pass->db, "migration_done", 0);
    if (rc == ERR_OK)
        rc = put_meta(pass->db, "migration_total", total);
    return run_end(pass->db, rc);
}

static int resume_pass(struct pass *pass)
{
    int rc = get_meta(pass->db, "migration_row", &pass->row);

    if (rc == ERR_OK)
        rc = get_meta(pass->db, "migration_done", &pass->done);
    if (rc == ERR_OK)
        rc = get_meta(pass->db, "migration_total", &pass->total);
    return rc;
}

static int prepare_pass(struct pass *pass, const struct parts *parts)
{
    char sql[SQL_MAX];
    const char *p;
    char *text;
    int rc;

    snprintf(sql, sizeof(sql),
             "SELECT max(k), count(*) FROM (SELECT rowid AS k FROM " VIEW_FMT
             " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)",
             VIEW_ARG(parts->table));
    rc = db_prepare(pass->db, sql, &pass->bound);
    if (rc < 0)
        return rc;
    text = mem_text(parts->chunk.p, parts->chunk.n);
    if (!text)
        return ERR_NOMEM;
    for (p = text; rc == ERR_OK && *p;) {
        sqlite3_stmt *stmt;
        int result = sqlite3_prepare_v3(pass->db, p, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &p);

        rc = db_check(pass->db, result);
        if (rc == ERR_OK && stmt) { /* none: only a comment was left */
            assert(pass->count < CHUNK_STATEMENTS);
            pass->chunk[pass->count++] = stmt;
        }
    }
    mem_free(text);
    return rc;
}

/* One chunk with its progress. *ret_rows: 0 when there was none left. */
static int run_chunk(struct pass *pass, int64_t *ret_rows)
{
    size_t rows = pass->cfg->chunk_rows ? pass->cfg->chunk_rows : CHUNK_ROWS;
    int64_t last, n;
    int rc = ERR_OK;

    db_bind_i64(pass->bound, 1, pass->row);
    db_bind_i64(pass->bound, 2, (int64_t)rows);
    if (sqlite3_step(pass->bound) != SQLITE_ROW)
        rc = db_error(pass->db, sqlite3_errcode(pass->db));
    last = sqlite3_column_int64(pass->bound, 0);
    n = sqlite3_column_int64(pass->bound, 1);
    sqlite3_reset(pass->bound);
    for (size_t i = 0; rc == ERR_OK && n > 0 && i < pass->count; i++) {
        db_bind_i64(pass->chunk[i], 1, pass->row);
        db_bind_i64(pass->chunk[i], 2, last);
        rc = db_run(pass->chunk[i]);
    }
    if (rc == ERR_OK && n > 0)
        rc = put_meta(pass->db, "migration_row", last);
    if (rc == ERR_OK && n > 0)
        rc = put_meta(pass->db, "migration_done", pass->done + n);
    if (rc < 0)
        return rc;
    if (n > 0)
        pass->row = last;
    pass->done += n;
    *ret_rows = n;
    return ERR_OK;
}

static int run_chunks(struct pass *pass)
{
    int64_t rows = 0;
    int rc;

    do {
        rc = run_begin(pass->db);
        if (rc < 0)
            return rc;
        rc = run_end(pass->db, run_chunk(pass, &rows));
        /* Nobody else reads or writes yet: the log stays as short as a chunk. */
        if (rc == ERR_OK)
            rc = db_check(pass->db, sqlite3_wal_checkpoint_v2(
                                        pass->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
        if (rc == ERR_OK && rows > 0 && pass->cfg->progress)
            pass->cfg->progress(pass->cfg->progress_ctx, pass->version, (uint64_t)pass->done,
                                (uint64_t)pass->total);
    } while (rc == ERR_OK && rows > 0);
    return rc;
}

static int finish_pass(struct pass *pass, const struct parts *parts)
{
    int rc = run_begin(pass->db);

    if (rc < 0)
        return rc;
    rc = run_part(pass->db, parts->finish);
    if (rc == ERR_OK)
        rc = db_exec(pass->db, "DELETE FROM meta WHERE key LIKE 'migration\\_%' ESCAPE '\\'");
    if (rc == ERR_OK)
        rc = set_version(pass->db, pass->version);
    return run_end(pass->db, rc);
}

static int run_chunked(sqlite3 *db, const struct migrate_config *cfg, unsigned version,
                       const struct parts *parts, bool resume)
{
    struct pass pass = {.db = db, .cfg = cfg, .version = version};
    int rc = resume ? ERR_OK : start_pass(&pass, parts);

    if (rc == ERR_OK)
        rc = resume_pass(&pass);
    if (rc == ERR_OK)
        rc = explain(db, prepare_pass(&pass, parts));
    if (rc == ERR_OK)
        rc = run_chunks(&pass);
    /* Before the last part, which may change what they were made for. */
    db_finalize_all(pass.count, pass.chunk);
    sqlite3_finalize(pass.bound);
    if (rc == ERR_OK)
        rc = finish_pass(&pass, parts);
    return rc;
}

/* ERR_STORE when the file is neither ours nor empty. *ret_version: 0 when it is empty. */
static int check_ours(sqlite3 *db, int64_t *ret_version)
{
    int64_t application = 0, objects = 0, version = 0;
    int rc = db_number(db, "PRAGMA application_id", &application);

    if (rc == ERR_OK)
        rc = db_number(db, "PRAGMA user_version", &version);
    if (rc == ERR_OK)
        rc = db_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (rc < 0)
        return rc;
    if (application != MIGRATE_APPLICATION_ID && (application || version || objects)) {
        log_error("the database belongs to another program",
                  log_i64("application_id", application));
        return ERR_STORE;
    }
    *ret_version = version;
    return ERR_OK;
}

static int run_steps(sqlite3 *db, const struct migrate_config *cfg, int64_t version,
                     int64_t progress)
{
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < cfg->count; i++) {
        const struct schema_step *step = &cfg->steps[i];
        struct parts parts = take_apart(step->text);

        if (step->version <= version)
            continue;
        if (parts.table.n)
            rc = run_chunked(db, cfg, step->version, &parts, step->version == progress);
        else
            rc = run_plain(db, step);
    }
    return rc;
}

int migrate_run(sqlite3 *db, const struct migrate_config *cfg)
{
    int64_t newest = cfg->steps[cfg->count - 1].version;
    int64_t version, progress;
    int rc = check_ours(db, &version);

    if (rc == ERR_OK)
        rc = in_progress(db, &progress);
    if (rc == ERR_OK && (version > newest || progress > newest))
        rc = ERR_SCHEMA;
    if (rc == ERR_OK)
        rc = db_exec(db, "PRAGMA journal_mode = WAL");
    if (rc == ERR_OK)
        rc = run_steps(db, cfg, version, progress);
    if (rc == ERR_OK || rc == ERR_SCHEMA || rc == ERR_DISKFULL || rc == ERR_NOMEM)
        return rc;
    return ERR_STORE;
}
