/*
 * One shard's message layer alone: what a million devices cost in memory after a Register and an
 * Update each, and in time per Update-like request (parse, deduplication, callback, reply).
 *
 *     bench_engine [PEERS [ROUNDS]]      one line of JSON per figure
 */
#include "coap/coap.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct bench {
    struct engine *e;
    struct random random;
    struct counters counters;
    uint64_t now;
    uint64_t replies;
    bool registering;
};

static void on_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct bench *b = ctx;

    (void)flow;
    b->replies += datagram.n > 0;
}

static void on_request(void *ctx, struct request *req, uint64_t now)
{
    struct bench *b = ctx;
    struct response resp = {.code = PDU_CHANGED, .format = FORMAT_NONE};

    if (b->registering) {
        resp.code = PDU_CREATED;
        resp.location = VIEW_LIT("rd/0123456789abcdef");
    }
    engine_reply(b->e, req, &resp, now);
}

static struct flow flow_of(size_t n)
{
    struct flow f;

    memset(&f, 0, sizeof(f));
    f.peer.ip[10] = f.peer.ip[11] = 0xff;
    f.peer.ip[12] = 10;
    f.peer.ip[13] = (uint8_t)(n >> 16);
    f.peer.ip[14] = (uint8_t)(n >> 8);
    f.peer.ip[15] = (uint8_t)n;
    f.peer.port = (uint16_t)(5683 + (n >> 24));
    return f;
}

static size_t message(uint8_t *out, size_t cap, uint16_t mid, size_t peer, bool registering)
{
    uint64_t token = peer * 0x9e3779b97f4a7c15u + mid;
    struct pdu_writer w;
    struct view v;

    pdu_begin(&w, out, cap, PDU_CON, PDU_POST, mid, view_of(&token, sizeof(token)));
    pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT("rd"));
    if (registering) {
        pdu_put_uint(&w, PDU_CONTENT_FORMAT, 40);
        pdu_put_option(&w, PDU_URI_QUERY, VIEW_LIT("ep=urn:imei:490154203237518"));
        pdu_put_option(&w, PDU_URI_QUERY, VIEW_LIT("lt=300"));
        pdu_put_option(&w, PDU_URI_QUERY, VIEW_LIT("lwm2m=1.1"));
        pdu_put_payload(&w, VIEW_LIT("</1/0>,</3/0>,</4/0>,</5/0>,</3303/0>"));
    } else {
        pdu_put_option(&w, PDU_URI_PATH, VIEW_LIT("0123456789abcdef"));
    }
    if (pdu_finish(&w, &v) < 0)
        abort();
    return v.n;
}

/* Of this thread, so that others on the machine disturb less. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* One message from each peer, in an order that defeats the caches; nanoseconds of processor time
 * per message. */
static double sweep(struct bench *b, size_t peers, uint16_t mid, bool registering)
{
    const size_t batch = 512;
    uint8_t bytes[512][160];
    size_t length[512];
    struct flow flows[512];
    uint64_t spent = 0;
    size_t done = 0;
    size_t at = 0;

    b->registering = registering;
    while (done < peers) {
        size_t n = peers - done < batch ? peers - done : batch;
        uint64_t begun;

        for (size_t i = 0; i < n; i++) {
            at = (at + 618033) % peers;
            flows[i] = flow_of(at);
            length[i] = message(bytes[i], sizeof(bytes[i]), mid, at, registering);
        }
        begun = cpu_ns();
        for (size_t i = 0; i < n; i++)
            engine_input(b->e, &flows[i], view_of(bytes[i], length[i]), b->now);
        spent += cpu_ns() - begun;
        done += n;
    }
    return (double)spent / (double)peers;
}

static size_t heap(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static size_t number(const char *text, size_t otherwise)
{
    uint64_t n = otherwise;

    if (text && view_u64(view_str(text), 100000000, &n) < 0)
        exit(2);
    return (size_t)n;
}

int main(int argc, char **argv)
{
    static const struct engine_ops ops = {.send = on_send, .request = on_request};
    size_t peers = number(argc > 1 ? argv[1] : NULL, 1000000);
    size_t rounds = number(argc > 2 ? argv[2] : NULL, 5);
    struct bench b = {.now = 1000000};
    struct engine_config cfg;
    struct engine_stats stats;
    size_t before;

    while (peers % 618033 == 0 || peers % 3 == 0) /* each peer is to be met */
        peers++;
    random_init(&b.random, 1, 2);
    engine_config_defaults(&cfg);
    b.e = engine_new(&cfg, &ops, &b, &b.random, &b.counters, b.now);
    if (!b.e)
        return 1;
    before = heap();
    printf("{\"figure\": \"register\", \"peers\": %zu, \"ns\": %.0f}\n", peers,
           sweep(&b, peers, 1, true));
    printf("{\"figure\": \"first update\", \"peers\": %zu, \"ns\": %.0f}\n", peers,
           sweep(&b, peers, 2, false));
    engine_stats(b.e, &stats);
    printf("{\"figure\": \"memory\", \"peers\": %zu, \"bytes_per_peer\": %.1f, "
           "\"heap_per_peer\": %.1f}\n",
           stats.peers, (double)stats.bytes / (double)stats.peers,
           (double)(heap() - before) / (double)stats.peers);
    for (size_t i = 0; i < rounds; i++) {
        b.now += 10000;
        printf("{\"figure\": \"update\", \"peers\": %zu, \"ns\": %.0f}\n", peers,
               sweep(&b, peers, (uint16_t)(3 + i), false));
    }
    engine_stats(b.e, &stats);
    printf("{\"figure\": \"memory, full rings\", \"peers\": %zu, \"heap_per_peer\": %.1f, "
           "\"replies\": %llu}\n",
           stats.peers, (double)(heap() - before) / (double)stats.peers,
           (unsigned long long)b.replies);
    engine_free(b.e);
    return 0;
}
