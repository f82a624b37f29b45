/*
 * Private to daemon: the parts in their order. Start: sockets bound, store, definitions, shards
 * made, API up (not ready), state loaded, shards started, ready. Stop: the other way round, nothing
 * answered is lost.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/conf.h"

struct server;

/* Everything up and ready, or a message on standard error and an error. Takes over *conf. `file` is
 * read again at a reload. */
int server_start(struct conf *conf, const char *file, struct server **ret_server);
/* Serves until SIGTERM or SIGINT. */
void server_run(struct server *s);
void server_stop(struct server *s);
/* Where it listens and what to try next, for a person at a terminal. */
void server_greet(const struct server *s);

#endif
