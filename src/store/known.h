/*
 * known: endpoints that something belongs to, or that were registered once; rows of the table
 * device. Belongs to the writer.
 */
#ifndef STORE_KNOWN_H
#define STORE_KNOWN_H

#include "store/db.h"

struct known;
int known_open(sqlite3 *db, struct known **ret_known);
void known_close(struct known *k);

/* Its number in the table; 0 when there is no row. */
int known_find(struct known *k, struct view endpoint, int64_t *ret_device, bool *ret_offline);
/* The same, with a row made for an endpoint that is registered; ERR_UNREGISTERED when it is neither
 * registered nor known. */
int known_need(struct known *k, struct view endpoint, int64_t *ret_device, bool *ret_offline);
/* The registration of this row is about to end: its endpoint stays known. */
int known_leave(struct known *k, uint64_t row, int64_t now_ms);
/* An endpoint without a registration gets one. *ret_device: 0 when nothing belongs to it. */
int known_return(struct known *k, struct view endpoint, int64_t *ret_device);

#endif
