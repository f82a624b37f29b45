#include "lwm2m/run.h"

/*
 * Answers after we had given up, or before a restart: an attempt has a token of its own, and one
 * that got no answer is remembered for a day. A late answer counts when it comes from where the
 * attempt went or from the device itself; it settles its own operation and no other.
 */

#define KEPT_MS (INT64_C(24) * 3600 * 1000)
#define VALUES_MAX 1024u /* packed; what an older write wanted, to recognize it (settle.c) */

static bool by_token(const void *item, const void *key)
{
    return ((const struct awaited *)item)->token == *(const uint64_t *)key;
}

static struct awaited *find(const struct domain *d, uint64_t token)
{
    return table_get(d->awaited, hash_u64(&d->key, token), by_token, &token);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void drop(struct domain *d, struct awaited *w)
{
    (void)table_del(d->awaited, hash_u64(&d->key, w->token), w);
    list_del(&w->age);
    list_del(&w->of_run);
    mem_free(w);
}

/* The oldest goes when there are too many; with its last token an operation is given up. */
static void make_room(struct domain *d)
{
    while (table_size(d->awaited) >= d->cfg.awaited_limit && !list_empty(&d->awaited_age)) {
        struct awaited *oldest = list_item(d->awaited_age.next, struct awaited, age);
        struct run *run = oldest->run;

        drop(d, oldest);
        counter_add(d->counters, COUNTER_awaited_dropped, 1);
        if (run->place == RUN_LATE && list_empty(&run->tokens))
            late_free(run);
    }
}

void late_await(struct run *run, uint64_t token)
{
    struct domain *d = run->domain;
    struct awaited *w;

    if (token == 0 || d->cfg.awaited_limit == 0 || find(d, token) != NULL)
        return;
    make_room(d);
    w = mem_new(sizeof(*w));
    if (w == NULL)
        return;
    w->token = token;
    w->run = run;
    if (table_put(d->awaited, hash_u64(&d->key, token), w) < 0) {
        mem_free(w);
        return;
    }
    list_push(&d->awaited_age, &w->age);
    list_push(&run->tokens, &w->of_run);
}

void late_await_all(struct run *run)
{
    const struct op *op = run->op;
    size_t kept = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX;

    for (size_t i = 0; i < kept; i++)
        if (op->attempts[i].answered_ms == 0)
            late_await(run, op->attempts[i].token);
}

void late_forget(struct run *run)
{
    while (!list_empty(&run->tokens))
        drop(run->domain, list_item(run->tokens.next, struct awaited, of_run));
}

/* ---- operations that are kept ---------------------------------------------------------------- */

static uint64_t until(const struct domain *d, const struct op *op, uint64_t now)
{
    int64_t left = op->result.settled_ms + KEPT_MS - domain_unix_ms(d, now);

    return left > 0 ? now + (uint64_t)left : now + 1;
}

/* A small value is kept to be recognized, a large one is not worth the memory. */
static void slim(struct op *op)
{
    struct buf packed;

    if (op->values == NULL)
        return;
    buf_init(&packed, VALUES_MAX);
    if (pack_encode(op->values, &packed) < 0) {
        batch_free(op->values);
        op->values = NULL;
    }
    buf_fini(&packed);
}

static struct list *place_of(struct domain *d, struct device *dev)
{
    return dev != NULL && device_rare(dev) != NULL ? &dev->rare->lates : &d->lates;
}

void late_keep(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = device_by_endpoint(d, view_str(run->op->endpoint));

    if (list_empty(&run->tokens)) { /* no attempt of it is without an answer */
        op_free(run->op);
        queue_free(run);
        return;
    }
    slim(run->op);
    run->place = RUN_LATE;
    run->device = dev;
    if (dev != NULL && run->registration_id == 0) {
        run->registration_id = dev->id;
        run->peer = dev->peer;
    }
    list_push(place_of(d, dev), &run->node);
    if (dev != NULL && dev->rare == NULL)
        run->device = NULL;
    timer_start(d->limits, &run->limit, until(d, run->op, now));
}

struct run *late_find(const struct device *dev, const struct op_id *id)
{
    if (dev->rare == NULL)
        return NULL;
    list_each(&dev->rare->lates, it)
    {
        struct run *run = list_item(it, struct run, node);

        if (op_id_eq(&run->op->id, id))
            return run;
    }
    return NULL;
}

void late_unlink(struct run *run)
{
    struct device *dev = run->device;

    timer_stop(run->domain->limits, &run->limit);
    list_del(&run->node);
    run->device = NULL;
    if (dev != NULL)
        device_trim(dev);
}

void late_free(struct run *run)
{
    late_unlink(run);
    late_forget(run);
    op_free(run->op);
    queue_free(run);
}

void late_free_all(struct domain *d)
{
    while (!list_empty(&d->lates))
        late_free(list_item(d->lates.next, struct run, node));
}

/* ---- the device comes and goes --------------------------------------------------------------- */

void late_leave(struct domain *d, struct device *dev)
{
    struct list *node;

    while ((node = list_pop(&dev->rare->lates)) != NULL) {
        list_item(node, struct run, node)->device = NULL;
        list_push(&d->lates, node);
    }
}

void late_detach(struct domain *d, struct device *dev)
{
    list_each(&dev->rare->lates, it)
    {
        struct run *run = list_item(it, struct run, node);

        late_forget(run);
        timer_stop(d->limits, &run->limit);
        run->domain = NULL;
        run->device = NULL;
    }
}

void late_adopt(struct domain *d, struct device *dev, uint64_t now)
{
    list_each(&dev->rare->lates, it)
    {
        struct run *run = list_item(it, struct run, node);

        run->domain = d;
        run->device = dev;
        timer_start(d->limits, &run->limit, until(d, run->op, now));
        late_await_all(run);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

/* From where it was sent to, or from the device, wherever that is now. */
static bool is_from(struct domain *d, const struct run *run, const struct flow *flow)
{
    struct device *dev = run->device;

    if (addr_eq(&run->peer, &flow->peer) &&
        (dev == NULL || dev->rare == NULL || dev->rare->identity_type == IDENTITY_NONE))
        return true;
    if (dev == NULL)
        dev = device_by_endpoint(d, view_str(run->op->endpoint));
    return dev != NULL && device_is_from(d, dev, flow);
}

bool late_answer(struct domain *d, uint64_t token, const struct answer *a, uint64_t now)
{
    struct awaited *w = find(d, token);
    struct device *dev;

    if (w == NULL || !is_from(d, w->run, &a->flow) || !settle_late(w->run, token, a, now))
        return false;
    counter_add(d->counters, COUNTER_answers_late, 1);
    dev = chain_by_addr(d, &a->flow.peer);
    if (dev != NULL)
        device_seen(d, dev, now);
    return true;
}
