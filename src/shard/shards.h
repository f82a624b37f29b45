/* Private to shard: the running set. */
#ifndef SHARD_SHARDS_H
#define SHARD_SHARDS_H

#include "shard/worker.h"

struct shards {
    struct shards_config cfg;
    struct udp_group *group;
    struct store *store;
    struct directory *dir;
    struct models *models;
    void (*event)(void *ctx, struct event *e);
    void *ctx;
    _Atomic bool running;
    uint16_t count;
    struct worker *workers;
};

#endif
