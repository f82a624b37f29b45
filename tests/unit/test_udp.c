/* The sockets of one shard on its loop: src/net/udp.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/net/udp.c"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEARD_MAX 300
#define RUNS_MAX 5000

struct fixture {
    uv_loop_t loop;
    struct udp_group *group;
    struct udp *udp;
    struct counters counters;
    struct flow flow; /* of the last datagram */
    size_t heard, bytes, bursts, lost;
    size_t announced, batches; /* datagrams of batches; those with more than one */
    uint8_t last[NET_DATAGRAM_MAX];
    bool echo;
};

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(view_str(text), &a), ERR_OK);
    return a;
}

/* All of a batch are announced before the first of it is handed up. */
static void on_batch(void *ctx, const struct flow *flows, const struct view *datagrams, size_t n)
{
    struct fixture *f = ctx;

    assert_true(n > 1);
    assert_true(f->heard >= f->announced);
    for (size_t i = 0; i < n; i++) {
        assert_true(addr_is_loopback(&flows[i].peer));
        assert_true(datagrams[i].n <= NET_DATAGRAM_MAX);
    }
    f->announced = f->heard + n;
    f->batches++;
}

static void on_datagram(void *ctx, const struct flow *flow, struct view bytes)
{
    struct fixture *f = ctx;

    f->flow = *flow;
    f->heard++;
    f->bytes = bytes.n;
    if (bytes.n > 0)
        memcpy(f->last, bytes.p, bytes.n);
    if (f->echo)
        udp_send(f->udp, flow, bytes);
}

static void on_unreachable(void *ctx, const struct addr *peer)
{
    (void)peer;
    ((struct fixture *)ctx)->lost++;
}

static void on_burst_end(void *ctx)
{
    struct fixture *f = ctx;

    f->bursts++;
    udp_flush(f->udp);
}

static const struct udp_callbacks callbacks = {.batch = on_batch,
                                               .datagram = on_datagram,
                                               .unreachable = on_unreachable,
                                               .burst_end = on_burst_end};

static int open_fixture(void **state, const char *const *listen, size_t count)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct addr addresses[2];
    struct udp_group_config cfg = {.listen = addresses, .listen_count = count, .shards = 1};
    size_t failed;

    for (size_t i = 0; i < count; i++)
        addresses[i] = address(listen[i]);
    if (uv_loop_init(&f->loop) < 0 || udp_group_open(&cfg, &f->group, &failed) < 0)
        return -1;
    *state = f;
    return udp_start(f->group, 0, &f->loop, &callbacks, f, &f->counters, &f->udp);
}

static int setup(void **state)
{
    static const char *const any[] = {"0.0.0.0:0", "127.0.0.9:0"};

    return open_fixture(state, any, 2);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc;

    udp_stop(f->udp);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&f->loop);
    udp_free(f->udp);
    udp_group_close(f->group);
    free(f);
    return rc;
}

static int client(const char *source)
{
    struct addr from = address(source);
    struct sockaddr_storage sa;
    socklen_t n = addr_to_sockaddr(&from, false, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static void send_to(int fd, const char *ip, uint16_t port, const void *bytes, size_t n)
{
    char text[40];
    struct addr to;
    struct sockaddr_storage sa;
    socklen_t len;

    snprintf(text, sizeof(text), "%s:%u", ip, port);
    to = address(text);
    len = addr_to_sockaddr(&to, false, &sa);
    assert_int_equal(sendto(fd, bytes, n, 0, (struct sockaddr *)&sa, len), n);
}

static void run_until(struct fixture *f, size_t heard)
{
    for (int i = 0; i < RUNS_MAX && f->heard < heard; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        if (f->heard < heard)
            usleep(1000);
    }
    assert_int_equal(f->heard, heard);
}

static uint16_t port_of(const struct fixture *f, size_t listener)
{
    return udp_group_address(f->group, listener)->port;
}

static void test_tells_both_addresses(void **state)
{
    struct fixture *f = *state;
    int fd = client("127.0.0.33:0");
    struct addr from = address("127.0.0.33:0"), to = address("127.0.0.7:0");

    send_to(fd, "127.0.0.7", port_of(f, 0), "hello", 5);
    run_until(f, 1);
    assert_int_equal(f->bytes, 5);
    assert_memory_equal(f->last, "hello", 5);
    assert_memory_equal(f->flow.peer.ip, from.ip, 16);
    assert_memory_equal(f->flow.local.ip, to.ip, 16);
    assert_int_equal(f->flow.local.port, port_of(f, 0));
    assert_int_equal(f->flow.listener, 0);
    assert_int_equal(f->flow.transport, TRANSPORT_UDP);
    assert_true(f->bursts >= 1);

    send_to(fd, "127.0.0.9", port_of(f, 1), "", 0);
    run_until(f, 2);
    assert_int_equal(f->flow.listener, 1);
    assert_int_equal(f->bytes, 0);
    close(fd);
}

static void test_answers_from_where_it_was_asked(void **state)
{
    struct fixture *f = *state;
    int fd = client("127.0.0.33:0");
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    struct addr from, asked = address("127.0.0.200:0");
    char bytes[16];

    f->echo = true;
    send_to(fd, "127.0.0.200", port_of(f, 0), "who", 3);
    run_until(f, 1);
    assert_int_equal(recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&sa, &n), 3);
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, &from), ERR_OK);
    assert_memory_equal(from.ip, asked.ip, 16);
    assert_int_equal(from.port, port_of(f, 0));
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_sent), 1);
    close(fd);
}

/* More than one batch, in and out, in order. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    int fd = client("127.0.0.33:0");

    f->echo = true;
    for (uint16_t i = 0; i < HEARD_MAX; i++) {
        send_to(fd, "127.0.0.1", port_of(f, 0), &i, sizeof(i));
        if (i % 100 != 99)
            continue;
        run_until(f, i + 1u);
        for (uint16_t expected = (uint16_t)(i - 99); expected <= i; expected++) {
            uint16_t got = UINT16_MAX;

            assert_int_equal(recv(fd, &got, sizeof(got), 0), sizeof(got));
            assert_int_equal(got, expected);
        }
    }
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_sent), HEARD_MAX);
    assert_true(f->bursts < HEARD_MAX);
    assert_true(f->batches > 0);
    close(fd);
}

static void test_too_long_is_counted(void **state)
{
    static uint8_t bytes[NET_DATAGRAM_MAX + 1];
    struct fixture *f = *state;
    int fd = client("127.0.0.33:0");

    send_to(fd, "127.0.0.1", port_of(f, 0), bytes, sizeof(bytes));
    send_to(fd, "127.0.0.1", port_of(f, 0), bytes, NET_DATAGRAM_MAX);
    run_until(f, 1);
    assert_int_equal(f->bytes, NET_DATAGRAM_MAX);
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_truncated), 1);
    close(fd);
}

static void test_what_cannot_be_sent_is_counted(void **state)
{
    static uint8_t bytes[NET_DATAGRAM_MAX + 1];
    struct fixture *f = *state;
    struct flow flow = {.peer = address("127.0.0.1:9"), .listener = 7};

    udp_send(f->udp, &flow, VIEW_LIT("x")); /* no such listener */
    flow.listener = 0;
    udp_send(f->udp, &flow, view_of(bytes, sizeof(bytes)));
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_send_failed), 2);
    /* From an address that is not ours; what is behind it leaves all the same. */
    flow.local = address("192.0.2.77:5683");
    udp_send(f->udp, &flow, VIEW_LIT("x"));
    flow.local = address("127.0.0.1:0");
    udp_send(f->udp, &flow, VIEW_LIT("x"));
    udp_flush(f->udp);
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_send_failed), 3);
    assert_int_equal(counter_get(&f->counters, COUNTER_datagrams_sent), 1);
}

static void test_a_peer_without_a_way(void **state)
{
    static const char *const loopback[] = {"[::1]:0"};
    struct flow flow = {.peer = address("[2001:db8::1]:5683")};
    struct fixture *f;

    if (open_fixture(state, loopback, 1) != 0)
        skip(); /* a host without IPv6 */
    f = *state;
    flow.local = *udp_group_address(f->group, 0);
    udp_send(f->udp, &flow, VIEW_LIT("x"));
    udp_flush(f->udp);
    /* Some hosts have a way for it. */
    assert_int_equal(f->lost, counter_get(&f->counters, COUNTER_datagrams_send_failed));
    assert_int_equal(f->lost + counter_get(&f->counters, COUNTER_datagrams_sent), 1);
    assert_int_equal(teardown(state), 0);
    assert_true(no_way_to_peer(ENETUNREACH) && no_way_to_peer(EHOSTUNREACH));
    assert_false(no_way_to_peer(EAGAIN));
}

static void test_ipv6(void **state)
{
    static const char *const loopback[] = {"[::1]:0"};
    struct fixture *f;
    struct addr to;
    struct sockaddr_storage sa;
    socklen_t n;
    char bytes[8];
    int fd;

    if (open_fixture(state, loopback, 1) != 0)
        skip();
    f = *state;
    f->echo = true;
    to = *udp_group_address(f->group, 0);
    n = addr_to_sockaddr(&to, false, &sa);
    fd = client("[::1]:0");
    assert_int_equal(sendto(fd, "six", 3, 0, (struct sockaddr *)&sa, n), 3);
    run_until(f, 1);
    assert_memory_equal(f->flow.local.ip, to.ip, 16);
    assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 3);
    close(fd);
    assert_int_equal(teardown(state), 0);
}

static void test_nothing_after_stop(void **state)
{
    struct fixture *f = *state;
    int fd = client("127.0.0.33:0");

    udp_stop(f->udp);
    send_to(fd, "127.0.0.1", port_of(f, 0), "x", 1);
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->heard, 0);
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tells_both_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_from_where_it_was_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_sent_is_counted, setup, teardown),
        cmocka_unit_test(test_a_peer_without_a_way),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test_setup_teardown(test_nothing_after_stop, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
