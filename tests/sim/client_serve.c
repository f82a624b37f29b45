/* The other half of a scripted client: what it does when the server asks. */
#include "ledger.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_SZX 6
#define LONG_BODY 2500 /* bytes of the manufacturer's name of those that talk much */

struct reply {
    struct wire m; /* code, options */
    char text[LONG_BODY + 1];
};

struct client_observation *client_observation(struct client *c, uint64_t token)
{
    for (size_t i = 0; i < CLIENT_OBSERVATIONS; i++)
        if (c->observations[i].active && c->observations[i].token == token)
            return &c->observations[i];
    return NULL;
}

static uint64_t wire_token(const struct wire *m)
{
    uint64_t token = 0;

    for (size_t i = 0; i < m->token_n; i++)
        token = token << 8 | m->token[i];
    return token;
}

static void set_token(struct wire *m, uint64_t token)
{
    m->token_n = 8;
    for (size_t i = 0; i < 8; i++)
        m->token[i] = (uint8_t)(token >> (56 - 8 * i));
}

/* The path without the alternate path; NULL when it is not below it. */
static const char *own_path(const struct client *c, const char *path)
{
    size_t n = strlen(c->alt);

    return strncmp(path, c->alt, n) == 0 ? path + n : NULL;
}

/* ---- values ---- */

static void one(struct client *c, struct reply *r, const struct wire *req, const char *text)
{
    r->m.format = req->accept == 110 ? 110 : 0;
    r->m.code = 0x45;
    if (req->accept != 0 && req->accept != 110 && req->accept != -1)
        r->m.code = 0x86;
    else if (r->m.format == 110)
        snprintf(r->text, sizeof(r->text), "[{\"n\":\"%s\",\"v\":%s}]", own_path(c, req->path),
                 text);
    else
        snprintf(r->text, sizeof(r->text), "%s", text);
}

static void look(struct client *c, struct reply *r, const struct wire *req)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)++c->counter);
    one(c, r, req, text);
}

static void maker(struct client *c, struct reply *r, const struct wire *req)
{
    size_t n = c->long_body ? LONG_BODY : 12;

    if (req->accept != 0 && req->accept != -1) {
        r->m.code = 0x86;
        return;
    }
    r->m.code = 0x45;
    r->m.format = 0;
    for (size_t i = 0; i < n; i++)
        r->text[i] = (char)('a' + (i + c->index) % 26);
}

static void several(struct client *c, struct reply *r, const struct wire *req)
{
    const char *path = own_path(c, req->path);

    if (req->accept != 110 && req->accept != -1) {
        r->m.code = 0x86;
        return;
    }
    r->m.code = 0x45;
    r->m.format = 110;
    if (strncmp(path, "/3303", 5) == 0)
        snprintf(r->text, sizeof(r->text), "[{\"bn\":\"/3303/0/\",\"n\":\"5700\",\"v\":%u.5}]",
                 c->index);
    else
        snprintf(r->text, sizeof(r->text),
                 "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":%lld},{\"n\":\"14\",\"vs\":\"%s\"}]",
                 (long long)++c->counter, c->note);
}

static void links(struct client *c, struct reply *r, const struct wire *req)
{
    (void)req;
    r->m.code = 0x45;
    r->m.format = 40;
    snprintf(r->text, sizeof(r->text), "<%s/3/0>;pmin=1,<%s/3/0/9>", c->alt, c->alt);
}

static const struct {
    const char *path;
    void (*read)(struct client *c, struct reply *r, const struct wire *req);
} readable[] = {
    {"/3/0/9", look},     {"/3/0/0", maker},  {"/3/0", several},
    {"/3303/0", several}, {"/3303", several},
};

/* ---- observing ---- */

static uint64_t next_notification(struct client *c)
{
    return c->w->now +
           world_between(c->w, c->style.notify_min * SECOND, c->style.notify_max * SECOND);
}

static void observe(struct client *c, struct reply *r, const struct wire *req)
{
    uint64_t token = wire_token(req);
    struct client_observation *o = client_observation(c, token);

    for (size_t i = 0; !o && i < CLIENT_OBSERVATIONS; i++)
        if (!c->observations[i].active)
            o = &c->observations[i];
    if (!o)
        return; /* without the option it was a read */
    if (!o->active)
        *o = (struct client_observation){.active = true, .token = token, .format = req->accept};
    snprintf(o->path, sizeof(o->path), "%.31s", req->path);
    o->due = next_notification(c);
    r->m.observe = ++o->sequence;
}

static void unobserve(struct client *c, const struct wire *req)
{
    struct client_observation *o = client_observation(c, wire_token(req));

    if (o)
        o->active = false;
}

static void read_value(struct client *c, struct reply *r, const struct wire *req);

static void notify_one(struct client *c, struct client_observation *o)
{
    struct reply r;
    struct wire req;

    wire_init(&req, WIRE_CON, 1, 0);
    snprintf(req.path, sizeof(req.path), "%.31s", o->path);
    req.accept = o->format;
    memset(&r, 0, sizeof(r));
    wire_init(&r.m, WIRE_NON, 0, c->mid);
    read_value(c, &r, &req);
    r.m.observe = ++o->sequence;
    r.m.payload = view_str(r.text);
    set_token(&r.m, o->token);
    if (r.m.payload.n > 1024) {
        r.m.payload.n = 1024;
        r.m.block2 = wire_block(0, true, BLOCK_SZX);
    }
    c->notified++;
    o->strayed = c->moved;
    world_say(c->w, "%s: notifies %016llx", c->endpoint, (unsigned long long)o->token);
    if (world_chance(c->w, c->style.con)) {
        o->waiting = client_speak(c, &r.m, o->token, 0);
        o->mid = r.m.mid;
    } else {
        o->mid = r.m.mid = c->mid++;
        client_transmit(c, &r.m);
    }
}

uint64_t client_unobserve(struct client *c)
{
    for (size_t i = 0; i < CLIENT_OBSERVATIONS; i++) {
        struct client_observation *o = &c->observations[i];
        struct wire m;

        if (!o->active || !c->registered)
            continue;
        wire_init(&m, WIRE_CON, 0x84, 0);
        set_token(&m, o->token);
        if (!client_speak(c, &m, 0, 0))
            return 0;
        o->active = false;
        world_say(c->w, "%s: ends %016llx", c->endpoint, (unsigned long long)o->token);
        return o->token;
    }
    return 0;
}

void client_notify(struct client *c)
{
    for (size_t i = 0; i < CLIENT_OBSERVATIONS; i++) {
        struct client_observation *o = &c->observations[i];

        if (!o->active || o->due > c->w->now || !c->registered)
            continue;
        o->due = next_notification(c);
        if (!o->waiting)
            notify_one(c, o);
    }
}

/* ---- requests ---- */

static void read_value(struct client *c, struct reply *r, const struct wire *req)
{
    const char *path = own_path(c, req->path);

    r->m.code = 0x84;
    if (!path)
        return;
    if (req->accept == 40) {
        links(c, r, req);
        return;
    }
    for (size_t i = 0; i < mem_count(readable); i++)
        if (strcmp(readable[i].path, path) == 0) {
            readable[i].read(c, r, req);
            return;
        }
}

static void get(struct client *c, struct reply *r, const struct wire *req)
{
    if (req->observe == 1)
        unobserve(c, req);
    read_value(c, r, req);
    if (req->observe == 0 && r->m.code == 0x45)
        observe(c, r, req);
}

/* Blocks of the package, from the first one on, in order. */
static void put_package(struct client *c, struct reply *r, const struct wire *req)
{
    uint64_t size = req->block1 < 0 ? 0 : (uint64_t)16 << (req->block1 & 7);
    uint64_t at = req->block1 < 0 ? 0 : (uint64_t)(req->block1 >> 4) * size;
    bool more = req->block1 >= 0 && (req->block1 & 8);

    r->m.block1 = req->block1;
    if (at == 0)
        c->upload_n = 0;
    if (at != c->upload_n) {
        r->m.code = 0x88;
        return;
    }
    world_check(c->w, at + req->payload.n <= sizeof(c->upload), "a package of %zu bytes",
                (size_t)at + req->payload.n);
    memcpy(c->upload + at, req->payload.p, req->payload.n);
    c->upload_n = (size_t)at + req->payload.n;
    r->m.code = more ? 0x5f : 0x44;
    c->uploads += !more;
}

/* Without security a request may reach whoever has the address of the device now. */
static bool is_for(const struct client *c, const struct ticket *t)
{
    return t->client == c->index || c->w->cfg.reuse > 0 || c->w->cfg.forged;
}

static void put(struct client *c, struct reply *r, const struct wire *req)
{
    const char *path = own_path(c, req->path);
    struct ticket *t;

    r->m.code = 0x84;
    if (!path)
        return;
    if (*req->query && req->payload.n == 0) {
        r->m.code = 0x44;
    } else if (strcmp(path, "/5/0/0") == 0) {
        put_package(c, r, req);
    } else if (strcmp(path, "/3/0/14") == 0) {
        if (req->format != 0 && req->format != -1) {
            r->m.code = 0x8f;
            return;
        }
        snprintf(c->note, sizeof(c->note), VIEW_FMT, VIEW_ARG(req->payload));
        t = operator_ticket(c->w, strtoull(c->note, NULL, 10));
        world_check(c->w, t && is_for(c, t), "%s is written what nobody asked for", c->endpoint);
        t->written++;
        ledger_carried_out(t, wire_token(req));
        r->m.code = 0x44;
    }
}

static void execute(struct client *c, struct reply *r, const struct wire *req)
{
    char text[32];
    struct ticket *t;

    snprintf(text, sizeof(text), VIEW_FMT, VIEW_ARG(req->payload));
    t = strncmp(text, "0='", 3) == 0 ? operator_ticket(c->w, strtoull(text + 3, NULL, 10)) : NULL;
    world_check(c->w, t && is_for(c, t), "%s is to execute what nobody asked for: \"%s\"",
                c->endpoint, text);
    /* A device that reboots has forgotten what it has heard. */
    world_check(c->w,
                t->executed == 0 || t->boot != c->boots || c->w->cfg.reuse > 0 || t->repeatable,
                "%s executes the operation %llu twice", c->endpoint, (unsigned long long)t->serial);
    t->executed++;
    ledger_carried_out(t, wire_token(req));
    t->boot = c->boots;
    r->m.code = 0x44;
}

static void post(struct client *c, struct reply *r, const struct wire *req)
{
    const char *path = own_path(c, req->path);

    r->m.code = 0x84;
    if (path && (strcmp(path, "/3/0/4") == 0 || strcmp(path, "/3/0/5") == 0)) {
        execute(c, r, req);
    } else if (path && strcmp(path, "/3303") == 0) {
        unsigned i = 1;

        while (i < CLIENT_INSTANCES && c->instances & 1u << i)
            i++;
        r->m.code = i < CLIENT_INSTANCES ? 0x41 : 0x80;
        if (i == CLIENT_INSTANCES)
            return;
        c->instances |= 1u << i;
        snprintf(r->m.location, sizeof(r->m.location), "%s/3303/%u", c->alt, i);
    }
}

static void del(struct client *c, struct reply *r, const struct wire *req)
{
    const char *path = own_path(c, req->path);
    unsigned long i = CLIENT_INSTANCES;

    if (path && strncmp(path, "/3303/", 6) == 0)
        i = strtoul(path + 6, NULL, 10);
    r->m.code = 0x84;
    if (i >= CLIENT_INSTANCES || !(c->instances & 1u << i))
        return;
    c->instances &= ~(1u << i);
    r->m.code = 0x42;
}

static void reply_to(struct client *c, struct reply *r, const struct wire *req)
{
    static void (*const methods[])(struct client *, struct reply *, const struct wire *) = {
        [1] = get, [2] = post, [3] = put, [4] = del};

    memset(r, 0, sizeof(*r));
    wire_init(&r->m, WIRE_ACK, 0x85, req->mid);
    if (req->code < mem_count(methods) && methods[req->code])
        methods[req->code](c, r, req);
    r->m.token_n = req->token_n;
    memcpy(r->m.token, req->token, sizeof(r->m.token));
    r->m.payload = view_str(r->text);
}

/* A long answer in blocks of the size asked for; each block is made anew. */
static void cut(struct reply *r, const struct wire *req)
{
    unsigned szx = req->block2 < 0 ? BLOCK_SZX : (unsigned)(req->block2 & 7);
    uint32_t num = req->block2 < 0 ? 0 : (uint32_t)(req->block2 >> 4);
    size_t size = (size_t)16 << szx;
    size_t whole = r->m.payload.n;

    if (whole <= 1024 && req->block2 < 0)
        return;
    if ((size_t)num * size >= whole && num > 0) {
        r->m.code = 0x80;
        r->m.payload = VIEW_NONE;
        return;
    }
    r->m.payload = view_sub(r->m.payload, (size_t)num * size, size);
    r->m.block2 = wire_block(num, (size_t)num * size + r->m.payload.n < whole, szx);
}

static struct client_heard *heard(struct client *c, const struct wire *req)
{
    struct client_heard *h;

    for (size_t i = 0; i < CLIENT_HEARD; i++)
        if (c->heard[i].used && c->heard[i].mid == req->mid && c->heard[i].token == wire_token(req))
            return &c->heard[i];
    h = &c->heard[c->heard_next++ % CLIENT_HEARD];
    *h = (struct client_heard){.mid = req->mid, .token = wire_token(req)};
    return h;
}

void client_serve(struct client *c, const struct wire *req)
{
    struct client_heard *h = heard(c, req);
    struct reply r;

    world_check(c->w, req->type == WIRE_CON && req->token_n == 8,
                "%s is asked with type %u and a token of %u bytes", c->endpoint, req->type,
                req->token_n);
    if (h->used) {
        if (h->n > 0)
            world_from_client(c->w, &c->flow, view_of(h->bytes, h->n));
        return;
    }
    h->used = true;
    reply_to(c, &r, req);
    cut(&r, req);
    world_say(c->w, "%s: asked %u %s, answers %u.%02u", c->endpoint, req->code, req->path,
              r.m.code >> 5, r.m.code & 31);
    if (world_chance(c->w, c->style.separate)) {
        struct wire ack;

        if (client_speak(c, &r.m, 0, world_between(c->w, 50, 5 * SECOND))) {
            wire_init(&ack, WIRE_ACK, 0, req->mid);
            h->n = wire_build(&ack, h->bytes);
            client_transmit(c, &ack);
            return;
        }
    }
    h->n = wire_build(&r.m, h->bytes);
    client_transmit(c, &r.m);
}
