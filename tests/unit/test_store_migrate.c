/* Steps of the schema: each once, all or nothing, and those over many rows go on where kill -9
 * ended them. */
#include "store_fixture.h"

#include "store/migrate.h"

#include <signal.h>
#include <sys/wait.h>

/* A step that counts how often each row was visited. */
#define CHUNKED                                                                                    \
    "-- What the step is for: \"-- chunked: nothing\" inside a line is no marker.\n"               \
    "ALTER TABLE registration ADD COLUMN visits INTEGER NOT NULL DEFAULT 0;\n"                     \
    "CREATE TABLE visit (row INTEGER PRIMARY KEY, slot INTEGER NOT NULL) STRICT;\n"                \
    "-- chunked: registration\n"                                                                   \
    "UPDATE registration SET visits = visits + 1 WHERE row > ?1 AND row <= ?2;\n"                  \
    "INSERT INTO visit (row, slot) SELECT row, (reg_id >> 56) & 255 FROM registration\n"           \
    "    WHERE row > ?1 AND row <= ?2;\n"                                                          \
    "-- a comment at the end\n"                                                                    \
    "-- finish\n"                                                                                  \
    "CREATE INDEX visit_by_slot ON visit (slot);\n"

#define DEVICES 1000
#define CHUNK 64

struct progress {
    uint64_t calls, first_done, last_done, total, die_at;
    unsigned version;
};

static void note(void *ctx, unsigned to_version, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;

    if (p->calls++ == 0)
        p->first_done = done;
    p->last_done = done;
    p->total = total;
    p->version = to_version;
    if (p->die_at && done >= p->die_at)
        kill(getpid(), SIGKILL);
}

static struct schema_step first_step(void)
{
    assert_int_equal(schema_steps[0].version, 1);
    return schema_steps[0];
}

/* Runs the steps on the database of the fixture. */
static int migrate(struct fixture *f, const struct schema_step *steps, size_t count,
                   struct progress *progress)
{
    struct migrate_config cfg = {.steps = steps, .count = count, .chunk_rows = CHUNK};
    sqlite3 *db;
    int rc = db_open(f->path, DB_WRITER, &db);

    if (rc < 0)
        return rc;
    if (progress) {
        cfg.progress = note;
        cfg.progress_ctx = progress;
    }
    rc = migrate_run(db, &cfg);
    db_close(db);
    return rc;
}

static int64_t number(struct fixture *f, const char *sql)
{
    sqlite3 *db;
    int64_t n = -1;

    assert_int_equal(db_open(f->path, DB_WRITER, &db), ERR_OK);
    assert_int_equal(db_number(db, sql, &n), ERR_OK);
    db_close(db);
    return n;
}

static void run_sql(struct fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(db_open(f->path, DB_WRITER, &db), ERR_OK);
    assert_int_equal(db_exec(db, sql), ERR_OK);
    db_close(db);
}

/* A database of the first version with devices in it. */
static void old_database(struct fixture *f)
{
    struct schema_step one = first_step();

    assert_int_equal(migrate(f, &one, 1, NULL), ERR_OK);
    run_sql(
        f, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
           "INSERT INTO registration SELECT i * 3, 'e' || i, i | (i % 256) << 56, 1, 0, 257, 60, 1,"
           "1, 0, '', '', '', x'', x'', 0, 0, 0, '', 0, 0 FROM n");
}

static void assert_upgraded(struct fixture *f)
{
    assert_int_equal(number(f, "PRAGMA user_version"), 2);
    assert_int_equal(number(f, "SELECT count(*) FROM registration WHERE visits = 1"), DEVICES);
    assert_int_equal(number(f, "SELECT count(*) FROM visit"), DEVICES);
    assert_int_equal(number(f, "SELECT count(*) FROM visit WHERE slot = 7"), 4);
    assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'visit_by_slot'"),
                     1);
    assert_int_equal(number(f, "SELECT count(*) FROM meta WHERE key LIKE 'migration%'"), 0);
}

/* ---- chunked steps ---------------------------------------------------------------------- */

static void all_rows_are_visited_once(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {first_step(), {2, CHUNKED}};
    struct progress p = {0};

    old_database(f);
    assert_int_equal(migrate(f, steps, 2, &p), ERR_OK);
    assert_upgraded(f);
    assert_int_equal(p.calls, (DEVICES + CHUNK - 1) / CHUNK);
    assert_int_equal(p.first_done, CHUNK);
    assert_int_equal(p.last_done, DEVICES);
    assert_int_equal(p.total, DEVICES);
    assert_int_equal(p.version, 2);
    p.calls = 0;
    assert_int_equal(migrate(f, steps, 2, &p), ERR_OK); /* nothing left to do */
    assert_int_equal(p.calls, 0);
}

static void empty_tables_take_chunked_steps(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {first_step(), {2, CHUNKED}};

    assert_int_equal(migrate(f, steps, 2, NULL), ERR_OK);
    assert_int_equal(number(f, "PRAGMA user_version"), 2);
    assert_int_equal(number(f, "SELECT count(*) FROM visit"), 0);
}

static void kill_while_migrating(struct fixture *f, const struct schema_step *steps,
                                 uint64_t die_at)
{
    struct progress p = {.die_at = die_at};
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        migrate(f, steps, 2, &p);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void killed_in_between_goes_on(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {first_step(), {2, CHUNKED}};
    struct progress p = {0};

    old_database(f);
    kill_while_migrating(f, steps, 1); /* after the first chunk */
    assert_int_equal(number(f, "PRAGMA user_version"), 1);
    assert_int_equal(number(f, "SELECT value FROM meta WHERE key = 'migration_version'"), 2);
    assert_int_equal(number(f, "SELECT sum(visits) FROM registration"), CHUNK);
    kill_while_migrating(f, steps, 500);
    assert_int_equal(number(f, "SELECT sum(visits) FROM registration"), 512);
    /* A program that knows only the first step must not write into what is half done. */
    assert_int_equal(migrate(f, steps, 1, NULL), ERR_SCHEMA);
    assert_int_equal(migrate(f, steps, 2, &p), ERR_OK);
    assert_int_equal(p.first_done, 512 + CHUNK);
    assert_int_equal(p.last_done, DEVICES);
    assert_upgraded(f);
}

static void killed_before_the_end_finishes(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {first_step(), {2, CHUNKED}};
    struct progress p = {0};

    old_database(f);
    kill_while_migrating(f, steps, DEVICES);
    assert_int_equal(number(f, "PRAGMA user_version"), 1);
    assert_int_equal(migrate(f, steps, 2, &p), ERR_OK);
    assert_int_equal(p.calls, 0);
    assert_upgraded(f);
}

/* ---- whole steps ------------------------------------------------------------------------ */

static void a_failing_step_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {
        first_step(),
        {2, "CREATE TABLE two (x INTEGER);"},
        {3, "CREATE TABLE three (x INTEGER); INSERT INTO nowhere VALUES (1);"},
    };

    assert_int_equal(migrate(f, steps, 3, NULL), ERR_STORE);
    assert_int_equal(number(f, "PRAGMA user_version"), 2);
    assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'two'"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'three'"), 0);
    steps[2].text = "CREATE TABLE three (x INTEGER);";
    assert_int_equal(migrate(f, steps, 3, NULL), ERR_OK);
    assert_int_equal(number(f, "PRAGMA user_version"), 3);
}

static void a_failing_chunk_can_be_repaired(void **state)
{
    struct fixture *f = *state;
    struct schema_step steps[] = {first_step(), {2, CHUNKED}};

    old_database(f);
    run_sql(f, "CREATE TRIGGER no BEFORE UPDATE ON registration WHEN old.row = 900 "
               "BEGIN SELECT raise(ABORT, 'no'); END");
    assert_int_equal(migrate(f, steps, 2, NULL), ERR_STORE);
    assert_int_equal(number(f, "PRAGMA user_version"), 1);
    run_sql(f, "DROP TRIGGER no");
    assert_int_equal(migrate(f, steps, 2, NULL), ERR_OK);
    assert_upgraded(f);
}

/* ---- whose database --------------------------------------------------------------------- */

static void newer_and_foreign_databases_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store_config cfg = {.path = f->path};
    struct store *s;
    FILE *file;

    fixture_open(f);
    fixture_close(f);
    run_sql(f, "PRAGMA user_version = 9999");
    assert_int_equal(store_open(&cfg, &s), ERR_SCHEMA);
    run_sql(f, "PRAGMA application_id = 1");
    assert_int_equal(store_open(&cfg, &s), ERR_STORE);
    assert_int_equal(unlink(f->path), 0);

    run_sql(f, "CREATE TABLE theirs (x INTEGER)");
    assert_int_equal(store_open(&cfg, &s), ERR_STORE);
    assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema"), 1);
    assert_int_equal(number(f, "SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
    assert_int_equal(unlink(f->path), 0);

    file = fopen(f->path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("This is not a database.\n", file);
    fclose(file);
    assert_int_equal(store_open(&cfg, &s), ERR_STORE);
}

/* ---- our own steps ---------------------------------------------------------------------- */

/* Observations of the first version belong to endpoints in the second. */
static void observations_get_an_endpoint(void **state)
{
    struct fixture *f = *state;
    struct progress p = {.die_at = 100};
    struct observed o = {0};
    struct schema_step steps[2];
    uint64_t devices;

    assert_int_equal(schema_steps[1].version, 2);
    steps[0] = schema_steps[0];
    steps[1] = schema_steps[1];
    old_database(f);
    run_sql(f, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
               "INSERT INTO observation SELECT i * 1000003 - 150000000, (i % 100 + 1) * 3, 1, "
               "'/3/0/9', -1, 'pmin=5', 77 FROM n");
    run_sql(f, "INSERT INTO observation VALUES (5, 4, 1, '/3', -1, '', 0)"); /* of none */
    kill_while_migrating(f, steps, 100);
    assert_int_equal(number(f, "PRAGMA user_version"), 1);
    assert_int_equal(number(f, "SELECT count(*) FROM observation WHERE device <> 0"), 2 * CHUNK);
    p.die_at = 0;
    assert_int_equal(migrate(f, steps, 2, &p), ERR_OK);
    assert_int_equal(p.first_done, 3 * CHUNK);
    assert_int_equal(number(f, "PRAGMA user_version"), 2);
    assert_int_equal(number(f, "SELECT count(*) FROM observation"), 300);
    assert_int_equal(number(f, "SELECT count(*) FROM device"), 100);
    assert_int_equal(number(f, "SELECT count(*) FROM observation o JOIN registration r USING (row) "
                               "JOIN device d ON d.id = o.device "
                               "WHERE d.endpoint = r.endpoint AND paths = '' AND since = 77"),
                     300);
    fixture_open(f);
    assert_int_equal(read_wanted(f->reader, VIEW_LIT("e7"), observed_add, &o), ERR_OK);
    assert_int_equal(o.count, 3);
    assert_int_equal(read_device_count(f->reader, &devices), ERR_OK);
}

static void our_steps_ascend(void **state)
{
    struct fixture *f = *state;

    fixture_open(f);
    for (size_t i = 1; i < schema_steps_count; i++)
        assert_true(schema_steps[i].version > schema_steps[i - 1].version);
    fixture_close(f);
    assert_int_equal(number(f, "PRAGMA user_version"),
                     schema_steps[schema_steps_count - 1].version);
    assert_int_equal(number(f, "PRAGMA application_id"), MIGRATE_APPLICATION_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_rows_are_visited_once, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(empty_tables_take_chunked_steps, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(killed_in_between_goes_on, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(killed_before_the_end_finishes, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failing_step_changes_nothing, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failing_chunk_can_be_repaired, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(newer_and_foreign_databases_are_refused, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(observations_get_an_endpoint, fixture_folder,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(our_steps_ascend, fixture_folder, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
