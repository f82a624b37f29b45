/* kill -9 at any moment, and what is there afterwards; the number of shards changes on the way. */
#include "story.h"

#define CLIENTS_STEP 2 /* devices of the worlds that are killed at each step */

static void start_all(struct world *w, uint64_t within)
{
    for (unsigned i = 0; i < w->cfg.clients; i++)
        client_start(&w->clients[i], within);
}

static uint64_t end(struct world *w)
{
    uint64_t trace;

    world_settle(w);
    trace = w->trace;
    world_free(w);
    return trace;
}

/* What a device was told is durable; what it was not told may be either way. */
static void kill_and_start(struct world *w, uint64_t outage_ms, uint16_t shards)
{
    uint64_t ids[64] = {0};

    for (unsigned i = 0; i < w->cfg.clients; i++) {
        const struct client *c = &w->clients[i];

        if (c->registered && disk_find_id(&w->disk, view_str(c->endpoint), c->id))
            ids[i] = c->id;
    }
    world_kill(w);
    world_pass(w, outage_ms);
    world_start(w, shards);
    for (unsigned i = 0; i < w->cfg.clients; i++) {
        uint16_t shard;

        world_check(w, ids[i] == 0 || directory_locate(w->dir, ids[i], &shard) == ERR_OK,
                    "%s lost its registration", w->clients[i].endpoint);
    }
}

static uint64_t outage(struct world *w)
{
    return world_between(w, 0, world_chance(w, 300) ? 20 * MINUTE : 20 * SECOND);
}

/* ---- at random ---- */

static uint64_t storm(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 3);
    cfg.clients = 12;
    cfg.commit_ms = 200;
    w = world_new(&cfg);
    start_all(w, 5 * SECOND);
    for (int life = 0; life < 8; life++) {
        uint64_t until = w->now + world_between(w, 0, 5 * MINUTE);

        while (w->now < until) {
            struct client *c = &w->clients[world_random(w, cfg.clients)];

            world_pass(w, world_between(w, 0, 5 * SECOND));
            operator_poke(w);
            if (!c->on)
                client_start(c, SECOND);
            else if (world_chance(w, 50))
                client_rebind(c, world_chance(w, 500));
            else if (world_chance(w, 30))
                client_deregister(c);
            world_client_timer(w, c);
        }
        for (uint32_t steps = world_random(w, 50); steps > 0; steps--)
            (void)world_step(w, UINT64_MAX);
        operator_check_watches(w);
        kill_and_start(w, outage(w), (uint16_t)(1 + world_random(w, WORLD_SHARDS_MAX)));
    }
    world_pass(w, 2 * MINUTE);
    operator_check_watches(w);
    return end(w);
}

/* ---- at each step ---- */

static struct world *calm(uint64_t seed, uint16_t shards)
{
    struct world_config cfg;

    world_config_defaults(&cfg, seed);
    cfg.shards = shards;
    cfg.clients = CLIENTS_STEP;
    cfg.loss = cfg.duplicate = cfg.late = 0;
    cfg.style.lifetime_min = 300;
    cfg.style.changes = 0;
    return world_new(&cfg);
}

/* Does something with device 0 and says when it has happened. */
struct deed {
    void (*start)(struct world *w);
    bool (*is_done)(struct world *w);
};

static void registers(struct world *w)
{
    client_start(&w->clients[0], SECOND);
}

static bool has_registered(struct world *w)
{
    return w->clients[0].registered;
}

static void updates(struct world *w)
{
    client_update(&w->clients[0], true);
    world_client_timer(w, &w->clients[0]);
}

static bool has_updated(struct world *w)
{
    return w->clients[0].updates > 0;
}

static void moves(struct world *w)
{
    client_rebind(&w->clients[0], true);
}

static void leaves(struct world *w)
{
    client_deregister(&w->clients[0]);
    world_client_timer(w, &w->clients[0]);
}

static bool has_left(struct world *w)
{
    return !w->clients[0].on;
}

static void is_observed(struct world *w)
{
    (void)operator_ask(w, 0, OP_OBSERVE);
}

static bool has_ended(struct world *w)
{
    return w->desk.open == 0;
}

static void is_cancelled(struct world *w)
{
    (void)operator_ask(w, 0, OP_OBSERVE_CANCEL);
}

static const struct {
    struct deed deed;
    unsigned before; /* deeds of this table that come first */
} deeds[] = {
    {{registers, has_registered}, 0}, {{updates, has_updated}, 1},   {{moves, has_updated}, 1},
    {{leaves, has_left}, 1},          {{is_observed, has_ended}, 1}, {{is_cancelled, has_ended}, 1},
};

#define STEPS_MAX 10000

/* False: it was done before `steps` steps. */
static bool go(struct world *w, const struct deed *deed, unsigned steps)
{
    deed->start(w);
    for (unsigned i = 0; i < steps; i++) {
        if (deed->is_done(w))
            return false;
        world_check(w, i < STEPS_MAX, "it does not end");
        (void)world_step(w, UINT64_MAX);
    }
    return true;
}

static bool killed_at(uint64_t seed, size_t which, unsigned step, uint64_t *trace)
{
    struct world *w = calm(seed, (uint16_t)(1 + seed % 3));
    bool more;

    client_start(&w->clients[1], SECOND);
    if (deeds[which].before > 0) {
        (void)go(w, &deeds[0].deed, STEPS_MAX);
        if (deeds[which].deed.start == is_cancelled)
            (void)go(w, &deeds[4].deed, STEPS_MAX);
        world_pass(w, 5 * SECOND);
    }
    more = go(w, &deeds[which].deed, step);
    kill_and_start(w, SECOND, (uint16_t)(1 + (seed + step) % 3));
    world_pass(w, 4 * MINUTE);
    world_check(w, !w->clients[0].on || w->clients[0].registered,
                "the device did not find its way back");
    *trace ^= end(w);
    return more;
}

static uint64_t each_step(uint64_t seed)
{
    uint64_t trace = 0;

    for (size_t which = 0; which < mem_count(deeds); which++)
        for (unsigned step = 0; killed_at(seed, which, step, &trace); step++)
            ;
    return trace;
}

/* ---- restarts in order ---- */

/* Nobody has to register again, whatever the number of shards. */
static uint64_t shards_change(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.loss = cfg.late = 0;
    cfg.clients = 16;
    cfg.style.lifetime_min = 300;
    cfg.style.con = 1000;
    w = world_new(&cfg);
    start_all(w, 5 * SECOND);
    world_pass(w, 10 * SECOND);
    for (unsigned i = 0; i < cfg.clients; i++)
        (void)operator_ask(w, i, OP_OBSERVE);
    world_pass(w, 2 * MINUTE);
    for (unsigned life = 0; life < 6; life++) {
        static const uint16_t shards[] = {2, 3, 1, 3, 2, 1};

        if (life % 2) {
            world_stop(w);
            world_pass(w, SECOND);
            world_start(w, shards[life]);
        } else {
            kill_and_start(w, SECOND, shards[life]);
        }
        world_pass(w, 5 * MINUTE);
        operator_check_watches(w);
    }
    for (unsigned i = 0; i < cfg.clients; i++)
        world_check(w,
                    w->clients[i].registered &&
                        w->clients[i].registrations <= 1 + w->clients[i].unlucky_times,
                    "%s had to register %llu times", w->clients[i].endpoint,
                    (unsigned long long)w->clients[i].registrations);
    world_check(w, w->desk.delivered > cfg.clients, "no observation was delivered");
    return end(w);
}

/* Away for longer than any lifetime: nobody expires at once. */
static uint64_t long_outage(uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.clients = 16;
    cfg.loss = cfg.late = 0;
    w = world_new(&cfg);
    start_all(w, 5 * SECOND);
    world_pass(w, MINUTE);
    world_kill(w);
    for (unsigned i = 0; i < cfg.clients; i++)
        client_off(&w->clients[i]);
    world_pass(w, 3600 * SECOND);
    world_start(w, 2);
    world_pass(w, w->grace_s * SECOND - 1);
    world_check(w, directory_size(w->dir) == cfg.clients, "%zu of %u are left",
                directory_size(w->dir), cfg.clients);
    return end(w);
}

static const struct story stories[] = {
    {"killed at random moments", storm},
    {"killed at each step of a deed", each_step},
    {"another number of shards after each restart", shards_change},
    {"an outage longer than the lifetimes", long_outage},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
