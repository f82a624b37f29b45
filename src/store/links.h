/*
 * links: link texts in the table objlist, one row for all registrations that sent the same.
 *
 * Finding a text again costs a hash; the counts of references are gathered in memory and written
 * once per transaction, so that the row of a million equal devices is touched once per commit.
 * Belongs to the writer.
 */
#ifndef STORE_LINKS_H
#define STORE_LINKS_H

#include "store/db.h"

struct links;
int links_open(sqlite3 *db, struct links **ret_links);
void links_close(struct links *l);

/* The id of this text (0 of an empty one), with one more reference. Inside a transaction. */
int links_get(struct links *l, struct view text, int64_t *ret_id);
/* One reference less. */
int links_drop(struct links *l, int64_t id);
/* Writes the counts; a text that nobody refers to any more goes. Before COMMIT. */
int links_flush(struct links *l);
/* After ROLLBACK: nothing since the last COMMIT has happened. */
void links_forget(struct links *l);

#endif
