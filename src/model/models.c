#include "model/model.h"

#include <pthread.h>

struct models {
    pthread_mutex_t lock; /* held for a pointer copy only */
    struct registry *now;
    _Atomic uint64_t version;
};

struct models *models_new(struct registry *first)
{
    struct models *m = mem_new(sizeof *m);

    if (m == NULL)
        return NULL;
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        mem_free(m);
        return NULL;
    }
    m->now = first;
    atomic_init(&m->version, 1);
    return m;
}

void models_free(struct models *m)
{
    if (m == NULL)
        return;
    registry_unref(m->now);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

uint64_t models_version(const struct models *m)
{
    return atomic_load_explicit(&m->version, memory_order_acquire);
}

struct registry *models_get(struct models *m)
{
    struct registry *r;

    pthread_mutex_lock(&m->lock);
    r = registry_ref(m->now);
    pthread_mutex_unlock(&m->lock);
    return r;
}

void models_publish(struct models *m, struct registry *next)
{
    struct registry *old;

    pthread_mutex_lock(&m->lock);
    old = m->now;
    m->now = next;
    atomic_fetch_add_explicit(&m->version, 1, memory_order_release);
    pthread_mutex_unlock(&m->lock);
    registry_unref(old);
}
