#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../contrib/fleet/serial.c"
#include "model/objects_data.h"

/* ---- handing in ---- */

static void expect_request(unsigned serial, const char *want)
{
    char out[512];
    size_t n = serial_request(out, sizeof(out), "dev-1", serial);

    assert_int_equal(n, strlen(want));
    assert_string_equal(out, want);
    assert_int_equal(serial_request(out, n, "dev-1", serial), 0);
}

static void is_handed_in(void **state)
{
    (void)state;
    expect_request(3, "PUT /v1/devices/dev-1/resources/3311/0/5851 HTTP/1.1\r\nHost: localhost\r\n"
                      "Prefer: respond-async\r\nContent-Length: 11\r\n"
                      "Content-Type: application/json\r\n\r\n{\"value\":3}");
    expect_request(1, "POST /v1/devices/dev-1/resources/3/0/12 HTTP/1.1\r\nHost: localhost\r\n"
                      "Prefer: respond-async\r\nContent-Length: 21\r\n"
                      "Content-Type: application/json\r\n\r\n{\"arguments\":\"0='1'\"}");
    expect_request(2, "GET /v1/devices/dev-1/resources/3303/2/5700?source=device HTTP/1.1\r\n"
                      "Host: localhost\r\nPrefer: respond-async\r\nContent-Length: 0\r\n\r\n");
}

/* ---- coming in ---- */

static int parse(uint8_t code, const char *path, const char *payload, enum serial_kind *ret_kind,
                 unsigned *ret_serial)
{
    struct registry *registry = registry_new();
    const struct content_env env = {.registry = registry};
    struct pdu p = {.code = code, .payload = view_str(payload)};
    struct request r = {.pdu = &p, .format = FORMAT_TEXT};

    unsigned line;
    int rc;

    rc = registry_load_tsv(registry, view_of(objects_data, objects_data_size), &line);
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(path_parse(view_str(path), &r.path), ERR_OK);
    rc = serial_parse(&env, &r, ret_kind, ret_serial);
    registry_unref(registry);
    return rc;
}

static void expect_serial(uint8_t code, const char *path, const char *payload,
                          enum serial_kind want_kind, unsigned want)
{
    enum serial_kind kind;
    unsigned serial;

    assert_int_equal(parse(code, path, payload, &kind, &serial), ERR_OK);
    assert_int_equal(kind, want_kind);
    assert_int_equal(serial, want);
}

static void expect_refusal(uint8_t code, const char *path, const char *payload, int rc)
{
    enum serial_kind kind;
    unsigned serial;

    assert_int_equal(parse(code, path, payload, &kind, &serial), rc);
}

static void is_read(void **state)
{
    (void)state;
    expect_serial(PDU_PUT, "/3311/0/5851", "12", SERIAL_WRITE, 12);
    expect_serial(PDU_POST, "/3/0/12", "0='63'", SERIAL_EXECUTE, 63);
    expect_serial(PDU_GET, "/3303/2/5700", "", SERIAL_READ, 2);
    expect_refusal(PDU_PUT, "/3311/0/5851", "64", ERR_INVALID);
    expect_refusal(PDU_PUT, "/3311/0/5850", "1", ERR_NOTFOUND);
    expect_refusal(PDU_POST, "/3/0/12", "", ERR_INVALID);
    expect_refusal(PDU_POST, "/3/0/12", "0='x'", ERR_MALFORMED);
    expect_refusal(PDU_POST, "/3/0/4", "0='1'", ERR_NOTFOUND);
    expect_refusal(PDU_GET, "/3303/64/5700", "", ERR_INVALID);
    expect_refusal(PDU_DELETE, "/3303/1", "", ERR_NOTFOUND);
}

static void tells_the_order(void **state)
{
    struct serial_track t = {0};

    (void)state;
    assert_int_equal(serial_track(&t, 0), SERIAL_IN_ORDER);
    assert_int_equal(serial_track(&t, 0), SERIAL_AGAIN);
    assert_int_equal(serial_track(&t, 1), SERIAL_IN_ORDER);
    assert_int_equal(serial_track(&t, 3), SERIAL_SKIPPED);
    assert_int_equal(serial_track(&t, 2), SERIAL_DISORDER);
    assert_int_equal(serial_track(&t, 2), SERIAL_AGAIN);
    assert_int_equal(serial_track(&t, 4), SERIAL_IN_ORDER);
    assert_int_equal(serial_track(&t, SERIAL_MAX - 1), SERIAL_SKIPPED);
    assert_int_equal(serial_track(&t, SERIAL_MAX - 1), SERIAL_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_handed_in),
        cmocka_unit_test(is_read),
        cmocka_unit_test(tells_the_order),
    };

    return cmocka_run_group_tests_name("fleet_serial", tests, NULL, NULL);
}
