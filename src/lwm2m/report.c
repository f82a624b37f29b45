#include "lwm2m/internal.h"

#include <stdlib.h>

/* Observations (LwM2M Core 6.4): what a device has accepted to tell us, until one side ends it. */

/* ---- the device's observations --------------------------------------------------------------- */

struct report *report_find(const struct device *dev, uint64_t token)
{
    if (dev->rare == NULL)
        return NULL;
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        if (r->relation.token == token)
            return r;
    }
    return NULL;
}

struct report *report_like(const struct device *dev, const struct op *op)
{
    struct view attributes = view_str(op->text);

    if (dev->rare == NULL)
        return NULL;
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        if (!r->ending && path_eq(&r->path, &op->path) && view_eq_str(attributes, r->attributes) &&
            (op->format == FORMAT_NONE || op->format == r->format))
            return r;
    }
    return NULL;
}

static struct report *report_add(struct domain *d, struct device *dev, const struct observation *o)
{
    struct device_rare *rare = device_rare(dev);
    struct report *r;

    if (rare == NULL)
        return NULL;
    r = mem_new(sizeof(*r) + o->attributes.n + 1);
    if (r == NULL)
        return NULL;
    r->relation.token = o->token;
    r->device = dev;
    r->path = o->path;
    r->format = o->format;
    r->since_ms = o->since_ms;
    if (o->attributes.n > 0)
        memcpy(r->attributes, o->attributes.p, o->attributes.n);
    list_push(&rare->reports, &r->node);
    rare->report_count++;
    d->report_count++;
    return r;
}

static void report_drop(struct domain *d, struct report *r)
{
    if (!r->ending)
        engine_relation_del(d->engine, &r->relation);
    list_del(&r->node);
    r->device->rare->report_count--;
    d->report_count--;
    batch_free(r->initial);
    mem_free(r);
}

void report_describe(const struct report *r, struct op_observation *ret)
{
    size_t n = strlen(r->attributes);

    *ret = (struct op_observation){
        .token = r->relation.token, .path = r->path, .since_ms = r->since_ms, .active = !r->ending};
    if (n >= sizeof(ret->attributes))
        n = sizeof(ret->attributes) - 1;
    memcpy(ret->attributes, r->attributes, n);
}

static void describe_run(const struct run *run, struct op_observation *ret)
{
    struct view text = view_sub(view_str(run->op->text), 0, sizeof(ret->attributes) - 1);

    *ret = (struct op_observation){.token = run->token, .path = run->op->path};
    if (text.n > 0)
        memcpy(ret->attributes, text.p, text.n);
}

int report_list(struct device *dev, struct op *op)
{
    struct op_observation *rows;
    size_t n = 0;

    if (dev->rare == NULL || dev->rare->report_count + dev->rare->run_count == 0)
        return ERR_OK;
    rows = mem_new((dev->rare->report_count + dev->rare->run_count) * sizeof(*rows));
    if (rows == NULL)
        return ERR_NOMEM;
    list_each(&dev->rare->reports, it)
        report_describe(list_item(it, struct report, node), &rows[n++]);
    list_each(&dev->rare->runs, it)
    {
        const struct run *run = list_item(it, struct run, node);

        if (run->op->kind == OP_OBSERVE)
            describe_run(run, &rows[n++]);
    }
    op->result.observations = rows;
    op->result.observation_count = n;
    return ERR_OK;
}

/* ---- events ---------------------------------------------------------------------------------- */

static struct event *report_event(struct domain *d, enum event_type type, const struct report *r,
                                  uint64_t now)
{
    struct event *e = domain_event(d, type, r->device, now);

    if (e == NULL)
        return NULL;
    e->token = r->relation.token;
    e->path = r->path;
    return e;
}

static void tell_values(struct domain *d, const struct report *r, struct batch *values /* takes */,
                        int rc, uint64_t now)
{
    struct event *e = report_event(d, EVENT_NOTIFICATION, r, now);

    if (e == NULL) {
        batch_free(values);
        return;
    }
    e->values = values;
    e->rc = rc;
    domain_emit(d, e);
}

void report_announce(struct domain *d, struct report *r, uint64_t now)
{
    if (r->announced)
        return;
    r->announced = true;
    domain_emit(d, report_event(d, EVENT_OBSERVATION_STARTED, r, now));
    if (r->initial != NULL)
        tell_values(d, r, r->initial, ERR_OK, now);
    r->initial = NULL;
}

void report_end(struct domain *d, struct report *r, int rc, const char *detail, uint64_t now)
{
    struct event *e = r->announced ? report_event(d, EVENT_OBSERVATION_ENDED, r, now) : NULL;

    if (e != NULL) {
        e->rc = rc;
        e->detail = detail != NULL ? mem_text(detail, strlen(detail)) : NULL;
        domain_emit(d, e);
    }
    report_drop(d, r);
}

void report_end_all(struct domain *d, struct device *dev, int rc, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->reports, it, tmp)
        report_end(d, list_item(it, struct report, node), rc, NULL, now);
}

/* ---- store ----------------------------------------------------------------------------------- */

static struct txn *put_txn(const struct observation *o)
{
    struct txn *t = txn_new(TXN_PUT_OBSERVATION);

    if (t == NULL)
        return NULL;
    t->observation = *o;
    t->text = mem_text(o->attributes.p, o->attributes.n);
    if (t->text == NULL) {
        txn_free(t);
        return NULL;
    }
    t->observation.attributes = view_of(t->text, o->attributes.n);
    return t;
}

void report_unstore(struct domain *d, uint64_t token, struct op *op)
{
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);
    struct job *job = op != NULL ? job_new(JOB_UNOBSERVE, 0) : NULL;
    int rc = ERR_NOMEM;

    if (t != NULL)
        t->token = token;
    if (op != NULL && job == NULL) {
        txn_free(t);
    } else {
        if (job != NULL)
            job->op = op;
        rc = job_submit(d, job, t);
    }
    if (rc < 0 && op != NULL) {
        job_free(job);
        manage_complete(d, op, rc);
    }
}

void report_unstore_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    (void)now;
    manage_complete(d, job->op, rc);
    job_free(job);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int store(struct domain *d, const struct device *dev, const struct observation *o,
                 struct op *op)
{
    struct job *job = job_new(JOB_OBSERVE, dev->id);
    int rc = ERR_NOMEM;

    if (job == NULL)
        return rc;
    job->op = op;
    job->token = o->token;
    rc = job_submit(d, job, put_txn(o));
    if (rc < 0)
        job_free(job);
    return rc;
}

int report_start(struct domain *d, struct device *dev, struct op *op, uint64_t token,
                 int32_t format, const struct answer *a, uint64_t now)
{
    struct observation o = {
        .token = token,
        .row = dev->claim->row,
        .registration_id = dev->id,
        .path = op->path,
        .format = format,
        .attributes = view_str(op->text),
        .since_ms = domain_unix_ms(d, now),
    };
    struct report *r = report_add(d, dev, &o);
    int rc;

    if (r == NULL)
        return ERR_NOMEM;
    r->relation.sequence = a->sequence;
    r->relation.seen_s = now >= 1000 ? (uint32_t)(now / 1000) : 1;
    if (op->result.values != NULL)
        r->initial = batch_copy(op->result.values);
    rc = engine_relation_add(d->engine, &r->relation);
    if (rc < 0)
        r->ending = true; /* it is not in the engine */
    else
        rc = store(d, dev, &o, op);
    if (rc < 0)
        report_drop(d, r); /* its notifications will be rejected */
    return rc;
}

static int describe_in(const struct report *r, struct op *op)
{
    op->result.observations = mem_new(sizeof(*op->result.observations));
    if (op->result.observations == NULL)
        return ERR_NOMEM;
    report_describe(r, &op->result.observations[0]);
    op->result.observation_count = 1;
    return ERR_OK;
}

void report_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct device *dev = chain_by_id(d, job->id);
    struct report *r = dev != NULL ? report_find(dev, job->token) : NULL;

    if (r != NULL && rc == ERR_OK) {
        report_announce(d, r, now);
        rc = describe_in(r, job->op);
    } else if (r != NULL) {
        report_end(d, r, rc, NULL, now);
        device_trim(dev);
    } else if (rc == ERR_OK) {
        rc = ERR_UNREGISTERED; /* the registration ended meanwhile, and the observation with it */
    }
    manage_complete(d, job->op, rc);
    job_free(job);
}

int report_load(struct domain *d, const struct observation *o)
{
    struct device *dev = chain_by_id(d, o->registration_id);
    struct report *r;
    int rc;

    if (dev == NULL)
        return ERR_NOTFOUND;
    r = report_add(d, dev, o);
    if (r == NULL)
        return ERR_NOMEM;
    r->announced = true;
    rc = engine_relation_add(d->engine, &r->relation);
    if (rc < 0) {
        r->ending = true;
        report_drop(d, r);
        device_trim(dev);
    }
    return rc;
}

void report_detach(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        report_announce(d, r, now);
        if (!r->ending)
            engine_relation_del(d->engine, &r->relation);
        r->device = NULL;
    }
    d->report_count -= dev->rare->report_count;
}

void report_adopt(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    d->report_count += dev->rare->report_count;
    list_each_safe(&dev->rare->reports, it, tmp)
    {
        struct report *r = list_item(it, struct report, node);
        int rc = ERR_OK;

        r->device = dev;
        if (!r->ending)
            rc = engine_relation_add(d->engine, &r->relation);
        if (rc < 0) {
            r->ending = true;
            report_unstore(d, r->relation.token, NULL);
            report_end(d, r, rc, NULL, now);
        }
    }
}

/* ---- notifications --------------------------------------------------------------------------- */

/* Without security only the address the device has now is its own; a proven identity may come from
 * anywhere. */
static bool is_from(struct domain *d, const struct device *dev, const struct answer *a)
{
    struct identity own;

    device_identity(dev, &own);
    if (own.type == IDENTITY_NONE && !addr_eq(&a->flow.peer, &dev->peer))
        return false;
    return device_speaks(d, dev, &a->flow);
}

static void take_values(struct domain *d, const struct report *r, const struct answer *a,
                        uint64_t now)
{
    struct batch *values = batch_new();
    struct content_env env;
    int rc = ERR_NOMEM;

    if (a->blob != NULL) { /* too large to be told to everyone who listens */
        batch_free(values);
        tell_values(d, r, NULL, ERR_TOOLARGE, now);
        return;
    }
    if (values != NULL) {
        domain_env(d, r->device, now, &env);
        rc = content_decode(a->format, &env, a->body, &r->path, values);
    }
    if (rc < 0) {
        batch_free(values);
        values = NULL;
    }
    tell_values(d, r, values, rc, now);
}

int report_notification(struct domain *d, struct relation *rel, const struct answer *a,
                        uint64_t now)
{
    struct report *r = mem_container(rel, struct report, relation);
    struct device *dev = r->device;
    char code[5];

    if (!is_from(d, dev, a)) {
        blob_free(a->blob);
        return ERR_FORBIDDEN;
    }
    device_seen(d, dev, now);
    report_announce(d, r, now);
    counter_add(d->counters, COUNTER_notifications, 1);
    if (PDU_CODE_CLASS(a->code) == 2)
        take_values(d, r, a, now);
    blob_free(a->blob);
    if (PDU_CODE_CLASS(a->code) != 2 || !a->observe) {
        pdu_code_format(a->code, code);
        report_unstore(d, rel->token, NULL);
        report_end(d, r, ERR_DEVICE, code, now);
        device_trim(dev);
    }
    return ERR_OK;
}

int report_outgoing(struct domain *d, struct relation *rel, struct outgoing *fill)
{
    const struct report *r = mem_container(rel, struct report, relation);

    arena_reset(d->arena);
    fill->path = manage_path(d, r->device, &r->path);
    if (fill->path.p == NULL)
        return ERR_NOMEM;
    fill->profile = device_profile(d, r->device);
    fill->accept = r->format;
    fill->szx = r->device->szx;
    fill->body_limit = d->cfg.read_body_limit;
    return ERR_OK;
}
