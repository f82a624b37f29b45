#include "lwm2m/run.h"

/*
 * What can be known to fail is not sent: the levels of LwM2M Core table 6.3, the model, attributes
 * and arguments. A resource that no model describes is let through.
 */

#define ATTRIBUTES_MAX (sizeof(((struct op_observation *)NULL)->attributes) - 1)

struct check {
    struct content_env env;
    const struct device *dev;
    struct op *op;
};

static const struct resource_def *definition(const struct content_env *env, const struct path *p)
{
    const struct objlist_entry *e = objlist_pool_find(env->objects, p->id[0]);
    struct version v = e != NULL ? e->version : (struct version){0, 0};
    const struct resource_def *def;

    if (p->depth < 3)
        return NULL;
    def = registry_resource(env->registry, p, v);
    /* Devices announce an older version than what they implement. */
    return def != NULL ? def : registry_resource(env->registry, p, (struct version){0, 0});
}

static int check_access(const struct content_env *env, const struct path *p, uint8_t need)
{
    const struct resource_def *def = definition(env, p);

    if (def == NULL)
        return ERR_OK;
    if ((def->ops & need) != need || (p->depth == 4 && !def->multiple))
        return ERR_OPERATION;
    return ERR_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int convert(const struct check *c, const struct record *from, bool writable,
                   struct batch *to)
{
    const struct resource_def *def = definition(&c->env, &from->path);
    struct record r = *from;
    int rc = ERR_OK;

    if (!path_covers(&c->op->path, &r.path) || r.path.depth < 3)
        return ERR_PATH;
    if (def != NULL) {
        if (writable && (def->ops & RESOURCE_WRITE) == 0)
            return ERR_OPERATION;
        if (r.value.type != VALUE_NONE && def->multiple != (r.path.depth == 4))
            return ERR_TYPE;
        if (r.value.type != VALUE_NONE && def->type != VALUE_NONE)
            rc = value_coerce(&r.value, def->type);
    }
    return rc == ERR_OK ? batch_add(to, &r) : rc;
}

static int check_values(const struct check *c, bool writable)
{
    struct op *op = c->op;
    struct batch *converted = batch_new();
    int rc = converted != NULL ? ERR_OK : ERR_NOMEM;

    for (size_t i = 0; rc == ERR_OK && i < batch_size(op->values); i++)
        rc = convert(c, batch_at(op->values, i), writable, converted);
    if (rc < 0) {
        batch_free(converted);
        return rc;
    }
    batch_free(op->values);
    op->values = converted;
    return ERR_OK;
}

static int check_write(const struct check *c)
{
    const struct resource_def *def = definition(&c->env, &c->op->path);

    if (c->op->body == NULL)
        return c->op->values != NULL && batch_size(c->op->values) > 0 ? check_values(c, true)
                                                                      : ERR_INVALID;
    if (c->op->values != NULL || c->op->path.depth < 3)
        return ERR_INVALID;
    return def == NULL || def->type == VALUE_OPAQUE || def->type == VALUE_NONE ? ERR_OK : ERR_TYPE;
}

/* On a resource only where it is an array: nothing of it is deleted (Core 6.3.3). */
static int check_update(const struct check *c)
{
    const struct resource_def *def = definition(&c->env, &c->op->path);

    if (c->op->body != NULL)
        return ERR_INVALID;
    if (def != NULL && !def->multiple)
        return ERR_OPERATION;
    return check_write(c);
}

static int check_create(const struct check *c)
{
    const struct objlist *list = c->dev->list;
    int rc;

    if (c->op->body != NULL)
        return ERR_INVALID;
    if (c->op->path.depth == 2 && objlist_pool_has(list, &c->op->path))
        return ERR_EXISTS;
    if (c->op->values == NULL) {
        c->op->values = batch_new();
        return c->op->values != NULL ? ERR_OK : ERR_NOMEM;
    }
    rc = check_values(c, false);
    /* One instance at a time. */
    for (size_t i = 1; rc == ERR_OK && i < batch_size(c->op->values); i++)
        if (batch_at(c->op->values, i)->path.id[1] != batch_at(c->op->values, 0)->path.id[1])
            rc = ERR_PATH;
    return rc;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int check_delete(const struct check *c)
{
    if (c->op->path.depth == 3)
        return ERR_PATH;
    return c->op->path.depth == 4 && c->dev->version.minor == 0 ? ERR_OPERATION : ERR_OK;
}

static int check_discover(const struct check *c)
{
    return c->op->depth >= -1 && c->op->depth <= 3 ? ERR_OK : ERR_INVALID;
}

static int check_query(const struct check *c)
{
    const char *what = NULL;
    int rc = attr_check(view_str(c->op->text), &c->op->path, &what);

    if (rc < 0 && what != NULL)
        c->op->result.text = mem_text(what, strlen(what));
    return rc;
}

static int check_attributes(const struct check *c)
{
    return c->op->text != NULL && c->op->text[0] != '\0' ? check_query(c) : ERR_INVALID;
}

static int check_observe(const struct check *c)
{
    if (c->op->text == NULL || c->op->text[0] == '\0')
        return ERR_OK;
    return strlen(c->op->text) <= ATTRIBUTES_MAX ? check_query(c) : ERR_RANGE;
}

static int check_execute(const struct check *c)
{
    return c->op->text != NULL ? execargs_check(view_str(c->op->text)) : ERR_OK;
}

/* What cannot be read is left out (Core 6.3.8); one of them has to be readable. */
static int check_names(const struct check *c)
{
    const struct op *op = c->op;
    int rc = ERR_INVALID;

    for (size_t i = 0; op->values != NULL && i < batch_size(op->values); i++) {
        const struct record *r = batch_at(op->values, i);

        if (r->value.type != VALUE_NONE)
            return ERR_INVALID;
        if (rc != ERR_OK)
            rc = check_access(&c->env, &r->path, RESOURCE_READ);
    }
    return rc;
}

static int check_write_composite(const struct check *c)
{
    int rc = c->op->values != NULL && batch_size(c->op->values) > 0 && c->op->body == NULL
                 ? ERR_OK
                 : ERR_INVALID;

    for (size_t i = 0; rc == ERR_OK && i < batch_size(c->op->values); i++) {
        const struct record *r = batch_at(c->op->values, i);

        if (r->value.type == VALUE_NONE && r->path.depth != 4)
            rc = ERR_PATH;
    }
    if (rc < 0)
        return rc;
    batch_sort(c->op->values);
    return check_values(c, true);
}

/* Only what makes sense for all paths together (Core 1.2 table 7.3). */
static int check_observe_composite(const struct check *c)
{
    static const struct path object = {.depth = 1};
    char paths[OP_OBSERVATION_PATHS];
    const char *what = NULL;
    int rc = check_names(c);

    if (rc == ERR_OK)
        rc = report_names_format(c->op->values, paths);
    if (rc < 0 || c->op->text == NULL || c->op->text[0] == '\0')
        return rc;
    if (strlen(c->op->text) > ATTRIBUTES_MAX || strstr(c->op->text, "hqmax") != NULL)
        return ERR_RANGE;
    rc = attr_check(view_str(c->op->text), &object, &what);
    if (rc < 0 && what != NULL)
        c->op->result.text = mem_text(what, strlen(what));
    return rc;
}

/* Levels of the path; what the model must allow a resource; the rest. */
static const struct {
    uint8_t from, to;
    uint8_t access; /* enum resource_ops */
    int (*more)(const struct check *c);
} rules[OP_KIND_COUNT] = {
    [OP_STATUS] = {0, 4, 0, NULL},
    [OP_READ] = {1, 4, RESOURCE_READ, NULL},
    [OP_DISCOVER] = {1, 3, 0, check_discover},
    [OP_WRITE_REPLACE] = {2, 4, RESOURCE_WRITE, check_write},
    [OP_WRITE_UPDATE] = {2, 3, RESOURCE_WRITE, check_update},
    [OP_WRITE_ATTRIBUTES] = {1, 4, 0, check_attributes},
    [OP_EXECUTE] = {3, 3, RESOURCE_EXECUTE, check_execute},
    [OP_CREATE] = {1, 2, 0, check_create},
    [OP_DELETE] = {2, 4, 0, check_delete},
    [OP_OBSERVE] = {1, 4, RESOURCE_READ, check_observe},
    [OP_READ_COMPOSITE] = {0, 0, 0, check_names},
    [OP_WRITE_COMPOSITE] = {0, 0, 0, check_write_composite},
    [OP_OBSERVE_COMPOSITE] = {0, 0, 0, check_observe_composite},
    [OP_OBSERVE_CANCEL] = {0, 4, 0, NULL},
    [OP_OBSERVE_LIST] = {0, 4, 0, NULL},
    [OP_DEREGISTER] = {0, 4, 0, NULL},
    [OP_CANCEL] = {0, 4, 0, NULL},
};

int check_op(struct domain *d, struct device *dev, struct op *op, uint64_t now)
{
    struct check c = {.dev = dev, .op = op};
    int rc = ERR_OK;

    if (op->path.depth < rules[op->kind].from || op->path.depth > rules[op->kind].to)
        return ERR_PATH;
    domain_env(d, dev, now, &c.env);
    if (rules[op->kind].access != 0)
        rc = check_access(&c.env, &op->path, rules[op->kind].access);
    if (rc == ERR_OK && rules[op->kind].more != NULL)
        rc = rules[op->kind].more(&c);
    return rc;
}
