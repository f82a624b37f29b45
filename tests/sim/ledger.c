#include "ledger.h"

#include "world.h"

#include <assert.h>
#include <stdio.h>

#define RACE_MS (10 * SECOND) /* those that came closer may have met on their way */

static struct path path_of(const char *text)
{
    struct path p = {0};
    int rc = path_parse(view_str(text), &p);

    assert(rc == ERR_OK);
    (void)rc;
    return p;
}

/* ---- asking ---- */

static void fill_write(const struct ticket *t, struct op *op)
{
    struct record r = {.path = path_of("/3/0/14"), .value.type = VALUE_STRING};
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)t->serial);
    op->path = r.path;
    r.value.u.bytes = view_str(text);
    op->values = batch_new();
    assert(op->values);
    (void)batch_add(op->values, &r);
}

static void fill_execute(struct world *w, const struct ticket *t, struct op *op)
{
    char text[32];

    snprintf(text, sizeof(text), "0='%llu'", (unsigned long long)t->serial);
    op->path = path_of("/3/0/5");
    op->text = mem_text(text, strlen(text));
    op->repeatable = world_chance(w, 200);
}

static void fill(struct world *w, const struct ticket *t, struct op *op)
{
    if (op->kind == OP_WRITE_REPLACE)
        fill_write(t, op);
    else if (op->kind == OP_EXECUTE)
        fill_execute(w, t, op);
    else if (op->kind == OP_CREATE)
        op->path = path_of("/3303");
    else if (op->kind == OP_DELETE)
        op->path = path_of("/3303/1");
    else
        op->path = path_of("/3/0/9");
}

struct ticket *ledger_ask(struct world *w, unsigned client)
{
    static const enum op_kind kinds[] = {OP_WRITE_REPLACE, OP_WRITE_REPLACE, OP_EXECUTE, OP_EXECUTE,
                                         OP_READ,          OP_CREATE,        OP_DELETE};
    enum op_kind kind = kinds[world_random(w, mem_count(kinds))];
    struct ticket *t = operator_ticket_new(w, client, kind);
    struct op *op = operator_op_new(t);

    op->durable = t->durable = true;
    op_id_new(&w->random, world_wall(w), &op->id);
    t->id = op->id;
    op->created_ms = world_wall(w);
    fill(w, t, op);
    t->repeatable = op->repeatable;
    if (world_chance(w, 100))
        op->expires_ms = world_wall(w) + (int64_t)world_between(w, SECOND, 10 * MINUTE);
    op->deadline = t->deadline = w->now + world_between(w, 0, 2 * MINUTE);
    return operator_submit(t) ? t : NULL;
}

void ledger_cancel(struct world *w)
{
    struct ticket *target, *t;
    struct op *op;

    if (w->desk.count == 0)
        return;
    target = w->desk.tickets[world_random(w, (uint32_t)w->desk.count)];
    if (!target->durable)
        return;
    t = operator_ticket_new(w, target->client, OP_CANCEL);
    op = operator_op_new(t);
    op->target = target->id;
    t->deadline = w->now + 2 * MINUTE;
    (void)operator_submit(t);
}

/* ---- what is said of it ---- */

static bool may_end_with(int rc)
{
    static const int expected[] = {
        ERR_OK,       ERR_DEVICE, ERR_RESET,    ERR_UNKNOWN, ERR_EXPIRED,  ERR_CANCELLED,
        ERR_ACCEPTED, ERR_BUSY,   ERR_EXISTS,   ERR_QUEUE,   ERR_STOPPING, ERR_UNREGISTERED,
        ERR_STORE,    ERR_FULL,   ERR_DISKFULL, ERR_STALE,   ERR_NOTFOUND};

    for (size_t i = 0; i < mem_count(expected); i++)
        if (rc == expected[i])
            return true;
    return false;
}

/* What he was told is on the disk. */
static void check_told(struct world *w, const struct ticket *t, const struct op *op)
{
    const struct operation *o = disk_operation(&w->disk, &op->id);
    int rc = op->result.rc;

    if (rc == ERR_ACCEPTED || rc == ERR_OK || rc == ERR_UNKNOWN || rc == ERR_EXPIRED)
        world_check(w, o, "operation %llu ends with %s and is not stored",
                    (unsigned long long)t->serial, err_name(rc));
    if (rc == ERR_OK)
        world_check(w, o->state == OP_STATE_DONE, "operation %llu is done and stored as %s",
                    (unsigned long long)t->serial, op_state_name(o->state));
}

void ledger_done(struct ticket *t, const struct op *op)
{
    struct world *w = t->w;
    int rc = op->result.rc;

    world_check(w, may_end_with(rc), "durable operation %llu (%s) ends with %s",
                (unsigned long long)t->serial, op_kind_name(t->kind), err_name(rc));
    check_told(w, t, op);
    /* The store knows of it, or nobody does. */
    t->promised = rc == ERR_ACCEPTED || rc == ERR_OK || rc == ERR_UNKNOWN || rc == ERR_DEVICE ||
                  rc == ERR_EXPIRED || rc == ERR_CANCELLED;
}

static struct ticket *ticket_of(const struct world *w, const struct op_id *id)
{
    for (size_t i = w->desk.count; i > 0; i--)
        if (w->desk.tickets[i - 1]->durable && op_id_eq(&w->desk.tickets[i - 1]->id, id))
            return w->desk.tickets[i - 1];
    return NULL;
}

static void check_order(struct world *w, struct ticket *t)
{
    for (size_t i = 0; i < w->desk.count; i++) {
        const struct ticket *newer = w->desk.tickets[i];

        world_check(w,
                    !newer->durable || newer->client != t->client || !newer->sent || t->sent ||
                        newer->submitted < t->submitted + RACE_MS,
                    "operation %llu leaves after the newer %llu", (unsigned long long)t->serial,
                    (unsigned long long)newer->serial);
    }
    t->sent = true;
}

void ledger_event(struct world *w, const struct event *e)
{
    const struct operation *o = e->operation;
    struct ticket *t = ticket_of(w, &o->id);

    world_check(w, t, "an event of an operation that nobody asked for");
    world_check(w, view_eq_str(o->endpoint, w->clients[t->client].endpoint),
                "operation %llu changes hands", (unsigned long long)t->serial);
    world_say(w, "operation %llu is %s", (unsigned long long)t->serial, op_state_name(o->state));
    if (o->state == OP_STATE_SENT)
        check_order(w, t);
    if (!op_state_settled(o->state))
        return;
    world_check(w, !t->settled || t->state == OP_STATE_UNKNOWN,
                "operation %llu is %s after it was %s", (unsigned long long)t->serial,
                op_state_name(o->state), op_state_name(t->state));
    t->settled = true;
    t->state = o->state;
}

void ledger_carried_out(struct ticket *t, uint64_t token)
{
    struct world *w = t->w;

    if (!t->durable)
        return;
    world_check(w, disk_operation(&w->disk, &t->id), "operation %llu is on the wire and not stored",
                (unsigned long long)t->serial);
    world_check(w, t->kind != OP_EXECUTE || t->repeatable || t->token == 0 || t->token == token,
                "operation %llu is carried out by two attempts", (unsigned long long)t->serial);
    t->token = token;
}

/* ---- the end ---- */

size_t ledger_open(const struct world *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->desk.count; i++) {
        const struct ticket *t = w->desk.tickets[i];
        const struct operation *o = t->durable ? disk_operation(&w->disk, &t->id) : NULL;

        n += o && !op_state_settled(o->state);
    }
    return n;
}

static void check_one(struct world *w, const struct ticket *t)
{
    const struct operation *o = disk_operation(&w->disk, &t->id);

    if (!o) {
        world_check(w, !t->promised, "operation %llu is lost", (unsigned long long)t->serial);
        world_check(w, t->executed + t->written == 0, "operation %llu was sent and is not stored",
                    (unsigned long long)t->serial);
        return;
    }
    world_check(w, op_state_settled(o->state), "operation %llu (%s of %s) is %s for ever",
                (unsigned long long)t->serial, op_kind_name(t->kind),
                w->clients[t->client].endpoint, op_state_name(o->state));
    if (o->state == OP_STATE_DONE && t->kind == OP_EXECUTE)
        world_check(w, t->executed > 0, "operation %llu is done, and was never executed",
                    (unsigned long long)t->serial);
    if (o->state == OP_STATE_DONE && t->kind == OP_WRITE_REPLACE)
        world_check(w, t->written > 0, "operation %llu is done, and was never written",
                    (unsigned long long)t->serial);
    if (o->state == OP_STATE_CANCELLED || o->state == OP_STATE_EXPIRED ||
        o->state == OP_STATE_FAILED)
        world_check(w, t->executed + t->written == 0, "operation %llu is %s, and was carried out",
                    (unsigned long long)t->serial, op_state_name(o->state));
}

void ledger_check(struct world *w)
{
    unsigned by_state[OP_STATE_COUNT] = {0};

    for (size_t i = 0; i < w->desk.count; i++) {
        const struct ticket *t = w->desk.tickets[i];
        const struct operation *o = t->durable ? disk_operation(&w->disk, &t->id) : NULL;

        if (t->durable)
            check_one(w, t);
        if (o)
            by_state[o->state]++;
    }
    for (int i = 0; i < OP_STATE_COUNT; i++)
        world_say(w, "  durable operations %s: %u", op_state_name((enum op_state)i), by_state[i]);
    world_check(w, by_state[OP_STATE_DONE] > 0, "no durable operation was done");
}
