/* Link-format: bounded, and the canonical text of an object list reads as the same list. */
#include "codec/codec.h"

#include "require.h"

static bool is_inside(struct view part, struct view whole)
{
    return part.p == NULL || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static int check_link(void *ctx, const struct link *l)
{
    const struct view *text = ctx;

    require(is_inside(l->target, *text) && l->param_count <= LINK_PARAMS_MAX);
    for (size_t i = 0; i < l->param_count; i++)
        require(l->params[i].name.n > 0 && is_inside(l->params[i].name, *text) &&
                is_inside(l->params[i].value, *text));
    return ERR_OK;
}

static void same(const struct objlist *a, const struct objlist *b)
{
    require(view_eq(a->text, b->text) && view_eq(a->alt_path, b->alt_path) && a->hash == b->hash);
    require(a->count == b->count && a->format_count == b->format_count);
    require(memcmp(a->formats, b->formats, a->format_count * sizeof a->formats[0]) == 0);
    for (unsigned i = 0; i < a->count; i++) {
        require(path_eq(&a->entries[i].path, &b->entries[i].path));
        require(version_cmp(a->entries[i].version, b->entries[i].version) == 0);
        require(i == 0 || path_cmp(&a->entries[i - 1].path, &a->entries[i].path) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hash_key key = {1, 2};
    struct view text = view_of(data, size);
    struct objlist *list, *again;
    int rc = link_parse(text, check_link, &text);

    if (link_objlist(text, &key, &list) == ERR_OK) {
        require(rc == ERR_OK);
        require(link_objlist(list->text, &key, &again) == ERR_OK);
        same(list, again);
        mem_free(list);
        mem_free(again);
    }
    return 0;
}
