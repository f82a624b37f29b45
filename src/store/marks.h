/*
 * marks: small numbers of the whole database, kept in memory and written to the table meta with
 * each commit that changed them; and counters that count what is committed. Belongs to the writer.
 */
#ifndef STORE_MARKS_H
#define STORE_MARKS_H

#include "store/db.h"

enum mark {
    MARK_ROW,        /* highest ever used */
    MARK_GENERATION, /* likewise */
    MARK_DEVICES,    /* rows of registration */
    MARK_OFFLINE,    /* rows of device without a registration */
    MARK_SETTLED,    /* operations that are settled */
    MARK_HISTORY,    /* rows */
    MARK_TIMELINE,   /* rows */
    MARK_PROFILES,   /* rows */
    MARK_COUNT
};

struct marks;
int marks_open(sqlite3 *db, struct counters *counters, struct marks **ret_marks);
void marks_close(struct marks *m);

/* As the open transaction sees it. */
int64_t marks_get(const struct marks *m, enum mark mark);
void marks_add(struct marks *m, enum mark mark, int64_t n);
void marks_raise(struct marks *m, enum mark mark, uint64_t to);

/* Counts what is undone when the transaction is. */
void marks_count(struct marks *m, enum counter which, uint64_t n);

/* Writes what changed. Before COMMIT, and before a savepoint is released. */
int marks_flush(struct marks *m);
/* A savepoint was made, and later undone. */
void marks_save(struct marks *m);
void marks_undo(struct marks *m);
/* After COMMIT; after ROLLBACK. */
void marks_commit(struct marks *m);
void marks_rollback(struct marks *m);

#endif
