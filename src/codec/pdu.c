#include "codec/codec.h"

#include <assert.h>
#include <coap3/coap.h>

#define PDU_VERSION 1
#define PDU_MARKER 0xff

/* ---- reading ---------------------------------------------------------------------------- */

/*
 * One option at p; its encoded length, or 0 when it is malformed. libcoap adds the second byte of a
 * long delta without looking for a carry: a delta above 65 535 would come back as a small one.
 */
static size_t option_read(const uint8_t *p, size_t n, uint32_t *ret_delta, struct view *ret_value)
{
    coap_option_t option;
    size_t used = coap_opt_parse(p, n, &option);

    if (used == 0 || (*p >> 4 == 14 && option.delta < 269))
        return 0;
    *ret_delta = option.delta;
    *ret_value = view_of(option.value, option.length);
    return used;
}

/* Walks the options once; *ret_used ends at the marker or at the end. */
static int check_options(struct view rest, size_t *ret_used)
{
    const uint8_t *p = rest.p;
    const uint8_t *end = rest.p + rest.n;
    uint32_t number = 0;
    unsigned count = 0;

    while (p < end && *p != PDU_MARKER) {
        struct view value;
        uint32_t delta;
        size_t used = option_read(p, (size_t)(end - p), &delta, &value);

        if (used == 0)
            return ERR_MALFORMED;
        number += delta;
        if (number > UINT16_MAX)
            return ERR_MALFORMED;
        if (++count > PDU_OPTIONS_MAX)
            return ERR_LIMIT;
        p += used;
    }
    *ret_used = (size_t)(p - rest.p);
    return ERR_OK;
}

/* RFC 7252 section 12.1: classes 1, 6 and 7 are reserved. */
static bool is_reserved(uint8_t code)
{
    unsigned code_class = PDU_CODE_CLASS(code);

    return code_class == 1 || code_class >= 6;
}

int pdu_parse(struct view datagram, struct pdu *ret_pdu, bool *ret_header)
{
    const uint8_t *p = datagram.p;
    struct view rest;
    size_t used;
    int rc;

    *ret_header = false;
    if (datagram.n < PDU_HEADER_LEN)
        return ERR_TRUNCATED;
    if (p[0] >> 6 != PDU_VERSION)
        return ERR_UNSUPPORTED;
    *ret_header = true;
    ret_pdu->type = p[0] >> 4 & 3;
    ret_pdu->code = p[1];
    ret_pdu->mid = (uint16_t)(p[2] << 8 | p[3]);
    ret_pdu->token_len = p[0] & 15;
    if (ret_pdu->token_len > PDU_TOKEN_MAX || is_reserved(ret_pdu->code))
        return ERR_MALFORMED;
    if (ret_pdu->code == PDU_EMPTY && (datagram.n > PDU_HEADER_LEN || ret_pdu->token_len > 0))
        return ERR_MALFORMED;
    if (datagram.n - PDU_HEADER_LEN < ret_pdu->token_len)
        return ERR_TRUNCATED;
    memcpy(ret_pdu->token, p + PDU_HEADER_LEN, ret_pdu->token_len);
    rest = view_sub(datagram, PDU_HEADER_LEN + (size_t)ret_pdu->token_len, datagram.n);
    rc = check_options(rest, &used);
    if (rc < 0)
        return rc;
    ret_pdu->options = view_of(rest.p, used);
    ret_pdu->payload = VIEW_NONE;
    if (used < rest.n) {
        if (used + 1 == rest.n)
            return ERR_MALFORMED; /* a marker without payload */
        ret_pdu->payload = view_of(rest.p + used + 1, rest.n - used - 1);
    }
    return ERR_OK;
}

struct pdu_iter pdu_iter_init(const struct pdu *p)
{
    return (struct pdu_iter){p->options, 0};
}

bool pdu_iter_next(struct pdu_iter *it, uint32_t *ret_number, struct view *ret_value)
{
    uint32_t delta;
    size_t used;

    if (it->rest.n == 0)
        return false;
    used = option_read(it->rest.p, it->rest.n, &delta, ret_value);
    if (used == 0) {
        it->rest.n = 0;
        return false;
    }
    it->rest.p += used;
    it->rest.n -= used;
    it->number += delta;
    *ret_number = it->number;
    return true;
}

bool pdu_option_get(const struct pdu *p, uint32_t number, struct view *ret_value)
{
    struct pdu_iter it = pdu_iter_init(p);
    struct view value;
    uint32_t found;

    while (pdu_iter_next(&it, &found, &value) && found <= number) {
        if (found == number) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

bool pdu_guess_segment(struct view datagram, unsigned index, struct view *ret_value)
{
    struct view value;
    size_t at = PDU_HEADER_LEN;

    if (datagram.n < PDU_HEADER_LEN)
        return false;
    at += datagram.p[0] & 15;
    for (unsigned i = 0; at < datagram.n; i++) {
        uint32_t delta;
        size_t used = option_read(datagram.p + at, datagram.n - at, &delta, &value);

        if (used == 0 || delta != (i == 0 ? PDU_URI_PATH : 0))
            return false;
        if (i == index) {
            *ret_value = value;
            return true;
        }
        at += used;
    }
    return false;
}

bool pdu_option_uint(const struct pdu *p, uint32_t number, uint32_t *ret_value)
{
    struct view value;

    return pdu_option_get(p, number, &value) && pdu_uint(value, ret_value) == ERR_OK;
}

int pdu_uint(struct view value, uint32_t *ret_number)
{
    uint32_t v = 0;

    if (value.n > 4)
        return ERR_RANGE;
    for (size_t i = 0; i < value.n; i++)
        v = v << 8 | value.p[i];
    *ret_number = v;
    return ERR_OK;
}

bool pdu_option_length_ok(uint32_t number, size_t n)
{
    /* RFC 7252 section 5.10, 7641, 7959, 7967, 8613, 8768, 9175, 9177. */
    static const struct {
        uint16_t number, min, max;
    } rows[] = {
        {PDU_IF_MATCH, 0, 8},
        {PDU_URI_HOST, 1, 255},
        {PDU_ETAG, 1, 8},
        {PDU_IF_NONE_MATCH, 0, 0},
        {PDU_OBSERVE, 0, 3},
        {PDU_URI_PORT, 0, 2},
        {PDU_LOCATION_PATH, 0, 255},
        {PDU_OSCORE, 0, 255},
        {PDU_URI_PATH, 0, 255},
        {PDU_CONTENT_FORMAT, 0, 2},
        {PDU_MAX_AGE, 0, 4},
        {PDU_URI_QUERY, 0, 255},
        {PDU_HOP_LIMIT, 1, 1},
        {PDU_ACCEPT, 0, 2},
        {PDU_Q_BLOCK1, 0, 3},
        {PDU_LOCATION_QUERY, 0, 255},
        {PDU_BLOCK2, 0, 3},
        {PDU_BLOCK1, 0, 3},
        {PDU_SIZE2, 0, 4},
        {PDU_Q_BLOCK2, 0, 3},
        {PDU_PROXY_URI, 1, 1034},
        {PDU_PROXY_SCHEME, 1, 255},
        {PDU_SIZE1, 0, 4},
        {PDU_ECHO, 1, 40},
        {PDU_NO_RESPONSE, 0, 1},
        {PDU_REQUEST_TAG, 0, 8},
    };

    for (size_t i = 0; i < mem_count(rows); i++)
        if (rows[i].number == number)
            return n >= rows[i].min && n <= rows[i].max;
    return true;
}

/* ---- writing ---------------------------------------------------------------------------- */

void pdu_begin(struct pdu_writer *w, void *out, size_t cap, enum pdu_type type, uint8_t code,
               uint16_t mid, struct view token)
{
    assert(token.n <= PDU_TOKEN_MAX);
    w->start = w->p = out;
    w->end = w->start + cap;
    w->last_option = 0;
    w->rc = ERR_OK;
    if (cap < PDU_HEADER_LEN + token.n) {
        w->rc = ERR_LIMIT;
        return;
    }
    w->p[0] = (uint8_t)(PDU_VERSION << 6 | (unsigned)type << 4 | token.n);
    w->p[1] = code;
    w->p[2] = (uint8_t)(mid >> 8);
    w->p[3] = (uint8_t)mid;
    if (token.n > 0)
        memcpy(w->p + PDU_HEADER_LEN, token.p, token.n);
    w->p += PDU_HEADER_LEN + token.n;
}

void pdu_put_option(struct pdu_writer *w, uint32_t number, struct view value)
{
    size_t room = (size_t)(w->end - w->p);
    uint16_t delta = (uint16_t)(number - w->last_option);

    assert(number >= w->last_option && number <= UINT16_MAX);
    if (w->rc < 0)
        return;
    /* A length the encoding cannot hold does not fit either. */
    if (value.n > UINT16_MAX || coap_opt_encode_size(delta, value.n) > room) {
        w->rc = ERR_LIMIT;
        return;
    }
    w->p += coap_opt_encode(w->p, room, delta, value.p, value.n);
    w->last_option = number;
}

void pdu_put_uint(struct pdu_writer *w, uint32_t number, uint32_t value)
{
    uint8_t b[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                    (uint8_t)value};
    size_t skip = 0;

    while (skip < sizeof b && b[skip] == 0)
        skip++;
    pdu_put_option(w, number, view_of(b + skip, sizeof b - skip));
}

static void put_parts(struct pdu_writer *w, uint32_t number, struct view rest, uint8_t separator)
{
    struct view part;

    while (view_split(&rest, separator, &part))
        if (part.n > 0)
            pdu_put_option(w, number, part);
}

void pdu_put_path(struct pdu_writer *w, uint32_t number, struct view path)
{
    put_parts(w, number, path, '/');
}

void pdu_put_query(struct pdu_writer *w, uint32_t number, struct view query)
{
    put_parts(w, number, query, '&');
}

void pdu_put_payload(struct pdu_writer *w, struct view payload)
{
    if (w->rc < 0 || payload.n == 0)
        return;
    if (payload.n >= (size_t)(w->end - w->p)) {
        w->rc = ERR_LIMIT;
        return;
    }
    *w->p++ = PDU_MARKER;
    memcpy(w->p, payload.p, payload.n);
    w->p += payload.n;
}

int pdu_finish(struct pdu_writer *w, struct view *ret_datagram)
{
    if (w->rc == ERR_OK)
        *ret_datagram = view_of(w->start, (size_t)(w->p - w->start));
    return w->rc;
}

/* ---- block, code ------------------------------------------------------------------------ */

int pdu_block_decode(struct view value, struct pdu_block *ret_block)
{
    uint32_t v = 0;
    int rc = value.n > 3 ? ERR_RANGE : pdu_uint(value, &v);

    if (rc < 0)
        return rc;
    if ((v & 7) == 7)
        return ERR_MALFORMED;
    *ret_block = (struct pdu_block){.num = v >> 4, .more = (v & 8) != 0, .szx = v & 7};
    return ERR_OK;
}

uint32_t pdu_block_encode(struct pdu_block b)
{
    assert(b.szx <= 6 && b.num < 1u << 20);
    return b.num << 4 | (b.more ? 8u : 0u) | b.szx;
}

void pdu_code_format(uint8_t code, char out[5])
{
    unsigned detail = code & 31;

    out[0] = (char)('0' + PDU_CODE_CLASS(code));
    out[1] = '.';
    out[2] = (char)('0' + detail / 10);
    out[3] = (char)('0' + detail % 10);
    out[4] = '\0';
}
