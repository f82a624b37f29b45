/*
 * durable: operations that outlive us, on the writer's connection.
 */
#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include "store/known.h"

#include "model/model.h"

#define DURABLE_CARRIED_MAX 256 /* given to one Register */
#define DURABLE_WAITING_MAX 64  /* of one endpoint that is not registered */

struct durable;
int durable_open(sqlite3 *db, struct known *known, struct marks *marks,
                 struct durable **ret_durable);
void durable_close(struct durable *d);

/* TXN_PUT_OPERATION. */
int durable_put(struct durable *d, struct txn *t);
/* TXN_SET_OPERATION. */
int durable_set(struct durable *d, const struct operation *o);
/* What waits for this endpoint, or for a late answer, is carried by t. */
int durable_carry(struct durable *d, int64_t device, struct txn *t);

#endif
