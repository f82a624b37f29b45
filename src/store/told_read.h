/*
 * told_read: values, their history and timelines for read.h.
 */
#ifndef STORE_TOLD_READ_H
#define STORE_TOLD_READ_H

#include "store/reader.h"

/* Their rows of read_sql. A page of history is found in its index, and then read row by row. */
#define TOLD_READ_SQL                                                                              \
    [STMT_VALUES] = "SELECT path, prefix, time, origin, type, content FROM value "                 \
                    "WHERE device = ?1 AND path BETWEEN ?2 AND ?3 ORDER BY path, prefix",          \
    [STMT_HISTORY] = "SELECT time, path, seq FROM history WHERE device = ?1 AND time >= ?2 AND "   \
                     "(time, path, seq) < (?3, ?4, ?5) ORDER BY time DESC, path DESC, seq DESC",   \
    [STMT_HISTORY_ROW] = "SELECT path, prefix, time, origin, type, content FROM history "          \
                         "WHERE seq = ?1",                                                         \
    [STMT_TIMELINE] = "SELECT time, seq, type, rc, reg_id, detail FROM timeline "                  \
                      "WHERE device = ?1 AND (time, seq) < (?2, ?3) ORDER BY time DESC, seq DESC"

/* As read_values, read_history and read_timeline. */
int told_read_values(struct reader *r, struct view endpoint, const struct path *path,
                     read_value_fn each, void *ctx);
int told_read_history(struct reader *r, const struct read_history_filter *f, read_value_fn each,
                      void *ctx);
int told_read_timeline(struct reader *r, struct view endpoint, struct view cursor, size_t limit,
                       read_entry_fn each, void *ctx);

#endif
