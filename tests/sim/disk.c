#include "disk.h"

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

void disk_init(struct disk *d)
{
    *d = (struct disk){.limit = 16384};
    d->by_endpoint = table_new(0);
    d->by_row = table_new(0);
    d->marks = table_new(0);
    d->observations = table_new(0);
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

static void drop_observations(struct disk *d, uint64_t row)
{
    struct disk_observation *o;
    size_t pos = 0;

    while ((o = table_next(d->observations, &pos)) != NULL)
        if (o->o.row == row)
            drop_observation(d, o);
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

/* ---- transactions ---- */

static int put_registration(struct disk *d, const struct txn *t)
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
    return ERR_OK;
}

static int del_registration(struct disk *d, const struct txn *t)
{
    struct disk_row *row = find_row(d, t->row);

    if (!row)
        return ERR_OK;
    if (row->r->generation > t->generation)
        return ERR_STALE;
    drop_observations(d, t->row);
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
    o->text = mem_text(t->observation.attributes.p, t->observation.attributes.n);
    o->o.attributes = view_of(o->text, t->observation.attributes.n);
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

static int apply(struct disk *d, const struct txn *t)
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
    case TXN_PUT_MODEL:
    case TXN_PUT_OPERATION:
    case TXN_SET_OPERATION:
    case TXN_RECORD:
    case TXN_PUT_PROFILE:
    case TXN_DEL_PROFILE:
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
    size_t pos = 0;

    disk_crash(d);
    while ((o = table_next(d->observations, &pos)) != NULL)
        drop_observation(d, o);
    for (pos = 0; (row = table_next(d->by_row, &pos)) != NULL;)
        drop_row(d, row);
    for (pos = 0; (m = table_next(d->marks, &pos)) != NULL;)
        mem_free(m);
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
