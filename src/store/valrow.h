/*
 * valrow: a value as two columns, its type and its content in the type of SQLite next to it.
 */
#ifndef STORE_VALROW_H
#define STORE_VALROW_H

#include "store/db.h"

#include "model/model.h"

/* Binds the type as parameter `index` and the content as the next. Borrows v until the statement is
 * reset. */
void valrow_bind(sqlite3_stmt *stmt, int index, const struct value *v);
/* From column `column` and the next; bytes live until the statement is stepped or reset.
 * ERR_MALFORMED on a type that is none. */
int valrow_read(sqlite3_stmt *stmt, int column, struct value *ret_value);
/* Bytes of a content that has no fixed size, 8 otherwise. */
size_t valrow_size(const struct value *v);

#endif
