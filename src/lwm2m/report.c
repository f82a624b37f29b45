#include "lwm2m/run.h"

#include <stdlib.h>

#define UNSTORE_AGAIN_MS 1000
#define NAMES_MAX 8192 /* the paths of a composite observation, encoded */

/* Observations (LwM2M Core 6.4): what a device has accepted to tell us, until one side ends it. */

/* ---- composite ones -------------------------------------------------------------------------- */

bool report_is_made_by(const struct op *op)
{
    return op->kind == OP_OBSERVE || op->kind == OP_OBSERVE_COMPOSITE;
}

int report_names_format(const struct batch *names, char out[OP_OBSERVATION_PATHS])
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < batch_size(names); i++) {
        char path[PATH_TEXT_MAX];
        size_t add;

        path_format(&batch_at(names, i)->path, path);
        add = strlen(path);
        if (n + add + 2 > OP_OBSERVATION_PATHS)
            return ERR_LIMIT;
        if (n > 0)
            out[n++] = ',';
        memcpy(out + n, path, add + 1);
        n += add;
    }
    return ERR_OK;
}

struct batch *report_names_parse(struct view paths)
{
    struct batch *names = batch_new();
    struct view one;
    int rc = names != NULL ? ERR_OK : ERR_NOMEM;

    while (rc == ERR_OK && view_split(&paths, ',', &one)) {
        struct record r = {.value = {.type = VALUE_NONE}};

        rc = path_parse(one, &r.path);
        if (rc == ERR_OK)
            rc = batch_add(names, &r);
    }
    if (rc == ERR_OK)
        return names;
    batch_free(names);
    return NULL;
}

int report_fill_names(struct domain *d, const struct report *r, struct outgoing *out,
                      struct buf *body, uint64_t now)
{
    int32_t formats[CHOOSE_MAX];
    int rc = ERR_FORMAT;
    size_t n;

    if (r->names == NULL)
        return ERR_OK;
    n = select_format_candidates(r->device, CHOOSE_FETCH, VALUE_NONE, true, formats);
    for (size_t i = 0; rc != ERR_OK && i < n; i++) {
        out->format = formats[i];
        rc = composite_names(d, r->device, r->names, formats[i], body, now);
    }
    out->code = PDU_FETCH;
    out->path = VIEW_LIT("/");
    out->body = buf_view(body);
    return rc;
}

static bool same_names(const struct batch *a, const struct batch *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (batch_size(a) != batch_size(b))
        return false;
    for (size_t i = 0; i < batch_size(a); i++)
        if (!path_eq(&batch_at(a, i)->path, &batch_at(b, i)->path))
            return false;
    return true;
}

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
    const struct batch *names = op->kind == OP_OBSERVE_COMPOSITE ? op->values : NULL;

    if (dev->rare == NULL)
        return NULL;
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        if (r->state != REPORT_ENDING && path_eq(&r->path, &op->path) &&
            view_eq_str(attributes, r->attributes) && same_names(names, r->names) &&
            (op->format == FORMAT_NONE || op->format == r->format))
            return r;
    }
    return NULL;
}

bool report_in_query(const struct device *dev)
{
    return dev->version.minor >= 2;
}

static struct report *report_add(struct device *dev, const struct observation *o)
{
    struct device_rare *rare = device_rare(dev);
    struct report *r;

    if (rare == NULL)
        return NULL;
    r = mem_new(sizeof(*r) + o->attributes.n + 1);
    if (r == NULL)
        return NULL;
    r->names = o->paths.n > 0 ? report_names_parse(o->paths) : NULL;
    if (o->paths.n > 0 && r->names == NULL) {
        mem_free(r);
        return NULL;
    }
    r->relation.token = o->token;
    r->device = dev;
    r->path = o->path;
    r->format = o->format;
    r->since_ms = o->since_ms;
    r->attached = !report_in_query(dev);
    if (o->attributes.n > 0)
        memcpy(r->attributes, o->attributes.p, o->attributes.n);
    list_push(&rare->reports, &r->node);
    rare->report_count++;
    return r;
}

/* Into the engine: what it hears under the token is ours. */
static int activate(struct domain *d, struct report *r)
{
    int rc = engine_relation_add(d->engine, &r->relation);

    if (rc < 0)
        return rc;
    r->state = REPORT_ACTIVE;
    d->report_count++;
    return ERR_OK;
}

void report_silence(struct domain *d, struct report *r)
{
    if (r->state == REPORT_ACTIVE) {
        engine_relation_del(d->engine, &r->relation);
        d->report_count--;
    }
    r->state = REPORT_ENDING;
}

static void report_drop(struct domain *d, struct report *r)
{
    report_silence(d, r);
    list_del(&r->node);
    r->device->rare->report_count--;
    batch_free(r->initial);
    batch_free(r->names);
    mem_free(r);
}

void report_describe(const struct report *r, struct op_observation *ret)
{
    size_t n = strlen(r->attributes);

    *ret = (struct op_observation){
        .token = r->relation.token,
        .path = r->path,
        .since_ms = r->since_ms,
        .active = r->state == REPORT_ACTIVE,
    };
    if (r->names != NULL)
        (void)report_names_format(r->names, ret->paths); /* fits, as it did when it was made */
    if (n >= sizeof(ret->attributes))
        n = sizeof(ret->attributes) - 1;
    memcpy(ret->attributes, r->attributes, n);
}

/* Of an operation whose observation is not among those of a device here. */
static void describe_op(const struct op *op, uint64_t token, struct op_observation *ret)
{
    struct view text = view_sub(view_str(op->text), 0, sizeof(ret->attributes) - 1);

    *ret = (struct op_observation){.token = token, .path = op->path};
    if (op->kind == OP_OBSERVE_COMPOSITE)
        (void)report_names_format(op->values, ret->paths);
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

        if (report_is_made_by(run->op) && run->wanted == 0)
            describe_op(run->op, run->token, &rows[n++]);
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
    if (r->announced || r->state != REPORT_ACTIVE)
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
    t->text = mem_new(o->attributes.n + o->paths.n + 1);
    if (t->text == NULL) {
        txn_free(t);
        return NULL;
    }
    if (o->attributes.n > 0)
        memcpy(t->text, o->attributes.p, o->attributes.n);
    if (o->paths.n > 0)
        memcpy(t->text + o->attributes.n, o->paths.p, o->paths.n);
    t->observation.attributes = view_of(t->text, o->attributes.n);
    t->observation.paths = view_of(t->text + o->attributes.n, o->paths.n);
    return t;
}

/* Deletes the row on behalf of the job, which is taken on success. */
static int unstore(struct domain *d, struct job *job)
{
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);

    if (t != NULL)
        t->token = job->token;
    return job_submit(d, job, t);
}

/* What cannot be deleted now would come back with the next registration or restart: it is tried
 * again until it is gone. Who waits for it is told that it is not. Takes the job. */
static void unstore_later(struct domain *d, struct job *job, int rc, uint64_t at)
{
    struct op *op = job->op;

    job->op = NULL;
    if (list_empty(&d->unstored))
        d->unstored_at = at;
    list_push(&d->unstored, &job->node);
    if (op != NULL)
        manage_complete(d, op, rc);
}

void report_unstore(struct domain *d, uint64_t token, struct op *op)
{
    struct job *job = job_new(JOB_UNOBSERVE, 0);
    int rc;

    if (job == NULL) {
        if (op != NULL)
            manage_complete(d, op, ERR_NOMEM);
        return;
    }
    job->op = op;
    job->token = token;
    rc = unstore(d, job);
    if (rc < 0)
        unstore_later(d, job, rc, 0);
}

void report_unstore_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    if (rc < 0) {
        unstore_later(d, job, rc, now + UNSTORE_AGAIN_MS);
        return;
    }
    if (job->op != NULL)
        manage_complete(d, job->op, rc);
    job_free(job);
}

void report_unstore_again(struct domain *d, uint64_t now)
{
    if (list_empty(&d->unstored) || now < d->unstored_at)
        return;
    d->unstored_at = now + UNSTORE_AGAIN_MS;
    list_each_safe(&d->unstored, it, tmp)
    {
        struct job *job = list_item(it, struct job, node);

        list_del(it);
        if (unstore(d, job) < 0) {
            list_push_front(&d->unstored, &job->node);
            return;
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static int store(struct domain *d, struct report *r, const struct observation *o, bool again,
                 struct op *op)
{
    struct job *job = job_new(JOB_OBSERVE, o->registration_id);
    int rc = ERR_NOMEM;

    if (job == NULL)
        return rc;
    job->op = op;
    job->token = o->token;
    job->again = again;
    job->wish = o->since_ms == 0;
    rc = job_submit(d, job, put_txn(o));
    if (rc < 0)
        job_free(job);
    else
        r->storing = true;
    return rc;
}

struct report *report_want(struct device *dev, const struct observation *o)
{
    struct report *r = report_add(dev, o);

    if (r == NULL)
        return NULL;
    r->state = REPORT_WANTED;
    r->durable = true;
    r->since_ms = 0;
    return r;
}

/* ERR_ACCEPTED with what op asked for, as it stands. */
static int accepted(const struct report *r, struct op *op)
{
    int rc = report_result(r, op);

    return rc == ERR_OK && r->state == REPORT_WANTED ? ERR_ACCEPTED : rc;
}

static int make_wish(struct domain *d, struct device *dev, struct op *op, uint64_t token)
{
    struct observation o = {
        .token = token,
        .row = dev->claim->row,
        .registration_id = dev->id,
        .path = op->path,
        .format = op->format,
        .attributes = view_str(op->text),
    };
    char paths[OP_OBSERVATION_PATHS] = "";
    struct report *r;
    int rc = ERR_OK;

    if (dev->rare != NULL && dev->rare->report_count >= d->cfg.observation_limit)
        return ERR_LIMIT;
    if (op->kind == OP_OBSERVE_COMPOSITE)
        rc = report_names_format(op->values, paths);
    if (rc < 0)
        return rc;
    o.paths = view_str(paths);
    r = report_want(dev, &o);
    if (r == NULL)
        return ERR_NOMEM;
    r->durable = false;
    rc = store(d, r, &o, false, op);
    if (rc < 0)
        report_drop(d, r);
    return rc;
}

void report_wish(struct domain *d, struct device *dev, struct op *op, uint64_t token, uint64_t now)
{
    const struct report *r = report_like(dev, op);
    int rc;

    (void)now;
    if (r != NULL)
        rc = r->durable ? accepted(r, op) : ERR_BUSY;
    else
        rc = make_wish(d, dev, op, token);
    if (r != NULL || rc < 0)
        manage_complete(d, op, rc);
    device_trim(dev);
}

static void take_terms(struct report *r, const struct op *op, const struct report_terms *terms,
                       const struct answer *a, uint64_t now)
{
    r->format = terms->format;
    r->attached = terms->attached;
    r->relation.sequence = a->sequence;
    r->relation.mid = a->mid;
    r->relation.seen_s = now >= 1000 ? (uint32_t)(now / 1000) : 1;
    if (op->result.values != NULL)
        r->initial = batch_copy(op->result.values);
}

int report_start(struct domain *d, struct device *dev, struct op *op,
                 const struct report_terms *terms, const struct answer *a, uint64_t now)
{
    struct observation o = {
        .token = terms->token,
        .row = dev->claim->row,
        .registration_id = dev->id,
        .path = op->path,
        .format = terms->format,
        .attributes = view_str(op->text),
        .since_ms = domain_unix_ms(d, now),
    };
    struct report *r = report_find(dev, terms->token);
    bool again = r != NULL;
    char paths[OP_OBSERVATION_PATHS] = "";
    int rc = ERR_OK;

    if (op->kind == OP_OBSERVE_COMPOSITE)
        rc = report_names_format(op->values, paths);
    if (rc < 0)
        return rc;
    o.paths = view_str(paths);
    if (again && r->state != REPORT_WANTED) /* cancelled after it was asked for */
        return r->state == REPORT_ENDING ? ERR_CANCELLED : ERR_EXISTS;
    if (!again)
        r = report_add(dev, &o);
    if (r == NULL)
        return ERR_NOMEM;
    take_terms(r, op, terms, a, now);
    r->since_ms = o.since_ms;
    rc = activate(d, r);
    if (rc == ERR_OK)
        rc = store(d, r, &o, again, op);
    if (rc < 0 && again)
        report_announce(d, r, now); /* the store has it as wanted, which it is */
    else if (rc < 0)
        report_drop(d, r); /* its notifications will be rejected */
    return rc;
}

int report_result(const struct report *r, struct op *op)
{
    struct op_observation *row = mem_new(sizeof(*row));

    if (row == NULL)
        return ERR_NOMEM;
    report_describe(r, row);
    op->result.observations = row;
    op->result.observation_count = 1;
    return ERR_OK;
}

static int moved_result(const struct domain *d, const struct job *job, uint64_t now)
{
    struct op_observation *row = mem_new(sizeof(*row));

    if (row == NULL)
        return ERR_NOMEM;
    describe_op(job->op, job->token, row);
    row->active = !job->wish;
    row->since_ms = job->wish ? 0 : domain_unix_ms(d, now);
    job->op->result.observations = row;
    job->op->result.observation_count = 1;
    return job->wish ? ERR_ACCEPTED : ERR_OK;
}

void report_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct device *dev = chain_by_id(d, job->id);
    struct report *r = dev != NULL ? report_find(dev, job->token) : NULL;

    if (job->moved) {
        if (rc == ERR_OK)
            rc = moved_result(d, job, now);
    } else if (r != NULL && (rc == ERR_OK || r->durable)) {
        r->storing = false;
        r->durable = true;
        report_announce(d, r, now);
        if (rc == ERR_OK)
            rc = accepted(r, job->op);
    } else if (r != NULL) {
        report_end(d, r, rc, NULL, now);
        device_trim(dev);
    } else if (rc == ERR_OK) {
        /* The registration ended meanwhile. What nobody was told of does not pass to the next. */
        rc = ERR_UNREGISTERED;
        if (!job->again)
            report_unstore(d, job->token, NULL);
    }
    manage_complete(d, job->op, rc);
    job_free(job);
    if (dev != NULL)
        queue_pump(d, dev, now); /* others have waited to see */
}

int report_load(struct domain *d, const struct observation *o)
{
    struct device *dev = chain_by_id(d, o->registration_id);
    struct report *r;
    int rc;

    if (dev == NULL)
        return ERR_NOTFOUND;
    if (report_find(dev, o->token) != NULL)
        return ERR_EXISTS;
    if (o->since_ms == 0) /* asked for again with the next Update */
        return report_want(dev, o) != NULL ? ERR_OK : ERR_NOMEM;
    r = report_add(dev, o);
    if (r == NULL)
        return ERR_NOMEM;
    r->announced = true;
    r->durable = true;
    rc = activate(d, r);
    if (rc < 0) {
        report_drop(d, r);
        device_trim(dev);
    }
    return rc;
}

/* Its operation waits for the store here and is answered from here. */
static void leave_job(struct domain *d, struct report *r)
{
    if (!r->storing)
        return;
    list_each(&d->jobs, it)
    {
        struct job *job = list_item(it, struct job, node);

        if (job->kind == JOB_OBSERVE && job->token == r->relation.token)
            job->moved = true;
    }
    r->storing = false;
    r->durable = true;
}

void report_detach(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        report_announce(d, r, now);
        leave_job(d, r);
        if (r->state == REPORT_ACTIVE) {
            report_silence(d, r);
            r->state = REPORT_ACTIVE; /* where it arrives */
        }
        r->device = NULL;
    }
}

void report_adopt(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->reports, it, tmp)
    {
        struct report *r = list_item(it, struct report, node);
        int rc = ERR_OK;

        r->device = dev;
        if (r->state == REPORT_ACTIVE) {
            r->state = REPORT_ENDING; /* until it is in this engine */
            rc = activate(d, r);
        }
        if (rc < 0) {
            report_unstore(d, r->relation.token, NULL);
            report_end(d, r, rc, NULL, now);
        }
    }
}

/* ---- notifications --------------------------------------------------------------------------- */

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
        env.use = r->names != NULL ? CONTENT_COMPOSITE : CONTENT_ANSWER;
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

    if (!device_is_from(d, dev, &a->flow)) {
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

/* The rest of a composite notification is asked for with its paths; they lie in the arena. */
static int fill_rest(struct domain *d, const struct report *r, struct outgoing *fill)
{
    struct buf body;
    uint8_t *p;
    int rc;

    buf_init(&body, NAMES_MAX);
    rc = report_fill_names(d, r, fill, &body, 0);
    p = rc == ERR_OK && body.n > 0 ? arena_alloc(d->arena, body.n) : NULL;
    if (p != NULL) {
        memcpy(p, body.p, body.n);
        fill->body = view_of(p, body.n);
    } else if (body.n > 0) {
        rc = ERR_NOMEM;
    }
    buf_fini(&body);
    return rc;
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
    return fill_rest(d, r, fill);
}
