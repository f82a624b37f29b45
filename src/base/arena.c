#include "base/base.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(ARENA_ASAN)
#define ARENA_ASAN 1
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
/* Bytes left poisoned behind each piece, so that running over its end is seen. */
#define ARENA_GAP 16
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ARENA_GAP 0
#endif

#define ARENA_ALIGN ((size_t)16)
#define ARENA_BLOCK_MIN ((size_t)4096)

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

/* One block serves once the arena has seen its largest datagram: when a reset finds several, it
 * gives them back and the next allocation takes a single block of their common size. */
struct arena {
    struct arena_block *block;
    uint8_t *p; /* free part of the newest block */
    uint8_t *end;
    size_t used;
    size_t limit;
    size_t want; /* least size of the next block */
};

struct arena *arena_new(size_t limit)
{
    struct arena *a = mem_new(sizeof(*a));

    if (!a)
        return NULL;
    a->limit = limit;
    a->want = ARENA_BLOCK_MIN;
    return a;
}

/* Gives back all blocks; returns the bytes they had. */
static size_t drop_blocks(struct arena *a)
{
    size_t total = 0;

    while (a->block) {
        struct arena_block *older = a->block->older;

        total += a->block->size;
        ASAN_UNPOISON_MEMORY_REGION(a->block->bytes, a->block->size);
        mem_free(a->block);
        a->block = older;
    }
    a->p = NULL;
    a->end = NULL;
    return total;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    drop_blocks(a);
    mem_free(a);
}

static bool add_block(struct arena *a, size_t size)
{
    struct arena_block *block;

    if (size < a->want)
        size = a->want;
    block = mem_resize(NULL, sizeof(*block) + size);
    if (!block)
        return false;
    block->older = a->block;
    block->size = size;
    a->block = block;
    a->p = block->bytes;
    a->end = block->bytes + size;
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t step;
    void *p;

    if (size > a->limit - a->used)
        return NULL;
    step = (size + !size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (step > a->limit - a->used)
        return NULL;
    if ((size_t)(a->end - a->p) < step + ARENA_GAP && !add_block(a, step + ARENA_GAP))
        return NULL;
    p = a->p;
    a->p += step + ARENA_GAP;
    a->used += step;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    if (!a->block)
        return;
    if (a->block->older) {
        a->want = drop_blocks(a);
        return;
    }
    a->p = a->block->bytes;
    ASAN_POISON_MEMORY_REGION(a->block->bytes, a->block->size);
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct view arena_copy(struct arena *a, struct view v)
{
    uint8_t *p = arena_alloc(a, v.n);

    if (!p)
        return VIEW_NONE;
    if (v.n)
        memcpy(p, v.p, v.n);
    return view_of(p, v.n);
}
