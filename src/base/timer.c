/*
 * A hierarchical wheel: level L has 64 slots of 64^L ms each, and eleven levels cover all of 64
 * bits.
 *
 * A timer is on the level of the highest digit (base 64) in which its due time differs from the
 * wheel's time, in the slot of that digit. So all of a level is due before all of the next one, and
 * the lowest level in use and its lowest slot, both found in a bitmap, say what comes next whatever
 * the distance.
 */
#include "base/base.h"

#define LEVEL_BITS 6
#define LEVELS 11
#define SLOTS (1u << LEVEL_BITS)
/* Timers that one bounded run may move to a lower level besides those it fires, at least. */
#define SETTLE_MIN ((size_t)4096)

struct timer_wheel {
    uint64_t now;          /* all slots before this time are empty */
    struct timer *late;    /* started when due already: for the next run */
    uint64_t late_due;     /* none of `late` is due before */
    struct timer *ready;   /* a slot that was reached: each of it fires or goes to a lower level */
    uint64_t ready_due;    /* none of `ready` is due before */
    uint32_t levels;       /* bit L: level L is not empty */
    uint64_t used[LEVELS]; /* bit s: slot s is not empty */
    struct timer *slot[LEVELS * SLOTS];
    timer_fire_fn fire;
    void *ctx;
    size_t size;
};

struct timer_wheel *timer_wheel_new(uint64_t now, timer_fire_fn fire, void *ctx)
{
    struct timer_wheel *w = mem_new(sizeof(*w));

    if (!w)
        return NULL;
    w->now = now;
    w->fire = fire;
    w->ctx = ctx;
    return w;
}

void timer_wheel_free(struct timer_wheel *w)
{
    mem_free(w);
}

static void push(struct timer **head, struct timer *t)
{
    t->next = *head;
    t->link = head;
    if (t->next)
        t->next->link = &t->next;
    *head = t;
}

/* Hands a whole list over to another head. */
static void steal(struct timer **from, struct timer **to)
{
    *to = *from;
    *from = NULL;
    if (*to)
        (*to)->link = to;
}

static void mark_used(struct timer_wheel *w, size_t slot)
{
    w->used[slot / SLOTS] |= (uint64_t)1 << slot % SLOTS;
    w->levels |= 1u << slot / SLOTS;
}

static void mark_empty(struct timer_wheel *w, size_t slot)
{
    w->used[slot / SLOTS] &= ~((uint64_t)1 << slot % SLOTS);
    if (w->used[slot / SLOTS] == 0)
        w->levels &= ~(1u << slot / SLOTS);
}

/* Puts a timer that is due after the wheel's time into its slot. */
static void settle(struct timer_wheel *w, struct timer *t)
{
    unsigned level = (63 - (unsigned)__builtin_clzll(t->due ^ w->now)) / LEVEL_BITS;
    size_t slot = level * SLOTS + (t->due >> level * LEVEL_BITS) % SLOTS;

    push(&w->slot[slot], t);
    mark_used(w, slot);
}

static void take_out(struct timer_wheel *w, struct timer *t)
{
    uintptr_t offset = (uintptr_t)t->link - (uintptr_t)w->slot;

    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    else if (offset < sizeof(w->slot))
        mark_empty(w, offset / sizeof(w->slot[0]));
    t->next = NULL;
    t->link = NULL;
}

void timer_start(struct timer_wheel *w, struct timer *t, uint64_t due)
{
    if (timer_active(t))
        take_out(w, t);
    else
        w->size++;
    t->due = due;
    if (due > w->now) {
        settle(w, t);
        return;
    }
    if (!w->late || due < w->late_due)
        w->late_due = due;
    push(&w->late, t);
}

void timer_stop(struct timer_wheel *w, struct timer *t)
{
    if (!timer_active(t))
        return;
    take_out(w, t);
    w->size--;
}

/* The lowest slot in use and when it begins; there must be one. */
static size_t next_slot(const struct timer_wheel *w, uint64_t *ret_begin)
{
    unsigned level = (unsigned)__builtin_ctz(w->levels);
    unsigned digit = (unsigned)__builtin_ctzll(w->used[level]);
    unsigned shift = level * LEVEL_BITS;
    uint64_t higher = shift + LEVEL_BITS < 64 ? w->now >> (shift + LEVEL_BITS) : 0;

    *ret_begin = (higher << LEVEL_BITS | digit) << shift;
    return level * SLOTS + digit;
}

/* Makes the earliest slot that has begun by `now` the ready list; false when there is none. */
static bool reach_slot(struct timer_wheel *w, uint64_t now)
{
    uint64_t begin;
    size_t slot;

    if (w->levels == 0)
        return false;
    slot = next_slot(w, &begin);
    if (begin > now)
        return false;
    w->now = begin;
    w->ready_due = begin;
    steal(&w->slot[slot], &w->ready);
    mark_empty(w, slot);
    return true;
}

/* What is left to do in one run. */
struct run {
    uint64_t now;
    size_t fires;
    size_t settles;
};

/* Empties the ready list; false when the run's bound came first. */
static bool drain(struct timer_wheel *w, struct run *r)
{
    while (w->ready) {
        struct timer *t = w->ready;

        if (r->fires == 0 || r->settles == 0)
            return false;
        take_out(w, t);
        if (t->due > w->now) {
            settle(w, t);
            r->settles--;
            continue;
        }
        w->size--;
        r->fires--;
        w->fire(w->ctx, t, r->now);
    }
    return true;
}

size_t timer_wheel_run(struct timer_wheel *w, uint64_t now, size_t budget)
{
    size_t most = budget ? budget : SIZE_MAX;
    struct run r = {now, most, most > SETTLE_MIN ? most : SETTLE_MIN};
    bool drained = drain(w, &r); /* what the last run left */

    if (drained) {
        w->ready_due = w->late_due;
        steal(&w->late, &w->ready);
        while ((drained = drain(w, &r)) && reach_slot(w, now))
            ;
    }
    if (drained && now > w->now)
        w->now = now;
    return most - r.fires;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
    uint64_t next = UINT64_MAX;

    if (w->levels)
        next_slot(w, &next);
    if (w->ready && w->ready_due < next)
        next = w->ready_due;
    if (w->late && w->late_due < next)
        next = w->late_due;
    return next;
}

size_t timer_wheel_size(const struct timer_wheel *w)
{
    return w->size;
}
