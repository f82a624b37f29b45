#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/base.h"

static void test_monotonic(void **state)
{
    uint64_t last = clock_mono_ns();

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_mono_ns();

        assert_true(now >= last);
        last = now;
    }
}

/* Both readings are of one clock, the system's monotonic one, and it advances while we sleep. */
static void test_units(void **state)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    struct timespec ts;
    uint64_t ms = clock_mono_ms();
    uint64_t ns = clock_mono_ns();

    (void)state;
    assert_in_range(ns / 1000000, ms, ms + 1000);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    assert_in_range((uint64_t)ts.tv_sec, ms / 1000, ms / 1000 + 2);
    assert_int_equal(nanosleep(&nap, NULL), 0);
    assert_in_range(clock_mono_ms() - ms, 20, 10000);
    assert_in_range(clock_mono_ns() - ns, 20000000, 10000000000);
}

static void test_wall(void **state)
{
    struct timespec ts;
    int64_t ms;

    (void)state;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
    ms = clock_wall_ms();
    assert_in_range(ms / 1000, ts.tv_sec, ts.tv_sec + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_wall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
