/* application/octet-stream (42): one opaque value, byte for byte. */
#include "codec/content.h"

int opaque_decode(const struct content_env *env, struct view body, const struct path *base,
                  struct batch *ret_batch)
{
    struct record r = {.path = *base, .value = {.type = VALUE_OPAQUE, .u.bytes = body}};
    int rc = content_leaf(base);

    return rc < 0 ? rc : content_put(env, base, &r, ret_batch);
}

int opaque_encode(const struct content_env *env, const struct batch *values,
                  const struct path *base, struct buf *out)
{
    const struct record *r = NULL;
    int rc = content_only(values, base, &r);

    (void)env;
    if (rc < 0)
        return rc;
    if (r->value.type != VALUE_OPAQUE)
        return ERR_FORMAT;
    buf_put_view(out, r->value.u.bytes);
    return ERR_OK;
}
