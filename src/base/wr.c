#include "base/base.h"

struct wr wr_init(void *p, size_t n)
{
    return (struct wr){.start = p, .p = p, .end = n ? (uint8_t *)p + n : p};
}

void wr_fail(struct wr *w)
{
    w->rc = ERR_LIMIT;
    w->end = w->p;
}

struct view wr_view(const struct wr *w)
{
    return view_of(w->start, (size_t)(w->p - w->start));
}
