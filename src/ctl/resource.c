#include "ctl/ctl.h"

#include <stdio.h>

/* Commands on the resources of a device. */

static bool make_path(const struct ctl *ctl, char out[REQUEST_PATH_MAX], const char *endpoint,
                      const char *what, const char *path)
{
    return request_device_path(out, endpoint, what, path) && request_options(ctl, out);
}

/* ---- resources ---- */

enum ctl_exit resource_read(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome;
    cJSON *json, *paths;

    if (!make_path(ctl, path, argv[0], argc > 2 ? "resources:read" : "resources",
                   argc > 2 ? "" : argv[1]))
        return request_too_long();
    if (argc == 2)
        return request_send(ctl, "GET", path, NULL, print_values);
    json = cJSON_CreateObject();
    paths = cJSON_AddArrayToObject(json, "paths");
    for (int i = 1; i < argc; i++)
        cJSON_AddItemToArray(paths, cJSON_CreateString(argv[i]));
    outcome = request_send(ctl, "POST", path, json, print_values);
    cJSON_Delete(json);
    return outcome;
}

enum ctl_exit resource_history(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX], query[64];
    char *escaped = http_escape(argc > 1 ? argv[1] : "/");
    int n = escaped ? snprintf(query, sizeof(query), "?limit=1000&path=%s", escaped) : -1;

    mem_free(escaped);
    if (n < 0 || (size_t)n >= sizeof(query) ||
        !request_device_path(path, argv[0], "history", query))
        return request_too_long();
    return request_send(ctl, "GET", path, NULL, print_values);
}

/* Values are given as text; the server knows their type from the model. */
static void put_value(cJSON *json, const struct ctl *ctl, const char *value)
{
    cJSON_AddStringToObject(json, "value", value);
    if (ctl->type)
        cJSON_AddStringToObject(json, "type", ctl->type);
}

/* "/3303/0/5601=1" pairs; false when one has no '='. */
static bool put_pairs(cJSON *json, const struct ctl *ctl, char **argv, int argc)
{
    cJSON *values = cJSON_AddArrayToObject(json, "values");

    for (int i = 0; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        cJSON *item;

        if (!equals) {
            fprintf(stderr, "lwm2m-serverctl: %s is not PATH=VALUE\n", argv[i]);
            return false;
        }
        *equals = '\0';
        item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "path", argv[i]);
        put_value(item, ctl, equals + 1);
        cJSON_AddItemToArray(values, item);
    }
    return true;
}

static enum ctl_exit write_with(const struct ctl *ctl, const char *method, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();
    bool single = argc == 3 && !(argv[2][0] == '/' && strchr(argv[2], '='));

    if (single)
        put_value(json, ctl, argv[2]);
    if (!make_path(ctl, path, argv[0], "resources", argv[1]))
        outcome = request_too_long();
    else if (single || put_pairs(json, ctl, argv + 2, argc - 2))
        outcome = request_send(ctl, method, path, json, NULL);
    cJSON_Delete(json);
    return outcome;
}

/* Every argument is PATH=VALUE: several objects in one operation. */
static enum ctl_exit write_composite(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();

    if (!make_path(ctl, path, argv[0], "resources:write", ""))
        outcome = request_too_long();
    else if (put_pairs(json, ctl, argv + 1, argc - 1))
        outcome = request_send(ctl, "POST", path, json, NULL);
    cJSON_Delete(json);
    return outcome;
}

enum ctl_exit resource_write(const struct ctl *ctl, char **argv, int argc)
{
    if (strchr(argv[1], '='))
        return write_composite(ctl, argv, argc);
    if (argc < 3) {
        fputs("lwm2m-serverctl: what shall be written?\n", stderr);
        return CTL_USAGE;
    }
    return write_with(ctl, "PUT", argv, argc);
}

enum ctl_exit resource_update(const struct ctl *ctl, char **argv, int argc)
{
    return write_with(ctl, "POST", argv, argc);
}

enum ctl_exit resource_exec(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome;
    cJSON *json = cJSON_CreateObject();

    if (argc > 2)
        cJSON_AddStringToObject(json, "arguments", argv[2]);
    outcome = make_path(ctl, path, argv[0], "resources", argv[1])
                  ? request_send(ctl, "POST", path, json, NULL)
                  : request_too_long();
    cJSON_Delete(json);
    return outcome;
}

/* create EP /3303/1 /3303/1/5700=20: the instance is in the path, or left to the device. */
enum ctl_exit resource_create(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX], object[64];
    const char *instance = argv[1][0] == '/' ? strchr(argv[1] + 1, '/') : NULL;
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();
    uint64_t number;

    snprintf(object, sizeof(object), "%.*s", (int)(instance ? instance - argv[1] : 60), argv[1]);
    if (instance && view_u64(view_str(instance + 1), 65534, &number) < 0) {
        fprintf(stderr, "lwm2m-serverctl: %s is not an object or an instance\n", argv[1]);
    } else if (!make_path(ctl, path, argv[0], "resources", object)) {
        outcome = request_too_long();
    } else {
        if (instance)
            cJSON_AddNumberToObject(json, "instance", (double)number);
        if (argc == 2 || put_pairs(json, ctl, argv + 2, argc - 2))
            outcome = request_send(ctl, "POST", path, json, print_object);
    }
    cJSON_Delete(json);
    return outcome;
}

enum ctl_exit resource_delete(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!make_path(ctl, path, argv[0], "resources", argv[1]))
        return request_too_long();
    return request_send(ctl, "DELETE", path, NULL, NULL);
}

enum ctl_exit resource_discover(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX], target[128];
    const char *depth = argc > 2 ? argv[2] : "";

    snprintf(target, sizeof(target), "%.64s%s%.16s", argv[1], depth[0] ? "?depth=" : "", depth);
    if (!request_device_path(path, argv[0], "discover", target))
        return request_too_long();
    return request_send(ctl, "GET", path, NULL, print_links);
}

/* "pmin=5", "gt=" (unset) into an object of numbers; false when one is malformed. */
static bool put_attributes(cJSON *json, char **argv, int argc)
{
    for (int i = 0; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        double number;

        if (equals)
            *equals = '\0';
        if (!equals || equals[1] == '\0') {
            cJSON_AddNullToObject(json, argv[i]);
        } else if (view_double(view_str(equals + 1), &number) == ERR_OK) {
            cJSON_AddNumberToObject(json, argv[i], number);
        } else {
            fprintf(stderr, "lwm2m-serverctl: %s is not a number\n", equals + 1);
            return false;
        }
    }
    return true;
}

enum ctl_exit resource_attributes(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();

    if (!make_path(ctl, path, argv[0], "attributes", argv[1]))
        outcome = request_too_long();
    else if (argc == 2)
        outcome = request_send(ctl, "GET", path, NULL, print_object);
    else if (put_attributes(json, argv + 2, argc - 2))
        outcome = request_send(ctl, "PUT", path, json, NULL);
    cJSON_Delete(json);
    return outcome;
}

/* ---- observations ---- */

enum ctl_exit resource_observe(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject(), *paths = cJSON_AddArrayToObject(json, "paths");
    int at = 1;

    for (; at < argc && argv[at][0] == '/'; at++)
        cJSON_AddItemToArray(paths, cJSON_CreateString(argv[at]));
    if (!make_path(ctl, path, argv[0], "observations", ""))
        outcome = request_too_long();
    else if (put_attributes(cJSON_AddObjectToObject(json, "attributes"), argv + at, argc - at))
        outcome = request_send(ctl, "POST", path, json, print_object);
    cJSON_Delete(json);
    return outcome;
}

enum ctl_exit resource_observations(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!make_path(ctl, path, argv[0], "observations", ""))
        return request_too_long();
    return request_send(ctl, "GET", path, NULL, print_observations);
}

enum ctl_exit resource_cancel(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!make_path(ctl, path, argv[0], "observations", argv[1]))
        return request_too_long();
    return request_send(ctl, "DELETE", path, NULL, NULL);
}
