#include "api/internal.h"

#include <sys/socket.h>

#define TICK_MS 1000
#define WHOLE_FACTOR 4 /* a request must be whole within this many idle timeouts */
#define ENDED_TICKS 2  /* so many ticks apart a thread has handled what it had read */

static uint64_t whole_by(const struct api *a)
{
    return clock_mono_ms() + (uint64_t)a->cfg.idle_timeout_s * 1000 * WHOLE_FACTOR;
}

static struct conn *conn_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

void conn_serving(struct api *a, struct MHD_Connection *connection)
{
    struct conn *conn = conn_of(connection);

    if (!conn)
        return;
    pthread_mutex_lock(&a->conn_lock);
    conn->deadline = 0;
    conn->served = true;
    pthread_mutex_unlock(&a->conn_lock);
}

void conn_completed(struct api *a, struct MHD_Connection *connection)
{
    struct conn *conn = conn_of(connection);

    if (!conn)
        return;
    pthread_mutex_lock(&a->conn_lock);
    conn->deadline = whole_by(a);
    conn->ended = 0;
    pthread_mutex_unlock(&a->conn_lock);
}

static struct conn *conn_add(struct api *a, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *conn = info ? mem_new(sizeof(*conn)) : NULL;

    if (!conn)
        return NULL;
    conn->fd = info->connect_fd;
    conn->deadline = whole_by(a);
    pthread_mutex_lock(&a->conn_lock);
    list_push(&a->conns, &conn->node);
    pthread_mutex_unlock(&a->conn_lock);
    return conn;
}

static void conn_remove(struct api *a, struct conn *conn)
{
    pthread_mutex_lock(&a->conn_lock);
    list_del(&conn->node);
    pthread_mutex_unlock(&a->conn_lock);
    if (!conn->served) /* garbage, or silence, until it was closed */
        api_count(a, COUNTER_http_refused, 1);
    mem_free(conn);
}

void conn_notify(void *ctx, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code)
{
    struct api_listener *l = ctx;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = conn_add(l->api, connection);
    } else if (*socket_context) {
        conn_remove(l->api, *socket_context);
        *socket_context = NULL;
    }
}

/* ---- the ticker: keep-alive of event readers, requests that never get whole ---- */

/* libmicrohttpd listens to edges: an end that comes together with the data before it is heard by
 * nobody, and the connection would stay until it has been idle for too long. */
static bool has_ended(struct conn *conn)
{
    char next;

    if (recv(conn->fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        conn->ended++;
    else
        conn->ended = 0;
    return conn->ended >= ENDED_TICKS;
}

static void close_overdue(struct api *a, uint64_t now)
{
    pthread_mutex_lock(&a->conn_lock);
    list_each(&a->conns, it)
    {
        struct conn *conn = list_item(it, struct conn, node);

        if (conn->deadline != 0 && (now >= conn->deadline || has_ended(conn))) {
            conn->deadline = 0;
            shutdown(conn->fd, SHUT_RDWR); /* its own thread sees the end and closes it */
        }
    }
    pthread_mutex_unlock(&a->conn_lock);
}

static void *run_ticker(void *arg)
{
    struct api *a = arg;

    pthread_mutex_lock(&a->conn_lock);
    while (!a->stopping) {
        struct timespec until;
        uint64_t now, wake = clock_mono_ms() + TICK_MS;

        until.tv_sec = (time_t)(wake / 1000);
        until.tv_nsec = (long)(wake % 1000) * 1000000;
        pthread_cond_timedwait(&a->tick, &a->conn_lock, &until);
        pthread_mutex_unlock(&a->conn_lock);
        now = clock_mono_ms();
        events_tick(a->events, now);
        close_overdue(a, now);
        pthread_mutex_lock(&a->conn_lock);
    }
    pthread_mutex_unlock(&a->conn_lock);
    return NULL;
}

int conn_start_ticker(struct api *a)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->tick, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&a->ticker, NULL, run_ticker, a) != 0)
        return ERR_LIMIT;
    a->ticking = true;
    return ERR_OK;
}

void conn_stop_ticker(struct api *a)
{
    pthread_mutex_lock(&a->conn_lock);
    a->stopping = true;
    pthread_mutex_unlock(&a->conn_lock);
    if (!a->ticking)
        return;
    pthread_cond_signal(&a->tick);
    pthread_join(a->ticker, NULL);
    pthread_cond_destroy(&a->tick);
}
