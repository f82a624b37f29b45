/*
 * CoAP messages, against libcoap's own parser: the same messages are accepted, with the same
 * content; and what is accepted, written again, reads the same.
 *
 * Deliberate differences: we refuse reserved code classes, option numbers above 65 535 (libcoap
 * lets them wrap) and more than PDU_OPTIONS_MAX options; newer libcoap takes the extended tokens of
 * RFC 8974. libcoap refuses known options of a wrong length; for us that is an unknown option (RFC
 * 7252 section 5.4.3), not a malformed message. An empty Uri-Query is one of them for libcoap,
 * though RFC 7252 allows it.
 */
#include "codec/codec.h"

#include "require.h"

#include <coap3/coap.h>

static bool has_odd_length(const struct pdu *p)
{
    struct pdu_iter it = pdu_iter_init(p);
    struct view value;
    uint32_t number;
    bool odd = false;

    while (pdu_iter_next(&it, &number, &value))
        odd |= !pdu_option_length_ok(number, value.n) || (number == PDU_URI_QUERY && value.n == 0);
    return odd;
}

/* The number a nibble stands for; the bytes it may have are skipped. */
static uint32_t extended(uint32_t nibble, const uint8_t **p)
{
    if (nibble == 13)
        return 13u + *(*p)++;
    if (nibble == 14) {
        *p += 2;
        return 269u + ((uint32_t)(*p)[-2] << 8) + (*p)[-1];
    }
    return nibble;
}

/* Of a message that libcoap found well formed. */
static bool is_refused_deliberately(const uint8_t *data, size_t size)
{
    const uint8_t *p = data + 4 + (data[0] & 15);
    unsigned code_class = data[1] >> 5, count = 0;
    uint32_t number = 0;

    if (code_class == 1 || code_class >= 6 || (data[0] & 15) > PDU_TOKEN_MAX)
        return true;
    for (; p < data + size && *p != 0xff; count++) {
        uint32_t delta = *p >> 4, length = *p & 15;

        p++;
        number += extended(delta, &p);
        length = extended(length, &p);
        p += length;
    }
    return number > UINT16_MAX || count > PDU_OPTIONS_MAX;
}

static void same_as_libcoap(const struct pdu *p, const coap_pdu_t *theirs)
{
    coap_bin_const_t token = coap_pdu_get_token(theirs);
    coap_opt_iterator_t walk;
    struct pdu_iter it = pdu_iter_init(p);
    struct view value;
    uint32_t number;
    const uint8_t *payload = NULL;
    size_t payload_len = 0;

    require(p->type == coap_pdu_get_type(theirs) && p->code == coap_pdu_get_code(theirs));
    require(p->mid == (uint16_t)coap_pdu_get_mid(theirs));
    require(view_eq(view_of(p->token, p->token_len), view_of(token.s, token.length)));
    coap_option_iterator_init(theirs, &walk, COAP_OPT_ALL);
    for (const coap_opt_t *o; (o = coap_option_next(&walk)) != NULL;) {
        require(pdu_iter_next(&it, &number, &value) && number == walk.number);
        require(view_eq(value, view_of(coap_opt_value(o), coap_opt_length(o))));
    }
    require(!pdu_iter_next(&it, &number, &value));
    coap_get_data(theirs, &payload_len, &payload);
    require(view_eq(p->payload, view_of(payload, payload_len)));
}

/* What was guessed of a message that begins with its path is the path. */
static void guessed_right(const struct pdu *p, struct view datagram)
{
    struct pdu_iter it = pdu_iter_init(p);
    struct view value, guess;
    uint32_t number;
    unsigned i = 0;

    while (pdu_iter_next(&it, &number, &value) && number == PDU_URI_PATH)
        require(pdu_guess_segment(datagram, i++, &guess) && guess.p == value.p &&
                guess.n == value.n);
    require(!pdu_guess_segment(datagram, i, &guess));
}

static void same_when_written(const struct pdu *p, size_t size)
{
    uint8_t *out = malloc(size); /* the shortest encoding needs no more */
    struct pdu_writer w;
    struct pdu_iter a = pdu_iter_init(p), b;
    struct view value, again, datagram;
    uint32_t number, number_again;
    struct pdu q;
    bool header;

    pdu_begin(&w, out, size, p->type, p->code, p->mid, view_of(p->token, p->token_len));
    while (pdu_iter_next(&a, &number, &value))
        pdu_put_option(&w, number, value);
    pdu_put_payload(&w, p->payload);
    require(pdu_finish(&w, &datagram) == ERR_OK);
    require(pdu_parse(datagram, &q, &header) == ERR_OK);
    require(q.type == p->type && q.code == p->code && q.mid == p->mid);
    require(view_eq(view_of(q.token, q.token_len), view_of(p->token, p->token_len)));
    require(view_eq(q.payload, p->payload));
    a = pdu_iter_init(p);
    b = pdu_iter_init(&q);
    while (pdu_iter_next(&a, &number, &value))
        require(pdu_iter_next(&b, &number_again, &again) && number == number_again &&
                view_eq(value, again));
    require(!pdu_iter_next(&b, &number_again, &again));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    coap_pdu_t *theirs = coap_pdu_init(COAP_MESSAGE_CON, COAP_EMPTY_CODE, 0, size);
    struct pdu p;
    bool header = false;
    bool ours_ok = pdu_parse(view_of(data, size), &p, &header) == ERR_OK;
    bool theirs_ok;

    coap_set_log_level((coap_log_t)0);
    require(theirs != NULL);
    theirs_ok = coap_pdu_parse(COAP_PROTO_UDP, data, size, theirs) != 0;
    require(header == (size >= 4 && data[0] >> 6 == 1));
    if (ours_ok && theirs_ok)
        same_as_libcoap(&p, theirs);
    else if (ours_ok)
        require(has_odd_length(&p));
    else
        require(!theirs_ok || is_refused_deliberately(data, size));
    if (ours_ok) {
        guessed_right(&p, view_of(data, size));
        same_when_written(&p, size);
    }
    coap_delete_pdu(theirs);
    return 0;
}
