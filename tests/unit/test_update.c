/* Update: src/lwm2m/update.c. */
#include "domain_fixture.h"

static void update(struct fix *f, unsigned device, uint64_t id, const char *query,
                   const char *links)
{
    fix_post(f, device, fix_path(id), query, links);
}

/* 42 02 12 35 a1 b3 b2 72 64 … → 62 44 12 35 a1 b3 */
static void test_worked_bytes(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    char text[REGISTRATION_ID_LEN + 1];
    uint8_t in[64] = {0x42, 0x02, 0x12, 0x35, 0xa1, 0xb3, 0xb2, 0x72, 0x64, 0x0d, 0x03};
    static const uint8_t out[] = {0x62, 0x44, 0x12, 0x35, 0xa1, 0xb3};

    registration_id_format(id, text);
    memcpy(in + 11, text, REGISTRATION_ID_LEN);
    fix_input(f, 1, view_of(in, 11 + REGISTRATION_ID_LEN));
    assert_int_equal(fix_sent(f, 0)->n, sizeof(out));
    assert_memory_equal(fix_sent(f, 0)->bytes, out, sizeof(out));
}

static void test_renews_without_a_transaction(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    size_t txns = f->txn_count, events = f->event_count;
    struct device *dev = fix_find(f, 1);
    uint64_t due = dev->timer.due;
    struct domain_stats stats;

    f->hold = true;
    f->now += 100000;
    update(f, 1, id, "", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(f->txn_count, txns);
    assert_int_equal(f->event_count, events + 1);
    assert_int_equal(fix_event(f, 0)->type, EVENT_UPDATED);
    assert_int_equal(fix_event(f, 0)->time_ms, FIX_WALL + 100000);
    assert_int_equal(fix_event(f, 0)->registration_id, id);
    assert_int_equal(fix_event(f, 0)->lifetime_s, 300);
    assert_int_equal(dev->deadline_s, f->now / 1000 + 300 + 93);
    assert_int_equal(dev->timer.due, due); /* armed again when it fires */
    assert_int_equal(dev->updated_s, FIX_WALL / 1000 + 100);
    assert_int_equal(dev->seen_s, FIX_WALL / 1000 + 100);
    assert_null(dev->rare);
    assert_int_equal(fix_count(f, COUNTER_updates), 1);
    domain_stats(f->d, &stats);
    assert_int_equal(stats.renewals_waiting, 1);
    update(f, 1, id, "", "");
    domain_stats(f->d, &stats);
    assert_int_equal(stats.renewals_waiting, 1);
    assert_int_equal(fix_count(f, COUNTER_renewals_coalesced), 1);
}

static void test_unchanged_is_a_renewal(void **state)
{
    struct fix *f = *state;
    uint64_t id;
    size_t txns;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1&b=U&Q&sms=123&pid=6:12",
                 "</>;ct=\"110 112\",</1/0>,</3/0>;ver=1.1");
    id = fix_find(f, 1)->id;
    txns = f->txn_count;
    f->hold = true;
    /* In another order, without ct, with the plus, with parameters of a Register and unknown ones.
     */
    update(f, 1, id, "sms=+123&b=U&lt=300&pid=6:12&Q&ep=dev1&lwm2m=1.1&x=y",
           "</3/0>;ver=\"1.1\", </1/0/>");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(f->txn_count, txns);
    assert_int_equal(fix_find(f, 1)->list->format_count, 2);
    assert_int_equal(fix_events(f, EVENT_UPDATED), 1); /* an Update all the same */
}

static void test_change_waits_for_the_store(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    struct device *dev = fix_find(f, 1);
    const struct registration *r;

    f->hold = true;
    update(f, 1, id, "lt=600&b=UT&sms=777&Q", "</1/0>,</4/0>");
    assert_int_equal(fix_code(f), 0);
    assert_int_equal(dev->lifetime_s, 300);
    assert_int_equal(fix_txn(f, 0)->kind, TXN_PUT_REGISTRATION);
    r = fix_txn(f, 0)->registration;
    assert_int_equal(r->id, id);
    assert_int_equal(r->generation, dev->claim->generation);
    assert_int_equal(r->row, dev->claim->row);
    assert_int_equal(r->lifetime_s, 600);
    assert_int_equal(r->expires_ms, FIX_WALL + 600000);
    assert_int_equal(r->binding, BINDING_U | BINDING_T);
    assert_true(r->queue_mode);
    assert_true(view_eq_str(r->sms, "777"));
    assert_true(view_eq_str(r->links, "</1/0>,</4/0>"));
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(dev->lifetime_s, 600);
    assert_int_equal(dev->binding, BINDING_U | BINDING_T);
    assert_int_equal(dev->flags & DEVICE_QUEUE, DEVICE_QUEUE);
    assert_string_equal(dev->rare->sms, "777");
    assert_true(view_eq_str(dev->list->text, "</1/0>,</4/0>"));
    assert_int_equal(dev->deadline_s, f->now / 1000 + 600 + 93);
    assert_int_equal(fix_event(f, 0)->type, EVENT_UPDATED);
    assert_int_equal(fix_event(f, 0)->lifetime_s, 600);
}

static void test_profile_with_its_list(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    update(f, 1, id, "pid=6:1234abcd", "</1/0>,</3/0>");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_string_equal(fix_find(f, 1)->rare->pid, "6:1234abcd");
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</1/0>,</3/0>"));
    update(f, 1, id, "pid=6:5678", "</1/0>,</3/0>");
    assert_string_equal(fix_find(f, 1)->rare->pid, "6:5678");
}

static void test_failing_store_changes_nothing(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    struct device *dev = fix_find(f, 1);

    fix_code(f);
    f->hold = true;
    f->now += 50000;
    update(f, 1, id, "lt=600", "</9>");
    fix_commit(f, ERR_STORE);
    assert_int_equal(fix_code(f), 0);
    assert_int_equal(dev->lifetime_s, 300);
    assert_true(view_eq_str(dev->list->text, fix_links));
    assert_int_equal(fix_events(f, EVENT_UPDATED), 0);
    /* Heard it was: it must not expire for our sake. */
    assert_int_equal(dev->deadline_s, f->now / 1000 + 300 + 93);
    /* Full: silence too, but what only renews is served from memory. */
    f->store_full = true;
    update(f, 1, id, "lt=600", "");
    assert_int_equal(fix_code(f), 0);
    update(f, 1, id, "lt=300", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_null(dev->rare);
}

static void test_one_at_a_time(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    fix_code(f);
    f->hold = true;
    update(f, 1, id, "lt=600", "");
    update(f, 1, id, "lt=700", ""); /* waits, and is given up for the next */
    update(f, 1, id, "lt=800", "");
    assert_null(fix_txn(f, 1));
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 600);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(fix_txn(f, 0)->registration->lifetime_s, 800);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(f->sent_count, 3); /* 2.01, 2.04, 2.04 */
    assert_int_equal(fix_find(f, 1)->lifetime_s, 800);
    assert_null(fix_find(f, 1)->rare);
}

static void test_moves_with_the_address(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    struct flow moved = fix_flow(9);

    f->hold = true;
    update(f, 9, id, "", "");
    assert_true(addr_eq(&fix_txn(f, 0)->registration->flow.peer, &moved.peer));
    assert_int_equal(fix_txn(f, 0)->registration->id, id);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CHANGED);
    assert_true(addr_eq(&fix_sent(f, 0)->flow.peer, &moved.peer));
    assert_true(addr_eq(&fix_find(f, 1)->peer, &moved.peer));
    assert_int_equal(fix_event(f, 1)->type, EVENT_MOVED);
    assert_int_equal(fix_event(f, 0)->type, EVENT_UPDATED);
    assert_ptr_equal(chain_by_addr(f->d, &moved.peer), fix_find(f, 1));
    moved = fix_flow(1);
    assert_null(chain_by_addr(f->d, &moved.peer));
}

static void test_secured_moves_with_its_identity(void **state)
{
    struct fix *f = *state;
    uint64_t id;

    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("dev1")};
    id = fix_device(f, 1);
    update(f, 2, id, "", "");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_int_equal(fix_event(f, 1)->type, EVENT_MOVED);
    /* Knowing the location is not enough. */
    f->identity.name = TEXT("dev2");
    update(f, 2, id, "", "");
    assert_int_equal(fix_code(f), 0x84);
    f->identity.type = IDENTITY_NONE;
    update(f, 2, id, "", "");
    assert_int_equal(fix_code(f), 0x84);
    fix_request(f, 2, PDU_DELETE, fix_path(id), "", FORMAT_NONE, VIEW_NONE);
    assert_int_equal(fix_code(f), 0x84);
    assert_non_null(fix_find(f, 1));
}

static void test_unknown(void **state)
{
    struct fix *f = *state;

    fix_post(f, 1, "/rd/0011223344556677", "", "");
    assert_int_equal(fix_code(f), 0x84);
    fix_post(f, 1, "/rd/5a3f", "", "");
    assert_int_equal(fix_code(f), 0x84);
    assert_int_equal(fix_count(f, COUNTER_updates_unknown), 2);
}

static void test_refusals(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);
    size_t txns = f->txn_count;
    static const struct {
        const char *query;
        int32_t format;
        const char *links;
        uint8_t code;
    } rows[] = {
        {"lt=x", FORMAT_NONE, "", 0x80},   {"lt=1&lt=2", FORMAT_NONE, "", 0x80},
        {"b=9", FORMAT_NONE, "", 0x80},    {"Q=1", FORMAT_NONE, "", 0x80},
        {"", FORMAT_TEXT, "</1/0>", 0x8f}, {"", FORMAT_LINK, "</1/0", 0x80},
        {"", FORMAT_LINK, "</>", 0x80},    {"pid=6:99", FORMAT_NONE, "", 0x89},
    };

    for (size_t i = 0; i < mem_count(rows); i++) {
        fix_request(f, 1, PDU_POST, fix_path(id), rows[i].query, rows[i].format,
                    view_str(rows[i].links));
        assert_int_equal(fix_code(f), rows[i].code);
    }
    assert_int_equal(f->txn_count, txns);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 300);
}

static void test_queue_mode(void **state)
{
    struct fix *f = *state;
    uint64_t id;

    /* Since 1.1 the flag can only be set; 1.0 says it with each b. */
    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1&b=U&Q", fix_links);
    id = fix_find(f, 1)->id;
    update(f, 1, id, "b=U", "");
    assert_int_equal(fix_find(f, 1)->flags & DEVICE_QUEUE, DEVICE_QUEUE);
    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.0&b=UQ", fix_links);
    id = fix_find(f, 1)->id;
    update(f, 1, id, "lt=300", "");
    assert_int_equal(fix_find(f, 1)->flags & DEVICE_QUEUE, DEVICE_QUEUE);
    update(f, 1, id, "b=U", "");
    assert_int_equal(fix_find(f, 1)->flags & DEVICE_QUEUE, 0);
}

static void test_lifetime_given_late(void **state)
{
    struct fix *f = *state;
    struct device *dev;

    fix_register(f, 1, "ep=dev1&lwm2m=1.0", fix_links);
    dev = fix_find(f, 1);
    assert_int_equal(dev->deadline_s, DEVICE_NEVER);
    update(f, 1, dev->id, "lt=86400", "");
    assert_int_equal(dev->flags & DEVICE_LIFETIME_GIVEN, DEVICE_LIFETIME_GIVEN);
    assert_int_equal(dev->deadline_s, f->now / 1000 + 86400 + 93);
    update(f, 1, dev->id, "lt=10", "");
    assert_int_equal(dev->timer.due, (f->now / 1000 + 10) * 1000); /* shorter: armed at once */
    update(f, 1, dev->id, "lt=0", "");
    assert_false(timer_active(&dev->timer));
}

static void test_lists(void **state)
{
    struct fix *f = *state;
    uint64_t id;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1",
                 "</lwm2m>;rt=\"oma.lwm2m\";ct=112,</lwm2m/1/0>,</lwm2m/3/0>");
    id = fix_find(f, 1)->id;
    /* The list is whole, but for what the root link said. */
    update(f, 1, id, "", "</lwm2m/1/0>,</lwm2m/5/0>");
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_true(
        view_eq_str(fix_find(f, 1)->list->text, "</lwm2m>;rt=\"oma.lwm2m\";ct=112,</1/0>,</5/0>"));
    /* A root link that says something else wins. */
    update(f, 1, id, "", "</x>;rt=\"oma.lwm2m\";ct=110,</x/1/0>");
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</x>;rt=\"oma.lwm2m\";ct=110,</1/0>"));
    update(f, 1, id, "", "</>;rt=\"oma.lwm2m\",</1/0>");
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</>;ct=110,</1/0>"));
    /* Wakaama says no Content-Format. */
    fix_request(f, 1, PDU_POST, fix_path(id), "", FORMAT_NONE, TEXT("</4/0>"));
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</>;ct=110,</4/0>"));
}

/* ---- the device is on another shard ---------------------------------------------------------- */

static void test_sends_for_the_device(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(g, 1);
    struct device *dev;
    struct flow here = fix_flow(7);

    update(f, 7, id, "lt=900", "");
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(f->wanted_id, id);
    dev = domain_give(g->d, id, g->now);
    assert_non_null(dev);
    assert_int_equal(domain_take(f->d, dev, f->now), ERR_OK);
    engine_replay(f->e, f->wanted, f->now);
    f->hold = false;
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
    assert_null(fix_find(g, 1));
    assert_int_equal(fix_find(f, 1)->lifetime_s, 900);
    assert_true(addr_eq(&fix_find(f, 1)->peer, &here.peer));
    f->other = NULL;
    fix_free(g);
}

static void test_denied(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);
    uint64_t id = fix_device(g, 1);

    /* Gone when asked: unknown. */
    update(f, 7, id, "", "");
    domain_evict(g->d, id, g->now);
    engine_replay(f->e, f->wanted, f->now);
    assert_int_equal(fix_code(f), 0x84);
    f->wanted = NULL;
    /* Still somewhere else: silence, the device tries again. */
    id = fix_device(g, 1);
    update(f, 7, id, "", "");
    engine_replay(f->e, f->wanted, f->now);
    assert_int_equal(fix_code(f), 0);
    f->wanted = NULL;
    /* Gone between the two questions. */
    f->want_rc = ERR_NOTFOUND;
    update(f, 7, id, "", "");
    assert_int_equal(fix_code(f), 0x84);
    f->want_rc = ERR_NOMEM;
    update(f, 7, id, "", "");
    assert_int_equal(fix_code(f), 0);
    f->other = NULL;
    fix_free(g);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_worked_bytes),
        ROW(test_renews_without_a_transaction),
        ROW(test_unchanged_is_a_renewal),
        ROW(test_change_waits_for_the_store),
        ROW(test_profile_with_its_list),
        ROW(test_failing_store_changes_nothing),
        ROW(test_one_at_a_time),
        ROW(test_moves_with_the_address),
        ROW(test_secured_moves_with_its_identity),
        ROW(test_unknown),
        ROW(test_refusals),
        ROW(test_queue_mode),
        ROW(test_lifetime_given_late),
        ROW(test_lists),
        ROW(test_sends_for_the_device),
        ROW(test_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
