/*
 * apply: transactions as SQL, on the writer's connection and thread.
 *
 * A result of apply_txn is one of three:
 *   an outcome (apply_is_outcome): nothing was changed, the rest of the batch is not concerned;
 *   a failure of this one: something may have been changed, the batch has to be rolled back or
 * guarded; a failure of the store (apply_is_fatal): nothing of the batch can be committed.
 */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/db.h"
#include "store/store.h"

struct apply;
int apply_open(sqlite3 *db, struct counters *counters, const struct store_retention *keep,
               struct apply **ret_apply);
void apply_close(struct apply *a);

int apply_begin(struct apply *a);
int apply_txn(struct apply *a, struct txn *t);
/* The same inside a savepoint: a failure of this one undoes this one only. */
int apply_guarded(struct apply *a, struct txn *t);
/* On failure the transaction is rolled back. */
int apply_commit(struct apply *a);
void apply_rollback(struct apply *a);
/* A transaction of its own that takes away a little of what is not to be kept. *ret_rows: as of
 * purge_step. */
int apply_purge(struct apply *a, size_t *ret_rows);
/* A write of its own that changes nothing: does the store take writes again? */
int apply_probe(struct apply *a);

/* What SQLite said when a transaction failed last. */
const char *apply_reason(const struct apply *a);

bool apply_is_outcome(int rc);
bool apply_is_fatal(int rc);

#endif
