#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/base.h"

static void test_add(void **state)
{
    static struct counters c;

    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++)
        assert_int_equal(counter_get(&c, (enum counter)i), 0);
    counter_add(&c, COUNTER_registers, 1);
    counter_add(&c, COUNTER_registers, 41);
    counter_add(&c, COUNTER_updates, (uint64_t)1 << 40);
    assert_int_equal(counter_get(&c, COUNTER_registers), 42);
    assert_int_equal(counter_get(&c, COUNTER_updates), (uint64_t)1 << 40);
    assert_int_equal(counter_get(&c, COUNTER_deregisters), 0);
}

/* A name is part of a metric's name; each is there once and has a help text. */
static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const char *name = counter_name((enum counter)i);

        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        assert_true(strlen(name) > 2);
        assert_true(strlen(counter_help((enum counter)i)) > 3);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, counter_name((enum counter)k));
    }
    assert_string_equal(counter_name(COUNTER_commits), "commits");
    assert_string_equal(counter_help(COUNTER_commits), "commits of the store");
}

#define ADDS 200000

static void *add_many(void *arg)
{
    struct counters *c = arg;

    for (int i = 0; i < ADDS; i++)
        counter_add(c, COUNTER_datagrams_received, 1);
    return NULL;
}

/* Reading from another thread while the owner adds: never backwards, complete at the end. */
static void test_read_from_outside(void **state)
{
    static struct counters c;
    pthread_t thread;
    uint64_t last = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, add_many, &c), 0);
    for (int i = 0; i < 10000; i++) {
        uint64_t v = counter_get(&c, COUNTER_datagrams_received);

        assert_true(v >= last);
        last = v;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(counter_get(&c, COUNTER_datagrams_received), ADDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_read_from_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
