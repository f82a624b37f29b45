#include "base/base.h"

#include <errno.h>
#include <sys/random.h>

void random_init(struct random *r, uint64_t seed0, uint64_t seed1)
{
    *r = (struct random){.key = {seed0, seed1}};
}

int random_init_secret(struct random *r)
{
    uint64_t seed[2];
    ssize_t n;

    /* Up to 256 bytes come whole or not at all (getrandom(2)). */
    do
        n = getrandom(seed, sizeof(seed), 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(seed))
        return ERR_IO;
    random_init(r, seed[0], seed[1]);
    explicit_bzero(seed, sizeof(seed));
    return ERR_OK;
}

uint64_t random_u64(struct random *r)
{
    return hash_u64(&r->key, r->counter++);
}

uint64_t random_below(struct random *r, uint64_t bound)
{
    /* The high half of random * bound is even over [0, bound) once the low halves below
     * 2^64 mod bound are refused. */
    uint64_t refuse = (0 - bound) % bound;
    unsigned __int128 product;

    do
        product = (unsigned __int128)random_u64(r) * bound;
    while ((uint64_t)product < refuse);
    return (uint64_t)(product >> 64);
}

void random_bytes(struct random *r, void *out, size_t n)
{
    uint8_t *p = out;

    while (n > 0) {
        uint64_t v = random_u64(r);
        size_t part = n < sizeof(v) ? n : sizeof(v);

        memcpy(p, &v, part);
        p += part;
        n -= part;
    }
}
