#include "store/kept.h"

#include "store/durable.h"
#include "store/known.h"
#include "store/wish.h"

struct kept {
    struct known *known;
    struct wish *wish;
    struct durable *durable;
};

int kept_open(sqlite3 *db, struct kept **ret_kept)
{
    struct kept *k = mem_new(sizeof(*k));
    int rc;

    if (!k)
        return ERR_NOMEM;
    rc = known_open(db, &k->known);
    if (rc == ERR_OK)
        rc = wish_open(db, k->known, &k->wish);
    if (rc == ERR_OK)
        rc = durable_open(db, k->known, &k->durable);
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
    durable_close(k->durable);
    wish_close(k->wish);
    known_close(k->known);
    mem_free(k);
}

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

static int (*const kinds[TXN_KIND_COUNT])(struct kept *k, struct txn *t) = {
    [TXN_PUT_OBSERVATION] = put_observation,
    [TXN_DEL_OBSERVATION] = del_observation,
    [TXN_PUT_OPERATION] = put_operation,
    [TXN_SET_OPERATION] = set_operation,
};

int kept_txn(struct kept *k, struct txn *t)
{
    return kinds[t->kind] ? kinds[t->kind](k, t) : ERR_INVALID;
}

int kept_arrive(struct kept *k, struct txn *t)
{
    int64_t device;
    int rc = known_return(k->known, t->registration->endpoint, &device);

    if (rc < 0 || device == 0)
        return rc;
    rc = wish_carry(k->wish, device, t);
    return rc < 0 ? rc : durable_carry(k->durable, device, t);
}

int kept_leave(struct kept *k, uint64_t row)
{
    int rc = wish_leave(k->wish, row);

    return rc < 0 ? rc : known_leave(k->known, row, clock_wall_ms());
}
