/* A look into a core, from outside of the house. */
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include "shard/shard.h"

struct audit_device {
    struct registration r; /* borrowed */
    const struct claim *claim;
    bool busy;           /* a durable change is under way */
    uint64_t expires_at; /* monotonic ms with the grace period; UINT64_MAX: never */
    size_t observations;
};

void audit_devices(struct core *c, uint64_t now,
                   void (*each)(void *ctx, const struct audit_device *d), void *ctx);

#endif
