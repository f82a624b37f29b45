#include "net/udp_group.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define BATCH 64
#define BURST_MAX 16 /* batches read before the loop gets its turn */
#define CONTROL_MAX (CMSG_SPACE(sizeof(struct in6_pktinfo)))

struct slot {
    struct sockaddr_storage name;
    struct iovec iov;
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
    uint8_t bytes[NET_DATAGRAM_MAX];
};

/* One socket of the shard. */
struct sock {
    struct udp *udp;
    uv_poll_t poll;
    int fd;
    uint8_t listener;
    bool v4;
    uint16_t port;
    unsigned queued;
    struct mmsghdr out[BATCH];
    struct addr out_peer[BATCH];
    struct slot out_slot[BATCH];
};

struct udp {
    struct udp_callbacks cb;
    void *ctx;
    struct counters *counters;
    size_t count;
    struct mmsghdr in[BATCH];
    struct slot in_slot[BATCH];
    struct flow in_flow[BATCH];
    struct view in_bytes[BATCH];
    struct sock *socks[NET_LISTENERS_MAX];
};

/* ---- receive ---- */

static void local_address(const struct msghdr *h, const struct sock *s, struct addr *ret)
{
    *ret = (struct addr){.port = s->port};
    for (const struct cmsghdr *c = CMSG_FIRSTHDR(h); c;
         c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, (struct cmsghdr *)(uintptr_t)c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            ret->ip[10] = ret->ip[11] = 0xff;
            memcpy(ret->ip + 12, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            memcpy(ret->ip, &info.ipi6_addr, 16);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                ret->scope = (uint16_t)info.ipi6_ifindex;
        }
    }
}

static void prepare_receive(struct udp *u)
{
    for (size_t i = 0; i < BATCH; i++) {
        struct slot *slot = &u->in_slot[i];

        slot->iov = (struct iovec){.iov_base = slot->bytes, .iov_len = sizeof(slot->bytes)};
        u->in[i].msg_hdr = (struct msghdr){.msg_name = &slot->name,
                                           .msg_namelen = sizeof(slot->name),
                                           .msg_iov = &slot->iov,
                                           .msg_iovlen = 1,
                                           .msg_control = slot->control,
                                           .msg_controllen = sizeof(slot->control)};
    }
}

/* False: not worth handing up. */
static bool take(const struct sock *s, const struct mmsghdr *m, struct flow *ret_flow,
                 struct view *ret_bytes)
{
    struct udp *u = s->udp;
    const struct slot *slot = &u->in_slot[m - u->in];

    if (m->msg_hdr.msg_flags & MSG_TRUNC) {
        counter_add(u->counters, COUNTER_datagrams_truncated, 1);
        return false;
    }
    *ret_flow = (struct flow){.transport = TRANSPORT_UDP, .listener = s->listener};
    if (addr_from_sockaddr((const struct sockaddr *)&slot->name, &ret_flow->peer) < 0)
        return false;
    local_address(&m->msg_hdr, s, &ret_flow->local);
    *ret_bytes = view_of(slot->bytes, m->msg_len);
    return true;
}

static void deliver(struct sock *s, size_t received)
{
    struct udp *u = s->udp;
    size_t n = 0;

    for (size_t i = 0; i < received; i++)
        n += take(s, &u->in[i], &u->in_flow[n], &u->in_bytes[n]);
    if (u->cb.batch && n > 1)
        u->cb.batch(u->ctx, u->in_flow, u->in_bytes, n);
    for (size_t i = 0; i < n; i++)
        u->cb.datagram(u->ctx, &u->in_flow[i], u->in_bytes[i]);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct sock *s = handle->data;
    struct udp *u = s->udp;

    (void)status;
    (void)events;
    for (int burst = 0; burst < BURST_MAX; burst++) {
        int n;

        prepare_receive(u);
        n = recvmmsg(s->fd, u->in, BATCH, MSG_DONTWAIT, NULL);
        deliver(s, n > 0 ? (size_t)n : 0);
        if (n < BATCH)
            break;
    }
    u->cb.burst_end(u->ctx);
}

/* ---- send ---- */

static void set_source(struct msghdr *h, struct slot *slot, const struct sock *s,
                       const struct addr *local)
{
    struct cmsghdr *c;

    h->msg_control = NULL;
    h->msg_controllen = 0;
    if (addr_is_any(local))
        return;
    memset(slot->control, 0, sizeof(slot->control));
    h->msg_control = slot->control;
    h->msg_controllen = CONTROL_MAX; /* CMSG_FIRSTHDR checks it */
    c = CMSG_FIRSTHDR(h);
    if (s->v4) {
        struct in_pktinfo info = {0};

        memcpy(&info.ipi_spec_dst, local->ip + 12, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        h->msg_controllen = CMSG_SPACE(sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};

        memcpy(&info.ipi6_addr, local->ip, 16);
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        h->msg_controllen = CMSG_SPACE(sizeof(info));
    }
}

static bool no_way_to_peer(int number)
{
    return number == ENETUNREACH || number == EHOSTUNREACH || number == EADDRNOTAVAIL;
}

static void flush_sock(struct sock *s)
{
    struct udp *u = s->udp;
    struct addr lost[BATCH];
    unsigned done = 0, lost_count = 0;

    while (done < s->queued) {
        int n = sendmmsg(s->fd, s->out + done, s->queued - done, MSG_DONTWAIT);

        if (n > 0) {
            done += (unsigned)n;
            counter_add(u->counters, COUNTER_datagrams_sent, (uint64_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        /* The first of the rest was refused. CoAP sends it again; a full buffer must not block a
         * shard. */
        counter_add(u->counters, COUNTER_datagrams_send_failed, 1);
        if (no_way_to_peer(errno))
            lost[lost_count++] = s->out_peer[done];
        done++;
    }
    s->queued = 0;
    for (unsigned i = 0; i < lost_count; i++)
        u->cb.unreachable(u->ctx, &lost[i]);
}

void udp_send(struct udp *u, const struct flow *flow, struct view bytes)
{
    struct sock *s;
    struct slot *slot;
    struct msghdr *h;

    if (flow->listener >= u->count || bytes.n > NET_DATAGRAM_MAX) {
        counter_add(u->counters, COUNTER_datagrams_send_failed, 1);
        return;
    }
    s = u->socks[flow->listener];
    if (s->queued == BATCH)
        flush_sock(s);
    slot = &s->out_slot[s->queued];
    h = &s->out[s->queued].msg_hdr;
    memcpy(slot->bytes, bytes.p, bytes.n);
    slot->iov = (struct iovec){.iov_base = slot->bytes, .iov_len = bytes.n};
    *h = (struct msghdr){.msg_name = &slot->name,
                         .msg_namelen = addr_to_sockaddr(&flow->peer, false, &slot->name),
                         .msg_iov = &slot->iov,
                         .msg_iovlen = 1};
    set_source(h, slot, s, &flow->local);
    s->out_peer[s->queued++] = flow->peer;
}

void udp_flush(struct udp *u)
{
    for (size_t i = 0; i < u->count; i++)
        flush_sock(u->socks[i]);
}

/* ---- life ---- */

static int start_sock(struct udp *u, struct udp_group *g, uint16_t shard, size_t listener,
                      uv_loop_t *loop)
{
    struct sock *s = mem_new(sizeof(*s));

    if (!s)
        return ERR_NOMEM;
    s->udp = u;
    s->fd = g->fds[listener * g->shards + shard];
    s->listener = (uint8_t)listener;
    s->v4 = addr_is_v4(&g->address[listener]);
    s->port = g->address[listener].port;
    s->poll.data = s;
    if (uv_poll_init(loop, &s->poll, s->fd) < 0) {
        mem_free(s);
        return ERR_IO;
    }
    u->socks[u->count++] = s;
    return uv_poll_start(&s->poll, UV_READABLE, on_readable) < 0 ? ERR_IO : ERR_OK;
}

int udp_start(struct udp_group *g, uint16_t shard, uv_loop_t *loop, const struct udp_callbacks *cb,
              void *ctx, struct counters *counters, struct udp **ret_udp)
{
    struct udp *u = mem_new(sizeof(*u));
    int rc = ERR_OK;

    *ret_udp = u;
    if (!u)
        return ERR_NOMEM;
    u->cb = *cb;
    u->ctx = ctx;
    u->counters = counters;
    for (size_t l = 0; rc == ERR_OK && l < g->listeners; l++)
        rc = start_sock(u, g, shard, l, loop);
    if (rc < 0)
        udp_stop(u);
    return rc;
}

void udp_stop(struct udp *u)
{
    for (size_t i = 0; i < u->count; i++) {
        uv_handle_t *handle = (uv_handle_t *)&u->socks[i]->poll;

        if (!uv_is_closing(handle))
            uv_close(handle, NULL);
    }
}

void udp_free(struct udp *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->count; i++)
        mem_free(u->socks[i]);
    mem_free(u);
}
