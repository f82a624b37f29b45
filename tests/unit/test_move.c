/* Devices between shards, and from the store: src/lwm2m/move.c. */
#include "domain_fixture.h"

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    return rd_u64(&r);
}

static void move(struct fix *from, struct fix *to, uint64_t id)
{
    struct device *dev = domain_give(from->d, id, from->now);

    assert_non_null(dev);
    assert_int_equal(domain_device_claim(dev)->id, id);
    assert_int_equal(domain_take(to->d, dev, to->now), ERR_OK);
}

static void test_everything_comes_along(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    struct domain_stats stats;
    uint64_t id, token;
    struct device *dev;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1&sms=5&pid=6:1&a=b&Q",
                 "</x>;rt=\"oma.lwm2m\";ct=\"112 110\",</x/1/0>,</x/3/0>");
    id = fix_find(f, 1)->id;
    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    token = token_of(fix_sent(f, 0));
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), 1);
    fix_do(f, OP_READ, 1, "/3/0/9");  /* under way */
    fix_do(f, OP_READ, 1, "/3/0/13"); /* waiting */
    fix_advance(f, 10);
    g->now = f->now;
    move(f, g, id);
    assert_null(fix_find(f, 1));
    domain_stats(f->d, &stats);
    assert_int_equal(stats.devices + stats.observations + stats.ops + stats.objlists, 0);
    domain_stats(g->d, &stats);
    assert_int_equal(stats.devices, 1);
    assert_int_equal(stats.observations, 1);
    assert_int_equal(stats.ops, 2);
    assert_int_equal(stats.renewals_waiting, 1);
    dev = fix_find(g, 1);
    assert_int_equal(dev->id, id);
    assert_string_equal(dev->rare->sms, "5");
    assert_string_equal(dev->rare->unknown, "a=b");
    assert_true(view_eq_str(dev->list->text, "</x>;rt=\"oma.lwm2m\";ct=\"112 110\",</1/0>,</3/0>"));
    assert_int_equal(dev->list->format_count, 2);
    /* The operations go on from there. */
    assert_int_equal(g->sent_count, 0);
    fix_advance(g, 2);
    assert_int_equal(g->sent_count, 1);
    assert_string_equal(fix_sent(g, 0)->path, "/x/3/0/9");
    fix_answer(g, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("2"), -1);
    fix_answer(g, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("3"), -1);
    assert_int_equal(f->done_count, 3); /* the ops still belong to who gave them */
    /* So do notifications, and the lifetime. */
    fix_notify(g, 1, token, PDU_CONTENT, FORMAT_TEXT, TEXT("7"), 2);
    assert_int_equal(fix_event(g, 0)->type, EVENT_NOTIFICATION);
    fix_notify(f, 1, token, PDU_CONTENT, FORMAT_TEXT, TEXT("8"), 3);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_RST);
    fix_advance(g, 394 * 1000);
    assert_null(fix_find(g, 1));
    f->other = NULL;
    fix_free(g);
}

static void test_execute_is_not_repeated(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(f, 1);

    fix_do(f, OP_EXECUTE, 1, "/3/0/4");
    fix_do(f, OP_EXECUTE, 1, "/1/0/8"); /* waiting: never sent */
    move(f, g, id);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_TIMEOUT);
    fix_advance(g, 2);
    assert_string_equal(fix_sent(g, 0)->path, "/1/0/8");
    f->other = NULL;
    fix_free(g);
}

static void test_deadline_comes_along(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(f, 1);
    struct op *op = fix_op(f, OP_READ, 1, "/3/0/9");

    op->deadline = f->now + 500;
    fix_start(f, op);
    move(f, g, id);
    fix_advance(g, 499);
    assert_int_equal(f->done_count, 0);
    fix_advance(g, 2);
    assert_int_equal(f->done->result.rc, ERR_TIMEOUT);
    f->other = NULL;
    fix_free(g);
}

static void test_observation_being_cancelled(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(f, 1), token;
    struct op *op;

    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    token = token_of(fix_sent(f, 0));
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), 1);
    op = fix_op(f, OP_OBSERVE_CANCEL, 1, "/");
    op->token = token;
    fix_start(f, op);
    move(f, g, id);
    fix_advance(g, 2);
    assert_int_equal(fix_sent(g, 0)->observe, 1);
    assert_int_equal(token_of(fix_sent(g, 0)), token);
    fix_answer(g, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(g->d->report_count, 0);
    f->other = NULL;
    fix_free(g);
}

/* An Update waits for the store when the device is sent for: its change comes along. */
static void test_update_under_way(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    fix_code(f);
    fix_post(f, 1, fix_path(id), "lt=600&sms=9", "");
    fix_post(f, 1, fix_path(id), "lt=700", "");
    move(f, g, id);
    assert_int_equal(fix_find(g, 1)->lifetime_s, 600);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), 0); /* it will be answered from where the device is */
    f->other = NULL;
    fix_free(g);
}

static void test_not_while_it_is_removed(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_null(domain_give(f->d, id, f->now));
    assert_null(domain_give(f->d, id + 1, f->now));
    fix_commit(f, ERR_OK);
}

static void test_change_of_ours_under_way(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    g->hold = true;
    fix_do(f, OP_DELETE, 1, "/3303/0");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    fix_do(f, OP_DELETE, 1, "/3303/1");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    move(f, g, id);
    /* The second had not been handed to the store: it is from there. */
    assert_int_equal(fix_txn(g, 0)->kind, TXN_PUT_REGISTRATION);
    assert_true(view_eq_str(fix_txn(g, 0)->registration->links, "</1/0>,</3/0>,</5/0>,</3303>"));
    fix_commit(f, ERR_OK);
    fix_commit(g, ERR_OK);
    f->other = NULL;
    fix_free(g);
}

static void test_lost_at_shutdown(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    struct device *dev;
    struct claim *claim;

    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    claim = fix_find(f, 1)->claim;
    dev = domain_give(f->d, id, f->now);
    assert_non_null(dev);
    domain_device_free(dev);
    assert_int_equal(f->done->result.rc, ERR_STOPPING);
    table_del(f->dir->claims, hash_bytes(&f->key, TEXT("dev1")), claim);
    mem_free(claim);
    f->dir->alive--;
}

/* ---- restart --------------------------------------------------------------------------------- */

static struct claim *restore(struct fix *f, const struct registration *r)
{
    struct claim *c = mem_new(sizeof(*c) + r->endpoint.n + 1);

    assert_non_null(c);
    c->row = r->row;
    c->id = r->id;
    c->generation = r->generation;
    c->committed = true;
    c->endpoint_len = (uint8_t)r->endpoint.n;
    memcpy(c->endpoint, r->endpoint.p, r->endpoint.n);
    assert_int_equal(table_put(f->dir->claims, hash_bytes(&f->key, r->endpoint), c), ERR_OK);
    f->dir->alive++;
    return c;
}

static struct registration stored(unsigned device, int64_t expires_ms)
{
    return (struct registration){
        .row = device,
        .id = 0x0700000000000000 + device,
        .generation = device,
        .endpoint = device == 1 ? TEXT("dev1") : TEXT("dev2"),
        .version = {1, 1},
        .lifetime_s = 300,
        .lifetime_given = true,
        .binding = BINDING_U,
        .queue_mode = true,
        .sms = TEXT("12"),
        .links = TEXT("</x>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>"),
        .flow = fix_flow(device),
        .identity = {.type = IDENTITY_NONE},
        .registered_ms = FIX_WALL - 900000,
        .updated_ms = FIX_WALL - 200000,
        .seen_ms = FIX_WALL - 100000,
        .expires_ms = expires_ms,
    };
}

static int load(struct fix *f, const struct registration *r, int64_t outage_ms)
{
    return domain_load(f->d, r, restore(f, r), &(struct outage){.ms = outage_ms}, f->now);
}

static void test_load(void **state)
{
    struct fix *f = *state;
    struct registration r = stored(1, FIX_WALL + 100000);
    const struct registration *s;

    assert_int_equal(load(f, &r, 5000), ERR_OK);
    assert_int_equal(f->event_count, 0);
    fix_do(f, OP_STATUS, 1, "/");
    s = f->done->result.registration;
    assert_int_equal(s->id, r.id);
    assert_int_equal(s->row, r.row);
    assert_int_equal(s->registered_ms, r.registered_ms);
    assert_int_equal(s->updated_ms, r.updated_ms);
    assert_int_equal(s->seen_ms, r.seen_ms);
    assert_true(view_eq(s->links, r.links));
    assert_true(view_eq(s->sms, r.sms));
    assert_true(s->queue_mode);
    assert_in_range(s->expires_ms, r.expires_ms + 5000, r.expires_ms + 7000);
    /* It is served as before. */
    fix_post(f, 1, "/rd/0700000000000001", "", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(f->d->renewals.waiting, 1);
}

/* Away for longer than the lifetimes: nobody expires at once. */
static void test_load_after_an_outage(void **state)
{
    struct fix *f = *state;
    struct registration r = stored(1, FIX_WALL - 86400 * INT64_C(1000));
    struct registration left = stored(2, FIX_WALL - 86400 * INT64_C(1000) + 200000);

    assert_int_equal(load(f, &r, 0), ERR_OK);
    assert_int_equal(load(f, &left, 86400 * 1000), ERR_OK);
    fix_advance(f, 93000 - 1);
    assert_non_null(fix_find(f, 1));
    fix_advance(f, 3000);
    assert_null(fix_find(f, 1)); /* had its grace */
    assert_non_null(fix_find(f, 2));
    fix_advance(f, 190000);
    assert_non_null(fix_find(f, 2)); /* what was left of its lifetime, and grace */
    fix_advance(f, 13000);
    assert_null(fix_find(f, 2));
}

/* The Update that would have moved the deadline was answered, and was not in the store yet. */
static void test_load_after_a_kill(void **state)
{
    struct fix *f = *state;
    struct registration r = stored(1, FIX_WALL + 1000);
    const struct outage outage = {.ms = 2000, .killed = true};

    assert_int_equal(domain_load(f->d, &r, restore(f, &r), &outage, f->now), ERR_OK);
    fix_advance(f, (300 + 90) * 1000);
    assert_int_equal(f->by_kind[TXN_DEL_REGISTRATION], 0);
    fix_advance(f, 5 * 1000);
    assert_int_equal(f->by_kind[TXN_DEL_REGISTRATION], 1);
}

static void test_load_never(void **state)
{
    struct fix *f = *state;
    struct registration r = stored(1, INT64_MAX);
    struct registration omitted = stored(2, INT64_MAX);

    r.lifetime_s = 0;
    omitted.lifetime_given = false;
    assert_int_equal(load(f, &r, 0), ERR_OK);
    assert_int_equal(load(f, &omitted, 0), ERR_OK);
    assert_int_equal(timer_wheel_size(f->d->expiry), 0);
}

static void test_load_failures(void **state)
{
    struct fix *f = *state;
    struct registration r = stored(1, FIX_WALL + 100000), again = stored(2, FIX_WALL);
    struct claim *claim;

    assert_int_equal(load(f, &r, 0), ERR_OK);
    claim = restore(f, &again);
    again.links = TEXT("</1");
    assert_int_equal(domain_load(f->d, &again, claim, &(struct outage){0}, f->now), ERR_MALFORMED);
    table_del(f->dir->claims, hash_bytes(&f->key, again.endpoint), claim);
    mem_free(claim);
    f->dir->alive--;
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_everything_comes_along),
        ROW(test_execute_is_not_repeated),
        ROW(test_deadline_comes_along),
        ROW(test_observation_being_cancelled),
        ROW(test_update_under_way),
        ROW(test_not_while_it_is_removed),
        ROW(test_change_of_ours_under_way),
        ROW(test_lost_at_shutdown),
        ROW(test_load),
        ROW(test_load_after_an_outage),
        ROW(test_load_after_a_kill),
        ROW(test_load_never),
        ROW(test_load_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
