/*
 * conf: the configuration file, by one table (options.def).
 *
 * Private to daemon. Reading reports every mistake with its line, not only the first.
 */
#ifndef DAEMON_CONF_H
#define DAEMON_CONF_H

#include "base/base.h"
#include "net/net.h"

#include <stdio.h>

#define CONF_ADDRS_MAX NET_LISTENERS_MAX

struct conf_addrs {
    struct addr v[CONF_ADDRS_MAX];
    size_t n;
};

/* Texts are owned by the configuration. */
struct conf {
    char *run_dir, *data_dir, *store_path, *api_socket, *api_socket_group, *api_token_file,
        *nbiot_endpoints, *profiles_file;
    struct conf_addrs coap_listen, api_listen;
    uint64_t shards, coap_receive_buffer, coap_ack_timeout_ms, coap_ack_random, coap_max_retransmit,
        coap_nstart, coap_block_size, nbiot_ack_timeout_ms, nbiot_max_retransmit, uplink_body_limit,
        read_body_limit, default_lifetime_s, grace_s, renewal_interval_s, store_queue_limit,
        keep_operations_s, keep_operations, keep_history_s, keep_history, keep_history_device,
        keep_timeline_s, keep_timeline, keep_timeline_device, keep_offline_s, keep_offline,
        api_body_limit, api_connection_limit, api_idle_timeout_s, api_event_ring,
        api_operation_ttl_s, limit_operations, limit_device_operations, limit_device_observations,
        limit_devices, limit_durable_operations, awake_window_s, timeline_lines_per_s,
        profiles_limit;
    uint64_t log_level, log_format, replace_policy, store_synchronous; /* index of the choice */
    bool coap_steering, profiles_learn;
};

/* A value that replaces the default, for conf_sample. */
struct conf_override {
    const char *section, *key, *value;
};

/* Defaults, then the file. Each mistake is one line "file:line: …" on `errors`; ERR_INVALID when
 * there was any, ERR_NOTFOUND or ERR_IO when the file cannot be read. */
int conf_load(const char *file, FILE *errors, struct conf *ret_conf);
void conf_fini(struct conf *c);

/* A commented file; defaults are commented out, overrides are not. */
void conf_sample(FILE *out, const struct conf_override *overrides, size_t count);
/* lwm2m-serverd.conf(5), as man source. */
void conf_man(FILE *out);

/* Takes over from `next` what may change while running, and names on `log` what needs a restart. */
void conf_reload(struct conf *c, const struct conf *next);

#endif
