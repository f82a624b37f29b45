#include "api/internal.h"

#include <stdio.h>

/*
 * A ring of the last events, in order of arrival. Each has a sequence number; "<boot>-<sequence>"
 * is its id, so that an id of another run of the server is told apart. Readers keep only their
 * position: a slow one never holds an event back, it gets a `gap` event for what fell out.
 */

#define KEEPALIVE_MS 15000
#define CHUNK_EVENTS 256
#define CHUNK_BYTES (1024 * 1024)

struct reader_state {
    struct list node;
    struct events *events;
    struct MHD_Connection *connection;
    uint64_t next;   /* sequence of the next event to send */
    bool gap;        /* say first that events are missing */
    uint64_t missed; /* events that fell out before they were sent, not counted yet */
    bool suspended;
    uint64_t keepalive; /* monotonic ms */
    char *endpoint;     /* only of this endpoint, or NULL */
    uint32_t types;     /* bit set of enum event_type; 0 = all */
    struct buf out;     /* what is left of the last chunk */
    size_t sent;
};

struct events {
    struct api *api;
    pthread_mutex_t lock;
    uint64_t boot;
    uint64_t first, next; /* sequences in the ring: [first, next) */
    size_t capacity;
    struct event **ring;
    struct list readers;
    size_t reader_count;
    bool stopping;
};

struct events *events_new(size_t capacity, struct api *api)
{
    struct events *e = mem_new(sizeof(*e));

    if (!e)
        return NULL;
    e->ring = mem_new(capacity * sizeof(*e->ring));
    if (!e->ring) {
        mem_free(e);
        return NULL;
    }
    e->api = api;
    e->capacity = capacity;
    e->boot = (uint64_t)clock_wall_ms();
    e->first = e->next = 1;
    pthread_mutex_init(&e->lock, NULL);
    list_init(&e->readers);
    return e;
}

void events_free(struct events *e)
{
    if (!e)
        return;
    for (uint64_t i = e->first; i < e->next; i++)
        event_unref(e->ring[i % e->capacity]);
    pthread_mutex_destroy(&e->lock);
    mem_free(e->ring);
    mem_free(e);
}

/* Under the lock. */
static void wake(struct reader_state *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->connection);
}

void events_add(struct events *e, struct event *event)
{
    struct event *dropped = NULL;

    pthread_mutex_lock(&e->lock);
    if (e->next - e->first == e->capacity) {
        dropped = e->ring[e->first % e->capacity];
        e->first++;
    }
    e->ring[e->next % e->capacity] = event;
    e->next++;
    list_each(&e->readers, it) wake(list_item(it, struct reader_state, node));
    pthread_mutex_unlock(&e->lock);
    event_unref(dropped);
}

void events_tick(struct events *e, uint64_t now)
{
    pthread_mutex_lock(&e->lock);
    list_each(&e->readers, it)
    {
        struct reader_state *r = list_item(it, struct reader_state, node);

        if (now >= r->keepalive)
            wake(r);
    }
    pthread_mutex_unlock(&e->lock);
}

void events_stop(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    list_each(&e->readers, it) wake(list_item(it, struct reader_state, node));
    pthread_mutex_unlock(&e->lock);
}

size_t events_readers(struct events *e)
{
    size_t n;

    pthread_mutex_lock(&e->lock);
    n = e->reader_count;
    pthread_mutex_unlock(&e->lock);
    return n;
}

/* ---- one reader ---- */

static bool wanted(const struct reader_state *r, const struct event *e)
{
    if (r->types != 0 && !(r->types & UINT32_C(1) << e->type))
        return false;
    return !r->endpoint || (e->endpoint && strcmp(r->endpoint, e->endpoint) == 0);
}

static void put_event(struct reader_state *r, const struct event *e, uint64_t sequence)
{
    char id[48];
    cJSON *json;
    char *text;

    snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)r->events->boot,
             (unsigned long long)sequence);
    json = json_event(e, id);
    text = cJSON_PrintUnformatted(json);
    if (text)
        buf_fmt(&r->out, "id: %s\nevent: %s\ndata: %s\n\n", id, event_type_name(e->type), text);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* Takes references of the next events under the lock; formatting happens outside it. */
static size_t take(struct reader_state *r, struct event **batch, uint64_t *ret_first)
{
    struct events *e = r->events;
    size_t n = 0;

    if (r->next < e->first) {
        r->gap = true;
        r->missed += e->first - r->next;
        r->next = e->first;
    }
    *ret_first = r->next;
    while (r->next < e->next && n < CHUNK_EVENTS)
        batch[n++] = event_ref(e->ring[r->next++ % e->capacity]);
    return n;
}

static void put_gap(struct reader_state *r, uint64_t before)
{
    api_count(r->events->api, COUNTER_sse_dropped, 1);
    api_count(r->events->api, COUNTER_events_dropped, r->missed);
    r->missed = 0;
    buf_fmt(
        &r->out,
        "id: %llu-%llu\nevent: gap\ndata: {\"type\":\"gap\",\"detail\":\"events were missed\"}\n\n",
        (unsigned long long)r->events->boot, (unsigned long long)before - 1);
    r->gap = false;
}

/* Fills r->out, or suspends the connection when there is nothing to say. */
static void fill(struct reader_state *r)
{
    struct events *e = r->events;
    struct event *batch[CHUNK_EVENTS];
    uint64_t first, now = clock_mono_ms();
    size_t n;

    buf_reset(&r->out);
    r->sent = 0;
    pthread_mutex_lock(&e->lock);
    n = take(r, batch, &first);
    if (n == 0 && !r->gap && now < r->keepalive && !e->stopping) {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&e->lock);
    if (r->gap)
        put_gap(r, first);
    for (size_t i = 0; i < n; i++) {
        if (wanted(r, batch[i]))
            put_event(r, batch[i], first + i);
        event_unref(batch[i]);
    }
    if (now >= r->keepalive) {
        if (r->out.n == 0)
            buf_put_str(&r->out, ": keep-alive\n\n");
        r->keepalive = now + KEEPALIVE_MS;
    } else if (r->out.n > 0) {
        r->keepalive = now + KEEPALIVE_MS;
    }
}

static bool ended(struct events *e)
{
    bool stopping;

    pthread_mutex_lock(&e->lock);
    stopping = e->stopping;
    pthread_mutex_unlock(&e->lock);
    return stopping;
}

static ssize_t on_read(void *ctx, uint64_t pos, char *out, size_t max)
{
    struct reader_state *r = ctx;
    size_t n;

    (void)pos;
    if (r->sent == r->out.n) {
        if (ended(r->events))
            return MHD_CONTENT_READER_END_OF_STREAM;
        fill(r);
    }
    if (r->out.rc < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = r->out.n - r->sent;
    if (n > max)
        n = max;
    memcpy(out, r->out.p + r->sent, n);
    r->sent += n;
    return (ssize_t)n;
}

static void on_gone(void *ctx)
{
    struct reader_state *r = ctx;
    struct events *e = r->events;

    pthread_mutex_lock(&e->lock);
    list_del(&r->node);
    e->reader_count--;
    pthread_mutex_unlock(&e->lock);
    buf_fini(&r->out);
    mem_free(r->endpoint);
    mem_free(r);
}

/* Where to begin: after the given id, or now. An id of another run or one that fell out begins with
 * a gap. */
static int place(struct reader_state *r, const char *last)
{
    struct events *e = r->events;
    struct view rest = view_str(last), boot_text;
    uint64_t boot, sequence;

    if (!view_split(&rest, '-', &boot_text) || view_u64(boot_text, UINT64_MAX, &boot) < 0 ||
        view_u64(rest, UINT64_MAX - 1, &sequence) < 0)
        return ERR_INVALID;
    pthread_mutex_lock(&e->lock);
    if (boot != e->boot || sequence >= e->next || sequence + 1 < e->first) {
        r->gap = true;
        r->next = e->first;
    } else {
        r->next = sequence + 1;
    }
    pthread_mutex_unlock(&e->lock);
    return ERR_OK;
}

/* "registered,updated" */
static int parse_types(const char *list, uint32_t *ret_types)
{
    struct view rest = view_str(list), word;

    while (view_split(&rest, ',', &word)) {
        int t = 0;

        while (t < EVENT_TYPE_COUNT && !view_eq_str(word, event_type_name((enum event_type)t)))
            t++;
        if (t == EVENT_TYPE_COUNT)
            return ERR_INVALID;
        *ret_types |= UINT32_C(1) << t;
    }
    return ERR_OK;
}

static int prepare(struct call *c, struct reader_state *r)
{
    const char *header =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, "Last-Event-ID");
    char text[ENDPOINT_MAX + 1];
    int rc = ERR_OK;

    if (call_query(c, "endpoint", text, sizeof(text))) {
        r->endpoint = mem_text(text, strlen(text));
        if (!r->endpoint)
            return ERR_NOMEM;
    }
    if (call_query(c, "types", text, sizeof(text)))
        rc = parse_types(text, &r->types);
    pthread_mutex_lock(&r->events->lock);
    r->next = r->events->next;
    pthread_mutex_unlock(&r->events->lock);
    if (rc == ERR_OK && header)
        rc = place(r, header);
    else if (rc == ERR_OK && call_query(c, "after", text, sizeof(text)))
        rc = place(r, text);
    return c->answered ? ERR_INVALID : rc;
}

void events_stream(struct call *c)
{
    struct events *e = c->api->events;
    struct reader_state *r = mem_new(sizeof(*r));
    struct MHD_Response *response;
    int rc = ERR_NOMEM;

    if (r) {
        r->events = e;
        r->connection = c->connection;
        buf_init(&r->out, 16 * CHUNK_BYTES);
        buf_put_str(&r->out, ": lwm2m-serverd events\n\n");
        r->keepalive = clock_mono_ms() + KEEPALIVE_MS;
        rc = prepare(c, r);
    }
    if (rc < 0) {
        if (r) {
            buf_fini(&r->out);
            mem_free(r->endpoint);
        }
        mem_free(r);
        if (!c->answered)
            problem_respond(c, rc, "types, after or Last-Event-ID cannot be understood");
        return;
    }
    pthread_mutex_lock(&e->lock);
    list_push(&e->readers, &r->node);
    e->reader_count++;
    pthread_mutex_unlock(&e->lock);
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 64 * 1024, on_read, r, on_gone);
    if (!response) {
        on_gone(r);
        problem_respond(c, ERR_NOMEM, NULL);
        return;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    c->result = MHD_queue_response(c->connection, MHD_HTTP_OK, response);
    c->answered = true;
    MHD_destroy_response(response);
}
