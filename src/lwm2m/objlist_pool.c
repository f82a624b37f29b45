#include "lwm2m/internal.h"

/*
 * Devices of a kind announce the same list word for word: one copy serves all of them. Lists are
 * equal when their canonical texts are.
 */

#define TEXT_MAX ((size_t)256 << 10)
/* Longer texts are parsed each time. */
#define KNOWN_TEXT_MAX 1024

static bool same_text(const void *item, const void *key)
{
    return view_eq(((const struct objlist *)item)->text, ((const struct objlist *)key)->text);
}

struct objlist *objlist_pool_intern(struct domain *d, struct objlist *list)
{
    struct objlist *known = table_get(d->objlists, list->hash, same_text, list);

    if (known != NULL) {
        known->refs++;
        mem_free(list);
        return known;
    }
    list->refs = 1;
    /* Without memory for the table it serves its device all the same, unshared. */
    (void)table_put(d->objlists, list->hash, list);
    return list;
}

/* ---- texts as devices send them -------------------------------------------------------------- */

static struct known_text *known_at(struct domain *d, struct view text)
{
    return &d->known_texts[hash_bytes(&d->key, text) % KNOWN_TEXTS];
}

static void forget(struct known_text *k)
{
    mem_free(k->text);
    *k = (struct known_text){0};
}

/* Without memory it is parsed again the next time. */
static void know(struct known_text *k, struct view text, struct objlist *list)
{
    char *copy = mem_text(text.p, text.n);

    if (copy == NULL)
        return;
    forget(k);
    *k = (struct known_text){.text = copy, .n = text.n, .list = list};
}

static int parse(struct domain *d, struct view text, struct objlist **ret_list)
{
    struct objlist *list;
    int rc = link_objlist(text, &d->key, &list);

    if (rc < 0)
        return rc;
    *ret_list = objlist_pool_intern(d, list);
    return ERR_OK;
}

int objlist_pool_parse(struct domain *d, struct view text, struct objlist **ret_list)
{
    struct known_text *k;
    int rc;

    if (text.n > KNOWN_TEXT_MAX)
        return parse(d, text, ret_list);
    k = known_at(d, text);
    if (k->list != NULL && view_eq(view_of(k->text, k->n), text)) {
        k->list->refs++;
        *ret_list = k->list;
        return ERR_OK;
    }
    rc = parse(d, text, ret_list);
    if (rc < 0)
        return rc;
    know(k, text, *ret_list);
    return ERR_OK;
}

void objlist_pool_unref(struct domain *d, struct objlist *list)
{
    if (list == NULL || --list->refs > 0)
        return;
    for (size_t i = 0; i < KNOWN_TEXTS; i++)
        if (d->known_texts[i].list == list)
            forget(&d->known_texts[i]);
    (void)table_del(d->objlists, list->hash, list);
    mem_free(list);
}

/* ---- reading lists --------------------------------------------------------------------------- */

/* The first entry that does not come before p; NULL past the last. */
static const struct objlist_entry *lower_bound(const struct objlist *list, const struct path *p)
{
    size_t from = 0, to = list->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (path_cmp(&list->entries[middle].path, p) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from < list->count ? &list->entries[from] : NULL;
}

const struct objlist_entry *objlist_pool_find(const struct objlist *list, uint16_t object)
{
    const struct path p = {.id = {object}, .depth = 1};
    const struct objlist_entry *e = lower_bound(list, &p);

    return e != NULL && e->path.id[0] == object ? e : NULL;
}

bool objlist_pool_has(const struct objlist *list, const struct path *p)
{
    const struct objlist_entry *e = lower_bound(list, p);

    return e != NULL && path_eq(&e->path, p);
}

/* ---- writing lists --------------------------------------------------------------------------- */

static void put_root(struct buf *out, struct view alt_path, const struct objlist *formats)
{
    buf_put_str(out, "<");
    buf_put_view(out, alt_path.n > 0 ? alt_path : VIEW_LIT("/"));
    buf_put_str(out, ">;rt=\"oma.lwm2m\"");
    for (unsigned i = 0; i < formats->format_count; i++)
        buf_fmt(out, "%s%u", i == 0 ? ";ct=\"" : " ", formats->formats[i]);
    if (formats->format_count > 0)
        buf_put_str(out, "\"");
}

static void put_entry(struct buf *out, const struct path *p, struct version v)
{
    char text[PATH_TEXT_MAX];

    path_format(p, text);
    buf_fmt(out, ",<%s>", text);
    if (v.major > 0 || v.minor > 0)
        buf_fmt(out, ";ver=%u.%u", v.major, v.minor);
}

static int parse_and_drop(struct domain *d, struct buf *text, struct objlist **ret_list)
{
    int rc = text->rc;

    if (rc == ERR_OK)
        rc = objlist_pool_parse(d, buf_view(text), ret_list);
    buf_fini(text);
    return rc;
}

/* The object stays announced when its last instance goes. */
static void put_lonely_object(struct buf *out, const struct objlist *list, const struct path *gone)
{
    struct version version = {0, 0};
    struct path object = *gone;

    for (size_t i = 0; i < list->count; i++) {
        const struct objlist_entry *e = &list->entries[i];

        if (e->path.id[0] != gone->id[0])
            continue;
        if (!path_eq(&e->path, gone))
            return;
        version = e->version;
    }
    object.depth = 1;
    put_entry(out, &object, version);
}

int objlist_pool_edit(struct domain *d, const struct objlist *list, const struct path *instance,
                      bool add, struct objlist **ret_list)
{
    const struct objlist_entry *object = objlist_pool_find(list, instance->id[0]);
    struct buf text;

    buf_init(&text, TEXT_MAX);
    put_root(&text, list->alt_path, list);
    for (size_t i = 0; i < list->count; i++)
        if (!path_eq(&list->entries[i].path, instance))
            put_entry(&text, &list->entries[i].path, list->entries[i].version);
    if (add)
        put_entry(&text, instance, object != NULL ? object->version : (struct version){0, 0});
    else if (object != NULL)
        put_lonely_object(&text, list, instance);
    return parse_and_drop(d, &text, ret_list);
}

int objlist_pool_update(struct domain *d, const struct objlist *old, struct view text,
                        struct objlist **ret_list)
{
    struct objlist *list;
    struct buf whole;
    bool keep_formats, keep_alt;
    int rc = objlist_pool_parse(d, text, &list);

    if (rc < 0)
        return rc;
    keep_formats = list->format_count == 0 && old->format_count > 0;
    keep_alt = old->alt_path.n > 0 && list->alt_path.n == 0 &&
               memmem(text.p, text.n, "oma.lwm2m", sizeof("oma.lwm2m") - 1) == NULL;
    if (!keep_formats && !keep_alt) {
        *ret_list = list;
        return ERR_OK;
    }
    buf_init(&whole, TEXT_MAX);
    put_root(&whole, keep_alt ? old->alt_path : list->alt_path, keep_formats ? old : list);
    buf_put_str(&whole, ",");
    buf_put_view(&whole, text);
    objlist_pool_unref(d, list);
    return parse_and_drop(d, &whole, ret_list);
}
