#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

/* Memory that runs out now and then, on request. */
static struct random luck;
static unsigned failing; /* of 8 allocations */

static bool unlucky(void)
{
    return failing && random_below(&luck, 8) < failing;
}

static void *scarce_new_aligned(size_t size, size_t align)
{
    return unlucky() ? NULL : mem_new_aligned(size, align);
}

static void *scarce_resize(void *p, size_t size)
{
    return unlucky() ? NULL : mem_resize(p, size);
}

#define mem_new_aligned scarce_new_aligned
#define mem_resize scarce_resize
#include "base/table.c"

struct item {
    uint64_t key;
    bool present;
    bool seen;
    size_t line; /* where it lay when last looked for */
};

typedef uint64_t (*hash_fn)(uint64_t key);

static const struct hash_key secret = {0x0123456789abcdef, 0xfedcba9876543210};

static uint64_t hash_good(uint64_t key)
{
    return hash_u64(&secret, key);
}

/* Six keys to a hash: siblings everywhere. */
static uint64_t hash_shared(uint64_t key)
{
    return hash_u64(&secret, key / 6);
}

static uint64_t hash_constant(uint64_t key)
{
    (void)key;
    return 7;
}

static uint64_t hash_identity(uint64_t key)
{
    return key;
}

static bool item_eq(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const uint64_t *)key;
}

static struct item *get(const struct table *t, hash_fn hash, uint64_t key)
{
    return table_get(t, hash(key), item_eq, &key);
}

/* What the file's head promises: sorted, lines between home and place full, all counted. */
static void check_order(const struct table *t)
{
    uint64_t last = 0;
    size_t count = 0;

    for (size_t i = 0; i < t->chunks * CHUNK_LINES; i++) {
        const struct line *l = line_at(t, i);

        for (size_t k = 0; k < l->count; k++) {
            assert_true(l->hash[k] >= last);
            last = l->hash[k];
            for (size_t between = home(t, l->hash[k]); between < i; between++)
                assert_int_equal(line_at(t, between)->count, LINE_ENTRIES);
            assert_true(home(t, l->hash[k]) <= i);
            count++;
        }
    }
    assert_int_equal(count, t->size);
    for (size_t k = 0; k < CHUNK_LINES; k++)
        assert_int_equal(empty_chunk.line[k].count, 0);
}

/* Random puts, removals and look-ups against a flat array. */
static void compare_with_array(hash_fn hash, size_t keys, size_t steps, size_t check_every)
{
    struct item *items = mem_new(keys * sizeof(*items));
    struct table *t = table_new(0);
    struct random r;
    size_t size = 0;

    while (!t && failing)
        t = table_new(0);
    random_init(&r, 1, keys);
    assert_non_null(items);
    assert_non_null(t);
    for (size_t i = 0; i < keys; i++)
        items[i].key = i;
    for (size_t step = 0; step < steps; step++) {
        struct item *it = &items[random_below(&r, keys)];
        /* Tides: mostly growing in the even, mostly shrinking in the odd quarters. */
        bool rising = (step * 4 / steps) % 2 == 0;

        assert_ptr_equal(get(t, hash, it->key), it->present ? it : NULL);
        if (!it->present && random_below(&r, 8) < (rising ? 7 : 2)) {
            int rc = table_put(t, hash(it->key), it);

            assert_true(rc == ERR_OK || (failing && rc == ERR_NOMEM));
            it->present = rc == ERR_OK;
            size += it->present;
        } else if (it->present && random_below(&r, 8) < (rising ? 1 : 6)) {
            assert_true(table_del(t, hash(it->key), it));
            assert_false(table_del(t, hash(it->key), it));
            it->present = false;
            size--;
        }
        assert_int_equal(table_size(t), size);
        if (step % check_every == 0)
            check_order(t);
    }
    check_order(t);
    for (size_t i = 0; i < keys; i++)
        assert_ptr_equal(get(t, hash, i), items[i].present ? &items[i] : NULL);
    table_free(t);
    mem_free(items);
}

static void test_against_array(void **state)
{
    (void)state;
    compare_with_array(hash_good, 3000, 60000, 97);
    compare_with_array(hash_good, 40000, 400000, 20011);
    compare_with_array(hash_identity, 20000, 100000, 5003);
}

static void test_equal_hashes(void **state)
{
    (void)state;
    compare_with_array(hash_shared, 4000, 60000, 97);
    compare_with_array(hash_constant, 600, 6000, 97);
}

/* Whatever a failed allocation interrupts, no entry gets lost. */
static void test_out_of_memory(void **state)
{
    (void)state;
    random_init(&luck, 5, 6);
    for (failing = 1; failing < 8; failing += 2) {
        compare_with_array(hash_good, 3000, 30000, 97);
        compare_with_array(hash_shared, 3000, 30000, 97);
    }
    failing = 0;
}

static void test_memory_at_each_size(void **state)
{
    enum { ENTRIES = 1000000 };
    struct item *items = mem_new(ENTRIES * sizeof(*items));
    struct table *t = table_new(0);
    double worst = 0;

    (void)state;
    assert_non_null(items);
    assert_non_null(t);
    assert_true(table_bytes(t) < 1024);
    for (size_t i = 0; i < ENTRIES; i++) {
        double each;

        items[i].key = i;
        assert_int_equal(table_put(t, hash_good(i), &items[i]), ERR_OK);
        each = (double)table_bytes(t) / (double)(i + 1);
        if (i >= 1000 && each > worst)
            worst = each;
    }
    print_message("bytes per entry: %.2f at %u, at most %.2f above 1000\n",
                  (double)table_bytes(t) / (double)ENTRIES, ENTRIES, worst);
    assert_true(worst < 20);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_ptr_equal(get(t, hash_good, i), &items[i]);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_null(get(t, hash_good, ENTRIES + i));
    check_order(t);
    for (size_t i = 0; i < ENTRIES; i++)
        assert_true(table_del(t, hash_good(i), &items[i]));
    assert_int_equal(table_size(t), 0);
    check_order(t);
    table_free(t);
    mem_free(items);
}

/* Counts the entries whose line changed with each put, across many growths. */
static void test_moves_per_put(void **state)
{
    enum { ENTRIES = 6000 };
    struct item *items = mem_new(ENTRIES * sizeof(*items));
    struct table *t = table_new(0);
    size_t most = 0;
    size_t many = 0;

    (void)state;
    assert_non_null(items);
    assert_non_null(t);
    for (size_t i = 0; i < ENTRIES; i++) {
        size_t moved = 0;

        items[i].key = i;
        items[i].line = SIZE_MAX;
        assert_int_equal(table_put(t, hash_good(i), &items[i]), ERR_OK);
        for (size_t at = 0; at < t->chunks * CHUNK_LINES; at++) {
            const struct line *l = line_at(t, at);

            for (size_t k = 0; k < l->count; k++) {
                struct item *it = l->item[k];

                moved += it->line != at && it->line != SIZE_MAX;
                it->line = at;
            }
        }
        many += moved > 2 * SWEEP_MOVES;
        if (moved > most)
            most = moved;
    }
    print_message("one put moved up to %zu entries; %zu of %u puts more than %u\n", most, many,
                  ENTRIES, 2 * SWEEP_MOVES);
    assert_true(most <= 128);
    assert_true(many <= ENTRIES / 100);
    table_free(t);
    mem_free(items);
}

/* With the final size given, nothing grows and nothing but the order is different. */
static void test_reserve(void **state)
{
    enum { ENTRIES = 20000 };
    struct item *items = mem_new(ENTRIES * sizeof(*items));
    struct table *t = table_new(0);
    size_t guessed = 0;

    (void)state;
    assert_non_null(items);
    assert_non_null(t);
    assert_null(table_guess(t, hash_good(1)));
    assert_int_equal(table_reserve(t, SIZE_MAX), ERR_LIMIT);
    assert_int_equal(table_reserve(t, ENTRIES), ERR_OK);
    for (size_t i = 0; i < ENTRIES; i++) {
        items[i].key = i;
        assert_int_equal(table_put(t, hash_good(i), &items[i]), ERR_OK);
        assert_int_equal(t->boundary, 0);
    }
    assert_int_equal(table_reserve(t, 2 * ENTRIES), ERR_OK);
    check_order(t);
    assert_true(table_bytes(t) < 20 * ENTRIES);
    for (size_t i = 0; i < ENTRIES; i++) {
        table_prefetch(t, hash_good(i));
        assert_ptr_equal(get(t, hash_good, i), &items[i]);
        guessed += table_guess(t, hash_good(i)) == &items[i];
    }
    /* The others have been pushed out of the line they belong to. */
    assert_in_range(guessed, ENTRIES / 2, ENTRIES);
    table_free(t);
    mem_free(items);
}

/* A device that comes and goes for ever must not wear the table out. */
static void test_churn(void **state)
{
    enum { LIVE = 5000, ROUNDS = 60 };
    static struct item items[LIVE];
    struct table *t = table_new(0);
    size_t bytes;
    size_t longest = 0;

    (void)state;
    assert_non_null(t);
    for (size_t i = 0; i < LIVE; i++) {
        items[i].key = i;
        assert_int_equal(table_put(t, hash_good(i), &items[i]), ERR_OK);
    }
    bytes = table_bytes(t);
    for (size_t i = LIVE; i < LIVE * ROUNDS; i++) {
        struct item *it = &items[i % LIVE];

        assert_true(table_del(t, hash_good(it->key), it));
        it->key = i;
        assert_int_equal(table_put(t, hash_good(i), it), ERR_OK);
    }
    check_order(t);
    assert_true(table_bytes(t) <= bytes + 4 * sizeof(struct chunk));
    for (size_t i = 0; i < 100000; i++) {
        uint32_t h = fold(hash_good(i));
        size_t at = home(t, h);

        while (!ends_search(line_at(t, at), h))
            at++;
        if (at - home(t, h) > longest)
            longest = at - home(t, h);
    }
    print_message("longest search after %u removals: %zu lines\n", LIVE * (ROUNDS - 1),
                  longest + 1);
    assert_true(longest < 64);
    table_free(t);
}

static void walk(bool (*removes)(size_t n))
{
    enum { ENTRIES = 3000 };
    static struct item items[ENTRIES];
    struct table *t = table_new(0);
    size_t pos = 0;
    size_t n = 0;
    size_t left = ENTRIES;
    struct item *it;

    assert_non_null(t);
    for (size_t i = 0; i < ENTRIES; i++) {
        items[i] = (struct item){.key = i};
        assert_int_equal(table_put(t, hash_good(i), &items[i]), ERR_OK);
    }
    while ((it = table_next(t, &pos))) {
        assert_false(it->seen);
        it->seen = true;
        if (removes(n++)) {
            assert_true(table_del(t, hash_good(it->key), it));
            left--;
        }
    }
    assert_int_equal(n, ENTRIES);
    assert_int_equal(table_size(t), left);
    assert_null(table_next(t, &pos));
    check_order(t);
    table_free(t);
}

static bool removes_none(size_t n)
{
    (void)n;
    return false;
}

static bool removes_all(size_t n)
{
    (void)n;
    return true;
}

static bool removes_some(size_t n)
{
    return n % 3 != 0;
}

static void test_walk(void **state)
{
    struct table *t = table_new(0);
    size_t pos = 0;

    (void)state;
    assert_non_null(t);
    assert_null(table_next(t, &pos));
    table_free(t);
    walk(removes_none);
    walk(removes_all);
    walk(removes_some);
}

static void test_limit(void **state)
{
    struct item items[3] = {{.key = 1}, {.key = 2}, {.key = 3}};
    struct table *t = table_new(2);

    (void)state;
    assert_non_null(t);
    assert_int_equal(table_put(t, hash_good(1), &items[0]), ERR_OK);
    assert_int_equal(table_put(t, hash_good(2), &items[1]), ERR_OK);
    assert_int_equal(table_put(t, hash_good(3), &items[2]), ERR_LIMIT);
    assert_null(get(t, hash_good, 3));
    assert_false(table_del(t, hash_good(3), &items[2]));
    assert_true(table_del(t, hash_good(1), &items[0]));
    assert_int_equal(table_put(t, hash_good(3), &items[2]), ERR_OK);
    assert_ptr_equal(get(t, hash_good, 3), &items[2]);
    table_free(t);
    table_free(NULL);
}

/* Two different items with one hash and equal keys: removal goes by identity. */
static void test_remove_exactly(void **state)
{
    struct item twins[2] = {{.key = 5}, {.key = 5}};
    struct table *t = table_new(0);

    (void)state;
    assert_non_null(t);
    assert_int_equal(table_put(t, hash_good(5), &twins[0]), ERR_OK);
    assert_int_equal(table_put(t, hash_good(5), &twins[1]), ERR_OK);
    assert_true(table_del(t, hash_good(5), &twins[0]));
    assert_ptr_equal(get(t, hash_good, 5), &twins[1]);
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_memory_at_each_size),
        cmocka_unit_test(test_moves_per_put),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_remove_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
