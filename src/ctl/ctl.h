/*
 * ctl: lwm2m-serverctl, the REST API on the command line.
 *
 * MUST speak nothing but the REST API (over the unix socket, or over TCP with a token), so that
 * whatever it can do an operator's backend can do too. A table on a terminal, JSON on a pipe; the
 * exit status tells the outcome.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/base.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* Exit statuses, documented in lwm2m-serverctl(1). */
enum ctl_exit {
    CTL_DONE = 0,
    CTL_REFUSED = 1,     /* the server refused or failed */
    CTL_USAGE = 2,       /* the command line is wrong */
    CTL_UNREACHABLE = 3, /* no server answers */
    CTL_DEVICE = 4,      /* the device answered with an error */
    CTL_NO_ANSWER = 5,   /* the device did not answer */
    CTL_WAITING = 6      /* accepted; the operation waits for the device */
};

struct ctl {
    const char *socket; /* unix socket, or NULL with url */
    const char *url;    /* "http://127.0.0.1:8080" */
    const char *token;
    const char *format; /* content format asked for, or NULL */
    const char *type;   /* value type of a write, or NULL */
    const char *server; /* lwm2m-serverd, for config check */
    /* Of operations, as given or NULL: query parameters and headers of the same names. */
    const char *ttl, *priority, *retry, *source, *max_age, *key;
    const char *prefer; /* "respond-async" or "wait=…" */
    bool json;
};

/* ---- http ---- */

struct http_reply {
    long status;
    char *body;     /* owned, NUL-terminated */
    char *location; /* owned or NULL */
};
/* ERR_UNREACHABLE when nobody answers. body NULL: none; type NULL: application/json. */
int http_request(const struct ctl *ctl, const char *method, const char *path, const char *body,
                 size_t size, const char *type, struct http_reply *ret_reply);
void http_reply_free(struct http_reply *r);
/* Streams lines of a response body until the server, or a negative result of `line`, ends it. */
int http_stream(const struct ctl *ctl, const char *path, int (*line)(void *ctx, const char *text),
                void *ctx);
/* Percent-encoded; release with mem_free. */
char *http_escape(const char *text);

/* ---- print ---- */

/* Replaces control characters in every string: what a device said must not steer the terminal. */
void print_clean(cJSON *json);
void print_json(const cJSON *json);
void print_devices(const cJSON *page, bool header);
void print_device(const cJSON *device);
void print_values(const cJSON *answer);
void print_links(const cJSON *answer);
void print_observations(const cJSON *page);
void print_profiles(const cJSON *page, bool header);
void print_models(const cJSON *page);
void print_object(const cJSON *object); /* key and value, a line each */
void print_event(const cJSON *event);
/* A problem document on standard error; the exit status that says the same. */
enum ctl_exit print_problem(long status, const char *body);

void print_operations(const cJSON *page);
void print_operation(const cJSON *operation);
void print_timeline(const cJSON *page);

/* ---- request: what commands are made of ---- */

#define REQUEST_PATH_MAX 4096
/* "/v1/devices/<ep>/<what><path>"; false when it is too long. */
bool request_device_path(char out[REQUEST_PATH_MAX], const char *endpoint, const char *what,
                         const char *path);
/* Adds the options that have a query parameter. */
bool request_options(const struct ctl *ctl, char path[REQUEST_PATH_MAX]);
enum ctl_exit request_too_long(void);
/* Sends, prints a problem, tells of an operation that waits, or hands the parsed body (may be
 * NULL) to `show`. */
enum ctl_exit request_send(const struct ctl *ctl, const char *method, const char *path,
                           const cJSON *body, void (*show)(const cJSON *));

/* ---- resource, operation: commands ---- */

typedef enum ctl_exit ctl_command(const struct ctl *ctl, char **argv, int argc);
ctl_command resource_read, resource_write, resource_update, resource_exec, resource_create,
    resource_delete, resource_discover, resource_attributes, resource_observe,
    resource_observations, resource_cancel, resource_history;
ctl_command operation_list, operation_show, operation_cancel, operation_timeline;

/* ---- command ---- */

/* argv[0] is the name of the command. */
enum ctl_exit command_run(const struct ctl *ctl, int argc, char **argv);
void command_usage(FILE *out);

#endif
