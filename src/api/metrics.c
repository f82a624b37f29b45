#include "api/internal.h"

#define METRICS_MAX (1024 * 1024)

/* Prometheus text format 0.0.4. */

static void put_counters(struct buf *out, struct api *a)
{
    const struct shards *shards = a->deps.shards;

    for (int i = 0; i < COUNTER_COUNT; i++) {
        enum counter which = (enum counter)i;
        uint64_t total =
            counter_get(&a->counters, which) + counter_get(store_counters(a->deps.store), which);

        for (uint16_t s = 0; s < shards_count(shards); s++)
            total += counter_get(shards_counters(shards, s), which);
        if (which == COUNTER_log_suppressed)
            total += log_suppressed_total();
        buf_fmt(out,
                "# HELP lwm2m_%s_total %s\n# TYPE lwm2m_%s_total counter\nlwm2m_%s_total %llu\n",
                counter_name(which), counter_help(which), counter_name(which), counter_name(which),
                (unsigned long long)total);
    }
}

static void put_gauge_head(struct buf *out, const char *name, const char *help)
{
    buf_fmt(out, "# HELP lwm2m_%s %s\n# TYPE lwm2m_%s gauge\n", name, help, name);
}

static void put_gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    put_gauge_head(out, name, help);
    buf_fmt(out, "lwm2m_%s %llu\n", name, (unsigned long long)value);
}

static void put_shards(struct buf *out, struct api *a)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } gauges[] = {
        {"devices", "registered devices", offsetof(struct core_stats, domain.devices)},
        {"observations", "observations", offsetof(struct core_stats, domain.observations)},
        {"operations", "operations under way or waiting", offsetof(struct core_stats, domain.ops)},
        {"object_lists", "different object lists in memory",
         offsetof(struct core_stats, domain.objlists)},
        {"renewals_waiting", "renewed lifetimes not yet in the store",
         offsetof(struct core_stats, domain.renewals_waiting)},
        {"registers_pending", "Registers waiting for the store",
         offsetof(struct core_stats, domain.pending_registers)},
        {"coap_peers", "peers with message state", offsetof(struct core_stats, engine.peers)},
        {"coap_exchanges", "requests to devices under way",
         offsetof(struct core_stats, engine.exchanges)},
        {"coap_transfers", "block-wise transfers being received",
         offsetof(struct core_stats, engine.transfers)},
        {"coap_bytes", "memory of the message layer", offsetof(struct core_stats, engine.bytes)},
    };

    for (size_t g = 0; g < mem_count(gauges); g++) {
        put_gauge_head(out, gauges[g].name, gauges[g].help);
        for (uint16_t s = 0; s < shards_count(a->deps.shards); s++) {
            struct core_stats stats;

            shards_stats(a->deps.shards, s, &stats);
            buf_fmt(out, "lwm2m_%s{shard=\"%u\"} %zu\n", gauges[g].name, s,
                    *(const size_t *)(const void *)((const char *)&stats + gauges[g].offset));
        }
    }
}

static void put_store(struct buf *out, struct api *a)
{
    struct store_status s;

    store_status(a->deps.store, &s);
    put_gauge(out, "store_queue", "writes waiting for the disk", s.queue_depth);
    put_gauge(out, "store_last_commit_us", "duration of the last commit", s.last_commit_us);
    put_gauge(out, "store_failing", "1 while commits fail", s.rc < 0 ? 1U : 0U);
    put_gauge(out, "event_readers", "readers of /v1/events", events_readers(a->events));
}

void metrics_show(struct call *c)
{
    struct buf out;

    buf_init(&out, METRICS_MAX);
    put_counters(&out, c->api);
    put_shards(&out, c->api);
    put_store(&out, c->api);
    if (out.rc < 0)
        problem_respond(c, out.rc, NULL);
    else
        call_text(c, MHD_HTTP_OK, "text/plain; version=0.0.4", buf_view(&out));
    buf_fini(&out);
}
