#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void test_repeatable(void **state)
{
    struct random a, b, c;
    size_t equal = 0;

    (void)state;
    random_init(&a, 1, 2);
    random_init(&b, 1, 2);
    random_init(&c, 1, 3);
    for (int i = 0; i < 1000; i++) {
        uint64_t v = random_u64(&a);

        assert_int_equal(v, random_u64(&b));
        equal += v == random_u64(&c);
    }
    assert_int_equal(equal, 0);
}

static void test_secret(void **state)
{
    struct random a, b;

    (void)state;
    assert_int_equal(random_init_secret(&a), ERR_OK);
    assert_int_equal(random_init_secret(&b), ERR_OK);
    assert_true(a.key.k0 != b.key.k0 && a.key.k1 != b.key.k1);
    assert_true(random_u64(&a) != random_u64(&b));
}

/* Each value of a small range about equally often: 60 000 draws, six standard deviations. */
static void test_below(void **state)
{
    struct random r;
    size_t seen[6] = {0};

    (void)state;
    random_init(&r, 5, 6);
    for (int i = 0; i < 60000; i++)
        seen[random_below(&r, mem_count(seen))]++;
    for (size_t i = 0; i < mem_count(seen); i++)
        assert_in_range(seen[i], 10000 - 550, 10000 + 550);
    for (int i = 0; i < 100; i++)
        assert_int_equal(random_below(&r, 1), 0);
}

/* A bound just past half of the range: a plain remainder would favour the low values. */
static void test_below_large_bound(void **state)
{
    const uint64_t bound = ((uint64_t)1 << 63) + ((uint64_t)1 << 62);
    struct random r;
    size_t low = 0;

    (void)state;
    random_init(&r, 7, 8);
    for (int i = 0; i < 30000; i++) {
        uint64_t v = random_below(&r, bound);

        assert_true(v < bound);
        low += v < bound / 3;
    }
    assert_in_range(low, 10000 - 500, 10000 + 500);
}

static void test_bytes(void **state)
{
    struct random a, b;
    uint8_t bytes[40];

    (void)state;
    for (size_t n = 0; n <= 32; n++) {
        size_t zero = 0;

        random_init(&a, n, 9);
        memset(bytes, 0, sizeof(bytes));
        random_bytes(&a, bytes, n);
        for (size_t i = n; i < sizeof(bytes); i++)
            assert_int_equal(bytes[i], 0);
        for (size_t i = 0; i < n; i++)
            zero += bytes[i] == 0;
        assert_true(zero < 4);
        /* Whole words come from the counter, so that the next draw is a fresh one. */
        random_init(&b, n, 9);
        b.counter = (n + 7) / 8;
        assert_int_equal(random_u64(&a), random_u64(&b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeatable), cmocka_unit_test(test_secret),
        cmocka_unit_test(test_below),      cmocka_unit_test(test_below_large_bound),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
