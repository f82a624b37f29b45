#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static struct op *full_op(void)
{
    struct op *op = op_new(OP_WRITE_REPLACE, VIEW_LIT("urn:dev:1"));
    const struct record record = {
        {{3, 0, 14}, 3}, false, 0, 0, {VALUE_STRING, {.bytes = VIEW_LIT("+02:00")}}};

    memset(op->id.b, 7, sizeof op->id.b);
    op->path = (struct path){{3, 0, 14}, 3};
    op->durable = true;
    op->priority = OP_PRIORITY_HIGH;
    op->repeatable = true;
    op->created_ms = 1700000000000;
    op->expires_ms = 1700000060000;
    op->state = OP_STATE_SENT;
    op->key = mem_text("key", 3);
    op->key_hash = 99;
    op->values = batch_new();
    assert_int_equal(batch_add(op->values, &record), ERR_OK);
    op->result.values = batch_copy(op->values);
    op->result.text = mem_text("why", 3);
    op->result.coap_code = 0x44;
    op->result.location = op->path;
    op->result.has_location = true;
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(op_attempt_add(op, &(struct op_attempt){.token = i}), ERR_OK);
    return op;
}

static void test_there_and_back(void **state)
{
    struct op *op = full_op(), *back = NULL;
    struct operation *o = NULL;

    (void)state;
    assert_int_equal(operation_of_op(op, &o), ERR_OK);
    assert_true(view_eq_str(o->endpoint, "urn:dev:1"));
    op_free(op); /* nothing is borrowed */
    assert_int_equal(operation_to_op(o, &back), ERR_OK);
    mem_free(o);
    assert_true(back->durable && back->repeatable);
    assert_int_equal(back->kind, OP_WRITE_REPLACE);
    assert_int_equal(back->state, OP_STATE_SENT);
    assert_int_equal(back->priority, OP_PRIORITY_HIGH);
    assert_int_equal(back->created_ms, 1700000000000);
    assert_int_equal(back->expires_ms, 1700000060000);
    assert_string_equal(back->key, "key");
    assert_int_equal(back->key_hash, 99);
    assert_int_equal(batch_size(back->values), 1);
    assert_int_equal(batch_size(back->result.values), 1);
    assert_true(view_eq_str(batch_at(back->values, 0)->value.u.bytes, "+02:00"));
    assert_string_equal(back->result.text, "why");
    assert_int_equal(back->result.coap_code, 0x44);
    assert_true(back->result.has_location);
    assert_int_equal(back->attempt_count, 3);
    assert_int_equal(op_attempt_last(back)->token, 3);
    op_free(back);
}

static void test_attempts_keep_first_and_newest(void **state)
{
    struct op *op = op_new(OP_READ, VIEW_LIT("e"));

    (void)state;
    assert_null(op_attempt_last(op));
    for (uint64_t i = 1; i <= 300; i++)
        assert_int_equal(op_attempt_add(op, &(struct op_attempt){.token = i}), ERR_OK);
    assert_int_equal(op->attempt_count, UINT8_MAX);
    assert_int_equal(op->attempts[0].token, 1);
    assert_int_equal(op->attempts[1].token, 294);
    assert_int_equal(op_attempt_last(op)->token, 300);
    op_free(op);
}

static void test_too_large(void **state)
{
    static uint8_t bytes[OPERATION_BYTES];
    struct op *op = op_new(OP_WRITE_REPLACE, VIEW_LIT("e"));
    struct operation *o = NULL;
    struct record record = {
        {{3, 0, 14}, 3}, false, 0, 0, {VALUE_OPAQUE, {.bytes = {bytes, sizeof bytes}}}};

    (void)state;
    op->values = batch_new();
    assert_int_equal(batch_add(op->values, &record), ERR_OK);
    assert_int_equal(operation_of_op(op, &o), ERR_LIMIT);
    assert_null(o);
    op->body = blob_new(VIEW_LIT("x"));
    assert_int_equal(operation_of_op(op, &o), ERR_UNSUPPORTED);
    op_free(op);
}

static void test_names(void **state)
{
    enum op_state s;

    (void)state;
    for (unsigned i = 0; i < OP_STATE_COUNT; i++) {
        assert_int_equal(op_state_parse(view_str(op_state_name((enum op_state)i)), &s), ERR_OK);
        assert_int_equal(s, i);
        assert_int_equal(op_state_settled(s), i >= OP_STATE_DONE);
    }
    assert_int_equal(op_state_parse(VIEW_LIT("lost"), &s), ERR_MALFORMED);
}

static void test_ids(void **state)
{
    struct op_id id, back;
    struct random r;
    char text[37];

    (void)state;
    random_init(&r, 1, 2);
    op_id_new(&r, 1700000000000, &id);
    op_id_format(&id, text);
    assert_int_equal(op_id_parse(view_str(text), &back), ERR_OK);
    assert_true(op_id_eq(&id, &back));
    text[8] = '0';
    assert_int_equal(op_id_parse(view_str(text), &back), ERR_MALFORMED);
    assert_int_equal(op_id_parse(VIEW_LIT("0190-"), &back), ERR_MALFORMED);
    /* In order, also within a millisecond and when the clock is set back. */
    for (int i = 0; i < 1000; i++) {
        struct op_id next;

        op_id_new(&r, 1700000000000 - i / 500, &next);
        op_id_after(&id, &next);
        assert_true(memcmp(next.b, id.b, sizeof id.b) > 0);
        assert_int_equal(next.b[8] & 0xc0, 0x80);
        id = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_attempts_keep_first_and_newest),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
