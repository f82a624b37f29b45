#include "domain_fixture.h"

#include "model/objects_data.h"

#include <stdio.h>

const char fix_links[] = "</1/0>,</3/0>,</5/0>,</3303/0>,</3303/1>";

/* ---- directory ------------------------------------------------------------------------------- */

static bool same_endpoint(const void *item, const void *key)
{
    const struct claim *c = item;

    return view_eq(view_of(c->endpoint, c->endpoint_len), *(const struct view *)key);
}

static struct claim *committed(struct fix *f, struct view endpoint)
{
    return table_get(f->dir->claims, hash_bytes(&f->key, endpoint), same_endpoint, &endpoint);
}

static int on_claim(void *ctx, struct view endpoint, uint64_t identity, bool keep,
                    const struct claim *except, struct claim **ret_claim)
{
    struct fix *f = ctx;
    const struct claim *old = committed(f, endpoint);
    struct claim *c;

    if (old != NULL && old->identity_hash != 0 && old->identity_hash != identity)
        return ERR_REFUSED;
    if (old != NULL && keep && old != except)
        return ERR_REFUSED;
    c = mem_new(sizeof(*c) + endpoint.n + 1);
    assert_non_null(c);
    c->row = ++f->dir->next;
    c->generation = c->row;
    c->id = (uint64_t)f->shard << 56 | random_u64(&f->random) >> 8;
    c->identity_hash = identity;
    c->shard = f->shard;
    c->endpoint_len = (uint8_t)endpoint.n;
    memcpy(c->endpoint, endpoint.p, endpoint.n);
    f->dir->alive++;
    *ret_claim = c;
    return ERR_OK;
}

static int on_find(void *ctx, struct view endpoint, uint64_t *ret_id)
{
    const struct claim *c = committed(ctx, endpoint);

    if (c == NULL)
        return ERR_UNREGISTERED;
    *ret_id = c->id;
    return ERR_OK;
}

static int on_claim_commit(void *ctx, struct claim *c)
{
    struct fix *f = ctx;
    struct view endpoint = view_of(c->endpoint, c->endpoint_len);
    uint64_t hash = hash_bytes(&f->key, endpoint);
    struct claim *old = committed(f, endpoint);
    uint64_t old_id = old != NULL ? old->id : 0;
    uint16_t old_shard = old != NULL ? old->shard : 0;

    if (old != NULL && old->generation > c->generation)
        return ERR_STALE;
    if (old != NULL)
        table_del(f->dir->claims, hash, old);
    assert_int_equal(table_put(f->dir->claims, hash, c), ERR_OK);
    c->committed = true;
    if (old_id != 0)
        domain_evict(old_shard == f->shard ? f->d : f->other->d, old_id, f->now);
    return ERR_OK;
}

static void on_claim_release(void *ctx, struct claim *c)
{
    struct fix *f = ctx;

    if (c->committed)
        table_del(f->dir->claims, hash_bytes(&f->key, view_of(c->endpoint, c->endpoint_len)), c);
    f->dir->alive--;
    mem_free(c);
}

static bool on_elsewhere(void *ctx, uint64_t id)
{
    struct fix *f = ctx;

    return f->other != NULL && chain_by_id(f->other->d, id) != NULL;
}

static int on_want(void *ctx, uint64_t id, struct pending *p)
{
    struct fix *f = ctx;

    if (f->want_rc < 0)
        return f->want_rc;
    if (f->wanted != NULL)
        return ERR_FULL;
    f->wanted = p;
    f->wanted_id = id;
    return ERR_OK;
}

static void on_identity(void *ctx, const struct flow *flow, struct identity *ret)
{
    struct fix *f = ctx;

    *ret = (struct identity){.type = IDENTITY_NONE};
    if (flow->transport == TRANSPORT_DTLS)
        *ret = f->identity;
}

static int on_authorize(void *ctx, const struct identity *id, struct view endpoint,
                        struct view *ret)
{
    struct fix *f = ctx;

    if (f->authorize_rc < 0)
        return f->authorize_rc;
    if (endpoint.n == 0 && id->type == IDENTITY_NONE)
        return ERR_ENDPOINT;
    *ret = endpoint.n > 0 ? endpoint : id->name;
    return ERR_OK;
}

static uint8_t on_profile(void *ctx, struct view endpoint)
{
    assert_true(endpoint.n > 0);
    return ((struct fix *)ctx)->profile;
}

/* ---- store, events, operations --------------------------------------------------------------- */

static struct txn *txn_at(struct mbox_node *node)
{
    return mem_container(node, struct txn, node);
}

static int on_txn(void *ctx, struct txn *t)
{
    struct fix *f = ctx;

    if (f->store_full)
        return ERR_FULL;
    t->node.next = NULL;
    *f->txns_end = &t->node;
    f->txns_end = &t->node.next;
    f->txn_count++;
    f->by_kind[t->kind]++;
    return ERR_OK;
}

struct txn *fix_txn(struct fix *f, size_t at)
{
    struct mbox_node *node = f->txns;

    while (node != NULL && at-- > 0)
        node = node->next;
    return node != NULL ? txn_at(node) : NULL;
}

static struct txn *txn_pop(struct fix *f)
{
    struct mbox_node *node = f->txns;

    if (node == NULL)
        return NULL;
    f->txns = node->next;
    if (f->txns == NULL)
        f->txns_end = &f->txns;
    return txn_at(node);
}

size_t fix_commit(struct fix *f, int rc)
{
    struct mbox_node *last = NULL;
    size_t n = 0;

    for (struct mbox_node *node = f->txns; node != NULL; node = node->next)
        last = node;
    for (bool more = last != NULL; more; n++) {
        struct txn *t = txn_pop(f);

        more = &t->node != last;
        t->rc = rc;
        domain_txn_done(f->d, t, f->now);
    }
    return n;
}

static void settle(struct fix *f)
{
    while (!f->hold && f->txns != NULL)
        fix_commit(f, ERR_OK);
}

static void on_event(void *ctx, struct event *e)
{
    struct fix *f = ctx;
    struct event **slot = &f->events[f->event_count++ % FIX_EVENTS];

    event_unref(*slot);
    *slot = e;
}

const struct event *fix_event(struct fix *f, size_t back)
{
    if (back >= f->event_count || back >= FIX_EVENTS)
        return NULL;
    return f->events[(f->event_count - 1 - back) % FIX_EVENTS];
}

size_t fix_events(struct fix *f, enum event_type type)
{
    const struct event *e;
    size_t n = 0;

    for (size_t i = 0; (e = fix_event(f, i)) != NULL; i++)
        n += e->type == type;
    return n;
}

static void on_op_elsewhere(void *ctx, struct op *op)
{
    struct fix *f = ctx;

    f->elsewhere_count++;
    if (!f->forward) {
        op_complete(op, op->stored ? ERR_ACCEPTED : ERR_UNREGISTERED);
        return;
    }
    op->node.next = NULL;
    *f->strays_end = &op->node;
    f->strays_end = &op->node.next;
}

size_t fix_forward(struct fix *f)
{
    struct mbox_node *node = f->strays;
    size_t n = 0;

    f->strays = NULL;
    f->strays_end = &f->strays;
    for (; node != NULL; n++) {
        struct op *op = mem_container(node, struct op, node);

        node = node->next;
        fix_start(f->other, op);
    }
    return n;
}

static void on_done(struct op *op)
{
    struct fix *f = op->ctx;

    op_free(f->done);
    f->done = op;
    f->done_count++;
}

static const struct domain_ops ops = {
    .claim = on_claim,
    .find = on_find,
    .claim_commit = on_claim_commit,
    .claim_release = on_claim_release,
    .want = on_want,
    .elsewhere = on_elsewhere,
    .identity = on_identity,
    .authorize = on_authorize,
    .profile = on_profile,
    .txn = on_txn,
    .event = on_event,
    .op_elsewhere = on_op_elsewhere,
};

/* ---- engine ---------------------------------------------------------------------------------- */

static void add_part(char *to, size_t cap, const char *sep, struct view v)
{
    size_t n = strlen(to);

    assert_true(n + v.n + 2 < cap);
    snprintf(to + n, cap - n, "%s" VIEW_FMT, sep, VIEW_ARG(v));
}

static void read_options(struct fix_sent *s)
{
    struct pdu_iter it = pdu_iter_init(&s->pdu);
    uint32_t number, value;
    struct view v;

    s->format = s->accept = FORMAT_NONE;
    s->observe = -1;
    s->path[0] = s->query[0] = '\0';
    while (pdu_iter_next(&it, &number, &v)) {
        if (number == PDU_URI_PATH || number == PDU_LOCATION_PATH)
            add_part(s->path, sizeof(s->path), "/", v);
        else if (number == PDU_URI_QUERY)
            add_part(s->query, sizeof(s->query), s->query[0] != '\0' ? "&" : "", v);
        else if (pdu_uint(v, &value) == ERR_OK && number == PDU_CONTENT_FORMAT)
            s->format = (int32_t)value;
        else if (pdu_uint(v, &value) == ERR_OK && number == PDU_ACCEPT)
            s->accept = (int32_t)value;
        else if (pdu_uint(v, &value) == ERR_OK && number == PDU_OBSERVE)
            s->observe = (int32_t)value;
    }
}

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct fix *f = ctx;
    struct fix_sent *s = &f->sent[f->sent_count++ % FIX_SENT];
    bool header;

    assert_true(datagram.n <= FIX_BYTES);
    s->flow = *flow;
    s->n = datagram.n;
    memcpy(s->bytes, datagram.p, datagram.n);
    assert_int_equal(pdu_parse(view_of(s->bytes, s->n), &s->pdu, &header), ERR_OK);
    read_options(s);
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    domain_request(((struct fix *)ctx)->d, req, now);
}

static size_t on_body_limit(void *ctx, const struct request *req)
{
    return domain_body_limit(((struct fix *)ctx)->d, req);
}

static int on_notification(void *ctx, struct relation *rel, const struct answer *a, uint64_t now)
{
    return domain_notification(((struct fix *)ctx)->d, rel, a, now);
}

static bool on_stray(void *ctx, uint64_t token, const struct answer *a, uint64_t now)
{
    return domain_stray(((struct fix *)ctx)->d, token, a, now);
}

static int on_relation_outgoing(void *ctx, struct relation *rel, struct outgoing *fill)
{
    return domain_relation_outgoing(((struct fix *)ctx)->d, rel, fill);
}

/* At once, into memory. */
static int on_spool_append(void *ctx, uint64_t cookie, struct blob **spool, struct view bytes)
{
    struct fix *f = ctx;
    struct blob *b = *spool != NULL ? *spool : blob_new(VIEW_NONE);

    assert_non_null(b);
    b->p = mem_resize(b->p, b->size + bytes.n);
    assert_non_null(b->p);
    memcpy(b->p + b->size, bytes.p, bytes.n);
    b->size += bytes.n;
    *spool = b;
    engine_spool_done(f->e, cookie, ERR_OK, f->now);
    return ERR_OK;
}

static const struct engine_ops engine_ops = {
    .send = on_send,
    .request = on_request,
    .body_limit = on_body_limit,
    .notification = on_notification,
    .stray = on_stray,
    .relation_outgoing = on_relation_outgoing,
    .spool_append = on_spool_append,
};

/* ---- life ------------------------------------------------------------------------------------ */

static struct models *load_models(void)
{
    struct registry *r = registry_new();
    unsigned line = 0;

    assert_non_null(r);
    assert_int_equal(registry_load_tsv(r, view_of(objects_data, objects_data_size), &line), ERR_OK);
    return models_new(r);
}

static struct models *all_models; /* read once: parsing them takes longer than most tests */

struct fix *fix_new_closed(void)
{
    struct fix *f = mem_new(sizeof(*f));

    assert_non_null(f);
    f->now = FIX_START;
    f->mid = 100;
    f->txns_end = &f->txns;
    f->strays_end = &f->strays;
    f->key = (struct hash_key){11, 22};
    random_init(&f->random, 33, 44);
    engine_config_defaults(&f->engine_cfg);
    domain_config_defaults(&f->cfg);
    return f;
}

void fix_open(struct fix *f)
{
    if (all_models == NULL)
        all_models = load_models();
    f->models = all_models;
    if (f->dir == NULL) {
        f->dir = mem_new(sizeof(*f->dir));
        assert_non_null(f->dir);
        f->dir->claims = table_new(0);
        assert_non_null(f->dir->claims);
        f->dir_owned = true;
        f->profiles = profiles_new(FIX_PROFILES, true, &f->key);
        assert_non_null(f->profiles);
    }
    f->cfg.profile_ids = f->profiles;
    f->e = engine_new(&f->engine_cfg, &engine_ops, f, &f->random, &f->counters, f->now);
    assert_non_null(f->e);
    f->d = domain_new(&f->cfg, &ops, f, f->e, f->models, &f->random, &f->counters, &f->key, f->now,
                      FIX_WALL);
    assert_non_null(f->d);
}

struct fix *fix_new(void)
{
    struct fix *f = fix_new_closed();

    fix_open(f);
    return f;
}

struct fix *fix_beside(struct fix *f)
{
    struct fix *g = fix_new_closed();

    g->dir = f->dir;
    g->profiles = f->profiles;
    g->shard = (uint16_t)(f->shard + 1);
    g->now = f->now;
    random_init(&g->random, 55, 66);
    fix_open(g);
    f->other = g;
    g->other = f;
    return g;
}

void fix_free(struct fix *f)
{
    struct txn *t;

    domain_free(f->d, f->now);
    engine_free(f->e);
    while ((t = txn_pop(f)) != NULL)
        txn_free(t);
    for (size_t i = 0; i < FIX_EVENTS; i++)
        event_unref(f->events[i]);
    op_free(f->done);
    if (f->dir_owned) {
        assert_int_equal(f->dir->alive, 0);
        table_free(f->dir->claims);
        mem_free(f->dir);
        profiles_free(f->profiles);
    }
    mem_free(f);
}

int fix_setup(void **state)
{
    *state = fix_new();
    return 0;
}

int fix_teardown(void **state)
{
    fix_free(*state);
    return 0;
}

/* ---- devices --------------------------------------------------------------------------------- */

struct flow fix_flow(unsigned device)
{
    struct flow flow = {.transport = TRANSPORT_UDP};
    char text[64];

    snprintf(text, sizeof(text), "127.%u.%u.%u:5683", device >> 16 & 255, device >> 8 & 255,
             device & 255);
    assert_int_equal(addr_parse(view_str(text), &flow.peer), ERR_OK);
    assert_int_equal(addr_parse(view_str("127.0.0.1:5683"), &flow.local), ERR_OK);
    return flow;
}

void fix_input(struct fix *f, unsigned device, struct view datagram)
{
    struct flow flow = fix_flow(device);

    if (f->identity.type != IDENTITY_NONE)
        flow.transport = TRANSPORT_DTLS;
    engine_input(f->e, &flow, datagram, f->now);
    settle(f);
}

static void begin(struct fix *f, struct pdu_writer *w, uint8_t *out, enum pdu_type type,
                  uint8_t code)
{
    uint8_t token[2] = {(uint8_t)(f->mid >> 8), (uint8_t)f->mid};

    pdu_begin(w, out, FIX_BYTES, type, code, f->mid++, view_of(token, sizeof(token)));
}

void fix_request(struct fix *f, unsigned device, uint8_t method, const char *path,
                 const char *query, int32_t format, struct view body)
{
    uint8_t out[FIX_BYTES];
    struct pdu_writer w;
    struct view datagram;

    begin(f, &w, out, PDU_CON, method);
    pdu_put_path(&w, PDU_URI_PATH, view_str(path));
    if (format != FORMAT_NONE)
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)format);
    pdu_put_query(&w, PDU_URI_QUERY, view_str(query));
    if (body.n > 0)
        pdu_put_payload(&w, body);
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, device, datagram);
}

void fix_post(struct fix *f, unsigned device, const char *path, const char *query,
              const char *links)
{
    fix_request(f, device, PDU_POST, path, query, links[0] != '\0' ? FORMAT_LINK : FORMAT_NONE,
                view_str(links));
}

struct fix_sent *fix_sent(struct fix *f, size_t back)
{
    assert_true(back < f->sent_count && back < FIX_SENT);
    return &f->sent[(f->sent_count - 1 - back) % FIX_SENT];
}

uint8_t fix_code(struct fix *f)
{
    bool is_new = f->sent_count > f->code_seen;

    f->code_seen = f->sent_count;
    return is_new ? fix_sent(f, 0)->pdu.code : 0;
}

const char *fix_register(struct fix *f, unsigned device, const char *query, const char *links)
{
    fix_post(f, device, "/rd", query, links);
    assert_int_equal(fix_code(f), PDU_CREATED);
    return fix_sent(f, 0)->path;
}

const char *fix_path(uint64_t id)
{
    static char path[32];
    char text[REGISTRATION_ID_LEN + 1];

    registration_id_format(id, text);
    snprintf(path, sizeof(path), "/rd/%s", text);
    return path;
}

static uint64_t register_as(struct fix *f, unsigned device, const char *more)
{
    char query[64];
    const char *location;
    uint64_t id;

    snprintf(query, sizeof(query), "ep=dev%u&lt=300&lwm2m=1.1&b=U%s", device, more);
    location = fix_register(f, device, query, fix_links);
    assert_int_equal(registration_id_parse(view_str(location + strlen("/rd/")), &id), ERR_OK);
    return id;
}

uint64_t fix_device(struct fix *f, unsigned device)
{
    return register_as(f, device, "");
}

uint64_t fix_sleeper(struct fix *f, unsigned device)
{
    return register_as(f, device, "&Q");
}

static void send_answer(struct fix *f, unsigned device, struct pdu_writer *w)
{
    struct view datagram;

    assert_int_equal(pdu_finish(w, &datagram), ERR_OK);
    fix_input(f, device, datagram);
}

static void begin_answer(struct fix *f, struct pdu_writer *w, uint8_t *out, uint8_t code)
{
    const struct fix_sent *s = fix_sent(f, 0);

    assert_int_equal(s->pdu.type, PDU_CON);
    pdu_begin(w, out, FIX_BYTES, PDU_ACK, code, s->pdu.mid,
              view_of(s->pdu.token, s->pdu.token_len));
}

void fix_answer(struct fix *f, unsigned device, uint8_t code, int32_t format, struct view body,
                int32_t observe)
{
    uint8_t out[FIX_BYTES];
    struct pdu_writer w;

    begin_answer(f, &w, out, code);
    if (observe >= 0)
        pdu_put_uint(&w, PDU_OBSERVE, (uint32_t)observe);
    if (format != FORMAT_NONE)
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)format);
    if (body.n > 0)
        pdu_put_payload(&w, body);
    send_answer(f, device, &w);
}

void fix_reset(struct fix *f, unsigned device)
{
    uint8_t out[FIX_BYTES];
    struct pdu_writer w;

    pdu_begin(&w, out, sizeof(out), PDU_RST, PDU_EMPTY, fix_sent(f, 0)->pdu.mid, VIEW_NONE);
    send_answer(f, device, &w);
}

void fix_answer_block(struct fix *f, unsigned device, int32_t format, struct view body,
                      struct pdu_block block)
{
    uint8_t out[FIX_BYTES];
    struct pdu_writer w;

    begin_answer(f, &w, out, PDU_CONTENT);
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)format);
    pdu_put_uint(&w, PDU_BLOCK2, pdu_block_encode(block));
    pdu_put_payload(
        &w, view_sub(body, block.num * PDU_BLOCK_SIZE(block.szx), PDU_BLOCK_SIZE(block.szx)));
    send_answer(f, device, &w);
}

void fix_answer_located(struct fix *f, unsigned device, uint8_t code, const char *location)
{
    uint8_t out[FIX_BYTES];
    struct pdu_writer w;

    begin_answer(f, &w, out, code);
    pdu_put_path(&w, PDU_LOCATION_PATH, view_str(location));
    send_answer(f, device, &w);
}

void fix_notify(struct fix *f, unsigned device, uint64_t token, uint8_t code, int32_t format,
                struct view body, int32_t observe)
{
    uint8_t out[FIX_BYTES], bytes[8];
    struct pdu_writer w;

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(token >> (56 - 8 * i));
    pdu_begin(&w, out, sizeof(out), PDU_NON, code, f->mid++, view_of(bytes, sizeof(bytes)));
    if (observe >= 0)
        pdu_put_uint(&w, PDU_OBSERVE, (uint32_t)observe);
    if (format != FORMAT_NONE)
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)format);
    if (body.n > 0)
        pdu_put_payload(&w, body);
    send_answer(f, device, &w);
}

/* ---- time, operations ------------------------------------------------------------------------ */

void fix_advance(struct fix *f, uint64_t ms)
{
    uint64_t until = f->now + ms;

    while (f->now < until) {
        uint64_t domain = domain_next(f->d), engine = engine_next(f->e);
        uint64_t next = domain < engine ? domain : engine;

        f->now = next > f->now ? (next < until ? next : until) : f->now + 1;
        engine_run(f->e, f->now);
        domain_run(f->d, f->now, 1000);
        settle(f);
    }
}

struct op *fix_durable(struct fix *f, enum op_kind kind, unsigned device, const char *path)
{
    struct op *op = fix_op(f, kind, device, path);

    op->durable = true;
    op_id_new(&f->random, FIX_WALL + ++f->ids, &op->id);
    return op;
}

struct op *fix_op(struct fix *f, enum op_kind kind, unsigned device, const char *path)
{
    char endpoint[32];
    struct op *op;

    snprintf(endpoint, sizeof(endpoint), "dev%u", device);
    op = op_new(kind, view_str(endpoint));
    assert_non_null(op);
    assert_int_equal(path_parse(view_str(path), &op->path), ERR_OK);
    op->done = on_done;
    op->ctx = f;
    return op;
}

void fix_op_value(struct op *op, const char *path, struct value v)
{
    struct record r = {.value = v};

    assert_int_equal(path_parse(view_str(path), &r.path), ERR_OK);
    if (op->values == NULL)
        op->values = batch_new();
    assert_non_null(op->values);
    assert_int_equal(batch_add(op->values, &r), ERR_OK);
}

void fix_start(struct fix *f, struct op *op)
{
    domain_op(f->d, op, f->now);
    settle(f);
}

void fix_do(struct fix *f, enum op_kind kind, unsigned device, const char *path)
{
    fix_start(f, fix_op(f, kind, device, path));
}

struct device *fix_find(struct fix *f, unsigned device)
{
    char endpoint[32];

    snprintf(endpoint, sizeof(endpoint), "dev%u", device);
    return device_by_endpoint(f->d, view_str(endpoint));
}

uint64_t fix_count(struct fix *f, enum counter which)
{
    return counter_get(&f->counters, which);
}

struct value fix_integer(int64_t v)
{
    return (struct value){.type = VALUE_INTEGER, .u.integer = v};
}

struct value fix_float(double v)
{
    return (struct value){.type = VALUE_FLOAT, .u.float_ = v};
}

struct value fix_string(const char *s)
{
    return (struct value){.type = VALUE_STRING, .u.bytes = view_str(s)};
}

struct value fix_opaque(const void *p, size_t n)
{
    return (struct value){.type = VALUE_OPAQUE, .u.bytes = view_of(p, n)};
}
