#include "fleet.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define BUFFER_BYTES (8 * 1024 * 1024)
#define CONTROL_MAX CMSG_SPACE(sizeof(struct in_pktinfo))
#define NS_PER_S 1000000000u

struct slot {
    struct iovec iov;
    struct in_addr *source; /* inside control */
    _Alignas(struct cmsghdr) uint8_t control[CONTROL_MAX];
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

struct wire {
    int fd;
    unsigned queued;
    struct sockaddr_in server;
    struct mmsghdr out[BATCH];
    struct mmsghdr in[BATCH];
    struct slot out_slots[BATCH];
    struct slot in_slots[BATCH];
};

/* Everything but the bytes, their number and the source stays the same for ever. */
static void prepare_out(struct wire *w)
{
    for (size_t i = 0; i < BATCH; i++) {
        struct slot *slot = &w->out_slots[i];
        struct msghdr *h = &w->out[i].msg_hdr;
        struct cmsghdr *c;

        slot->iov.iov_base = slot->bytes;
        *h = (struct msghdr){.msg_name = &w->server,
                             .msg_namelen = sizeof(w->server),
                             .msg_iov = &slot->iov,
                             .msg_iovlen = 1,
                             .msg_control = slot->control,
                             .msg_controllen = sizeof(slot->control)};
        c = CMSG_FIRSTHDR(h);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
        slot->source = &((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_spec_dst;
    }
}

static int open_socket(struct wire *w, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1, bytes = BUFFER_BYTES;

    w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return ERR_IO;
    setsockopt(w->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    if (setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
        setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (setsockopt(w->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
        setsockopt(w->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    return bind(w->fd, (struct sockaddr *)&any, sizeof(any)) < 0 ? ERR_EXISTS : ERR_OK;
}

int wire_open(const struct options *o, struct wire **ret_wire)
{
    struct wire *w;
    int rc;

    if (!addr_is_v4(&o->server))
        return ERR_INVALID;
    w = mem_new(sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    addr_to_sockaddr(&o->server, false, &w->server);
    rc = open_socket(w, (uint16_t)o->port);
    if (rc < 0) {
        wire_close(w);
        return rc;
    }
    prepare_out(w);
    prctl(PR_SET_TIMERSLACK, 1); /* an offered rate needs sleeps shorter than the default slack */
    *ret_wire = w;
    return ERR_OK;
}

void wire_close(struct wire *w)
{
    if (w && w->fd >= 0)
        close(w->fd);
    mem_free(w);
}

uint8_t *wire_reserve(struct wire *w)
{
    if (w->queued == BATCH)
        wire_flush(w);
    return w->out_slots[w->queued].bytes;
}

void wire_commit(struct wire *w, uint32_t source, size_t n)
{
    struct slot *slot = &w->out_slots[w->queued++];

    slot->source->s_addr = htonl(source);
    slot->iov.iov_len = n;
}

/* What a full buffer refuses is waited for, so that only the network loses datagrams. */
void wire_flush(struct wire *w)
{
    unsigned done = 0;

    while (done < w->queued) {
        int n = sendmmsg(w->fd, w->out + done, w->queued - done, 0);

        if (n > 0) {
            done += (unsigned)n;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            struct pollfd p = {.fd = w->fd, .events = POLLOUT};

            if (poll(&p, 1, 1000) < 0 && main_stopped)
                break;
        } else if (errno != EINTR) {
            done++;
        }
    }
    w->queued = 0;
}

static int receive_batch(struct wire *w)
{
    for (size_t i = 0; i < BATCH; i++) {
        struct slot *slot = &w->in_slots[i];

        slot->iov = (struct iovec){.iov_base = slot->bytes, .iov_len = sizeof(slot->bytes)};
        w->in[i].msg_hdr = (struct msghdr){.msg_iov = &slot->iov,
                                           .msg_iovlen = 1,
                                           .msg_control = slot->control,
                                           .msg_controllen = sizeof(slot->control)};
    }
    return recvmmsg(w->fd, w->in, BATCH, 0, NULL);
}

static bool destination(struct msghdr *h, uint32_t *ret_address)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    struct in_pktinfo info;

    if (!c || c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO ||
        (h->msg_flags & MSG_TRUNC) != 0)
        return false;
    memcpy(&info, CMSG_DATA(c), sizeof(info));
    *ret_address = ntohl(info.ipi_addr.s_addr);
    return true;
}

unsigned wire_receive(struct wire *w, uint64_t wait_ns, wire_fn each, void *ctx)
{
    int n = receive_batch(w);

    if (n <= 0 && wait_ns > 0) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN};
        struct timespec ts = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                              .tv_nsec = (long)(wait_ns % NS_PER_S)};

        if (ppoll(&p, 1, &ts, NULL) > 0)
            n = receive_batch(w);
    }
    for (int i = 0; i < n; i++) {
        uint32_t address;

        if (destination(&w->in[i].msg_hdr, &address))
            each(ctx, address, view_of(w->in_slots[i].bytes, w->in[i].msg_len));
    }
    return n > 0 ? (unsigned)n : 0;
}
