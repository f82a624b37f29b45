#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

#include <pthread.h>

static struct registry *registry_of(uint8_t minor)
{
    struct registry *r = registry_new();
    struct object_def draft = {.id = 3, .version = {1, minor}, .name = "Device"};
    struct object_def *d;

    assert_int_equal(object_def_new(&draft, &d), ERR_OK);
    assert_int_equal(registry_add(r, d), ERR_OK);
    return r;
}

static void test_publish(void **state)
{
    struct models *m = models_new(registry_of(0));
    struct registry *before = models_get(m), *after;
    uint64_t version = models_version(m);

    (void)state;
    assert_int_equal(models_version(m), version);
    models_publish(m, registry_of(1));
    assert_true(models_version(m) > version);
    after = models_get(m);
    /* Who holds the old one keeps it. */
    assert_int_equal(registry_at(before, 0)->version.minor, 0);
    assert_int_equal(registry_at(after, 0)->version.minor, 1);
    registry_unref(before);
    models_free(m);
    assert_int_equal(registry_at(after, 0)->version.minor, 1);
    registry_unref(after);
    models_free(NULL);
}

struct reading {
    struct models *models;
    _Atomic bool stop;
    _Atomic uint64_t reads;
    _Atomic unsigned backwards;
};

/* As a shard does: look at the version, take the registry anew when it changed. */
static void *read_always(void *arg)
{
    struct reading *x = arg;
    uint64_t seen = models_version(x->models);
    struct registry *mine = models_get(x->models);
    unsigned minor = registry_at(mine, 0)->version.minor;

    while (!atomic_load(&x->stop)) {
        if (models_version(x->models) != seen) {
            seen = models_version(x->models);
            registry_unref(mine);
            mine = models_get(x->models);
            if (registry_at(mine, 0)->version.minor < minor)
                atomic_fetch_add(&x->backwards, 1);
            minor = registry_at(mine, 0)->version.minor;
        }
        atomic_fetch_add(&x->reads, 1);
    }
    registry_unref(mine);
    return NULL;
}

static void test_threads(void **state)
{
    struct reading x = {.models = models_new(registry_of(0))};
    pthread_t threads[3];

    (void)state;
    for (size_t i = 0; i < mem_count(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_always, &x), 0);
    for (unsigned minor = 1; minor < 200; minor++) {
        uint64_t reads = atomic_load(&x.reads);

        models_publish(x.models, registry_of((uint8_t)minor));
        while (atomic_load(&x.reads) < reads + 10)
            sched_yield();
    }
    atomic_store(&x.stop, true);
    for (size_t i = 0; i < mem_count(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&x.backwards), 0);
    models_free(x.models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
