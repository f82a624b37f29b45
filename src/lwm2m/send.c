#include "lwm2m/internal.h"

/* LwM2M Core 6.4.6: POST /dp. The message does not say whose it is; the address it comes from does.
 */

static int check_format(int32_t format)
{
    const struct content_format *f = content_format(format);

    if (format == FORMAT_NONE)
        return ERR_INVALID;
    return f != NULL && content_usable(f, CONTENT_SEND) ? ERR_OK : ERR_FORMAT;
}

/* Instances must have been registered, so that an object announced without any has none to speak
 * of. */
static bool is_announced(const struct objlist *list, const struct path *p)
{
    struct path instance = *p;

    if (p->depth < 2)
        return objlist_pool_find(list, p->id[0]) != NULL;
    instance.depth = 2;
    return objlist_pool_has(list, &instance);
}

static int check_objects(const struct device *dev, const struct batch *values)
{
    for (size_t i = 0; i < batch_size(values); i++)
        if (!is_announced(dev->list, &batch_at(values, i)->path))
            return ERR_UNREGISTERED;
    return batch_size(values) > 0 ? ERR_OK : ERR_INVALID;
}

static int read_values(struct domain *d, const struct device *dev, const struct request *req,
                       struct batch *values, uint64_t now)
{
    static const struct path root = {.depth = 0};
    struct content_env env;
    int rc;

    domain_env(d, dev, now, &env);
    env.use = CONTENT_SEND;
    rc = content_decode(req->format, &env, req->body, &root, values);
    if (rc == ERR_NOMEM)
        return rc;
    return rc < 0 ? ERR_MALFORMED : check_objects(dev, values);
}

static int take(struct domain *d, struct device *dev, const struct request *req, uint64_t now)
{
    struct batch *values;
    struct event *e;
    int rc = check_format(req->format);

    if (rc < 0)
        return rc;
    values = batch_new();
    if (values == NULL)
        return ERR_NOMEM;
    rc = read_values(d, dev, req, values, now);
    if (rc < 0) {
        batch_free(values);
        return rc;
    }
    e = domain_event(d, EVENT_SEND, dev, now);
    if (e == NULL) {
        batch_free(values);
        return ERR_NOMEM;
    }
    e->values = values;
    domain_emit(d, e);
    return ERR_OK;
}

void send_request(struct domain *d, struct request *req, uint64_t now)
{
    struct device *dev = chain_by_addr(d, &req->flow.peer);
    int rc = ERR_UNREGISTERED;

    if (dev != NULL && device_speaks(d, dev, &req->flow)) {
        device_seen(d, dev, now);
        rc = take(d, dev, req, now);
    }
    counter_add(d->counters, rc < 0 ? COUNTER_sends_refused : COUNTER_sends, 1);
    if (rc < 0)
        domain_refuse(d, req, rc, now);
    else
        domain_answer(d, req, PDU_CHANGED, now);
}
