#include "lwm2m/run.h"

/*
 * Queue mode (LwM2M Core 6.5): a device listens for a while after its last message, and nothing is
 * sent to it after that. How long is configured for its kind of network and learned from there: a
 * request that gets no answer shows that it sleeps earlier than we thought, one answered late in
 * the window that it listens longer.
 *
 * All is timed with the one timer a device has. One without queue mode only pays when operations
 * wait for it.
 */

#define WINDOW_LEAST_S 5u
#define WINDOW_LEARNED_MAX_S 255u
#define BUSY_MS 1000u /* its window has closed, but an exchange is still under way */
/* A silent device without queue mode: durable operations wait longer each time. */
#define SILENCE_MS 60000u
#define SILENCES_MAX 4u

static bool in_queue_mode(const struct device *dev)
{
    return (dev->flags & DEVICE_QUEUE) != 0;
}

bool presence_awake(const struct device *dev)
{
    return !in_queue_mode(dev) || (dev->flags & DEVICE_AWAKE) != 0;
}

/* ---- the window ------------------------------------------------------------------------------ */

static uint32_t configured_s(const struct domain *d, const struct device *dev)
{
    if (dev->profile == 0 && d->cfg.awake_window_s != 0)
        return d->cfg.awake_window_s;
    return (uint32_t)(profile_max_transmit_wait(device_profile(d, dev)) / 1000);
}

static uint32_t window_s(const struct domain *d, const struct device *dev)
{
    uint32_t configured = configured_s(d, dev);

    return dev->window != 0 && dev->window < configured ? dev->window : configured;
}

/* Seconds since it was heard, while it is awake. */
static uint32_t since_heard_s(const struct device *dev, uint64_t now)
{
    return (uint16_t)((uint16_t)(now / 1000) - dev->heard);
}

static uint64_t closes_at(const struct domain *d, const struct device *dev, uint64_t now)
{
    return (now / 1000 - since_heard_s(dev, now) + window_s(d, dev)) * 1000;
}

bool presence_lasts(const struct domain *d, const struct device *dev, uint64_t now)
{
    return closes_at(d, dev, now) >= now + profile_max_transmit_span(device_profile(d, dev));
}

int64_t presence_until(const struct domain *d, const struct device *dev, uint64_t now)
{
    if (!in_queue_mode(dev))
        return 0;
    if ((dev->flags & DEVICE_AWAKE) == 0)
        return (int64_t)dev->seen_s * 1000 + (int64_t)window_s(d, dev) * 1000;
    return domain_unix_ms(d, now) + (int64_t)closes_at(d, dev, now) - (int64_t)now;
}

static void learn(struct device *dev, uint32_t seconds)
{
    if (seconds < WINDOW_LEAST_S)
        seconds = WINDOW_LEAST_S;
    dev->window = (uint8_t)(seconds < WINDOW_LEARNED_MAX_S ? seconds : WINDOW_LEARNED_MAX_S);
}

/* Seconds between its last message and that request. */
static uint32_t offset_s(const struct device *dev, uint64_t asked_ms, uint64_t now)
{
    uint64_t ago_s = now / 1000 - asked_ms / 1000;
    uint32_t heard_s = since_heard_s(dev, now);

    return heard_s > ago_s ? heard_s - (uint32_t)ago_s : 0;
}

/* ---- heard or not ---------------------------------------------------------------------------- */

static void listen(struct domain *d, struct device *dev, uint64_t now)
{
    bool wakes = (dev->flags & DEVICE_AWAKE) == 0;

    dev->heard = (uint16_t)(now / 1000);
    if (!wakes)
        return;
    dev->flags |= DEVICE_AWAKE | DEVICE_FRESH;
    expiry_arm(d, dev, now);
}

void presence_heard(struct domain *d, struct device *dev, uint64_t now)
{
    bool wakes = in_queue_mode(dev) && (dev->flags & DEVICE_AWAKE) == 0;

    if (in_queue_mode(dev))
        listen(d, dev, now);
    if (wakes)
        domain_tell(d, EVENT_AWAKE, dev, now);
    if (dev->rare == NULL)
        return;
    if (wakes)
        wanted_wake(d, dev);
    if (wakes || dev->rare->resume_at != 0) {
        dev->rare->resume_at = 0;
        queue_pump_soon(d, dev, now);
    }
    dev->rare->silences = 0;
}

void presence_answered(struct domain *d, struct device *dev, uint64_t asked_ms, uint64_t now)
{
    uint32_t window = window_s(d, dev);

    dev->flags &= (uint8_t)~DEVICE_FRESH;
    if (!in_queue_mode(dev) || dev->window == 0 || offset_s(dev, asked_ms, now) < window * 3 / 4)
        return;
    learn(dev, window + window / 4 + 1);
    if (window_s(d, dev) == configured_s(d, dev) || dev->window == WINDOW_LEARNED_MAX_S)
        dev->window = 0;
}

static void fall_asleep(struct domain *d, struct device *dev, uint64_t now)
{
    dev->flags &= (uint8_t) ~(DEVICE_AWAKE | DEVICE_FRESH);
    domain_tell(d, EVENT_ASLEEP, dev, now);
    queue_sleep(d, dev, now);
}

/* It may be out of reach for long: each attempt waits longer, or until it is heard. */
static void hold_back(struct domain *d, struct device *dev, uint64_t now)
{
    struct device_rare *rare = dev->rare;

    if (rare == NULL)
        return;
    rare->resume_at = now + ((uint64_t)SILENCE_MS << rare->silences);
    if (rare->silences < SILENCES_MAX)
        rare->silences++;
    expiry_arm(d, dev, now);
}

void presence_silent(struct domain *d, struct device *dev, uint64_t asked_ms, uint64_t now)
{
    bool fresh = (dev->flags & DEVICE_FRESH) != 0;
    uint32_t offset;

    dev->flags &= (uint8_t)~DEVICE_FRESH;
    if (!in_queue_mode(dev)) {
        hold_back(d, dev, now);
        return;
    }
    if ((dev->flags & DEVICE_AWAKE) == 0)
        return;
    offset = offset_s(dev, asked_ms, now);
    if (offset >= WINDOW_LEAST_S)
        learn(dev, offset * 3 / 4);
    if (!fresh || !presence_lasts(d, dev, now))
        fall_asleep(d, dev, now);
}

/* ---- time ------------------------------------------------------------------------------------ */

void presence_begin(struct domain *d, struct device *dev, bool awake, uint64_t now)
{
    dev->flags &= (uint8_t) ~(DEVICE_AWAKE | DEVICE_FRESH);
    if (in_queue_mode(dev) && awake)
        listen(d, dev, now);
}

void presence_load(struct domain *d, struct device *dev, uint64_t now)
{
    int64_t ago_s = domain_unix_ms(d, now) / 1000 - (int64_t)dev->seen_s;

    if (!in_queue_mode(dev) || ago_s < 0 || ago_s >= (int64_t)window_s(d, dev))
        return;
    dev->flags |= DEVICE_AWAKE;
    dev->heard = (uint16_t)(now / 1000 - (uint64_t)ago_s);
}

uint64_t presence_due(const struct domain *d, const struct device *dev, uint64_t now)
{
    uint64_t due;

    if (in_queue_mode(dev)) {
        if ((dev->flags & DEVICE_AWAKE) == 0)
            return UINT64_MAX;
        due = closes_at(d, dev, now);
        return due > now ? due : now + BUSY_MS;
    }
    if (dev->rare == NULL || dev->rare->resume_at <= now || list_empty(&dev->rare->runs))
        return UINT64_MAX;
    return dev->rare->resume_at;
}

void presence_run(struct domain *d, struct device *dev, uint64_t now)
{
    if (!in_queue_mode(dev) || (dev->flags & DEVICE_AWAKE) == 0 || closes_at(d, dev, now) > now)
        return;
    if (dev->rare == NULL || dev->rare->running == 0)
        fall_asleep(d, dev, now);
}
