/*
 * The parts of base small and hot enough to be inlined; their contracts are in base/base.h, which
 * includes this file. Nothing else does.
 */
#ifndef BASE_INLINE_H
#define BASE_INLINE_H

#include "base/base.h"

#include <endian.h>

/* ---- view ----------------------------------------------------------------------------------- */

static inline struct view view_of(const void *p, size_t n)
{
    return (struct view){p, n};
}

static inline struct view view_str(const char *nul_terminated)
{
    return nul_terminated ? view_of(nul_terminated, strlen(nul_terminated)) : VIEW_NONE;
}

static inline bool view_eq(struct view a, struct view b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool view_eq_str(struct view a, const char *b)
{
    return view_eq(a, view_str(b));
}

/* ---- rd: a failure moves p to the end, so that one comparison guards each read -------------- */

static inline bool rd_end(const struct rd *r)
{
    return r->p == r->end;
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->p);
}

/* The next n bytes, or NULL with the cursor failed. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
    const uint8_t *p = r->p;

    if (__builtin_expect(rd_left(r) < n, 0)) {
        rd_fail(r, ERR_TRUNCATED);
        return NULL;
    }
    r->p += n;
    return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_take(r, 1);

    return p ? *p : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = rd_take(r, 2);
    uint16_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return be16toh(v);
}

static inline uint32_t rd_u24(struct rd *r)
{
    const uint8_t *p = rd_take(r, 3);

    return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = rd_take(r, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return be32toh(v);
}

static inline uint64_t rd_u64(struct rd *r)
{
    const uint8_t *p = rd_take(r, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return be64toh(v);
}

static inline struct view rd_bytes(struct rd *r, size_t n)
{
    const uint8_t *p = rd_take(r, n);

    return p ? view_of(p, n) : VIEW_NONE;
}

/* ---- wr: a failure moves the end to p, so that one comparison guards each write ------------- */

/* Room for the next n bytes, or NULL with the cursor failed. */
static inline uint8_t *wr_take(struct wr *w, size_t n)
{
    uint8_t *p = w->p;

    if (__builtin_expect((size_t)(w->end - p) < n, 0)) {
        wr_fail(w);
        return NULL;
    }
    w->p += n;
    return p;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
    uint8_t *p = wr_take(w, 1);

    if (p)
        *p = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t *p = wr_take(w, 2);

    v = htobe16(v);
    if (p)
        memcpy(p, &v, sizeof(v));
}

static inline void wr_u24(struct wr *w, uint32_t v)
{
    uint8_t *p = wr_take(w, 3);

    if (p) {
        p[0] = (uint8_t)(v >> 16);
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)v;
    }
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t *p = wr_take(w, 4);

    v = htobe32(v);
    if (p)
        memcpy(p, &v, sizeof(v));
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
    uint8_t *p = wr_take(w, 8);

    v = htobe64(v);
    if (p)
        memcpy(p, &v, sizeof(v));
}

static inline void wr_bytes(struct wr *w, struct view v)
{
    uint8_t *p = v.n ? wr_take(w, v.n) : NULL;

    if (p)
        memcpy(p, v.p, v.n);
}

/* ---- list ----------------------------------------------------------------------------------- */

static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list *node)
{
    return node->next != NULL;
}

static inline void list_push(struct list *head, struct list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_push(head->next, node);
}

static inline void list_del(struct list *node)
{
    if (!list_linked(node))
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
}

static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_del(first);
    return first;
}

/* ---- timer ---------------------------------------------------------------------------------- */

static inline bool timer_active(const struct timer *t)
{
    return t->link != NULL;
}

/* ---- counter: one writer, so an addition needs no read-modify-write ------------------------- */

static inline void counter_add(struct counters *c, enum counter which, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->v[which], memory_order_relaxed);

    atomic_store_explicit(&c->v[which], v + n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counters *c, enum counter which)
{
    return atomic_load_explicit(&c->v[which], memory_order_relaxed);
}

#endif
