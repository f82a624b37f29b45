#include "model/model.h"

const char *event_type_name(enum event_type t)
{
    static const char *const names[EVENT_TYPE_COUNT] = {
        [EVENT_REGISTERED] = "registered",
        [EVENT_UPDATED] = "updated",
        [EVENT_DEREGISTERED] = "deregistered",
        [EVENT_EXPIRED] = "expired",
        [EVENT_REPLACED] = "replaced",
        [EVENT_REFUSED] = "refused",
        [EVENT_MOVED] = "moved",
        [EVENT_NOTIFICATION] = "notification",
        [EVENT_SEND] = "send",
        [EVENT_OBSERVATION_STARTED] = "observation-started",
        [EVENT_OBSERVATION_ENDED] = "observation-ended",
        [EVENT_AWAKE] = "awake",
        [EVENT_ASLEEP] = "asleep",
        [EVENT_OVERDUE] = "overdue",
        [EVENT_OPERATION] = "operation",
    };

    return (unsigned)t < EVENT_TYPE_COUNT ? names[t] : "unknown";
}

struct event *event_new(enum event_type type, struct view endpoint, int64_t time_ms)
{
    struct event *e = mem_new(sizeof *e + endpoint.n + 1);

    if (e == NULL)
        return NULL;
    e->endpoint = e->text;
    if (endpoint.n > 0)
        memcpy(e->text, endpoint.p, endpoint.n);
    atomic_init(&e->refs, 1);
    e->type = type;
    e->time_ms = time_ms;
    return e;
}

struct event *event_ref(struct event *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void event_unref(struct event *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) > 1)
        return;
    batch_free(e->values);
    mem_free(e->operation);
    mem_free(e->detail);
    mem_free(e);
}
