/* Private to shard: a core with its thread, loop, sockets and mailboxes. */
#ifndef SHARD_WORKER_H
#define SHARD_WORKER_H

#include "shard/shard.h"
#include "shard/spool.h"

#include <pthread.h>

struct worker {
    struct shards *set;
    uint16_t index;
    uv_thread_t thread;
    bool looped, started, ended; /* the loop is made, the thread runs, the core is gone */
    uv_loop_t loop;
    uv_timer_t timer;     /* next deadline of the core */
    uv_timer_t second;    /* wall clock, heartbeat, statistics */
    uv_prepare_t prepare; /* sends what is queued, arms the timer */
    uv_async_t stop;
    struct core *core; /* NULL once stopped */
    struct counters counters;
    struct udp *udp;
    struct spool *spool;
    struct mbox *ops, *txns, *moves, *handovers;
    uint64_t armed; /* when the timer fires */
    _Atomic uint64_t beat;
    pthread_mutex_t stats_lock;
    struct core_stats stats;
};

/* Loop, mailboxes and core; no thread yet. */
int worker_init(struct worker *w, struct shards *set, uint16_t index);
/* Opens the sockets on the loop and starts the thread. */
int worker_start(struct worker *w);
/* Asks the thread to end its core; worker_join waits (or does it here when there is no thread). */
void worker_stop(struct worker *w);
void worker_join(struct worker *w);
/* After the store was closed: its completions come to the mailboxes until then. */
void worker_fini(struct worker *w);

#endif
