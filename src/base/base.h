/*
 * base: what every other layer stands on.
 *
 * MUST be free of project knowledge: nothing here knows CoAP, LwM2M, SQL or HTTP.
 * MUST NOT do I/O, except log.c (writes to its file descriptor), clock.c (reads the clocks) and
 * random.c (seeds from the kernel). MUST NOT include another folder. libuv appears in mbox.h only.
 *
 * Conventions: functions return 0 (ERR_OK) or a negative ERR_ value; outputs come last, are named
 * ret_… and stay untouched on failure. `now` is monotonic milliseconds. What is declared `static
 * inline` here is defined in base/inline.h.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* ---- err: the one error table (err.def) ----------------------------------------------------- */

enum err_number {
    ERR_N_OK = 0,
#define ERR(name, text, coap, http) ERR_N_##name,
#include "base/err.def"
#undef ERR
    ERR_N_COUNT
};

enum err {
    ERR_OK = 0,
#define ERR(name, text, coap, http) ERR_##name = -(int)ERR_N_##name,
#include "base/err.def"
#undef ERR
};

/* Short name ("TRUNCATED"); "OK" for 0; "UNKNOWN" for a number outside the table. */
const char *err_name(int rc);
/* Sentence without a full stop, for people. */
const char *err_text(int rc);
/* The CoAP code byte that tells a device of this failure. 0x00 for ERR_OK. */
uint8_t err_coap_code(int rc);
/* The HTTP status that tells an operator of it. 200 for ERR_OK. */
unsigned err_http_status(int rc);

/* ---- mem: the only allocator ---------------------------------------------------------------- */

/* Zeroed memory or NULL. Release with mem_free. */
void *mem_new(size_t size) __attribute__((malloc, warn_unused_result));
/* The same at a multiple of `align`, a power of two of at least a pointer's size. */
void *mem_new_aligned(size_t size, size_t align) __attribute__((malloc, warn_unused_result));
/* The same for blocks of MEM_HUGE bytes or a multiple: in huge pages where the kernel has some, so
 * that memory that is used all over costs fewer misses of the address translation. */
#define MEM_HUGE ((size_t)2 << 20)
void *mem_new_huge(size_t size) __attribute__((malloc, warn_unused_result));
/* Like realloc; the old block stays valid on NULL. New bytes are not zeroed. */
void *mem_resize(void *p, size_t size) __attribute__((warn_unused_result));
/* Copy of n bytes followed by a NUL, or NULL. */
char *mem_text(const void *p, size_t n) __attribute__((malloc, warn_unused_result));
void mem_free(void *p);

#define mem_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define mem_count(array) (sizeof(array) / sizeof((array)[0]))

/* ---- view: borrowed bytes ------------------------------------------------------------------- */

/* Borrowed: dies with the callback that handed it over, unless the owner says otherwise. */
struct view {
    const uint8_t *p;
    size_t n;
};

#define VIEW_NONE ((struct view){NULL, 0})
#define VIEW_LIT(literal) ((struct view){(const uint8_t *)(literal), sizeof(literal) - 1})
#define VIEW_FMT "%.*s"
#define VIEW_ARG(v) (int)(v).n, (const char *)(v).p

static inline struct view view_of(const void *p, size_t n);
static inline struct view view_str(const char *nul_terminated);
static inline bool view_eq(struct view a, struct view b);
static inline bool view_eq_str(struct view a, const char *b);
int view_cmp(struct view a, struct view b);
/* The part from `from`, at most `n` bytes; clipped to the view. */
struct view view_sub(struct view v, size_t from, size_t n);
/* Splits off the part before the first `sep` and leaves the rest in *rest (VIEW_NONE with p NULL
 * when there is no more). Returns false when *rest is exhausted (p NULL). */
bool view_split(struct view *rest, uint8_t sep, struct view *ret_part);
/* Exact decimal text to a number; ERR_MALFORMED when empty or with other characters, ERR_RANGE on
 * overflow or above max. */
int view_u64(struct view v, uint64_t max, uint64_t *ret_number);
int view_i64(struct view v, int64_t *ret_number);
/* Plain or exponent decimal; refuses inf, nan, hex. Locale independent. */
int view_double(struct view v, double *ret_number);
/* ERR_UTF8 unless the whole view is valid UTF-8 (RFC 3629) without NUL. */
int view_utf8(struct view v);
/* Bytes (1 to 4) of the UTF-8 character that v starts with; 0 when there is no valid one. */
size_t view_utf8_char(struct view v);

/* ---- arena: per-datagram memory ------------------------------------------------------------- */

/* Bump allocator reset after each datagram; blocks are kept for reuse. ASan poisons on reset. */
struct arena;
/* `limit`: bytes handed out between two resets, each piece rounded up to 16; past it there is no
 * more and arena_alloc returns NULL. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a);
/* Aligned for any type, not zeroed; NULL at the limit. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((warn_unused_result));
void arena_reset(struct arena *a);
/* Bytes handed out since the last reset, each piece rounded up to 16. */
size_t arena_used(const struct arena *a);
/* Copies into the arena; ret.p NULL at the limit. */
struct view arena_copy(struct arena *a, struct view v);

/* ---- buf: growable bytes with a maximum ----------------------------------------------------- */

/* Sticky: after the first failure rc is set and appends do nothing. Embedded; _fini frees. */
struct buf {
    uint8_t *p;
    size_t n;
    size_t cap;
    size_t max; /* most bytes it may ever hold; appends past it set ERR_LIMIT */
    int rc;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_view(struct buf *b, struct view v);
void buf_put_str(struct buf *b, const char *s);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vfmt(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* NUL after the content (not counted in n); returns NULL after a failure. */
const char *buf_cstr(struct buf *b);
/* The content, also what was appended before a failure; p is never NULL. */
struct view buf_view(const struct buf *b);

/* ---- rd, wr: sticky-error cursors over fixed memory ----------------------------------------- */

struct rd {
    const uint8_t *p;
    const uint8_t *end;
    int rc; /* first failure; reads return 0 after it */
};

struct rd rd_init(struct view v);
static inline bool rd_end(const struct rd *r); /* nothing left, or failed */
static inline size_t rd_left(const struct rd *r);
static inline uint8_t rd_u8(struct rd *r);
static inline uint16_t rd_u16(struct rd *r); /* network order, as all of these */
static inline uint32_t rd_u24(struct rd *r);
static inline uint32_t rd_u32(struct rd *r);
static inline uint64_t rd_u64(struct rd *r);
static inline struct view rd_bytes(struct rd *r, size_t n);
/* Fails the cursor from outside; an earlier failure stands. */
void rd_fail(struct rd *r, int rc);
/* rc, or ERR_TRAILING when bytes are left. */
int rd_done(const struct rd *r);

struct wr {
    uint8_t *start;
    uint8_t *p;
    uint8_t *end;
    int rc; /* ERR_LIMIT once a write did not fit */
};

struct wr wr_init(void *p, size_t n);
/* Sets rc to ERR_LIMIT; nothing is written from then on. */
void wr_fail(struct wr *w);
static inline void wr_u8(struct wr *w, uint8_t v);
static inline void wr_u16(struct wr *w, uint16_t v);
static inline void wr_u24(struct wr *w, uint32_t v);
static inline void wr_u32(struct wr *w, uint32_t v);
static inline void wr_u64(struct wr *w, uint64_t v);
static inline void wr_bytes(struct wr *w, struct view v);
struct view wr_view(const struct wr *w);

/* ---- text: encodings ------------------------------------------------------------------------ */

/* Lower-case hex; out holds 2 n + 1 bytes. */
void text_hex(const void *p, size_t n, char *out);
int text_unhex(struct view hex, uint8_t *out, size_t cap, size_t *ret_n);
/* Standard alphabet with padding (RFC 4648 section 4), or url-safe without (section 5). */
void text_base64(struct buf *out, struct view v, bool url);
/* Accepts either alphabet, with or without padding; ERR_MALFORMED otherwise. */
int text_unbase64(struct buf *out, struct view v);
/* RFC 3339 UTC with milliseconds ("2026-01-01T00:00:00.000Z"), 25 bytes with NUL. */
void text_time(int64_t unix_ms, char out[25]);
int text_untime(struct view v, int64_t *ret_unix_ms);
/* Shortest decimal that reads back as the same double, always with '.' or exponent-free digits. */
void text_double(double v, char out[32]);

/* ---- hash: keyed hashing and tables --------------------------------------------------------- */

/* SipHash-2-4. The key is drawn at start so that peers cannot aim at one bucket. */
struct hash_key {
    uint64_t k0, k1;
};
uint64_t hash_bytes(const struct hash_key *key, struct view v);
uint64_t hash_u64(const struct hash_key *key, uint64_t v);

/*
 * Pointer table, open addressing, grown incrementally (no insert moves more than some dozen
 * entries), below 20 bytes per entry at any size above 1 000. The caller hashes and compares.
 */
struct table;
typedef bool (*table_eq_fn)(const void *item, const void *key);
/* `limit`: most items; table_put answers ERR_LIMIT beyond. 0 = none. */
struct table *table_new(size_t limit);
/* Takes the final size at once when so many items are about to be put, which saves the growing;
 * only an empty table can. ERR_NOMEM or ERR_LIMIT leave it as it was. */
int table_reserve(struct table *t, size_t items);
void table_free(struct table *t); /* the items are not touched */
size_t table_size(const struct table *t);
void *table_get(const struct table *t, uint64_t hash, table_eq_fn eq, const void *key);
/* For a look-up some time later: asks the memory for the place of this hash. */
void table_prefetch(const struct table *t, uint64_t hash);
/* Once that has arrived: an item that may be the one, not compared; NULL when none is close. */
const void *table_guess(const struct table *t, uint64_t hash);
/* Does not look for an equal item: get first. */
int table_put(struct table *t, uint64_t hash, void *item);
/* Removes exactly this item; false when it is not there. */
bool table_del(struct table *t, uint64_t hash, const void *item);
/* Walk: start with *pos = 0, until NULL. Removing the item just returned is allowed, adding not. */
void *table_next(const struct table *t, size_t *pos);
/* Bytes the table itself occupies. */
size_t table_bytes(const struct table *t);

/* ---- list: intrusive doubly linked list ----------------------------------------------------- */

struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *head);
static inline bool list_empty(const struct list *head);
/* A zeroed or removed node is not linked. */
static inline bool list_linked(const struct list *node);
/* At the end. */
static inline void list_push(struct list *head, struct list *node);
static inline void list_push_front(struct list *head, struct list *node);
/* No-op on an unlinked node; leaves it zeroed. */
static inline void list_del(struct list *node);
/* First or NULL. */
static inline struct list *list_pop(struct list *head);
#define list_item(node, type, member) mem_container(node, type, member)
#define list_each(head, it) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(head, it, tmp)                                                              \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

/* Link of a message that crosses threads through a mailbox (mbox.h); embedded by the messages. */
struct mbox_node {
    struct mbox_node *next;
};

/* ---- timer: hierarchical wheel -------------------------------------------------------------- */

/* 24 bytes, embedded in what it times; a zeroed timer is idle. O(1) start, stop and expiry. */
struct timer {
    struct timer *next;
    struct timer **link; /* what points at us; NULL when idle */
    uint64_t due;        /* monotonic ms */
};
struct timer_wheel;
/* The wheel calls `fire` for each timer that is due; the timer is idle by then and may be
 * restarted, and any other timer may be started or stopped from inside. */
typedef void (*timer_fire_fn)(void *ctx, struct timer *t, uint64_t now);
struct timer_wheel *timer_wheel_new(uint64_t now, timer_fire_fn fire, void *ctx);
void timer_wheel_free(struct timer_wheel *w);
/* (Re)starts; due in the past fires at the next run. Resolution 1 ms, range at least 10 years. */
void timer_start(struct timer_wheel *w, struct timer *t, uint64_t due);
void timer_stop(struct timer_wheel *w, struct timer *t);
static inline bool timer_active(const struct timer *t);
/* Fires all that is due at `now`, at most `budget` timers (0 = no bound); returns how many fired. A
 * bounded run may also stop between, when very many timers move to a finer level at once: call
 * again as soon as timer_wheel_next says. */
size_t timer_wheel_run(struct timer_wheel *w, uint64_t now, size_t budget);
/* Lower bound of the next due time (never later than the true one); UINT64_MAX when empty. */
uint64_t timer_wheel_next(const struct timer_wheel *w);
size_t timer_wheel_size(const struct timer_wheel *w);

/* ---- addr: addresses and flows -------------------------------------------------------------- */

/* 20 bytes. IPv4 is stored v4-mapped (::ffff:a.b.c.d), so that one comparison serves both. */
struct addr {
    uint8_t ip[16];
    uint16_t port;  /* host order */
    uint16_t scope; /* interface index of a link-local address, else 0 */
};
struct sockaddr;
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_is_v4(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
bool addr_is_any(const struct addr *a);
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr);
/* The length of what it puts into out, a sockaddr_storage; v4-mapped becomes AF_INET unless
 * `as_v6`. */
unsigned addr_to_sockaddr(const struct addr *a, bool as_v6, void *out);
#define ADDR_TEXT_MAX 72
/* "192.0.2.1:5683", "[2001:db8::1]:5683" */
void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* Numeric host and port, IPv6 in brackets; ERR_MALFORMED otherwise. */
int addr_parse(struct view v, struct addr *ret_addr);
/* Hash of the IP only, keyed by nothing, cheap enough for a classic BPF program to repeat: the sum
 * of the four 32-bit words of the v6 form, folded (x ^ x >> 16). Steers datagrams to shards. */
uint32_t addr_steer(const struct addr *a);
uint64_t addr_hash(const struct hash_key *key, const struct addr *a);

/* ---- clock, random -------------------------------------------------------------------------- */

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_ms(void);

/* Keyed pseudo-random function over a counter: unpredictable with a secret seed, repeatable with a
 * given one (simulation). Not shared between threads. */
struct random {
    struct hash_key key;
    uint64_t counter;
};
void random_init(struct random *r, uint64_t seed0, uint64_t seed1);
int random_init_secret(struct random *r); /* seeds from the kernel */
uint64_t random_u64(struct random *r);
uint64_t random_below(struct random *r, uint64_t bound); /* bound > 0 */
void random_bytes(struct random *r, void *out, size_t n);

/* ---- counter: per-thread counters, summed on reading (counter.def) -------------------------- */

enum counter {
#define COUNTER(name, help) COUNTER_##name,
#include "base/counter.def"
#undef COUNTER
    COUNTER_COUNT
};
/* One per thread; only its thread adds, anyone may read. */
struct counters {
    _Atomic uint64_t v[COUNTER_COUNT];
};
static inline void counter_add(struct counters *c, enum counter which, uint64_t n);
static inline uint64_t counter_get(const struct counters *c, enum counter which);
const char *counter_name(enum counter which);
const char *counter_help(enum counter which);

/* ---- log: structured lines, text or JSON ---------------------------------------------------- */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* A key and its text; built by the log_… helpers below and passed by value. No secrets, ever. */
struct log_field {
    const char *key;
    enum { LOG_TEXT, LOG_VIEW, LOG_U64, LOG_I64, LOG_ADDR } kind;
    union {
        const char *text;
        struct view view;
        uint64_t u64;
        int64_t i64;
        const struct addr *addr;
    } u;
};
#define log_text(k, v) ((struct log_field){.key = (k), .kind = LOG_TEXT, .u.text = (v)})
#define log_view(k, v) ((struct log_field){.key = (k), .kind = LOG_VIEW, .u.view = (v)})
#define log_u64(k, v) ((struct log_field){.key = (k), .kind = LOG_U64, .u.u64 = (v)})
#define log_i64(k, v) ((struct log_field){.key = (k), .kind = LOG_I64, .u.i64 = (v)})
#define log_addr(k, v) ((struct log_field){.key = (k), .kind = LOG_ADDR, .u.addr = (v)})

/* Process-wide set-up: the threshold, JSON or text, the descriptor (2 by default). Thread safe. */
void log_setup(enum log_level threshold, bool json, int fd);
bool log_enabled(enum log_level level);
/* Lines a second that one call site may write (50 unless set); 0 = no bound. Thread safe. */
void log_rate(unsigned lines);
/* At most `log_rate` lines a second from one call site; what is suppressed is counted and said once
 * with the next line of that site. Control characters and quotes are escaped; a value past 1 KiB
 * and a line past 4 KiB are cut and end in "...". `site` NULL: no bound. */
struct log_site {
    _Atomic uint64_t window_ms;
    _Atomic uint32_t in_window;
    _Atomic uint32_t suppressed;
};
void log_line(struct log_site *site, enum log_level level, const char *message,
              const struct log_field *fields, size_t count);
/* Lines suppressed by the bound in the whole process so far. */
uint64_t log_suppressed_total(void);
#define log_emit(level, message, ...)                                                              \
    do {                                                                                           \
        static struct log_site log_site_;                                                          \
        if (log_enabled(level)) {                                                                  \
            /* An empty field first, so that no field at all is a valid initialiser too. */        \
            const struct log_field log_fields_[] = {{.key = NULL}, __VA_ARGS__};                   \
            log_line(&log_site_, level, message, log_fields_ + 1, mem_count(log_fields_) - 1);     \
        }                                                                                          \
    } while (0)
#define log_error(...) log_emit(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_emit(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_emit(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_emit(LOG_LEVEL_DEBUG, __VA_ARGS__)

#include "base/inline.h"

#endif
