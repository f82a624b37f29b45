#include "lwm2m/run.h"

/*
 * A renewal only moves the deadline: the timer stays where it is, finds the device alive when it
 * fires, and is armed again. A million devices cost a million timers a lifetime, not one each
 * Update.
 */

#define RETRY_MS 1000
/* The wheel need not be trusted with longer; the timer is armed again on the way. */
#define ARM_MAX_MS (UINT64_C(365) * 86400 * 1000)

static uint64_t deadline_ms(const struct device *dev)
{
    return (uint64_t)dev->deadline_s * 1000;
}

uint32_t expiry_deadline(const struct domain *d, const struct device *dev, uint64_t now)
{
    uint64_t deadline = (now + 999) / 1000 + dev->lifetime_s + d->cfg.grace_s;

    if (dev->lifetime_s == 0 || (dev->flags & DEVICE_LIFETIME_GIVEN) == 0)
        return DEVICE_NEVER;
    return deadline < DEVICE_NEVER ? (uint32_t)deadline : DEVICE_NEVER - 1;
}

/* The lifetime is over then, the grace period is not. */
static uint64_t overdue_ms(const struct domain *d, const struct device *dev)
{
    return deadline_ms(dev) - (uint64_t)d->cfg.grace_s * 1000;
}

/* The next step of its lifetime. */
static uint64_t lifetime_due(const struct domain *d, const struct device *dev)
{
    if (dev->deadline_s == DEVICE_NEVER)
        return UINT64_MAX;
    return (dev->flags & DEVICE_OVERDUE) != 0 ? deadline_ms(dev) : overdue_ms(d, dev);
}

void expiry_arm(struct domain *d, struct device *dev, uint64_t now)
{
    uint64_t due = lifetime_due(d, dev);
    uint64_t presence = presence_due(d, dev, now);

    if (due <= now) /* it has failed to go once */
        due = now + RETRY_MS;
    due = presence < due ? presence : due;
    if (due == UINT64_MAX)
        timer_stop(d->expiry, &dev->timer);
    else
        timer_start(d->expiry, &dev->timer, due < now + ARM_MAX_MS ? due : now + ARM_MAX_MS);
}

void expiry_restart(struct domain *d, struct device *dev, uint64_t now)
{
    dev->deadline_s = expiry_deadline(d, dev, now);
    dev->flags &= (uint8_t)~DEVICE_OVERDUE;
    if (dev->deadline_s == DEVICE_NEVER || !timer_active(&dev->timer) ||
        dev->timer.due > lifetime_due(d, dev))
        expiry_arm(d, dev, now);
}

int64_t expiry_unix_ms(const struct domain *d, const struct device *dev, uint64_t now)
{
    int64_t left;

    if (dev->deadline_s == DEVICE_NEVER)
        return INT64_MAX;
    left = (int64_t)deadline_ms(dev) - (int64_t)now - (int64_t)d->cfg.grace_s * 1000;
    return domain_unix_ms(d, now) + left;
}

static void tell_overdue(struct domain *d, struct device *dev, uint64_t now)
{
    if (dev->deadline_s == DEVICE_NEVER || (dev->flags & DEVICE_OVERDUE) != 0 ||
        overdue_ms(d, dev) > now || queue_is_ending(dev))
        return;
    dev->flags |= DEVICE_OVERDUE;
    domain_tell(d, EVENT_OVERDUE, dev, now);
}

void expiry_fire(void *ctx, struct timer *t, uint64_t now)
{
    struct domain *d = ctx;
    struct device *dev = mem_container(t, struct device, timer);

    tell_overdue(d, dev, now);
    presence_run(d, dev, now);
    /* A store that is full, or a change under way: later. Armed too while the store removes it, so
     * that a completion that never comes cannot keep the device for ever. */
    if (dev->deadline_s != DEVICE_NEVER && deadline_ms(dev) <= now)
        (void)removal_start(d, dev, EVENT_EXPIRED, NULL, now);
    expiry_arm(d, dev, now);
    queue_pump(d, dev, now);
}
