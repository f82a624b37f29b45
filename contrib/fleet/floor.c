#include "fleet.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The floor: the cheapest answerer there can be. Every datagram is answered with a piggybacked 2.04
 * that copies message id and token; nothing is parsed, remembered or looked up.
 */

#define BATCH 64
#define BUFFER_BYTES (8 * 1024 * 1024)

struct echo {
    int fd;
    uint64_t answered;
    struct mmsghdr messages[BATCH];
    struct iovec iov[BATCH];
    struct sockaddr_in peers[BATCH];
    uint8_t bytes[BATCH][WIRE_DATAGRAM_MAX];
};

/* Turns a request into its answer, in place; returns its length. */
static size_t answer(uint8_t *bytes, size_t n)
{
    size_t token_len = bytes[0] & 0x0fu;

    if (n < PDU_HEADER_LEN + token_len)
        return 0;
    bytes[0] = (uint8_t)(0x40 | PDU_ACK << 4 | token_len);
    bytes[1] = PDU_CHANGED;
    return PDU_HEADER_LEN + token_len;
}

static void serve_batch(struct echo *e)
{
    unsigned done = 0, n;
    int received;

    for (size_t i = 0; i < BATCH; i++) {
        e->iov[i] = (struct iovec){.iov_base = e->bytes[i], .iov_len = sizeof(e->bytes[i])};
        e->messages[i].msg_hdr = (struct msghdr){.msg_name = &e->peers[i],
                                                 .msg_namelen = sizeof(e->peers[i]),
                                                 .msg_iov = &e->iov[i],
                                                 .msg_iovlen = 1};
    }
    received = recvmmsg(e->fd, e->messages, BATCH, MSG_WAITFORONE, NULL);
    n = received > 0 ? (unsigned)received : 0;
    for (unsigned i = 0; i < n; i++)
        e->iov[i].iov_len = answer(e->bytes[i], e->messages[i].msg_len);
    while (done < n) {
        int sent = sendmmsg(e->fd, e->messages + done, n - done, 0);

        done += sent > 0 ? (unsigned)sent : 1; /* what the kernel refuses is lost */
        e->answered += sent > 0 ? (unsigned)sent : 0;
    }
}

int floor_run(const struct options *o)
{
    const struct timeval wait = {.tv_usec = 200000}; /* a signal may come between two waits */
    const int bytes = BUFFER_BYTES;
    struct sockaddr_storage name;
    struct echo *e = mem_new(sizeof(*e));
    socklen_t len = addr_to_sockaddr(&o->listen, false, &name);

    if (!e)
        return ERR_NOMEM;
    e->fd = addr_is_v4(&o->listen) ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (e->fd < 0) {
        mem_free(e);
        return ERR_INVALID;
    }
    if (setsockopt(e->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
        setsockopt(e->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    if (bind(e->fd, (struct sockaddr *)&name, len) < 0) {
        close(e->fd);
        mem_free(e);
        return ERR_EXISTS;
    }
    printf("{\"mode\":\"floor\",\"event\":\"ready\"}\n");
    fflush(stdout);
    while (!main_stopped)
        serve_batch(e);
    printf("{\"mode\":\"floor\",\"answered\":%llu,\"cpu_s\":%.3f}\n",
           (unsigned long long)e->answered, result_cpu_s());
    close(e->fd);
    mem_free(e);
    return ERR_OK;
}
