#include "daemon/server.h"
#include "daemon/host.h"
#include "daemon/internal.h"
#include "daemon/notify.h"

#define DESCRIPTORS_PER_SHARD 16

static void log_listeners(const struct server *s)
{
    for (size_t i = 0; i < udp_group_size(s->group); i++)
        log_info("listening", log_text("for", "coap"),
                 log_addr("address", udp_group_address(s->group, i)));
    for (size_t i = 0; i < s->conf.api_listen.n; i++)
        log_info("listening", log_text("for", "rest"), log_addr("address", api_address(s->api, i)));
    log_info("listening", log_text("for", "rest"), log_text("socket", s->socket));
}

int server_start(struct conf *conf, const char *file, struct server **ret_server)
{
    struct server *s = mem_new(sizeof(*s));
    int rc;

    if (!s)
        return ERR_NOMEM;
    s->conf = *conf;
    *conf = (struct conf){0};
    s->file = file;
    s->alive_fd = -1;
    atomic_store(&s->not_ready, "state is still loading");
    loop_open(s);
    host_descriptors(s->conf.api_connection_limit + DESCRIPTORS_PER_SHARD * parts_shards(&s->conf) +
                     64);
    host_conntrack();
    rc = parts_start(s);
    if (rc < 0) {
        server_stop(s);
        return rc;
    }
    atomic_store(&s->not_ready, NULL);
    log_listeners(s);
    notify_send("READY=1");
    *ret_server = s;
    return ERR_OK;
}

void server_run(struct server *s)
{
    loop_run(s);
}

void server_stop(struct server *s)
{
    atomic_store(&s->not_ready, "the server is stopping");
    parts_stop(s);
    loop_close(s);
    conf_fini(&s->conf);
    mem_free(s);
}

void server_greet(const struct server *s)
{
    char text[ADDR_TEXT_MAX];

    fprintf(stderr, "\nlwm2m-serverd is ready (%llu registrations loaded in %llu ms, %u shards).\n",
            (unsigned long long)s->loaded, (unsigned long long)s->load_ms, shards_count(s->shards));
    for (size_t i = 0; i < udp_group_size(s->group); i++) {
        addr_format(udp_group_address(s->group, i), text);
        fprintf(stderr, "  CoAP  coap://%s\n", text);
    }
    for (size_t i = 0; i < s->conf.api_listen.n; i++) {
        addr_format(api_address(s->api, i), text);
        fprintf(stderr, "  REST  http://%s/v1/devices\n", text);
    }
    fprintf(stderr, "  CLI   lwm2m-serverctl --socket %s devices\n", s->socket);
    fprintf(stderr, "Register a device, then try: lwm2m-serverctl --socket %s watch\n\n",
            s->socket);
}
