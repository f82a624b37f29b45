#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define VALUE_MAX_BYTES 1024
/* Kept free at the end of a line for what says that it was cut and for what closes it. */
#define LINE_TAIL_BYTES 32
#define WINDOW_MS 1000
/* JSON readers keep numbers as doubles; larger ones travel as text. */
#define EXACT_MAX ((uint64_t)1 << 53)

static _Atomic int log_threshold = LOG_LEVEL_INFO;
static _Atomic bool log_json;
static _Atomic int log_fd = 2;
static _Atomic unsigned log_lines = 50;
static _Atomic uint64_t log_suppressed;

struct level_names {
    const char *text;
    const char *json;
};

static const struct level_names level_names[] = {
    [LOG_LEVEL_ERROR] = {"ERROR", "error"},
    [LOG_LEVEL_WARN] = {"WARN", "warn"},
    [LOG_LEVEL_INFO] = {"INFO", "info"},
    [LOG_LEVEL_DEBUG] = {"DEBUG", "debug"},
};

/* The line being put together; `end` is where content must stop. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
    size_t end;
    bool json;
    bool cut; /* something did not fit */
};

void log_setup(enum log_level threshold, bool json, int fd)
{
    atomic_store(&log_threshold, (int)threshold);
    atomic_store(&log_json, json);
    atomic_store(&log_fd, fd);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

void log_rate(unsigned lines)
{
    atomic_store(&log_lines, lines);
}

uint64_t log_suppressed_total(void)
{
    return atomic_load(&log_suppressed);
}

/* All of it or nothing. */
static bool put(struct line *l, const char *text, size_t n)
{
    if (n > l->end - l->n) {
        l->cut = true;
        return false;
    }
    memcpy(l->text + l->n, text, n);
    l->n += n;
    return true;
}

static bool put_str(struct line *l, const char *text)
{
    return put(l, text, strlen(text));
}

/* One character of `v` made harmless: quotes, backslashes, control characters (C1 too, they steer
 * terminals) and bytes that are no UTF-8 become JSON escapes. Returns the bytes it took. */
static size_t escape_char(struct view v, char out[8], size_t *ret_n)
{
    static const char plain[] = "\"\\bfnrt";
    static const char codes[] = "\"\\\b\f\n\r\t";
    size_t n = view_utf8_char(v);
    const char *code = n == 1 && v.p[0] ? strchr(codes, v.p[0]) : NULL;

    if (n == 0) {
        *ret_n = (size_t)snprintf(out, 8, "\\ufffd");
        return 1;
    }
    if (code)
        *ret_n = (size_t)snprintf(out, 8, "\\%c", plain[code - codes]);
    else if (n == 1 && (v.p[0] < 0x20 || v.p[0] == 0x7f))
        *ret_n = (size_t)snprintf(out, 8, "\\u%04x", v.p[0]);
    else if (n == 2 && v.p[0] == 0xc2 && v.p[1] < 0xa0)
        *ret_n = (size_t)snprintf(out, 8, "\\u%04x", v.p[1]);
    else
        memcpy(out, v.p, *ret_n = n);
    return n;
}

/* As much of `v` as fits, "..." after it when that is not all. */
static void put_escaped(struct line *l, struct view v)
{
    static const char mark[] = "...";
    size_t end = l->end - l->n < VALUE_MAX_BYTES ? l->end : l->n + VALUE_MAX_BYTES;
    size_t safe = l->n; /* the mark fits behind this */
    size_t at = 0;

    while (at < v.n) {
        char text[8];
        size_t n;
        size_t taken = escape_char(view_of(v.p + at, v.n - at), text, &n);

        if (n > end - l->n) {
            l->n = safe;
            put(l, mark, sizeof(mark) - 1);
            return;
        }
        put(l, text, n);
        if (end - l->n >= sizeof(mark) - 1)
            safe = l->n;
        at += taken;
    }
}

static void put_quoted(struct line *l, struct view v)
{
    l->end--; /* for the closing quote */
    put(l, "\"", 1);
    put_escaped(l, v);
    l->end++;
    put(l, "\"", 1);
}

/* A value of the text form that needs no quotes. */
static bool is_bare(struct view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] >= 0x7f || v.p[i] == '"' || v.p[i] == '=' || v.p[i] == '\\')
            return false;
    return v.n > 0;
}

static void put_text_value(struct line *l, struct view v)
{
    if (!l->json && is_bare(v))
        put_escaped(l, v);
    else if (l->json && !v.p)
        put_str(l, "null");
    else
        put_quoted(l, v);
}

static void put_value(struct line *l, const struct log_field *f)
{
    char text[ADDR_TEXT_MAX];
    uint64_t size = 0;

    switch (f->kind) {
    case LOG_TEXT:
        put_text_value(l, view_str(f->u.text));
        return;
    case LOG_VIEW:
        put_text_value(l, f->u.view);
        return;
    case LOG_ADDR:
        if (f->u.addr)
            addr_format(f->u.addr, text);
        put_text_value(l, f->u.addr ? view_str(text) : VIEW_NONE);
        return;
    case LOG_U64:
        size = f->u.u64;
        snprintf(text, sizeof(text), "%llu", (unsigned long long)f->u.u64);
        break;
    case LOG_I64:
        size = f->u.i64 < 0 ? 0 - (uint64_t)f->u.i64 : (uint64_t)f->u.i64;
        snprintf(text, sizeof(text), "%lld", (long long)f->u.i64);
        break;
    }
    if (l->json && size > EXACT_MAX)
        put_quoted(l, view_str(text));
    else
        put_str(l, text);
}

/* ` key=value` or `,"key":value`; leaves the line as it was when there is no room for the key and a
 * little more. */
static void put_field(struct line *l, const struct log_field *f)
{
    size_t need = strlen(f->key) + 32;

    if (need > l->end - l->n) {
        l->cut = true;
        return;
    }
    put_str(l, l->json ? ",\"" : " ");
    put_str(l, f->key);
    put_str(l, l->json ? "\":" : "=");
    put_value(l, f);
}

static void put_head(struct line *l, enum log_level level, const char *message)
{
    char time[25];

    text_time(clock_wall_ms(), time);
    if (l->json) {
        put_str(l, "{\"time\":\"");
        put_str(l, time);
        put_str(l, "\",\"level\":\"");
        put_str(l, level_names[level].json);
        put_str(l, "\",\"message\":");
        put_quoted(l, view_str(message));
        return;
    }
    put_str(l, time);
    put_str(l, " ");
    put_str(l, level_names[level].text);
    put_str(l, " ");
    put_escaped(l, view_str(message));
}

/* Whether this line of the site may go out; *ret_suppressed: how many did not since the last one.
 */
static bool admit(struct log_site *site, uint32_t *ret_suppressed)
{
    unsigned most = atomic_load_explicit(&log_lines, memory_order_relaxed);
    uint64_t now = clock_mono_ms();
    uint64_t window = atomic_load(&site->window_ms);

    /* Of several threads that find the window over, one opens the next. */
    if (now >= window + WINDOW_MS && atomic_compare_exchange_strong(&site->window_ms, &window, now))
        atomic_store(&site->in_window, 0);
    if (most && atomic_fetch_add(&site->in_window, 1) >= most) {
        atomic_fetch_add(&site->suppressed, 1);
        atomic_fetch_add(&log_suppressed, 1);
        return false;
    }
    *ret_suppressed = atomic_exchange(&site->suppressed, 0);
    return true;
}

void log_line(struct log_site *site, enum log_level level, const char *message,
              const struct log_field *fields, size_t count)
{
    uint32_t suppressed = 0;
    struct line l;
    ssize_t n;

    if (site && !admit(site, &suppressed))
        return;
    l.n = 0;
    l.end = sizeof(l.text) - LINE_TAIL_BYTES;
    l.json = atomic_load_explicit(&log_json, memory_order_relaxed);
    l.cut = false;
    put_head(&l, level, message);
    if (suppressed)
        put_field(&l, &log_u64("suppressed", suppressed));
    for (size_t i = 0; i < count; i++)
        put_field(&l, &fields[i]);
    l.end = sizeof(l.text);
    if (l.cut)
        put_str(&l, l.json ? ",\"truncated\":true" : " truncated=true");
    put_str(&l, l.json ? "}\n" : "\n");
    /* A log that cannot be written has nowhere to say so. */
    do
        n = write(atomic_load_explicit(&log_fd, memory_order_relaxed), l.text, l.n);
    while (n < 0 && errno == EINTR);
}
