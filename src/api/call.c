#include "api/internal.h"

#include <stdio.h>

#define RETRY_AFTER_S "1"
#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

/* ---- query ---- */

static bool decode_query(const char *in, char *out, size_t cap)
{
    size_t n = 0;

    for (; *in; in++) {
        char ch = *in == '+' ? ' ' : *in;

        if (*in == '%') {
            uint8_t byte;
            size_t got;

            if (in[1] == '\0' || in[2] == '\0' ||
                text_unhex(view_of(in + 1, 2), &byte, 1, &got) < 0 || byte == 0)
                return false;
            ch = (char)byte;
            in += 2;
        }
        if (n + 1 >= cap)
            return false;
        out[n++] = ch;
    }
    out[n] = '\0';
    return true;
}

bool call_query(struct call *c, const char *name, char *out, size_t cap)
{
    const char *raw = MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);
    char detail[96];

    if (!raw || c->answered)
        return false;
    if (decode_query(raw, out, cap))
        return true;
    snprintf(detail, sizeof(detail), "%s is too long or malformed", name);
    problem_respond(c, ERR_INVALID, detail);
    return false;
}

bool call_query_u64(struct call *c, const char *name, uint64_t fallback, uint64_t max,
                    uint64_t *ret)
{
    const char *raw = MHD_lookup_connection_value(c->connection, MHD_GET_ARGUMENT_KIND, name);
    char detail[96];

    *ret = fallback;
    if (!raw || view_u64(view_str(raw), max, ret) == ERR_OK)
        return true;
    snprintf(detail, sizeof(detail), "%s must be a whole number up to %llu", name,
             (unsigned long long)max);
    problem_respond(c, ERR_INVALID, detail);
    return false;
}

bool call_query_limit(struct call *c, size_t *ret)
{
    uint64_t limit;

    if (!call_query_u64(c, "limit", PAGE_DEFAULT, PAGE_MAX, &limit))
        return false;
    if (limit == 0)
        problem_respond(c, ERR_INVALID, "limit must be at least 1");
    *ret = limit;
    return limit > 0;
}

/* ---- answers ---- */

void call_location(const struct call *c, const char *rest, char *out, size_t cap)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:";
    size_t n = (size_t)snprintf(out, cap, "/v1/devices/");

    for (const char *p = c->endpoint; *p && n + 4 < cap; p++) {
        if (strchr(plain, *p))
            out[n++] = *p;
        else
            n += (size_t)snprintf(out + n, cap - n, "%%%02X", (unsigned char)*p);
    }
    snprintf(out + n, cap - n, "/%s", rest);
}

static void queue(struct call *c, unsigned status, struct MHD_Response *r, const char *type,
                  const char *location)
{
    if (!r) {
        c->result = MHD_NO;
        c->answered = true;
        return;
    }
    if (type)
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (location)
        MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, location);
    if (c->allow)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, c->allow);
    if (status == 401)
        MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (status == 429 || status == 503)
        MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, RETRY_AFTER_S);
    if (c->op && c->op->durable) {
        char id[37];

        op_id_format(&c->op->id, id);
        MHD_add_response_header(r, "Operation-Id", id);
    }
    if (c->age_s >= 0) {
        char age[24];

        snprintf(age, sizeof(age), "%lld", (long long)c->age_s);
        MHD_add_response_header(r, MHD_HTTP_HEADER_AGE, age);
    }
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    c->result = MHD_queue_response(c->connection, status, r);
    c->answered = true;
    MHD_destroy_response(r);
}

void call_json_location(struct call *c, unsigned status, cJSON *json, const char *location)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    const char *type = status >= 400 ? "application/problem+json" : "application/json";

    cJSON_Delete(json);
    queue(c, status,
          text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL,
          type, location);
}

void call_json(struct call *c, unsigned status, cJSON *json)
{
    call_json_location(c, status, json, NULL);
}

void call_text(struct call *c, unsigned status, const char *type, struct view body)
{
    void *p = (void *)(uintptr_t)body.p;

    queue(c, status, MHD_create_response_from_buffer(body.n, p, MHD_RESPMEM_MUST_COPY), type, NULL);
}

void call_empty(struct call *c, unsigned status)
{
    queue(c, status, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL, NULL);
}

/* ---- operations ---- */

struct op *call_op(struct call *c, enum op_kind kind)
{
    struct op *op = op_new(kind, view_str(c->endpoint));
    struct api *a = c->api;

    if (!op) {
        problem_respond(c, ERR_NOMEM, NULL);
        return NULL;
    }
    op->path = c->object_path;
    op->deadline = clock_mono_ms() + a->cfg.op_timeout_ms;
    pthread_mutex_lock(&a->conn_lock);
    op_id_new(&a->random, clock_wall_ms(), &op->id);
    op_id_after(&a->last_id, &op->id);
    a->last_id = op->id;
    pthread_mutex_unlock(&a->conn_lock);
    return op;
}

/* On the shard's thread: the connection's own thread goes on with the completed operation. */
static void op_done(struct op *op)
{
    struct call *c = op->ctx;

    MHD_resume_connection(c->connection);
}

void call_submit(struct call *c, struct op *op, void (*finish)(struct call *c))
{
    int rc;

    op->done = op_done;
    op->ctx = c;
    c->op = op;
    c->finish = finish;
    MHD_suspend_connection(c->connection);
    rc = shards_submit(c->api->deps.shards, op);
    if (rc < 0) {
        /* Refused: the shard's queue is full (503), or nobody is registered by that name. */
        op->result.rc = rc == ERR_FULL ? ERR_BUSY : rc;
        MHD_resume_connection(c->connection);
    }
}

/* On the writer's thread, or on our own when the store refuses. */
static void left_store(struct call *c)
{
    struct api *a = c->api;

    MHD_resume_connection(c->connection);
    pthread_mutex_lock(&a->conn_lock);
    if (--a->storing == 0)
        pthread_cond_broadcast(&a->stored);
    pthread_mutex_unlock(&a->conn_lock);
}

static void txn_done(struct txn *t)
{
    left_store(t->ctx);
}

void call_store(struct call *c, struct txn *t, void (*finish)(struct call *c))
{
    struct api *a = c->api;
    int rc;

    t->done = txn_done;
    t->ctx = c;
    c->txn = t;
    c->finish = finish;
    pthread_mutex_lock(&a->conn_lock);
    a->storing++;
    pthread_mutex_unlock(&a->conn_lock);
    MHD_suspend_connection(c->connection);
    rc = store_submit(a->deps.store, t);
    if (rc < 0) {
        t->rc = rc == ERR_FULL ? ERR_BUSY : rc;
        left_store(c);
    }
}

/* ---- durable writes ---- */

struct store_wait {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool complete;
};

/* On the store's thread. */
static void stored(struct txn *t)
{
    struct store_wait *w = t->ctx;

    pthread_mutex_lock(&w->lock);
    w->complete = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

int call_store_wait(struct call *c, struct txn *t)
{
    struct store_wait *w = mem_new(sizeof(*w));
    int rc = ERR_NOMEM;

    if (w) {
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->done, NULL);
        t->done = stored;
        t->ctx = w;
        rc = store_submit(c->api->deps.store, t);
    }
    if (rc == ERR_OK) {
        pthread_mutex_lock(&w->lock);
        while (!w->complete)
            pthread_cond_wait(&w->done, &w->lock);
        pthread_mutex_unlock(&w->lock);
        rc = t->rc;
    }
    mem_free(w);
    txn_free(t);
    return rc;
}

void call_free(struct call *c)
{
    if (!c)
        return;
    op_free(c->op);
    txn_free(c->txn);
    mem_free(c->url);
    cJSON_Delete(c->json);
    buf_fini(&c->body);
    mem_free(c->path);
    mem_free(c);
}
