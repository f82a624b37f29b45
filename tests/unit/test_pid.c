/* Profile IDs in Register and Update, what is learned of them: src/lwm2m/pid.c. */
#include "domain_fixture.h"

#include <stdio.h>

#define WHOLE "</>;ct=\"110 112\",</1/0>;ver=1.2,</3/0>,</3303>;ver=1.1,</3303/0>"
#define WHOLE_ENTRIES "</1/0>;ver=1.2,</3/0>,</3303>;ver=1.1,</3303/0>"
#define ID "6:27354b9a"

static uint8_t do_register(struct fix *f, unsigned device, const char *pid, const char *links)
{
    char query[200];

    snprintf(query, sizeof(query), "ep=dev%u&lt=300&lwm2m=1.2%s%s", device,
             pid[0] != '\0' ? "&pid=" : "", pid);
    fix_post(f, device, "/rd", query, links);
    return fix_code(f);
}

static void learn(struct fix *f, unsigned device, const char *pid, const char *links)
{
    assert_int_equal(do_register(f, device, pid, ""), 0x89);
    assert_int_equal(do_register(f, device, pid, links), PDU_CREATED);
}

static void assert_list(struct fix *f, unsigned device, const char *links)
{
    assert_true(view_eq_str(fix_find(f, device)->list->text, links));
}

static void assert_means(struct fix *f, const char *id, const char *links)
{
    struct profile_entry *e = profiles_get(f->profiles, TEXT(id));

    assert_true((e != NULL) == (links != NULL));
    if (e != NULL)
        assert_true(view_eq_str(e->links, links));
    profiles_unref(e);
}

static void configure(struct fix *f, const char *id, const char *links)
{
    struct profiles_effect effect;

    assert_int_equal(
        profiles_set(f->profiles, TEXT(id), TEXT(links), PROFILE_CONFIGURED, 0, &effect), ERR_OK);
}

static uint8_t do_update(struct fix *f, unsigned device, const char *query, const char *links)
{
    fix_post(f, device, fix_path(fix_find(f, device)->id), query, links);
    return fix_code(f);
}

/* ---- learning ---- */

static void test_refused_then_full_is_learned(void **state)
{
    struct fix *f = *state;
    struct txn *t;

    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    assert_int_equal(fix_event(f, 0)->type, EVENT_REFUSED);
    assert_string_equal(fix_event(f, 0)->detail, ID " is not a known profile");
    assert_means(f, ID, NULL);
    f->hold = true;
    assert_int_equal(do_register(f, 1, ID, WHOLE), 0);
    assert_means(f, ID, NULL); /* not before it is durable */
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CREATED);
    assert_means(f, ID, WHOLE_ENTRIES);
    t = fix_txn(f, 0);
    assert_int_equal(t->kind, TXN_PUT_PROFILE);
    assert_string_equal(t->profile, ID);
    assert_string_equal(t->text, WHOLE_ENTRIES);
    assert_int_equal(t->source, PROFILE_LEARNED);
    fix_commit(f, ERR_OK);
    f->hold = false;
    assert_list(f, 1, WHOLE);
    assert_string_equal(fix_find(f, 1)->rare->pid, ID);
    assert_int_equal(fix_count(f, COUNTER_profiles_learned), 1);
    assert_int_equal(fix_count(f, COUNTER_profiles_unknown), 1);
    /* Others need no list any more; their formats are those of the version. */
    assert_int_equal(do_register(f, 2, ID, ""), PDU_CREATED);
    assert_list(f, 2, WHOLE_ENTRIES);
    assert_int_equal(do_register(f, 3, ID, "</>;ct=112"), PDU_CREATED);
    assert_list(f, 3, "</>;ct=112," WHOLE_ENTRIES);
    assert_int_equal(f->by_kind[TXN_PUT_PROFILE], 1);
}

/* Devices of a profile keep one list between them. */
static void test_list_is_shared(void **state)
{
    struct fix *f = *state;

    configure(f, ID, WHOLE_ENTRIES);
    assert_int_equal(do_register(f, 1, ID, ""), PDU_CREATED);
    assert_int_equal(do_register(f, 2, ID, ""), PDU_CREATED);
    assert_int_equal(do_register(f, 3, "", WHOLE_ENTRIES), PDU_CREATED);
    assert_ptr_equal(fix_find(f, 1)->list, fix_find(f, 2)->list);
    assert_ptr_equal(fix_find(f, 1)->list, fix_find(f, 3)->list);
}

static void test_other_shards_know_at_once(void **state)
{
    struct fix *f = *state;
    struct fix *g = fix_beside(f);

    /* Refused here, told there: a NAT may bring the second Register elsewhere. */
    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    assert_int_equal(do_register(g, 1, ID, WHOLE), PDU_CREATED);
    assert_int_equal(do_register(f, 2, ID, ""), PDU_CREATED);
    fix_free(g);
}

static void test_not_refused_is_not_learned(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, NULL);
    /* Another endpoint's refusal, or that of another id, proves nothing. */
    assert_int_equal(do_register(f, 2, ID, ""), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_int_equal(do_register(f, 2, "6:aaaaaaaa", WHOLE), PDU_CREATED);
    assert_means(f, ID, NULL);
    assert_means(f, "6:aaaaaaaa", NULL);
}

/* Refused beside a part of the list, the id stands for the rest. */
static void test_partial_lists_teach_nothing(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, "</4/0>"), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, NULL);
    /* A root link is no part of the list. */
    assert_int_equal(do_register(f, 1, ID, "</>;ct=110"), 0x89);
    assert_int_equal(do_register(f, 1, ID, "</3/0>,</4/0>"), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, WHOLE_ENTRIES);
}

static void test_names_and_several_ids_teach_nothing(void **state)
{
    static const char *const pids[] = {"oma:light", "v:acme", "\"6:aa,6:bb\""};
    struct fix *f = *state;

    for (size_t i = 0; i < mem_count(pids); i++) {
        assert_int_equal(do_register(f, 1, pids[i], ""), 0x89);
        assert_int_equal(do_register(f, 1, pids[i], WHOLE), PDU_CREATED);
    }
    assert_int_equal(profiles_size(f->profiles), 0);
    assert_int_equal(do_register(f, 1, "oma:light", ""), 0x89);
    assert_string_equal(fix_event(f, 0)->detail, "oma:light is not a known profile");
}

static void test_failing_store_teaches_nothing(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    f->hold = true;
    assert_int_equal(do_register(f, 1, ID, WHOLE), 0);
    fix_commit(f, ERR_STORE);
    f->hold = false;
    assert_means(f, ID, NULL);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, WHOLE_ENTRIES);
}

/* The profile is known even when the store cannot take it. */
static void test_learned_without_the_store(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    f->hold = true;
    assert_int_equal(do_register(f, 1, ID, WHOLE), 0);
    f->store_full = true;
    fix_commit(f, ERR_OK);
    assert_int_equal(fix_code(f), PDU_CREATED);
    f->store_full = f->hold = false;
    assert_int_equal(f->by_kind[TXN_PUT_PROFILE], 0);
    assert_int_equal(do_register(f, 2, ID, ""), PDU_CREATED);
}

/* Two were refused, each tells another list: the newest counts, once. */
static void test_conflict(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    assert_int_equal(do_register(f, 2, ID, ""), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_int_equal(do_register(f, 2, ID, "</1/0>,</3/0>"), PDU_CREATED);
    assert_means(f, ID, "</1/0>,</3/0>");
    assert_list(f, 2, "</1/0>,</3/0>");
    assert_int_equal(fix_count(f, COUNTER_profiles_conflicts), 1);
    assert_int_equal(f->by_kind[TXN_PUT_PROFILE], 2);
    /* Now that it is known, a whole list beside it adds to it like any other. */
    assert_int_equal(do_register(f, 1, ID, "</1/0>,</3/0>,</9/0>"), PDU_CREATED);
    assert_means(f, ID, "</1/0>,</3/0>");
    assert_list(f, 1, "</1/0>,</3/0>,</9/0>");
    assert_int_equal(do_register(f, 2, ID, "</1/0>,</3/1>"), PDU_CREATED);
    assert_list(f, 2, "</1/0>,</3/0>,</3/1>");
    assert_int_equal(fix_count(f, COUNTER_profiles_conflicts), 1);
}

static void test_configured_stays(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    configure(f, ID, "</1/0>,</3/0>,</5/0>");
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, "</1/0>,</3/0>,</5/0>");
    assert_non_null(objlist_pool_find(fix_find(f, 1)->list, 5));
    assert_int_equal(f->by_kind[TXN_PUT_PROFILE], 0);
}

static void test_eviction_reaches_the_store(void **state)
{
    struct fix *f = *state;
    char id[16];

    for (unsigned i = 0; i <= FIX_PROFILES; i++) {
        snprintf(id, sizeof(id), "6:%08x", i);
        learn(f, 1, id, WHOLE);
        fix_advance(f, 1000);
    }
    assert_means(f, "6:00000000", NULL);
    assert_means(f, "6:00000001", WHOLE_ENTRIES);
    assert_int_equal(f->by_kind[TXN_DEL_PROFILE], 1);
    assert_int_equal(fix_count(f, COUNTER_profiles_evicted), 1);
    for (unsigned i = 0; i < FIX_PROFILES; i++) {
        snprintf(id, sizeof(id), "v:%u", i);
        configure(f, id, "</3/0>");
    }
    learn(f, 1, "6:ffffffff", WHOLE);
    assert_means(f, "6:ffffffff", NULL);
    assert_int_equal(fix_count(f, COUNTER_profiles_dropped), 1);
}

static void test_long_lists_are_not_learned(void **state)
{
    static char links[PROFILE_LINKS_MAX + 100] = "</1/0>,</3/0>";
    struct fix *f = *state;
    size_t n = strlen(links);

    for (unsigned i = 0; n < PROFILE_LINKS_MAX; i++)
        n += (size_t)snprintf(links + n, sizeof(links) - n, ",</%u/0>", 30000 + i);
    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    /* Straight into the domain: the fixture's datagrams are shorter. */
    assert_int_equal(profiles_learn(f->profiles, TEXT(ID), TEXT(links), 1,
                                    &(struct profiles_effect){.changed = false}),
                     ERR_TOOLARGE);
    assert_means(f, ID, NULL);
}

/* ---- what is known ---- */

static void test_ets_vectors(void **state)
{
    struct fix *f = *state;

    learn(f, 1, ID, "</1/0>,</3/0>");
    assert_int_equal(do_register(f, 1, ID, ""), PDU_CREATED);
    assert_list(f, 1, "</1/0>,</3/0>");
    assert_int_equal(do_register(f, 1, ID, "</4/0>"), PDU_CREATED);
    assert_list(f, 1, "</1/0>,</3/0>,</4/0>");
    assert_means(f, ID, "</1/0>,</3/0>");
}

static void test_union_of_all(void **state)
{
    struct fix *f = *state;

    configure(f, "oma:base", "</1/0>,</3/0>");
    configure(f, "v:acme-light", "</3311/0>,</3311/1>;ver=2.0");
    configure(f, "6:aa", "</4/0>,</3/0>;ver=1.1");
    assert_int_equal(do_register(f, 1, "\"oma:base,v:acme-light,6:aa\"",
                                 "</m>;rt=\"oma.lwm2m\";ct=112,</m/5/0>,</m/3311/0>"),
                     PDU_CREATED);
    assert_list(f, 1,
                "</m>;rt=\"oma.lwm2m\";ct=112,</1/0>,</3/0>;ver=1.1,</4/0>,</5/0>,</3311/0>,"
                "</3311/1>;ver=2.0");
    /* One of them unknown: only a whole list helps, and then all that is known is in it. */
    assert_int_equal(do_register(f, 1, "\"v:acme-light,6:bb\"", "</4/0>"), 0x89);
    assert_string_equal(fix_event(f, 0)->detail, "6:bb is not a known profile");
    assert_int_equal(do_register(f, 1, "\"v:acme-light,6:bb\"", "</1/0>,</3/0>"), PDU_CREATED);
    assert_list(f, 1, "</1/0>,</3/0>,</3311/0>,</3311/1>;ver=2.0");
}

static void test_malformed_pids(void **state)
{
    static const char *const bad[] = {"6", "6:ABCD", "\"6:ab", "6:ab,6:cd", "x:ab", "oma:"};
    struct fix *f = *state;

    for (size_t i = 0; i < mem_count(bad); i++) {
        assert_int_equal(do_register(f, 1, bad[i], WHOLE), 0x80);
        assert_string_equal(fix_event(f, 0)->detail, "pid");
    }
    assert_int_equal(do_register(f, 1, "\"6:1,6:2,6:3,6:4,6:5,6:6,6:7,6:8,6:9\"", WHOLE), 0x80);
    assert_int_equal(do_register(f, 1, ID, "</1/0"), 0x80);
    assert_int_equal(fix_count(f, COUNTER_profiles_unknown), 0);
}

static void test_without_a_table(void **state)
{
    struct fix *f = fix_new();

    (void)state;
    f->d->cfg.profile_ids = NULL;
    assert_int_equal(do_register(f, 1, ID, ""), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_list(f, 1, WHOLE);
    fix_free(f);
}

/* ---- Update ---- */

static void test_update_to_a_profile(void **state)
{
    struct fix *f = *state;

    configure(f, "6:aa", "</1/0>,</3/0>,</7/0>");
    assert_int_equal(do_register(f, 1, "", "</>;ct=110,</1/0>,</3/0>"), PDU_CREATED);
    assert_int_equal(do_update(f, 1, "pid=6:aa", ""), PDU_CHANGED);
    assert_list(f, 1, "</>;ct=110,</1/0>,</3/0>,</7/0>");
    assert_string_equal(fix_find(f, 1)->rare->pid, "6:aa");
    assert_int_equal(do_update(f, 1, "pid=6:aa", "</8/0>"), PDU_CHANGED);
    assert_list(f, 1, "</>;ct=110,</1/0>,</3/0>,</7/0>,</8/0>");
    /* The same id again says nothing new. */
    assert_int_equal(do_update(f, 1, "pid=6:aa", ""), PDU_CHANGED);
    assert_list(f, 1, "</>;ct=110,</1/0>,</3/0>,</7/0>,</8/0>");
    assert_int_equal(do_update(f, 1, "pid=6:bb", ""), 0x89);
    assert_int_equal(do_update(f, 1, "pid=6:bb", "</8/0>"), 0x89);
    assert_list(f, 1, "</>;ct=110,</1/0>,</3/0>,</7/0>,</8/0>");
    assert_string_equal(fix_find(f, 1)->rare->pid, "6:aa");
}

static void test_update_of_a_part(void **state)
{
    struct fix *f = *state;

    configure(f, "6:aa", "</1/0>,</3/0>,</7/0>");
    assert_int_equal(do_register(f, 1, "6:aa", "</4/0>"), PDU_CREATED);
    assert_int_equal(do_update(f, 1, "", "</4/0>,</5/0>"), PDU_CHANGED);
    assert_list(f, 1, "</1/0>,</3/0>,</4/0>,</5/0>,</7/0>");
    assert_int_equal(do_update(f, 1, "", "</1/0>,</3/0>"), PDU_CHANGED);
    assert_list(f, 1, "</1/0>,</3/0>");
}

/* Refused in an Update, the client registers anew with the list: that teaches, too. */
static void test_update_refused_teaches(void **state)
{
    struct fix *f = *state;

    assert_int_equal(do_register(f, 1, "", WHOLE), PDU_CREATED);
    assert_int_equal(do_update(f, 1, "pid=" ID, ""), 0x89);
    assert_int_equal(do_register(f, 1, ID, WHOLE), PDU_CREATED);
    assert_means(f, ID, WHOLE_ENTRIES);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_refused_then_full_is_learned),
        ROW(test_list_is_shared),
        ROW(test_other_shards_know_at_once),
        ROW(test_not_refused_is_not_learned),
        ROW(test_partial_lists_teach_nothing),
        ROW(test_names_and_several_ids_teach_nothing),
        ROW(test_failing_store_teaches_nothing),
        ROW(test_learned_without_the_store),
        ROW(test_conflict),
        ROW(test_configured_stays),
        ROW(test_eviction_reaches_the_store),
        ROW(test_long_lists_are_not_learned),
        ROW(test_ets_vectors),
        ROW(test_union_of_all),
        ROW(test_malformed_pids),
        cmocka_unit_test(test_without_a_table),
        ROW(test_update_to_a_profile),
        ROW(test_update_of_a_part),
        ROW(test_update_refused_teaches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
