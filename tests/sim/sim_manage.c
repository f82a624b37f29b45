/* Operations on devices that talk over a bad network, come, go and move. */
#include "story.h"

static void start_all(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_start(&w->clients[i], 10 * SECOND);
    world_pass(w, 20 * SECOND);
}

static void poke(struct world *w, unsigned steps, uint64_t gap)
{
    for (unsigned i = 0; i < steps; i++) {
        world_pass(w, world_between(w, 0, gap));
        operator_poke(w);
    }
}

static uint64_t end(struct world *w)
{
    uint64_t trace;

    world_settle(w);
    trace = w->trace;
    world_free(w);
    return trace;
}

/* Most of what is asked for must succeed. */
static uint64_t steady(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    w = world_new(&cfg);
    start_all(w);
    poke(w, 500, 4 * SECOND);
    world_check(w, w->desk.good * 2 > w->desk.count, "%llu of %zu operations succeed",
                (unsigned long long)w->desk.good, w->desk.count);
    return end(w);
}

static void unrest(struct world *w)
{
    struct client *c = &w->clients[world_random(w, w->cfg.clients)];

    switch (world_random(w, 6)) {
    case 0:
        client_reboot(c);
        break;
    case 1:
        client_off(c);
        break;
    case 2:
        client_rebind(c, world_chance(w, 500));
        break;
    case 3:
        (void)operator_ask(w, c->index, OP_DEREGISTER);
        break;
    default:
        if (!c->on)
            client_start(c, 10 * SECOND);
        break;
    }
}

static uint64_t restless(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    w = world_new(&cfg);
    start_all(w);
    for (unsigned i = 0; i < 100; i++) {
        poke(w, 5, 3 * SECOND);
        unrest(w);
        world_audit(w);
    }
    return end(w);
}

static const struct story stories[] = {
    {"operations over a bad network", steady},
    {"operations on devices that come and go", restless},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
