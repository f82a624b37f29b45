#include "model/model.h"

#define BATCH_RECORDS_MAX 65536u
#define BATCH_BYTES_MAX ((size_t)64 << 20)
/* Most batches are one notification: four records and their text need no second allocation. */
#define BATCH_INLINE_RECORDS 4
#define BATCH_INLINE_BYTES 64
#define BATCH_CHUNK_MIN 256
#define BATCH_CHUNK_MAX ((size_t)64 << 10)
#define BATCH_INSERTION_MAX 16

/* Bytes never move: views in the records stay valid while the batch grows. */
struct chunk {
    struct chunk *next;
    size_t n;
    size_t cap;
    uint8_t p[];
};

struct batch {
    struct record *records; /* first, or heap */
    size_t n;
    size_t cap;
    struct chunk *chunks; /* the one being filled first */
    size_t bytes;
    size_t inline_used;
    struct view *prefixes; /* from number 1 on; NULL in most */
    uint16_t prefix_count;
    struct record first[BATCH_INLINE_RECORDS];
    uint8_t inline_bytes[BATCH_INLINE_BYTES];
};

struct batch *batch_new(void)
{
    struct batch *b = mem_new(sizeof *b);

    if (b == NULL)
        return NULL;
    b->records = b->first;
    b->cap = BATCH_INLINE_RECORDS;
    return b;
}

void batch_free(struct batch *b)
{
    struct chunk *next;

    if (b == NULL)
        return;
    for (struct chunk *c = b->chunks; c != NULL; c = next) {
        next = c->next;
        mem_free(c);
    }
    if (b->records != b->first)
        mem_free(b->records);
    mem_free(b->prefixes);
    mem_free(b);
}

/* Powers of four: from the inline records exactly to the limit. */
static int grow_records(struct batch *b)
{
    size_t cap = b->cap * 4;
    struct record *records;

    if (b->cap >= BATCH_RECORDS_MAX)
        return ERR_LIMIT;
    records = mem_resize(b->records == b->first ? NULL : b->records, cap * sizeof *records);
    if (records == NULL)
        return ERR_NOMEM;
    if (b->records == b->first)
        memcpy(records, b->first, sizeof b->first);
    b->records = records;
    b->cap = cap;
    return ERR_OK;
}

static struct chunk *chunk_add(struct batch *b, size_t n)
{
    size_t cap = b->chunks != NULL ? b->chunks->cap * 2 : BATCH_CHUNK_MIN;
    struct chunk *c;

    if (cap > BATCH_CHUNK_MAX)
        cap = BATCH_CHUNK_MAX;
    /* What is large gets a chunk of its own size. */
    if (n > cap / 2)
        cap = n;
    c = mem_new(sizeof *c + cap);
    if (c == NULL)
        return NULL;
    c->cap = cap;
    if (b->chunks != NULL && cap == n) { /* keep filling the one that has room */
        c->next = b->chunks->next;
        b->chunks->next = c;
    } else {
        c->next = b->chunks;
        b->chunks = c;
    }
    return c;
}

static uint8_t *take_bytes(struct batch *b, size_t n)
{
    struct chunk *c = b->chunks;
    uint8_t *p;

    if (n <= sizeof b->inline_bytes - b->inline_used) {
        p = b->inline_bytes + b->inline_used;
        b->inline_used += n;
        return p;
    }
    if (c == NULL || n > c->cap - c->n)
        c = chunk_add(b, n);
    if (c == NULL)
        return NULL;
    p = c->p + c->n;
    c->n += n;
    return p;
}

static bool has_bytes(const struct value *v)
{
    return v->type == VALUE_STRING || v->type == VALUE_OPAQUE || v->type == VALUE_CORELNK;
}

/* A copy of the bytes that lives as long as the batch. */
static int keep_bytes(struct batch *b, struct view v, struct view *ret_copy)
{
    uint8_t *p;

    if (v.n > BATCH_BYTES_MAX - b->bytes)
        return ERR_LIMIT;
    p = take_bytes(b, v.n);
    if (p == NULL)
        return ERR_NOMEM;
    if (v.n > 0)
        memcpy(p, v.p, v.n);
    b->bytes += v.n;
    *ret_copy = view_of(p, v.n);
    return ERR_OK;
}

int batch_add(struct batch *b, const struct record *r)
{
    struct record copy = *r;

    if (b->n == b->cap) {
        int rc = grow_records(b);

        if (rc < 0)
            return rc;
    }
    if (has_bytes(&r->value)) {
        int rc = keep_bytes(b, r->value.u.bytes, &copy.value.u.bytes);

        if (rc < 0)
            return rc;
    }
    b->records[b->n++] = copy;
    return ERR_OK;
}

size_t batch_size(const struct batch *b)
{
    return b->n;
}

const struct record *batch_at(const struct batch *b, size_t i)
{
    return i < b->n ? &b->records[i] : NULL;
}

const struct record *batch_find(const struct batch *b, const struct path *p)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->records[i].prefix == 0 && path_eq(&b->records[i].path, p))
            return &b->records[i];
    return NULL;
}

int batch_cmp(const struct record *a, const struct record *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return path_cmp(&a->path, &b->path);
}

static void sort_by_insertion(struct record *r, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct record moving = r[i];
        size_t at = i;

        while (at > 0 && batch_cmp(&r[at - 1], &moving) > 0) {
            r[at] = r[at - 1];
            at--;
        }
        r[at] = moving;
    }
}

/* Merges from[lo..mid) and from[mid..hi) into to; the left one wins a tie. */
static void merge(const struct record *from, struct record *to, size_t lo, size_t mid, size_t hi)
{
    size_t left = lo, right = mid;

    for (size_t at = lo; at < hi; at++) {
        bool take_left = right == hi || (left < mid && batch_cmp(&from[left], &from[right]) <= 0);

        to[at] = take_left ? from[left++] : from[right++];
    }
}

static void sort_by_merging(struct record *records, struct record *spare, size_t n)
{
    struct record *from = records, *to = spare;

    for (size_t width = 1; width < n; width *= 2) {
        struct record *done = to;

        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n;
            size_t hi = lo + 2 * width < n ? lo + 2 * width : n;

            merge(from, to, lo, mid, hi);
        }
        to = from;
        from = done;
    }
    if (from != records)
        memcpy(records, from, n * sizeof *records);
}

void batch_sort(struct batch *b)
{
    struct record *spare = NULL;
    size_t sorted = 1;

    while (sorted < b->n && batch_cmp(&b->records[sorted - 1], &b->records[sorted]) <= 0)
        sorted++;
    if (sorted >= b->n)
        return;
    if (b->n > BATCH_INSERTION_MAX)
        spare = mem_resize(NULL, b->n * sizeof *spare);
    if (spare != NULL)
        sort_by_merging(b->records, spare, b->n);
    else /* small, or no memory: slower, yet right */
        sort_by_insertion(b->records, b->n);
    mem_free(spare);
}

struct batch *batch_copy(const struct batch *b)
{
    struct batch *copy = batch_new();
    uint16_t number;

    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < b->prefix_count; i++) {
        if (batch_prefix_add(copy, b->prefixes[i], &number) < 0)
            goto fail;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (batch_add(copy, &b->records[i]) < 0)
            goto fail;
    }
    return copy;
fail:
    batch_free(copy);
    return NULL;
}

int batch_prefix_add(struct batch *b, struct view prefix, uint16_t *ret_number)
{
    struct view copy;
    int rc;

    /* Records of one device come together: its prefix is mostly the newest. */
    for (uint16_t i = b->prefix_count; i > 0; i--) {
        if (view_eq(b->prefixes[i - 1], prefix)) {
            *ret_number = i;
            return ERR_OK;
        }
    }
    if (b->prefix_count == BATCH_PREFIXES_MAX)
        return ERR_LIMIT;
    if ((b->prefix_count & (b->prefix_count - 1)) == 0) { /* full: grow to a power of two */
        size_t cap = b->prefix_count > 0 ? (size_t)b->prefix_count * 2 : 1;
        struct view *more = mem_resize(b->prefixes, cap * sizeof *more);

        if (more == NULL)
            return ERR_NOMEM;
        b->prefixes = more;
    }
    rc = keep_bytes(b, prefix, &copy);
    if (rc < 0)
        return rc;
    b->prefixes[b->prefix_count++] = copy;
    *ret_number = b->prefix_count;
    return ERR_OK;
}

struct view batch_prefix(const struct batch *b, uint16_t number)
{
    return number > 0 && number <= b->prefix_count ? b->prefixes[number - 1] : VIEW_LIT("");
}
