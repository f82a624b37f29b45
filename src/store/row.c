#include "store/row.h"

/* In the order of ROW_COLUMNS; parameters count from 1, results from 0. */
enum column {
    COL_ROW,
    COL_ENDPOINT,
    COL_REG_ID,
    COL_GENERATION,
    COL_OBJLIST,
    COL_VERSION,
    COL_LIFETIME,
    COL_LIFETIME_GIVEN,
    COL_BINDING,
    COL_QUEUE,
    COL_SMS,
    COL_PROFILE,
    COL_UNKNOWN,
    COL_PEER,
    COL_LOCAL,
    COL_TRANSPORT,
    COL_LISTENER,
    COL_IDENTITY_TYPE,
    COL_IDENTITY,
    COL_REGISTERED,
    COL_UPDATED,
    COL_EXPIRES,
    COL_SEEN
};

#define V4_LEN 6  /* address, port */
#define V6_LEN 20 /* address, port, scope */
#define V4_MAPPED 12

int64_t row_version(struct version v)
{
    return v.major * 256 + v.minor;
}

struct version row_version_of(int64_t number)
{
    return (struct version){(uint8_t)(number / 256), (uint8_t)(number % 256)};
}

struct view row_error(int rc)
{
    return rc == ERR_OK ? VIEW_LIT("") : view_str(err_name(rc));
}

int row_error_of(struct view name)
{
    if (name.n == 0)
        return ERR_OK;
    for (int i = 1; i < ERR_N_COUNT; i++) {
        if (view_eq_str(name, err_name(-i)))
            return -i;
    }
    return ERR_INTERNAL;
}

#define LEVELS 4
#define LEVEL_BITS 16
#define TOP_BIT (UINT64_C(1) << 63)

/* Level i counts from the top. */
static unsigned shift_of(unsigned i)
{
    return LEVEL_BITS * (LEVELS - 1 - i);
}

int64_t row_path(const struct path *p)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < p->depth; i++)
        number |= ((uint64_t)p->id[i] + 1) << shift_of(i);
    return (int64_t)(number ^ TOP_BIT);
}

int64_t row_path_last(const struct path *p)
{
    uint64_t below = p->depth < LEVELS ? UINT64_MAX >> LEVEL_BITS * p->depth : 0;

    return (int64_t)((((uint64_t)row_path(p) ^ TOP_BIT) | below) ^ TOP_BIT);
}

struct path row_path_of(int64_t number)
{
    uint64_t bits = (uint64_t)number ^ TOP_BIT;
    struct path p = {0};

    for (unsigned i = 0; i < LEVELS; i++) {
        unsigned level = bits >> shift_of(i) & MODEL_ID_NONE;

        if (level == 0)
            break;
        p.id[p.depth++] = (uint16_t)(level - 1);
    }
    return p;
}

static struct view pack_addr(const struct addr *a, uint8_t out[ROW_ADDR_MAX])
{
    struct wr w = wr_init(out, ROW_ADDR_MAX);

    if (addr_is_v4(a)) {
        wr_bytes(&w, view_of(a->ip + V4_MAPPED, sizeof(a->ip) - V4_MAPPED));
        wr_u16(&w, a->port);
    } else {
        wr_bytes(&w, view_of(a->ip, sizeof(a->ip)));
        wr_u16(&w, a->port);
        wr_u16(&w, a->scope);
    }
    return wr_view(&w);
}

static int unpack_addr(struct view v, struct addr *ret_addr)
{
    struct rd r = rd_init(v);
    struct addr a = {0};

    if (v.n == V4_LEN) {
        a.ip[10] = a.ip[11] = 0xff;
        memcpy(a.ip + V4_MAPPED, v.p, sizeof(a.ip) - V4_MAPPED);
        rd_bytes(&r, sizeof(a.ip) - V4_MAPPED);
        a.port = rd_u16(&r);
    } else if (v.n == V6_LEN) {
        memcpy(a.ip, v.p, sizeof(a.ip));
        rd_bytes(&r, sizeof(a.ip));
        a.port = rd_u16(&r);
        a.scope = rd_u16(&r);
    } else {
        return ERR_MALFORMED;
    }
    *ret_addr = a;
    return ERR_OK;
}

void row_bind(sqlite3_stmt *stmt, const struct registration *r, int64_t objlist,
              struct row_scratch *scratch)
{
    db_bind_u64(stmt, COL_ROW + 1, r->row);
    db_bind_text(stmt, COL_ENDPOINT + 1, r->endpoint);
    db_bind_u64(stmt, COL_REG_ID + 1, r->id);
    db_bind_u64(stmt, COL_GENERATION + 1, r->generation);
    db_bind_i64(stmt, COL_OBJLIST + 1, objlist);
    db_bind_i64(stmt, COL_VERSION + 1, row_version(r->version));
    db_bind_i64(stmt, COL_LIFETIME + 1, r->lifetime_s);
    db_bind_i64(stmt, COL_LIFETIME_GIVEN + 1, r->lifetime_given);
    db_bind_i64(stmt, COL_BINDING + 1, r->binding);
    db_bind_i64(stmt, COL_QUEUE + 1, r->queue_mode);
    db_bind_text(stmt, COL_SMS + 1, r->sms);
    db_bind_text(stmt, COL_PROFILE + 1, r->profile);
    db_bind_text(stmt, COL_UNKNOWN + 1, r->unknown);
    db_bind_blob(stmt, COL_PEER + 1, pack_addr(&r->flow.peer, scratch->peer));
    db_bind_blob(stmt, COL_LOCAL + 1, pack_addr(&r->flow.local, scratch->local));
    db_bind_i64(stmt, COL_TRANSPORT + 1, r->flow.transport);
    db_bind_i64(stmt, COL_LISTENER + 1, r->flow.listener);
    db_bind_i64(stmt, COL_IDENTITY_TYPE + 1, r->identity.type);
    db_bind_text(stmt, COL_IDENTITY + 1, r->identity.name);
    db_bind_i64(stmt, COL_REGISTERED + 1, r->registered_ms);
    db_bind_i64(stmt, COL_UPDATED + 1, r->updated_ms);
}

/* Copies a text column; false without memory. */
static bool keep(sqlite3_stmt *stmt, enum column column, struct arena *a, struct view *ret_view)
{
    struct view v = db_column_bytes(stmt, (int)column);

    *ret_view = v.n ? arena_copy(a, v) : VIEW_LIT("");
    return ret_view->p != NULL;
}

static int64_t number(sqlite3_stmt *stmt, enum column column)
{
    return sqlite3_column_int64(stmt, (int)column);
}

int row_read(sqlite3_stmt *stmt, struct arena *a, struct registration **ret_registration,
             int64_t *ret_objlist)
{
    struct registration *r = arena_alloc(a, sizeof(*r));
    int rc;

    if (!r)
        return ERR_NOMEM;
    *r = (struct registration){
        .row = db_column_u64(stmt, COL_ROW),
        .id = db_column_u64(stmt, COL_REG_ID),
        .generation = db_column_u64(stmt, COL_GENERATION),
        .version = row_version_of(number(stmt, COL_VERSION)),
        .lifetime_s = (uint32_t)number(stmt, COL_LIFETIME),
        .lifetime_given = number(stmt, COL_LIFETIME_GIVEN) != 0,
        .binding = (uint8_t)number(stmt, COL_BINDING),
        .queue_mode = number(stmt, COL_QUEUE) != 0,
        .flow.transport = (uint8_t)number(stmt, COL_TRANSPORT),
        .flow.listener = (uint8_t)number(stmt, COL_LISTENER),
        .identity.type = (enum identity_type)number(stmt, COL_IDENTITY_TYPE),
        .registered_ms = number(stmt, COL_REGISTERED),
        .updated_ms = number(stmt, COL_UPDATED),
        .expires_ms = number(stmt, COL_EXPIRES),
        .seen_ms = number(stmt, COL_SEEN),
    };
    if (!keep(stmt, COL_ENDPOINT, a, &r->endpoint) || !keep(stmt, COL_SMS, a, &r->sms) ||
        !keep(stmt, COL_PROFILE, a, &r->profile) || !keep(stmt, COL_UNKNOWN, a, &r->unknown) ||
        !keep(stmt, COL_IDENTITY, a, &r->identity.name))
        return ERR_NOMEM;
    rc = unpack_addr(db_column_bytes(stmt, COL_PEER), &r->flow.peer);
    if (rc == ERR_OK)
        rc = unpack_addr(db_column_bytes(stmt, COL_LOCAL), &r->flow.local);
    if (rc < 0)
        return rc;
    if (r->flow.transport >= TRANSPORT_COUNT || r->identity.type >= IDENTITY_TYPE_COUNT)
        return ERR_MALFORMED; /* others index tables with them */
    if (sqlite3_column_type(stmt, COL_EXPIRES) == SQLITE_NULL)
        return ERR_MALFORMED; /* its row of renewal is missing */
    *ret_objlist = number(stmt, COL_OBJLIST);
    *ret_registration = r;
    return ERR_OK;
}
