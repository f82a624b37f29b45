#include "model/model.h"

void object_def_free(struct object_def *d)
{
    if (d == NULL)
        return;
    mem_free(d->owned);
    mem_free(d);
}

const struct resource_def *object_def_resource(const struct object_def *d, uint16_t id)
{
    size_t lo = 0, hi = d->resource_count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (d->resources[mid].id == id)
            return &d->resources[mid];
        if (d->resources[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

int object_def_ops(struct view letters, uint8_t *ret_ops)
{
    uint8_t ops = 0;

    for (size_t i = 0; i < letters.n && !view_eq_str(letters, "-"); i++) {
        if (letters.p[i] == 'R')
            ops |= RESOURCE_READ;
        else if (letters.p[i] == 'W')
            ops |= RESOURCE_WRITE;
        else if (letters.p[i] == 'E')
            ops |= RESOURCE_EXECUTE;
        else
            return ERR_MALFORMED;
    }
    *ret_ops = ops;
    return ERR_OK;
}

static int choice(struct view word, const char *yes, const char *no, bool *ret_answer)
{
    bool is_yes = view_eq_str(word, yes);

    if (!is_yes && !view_eq_str(word, no))
        return ERR_MALFORMED;
    *ret_answer = is_yes;
    return ERR_OK;
}

int object_def_multiple(struct view word, bool *ret_multiple)
{
    return choice(word, "Multiple", "Single", ret_multiple);
}

int object_def_mandatory(struct view word, bool *ret_mandatory)
{
    return choice(word, "Mandatory", "Optional", ret_mandatory);
}

/* Bytes of a text with its NUL; a missing one becomes "". */
static size_t text_size(const char *s)
{
    return s != NULL ? strlen(s) + 1 : 1;
}

static const char *text_put(char **at, const char *s)
{
    char *copy = *at;
    size_t n = text_size(s);

    if (n > 1)
        memcpy(copy, s, n - 1);
    copy[n - 1] = '\0';
    *at += n;
    return copy;
}

/* Drafts come nearly sorted: files list resources by number. */
static void sort_resources(struct resource_def *r, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct resource_def moving = r[i];
        size_t at = i;

        while (at > 0 && r[at - 1].id > moving.id) {
            r[at] = r[at - 1];
            at--;
        }
        r[at] = moving;
    }
}

int object_def_new(const struct object_def *draft, struct object_def **ret_def)
{
    size_t resources_size = draft->resource_count * sizeof(struct resource_def);
    size_t size = resources_size + text_size(draft->name);
    struct resource_def *resources;
    struct object_def *d;
    char *text;

    if (draft->resource_count > OBJECT_DEF_RESOURCES_MAX)
        return ERR_LIMIT;
    for (size_t i = 0; i < draft->resource_count; i++) {
        const struct resource_def *r = &draft->resources[i];

        size += text_size(r->name) + text_size(r->range) + text_size(r->units);
    }
    d = mem_new(sizeof *d);
    resources = mem_new(size);
    if (d == NULL || resources == NULL) {
        mem_free(d);
        mem_free(resources);
        return ERR_NOMEM;
    }
    *d = *draft;
    d->owned = resources;
    d->resources = resources;
    if (draft->resource_count > 0)
        memcpy(resources, draft->resources, resources_size);
    sort_resources(resources, d->resource_count);
    text = (char *)resources + resources_size;
    d->name = text_put(&text, draft->name);
    for (size_t i = 0; i < d->resource_count; i++) {
        struct resource_def *r = &resources[i];

        if (i > 0 && resources[i - 1].id == r->id) {
            object_def_free(d);
            return ERR_DUPLICATE;
        }
        r->name = text_put(&text, r->name);
        r->range = text_put(&text, r->range);
        r->units = text_put(&text, r->units);
    }
    *ret_def = d;
    return ERR_OK;
}
