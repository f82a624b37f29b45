#include "disk.h"

#include <stdlib.h>

/* As src/store. */
#define WAITING_MAX 64
#define CARRIED_OBSERVATIONS 64
#define CARRIED_OPERATIONS 256

/* Every table is hashed with this key: the order of walks must not depend on the seed of a world.
 */
static const struct hash_key key = {0x6b657920666f7220, 0x6469736b20707572};

static uint64_t hash(uint64_t n)
{
    return hash_u64(&key, n);
}

static bool row_of_endpoint(const void *item, const void *wanted)
{
    return view_eq(((const struct disk_row *)item)->r->endpoint, *(const struct view *)wanted);
}

static bool row_of_number(const void *item, const void *wanted)
{
    return ((const struct disk_row *)item)->r->row == *(const uint64_t *)wanted;
}

static bool mark_of_id(const void *item, const void *wanted)
{
    return ((const struct disk_mark *)item)->id == *(const uint64_t *)wanted;
}

static bool observation_of_token(const void *item, const void *wanted)
{
    return ((const struct disk_observation *)item)->o.token == *(const uint64_t *)wanted;
}

static bool device_of_endpoint(const void *item, const void *wanted)
{
    const struct disk_device *device = item;

    return view_eq(view_of(device->endpoint, device->n), *(const struct view *)wanted);
}

static bool operation_of_id(const void *item, const void *wanted)
{
    return op_id_eq(&((const struct operation *)item)->id, wanted);
}

static bool operation_of_key(const struct operation *o, struct view wanted)
{
    return wanted.n > 0 && view_eq(o->key, wanted);
}

static bool profile_of_id(const void *item, const void *wanted)
{
    return view_eq(view_str(((const struct disk_profile *)item)->id), *(const struct view *)wanted);
}

/* What a value is found by. */
struct value_key {
    const struct disk_device *device;
    struct view prefix;
    const struct path *path;
};

static bool value_of_key(const void *item, const void *wanted)
{
    const struct disk_value *v = item;
    const struct value_key *k = wanted;
    const struct record *r = batch_at(v->record, 0);

    return v->device == k->device && path_eq(&r->path, k->path) &&
           view_eq(batch_prefix(v->record, r->prefix), k->prefix);
}

void disk_init(struct disk *d)
{
    *d = (struct disk){.limit = 16384};
    d->by_endpoint = table_new(0);
    d->by_row = table_new(0);
    d->marks = table_new(0);
    d->observations = table_new(0);
    d->known = table_new(0);
    d->operations = table_new(0);
    d->values = table_new(0);
    d->profiles = table_new(0);
    d->tail = &d->head;
}

/* ---- rows ---- */

static struct disk_row *find(const struct disk *d, struct view endpoint)
{
    return table_get(d->by_endpoint, hash_bytes(&key, endpoint), row_of_endpoint, &endpoint);
}

static struct disk_row *find_row(const struct disk *d, uint64_t row)
{
    return table_get(d->by_row, hash(row), row_of_number, &row);
}

static void drop_observation(struct disk *d, struct disk_observation *o)
{
    (void)table_del(d->observations, hash(o->o.token), o);
    mem_free(o->text);
    mem_free(o);
}

/* They are wanted of the next registration. */
static void leave_observations(struct disk *d, uint64_t row)
{
    struct disk_observation *o;
    size_t pos = 0;

    while ((o = table_next(d->observations, &pos)) != NULL)
        if (o->o.row == row)
            o->o.row = 0;
}

/* To the next registration of the endpoint, as wanted. */
static void pass_observations(struct disk *d, uint64_t row, const struct registration *to)
{
    struct disk_observation *o;
    size_t pos = 0;

    while ((o = table_next(d->observations, &pos)) != NULL) {
        if (o->o.row != row)
            continue;
        if (o->o.registration_id != to->id)
            o->o.since_ms = 0;
        o->o.row = to->row;
        o->o.registration_id = to->id;
    }
}

static void drop_row(struct disk *d, struct disk_row *row)
{
    (void)table_del(d->by_endpoint, hash_bytes(&key, row->r->endpoint), row);
    (void)table_del(d->by_row, hash(row->r->row), row);
    mem_free(row->r);
    mem_free(row);
}

static void mark(struct disk *d, uint64_t id)
{
    struct disk_mark *m;

    if (disk_ever(d, id))
        return;
    m = mem_new(sizeof(*m));
    m->id = id;
    m->at = d->now;
    (void)table_put(d->marks, hash(id), m);
}

static void raise_marks(struct disk *d, const struct registration *r)
{
    d->row = r->row > d->row ? r->row : d->row;
    d->generation = r->generation > d->generation ? r->generation : d->generation;
}

/* ---- what outlives registrations ---- */

static struct disk_device *find_device(const struct disk *d, struct view endpoint)
{
    return table_get(d->known, hash_bytes(&key, endpoint), device_of_endpoint, &endpoint);
}

static struct disk_device *need_device(struct disk *d, struct view endpoint)
{
    struct disk_device *device = find_device(d, endpoint);

    if (device)
        return device;
    device = mem_new(sizeof(*device) + endpoint.n + 1);
    device->n = endpoint.n;
    memcpy(device->endpoint, endpoint.p, endpoint.n);
    (void)table_put(d->known, hash_bytes(&key, endpoint), device);
    return device;
}

static uint64_t hash_id(const struct op_id *id)
{
    return hash_bytes(&key, view_of(id->b, sizeof(id->b)));
}

static bool waits(const struct operation *o)
{
    return o->state == OP_STATE_QUEUED || o->state == OP_STATE_SENT;
}

static int by_since(const void *a, const void *b)
{
    const struct disk_observation *const *x = a, *const *y = b;
    const struct observation *p = &(*x)->o, *q = &(*y)->o;

    if (p->since_ms != q->since_ms)
        return p->since_ms < q->since_ms ? -1 : 1;
    return (int64_t)p->token < (int64_t)q->token ? -1 : 1;
}

static struct observation *observation_copy(const struct observation *o)
{
    struct observation *c = mem_new(sizeof(*c) + o->attributes.n + o->paths.n);
    uint8_t *bytes = (uint8_t *)(c + 1);

    *c = *o;
    if (o->attributes.n)
        memcpy(bytes, o->attributes.p, o->attributes.n);
    c->attributes = view_of(bytes, o->attributes.n);
    if (o->paths.n)
        memcpy(bytes + o->attributes.n, o->paths.p, o->paths.n);
    c->paths = view_of(bytes + o->attributes.n, o->paths.n);
    return c;
}

static void carry_observations(struct disk *d, const struct disk_device *device, struct txn *t)
{
    size_t all = table_size(d->observations), n = 0, pos = 0;
    struct disk_observation **found = mem_new((all + 1) * sizeof(*found)), *o;

    while ((o = table_next(d->observations, &pos)) != NULL)
        if (o->device == device && o->o.row == 0)
            found[n++] = o;
    qsort(found, n, sizeof(*found), by_since);
    n = n < CARRIED_OBSERVATIONS ? n : CARRIED_OBSERVATIONS;
    t->carried_observations = mem_new((n + 1) * sizeof(struct observation *));
    for (size_t i = 0; i < n; i++) {
        found[i]->o.row = t->registration->row;
        found[i]->o.registration_id = t->registration->id;
        found[i]->o.since_ms = 0;
        t->carried_observations[i] = observation_copy(&found[i]->o);
    }
    t->carried_observation_count = n;
    mem_free(found);
}

static int by_age(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;

    return memcmp((*x)->id.b, (*y)->id.b, sizeof((*x)->id.b));
}

/* Those that wait for their turn first, then those whose late answer may come, the newest first. */
static int by_turn(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;

    if (waits(*x) != waits(*y))
        return waits(*x) ? -1 : 1;
    return waits(*x) ? by_age(a, b) : by_age(b, a);
}

static void carry_operations(struct disk *d, struct view endpoint, struct txn *t)
{
    size_t all = table_size(d->operations), n = 0, pos = 0;
    struct operation **found = mem_new((all + 1) * sizeof(*found)), *o;

    while ((o = table_next(d->operations, &pos)) != NULL)
        if (view_eq(o->endpoint, endpoint) && (waits(o) || o->state == OP_STATE_UNKNOWN))
            found[n++] = o;
    qsort(found, n, sizeof(*found), by_turn);
    n = n < CARRIED_OPERATIONS ? n : CARRIED_OPERATIONS;
    qsort(found, n, sizeof(*found), by_age);
    for (size_t i = 0; i < n; i++)
        found[i] = operation_copy(found[i]);
    t->carried_operations = found;
    t->carried_operation_count = n;
}

/* An endpoint that had no registration has one. */
static void arrive(struct disk *d, struct txn *t)
{
    struct disk_device *device = find_device(d, t->registration->endpoint);

    if (!device)
        return;
    device->offline = false;
    carry_observations(d, device, t);
    carry_operations(d, t->registration->endpoint, t);
}

/* ---- transactions ---- */

static int put_registration(struct disk *d, struct txn *t)
{
    const struct registration *r = t->registration;
    struct disk_row *old = find(d, r->endpoint);
    struct disk_row *at_row = find_row(d, r->row);
    struct disk_row *row;

    if (r->row == 0 || r->endpoint.n == 0 || r->endpoint.n > ENDPOINT_MAX)
        return ERR_INVALID;
    if (old && r->generation < old->r->generation)
        return ERR_STALE;
    if (at_row && at_row != old)
        return ERR_CONFLICT;
    if (old) {
        pass_observations(d, old->r->row, r);
        drop_row(d, old);
    }
    row = mem_new(sizeof(*row));
    row->r = registration_copy(r);
    (void)table_put(d->by_endpoint, hash_bytes(&key, row->r->endpoint), row);
    (void)table_put(d->by_row, hash(row->r->row), row);
    mark(d, r->id);
    raise_marks(d, r);
    if (!old)
        arrive(d, t);
    return ERR_OK;
}

static int del_registration(struct disk *d, const struct txn *t)
{
    struct disk_row *row = find_row(d, t->row);

    if (!row)
        return ERR_OK;
    if (row->r->generation > t->generation)
        return ERR_STALE;
    leave_observations(d, t->row);
    need_device(d, row->r->endpoint)->offline = true;
    drop_row(d, row);
    return ERR_OK;
}

static int renew(struct disk *d, const struct txn *t)
{
    for (size_t i = 0; i < t->renewal_count; i++) {
        const struct renewal *n = &t->renewals[i];
        struct disk_row *row = find_row(d, n->row);

        if (!row || row->r->generation != n->generation)
            continue;
        row->r->expires_ms = n->expires_ms;
        row->r->seen_ms = n->seen_ms;
    }
    return ERR_OK;
}

static int put_observation(struct disk *d, const struct txn *t)
{
    struct disk_row *row = find_row(d, t->observation.row);
    struct disk_observation *o;

    if (t->observation.token == 0)
        return ERR_INVALID;
    if (!row || row->r->id != t->observation.registration_id)
        return ERR_UNREGISTERED;
    o = table_get(d->observations, hash(t->observation.token), observation_of_token,
                  &t->observation.token);
    if (o)
        drop_observation(d, o);
    o = mem_new(sizeof(*o));
    o->o = t->observation;
    o->device = need_device(d, row->r->endpoint);
    o->text = mem_new(t->observation.attributes.n + t->observation.paths.n + 1);
    if (t->observation.attributes.n)
        memcpy(o->text, t->observation.attributes.p, t->observation.attributes.n);
    if (t->observation.paths.n)
        memcpy(o->text + t->observation.attributes.n, t->observation.paths.p,
               t->observation.paths.n);
    o->o.attributes = view_of(o->text, t->observation.attributes.n);
    o->o.paths = view_of(o->text + t->observation.attributes.n, t->observation.paths.n);
    (void)table_put(d->observations, hash(o->o.token), o);
    mark(d, o->o.token);
    return ERR_OK;
}

static int del_observation(struct disk *d, const struct txn *t)
{
    struct disk_observation *o =
        table_get(d->observations, hash(t->token), observation_of_token, &t->token);

    if (o)
        drop_observation(d, o);
    return ERR_OK;
}

/* The one that had the key, or the id, first. */
static const struct operation *find_first(const struct disk *d, const struct operation *o)
{
    struct operation *first;
    size_t pos = 0;

    while ((first = table_next(d->operations, &pos)) != NULL)
        if (operation_of_key(first, o->key))
            return first;
    return disk_operation(d, &o->id);
}

static size_t waiting(const struct disk *d, struct view endpoint)
{
    const struct operation *o;
    size_t pos = 0, n = 0;

    while ((o = table_next(d->operations, &pos)) != NULL)
        n += waits(o) && view_eq(o->endpoint, endpoint);
    return n;
}

static int put_operation(struct disk *d, struct txn *t)
{
    const struct operation *o = t->operation, *first = find_first(d, o);
    const struct disk_device *device = find_device(d, o->endpoint);
    bool registered = find(d, o->endpoint) != NULL;

    if (o->endpoint.n == 0 || o->endpoint.n > ENDPOINT_MAX || o->key.n > OP_KEY_MAX)
        return ERR_INVALID;
    if (first) {
        t->carried_operations = mem_new(sizeof(struct operation *));
        t->carried_operations[t->carried_operation_count++] = operation_copy(first);
        return view_eq(first->key, o->key) && first->key_hash != o->key_hash ? ERR_KEYREUSED
                                                                             : ERR_EXISTS;
    }
    if (!registered && !device)
        return ERR_UNREGISTERED;
    if (registered && t->dormant)
        return ERR_CONFLICT;
    if (!registered && waiting(d, o->endpoint) >= WAITING_MAX)
        return ERR_QUEUE;
    (void)need_device(d, o->endpoint);
    (void)table_put(d->operations, hash_id(&o->id), operation_copy(o));
    return ERR_OK;
}

static bool may_follow(enum op_state from, enum op_state to)
{
    if (from == OP_STATE_UNKNOWN)
        return to == OP_STATE_DONE || to == OP_STATE_REJECTED || to == OP_STATE_DEVICE_ERROR;
    return !op_state_settled(from);
}

static int set_operation(struct disk *d, const struct txn *t)
{
    const struct operation *to = t->operation;
    struct operation *old = table_get(d->operations, hash_id(&to->id), operation_of_id, &to->id);
    struct operation next;

    if (!old)
        return ERR_NOTFOUND;
    if (!may_follow(old->state, to->state))
        return ERR_STALE;
    next = *old;
    next.state = to->state;
    next.late = to->late;
    next.token = to->token;
    next.settled_ms = to->settled_ms;
    next.rc = to->rc;
    next.code = to->code;
    next.result_format = to->result_format;
    next.result = to->result;
    next.result_text = to->result_text;
    next.location = to->location;
    next.attempt_count = to->attempt_count;
    memcpy(next.attempts, to->attempts, sizeof(next.attempts));
    (void)table_del(d->operations, hash_id(&old->id), old);
    (void)table_put(d->operations, hash_id(&next.id), operation_copy(&next));
    mem_free(old);
    return ERR_OK;
}

/* ---- what is told ---- */

static uint64_t hash_value(const struct value_key *k)
{
    char path[PATH_TEXT_MAX];

    path_format(k->path, path);
    return hash_bytes(&key, view_str(path)) ^ hash_bytes(&key, k->prefix) ^
           hash_bytes(&key, view_of(k->device->endpoint, k->device->n));
}

static struct disk_value *find_value(const struct disk *d, const struct value_key *k)
{
    return table_get(d->values, hash_value(k), value_of_key, k);
}

/* A batch of this record alone. */
static struct batch *single(const struct record *r, struct view prefix)
{
    struct batch *b = batch_new();
    struct record alone = *r;

    if (r->prefix != 0)
        (void)batch_prefix_add(b, prefix, &alone.prefix);
    (void)batch_add(b, &alone);
    return b;
}

static void put_value(struct disk *d, struct disk_device *device, const struct record *r,
                      const struct entry *e)
{
    struct value_key k = {device, batch_prefix(e->values, r->prefix), &r->path};
    struct disk_value *v = find_value(d, &k);
    int64_t time_ms = r->timed ? r->time_ms : e->time_ms;

    device->told++;
    if (v && time_ms < v->time_ms)
        return;
    if (!v) {
        v = mem_new(sizeof(*v));
        v->device = device;
        (void)table_put(d->values, hash_value(&k), v);
    } else {
        batch_free(v->record);
    }
    v->time_ms = time_ms;
    v->record = single(r, k.prefix);
}

/* Of endpoints that are not known nothing is kept. */
static int record(struct disk *d, const struct txn *t)
{
    for (size_t i = 0; i < t->entry_count; i++) {
        const struct entry *e = &t->entries[i];
        struct disk_device *device;

        if (!find(d, e->endpoint) && !find_device(d, e->endpoint))
            continue;
        device = need_device(d, e->endpoint);
        device->lines[e->type] += e->listed;
        for (size_t n = 0; e->values && n < batch_size(e->values); n++)
            put_value(d, device, batch_at(e->values, n), e);
    }
    return ERR_OK;
}

static struct disk_profile *find_profile(const struct disk *d, struct view id)
{
    return table_get(d->profiles, hash_bytes(&key, id), profile_of_id, &id);
}

static void drop_profile(struct disk *d, struct disk_profile *p)
{
    (void)table_del(d->profiles, hash_bytes(&key, view_str(p->id)), p);
    mem_free(p->id);
    mem_free(p->links);
    mem_free(p);
}

static int put_profile(struct disk *d, const struct txn *t)
{
    struct view id = view_str(t->profile);
    struct disk_profile *p = find_profile(d, id);

    if (id.n == 0)
        return ERR_INVALID;
    if (p && p->source == PROFILE_CONFIGURED && t->source == PROFILE_LEARNED)
        return ERR_STALE;
    if (p)
        drop_profile(d, p);
    p = mem_new(sizeof(*p));
    p->id = mem_text(id.p, id.n);
    p->links = mem_text(t->text, strlen(t->text));
    p->source = (enum profile_source)t->source;
    (void)table_put(d->profiles, hash_bytes(&key, id), p);
    return ERR_OK;
}

static int del_profile(struct disk *d, const struct txn *t)
{
    struct disk_profile *p = find_profile(d, view_str(t->profile));

    if (p)
        drop_profile(d, p);
    return ERR_OK;
}

static int apply(struct disk *d, struct txn *t)
{
    switch (t->kind) {
    case TXN_PUT_REGISTRATION:
        return put_registration(d, t);
    case TXN_DEL_REGISTRATION:
        return del_registration(d, t);
    case TXN_RENEW:
        return renew(d, t);
    case TXN_PUT_OBSERVATION:
        return put_observation(d, t);
    case TXN_DEL_OBSERVATION:
        return del_observation(d, t);
    case TXN_PUT_OPERATION:
        return put_operation(d, t);
    case TXN_SET_OPERATION:
        return set_operation(d, t);
    case TXN_RECORD:
        return record(d, t);
    case TXN_PUT_PROFILE:
        return put_profile(d, t);
    case TXN_DEL_PROFILE:
        return del_profile(d, t);
    case TXN_PUT_MODEL:
    case TXN_KIND_COUNT:
        break;
    }
    return ERR_INVALID;
}

int disk_submit(struct disk *d, struct txn *t)
{
    if (d->depth >= d->limit) {
        d->refused++;
        return ERR_FULL;
    }
    t->node.next = NULL;
    *d->tail = &t->node;
    d->tail = &t->node.next;
    d->depth++;
    return ERR_OK;
}

static struct txn *pop(struct disk *d)
{
    struct txn *t = mem_container(d->head, struct txn, node);

    d->head = t->node.next;
    if (!d->head)
        d->tail = &d->head;
    d->depth--;
    return t;
}

size_t disk_commit(struct disk *d, size_t most, void (*done)(void *ctx, struct txn *t), void *ctx)
{
    for (size_t i = 0; d->head && i < most; i++) {
        struct txn *t = pop(d);

        t->rc = d->rc < 0 ? d->rc : apply(d, t);
        d->committed += t->rc == ERR_OK;
        d->failed += t->rc < 0;
        done(ctx, t);
    }
    d->commits++;
    return d->depth;
}

void disk_crash(struct disk *d)
{
    while (d->head)
        txn_free(pop(d));
}

void disk_fini(struct disk *d)
{
    struct disk_observation *o;
    struct disk_row *row;
    struct disk_mark *m;
    void *item;
    size_t pos = 0;

    disk_crash(d);
    while ((o = table_next(d->observations, &pos)) != NULL)
        drop_observation(d, o);
    for (pos = 0; (row = table_next(d->by_row, &pos)) != NULL;)
        drop_row(d, row);
    for (pos = 0; (m = table_next(d->marks, &pos)) != NULL;)
        mem_free(m);
    for (pos = 0; (item = table_next(d->known, &pos)) != NULL;)
        mem_free(item);
    for (pos = 0; (item = table_next(d->operations, &pos)) != NULL;)
        mem_free(item);
    for (pos = 0; (item = table_next(d->values, &pos)) != NULL;) {
        batch_free(((struct disk_value *)item)->record);
        mem_free(item);
    }
    for (pos = 0; (item = table_next(d->profiles, &pos)) != NULL;)
        drop_profile(d, item);
    table_free(d->values);
    table_free(d->profiles);
    table_free(d->known);
    table_free(d->operations);
    table_free(d->by_endpoint);
    table_free(d->by_row);
    table_free(d->marks);
    table_free(d->observations);
}

/* ---- looking ---- */

const struct registration *disk_find(const struct disk *d, struct view endpoint)
{
    const struct disk_row *row = find(d, endpoint);

    return row ? row->r : NULL;
}

const struct registration *disk_find_id(const struct disk *d, struct view endpoint, uint64_t id)
{
    const struct registration *r = disk_find(d, endpoint);

    return r && r->id == id ? r : NULL;
}

bool disk_ever(const struct disk *d, uint64_t id)
{
    return table_get(d->marks, hash(id), mark_of_id, &id) != NULL;
}

uint64_t disk_since(const struct disk *d, uint64_t id)
{
    const struct disk_mark *m = table_get(d->marks, hash(id), mark_of_id, &id);

    return m ? m->at : 0;
}

const struct observation *disk_observation(const struct disk *d, uint64_t token)
{
    const struct disk_observation *o =
        table_get(d->observations, hash(token), observation_of_token, &token);

    return o ? &o->o : NULL;
}

size_t disk_size(const struct disk *d)
{
    return table_size(d->by_row);
}

const struct operation *disk_operation(const struct disk *d, const struct op_id *id)
{
    return table_get(d->operations, hash_id(id), operation_of_id, id);
}

const struct disk_device *disk_known(const struct disk *d, struct view endpoint)
{
    return find_device(d, endpoint);
}

const struct disk_value *disk_value(const struct disk *d, struct view endpoint,
                                    const struct path *path)
{
    struct value_key k = {find_device(d, endpoint), VIEW_LIT(""), path};

    return k.device ? find_value(d, &k) : NULL;
}

const struct disk_profile *disk_profile(const struct disk *d, struct view id)
{
    return find_profile(d, id);
}
