#include "lwm2m/internal.h"

/*
 * LwM2M Core 6.4.6: POST /dp. The message does not say whose it is; the address it comes from does.
 * It carries no number of its own either: a copy is known by peer and message id as long as we run,
 * so that one that comes again after our restart is recorded again.
 */

static int check_format(int32_t format)
{
    const struct content_format *f = content_format(format);

    if (format == FORMAT_NONE)
        return ERR_INVALID;
    return f != NULL && content_usable(f, CONTENT_SEND) ? ERR_OK : ERR_FORMAT;
}

/* Instances must have been registered; an object announced without any stands for those it may come
 * to have. */
static bool is_announced(const struct objlist *list, const struct path *p)
{
    const struct objlist_entry *e = objlist_pool_find(list, p->id[0]);
    const struct objlist_entry *end = list->entries + list->count;
    struct path instance = *p;

    if (e == NULL || p->depth < 2)
        return e != NULL;
    instance.depth = 2;
    if (objlist_pool_has(list, &instance))
        return true;
    return e->path.depth == 1 && (e + 1 == end || e[1].path.id[0] != p->id[0]);
}

/* RFC 8428: a record of a pack that tells something has a value. */
static bool is_empty(int32_t format, const struct record *r)
{
    return r->value.type == VALUE_NONE && (format != FORMAT_LWM2M_CBOR || r->path.depth > 3);
}

static int check_values(const struct device *dev, int32_t format, const struct batch *values)
{
    for (size_t i = 0; i < batch_size(values); i++) {
        const struct record *r = batch_at(values, i);

        if (is_empty(format, r))
            return ERR_MALFORMED;
        if (!is_announced(dev->list, &r->path))
            return ERR_UNREGISTERED;
    }
    return batch_size(values) > 0 ? ERR_OK : ERR_INVALID;
}

static int read_values(struct domain *d, const struct device *dev, const struct request *req,
                       struct batch *values, uint64_t now)
{
    static const struct path root = {.depth = 0};
    struct content_env env;
    int rc;

    domain_env(d, dev, now, &env);
    env.use = CONTENT_SEND;
    rc = content_decode(req->format, &env, req->body, &root, values);
    if (rc == ERR_NOMEM)
        return rc;
    return rc < 0 ? ERR_MALFORMED : check_values(dev, req->format, values);
}

static int read_event(struct domain *d, const struct device *dev, const struct request *req,
                      uint64_t now, struct event **ret_event)
{
    struct event *e;
    int rc = check_format(req->format);

    if (rc < 0)
        return rc;
    e = domain_event(d, EVENT_SEND, dev, now);
    if (e == NULL)
        return ERR_NOMEM;
    e->values = batch_new();
    rc = e->values != NULL ? read_values(d, dev, req, e->values, now) : ERR_NOMEM;
    if (rc < 0) {
        event_unref(e);
        return rc;
    }
    *ret_event = e;
    return ERR_OK;
}

/* ---- storing --------------------------------------------------------------------------------- */

static struct txn *record_txn(const struct event *e)
{
    struct txn *t = txn_new(TXN_RECORD);
    size_t n = strlen(e->endpoint);

    if (t == NULL)
        return NULL;
    t->bytes = mem_text(e->endpoint, n);
    t->entries = mem_new(sizeof(*t->entries));
    if (t->bytes == NULL || t->entries == NULL) {
        txn_free(t);
        return NULL;
    }
    t->entry_count = 1;
    t->entries[0] = (struct entry){.endpoint = view_of(t->bytes, n),
                                   .time_ms = e->time_ms,
                                   .type = EVENT_SEND,
                                   .registration_id = e->registration_id,
                                   .values = batch_copy(e->values),
                                   .origin = ORIGIN_SEND};
    if (t->entries[0].values == NULL) {
        txn_free(t);
        return NULL;
    }
    return t;
}

/* The request is deferred before anything is stored: a copy of it that comes meanwhile, or a limit,
 * must not have it recorded twice. Takes e. */
static void store(struct domain *d, const struct device *dev, struct request *req, struct event *e,
                  uint64_t now)
{
    struct pending *p = engine_defer(d->engine, req, now);
    struct job *job = p != NULL ? job_new(JOB_DATA, dev->id) : NULL;

    if (job == NULL) {
        event_unref(e);
    } else {
        job->pending = p;
        job->event = e;
    }
    if (job != NULL && job_submit(d, job, record_txn(e)) == ERR_OK)
        return;
    counter_add(d->counters, COUNTER_sends_dropped, 1);
    if (p != NULL)
        engine_drop(d->engine, p);
    job_free(job);
}

/* No answer without the record: the device sends it again. */
void send_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    static const struct response changed = {.code = PDU_CHANGED, .format = FORMAT_NONE};

    if (rc == ERR_OK) {
        counter_add(d->counters, COUNTER_sends, 1);
        engine_respond(d->engine, job->pending, &changed, now);
        domain_emit(d, event_ref(job->event));
    } else {
        counter_add(d->counters, COUNTER_sends_dropped, 1);
        engine_drop(d->engine, job->pending);
    }
    job_free(job);
}

void send_request(struct domain *d, struct request *req, uint64_t now)
{
    struct device *dev = chain_by_addr(d, &req->flow.peer);
    struct event *e = NULL;
    int rc = ERR_UNREGISTERED;

    if (dev != NULL && device_speaks(d, dev, &req->flow)) {
        device_seen(d, dev, now);
        rc = read_event(d, dev, req, now, &e);
    }
    if (rc == ERR_OK) {
        store(d, dev, req, e, now);
        return;
    }
    counter_add(d->counters, domain_overloaded(rc) ? COUNTER_sends_dropped : COUNTER_sends_refused,
                1);
    domain_refuse(d, req, rc, now);
}
