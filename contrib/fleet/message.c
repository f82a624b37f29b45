#include "fleet.h"

#include <stdio.h>

#define DIGITS 8

void message_digits(uint32_t number, uint8_t *out)
{
    for (int i = DIGITS - 1; i >= 0; i--) {
        out[i] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* LwM2M 1.0 says it within the binding, later versions by a parameter of its own. */
static const char *binding(const struct options *o)
{
    if (o->mode != MODE_SLEEPERS)
        return "U";
    return strcmp(o->version, "1.0") == 0 ? "UQ" : "U&Q";
}

/* A Register that fits every device but for the message id, the token and the eight digits. */
int message_init(const struct options *o, struct messages *ret_messages)
{
    static const uint8_t token[MESSAGE_TOKEN_LEN];
    struct messages m = {.first = (uint32_t)o->first};
    struct pdu_writer w;
    struct view datagram;
    char query[256];
    int rc, endpoint_len, len;
    const uint8_t *at;

    endpoint_len = snprintf(query, sizeof(query), "ep=%s%08u", o->prefix, 0u);
    len = endpoint_len + snprintf(query + endpoint_len, sizeof(query) - (size_t)endpoint_len,
                                  "&lt=%llu&lwm2m=%s&b=%s", (unsigned long long)o->lifetime_s,
                                  o->version, binding(o));
    pdu_begin(&w, m.register_bytes, sizeof(m.register_bytes), PDU_CON, PDU_POST, 0,
              view_of(token, sizeof(token)));
    pdu_put_path(&w, PDU_URI_PATH, VIEW_LIT("rd"));
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_LINK);
    pdu_put_query(&w, PDU_URI_QUERY, view_of(query, (size_t)len));
    pdu_put_payload(&w, view_str(object_links));
    rc = pdu_finish(&w, &datagram);
    if (rc < 0)
        return rc;
    m.register_len = datagram.n;
    at = memmem(m.register_bytes, m.register_len, query, (size_t)endpoint_len);
    m.digits_at = (size_t)(at - m.register_bytes) + (size_t)endpoint_len - DIGITS;
    *ret_messages = m;
    return ERR_OK;
}

static void put_u16(uint8_t *out, uint16_t v)
{
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
}

static void put_head(uint8_t *out, uint8_t code, uint16_t mid, uint32_t token)
{
    out[0] = 0x40 | PDU_CON << 4 | MESSAGE_TOKEN_LEN;
    out[1] = code;
    put_u16(out + 2, mid);
    put_u16(out + 4, (uint16_t)(token >> 16));
    put_u16(out + 6, (uint16_t)token);
}

/* rd and the id, each as a Uri-Path option (RFC 7252 section 3.1: delta 11, then 0). */
static size_t put_location(const struct swarm_device *dev, uint8_t *out)
{
    size_t n = 0;

    out[n++] = 0xb2;
    out[n++] = 'r';
    out[n++] = 'd';
    if (dev->id_len < 13) {
        out[n++] = dev->id_len;
    } else {
        out[n++] = 13;
        out[n++] = (uint8_t)(dev->id_len - 13);
    }
    memcpy(out + n, dev->id, dev->id_len);
    return n + dev->id_len;
}

/* Uri-Query lt: option delta 4 after Uri-Path. */
static size_t put_lifetime(uint32_t lifetime_s, uint8_t *out)
{
    int n = snprintf((char *)out + 1, 16, "lt=%u", lifetime_s);

    if (n < 13) {
        out[0] = (uint8_t)(0x40 | n);
        return 1 + (size_t)n;
    }
    memmove(out + 2, out + 1, (size_t)n);
    out[0] = 0x4d;
    out[1] = (uint8_t)(n - 13);
    return 2 + (size_t)n;
}

size_t message_write(const struct messages *m, enum message_kind kind,
                     const struct swarm_device *dev, uint32_t device, uint32_t lifetime_s,
                     uint16_t mid, uint32_t token, uint8_t *out)
{
    size_t n = PDU_HEADER_LEN + MESSAGE_TOKEN_LEN;

    if (kind == MESSAGE_REGISTER) {
        memcpy(out, m->register_bytes, m->register_len);
        put_head(out, PDU_POST, mid, token);
        message_digits(m->first + device, out + m->digits_at);
        return m->register_len;
    }
    put_head(out, kind == MESSAGE_UPDATE ? PDU_POST : PDU_DELETE, mid, token);
    n += put_location(dev, out + n);
    if (kind == MESSAGE_UPDATE && lifetime_s > 0)
        n += put_lifetime(lifetime_s, out + n);
    return n;
}

size_t message_empty(enum pdu_type type, uint16_t mid, uint8_t *out)
{
    out[0] = (uint8_t)(0x40 | type << 4);
    out[1] = PDU_EMPTY;
    put_u16(out + 2, mid);
    return PDU_HEADER_LEN;
}
