/*
 * db: one SQLite connection, as this folder uses it. Nothing here is thread safe.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/base.h"

#include <sqlite3.h>

/* How long a connection waits for a lock. */
#define DB_BUSY_MS 2000

enum db_mode { DB_WRITER, DB_READER };

/* The writer creates a missing file (mode 0600) in WAL mode and never checkpoints by itself; a
 * reader cannot write. Both wait at most DB_BUSY_MS for a lock of another program. */
int db_open(const char *path, /* How long a connection waits for a lock. */
#define DB_BUSY_MS 2000

            enum db_mode mode, sqlite3 **ret_db);
void db_close(sqlite3 *db);

/* The ERR_ value of the last failure of this connection, whose result was `result`. */
int db_error(sqlite3 *db, int result);
/* The same, for a result that must be SQLITE_OK. */
int db_check(sqlite3 *db, int result);

/* Runs statements without parameters or results. */
int db_exec(sqlite3 *db, const char *sql);
/* A statement that lives as long as its connection. */
int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt);
/* Prepares all of `count` texts; none on failure. */
int db_prepare_all(sqlite3 *db, const char *const *sql, size_t count, sqlite3_stmt **stmts);
void db_finalize_all(size_t count, sqlite3_stmt **stmts);
/* Runs a bound statement that returns no rows, and resets it. */
int db_run(sqlite3_stmt *stmt);
/* The first column of the first row; ERR_NOTFOUND without a row. */
int db_number(sqlite3 *db, const char *sql, int64_t *ret_number);

/*
 * Text and blobs are bound without a copy: they must stay until the statement is reset. A bind that
 * fails (too large) leaves NULL, which every column refuses: the step reports it.
 */
void db_bind_text(sqlite3_stmt *stmt, int index, struct view v);
void db_bind_blob(sqlite3_stmt *stmt, int index, struct view v);
void db_bind_i64(sqlite3_stmt *stmt, int index, int64_t v);
/* uint64 as the signed number of the same bits, and back. */
void db_bind_u64(sqlite3_stmt *stmt, int index, uint64_t v);
uint64_t db_column_u64(sqlite3_stmt *stmt, int index);
/* Text or blob; borrowed until the statement is stepped or reset. */
struct view db_column_bytes(sqlite3_stmt *stmt, int index);

#endif
