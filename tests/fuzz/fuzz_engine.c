/*
 * A CoAP engine with a configuration of the fuzzer's, which hands it datagrams, answers what it
 * asks, lets time pass, and uses every function of its owner at any moment. What is sent is well
 * formed and within the message size, each exchange ends exactly once, and at the end nothing is
 * left.
 *
 * The input is a list of commands: one byte each, and the bytes they take.
 */
#include "coap/coap.h"

#include "require.h"

#define PEERS 4
#define SLOTS 8
#define SENT 8
#define STEPS 4096

struct slot {
    struct exchange *x; /* NULL: free */
    struct blob blob;
};

struct sent {
    struct flow flow;
    struct pdu pdu;
};

struct job {
    uint64_t cookie; /* 0: free */
    bool spool;
    size_t n;
};

struct world {
    struct rd input;
    uint64_t now;
    struct engine *e;
    struct engine_config cfg;
    struct profile profile;
    struct random random;
    struct counters counters;
    struct slot slot[SLOTS];
    struct relation relation[SLOTS];
    bool related[SLOTS];
    struct pending *pending[SLOTS];
    struct job job[SLOTS];
    struct sent sent[SENT]; /* Confirmable ones */
    size_t sent_count;
    uint64_t next_token;
    uint8_t bytes[2048];
    uint8_t out[2048];
};

static struct flow flow_of(unsigned n)
{
    struct flow f;

    memset(&f, 0, sizeof(f));
    f.peer.ip[15] = (uint8_t)(1 + n % PEERS);
    f.peer.port = 5683;
    f.transport = n / PEERS % 2 ? TRANSPORT_DTLS : TRANSPORT_UDP;
    return f;
}

/* ---- the owner's side -------------------------------------------------------------------------
 */

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct world *w = ctx;
    struct pdu pdu;
    bool header;

    require(datagram.n <= (w->cfg.message_max < 128 ? 128 : w->cfg.message_max));
    require(pdu_parse(datagram, &pdu, &header) == ERR_OK);
    pdu.options = pdu.payload = VIEW_NONE; /* they die with the datagram */
    if (pdu.type == PDU_CON)
        w->sent[w->sent_count++ % SENT] = (struct sent){*flow, pdu};
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    struct world *w = ctx;
    uint8_t choice = rd_u8(&w->input);
    struct response resp = {.code = PDU_CONTENT, .format = choice % 4 ? FORMAT_NONE : 42};
    struct pending **free_one = NULL;

    for (size_t i = 0; i < SLOTS; i++)
        if (!w->pending[i])
            free_one = &w->pending[i];
    require(req->segment_count <= REQUEST_SEGMENTS_MAX && req->query_count <= REQUEST_QUERIES_MAX);
    for (size_t i = 0; i < req->segment_count; i++)
        require(req->segments[i].n <= 255);
    if (choice < 100 && free_one) {
        *free_one = engine_defer(w->e, req, now);
    } else if (choice < 120) {
        engine_ignore(w->e, req);
    } else {
        if (choice % 8 == 0)
            resp.location = VIEW_LIT("rd/0123456789abcdef");
        resp.payload = view_of(w->bytes, (size_t)(choice % 16) * 120);
        engine_reply(w->e, req, &resp, now);
    }
}

static size_t on_body_limit(void *ctx, const struct request *req)
{
    (void)ctx;
    return req->query_count > 0 ? 100 : 3000;
}

static void on_answer(void *ctx, const struct answer *a, uint64_t now)
{
    struct slot *s = ctx;

    (void)now;
    require(s->x != NULL); /* not twice */
    s->x = NULL;
    require(a->rc <= 0 && !(a->blob && a->body.n > 0));
    blob_free(a->blob);
}

static int on_notification(void *ctx, struct relation *rel, const struct answer *a, uint64_t now)
{
    struct world *w = ctx;
    uint8_t choice = rd_u8(&w->input);
    size_t i = (size_t)(rel - w->relation);

    (void)now;
    require(i < SLOTS && w->related[i] && a->rc == ERR_OK);
    if (choice % 8 == 0) {
        engine_relation_del(w->e, rel);
        w->related[i] = false;
    }
    blob_free(a->blob);
    return choice % 4 ? ERR_OK : ERR_NOTFOUND;
}

static int on_relation_outgoing(void *ctx, struct relation *rel, struct outgoing *fill)
{
    struct world *w = ctx;

    (void)rel;
    fill->path = VIEW_LIT("/3");
    return rd_u8(&w->input) % 8 ? ERR_OK : ERR_NOTFOUND;
}

static int new_job(struct world *w, uint64_t cookie, bool spool, size_t n)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (w->job[i].cookie == 0) {
            w->job[i] = (struct job){cookie, spool, n};
            return ERR_OK;
        }
    return ERR_FULL;
}

static int on_spool_append(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct world *w = ctx;

    require(bytes.n > 0);
    if (!*spool)
        *spool = blob_new(VIEW_NONE);
    if (!*spool)
        return ERR_NOMEM;
    if (rd_u8(&w->input) % 4 == 0) {
        engine_spool_done(w->e, cookie, ERR_OK, w->now);
        return ERR_OK;
    }
    return new_job(w, cookie, true, bytes.n);
}

static int on_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                        size_t n)
{
    struct world *w = ctx;

    require(offset + n <= blob->size && n > 0);
    return new_job(w, cookie, false, n);
}

static void job_done(struct world *w, size_t i, int rc)
{
    static const uint8_t zeros[65536];
    struct job job = w->job[i];

    w->job[i].cookie = 0;
    if (job.cookie == 0)
        return;
    require(job.n <= sizeof(zeros));
    if (job.spool)
        engine_spool_done(w->e, job.cookie, rc, w->now);
    else
        engine_blob_bytes(w->e, job.cookie, rc, view_of(zeros, job.n), w->now);
}

/* ---- commands -----------------------------------------------------------------------------------
 */

static struct view take(struct world *w)
{
    size_t n = rd_u8(&w->input);

    return rd_bytes(&w->input, n < rd_left(&w->input) ? n : rd_left(&w->input));
}

static void input(struct world *w, const struct flow *flow, struct view datagram)
{
    uint8_t *copy = mem_new(datagram.n);

    require(copy != NULL);
    if (datagram.n > 0)
        memcpy(copy, datagram.p, datagram.n);
    engine_input(w->e, flow, view_of(copy, datagram.n), w->now);
    mem_free(copy);
}

static void cmd_datagram(struct world *w)
{
    struct flow flow = flow_of(rd_u8(&w->input));

    input(w, &flow, take(w));
}

/* As cmd_datagram, with a payload of a whole number of blocks behind. */
static void cmd_block(struct world *w)
{
    struct flow flow = flow_of(rd_u8(&w->input));
    size_t n = (size_t)16 << rd_u8(&w->input) % 7;
    struct view head = take(w);

    memcpy(w->out, head.p ? head.p : w->out, head.n);
    w->out[head.n] = 0xff;
    memset(w->out + head.n + 1, 'x', n);
    input(w, &flow, view_of(w->out, head.n + 1 + n));
}

/* An answer to one of our last messages: any type and code, its MID and token, options of the
 * fuzzer's. */
static void cmd_answer(struct world *w)
{
    uint8_t how = rd_u8(&w->input);
    uint8_t code = rd_u8(&w->input);
    size_t n = how & 0x80 ? (size_t)16 << rd_u8(&w->input) % 7 : 0;
    struct view options = take(w);
    struct sent s = w->sent[(how & 7) % SENT];
    enum pdu_type type = (enum pdu_type)(how >> 3 & 3);
    struct pdu_writer writer;
    struct view datagram;

    if (w->sent_count <= (how & 7))
        return;
    if (code % 4)
        code = PDU_CONTENT;
    pdu_begin(&writer, w->out, sizeof(w->out), type, how & 0x20 ? PDU_EMPTY : code,
              (uint16_t)(s.pdu.mid + (type < PDU_ACK ? w->now : 0)),
              view_of(s.pdu.token, how & 0x20 ? 0 : s.pdu.token_len));
    if (!(how & 0x20)) {
        memcpy(writer.p, options.n ? options.p : w->bytes, options.n);
        writer.p += options.n;
        if (n > 0)
            pdu_put_payload(&writer, view_of(w->bytes, n));
    }
    if (pdu_finish(&writer, &datagram) == ERR_OK)
        input(w, &s.flow, datagram);
}

static void cmd_request(struct world *w)
{
    static const uint8_t codes[] = {PDU_GET, PDU_POST, PDU_PUT, PDU_FETCH};
    struct flow flow = flow_of(rd_u8(&w->input));
    uint8_t how = rd_u8(&w->input);
    struct slot *s = &w->slot[how % SLOTS];
    size_t n = how & 0x40 ? (size_t)rd_u8(&w->input) * 8 : 0;
    struct outgoing out = {.flow = &flow,
                           .profile = &w->profile,
                           .code = codes[how >> 4 & 3],
                           .token = how & 0x80 ? ++w->next_token : UINT64_C(1) + how % SLOTS,
                           .path = VIEW_LIT("/3/0"),
                           .format = 42,
                           .accept = FORMAT_NONE,
                           .observe = (int)(how >> 3 & 1) - (how & 1),
                           .body = view_of(w->bytes, n),
                           .szx = rd_u8(&w->input) % 8,
                           .done = on_answer,
                           .ctx = s};

    if (s->x)
        return;
    if (how % 3 == 0) {
        s->blob = (struct blob){.size = n * 20, .fd = -1};
        out.blob = &s->blob;
    }
    if (engine_request(w->e, &out, w->now, &s->x) < 0)
        s->x = NULL;
}

static void cmd_time(struct world *w)
{
    w->now += rd_u16(&w->input);
    engine_run(w->e, w->now);
}

static void cmd_cancel(struct world *w)
{
    uint8_t how = rd_u8(&w->input);
    struct flow flow = flow_of(how);

    if (how & 0x80)
        engine_cancel_peer(w->e, &flow.peer, w->now);
    else if (how & 0x40)
        engine_unreachable(w->e, &flow.peer, w->now);
    else if (w->slot[how % SLOTS].x)
        engine_cancel(w->e, w->slot[how % SLOTS].x, w->now);
}

static void cmd_pending(struct world *w)
{
    uint8_t how = rd_u8(&w->input);
    struct pending *p = w->pending[how % SLOTS];
    struct response resp = {
        .code = PDU_CREATED, .format = FORMAT_NONE, .payload = view_of(w->bytes, how)};

    if (!p)
        return;
    w->pending[how % SLOTS] = NULL;
    if (how < 100)
        engine_respond(w->e, p, &resp, w->now);
    else if (how < 200)
        engine_replay(w->e, p, w->now);
    else
        engine_drop(w->e, p);
}

static void cmd_relation(struct world *w)
{
    uint8_t how = rd_u8(&w->input);
    size_t i = how % SLOTS;

    if (w->related[i]) {
        engine_relation_del(w->e, &w->relation[i]);
        w->related[i] = false;
        return;
    }
    w->relation[i] = (struct relation){.token = 1 + i};
    w->related[i] = engine_relation_add(w->e, &w->relation[i]) == ERR_OK;
}

static void cmd_job(struct world *w)
{
    uint8_t how = rd_u8(&w->input);

    job_done(w, how % SLOTS, how < 200 ? ERR_OK : ERR_IO);
}

static void (*const commands[])(struct world *) = {
    cmd_datagram, cmd_datagram, cmd_block,  cmd_answer,  cmd_answer, cmd_answer,
    cmd_request,  cmd_time,     cmd_cancel, cmd_pending, cmd_job,    cmd_relation,
};

/* ---- one life
 * -------------------------------------------------------------------------------------- */

static void configure(struct world *w)
{
    uint8_t how = rd_u8(&w->input);

    engine_config_defaults(&w->cfg);
    w->profile = *w->cfg.profile;
    w->profile.nstart = 1 + how % 3;
    w->cfg.profile = &w->profile;
    if (how & 4)
        w->cfg.peer_limit = 2;
    if (how & 8)
        w->cfg.dedup_per_peer = 1 + how % 5;
    if (how & 16)
        w->cfg.dedup_bytes = 300;
    if (how & 32) {
        w->cfg.exchange_limit = 3;
        w->cfg.queue_per_peer = 1;
        w->cfg.transfer_limit = 2;
        w->cfg.transfer_bytes = 20000;
    }
    if (how & 64)
        w->cfg.message_max = 160;
    w->cfg.spool_threshold = how & 128 ? 100 : 2000;
    w->cfg.body_limit = 5000;
}

static void end(struct world *w)
{
    struct engine_stats stats;

    w->input = rd_init(VIEW_NONE);
    for (size_t i = 0; i < SLOTS; i++) {
        if (w->pending[i])
            engine_drop(w->e, w->pending[i]);
        if (w->related[i])
            engine_relation_del(w->e, &w->relation[i]);
        w->related[i] = false;
    }
    engine_cancel_all(w->e, w->now);
    for (size_t i = 0; i < SLOTS; i++) {
        require(!w->slot[i].x);
        job_done(w, i, ERR_OK);
    }
    for (unsigned n = 0; engine_next(w->e) != UINT64_MAX; n++) {
        require(n < STEPS);
        if (engine_next(w->e) > w->now)
            w->now = engine_next(w->e);
        engine_run(w->e, w->now);
    }
    engine_stats(w->e, &stats);
    require(stats.peers == 0 && stats.exchanges == 0 && stats.pending == 0);
    require(stats.transfers == 0 && stats.relations == 0 && stats.dedup_entries == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct engine_ops ops = {.send = on_send,
                                          .request = on_request,
                                          .body_limit = on_body_limit,
                                          .notification = on_notification,
                                          .relation_outgoing = on_relation_outgoing,
                                          .spool_append = on_spool_append,
                                          .blob_read = on_blob_read};
    struct world *w = mem_new(sizeof(*w));

    require(w != NULL);
    w->input = rd_init(view_of(data, size));
    w->now = 1000;
    w->next_token = 100;
    memset(w->bytes, 'b', sizeof(w->bytes));
    configure(w);
    random_init(&w->random, rd_u8(&w->input), 0);
    w->e = engine_new(&w->cfg, &ops, w, &w->random, &w->counters, w->now);
    require(w->e != NULL);
    for (unsigned n = 0; !rd_end(&w->input) && n < STEPS; n++)
        commands[rd_u8(&w->input) % mem_count(commands)](w);
    end(w);
    engine_free(w->e);
    mem_free(w);
    return 0;
}
