#include "lwm2m/run.h"

/*
 * LwM2M Core 6.2.1: a Register voids the observations of the registration before it, and the server
 * makes anew those that it wants. What an operator has asked for is wanted until it is cancelled,
 * or refused by the device. It keeps its token, which is what operators know it by: to the device
 * that is the same interest registered again (RFC 7641 section 3.3.1).
 *
 * The store passes the rows on within the transaction of the Register, so that none is lost if we
 * are. In memory they follow the endpoint as operations of ours, like those of operators, to
 * whatever shard the device is on now. There they are asked for one after the other; a device that
 * does not answer is asked again after its next Update.
 */

static void done(struct op *op)
{
    op_free(op);
}

static struct op *make_op(struct view endpoint, const struct report *r)
{
    struct op *op = op_new(r->names != NULL ? OP_OBSERVE_COMPOSITE : OP_OBSERVE, endpoint);

    if (op == NULL)
        return NULL;
    op->path = r->path;
    op->done = done;
    op->values = r->names != NULL ? batch_copy(r->names) : NULL;
    if (r->names != NULL && op->values == NULL) {
        op_free(op);
        return NULL;
    }
    if (r->attributes[0] == '\0')
        return op;
    op->text = mem_text(r->attributes, strlen(r->attributes));
    if (op->text == NULL) {
        op_free(op);
        return NULL;
    }
    return op;
}

void wanted_leave(struct domain *d, const struct device *dev)
{
    if (dev->rare == NULL)
        return;
    list_each(&dev->rare->reports, it)
    {
        const struct report *r = list_item(it, struct report, node);
        struct op *op = r->durable ? make_op(device_endpoint(dev), r) : NULL;

        /* Without memory the store alone remembers it, until the next start. */
        if (op == NULL)
            continue;
        op->token = r->relation.token;
        op->format = r->format;
        counter_add(d->counters, COUNTER_ops_started, 1);
        queue_stray(d, op);
    }
}

static int adopt(struct domain *d, struct device *dev, const struct op *op)
{
    struct observation o = {
        .token = op->token,
        .path = op->path,
        .format = op->format,
        .attributes = view_str(op->text),
    };
    char paths[OP_OBSERVATION_PATHS] = "";

    if (op->kind == OP_OBSERVE_COMPOSITE && op->values != NULL)
        (void)report_names_format(op->values, paths);
    o.paths = view_str(paths);
    if (report_find(dev, op->token) != NULL)
        return ERR_OK;
    if (dev->rare != NULL && dev->rare->report_count >= d->cfg.observation_limit) {
        report_unstore(d, op->token, NULL);
        return ERR_LIMIT;
    }
    return report_want(dev, &o) != NULL ? ERR_OK : ERR_NOMEM;
}

void wanted_inherit(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    manage_complete(d, op, adopt(d, dev, op));
    wanted_start(d, dev, now);
}

/* On its way to the shard that has the endpoint now. */
static void pass_on(struct domain *d, const struct observation *o, struct view endpoint)
{
    bool composite = o->paths.n > 0;
    struct op *op = op_new(composite ? OP_OBSERVE_COMPOSITE : OP_OBSERVE, endpoint);

    if (op == NULL)
        return;
    op->values = composite ? report_names_parse(o->paths) : NULL;
    op->path = o->path;
    op->format = o->format;
    op->token = o->token;
    op->done = done;
    op->text = mem_text(o->attributes.p, o->attributes.n);
    counter_add(d->counters, COUNTER_ops_started, 1);
    queue_stray(d, op);
}

void wanted_carried(struct domain *d, struct device *dev, const struct observation *o,
                    const struct registration *r)
{
    if (dev == NULL)
        pass_on(d, o, r->endpoint);
    else if (report_find(dev, o->token) == NULL)
        (void)report_want(dev, o);
}

static struct report *first_untried(const struct device *dev)
{
    list_each(&dev->rare->reports, it)
    {
        struct report *r = list_item(it, struct report, node);

        if (r->state == REPORT_WANTED && !r->tried)
            return r;
    }
    return NULL;
}

void wanted_next(struct domain *d, struct device *dev)
{
    struct report *r = dev->rare != NULL ? first_untried(dev) : NULL;
    struct op *op;
    int rc;

    if (r == NULL)
        return;
    op = make_op(device_endpoint(dev), r);
    if (op == NULL)
        return;
    r->tried = true;
    counter_add(d->counters, COUNTER_ops_started, 1);
    rc = manage_remake(d, dev, op, r->relation.token);
    if (rc < 0)
        manage_complete(d, op, rc);
}

void wanted_wake(struct domain *d, struct device *dev)
{
    if (dev->rare == NULL || dev->rare->remaking || !presence_awake(dev))
        return;
    list_each(&dev->rare->reports, it) list_item(it, struct report, node)->tried = false;
    wanted_next(d, dev);
}

void wanted_start(struct domain *d, struct device *dev, uint64_t now)
{
    wanted_wake(d, dev);
    if (dev->rare != NULL && dev->rare->remaking)
        queue_pump(d, dev, now);
}

void wanted_refused(struct domain *d, struct device *dev, uint64_t token, int rc, uint8_t code,
                    uint64_t now)
{
    struct report *r = report_find(dev, token);
    char text[5];

    if (r == NULL || r->state != REPORT_WANTED)
        return;
    pdu_code_format(code, text);
    r->announced = true; /* the end is news all the same */
    report_unstore(d, token, NULL);
    report_end(d, r, rc, text, now);
}
