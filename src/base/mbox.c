#include "base/mbox.h"

#include <pthread.h>

struct mbox {
    uv_async_t async;
    pthread_mutex_t lock;
    struct mbox_node *first; /* posted; under the lock, as the next three */
    struct mbox_node **last;
    bool closed;
    _Atomic size_t depth;    /* changed under the lock or, downwards, by the loop; read anywhere */
    struct mbox_node *burst; /* taken over and not delivered yet; the loop's alone */
    bool delivered;          /* something, since idle was called; the loop's alone */
    size_t limit;
    mbox_fn fn;
    mbox_idle_fn idle;
    void *ctx;
};

/* Moves what was posted behind the burst, which must be empty. */
static void take_burst(struct mbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->burst = m->first;
    m->first = NULL;
    m->last = &m->first;
    pthread_mutex_unlock(&m->lock);
}

/* The list lives in the mailbox, so that a message that closes it finds the rest. */
static void deliver_burst(struct mbox *m)
{
    while (m->burst) {
        struct mbox_node *node = m->burst;

        m->burst = node->next;
        m->delivered = true;
        atomic_fetch_sub_explicit(&m->depth, 1, memory_order_relaxed);
        m->fn(m->ctx, node);
    }
}

static void end_burst(struct mbox *m)
{
    bool any = m->delivered;

    m->delivered = false;
    if (any && m->idle)
        m->idle(m->ctx);
}

static void on_async(uv_async_t *async)
{
    struct mbox *m = async->data;

    take_burst(m);
    deliver_burst(m);
    end_burst(m);
}

struct mbox *mbox_new(uv_loop_t *loop, size_t limit, mbox_fn fn, mbox_idle_fn idle, void *ctx)
{
    struct mbox *m = mem_new(sizeof(*m));

    if (!m)
        return NULL;
    m->last = &m->first;
    m->limit = limit;
    m->fn = fn;
    m->idle = idle;
    m->ctx = ctx;
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        mem_free(m);
        return NULL;
    }
    if (uv_async_init(loop, &m->async, on_async) < 0) {
        pthread_mutex_destroy(&m->lock);
        mem_free(m);
        return NULL;
    }
    m->async.data = m;
    return m;
}

static int post(struct mbox *m, struct mbox_node *node, size_t limit)
{
    int rc = ERR_OK;

    node->next = NULL;
    pthread_mutex_lock(&m->lock);
    if (m->closed) {
        rc = ERR_STOPPING;
    } else if (atomic_load_explicit(&m->depth, memory_order_relaxed) >= limit) {
        rc = ERR_FULL;
    } else {
        bool was_empty = m->first == NULL;

        *m->last = node;
        m->last = &node->next;
        atomic_fetch_add_explicit(&m->depth, 1, memory_order_relaxed);
        /* Under the lock, so that the handle cannot be closed in between. */
        if (was_empty)
            uv_async_send(&m->async);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int mbox_post(struct mbox *m, struct mbox_node *node)
{
    return post(m, node, m->limit);
}

int mbox_post_always(struct mbox *m, struct mbox_node *node)
{
    return post(m, node, SIZE_MAX);
}

size_t mbox_depth(const struct mbox *m)
{
    return atomic_load_explicit(&m->depth, memory_order_relaxed);
}

void mbox_close(struct mbox *m)
{
    bool again;

    pthread_mutex_lock(&m->lock);
    again = m->closed;
    m->closed = true;
    pthread_mutex_unlock(&m->lock);
    if (again)
        return;
    deliver_burst(m);
    take_burst(m);
    deliver_burst(m);
    end_burst(m);
    uv_close((uv_handle_t *)&m->async, NULL);
}

void mbox_free(struct mbox *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}
