#include "fleet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Reads one resource of each device in turn through the REST API, over so many connections that
 * stay open; each has one request outstanding. Or hands in numbered operations: a device belongs to
 * one connection, so that its operations are handed in in order.
 */

#define NS_PER_MS 1000000u
#define EVENTS 64
#define WAIT_MS 100
#define READ_MS 10000
#define STATUS_CLASSES 6

struct connection {
    int fd;
    bool failed;
    unsigned serial; /* submit: of the next request */
    uint64_t device; /* submit: of the next request */
    uint64_t sent_ns;
    size_t got;
    char in[8192];
};

struct rest {
    const struct options *o;
    int epoll;
    uint64_t cursor;
    uint64_t end_ns;
    uint64_t statuses[STATUS_CLASSES]; /* by their first digit; 0: connections that failed */
    uint64_t accepted;                 /* 202 */
    uint64_t busy;                     /* connections that have something left to ask */
    struct hist latency;
    struct connection *connections;
};

static size_t next_read(struct rest *r, char *out, size_t room)
{
    uint64_t device = r->o->first + r->cursor++ % r->o->devices;
    int n = snprintf(out, room,
                     "GET /v1/devices/%s%08llu/resources%s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     r->o->prefix, (unsigned long long)device, r->o->path);

    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* First of all devices of this connection, second of all of them, and so on. */
static size_t next_operation(struct rest *r, struct connection *c, char *out, size_t room)
{
    char endpoint[64];
    size_t n;

    snprintf(endpoint, sizeof(endpoint), "%s%08llu", r->o->prefix,
             (unsigned long long)(r->o->first + c->device));
    n = serial_request(out, room, endpoint, c->serial);
    c->device += r->o->concurrency;
    if (c->device >= r->o->devices) {
        c->device = (uint64_t)(c - r->connections);
        c->serial++;
    }
    return n;
}

static bool ask(struct rest *r, struct connection *c)
{
    char request[512];
    size_t n;

    if (r->o->mode == MODE_SUBMIT &&
        (c->serial >= r->o->operations || c->device >= r->o->devices)) {
        close(c->fd);
        c->fd = -1;
        r->busy--;
        return true;
    }
    n = r->o->mode == MODE_SUBMIT ? next_operation(r, c, request, sizeof(request))
                                  : next_read(r, request, sizeof(request));
    c->got = 0;
    c->sent_ns = clock_mono_ns();
    return n > 0 && send(c->fd, request, n, 0) == (ssize_t)n;
}

static int connect_one(struct rest *r, struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    struct sockaddr_storage name;
    socklen_t len = addr_to_sockaddr(&r->o->api, false, &name);
    const int on = 1;

    c->fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return ERR_IO;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (struct sockaddr *)&name, len) < 0 ||
        epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0 || !ask(r, c)) {
        close(c->fd);
        c->fd = -1;
        return ERR_UNREACHABLE;
    }
    return ERR_OK;
}

/* Closed, broken or not understood: a new connection, unless that fails too. */
static void renew(struct rest *r, struct connection *c)
{
    r->statuses[0]++;
    close(c->fd);
    c->failed = connect_one(r, c) < 0;
    r->busy -= c->failed;
}

/* A header's number; false when the header is not there. */
static bool header_number(const char *head, const char *name, uint64_t *ret_number)
{
    const char *at = strcasestr(head, name);
    size_t n;

    if (!at)
        return false;
    at += strlen(name);
    at += strspn(at, " ");
    n = strspn(at, "0123456789");
    return view_u64(view_of(at, n), SIZE_MAX, ret_number) == ERR_OK;
}

/* True when the whole response is there; *ret_status is its status. */
static bool complete(struct connection *c, uint64_t *ret_status)
{
    uint64_t length = 0;
    char *end;

    c->in[c->got] = '\0';
    end = strstr(c->in, "\r\n\r\n");
    if (!end || !header_number(c->in, "HTTP/1.1", ret_status))
        return false;
    *end = '\0';
    if (!header_number(c->in, "\r\nContent-Length:", &length))
        length = 0;
    *end = '\r';
    return c->got >= (size_t)(end + 4 - c->in) + length;
}

static void on_readable(struct rest *r, struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - 1 - c->got, 0);
    uint64_t status, now_ns;

    if (n <= 0) {
        renew(r, c);
        return;
    }
    c->got += (size_t)n;
    if (!complete(c, &status)) {
        if (c->got == sizeof(c->in) - 1)
            renew(r, c);
        return;
    }
    now_ns = clock_mono_ns();
    if (now_ns <= r->end_ns) {
        r->statuses[status / 100 < STATUS_CLASSES ? status / 100 : 0]++;
        r->accepted += status == 202;
        hist_add(&r->latency, now_ns - c->sent_ns);
    }
    if (!ask(r, c))
        renew(r, c);
}

static void print(const struct rest *r, double elapsed_s)
{
    printf("{\"mode\":\"%s\",\"devices\":%llu,\"concurrency\":%llu,\"elapsed_s\":%.3f,"
           "\"rate\":%.0f,\"ok\":%llu,\"accepted\":%llu,\"client_errors\":%llu,"
           "\"server_errors\":%llu,\"connections_failed\":%llu,\"cpu_s\":%.3f",
           r->o->mode_name, (unsigned long long)r->o->devices,
           (unsigned long long)r->o->concurrency, elapsed_s, (double)r->statuses[2] / elapsed_s,
           (unsigned long long)r->statuses[2], (unsigned long long)r->accepted,
           (unsigned long long)r->statuses[4], (unsigned long long)r->statuses[5],
           (unsigned long long)r->statuses[0], result_cpu_s());
    result_latency(&r->latency);
    printf("}\n");
}

static int connect_all(struct rest *r)
{
    r->busy = r->o->concurrency;
    for (uint64_t i = 0; i < r->o->concurrency; i++) {
        int rc;

        r->connections[i].device = i;
        rc = connect_one(r, &r->connections[i]);
        if (rc < 0)
            return rc;
    }
    return ERR_OK;
}

/* `submit` goes on until all is handed in, `rest` for 10 s, unless told otherwise. */
static int loop(struct rest *r)
{
    uint64_t duration_ms = r->o->duration_ms ? r->o->duration_ms : READ_MS;
    uint64_t start_ns = clock_mono_ns();
    struct epoll_event events[EVENTS];
    int rc = connect_all(r);

    if (rc < 0)
        return rc;
    r->end_ns = start_ns + duration_ms * NS_PER_MS;
    if (r->o->mode == MODE_SUBMIT && r->o->duration_ms == 0)
        r->end_ns = UINT64_MAX;
    while (!main_stopped && r->busy > 0 && clock_mono_ns() < r->end_ns) {
        int n = epoll_wait(r->epoll, events, EVENTS, WAIT_MS);

        for (int i = 0; i < n; i++)
            on_readable(r, events[i].data.ptr);
    }
    print(r, (double)(clock_mono_ns() - start_ns) / 1e9);
    return ERR_OK;
}

int rest_run(const struct options *o)
{
    struct rest *r = mem_new(sizeof(*r));
    int rc = ERR_NOMEM;

    if (!r)
        return ERR_NOMEM;
    r->o = o;
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->connections = mem_new(o->concurrency * sizeof(*r->connections));
    if (r->connections && r->epoll >= 0) {
        for (uint64_t i = 0; i < o->concurrency; i++)
            r->connections[i].fd = -1;
        rc = loop(r);
        for (uint64_t i = 0; i < o->concurrency; i++)
            if (r->connections[i].fd >= 0)
                close(r->connections[i].fd);
    }
    if (r->epoll >= 0)
        close(r->epoll);
    mem_free(r->connections);
    mem_free(r);
    return rc;
}
