#include "codec/codec.h"

#include <assert.h>
#include <stdlib.h>

#define LINKS_MAX 4096
#define ALT_PATH_MAX 255
#define INSERTION_MAX 64
/* Longest entry of the text: </65534/65534>;ver=255.255 and a comma. */
#define ENTRY_TEXT_MAX 27
/* Root link: <>;rt="oma.lwm2m";ct="…", without the path and the numbers. */
#define ROOT_TEXT_MAX (32 + 6 * OBJLIST_FORMATS_MAX)

/* ---- links ------------------------------------------------------------------------------ */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_spaces(struct rd *r)
{
    while (!rd_end(r) && is_space(*r->p))
        r->p++;
}

/* Bytes up to one of the separators, which stays. */
static struct view take_word(struct rd *r)
{
    const uint8_t *start = r->p;

    while (!rd_end(r)) {
        uint8_t c = *r->p;

        if (c == ',' || c == ';' || c == '=' || c == '"' || c == '<' || c == '>' || is_space(c))
            break;
        r->p++;
    }
    return view_of(start, (size_t)(r->p - start));
}

/* Behind the opening quote: bytes up to the closing one, which is skipped. */
static struct view take_quoted(struct rd *r)
{
    const uint8_t *start = r->p;

    for (; !rd_end(r) && *r->p != '"'; r->p++)
        if (*r->p == '\\' && rd_left(r) > 1)
            r->p++;
    if (rd_end(r)) {
        rd_fail(r, ERR_MALFORMED);
        return VIEW_NONE;
    }
    return view_of(start, (size_t)(r->p++ - start));
}

/* Unquoted values are looked at generously: whatever is no separator. */
static struct view take_value(struct rd *r)
{
    const uint8_t *start;

    if (!rd_end(r) && *r->p == '"') {
        r->p++;
        return take_quoted(r);
    }
    start = r->p;
    while (!rd_end(r) && *r->p != ',' && *r->p != ';' && *r->p != '"' && !is_space(*r->p))
        r->p++;
    return view_of(start, (size_t)(r->p - start));
}

static void take_param(struct rd *r, struct link *l)
{
    struct link_param param = {.value = VIEW_NONE};

    skip_spaces(r);
    param.name = take_word(r);
    if (param.name.n == 0) {
        rd_fail(r, ERR_MALFORMED);
        return;
    }
    skip_spaces(r);
    if (!rd_end(r) && *r->p == '=') {
        r->p++;
        skip_spaces(r);
        param.value = take_value(r);
        skip_spaces(r);
    }
    if (l->param_count < LINK_PARAMS_MAX)
        l->params[l->param_count++] = param;
}

/* One link, up to the comma behind it or the end. Only the first may lack its target. */
static void take_link(struct rd *r, bool first, struct link *l)
{
    const uint8_t *close;

    l->target = VIEW_NONE;
    l->param_count = 0;
    if (*r->p == '<') {
        r->p++;
        close = memchr(r->p, '>', rd_left(r));
        if (close == NULL) {
            rd_fail(r, ERR_MALFORMED);
            return;
        }
        l->target = view_of(r->p, (size_t)(close - r->p));
        r->p = close + 1;
    } else if (first) {
        /* Bootstrap-Discover of LwM2M 1.0 begins with bare parameters: lwm2m="1.0",</0/0>. */
        take_param(r, l);
    } else {
        rd_fail(r, ERR_MALFORMED);
        return;
    }
    skip_spaces(r);
    while (!rd_end(r) && *r->p == ';') {
        r->p++;
        take_param(r, l);
    }
    if (!rd_end(r) && *r->p != ',')
        rd_fail(r, ERR_MALFORMED);
}

int link_parse(struct view text, link_fn each, void *ctx)
{
    struct rd r = rd_init(text);
    struct link l;
    bool first = true;

    skip_spaces(&r);
    while (!rd_end(&r)) {
        int rc;

        take_link(&r, first, &l);
        if (r.rc < 0)
            return r.rc;
        rc = each(ctx, &l);
        if (rc < 0)
            return rc;
        first = false;
        if (rd_end(&r))
            break;
        r.p++; /* the comma */
        skip_spaces(&r);
        if (rd_end(&r))
            return ERR_MALFORMED;
    }
    return r.rc;
}

const struct link_param *link_param(const struct link *l, const char *name)
{
    for (size_t i = 0; i < l->param_count; i++)
        if (view_eq_str(l->params[i].name, name))
            return &l->params[i];
    return NULL;
}

/* ---- object list ------------------------------------------------------------------------ */

/* A list being collected. */
struct collect {
    struct view alt_path; /* points into the input */
    size_t links;
    struct objlist *list; /* room for every link and for the text */
};

/* Is `word` one of the words of this space-separated list? */
static bool has_word(struct view list, const char *word)
{
    struct view part;

    while (view_split(&list, ' ', &part))
        if (view_eq_str(part, word))
            return true;
    return false;
}

/* Without the slash at its end; "/" becomes "". */
static struct view strip_slash(struct view v)
{
    if (v.n > 0 && v.p[v.n - 1] == '/')
        v.n--;
    return v;
}

/*
 * LwM2M Core 6.4.1: the path has no numeric segment. Segments without content could not be sent as
 * Uri-Path options.
 */
static bool is_alt_path(struct view path)
{
    struct view segment;

    if (path.n == 0 || path.p[0] != '/')
        return false;
    path = view_sub(path, 1, path.n);
    while (view_split(&path, '/', &segment)) {
        uint64_t number;

        if (segment.n == 0 || view_u64(segment, UINT64_MAX, &number) != ERR_MALFORMED)
            return false;
    }
    return true;
}

/* Ends the walk with ERR_EXISTS at the first link of that resource type. */
static int find_root(void *ctx, const struct link *l)
{
    struct collect *c = ctx;
    const struct link_param *rt = link_param(l, "rt");
    struct view path = strip_slash(l->target);
    int rc;

    if (rt == NULL || !has_word(rt->value, "oma.lwm2m") || (path.n > 0 && !is_alt_path(path)))
        return ERR_OK;
    if (path.n > ALT_PATH_MAX)
        return ERR_LIMIT;
    rc = view_utf8(path);
    if (rc < 0)
        return rc;
    c->alt_path = path;
    return ERR_EXISTS;
}

static void read_formats(struct objlist *list, struct view ct)
{
    struct view part;

    list->format_count = 0;
    while (view_split(&ct, ' ', &part) && list->format_count < OBJLIST_FORMATS_MAX) {
        uint64_t number;
        unsigned i = 0;

        if (view_u64(part, UINT16_MAX, &number) < 0)
            continue;
        while (i < list->format_count && list->formats[i] != number)
            i++;
        if (i == list->format_count)
            list->formats[list->format_count++] = (uint16_t)number;
    }
}

/* What is left of a target behind the alternate path; the target as it is when it has none. */
static struct view strip_alt_path(struct view target, struct view alt)
{
    if (alt.n > 0 && target.n > alt.n && target.p[alt.n] == '/' &&
        memcmp(target.p, alt.p, alt.n) == 0)
        return view_sub(target, alt.n, target.n);
    return target;
}

/* Security, OSCORE and COSE never belong here; other clients' mistakes are not ours to refuse. */
static bool is_listed(const struct path *p)
{
    return p->depth >= 1 && p->depth <= 2 && p->id[0] != 0 && p->id[0] != 21 && p->id[0] != 23;
}

static int collect_link(void *ctx, const struct link *l)
{
    struct collect *c = ctx;
    struct view target = strip_slash(l->target);
    const struct link_param *param;
    struct objlist_entry e = {0};

    if (++c->links > LINKS_MAX)
        return ERR_LIMIT;
    if (l->target.p == NULL)
        return ERR_OK;
    if (target.n == 0 || (c->alt_path.n > 0 && view_eq(target, c->alt_path))) {
        bool is_root = target.n == c->alt_path.n;

        param = link_param(l, "ct");
        /* A link </> beside an alternate path speaks for it only if that one is silent. */
        if (param != NULL && param->value.p != NULL && (is_root || c->list->format_count == 0))
            read_formats(c->list, param->value);
        return ERR_OK;
    }
    if (path_parse(strip_alt_path(l->target, c->alt_path), &e.path) < 0 || !is_listed(&e.path))
        return ERR_OK;
    param = link_param(l, "ver");
    if (param != NULL)
        (void)version_parse(param->value, &e.version);
    c->list->entries[c->list->count++] = e;
    return ERR_OK;
}

static int entry_cmp(const void *a, const void *b)
{
    const struct objlist_entry *x = a, *y = b;
    int order = path_cmp(&x->path, &y->path);

    return order != 0 ? order : version_cmp(y->version, x->version);
}

/* Real lists are short and nearly in order; long ones may be anything. */
static void sort_entries(struct objlist_entry *e, size_t n)
{
    if (n > INSERTION_MAX) {
        qsort(e, n, sizeof *e, entry_cmp);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct objlist_entry moving = e[i];
        size_t at = i;

        for (; at > 0 && entry_cmp(&e[at - 1], &moving) > 0; at--)
            e[at] = e[at - 1];
        e[at] = moving;
    }
}

/* Ascending, each path once: of several with their versions the highest. */
static void order_entries(struct objlist *list)
{
    struct objlist_entry *e = list->entries;
    uint16_t kept = 0;
    size_t sorted = 1;

    while (sorted < list->count && path_cmp(&e[sorted - 1].path, &e[sorted].path) < 0)
        sorted++;
    if (sorted >= list->count)
        return;
    sort_entries(e, list->count);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || !path_eq(&e[kept - 1].path, &e[i].path))
            e[kept++] = e[i];
    list->count = kept;
}

static void put_number(struct wr *w, unsigned v)
{
    uint8_t digits[5];
    size_t at = sizeof digits;

    do {
        digits[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    wr_bytes(w, view_of(digits + at, sizeof digits - at));
}

static void put_root(struct wr *w, const struct objlist *list, struct view alt_path)
{
    bool quoted = list->format_count > 1;

    if (alt_path.n == 0 && list->format_count == 0)
        return;
    wr_u8(w, '<');
    wr_bytes(w, alt_path.n > 0 ? alt_path : VIEW_LIT("/"));
    wr_u8(w, '>');
    if (alt_path.n > 0)
        wr_bytes(w, VIEW_LIT(";rt=\"oma.lwm2m\""));
    for (unsigned i = 0; i < list->format_count; i++) {
        wr_bytes(w, i > 0 ? VIEW_LIT(" ") : quoted ? VIEW_LIT(";ct=\"") : VIEW_LIT(";ct="));
        put_number(w, list->formats[i]);
    }
    if (quoted)
        wr_u8(w, '"');
}

static void put_entry(struct wr *w, const struct objlist_entry *e)
{
    if (w->p > w->start)
        wr_u8(w, ',');
    wr_u8(w, '<');
    for (unsigned i = 0; i < e->path.depth; i++) {
        wr_u8(w, '/');
        put_number(w, e->path.id[i]);
    }
    wr_u8(w, '>');
    if (e->version.major > 0 || e->version.minor > 0) {
        wr_bytes(w, VIEW_LIT(";ver="));
        put_number(w, e->version.major);
        wr_u8(w, '.');
        put_number(w, e->version.minor);
    }
}

/* Writes the text behind the entries, gives back the room that was not needed, sets the views. */
static struct objlist *finish_list(struct objlist *list, size_t size, struct view alt_path,
                                   const struct hash_key *key)
{
    uint8_t *at = (uint8_t *)&list->entries[list->count];
    struct wr w = wr_init(at, size - (size_t)(at - (uint8_t *)list));
    struct objlist *smaller;
    size_t n;

    put_root(&w, list, alt_path);
    for (size_t i = 0; i < list->count; i++)
        put_entry(&w, &list->entries[i]);
    assert(w.rc == ERR_OK);
    n = wr_view(&w).n;
    smaller = mem_resize(list, (size_t)(at - (uint8_t *)list) + n);
    if (smaller != NULL)
        list = smaller;
    list->text = view_of(&list->entries[list->count], n);
    /* The alternate path is the target of the first link of the text. */
    list->alt_path = view_sub(list->text, alt_path.n > 0 ? 1 : 0, alt_path.n);
    list->hash = hash_bytes(key, list->text);
    return list;
}

/* Upper bound of the entries of a text: the shortest are </1> and a comma between two. */
static size_t most_entries(struct view text)
{
    size_t n = (text.n + 1) / 5;

    return n < LINKS_MAX ? n : LINKS_MAX;
}

int link_objlist(struct view text, const struct hash_key *key, struct objlist **ret_list)
{
    struct collect c = {.alt_path = VIEW_NONE};
    size_t most = most_entries(text);
    size_t size;
    int rc = ERR_OK;

    if (text.n > 0 && memmem(text.p, text.n, "oma.lwm2m", 9) != NULL)
        rc = link_parse(text, find_root, &c);
    if (rc < 0 && rc != ERR_EXISTS)
        return rc;
    size = sizeof *c.list + most * (sizeof(struct objlist_entry) + ENTRY_TEXT_MAX) + c.alt_path.n +
           ROOT_TEXT_MAX;
    c.list = mem_resize(NULL, size);
    if (c.list == NULL)
        return ERR_NOMEM;
    *c.list = (struct objlist){.refs = 1};
    rc = link_parse(text, collect_link, &c);
    if (rc < 0) {
        mem_free(c.list);
        return rc;
    }
    order_entries(c.list);
    *ret_list = finish_list(c.list, size, c.alt_path, key);
    return ERR_OK;
}

struct view link_entries(const struct objlist *list)
{
    struct view rest = list->text, root;

    if (list->alt_path.n == 0 && list->format_count == 0)
        return list->text;
    /* A path may hold a comma, the parameters that we write do not. */
    (void)view_split(&rest, '>', &root);
    return view_split(&rest, ',', &root) ? rest : VIEW_NONE;
}
