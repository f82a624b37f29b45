#include "operator.h"

#include "ledger.h"
#include "world.h"

#include <assert.h>
#include <stdio.h>

#define LATE_MS 2000 /* an operation may end this long after its deadline */

/* ---- tickets ---- */

struct ticket *operator_ticket_new(struct world *w, unsigned client, enum op_kind kind)
{
    struct desk *o = &w->desk;
    struct ticket *t = mem_new(sizeof(*t));

    if (o->count == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 64;
        o->tickets = mem_resize(o->tickets, o->cap * sizeof(struct ticket *));
    }
    assert(t && o->tickets);
    *t = (struct ticket){.w = w,
                         .kind = kind,
                         .client = client,
                         .serial = o->count + 1,
                         .submitted = w->now,
                         .counter = w->clients[client].counter,
                         .life = w->lives};
    o->tickets[o->count++] = t;
    o->open++;
    return t;
}

struct ticket *operator_ticket(struct world *w, uint64_t serial)
{
    return serial > 0 && serial <= w->desk.count ? w->desk.tickets[serial - 1] : NULL;
}

/* ---- observations ---- */

struct watch *operator_watch(struct world *w, uint64_t token)
{
    for (size_t i = 0; i < w->desk.watch_count; i++)
        if (w->desk.watches[i].active && w->desk.watches[i].token == token)
            return &w->desk.watches[i];
    return NULL;
}

/* Somebody has asked for its end, which may come before or after what was just said. */
static bool is_being_cancelled(const struct world *w, uint64_t token)
{
    for (size_t i = 0; i < w->desk.count; i++)
        if (w->desk.tickets[i]->kind == OP_OBSERVE_CANCEL && w->desk.tickets[i]->token == token)
            return true;
    return false;
}

/* Deliveries are counted from here on. */
static void count_anew(const struct world *w, struct client_observation *o)
{
    o->acked = 0;
    o->counted = w->now + 1;
}

static void watch_start(struct world *w, const struct ticket *t, uint64_t token)
{
    struct desk *o = &w->desk;
    const struct client *c = &w->clients[t->client];

    struct client_observation *kept = client_observation(&w->clients[t->client], token);

    if (operator_watch(w, token) || is_being_cancelled(w, token))
        return;
    if (kept)
        count_anew(w, kept);
    if (o->watch_count == o->watch_cap) {
        o->watch_cap = o->watch_cap ? o->watch_cap * 2 : 32;
        o->watches = mem_resize(o->watches, o->watch_cap * sizeof(*o->watches));
        assert(o->watches);
    }
    o->watches[o->watch_count++] =
        (struct watch){.active = c->registered && c->id >> 56 == token >> 56,
                       .client = t->client,
                       .token = token,
                       .registration_id = c->id,
                       .since = w->now,
                       .last = INT64_MIN,
                       .life = w->lives};
}

void operator_forget(struct world *w, unsigned client)
{
    for (size_t i = 0; i < w->desk.watch_count; i++)
        if (w->desk.watches[i].client == client)
            w->desk.watches[i].active = false;
}

static void observation_ended(struct world *w, const struct event *e)
{
    struct watch *watch = operator_watch(w, e->token);
    const struct client *c;

    if (!watch)
        return;
    c = &w->clients[watch->client];
    world_check(w, e->rc == ERR_CANCELLED || e->rc == ERR_UNREGISTERED || e->rc == ERR_DEVICE,
                "the observation %016llx of %s ends with %s", (unsigned long long)e->token,
                c->endpoint, err_name(e->rc));
    watch->active = false;
}

/* Nothing old comes after something newer. */
static void check_fresh(struct world *w, struct watch *watch, const struct event *e)
{
    static const struct path look = {.id = {3, 0, 9}, .depth = 3};
    const struct record *r = e->values ? batch_find(e->values, &look) : NULL;

    if (!r || w->cfg.forged)
        return;
    world_check(w, r->value.type == VALUE_INTEGER && r->value.u.integer > watch->last,
                "%s: the value %lld of %016llx comes after %lld", e->endpoint,
                (long long)r->value.u.integer, (unsigned long long)e->token,
                (long long)watch->last);
    watch->last = r->value.u.integer;
}

void operator_event(struct world *w, const struct event *e)
{
    struct watch *watch;

    if (e->type == EVENT_OBSERVATION_ENDED)
        observation_ended(w, e);
    if (e->type == EVENT_OPERATION)
        ledger_event(w, e);
    if (e->type != EVENT_NOTIFICATION)
        return;
    watch = operator_watch(w, e->token);
    if (!watch)
        return;
    watch->events++;
    check_fresh(w, watch, e);
}

/* ---- the end of an operation ---- */

/* What may become of an operation in a world where devices come, go and talk badly. */
static bool is_expected(int rc)
{
    static const int expected[] = {
        ERR_OK,    ERR_DEVICE,     ERR_TIMEOUT,     ERR_RESET,    ERR_UNREGISTERED, ERR_BUSY,
        ERR_FULL,  ERR_LIMIT,      ERR_UNSUPPORTED, ERR_NOTFOUND, ERR_STOPPING,     ERR_DISKFULL,
        ERR_STORE, ERR_INCOMPLETE, ERR_ACCEPTED,    ERR_CONFLICT, ERR_ASLEEP};

    for (size_t i = 0; i < mem_count(expected); i++)
        if (rc == expected[i])
            return true;
    return false;
}

static void check_read(struct world *w, const struct ticket *t, const struct op *op)
{
    const struct client *c = &w->clients[t->client];
    const struct record *r = op->result.values ? batch_find(op->result.values, &op->path) : NULL;

    if (op->path.depth != 3 || op->path.id[2] != 9 || w->cfg.reuse > 0)
        return;
    world_check(w, r && r->value.type == VALUE_INTEGER, "Read of %s has no value", c->endpoint);
    world_check(w, r->value.u.integer > t->counter && r->value.u.integer <= c->counter,
                "Read of %s gives %lld, which it never said meanwhile", c->endpoint,
                (long long)r->value.u.integer);
}

static void check_status(struct world *w, const struct ticket *t, const struct op *op)
{
    const struct registration *r = op->result.registration;

    world_check(w, r && view_eq_str(r->endpoint, w->clients[t->client].endpoint),
                "the status is of another device");
    world_check(w, disk_ever(&w->disk, r->id), "the status is of what was never durable");
}

static void check_success(struct world *w, struct ticket *t, const struct op *op)
{
    const struct client *c = &w->clients[t->client];

    w->desk.good++;
    switch (op->kind) {
    case OP_READ:
        check_read(w, t, op);
        break;
    case OP_STATUS:
        check_status(w, t, op);
        break;
    case OP_EXECUTE:
        world_check(w, t->executed > 0, "%s has not executed what is reported done", c->endpoint);
        break;
    case OP_WRITE_REPLACE:
        world_check(w, op->body || t->written > 0, "%s was never written what is reported done",
                    c->endpoint);
        break;
    case OP_OBSERVE:
        world_check(w, op->result.observation_count == 1, "an observation without a token");
        t->token = op->result.observations[0].token;
        world_check(w, disk_ever(&w->disk, t->token),
                    "the observation %016llx is reported and not durable",
                    (unsigned long long)t->token);
        watch_start(w, t, t->token);
        break;
    case OP_OBSERVE_CANCEL:
        world_check(w, !disk_observation(&w->disk, op->token),
                    "the observation %016llx is cancelled and durable",
                    (unsigned long long)op->token);
        break;
    case OP_DEREGISTER:
    case OP_DISCOVER:
    case OP_WRITE_UPDATE:
    case OP_WRITE_ATTRIBUTES:
    case OP_CREATE:
    case OP_DELETE:
    case OP_OBSERVE_LIST:
    case OP_READ_COMPOSITE:
    case OP_WRITE_COMPOSITE:
    case OP_OBSERVE_COMPOSITE:
    case OP_CANCEL:
    case OP_KIND_COUNT:
        break;
    }
}

static void done(struct op *op)
{
    struct ticket *t = op->ctx;
    struct world *w = t->w;
    int rc = op->result.rc;

    world_check(w, !t->done, "operation %llu ends twice", (unsigned long long)t->serial);
    t->done = true;
    t->rc = rc;
    t->op = NULL;
    w->desk.open--;
    if (w->muted) {
        t->lost = true;
        w->desk.lost++;
    } else {
        world_say(w, "operation %llu (%s of %s) ends with %s", (unsigned long long)t->serial,
                  op_kind_name(t->kind), op->endpoint, err_name(rc));
        w->desk.by_rc[-rc]++;
        if (t->durable)
            ledger_done(t, op);
        else
            world_check(w, is_expected(rc) || w->cfg.forged, "operation %llu (%s) ends with %s",
                        (unsigned long long)t->serial, op_kind_name(t->kind), err_name(rc));
        world_check(w, w->now <= t->deadline + LATE_MS + w->patience || rc == ERR_STOPPING,
                    "operation %llu (%s) ends %llu ms after its deadline",
                    (unsigned long long)t->serial, op_kind_name(t->kind),
                    (unsigned long long)(w->now - t->deadline));
        if (rc == ERR_OK && !w->cfg.forged && !t->durable)
            check_success(w, t, op);
    }
    op_free(op);
}

void operator_killed(struct world *w)
{
    world_check(w, w->desk.open == 0, "%zu operations outlived the server", w->desk.open);
    for (size_t i = 0; i < w->desk.watch_count; i++) {
        struct watch *watch = &w->desk.watches[i];
        struct client_observation *o = client_observation(&w->clients[watch->client], watch->token);

        watch->events = 0;
        watch->last = INT64_MIN; /* nothing tells the next life what was the last */
        if (o)
            count_anew(w, o);
    }
}

void operator_check_watches(struct world *w)
{
    for (size_t i = 0; i < w->desk.watch_count; i++) {
        struct watch *watch = &w->desk.watches[i];
        struct client *c = &w->clients[watch->client];
        struct client_observation *o = client_observation(c, watch->token);

        /* What comes in blocks is acknowledged before it is whole. */
        if (!watch->active || !c->registered || !o || o->acked == 0 || c->long_body)
            continue;
        w->desk.delivered++;
        world_check(w, watch->events > 0,
                    "%s: %u notifications of %016llx are acknowledged, none was delivered",
                    c->endpoint, o->acked, (unsigned long long)o->token);
    }
}

void operator_fini(struct world *w)
{
    struct desk *o = &w->desk;

    world_check(w, o->open == 0, "%zu operations never ended", o->open);
    for (size_t i = 0; i < o->count; i++)
        mem_free(o->tickets[i]);
    mem_free(o->tickets);
    mem_free(o->watches);
}

/* ---- asking ---- */

static struct path path_of(const char *text)
{
    struct path p = {0};
    int rc = path_parse(view_str(text), &p);

    assert(rc == ERR_OK);
    (void)rc;
    return p;
}

static void fill_write(struct world *w, struct ticket *t, struct op *op)
{
    char text[24];
    struct record r = {.path = path_of("/3/0/14"), .value.type = VALUE_STRING};

    if (world_chance(w, 200)) {
        uint8_t package[5000];

        random_bytes(&w->random, package, sizeof(package));
        op->path = path_of("/5/0/0");
        op->body = blob_new(view_of(package, world_between(w, 1, sizeof(package))));
        return;
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)t->serial);
    op->path = r.path;
    r.value.u.bytes = view_str(text);
    op->values = batch_new();
    assert(op->values);
    (void)batch_add(op->values, &r);
}

static void fill(struct world *w, struct ticket *t, struct op *op)
{
    static const char *const readable[] = {"/3/0/9", "/3/0/9", "/3/0/9",
                                           "/3/0",   "/3/0/0", "/3303/0"};
    char text[32];

    switch (op->kind) {
    case OP_READ:
    case OP_OBSERVE:
        op->path = path_of(readable[world_random(w, mem_count(readable))]);
        break;
    case OP_DISCOVER:
        op->path = path_of("/3/0");
        break;
    case OP_WRITE_REPLACE:
        fill_write(w, t, op);
        break;
    case OP_WRITE_ATTRIBUTES:
        op->path = path_of("/3/0");
        op->text = mem_text("pmin=5", 6);
        break;
    case OP_EXECUTE:
        snprintf(text, sizeof(text), "0='%llu'", (unsigned long long)t->serial);
        op->path = path_of("/3/0/4");
        op->text = mem_text(text, strlen(text));
        break;
    case OP_CREATE:
        op->path = path_of("/3303");
        break;
    case OP_DELETE:
        op->path = path_of("/3303/1");
        break;
    case OP_OBSERVE_CANCEL:
        op->token = t->token;
        break;
    case OP_STATUS:
    case OP_OBSERVE_LIST:
    case OP_DEREGISTER:
    case OP_WRITE_UPDATE:
    case OP_READ_COMPOSITE:
    case OP_WRITE_COMPOSITE:
    case OP_OBSERVE_COMPOSITE:
    case OP_CANCEL:
    case OP_KIND_COUNT:
        break;
    }
}

/* One that is cancelled is not counted on any more. */
static uint64_t token_to_cancel(struct world *w, unsigned client)
{
    for (size_t i = 0; i < w->desk.watch_count; i++) {
        struct watch *watch = &w->desk.watches[i];

        if (!watch->active || watch->client != client)
            continue;
        watch->active = false;
        return watch->token;
    }
    return 0x1234;
}

struct ticket *operator_ask(struct world *w, unsigned client, enum op_kind kind)
{
    struct ticket *t = operator_ticket_new(w, client, kind);
    struct op *op = operator_op_new(t);

    if (kind == OP_OBSERVE_CANCEL)
        t->token = token_to_cancel(w, client);
    fill(w, t, op);
    t->deadline = op->deadline = w->now + world_between(w, 5 * SECOND, 2 * MINUTE);
    return operator_submit(t) ? t : NULL;
}

struct op *operator_op_new(struct ticket *t)
{
    struct op *op = op_new(t->kind, view_str(t->w->clients[t->client].endpoint));

    assert(op);
    t->op = op;
    op->done = done;
    op->ctx = t;
    return op;
}

bool operator_submit(struct ticket *t)
{
    struct world *w = t->w;
    struct op *op = t->op;
    int rc;

    world_say(w, "operation %llu (%s of %s)", (unsigned long long)t->serial, op_kind_name(t->kind),
              op->endpoint);
    rc = world_submit(w, op);
    if (rc == ERR_OK)
        return true;
    world_check(w, rc == ERR_UNREGISTERED || rc == ERR_LOADING, "an operation is refused: %s",
                err_name(rc));
    t->done = true;
    t->op = NULL;
    t->rc = rc;
    w->desk.open--;
    op_free(op);
    return false;
}

void operator_poke(struct world *w)
{
    static const enum op_kind kinds[] = {
        OP_STATUS,      OP_READ,          OP_READ,          OP_READ,
        OP_DISCOVER,    OP_WRITE_REPLACE, OP_WRITE_REPLACE, OP_WRITE_ATTRIBUTES,
        OP_EXECUTE,     OP_EXECUTE,       OP_CREATE,        OP_DELETE,
        OP_OBSERVE,     OP_OBSERVE,       OP_OBSERVE,       OP_OBSERVE_CANCEL,
        OP_OBSERVE_LIST};

    (void)operator_ask(w, world_random(w, w->cfg.clients),
                       kinds[world_random(w, mem_count(kinds))]);
}
