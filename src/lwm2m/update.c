#include "lwm2m/run.h"

/*
 * LwM2M Core 6.2.2. An Update that only renews is answered at once and stored later with others;
 * one that changes something is answered when the store has it.
 */

enum change_flag {
    CHANGE_LIFETIME = 1,
    CHANGE_BINDING = 2,
    CHANGE_QUEUE = 4,
    CHANGE_SMS = 8,
    CHANGE_PID = 16,
    CHANGE_LIST = 32,
    CHANGE_FLOW = 64
};

struct change {
    struct domain *domain;
    unsigned what; /* enum change_flag */
    uint32_t lifetime_s;
    uint8_t binding;
    bool queue;
    char *sms, *pid;
    struct objlist *list;
    struct flow flow;
};

static void change_fini(struct change *c)
{
    mem_free(c->sms);
    mem_free(c->pid);
    if (c->list != NULL)
        objlist_pool_unref(c->domain, c->list);
}

void update_change_free(struct change *c)
{
    if (c == NULL)
        return;
    change_fini(c);
    mem_free(c);
}

bool update_moves(const struct job *job)
{
    return (job->change->what & CHANGE_FLOW) != 0;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* Live on another shard: the request waits until the device has come here. */
static void send_for(struct domain *d, struct request *req, uint64_t id, uint64_t now)
{
    struct response gone = {.code = err_coap_code(ERR_UNREGISTERED), .format = FORMAT_NONE};
    struct pending *p;
    int rc;

    /* It was sent for already and has moved on: the device's next transmission tries again. */
    if (req->replayed) {
        engine_ignore(d->engine, req);
        return;
    }
    p = engine_defer(d->engine, req, now);
    if (p == NULL)
        return;
    rc = d->ops->want(d->ctx, id, p);
    if (rc == ERR_NOTFOUND) {
        counter_add(d->counters, COUNTER_updates_unknown, 1);
        engine_respond(d->engine, p, &gone, now);
    } else if (rc < 0) {
        engine_drop(d->engine, p);
    }
}

struct device *update_device(struct domain *d, struct request *req, uint64_t now)
{
    struct device *dev = NULL;
    uint64_t id = 0;
    bool is_id = registration_id_parse(req->segments[1], &id) == ERR_OK;

    if (is_id)
        dev = chain_by_id(d, id);
    if (dev != NULL && device_speaks(d, dev, &req->flow))
        return dev;
    if (dev == NULL && is_id && d->ops->elsewhere(d->ctx, id)) {
        send_for(d, req, id, now);
        return NULL;
    }
    counter_add(d->counters, COUNTER_updates_unknown, 1);
    domain_refuse(d, req, ERR_UNREGISTERED, now);
    return NULL;
}

/* ---- what it changes ------------------------------------------------------------------------- */

static bool differs(const char *have, struct view v)
{
    return !view_eq(view_str(have), v);
}

static int set_text(struct change *c, unsigned what, char **slot, const char *have, struct view v)
{
    if (!differs(have, v))
        return ERR_OK;
    c->what |= what;
    return device_set_text(slot, v);
}

/* With a pid the list is what both come to; an addition to the profiles that the registration has
 * may come without it, for an Update carries what has changed. */
static int find_profile_list(struct domain *d, const struct device *dev, const struct request *req,
                             struct view pid, struct change *c)
{
    struct pid_question q = {.pid = pid, .payload = req->body, .old = dev->list};
    struct pid_answer answer;
    int rc = pid_resolve(d, &q, &answer);

    c->list = answer.list;
    if (rc == ERR_PROFILE && answer.unknown.n > 0) {
        q.endpoint = device_endpoint(dev);
        pid_refused(d, &q);
    }
    return rc;
}

/* The pid that counts besides the payload, "" when none does. */
static struct view pid_beside(struct domain *d, const struct device *dev, const struct params *p,
                              const struct objlist *told)
{
    const char *have = dev->rare != NULL ? dev->rare->pid : NULL;

    if ((p->given & PARAMS_PID) != 0 || have == NULL)
        return p->pid;
    return pid_stands_alone(told) || !pid_known(d, view_str(have)) ? VIEW_NONE : view_str(have);
}

static int find_told_list(struct domain *d, const struct device *dev, const struct request *req,
                          const struct params *p, struct change *c)
{
    struct view pid;
    int rc;

    if (req->format != FORMAT_NONE && req->format != FORMAT_LINK)
        return ERR_FORMAT;
    rc = objlist_pool_update(d, dev->list, req->body, &c->list);
    if (rc < 0)
        return rc;
    pid = pid_beside(d, dev, p, c->list);
    if (pid.n == 0)
        return ERR_OK;
    objlist_pool_unref(d, c->list);
    c->list = NULL;
    return find_profile_list(d, dev, req, pid, c);
}

static int find_list(struct domain *d, const struct device *dev, const struct request *req,
                     const struct params *p, struct change *c)
{
    const char *have = dev->rare != NULL ? dev->rare->pid : NULL;
    int rc = ERR_OK;

    if (req->body.n > 0)
        rc = find_told_list(d, dev, req, p, c);
    else if ((p->given & PARAMS_PID) != 0 && !view_eq(view_str(have), p->pid))
        rc = find_profile_list(d, dev, req, p->pid, c);
    else
        return ERR_OK;
    if (rc < 0)
        return rc;
    if (c->list->count == 0)
        return ERR_MALFORMED;
    if (c->list != dev->list)
        c->what |= CHANGE_LIST;
    return ERR_OK;
}

static void find_binding(const struct device *dev, const struct params *p, struct change *c)
{
    bool was = (dev->flags & DEVICE_QUEUE) != 0;
    /* 1.0 says it anew with each b; since 1.1 a flag that is absent says nothing. */
    bool all = (p->given & PARAMS_B) != 0 && dev->version.minor == 0;

    if ((p->given & PARAMS_B) != 0 && p->binding != dev->binding) {
        c->binding = p->binding;
        c->what |= CHANGE_BINDING;
    }
    c->queue = p->queue_in_b || (p->given & PARAMS_Q) != 0;
    if (c->queue != was && (c->queue || all))
        c->what |= CHANGE_QUEUE;
}

static int find_changes(struct domain *d, const struct device *dev, const struct request *req,
                        const struct params *p, struct change *c)
{
    const struct device_rare *rare = dev->rare;
    int rc = find_list(d, dev, req, p, c);

    if (rc < 0)
        return rc;
    if ((p->given & PARAMS_LT) != 0 &&
        (p->lifetime_s != dev->lifetime_s || (dev->flags & DEVICE_LIFETIME_GIVEN) == 0)) {
        c->lifetime_s = p->lifetime_s;
        c->what |= CHANGE_LIFETIME;
    }
    find_binding(dev, p, c);
    if ((p->given & PARAMS_SMS) != 0)
        rc = set_text(c, CHANGE_SMS, &c->sms, rare != NULL ? rare->sms : NULL, p->sms);
    if (rc == ERR_OK && (p->given & PARAMS_PID) != 0)
        rc = set_text(c, CHANGE_PID, &c->pid, rare != NULL ? rare->pid : NULL, p->pid);
    if (rc < 0)
        return rc;
    if (!device_has_flow(d, dev, &req->flow)) {
        c->flow = req->flow;
        c->what |= CHANGE_FLOW;
    }
    return ERR_OK;
}

/* ---- storing it ------------------------------------------------------------------------------ */

static struct txn *change_txn(struct domain *d, const struct device *dev, const struct change *c,
                              uint64_t now)
{
    struct txn *t = txn_new(TXN_PUT_REGISTRATION);
    struct device next = *dev;
    struct registration r;

    if (t == NULL)
        return NULL;
    if ((c->what & CHANGE_LIFETIME) != 0) {
        next.lifetime_s = c->lifetime_s;
        next.flags |= DEVICE_LIFETIME_GIVEN;
    }
    next.deadline_s = expiry_deadline(d, &next, now);
    next.updated_s = (uint32_t)(domain_unix_ms(d, now) / 1000);
    next.seen_s = next.updated_s;
    device_snapshot(d, &next, now, &r);
    if ((c->what & CHANGE_BINDING) != 0)
        r.binding = c->binding;
    if ((c->what & CHANGE_QUEUE) != 0)
        r.queue_mode = c->queue;
    if ((c->what & CHANGE_SMS) != 0)
        r.sms = view_str(c->sms);
    if ((c->what & CHANGE_PID) != 0)
        r.profile = view_str(c->pid);
    if ((c->what & CHANGE_LIST) != 0)
        r.links = c->list->text;
    if ((c->what & CHANGE_FLOW) != 0)
        r.flow = c->flow;
    t->registration = registration_copy(&r);
    if (t->registration == NULL) {
        txn_free(t);
        return NULL;
    }
    return t;
}

static void swap_text(char **slot, char **next)
{
    char *old = *slot;

    *slot = *next;
    *next = old;
}

/* Never fails: what the change needs it has brought with it. */
static void apply(struct domain *d, struct device *dev, struct change *c, uint64_t now)
{
    if ((c->what & CHANGE_LIFETIME) != 0) {
        dev->lifetime_s = c->lifetime_s;
        dev->flags |= DEVICE_LIFETIME_GIVEN;
    }
    if ((c->what & CHANGE_BINDING) != 0)
        dev->binding = c->binding;
    if ((c->what & CHANGE_QUEUE) != 0) {
        dev->flags ^= DEVICE_QUEUE;
        presence_begin(d, dev, true, now);
    }
    if ((c->what & CHANGE_SMS) != 0)
        swap_text(&dev->rare->sms, &c->sms);
    if ((c->what & CHANGE_PID) != 0)
        swap_text(&dev->rare->pid, &c->pid);
    if ((c->what & CHANGE_LIST) != 0) {
        objlist_pool_unref(d, dev->list);
        dev->list = c->list;
        c->list = NULL;
    }
    if ((c->what & CHANGE_FLOW) != 0)
        device_set_flow(d, dev, &c->flow);
    dev->updated_s = (uint32_t)(domain_unix_ms(d, now) / 1000);
    dev->seen_s = dev->updated_s;
    expiry_restart(d, dev, now);
    presence_heard(d, dev, now);
    settle_updated(dev);
}

/* On success the job has what the change held. */
static int store(struct domain *d, struct device *dev, const struct change *c, struct job **ret_job,
                 uint64_t now)
{
    struct job *job = job_new(JOB_UPDATE, dev->id);
    struct change *kept = mem_new(sizeof(*kept));
    int rc = ERR_NOMEM;

    if (job != NULL && kept != NULL)
        rc = job_attach(dev, job);
    if (rc == ERR_OK)
        rc = job_submit(d, job, change_txn(d, dev, c, now));
    if (rc < 0) {
        if (dev->rare != NULL)
            dev->rare->job = NULL;
        device_trim(dev);
        mem_free(kept);
        mem_free(job);
        return rc;
    }
    *kept = *c;
    job->change = kept;
    *ret_job = job;
    return ERR_OK;
}

/* Heard, but not changed: the lifetime begins again, whatever becomes of the change. */
static void renew(struct domain *d, struct device *dev, uint64_t now)
{
    dev->updated_s = (uint32_t)(domain_unix_ms(d, now) / 1000);
    expiry_restart(d, dev, now);
    device_claim_addr(d, dev);
    device_seen(d, dev, now);
    settle_updated(dev);
}

static void tell_renewal(struct domain *d, const struct device *dev, uint64_t now)
{
    struct event *e = domain_event(d, EVENT_UPDATED, dev, now);

    if (e != NULL)
        e->renewal = true;
    domain_emit(d, e);
}

static void renewed(struct domain *d, struct device *dev, struct request *req, uint64_t now)
{
    renew(d, dev, now);
    counter_add(d->counters, COUNTER_updates, 1);
    domain_answer(d, req, PDU_CHANGED, now);
    tell_renewal(d, dev, now);
    if (dev->rare != NULL)
        wanted_start(d, dev, now);
}

static void change(struct domain *d, struct device *dev, struct request *req, uint64_t now)
{
    struct change c = {.domain = d};
    struct params p;
    struct job *job = NULL;
    int rc;

    params_parse(d->arena, req, &p);
    rc = p.rc < 0 ? p.rc : find_changes(d, dev, req, &p, &c);
    if (rc == ERR_OK && c.what != 0) {
        rc = store(d, dev, &c, &job, now);
        if (rc == ERR_OK) {
            job->pending = engine_defer(d->engine, req, now);
            return;
        }
        renew(d, dev, now);
    }
    change_fini(&c);
    if (rc < 0)
        domain_refuse(d, req, rc, now);
    else
        renewed(d, dev, req, now);
}

void update_request(struct domain *d, struct request *req, uint64_t now)
{
    struct device *dev = update_device(d, req, now);

    if (dev == NULL)
        return;
    if (dev->rare != NULL && dev->rare->job != NULL) {
        job_wait(d, dev, req, now);
        return;
    }
    if (req->query_count > 0 || req->body.n > 0 || !device_has_flow(d, dev, &req->flow)) {
        change(d, dev, req, now);
        return;
    }
    renewed(d, dev, req, now);
}

void update_apply_now(struct domain *d, struct device *dev, struct job *job, uint64_t now)
{
    bool moved = update_moves(job) && !addr_eq(&job->change->flow.peer, &dev->peer);

    apply(d, dev, job->change, now);
    if (moved)
        domain_tell(d, EVENT_MOVED, dev, now);
    domain_tell(d, EVENT_UPDATED, dev, now);
}

void update_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    static const struct response changed = {.code = PDU_CHANGED, .format = FORMAT_NONE};
    struct device *dev = chain_by_id(d, job->id);
    bool mine = dev != NULL && dev->rare != NULL && dev->rare->job == job;

    if (!mine || rc < 0) {
        if (job->pending != NULL)
            engine_drop(d->engine, job->pending);
        if (mine) {
            expiry_restart(d, dev, now);
            job_detach(d, dev, now);
        }
        job_free(job);
        return;
    }
    if (job->pending != NULL)
        engine_respond(d->engine, job->pending, &changed, now);
    counter_add(d->counters, COUNTER_updates, 1);
    update_apply_now(d, dev, job, now);
    if (update_moves(job))
        queue_rewind(d, dev, now);
    wanted_start(d, dev, now); /* sent with what else waits for the end of the job */
    job_free(job);
    job_detach(d, dev, now);
}
