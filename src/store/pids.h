/*
 * pids: what profile IDs stand for. Belongs to the writer.
 */
#ifndef STORE_PIDS_H
#define STORE_PIDS_H

#include "store/marks.h"

#include "model/model.h"

#define PIDS_LEARNED_MAX 65536 /* as many in all, where one is learned from a device */

struct pids;
int pids_open(sqlite3 *db, struct marks *marks, struct pids **ret_pids);
void pids_close(struct pids *p);

/* TXN_PUT_PROFILE: ERR_STALE for one that is learned, but is configured; ERR_INVALID; ERR_QUEUE
 * when a learned one is too many. */
int pids_put(struct pids *p, const struct txn *t);
/* TXN_DEL_PROFILE. */
int pids_del(struct pids *p, const struct txn *t);

#endif
