#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static struct batch *sample(void)
{
    struct batch *b = batch_new();
    struct record behind = {.timed = true, .value = {.type = VALUE_NONE}};
    const struct record records[] = {
        {{{3, 0, 9}, 3}, false, 0, 0, {VALUE_INTEGER, {.integer = INT64_MIN}}},
        {{{3, 0, 13}, 3}, true, 0, -5, {VALUE_TIME, {.integer = 1700000000}}},
        {{{5, 0, 1}, 3}, true, 0, 1700000000123, {VALUE_STRING, {.bytes = VIEW_LIT("coap://x")}}},
        {{{16, 1, 0, 7}, 4}, false, 0, 0, {VALUE_UNSIGNED, {.unsigned_ = UINT64_MAX}}},
        {{{3303, 0, 5700}, 3}, false, 0, 0, {VALUE_FLOAT, {.float_ = -0.0}}},
        {{{3303, 0}, 2}, false, 0, 0, {VALUE_NONE, {0}}},
        {{{10, 0, 1}, 3}, false, 0, 0, {VALUE_BOOLEAN, {.boolean = true}}},
        {{{10, 0, 2}, 3}, false, 0, 0, {VALUE_OBJLNK, {.link = {66, 65535}}}},
        {{{10, 0, 3}, 3}, false, 0, 0, {VALUE_OPAQUE, {.bytes = {(const uint8_t *)"\0\1", 2}}}},
        {{{10, 0, 4}, 3}, false, 0, 0, {VALUE_CORELNK, {.bytes = VIEW_LIT("</3/0>")}}},
        {{{0}, 0}, false, 0, 0, {VALUE_NONE, {0}}},
    };

    for (size_t i = 0; i < mem_count(records); i++)
        assert_int_equal(batch_add(b, &records[i]), ERR_OK);
    behind.path = records[1].path;
    assert_int_equal(batch_prefix_add(b, VIEW_LIT("unused"), &behind.prefix), ERR_OK);
    assert_int_equal(batch_prefix_add(b, VIEW_LIT("d01"), &behind.prefix), ERR_OK);
    assert_int_equal(batch_add(b, &behind), ERR_OK);
    return b;
}

static void test_round_trip(void **state)
{
    struct batch *b = sample(), *back = NULL;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(pack_encode(b, &out), ERR_OK);
    assert_int_equal(pack_decode(buf_view(&out), &back), ERR_OK);
    assert_int_equal(batch_size(back), batch_size(b));
    for (size_t i = 0; i < batch_size(b); i++) {
        const struct record *x = batch_at(b, i), *y = batch_at(back, i);

        assert_true(path_eq(&x->path, &y->path));
        assert_true(view_eq(batch_prefix(b, x->prefix), batch_prefix(back, y->prefix)));
        assert_int_equal(x->timed, y->timed);
        if (x->timed)
            assert_int_equal(x->time_ms, y->time_ms);
        assert_true(value_eq(&x->value, &y->value));
    }
    batch_free(back);
    batch_free(b);
    buf_fini(&out);
}

/* Every prefix and every changed byte is refused or read, never more. */
static void test_damage(void **state)
{
    struct batch *b = sample(), *back;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(pack_encode(b, &out), ERR_OK);
    for (size_t n = 0; n < out.n; n++) {
        if (pack_decode(view_of(out.p, n), &back) == ERR_OK)
            batch_free(back);
    }
    assert_true(pack_decode(view_of(out.p, 0), &back) < 0);
    assert_true(pack_decode(view_of(out.p, out.n - 1), &back) < 0);
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] ^= 0xff;
        if (pack_decode(buf_view(&out), &back) == ERR_OK)
            batch_free(back);
        out.p[i] ^= 0xff;
    }
    assert_int_equal(pack_decode(VIEW_LIT("\1\x40\0\0\0"), &back), ERR_MALFORMED); /* "" */
    out.p[0] = 2;
    assert_int_equal(pack_decode(buf_view(&out), &back), ERR_MALFORMED);
    batch_free(b);
    buf_fini(&out);
}

static void test_limit(void **state)
{
    struct batch *b = sample();
    struct buf out;

    (void)state;
    buf_init(&out, 16);
    assert_int_equal(pack_encode(b, &out), ERR_LIMIT);
    buf_fini(&out);
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
