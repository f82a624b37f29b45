/* Durable operations: loss, copies, sleep, reboots and moves of devices, and kill -9 of the server.
 */
#include "ledger.h"
#include "story.h"

#define HEAL_MS (3 * 60 * MINUTE) /* the longest wait of an operation for its device, and more */

static void start_all(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_start(&w->clients[i], 10 * SECOND);
    world_pass(w, 20 * SECOND);
}

static struct world *chaos(uint64_t seed, uint32_t loss, uint32_t sleeps)
{
    struct world_config cfg;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.loss = loss;
    cfg.duplicate = 100;
    cfg.late = 50;
    cfg.commit_ms = 100;
    cfg.style.lifetime_min = 300;
    cfg.style.lifetime_max = 600;
    cfg.style.long_body = 0;
    cfg.style.sleeps = sleeps;
    return world_new(&cfg);
}

static struct client *any(struct world *w)
{
    return &w->clients[world_random(w, w->cfg.clients)];
}

static void unrest(struct world *w)
{
    struct client *c = any(w);

    switch (world_random(w, 8)) {
    case 0:
        client_reboot(c);
        break;
    case 1:
        client_off(c);
        break;
    case 2:
    case 3:
        client_rebind(c, world_chance(w, 800));
        break;
    case 4:
        client_deregister(c);
        break;
    case 5:
        ledger_cancel(w);
        break;
    default:
        if (!c->on)
            client_start(c, 10 * SECOND);
        break;
    }
    world_client_timer(w, c);
}

static void work(struct world *w, unsigned steps, uint64_t gap)
{
    for (unsigned i = 0; i < steps; i++) {
        world_pass(w, world_between(w, 0, gap));
        (void)ledger_ask(w, any(w)->index);
    }
}

/* One that is about to leave may do so. */
static void start_missing(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        if (!w->clients[i].on)
            client_start(&w->clients[i], 10 * SECOND);
}

/* The network is whole, everybody is there, and time passes. */
static uint64_t heal(struct world *w)
{
    uint64_t trace;

    w->cfg.loss = w->cfg.duplicate = w->cfg.late = w->cfg.commit_fails = 0;
    for (unsigned i = 0; i < w->cfg.clients; i++)
        if (w->clients[i].moved)
            client_off(&w->clients[i]);
    start_missing(w);
    world_pass(w, 5 * MINUTE);
    for (uint64_t end = w->now + HEAL_MS; w->now < end && ledger_open(w) > 0;) {
        start_missing(w);
        world_pass(w, MINUTE);
    }
    ledger_check(w);
    world_settle(w);
    ledger_check(w);
    trace = w->trace;
    world_free(w);
    return trace;
}

static uint64_t lossy(uint64_t seed)
{
    struct world *w = chaos(seed, 300, 0);

    start_all(w);
    work(w, 150, 10 * SECOND);
    return heal(w);
}

static uint64_t asleep(uint64_t seed)
{
    struct world *w = chaos(seed, 100, 800);

    start_all(w);
    for (unsigned i = 0; i < 40; i++) {
        work(w, 4, 30 * SECOND);
        world_audit(w);
    }
    return heal(w);
}

static uint64_t restless(uint64_t seed)
{
    struct world *w = chaos(seed, 150, 300);

    start_all(w);
    for (unsigned i = 0; i < 80; i++) {
        work(w, 3, 10 * SECOND);
        unrest(w);
        world_audit(w);
    }
    return heal(w);
}

static uint64_t sick_store(uint64_t seed)
{
    struct world *w = chaos(seed, 100, 300);

    w->cfg.commit_fails = 200;
    w->patience = 10 * MINUTE;
    start_all(w);
    for (unsigned i = 0; i < 40; i++) {
        work(w, 3, 10 * SECOND);
        unrest(w);
    }
    return heal(w);
}

/* Killed or stopped at any step. */
static uint64_t killed(uint64_t seed)
{
    struct world *w = chaos(seed, 150, 300);

    start_all(w);
    for (unsigned life = 0; life < 12; life++) {
        for (unsigned i = 0; i < 5; i++) {
            work(w, 3, 5 * SECOND);
            unrest(w);
        }
        (void)ledger_ask(w, any(w)->index);
        for (uint32_t steps = world_random(w, 60); steps > 0; steps--)
            (void)world_step(w, UINT64_MAX);
        if (world_chance(w, 700))
            world_kill(w);
        else
            world_stop(w);
        world_pass(w, world_between(w, 0, world_chance(w, 200) ? 20 * MINUTE : 20 * SECOND));
        world_start(w, (uint16_t)(1 + world_random(w, WORLD_SHARDS_MAX)));
    }
    return heal(w);
}

static const struct story stories[] = {
    {"durable operations, three of ten datagrams lost", lossy},
    {"durable operations on devices that sleep", asleep},
    {"durable operations on devices that come, go and move", restless},
    {"durable operations and a store that fails now and then", sick_store},
    {"durable operations of a server that is killed at any step", killed},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
