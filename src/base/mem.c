#include "base/base.h"

#include <stdlib.h>
#include <sys/mman.h>

void *mem_new(size_t size)
{
    return calloc(1, size ? size : 1);
}

void *mem_new_aligned(size_t size, size_t align)
{
    void *p;

    if (size > SIZE_MAX - align)
        return NULL;
    size = (size + align - 1) & ~(align - 1); /* aligned_alloc wants a multiple */
    p = aligned_alloc(align, size ? size : align);
    if (p)
        memset(p, 0, size);
    return p;
}

void *mem_new_huge(size_t size)
{
    void *p = aligned_alloc(MEM_HUGE, size);

    if (!p)
        return NULL;
    /* Before the first touch. Ordinary pages do as well. */
    (void)madvise(p, size, MADV_HUGEPAGE);
    memset(p, 0, size);
    return p;
}

void *mem_resize(void *p, size_t size)
{
    return realloc(p, size ? size : 1);
}

char *mem_text(const void *p, size_t n)
{
    char *text;

    if (n == SIZE_MAX)
        return NULL;
    text = malloc(n + 1);
    if (!text)
        return NULL;
    if (n)
        memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

void mem_free(void *p)
{
    free(p);
}
