/* Paths and methods, the whole of it: src/lwm2m/domain.c. */
#include "domain_fixture.h"

#include <stdio.h>

static void expect(struct fix *f, uint8_t method, const char *path, uint8_t code)
{
    fix_request(f, 1, method, path, "", FORMAT_NONE, VIEW_NONE);
    assert_int_equal(fix_code(f), code);
}

static void test_dispatch(void **state)
{
    struct fix *f = *state;

    expect(f, PDU_GET, "/rd", 0x85);
    expect(f, PDU_PUT, "/rd", 0x85);
    expect(f, PDU_FETCH, "/rd", 0x85);
    expect(f, PDU_IPATCH, "/rd/0011223344556677", 0x85);
    expect(f, PDU_GET, "/rd/0011223344556677", 0x85);
    expect(f, PDU_DELETE, "/rd/0011223344556677", 0x84);
    expect(f, PDU_DELETE, "/rd", 0x85);
    expect(f, PDU_GET, "/dp", 0x85);
    expect(f, PDU_POST, "/dp/x", 0x84);
    expect(f, PDU_POST, "/rd/a/b", 0x84);
    expect(f, PDU_GET, "/", 0x84);
    expect(f, PDU_GET, "/3/0/9", 0x84);
    expect(f, PDU_POST, "/bs", 0x84);
    expect(f, PDU_POST, "/.well-known/core", 0x85);
    expect(f, PDU_GET, "/.well-known", 0x84);
}

static void test_well_known(void **state)
{
    struct fix *f = *state;

    expect(f, PDU_GET, "/.well-known/core", PDU_CONTENT);
    assert_int_equal(fix_sent(f, 0)->format, FORMAT_LINK);
    assert_true(view_eq_str(fix_sent(f, 0)->pdu.payload, "</rd>;ct=40,</dp>;ct=\"110 112 11544\""));
}

static void test_well_known_accept(void **state)
{
    struct fix *f = *state;
    uint8_t out[64];
    struct pdu_writer w;
    struct view datagram;

    pdu_begin(&w, out, sizeof(out), PDU_CON, PDU_GET, 5, TEXT("t"));
    pdu_put_path(&w, PDU_URI_PATH, TEXT("/.well-known/core"));
    pdu_put_uint(&w, PDU_ACCEPT, FORMAT_TEXT);
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    fix_input(f, 1, datagram);
    assert_int_equal(fix_code(f), 0x86);
}

static void test_body_limit(void **state)
{
    struct fix *f = *state;
    struct request req = {.method = PDU_POST, .segment_count = 1};

    req.segments[0] = TEXT("rd");
    assert_int_equal(domain_body_limit(f->d, &req), 65536);
    req.segments[0] = TEXT("dp");
    assert_int_equal(domain_body_limit(f->d, &req), 65536);
    req.segments[0] = TEXT("elsewhere");
    assert_int_equal(domain_body_limit(f->d, &req), 2048);
}

/* A Register in blocks: the list is longer than a datagram of the device. */
static void test_register_in_blocks(void **state)
{
    struct fix *f = *state;
    char links[600] = "</1/0>,</3/0>";
    size_t n = strlen(links), at = 0;

    while (n < 560)
        n += (size_t)snprintf(links + n, sizeof(links) - n, ",</33%02zu/0>", n / 10);
    for (uint32_t num = 0; at < n; num++) {
        uint8_t out[512], mid = (uint8_t)(10 + num);
        size_t part = n - at < 256 ? n - at : 256;
        struct pdu_writer w;
        struct view datagram;

        pdu_begin(&w, out, sizeof(out), PDU_CON, PDU_POST, mid, view_of(&mid, 1));
        pdu_put_path(&w, PDU_URI_PATH, TEXT("/rd"));
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, FORMAT_LINK);
        pdu_put_query(&w, PDU_URI_QUERY, TEXT("ep=dev1&lt=300&lwm2m=1.1"));
        pdu_put_uint(&w, PDU_BLOCK1, pdu_block_encode((struct pdu_block){num, at + part < n, 4}));
        pdu_put_payload(&w, view_of(links + at, part));
        assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
        fix_input(f, 1, datagram);
        at += part;
        assert_int_equal(fix_code(f), at < n ? PDU_CONTINUE : PDU_CREATED);
    }
    assert_int_equal(fix_find(f, 1)->list->count, 2 + 55);
}

/* Wall time is stored, monotonic time is timed with: a step changes what is shown, not when it
 * ends. */
static void test_clock_steps(void **state)
{
    struct fix *f = *state;
    uint32_t deadline;

    fix_device(f, 1);
    deadline = fix_find(f, 1)->deadline_s;
    domain_wall(f->d, FIX_WALL - 86400000, f->now);
    assert_int_equal(fix_find(f, 1)->deadline_s, deadline);
    fix_do(f, OP_STATUS, 1, "/");
    assert_int_equal(f->done->result.registration->expires_ms, FIX_WALL - 86400000 + 300000);
    fix_advance(f, 392000);
    assert_non_null(fix_find(f, 1));
    fix_advance(f, 2000);
    assert_null(fix_find(f, 1));
}

/* The same inputs give the same bytes. */
static void run_script(struct fix *f)
{
    fix_device(f, 1);
    fix_device(f, 2);
    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), 1);
    fix_do(f, OP_READ, 2, "/3/0/9");
    fix_advance(f, 20000);
    /* Its observation is asked for again behind the 2.01. */
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", "</1/0>,</3/0>");
}

static void test_deterministic(void **state)
{
    struct fix *a = fix_new(), *b = fix_new();

    (void)state;
    run_script(a);
    run_script(b);
    assert_int_equal(a->sent_count, b->sent_count);
    assert_true(a->sent_count < FIX_SENT);
    for (size_t i = 0; i < a->sent_count; i++) {
        assert_int_equal(a->sent[i].n, b->sent[i].n);
        assert_memory_equal(a->sent[i].bytes, b->sent[i].bytes, a->sent[i].n);
    }
    fix_free(a);
    fix_free(b);
}

static void test_stats(void **state)
{
    struct fix *f = *state;
    struct domain_stats stats;

    fix_device(f, 1);
    fix_do(f, OP_OBSERVE, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    f->hold = true;
    fix_post(f, 2, "/rd", "ep=dev2&lt=1&lwm2m=1.1", "</1/0>");
    domain_stats(f->d, &stats);
    assert_int_equal(stats.devices, 1);
    assert_int_equal(stats.observations, 1);
    assert_int_equal(stats.ops, 1);
    assert_int_equal(stats.pending_registers, 1);
    assert_int_equal(stats.objlists, 2);
    assert_int_equal(stats.renewals_waiting, 1);
}

/* A model that is imported counts from the next operation on. */
static void test_new_definitions(void **state)
{
    struct fix *f = *state;
    struct registry *r;
    struct object_def *def;
    const char *xml =
        "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Own</Name><ObjectID>31999</ObjectID>"
        "<ObjectVersion>1.0</ObjectVersion><MultipleInstances>Single</MultipleInstances>"
        "<Mandatory>Optional</Mandatory><Resources><Item ID=\"1\"><Name>R</Name>"
        "<Operations>E</Operations><MultipleInstances>Single</MultipleInstances>"
        "<Mandatory>Optional</Mandatory><Type></Type><RangeEnumeration></RangeEnumeration>"
        "<Units></Units></Item></Resources></Object></LWM2M>";
    unsigned line = 0;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/31999/0/1");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(objectxml_parse(view_str(xml), &def, &line), ERR_OK);
    r = registry_clone(domain_registry(f->d));
    assert_non_null(r);
    assert_int_equal(registry_add(r, def), ERR_OK);
    models_publish(f->models, r);
    fix_do(f, OP_READ, 1, "/31999/0/1");
    assert_int_equal(f->done->result.rc, ERR_OPERATION);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_dispatch),
        ROW(test_well_known),
        ROW(test_well_known_accept),
        ROW(test_body_limit),
        ROW(test_register_in_blocks),
        ROW(test_clock_steps),
        cmocka_unit_test(test_deterministic),
        ROW(test_stats),
        ROW(test_new_definitions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
