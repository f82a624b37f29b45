/* Durable operations: what is stored, what may become of them, who gets them. */
#include "store_kept.h"

#define DEVICE "device-00000001"

/* ---- what is stored ----------------------------------------------------------------------- */

static struct operation full_operation(void)
{
    struct operation o = operation(7, DEVICE);

    o.kind = OP_WRITE_COMPOSITE;
    o.state = OP_STATE_SENT;
    o.path = path_of("/65534/65534/65534/65534");
    o.format = FORMAT_LWM2M_CBOR;
    o.depth = 3;
    o.priority = OP_PRIORITY_HIGH;
    o.repeatable = true;
    o.token = UINT64_MAX;
    o.expires_ms = 99;
    o.text = VIEW_LIT("0='a',1");
    o.values = VIEW_LIT("\x01\0\xff");
    o.key = VIEW_LIT("key");
    o.key_hash = UINT64_MAX - 1;
    o.rc = ERR_DEVICE;
    o.code = 0x84;
    o.result_format = FORMAT_SENML_JSON;
    o.result = VIEW_LIT("\0\1");
    o.result_text = VIEW_LIT("</3/0>");
    o.location = path_of("/3303/7");
    o.attempt_count = OP_ATTEMPTS_MAX + 5;
    for (unsigned i = 0; i < OP_ATTEMPTS_MAX; i++)
        o.attempts[i] =
            (struct op_attempt){UINT64_MAX - i, INT64_MAX - i, (int64_t)i, i, 0x45, TRANSPORT_SMS};
    return o;
}

static void assert_operation(const struct operation *o, const struct operation *expected)
{
    assert_true(op_id_eq(&o->id, &expected->id));
    assert_view(o->endpoint, expected->endpoint);
    assert_int_equal(o->kind, expected->kind);
    assert_int_equal(o->state, expected->state);
    assert_true(path_eq(&o->path, &expected->path));
    assert_int_equal(o->format, expected->format);
    assert_int_equal(o->depth, expected->depth);
    assert_int_equal(o->priority, expected->priority);
    assert_int_equal(o->repeatable, expected->repeatable);
    assert_int_equal(o->late, expected->late);
    assert_int_equal(o->token, expected->token);
    assert_int_equal(o->created_ms, expected->created_ms);
    assert_int_equal(o->expires_ms, expected->expires_ms);
    assert_int_equal(o->settled_ms, expected->settled_ms);
    assert_view(o->text, expected->text);
    assert_view(o->values, expected->values);
    assert_view(o->key, expected->key);
    assert_int_equal(o->key_hash, expected->key_hash);
    assert_int_equal(o->rc, expected->rc);
    assert_int_equal(o->code, expected->code);
    assert_int_equal(o->result_format, expected->result_format);
    assert_view(o->result, expected->result);
    assert_view(o->result_text, expected->result_text);
    assert_true(path_eq(&o->location, &expected->location));
    assert_int_equal(o->attempt_count, expected->attempt_count);
    for (unsigned i = 0; i < OP_ATTEMPTS_MAX; i++) {
        assert_int_equal(o->attempts[i].token, expected->attempts[i].token);
        assert_int_equal(o->attempts[i].sent_ms, expected->attempts[i].sent_ms);
        assert_int_equal(o->attempts[i].answered_ms, expected->attempts[i].answered_ms);
        assert_int_equal(o->attempts[i].retransmissions, expected->attempts[i].retransmissions);
        assert_int_equal(o->attempts[i].code, expected->attempts[i].code);
        assert_int_equal(o->attempts[i].transport, expected->attempts[i].transport);
    }
}

static void every_field_survives(void **state)
{
    struct fixture *f = *state;
    struct operation full = full_operation(), bare = operation(8, DEVICE);

    put_devices(f->store, 1, 1);
    assert_int_equal(put_operation(f, &full), ERR_OK);
    assert_int_equal(put_operation(f, &bare), ERR_OK);
    fixture_close(f);
    fixture_open(f);
    assert_operation(stored_operation(f, 7), &full);
    assert_operation(stored_operation(f, 8), &bare);
    assert_null(stored_operation(f, 9));
}

/* SET changes what becomes of an operation, and nothing of what it is. */
static void set_changes_the_outcome_only(void **state)
{
    struct fixture *f = *state;
    struct operation o = full_operation(), to;

    put_devices(f->store, 1, 1);
    assert_int_equal(put_operation(f, &o), ERR_OK);
    to = operation(7, "another");
    to.state = OP_STATE_DONE;
    to.late = true;
    to.settled_ms = 5000;
    to.token = 3;
    to.code = 0x45;
    to.result_format = FORMAT_TLV;
    to.result = VIEW_LIT("result");
    to.result_text = VIEW_LIT("text");
    to.location = path_of("/1/2");
    to.attempt_count = 1;
    to.attempts[0] = (struct op_attempt){3, 4, 5, 6, 7, TRANSPORT_UDP};
    assert_int_equal(set_operation(f, &to), ERR_OK);
    o.state = to.state;
    o.late = to.late;
    o.settled_ms = to.settled_ms;
    o.token = to.token;
    o.rc = to.rc;
    o.code = to.code;
    o.result_format = to.result_format;
    o.result = to.result;
    o.result_text = to.result_text;
    o.location = to.location;
    o.attempt_count = to.attempt_count;
    memcpy(o.attempts, to.attempts, sizeof(o.attempts));
    assert_operation(stored_operation(f, 7), &o);
}

static void nonsense_is_refused(void **state)
{
    struct fixture *f = *state;
    struct operation o = operation(1, DEVICE);
    char large[OP_KEY_MAX + 1];

    put_devices(f->store, 1, 1);
    memset(large, 'k', sizeof(large));
    o.key = view_of(large, sizeof(large));
    assert_int_equal(put_operation(f, &o), ERR_INVALID);
    o.key = view_of(large, OP_KEY_MAX);
    o.endpoint = VIEW_NONE;
    assert_int_equal(put_operation(f, &o), ERR_INVALID);
    o.endpoint = view_str(DEVICE);
    o.kind = OP_KIND_COUNT;
    assert_int_equal(put_operation(f, &o), ERR_INVALID);
    o.kind = OP_READ;
    o.path.depth = 5;
    assert_int_equal(put_operation(f, &o), ERR_INVALID);
    o.path.depth = 4;
    assert_int_equal(put_operation(f, &o), ERR_OK);
    o.state = OP_STATE_COUNT;
    assert_int_equal(set_operation(f, &o), ERR_INVALID);
    o.endpoint = VIEW_LIT("nobody");
    o.id = id_of(2);
    o.key = VIEW_NONE;
    o.state = OP_STATE_QUEUED;
    assert_int_equal(put_operation(f, &o), ERR_UNREGISTERED);
    assert_int_equal(read_known(f->reader, o.endpoint), ERR_NOTFOUND);
}

/* ---- what may become of it ---------------------------------------------------------------- */

static bool may_follow(enum op_state from, enum op_state to)
{
    if (from == OP_STATE_QUEUED || from == OP_STATE_SENT)
        return true;
    return from == OP_STATE_UNKNOWN &&
           (to == OP_STATE_DONE || to == OP_STATE_REJECTED || to == OP_STATE_DEVICE_ERROR);
}

static void what_is_settled_stays(void **state)
{
    struct fixture *f = *state;
    uint64_t n = 0;

    put_devices(f->store, 1, 1);
    for (unsigned from = 0; from < OP_STATE_COUNT; from++) {
        for (unsigned to = 0; to < OP_STATE_COUNT; to++) {
            struct operation o = operation(++n, DEVICE);
            bool may = may_follow((enum op_state)from, (enum op_state)to);

            o.state = (enum op_state)from;
            assert_int_equal(put_operation(f, &o), ERR_OK);
            o.state = (enum op_state)to;
            assert_int_equal(set_operation(f, &o), may ? ERR_OK : ERR_STALE);
            assert_int_equal(stored_operation(f, n)->state, may ? to : from);
            /* When, even if its maker forgot to say. */
            assert_int_equal(stored_operation(f, n)->settled_ms != 0,
                             op_state_settled((enum op_state)(may ? to : from)));
        }
    }
    n++;
    assert_int_equal(set_operation(f, &(struct operation){.id = id_of(n)}), ERR_NOTFOUND);
}

/* ---- keys --------------------------------------------------------------------------------- */

static void expect_first(struct fixture *f, const struct operation *o, int rc, uint64_t first)
{
    struct txn *t = operation_txn(TXN_PUT_OPERATION, o);
    struct op_id id = id_of(first);

    assert_int_equal(run_kept(f->store, t), rc);
    assert_int_equal(t->carried_operation_count, rc == ERR_OK ? 0 : 1);
    if (rc != ERR_OK)
        assert_true(op_id_eq(&t->carried_operations[0]->id, &id));
    txn_free(t);
}

static void a_key_is_used_once(void **state)
{
    struct fixture *f = *state;
    struct operation o = operation(1, DEVICE);
    struct txn *t;

    put_devices(f->store, 1, 2);
    o.key = VIEW_LIT("key");
    o.key_hash = 1;
    expect_first(f, &o, ERR_OK, 0);
    o.id = id_of(2);
    expect_first(f, &o, ERR_EXISTS, 1);
    o.endpoint = VIEW_LIT("device-00000002");
    o.key_hash = 2;
    expect_first(f, &o, ERR_KEYREUSED, 1);
    assert_null(stored_operation(f, 2));
    o.key = VIEW_LIT("kez");
    expect_first(f, &o, ERR_OK, 0);
    o.key = VIEW_NONE;
    expect_first(f, &o, ERR_EXISTS, 2); /* the id is taken */
    o.id = id_of(3);
    expect_first(f, &o, ERR_OK, 0);
    o.id = id_of(4);
    expect_first(f, &o, ERR_OK, 0); /* no key is no key */

    /* It is found as it is now, with its result. */
    o = operation(1, DEVICE);
    o.state = OP_STATE_DONE;
    o.result = VIEW_LIT("result");
    assert_int_equal(set_operation(f, &o), ERR_OK);
    o.id = id_of(5);
    o.key = VIEW_LIT("key");
    o.key_hash = 1;
    t = operation_txn(TXN_PUT_OPERATION, &o);
    assert_int_equal(run_kept(f->store, t), ERR_EXISTS);
    assert_int_equal(t->carried_operations[0]->state, OP_STATE_DONE);
    assert_view(t->carried_operations[0]->result, VIEW_LIT("result"));
    assert_view(t->carried_operations[0]->endpoint, VIEW_LIT(DEVICE));
    txn_free(t);
}

/* Two with one key in one commit: the first wins. */
static void keys_race(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    size_t won = 0;

    put_devices(f->store, 1, 1);
    for (uint64_t n = 0; n < 500; n++) {
        struct operation o = operation(n, DEVICE);

        o.key = VIEW_LIT("key");
        o.key_hash = n / 250;
        submit(f->store, operation_txn(TXN_PUT_OPERATION, &o), &l, n);
    }
    latch_wait(&l, 500);
    for (uint64_t n = 0; n < 500; n++) {
        won += l.rc[n] == ERR_OK;
        assert_int_equal(l.rc[n], n == 0 ? ERR_OK : n < 250 ? ERR_EXISTS : ERR_KEYREUSED);
    }
    assert_int_equal(won, 1);
}

/* ---- endpoints that are not registered ------------------------------------------------------ */

static void dormant_ones_need_an_endpoint_that_is_away(void **state)
{
    struct fixture *f = *state;
    struct operation o = operation(1, DEVICE);

    assert_int_equal(put_dormant(f, &o), ERR_UNREGISTERED);
    put_devices(f->store, 1, 1);
    assert_int_equal(put_dormant(f, &o), ERR_CONFLICT);
    assert_null(stored_operation(f, 1));
    leave(f, 1, 0);
    assert_int_equal(read_known(f->reader, o.endpoint), ERR_OK);
    assert_int_equal(put_dormant(f, &o), ERR_OK);
    assert_int_equal(stored_operation(f, 1)->state, OP_STATE_QUEUED);
    txn_free(arrive(f, 1, 10));
    o.id = id_of(2);
    assert_int_equal(put_dormant(f, &o), ERR_CONFLICT);
}

static void as_many_as_64_wait(void **state)
{
    struct fixture *f = *state;
    struct operation o;

    put_devices(f->store, 1, 2);
    leave(f, 1, 0);
    for (uint64_t n = 1; n <= 64; n++) {
        o = operation(n, DEVICE);
        o.state = n % 2 ? OP_STATE_QUEUED : OP_STATE_SENT;
        assert_int_equal(put_dormant(f, &o), ERR_OK);
    }
    o = operation(65, DEVICE);
    assert_int_equal(put_dormant(f, &o), ERR_QUEUE);
    assert_int_equal(put_operation(f, &o), ERR_QUEUE);
    o.endpoint = VIEW_LIT("device-00000002"); /* registered: its shard has a limit */
    assert_int_equal(put_operation(f, &o), ERR_OK);
    o = operation(10, DEVICE); /* one of them waits no more */
    o.state = OP_STATE_UNKNOWN;
    assert_int_equal(set_operation(f, &o), ERR_OK);
    o = operation(66, DEVICE);
    assert_int_equal(put_dormant(f, &o), ERR_OK);
    o = operation(67, DEVICE);
    assert_int_equal(put_dormant(f, &o), ERR_QUEUE);
}

static void what_has_expired_does_not_wait(void **state)
{
    struct fixture *f = *state;
    struct operation o;

    put_devices(f->store, 1, 1);
    leave(f, 1, 0);
    for (uint64_t n = 1; n <= 65; n++) {
        o = operation(n, DEVICE);
        o.expires_ms = n == 7 ? 1000 : clock_wall_ms() + 600000;
        assert_int_equal(put_dormant(f, &o), ERR_OK);
    }
    o = operation(66, DEVICE);
    assert_int_equal(put_dormant(f, &o), ERR_QUEUE);
}

static void a_register_takes_up_what_waits(void **state)
{
    struct fixture *f = *state;
    struct txn *t;

    put_devices(f->store, 1, 2);
    for (unsigned s = 0; s < OP_STATE_COUNT; s++) {
        struct operation o = operation(20 - s, DEVICE);

        o.state = (enum op_state)s;
        assert_int_equal(put_operation(f, &o), ERR_OK);
        o = operation(100 + s, "device-00000002");
        assert_int_equal(put_operation(f, &o), ERR_OK);
    }
    t = arrive(f, 1, 10); /* replaces the live one, which knows them */
    assert_int_equal(t->carried_operation_count, 0);
    txn_free(t);
    leave(f, 1, 10);
    t = arrive(f, 1, 20);
    assert_int_equal(t->carried_operation_count, 3);
    assert_int_equal(t->carried_operations[0]->state, OP_STATE_UNKNOWN); /* the oldest first */
    assert_int_equal(t->carried_operations[1]->state, OP_STATE_SENT);
    assert_int_equal(t->carried_operations[2]->state, OP_STATE_QUEUED);
    assert_view(t->carried_operations[2]->endpoint, VIEW_LIT(DEVICE));
    txn_free(t);
    t = arrive(f, 1, 30);
    assert_int_equal(t->carried_operation_count, 0);
    txn_free(t);
}

/* Those that wait for their turn before those that may get a late answer, and of these the newest.
 */
static void as_many_as_256_are_taken_up(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    struct txn *t;

    put_devices(f->store, 1, 1);
    for (uint64_t n = 1; n <= 500; n++) {
        struct operation o = operation(n, DEVICE);

        o.state = n <= 300 ? OP_STATE_UNKNOWN : OP_STATE_QUEUED;
        submit(f->store, operation_txn(TXN_PUT_OPERATION, &o), &l, n);
    }
    latch_wait(&l, 500);
    leave(f, 1, 0);
    t = arrive(f, 1, 10);
    assert_int_equal(t->carried_operation_count, 256);
    for (uint64_t i = 0; i < 256; i++) {
        struct op_id id = id_of(245 + i); /* 56 of the unknown ones, then all that wait */

        assert_true(op_id_eq(&t->carried_operations[i]->id, &id));
    }
    txn_free(t);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void open_ones_of_the_registered(void **state)
{
    struct fixture *f = *state;
    struct operations found = {0};
    struct op_id after;

    put_devices(f->store, 1, 2);
    for (unsigned s = 0; s < OP_STATE_COUNT; s++) {
        struct operation o = operation(1 + s, DEVICE);

        o.state = (enum op_state)s;
        assert_int_equal(put_operation(f, &o), ERR_OK);
        o = operation(100 + s, "device-00000002");
        assert_int_equal(put_operation(f, &o), ERR_OK);
    }
    leave(f, 2, 0);
    assert_int_equal(read_open_operations(f->reader, NULL, 2, operations_add, &found), ERR_OK);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.o[0]->state, OP_STATE_QUEUED);
    assert_int_equal(found.o[1]->state, OP_STATE_SENT);
    after = found.o[1]->id;
    found.count = 0;
    assert_int_equal(read_open_operations(f->reader, &after, 10, operations_add, &found), ERR_OK);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.o[0]->state, OP_STATE_UNKNOWN);
}

static void pages_are_newest_first(void **state)
{
    struct fixture *f = *state;
    struct operations found = {0};
    struct read_operations_filter filter = {.limit = 10};
    struct op_id before;
    size_t seen = 0;

    put_devices(f->store, 1, 2);
    for (uint64_t n = 1; n <= 100; n++) {
        struct operation o = operation(n, n % 2 ? DEVICE : "device-00000002");

        o.state = (enum op_state)(n / 2 % OP_STATE_COUNT);
        assert_int_equal(put_operation(f, &o), ERR_OK);
    }
    filter.endpoint = VIEW_LIT(DEVICE);
    do {
        found.count = 0;
        assert_int_equal(read_operations(f->reader, &filter, operations_add, &found), ERR_OK);
        for (size_t i = 0; i < found.count; i++) {
            struct op_id expected = id_of(99 - 2 * seen++);

            assert_true(op_id_eq(&found.o[i]->id, &expected));
        }
        if (read_cursor(f->reader).n) {
            assert_int_equal(read_cursor(f->reader).n, sizeof(before.b));
            memcpy(before.b, read_cursor(f->reader).p, sizeof(before.b));
            filter.before = &before;
        }
    } while (read_cursor(f->reader).n);
    assert_int_equal(seen, 50);

    filter = (struct read_operations_filter){.states = 1u << OP_STATE_UNKNOWN, .limit = 3};
    found.count = 0;
    assert_int_equal(read_operations(f->reader, &filter, operations_add, &found), ERR_OK);
    assert_int_equal(found.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(found.o[i]->state, OP_STATE_UNKNOWN);
    filter.states = 1u << OP_STATE_UNKNOWN | 1u << OP_STATE_FAILED;
    filter.limit = 1000;
    found.count = 0;
    assert_int_equal(read_operations(f->reader, &filter, operations_add, &found), ERR_OK);
    assert_int_equal(found.count, 21);
    assert_int_equal(read_cursor(f->reader).n, 0);
    filter.endpoint = VIEW_LIT("nobody");
    found.count = 0;
    assert_int_equal(read_operations(f->reader, &filter, operations_add, &found), ERR_OK);
    assert_int_equal(found.count, 0);
}

static void fill(struct fixture *f, uint64_t from, uint64_t to)
{
    static struct latch l = LATCH_INIT;

    l.done = 0;
    for (uint64_t n = from; n <= to; n++) {
        struct operation o = operation(n, n % 1000 ? "device-00000002" : DEVICE);

        o.state = n % 1000 ? OP_STATE_DONE : OP_STATE_QUEUED;
        submit(f->store, operation_txn(TXN_PUT_OPERATION, &o), &l, n);
    }
    latch_wait(&l, to - from + 1);
}

/* What a page costs: of one device, of all, of those that wait, of the load at start. */
static uint64_t page_steps(struct fixture *f)
{
    struct read_operations_filter of = {.endpoint = VIEW_LIT(DEVICE), .limit = 5};
    struct read_operations_filter all = {.limit = 5};
    struct read_operations_filter open = {.states = 1u << OP_STATE_QUEUED, .limit = 5};
    struct operations found = {0};
    uint64_t steps = 0;

    assert_int_equal(read_operations(f->reader, &of, operations_add, &found), ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(read_operations(f->reader, &all, operations_add, &found), ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(read_operations(f->reader, &open, operations_add, &found), ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(read_open_operations(f->reader, NULL, 5, operations_add, &found), ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(found.count, 20);
    return steps;
}

static void pages_do_not_grow(void **state)
{
    struct fixture *f = *state;
    uint64_t few;

    put_devices(f->store, 1, 2);
    for (uint64_t n = 1; n <= 10; n++)
        fill(f, n * 1000 - 1, n * 1000);
    few = page_steps(f);
    fill(f, 10001, 40000);
    assert_in_range(page_steps(f), 1, few);
}

/* ---- numbers in the database ---------------------------------------------------------------- */

/* The tables keep these numbers: new ones come at the end. */
static void numbers_are_for_ever(void **state)
{
    (void)state;
    assert_int_equal(OP_STATUS, 0);
    assert_int_equal(OP_READ, 1);
    assert_int_equal(OP_WRITE_COMPOSITE, 10);
    assert_int_equal(OP_CANCEL, 16);
    assert_int_equal(OP_STATE_QUEUED, 0);
    assert_int_equal(OP_STATE_SENT, 1);
    assert_int_equal(OP_STATE_DONE, 2);
    assert_int_equal(OP_STATE_UNKNOWN, 5);
    assert_int_equal(OP_STATE_FAILED, 8);
    assert_int_equal(OP_PRIORITY_HIGH, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_survives, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(set_changes_the_outcome_only, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_settled_stays, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_key_is_used_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(keys_race, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(dormant_ones_need_an_endpoint_that_is_away, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(as_many_as_64_wait, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_has_expired_does_not_wait, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_register_takes_up_what_waits, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(as_many_as_256_are_taken_up, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(open_ones_of_the_registered, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_are_newest_first, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_do_not_grow, fixture_setup, fixture_teardown),
        cmocka_unit_test(numbers_are_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
