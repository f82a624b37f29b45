#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void count_done(struct op *op)
{
    ++*(unsigned *)op->ctx;
}

static void test_life(void **state)
{
    unsigned done = 0;
    struct op *op = op_new(OP_READ, VIEW_LIT("dev1"));

    (void)state;
    assert_string_equal(op->endpoint, "dev1");
    assert_int_equal(op->kind, OP_READ);
    assert_int_equal(op->format, FORMAT_NONE);
    assert_int_equal(op->depth, -1);
    assert_int_equal(op->result.format, FORMAT_NONE);
    op->done = count_done;
    op->ctx = &done;
    op_complete(op, ERR_TIMEOUT);
    assert_int_equal(done, 1);
    assert_int_equal(op->result.rc, ERR_TIMEOUT);
    /* Everything it may own goes with it (the leak checker looks). */
    op->values = batch_new();
    op->body = blob_new(VIEW_LIT("body"));
    op->text = mem_text("0='U'", 5);
    op->result.values = batch_new();
    op->result.body = blob_new(VIEW_LIT("body"));
    op->result.text = mem_text("</3>", 4);
    op->result.registration = registration_copy(&(struct registration){.row = 1});
    op->result.observations = mem_new(3 * sizeof *op->result.observations);
    op_free(op);
    op_free(NULL);
}

static void test_id(void **state)
{
    struct random random;
    struct op_id a, b;
    char text[37];

    (void)state;
    random_init(&random, 1, 2);
    op_id_new(&random, 0x0123456789ab, &a);
    op_id_new(&random, 0x0123456789ac, &b);
    assert_memory_equal(a.b, "\x01\x23\x45\x67\x89\xab", 6);
    assert_int_equal(a.b[6] >> 4, 7);
    assert_int_equal(a.b[8] >> 6, 2);
    assert_true(memcmp(a.b, b.b, sizeof a.b) < 0); /* in the order of time */
    assert_memory_not_equal(a.b + 9, b.b + 9, 7);
    op_id_format(&a, text);
    assert_int_equal(strlen(text), 36);
    assert_memory_equal(text, "01234567-89ab-7", 15);
    assert_int_equal(text[18], '-');
    assert_int_equal(text[23], '-');
    op_id_new(&random, -5, &a); /* a clock before 1970 */
    assert_memory_equal(a.b, "\0\0\0\0\0\0", 6);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned a = 0; a < OP_KIND_COUNT; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(op_kind_name((enum op_kind)a), op_kind_name((enum op_kind)b));
    assert_string_equal(op_kind_name(OP_WRITE_REPLACE), "write");
    assert_string_equal(op_kind_name(OP_KIND_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
