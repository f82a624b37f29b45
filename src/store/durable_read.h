/*
 * durable_read: durable operations for read.h.
 */
#ifndef STORE_DURABLE_READ_H
#define STORE_DURABLE_READ_H

#include "store/oprow.h"
#include "store/reader.h"

/* Their rows of read_sql. */
#define DURABLE_READ_SQL                                                                           \
    [STMT_OPERATION] = "SELECT " OPROW_SELECT " WHERE o.id = ?1",                                  \
    [STMT_OPEN_OPERATIONS] =                                                                       \
        "SELECT " OPROW_SELECT " WHERE o.state IN (0, 1, 5) AND o.id > ?1 AND d.offline = 0 "      \
        "ORDER BY o.id",                                                                           \
    [STMT_OPERATIONS] = "SELECT " OPROW_SELECT " WHERE o.id < ?1 ORDER BY o.id DESC",              \
    [STMT_OPERATIONS_OPEN] =                                                                       \
        "SELECT " OPROW_SELECT " WHERE o.state IN (0, 1, 5) AND o.id < ?1 ORDER BY o.id DESC",     \
    [STMT_OPERATIONS_OF] =                                                                         \
        "SELECT " OPROW_SELECT " WHERE o.device = ?2 AND o.id < ?1 ORDER BY o.id DESC"

/* As read_open_operations, read_operations and read_operation. */
int durable_read_open(struct reader *r, const struct op_id *after, size_t limit,
                      read_operation_fn each, void *ctx);
int durable_read_page(struct reader *r, const struct read_operations_filter *f,
                      read_operation_fn each, void *ctx);
int durable_read_one(struct reader *r, const struct op_id *id, read_operation_fn each, void *ctx);

#endif
