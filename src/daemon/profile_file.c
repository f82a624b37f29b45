#include "daemon/profile_file.h"

#include "codec/codec.h"

#include <errno.h>
#include <stdio.h>

#define FILE_MAX ((size_t)16 << 20)

struct load {
    struct profile_line *lines;
    struct objlist **lists; /* of the lines: they own the links */
    size_t n, cap;
};

static int read_all(const char *path, struct buf *out)
{
    char part[4096];
    FILE *f = fopen(path, "re");
    size_t n;
    int rc;

    if (!f)
        return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        buf_put(out, part, n);
    rc = ferror(f) ? ERR_IO : out->rc == ERR_LIMIT ? ERR_TOOLARGE : out->rc;
    fclose(f);
    return rc;
}

static int grow(struct load *l)
{
    size_t cap = l->cap > 0 ? l->cap * 2 : 64;
    struct profile_line *lines = mem_resize(l->lines, cap * sizeof(*lines));
    struct objlist **lists;

    if (!lines)
        return ERR_NOMEM;
    l->lines = lines;
    lists = mem_resize(l->lists, cap * sizeof(struct objlist *));
    if (!lists)
        return ERR_NOMEM;
    l->lists = lists;
    l->cap = cap;
    return ERR_OK;
}

static int add_line(struct load *l, struct view id, struct view links)
{
    static const struct hash_key no_key = {0, 0};
    enum profile_kind kind;
    struct objlist *list = NULL;
    int rc = profiles_kind(id, &kind);

    if (rc == ERR_OK && l->n == l->cap)
        rc = grow(l);
    if (rc == ERR_OK)
        rc = link_objlist(links, &no_key, &list);
    if (rc < 0 || l->lists == NULL || list == NULL)
        return rc < 0 ? rc : ERR_NOMEM;
    l->lists[l->n] = list;
    l->lines[l->n] = (struct profile_line){.id = id, .links = link_entries(list)};
    l->n++;
    if (l->lines[l->n - 1].links.n > PROFILE_LINKS_MAX)
        return ERR_TOOLARGE;
    return list->count > 0 ? ERR_OK : ERR_MALFORMED;
}

static struct view trim(struct view v)
{
    while (v.n > 0 && (v.p[v.n - 1] == '\r' || v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

static int read_lines(struct load *l, struct view text, unsigned *ret_line)
{
    struct view line, id;
    int rc = ERR_OK;

    *ret_line = 0;
    while (rc == ERR_OK && view_split(&text, '\n', &line)) {
        ++*ret_line;
        line = trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        (void)view_split(&line, ' ', &id);
        rc = add_line(l, id, line);
    }
    if (rc == ERR_OK)
        *ret_line = 0;
    return rc;
}

int profile_file_load(const char *path, struct profiles *p, unsigned *ret_line)
{
    struct load l = {0};
    struct buf text;
    int rc = ERR_OK;

    *ret_line = 0;
    buf_init(&text, FILE_MAX);
    if (path[0] != '\0')
        rc = read_all(path, &text);
    if (rc == ERR_OK)
        rc = read_lines(&l, buf_view(&text), ret_line);
    if (rc == ERR_OK)
        rc = profiles_set_file(p, l.lines, l.n);
    while (l.n > 0)
        mem_free(l.lists[--l.n]);
    mem_free(l.lists);
    mem_free(l.lines);
    buf_fini(&text);
    return rc;
}
