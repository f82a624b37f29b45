#include "ctl/ctl.h"

#include <stdio.h>

/* Commands on operations, and on what has happened to a device. */

enum ctl_exit operation_list(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX] = "/v1/operations?limit=1000";
    char *endpoint = argc > 0 ? http_escape(argv[0]) : NULL;

    if (endpoint)
        snprintf(path, sizeof(path), "/v1/operations?limit=1000&endpoint=%s", endpoint);
    mem_free(endpoint);
    return request_send(ctl, "GET", path, NULL, print_operations);
}

static enum ctl_exit one(const struct ctl *ctl, const char *method, const char *id)
{
    char path[REQUEST_PATH_MAX];
    char *escaped = http_escape(id);
    int n = escaped ? snprintf(path, sizeof(path), "/v1/operations/%s", escaped) : -1;

    mem_free(escaped);
    if (n < 0 || (size_t)n >= sizeof(path))
        return request_too_long();
    return request_send(ctl, method, path, NULL, print_operation);
}

enum ctl_exit operation_show(const struct ctl *ctl, char **argv, int argc)
{
    (void)argc;
    return one(ctl, "GET", argv[0]);
}

enum ctl_exit operation_cancel(const struct ctl *ctl, char **argv, int argc)
{
    (void)argc;
    return one(ctl, "DELETE", argv[0]);
}

enum ctl_exit operation_timeline(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!request_device_path(path, argv[0], "timeline", "?limit=1000"))
        return request_too_long();
    return request_send(ctl, "GET", path, NULL, print_timeline);
}
