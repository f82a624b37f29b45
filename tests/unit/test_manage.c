/* Operations on the wire: src/lwm2m/manage.c, result.c. */
#include "domain_fixture.h"

static void expect_request(struct fix *f, uint8_t method, const char *path, const char *query,
                           int32_t format, int32_t accept)
{
    const struct fix_sent *s = fix_sent(f, 0);

    assert_int_equal(s->pdu.type, PDU_CON);
    assert_int_equal(s->pdu.code, method);
    assert_string_equal(s->path, path);
    assert_string_equal(s->query, query);
    assert_int_equal(s->format, format);
    assert_int_equal(s->accept, accept);
}

static void expect_done(struct fix *f, size_t count, int rc)
{
    assert_int_equal(f->done_count, count);
    assert_int_equal(f->done->result.rc, rc);
}

static uint64_t token_of(const struct fix_sent *s)
{
    struct rd r = rd_init(view_of(s->pdu.token, s->pdu.token_len));

    assert_int_equal(s->pdu.token_len, 8);
    return rd_u64(&r);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_read(void **state)
{
    struct fix *f = *state;
    const struct record *r;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    expect_request(f, PDU_GET, "/3/0/9", "", FORMAT_NONE, FORMAT_TEXT);
    assert_int_equal(f->done_count, 0);
    assert_int_equal(token_of(fix_sent(f, 0)) >> 56, fix_find(f, 1)->id >> 56);
    f->now += 250;
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("95"), -1);
    expect_done(f, 1, ERR_OK);
    assert_int_equal(f->done->result.coap_code, PDU_CONTENT);
    assert_int_equal(f->done->result.sent_ms, FIX_WALL);
    assert_int_equal(f->done->result.answered_ms, FIX_WALL + 250);
    r = batch_at(f->done->result.values, 0);
    assert_int_equal(r->value.type, VALUE_INTEGER);
    assert_int_equal(r->value.u.integer, 95);
    assert_null(fix_find(f, 1)->rare); /* nothing is left of it */
    assert_int_equal(fix_count(f, COUNTER_ops_started), 1);
    assert_int_equal(fix_count(f, COUNTER_ops_completed), 1);
}

static void test_read_wider(void **state)
{
    struct fix *f = *state;
    static const uint8_t tlv[] = {0xc1, 0x09, 0x5f, 0x86, 0x06, 0x41, 0x00, 0x01, 0x41, 0x01, 0x05};

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0");
    expect_request(f, PDU_GET, "/3/0", "", FORMAT_NONE, FORMAT_TLV);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TLV, view_of(tlv, sizeof(tlv)), -1);
    expect_done(f, 1, ERR_OK);
    assert_int_equal(batch_size(f->done->result.values), 3);
    /* An array is not one value. */
    fix_do(f, OP_READ, 1, "/3/0/6");
    expect_request(f, PDU_GET, "/3/0/6", "", FORMAT_NONE, FORMAT_TLV);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TLV, view_of(tlv + 3, 8), -1);
    expect_done(f, 2, ERR_OK);
    assert_int_equal(batch_size(f->done->result.values), 2);
    /* A client answers as it likes. */
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"bn\":\"/3/0/9\",\"v\":7}]"), -1);
    expect_done(f, 3, ERR_OK);
    assert_int_equal(f->done->result.format, FORMAT_SENML_JSON);
    assert_int_equal(batch_at(f->done->result.values, 0)->value.u.integer, 7);
    /* An object without instances. */
    fix_do(f, OP_READ, 1, "/5");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TLV, VIEW_NONE, -1);
    expect_done(f, 4, ERR_OK);
    assert_int_equal(batch_size(f->done->result.values), 0);
}

static void test_format_asked_for(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_READ, 1, "/3/0/9");
    op->format = FORMAT_SENML_CBOR;
    fix_start(f, op);
    expect_request(f, PDU_GET, "/3/0/9", "", FORMAT_NONE, FORMAT_SENML_CBOR);
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_DEVICE); /* this or none */
    assert_int_equal(f->done->result.coap_code, 0x86);
}

static void test_next_format_on_refusal(void **state)
{
    struct fix *f = *state;
    uint64_t first;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    first = token_of(fix_sent(f, 0));
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_TEXT);
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_CBOR);
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_TLV);
    assert_int_not_equal(token_of(fix_sent(f, 0)), first);
    fix_answer(f, 1, 0x8f, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_SENML_CBOR);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON, TEXT("[{\"n\":\"/3/0/9\",\"v\":7}]"), -1);
    expect_done(f, 1, ERR_OK);
    /* What it took is tried first from now on. */
    fix_do(f, OP_READ, 1, "/3/0/9");
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_SENML_CBOR);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("8"), -1);
    /* Refused every way: the last is without Accept, and its answer counts. */
    fix_do(f, OP_READ, 1, "/3/0");
    for (int i = 0; i < 10 && fix_sent(f, 0)->accept != FORMAT_NONE; i++)
        fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    expect_request(f, PDU_GET, "/3/0", "", FORMAT_NONE, FORMAT_NONE);
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 3, ERR_DEVICE);
    /* That was the resource's fault, for all we know: nothing is learned from it. */
    fix_do(f, OP_READ, 1, "/3/0");
    assert_int_equal(fix_sent(f, 0)->accept, FORMAT_TLV);
}

static void test_errors_of_the_device(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, 0x84, FORMAT_NONE, TEXT("no such thing"), -1);
    expect_done(f, 1, ERR_DEVICE);
    assert_int_equal(f->done->result.coap_code, 0x84);
    assert_string_equal(f->done->result.text, "no such thing");
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, 0xa0, FORMAT_NONE, TEXT("\xff\xfe"), -1);
    expect_done(f, 2, ERR_DEVICE);
    assert_null(f->done->result.text);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("many"), -1);
    expect_done(f, 3, ERR_BADANSWER);
    assert_memory_equal(f->done->result.body->p, "many", 4);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, 9999, TEXT("x"), -1);
    expect_done(f, 4, ERR_BADANSWER);
    assert_int_equal(f->done->result.format, 9999);
}

static void test_silence(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_READ, 1, "/3/0/9");
    op->deadline = f->now + 5000;
    fix_start(f, op);
    fix_advance(f, 4999);
    assert_int_equal(f->done_count, 0);
    fix_advance(f, 2);
    expect_done(f, 1, ERR_TIMEOUT);
    /* Without a deadline the message layer gives up. */
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_advance(f, 94000);
    expect_done(f, 2, ERR_TIMEOUT);
    assert_int_equal(f->done->result.retransmissions, 4);
    assert_int_equal(f->d->run_count, 0);
}

/* A device on a network that takes seconds is given them. */
static void test_slow_network(void **state)
{
    struct fix *f = *state;
    size_t sent;

    f->profile = 1;
    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    sent = f->sent_count;
    fix_advance(f, 9999);
    assert_int_equal(f->sent_count, sent);
    fix_advance(f, 5001); /* ACK_TIMEOUT times ACK_RANDOM_FACTOR at most */
    assert_int_equal(f->sent_count, sent + 1);
    fix_advance(f, 105000);
    expect_done(f, 1, ERR_TIMEOUT);
    assert_int_equal(f->done->result.retransmissions, 2);
}

/* ---- large answers ----------------------------------------------------------------------------
 */

/* 48 bytes in blocks of 16, of which 32 fit into memory. */
static void answer_in_blocks(struct fix *f, int32_t format, const char *body)
{
    for (uint32_t num = 0; num < 3; num++)
        fix_answer_block(f, 1, format, view_of(body, 48), (struct pdu_block){num, num < 2, 0});
}

static const char large[] = "</3>,</3/0>;abcdefghijklmnop,</3/0/9>;qrstuvwxyz";

static void test_spooled(void **state)
{
    struct fix *f = fix_new_closed();

    (void)state;
    f->engine_cfg.spool_threshold = 32;
    fix_open(f);
    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/0");
    answer_in_blocks(f, FORMAT_OPAQUE, large);
    expect_done(f, 1, ERR_OK);
    assert_null(f->done->result.values);
    assert_int_equal(f->done->result.format, FORMAT_OPAQUE);
    assert_int_equal(f->done->result.body->size, 48);
    assert_memory_equal(f->done->result.body->p, large, 48);
    /* Links are read in memory or not at all. */
    fix_do(f, OP_DISCOVER, 1, "/3");
    answer_in_blocks(f, FORMAT_LINK, large);
    expect_done(f, 2, ERR_TOOLARGE);
    assert_null(f->done->result.body);
    /* A body that nobody asked for is no failure. */
    fix_do(f, OP_DELETE, 1, "/3303/0");
    answer_in_blocks(f, FORMAT_TEXT, large);
    expect_done(f, 3, ERR_OK);
    fix_free(f);
}

/* ---- order ----------------------------------------------------------------------------------- */

static void test_one_after_the_other(void **state)
{
    struct fix *f = *state;
    struct domain_stats stats;
    size_t before;
    struct op *op;

    fix_device(f, 1);
    before = f->sent_count;
    fix_do(f, OP_READ, 1, "/3/0/9");
    op = fix_op(f, OP_EXECUTE, 1, "/3/0/4");
    op->deadline = f->now + 1000;
    fix_start(f, op);
    fix_do(f, OP_READ, 1, "/3/0/13");
    assert_int_equal(f->sent_count, before + 1);
    domain_stats(f->d, &stats);
    assert_int_equal(stats.ops, 3);
    /* Its time is over before its turn: it is never sent. */
    fix_advance(f, 1001);
    expect_done(f, 1, ERR_TIMEOUT);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/13");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("2"), -1);
    expect_done(f, 3, ERR_OK);
}

/* A format that is refused does not let a later operation pass. */
static void test_retry_keeps_its_turn(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_do(f, OP_READ, 1, "/3/0/13");
    fix_answer(f, 1, 0x86, FORMAT_NONE, VIEW_NONE, -1);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
}

static void test_limit(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    for (int i = 0; i < 64; i++)
        fix_do(f, OP_READ, 1, "/3/0/9");
    assert_int_equal(f->done_count, 0);
    fix_do(f, OP_READ, 1, "/3/0/9");
    expect_done(f, 1, ERR_QUEUE);
    assert_int_equal(fix_count(f, COUNTER_ops_refused), 1);
    fix_do(f, OP_STATUS, 1, "/"); /* no radio: always */
    expect_done(f, 2, ERR_OK);
}

static void test_end_of_registration(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_do(f, OP_READ, 1, "/3/0/13");
    fix_do(f, OP_DEREGISTER, 1, "/");
    assert_int_equal(f->done_count, 3);
    assert_int_equal(f->d->run_count, 0);
    fix_do(f, OP_READ, 1, "/3/0/9");
    expect_done(f, 4, ERR_UNREGISTERED);
    assert_int_equal(f->elsewhere_count, 1);
}

/* The device has rebooted: what can be repeated goes to the new registration. */
static void test_registers_anew(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_do(f, OP_READ, 1, "/3/0/13");
    fix_post(f, 1, "/rd", "ep=dev1&lt=300&lwm2m=1.1", fix_links);
    assert_int_equal(fix_sent(f, 1)->pdu.code, PDU_CREATED);
    assert_int_equal(f->done_count, 0);
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("2"), -1);
    expect_done(f, 2, ERR_OK);
    assert_int_equal(f->elsewhere_count, 0);
    /* An Execute that may have been done is not done again. */
    fix_do(f, OP_EXECUTE, 1, "/3/0/4");
    fix_device(f, 1);
    expect_done(f, 3, ERR_TIMEOUT);
}

static void test_address_changes_under_way(void **state)
{
    struct fix *f = *state;
    struct flow moved = fix_flow(2);
    uint64_t id = fix_device(f, 1);
    size_t before;

    fix_do(f, OP_READ, 1, "/3/0/9");
    f->hold = true;
    fix_post(f, 2, fix_path(id), "", "");
    before = f->sent_count;
    fix_do(f, OP_READ, 1, "/3/0/13"); /* waits until it is known where to */
    assert_int_equal(f->sent_count, before);
    fix_commit(f, ERR_OK);
    assert_int_equal(f->sent_count, before + 2); /* 2.04, then the read anew */
    assert_string_equal(fix_sent(f, 0)->path, "/3/0/9");
    assert_true(addr_eq(&fix_sent(f, 0)->flow.peer, &moved.peer));
    fix_answer(f, 2, PDU_CONTENT, FORMAT_TEXT, TEXT("5"), -1);
    expect_done(f, 1, ERR_OK);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void test_write(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_WRITE_REPLACE, 1, "/1/0/1");
    fix_op_value(op, "/1/0/1", fix_integer(600));
    fix_start(f, op);
    expect_request(f, PDU_PUT, "/1/0/1", "", FORMAT_TEXT, FORMAT_NONE);
    assert_true(view_eq_str(fix_sent(f, 0)->pdu.payload, "600"));
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_OK);
    /* Wakaama never tells us: the lifetime counts from now on, and the store has it. */
    assert_int_equal(fix_find(f, 1)->lifetime_s, 600);
    assert_int_equal(fix_find(f, 1)->deadline_s, f->now / 1000 + 600 + 93);
    assert_int_equal(fix_event(f, 0)->type, EVENT_UPDATED);
    assert_int_equal(fix_event(f, 0)->lifetime_s, 600);
    assert_int_equal(f->by_kind[TXN_PUT_REGISTRATION], 2);
}

static void test_write_partial(void **state)
{
    struct fix *f = *state;
    static const uint8_t tlv[] = {0xc1, 0x01, 0x64, 0xc1, 0x02, 0x05};
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_WRITE_UPDATE, 1, "/1/0");
    fix_op_value(op, "/1/0/2", fix_integer(5));
    fix_op_value(op, "/1/0/1", fix_float(100.0)); /* converted: the model says integer */
    fix_start(f, op);
    expect_request(f, PDU_POST, "/1/0", "", FORMAT_TLV, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, sizeof(tlv));
    assert_memory_equal(fix_sent(f, 0)->pdu.payload.p, tlv, sizeof(tlv));
    fix_answer(f, 1, 0x8f, FORMAT_NONE, VIEW_NONE, -1);
    expect_request(f, PDU_POST, "/1/0", "", FORMAT_SENML_CBOR, FORMAT_NONE);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_OK);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 100);
    op = fix_op(f, OP_WRITE_UPDATE, 1, "/1/0");
    fix_op_value(op, "/1/0/2", fix_integer(6));
    fix_start(f, op);
    assert_int_equal(fix_sent(f, 0)->format, FORMAT_SENML_CBOR);
}

static void test_write_opaque(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_WRITE_REPLACE, 1, "/5/0/0");
    fix_op_value(op, "/5/0/0", fix_opaque("\x01\x02\xff", 3));
    fix_start(f, op);
    expect_request(f, PDU_PUT, "/5/0/0", "", FORMAT_OPAQUE, FORMAT_NONE);
    assert_memory_equal(fix_sent(f, 0)->pdu.payload.p, "\x01\x02\xff", 3);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    /* From a blob, in blocks. */
    {
        static uint8_t image[1500];

        op = fix_op(f, OP_WRITE_REPLACE, 1, "/5/0/0");
        op->body = blob_new(view_of(image, sizeof(image)));
        fix_start(f, op);
        expect_request(f, PDU_PUT, "/5/0/0", "", FORMAT_OPAQUE, FORMAT_NONE);
        assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 512);
    }
}

static void test_execute(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    fix_do(f, OP_EXECUTE, 1, "/1/0/8");
    expect_request(f, PDU_POST, "/1/0/8", "", FORMAT_NONE, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 0);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    op = fix_op(f, OP_EXECUTE, 1, "/1/0/8");
    op->text = mem_text("0='U'", 5);
    fix_start(f, op);
    expect_request(f, PDU_POST, "/1/0/8", "", FORMAT_TEXT, FORMAT_NONE);
    assert_true(view_eq_str(fix_sent(f, 0)->pdu.payload, "0='U'"));
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 2, ERR_OK);
}

static void test_attributes(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_WRITE_ATTRIBUTES, 1, "/3/0/9");
    op->text = mem_text("pmin=5&pmax=60", 14);
    fix_start(f, op);
    expect_request(f, PDU_PUT, "/3/0/9", "pmin=5&pmax=60", FORMAT_NONE, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 0);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_OK);
}

static void test_discover(void **state)
{
    struct fix *f = *state;
    struct op *op;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.2",
                 "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/1/0>,</lwm2m/3/0>");
    op = fix_op(f, OP_DISCOVER, 1, "/3");
    op->depth = 1;
    fix_start(f, op);
    expect_request(f, PDU_GET, "/lwm2m/3", "depth=1", FORMAT_NONE, FORMAT_LINK);
    fix_answer(f, 1, PDU_CONTENT, FORMAT_LINK,
               TEXT("</lwm2m/3>;pmin=10, </lwm2m/3/0>;x=\"</lwm2m\""), -1);
    expect_done(f, 1, ERR_OK);
    assert_string_equal(f->done->result.text, "</3>;pmin=10, </3/0>;x=\"</lwm2m\"");
    /* Older clients may refuse the query. */
    fix_device(f, 2);
    op = fix_op(f, OP_DISCOVER, 2, "/3");
    op->depth = 1;
    fix_start(f, op);
    expect_request(f, PDU_GET, "/3", "", FORMAT_NONE, FORMAT_LINK);
}

/* ---- instances ------------------------------------------------------------------------------- */

static void test_create(void **state)
{
    struct fix *f = *state;
    struct path made;
    struct op *op;

    fix_device(f, 1);
    op = fix_op(f, OP_CREATE, 1, "/3303");
    fix_op_value(op, "/3303/7/5750", fix_string("roof"));
    fix_start(f, op);
    expect_request(f, PDU_POST, "/3303", "", FORMAT_TLV, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.p[0], 0x07); /* the instance is wrapped */
    assert_int_equal(fix_sent(f, 0)->pdu.payload.p[1], 7);
    fix_answer_located(f, 1, PDU_CREATED, "/3303/7");
    expect_done(f, 1, ERR_OK);
    assert_true(f->done->result.has_location);
    assert_int_equal(path_parse(TEXT("/3303/7"), &made), ERR_OK);
    assert_true(path_eq(&f->done->result.location, &made));
    assert_true(view_eq_str(fix_find(f, 1)->list->text,
                            "</1/0>,</3/0>,</5/0>,</3303/0>,</3303/1>,</3303/7>"));
    assert_int_equal(f->by_kind[TXN_PUT_REGISTRATION], 2);
    assert_int_equal(fix_event(f, 0)->type, EVENT_UPDATED);
    /* Zephyr leaves the location out. */
    op = fix_op(f, OP_CREATE, 1, "/3303");
    fix_op_value(op, "/3303/8/5750", fix_string("cellar"));
    fix_start(f, op);
    fix_answer(f, 1, PDU_CREATED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 2, ERR_OK);
    assert_true(f->done->result.has_location);
    assert_int_equal(f->done->result.location.id[1], 8);
    /* An id and nothing else. */
    fix_do(f, OP_CREATE, 1, "/3303/9");
    expect_request(f, PDU_POST, "/3303", "", FORMAT_TLV, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 2);
    fix_answer(f, 1, PDU_CREATED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 3, ERR_OK);
    assert_int_equal(f->done->result.location.id[1], 9);
    /* Neither: the client chooses, and says so or not. */
    fix_do(f, OP_CREATE, 1, "/3303");
    expect_request(f, PDU_POST, "/3303", "", FORMAT_TLV, FORMAT_NONE);
    assert_int_equal(fix_sent(f, 0)->pdu.payload.n, 0);
    fix_answer(f, 1, PDU_CREATED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 4, ERR_OK);
    assert_false(f->done->result.has_location);
    fix_do(f, OP_CREATE, 1, "/3303");
    fix_answer_located(f, 1, PDU_CREATED, "/3303/12");
    assert_int_equal(f->done->result.location.id[1], 12);
    /* A location that makes no sense is none. */
    fix_do(f, OP_CREATE, 1, "/3303");
    fix_answer_located(f, 1, PDU_CREATED, "/5/1");
    assert_false(f->done->result.has_location);
}

static void test_create_behind_alternate_path(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1", "</a/b>;rt=\"oma.lwm2m\",</a/b/3303/0>");
    fix_do(f, OP_CREATE, 1, "/3303/4");
    assert_string_equal(fix_sent(f, 0)->path, "/a/b/3303");
    fix_answer_located(f, 1, PDU_CREATED, "/a/b/3303/4");
    assert_int_equal(f->done->result.location.id[1], 4);
    assert_true(
        view_eq_str(fix_find(f, 1)->list->text, "</a/b>;rt=\"oma.lwm2m\",</3303/0>,</3303/4>"));
}

static void test_delete(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    fix_do(f, OP_DELETE, 1, "/3303/0");
    expect_request(f, PDU_DELETE, "/3303/0", "", FORMAT_NONE, FORMAT_NONE);
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_OK);
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</1/0>,</3/0>,</5/0>,</3303/1>"));
    fix_do(f, OP_DELETE, 1, "/3303/1");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</1/0>,</3/0>,</5/0>,</3303>"));
    /* A resource instance is not in the list. */
    fix_do(f, OP_DELETE, 1, "/3/0/6/1");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 3, ERR_OK);
    assert_int_equal(f->by_kind[TXN_PUT_REGISTRATION], 3);
}

/* Two changes of our own while the first is with the store: the second follows. */
static void test_changes_meet_in_the_store(void **state)
{
    struct fix *f = *state;
    uint64_t id = fix_device(f, 1);

    f->hold = true;
    fix_do(f, OP_DELETE, 1, "/3303/0");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    fix_do(f, OP_DELETE, 1, "/3303/1");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    fix_code(f);
    fix_post(f, 1, fix_path(id), "lt=900", ""); /* and an Update, which must not be lost either */
    assert_int_equal(fix_code(f), 0);
    assert_null(fix_txn(f, 1));
    fix_commit(f, ERR_OK);
    assert_true(view_eq_str(fix_txn(f, 0)->registration->links, "</1/0>,</3/0>,</5/0>,</3303>"));
    assert_int_equal(fix_txn(f, 0)->registration->lifetime_s, 300);
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_txn(f, 0)->registration->lifetime_s, 900);
    assert_true(view_eq_str(fix_txn(f, 0)->registration->links, "</1/0>,</3/0>,</5/0>,</3303>"));
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CHANGED);
}

/* What the store cannot take stands in memory, and the next change carries it. */
static void test_store_full_for_changes(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    f->store_full = true;
    fix_do(f, OP_DELETE, 1, "/3303/0");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    expect_done(f, 1, ERR_OK);
    assert_null(fix_find(f, 1)->rare);
    f->store_full = false;
    f->hold = true;
    fix_do(f, OP_DELETE, 1, "/3303/1");
    fix_answer(f, 1, PDU_DELETED, FORMAT_NONE, VIEW_NONE, -1);
    assert_true(view_eq_str(fix_txn(f, 0)->registration->links, "</1/0>,</3/0>,</5/0>,</3303>"));
    fix_commit(f, ERR_STORE);
    assert_int_equal(fix_events(f, EVENT_UPDATED), 0);
    assert_true(view_eq_str(fix_find(f, 1)->list->text, "</1/0>,</3/0>,</5/0>,</3303>"));
}

static void write_lifetime(struct fix *f, const char *path, struct value v, uint32_t expected)
{
    struct op *op = fix_op(f, OP_WRITE_REPLACE, 1, path);

    fix_op_value(op, path, v);
    fix_start(f, op);
    fix_answer(f, 1, PDU_CHANGED, FORMAT_NONE, VIEW_NONE, -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(fix_find(f, 1)->lifetime_s, expected);
}

static void test_lifetimes_written(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    write_lifetime(f, "/1/0/2", fix_integer(9), 300); /* another resource */
    write_lifetime(f, "/1/0/1", fix_integer(300), 300);
    assert_int_equal(f->by_kind[TXN_PUT_REGISTRATION], 1); /* nothing new */
    write_lifetime(f, "/1/0/1", fix_integer(-5), 300);
    write_lifetime(f, "/1/0/1", fix_integer(INT64_C(1) << 33), 300);
    write_lifetime(f, "/1/0/1", fix_integer(0), 0);
    assert_int_equal(fix_find(f, 1)->deadline_s, DEVICE_NEVER);
}

static void test_lifetime_is_learned_by_reading(void **state)
{
    struct fix *f = *state;

    fix_register(f, 1, "ep=dev1&lwm2m=1.1", fix_links);
    /* Of two accounts nobody knows which is ours. */
    fix_do(f, OP_READ, 1, "/1");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_SENML_JSON,
               TEXT("[{\"n\":\"/1/0/1\",\"v\":60},{\"n\":\"/1/1/1\",\"v\":70}]"), -1);
    assert_int_equal(f->done->result.rc, ERR_OK);
    assert_int_equal(fix_find(f, 1)->deadline_s, DEVICE_NEVER);
    fix_do(f, OP_READ, 1, "/1/0/1");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("120"), -1);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 120);
    assert_int_equal(fix_find(f, 1)->deadline_s, f->now / 1000 + 120 + 93);
    /* Of one who named it, reading changes nothing. */
    fix_do(f, OP_READ, 1, "/1/0/1");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("77"), -1);
    assert_int_equal(fix_find(f, 1)->lifetime_s, 120);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static void test_status(void **state)
{
    struct fix *f = *state;
    const struct registration *r;

    fix_register(f, 1, "ep=dev1&lt=300&lwm2m=1.1&sms=1&x=y&Q", fix_links);
    f->now += 60000;
    fix_do(f, OP_STATUS, 1, "/");
    expect_done(f, 1, ERR_OK);
    r = f->done->result.registration;
    assert_true(view_eq_str(r->endpoint, "dev1"));
    assert_true(view_eq_str(r->links, fix_links));
    assert_true(view_eq_str(r->sms, "1"));
    assert_true(view_eq_str(r->unknown, "x=y"));
    assert_true(r->queue_mode);
    assert_int_equal(r->registered_ms, FIX_WALL);
    assert_int_equal(r->expires_ms, FIX_WALL + 300000);
    assert_int_equal(r->row, fix_find(f, 1)->claim->row);
}

static void test_block_size_is_learned(void **state)
{
    struct fix *f = *state;

    fix_device(f, 1);
    assert_int_equal(fix_find(f, 1)->szx, 7);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_answer(f, 1, PDU_CONTENT, FORMAT_TEXT, TEXT("1"), -1);
    assert_in_range(fix_find(f, 1)->szx, 0, 7);
}

static void test_stop(void **state)
{
    struct fix *f = fix_new();

    (void)state;
    fix_device(f, 1);
    fix_do(f, OP_READ, 1, "/3/0/9");
    fix_do(f, OP_READ, 1, "/3/0/9");
    f->hold = true;
    fix_do(f, OP_DEREGISTER, 1, "/");
    fix_post(f, 1, fix_path(fix_find(f, 1)->id), "", ""); /* waits */
    domain_free(f->d, f->now);
    expect_done(f, 3, ERR_STOPPING);
    f->d = NULL;
    fix_free(f);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_read),
        ROW(test_read_wider),
        ROW(test_format_asked_for),
        ROW(test_next_format_on_refusal),
        ROW(test_errors_of_the_device),
        ROW(test_silence),
        ROW(test_slow_network),
        ROW(test_one_after_the_other),
        ROW(test_retry_keeps_its_turn),
        ROW(test_limit),
        ROW(test_end_of_registration),
        ROW(test_registers_anew),
        ROW(test_address_changes_under_way),
        ROW(test_write),
        ROW(test_write_partial),
        ROW(test_write_opaque),
        ROW(test_execute),
        ROW(test_attributes),
        ROW(test_discover),
        ROW(test_create),
        ROW(test_create_behind_alternate_path),
        ROW(test_delete),
        ROW(test_changes_meet_in_the_store),
        ROW(test_lifetime_is_learned_by_reading),
        ROW(test_store_full_for_changes),
        ROW(test_lifetimes_written),
        cmocka_unit_test(test_spooled),
        ROW(test_status),
        ROW(test_block_size_is_learned),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
