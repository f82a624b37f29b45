#include "client.h"

#include "world.h"

#include <stdio.h>

#define ACK_TIMEOUT (2 * SECOND)
#define MAX_RETRANSMIT 4
#define ANSWER_WAIT (60 * SECOND) /* for a separate response after the empty ACK */
#define NEVER UINT64_MAX

/* ---- small things ---- */

uint64_t client_token(const struct wire *m)
{
    uint64_t token = m->token_n;

    for (size_t i = 0; i < m->token_n; i++)
        token = token << 8 | m->token[i];
    return token;
}

static void random_token(struct client *c, struct wire *m)
{
    m->token_n = (uint8_t)world_between(c->w, 3, 8); /* shorter ones come again too soon */
    random_bytes(&c->w->random, m->token, m->token_n);
}

static uint64_t first_wait(struct client *c)
{
    return world_between(c->w, ACK_TIMEOUT, ACK_TIMEOUT * 3 / 2);
}

static void transmit_bytes(struct client *c, const uint8_t *bytes, size_t n)
{
    c->listens_until = c->w->now + CLIENT_LISTENS;
    world_from_client(c->w, &c->flow, view_of(bytes, n));
}

void client_transmit(struct client *c, const struct wire *m)
{
    uint8_t bytes[WIRE_MAX];

    transmit_bytes(c, bytes, wire_build(m, bytes));
}

static void empty(struct client *c, uint8_t type, uint16_t mid)
{
    struct wire m;

    wire_init(&m, type, 0, mid);
    client_transmit(c, &m);
}

void client_links(const struct client *c, uint32_t instances, char out[WIRE_TEXT])
{
    size_t n = 0;

    if (*c->alt || c->index % 2)
        n += (size_t)snprintf(out, WIRE_TEXT, "<%s>;rt=\"oma.lwm2m\";ct=110,",
                              *c->alt ? c->alt : "/");
    n += (size_t)snprintf(out + n, WIRE_TEXT - n, "<%s/1/0>,<%s/3/0>,<%s/5/0>", c->alt, c->alt,
                          c->alt);
    for (unsigned i = 0; i < CLIENT_INSTANCES; i++)
        if (instances & 1u << i)
            n += (size_t)snprintf(out + n, WIRE_TEXT - n, ",<%s/3303/%u>", c->alt, i);
}

/* ---- its own Confirmable messages besides the request ---- */

bool client_speak(struct client *c, struct wire *m, uint64_t token, uint64_t delay)
{
    for (size_t i = 0; i < CLIENT_SPEAKS; i++) {
        struct client_speech *s = &c->speech[i];

        if (s->active)
            continue;
        *s = (struct client_speech){.active = true,
                                    .mid = m->mid = c->mid++,
                                    .token = token,
                                    .wait = first_wait(c),
                                    .since = c->w->now,
                                    .due = c->w->now + delay};
        m->type = WIRE_CON;
        s->n = wire_build(m, s->bytes);
        return true;
    }
    return false;
}

static void speech_over(struct client *c, struct client_speech *s, bool rejected)
{
    struct client_observation *o = s->token ? client_observation(c, s->token) : NULL;

    s->active = false;
    if (!o)
        return;
    o->waiting = false;
    o->acked += !rejected && s->since >= o->counted && !c->w->down;
}

static void speech_run(struct client *c, struct client_speech *s)
{
    struct client_observation *o = s->token ? client_observation(c, s->token) : NULL;

    if (!s->active || s->due > c->w->now)
        return;
    if (s->tries > MAX_RETRANSMIT) {
        speech_over(c, s, true);
        return;
    }
    if (o && c->moved)
        o->strayed = true;
    transmit_bytes(c, s->bytes, s->n);
    s->tries++;
    s->due = c->w->now + s->wait;
    s->wait *= 2;
}

/* ---- its request ---- */

static void ask(struct client *c, enum client_asks what, struct wire *m)
{
    struct client_request *r = &c->ask;

    m->type = WIRE_CON;
    m->mid = c->mid++;
    random_token(c, m);
    *r = (struct client_request){.active = true,
                                 .what = what,
                                 .m = *m,
                                 .wait = first_wait(c),
                                 .sent_at = c->w->now,
                                 .lifetime_s = c->lifetime_s,
                                 .instances = c->known_instances,
                                 .flow = c->flow};
    r->n = wire_build(m, r->bytes);
    r->due = c->w->now;
    r->m.payload = VIEW_NONE; /* it was borrowed */
}

static void plan_update(struct client *c)
{
    uint64_t half = (uint64_t)c->lifetime_s * 500;

    c->update_at = c->obstinate ? NEVER : c->w->now + world_between(c->w, half / 2, half * 3 / 2);
}

static void ask_register(struct client *c)
{
    struct wire m;
    char links[WIRE_TEXT];

    c->register_at = NEVER;
    c->registered = false;
    c->update_at = NEVER;
    c->lifetime_s = (uint32_t)world_between(c->w, c->style.lifetime_min, c->style.lifetime_max);
    wire_init(&m, WIRE_CON, 2, 0);
    snprintf(m.path, sizeof(m.path), "/rd");
    snprintf(m.query, sizeof(m.query), "ep=%s&lt=%u&lwm2m=%s&b=U%s", c->endpoint, c->lifetime_s,
             c->version,
             !c->sleeper            ? ""
             : c->version[2] == '0' ? "Q"
                                    : "&Q");
    if (c->pid)
        snprintf(m.query + strlen(m.query), sizeof(m.query) - strlen(m.query), "&pid=%s", c->pid);
    if (!c->pid || c->tells_list) {
        client_links(c, c->instances, links);
        m.format = 40;
        m.payload = view_str(links);
    }
    operator_forget(c->w, c->index);
    ask(c, CLIENT_REGISTER, &m);
    c->ask.instances = c->instances;
    c->ask.changes = true;
}

void client_update(struct client *c, bool change)
{
    struct wire m;
    char links[WIRE_TEXT];
    uint32_t lifetime = c->lifetime_s;
    bool list = c->instances != c->known_instances;

    if (c->ask.active || !c->registered)
        return;
    wire_init(&m, WIRE_CON, 2, 0);
    snprintf(m.path, sizeof(m.path), "%s", c->location);
    if (change)
        lifetime = (uint32_t)world_between(c->w, c->style.lifetime_min, c->style.lifetime_max);
    if (change && world_chance(c->w, 500))
        c->instances ^= 1u << world_between(c->w, 1, CLIENT_INSTANCES - 1);
    list = list || c->instances != c->known_instances;
    if (lifetime != c->lifetime_s)
        snprintf(m.query, sizeof(m.query), "lt=%u", lifetime);
    if (list) {
        client_links(c, c->instances, links);
        m.format = 40;
        m.payload = view_str(links);
    }
    ask(c, CLIENT_UPDATE, &m);
    c->ask.lifetime_s = lifetime;
    c->ask.instances = list ? c->instances : c->known_instances;
    c->ask.changes = lifetime != c->lifetime_s || list || c->moved;
    if (lifetime < c->floor_s)
        c->floor_s = lifetime;
    c->update_at = NEVER;
}

void client_deregister(struct client *c)
{
    struct wire m;

    if (c->ask.active || !c->registered)
        return;
    wire_init(&m, WIRE_CON, 4, 0);
    snprintf(m.path, sizeof(m.path), "%s", c->location);
    operator_forget(c->w, c->index);
    c->update_at = NEVER;
    ask(c, CLIENT_DEREGISTER, &m);
}

static void ask_send(struct client *c)
{
    struct wire m;
    char body[64];

    wire_init(&m, WIRE_CON, 2, 0);
    snprintf(m.path, sizeof(m.path), "/dp");
    snprintf(body, sizeof(body), "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":%lld}]",
             (long long)++c->counter);
    m.format = 110;
    m.payload = view_str(body);
    ask(c, CLIENT_SEND, &m);
}

/* ---- how it ends ---- */

/* It answered: what it said must be on the disk by now. */
static void check_durable(struct client *c, const struct client_request *r)
{
    const struct registration *d = disk_find_id(&c->w->disk, view_str(c->endpoint), c->id);
    char links[WIRE_TEXT];

    if (!d || c->w->cfg.forged) /* gone since, which the next message of the device will show */
        return;
    world_check(c->w, d->lifetime_s == r->lifetime_s || c->strayed_at >= r->sent_at,
                "%s was told that its lifetime is %u s, durable are %u s", c->endpoint,
                r->lifetime_s, d->lifetime_s);
    world_check(c->w,
                !addr_eq(&r->flow.peer, &c->flow.peer) || addr_eq(&d->flow.peer, &r->flow.peer) ||
                    c->strayed_at >= r->sent_at,
                "%s was answered at an address that is not durable", c->endpoint);
    client_links(c, r->instances, links);
    if (r->what == CLIENT_REGISTER)
        world_check(c->w, d->links.n > 0, "%s has no links", c->endpoint);
}

static void acknowledged(struct client *c, const struct client_request *r)
{
    c->acknowledged_at = r->sent_at;
    c->answered_at = c->w->now;
    if (r->lifetime_s < c->lifetime_s)
        c->shortened_at = c->w->now;
    c->lifetime_s = r->lifetime_s;
    if (r->what == CLIENT_REGISTER || c->strayed_at < r->sent_at)
        c->floor_s = r->lifetime_s;
    c->known_instances = r->instances;
    if (addr_eq(&r->flow.peer, &c->flow.peer) && c->strayed_at < r->sent_at)
        c->moved = false;
    /* The server was killed between its answer and the write. */
    c->unlucky = (r->sent_at < c->w->started || c->w->down) && !world_is_written(c->w, c);
    c->unlucky_times += c->unlucky;
    if (r->changes)
        check_durable(c, r);
    plan_update(c);
}

static void created(struct client *c, const struct client_request *r, const struct wire *m)
{
    world_check(c->w, registration_id_parse(view_str(m->location + 4), &c->id) == ERR_OK,
                "%s has the location %s", c->endpoint, m->location);
    snprintf(c->location, sizeof(c->location), "%s", m->location);
    c->registered = true;
    c->tells_list = false;
    c->registrations++;
    acknowledged(c, r);
}

static void again_in(struct client *c, uint64_t least, uint64_t most)
{
    c->registered = false;
    c->update_at = NEVER;
    c->register_at = c->w->now + world_between(c->w, least, most);
}

static void refused(struct client *c, const struct client_request *r, const struct wire *m)
{
    uint64_t wait = 10 * SECOND;

    c->refusals++;
    if (r->what == CLIENT_SEND)
        return;
    if (r->what == CLIENT_REGISTER && c->pid && !c->tells_list && m->code == 0x89) {
        c->tells_list = true;
        again_in(c, 0, SECOND);
        return;
    }
    if (c->w->cfg.forged)
        world_say(c->w, "%s: refused", c->endpoint);
    else if (r->what == CLIENT_REGISTER)
        world_check(c->w, m->code == 0x83, "Register of %s is answered %u.%02u", c->endpoint,
                    m->code >> 5, m->code & 31);
    else
        world_check(c->w, m->code == 0x84, "request %d of %s is answered %u.%02u", r->what,
                    c->endpoint, m->code >> 5, m->code & 31);
    if (r->what == CLIENT_DEREGISTER)
        client_off(c);
    else
        again_in(c, 0, r->what == CLIENT_REGISTER ? 3 * wait : wait / 10);
}

static void answered(struct client *c, const struct wire *m)
{
    static const uint8_t expected[] = {[CLIENT_REGISTER] = 0x41,
                                       [CLIENT_UPDATE] = 0x44,
                                       [CLIENT_DEREGISTER] = 0x42,
                                       [CLIENT_SEND] = 0x44};
    struct client_request r = c->ask;

    c->ask.active = false;
    c->last_token_n = m->token_n;
    memcpy(c->last_token, m->token, sizeof(c->last_token));
    world_say(c->w, "%s: request %d answered %u.%02u %s", c->endpoint, r.what, m->code >> 5,
              m->code & 31, m->location);
    if (m->code >> 5 != 2 || (c->w->cfg.forged && m->code != expected[r.what])) {
        refused(c, &r, m);
        return;
    }
    world_check(c->w, m->code == expected[r.what], "request %d is answered %u.%02u", r.what,
                m->code >> 5, m->code & 31);
    switch (r.what) {
    case CLIENT_REGISTER:
        created(c, &r, m);
        break;
    case CLIENT_UPDATE:
        c->updates++;
        acknowledged(c, &r);
        if (world_chance(c->w, c->style.sends))
            ask_send(c);
        break;
    case CLIENT_DEREGISTER:
        world_check(c->w,
                    c->w->cfg.forged || !disk_find_id(&c->w->disk, view_str(c->endpoint), c->id),
                    "%s is deregistered, but durable", c->endpoint);
        client_off(c);
        break;
    case CLIENT_SEND:
        break;
    }
}

/* No answer after all attempts. */
static void unanswered(struct client *c)
{
    world_say(c->w, "%s: request %d without an answer", c->endpoint, c->ask.what);
    c->ask.active = false;
    if (c->ask.what == CLIENT_DEREGISTER)
        client_off(c);
    else if (c->ask.what != CLIENT_SEND)
        again_in(c, 1 * SECOND, 30 * SECOND);
}

static void ask_run(struct client *c)
{
    struct client_request *r = &c->ask;

    if (!r->active || r->due > c->w->now)
        return;
    if (r->acked || r->tries > MAX_RETRANSMIT) {
        unanswered(c);
        return;
    }
    world_say(c->w, "%s: request %d, try %u, mid %04x", c->endpoint, r->what, r->tries, r->m.mid);
    transmit_bytes(c, r->bytes, r->n);
    r->tries++;
    r->due = c->w->now + r->wait;
    r->wait *= 2;
}

/* ---- what arrives ---- */

static bool answers(const struct client *c, const struct wire *m)
{
    const struct client_request *r = &c->ask;

    if (!r->active || m->token_n != r->m.token_n || memcmp(m->token, r->m.token, m->token_n) != 0)
        return false;
    return m->type != WIRE_ACK || m->mid == r->m.mid;
}

static void response(struct client *c, const struct wire *m)
{
    bool mine = answers(c, m);
    bool again = m->token_n == c->last_token_n && memcmp(m->token, c->last_token, m->token_n) == 0;

    if (m->type == WIRE_CON)
        empty(c, mine || again ? WIRE_ACK : WIRE_RST, m->mid);
    if (mine)
        answered(c, m);
}

bool client_was_rejected(const struct client *c, uint64_t token)
{
    for (size_t i = 0; i < CLIENT_REJECTED; i++)
        if (c->rejected[i] == token)
            return true;
    return false;
}

static void rejected(struct client *c, uint16_t mid)
{
    for (size_t i = 0; i < CLIENT_OBSERVATIONS; i++) {
        struct client_observation *o = &c->observations[i];
        const struct watch *watch;

        if (!o->active || o->mid != mid)
            continue;
        watch = operator_watch(c->w, o->token);
        world_check(c->w,
                    o->strayed || c->moved || c->w->cfg.forged || !c->registered || !watch ||
                        watch->client != c->index,
                    "%s: a notification of the observation %016llx is rejected", c->endpoint,
                    (unsigned long long)o->token);
        o->active = false;
        c->rejected[c->rst_heard++ % CLIENT_REJECTED] = o->token;
    }
}

static void acked_or_reset(struct client *c, const struct wire *m)
{
    if (m->type == WIRE_RST) {
        world_check(
            c->w, !c->ask.active || c->ask.m.mid != m->mid || c->ask.tries == 0 || c->w->cfg.forged,
            "%s: request %d is rejected with RST", c->endpoint, c->ask.what);
        rejected(c, m->mid);
    } else if (c->ask.active && c->ask.m.mid == m->mid && !c->ask.acked) {
        c->ask.acked = true;
        c->ask.due = c->w->now + ANSWER_WAIT;
    }
    for (size_t i = 0; i < CLIENT_SPEAKS; i++)
        if (c->speech[i].active && c->speech[i].mid == m->mid && c->speech[i].tries > 0)
            speech_over(c, &c->speech[i], m->type == WIRE_RST);
}

void client_input(struct client *c, const struct flow *flow, struct view datagram)
{
    struct wire m;
    bool whole = wire_parse(datagram, &m);

    world_check(c->w, whole, "%s gets what is no message", c->endpoint);
    world_check(c->w, addr_eq(&flow->local, &c->flow.local) || c->moved,
                "%s is spoken to from another address than it knows", c->endpoint);
    if (m.code == 0 && m.type == WIRE_CON)
        empty(c, WIRE_RST, m.mid);
    else if (m.code == 0)
        acked_or_reset(c, &m);
    else if (m.code >> 5 == 0)
        client_serve(c, &m);
    else
        response(c, &m);
}

/* ---- time ---- */

void client_run(struct client *c)
{
    if (!c->on)
        return;
    for (size_t i = 0; i < CLIENT_SPEAKS; i++)
        speech_run(c, &c->speech[i]);
    ask_run(c);
    client_notify(c);
    if (c->register_at <= c->w->now && !c->ask.active)
        ask_register(c);
    if (c->update_at <= c->w->now && !c->ask.active)
        client_update(c, world_chance(c->w, c->style.changes));
    ask_run(c);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t client_next(const struct client *c)
{
    uint64_t next = NEVER;

    if (!c->on)
        return NEVER;
    if (c->ask.active)
        next = c->ask.due;
    else
        next = earlier(c->register_at, c->update_at);
    for (size_t i = 0; i < CLIENT_SPEAKS; i++)
        if (c->speech[i].active)
            next = earlier(next, c->speech[i].due);
    for (size_t i = 0; i < CLIENT_OBSERVATIONS; i++)
        if (c->observations[i].active && c->registered)
            next = earlier(next, c->observations[i].due);
    return next;
}

/* ---- life ---- */

void client_init(struct client *c, struct world *w, unsigned index)
{
    static const char *const versions[] = {"1.0", "1.1", "1.2", "1.3"};

    *c = (struct client){.w = w, .index = index, .style = w->cfg.style, .armed = NEVER};
    snprintf(c->endpoint, sizeof(c->endpoint), "urn:dev:sim-%u", index);
    c->version = versions[world_random(w, mem_count(versions))];
    c->alt = world_chance(w, c->style.alt_path) ? "/lwm2m" : "";
    c->long_body = world_chance(w, c->style.long_body);
    c->sleeper = world_chance(w, c->style.sleeps);
    c->instances = 1;
    c->register_at = c->update_at = NEVER;
    c->mid = (uint16_t)world_random(w, 65536);
    world_address(w, &c->flow);
}

void client_start(struct client *c, uint64_t ms)
{
    c->on = true;
    c->register_at = c->w->now + world_between(c->w, 0, ms);
    world_client_timer(c->w, c);
}

static void forget_all(struct client *c)
{
    operator_forget(c->w, c->index);
    c->boots++;
    c->registered = false;
    c->register_at = c->update_at = NEVER;
    c->ask.active = false;
    memset(c->observations, 0, sizeof(c->observations));
    memset(c->speech, 0, sizeof(c->speech));
    memset(c->heard, 0, sizeof(c->heard));
    c->upload_n = 0;
}

void client_off(struct client *c)
{
    if (!c->on)
        return;
    world_say(c->w, "%s: off", c->endpoint);
    c->on = false;
    forget_all(c);
}

void client_reboot(struct client *c)
{
    if (!c->on)
        return;
    world_say(c->w, "%s: reboots", c->endpoint);
    forget_all(c);
    c->mid = (uint16_t)world_random(c->w, 65536);
    client_start(c, 2 * SECOND);
}

void client_believed(struct client *c, const struct flow *flow, uint32_t lifetime_s)
{
    uint32_t newest = c->ask.active ? c->ask.lifetime_s : c->lifetime_s;
    bool there = addr_eq(&flow->peer, &c->flow.peer);

    if (there && lifetime_s == newest)
        return;
    world_say(c->w, "%s: the server goes astray", c->endpoint);
    c->moved = c->moved || !there;
    c->strayed_at = c->w->now;
    if (lifetime_s < c->floor_s)
        c->floor_s = lifetime_s;
}

void client_rebind(struct client *c, bool knows)
{
    char text[ADDR_TEXT_MAX];

    if (!c->on)
        return;
    world_address(c->w, &c->flow);
    addr_format(&c->flow.peer, text);
    world_say(c->w, "%s: is at %s now", c->endpoint, text);
    c->moved = true;
    if (knows && c->registered && !c->ask.active) {
        c->update_at = c->w->now;
        world_client_timer(c->w, c);
    }
}
