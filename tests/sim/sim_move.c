/* Devices that turn up at another shard: NAT rebinding, misrouted datagrams, slow mailboxes. */
#include "story.h"

static struct world *start(uint64_t seed, const struct world_config *cfg)
{
    struct world *w = world_new(cfg);

    (void)seed;
    for (unsigned i = 0; i < cfg->clients; i++)
        client_start(&w->clients[i], 10 * SECOND);
    world_pass(w, 30 * SECOND);
    return w;
}

static uint64_t end(struct world *w)
{
    uint64_t trace;

    world_settle(w);
    trace = w->trace;
    world_free(w);
    return trace;
}

static void wander(struct world *w, unsigned steps, uint32_t knows)
{
    for (unsigned i = 0; i < steps; i++) {
        struct client *c = &w->clients[world_random(w, w->cfg.clients)];

        world_pass(w, world_between(w, 0, 5 * SECOND));
        operator_poke(w);
        if (world_chance(w, 300))
            client_rebind(c, world_chance(w, knows));
        else if (world_chance(w, 60))
            client_reboot(c);
        else if (!c->on)
            client_start(c, SECOND);
        world_audit(w);
    }
}

/* A device that says so at once keeps its registration wherever it goes. */
static uint64_t knows(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(2 + seed % 2);
    w = start(seed, &cfg);
    wander(w, 150, 1000);
    world_check(w, world_counter(w, COUNTER_moves_in) > 0, "nobody moved");
    return end(w);
}

/* Nothing tells it: only its next Update shows where it is. */
static uint64_t unaware(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(2 + seed % 2);
    w = start(seed, &cfg);
    wander(w, 150, 0);
    return end(w);
}

/* Messages between shards and from the store take longer than the network. */
static uint64_t slow_mail(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = 3;
    cfg.mail_ms = 800;
    cfg.delay_ms = 100;
    cfg.commit_ms = 200;
    w = start(seed, &cfg);
    wander(w, 150, 800);
    return end(w);
}

/* The kernel scatters what comes: no filter is attached. */
static uint64_t scattered(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(2 + seed % 2);
    cfg.misroute = 700;
    w = start(seed, &cfg);
    wander(w, 150, 500);
    return end(w);
}

/* Addresses go from one device to another. */
static uint64_t inherited(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.reuse = 700;
    w = start(seed, &cfg);
    wander(w, 150, 500);
    return end(w);
}

static const struct story stories[] = {
    {"devices that know that they moved", knows}, {"devices behind a NAT that rebinds", unaware},
    {"moves over slow mailboxes", slow_mail},     {"datagrams at the wrong shard", scattered},
    {"addresses that were another's", inherited},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
