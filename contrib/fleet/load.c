#include "fleet.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*
 * The request loads: register, update, deregister, storm. Closed loop: at most `window` requests
 * are outstanding, each answer makes room for the next. Open loop: a request falls due every 1/rate
 * s, and its latency counts from when it was due, so that a stall of the server is not left out.
 */

#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u
#define IDLE_NS (100 * NS_PER_MS)
#define DRAIN_MS 2000 /* of a run with an end, for what is still on its way */

struct load {
    const struct options *o;
    enum message_kind kind;
    struct swarm swarm;
    struct client *client;
    uint64_t active;
    uint64_t stride;
    uint64_t target; /* requests in all; UINT64_MAX: until the time is over */
    uint64_t started;
    uint64_t cursor;
    uint64_t start_ns, end_ns, last_ok_ns;
    uint64_t ok_in_time;
    int report;
};

/* ---- answers ---- */

/* At once, by a write of its own: whoever kills the server next will ask for every line. */
static void report_line(const struct load *l, uint32_t device)
{
    const struct swarm_device *dev = &l->swarm.devices[device];
    char line[160];
    int n = snprintf(line, sizeof(line), "%s%08u %.*s\n", l->o->prefix, l->swarm.first + device,
                     dev->id_len, dev->id);

    if (write(l->report, line, (size_t)n) != n)
        fprintf(stderr, "fleet: the report cannot be written\n");
}

static void on_done(void *ctx, uint32_t device, const struct client_result *r, uint64_t now_ns)
{
    struct load *l = ctx;

    if (r->outcome == CLIENT_REFUSED && r->kind != MESSAGE_REGISTER)
        l->swarm.devices[device].id_len = 0;
    if (r->outcome != CLIENT_OK)
        return;
    if (now_ns <= l->end_ns) {
        l->ok_in_time++;
        l->last_ok_ns = now_ns;
    }
    if (r->kind == MESSAGE_REGISTER) {
        swarm_take_location(&l->swarm.devices[device], r->answer);
        if (l->report >= 0)
            report_line(l, device);
    } else if (r->kind == MESSAGE_DEREGISTER) {
        l->swarm.devices[device].id_len = 0;
    }
}

static const struct client_ops load_ops = {.done = on_done};

/* ---- requests ---- */

static bool usable(const struct load *l, uint32_t device)
{
    const struct swarm_device *dev = &l->swarm.devices[device];

    return dev->slot == SWARM_NO_SLOT && (l->kind == MESSAGE_REGISTER || dev->id_len > 0);
}

/* Without repetition until all had their turn, whatever the order: a Register of a device that is
 * registered is another thing than a new one. The multiplier is a prime larger than any swarm. */
static uint64_t shuffled(uint64_t n, uint64_t of)
{
    return n % of * 2654435761u % of;
}

/* A device that may send now. One that may not (still waiting, not registered) is passed over, but
 * not for ever. */
static bool pick(struct load *l, uint32_t *ret_device)
{
    uint64_t tries = l->active < 4096 ? l->active : 4096;

    for (; tries > 0; tries--) {
        uint64_t n = l->cursor++;
        uint32_t device;

        n = l->o->random_order ? shuffled(n, l->active) : n % l->active;
        device = (uint32_t)(n * l->stride);

        if (usable(l, device)) {
            *ret_device = device;
            return true;
        }
    }
    return false;
}

static uint64_t due_ns(const struct load *l)
{
    if (l->o->rate == 0)
        return l->start_ns;
    return l->start_ns + (uint64_t)((double)l->started * NS_PER_S / (double)l->o->rate);
}

/* Starts what may be started; returns how long to wait for more. */
static uint64_t start_some(struct load *l)
{
    uint64_t now_ns = clock_mono_ns();
    uint32_t device;

    while (l->started < l->target && client_outstanding(l->client) < l->o->window) {
        uint64_t due = due_ns(l);

        if (due > now_ns)
            return due - now_ns;
        if (!pick(l, &device))
            return NS_PER_MS;
        client_send(l->client, device, l->kind, 0, l->o->rate > 0 ? due : now_ns, now_ns);
        l->started++;
    }
    return IDLE_NS;
}

static void loop(struct load *l)
{
    uint64_t drain_ns;

    l->start_ns = clock_mono_ns();
    l->end_ns = l->o->duration_ms ? l->start_ns + l->o->duration_ms * NS_PER_MS : UINT64_MAX;
    while (!main_stopped && clock_mono_ns() < l->end_ns) {
        uint64_t wait_ns = start_some(l);

        if (l->started >= l->target && client_outstanding(l->client) == 0)
            return;
        client_poll(l->client, wait_ns);
    }
    drain_ns = clock_mono_ns() + (uint64_t)DRAIN_MS * NS_PER_MS;
    while (client_outstanding(l->client) > 0 && clock_mono_ns() < drain_ns)
        client_poll(l->client, NS_PER_MS);
}

/* ---- a run ---- */

static enum message_kind kind_of(enum fleet_mode mode)
{
    switch (mode) {
    case MODE_UPDATE:
        return MESSAGE_UPDATE;
    case MODE_DEREGISTER:
        return MESSAGE_DEREGISTER;
    case MODE_REGISTER:
    case MODE_STORM:
    case MODE_SERVE:
    case MODE_FLOOR:
    case MODE_REST:
    case MODE_SUBMIT:
    case MODE_SLEEPERS:
    default:
        return MESSAGE_REGISTER;
    }
}

static int open_report(struct load *l)
{
    l->report = -1;
    if (!l->o->report)
        return ERR_OK;
    l->report = open(l->o->report, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    return l->report < 0 ? ERR_IO : ERR_OK;
}

int load_run(const struct options *o)
{
    struct load l = {.o = o, .kind = kind_of(o->mode)};
    struct result r;
    int rc = open_report(&l);

    if (rc < 0)
        return rc;
    rc = swarm_open(o, &l.swarm);
    if (rc < 0)
        goto out;
    l.active = o->active && o->active < o->devices ? o->active : o->devices;
    l.stride = o->devices / l.active;
    l.target = o->count ? o->count : o->duration_ms ? UINT64_MAX : l.active;
    rc = client_new(o, &l.swarm, &load_ops, &l, clock_mono_ns(), &l.client);
    if (rc == ERR_OK) {
        loop(&l);
        r = (struct result){.completed = l.ok_in_time, .registered = swarm_registered(&l.swarm)};
        if (o->duration_ms && !main_stopped && l.started < l.target)
            r.elapsed_s = (double)o->duration_ms / 1000;
        else if (l.last_ok_ns)
            r.elapsed_s = (double)(l.last_ok_ns - l.start_ns) / NS_PER_S;
        result_print(o, &r, client_stats(l.client));
        client_free(l.client);
    }
    swarm_close(&l.swarm);
out:
    if (l.report >= 0)
        close(l.report);
    return rc;
}
