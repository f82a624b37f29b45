#include "lwm2m/run.h"

/*
 * Operations that outlive us. The store hears of each step before it is taken: of a new one before
 * anybody is told, of an attempt and its token before the datagram leaves, of the outcome before it
 * is an event. What is in memory only repeats what the store says of devices that are here, so it
 * may be dropped at any time; it must never be in two places, which the store guards as well: it
 * takes no step back and none past the end.
 */

#define RETRY_MS 1000u        /* after the store has refused or failed */
#define LOAD_SPREAD_MS 10000u /* after a restart not all devices are asked at once */

static const struct op_id no_id;

/* Of those that nobody waits for. */
static void forget(struct op *op)
{
    op_free(op);
}

/* Whoever wanted to cancel it learns what has become of that. */
static void answer_canceller(struct run *run, int rc)
{
    struct op *op = run->canceller;

    if (op == NULL)
        return;
    run->canceller = NULL;
    op->state = run->op->state;
    manage_complete(run->domain, op, rc);
}

static struct txn *make_txn(enum txn_kind kind, struct op *op, int *ret_rc)
{
    struct txn *t = txn_new(kind);
    struct batch *values = op->result.values;

    if (t == NULL) {
        *ret_rc = ERR_NOMEM;
        return NULL;
    }
    *ret_rc = operation_of_op(op, &t->operation);
    if (*ret_rc == ERR_LIMIT && values != NULL) { /* the outcome matters more */
        op->result.values = NULL;
        *ret_rc = operation_of_op(op, &t->operation);
        op->result.values = values;
    }
    if (*ret_rc == ERR_OK)
        return t;
    txn_free(t);
    return NULL;
}

static int submit(struct run *run, enum job_kind kind, enum txn_kind what)
{
    struct job *job = job_new(kind, run->registration_id);
    struct txn *t;
    int rc = ERR_NOMEM;

    if (job == NULL)
        return rc;
    job->run = run;
    run->job = job;
    t = make_txn(what, run->op, &rc);
    if (t != NULL)
        rc = job_submit(run->domain, job, t);
    if (rc < 0) {
        run->job = NULL;
        job_free(job);
    }
    return rc;
}

/* The operation as the store has it now becomes the event. */
static void tell(struct domain *d, uint64_t registration_id, struct txn *t, uint64_t now)
{
    struct operation *o = t->operation;
    struct event *e;

    if (o == NULL)
        return;
    e = event_new(EVENT_OPERATION, o->endpoint, domain_unix_ms(d, now));
    if (e == NULL)
        return;
    e->registration_id = registration_id;
    e->path = o->path;
    e->rc = o->rc;
    e->operation = o;
    t->operation = NULL;
    domain_emit(d, e);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static int begin_attempt(struct run *run, uint64_t now)
{
    struct op_attempt attempt = {
        .token = manage_token(run->domain, run->device),
        .sent_ms = domain_unix_ms(run->domain, now),
        .transport = run->device->transport,
    };
    int rc = op_attempt_add(run->op, &attempt);

    if (rc == ERR_OK)
        run->op->state = OP_STATE_SENT;
    return rc;
}

static void drop_attempt(struct op *op)
{
    op->attempt_count--;
    if (op->attempt_count == 0)
        op->state = OP_STATE_QUEUED;
}

void operation_undo(struct run *run)
{
    queue_give_slot(run);
    drop_attempt(run->op);
}

void operation_note(struct run *run, uint64_t token, const struct answer *a, uint64_t now)
{
    struct op *op = run->op;
    size_t kept = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX;

    for (size_t i = 0; i < kept; i++) {
        struct op_attempt *attempt = &op->attempts[i];

        if (attempt->token != token)
            continue;
        attempt->retransmissions += a->retransmissions;
        if (a->rc == ERR_OK)
            attempt->code = a->code;
        if (a->rc == ERR_OK || a->rc == ERR_RESET)
            attempt->answered_ms = domain_unix_ms(run->domain, now);
    }
}

bool operation_expired(const struct run *run, uint64_t now)
{
    return run->op->expires_ms != 0 && run->op->expires_ms <= domain_unix_ms(run->domain, now);
}

/* ---- a new one ------------------------------------------------------------------------------- */

static void name(struct domain *d, struct op *op, uint64_t now)
{
    if (op_id_eq(&op->id, &no_id))
        op_id_new(d->random, domain_unix_ms(d, now), &op->id);
    if (op->created_ms == 0)
        op->created_ms = domain_unix_ms(d, now);
}

void operation_accept(struct run *run, uint64_t now)
{
    int rc = ERR_OK;

    name(run->domain, run->op, now);
    run->op->state = OP_STATE_QUEUED;
    /* When it is its turn one commit is enough. */
    if (!operation_expired(run, now) && queue_is_next(run, now)) {
        rc = begin_attempt(run, now);
        queue_take_slot(run);
    }
    if (rc == ERR_OK)
        rc = submit(run, JOB_ACCEPT, TXN_PUT_OPERATION);
    if (rc < 0)
        queue_finish(run, rc);
}

/* What had the key first answers in place of this one. */
static void answer_first(struct op *op, const struct txn *t)
{
    struct op *first;

    if (t->carried_operation_count == 0 || operation_to_op(t->carried_operations[0], &first) < 0)
        return;
    op->id = first->id;
    op->state = first->state;
    op->result.coap_code = first->result.coap_code;
    op->result.format = first->result.format;
    op->result.settled_ms = first->result.settled_ms;
    op->result.late = first->result.late;
    op->result.location = first->result.location;
    op->result.has_location = first->result.has_location;
    op->result.values = first->result.values;
    first->result.values = NULL;
    op->result.text = first->result.text;
    first->result.text = NULL;
    op_free(first);
}

/* Its device has gone in the meantime: it goes after it. */
static void follow(struct domain *d, struct job *job, int rc)
{
    struct op *op = job->op;

    if (rc < 0) {
        answer_first(op, job->txn);
        manage_complete(d, op, rc);
        return;
    }
    op->stored = true;
    if (op->attempt_count > 0)
        drop_attempt(op);
    queue_stray(d, op);
}

static void sends_or_waits(struct run *run, uint64_t now);

void operation_accept_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct run *run = job->run;
    struct device *dev = run != NULL ? run->device : NULL;
    uint64_t id = job->id;

    if (run == NULL) {
        follow(d, job, rc);
        if (rc == ERR_OK)
            tell(d, id, job->txn, now);
        job_free(job);
        return;
    }
    run->job = NULL;
    if (rc < 0) {
        answer_canceller(run, ERR_NOTFOUND);
        answer_first(run->op, job->txn);
        queue_finish(run, rc);
    } else {
        run->op->stored = true;
        tell(d, id, job->txn, now);
        sends_or_waits(run, now);
    }
    job_free(job);
    queue_pump(d, dev, now);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void wait_a_little(struct run *run, uint64_t now)
{
    run->not_before = now + RETRY_MS;
    queue_arm(run, now);
}

static bool is_passing(int rc)
{
    return rc == ERR_FULL || rc == ERR_NOMEM || rc == ERR_EXISTS;
}

/* The store knows of the attempt. */
static void transmit(struct run *run, uint64_t now)
{
    int rc;

    settle_sending(run);
    rc = manage_transmit(run, now);
    if (rc == ERR_OK) {
        if (op_attempt_last(run->op) != NULL)
            op_attempt_last(run->op)->transport = run->device->transport;
        queue_arm(run, now);
        return;
    }
    operation_undo(run);
    if (is_passing(rc))
        wait_a_little(run, now);
    else
        operation_settle(
            run, run->op->state == OP_STATE_QUEUED ? OP_STATE_FAILED : OP_STATE_UNKNOWN, rc, now);
}

/* The device may have fallen asleep or be moving by now. */
static void sends_or_waits(struct run *run, uint64_t now)
{
    struct op *canceller = run->canceller;

    run->canceller = NULL;
    operation_part(run, now);
    if (run->slot && !queue_is_held(run->device) && presence_awake(run->device)) {
        transmit(run, now);
        return;
    }
    if (run->slot)
        operation_undo(run);
    queue_arm(run, now);
    if (canceller != NULL)
        operation_cancel(run->domain, run->device, canceller, now);
}

void operation_send(struct run *run, uint64_t now)
{
    int rc;

    if (run->open || (run->overtaken && run->step == RUN_ITSELF)) {
        settle_silence(run, ERR_TIMEOUT, now);
        return;
    }
    if (run->step != RUN_ITSELF) { /* a question of ours, which harms nobody */
        rc = manage_transmit(run, now);
        if (is_passing(rc))
            wait_a_little(run, now);
        else if (rc < 0)
            manage_silence(run, rc, now);
        return;
    }
    if (operation_expired(run, now)) {
        bool sent = run->op->state != OP_STATE_QUEUED;

        operation_settle(run, sent ? OP_STATE_UNKNOWN : OP_STATE_EXPIRED,
                         sent ? ERR_UNKNOWN : ERR_EXPIRED, now);
        return;
    }
    rc = begin_attempt(run, now);
    if (rc == ERR_OK) {
        queue_take_slot(run);
        rc = submit(run, JOB_SEND, TXN_SET_OPERATION);
        if (rc < 0)
            operation_undo(run);
    }
    if (rc < 0)
        wait_a_little(run, now);
}

/* The store itself is in trouble, rather than at odds with what it was told. */
static bool is_trouble(int rc)
{
    return rc == ERR_STORE || rc == ERR_DISKFULL || rc == ERR_FULL || rc == ERR_NOMEM ||
           rc == ERR_STOPPING || rc == ERR_IO || rc == ERR_BUSY;
}

void operation_send_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct run *run = job->run;
    struct device *dev;

    if (run == NULL) { /* has left; nothing was sent */
        job_free(job);
        return;
    }
    dev = run->device;
    run->job = NULL;
    if (rc == ERR_OK) {
        if (run->op->attempt_count == 1)
            tell(d, job->id, job->txn, now);
        sends_or_waits(run, now);
    } else if (is_trouble(rc)) {
        operation_undo(run);
        wait_a_little(run, now);
    } else { /* somebody else has settled it */
        answer_canceller(run, ERR_CONFLICT);
        late_forget(run);
        queue_finish(run, rc);
    }
    job_free(job);
    queue_pump(d, dev, now);
}

/* ---- the outcome ----------------------------------------------------------------------------- */

void operation_settle(struct run *run, enum op_state state, int rc, uint64_t now)
{
    struct domain *d = run->domain;
    struct op *op = run->op;

    op->state = state;
    op->result.rc = rc;
    op->result.settled_ms = domain_unix_ms(d, now);
    if (run->place == RUN_SETTLING) { /* a late answer, while the store heard of the silence */
        run->again = true;
        return;
    }
    queue_halt(run, now);
    if (run->place == RUN_QUEUED)
        queue_unlink(run);
    else
        late_unlink(run);
    run->place = RUN_SETTLING;
    list_push(&d->settling, &run->node);
    operation_store(run, now);
}

void operation_store(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;

    if (run->op->deadline != 0 && run->op->deadline <= now)
        operation_release(run, now);
    if (run->job == NULL && submit(run, JOB_SETTLE, TXN_SET_OPERATION) < 0)
        timer_start(d->limits, &run->limit, now + RETRY_MS);
}

/* Completes the submitter's op with rc and goes on with a copy of it. */
static int part(struct run *run, int rc)
{
    struct op *his = run->op;
    struct operation *o = NULL;
    struct op *own = NULL;
    int failed = operation_of_op(his, &o);

    if (failed == ERR_OK)
        failed = operation_to_op(o, &own);
    mem_free(o);
    if (failed != ERR_OK)
        return failed;
    own->stored = true;
    own->result.sent_ms = his->result.sent_ms;
    own->done = forget;
    run->op = own;
    op_complete(his, rc);
    return ERR_OK;
}

void operation_release(struct run *run, uint64_t now)
{
    if (part(run, ERR_ACCEPTED) < 0)
        run->op->deadline = now + RETRY_MS; /* without memory he waits longer */
}

/* Somebody still waits for the outcome, and has no reason to any more. */
static bool has_waited(const struct run *run, uint64_t now)
{
    const struct op *op = run->op;

    if (!op->stored || op->done == forget || op->deadline == 0)
        return false;
    return op->deadline <= now || (!op->patient && !presence_awake(run->device));
}

void operation_part(struct run *run, uint64_t now)
{
    if (has_waited(run, now))
        operation_release(run, now);
}

/* The submitter gets it, if he still waits; an unknown one is kept for a late answer. */
static void finish(struct run *run, uint64_t now)
{
    struct domain *d = run->domain;
    struct op *op = run->op;
    int rc = op->result.rc;

    list_del(&run->node);
    timer_stop(d->limits, &run->limit);
    answer_canceller(run, op->state == OP_STATE_CANCELLED ? ERR_OK : ERR_CONFLICT);
    if (op->state == OP_STATE_UNKNOWN && (op->done == forget || part(run, rc) == ERR_OK)) {
        counter_add(d->counters, COUNTER_ops_completed, 1);
        late_keep(run, now);
        return;
    }
    late_forget(run);
    queue_free(run);
    if (op->done == forget && op->result.late) /* counted when it became unknown */
        op_complete(op, rc);
    else
        manage_complete(d, op, rc);
}

void operation_settle_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    struct run *run = job->run;

    run->job = NULL;
    if (run->again && !is_trouble(rc)) {
        run->again = false;
        operation_store(run, now);
    } else if (is_trouble(rc)) {
        timer_start(d->limits, &run->limit, now + RETRY_MS);
    } else {
        if (rc == ERR_OK)
            tell(d, job->id, job->txn, now);
        finish(run, now);
    }
    job_free(job);
}

/* ---- arriving and leaving -------------------------------------------------------------------- */

/* Only a late answer can tell more of it. Takes op. */
static void take_late(struct domain *d, struct op *op, uint64_t now)
{
    struct run *run = mem_new(sizeof(*run));

    if (run == NULL) {
        manage_complete(d, op, ERR_NOMEM);
        return;
    }
    run->domain = d;
    run->op = op;
    list_init(&run->tokens);
    late_await_all(run);
    late_keep(run, now);
}

/* One that the store has. Takes op. */
static void take(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    struct run *run = NULL;
    int rc = ERR_ACCEPTED;

    op->stored = true;
    if (op->done == NULL)
        op->done = forget;
    if (queue_find(dev, &op->id) == NULL && late_find(dev, &op->id) == NULL) {
        if (op->state == OP_STATE_UNKNOWN) {
            take_late(d, op, now);
            return;
        }
        rc = queue_add(d, dev, op, &run);
    }
    if (run == NULL) {
        manage_complete(d, op, rc);
        return;
    }
    late_await_all(run);
    if (op->state == OP_STATE_SENT)
        settle_silence(run, ERR_TIMEOUT, now);
    else
        queue_arm(run, now);
}

void operation_arrive(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    take(d, dev, op, now);
    queue_pump(d, dev, now);
}

static int restore(const struct operation *o, struct op **ret_op)
{
    int rc = operation_to_op(o, ret_op);

    if (rc < 0)
        return rc;
    (*ret_op)->done = forget;
    (*ret_op)->stored = true;
    return ERR_OK;
}

int operation_load(struct domain *d, const struct operation *o, uint64_t now)
{
    struct device *dev = device_by_endpoint(d, o->endpoint);
    struct op *op;
    int rc;

    if (dev == NULL)
        return ERR_NOTFOUND;
    rc = restore(o, &op);
    if (rc < 0)
        return rc;
    counter_add(d->counters, COUNTER_ops_started, 1);
    take(d, dev, op, now);
    if (presence_awake(dev) && dev->rare != NULL && !list_empty(&dev->rare->runs))
        timer_start(d->expiry, &dev->timer, now + 1 + random_below(d->random, LOAD_SPREAD_MS));
    return ERR_OK;
}

void operation_carried(struct domain *d, struct device *dev, const struct txn *t, uint64_t now)
{
    for (size_t i = 0; i < t->carried_observation_count; i++)
        wanted_carried(d, dev, t->carried_observations[i], t->registration);
    for (size_t i = 0; i < t->carried_operation_count; i++) {
        struct op *op;

        if (restore(t->carried_operations[i], &op) < 0)
            continue; /* the store alone has it, until the next start */
        counter_add(d->counters, COUNTER_ops_started, 1);
        if (dev != NULL)
            take(d, dev, op, now);
        else
            queue_stray(d, op);
    }
    if (dev == NULL || dev->rare == NULL)
        return;
    wanted_start(d, dev, now);
    queue_pump(d, dev, now);
}

void operation_recall(struct run *run)
{
    run->job->run = NULL;
    run->job = NULL;
    operation_undo(run);
}

struct op *operation_leave(struct run *run)
{
    answer_canceller(run, ERR_BUSY);
    late_forget(run);
    if (run->job == NULL)
        return run->op;
    if (run->job->kind == JOB_ACCEPT) { /* goes after the device when the store has it */
        run->job->run = NULL;
        run->job->op = run->op;
        (void)queue_remove(run);
        return NULL;
    }
    operation_recall(run);
    return run->op;
}

void operation_drop(struct run *run, int rc)
{
    const struct op *op = operation_leave(run);

    if (op != NULL)
        queue_finish(run, op->stored ? ERR_ACCEPTED : rc);
}

void operation_abandon_all(struct domain *d)
{
    struct list *node;

    while ((node = list_pop(&d->settling)) != NULL) {
        struct run *run = list_item(node, struct run, node);
        int rc;

        timer_stop(d->limits, &run->limit);
        answer_canceller(run, ERR_STOPPING);
        if (run->job == NULL)
            (void)job_submit(d, NULL, make_txn(TXN_SET_OPERATION, run->op, &rc));
        else
            run->job->run = NULL;
        late_forget(run);
        manage_complete(d, run->op, ERR_ACCEPTED); /* it may still be lost */
        queue_free(run);
    }
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static void refuse(struct domain *d, struct op *op, const struct op *target)
{
    if (target != NULL)
        op->state = target->state;
    manage_complete(d, op, target != NULL ? ERR_CONFLICT : ERR_NOTFOUND);
}

void operation_cancel(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    struct run *run = queue_find(dev, &op->target);

    if (run == NULL) {
        const struct run *late = late_find(dev, &op->target);

        refuse(d, op, late != NULL ? late->op : NULL);
    } else if (!run->op->durable && run->exchange == NULL) {
        queue_finish(run, ERR_CANCELLED);
        op->state = OP_STATE_CANCELLED;
        manage_complete(d, op, ERR_OK);
    } else if (!run->op->durable || run->op->state != OP_STATE_QUEUED || run->canceller != NULL) {
        refuse(d, op, run->op);
    } else {
        run->canceller = op;
        if (run->job == NULL)
            operation_settle(run, OP_STATE_CANCELLED, ERR_CANCELLED, now);
    }
    device_trim(dev);
}
