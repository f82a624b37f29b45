/*
 * history: values that devices have told: the newest of each resource, and all with their times.
 * Belongs to the writer.
 */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include "store/known.h"

#include "model/model.h"

#define HISTORY_VALUE_MAX 4096     /* bytes of a value; a larger one is not kept */
#define HISTORY_PREFIX_MAX 255     /* bytes of a prefix; likewise */
#define HISTORY_RESOURCES_MAX 4096 /* of one device whose newest value is kept */

struct history;
/* `most`: values with their times of one device; older ones make way. What does, and what is not
 * kept, is counted. */
int history_open(sqlite3 *db, struct marks *marks, size_t most, struct history **ret_history);
void history_close(struct history *h);

/* The values of e, and corrects the numbers of the device. *seq: of the first; moves on. */
int history_put(struct history *h, struct known_device *device, const struct entry *e,
                int64_t *seq);

#endif
