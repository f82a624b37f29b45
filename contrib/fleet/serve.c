#include "fleet.h"

#include <stdio.h>

/*
 * Devices that live: each registers, updates before its lifetime ends, registers again when the
 * server has forgotten it, answers what the server asks and notifies what it observes.
 */

#define NS_PER_MS 1000000u
#define IDLE_NS (1000 * (uint64_t)NS_PER_MS)
#define BUSY_MS 50 /* until a device that waits for an answer, or for a place, tries again */
#define RETRY_MS 10000
#define OBSERVATIONS_MAX 16 /* of one device */
#define BODY_MAX 4096
#define SEQUENCE_MASK 0xffffffu /* RFC 7641 section 3.4 */

struct watch {
    struct timer timer; /* next notification */
    struct watch *next;
    uint64_t number;
    uint32_t device;
    uint32_t sequence;
    int32_t format;
    uint16_t mid; /* of the last Non-confirmable notification */
    uint8_t token_len;
    uint8_t token[PDU_TOKEN_MAX];
    struct path path;
};

struct life {
    struct timer timer; /* next Register or Update */
    struct timer send;  /* next Send */
    struct watch *observations;
    struct object_state state;
    uint32_t told_lifetime_s; /* the server knows of it */
    uint16_t last_mid;        /* of the last request, with its token and what it was answered */
    uint16_t last_token;
    uint8_t last_code; /* 0: none yet */
};

struct serve {
    const struct options *o;
    struct swarm swarm;
    struct client *client;
    struct life *lives;
    struct registry *registry;
    struct timer_wheel *life_wheel, *notify_wheel, *send_wheel;
    struct random random;
    struct buf body;
    uint64_t now_ms;
    uint64_t numbers; /* of observations */
    uint32_t fresh;   /* devices below it have been started */
    uint64_t registers, updates, requests, duplicates, notifications, observations, sends;
};

/* ---- register and update ---- */

static void again_in(struct serve *s, uint32_t device, uint64_t ms)
{
    timer_start(s->life_wheel, &s->lives[device].timer, s->now_ms + ms);
}

/* At 75 to 85 % of the lifetime, so that a million devices do not speak at once. */
static void plan_update(struct serve *s, uint32_t device)
{
    uint64_t ms = (uint64_t)s->lives[device].state.lifetime_s * 1000;

    again_in(s, device, ms / 4 * 3 + random_below(&s->random, ms / 10 + 1));
}

static void on_life_timer(void *ctx, struct timer *t, uint64_t now)
{
    struct serve *s = ctx;
    struct life *life = mem_container(t, struct life, timer);
    uint32_t device = (uint32_t)(life - s->lives);
    const struct swarm_device *dev = &s->swarm.devices[device];
    uint64_t now_ns = clock_mono_ns();
    bool registered = dev->id_len > 0;
    uint32_t changed = life->told_lifetime_s == life->state.lifetime_s ? 0 : life->state.lifetime_s;

    (void)now;
    if (dev->slot != SWARM_NO_SLOT ||
        !client_send(s->client, device, registered ? MESSAGE_UPDATE : MESSAGE_REGISTER,
                     registered ? changed : 0, now_ns, now_ns))
        again_in(s, device, BUSY_MS);
}

/* The first comes at a time of its own within the interval. */
static void plan_send(struct serve *s, uint32_t device, uint64_t ms)
{
    if (s->o->send_ms > 0)
        timer_start(s->send_wheel, &s->lives[device].send, s->now_ms + ms);
}

static void on_send_timer(void *ctx, struct timer *t, uint64_t now)
{
    struct serve *s = ctx;
    uint32_t device = (uint32_t)(mem_container(t, struct life, send) - s->lives);
    const struct swarm_device *dev = &s->swarm.devices[device];
    uint64_t now_ns = clock_mono_ns();

    (void)now;
    if (dev->id_len == 0)
        return; /* again when it is registered */
    if (dev->slot != SWARM_NO_SLOT ||
        !client_send(s->client, device, MESSAGE_SEND, 0, now_ns, now_ns))
        plan_send(s, device, BUSY_MS);
}

/* ---- observations ---- */

static struct watch **find_token(struct serve *s, uint32_t device, const struct pdu *p)
{
    struct watch **at = &s->lives[device].observations;

    while (*at &&
           !view_eq(view_of((*at)->token, (*at)->token_len), view_of(p->token, p->token_len)))
        at = &(*at)->next;
    return at;
}

static void remove_observation(struct serve *s, struct watch **at)
{
    struct watch *o = *at;

    *at = o->next;
    timer_stop(s->notify_wheel, &o->timer);
    s->observations--;
    mem_free(o);
}

static void forget_observations(struct serve *s, uint32_t device)
{
    while (s->lives[device].observations)
        remove_observation(s, &s->lives[device].observations);
}

/* The first notification comes at a time of its own within the interval. */
static struct watch *add_observation(struct serve *s, uint32_t device, const struct request *asked)
{
    struct watch **at = find_token(s, device, asked->pdu);
    struct watch *o;
    size_t n = 0;

    for (o = s->lives[device].observations; o; o = o->next)
        n++;
    if (*at)
        remove_observation(s, at);
    else if (n >= OBSERVATIONS_MAX)
        return NULL;
    o = mem_new(sizeof(*o));
    if (!o)
        return NULL;
    o->device = device;
    o->number = ++s->numbers;
    o->path = asked->path;
    o->format = asked->accept == UINT32_MAX ? FORMAT_NONE : (int32_t)asked->accept;
    o->token_len = asked->pdu->token_len;
    memcpy(o->token, asked->pdu->token, sizeof(o->token));
    o->sequence = 1;
    o->next = s->lives[device].observations;
    s->lives[device].observations = o;
    s->observations++;
    timer_start(s->notify_wheel, &o->timer,
                s->now_ms + 1 + random_below(&s->random, s->o->notify_ms));
    return o;
}

/* ---- values ---- */

static void view_device(struct serve *s, uint32_t device, uint64_t now_ms, char *endpoint,
                        struct object_view *v)
{
    snprintf(endpoint, OBJECT_NAME_MAX + 16, "%s%08u", s->o->prefix, s->swarm.first + device);
    *v = (struct object_view){.state = &s->lives[device].state,
                              .endpoint = endpoint,
                              .device = device,
                              .now_ms = now_ms,
                              .wall_ms = clock_wall_ms()};
}

/* Into s->body; *format is the one wanted or FORMAT_NONE, and becomes the one used. */
static int represent(struct serve *s, uint32_t device, const struct path *p, uint64_t now_ms,
                     int32_t *format)
{
    struct content_env env = {.registry = s->registry};
    char endpoint[OBJECT_NAME_MAX + 16];
    struct batch *values = batch_new();
    struct object_view v;
    int rc;

    if (!values)
        return ERR_NOMEM;
    view_device(s, device, now_ms, endpoint, &v);
    env.now_ms = v.wall_ms;
    buf_reset(&s->body);
    rc = object_read(&v, p, values);
    if (*format == FORMAT_NONE)
        *format = p->depth == 3 && batch_size(values) == 1 && batch_at(values, 0)->path.depth == 3
                      ? FORMAT_TEXT
                      : FORMAT_TLV;
    if (rc == ERR_OK)
        rc = content_encode(*format, &env, values, p, &s->body);
    batch_free(values);
    return rc == ERR_OK ? s->body.rc : rc;
}

static size_t write_notification(struct serve *s, const struct watch *o, enum pdu_type type,
                                 uint16_t mid, uint64_t now_ms, uint8_t *out)
{
    struct pdu_writer w;
    struct view datagram;
    int32_t format = o->format;

    if (represent(s, o->device, &o->path, now_ms, &format) < 0)
        return 0;
    pdu_begin(&w, out, WIRE_DATAGRAM_MAX, type, PDU_CONTENT, mid, view_of(o->token, o->token_len));
    pdu_put_uint(&w, PDU_OBSERVE, o->sequence);
    pdu_put_uint(&w, PDU_CONTENT_FORMAT, (uint32_t)format);
    pdu_put_payload(&w, buf_view(&s->body));
    return pdu_finish(&w, &datagram) < 0 ? 0 : datagram.n;
}

static struct watch **find_number(struct serve *s, uint32_t device, uint32_t number)
{
    struct watch **at = &s->lives[device].observations;

    while (*at && (uint32_t)(*at)->number != number)
        at = &(*at)->next;
    return at;
}

static size_t write_notify(void *ctx, uint32_t device, uint32_t argument, uint16_t mid,
                           uint64_t first_ms, uint8_t *out)
{
    struct serve *s = ctx;
    struct watch *o = *find_number(s, device, argument);

    return o ? write_notification(s, o, PDU_CON, mid, first_ms, out) : 0;
}

static void on_notify_timer(void *ctx, struct timer *t, uint64_t now)
{
    struct serve *s = ctx;
    struct watch *o = mem_container(t, struct watch, timer);
    struct swarm_device *dev = &s->swarm.devices[o->device];
    uint64_t now_ns = clock_mono_ns();

    timer_start(s->notify_wheel, t, now + s->o->notify_ms);
    o->sequence = (o->sequence + 1) & SEQUENCE_MASK;
    if (s->o->notify_confirmable) {
        if (dev->slot != SWARM_NO_SLOT ||
            !client_send(s->client, o->device, MESSAGE_NOTIFY, (uint32_t)o->number, now_ns, now_ns))
            return; /* NSTART: the next one will tell */
    } else {
        uint8_t *out = wire_reserve(client_wire(s->client));
        size_t n;

        o->mid = dev->mid++;
        n = write_notification(s, o, PDU_NON, o->mid, now, out);
        if (n == 0)
            return;
        wire_commit(client_wire(s->client), swarm_address(&s->swarm, o->device), n);
    }
    s->notifications++;
}

static void on_reset(void *ctx, uint32_t device, uint16_t mid)
{
    struct serve *s = ctx;
    struct watch **at = &s->lives[device].observations;

    while (*at && (*at)->mid != mid)
        at = &(*at)->next;
    if (*at)
        remove_observation(s, at);
}

/* ---- requests of the server ---- */

static int do_get(struct serve *s, uint32_t device, const struct request *a,
                  struct request_answer *say)
{
    int rc;

    say->code = PDU_CONTENT;
    if (a->accept == FORMAT_LINK) {
        say->format = FORMAT_LINK;
        buf_reset(&s->body);
        return object_discover(&a->path, &s->body);
    }
    say->format = a->accept == UINT32_MAX ? FORMAT_NONE : (int32_t)a->accept;
    rc = represent(s, device, &a->path, s->now_ms, &say->format);
    if (rc == ERR_FORMAT)
        return ERR_NOTACCEPTABLE;
    if (rc < 0)
        return rc;
    if (a->observe == 0) {
        if (add_observation(s, device, a))
            say->observe = 1;
    } else if (a->observe == 1) {
        struct watch **at = find_token(s, device, a->pdu);

        if (*at)
            remove_observation(s, at);
    }
    return ERR_OK;
}

/* A Write replaces or updates; without a body it is Write-Attributes, which these devices lack. */
static int do_write(struct serve *s, uint32_t device, const struct request *a,
                    struct request_answer *say)
{
    struct content_env env = {.registry = s->registry};
    int32_t format = a->format == UINT32_MAX ? FORMAT_NONE : (int32_t)a->format;
    char endpoint[OBJECT_NAME_MAX + 16];
    struct object_view v;
    struct batch *values;
    int rc;

    if (a->has_query || a->path.depth < 2)
        return ERR_METHOD;
    values = batch_new();
    if (!values)
        return ERR_NOMEM;
    view_device(s, device, s->now_ms, endpoint, &v);
    env.now_ms = v.wall_ms;
    rc = content_decode(format, &env, a->pdu->payload, &a->path, values);
    if (rc == ERR_OK)
        rc = object_write(&v, &a->path, values);
    batch_free(values);
    if (v.update_wanted)
        again_in(s, device, BUSY_MS);
    say->code = PDU_CHANGED;
    return rc;
}

static int do_execute(struct serve *s, uint32_t device, const struct request *a,
                      struct request_answer *say)
{
    char endpoint[OBJECT_NAME_MAX + 16];
    struct object_view v;
    int rc;

    view_device(s, device, s->now_ms, endpoint, &v);
    rc = object_execute(&v, &a->path);
    if (v.update_wanted)
        again_in(s, device, BUSY_MS);
    say->code = PDU_CHANGED;
    return rc;
}

static int act(struct serve *s, uint32_t device, const struct request *a,
               struct request_answer *say)
{
    switch (a->pdu->code) {
    case PDU_GET:
        return do_get(s, device, a, say);
    case PDU_PUT:
        return do_write(s, device, a, say);
    case PDU_POST:
        return a->path.depth == 3 ? do_execute(s, device, a, say) : do_write(s, device, a, say);
    default:
        return ERR_METHOD;
    }
}

static void reply(struct serve *s, uint32_t device, const struct request *asked,
                  struct request_answer *say)
{
    if (say->code == PDU_CONTENT)
        say->body = buf_view(&s->body);
    request_reply(client_wire(s->client), &s->swarm, device, asked, say);
}

/* NSTART is 1, so one request is enough to remember. A repeated Read is simply done again. */
static bool duplicate(struct serve *s, uint32_t device, const struct pdu *p, uint16_t token)
{
    const struct life *life = &s->lives[device];

    if (life->last_code == 0 || life->last_mid != p->mid || life->last_token != token)
        return false;
    s->duplicates++;
    return p->code != PDU_GET;
}

static void on_request(void *ctx, uint32_t device, const struct pdu *p, uint64_t now_ns)
{
    struct serve *s = ctx;
    struct life *life = &s->lives[device];
    uint16_t token = request_mark(p);
    struct request_answer say = REQUEST_ANSWER_NONE;
    struct request asked;
    int rc;

    s->now_ms = now_ns / NS_PER_MS;
    if (p->type != PDU_CON && p->type != PDU_NON)
        return;
    rc = request_parse(p, &asked);
    if (duplicate(s, device, p, token)) {
        say.code = life->last_code;
        reply(s, device, &asked, &say);
        return;
    }
    s->requests++;
    if (rc == ERR_OK)
        rc = act(s, device, &asked, &say);
    if (rc < 0)
        say = request_refused(rc);
    life->last_mid = p->mid;
    life->last_token = token;
    life->last_code = say.code;
    reply(s, device, &asked, &say);
}

/* ---- answers of the server ---- */

static void on_notified(struct serve *s, uint32_t device, const struct client_result *r)
{
    struct watch **at = find_number(s, device, r->argument);

    /* RFC 7641 section 4.5: who rejects, or never acknowledges, does not observe any more. */
    if (*at && r->outcome != CLIENT_OK)
        remove_observation(s, at);
}

static void on_done(void *ctx, uint32_t device, const struct client_result *r, uint64_t now_ns)
{
    struct serve *s = ctx;
    struct life *life = &s->lives[device];

    s->now_ms = now_ns / NS_PER_MS;
    if (r->kind == MESSAGE_NOTIFY) {
        on_notified(s, device, r);
        return;
    }
    if (r->kind == MESSAGE_SEND) {
        s->sends += r->outcome == CLIENT_OK;
        plan_send(s, device, s->o->send_ms);
        return;
    }
    if (r->outcome == CLIENT_OK) {
        if (r->kind == MESSAGE_REGISTER) {
            swarm_take_location(&s->swarm.devices[device], r->answer);
            plan_send(s, device, 1 + random_below(&s->random, s->o->send_ms + 1));
            forget_observations(s, device);
            s->registers++;
            life->told_lifetime_s = (uint32_t)s->o->lifetime_s;
        } else {
            s->updates++;
            if (r->argument > 0)
                life->told_lifetime_s = r->argument;
        }
        if (life->told_lifetime_s == life->state.lifetime_s)
            plan_update(s, device);
        else
            again_in(s, device, BUSY_MS);
        return;
    }
    if (r->kind == MESSAGE_UPDATE && r->outcome == CLIENT_REFUSED) {
        s->swarm.devices[device].id_len = 0; /* forgotten: register again */
        again_in(s, device, BUSY_MS);
        return;
    }
    again_in(s, device, RETRY_MS + random_below(&s->random, RETRY_MS));
}

static const struct client_ops serve_ops = {
    .done = on_done, .request = on_request, .reset = on_reset, .write_notify = write_notify};

/* ---- a run ---- */

/* Every device once: Register, or Update when a state file says that it is registered. */
static void start_fresh(struct serve *s, uint64_t start_ns)
{
    uint64_t now_ns = clock_mono_ns();

    while (s->fresh < s->swarm.count && client_outstanding(s->client) < s->o->window) {
        bool registered = s->swarm.devices[s->fresh].id_len > 0;

        if (s->o->rate > 0 &&
            now_ns < start_ns + (uint64_t)((double)s->fresh * 1e9 / (double)s->o->rate))
            return;
        client_send(s->client, s->fresh, registered ? MESSAGE_UPDATE : MESSAGE_REGISTER, 0, now_ns,
                    now_ns);
        s->fresh++;
    }
}

static void say_ready(const struct serve *s, uint64_t start_ns)
{
    double elapsed_s = (double)(clock_mono_ns() - start_ns) / 1e9;

    printf("{\"mode\":\"serve\",\"event\":\"ready\",\"registered\":%zu,\"elapsed_s\":%.3f}\n",
           swarm_registered(&s->swarm), elapsed_s);
    fflush(stdout);
}

static uint64_t wait_ns(const struct serve *s)
{
    uint64_t life = timer_wheel_next(s->life_wheel), notify = timer_wheel_next(s->notify_wheel);
    uint64_t send = timer_wheel_next(s->send_wheel);
    uint64_t next = life < notify ? life : notify;

    next = send < next ? send : next;
    if (s->fresh < s->swarm.count)
        return NS_PER_MS;
    if (next <= s->now_ms)
        return 0;
    return next - s->now_ms < IDLE_NS / NS_PER_MS ? (next - s->now_ms) * NS_PER_MS : IDLE_NS;
}

static void live(struct serve *s)
{
    uint64_t start_ns = clock_mono_ns();
    uint64_t end_ns = s->o->duration_ms ? start_ns + s->o->duration_ms * NS_PER_MS : UINT64_MAX;
    bool ready = false;

    while (!main_stopped && clock_mono_ns() < end_ns) {
        start_fresh(s, start_ns);
        client_poll(s->client, wait_ns(s));
        s->now_ms = clock_mono_ms();
        timer_wheel_run(s->life_wheel, s->now_ms, 0);
        timer_wheel_run(s->notify_wheel, s->now_ms, 0);
        timer_wheel_run(s->send_wheel, s->now_ms, 0);
        if (!ready && s->fresh == s->swarm.count && client_outstanding(s->client) == 0) {
            ready = true;
            say_ready(s, start_ns);
        }
    }
    printf("{\"mode\":\"serve\",\"registered\":%zu,\"registers\":%llu,\"updates\":%llu,"
           "\"requests\":%llu,\"duplicates\":%llu,\"observations\":%llu,\"notifications\":%llu,"
           "\"sends\":%llu,\"told\":%llu,\"lost\":%llu,\"cpu_s\":%.3f}\n",
           swarm_registered(&s->swarm), (unsigned long long)s->registers,
           (unsigned long long)s->updates, (unsigned long long)s->requests,
           (unsigned long long)s->duplicates, (unsigned long long)s->observations,
           (unsigned long long)s->notifications, (unsigned long long)s->sends,
           (unsigned long long)client_stats(s->client)->told,
           (unsigned long long)client_stats(s->client)->outcomes[CLIENT_LOST], result_cpu_s());
}

static int serve_init(struct serve *s)
{
    uint64_t now_ns = clock_mono_ns();
    int rc;

    s->now_ms = now_ns / NS_PER_MS;
    s->lives = mem_new(s->swarm.count * sizeof(*s->lives));
    s->life_wheel = timer_wheel_new(s->now_ms, on_life_timer, s);
    s->notify_wheel = timer_wheel_new(s->now_ms, on_notify_timer, s);
    s->send_wheel = timer_wheel_new(s->now_ms, on_send_timer, s);
    if (!s->lives || !s->life_wheel || !s->notify_wheel || !s->send_wheel)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->swarm.count; i++) {
        object_reset(&s->lives[i].state, (uint32_t)s->o->lifetime_s);
        s->lives[i].told_lifetime_s = (uint32_t)s->o->lifetime_s;
    }
    rc = object_definitions(&s->registry);
    if (rc == ERR_OK)
        rc = client_new(s->o, &s->swarm, &serve_ops, s, now_ns, &s->client);
    return rc;
}

static void serve_fini(struct serve *s)
{
    for (size_t i = 0; s->lives && i < s->swarm.count; i++) {
        forget_observations(s, (uint32_t)i);
        timer_stop(s->life_wheel, &s->lives[i].timer);
        timer_stop(s->send_wheel, &s->lives[i].send);
    }
    client_free(s->client);
    timer_wheel_free(s->life_wheel);
    timer_wheel_free(s->notify_wheel);
    timer_wheel_free(s->send_wheel);
    registry_unref(s->registry);
    buf_fini(&s->body);
    mem_free(s->lives);
    swarm_close(&s->swarm);
}

int serve_run(const struct options *o)
{
    struct serve s = {.o = o};
    int rc = swarm_open(o, &s.swarm);

    if (rc < 0)
        return rc;
    random_init(&s.random, o->seed, o->mode);
    buf_init(&s.body, BODY_MAX);
    rc = serve_init(&s);
    if (rc == ERR_OK)
        live(&s);
    serve_fini(&s);
    return rc;
}
