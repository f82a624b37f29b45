/* What profile IDs stand for. */
#include "store_kept.h"

#include "store/db.h"

static int put(struct fixture *f, const char *id, const char *links, enum profile_source source)
{
    struct txn *t = txn_new(TXN_PUT_PROFILE);

    t->profile = mem_text(id, strlen(id));
    t->text = mem_text(links, strlen(links));
    t->source = (uint8_t)source;
    return run(f->store, t);
}

static int del(struct fixture *f, const char *id)
{
    struct txn *t = txn_new(TXN_DEL_PROFILE);

    t->profile = mem_text(id, strlen(id));
    return run(f->store, t);
}

struct found {
    size_t count;
    struct {
        struct view id, links;
        enum profile_source source;
        int64_t since_ms;
    } p[10];
};

static int found_add(void *ctx, struct view id, struct view links, enum profile_source source,
                     int64_t since_ms)
{
    struct found *found = ctx;

    found->p[found->count].id = id;
    found->p[found->count].links = links;
    found->p[found->count].source = source;
    found->p[found->count++].since_ms = since_ms;
    return ERR_OK;
}

static struct found all(struct fixture *f)
{
    struct found found = {0};

    assert_int_equal(read_profiles(f->reader, found_add, &found), ERR_OK);
    return found;
}

static void they_survive(void **state)
{
    struct fixture *f = *state;
    struct found found;

    assert_int_equal(put(f, "v:b", "</3/0>", PROFILE_CONFIGURED), ERR_OK);
    assert_int_equal(put(f, "v:a", "", PROFILE_LEARNED), ERR_OK);
    fixture_close(f);
    fixture_open(f);
    found = all(f);
    assert_int_equal(found.count, 2);
    assert_view(found.p[0].id, VIEW_LIT("v:a"));
    assert_view(found.p[0].links, VIEW_LIT(""));
    assert_int_equal(found.p[0].source, PROFILE_LEARNED);
    assert_in_range(clock_wall_ms() - found.p[0].since_ms, 0, 60000);
    assert_view(found.p[1].links, VIEW_LIT("</3/0>"));
    assert_int_equal(found.p[1].source, PROFILE_CONFIGURED);
    assert_int_equal(del(f, "v:a"), ERR_OK);
    assert_int_equal(del(f, "v:a"), ERR_OK);
    assert_int_equal(all(f).count, 1);
    assert_int_equal(put(f, "", "", PROFILE_LEARNED), ERR_INVALID);
}

static void what_operators_say_stands(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "v:a", "</1/0>", PROFILE_LEARNED), ERR_OK);
    assert_int_equal(put(f, "v:a", "</2/0>", PROFILE_LEARNED), ERR_OK);
    assert_view(all(f).p[0].links, VIEW_LIT("</2/0>"));
    assert_int_equal(put(f, "v:a", "</3/0>", PROFILE_CONFIGURED), ERR_OK);
    assert_int_equal(put(f, "v:a", "</4/0>", PROFILE_LEARNED), ERR_STALE);
    assert_view(all(f).p[0].links, VIEW_LIT("</3/0>"));
    assert_int_equal(all(f).p[0].source, PROFILE_CONFIGURED);
}

static void devices_cannot_fill_the_table(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db;

    assert_int_equal(put(f, "v:a", "</1/0>", PROFILE_LEARNED), ERR_OK);
    fixture_close(f);
    assert_int_equal(db_open(f->path, DB_WRITER, &db), ERR_OK);
    assert_int_equal(db_exec(db, "UPDATE meta SET value = 65536 WHERE key = 'profiles'"), ERR_OK);
    db_close(db);
    fixture_open(f);
    assert_int_equal(put(f, "v:b", "</1/0>", PROFILE_LEARNED), ERR_QUEUE);
    assert_int_equal(put(f, "v:a", "</2/0>", PROFILE_LEARNED), ERR_OK);
    assert_int_equal(put(f, "v:c", "</1/0>", PROFILE_CONFIGURED), ERR_OK);
    assert_int_equal(del(f, "v:c"), ERR_OK);
    assert_int_equal(del(f, "v:a"), ERR_OK);
    assert_int_equal(put(f, "v:b", "</1/0>", PROFILE_LEARNED), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(they_survive, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_operators_say_stands, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(devices_cannot_fill_the_table, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
