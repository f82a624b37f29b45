#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/timer.c"

#define DAY ((uint64_t)86400000)
#define YEAR (365 * DAY)

/* The model beside the wheel: what should be running, and what has fired. */
enum { TIMERS = 300 };

struct model {
    struct timer_wheel *w;
    struct timer t[TIMERS];
    bool active[TIMERS];
    bool started_inside[TIMERS]; /* during the present run */
    struct random r;
    size_t fired;
    size_t size;
    uint64_t now;
    bool meddles; /* callbacks start and stop timers */
};

static uint64_t random_delay(struct model *m)
{
    switch (random_below(&m->r, 8)) {
    case 0:
        return 0;
    case 1:
        return random_below(&m->r, 4);
    case 2:
    case 3:
        return random_below(&m->r, 200);
    case 4:
        return random_below(&m->r, 300000);
    case 5:
        return random_below(&m->r, DAY);
    case 6:
        return random_below(&m->r, 20 * YEAR);
    default:
        return 64 * (1 + random_below(&m->r, 128)); /* boundaries of slots */
    }
}

static void model_start(struct model *m, size_t i, uint64_t due)
{
    m->size += !m->active[i];
    m->active[i] = true;
    timer_start(m->w, &m->t[i], due);
    assert_true(timer_active(&m->t[i]));
}

static void model_stop(struct model *m, size_t i)
{
    m->size -= m->active[i];
    m->active[i] = false;
    timer_stop(m->w, &m->t[i]);
    assert_false(timer_active(&m->t[i]));
}

/* A due time around now: before it, at it, after it. */
static uint64_t random_due(struct model *m)
{
    uint64_t delay = random_delay(m);

    if (random_below(&m->r, 10) == 0)
        return delay < m->now ? m->now - delay : 0;
    if (random_below(&m->r, 200) == 0)
        return UINT64_MAX - delay;
    return m->now + delay;
}

static void on_fire(void *ctx, struct timer *t, uint64_t now)
{
    struct model *m = ctx;
    size_t i = (size_t)(t - m->t);

    assert_true(i < TIMERS);
    assert_true(m->active[i]);
    assert_false(timer_active(t));
    assert_true(t->due <= now);
    assert_int_equal(now, m->now);
    m->active[i] = false;
    m->size--;
    m->fired++;
    if (!m->meddles)
        return;
    if (random_below(&m->r, 2)) {
        model_start(m, i, random_due(m));
        m->started_inside[i] = true;
    }
    if (random_below(&m->r, 3) == 0) {
        i = random_below(&m->r, TIMERS);
        model_start(m, i, random_due(m));
        m->started_inside[i] = true;
    }
    if (random_below(&m->r, 3) == 0)
        model_stop(m, random_below(&m->r, TIMERS));
}

static uint64_t model_next(const struct model *m)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < TIMERS; i++)
        if (m->active[i] && m->t[i].due < next)
            next = m->t[i].due;
    return next;
}

static void check(const struct model *m)
{
    uint64_t next = timer_wheel_next(m->w);

    assert_int_equal(timer_wheel_size(m->w), m->size);
    assert_true(next <= model_next(m));
    if (m->size == 0)
        assert_int_equal(next, UINT64_MAX);
    for (unsigned level = 0; level < LEVELS; level++) {
        assert_int_equal(m->w->levels >> level & 1, m->w->used[level] != 0);
        for (unsigned s = 0; s < SLOTS; s++)
            assert_int_equal(m->w->used[level] >> s & 1, m->w->slot[level * SLOTS + s] != NULL);
    }
}

/* Runs at m->now, in as many pieces as the budget makes of it, and checks that all due has fired.
 */
static void model_run(struct model *m, size_t budget)
{
    size_t before = m->fired;
    size_t fired;

    memset(m->started_inside, 0, sizeof(m->started_inside));
    fired = timer_wheel_run(m->w, m->now, budget);
    assert_int_equal(fired, m->fired - before);
    if (budget) {
        assert_true(fired <= budget);
        if (fired == budget)
            return; /* the rest is for later runs */
    }
    for (size_t i = 0; i < TIMERS; i++)
        assert_false(m->active[i] && !m->started_inside[i] && m->t[i].due <= m->now);
}

static void random_play(uint64_t seed, bool meddles, bool budgets)
{
    struct model m = {.meddles = meddles};
    uint64_t next;

    random_init(&m.r, seed, meddles);
    m.now = random_below(&m.r, 3) ? random_below(&m.r, 10 * YEAR) : 0;
    m.w = timer_wheel_new(m.now, on_fire, &m);
    assert_non_null(m.w);
    for (size_t step = 0; step < 3000; step++) {
        size_t i = random_below(&m.r, TIMERS);

        switch (random_below(&m.r, 8)) {
        case 0:
            model_stop(&m, i);
            break;
        case 1:
            m.now += random_delay(&m);
            model_run(&m, budgets ? random_below(&m.r, 6) : 0);
            break;
        case 2:
            next = timer_wheel_next(m.w);
            if (next > m.now && next < m.now + 20 * YEAR)
                m.now = next;
            model_run(&m, budgets ? random_below(&m.r, 6) : 0);
            break;
        default:
            model_start(&m, i, random_due(&m));
            break;
        }
        check(&m);
    }
    m.meddles = false;
    m.now = UINT64_MAX;
    model_run(&m, 0);
    assert_int_equal(m.size, 0);
    check(&m);
    timer_wheel_free(m.w);
}

static void test_against_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        random_play(seed, false, false);
        random_play(seed, true, false);
        random_play(seed, false, true);
        random_play(seed, true, true);
    }
}

struct order {
    uint64_t last;
    size_t fired;
};

static void on_order(void *ctx, struct timer *t, uint64_t now)
{
    struct order *o = ctx;

    (void)now;
    assert_true(t->due >= o->last);
    o->last = t->due;
    o->fired++;
}

static void test_due_order(void **state)
{
    enum { N = 5000 };
    static struct timer t[N];
    struct order o = {0};
    struct random r;
    struct timer_wheel *w = timer_wheel_new(12345, on_order, &o);

    (void)state;
    assert_non_null(w);
    random_init(&r, 7, 7);
    for (size_t i = 0; i < N; i++)
        timer_start(w, &t[i], 12346 + random_below(&r, i % 2 ? 10000 : 30 * DAY));
    /* In pieces, one of them several days long. */
    for (uint64_t now = 12345; o.fired < N; now = now * 3 / 2)
        timer_wheel_run(w, now, 700);
    timer_wheel_free(w);
}

/* Waiting for what _next says comes to each timer exactly when it is due, in few steps. */
static void test_next_leads_there(void **state)
{
    static const uint64_t delays[] = {1, 63, 64, 65, 4095, 4096, 100000, DAY, 31 * DAY, 10 * YEAR};

    (void)state;
    for (size_t i = 0; i < mem_count(delays); i++) {
        struct order o = {0};
        uint64_t start = 1000003 * (i + 1);
        struct timer_wheel *w = timer_wheel_new(start, on_order, &o);
        struct timer t = {0};
        uint64_t now = start;
        size_t steps = 0;

        assert_non_null(w);
        timer_start(w, &t, start + delays[i]);
        for (; o.fired == 0; steps++) {
            uint64_t next = timer_wheel_next(w);

            assert_true(next > now || steps == 0);
            assert_true(next <= start + delays[i]);
            now = next;
            timer_wheel_run(w, now, 0);
        }
        assert_int_equal(now, start + delays[i]);
        assert_true(steps <= LEVELS);
        assert_int_equal(timer_wheel_next(w), UINT64_MAX);
        timer_wheel_free(w);
    }
}

/* Mass expiry: each run fires no more than its budget, and none is lost or late for ever. */
static void test_budget_spreads(void **state)
{
    enum { N = 10000 };
    static struct timer t[N];
    struct order o = {0};
    struct timer_wheel *w = timer_wheel_new(0, on_order, &o);
    size_t runs = 0;

    (void)state;
    assert_non_null(w);
    for (size_t i = 0; i < N; i++)
        timer_start(w, &t[i], DAY + i % 100);
    while (timer_wheel_size(w) > 0) {
        assert_true(timer_wheel_next(w) <= 2 * DAY);
        assert_true(timer_wheel_run(w, 2 * DAY, 64) <= 64);
        runs++;
    }
    assert_int_equal(o.fired, N);
    assert_true(runs >= N / 64);
    /* Moving to finer levels is bounded too, but generously: not one run per timer. */
    assert_true(runs <= N / 64 + 5 * N / SETTLE_MIN + 5);
    assert_int_equal(timer_wheel_next(w), UINT64_MAX);
    timer_wheel_free(w);
}

static void on_restart(void *ctx, struct timer *t, uint64_t now)
{
    struct timer_wheel **w = ctx;

    timer_start(*w, t, now);
}

/* A timer that restarts itself at once does not hold the run for ever. */
static void test_restart_at_once(void **state)
{
    struct timer_wheel *w;
    struct timer t = {0};

    (void)state;
    w = timer_wheel_new(100, on_restart, &w);
    assert_non_null(w);
    timer_start(w, &t, 100);
    assert_int_equal(timer_wheel_next(w), 100);
    assert_int_equal(timer_wheel_run(w, 100, 0), 1);
    assert_int_equal(timer_wheel_run(w, 100, 0), 1);
    assert_in_range(timer_wheel_run(w, 5000, 0), 1, 2);
    assert_int_equal(timer_wheel_next(w), 5000);
    timer_stop(w, &t);
    timer_stop(w, &t);
    assert_int_equal(timer_wheel_size(w), 0);
    timer_wheel_free(w);
    timer_wheel_free(NULL);
}

static void test_size(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct timer), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),    cmocka_unit_test(test_due_order),
        cmocka_unit_test(test_next_leads_there), cmocka_unit_test(test_budget_spreads),
        cmocka_unit_test(test_restart_at_once),  cmocka_unit_test(test_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
