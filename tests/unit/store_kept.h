/*
 * What the tests of what outlives registrations share: operations by number, wishes, and
 * transactions whose results stay to be looked at.
 */
#ifndef STORE_KEPT_FIXTURE_H
#define STORE_KEPT_FIXTURE_H

#include "store_fixture.h"

__attribute__((unused)) static void assert_view(struct view v, struct view expected)
{
    assert_int_equal(v.n, expected.n);
    if (expected.n)
        assert_memory_equal(v.p, expected.p, expected.n);
}

__attribute__((unused)) static struct path path_of(const char *text)
{
    struct path p = {0};

    assert_int_equal(path_parse(view_str(text), &p), ERR_OK);
    return p;
}

/* ---- transactions that stay --------------------------------------------------------------- */

struct stay {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
};

__attribute__((unused)) static void stay_done(struct txn *t)
{
    struct stay *s = t->ctx;

    pthread_mutex_lock(&s->mutex);
    s->done = true;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mutex);
}

/* Submits and waits; t is the caller's again. */
__attribute__((unused)) static int run_kept(struct store *s, struct txn *t)
{
    struct stay stay = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

    t->done = stay_done;
    t->ctx = &stay;
    assert_int_equal(store_submit(s, t), ERR_OK);
    pthread_mutex_lock(&stay.mutex);
    while (!stay.done)
        pthread_cond_wait(&stay.cond, &stay.mutex);
    pthread_mutex_unlock(&stay.mutex);
    return t->rc;
}

__attribute__((unused)) static struct txn *leave_txn(uint64_t row, uint64_t generation)
{
    struct txn *t = txn_new(TXN_DEL_REGISTRATION);

    t->row = row;
    t->generation = generation;
    return t;
}

/* Device n registers, as the registration that its row, id and generation n + `later` make; the
 * transaction stays. */
__attribute__((unused)) static struct txn *arrive(struct fixture *f, uint64_t n, uint64_t later)
{
    char name[32];
    struct registration r = device(n, name);
    struct txn *t;

    r.row += later;
    r.id += later;
    r.generation += later;
    t = put_txn(&r);
    assert_int_equal(run_kept(f->store, t), ERR_OK);
    return t;
}

__attribute__((unused)) static void leave(struct fixture *f, uint64_t n, uint64_t later)
{
    assert_int_equal(run(f->store, leave_txn(n + later, n + later)), ERR_OK);
}

__attribute__((unused)) static struct txn *wish_txn(uint64_t token, uint64_t row, uint64_t id,
                                                    int64_t since_ms)
{
    struct txn *t = txn_new(TXN_PUT_OBSERVATION);
    static const char text[] = "pmin=5/3/0/9,/3/0/13";

    t->text = mem_text(text, sizeof(text) - 1);
    t->observation.attributes = view_of(t->text, 6);
    t->observation.paths = view_of(t->text + 6, sizeof(text) - 7);
    t->observation.token = token;
    t->observation.row = row;
    t->observation.registration_id = id;
    t->observation.format = FORMAT_SENML_CBOR;
    t->observation.since_ms = since_ms;
    return t;
}

/* ---- operations ----------------------------------------------------------------------------- */

/* Ids ascend with n. */
__attribute__((unused)) static struct op_id id_of(uint64_t n)
{
    struct op_id id = {{1}};

    for (unsigned i = 0; i < 8; i++)
        id.b[8 + i] = (uint8_t)(n >> (56 - 8 * i));
    return id;
}

__attribute__((unused)) static struct operation operation(uint64_t n, const char *endpoint)
{
    return (struct operation){
        .id = id_of(n),
        .endpoint = view_str(endpoint),
        .kind = OP_READ,
        .state = OP_STATE_QUEUED,
        .path = path_of("/3/0/9"),
        .format = FORMAT_NONE,
        .depth = -1,
        .priority = OP_PRIORITY_NORMAL,
        .created_ms = 1000 + (int64_t)n,
        .result_format = FORMAT_NONE,
    };
}

__attribute__((unused)) static struct txn *operation_txn(enum txn_kind kind,
                                                         const struct operation *o)
{
    struct txn *t = txn_new(kind);

    t->operation = operation_copy(o);
    assert_non_null(t->operation);
    return t;
}

__attribute__((unused)) static int put_operation(struct fixture *f, const struct operation *o)
{
    return run(f->store, operation_txn(TXN_PUT_OPERATION, o));
}

__attribute__((unused)) static int put_dormant(struct fixture *f, const struct operation *o)
{
    struct txn *t = operation_txn(TXN_PUT_OPERATION, o);

    t->dormant = true;
    return run(f->store, t);
}

__attribute__((unused)) static int set_operation(struct fixture *f, const struct operation *o)
{
    return run(f->store, operation_txn(TXN_SET_OPERATION, o));
}

/* Collects what a read gives, up to a thousand; the rows live until the next call on the reader. */
struct operations {
    size_t count;
    const struct operation *o[1000];
};

__attribute__((unused)) static int operations_add(void *ctx, const struct operation *o)
{
    struct operations *found = ctx;

    if (found->count < mem_count(found->o))
        found->o[found->count] = o;
    found->count++;
    return ERR_OK;
}

/* Operation n as the store has it, or NULL. */
__attribute__((unused)) static const struct operation *stored_operation(struct fixture *f,
                                                                        uint64_t n)
{
    struct op_id id = id_of(n);
    struct operations found = {0};
    int rc = read_operation(f->reader, &id, operations_add, &found);

    if (rc == ERR_NOTFOUND)
        return NULL;
    assert_int_equal(rc, ERR_OK);
    return found.o[0];
}

#endif
