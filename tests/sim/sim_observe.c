/* Observations: delivered in order, whole, and again after each Register. */
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

static void observe_some(struct world *w, unsigned n)
{
    for (; n > 0; n--) {
        (void)operator_ask(w, world_random(w, w->cfg.clients), OP_OBSERVE);
        world_pass(w, world_between(w, 0, 3 * SECOND));
    }
}

static uint64_t in_order(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 2);
    cfg.duplicate = 300;
    cfg.late = 150;
    cfg.style.notify_min = 1;
    cfg.style.notify_max = 8;
    w = start(&cfg);
    observe_some(w, 20);
    world_pass(w, 10 * MINUTE);
    operator_check_watches(w);
    world_check(w, w->desk.delivered > 0, "nothing was delivered");
    return end(w);
}

/* ---- wanted ---- */

/* Nothing is lost any more, and every device has spoken. */
static void calm_down(struct world *w)
{
    w->cfg.loss = 0;
    world_pass(w, 3 * MINUTE);
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        if (!w->clients[i].on)
            client_start(&w->clients[i], SECOND);
        client_update(&w->clients[i], false);
        world_client_timer(w, &w->clients[i]);
    }
    world_pass(w, 3 * MINUTE);
}

/* What is durable is what the devices report. */
static size_t check_wanted(struct world *w)
{
    const struct disk_observation *o;
    size_t pos = 0, n = 0;

    while ((o = table_next(w->disk.observations, &pos)) != NULL) {
        for (unsigned i = 0; i < w->cfg.clients; i++) {
            struct client *c = &w->clients[i];

            if (!c->registered || c->id != o->o.registration_id)
                continue;
            n++;
            /* From an address that the server did not know yet: rejected, and not asked anew. */
            world_check(
                w, client_observation(c, o->o.token) != NULL || client_was_rejected(c, o->o.token),
                "%s is not observed any more: %016llx", c->endpoint,
                (unsigned long long)o->o.token);
        }
    }
    return n;
}

static uint64_t wanted(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;
    size_t found = 0;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    /* The notification of a device that has rebooted since passes for the answer to the request
     * that observes it again, for both have the same token. */
    cfg.late = 0;
    w = start(&cfg);
    for (unsigned round = 0; round < 4; round++) {
        w->cfg.loss = cfg.loss;
        observe_some(w, 10);
        for (unsigned i = 0; i < 12; i++) {
            struct client *c = &w->clients[world_random(w, cfg.clients)];

            world_pass(w, world_between(w, 0, 20 * SECOND));
            if (!c->on)
                client_start(c, 5 * SECOND);
            else if (world_chance(w, 200))
                client_off(c);
            else if (world_chance(w, 300))
                client_rebind(c, true);
            else if (world_chance(w, 500))
                client_reboot(c);
            world_client_timer(w, c);
            world_audit(w);
        }
        if (world_chance(w, 300)) {
            world_kill(w);
            world_pass(w, 3 * SECOND);
            world_start(w, (uint16_t)(1 + world_random(w, WORLD_SHARDS_MAX)));
        }
        calm_down(w);
        found += check_wanted(w);
    }
    world_check(w, found > 0, "nothing was wanted");
    return end(w);
}

/* ---- ended by the device ---- */

static uint64_t ended(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;
    uint64_t tokens[64];
    size_t n = 0;

    world_config_defaults(&cfg, seed);
    w = start(&cfg);
    observe_some(w, 30);
    world_pass(w, MINUTE);
    w->cfg.loss = 0;
    while (n < mem_count(tokens)) {
        struct client *c = &w->clients[world_random(w, cfg.clients)];
        uint64_t token = client_unobserve(c);

        world_client_timer(w, c);
        world_pass(w, world_between(w, 0, 10 * SECOND));
        tokens[n++] = token;
    }
    world_pass(w, 2 * MINUTE);
    while (n > 0) {
        uint64_t token = tokens[--n];

        world_check(w, token == 0 || !disk_observation(&w->disk, token),
                    "the observation %016llx has ended, but is durable", (unsigned long long)token);
    }
    return end(w);
}

static const struct story stories[] = {
    {"notifications in order over a network without any", in_order},
    {"what is wanted is observed again after a Register", wanted},
    {"observations that the device ends", ended},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
