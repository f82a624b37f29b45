#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Counted in the server's resident memory. More does not make the writer faster: what misses is in
 * the kernel's cache, and after a page was split SQLite walks all of its own at each commit.
 */
#define DB_CACHE_WRITER "PRAGMA cache_size = -8192;"
#define DB_CACHE_READER "PRAGMA cache_size = -2048;"
/* What a large batch or a starved checkpoint left of the log is given back. */
#define DB_WAL_KEPT "PRAGMA journal_size_limit = 134217728;"

static const struct {
    int flags;
    const char *setup;
} modes[] = {
    [DB_WRITER] = {SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                   "PRAGMA wal_autocheckpoint = 0;"
                   "PRAGMA temp_store = MEMORY;" DB_CACHE_WRITER DB_WAL_KEPT},
    [DB_READER] = {SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX,
                   "PRAGMA temp_store = MEMORY;" DB_CACHE_READER},
};

static const struct {
    int result; /* primary result code */
    int rc;
} errors[] = {
    {SQLITE_FULL, ERR_DISKFULL},
    {SQLITE_NOMEM, ERR_NOMEM},
    {SQLITE_CONSTRAINT, ERR_CONFLICT},
    {SQLITE_TOOBIG, ERR_LIMIT},
};

/* Why the system refused, as the file remembers it. */
static int file_errno(sqlite3 *db, int which)
{
    sqlite3_file *file = NULL;
    int number = 0;

    if (sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

static bool is_full(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

/* Quotas and file size limits reach us as plain write errors, the reason in one place or another.
 */
static bool is_out_of_space(sqlite3 *db)
{
    return db && (is_full(sqlite3_system_errno(db)) ||
                  is_full(file_errno(db, SQLITE_FCNTL_FILE_POINTER)) ||
                  is_full(file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER)));
}

int db_error(sqlite3 *db, int result)
{
    if ((result & 0xff) == SQLITE_IOERR && is_out_of_space(db))
        return ERR_DISKFULL;
    for (size_t i = 0; i < mem_count(errors); i++) {
        if (errors[i].result == (result & 0xff))
            return errors[i].rc;
    }
    return ERR_STORE;
}

int db_check(sqlite3 *db, int result)
{
    return result == SQLITE_OK ? ERR_OK : db_error(db, result);
}

/* SQLite would make it readable to others as far as the umask lets it; it holds identities. */
static int create(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return errno == ENOSPC || errno == EDQUOT ? ERR_DISKFULL : ERR_STORE;
    close(fd);
    return ERR_OK;
}

/* Process wide, before the first connection: without the statistics SQLite allocates without a
 * lock. */
static void setup(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_open(const char *path, enum db_mode mode, sqlite3 **ret_db)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sqlite3 *db = NULL;
    int rc = mode == DB_WRITER ? create(path) : ERR_OK;

    pthread_once(&once, setup);
    if (rc == ERR_OK)
        rc = db_check(db, sqlite3_open_v2(path, &db, modes[mode].flags, NULL));
    if (rc == ERR_OK)
        rc = db_check(db, sqlite3_extended_result_codes(db, 1));
    if (rc == ERR_OK)
        rc = db_check(db, sqlite3_busy_timeout(db, DB_BUSY_MS));
    if (rc == ERR_OK)
        rc = db_exec(db, modes[mode].setup);
    if (rc < 0) {
        log_error("cannot open the database", log_text("path", path),
                  log_text("reason", db ? sqlite3_errmsg(db) : err_text(rc)));
        db_close(db);
        return rc;
    }
    *ret_db = db;
    return ERR_OK;
}

void db_close(sqlite3 *db)
{
    int result = sqlite3_close(db);

    assert(result == SQLITE_OK); /* all statements were finalized */
    (void)result;
}

int db_exec(sqlite3 *db, const char *sql)
{
    return db_check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt)
{
    sqlite3_stmt *stmt;
    int result = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

    if (result != SQLITE_OK)
        return db_error(db, result);
    *ret_stmt = stmt;
    return ERR_OK;
}

int db_prepare_all(sqlite3 *db, const char *const *sql, size_t count, sqlite3_stmt **stmts)
{
    for (size_t i = 0; i < count; i++) {
        int rc = db_prepare(db, sql[i], &stmts[i]);

        if (rc < 0) {
            db_finalize_all(i, stmts);
            return rc;
        }
    }
    return ERR_OK;
}

void db_finalize_all(size_t count, sqlite3_stmt **stmts)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(stmts[i]);
        stmts[i] = NULL;
    }
}

int db_run(sqlite3_stmt *stmt)
{
    int result = sqlite3_step(stmt);

    sqlite3_reset(stmt);
    return result == SQLITE_DONE ? ERR_OK : db_error(sqlite3_db_handle(stmt), result);
}

int db_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *stmt = NULL;
    int64_t number = 0;
    int result, rc;

    rc = db_prepare(db, sql, &stmt);
    if (rc < 0)
        return rc;
    result = sqlite3_step(stmt);
    if (result == SQLITE_ROW)
        number = sqlite3_column_int64(stmt, 0);
    else
        rc = result == SQLITE_DONE ? ERR_NOTFOUND : db_error(db, result);
    sqlite3_finalize(stmt);
    if (rc == ERR_OK)
        *ret_number = number;
    return rc;
}

void db_bind_text(sqlite3_stmt *stmt, int index, struct view v)
{
    /* A NULL pointer would bind NULL. */
    sqlite3_bind_text64(stmt, index, v.n ? (const char *)v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8);
}

void db_bind_blob(sqlite3_stmt *stmt, int index, struct view v)
{
    sqlite3_bind_blob64(stmt, index, v.n ? v.p : (const uint8_t *)"", v.n, SQLITE_STATIC);
}

void db_bind_i64(sqlite3_stmt *stmt, int index, int64_t v)
{
    sqlite3_bind_int64(stmt, index, v);
}

void db_bind_u64(sqlite3_stmt *stmt, int index, uint64_t v)
{
    sqlite3_bind_int64(stmt, index, (int64_t)v);
}

uint64_t db_column_u64(sqlite3_stmt *stmt, int index)
{
    return (uint64_t)sqlite3_column_int64(stmt, index);
}

struct view db_column_bytes(sqlite3_stmt *stmt, int index)
{
    /* Also for text: sqlite3_column_text would copy it to append a NUL. */
    const void *bytes = sqlite3_column_blob(stmt, index);

    return view_of(bytes, (size_t)sqlite3_column_bytes(stmt, index));
}
