#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_MAX_TEXT 4096
#define FILE_MAX (16 * 1024 * 1024)

struct command {
    const char *name, *second; /* "model", "import" */
    const char *arguments;     /* for the usage */
    const char *text;
    int min, max; /* arguments after the name */
    enum ctl_exit (*run)(const struct ctl *ctl, char **argv, int argc);
};

/* ---- building requests ---- */

/* "/v1/devices/<ep>/<what><path>" */
static bool device_path(char out[PATH_MAX_TEXT], const char *endpoint, const char *what,
                        const char *path, const char *query)
{
    char *escaped = http_escape(endpoint);
    int n = -1;

    if (escaped)
        n = snprintf(out, PATH_MAX_TEXT, "/v1/devices/%s%s%s%s%s%s", escaped, what[0] ? "/" : "",
                     what, path[0] && path[0] != '/' ? "/" : "", path, query);
    mem_free(escaped);
    return n > 0 && n < PATH_MAX_TEXT;
}

static const char *format_query(const struct ctl *ctl, char out[128])
{
    snprintf(out, 128, "%s%s", ctl->format ? "?format=" : "", ctl->format ? ctl->format : "");
    return out;
}

/* Sends, prints a problem or hands the parsed body (may be NULL) to `show`. */
static enum ctl_exit call(const struct ctl *ctl, const char *method, const char *path,
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
    if (reply.status >= 400) {
        outcome = print_problem(reply.status, reply.body);
    } else if (show) {
        json = cJSON_Parse(reply.body);
        if (ctl->json && json) {
            puts(reply.body); /* as it came: no number is read and written again */
        } else if (json) {
            print_clean(json);
            show(json);
        }
        cJSON_Delete(json);
    }
    http_reply_free(&reply);
    return outcome;
}

static enum ctl_exit too_long(void)
{
    fputs("lwm2m-serverctl: the argument is too long\n", stderr);
    return CTL_USAGE;
}

/* ---- devices ---- */

static enum ctl_exit one_page(const struct ctl *ctl, const char *prefix, char *cursor, size_t cap,
                              bool first, cJSON *all)
{
    struct http_reply reply;
    char path[PATH_MAX_TEXT];
    enum ctl_exit outcome = CTL_DONE;
    const cJSON *next;
    cJSON *page;

    snprintf(path, sizeof(path), "/v1/devices?limit=1000&q=%s&cursor=%s", prefix, cursor);
    if (http_request(ctl, "GET", path, NULL, 0, NULL, &reply) < 0)
        return CTL_UNREACHABLE;
    cursor[0] = '\0';
    if (reply.status != 200) {
        outcome = print_problem(reply.status, reply.body);
        http_reply_free(&reply);
        return outcome;
    }
    page = cJSON_Parse(reply.body);
    next = cJSON_GetObjectItemCaseSensitive(page, "next");
    if (cJSON_IsString(next))
        snprintf(cursor, cap, "%s", next->valuestring);
    if (ctl->json) {
        cJSON *devices = cJSON_GetObjectItemCaseSensitive(page, "devices"), *device;

        while ((device = cJSON_DetachItemFromArray(devices, 0)))
            cJSON_AddItemToArray(all, device);
    } else {
        print_clean(page);
        print_devices(page, first);
    }
    cJSON_Delete(page);
    http_reply_free(&reply);
    return outcome;
}

static enum ctl_exit run_devices(const struct ctl *ctl, char **argv, int argc)
{
    char *prefix = http_escape(argc > 0 ? argv[0] : "");
    char cursor[1024] = "";
    cJSON *json = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(json, "devices");
    enum ctl_exit outcome;
    bool first = true;

    do {
        outcome = one_page(ctl, prefix ? prefix : "", cursor, sizeof(cursor), first, all);
        first = false;
    } while (outcome == CTL_DONE && cursor[0] != '\0');
    if (ctl->json && outcome == CTL_DONE)
        print_json(json);
    cJSON_Delete(json);
    mem_free(prefix);
    return outcome;
}

static enum ctl_exit run_show(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];

    (void)argc;
    if (!device_path(path, argv[0], "", "", ""))
        return too_long();
    return call(ctl, "GET", path, NULL, print_device);
}

static enum ctl_exit run_deregister(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];

    (void)argc;
    if (!device_path(path, argv[0], "", "", ""))
        return too_long();
    return call(ctl, "DELETE", path, NULL, NULL);
}

/* ---- resources ---- */

static enum ctl_exit run_read(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT], query[128];

    (void)argc;
    if (!device_path(path, argv[0], "resources", argv[1], format_query(ctl, query)))
        return too_long();
    return call(ctl, "GET", path, NULL, print_values);
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
    char path[PATH_MAX_TEXT], query[128];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();
    bool single = argc == 3 && !(argv[2][0] == '/' && strchr(argv[2], '='));

    if (single)
        put_value(json, ctl, argv[2]);
    if (!device_path(path, argv[0], "resources", argv[1], format_query(ctl, query)))
        outcome = too_long();
    else if (single || put_pairs(json, ctl, argv + 2, argc - 2))
        outcome = call(ctl, method, path, json, NULL);
    cJSON_Delete(json);
    return outcome;
}

static enum ctl_exit run_write(const struct ctl *ctl, char **argv, int argc)
{
    return write_with(ctl, "PUT", argv, argc);
}

static enum ctl_exit run_update(const struct ctl *ctl, char **argv, int argc)
{
    return write_with(ctl, "POST", argv, argc);
}

static enum ctl_exit run_exec(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];
    enum ctl_exit outcome;
    cJSON *json = cJSON_CreateObject();

    if (argc > 2)
        cJSON_AddStringToObject(json, "arguments", argv[2]);
    outcome = device_path(path, argv[0], "resources", argv[1], "")
                  ? call(ctl, "POST", path, json, NULL)
                  : too_long();
    cJSON_Delete(json);
    return outcome;
}

/* create EP /3303/1 /3303/1/5700=20: the instance is in the path, or left to the device. */
static enum ctl_exit run_create(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT], object[64], query[128];
    const char *instance = argv[1][0] == '/' ? strchr(argv[1] + 1, '/') : NULL;
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();
    uint64_t number;

    snprintf(object, sizeof(object), "%.*s", (int)(instance ? instance - argv[1] : 60), argv[1]);
    if (instance && view_u64(view_str(instance + 1), 65534, &number) < 0) {
        fprintf(stderr, "lwm2m-serverctl: %s is not an object or an instance\n", argv[1]);
    } else if (!device_path(path, argv[0], "resources", object, format_query(ctl, query))) {
        outcome = too_long();
    } else {
        if (instance)
            cJSON_AddNumberToObject(json, "instance", (double)number);
        if (argc == 2 || put_pairs(json, ctl, argv + 2, argc - 2))
            outcome = call(ctl, "POST", path, json, print_object);
    }
    cJSON_Delete(json);
    return outcome;
}

static enum ctl_exit run_delete(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];

    (void)argc;
    if (!device_path(path, argv[0], "resources", argv[1], ""))
        return too_long();
    return call(ctl, "DELETE", path, NULL, NULL);
}

static enum ctl_exit run_discover(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT], query[32] = "";

    if (argc > 2)
        snprintf(query, sizeof(query), "?depth=%.16s", argv[2]);
    if (!device_path(path, argv[0], "discover", argv[1], query))
        return too_long();
    return call(ctl, "GET", path, NULL, print_links);
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

static enum ctl_exit run_attributes(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();

    if (!device_path(path, argv[0], "attributes", argv[1], ""))
        outcome = too_long();
    else if (argc == 2)
        outcome = call(ctl, "GET", path, NULL, print_object);
    else if (put_attributes(json, argv + 2, argc - 2))
        outcome = call(ctl, "PUT", path, json, NULL);
    cJSON_Delete(json);
    return outcome;
}

/* ---- observations and events ---- */

static enum ctl_exit run_observe(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject(), *paths = cJSON_AddArrayToObject(json, "paths");

    cJSON_AddItemToArray(paths, cJSON_CreateString(argv[1]));
    if (!device_path(path, argv[0], "observations", "", ""))
        outcome = too_long();
    else if (put_attributes(cJSON_AddObjectToObject(json, "attributes"), argv + 2, argc - 2))
        outcome = call(ctl, "POST", path, json, print_object);
    cJSON_Delete(json);
    return outcome;
}

static enum ctl_exit run_observations(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];

    (void)argc;
    if (!device_path(path, argv[0], "observations", "", ""))
        return too_long();
    return call(ctl, "GET", path, NULL, print_observations);
}

static enum ctl_exit run_cancel(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT];

    (void)argc;
    if (!device_path(path, argv[0], "observations", argv[1], ""))
        return too_long();
    return call(ctl, "DELETE", path, NULL, NULL);
}

static int on_stream_line(void *ctx, const char *line)
{
    const struct ctl *ctl = ctx;
    cJSON *json;

    if (strncmp(line, "data: ", 6) != 0)
        return ERR_OK;
    if (ctl->json) {
        puts(line + 6);
        fflush(stdout);
        return ERR_OK;
    }
    json = cJSON_Parse(line + 6);
    print_clean(json);
    if (json)
        print_event(json);
    cJSON_Delete(json);
    return ERR_OK;
}

static enum ctl_exit run_watch(const struct ctl *ctl, char **argv, int argc)
{
    char path[PATH_MAX_TEXT] = "/v1/events";
    char *endpoint = argc > 0 ? http_escape(argv[0]) : NULL;
    int rc;

    if (endpoint)
        snprintf(path, sizeof(path), "/v1/events?endpoint=%s", endpoint);
    mem_free(endpoint);
    rc = http_stream(ctl, path, on_stream_line, (void *)(uintptr_t)ctl);
    if (rc == ERR_OK)
        return CTL_DONE;
    return rc == ERR_UNREACHABLE ? CTL_UNREACHABLE : CTL_REFUSED;
}

/* ---- models, server ---- */

static char *read_file(const char *name, size_t *ret_size)
{
    FILE *f = fopen(name, "re");
    char *text = NULL;
    struct buf b;
    int c;

    if (!f)
        return NULL;
    buf_init(&b, FILE_MAX);
    while ((c = fgetc(f)) != EOF)
        buf_put_u8(&b, (uint8_t)c);
    if (b.rc == ERR_OK && !ferror(f)) {
        text = mem_text(b.n ? b.p : (const uint8_t *)"", b.n);
        *ret_size = b.n;
    }
    buf_fini(&b);
    fclose(f);
    return text;
}

static enum ctl_exit run_model_import(const struct ctl *ctl, char **argv, int argc)
{
    enum ctl_exit outcome = CTL_DONE;

    for (int i = 0; i < argc && outcome == CTL_DONE; i++) {
        struct http_reply reply;
        size_t size;
        char *xml = read_file(argv[i], &size);
        int rc;

        if (!xml) {
            fprintf(stderr, "lwm2m-serverctl: %s cannot be read\n", argv[i]);
            return CTL_USAGE;
        }
        rc = http_request(ctl, "PUT", "/v1/models", xml, size, "application/xml", &reply);
        mem_free(xml);
        if (rc < 0)
            return CTL_UNREACHABLE;
        if (reply.status >= 400)
            outcome = print_problem(reply.status, reply.body);
        else
            fprintf(stderr, "%s: imported\n", argv[i]);
        http_reply_free(&reply);
    }
    return outcome;
}

static enum ctl_exit run_model_list(const struct ctl *ctl, char **argv, int argc)
{
    (void)argv;
    (void)argc;
    return call(ctl, "GET", "/v1/models", NULL, print_models);
}

static enum ctl_exit run_config_check(const struct ctl *ctl, char **argv, int argc)
{
    const char *file = argc > 0 ? argv[0] : "/etc/lwm2m-serverd/lwm2m-serverd.conf";

    fflush(stdout);
    execlp(ctl->server, ctl->server, "-T", "--config", file, (char *)NULL);
    perror(ctl->server);
    return CTL_UNREACHABLE;
}

static enum ctl_exit run_ready(const struct ctl *ctl, char **argv, int argc)
{
    (void)argv;
    (void)argc;
    return call(ctl, "GET", "/readyz", NULL, print_object);
}

static enum ctl_exit run_reload(const struct ctl *ctl, char **argv, int argc)
{
    (void)argv;
    (void)argc;
    return call(ctl, "POST", "/admin/reload", NULL, NULL);
}

static enum ctl_exit run_backup(const struct ctl *ctl, char **argv, int argc)
{
    enum ctl_exit outcome;
    char absolute[PATH_MAX_TEXT];
    cJSON *json = cJSON_CreateObject();

    (void)argc;
    if (argv[0][0] == '/')
        snprintf(absolute, sizeof(absolute), "%s", argv[0]);
    else if (getcwd(absolute, sizeof(absolute) / 2))
        snprintf(absolute + strlen(absolute), sizeof(absolute) - strlen(absolute), "/%s", argv[0]);
    cJSON_AddStringToObject(json, "file", absolute);
    outcome = call(ctl, "POST", "/admin/backup", json, NULL);
    cJSON_Delete(json);
    return outcome;
}

static const struct command commands[] = {
    {"devices", NULL, "[BEGINNING]", "list devices", 0, 1, run_devices},
    {"show", NULL, "EP", "one device", 1, 1, run_show},
    {"deregister", NULL, "EP", "forget a registration; the device must register again", 1, 1,
     run_deregister},
    {"read", NULL, "EP PATH", "read an object, instance or resource", 2, 2, run_read},
    {"write", NULL, "EP PATH VALUE | EP PATH PATH=VALUE…", "write, replacing what was there", 3,
     1000, run_write},
    {"update", NULL, "EP PATH PATH=VALUE…", "write, leaving the rest", 3, 1000, run_update},
    {"exec", NULL, "EP PATH [ARGUMENTS]", "execute a resource", 2, 3, run_exec},
    {"create", NULL, "EP /OBJECT[/INSTANCE] [PATH=VALUE…]", "create an object instance", 2, 1000,
     run_create},
    {"delete", NULL, "EP PATH", "delete an object instance", 2, 2, run_delete},
    {"discover", NULL, "EP PATH [DEPTH]", "what is there, with attributes", 2, 3, run_discover},
    {"attributes", NULL, "EP PATH [NAME=NUMBER | NAME=]…", "show, set or unset attributes", 2, 20,
     run_attributes},
    {"observe", NULL, "EP PATH [NAME=NUMBER]…", "observe; notifications come with watch", 2, 20,
     run_observe},
    {"observations", NULL, "EP", "list observations", 1, 1, run_observations},
    {"cancel", NULL, "EP ID", "cancel an observation", 2, 2, run_cancel},
    {"watch", NULL, "[EP]", "events as they happen", 0, 1, run_watch},
    {"model", "list", "", "known object definitions", 0, 0, run_model_list},
    {"model", "import", "FILE…", "import object definitions (OMA XML)", 1, 1000, run_model_import},
    {"config", "check", "[FILE]", "check a configuration file", 0, 1, run_config_check},
    {"ready", NULL, "", "whether the server is ready, or why not", 0, 0, run_ready},
    {"reload", NULL, "", "read the configuration again", 0, 0, run_reload},
    {"backup", NULL, "FILE", "a consistent copy of the database, on the server", 1, 1, run_backup},
};

void command_usage(FILE *out)
{
    for (size_t i = 0; i < mem_count(commands); i++) {
        const struct command *c = &commands[i];
        char words[96];

        snprintf(words, sizeof(words), "%s%s%s %s", c->name, c->second ? " " : "",
                 c->second ? c->second : "", c->arguments);
        fprintf(out, "  %-46s %s\n", words, c->text);
    }
}

enum ctl_exit command_run(const struct ctl *ctl, int argc, char **argv)
{
    for (size_t i = 0; i < mem_count(commands); i++) {
        const struct command *c = &commands[i];
        int words = c->second ? 2 : 1;

        if (strcmp(argv[0], c->name) != 0 ||
            (c->second && (argc < 2 || strcmp(argv[1], c->second) != 0)))
            continue;
        if (argc - words < c->min || argc - words > c->max) {
            fprintf(stderr, "usage: lwm2m-serverctl %s%s%s %s\n", c->name, c->second ? " " : "",
                    c->second ? c->second : "", c->arguments);
            return CTL_USAGE;
        }
        return c->run(ctl, argv + words, argc - words);
    }
    fprintf(stderr, "lwm2m-serverctl: %s is not a command\n", argv[0]);
    command_usage(stderr);
    return CTL_USAGE;
}
