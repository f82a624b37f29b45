/*
 * read: blocking, paged reads of the store on a read-only connection of the calling thread.
 *
 * MUST keep transactions short: a page, never a walk (a long reader starves the WAL checkpoint).
 * One reader per thread; opening is lazy and cheap to repeat.
 */
#ifndef STORE_READ_H
#define STORE_READ_H

#include "store/store.h"

struct reader;
int read_open(const char *path, struct reader **ret_reader);
void read_close(struct reader *r);

/* Rows are borrowed until the next call on this reader. A negative result of `each` ends the walk.
 */
typedef int (*read_registration_fn)(void *ctx, const struct registration *r);
typedef int (*read_observation_fn)(void *ctx, const struct observation *o);
typedef int (*read_model_fn)(void *ctx, uint16_t object, struct version v, struct view xml);

/* Load at start: every registration with row > after, ascending row, at most `limit`; renewals
 * merged in. */
int read_registrations(struct reader *r, uint64_t after, size_t limit, read_registration_fn each,
                       void *ctx);
int read_observations(struct reader *r, uint64_t after_token, size_t limit,
                      read_observation_fn each, void *ctx);
int read_models(struct reader *r, read_model_fn each, void *ctx);
/* Highest row and generation ever used (0 when none). */
int read_high_water(struct reader *r, uint64_t *ret_row, uint64_t *ret_generation);

/* A page of devices for operators, ascending endpoint; O(page) whatever the number of devices. */
struct read_filter {
    struct view after;  /* endpoint of the cursor, exclusive; "" from the start */
    struct view prefix; /* endpoint prefix, "" for all */
    int64_t now_ms;     /* Unix ms: registered or offline is judged against it */
    enum { READ_ANY, READ_REGISTERED, READ_OFFLINE } state;
    size_t limit;
};
int read_devices(struct reader *r, const struct read_filter *f, read_registration_fn each,
                 void *ctx);
/*
 * Where the page after the last read_devices starts (its `after`); empty when there is none. Ask
 * this rather than count rows: a page looks at no more than 16 384 devices, so that a filter few of
 * them pass gives short pages, even empty ones, before the end. Borrowed until the next call.
 */
struct view read_cursor(const struct reader *r);
/* ERR_NOTFOUND when there is none. */
int read_device(struct reader *r, struct view endpoint, read_registration_fn each, void *ctx);
int read_device_count(struct reader *r, uint64_t *ret_count);
/* SQLite VM steps of the last call, so that tests can assert that pages do not grow with the table.
 */
uint64_t read_steps(const struct reader *r);

/* A consistent copy of the database while the server runs (SQLite backup interface), into a new
 * file. */
int read_backup(struct reader *r, const char *to_path);

#endif
