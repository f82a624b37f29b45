#include "base/base.h"

#include <stdio.h>

#define BUF_CAP_MIN ((size_t)64)

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->rc = ERR_OK;
}

/* Makes room for n more bytes of content and the NUL of buf_cstr; false with rc set otherwise. */
static bool reserve(struct buf *b, size_t n)
{
    size_t cap;
    uint8_t *p;

    if (b->rc < 0)
        return false;
    if (b->n > b->max || n > b->max - b->n) {
        b->rc = ERR_LIMIT;
        return false;
    }
    if (b->n + n < b->cap)
        return true;
    cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap * 2;
    if (cap <= b->n + n)
        cap = b->n + n + 1;
    if (cap > b->max && b->max < SIZE_MAX)
        cap = b->max + 1;
    p = mem_resize(b->p, cap);
    if (!p) {
        b->rc = ERR_NOMEM;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_put_view(struct buf *b, struct view v)
{
    buf_put(b, v.p, v.n);
}

void buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    if (reserve(b, 1))
        b->p[b->n++] = v;
}

void buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
    size_t room = b->cap - b->n;
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(room ? (char *)b->p + b->n : NULL, room, fmt, ap);
    if (n < 0) {
        if (b->rc == ERR_OK)
            b->rc = ERR_INVALID;
    } else if (reserve(b, (size_t)n)) {
        if ((size_t)n >= room)
            vsnprintf((char *)b->p + b->n, b->cap - b->n, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vfmt(b, fmt, ap);
    va_end(ap);
}

const char *buf_cstr(struct buf *b)
{
    if (!reserve(b, 0))
        return NULL;
    b->p[b->n] = '\0';
    return (const char *)b->p;
}

struct view buf_view(const struct buf *b)
{
    return b->p ? view_of(b->p, b->n) : VIEW_LIT("");
}
