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
static int make_register(const struct options *o, bool with_list, struct message_register *ret)
{
    static const uint8_t token[MESSAGE_TOKEN_LEN];
    struct message_register m;
    struct pdu_writer w;
    struct view datagram;
    char query[512];
    int rc, endpoint_len, len;
    const uint8_t *at;

    endpoint_len = snprintf(query, sizeof(query), "ep=%s%08u", o->prefix, 0u);
    len = endpoint_len + snprintf(query + endpoint_len, sizeof(query) - (size_t)endpoint_len,
                                  "&lt=%llu&lwm2m=%s&b=%s%s%s", (unsigned long long)o->lifetime_s,
                                  o->version, binding(o), o->pid ? "&pid=" : "",
                                  o->pid ? o->pid : "");
    pdu_begin(&w, m.bytes, sizeof(m.bytes), PDU_CON, PDU_POST, 0, view_of(token, sizeof(token)));
    pdu_put_path(&w, PDU_URI_PATH, VIEW_LIT("rd"));
    if (with_list)
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_LINK);
    pdu_put_query(&w, PDU_URI_QUERY, view_of(query, (size_t)len));
    if (with_list)
        pdu_put_payload(&w, view_str(object_links));
    rc = pdu_finish(&w, &datagram);
    if (rc < 0)
        return rc;
    m.n = datagram.n;
    at = memmem(m.bytes, m.n, query, (size_t)endpoint_len);
    m.digits_at = (size_t)(at - m.bytes) + (size_t)endpoint_len - DIGITS;
    *ret = m;
    return ERR_OK;
}

int message_init(const struct options *o, struct messages *ret_messages)
{
    struct messages m = {.has_pid = o->pid != NULL,
                         .first = (uint32_t)o->first,
                         .wall_offset_ms = clock_wall_ms() - (int64_t)clock_mono_ms(),
                         .send_ms = o->send_ms};
    int rc = make_register(o, true, &m.whole);

    if (rc == ERR_OK)
        rc = make_register(o, !m.has_pid, &m.brief);
    if (rc == ERR_OK)
        *ret_messages = m;
    return rc;
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

    if (kind == MESSAGE_REGISTER || kind == MESSAGE_TELL) {
        const struct message_register *r = kind == MESSAGE_TELL ? &m->whole : &m->brief;

        memcpy(out, r->bytes, r->n);
        put_head(out, PDU_POST, mid, token);
        message_digits(m->first + device, out + r->digits_at);
        return r->n;
    }
    put_head(out, kind == MESSAGE_UPDATE ? PDU_POST : PDU_DELETE, mid, token);
    n += put_location(dev, out + n);
    if (kind == MESSAGE_UPDATE && lifetime_s > 0)
        n += put_lifetime(lifetime_s, out + n);
    return n;
}

size_t message_send(const struct messages *m, uint32_t device, uint64_t first_ms, uint16_t mid,
                    uint32_t token, uint8_t *out)
{
    int64_t time_ms = (int64_t)first_ms + m->wall_offset_ms;
    double value = 20 + (double)((device + first_ms / 1000) % 100) / 10;
    uint8_t bytes[MESSAGE_TOKEN_LEN];
    struct pdu_writer w;
    struct view datagram;
    char body[128];
    int n = snprintf(body, sizeof(body),
                     "[{\"bn\":\"/3303/0/5700\",\"bt\":%lld.%03lld,\"v\":%.1f},"
                     "{\"v\":%.1f,\"t\":-%llu}]",
                     (long long)(time_ms / 1000), (long long)(time_ms % 1000), value, value - 0.5,
                     (unsigned long long)(m->send_ms / 2000 + 1));

    put_u16(bytes, (uint16_t)(token >> 16));
    put_u16(bytes + 2, (uint16_t)token);
    pdu_begin(&w, out, WIRE_DATAGRAM_MAX, PDU_CON, PDU_POST, mid, view_of(bytes, sizeof(bytes)));
    pdu_put_path(&w, PDU_URI_PATH, VIEW_LIT("dp"));
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_SENML_JSON);
    pdu_put_payload(&w, view_of(body, (size_t)n));
    return pdu_finish(&w, &datagram) == ERR_OK ? datagram.n : 0;
}

size_t message_empty(enum pdu_type type, uint16_t mid, uint8_t *out)
{
    out[0] = (uint8_t)(0x40 | type << 4);
    out[1] = PDU_EMPTY;
    put_u16(out + 2, mid);
    return PDU_HEADER_LEN;
}
