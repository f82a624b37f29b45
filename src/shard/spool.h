/*
 * Private to shard: large bodies in unnamed files, written and read on libuv's thread pool so that
 * a shard never waits for a disk. Files are opened ahead of need, also there.
 */
#ifndef SHARD_SPOOL_H
#define SHARD_SPOOL_H

#include "shard/shard.h"

#include <uv.h>

struct spool;

struct spool_callbacks {
    void (*appended)(void *ctx, uint64_t cookie, int rc);
    void (*bytes)(void *ctx, uint64_t cookie, int rc, struct view bytes);
};

/* `dir` outlives it. On the loop's thread, as everything here. */
struct spool *spool_new(uv_loop_t *loop, const char *dir, const struct spool_callbacks *cb,
                        void *ctx);
/* Writes a copy of bytes at the end of *blob, which is made on the first call (*blob NULL). The
 * blob may be freed while the write is under way. ERR_BUSY: no file is ready; ERR_IO: and none can
 * be opened. */
int spool_append(struct spool *s, uint64_t cookie, struct blob **blob, struct view bytes);
int spool_read(struct spool *s, uint64_t cookie, const struct blob *blob, uint64_t offset,
               size_t n);
/* No callback comes any more. The loop must run until the last job has ended; then the memory
 * goes too. */
void spool_close(struct spool *s);

#endif
