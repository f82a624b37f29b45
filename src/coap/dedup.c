/*
 * Deduplication (RFC 7252 section 4.2): per peer the last few messages, by MID and a hash of the
 * whole datagram, so that a client that rebooted and reuses a MID for something else is heard. An
 * answer that is a code and the token only is rebuilt from the duplicate; others are kept from
 * after the token on. A million of the latter are 2.01 with a location rd/0123456789abcdef: of
 * these the number is enough.
 */
#include "coap/internal.h"

/* Cached answer; n_non: length and, in the top bit, "Non-confirmable": then two bytes of MID come
 * first. */
struct dedup_bytes {
    uint16_t n_non;
    uint8_t code;
    uint8_t tail[];
};

#define NON_BIT 0x8000u
#define BYTES_SIZE(n) (offsetof(struct dedup_bytes, tail) + (n))

static struct dedup_entry *entries(struct peer *p)
{
    return p->cap > PEER_FEW ? p->entries.many : p->entries.few;
}

static bool is_bytes(const struct dedup_entry *d)
{
    return !d->is_location && d->answer != 0 && !(d->answer & 1);
}

static struct dedup_bytes *bytes_of(const struct dedup_entry *d)
{
    return (struct dedup_bytes *)(uintptr_t)d->answer;
}

/* Two Location-Path options, "rd" and 16 digits. */
static const uint8_t location_head[] = {0x82, 'r', 'd', 0x0d, 0x03};
#define LOCATION_DIGITS 16
#define LOCATION_LEN (sizeof(location_head) + LOCATION_DIGITS)

static void put_location(uint64_t number, uint8_t out[LOCATION_LEN])
{
    memcpy(out, location_head, sizeof(location_head));
    for (size_t i = 0; i < LOCATION_DIGITS; i++)
        out[sizeof(location_head) + i] = (uint8_t) "0123456789abcdef"[number >> (60 - 4 * i) & 15];
}

/* False when it is not exactly what put_location would make. */
static bool is_location(uint8_t code, struct view tail, uint64_t *ret_number)
{
    uint8_t same[LOCATION_LEN];
    uint64_t number = 0;

    if (code != PDU_CREATED || tail.n != LOCATION_LEN)
        return false;
    for (size_t i = sizeof(location_head); i < LOCATION_LEN; i++)
        number = number << 4 | ((tail.p[i] & 15) + (tail.p[i] >= 'a' ? 9u : 0u));
    put_location(number, same);
    *ret_number = number;
    return number != 0 && memcmp(same, tail.p, sizeof(same)) == 0;
}

uint32_t dedup_hash(const struct engine *e, const struct flow *flow, struct view datagram)
{
    uint64_t h = hash_bytes(&e->key, datagram) + flow->transport;

    return (uint32_t)(h ^ h >> 32);
}

struct dedup_entry *dedup_find(struct peer *p, uint32_t hash, uint16_t mid)
{
    struct dedup_entry *d = entries(p);

    for (size_t i = 0; i < p->count; i++)
        if (d[i].mid == mid && d[i].hash == hash)
            return &d[i];
    return NULL;
}

static void drop_answer(struct engine *e, struct dedup_entry *d)
{
    if (is_bytes(d)) {
        e->dedup_bytes -= BYTES_SIZE(bytes_of(d)->n_non & ~NON_BIT);
        mem_free(bytes_of(d));
    }
    d->answer = 0;
    d->is_location = false;
}

void dedup_forget(struct engine *e, struct peer *p, struct dedup_entry *d)
{
    drop_answer(e, d);
    *d = entries(p)[--p->count];
    e->dedup_entries--;
}

static uint16_t age(const struct dedup_entry *d, uint64_t now)
{
    return (uint16_t)((now / 1000 - d->at_s) & 0x7fff);
}

void dedup_expire(struct engine *e, struct peer *p, uint64_t now)
{
    for (size_t i = p->count; i-- > 0;) {
        struct dedup_entry *d = &entries(p)[i];

        if (d->answer && age(d, now) > e->lifetime_s)
            dedup_forget(e, p, d);
    }
}

void dedup_clear(struct engine *e, struct peer *p)
{
    while (p->count > 0)
        dedup_forget(e, p, &entries(p)[p->count - 1]);
    if (p->cap > PEER_FEW) {
        e->ring_bytes -= p->cap * sizeof(struct dedup_entry);
        mem_free(p->entries.many);
        p->cap = PEER_FEW;
    }
}

static bool grow(struct engine *e, struct peer *p)
{
    size_t cap = (size_t)p->cap * 2;
    struct dedup_entry *many;

    if (cap > e->cfg.dedup_per_peer)
        cap = e->cfg.dedup_per_peer;
    many = mem_new(cap * sizeof(*many));
    if (!many)
        return false;
    memcpy(many, entries(p), p->count * sizeof(*many));
    if (p->cap > PEER_FEW) {
        e->ring_bytes -= p->cap * sizeof(*many);
        mem_free(p->entries.many);
    }
    p->entries.many = many;
    p->cap = (uint8_t)cap;
    e->ring_bytes += cap * sizeof(*many);
    return true;
}

/* The oldest one that has been answered: one without an answer is still at work. */
static struct dedup_entry *oldest(struct peer *p, uint64_t now)
{
    struct dedup_entry *found = NULL;

    for (size_t i = 0; i < p->count; i++) {
        struct dedup_entry *d = &entries(p)[i];

        if (d->answer && (!found || age(d, now) > age(found, now)))
            found = d;
    }
    return found;
}

struct dedup_entry *dedup_add(struct engine *e, struct peer *p, uint32_t hash, uint16_t mid,
                              uint64_t now)
{
    struct dedup_entry *d;

    if (p->count >= e->cfg.dedup_per_peer || (p->count == p->cap && !grow(e, p))) {
        d = oldest(p, now);
        if (!d)
            return NULL;
        dedup_forget(e, p, d);
        engine_count(e, COUNTER_coap_dedup_evicted);
    }
    d = &entries(p)[p->count++];
    e->dedup_entries++;
    *d = (struct dedup_entry){.hash = hash, .mid = mid, .at_s = now / 1000 & 0x7fff};
    return d;
}

void dedup_set_code(struct engine *e, struct dedup_entry *d, enum pdu_type type, uint8_t code)
{
    drop_answer(e, d);
    d->answer = (uint64_t)code << 8 | (uint64_t)type << 1 | 1;
}

void dedup_set_bytes(struct engine *e, struct peer *p, struct dedup_entry *d, uint8_t code,
                     bool non, uint16_t mid, struct view tail)
{
    size_t n = tail.n + (non ? 2 : 0);
    struct dedup_bytes *b = NULL;
    uint64_t number;
    uint8_t *to;

    drop_answer(e, d);
    if (!non && is_location(code, tail, &number)) {
        d->is_location = true;
        d->answer = number;
        return;
    }
    while (e->dedup_bytes + BYTES_SIZE(n) > e->cfg.dedup_bytes && peer_evict(e))
        ;
    if (e->dedup_bytes + BYTES_SIZE(n) <= e->cfg.dedup_bytes)
        b = mem_new(BYTES_SIZE(n));
    if (!b) {
        engine_count(e, COUNTER_coap_dedup_evicted);
        dedup_forget(e, p, d);
        return;
    }
    b->n_non = (uint16_t)(n | (non ? NON_BIT : 0));
    b->code = code;
    to = b->tail;
    if (non) {
        *to++ = (uint8_t)(mid >> 8);
        *to++ = (uint8_t)mid;
    }
    if (tail.n > 0)
        memcpy(to, tail.p, tail.n);
    e->dedup_bytes += BYTES_SIZE(n);
    d->answer = (uint64_t)(uintptr_t)b;
}

static void send_again(struct engine *e, const struct flow *flow, const struct pdu *pdu,
                       enum pdu_type type, uint8_t code, uint16_t mid, struct view tail)
{
    struct pdu_writer w;
    struct view datagram;

    pdu_begin(&w, e->out, e->cfg.message_max, type, code, mid, view_of(pdu->token, pdu->token_len));
    if (w.rc == ERR_OK && tail.n > 0) {
        memcpy(w.p, tail.p, tail.n);
        w.p += tail.n;
    }
    if (pdu_finish(&w, &datagram) == ERR_OK)
        engine_send(e, flow, datagram);
}

static void replay_bytes(struct engine *e, const struct flow *flow, const struct dedup_bytes *b,
                         const struct pdu *pdu)
{
    bool non = b->n_non & NON_BIT;
    struct view tail = view_of(b->tail, b->n_non & ~NON_BIT);
    uint16_t mid = pdu->mid;

    if (non) {
        mid = (uint16_t)(tail.p[0] << 8 | tail.p[1]);
        tail = view_sub(tail, 2, tail.n);
    }
    send_again(e, flow, pdu, non ? PDU_NON : PDU_ACK, b->code, mid, tail);
}

static void replay_location(struct engine *e, const struct flow *flow, uint64_t number,
                            const struct pdu *pdu)
{
    uint8_t tail[LOCATION_LEN];

    put_location(number, tail);
    send_again(e, flow, pdu, PDU_ACK, PDU_CREATED, pdu->mid, view_of(tail, sizeof(tail)));
}

void dedup_replay(struct engine *e, const struct flow *flow, const struct dedup_entry *d,
                  const struct pdu *pdu)
{
    enum pdu_type type = (enum pdu_type)(d->answer >> 1 & 3);
    uint8_t code = (uint8_t)(d->answer >> 8);

    engine_count(e, COUNTER_coap_duplicates);
    if (d->is_location)
        replay_location(e, flow, d->answer, pdu);
    else if (is_bytes(d))
        replay_bytes(e, flow, bytes_of(d), pdu);
    else if (d->answer != 0 && code == PDU_EMPTY)
        reply_empty(e, flow, type, pdu->mid);
    else if (d->answer != 0)
        send_again(e, flow, pdu, type, code, pdu->mid, VIEW_NONE);
}

void dedup_remember(struct engine *e, const struct flow *flow, uint32_t hash, uint16_t mid,
                    enum pdu_type type, uint64_t now)
{
    struct peer *p = peer_get(e, &flow->peer, now);
    struct dedup_entry *d = p ? dedup_add(e, p, hash, mid, now) : NULL;

    if (d)
        dedup_set_code(e, d, type, PDU_EMPTY);
}
