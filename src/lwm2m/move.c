#include "lwm2m/run.h"

/* Devices that come from elsewhere: another shard, or the store. */

/* A device on its way: what it shares with others of its shard it carries as text. */
struct parcel {
    struct device device;
    struct addr local;
    char *links;
    size_t links_len;
};

static struct parcel *parcel_of(struct device *dev)
{
    return mem_container(dev, struct parcel, device);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* False while it is being removed: then it is as good as gone. */
static bool settle_job(struct domain *d, struct device *dev, uint64_t now)
{
    struct device_rare *rare = dev->rare;

    if (rare == NULL)
        return true;
    if (rare->job != NULL && rare->job->kind == JOB_REMOVE)
        return false;
    if (rare->job != NULL && rare->job->kind == JOB_UPDATE)
        update_apply_now(d, dev, rare->job, now);
    rare->job = NULL;
    if (rare->waiting != NULL)
        engine_drop(d->engine, rare->waiting);
    rare->waiting = NULL;
    return true;
}

static struct parcel *pack(const struct domain *d, const struct device *dev)
{
    struct parcel *p = mem_new(sizeof(*p));

    if (p == NULL)
        return NULL;
    p->local = *locals_addr(d, dev->local);
    p->links_len = dev->list->text.n;
    p->links = mem_text(dev->list->text.p, dev->list->text.n);
    if (p->links == NULL) {
        mem_free(p);
        return NULL;
    }
    return p;
}

struct device *move_give(struct domain *d, uint64_t id, uint64_t now)
{
    struct device *dev = chain_by_id(d, id);
    struct parcel *p;

    if (dev == NULL || !settle_job(d, dev, now))
        return NULL;
    p = pack(d, dev);
    if (p == NULL)
        return NULL;
    queue_rewind(d, dev, now);
    report_detach(d, dev, now);
    queue_detach(d, dev);
    timer_stop(d->expiry, &dev->timer);
    device_remove(d, dev);
    p->device = *dev;
    p->device.self = 0;
    p->device.list = NULL;
    dev->rare = NULL;
    device_delete(d, dev);
    return &p->device;
}

void move_free(struct device *dev)
{
    struct device_rare *rare = dev->rare;

    if (rare != NULL) {
        struct list *node;

        while ((node = list_pop(&rare->reports)) != NULL) {
            struct report *r = list_item(node, struct report, node);

            batch_free(r->initial);
            mem_free(r);
        }
        while ((node = list_pop(&rare->runs)) != NULL) {
            struct run *run = list_item(node, struct run, node);

            op_complete(run->op, run->op->stored ? ERR_ACCEPTED : ERR_STOPPING);
            queue_free(run);
        }
        while ((node = list_pop(&rare->lates)) != NULL) {
            struct run *run = list_item(node, struct run, node);

            op_free(run->op);
            queue_free(run);
        }
        device_rare_free(rare);
    }
    mem_free(parcel_of(dev)->links);
    mem_free(parcel_of(dev));
}

/* ---- arriving -------------------------------------------------------------------------------- */

static void unpack(struct domain *d, struct device *dev, struct parcel *p, struct objlist *list)
{
    uint32_t self = dev->self;

    *dev = p->device;
    dev->self = self;
    dev->list = list;
    dev->local = locals_number(d, &p->local);
    mem_free(p->links);
    mem_free(p);
    device_insert(d, dev);
}

int move_take(struct domain *d, struct device *away, uint64_t now)
{
    struct parcel *p = parcel_of(away);
    struct device *dev = device_new(d);
    struct claim *claim = away->claim;
    struct objlist *list = NULL;
    bool renewed;
    int rc = ERR_NOMEM;

    if (dev != NULL)
        rc = objlist_pool_parse(d, view_of(p->links, p->links_len), &list);
    if (rc < 0) {
        if (dev != NULL)
            device_delete(d, dev);
        move_free(away);
        d->ops->claim_release(d->ctx, claim);
        return rc;
    }
    unpack(d, dev, p, list);
    renewed = (dev->flags & DEVICE_RENEWED) != 0;
    dev->flags &= (uint8_t)~DEVICE_RENEWED;
    expiry_arm(d, dev, now);
    if (renewed)
        renewal_note(d, dev, now);
    report_adopt(d, dev, now);
    queue_adopt(d, dev, now);
    if (dev->rare != NULL && dev->rare->again) {
        dev->rare->again = false;
        job_store(d, dev, now);
    }
    /* Its operations go on soon, but not before the request that brought it here: that may say
     * where it is now. */
    if (dev->rare != NULL && !list_empty(&dev->rare->runs))
        timer_start(d->expiry, &dev->timer, now + 1);
    return ERR_OK;
}

/* ---- restart --------------------------------------------------------------------------------- */

static int set_rare(struct device *dev, const struct registration *r)
{
    struct device_rare *rare;
    int rc;

    if (r->sms.n == 0 && r->profile.n == 0 && r->unknown.n == 0 &&
        r->identity.type == IDENTITY_NONE)
        return ERR_OK;
    rare = device_rare(dev);
    if (rare == NULL)
        return ERR_NOMEM;
    rc = device_set_text(&rare->sms, r->sms);
    if (rc == ERR_OK)
        rc = device_set_text(&rare->pid, r->profile);
    if (rc == ERR_OK)
        rc = device_set_text(&rare->unknown, r->unknown);
    if (rc == ERR_OK)
        rc = device_set_identity(dev, &r->identity);
    return rc;
}

static uint32_t seconds_of(int64_t unix_ms)
{
    return unix_ms > 0 ? (uint32_t)(unix_ms / 1000) : 0;
}

static void set_flags(struct device *dev, const struct registration *r)
{
    if (r->queue_mode)
        dev->flags |= DEVICE_QUEUE;
    if (r->lifetime_given)
        dev->flags |= DEVICE_LIFETIME_GIVEN;
}

/*
 * The time the server was away does not count, and nobody expires within a grace period from now:
 * the devices could not reach us (architecture, Restart).
 */
static uint32_t shifted_deadline(const struct domain *d, const struct device *dev,
                                 const struct registration *r, const struct outage *outage,
                                 uint64_t now)
{
    int64_t left_ms, left_s;
    uint64_t deadline;

    if (dev->lifetime_s == 0 || !r->lifetime_given || r->expires_ms == INT64_MAX)
        return DEVICE_NEVER;
    left_ms = r->expires_ms - domain_unix_ms(d, now) + outage->ms;
    /* Its last Update may have been answered and not stored yet: that would be its whole lifetime
     * ago at the earliest. */
    if (outage->killed && left_ms < (int64_t)dev->lifetime_s * 1000)
        left_ms = (int64_t)dev->lifetime_s * 1000;
    left_s = left_ms > 0 ? left_ms / 1000 + 1 : 0;
    deadline = (now + 999) / 1000 + (uint64_t)left_s + d->cfg.grace_s;
    return deadline < DEVICE_NEVER ? (uint32_t)deadline : DEVICE_NEVER - 1;
}

int move_load(struct domain *d, const struct registration *r, struct claim *claim,
              const struct outage *outage, uint64_t now)
{
    struct device *dev = device_new(d);
    int rc;

    if (dev == NULL)
        return ERR_NOMEM;
    dev->id = r->id;
    device_set_flow(d, dev, &r->flow);
    dev->version = r->version;
    dev->lifetime_s = r->lifetime_s;
    dev->binding = r->binding;
    dev->registered_s = seconds_of(r->registered_ms);
    dev->updated_s = seconds_of(r->updated_ms);
    dev->seen_s = seconds_of(r->seen_ms);
    dev->szx = 7;
    set_flags(dev, r);
    rc = set_rare(dev, r);
    if (rc == ERR_OK)
        rc = objlist_pool_parse(d, r->links, &dev->list);
    if (rc < 0) {
        device_delete(d, dev);
        return rc;
    }
    dev->claim = claim;
    device_choose_profile(d, dev);
    device_insert(d, dev);
    dev->deadline_s = shifted_deadline(d, dev, r, outage, now);
    presence_load(d, dev, now);
    expiry_arm(d, dev, now);
    /* Operators would see it as gone until it is heard. */
    if (r->expires_ms < domain_unix_ms(d, now))
        renewal_note(d, dev, now);
    return ERR_OK;
}
