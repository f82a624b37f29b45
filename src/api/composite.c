#include "api/internal.h"

/* Several paths in one operation: composite where the device can, single operations where not. */

#define PATHS_MAX 64

int composite_paths(const cJSON *paths, struct batch *ret_names)
{
    const cJSON *item;
    int rc = ERR_OK;

    if (!cJSON_IsArray(paths) || cJSON_GetArraySize(paths) == 0 ||
        cJSON_GetArraySize(paths) > PATHS_MAX)
        return ERR_INVALID;
    cJSON_ArrayForEach(item, paths)
    {
        struct record r = {.value = {.type = VALUE_NONE}};

        if (!cJSON_IsString(item) || path_parse(view_str(item->valuestring), &r.path) < 0)
            return ERR_PATH;
        rc = batch_find(ret_names, &r.path) ? ERR_DUPLICATE : batch_add(ret_names, &r);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static struct op *begin(struct call *c, enum op_kind kind)
{
    struct op *op;

    if (!c->json) {
        problem_status(c, 400, "body-missing", "a body is needed", NULL);
        return NULL;
    }
    op = call_op(c, kind);
    if (!op)
        return NULL;
    op->values = batch_new();
    if (op->values)
        return op;
    op_free(op);
    problem_respond(c, ERR_NOMEM, NULL);
    return NULL;
}

/* ---- read ---- */

static void read_outcome(struct call *c)
{
    const struct op *op = c->op;
    static const struct path root = {.depth = 0};

    if (op->result.rc < 0)
        problem_of_op(c, op);
    else
        call_json(c, MHD_HTTP_OK,
                  json_values(&root, op->result.values, "read", op->result.answered_ms));
}

void composite_read(struct call *c)
{
    struct op *op = begin(c, OP_READ_COMPOSITE);
    int rc;

    if (!op)
        return;
    rc = composite_paths(cJSON_GetObjectItemCaseSensitive(c->json, "paths"), op->values);
    if (rc < 0) {
        op_free(op);
        problem_respond(c, rc, "paths is an array of 1 to 64 different object paths");
        return;
    }
    resources_submit_read(c, op, read_outcome);
}

/* ---- write ---- */

static void write_outcome(struct call *c)
{
    if (c->op->result.rc < 0)
        problem_of_op(c, c->op);
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}

void composite_write(struct call *c)
{
    struct op *op = begin(c, OP_WRITE_COMPOSITE);
    struct registry *registry;
    const char *what = NULL;
    int rc;

    if (!op)
        return;
    registry = models_get(c->api->deps.models);
    rc = json_to_batch(c->json, &op->path, registry, op->values, &what);
    registry_unref(registry);
    if (rc < 0) {
        op_free(op);
        problem_respond(c, rc == ERR_RANGE ? ERR_TYPE : rc, what);
        return;
    }
    if (durable_take(c, op))
        durable_submit(c, op, write_outcome);
    else
        op_free(op);
}
