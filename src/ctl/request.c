#include "ctl/ctl.h"

#include <stdio.h>

bool request_device_path(char out[REQUEST_PATH_MAX], const char *endpoint, const char *what,
                         const char *path)
{
    char *escaped = http_escape(endpoint);
    int n = -1;

    if (escaped)
        n = snprintf(out, REQUEST_PATH_MAX, "/v1/devices/%s%s%s%s%s", escaped, what[0] ? "/" : "",
                     what, path[0] && path[0] != '/' ? "/" : "", path);
    mem_free(escaped);
    return n > 0 && n < REQUEST_PATH_MAX;
}

bool request_options(const struct ctl *ctl, char path[REQUEST_PATH_MAX])
{
    const struct {
        const char *name, *value;
    } options[] = {
        {"format", ctl->format}, {"ttl", ctl->ttl},       {"priority", ctl->priority},
        {"retry", ctl->retry},   {"source", ctl->source}, {"max-age", ctl->max_age},
    };
    size_t n = strlen(path);

    for (size_t i = 0; i < mem_count(options); i++) {
        char *escaped = options[i].value ? http_escape(options[i].value) : NULL;
        int w = 0;

        if (escaped)
            w = snprintf(path + n, REQUEST_PATH_MAX - n, "%c%s=%s", strchr(path, '?') ? '&' : '?',
                         options[i].name, escaped);
        mem_free(escaped);
        if (w < 0 || (size_t)w >= REQUEST_PATH_MAX - n)
            return false;
        n += (size_t)w;
    }
    return true;
}

enum ctl_exit request_too_long(void)
{
    fputs("lwm2m-serverctl: the argument is too long\n", stderr);
    return CTL_USAGE;
}

static enum ctl_exit waiting(const struct ctl *ctl, const cJSON *json, const char *body)
{
    const cJSON *operation = cJSON_GetObjectItemCaseSensitive(json, "operation");

    if (ctl->json)
        puts(body);
    else
        print_object(operation ? operation : json); /* an observation of one that sleeps */
    return CTL_WAITING;
}

enum ctl_exit request_send(const struct ctl *ctl, const char *method, const char *path,
                           const cJSON *body, void (*show)(const cJSON *))
{
    char *text = body ? cJSON_PrintUnformatted(body) : NULL;
    struct http_reply reply;
    enum ctl_exit outcome = CTL_DONE;
    cJSON *json;
    int rc = http_request(ctl, method, path, text, text ? strlen(text) : 0, NULL, &reply);

    cJSON_free(text);
    if (rc < 0)
        return CTL_UNREACHABLE;
    json = reply.status < 400 ? cJSON_Parse(reply.body) : NULL;
    if (reply.status >= 400) {
        outcome = print_problem(reply.status, reply.body);
    } else if (reply.status == 202 && json) {
        print_clean(json);
        outcome = waiting(ctl, json, reply.body);
    } else if (show && json && ctl->json) {
        puts(reply.body); /* as it came: no number is read and written again */
    } else if (show && json) {
        print_clean(json);
        show(json);
    }
    cJSON_Delete(json);
    http_reply_free(&reply);
    return outcome;
}
