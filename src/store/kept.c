#include "store/kept.h"

#include "store/durable.h"
#include "store/history.h"
#include "store/known.h"
#include "store/pids.h"
#include "store/purge.h"
#include "store/timeline.h"
#include "store/wish.h"

#define OPERATIONS_S_MIN 3600

struct kept {
    struct marks *marks; /* borrowed */
    struct known *known;
    struct wish *wish;
    struct durable *durable;
    struct history *history;
    struct timeline *timeline;
    struct pids *pids;
    struct purge *purge;
    int64_t seq; /* the last of history and timeline */
};

/* ---- open and close ------------------------------------------------------------------------- */

static size_t number(size_t given, size_t otherwise)
{
    return given ? given : otherwise;
}

static struct store_retention complete(const struct store_retention *keep)
{
    struct store_retention k = {
        .operations_s = (uint32_t)number(keep->operations_s, 86400),
        .operations = number(keep->operations, 1000000),
        .history_s = (uint32_t)number(keep->history_s, 604800),
        .history = number(keep->history, 10000000),
        .history_device = number(keep->history_device, 10000),
        .timeline_s = (uint32_t)number(keep->timeline_s, 604800),
        .timeline = number(keep->timeline, 10000000),
        .timeline_device = number(keep->timeline_device, 1000),
        .offline_s = (uint32_t)number(keep->offline_s, 2592000),
        .offline = number(keep->offline, 1000000),
    };

    if (k.operations_s < OPERATIONS_S_MIN)
        k.operations_s = OPERATIONS_S_MIN;
    return k;
}

static int load_seq(sqlite3 *db, int64_t *ret_seq)
{
    return db_number(db,
                     "SELECT max(coalesce((SELECT max(seq) FROM history), 0), "
                     "coalesce((SELECT max(seq) FROM timeline), 0))",
                     ret_seq);
}

int kept_open(sqlite3 *db, struct marks *marks, const struct store_retention *keep,
              struct kept **ret_kept)
{
    struct store_retention all = complete(keep);
    struct kept *k = mem_new(sizeof(*k));
    int rc;

    if (!k)
        return ERR_NOMEM;
    k->marks = marks;
    rc = load_seq(db, &k->seq);
    if (rc == ERR_OK)
        rc = known_open(db, marks, &k->known);
    if (rc == ERR_OK)
        rc = wish_open(db, k->known, &k->wish);
    if (rc == ERR_OK)
        rc = durable_open(db, k->known, marks, &k->durable);
    if (rc == ERR_OK)
        rc = history_open(db, marks, all.history_device, &k->history);
    if (rc == ERR_OK)
        rc = timeline_open(db, marks, all.timeline_device, &k->timeline);
    if (rc == ERR_OK)
        rc = pids_open(db, marks, &k->pids);
    if (rc == ERR_OK)
        rc = purge_open(db, marks, &all, &k->purge);
    if (rc < 0) {
        kept_close(k);
        return rc;
    }
    *ret_kept = k;
    return ERR_OK;
}

void kept_close(struct kept *k)
{
    if (!k)
        return;
    purge_close(k->purge);
    pids_close(k->pids);
    timeline_close(k->timeline);
    history_close(k->history);
    durable_close(k->durable);
    wish_close(k->wish);
    known_close(k->known);
    mem_free(k);
}

/* ---- what is told --------------------------------------------------------------------------- */

static bool valid(const struct entry *e)
{
    return e->endpoint.n > 0 && e->endpoint.n <= ENDPOINT_MAX &&
           (unsigned)e->type < EVENT_TYPE_COUNT && (unsigned)e->origin < ORIGIN_COUNT;
}

static int record_one(struct kept *k, const struct entry *e)
{
    struct known_device device;
    int rc = known_need(k->known, e->endpoint, &device);

    if (rc == ERR_UNREGISTERED) {
        /* Whoever talks to us could fill the tables otherwise. */
        marks_count(k->marks, COUNTER_records_dropped,
                    e->listed + (e->values ? batch_size(e->values) : 0));
        return ERR_OK;
    }
    if (rc == ERR_OK && e->listed)
        rc = timeline_put(k->timeline, &device, e, k->seq++);
    if (rc == ERR_OK && e->values)
        rc = history_put(k->history, &device, e, &k->seq);
    return rc < 0 ? rc : known_count(k->known, &device);
}

static int record(struct kept *k, struct txn *t)
{
    int64_t now_seq = clock_wall_ms() << PURGE_SEQ_BITS;
    int rc = ERR_OK;

    for (size_t i = 0; i < t->entry_count; i++) {
        if (!valid(&t->entries[i]))
            return ERR_INVALID;
    }
    k->seq = k->seq < now_seq ? now_seq : k->seq + 1;
    for (size_t i = 0; rc == ERR_OK && i < t->entry_count; i++)
        rc = record_one(k, &t->entries[i]);
    return rc;
}

/* ---- transactions --------------------------------------------------------------------------- */

static int put_observation(struct kept *k, struct txn *t)
{
    return wish_put(k->wish, &t->observation);
}

static int del_observation(struct kept *k, struct txn *t)
{
    return wish_del(k->wish, t->token);
}

static int put_operation(struct kept *k, struct txn *t)
{
    return durable_put(k->durable, t);
}

static int set_operation(struct kept *k, struct txn *t)
{
    return durable_set(k->durable, t->operation);
}

static int put_profile(struct kept *k, struct txn *t)
{
    return pids_put(k->pids, t);
}

static int del_profile(struct kept *k, struct txn *t)
{
    return pids_del(k->pids, t);
}

static int (*const kinds[TXN_KIND_COUNT])(struct kept *k, struct txn *t) = {
    [TXN_PUT_OBSERVATION] = put_observation,
    [TXN_DEL_OBSERVATION] = del_observation,
    [TXN_PUT_OPERATION] = put_operation,
    [TXN_SET_OPERATION] = set_operation,
    [TXN_RECORD] = record,
    [TXN_PUT_PROFILE] = put_profile,
    [TXN_DEL_PROFILE] = del_profile,
};

int kept_txn(struct kept *k, struct txn *t)
{
    return kinds[t->kind] ? kinds[t->kind](k, t) : ERR_INVALID;
}

int kept_arrive(struct kept *k, struct txn *t)
{
    struct known_device device;
    int rc = known_return(k->known, t->registration->endpoint, &device);

    if (rc < 0 || device.id == 0)
        return rc;
    rc = wish_carry(k->wish, device.id, t);
    return rc < 0 ? rc : durable_carry(k->durable, device.id, t);
}

int kept_leave(struct kept *k, uint64_t row)
{
    int rc = wish_leave(k->wish, row);

    return rc < 0 ? rc : known_leave(k->known, row, clock_wall_ms());
}

int kept_purge(struct kept *k, size_t *ret_rows)
{
    return purge_step(k->purge, clock_wall_ms(), ret_rows);
}
