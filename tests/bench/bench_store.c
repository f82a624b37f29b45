/*
 * The store by itself: rates of the writer, loading, size, upgrade and copy.
 *
 *     bench_store [DEVICES [FOLDER]]      1 000 000 in /tmp; the database is made anew and removed
 */
#include "store/migrate.h"
#include "store/read.h"
#include "store/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS                                                                                      \
    "</>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,</7/0>,</3303/0>,"     \
    "</3303/1>,</3311/0>"
#define OUTSTANDING 200
#define RENEWALS 4096
#define PAGE 4096
#define ROWS_APART 100000000

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t outstanding;
    size_t wake_at; /* as few are waited for */
    size_t failed;
    uint64_t writer_us; /* processor time of the writer's thread */
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static uint64_t processor_us(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void done(struct txn *t)
{
    pthread_mutex_lock(&gate.mutex);
    gate.failed += t->rc < 0;
    if (--gate.outstanding <= gate.wake_at) {
        gate.writer_us = processor_us(RUSAGE_THREAD);
        pthread_cond_signal(&gate.cond);
    }
    pthread_mutex_unlock(&gate.mutex);
    txn_free(t);
}

static void wait_for(size_t outstanding)
{
    pthread_mutex_lock(&gate.mutex);
    gate.wake_at = outstanding;
    while (gate.outstanding > outstanding)
        pthread_cond_wait(&gate.cond, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
}

/* At most `most` outstanding; when there are as many, the next burst comes after half of them. */
static void submit(struct store *s, struct txn *t, size_t most)
{
    size_t outstanding;

    pthread_mutex_lock(&gate.mutex);
    outstanding = ++gate.outstanding;
    pthread_mutex_unlock(&gate.mutex);
    t->done = done;
    if (store_submit(s, t) < 0)
        abort();
    if (outstanding >= most)
        wait_for(most / 2);
}

static void must(int rc, const char *what)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text(rc));
    exit(1);
}

/* Whether devices register in the order of their names. Real ones do not. */
static bool in_order;

static struct txn *put_txn(uint64_t n, uint64_t generation)
{
    static const struct hash_key key = {1, 2};
    char endpoint[40];
    struct registration r = {
        .row = n + (generation - 1) * ROWS_APART, /* a new Register has a new row */
        .id = hash_u64(&key, n + generation),
        .generation = generation,
        .version = {1, 1},
        .lifetime_s = 86400,
        .lifetime_given = true,
        .binding = BINDING_U,
        .links = VIEW_LIT(LINKS),
        .registered_ms = 1700000000000,
        .updated_ms = 1700000000000,
        .seen_ms = 1700000000000,
        .expires_ms = 1700086400000,
    };
    struct txn *t = txn_new(TXN_PUT_REGISTRATION);

    snprintf(endpoint, sizeof(endpoint), "urn:imei:%015llu",
             (unsigned long long)(in_order ? n : hash_u64(&key, n) % 1000000000000000));
    r.endpoint = view_str(endpoint);
    addr_parse(VIEW_LIT("127.0.0.1:40000"), &r.flow.peer);
    r.flow.peer.ip[14] = (uint8_t)(n >> 8);
    r.flow.peer.ip[15] = (uint8_t)n;
    addr_parse(VIEW_LIT("127.0.0.1:5683"), &r.flow.local);
    if (!t || !(t->registration = registration_copy(&r)))
        abort();
    return t;
}

static double seconds_since(uint64_t start)
{
    return (double)(clock_mono_ns() - start) / 1e9;
}

static long anonymous_kib(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    long kib = 0;

    while (f && fgets(line, sizeof(line), f))
        sscanf(line, "RssAnon: %ld", &kib);
    if (f)
        fclose(f);
    return kib;
}

/* Times on the wall depend on what else the machine does; the processor time of the thread that
 * does the work, the writer or this one, does less. */
static void report(const char *what, uint64_t count, double seconds, uint64_t thread_us)
{
    printf("%-36s %8llu in %6.2f s, %8.0f /s; processor %8.1f us each; RssAnon %ld KiB\n", what,
           (unsigned long long)count, seconds, (double)count / seconds,
           (double)thread_us / (double)count, anonymous_kib());
    fflush(stdout);
}

/* This thread's since the last call. */
static uint64_t spent_us(void)
{
    static uint64_t before;
    uint64_t now = processor_us(RUSAGE_THREAD), spent = now - before;

    before = now;
    return spent;
}

static struct store *open_store(const char *path, enum store_sync sync)
{
    struct store_config cfg = {.path = path, .sync = sync};
    struct store *s;

    must(store_open(&cfg, &s), "open");
    gate.writer_us = 0; /* a new thread */
    return s;
}

static void put(struct store *s, uint64_t from, uint64_t to, uint64_t generation, const char *what)
{
    uint64_t start = clock_mono_ns(), before = gate.writer_us;

    for (uint64_t n = from; n <= to; n++)
        submit(s, put_txn(n, generation), OUTSTANDING);
    wait_for(0);
    report(what, to - from + 1, seconds_since(start), gate.writer_us - before);
}

static void renew(struct store *s, uint64_t devices)
{
    uint64_t start = clock_mono_ns(), before = gate.writer_us;

    for (uint64_t n = 1; n <= devices; n += RENEWALS) {
        struct txn *t = txn_new(TXN_RENEW);

        t->renewals = mem_new(RENEWALS * sizeof(*t->renewals));
        for (uint64_t i = n; i < n + RENEWALS && i <= devices; i++)
            t->renewals[t->renewal_count++] =
                (struct renewal){i, 1, 1700090000000, 1700003600000 + (int64_t)i};
        submit(s, t, 4);
    }
    wait_for(0);
    report("renewals, sorted", devices, seconds_since(start), gate.writer_us - before);
}

/* Operation n of a device; ids come from a hash behind a time, as UUIDv7 does. */
static struct txn *operation_txn(enum txn_kind kind, uint64_t n, uint64_t devices,
                                 enum op_state state)
{
    static const struct hash_key key = {3, 4};
    struct txn *t = txn_new(kind), *device = put_txn(1 + n % devices, 1);
    struct operation o = {.endpoint = device->registration->endpoint,
                          .kind = OP_READ,
                          .state = state,
                          .path = {.id = {3, 0, 9}, .depth = 3},
                          .format = FORMAT_NONE,
                          .depth = -1,
                          .created_ms = 1700000000000 + (int64_t)(n / 100),
                          .result_format = FORMAT_TEXT};
    struct wr w = wr_init(o.id.b, sizeof(o.id.b));

    wr_u64(&w, (uint64_t)o.created_ms << 16);
    wr_u64(&w, hash_u64(&key, n));
    if (state != OP_STATE_QUEUED) {
        o.attempt_count = 1;
        o.attempts[0] = (struct op_attempt){.token = n, .sent_ms = o.created_ms + 1};
    }
    if (state == OP_STATE_DONE)
        o.result = view_of("a result of some thirty bytes  ", 31);
    if (!t || !(t->operation = operation_copy(&o)))
        abort();
    txn_free(device);
    return t;
}

/* Each is stored, sent, and settled; a few hundred are under way. */
static void operate(struct store *s, uint64_t count, uint64_t devices, const char *what)
{
    uint64_t start = clock_mono_ns(), before = gate.writer_us;

    for (uint64_t n = 0; n < count + 2 * OUTSTANDING; n++) {
        if (n < count)
            submit(s, operation_txn(TXN_PUT_OPERATION, n, devices, OP_STATE_SENT), OUTSTANDING);
        if (n >= OUTSTANDING && n - OUTSTANDING < count)
            submit(s, operation_txn(TXN_SET_OPERATION, n - OUTSTANDING, devices, OP_STATE_DONE),
                   OUTSTANDING);
    }
    wait_for(0);
    report(what, count, seconds_since(start), gate.writer_us - before);
}

/* A value and a line of a device at a time. */
static void tell(struct store *s, uint64_t count, uint64_t devices)
{
    uint64_t start = clock_mono_ns(), before = gate.writer_us;

    for (uint64_t n = 0; n < count; n++) {
        struct txn *t = txn_new(TXN_RECORD), *device = put_txn(1 + n % devices, 1);
        struct view endpoint = device->registration->endpoint;
        struct record r = {.path = {.id = {3303, 0, 5700}, .depth = 3},
                           .value = {.type = VALUE_FLOAT, .u.float_ = (double)n / 10}};

        t->entries = mem_new(sizeof(*t->entries));
        t->entry_count = 1;
        t->bytes = mem_text(endpoint.p, endpoint.n);
        t->entries[0] = (struct entry){.endpoint = view_of(t->bytes, endpoint.n),
                                       .time_ms = 1700000000000 + (int64_t)n,
                                       .listed = true,
                                       .type = EVENT_NOTIFICATION,
                                       .values = batch_new(),
                                       .origin = ORIGIN_NOTIFY};
        must(batch_add(t->entries[0].values, &r), "record");
        txn_free(device);
        submit(s, t, OUTSTANDING);
    }
    wait_for(0);
    report("records of a value and a line", count, seconds_since(start), gate.writer_us - before);
}

static int count_row(void *ctx, const struct registration *r)
{
    uint64_t *after = ctx;

    after[0] = r->row;
    after[1]++;
    return ERR_OK;
}

static void load(const char *path, const char *what)
{
    uint64_t at[2] = {0, 0}, before, start = clock_mono_ns();
    struct reader *r;

    spent_us();
    must(read_open(path, &r), "open");
    do {
        before = at[1];
        must(read_registrations(r, at[0], PAGE, count_row, at), "load");
    } while (at[1] - before == PAGE);
    read_close(r);
    report(what, at[1], seconds_since(start), spent_us());
}

static void page(const char *path)
{
    struct read_filter all = {.limit = 100, .after = VIEW_LIT("urn:imei:5")};
    struct read_filter none = {.limit = 100, .state = READ_OFFLINE, .now_ms = 1};
    uint64_t at[2] = {0, 0}, start;
    struct reader *r;

    spent_us();
    must(read_open(path, &r), "open");
    must(read_devices(r, &all, count_row, at), "page");
    spent_us();
    start = clock_mono_ns();
    for (int i = 0; i < 100; i++)
        must(read_devices(r, &all, count_row, at), "page");
    report("pages of 100 devices", 100, seconds_since(start), spent_us());
    start = clock_mono_ns();
    must(read_devices(r, &none, count_row, at), "page");
    report("page that no device passes", 1, seconds_since(start), spent_us());
    read_close(r);
}

static void copy(const char *path)
{
    char to[200];
    uint64_t start = clock_mono_ns();
    struct reader *r;

    snprintf(to, sizeof(to), "%s-copy", path);
    unlink(to);
    spent_us();
    must(read_open(path, &r), "open");
    must(read_backup(r, to), "backup");
    read_close(r);
    unlink(to);
    report("backup", 1, seconds_since(start), spent_us());
}

/* What an upgrade over all rows costs: a column filled, and an index on it. */
static void upgrade(const char *path, uint64_t devices)
{
    unsigned next = schema_steps[schema_steps_count - 1].version + 1;
    struct schema_step steps[] = {
        {next, "ALTER TABLE registration ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;\n"
               "-- chunked: registration\n"
               "UPDATE registration SET slot = (reg_id >> 56) & 255 WHERE row > ?1 AND row <= ?2;\n"
               "-- finish\n"
               "CREATE INDEX registration_by_slot ON registration (slot);\n"}};
    struct migrate_config cfg = {.steps = steps, .count = 1};
    uint64_t start = clock_mono_ns();
    sqlite3 *db;

    spent_us();
    must(db_open(path, DB_WRITER, &db), "open");
    must(migrate_run(db, &cfg), "upgrade");
    db_close(db);
    report("upgrade of every row", devices, seconds_since(start), spent_us());
}

static double size_mib(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : (double)st.st_size / 1048576;
}

static void start_anew(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock", "-copy"};

    for (size_t i = 0; i < mem_count(suffixes); i++) {
        char name[200];

        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    uint64_t devices = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    char path[160];
    struct store *s;

    snprintf(path, sizeof(path), "%s/bench-store.db", argc > 2 ? argv[2] : "/tmp");
    start_anew(path);
    s = open_store(path, STORE_SYNC_FULL);
    put(s, 1, devices / 5, 1, "registers, FULL, 200 outstanding");
    store_close(s);
    start_anew(path);
    in_order = true;
    s = open_store(path, STORE_SYNC_NORMAL);
    put(s, 1, devices / 5, 1, "registers, NORMAL, in order of name");
    store_close(s);
    in_order = false;
    start_anew(path);

    s = open_store(path, STORE_SYNC_NORMAL);
    put(s, 1, devices - devices / 10, 1, "registers, NORMAL, 200 outstanding");
    put(s, devices - devices / 10 + 1, devices, 1, "the last tenth of them");
    put(s, 1, devices / 5, 1, "updates that change something");
    renew(s, devices);
    renew(s, devices);
    operate(s, devices / 10, devices, "operations, stored and settled");
    tell(s, devices / 10, devices);
    page(path);
    copy(path);
    put(s, 1, devices / 10, 2, "registers anew, NORMAL");
    store_close(s);
    printf("database %.1f MiB, %.0f bytes per device\n", size_mib(path),
           size_mib(path) * 1048576 / (double)devices);
    load(path, "load");
    load(path, "load again");
    s = open_store(path, STORE_SYNC_FULL);
    put(s, 1, devices / 10, 3, "registers anew, FULL");
    store_close(s);
    upgrade(path, devices);
    start_anew(path);
    printf("%zu transactions failed\n", gate.failed);
    return gate.failed != 0;
}
