/*
 * A whole server in one process without threads, sockets, clock or disk: one to three cores with
 * one directory, a store that commits in groups, a network that loses, repeats, delays and
 * reorders, scripted devices, and an operator. Everything that happens follows from the seed.
 *
 * What must always hold is checked as it happens; world_fail ends the program and says how to see
 * it again. SIM_TRACE=1 in the environment tells every step on stderr.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "client.h"
#include "disk.h"
#include "operator.h"
#include "shard/shard.h"

#define WORLD_SHARDS_MAX 3
#define WORLD_START_MS UINT64_C(7200000) /* the monotonic clock begins here */
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)

/* Permille are of datagrams, commits or steps. */
struct world_config {
    uint64_t seed;
    uint16_t shards;
    unsigned clients;
    enum replace_policy replace;
    uint32_t loss, duplicate, late; /* permille; late: delayed by seconds */
    uint32_t reuse;                 /* new addresses that were another device's before */
    uint32_t misroute;              /* permille that arrive at another shard's socket */
    uint32_t delay_ms;              /* one way, at most */
    uint32_t commit_ms;             /* gathered and written within, at most */
    uint32_t commit_fails;          /* permille */
    uint32_t mail_ms;               /* between shards and from the store, at most */
    bool forged; /* somebody else speaks in the name of the devices: what they do proves nothing */
    bool small;  /* limits that are soon reached */
    struct client_style style;
};
/* A bad mobile network in front of a healthy server; one shard, eight devices. */
void world_config_defaults(struct world_config *cfg, uint64_t seed);

enum world_box { BOX_TXNS, BOX_MOVES, BOX_OPS, BOX_HANDOVERS, BOX_SPOOL, BOX_COUNT };

/* A core with what its thread would hold. */
struct lane {
    struct world *w;
    struct core *core;
    uint16_t index;
    struct counters counters;
    uint64_t last_mail[BOX_COUNT];                   /* mailboxes keep their order */
    uint64_t txns, events[EVENT_TYPE_COUNT], inputs; /* of this life */
};

struct happening;

struct world {
    struct world_config cfg;
    uint64_t now, started; /* monotonic ms; of this life of the server */
    int64_t wall_offset;   /* wall clock minus monotonic */
    struct random random;
    struct hash_key key;
    uint64_t trace; /* hash of everything that happened */
    uint64_t steps, spun, spun_at;
    bool loud;
    struct models *models;
    struct profiles *profiles; /* of this life */
    struct directory *dir;
    struct lane lanes[WORLD_SHARDS_MAX];
    uint16_t shards;
    uint32_t grace_s;
    bool down;   /* killed, not started again */
    bool killed; /* the last life; else it was stopped */
    bool muted;  /* being killed: nothing that the cores say comes out */
    bool deaf;   /* the network is gone: every datagram is lost */
    uint64_t down_since;
    unsigned lives;
    struct disk disk;
    bool committing;   /* a commit is on its way */
    bool sick;         /* the store has failed or stood still in this life */
    uint64_t patience; /* operations may end so much later: they wait for the store */
    uint64_t stalled;  /* the store does nothing before this time */
    struct happening **queue;
    size_t queued, queue_cap;
    uint64_t last_seq;
    struct client *clients;
    struct addr addresses[4096]; /* used before: a NAT may give them to another */
    size_t address_count;
    struct desk desk;
    uint64_t sent, received, lost; /* datagrams of the server */
    /* For stories: sees every datagram of a device that reaches the server. */
    void (*tap)(struct world *w, const struct flow *flow, struct view datagram);
    void *tap_ctx;
};

struct world *world_new(const struct world_config *cfg);
/* Stops the server cleanly and checks that nothing is left. */
void world_free(struct world *w);

/* Until that time, or until nothing is left to happen. */
void world_run(struct world *w, uint64_t until);
void world_pass(struct world *w, uint64_t ms);
/* One happening; false when there is none before `until`. */
bool world_step(struct world *w, uint64_t until);
/* Calls fn when `ms` have passed. */
void world_later(struct world *w, uint64_t ms, void (*fn)(struct world *w, uint64_t arg),
                 uint64_t arg);

/* kill -9: what was not committed is lost; the operator learns that of its operations. */
void world_kill(struct world *w);
/* A clean end: what waits is written, operations end with ERR_STOPPING. */
void world_stop(struct world *w);
/* The next life, from what is durable. */
void world_start(struct world *w, uint16_t shards);

/* No device speaks any more; waits for the last exchanges and checks that all is forgotten. */
void world_settle(struct world *w);
/* Directory, domains and store agree with each other (any time). */
void world_audit(struct world *w);

/* A datagram that no device has sent, or not like this; the tap does not see it. */
void world_inject(struct world *w, const struct flow *flow, struct view datagram, uint64_t delay);

/* ---- for devices and the operator ---- */

void world_from_client(struct world *w, const struct flow *flow, struct view datagram);
/* What the device was promised last is durable. */
bool world_is_written(const struct world *w, const struct client *c);
void world_client_timer(struct world *w, struct client *c);
/* A fresh address as a NAT might give: new, of another family, or one that was another's. */
void world_address(struct world *w, struct flow *ret_flow);
/* To the shard that owns the endpoint; what shards_submit does. */
int world_submit(struct world *w, struct op *op);
int64_t world_wall(const struct world *w);
uint32_t world_random(struct world *w, uint32_t below);
uint64_t world_between(struct world *w, uint64_t least, uint64_t most);
bool world_chance(struct world *w, uint32_t permille);
uint64_t world_counter(const struct world *w, enum counter which);
struct client *world_client_of(struct world *w, struct view endpoint);

void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void world_fail(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
#define world_check(w, condition, ...)                                                             \
    do {                                                                                           \
        if (!(condition))                                                                          \
            world_fail((w), __VA_ARGS__);                                                          \
    } while (0)

#endif
