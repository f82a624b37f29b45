/*
 * backup: a consistent copy of the database while it is written.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/db.h"

/*
 * Copies what `db`, a connection without a transaction, sees now. Writers go on, but the log grows
 * until the copy is complete, because it shows this one moment. The copy is synced, and appears
 * under its name only when it is whole. ERR_EXISTS, ERR_DISKFULL, ERR_IO, ERR_STORE.
 */
int backup_run(sqlite3 *db, const char *to_path);

#endif
