#include "coap_rig.h"

#include <endian.h>
#include <stdlib.h>

/* ---- callbacks ------------------------------------------------------------------------------ */

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct rig *r = ctx;
    struct rig_sent *s = &r->sent[r->sent_count++ % RIG_SENT];

    assert_true(datagram.n <= RIG_BYTES);
    assert_true(datagram.n <= r->cfg.message_max);
    s->flow = *flow;
    s->n = datagram.n;
    memcpy(s->bytes, datagram.p, datagram.n);
}

static void join(char *to, size_t cap, char sep, bool leading, const struct view *v, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (leading || i > 0)
            to[at++] = sep;
        assert_true(at + v[i].n + 1 < cap);
        if (v[i].n > 0)
            memcpy(to + at, v[i].p, v[i].n);
        at += v[i].n;
    }
    to[at] = '\0';
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    struct rig *r = ctx;
    struct rig_request *k = &r->request;

    assert_int_equal(now, r->now);
    r->requests++;
    k->method = req->method;
    k->confirmable = req->confirmable;
    k->replayed = req->replayed;
    k->segments = req->segment_count;
    k->queries = req->query_count;
    k->format = req->format;
    k->accept = req->accept;
    k->observe = req->observe;
    join(k->path, sizeof(k->path), '/', true, req->segments, req->segment_count);
    join(k->query, sizeof(k->query), '&', false, req->queries, req->query_count);
    k->body_n = req->body.n;
    assert_true(req->body.n <= RIG_BYTES);
    if (req->body.n > 0)
        memcpy(k->body, req->body.p, req->body.n);
    if (r->on_request)
        r->on_request(r);
    if (r->mode == RIG_REPLY)
        engine_reply(r->e, req, &r->response, now);
    else if (r->mode == RIG_DEFER)
        r->pending = engine_defer(r->e, req, now);
    else
        engine_ignore(r->e, req);
}

static size_t on_body_limit(void *ctx, const struct request *req)
{
    struct rig *r = ctx;

    assert_true(req->segment_count > 0);
    return r->body_limit;
}

static void record(struct rig_answer *k, const struct answer *a, void *ctx)
{
    memset(k, 0, sizeof(*k));
    k->rc = a->rc;
    k->code = a->code;
    k->format = a->format;
    k->observe = a->observe;
    k->has_blob = a->blob != NULL;
    k->sequence = a->sequence;
    k->szx = a->szx;
    k->retransmissions = a->retransmissions;
    k->body_whole = a->body.n;
    k->body_n = a->body.n < RIG_BYTES ? a->body.n : RIG_BYTES;
    k->body_hash = rig_hash(a->body.p, a->body.n);
    if (k->body_n > 0)
        memcpy(k->body, a->body.p, k->body_n);
    assert_true(a->location.n < sizeof(k->location));
    if (a->location.n > 0)
        memcpy(k->location, a->location.p, a->location.n);
    if (a->blob)
        k->body_whole = (size_t)a->blob->size;
    blob_free(a->blob);
    k->ctx = ctx;
}

static void on_answer(void *ctx, const struct answer *a, uint64_t now)
{
    struct rig *r = ctx;

    assert_int_equal(now, r->now);
    assert_true(r->answers < RIG_ANSWERS);
    record(&r->answer[r->answers++], a, ctx);
    if (r->on_answer)
        r->on_answer(r);
}

static int on_notification(void *ctx, struct relation *rel, const struct answer *a, uint64_t now)
{
    struct rig *r = ctx;

    assert_int_equal(now, r->now);
    assert_int_equal(a->rc, ERR_OK);
    r->notifications++;
    record(&r->notification, a, NULL);
    if (r->on_notification)
        r->on_notification(r, rel);
    return r->notification_rc;
}

static int on_relation_outgoing(void *ctx, struct relation *rel, struct outgoing *fill)
{
    struct rig *r = ctx;

    (void)rel;
    fill->path = VIEW_LIT("/3/0");
    fill->accept = FORMAT_TLV;
    fill->profile = r->cfg.profile;
    return r->fetch_rc;
}

static int on_spool_append(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct rig *r = ctx;

    assert_int_equal(r->job, 0);
    if (r->job_rc < 0 && !r->jobs_at_once)
        return r->job_rc;
    if (!*spool) {
        *spool = blob_new(VIEW_NONE);
        buf_reset(&r->spooled);
    }
    assert_non_null(*spool);
    buf_put_view(&r->spooled, bytes);
    r->jobs++;
    if (r->jobs_at_once)
        engine_spool_done(r->e, cookie, r->job_rc, r->now);
    else
        r->job = cookie;
    return ERR_OK;
}

static int on_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                        size_t n)
{
    struct rig *r = ctx;

    assert_int_equal(r->job, 0);
    assert_true(offset + n <= blob->size);
    if (r->job_rc < 0 && !r->jobs_at_once)
        return r->job_rc;
    r->jobs++;
    r->blob_offset = offset;
    r->blob_n = n;
    if (r->jobs_at_once)
        engine_blob_bytes(r->e, cookie, r->job_rc, view_of(r->blob_bytes + offset, n), r->now);
    else
        r->job = cookie;
    return ERR_OK;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct flow rig_flow(unsigned n)
{
    struct flow f;

    memset(&f, 0, sizeof(f));
    f.peer.ip[10] = f.peer.ip[11] = 0xff;
    f.peer.ip[12] = 10;
    f.peer.ip[13] = (uint8_t)(n >> 16);
    f.peer.ip[14] = (uint8_t)(n >> 8);
    f.peer.ip[15] = (uint8_t)n;
    f.peer.port = 5683;
    f.local = f.peer;
    f.local.ip[12] = 127;
    return f;
}

struct rig *rig_new_closed(void)
{
    struct rig *r = mem_new(sizeof(*r));

    assert_non_null(r);
    engine_config_defaults(&r->cfg);
    r->ops = (struct engine_ops){.send = on_send,
                                 .request = on_request,
                                 .body_limit = on_body_limit,
                                 .notification = on_notification,
                                 .relation_outgoing = on_relation_outgoing,
                                 .spool_append = on_spool_append,
                                 .blob_read = on_blob_read};
    random_init(&r->random, 1, 2);
    r->now = 1000000;
    r->flow = rig_flow(1);
    r->body_limit = 2048;
    r->response = (struct response){.code = PDU_CHANGED, .format = FORMAT_NONE};
    buf_init(&r->spooled, (size_t)64 << 20);
    return r;
}

void rig_open(struct rig *r)
{
    r->e = engine_new(&r->cfg, &r->ops, r, &r->random, &r->counters, r->now);
    assert_non_null(r->e);
}

struct rig *rig_new(void)
{
    struct rig *r = rig_new_closed();

    rig_open(r);
    return r;
}

void rig_free(struct rig *r)
{
    engine_free(r->e);
    buf_fini(&r->spooled);
    mem_free(r);
}

/* ---- messages in ------------------------------------------------------------------------------
 */

void rig_begin(struct rig *r, enum pdu_type type, uint8_t code, uint16_t mid, uint64_t token)
{
    uint64_t wire = htobe64(token);

    pdu_begin(&r->writer, r->out, sizeof(r->out), type, code, mid,
              token ? view_of(&wire, sizeof(wire)) : VIEW_NONE);
}

void rig_text(struct rig *r, uint32_t number, const char *value)
{
    pdu_put_option(&r->writer, number, view_str(value));
}

void rig_uint(struct rig *r, uint32_t number, uint32_t value)
{
    pdu_put_uint(&r->writer, number, value);
}

void rig_block(struct rig *r, uint32_t number, uint32_t num, bool more, uint8_t szx)
{
    pdu_put_uint(&r->writer, number,
                 pdu_block_encode((struct pdu_block){.num = num, .more = more, .szx = szx}));
}

void rig_body(struct rig *r, const void *p, size_t n)
{
    pdu_put_payload(&r->writer, view_of(p, n));
}

void rig_raw(struct rig *r, const void *p, size_t n)
{
    /* of its own, so that a sanitizer sees a read past the end, and a pointer kept too long */
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, p, n);
    engine_input(r->e, &r->flow, view_of(copy, n), r->now);
    free(copy);
}

void rig_input(struct rig *r)
{
    struct view datagram;

    assert_int_equal(pdu_finish(&r->writer, &datagram), ERR_OK);
    rig_raw(r, datagram.p, datagram.n);
}

void rig_again(struct rig *r)
{
    rig_input(r);
}

void rig_empty(struct rig *r, enum pdu_type type, uint16_t mid)
{
    rig_begin(r, type, PDU_EMPTY, mid, 0);
    rig_input(r);
}

void rig_answer_begin(struct rig *r, enum pdu_type type, uint8_t code, uint16_t own_mid)
{
    struct pdu p = rig_sent(r, 0);

    rig_begin(r, type, code, type == PDU_ACK ? p.mid : own_mid, rig_token(&p));
}

/* ---- time ---------------------------------------------------------------------------------------
 */

void rig_advance(struct rig *r, uint64_t ms)
{
    uint64_t until = r->now + ms;

    while (engine_next(r->e) <= until) {
        uint64_t next = engine_next(r->e);

        if (next > r->now)
            r->now = next;
        engine_run(r->e, r->now);
    }
    r->now = until;
    engine_run(r->e, r->now);
}

void rig_settle(struct rig *r)
{
    struct engine_stats s;

    for (int i = 0; engine_next(r->e) != UINT64_MAX; i++) {
        assert_true(i < 100000);
        if (engine_next(r->e) > r->now)
            r->now = engine_next(r->e);
        engine_run(r->e, r->now);
    }
    engine_stats(r->e, &s);
    assert_int_equal(s.peers, 0);
    assert_int_equal(s.exchanges, 0);
    assert_int_equal(s.pending, 0);
    assert_int_equal(s.transfers, 0);
    assert_int_equal(s.dedup_entries, 0);
}

/* ---- messages out -------------------------------------------------------------------------- */

static struct rig_sent *sent_at(struct rig *r, size_t back)
{
    assert_true(back < RIG_SENT && back < r->sent_count);
    return &r->sent[(r->sent_count - 1 - back) % RIG_SENT];
}

struct view rig_sent_bytes(struct rig *r, size_t back)
{
    struct rig_sent *s = sent_at(r, back);

    return view_of(s->bytes, s->n);
}

struct pdu rig_sent(struct rig *r, size_t back)
{
    struct pdu p;
    bool header;

    assert_int_equal(pdu_parse(rig_sent_bytes(r, back), &p, &header), ERR_OK);
    return p;
}

void rig_expect_sent(struct rig *r, size_t n)
{
    size_t from = r->expected_from;

    r->expected_from = r->sent_count;
    assert_int_equal(r->sent_count - from, n);
}

bool rig_option(const struct pdu *p, uint32_t number, struct view *ret_value)
{
    return pdu_option_get(p, number, ret_value);
}

uint32_t rig_option_uint(const struct pdu *p, uint32_t number)
{
    uint32_t v = 0;

    assert_true(pdu_option_uint(p, number, &v));
    return v;
}

struct pdu_block rig_option_block(const struct pdu *p, uint32_t number)
{
    struct pdu_block b = {0};
    struct view v;

    assert_true(pdu_option_get(p, number, &v));
    assert_int_equal(pdu_block_decode(v, &b), ERR_OK);
    return b;
}

uint64_t rig_token(const struct pdu *p)
{
    uint64_t token;

    if (p->token_len != sizeof(token))
        return 0;
    memcpy(&token, p->token, sizeof(token));
    return be64toh(token);
}

uint64_t rig_count(struct rig *r, enum counter which)
{
    return counter_get(&r->counters, which);
}

/* ---- requests of ours ---------------------------------------------------------------------------
 */

struct outgoing rig_outgoing(struct rig *r, uint8_t code, const char *path)
{
    return (struct outgoing){.flow = &r->flow,
                             .profile = r->cfg.profile,
                             .code = code,
                             .token = RIG_TOKEN,
                             .path = view_str(path),
                             .format = FORMAT_NONE,
                             .accept = FORMAT_NONE,
                             .observe = -1,
                             .szx = 7,
                             .done = on_answer,
                             .ctx = r};
}

struct exchange *rig_request(struct rig *r, const struct outgoing *out)
{
    struct exchange *x = NULL;
    size_t answers = r->answers;

    assert_int_equal(engine_request(r->e, out, r->now, &x), ERR_OK);
    assert_int_equal(r->answers, answers); /* never from inside */
    return x;
}

void rig_pattern(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed);
}

uint64_t rig_hash(const void *p, size_t n)
{
    const struct hash_key key = {1, 2};

    return hash_bytes(&key, view_of(p, n));
}

void rig_expect_answer(struct rig *r, size_t count, int rc, uint8_t code)
{
    assert_int_equal(r->answers, count);
    assert_int_equal(r->answer[count - 1].rc, rc);
    assert_int_equal(r->answer[count - 1].code, code);
}

void rig_ask(struct rig *r, uint64_t token)
{
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0");

    out.token = token;
    (void)rig_request(r, &out);
}

uint64_t rig_sent_token(struct rig *r)
{
    struct pdu p;

    rig_expect_sent(r, 1);
    p = rig_sent(r, 0);
    return rig_token(&p);
}

void rig_answer_ack(struct rig *r)
{
    rig_answer_begin(r, PDU_ACK, PDU_CONTENT, 0);
    rig_input(r);
}

struct rig *rig_asking(void)
{
    struct rig *r = rig_new();
    struct outgoing out = rig_outgoing(r, PDU_GET, "/3/0/9");

    (void)rig_request(r, &out);
    rig_expect_sent(r, 1);
    return r;
}
