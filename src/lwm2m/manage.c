#include "lwm2m/internal.h"

/* Operations: one op becomes one request to the device, or several when it refuses formats. */

#define BODY_MAX ((size_t)64 << 20)

void manage_complete(struct domain *d, struct op *op, int rc)
{
    counter_add(d->counters, COUNTER_ops_completed, 1);
    op_complete(op, rc);
}

/* ---- runs ------------------------------------------------------------------------------------ */

static int run_add(struct domain *d, struct device *dev, struct op *op, struct run **ret_run)
{
    struct device_rare *rare = device_rare(dev);
    struct run *run;

    if (rare == NULL)
        return ERR_NOMEM;
    if (rare->run_count >= d->cfg.op_limit)
        return ERR_FULL;
    run = mem_new(sizeof(*run));
    if (run == NULL)
        return ERR_NOMEM;
    run->domain = d;
    run->device = dev;
    run->op = op;
    list_push(&rare->runs, &run->node);
    rare->run_count++;
    d->run_count++;
    *ret_run = run;
    return ERR_OK;
}

/* Off the device; the operation is returned. */
static struct op *run_end(struct run *run)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    struct op *op = run->op;

    timer_stop(d->limits, &run->limit);
    list_del(&run->node);
    dev->rare->run_count--;
    d->run_count--;
    if (run->own)
        dev->rare->remaking = false;
    mem_free(run);
    return op;
}

static void run_finish(struct run *run, int rc)
{
    struct domain *d = run->domain;

    manage_complete(d, run_end(run), rc);
}

/* Takes the exchange back from the engine; the run is waiting again. */
static void run_halt(struct run *run, uint64_t now)
{
    if (run->exchange == NULL)
        return;
    run->halting = true;
    engine_cancel(run->domain->engine, run->exchange, now);
    run->halting = false;
}

/* Whether it may be done twice without harm. */
static bool is_idempotent(const struct op *op)
{
    return op->kind != OP_EXECUTE && op->kind != OP_CREATE;
}

/* ---- requests -------------------------------------------------------------------------------- */

uint64_t manage_token(struct domain *d, const struct device *dev)
{
    uint64_t slot = dev->id >> 56 << 56;
    uint64_t token;

    do
        token = slot | random_u64(d->random) >> 8;
    while (token == 0 || engine_token_known(d->engine, token));
    return token;
}

struct view manage_path(struct domain *d, const struct device *dev, const struct path *p)
{
    struct view alt = dev->list->alt_path;
    char text[PATH_TEXT_MAX];
    size_t n;
    uint8_t *out;

    path_format(p, text);
    n = strlen(text);
    out = arena_alloc(d->arena, alt.n + n);
    if (out == NULL)
        return VIEW_NONE;
    memcpy(out, alt.p, alt.n);
    memcpy(out + alt.n, text, n);
    return view_of(out, alt.n + n);
}

static int encode(struct run *run, const struct path *base, struct buf *body, int32_t format,
                  uint64_t now)
{
    struct content_env env;

    domain_env(run->domain, run->device, now, &env);
    if (run->op->kind == OP_CREATE)
        env.use = CONTENT_CREATE;
    else
        env.use = run->op->kind == OP_WRITE_UPDATE ? CONTENT_UPDATE : CONTENT_WRITE;
    return content_encode(format, &env, run->op->values, base, body);
}

/* The first format from the present one on that can carry the values. */
static int fill_body(struct run *run, const struct path *base, struct outgoing *out,
                     struct buf *body, uint64_t now)
{
    int rc = ERR_FORMAT;

    for (; run->candidate < run->candidate_count; run->candidate++) {
        int32_t format = run->candidates[run->candidate];

        rc = encode(run, base, body, format, now);
        if (rc != ERR_OK)
            continue;
        out->format = format;
        out->body = buf_view(body);
        return ERR_OK;
    }
    return rc;
}

static int fill_read(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)body;
    (void)now;
    out->accept = run->candidates[run->candidate];
    return ERR_OK;
}

static int fill_discover(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)now;
    out->accept = FORMAT_LINK;
    /* Since 1.2; an older client may refuse a query that it does not know. */
    if (run->op->depth >= 0 && run->device->version.minor >= 2) {
        buf_fmt(body, "depth=%d", run->op->depth);
        out->query = buf_view(body);
    }
    return body->rc;
}

static int fill_write(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    if (run->op->body == NULL)
        return fill_body(run, &run->op->path, out, body, now);
    out->format = run->candidates[run->candidate];
    out->blob = run->op->body;
    return ERR_OK;
}

static int fill_attributes(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)body;
    (void)now;
    out->query = view_str(run->op->text);
    return ERR_OK;
}

static int fill_execute(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)body;
    (void)now;
    if (run->op->text != NULL && run->op->text[0] != '\0') {
        out->format = FORMAT_TEXT;
        out->body = view_str(run->op->text);
    }
    return ERR_OK;
}

static int fill_create(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    struct op *op = run->op;
    struct path base = op->path;

    /* An instance with an id and without values. */
    if (op->path.depth == 2 && batch_size(op->values) == 0) {
        struct record r = {.path = op->path};
        int rc = batch_add(op->values, &r);

        if (rc < 0)
            return rc;
    }
    base.depth = 1;
    out->path = manage_path(run->domain, run->device, &base);
    return fill_body(run, &base, out, body, now);
}

static int fill_nothing(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)run;
    (void)out;
    (void)body;
    (void)now;
    return ERR_OK;
}

static int fill_observe(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    out->observe = 0;
    if (!run->attached)
        out->query = view_str(run->op->text);
    return fill_read(run, out, body, now);
}

/* LwM2M Core 6.4.4: the same token, path and options as the observation. */
static int fill_cancel(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    const struct report *r = report_find(run->device, run->op->token);

    (void)body;
    (void)now;
    if (r == NULL)
        return ERR_NOTFOUND;
    out->observe = 1;
    out->token = r->relation.token;
    out->path = manage_path(run->domain, run->device, &r->path);
    if (!r->attached)
        out->query = view_str(r->attributes);
    out->accept = r->format;
    return ERR_OK;
}

typedef int (*fill_fn)(struct run *run, struct outgoing *out, struct buf *body, uint64_t now);

/* How each kind goes to the device. */
static const struct row {
    uint8_t method; /* 0: it does not */
    fill_fn fill;
} rows[OP_KIND_COUNT] = {
    [OP_READ] = {PDU_GET, fill_read},
    [OP_DISCOVER] = {PDU_GET, fill_discover},
    [OP_WRITE_REPLACE] = {PDU_PUT, fill_write},
    [OP_WRITE_UPDATE] = {PDU_POST, fill_write},
    [OP_WRITE_ATTRIBUTES] = {PDU_PUT, fill_attributes},
    [OP_EXECUTE] = {PDU_POST, fill_execute},
    [OP_CREATE] = {PDU_POST, fill_create},
    [OP_DELETE] = {PDU_DELETE, fill_nothing},
    [OP_OBSERVE] = {PDU_GET, fill_observe},
    [OP_OBSERVE_CANCEL] = {PDU_GET, fill_cancel},
};

static const struct row *row_of(const struct run *run)
{
    return &rows[run->step == RUN_ATTACH ? OP_WRITE_ATTRIBUTES : run->op->kind];
}

/* ---- sending --------------------------------------------------------------------------------- */

static void answered(void *ctx, const struct answer *a, uint64_t now);

static int request(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    const struct row *row = row_of(run);
    struct op *op = run->op;
    struct flow flow;
    struct outgoing out = {
        .flow = &flow,
        .profile = device_profile(d, dev),
        .code = row->method,
        .path = manage_path(d, dev, &op->path),
        .format = FORMAT_NONE,
        .accept = FORMAT_NONE,
        .observe = -1,
        .szx = dev->szx,
        .body_limit = d->cfg.read_body_limit,
        .done = answered,
        .ctx = run,
    };
    struct buf body;
    int rc;

    device_flow(d, dev, &flow);
    run->token = run->wanted != 0 && run->step == RUN_ITSELF ? run->wanted : manage_token(d, dev);
    out.token = run->token;
    buf_init(&body, BODY_MAX);
    rc = row->fill(run, &out, &body, now);
    if (rc == ERR_OK && out.path.p == NULL)
        rc = ERR_NOMEM;
    if (rc == ERR_OK)
        rc = engine_request(d->engine, &out, now, &run->exchange);
    buf_fini(&body);
    if (rc < 0)
        return rc;
    dev->rare->running++;
    if (op->result.sent_ms == 0)
        op->result.sent_ms = domain_unix_ms(d, now);
    return ERR_OK;
}

/* An observation of this kind that is there already is the answer, and one that is wanted is made
 * under its token. True when there is nothing to ask. */
static bool settle_observe(struct run *run)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    const struct report *r = run->own ? report_find(dev, run->wanted) : report_like(dev, run->op);

    if (run->own && (r == NULL || r->state != REPORT_WANTED)) {
        run_finish(run, ERR_OK);
        wanted_next(d, dev);
        return true;
    }
    if (r != NULL && r->state == REPORT_ACTIVE) {
        run_finish(run, report_result(r, run->op));
        return true;
    }
    run->wanted = r != NULL ? r->relation.token : 0;
    if (r == NULL && dev->rare->report_count >= d->cfg.observation_limit) {
        run_finish(run, ERR_LIMIT);
        return true;
    }
    return false;
}

static void run_send(struct run *run, uint64_t now)
{
    const struct domain *d = run->domain;
    int rc;

    if (run->op->kind == OP_OBSERVE && settle_observe(run))
        return;
    if (run->candidate_count == 0)
        select_format_start(run, now);
    arena_reset(d->arena);
    rc = request(run, now);
    if (rc < 0)
        run_finish(run, rc);
}

/* While the registration ends or moves to another address nothing is sent to the present one. */
static bool is_held(const struct device_rare *rare)
{
    return rare->job != NULL && (rare->job->kind == JOB_REMOVE ||
                                 (rare->job->kind == JOB_UPDATE && update_moves(rare->job)));
}

/* Another operation is asking for the observation that this one wants, or the store has still to
 * take it: nobody is told before. */
static bool is_asked_for(const struct run *run)
{
    const struct report *r = run->op->kind == OP_OBSERVE ? report_like(run->device, run->op) : NULL;

    if (r != NULL && r->storing && !r->durable)
        return true;
    if (r == NULL || r->state != REPORT_WANTED)
        return false;
    list_each(&run->device->rare->runs, it)
    {
        const struct run *other = list_item(it, struct run, node);

        if (other != run && other->exchange != NULL && other->wanted == r->relation.token)
            return true;
    }
    return false;
}

static struct run *next_waiting(struct device_rare *rare)
{
    list_each(&rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->exchange == NULL && !is_asked_for(run))
            return run;
    }
    return NULL;
}

void manage_pump(struct domain *d, struct device *dev, uint64_t now)
{
    struct device_rare *rare = dev->rare;
    uint32_t nstart = device_profile(d, dev)->nstart;
    struct run *run;

    if (rare == NULL || is_held(rare))
        return;
    while (rare->running < nstart && (run = next_waiting(rare)) != NULL)
        run_send(run, now);
    device_trim(dev);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Attributes that Observe could not carry are written to the path, and then it is observed without.
 * True when there is another request to make. */
static bool turns_to_attributes(struct run *run, const struct answer *a)
{
    unsigned class = PDU_CODE_CLASS(a->code);
    const char *text = run->op->text;

    if (run->op->kind != OP_OBSERVE || run->attached || text == NULL || text[0] == '\0')
        return false;
    if (run->step == RUN_ATTACH && class == 2) {
        run->step = RUN_ITSELF;
        run->attached = true;
        return true;
    }
    if (run->step == RUN_ATTACH || class != 4)
        return false;
    run->step = RUN_ATTACH;
    run->candidate = 0;
    run->refused = 0;
    return true;
}

static void end_observe(struct run *run, const struct answer *a, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    struct report_terms terms = {
        .token = run->token, .format = run->candidates[run->candidate], .attached = run->attached};
    uint64_t wanted = run->wanted;
    bool own = run->own;
    int rc = result_read(d, dev, run->op, a, now);
    struct op *op = run_end(run);

    if (rc != ERR_DEVICE) /* values without the option: read, not observed */
        rc = a->observe ? report_start(d, dev, op, &terms, a, now) : ERR_UNSUPPORTED;
    if (rc < 0)
        manage_complete(d, op, rc);
    if (wanted != 0 &&
        (rc == ERR_UNSUPPORTED || (rc == ERR_DEVICE && PDU_CODE_CLASS(a->code) == 4)))
        wanted_refused(d, dev, wanted, rc, a->code, now);
    if (own)
        wanted_next(d, dev);
}

/* Whatever the device says, the observation is over here: later notifications are rejected. */
static void end_cancel(struct run *run, const struct answer *a, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    struct op *op = run_end(run);
    struct report *r = report_find(dev, op->token);

    if (a->rc == ERR_OK) {
        blob_free(a->blob);
        op->result.coap_code = a->code;
        op->result.answered_ms = domain_unix_ms(d, now);
    }
    if (r == NULL) {
        manage_complete(d, op, ERR_NOTFOUND);
        return;
    }
    report_end(d, r, ERR_CANCELLED, NULL, now);
    report_unstore(d, op->token, op);
}

static void end_run(struct run *run, const struct answer *a, uint64_t now)
{
    struct domain *d = run->domain;
    int rc;

    if (run->op->kind == OP_OBSERVE_CANCEL) {
        end_cancel(run, a, now);
        return;
    }
    if (a->rc < 0) {
        run_finish(run, a->rc);
        return;
    }
    if (run->op->kind == OP_OBSERVE) {
        end_observe(run, a, now);
        return;
    }
    rc = result_read(d, run->device, run->op, a, now);
    if (rc == ERR_OK)
        result_learn(d, run->device, run->op, now);
    run_finish(run, rc);
}

static void answered(void *ctx, const struct answer *a, uint64_t now)
{
    struct run *run = ctx;
    struct domain *d = run->domain;
    struct device *dev = run->device;

    run->exchange = NULL;
    dev->rare->running--;
    if (run->halting)
        return;
    run->op->result.retransmissions += a->retransmissions;
    if (a->rc == ERR_OK) {
        device_seen(d, dev, now);
        if (a->szx < 7)
            dev->szx = a->szx;
        if (select_format_next(run, a)) {
            blob_free(a->blob);
            manage_pump(d, dev, now);
            return;
        }
        if (turns_to_attributes(run, a)) {
            blob_free(a->blob);
            manage_pump(d, dev, now);
            return;
        }
        if (PDU_CODE_CLASS(a->code) == 2)
            select_format_accepted(run);
    }
    end_run(run, a, now);
    manage_pump(d, dev, now);
}

void manage_fire(void *ctx, struct timer *t, uint64_t now)
{
    struct domain *d = ctx;
    struct run *run = mem_container(t, struct run, limit);
    struct device *dev = run->device;
    static const struct answer silence = {.rc = ERR_TIMEOUT, .format = FORMAT_NONE};

    run_halt(run, now);
    end_run(run, &silence, now);
    manage_pump(d, dev, now);
}

/* ---- all of a device ------------------------------------------------------------------------- */

void manage_rewind(struct domain *d, struct device *dev, uint64_t now)
{
    (void)d;
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->exchange == NULL)
            continue;
        run_halt(run, now);
        if (!is_idempotent(run->op))
            run_finish(run, ERR_TIMEOUT);
    }
}

void manage_end_all(struct domain *d, struct device *dev, int rc, uint64_t now)
{
    (void)d;
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        run_halt(run, now);
        run_finish(run, rc);
    }
}

void manage_orphan(struct domain *d, struct device *dev, uint64_t now)
{
    manage_rewind(d, dev, now);
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->own) { /* what it makes follows by itself */
            run_finish(run, ERR_CANCELLED);
            continue;
        }
        timer_stop(d->limits, &run->limit);
        list_del(&run->node);
        list_push(&d->orphans, &run->node);
        dev->rare->run_count--;
        d->run_count--;
    }
}

void manage_stray(struct domain *d, struct op *op)
{
    struct run *run = mem_new(sizeof(*run));

    if (run == NULL) {
        manage_complete(d, op, ERR_NOMEM);
        return;
    }
    run->op = op;
    list_push(&d->orphans, &run->node);
}

void manage_rehome(struct domain *d, uint64_t now)
{
    struct list *node;

    while ((node = list_pop(&d->orphans)) != NULL) {
        struct run *run = list_item(node, struct run, node);
        struct op *op = run->op;

        mem_free(run);
        manage_op(d, op, now);
    }
}

void manage_detach(struct domain *d, struct device *dev)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        timer_stop(d->limits, &run->limit);
        run->domain = NULL;
        run->device = NULL;
    }
    d->run_count -= dev->rare->run_count;
}

void manage_adopt(struct domain *d, struct device *dev, uint64_t now)
{
    (void)now;
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        run->domain = d;
        run->device = dev;
        if (run->op->deadline != 0)
            timer_start(d->limits, &run->limit, run->op->deadline);
    }
    d->run_count += dev->rare->run_count;
}

/* ---- entry ----------------------------------------------------------------------------------- */

static void op_status(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    struct registration r;

    device_snapshot(d, dev, now, &r);
    op->result.registration = registration_copy(&r);
    manage_complete(d, op, op->result.registration != NULL ? ERR_OK : ERR_NOMEM);
}

static void op_observe_list(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    (void)now;
    manage_complete(d, op, report_list(dev, op));
}

static void op_deregister(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    int rc = removal_start(d, dev, EVENT_DEREGISTERED, op, now);

    if (rc < 0)
        manage_complete(d, op, rc);
}

typedef void (*local_fn)(struct domain *d, struct device *dev, struct op *op, uint64_t now);
static const local_fn locals[OP_KIND_COUNT] = {
    [OP_STATUS] = op_status,
    [OP_OBSERVE_LIST] = op_observe_list,
    [OP_DEREGISTER] = op_deregister,
};

/* Before the first request. */
static int prepare(struct run *run)
{
    const struct op *op = run->op;
    struct report *r;

    if (op->kind == OP_OBSERVE && op->text != NULL && op->text[0] != '\0' &&
        !report_in_query(run->device))
        run->step = RUN_ATTACH;
    if (op->kind != OP_OBSERVE_CANCEL)
        return ERR_OK;
    r = report_find(run->device, op->token);
    if (r == NULL)
        return ERR_NOTFOUND;
    /* What crosses the request on its way is not told any more, and rejected. */
    report_silence(run->domain, r);
    return ERR_OK;
}

int manage_remake(struct domain *d, struct device *dev, struct op *op, uint64_t wanted)
{
    struct run *run;
    int rc = run_add(d, dev, op, &run);

    if (rc < 0)
        return rc;
    run->own = true;
    run->wanted = wanted;
    dev->rare->remaking = true;
    return prepare(run);
}

void manage_op(struct domain *d, struct op *op, uint64_t now)
{
    struct device *dev = device_by_endpoint(d, view_str(op->endpoint));
    struct run *run = NULL;
    int rc;

    if (dev == NULL) {
        d->ops->op_elsewhere(d->ctx, op);
        return;
    }
    if (op->kind == OP_OBSERVE && op->token != 0) {
        wanted_inherit(d, dev, op, now);
        return;
    }
    rc = check_op(d, dev, op, now);
    if (rc == ERR_OK && locals[op->kind] != NULL) {
        locals[op->kind](d, dev, op, now);
        return;
    }
    if (rc == ERR_OK)
        rc = run_add(d, dev, op, &run);
    if (rc != ERR_OK) {
        if (rc == ERR_FULL)
            counter_add(d->counters, COUNTER_ops_refused, 1);
        manage_complete(d, op, rc);
        device_trim(dev);
        return;
    }
    rc = prepare(run);
    if (rc < 0)
        run_finish(run, rc);
    else if (op->deadline != 0)
        timer_start(d->limits, &run->limit, op->deadline);
    manage_pump(d, dev, now);
}
