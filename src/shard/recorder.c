#include "shard/recorder.h"

#include <stdio.h>

#define DETAIL_MAX 128
#define ENTRIES 256 /* handed over at once */
#define DELAY_MS 200
#define BYTES_MAX ((size_t)1 << 20) /* of names and details gathered */
/* Of the store's queue, permille: beyond the first no renewals, beyond the second nothing. */
#define PRESSED 500
#define FULL 750

/* Texts lie in the buffer, which moves while it grows. */
struct draft {
    struct entry entry;
    size_t endpoint_at, detail_at;
};

struct recorder {
    struct recorder_out out;
    void *ctx;
    struct counters *counters;
    uint32_t lines_per_s;
    uint64_t second; /* monotonic, of `lines` */
    uint32_t lines, renewals;
    unsigned pressure; /* as of the last look */
    uint64_t looked_at;
    struct buf bytes;
    struct draft drafts[ENTRIES];
    size_t count;
    uint64_t due;
};

struct recorder *recorder_new(const struct recorder_out *out, void *ctx, uint32_t lines_per_s,
                              struct counters *counters)
{
    struct recorder *r = mem_new(sizeof(*r));

    if (!r)
        return NULL;
    r->out = *out;
    r->ctx = ctx;
    r->counters = counters;
    r->lines_per_s = lines_per_s;
    r->due = UINT64_MAX;
    buf_init(&r->bytes, BYTES_MAX);
    return r;
}

static void forget(struct recorder *r)
{
    for (size_t i = 0; i < r->count; i++)
        batch_free(r->drafts[i].entry.values);
    r->count = 0;
    r->due = UINT64_MAX;
    buf_reset(&r->bytes);
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    forget(r);
    buf_fini(&r->bytes);
    mem_free(r);
}

/* ---- handing over ---- */

static void lost(struct recorder *r, const struct entry *e)
{
    counter_add(r->counters, e->listed ? COUNTER_timeline_dropped : COUNTER_values_dropped, 1);
}

static struct txn *make_txn(struct recorder *r)
{
    struct txn *t = txn_new(TXN_RECORD);

    if (!t)
        return NULL;
    t->entries = mem_new(r->count * sizeof(*t->entries));
    t->bytes = mem_text(r->bytes.p, r->bytes.n);
    if (!t->entries || !t->bytes) {
        txn_free(t);
        return NULL;
    }
    t->entry_count = r->count;
    for (size_t i = 0; i < r->count; i++) {
        const struct draft *d = &r->drafts[i];

        t->entries[i] = d->entry;
        t->entries[i].endpoint.p = (const uint8_t *)t->bytes + d->endpoint_at;
        t->entries[i].detail.p = (const uint8_t *)t->bytes + d->detail_at;
    }
    return t;
}

void recorder_flush(struct recorder *r)
{
    struct txn *t = r->count > 0 ? make_txn(r) : NULL;

    if (t && r->out.txn(r->ctx, t) == ERR_OK) {
        for (size_t i = 0; i < r->count; i++)
            r->drafts[i].entry.values = NULL; /* the transaction has them */
        forget(r);
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        lost(r, &r->drafts[i].entry);
        if (t)
            r->drafts[i].entry.values = NULL;
    }
    txn_free(t);
    forget(r);
}

void recorder_run(struct recorder *r, uint64_t now)
{
    if (r->count > 0 && r->due <= now)
        recorder_flush(r);
}

uint64_t recorder_next(const struct recorder *r)
{
    return r->due;
}

/* ---- gathering ---- */

static unsigned pressure(struct recorder *r, uint64_t now)
{
    if (r->out.pressure && now - r->looked_at >= DELAY_MS) {
        r->pressure = r->out.pressure(r->ctx);
        r->looked_at = now;
    }
    return r->pressure;
}

static size_t keep(struct recorder *r, struct view text)
{
    size_t at = r->bytes.n;

    buf_put_view(&r->bytes, text);
    return at;
}

/* Takes the values of e. */
static void add(struct recorder *r, struct entry e, uint64_t now)
{
    struct draft *d = &r->drafts[r->count];

    *d = (struct draft){.entry = e};
    d->endpoint_at = keep(r, e.endpoint);
    d->detail_at = keep(r, e.detail);
    if (r->bytes.rc < 0) {
        lost(r, &e);
        batch_free(e.values);
        recorder_flush(r);
        return;
    }
    r->count++;
    if (r->count == 1)
        r->due = now + DELAY_MS;
    if (r->count == ENTRIES)
        recorder_flush(r);
}

/* Half of what a second may bring is for renewals. */
static bool has_room(struct recorder *r, bool renewal, uint64_t now)
{
    unsigned full = pressure(r, now);

    if (now / 1000 != r->second) {
        r->second = now / 1000;
        r->lines = 0;
        r->renewals = 0;
    }
    if (full >= FULL || r->lines >= r->lines_per_s)
        return false;
    if (renewal && (full >= PRESSED || r->renewals >= r->lines_per_s / 2))
        return false;
    r->lines++;
    r->renewals += renewal;
    return true;
}

/* "write /3/0/14 done 01a2…" */
static struct view operation_text(const struct operation *o, char text[DETAIL_MAX])
{
    char path[PATH_TEXT_MAX], id[37];

    path_format(&o->path, path);
    op_id_format(&o->id, id);
    snprintf(text, DETAIL_MAX, "%s %s %s %s", op_kind_name(o->kind), path, op_state_name(o->state),
             id);
    return view_str(text);
}

/* Where it talks from, what was asked of it, or why. */
static struct view detail_of(const struct event *e, char text[DETAIL_MAX])
{
    if (e->detail)
        return view_str(e->detail);
    if (e->operation)
        return operation_text(e->operation, text);
    if (e->type == EVENT_OBSERVATION_STARTED || e->type == EVENT_OBSERVATION_ENDED) {
        path_format(&e->path, text);
        return view_str(text);
    }
    if (e->flow.peer.port == 0)
        return VIEW_NONE;
    addr_format(&e->flow.peer, text);
    return view_str(text);
}

/* What is a line of the timeline. */
static const bool listed[EVENT_TYPE_COUNT] = {
    [EVENT_REGISTERED] = true,
    [EVENT_UPDATED] = true,
    [EVENT_DEREGISTERED] = true,
    [EVENT_EXPIRED] = true,
    [EVENT_REPLACED] = true,
    [EVENT_REFUSED] = true,
    [EVENT_MOVED] = true,
    [EVENT_OBSERVATION_STARTED] = true,
    [EVENT_OBSERVATION_ENDED] = true,
    [EVENT_AWAKE] = true,
    [EVENT_ASLEEP] = true,
    [EVENT_OVERDUE] = true,
    [EVENT_OPERATION] = true,
};

static void add_line(struct recorder *r, const struct event *e, uint64_t now)
{
    char text[DETAIL_MAX];

    if (!has_room(r, e->renewal, now)) {
        counter_add(r->counters,
                    e->renewal ? COUNTER_timeline_renewals_dropped : COUNTER_timeline_dropped, 1);
        return;
    }
    add(r,
        (struct entry){.endpoint = view_str(e->endpoint),
                       .time_ms = e->time_ms,
                       .listed = true,
                       .type = e->type,
                       .rc = e->rc,
                       .registration_id = e->registration_id,
                       .detail = detail_of(e, text)},
        now);
}

void recorder_event(struct recorder *r, const struct event *e, uint64_t now)
{
    if (r->lines_per_s > 0 && listed[e->type])
        add_line(r, e, now);
    else if (e->type == EVENT_NOTIFICATION)
        recorder_values(r, view_str(e->endpoint), e->registration_id, ORIGIN_NOTIFY, e->values,
                        e->time_ms, now);
}

void recorder_values(struct recorder *r, struct view endpoint, uint64_t registration_id,
                     enum value_origin origin, const struct batch *values, int64_t time_ms,
                     uint64_t now)
{
    struct batch *copy;

    if (!values || batch_size(values) == 0)
        return;
    copy = pressure(r, now) < FULL ? batch_copy(values) : NULL;
    if (!copy) {
        counter_add(r->counters, COUNTER_values_dropped, 1);
        return;
    }
    add(r,
        (struct entry){.endpoint = endpoint,
                       .time_ms = time_ms,
                       .registration_id = registration_id,
                       .values = copy,
                       .origin = origin},
        now);
}
