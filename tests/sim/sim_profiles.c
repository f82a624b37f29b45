/* Profile IDs: told once by a few devices, enough for all others, on any shard and after a restart.
 */
#include "story.h"

#include <stdio.h>

#define KINDS 3
#define MANY 1000 /* devices; in one of MANY_EVERY seeds, else FEW */
#define MANY_EVERY 25
#define FEW 60
#define FIRST 30 /* devices that come before the others */

/* What the devices of a kind have besides the core objects: instances of /3303, as bits. */
static const struct kind {
    const char *pid;
    uint32_t instances;
    const char *links;
} kinds[KINDS] = {
    {"6:27354b9a", 1, "</1/0>,</3/0>,</5/0>,</3303/0>"},
    {"1:00ff", 5, "</1/0>,</3/0>,</5/0>,</3303/0>,</3303/2>"},
    {"6:c0ffee00", 130, "</1/0>,</3/0>,</5/0>,</3303/1>,</3303/7>"},
};

static const struct kind *kind_of(const struct client *c)
{
    return &kinds[c->index % KINDS];
}

static struct world *new_world(uint64_t seed, uint16_t shards, unsigned clients)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = shards;
    cfg.clients = clients;
    cfg.style.lifetime_min = 300;
    cfg.style.lifetime_max = 600;
    cfg.style.changes = 0;
    cfg.style.alt_path = 0;
    w = world_new(&cfg);
    for (unsigned i = 0; i < clients; i++) {
        w->clients[i].pid = kind_of(&w->clients[i])->pid;
        w->clients[i].instances = kind_of(&w->clients[i])->instances;
    }
    return w;
}

static unsigned registered(const struct world *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->cfg.clients; i++)
        n += w->clients[i].registered;
    return n;
}

/* Those from `first` to before `end` come; waits for them. */
static void bring(struct world *w, unsigned first, unsigned end)
{
    unsigned wanted = registered(w) + (end - first);

    for (unsigned i = first; i < end; i++)
        client_start(&w->clients[i], 20 * SECOND);
    for (unsigned minute = 0; registered(w) < wanted; minute++) {
        world_check(w, minute < 30, "%u of %u devices are registered", registered(w), wanted);
        world_pass(w, MINUTE);
    }
}

static void check_knowledge(struct world *w)
{
    for (size_t k = 0; k < KINDS; k++) {
        struct profile_entry *e = profiles_get(w->profiles, view_str(kinds[k].pid));

        world_check(w, e == NULL || view_eq_str(e->links, kinds[k].links),
                    "%s stands for " VIEW_FMT, kinds[k].pid, VIEW_ARG(e->links));
        profiles_unref(e);
    }
    world_check(w, world_counter(w, COUNTER_profiles_conflicts) == 0, "a profile has two meanings");
}

/* A root link may stand in front. */
static bool ends_with(struct view v, const char *end)
{
    size_t n = strlen(end);

    return v.n >= n && view_eq_str(view_sub(v, v.n - n, n), end);
}

static void check_lists(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        const struct client *c = &w->clients[i];
        const struct registration *r = disk_find(&w->disk, view_str(c->endpoint));

        world_check(w, r != NULL, "%s is not stored", c->endpoint);
        if (r == NULL)
            continue;
        world_check(w, ends_with(r->links, kind_of(c)->links), "%s has " VIEW_FMT, c->endpoint,
                    VIEW_ARG(r->links));
        world_check(w, view_eq_str(r->profile, c->pid), "%s has lost its profile", c->endpoint);
    }
}

/* Each shard keeps a list for each kind, with and without a root link. */
static void check_shared(struct world *w)
{
    for (uint16_t i = 0; i < w->shards; i++) {
        struct core_stats s;

        core_stats(w->lanes[i].core, &s);
        world_check(w, s.domain.devices > 0, "shard %u has no device", i);
        world_check(w, s.domain.objlists <= 2 * (size_t)KINDS, "shard %u keeps %zu lists", i,
                    s.domain.objlists);
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

static uint64_t told_once(uint64_t seed)
{
    unsigned n = seed % MANY_EVERY == 1 ? MANY : FEW;
    struct world *w = new_world(seed, 2, n);
    uint64_t refused;

    bring(w, 0, FIRST);
    world_check(w, profiles_size(w->profiles) == KINDS, "%zu profiles were learned",
                profiles_size(w->profiles));
    refused = world_counter(w, COUNTER_profiles_unknown);
    world_check(w, refused >= KINDS, "%llu Registers were refused", (unsigned long long)refused);
    bring(w, FIRST, n);
    world_check(w, world_counter(w, COUNTER_profiles_unknown) == refused,
                "a profile that is known was refused");
    check_knowledge(w);
    check_lists(w);
    check_shared(w);
    world_check(w, table_size(w->disk.profiles) == KINDS, "%zu profiles are durable",
                table_size(w->disk.profiles));
    if (seed % 2)
        world_kill(w);
    else
        world_stop(w);
    world_pass(w, 10 * SECOND);
    world_start(w, 2);
    for (unsigned i = 0; i < n; i++)
        client_reboot(&w->clients[i]);
    bring(w, 0, n);
    world_check(w, world_counter(w, COUNTER_profiles_unknown) == 0,
                "a profile was forgotten over the restart");
    check_knowledge(w);
    check_lists(w);
    check_shared(w);
    return end(w);
}

/* Devices that wander, reboot and are killed with the server while they teach. */
static uint64_t in_a_hurry(uint64_t seed)
{
    struct world *w = new_world(seed, (uint16_t)(1 + seed % 3), 24);

    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_start(&w->clients[i], 5 * SECOND);
    for (unsigned i = 0; i < 60; i++) {
        struct client *c = &w->clients[world_random(w, w->cfg.clients)];

        world_pass(w, world_between(w, 0, 4 * SECOND));
        if (world_chance(w, 250))
            client_rebind(c, true);
        else if (world_chance(w, 250))
            client_reboot(c);
        else if (world_chance(w, 60)) {
            world_kill(w);
            world_pass(w, world_between(w, 0, 5 * SECOND));
            world_start(w, (uint16_t)(1 + world_random(w, 3)));
        }
        check_knowledge(w);
        world_audit(w);
    }
    for (unsigned minute = 0; registered(w) < w->cfg.clients; minute++) {
        world_check(w, minute < 30, "%u devices are registered", registered(w));
        world_pass(w, MINUTE);
    }
    check_knowledge(w);
    check_lists(w);
    return end(w);
}

static const struct story stories[] = {
    {"profiles told once, known to all and after a restart", told_once},
    {"profiles in a hurry", in_a_hurry},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
