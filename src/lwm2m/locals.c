#include "lwm2m/internal.h"

/*
 * The addresses of ours that devices talk to: a handful in any real network, so that a device keeps
 * the number of one instead of twenty bytes. They are never forgotten; past the last number a
 * device has none, and the system chooses where answers to it leave from.
 */

#define LOCALS_MAX UINT16_MAX

struct local {
    struct addr addr;
    uint16_t number;
};

static bool same_addr(const void *item, const void *key)
{
    return addr_eq(&((const struct local *)item)->addr, key);
}

int locals_init(struct locals *l)
{
    l->by_addr = table_new(LOCALS_MAX);
    return l->by_addr != NULL ? ERR_OK : ERR_NOMEM;
}

void locals_fini(struct locals *l)
{
    for (uint32_t i = 1; i <= l->count; i++)
        mem_free(l->rows[i]);
    mem_free(l->rows);
    table_free(l->by_addr);
}

static bool add_row(struct locals *l)
{
    uint32_t cap = l->cap == 0 ? 8 : l->cap * 2;
    struct local **rows;

    if (l->count + 1 < l->cap)
        return true;
    rows = mem_resize(l->rows, cap * sizeof(struct local *));
    if (rows == NULL)
        return false;
    l->rows = rows;
    l->cap = cap;
    return true;
}

uint16_t locals_number(struct domain *d, const struct addr *addr)
{
    struct locals *l = &d->locals;
    uint64_t hash = addr_hash(&d->key, addr);
    struct local *known = table_get(l->by_addr, hash, same_addr, addr);

    if (known != NULL)
        return known->number;
    if (l->count == LOCALS_MAX || !add_row(l))
        return 0;
    known = mem_new(sizeof(*known));
    if (known == NULL)
        return 0;
    known->addr = *addr;
    known->number = (uint16_t)(l->count + 1);
    if (table_put(l->by_addr, hash, known) < 0) {
        mem_free(known);
        return 0;
    }
    l->rows[++l->count] = known;
    return known->number;
}

const struct addr *locals_addr(const struct domain *d, uint16_t number)
{
    static const struct addr any;

    return number == 0 ? &any : &d->locals.rows[number]->addr;
}
