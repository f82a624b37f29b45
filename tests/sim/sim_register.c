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

/* Two devices of one name: the last to register has it. */
static void namesakes(struct world *w)
{
    for (unsigned i = 1; i < w->cfg.clients; i += 2)
        memcpy(w->clients[i].endpoint, w->clients[i - 1].endpoint, sizeof(w->clients[i].endpoint));
}

static uint64_t replaced(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    w = world_new(&cfg);
    namesakes(w);
    start_all(w);
    life(w, 60);
    return end(w);
}

/* … or the first, until it is gone. */
static uint64_t kept(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;
    uint64_t refusals = 0;

    world_config_defaults(&cfg, seed);
    cfg.replace = REPLACE_REFUSE;
    cfg.shards = (uint16_t)(1 + seed % 3);
    w = world_new(&cfg);
    namesakes(w);
    start_all(w);
    life(w, 60);
    for (unsigned i = 0; i < cfg.clients; i++)
        refusals += w->clients[i].refusals;
    world_check(w, refusals > 0, "nobody was refused");
    return end(w);
}

/* A device that answers in time never loses its registration, whatever the others do. */
static uint64_t faithful(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.loss = cfg.late = 0;
    cfg.clients = 20;
    w = world_new(&cfg);
    start_all(w);
    for (unsigned i = 0; i < cfg.clients; i += 2)
        w->clients[i].obstinate = true;
    world_pass(w, 3600 * SECOND);
    for (unsigned i = 1; i < cfg.clients; i += 2)
        world_check(w, w->clients[i].registrations == 1 && w->clients[i].updates > 3,
                    "%s registered %llu times", w->clients[i].endpoint,
                    (unsigned long long)w->clients[i].registrations);
    world_check(w, directory_size(w->dir) == cfg.clients / 2, "%zu are registered",
                directory_size(w->dir));
    world_check(w, world_counter(w, COUNTER_registrations_expired) == cfg.clients / 2,
                "%llu have expired",
                (unsigned long long)world_counter(w, COUNTER_registrations_expired));
    return end(w);
}

static const struct story stories[] = {
    {"registrations over a bad network", bad_network},
    {"a newer registration replaces the old one", replaced},
    {"a registration is kept until it ends", kept},
    {"those that renew stay, the others go", faithful},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
