#include "wire.h"

#include <assert.h>

enum {
    OPTION_ETAG = 4,
    OPTION_OBSERVE = 6,
    OPTION_LOCATION = 8,
    OPTION_PATH = 11,
    OPTION_FORMAT = 12,
    OPTION_QUERY = 15,
    OPTION_ACCEPT = 17,
    OPTION_BLOCK2 = 23,
    OPTION_BLOCK1 = 27,
    OPTION_SIZE2 = 28,
    OPTION_SIZE1 = 60,
    OPTION_ECHO = 252
};

void wire_init(struct wire *m, uint8_t type, uint8_t code, uint16_t mid)
{
    memset(m, 0, sizeof(*m));
    m->type = type;
    m->code = code;
    m->mid = mid;
    m->observe = m->format = m->accept = m->block1 = m->block2 = -1;
}

int64_t wire_block(uint32_t num, bool more, unsigned szx)
{
    return (int64_t)num << 4 | (more ? 8 : 0) | (int64_t)szx;
}

/* ---- reading ---- */

static bool extend(const uint8_t **p, const uint8_t *end, unsigned nibble, uint32_t *ret)
{
    if (nibble < 13) {
        *ret = nibble;
        return true;
    }
    if (nibble == 13 && end - *p >= 1) {
        *ret = 13u + *(*p)++;
        return true;
    }
    if (nibble == 14 && end - *p >= 2) {
        *ret = 269u + ((uint32_t)(*p)[0] << 8 | (*p)[1]);
        *p += 2;
        return true;
    }
    return false;
}

static bool join(char *text, char before, struct view v)
{
    size_t n = strlen(text);
    bool separate = before == '/' || n > 0;

    if (n + v.n + 2 > WIRE_TEXT)
        return false;
    if (separate)
        text[n++] = before;
    memcpy(text + n, v.p, v.n);
    text[n + v.n] = '\0';
    return true;
}

static bool number(struct view v, int64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < v.n; i++)
        *ret = *ret << 8 | v.p[i];
    return v.n <= 4;
}

static bool take(struct wire *m, uint32_t option, struct view v)
{
    int64_t ignored;

    switch (option) {
    case OPTION_OBSERVE:
        return number(v, &m->observe);
    case OPTION_LOCATION:
        return join(m->location, '/', v);
    case OPTION_PATH:
        return join(m->path, '/', v);
    case OPTION_FORMAT:
        return number(v, &m->format);
    case OPTION_QUERY:
        return join(m->query, '&', v);
    case OPTION_ACCEPT:
        return number(v, &m->accept);
    case OPTION_BLOCK2:
        return number(v, &m->block2);
    case OPTION_BLOCK1:
        return number(v, &m->block1);
    case OPTION_ETAG:
    case OPTION_ECHO:
        return v.n <= 40;
    case OPTION_SIZE1:
    case OPTION_SIZE2:
        return number(v, &ignored);
    default:
        return false;
    }
}

static bool options(struct wire *m, const uint8_t *p, const uint8_t *end)
{
    uint32_t option = 0;

    while (p < end) {
        uint8_t head = *p++;
        uint32_t delta, n;

        if (head == 0xff) {
            m->payload = view_of(p, (size_t)(end - p));
            return p < end; /* a marker without payload is an error */
        }
        if (!extend(&p, end, head >> 4, &delta) || !extend(&p, end, head & 15, &n) ||
            (size_t)(end - p) < n)
            return false;
        option += delta;
        if (!take(m, option, view_of(p, n)))
            return false;
        p += n;
    }
    return true;
}

bool wire_parse(struct view datagram, struct wire *ret)
{
    const uint8_t *p = datagram.p;
    uint8_t token_n;

    if (datagram.n < 4 || p[0] >> 6 != 1)
        return false;
    token_n = p[0] & 15;
    if (token_n > 8 || datagram.n < 4u + token_n)
        return false;
    wire_init(ret, p[0] >> 4 & 3, p[1], (uint16_t)(p[2] << 8 | p[3]));
    ret->token_n = token_n;
    memcpy(ret->token, p + 4, token_n);
    if (ret->code == 0)
        return datagram.n == 4;
    return options(ret, p + 4 + token_n, p + datagram.n);
}

/* ---- writing ---- */

struct pen {
    uint8_t *p, *end;
    uint32_t last;
};

static void put(struct pen *w, const void *bytes, size_t n)
{
    assert((size_t)(w->end - w->p) >= n);
    memcpy(w->p, bytes, n);
    w->p += n;
}

/* The nibble of a delta or length; the bytes that follow the head go to `more`. */
static unsigned nibble(uint32_t v, uint8_t *more, size_t *n)
{
    if (v < 13)
        return v;
    if (v < 269) {
        more[(*n)++] = (uint8_t)(v - 13);
        return 13;
    }
    more[(*n)++] = (uint8_t)((v - 269) >> 8);
    more[(*n)++] = (uint8_t)(v - 269);
    return 14;
}

static void put_option(struct pen *w, uint32_t option, struct view v)
{
    uint8_t more[4], head;
    size_t n = 0;
    unsigned delta = nibble(option - w->last, more, &n);

    head = (uint8_t)(delta << 4 | nibble((uint32_t)v.n, more, &n));
    put(w, &head, 1);
    put(w, more, n);
    put(w, v.p, v.n);
    w->last = option;
}

static void put_number(struct pen *w, uint32_t option, int64_t v)
{
    uint8_t bytes[4];
    size_t n = 0;

    if (v < 0)
        return;
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (n > 0 || v >> shift != 0)
            bytes[n++] = (uint8_t)(v >> shift);
    }
    put_option(w, option, view_of(bytes, n));
}

static void put_parts(struct pen *w, uint32_t option, const char *text, char separator)
{
    if (*text == '/' && separator == '/')
        text++;
    while (*text != '\0') {
        const char *end = strchr(text, separator);
        size_t n = end ? (size_t)(end - text) : strlen(text);

        put_option(w, option, view_of(text, n));
        text += n + (end ? 1 : 0);
    }
}

size_t wire_build(const struct wire *m, uint8_t out[WIRE_MAX])
{
    struct pen w = {.p = out, .end = out + WIRE_MAX};
    uint8_t head[4] = {(uint8_t)(0x40 | m->type << 4 | m->token_n), m->code, (uint8_t)(m->mid >> 8),
                       (uint8_t)m->mid};

    put(&w, head, sizeof(head));
    put(&w, m->token, m->token_n);
    put_number(&w, OPTION_OBSERVE, m->observe);
    put_parts(&w, OPTION_LOCATION, m->location, '/');
    put_parts(&w, OPTION_PATH, m->path, '/');
    put_number(&w, OPTION_FORMAT, m->format);
    put_parts(&w, OPTION_QUERY, m->query, '&');
    put_number(&w, OPTION_ACCEPT, m->accept);
    put_number(&w, OPTION_BLOCK2, m->block2);
    put_number(&w, OPTION_BLOCK1, m->block1);
    if (m->payload.n > 0) {
        put(&w, "\xff", 1);
        put(&w, m->payload.p, m->payload.n);
    }
    return (size_t)(w.p - out);
}
