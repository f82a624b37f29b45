/*
 * Whoever uses the REST interface: submits operations, and checks that each ends exactly once and
 * that what it says fits what the device did.
 */
#ifndef SIM_OPERATOR_H
#define SIM_OPERATOR_H

#include "shard/shard.h"

struct world;
struct client;

struct ticket {
    struct world *w;
    struct op *op; /* NULL once it is over */
    enum op_kind kind;
    unsigned client;
    uint64_t serial;
    uint64_t submitted, deadline;
    int64_t counter; /* of the device, at the beginning */
    unsigned life;   /* of the server */
    bool done, lost;
    int rc;
    uint64_t token;
    unsigned executed, written; /* by the device */
    unsigned boot;              /* … in this life of it */
    /* Of durable ones (ledger.h). */
    bool durable, repeatable;
    bool promised; /* somebody was told that it is stored */
    bool sent, settled;
    struct op_id id;
    enum op_state state;
};

/* An observation that an operator was told of. */
struct watch {
    bool active;
    unsigned client;
    uint64_t token, registration_id;
    uint64_t since, events;
    int64_t last; /* value of /3/0/9, which rises */
    unsigned life;
};

struct desk {
    struct ticket **tickets;
    size_t count, cap, open;
    struct watch *watches;
    size_t watch_count, watch_cap;
    uint64_t by_rc[64]; /* how they ended, by -rc */
    uint64_t good, lost;
    uint64_t delivered; /* watches that operator_check_watches has seen at work */
};

/* Of a random kind, for a random device. */
void operator_poke(struct world *w);
/* NULL when the server has refused it at once. */
struct ticket *operator_ask(struct world *w, unsigned client, enum op_kind kind);
struct ticket *operator_ticket_new(struct world *w, unsigned client, enum op_kind kind);
/* The operation of the ticket, which completes there. */
struct op *operator_op_new(struct ticket *t);
/* False when the server refuses it at once. */
bool operator_submit(struct ticket *t);
struct ticket *operator_ticket(struct world *w, uint64_t serial);
void operator_event(struct world *w, const struct event *e);
/* The observation of this token that an operator believes in, or NULL. */
struct watch *operator_watch(struct world *w, uint64_t token);
/* The device begins anew: nobody may count on its observations. */
void operator_forget(struct world *w, unsigned client);
/* Observations that a device has kept and reported since have reached the operator too. */
void operator_check_watches(struct world *w);
/* The server was killed or stopped: nothing may be left open; deliveries are counted anew. */
void operator_killed(struct world *w);
void operator_fini(struct world *w);

#endif
