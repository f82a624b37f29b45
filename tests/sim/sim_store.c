/* A store that is slow, full or broken: silence, and nothing changes that was there. */
#include "story.h"

static struct world *start(const struct world_config *cfg)
{
    struct world *w = world_new(cfg);

    for (unsigned i = 0; i < cfg->clients; i++)
        client_start(&w->clients[i], 5 * SECOND);
    world_pass(w, 20 * SECOND);
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

static void live(struct world *w, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        struct client *c = &w->clients[world_random(w, w->cfg.clients)];

        world_pass(w, world_between(w, 0, 10 * SECOND));
        operator_poke(w);
        if (!c->on)
            client_start(c, 5 * SECOND);
        else if (world_chance(w, 100))
            client_reboot(c);
        else if (world_chance(w, 50))
            client_deregister(c);
        else if (world_chance(w, 100))
            client_rebind(c, true);
        else
            client_update(c, world_chance(w, 500));
        world_client_timer(w, c);
        world_audit(w);
    }
}

/* One commit in five fails. */
static uint64_t unreliable(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.commit_fails = 200;
    w = start(&cfg);
    live(w, 150);
    w->cfg.commit_fails = 0;
    return end(w);
}

/* It stands still for up to a minute now and then, with little room to wait in. */
static uint64_t stalls(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.commit_ms = 500;
    w = start(&cfg);
    w->disk.limit = 6;
    w->sick = true;
    w->patience = 2 * MINUTE;
    for (unsigned i = 0; i < 15; i++) {
        live(w, 10);
        w->stalled = w->now + world_between(w, 0, MINUTE);
    }
    world_check(w, w->disk.refused > 0, "the store was never full");
    world_check(w, world_counter(w, COUNTER_txns_dropped) == w->disk.refused,
                "%llu transactions were refused, %llu are counted",
                (unsigned long long)w->disk.refused,
                (unsigned long long)world_counter(w, COUNTER_txns_dropped));
    return end(w);
}

/* ---- full: nothing that was there changes ---- */

struct picture {
    uint64_t ids[64];
    uint32_t lifetimes[64];
    uint64_t registrations[64];
    size_t registered;
};

static void look(struct world *w, struct picture *p)
{
    *p = (struct picture){0};
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        const struct registration *r = disk_find(&w->disk, view_str(w->clients[i].endpoint));

        p->registrations[i] = w->clients[i].registrations;
        if (!r)
            continue;
        p->ids[i] = r->id;
        p->lifetimes[i] = r->lifetime_s;
        p->registered++;
    }
}

static void compare(struct world *w, const struct picture *p)
{
    struct picture now;

    look(w, &now);
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        struct directory_entry entry = {0};
        int rc = directory_find(w->dir, view_str(w->clients[i].endpoint), &entry);

        world_check(w, now.ids[i] == p->ids[i] && now.lifetimes[i] == p->lifetimes[i],
                    "%s changed while nothing could be written", w->clients[i].endpoint);
        world_check(w, now.registrations[i] == p->registrations[i],
                    "%s was registered while nothing could be written", w->clients[i].endpoint);
        world_check(w, p->ids[i] ? rc == ERR_OK && entry.id == p->ids[i] : rc < 0,
                    "%s has another owner while nothing could be written", w->clients[i].endpoint);
    }
}

static void tries(struct world *w)
{
    for (unsigned i = 0; i < 40; i++) {
        struct client *c = &w->clients[world_random(w, w->cfg.clients)];

        world_pass(w, world_between(w, 0, 4 * SECOND));
        if (!c->on)
            client_start(c, SECOND);
        else if (world_chance(w, 300))
            client_reboot(c);
        else if (world_chance(w, 200))
            client_deregister(c);
        else if (c->registered)
            client_update(c, true);
        world_client_timer(w, c);
        (void)operator_ask(w, c->index, world_chance(w, 500) ? OP_OBSERVE : OP_DEREGISTER);
        world_audit(w);
    }
}

static uint64_t full(uint64_t seed)
{
    struct world_config cfg;
    struct picture before;
    struct world *w;
    uint32_t loss, late;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 2);
    cfg.style.lifetime_min = 400;
    cfg.clients = 10;
    loss = cfg.loss;
    late = cfg.late;
    cfg.loss = cfg.late = 0;
    w = start(&cfg);
    client_off(&w->clients[0]);
    w->cfg.loss = loss;
    w->cfg.late = late;
    w->disk.rc = seed % 3 ? ERR_DISKFULL : ERR_STORE;
    look(w, &before);
    tries(w);
    compare(w, &before);
    w->disk.rc = ERR_OK;
    w->cfg.loss = w->cfg.late = 0;
    world_pass(w, 6 * MINUTE);
    for (unsigned i = 0; i < cfg.clients; i++)
        world_check(w, !w->clients[i].on || w->clients[i].registered, "%s did not recover",
                    w->clients[i].endpoint);
    return end(w);
}

static const struct story stories[] = {
    {"a store that fails now and then", unreliable},
    {"a store that stands still", stalls},
    {"a full disk changes nothing", full},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
