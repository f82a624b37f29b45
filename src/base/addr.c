#include "base/base.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */
static const uint8_t addr_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

_Static_assert(sizeof(struct addr) == 20, "an address has no padding, so that bytes compare it");

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool addr_is_v4(const struct addr *a)
{
    return memcmp(a->ip, addr_mapped, sizeof(addr_mapped)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
    if (addr_is_v4(a))
        return a->ip[12] == 127;
    return memcmp(a->ip, &in6addr_loopback, sizeof(a->ip)) == 0;
}

bool addr_is_any(const struct addr *a)
{
    static const uint8_t zero[16];

    if (addr_is_v4(a))
        return memcmp(a->ip + 12, zero, 4) == 0;
    return memcmp(a->ip, zero, sizeof(a->ip)) == 0;
}

/* fe80::/10 */
static bool is_link_local(const struct addr *a)
{
    return a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr)
{
    struct addr a = {0};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof(in));
        memcpy(a.ip, addr_mapped, sizeof(addr_mapped));
        memcpy(a.ip + 12, &in.sin_addr, 4);
        a.port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof(in6));
        memcpy(a.ip, &in6.sin6_addr, 16);
        a.port = ntohs(in6.sin6_port);
        if (is_link_local(&a)) {
            if (in6.sin6_scope_id > UINT16_MAX)
                return ERR_RANGE;
            a.scope = (uint16_t)in6.sin6_scope_id;
        }
    } else {
        return ERR_INVALID;
    }
    *ret_addr = a;
    return ERR_OK;
}

unsigned addr_to_sockaddr(const struct addr *a, bool as_v6, void *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(a->port),
        .sin6_scope_id = a->scope,
    };

    if (addr_is_v4(a) && !as_v6) {
        memcpy(&in.sin_addr, a->ip + 12, 4);
        memcpy(out, &in, sizeof(in));
        return sizeof(in);
    }
    memcpy(&in6.sin6_addr, a->ip, 16);
    memcpy(out, &in6, sizeof(in6));
    return sizeof(in6);
}

void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN];

    if (addr_is_v4(a)) {
        snprintf(out, ADDR_TEXT_MAX, "%u.%u.%u.%u:%u", a->ip[12], a->ip[13], a->ip[14], a->ip[15],
                 a->port);
        return;
    }
    inet_ntop(AF_INET6, a->ip, ip, sizeof(ip));
    if (a->scope)
        snprintf(out, ADDR_TEXT_MAX, "[%s%%%u]:%u", ip, a->scope, a->port);
    else
        snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, a->port);
}

/* "2001:db8::1" or "fe80::1%2", the part between the brackets. */
static int parse_v6(struct view v, struct addr *a)
{
    char text[INET6_ADDRSTRLEN];
    struct view ip = VIEW_NONE;
    uint64_t scope = 0;

    if (!view_split(&v, '%', &ip) || ip.n >= sizeof(text))
        return ERR_MALFORMED;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    if (inet_pton(AF_INET6, text, a->ip) != 1)
        return ERR_MALFORMED;
    if (v.p && (!is_link_local(a) || view_u64(v, UINT16_MAX, &scope) < 0))
        return ERR_MALFORMED;
    a->scope = (uint16_t)scope;
    return ERR_OK;
}

static int parse_v4(struct view v, struct addr *a)
{
    char text[INET_ADDRSTRLEN];

    if (v.n >= sizeof(text))
        return ERR_MALFORMED;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    memcpy(a->ip, addr_mapped, sizeof(addr_mapped));
    return inet_pton(AF_INET, text, a->ip + 12) == 1 ? ERR_OK : ERR_MALFORMED;
}

int addr_parse(struct view v, struct addr *ret_addr)
{
    struct addr a = {0};
    const uint8_t *colon;
    struct view host, port;
    uint64_t number;
    int rc;

    if (!v.p)
        return ERR_MALFORMED;
    colon = memrchr(v.p, ':', v.n);
    /* inet_pton would stop at a NUL and take what is before it. */
    if (!colon || memchr(v.p, 0, v.n))
        return ERR_MALFORMED;
    host = view_of(v.p, (size_t)(colon - v.p));
    port = view_sub(v, host.n + 1, v.n);
    if (view_u64(port, UINT16_MAX, &number) < 0)
        return ERR_MALFORMED;
    a.port = (uint16_t)number;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        rc = parse_v6(view_sub(host, 1, host.n - 2), &a);
    else
        rc = parse_v4(host, &a);
    if (rc < 0)
        return rc;
    *ret_addr = a;
    return ERR_OK;
}

uint32_t addr_steer(const struct addr *a)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof(a->ip); i += 4) {
        uint32_t word;

        memcpy(&word, a->ip + i, sizeof(word));
        sum += be32toh(word);
    }
    return sum ^ sum >> 16;
}

uint64_t addr_hash(const struct hash_key *key, const struct addr *a)
{
    return hash_bytes(key, view_of(a, sizeof(*a)));
}
