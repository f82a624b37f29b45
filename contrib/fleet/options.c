#include "fleet.h"

#include <stdio.h>

enum kind { UINT, DECIMAL_MS, TEXT, ADDR, RANDOM_ORDER, CONFIRMABLE };

#define LOADS (MODE_REGISTER | MODE_UPDATE | MODE_DEREGISTER | MODE_STORM)
#define DEVICES (LOADS | MODE_SERVE | MODE_SLEEPERS)
#define API (MODE_REST | MODE_SUBMIT)
#define ALL (DEVICES | MODE_FLOOR | API)

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    uint64_t min, max;
    unsigned modes;
    const char *help;
} rows[] = {
#define AT(field) offsetof(struct options, field)
    {"server", ADDR, AT(server), 0, 0, DEVICES, "CoAP address of the server (127.0.0.1:5683)"},
    {"listen", ADDR, AT(listen), 0, 0, MODE_FLOOR, "address to answer on (127.0.0.1:5683)"},
    {"api", ADDR, AT(api), 0, 0, API, "REST address of the server (127.0.0.1:8080)"},
    {"devices", UINT, AT(devices), 1, 16000000, DEVICES | API, "number of devices (1000)"},
    {"first", UINT, AT(first), 0, 16000000, DEVICES | API, "number of the first one (0)"},
    {"prefix", TEXT, AT(prefix), 0, 0, DEVICES | API,
     "endpoint names are this and eight digits (fleet-)"},
    {"port", UINT, AT(port), 0, 65535, DEVICES, "local UDP port of all devices (any)"},
    {"state", TEXT, AT(state), 0, 0, DEVICES, "file that keeps the registrations between runs"},
    {"lifetime", UINT, AT(lifetime_s), 1, UINT32_MAX, DEVICES, "seconds (86400)"},
    {"version", TEXT, AT(version), 0, 0, DEVICES, "enabler version (1.1)"},
    {"pid", TEXT, AT(pid), 0, 0, DEVICES,
     "profile ID to register with alone; the list follows when it is not known"},
    {"window", UINT, AT(window), 1, CLIENT_WINDOW_MAX, DEVICES, "requests outstanding (200)"},
    {"rate", UINT, AT(rate), 0, 10000000, LOADS | MODE_SERVE,
     "requests a second offered; 0: all it can"},
    {"rate", UINT, AT(rate), 0, 10000000, MODE_SLEEPERS,
     "devices that wake each second, in turn; 0: all of them at each SIGUSR1"},
    {"within", DECIMAL_MS, AT(within_ms), 1, 1000000000, MODE_SLEEPERS,
     "seconds over which SIGUSR1 spreads them (60)"},
    {"awake", DECIMAL_MS, AT(awake_ms), 1, 1000000000, MODE_SLEEPERS,
     "seconds that a device listens after its last message (93)"},
    {"operations", UINT, AT(operations), 1, SERIAL_MAX, MODE_SUBMIT, "of each device (3)"},
    {"count", UINT, AT(count), 1, UINT64_MAX, LOADS, "requests; otherwise one for each device"},
    {"seconds", DECIMAL_MS, AT(duration_ms), 1, 1000000000, ALL, "ends the run after this time"},
    {"active", UINT, AT(active), 1, 16000000, LOADS, "use so many, spread over all devices"},
    {"order", RANDOM_ORDER, AT(random_order), 0, 0, LOADS, "all (in turn) or random"},
    {"report", TEXT, AT(report), 0, 0, MODE_REGISTER | MODE_STORM,
     "file that gets \"endpoint id\" for each answered Register, at once"},
    {"ack-timeout-ms", UINT, AT(ack_timeout_ms), 10, 600000, DEVICES, "ACK_TIMEOUT (2000)"},
    {"max-retransmit", UINT, AT(max_retransmit), 0, 16, DEVICES, "MAX_RETRANSMIT (4)"},
    {"notify", DECIMAL_MS, AT(notify_ms), 1, 1000000000, MODE_SERVE,
     "seconds between notifications (10)"},
    {"notify-as", CONFIRMABLE, AT(notify_confirmable), 0, 0, MODE_SERVE, "non or con"},
    {"concurrency", UINT, AT(concurrency), 1, 4096, API, "connections (64)"},
    {"send", DECIMAL_MS, AT(send_ms), 1, 1000000000, MODE_SERVE,
     "seconds between Sends of a device, each with two timestamped values (never)"},
    {"path", TEXT, AT(path), 0, 0, MODE_REST, "resource to read (/3303/0/5700)"},
    {"seed", UINT, AT(seed), 0, UINT64_MAX, DEVICES | API, "of what is random (1)"},
    {"cpu", UINT, AT(cpu), 0, 1023, ALL, "processor to stay on (any)"},
#undef AT
};

static const struct options defaults = {
    .devices = 1000,
    .lifetime_s = 86400,
    .window = 200,
    .seed = 1,
    .cpu = UINT64_MAX,
    .ack_timeout_ms = 2000,
    .max_retransmit = 4,
    .notify_ms = 10000,
    .concurrency = 64,
    .awake_ms = 93000,
    .within_ms = 60000,
    .operations = 3,
    .prefix = "fleet-",
    .version = "1.1",
    .path = "/3303/0/5700",
};

static int set_word(const char *text, const char *no, const char *yes, bool *field)
{
    if (strcmp(text, no) != 0 && strcmp(text, yes) != 0)
        return ERR_INVALID;
    *field = strcmp(text, yes) == 0;
    return ERR_OK;
}

static int set_uint(const struct row *row, const char *text, uint64_t *field)
{
    uint64_t n;
    int rc = view_u64(view_str(text), row->max, &n);

    if (rc < 0)
        return rc;
    if (n < row->min)
        return ERR_RANGE;
    *field = n;
    return ERR_OK;
}

static int set_decimal(const struct row *row, const char *text, uint64_t *field)
{
    double seconds;
    int rc = view_double(view_str(text), &seconds);

    if (rc < 0)
        return rc;
    if (seconds * 1000 < (double)row->min || seconds * 1000 > (double)row->max)
        return ERR_RANGE;
    *field = (uint64_t)(seconds * 1000);
    return ERR_OK;
}

static int set(const struct row *row, const char *text, struct options *o)
{
    void *field = (char *)o + row->offset;

    switch (row->kind) {
    case UINT:
        return set_uint(row, text, field);
    case DECIMAL_MS:
        return set_decimal(row, text, field);
    case TEXT:
        *(const char **)field = text;
        return ERR_OK;
    case ADDR:
        return addr_parse(view_str(text), field);
    case RANDOM_ORDER:
        return set_word(text, "all", "random", field);
    case CONFIRMABLE:
        return set_word(text, "non", "con", field);
    }
    return ERR_INVALID;
}

static const struct row *find(const char *argument, unsigned mode)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    for (size_t i = 0; i < mem_count(rows); i++)
        if (strcmp(argument + 2, rows[i].name) == 0 && (rows[i].modes & mode) != 0)
            return &rows[i];
    return NULL;
}

int options_parse(char *const *arguments, struct options *o)
{
    struct options read = defaults;

    read.mode = o->mode;
    read.mode_name = o->mode_name;
    (void)addr_parse(VIEW_LIT("127.0.0.1:5683"), &read.server);
    (void)addr_parse(VIEW_LIT("127.0.0.1:8080"), &read.api);
    read.listen = read.server;
    for (; *arguments; arguments += 2) {
        const struct row *row = find(arguments[0], read.mode);
        int rc;

        if (!row) {
            fprintf(stderr, "fleet: %s has no option %s\n", read.mode_name, arguments[0]);
            return ERR_INVALID;
        }
        rc = arguments[1] ? set(row, arguments[1], &read) : ERR_TRUNCATED;
        if (rc < 0) {
            fprintf(stderr, "fleet: %s: %s\n", arguments[0],
                    arguments[1] ? err_text(rc) : "a value is missing");
            return rc;
        }
    }
    if (strlen(read.prefix) > 32 || strlen(read.version) > 8 ||
        (read.pid && strlen(read.pid) > 200)) {
        fprintf(stderr, "fleet: --prefix, --version or --pid is too long\n");
        return ERR_LIMIT;
    }
    *o = read;
    return ERR_OK;
}

void options_usage(unsigned modes)
{
    for (size_t i = 0; i < mem_count(rows); i++)
        if ((rows[i].modes & modes) != 0)
            fprintf(stderr, "  --%-16s %s\n", rows[i].name, rows[i].help);
}
