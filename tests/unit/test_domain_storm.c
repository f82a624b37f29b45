/*
 * Everything at once, by the dice: devices that come, go, move and lie, operators, a store that
 * fails, two shards. What must hold in the end: every operation completed once, every claim given
 * back, nothing leaked.
 */
#include "domain_fixture.h"

#include <stdio.h>

#define DEVICES 12u
#define STEPS 6000
#define SEEDS 6

struct storm {
    struct random dice;
    struct fix *shard[2];
    size_t started;
    uint64_t ids[DEVICES + 1]; /* last known location, perhaps void */
};

static uint64_t roll(struct storm *s, uint64_t bound)
{
    return random_below(&s->dice, bound);
}

static struct fix *any_shard(struct storm *s)
{
    return s->shard[roll(s, 2)];
}

static unsigned any_device(struct storm *s)
{
    return 1 + (unsigned)roll(s, DEVICES);
}

/* ---- what devices do --------------------------------------------------------------------------
 */

static void do_register(struct storm *s, struct fix *f)
{
    static const char *const lists[] = {"</1/0>,</3/0>,</3303/0>",
                                        "</>;ct=\"110 112\",</3/0>,</5/0>",
                                        "</x>;rt=\"oma.lwm2m\",</x/3/0>"};
    static const char *const tails[] = {"lwm2m=1.1&lt=60", "lwm2m=1.0",
                                        "lwm2m=1.2&lt=40&b=UQ&sms=1", "lwm2m=3.0&lt=1",
                                        "lwm2m=1.1&lt=0&Q&pid=6:1&k=v"};
    unsigned n = any_device(s);
    char query[128];

    snprintf(query, sizeof(query), "ep=dev%u&%s", n, tails[roll(s, mem_count(tails))]);
    fix_post(f, roll(s, 4) > 0 ? n : any_device(s), "/rd", query, lists[roll(s, mem_count(lists))]);
}

static void do_update(struct storm *s, struct fix *f)
{
    static const char *const queries[] = {"", "", "", "lt=50", "lt=70&b=UT", "sms=4", "lt=x", "Q"};
    static const char *const lists[] = {"", "", "", "</1/0>,</3/0>", "</3/0>,</3303/2>", "</"};
    unsigned n = any_device(s);

    fix_post(f, roll(s, 4) > 0 ? n : any_device(s), fix_path(s->ids[n]),
             queries[roll(s, mem_count(queries))], lists[roll(s, mem_count(lists))]);
}

static void do_deregister(struct storm *s, struct fix *f)
{
    unsigned n = any_device(s);

    fix_request(f, n, PDU_DELETE, fix_path(s->ids[n]), "", FORMAT_NONE, VIEW_NONE);
}

static void do_send(struct storm *s, struct fix *f)
{
    fix_request(f, any_device(s), PDU_POST, "/dp", "", FORMAT_SENML_JSON,
                TEXT("[{\"n\":\"/3/0/9\",\"v\":1}]"));
}

static unsigned device_of(const struct flow *flow)
{
    return (unsigned)flow->peer.ip[13] << 16 | (unsigned)flow->peer.ip[14] << 8 | flow->peer.ip[15];
}

/* One of the last requests that went to a device, most often the very last. */
static struct fix_sent *any_request(struct storm *s, struct fix *f)
{
    size_t kept = f->sent_count < FIX_SENT ? f->sent_count : FIX_SENT;

    for (size_t back = roll(s, 3) > 0 ? 0 : roll(s, kept + 1); back < kept; back++) {
        struct fix_sent *m = fix_sent(f, back);

        if (m->pdu.type == PDU_CON && PDU_CODE_CLASS(m->pdu.code) == 0)
            return m;
    }
    return NULL;
}

/* Answers it; right, wrong, late or twice. */
static void do_answer(struct storm *s, struct fix *f)
{
    static const uint8_t codes[] = {PDU_CONTENT, PDU_CONTENT, PDU_CONTENT, PDU_CONTENT,
                                    PDU_CHANGED, PDU_CREATED, PDU_DELETED, 0x86,
                                    0x8f,        0x84,        0xa0};
    struct fix_sent *m = any_request(s, f);
    unsigned n;
    uint8_t out[256];
    struct pdu_writer w;
    struct view datagram;

    if (m == NULL)
        return;
    pdu_begin(&w, out, sizeof(out), PDU_ACK, codes[roll(s, mem_count(codes))], m->pdu.mid,
              view_of(m->pdu.token, m->pdu.token_len));
    if (m->observe == 0 && roll(s, 4) > 0)
        pdu_put_uint(&w, PDU_OBSERVE, (uint32_t)roll(s, 100));
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_TEXT);
    pdu_put_payload(&w, TEXT("17"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    n = device_of(&m->flow);
    if (roll(s, 8) > 0)
        m->pdu.type = PDU_ACK; /* not again */
    fix_input(f, n, datagram);
}

static void do_notify(struct storm *s, struct fix *f)
{
    unsigned n = any_device(s);
    struct device *dev = fix_find(f, n);
    uint64_t token = roll(s, 1000);
    int32_t observe = roll(s, 8) > 0 ? (int32_t)roll(s, 1000) : -1;

    if (dev != NULL && dev->rare != NULL && !list_empty(&dev->rare->reports))
        token = list_item(dev->rare->reports.next, struct report, node)->relation.token;
    fix_notify(f, roll(s, 8) > 0 ? n : any_device(s), token, roll(s, 10) > 0 ? PDU_CONTENT : 0x84,
               FORMAT_TEXT, TEXT("18"), observe);
}

/* ---- what operators do --------------------------------------------------------------------- */

static void do_op(struct storm *s, struct fix *f)
{
    static const char *const paths[] = {"/3/0/9", "/3/0",   "/1/0/1", "/3303/2",
                                        "/3303",  "/3/0/4", "/"};
    enum op_kind kind = roll(s, 3) == 0 ? OP_OBSERVE : (enum op_kind)roll(s, OP_KIND_COUNT);
    const char *path = paths[roll(s, mem_count(paths))];
    unsigned n = any_device(s);
    struct op *op = fix_op(f, kind, n, path);

    if (kind == OP_WRITE_REPLACE || kind == OP_WRITE_UPDATE)
        fix_op_value(op, "/1/0/1", fix_integer((int64_t)roll(s, 200)));
    if (kind == OP_WRITE_ATTRIBUTES || (kind == OP_OBSERVE && roll(s, 2) == 0))
        op->text = mem_text("pmin=5", 6);
    if (kind == OP_OBSERVE_CANCEL) {
        const struct device *dev = fix_find(f, n);

        if (dev != NULL && dev->rare != NULL && !list_empty(&dev->rare->reports))
            op->token = list_item(dev->rare->reports.next, struct report, node)->relation.token;
    }
    if (roll(s, 2) == 0)
        op->deadline = f->now + roll(s, 20000);
    s->started++;
    fix_start(f, op);
}

/* ---- what the world does ------------------------------------------------------------------- */

static void do_store(struct storm *s, struct fix *f)
{
    f->store_full = roll(s, 12) == 0;
    fix_commit(f, roll(s, 8) > 0 ? ERR_OK : ERR_STORE);
}

static void do_time(struct storm *s, struct fix *f)
{
    uint64_t ms = roll(s, 30) > 0 ? roll(s, 1000) : roll(s, 60000);

    (void)f;
    fix_advance(s->shard[0], ms);
    fix_advance(s->shard[1], ms);
}

static void serve(struct fix *f)
{
    struct device *dev;
    struct pending *p = f->wanted;

    if (p == NULL)
        return;
    f->wanted = NULL;
    dev = domain_give(f->other->d, f->wanted_id, f->now);
    if (dev != NULL) {
        dev->claim->shard = f->shard;
        assert_int_equal(domain_take(f->d, dev, f->now), ERR_OK);
    }
    engine_replay(f->e, p, f->now);
}

static void do_move(struct storm *s, struct fix *f)
{
    (void)s;
    serve(f);
}

static void learn_ids(struct storm *s)
{
    for (unsigned n = 1; n <= DEVICES; n++)
        for (unsigned i = 0; i < 2; i++) {
            const struct device *dev = fix_find(s->shard[i], n);

            if (dev != NULL)
                s->ids[n] = dev->id;
        }
}

static void check(struct storm *s)
{
    size_t listed = 0;

    for (unsigned i = 0; i < 2; i++) {
        struct domain_stats stats;

        domain_stats(s->shard[i]->d, &stats);
        listed += stats.devices + stats.pending_registers;
        assert_int_equal(table_size(s->shard[i]->d->registering) <= stats.pending_registers, 1);
    }
    assert_int_equal(listed, s->shard[0]->dir->alive);
}

static void run(uint64_t seed)
{
    static const struct {
        unsigned weight;
        void (*act)(struct storm *s, struct fix *f);
    } acts[] = {
        {8, do_register}, {16, do_update}, {1, do_deregister}, {4, do_send},  {50, do_answer},
        {16, do_notify},  {24, do_op},     {20, do_store},     {10, do_time}, {8, do_move},
    };
    struct storm s = {.started = 0};
    unsigned total = 0;
    size_t done;

    for (size_t i = 0; i < mem_count(acts); i++)
        total += acts[i].weight;
    random_init(&s.dice, seed, 1);
    s.shard[0] = fix_new();
    s.shard[1] = fix_beside(s.shard[0]);
    s.shard[0]->hold = s.shard[1]->hold = true;
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t at = roll(&s, total);
        size_t i = 0;

        while (at >= acts[i].weight)
            at -= acts[i++].weight;
        acts[i].act(&s, any_shard(&s));
        learn_ids(&s);
        check(&s);
    }
    /* The end: two thirds of the storms in the middle of it, the others when all is done. */
    if (seed % 3 == 0) {
        for (unsigned i = 0; i < 2; i++) {
            s.shard[i]->hold = s.shard[i]->store_full = false;
            serve(s.shard[i]);
        }
        do_time(&s, NULL);
        fix_advance(s.shard[0], 400000);
        fix_advance(s.shard[1], 400000);
    }
    for (unsigned i = 0; i < 2; i++) {
        domain_free(s.shard[i]->d, s.shard[i]->now);
        s.shard[i]->d = NULL;
    }
    done = s.shard[0]->done_count + s.shard[1]->done_count;
    if (done != s.started)
        fail_msg("seed %u: %zu operations started, %zu completed", (unsigned)seed, s.started, done);
    s.shard[0]->other = NULL;
    fix_free(s.shard[1]);
    fix_free(s.shard[0]);
}

static void test_storm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
