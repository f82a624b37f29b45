#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (16 * 1024 * 1024)

struct command {
    const char *name, *second; /* "model", "import" */
    const char *arguments;     /* for the usage */
    const char *text;
    int min, max; /* arguments after the name */
    ctl_command *run;
};

/* ---- devices ---- */

/* Something that comes in pages. */
struct listing {
    const char *path; /* with a query so far */
    const char *member;
    void (*show)(const cJSON *page, bool header);
};

static enum ctl_exit one_page(const struct ctl *ctl, const struct listing *l, char *cursor,
                              size_t cap, bool first, cJSON *all)
{
    struct http_reply reply;
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_DONE;
    const cJSON *next;
    cJSON *page;

    snprintf(path, sizeof(path), "%s&limit=1000&cursor=%s", l->path, cursor);
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
        cJSON *items = cJSON_GetObjectItemCaseSensitive(page, l->member), *item;

        while ((item = cJSON_DetachItemFromArray(items, 0)))
            cJSON_AddItemToArray(all, item);
    } else {
        print_clean(page);
        l->show(page, first);
    }
    cJSON_Delete(page);
    http_reply_free(&reply);
    return outcome;
}

static enum ctl_exit all_pages(const struct ctl *ctl, const struct listing *l)
{
    char cursor[1024] = "";
    cJSON *json = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(json, l->member);
    enum ctl_exit outcome;
    bool first = true;

    do {
        outcome = one_page(ctl, l, cursor, sizeof(cursor), first, all);
        first = false;
    } while (outcome == CTL_DONE && cursor[0] != '\0');
    if (ctl->json && outcome == CTL_DONE)
        print_json(json);
    cJSON_Delete(json);
    return outcome;
}

static enum ctl_exit run_devices(const struct ctl *ctl, char **argv, int argc)
{
    char *prefix = http_escape(argc > 0 ? argv[0] : "");
    char path[REQUEST_PATH_MAX];
    const struct listing l = {path, "devices", print_devices};

    snprintf(path, sizeof(path), "/v1/devices?q=%s", prefix ? prefix : "");
    mem_free(prefix);
    return all_pages(ctl, &l);
}

static enum ctl_exit run_show(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!request_device_path(path, argv[0], "", ""))
        return request_too_long();
    return request_send(ctl, "GET", path, NULL, print_device);
}

static enum ctl_exit run_deregister(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    if (!request_device_path(path, argv[0], "", ""))
        return request_too_long();
    return request_send(ctl, "DELETE", path, NULL, NULL);
}

/* ---- events ---- */

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
    char path[REQUEST_PATH_MAX] = "/v1/events";
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

/* ---- profile IDs, Send ---- */

static bool profile_path(char out[REQUEST_PATH_MAX], const char *id)
{
    char *escaped = http_escape(id);
    int n = escaped ? snprintf(out, REQUEST_PATH_MAX, "/v1/profiles/%s", escaped) : -1;

    mem_free(escaped);
    return n > 0 && n < REQUEST_PATH_MAX;
}

static enum ctl_exit run_profiles(const struct ctl *ctl, char **argv, int argc)
{
    static const struct listing l = {"/v1/profiles?", "profiles", print_profiles};
    char path[REQUEST_PATH_MAX];

    if (argc == 0)
        return all_pages(ctl, &l);
    return profile_path(path, argv[0]) ? request_send(ctl, "GET", path, NULL, print_object)
                                       : request_too_long();
}

static enum ctl_exit run_profile_set(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome;
    cJSON *json = cJSON_CreateObject();

    (void)argc;
    cJSON_AddStringToObject(json, "links", argv[1]);
    outcome = profile_path(path, argv[0]) ? request_send(ctl, "PUT", path, json, print_object)
                                          : request_too_long();
    cJSON_Delete(json);
    return outcome;
}

static enum ctl_exit run_profile_delete(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];

    (void)argc;
    return profile_path(path, argv[0]) ? request_send(ctl, "DELETE", path, NULL, NULL)
                                       : request_too_long();
}

static enum ctl_exit run_mute(const struct ctl *ctl, char **argv, int argc)
{
    char path[REQUEST_PATH_MAX];
    enum ctl_exit outcome = CTL_USAGE;
    cJSON *json = cJSON_CreateObject();
    bool on = argc > 1 && strcmp(argv[1], "on") == 0;

    cJSON_AddBoolToObject(json, "muted", on);
    if (argc > 1 && !on && strcmp(argv[1], "off") != 0)
        fprintf(stderr, "lwm2m-serverctl: %s is neither on nor off\n", argv[1]);
    else if (!request_device_path(path, argv[0], "send", ""))
        outcome = request_too_long();
    else if (argc > 1)
        outcome = request_send(ctl, "PUT", path, json, print_object);
    else
        outcome = request_send(ctl, "GET", path, NULL, print_object);
    cJSON_Delete(json);
    return outcome;
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
    return request_send(ctl, "GET", "/v1/models", NULL, print_models);
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
    return request_send(ctl, "GET", "/readyz", NULL, print_object);
}

static enum ctl_exit run_reload(const struct ctl *ctl, char **argv, int argc)
{
    (void)argv;
    (void)argc;
    return request_send(ctl, "POST", "/admin/reload", NULL, NULL);
}

static enum ctl_exit run_backup(const struct ctl *ctl, char **argv, int argc)
{
    enum ctl_exit outcome;
    char absolute[REQUEST_PATH_MAX];
    cJSON *json = cJSON_CreateObject();

    (void)argc;
    if (argv[0][0] == '/')
        snprintf(absolute, sizeof(absolute), "%s", argv[0]);
    else if (getcwd(absolute, sizeof(absolute) / 2))
        snprintf(absolute + strlen(absolute), sizeof(absolute) - strlen(absolute), "/%s", argv[0]);
    cJSON_AddStringToObject(json, "file", absolute);
    outcome = request_send(ctl, "POST", "/admin/backup", json, NULL);
    cJSON_Delete(json);
    return outcome;
}

static const struct command commands[] = {
    {"devices", NULL, "[BEGINNING]", "list devices", 0, 1, run_devices},
    {"show", NULL, "EP", "one device", 1, 1, run_show},
    {"deregister", NULL, "EP", "forget a registration; the device must register again", 1, 1,
     run_deregister},
    {"read", NULL, "EP PATH…", "read objects, instances or resources", 2, 65, resource_read},
    {"write", NULL, "EP PATH VALUE | EP PATH PATH=VALUE… | EP PATH=VALUE…",
     "write, replacing what was there", 2, 1000, resource_write},
    {"update", NULL, "EP PATH PATH=VALUE…", "write, leaving the rest", 3, 1000, resource_update},
    {"exec", NULL, "EP PATH [ARGUMENTS]", "execute a resource", 2, 3, resource_exec},
    {"create", NULL, "EP /OBJECT[/INSTANCE] [PATH=VALUE…]", "create an object instance", 2, 1000,
     resource_create},
    {"delete", NULL, "EP PATH", "delete an object instance", 2, 2, resource_delete},
    {"discover", NULL, "EP PATH [DEPTH]", "what is there, with attributes", 2, 3,
     resource_discover},
    {"attributes", NULL, "EP PATH [NAME=NUMBER | NAME=]…", "show, set or unset attributes", 2, 20,
     resource_attributes},
    {"observe", NULL, "EP PATH… [NAME=NUMBER]…", "observe; notifications come with watch", 2, 80,
     resource_observe},
    {"observations", NULL, "EP", "list observations", 1, 1, resource_observations},
    {"cancel", NULL, "EP ID", "cancel an observation", 2, 2, resource_cancel},
    {"history", NULL, "EP [PATH]", "what the device has told, newest first", 1, 2,
     resource_history},
    {"timeline", NULL, "EP", "what has happened to the device, newest first", 1, 1,
     operation_timeline},
    {"operations", NULL, "[EP]", "list operations, newest first", 0, 1, operation_list},
    {"operation", "show", "ID", "one operation with its attempts", 1, 1, operation_show},
    {"operation", "cancel", "ID", "cancel an operation that was not sent", 1, 1, operation_cancel},
    {"watch", NULL, "[EP]", "events as they happen", 0, 1, run_watch},
    {"mute", NULL, "EP [on | off]", "whether the device may Send; forbid or allow it", 1, 2,
     run_mute},
    {"profiles", NULL, "[ID]", "known profile IDs, or one", 0, 1, run_profiles},
    {"profile", "set", "ID LINKS", "define what a profile ID stands for", 2, 2, run_profile_set},
    {"profile", "delete", "ID", "forget a profile ID", 1, 1, run_profile_delete},
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
