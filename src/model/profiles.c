#include "model/model.h"

#include <pthread.h>
#include <stdlib.h>

/* Places for refusals; an older one of the same place is forgotten. */
#define REFUSALS 16384u

/* What an id stands for; at least one of the two is set. */
struct row {
    struct profile_entry *told; /* by a device, an operator or the store */
    struct profile_entry *file;
};

struct profiles {
    pthread_mutex_t lock; /* held for a search, a copy of pointers, or one insertion */
    struct row *rows;     /* ascending id */
    size_t n, cap, limit;
    bool learn;
    struct hash_key key;
    uint64_t refusals[REFUSALS]; /* hash of endpoint and id; 0 = none */
};

/* ---- ids ------------------------------------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_name(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static bool all(struct view v, bool (*is)(uint8_t c))
{
    for (size_t i = 0; i < v.n; i++)
        if (!is(v.p[i]))
            return false;
    return v.n > 0;
}

/* RFC 6920 section 9.4: the number of a hash suite is one byte. */
static bool is_suite(struct view v)
{
    uint64_t suite;

    return all(v, is_digit) && view_u64(v, UINT8_MAX, &suite) == ERR_OK;
}

int profiles_kind(struct view id, enum profile_kind *ret_kind)
{
    struct view rest = id, scheme;
    enum profile_kind kind = PROFILE_DYNAMIC;

    if (id.n > PROFILE_ID_MAX || !view_split(&rest, ':', &scheme) || rest.p == NULL)
        return ERR_MALFORMED;
    if (view_eq_str(scheme, "oma"))
        kind = PROFILE_OMA;
    else if (view_eq_str(scheme, "v"))
        kind = PROFILE_VENDOR;
    else if (!is_suite(scheme))
        return ERR_MALFORMED;
    if (!all(rest, kind == PROFILE_DYNAMIC ? is_hex : is_name))
        return ERR_MALFORMED;
    *ret_kind = kind;
    return ERR_OK;
}

static struct view trim(struct view v)
{
    while (v.n > 0 && v.p[0] == ' ')
        v = view_sub(v, 1, v.n);
    while (v.n > 0 && v.p[v.n - 1] == ' ')
        v.n--;
    return v;
}

int profiles_split(struct view pid, struct profile_ids *ret_ids)
{
    bool quoted = pid.n > 0 && pid.p[0] == '"';
    struct profile_ids ids = {.n = 0};
    struct view rest = pid, id;
    enum profile_kind kind;

    if (quoted) {
        if (pid.n < 2 || pid.p[pid.n - 1] != '"')
            return ERR_MALFORMED;
        rest = view_sub(pid, 1, pid.n - 2);
    }
    while (view_split(&rest, ',', &id)) {
        id = quoted ? trim(id) : id;
        if (profiles_kind(id, &kind) < 0 || (!quoted && ids.n > 0))
            return ERR_MALFORMED;
        if (ids.n == PROFILE_IDS_MAX)
            return ERR_INVALID;
        ids.v[ids.n++] = id;
    }
    if (ids.n == 0)
        return ERR_MALFORMED;
    *ret_ids = ids;
    return ERR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int entry_new(struct view id, struct view links, enum profile_source source,
                     struct profile_entry **ret_entry)
{
    struct profile_entry *e;
    enum profile_kind kind;

    if (profiles_kind(id, &kind) < 0)
        return ERR_MALFORMED;
    if (links.n > PROFILE_LINKS_MAX)
        return ERR_TOOLARGE;
    e = mem_new(sizeof *e + id.n + links.n + 1);
    if (e == NULL)
        return ERR_NOMEM;
    atomic_init(&e->refs, 1);
    e->source = source;
    memcpy(e->text, id.p, id.n);
    if (links.n > 0)
        memcpy(e->text + id.n, links.p, links.n);
    e->id = view_of(e->text, id.n);
    e->links = view_of(e->text + id.n, links.n);
    *ret_entry = e;
    return ERR_OK;
}

static struct profile_entry *entry_ref(struct profile_entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void profiles_unref(struct profile_entry *e)
{
    if (e != NULL && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        mem_free(e);
}

static struct profile_entry *meaning(const struct row *r)
{
    return r->file != NULL ? r->file : r->told;
}

/* ---- the table; all of this with the lock held ----------------------------------------------- */

/* Index of the first row that does not come before id. */
static size_t lower_bound(const struct profiles *p, struct view id)
{
    size_t from = 0, to = p->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (view_cmp(meaning(&p->rows[middle])->id, id) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct row *find(struct profiles *p, struct view id)
{
    size_t at = lower_bound(p, id);

    return at < p->n && view_eq(meaning(&p->rows[at])->id, id) ? &p->rows[at] : NULL;
}

static void remove_row(struct profiles *p, size_t at)
{
    profiles_unref(p->rows[at].told);
    profiles_unref(p->rows[at].file);
    p->n--;
    memmove(&p->rows[at], &p->rows[at + 1], (p->n - at) * sizeof *p->rows);
}

/* The one learned longest ago; p->n when there is none. */
static size_t oldest(const struct profiles *p)
{
    size_t found = p->n;

    for (size_t i = 0; i < p->n; i++) {
        const struct profile_entry *told = p->rows[i].told;

        if (told == NULL || p->rows[i].file != NULL || told->source != PROFILE_LEARNED)
            continue;
        if (found == p->n || told->since_ms < p->rows[found].told->since_ms)
            found = i;
    }
    return found;
}

static int make_room(struct profiles *p, struct profiles_effect *effect)
{
    size_t at;

    if (p->n < p->limit)
        return ERR_OK;
    at = oldest(p);
    if (at == p->n)
        return ERR_FULL;
    effect->evicted = true;
    memcpy(effect->gone, p->rows[at].told->id.p, p->rows[at].told->id.n);
    effect->gone[p->rows[at].told->id.n] = '\0';
    remove_row(p, at);
    return ERR_OK;
}

/* Room in memory for n rows. */
static int reserve(struct profiles *p, size_t n)
{
    size_t cap = p->cap > 0 ? p->cap : 64;
    struct row *rows;

    while (cap < n)
        cap *= 2;
    if (cap == p->cap)
        return ERR_OK;
    rows = mem_resize(p->rows, cap * sizeof *rows);
    if (rows == NULL)
        return ERR_NOMEM;
    p->rows = rows;
    p->cap = cap;
    return ERR_OK;
}

static struct row *insert(struct profiles *p, struct view id, struct row row)
{
    size_t at = lower_bound(p, id);

    memmove(&p->rows[at + 1], &p->rows[at], (p->n - at) * sizeof *p->rows);
    p->rows[at] = row;
    p->n++;
    return &p->rows[at];
}

static int put(struct profiles *p, struct profile_entry *e, struct profiles_effect *effect)
{
    struct row *row = find(p, e->id);
    int rc = ERR_OK;

    if (row != NULL) {
        bool other = row->told == NULL || !view_eq(row->told->links, e->links);

        effect->conflict = row->told != NULL && other;
        effect->changed = other || row->told->source != e->source;
        profiles_unref(row->told);
        row->told = e;
        return ERR_OK;
    }
    rc = make_room(p, effect);
    if (rc == ERR_OK)
        rc = reserve(p, p->n + 1);
    if (rc < 0)
        return rc;
    (void)insert(p, e->id, (struct row){.told = e});
    effect->changed = true;
    return ERR_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct profiles *profiles_new(size_t limit, bool learn, const struct hash_key *key)
{
    struct profiles *p = mem_new(sizeof *p);

    if (p == NULL)
        return NULL;
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        mem_free(p);
        return NULL;
    }
    p->limit = limit;
    p->learn = learn;
    p->key = *key;
    return p;
}

void profiles_free(struct profiles *p)
{
    if (p == NULL)
        return;
    while (p->n > 0)
        remove_row(p, p->n - 1);
    mem_free(p->rows);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* ---- what the others ask --------------------------------------------------------------------- */

struct profile_entry *profiles_get(struct profiles *p, struct view id)
{
    struct profile_entry *e = NULL;
    const struct row *row;

    pthread_mutex_lock(&p->lock);
    row = find(p, id);
    if (row != NULL)
        e = entry_ref(meaning(row));
    pthread_mutex_unlock(&p->lock);
    return e;
}

size_t profiles_size(struct profiles *p)
{
    size_t n;

    pthread_mutex_lock(&p->lock);
    n = p->n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

size_t profiles_page(struct profiles *p, struct view after, struct profile_entry **ret, size_t n)
{
    size_t at, got = 0;

    pthread_mutex_lock(&p->lock);
    at = lower_bound(p, after);
    if (at < p->n && view_eq(meaning(&p->rows[at])->id, after))
        at++;
    for (; at < p->n && got < n; at++)
        ret[got++] = entry_ref(meaning(&p->rows[at]));
    pthread_mutex_unlock(&p->lock);
    return got;
}

static int define(struct profiles *p, struct profile_entry *e, bool by_device,
                  struct profiles_effect *effect)
{
    const struct row *row;
    int rc = ERR_OK;

    pthread_mutex_lock(&p->lock);
    row = find(p, e->id);
    if (by_device && row != NULL && meaning(row)->source == PROFILE_CONFIGURED)
        rc = ERR_EXISTS;
    else if (!by_device && row != NULL && row->file != NULL)
        rc = ERR_CONFLICT;
    else
        rc = put(p, e, effect);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int profiles_set(struct profiles *p, struct view id, struct view links, enum profile_source source,
                 int64_t since_ms, struct profiles_effect *ret_effect)
{
    struct profiles_effect effect = {.changed = false};
    struct profile_entry *e;
    int rc = entry_new(id, links, source, &e);

    if (rc < 0)
        return rc;
    e->since_ms = since_ms;
    rc = define(p, e, false, &effect);
    if (rc < 0)
        profiles_unref(e);
    else
        *ret_effect = effect;
    return rc;
}

int profiles_learn(struct profiles *p, struct view id, struct view links, int64_t since_ms,
                   struct profiles_effect *ret_effect)
{
    struct profiles_effect effect = {.changed = false};
    struct profile_entry *e;
    int rc = p->learn ? entry_new(id, links, PROFILE_LEARNED, &e) : ERR_FORBIDDEN;

    if (rc < 0)
        return rc;
    e->since_ms = since_ms;
    rc = define(p, e, true, &effect);
    if (rc < 0)
        profiles_unref(e);
    else
        *ret_effect = effect;
    return rc;
}

int profiles_forget(struct profiles *p, struct view id)
{
    struct row *row;
    int rc = ERR_OK;

    pthread_mutex_lock(&p->lock);
    row = find(p, id);
    if (row == NULL)
        rc = ERR_NOTFOUND;
    else if (row->file != NULL)
        rc = ERR_CONFLICT;
    else
        remove_row(p, (size_t)(row - p->rows));
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void free_entries(struct profile_entry **entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        profiles_unref(entries[i]);
    mem_free(entries);
}

static int make_entries(const struct profile_line *lines, size_t n, struct profile_entry **entries)
{
    for (size_t i = 0; i < n; i++) {
        int rc = entry_new(lines[i].id, lines[i].links, PROFILE_CONFIGURED, &entries[i]);

        if (rc < 0)
            return rc;
        entries[i]->from_file = true;
    }
    return ERR_OK;
}

static void drop_file(struct profiles *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++) {
        struct row row = p->rows[i];

        profiles_unref(row.file);
        row.file = NULL;
        if (row.told != NULL)
            p->rows[kept++] = row;
    }
    p->n = kept;
}

/* Room is reserved: nothing fails, and each entry is used. */
static void take_file(struct profiles *p, struct profile_entry **entries, size_t n)
{
    struct profiles_effect ignored;

    drop_file(p);
    for (size_t i = 0; i < n; i++) {
        struct row *row = find(p, entries[i]->id);

        if (row == NULL) {
            /* Past the limit by what operators have configured, if nothing is left to go. */
            (void)make_room(p, &ignored);
            (void)insert(p, entries[i]->id, (struct row){.file = entry_ref(entries[i])});
        } else {
            row->file = entry_ref(entries[i]);
        }
    }
}

static int entry_cmp(const void *a, const void *b)
{
    return view_cmp((*(struct profile_entry *const *)a)->id,
                    (*(struct profile_entry *const *)b)->id);
}

static bool has_duplicate(struct profile_entry **entries, size_t n)
{
    qsort(entries, n, sizeof *entries, entry_cmp);
    for (size_t i = 1; i < n; i++)
        if (view_eq(entries[i - 1]->id, entries[i]->id))
            return true;
    return false;
}

int profiles_set_file(struct profiles *p, const struct profile_line *lines, size_t n)
{
    struct profile_entry **entries;
    int rc;

    if (n > p->limit)
        return ERR_FULL;
    entries = mem_new((n + 1) * sizeof(struct profile_entry *));
    if (entries == NULL)
        return ERR_NOMEM;
    rc = make_entries(lines, n, entries);
    if (rc == ERR_OK && has_duplicate(entries, n))
        rc = ERR_DUPLICATE;
    if (rc == ERR_OK) {
        pthread_mutex_lock(&p->lock);
        rc = reserve(p, p->n + n);
        if (rc == ERR_OK)
            take_file(p, entries, n);
        pthread_mutex_unlock(&p->lock);
    }
    free_entries(entries, n);
    return rc;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static uint64_t refusal(const struct profiles *p, struct view endpoint, struct view id)
{
    uint64_t parts[2] = {hash_bytes(&p->key, endpoint), hash_bytes(&p->key, id)};

    return hash_bytes(&p->key, view_of(parts, sizeof parts)) | 1;
}

void profiles_note_refusal(struct profiles *p, struct view endpoint, struct view id)
{
    uint64_t hash = refusal(p, endpoint, id);

    pthread_mutex_lock(&p->lock);
    p->refusals[(hash >> 1) % REFUSALS] = hash;
    pthread_mutex_unlock(&p->lock);
}

bool profiles_was_refused(struct profiles *p, struct view endpoint, struct view id)
{
    uint64_t hash = refusal(p, endpoint, id);
    bool was;

    pthread_mutex_lock(&p->lock);
    was = p->learn && p->refusals[(hash >> 1) % REFUSALS] == hash;
    pthread_mutex_unlock(&p->lock);
    return was;
}

void profiles_clear_refusal(struct profiles *p, struct view endpoint, struct view id)
{
    uint64_t hash = refusal(p, endpoint, id);
    uint64_t *place = &p->refusals[(hash >> 1) % REFUSALS];

    pthread_mutex_lock(&p->lock);
    if (*place == hash)
        *place = 0;
    pthread_mutex_unlock(&p->lock);
}
