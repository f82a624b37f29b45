/* Several paths in one operation: src/lwm2m/composite.c and what report.c has for it. */
#include "domain_fixture.h"

#include <stdio.h>

static void device12(struct fix *f, unsigned device)
{
    char query[64];

    snprintf(query, sizeof(query), "ep=dev%u&lt=300&lwm2m=1.2", device);
    fix_register(f, device, query, "</>;ct=110,</1/0>,</3/0>,</3303/0>");
}

static void name(struct op *op, const char *path)
{
    struct record r = {.value = {.type = VALUE_NONE}};

    assert_int_equal(path_parse(view_str(path), &r.path), ERR_OK);
    if (op->values == NULL)
        op->values = batch_new();
    assert_int_equal(batch_add(op->values, &r), ERR_OK);
}

static void start_read(struct fix *f, unsigned device)
{
    struct op *op = fix_op(f, OP_READ_COMPOSITE, device, "/");

    name(op, "/3/0/9");
    name(op, "/1/0/1");
    fix_start(f, op);
}

static struct view body_of(const struct fix_sent *s)
{
    return s->pdu.payload;
}

static void expect(struct fix *f, uint8_t code, const char *path)
{
    assert_int_equal(fix_sent(f, 0)->pdu.code, code);
    assert_string_equal(fix_sent(f, 0)->path, path);
}

/* ---- read ---- */

static void test_read(void **state)
{
    struct fix *f = *state;

    device12(f, 1);
    start_read(f, 1);
    expect(f, PDU_FETCH, "");
    assert_int_equal(fix_sent(f, 0)->observe, -1);
    while (fix_sent(f, 0)->format != FORMAT_SENML_JSON) /* what it offers is among the choices */
        fix_answer(f, 1, 0x8f, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_SENML_JSON);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON,
               TEXT("[{\"n\":\"/3/0/9\",\"v\":95},{\"n\":\"/1/0/1\",\"v\":300}]"), -1);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(batch_size(f->done->result.values), 2);
    assert_int_equal(batch_at(f->done->result.values, 1)->value.u.integer, 300);
}

/* Not known to the device: one Read after the other, what fails is left out. */
static void test_read_in_parts(void **state)
{
    struct fix *f = *state;

    device12(f, 1);
    start_read(f, 1);
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_GET, "/3/0/9");
    fix_answer(f, 1, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_GET, "/1/0/1");
    assert_int_equal(f->done_count, 0);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("300"), -1);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.coap_code, PDU_CONTENT);
    assert_int_equal(batch_size(f->done->result.values), 1);
    assert_int_equal(batch_at(f->done->result.values, 0)->path.id[0], 1);
    /* It is not asked again. */
    start_read(f, 1);
    expect(f, PDU_GET, "/3/0/9");
    fix_answer(f, 1, 0x84, FORMAT_NONE, VIEW_NONE, -1);
    fix_answer(f, 1, 0x81, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    assert_int_equal(f->done->result.coap_code, 0x81);
}

static void test_read_of_1_0(void **state)
{
    struct fix *f = *state;

    fix_register(f, 2, "ep=dev2&lt=300&lwm2m=1.0", "</1/0>,</3/0>");
    start_read(f, 2);
    expect(f, PDU_GET, "/3/0/9");
    assert_true(fix_sent(f, 0)->accept == FORMAT_TEXT || fix_sent(f, 0)->accept == FORMAT_TLV);
    fix_answer(f, 2, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    expect(f, PDU_GET, "/1/0/1");
    fix_answer(f, 2, PDU_CONTENT, FORMAT_TEXT, TEXT("300"), -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(batch_size(f->done->result.values), 2);
}

static void test_what_cannot_be(void **state)
{
    struct fix *f = *state;
    struct op *op;

    device12(f, 1);
    fix_start(f, fix_op(f, OP_READ_COMPOSITE, 1, "/"));
    assert_int_equal(f->done->result.rc, ERR_INVALID);
    op = fix_op(f, OP_READ_COMPOSITE, 1, "/");
    name(op, "/3/0/4"); /* executable */
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_OPERATION);
    op = fix_op(f, OP_WRITE_COMPOSITE, 1, "/");
    name(op, "/3/0/14"); /* only a resource instance can be removed */
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_PATH);
    op = fix_op(f, OP_OBSERVE_COMPOSITE, 1, "/");
    name(op, "/3/0/9");
    op->text = mem_text("gt=5", 4); /* of no object */
    fix_start(f, op);
    assert_true(f->done->result.rc < 0);
    assert_int_equal(fix_sent(f, 0)->pdu.code, 0x41); /* nothing went to the device */
}

/* ---- write ---- */

static struct op *write_op(struct fix *f, unsigned device)
{
    struct op *op = fix_op(f, OP_WRITE_COMPOSITE, device, "/");

    fix_op_value(op, "/3/0/14", (struct value){VALUE_STRING, {.bytes = VIEW_LIT("+01")}});
    fix_op_value(op, "/1/0/1", (struct value){VALUE_INTEGER, {.integer = 600}});
    fix_op_value(op, "/1/0/6", (struct value){VALUE_BOOLEAN, {.boolean = true}});
    return op;
}

static void test_write(void **state)
{
    struct fix *f = *state;

    device12(f, 1);
    fix_start(f, write_op(f, 1));
    expect(f, PDU_IPATCH, "");
    assert_true(body_of(fix_sent(f, 0)).n > 0);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.coap_code, PDU_CHANGED);
}

/* By instance, and no further than the first failure. */
static void test_write_in_parts(void **state)
{
    struct fix *f = *state;

    device12(f, 1);
    fix_start(f, write_op(f, 1));
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_POST, "/1/0");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_POST, "/3/0");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done_count, 1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    fix_start(f, write_op(f, 1));
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    fix_answer(f, 1, 0x81, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    assert_int_equal(f->done->result.coap_code, 0x81);
    assert_non_null(f->done->result.text); /* says that it was not all or nothing */
}

/* ---- observe ---- */

static uint64_t observe(struct fix *f, unsigned device, const char *text)
{
    struct op *op = fix_op(f, OP_OBSERVE_COMPOSITE, device, "/");
    uint64_t token;

    name(op, "/3/0/9");
    name(op, "/3303/0/5700");
    if (text[0] != '\0')
        op->text = mem_text(text, strlen(text));
    fix_start(f, op);
    expect(f, PDU_FETCH, "");
    assert_int_equal(fix_sent(f, 0)->observe, 0);
    assert_string_equal(fix_sent(f, 0)->query, text);
    fix_answer(f, device, PDU_CONTENT, FORMAT_SENML_JSON,
               TEXT("[{\"n\":\"/3/0/9\",\"v\":95},{\"n\":\"/3303/0/5700\",\"v\":1.5}]"), 1);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(f->done->result.observation_count, 1);
    assert_string_equal(f->done->result.observations[0].paths, "/3/0/9,/3303/0/5700");
    token = f->done->result.observations[0].token;
    return token;
}

static const struct event *last_event(struct fix *f)
{
    return f->events[f->event_count - 1];
}

static void test_observe(void **state)
{
    struct fix *f = *state;
    uint64_t token;
    struct op *op;

    device12(f, 1);
    token = observe(f, 1, "pmin=1&pmax=9");
    fix_notify(f, 1, token, PDU_CONTENT, FORMAT_SENML_JSON,
               TEXT("[{\"n\":\"/3/0/9\",\"v\":94},{\"n\":\"/3303/0/5700\",\"v\":2.5}]"), 2);
    assert_int_equal(last_event(f)->type, EVENT_NOTIFICATION);
    assert_int_equal(batch_size(last_event(f)->values), 2);
    /* Cancelled with exactly the same paths. */
    op = fix_op(f, OP_OBSERVE_CANCEL, 1, "/");
    op->token = token;
    fix_start(f, op);
    expect(f, PDU_FETCH, "");
    assert_int_equal(fix_sent(f, 0)->observe, 1);
    assert_true(body_of(fix_sent(f, 0)).n > 0);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[]"), -1);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
}

static void test_observe_again_after_register(void **state)
{
    struct fix *f = *state;
    uint64_t token;

    device12(f, 1);
    token = observe(f, 1, "");
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.2", "</>;ct=110,</1/0>,</3/0>,</3303/0>");
    fix_commit(f, ERR_OK);
    expect(f, PDU_FETCH, "");
    assert_int_equal(fix_sent(f, 0)->observe, 0);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":95}]"), 1);
    fix_commit(f, ERR_OK);
    fix_notify(f, 1, token, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":90}]"),
               2);
    assert_int_equal(last_event(f)->type, EVENT_NOTIFICATION);
}

/* A client that takes no query with FETCH: each path gets the attributes first. */
static void test_observe_without_query(void **state)
{
    struct fix *f = *state;
    struct op *op = NULL;

    device12(f, 1);
    op = fix_op(f, OP_OBSERVE_COMPOSITE, 1, "/");
    name(op, "/3/0/9");
    name(op, "/3303/0/5700");
    op->text = mem_text("pmax=9", 6);
    fix_start(f, op);
    assert_string_equal(fix_sent(f, 0)->query, "pmax=9");
    fix_answer(f, 1, 0x82, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_PUT, "/3/0/9");
    assert_string_equal(fix_sent(f, 0)->query, "pmax=9");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_PUT, "/3303/0/5700");
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect(f, PDU_FETCH, "");
    assert_string_equal(fix_sent(f, 0)->query, "");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":95}]"), 1);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->done->result.rc, ERR_OK);
}

static void test_observe_unknown(void **state)
{
    struct fix *f = *state;
    struct op *op;

    device12(f, 1);
    op = fix_op(f, OP_OBSERVE_COMPOSITE, 1, "/");
    name(op, "/3/0/9");
    fix_start(f, op);
    fix_answer(f, 1, 0x85, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_DEVICE);
    op = fix_op(f, OP_OBSERVE_COMPOSITE, 1, "/");
    name(op, "/3/0/9");
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_UNSUPPORTED);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, fix_setup, fix_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_read),
        TEST(test_read_in_parts),
        TEST(test_read_of_1_0),
        TEST(test_what_cannot_be),
        TEST(test_write),
        TEST(test_write_in_parts),
        TEST(test_observe),
        TEST(test_observe_again_after_register),
        TEST(test_observe_without_query),
        TEST(test_observe_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
