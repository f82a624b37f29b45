/*
 * Durable operations and what must hold of them, whatever happens to server, devices and network:
 * none is lost, each gets a final state when the network is whole again, none that may not be
 * repeated is carried out by two attempts, the device did what is reported done, and they leave in
 * the order in which they came.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "operator.h"

/* A random durable one for this device; NULL when the server refuses it at once. */
struct ticket *ledger_ask(struct world *w, unsigned client);
/* Cancels a random one that is not over. */
void ledger_cancel(struct world *w);
/* Its submitter has his answer. */
void ledger_done(struct ticket *t, const struct op *op);
void ledger_event(struct world *w, const struct event *e);
/* The device carries it out, under this token. */
void ledger_carried_out(struct ticket *t, uint64_t token);
/* How many of those that the store has are not settled. */
size_t ledger_open(const struct world *w);
/* Time has passed and the network is whole. */
void ledger_check(struct world *w);

#endif
