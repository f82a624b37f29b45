/*
 * kept: what outlives registrations, as one: endpoints that are known, wishes, durable operations,
 * values, timelines, profile IDs. Belongs to the writer; apply.h says what the results mean.
 */
#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include "store/marks.h"
#include "store/store.h"

struct kept;
int kept_open(sqlite3 *db, struct marks *marks, const struct store_retention *keep,
              struct kept **ret_kept);
void kept_close(struct kept *k);

/* The transactions that are not about registrations. */
int kept_txn(struct kept *k, struct txn *t);
/* t has registered an endpoint that had no registration: takes up what waits for it. */
int kept_arrive(struct kept *k, struct txn *t);
/* The registration of this row is about to be deleted. */
int kept_leave(struct kept *k, uint64_t row);
/* Takes away a little of what is not to be kept. *ret_rows: as of purge_step. */
int kept_purge(struct kept *k, size_t *ret_rows);

#endif
