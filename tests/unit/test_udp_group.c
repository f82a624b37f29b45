/* The sockets of all shards: src/net/udp_group.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/net/udp_group.c"

#include <poll.h>
#include <stdio.h>

#define SHARDS 3

static struct addr address(const char *text)
{
    struct addr a;

    assert_int_equal(addr_parse(view_str(text), &a), ERR_OK);
    return a;
}

static struct udp_group *open_group(const struct addr *listen, size_t count, uint16_t shards)
{
    struct udp_group_config cfg = {
        .listen = listen, .listen_count = count, .shards = shards, .steer = true};
    struct udp_group *g = NULL;
    size_t failed = 99;

    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_OK);
    return g;
}

/* A client socket with this source address. */
static int client(const char *source, const struct addr *to)
{
    struct addr from = address(source);
    struct sockaddr_storage sa;
    socklen_t n = addr_to_sockaddr(&from, false, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&sa, n) < 0) {
        close(fd);
        return -1;
    }
    n = addr_to_sockaddr(to, false, &sa);
    if (connect(fd, (struct sockaddr *)&sa, n) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The shard whose socket of this listener has got something; takes it. */
static int arrived(const struct udp_group *g, size_t listener)
{
    struct pollfd fds[SHARDS];
    char byte;

    for (size_t s = 0; s < g->shards; s++)
        fds[s] = (struct pollfd){.fd = g->fds[listener * g->shards + s], .events = POLLIN};
    if (poll(fds, g->shards, 2000) <= 0)
        return -1;
    for (size_t s = 0; s < g->shards; s++)
        if (fds[s].revents != 0 && recv(fds[s].fd, &byte, 1, MSG_DONTWAIT) == 1)
            return (int)s;
    return -1;
}

static void test_the_kernel_steers_as_we_do(void **state)
{
    struct addr listen = address("127.0.0.1:0");
    struct udp_group *g = open_group(&listen, 1, SHARDS);
    bool seen[SHARDS] = {false};

    (void)state;
    if (!udp_group_steered(g)) {
        udp_group_close(g);
        skip();
    }
    assert_int_not_equal(udp_group_address(g, 0)->port, 0);
    assert_int_equal(udp_group_size(g), 1);
    for (int i = 1; i < 60; i++) {
        char text[32];
        struct addr peer;
        int fd, shard;

        snprintf(text, sizeof(text), "127.0.%d.%d:0", i % 7, i);
        peer = address(text);
        fd = client(text, udp_group_address(g, 0));
        assert_true(fd >= 0);
        assert_int_equal(send(fd, "x", 1, 0), 1);
        shard = arrived(g, 0);
        assert_int_equal(shard, udp_group_shard_of(&peer, SHARDS));
        seen[shard] = true;
        close(fd);
    }
    for (int s = 0; s < SHARDS; s++)
        assert_true(seen[s]);
    udp_group_close(g);
}

static void test_ipv6_beside_ipv4(void **state)
{
    struct addr listen[2] = {address("127.0.0.1:0"), address("[::1]:0")};
    struct addr loopback = address("[::1]:0");
    struct udp_group_config cfg = {
        .listen = listen, .listen_count = 2, .shards = SHARDS, .steer = true};
    struct udp_group *g = NULL;
    size_t failed = 99;
    int fd, shard;

    (void)state;
    if (udp_group_open(&cfg, &g, &failed) < 0) {
        assert_int_equal(failed, 1); /* a host without IPv6 */
        skip();
    }
    fd = client("[::1]:0", udp_group_address(g, 1));
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    shard = arrived(g, 1);
    if (udp_group_steered(g))
        assert_int_equal(shard, udp_group_shard_of(&loopback, SHARDS));
    else
        assert_true(shard >= 0);
    close(fd);
    udp_group_close(g);
}

static void test_without_a_filter(void **state)
{
    struct addr listen = address("127.0.0.1:0");
    struct udp_group_config cfg = {.listen = &listen, .listen_count = 1, .shards = 2};
    struct udp_group *g;
    size_t failed;

    (void)state;
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_OK);
    assert_false(udp_group_steered(g));
    udp_group_close(g);
}

static void test_a_busy_port_is_named(void **state)
{
    struct addr first = address("127.0.0.1:0");
    struct udp_group *g = open_group(&first, 1, 1);
    struct addr listen[2] = {address("127.0.0.1:0"), *udp_group_address(g, 0)};
    struct udp_group_config cfg = {.listen = listen, .listen_count = 2, .shards = 2};
    struct udp_group *other = NULL;
    size_t failed = 99;

    (void)state;
    /* SO_REUSEPORT alone would let us in. */
    assert_int_equal(udp_group_open(&cfg, &other, &failed), ERR_EXISTS);
    assert_int_equal(failed, 1);
    assert_null(other);
    udp_group_close(g);
    assert_int_equal(udp_group_open(&cfg, &other, &failed), ERR_OK);
    udp_group_close(other);
}

static void test_an_address_of_another_host(void **state)
{
    struct addr listen = address("192.0.2.1:0");
    struct udp_group_config cfg = {.listen = &listen, .listen_count = 1, .shards = 1};
    struct udp_group *g = NULL;
    size_t failed = 99;

    (void)state;
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_INVALID);
    assert_int_equal(failed, 0);
    assert_null(g);
}

static void test_limits(void **state)
{
    struct addr listen[NET_LISTENERS_MAX + 1];
    struct udp_group_config cfg = {.listen = listen, .shards = 1};
    struct udp_group *g = NULL;
    size_t failed;

    (void)state;
    for (size_t i = 0; i < mem_count(listen); i++)
        listen[i] = address("127.0.0.1:0");
    cfg.listen_count = mem_count(listen);
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_LIMIT);
    cfg.listen_count = NET_LISTENERS_MAX;
    cfg.shards = 0;
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_LIMIT);
    cfg.shards = 1;
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_OK);
    assert_int_equal(udp_group_size(g), NET_LISTENERS_MAX);
    udp_group_close(g);
    cfg.listen_count = 0; /* a server that listens nowhere is the daemon's business */
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_OK);
    assert_int_equal(udp_group_size(g), 0);
    udp_group_close(g);
    udp_group_close(NULL);
}

static void test_buffers(void **state)
{
    struct addr listen = address("127.0.0.1:0");
    struct udp_group_config cfg = {.listen = &listen,
                                   .listen_count = 1,
                                   .shards = 1,
                                   .receive_buffer = 65536,
                                   .send_buffer = 65536};
    struct udp_group *g = NULL;
    size_t failed;

    (void)state;
    assert_int_equal(udp_group_open(&cfg, &g, &failed), ERR_OK);
    assert_true(udp_group_receive_buffer(g) >= 65536);
    udp_group_close(g);
}

/* Every shard is somebody's, and the same for everybody who asks. */
static void test_shards_are_spread(void **state)
{
    unsigned count[SHARDS] = {0};

    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct addr a = address("10.0.0.0:5683");
        uint16_t shard;

        a.ip[14] = (uint8_t)(i / 250);
        a.ip[15] = (uint8_t)(i % 250);
        shard = udp_group_shard_of(&a, SHARDS);
        assert_true(shard < SHARDS);
        count[shard]++;
        a.port = 1; /* a NAT that changes the port alone changes nothing */
        assert_int_equal(udp_group_shard_of(&a, SHARDS), shard);
        assert_int_equal(udp_group_shard_of(&a, 1), 0);
    }
    for (int s = 0; s < SHARDS; s++)
        assert_in_range(count[s], 800, 1200);
}

static void test_errors_by_number(void **state)
{
    (void)state;
    assert_int_equal(rc_of_errno(EADDRINUSE), ERR_EXISTS);
    assert_int_equal(rc_of_errno(EACCES), ERR_FORBIDDEN);
    assert_int_equal(rc_of_errno(EPERM), ERR_FORBIDDEN);
    assert_int_equal(rc_of_errno(EMFILE), ERR_LIMIT);
    assert_int_equal(rc_of_errno(EADDRNOTAVAIL), ERR_INVALID);
    assert_int_equal(rc_of_errno(EIO), ERR_IO);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_kernel_steers_as_we_do),
        cmocka_unit_test(test_ipv6_beside_ipv4),
        cmocka_unit_test(test_without_a_filter),
        cmocka_unit_test(test_a_busy_port_is_named),
        cmocka_unit_test(test_an_address_of_another_host),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_shards_are_spread),
        cmocka_unit_test(test_errors_by_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
