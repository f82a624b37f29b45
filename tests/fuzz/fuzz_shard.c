/*
 * A whole shard: devices of the fuzzer's register, update, report and answer, operators ask, the
 * store commits or fails, time passes. What is sent is well formed, each operation completes
 * exactly once, and at the end no claim is left.
 *
 * The input is a list of commands: one byte each, and the bytes they take.
 */
#include "shard/shard.h"

#include "content_round.h"
#include "require.h"

#include <stdio.h>

#define PEERS 3
#define SENT 8
#define TXNS 64
#define JOBS 16
#define STEPS 2048
#define MESSAGE_MAX 1500
#define WALL_MS INT64_C(1750000000000)

struct sent {
    struct flow flow;
    struct pdu pdu;
};

struct world {
    struct rd input;
    uint64_t now;
    uint16_t mid;
    struct core *core;
    struct directory *dir;
    struct counters counters;
    struct sent sent[SENT]; /* Confirmable ones */
    size_t sent_count;
    uint64_t id[PEERS];   /* of the last registration of each */
    uint64_t token;       /* of the last observation */
    struct op_id last_op; /* for CANCEL */
    struct txn *txn[TXNS];
    size_t txn_count;
    uint64_t job[JOBS]; /* cookies of bytes on their way to a file */
    size_t job_count;
    size_t ops; /* under way */
    uint8_t out[MESSAGE_MAX];
};

static struct flow flow_of(unsigned n)
{
    struct flow f;

    memset(&f, 0, sizeof(f));
    f.peer.ip[15] = (uint8_t)(1 + n % PEERS);
    f.peer.port = (uint16_t)(n / PEERS % 2 ? 5683 : 5684);
    return f;
}

/* ---- what the core says --------------------------------------------------------------------- */

static void note_location(struct world *w, const struct flow *flow, const struct pdu *pdu)
{
    struct pdu_iter it = pdu_iter_init(pdu);
    struct view value;
    uint32_t number;

    while (pdu->code == PDU_CREATED && pdu_iter_next(&it, &number, &value))
        if (number == PDU_LOCATION_PATH && value.n == REGISTRATION_ID_LEN)
            require(registration_id_parse(value, &w->id[(flow->peer.ip[15] - 1) % PEERS]) ==
                    ERR_OK);
}

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct world *w = ctx;
    struct pdu pdu;
    bool header;

    require(datagram.n <= 1152 && pdu_parse(datagram, &pdu, &header) == ERR_OK);
    note_location(w, flow, &pdu);
    pdu.options = pdu.payload = VIEW_NONE; /* they die with the datagram */
    if (pdu.type == PDU_CON)
        w->sent[w->sent_count++ % SENT] = (struct sent){*flow, pdu};
}

static int on_txn(void *ctx, struct txn *t)
{
    struct world *w = ctx;

    if (w->txn_count == TXNS)
        return ERR_FULL;
    if (t->kind == TXN_PUT_OBSERVATION)
        w->token = t->observation.token;
    w->txn[w->txn_count++] = t;
    return ERR_OK;
}

static void on_event(void *ctx, struct event *e)
{
    (void)ctx;
    event_unref(e);
}

static void on_move(void *ctx, uint16_t to, struct move *m)
{
    (void)ctx;
    (void)to;
    (void)m;
    require(false); /* there is one shard */
}

static void on_op(void *ctx, uint16_t to, struct op *op)
{
    (void)ctx;
    (void)to;
    op_complete(op, ERR_STOPPING);
}

static int on_spool_append(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct world *w = ctx;

    require(bytes.n > 0);
    if (!*spool)
        *spool = blob_new(VIEW_NONE);
    if (!*spool || w->job_count == JOBS)
        return ERR_NOMEM;
    w->job[w->job_count++] = cookie;
    return ERR_OK;
}

static int on_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                        size_t n)
{
    (void)ctx;
    (void)cookie;
    require(offset + n <= blob->size);
    return ERR_IO;
}

static void op_done(struct op *op)
{
    struct world *w = op->ctx;

    require(w->ops > 0);
    w->ops--;
    op_free(op);
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static struct view take(struct world *w)
{
    size_t n = rd_u8(&w->input);

    return rd_bytes(&w->input, n < rd_left(&w->input) ? n : rd_left(&w->input));
}

/* In memory of its own, so that a read past the end is seen. */
static void input(struct world *w, const struct flow *flow, struct view datagram)
{
    uint8_t *copy = mem_new(datagram.n);
    struct view v = view_of(copy, datagram.n);

    require(copy != NULL);
    if (datagram.n > 0)
        memcpy(copy, datagram.p, datagram.n);
    core_ahead(w->core, flow, &v, 1);
    core_input(w->core, flow, v, w->now);
    mem_free(copy);
}

static void cmd_datagram(struct world *w)
{
    struct flow flow = flow_of(rd_u8(&w->input));

    input(w, &flow, take(w));
}

static void begin(struct world *w, struct pdu_writer *m, uint8_t code)
{
    w->mid++;
    pdu_begin(m, w->out, sizeof(w->out), w->mid % 4 ? PDU_CON : PDU_NON, code, w->mid,
              view_of(&w->mid, sizeof(w->mid)));
}

static void end(struct world *w, struct pdu_writer *m, const struct flow *flow, struct view payload)
{
    struct view datagram;

    if (payload.n > 0)
        pdu_put_payload(m, payload);
    if (pdu_finish(m, &datagram) == ERR_OK)
        input(w, flow, datagram);
}

static void cmd_register(struct world *w)
{
    static const char *const queries[] = {"lwm2m=1.1&b=U&lt=60", "lwm2m=1.0&b=UQ",
                                          "lwm2m=1.2&b=U&Q&lt=300&pid=a", "lwm2m=1.1&lt=0"};
    static const char *const lists[] = {"</1/0>,</3/0>,</7/1>",
                                        "</x>;rt=\"oma.lwm2m\";ct=110,</x/3/0>,</x/7/1>",
                                        "</3/0>;ver=1.2,</7>,</5/0>", ""};
    struct flow flow = flow_of(rd_u8(&w->input));
    uint8_t how = rd_u8(&w->input);
    struct view query = take(w), list = take(w);
    struct pdu_writer m;
    char name[8];

    snprintf(name, sizeof(name), "ep=%c", 'a' + how % PEERS);
    begin(w, &m, PDU_POST);
    pdu_put_path(&m, PDU_URI_PATH, VIEW_LIT("rd"));
    pdu_put_uint(&m, PDU_CONTENT_FORMAT, 40);
    pdu_put_query(&m, PDU_URI_QUERY, view_str(name));
    pdu_put_query(&m, PDU_URI_QUERY, query.n > 0 ? query : view_str(queries[how >> 2 & 3]));
    end(w, &m, &flow, list.n > 0 ? list : view_str(lists[how >> 4 & 3]));
}

/* Update, De-register or Send of a device that has registered, mostly. */
static void cmd_report(struct world *w)
{
    static const uint8_t codes[] = {PDU_POST, PDU_POST, PDU_DELETE, PDU_PUT};
    static const uint8_t formats[] = {40, 110, 112, 60};
    uint8_t from = rd_u8(&w->input), how = rd_u8(&w->input);
    struct flow flow = flow_of(from);
    struct view query = take(w), payload = take(w);
    struct pdu_writer m;
    char path[32] = "rd/";

    registration_id_format(w->id[how % PEERS], path + 3);
    begin(w, &m, codes[how >> 2 & 3]);
    pdu_put_path(&m, PDU_URI_PATH, how & 0x40 ? VIEW_LIT("dp") : view_str(path));
    pdu_put_uint(&m, PDU_CONTENT_FORMAT, formats[how >> 4 & 3]);
    if (query.n > 0)
        pdu_put_query(&m, PDU_URI_QUERY, query);
    end(w, &m, &flow, payload);
}

/* To one of our last messages: its MID and token, any type and code, options and payload. */
static void cmd_answer(struct world *w)
{
    static const uint8_t formats[] = {0, 40, 42, 60, 110, 112};
    static const uint8_t codes[] = {PDU_CONTENT, PDU_CHANGED, PDU_CREATED, PDU_DELETED};
    uint8_t how = rd_u8(&w->input), code = rd_u8(&w->input), rest = rd_u8(&w->input);
    struct view payload = take(w);
    struct sent s = w->sent[how & 7];
    enum pdu_type type = (enum pdu_type)(how >> 3 & 3);
    bool empty = (how & 0x60) == 0x60;
    struct pdu_writer m;

    if (w->sent_count <= (how & 7))
        return;
    pdu_begin(&m, w->out, sizeof(w->out), type,
              empty         ? PDU_EMPTY
              : code & 0xc0 ? codes[code & 3]
                            : (uint8_t)(0x80 | code),
              type < PDU_ACK ? ++w->mid : s.pdu.mid,
              view_of(s.pdu.token, empty ? 0 : s.pdu.token_len));
    if (!empty && how & 0x80)
        pdu_put_uint(&m, PDU_OBSERVE, rest);
    if (!empty && code & 0x20)
        pdu_put_path(&m, PDU_LOCATION_PATH, VIEW_LIT("7/2"));
    if (!empty)
        pdu_put_uint(&m, PDU_CONTENT_FORMAT, formats[(code >> 2 & 7) % 6]);
    if (!empty && rest & 0x80)
        pdu_put_uint(&m, PDU_BLOCK2, rest & 0x7f);
    end(w, &m, &s.flow, empty ? VIEW_NONE : payload);
}

static void add_value(struct op *op, uint8_t how, struct view bytes)
{
    struct record r = {.path = op->path, .value.type = VALUE_STRING, .value.u.bytes = bytes};

    op->values = batch_new();
    require(op->values != NULL);
    if (r.path.depth < 3) {
        r.path.id[1] = r.path.depth < 2 ? 2 : r.path.id[1];
        r.path.id[2] = how % 9;
        r.path.depth = 3;
    }
    if (how & 0x20)
        r.value = (struct value){.type = VALUE_INTEGER, .u.integer = how};
    require(batch_add(op->values, &r) == ERR_OK);
}

static void cmd_op(struct world *w)
{
    static const char *const paths[] = {"/7/1/0", "/7/1", "/7",        "/3/0/9",
                                        "/3/0",   "/3",   "/7/1/21/2", "/1/0/8"};
    uint8_t kind = rd_u8(&w->input), how = rd_u8(&w->input), what = rd_u8(&w->input);
    struct view text = take(w);
    char name[2] = {(char)('a' + how % PEERS), '\0'};
    struct op *op = op_new((enum op_kind)(kind % OP_KIND_COUNT), view_str(name));
    struct directory_entry entry;

    require(op != NULL && path_parse(view_str(paths[what & 7]), &op->path) == ERR_OK);
    op->id.b[15] = how;
    op->format = how & 4 ? FORMAT_TLV : FORMAT_NONE;
    op->depth = (int8_t)(what >> 3 & 3);
    op->token = w->token;
    op->target = w->last_op;
    op->durable = how & 8;
    op->repeatable = how & 16;
    op->priority = how >> 6;
    op->created_ms = WALL_MS;
    op->expires_ms = how & 32 ? WALL_MS + 100000 : 0;
    op->deadline = w->now + (uint64_t)what * 500;
    if (kind & 0x40 && view_utf8(text) == ERR_OK)
        add_value(op, what, text);
    else if (kind & 0x80)
        op->text = mem_text(text.p, text.n);
    op->done = op_done;
    op->ctx = w;
    w->last_op = op->id;
    w->ops++;
    if (directory_find(w->dir, view_str(name), &entry) == ERR_OK)
        core_op(w->core, op, w->now);
    else
        op_complete(op, ERR_UNREGISTERED);
}

static void commit(struct world *w, int rc)
{
    struct txn *t = w->txn[0];

    if (w->txn_count == 0)
        return;
    memmove(w->txn, w->txn + 1, --w->txn_count * sizeof(w->txn[0]));
    t->rc = rc;
    core_txn_done(w->core, t, w->now);
}

static void cmd_commit(struct world *w)
{
    uint8_t how = rd_u8(&w->input);

    for (unsigned n = 0; n <= how % 8u; n++)
        commit(w, how < 224 ? ERR_OK : ERR_DISKFULL);
}

static void cmd_time(struct world *w)
{
    uint8_t how = rd_u8(&w->input);

    w->now += how < 128 ? how * 20u : (how - 127u) * 1000u;
    if (w->job_count > 0)
        core_spool_done(w->core, w->job[--w->job_count], how % 8 ? ERR_OK : ERR_IO, w->now);
    core_wall(w->core, WALL_MS + (int64_t)w->now, w->now);
    core_run(w->core, w->now);
}

static void cmd_unreachable(struct world *w)
{
    struct flow flow = flow_of(rd_u8(&w->input));

    core_unreachable(w->core, &flow.peer, w->now);
}

static void (*const commands[])(struct world *) = {
    cmd_datagram, cmd_register, cmd_report, cmd_answer, cmd_answer,      cmd_op,
    cmd_op,       cmd_commit,   cmd_time,   cmd_time,   cmd_unreachable,
};

/* ---- one life -----------------------------------------------------------------------------------
 */

static void start(struct world *w, struct models *models)
{
    static const struct core_out out = {.send = on_send,
                                        .txn = on_txn,
                                        .event = on_event,
                                        .move = on_move,
                                        .op = on_op,
                                        .spool_append = on_spool_append,
                                        .blob_read = on_blob_read};
    uint8_t how = rd_u8(&w->input);
    struct core_config cfg = {
        .shards = 1, .seed = {how, 0}, .key = {1, 2}, .counters = &w->counters};

    engine_config_defaults(&cfg.engine);
    domain_config_defaults(&cfg.domain);
    cfg.engine.spool_threshold = 200;
    cfg.engine.queue_per_peer = how & 1 ? 2 : 64;
    cfg.domain.replace = how & 2 ? REPLACE_REFUSE : cfg.domain.replace;
    cfg.domain.device_limit = how & 4 ? 2 : 0;
    cfg.domain.observation_limit = 2;
    cfg.domain.op_limit = 4;
    w->now = 1000;
    w->dir = directory_new(1, &cfg.key);
    require(w->dir != NULL);
    w->core = core_new(&cfg, &out, w, w->dir, models, w->now, WALL_MS);
    require(w->core != NULL);
}

static void stop(struct world *w)
{
    core_free(w->core, w->now);
    require(w->ops == 0 && directory_size(w->dir) == 0);
    while (w->txn_count > 0)
        txn_free(w->txn[--w->txn_count]);
    directory_free(w->dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct models *models;
    struct world *w = mem_new(sizeof(*w));

    if (models == NULL)
        models = models_new(round_registry());
    require(w != NULL && models != NULL);
    w->input = rd_init(view_of(data, size));
    start(w, models);
    for (unsigned n = 0; !rd_end(&w->input) && n < STEPS; n++)
        commands[rd_u8(&w->input) % mem_count(commands)](w);
    stop(w);
    mem_free(w);
    return 0;
}
