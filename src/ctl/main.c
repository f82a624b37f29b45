#include "ctl/ctl.h"

#include "config.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/lwm2m-serverd/api.sock"

static const struct option options[] = {
    {"socket", required_argument, NULL, 's'}, {"url", required_argument, NULL, 'u'},
    {"token", required_argument, NULL, 't'},  {"output", required_argument, NULL, 'o'},
    {"format", required_argument, NULL, 'f'}, {"type", required_argument, NULL, 'y'},
    {"server", required_argument, NULL, 'S'}, {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
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
        switch (c) {
        case 's':
            ctl.socket = optarg;
            break;
        case 'u':
            ctl.url = optarg;
            break;
        case 't':
            ctl.token = optarg;
            break;
        case 'o':
            if (!parse_output(&ctl, optarg)) {
                usage(stderr);
                return CTL_USAGE;
            }
            break;
        case 'f':
            ctl.format = optarg;
            break;
        case 'y':
            ctl.type = optarg;
            break;
        case 'S':
            ctl.server = optarg;
            break;
        case 'V':
            puts("lwm2m-serverctl " PACKAGE_VERSION);
            return CTL_DONE;
        case 'h':
            usage(stdout);
            return CTL_DONE;
        default:
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
