#include "lwm2m/run.h"

/*
 * What has become of a durable operation. An answer says so. Without one it may or may not have
 * been carried out, and each kind has its rule (rules[]): what does no harm twice is sent again, at
 * most ATTEMPTS times and not after it has expired; a Write only while no newer one of the same
 * path was sent, for networks deliver an old one after a newer one; a Create is asked after; an
 * Execute is not sent again unless the operator allows it, but may be seen at work. What remains is
 * unknown, and says so.
 */

#define ATTEMPTS 4u
#define PROBES_MAX 4u
#define REBOOT_MS (5 * 60 * 1000) /* a device that was told to reboot registers within this */

enum rule { RULE_NEVER, RULE_AGAIN, RULE_WRITE, RULE_CREATE, RULE_EXECUTE };

static const uint8_t rules[OP_KIND_COUNT] = {
    [OP_READ] = RULE_AGAIN,
    [OP_DISCOVER] = RULE_AGAIN,
    [OP_WRITE_REPLACE] = RULE_WRITE,
    [OP_WRITE_UPDATE] = RULE_WRITE,
    [OP_WRITE_ATTRIBUTES] = RULE_AGAIN,
    [OP_EXECUTE] = RULE_EXECUTE,
    [OP_CREATE] = RULE_CREATE,
    [OP_DELETE] = RULE_AGAIN,
    [OP_READ_COMPOSITE] = RULE_AGAIN,
    [OP_WRITE_COMPOSITE] = RULE_WRITE,
};

/* ---- paths ----------------------------------------------------------------------------------- */

static bool touch(const struct path *a, const struct path *b)
{
    return path_covers(a, b) || path_covers(b, a);
}

/* A composite one says where in its records. */
static bool reaches(const struct op *op, const struct path *p)
{
    if (op->kind != OP_WRITE_COMPOSITE)
        return touch(&op->path, p);
    for (size_t i = 0; op->values != NULL && i < batch_size(op->values); i++)
        if (touch(&batch_at(op->values, i)->path, p))
            return true;
    return false;
}

bool settle_overlap(const struct op *a, const struct op *b)
{
    if (a->kind != OP_WRITE_COMPOSITE)
        return reaches(b, &a->path);
    for (size_t i = 0; a->values != NULL && i < batch_size(a->values); i++)
        if (reaches(b, &batch_at(a->values, i)->path))
            return true;
    return false;
}

/* ---- attempts -------------------------------------------------------------------------------- */

static unsigned unanswered(const struct op *op)
{
    size_t kept = op->attempt_count < OP_ATTEMPTS_MAX ? op->attempt_count : OP_ATTEMPTS_MAX;
    unsigned n = 0;

    for (size_t i = 0; i < kept; i++)
        n += op->attempts[i].answered_ms == 0;
    return n;
}

static bool is_write(const struct op *op)
{
    return rules[op->kind] == RULE_WRITE;
}

/* In the model, so that reading back what was written makes sense. */
static bool is_readable(struct run *run, uint64_t now)
{
    const struct path *p = &run->op->path;
    const struct resource_def *def;
    struct content_env env;

    if (run->op->kind == OP_WRITE_COMPOSITE || p->depth < 2)
        return false;
    if (p->depth == 2)
        return true;
    domain_env(run->domain, run->device, now, &env);
    def = registry_resource(env.registry, p, (struct version){0, 0});
    return def != NULL && (def->ops & RESOURCE_READ) != 0;
}

static bool has_unknown(const struct list *runs, const struct run *run)
{
    list_each(runs, it)
    {
        const struct run *other = list_item(it, struct run, node);

        if (other != run && is_write(other->op) && other->op->durable &&
            unanswered(other->op) > 0 && settle_overlap(other->op, run->op))
            return true;
    }
    return false;
}

/* Instances of the object that we know of, plus 1. */
static uint16_t known_instances(const struct device *dev, uint16_t object)
{
    uint32_t n = 1;

    for (size_t i = 0; i < dev->list->count; i++)
        n += dev->list->entries[i].path.depth == 2 && dev->list->entries[i].path.id[0] == object;
    return n <= UINT16_MAX ? (uint16_t)n : 0;
}

void settle_sending(struct run *run)
{
    const struct device_rare *rare = run->device->rare;

    if (run->op->kind == OP_CREATE && run->op->attempt_count == 1)
        run->instances = known_instances(run->device, run->op->path.id[0]);
    if (!is_write(run->op))
        return;
    run->overtaken = false;
    run->verify = has_unknown(&rare->runs, run) || has_unknown(&rare->lates, run);
    list_each(&rare->runs, it)
    {
        struct run *other = list_item(it, struct run, node);

        if (other != run && is_write(other->op) && other->op->state == OP_STATE_SENT &&
            settle_overlap(other->op, run->op))
            other->overtaken = true;
    }
}

/* ---- an answer ------------------------------------------------------------------------------- */

/* It is gone, as it should be: by an attempt whose answer was lost. */
static bool is_gone(const struct op *op, uint8_t code)
{
    return op->kind == OP_DELETE && code == err_coap_code(ERR_NOTFOUND) && unanswered(op) > 0;
}

static enum op_state state_of(uint8_t code)
{
    switch (PDU_CODE_CLASS(code)) {
    case 2:
        return OP_STATE_DONE;
    case 4:
        return OP_STATE_REJECTED;
    default:
        return OP_STATE_DEVICE_ERROR;
    }
}

/* Without the device the code is all that can be told. */
static int read_result(struct run *run, const struct answer *a, uint64_t now)
{
    struct op *op = run->op;

    if (run->device != NULL)
        return result_read(run->domain, run->device, op, a, now);
    blob_free(a->blob);
    op->result.coap_code = a->code;
    op->result.answered_ms = domain_unix_ms(run->domain, now);
    return PDU_CODE_CLASS(a->code) == 2 ? ERR_OK : ERR_DEVICE;
}

static void take_answer(struct run *run, const struct answer *a, uint64_t now)
{
    struct op *op = run->op;
    enum op_state state = state_of(a->code);
    int rc = read_result(run, a, now);

    if (is_gone(op, a->code)) {
        state = OP_STATE_DONE;
        rc = ERR_OK;
    }
    if (rc == ERR_OK && run->device != NULL)
        result_learn(run->domain, run->device, op, now);
    if (state == OP_STATE_DONE && run->verify && run->place == RUN_QUEUED &&
        is_readable(run, now)) {
        run->step = RUN_VERIFY;
        queue_arm(run, now);
        return;
    }
    operation_settle(run, state, rc, now);
}

void settle_parts(struct run *run, int rc, uint8_t code, uint64_t now)
{
    operation_settle(run, rc == ERR_OK ? OP_STATE_DONE : state_of(code), rc, now);
}

/* ---- no answer ------------------------------------------------------------------------------- */

static void unknown(struct run *run, int rc, uint64_t now)
{
    operation_settle(run, OP_STATE_UNKNOWN, rc, now);
}

static void again(struct run *run, uint64_t now)
{
    if (unanswered(run->op) >= ATTEMPTS || operation_expired(run, now)) {
        unknown(run, ERR_UNKNOWN, now);
        return;
    }
    run->step = RUN_ITSELF;
    queue_arm(run, now);
}

static bool is_execute_of(const struct op *op, uint16_t object, uint16_t resource)
{
    return op->kind == OP_EXECUTE && op->path.id[0] == object && op->path.id[2] == resource;
}

static int64_t sent_ms(struct op *op)
{
    const struct op_attempt *last = op_attempt_last(op);

    return last != NULL ? last->sent_ms : 0;
}

/* Device object, Reboot: whoever registers has done it. */
static void await_reboot(struct run *run, uint64_t now)
{
    int64_t left = sent_ms(run->op) + REBOOT_MS - domain_unix_ms(run->domain, now);

    if ((int64_t)run->device->registered_s * 1000 > sent_ms(run->op)) {
        operation_settle(run, OP_STATE_DONE, ERR_OK, now);
    } else if (left > 0) {
        run->parked = true;
        run->until = now + (uint64_t)left;
        queue_arm(run, now);
    } else {
        unknown(run, ERR_UNKNOWN, now);
    }
}

void settle_silence(struct run *run, int rc, uint64_t now)
{
    struct op *op = run->op;
    enum rule rule = rules[op->kind];

    run->open = false;
    if (op_attempt_last(op) != NULL && op_attempt_last(op)->answered_ms == 0)
        late_await(run, op_attempt_last(op)->token);
    if (op->repeatable)
        rule = RULE_AGAIN;
    if (run->effect) {
        operation_settle(run, OP_STATE_DONE, ERR_OK, now);
    } else if (rule == RULE_AGAIN || (rule == RULE_WRITE && !run->overtaken)) {
        again(run, now);
    } else if (rule == RULE_CREATE) {
        run->step = RUN_PROBE;
        queue_arm(run, now);
    } else if (is_execute_of(op, 3, 4)) {
        await_reboot(run, now);
    } else {
        unknown(run, rc == ERR_TIMEOUT || rc == ERR_CANCELLED ? ERR_UNKNOWN : rc, now);
    }
}

void settle_updated(struct device *dev)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->runs, it)
    {
        struct run *run = list_item(it, struct run, node);

        if (run->op->durable && run->op->state == OP_STATE_SENT && run->job == NULL &&
            is_execute_of(run->op, 1, 8))
            run->effect = true;
    }
}

/* ---- what became of a Create ----------------------------------------------------------------- */

/* The id that we chose, or false when the device was to choose. */
static bool chosen_instance(const struct op *op, struct path *ret_path)
{
    *ret_path = op->path;
    if (op->path.depth == 1 && op->values != NULL && batch_size(op->values) > 0)
        *ret_path = batch_at(op->values, 0)->path;
    if (ret_path->depth < 2 || ret_path->id[1] == MODEL_ID_NONE) {
        *ret_path = op->path;
        ret_path->depth = 1;
        return false;
    }
    ret_path->depth = 2;
    return true;
}

int settle_probe_path(const struct run *run, struct path *ret_path)
{
    (void)chosen_instance(run->op, ret_path);
    return ret_path->depth;
}

static void created(struct run *run, const struct path *instance, uint64_t now)
{
    struct op *op = run->op;

    if (instance != NULL) {
        op->result.location = *instance;
        op->result.has_location = true;
        result_learn(run->domain, run->device, op, now);
    }
    operation_settle(run, OP_STATE_DONE, ERR_OK, now);
}

struct census {
    const struct device *dev;
    uint16_t object;
    unsigned count, fresh;
    struct path found; /* one that we have not known */
};

static int count_link(void *ctx, const struct link *l)
{
    struct census *c = ctx;
    struct view alt = c->dev->list->alt_path, target = l->target;
    struct path p;

    if (alt.n > 0 && target.n > alt.n && view_eq(view_sub(target, 0, alt.n), alt))
        target = view_sub(target, alt.n, target.n);
    if (path_parse(target, &p) < 0 || p.depth != 2 || p.id[0] != c->object)
        return ERR_OK;
    c->count++;
    if (!objlist_pool_has(c->dev->list, &p)) {
        c->fresh++;
        c->found = p;
    }
    return ERR_OK;
}

static void take_census(struct run *run, const struct answer *a, uint64_t now)
{
    struct census c = {.dev = run->device, .object = run->op->path.id[0]};
    bool counted =
        a->blob == NULL && run->instances > 0 && link_parse(a->body, count_link, &c) >= 0;

    if (counted && c.count + 1u == run->instances)
        again(run, now);
    else if (counted && c.count == run->instances)
        created(run, c.fresh == 1 ? &c.found : NULL, now);
    else
        unknown(run, ERR_UNKNOWN, now);
}

static void probed(struct run *run, const struct answer *a, uint64_t now)
{
    struct path instance;
    bool chosen = chosen_instance(run->op, &instance);
    bool found = a->rc == ERR_OK && PDU_CODE_CLASS(a->code) == 2;

    if (a->rc == ERR_TIMEOUT && ++run->probes < PROBES_MAX)
        queue_arm(run, now); /* when the device is heard again */
    else if (chosen && found)
        created(run, &instance, now);
    else if (chosen && a->rc == ERR_OK && a->code == err_coap_code(ERR_NOTFOUND))
        again(run, now);
    else if (!chosen && found)
        take_census(run, a, now);
    else
        unknown(run, ERR_UNKNOWN, now);
    if (a->rc == ERR_OK)
        blob_free(a->blob);
}

/* ---- whether a Write has stayed -------------------------------------------------------------- */

/* The older one's value where ours should be. */
static bool is_old_value(const struct op *older, const struct op *op, const struct batch *found)
{
    for (size_t i = 0; older->values != NULL && i < batch_size(older->values); i++) {
        const struct record *old = batch_at(older->values, i);
        const struct record *ours = batch_find(op->values, &old->path);
        const struct record *there = batch_find(found, &old->path);

        if (ours != NULL && there != NULL && value_eq(&there->value, &old->value) &&
            !value_eq(&there->value, &ours->value))
            return true;
    }
    return false;
}

static bool old_has_won(const struct list *runs, const struct run *run, const struct batch *found)
{
    list_each(runs, it)
    {
        const struct run *other = list_item(it, struct run, node);

        if (other != run && is_write(other->op) && unanswered(other->op) > 0 &&
            settle_overlap(other->op, run->op) && is_old_value(other->op, run->op, found))
            return true;
    }
    return false;
}

static void verified(struct run *run, const struct answer *a, uint64_t now)
{
    const struct device_rare *rare = run->device->rare;
    struct batch *found = batch_new();
    struct content_env env;
    bool lost = false;

    run->verify = false;
    if (found != NULL && a->rc == ERR_OK && a->blob == NULL && PDU_CODE_CLASS(a->code) == 2) {
        domain_env(run->domain, run->device, now, &env);
        if (content_decode(a->format, &env, a->body, &run->op->path, found) == ERR_OK)
            lost = old_has_won(&rare->runs, run, found) || old_has_won(&rare->lates, run, found);
    }
    if (a->rc == ERR_OK)
        blob_free(a->blob);
    batch_free(found);
    run->step = RUN_ITSELF;
    if (lost && !run->retried) {
        run->retried = true;
        queue_arm(run, now);
    } else {
        operation_settle(run, OP_STATE_DONE, ERR_OK, now);
    }
}

/* ---- entry ----------------------------------------------------------------------------------- */

/* The message never came to whoever would carry it out: once more when the device has just woken.
 */
static bool is_reset_on_waking(struct run *run, const struct answer *a)
{
    if (a->rc != ERR_RESET || (run->device->flags & DEVICE_FRESH) == 0 || run->retried)
        return false;
    run->retried = true;
    return true;
}

void settle_answer(struct run *run, const struct answer *a, uint64_t now)
{
    if (run->step == RUN_PROBE)
        probed(run, a, now);
    else if (run->step == RUN_VERIFY)
        verified(run, a, now);
    else if (a->rc == ERR_OK)
        take_answer(run, a, now);
    else if (is_reset_on_waking(run, a))
        queue_arm(run, now);
    else if (a->rc == ERR_RESET)
        operation_settle(run, OP_STATE_REJECTED, ERR_RESET, now);
    else if (a->rc == ERR_TIMEOUT || a->rc == ERR_UNREACHABLE || a->rc == ERR_CANCELLED)
        settle_silence(run, a->rc, now);
    else
        unknown(run, a->rc, now); /* it has answered, but what we cannot take */
}

bool settle_late(struct run *run, uint64_t token, const struct answer *a, uint64_t now)
{
    /* The answer to its newest question decides. */
    if (run->place == RUN_QUEUED && run->step == RUN_VERIFY)
        return true;
    if (run->place == RUN_SETTLING && run->op->state != OP_STATE_UNKNOWN)
        return true;
    if (run->place == RUN_QUEUED) {
        queue_halt(run, now);
        if (run->job != NULL)
            operation_recall(run);
        run->step = RUN_ITSELF;
        run->verify = false;
    } else {
        run->op->result.late = true;
    }
    operation_note(run, token, a, now);
    take_answer(run, a, now);
    return true;
}
