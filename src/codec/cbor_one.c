/* application/cbor (60): one value (LwM2M Core 7.4.2). */
#include "codec/cbor.h"
#include "codec/content.h"

int cbor_one_decode(const struct content_env *env, struct view body, const struct path *base,
                    struct batch *ret_batch)
{
    struct cbor c = cbor_init(body);
    struct record r = {.path = *base};
    struct buf scratch;
    int rc = content_leaf(base);

    if (rc < 0)
        return rc;
    buf_init(&scratch, body.n);
    rc = cbor_value(&c, &scratch, &r.value);
    if (rc == ERR_OK)
        rc = cbor_done(&c);
    if (rc == ERR_OK && r.value.type == VALUE_NONE) /* null is what an executable has */
        rc = ERR_TYPE;
    if (rc == ERR_OK)
        rc = content_put(env, base, &r, ret_batch);
    buf_fini(&scratch);
    return rc;
}

int cbor_one_encode(const struct content_env *env, const struct batch *values,
                    const struct path *base, struct buf *out)
{
    const struct record *r = NULL;
    int rc = content_only(values, base, &r);

    (void)env;
    if (rc == ERR_OK)
        cbor_put_value(out, &r->value);
    return rc;
}
