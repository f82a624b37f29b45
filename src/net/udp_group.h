/* Private to net: the sockets behind a udp_group. */
#ifndef NET_UDP_GROUP_H
#define NET_UDP_GROUP_H

#include "net/net.h"

struct udp_group {
    uint16_t shards;
    size_t listeners;
    struct addr address[NET_LISTENERS_MAX];
    int *fds; /* [listener * shards + shard] */
    bool steered;
    int receive_buffer;
};

#endif
