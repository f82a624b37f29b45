#include "ctl/ctl.h"

#include "config.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/lwm2m-serverd/api.sock"

/* Options without a letter. */
enum { WAIT = 256, ASYNC, TTL, PRIORITY, RETRY, KEY, SOURCE, MAX_AGE };

static const struct option options[] = {
    {"socket", required_argument, NULL, 's'},
    {"url", required_argument, NULL, 'u'},
    {"token", required_argument, NULL, 't'},
    {"output", required_argument, NULL, 'o'},
    {"format", required_argument, NULL, 'f'},
    {"type", required_argument, NULL, 'y'},
    {"wait", required_argument, NULL, WAIT},
    {"async", no_argument, NULL, ASYNC},
    {"ttl", required_argument, NULL, TTL},
    {"priority", required_argument, NULL, PRIORITY},
    {"retry", required_argument, NULL, RETRY},
    {"key", required_argument, NULL, KEY},
    {"source", required_argument, NULL, SOURCE},
    {"max-age", required_argument, NULL, MAX_AGE},
    {"server", required_argument, NULL, 'S'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
    fputs("usage: lwm2m-serverctl [OPTION…] COMMAND [ARGUMENT…]\n"
          "  -s, --socket FILE     unix socket of the server (default " DEFAULT_SOCKET ",\n"
          "                        or LWM2M_SERVERCTL_SOCKET)\n"
          "  -u, --url URL         speak to this address instead\n"
          "  -t, --token TOKEN     bearer token (or LWM2M_SERVERCTL_TOKEN)\n"
          "  -o, --output FORMAT   table or json (default: table on a terminal)\n"
          "  -f, --format FORMAT   content format: text, opaque, cbor, tlv, senml-json,\n"
          "                        senml-cbor, lwm2m-json, lwm2m-cbor\n"
          "  -y, --type TYPE       type of a written value the server has no definition of\n"
          "      --wait SECONDS    wait for a sleeping device; --async: wait for none\n"
          "      --ttl SECONDS     not sent any more after this; 0: never given up\n"
          "      --priority WORD   low, normal or high\n"
          "      --retry WORD      safe, or idempotent: twice does no harm\n"
          "      --key TEXT        the same key is the same operation\n"
          "      --source WORD     of a read: auto, cache or device\n"
          "      --max-age SECONDS of a read: what was told before is good enough\n"
          "      --server FILE     lwm2m-serverd, for config check\n"
          "  -V, --version\n"
          "  -h, --help\n"
          "commands:\n",
          out);
    command_usage(out);
}

static bool parse_output(struct ctl *ctl, const char *word)
{
    ctl->json = strcmp(word, "json") == 0;
    return ctl->json || strcmp(word, "table") == 0;
}

/* Options that are a word of the request; NULL when c is none of them. */
static const char **word_of(struct ctl *ctl, int c)
{
    switch (c) {
    case 's':
        return &ctl->socket;
    case 'u':
        return &ctl->url;
    case 't':
        return &ctl->token;
    case 'f':
        return &ctl->format;
    case 'y':
        return &ctl->type;
    case 'S':
        return &ctl->server;
    case TTL:
        return &ctl->ttl;
    case PRIORITY:
        return &ctl->priority;
    case RETRY:
        return &ctl->retry;
    case KEY:
        return &ctl->key;
    case SOURCE:
        return &ctl->source;
    case MAX_AGE:
        return &ctl->max_age;
    default:
        return NULL;
    }
}

static bool take_option(struct ctl *ctl, int c)
{
    static char wait[64];
    const char **word = word_of(ctl, c);

    if (word)
        *word = optarg;
    else if (c == ASYNC)
        ctl->prefer = "respond-async";
    else if (c == WAIT)
        ctl->prefer = snprintf(wait, sizeof(wait), "wait=%s", optarg) > 0 ? wait : NULL;
    else
        return c == 'o' && parse_output(ctl, optarg);
    return true;
}

int main(int argc, char **argv)
{
    const char *socket = getenv("LWM2M_SERVERCTL_SOCKET");
    struct ctl ctl = {.socket = socket ? socket : DEFAULT_SOCKET,
                      .token = getenv("LWM2M_SERVERCTL_TOKEN"),
                      .server = "lwm2m-serverd",
                      .json = !isatty(STDOUT_FILENO)};
    enum ctl_exit outcome;
    int c;

    while ((c = getopt_long(argc, argv, "+s:u:t:o:f:y:Vh", options, NULL)) != -1) {
        if (c == 'V') {
            puts("lwm2m-serverctl " PACKAGE_VERSION);
            return CTL_DONE;
        }
        if (c == 'h') {
            usage(stdout);
            return CTL_DONE;
        }
        if (!take_option(&ctl, c)) {
            usage(stderr);
            return CTL_USAGE;
        }
    }
    if (optind == argc) {
        usage(stderr);
        return CTL_USAGE;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    outcome = command_run(&ctl, argc - optind, argv + optind);
    curl_global_cleanup();
    return (int)outcome;
}
