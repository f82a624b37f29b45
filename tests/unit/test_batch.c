#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/batch.c"

static struct record record_of(uint16_t resource, const char *text, size_t n)
{
    return (struct record){.path = {.id = {3, 0, resource}, .depth = 3},
                           .value = {.type = VALUE_STRING, .u.bytes = view_of(text, n)}};
}

/* What is added is there, in order, whatever the sizes; the views of the first stay where they
 * were. */
static void test_grow(void **state)
{
    static char text[300000];
    struct batch *b = batch_new();
    const uint8_t *first;

    (void)state;
    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < 3000; i++) {
        size_t n = i % 500 == 499 ? sizeof text - i : i * 7 % 300;
        struct record r = record_of((uint16_t)i, text, n);

        text[n > 0 ? n - 1 : 0] = (char)('a' + i % 26);
        assert_int_equal(batch_add(b, &r), ERR_OK);
        text[n > 0 ? n - 1 : 0] = 'x';
        if (i == 1)
            first = batch_at(b, 1)->value.u.bytes.p;
    }
    assert_int_equal(batch_size(b), 3000);
    assert_ptr_equal(batch_at(b, 1)->value.u.bytes.p, first);
    for (unsigned i = 0; i < 3000; i++) {
        size_t n = i % 500 == 499 ? sizeof text - i : i * 7 % 300;
        const struct record *r = batch_at(b, i);

        assert_int_equal(r->path.id[2], i);
        assert_int_equal(r->value.u.bytes.n, n);
        if (n > 0) {
            assert_int_equal(r->value.u.bytes.p[n - 1], 'a' + i % 26);
            assert_true(n == 1 || memcmp(r->value.u.bytes.p, text, n - 1) == 0);
        }
    }
    assert_null(batch_at(b, 3000));
    batch_free(b);
}

/* The usual notification needs the batch's own allocation only. */
static void test_small_is_inline(void **state)
{
    struct batch *b = batch_new();
    struct record text = record_of(1, "a short text", 12);
    struct record number = {.value = {.type = VALUE_INTEGER, .u.integer = 5}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(batch_add(b, &text), ERR_OK);
        assert_int_equal(batch_add(b, &number), ERR_OK);
    }
    assert_ptr_equal(b->records, b->first);
    assert_null(b->chunks);
    batch_free(b);
}

static void test_chunks_are_filled(void **state)
{
    static char text[BATCH_CHUNK_MAX];
    struct batch *b = batch_new();
    size_t chunks = 0;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        struct record r = record_of(0, text, i % 100 == 99 ? sizeof text : 90);

        assert_int_equal(batch_add(b, &r), ERR_OK);
    }
    for (const struct chunk *c = b->chunks; c != NULL; c = c->next)
        chunks++;
    /* 20 of their own, and doubling ones for 178 200 bytes */
    assert_true(chunks <= 20 + 12);
    batch_free(b);
}

static void test_record_limit(void **state)
{
    struct batch *b = batch_new();
    struct record r = {.value = {.type = VALUE_BOOLEAN}};

    (void)state;
    for (unsigned i = 0; i < BATCH_RECORDS_MAX; i++)
        assert_int_equal(batch_add(b, &r), ERR_OK);
    assert_int_equal(batch_add(b, &r), ERR_LIMIT);
    assert_int_equal(batch_size(b), BATCH_RECORDS_MAX);
    batch_free(b);
}

static void test_byte_limit(void **state)
{
    size_t n = (size_t)16 << 20;
    char *text = mem_new(n);
    struct batch *b = batch_new();
    struct record r = record_of(0, text, n);

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(batch_add(b, &r), ERR_OK);
    r.value.u.bytes.n = 1;
    assert_int_equal(batch_add(b, &r), ERR_LIMIT);
    r.value.u.bytes.n = 0;
    assert_int_equal(batch_add(b, &r), ERR_OK);
    assert_int_equal(batch_size(b), 5);
    batch_free(b);
    mem_free(text);
}

static void test_find(void **state)
{
    struct batch *b = batch_new();
    struct record r = record_of(5, "first", 5);
    struct path p = {.id = {3, 0, 5}, .depth = 3};

    (void)state;
    assert_null(batch_find(b, &p));
    assert_int_equal(batch_add(b, &r), ERR_OK);
    r = record_of(5, "second", 6);
    assert_int_equal(batch_add(b, &r), ERR_OK);
    assert_true(view_eq_str(batch_find(b, &p)->value.u.bytes, "first"));
    p.depth = 2;
    assert_null(batch_find(b, &p));
    batch_free(b);
}

/* Sorted by path, and records of one path in the order they came, for every way of sorting. */
static void check_sort(size_t n, unsigned paths)
{
    struct batch *b = batch_new();
    struct random random;

    random_init(&random, n, paths);
    for (size_t i = 0; i < n; i++) {
        struct record r = {.path = {.id = {(uint16_t)random_below(&random, paths)}, .depth = 1},
                           .value = {.type = VALUE_UNSIGNED, .u.unsigned_ = i}};

        assert_int_equal(batch_add(b, &r), ERR_OK);
    }
    batch_sort(b);
    assert_int_equal(batch_size(b), n);
    for (size_t i = 1; i < n; i++) {
        int order = path_cmp(&batch_at(b, i - 1)->path, &batch_at(b, i)->path);

        assert_true(order < 0 || (order == 0 && batch_at(b, i - 1)->value.u.unsigned_ <
                                                    batch_at(b, i)->value.u.unsigned_));
    }
    batch_free(b);
}

static void test_sort(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++)
        check_sort(n, 10);
    check_sort(1000, 7);
    check_sort(BATCH_RECORDS_MAX, 1000);
    check_sort(1000, 1); /* sorted already */
}

/* Records of devices behind a gateway: numbered prefixes, sorted apart, found by none. */
static void test_prefixes(void **state)
{
    struct batch *b = batch_new(), *copy;
    struct record r = record_of(1, "x", 1);
    uint16_t first = 0, second = 0, again = 0;
    char text[8];

    (void)state;
    assert_int_equal(batch_prefix_add(b, VIEW_LIT("d01"), &first), ERR_OK);
    assert_int_equal(batch_prefix_add(b, VIEW_LIT("d02"), &second), ERR_OK);
    assert_int_equal(batch_prefix_add(b, VIEW_LIT("d01"), &again), ERR_OK);
    assert_int_equal(first, again);
    assert_int_not_equal(first, second);
    assert_true(view_eq_str(batch_prefix(b, second), "d02"));
    assert_int_equal(batch_prefix(b, 0).n, 0);
    assert_int_equal(batch_prefix(b, 3).n, 0);
    r.prefix = second;
    assert_int_equal(batch_add(b, &r), ERR_OK);
    r.prefix = first;
    r.path.id[2] = 2;
    assert_int_equal(batch_add(b, &r), ERR_OK);
    assert_null(batch_find(b, &r.path));
    batch_sort(b);
    assert_int_equal(batch_at(b, 0)->prefix, first);
    copy = batch_copy(b);
    batch_free(b);
    assert_true(view_eq_str(batch_prefix(copy, batch_at(copy, 1)->prefix), "d02"));
    for (unsigned i = 2; i < BATCH_PREFIXES_MAX; i++) {
        snprintf(text, sizeof text, "p%u", i);
        assert_int_equal(batch_prefix_add(copy, view_str(text), &again), ERR_OK);
    }
    assert_int_equal(batch_prefix_add(copy, VIEW_LIT("more"), &again), ERR_LIMIT);
    assert_true(view_eq_str(batch_prefix(copy, BATCH_PREFIXES_MAX), "p255"));
    batch_free(copy);
}

static void test_copy(void **state)
{
    struct batch *b = batch_new(), *copy;

    (void)state;
    for (uint16_t i = 0; i < 100; i++) {
        struct record r = record_of(i, "some text of some length", i % 25);

        r.timed = true;
        r.time_ms = i;
        assert_int_equal(batch_add(b, &r), ERR_OK);
    }
    copy = batch_copy(b);
    assert_int_equal(batch_size(copy), 100);
    for (uint16_t i = 0; i < 100; i++) {
        const struct record *x = batch_at(b, i), *y = batch_at(copy, i);

        assert_true(path_eq(&x->path, &y->path) && value_eq(&x->value, &y->value));
        assert_int_equal(y->time_ms, i);
        assert_true(y->timed);
        assert_ptr_not_equal(x->value.u.bytes.p, y->value.u.bytes.p);
    }
    batch_free(b);
    batch_free(copy);
    batch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_small_is_inline),
        cmocka_unit_test(test_chunks_are_filled),
        cmocka_unit_test(test_record_limit),
        cmocka_unit_test(test_byte_limit),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
