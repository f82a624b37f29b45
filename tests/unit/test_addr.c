#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"

static struct addr parsed(const char *text)
{
    struct addr a;

    memset(&a, 0xee, sizeof(a));
    assert_int_equal(addr_parse(view_str(text), &a), ERR_OK);
    return a;
}

static void test_parse_and_format(void **state)
{
    static const struct {
        const char *in;
        const char *out;
        bool v4, loopback, any;
    } rows[] = {
        {"192.0.2.1:5683", "192.0.2.1:5683", true, false, false},
        {"127.0.0.1:0", "127.0.0.1:0", true, true, false},
        {"127.255.3.4:65535", "127.255.3.4:65535", true, true, false},
        {"0.0.0.0:5683", "0.0.0.0:5683", true, false, true},
        {"[2001:db8::1]:5683", "[2001:db8::1]:5683", false, false, false},
        {"[2001:DB8:0:0:0:0:0:1]:5683", "[2001:db8::1]:5683", false, false, false},
        {"[::]:5683", "[::]:5683", false, false, true},
        {"[::1]:5683", "[::1]:5683", false, true, false},
        {"[::2]:5683", "[::2]:5683", false, false, false},
        {"[::ffff:192.0.2.1]:5683", "192.0.2.1:5683", true, false, false},
        {"[::ffff:0.0.0.0]:1", "0.0.0.0:1", true, false, true},
        {"[fe80::1%7]:5683", "[fe80::1%7]:5683", false, false, false},
        {"[fe80::1]:5683", "[fe80::1]:5683", false, false, false},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct addr a = parsed(rows[i].in);
        char text[ADDR_TEXT_MAX];

        addr_format(&a, text);
        assert_string_equal(text, rows[i].out);
        assert_int_equal(addr_is_v4(&a), rows[i].v4);
        assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
        assert_int_equal(addr_is_any(&a), rows[i].any);
    }
}

static void test_parse_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        ":5683",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1: 1",
        "192.0.2:1",
        "192.0.2.256:1",
        "192.0.2.1.1:1",
        "host:5683",
        "2001:db8::1:5683",
        "[2001:db8::1]",
        "[2001:db8::1]:",
        "[2001:db8::1:5683",
        "[]:1",
        "[:1",
        "]:1",
        "[2001:db8::1%1]:1",
        "[fe80::1%]:1",
        "[fe80::1%eth0]:1",
        "[fe80::1%65536]:1",
        "[192.0.2.1]:1",
        "[2001:db8::g]:1",
        "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2550]:1",
        "0000000000000000000192.0.2.1:1",
    };
    struct addr a, before;

    (void)state;
    memset(&a, 0xee, sizeof(a));
    before = a;
    for (size_t i = 0; i < mem_count(texts); i++)
        assert_int_equal(addr_parse(view_str(texts[i]), &a), ERR_MALFORMED);
    assert_int_equal(addr_parse(VIEW_LIT("192.0.2.1\0:1"), &a), ERR_MALFORMED);
    assert_int_equal(addr_parse(VIEW_LIT("[::1\0]:1"), &a), ERR_MALFORMED);
    assert_int_equal(addr_parse(VIEW_NONE, &a), ERR_MALFORMED);
    assert_memory_equal(&a, &before, sizeof(a));
}

static void test_longest_text_fits(void **state)
{
    struct addr a = parsed("[fe80:1111:2222:3333:4444:5555:6666:7777%65535]:65535");
    char text[ADDR_TEXT_MAX];

    (void)state;
    addr_format(&a, text);
    assert_string_equal(text, "[fe80:1111:2222:3333:4444:5555:6666:7777%65535]:65535");
}

static void test_sockaddr(void **state)
{
    static const char *const texts[] = {
        "192.0.2.1:5683", "[2001:db8::1]:5683", "[fe80::1%7]:1", "[::]:0", "0.0.0.0:9",
    };

    (void)state;
    for (size_t i = 0; i < mem_count(texts); i++) {
        struct addr a = parsed(texts[i]);

        for (int as_v6 = 0; as_v6 < 2; as_v6++) {
            struct sockaddr_storage ss = {0};
            unsigned n = addr_to_sockaddr(&a, as_v6, &ss);
            bool in = addr_is_v4(&a) && !as_v6;
            struct addr back;

            assert_int_equal(ss.ss_family, in ? AF_INET : AF_INET6);
            assert_int_equal(n, in ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
            assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, &back), ERR_OK);
            assert_true(addr_eq(&a, &back));
        }
    }
}

static void test_sockaddr_fields(void **state)
{
    struct addr a = parsed("192.0.2.1:5683");
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};

    (void)state;
    addr_to_sockaddr(&a, false, &in);
    assert_int_equal(ntohs(in.sin_port), 5683);
    assert_int_equal(ntohl(in.sin_addr.s_addr), 0xc0000201);
    a = parsed("[fe80::1%7]:1");
    addr_to_sockaddr(&a, false, &in6);
    assert_int_equal(in6.sin6_scope_id, 7);
    in6.sin6_scope_id = 70000;
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, &a), ERR_RANGE);
    /* A scope means something for link-local addresses only. */
    a = parsed("[2001:db8::1]:1");
    addr_to_sockaddr(&a, false, &in6);
    in6.sin6_scope_id = 3;
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, &a), ERR_OK);
    assert_int_equal(a.scope, 0);
    assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, &a), ERR_INVALID);
}

static void test_eq(void **state)
{
    struct addr a = parsed("[fe80::1%7]:1");

    (void)state;
    assert_true(addr_eq(&a, &(struct addr){.ip = {0xfe, 0x80, [15] = 1}, .port = 1, .scope = 7}));
    assert_false(addr_eq(&a, &(struct addr){.ip = {0xfe, 0x80, [15] = 1}, .port = 1, .scope = 8}));
    assert_false(addr_eq(&a, &(struct addr){.ip = {0xfe, 0x80, [15] = 1}, .port = 2, .scope = 7}));
    assert_false(addr_eq(&a, &(struct addr){.ip = {0xfe, 0x80, [15] = 2}, .port = 1, .scope = 7}));
}

/* As a BPF program works it out from the headers: 32-bit words in network order. */
static void test_steer(void **state)
{
    struct addr v4 = parsed("192.0.2.1:5683");
    struct addr other_port = parsed("192.0.2.1:1");
    struct addr v6 = parsed("[2001:db8:ffff:fffe:8000::1234:5678]:5683");
    uint32_t sum = 0xffffu + 0xc0000201u;

    (void)state;
    assert_int_equal(addr_steer(&v4), sum ^ sum >> 16);
    assert_int_equal(addr_steer(&v4), addr_steer(&other_port));
    sum = 0x20010db8u + 0xfffffffeu + 0x80000000u + 0x12345678u;
    assert_int_equal(addr_steer(&v6), sum ^ sum >> 16);
}

static void test_hash(void **state)
{
    const struct hash_key key = {1, 2};
    struct addr a = parsed("192.0.2.1:5683");
    struct addr same = parsed("[::ffff:192.0.2.1]:5683");
    struct addr port = parsed("192.0.2.1:5684");
    struct addr ip = parsed("192.0.2.2:5683");

    (void)state;
    assert_int_equal(addr_hash(&key, &a), addr_hash(&key, &same));
    assert_true(addr_hash(&key, &a) != addr_hash(&key, &port));
    assert_true(addr_hash(&key, &a) != addr_hash(&key, &ip));
    assert_true(addr_hash(&key, &a) != addr_hash(&(struct hash_key){1, 3}, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format),
        cmocka_unit_test(test_parse_refused),
        cmocka_unit_test(test_longest_text_fits),
        cmocka_unit_test(test_sockaddr),
        cmocka_unit_test(test_sockaddr_fields),
        cmocka_unit_test(test_eq),
        cmocka_unit_test(test_steer),
        cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
