#include "shard/shards.h"

#define LOAD_PAGE 4096
#define RESERVE_MAX ((uint64_t)1 << 24) /* a wrong count must not cost all memory */

int shards_new(const struct shards_config *cfg, struct udp_group *group, struct store *store,
               struct directory *dir, struct models *models,
               void (*event)(void *ctx, struct event *e), void *ctx, struct shards **ret_shards)
{
    struct shards *s = mem_new(sizeof(*s));
    int rc = ERR_OK;

    if (!s)
        return ERR_NOMEM;
    s->cfg = *cfg;
    s->group = group;
    s->store = store;
    s->dir = dir;
    s->models = models;
    s->event = event;
    s->ctx = ctx;
    s->count = cfg->shards;
    s->workers = mem_new(sizeof(*s->workers) * s->count);
    if (!s->workers) {
        mem_free(s);
        return ERR_NOMEM;
    }
    for (uint16_t i = 0; rc == ERR_OK && i < s->count; i++)
        rc = worker_init(&s->workers[i], s, i);
    if (rc < 0) {
        shards_stop(s);
        shards_free(s);
        return rc;
    }
    *ret_shards = s;
    return ERR_OK;
}

/* ---- restart ---- */

struct load {
    struct shards *set;
    struct reader *reader;
    const struct outage *outage;
    uint64_t now;
    uint64_t last_row, last_token; /* where the next page begins */
    struct op_id last_operation;
    size_t in_page;
    uint64_t registrations;
};

static int load_registration(void *ctx, const struct registration *r)
{
    struct load *l = ctx;
    uint16_t home = udp_group_shard_of(&r->flow.peer, l->set->count);
    int rc = core_load(l->set->workers[home].core, r, l->outage, l->now);

    l->last_row = r->row;
    l->in_page++;
    if (rc < 0) {
        log_warn("a stored registration was not loaded", log_view("endpoint", r->endpoint),
                 log_text("reason", err_text(rc)));
        return rc == ERR_NOMEM ? rc : ERR_OK;
    }
    l->registrations++;
    return ERR_OK;
}

static int load_observation(void *ctx, const struct observation *o)
{
    struct load *l = ctx;
    uint16_t home;
    int rc = directory_locate(l->set->dir, o->registration_id, &home);

    l->last_token = o->token;
    l->in_page++;
    if (rc == ERR_OK)
        rc = core_load_observation(l->set->workers[home].core, o, l->now);
    return rc == ERR_NOMEM ? rc : ERR_OK;
}

static int load_operation(void *ctx, const struct operation *o)
{
    struct load *l = ctx;
    struct directory_entry entry;
    int rc = directory_find(l->set->dir, o->endpoint, &entry);

    l->last_operation = o->id;
    l->in_page++;
    if (rc == ERR_OK)
        rc = core_load_operation(l->set->workers[entry.shard].core, o, l->now);
    return rc == ERR_NOMEM ? rc : ERR_OK;
}

static int load_operations(struct load *l)
{
    const struct op_id *after = NULL;
    int rc;

    do {
        l->in_page = 0;
        rc = read_open_operations(l->reader, after, LOAD_PAGE, load_operation, l);
        after = &l->last_operation;
    } while (rc == ERR_OK && l->in_page == LOAD_PAGE);
    return rc;
}

/* The tables take their size at once. */
static int reserve(struct load *l)
{
    uint64_t devices;
    int rc = read_device_count(l->reader, &devices);

    if (rc < 0)
        return rc;
    if (devices > RESERVE_MAX)
        devices = RESERVE_MAX;
    directory_reserve(l->set->dir, devices);
    for (uint16_t i = 0; i < l->set->count; i++)
        core_reserve(l->set->workers[i].core, (uint32_t)(devices / l->set->count));
    return ERR_OK;
}

static int load_all(struct load *l)
{
    int rc = reserve(l);

    if (rc < 0)
        return rc;
    do {
        l->in_page = 0;
        rc = read_registrations(l->reader, l->last_row, LOAD_PAGE, load_registration, l);
    } while (rc == ERR_OK && l->in_page == LOAD_PAGE);
    if (rc < 0)
        return rc;
    do {
        l->in_page = 0;
        rc = read_observations(l->reader, l->last_token, LOAD_PAGE, load_observation, l);
    } while (rc == ERR_OK && l->in_page == LOAD_PAGE);
    return rc < 0 ? rc : load_operations(l);
}

int shards_load(struct shards *s, const char *database, const struct outage *outage,
                uint64_t *ret_registrations)
{
    struct load l = {.set = s, .outage = outage, .now = clock_mono_ms()};
    uint64_t row, generation;
    int rc = read_open(database, &l.reader);

    if (rc < 0)
        return rc;
    rc = read_high_water(l.reader, &row, &generation);
    if (rc == ERR_OK) {
        directory_set_high_water(s->dir, row, generation);
        rc = load_all(&l);
    }
    counter_add(&s->workers[0].counters, COUNTER_rows_unreadable, read_skipped(l.reader));
    read_close(l.reader);
    if (rc == ERR_OK)
        *ret_registrations = l.registrations;
    return rc;
}

/* ---- life ---- */

int shards_start(struct shards *s)
{
    int rc = ERR_OK;

    for (uint16_t i = 0; rc == ERR_OK && i < s->count; i++)
        rc = worker_start(&s->workers[i]);
    if (rc == ERR_OK)
        atomic_store(&s->running, true);
    return rc;
}

void shards_stop(struct shards *s)
{
    atomic_store(&s->running, false);
    for (uint16_t i = 0; i < s->count; i++)
        worker_stop(&s->workers[i]);
    for (uint16_t i = 0; i < s->count; i++)
        worker_join(&s->workers[i]);
}

void shards_free(struct shards *s)
{
    if (!s)
        return;
    for (uint16_t i = 0; i < s->count; i++)
        worker_fini(&s->workers[i]);
    mem_free(s->workers);
    mem_free(s);
}

/* ---- from other threads ---- */

int shards_submit(struct shards *s, struct op *op)
{
    struct directory_entry entry;
    int rc;

    if (!atomic_load(&s->running))
        return ERR_LOADING;
    rc = directory_find(s->dir, view_str(op->endpoint), &entry);
    if (rc < 0)
        return rc;
    return mbox_post(s->workers[entry.shard].ops, &op->node);
}

uint16_t shards_count(const struct shards *s)
{
    return s->count;
}

uint64_t shards_beat(const struct shards *s)
{
    uint64_t oldest = UINT64_MAX;

    for (uint16_t i = 0; i < s->count; i++) {
        uint64_t beat = atomic_load_explicit(&s->workers[i].beat, memory_order_relaxed);

        oldest = beat < oldest ? beat : oldest;
    }
    return oldest;
}

void shards_stats(const struct shards *s, uint16_t shard, struct core_stats *ret_stats)
{
    struct worker *w = &s->workers[shard];

    pthread_mutex_lock(&w->stats_lock);
    *ret_stats = w->stats;
    pthread_mutex_unlock(&w->stats_lock);
}

const struct counters *shards_counters(const struct shards *s, uint16_t shard)
{
    return &s->workers[shard].counters;
}
