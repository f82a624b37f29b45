#include "store/links.h"

#define LINKS_TEXTS 64      /* texts remembered */
#define LINKS_TEXT_MAX 8192 /* bytes of one of them; longer ones are looked up each time */
#define LINKS_COUNTS 1024   /* ids with changes not written yet */

enum { STMT_FIND, STMT_ADD, STMT_COUNT_REFS, STMT_DROP_UNUSED, STMT_COUNT };

static const char *const sql[STMT_COUNT] = {
    [STMT_FIND] = "SELECT id FROM objlist WHERE hash = ?1 AND text = ?2",
    [STMT_ADD] = "INSERT INTO objlist (hash, refs, text) VALUES (?1, 0, ?2)",
    [STMT_COUNT_REFS] = "UPDATE objlist SET refs = refs + ?2 WHERE id = ?1",
    [STMT_DROP_UNUSED] = "DELETE FROM objlist WHERE id = ?1 AND refs = 0",
};

struct known {
    int64_t id; /* 0: empty */
    uint64_t hash;
    char *text;
    size_t n;
};

struct change {
    int64_t id;
    int64_t refs;
    bool dirty; /* also when the changes add up to 0: the text may be new, or unused now */
};

struct links {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMT_COUNT];
    struct hash_key key;
    struct known known[LINKS_TEXTS];
    struct change change[LINKS_COUNTS];
};

static int load_key(struct links *l)
{
    int64_t k0 = 0, k1 = 0;
    int rc = db_number(l->db, "SELECT value FROM meta WHERE key = 'hash_key0'", &k0);

    if (rc == ERR_OK)
        rc = db_number(l->db, "SELECT value FROM meta WHERE key = 'hash_key1'", &k1);
    l->key = (struct hash_key){(uint64_t)k0, (uint64_t)k1};
    return rc == ERR_NOTFOUND ? ERR_STORE : rc;
}

int links_open(sqlite3 *db, struct links **ret_links)
{
    struct links *l = mem_new(sizeof(*l));
    int rc;

    if (!l)
        return ERR_NOMEM;
    l->db = db;
    rc = load_key(l);
    if (rc == ERR_OK)
        rc = db_prepare_all(db, sql, STMT_COUNT, l->stmt);
    if (rc < 0) {
        links_close(l);
        return rc;
    }
    *ret_links = l;
    return ERR_OK;
}

static void known_clear(struct known *k)
{
    mem_free(k->text);
    *k = (struct known){0};
}

void links_close(struct links *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LINKS_TEXTS; i++)
        known_clear(&l->known[i]);
    db_finalize_all(STMT_COUNT, l->stmt);
    mem_free(l);
}

static int write_change(struct links *l, struct change *c)
{
    int rc = ERR_OK;

    if (!c->dirty)
        return ERR_OK;
    if (c->refs != 0) {
        db_bind_i64(l->stmt[STMT_COUNT_REFS], 1, c->id);
        db_bind_i64(l->stmt[STMT_COUNT_REFS], 2, c->refs);
        rc = db_run(l->stmt[STMT_COUNT_REFS]);
    }
    if (rc == ERR_OK && c->refs <= 0) {
        db_bind_i64(l->stmt[STMT_DROP_UNUSED], 1, c->id);
        rc = db_run(l->stmt[STMT_DROP_UNUSED]);
        for (size_t i = 0; rc == ERR_OK && sqlite3_changes(l->db) && i < LINKS_TEXTS; i++) {
            if (l->known[i].id == c->id)
                known_clear(&l->known[i]);
        }
    }
    if (rc == ERR_OK)
        *c = (struct change){0};
    return rc;
}

static int change_refs(struct links *l, int64_t id, int64_t by)
{
    struct change *c = &l->change[(uint64_t)id % LINKS_COUNTS];

    if (c->id != id) {
        int rc = write_change(l, c);

        if (rc < 0)
            return rc;
        c->id = id;
    }
    c->refs += by;
    c->dirty = true;
    return ERR_OK;
}

static void remember(struct known *k, int64_t id, uint64_t hash, struct view text)
{
    known_clear(k);
    if (text.n > LINKS_TEXT_MAX)
        return;
    k->text = mem_text(text.p, text.n);
    if (!k->text)
        return; /* it will be looked up again */
    k->id = id;
    k->hash = hash;
    k->n = text.n;
}

static int find_or_add(struct links *l, uint64_t hash, struct view text, int64_t *ret_id)
{
    sqlite3_stmt *find = l->stmt[STMT_FIND], *add = l->stmt[STMT_ADD];
    int64_t id;
    int result, rc;

    db_bind_u64(find, 1, hash);
    db_bind_text(find, 2, text);
    result = sqlite3_step(find);
    id = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (result == SQLITE_ROW) {
        *ret_id = id;
        return ERR_OK;
    }
    if (result != SQLITE_DONE)
        return db_error(l->db, result);
    db_bind_u64(add, 1, hash);
    db_bind_text(add, 2, text);
    rc = db_run(add);
    if (rc == ERR_OK)
        *ret_id = sqlite3_last_insert_rowid(l->db);
    return rc;
}

int links_get(struct links *l, struct view text, int64_t *ret_id)
{
    uint64_t hash = hash_bytes(&l->key, text);
    struct known *k = &l->known[hash % LINKS_TEXTS];
    int64_t id = k->id;
    int rc = ERR_OK;

    if (text.n == 0) {
        *ret_id = 0;
        return ERR_OK;
    }
    if (!id || k->hash != hash || !view_eq(view_of(k->text, k->n), text)) {
        rc = find_or_add(l, hash, text, &id);
        if (rc == ERR_OK)
            remember(k, id, hash, text);
    }
    if (rc == ERR_OK)
        rc = change_refs(l, id, 1);
    if (rc == ERR_OK)
        *ret_id = id;
    return rc;
}

int links_drop(struct links *l, int64_t id)
{
    return id ? change_refs(l, id, -1) : ERR_OK;
}

int links_flush(struct links *l)
{
    for (size_t i = 0; i < LINKS_COUNTS; i++) {
        int rc = write_change(l, &l->change[i]);

        if (rc < 0)
            return rc;
    }
    return ERR_OK;
}

void links_forget(struct links *l)
{
    memset(l->change, 0, sizeof(l->change));
    for (size_t i = 0; i < LINKS_TEXTS; i++)
        known_clear(&l->known[i]);
}
