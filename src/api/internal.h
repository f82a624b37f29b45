/* Private to api: a call (one HTTP request), the routes it may take, and the shared pieces. */
#ifndef API_INTERNAL_H
#define API_INTERNAL_H

#include "api/api.h"

#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <pthread.h>

#define CALL_SEGMENTS_MAX 12
#define CALL_QUERIES_MAX 16
#define JSON_EXACT_MAX 9007199254740992LL /* 2^53: beyond it integers travel as strings */

struct route;
struct events;
struct auth;

/* ---- api: the listeners ---- */

/* A connection, so that one that never finishes its request can be closed. */
struct conn {
    struct list node;
    int fd;
    uint64_t deadline; /* monotonic ms by which the request must be whole; 0 = being served */
    unsigned ended;    /* ticks in a row that found its end and no data before it */
    bool served;       /* at least one request reached a route */
};

struct api_listener {
    struct api *api;
    struct addr address;
    bool local; /* unix socket */
    bool needs_token;
    struct MHD_Daemon *daemon;
};

struct api {
    struct api_config cfg;
    struct api_deps deps;
    struct counters counters;
    pthread_mutex_t counter_lock; /* several HTTP threads count here */
    struct auth *auth;
    struct events *events;
    pthread_key_t reader; /* struct reader of each HTTP thread */
    size_t listener_count;
    struct api_listener *listeners;
    pthread_mutex_t conn_lock;
    struct list conns;
    pthread_t ticker;
    pthread_cond_t tick;
    bool ticking, stopping;
    struct random random; /* operation ids; under conn_lock */
    struct op_id last_id; /* likewise */
    size_t storing;       /* calls that wait for the store; under conn_lock */
    pthread_cond_t stored;
    pthread_mutex_t import_lock;
};

void api_count(struct api *a, enum counter which, uint64_t n);
/* The read-only connection of the calling HTTP thread; NULL when the database cannot be opened. */
struct reader *api_reader(struct api *a);

/* ---- conn: connections, and until when their request must be whole ---- */

/* The request of the connection is whole: it may take as long as it takes. */
void conn_serving(struct api *a, struct MHD_Connection *connection);
/* It was answered; another one may come. */
void conn_completed(struct api *a, struct MHD_Connection *connection);
/* MHD_NotifyConnectionCallback; ctx is the listener. */
void conn_notify(void *ctx, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code);
/* The thread that closes whom nobody else does: requests that trickle on for four idle timeouts,
 * and clients that ended before their request was whole (within 3 s). It ticks the events too. */
int conn_start_ticker(struct api *a);
void conn_stop_ticker(struct api *a);

/* ---- call: one HTTP request ---- */

enum body_kind { BODY_NONE = 0, BODY_JSON = 1, BODY_OPAQUE = 2, BODY_XML = 4 };

struct call {
    struct api *api;
    struct api_listener *listener;
    struct MHD_Connection *connection;
    const struct route *route;
    char *path; /* owned; segments point into it, percent-decoded */
    size_t segment_count;
    char *segments[CALL_SEGMENTS_MAX];
    char *endpoint;          /* {ep}, NULL when the route has none */
    struct path object_path; /* {path} */
    enum body_kind body_kind;
    struct buf body;
    cJSON *json;                     /* owned; the parsed body */
    char *url;                       /* owned; the path as it came */
    struct op *op;                   /* under way or complete; owned by the call once complete */
    struct txn *txn;                 /* likewise, with the store */
    void (*finish)(struct call *c);  /* goes on when op or txn has completed */
    void (*outcome)(struct call *c); /* durable: answers when op was settled in time */
    void (*answer)(struct call *c);  /* a Read: makes the answer of the device's */
    bool dormant;                    /* durable: was given to the store, the endpoint being away */
    const char *allow;               /* Allow header of the answer, or NULL */
    int64_t age_s;                   /* Age header of the answer, -1: none */
    bool answered;                   /* a response was queued */
    enum MHD_Result result;
};

/* Value of a query parameter, percent-decoded into out. False when absent, and when it is too long
 * or malformed: then a problem was answered (c->answered). */
bool call_query(struct call *c, const char *name, char *out, size_t cap);
/* An unsigned query parameter; false, and a problem answered, when malformed or above max. */
bool call_query_u64(struct call *c, const char *name, uint64_t fallback, uint64_t max,
                    uint64_t *ret);
/* ?limit=, entries of a page: 1 to 1000, 100 by default. False: a problem was answered. */
bool call_query_limit(struct call *c, size_t *ret);
/* "/v1/devices/{ep}/" with the endpoint percent-encoded, then `rest`. */
void call_location(const struct call *c, const char *rest, char *out, size_t cap);
void call_json(struct call *c, unsigned status, cJSON *json /* takes */);
void call_json_location(struct call *c, unsigned status, cJSON *json /* takes */,
                        const char *location);
void call_text(struct call *c, unsigned status, const char *type, struct view body);
void call_empty(struct call *c, unsigned status);
/* Suspends the connection and gives the operation to its shard; when that has completed it,
 * `finish` runs on an HTTP thread. */
void call_submit(struct call *c, struct op *op /* takes */, void (*finish)(struct call *c));
/* Suspends the connection and gives the transaction to the store; `finish` runs on an HTTP thread
 * afterwards and finds it in c->txn. */
void call_store(struct call *c, struct txn *t /* takes */, void (*finish)(struct call *c));
/* A new operation for the endpoint and path of the call, with id and deadline. NULL: a problem was
 * answered. */
struct op *call_op(struct call *c, enum op_kind kind);
/* Has the store do it and waits until it is durable; takes t. */
int call_store_wait(struct call *c, struct txn *t);
void call_free(struct call *c);

/* ---- durable: operations that outlive their request ---- */

/* ttl, priority, retry, Idempotency-Key and Prefer of the request. False: a problem was answered.
 */
bool durable_take(struct call *c, struct op *op);
/* Whether durable_take would succeed: for what becomes durable only when its device is away. */
bool durable_check(struct call *c);
/* Has it executed by its device, or kept by the store for one that is away. `outcome` answers when
 * it is settled in time; else the answer is 202 with the operation. */
void durable_submit(struct call *c, struct op *op /* takes */, void (*outcome)(struct call *c));
/* c->op has ended because its device sleeps or is away: submits it again, as a durable one. False
 * when it ended otherwise. */
bool durable_later(struct call *c, void (*outcome)(struct call *c));

/* ---- resources ---- */

/* A Read as ?source= says: from the device, from what it has told before, or whichever is to be
 * had. `answer` makes the answer of the device's. */
void resources_submit_read(struct call *c, struct op *op /* takes */,
                           void (*answer)(struct call *c));

/* ---- composite ---- */

/* ["/3/0/9","/1/0/1"] as records without values. ERR_INVALID, ERR_PATH, ERR_DUPLICATE. */
int composite_paths(const cJSON *paths, struct batch *ret_names);

/* ---- problem: RFC 9457 ---- */

/* A failure of ours; detail may be NULL. */
void problem_respond(struct call *c, int rc, const char *detail);
void problem_status(struct call *c, unsigned status, const char *slug, const char *title,
                    const char *detail);
/* The outcome of an operation that did not succeed. */
void problem_of_op(struct call *c, const struct op *op);

/* ---- route ---- */

struct route {
    const char *method;
    const char
        *pattern; /* "/v1/devices/{ep}/resources/{path}"; {path} takes 0–4 segments, {name} one */
    unsigned bodies; /* enum body_kind accepted; 0: a body is refused */
    bool local;      /* only on the unix socket */
    bool open;       /* no authentication (health) */
    bool unready;    /* served while state is loading */
    void (*handle)(struct call *c);
};
/* Splits and decodes the path and finds the route. Answers 404, 405 with Allow, or 400 itself. */
bool route_find(struct call *c, const char *method, const char *url);
size_t route_count(void);
const struct route *route_at(size_t i);

/* ---- auth ---- */

struct auth *auth_new(const char *token_file, const char *group);
void auth_free(struct auth *a);
int auth_load(struct auth *a);
/* Whether the call may proceed; answers 401 or 403 itself. */
bool auth_check(struct auth *a, struct call *c);

/* ---- json ---- */

/* `default_ms`: the time of a value that carries none, Unix ms. */
cJSON *json_value(const struct record *r, const char *origin, int64_t default_ms);
/* One value, or {"path","values":[…]} when the read was wider than one resource. */
cJSON *json_values(const struct path *asked, const struct batch *values, const char *origin,
                   int64_t default_ms);
cJSON *json_registration(const struct registration *r, int64_t now_ms);
/* A durable operation as the store keeps it. */
cJSON *operations_json(const struct operation *o);
cJSON *json_event(const struct event *e, const char *id);
void json_time(cJSON *object, const char *key, int64_t unix_ms); /* absent when 0 */
void json_integer(cJSON *object, const char *key, int64_t v);
/* One JSON value and nothing behind it, in UTF-8 without NUL, nested no deeper than cJSON's own
 * limit. Caller deletes; NULL when it is not that. */
cJSON *json_parse(struct buf *body);
/* "next": the cursor of the page after this one, null when empty. */
void json_cursor(cJSON *json, struct view cursor);
/* {"value":…} or {"values":[{"path","value"},…]} of the body into a batch, typed by the model.
 * *ret_what (static text) says what is wrong. */
int json_to_batch(const cJSON *body, const struct path *base, const struct registry *registry,
                  struct batch *ret_batch, const char **ret_what);

/* ---- events: the ring and its readers (SSE) ---- */

struct events *events_new(size_t capacity, struct api *api);
void events_stop(struct events *e); /* resumes and ends every reader */
void events_free(struct events *e);
void events_add(struct events *e, struct event *event /* takes */);
/* Wakes readers whose keep-alive is due. */
void events_tick(struct events *e, uint64_t now);
void events_stream(struct call *c);
size_t events_readers(struct events *e);

/* ---- handlers, by file ---- */

void devices_list(struct call *c);
void devices_show(struct call *c);
void devices_delete(struct call *c);
void resources_read(struct call *c);
void resources_put(struct call *c);
void resources_post(struct call *c);
void resources_delete(struct call *c);
void resources_discover(struct call *c);
void attributes_show(struct call *c);
void attributes_put(struct call *c);
void observations_list(struct call *c);
void observations_add(struct call *c);
void observations_delete(struct call *c);
void operations_list(struct call *c);
void operations_show(struct call *c);
void operations_cancel(struct call *c);
void history_show(struct call *c);
void history_timeline(struct call *c);
void composite_read(struct call *c);
void composite_write(struct call *c);
void definitions_list(struct call *c);
void definitions_show(struct call *c);
void definitions_put(struct call *c);
void profiles_list(struct call *c);
void profiles_show(struct call *c);
void profiles_put(struct call *c);
void profiles_delete(struct call *c);
void sending_show(struct call *c);
void sending_put(struct call *c);
void health_live(struct call *c);
void health_ready(struct call *c);
void metrics_show(struct call *c);
void openapi_show(struct call *c);
void admin_reload(struct call *c);
void admin_backup(struct call *c);

#endif
