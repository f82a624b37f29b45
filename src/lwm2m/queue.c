#include "lwm2m/run.h"

/*
 * The operations of a device, in the order in which they go to it: one on the wire at a time
 * (NSTART), nothing while it sleeps. A durable one that waits for another attempt holds back the
 * durable ones behind it, so that they arrive in order.
 */

/* ---- coming and going ------------------------------------------------------------------------ */

static bool is_under_way(const struct run *run)
{
    return run->slot || run->exchange != NULL || run->job != NULL;
}

/* What the store has already comes back in any order: ids rise with age. */
static bool is_older(const struct op *op, const struct op *other)
{
    return op->stored && other->durable && memcmp(op->id.b, other->id.b, sizeof(op->id.b)) < 0;
}

static bool goes_before(const struct op *op, const struct run *waiting)
{
    const struct op *other = waiting->op;

    if (is_under_way(waiting) || op->priority < other->priority)
        return false;
    return op->priority > other->priority || is_older(op, other);
}

static void enlist(struct device_rare *rare, struct run *run)
{
    list_each(&rare->runs, it)
    {
        if (goes_before(run->op, list_item(it, struct run, node))) {
            list_push(it, &run->node);
            return;
        }
    }
    list_push(&rare->runs, &run->node);
}

static bool has_room(const struct domain *d, const struct device_rare *rare, const struct op *op)
{
    if (op->stored)
        return true;
    return rare->run_count < d->cfg.op_limit &&
           (!op->durable || d->durable_count < d->cfg.durable_limit);
}

int queue_add(struct domain *d, struct device *dev, struct op *op, struct run **ret_run)
{
    struct device_rare *rare = device_rare(dev);
    struct run *run;

    if (rare == NULL)
        return ERR_NOMEM;
    if (!has_room(d, rare, op))
        return ERR_QUEUE;
    run = mem_new(sizeof(*run));
    if (run == NULL)
        return ERR_NOMEM;
    run->domain = d;
    run->device = dev;
    run->op = op;
    run->registration_id = dev->id;
    run->peer = dev->peer;
    list_init(&run->tokens);
    enlist(rare, run);
    rare->run_count++;
    d->run_count++;
    d->durable_count += op->durable;
    *ret_run = run;
    return ERR_OK;
}

void queue_unlink(struct run *run)
{
    struct domain *d = run->domain;
    struct device_rare *rare = run->device->rare;

    timer_stop(d->limits, &run->limit);
    queue_give_slot(run);
    list_del(&run->node);
    rare->run_count--;
    d->run_count--;
    d->durable_count -= run->op->durable;
    if (run->own)
        rare->remaking = false;
    run->device = NULL;
}

void queue_free(struct run *run)
{
    composite_free(run->parts);
    mem_free(run);
}

struct op *queue_remove(struct run *run)
{
    struct op *op = run->op;

    queue_unlink(run);
    queue_free(run);
    return op;
}

void queue_finish(struct run *run, int rc)
{
    struct domain *d = run->domain;

    manage_complete(d, queue_remove(run), rc);
}

void queue_halt(struct run *run, uint64_t now)
{
    if (run->exchange == NULL)
        return;
    run->halting = true;
    engine_cancel(run->domain->engine, run->exchange, now);
    run->halting = false;
}

void queue_take_slot(struct run *run)
{
    if (!run->slot)
        run->device->rare->running++;
    run->slot = true;
}

void queue_give_slot(struct run *run)
{
    if (run->slot)
        run->device->rare->running--;
    run->slot = false;
}

struct run *queue_find(const struct device *dev, const struct op_id *id)
{
    if (dev->rare == NULL)
        return NULL;
    list_each(&dev->rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        if (!run->own && op_id_eq(&run->op->id, id))
            return run;
    }
    return NULL;
}

/* ---- equal ones ------------------------------------------------------------------------------ */

static bool may_join(const struct op *op)
{
    return op->durable && op->key == NULL &&
           (op->kind == OP_WRITE_REPLACE || op->kind == OP_WRITE_UPDATE ||
            op->kind == OP_WRITE_ATTRIBUTES || op->kind == OP_READ);
}

static bool same_values(const struct batch *a, const struct batch *b)
{
    size_t n = a != NULL ? batch_size(a) : 0;

    if (n != (b != NULL ? batch_size(b) : 0))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct record *x = batch_at(a, i), *y = batch_at(b, i);

        if (!path_eq(&x->path, &y->path) || !value_eq(&x->value, &y->value) ||
            x->timed != y->timed || x->time_ms != y->time_ms || x->prefix != 0 || y->prefix != 0)
            return false;
    }
    return true;
}

/* Goes as early, and lasts as long but for an eighth: the same request made again, with the same
 * time to live, always ends a little later. */
static bool is_as_good(const struct op *first, const struct op *op)
{
    int64_t slack_ms = (op->expires_ms - op->created_ms) / 8;

    return first->priority >= op->priority &&
           (first->expires_ms == 0 ||
            (op->expires_ms != 0 && first->expires_ms >= op->expires_ms - slack_ms));
}

static bool is_equal(const struct op *first, const struct op *op)
{
    return first->durable && first->stored && first->state == OP_STATE_QUEUED &&
           first->kind == op->kind && path_eq(&first->path, &op->path) &&
           first->format == op->format && view_eq(view_str(first->text), view_str(op->text)) &&
           same_values(first->values, op->values) && is_as_good(first, op);
}

const struct op *queue_twin(const struct device *dev, const struct op *op)
{
    const struct op *twin = NULL;

    if (dev->rare == NULL || !may_join(op))
        return NULL;
    list_each(&dev->rare->runs, it)
    {
        const struct run *run = list_item(it, struct run, node);

        if (!is_under_way(run) && run->canceller == NULL && is_equal(run->op, op))
            twin = run->op;
        else if (twin != NULL && settle_overlap(run->op, op))
            twin = NULL;
    }
    return twin;
}

/* ---- whose turn it is ------------------------------------------------------------------------ */

bool queue_is_ending(const struct device *dev)
{
    return dev->rare != NULL && dev->rare->job != NULL && dev->rare->job->kind == JOB_REMOVE;
}

/* A device in queue mode may have just woken: its Update is answered before it is asked anything.
 */
bool queue_is_held(const struct device *dev)
{
    const struct job *job = dev->rare != NULL ? dev->rare->job : NULL;

    if (job == NULL)
        return false;
    return queue_is_ending(dev) ||
           (job->kind == JOB_UPDATE && ((dev->flags & DEVICE_QUEUE) != 0 || update_moves(job)));
}

/* Another operation is asking for the observation that this one wants, or the store has still to
 * take it: nobody is told before. */
static bool is_asked_for(const struct run *run)
{
    const struct report *r = report_is_made_by(run->op) ? report_like(run->device, run->op) : NULL;

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

static struct run *next_waiting(struct device_rare *rare, uint64_t now)
{
    bool blocked = rare->resume_at > now; /* for durable ones */

    list_each(&rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->slot || run->exchange != NULL || run->parked || is_asked_for(run))
            continue;
        if (run->job != NULL) /* the store has it in a moment */
            return NULL;
        if (run->op->durable && run->not_before > now)
            blocked = true;
        if (!run->op->durable || !blocked)
            return run;
    }
    return NULL;
}

static bool may_send(const struct domain *d, const struct device *dev)
{
    return dev->rare != NULL && !queue_is_held(dev) && presence_awake(dev) &&
           dev->rare->running < device_profile(d, dev)->nstart;
}

bool queue_is_next(struct run *run, uint64_t now)
{
    return may_send(run->domain, run->device) && next_waiting(run->device->rare, now) == run;
}

void queue_pump(struct domain *d, struct device *dev, uint64_t now)
{
    struct run *run;

    while (may_send(d, dev) && (run = next_waiting(dev->rare, now)) != NULL)
        manage_send(run, now);
    device_trim(dev);
}

void queue_pump_soon(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare != NULL && !list_empty(&dev->rare->runs))
        timer_start(d->expiry, &dev->timer, now + 1);
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t expiry_due(const struct run *run, uint64_t now)
{
    int64_t left;

    if (!run->op->durable || run->op->expires_ms == 0 || run->parked || is_under_way(run))
        return UINT64_MAX;
    left = run->op->expires_ms - domain_unix_ms(run->domain, now);
    return left > 0 ? now + (uint64_t)left : now;
}

void queue_arm(struct run *run, uint64_t now)
{
    const struct op *op = run->op;
    uint64_t due = UINT64_MAX;

    if (op->deadline != 0 && (!op->durable || op->stored))
        due = op->deadline;
    if (op->durable) {
        due = earlier(due, expiry_due(run, now));
        if (run->not_before > now && !is_under_way(run))
            due = earlier(due, run->not_before);
        if (run->parked)
            due = earlier(due, run->until);
    }
    if (due == UINT64_MAX)
        timer_stop(run->domain->limits, &run->limit);
    else
        timer_start(run->domain->limits, &run->limit, due);
}

static void fire_durable(struct run *run, uint64_t now)
{
    if (run->op->stored && run->op->deadline != 0 && run->op->deadline <= now)
        operation_release(run, now); /* run->op is another one now */
    if (run->parked && run->until <= now) {
        operation_settle(run, OP_STATE_UNKNOWN, ERR_UNKNOWN, now);
        return;
    }
    if (!run->parked && !is_under_way(run) && operation_expired(run, now)) {
        if (run->op->state == OP_STATE_QUEUED)
            operation_settle(run, OP_STATE_EXPIRED, ERR_EXPIRED, now);
        else
            operation_settle(run, OP_STATE_UNKNOWN, ERR_UNKNOWN, now);
        return;
    }
    queue_arm(run, now);
}

void queue_fire(void *ctx, struct timer *t, uint64_t now)
{
    struct domain *d = ctx;
    struct run *run = mem_container(t, struct run, limit);
    struct device *dev = run->device;

    if (run->place == RUN_SETTLING) {
        operation_store(run, now);
        return;
    }
    if (run->place == RUN_LATE) {
        late_free(run);
        return;
    }
    if (run->op->durable) {
        fire_durable(run, now);
    } else {
        queue_halt(run, now);
        manage_silence(run, ERR_TIMEOUT, now);
    }
    queue_pump(d, dev, now);
}

/* ---- all of a device ------------------------------------------------------------------------- */

bool queue_is_idempotent(const struct op *op)
{
    return op->kind != OP_EXECUTE && op->kind != OP_CREATE;
}

void queue_rewind(struct domain *d, struct device *dev, uint64_t now)
{
    (void)d;
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->exchange == NULL)
            continue;
        queue_halt(run, now);
        if (run->op->durable)
            run->open = run->step == RUN_ITSELF;
        else if (!queue_is_idempotent(run->op))
            queue_finish(run, ERR_TIMEOUT);
    }
}

void queue_end_all(struct domain *d, struct device *dev, int rc, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        queue_halt(run, now);
        if (run->op->durable)
            operation_drop(run, rc);
        else
            queue_finish(run, rc);
    }
    late_leave(d, dev);
}

void queue_sleep(struct domain *d, struct device *dev, uint64_t now)
{
    (void)d;
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (!run->op->durable && run->exchange == NULL)
            queue_finish(run, run->own ? ERR_CANCELLED : ERR_ASLEEP);
        else if (run->op->durable)
            operation_part(run, now);
    }
}

void queue_orphan(struct domain *d, struct device *dev, uint64_t now)
{
    queue_rewind(d, dev, now);
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->own) { /* what it makes follows by itself */
            queue_finish(run, ERR_CANCELLED);
            continue;
        }
        if (run->op->durable && operation_leave(run) == NULL)
            continue;
        queue_unlink(run);
        list_push(&d->orphans, &run->node);
    }
    late_leave(d, dev);
}

void queue_stray(struct domain *d, struct op *op)
{
    struct run *run = mem_new(sizeof(*run));

    if (run == NULL) {
        manage_complete(d, op, ERR_NOMEM);
        return;
    }
    run->op = op;
    list_push(&d->orphans, &run->node);
}

void queue_rehome(struct domain *d, uint64_t now)
{
    struct list *node;

    while ((node = list_pop(&d->orphans)) != NULL) {
        struct run *run = list_item(node, struct run, node);
        struct op *op = run->op;

        queue_free(run);
        manage_op(d, op, now);
    }
}

void queue_detach(struct domain *d, struct device *dev)
{
    if (dev->rare == NULL)
        return;
    list_each_safe(&dev->rare->runs, it, tmp)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->op->durable && operation_leave(run) == NULL)
            continue;
        timer_stop(d->limits, &run->limit);
        d->run_count--;
        d->durable_count -= run->op->durable;
        run->domain = NULL;
        run->device = NULL;
    }
    late_detach(d, dev);
}

void queue_adopt(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        run->domain = d;
        run->device = dev;
        d->run_count++;
        d->durable_count += run->op->durable;
        if (run->op->durable)
            late_await_all(run);
        queue_arm(run, now);
    }
    late_adopt(d, dev, now);
}
