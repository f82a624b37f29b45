/* Who owns what: src/shard/directory.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/shard.h"

#include <pthread.h>
#include <stdio.h>

#define SHARDS 3

static const struct hash_key key = {7, 9};

struct fixture {
    struct directory *dir;
    struct random random;
};

static int setup(void **state)
{
    static struct fixture f;

    f.dir = directory_new(SHARDS, &key);
    random_init(&f.random, 1, 2);
    *state = &f;
    return f.dir ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int left = directory_size(f->dir) != 0;

    directory_free(f->dir);
    return left;
}

static struct claim *claim(struct fixture *f, uint16_t shard, const char *endpoint)
{
    struct claim *c = NULL;

    assert_int_equal(
        directory_claim(f->dir, shard, view_str(endpoint), 0, false, NULL, &f->random, &c), ERR_OK);
    return c;
}

static struct directory_entry commit(struct fixture *f, struct claim *c)
{
    struct directory_entry old = {0};

    assert_int_equal(directory_commit(f->dir, c, &old), ERR_OK);
    return old;
}

static int find(struct fixture *f, const char *endpoint, struct directory_entry *ret)
{
    return directory_find(f->dir, view_str(endpoint), ret);
}

static void test_a_claim_is_seen_once_committed(void **state)
{
    struct fixture *f = *state;
    struct claim *c = claim(f, 2, "a");
    struct directory_entry e;
    uint16_t shard = 99;

    assert_false(c->committed);
    assert_string_equal(c->endpoint, "a");
    assert_int_equal(find(f, "a", &e), ERR_UNREGISTERED);
    assert_int_equal(directory_locate(f->dir, c->id, &shard), ERR_NOTFOUND);
    assert_int_equal(shard, 99);
    assert_int_equal(directory_size(f->dir), 0);

    assert_int_equal(commit(f, c).shard, UINT16_MAX);
    assert_true(c->committed);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_true(e.id == c->id && e.row == c->row && e.generation == c->generation);
    assert_int_equal(e.shard, 2);
    assert_int_equal(directory_locate(f->dir, c->id, &shard), ERR_OK);
    assert_int_equal(shard, 2);
    assert_int_equal(directory_size(f->dir), 1);

    directory_release(f->dir, c);
    assert_int_equal(find(f, "a", &e), ERR_UNREGISTERED);
    assert_int_equal(directory_size(f->dir), 0);
}

static void test_a_failed_claim_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct claim *first = claim(f, 0, "a"), *second = claim(f, 1, "a");
    struct directory_entry e;

    commit(f, first);
    directory_release(f->dir, second);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_true(e.id == first->id);
    directory_release(f->dir, first);
    directory_release(f->dir, NULL);
}

/* Architecture D7: shard = slot mod N, so the ids of a shard have slots of that remainder. */
static void test_ids_carry_a_slot_of_the_shard(void **state)
{
    struct fixture *f = *state;
    bool seen[256] = {false};
    unsigned slots = 0;

    for (int i = 0; i < 9000; i++) {
        struct claim *c = claim(f, (uint16_t)(i % SHARDS), "a");

        assert_int_equal((c->id >> 56) % SHARDS, i % SHARDS);
        seen[c->id >> 56] = true;
        directory_release(f->dir, c);
    }
    for (int i = 0; i < 256; i++)
        slots += seen[i];
    assert_int_equal(slots, 256);
}

static void test_rows_and_generations_rise(void **state)
{
    struct fixture *f = *state;
    struct claim *a, *b;

    directory_set_high_water(f->dir, 41, 99);
    a = claim(f, 0, "a");
    b = claim(f, 1, "b");
    assert_int_equal(a->row, 42);
    assert_int_equal(a->generation, 100);
    assert_int_equal(b->row, 43);
    assert_int_equal(b->generation, 101);
    directory_release(f->dir, a);
    directory_release(f->dir, b);
}

static void test_a_newer_claim_displaces(void **state)
{
    struct fixture *f = *state;
    struct claim *old = claim(f, 0, "a"), *new = claim(f, 1, "a");
    struct directory_entry displaced, e;
    uint16_t shard;

    commit(f, old);
    displaced = commit(f, new);
    assert_true(displaced.id == old->id && displaced.row == old->row);
    assert_int_equal(displaced.shard, 0);
    assert_int_equal(directory_locate(f->dir, old->id, &shard), ERR_NOTFOUND);
    assert_int_equal(directory_size(f->dir), 1);
    /* The old owner gives its claim back later; the new one stays. */
    directory_release(f->dir, old);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_true(e.id == new->id);
    assert_int_equal(directory_locate(f->dir, new->id, &shard), ERR_OK);
    directory_release(f->dir, new);
}

static void test_an_older_claim_is_stale(void **state)
{
    struct fixture *f = *state;
    struct claim *old = claim(f, 0, "a"), *new = claim(f, 1, "a");
    struct directory_entry e = {.id = 5};

    commit(f, new);
    assert_int_equal(directory_commit(f->dir, old, &e), ERR_STALE);
    assert_true(e.id == 5 && !old->committed);
    directory_release(f->dir, old);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_true(e.id == new->id);
    directory_release(f->dir, new);
}

static void test_a_proven_identity_is_not_displaced(void **state)
{
    struct fixture *f = *state;
    struct view a = VIEW_LIT("a");
    struct claim *owner = NULL, *other = NULL;

    assert_int_equal(directory_claim(f->dir, 0, a, 77, false, NULL, &f->random, &owner), ERR_OK);
    commit(f, owner);
    assert_int_equal(directory_claim(f->dir, 0, a, 0, false, NULL, &f->random, &other),
                     ERR_REFUSED);
    assert_int_equal(directory_claim(f->dir, 0, a, 78, false, owner, &f->random, &other),
                     ERR_REFUSED);
    assert_null(other);
    assert_int_equal(directory_claim(f->dir, 0, a, 77, false, NULL, &f->random, &other), ERR_OK);
    directory_release(f->dir, other);
    directory_release(f->dir, owner);
}

/* Anybody with a proven identity may take what was registered without one. */
static void test_an_unproven_one_is(void **state)
{
    struct fixture *f = *state;
    struct claim *owner = claim(f, 0, "a"), *other = NULL;

    commit(f, owner);
    assert_int_equal(directory_claim(f->dir, 0, VIEW_LIT("a"), 77, false, NULL, &f->random, &other),
                     ERR_OK);
    assert_int_equal(commit(f, other).id, owner->id);
    directory_release(f->dir, owner);
    directory_release(f->dir, other);
}

static void test_kept_unless_it_is_its_own(void **state)
{
    struct fixture *f = *state;
    struct view a = VIEW_LIT("a");
    struct claim *owner = claim(f, 0, "a"), *stranger = claim(f, 0, "b"), *other = NULL;

    commit(f, owner);
    assert_int_equal(directory_claim(f->dir, 1, a, 0, true, NULL, &f->random, &other), ERR_REFUSED);
    assert_int_equal(directory_claim(f->dir, 1, a, 0, true, stranger, &f->random, &other),
                     ERR_REFUSED);
    assert_int_equal(directory_claim(f->dir, 0, a, 0, true, owner, &f->random, &other), ERR_OK);
    directory_release(f->dir, other);
    directory_release(f->dir, owner);
    /* Nobody has it any more. */
    assert_int_equal(directory_claim(f->dir, 1, a, 0, true, NULL, &f->random, &other), ERR_OK);
    directory_release(f->dir, other);
    directory_release(f->dir, stranger);
}

/* ---- restart ---- */

static struct registration stored(const char *endpoint, uint64_t id)
{
    return (struct registration){
        .row = 10, .id = id, .generation = 20, .endpoint = view_str(endpoint)};
}

static void test_restores_what_was_stored(void **state)
{
    struct fixture *f = *state;
    struct registration r = stored("a", UINT64_C(0x0400000000000001));
    struct registration again = stored("a", UINT64_C(0x0400000000000002));
    struct registration same_id = stored("b", UINT64_C(0x0400000000000001));
    struct claim *c = NULL, *none = NULL;
    struct directory_entry e;
    uint16_t shard;

    assert_int_equal(directory_restore(f->dir, 2, &r, &c), ERR_OK);
    assert_true(c->committed && c->row == 10 && c->generation == 20 && c->id == r.id);
    assert_int_equal(c->identity_hash, 0);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_int_equal(e.shard, 2);
    assert_int_equal(directory_restore(f->dir, 0, &again, &none), ERR_EXISTS);
    assert_int_equal(directory_restore(f->dir, 0, &same_id, &none), ERR_EXISTS);
    assert_null(none);
    assert_int_equal(find(f, "b", &e), ERR_UNREGISTERED);
    assert_int_equal(directory_locate(f->dir, r.id, &shard), ERR_OK);
    assert_int_equal(shard, 2);
    directory_release(f->dir, c);
}

static void test_restores_the_identity(void **state)
{
    struct fixture *f = *state;
    struct registration r = stored("a", UINT64_C(0x0400000000000001));
    struct claim *c = NULL, *other = NULL;

    r.identity = (struct identity){.type = IDENTITY_PSK, .name = VIEW_LIT("a")};
    assert_int_equal(directory_restore(f->dir, 0, &r, &c), ERR_OK);
    assert_true(c->identity_hash == identity_hash(&key, &r.identity));
    assert_int_equal(directory_claim(f->dir, 0, VIEW_LIT("a"), 0, false, NULL, &f->random, &other),
                     ERR_REFUSED);
    directory_release(f->dir, c);
}

/* ---- moves ---- */

static void test_moves_the_owner(void **state)
{
    struct fixture *f = *state;
    struct claim *c = claim(f, 0, "a");
    struct directory_entry e;
    uint16_t shard;

    commit(f, c);
    assert_true(directory_set_shard(f->dir, c, 2));
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_int_equal(e.shard, 2);
    assert_int_equal(directory_locate(f->dir, c->id, &shard), ERR_OK);
    assert_int_equal(shard, 2);
    directory_release(f->dir, c);
}

static void test_does_not_move_what_was_displaced(void **state)
{
    struct fixture *f = *state;
    struct claim *old = claim(f, 0, "a"), *new = claim(f, 1, "a");
    struct directory_entry e;

    commit(f, old);
    commit(f, new);
    assert_false(directory_set_shard(f->dir, old, 2));
    assert_int_equal(find(f, "a", &e), ERR_OK);
    assert_int_equal(e.shard, 1);
    directory_release(f->dir, old);
    assert_int_equal(find(f, "a", &e), ERR_OK);
    directory_release(f->dir, new);
}

/* ---- threads ---- */

#define WORKERS 4
#define ROUNDS 3000
#define NAMES 16

struct worker {
    struct directory *dir;
    uint16_t shard;
    uint64_t won, stale;
    struct claim *held[ROUNDS];
};

/* Everybody registers the same few names, looks, moves; nobody is told to evict here. */
static void *work(void *arg)
{
    struct worker *w = arg;
    struct random random;

    random_init(&random, w->shard, 5);
    for (int i = 0; i < ROUNDS; i++) {
        struct directory_entry e;
        struct claim *c = NULL;
        uint16_t shard;
        char name[16];

        snprintf(name, sizeof(name), "n%u", (unsigned)random_below(&random, NAMES));
        if (directory_claim(w->dir, (uint16_t)(w->shard % SHARDS), view_str(name), 0, false, NULL,
                            &random, &c) < 0)
            return arg;
        if (directory_commit(w->dir, c, &e) == ERR_OK) {
            w->held[w->won++] = c;
            (void)directory_set_shard(w->dir, c, w->shard % SHARDS);
        } else {
            w->stale++;
            directory_release(w->dir, c);
        }
        if (directory_find(w->dir, view_str(name), &e) == ERR_OK)
            (void)directory_locate(w->dir, e.id, &shard);
    }
    return NULL;
}

static void test_threads_agree(void **state)
{
    static struct worker workers[WORKERS];
    struct fixture *f = *state;
    pthread_t threads[WORKERS];
    unsigned owners = 0;

    for (uint16_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.dir = f->dir, .shard = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        assert_null(failed);
        assert_int_equal(workers[i].won + workers[i].stale, ROUNDS);
    }
    assert_int_equal(directory_size(f->dir), NAMES);
    /* Of all that were committed one a name is still the owner: that of the highest generation. */
    for (int i = 0; i < WORKERS; i++) {
        for (uint64_t n = 0; n < workers[i].won; n++) {
            struct claim *c = workers[i].held[n];
            struct directory_entry e;

            assert_int_equal(directory_find(f->dir, view_str(c->endpoint), &e), ERR_OK);
            assert_true(e.generation >= c->generation);
            owners += e.id == c->id;
        }
    }
    assert_int_equal(owners, NAMES);
    for (int i = 0; i < WORKERS; i++)
        for (uint64_t n = 0; n < workers[i].won; n++)
            directory_release(f->dir, workers[i].held[n]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_claim_is_seen_once_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_claim_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_carry_a_slot_of_the_shard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_and_generations_rise, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_newer_claim_displaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_older_claim_is_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_proven_identity_is_not_displaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unproven_one_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_unless_it_is_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restores_what_was_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restores_the_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_does_not_move_what_was_displaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads_agree, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
