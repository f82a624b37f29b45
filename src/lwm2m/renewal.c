#include "lwm2m/internal.h"

#include <stdlib.h>

/*
 * Renewed lifetimes reach the store some at a time, sorted by row, at most min(lifetime / 10,
 * interval) late (architecture D9). A device is noted once, by id, in the bucket of the time it
 * must be written by.
 */

#define TXN_MAX 4096u
#define CHUNK_IDS 254
#define SPARE_MAX 64u
#define RETRY_MS 1000

struct renewal_chunk {
    struct renewal_chunk *next;
    size_t n;
    uint64_t ids[CHUNK_IDS];
};

void renewal_init(struct domain *d)
{
    uint64_t interval_ms = (uint64_t)d->cfg.renewal_interval_s * 1000;
    uint64_t width_ms = interval_ms / (RENEWAL_BUCKETS - 4);

    d->renewals.width_ms = width_ms > 1000 ? width_ms : 1000;
    d->renewals.first = UINT64_MAX;
}

static void free_chunks(struct renewal_chunk *c)
{
    while (c != NULL) {
        struct renewal_chunk *next = c->next;

        mem_free(c);
        c = next;
    }
}

void renewal_fini(struct domain *d)
{
    for (size_t i = 0; i < RENEWAL_BUCKETS; i++)
        free_chunks(d->renewals.buckets[i].chunks);
    free_chunks(d->renewals.spare);
}

/* ---- noting ---------------------------------------------------------------------------------- */

static struct renewal_chunk *get_chunk(struct renewals *r)
{
    struct renewal_chunk *c = r->spare;

    if (c == NULL)
        return mem_new(sizeof(*c));
    r->spare = c->next;
    c->next = NULL;
    c->n = 0;
    return c;
}

static bool put(struct renewals *r, uint64_t due, uint64_t id)
{
    uint64_t number = due / r->width_ms;
    struct renewal_bucket *b = &r->buckets[number % RENEWAL_BUCKETS];

    if (b->chunks == NULL || b->chunks->n == CHUNK_IDS) {
        struct renewal_chunk *c = get_chunk(r);

        if (c == NULL)
            return false;
        /* What a run that came late has left in this bucket is due earlier, and stays so. */
        if (b->chunks == NULL || number < b->number)
            b->number = number;
        c->next = b->chunks;
        b->chunks = c;
    }
    b->chunks->ids[b->chunks->n++] = id;
    r->waiting++;
    if (b->number < r->first)
        r->first = b->number;
    return true;
}

void renewal_note(struct domain *d, struct device *dev, uint64_t now)
{
    uint64_t most_ms = (uint64_t)d->cfg.renewal_interval_s * 1000;
    uint64_t wait_ms = (uint64_t)dev->lifetime_s * 100;

    if ((dev->flags & DEVICE_RENEWED) != 0) {
        counter_add(d->counters, COUNTER_renewals_coalesced, 1);
        return;
    }
    if (dev->lifetime_s == 0 || wait_ms > most_ms)
        wait_ms = most_ms;
    /* Without memory for the note the next message of the device tries again. */
    if (put(&d->renewals, now + wait_ms, dev->id))
        dev->flags |= DEVICE_RENEWED;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Takes up to `room` ids of the earliest bucket; it and r->first advance when it is empty. */
static size_t take(struct renewals *r, uint64_t *ids, size_t room)
{
    struct renewal_bucket *b = &r->buckets[r->first % RENEWAL_BUCKETS];
    size_t n = 0;

    while (b->chunks != NULL && n < room) {
        struct renewal_chunk *c = b->chunks;

        while (c->n > 0 && n < room)
            ids[n++] = c->ids[--c->n];
        if (c->n > 0)
            break;
        b->chunks = c->next;
        c->next = r->spare;
        r->spare = c;
    }
    r->waiting -= n;
    if (b->chunks != NULL)
        return n;
    r->first = UINT64_MAX;
    for (size_t i = 0; i < RENEWAL_BUCKETS; i++)
        if (r->buckets[i].chunks != NULL && r->buckets[i].number < r->first)
            r->first = r->buckets[i].number;
    return n;
}

static void trim_spare(struct renewals *r)
{
    size_t n = 0;

    for (struct renewal_chunk *c = r->spare; c != NULL; c = c->next)
        if (++n == SPARE_MAX) {
            free_chunks(c->next);
            c->next = NULL;
        }
}

static int by_row(const void *a, const void *b)
{
    const struct renewal *x = a, *y = b;

    return (x->row > y->row) - (x->row < y->row);
}

/* An Update on its way to the store ends later than what is in memory: a renewal behind it would
 * take that back. */
static bool is_changing(const struct device *dev)
{
    return dev->rare != NULL && dev->rare->job != NULL && dev->rare->job->kind == JOB_UPDATE;
}

/* Ids whose device is gone, or was written already, drop out; `wait`: those that change are due
 * again soon, in case the change fails. */
static struct txn *make_txn(struct domain *d, struct job *job, bool wait, uint64_t now)
{
    struct txn *t = txn_new(TXN_RENEW);
    size_t kept = 0;

    if (t == NULL)
        return NULL;
    t->renewals = mem_resize(NULL, job->id_count * sizeof(*t->renewals));
    if (t->renewals == NULL) {
        txn_free(t);
        return NULL;
    }
    for (size_t i = 0; i < job->id_count; i++) {
        struct device *dev = chain_by_id(d, job->ids[i]);

        if (dev == NULL || (dev->flags & DEVICE_RENEWED) == 0)
            continue;
        dev->flags &= (uint8_t)~DEVICE_RENEWED;
        if (is_changing(dev)) {
            if (wait && put(&d->renewals, now + RETRY_MS, dev->id))
                dev->flags |= DEVICE_RENEWED;
            continue;
        }
        job->ids[kept] = dev->id;
        t->renewals[kept++] = (struct renewal){
            .row = dev->claim->row,
            .generation = dev->claim->generation,
            .expires_ms = expiry_unix_ms(d, dev, now),
            .seen_ms = (int64_t)dev->seen_s * 1000,
        };
    }
    job->id_count = kept;
    t->renewal_count = kept;
    qsort(t->renewals, kept, sizeof(*t->renewals), by_row);
    return t;
}

/* Not written: they are due again soon. */
static void note_again(struct domain *d, const struct job *job, uint64_t now)
{
    for (size_t i = 0; i < job->id_count; i++) {
        struct device *dev = chain_by_id(d, job->ids[i]);

        if (dev == NULL)
            continue;
        dev->flags &= (uint8_t)~DEVICE_RENEWED;
        if (put(&d->renewals, now + RETRY_MS, dev->id))
            dev->flags |= DEVICE_RENEWED;
    }
}

/* One transaction of what is due by `until`; false when there is none or it could not be handed
 * over. */
static bool write_some(struct domain *d, uint64_t until, uint64_t now)
{
    struct renewals *r = &d->renewals;
    struct job *job = job_new(JOB_RENEW, 0);
    struct txn *t;

    if (job != NULL)
        job->ids = mem_resize(NULL, TXN_MAX * sizeof(*job->ids));
    if (job == NULL || job->ids == NULL) {
        job_free(job);
        return false;
    }
    while (job->id_count < TXN_MAX && r->first <= until / r->width_ms)
        job->id_count += take(r, job->ids + job->id_count, TXN_MAX - job->id_count);
    trim_spare(r);
    t = make_txn(d, job, until == now, now);
    if (t != NULL && t->renewal_count == 0) {
        txn_free(t);
        job_free(job);
        return true;
    }
    if (job_submit(d, job, t) < 0) {
        note_again(d, job, now);
        job_free(job);
        return false;
    }
    return true;
}

void renewal_run(struct domain *d, uint64_t now)
{
    if (renewal_next(d) <= now)
        (void)write_some(d, now, now);
}

void renewal_flush(struct domain *d, uint64_t now)
{
    while (d->renewals.first != UINT64_MAX && write_some(d, UINT64_MAX, now))
        ;
}

uint64_t renewal_next(const struct domain *d)
{
    const struct renewals *r = &d->renewals;

    return r->first == UINT64_MAX ? UINT64_MAX : r->first * r->width_ms;
}

void renewal_done(struct domain *d, struct job *job, int rc, uint64_t now)
{
    if (rc < 0)
        note_again(d, job, now);
    else
        counter_add(d->counters, COUNTER_renewals_written, job->id_count);
    job_free(job);
}
