#include "fleet.h"

#define NS_PER_MS 1000000u
#define PDU_CONFLICT 0x89
#define POLL_BATCHES 4 /* datagrams handled before timers get their turn */

/* An exchange under way. */
struct slot {
    struct timer timer;
    uint64_t since_ns; /* from when the latency counts */
    uint64_t first_ms; /* first transmission */
    uint32_t device;
    uint32_t argument;
    uint32_t token;
    uint32_t wait_ms;
    uint32_t next_free;
    uint16_t mid;
    uint8_t kind;
    uint8_t transmissions;
    bool used;
    bool acknowledged; /* the answer comes separately */
};

struct client {
    struct swarm *swarm;
    struct wire *wire;
    struct client_ops ops;
    void *ctx;
    struct messages messages;
    struct timer_wheel *wheel;
    struct random random;
    struct client_stats stats;
    struct slot *slots;
    uint64_t now_ns;
    uint32_t ack_timeout_ms;
    uint32_t max_retransmit;
    uint32_t window;
    uint32_t outstanding;
    uint32_t free_slot;
    uint16_t sequence; /* upper half of the tokens */
};

static size_t write_message(struct client *c, const struct slot *s, uint8_t *out)
{
    if (s->kind == MESSAGE_NOTIFY)
        return c->ops.write_notify(c->ctx, s->device, s->argument, s->mid, s->first_ms, out);
    if (s->kind == MESSAGE_SEND)
        return message_send(&c->messages, s->device, s->first_ms, s->mid, s->token, out);
    return message_write(&c->messages, s->kind, &c->swarm->devices[s->device], s->device,
                         s->argument, s->mid, s->token, out);
}

static void transmit(struct client *c, struct slot *s)
{
    size_t n = write_message(c, s, wire_reserve(c->wire));

    if (n > 0)
        wire_commit(c->wire, swarm_address(c->swarm, s->device), n);
    s->transmissions++;
}

static void finish(struct client *c, struct slot *s, enum client_outcome outcome,
                   const struct pdu *answer)
{
    struct client_result r = {.kind = s->kind == MESSAGE_TELL ? MESSAGE_REGISTER : s->kind,
                              .outcome = outcome,
                              .answer = answer,
                              .latency_ns = c->now_ns - s->since_ns,
                              .argument = s->argument};
    uint32_t device = s->device;

    timer_stop(c->wheel, &s->timer);
    s->used = false;
    s->next_free = c->free_slot;
    c->free_slot = (uint32_t)(s - c->slots);
    c->outstanding--;
    c->swarm->devices[device].slot = SWARM_NO_SLOT;
    c->stats.outcomes[outcome]++;
    if (outcome == CLIENT_OK)
        hist_add(&c->stats.latency, r.latency_ns);
    c->ops.done(c->ctx, device, &r, c->now_ns);
}

/* RFC 7252 section 4.2: again after a doubled time, at most max_retransmit times. */
static void on_timeout(void *ctx, struct timer *t, uint64_t now)
{
    struct client *c = ctx;
    struct slot *s = mem_container(t, struct slot, timer);

    if (s->acknowledged || s->transmissions > c->max_retransmit) {
        finish(c, s, CLIENT_LOST, NULL);
        return;
    }
    s->wait_ms *= 2;
    timer_start(c->wheel, &s->timer, now + s->wait_ms);
    transmit(c, s);
    c->stats.retransmitted++;
}

int client_new(const struct options *o, struct swarm *s, const struct client_ops *ops, void *ctx,
               uint64_t now_ns, struct client **ret_client)
{
    struct client *c = mem_new(sizeof(*c));
    int rc = ERR_NOMEM;

    if (!c)
        return ERR_NOMEM;
    c->swarm = s;
    c->ops = *ops;
    c->ctx = ctx;
    c->now_ns = now_ns;
    c->ack_timeout_ms = (uint32_t)o->ack_timeout_ms;
    c->max_retransmit = (uint32_t)o->max_retransmit;
    c->window = (uint32_t)o->window;
    c->slots = mem_new(c->window * sizeof(*c->slots));
    c->wheel = timer_wheel_new(now_ns / NS_PER_MS, on_timeout, c);
    if (!c->slots || !c->wheel)
        goto fail;
    for (uint32_t i = 0; i < c->window; i++)
        c->slots[i].next_free = i + 1;
    /* Tokens of two runs must differ, or the second would be answered from memory. */
    rc = random_init_secret(&c->random);
    if (rc < 0)
        goto fail;
    c->sequence = (uint16_t)random_u64(&c->random);
    rc = message_init(o, &c->messages);
    if (rc == ERR_OK)
        rc = wire_open(o, &c->wire);
    if (rc < 0)
        goto fail;
    *ret_client = c;
    return ERR_OK;
fail:
    client_free(c);
    return rc;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->wheel && c->slots && i < c->window; i++)
        timer_stop(c->wheel, &c->slots[i].timer);
    timer_wheel_free(c->wheel);
    wire_close(c->wire);
    mem_free(c->slots);
    mem_free(c);
}

struct wire *client_wire(struct client *c)
{
    return c->wire;
}

const struct client_stats *client_stats(const struct client *c)
{
    return &c->stats;
}

size_t client_outstanding(const struct client *c)
{
    return c->outstanding;
}

/* A first transmission. */
static void begin(struct client *c, struct slot *s, enum message_kind kind, uint64_t now_ms)
{
    struct swarm_device *dev = &c->swarm->devices[s->device];

    s->acknowledged = false;
    s->kind = (uint8_t)kind;
    s->mid = dev->mid++;
    s->token = (uint32_t)c->sequence++ << 16 | dev->slot;
    s->first_ms = now_ms;
    s->transmissions = 0;
    s->wait_ms = c->ack_timeout_ms + (uint32_t)random_below(&c->random, c->ack_timeout_ms / 2 + 1);
    timer_start(c->wheel, &s->timer, now_ms + s->wait_ms);
    c->stats.sent++;
    transmit(c, s);
}

bool client_send(struct client *c, uint32_t device, enum message_kind kind, uint32_t argument,
                 uint64_t since_ns, uint64_t now_ns)
{
    struct swarm_device *dev = &c->swarm->devices[device];
    struct slot *s;

    if (c->free_slot >= c->window)
        return false;
    s = &c->slots[c->free_slot];
    dev->slot = c->free_slot;
    c->free_slot = s->next_free;
    s->used = true;
    s->device = device;
    s->argument = argument;
    s->since_ns = since_ns;
    c->outstanding++;
    begin(c, s, kind, now_ns / NS_PER_MS);
    return true;
}

/* ---- what arrives ---- */

static struct slot *slot_of_token(struct client *c, uint32_t device, const struct pdu *p)
{
    struct rd r = rd_init(view_of(p->token, p->token_len));
    uint32_t token = rd_u32(&r);
    uint32_t index = token & 0xffff;

    if (rd_done(&r) < 0 || index >= c->window)
        return NULL;
    if (!c->slots[index].used || c->slots[index].token != token || c->slots[index].device != device)
        return NULL;
    return &c->slots[index];
}

static struct slot *slot_of_mid(struct client *c, uint32_t device, uint16_t mid)
{
    uint32_t index = c->swarm->devices[device].slot;

    if (index == SWARM_NO_SLOT || c->slots[index].mid != mid)
        return NULL;
    return &c->slots[index];
}

static void on_empty(struct client *c, uint32_t device, const struct pdu *p)
{
    struct slot *s = slot_of_mid(c, device, p->mid);

    if (p->type == PDU_RST && s) {
        finish(c, s, CLIENT_RESET, NULL);
    } else if (p->type == PDU_RST && c->ops.reset) {
        c->ops.reset(c->ctx, device, p->mid);
    } else if (p->type == PDU_ACK && s && s->kind == MESSAGE_NOTIFY) {
        finish(c, s, CLIENT_OK, NULL);
    } else if (p->type == PDU_ACK && s) {
        s->acknowledged = true;
        timer_start(c->wheel, &s->timer,
                    c->now_ns / NS_PER_MS + ((uint64_t)c->ack_timeout_ms << c->max_retransmit));
    } else if (p->type == PDU_CON) { /* a ping: RFC 7252 section 4.3 */
        uint8_t *out = wire_reserve(c->wire);

        wire_commit(c->wire, swarm_address(c->swarm, device), message_empty(PDU_RST, p->mid, out));
    }
}

static void on_answer(struct client *c, uint32_t device, const struct pdu *p)
{
    struct slot *s = slot_of_token(c, device, p);

    if (p->type == PDU_CON) { /* a separate response, perhaps repeated */
        uint8_t *out = wire_reserve(c->wire);

        wire_commit(c->wire, swarm_address(c->swarm, device), message_empty(PDU_ACK, p->mid, out));
    }
    if (!s) {
        c->stats.unmatched++;
        return;
    }
    /* LwM2M Core 6.2.1: the server does not know the profile ID, so the list is needed. */
    if (s->kind == MESSAGE_REGISTER && c->messages.has_pid && p->code == PDU_CONFLICT) {
        c->stats.told++;
        begin(c, s, MESSAGE_TELL, c->now_ns / NS_PER_MS);
        return;
    }
    finish(c, s, PDU_CODE_CLASS(p->code) == 2 ? CLIENT_OK : CLIENT_REFUSED, p);
}

static void on_datagram(void *ctx, uint32_t destination, struct view datagram)
{
    struct client *c = ctx;
    uint32_t device;
    struct pdu p;
    bool header;

    if (!swarm_find(c->swarm, destination, &device) || pdu_parse(datagram, &p, &header) < 0) {
        c->stats.unmatched++;
        return;
    }
    if (c->ops.hears && !c->ops.hears(c->ctx, device))
        return;
    if (p.code == PDU_EMPTY)
        on_empty(c, device, &p);
    else if (PDU_CODE_CLASS(p.code) != 0)
        on_answer(c, device, &p);
    else if (c->ops.request)
        c->ops.request(c->ctx, device, &p, c->now_ns);
}

static void stamped(void *ctx, uint32_t destination, struct view datagram)
{
    struct client *c = ctx;

    /* One reading of the clock per batch: the first datagram takes it. */
    if (c->now_ns == 0)
        c->now_ns = clock_mono_ns();
    on_datagram(c, destination, datagram);
}

void client_poll(struct client *c, uint64_t wait_ns)
{
    uint64_t next_ms = timer_wheel_next(c->wheel);
    uint64_t now_ms = clock_mono_ms();

    if (next_ms != UINT64_MAX) {
        uint64_t until_ns = next_ms > now_ms ? (next_ms - now_ms) * NS_PER_MS : 0;

        wait_ns = until_ns < wait_ns ? until_ns : wait_ns;
    }
    wire_flush(c->wire);
    for (int i = 0; i < POLL_BATCHES; i++) {
        c->now_ns = 0;
        if (wire_receive(c->wire, i == 0 ? wait_ns : 0, stamped, c) == 0)
            break;
        wire_flush(c->wire);
    }
    c->now_ns = clock_mono_ns();
    timer_wheel_run(c->wheel, c->now_ns / NS_PER_MS, 0);
    wire_flush(c->wire);
}
