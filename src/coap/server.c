/*
 * Requests from devices: checks of the options, duplicates, blocks, and the call to the owner.
 */
#include "coap/internal.h"

#include <assert.h>

/* Options that may occur once only; further ones count as unknown (RFC 7252 section 5.4.5). */
static bool is_single(uint32_t number)
{
    return number != PDU_URI_PATH && number != PDU_URI_QUERY;
}

/* Critical options that say nothing to us. */
static bool is_ignored(uint32_t number)
{
    return number == PDU_URI_HOST || number == PDU_URI_PORT;
}

static uint8_t parse_block(struct view value, bool *ret_has, struct pdu_block *ret_block)
{
    /* RFC 7959 section 2.2: the reserved size is answered with 4.00. */
    if (pdu_block_decode(value, ret_block) < 0)
        return CODE_BAD_REQUEST;
    *ret_has = true;
    return 0;
}

static int32_t number_of(struct view value)
{
    uint32_t n = 0;

    (void)pdu_uint(value, &n);
    return (int32_t)n;
}

/* Takes one option of well-formed length; 0 or the code that refuses the request. */
static uint8_t take(struct request *req, struct serving *s, uint32_t number, struct view value)
{
    switch (number) {
    case PDU_URI_PATH:
        if (req->segment_count == REQUEST_SEGMENTS_MAX)
            return CODE_NOT_FOUND;
        req->segments[req->segment_count++] = value;
        return 0;
    case PDU_URI_QUERY:
        if (req->query_count == REQUEST_QUERIES_MAX)
            return CODE_BAD_REQUEST;
        req->queries[req->query_count++] = value;
        return 0;
    case PDU_CONTENT_FORMAT:
        req->format = number_of(value);
        return 0;
    case PDU_ACCEPT:
        req->accept = number_of(value);
        return 0;
    case PDU_OBSERVE:
        req->observe = number_of(value);
        return 0;
    case PDU_BLOCK1:
        return parse_block(value, &s->origin->has_block1, &s->origin->block1);
    case PDU_BLOCK2:
        return parse_block(value, &s->origin->has_block2, &s->origin->block2);
    case PDU_SIZE1:
        s->has_size1 = true;
        s->size1 = (uint32_t)number_of(value);
        return 0;
    case PDU_PROXY_URI:
    case PDU_PROXY_SCHEME:
        return CODE_NO_PROXY;
    default:
        return (number & 1) && !is_ignored(number) ? CODE_BAD_OPTION : 0;
    }
}

uint8_t server_parse(const struct pdu *pdu, struct request *req, struct serving *s)
{
    struct pdu_iter it = pdu_iter_init(pdu);
    uint32_t last = 0;
    uint32_t number;
    struct view value;

    req->segment_count = 0;
    req->query_count = 0;
    req->format = req->accept = FORMAT_NONE;
    req->observe = -1;
    req->method = pdu->code;
    req->confirmable = pdu->type == PDU_CON;
    req->body = pdu->payload;
    if (pdu->code > PDU_IPATCH)
        return CODE_NOT_ALLOWED;
    while (pdu_iter_next(&it, &number, &value)) {
        bool known = pdu_option_length_ok(number, value.n);
        uint8_t code;

        if (number == last && is_single(number))
            known = false;
        last = number;
        code = known ? take(req, s, number, value) : (number & 1) ? CODE_BAD_OPTION : 0;
        if (code)
            return code;
    }
    /* Only what can be run again is answered in blocks. */
    if (s->origin->has_block2 && s->origin->block2.num > 0 && pdu->code != PDU_GET &&
        pdu->code != PDU_FETCH)
        return CODE_BAD_OPTION;
    return 0;
}

void server_call(struct engine *e, struct request *req, struct serving *s, uint64_t now)
{
    req->flow = s->origin->flow;
    req->internal = s;
    e->ops.request(e->ctx, req, now);
    assert(s->settled);
}

/* A body in one message obeys the same limit as one in blocks. */
static bool body_fits(struct engine *e, struct request *req, struct serving *s, uint64_t now)
{
    size_t limit;

    if (req->body.n == 0 || !e->ops.body_limit)
        return true;
    limit = e->ops.body_limit(e->ctx, req);
    if (req->body.n <= limit)
        return true;
    engine_count(e, COUNTER_block_limit);
    reply_code(e, s->origin, CODE_TOO_LARGE, limit, now);
    return false;
}

static void serve(struct engine *e, struct request *req, struct serving *s, const struct pdu *pdu,
                  uint64_t now)
{
    struct transfer *transfer = NULL;

    req->flow = s->origin->flow;
    if (s->origin->has_block1) {
        if (!transfer_take(e, req, s, pdu, now, &transfer))
            return;
    } else if (!body_fits(e, req, s, now)) {
        return;
    }
    server_call(e, req, s, now);
    transfer_free(e, transfer);
}

void server_input(struct engine *e, const struct flow *flow, struct view datagram,
                  const struct pdu *pdu, uint64_t now)
{
    struct origin o = {.flow = *flow,
                       .mid = pdu->mid,
                       .type = pdu->type,
                       .method = pdu->code,
                       .token_len = pdu->token_len};
    struct serving s = {.origin = &o, .datagram = datagram};
    struct request req;
    struct dedup_entry *d;
    uint8_t refusal;

    memcpy(o.token, pdu->token, sizeof(o.token));
    req.replayed = false;
    refusal = server_parse(pdu, &req, &s);
    if (refusal) {
        /* RFC 7252 section 5.4.1: a Non-confirmable one with an unknown option is rejected
         * silently. */
        if (refusal != CODE_BAD_OPTION || pdu->type == PDU_CON)
            reply_refuse(e, flow, pdu, refusal);
        engine_count(e, COUNTER_coap_refused);
        return;
    }
    o.peer = peer_get(e, &flow->peer, now);
    o.hash = dedup_hash(e, flow, datagram);
    d = o.peer ? dedup_find(o.peer, o.hash, o.mid) : NULL;
    if (d) {
        dedup_replay(e, flow, d, pdu);
        return;
    }
    if (!o.peer || !dedup_add(e, o.peer, o.hash, o.mid, now)) {
        engine_count(e, COUNTER_coap_dropped);
        return;
    }
    e->pinned = o.peer;
    serve(e, &req, &s, pdu, now);
    e->pinned = NULL;
}
