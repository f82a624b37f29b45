/*
 * Bodies of our exchanges in blocks (RFC 7959): what we send by Block1, what we receive by Block2.
 */
#include "coap/internal.h"

/* Read from a file at a time, and written to one; a multiple of every block size. */
#define WINDOW ((size_t)16384)
/* What a message needs at most for its payload marker, Block1 or Block2, Size1 and Echo. */
#define OPTIONS_MAX 64
/* What the buffer of a received body may hold above the spool threshold: a window, or one message.
 */
#define BUFFER_EXTRA ((size_t)131072)

/* The number of the block that begins at this offset. */
static uint64_t block_number(uint64_t offset, uint8_t szx)
{
    return offset >> (szx + 4);
}

/* ---- sending ------------------------------------------------------------------------------- */

int block_plan(struct engine *e, struct exchange *x, size_t overhead)
{
    struct upload *up = &x->up;
    size_t room = e->cfg.message_max;

    room = room > overhead + OPTIONS_MAX ? room - overhead - OPTIONS_MAX : 0;
    while (up->szx > 0 && PDU_BLOCK_SIZE(up->szx) > room)
        up->szx--;
    if (up->size > 0 && PDU_BLOCK_SIZE(up->szx) > room)
        return ERR_LIMIT;
    if (block_number(up->size, up->szx) > BLOCK_NUM_MAX)
        return ERR_TOOLARGE;
    up->blocks = up->size > PDU_BLOCK_SIZE(up->szx);
    if (up->blocks)
        engine_count(e, COUNTER_block_transfers_started);
    return ERR_OK;
}

/* Bytes in the current block. */
static size_t block_length(const struct upload *up)
{
    uint64_t left = up->size - up->offset;

    if (!up->blocks || left < PDU_BLOCK_SIZE(up->szx))
        return (size_t)left;
    return PDU_BLOCK_SIZE(up->szx);
}

struct pdu_block block_sent(const struct exchange *x)
{
    const struct upload *up = &x->up;

    return (struct pdu_block){
        .num = (uint32_t)block_number(up->offset, up->szx),
        .more = up->offset + block_length(up) < up->size,
        .szx = up->szx,
    };
}

bool block_current(const struct exchange *x, struct view *ret_bytes)
{
    const struct upload *up = &x->up;
    size_t n = block_length(up);

    if (!up->blob || n == 0) {
        *ret_bytes = view_sub(up->body, (size_t)up->offset, n);
        return true;
    }
    if (up->offset < up->window_at || up->offset + n > up->window_at + up->window_n)
        return false;
    *ret_bytes = view_of(up->window + (up->offset - up->window_at), n);
    return true;
}

int block_read(struct engine *e, struct exchange *x)
{
    struct upload *up = &x->up;
    uint64_t left = up->size - up->offset;
    int rc;

    if (!up->window) {
        if (e->transfer_bytes + WINDOW > e->cfg.transfer_bytes) {
            engine_count(e, COUNTER_block_limit);
            return ERR_LIMIT;
        }
        up->window = mem_new(WINDOW);
        if (!up->window)
            return ERR_NOMEM;
        e->transfer_bytes += WINDOW;
    }
    up->window_at = up->offset;
    up->window_n = 0;
    rc = exchange_job(e, x, EXCHANGE_READING);
    if (rc < 0)
        return rc;
    rc = e->ops.blob_read(e->ctx, x->cookie, up->blob, up->offset,
                          left < WINDOW ? (size_t)left : WINDOW);
    /* When it succeeded the bytes may be here already, and x in any state. */
    if (rc < 0)
        exchange_unjob(e, x);
    return rc;
}

int block_read_done(struct exchange *x, struct view bytes)
{
    struct upload *up = &x->up;
    struct view current;

    if (bytes.n > WINDOW)
        return ERR_INTERNAL;
    if (bytes.n > 0)
        memcpy(up->window, bytes.p, bytes.n);
    up->window_n = bytes.n;
    return block_current(x, &current) ? ERR_OK : ERR_TRUNCATED;
}

static int resize(struct upload *up, uint8_t szx)
{
    if (szx < up->szx)
        up->szx = szx;
    if (block_number(up->size, up->szx) > BLOCK_NUM_MAX)
        return ERR_TOOLARGE;
    return BLOCK_NEXT;
}

/* 4.13: with a smaller size as a hint, the block that was refused is sent again in smaller ones. */
static int upload_refused(struct engine *e, struct upload *up, const struct heard *h)
{
    if (!h->has_block1 || h->block1.szx >= up->szx || up->size <= PDU_BLOCK_SIZE(h->block1.szx))
        return BLOCK_DONE;
    if (!up->blocks)
        engine_count(e, COUNTER_block_transfers_started);
    up->blocks = true;
    return resize(up, h->block1.szx);
}

/* The answer to a block that is not the last one. */
static int upload_next(struct upload *up, const struct heard *h)
{
    bool each_alone = h->has_block1 && !h->block1.more; /* processed block by block */

    if (h->pdu->code != PDU_CONTINUE && !each_alone)
        return ERR_BADANSWER; /* it has not understood that more follows */
    up->offset += block_length(up);
    return resize(up, h->has_block1 ? h->block1.szx : up->szx);
}

/* BLOCK_DONE: the response is the answer, or its beginning. */
static int upload_heard(struct engine *e, struct exchange *x, const struct heard *h)
{
    struct upload *up = &x->up;
    uint8_t code = h->pdu->code;

    if (code == CODE_TOO_LARGE)
        return upload_refused(e, up, h);
    if (code == CODE_INCOMPLETE && up->blocks && up->offset > 0 && !up->restarted) {
        up->restarted = true;
        up->offset = 0;
        return BLOCK_NEXT;
    }
    if (!CODE_IS_SUCCESS(code))
        return BLOCK_DONE;
    if (up->blocks && h->has_block1 && h->block1.num != block_sent(x).num) {
        if (h->pdu->type == PDU_ACK)
            return ERR_BADANSWER;
        return BLOCK_IGNORE;
    }
    if (up->blocks && up->offset + block_length(up) < up->size)
        return upload_next(up, h);
    if (code == PDU_CONTINUE)
        return ERR_BADANSWER;
    if (up->blocks && h->has_block1 && h->block1.szx < up->szx)
        up->szx = h->block1.szx; /* for the next exchange */
    return BLOCK_DONE;
}

/* ---- receiving ----------------------------------------------------------------------------- */

struct pdu_block block_wanted(const struct exchange *x)
{
    const struct download *d = &x->down;

    return (struct pdu_block){.num = (uint32_t)block_number(d->received, d->szx), .szx = d->szx};
}

static void uncount(struct engine *e, struct download *d)
{
    e->transfer_bytes -= d->counted;
    d->counted = 0;
}

void block_spooled(struct engine *e, struct exchange *x)
{
    buf_reset(&x->down.buf);
    uncount(e, &x->down);
}

static void remember(struct download *d, const struct heard *h)
{
    d->code = h->pdu->code;
    d->format = h->format;
    d->etag_n = (uint8_t)h->etag.n;
    if (h->etag.n > 0)
        memcpy(d->etag, h->etag.p, h->etag.n);
}

static int begin(struct engine *e, struct exchange *x, const struct heard *h)
{
    struct download *d = &x->down;

    if (h->block2.num != 0)
        return ERR_INCOMPLETE;
    d->on = true;
    d->observe = h->observe;
    d->sequence = h->sequence;
    d->mid = h->pdu->mid;
    buf_init(&d->buf, e->cfg.spool_threshold + BUFFER_EXTRA);
    remember(d, h);
    engine_count(e, COUNTER_block_transfers_started);
    if (x->observe == 0 && !x->relation)
        return exchange_retoken(e, x);
    return ERR_OK;
}

/* What we asked for has changed meanwhile: from the first block again, once. */
static int restart(struct engine *e, struct download *d)
{
    if (d->restarted)
        return ERR_INCOMPLETE;
    d->restarted = true;
    d->received = 0;
    d->etag_n = 0;
    buf_reset(&d->buf);
    uncount(e, d);
    blob_free(d->spool);
    d->spool = NULL;
    return BLOCK_NEXT;
}

static bool same_etag(const struct download *d, const struct heard *h)
{
    return d->etag_n == 0 || h->etag.n == 0 || view_eq(h->etag, view_of(d->etag, d->etag_n));
}

/* Spools what is held when it is time to; BLOCK_DONE when there was nothing to do. */
static int spool(struct engine *e, struct exchange *x, bool last)
{
    struct download *d = &x->down;
    bool due = d->spool ? last || d->buf.n >= WINDOW : d->received > e->cfg.spool_threshold;
    int rc;

    if (!due)
        return BLOCK_DONE;
    rc = exchange_job(e, x, EXCHANGE_SPOOLING);
    if (rc < 0)
        return rc;
    d->last = last;
    rc = e->ops.spool_append(e->ctx, x->cookie, &d->spool, buf_view(&d->buf));
    /* When it succeeded it may be done already, and x gone. */
    if (rc == ERR_OK)
        return BLOCK_WAIT;
    exchange_unjob(e, x);
    x->state = EXCHANGE_ACKED;
    return rc;
}

static int append(struct engine *e, struct exchange *x, const struct heard *h)
{
    struct download *d = &x->down;
    struct view bytes = h->pdu->payload;

    if (d->received + bytes.n > x->body_limit || (h->has_size2 && h->size2 > x->body_limit)) {
        engine_count(e, COUNTER_block_limit);
        return ERR_TOOLARGE;
    }
    if (e->transfer_bytes + bytes.n > e->cfg.transfer_bytes) {
        engine_count(e, COUNTER_block_limit);
        return ERR_LIMIT;
    }
    buf_put_view(&d->buf, bytes);
    if (d->buf.rc < 0)
        return d->buf.rc;
    d->counted += bytes.n;
    e->transfer_bytes += bytes.n;
    d->received += bytes.n;
    return ERR_OK;
}

/* A block at its place. */
static int take(struct engine *e, struct exchange *x, const struct heard *h)
{
    struct download *d = &x->down;
    bool more = h->has_block2 && h->block2.more;
    size_t n = h->pdu->payload.n;
    int rc;

    if (h->has_block2) {
        size_t size = PDU_BLOCK_SIZE(h->block2.szx);

        if (more ? n != size : n > size)
            return ERR_BADANSWER;
        d->szx = h->block2.szx;
    }
    rc = append(e, x, h);
    if (rc < 0)
        return rc;
    if (more && block_number(d->received, d->szx) > BLOCK_NUM_MAX)
        return ERR_TOOLARGE;
    rc = spool(e, x, !more);
    if (rc != BLOCK_DONE)
        return rc;
    return more ? BLOCK_NEXT : BLOCK_DONE;
}

/* A further block. */
static int continued(struct engine *e, struct exchange *x, const struct heard *h)
{
    struct download *d = &x->down;
    uint64_t offset = 0;

    if (!CODE_IS_SUCCESS(h->pdu->code)) {
        d->on = false; /* the refusal is the answer */
        return BLOCK_DONE;
    }
    if (h->has_block2)
        offset = (uint64_t)h->block2.num * PDU_BLOCK_SIZE(h->block2.szx);
    else if (d->received > 0)
        return ERR_INCOMPLETE;
    if (offset < d->received && h->pdu->type != PDU_ACK)
        return BLOCK_IGNORE;
    if (!same_etag(d, h))
        return restart(e, d);
    if (offset != d->received || (d->received > 0 && h->pdu->code != d->code))
        return ERR_INCOMPLETE;
    if (d->received == 0)
        remember(d, h);
    return take(e, x, h);
}

int block_download_first(struct engine *e, struct exchange *x, const struct heard *h)
{
    int rc = begin(e, x, h);

    return rc < 0 ? rc : take(e, x, h);
}

static int download_heard(struct engine *e, struct exchange *x, const struct heard *h)
{
    if (x->down.on)
        return continued(e, x, h);
    if (CODE_IS_SUCCESS(h->pdu->code) && h->has_block2 && (h->block2.more || h->block2.num > 0))
        return block_download_first(e, x, h);
    if (h->pdu->payload.n > x->body_limit) {
        engine_count(e, COUNTER_block_limit);
        return ERR_TOOLARGE;
    }
    return BLOCK_DONE;
}

int block_heard(struct engine *e, struct exchange *x, const struct heard *h)
{
    if (!x->down.on && x->up.size > 0) {
        int verdict = upload_heard(e, x, h);

        if (verdict != BLOCK_DONE)
            return verdict;
    }
    return download_heard(e, x, h);
}

void block_fini(struct engine *e, struct exchange *x)
{
    if (x->up.window)
        e->transfer_bytes -= WINDOW;
    mem_free(x->up.window);
    uncount(e, &x->down);
    buf_fini(&x->down.buf);
    blob_free(x->down.spool);
}
