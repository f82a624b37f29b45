/*
 * Datagrams that nobody in his right mind sends, at a server with live devices: valid ones changed
 * a little, in the name of strangers and in the name of the devices themselves. SIM_DATAGRAMS of
 * them (20 000 unless given), spread over the seeds and the stories.
 */
#include "lane.h"
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define CORPUS_MAX 128
#define BODY_MAX 1400
#define STRANGERS 40
#define DEVICES 6
#define STORIES 2
#define LEAST 50 /* datagrams of one seed */

/* ---- valid ones ---- */

/* What scripted devices do not say: options of others, empty messages, answers to nobody. */
static const char *const raw[] = {
    "40010011d61668747470733a", /* Proxy-Uri */
    "4001001212ab",
    "4001001200",
    "40050010b2726411", /* If-Match, FETCH */
    "4803001300000000000000006170d0ff01",
    "4002001cb27264d20aff0001", /* unknown options */
    "40000014",
    "60000015",
    "70000016",
    "50000017", /* empty */
    "684500180102030405060708c060ff39",
    "584500190102030405060708610160ff", /* answers */
    "6884001b0102030405060708ff6e6f",
    "40e0001dff",
    "401f001e",
};

static const struct {
    uint8_t code;
    const char *path, *query, *payload;
    int format, block1, block2; /* 0: absent; else one more than the option */
} written[] = {
    {2, "/rd", "ep=hello&lt=60&lwm2m=1.2&b=U", "</1/0>,</3/0>,</3303/0>", 41, 0, 0},
    {2, "/rd", "ep=a&lt=0&lwm2m=1.0&b=UQ&sms=15551234", "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/3/0>",
     41, 0, 0},
    {2, "/rd", "ep=b&lwm2m=1.1&Q&b=UN&pid=x", "<1>,</3>;ver=\"1.1\",</3303/1>;dim=2", 0, 0, 0},
    {2, "/rd", "ep=c&lt=86400&lwm2m=2.0", "</3/0>", 41, 0, 0},
    {2, "/rd", "ep=blocks&lt=300&lwm2m=1.1&b=U", "</1/0>,</3/0>,</5/", 41, 0x08 + 1, 0},
    {2, "/rd", "ep=blocks&lt=300&lwm2m=1.1&b=U", "0>,</3303/0>,</44", 41, 0x18 + 1, 0},
    {2, "/rd", "ep=blocks&lt=300&lwm2m=1.1&b=U", "/0>", 41, 0x20 + 1, 0},
    {2, "/dp", "", "[{\"bn\":\"/3/0/\",\"n\":\"9\",\"v\":1,\"bt\":1700000000}]", 111, 0, 0},
    {2, "/dp", "", "\x81\xa3\x21\x6a/3303/0/5\x00\x02\xfb@7", 113, 0, 0},
    {2, "/rd/0123456789abcdef", "lt=30", "", 0, 0, 0},
    {2, "/rd/ffffffffffffffff", "", "</3/0>", 41, 0, 0},
    {4, "/rd/0123456789abcdef", "", "", 0, 0, 0},
    {1, "/.well-known/core", "", "", 0, 0, 0},
    {1, "/.well-known/core", "rt=oma*", "", 0, 0, 1},
    {3, "/3/0/14", "", "x", 1, 0, 0},
};

#define KEPT (mem_count(raw) + mem_count(written)) /* of the corpus, whatever is overheard */

struct corpus {
    struct view v[CORPUS_MAX];
    size_t n, next;
};

static void corpus_add(struct corpus *c, struct view datagram)
{
    size_t at = c->next < KEPT ? c->next++ : KEPT + (c->next++ - KEPT) % (CORPUS_MAX - KEPT);

    if (at < c->n)
        mem_free((void *)(uintptr_t)c->v[at].p);
    else
        c->n++;
    c->v[at] = view_of(mem_text(datagram.p, datagram.n), datagram.n);
}

static void corpus_start(struct corpus *c)
{
    uint8_t bytes[WIRE_MAX];
    size_t n;

    *c = (struct corpus){0};
    for (size_t i = 0; i < mem_count(raw); i++)
        if (text_unhex(view_str(raw[i]), bytes, sizeof(bytes), &n) == ERR_OK)
            corpus_add(c, view_of(bytes, n));
    for (size_t i = 0; i < mem_count(written); i++) {
        struct wire m;

        wire_init(&m, WIRE_CON, written[i].code, (uint16_t)i);
        m.token_n = (uint8_t)(i % 9);
        snprintf(m.path, sizeof(m.path), "%s", written[i].path);
        snprintf(m.query, sizeof(m.query), "%s", written[i].query);
        m.format = written[i].format - 1;
        m.block1 = written[i].block1 - 1;
        m.block2 = written[i].block2 - 1;
        m.payload = view_str(written[i].payload);
        corpus_add(c, view_of(bytes, wire_build(&m, bytes)));
    }
}

static void corpus_fini(struct corpus *c)
{
    for (size_t i = 0; i < c->n; i++)
        mem_free((void *)(uintptr_t)c->v[i].p);
}

/* ---- changed ones ---- */

struct letter {
    uint8_t p[BODY_MAX];
    size_t n;
};

static void graft(struct letter *l, size_t at, struct view with, size_t drop)
{
    size_t tail = l->n - at - drop;

    if (at + drop > l->n || at + with.n + tail > BODY_MAX)
        return;
    memmove(l->p + at + with.n, l->p + at + drop, tail);
    if (with.n > 0)
        memcpy(l->p + at, with.p, with.n);
    l->n = at + with.n + tail;
}

static void change(struct world *w, const struct corpus *c, struct letter *l)
{
    static const uint8_t odd[] = {0x00, 0xff, 0x7f, 0x80, 0xe0, 0xd0,
                                  0xdd, 0xee, 0x0d, 0x40, '<',  '/'};
    uint32_t at = l->n > 0 ? world_random(w, (uint32_t)l->n) : 0;
    const struct view *other = &c->v[world_random(w, (uint32_t)c->n)];
    uint8_t noise[24];

    if (l->n == 0)
        return;
    random_bytes(&w->random, noise, sizeof(noise));
    switch (world_random(w, 9)) {
    case 0:
        l->p[at] ^= (uint8_t)(1u << world_random(w, 8));
        break;
    case 1:
        l->p[at] = odd[world_random(w, mem_count(odd))];
        break;
    case 2:
        l->n = at;
        break;
    case 3:
        graft(l, at, view_of(noise, 1 + world_random(w, sizeof(noise))), 0);
        break;
    case 4:
        graft(l, at, VIEW_NONE, 1 + world_random(w, 8));
        break;
    case 5: /* the end of another */
        graft(l, at, view_sub(*other, at, other->n), l->n - at);
        break;
    case 6: /* itself again */
        graft(l, at, view_of(noise, 0), 0);
        memcpy(noise, l->p, l->n < sizeof(noise) ? l->n : sizeof(noise));
        graft(l, at, view_of(noise, l->n < sizeof(noise) ? l->n : sizeof(noise)), 0);
        break;
    case 7: /* a header that fits no body */
        if (world_chance(w, 300))
            l->p[0] = (uint8_t)(0x40 | noise[0] % 0x40);
        break;
    default:
        if (l->n > 1)
            l->p[1] = noise[1] % 2 ? noise[0] : (uint8_t)(noise[0] % 8);
        break;
    }
}

/* Well-formed, and still not what was meant. */
static void rewrite(struct world *w, const struct corpus *c, struct letter *l)
{
    static const int64_t formats[] = {-1, 0, 40, 42, 60, 110, 112, 11542, 11543, 11544, 65535};
    static const char *const paths[] = {"/rd", "/dp", "/.well-known/core", "/rd/0", "/", "/rd//"};
    static const char *const queries[] = {"&lt=1",  "&lt=0",  "&ep=x", "&lwm2m=1.1",
                                          "&b=UQ",  "&sms=1", "&Q",    "&lt=99999999999",
                                          "&pid=7", "&=",     "&%2f"};
    struct wire m, other;
    uint8_t bytes[BODY_MAX], out[WIRE_MAX];

    memcpy(bytes, l->p, l->n);
    if (!wire_parse(view_of(bytes, l->n), &m))
        return;
    if (strcmp(m.path, "/rd") == 0 && world_chance(w, 500))
        snprintf(m.query, sizeof(m.query), "ep=ghost-%u&lt=%u&lwm2m=1.%u", world_random(w, 1000),
                 world_random(w, 400), world_random(w, 4));
    switch (world_random(w, 8)) {
    case 0:
        m.block1 = wire_block(world_random(w, 4), world_chance(w, 500), world_random(w, 8));
        break;
    case 1:
        m.block2 = wire_block(world_random(w, 4), world_chance(w, 500), world_random(w, 8));
        break;
    case 2:
        m.format = formats[world_random(w, mem_count(formats))];
        break;
    case 3:
        m.observe = m.observe < 0 ? 0 : (int64_t)world_random(w, 1u << 24);
        break;
    case 4:
        snprintf(m.path, sizeof(m.path), "%s", paths[world_random(w, mem_count(paths))]);
        break;
    case 5:
        if (strlen(m.query) < WIRE_TEXT / 2)
            strncat(m.query, queries[world_random(w, mem_count(queries))] + (*m.query == 0), 32);
        break;
    case 6:
        m.type = (uint8_t)world_random(w, 4);
        break;
    default:
        if (wire_parse(c->v[world_random(w, (uint32_t)c->n)], &other))
            m.payload = other.payload;
        break;
    }
    l->n = wire_build(&m, out);
    l->n = l->n < BODY_MAX ? l->n : BODY_MAX;
    memcpy(l->p, out, l->n);
}

static void compose(struct world *w, const struct corpus *c, struct letter *l)
{
    const struct view *v = &c->v[world_random(w, (uint32_t)c->n)];

    l->n = v->n < BODY_MAX ? v->n : BODY_MAX;
    memcpy(l->p, v->p, l->n);
    if (l->n > 4 && world_chance(w, 800)) { /* a message of its own */
        l->p[2] = (uint8_t)world_random(w, 256);
        l->p[3] = (uint8_t)world_random(w, 256);
    }
    for (uint32_t n = world_random(w, 4); n > 0; n--)
        rewrite(w, c, l);
    for (uint32_t n = world_chance(w, 400) ? 1 + world_random(w, 3) : 0; n > 0; n--)
        change(w, c, l);
}

/* ---- stories ---- */

/* It may forget, refuse and drop; it may not grow. */
static void check_bounds(struct world *w)
{
    for (uint16_t i = 0; i < w->shards; i++) {
        struct core_stats s;

        core_stats(w->lanes[i].core, &s);
        world_check(w, s.engine.peers <= LANE_SMALL_PEERS, "%zu peers", s.engine.peers);
        world_check(w, s.domain.devices <= LANE_SMALL_DEVICES, "%zu devices", s.domain.devices);
        world_check(w, s.engine.transfers <= 64, "%zu transfers", s.engine.transfers);
        world_check(w, s.engine.bytes <= 4 * LANE_SMALL_BYTES, "the engine holds %zu bytes",
                    s.engine.bytes);
        world_check(w, s.domain.observations <= 8 * s.domain.devices, "%zu observations",
                    s.domain.observations);
    }
}

static uint64_t portion(void)
{
    uint64_t seeds = story_number("SEEDS", 50);
    uint64_t n = story_number("SIM_DATAGRAMS", 20000) / STORIES / (seeds > 0 ? seeds : 1);
    char hint[40];

    n = n > LEAST ? n : LEAST;
    snprintf(hint, sizeof(hint), "SIM_DATAGRAMS=%llu", (unsigned long long)n * STORIES);
    story_hint(hint);
    return n;
}

static struct world *start(struct world_config *cfg)
{
    struct world *w;

    cfg->clients = DEVICES;
    cfg->small = true;
    cfg->loss = cfg->late = cfg->duplicate = 0;
    cfg->style.notify_min = 2;
    cfg->style.notify_max = 10;
    w = world_new(cfg);
    for (unsigned i = 0; i < cfg->clients; i++)
        client_start(&w->clients[i], SECOND);
    world_pass(w, 5 * SECOND);
    for (unsigned i = 0; i < cfg->clients; i++)
        (void)operator_ask(w, i, OP_OBSERVE);
    world_pass(w, 5 * SECOND);
    return w;
}

static uint64_t end(struct world *w)
{
    uint64_t trace;

    world_settle(w);
    trace = w->trace;
    world_free(w);
    return trace;
}

static struct corpus *tapped;

static void tap(struct world *w, const struct flow *flow, struct view datagram)
{
    bool request = datagram.n > 1 && datagram.p[1] >> 5 == 0 && datagram.p[1] != 0;

    (void)flow;
    if (request || world_chance(w, 100))
        corpus_add(tapped, datagram);
}

/* What devices of another world say to their server. */
static void overhear(struct corpus *c, uint64_t seed)
{
    struct world_config cfg;
    struct world *w;

    corpus_start(c);
    world_config_defaults(&cfg, ~seed);
    tapped = c;
    w = start(&cfg);
    w->tap = tap;
    for (unsigned i = 0; i < 40; i++) {
        operator_poke(w);
        world_pass(w, world_between(w, 0, 4 * SECOND));
        if (i % 8 == 0)
            client_reboot(&w->clients[i % DEVICES]);
    }
    world_free(w);
}

/* Strangers can neither take nor disturb what is registered. */
static uint64_t strangers(uint64_t seed)
{
    struct world_config cfg;
    struct corpus corpus;
    struct letter letter;
    struct world *w;
    struct flow from[STRANGERS];
    uint64_t n = portion();

    overhear(&corpus, seed);
    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 2);
    cfg.replace = REPLACE_REFUSE;
    w = start(&cfg);
    for (size_t i = 0; i < STRANGERS; i++)
        world_address(w, &from[i]);
    for (uint64_t i = 0; i < n; i++) {
        struct flow *f = &from[world_random(w, STRANGERS)];

        if (world_chance(w, 20))
            world_address(w, f);
        compose(w, &corpus, &letter);
        world_inject(w, f, view_of(letter.p, letter.n), 0);
        world_pass(w, world_between(w, 0, world_chance(w, 10) ? 5 * SECOND : 30));
        if (i % 50 == 0) {
            check_bounds(w);
            operator_poke(w);
        }
    }
    operator_check_watches(w);
    for (unsigned i = 0; i < cfg.clients; i++)
        world_check(w, w->clients[i].registered && w->clients[i].registrations == 1,
                    "%s lost its registration", w->clients[i].endpoint);
    world_check(w, w->desk.good * 2 > w->desk.count, "%llu of %zu operations succeed",
                (unsigned long long)w->desk.good, w->desk.count);
    corpus_fini(&corpus);
    return end(w);
}

/* ---- in the name of the devices ---- */

struct forger {
    struct corpus corpus;
    uint64_t left;
};
static struct forger *forger;

/* For each datagram of a device some like it, before and after. */
static void forge(struct world *w, const struct flow *flow, struct view datagram)
{
    struct letter letter;

    corpus_add(&forger->corpus, datagram);
    for (uint32_t n = world_random(w, 6); n > 0 && forger->left > 0; n--) {
        if (world_chance(w, 700)) {
            letter.n = datagram.n < BODY_MAX ? datagram.n : BODY_MAX;
            memcpy(letter.p, datagram.p, letter.n);
            if (world_chance(w, 500))
                rewrite(w, &forger->corpus, &letter);
            else
                change(w, &forger->corpus, &letter);
        } else {
            compose(w, &forger->corpus, &letter);
        }
        forger->left--;
        world_inject(w, flow, view_of(letter.p, letter.n), world_random(w, 3) * 100);
    }
}

/* A read may be given less time than a slow device needs for its blocks, but not each of several.
 */
static bool is_served(struct world *w, unsigned client)
{
    for (unsigned tries = 0; tries < 8 && w->clients[client].registered; tries++) {
        struct ticket *t = operator_ask(w, client, OP_READ);

        world_pass(w, 4 * MINUTE);
        if (t && t->done && (t->rc == ERR_OK || t->rc == ERR_DEVICE))
            return true;
    }
    return false;
}

/* Whoever speaks from a device's address can do all that the device can; but the server stands, and
 * a device that begins anew is served again. */
static uint64_t forged(uint64_t seed)
{
    struct world_config cfg;
    struct forger f = {.left = portion()};
    struct world *w;

    world_config_defaults(&cfg, seed);
    cfg.shards = (uint16_t)(1 + seed % 2);
    cfg.forged = true;
    corpus_start(&f.corpus);
    forger = &f;
    w = start(&cfg);
    w->tap = forge;
    while (f.left > 0) {
        struct client *c = &w->clients[world_random(w, cfg.clients)];

        operator_poke(w);
        world_pass(w, world_between(w, 0, 2 * SECOND));
        if (world_chance(w, 30))
            client_reboot(c);
        else if (world_chance(w, 30))
            client_rebind(c, true);
        else if (world_chance(w, 200))
            client_update(c, true);
        world_client_timer(w, c);
        check_bounds(w);
        world_audit(w);
    }
    w->tap = NULL;
    world_pass(w, 5 * MINUTE);
    for (unsigned i = 0; i < cfg.clients; i++) { /* a forged answer may have misled it for ever */
        client_off(&w->clients[i]);
        client_start(&w->clients[i], SECOND);
    }
    world_pass(w, 3 * MINUTE);
    for (unsigned i = 0; i < cfg.clients; i++)
        world_check(w, is_served(w, i), "%s is not served any more", w->clients[i].endpoint);
    corpus_fini(&f.corpus);
    return end(w);
}

static const struct story stories[] = {
    {"mutated datagrams of strangers", strangers},
    {"mutated datagrams in the name of the devices", forged},
};

int main(void)
{
    struct rusage usage;
    int rc = story_main(stories, mem_count(stories));

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        printf("# %ld KiB at most\n", usage.ru_maxrss);
    return rc;
}
