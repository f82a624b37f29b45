#include "api/internal.h"

#include <stdio.h>

#define QUEUE_BEHIND 8192 /* waiting writes from which the store counts as behind */
#define BEAT_SILENCE_MS 10000

void health_live(struct call *c)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "status", "ok");
    call_json(c, MHD_HTTP_OK, json);
}

/* NULL when ready. */
static const char *why_not(struct call *c, char text[96])
{
    const struct api_deps *deps = &c->api->deps;
    const char *why = deps->not_ready(deps->ctx);
    struct store_status status;

    if (why)
        return why;
    store_status(deps->store, &status);
    if (status.rc < 0)
        return err_text(status.rc);
    if (status.queue_depth > QUEUE_BEHIND) {
        snprintf(text, 96, "the store is behind by %zu writes", status.queue_depth);
        return text;
    }
    if (clock_mono_ms() > shards_beat(deps->shards) + BEAT_SILENCE_MS)
        return "a shard does not answer";
    return NULL;
}

void health_ready(struct call *c)
{
    char text[96];
    const char *why = why_not(c, text);
    cJSON *json;

    if (why) {
        problem_status(c, 503, "not-ready", "not ready", why);
        return;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "status", "ready");
    call_json(c, MHD_HTTP_OK, json);
}
