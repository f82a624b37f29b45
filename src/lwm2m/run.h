/*
 * Private to lwm2m/: operations on their way to a device. A run is one of them in the queue of its
 * device; the files below say what it becomes.
 */
#ifndef LWM2M_RUN_H
#define LWM2M_RUN_H

#include "lwm2m/internal.h"

/* ---- select_format.c ------------------------------------------------------------------------- */

/* choose_formats for this device. */
size_t select_format_candidates(const struct device *dev, enum choose_class class,
                                enum value_type type, bool write, int32_t out[CHOOSE_MAX]);
/* The device refused this format, yet took another. */
void select_format_learn(struct device *dev, enum choose_class class, int32_t refused);
struct run;
/* Fills the candidates of an operation. */
void select_format_start(struct run *run, uint64_t now);
/* When the answer refuses the format and there is another one to try: goes on to that. */
bool select_format_next(struct run *run, const struct answer *a);
/* The device took one: only that shows that what it refused before were the formats. */
void select_format_accepted(const struct run *run);

/* ---- queue.c: the operations of a device -------------------------------------------------------
 */

/* What is asked of the device next. */
enum run_step {
    RUN_ITSELF,
    RUN_ATTACH, /* Write-Attributes, because Observe cannot carry the attributes */
    RUN_PROBE,  /* what became of a Create without an answer */
    RUN_PART,   /* a single operation, because the device knows no composites */
    RUN_VERIFY  /* whether a Write has outlived an older one of unknown outcome */
};

/* Where it is in memory. */
enum run_place {
    RUN_QUEUED,   /* device_rare.runs, or domain.orphans on its way to another device */
    RUN_SETTLING, /* domain.settling */
    RUN_LATE      /* device_rare.lates or domain.lates */
};

/* An operation of a device, waiting or under way. */
struct run {
    struct list node;
    struct domain *domain;
    struct device *device;
    struct op *op;
    struct exchange *exchange; /* NULL: not on the wire */
    uint64_t token;
    struct timer limit;
    enum choose_class class;
    uint8_t candidate, candidate_count;
    uint16_t refused; /* bit i: candidate i was */
    int32_t candidates[CHOOSE_MAX];
    bool halting; /* we are cancelling the exchange ourselves */
    bool slot;    /* counts as under way */
    bool retried; /* sent once more because the device had just woken */
    enum run_step step;
    struct composite *parts; /* owned; NULL until it is made of parts */
    bool attached;           /* OBSERVE: the attributes have been written */
    bool own;                /* OBSERVE: not an operator's, but to make a wanted one */
    uint64_t wanted;         /* OBSERVE: token of the wanted one that it makes, 0: a new one */
    uint64_t asked_ms;       /* monotonic: when the last request left */
    /* Of durable ones. */
    struct job *job;     /* the store is being told of it */
    uint64_t not_before; /* monotonic; is not sent earlier */
    uint64_t until;      /* monotonic; parked, an answer: awaited until then */
    bool open;           /* an attempt has ended without an answer: settle.c decides */
    bool parked;         /* only waits to be seen at work; others go on */
    bool overtaken;      /* a newer write was sent since its last attempt */
    bool effect;         /* what it was to bring about has been seen */
    bool verify;         /* follows an overlapping write of unknown outcome */
    bool again;          /* settling: the outcome has changed meanwhile */
    uint8_t probes;
    uint16_t instances;   /* CREATE: announced before the first attempt, plus 1; 0: not known */
    struct op *canceller; /* CANCEL that waits for the store */
    enum run_place place;
    struct list tokens;       /* struct awaited */
    uint64_t registration_id; /* of the device it was last with */
    struct addr peer;         /* where the last attempt went */
};

/* At its place: higher priorities first, then age. Takes op on success. ERR_QUEUE at a limit that
 * those which the store has already (op->stored) do not know. */
int queue_add(struct domain *d, struct device *dev, struct op *op, struct run **ret_run);
void queue_free(struct run *run);
/* Off the device and out of memory; the operation is returned. */
struct op *queue_remove(struct run *run);
/* Off the device, but kept. */
void queue_unlink(struct run *run);
/* Completes it with rc. */
void queue_finish(struct run *run, int rc);
/* Takes the exchange back from the engine; the run is waiting again. */
void queue_halt(struct run *run, uint64_t now);
/* Takes and gives back a place among those under way. */
void queue_take_slot(struct run *run);
void queue_give_slot(struct run *run);
/* Whether it may be done twice without harm. */
bool queue_is_idempotent(const struct op *op);
struct run *queue_find(const struct device *dev, const struct op_id *id);
/* A new Read, Write or Write-Attributes that equals one which still waits, with nothing behind that
 * which it could disturb or miss, would change nothing: the one that waits, or NULL. */
const struct op *queue_twin(const struct device *dev, const struct op *op);
/* While the registration ends or moves to another address nothing is sent to the present one. */
bool queue_is_held(const struct device *dev);
/* It is being removed: the store has been told. */
bool queue_is_ending(const struct device *dev);
/* Whether this one would be sent now. */
bool queue_is_next(struct run *run, uint64_t now);
/* Sends what may be sent. */
void queue_pump(struct domain *d, struct device *dev, uint64_t now);
/* … in a moment: after what is being handled has been answered. */
void queue_pump_soon(struct domain *d, struct device *dev, uint64_t now);
/* Arms the timer of one for what comes first: the submitter's deadline, its expiry, its wait. */
void queue_arm(struct run *run, uint64_t now);
/* Timer of the limits wheel. */
void queue_fire(void *ctx, struct timer *t, uint64_t now);
/* Cancels the exchanges under way so that they are sent anew, to where the device is now. What must
 * not be repeated (Execute, Create) ends: nobody knows whether it was done. */
void queue_rewind(struct domain *d, struct device *dev, uint64_t now);
/* Ends every operation of the device with rc; of durable ones only what is in memory. */
void queue_end_all(struct domain *d, struct device *dev, int rc, uint64_t now);
/* The device sleeps: those that are not durable end. */
void queue_sleep(struct domain *d, struct device *dev, uint64_t now);
/* Takes them off the device; queue_rehome finds them the next owner. */
void queue_orphan(struct domain *d, struct device *dev, uint64_t now);
void queue_rehome(struct domain *d, uint64_t now);
/* Lets an operation look for its device with the next queue_rehome; without memory it ends. */
void queue_stray(struct domain *d, struct op *op /* takes */);
/* Gives the waiting operations of a device that moves a new owner. */
void queue_adopt(struct domain *d, struct device *dev, uint64_t now);
void queue_detach(struct domain *d, struct device *dev);

/* ---- manage.c: operations -------------------------------------------------------------------- */

void manage_op(struct domain *d, struct op *op /* takes */, uint64_t now);
/* Queues our own OBSERVE of a wanted observation. ERR_NOMEM, ERR_QUEUE: op stays the caller's. */
int manage_remake(struct domain *d, struct device *dev, struct op *op, uint64_t wanted);
/* Completes and counts. */
void manage_complete(struct domain *d, struct op *op, int rc);
/* The next of its turn: sends it, or has the store told first. */
void manage_send(struct run *run, uint64_t now);
/* Puts the request on the wire. */
int manage_transmit(struct run *run, uint64_t now);
/* No answer came. */
void manage_silence(struct run *run, int rc, uint64_t now);
/* A token nobody uses, with the slot of the device. */
uint64_t manage_token(struct domain *d, const struct device *dev);
/* "/lwm2m/3/0/9" in the arena; p NULL without memory. */
struct view manage_path(struct domain *d, const struct device *dev, const struct path *p);

/* ---- operation.c: operations that outlive us ------------------------------------------------- */

/* A new one: is stored, and sent when it is its turn. */
void operation_accept(struct run *run, uint64_t now);
/* One that the store has: of a restart, a Register, or from elsewhere. Takes op. */
void operation_arrive(struct domain *d, struct device *dev, struct op *op, uint64_t now);
int operation_load(struct domain *d, const struct operation *o, uint64_t now);
/* What waited for the endpoint while it was not registered; dev NULL: it is on another shard. */
void operation_carried(struct domain *d, struct device *dev, const struct txn *t, uint64_t now);
/* Has the store told of the next attempt, which leaves after that. */
void operation_send(struct run *run, uint64_t now);
/* Notes what an attempt has come to. */
void operation_note(struct run *run, uint64_t token, const struct answer *a, uint64_t now);
/* The attempt was not made. */
void operation_undo(struct run *run);
/* Takes the run off its device and has the outcome stored. */
void operation_settle(struct run *run, enum op_state state, int rc, uint64_t now);
/* Once more, or at last. */
void operation_store(struct run *run, uint64_t now);
/* The attempt that the store hears of now is not made. */
void operation_recall(struct run *run);
/* Its device goes; returns the operation if it is to follow, NULL when somebody else has it. */
struct op *operation_leave(struct run *run);
/* … and does not come back: the store keeps it. */
void operation_drop(struct run *run, int rc);
/* The submitter has waited long enough. */
void operation_release(struct run *run, uint64_t now);
/* Lets a submitter go whose time is up, or who does not wait for a device that sleeps. */
void operation_part(struct run *run, uint64_t now);
bool operation_expired(const struct run *run, uint64_t now);
/* The end of the domain: what the store has not taken yet is handed to it once more. */
void operation_abandon_all(struct domain *d);
void operation_cancel(struct domain *d, struct device *dev, struct op *op, uint64_t now);
void operation_accept_done(struct domain *d, struct job *job, int rc, uint64_t now);
void operation_send_done(struct domain *d, struct job *job, int rc, uint64_t now);
void operation_settle_done(struct domain *d, struct job *job, int rc, uint64_t now);

/* ---- settle.c: what became of it ------------------------------------------------------------- */

/* The device has answered. */
/* The last part of a composite was answered. */
void settle_parts(struct run *run, int rc, uint8_t code, uint64_t now);
void settle_answer(struct run *run, const struct answer *a, uint64_t now);
/* An attempt has ended without an answer: again, later, or never. */
void settle_silence(struct run *run, int rc, uint64_t now);
/* An Update of the device has arrived. */
void settle_updated(struct device *dev);
/* This write is about to leave. */
void settle_sending(struct run *run);
/* What RUN_PROBE asks for: an instance, or (depth 1) the links of its object. Returns the depth. */
int settle_probe_path(const struct run *run, struct path *ret_path);
/* A response with a token of it, after we had given up. False: it is of no use. */
bool settle_late(struct run *run, uint64_t token, const struct answer *a, uint64_t now);
/* Whether one path is at or above the other. */
bool settle_overlap(const struct op *a, const struct op *b);

/* ---- late.c: answers after the end ----------------------------------------------------------- */

struct awaited {
    uint64_t token;
    struct list age;    /* domain.awaited_age */
    struct list of_run; /* run.tokens */
    struct run *run;
};
/* From now on an answer with this token of the run, or with any that has none yet, is recognized
 * when no exchange waits for it. */
void late_await(struct run *run, uint64_t token);
void late_await_all(struct run *run);
/* … no more, with none of its tokens. */
void late_forget(struct run *run);
/* Its outcome is unknown, and the store knows: kept for a day. Takes run and op. */
void late_keep(struct run *run, uint64_t now);
struct run *late_find(const struct device *dev, const struct op_id *id);
/* Out of its list. */
void late_unlink(struct run *run);
/* Gives it up, with its op. */
void late_free(struct run *run);
/* A response that belongs to no exchange: whether it was one of these. */
bool late_answer(struct domain *d, uint64_t token, const struct answer *a, uint64_t now);
/* The registration ends; the device moves to another shard; it has arrived there. */
void late_leave(struct domain *d, struct device *dev);
void late_detach(struct domain *d, struct device *dev);
void late_adopt(struct domain *d, struct device *dev, uint64_t now);
void late_free_all(struct domain *d);

/* ---- presence.c: queue mode ------------------------------------------------------------------ */

/* Not in queue mode, or within its window. */
bool presence_awake(const struct device *dev);
/* Queue mode: it listens long enough for another request. */
bool presence_lasts(const struct domain *d, const struct device *dev, uint64_t now);
/* A message of it has arrived. */
void presence_heard(struct domain *d, struct device *dev, uint64_t now);
/* An exchange has ended: with an answer, or without. */
void presence_answered(struct domain *d, struct device *dev, uint64_t asked_ms, uint64_t now);
void presence_silent(struct domain *d, struct device *dev, uint64_t asked_ms, uint64_t now);
/* Registered, or its queue mode has changed. */
void presence_begin(struct domain *d, struct device *dev, bool awake, uint64_t now);
/* After a restart: it may still listen, as far as its last message in the store says. */
void presence_load(struct domain *d, struct device *dev, uint64_t now);
/* When something is to be done for its presence; UINT64_MAX. */
uint64_t presence_due(const struct domain *d, const struct device *dev, uint64_t now);
void presence_run(struct domain *d, struct device *dev, uint64_t now);
/* Unix ms until which it is taken to be awake; 0 when it is not in queue mode. */
int64_t presence_until(const struct domain *d, const struct device *dev, uint64_t now);

/* ---- composite.c: several paths in one operation ----------------------------------------------
 */

struct composite;
void composite_free(struct composite *c);
bool composite_is(const struct op *op);
/* What is asked of the device now: the operation, or the part of it that is under way. */
struct op *composite_subject(const struct run *run);
/* Before each request: turns to parts when the device is known to need them. */
int composite_prepare(struct run *run);
/* The format of the answer that a composite Read or Observe asks for. */
int32_t composite_accept(const struct run *run);
/* No format that is left can say it: true when it goes on in parts. */
bool composite_splits(struct run *run);
/* After an answer: true when there is another request to make. The answer to a part has been taken
 * then, and also when it was the last: composite_result says what all of them come to. */
bool composite_goes_on(struct run *run, const struct answer *a, uint64_t now);
int composite_result(struct run *run);
void composite_formats(struct run *run);
int composite_fetch(struct run *run, struct outgoing *out, struct buf *body, uint64_t now);
int composite_observe(struct run *run, struct outgoing *out, struct buf *body, uint64_t now);
int composite_patch(struct run *run, struct outgoing *out, struct buf *body, uint64_t now);
int composite_names(struct domain *d, const struct device *dev, const struct batch *names,
                    int32_t format, struct buf *out, uint64_t now);

/* ---- check.c: what an operation may ask for -------------------------------------------------- */

/* Levels, model, attributes, arguments, types; converts the values to the types of the model. */
int check_op(struct domain *d, struct device *dev, struct op *op, uint64_t now);

/* ---- result.c: what the device answered ------------------------------------------------------ */

/* Fills op->result from an answer with a code; returns what the operation ends with. */
int result_read(struct domain *d, struct device *dev, struct op *op, const struct answer *a,
                uint64_t now);
/* After success: what we know of the device now (instances, lifetime). */
void result_learn(struct domain *d, struct device *dev, struct op *op, uint64_t now);

#endif
