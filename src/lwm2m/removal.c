#include "lwm2m/run.h"

/* The end of a registration: asked for by the device or an operator, by time, or by a newer one. */

void removal_forget(struct domain *d, struct device *dev, enum event_type reason, uint64_t now)
{
    struct claim *claim = dev->claim;
    struct pending *waiting = NULL;

    if (reason == EVENT_REPLACED)
        wanted_leave(d, dev);
    report_end_all(d, dev, ERR_UNREGISTERED, now);
    if (reason == EVENT_REPLACED)
        queue_orphan(d, dev, now);
    else
        queue_end_all(d, dev, ERR_UNREGISTERED, now);
    domain_tell(d, reason, dev, now);
    timer_stop(d->expiry, &dev->timer);
    device_remove(d, dev);
    if (dev->rare != NULL) {
        waiting = dev->rare->waiting;
        dev->rare->waiting = NULL;
        dev->rare->job = NULL;
    }
    device_delete(d, dev);
    d->ops->claim_release(d->ctx, claim);
    if (waiting != NULL) /* learns that the registration is unknown now */
        engine_replay(d->engine, waiting, now);
}

static struct txn *removal_txn(const struct device *dev)
{
    struct txn *t = txn_new(TXN_DEL_REGISTRATION);

    if (t == NULL)
        return NULL;
    t->row = dev->claim->row;
    t->generation = dev->claim->generation;
    return t;
}

static int submit(struct domain *d, struct device *dev, enum event_type reason, struct job **ret)
{
    struct job *job = job_new(JOB_REMOVE, dev->id);
    int rc = ERR_NOMEM;

    if (job == NULL)
        return rc;
    job->reason = reason;
    rc = job_attach(dev, job);
    if (rc == ERR_OK)
        rc = job_submit(d, job, removal_txn(dev));
    if (rc < 0) {
        if (dev->rare != NULL)
            dev->rare->job = NULL;
        device_trim(dev);
        mem_free(job);
        return rc;
    }
    *ret = job;
    return ERR_OK;
}

int removal_start(struct domain *d, struct device *dev, enum event_type reason, struct op *op,
                  uint64_t now)
{
    struct job *job = NULL;
    int rc;

    (void)now;
    if (dev->rare != NULL && dev->rare->job != NULL)
        return ERR_BUSY;
    rc = submit(d, dev, reason, &job);
    if (rc == ERR_OK)
        job->op = op;
    return rc;
}

void removal_request(struct domain *d, struct request *req, uint64_t now)
{
    struct device *dev = update_device(d, req, now);
    struct job *job = NULL;
    int rc;

    if (dev == NULL)
        return;
    if (dev->rare != NULL && dev->rare->job != NULL) {
        job_wait(d, dev, req, now);
        return;
    }
    rc = submit(d, dev, EVENT_DEREGISTERED, &job);
    if (rc < 0)
        domain_refuse(d, req, rc, now);
    else
        job->pending = engine_defer(d->engine, req, now);
}

static void finish(struct domain *d, struct device *dev, const struct job *job, uint64_t now)
{
    static const struct response deleted = {.code = PDU_DELETED, .format = FORMAT_NONE};

    if (job->pending != NULL)
        engine_respond(d->engine, job->pending, &deleted, now);
    counter_add(d->counters,
                job->reason == EVENT_EXPIRED ? COUNTER_registrations_expired : COUNTER_deregisters,
                1);
    removal_forget(d, dev, job->reason, now);
}

void removal_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct device *dev = chain_by_id(d, job->id);
    bool mine = dev != NULL && dev->rare != NULL && dev->rare->job == job;

    if (mine && rc == ERR_OK) {
        finish(d, dev, job, now);
    } else {
        if (job->pending != NULL)
            engine_drop(d->engine, job->pending);
        if (mine) {
            expiry_arm(d, dev, now);
            job_detach(d, dev, now);
        }
    }
    if (job->op != NULL)
        manage_complete(d, job->op, rc);
    job_free(job);
}
