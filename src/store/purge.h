/*
 * purge: takes away what is older, or more, than is to be kept, a little at a time. Belongs to the
 * writer.
 */
#ifndef STORE_PURGE_H
#define STORE_PURGE_H

#include "store/marks.h"
#include "store/store.h"

/* Rows that one step takes away at most; some milliseconds. */
#define PURGE_ROWS 256
/* The number of a row of history or timeline: milliseconds, and these bits. */
#define PURGE_SEQ_BITS 21

struct purge;
/* `keep`: every number set. */
int purge_open(sqlite3 *db, struct marks *marks, const struct store_retention *keep,
               struct purge **ret_purge);
void purge_close(struct purge *p);

/* One step, inside a transaction. *ret_rows: how many went; PURGE_ROWS or more: there may be others
 * left. */
int purge_step(struct purge *p, int64_t now_ms, size_t *ret_rows);

#endif
