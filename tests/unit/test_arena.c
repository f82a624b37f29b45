#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.c"

static void test_alloc(void **state)
{
    struct arena *a = arena_new(100000);
    uint8_t *last = NULL;

    (void)state;
    assert_non_null(a);
    assert_int_equal(arena_used(a), 0);
    for (size_t size = 0; size < 200; size++) {
        uint8_t *p = arena_alloc(a, size);

        assert_non_null(p);
        assert_ptr_not_equal(p, last);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        memset(p, 0x5a, size);
        last = p;
    }
    assert_in_range(arena_used(a), 199 * 200 / 2, 199 * 200 / 2 + 200 * 16);
    arena_free(a);
    arena_free(NULL);
}

/* Pieces do not overlap, in one block or over several. */
static void test_pieces_are_apart(void **state)
{
    struct arena *a = arena_new(1 << 20);
    uint8_t *piece[300];

    (void)state;
    assert_non_null(a);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < mem_count(piece); i++) {
            piece[i] = arena_alloc(a, 17 + i * 5);
            assert_non_null(piece[i]);
            memset(piece[i], (int)(i & 0xff), 17 + i * 5);
        }
        for (size_t i = 0; i < mem_count(piece); i++)
            for (size_t k = 0; k < 17 + i * 5; k++)
                assert_int_equal(piece[i][k], i & 0xff);
        arena_reset(a);
    }
    arena_free(a);
}

static void test_limit(void **state)
{
    struct arena *a = arena_new(1024);

    (void)state;
    assert_non_null(a);
    assert_null(arena_alloc(a, 1025));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    assert_non_null(arena_alloc(a, 1000));
    assert_null(arena_alloc(a, 100));
    assert_non_null(arena_alloc(a, 16));
    assert_null(arena_alloc(a, 1));
    assert_null(arena_alloc(a, 0)); /* also nothing takes room */
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    assert_non_null(arena_alloc(a, 1024));
    arena_free(a);
}

/* After the largest datagram was seen once, no more memory is asked for. */
static void test_reuse(void **state)
{
    struct arena *a = arena_new(1 << 20);
    const struct arena_block *block = NULL;

    (void)state;
    assert_non_null(a);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 100; i++)
            assert_non_null(arena_alloc(a, 500));
        if (round >= 2)
            assert_ptr_equal(a->block, block);
        block = a->block;
        if (round >= 1)
            assert_null(block->older);
        arena_reset(a);
    }
    arena_free(a);
}

static void test_copy(void **state)
{
    struct arena *a = arena_new(64);
    struct view v;

    (void)state;
    assert_non_null(a);
    v = arena_copy(a, VIEW_LIT("hello"));
    assert_true(view_eq_str(v, "hello"));
    v = arena_copy(a, VIEW_NONE);
    assert_non_null(v.p);
    assert_int_equal(v.n, 0);
    v = arena_copy(a, view_of(a, 65));
    assert_null(v.p);
    arena_free(a);
}

/* With the address sanitizer, what a reset or a neighbour owns may not be touched. */
static void test_poison(void **state)
{
#ifdef ARENA_ASAN
    struct arena *a = arena_new(4096);
    uint8_t *p;
    uint8_t *q;

    assert_non_null(a);
    p = arena_alloc(a, 5);
    q = arena_alloc(a, 64);
    assert_non_null(p);
    assert_non_null(q);
    assert_false(__asan_address_is_poisoned(p + 4));
    assert_true(__asan_address_is_poisoned(p + 5));
    assert_true(__asan_address_is_poisoned(q - 1));
    assert_false(__asan_address_is_poisoned(q));
    assert_false(__asan_address_is_poisoned(q + 63));
    assert_true(__asan_address_is_poisoned(q + 64));
    arena_reset(a);
    assert_true(__asan_address_is_poisoned(p));
    assert_true(__asan_address_is_poisoned(q));
    arena_free(a);
#else
    skip();
#endif
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc), cmocka_unit_test(test_pieces_are_apart),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_copy),  cmocka_unit_test(test_poison),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
