/*
 * store: what must survive. SQLite (WAL) behind an asynchronous transaction interface.
 *
 * MUST be the only folder that knows SQL. Writes go through store_submit and are committed in
 * groups by one writer thread, which calls back only through txn.done, after COMMIT. MUST NOT be
 * called from a shard except store_submit (which never blocks). Blocking reads: read.h, on
 * connections of their own.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "model/model.h"

enum store_sync { STORE_SYNC_NORMAL, STORE_SYNC_FULL };

/* What is kept how long; purged a little at a time. 0: the default. */
struct store_retention {
    uint32_t operations_s;  /* settled operations and their keys: 86 400; never below 3 600 */
    size_t operations;      /* … at most this many, oldest go first: 1 000 000 */
    uint32_t history_s;     /* values with their times, since they came: 604 800 */
    size_t history;         /* … at most this many: 10 000 000 */
    size_t history_device;  /* … and of one device, oldest go first: 10 000 */
    uint32_t timeline_s;    /* 604 800 */
    size_t timeline;        /* lines of all: 10 000 000 */
    size_t timeline_device; /* … of one device: 1 000 */
    uint32_t offline_s;     /* endpoints that are not registered, with all that belongs to them,
                               unless an observation or an operation waits for them: 2 592 000 */
    size_t offline;         /* … at most this many: 1 000 000 */
};

struct store_config {
    const char *path;     /* database file; its -wal, -shm and -lock live beside it */
    enum store_sync sync; /* PRAGMA synchronous */
    size_t queue_limit;   /* waiting transactions, default 16 384 */
    size_t batch_limit;   /* transactions per commit at most, default 1 024 */
    int checkpoint_pages; /* a log this long is copied into the database, default 16 384 */
    struct store_retention keep;
    /* Called from store_open while a migration runs over many rows; may be NULL. */
    void (*progress)(void *ctx, unsigned to_version, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* Health as /readyz and /metrics show it; read from any thread. */
struct store_status {
    int rc;                   /* ERR_OK, or why the last commit failed (ERR_DISKFULL, ERR_STORE) */
    int64_t failing_since_ms; /* Unix ms, 0 when healthy */
    size_t queue_depth, queue_limit;
    uint64_t commits, committed, failed; /* transactions */
    uint64_t last_commit_us;
    int64_t beat_ms; /* monotonic: the writer was alive */
};

struct store;
/* Opens or creates, checks that it is ours (application_id, user_version), migrates step by step
 * (each step resumable after kill -9), starts the writer. ERR_SCHEMA for a newer database,
 * ERR_STORE, ERR_DISKFULL, ERR_BUSY when another server uses it. */
int store_open(const struct store_config *cfg, struct store **ret_store);
/* Commits what waits, checkpoints, ends the writer. */
void store_close(struct store *s);
/*
 * Takes t on success. ERR_FULL, or ERR_STOPPING after store_close began: the caller keeps it. Never
 * blocks on the disk. Transactions are committed in the order they were submitted. The rc that
 * `done` finds:
 *
 *   ERR_OK            durable as far as `sync` says; also for a deletion of what is not there
 *   ERR_STALE         PUT_ and DEL_REGISTRATION: the store has a newer generation; SET_OPERATION:
 *                     it is settled, and this is no late answer to one that is unknown;
 *                     PUT_PROFILE: it comes from a device, but is configured
 *   ERR_UNREGISTERED  PUT_OBSERVATION: row and registration id are not the stored ones;
 *                     PUT_OPERATION: the endpoint was never registered
 *   ERR_EXISTS        PUT_OPERATION: its key was used for the same request, or its id is taken
 *   ERR_KEYREUSED     PUT_OPERATION: its key was used for another request
 *   ERR_QUEUE         PUT_OPERATION: 64 wait for this endpoint, which is not registered;
 *                     PUT_PROFILE: 65 536 are there, and this one comes from a device
 *   ERR_NOTFOUND      SET_OPERATION: there is none
 *   ERR_INVALID       row 0 or beyond INT64_MAX, generation beyond it, endpoint of 0 or more than
 *                     ENDPOINT_MAX bytes, token 0; an operation with numbers out of their range or
 *                     a key of more than OP_KEY_MAX bytes; a profile without an id
 *   ERR_CONFLICT      the row belongs to another endpoint; a dormant PUT_OPERATION: the endpoint
 *                     is registered
 *   ERR_DISKFULL, ERR_STORE  nothing of this commit has happened
 *
 * A RENEW is never divided: a few thousand rows keep others from waiting (65 536 take about 0.2 s).
 */
int store_submit(struct store *s, struct txn *t);
void store_status(const struct store *s, struct store_status *ret_status);
/* Counters of the writer's thread: txns_submitted, txns_failed, commits, renewals_written,
 * records_dropped and what is purged. What store_submit refuses is its caller's to count
 * (txns_dropped). */
const struct counters *store_counters(const struct store *s);

#endif
