#include "daemon/host.h"
#include "daemon/internal.h"
#include "daemon/notify.h"
#include "model/objects_data.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- configuration to parts ---- */

uint16_t parts_shards(const struct conf *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (c->shards > 0)
        return (uint16_t)c->shards;
    return cpus < 1 ? 1 : cpus > 128 ? 128 : (uint16_t)cpus;
}

static uint8_t szx_of(uint64_t block_size)
{
    uint8_t szx = 0;

    while (PDU_BLOCK_SIZE(szx) < block_size)
        szx++;
    return szx;
}

static void make_profiles(const struct conf *c, struct profile out[PROFILE_COUNT])
{
    out[PROFILE_IP] = (struct profile){.name = "ip",
                                       .ack_timeout_ms = (uint32_t)c->coap_ack_timeout_ms,
                                       .ack_random_permille = (uint32_t)c->coap_ack_random * 10,
                                       .max_retransmit = (uint32_t)c->coap_max_retransmit,
                                       .nstart = (uint32_t)c->coap_nstart,
                                       .szx = szx_of(c->coap_block_size)};
    out[PROFILE_NBIOT] = out[PROFILE_IP];
    out[PROFILE_NBIOT].name = "nbiot";
    out[PROFILE_NBIOT].ack_timeout_ms = (uint32_t)c->nbiot_ack_timeout_ms;
    out[PROFILE_NBIOT].max_retransmit = (uint32_t)c->nbiot_max_retransmit;
}

static void make_core_config(const struct server *s, struct core_config *out)
{
    const struct conf *c = &s->conf;

    engine_config_defaults(&out->engine);
    out->engine.profile = &s->profiles[PROFILE_IP];
    out->engine.queue_per_peer = c->limit_device_operations;
    out->engine.body_limit = c->read_body_limit;
    domain_config_defaults(&out->domain);
    out->domain.default_lifetime_s = (uint32_t)c->default_lifetime_s;
    out->domain.grace_s = (uint32_t)c->grace_s;
    out->domain.renewal_interval_s = (uint32_t)c->renewal_interval_s;
    out->domain.awake_window_s = (uint32_t)c->awake_window_s;
    out->domain.durable_limit = c->limit_durable_operations;
    out->domain.replace = (enum replace_policy)c->replace_policy;
    out->domain.device_limit = c->limit_devices;
    out->domain.observation_limit = c->limit_device_observations;
    out->domain.op_limit = c->limit_device_operations;
    out->domain.uplink_body_limit = c->uplink_body_limit;
    out->domain.read_body_limit = c->read_body_limit;
    out->domain.profiles = s->profiles;
    out->domain.profile_count = PROFILE_COUNT;
    out->domain.profile_ids = s->profile_ids;
    out->nbiot_endpoints = c->nbiot_endpoints;
    out->timeline_lines_per_s = (uint32_t)c->timeline_lines_per_s;
    out->key = s->key;
}

/* ---- start, step by step ---- */

static int join_path(char out[PATH_MAX_TEXT], const char *set, const char *dir, const char *name)
{
    int n = set[0] != '\0' ? snprintf(out, PATH_MAX_TEXT, "%s", set)
                           : snprintf(out, PATH_MAX_TEXT, "%s/%s", dir, name);

    return n < 0 || n >= PATH_MAX_TEXT ? ERR_LIMIT : ERR_OK;
}

static int start_folders(struct server *s)
{
    const struct conf *c = &s->conf;
    const char *folders[] = {c->run_dir, c->data_dir};
    int rc;

    for (size_t i = 0; i < mem_count(folders); i++) {
        rc = host_folder(folders[i]);
        if (rc < 0) {
            log_error("a folder cannot be used", log_text("folder", folders[i]),
                      log_text("reason", err_text(rc)));
            return rc;
        }
    }
    if (join_path(s->database, c->store_path, c->data_dir, "lwm2m.db") < 0 ||
        join_path(s->socket, c->api_socket, c->run_dir, "api.sock") < 0 ||
        join_path(s->alive, "", c->data_dir, "alive") < 0)
        return ERR_LIMIT;
    rc = host_lock(c->data_dir);
    if (rc < 0)
        log_error(rc == ERR_BUSY ? "another server uses this data folder"
                                 : "the data folder cannot be locked",
                  log_text("folder", c->data_dir), log_text("reason", err_text(rc)));
    return rc;
}

/* Everything is in the store: the next start may trust its deadlines. */
static void mark_stopped(const struct server *s)
{
    static const char mark[] = "stopped\n";

    if (s->complete && write(s->alive_fd, mark, sizeof(mark) - 1) < 0)
        log_warn("the clean stop cannot be marked", log_text("file", s->alive));
    futimens(s->alive_fd, NULL);
}

/* How long we were away: since the file was last touched. Unknown (first start) is no time at all.
 */
static int start_alive(struct server *s)
{
    struct stat st;

    if (stat(s->alive, &st) == 0) {
        int64_t last = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
        int64_t away = clock_wall_ms() - last;

        s->outage.ms = away > 0 ? away : 0;
        s->outage.killed = st.st_size == 0; /* else it holds the mark of a clean stop */
    }
    s->alive_fd = open(s->alive, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    return s->alive_fd < 0 ? ERR_IO : ERR_OK;
}

static int start_sockets(struct server *s)
{
    struct udp_group_config cfg = {.listen = s->conf.coap_listen.v,
                                   .listen_count = s->conf.coap_listen.n,
                                   .shards = parts_shards(&s->conf),
                                   .receive_buffer = (int)s->conf.coap_receive_buffer,
                                   .steer = s->conf.coap_steering};
    size_t failed = 0;
    int rc = udp_group_open(&cfg, &s->group, &failed);

    if (rc == ERR_EXISTS)
        log_error("the CoAP port is in use", log_addr("address", &cfg.listen[failed]));
    else if (rc < 0)
        log_error("the CoAP address cannot be used", log_addr("address", &cfg.listen[failed]),
                  log_text("reason", err_text(rc)));
    else
        host_receive_buffer(s->conf.coap_receive_buffer, udp_group_receive_buffer(s->group));
    return rc;
}

static void on_migration(void *ctx, unsigned to_version, uint64_t done, uint64_t total)
{
    (void)ctx;
    notify_send("EXTEND_TIMEOUT_USEC=60000000");
    log_info("upgrading the database", log_u64("version", to_version), log_u64("rows", done),
             log_u64("of", total));
}

static struct store_retention retention(const struct conf *c)
{
    return (struct store_retention){
        .operations_s = (uint32_t)c->keep_operations_s,
        .operations = c->keep_operations,
        .history_s = (uint32_t)c->keep_history_s,
        .history = c->keep_history,
        .history_device = c->keep_history_device,
        .timeline_s = (uint32_t)c->keep_timeline_s,
        .timeline = c->keep_timeline,
        .timeline_device = c->keep_timeline_device,
        .offline_s = (uint32_t)c->keep_offline_s,
        .offline = c->keep_offline,
    };
}

static int start_store(struct server *s)
{
    struct store_config cfg = {.path = s->database,
                               .sync = (enum store_sync)s->conf.store_synchronous,
                               .queue_limit = s->conf.store_queue_limit,
                               .batch_limit = 1024,
                               .keep = retention(&s->conf),
                               .progress = on_migration};
    int rc = store_open(&cfg, &s->store);

    if (rc < 0)
        log_error("the database cannot be opened", log_text("file", s->database),
                  log_text("reason", err_text(rc)));
    return rc;
}

static int add_stored_model(void *ctx, uint16_t object, struct version v, struct view xml)
{
    struct object_def *def;
    unsigned line;
    int rc = objectxml_parse(xml, &def, &line);

    if (rc == ERR_OK) {
        rc = registry_add(ctx, def);
        if (rc < 0)
            object_def_free(def);
    }
    if (rc < 0)
        log_warn("a stored object definition was not loaded", log_u64("object", object),
                 log_u64("major", v.major), log_u64("minor", v.minor),
                 log_text("reason", err_text(rc)));
    return ERR_OK;
}

static int start_models(struct server *s)
{
    struct registry *registry = registry_new();
    struct reader *reader = NULL;
    unsigned line = 0;
    int rc = ERR_NOMEM;

    if (!registry)
        return rc;
    rc = registry_load_tsv(registry, view_of(objects_data, objects_data_size), &line);
    if (rc == ERR_OK)
        rc = read_open(s->database, &reader);
    if (rc == ERR_OK)
        rc = read_models(reader, add_stored_model, registry);
    read_close(reader);
    if (rc == ERR_OK) {
        s->models = models_new(registry);
        rc = s->models ? ERR_OK : ERR_NOMEM;
    }
    if (rc < 0) {
        registry_unref(registry);
        log_error("the object definitions cannot be loaded", log_u64("line", line),
                  log_text("reason", err_text(rc)));
    }
    return rc;
}

static void on_event(void *ctx, struct event *e)
{
    struct server *s = ctx;

    known_refusal(e);
    if (s->api)
        api_event(s->api, e);
    else
        event_unref(e);
}

static int start_shards(struct server *s)
{
    struct shards_config cfg = {.shards = parts_shards(&s->conf),
                                .op_queue = s->conf.limit_operations,
                                .spool_dir = s->conf.data_dir};
    struct random random;
    int rc = random_init_secret(&random);

    if (rc < 0)
        return rc;
    s->key = (struct hash_key){.k0 = random_u64(&random), .k1 = random_u64(&random)};
    make_profiles(&s->conf, s->profiles);
    make_core_config(s, &cfg.core);
    s->dir = directory_new(cfg.shards, &s->key);
    if (!s->dir)
        return ERR_NOMEM;
    return shards_new(&cfg, s->group, s->store, s->dir, s->models, on_event, s, &s->shards);
}

static const char *why_not_ready(void *ctx)
{
    return atomic_load(&((struct server *)ctx)->not_ready);
}

static int start_api(struct server *s)
{
    const struct conf *c = &s->conf;
    struct api_deps deps = {.shards = s->shards,
                            .store = s->store,
                            .directory = s->dir,
                            .models = s->models,
                            .profile_ids = s->profile_ids,
                            .not_ready = why_not_ready,
                            .reload = loop_ask_reload,
                            .ctx = s};
    struct api_config cfg;
    size_t failed = 0;
    int rc;

    api_config_defaults(&cfg);
    cfg.listen = c->api_listen.v;
    cfg.listen_count = c->api_listen.n;
    cfg.socket_path = s->socket;
    cfg.socket_group = c->api_socket_group[0] ? c->api_socket_group : NULL;
    cfg.token_file = c->api_token_file[0] ? c->api_token_file : NULL;
    cfg.database = s->database;
    cfg.body_limit = c->api_body_limit;
    cfg.connection_limit = c->api_connection_limit;
    cfg.idle_timeout_s = (unsigned)c->api_idle_timeout_s;
    cfg.event_ring = c->api_event_ring;
    cfg.operation_ttl_s = (uint32_t)c->api_operation_ttl_s;
    cfg.spool_dir = c->data_dir;
    rc = api_start(&cfg, &deps, &s->api, &failed);
    if (rc == ERR_EXISTS && failed < cfg.listen_count)
        log_error("the REST port is in use", log_addr("address", &cfg.listen[failed]));
    else if (rc < 0 && failed < cfg.listen_count)
        log_error("the REST address cannot be used", log_addr("address", &cfg.listen[failed]),
                  log_text("reason", err_text(rc)));
    else if (rc < 0)
        log_error("the API cannot start", log_text("socket", s->socket),
                  log_text("reason", err_text(rc)));
    return rc;
}

static int load_state(struct server *s)
{
    uint64_t begun = clock_mono_ms();
    int rc = shards_load(s->shards, s->database, &s->outage, &s->loaded);

    s->load_ms = clock_mono_ms() - begun;
    if (rc < 0) {
        log_error("the stored registrations cannot be loaded", log_text("reason", err_text(rc)));
        return rc;
    }
    s->complete = true;
    log_info("state is loaded", log_u64("registrations", s->loaded), log_u64("ms", s->load_ms),
             log_i64("outage_ms", s->outage.ms));
    return shards_start(s->shards);
}

int parts_start(struct server *s)
{
    static int (*const steps[])(struct server *) = {
        start_folders, start_alive,  start_sockets, start_store, start_models,
        known_start,   start_shards, start_api,     load_state,
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < mem_count(steps); i++)
        rc = steps[i](s);
    return rc;
}

void parts_stop(struct server *s)
{
    if (s->shards)
        shards_stop(s->shards); /* ends every operation, so that no HTTP client is left waiting */
    if (s->api)
        api_stop(s->api);
    if (s->store)
        store_close(s->store);
    shards_free(s->shards);
    directory_free(s->dir);
    models_free(s->models);
    profiles_free(s->profile_ids);
    udp_group_close(s->group);
    if (s->alive_fd >= 0) {
        mark_stopped(s);
        close(s->alive_fd);
    }
}
