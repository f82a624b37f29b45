/*
 * wish: observations as what is wanted of an endpoint; they outlive its registrations.
 * Belongs to the writer.
 */
#ifndef STORE_WISH_H
#define STORE_WISH_H

#include "store/known.h"

#include "model/model.h"

#define WISH_CARRIED_MAX 64 /* given to one Register */

struct wish;
int wish_open(sqlite3 *db, struct known *known, struct wish **ret_wish);
void wish_close(struct wish *w);

/* ERR_UNREGISTERED: not of the registration that is stored. */
int wish_put(struct wish *w, const struct observation *o);
int wish_del(struct wish *w, uint64_t token);
/* The registration of this row ends. */
int wish_leave(struct wish *w, uint64_t row);
/* Wishes without a registration pass to this one; carried by t. */
int wish_carry(struct wish *w, int64_t device, struct txn *t);

/* One row of WISH_SELECT; its views live until the statement is stepped or reset. ERR_MALFORMED
 * when the path is none. */
#define WISH_SELECT                                                                                \
    "token, row, reg_id, path, format, attributes, CASE row WHEN 0 THEN 0 ELSE since END, paths "  \
    "FROM observation"
int wish_read(sqlite3_stmt *stmt, struct observation *ret_observation);

#endif
