/* Registrations: made, renewed, changed, left to expire, made anew; replaced or refused. */
#include "story.h"

/* Something happens to a device every few seconds. */
static void life(struct world *w, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        struct client *c = &w->clients[world_random(w, w->cfg.clients)];

        world_pass(w, world_between(w, 1 * SECOND, 60 * SECOND));
        switch (world_random(w, 8)) {
        case 0:
            client_deregister(c);
            world_client_timer(w, c);
            break;
        case 1:
            client_off(c);
            break;
        case 2:
            client_reboot(c);
            break;
        case 3:
            c->obstinate = !c->obstinate;
            break;
        default:
            if (!c->on)
                client_start(c, 10 * SECOND);
            break;
        }
        world_audit(w);
    }
}

static uint64_t end(struct world *w)
{
    uint64_t trace = w->trace;

    world_settle(w);
    trace ^= w->trace;
    world_free(w);
    return trace;
}

static void start_all(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_start(&w->clients[i], 30 * SECOND);
}

static uint64_t bad_network(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    w = world_new(&cfg);
    start_all(w);
    life(w, 60);
    return end(w);
}

static const struct story stories[] = {
    {"registrations over a bad network", bad_network},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
