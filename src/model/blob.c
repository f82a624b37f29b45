#include "model/model.h"

#include <unistd.h>

struct blob *blob_new(struct view bytes)
{
    struct blob *b = mem_new(sizeof *b);

    if (b == NULL)
        return NULL;
    b->fd = -1;
    b->size = bytes.n;
    b->p = (uint8_t *)mem_text(bytes.p, bytes.n);
    if (b->p == NULL) {
        mem_free(b);
        return NULL;
    }
    return b;
}

struct blob *blob_new_fd(int fd, uint64_t size)
{
    struct blob *b = mem_new(sizeof *b);

    if (b == NULL)
        return NULL;
    b->fd = fd;
    b->size = size;
    return b;
}

void blob_free(struct blob *b)
{
    if (b == NULL)
        return;
    mem_free(b->p);
    if (b->fd >= 0)
        close(b->fd);
    mem_free(b);
}
