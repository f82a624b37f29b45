/*
 * A scripted LwM2M client over a network that may do anything to a datagram: registers, updates,
 * answers, notifies, registers anew, in its own words (wire.h).
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "shard/shard.h"
#include "wire.h"

#define CLIENT_OBSERVATIONS 8
#define CLIENT_HEARD 32  /* requests remembered against duplicates */
#define CLIENT_SPEAKS 12 /* Confirmable messages of its own under way, besides the request */
#define CLIENT_INSTANCES 8
#define CLIENT_REJECTED 64
#define CLIENT_LISTENS (93 * SECOND)

struct world;

/* How the clients of a world are. Permille; seconds. */
struct client_style {
    uint32_t lifetime_min, lifetime_max;
    uint32_t changes;   /* Updates that change something */
    uint32_t separate;  /* requests answered later */
    uint32_t con;       /* notifications that are Confirmable */
    uint32_t long_body; /* clients with a long manufacturer string */
    uint32_t alt_path;  /* clients with an alternate path */
    uint32_t sends;     /* Updates followed by a Send */
    uint32_t sleeps;    /* clients in queue mode */
    uint32_t notify_min, notify_max;
};

enum client_asks { CLIENT_REGISTER, CLIENT_UPDATE, CLIENT_DEREGISTER, CLIENT_SEND };

/* The request of its own that it waits for. */
struct client_request {
    bool active, acked, changes;
    enum client_asks what;
    struct wire m;
    uint8_t bytes[WIRE_MAX];
    size_t n;
    unsigned tries;
    uint64_t wait, due, sent_at;
    uint32_t lifetime_s; /* asked for */
    uint32_t instances;
    struct flow flow; /* it left from */
};

struct client_observation {
    bool active;
    uint64_t token;
    char path[32];
    int64_t format;
    uint32_t sequence;
    uint64_t due;
    uint16_t mid;   /* of the last notification */
    uint32_t acked; /* Confirmable ones sent since `counted` */
    uint64_t counted;
    bool waiting; /* a Confirmable one is under way */
    bool strayed; /* … left from an address that the server may not know */
};

struct client_speech {
    bool active;
    uint16_t mid;
    uint64_t token; /* of a notification, 0 */
    uint8_t bytes[WIRE_MAX];
    size_t n;
    unsigned tries;
    uint64_t wait, due, since;
};

struct client_heard {
    bool used;
    uint16_t mid;
    uint64_t token;
    size_t n; /* 0: no answer yet */
    uint8_t bytes[WIRE_MAX];
};

struct client {
    struct world *w;
    unsigned index, boots;
    char endpoint[24];
    struct client_style style;
    bool on;         /* powered */
    bool registered; /* as far as it knows */
    bool obstinate;  /* never updates: its registration will expire */
    bool moved;      /* its address changed since the server last acknowledged it */
    const char *version, *alt;
    bool long_body;
    bool sleeper;           /* queue mode: hears nothing after a while */
    uint64_t listens_until; /* … of silence */
    const char *pid;        /* its profile ID; NULL: always tells the list */
    bool tells_list;        /* … because the ID alone was refused */
    struct flow flow;
    char location[WIRE_TEXT];
    uint64_t id; /* registration id of the location */
    uint32_t lifetime_s;
    uint32_t floor_s;   /* the shortest that the server may have understood; 0: infinite */
    uint32_t instances; /* bits: instances of /3303 */
    uint32_t known_instances;
    uint64_t register_at, update_at; /* UINT64_MAX: not planned */
    uint64_t acknowledged_at;        /* when the last acknowledged Register or Update was sent */
    uint64_t answered_at;            /* … and when the answer came */
    bool unlucky;                    /* the server was killed before that was written down */
    uint64_t shortened_at;           /* when the lifetime became shorter */
    uint64_t strayed_at;             /* when a late copy of an Update led the server astray */
    uint64_t heard_at;               /* when a datagram of it last reached the server */
    uint64_t registrations, unlucky_times, updates, refusals, rst_heard, notified;
    int64_t counter; /* /3/0/9: rises with each look */
    uint16_t mid;
    uint64_t armed; /* its timer in the world */
    struct client_request ask;
    uint8_t last_token[8], last_token_n; /* of the last answered request */
    struct client_observation observations[CLIENT_OBSERVATIONS];
    struct client_speech speech[CLIENT_SPEAKS];
    struct client_heard heard[CLIENT_HEARD];
    unsigned heard_next;
    uint64_t rejected[CLIENT_REJECTED]; /* tokens of notifications that were rejected */
    char note[32];                      /* /3/0/14 */
    uint8_t upload[16384];              /* /5/0/0 being received */
    size_t upload_n;
    uint64_t uploads;
};

void client_init(struct client *c, struct world *w, unsigned index);
/* Power on: registers within `ms`. */
void client_start(struct client *c, uint64_t ms);
/* Without a word. */
void client_off(struct client *c);
/* Loses what it had in memory, and registers. */
void client_reboot(struct client *c);
/* Another address; one that knows of it sends an Update at once. */
void client_rebind(struct client *c, bool knows);
void client_update(struct client *c, bool change);
/* What the server believes after an Update: true, or the copy of an earlier one was so late that it
 * overtook a newer one. From another address, or after more messages than the server remembers,
 * nobody can tell without security. */
void client_believed(struct client *c, const struct flow *flow, uint32_t lifetime_s);
void client_deregister(struct client *c);

void client_input(struct client *c, const struct flow *flow, struct view datagram);
void client_run(struct client *c);
uint64_t client_next(const struct client *c);

/* ---- client_serve.c: what the server asks ---- */

void client_serve(struct client *c, const struct wire *req);
/* Ends one of its observations itself, with an error notification (RFC 7641 section 4.2). Returns
 * the token, or 0 when it has none. */
uint64_t client_unobserve(struct client *c);
/* Notifications that are due. */
void client_notify(struct client *c);
void client_links(const struct client *c, uint32_t instances, char out[WIRE_TEXT]);
void client_transmit(struct client *c, const struct wire *m);
/* Confirmable, repeated until it is acknowledged. `token`: of a notification, or 0. */
bool client_speak(struct client *c, struct wire *m, uint64_t token, uint64_t delay);
/* The server has told it to forget that observation. */
bool client_was_rejected(const struct client *c, uint64_t token);
struct client_observation *client_observation(struct client *c, uint64_t token);
uint64_t client_token(const struct wire *m);

#endif
