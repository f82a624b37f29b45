/* The linker takes this core.c instead of the one in the archive. */
#include "../../src/shard/core.c"

#include "audit.h"
#include "lwm2m/internal.h"

void audit_devices(struct core *c, uint64_t now,
                   void (*each)(void *ctx, const struct audit_device *d), void *ctx)
{
    struct domain *d = c->domain;

    for (uint32_t i = 1; i <= d->pool.made; i++) {
        struct device *dev = device_at(d, i);
        struct audit_device a = {.claim = dev->claim};

        if ((dev->flags & DEVICE_LISTED) == 0)
            continue;
        device_snapshot(d, dev, now, &a.r);
        a.busy = dev->rare && (dev->rare->job || dev->rare->again);
        a.observations = dev->rare ? dev->rare->report_count : 0;
        a.expires_at =
            dev->deadline_s == DEVICE_NEVER ? UINT64_MAX : (uint64_t)dev->deadline_s * 1000;
        each(ctx, &a);
    }
}
