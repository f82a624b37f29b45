#include "api/internal.h"

#include <stdio.h>

/* {"pmin":10,"gt":null} → "pmin=10&gt": null unsets at this level (LwM2M Core 7.3.2). */
static bool build_query(struct call *c, struct buf *out)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, c->json)
    {
        char number[32];

        buf_fmt(out, "%s%s", out->n ? "&" : "", item->string);
        if (cJSON_IsNull(item))
            continue;
        if (cJSON_IsBool(item)) {
            buf_fmt(out, "=%d", cJSON_IsTrue(item) ? 1 : 0);
        } else if (cJSON_IsNumber(item)) {
            text_double(item->valuedouble, number);
            buf_fmt(out, "=%s", number);
        } else {
            problem_respond(c, ERR_INVALID,
                            "an attribute is a number, a Boolean, or null to unset it");
            return false;
        }
    }
    if (out->rc < 0 || out->n == 0)
        problem_respond(c, ERR_INVALID, "no attributes given");
    return out->rc == ERR_OK && out->n > 0;
}

static void put_finished(struct call *c)
{
    if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}

void attributes_put(struct call *c)
{
    const char *what = NULL;
    struct buf query;
    struct op *op;
    int rc;

    if (!c->json) {
        problem_status(c, 400, "body-missing", "a body is needed", NULL);
        return;
    }
    buf_init(&query, 512);
    if (build_query(c, &query)) {
        rc = attr_check(buf_view(&query), &c->object_path, &what);
        op = rc < 0 ? NULL : call_op(c, OP_WRITE_ATTRIBUTES);
        if (rc < 0)
            problem_respond(c, rc, what);
        if (op) {
            op->text = mem_text(query.p, query.n);
            if (durable_take(c, op))
                durable_submit(c, op, put_finished);
            else
                op_free(op);
        }
    }
    buf_fini(&query);
}

/* ---- what a Discover says of exactly this path ---- */

struct wanted {
    struct path path;
    cJSON *attributes;
    bool found;
};

static int pick(void *ctx, const struct link *l)
{
    struct wanted *w = ctx;
    struct path path;

    if (w->found || !l->target.p || path_parse(l->target, &path) < 0 || !path_eq(&path, &w->path))
        return ERR_OK;
    w->found = true;
    for (size_t i = 0; i < l->param_count; i++) {
        char *name = mem_text(l->params[i].name.p, l->params[i].name.n);
        double number;

        if (name && view_double(l->params[i].value, &number) == ERR_OK)
            cJSON_AddNumberToObject(w->attributes, name, number);
        mem_free(name);
    }
    return ERR_OK;
}

static void show_finished(struct call *c)
{
    struct wanted w = {.path = c->object_path};
    struct op *op = c->op;
    cJSON *json;

    if (durable_later(c, show_finished))
        return;
    if (op->result.rc < 0) {
        problem_of_op(c, op);
        return;
    }
    json = cJSON_CreateObject();
    w.attributes = json;
    if (op->result.text)
        link_parse(view_str(op->result.text), pick, &w);
    call_json(c, MHD_HTTP_OK, json);
}

void attributes_show(struct call *c)
{
    struct op *op = durable_check(c) ? call_op(c, OP_DISCOVER) : NULL;

    if (op)
        call_submit(c, op, show_finished);
}
