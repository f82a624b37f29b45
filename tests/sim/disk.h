/*
 * What is durable in a simulated world: the semantics of the store's transactions without SQLite,
 * committed in groups. Survives the cores; the queue does not.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "model/model.h"

struct disk {
    struct table *by_endpoint, *by_row; /* struct disk_row */
    struct table *marks;            /* struct disk_mark: every id and token that was ever durable */
    struct table *observations;     /* struct disk_observation by token */
    struct table *known;            /* struct disk_device by endpoint */
    struct table *operations;       /* struct operation by id */
    struct table *values;           /* struct disk_value */
    struct table *profiles;         /* struct disk_profile by id */
    uint64_t now;                   /* the owner's, before disk_commit */
    uint64_t row, generation;       /* highest ever committed */
    struct mbox_node *head, **tail; /* submitted, not committed */
    size_t depth, limit;            /* limit: ERR_FULL beyond */
    int rc;                         /* < 0: commits fail with it and change nothing */
    uint64_t commits, committed, failed, refused;
};

struct disk_row {
    struct registration *r; /* owned; expiry and last seen as renewed */
};
struct disk_mark {
    uint64_t id;
    uint64_t at; /* when it was first */
};
struct disk_observation {
    struct observation o;
    char *text; /* attributes and paths */
    const struct disk_device *device;
};
/* An endpoint that something belongs to, or that was registered once. */
struct disk_device {
    bool offline;
    size_t lines[EVENT_TYPE_COUNT]; /* of its timeline */
    size_t told;                    /* values with their times */
    size_t n;
    char endpoint[];
};
/* The newest value of a resource. */
struct disk_value {
    const struct disk_device *device;
    int64_t time_ms;
    struct batch *record; /* owned; one, with its prefix */
};
struct disk_profile {
    char *id, *links; /* owned */
    enum profile_source source;
};

void disk_init(struct disk *d);
void disk_fini(struct disk *d);
/* As store_submit. */
int disk_submit(struct disk *d, struct txn *t /* takes on success */);
/* Commits up to `most` of what waits, all or nothing; hands each over with its rc set. Returns how
 * many still wait. */
size_t disk_commit(struct disk *d, size_t most, void (*done)(void *ctx, struct txn *t /* takes */),
                   void *ctx);
/* kill -9: what waits is lost. */
void disk_crash(struct disk *d);

const struct registration *disk_find(const struct disk *d, struct view endpoint);
const struct registration *disk_find_id(const struct disk *d, struct view endpoint, uint64_t id);
/* The registration id or token was durable at some time. */
bool disk_ever(const struct disk *d, uint64_t id);
/* Since when; 0 when it never was. */
uint64_t disk_since(const struct disk *d, uint64_t id);
const struct observation *disk_observation(const struct disk *d, uint64_t token);
size_t disk_size(const struct disk *d);
/* NULL when there is none. */
const struct operation *disk_operation(const struct disk *d, const struct op_id *id);
/* NULL for an endpoint that was never registered, or that nothing belonged to yet. */
const struct disk_device *disk_known(const struct disk *d, struct view endpoint);
/* The newest value of a resource of the device itself; NULL when it has told none. */
const struct disk_value *disk_value(const struct disk *d, struct view endpoint,
                                    const struct path *path);
const struct disk_profile *disk_profile(const struct disk *d, struct view id);

#endif
