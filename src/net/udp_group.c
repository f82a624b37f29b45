#include "net/udp_group.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The filter repeats addr_steer() in classic BPF: the four words of the source address in IPv6 form
 * are added, the sum is folded, and the remainder by the number of shards is the index of the
 * socket. Classic BPF needs no privilege; SKF_NET_OFF reaches back to the IP header.
 */
#define LOAD_NET(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_NET_OFF + (offset)))
#define ADD_NET(offset)                                                                            \
    BPF_STMT(BPF_MISC | BPF_TAX, 0), LOAD_NET(offset), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0)
#define FOLD_AND_RETURN(shards)                                                                    \
    BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16), BPF_STMT(BPF_MISC | BPF_TAX, 0), \
        BPF_STMT(BPF_LD | BPF_MEM, 0), BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),                     \
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (shards)), BPF_STMT(BPF_RET | BPF_A, 0)

#define IPV4_SOURCE 12
#define IPV6_SOURCE 8
#define IPV4_MAPPED 0xffff /* third word of ::ffff:a.b.c.d */

uint16_t udp_group_shard_of(const struct addr *peer, uint16_t shards)
{
    return (uint16_t)(addr_steer(peer) % shards);
}

static bool attach_filter(int fd, bool v4, uint16_t shards)
{
    struct sock_filter four[] = {LOAD_NET(IPV4_SOURCE),
                                 BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, IPV4_MAPPED),
                                 FOLD_AND_RETURN(shards)};
    struct sock_filter six[] = {LOAD_NET(IPV6_SOURCE), ADD_NET(IPV6_SOURCE + 4),
                                ADD_NET(IPV6_SOURCE + 8), ADD_NET(IPV6_SOURCE + 12),
                                FOLD_AND_RETURN(shards)};
    struct sock_fprog prog = {.len = (unsigned short)(v4 ? mem_count(four) : mem_count(six)),
                              .filter = v4 ? four : six};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) == 0;
}

static int rc_of_errno(int number)
{
    switch (number) {
    case EADDRINUSE:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_FORBIDDEN;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case EADDRNOTAVAIL:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static void set_buffers(int fd, const struct udp_group_config *cfg)
{
    /* Best effort: the force variants need CAP_NET_ADMIN, the plain ones are clipped by the host.
     */
    if (cfg->receive_buffer > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &cfg->receive_buffer,
                                              sizeof(cfg->receive_buffer)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &cfg->receive_buffer, sizeof(cfg->receive_buffer));
    if (cfg->send_buffer > 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &cfg->send_buffer, sizeof(cfg->send_buffer)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &cfg->send_buffer, sizeof(cfg->send_buffer));
}

static int open_socket(const struct udp_group_config *cfg, struct addr *address, int *ret_fd)
{
    const int on = 1;
    struct sockaddr_storage sa;
    bool v4 = addr_is_v4(address);
    socklen_t len = addr_to_sockaddr(address, false, &sa);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return rc_of_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (v4) {
        setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    } else {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
        setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    }
    set_buffers(fd, cfg);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0)
        goto fail;
    len = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        goto fail;
    rc = addr_from_sockaddr((struct sockaddr *)&sa, address);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERR_OK;
fail:
    rc = rc_of_errno(errno);
    close(fd);
    return rc;
}

/* SO_REUSEPORT lets any process of our user share the port, so a second server would silently take
 * half of the datagrams: try the port once without it. */
static int probe_port(const struct addr *address)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(address, false, &sa);
    const int on = 1;
    int fd = socket(addr_is_v4(address) ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = ERR_OK;

    if (fd < 0)
        return rc_of_errno(errno);
    if (!addr_is_v4(address))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&sa, len) < 0)
        rc = rc_of_errno(errno);
    close(fd);
    return rc;
}

static int open_listener(const struct udp_group_config *cfg, struct udp_group *g, size_t listener)
{
    struct addr *address = &g->address[listener];
    int rc = address->port == 0 ? ERR_OK : probe_port(address);

    /* The order of binding is the index the filter returns. */
    for (uint16_t s = 0; rc == ERR_OK && s < g->shards; s++)
        rc = open_socket(cfg, address, &g->fds[listener * g->shards + s]);
    return rc;
}

int udp_group_open(const struct udp_group_config *cfg, struct udp_group **ret_group,
                   size_t *ret_failed)
{
    struct udp_group *g = mem_new(sizeof(*g));
    size_t sockets = cfg->listen_count * cfg->shards;
    socklen_t len = sizeof(g->receive_buffer);
    int rc = ERR_NOMEM;

    if (cfg->listen_count > NET_LISTENERS_MAX || cfg->shards == 0) {
        mem_free(g);
        return ERR_LIMIT;
    }
    if (!g)
        return ERR_NOMEM;
    g->shards = cfg->shards;
    g->fds = mem_new(sockets * sizeof(*g->fds) + 1);
    if (!g->fds)
        goto fail;
    for (size_t i = 0; i < sockets; i++)
        g->fds[i] = -1;
    g->steered = cfg->steer;
    for (size_t l = 0; l < cfg->listen_count; l++) {
        g->address[l] = cfg->listen[l];
        g->listeners = l + 1;
        *ret_failed = l;
        rc = open_listener(cfg, g, l);
        if (rc < 0)
            goto fail;
        if (cfg->steer &&
            !attach_filter(g->fds[l * g->shards], addr_is_v4(&g->address[l]), g->shards))
            g->steered = false;
    }
    if (sockets > 0)
        getsockopt(g->fds[0], SOL_SOCKET, SO_RCVBUF, &g->receive_buffer, &len);
    *ret_group = g;
    return ERR_OK;
fail:
    udp_group_close(g);
    return rc;
}

void udp_group_close(struct udp_group *g)
{
    if (!g)
        return;
    for (size_t i = 0; g->fds && i < g->listeners * g->shards; i++) {
        if (g->fds[i] >= 0)
            close(g->fds[i]);
    }
    mem_free(g->fds);
    mem_free(g);
}

bool udp_group_steered(const struct udp_group *g)
{
    return g->steered;
}

int udp_group_receive_buffer(const struct udp_group *g)
{
    return g->receive_buffer;
}

const struct addr *udp_group_address(const struct udp_group *g, size_t listener)
{
    return &g->address[listener];
}

size_t udp_group_size(const struct udp_group *g)
{
    return g->listeners;
}
