#include "model/model.h"

/* One identifier: decimal without leading zeros, below MODEL_ID_NONE. Advances *p past it. */
static int id_read(const uint8_t **p, const uint8_t *end, uint16_t *ret_id)
{
    const uint8_t *s = *p;
    uint32_t v = 0;

    while (s < end && *s >= '0' && *s <= '9') {
        v = v * 10 + (uint32_t)(*s++ - '0');
        if (v >= MODEL_ID_NONE)
            return ERR_PATH;
    }
    if (s == *p || (**p == '0' && s - *p > 1))
        return ERR_PATH;
    *p = s;
    *ret_id = (uint16_t)v;
    return ERR_OK;
}

int path_parse(struct view v, struct path *ret_path)
{
    const uint8_t *s, *end;
    struct path out = {0};

    if (v.n == 0 || v.p[0] != '/')
        return ERR_PATH;
    s = v.p + 1;
    end = v.p + v.n;
    while (s < end) {
        int rc;

        if (out.depth == 4)
            return ERR_PATH;
        rc = id_read(&s, end, &out.id[out.depth]);
        if (rc < 0)
            return rc;
        out.depth++;
        if (s < end && *s++ != '/')
            return ERR_PATH;
    }
    *ret_path = out;
    return ERR_OK;
}

void path_format(const struct path *p, char out[PATH_TEXT_MAX])
{
    char *s = out;

    if (p->depth == 0)
        *s++ = '/';
    for (unsigned i = 0; i < p->depth; i++) {
        char digits[5];
        unsigned n = 0;
        unsigned v = p->id[i];

        do {
            digits[n++] = (char)('0' + v % 10);
            v /= 10;
        } while (v > 0);
        *s++ = '/';
        while (n > 0)
            *s++ = digits[--n];
    }
    *s = '\0';
}

bool path_eq(const struct path *a, const struct path *b)
{
    return a->depth == b->depth && path_covers(a, b);
}

int path_cmp(const struct path *a, const struct path *b)
{
    unsigned common = a->depth < b->depth ? a->depth : b->depth;

    for (unsigned i = 0; i < common; i++)
        if (a->id[i] != b->id[i])
            return a->id[i] < b->id[i] ? -1 : 1;
    return (a->depth > b->depth) - (a->depth < b->depth);
}

bool path_covers(const struct path *prefix, const struct path *p)
{
    if (prefix->depth > p->depth)
        return false;
    for (unsigned i = 0; i < prefix->depth; i++)
        if (prefix->id[i] != p->id[i])
            return false;
    return true;
}
