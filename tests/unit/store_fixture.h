/*
 * What the tests of the store share: a database in a folder of its own, devices by number, and
 * waiting for completions.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

/* cmocka.h needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/read.h"
#include "store/store.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINKS "</>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>,</4/0>,</5/0>,</3303/0>,</3303/1>"
#define NEVER INT64_MAX

struct fixture {
    char folder[64];
    char path[96];
    struct store *store;
    struct reader *reader;
};

__attribute__((unused)) static void fixture_path(const struct fixture *f, const char *name,
                                                 char out[96])
{
    snprintf(out, 96, "%s/%s", f->folder, name);
}

__attribute__((unused)) static void fixture_open(struct fixture *f)
{
    struct store_config cfg = {.path = f->path};

    assert_int_equal(store_open(&cfg, &f->store), ERR_OK);
    assert_int_equal(read_open(f->path, &f->reader), ERR_OK);
}

__attribute__((unused)) static void fixture_close(struct fixture *f)
{
    read_close(f->reader);
    store_close(f->store);
    f->reader = NULL;
    f->store = NULL;
}

/* An empty folder, no database yet. */
__attribute__((unused)) static int fixture_folder(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *tmp = getenv("TMPDIR");

    assert_non_null(f);
    snprintf(f->folder, sizeof(f->folder), "%s/test-store-XXXXXX",
             tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    fixture_path(f, "db", f->path);
    *state = f;
    return 0;
}

__attribute__((unused)) static int fixture_setup(void **state)
{
    fixture_folder(state);
    fixture_open(*state);
    return 0;
}

__attribute__((unused)) static int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    DIR *folder;
    struct dirent *entry;

    fixture_close(f);
    folder = opendir(f->folder);
    while (folder && (entry = readdir(folder)) != NULL) {
        char path[400];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", f->folder, entry->d_name);
        unlink(path);
    }
    closedir(folder);
    rmdir(f->folder);
    free(f);
    return 0;
}

/* ---- devices ---------------------------------------------------------------------------- */

/* Device n, with row, id and generation n; its endpoint is written to `name`. */
__attribute__((unused)) static struct registration device(uint64_t n, char name[32])
{
    struct registration r = {
        .row = n,
        .id = n | (n % 256) << 56,
        .generation = n,
        .version = {1, 1},
        .lifetime_s = 86400,
        .lifetime_given = true,
        .binding = BINDING_U,
        .sms = VIEW_LIT(""),
        .profile = VIEW_LIT(""),
        .links = VIEW_LIT(LINKS),
        .unknown = VIEW_LIT(""),
        .flow.transport = TRANSPORT_UDP,
        .identity.type = IDENTITY_NONE,
        .identity.name = VIEW_LIT(""),
        .registered_ms = 1000000 + (int64_t)n,
        .updated_ms = 2000000 + (int64_t)n,
        .seen_ms = 3000000 + (int64_t)n,
        .expires_ms = NEVER,
    };

    snprintf(name, 32, "device-%08llu", (unsigned long long)n);
    r.endpoint = view_str(name);
    addr_parse(VIEW_LIT("192.0.2.1:5683"), &r.flow.peer);
    r.flow.peer.port = (uint16_t)n;
    addr_parse(VIEW_LIT("[2001:db8::1]:5683"), &r.flow.local);
    return r;
}

__attribute__((unused)) static struct txn *put_txn(const struct registration *r)
{
    struct txn *t = txn_new(TXN_PUT_REGISTRATION);

    assert_non_null(t);
    t->registration = registration_copy(r);
    assert_non_null(t->registration);
    return t;
}

__attribute__((unused)) static struct txn *put_device(uint64_t n)
{
    char name[32];
    struct registration r = device(n, name);

    return put_txn(&r);
}

/* ---- completions ------------------------------------------------------------------------ */

/* Counts completions and keeps the result of each by txn.tag; frees the transactions. */
struct latch {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t done;
    int rc[4096];
};
#define LATCH_INIT                                                                                 \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                       \
    }

__attribute__((unused)) static void latch_done(struct txn *t)
{
    struct latch *l = t->ctx;

    pthread_mutex_lock(&l->mutex);
    l->rc[t->tag % mem_count(l->rc)] = t->rc;
    l->done++;
    pthread_cond_signal(&l->cond);
    pthread_mutex_unlock(&l->mutex);
    txn_free(t);
}

__attribute__((unused)) static void latch_wait(struct latch *l, size_t count)
{
    pthread_mutex_lock(&l->mutex);
    while (l->done < count)
        pthread_cond_wait(&l->cond, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
}

/* Submits, retrying while the queue is full. */
__attribute__((unused)) static void submit(struct store *s, struct txn *t, struct latch *l,
                                           uint64_t tag)
{
    int rc;

    t->done = latch_done;
    t->ctx = l;
    t->tag = tag;
    while ((rc = store_submit(s, t)) == ERR_FULL)
        usleep(100);
    assert_int_equal(rc, ERR_OK);
}

/* Submits, waits, returns the result. */
__attribute__((unused)) static int run(struct store *s, struct txn *t)
{
    struct latch l = LATCH_INIT;

    submit(s, t, &l, 0);
    latch_wait(&l, 1);
    return l.rc[0];
}

/* Devices from .. to, all committed. */
__attribute__((unused)) static void put_devices(struct store *s, uint64_t from, uint64_t to)
{
    static struct latch l = LATCH_INIT;

    l.done = 0;
    for (uint64_t n = from; n <= to; n++)
        submit(s, put_device(n), &l, n);
    latch_wait(&l, (size_t)(to - from + 1));
    for (size_t i = 0; i < mem_count(l.rc); i++)
        assert_int_equal(l.rc[i], ERR_OK);
}

/* ---- rows read -------------------------------------------------------------------------- */

/* Collects what a read gives, up to a hundred; the rows live until the next call on the reader. */
struct rows {
    size_t count;
    const struct registration *r[100];
};

__attribute__((unused)) static int rows_add(void *ctx, const struct registration *r)
{
    struct rows *rows = ctx;

    if (rows->count < mem_count(rows->r))
        rows->r[rows->count] = r;
    rows->count++;
    return ERR_OK;
}

struct observed {
    size_t count;
    const struct observation *o[100];
};

__attribute__((unused)) static int observed_add(void *ctx, const struct observation *o)
{
    struct observed *observed = ctx;

    if (observed->count < mem_count(observed->o))
        observed->o[observed->count] = o;
    observed->count++;
    return ERR_OK;
}

__attribute__((unused)) static size_t count_observations(struct fixture *f)
{
    struct observed o = {0};

    assert_int_equal(read_observations(f->reader, 0, 1000, observed_add, &o), ERR_OK);
    return o.count;
}

/* Device n as the store has it, or NULL when it is not registered. */
__attribute__((unused)) static const struct registration *stored_device(struct fixture *f,
                                                                        uint64_t n)
{
    char name[32];
    struct registration r = device(n, name);
    struct rows rows = {0};
    int rc = read_device(f->reader, r.endpoint, rows_add, &rows);

    if (rc == ERR_NOTFOUND)
        return NULL;
    assert_int_equal(rc, ERR_OK);
    return rows.r[0]->row ? rows.r[0] : NULL;
}

__attribute__((unused)) static uint64_t device_count(struct fixture *f)
{
    uint64_t n = UINT64_MAX;

    assert_int_equal(read_device_count(f->reader, &n), ERR_OK);
    return n;
}

#endif
