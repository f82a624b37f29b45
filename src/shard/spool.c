#include "shard/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READY_MAX 4          /* files opened ahead */
#define JOB_BYTES_MAX 131072 /* of one append or read */

struct spool {
    uv_loop_t *loop;
    const char *dir;
    struct spool_callbacks cb;
    void *ctx;
    bool closed;
    bool opening;
    int open_rc;
    size_t jobs;
    size_t ready_count;
    int ready[READY_MAX];
};

enum job_kind { JOB_OPEN, JOB_APPEND, JOB_READ };

struct job {
    uv_work_t work;
    struct spool *spool;
    enum job_kind kind;
    uint64_t cookie;
    int fd; /* a descriptor of the job's own, so that the blob may go at any time */
    uint64_t offset;
    int rc;
    size_t n;
    uint8_t bytes[];
};

static int rc_of_errno(int number)
{
    if (number == ENOSPC || number == EDQUOT)
        return ERR_DISKFULL;
    return number == EMFILE || number == ENFILE ? ERR_LIMIT : ERR_IO;
}

static int open_unnamed(const char *dir, int *ret_fd)
{
    char path[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* file systems without O_TMPFILE */
        snprintf(path, sizeof(path), "%s/spool.XXXXXX", dir);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return rc_of_errno(errno);
    *ret_fd = fd;
    return ERR_OK;
}

static int write_all(int fd, const uint8_t *p, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, p, n, (off_t)offset);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return rc_of_errno(errno);
        p += w;
        n -= (size_t)w;
        offset += (uint64_t)w;
    }
    return ERR_OK;
}

static int read_all(int fd, uint8_t *p, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t r = pread(fd, p, n, (off_t)offset);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return ERR_IO;
        p += r;
        n -= (size_t)r;
        offset += (uint64_t)r;
    }
    return ERR_OK;
}

/* On a thread of the pool. */
static void run_job(uv_work_t *work)
{
    struct job *j = work->data;

    switch (j->kind) {
    case JOB_OPEN:
        j->rc = open_unnamed(j->spool->dir, &j->fd);
        break;
    case JOB_APPEND:
        j->rc = write_all(j->fd, j->bytes, j->n, j->offset);
        break;
    case JOB_READ:
        if (j->fd >= 0)
            j->rc = read_all(j->fd, j->bytes, j->n, j->offset);
        break;
    }
}

static void opened(struct spool *s, struct job *j)
{
    s->opening = false;
    s->open_rc = j->rc;
    if (j->rc == ERR_OK && !s->closed && s->ready_count < READY_MAX) {
        s->ready[s->ready_count++] = j->fd;
        j->fd = -1;
    }
}

static void open_ahead(struct spool *s);

static void job_done(uv_work_t *work, int status)
{
    struct job *j = work->data;
    struct spool *s = j->spool;

    (void)status;
    s->jobs--;
    if (j->kind == JOB_OPEN)
        opened(s, j);
    else if (j->kind == JOB_APPEND && !s->closed)
        s->cb.appended(s->ctx, j->cookie, j->rc);
    else if (j->kind == JOB_READ && !s->closed)
        s->cb.bytes(s->ctx, j->cookie, j->rc, view_of(j->bytes, j->rc < 0 ? 0 : j->n));
    if (j->fd >= 0)
        close(j->fd);
    if (!s->closed && j->kind == JOB_OPEN && j->rc == ERR_OK)
        open_ahead(s);
    mem_free(j);
    if (s->closed && s->jobs == 0)
        mem_free(s);
}

static struct job *job_new(struct spool *s, enum job_kind kind, uint64_t cookie, size_t n)
{
    struct job *j = mem_new(sizeof(*j) + n);

    if (!j)
        return NULL;
    j->work.data = j;
    j->spool = s;
    j->kind = kind;
    j->cookie = cookie;
    j->fd = -1;
    j->n = n;
    return j;
}

static int job_start(struct job *j)
{
    if (uv_queue_work(j->spool->loop, &j->work, run_job, job_done) < 0) {
        if (j->fd >= 0)
            close(j->fd);
        mem_free(j);
        return ERR_IO;
    }
    j->spool->jobs++;
    return ERR_OK;
}

static void open_ahead(struct spool *s)
{
    struct job *j;

    if (s->opening || s->ready_count == READY_MAX)
        return;
    j = job_new(s, JOB_OPEN, 0, 0);
    if (j && job_start(j) == ERR_OK)
        s->opening = true;
}

struct spool *spool_new(uv_loop_t *loop, const char *dir, const struct spool_callbacks *cb,
                        void *ctx)
{
    struct spool *s = mem_new(sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->dir = dir;
    s->cb = *cb;
    s->ctx = ctx;
    open_ahead(s);
    return s;
}

static int take_ready(struct spool *s, struct blob **ret_blob)
{
    struct blob *b;

    open_ahead(s);
    if (s->ready_count == 0)
        return s->open_rc < 0 ? s->open_rc : ERR_BUSY;
    b = blob_new_fd(s->ready[s->ready_count - 1], 0);
    if (!b)
        return ERR_NOMEM;
    s->ready_count--;
    open_ahead(s);
    *ret_blob = b;
    return ERR_OK;
}

static int own_descriptor(struct job *j, int fd)
{
    j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return j->fd < 0 ? rc_of_errno(errno) : ERR_OK;
}

int spool_append(struct spool *s, uint64_t cookie, struct blob **blob, struct view bytes)
{
    struct job *j;
    int rc;

    if (bytes.n > JOB_BYTES_MAX)
        return ERR_TOOLARGE;
    if (!*blob) {
        rc = take_ready(s, blob);
        if (rc < 0)
            return rc;
    }
    j = job_new(s, JOB_APPEND, cookie, bytes.n);
    if (!j)
        return ERR_NOMEM;
    rc = own_descriptor(j, (*blob)->fd);
    if (rc < 0) {
        mem_free(j);
        return rc;
    }
    memcpy(j->bytes, bytes.p, bytes.n);
    j->offset = (*blob)->size;
    rc = job_start(j);
    if (rc == ERR_OK)
        (*blob)->size += bytes.n;
    return rc;
}

int spool_read(struct spool *s, uint64_t cookie, const struct blob *blob, uint64_t offset, size_t n)
{
    struct job *j;
    int rc;

    if (offset > blob->size || n > blob->size - offset || n > JOB_BYTES_MAX)
        return ERR_RANGE;
    j = job_new(s, JOB_READ, cookie, n);
    if (!j)
        return ERR_NOMEM;
    j->offset = offset;
    if (blob->fd < 0) {
        memcpy(j->bytes, blob->p + offset, n);
    } else {
        rc = own_descriptor(j, blob->fd);
        if (rc < 0) {
            mem_free(j);
            return rc;
        }
    }
    return job_start(j);
}

void spool_close(struct spool *s)
{
    s->closed = true;
    for (size_t i = 0; i < s->ready_count; i++)
        close(s->ready[i]);
    s->ready_count = 0;
    if (s->jobs == 0)
        mem_free(s);
}
