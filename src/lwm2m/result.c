#include "lwm2m/run.h"

#define DIAGNOSTIC_MAX 1024
#define LINKS_MAX ((size_t)1 << 20)

/* ---- failures -------------------------------------------------------------------------------- */

/* RFC 7252 section 5.5.2: a diagnostic payload is UTF-8, for people. */
static void read_diagnostic(struct op *op, const struct answer *a)
{
    struct view text = view_sub(a->body, 0, DIAGNOSTIC_MAX);

    if (text.n > 0 && (a->format == FORMAT_NONE || a->format == FORMAT_TEXT) &&
        view_utf8(text) == ERR_OK)
        op->result.text = mem_text(text.p, text.n);
}

/* ---- values ---------------------------------------------------------------------------------- */

static int read_values(struct domain *d, struct device *dev, struct op *op, const struct answer *a,
                       uint64_t now)
{
    struct batch *values = batch_new();
    struct content_env env;
    int rc;

    if (values == NULL)
        return ERR_NOMEM;
    domain_env(d, dev, now, &env);
    env.use = composite_is(op) ? CONTENT_COMPOSITE : CONTENT_ANSWER;
    rc = content_decode(a->format, &env, a->body, &op->path, values);
    if (rc == ERR_OK) {
        op->result.values = values;
        return ERR_OK;
    }
    batch_free(values);
    /* What cannot be understood is handed on as it came. */
    op->result.body = blob_new(a->body);
    return ERR_BADANSWER;
}

/* ---- links ----------------------------------------------------------------------------------- */

/* Targets without the alternate path: operators know the device by object paths alone. */
static int read_links(struct domain *d, struct device *dev, struct op *op, const struct answer *a,
                      uint64_t now)
{
    struct view alt = dev->list->alt_path;
    struct buf out;
    bool quoted = false;

    (void)d;
    (void)now;
    if (view_utf8(a->body) < 0)
        return ERR_BADANSWER;
    buf_init(&out, LINKS_MAX);
    for (size_t i = 0; i < a->body.n; i++) {
        uint8_t ch = a->body.p[i];
        struct view ahead = view_sub(a->body, i + 1, alt.n);

        buf_put_u8(&out, ch);
        if (ch == '"')
            quoted = !quoted;
        if (ch == '<' && !quoted && alt.n > 0 && view_eq(ahead, alt))
            i += alt.n;
    }
    op->result.text = out.rc == ERR_OK ? mem_text(out.p, out.n) : NULL;
    buf_fini(&out);
    return op->result.text != NULL ? ERR_OK : ERR_NOMEM;
}

/* ---- locations ------------------------------------------------------------------------------- */

/* Several clients leave the location out; then it is the instance we have named ourselves. */
static int read_location(struct domain *d, struct device *dev, struct op *op,
                         const struct answer *a, uint64_t now)
{
    struct view v = a->location, alt = dev->list->alt_path;
    struct path p = op->path;
    bool known = false;

    (void)d;
    (void)now;
    if (alt.n > 0 && v.n > alt.n && view_eq(view_sub(v, 0, alt.n), alt))
        v = view_sub(v, alt.n, v.n);
    if (v.n > 0) {
        known = path_parse(v, &p) == ERR_OK && p.depth == 2 && p.id[0] == op->path.id[0];
    } else if (op->path.depth == 2) {
        known = true;
    } else if (op->values != NULL && batch_size(op->values) > 0) {
        p = batch_at(op->values, 0)->path;
        p.depth = 2;
        known = p.id[1] != MODEL_ID_NONE;
    }
    if (known) {
        op->result.location = p;
        op->result.has_location = true;
    }
    return ERR_OK;
}

typedef int (*read_fn)(struct domain *d, struct device *dev, struct op *op, const struct answer *a,
                       uint64_t now);
static const read_fn readers[OP_KIND_COUNT] = {
    [OP_READ] = read_values,           [OP_OBSERVE] = read_values,
    [OP_READ_COMPOSITE] = read_values, [OP_OBSERVE_COMPOSITE] = read_values,
    [OP_DISCOVER] = read_links,        [OP_CREATE] = read_location,
};

int result_read(struct domain *d, struct device *dev, struct op *op, const struct answer *a,
                uint64_t now)
{
    bool takes_blob = readers[op->kind] == read_values;

    op->result.coap_code = a->code;
    op->result.format = a->format;
    op->result.answered_ms = domain_unix_ms(d, now);
    if (a->blob != NULL && takes_blob && PDU_CODE_CLASS(a->code) == 2) {
        op->result.body = a->blob;
        return ERR_OK;
    }
    if (PDU_CODE_CLASS(a->code) != 2) {
        blob_free(a->blob);
        read_diagnostic(op, a);
        return ERR_DEVICE;
    }
    if (a->blob != NULL) {
        blob_free(a->blob);
        return readers[op->kind] != NULL ? ERR_TOOLARGE : ERR_OK;
    }
    return readers[op->kind] != NULL ? readers[op->kind](d, dev, op, a, now) : ERR_OK;
}

/* ---- what we know now ------------------------------------------------------------------------ */

/* Not every client announces an instance that it has made or lost for us (Anjay does not at once).
 */
static void learn_instance(struct domain *d, struct device *dev, const struct path *instance,
                           bool added, uint64_t now)
{
    struct objlist *list;

    if (objlist_pool_has(dev->list, instance) == added ||
        objlist_pool_edit(d, dev->list, instance, added, &list) < 0)
        return;
    objlist_pool_unref(d, dev->list);
    dev->list = list;
    job_store(d, dev, now);
}

static bool is_lifetime(const struct path *p)
{
    return p->depth == 3 && p->id[0] == 1 && p->id[2] == 1;
}

/* /1/x/1 of the one instance there is; of several we do not know which speaks of us. */
static void learn_lifetime(struct domain *d, struct device *dev, const struct batch *values,
                           uint64_t now)
{
    const struct record *found = NULL;
    int64_t seconds;

    for (size_t i = 0; values != NULL && i < batch_size(values); i++) {
        const struct record *r = batch_at(values, i);

        if (!is_lifetime(&r->path))
            continue;
        if (found != NULL)
            return;
        found = r;
    }
    if (found == NULL)
        return;
    if (found->value.type == VALUE_INTEGER)
        seconds = found->value.u.integer;
    else if (found->value.type == VALUE_UNSIGNED && found->value.u.unsigned_ <= UINT32_MAX)
        seconds = (int64_t)found->value.u.unsigned_;
    else
        return;
    if (seconds < 0 || seconds > UINT32_MAX ||
        ((dev->flags & DEVICE_LIFETIME_GIVEN) != 0 && dev->lifetime_s == seconds))
        return;
    dev->lifetime_s = (uint32_t)seconds;
    dev->flags |= DEVICE_LIFETIME_GIVEN;
    expiry_restart(d, dev, now);
    job_store(d, dev, now);
}

static const struct {
    bool told, taken;
} recorded[OP_KIND_COUNT] = {
    [OP_READ] = {.told = true},
    [OP_READ_COMPOSITE] = {.told = true},
    [OP_WRITE_REPLACE] = {.taken = true},
    [OP_WRITE_UPDATE] = {.taken = true},
    [OP_WRITE_COMPOSITE] = {.taken = true},
};

static void record(struct domain *d, const struct device *dev, const struct op *op, uint64_t now)
{
    const struct batch *values = recorded[op->kind].told ? op->result.values : op->values;

    if (d->ops->values == NULL || !(recorded[op->kind].told || recorded[op->kind].taken) ||
        values == NULL)
        return;
    d->ops->values(d->ctx, device_endpoint(dev), dev->id,
                   recorded[op->kind].told ? ORIGIN_READ : ORIGIN_WRITE, values,
                   domain_unix_ms(d, now));
}

void result_learn(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    bool unknown_lifetime = (dev->flags & DEVICE_LIFETIME_GIVEN) == 0;

    record(d, dev, op, now);
    if (op->kind == OP_CREATE && op->result.has_location)
        learn_instance(d, dev, &op->result.location, true, now);
    else if (op->kind == OP_DELETE && op->path.depth == 2)
        learn_instance(d, dev, &op->path, false, now);
    else if (recorded[op->kind].taken)
        /* Wakaama never tells us of it in an Update. */
        learn_lifetime(d, dev, op->values, now);
    else if (op->kind == OP_READ && unknown_lifetime)
        learn_lifetime(d, dev, op->result.values, now);
}
