#include "fleet.h"

#include <stdio.h>

/*
 * Devices in queue mode. Each registers and falls asleep: what comes then is counted and not
 * answered. It wakes with an Update, answers the numbered operations that `submit` has handed in,
 * and sleeps again when it has heard nothing for a while. A wave is all of them once; what it
 * brought is a line of its own.
 */

#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u
#define BUSY_MS 50 /* an exchange is still under way when the window closes */
#define IDLE_NS (100 * (uint64_t)NS_PER_MS)
#define BODY_MAX 64

struct sleeper {
    struct timer timer; /* while it is awake: when it falls asleep */
    struct serial_track track;
    uint16_t last_mid; /* of the last request, with its token and what it was answered */
    uint16_t last_mark;
    uint8_t last_code; /* 0: none yet */
    bool awake;
};

struct wave {
    bool under_way;
    unsigned number; /* 0: the registrations */
    uint64_t start_ns;
    uint64_t span_ns; /* over which the devices are spread */
    uint64_t last_operation_ns;
    uint32_t cursor; /* devices below it have been woken */
    struct hist updates;
};

struct sleepers {
    const struct options *o;
    struct swarm swarm;
    struct client *client;
    struct sleeper *devices;
    struct timer_wheel *wheel;
    struct registry *registry;
    struct content_env env;
    struct buf body;
    struct wave wave;
    uint64_t now_ms;
    size_t awake;
    sig_atomic_t signals; /* seen */
    uint64_t registers, updates, failed, busy;
    uint64_t operations[SERIAL_KINDS], again[SERIAL_KINDS];
    uint64_t skipped, disorder;
    uint64_t repeated; /* the same message */
    uint64_t foreign;  /* requests that carry no serial */
    uint64_t wasted;   /* datagrams to a device that sleeps */
};

/* ---- awake and asleep ---- */

static void stay_awake(struct sleepers *s, uint32_t device)
{
    struct sleeper *d = &s->devices[device];

    s->awake += !d->awake;
    d->awake = true;
    timer_start(s->wheel, &d->timer, s->now_ms + s->o->awake_ms);
}

static void on_timer(void *ctx, struct timer *t, uint64_t now)
{
    struct sleepers *s = ctx;
    struct sleeper *d = mem_container(t, struct sleeper, timer);

    if (s->swarm.devices[d - s->devices].slot != SWARM_NO_SLOT) {
        timer_start(s->wheel, t, now + BUSY_MS);
        return;
    }
    d->awake = false;
    s->awake--;
}

static bool hears(void *ctx, uint32_t device)
{
    struct sleepers *s = ctx;

    s->wasted += !s->devices[device].awake;
    return s->devices[device].awake;
}

/* With a Register where the server knows nothing of it. False when the window is full. */
static bool wake(struct sleepers *s, uint32_t device, uint64_t since_ns, uint64_t now_ns)
{
    const struct swarm_device *dev = &s->swarm.devices[device];

    if (dev->slot != SWARM_NO_SLOT) {
        s->busy++;
        return true;
    }
    if (!client_send(s->client, device, dev->id_len > 0 ? MESSAGE_UPDATE : MESSAGE_REGISTER, 0,
                     since_ns, now_ns))
        return false;
    stay_awake(s, device);
    return true;
}

static void on_done(void *ctx, uint32_t device, const struct client_result *r, uint64_t now_ns)
{
    struct sleepers *s = ctx;
    struct swarm_device *dev = &s->swarm.devices[device];

    s->now_ms = now_ns / NS_PER_MS;
    stay_awake(s, device);
    if (r->outcome != CLIENT_OK)
        s->failed++;
    if (r->outcome == CLIENT_REFUSED && r->kind == MESSAGE_UPDATE) {
        dev->id_len = 0;
        (void)wake(s, device, now_ns, now_ns);
    }
    if (r->outcome != CLIENT_OK)
        return;
    if (r->kind == MESSAGE_REGISTER) {
        s->registers++;
        swarm_take_location(dev, r->answer);
    } else {
        s->updates++;
        hist_add(&s->wave.updates, r->latency_ns);
    }
}

/* ---- operations ---- */

static void count(struct sleepers *s, uint32_t device, enum serial_kind kind, unsigned serial)
{
    enum serial_verdict verdict = serial_track(&s->devices[device].track, serial);

    if (verdict == SERIAL_AGAIN)
        s->again[kind]++;
    else
        s->operations[kind]++;
    s->skipped += verdict == SERIAL_SKIPPED;
    s->disorder += verdict == SERIAL_DISORDER;
    s->wave.last_operation_ns = s->now_ms * NS_PER_MS;
}

/* The serial is the value. */
static int read_back(struct sleepers *s, const struct request *r, unsigned serial,
                     struct request_answer *ret_answer)
{
    struct record value = {.path = r->path,
                           .value = {.type = VALUE_FLOAT, .u = {.float_ = (double)serial}}};
    struct batch *values = batch_new();
    int rc = values ? batch_add(values, &value) : ERR_NOMEM;

    ret_answer->format = r->accept == UINT32_MAX ? FORMAT_TEXT : (int32_t)r->accept;
    buf_reset(&s->body);
    if (rc == ERR_OK)
        rc = content_encode(ret_answer->format, &s->env, values, &r->path, &s->body);
    batch_free(values);
    ret_answer->body = buf_view(&s->body);
    return rc == ERR_FORMAT ? ERR_NOTACCEPTABLE : rc;
}

static int act(struct sleepers *s, uint32_t device, const struct request *r,
               struct request_answer *ret_answer)
{
    enum serial_kind kind = SERIAL_READ;
    unsigned serial;
    int rc = serial_parse(&s->env, r, &kind, &serial);

    ret_answer->code = kind == SERIAL_READ ? PDU_CONTENT : PDU_CHANGED;
    if (rc == ERR_OK && kind == SERIAL_READ)
        rc = read_back(s, r, serial, ret_answer);
    if (rc == ERR_OK)
        count(s, device, kind, serial);
    else
        s->foreign++;
    return rc;
}

/* A repeated Read is simply done again, but counts once. */
static bool is_repeated(struct sleepers *s, uint32_t device, const struct pdu *p)
{
    const struct sleeper *d = &s->devices[device];

    if (d->last_code == 0 || d->last_mid != p->mid || d->last_mark != request_mark(p))
        return false;
    s->repeated++;
    return true;
}

static int repeat(struct sleepers *s, uint32_t device, const struct request *r,
                  struct request_answer *ret_answer)
{
    enum serial_kind kind;
    unsigned serial;

    ret_answer->code = s->devices[device].last_code;
    if (ret_answer->code != PDU_CONTENT)
        return ERR_OK;
    return serial_parse(&s->env, r, &kind, &serial) < 0 ? ERR_NOTFOUND
                                                        : read_back(s, r, serial, ret_answer);
}

static void on_request(void *ctx, uint32_t device, const struct pdu *p, uint64_t now_ns)
{
    struct sleepers *s = ctx;
    struct sleeper *d = &s->devices[device];
    struct request_answer answer = REQUEST_ANSWER_NONE;
    struct request request;
    int rc;

    if (p->type != PDU_CON && p->type != PDU_NON)
        return;
    s->now_ms = now_ns / NS_PER_MS;
    stay_awake(s, device);
    rc = request_parse(p, &request);
    if (is_repeated(s, device, p))
        rc = repeat(s, device, &request, &answer);
    else if (rc == ERR_OK)
        rc = act(s, device, &request, &answer);
    else
        s->foreign++;
    if (rc < 0)
        answer = request_refused(rc);
    d->last_mid = p->mid;
    d->last_mark = request_mark(p);
    d->last_code = answer.code;
    request_reply(client_wire(s->client), &s->swarm, device, &request, &answer);
}

static const struct client_ops sleepers_ops = {
    .done = on_done, .hears = hears, .request = on_request};

/* ---- waves ---- */

static void begin_wave(struct sleepers *s, uint64_t span_ns)
{
    unsigned number = s->wave.number;
    bool first = s->wave.start_ns == 0;

    s->wave = (struct wave){.under_way = true,
                            .number = first ? 0 : number + 1,
                            .start_ns = clock_mono_ns(),
                            .span_ns = span_ns};
}

static uint64_t sum(const uint64_t counts[SERIAL_KINDS])
{
    uint64_t n = 0;

    for (size_t i = 0; i < SERIAL_KINDS; i++)
        n += counts[i];
    return n;
}

/* All numbers but those of the wave count from the start of the run. */
static void report(const struct sleepers *s, const char *event)
{
    const struct client_stats *c = client_stats(s->client);
    const struct wave *w = &s->wave;
    uint64_t last_ns = w->last_operation_ns > w->start_ns ? w->last_operation_ns - w->start_ns : 0;

    printf("{\"mode\":\"sleepers\",\"event\":\"%s\",\"wave\":%u,\"elapsed_s\":%.3f,"
           "\"last_operation_s\":%.3f,\"registered\":%zu,\"awake\":%zu",
           event, w->number, (double)(clock_mono_ns() - w->start_ns) / NS_PER_S,
           (double)last_ns / NS_PER_S, swarm_registered(&s->swarm), s->awake);
    printf(",\"registers\":%llu,\"updates\":%llu,\"failed\":%llu,\"busy\":%llu,\"operations\":%llu",
           (unsigned long long)s->registers, (unsigned long long)s->updates,
           (unsigned long long)s->failed, (unsigned long long)s->busy,
           (unsigned long long)sum(s->operations));
    printf(",\"writes\":%llu,\"executes\":%llu,\"reads\":%llu",
           (unsigned long long)s->operations[SERIAL_WRITE],
           (unsigned long long)s->operations[SERIAL_EXECUTE],
           (unsigned long long)s->operations[SERIAL_READ]);
    printf(",\"writes_again\":%llu,\"executes_again\":%llu,\"reads_again\":%llu",
           (unsigned long long)s->again[SERIAL_WRITE], (unsigned long long)s->again[SERIAL_EXECUTE],
           (unsigned long long)s->again[SERIAL_READ]);
    printf(",\"out_of_order\":%llu,\"skipped\":%llu,\"repeated\":%llu,\"foreign\":%llu",
           (unsigned long long)s->disorder, (unsigned long long)s->skipped,
           (unsigned long long)s->repeated, (unsigned long long)s->foreign);
    printf(",\"asleep_datagrams\":%llu,\"retransmitted\":%llu,\"lost\":%llu,\"cpu_s\":%.3f",
           (unsigned long long)s->wasted, (unsigned long long)c->retransmitted,
           (unsigned long long)c->outcomes[CLIENT_LOST], result_cpu_s());
    result_latency(&w->updates);
    printf("}\n");
    fflush(stdout);
}

/* Each is late from the moment it was due, also when the window is full. */
static void go_on(struct sleepers *s)
{
    struct wave *w = &s->wave;
    uint64_t now_ns = clock_mono_ns(), count = s->swarm.count;

    s->now_ms = now_ns / NS_PER_MS;
    while (w->under_way && w->cursor < count) {
        uint64_t due_ns =
            w->start_ns + (uint64_t)((double)w->cursor / (double)count * (double)w->span_ns);

        if (due_ns > now_ns)
            return;
        if (w->span_ns == 0 && client_outstanding(s->client) >= s->o->window)
            return;
        if (!wake(s, w->cursor, w->span_ns > 0 ? due_ns : now_ns, now_ns))
            return;
        w->cursor++;
    }
}

static void turn(struct sleepers *s)
{
    struct wave *w = &s->wave;

    if (w->under_way && w->cursor == s->swarm.count && s->awake == 0) {
        report(s, "asleep");
        w->under_way = false;
    }
    if (w->under_way && (w->number == 0 || s->o->rate == 0))
        return;
    if (s->o->rate > 0 && w->cursor == s->swarm.count) { /* in turn, for ever */
        if (w->under_way)
            report(s, "wave");
        begin_wave(s, (uint64_t)((double)s->swarm.count / (double)s->o->rate * NS_PER_S));
    } else if (s->o->rate == 0 && s->signals != main_signals) {
        s->signals++;
        begin_wave(s, s->o->within_ms * NS_PER_MS);
    }
}

static uint64_t wait_ns(const struct sleepers *s)
{
    uint64_t next = timer_wheel_next(s->wheel);

    if (s->wave.under_way && s->wave.cursor < s->swarm.count)
        return NS_PER_MS / 4;
    if (next <= s->now_ms)
        return 0;
    return next - s->now_ms < IDLE_NS / NS_PER_MS ? (next - s->now_ms) * NS_PER_MS : IDLE_NS;
}

static void live(struct sleepers *s)
{
    uint64_t end_ns = UINT64_MAX;
    bool ready = false;

    if (s->o->duration_ms)
        end_ns = clock_mono_ns() + s->o->duration_ms * NS_PER_MS;
    begin_wave(s, 0);
    while (!main_stopped && clock_mono_ns() < end_ns) {
        go_on(s);
        client_poll(s->client, wait_ns(s));
        s->now_ms = clock_mono_ms();
        timer_wheel_run(s->wheel, s->now_ms, 0);
        if (!ready && s->wave.cursor == s->swarm.count && client_outstanding(s->client) == 0) {
            ready = true;
            report(s, "ready");
        }
        turn(s);
    }
    report(s, "end");
}

/* ---- a run ---- */

static int sleepers_init(struct sleepers *s)
{
    uint64_t now_ns = clock_mono_ns();
    int rc;

    s->now_ms = now_ns / NS_PER_MS;
    s->signals = main_signals;
    s->devices = mem_new(s->swarm.count * sizeof(*s->devices));
    s->wheel = timer_wheel_new(s->now_ms, on_timer, s);
    if (!s->devices || !s->wheel)
        return ERR_NOMEM;
    rc = object_definitions(&s->registry);
    if (rc == ERR_OK)
        rc = client_new(s->o, &s->swarm, &sleepers_ops, s, now_ns, &s->client);
    s->env.registry = s->registry;
    return rc;
}

static void sleepers_fini(struct sleepers *s)
{
    for (size_t i = 0; s->devices && s->wheel && i < s->swarm.count; i++)
        timer_stop(s->wheel, &s->devices[i].timer);
    client_free(s->client);
    timer_wheel_free(s->wheel);
    registry_unref(s->registry);
    buf_fini(&s->body);
    mem_free(s->devices);
    swarm_close(&s->swarm);
}

int sleepers_run(const struct options *o)
{
    struct sleepers *s = mem_new(sizeof(*s));
    int rc = s ? swarm_open(o, &s->swarm) : ERR_NOMEM;

    if (rc < 0) {
        mem_free(s);
        return rc;
    }
    s->o = o;
    buf_init(&s->body, BODY_MAX);
    rc = sleepers_init(s);
    if (rc == ERR_OK)
        live(s);
    sleepers_fini(s);
    mem_free(s);
    return rc;
}
