/* Profile IDs and what they stand for: src/model/profiles.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

#include <stdio.h>

#define LIMIT 4
#define T(s) view_str(s)

static const struct hash_key key = {1, 2};

static int setup(void **state)
{
    *state = profiles_new(LIMIT, true, &key);
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    profiles_free(*state);
    return 0;
}

static int kind_of(const char *id)
{
    enum profile_kind kind;
    int rc = profiles_kind(T(id), &kind);

    return rc < 0 ? rc : (int)kind;
}

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(kind_of("6:27354b9a"), PROFILE_DYNAMIC);
    assert_int_equal(kind_of("255:0"), PROFILE_DYNAMIC);
    assert_int_equal(kind_of("oma:Light-Control-1"), PROFILE_OMA);
    assert_int_equal(kind_of("v:acme-7"), PROFILE_VENDOR);
}

static void test_malformed_ids(void **state)
{
    static const char *const bad[] = {
        "",       ":",      "6",       "6:",      ":1234", "256:ab", "6:ABCD",
        "6:12 4", "6:12g4", "oma:",    "oma",     "v:",    "x:ab",   "oma:a_b",
        "v:a.b",  "-1:ab",  "6:ab:cd", "OMA:abc", " 6:ab", "6:ab ",  "oma:a,b"};
    char longest[PROFILE_ID_MAX + 2];

    (void)state;
    for (size_t i = 0; i < mem_count(bad); i++)
        assert_int_equal(kind_of(bad[i]), ERR_MALFORMED);
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "8:", 2);
    longest[PROFILE_ID_MAX] = '\0';
    assert_int_equal(kind_of(longest), PROFILE_DYNAMIC);
    longest[PROFILE_ID_MAX] = 'a';
    longest[PROFILE_ID_MAX + 1] = '\0';
    assert_int_equal(kind_of(longest), ERR_MALFORMED);
}

static void test_split(void **state)
{
    struct profile_ids ids;

    (void)state;
    assert_int_equal(profiles_split(T("6:27354b9a"), &ids), ERR_OK);
    assert_int_equal(ids.n, 1);
    assert_true(view_eq_str(ids.v[0], "6:27354b9a"));
    assert_int_equal(profiles_split(T("\"6:ab, oma:x,v:y\""), &ids), ERR_OK);
    assert_int_equal(ids.n, 3);
    assert_true(view_eq_str(ids.v[1], "oma:x"));
    assert_true(view_eq_str(ids.v[2], "v:y"));
    assert_int_equal(profiles_split(T("\"6:ab\""), &ids), ERR_OK);
    assert_int_equal(ids.n, 1);
}

static void test_split_refuses(void **state)
{
    static const char *const bad[] = {"",           "\"",       "\"\"",        "6:ab,6:cd",
                                      "\"6:ab",     "6:ab\"",   "\"6:ab,\"",   "\",6:ab\"",
                                      "\"6:ab,,\"", "6:a\"b\"", "\"6:ab;v:x\""};
    struct profile_ids ids;

    (void)state;
    for (size_t i = 0; i < mem_count(bad); i++)
        assert_int_equal(profiles_split(T(bad[i]), &ids), ERR_MALFORMED);
    assert_int_equal(profiles_split(T("\"6:1,6:2,6:3,6:4,6:5,6:6,6:7,6:8\""), &ids), ERR_OK);
    assert_int_equal(ids.n, PROFILE_IDS_MAX);
    assert_int_equal(profiles_split(T("\"6:1,6:2,6:3,6:4,6:5,6:6,6:7,6:8,6:9\""), &ids),
                     ERR_INVALID);
}

static void assert_means(struct profiles *p, const char *id, const char *links)
{
    struct profile_entry *e = profiles_get(p, T(id));

    assert_true((e != NULL) == (links != NULL));
    if (e != NULL)
        assert_true(view_eq_str(e->links, links));
    profiles_unref(e);
}

static void test_learn(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;

    assert_means(p, "6:aa", NULL);
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</1/0>,</3/0>"), 5, &effect), ERR_OK);
    assert_true(effect.changed && !effect.conflict && !effect.evicted);
    assert_means(p, "6:aa", "</1/0>,</3/0>");
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</1/0>,</3/0>"), 6, &effect), ERR_OK);
    assert_true(!effect.changed && !effect.conflict);
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</1/0>,</3/1>"), 7, &effect), ERR_OK);
    assert_true(effect.changed && effect.conflict);
    assert_means(p, "6:aa", "</1/0>,</3/1>");
    assert_int_equal(profiles_size(p), 1);
}

/* What somebody holds stays what it was. */
static void test_entries_are_immutable(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;
    struct profile_entry *held;

    assert_int_equal(profiles_learn(p, T("6:aa"), T("</3/0>"), 5, &effect), ERR_OK);
    held = profiles_get(p, T("6:aa"));
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</4/0>"), 6, &effect), ERR_OK);
    assert_int_equal(profiles_forget(p, T("6:aa")), ERR_OK);
    assert_true(view_eq_str(held->links, "</3/0>"));
    assert_true(view_eq_str(held->id, "6:aa"));
    assert_int_equal(held->source, PROFILE_LEARNED);
    assert_int_equal(held->since_ms, 5);
    profiles_unref(held);
}

static void test_devices_do_not_change_what_is_configured(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;

    assert_int_equal(profiles_set(p, T("6:aa"), T("</3/0>"), PROFILE_CONFIGURED, 1, &effect),
                     ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</4/0>"), 2, &effect), ERR_EXISTS);
    assert_means(p, "6:aa", "</3/0>");
    /* An operator changes what was learned. */
    assert_int_equal(profiles_learn(p, T("6:bb"), T("</3/0>"), 2, &effect), ERR_OK);
    assert_int_equal(profiles_set(p, T("6:bb"), T("</5/0>"), PROFILE_CONFIGURED, 3, &effect),
                     ERR_OK);
    assert_means(p, "6:bb", "</5/0>");
    assert_int_equal(profiles_forget(p, T("6:bb")), ERR_OK);
    assert_int_equal(profiles_forget(p, T("6:bb")), ERR_NOTFOUND);
}

static void test_oldest_goes(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;

    assert_int_equal(profiles_set(p, T("v:a"), T("</3/0>"), PROFILE_CONFIGURED, 0, &effect),
                     ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:2"), T("</3/0>"), 20, &effect), ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:1"), T("</3/0>"), 10, &effect), ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:3"), T("</3/0>"), 30, &effect), ERR_OK);
    assert_false(effect.evicted);
    assert_int_equal(profiles_learn(p, T("6:4"), T("</3/0>"), 40, &effect), ERR_OK);
    assert_true(effect.evicted);
    assert_string_equal(effect.gone, "6:1");
    assert_means(p, "6:1", NULL);
    assert_means(p, "v:a", "</3/0>");
    assert_int_equal(profiles_size(p), LIMIT);
}

static void test_full_of_configured(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;
    char id[8];

    for (int i = 0; i < LIMIT; i++) {
        snprintf(id, sizeof(id), "v:%d", i);
        assert_int_equal(profiles_set(p, T(id), T("</3/0>"), PROFILE_CONFIGURED, 0, &effect),
                         ERR_OK);
    }
    assert_int_equal(profiles_learn(p, T("6:1"), T("</3/0>"), 1, &effect), ERR_FULL);
    assert_int_equal(profiles_set(p, T("v:9"), T("</3/0>"), PROFILE_CONFIGURED, 0, &effect),
                     ERR_FULL);
    assert_int_equal(profiles_set(p, T("v:1"), T("</4/0>"), PROFILE_CONFIGURED, 0, &effect),
                     ERR_OK);
}

static void test_bounds(void **state)
{
    static char links[PROFILE_LINKS_MAX + 1];
    struct profiles *p = *state;
    struct profiles_effect effect;

    memset(links, 'x', sizeof(links));
    assert_int_equal(profiles_learn(p, T("6:1"), view_of(links, PROFILE_LINKS_MAX + 1), 1, &effect),
                     ERR_TOOLARGE);
    assert_int_equal(profiles_learn(p, T("6:1"), view_of(links, PROFILE_LINKS_MAX), 1, &effect),
                     ERR_OK);
    assert_int_equal(profiles_set(p, T("six:1"), T("</3/0>"), PROFILE_LEARNED, 1, &effect),
                     ERR_MALFORMED);
}

static void set_file(struct profiles *p, const struct profile_line *lines, size_t n, int rc)
{
    assert_int_equal(profiles_set_file(p, lines, n), rc);
}

/* The file covers what was told before; what it does not name any more comes to light again. */
static void test_file(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;
    const struct profile_line lines[] = {{T("oma:b"), T("</5/0>")}, {T("6:aa"), T("</6/0>")}};

    assert_int_equal(profiles_learn(p, T("6:aa"), T("</3/0>"), 1, &effect), ERR_OK);
    set_file(p, lines, 2, ERR_OK);
    assert_means(p, "6:aa", "</6/0>");
    assert_means(p, "oma:b", "</5/0>");
    assert_int_equal(profiles_forget(p, T("6:aa")), ERR_CONFLICT);
    assert_int_equal(profiles_set(p, T("6:aa"), T("</7/0>"), PROFILE_CONFIGURED, 1, &effect),
                     ERR_CONFLICT);
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</7/0>"), 1, &effect), ERR_EXISTS);
    set_file(p, lines, 1, ERR_OK);
    assert_means(p, "6:aa", "</3/0>");
    set_file(p, NULL, 0, ERR_OK);
    assert_means(p, "oma:b", NULL);
    assert_int_equal(profiles_size(p), 1);
}

static void test_file_refused_changes_nothing(void **state)
{
    struct profiles *p = *state;
    const struct profile_line good = {T("oma:a"), T("</5/0>")};
    const struct profile_line twice[] = {
        {T("v:x"), T("a")}, {T("v:y"), T("b")}, {T("v:x"), T("c")}};
    const struct profile_line bad[] = {{T("v:x"), T("a")}, {T("nothing"), T("b")}};
    const struct profile_line many[LIMIT + 1] = {{T("v:x"), T("a")}};

    set_file(p, &good, 1, ERR_OK);
    set_file(p, twice, 3, ERR_DUPLICATE);
    set_file(p, bad, 2, ERR_MALFORMED);
    set_file(p, many, LIMIT + 1, ERR_FULL);
    assert_means(p, "oma:a", "</5/0>");
    assert_means(p, "v:x", NULL);
}

static void test_file_makes_room(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;
    const struct profile_line lines[] = {{T("v:x"), T("a")}, {T("v:y"), T("b")}};

    for (int i = 0; i < LIMIT; i++) {
        char id[8];

        snprintf(id, sizeof(id), "6:%d", i);
        assert_int_equal(profiles_learn(p, T(id), T("</3/0>"), 10 + i, &effect), ERR_OK);
    }
    set_file(p, lines, 2, ERR_OK);
    assert_int_equal(profiles_size(p), LIMIT);
    assert_means(p, "6:0", NULL);
    assert_means(p, "6:1", NULL);
    assert_means(p, "6:2", "</3/0>");
}

static void test_pages(void **state)
{
    struct profiles *p = *state;
    struct profiles_effect effect;
    struct profile_entry *page[3];
    size_t n;

    assert_int_equal(profiles_learn(p, T("6:c"), T("</3/0>"), 1, &effect), ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:a"), T("</3/0>"), 1, &effect), ERR_OK);
    assert_int_equal(profiles_learn(p, T("6:b"), T("</3/0>"), 1, &effect), ERR_OK);
    assert_int_equal(profiles_learn(p, T("10:a"), T("</3/0>"), 1, &effect), ERR_OK);
    n = profiles_page(p, T(""), page, 3);
    assert_int_equal(n, 3);
    assert_true(view_eq_str(page[0]->id, "10:a"));
    assert_true(view_eq_str(page[2]->id, "6:b"));
    while (n > 0)
        profiles_unref(page[--n]);
    n = profiles_page(p, T("6:b"), page, 3);
    assert_int_equal(n, 1);
    assert_true(view_eq_str(page[0]->id, "6:c"));
    profiles_unref(page[0]);
    assert_int_equal(profiles_page(p, T("6:bb"), page, 1), 1);
    profiles_unref(page[0]);
    assert_int_equal(profiles_page(p, T("7:a"), page, 3), 0);
}

static void test_refusals(void **state)
{
    struct profiles *p = *state;

    assert_false(profiles_was_refused(p, T("dev1"), T("6:aa")));
    profiles_note_refusal(p, T("dev1"), T("6:aa"));
    assert_true(profiles_was_refused(p, T("dev1"), T("6:aa")));
    assert_false(profiles_was_refused(p, T("dev2"), T("6:aa")));
    assert_false(profiles_was_refused(p, T("dev1"), T("6:ab")));
    assert_false(profiles_was_refused(p, T("dev16"), T(":aa")));
    profiles_clear_refusal(p, T("dev2"), T("6:aa"));
    assert_true(profiles_was_refused(p, T("dev1"), T("6:aa")));
    profiles_clear_refusal(p, T("dev1"), T("6:aa"));
    assert_false(profiles_was_refused(p, T("dev1"), T("6:aa")));
}

static void test_learning_forbidden(void **state)
{
    struct profiles *p = profiles_new(LIMIT, false, &key);
    struct profiles_effect effect;

    (void)state;
    profiles_note_refusal(p, T("dev1"), T("6:aa"));
    assert_false(profiles_was_refused(p, T("dev1"), T("6:aa")));
    assert_int_equal(profiles_learn(p, T("6:aa"), T("</3/0>"), 1, &effect), ERR_FORBIDDEN);
    profiles_free(p);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_malformed_ids),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_refuses),
        ROW(test_learn),
        ROW(test_entries_are_immutable),
        ROW(test_devices_do_not_change_what_is_configured),
        ROW(test_oldest_goes),
        ROW(test_full_of_configured),
        ROW(test_bounds),
        ROW(test_file),
        ROW(test_file_refused_changes_nothing),
        ROW(test_file_makes_room),
        ROW(test_pages),
        ROW(test_refusals),
        cmocka_unit_test(test_learning_forbidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
