#include "lwm2m/run.h"

/* Operations: one op becomes one request to the device, or several when it refuses formats. */

#define BODY_MAX ((size_t)64 << 20)

void manage_complete(struct domain *d, struct op *op, int rc)
{
    counter_add(d->counters, COUNTER_ops_completed, 1);
    op_complete(op, rc);
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
    if (composite_subject(run)->kind == OP_CREATE)
        env.use = CONTENT_CREATE;
    else
        env.use = composite_subject(run)->kind == OP_WRITE_UPDATE ? CONTENT_UPDATE : CONTENT_WRITE;
    return content_encode(format, &env, composite_subject(run)->values, base, body);
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
    if (composite_subject(run)->body == NULL)
        return fill_body(run, &composite_subject(run)->path, out, body, now);
    out->format = run->candidates[run->candidate];
    out->blob = composite_subject(run)->body;
    return ERR_OK;
}

static int fill_attributes(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    (void)body;
    (void)now;
    out->query = view_str(composite_subject(run)->text);
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

    if (r == NULL)
        return ERR_NOTFOUND;
    out->observe = 1;
    out->token = r->relation.token;
    out->path = manage_path(run->domain, run->device, &r->path);
    if (!r->attached)
        out->query = view_str(r->attributes);
    out->accept = r->format;
    return report_fill_names(run->domain, r, out, body, now);
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
    [OP_READ_COMPOSITE] = {PDU_FETCH, composite_fetch},
    [OP_WRITE_COMPOSITE] = {PDU_IPATCH, composite_patch},
    [OP_OBSERVE] = {PDU_GET, fill_observe},
    [OP_OBSERVE_COMPOSITE] = {PDU_FETCH, composite_observe},
    [OP_OBSERVE_CANCEL] = {PDU_GET, fill_cancel},
};

static int fill_probe(struct run *run, struct outgoing *out, struct buf *body, uint64_t now)
{
    struct path path;

    (void)body;
    (void)now;
    if (settle_probe_path(run, &path) == 1)
        out->accept = FORMAT_LINK;
    out->path = manage_path(run->domain, run->device, &path);
    return ERR_OK;
}

/* What is asked instead of the operation itself. */
static const struct row steps[] = {
    [RUN_ATTACH] = {PDU_PUT, fill_attributes},
    [RUN_PROBE] = {PDU_GET, fill_probe},
    [RUN_VERIFY] = {PDU_GET, fill_nothing},
};

static const struct row *row_of(const struct run *run)
{
    if (run->step == RUN_PART)
        return &rows[composite_subject(run)->kind];
    return run->step == RUN_ITSELF ? &rows[run->op->kind] : &steps[run->step];
}

/* ---- sending --------------------------------------------------------------------------------- */

static void answered(void *ctx, const struct answer *a, uint64_t now);

/* That of the attempt, as the store knows it; of a wanted observation its own. */
static uint64_t choose_token(struct run *run)
{
    if (run->step == RUN_ITSELF && run->op->durable)
        return op_attempt_last(run->op)->token;
    if (run->step == RUN_ITSELF && run->wanted != 0)
        return run->wanted;
    return manage_token(run->domain, run->device);
}

int manage_transmit(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    int prepared = composite_prepare(run);
    const struct row *row = row_of(run);
    struct op *op = composite_subject(run);
    struct flow flow;
    struct outgoing out = {
        .flow = &flow,
        .profile = device_profile(d, dev),
        .code = row->method,
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

    if (prepared < 0)
        return prepared;
    arena_reset(d->arena);
    if (run->candidate_count == 0)
        select_format_start(run, now);
    out.path = manage_path(d, dev, &op->path);
    device_flow(d, dev, &flow);
    run->token = choose_token(run);
    out.token = run->token;
    buf_init(&body, BODY_MAX);
    rc = row->fill(run, &out, &body, now);
    if (rc == ERR_OK && out.path.p == NULL)
        rc = ERR_NOMEM;
    if (rc == ERR_OK)
        rc = engine_request(d->engine, &out, now, &run->exchange);
    buf_fini(&body);
    if (rc == ERR_FORMAT && composite_splits(run))
        return manage_transmit(run, now);
    if (rc < 0)
        return rc;
    queue_take_slot(run);
    run->asked_ms = now;
    run->peer = dev->peer;
    if (run->op->result.sent_ms == 0)
        run->op->result.sent_ms = domain_unix_ms(d, now);
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
        queue_finish(run, ERR_OK);
        wanted_next(d, dev);
        return true;
    }
    if (r != NULL && r->state == REPORT_ACTIVE) {
        queue_finish(run, report_result(r, run->op));
        return true;
    }
    run->wanted = r != NULL ? r->relation.token : 0;
    if (r == NULL && dev->rare->report_count >= d->cfg.observation_limit) {
        queue_finish(run, ERR_LIMIT);
        return true;
    }
    return false;
}

void manage_send(struct run *run, uint64_t now)
{
    int rc;

    if (run->op->durable) {
        operation_send(run, now);
        return;
    }
    if (report_is_made_by(run->op) && settle_observe(run))
        return;
    rc = manage_transmit(run, now);
    if (rc < 0)
        queue_finish(run, rc);
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
    struct report_terms terms = {.token = run->token,
                                 .format = composite_is(run->op) ? composite_accept(run)
                                                                 : run->candidates[run->candidate],
                                 .attached = run->attached};
    uint64_t wanted = run->wanted;
    bool own = run->own;
    int rc = result_read(d, dev, run->op, a, now);
    struct op *op = queue_remove(run);

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
    struct op *op = queue_remove(run);
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

/* The last part was answered. */
static void end_parts(struct run *run, const struct answer *a, uint64_t now)
{
    int rc = composite_result(run);

    if (run->op->durable)
        settle_parts(run, rc, a->code, now);
    else
        queue_finish(run, rc);
}

/* The device says nothing: it is asked again when it is heard. If it has heard us after all, it has
 * the observation under this token. */
static void end_as_wish(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;
    struct device *dev = run->device;
    uint64_t token = run->token != 0 && run->step == RUN_ITSELF ? run->token : manage_token(d, dev);

    report_wish(d, dev, queue_remove(run), token, now);
}

static void end_run(struct run *run, const struct answer *a, uint64_t now)
{
    struct domain *d = run->domain;
    int rc;

    if (run->step == RUN_PART && a->rc == ERR_OK) {
        end_parts(run, a, now);
        return;
    }
    if (run->op->durable) {
        settle_answer(run, a, now);
        return;
    }
    if (run->op->kind == OP_OBSERVE_CANCEL) {
        end_cancel(run, a, now);
        return;
    }
    if (a->rc == ERR_TIMEOUT && report_is_made_by(run->op) && !run->own) {
        end_as_wish(run, now);
        return;
    }
    if (a->rc < 0) {
        queue_finish(run, a->rc);
        return;
    }
    if (report_is_made_by(run->op)) {
        end_observe(run, a, now);
        return;
    }
    rc = result_read(d, run->device, run->op, a, now);
    if (rc == ERR_OK)
        result_learn(d, run->device, run->op, now);
    queue_finish(run, rc);
}

/* A device that has just woken may have a new address behind its NAT, or not listen yet: what it
 * rejects or leaves without an answer is sent once more. */
static bool is_tried_again(struct run *run, const struct answer *a, uint64_t now)
{
    const struct device *dev = run->device;
    bool again = a->rc == ERR_RESET || (a->rc == ERR_TIMEOUT && queue_is_idempotent(run->op) &&
                                        presence_lasts(run->domain, dev, now));

    if ((dev->flags & DEVICE_FRESH) == 0 || run->retried || run->op->durable)
        return false;
    run->retried = again;
    return again;
}

/* True when the same operation makes another request. */
static bool goes_on(struct run *run, const struct answer *a, uint64_t now)
{
    bool part = run->step == RUN_PART;

    if (a->rc < 0)
        return is_tried_again(run, a, now);
    if (select_format_next(run, a) || turns_to_attributes(run, a)) {
        blob_free(a->blob);
        return true;
    }
    if (PDU_CODE_CLASS(a->code) == 2 && (part || run->step == RUN_ITSELF))
        select_format_accepted(run);
    if (!composite_goes_on(run, a, now))
        return false;
    if (!part) /* the answer to a part has been taken */
        blob_free(a->blob);
    return true;
}

static void heard(struct domain *d, struct device *dev, const struct answer *a, uint64_t asked_ms,
                  uint64_t now)
{
    presence_answered(d, dev, asked_ms, now);
    device_seen(d, dev, now);
    if (a->szx < 7)
        dev->szx = a->szx;
}

static void answered(void *ctx, const struct answer *a, uint64_t now)
{
    struct run *run = ctx;
    struct domain *d = run->domain;
    struct device *dev = run->device;
    uint64_t asked_ms = run->asked_ms;
    bool silent = a->rc == ERR_TIMEOUT && !run->halting;

    run->exchange = NULL;
    queue_give_slot(run);
    if (run->halting)
        return;
    run->op->result.retransmissions += a->retransmissions;
    if (run->op->durable && run->step == RUN_ITSELF)
        operation_note(run, run->token, a, now);
    if (a->rc == ERR_OK)
        heard(d, dev, a, asked_ms, now);
    if (!goes_on(run, a, now))
        end_run(run, a, now);
    if (silent)
        presence_silent(d, dev, asked_ms, now);
    queue_pump(d, dev, now);
}

void manage_silence(struct run *run, int rc, uint64_t now)
{
    struct answer silence = {.rc = rc, .format = FORMAT_NONE};

    end_run(run, &silence, now);
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
    [OP_CANCEL] = operation_cancel,
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
    int rc = queue_add(d, dev, op, &run);

    if (rc < 0)
        return rc;
    run->own = true;
    run->wanted = wanted;
    dev->rare->remaking = true;
    return prepare(run);
}

/* Kinds that may outlive us; what is observed is a wish in any case. */
static bool may_be_durable(const struct op *op)
{
    return rows[op->kind].method != 0 && !report_is_made_by(op) && op->kind != OP_OBSERVE_CANCEL;
}

static int check(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    int rc = check_op(d, dev, op, now);

    if (rc < 0 || locals[op->kind] != NULL)
        return rc;
    op->durable = op->durable && may_be_durable(op);
    if (op->durable && op->body != NULL)
        return ERR_TOOLARGE;
    if (op->durable && queue_is_ending(dev))
        return ERR_BUSY;
    return op->durable || presence_awake(dev) ? ERR_OK : ERR_ASLEEP;
}

/* What can be done about observations while the device sleeps: a wish is noted, and one that ends
 * is rejected with the next notification. False: it is something else. */
static bool is_done_asleep(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    struct report *r;

    if (report_is_made_by(op)) {
        report_wish(d, dev, op, manage_token(d, dev), now);
        return true;
    }
    if (op->kind != OP_OBSERVE_CANCEL)
        return false;
    r = report_find(dev, op->token);
    if (r == NULL) {
        manage_complete(d, op, ERR_NOTFOUND);
        return true;
    }
    report_end(d, r, ERR_CANCELLED, NULL, now);
    report_unstore(d, op->token, op);
    device_trim(dev);
    return true;
}

/* The submitter is told of the equal one that waits. */
static bool joins(struct domain *d, const struct device *dev, struct op *op)
{
    const struct op *twin = queue_twin(dev, op);

    if (twin == NULL)
        return false;
    counter_add(d->counters, COUNTER_ops_joined, 1);
    op->id = twin->id;
    op->state = twin->state;
    manage_complete(d, op, ERR_EXISTS);
    return true;
}

static void refuse(struct domain *d, struct device *dev, struct op *op, int rc)
{
    if (rc == ERR_QUEUE)
        counter_add(d->counters, COUNTER_ops_refused, 1);
    manage_complete(d, op, rc);
    device_trim(dev);
}

static void start(struct domain *d, struct run *run, uint64_t now)
{
    struct device *dev = run->device;
    int rc = prepare(run);

    if (rc < 0) {
        queue_finish(run, rc);
    } else {
        queue_arm(run, now);
        if (run->op->durable)
            operation_accept(run, now);
    }
    queue_pump(d, dev, now);
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
    if (report_is_made_by(op) && op->token != 0) {
        wanted_inherit(d, dev, op, now);
        return;
    }
    if (op->durable && op->stored) {
        operation_arrive(d, dev, op, now);
        return;
    }
    rc = check(d, dev, op, now);
    if (rc == ERR_OK && locals[op->kind] != NULL) {
        locals[op->kind](d, dev, op, now);
        return;
    }
    if (rc == ERR_ASLEEP && is_done_asleep(d, dev, op, now))
        return;
    if (rc == ERR_OK && joins(d, dev, op))
        return;
    if (rc == ERR_OK)
        rc = queue_add(d, dev, op, &run);
    if (rc == ERR_OK)
        start(d, run, now);
    else
        refuse(d, dev, op, rc);
}
