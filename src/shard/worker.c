#include "shard/shards.h"

#include <stdio.h>

#define TXN_COMPLETIONS_MAX                                                                        \
    SIZE_MAX /* completions are never refused: each answers a submitted txn */
#define MOVES_MAX 65536
#define HANDOVERS_MAX 4096
#define SECOND_MS 1000

/* ---- what the core asks for ---- */

static void out_send(void *ctx, const struct flow *flow, struct view datagram)
{
    struct worker *w = ctx;

    if (w->udp)
        udp_send(w->udp, flow, datagram);
}

/* On the store's thread. */
static void txn_committed(struct txn *t)
{
    struct worker *w = t->ctx;

    if (mbox_post_always(w->txns, &t->node) < 0)
        txn_free(t);
}

static int out_txn(void *ctx, struct txn *t)
{
    struct worker *w = ctx;

    t->done = txn_committed;
    t->ctx = w;
    return store_submit(w->set->store, t);
}

static unsigned out_store_load(void *ctx)
{
    const struct worker *w = ctx;
    struct store_status status;

    store_status(w->set->store, &status);
    return (unsigned)(status.queue_depth * 1000 / status.queue_limit);
}

/* A life in the log: what happens to registrations at info, what they report at debug. */
static void log_event(const struct worker *w, const struct event *e)
{
    bool report =
        e->type == EVENT_NOTIFICATION || e->type == EVENT_SEND || e->type == EVENT_UPDATED;
    enum log_level level = report ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    char id[REGISTRATION_ID_LEN + 1], path[PATH_TEXT_MAX];

    if (!log_enabled(level))
        return;
    registration_id_format(e->registration_id, id);
    path_format(&e->path, path);
    log_emit(level, event_type_name(e->type), log_text("endpoint", e->endpoint ? e->endpoint : ""),
             log_text("registration", id), log_u64("shard", w->index),
             log_addr("peer", &e->flow.peer), log_text("path", path),
             log_text("reason", e->rc < 0 ? err_text(e->rc) : ""));
}

static void out_event(void *ctx, struct event *e)
{
    struct worker *w = ctx;

    log_event(w, e);

    w->set->event(w->set->ctx, e);
}

static void move_free(struct worker *w, struct move *m)
{
    if (m->device) {
        struct claim *claim = (struct claim *)(uintptr_t)domain_device_claim(m->device);

        domain_device_free(m->device);
        directory_release(w->set->dir, claim);
    }
    mem_free(m);
}

static void out_move(void *ctx, uint16_t to, struct move *m)
{
    struct worker *w = ctx;

    if (mbox_post_always(w->set->workers[to].moves, &m->node) < 0)
        move_free(w, m);
}

static void out_op(void *ctx, uint16_t to, struct op *op)
{
    struct worker *w = ctx;
    struct mbox *box = w->set->workers[to].ops;
    int rc = op->stored ? mbox_post_always(box, &op->node) : mbox_post(box, &op->node);

    if (rc < 0)
        op_complete(op, rc);
}

static int out_spool_append(void *ctx, uint64_t cookie, struct blob **blob, struct view bytes)
{
    return spool_append(((struct worker *)ctx)->spool, cookie, blob, bytes);
}

static int out_blob_read(void *ctx, uint64_t cookie, const struct blob *blob, uint64_t offset,
                         size_t n)
{
    return spool_read(((struct worker *)ctx)->spool, cookie, blob, offset, n);
}

static const struct core_out core_out = {
    .send = out_send,
    .txn = out_txn,
    .store_load = out_store_load,
    .event = out_event,
    .move = out_move,
    .op = out_op,
    .spool_append = out_spool_append,
    .blob_read = out_blob_read,
};

/* ---- what comes in ---- */

static void hand_over(struct worker *w, uint16_t to, const struct flow *flow, struct view bytes)
{
    struct handover *h = mem_new(sizeof(*h) + bytes.n);

    if (h) {
        h->flow = *flow;
        h->n = bytes.n;
        memcpy(h->bytes, bytes.p, bytes.n);
        if (mbox_post(w->set->workers[to].handovers, &h->node) == ERR_OK) {
            counter_add(&w->counters, COUNTER_datagrams_handed_over, 1);
            return;
        }
        mem_free(h);
    }
    counter_add(&w->counters, COUNTER_handover_dropped, 1);
}

static void on_batch(void *ctx, const struct flow *flows, const struct view *datagrams, size_t n)
{
    struct worker *w = ctx;

    if (w->core)
        core_ahead(w->core, flows, datagrams, n);
}

static void on_datagram(void *ctx, const struct flow *flow, struct view bytes)
{
    struct worker *w = ctx;
    uint16_t owner = udp_group_shard_of(&flow->peer, w->set->count);

    if (owner == w->index)
        core_input(w->core, flow, bytes, clock_mono_ms());
    else
        hand_over(w, owner, flow, bytes);
}

static void on_unreachable(void *ctx, const struct addr *peer)
{
    struct worker *w = ctx;

    if (w->core)
        core_unreachable(w->core, peer, clock_mono_ms());
}

static void on_burst_end(void *ctx)
{
    udp_flush(((struct worker *)ctx)->udp);
}

static const struct udp_callbacks udp_callbacks = {
    .batch = on_batch,
    .datagram = on_datagram,
    .unreachable = on_unreachable,
    .burst_end = on_burst_end,
};

static void on_op(void *ctx, struct mbox_node *node)
{
    struct worker *w = ctx;
    struct op *op = mem_container(node, struct op, node);

    if (w->core)
        core_op(w->core, op, clock_mono_ms());
    else
        op_complete(op, ERR_STOPPING);
}

static void on_txn(void *ctx, struct mbox_node *node)
{
    struct worker *w = ctx;
    struct txn *t = mem_container(node, struct txn, node);

    if (w->core)
        core_txn_done(w->core, t, clock_mono_ms());
    else
        txn_free(t);
}

static void on_move(void *ctx, struct mbox_node *node)
{
    struct worker *w = ctx;
    struct move *m = mem_container(node, struct move, node);

    if (w->core)
        core_move(w->core, m, clock_mono_ms());
    else
        move_free(w, m);
}

static void on_handover(void *ctx, struct mbox_node *node)
{
    struct worker *w = ctx;
    struct handover *h = mem_container(node, struct handover, node);

    if (w->core)
        core_input(w->core, &h->flow, view_of(h->bytes, h->n), clock_mono_ms());
    mem_free(h);
}

static void on_spool_appended(void *ctx, uint64_t cookie, int rc)
{
    struct worker *w = ctx;

    core_spool_done(w->core, cookie, rc, clock_mono_ms());
}

static void on_blob_bytes(void *ctx, uint64_t cookie, int rc, struct view bytes)
{
    struct worker *w = ctx;

    core_blob_bytes(w->core, cookie, rc, bytes, clock_mono_ms());
}

static const struct spool_callbacks spool_callbacks = {
    .appended = on_spool_appended,
    .bytes = on_blob_bytes,
};

/* ---- the loop ---- */

static void on_timer(uv_timer_t *t)
{
    struct worker *w = t->data;

    w->armed = UINT64_MAX;
    core_run(w->core, clock_mono_ms());
}

static void snapshot(struct worker *w)
{
    struct core_stats stats;

    core_stats(w->core, &stats);
    pthread_mutex_lock(&w->stats_lock);
    w->stats = stats;
    pthread_mutex_unlock(&w->stats_lock);
}

static void on_second(uv_timer_t *t)
{
    struct worker *w = t->data;
    uint64_t now = clock_mono_ms();

    core_wall(w->core, clock_wall_ms(), now);
    snapshot(w);
    atomic_store_explicit(&w->beat, now, memory_order_relaxed);
}

/* Before the loop sleeps: everything queued leaves, and the timer stands at the core's next
 * deadline. */
static void on_prepare(uv_prepare_t *p)
{
    struct worker *w = p->data;
    uint64_t next = core_next(w->core);

    udp_flush(w->udp);
    if (next == w->armed)
        return;
    w->armed = next;
    if (next == UINT64_MAX) {
        uv_timer_stop(&w->timer);
    } else {
        uint64_t now = clock_mono_ms();

        uv_update_time(&w->loop);
        uv_timer_start(&w->timer, on_timer, next > now ? next - now : 0, 0);
    }
}

/* On the loop's thread, or on the caller's when the thread never started. */
static void end_core(struct worker *w)
{
    struct mbox *boxes[] = {w->ops, w->moves, w->handovers, w->txns};
    uv_handle_t *handles[] = {(uv_handle_t *)&w->timer, (uv_handle_t *)&w->second,
                              (uv_handle_t *)&w->prepare, (uv_handle_t *)&w->stop};
    struct core *core = w->core;

    w->ended = true;
    if (w->spool)
        spool_close(w->spool);
    core_free(core, clock_mono_ms()); /* may still send, post and submit */
    w->core = NULL;
    if (w->udp) {
        udp_flush(w->udp);
        udp_stop(w->udp);
    }
    for (size_t i = 0; i < mem_count(boxes); i++) {
        if (boxes[i])
            mbox_close(boxes[i]);
    }
    for (size_t i = 0; i < mem_count(handles); i++)
        uv_close(handles[i], NULL);
}

static void on_stop(uv_async_t *a)
{
    struct worker *w = a->data;

    snapshot(w);
    end_core(w);
}

static void run(void *arg)
{
    struct worker *w = arg;
    char name[16]; /* the most a thread's name may be */

    snprintf(name, sizeof(name), "shard-%u", w->index);
    pthread_setname_np(pthread_self(), name);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* ---- life ---- */

static struct core *make_core(struct worker *w)
{
    struct core_config cfg = w->set->cfg.core;
    struct random seed;

    if (random_init_secret(&seed) < 0)
        return NULL;
    cfg.shard = w->index;
    cfg.shards = w->set->count;
    cfg.counters = &w->counters;
    cfg.seed[0] = random_u64(&seed);
    cfg.seed[1] = random_u64(&seed);
    return core_new(&cfg, &core_out, w, w->set->dir, w->set->models, clock_mono_ms(),
                    clock_wall_ms());
}

int worker_init(struct worker *w, struct shards *set, uint16_t index)
{
    w->set = set;
    w->index = index;
    w->armed = UINT64_MAX;
    pthread_mutex_init(&w->stats_lock, NULL);
    if (uv_loop_init(&w->loop) < 0)
        return ERR_IO;
    w->looped = true;
    uv_timer_init(&w->loop, &w->timer);
    uv_timer_init(&w->loop, &w->second);
    uv_prepare_init(&w->loop, &w->prepare);
    uv_async_init(&w->loop, &w->stop, on_stop);
    w->timer.data = w->second.data = w->prepare.data = w->stop.data = w;
    w->ops = mbox_new(&w->loop, set->cfg.op_queue, on_op, NULL, w);
    w->txns = mbox_new(&w->loop, TXN_COMPLETIONS_MAX, on_txn, NULL, w);
    w->moves = mbox_new(&w->loop, MOVES_MAX, on_move, NULL, w);
    w->handovers = mbox_new(&w->loop, HANDOVERS_MAX, on_handover, NULL, w);
    w->spool = spool_new(&w->loop, set->cfg.spool_dir, &spool_callbacks, w);
    w->core = make_core(w);
    if (!w->ops || !w->txns || !w->moves || !w->handovers || !w->spool || !w->core)
        return ERR_NOMEM;
    return ERR_OK;
}

int worker_start(struct worker *w)
{
    int rc = udp_start(w->set->group, w->index, &w->loop, &udp_callbacks, w, &w->counters, &w->udp);

    if (rc < 0)
        return rc;
    uv_prepare_start(&w->prepare, on_prepare);
    uv_timer_start(&w->second, on_second, 0, SECOND_MS);
    atomic_store(&w->beat, clock_mono_ms());
    if (uv_thread_create(&w->thread, run, w) < 0)
        return ERR_LIMIT;
    w->started = true;
    return ERR_OK;
}

void worker_stop(struct worker *w)
{
    if (w->started)
        uv_async_send(&w->stop);
}

void worker_join(struct worker *w)
{
    if (w->started) {
        uv_thread_join(&w->thread);
    } else if (w->looped && !w->ended) {
        end_core(w);
        uv_run(&w->loop, UV_RUN_DEFAULT);
    }
    w->started = false;
}

void worker_fini(struct worker *w)
{
    mbox_free(w->ops);
    mbox_free(w->txns);
    mbox_free(w->moves);
    mbox_free(w->handovers);
    udp_free(w->udp);
    if (w->looped)
        uv_loop_close(&w->loop);
    pthread_mutex_destroy(&w->stats_lock);
}
