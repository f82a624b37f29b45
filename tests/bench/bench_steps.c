/*
 * Work per operation, counted and not timed: SQLite's own step counters on a database that a server
 * has left, for what must not grow with the number of devices.
 *
 *     bench_steps DATABASE...      one line of JSON each; nothing is changed
 */
#include "store/apply.h"
#include "store/read.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE 100
#define EXPIRED 100 /* devices that expire in one commit */

struct sample {
    uint64_t row, generation;
    char endpoint[ENDPOINT_MAX + 1];
};

static void must(int rc, const char *what)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text(rc));
    exit(1);
}

static int ignore(void *ctx, const struct registration *r)
{
    (void)r;
    ++*(uint64_t *)ctx;
    return ERR_OK;
}

static int take(void *ctx, const struct registration *r)
{
    struct sample *s = ctx;

    s->row = r->row;
    s->generation = r->generation;
    memcpy(s->endpoint, r->endpoint.p, r->endpoint.n);
    s->endpoint[r->endpoint.n] = '\0';
    return ERR_OK;
}

/* The first registration after a row. */
static struct sample sample_after(struct reader *r, uint64_t row)
{
    struct sample s = {.row = 0};

    must(read_registrations(r, row, 1, take, &s), "sample");
    return s;
}

static uint64_t page_steps(struct reader *r, const char *after)
{
    struct read_filter f = {.after = view_str(after), .limit = PAGE};
    uint64_t n = 0;

    must(read_devices(r, &f, ignore, &n), "page");
    return read_steps(r);
}

static uint64_t find_steps(struct reader *r, const char *endpoint)
{
    uint64_t n = 0;

    must(read_device(r, view_str(endpoint), ignore, &n), "find");
    return read_steps(r);
}

static uint64_t connection_steps(sqlite3 *db)
{
    uint64_t n = 0;

    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
        n += (uint64_t)sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 1);
    return n;
}

/* Steps of one deletion, as the expiry of a lifetime asks for it; undone at the end. */
static uint64_t expiry_steps(const char *path, struct reader *r)
{
    static struct counters counters;
    struct store_retention keep = {0};
    struct apply *apply;
    uint64_t steps, row = 0;
    sqlite3 *db;

    must(db_open(path, DB_WRITER, &db), "open");
    must(apply_open(db, &counters, &keep, &apply), "prepare");
    must(apply_begin(apply), "begin");
    connection_steps(db);
    for (int i = 0; i < EXPIRED; i++) {
        struct sample s = sample_after(r, row);
        struct txn t = {.kind = TXN_DEL_REGISTRATION, .row = s.row, .generation = s.generation};

        must(apply_txn(apply, &t), "expire");
        row = s.row;
    }
    steps = connection_steps(db) / EXPIRED;
    apply_rollback(apply);
    apply_close(apply);
    db_close(db);
    return steps;
}

static void measure(const char *path)
{
    uint64_t devices, high, generation;
    struct sample middle, late;
    struct reader *r;

    must(read_open(path, &r), path);
    must(read_device_count(r, &devices), "count");
    must(read_high_water(r, &high, &generation), "high water");
    middle = sample_after(r, high / 2);
    late = sample_after(r, high - high / 4);
    printf("{\"devices\":%llu,\"page_first\":%llu,\"page_middle\":%llu,\"page_late\":%llu",
           (unsigned long long)devices, (unsigned long long)page_steps(r, ""),
           (unsigned long long)page_steps(r, middle.endpoint),
           (unsigned long long)page_steps(r, late.endpoint));
    printf(",\"find_middle\":%llu,\"find_late\":%llu",
           (unsigned long long)find_steps(r, middle.endpoint),
           (unsigned long long)find_steps(r, late.endpoint));
    printf(",\"expiry\":%llu}\n", (unsigned long long)expiry_steps(path, r));
    read_close(r);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        measure(argv[i]);
    return 0;
}
