#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../contrib/fleet/hist.c"
#include "../../contrib/fleet/message.c"
#include "../../contrib/fleet/swarm.c"

const char object_links[] = "</1/0>,</3/0>";

/* ---- hist ---- */

static void buckets_are_narrow(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 64; v++)
        assert_true(upper_edge(bucket_of(v)) >= v);
    for (unsigned shift = 6; shift < 63; shift++)
        for (uint64_t part = 0; part < 7; part++) {
            uint64_t v = (UINT64_C(1) << shift) + part * ((UINT64_C(1) << shift) / 7);
            size_t bucket = bucket_of(v);

            assert_true(bucket < HIST_BUCKETS);
            assert_true(upper_edge(bucket) >= v);
            assert_true(upper_edge(bucket - 1) < v);
            assert_true(upper_edge(bucket) - v <= v / 32);
        }
}

static void quantiles(void **state)
{
    struct hist *h = calloc(1, sizeof(*h));

    (void)state;
    assert_non_null(h);
    assert_int_equal(hist_quantile(h, 0.5), 0);
    for (uint64_t v = 1; v <= 1000; v++)
        hist_add(h, v * 1000);
    assert_int_equal(h->count, 1000);
    assert_int_equal(h->max, 1000000);
    assert_in_range(hist_quantile(h, 0.5), 500000, 516000);
    assert_in_range(hist_quantile(h, 0.99), 990000, 1000000);
    assert_int_equal(hist_quantile(h, 1), 1000000);
    free(h);
}

/* ---- swarm ---- */

static void addresses(void **state)
{
    struct options o = {.devices = 1000, .first = 70000, .seed = 1, .prefix = "fleet-"};
    struct swarm s;
    uint32_t device;

    (void)state;
    assert_int_equal(swarm_open(&o, &s), ERR_OK);
    assert_int_equal(swarm_address(&s, 0), 0x7f010000u + 70000);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(swarm_find(&s, swarm_address(&s, i), &device));
        assert_int_equal(device, i);
    }
    assert_false(swarm_find(&s, swarm_address(&s, 1000), &device));
    assert_false(swarm_find(&s, swarm_address(&s, 0) - 1, &device));
    assert_false(swarm_find(&s, 0x7f000001, &device));
    swarm_close(&s);

    o.first = 0x7ffffffe - 0x7f010000 + 1 - 1000; /* the last ones */
    assert_int_equal(swarm_open(&o, &s), ERR_OK);
    assert_int_equal(swarm_address(&s, 999), 0x7ffffffe);
    swarm_close(&s);
    o.first++;
    assert_int_equal(swarm_open(&o, &s), ERR_LIMIT);
}

static void state_stays(void **state)
{
    char name[] = "/tmp/test-fleet-XXXXXX";
    struct options o = {.devices = 10, .seed = 1, .prefix = "fleet-", .state = name};
    struct swarm s;
    int fd = mkstemp(name);
    uint16_t mid;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(swarm_open(&o, &s), ERR_OK);
    assert_int_equal(swarm_registered(&s), 0);
    s.devices[7].id_len = 2;
    memcpy(s.devices[7].id, "ab", 2);
    s.devices[7].slot = 3;
    mid = ++s.devices[7].mid;
    swarm_close(&s);

    assert_int_equal(swarm_open(&o, &s), ERR_OK);
    assert_int_equal(swarm_registered(&s), 1);
    assert_memory_equal(s.devices[7].id, "ab", 2);
    assert_int_equal(s.devices[7].mid, mid);
    assert_int_equal(s.devices[7].slot, SWARM_NO_SLOT); /* an exchange ends with its run */
    swarm_close(&s);

    o.devices = 11;
    assert_int_equal(swarm_open(&o, &s), ERR_INVALID);
    o.devices = 10;
    o.prefix = "other-";
    assert_int_equal(swarm_open(&o, &s), ERR_INVALID);
    unlink(name);
}

/* ---- message ---- */

static struct messages messages_of(const char *prefix, uint64_t first)
{
    struct options o = {
        .devices = 10, .first = first, .lifetime_s = 300, .prefix = prefix, .version = "1.2"};
    struct messages m;

    assert_int_equal(message_init(&o, &m), ERR_OK);
    return m;
}

static struct pdu parsed(const uint8_t *bytes, size_t n)
{
    struct pdu p;
    bool header;

    assert_int_equal(pdu_parse(view_of(bytes, n), &p, &header), ERR_OK);
    assert_int_equal(p.type, PDU_CON);
    return p;
}

/* All options as "number=value" words. */
static void options_text(const struct pdu *p, char *out, size_t cap)
{
    struct pdu_iter it = pdu_iter_init(p);
    struct view value;
    uint32_t number;
    size_t n = 0;

    out[0] = '\0';
    while (pdu_iter_next(&it, &number, &value))
        n += (size_t)snprintf(out + n, cap - n, "%u=" VIEW_FMT " ", number, VIEW_ARG(value));
}

static void register_bytes(void **state)
{
    struct messages m = messages_of("fleet-", 42);
    uint8_t out[WIRE_DATAGRAM_MAX];
    char text[256];
    struct pdu p;

    (void)state;
    p = parsed(out, message_write(&m, MESSAGE_REGISTER, NULL, 12345, 0, 0xbeef, 0x01020304, out));
    assert_int_equal(p.code, PDU_POST);
    assert_int_equal(p.mid, 0xbeef);
    assert_memory_equal(p.token, "\x01\x02\x03\x04", 4);
    options_text(&p, text, sizeof(text));
    assert_string_equal(text, "11=rd 12=( 15=ep=fleet-00012387 15=lt=300 15=lwm2m=1.2 15=b=U ");
    assert_true(view_eq_str(p.payload, "</1/0>,</3/0>"));
}

/* With a profile ID the list stays at home, until the server wants it. */
static void profile_bytes(void **state)
{
    struct options o = {.lifetime_s = 300, .prefix = "f-", .version = "1.2", .pid = "6:27354b9a"};
    uint8_t out[WIRE_DATAGRAM_MAX];
    struct messages m;
    char text[256];
    struct pdu p;

    (void)state;
    assert_int_equal(message_init(&o, &m), ERR_OK);
    p = parsed(out, message_write(&m, MESSAGE_REGISTER, NULL, 7, 0, 1, 2, out));
    options_text(&p, text, sizeof(text));
    assert_string_equal(text, "11=rd 15=ep=f-00000007 15=lt=300 15=lwm2m=1.2 15=b=U "
                              "15=pid=6:27354b9a ");
    assert_int_equal(p.payload.n, 0);
    p = parsed(out, message_write(&m, MESSAGE_TELL, NULL, 7, 0, 1, 2, out));
    options_text(&p, text, sizeof(text));
    assert_string_equal(text, "11=rd 12=( 15=ep=f-00000007 15=lt=300 15=lwm2m=1.2 15=b=U "
                              "15=pid=6:27354b9a ");
    assert_true(view_eq_str(p.payload, object_links));
}

static void send_bytes(void **state)
{
    static const struct path root = {.depth = 0};
    struct messages m = {.wall_offset_ms = INT64_C(1700000000000), .send_ms = 60000};
    struct content_env env = {.use = CONTENT_SEND, .now_ms = 1};
    uint8_t out[WIRE_DATAGRAM_MAX], again[WIRE_DATAGRAM_MAX];
    struct batch *values = batch_new();
    size_t n = message_send(&m, 3, 5250, 1, 2, out);
    struct pdu p = parsed(out, n);

    (void)state;
    assert_int_equal(content_decode(FORMAT_SENML_JSON, &env, p.payload, &root, values), ERR_OK);
    assert_int_equal(batch_size(values), 2);
    assert_int_equal(batch_at(values, 0)->time_ms, INT64_C(1700000005250));
    assert_int_equal(batch_at(values, 1)->time_ms, INT64_C(1700000005250) - 31000);
    batch_free(values);
    assert_int_equal(message_send(&m, 3, 5250, 1, 2, again), n);
    assert_memory_equal(out, again, n);
}

static void update_bytes(void **state)
{
    static const char *const ids[] = {"5a3f", "0123456789ab", "0123456789abc", "0123456789abcdef",
                                      "0123456789abcdefghijklm"};
    struct messages m = messages_of("fleet-", 0);
    uint8_t out[WIRE_DATAGRAM_MAX];
    char text[256], want[256];

    (void)state;
    for (size_t i = 0; i < mem_count(ids); i++) {
        struct swarm_device dev = {.id_len = (uint8_t)strlen(ids[i])};
        struct pdu p;

        memcpy(dev.id, ids[i], dev.id_len);
        p = parsed(out, message_write(&m, MESSAGE_UPDATE, &dev, 1, 0, 1, 2, out));
        assert_int_equal(p.code, PDU_POST);
        assert_int_equal(p.payload.n, 0);
        options_text(&p, text, sizeof(text));
        snprintf(want, sizeof(want), "11=rd 11=%s ", ids[i]);
        assert_string_equal(text, want);

        p = parsed(out, message_write(&m, MESSAGE_UPDATE, &dev, 1, 4294967295, 1, 2, out));
        options_text(&p, text, sizeof(text));
        snprintf(want, sizeof(want), "11=rd 11=%s 15=lt=4294967295 ", ids[i]);
        assert_string_equal(text, want);
        p = parsed(out, message_write(&m, MESSAGE_UPDATE, &dev, 1, 60, 1, 2, out));
        options_text(&p, text, sizeof(text));
        snprintf(want, sizeof(want), "11=rd 11=%s 15=lt=60 ", ids[i]);
        assert_string_equal(text, want);

        p = parsed(out, message_write(&m, MESSAGE_DEREGISTER, &dev, 1, 60, 1, 2, out));
        assert_int_equal(p.code, PDU_DELETE);
    }
}

static void empty_bytes(void **state)
{
    uint8_t out[8];

    (void)state;
    assert_int_equal(message_empty(PDU_ACK, 0x1234, out), 4);
    assert_memory_equal(out, "\x60\x00\x12\x34", 4);
    assert_int_equal(message_empty(PDU_RST, 0x1234, out), 4);
    assert_memory_equal(out, "\x70\x00\x12\x34", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_narrow), cmocka_unit_test(quantiles),
        cmocka_unit_test(addresses),          cmocka_unit_test(state_stays),
        cmocka_unit_test(register_bytes),     cmocka_unit_test(update_bytes),
        cmocka_unit_test(profile_bytes),      cmocka_unit_test(send_bytes),
        cmocka_unit_test(empty_bytes),
    };

    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
