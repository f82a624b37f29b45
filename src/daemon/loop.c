#include "daemon/internal.h"
#include "daemon/notify.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIVE_MS 5000             /* how often the file `alive` is touched */
#define WATCHDOG_SILENCE_MS 10000 /* a thread that has not beaten for this long is stuck */

static void touch_alive(uv_timer_t *t)
{
    const struct server *s = t->data;

    futimens(s->alive_fd, NULL);
}

static void beat_watchdog(uv_timer_t *t)
{
    const struct server *s = t->data;
    struct store_status status;
    uint64_t now = clock_mono_ms();

    store_status(s->store, &status);
    if (now < shards_beat(s->shards) + WATCHDOG_SILENCE_MS &&
        (int64_t)now < status.beat_ms + WATCHDOG_SILENCE_MS)
        notify_send("WATCHDOG=1");
    else
        log_error("a thread does not answer; the watchdog is not fed",
                  log_u64("shards_ms", now - shards_beat(s->shards)),
                  log_i64("store_ms", (int64_t)now - status.beat_ms));
}

static int reload(struct server *s)
{
    struct conf next;
    int rc = conf_load(s->file, stderr, &next);

    if (rc < 0) {
        log_error("the new configuration was refused, the old one stays", log_text("file", s->file),
                  log_text("reason", err_text(rc)));
        return rc;
    }
    conf_reload(&s->conf, &next);
    conf_fini(&next);
    log_setup((enum log_level)s->conf.log_level, s->conf.log_format == 1, STDERR_FILENO);
    rc = api_reload_tokens(s->api);
    if (rc < 0)
        log_error("the token file was refused, the old tokens stay",
                  log_text("reason", err_text(rc)));
    if (known_reload(s) == ERR_OK && rc == ERR_OK)
        log_info("the configuration was read again", log_text("file", s->file));
    return rc;
}

int loop_ask_reload(void *ctx)
{
    struct server *s = ctx;
    struct conf next;
    int rc = conf_load(s->file, stderr, &next);

    if (rc < 0)
        return rc;
    conf_fini(&next);
    return uv_async_send(&s->reload) < 0 ? ERR_STOPPING : ERR_OK;
}

static void on_reload(uv_async_t *a)
{
    reload(a->data);
}

static void on_signal(uv_signal_t *sig, int number)
{
    struct server *s = sig->data;

    if (number == SIGHUP) {
        notify_send("RELOADING=1");
        reload(s);
        notify_send("READY=1");
        return;
    }
    log_info("stopping", log_i64("signal", number));
    notify_send("STOPPING=1");
    uv_stop(&s->loop);
}

void loop_open(struct server *s)
{
    const struct {
        uv_signal_t *handle;
        int number;
    } signals[] = {{&s->on_term, SIGTERM}, {&s->on_int, SIGINT}, {&s->on_hup, SIGHUP}};
    uint64_t watchdog = notify_watchdog_ms();

    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&s->loop);
    uv_async_init(&s->loop, &s->reload, on_reload);
    s->reload.data = s;
    for (size_t i = 0; i < mem_count(signals); i++) {
        uv_signal_init(&s->loop, signals[i].handle);
        signals[i].handle->data = s;
        uv_signal_start(signals[i].handle, on_signal, signals[i].number);
    }
    uv_timer_init(&s->loop, &s->alive_timer);
    uv_timer_init(&s->loop, &s->watchdog_timer);
    s->alive_timer.data = s->watchdog_timer.data = s;
    uv_timer_start(&s->alive_timer, touch_alive, 0, ALIVE_MS);
    if (watchdog > 0)
        uv_timer_start(&s->watchdog_timer, beat_watchdog, watchdog, watchdog);
}

void loop_run(struct server *s)
{
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *h, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void loop_close(struct server *s)
{
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
}
