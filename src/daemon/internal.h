/* Private to daemon: the server, shared by its parts and its loop. */
#ifndef DAEMON_INTERNAL_H
#define DAEMON_INTERNAL_H

#include "api/api.h"
#include "daemon/server.h"

#include <uv.h>

#define PATH_MAX_TEXT 4096

enum { PROFILE_IP, PROFILE_NBIOT, PROFILE_COUNT };

struct server {
    struct conf conf;
    const char *file;
    char database[PATH_MAX_TEXT], socket[PATH_MAX_TEXT], alive[PATH_MAX_TEXT];
    struct profile profiles[PROFILE_COUNT];
    struct hash_key key;
    struct udp_group *group;
    struct store *store;
    struct models *models;
    struct profiles *profile_ids;
    struct directory *dir;
    struct shards *shards;
    struct api *api;
    _Atomic(const char *) not_ready; /* NULL when ready */
    struct outage outage;
    bool complete; /* all state was loaded: a stop leaves all of it in the store */
    int alive_fd;
    uint64_t loaded, load_ms;
    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup;
    uv_timer_t alive_timer, watchdog_timer;
    uv_async_t reload;
};

/* ---- parts: what a server is made of, from its configuration ---- */

/* Starts one after the other; the first that fails has said so on the log. */
int parts_start(struct server *s);
/* Stops and frees those that were started, the other way round. */
void parts_stop(struct server *s);
/* How many shards the configuration asks for; 0 there is one for each processor, up to 128. */
uint16_t parts_shards(const struct conf *c);

/* ---- known: profile IDs, from the store and the file ---- */

/* Both say on the log what has failed. */
int known_start(struct server *s);
/* The file again; when it is refused, what was in it before stays. */
int known_reload(struct server *s);
/* Names are given out by OMA or agreed on with the operator, so one that nobody has told us of is
 * worth a line of the log; a hash that has yet to be learned is not. */
void known_refusal(const struct event *e);

/* ---- loop, of the main thread: signals, reload, watchdog, the file `alive` ---- */

void loop_open(struct server *s);
/* Until SIGTERM or SIGINT. */
void loop_run(struct server *s);
void loop_close(struct server *s);
/* api_deps.reload, from an API thread: only the answer of a check; the loop does the work. */
int loop_ask_reload(void *ctx);

#endif
