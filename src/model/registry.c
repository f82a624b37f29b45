#include "model/model.h"

#include <assert.h>

struct registry {
    _Atomic uint32_t refs;
    size_t n;
    size_t cap;
    struct object_def **defs; /* ascending id, then version */
};

struct registry *registry_new(void)
{
    struct registry *r = mem_new(sizeof *r);

    if (r != NULL)
        atomic_init(&r->refs, 1);
    return r;
}

struct registry *registry_ref(struct registry *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void registry_unref(struct registry *r)
{
    if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < r->n; i++)
        object_def_free(r->defs[i]);
    mem_free(r->defs);
    mem_free(r);
}

static int def_cmp(const struct object_def *d, uint16_t id, struct version v)
{
    if (d->id != id)
        return d->id < id ? -1 : 1;
    return version_cmp(d->version, v);
}

/* Index of the first definition above (id, v). */
static size_t upper_bound(const struct registry *r, uint16_t id, struct version v)
{
    size_t lo = 0, hi = r->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (def_cmp(r->defs[mid], id, v) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The definition with the highest version of this object that is not above v, or NULL. */
static const struct object_def *highest(const struct registry *r, uint16_t id, struct version v)
{
    size_t at = upper_bound(r, id, v);

    return at > 0 && r->defs[at - 1]->id == id ? r->defs[at - 1] : NULL;
}

int registry_add(struct registry *r, struct object_def *d)
{
    size_t at = upper_bound(r, d->id, d->version);

    assert(atomic_load_explicit(&r->refs, memory_order_relaxed) == 1);
    if (at > 0 && def_cmp(r->defs[at - 1], d->id, d->version) == 0) {
        object_def_free(r->defs[at - 1]);
        r->defs[at - 1] = d;
        return ERR_OK;
    }
    if (r->n == REGISTRY_DEFS_MAX)
        return ERR_LIMIT;
    if (r->n == r->cap) {
        size_t cap = r->cap > 0 ? r->cap * 2 : 64;
        struct object_def **defs = mem_resize(r->defs, cap * sizeof(struct object_def *));

        if (defs == NULL)
            return ERR_NOMEM;
        r->defs = defs;
        r->cap = cap;
    }
    memmove(&r->defs[at + 1], &r->defs[at], (r->n - at) * sizeof(struct object_def *));
    r->defs[at] = d;
    r->n++;
    return ERR_OK;
}

struct registry *registry_clone(const struct registry *r)
{
    struct registry *clone = registry_new();

    for (size_t i = 0; clone != NULL && i < r->n; i++) {
        struct object_def *d = NULL;

        if (object_def_new(r->defs[i], &d) < 0 || registry_add(clone, d) < 0) {
            object_def_free(d);
            registry_unref(clone);
            clone = NULL;
        }
    }
    return clone;
}

const struct object_def *registry_find(const struct registry *r, uint16_t object, struct version v)
{
    bool any = v.major == 0 && v.minor == 0;
    const struct object_def *d = any ? NULL : highest(r, object, v);

    if (d != NULL && version_cmp(d->version, v) == 0)
        return d;
    d = highest(r, object, (struct version){any ? UINT8_MAX : v.major, UINT8_MAX});
    return d != NULL && (any || d->version.major == v.major) ? d : NULL;
}

size_t registry_size(const struct registry *r)
{
    return r->n;
}

const struct object_def *registry_at(const struct registry *r, size_t i)
{
    return i < r->n ? r->defs[i] : NULL;
}

const struct resource_def *registry_resource(const struct registry *r, const struct path *p,
                                             struct version v)
{
    const struct object_def *d = p->depth >= 3 ? registry_find(r, p->id[0], v) : NULL;

    return d != NULL ? object_def_resource(d, p->id[2]) : NULL;
}

/* ---- tab-separated definitions ---------------------------------------------------------- */

enum column {
    COLUMN_OBJECT,
    COLUMN_VERSION,
    COLUMN_OBJECT_NAME,
    COLUMN_RESOURCE,
    COLUMN_NAME,
    COLUMN_OPERATIONS,
    COLUMN_INSTANCES,
    COLUMN_MANDATORY,
    COLUMN_TYPE,
    COLUMN_RANGE,
    COLUMN_UNITS,
    COLUMN_OBJECT_INSTANCES,
    COLUMN_OBJECT_MANDATORY,
    COLUMN_MIN_ENABLER,
    COLUMN_COUNT
};

/* The definition being collected: its strings point into the copy of the text. */
struct load {
    struct registry *registry;
    struct object_def draft;
    struct resource_def *resources;
    size_t cap;
    uint16_t last; /* resource of the row before */
};

static int id_parse(const char *text, uint16_t *ret_id)
{
    uint64_t id;
    int rc = view_u64(view_str(text), MODEL_ID_NONE - 1, &id);

    if (rc == ERR_OK)
        *ret_id = (uint16_t)id;
    return rc;
}

static int resource_of_row(char *const col[COLUMN_COUNT], struct resource_def *ret_resource)
{
    struct resource_def r = {
        .name = col[COLUMN_NAME], .range = col[COLUMN_RANGE], .units = col[COLUMN_UNITS]};
    int rc = id_parse(col[COLUMN_RESOURCE], &r.id);

    if (rc == ERR_OK)
        rc = object_def_ops(view_str(col[COLUMN_OPERATIONS]), &r.ops);
    if (rc == ERR_OK)
        rc = object_def_multiple(view_str(col[COLUMN_INSTANCES]), &r.multiple);
    if (rc == ERR_OK)
        rc = object_def_mandatory(view_str(col[COLUMN_MANDATORY]), &r.mandatory);
    if (rc == ERR_OK)
        rc = value_type_parse(view_str(col[COLUMN_TYPE]), &r.type);
    if (rc == ERR_OK)
        *ret_resource = r;
    return rc;
}

static int object_of_row(char *const col[COLUMN_COUNT], struct object_def *ret_draft)
{
    struct object_def d = {.name = col[COLUMN_OBJECT_NAME]};
    int rc = id_parse(col[COLUMN_OBJECT], &d.id);

    if (rc == ERR_OK)
        rc = version_parse(view_str(col[COLUMN_VERSION]), &d.version);
    if (rc == ERR_OK)
        rc = object_def_multiple(view_str(col[COLUMN_OBJECT_INSTANCES]), &d.multiple);
    if (rc == ERR_OK)
        rc = object_def_mandatory(view_str(col[COLUMN_OBJECT_MANDATORY]), &d.mandatory);
    if (rc == ERR_OK)
        rc = version_parse(view_str(col[COLUMN_MIN_ENABLER]), &d.min_enabler);
    if (rc == ERR_OK)
        *ret_draft = d;
    return rc;
}

/* Adds what was collected to the registry. */
static int load_flush(struct load *l)
{
    struct object_def *d = NULL;
    int rc;

    if (l->draft.resource_count == 0)
        return ERR_OK;
    l->draft.resources = l->resources;
    rc = object_def_new(&l->draft, &d);
    if (rc == ERR_OK)
        rc = registry_add(l->registry, d);
    if (rc < 0)
        object_def_free(d);
    l->draft.resource_count = 0;
    return rc;
}

static int load_row(struct load *l, char *const col[COLUMN_COUNT])
{
    struct resource_def resource = {0};
    struct object_def object = {0};
    int rc = object_of_row(col, &object);

    if (rc == ERR_OK)
        rc = resource_of_row(col, &resource);
    if (rc < 0)
        return rc;
    if (l->draft.resource_count > 0) {
        int order = def_cmp(&l->draft, object.id, object.version);

        /* Rows of one definition stand together, in order. */
        if (order > 0 || (order == 0 && resource.id <= l->last))
            return ERR_DUPLICATE;
        rc = order < 0 ? load_flush(l) : ERR_OK;
        if (rc < 0)
            return rc;
    }
    if (l->draft.resource_count == 0)
        l->draft = object;
    if (l->resources == NULL || l->draft.resource_count == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 64;
        struct resource_def *resources = mem_resize(l->resources, cap * sizeof *resources);

        if (resources == NULL)
            return ERR_NOMEM;
        l->resources = resources;
        l->cap = cap;
    }
    l->resources[l->draft.resource_count++] = resource;
    l->last = resource.id;
    return ERR_OK;
}

/* Cuts a line at its tabs; ERR_MALFORMED unless it has exactly the columns. */
static int row_split(char *line, char *ret_col[COLUMN_COUNT])
{
    size_t n = 0;

    for (char *next; line != NULL; line = next) {
        if (n == COLUMN_COUNT)
            return ERR_MALFORMED;
        next = strchr(line, '\t');
        if (next != NULL)
            *next++ = '\0';
        ret_col[n++] = line;
    }
    return n == COLUMN_COUNT ? ERR_OK : ERR_MALFORMED;
}

int registry_load_tsv(struct registry *r, struct view text, unsigned *ret_line)
{
    struct load l = {.registry = r};
    char *copy = mem_text(text.p, text.n);
    int rc = copy != NULL ? ERR_OK : ERR_NOMEM;
    unsigned line_number = 0;

    for (char *line = copy, *next; rc == ERR_OK && line != NULL; line = next) {
        char *col[COLUMN_COUNT];

        line_number++;
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        rc = row_split(line, col);
        if (rc == ERR_OK)
            rc = load_row(&l, col);
    }
    if (rc == ERR_OK)
        rc = load_flush(&l);
    if (rc < 0)
        *ret_line = line_number;
    mem_free(l.resources);
    mem_free(copy);
    return rc;
}
