/* What devices have told: newest values, their history, timelines. */
#include "store_kept.h"

#include <math.h>

#define DEVICE "device-00000001"
#define OTHER "device-00000002"

/* ---- entries ------------------------------------------------------------------------------ */

static struct txn *record_txn(size_t entries)
{
    struct txn *t = txn_new(TXN_RECORD);

    t->entries = mem_new(entries * sizeof(*t->entries));
    t->entry_count = entries;
    return t;
}

static struct entry entry_of(const char *endpoint, int64_t time_ms, enum value_origin origin)
{
    return (struct entry){.endpoint = view_str(endpoint),
                          .time_ms = time_ms,
                          .type = EVENT_NOTIFICATION,
                          .origin = origin,
                          .values = batch_new()};
}

static void add(struct batch *b, const char *path, int64_t time_ms, struct value v)
{
    struct record r = {
        .path = path_of(path), .timed = time_ms != 0, .time_ms = time_ms, .value = v};

    assert_int_equal(batch_add(b, &r), ERR_OK);
}

static struct value integer(int64_t n)
{
    return (struct value){.type = VALUE_INTEGER, .u.integer = n};
}

/* One integer of one path. time_ms 0: the record has none, the entry has `at_ms`. */
static void tell(struct fixture *f, const char *endpoint, const char *path, int64_t time_ms,
                 int64_t at_ms, int64_t n)
{
    struct txn *t = record_txn(1);

    t->entries[0] = entry_of(endpoint, at_ms, ORIGIN_NOTIFY);
    add(t->entries[0].values, path, time_ms, integer(n));
    assert_int_equal(run(f->store, t), ERR_OK);
}

struct values {
    size_t count;
    const struct stored_value *v[1000];
};

static int values_add(void *ctx, const struct stored_value *v)
{
    struct values *values = ctx;

    if (values->count < mem_count(values->v))
        values->v[values->count] = v;
    values->count++;
    return ERR_OK;
}

static const struct values *values_below(struct fixture *f, const char *endpoint, const char *path)
{
    static struct values values;
    struct path p = path_of(path);

    values.count = 0;
    assert_int_equal(read_values(f->reader, view_str(endpoint), &p, values_add, &values), ERR_OK);
    return &values;
}

static const struct values *history(struct fixture *f, const struct read_history_filter *filter)
{
    static struct values values;

    values.count = 0;
    assert_int_equal(read_history(f->reader, filter, values_add, &values), ERR_OK);
    return &values;
}

static uint64_t counted(struct fixture *f, enum counter which)
{
    return counter_get(store_counters(f->store), which);
}

/* ---- values ------------------------------------------------------------------------------- */

static void every_type_survives(void **state)
{
    static const struct value all[] = {
        {.type = VALUE_NONE},
        {.type = VALUE_STRING, .u.bytes = {(const uint8_t *)"a\0\xc3\xa4", 4}},
        {.type = VALUE_STRING, .u.bytes = {(const uint8_t *)"", 0}},
        {.type = VALUE_INTEGER, .u.integer = INT64_MIN},
        {.type = VALUE_UNSIGNED, .u.unsigned_ = UINT64_MAX},
        {.type = VALUE_FLOAT, .u.float_ = 0.1},
        {.type = VALUE_FLOAT, .u.float_ = 3.0},
        {.type = VALUE_FLOAT, .u.float_ = NAN},
        {.type = VALUE_FLOAT, .u.float_ = -INFINITY},
        {.type = VALUE_BOOLEAN, .u.boolean = true},
        {.type = VALUE_OPAQUE, .u.bytes = {(const uint8_t *)"\0\xff", 2}},
        {.type = VALUE_TIME, .u.integer = 1700000000},
        {.type = VALUE_OBJLNK, .u.link = {65535, 65535}},
        {.type = VALUE_CORELNK, .u.bytes = {(const uint8_t *)"</3/0>", 6}},
    };
    struct fixture *f = *state;
    struct txn *t = record_txn(1);
    const struct values *found;

    put_devices(f->store, 1, 1);
    t->entries[0] = entry_of(DEVICE, 5000, ORIGIN_SEND);
    for (size_t i = 0; i < mem_count(all); i++) {
        char path[24];

        snprintf(path, sizeof(path), "/65534/0/%zu", i);
        add(t->entries[0].values, path, 0, all[i]);
    }
    assert_int_equal(run(f->store, t), ERR_OK);
    fixture_close(f);
    fixture_open(f);
    found = values_below(f, DEVICE, "/");
    assert_int_equal(found->count, mem_count(all));
    for (size_t i = 0; i < mem_count(all); i++) {
        assert_true(value_eq(&found->v[i]->record.value, &all[i]));
        assert_int_equal(found->v[i]->record.path.id[2], i);
        assert_int_equal(found->v[i]->record.time_ms, 5000);
        assert_int_equal(found->v[i]->origin, ORIGIN_SEND);
        assert_int_equal(found->v[i]->prefix.n, 0);
    }
    found = history(f, &(struct read_history_filter){.endpoint = view_str(DEVICE), .limit = 100});
    assert_int_equal(found->count, mem_count(all));
    for (size_t i = 0; i < mem_count(all); i++)
        assert_true(value_eq(&found->v[i]->record.value, &all[mem_count(all) - 1 - i]));
}

static void the_newest_wins(void **state)
{
    struct fixture *f = *state;
    const struct values *found;

    put_devices(f->store, 1, 1);
    tell(f, DEVICE, "/3/0/9", 2000, 9000, 1);
    tell(f, DEVICE, "/3/0/9", 1999, 9001, 2); /* told later, but older */
    assert_int_equal(values_below(f, DEVICE, "/3/0/9")->v[0]->record.value.u.integer, 1);
    tell(f, DEVICE, "/3/0/9", 2000, 9002, 3); /* of the same time: the later one */
    assert_int_equal(values_below(f, DEVICE, "/3/0/9")->v[0]->record.value.u.integer, 3);
    tell(f, DEVICE, "/3/0/9", 0, 9003, 4); /* without a time: when it came */
    found = values_below(f, DEVICE, "/3/0/9");
    assert_int_equal(found->count, 1);
    assert_int_equal(found->v[0]->record.value.u.integer, 4);
    assert_int_equal(found->v[0]->record.time_ms, 9003);
    found = history(f, &(struct read_history_filter){.endpoint = view_str(DEVICE), .limit = 10});
    assert_int_equal(found->count, 4);
    assert_int_equal(found->v[0]->record.value.u.integer, 4);
    assert_int_equal(found->v[1]->record.value.u.integer, 3);
    assert_int_equal(found->v[2]->record.value.u.integer, 1);
    assert_int_equal(found->v[3]->record.value.u.integer, 2);
}

static void values_at_or_below_a_path(void **state)
{
    static const char *const paths[] = {"/1/0/0",    "/3/0",   "/3/0/6/0", "/3/0/6/65534",
                                        "/3/0/7",    "/3/1/0", "/4/0/0",   "/65534/65534/65534",
                                        "/32767/0/0"};
    static const struct {
        const char *path;
        size_t count;
    } cases[] = {{"/", 9},        {"/3", 5}, {"/3/0", 4},   {"/3/0/6", 2}, {"/3/0/6/0", 1},
                 {"/3/0/6/1", 0}, {"/2", 0}, {"/65534", 1}, {"/32767", 1}};
    struct fixture *f = *state;
    const struct values *all;

    put_devices(f->store, 1, 2);
    for (size_t i = 0; i < mem_count(paths); i++) {
        tell(f, DEVICE, paths[i], 0, 1000, (int64_t)i);
        tell(f, OTHER, paths[i], 0, 1000, 99);
    }
    for (size_t i = 0; i < mem_count(cases); i++)
        assert_int_equal(values_below(f, DEVICE, cases[i].path)->count, cases[i].count);
    all = values_below(f, DEVICE, "/");
    for (size_t i = 1; i < all->count; i++)
        assert_true(path_cmp(&all->v[i - 1]->record.path, &all->v[i]->record.path) < 0);
    assert_int_equal(values_below(f, "nobody", "/")->count, 0);
}

/* Devices behind a gateway have values of their own. */
static void prefixes_keep_values_apart(void **state)
{
    struct fixture *f = *state;
    struct txn *t = record_txn(1);
    struct record r = {.path = path_of("/3303/0/5700"), .value = integer(1)};
    const struct values *found;

    put_devices(f->store, 1, 1);
    t->entries[0] = entry_of(DEVICE, 1000, ORIGIN_SEND);
    assert_int_equal(batch_add(t->entries[0].values, &r), ERR_OK);
    assert_int_equal(batch_prefix_add(t->entries[0].values, VIEW_LIT("dev1"), &r.prefix), ERR_OK);
    r.value = integer(2);
    assert_int_equal(batch_add(t->entries[0].values, &r), ERR_OK);
    assert_int_equal(run(f->store, t), ERR_OK);
    found = values_below(f, DEVICE, "/3303");
    assert_int_equal(found->count, 2);
    assert_view(found->v[0]->prefix, VIEW_LIT(""));
    assert_int_equal(found->v[0]->record.value.u.integer, 1);
    assert_view(found->v[1]->prefix, VIEW_LIT("dev1"));
    assert_int_equal(found->v[1]->record.value.u.integer, 2);
    found = history(f, &(struct read_history_filter){.endpoint = view_str(DEVICE), .limit = 10});
    assert_int_equal(found->count, 2);
    assert_view(found->v[0]->prefix, VIEW_LIT("dev1"));
}

/* ---- what is not kept --------------------------------------------------------------------- */

static void nobody_unknown_is_remembered(void **state)
{
    struct fixture *f = *state;
    struct txn *t = record_txn(2);

    put_devices(f->store, 1, 1);
    t->entries[0] = entry_of("stranger", 1000, ORIGIN_SEND);
    t->entries[0].listed = true;
    add(t->entries[0].values, "/3/0/9", 0, integer(1));
    add(t->entries[0].values, "/3/0/10", 0, integer(1));
    t->entries[1] = entry_of(DEVICE, 1000, ORIGIN_SEND);
    add(t->entries[1].values, "/3/0/9", 0, integer(1));
    assert_int_equal(run(f->store, t), ERR_OK);
    assert_int_equal(counted(f, COUNTER_records_dropped), 3);
    assert_int_equal(read_known(f->reader, VIEW_LIT("stranger")), ERR_NOTFOUND);
    assert_int_equal(values_below(f, DEVICE, "/")->count, 1);
    t = record_txn(1);
    t->entries[0] = entry_of("", 1000, ORIGIN_SEND);
    assert_int_equal(run(f->store, t), ERR_INVALID);
    t = record_txn(1);
    t->entries[0] = entry_of(DEVICE, 1000, ORIGIN_COUNT);
    assert_int_equal(run(f->store, t), ERR_INVALID);
}

static void large_values_are_not_kept(void **state)
{
    struct fixture *f = *state;
    struct txn *t = record_txn(1);
    static const uint8_t large[4097];
    struct value v = {.type = VALUE_OPAQUE, .u.bytes = view_of(large, sizeof(large))};

    put_devices(f->store, 1, 1);
    t->entries[0] = entry_of(DEVICE, 1000, ORIGIN_READ);
    add(t->entries[0].values, "/5/0/0", 0, v);
    v.u.bytes.n--;
    add(t->entries[0].values, "/5/0/1", 0, v);
    assert_int_equal(run(f->store, t), ERR_OK);
    assert_int_equal(values_below(f, DEVICE, "/")->count, 1);
    assert_int_equal(counted(f, COUNTER_records_dropped), 1);
}

static void a_device_has_so_many_resources(void **state)
{
    struct fixture *f = *state;
    struct txn *t = record_txn(1);

    put_devices(f->store, 1, 1);
    t->entries[0] = entry_of(DEVICE, 1000, ORIGIN_SEND);
    for (unsigned i = 0; i < 4100; i++) {
        char path[24];

        snprintf(path, sizeof(path), "/3303/%u/5700", i);
        add(t->entries[0].values, path, 0, integer(i));
    }
    assert_int_equal(run(f->store, t), ERR_OK);
    assert_int_equal(values_below(f, DEVICE, "/")->count, 4096);
    assert_int_equal(counted(f, COUNTER_records_dropped), 4);
    tell(f, DEVICE, "/3303/7/5700", 0, 2000, 77); /* those that are there go on */
    assert_int_equal(values_below(f, DEVICE, "/3303/7")->v[0]->record.value.u.integer, 77);
}

/* ---- history ------------------------------------------------------------------------------ */

static void history_in_pages(void **state)
{
    struct fixture *f = *state;
    struct read_history_filter filter = {.endpoint = view_str(DEVICE), .limit = 7};
    uint8_t cursor[64];
    int64_t expected = 100;
    struct txn *t = record_txn(2);

    put_devices(f->store, 1, 2);
    t->entries[0] = entry_of(DEVICE, 1, ORIGIN_NOTIFY);
    t->entries[1] = entry_of(OTHER, 1, ORIGIN_NOTIFY);
    for (int64_t n = 1; n <= 100; n++) { /* ten of one time */
        add(t->entries[0].values, "/3303/0/5700", 1000 + n / 10, integer(n));
        add(t->entries[0].values, "/3303/1/5700", 1000 + n / 10, integer(-n));
        add(t->entries[1].values, "/3303/0/5700", 1000 + n / 10, integer(0));
    }
    assert_int_equal(run(f->store, t), ERR_OK);
    filter.path = path_of("/3303/0");
    do {
        const struct values *page = history(f, &filter);

        for (size_t i = 0; i < page->count; i++)
            assert_int_equal(page->v[i]->record.value.u.integer, expected--);
        filter.cursor = read_cursor(f->reader);
        assert_in_range(filter.cursor.n, 0, sizeof(cursor));
        memcpy(cursor, filter.cursor.p ? filter.cursor.p : cursor, filter.cursor.n);
        filter.cursor.p = cursor;
    } while (filter.cursor.n);
    assert_int_equal(expected, 0);

    filter = (struct read_history_filter){.endpoint = view_str(DEVICE),
                                          .path = path_of("/3303/1/5700"),
                                          .from_ms = 1002,
                                          .to_ms = 1003,
                                          .limit = 100};
    assert_int_equal(history(f, &filter)->count, 20);
    filter.path = path_of("/");
    assert_int_equal(history(f, &filter)->count, 40);
    filter.cursor = VIEW_LIT("nonsense");
    assert_int_equal(read_history(f->reader, &filter, values_add, NULL), ERR_INVALID);
}

static void a_device_has_so_much_history(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path, .keep = {.history_device = 100}};
    const struct values *found;

    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
    put_devices(f->store, 1, 2);
    tell(f, OTHER, "/3/0/9", 1, 1, 1);
    for (int64_t n = 1; n <= 130; n++)
        tell(f, DEVICE, "/3/0/9", 1000 + n, 1, n);
    found = history(f, &(struct read_history_filter){.endpoint = view_str(DEVICE), .limit = 999});
    assert_int_equal(found->count, 100);
    assert_int_equal(found->v[99]->record.value.u.integer, 31);
    assert_int_equal(counted(f, COUNTER_history_purged), 30);
    found = history(f, &(struct read_history_filter){.endpoint = view_str(OTHER), .limit = 999});
    assert_int_equal(found->count, 1);

    /* A limit that was lowered is reached, a few at a time. */
    fixture_close(f);
    cfg.keep.history_device = 50;
    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
    for (int64_t n = 131; n <= 134; n++)
        tell(f, DEVICE, "/3/0/9", 1000 + n, 1, n);
    found = history(f, &(struct read_history_filter){.endpoint = view_str(DEVICE), .limit = 999});
    assert_int_equal(found->count, 50);
    assert_int_equal(found->v[0]->record.value.u.integer, 134);
}

/* ---- timeline ----------------------------------------------------------------------------- */

static void line(struct fixture *f, const char *endpoint, int64_t time_ms, enum event_type type,
                 int rc, const char *detail)
{
    struct txn *t = record_txn(1);

    t->bytes = mem_text(detail, strlen(detail));
    t->entries[0] = (struct entry){.endpoint = view_str(endpoint),
                                   .time_ms = time_ms,
                                   .listed = true,
                                   .type = type,
                                   .rc = rc,
                                   .registration_id = UINT64_MAX,
                                   .detail = view_str(t->bytes)};
    assert_int_equal(run(f->store, t), ERR_OK);
}

struct lines {
    size_t count;
    const struct entry *e[1000];
};

static int lines_add(void *ctx, const struct entry *e)
{
    struct lines *lines = ctx;

    if (lines->count < mem_count(lines->e))
        lines->e[lines->count] = e;
    lines->count++;
    return ERR_OK;
}

static void lines_come_back_newest_first(void **state)
{
    struct fixture *f = *state;
    struct lines lines = {0};
    struct view cursor = VIEW_NONE;
    uint8_t bytes[64];
    int64_t expected = 30;

    put_devices(f->store, 1, 2);
    for (int64_t n = 1; n <= 30; n++) {
        line(f, DEVICE, 1000 + n / 4, n % 2 ? EVENT_UPDATED : EVENT_REFUSED,
             n % 2 ? ERR_OK : ERR_VERSION, n % 2 ? "" : "1.9");
        line(f, OTHER, 1000, EVENT_AWAKE, ERR_OK, "");
    }
    do {
        lines.count = 0;
        assert_int_equal(read_timeline(f->reader, view_str(DEVICE), cursor, 4, lines_add, &lines),
                         ERR_OK);
        for (size_t i = 0; i < lines.count; i++, expected--) {
            const struct entry *e = lines.e[i];

            assert_int_equal(e->time_ms, 1000 + expected / 4);
            assert_int_equal(e->type, expected % 2 ? EVENT_UPDATED : EVENT_REFUSED);
            assert_int_equal(e->rc, expected % 2 ? ERR_OK : ERR_VERSION);
            assert_view(e->detail, expected % 2 ? VIEW_LIT("") : VIEW_LIT("1.9"));
            assert_view(e->endpoint, view_str(DEVICE));
            assert_true(e->registration_id == UINT64_MAX);
            assert_true(e->listed);
            assert_null(e->values);
        }
        cursor = read_cursor(f->reader);
        if (cursor.n)
            memcpy(bytes, cursor.p, cursor.n);
        cursor.p = bytes;
    } while (cursor.n);
    assert_int_equal(expected, 0);
    assert_int_equal(
        read_timeline(f->reader, view_str(DEVICE), VIEW_LIT("nonsense"), 4, lines_add, &lines),
        ERR_INVALID);
}

static void a_device_has_so_many_lines(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path, .keep = {.timeline_device = 20}};
    struct lines lines = {0};

    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
    put_devices(f->store, 1, 1);
    for (int64_t n = 1; n <= 50; n++)
        line(f, DEVICE, n, EVENT_UPDATED, ERR_OK, "");
    assert_int_equal(read_timeline(f->reader, view_str(DEVICE), VIEW_NONE, 100, lines_add, &lines),
                     ERR_OK);
    assert_int_equal(lines.count, 20);
    assert_int_equal(lines.e[19]->time_ms, 31);
    assert_int_equal(counted(f, COUNTER_timeline_purged), 30);
}

/* ---- cost --------------------------------------------------------------------------------- */

static void fill(struct fixture *f, uint64_t devices, unsigned each)
{
    static struct latch l = LATCH_INIT;

    l.done = 0;
    for (uint64_t n = 2; n < 2 + devices; n++) {
        struct txn *t = record_txn(each);
        char name[32];

        (void)device(n, name);
        t->bytes = mem_text(name, strlen(name));
        for (unsigned i = 0; i < each; i++) {
            t->entries[i] = entry_of(t->bytes, 1000 + i, ORIGIN_NOTIFY);
            t->entries[i].listed = true;
            add(t->entries[i].values, "/3/0/9", 0, integer(i));
        }
        submit(f->store, t, &l, n);
    }
    latch_wait(&l, devices);
}

static uint64_t page_steps(struct fixture *f)
{
    struct read_history_filter filter = {
        .endpoint = view_str(DEVICE), .path = path_of("/3/0/9"), .from_ms = 1500, .limit = 5};
    struct path path = path_of("/3/0");
    struct values values = {0};
    struct lines lines = {0};
    uint64_t steps;

    assert_int_equal(read_history(f->reader, &filter, values_add, &values), ERR_OK);
    steps = read_steps(f->reader);
    assert_int_equal(read_values(f->reader, view_str(DEVICE), &path, values_add, &values), ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(read_timeline(f->reader, view_str(DEVICE), VIEW_NONE, 5, lines_add, &lines),
                     ERR_OK);
    steps += read_steps(f->reader);
    assert_int_equal(values.count + lines.count, 11);
    return steps;
}

static void pages_do_not_grow(void **state)
{
    struct fixture *f = *state;
    uint64_t few;

    put_devices(f->store, 1, 400);
    for (int64_t n = 0; n < 10; n++) {
        tell(f, DEVICE, "/3/0/9", 2000 + n, 1, n);
        line(f, DEVICE, 2000 + n, EVENT_UPDATED, ERR_OK, "");
    }
    fill(f, 1, 10);
    few = page_steps(f);
    fill(f, 399, 100);                /* others tell much more */
    for (int64_t n = 0; n < 200; n++) /* and so does this one, of other times */
        tell(f, DEVICE, "/3/0/9", 100 + n, 1, n);
    assert_in_range(page_steps(f), 1, few);
}

/* The tables keep these numbers: new ones come at the end. */
static void numbers_are_for_ever(void **state)
{
    (void)state;
    assert_int_equal(VALUE_NONE, 0);
    assert_int_equal(VALUE_STRING, 1);
    assert_int_equal(VALUE_CORELNK, 9);
    assert_int_equal(ORIGIN_READ, 0);
    assert_int_equal(ORIGIN_WRITE, 3);
    assert_int_equal(EVENT_REGISTERED, 0);
    assert_int_equal(EVENT_REFUSED, 5);
    assert_int_equal(EVENT_OPERATION, 14);
    assert_int_equal(PROFILE_LEARNED, 0);
    assert_int_equal(PROFILE_CONFIGURED, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_survives, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_newest_wins, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(values_at_or_below_a_path, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(prefixes_keep_values_apart, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(nobody_unknown_is_remembered, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(large_values_are_not_kept, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_device_has_so_many_resources, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(history_in_pages, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_device_has_so_much_history, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(lines_come_back_newest_first, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_device_has_so_many_lines, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(pages_do_not_grow, fixture_setup, fixture_teardown),
        cmocka_unit_test(numbers_are_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
