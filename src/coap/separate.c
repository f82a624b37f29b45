/*
 * Separate responses: Confirmable messages of ours that carry no request. They are repeated until
 * an ACK, a RST or the last timeout (RFC 7252 section 5.2.2). NSTART counts requests and does not
 * hold them back.
 */
#include "coap/internal.h"

struct separate {
    struct list all;
    struct list line; /* of the peer */
    struct engine_timer timer;
    struct peer *peer;
    struct flow flow;
    uint32_t wait_ms;
    uint32_t attempts;
    uint16_t mid;
    size_t n;
    uint8_t bytes[];
};

static void free_one(struct engine *e, struct separate *s)
{
    engine_timer_stop(e, &s->timer);
    list_del(&s->line);
    list_del(&s->all);
    e->separate_count--;
    s->peer->busy->owed--;
    mem_free(s);
}

static void end(struct engine *e, struct separate *s, uint64_t now)
{
    struct peer *p = s->peer;

    free_one(e, s);
    peer_release(e, p, now);
}

static void repeat(struct engine *e, struct engine_timer *t, uint64_t now)
{
    struct separate *s = mem_container(t, struct separate, timer);

    if (s->attempts == e->cfg.profile->max_retransmit) {
        engine_count(e, COUNTER_coap_timeouts);
        end(e, s, now);
        return;
    }
    s->attempts++;
    s->wait_ms *= 2;
    engine_count(e, COUNTER_coap_retransmissions);
    engine_send(e, &s->flow, view_of(s->bytes, s->n));
    engine_timer_start(e, &s->timer, now + s->wait_ms);
}

int separate_start(struct engine *e, struct peer *p, const struct flow *flow, uint16_t mid,
                   struct view datagram, uint64_t now)
{
    struct separate *s = mem_new(sizeof(*s) + datagram.n);
    int rc;

    if (!s)
        return ERR_NOMEM;
    rc = peer_hold(p);
    if (rc < 0) {
        mem_free(s);
        return rc;
    }
    s->peer = p;
    s->flow = *flow;
    s->mid = mid;
    s->n = datagram.n;
    memcpy(s->bytes, datagram.p, datagram.n);
    s->timer.fire = repeat;
    s->wait_ms = engine_first_wait(e, e->cfg.profile);
    list_push(&e->separates, &s->all);
    list_push(&p->busy->separates, &s->line);
    e->separate_count++;
    p->busy->owed++;
    engine_timer_start(e, &s->timer, now + s->wait_ms);
    return ERR_OK;
}

bool separate_end(struct engine *e, struct peer *p, uint16_t mid, uint64_t now)
{
    if (!p->busy)
        return false;
    list_each(&p->busy->separates, it)
    {
        struct separate *s = list_item(it, struct separate, line);

        if (s->mid == mid) {
            end(e, s, now);
            return true;
        }
    }
    return false;
}

void separate_end_all(struct engine *e, struct peer *p, uint64_t now)
{
    while (p->busy && !list_empty(&p->busy->separates))
        end(e, list_item(p->busy->separates.next, struct separate, line), now);
}

void separate_free_all(struct engine *e)
{
    list_each_safe(&e->separates, it, next)
    {
        end(e, list_item(it, struct separate, all), e->now);
    }
}
