#include "lwm2m/run.h"

struct job *job_new(enum job_kind kind, uint64_t id)
{
    struct job *job = mem_new(sizeof(*job));

    if (job == NULL)
        return NULL;
    job->kind = kind;
    job->id = id;
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    update_change_free(job->change);
    event_unref(job->event);
    mem_free(job->ids);
    mem_free(job);
}

int job_submit(struct domain *d, struct job *job, struct txn *t)
{
    int rc;

    if (t == NULL)
        return ERR_NOMEM;
    t->tag = (uint64_t)(uintptr_t)job;
    if (job != NULL)
        list_push(&d->jobs, &job->node);
    rc = d->ops->txn(d->ctx, t);
    if (rc < 0) {
        txn_free(t);
        if (job != NULL)
            list_del(&job->node);
    }
    return rc;
}

struct txn *job_put_txn(struct domain *d, const struct device *dev, uint64_t now)
{
    struct txn *t = txn_new(TXN_PUT_REGISTRATION);
    struct registration r;

    if (t == NULL)
        return NULL;
    device_snapshot(d, dev, now, &r);
    t->registration = registration_copy(&r);
    if (t->registration == NULL) {
        txn_free(t);
        return NULL;
    }
    return t;
}

/* ---- the one durable change of a device at a time -------------------------------------------- */

int job_attach(struct device *dev, struct job *job)
{
    struct device_rare *rare = device_rare(dev);

    if (rare == NULL)
        return ERR_NOMEM;
    rare->job = job;
    return ERR_OK;
}

void job_detach(struct domain *d, struct device *dev, uint64_t now)
{
    struct device_rare *rare = dev->rare;
    struct pending *waiting = NULL;

    if (rare == NULL)
        return;
    rare->job = NULL;
    if (rare->again) {
        rare->again = false;
        job_store(d, dev, now);
    }
    if (rare->job == NULL) {
        waiting = rare->waiting;
        rare->waiting = NULL;
    }
    queue_pump(d, dev, now);
    if (waiting != NULL)
        engine_replay(d->engine, waiting, now);
}

void job_wait(struct domain *d, struct device *dev, struct request *req, uint64_t now)
{
    struct pending *p = engine_defer(d->engine, req, now);

    if (p == NULL)
        return;
    if (dev->rare->waiting != NULL)
        engine_drop(d->engine, dev->rare->waiting);
    dev->rare->waiting = p;
}

void job_store(struct domain *d, struct device *dev, uint64_t now)
{
    struct job *job;

    if (dev->rare != NULL && dev->rare->job != NULL) {
        dev->rare->again = true;
        return;
    }
    job = job_new(JOB_STORE, dev->id);
    /* What cannot be stored now stands in memory, and the next change carries it. */
    if (job == NULL || job_attach(dev, job) < 0 ||
        job_submit(d, job, job_put_txn(d, dev, now)) < 0) {
        if (dev->rare != NULL)
            dev->rare->job = NULL;
        job_free(job);
    }
}

static void store_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct device *dev = chain_by_id(d, job->id);

    if (dev != NULL && dev->rare != NULL && dev->rare->job == job) {
        if (rc == ERR_OK)
            domain_tell(d, EVENT_UPDATED, dev, now);
        job_detach(d, dev, now);
    }
    job_free(job);
}

/* ---- completion ------------------------------------------------------------------------------ */

typedef void (*job_done_fn)(struct domain *d, struct job *job, int rc, uint64_t now);

static const job_done_fn done_of[JOB_KIND_COUNT] = {
    [JOB_REGISTER] = registration_done,
    [JOB_UPDATE] = update_done,
    [JOB_REMOVE] = removal_done,
    [JOB_STORE] = store_done,
    [JOB_OBSERVE] = report_done,
    [JOB_UNOBSERVE] = report_unstore_done,
    [JOB_RENEW] = renewal_done,
    [JOB_ACCEPT] = operation_accept_done,
    [JOB_SEND] = operation_send_done,
    [JOB_SETTLE] = operation_settle_done,
    [JOB_DATA] = send_done,
};

void job_done(struct domain *d, struct txn *t, uint64_t now)
{
    struct job *job = (struct job *)(uintptr_t)t->tag;

    if (job != NULL) {
        list_del(&job->node);
        job->txn = t;
        done_of[job->kind](d, job, t->rc, now);
        queue_rehome(d, now);
    }
    txn_free(t);
}

void job_abandon_all(struct domain *d)
{
    struct list *node;

    while ((node = list_pop(&d->unstored)) != NULL)
        job_free(list_item(node, struct job, node));
    while ((node = list_pop(&d->jobs)) != NULL) {
        struct job *job = list_item(node, struct job, node);
        struct device *dev = chain_by_id(d, job->id);

        if (job->kind == JOB_REGISTER) {
            registration_abandon(d, job);
            continue;
        }
        if (dev != NULL && dev->rare != NULL && dev->rare->job == job)
            dev->rare->job = NULL;
        if (job->pending != NULL)
            engine_drop(d->engine, job->pending);
        if (job->op != NULL)
            manage_complete(d, job->op, ERR_STOPPING);
        if (job->run != NULL)
            job->run->job = NULL;
        job_free(job);
    }
}
