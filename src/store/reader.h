/*
 * reader: the connection of a thread that reads, its statements, and how each call begins and ends.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "store/db.h"
#include "store/read.h"

/* Rows looked at for one page: what a filter costs that few of them pass. */
#define READER_SCAN_MAX 16384
#define READER_LINKS 64
#define READER_CURSOR_MAX ENDPOINT_MAX

enum reader_stmt {
    STMT_ROWS,
    STMT_ROW,
    STMT_ENDPOINT,
    STMT_SCAN_AFTER,
    STMT_SCAN_FROM,
    STMT_LINKS,
    STMT_OBSERVATIONS,
    STMT_WANTED,
    STMT_MODELS,
    STMT_MARK,
    STMT_KNOWN,
    STMT_DEVICE,
    STMT_OPERATION,
    STMT_OPEN_OPERATIONS,
    STMT_OPERATIONS,
    STMT_OPERATIONS_OPEN,
    STMT_OPERATIONS_OF,
    STMT_VALUES,
    STMT_HISTORY,
    STMT_HISTORY_ROW,
    STMT_TIMELINE,
    STMT_OFFLINE_AFTER,
    STMT_OFFLINE_FROM,
    STMT_OFFLINE,
    STMT_PROFILES,
    STMT_COUNT
};
/* Their texts, in read.c. */
extern const char *const read_sql[STMT_COUNT];

struct reader {
    char *path;
    sqlite3 *db; /* NULL until the first call */
    sqlite3_stmt *stmt[STMT_COUNT];
    struct arena *arena; /* rows of the last call */
    struct {
        int64_t id; /* 0: empty */
        struct view text;
    } links[READER_LINKS]; /* of the last call, in the arena */
    uint8_t cursor[READER_CURSOR_MAX];
    size_t cursor_len; /* 0: none */
    uint64_t steps;
    uint64_t skipped; /* rows left out since read_open */
};

/* Each call begins here: forgets the rows of the last one, connects. */
int reader_start(struct reader *r);
/* Ends a statement, and with it, when it was the last one, the read transaction. */
void reader_end(struct reader *r, sqlite3_stmt *stmt);
/* The same after a walk that ended with `result` of SQLite, or before it with rc < 0. */
int reader_finish(struct reader *r, sqlite3_stmt *stmt, int result, int rc);
/* Passes over a row that cannot be understood (ERR_MALFORMED), so that one does not keep all others
 * away, and says so; any other failure is passed on. */
int reader_skip(struct reader *r, int rc, const char *table, uint64_t key);
void reader_disconnect(struct reader *r);

/* Bytes of a column that outlive the statement; "" is not NULL. */
int reader_keep(struct reader *r, sqlite3_stmt *stmt, int column, struct view *ret_view);
int64_t reader_limit(size_t limit);
/* What belongs to the endpoint is found under this number; 0 when nothing does. */
int reader_device(struct reader *r, struct view endpoint, int64_t *ret_device);

#endif
