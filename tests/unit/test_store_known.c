/* Endpoints that are known without a registration: shown as offline, forgotten at last. */
#include "store_kept.h"

#include "store/db.h"

static int64_t number(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    int64_t n = -1;

    assert_int_equal(db_open(f->path, DB_READER, &db), ERR_OK);
    assert_int_equal(db_number(db, sql, &n), ERR_OK);
    db_close(db);
    return n;
}

static void no_register_makes_them_known(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);

    put_devices(f->store, 1, 10);
    assert_int_equal(number(f, "SELECT count(*) FROM device"), 0);
    assert_int_equal(read_known(f->reader, r.endpoint), ERR_OK); /* it is registered */
    leave(f, 1, 0);
    assert_int_equal(number(f, "SELECT count(*) FROM device"), 1);
    assert_int_equal(read_known(f->reader, r.endpoint), ERR_OK);
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000011")), ERR_NOTFOUND);
}

static void they_keep_their_times(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);
    struct rows rows = {0};

    r.expires_ms = 5000;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    leave(f, 1, 0);
    assert_int_equal(read_device(f->reader, r.endpoint, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.r[0]->row, 0);
    assert_int_equal(rows.r[0]->id, 0);
    assert_view(rows.r[0]->endpoint, r.endpoint);
    assert_int_equal(rows.r[0]->registered_ms, r.registered_ms);
    assert_int_equal(rows.r[0]->updated_ms, r.updated_ms);
    assert_int_equal(rows.r[0]->seen_ms, r.seen_ms);
    assert_int_equal(rows.r[0]->expires_ms, 5000);
    assert_non_null(rows.r[0]->links.p);
    txn_free(arrive(f, 1, 10));
    rows.count = 0;
    assert_int_equal(read_device(f->reader, r.endpoint, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.r[0]->row, 11);
    leave(f, 1, 10); /* before its lifetime was over */
    rows.count = 0;
    assert_int_equal(read_device(f->reader, r.endpoint, rows_add, &rows), ERR_OK);
    assert_in_range(clock_wall_ms() - rows.r[0]->expires_ms, 0, 60000);
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'offline'"), 1);
}

/* ---- pages -------------------------------------------------------------------------------- */

/* Endpoints of all pages of the filter, in order, one letter each: R registered, O offline. */
static size_t all_pages(struct fixture *f, struct read_filter filter, char out[512])
{
    uint8_t after[ENDPOINT_MAX];
    size_t n = 0;

    do {
        struct rows rows = {0};

        assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
        assert_in_range(rows.count, 0, filter.limit);
        for (size_t i = 0; i < rows.count; i++) {
            if (n + i > 0)
                assert_true(view_cmp(rows.r[i]->endpoint, filter.after) > 0);
            out[n++] = rows.r[i]->row ? 'R' : 'O';
        }
        filter.after = read_cursor(f->reader);
        if (filter.after.n)
            memcpy(after, filter.after.p, filter.after.n);
        filter.after.p = after;
    } while (filter.after.n);
    out[n] = '\0';
    return n;
}

static void pages_show_both(void **state)
{
    struct fixture *f = *state;
    char found[512];

    put_devices(f->store, 1, 20);
    for (uint64_t n = 3; n <= 20; n += 3)
        leave(f, n, 0);
    for (size_t limit = 1; limit < 8; limit++) {
        struct read_filter filter = {.limit = limit, .now_ms = 1000};

        all_pages(f, filter, found);
        assert_string_equal(found, "RRORRORRORRORRORRORR");
        filter.state = READ_OFFLINE;
        all_pages(f, filter, found);
        assert_string_equal(found, "OOOOOO");
        filter.state = READ_REGISTERED;
        all_pages(f, filter, found);
        assert_string_equal(found, "RRRRRRRRRRRRRR");
        filter.state = READ_ANY;
        filter.prefix = VIEW_LIT("device-0000001");
        all_pages(f, filter, found);
        assert_string_equal(found, "RRORRORROR"); /* 10 to 19 */
    }
}

static uint64_t page_steps(struct fixture *f)
{
    struct read_filter filter = {.limit = 10, .now_ms = 1000, .after = VIEW_LIT("device-00000005")};
    struct rows rows = {0};

    assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 10);
    return read_steps(f->reader);
}

static void pages_do_not_grow(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    uint64_t few;

    put_devices(f->store, 1, 20);
    for (uint64_t n = 2; n <= 20; n += 2)
        leave(f, n, 0);
    few = page_steps(f);
    put_devices(f->store, 21, 4020);
    put_devices(f->store, 4021, 8020);
    l.done = 0;
    for (uint64_t n = 22; n <= 8020; n += 2)
        submit(f->store, leave_txn(n, n), &l, n);
    latch_wait(&l, 4000);
    assert_in_range(page_steps(f), 1, few);
}

/* ---- purge -------------------------------------------------------------------------------- */

static void open_with(struct fixture *f, const struct store_retention *keep)
{
    struct store_config cfg = {.path = f->path, .keep = *keep};

    fixture_close(f);
    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
}

static void run_sql(struct fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(db_open(f->path, DB_WRITER, &db), ERR_OK);
    assert_int_equal(db_exec(db, sql), ERR_OK);
    db_close(db);
}

/* The writer purges when it has nothing else to do, first at its start. */
static void wait_until(struct fixture *f, const char *sql, int64_t expected)
{
    for (int i = 0; i < 2000 && number(f, sql) != expected; i++)
        usleep(10000);
    assert_int_equal(number(f, sql), expected);
}

static uint64_t counted(struct fixture *f, enum counter which)
{
    return counter_get(store_counters(f->store), which);
}

static void tell(struct fixture *f, const char *endpoint, unsigned values)
{
    struct txn *t = txn_new(TXN_RECORD);

    t->entries = mem_new(sizeof(*t->entries));
    t->entry_count = 1;
    t->entries[0] = (struct entry){.endpoint = view_str(endpoint),
                                   .time_ms = 1000,
                                   .listed = true,
                                   .type = EVENT_SEND,
                                   .values = batch_new()};
    for (unsigned i = 0; i < values; i++) {
        struct record r = {.path = path_of("/3/0/9"),
                           .value = {.type = VALUE_INTEGER, .u.integer = i}};

        assert_int_equal(batch_add(t->entries[0].values, &r), ERR_OK);
    }
    assert_int_equal(run(f->store, t), ERR_OK);
}

#define OLD "((unixepoch() - 8 * 86400) * 1000)"

static void old_rows_go(void **state)
{
    struct fixture *f = *state;
    struct operation o;

    put_devices(f->store, 1, 2);
    tell(f, "device-00000001", 1000);
    tell(f, "device-00000002", 600);
    for (uint64_t n = 1; n <= 600; n++) {
        o = operation(n, "device-00000001");
        o.state = n % 2 ? OP_STATE_DONE : n % 4 ? OP_STATE_QUEUED : OP_STATE_UNKNOWN;
        assert_int_equal(put_operation(f, &o), ERR_OK);
    }
    fixture_close(f);
    /* All of the first device, and half of the second, came eight days ago. */
    run_sql(f, "UPDATE history SET seq = (" OLD " << 21) + rowid % 100000 WHERE device = 1 "
               "OR rowid % 2 = 0");
    run_sql(f, "UPDATE timeline SET seq = (" OLD " << 21) + device WHERE device = 1");
    run_sql(f, "UPDATE operation SET settled = " OLD " WHERE settled <> 0");
    fixture_open(f);
    wait_until(f, "SELECT count(*) FROM history", 300);
    wait_until(f, "SELECT count(*) FROM timeline", 1);
    wait_until(f, "SELECT count(*) FROM operation", 150);
    assert_int_equal(number(f, "SELECT count(*) FROM operation WHERE state = 0"), 150);
    assert_int_equal(counted(f, COUNTER_history_purged), 1300);
    assert_int_equal(counted(f, COUNTER_timeline_purged), 1);
    assert_int_equal(counted(f, COUNTER_operations_purged), 450);
    assert_int_equal(number(f, "SELECT sum(history) FROM device"), 300);
    assert_int_equal(number(f, "SELECT sum(timeline) FROM device"), 1);
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'history'"), 300);
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'timeline'"), 1);
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'settled'"), 0);
    assert_int_equal(number(f, "SELECT count(*) FROM value"), 2); /* the newest ones stay */
}

static void too_many_rows_go(void **state)
{
    struct fixture *f = *state;
    struct store_retention keep = {.history = 700, .timeline = 3, .operations = 20};

    put_devices(f->store, 1, 1);
    for (unsigned i = 0; i < 5; i++)
        tell(f, "device-00000001", 300);
    for (uint64_t n = 1; n <= 50; n++) {
        struct operation o = operation(n, "device-00000001");

        o.state = OP_STATE_DONE;
        o.settled_ms = clock_wall_ms() + (int64_t)n;
        assert_int_equal(put_operation(f, &o), ERR_OK);
    }
    open_with(f, &keep);
    wait_until(f, "SELECT count(*) FROM history", 700);
    wait_until(f, "SELECT count(*) FROM timeline", 3);
    wait_until(f, "SELECT count(*) FROM operation", 20);
    assert_null(stored_operation(f, 30));
    assert_non_null(stored_operation(f, 31));
    assert_int_equal(number(f, "SELECT sum(history) FROM device"), 700);
    assert_int_equal(counted(f, COUNTER_history_purged), 800);
}

static void a_busy_writer_purges_too(void **state)
{
    struct fixture *f = *state;
    struct store_retention keep = {.history = 100};
    bool gone = false;

    put_devices(f->store, 1, 1);
    for (unsigned i = 0; i < 10; i++)
        tell(f, "device-00000001", 300);
    open_with(f, &keep);
    for (uint64_t round = 0; round < 5000 && !gone; round++) {
        put_devices(f->store, 2, 200);
        gone = number(f, "SELECT count(*) FROM history") == 100;
    }
    assert_true(gone);
}

static void those_away_for_long_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct operation o = operation(1, "device-00000003"), settled = operation(2, "device-00000001");
    char name[32];

    put_devices(f->store, 1, 200);
    tell(f, "device-00000001", 600);
    settled.state = OP_STATE_UNKNOWN;
    assert_int_equal(put_operation(f, &settled), ERR_OK);
    assert_int_equal(run(f->store, wish_txn(10, 2, device(2, name).id, 1)), ERR_OK);
    assert_int_equal(put_operation(f, &o), ERR_OK);
    for (uint64_t n = 1; n <= 150; n++)
        leave(f, n, 0);
    tell(f, "device-00000199", 1); /* known and registered */
    fixture_close(f);
    run_sql(f, "UPDATE device SET ended = ended - 31 * 86400000 WHERE id % 3 <> 0 AND offline");
    fixture_open(f);
    /* A third ended lately, of two something is wanted, one is registered. */
    wait_until(f, "SELECT count(*) FROM device",
               number(f, "SELECT count(*) FROM device WHERE id % 3 = 0 OR endpoint IN "
                         "('device-00000002', 'device-00000003', 'device-00000199')"));
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000001")), ERR_NOTFOUND);
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000002")), ERR_OK);
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000003")), ERR_OK);
    assert_int_equal(number(f, "SELECT count(*) FROM history"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM timeline"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM value"), 1);
    assert_null(stored_operation(f, 2));
    assert_non_null(stored_operation(f, 1));
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'offline'"),
                     number(f, "SELECT count(*) FROM device WHERE offline"));
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'history'"), 1);
}

/* More than one look's worth of those that stay come first. */
static void too_many_away_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct store_retention keep = {.offline = 110};
    char name[32];

    put_devices(f->store, 1, 300);
    for (uint64_t n = 1; n <= 100; n++)
        assert_int_equal(run(f->store, wish_txn(n, n, device(n, name).id, 1)), ERR_OK);
    for (uint64_t n = 1; n <= 300; n++)
        leave(f, n, 0);
    open_with(f, &keep);
    wait_until(f, "SELECT count(*) FROM device", 110);
    assert_int_equal(counted(f, COUNTER_endpoints_purged), 190);
    assert_int_equal(number(f, "SELECT count(*) FROM observation"), 100);
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000290")), ERR_NOTFOUND);
    assert_int_equal(read_known(f->reader, VIEW_LIT("device-00000291")), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_register_makes_them_known, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(they_keep_their_times, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_show_both, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_do_not_grow, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(old_rows_go, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(too_many_rows_go, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_busy_writer_purges_too, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(those_away_for_long_are_forgotten, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(too_many_away_are_forgotten, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
