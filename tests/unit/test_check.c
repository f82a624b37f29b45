/* What is not sent to a device: src/lwm2m/check.c. */
#include "domain_fixture.h"

struct row {
    enum op_kind kind;
    const char *path;
    int rc; /* ERR_OK: it is sent */
    const char *text;
    const char *value_path;
    int8_t depth;
};

static int outcome(struct fix *f, const struct row *row)
{
    struct op *op = fix_op(f, row->kind, 1, row->path);
    size_t done = f->done_count, sent = f->sent_count;

    if (row->text != NULL)
        op->text = mem_text(row->text, strlen(row->text));
    if (row->value_path != NULL)
        fix_op_value(op, row->value_path, fix_integer(1));
    op->depth = row->depth;
    op->deadline = f->now + 1;
    fix_start(f, op);
    if (f->done_count > done) {
        assert_int_equal(f->sent_count, sent);
        return f->done->result.rc;
    }
    assert_int_equal(f->sent_count, sent + 1);
    fix_advance(f, 2);
    return ERR_OK;
}

static const struct row rows[] = {
    {OP_READ, "/", ERR_PATH, NULL, NULL, -1},
    {OP_READ, "/3", ERR_OK, NULL, NULL, -1},
    {OP_READ, "/3/0/4", ERR_OPERATION, NULL, NULL, -1},   /* Reboot */
    {OP_READ, "/3/0/9/0", ERR_OPERATION, NULL, NULL, -1}, /* no array */
    {OP_READ, "/3/0/6/0", ERR_OK, NULL, NULL, -1},
    {OP_READ, "/3/0/4711", ERR_OK, NULL, NULL, -1}, /* unknown: let through */
    {OP_READ, "/31999/0/1", ERR_OK, NULL, NULL, -1},
    {OP_DISCOVER, "/", ERR_PATH, NULL, NULL, -1},
    {OP_DISCOVER, "/3/0/6/0", ERR_PATH, NULL, NULL, -1},
    {OP_DISCOVER, "/3", ERR_INVALID, NULL, NULL, 4},
    {OP_DISCOVER, "/3", ERR_OK, NULL, NULL, 3},
    {OP_WRITE_REPLACE, "/1", ERR_PATH, NULL, "/1/0/1", -1},
    {OP_WRITE_REPLACE, "/1/0", ERR_OK, NULL, "/1/0/1", -1},
    {OP_WRITE_REPLACE, "/1/0", ERR_INVALID, NULL, NULL, -1},
    {OP_WRITE_REPLACE, "/1/0", ERR_PATH, NULL, "/1/1/1", -1},
    {OP_WRITE_REPLACE, "/1/0", ERR_PATH, NULL, "/1/0", -1},
    {OP_WRITE_REPLACE, "/1/0/0", ERR_OPERATION, NULL, "/1/0/0", -1}, /* read only */
    {OP_WRITE_REPLACE, "/1/0", ERR_OPERATION, NULL, "/1/0/0", -1},
    {OP_WRITE_REPLACE, "/1/0/7", ERR_TYPE, NULL, "/1/0/7", -1},   /* a string */
    {OP_WRITE_REPLACE, "/1/0/1", ERR_TYPE, NULL, "/1/0/1/0", -1}, /* no array */
    {OP_WRITE_REPLACE, "/31999/0/1", ERR_OK, NULL, "/31999/0/1", -1},
    {OP_WRITE_UPDATE, "/1/0/1", ERR_OPERATION, NULL, "/1/0/1", -1}, /* no array */
    {OP_WRITE_UPDATE, "/1/0", ERR_OK, NULL, "/1/0/1", -1},
    {OP_WRITE_UPDATE, "/31999/0/1", ERR_OK, NULL, "/31999/0/1/0", -1},
    {OP_WRITE_ATTRIBUTES, "/3/0/9", ERR_INVALID, NULL, NULL, -1},
    {OP_WRITE_ATTRIBUTES, "/3/0/9", ERR_INVALID, "", NULL, -1},
    {OP_WRITE_ATTRIBUTES, "/3/0/9", ERR_ATTRIBUTES, "pmin=9&pmax=5", NULL, -1},
    {OP_WRITE_ATTRIBUTES, "/3", ERR_OK, "pmin=5", NULL, -1},
    {OP_EXECUTE, "/3/0", ERR_PATH, NULL, NULL, -1},
    {OP_EXECUTE, "/3/0/9", ERR_OPERATION, NULL, NULL, -1},
    {OP_EXECUTE, "/3/0/4", ERR_OK, NULL, NULL, -1},
    {OP_EXECUTE, "/3/0/4", ERR_OK, "5,2='10.3'", NULL, -1},
    {OP_EXECUTE, "/31999/0/1", ERR_OK, NULL, NULL, -1},
    {OP_CREATE, "/3303/0/1", ERR_PATH, NULL, NULL, -1},
    {OP_CREATE, "/3303/0", ERR_EXISTS, NULL, NULL, -1},
    {OP_CREATE, "/3303", ERR_OK, NULL, NULL, -1},
    {OP_DELETE, "/3303", ERR_PATH, NULL, NULL, -1},
    {OP_DELETE, "/3303/0/5700", ERR_PATH, NULL, NULL, -1},
    {OP_DELETE, "/3/0/6/0", ERR_OK, NULL, NULL, -1},
    {OP_OBSERVE, "/", ERR_PATH, NULL, NULL, -1},
    {OP_OBSERVE, "/3/0/4", ERR_OPERATION, NULL, NULL, -1},
    {OP_OBSERVE, "/3/0/9", ERR_OK, "", NULL, -1},
    {OP_OBSERVE_CANCEL, "/3/0/9", ERR_NOTFOUND, NULL, NULL, -1},
};

static void test_rules(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    for (size_t i = 0; i < mem_count(rows); i++) {
        int rc = outcome(f, &rows[i]);

        if (rc != rows[i].rc)
            fail_msg("%s %s: %s, expected %s", op_kind_name(rows[i].kind), rows[i].path,
                     err_name(rc), err_name(rows[i].rc));
    }
    assert_int_equal(f->d->run_count, 0);
    assert_int_equal(fix_find(f, 1)->rare->report_count, 1); /* it is wanted still */
}

static void test_reason_is_said(void **state)
{
    struct fix *f = *state;
    struct op *op;
    char longest[200];

    fix_device(f, 1);
    op = fix_op(f, OP_OBSERVE, 1, "/3/0/9");
    op->text = mem_text("pmin=9&pmax=5", 13);
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_ATTRIBUTES);
    assert_non_null(f->done->result.text);
    op = fix_op(f, OP_EXECUTE, 1, "/3/0/4");
    op->text = mem_text("a b", 3);
    fix_start(f, op);
    assert_true(f->done->result.rc < 0);
    /* More than a row of the list of observations can show. */
    memset(longest, '0', sizeof(longest));
    memcpy(longest, "pmin=", 5);
    op = fix_op(f, OP_OBSERVE, 1, "/3/0/9");
    op->text = mem_text(longest, 140);
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_RANGE);
}

static void test_bodies(void **state)
{
    struct fix *f = *state;
    static const struct {
        enum op_kind kind;
        const char *path;
        int rc;
    } blobs[] = {
        {OP_WRITE_REPLACE, "/5/0", ERR_INVALID},     {OP_WRITE_REPLACE, "/1/0/1", ERR_TYPE},
        {OP_WRITE_UPDATE, "/5/0/0", ERR_INVALID},    {OP_CREATE, "/3303", ERR_INVALID},
        {OP_WRITE_REPLACE, "/5/0/3", ERR_OPERATION},
    };

    fix_device(f, 1);
    for (size_t i = 0; i < mem_count(blobs); i++) {
        struct op *op = fix_op(f, blobs[i].kind, 1, blobs[i].path);

        op->body = blob_new(TEXT("bytes"));
        fix_start(f, op);
        assert_int_equal(f->done->result.rc, blobs[i].rc);
    }
}

static void test_delete_of_old_clients(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.0", fix_links);
    fix_do(f, OP_DELETE, 1, "/3/0/6/0"); /* since 1.1 */
    assert_int_equal(f->done->result.rc, ERR_OPERATION);
}

static void test_create_of_several(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_CREATE, 1, "/3303");
    fix_op_value(op, "/3303/5/5750", fix_string("a"));
    fix_op_value(op, "/3303/6/5750", fix_string("b"));
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_PATH);
}

/* A value that no format can carry to the device. */
static void test_format_that_cannot(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_WRITE_REPLACE, 1, "/1/0");
    fix_op_value(op, "/1/0/1", fix_integer(1));
    op->format = FORMAT_TEXT;
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_FORMAT);
    op = fix_op(f, OP_WRITE_REPLACE, 1, "/1/0");
    fix_op_value(op, "/1/0/1", fix_integer(1));
    op->format = 4711;
    fix_start(f, op);
    assert_int_equal(f->done->result.rc, ERR_FORMAT);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_rules),
        ROW(test_reason_is_said),
        ROW(test_bodies),
        ROW(test_delete_of_old_clients),
        ROW(test_create_of_several),
        ROW(test_format_that_cannot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
