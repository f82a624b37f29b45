/* Addresses of ours, by number: src/lwm2m/locals.c. */
#include "domain_fixture.h"

#include <stdio.h>

static struct addr local(unsigned n)
{
    struct flow flow = fix_flow(n);

    return flow.peer;
}

static void test_numbers(void **state)
{
    struct fix *f = *state;
    struct addr a = local(1), b = local(2);
    uint16_t first = locals_number(f->d, &a), second = locals_number(f->d, &b);

    assert_int_not_equal(first, 0);
    assert_int_not_equal(second, 0);
    assert_int_not_equal(first, second);
    assert_int_equal(locals_number(f->d, &a), first);
    assert_true(addr_eq(locals_addr(f->d, first), &a));
    assert_true(addr_eq(locals_addr(f->d, second), &b));
    assert_true(addr_is_any(locals_addr(f->d, 0)));
}

/* More than there are numbers: those that have one keep it, the others are served all the same. */
static void test_no_number_left(void **state)
{
    struct fix *f = *state;
    struct addr first = local(1), last = local(UINT16_MAX), more = local(UINT16_MAX + 1);
    struct flow flow = fix_flow(1), back;
    struct device *dev;

    for (unsigned n = 1; n <= UINT16_MAX; n++) {
        struct addr a = local(n);

        assert_int_equal(locals_number(f->d, &a), n);
    }
    assert_int_equal(locals_number(f->d, &more), 0);
    assert_int_equal(locals_number(f->d, &first), 1);
    assert_int_equal(locals_number(f->d, &last), UINT16_MAX);
    dev = device_new(f->d);
    flow.local = more;
    device_set_flow(f->d, dev, &flow);
    assert_true(device_has_flow(f->d, dev, &flow));
    device_flow(f->d, dev, &back);
    assert_true(addr_eq(&back.peer, &flow.peer));
    assert_true(addr_is_any(&back.local));
    device_delete(f->d, dev);
}

/* Requests leave from the address that the device spoke to. */
static void test_requests_leave_from_it(void **state)
{
    struct fix *f = *state;
    struct flow flow = fix_flow(1);
    uint8_t out[256];
    struct pdu_writer w;
    struct view datagram;

    flow.local = local(77);
    flow.listener = 3;
    pdu_begin(&w, out, sizeof(out), PDU_CON, PDU_POST, 5, TEXT("t"));
    pdu_put_path(&w, PDU_URI_PATH, TEXT("/rd"));
    pdu_put_query(&w, PDU_URI_QUERY, TEXT("ep=dev1&lt=60&lwm2m=1.1"));
    pdu_put_payload(&w, TEXT("</3/0>"));
    assert_int_equal(pdu_finish(&w, &datagram), ERR_OK);
    engine_input(f->e, &flow, datagram, f->now);
    fix_commit(f, ERR_OK);
    assert_true(addr_eq(&fix_event(f, 0)->flow.local, &flow.local));
    fix_do(f, OP_READ, 1, "/3/0/9");
    assert_true(addr_eq(&fix_sent(f, 0)->flow.local, &flow.local));
    assert_int_equal(fix_sent(f, 0)->flow.listener, 3);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_numbers),
        ROW(test_no_number_left),
        ROW(test_requests_leave_from_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
