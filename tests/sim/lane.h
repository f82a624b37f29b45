/* The cores of a world: their outputs, their mailboxes, their lives. */
#ifndef SIM_LANE_H
#define SIM_LANE_H

#include "world.h"

/* With world_config.small. */
#define LANE_SMALL_PEERS 500
#define LANE_SMALL_DEVICES 200
#define LANE_SMALL_BYTES ((size_t)256 << 10)

enum happening_kind {
    HAPPEN_TO_SERVER, /* a datagram arrives at the socket of shard `lane` */
    HAPPEN_HANDOVER,  /* … and at its owner, by mailbox */
    HAPPEN_TO_CLIENT,
    HAPPEN_CLIENT, /* timer */
    HAPPEN_COMMIT,
    HAPPEN_TXN, /* done */
    HAPPEN_MOVE,
    HAPPEN_OP,
    HAPPEN_SPOOL,
    HAPPEN_BLOB,
    HAPPEN_WALL,
    HAPPEN_CALL
};

struct happening {
    uint64_t at, seq;
    enum happening_kind kind;
    uint16_t lane;
    int rc;
    bool injected;
    uint64_t arg;
    void *p; /* txn, move, op, client */
    void (*fn)(struct world *w, uint64_t arg);
    struct flow flow;
    size_t n;
    uint8_t bytes[];
};

/* Plans it. The memory belongs to the queue. */
struct happening *lane_plan(struct world *w, uint64_t at, enum happening_kind kind,
                            struct view bytes);
void lane_trace(struct world *w, const char *what, uint64_t a, uint64_t b, struct view bytes);

/* Into a core. */
void lane_happen(struct world *w, struct happening *h);
/* The earliest deadline of the cores; UINT64_MAX when there is none. */
uint64_t lane_next(const struct world *w, uint16_t *ret_lane);
void lane_run(struct world *w, uint16_t lane);
void lane_start_all(struct world *w, uint16_t shards, const struct outage *outage);
/* Ends the cores, with their last words unless the world is muted. */
void lane_stop_all(struct world *w);
/* Gives back what a message of the inside carries. */
void lane_drop(struct world *w, struct happening *h);
void lane_settled(struct world *w);
/* A commit is planned when something waits. */
void lane_plan_commit(struct world *w);

#endif
