/*
 * Observations, the client's half (RFC 7641): which notification is newer than the last one, and
 * the rest of those that come in blocks.
 */
#include "coap/internal.h"

#define SEQUENCE_HALF 0x800000u
#define SEQUENCE_AGE_S 128u

static bool relation_eq(const void *item, const void *key)
{
    return ((const struct relation *)item)->token == *(const uint64_t *)key;
}

struct relation *relation_find(const struct engine *e, uint64_t token)
{
    return table_get(e->relations, hash_u64(&e->key, token), relation_eq, &token);
}

int relation_add(struct engine *e, struct relation *rel)
{
    if (relation_find(e, rel->token))
        return ERR_EXISTS;
    return table_put(e->relations, hash_u64(&e->key, rel->token), rel);
}

void relation_del(struct engine *e, struct relation *rel, uint64_t now)
{
    struct exchange *x = exchange_fetching(e, rel->token);

    (void)table_del(e->relations, hash_u64(&e->key, rel->token), rel);
    if (x)
        exchange_fail(e, x, ERR_CANCELLED, now);
}

/* Never 0, which says that nothing was seen. */
static uint32_t seconds(uint64_t now)
{
    uint32_t s = (uint32_t)(now / 1000);

    return s ? s : 1;
}

/* RFC 7641 section 3.4, but an equal number is fresh in another message: Leshan's client repeats it
 * when only pmax has elapsed. */
static bool is_fresh(const struct relation *rel, const struct heard *h, uint64_t now)
{
    uint32_t v1 = rel->sequence;
    uint32_t v2 = h->sequence;

    if (rel->seen_s == 0 || seconds(now) - rel->seen_s > SEQUENCE_AGE_S)
        return true;
    if (v1 == v2)
        return rel->mid != h->pdu->mid;
    return (v1 < v2 && v2 - v1 < SEQUENCE_HALF) || (v1 > v2 && v1 - v2 > SEQUENCE_HALF);
}

static void seen(struct relation *rel, const struct heard *h, uint64_t now)
{
    rel->sequence = h->sequence;
    rel->mid = h->pdu->mid;
    rel->seen_s = seconds(now);
}

static void answer(struct engine *e, const struct heard *h, uint32_t hash, bool accepted,
                   uint64_t now)
{
    enum pdu_type type = accepted ? PDU_ACK : PDU_RST;

    if (h->pdu->type == PDU_CON)
        dedup_remember(e, h->flow, hash, h->pdu->mid, type, now);
    else if (accepted)
        return;
    reply_empty(e, h->flow, type, h->pdu->mid);
}

/* The exchange that gets what follows the first block. */
static int fetch(struct engine *e, uint64_t relation, struct outgoing *out, const struct heard *h,
                 uint64_t now)
{
    struct exchange *x;
    int rc;

    out->token = exchange_token(e, relation);
    out->observe = -1;
    rc = exchange_new(e, out, now, &x);
    if (rc < 0)
        return rc;
    rc = exchange_fetches(e, x, relation);
    if (rc == ERR_OK)
        rc = block_download_first(e, x, h);
    if (rc == BLOCK_NEXT)
        exchange_begin(e, x, now);
    else if (rc < 0)
        exchange_fail(e, x, rc, now);
    return ERR_OK;
}

/* The beginning of a long notification; false when the relation is not wanted any more. */
static bool begin_fetch(struct engine *e, struct relation *rel, const struct heard *h, uint64_t now)
{
    struct outgoing out = {.flow = h->flow,
                           .profile = e->cfg.profile,
                           .code = PDU_GET,
                           .format = FORMAT_NONE,
                           .accept = FORMAT_NONE,
                           .szx = 7};
    struct exchange *older = exchange_fetching(e, rel->token);

    if (h->block2.num != 0 || !e->ops.relation_outgoing ||
        e->ops.relation_outgoing(e->ctx, rel, &out) < 0)
        return false;
    if (older)
        exchange_fail(e, older, ERR_CANCELLED, now); /* a newer state makes it useless */
    seen(rel, h, now);
    if (fetch(e, rel->token, &out, h, now) < 0)
        engine_count(e, COUNTER_block_transfers_failed);
    return true;
}

void relation_heard(struct engine *e, struct relation *rel, const struct heard *h, uint32_t hash,
                    uint64_t now)
{
    struct answer a = {.rc = ERR_OK,
                       .code = h->pdu->code,
                       .format = h->format,
                       .body = h->pdu->payload,
                       .observe = h->observe,
                       .sequence = h->sequence,
                       .mid = h->pdu->mid,
                       .szx = h->has_block2 ? h->block2.szx : SZX_MAX,
                       .flow = *h->flow};
    bool lasting = CODE_IS_SUCCESS(a.code) && a.observe;
    uint64_t token = rel->token;
    bool accepted;

    if (lasting && !is_fresh(rel, h, now)) {
        engine_count(e, COUNTER_notifications_stale);
        answer(e, h, hash, true, now);
        return;
    }
    if (lasting && h->has_block2 && (h->block2.more || h->block2.num > 0)) {
        accepted = begin_fetch(e, rel, h, now);
        answer(e, h, hash, accepted, now);
        return;
    }
    accepted = e->ops.notification(e->ctx, rel, &a, now) == ERR_OK;
    if (accepted && lasting && relation_find(e, token) == rel)
        seen(rel, h, now);
    answer(e, h, hash, accepted, now);
}

void relation_fetched(struct engine *e, uint64_t token, const struct answer *a, uint64_t now)
{
    struct relation *rel = relation_find(e, token);

    if (a->rc == ERR_OK && CODE_IS_SUCCESS(a->code) && rel) {
        (void)e->ops.notification(e->ctx, rel, a, now);
        return;
    }
    blob_free(a->blob);
}
