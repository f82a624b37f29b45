#include "store/store.h"

#include "store/apply.h"
#include "store/migrate.h"
#include "store/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_LIMIT 16384
#define BATCH_LIMIT 1024
/* A commit takes no more transactions once it has this many renewals: others wait meanwhile. */
#define BATCH_RENEWALS 65536
/* The writer shows that it lives, and tries a failing disk again, at least this often. */
#define IDLE_MS 1000
/* How long after a step of the purge the next one comes: while there is more to take away, so that
 * others get most of the time, and while there is nothing. */
#define PURGE_PAUSE_MS 20
#define PURGE_IDLE_MS 1000
/* Under load commits begin no sooner after each other, unless as many transactions wait as are
 * worth it: each commit costs as much as a dozen transactions. It is load when the last one had so
 * many; a lone transaction never waits. */
#define GROUP_NS 2000000
#define GROUP_WORTH 512
#define GROUP_LOAD 32
/* Pages of the log that are worth a checkpoint (64 MiB): a page changed by many commits is copied
 * once. The writer stands still for about 0.1 s meanwhile, whether it is this many or half. */
#define CHECKPOINT_PAGES 16384
/* Pages worth one while there is nothing to do (4 MiB): the next storm finds an empty log. */
#define CHECKPOINT_IDLE_PAGES 1024
/* With so many times as many the writer waits for readers, at most so long, that the log may start
 * over. */
#define RESTART_TIMES 4
#define RESTART_WAIT_MS 100

struct store {
    char *path;
    size_t queue_limit;
    size_t batch_limit;
    int lock_fd;
    sqlite3 *db;
    struct apply *apply;
    struct txn **batch;
    uint64_t begun_ns;    /* the last batch was taken */
    size_t taken;         /* transactions in it */
    int log_pages;        /* in the log after the last commit */
    int checkpoint_pages; /* a log this long is worth a checkpoint */
    int next_checkpoint;  /* pages of the log at the next one */
    int copied_pages;     /* pages of the log at the last one */
    uint64_t purge_at;    /* monotonic ms: the next step */
    bool started;
    pthread_t thread;

    pthread_mutex_t mutex; /* of the queue */
    pthread_cond_t wake;
    struct mbox_node *head;
    struct mbox_node **tail;
    bool stopping;
    _Atomic size_t depth; /* written with the mutex held */

    _Atomic int rc;
    _Atomic int64_t failing_since_ms;
    _Atomic uint64_t commits, committed, failed, last_commit_us;
    _Atomic int64_t beat_ms;
    struct counters counters;
};

/* ---- queue ------------------------------------------------------------------------------ */

int store_submit(struct store *s, struct txn *t)
{
    int rc = ERR_OK;

    t->node.next = NULL;
    pthread_mutex_lock(&s->mutex);
    if (s->stopping) {
        rc = ERR_STOPPING;
    } else if (s->depth >= s->queue_limit) {
        rc = ERR_FULL;
    } else {
        *s->tail = &t->node;
        s->tail = &t->node.next;
        s->depth++;
        if (s->depth == 1 || s->depth == GROUP_WORTH)
            pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
    return rc;
}

static void wait_for_work(struct store *s)
{
    uint64_t idle = clock_mono_ms() + IDLE_MS;
    uint64_t until = s->purge_at < idle ? s->purge_at : idle;
    struct timespec ts = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};

    while (!s->head && !s->stopping) {
        if (pthread_cond_timedwait(&s->wake, &s->mutex, &ts) == ETIMEDOUT)
            return;
    }
}

/* Others join those that wait. */
static void wait_for_group(struct store *s)
{
    uint64_t until = s->begun_ns + GROUP_NS;
    struct timespec ts = {(time_t)(until / 1000000000), (long)(until % 1000000000)};

    if (s->taken < GROUP_LOAD)
        return;
    while (s->depth < GROUP_WORTH && !s->stopping) {
        if (pthread_cond_timedwait(&s->wake, &s->mutex, &ts) == ETIMEDOUT)
            return;
    }
}

/* Moves what waits into the batch, oldest first. *ret_stop: nothing is left and nothing will come.
 */
static size_t take(struct store *s, bool *ret_stop)
{
    size_t n = 0, renewals = 0;

    pthread_mutex_lock(&s->mutex);
    wait_for_work(s);
    if (s->head)
        wait_for_group(s);
    s->begun_ns = clock_mono_ns();
    while (s->head && n < s->batch_limit && renewals < BATCH_RENEWALS) {
        struct txn *t = mem_container(s->head, struct txn, node);

        s->head = s->head->next;
        renewals += t->renewal_count;
        s->batch[n++] = t;
    }
    if (!s->head)
        s->tail = &s->head;
    s->depth -= n;
    s->taken = n;
    *ret_stop = s->stopping && n == 0;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

/* ---- group commit ----------------------------------------------------------------------- */

/* One transaction for the whole batch; sets the rc of each on success. */
static int commit_batch(struct store *s, size_t n, int (*apply)(struct apply *, struct txn *))
{
    int rc = apply_begin(s->apply);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct txn *t = s->batch[i];

        t->rc = apply(s->apply, t);
        if (apply_is_fatal(t->rc) || (apply == apply_txn && !apply_is_outcome(t->rc))) {
            rc = t->rc;
            apply_rollback(s->apply);
            return rc;
        }
    }
    return apply_commit(s->apply);
}

/* What the store as a whole answers: ERR_DISKFULL or ERR_STORE. */
static void set_health(struct store *s, int rc)
{
    if (rc == s->rc)
        return;
    if (rc == ERR_OK)
        log_info("the store takes writes again");
    else
        log_error("the store does not take writes", log_text("path", s->path),
                  log_text("reason", err_text(rc)), log_text("detail", apply_reason(s->apply)));
    if (rc == ERR_OK || s->rc == ERR_OK)
        s->failing_since_ms = rc == ERR_OK ? 0 : clock_wall_ms();
    s->rc = rc;
}

/* The numbers first: whoever waits for a completion finds them up to date. */
static void finish_batch(struct store *s, size_t n, int rc)
{
    uint64_t failed = 0;

    for (size_t i = 0; i < n; i++) {
        if (rc < 0) {
            s->batch[i]->rc = rc;
            txn_uncarry(s->batch[i]);
        }
        failed += s->batch[i]->rc < 0;
    }
    s->failed += failed;
    s->committed += n - failed;
    counter_add(&s->counters, COUNTER_txns_submitted, n);
    counter_add(&s->counters, COUNTER_txns_failed, failed);
    for (size_t i = 0; i < n; i++) {
        struct txn *t = s->batch[i];

        if (t->done)
            t->done(t);
        else
            txn_free(t);
    }
}

static void run_batch(struct store *s, size_t n)
{
    uint64_t start = clock_mono_ns();
    int rc = commit_batch(s, n, apply_txn);

    /* One of them cannot be done: the others can, each behind a savepoint. */
    if (rc < 0 && !apply_is_fatal(rc))
        rc = commit_batch(s, n, apply_guarded);
    if (rc < 0 && rc != ERR_DISKFULL)
        rc = ERR_STORE;
    if (rc == ERR_OK)
        s->commits++;
    s->last_commit_us = (clock_mono_ns() - start) / 1000;
    set_health(s, rc);
    finish_batch(s, n, rc);
}

/* ---- purge ------------------------------------------------------------------------------ */

/* Between batches, also of a busy writer: what is taken away makes room for what comes. */
static void purge(struct store *s)
{
    uint64_t now = clock_mono_ms();
    size_t rows = 0;
    int rc;

    if (now < s->purge_at || s->rc != ERR_OK)
        return;
    rc = apply_purge(s->apply, &rows);
    if (rc < 0)
        log_warn("the store could not be purged", log_text("reason", err_text(rc)));
    s->purge_at = now + (rc == ERR_OK && rows >= PURGE_ROWS ? PURGE_PAUSE_MS : PURGE_IDLE_MS);
}

/* ---- checkpoint ------------------------------------------------------------------------- */

static int note_log(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store *s = ctx;

    (void)db;
    (void)name;
    if (pages < s->log_pages) { /* it started over */
        s->next_checkpoint = s->checkpoint_pages;
        s->copied_pages = 0;
    }
    s->log_pages = pages;
    return SQLITE_OK;
}

/*
 * Copies the log into the database file, after the completions, so that nobody waits for it.
 * Readers never wait, but while one of them uses the log it cannot start over; when it has grown
 * past all measure because some reader always does, the writer waits for them a moment.
 */
static void checkpoint(struct store *s, bool idle)
{
    bool restart = s->log_pages >= RESTART_TIMES * s->checkpoint_pages;

    idle = idle && s->log_pages - s->copied_pages >= CHECKPOINT_IDLE_PAGES;
    if (s->log_pages < s->next_checkpoint && !idle)
        return;
    if (restart)
        sqlite3_busy_timeout(s->db, RESTART_WAIT_MS);
    sqlite3_wal_checkpoint_v2(
        s->db, NULL, restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (restart)
        sqlite3_busy_timeout(s->db, DB_BUSY_MS);
    /* Unless it starts over: when it failed, or a reader holds it, not again at each commit. */
    s->next_checkpoint = s->log_pages + s->checkpoint_pages;
    s->copied_pages = s->log_pages;
}

/* ---- thread ----------------------------------------------------------------------------- */

static void *writer(void *arg)
{
    struct store *s = arg;
    bool stop = false;

    while (!stop) {
        size_t n = take(s, &stop);

        s->beat_ms = (int64_t)clock_mono_ms();
        if (n)
            run_batch(s, n);
        else if (s->rc != ERR_OK && apply_probe(s->apply) == ERR_OK)
            set_health(s, ERR_OK);
        purge(s);
        checkpoint(s, n == 0);
    }
    return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct store *s)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&s->thread, NULL, writer, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->started = !failed;
    return failed ? ERR_NOMEM : ERR_OK;
}

static int init_queue(struct store *s)
{
    pthread_condattr_t attr;
    int failed = pthread_mutex_init(&s->mutex, NULL);

    s->tail = &s->head;
    if (!failed)
        failed = pthread_condattr_init(&attr);
    if (failed)
        return ERR_NOMEM;
    failed = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!failed)
        failed = pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    return failed ? ERR_NOMEM : ERR_OK;
}

/* ---- open and close --------------------------------------------------------------------- */

/* Two servers on one database would each believe that they own every device. */
static int lock(struct store *s)
{
    struct buf name;
    int rc;

    buf_init(&name, PATH_MAX);
    buf_fmt(&name, "%s-lock", s->path);
    if (buf_cstr(&name))
        s->lock_fd = open(buf_cstr(&name), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    rc = s->lock_fd < 0 ? ERR_STORE : ERR_OK;
    if (rc == ERR_OK && flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? ERR_BUSY : ERR_STORE;
    if (rc < 0)
        log_error("cannot lock the database", log_text("path", s->path),
                  log_text("reason", rc == ERR_BUSY ? "another server uses it" : strerror(errno)));
    buf_fini(&name);
    return rc;
}

static int open_database(struct store *s, const struct store_config *cfg)
{
    struct migrate_config migration = {.steps = schema_steps,
                                       .count = schema_steps_count,
                                       .progress = cfg->progress,
                                       .progress_ctx = cfg->progress_ctx};
    int rc = db_open(s->path, DB_WRITER, &s->db);

    if (rc == ERR_OK)
        rc = db_exec(s->db, cfg->sync == STORE_SYNC_FULL ? "PRAGMA synchronous = FULL"
                                                         : "PRAGMA synchronous = NORMAL");
    if (rc == ERR_OK)
        rc = migrate_run(s->db, &migration);
    if (rc == ERR_OK)
        rc = apply_open(s->db, &s->counters, &cfg->keep, &s->apply);
    if (rc == ERR_OK)
        sqlite3_wal_hook(s->db, note_log, s);
    return rc;
}

int store_open(const struct store_config *cfg, struct store **ret_store)
{
    struct store *s = mem_new(sizeof(*s));
    int rc;

    if (!s)
        return ERR_NOMEM;
    s->lock_fd = -1;
    s->checkpoint_pages = cfg->checkpoint_pages ? cfg->checkpoint_pages : CHECKPOINT_PAGES;
    s->next_checkpoint = s->checkpoint_pages;
    s->queue_limit = cfg->queue_limit ? cfg->queue_limit : QUEUE_LIMIT;
    s->batch_limit = cfg->batch_limit ? cfg->batch_limit : BATCH_LIMIT;
    s->beat_ms = (int64_t)clock_mono_ms();
    rc = init_queue(s);
    s->path = mem_text(cfg->path, strlen(cfg->path));
    s->batch = mem_new(s->batch_limit * sizeof(struct txn *));
    if (rc == ERR_OK && (!s->path || !s->batch))
        rc = ERR_NOMEM;
    if (rc == ERR_OK)
        rc = lock(s);
    if (rc == ERR_OK)
        rc = open_database(s, cfg);
    if (rc == ERR_OK)
        rc = start_thread(s);
    if (rc < 0) {
        store_close(s);
        return rc;
    }
    *ret_store = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->mutex);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    apply_close(s->apply);
    db_close(s->db);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s->batch);
    mem_free(s->path);
    mem_free(s);
}

/* ---- status ----------------------------------------------------------------------------- */

void store_status(const struct store *s, struct store_status *ret_status)
{
    *ret_status = (struct store_status){
        .rc = s->rc,
        .failing_since_ms = s->failing_since_ms,
        .queue_depth = s->depth,
        .queue_limit = s->queue_limit,
        .commits = s->commits,
        .committed = s->committed,
        .failed = s->failed,
        .last_commit_us = s->last_commit_us,
        .beat_ms = s->beat_ms,
    };
}

const struct counters *store_counters(const struct store *s)
{
    return &s->counters;
}
