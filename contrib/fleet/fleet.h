/*
 * fleet: a device simulator and load generator. Many devices in one process, each with a source
 * address of its own in 127.0.0.0/8, through one socket.
 *
 * MUST stay cheap: a device is 32 bytes at rest, a message costs some hundred instructions, so that
 * what is measured is the server. MUST know nothing of the server but its wire and its REST API.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "codec/codec.h"

#include <signal.h>

/* ---- options: one table, all modes --------------------------------------------------------- */

enum fleet_mode {
    MODE_REGISTER = 1,
    MODE_UPDATE = 2,
    MODE_DEREGISTER = 4,
    MODE_STORM = 8,
    MODE_SERVE = 16,
    MODE_FLOOR = 32,
    MODE_REST = 64,
    MODE_SUBMIT = 128,
    MODE_SLEEPERS = 256,
};

struct options {
    enum fleet_mode mode;
    const char *mode_name;
    struct addr server; /* CoAP; IPv4 */
    struct addr listen; /* of the floor */
    struct addr api;
    uint64_t devices;
    uint64_t first; /* number of the first device: of its endpoint and its address */
    uint64_t port;  /* local UDP port, 0 = any */
    uint64_t lifetime_s;
    uint64_t window; /* requests outstanding at most */
    uint64_t rate;   /* requests a second offered, 0 = as fast as the window lets */
    uint64_t count;  /* requests, 0 = as long as `duration_ms` or once per device */
    uint64_t duration_ms;
    uint64_t active; /* devices used, spread evenly over all; 0 = all */
    uint64_t seed;
    uint64_t cpu; /* UINT64_MAX: not pinned */
    uint64_t ack_timeout_ms;
    uint64_t max_retransmit;
    uint64_t notify_ms;
    uint64_t send_ms; /* between Sends of a device, 0 = none */
    uint64_t concurrency;
    uint64_t awake_ms;
    uint64_t within_ms; /* a wave of Updates */
    uint64_t operations;
    bool random_order;
    bool notify_confirmable;
    const char *prefix; /* of the endpoint name */
    const char *version;
    const char *pid;    /* profile ID to register with instead of the list, NULL = none */
    const char *state;  /* file that keeps the devices between runs */
    const char *report; /* file that gets a line for each registration acknowledged */
    const char *path;   /* resource that `rest` reads */
};

/* Reads the arguments after the name of the mode; says what is wrong on standard error. */
int options_parse(char *const *arguments, struct options *o);
/* Lists the options of the modes in `modes` on standard error. */
void options_usage(unsigned modes);

/* Set by SIGINT and SIGTERM; every mode ends soon after, with its report. */
extern volatile sig_atomic_t main_stopped;
/* SIGUSR1 since the start. */
extern volatile sig_atomic_t main_signals;

/* ---- hist: latencies, 3 % wide buckets ----------------------------------------------------- */

#define HIST_BUCKETS 1920

struct hist {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HIST_BUCKETS];
};
void hist_add(struct hist *h, uint64_t value);
/* Upper edge of the bucket that holds the given share (0 to 1) of the values; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double share);

/* ---- swarm: the devices -------------------------------------------------------------------- */

#define SWARM_ID_MAX 23
#define SWARM_NO_SLOT UINT32_MAX

/* 32 bytes, as they are in a state file. */
struct swarm_device {
    uint32_t slot; /* exchange under way, SWARM_NO_SLOT when none */
    uint16_t mid;  /* of the next message */
    uint8_t id_len;
    char id[SWARM_ID_MAX]; /* last part of the Location, of no NUL; id_len 0: not registered */
    uint8_t spare[2];
};

struct swarm {
    struct swarm_device *devices;
    size_t count;
    uint32_t first;
    void *map; /* state file with its header, NULL when in memory */
    size_t map_size;
};

/* ERR_INVALID when the state file is of other devices. */
int swarm_open(const struct options *o, struct swarm *ret_swarm);
void swarm_close(struct swarm *s);
size_t swarm_registered(const struct swarm *s);
/* IPv4 address of a device, host order. */
uint32_t swarm_address(const struct swarm *s, uint32_t device);
/* The device of an address; false when it is none of ours. */
bool swarm_find(const struct swarm *s, uint32_t address, uint32_t *ret_device);

/* The Location of a 2.01 becomes the id of the device. */
void swarm_take_location(struct swarm_device *dev, const struct pdu *answer);

/* ---- wire: one socket, a source address per datagram --------------------------------------- */

#define WIRE_DATAGRAM_MAX 1472

struct wire;
int wire_open(const struct options *o, struct wire **ret_wire);
void wire_close(struct wire *w);
/* Room for one datagram, WIRE_DATAGRAM_MAX bytes; wire_commit queues it. */
uint8_t *wire_reserve(struct wire *w);
void wire_commit(struct wire *w, uint32_t source, size_t n);
void wire_flush(struct wire *w);
typedef void (*wire_fn)(void *ctx, uint32_t destination, struct view datagram);
/* Hands over what has arrived, waiting for it at most wait_ns; returns how many. */
unsigned wire_receive(struct wire *w, uint64_t wait_ns, wire_fn each, void *ctx);

/* ---- message: what devices send ------------------------------------------------------------ */

#define MESSAGE_TOKEN_LEN 4

enum message_kind {
    MESSAGE_REGISTER, /* with the profile ID alone, if there is one */
    MESSAGE_TELL,     /* Register with the list in any case */
    MESSAGE_UPDATE,
    MESSAGE_DEREGISTER,
    MESSAGE_NOTIFY,
    MESSAGE_SEND
};

struct message_register {
    uint8_t bytes[512];
    size_t n;
    size_t digits_at; /* of the endpoint's number in it */
};

struct messages {
    struct message_register brief, whole;
    bool has_pid;
    uint32_t first;
    int64_t wall_offset_ms; /* wall clock minus monotonic */
    uint64_t send_ms;
};
int message_init(const struct options *o, struct messages *ret_messages);
/* Writes a Confirmable message into WIRE_DATAGRAM_MAX bytes; returns its length. `lifetime_s`: an
 * Update changes the lifetime to it, 0 = it only renews. */
size_t message_write(const struct messages *m, enum message_kind kind,
                     const struct swarm_device *dev, uint32_t device, uint32_t lifetime_s,
                     uint16_t mid, uint32_t token, uint8_t *out);
/* Two values with their times: of `first_ms` (monotonic), when it is sent first, and of half an
 * interval before. The same bytes for the same arguments. */
size_t message_send(const struct messages *m, uint32_t device, uint64_t first_ms, uint16_t mid,
                    uint32_t token, uint8_t *out);
/* Eight digits. */
void message_digits(uint32_t number, uint8_t *out);
/* An empty ACK or RST. */
size_t message_empty(enum pdu_type type, uint16_t mid, uint8_t *out);

/* ---- client: exchanges of the devices ------------------------------------------------------ */

#define CLIENT_WINDOW_MAX 65535

enum client_outcome { CLIENT_OK, CLIENT_REFUSED, CLIENT_RESET, CLIENT_LOST, CLIENT_OUTCOMES };

struct client_result {
    enum message_kind kind;
    enum client_outcome outcome;
    const struct pdu *answer; /* NULL when none came */
    uint64_t latency_ns;
    uint32_t argument;
};

struct client_ops {
    void (*done)(void *ctx, uint32_t device, const struct client_result *r, uint64_t now_ns);
    /* Whether it listens; NULL: all do, always. */
    bool (*hears)(void *ctx, uint32_t device);
    /* A request of the server, answered through client_wire; NULL: they are ignored. */
    void (*request)(void *ctx, uint32_t device, const struct pdu *p, uint64_t now_ns);
    /* RST to something that is not an exchange of ours (a Non-confirmable notification). */
    void (*reset)(void *ctx, uint32_t device, uint16_t mid);
    /* Writes a MESSAGE_NOTIFY (again); `first_ms` is when it was sent first. */
    size_t (*write_notify)(void *ctx, uint32_t device, uint32_t argument, uint16_t mid,
                           uint64_t first_ms, uint8_t *out);
};

struct client_stats {
    uint64_t sent, retransmitted;
    uint64_t outcomes[CLIENT_OUTCOMES];
    uint64_t unmatched; /* datagrams that answered nothing under way */
    uint64_t told;      /* Registers repeated with the list, the profile ID not being known */
    struct hist latency;
};

struct client;
int client_new(const struct options *o, struct swarm *s, const struct client_ops *ops, void *ctx,
               uint64_t now_ns, struct client **ret_client);
void client_free(struct client *c);
struct wire *client_wire(struct client *c);
const struct client_stats *client_stats(const struct client *c);
size_t client_outstanding(const struct client *c);
/* Starts an exchange of a device that has none. `argument`: of an Update its new lifetime or 0, of
 * a notification the caller's. `since_ns`: from when its latency counts. False when the window is
 * full. */
bool client_send(struct client *c, uint32_t device, enum message_kind kind, uint32_t argument,
                 uint64_t since_ns, uint64_t now_ns);
/* Sends what is queued, handles what arrives within wait_ns, and repeats what is due. */
void client_poll(struct client *c, uint64_t wait_ns);

/* ---- object: what a device can be asked ---------------------------------------------------- */

#define OBJECT_NAME_MAX 32

/* What differs between devices and can be written. */
struct object_state {
    uint32_t lifetime_s;
    int32_t clock_offset_s;
    int16_t dimmer;
    bool on;
    char application[17];
};

struct object_view {
    struct object_state *state;
    const char *endpoint;
    uint32_t device;
    uint64_t now_ms;
    int64_t wall_ms;
    bool update_wanted; /* an Execute or a Write asked for an Update */
};

void object_reset(struct object_state *state, uint32_t lifetime_s);
/* All values at or below the path. ERR_NOTFOUND, ERR_METHOD. */
int object_read(const struct object_view *v, const struct path *p, struct batch *out);
int object_write(struct object_view *v, const struct path *p, const struct batch *values);
int object_execute(struct object_view *v, const struct path *p);
/* Link-format. */
int object_discover(const struct path *p, struct buf *out);
/* The object list of a Register. */
extern const char object_links[];
/* The definitions of objects that this program carries; release with registry_unref. */
int object_definitions(struct registry **ret_registry);

/* ---- request: what the server asks --------------------------------------------------------- */

struct request {
    const struct pdu *pdu;
    struct path path;
    uint32_t accept, observe, format; /* UINT32_MAX: absent */
    struct pdu_block block2;
    bool has_query;
};

struct request_answer {
    uint8_t code;
    int32_t format;
    uint32_t observe; /* UINT32_MAX: absent */
    struct view body; /* of a 2.05; cut into blocks as the request wants */
};
#define REQUEST_ANSWER_NONE                                                                        \
    {                                                                                              \
        .format = FORMAT_NONE, .observe = UINT32_MAX                                               \
    }

/* Borrows p. ERR_BADOPTION, ERR_NOTFOUND (no such path), ERR_TOOLARGE (a body in blocks). */
int request_parse(const struct pdu *p, struct request *ret_request);
/* Sixteen bits of its token: with the message id they tell a repetition. */
uint16_t request_mark(const struct pdu *p);
struct request_answer request_refused(int rc);
/* Piggybacked for a Confirmable request. */
void request_reply(struct wire *w, const struct swarm *s, uint32_t device, const struct request *r,
                   const struct request_answer *a);

/* ---- serial: the order of operations ------------------------------------------------------- */

/*
 * The operations that `submit` hands in for each device are numbered from 0: a Write, an Execute, a
 * Read and so on. Each carries its serial: as the value, as the argument, as the object instance.
 */
#define SERIAL_MAX 64

enum serial_kind { SERIAL_WRITE, SERIAL_EXECUTE, SERIAL_READ, SERIAL_KINDS };

enum serial_verdict {
    SERIAL_IN_ORDER,
    SERIAL_SKIPPED,  /* in order, but not the next */
    SERIAL_DISORDER, /* after a later one */
    SERIAL_AGAIN,    /* it has been here */
};

struct serial_track {
    uint64_t seen; /* a bit each */
    uint8_t next;
};

/* The HTTP request that hands in operation `serial` of a device; its length, or 0 without room. */
size_t serial_request(char *out, size_t room, const char *endpoint, unsigned serial);
/* What the request carries. ERR_NOTFOUND, ERR_METHOD or ERR_INVALID when it is none of these. */
int serial_parse(const struct content_env *env, const struct request *r, enum serial_kind *ret_kind,
                 unsigned *ret_serial);
enum serial_verdict serial_track(struct serial_track *t, unsigned serial);

/* ---- the modes ----------------------------------------------------------------------------- */

int load_run(const struct options *o);
int serve_run(const struct options *o);
int floor_run(const struct options *o);
/* Modes rest and submit. */
int rest_run(const struct options *o);
int sleepers_run(const struct options *o);

/* ---- result: one line of JSON per run ------------------------------------------------------ */

struct result {
    double elapsed_s;
    uint64_t completed; /* within elapsed_s, with success */
    size_t registered;
};
void result_print(const struct options *o, const struct result *r, const struct client_stats *s);
/* Processor time of this process so far, seconds. */
double result_cpu_s(void);
/* The figures of a histogram as members of a JSON object, in microseconds, led by a comma. */
void result_latency(const struct hist *h);

#endif
