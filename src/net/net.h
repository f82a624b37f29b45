/*
 * net: the only device-side I/O. A group of UDP sockets per listening address, one socket per shard
 * (SO_REUSEPORT), with a steering filter, batched receive and send.
 *
 * MUST hand every datagram up with the address it was sent to, and answer from that address. MUST
 * NOT look into a datagram. The group is bound by the main thread before state is loaded, so that
 * no peer sees an ICMP error during a restart; datagrams wait in the socket buffers meanwhile.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/base.h"
#include "base/mbox.h"
#include "model/model.h"

#define NET_LISTENERS_MAX 16
#define NET_DATAGRAM_MAX 2048 /* longer datagrams are dropped and counted */

/* ---- udp_group: all sockets of all shards -------------------------------------------------- */

struct udp_group;

struct udp_group_config {
    const struct addr *listen; /* each bound once per shard */
    size_t listen_count;
    uint16_t shards;
    int receive_buffer; /* SO_RCVBUF asked for, bytes; 0 = leave */
    int send_buffer;
    bool steer; /* attach the steering filter; false: user space hands over what the kernel scatters
                 */
};

/* On failure *ret_failed tells which address (ERR_EXISTS: port in use, ERR_FORBIDDEN, ERR_IO). */
int udp_group_open(const struct udp_group_config *cfg, struct udp_group **ret_group,
                   size_t *ret_failed);
void udp_group_close(struct udp_group *g);
/* False when the kernel refused the filter: datagrams arrive on any shard and are handed over. */
bool udp_group_steered(const struct udp_group *g);
/* SO_RCVBUF the kernel granted, bytes. */
int udp_group_receive_buffer(const struct udp_group *g);
/* The address a listener is bound to (port 0 resolved). */
const struct addr *udp_group_address(const struct udp_group *g, size_t listener);
size_t udp_group_size(const struct udp_group *g);
/* The shard that owns what comes from this peer. */
uint16_t udp_group_shard_of(const struct addr *peer, uint16_t shards);

/* ---- udp: the sockets of one shard on its loop --------------------------------------------- */

struct udp;

struct udp_callbacks {
    /* What was received at once, each of which is handed up next, in this order: a chance to look
     * ahead. Borrowed; may be NULL. */
    void (*batch)(void *ctx, const struct flow *flows, const struct view *datagrams, size_t n);
    /* One datagram; borrowed. */
    void (*datagram)(void *ctx, const struct flow *flow, struct view bytes);
    /* The kernel has no way to this peer (no route, no address); ICMP errors are not listened to,
     * because sleeping devices behind NAT cause them all the time. */
    void (*unreachable)(void *ctx, const struct addr *peer);
    /* After a burst of datagrams. */
    void (*burst_end)(void *ctx);
};

/* Starts reading at once. On the loop's thread. *ret_udp is set (or NULL) on failure too: its
 * handles end with the loop, then udp_free. */
int udp_start(struct udp_group *g, uint16_t shard, uv_loop_t *loop, const struct udp_callbacks *cb,
              void *ctx, struct counters *counters, struct udp **ret_udp);
/* Queues a datagram; leaves with the next flush, or at once when the batch is full. */
void udp_send(struct udp *u, const struct flow *flow, struct view bytes);
void udp_flush(struct udp *u);
/* Stops reading; the handle closes with the loop. Again is no harm: a failed start has done it. */
void udp_stop(struct udp *u);
void udp_free(struct udp *u);

#endif
