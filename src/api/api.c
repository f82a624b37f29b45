#include "api/internal.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024

void api_config_defaults(struct api_config *cfg)
{
    *cfg = (struct api_config){.body_limit = 16 * 1024 * 1024,
                               .connection_limit = 1024,
                               .threads = 4,
                               .idle_timeout_s = 30,
                               .event_ring = 65536,
                               .op_timeout_ms = 110000,
                               .operation_ttl_s = 604800};
}

void api_count(struct api *a, enum counter which, uint64_t n)
{
    pthread_mutex_lock(&a->counter_lock);
    counter_add(&a->counters, which, n);
    pthread_mutex_unlock(&a->counter_lock);
}

const struct counters *api_counters(const struct api *a)
{
    return &a->counters;
}

static void close_reader(void *reader)
{
    read_close(reader);
}

struct reader *api_reader(struct api *a)
{
    struct reader *r = pthread_getspecific(a->reader);

    if (!r && read_open(a->cfg.database, &r) == ERR_OK)
        pthread_setspecific(a->reader, r);
    return r;
}

void api_event(struct api *a, struct event *e)
{
    events_add(a->events, e);
}

int api_reload_tokens(struct api *a)
{
    return auth_load(a->auth);
}

const struct addr *api_address(const struct api *a, size_t listener)
{
    return &a->listeners[listener].address;
}

/* ---- a request, as libmicrohttpd hands it over ---- */

static unsigned body_kind_of(struct call *c)
{
    static const struct {
        const char *type;
        enum body_kind kind;
    } types[] = {{"application/json", BODY_JSON},
                 {"application/octet-stream", BODY_OPAQUE},
                 {"application/xml", BODY_XML},
                 {"text/xml", BODY_XML}};
    const char *header =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    size_t n = header ? strcspn(header, "; ") : 0;

    for (size_t i = 0; i < mem_count(types); i++) {
        if (n == strlen(types[i].type) && strncasecmp(header, types[i].type, n) == 0)
            return types[i].kind;
    }
    return BODY_NONE;
}

/* Content-Length, or SIZE_MAX for a chunked body; 0 when there is none. */
static size_t announced_length(struct call *c)
{
    const char *length =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const char *coding = MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_TRANSFER_ENCODING);
    uint64_t n;

    if (coding)
        return SIZE_MAX;
    if (!length || view_u64(view_str(length), SIZE_MAX - 1, &n) < 0)
        return 0;
    return n;
}

/* Refuses early what cannot be served, before the body is read. */
static void check_body(struct call *c)
{
    size_t length = announced_length(c);
    unsigned kind = body_kind_of(c);

    if (length == 0)
        return;
    if (length != SIZE_MAX && length > c->api->cfg.body_limit) {
        problem_respond(c, ERR_TOOLARGE, "the request body is above the limit");
    } else if (c->route->bodies == 0) {
        problem_status(c, 400, "unexpected-body", "this route takes no body", NULL);
    } else if (!(c->route->bodies & kind)) {
        problem_status(c, 415, "unsupported-media-type", "unsupported media type",
                       c->route->bodies & BODY_XML ? "expected application/xml"
                                                   : "expected application/json");
    } else {
        c->body_kind = (enum body_kind)kind;
    }
}

/* RFC 9112 section 3.2: a request of HTTP/1.1 without Host is refused. */
static bool lacks_host(struct call *c, const char *version)
{
    return strcmp(version, MHD_HTTP_VERSION_1_1) == 0 &&
           !MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
}

static struct call *call_begin(struct api_listener *l, struct MHD_Connection *connection,
                               const char *url, const char *method, const char *version)
{
    struct api *a = l->api;
    struct call *c = mem_new(sizeof(*c));
    const char *why;

    if (!c)
        return NULL;
    c->api = a;
    c->listener = l;
    c->connection = connection;
    c->result = MHD_YES;
    c->age_s = -1;
    buf_init(&c->body, a->cfg.body_limit);
    c->url = mem_text(url, strlen(url));
    api_count(a, COUNTER_http_requests, 1);
    if (!c->url) {
        problem_respond(c, ERR_NOMEM, NULL);
        return c;
    }
    if (lacks_host(c, version)) {
        api_count(a, COUNTER_http_refused, 1);
        problem_respond(c, ERR_INVALID, "the Host header is missing");
        return c;
    }
    if (!route_find(c, strcmp(method, "HEAD") == 0 ? "GET" : method, url) ||
        !auth_check(a->auth, c)) {
        api_count(a, COUNTER_http_refused, 1);
        return c;
    }
    why = c->route->unready ? NULL : a->deps.not_ready(a->deps.ctx);
    if (why)
        problem_respond(c, ERR_LOADING, why);
    else
        check_body(c);
    return c;
}

static bool parse_json(struct call *c)
{
    if (c->body_kind != BODY_JSON)
        return true;
    c->json = json_parse(&c->body);
    if (cJSON_IsObject(c->json))
        return true;
    problem_respond(c, ERR_MALFORMED,
                    c->json ? "the body must be a JSON object" : "the body is not valid JSON");
    return false;
}

static void body_complete(struct call *c)
{
    if (c->body.rc < 0) {
        problem_respond(c, ERR_TOOLARGE, "the request body is above the limit");
        return;
    }
    if (c->body_kind == BODY_NONE && c->route->bodies != 0 && !(c->route->bodies & BODY_JSON)) {
        problem_status(c, 400, "body-missing", "a body is needed", NULL);
        return;
    }
    if (parse_json(c))
        c->route->handle(c);
}

static void log_outcome(const struct op *op)
{
    enum log_level level = op->result.rc < 0 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
    char id[37], path[PATH_TEXT_MAX], code[5];

    if (!log_enabled(level))
        return;
    op_id_format(&op->id, id);
    path_format(&op->path, path);
    pdu_code_format(op->result.coap_code, code);
    log_emit(level, "operation", log_text("kind", op_kind_name(op->kind)),
             log_text("endpoint", op->endpoint), log_text("path", path), log_text("operation", id),
             log_text("outcome", err_name(op->result.rc)), log_text("coap", code));
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *size, void **state)
{
    struct call *c = *state;

    if (!c) {
        c = *state = call_begin(ctx, connection, url, method, version);
        if (!c)
            return MHD_NO;
        if (c->answered)
            conn_serving(c->api, connection);
        return c->result;
    }
    if (*size > 0) {
        if (!c->answered)
            buf_put(&c->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (c->answered)
        return c->result;
    if (c->finish) {
        void (*finish)(struct call *) = c->finish;

        c->finish = NULL;
        if (c->op)
            log_outcome(c->op);
        finish(c);
        return c->answered ? c->result : MHD_YES;
    }
    conn_serving(c->api, connection);
    body_complete(c);
    return c->answered ? c->result : MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct api_listener *l = ctx;

    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK &&
        code != MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
        api_count(l->api, COUNTER_http_aborted, 1);
    call_free(*state);
    *state = NULL;
    conn_completed(l->api, connection);
}

/* Percent escapes are decoded after the path is split: an endpoint name may hold a '/'. */
static size_t no_unescape(void *ctx, struct MHD_Connection *connection, char *s)
{
    (void)ctx;
    (void)connection;
    return strlen(s);
}

static void __attribute__((format(printf, 2, 0))) on_mhd_log(void *ctx, const char *fmt, va_list ap)
{
    char text[256];

    (void)ctx;
    if (!log_enabled(LOG_LEVEL_DEBUG))
        return;
    vsnprintf(text, sizeof(text), fmt, ap);
    log_debug("http", log_text("detail", text));
}

/* ---- listeners ---- */

static int rc_of_errno(int number)
{
    if (number == EADDRINUSE)
        return ERR_EXISTS;
    return number == EACCES || number == EPERM ? ERR_FORBIDDEN : ERR_IO;
}

static int open_tcp(struct addr *address, int *ret_fd)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(address, false, &sa);
    const int on = 1;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return rc_of_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        rc = rc_of_errno(errno);
        close(fd);
        return rc;
    }
    len = sizeof(sa);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    addr_from_sockaddr((struct sockaddr *)&sa, address);
    *ret_fd = fd;
    return ERR_OK;
}

static int open_unix(const char *path, const char *group, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char text[4096];
    struct group g, *found = NULL;
    int fd;

    if (strlen(path) >= sizeof(sa.sun_path))
        return ERR_LIMIT;
    memcpy(sa.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return rc_of_errno(errno);
    unlink(path); /* of an earlier run: the data folder's lock says that nobody else is there */
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, 0660) < 0 ||
        listen(fd, LISTEN_BACKLOG) < 0) {
        int rc = rc_of_errno(errno);

        close(fd);
        return rc;
    }
    if (group && getgrnam_r(group, &g, text, sizeof(text), &found) == 0 && found &&
        chown(path, (uid_t)-1, found->gr_gid) < 0)
        log_warn("the socket cannot be given to its group", log_text("group", group));
    *ret_fd = fd;
    return ERR_OK;
}

static int serve(struct api_listener *l, int fd)
{
    struct api *a = l->api;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)a->cfg.threads, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)a->cfg.connection_limit, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)a->cfg.idle_timeout_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, 32 * 1024, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, l},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)conn_notify, l},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)no_unescape, NULL},
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_mhd_log, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_access, l, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (l->daemon)
        return ERR_OK;
    close(fd);
    return ERR_IO;
}

static int start_listeners(struct api *a, size_t *ret_failed)
{
    size_t count = a->cfg.listen_count + (a->cfg.socket_path ? 1 : 0);

    a->listeners = mem_new(sizeof(*a->listeners) * (count + 1));
    if (!a->listeners)
        return ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        struct api_listener *l = &a->listeners[i];
        int fd = -1, rc;

        *ret_failed = i;
        l->api = a;
        l->local = i == a->cfg.listen_count;
        if (!l->local)
            l->address = a->cfg.listen[i];
        rc = l->local ? open_unix(a->cfg.socket_path, a->cfg.socket_group, &fd)
                      : open_tcp(&l->address, &fd);
        l->needs_token = !l->local && !addr_is_loopback(&l->address);
        if (rc == ERR_OK)
            rc = serve(l, fd);
        if (rc < 0)
            return rc;
        a->listener_count = i + 1;
    }
    return ERR_OK;
}

int api_start(const struct api_config *cfg, const struct api_deps *deps, struct api **ret_api,
              size_t *ret_failed)
{
    struct api *a = mem_new(sizeof(*a));
    int rc = ERR_NOMEM;

    *ret_failed = cfg->listen_count;
    if (!a)
        return rc;
    a->cfg = *cfg;
    a->deps = *deps;
    list_init(&a->conns);
    pthread_mutex_init(&a->conn_lock, NULL);
    pthread_mutex_init(&a->counter_lock, NULL);
    pthread_cond_init(&a->stored, NULL);
    pthread_mutex_init(&a->import_lock, NULL);
    pthread_key_create(&a->reader, close_reader);
    a->auth = auth_new(cfg->token_file, cfg->socket_group);
    a->events = events_new(cfg->event_ring, a);
    if (a->auth && a->events)
        rc = random_init_secret(&a->random);
    if (rc == ERR_OK)
        rc = auth_load(a->auth);
    if (rc == ERR_OK)
        rc = conn_start_ticker(a);
    if (rc == ERR_OK)
        rc = start_listeners(a, ret_failed);
    if (rc < 0) {
        api_stop(a);
        return rc;
    }
    *ret_api = a;
    return ERR_OK;
}

void api_stop(struct api *a)
{
    if (!a)
        return;
    if (a->events)
        events_stop(a->events);
    /* A suspended connection must not outlive its listener; the writer answers all it has taken. */
    pthread_mutex_lock(&a->conn_lock);
    while (a->storing > 0)
        pthread_cond_wait(&a->stored, &a->conn_lock);
    pthread_mutex_unlock(&a->conn_lock);
    for (size_t i = 0; i < a->listener_count; i++)
        MHD_stop_daemon(a->listeners[i].daemon);
    conn_stop_ticker(a);
    if (a->cfg.socket_path)
        unlink(a->cfg.socket_path);
    events_free(a->events);
    auth_free(a->auth);
    pthread_key_delete(a->reader);
    pthread_mutex_destroy(&a->conn_lock);
    pthread_mutex_destroy(&a->counter_lock);
    pthread_cond_destroy(&a->stored);
    pthread_mutex_destroy(&a->import_lock);
    mem_free(a->listeners);
    mem_free(a);
}
