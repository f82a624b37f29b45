#include "fleet.h"

/* A request of the server, taken apart, and its answer. */

#define SZX_MAX 6

static int take_option(struct request *r, uint32_t number, struct view value, struct buf *path)
{
    switch (number) {
    case PDU_URI_PATH:
        buf_put_u8(path, '/');
        buf_put_view(path, value);
        return path->rc;
    case PDU_URI_QUERY:
        r->has_query = true;
        return ERR_OK;
    case PDU_ACCEPT:
        return pdu_uint(value, &r->accept);
    case PDU_CONTENT_FORMAT:
        return pdu_uint(value, &r->format);
    case PDU_OBSERVE:
        return pdu_uint(value, &r->observe);
    case PDU_BLOCK2:
        return pdu_block_decode(value, &r->block2);
    case PDU_BLOCK1: {
        struct pdu_block block;
        int rc = pdu_block_decode(value, &block);

        return rc == ERR_OK && (block.more || block.num > 0) ? ERR_TOOLARGE : rc;
    }
    case PDU_URI_HOST:
    case PDU_URI_PORT:
        return ERR_OK;
    default: /* RFC 7252 section 5.4.1: odd numbers are critical */
        return number % 2 == 1 ? ERR_BADOPTION : ERR_OK;
    }
}

int request_parse(const struct pdu *p, struct request *ret_request)
{
    struct request *r = ret_request;
    struct pdu_iter it = pdu_iter_init(p);
    struct view value;
    struct buf path;
    uint32_t number;
    int rc = ERR_OK;

    *r = (struct request){.pdu = p,
                          .accept = UINT32_MAX,
                          .observe = UINT32_MAX,
                          .format = UINT32_MAX,
                          .block2 = {.szx = SZX_MAX}};
    buf_init(&path, PATH_TEXT_MAX);
    while (rc == ERR_OK && pdu_iter_next(&it, &number, &value))
        rc = take_option(r, number, value, &path);
    if (rc == ERR_OK)
        rc = path_parse(buf_view(&path), &r->path);
    buf_fini(&path);
    return rc == ERR_PATH ? ERR_NOTFOUND : rc;
}

uint16_t request_mark(const struct pdu *p)
{
    static const struct hash_key key = {7, 11};

    return (uint16_t)hash_bytes(&key, view_of(p->token, p->token_len));
}

struct request_answer request_refused(int rc)
{
    return (struct request_answer){
        .code = err_coap_code(rc), .format = FORMAT_NONE, .observe = UINT32_MAX};
}

void request_reply(struct wire *w, const struct swarm *s, uint32_t device, const struct request *r,
                   const struct request_answer *a)
{
    const struct pdu *p = r->pdu;
    bool confirmable = p->type == PDU_CON;
    size_t size = PDU_BLOCK_SIZE(r->block2.szx), at = (size_t)r->block2.num * size;
    struct view part = view_sub(a->body, at, size), datagram;
    struct pdu_writer out;

    pdu_begin(&out, wire_reserve(w), WIRE_DATAGRAM_MAX, confirmable ? PDU_ACK : PDU_NON, a->code,
              confirmable ? p->mid : s->devices[device].mid++, view_of(p->token, p->token_len));
    if (a->observe != UINT32_MAX)
        pdu_put_uint(&out, PDU_OBSERVE, a->observe);
    if (a->code == PDU_CONTENT)
        pdu_put_uint(&out, PDU_CONTENT_FORMAT, (uint32_t)a->format);
    if (a->body.n > size)
        pdu_put_uint(&out, PDU_BLOCK2,
                     pdu_block_encode((struct pdu_block){.num = r->block2.num,
                                                         .more = at + size < a->body.n,
                                                         .szx = r->block2.szx}));
    pdu_put_payload(&out, part);
    if (pdu_finish(&out, &datagram) == ERR_OK)
        wire_commit(w, swarm_address(s, device), datagram.n);
}
