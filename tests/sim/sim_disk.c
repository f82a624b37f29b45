/* The disk of the simulation against the store it stands for: the same transactions, the same
 * results, the same rows. */
#include "disk.h"
#include "story.h"

#include "store/read.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENDPOINTS 6
#define OPERATIONS 400
#define TOKENS 200
#define STEPS 600

struct both {
    uint64_t seed, step;
    struct random random;
    struct disk disk;
    char folder[64], path[96];
    struct store *store;
    struct reader *reader;
    /* What the last Register of each endpoint asked for. */
    uint64_t row[ENDPOINTS], id[ENDPOINTS], generation[ENDPOINTS];
    uint64_t rows; /* highest so far */
    uint64_t trace;
};

static void check(struct both *b, bool holds, const char *what)
{
    if (!holds)
        story_failed(b->seed, b->step * 1000, what);
}

static uint64_t below(struct both *b, uint64_t n)
{
    return random_below(&b->random, n);
}

static struct view endpoint(uint64_t n, char out[16])
{
    snprintf(out, 16, "endpoint-%u", (unsigned)n);
    return view_str(out);
}

static struct path any_path(struct both *b)
{
    return (struct path){.id = {3, 0, (uint16_t)below(b, 5)}, .depth = 3};
}

/* ---- the store ------------------------------------------------------------------------------ */

struct wait {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

static void stored(struct txn *t)
{
    struct wait *w = t->ctx;

    pthread_mutex_lock(&w->mutex);
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void run_store(struct both *b, struct txn *t)
{
    struct wait w = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

    t->done = stored;
    t->ctx = &w; /* cppcheck-suppress autoVariables ; it is waited for below */
    check(b, store_submit(b->store, t) == ERR_OK, "the store did not take a transaction");
    pthread_mutex_lock(&w.mutex);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
}

static void open_store(struct both *b)
{
    struct store_config cfg = {.path = b->path};
    int rc = store_open(&cfg, &b->store);

    if (rc == ERR_OK)
        rc = read_open(b->path, &b->reader);
    check(b, rc == ERR_OK, "the store cannot be opened");
}

static void close_store(struct both *b)
{
    read_close(b->reader);
    store_close(b->store);
}

/* ---- transactions -----------------------------------------------------------------------------
 */

static struct txn *put_registration(struct both *b, uint64_t n)
{
    struct txn *t = txn_new(TXN_PUT_REGISTRATION);
    char name[16];
    struct registration r = {.endpoint = endpoint(n, name), .links = VIEW_LIT("</3/0>")};
    uint64_t kind = below(b, 10);

    if (b->row[n] == 0 || kind < 6) { /* a Register */
        b->row[n] = ++b->rows;
        b->id[n] = random_u64(&b->random) | 1;
        b->generation[n]++;
    }
    r.row = b->row[n];
    r.id = b->id[n];
    r.generation = b->generation[n] - (kind == 9 && b->generation[n] > 1); /* … that is late */
    r.expires_ms = INT64_MAX;
    t->registration = registration_copy(&r);
    return t;
}

static struct txn *del_registration(struct both *b, uint64_t n)
{
    struct txn *t = txn_new(TXN_DEL_REGISTRATION);

    t->row = b->row[n] + (b->row[n] == 0);
    t->generation = b->generation[n] - (below(b, 10) == 0 && b->generation[n] > 0);
    return t;
}

static struct txn *put_observation(struct both *b, uint64_t n)
{
    static const char text[] = "pmin=5/3/0/1,/3/0/2";
    struct txn *t = txn_new(TXN_PUT_OBSERVATION);

    t->text = mem_text(text, sizeof(text) - 1);
    t->observation.token = below(b, TOKENS);
    t->observation.row = b->row[n];
    t->observation.registration_id = b->id[n] + (below(b, 10) == 0);
    t->observation.path = any_path(b);
    t->observation.attributes = view_of(t->text, below(b, 2) * 6);
    t->observation.paths = view_of(t->text + 6, below(b, 2) * 13);
    t->observation.since_ms = (int64_t)below(b, 20);
    return t;
}

static struct txn *del_observation(struct both *b, uint64_t n)
{
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);

    (void)n;
    t->token = below(b, TOKENS);
    return t;
}

static struct op_id id_of(uint64_t n)
{
    struct op_id id = {{0}};

    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static struct txn *any_operation(struct both *b, uint64_t n, enum txn_kind kind)
{
    struct txn *t = txn_new(kind);
    char name[16], key[16];
    struct operation o = {.id = id_of(below(b, OPERATIONS)),
                          .endpoint = endpoint(n, name),
                          .kind = OP_READ,
                          .state = (enum op_state)below(b, OP_STATE_COUNT),
                          .path = any_path(b),
                          .token = below(b, 1000),
                          .result_format = FORMAT_NONE,
                          .attempt_count = (uint8_t)below(b, 3)};

    if (kind == TXN_PUT_OPERATION && below(b, 3) > 0)
        o.state = OP_STATE_QUEUED;
    if (below(b, 4) == 0) {
        snprintf(key, sizeof(key), "key %u", (unsigned)below(b, 20));
        o.key = view_str(key);
        o.key_hash = below(b, 2);
    }
    if (kind == TXN_SET_OPERATION)
        o.result = VIEW_LIT("result");
    t->operation = operation_copy(&o);
    t->dormant = below(b, 2) == 0;
    return t;
}

static struct txn *put_operation(struct both *b, uint64_t n)
{
    return any_operation(b, n, TXN_PUT_OPERATION);
}

static struct txn *set_operation(struct both *b, uint64_t n)
{
    return any_operation(b, n, TXN_SET_OPERATION);
}

static struct txn *record(struct both *b, uint64_t n)
{
    struct txn *t = txn_new(TXN_RECORD);
    char name[16];
    struct view ep = endpoint(n, name);

    t->bytes = mem_text(ep.p, ep.n);
    t->entries = mem_new(sizeof(*t->entries));
    t->entry_count = 1;
    t->entries[0] = (struct entry){.endpoint = view_of(t->bytes, ep.n),
                                   .time_ms = 1000 + (int64_t)below(b, 50),
                                   .listed = below(b, 2) == 0,
                                   .type = EVENT_SEND,
                                   .origin = ORIGIN_SEND,
                                   .values = below(b, 4) ? batch_new() : NULL};
    for (uint64_t i = below(b, 4); t->entries[0].values && i > 0; i--) {
        struct record r = {.path = any_path(b),
                           .timed = below(b, 2) == 0,
                           .time_ms = 1000 + (int64_t)below(b, 50),
                           .value = {.type = VALUE_INTEGER, .u.integer = (int64_t)below(b, 1000)}};

        if (below(b, 4) == 0)
            (void)batch_prefix_add(t->entries[0].values, VIEW_LIT("d1"), &r.prefix);
        (void)batch_add(t->entries[0].values, &r);
    }
    return t;
}

static struct txn *any_profile(struct both *b, enum txn_kind kind)
{
    struct txn *t = txn_new(kind);
    char id[16], links[24];

    snprintf(id, sizeof(id), "v:%u", (unsigned)below(b, 5));
    snprintf(links, sizeof(links), "</%u/0>", (unsigned)below(b, 100));
    t->profile = mem_text(id, strlen(id));
    t->text = mem_text(links, strlen(links));
    t->source = (uint8_t)below(b, PROFILE_SOURCE_COUNT);
    return t;
}

static struct txn *put_profile(struct both *b, uint64_t n)
{
    (void)n;
    return any_profile(b, TXN_PUT_PROFILE);
}

static struct txn *del_profile(struct both *b, uint64_t n)
{
    (void)n;
    return any_profile(b, TXN_DEL_PROFILE);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static bool same_observation(const struct observation *x, const struct observation *y)
{
    return x->token == y->token && x->row == y->row && x->registration_id == y->registration_id &&
           path_eq(&x->path, &y->path) && view_eq(x->paths, y->paths) &&
           view_eq(x->attributes, y->attributes) && x->since_ms == y->since_ms;
}

static bool same_operation(const struct operation *x, const struct operation *y)
{
    return op_id_eq(&x->id, &y->id) && view_eq(x->endpoint, y->endpoint) && x->state == y->state &&
           path_eq(&x->path, &y->path) && view_eq(x->key, y->key) && x->token == y->token &&
           view_eq(x->result, y->result) && x->attempt_count == y->attempt_count;
}

static void same_outcome(struct both *b, const struct txn *x, const struct txn *y)
{
    bool same = x->carried_observation_count == y->carried_observation_count &&
                x->carried_operation_count == y->carried_operation_count;

    check(b, x->rc == y->rc, "another result");
    check(b, same, "another number is carried");
    for (size_t i = 0; i < x->carried_observation_count; i++)
        check(b, same_observation(x->carried_observations[i], y->carried_observations[i]),
              "another observation is carried");
    for (size_t i = 0; i < x->carried_operation_count; i++)
        check(b, same_operation(x->carried_operations[i], y->carried_operations[i]),
              "another operation is carried");
    b->trace = b->trace * 31 + (uint64_t)-x->rc + x->carried_observation_count +
               x->carried_operation_count * 7;
}

static int compare_operation(void *ctx, const struct operation *o)
{
    struct both *b = ctx;
    const struct operation *d = disk_operation(&b->disk, &o->id);

    check(b, d && same_operation(d, o), "another operation is stored");
    return ERR_OK;
}

struct wanted {
    struct both *b;
    const struct disk_device *device;
    size_t n;
};

static int compare_wanted(void *ctx, const struct observation *o)
{
    struct wanted *w = ctx;
    const struct observation *d = disk_observation(&w->b->disk, o->token);
    struct observation expected;

    check(w->b, d != NULL, "an observation is stored that should not be");
    expected = *d;
    if (expected.row == 0)
        expected.since_ms = 0;
    check(w->b, same_observation(&expected, o), "another observation is stored");
    w->n++;
    return ERR_OK;
}

static int compare_value(void *ctx, const struct stored_value *v)
{
    struct wanted *w = ctx;
    const struct disk_value *d;

    w->n++;
    if (v->prefix.n)
        return ERR_OK;
    d = disk_value(&w->b->disk, view_of(w->device->endpoint, w->device->n), &v->record.path);
    check(w->b,
          d && d->time_ms == v->record.time_ms &&
              value_eq(&batch_at(d->record, 0)->value, &v->record.value),
          "another value is stored");
    return ERR_OK;
}

static int count_value(void *ctx, const struct stored_value *v)
{
    (void)v;
    ++*(size_t *)ctx;
    return ERR_OK;
}

static int count_line(void *ctx, const struct entry *e)
{
    (void)e;
    ++*(size_t *)ctx;
    return ERR_OK;
}

static int compare_registration(void *ctx, const struct registration *r)
{
    struct both *b = ctx;
    const struct registration *d = disk_find(&b->disk, r->endpoint);

    if (r->row == 0)
        check(b, !d && disk_known(&b->disk, r->endpoint)->offline, "another is offline");
    else
        check(b, d && d->row == r->row && d->id == r->id && d->generation == r->generation,
              "another registration is stored");
    return ERR_OK;
}

static int compare_profile(void *ctx, struct view id, struct view links, enum profile_source source,
                           int64_t since_ms)
{
    struct both *b = ctx;
    const struct disk_profile *p = disk_profile(&b->disk, id);

    (void)since_ms;
    check(b, p && view_eq_str(links, p->links) && p->source == source, "another profile is stored");
    b->trace++;
    return ERR_OK;
}

static void compare_told(struct both *b, const struct disk_device *device)
{
    struct view ep = view_of(device->endpoint, device->n);
    struct read_history_filter all = {.endpoint = ep, .limit = SIZE_MAX};
    struct wanted w = {.b = b, .device = device};
    const struct disk_observation *o;
    const struct disk_value *v;
    struct path root = {.depth = 0};
    size_t n = 0, pos = 0;

    (void)read_wanted(b->reader, ep, compare_wanted, &w);
    while ((o = table_next(b->disk.observations, &pos)) != NULL)
        n += o->device == device;
    check(b, w.n == n, "another number of observations is stored");
    w.n = n = pos = 0;
    (void)read_values(b->reader, ep, &root, compare_value, &w);
    while ((v = table_next(b->disk.values, &pos)) != NULL)
        n += v->device == device;
    check(b, w.n == n, "another number of values is stored");
    n = 0;
    (void)read_history(b->reader, &all, count_value, &n);
    check(b, n == device->told, "another number of values with times is stored");
    n = 0;
    (void)read_timeline(b->reader, ep, VIEW_NONE, SIZE_MAX, count_line, &n);
    check(b, n == device->lines[EVENT_SEND], "another number of lines is stored");
}

static void compare_all(struct both *b)
{
    for (uint64_t n = 0; n < ENDPOINTS; n++) {
        char name[16];
        struct view ep = endpoint(n, name);
        const struct disk_device *device = disk_known(&b->disk, ep);
        int rc = read_device(b->reader, ep, compare_registration, b);

        check(b, (rc == ERR_OK) == (disk_find(&b->disk, ep) || (device && device->offline)),
              "another endpoint is known");
        if (device)
            compare_told(b, device);
    }
    for (uint64_t n = 0; n < OPERATIONS; n++) {
        struct op_id id = id_of(n);
        int rc = read_operation(b->reader, &id, compare_operation, b);

        check(b, (rc == ERR_OK) == (disk_operation(&b->disk, &id) != NULL),
              "an operation is stored in one only");
    }
    check(b, read_profiles(b->reader, compare_profile, b) == ERR_OK, "profiles cannot be read");
}

/* ---- the story --------------------------------------------------------------------------------
 */

typedef struct txn *(*make_fn)(struct both *b, uint64_t n);

static const make_fn makers[] = {put_registration, del_registration, put_observation,
                                 put_observation,  del_observation,  put_operation,
                                 put_operation,    put_operation,    set_operation,
                                 record,           put_profile,      del_profile};

static void keep(void *ctx, struct txn *t)
{
    *(struct txn **)ctx = t;
}

/* The same from the same numbers. */
static struct txn *make(struct both *b, make_fn maker, uint64_t n, bool again)
{
    struct random before = b->random;
    struct both was = *b;
    struct txn *t = maker(b, n);

    if (again)
        return t;
    memcpy(b->row, was.row, sizeof(b->row));
    memcpy(b->id, was.id, sizeof(b->id));
    memcpy(b->generation, was.generation, sizeof(b->generation));
    b->rows = was.rows;
    b->random = before;
    return t;
}

static void step(struct both *b)
{
    make_fn maker = makers[below(b, mem_count(makers))];
    uint64_t n = below(b, ENDPOINTS);
    struct txn *first = make(b, maker, n, false), *second = make(b, maker, n, true);
    struct txn *done = NULL;

    b->step++;
    run_store(b, first);
    (void)disk_submit(&b->disk, second);
    (void)disk_commit(&b->disk, 1, keep, &done);
    same_outcome(b, first, done);
    txn_free(first);
    txn_free(done);
}

static void remove_folder(struct both *b)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};

    for (size_t i = 0; i < mem_count(suffixes); i++) {
        char name[112];

        snprintf(name, sizeof(name), "%s%s", b->path, suffixes[i]);
        (void)unlink(name);
    }
    (void)rmdir(b->folder);
}

static uint64_t alike(uint64_t seed)
{
    const char *tmp = getenv("TMPDIR");
    struct both b = {.seed = seed};

    random_init(&b.random, seed, 77);
    snprintf(b.folder, sizeof(b.folder), "%s/sim-disk-XXXXXX",
             tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    check(&b, mkdtemp(b.folder) != NULL, "no folder");
    snprintf(b.path, sizeof(b.path), "%s/db", b.folder);
    disk_init(&b.disk);
    open_store(&b);
    for (unsigned part = 0; part < 3; part++) {
        for (unsigned i = 0; i < STEPS; i++)
            step(&b);
        compare_all(&b);
        close_store(&b);
        open_store(&b);
    }
    close_store(&b);
    disk_fini(&b.disk);
    remove_folder(&b);
    return b.trace;
}

static const struct story stories[] = {
    {"the disk does as the store does", alike},
};

int main(void)
{
    return story_main(stories, mem_count(stories));
}
