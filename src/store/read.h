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

/* Rows are borrowed until the next call on this reader. A negative result of `each` ends a walk. */
typedef int (*read_registration_fn)(void *ctx, const struct registration *r);
typedef int (*read_observation_fn)(void *ctx, const struct observation *o);
typedef int (*read_model_fn)(void *ctx, uint16_t object, struct version v, struct view xml);

/* Load at start: every registration with row > after, ascending row, at most `limit`; renewals
 * merged in. Fewer than `limit`: there are no more. */
int read_registrations(struct reader *r, uint64_t after, size_t limit, read_registration_fn each,
                       void *ctx);
int read_observations(struct reader *r, uint64_t after_token, size_t limit,
                      read_observation_fn each, void *ctx);
/* Rows left out because they cannot be understood, since read_open: damage by another
 * program, or a row of a version that was less careful. Each was logged with its key. */
uint64_t read_skipped(const struct reader *r);
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
/* An endpoint that is known and not registered has row 0, its name and its times; expires_ms is
 * when its registration ended. */
int read_devices(struct reader *r, const struct read_filter *f, read_registration_fn each,
                 void *ctx);
/*
 * Where the page after the last read_devices starts (its `after`); empty when there is none. Ask
 * this rather than count rows: a page looks at no more than 16 384 devices, so that a filter few of
 * them pass gives short pages, even empty ones, before the end. Borrowed until the next call.
 */
struct view read_cursor(const struct reader *r);
/* Also of an endpoint that is not registered, as above. ERR_NOTFOUND when it is not known. */
int read_device(struct reader *r, struct view endpoint, read_registration_fn each, void *ctx);
int read_device_count(struct reader *r, uint64_t *ret_count);
/* SQLite VM steps of the last call: tests assert that pages do not grow with the table. */
uint64_t read_steps(const struct reader *r);

/* ---- operations ---- */

typedef int (*read_operation_fn)(void *ctx, const struct operation *o);
/* Load at start: of registered endpoints, those that wait (QUEUED, SENT) and those whose late
 * answer is still awaited (UNKNOWN), ascending by id (that is, by age), after `after`, which may
 * be NULL. */
int read_open_operations(struct reader *r, const struct op_id *after, size_t limit,
                         read_operation_fn each, void *ctx);
struct read_operations_filter {
    struct view endpoint;       /* "" = of all */
    uint32_t states;            /* bit of enum op_state; 0 = any */
    const struct op_id *before; /* cursor: only older ones; NULL = from the newest */
    size_t limit;
};
/* Newest first; read_cursor has the 16 bytes of the id to go on before, and is to be asked: a page
 * looks at no more than 16 384 operations. */
int read_operations(struct reader *r, const struct read_operations_filter *f,
                    read_operation_fn each, void *ctx);
int read_operation(struct reader *r, const struct op_id *id, read_operation_fn each, void *ctx);

/* ---- values ---- */

struct stored_value {
    struct record record; /* record.time_ms is always set */
    struct view prefix;   /* of a device behind this one; "" = its own */
    enum value_origin origin;
};
typedef int (*read_value_fn)(void *ctx, const struct stored_value *v);
/* The newest value of every resource at or below path, ascending path, then prefix. */
int read_values(struct reader *r, struct view endpoint, const struct path *path, read_value_fn each,
                void *ctx);
struct read_history_filter {
    struct view endpoint;
    struct path path;       /* at or below */
    int64_t from_ms, to_ms; /* Unix ms, inclusive; 0 = open */
    struct view cursor;     /* read_cursor of the page before; "" from the newest */
    size_t limit;
};
/* Newest first by the time of the value; read_cursor says where to go on, and is to be asked: a
 * page looks at no more than 16 384 values of the device. ERR_INVALID for a cursor that is not
 * ours. */
int read_history(struct reader *r, const struct read_history_filter *f, read_value_fn each,
                 void *ctx);

/* ---- timeline ---- */

/* Newest first, lines and operations of the endpoint merged by the caller; `cursor` as above. */
typedef int (*read_entry_fn)(void *ctx, const struct entry *e);
int read_timeline(struct reader *r, struct view endpoint, struct view cursor, size_t limit,
                  read_entry_fn each, void *ctx);
/* Whether the endpoint was ever registered, has operations, values or wishes: ERR_NOTFOUND. */
int read_known(struct reader *r, struct view endpoint);
/* Wanted observations of an endpoint, registered or not. */
int read_wanted(struct reader *r, struct view endpoint, read_observation_fn each, void *ctx);

/* ---- profile IDs ---- */

typedef int (*read_profile_fn)(void *ctx, struct view id, struct view links,
                               enum profile_source source, int64_t since_ms);
int read_profiles(struct reader *r, read_profile_fn each, void *ctx);

/* A consistent copy of the database while the server runs (SQLite backup interface), into a new
 * file. */
int read_backup(struct reader *r, const char *to_path);

#endif
