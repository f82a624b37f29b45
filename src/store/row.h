/*
 * row: a registration as columns, and back. The one place that knows their order.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "store/db.h"

#include "model/model.h"

/* Columns of the table registration, bound and read in this order. */
#define ROW_COLUMNS "row, endpoint, " ROW_UPDATE_COLUMNS
#define ROW_PARAMETERS "?1, ?2, " ROW_UPDATE_PARAMETERS
/* The same without row and endpoint, which are what a row is found by. */
#define ROW_UPDATE_COLUMNS                                                                         \
    "reg_id, generation, objlist, version, lifetime, lifetime_given, binding, queue, sms, "        \
    "profile, unknown, peer, local, transport, listener, identity_type, identity, registered, "    \
    "updated"
#define ROW_UPDATE_PARAMETERS                                                                      \
    "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21"
/* What row_read expects: the same, then expiry and last seen of the table renewal. */
#define ROW_SELECT                                                                                 \
    "r.row, r.endpoint, r.reg_id, r.generation, r.objlist, r.version, r.lifetime, "                \
    "r.lifetime_given, r.binding, r.queue, r.sms, r.profile, r.unknown, r.peer, r.local, "         \
    "r.transport, r.listener, r.identity_type, r.identity, r.registered, r.updated, "              \
    "n.expires, n.seen "                                                                           \
    "FROM registration r LEFT JOIN renewal n ON n.row = r.row"

#define ROW_ADDR_MAX 20

/* Bytes of the addresses while they are bound. */
struct row_scratch {
    uint8_t peer[ROW_ADDR_MAX];
    uint8_t local[ROW_ADDR_MAX];
};
/* Borrows r and scratch until the statement is reset. */
void row_bind(sqlite3_stmt *stmt, const struct registration *r, int64_t objlist,
              struct row_scratch *scratch);
/* A registration in the arena, without its links; *ret_objlist: 0 when it has none. ERR_MALFORMED
 * when the columns are not what row_bind writes. */
int row_read(sqlite3_stmt *stmt, struct arena *a, struct registration **ret_registration,
             int64_t *ret_objlist);

int64_t row_version(struct version v);
struct version row_version_of(int64_t number);

/* An error by its name, for the numbers of err.def are not for ever; "" is ERR_OK. */
struct view row_error(int rc);
/* ERR_INTERNAL for a name that is not known any more. */
int row_error_of(struct view name);

/* A path as one number: 16 bits for each level, id + 1, 0 = there is no such level; the top bit is
 * turned over, so that signed numbers sort as path_cmp does. */
int64_t row_path(const struct path *p);
struct path row_path_of(int64_t number);
/* The last number of what lies at or below p; row_path is the first. */
int64_t row_path_last(const struct path *p);

#endif
