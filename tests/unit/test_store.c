/* What each transaction does to the database. */
#include "store_fixture.h"

#include <sys/stat.h>

static struct txn *del_txn(uint64_t row, uint64_t generation)
{
    struct txn *t = txn_new(TXN_DEL_REGISTRATION);

    t->row = row;
    t->generation = generation;
    return t;
}

static struct txn *observe_txn(uint64_t token, uint64_t row, uint64_t registration_id)
{
    struct txn *t = txn_new(TXN_PUT_OBSERVATION);

    t->text = mem_text("pmin=5&pmax=10", 14);
    t->observation.attributes = view_str(t->text);
    t->observation.token = token;
    t->observation.row = row;
    t->observation.registration_id = registration_id;
    t->observation.format = FORMAT_SENML_CBOR;
    t->observation.since_ms = 77;
    path_parse(VIEW_LIT("/3303/0/5700"), &t->observation.path);
    return t;
}

static struct txn *forget_txn(uint64_t token)
{
    struct txn *t = txn_new(TXN_DEL_OBSERVATION);

    t->token = token;
    return t;
}

static struct txn *renew_txn(size_t count)
{
    struct txn *t = txn_new(TXN_RENEW);

    t->renewals = mem_new(count * sizeof(*t->renewals));
    t->renewal_count = count;
    return t;
}

static void assert_view(struct view v, struct view expected)
{
    assert_int_equal(v.n, expected.n);
    assert_memory_equal(v.p, expected.p, expected.n);
}

static void assert_registration(const struct registration *r, const struct registration *expected)
{
    assert_int_equal(r->row, expected->row);
    assert_int_equal(r->id, expected->id);
    assert_int_equal(r->generation, expected->generation);
    assert_view(r->endpoint, expected->endpoint);
    assert_int_equal(r->version.major, expected->version.major);
    assert_int_equal(r->version.minor, expected->version.minor);
    assert_int_equal(r->lifetime_s, expected->lifetime_s);
    assert_int_equal(r->lifetime_given, expected->lifetime_given);
    assert_int_equal(r->binding, expected->binding);
    assert_int_equal(r->queue_mode, expected->queue_mode);
    assert_view(r->sms, expected->sms);
    assert_view(r->profile, expected->profile);
    assert_view(r->links, expected->links);
    assert_view(r->unknown, expected->unknown);
    assert_true(addr_eq(&r->flow.peer, &expected->flow.peer));
    assert_true(addr_eq(&r->flow.local, &expected->flow.local));
    assert_int_equal(r->flow.local.scope, expected->flow.local.scope);
    assert_int_equal(r->flow.transport, expected->flow.transport);
    assert_int_equal(r->flow.listener, expected->flow.listener);
    assert_int_equal(r->identity.type, expected->identity.type);
    assert_view(r->identity.name, expected->identity.name);
    assert_int_equal(r->registered_ms, expected->registered_ms);
    assert_int_equal(r->updated_ms, expected->updated_ms);
    assert_int_equal(r->seen_ms, expected->seen_ms);
    assert_int_equal(r->expires_ms, expected->expires_ms);
}

static void every_field_survives(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(7, name);

    r.id = UINT64_MAX - 1; /* beyond what SQLite's integers hold */
    r.version = (struct version){1, 2};
    r.lifetime_s = UINT32_MAX;
    r.lifetime_given = false;
    r.binding = BINDING_U | BINDING_S | BINDING_N;
    r.queue_mode = true;
    r.sms = VIEW_LIT("4915112345678");
    r.profile = VIEW_LIT("urn:oma:lwm2m:ext:1");
    r.unknown = VIEW_LIT("x=1&y=%C3%A4");
    addr_parse(VIEW_LIT("[fe80::1]:65535"), &r.flow.local);
    r.flow.local.scope = 3;
    r.flow.transport = TRANSPORT_DTLS;
    r.flow.listener = 9;
    r.identity.type = IDENTITY_PSK;
    r.identity.name = VIEW_LIT("psk of device 7");
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_registration(stored_device(f, 7), &r);
    fixture_close(f);
    fixture_open(f);
    assert_registration(stored_device(f, 7), &r);
}

static void empty_fields_are_not_null(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);
    const struct registration *stored;

    r.links = r.sms = r.profile = r.unknown = r.identity.name = VIEW_NONE;
    r.lifetime_s = 0;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    stored = stored_device(f, 1);
    assert_int_equal(stored->links.n + stored->sms.n + stored->identity.name.n, 0);
    assert_non_null(stored->links.p);
    assert_non_null(stored->sms.p);
}

static void keys_out_of_range_are_refused(void **state)
{
    struct fixture *f = *state;
    char name[32], large[ENDPOINT_MAX + 1];
    struct registration r = device(1, name);

    r.row = 0;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_INVALID);
    r.row = (uint64_t)INT64_MAX + 1;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_INVALID);
    r.row = 1;
    r.generation = UINT64_MAX;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_INVALID);
    r.generation = 1;
    r.endpoint = VIEW_LIT("");
    assert_int_equal(run(f->store, put_txn(&r)), ERR_INVALID);
    memset(large, 'e', sizeof(large));
    r.endpoint = view_of(large, sizeof(large));
    assert_int_equal(run(f->store, put_txn(&r)), ERR_INVALID);
    r.endpoint = view_of(large, ENDPOINT_MAX);
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(0, 1, r.id)), ERR_INVALID);
    assert_int_equal(run(f->store, del_txn(0, 1)), ERR_INVALID);
    assert_int_equal(device_count(f), 1);
}

static void update_keeps_observations(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);

    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(UINT64_MAX, 1, r.id)), ERR_OK);
    r.lifetime_s = 30;
    r.expires_ms = 5;
    r.links = VIEW_LIT("</3/0>");
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_registration(stored_device(f, 1), &r);
    assert_int_equal(count_observations(f), 1);
    /* A new row for the same registration takes them along. */
    r.row = 2;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_int_equal(count_observations(f), 1);
    assert_int_equal(run(f->store, del_txn(2, r.generation)), ERR_OK);
    assert_int_equal(count_observations(f), 0);
    assert_int_equal(device_count(f), 0);
}

static void assert_wanted(struct fixture *f, uint64_t token, const struct registration *r)
{
    struct observed o = {0};

    assert_int_equal(read_observations(f->reader, token - 1, 1, observed_add, &o), ERR_OK);
    assert_int_equal(o.count, 1);
    assert_int_equal(o.o[0]->token, token);
    assert_int_equal(o.o[0]->row, r->row);
    assert_int_equal(o.o[0]->registration_id, r->id);
    assert_int_equal(o.o[0]->since_ms, 0);
    assert_int_equal(o.o[0]->path.id[2], 5700);
    assert_view(o.o[0]->attributes, VIEW_LIT("pmin=5&pmax=10"));
}

/* They are wanted of the next registration, of whichever row, within the same transaction. */
static void register_replaces_and_passes_observations(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name), other = device(2, name);
    struct rows rows = {0};

    assert_int_equal(run(f->store, put_txn(&other)), ERR_OK);
    r = device(1, name);
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(11, 1, r.id)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(20, 2, other.id)), ERR_OK);
    r.id++;
    r.generation++;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK); /* same row */
    assert_wanted(f, 11, &r);
    assert_int_equal(run(f->store, observe_txn(12, 1, r.id)), ERR_OK);
    r.id++;
    r.generation++;
    r.row = 50;
    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK); /* another row */
    assert_wanted(f, 11, &r);
    assert_wanted(f, 12, &r);
    assert_int_equal(run(f->store, observe_txn(12, r.row, r.id - 1)), ERR_UNREGISTERED);
    assert_wanted(f, 12, &r);
    assert_int_equal(device_count(f), 2);
    assert_int_equal(read_registrations(f->reader, 2, 10, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 1);
    assert_registration(rows.r[0], &r);
    /* The next registration ends without a successor: they wait, but no one else's. */
    assert_int_equal(run(f->store, del_txn(r.row, r.generation)), ERR_OK);
    assert_int_equal(count_observations(f), 1);
}

static void older_generation_loses(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(5, name), older = r;

    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    older.generation--;
    older.row = 6;
    older.id = 99;
    assert_int_equal(run(f->store, put_txn(&older)), ERR_STALE);
    assert_int_equal(run(f->store, del_txn(r.row, r.generation - 1)), ERR_STALE);
    assert_registration(stored_device(f, 5), &r);
    assert_int_equal(run(f->store, del_txn(r.row, r.generation + 1)), ERR_OK);
    assert_null(stored_device(f, 5));
    assert_int_equal(run(f->store, del_txn(r.row, r.generation + 1)), ERR_OK); /* gone is gone */
    assert_int_equal(device_count(f), 0);
}

static void observations_need_their_registration(void **state)
{
    struct fixture *f = *state;
    char name[32];
    struct registration r = device(1, name);
    struct observed o = {0};

    assert_int_equal(run(f->store, put_txn(&r)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(11, 1, r.id + 1)), ERR_UNREGISTERED);
    assert_int_equal(run(f->store, observe_txn(11, 2, r.id)), ERR_UNREGISTERED);
    assert_int_equal(count_observations(f), 0);
    assert_int_equal(run(f->store, observe_txn(11, 1, r.id)), ERR_OK);
    assert_int_equal(run(f->store, observe_txn(11, 1, r.id)), ERR_OK); /* again: replaced */
    assert_int_equal(run(f->store, observe_txn(0xff00000000000001, 1, r.id)), ERR_OK);
    assert_int_equal(read_observations(f->reader, 0, 10, observed_add, &o), ERR_OK);
    assert_int_equal(o.count, 2);
    assert_int_equal(o.o[0]->token, 11);
    assert_int_equal(o.o[1]->token, 0xff00000000000001);
    assert_int_equal(o.o[1]->row, 1);
    assert_int_equal(o.o[1]->registration_id, r.id);
    assert_int_equal(o.o[1]->format, FORMAT_SENML_CBOR);
    assert_int_equal(o.o[1]->since_ms, 77);
    assert_int_equal(o.o[1]->path.id[2], 5700);
    assert_view(o.o[1]->attributes, VIEW_LIT("pmin=5&pmax=10"));
    assert_int_equal(run(f->store, forget_txn(11)), ERR_OK);
    assert_int_equal(run(f->store, forget_txn(11)), ERR_OK);
    assert_int_equal(count_observations(f), 1);
}

static void renewals_touch_their_generation_only(void **state)
{
    struct fixture *f = *state;
    struct txn *t = renew_txn(3);

    put_devices(f->store, 1, 2);
    t->renewals[0] = (struct renewal){1, 1, 111, 222};
    t->renewals[1] = (struct renewal){2, 1, 333, 444};  /* an older generation of device 2 */
    t->renewals[2] = (struct renewal){99, 1, 333, 444}; /* unknown */
    assert_int_equal(run(f->store, t), ERR_OK);
    assert_int_equal(stored_device(f, 1)->expires_ms, 111);
    assert_int_equal(stored_device(f, 1)->seen_ms, 222);
    assert_int_equal(stored_device(f, 2)->expires_ms, NEVER);
    assert_int_equal(counter_get(store_counters(f->store), COUNTER_renewals_written), 1);
    assert_int_equal(run(f->store, renew_txn(0)), ERR_OK);
}

static int count_models(void *ctx, uint16_t object, struct version v, struct view xml)
{
    size_t *count = ctx;

    assert_int_equal(object, 3303);
    assert_int_equal(v.major, 1);
    assert_int_equal(v.minor, *count + 1);
    assert_view(xml, VIEW_LIT("<LWM2M/>"));
    ++*count;
    return ERR_OK;
}

static void models_are_kept_by_version(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;

    for (uint8_t i = 0; i < 4; i++) {
        struct txn *t = txn_new(TXN_PUT_MODEL);

        t->object = 3303;
        t->version = (struct version){1, (uint8_t)(1 + i % 2)};
        t->text = mem_text(i < 2 ? "<old/>" : "<LWM2M/>", i < 2 ? 6 : 8);
        assert_int_equal(run(f->store, t), ERR_OK);
    }
    assert_int_equal(read_models(f->reader, count_models, &count), ERR_OK);
    assert_int_equal(count, 2);
}

static void high_water_survives_deletion(void **state)
{
    struct fixture *f = *state;
    uint64_t row = 99, generation = 99;

    assert_int_equal(read_high_water(f->reader, &row, &generation), ERR_OK);
    assert_int_equal(row + generation, 0);
    put_devices(f->store, 1, 10);
    assert_int_equal(run(f->store, del_txn(10, 10)), ERR_OK);
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(read_high_water(f->reader, &row, &generation), ERR_OK);
    assert_int_equal(row, 10);
    assert_int_equal(generation, 10);
    assert_int_equal(device_count(f), 9);
}

/* One of a batch cannot be done: the others are, and it leaves no trace. */
static void a_failure_stays_alone(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    char name[32];
    struct registration r = device(3000, name);
    struct rows rows = {0};
    uint64_t row, generation;

    put_devices(f->store, 1, 1);
    r.row = 1; /* taken by another endpoint */
    r.generation = 1000000;
    r.links = VIEW_LIT("</9999/0>");
    for (uint64_t n = 2; n < 1000; n++) {
        submit(f->store, n % 100 ? put_device(n) : put_txn(&r), &l, n);
        if (n % 250 == 0)
            usleep(1000);
    }
    latch_wait(&l, 998);
    for (uint64_t n = 2; n < 1000; n++)
        assert_int_equal(l.rc[n], n % 100 ? ERR_OK : ERR_CONFLICT);
    assert_int_equal(device_count(f), 990);
    assert_null(stored_device(f, 3000));
    assert_int_equal(read_high_water(f->reader, &row, &generation), ERR_OK);
    assert_int_equal(row, 999);
    assert_int_equal(generation, 999);
    assert_int_equal(read_registrations(f->reader, 0, SIZE_MAX, rows_add, &rows), ERR_OK);
    assert_int_equal(rows.count, 990);
    for (size_t i = 0; i < mem_count(rows.r); i++)
        assert_view(rows.r[i]->links, VIEW_LIT(LINKS));
}

/* ---- the queue -------------------------------------------------------------------------- */

struct gate {
    pthread_mutex_t mutex;
    struct latch *latch;
};

/* Holds the writer until the test opens the gate. */
static void held_done(struct txn *t)
{
    struct gate *g = t->ctx;

    pthread_mutex_lock(&g->mutex);
    pthread_mutex_unlock(&g->mutex);
    t->ctx = g->latch;
    latch_done(t);
}

static void a_full_queue_refuses(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path, .queue_limit = 8, .batch_limit = 4};
    static struct latch l = LATCH_INIT;
    struct gate g = {.mutex = PTHREAD_MUTEX_INITIALIZER, .latch = &l};
    struct store_status status;
    struct txn *t = put_device(1);

    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    pthread_mutex_lock(&g.mutex);
    t->done = held_done;
    t->ctx = &g;
    assert_int_equal(store_submit(f->store, t), ERR_OK);
    do
        store_status(f->store, &status);
    while (status.queue_depth || !status.commits);
    for (uint64_t n = 2; n < 10; n++)
        submit(f->store, put_device(n), &l, n);
    t = put_device(10);
    assert_int_equal(store_submit(f->store, t), ERR_FULL);
    store_status(f->store, &status);
    assert_int_equal(status.queue_depth, 8);
    pthread_mutex_unlock(&g.mutex);
    latch_wait(&l, 9);
    store_status(f->store, &status);
    assert_int_equal(status.commits, 3);        /* 1, then two batches of 4 */
    assert_int_equal(run(f->store, t), ERR_OK); /* it had stayed ours */
    assert_int_equal(counter_get(store_counters(f->store), COUNTER_commits), 4);
    assert_int_equal(counter_get(store_counters(f->store), COUNTER_txns_submitted), 10);
}

static void close_commits_what_waits(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;

    for (uint64_t n = 1; n <= 500; n++)
        submit(f->store, put_device(n), &l, n);
    assert_int_equal(store_submit(f->store, put_device(501)), ERR_OK); /* without completion */
    fixture_close(f);
    assert_int_equal(l.done, 500);
    fixture_open(f);
    assert_int_equal(device_count(f), 501);
}

static void status_tells_health(void **state)
{
    struct fixture *f = *state;
    struct store_status status;

    put_devices(f->store, 1, 100);
    store_status(f->store, &status);
    assert_int_equal(status.rc, ERR_OK);
    assert_int_equal(status.failing_since_ms, 0);
    assert_int_equal(status.committed, 100);
    assert_int_equal(status.failed, 0);
    assert_true(status.commits >= 1 && status.commits <= 100);
    assert_true(status.beat_ms <= (int64_t)clock_mono_ms());
    assert_true(status.beat_ms + 5000 > (int64_t)clock_mono_ms());
}

/* Many threads submit at once. */
static void *submitter(void *arg)
{
    struct fixture *f = ((void **)arg)[0];
    struct latch *l = ((void **)arg)[1];
    uint64_t first = *(uint64_t *)((void **)arg)[2];

    for (uint64_t n = 0; n < 1000; n++)
        submit(f->store, put_device(first + n), l, first + n);
    return NULL;
}

static void threads_submit_together(void **state)
{
    struct fixture *f = *state;
    static struct latch l = LATCH_INIT;
    pthread_t thread[4];
    void *arg[4][3];
    uint64_t first[4];

    for (size_t i = 0; i < mem_count(thread); i++) {
        first[i] = 1 + i * 1000;
        arg[i][0] = f;
        arg[i][1] = &l;
        arg[i][2] = &first[i];
        assert_int_equal(pthread_create(&thread[i], NULL, submitter, arg[i]), 0);
    }
    for (size_t i = 0; i < mem_count(thread); i++)
        pthread_join(thread[i], NULL);
    latch_wait(&l, 4000);
    assert_int_equal(device_count(f), 4000);
}

/* ---- opening ---------------------------------------------------------------------------- */

static void one_server_per_database(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path};
    struct store *second = NULL;
    struct stat st;

    assert_int_equal(store_open(&cfg, &second), ERR_BUSY);
    assert_null(second);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    fixture_close(f);
    fixture_open(f);
}

static void an_impossible_place_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = "/nonexistent/folder/db"};
    struct store *s = NULL;
    struct rows rows = {0};

    assert_int_equal(store_open(&cfg, &s), ERR_STORE);
    assert_null(s);
    assert_int_equal(read_open(cfg.path, &f->reader), ERR_OK); /* opening is lazy */
    assert_int_equal(read_registrations(f->reader, 0, 1, rows_add, &rows), ERR_STORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_survives, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(empty_fields_are_not_null, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(keys_out_of_range_are_refused, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(update_keeps_observations, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(register_replaces_and_passes_observations, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(older_generation_loses, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(observations_need_their_registration, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(renewals_touch_their_generation_only, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(models_are_kept_by_version, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(high_water_survives_deletion, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failure_stays_alone, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, fixture_folder, fixture_teardown),
        cmocka_unit_test_setup_teardown(close_commits_what_waits, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(status_tells_health, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(threads_submit_together, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(one_server_per_database, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_impossible_place_is_an_error, fixture_folder,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
