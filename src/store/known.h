/*
 * known: endpoints that something belongs to, or that were registered once; rows of the table
 * device. Belongs to the writer.
 */
#ifndef STORE_KNOWN_H
#define STORE_KNOWN_H

#include "store/marks.h"

struct known_device {
    int64_t id; /* 0: there is no row */
    bool offline;
    int64_t resources, history, timeline; /* rows that belong to it */
};

struct known;
int known_open(sqlite3 *db, struct marks *marks, struct known **ret_known);
void known_close(struct known *k);

int known_find(struct known *k, struct view endpoint, struct known_device *ret_device);
/* The same, with a row made for an endpoint that is registered; ERR_UNREGISTERED when it is neither
 * registered nor known. */
int known_need(struct known *k, struct view endpoint, struct known_device *ret_device);
/* Writes the numbers of rows. */
int known_count(struct known *k, const struct known_device *device);
/* The registration of this row is about to end: its endpoint stays known. */
int known_leave(struct known *k, uint64_t row, int64_t now_ms);
/* An endpoint without a registration gets one. */
int known_return(struct known *k, struct view endpoint, struct known_device *ret_device);

#endif
