/* Register: src/lwm2m/registration.c. */
#include "domain_fixture.h"

#include <stdio.h>

static struct view hex(const char *text, uint8_t *out, size_t cap)
{
    char digits[512];
    size_t n = 0, bytes = 0;

    for (; *text != '\0'; text++)
        if (*text != ' ')
            digits[n++] = *text;
    assert_int_equal(text_unhex(view_of(digits, n), out, cap, &bytes), ERR_OK);
    return view_of(out, bytes);
}

/* Sent by the reference material, byte for byte; the answer but for the location, which is ours. */
static void test_worked_bytes(void **state)
{
    struct fix *f = *state;
    uint8_t in[128], expected[64];
    struct fix_sent *s;
    const struct device *dev;
    char id[REGISTRATION_ID_LEN + 1];

    fix_input(f, 1,
              hex("42021234a1b2 b27264 1128 3765703d64657631 066c743d333030 096c776d326d3d312e32 "
                  "03623d55 0151 ff3c2f312f303e2c3c2f332f303e",
                  in, sizeof(in)));
    s = fix_sent(f, 0);
    assert_int_equal(f->sent_count, 1);
    dev = fix_find(f, 1);
    assert_non_null(dev);
    registration_id_format(dev->id, id);
    assert_memory_equal(s->bytes, hex("62411234a1b2 827264 0d03", expected, sizeof(expected)).p,
                        11);
    assert_int_equal(s->n, 11 + REGISTRATION_ID_LEN);
    assert_memory_equal(s->bytes + 11, id, REGISTRATION_ID_LEN);
    assert_int_equal(dev->lifetime_s, 300);
    assert_int_equal(dev->version.minor, 2);
    assert_int_equal(dev->binding, BINDING_U);
    assert_true((dev->flags & DEVICE_QUEUE) != 0);
    assert_true(view_eq(dev->list->text, TEXT("</1/0>,</3/0>")));
    assert_true(addr_eq(&s->flow.peer, &dev->peer));
}

static void test_answered_after_commit(void **state)
{
    struct fix *f = *state;
    const struct txn *t;
    const struct registration *r;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.0&b=UQS&sms=%2B4912345&x-a=1&flag&pid=6:12",
             "</lwm2m>;rt=\"oma.lwm2m\";ct=\"110 112\",</lwm2m/1/0>,</lwm2m/3/0>;ver=\"1.1\"");
    assert_int_equal(f->sent_count, 0);
    assert_null(fix_find(f, 1));
    assert_int_equal(f->event_count, 0);
    t = fix_txn(f, 0);
    assert_non_null(t);
    assert_null(fix_txn(f, 1));
    assert_int_equal(t->kind, TXN_PUT_REGISTRATION);
    r = t->registration;
    assert_true(view_eq_str(r->endpoint, "dev1"));
    assert_int_equal(r->lifetime_s, 60);
    assert_true(r->lifetime_given);
    assert_int_equal(r->binding, BINDING_U | BINDING_S);
    assert_true(r->queue_mode);
    assert_true(view_eq_str(r->sms, "4912345"));
    assert_true(view_eq_str(r->profile, "6:12"));
    assert_true(view_eq_str(r->unknown, "x-a=1&flag"));
    assert_true(
        view_eq_str(r->links, "</lwm2m>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>;ver=1.1"));
    assert_int_equal(r->expires_ms, FIX_WALL + 60000);
    assert_int_equal(r->registered_ms, FIX_WALL);
    assert_int_equal(r->seen_ms, FIX_WALL);
    assert_true(r->row > 0 && r->generation > 0);

    assert_int_equal(fix_commit(f, ERR_OK), 1);
    assert_int_equal(fix_code(f), PDU_CREATED);
    assert_non_null(fix_find(f, 1));
    assert_int_equal(fix_event(f, 0)->type, EVENT_REGISTERED);
    assert_string_equal(fix_event(f, 0)->endpoint, "dev1");
    assert_int_equal(fix_event(f, 0)->lifetime_s, 60);
    assert_int_equal(fix_count(f, COUNTER_registers), 1);
}

/* A store that is slow: an empty ACK after a second, the answer of its own later. */
static void test_separate_answer(void **state)
{
    struct fix *f = *state;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_advance(f, 1500);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_ACK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_EMPTY);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_sent(f, 0)->pdu.code, PDU_CREATED);
    assert_int_equal(fix_sent(f, 0)->pdu.type, PDU_CON);
}

static void test_failing_store_leaves_the_old(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_commit(f, ERR_DISKFULL);
    assert_int_equal(f->sent_count, 1); /* of the first */
    assert_int_equal(fix_find(f, 1)->id, id);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 300);
    assert_int_equal(f->dir->alive, 1);
    assert_int_equal(fix_events(f, EVENT_REPLACED), 0);
    assert_int_equal(fix_count(f, COUNTER_register_dropped), 1);
    /* The same datagram again is a new request. */
    f->hold = false;
    fix_register(f, 1, "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_not_equal(fix_find(f, 1)->id, id);
}

static void test_full_queue_is_silence(void **state)
{
    struct fix *f = *state;

    f->store_full = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(fix_count(f, COUNTER_register_dropped), 1);
    assert_int_equal(f->dir->alive, 0);
    fix_advance(f, 3000);
    assert_int_equal(f->sent_count, 0); /* no empty ACK either: the device retransmits */
}

static void test_replaces(void **state)
{
    struct fix *f = *state;
    uint64_t old = fix_device(f, 1);
    size_t events = f->event_count;
    uint64_t new = fix_device(f, 1);

    assert_int_not_equal(old, new);
    assert_int_equal(f->event_count, events + 2);
    assert_int_equal(fix_event(f, 1)->type, EVENT_REPLACED);
    assert_int_equal(fix_event(f, 1)->registration_id, old);
    assert_int_equal(fix_event(f, 0)->type, EVENT_REGISTERED);
    assert_int_equal(fix_event(f, 0)->registration_id, new);
    assert_null(chain_by_id(f->d, old));
    assert_int_equal(f->dir->alive, 1);
    /* The old location is unknown now. */
    fix_post(f, 1, fix_path(old), "", "");
    assert_int_equal(fix_code(f), 0x84);
}

/* Two Registers of one endpoint wait: only the newer is answered, both are in the store. */
static void test_newer_wins(void **state)
{
    struct fix *f = *state;
    struct flow second = fix_flow(2);
    struct domain_stats stats;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_post(f, 2, "/rd", "ep=dev1&lt=70&lwm2m=1.1", fix_links);
    domain_stats(f->d, &stats);
    assert_int_equal(stats.pending_registers, 2);
    assert_int_equal(fix_commit(f, ERR_OK), 2);
    assert_int_equal(f->sent_count, 1);
    assert_true(addr_eq(&fix_sent(f, 0)->flow.peer, &second.peer));
    assert_int_equal(fix_find(f, 1)->lifetime_s, 70);
    assert_int_equal(f->dir->alive, 1);
    domain_stats(f->d, &stats);
    assert_int_equal(stats.pending_registers, 0);
    assert_int_equal(stats.devices, 1);
}

/* The older one of two is stored, the newer is not: memory says what the store says. */
static void test_newer_fails(void **state)
{
    struct fix *f = *state;
    struct txn *second;

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_post(f, 1, "/rd", "ep=dev1&lt=70&lwm2m=1.1", fix_links);
    second = fix_txn(f, 1);
    f->txns->next = NULL;
    f->txns_end = &f->txns->next;
    fix_commit(f, ERR_OK);
    second->rc = ERR_STORE;
    domain_txn_done(f->d, second, f->now);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 60);
    assert_int_equal(f->dir->alive, 1);
}

/* A claim of another shard was committed while ours was with the store. */
static void test_stale_claim(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);

    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_device(g, 1);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->sent_count, 0);
    assert_null(fix_find(f, 1));
    assert_non_null(fix_find(g, 1));
    assert_int_equal(f->dir->alive, 1);
    f->other = NULL;
    fix_free(g);
}

static void test_evicts_elsewhere(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);

    fix_device(g, 1);
    fix_device(f, 1);
    assert_null(fix_find(g, 1));
    assert_non_null(fix_find(f, 1));
    assert_int_equal(fix_event(g, 0)->type, EVENT_REPLACED);
    f->other = NULL;
    fix_free(g);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refused(struct fix *f, const char *query, int32_t format, const char *links,
                    uint8_t code)
{
    size_t txns = f->txn_count;
    uint64_t refusals = fix_count(f, COUNTER_register_refused);

    fix_request(f, 1, PDU_POST, "/rd", query, format, view_str(links));
    assert_int_equal(fix_code(f), code);
    assert_int_equal(f->txn_count, txns);
    assert_int_equal(fix_count(f, COUNTER_register_refused), refusals + 1);
    assert_int_equal(f->dir->alive, 0);
}

static void test_refusals(void **state)
{
    struct fix *f = *state;

    /* The version comes first: clients step down on 4.12 and on nothing else. */
    refused(f, "ep=dev1&lt=60&lwm2m=2.0", FORMAT_LINK, fix_links, 0x8c);
    refused(f, "ep=dev1&lt=60&lwm2m=0.9", FORMAT_LINK, fix_links, 0x8c);
    refused(f, "ep=dev1&lt=nonsense&lwm2m=2.0", FORMAT_LINK, fix_links, 0x8c);
    refused(f, "ep=dev1&lt=60&lwm2m=new", FORMAT_LINK, fix_links, 0x8c);
    refused(f, "ep=dev1&lt=60&lwm2m", FORMAT_LINK, fix_links, 0x8c);
    /* parameters */
    refused(f, "lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=a%0Ab&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=a\xff&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=4294967296&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=-1&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1&b=X", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1&Q=1", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1&Q=", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1&Q&Q", FORMAT_LINK, fix_links, 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1&sms=+", FORMAT_LINK, fix_links, 0x80);
    /* payload */
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_TEXT, fix_links, 0x8f);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, "</1/0", 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, "3/0", 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, "\xff", 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_NONE, "3/0", 0x80);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, "</0/0>,</21/0>", 0x89);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_NONE, "", 0x89);
    refused(f, "ep=dev1&lt=60&lwm2m=1.2&pid=6:1234abcd", FORMAT_NONE, "", 0x89);
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, "</>;rt=\"oma.lwm2m\"", 0x89);
    assert_int_equal(fix_event(f, 0)->type, EVENT_REFUSED);
    assert_int_equal(fix_event(f, 0)->rc, ERR_PROFILE);
    assert_string_equal(fix_event(f, 0)->endpoint, "dev1");
}

static void test_refusal_names_the_parameter(void **state)
{
    struct fix *f = *state;

    refused(f, "ep=dev1&lwm2m=1.1&lt=x", FORMAT_LINK, fix_links, 0x80);
    assert_string_equal(fix_event(f, 0)->detail, "lt");
    assert_int_equal(fix_event(f, 0)->rc, ERR_MALFORMED);
    assert_true(fix_sent(f, 0)->pdu.payload.n > 0);
}

/* ---- what is accepted ------------------------------------------------------------------------ */

static const struct device *accepted(struct fix *f, const char *query, const char *links)
{
    char whole[300];

    snprintf(whole, sizeof(whole), "ep=dev1&%s", query);
    fix_register(f, 1, whole, links);
    return fix_find(f, 1);
}

static void test_versions(void **state)
{
    struct fix *f = *state;

    assert_int_equal(accepted(f, "lt=60", fix_links)->version.minor, 0);
    assert_int_equal(accepted(f, "lt=60&lwm2m=1.0", fix_links)->version.minor, 0);
    assert_int_equal(accepted(f, "lt=60&lwm2m=1.1", fix_links)->version.minor, 1);
    assert_int_equal(accepted(f, "lt=60&lwm2m=1.2.1", fix_links)->version.minor, 2);
    assert_int_equal(accepted(f, "lt=60&lwm2m=1.3", fix_links)->version.minor, 3);
}

static void test_lifetimes(void **state)
{
    struct fix *f = *state;
    const struct device *dev = accepted(f, "lwm2m=1.0", fix_links);

    assert_int_equal(dev->lifetime_s, 86400);
    assert_int_equal(dev->deadline_s, DEVICE_NEVER);
    assert_int_equal(dev->flags & DEVICE_LIFETIME_GIVEN, 0);
    dev = accepted(f, "lwm2m=1.1", fix_links);
    assert_int_equal(dev->lifetime_s, 0);
    assert_int_equal(dev->deadline_s, DEVICE_NEVER);
    assert_false(timer_active(&dev->timer));
    dev = accepted(f, "lwm2m=1.1&lt=0", fix_links);
    assert_int_equal(dev->deadline_s, DEVICE_NEVER);
    assert_int_equal(dev->flags & DEVICE_LIFETIME_GIVEN, DEVICE_LIFETIME_GIVEN);
    dev = accepted(f, "lwm2m=1.1&lt=4294967295", fix_links);
    assert_int_equal(dev->lifetime_s, UINT32_MAX);
    assert_int_equal(dev->deadline_s, DEVICE_NEVER - 1);
    dev = accepted(f, "lwm2m=1.1&lt=15", fix_links);
    assert_int_equal(dev->deadline_s, f->now / 1000 + 15 + 93);
}

static void test_bindings(void **state)
{
    struct fix *f = *state;
    const struct device *dev = accepted(f, "lwm2m=1.1&lt=60", fix_links);

    assert_int_equal(dev->binding, BINDING_U);
    assert_int_equal(dev->flags & DEVICE_QUEUE, 0);
    dev = accepted(f, "lwm2m=1.1&lt=60&b=UTQ", fix_links);
    assert_int_equal(dev->binding, BINDING_U | BINDING_T);
    assert_int_equal(dev->flags & DEVICE_QUEUE, DEVICE_QUEUE);
    dev = accepted(f, "Q&lwm2m=1.1&lt=60&b=UN", fix_links);
    assert_int_equal(dev->binding, BINDING_U | BINDING_N);
    assert_int_equal(dev->flags & DEVICE_QUEUE, DEVICE_QUEUE);
    dev = accepted(f, "lwm2m=1.1&lt=60&b=", fix_links);
    assert_int_equal(dev->binding, BINDING_U);
}

static void test_profile(void **state)
{
    struct fix *f = *state;

    assert_string_equal(device_profile(f->d, accepted(f, "lwm2m=1.1", fix_links))->name, "ip");
    f->profile = 1;
    assert_string_equal(device_profile(f->d, accepted(f, "lwm2m=1.1", fix_links))->name, "nbiot");
    f->profile = 2; /* there is none */
    assert_string_equal(device_profile(f->d, accepted(f, "lwm2m=1.1", fix_links))->name, "ip");
}

static void test_payload_quirks(void **state)
{
    struct fix *f = *state;

    /* Without Content-Format, with spaces, slashes and what does not belong into a list. */
    fix_request(f, 1, PDU_POST, "/rd", "lwm2m=1.1&lt=60&ep=dev1", FORMAT_NONE,
                TEXT("</>;ct=110;hb, </3/0/>, </1/0>;x=1,</0/0>,</21/0>,</65000/2>"));
    assert_int_equal(fix_code(f), PDU_CREATED);
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</>;ct=110,</1/0>,</3/0>,</65000/2>"));
    /* /1 and /3 are missing: tolerated. */
    assert_true(view_eq_str(accepted(f, "lwm2m=1.1&lt=60", "</5>")->list->text, "</5>"));
    /* A whole list beside a profile id counts. */
    assert_string_equal(accepted(f, "lwm2m=1.2&lt=60&pid=6:1234abcd", fix_links)->rare->pid,
                        "6:1234abcd");
}

static void test_endpoint_encodings(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=urn%3Aimei:100%&lt=60&lwm2m=1.1", fix_links);
    assert_non_null(device_by_endpoint(f->d, TEXT("urn:imei:100%")));
    fix_register(f, 1, "ep=%zz%4&lt=60&lwm2m=1.1", fix_links);
    assert_non_null(device_by_endpoint(f->d, TEXT("%zz%4")));
    fix_register(f, 1, "ep=\xc3\xa4/\xe2\x82\xac&lt=60&lwm2m=1.1", fix_links);
    assert_non_null(device_by_endpoint(f->d, TEXT("\xc3\xa4/\xe2\x82\xac")));
}

static void test_trailing_slash(void **state)
{
    struct fix *f = *state;
    uint8_t out[256];
    struct pdu_writer w;
    struct view datagram;

    pdu_begin(&w, out, sizeof(out), PDU_CON, PDU_POST, 7, TEXT("t"));
    pdu_put_option(&w, PDU_URI_PATH, TEXT("rd"));
    pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT(""));
    pdu_put_query(&w, PDU_URI_QUERY, TEXT("ep=dev1&lt=60&lwm2m=1.1"));
    pdu_put_payload(&w, TEXT("</1/0>"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, 1, datagram);
    assert_int_equal(fix_code(f), PDU_CREATED);
}

/* ---- identities and policies ----------------------------------------------------------------- */

static void test_identity(void **state)
{
    struct fix *f = *state;
    const struct device *dev;

    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("dev1")};
    /* No ep: the name is that of the identity. */
    fix_register(f, 1, "lt=60&lwm2m=1.1", fix_links);
    dev = fix_find(f, 1);
    assert_non_null(dev);
    assert_int_equal(dev->rare->identity_type, IDENTITY_PSK);
    assert_string_equal(dev->rare->identity_name, "dev1");
    assert_int_not_equal(dev->claim->identity_hash, 0);
    /* Another identity, or none, cannot take it. */
    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("other")};
    fix_post(f, 2, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(fix_code(f), 0x83);
    f->identity.type = IDENTITY_NONE;
    fix_post(f, 2, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(fix_code(f), 0x83);
    assert_int_equal(fix_event(f, 0)->type, EVENT_REFUSED);
    assert_int_equal(fix_event(f, 0)->rc, ERR_REFUSED);
    assert_ptr_equal(fix_find(f, 1), dev);
    /* The right one can, from anywhere. */
    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("dev1")};
    fix_register(f, 3, "ep=dev1&lt=60&lwm2m=1.1", fix_links);
}

static void test_authorize(void **state)
{
    struct fix *f = *state;

    f->authorize_rc = ERR_ENDPOINT;
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
    f->authorize_rc = ERR_FORBIDDEN;
    refused(f, "ep=dev1&lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x83);
    f->authorize_rc = ERR_OK;
    /* A name that the identity gives must be one. */
    f->identity = (struct identity){.type = IDENTITY_PSK, .name = TEXT("a\x01")};
    refused(f, "lt=60&lwm2m=1.1", FORMAT_LINK, fix_links, 0x80);
}

static void test_policy_refuse(void **state)
{
    struct fix *f = fix_new_closed();

    (void)state;
    f->cfg.replace = REPLACE_REFUSE;
    fix_open(f);
    fix_device(f, 1);
    /* another address */
    fix_post(f, 2, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(fix_code(f), 0x83);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 300);
    /* the same one */
    fix_register(f, 1, "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 60);
    /* expired */
    fix_advance(f, (60 + 93 + 2) * 1000);
    assert_null(fix_find(f, 1));
    fix_register(f, 2, "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_free(f);
}

static void test_device_limit(void **state)
{
    struct fix *f = fix_new_closed();

    (void)state;
    f->cfg.device_limit = 2;
    fix_open(f);
    fix_device(f, 1);
    fix_device(f, 2);
    fix_post(f, 3, "/rd", "ep=dev3&lt=60&lwm2m=1.1", fix_links);
    assert_int_equal(fix_code(f), 0);
    assert_int_equal(fix_count(f, COUNTER_register_dropped), 1);
    fix_device(f, 2); /* who is in may come again */
    fix_free(f);
}

/* Stop while the store has a Register: nothing is leaked, nobody is answered. */
static void test_stop_under_way(void **state)
{
    struct fix *f = fix_new();

    (void)state;
    f->hold = true;
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_post(f, 1, "/rd", "ep=dev1&lt=60&lwm2m=1.1", fix_links);
    fix_free(f);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_worked_bytes),
        ROW(test_answered_after_commit),
        ROW(test_separate_answer),
        ROW(test_failing_store_leaves_the_old),
        ROW(test_full_queue_is_silence),
        ROW(test_replaces),
        ROW(test_newer_wins),
        ROW(test_newer_fails),
        ROW(test_stale_claim),
        ROW(test_evicts_elsewhere),
        ROW(test_refusals),
        ROW(test_refusal_names_the_parameter),
        ROW(test_versions),
        ROW(test_lifetimes),
        ROW(test_bindings),
        ROW(test_profile),
        ROW(test_payload_quirks),
        ROW(test_endpoint_encodings),
        ROW(test_trailing_slash),
        ROW(test_identity),
        ROW(test_authorize),
        cmocka_unit_test(test_policy_refuse),
        cmocka_unit_test(test_device_limit),
        cmocka_unit_test(test_stop_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
