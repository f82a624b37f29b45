/*
 * recorder: what a shard tells the store for the record: lines of the timeline of a device, and the
 * values it has told. Gathered and handed over together; best effort, for nobody waits for it:
 * under pressure lines of mere renewals go first, then the rest, and each is counted.
 */
#ifndef SHARD_RECORDER_H
#define SHARD_RECORDER_H

#include "model/model.h"

struct recorder;

struct recorder_out {
    /* Takes t on success. */
    int (*txn)(void *ctx, struct txn *t);
    /* How full the queue of the store is, permille. NULL: never. */
    unsigned (*pressure)(void *ctx);
};

/* `lines_per_s`: of the timeline; 0 = none. The counters outlive it. */
struct recorder *recorder_new(const struct recorder_out *out, void *ctx, uint32_t lines_per_s,
                              struct counters *counters);
/* What it has gathered is lost: call recorder_flush before when it should not be. */
void recorder_free(struct recorder *r);

void recorder_event(struct recorder *r, const struct event *e, uint64_t now);
/* Values that a device has told or taken; time_ms (Unix) for records without a time. Copied. */
void recorder_values(struct recorder *r, struct view endpoint, uint64_t registration_id,
                     enum value_origin origin, const struct batch *values, int64_t time_ms,
                     uint64_t now);
void recorder_run(struct recorder *r, uint64_t now);
uint64_t recorder_next(const struct recorder *r);
void recorder_flush(struct recorder *r);

#endif
