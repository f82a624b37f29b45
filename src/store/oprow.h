/*
 * oprow: a durable operation as columns, and back. The one place that knows their order.
 */
#ifndef STORE_OPROW_H
#define STORE_OPROW_H

#include "store/db.h"

#include "model/model.h"

/* Columns of the table operation, bound and read in this order; first those that never change. */
#define OPROW_COLUMNS OPROW_FIXED_COLUMNS ", " OPROW_SET_COLUMNS
#define OPROW_PARAMETERS                                                                           \
    "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, " OPROW_SET_PARAMETERS
#define OPROW_FIXED_COLUMNS                                                                        \
    "id, device, kind, path, format, depth, priority, repeatable, created, expires, arguments, "   \
    "content, key, key_hash"
#define OPROW_SET_COLUMNS                                                                          \
    "state, late, token, settled, rc, code, result_format, result, result_text, location, "        \
    "attempt_count, attempts"
#define OPROW_SET_PARAMETERS "?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26"
/* What oprow_read expects: the same with the endpoint for the device. */
#define OPROW_SELECT                                                                               \
    "o.id, d.endpoint, o.kind, o.path, o.format, o.depth, o.priority, o.repeatable, o.created, "   \
    "o.expires, o.arguments, o.content, o.key, o.key_hash, o.state, o.late, o.token, o.settled, "  \
    "o.rc, o.code, o.result_format, o.result, o.result_text, o.location, o.attempt_count, "        \
    "o.attempts FROM operation o CROSS JOIN device d ON d.id = o.device"

#define OPROW_CREATED 8 /* column of OPROW_SELECT */
#define OPROW_ATTEMPTS_MAX (30 * OP_ATTEMPTS_MAX)

/* Bytes of the attempts while they are bound. */
struct oprow_scratch {
    uint8_t attempts[OPROW_ATTEMPTS_MAX];
};
/* Borrows o and scratch until the statement is reset. `settled_ms`: for one that is settled, but
 * does not say when. */
void oprow_bind(sqlite3_stmt *stmt, const struct operation *o, int64_t device, int64_t settled_ms,
                struct oprow_scratch *scratch);
/* The same for a statement that has only ?1, the id, and OPROW_SET_PARAMETERS. */
void oprow_bind_set(sqlite3_stmt *stmt, const struct operation *o, int64_t settled_ms,
                    struct oprow_scratch *scratch);
/* The operation a row is; its views live until the statement is stepped or reset. ERR_MALFORMED
 * when it cannot be understood. */
int oprow_read(sqlite3_stmt *stmt, struct operation *ret_operation);

/* Whether the numbers of o are ones that oprow_read takes back. */
bool oprow_valid(const struct operation *o);

#endif
