/*
 * mbox: a bounded mailbox onto a libuv loop. Any thread posts, the loop's thread receives.
 *
 * Messages carry their own link (no allocation on post). One wake-up per burst: the loop is woken
 * only when the mailbox was empty, and receives the whole list at once, in order per sender.
 */
#ifndef BASE_MBOX_H
#define BASE_MBOX_H

#include "base/base.h"

#include <uv.h>

/* Called on the loop's thread for each message, oldest first; the message belongs to the callee. */
typedef void (*mbox_fn)(void *ctx, struct mbox_node *node);
/* Called after a burst was delivered (may be NULL). */
typedef void (*mbox_idle_fn)(void *ctx);

struct mbox;
/* `limit`: messages waiting at most. Init on the loop's thread. */
struct mbox *mbox_new(uv_loop_t *loop, size_t limit, mbox_fn fn, mbox_idle_fn idle, void *ctx);
/* ERR_FULL at the limit, ERR_STOPPING after mbox_close; the caller keeps the message then. */
int mbox_post(struct mbox *m, struct mbox_node *node);
/* For messages that must not be lost (completions): ignores the limit. */
int mbox_post_always(struct mbox *m, struct mbox_node *node);
size_t mbox_depth(const struct mbox *m);
/* Refuses further posts and hands what waits to fn, from which it may be called too; the handle
 * closes with the loop. Loop's thread. */
void mbox_close(struct mbox *m);
/* After the loop has ended, when no thread can post any more. */
void mbox_free(struct mbox *m);

#endif
