/*
 * migrate: brings a database to the newest schema, step by step.
 *
 * A step is a file of SQL statements, run in one transaction that also sets user_version. A step
 * over many rows is divided by marker lines, each at the start of a line:
 *
 *     ALTER TABLE …;                        -- opening: once, in a transaction of its own
 *     -- chunked: TABLE
 *     UPDATE … WHERE row > ?1 AND row <= ?2;  -- per chunk of TABLE, by its integer key
 *     -- finish
 *     CREATE INDEX …;                       -- closing: with the last transaction of the step
 *
 * How far a chunked step has come is kept in the table meta, in the transaction of each chunk:
 * after kill -9 the next start goes on from there. A program that does not know a step in progress
 * refuses the database, as it does one of a newer version.
 */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include "store/db.h"
#include "store/schema.h"

#define MIGRATE_APPLICATION_ID 1280127571 /* "LM2S", as 0001_init.sql says */

struct migrate_config {
    const struct schema_step *steps; /* ascending version */
    size_t count;
    size_t chunk_rows; /* 0: a default that keeps a transaction well below a second */
    /* After each chunk; may be NULL. */
    void (*progress)(void *ctx, unsigned to_version, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* ERR_SCHEMA: of a newer version. ERR_STORE: not ours, or a statement failed. ERR_DISKFULL. What
 * was complete stays. */
int migrate_run(sqlite3 *db, const struct migrate_config *cfg);

#endif
