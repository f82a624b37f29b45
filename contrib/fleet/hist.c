#include "fleet.h"

#define SUB_BITS 5
#define SUB (1u << SUB_BITS)

static size_t bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < SUB)
        return (size_t)value;
    shift = (unsigned)(63 - __builtin_clzll(value)) - SUB_BITS;
    return (size_t)(shift + 1) * SUB + (size_t)((value >> shift) - SUB);
}

static uint64_t upper_edge(size_t bucket)
{
    unsigned shift;

    if (bucket < SUB)
        return bucket;
    shift = (unsigned)(bucket / SUB) - 1;
    return ((uint64_t)(bucket % SUB + SUB + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    if (value > h->max)
        h->max = value;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->count);
    uint64_t seen = 0;

    if (h->count == 0)
        return 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank)
            return upper_edge(i) < h->max ? upper_edge(i) : h->max;
    }
    return h->max;
}
