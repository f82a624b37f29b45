#include "store/durable.h"

#include "store/oprow.h"

#include <stdlib.h>

enum {
    STMT_BY_KEY,
    STMT_BY_ID,
    STMT_PUT,
    STMT_STATE,
    STMT_SET,
    STMT_WAITING,
    STMT_OLDEST,
    STMT_NEWEST,
    STMT_COUNT
};

/* As the partial indexes say it. */
#define OPEN "state IN (0, 1, 5)"

static const char *const sql[STMT_COUNT] = {
    [STMT_BY_KEY] = "SELECT " OPROW_SELECT " WHERE o.key = ?1",
    [STMT_BY_ID] = "SELECT " OPROW_SELECT " WHERE o.id = ?1",
    [STMT_PUT] = "INSERT INTO operation (" OPROW_COLUMNS ") VALUES (" OPROW_PARAMETERS ")",
    [STMT_STATE] = "SELECT state FROM operation WHERE id = ?1",
    [STMT_SET] =
        "UPDATE operation SET (" OPROW_SET_COLUMNS ") = (" OPROW_SET_PARAMETERS ") WHERE id = ?1",
    /* What has expired waits no more. */
    [STMT_WAITING] = "SELECT count(*) FROM (SELECT 1 FROM operation WHERE device = ?1 AND " OPEN
                     " AND state < 2 AND (expires = 0 OR expires > ?2) LIMIT ?3)",
    [STMT_OLDEST] = "SELECT " OPROW_SELECT " WHERE o.device = ?1 AND o." OPEN
                    " AND o.state = ?2 ORDER BY o.id LIMIT ?3",
    [STMT_NEWEST] = "SELECT " OPROW_SELECT " WHERE o.device = ?1 AND o." OPEN
                    " AND o.state = ?2 ORDER BY o.id DESC LIMIT ?3",
};

struct durable {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct known *known; /* borrowed, as marks */
    struct marks *marks;
};

int durable_open(sqlite3 *db, struct known *known, struct marks *marks,
                 struct durable **ret_durable)
{
    struct durable *d = mem_new(sizeof(*d));
    int rc;

    if (!d)
        return ERR_NOMEM;
    d->db = db;
    d->known = known;
    d->marks = marks;
    rc = db_prepare_all(db, sql, STMT_COUNT, d->stmt);
    if (rc < 0) {
        durable_close(d);
        return rc;
    }
    *ret_durable = d;
    return ERR_OK;
}

void durable_close(struct durable *d)
{
    if (!d)
        return;
    db_finalize_all(STMT_COUNT, d->stmt);
    mem_free(d);
}

/* ---- carrying --------------------------------------------------------------------------- */

static int carry_row(sqlite3_stmt *stmt, struct txn *t)
{
    struct operation o, *kept;
    int rc = oprow_read(stmt, &o);

    if (rc == ERR_MALFORMED)
        return ERR_OK; /* it keeps no device from registering */
    if (rc < 0)
        return rc;
    if (!t->carried_operations)
        t->carried_operations = mem_new(DURABLE_CARRIED_MAX * sizeof(struct operation *));
    kept = t->carried_operations ? operation_copy(&o) : NULL;
    if (!kept)
        return ERR_NOMEM;
    t->carried_operations[t->carried_operation_count++] = kept;
    return ERR_OK;
}

/* All rows of a bound statement, and resets it. */
static int carry_rows(struct durable *d, sqlite3_stmt *stmt, struct txn *t)
{
    int result, rc = ERR_OK;

    while (rc == ERR_OK && (result = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = carry_row(stmt, t);
    if (rc == ERR_OK && result != SQLITE_DONE)
        rc = db_error(d->db, result);
    sqlite3_reset(stmt);
    return rc;
}

static int by_age(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;

    return memcmp((*x)->id.b, (*y)->id.b, sizeof((*x)->id.b));
}

/* Those that wait for their turn go before those that may still get a late answer; of these the
 * newest are the likeliest to. */
int durable_carry(struct durable *d, int64_t device, struct txn *t)
{
    static const struct {
        enum op_state state;
        unsigned stmt;
    } kinds[] = {
        {OP_STATE_SENT, STMT_OLDEST},
        {OP_STATE_QUEUED, STMT_OLDEST},
        {OP_STATE_UNKNOWN, STMT_NEWEST},
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < mem_count(kinds); i++) {
        sqlite3_stmt *stmt = d->stmt[kinds[i].stmt];

        db_bind_i64(stmt, 1, device);
        db_bind_i64(stmt, 2, kinds[i].state);
        db_bind_i64(stmt, 3, DURABLE_CARRIED_MAX - (int64_t)t->carried_operation_count);
        rc = carry_rows(d, stmt, t);
    }
    if (rc == ERR_OK && t->carried_operation_count > 0)
        qsort(t->carried_operations, t->carried_operation_count, sizeof(struct operation *),
              by_age);
    return rc;
}

/* ---- a new one -------------------------------------------------------------------------- */

/* Whether its key or its id was used before: that one is carried. */
static int find_first(struct durable *d, struct txn *t)
{
    const struct operation *o = t->operation;
    const struct operation *first;
    int rc = ERR_OK;

    if (o->key.n) {
        db_bind_text(d->stmt[STMT_BY_KEY], 1, o->key);
        rc = carry_rows(d, d->stmt[STMT_BY_KEY], t);
    }
    if (rc == ERR_OK && t->carried_operation_count == 0) {
        db_bind_blob(d->stmt[STMT_BY_ID], 1, view_of(o->id.b, sizeof(o->id.b)));
        rc = carry_rows(d, d->stmt[STMT_BY_ID], t);
    }
    if (rc < 0 || t->carried_operation_count == 0)
        return rc;
    first = t->carried_operations[0];
    return view_eq(first->key, o->key) && first->key_hash != o->key_hash ? ERR_KEYREUSED
                                                                         : ERR_EXISTS;
}

/* Whether the endpoint, which is not registered, may have one more. */
static int check_room(struct durable *d, int64_t device, int64_t now_ms)
{
    sqlite3_stmt *stmt = d->stmt[STMT_WAITING];
    int64_t waiting;
    int result;

    db_bind_i64(stmt, 1, device);
    db_bind_i64(stmt, 2, now_ms);
    db_bind_i64(stmt, 3, DURABLE_WAITING_MAX);
    result = sqlite3_step(stmt);
    waiting = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    if (result != SQLITE_ROW)
        return db_error(d->db, result);
    return waiting < DURABLE_WAITING_MAX ? ERR_OK : ERR_QUEUE;
}

static int insert(struct durable *d, const struct operation *o, int64_t device, int64_t now_ms)
{
    struct oprow_scratch scratch;
    int rc;

    oprow_bind(d->stmt[STMT_PUT], o, device, now_ms, &scratch);
    rc = db_run(d->stmt[STMT_PUT]);
    if (rc == ERR_OK && op_state_settled(o->state))
        marks_add(d->marks, MARK_SETTLED, 1);
    return rc;
}

int durable_put(struct durable *d, struct txn *t)
{
    const struct operation *o = t->operation;
    struct known_device device = {0};
    int64_t now_ms = clock_wall_ms();
    int rc;

    if (!o->endpoint.n || o->endpoint.n > ENDPOINT_MAX || o->key.n > OP_KEY_MAX || !oprow_valid(o))
        return ERR_INVALID;
    rc = find_first(d, t);
    if (rc == ERR_OK)
        rc = known_need(d->known, o->endpoint, &device);
    if (rc == ERR_OK && t->dormant && !device.offline)
        rc = ERR_CONFLICT;
    if (rc == ERR_OK && device.offline)
        rc = check_room(d, device.id, now_ms);
    return rc < 0 ? rc : insert(d, o, device.id, now_ms);
}

/* ---- what becomes of it ----------------------------------------------------------------- */

#define BIT(state) (1u << OP_STATE_##state)
#define ANY ((1u << OP_STATE_COUNT) - 1)

/* What is settled stays so; only of what is unknown a late answer can tell more. */
static const uint32_t next_states[OP_STATE_COUNT] = {
    [OP_STATE_QUEUED] = ANY,
    [OP_STATE_SENT] = ANY,
    [OP_STATE_UNKNOWN] = BIT(DONE) | BIT(REJECTED) | BIT(DEVICE_ERROR),
};

int durable_set(struct durable *d, const struct operation *o)
{
    sqlite3_stmt *stmt = d->stmt[STMT_STATE];
    struct oprow_scratch scratch;
    int64_t state;
    int result, rc;

    if (!oprow_valid(o))
        return ERR_INVALID;
    db_bind_blob(stmt, 1, view_of(o->id.b, sizeof(o->id.b)));
    result = sqlite3_step(stmt);
    state = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    if (result == SQLITE_DONE)
        return ERR_NOTFOUND;
    if (result != SQLITE_ROW)
        return db_error(d->db, result);
    if (state < 0 || state >= OP_STATE_COUNT || !(next_states[state] & 1u << o->state))
        return ERR_STALE;
    oprow_bind_set(d->stmt[STMT_SET], o, clock_wall_ms(), &scratch);
    rc = db_run(d->stmt[STMT_SET]);
    if (rc == ERR_OK && op_state_settled(o->state) && !op_state_settled((enum op_state)state))
        marks_add(d->marks, MARK_SETTLED, 1);
    return rc;
}
