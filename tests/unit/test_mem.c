#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static void test_new(void **state)
{
    uint8_t *p;

    (void)state;
    /* Dirty memory given back first, so that zeroes are not there by chance. */
    for (int i = 0; i < 4; i++) {
        p = mem_new(200);
        assert_non_null(p);
        assert_true(is_zero(p, 200));
        memset(p, 0xff, 200);
        mem_free(p);
    }
    p = mem_new(0);
    assert_non_null(p);
    mem_free(p);
    mem_free(NULL);
}

static void test_aligned(void **state)
{
    (void)state;
    for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
        uint8_t *p = mem_new_aligned(100, align);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        assert_true(is_zero(p, 100));
        memset(p, 0xff, 100);
        mem_free(p);
    }
    assert_null(mem_new_aligned(SIZE_MAX, 64));
}

static void test_resize(void **state)
{
    char *p = mem_resize(NULL, 4);
    char *q;

    (void)state;
    assert_non_null(p);
    memcpy(p, "abc", 4);
    q = mem_resize(p, 4000);
    assert_non_null(q);
    assert_string_equal(q, "abc");
    p = mem_resize(q, 0);
    assert_non_null(p);
    mem_free(p);
}

static void test_huge(void **state)
{
    uint8_t *p = mem_new_huge(2 * MEM_HUGE);

    (void)state;
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % MEM_HUGE, 0);
    for (size_t i = 0; i < 2 * MEM_HUGE; i++)
        assert_true(p[i] == 0);
    memset(p, 1, 2 * MEM_HUGE);
    mem_free(p);
    p = mem_new_huge(MEM_HUGE); /* zeroed although it was used before */
    assert_non_null(p);
    for (size_t i = 0; i < MEM_HUGE; i++)
        assert_true(p[i] == 0);
    mem_free(p);
}

static void test_text(void **state)
{
    char *p = mem_text("abcdef", 3);

    (void)state;
    assert_non_null(p);
    assert_string_equal(p, "abc");
    mem_free(p);
    p = mem_text(NULL, 0);
    assert_non_null(p);
    assert_string_equal(p, "");
    mem_free(p);
    assert_null(mem_text("a", SIZE_MAX));
}

static void test_container(void **state)
{
    struct outer {
        int before;
        int member;
    } o = {1, 2};
    int numbers[7];

    (void)state;
    assert_ptr_equal(mem_container(&o.member, struct outer, member), &o);
    assert_int_equal(mem_count(numbers), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),  cmocka_unit_test(test_aligned),
        cmocka_unit_test(test_huge), cmocka_unit_test(test_resize),
        cmocka_unit_test(test_text), cmocka_unit_test(test_container),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
