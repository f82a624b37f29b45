/*
 * CoAP as the scripted devices speak it: written from RFC 7252 and kept apart from the server's own
 * codec, so that the two check each other.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "base/base.h"

#define WIRE_MAX 1500
#define WIRE_TEXT 512

enum { WIRE_CON, WIRE_NON, WIRE_ACK, WIRE_RST };

/* -1: the option is absent. Paths and queries are joined: "/rd/x", "a=1&b". */
struct wire {
    uint8_t type, code;
    uint16_t mid;
    uint8_t token_n;
    uint8_t token[8];
    char path[WIRE_TEXT], query[WIRE_TEXT], location[WIRE_TEXT];
    int64_t observe, format, accept, block1, block2;
    struct view payload; /* of a parsed one: inside the datagram */
};

/* Everything absent. */
void wire_init(struct wire *m, uint8_t type, uint8_t code, uint16_t mid);
/* False: not a CoAP message, or one that no server of ours should send (unknown options included).
 */
bool wire_parse(struct view datagram, struct wire *ret);
/* Returns the length; it always fits WIRE_MAX for what devices say. */
size_t wire_build(const struct wire *m, uint8_t out[WIRE_MAX]);
/* Block options as one number each: NUM, M, SZX. */
int64_t wire_block(uint32_t num, bool more, unsigned szx);

#endif
