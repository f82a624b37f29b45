#include "base/base.h"

struct rd rd_init(struct view v)
{
    /* Never a NULL pointer, so that empty reads stay distinct from failed ones. */
    if (!v.p)
        v = VIEW_LIT("");
    return (struct rd){.p = v.p, .end = v.p + v.n};
}

void rd_fail(struct rd *r, int rc)
{
    if (r->rc == ERR_OK)
        r->rc = rc;
    r->p = r->end;
}

int rd_done(const struct rd *r)
{
    if (r->rc < 0)
        return r->rc;
    return rd_end(r) ? ERR_OK : ERR_TRAILING;
}
