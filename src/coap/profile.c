#include "coap/internal.h"

#define MAX_LATENCY_MS 100000u
/* Of MAX_RETRANSMIT; beyond it a doubling wait would last for months. */
#define DOUBLINGS_MAX 20u

static uint64_t longest(const struct profile *p, unsigned doublings)
{
    unsigned n = doublings > DOUBLINGS_MAX ? DOUBLINGS_MAX : doublings;

    return (uint64_t)p->ack_timeout_ms * ((1u << n) - 1) * p->ack_random_permille / 1000;
}

uint64_t profile_max_transmit_span(const struct profile *p)
{
    return longest(p, p->max_retransmit);
}

uint64_t profile_max_transmit_wait(const struct profile *p)
{
    return longest(p, p->max_retransmit + 1);
}

uint64_t profile_exchange_lifetime(const struct profile *p)
{
    return profile_max_transmit_span(p) + 2 * MAX_LATENCY_MS + p->ack_timeout_ms;
}

const struct profile *profile_builtin(struct view name)
{
    static const struct profile rows[] = {
        {"ip", 2000, 1500, 4, 1, 5},
        {"nbiot", 10000, 1500, 2, 1, 5},
    };

    for (size_t i = 0; i < mem_count(rows); i++)
        if (view_eq_str(name, rows[i].name))
            return &rows[i];
    return NULL;
}
