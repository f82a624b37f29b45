/*
 * What we answer to requests: encoded once, sent, and remembered for duplicates.
 */
#include "coap/internal.h"

/* What one message of an answer carries besides code, location, format and age. */
struct part {
    struct view payload;
    bool cut; /* a block of a larger body: Block2, ETag, Size2 */
    struct pdu_block block2;
    uint64_t etag;
    size_t total;
    bool has_block1;
    struct pdu_block block1;
    size_t size1; /* REPLY_NO_SIZE: none */
};

struct head {
    enum pdu_type type;
    uint16_t mid;
    struct view token;
};

static uint32_t clipped(size_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static int encode(struct engine *e, const struct head *head, const struct response *resp,
                  const struct part *part, struct view *ret_datagram)
{
    struct pdu_writer w;

    pdu_begin(&w, e->out, e->cfg.message_max, head->type, resp->code, head->mid, head->token);
    if (part->cut)
        pdu_put_option(&w, PDU_ETAG, view_of(&part->etag, sizeof(part->etag)));
    pdu_put_path(&w, PDU_LOCATION_PATH, resp->location);
    if (resp->format != FORMAT_NONE)
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)resp->format);
    if (resp->max_age_s > 0)
        pdu_put_uint(&w, PDU_MAX_AGE, resp->max_age_s);
    if (part->cut)
        pdu_put_uint(&w, PDU_BLOCK2, pdu_block_encode(part->block2));
    if (part->has_block1)
        pdu_put_uint(&w, PDU_BLOCK1, pdu_block_encode(part->block1));
    if (part->cut && part->block2.num == 0)
        pdu_put_uint(&w, PDU_SIZE2, clipped(part->total));
    if (part->size1 != REPLY_NO_SIZE)
        pdu_put_uint(&w, PDU_SIZE1, clipped(part->size1));
    pdu_put_payload(&w, part->payload);
    return pdu_finish(&w, ret_datagram);
}

/* The block asked for, or a smaller one at the same place when the message would be too long. */
static int encode_cut(struct engine *e, const struct head *head, const struct origin *o,
                      const struct response *resp, struct part *part, struct view *ret_datagram)
{
    struct pdu_block b = {.szx = e->cfg.profile->szx};
    size_t offset;

    if (o->has_block2)
        b = o->block2;
    if (b.szx > SZX_MAX)
        b.szx = SZX_MAX;
    offset = (size_t)b.num * PDU_BLOCK_SIZE(b.szx);
    if (offset >= resp->payload.n && b.num > 0)
        return ERR_RANGE;
    part->cut = true;
    part->total = resp->payload.n;
    part->etag = hash_bytes(&e->key, resp->payload);
    for (;; b.szx--) {
        int rc;

        b.num = (uint32_t)(offset / PDU_BLOCK_SIZE(b.szx));
        if (b.num > BLOCK_NUM_MAX)
            return ERR_LIMIT;
        part->payload = view_sub(resp->payload, offset, PDU_BLOCK_SIZE(b.szx));
        b.more = offset + part->payload.n < resp->payload.n;
        part->block2 = b;
        rc = encode(e, head, resp, part, ret_datagram);
        if (rc == ERR_OK || b.szx == 0)
            return rc;
    }
}

static int encode_fitting(struct engine *e, const struct head *head, const struct origin *o,
                          const struct response *resp, struct part *part, struct view *ret_datagram)
{
    /* The further blocks of an answer are asked for by running the request again. */
    bool safe = o->method == PDU_GET || o->method == PDU_FETCH;
    bool may_cut = safe && CODE_IS_SUCCESS(resp->code) && resp->payload.n > 0;

    if (!may_cut || !o->has_block2) {
        int rc;

        part->payload = resp->payload;
        rc = encode(e, head, resp, part, ret_datagram);
        if (rc == ERR_OK || !may_cut)
            return rc;
    }
    return encode_cut(e, head, o, resp, part, ret_datagram);
}

/* Block1 of the answer to a block (RFC 7959 section 2.3). */
static struct pdu_block block1_echo(const struct origin *o, uint8_t code)
{
    struct pdu_block b = o->block1;

    if (code == PDU_CONTINUE)
        b.more = true;
    else if (CODE_IS_SUCCESS(code))
        b.more = false;
    return b;
}

static void remember(struct engine *e, struct origin *o, const struct head *head, uint8_t code,
                     struct view datagram)
{
    struct dedup_entry *d = dedup_find(o->peer, o->hash, o->mid);
    struct view tail = view_sub(datagram, PDU_HEADER_LEN + head->token.n, datagram.n);

    if (!d)
        return;
    if (head->type == PDU_ACK && tail.n == 0)
        dedup_set_code(e, d, PDU_ACK, code);
    else
        dedup_set_bytes(e, o->peer, d, code, head->type == PDU_NON, head->mid, tail);
}

void reply_send(struct engine *e, struct origin *o, const struct response *resp, size_t size1,
                uint64_t now)
{
    struct part part = {.has_block1 = o->has_block1, .size1 = size1};
    struct head head = {PDU_ACK, o->mid, view_of(o->token, o->token_len)};
    struct response plain = {.code = resp->code, .format = FORMAT_NONE};
    struct view datagram;
    int rc;

    if (o->has_block1)
        part.block1 = block1_echo(o, resp->code);
    if (o->type == PDU_NON)
        head.type = PDU_NON;
    else if (o->acked)
        head.type = PDU_CON;
    if (head.type != PDU_ACK)
        head.mid = peer_mid(o->peer);
    rc = encode_fitting(e, &head, o, resp, &part, &datagram);
    if (rc < 0) {
        /* Header, token, Block1 and Size1 alone always fit (see engine_new). */
        plain.code = rc == ERR_RANGE ? CODE_BAD_OPTION : CODE_INTERNAL;
        part.cut = false;
        part.payload = VIEW_NONE;
        rc = encode(e, &head, &plain, &part, &datagram);
    }
    if (rc < 0)
        return;
    engine_send(e, &o->flow, datagram);
    if (head.type == PDU_CON)
        (void)separate_start(e, o->peer, &o->flow, head.mid, datagram, now);
    else
        remember(e, o, &head, plain.code, datagram);
}

void reply_code(struct engine *e, struct origin *o, uint8_t code, size_t size1, uint64_t now)
{
    struct response resp = {.code = code, .format = FORMAT_NONE};

    reply_send(e, o, &resp, size1, now);
}

void reply_refuse(struct engine *e, const struct flow *flow, const struct pdu *pdu, uint8_t code)
{
    bool con = pdu->type == PDU_CON;
    struct response resp = {.code = code, .format = FORMAT_NONE};
    struct part part = {.size1 = REPLY_NO_SIZE};
    struct head head = {PDU_ACK, pdu->mid, view_of(pdu->token, pdu->token_len)};
    struct view datagram;

    if (!con) {
        head.type = PDU_NON;
        head.mid = (uint16_t)random_u64(e->random);
    }
    if (encode(e, &head, &resp, &part, &datagram) == ERR_OK)
        engine_send(e, flow, datagram);
}

void reply_empty(struct engine *e, const struct flow *flow, enum pdu_type type, uint16_t mid)
{
    uint8_t out[PDU_HEADER_LEN];
    struct pdu_writer w;
    struct view datagram;

    pdu_begin(&w, out, sizeof(out), type, PDU_EMPTY, mid, VIEW_NONE);
    if (pdu_finish(&w, &datagram) < 0)
        return;
    if (type == PDU_RST)
        engine_count(e, COUNTER_coap_resets_sent);
    engine_send(e, flow, datagram);
}
