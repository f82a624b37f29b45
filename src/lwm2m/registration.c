#include "lwm2m/run.h"

/* LwM2M Core 6.2.1. The order of the checks is that of the specification: version, name, right,
 * list. */

#define VERSION_MAJOR 1
#define LOCATION_PREFIX "rd/"

/* A Register on its way to a claim. */
struct applicant {
    const struct request *req;
    struct params params;
    struct identity identity;
    struct view endpoint; /* of the query, or of the identity */
    struct objlist *list; /* owned */
    struct view unknown;  /* a profile ID that we do not know, "" when none */
    bool teaches;         /* says what its profile ID stands for */
};

/* ---- checks ---------------------------------------------------------------------------------- */

static int check_version(struct params *p)
{
    /* Clients older than the final 1.0 leave it out. */
    if ((p->given & PARAMS_VERSION) == 0)
        p->version = (struct version){1, 0};
    return p->version.major == VERSION_MAJOR ? ERR_OK : ERR_VERSION;
}

static int check_endpoint(struct domain *d, struct applicant *a)
{
    int rc;

    d->ops->identity(d->ctx, &a->req->flow, &a->identity);
    rc = d->ops->authorize(d->ctx, &a->identity, a->params.endpoint, &a->endpoint);
    if (rc < 0)
        return rc;
    return params_check_endpoint(a->endpoint) < 0 ? ERR_ENDPOINT : ERR_OK;
}

static int note_target(void *ctx, const struct link *l)
{
    bool *found = ctx;

    *found |= l->target.p != NULL;
    return ERR_OK;
}

/* Of a list that names no object: links that say nothing of use leave the objects unknown (Core
 * 6.2.1, 4.09); what has no link in it is no link-format. */
static int why_empty(struct view text)
{
    bool found = false;
    int rc = link_parse(text, note_target, &found);

    if (rc < 0)
        return rc;
    return found || text.n == 0 ? ERR_PROFILE : ERR_MALFORMED;
}

static struct pid_question question(const struct applicant *a)
{
    return (struct pid_question){
        .pid = a->params.pid, .payload = a->req->body, .endpoint = a->endpoint};
}

static int check_profiles(struct domain *d, struct applicant *a)
{
    struct pid_question q = question(a);
    struct pid_answer answer;
    int rc = pid_resolve(d, &q, &answer);

    a->list = answer.list;
    a->unknown = answer.unknown;
    a->teaches = answer.teaches;
    return rc == ERR_OK && a->list->count == 0 ? ERR_PROFILE : rc;
}

static int check_list(struct domain *d, struct applicant *a)
{
    int rc;

    if (a->req->body.n == 0 && a->params.pid.n == 0)
        return why_empty(a->req->body);
    if (a->req->body.n > 0 && a->req->format != FORMAT_NONE && a->req->format != FORMAT_LINK)
        return ERR_FORMAT;
    if (a->params.pid.n > 0)
        return check_profiles(d, a);
    rc = objlist_pool_parse(d, a->req->body, &a->list);
    if (rc < 0)
        return rc;
    return a->list->count == 0 ? why_empty(a->req->body) : ERR_OK;
}

static int check_applicant(struct domain *d, struct applicant *a)
{
    int rc = check_version(&a->params);

    if (rc == ERR_OK)
        rc = a->params.rc;
    if (rc == ERR_OK)
        rc = check_endpoint(d, a);
    if (rc == ERR_OK)
        rc = check_list(d, a);
    return rc;
}

/* A device that is here may always register anew: it makes no room necessary. */
static bool has_room(struct domain *d, const struct device *present)
{
    return d->cfg.device_limit == 0 || present != NULL ||
           d->device_count + d->register_jobs < d->cfg.device_limit;
}

static int get_claim(struct domain *d, const struct applicant *a, struct claim **ret_claim)
{
    bool keep = d->cfg.replace == REPLACE_REFUSE && a->identity.type == IDENTITY_NONE;
    const struct device *present = NULL;
    const struct claim *except = NULL;

    if (keep || d->cfg.device_limit != 0)
        present = device_by_endpoint(d, a->endpoint);
    if (!has_room(d, present))
        return ERR_FULL;
    if (present != NULL && addr_eq(&present->peer, &a->req->flow.peer))
        except = present->claim;
    return d->ops->claim(d->ctx, a->endpoint, identity_hash(&d->key, &a->identity), keep, except,
                         ret_claim);
}

/* ---- refusal --------------------------------------------------------------------------------- */

static void tell_refusal(struct domain *d, const struct applicant *a, int rc, uint64_t now)
{
    struct view endpoint = a->endpoint.n > 0 ? a->endpoint : a->params.endpoint;
    struct event *e;

    if (endpoint.n == 0)
        return;
    e = event_new(EVENT_REFUSED, endpoint, domain_unix_ms(d, now));
    if (e == NULL)
        return;
    e->rc = rc;
    e->flow = a->req->flow;
    if (a->params.what != NULL && rc == a->params.rc)
        e->detail = mem_text(a->params.what, strlen(a->params.what));
    else if (rc == ERR_PROFILE && a->unknown.n > 0)
        e->detail = pid_detail(a->unknown);
    domain_emit(d, e);
}

static void refuse(struct domain *d, struct request *req, const struct applicant *a, int rc,
                   uint64_t now)
{
    if (domain_overloaded(rc)) {
        counter_add(d->counters, COUNTER_register_dropped, 1);
        engine_ignore(d->engine, req);
        return;
    }
    counter_add(d->counters, COUNTER_register_refused, 1);
    if (rc == ERR_PROFILE && a->unknown.n > 0) {
        struct pid_question q = question(a);

        pid_refused(d, &q);
    }
    domain_refuse(d, req, rc, now);
    tell_refusal(d, a, rc, now);
}

/* ---- the tentative device -------------------------------------------------------------------- */

/*
 * A client that omits the lifetime means "never" (those that do leave it out when it is 0), so it
 * is not timed before /1/x/1 is known; 1.0 has a default on paper, which is what operators are
 * shown.
 */
static void set_lifetime(const struct domain *d, struct device *dev, const struct params *p)
{
    if ((p->given & PARAMS_LT) != 0) {
        dev->lifetime_s = p->lifetime_s;
        dev->flags |= DEVICE_LIFETIME_GIVEN;
    } else {
        dev->lifetime_s = dev->version.minor == 0 ? d->cfg.default_lifetime_s : 0;
    }
}

static int set_rare(struct device *dev, const struct applicant *a)
{
    const struct params *p = &a->params;
    struct device_rare *rare;
    int rc;

    if (p->sms.n == 0 && p->pid.n == 0 && p->unknown.n == 0 && a->identity.type == IDENTITY_NONE)
        return ERR_OK;
    rare = device_rare(dev);
    if (rare == NULL)
        return ERR_NOMEM;
    rc = device_set_text(&rare->sms, p->sms);
    if (rc == ERR_OK)
        rc = device_set_text(&rare->pid, p->pid);
    if (rc == ERR_OK)
        rc = device_set_text(&rare->unknown, p->unknown);
    if (rc == ERR_OK)
        rc = device_set_identity(dev, &a->identity);
    return rc;
}

/* Takes the list of the applicant. */
static int make_device(struct domain *d, struct applicant *a, struct claim *claim, uint64_t now,
                       struct device **ret_device)
{
    const struct params *p = &a->params;
    struct device *dev = device_new(d);
    int rc;

    if (dev == NULL)
        return ERR_NOMEM;
    dev->id = claim->id;
    dev->claim = claim;
    device_set_flow(d, dev, &a->req->flow);
    dev->version = p->version;
    dev->binding = p->binding;
    dev->szx = 7;
    if (p->queue_in_b || (p->given & PARAMS_Q) != 0)
        dev->flags |= DEVICE_QUEUE;
    dev->registered_s = (uint32_t)(domain_unix_ms(d, now) / 1000);
    dev->updated_s = dev->registered_s;
    dev->seen_s = dev->registered_s;
    set_lifetime(d, dev, p);
    dev->deadline_s = expiry_deadline(d, dev, now);
    device_choose_profile(d, dev);
    rc = set_rare(dev, a);
    if (rc < 0) {
        device_delete(d, dev);
        return rc;
    }
    dev->list = a->list;
    a->list = NULL;
    *ret_device = dev;
    return ERR_OK;
}

/* ---- Registers under way --------------------------------------------------------------------- */

static bool same_endpoint(const void *item, const void *key)
{
    return view_eq(device_endpoint(((const struct job *)item)->device), *(const struct view *)key);
}

static uint64_t job_hash(const struct domain *d, const struct job *job)
{
    return hash_bytes(&d->key, device_endpoint(job->device));
}

/* The newest Register of an endpoint is the one that gets an answer. */
static void supersede(struct domain *d, struct job *job)
{
    struct view endpoint = device_endpoint(job->device);
    uint64_t hash = job_hash(d, job);
    struct job *older = table_get(d->registering, hash, same_endpoint, &endpoint);

    if (older != NULL) {
        (void)table_del(d->registering, hash, older);
        older->superseded = true;
        if (older->pending != NULL)
            engine_drop(d->engine, older->pending);
        older->pending = NULL;
    }
    /* Without memory for it an older answer may leave besides the newer one, which does no harm. */
    job->superseded = table_put(d->registering, hash, job) < 0;
}

static void leave(struct domain *d, struct job *job)
{
    d->register_jobs--;
    if (!job->superseded)
        (void)table_del(d->registering, job_hash(d, job), job);
}

static void discard(struct domain *d, struct device *dev)
{
    struct claim *claim = dev->claim;

    device_delete(d, dev);
    d->ops->claim_release(d->ctx, claim);
}

static int submit(struct domain *d, struct device *dev, uint64_t now, struct job **ret_job)
{
    struct job *job = job_new(JOB_REGISTER, dev->id);
    int rc;

    if (job == NULL)
        return ERR_NOMEM;
    job->device = dev;
    rc = job_submit(d, job, job_put_txn(d, dev, now));
    if (rc < 0) {
        job_free(job);
        return rc;
    }
    *ret_job = job;
    return ERR_OK;
}

static int start(struct domain *d, struct request *req, struct applicant *a, uint64_t now)
{
    struct claim *claim;
    struct device *dev;
    struct job *job = NULL;
    int rc = get_claim(d, a, &claim);

    if (rc < 0)
        return rc;
    rc = make_device(d, a, claim, now, &dev);
    if (rc < 0) {
        d->ops->claim_release(d->ctx, claim);
        return rc;
    }
    rc = submit(d, dev, now, &job);
    if (rc < 0) {
        discard(d, dev);
        return rc;
    }
    job->teaches = a->teaches;
    d->register_jobs++;
    supersede(d, job);
    job->pending = engine_defer(d->engine, req, now);
    return ERR_OK;
}

void registration_request(struct domain *d, struct request *req, uint64_t now)
{
    struct applicant a = {.req = req};
    int rc;

    params_parse(d->arena, req, &a.params);
    rc = check_applicant(d, &a);
    if (rc == ERR_OK)
        rc = start(d, req, &a, now);
    if (rc < 0)
        refuse(d, req, &a, rc, now);
    objlist_pool_unref(d, a.list);
}

void registration_abandon(struct domain *d, struct job *job)
{
    leave(d, job);
    if (job->pending != NULL)
        engine_drop(d->engine, job->pending);
    discard(d, job->device);
    job_free(job);
}

static void answer_created(struct domain *d, struct pending *p, uint64_t id, uint64_t now)
{
    char location[sizeof(LOCATION_PREFIX) + REGISTRATION_ID_LEN] = LOCATION_PREFIX;
    struct response resp = {.code = PDU_CREATED, .format = FORMAT_NONE};

    registration_id_format(id, location + sizeof(LOCATION_PREFIX) - 1);
    resp.location = view_str(location);
    engine_respond(d->engine, p, &resp, now);
}

/* The store has it (or not): nothing was visible so far but to the store. */
void registration_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct device *dev = job->device;

    if (rc == ERR_OK) {
        d->committing = true;
        rc = d->ops->claim_commit(d->ctx, dev->claim);
        d->committing = false;
    }
    if (rc < 0) {
        counter_add(d->counters, COUNTER_register_dropped, 1);
        operation_carried(d, NULL, job->txn, now);
        registration_abandon(d, job);
        return;
    }
    leave(d, job);
    device_insert(d, dev);
    presence_begin(d, dev, true, now);
    expiry_restart(d, dev, now);
    counter_add(d->counters, COUNTER_registers, 1);
    if (job->pending != NULL)
        answer_created(d, job->pending, dev->id, now);
    domain_tell(d, EVENT_REGISTERED, dev, now);
    if (job->teaches)
        pid_learn(d, dev, now);
    operation_carried(d, dev, job->txn, now);
    job_free(job);
}
