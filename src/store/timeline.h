/*
 * timeline: what happened to a device, a line each. Belongs to the writer.
 */
#ifndef STORE_TIMELINE_H
#define STORE_TIMELINE_H

#include "store/known.h"

#include "model/model.h"

#define TIMELINE_DETAIL_MAX 1024 /* bytes; more is cut */

struct timeline;
/* `most`: lines of one device; older ones make way. Rows that do are counted. */
int timeline_open(sqlite3 *db, struct marks *marks, size_t most, struct timeline **ret_timeline);
void timeline_close(struct timeline *l);

/* Adds the line of e, and corrects the numbers of the device. */
int timeline_put(struct timeline *l, struct known_device *device, const struct entry *e,
                 int64_t seq);

#endif
