/*
 * A sorted open-addressing table in lines of one cache line each.
 *
 * An entry with hash h belongs into line home(h) = h * lines / 2^32. When that line is full it lies
 * in the next one with room, so all lines between its home and its place are full. All entries are
 * in order of their hash, which makes a miss as cheap as a hit and, because home() is monotone,
 * lets the table grow in place: the number of lines rises by an eighth, and a boundary sweeps down
 * from the highest hash, behind which home() counts with the new number. The old and the new table
 * are the same memory; what moves, moves up by a few lines at a time. A put moves about SWEEP_MOVES
 * entries for the growth and one out of each full line it runs through: a few as a rule, and the
 * longest run of full lines among a million entries is some hundred.
 *
 * The lines are in chunks reached through a directory; chunks nobody wrote to are one shared empty
 * chunk, which also ends the directory, so that no search needs a bound.
 */
#include "base/base.h"

#define LINE_ENTRIES 5
#define CHUNK_SHIFT 5
#define CHUNK_LINES ((size_t)1 << CHUNK_SHIFT)
#define FIRST_LINES 24
#define HASH_END ((uint64_t)1 << 32)
/* Growth starts at this many entries per line (80 %) … */
#define LOAD 4
/* … and adds at least this many lines; more than one in eight would waste memory. */
#define GROW_LINES_MIN 16
#define GROW_PART 8
/* Entries that one insertion looks at, and that it moves, to carry the growth on. Half an entry per
 * line comes in until the next growth is due, so 8 would do; more keeps the time short in which the
 * part not swept yet is fuller than it should be. */
#define SWEEP_LOOKS 64
#define SWEEP_MOVES 24

struct line {
    uint32_t hash[LINE_ENTRIES]; /* ascending */
    uint32_t count;
    void *item[LINE_ENTRIES];
};

struct chunk {
    _Alignas(64) struct line line[CHUNK_LINES];
};

struct table {
    struct chunk **chunk;
    size_t chunks;   /* in the directory, the empty one at its end included */
    size_t cap;      /* of the directory */
    size_t written;  /* chunks of our own */
    uint64_t lines;  /* for hashes >= boundary */
    uint64_t before; /* for hashes < boundary */
    uint64_t boundary;
    size_t size;
    size_t limit;
};

static struct chunk empty_chunk;

_Static_assert(sizeof(struct line) == 64, "one line of the table is one cache line");

static struct line *line_at(const struct table *t, size_t i)
{
    return &t->chunk[i >> CHUNK_SHIFT]->line[i & (CHUNK_LINES - 1)];
}

static size_t home(const struct table *t, uint32_t hash)
{
    return (size_t)(hash * (hash < t->boundary ? t->before : t->lines) >> 32);
}

/* 32 well-mixed bits even of a hash that is none, such as a small number. */
static uint32_t fold(uint64_t hash)
{
    return (uint32_t)(hash * 0x9e3779b97f4a7c15u >> 32);
}

/* Lengthens the directory until it has the given line and an empty chunk after it. */
static int extend(struct table *t, size_t line)
{
    size_t chunks = (line >> CHUNK_SHIFT) + 2;

    if (chunks > t->cap) {
        size_t cap = chunks + chunks / GROW_PART;
        struct chunk **grown = mem_resize(t->chunk, cap * sizeof(struct chunk *));

        if (!grown)
            return ERR_NOMEM;
        t->chunk = grown;
        t->cap = cap;
    }
    while (t->chunks < chunks)
        t->chunk[t->chunks++] = &empty_chunk;
    return ERR_OK;
}

/* Gives a line of the empty chunk a chunk of its own. */
static int own_chunk(struct table *t, size_t line)
{
    struct chunk *chunk;
    int rc = extend(t, line);

    if (rc < 0)
        return rc;
    chunk = mem_new_aligned(sizeof(*chunk), _Alignof(struct chunk));
    if (!chunk)
        return ERR_NOMEM;
    t->chunk[line >> CHUNK_SHIFT] = chunk;
    t->written++;
    return ERR_OK;
}

struct table *table_new(size_t limit)
{
    struct table *t = mem_new(sizeof(*t));

    if (!t)
        return NULL;
    t->limit = limit;
    t->lines = FIRST_LINES;
    if (extend(t, FIRST_LINES - 1) < 0) {
        mem_free(t);
        return NULL;
    }
    return t;
}

int table_reserve(struct table *t, size_t items)
{
    size_t lines = items / LOAD + 1;

    if (t->size > 0 || lines <= t->lines)
        return ERR_OK;
    if (lines > HASH_END)
        return ERR_LIMIT;
    if (extend(t, lines - 1) < 0)
        return ERR_NOMEM;
    t->lines = lines;
    t->boundary = 0;
    return ERR_OK;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->chunks; i++)
        if (t->chunk[i] != &empty_chunk)
            mem_free(t->chunk[i]);
    mem_free(t->chunk);
    mem_free(t);
}

size_t table_size(const struct table *t)
{
    return t->size;
}

/* No later line can hold this hash. */
static bool ends_search(const struct line *l, uint32_t hash)
{
    return l->count < LINE_ENTRIES || l->hash[LINE_ENTRIES - 1] > hash;
}

/* A bit for each entry of the line with this hash. All are compared, so that no branch depends on
 * where it is. */
static inline unsigned line_hits(const struct line *l, uint32_t hash)
{
    unsigned hits = 0;

    for (unsigned k = 0; k < LINE_ENTRIES; k++)
        hits |= (unsigned)(l->hash[k] == hash) << k;
    return hits & ((1u << l->count) - 1);
}

void *table_get(const struct table *t, uint64_t hash, table_eq_fn eq, const void *key)
{
    uint32_t h = fold(hash);

    for (size_t i = home(t, h);; i++) {
        const struct line *l = line_at(t, i);

        for (unsigned hits = line_hits(l, h); hits; hits &= hits - 1) {
            void *item = l->item[__builtin_ctz(hits)];

            if (eq(item, key))
                return item;
        }
        if (ends_search(l, h))
            return NULL;
    }
}

void table_prefetch(const struct table *t, uint64_t hash)
{
    const struct line *l = line_at(t, home(t, fold(hash)));

    __builtin_prefetch(l);
}

const void *table_guess(const struct table *t, uint64_t hash)
{
    uint32_t h = fold(hash);
    const struct line *l = line_at(t, home(t, h));
    unsigned hits = line_hits(l, h);

    return hits ? l->item[__builtin_ctz(hits)] : NULL;
}

/* Opens slot k of a line; what no longer fits comes back through *hash and *item (true). */
static bool line_insert(struct line *l, size_t k, uint32_t *hash, void **item)
{
    size_t last = l->count < LINE_ENTRIES ? l->count : LINE_ENTRIES - 1;
    bool full = l->count == LINE_ENTRIES;
    uint32_t out_hash = full ? l->hash[last] : 0;
    void *out_item = full ? l->item[last] : NULL;

    for (size_t i = last; i > k; i--) {
        l->hash[i] = l->hash[i - 1];
        l->item[i] = l->item[i - 1];
    }
    l->hash[k] = *hash;
    l->item[k] = *item;
    l->count += !full;
    *hash = out_hash;
    *item = out_item;
    return full;
}

static void line_remove(struct line *l, size_t k)
{
    l->count--;
    for (size_t i = k; i < l->count; i++) {
        l->hash[i] = l->hash[i + 1];
        l->item[i] = l->item[i + 1];
    }
}

/* Sees to it that n entries put into line i find memory wherever they push others to. */
static inline int reserve(struct table *t, size_t i, size_t n)
{
    for (size_t found = 0; found < n; i++) {
        if (t->chunk[i >> CHUNK_SHIFT] == &empty_chunk && own_chunk(t, i) < 0)
            return ERR_NOMEM;
        found += LINE_ENTRIES - line_at(t, i)->count;
    }
    return ERR_OK;
}

/* Puts an entry where it belongs, in memory reserved before; returns how many it displaced. */
static size_t place(struct table *t, uint32_t hash, void *item)
{
    size_t i = home(t, hash);
    size_t k = 0;
    size_t moves = 0;
    struct line *l = line_at(t, i);

    while (!ends_search(l, hash))
        l = line_at(t, ++i);
    while (k < l->count && l->hash[k] <= hash)
        k++;
    for (; line_insert(l, k, &hash, &item); k = 0) {
        l = line_at(t, ++i);
        moves++;
    }
    return moves;
}

/* Takes an entry out and closes the gap with what had been displaced over it; returns how many. */
static size_t remove_at(struct table *t, size_t i, size_t k)
{
    struct line *l = line_at(t, i);
    bool displaced = l->count == LINE_ENTRIES;
    size_t moves = 0;

    line_remove(l, k);
    while (displaced) {
        struct line *next = line_at(t, ++i);

        if (next->count == 0 || home(t, next->hash[0]) >= i)
            break;
        l->hash[l->count] = next->hash[0];
        l->item[l->count++] = next->item[0];
        displaced = next->count == LINE_ENTRIES;
        line_remove(next, 0);
        l = next;
        moves++;
    }
    return moves;
}

/* How many entries in a row have the hash of the one at (i, k), counted backwards from there. More
 * than one is rare. */
static inline size_t siblings(const struct table *t, size_t i, size_t k)
{
    const struct line *l = line_at(t, i);
    uint32_t hash = l->hash[k];
    size_t n = 1;

    if (k > 0 && l->hash[k - 1] != hash)
        return n;
    for (;;) {
        for (; k > 0 && l->hash[k - 1] == hash; k--)
            n++;
        if (k > 0 || i == 0)
            return n;
        l = line_at(t, --i);
        k = l->count;
        if (k < LINE_ENTRIES)
            return n;
    }
}

/* What one insertion may still do for the growth. */
struct effort {
    size_t looks;
    size_t moves;
};

static void spend(size_t *left, size_t n)
{
    *left -= n < *left ? n : *left;
}

/*
 * Moves the boundary down over what belongs into the highest line of the old reckoning, as far as
 * the effort goes. Entries are taken from the highest hash down and the boundary follows, so that
 * all behind the entry at hand is right at each moment. An entry whose new home is not past its
 * place stays: the lines between the two have been full before and nothing in front of it was
 * touched.
 */
static int sweep_line(struct table *t, struct effort *e)
{
    uint64_t first = (t->boundary - 1) * t->before >> 32;
    uint64_t low = ((first << 32) + t->before - 1) / t->before;
    size_t i = (size_t)first;

    while (line_at(t, i)->count == LINE_ENTRIES &&
           line_at(t, i)->hash[LINE_ENTRIES - 1] < t->boundary)
        i++;
    for (i++; i-- > first;) {
        struct line *l = line_at(t, i);

        for (size_t k = l->count; k-- > 0 && l->hash[k] >= low;) {
            uint32_t hash = l->hash[k];

            spend(&e->looks, 1);
            if (hash < t->boundary) {
                if (e->looks == 0 || e->moves == 0)
                    return ERR_AGAIN;
                if (reserve(t, (size_t)(hash * t->lines >> 32), siblings(t, i, k)) < 0)
                    return ERR_NOMEM;
                t->boundary = hash;
            }
            if (home(t, hash) <= i)
                continue;
            spend(&e->moves, 1 + place(t, hash, l->item[k]));
            spend(&e->moves, remove_at(t, i, k));
        }
    }
    spend(&e->looks, 1);
    t->boundary = low;
    return ERR_OK;
}

/* One insertion's part of the growth: carries it on, or starts it when the table is full enough. */
static int grow(struct table *t)
{
    struct effort e = {SWEEP_LOOKS, SWEEP_MOVES};
    uint64_t more = t->lines / GROW_PART;

    /* Without memory the sweep stands still and is tried again; the table just gets fuller. */
    while (t->boundary > 0 && e.looks > 0 && e.moves > 0)
        if (sweep_line(t, &e) < 0)
            return ERR_OK;
    if (t->boundary > 0 || t->size < t->lines * LOAD)
        return ERR_OK;
    if (more < GROW_LINES_MIN)
        more = GROW_LINES_MIN;
    if (extend(t, t->lines + more) < 0)
        return ERR_NOMEM;
    t->before = t->lines;
    t->lines += more;
    t->boundary = HASH_END;
    return ERR_OK;
}

int table_put(struct table *t, uint64_t hash, void *item)
{
    uint32_t h = fold(hash);
    int rc;

    if (t->limit && t->size >= t->limit)
        return ERR_LIMIT;
    rc = grow(t);
    if (rc < 0)
        return rc;
    rc = reserve(t, home(t, h), 1);
    if (rc < 0)
        return rc;
    place(t, h, item);
    t->size++;
    return ERR_OK;
}

bool table_del(struct table *t, uint64_t hash, const void *item)
{
    uint32_t h = fold(hash);

    for (size_t i = home(t, h);; i++) {
        const struct line *l = line_at(t, i);

        for (unsigned hits = line_hits(l, h); hits; hits &= hits - 1) {
            size_t k = (size_t)__builtin_ctz(hits);

            if (l->item[k] == item) {
                remove_at(t, i, k);
                t->size--;
                return true;
            }
        }
        if (ends_search(l, h))
            return false;
    }
}

/* Goes from the last place to the first: a removal moves entries only into places gone past. */
void *table_next(const struct table *t, size_t *pos)
{
    const size_t chunk_places = CHUNK_LINES * LINE_ENTRIES;
    size_t places = t->chunks * chunk_places;

    while (*pos < places) {
        size_t at = places - 1 - *pos;
        const struct line *l = line_at(t, at / LINE_ENTRIES);

        if (t->chunk[at / chunk_places] == &empty_chunk) {
            *pos += at % chunk_places + 1;
            continue;
        }
        ++*pos;
        if (at % LINE_ENTRIES < l->count)
            return l->item[at % LINE_ENTRIES];
    }
    return NULL;
}

size_t table_bytes(const struct table *t)
{
    return sizeof(*t) + t->cap * sizeof(struct chunk *) + t->written * sizeof(struct chunk);
}
