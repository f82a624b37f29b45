/*
 * api: the northbound surface. REST/JSON over TCP and a unix socket, events (SSE), metrics, health.
 *
 * MUST authenticate, bound and check everything that comes in, answer every failure with a problem
 * (RFC 9457) and never hang. MUST NOT hold a pointer into a shard: it submits op, reads the store
 * on its own read-only connection per thread, and receives event. libmicrohttpd, cJSON (and libcurl
 * for webhooks) live here.
 */
#ifndef API_API_H
#define API_API_H

#include "shard/shard.h"

struct api_config {
    const struct addr *listen; /* TCP addresses; a token is required unless loopback */
    size_t listen_count;
    const char *socket_path;  /* unix socket, 0660; NULL = none */
    const char *socket_group; /* group that may connect beside root and our own uid; NULL = none */
    const char *token_file;   /* lines "name sha256-hex"; NULL = none */
    const char *database;     /* for the readers */
    size_t body_limit;        /* request bodies, bytes; default 16 MiB */
    size_t connection_limit;  /* default 1 024 */
    unsigned threads;         /* default 4 */
    unsigned idle_timeout_s;  /* default 30: slow or silent clients are closed and counted */
    size_t event_ring;        /* default 65 536 */
    uint32_t op_timeout_ms;   /* longest wait for a device, default 110 000 */
    uint32_t operation_ttl_s; /* of durable operations that name none, default 604 800 */
    const char *spool_dir;    /* folder for large bodies */
};
void api_config_defaults(struct api_config *cfg);

/* What the API stands on. All outlive it. */
struct api_deps {
    struct shards *shards;
    struct store *store;
    struct directory *directory;
    struct models *models;
    struct profiles *profile_ids;
    /* NULL-terminated reason when the server is not ready for another reason than store or disk. */
    const char *(*not_ready)(void *ctx);
    /* /admin/reload: SIGHUP's work; ERR_… when the new configuration was refused. */
    int (*reload)(void *ctx);
    void *ctx;
};

struct api;
/* Binds and serves at once; routes that need state answer 503 while api_deps.not_ready says why.
 * On failure *ret_failed is the index of the address, or listen_count for the unix socket. */
int api_start(const struct api_config *cfg, const struct api_deps *deps, struct api **ret_api,
              size_t *ret_failed);
void api_stop(struct api *a);
/* The address a listener is bound to (port 0 resolved). */
const struct addr *api_address(const struct api *a, size_t listener);
/* From any thread; takes e. Stamps its id and keeps it in the ring. */
void api_event(struct api *a, struct event *e);
/* Reads the token file again (reload). */
int api_reload_tokens(struct api *a);
const struct counters *api_counters(const struct api *a);

#endif
