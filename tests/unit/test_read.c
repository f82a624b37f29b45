/* Reading in pages: what comes, in which order, and that the cost of a page does not grow with the
 * table. */
#include "store_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* Device n with an endpoint, an expiry and links of its own. */
static void put_named(struct store *s, uint64_t n, const char *endpoint, int64_t expires_ms)
{
    char name[32], links[64];
    struct registration r = device(n, name);

    snprintf(links, sizeof(links), "</3/0>,</%llu/0>", (unsigned long long)n);
    r.endpoint = view_str(endpoint);
    r.links = view_str(links);
    r.expires_ms = expires_ms;
    assert_int_equal(run(s, put_txn(&r)), ERR_OK);
}

static void assert_text(struct view v, const char *expected)
{
    assert_int_equal(v.n, strlen(expected));
    assert_memory_equal(v.p, expected, v.n);
}

static void delete_device(struct store *s, uint64_t n)
{
    struct txn *t = txn_new(TXN_DEL_REGISTRATION);

    t->row = t->generation = n;
    assert_int_equal(run(s, t), ERR_OK);
}

/* What another program, or a bad disk, did to the database. */
static void damage(struct fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* ---- loading ---------------------------------------------------------------------------- */

static void registrations_come_once_in_order_of_row(void **state)
{
    struct fixture *f = *state;
    uint64_t after = 0, seen = 0;

    put_devices(f->store, 1, 250);
    delete_device(f->store, 100);
    for (;;) {
        struct rows rows = {0};

        assert_int_equal(read_registrations(f->reader, after, 60, rows_add, &rows), ERR_OK);
        for (size_t i = 0; i < rows.count; i++) {
            assert_true(rows.r[i]->row > after);
            after = rows.r[i]->row;
            assert_int_equal(rows.r[i]->id & 0xffff, after);
            assert_int_equal(rows.r[i]->seen_ms, 3000000 + after);
            assert_text(rows.r[i]->links, LINKS);
        }
        seen += rows.count;
        if (rows.count < 60)
            break;
    }
    assert_int_equal(seen, 249);
    assert_int_equal(after, 250);
}

static int stop_at_three(void *ctx, const struct registration *r)
{
    (void)r;
    return ++*(int *)ctx == 3 ? ERR_CANCELLED : ERR_OK;
}

static void a_callback_ends_the_walk(void **state)
{
    struct fixture *f = *state;
    struct read_filter all = {.limit = 10};
    int calls = 0;

    put_devices(f->store, 1, 10);
    assert_int_equal(read_registrations(f->reader, 0, 10, stop_at_three, &calls), ERR_CANCELLED);
    assert_int_equal(calls, 3);
    calls = 0;
    assert_int_equal(read_devices(f->reader, &all, stop_at_three, &calls), ERR_CANCELLED);
    assert_int_equal(calls, 3);
    /* No transaction was left open: what comes later is seen. */
    put_devices(f->store, 11, 11);
    assert_non_null(stored_device(f, 11));
}

static const char *const unreadable[] = {
    "UPDATE registration SET peer = x'0102' WHERE row = ",
    "UPDATE registration SET local = x'' WHERE row = ",
    "UPDATE registration SET transport = 200 WHERE row = ",
    "UPDATE registration SET identity_type = -1 WHERE row = ",
    "UPDATE registration SET objlist = 4711 WHERE row = ",
    "DELETE FROM renewal WHERE row = ",
};

/* Rows first, last, side by side and at the end of a page. */
static void an_unreadable_row_is_left_out(void **state)
{
    static const int rows_hit[] = {1, 2, 10, 11, 21, 30};
    struct fixture *f = *state;
    struct read_filter all = {.limit = 100};
    uint64_t after = 0, seen = 0;
    struct rows rows = {0};

    put_devices(f->store, 1, 30);
    for (size_t i = 0; i < mem_count(rows_hit); i++) {
        char sql[128];

        snprintf(sql, sizeof(sql), "%s%d", unreadable[i], rows_hit[i]);
        damage(f, sql);
    }
    for (;;) {
        rows.count = 0;
        assert_int_equal(read_registrations(f->reader, after, 7, rows_add, &rows), ERR_OK);
        seen += rows.count;
        if (rows.count < 7)
            break;
        after = rows.r[6]->row;
    }
    assert_int_equal(seen, 30 - mem_count(rows_hit));
    assert_int_equal(read_skipped(f->reader), mem_count(rows_hit));
    rows.count = 0;
    assert_int_equal(read_devices(f->reader, &all, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 30 - mem_count(rows_hit));
}

/* A device that registers again has a good row. */
static void an_unreadable_row_is_replaced(void **state)
{
    struct fixture *f = *state;

    put_devices(f->store, 1, mem_count(unreadable));
    for (size_t i = 0; i < mem_count(unreadable); i++) {
        struct rows rows = {0};
        char sql[128], name[32];
        struct registration r = device(i + 1, name);

        snprintf(sql, sizeof(sql), "%s%d", unreadable[i], (int)i + 1);
        damage(f, sql);
        assert_int_equal(read_device(f->reader, r.endpoint, rows_add, &rows), ERR_STORE);
        r.row = r.generation = 100 + i;
        assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
        assert_int_equal(read_device(f->reader, r.endpoint, rows_add, &rows), ERR_OK);
        assert_int_equal(rows.r[0]->row, 100 + i);
    }
    assert_int_equal(device_count(f), mem_count(unreadable));
}

static void an_unreadable_observation_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct observed o = {0};

    put_devices(f->store, 1, 1);
    damage(f, "INSERT INTO observation (token, row, reg_id, path, format, attributes, since) VALUES"
              "(5, 1, 1, '/3/0', -1, '', 0),"
              "(6, 1, 1, 'three', -1, '', 0), (-7, 1, 1, '/99999', -1, '', 0),"
              "(-6, 1, 1, '/4/0', -1, '', 0)");
    assert_int_equal(read_observations(f->reader, 0, 100, observed_add, &o), ERR_OK);
    assert_int_equal(o.count, 2);
    assert_int_equal(o.o[0]->token, 5);
    assert_int_equal(o.o[1]->token, (uint64_t)-6);
    assert_int_equal(read_skipped(f->reader), 2);
}

/* More different link texts in one page than the reader remembers. */
static void each_row_has_its_own_links(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {0};

    for (uint64_t n = 1; n <= 90; n++) {
        char name[32];

        snprintf(name, sizeof(name), "e%02llu", (unsigned long long)n);
        put_named(f->store, n, name, NEVER);
    }
    assert_int_equal(read_registrations(f->reader, 0, 100, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 90);
    for (size_t i = 0; i < 90; i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "</3/0>,</%zu/0>", i + 1);
        assert_text(rows.r[i]->links, expected);
    }
}

static void observations_come_in_order_of_token(void **state)
{
    static const uint64_t tokens[] = {1, 2, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);

    put_devices(f->store, 1, 1);
    for (size_t i = mem_count(tokens); i-- > 0;) {
        struct txn *t = txn_new(TXN_PUT_OBSERVATION);

        t->observation.token = tokens[i];
        t->observation.row = 1;
        t->observation.registration_id = r.id;
        assert_int_equal(run(f->store, t), ERR_OK);
    }
    for (size_t limit = 1; limit <= mem_count(tokens) + 1; limit++) {
        uint64_t after = 0;
        size_t n = 0;

        for (;;) {
            struct observed o = {0};

            assert_int_equal(read_observations(f->reader, after, limit, observed_add, &o), ERR_OK);
            assert_true(o.count <= limit);
            for (size_t i = 0; i < o.count; i++)
                assert_int_equal(o.o[i]->token, tokens[n++]);
            if (o.count < limit)
                break;
            after = o.o[o.count - 1]->token;
        }
        assert_int_equal(n, mem_count(tokens));
    }
}

/* ---- pages ------------------------------------------------------------------------------ */

/* Walks all pages; writes the endpoints, joined by blanks, to `out`. Returns the number of pages.
 */
static size_t walk_pages(struct fixture *f, struct read_filter filter, char out[256])
{
    char after[ENDPOINT_MAX];
    size_t pages = 0, n = 0;

    out[0] = '\0';
    do {
        struct rows rows = {0};
        struct view cursor;

        assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
        assert_true(rows.count <= filter.limit);
        for (size_t i = 0; i < rows.count; i++)
            n += (size_t)snprintf(out + n, 256 - n, "%s" VIEW_FMT, n ? " " : "",
                                  VIEW_ARG(rows.r[i]->endpoint));
        cursor = read_cursor(f->reader);
        memcpy(after, cursor.p ? cursor.p : (const uint8_t *)"", cursor.n);
        filter.after = view_of(after, cursor.n);
        pages++;
    } while (filter.after.n);
    return pages;
}

static void pages_follow_the_filter(void **state)
{
    struct fixture *f = *state;
    char out[256];

    put_named(f->store, 1, "a", 500);
    put_named(f->store, 2, "b\xff", 5000);
    put_named(f->store, 3, "b", 500);
    put_named(f->store, 4, "bb", NEVER);
    put_named(f->store, 5, "ba", 1000);
    put_named(f->store, 6, "c", 1001);

    assert_int_equal(walk_pages(f, (struct read_filter){.limit = 10}, out), 1);
    assert_string_equal(out, "a b ba bb b\xff c");
    assert_int_equal(walk_pages(f, (struct read_filter){.limit = 2}, out), 3);
    assert_string_equal(out, "a b ba bb b\xff c");
    assert_int_equal(walk_pages(f, (struct read_filter){.limit = 6}, out), 1);

    walk_pages(f, (struct read_filter){.limit = 2, .prefix = VIEW_LIT("b")}, out);
    assert_string_equal(out, "b ba bb b\xff");
    walk_pages(f, (struct read_filter){.limit = 9, .prefix = VIEW_LIT("b\xff")}, out);
    assert_string_equal(out, "b\xff");
    walk_pages(f, (struct read_filter){.limit = 9, .prefix = VIEW_LIT("bc")}, out);
    assert_string_equal(out, "");

    walk_pages(f, (struct read_filter){.limit = 9, .state = READ_OFFLINE, .now_ms = 1000}, out);
    assert_string_equal(out, "a b ba");
    walk_pages(f, (struct read_filter){.limit = 1, .state = READ_REGISTERED, .now_ms = 1000}, out);
    assert_string_equal(out, "bb b\xff c");
    walk_pages(f,
               (struct read_filter){
                   .limit = 9, .state = READ_OFFLINE, .now_ms = 1000, .prefix = VIEW_LIT("b")},
               out);
    assert_string_equal(out, "b ba");
}

static void cursors_before_and_behind_the_prefix(void **state)
{
    struct fixture *f = *state;
    char out[256];

    put_named(f->store, 1, "a", NEVER);
    put_named(f->store, 2, "b1", NEVER);
    put_named(f->store, 3, "b2", NEVER);
    put_named(f->store, 4, "c", NEVER);
    walk_pages(f, (struct read_filter){.limit = 9, .prefix = VIEW_LIT("b"), .after = VIEW_LIT("a")},
               out);
    assert_string_equal(out, "b1 b2");
    walk_pages(
        f, (struct read_filter){.limit = 9, .prefix = VIEW_LIT("b"), .after = VIEW_LIT("b1")}, out);
    assert_string_equal(out, "b2");
    walk_pages(f, (struct read_filter){.limit = 9, .prefix = VIEW_LIT("b"), .after = VIEW_LIT("c")},
               out);
    assert_string_equal(out, "");
    /* The device of the cursor may be gone. */
    delete_device(f->store, 2);
    walk_pages(f, (struct read_filter){.limit = 9, .after = VIEW_LIT("b1")}, out);
    assert_string_equal(out, "b2 c");
    assert_int_equal(walk_pages(f, (struct read_filter){.limit = 0, .prefix = VIEW_LIT("x")}, out),
                     1);
}

/* ---- growth ----------------------------------------------------------------------------- */

struct cost {
    uint64_t page, filtered, prefix, device, count, registrations;
};

static struct cost measure(struct fixture *f, uint64_t devices)
{
    struct read_filter filter = {.limit = 50, .after = VIEW_LIT("device-00000500")};
    struct cost cost = {0};
    struct rows rows = {0};

    assert_int_equal(device_count(f), devices);
    cost.count = read_steps(f->reader);
    assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
    cost.page = read_steps(f->reader);
    filter.state = READ_REGISTERED;
    assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
    cost.filtered = read_steps(f->reader);
    filter.prefix = VIEW_LIT("device-000006");
    assert_int_equal(read_devices(f->reader, &filter, rows_add, &rows), ERR_OK);
    cost.prefix = read_steps(f->reader);
    assert_int_equal(rows.count, 150);
    assert_non_null(stored_device(f, devices - 7));
    cost.device = read_steps(f->reader);
    assert_int_equal(read_registrations(f->reader, 300, 50, rows_add, &rows), ERR_OK);
    cost.registrations = read_steps(f->reader);
    return cost;
}

static void pages_do_not_grow_with_the_table(void **state)
{
    struct fixture *f = *state;
    struct cost small, large;
    struct read_filter offline = {.limit = 50, .state = READ_OFFLINE, .now_ms = 1};
    struct rows rows = {0};

    put_devices(f->store, 1, 1000);
    small = measure(f, 1000);
    put_devices(f->store, 1001, 100000);
    large = measure(f, 100000);
    print_message("steps at 1 000 and 100 000 devices: page %llu %llu, filtered %llu %llu, prefix "
                  "%llu %llu, one device %llu %llu, count %llu %llu, load %llu %llu\n",
                  (unsigned long long)small.page, (unsigned long long)large.page,
                  (unsigned long long)small.filtered, (unsigned long long)large.filtered,
                  (unsigned long long)small.prefix, (unsigned long long)large.prefix,
                  (unsigned long long)small.device, (unsigned long long)large.device,
                  (unsigned long long)small.count, (unsigned long long)large.count,
                  (unsigned long long)small.registrations, (unsigned long long)large.registrations);
    assert_true(small.page > 50 && small.device > 5 && small.count > 2);
    assert_int_equal(large.page, small.page);
    assert_int_equal(large.filtered, small.filtered);
    assert_int_equal(large.prefix, small.prefix);
    assert_int_equal(large.device, small.device);
    assert_int_equal(large.count, small.count);
    assert_int_equal(large.registrations, small.registrations);

    /* A filter that nothing passes: bounded work, and a cursor that says where it stopped. */
    assert_int_equal(read_devices(f->reader, &offline, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 0);
    assert_text(read_cursor(f->reader), "device-00016384");
    assert_true(read_steps(f->reader) < 20 * 16384);
}

/* The filter finds what is there, however many pages it takes. */
static void rare_devices_are_found(void **state)
{
    struct fixture *f = *state;
    struct txn *t = txn_new(TXN_RENEW);
    char out[256];

    put_devices(f->store, 1, 40000);
    t->renewals = mem_new(sizeof(*t->renewals));
    t->renewals[0] = (struct renewal){39000, 39000, 5, 5};
    t->renewal_count = 1;
    assert_int_equal(run(f->store, t), ERR_OK);
    assert_int_equal(
        walk_pages(f, (struct read_filter){.limit = 9, .state = READ_OFFLINE, .now_ms = 10}, out),
        3);
    assert_string_equal(out, "device-00039000");
}

/* ---- shared link texts ------------------------------------------------------------------ */

static int64_t number(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t n;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* The counts of references are what a count of the registrations gives, and no text is left over.
 */
static void assert_links_consistent(struct fixture *f, int64_t texts)
{
    assert_int_equal(number(f->path,
                            "SELECT count(*) FROM objlist o WHERE refs <> (SELECT count(*) "
                            "FROM registration WHERE objlist = o.id)"),
                     0);
    assert_int_equal(number(f->path, "SELECT count(*) FROM registration WHERE objlist <> 0 AND "
                                     "objlist NOT IN (SELECT id FROM objlist)"),
                     0);
    assert_int_equal(number(f->path, "SELECT count(*) FROM objlist"), texts);
    assert_int_equal(number(f->path, "SELECT count(*) FROM registration"),
                     (int64_t)device_count(f));
    assert_int_equal(number(f->path, "SELECT count(*) FROM registration r JOIN renewal n "
                                     "ON n.row = r.row AND n.generation = r.generation"),
                     (int64_t)device_count(f));
    assert_int_equal(number(f->path, "SELECT count(*) FROM renewal"), (int64_t)device_count(f));
}

static void link_texts_are_shared_and_go(void **state)
{
    struct fixture *f = *state;
    struct random rnd;
    static struct latch l = LATCH_INIT;
    size_t sent = 0;

    put_devices(f->store, 1, 2000);
    assert_links_consistent(f, 1);
    /* Random Registers, Updates and De-registers over 40 devices and 3000 texts. */
    random_init(&rnd, 1, 2);
    for (uint64_t generation = 3000; generation < 9000; generation++) {
        char name[32], links[32];
        uint64_t n = 1 + random_below(&rnd, 40);
        struct registration r = device(n, name);
        struct txn *t;

        snprintf(links, sizeof(links), "</%u/0>", (unsigned)random_below(&rnd, 3000));
        r.generation = generation;
        r.links = random_below(&rnd, 10) ? view_str(links) : VIEW_LIT("");
        if (random_below(&rnd, 3)) {
            t = put_txn(&r);
        } else {
            t = txn_new(TXN_DEL_REGISTRATION);
            t->row = n;
            t->generation = generation;
        }
        submit(f->store, t, &l, generation);
        sent++;
    }
    latch_wait(&l, sent);
    for (size_t i = 0; i < mem_count(l.rc); i++)
        assert_int_equal(l.rc[i], ERR_OK);
    assert_links_consistent(f, number(f->path, "SELECT count(DISTINCT objlist) FROM registration "
                                               "WHERE objlist <> 0"));
    for (uint64_t n = 1; n <= 2000; n++) {
        struct txn *t = txn_new(TXN_DEL_REGISTRATION);

        t->row = n;
        t->generation = 10000;
        submit(f->store, t, &l, n);
    }
    latch_wait(&l, sent + 2000);
    assert_links_consistent(f, 0);
    assert_int_equal(device_count(f), 0);
}

/* A text too long to be remembered is shared all the same. */
static void long_link_texts_are_shared(void **state)
{
    struct fixture *f = *state;
    struct rows rows = {0};
    size_t n = 60000;
    char *text = malloc(n);

    memset(text, 'x', n);
    for (uint64_t i = 1; i <= 3; i++) {
        char name[32];
        struct registration r = device(i, name);

        r.links = view_of(text, n);
        assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    }
    assert_links_consistent(f, 1);
    assert_int_equal(read_registrations(f->reader, 0, 10, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.r[2]->links.n, n);
    free(text);
}

/* ---- backup ----------------------------------------------------------------------------- */

struct storm {
    struct store *store;
    _Atomic bool stop;
    uint64_t next;
};

/* Rows without gaps: highest row, count and rows agree only in a copy of one moment. */
static void *write_on(void *arg)
{
    struct storm *storm = arg;
    static struct latch l = LATCH_INIT;
    size_t sent = 0;

    while (!storm->stop) {
        submit(storm->store, put_device(storm->next++), &l, sent++);
        if (sent % 64 == 0)
            latch_wait(&l, sent);
    }
    latch_wait(&l, sent);
    return NULL;
}

static void backup_is_one_moment(void **state)
{
    struct fixture *f = *state;
    struct storm storm = {.store = f->store, .next = 5001};
    struct fixture copy = {0};
    pthread_t thread;
    struct stat st;
    uint64_t row, generation;
    struct rows rows = {0};

    put_devices(f->store, 1, 5000);
    fixture_path(f, "copy", copy.path);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &storm), 0);
    for (int i = 0; i < 5; i++) {
        usleep(20000);
        assert_int_equal(read_backup(f->reader, copy.path), ERR_OK);
        assert_int_equal(read_backup(f->reader, copy.path), ERR_EXISTS);
        assert_int_equal(stat(copy.path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(number(copy.path, "SELECT count(*) FROM pragma_integrity_check "
                                           "WHERE integrity_check <> 'ok'"),
                         0);
        fixture_open(&copy); /* a copy is a database: the server starts on it */
        assert_links_consistent(&copy, 1);
        assert_true(device_count(&copy) >= 5000);
        assert_int_equal(read_high_water(copy.reader, &row, &generation), ERR_OK);
        assert_int_equal(row, device_count(&copy));
        rows.count = 0;
        assert_int_equal(read_registrations(copy.reader, 0, SIZE_MAX, rows_add, &rows), ERR_OK);
        assert_int_equal(rows.count, row);
        fixture_close(&copy);
        assert_int_equal(unlink(copy.path), 0);
    }
    storm.stop = true;
    pthread_join(thread, NULL);
    assert_true(storm.next > 5100);
}

static void a_failed_backup_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char path[96];

    put_devices(f->store, 1, 10);
    assert_int_equal(read_backup(f->reader, "/nonexistent/copy"), ERR_IO);
    fixture_path(f, "copy.part", path);
    fclose(fopen(path, "w")); /* somebody else's */
    path[strlen(path) - 5] = '\0';
    assert_int_equal(read_backup(f->reader, path), ERR_EXISTS);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registrations_come_once_in_order_of_row, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_callback_ends_the_walk, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_row_is_left_out, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_row_is_replaced, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_observation_is_left_out, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(each_row_has_its_own_links, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(observations_come_in_order_of_token, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_follow_the_filter, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cursors_before_and_behind_the_prefix, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_do_not_grow_with_the_table, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(rare_devices_are_found, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(link_texts_are_shared_and_go, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(long_link_texts_are_shared, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(backup_is_one_moment, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failed_backup_leaves_nothing, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
