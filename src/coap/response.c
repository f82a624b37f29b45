/*
 * Responses and notifications: whose they are, and what they say.
 */
#include "coap/internal.h"

#include <endian.h>

/* Critical options that have no meaning in a response but that some devices repeat there. */
static bool is_tolerated(uint32_t number)
{
    return number == PDU_URI_HOST || number == PDU_URI_PORT || number == PDU_URI_PATH ||
           number == PDU_URI_QUERY || number == PDU_ACCEPT;
}

static void add_segment(struct heard *h, struct view segment)
{
    if (h->location_n + 1 + segment.n > sizeof(h->location)) {
        h->location_n = sizeof(h->location); /* too long to be one: left out */
        return;
    }
    h->location[h->location_n++] = '/';
    if (segment.n > 0)
        memcpy(h->location + h->location_n, segment.p, segment.n);
    h->location_n += segment.n;
}

static void take(struct heard *h, uint32_t number, struct view value)
{
    uint32_t n = 0;

    switch (number) {
    case PDU_ETAG:
        h->etag = value;
        break;
    case PDU_OBSERVE:
        h->observe = true;
        (void)pdu_uint(value, &h->sequence);
        break;
    case PDU_LOCATION_PATH:
        add_segment(h, value);
        break;
    case PDU_CONTENT_FORMAT:
        (void)pdu_uint(value, &n);
        h->format = (int32_t)n;
        break;
    case PDU_BLOCK1:
        h->has_block1 = pdu_block_decode(value, &h->block1) == ERR_OK;
        h->bad |= !h->has_block1;
        break;
    case PDU_BLOCK2:
        h->has_block2 = pdu_block_decode(value, &h->block2) == ERR_OK;
        h->bad |= !h->has_block2;
        break;
    case PDU_SIZE2:
        h->has_size2 = pdu_uint(value, &h->size2) == ERR_OK;
        break;
    case PDU_ECHO:
        h->echo = value;
        break;
    default:
        h->bad |= (number & 1) && !is_tolerated(number);
        break;
    }
}

static void parse(const struct pdu *pdu, const struct flow *flow, struct heard *h)
{
    struct pdu_iter it = pdu_iter_init(pdu);
    uint32_t number;
    struct view value;

    h->pdu = pdu;
    h->flow = flow;
    h->bad = h->observe = h->has_block1 = h->has_block2 = h->has_size2 = false;
    h->sequence = 0;
    h->format = FORMAT_NONE;
    h->etag = h->echo = VIEW_NONE;
    h->location_n = 0;
    while (pdu_iter_next(&it, &number, &value)) {
        if (pdu_option_length_ok(number, value.n))
            take(h, number, value);
        else
            h->bad |= number & 1;
    }
    if (h->location_n == sizeof(h->location))
        h->location_n = 0;
}

static uint64_t token_of(const struct pdu *pdu)
{
    uint64_t token;

    if (pdu->token_len != sizeof(token))
        return 0;
    memcpy(&token, pdu->token, sizeof(token));
    return be64toh(token);
}

/* One that nothing here waits for, but perhaps the callee, who gave up on it long ago. Of a body in
 * blocks only the whole would help. */
static bool is_awaited(struct engine *e, uint64_t token, const struct heard *h, uint64_t now)
{
    struct answer a = {.rc = ERR_OK,
                       .code = h->pdu->code,
                       .format = h->format,
                       .body = h->pdu->payload,
                       .observe = h->observe,
                       .sequence = h->sequence,
                       .mid = h->pdu->mid,
                       .location = view_of(h->location, h->location_n),
                       .szx = SZX_MAX,
                       .flow = *h->flow};

    if (!e->ops.stray || !token || h->bad || a.code == PDU_CONTINUE ||
        (h->has_block2 && (h->block2.more || h->block2.num > 0)))
        return false;
    return e->ops.stray(e->ctx, token, &a, now);
}

/* A response in an ACK belongs to the message of that MID (RFC 7252 section 5.3.2). */
static void piggybacked(struct engine *e, const struct flow *flow, const struct pdu *pdu,
                        uint64_t now)
{
    struct peer *p = peer_find(e, &flow->peer);
    struct exchange *x = p ? exchange_by_mid(flow, p, pdu->mid) : NULL;
    struct heard h;

    parse(pdu, flow, &h);
    if (!x || x->token != token_of(pdu)) {
        if (!is_awaited(e, token_of(pdu), &h, now))
            engine_count(e, COUNTER_coap_unknown_tokens);
        return;
    }
    exchange_heard(e, x, &h, now);
}

/* A response in a message of its own. */
static void separate(struct engine *e, struct exchange *x, const struct heard *h, uint32_t hash,
                     uint64_t now)
{
    if (h->pdu->type == PDU_CON) {
        enum pdu_type type = h->bad ? PDU_RST : PDU_ACK;

        reply_empty(e, h->flow, type, h->pdu->mid);
        dedup_remember(e, h->flow, hash, h->pdu->mid, type, now);
    }
    exchange_heard(e, x, h, now);
}

/* Taken, whatever became of it. */
static void accept(struct engine *e, const struct heard *h, uint32_t hash, uint64_t now)
{
    if (h->pdu->type != PDU_CON)
        return;
    reply_empty(e, h->flow, PDU_ACK, h->pdu->mid);
    dedup_remember(e, h->flow, hash, h->pdu->mid, PDU_ACK, now);
}

void response_input(struct engine *e, const struct flow *flow, struct view datagram,
                    const struct pdu *pdu, uint64_t now)
{
    uint64_t token = token_of(pdu);
    uint32_t hash = 0;
    struct exchange *x;
    struct relation *rel;
    struct heard h;

    if (pdu->type == PDU_ACK) {
        piggybacked(e, flow, pdu, now);
        return;
    }
    if (pdu->type == PDU_CON) {
        struct peer *p = peer_find(e, &flow->peer);
        struct dedup_entry *d;

        hash = dedup_hash(e, flow, datagram);
        d = p ? dedup_find(p, hash, pdu->mid) : NULL;
        if (d) {
            dedup_replay(e, flow, d, pdu);
            return;
        }
    }
    parse(pdu, flow, &h);
    x = token ? exchange_find(e, flow, token) : NULL;
    /* What still says Observe does not answer the wish to end it. */
    if (x && !(x->observe == 1 && h.observe)) {
        separate(e, x, &h, hash, now);
        return;
    }
    rel = token ? relation_find(e, token) : NULL;
    if (rel && !h.bad) {
        relation_heard(e, rel, &h, hash, now);
        return;
    }
    /* A notification overtakes the rest of the first answer, which will be no older: nothing to
     * tell. */
    if (!rel && !h.bad && token && exchange_observing(e, flow, token)) {
        engine_count(e, COUNTER_notifications_stale);
        accept(e, &h, hash, now);
        return;
    }
    if (!rel && is_awaited(e, token, &h, now)) {
        accept(e, &h, hash, now);
        return;
    }
    if (!rel)
        engine_count(e, COUNTER_coap_unknown_tokens);
    reply_empty(e, flow, PDU_RST, pdu->mid);
}
