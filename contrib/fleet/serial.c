#include "fleet.h"

#include <stdio.h>

/* Where an operation carries its serial. */
#define WRITTEN "3311/0/5851"
#define EXECUTED "3/0/12"
#define READ_OBJECT 3303
#define READ_RESOURCE 5700
#define ARGUMENT "0='"

static const struct path written = {.depth = 3, .id = {3311, 0, 5851}};
static const struct path executed = {.depth = 3, .id = {3, 0, 12}};

/* ---- handing in ---- */

size_t serial_request(char *out, size_t room, const char *endpoint, unsigned serial)
{
    static const char head[] = "%s /v1/devices/%s/resources/%s HTTP/1.1\r\nHost: localhost\r\n"
                               "Prefer: respond-async\r\nContent-Length: %zu\r\n%s\r\n%s";
    static const char json[] = "Content-Type: application/json\r\n";
    char path[64] = "", body[48] = "";
    const char *method;
    int n;

    switch ((enum serial_kind)(serial % SERIAL_KINDS)) {
    case SERIAL_WRITE:
        method = "PUT";
        snprintf(path, sizeof(path), WRITTEN);
        snprintf(body, sizeof(body), "{\"value\":%u}", serial);
        break;
    case SERIAL_EXECUTE:
        method = "POST";
        snprintf(path, sizeof(path), EXECUTED);
        snprintf(body, sizeof(body), "{\"arguments\":\"" ARGUMENT "%u'\"}", serial);
        break;
    case SERIAL_READ:
    case SERIAL_KINDS:
    default:
        method = "GET";
        snprintf(path, sizeof(path), "%d/%u/%d?source=device", READ_OBJECT, serial, READ_RESOURCE);
        break;
    }
    n = snprintf(out, room, head, method, endpoint, path, strlen(body), body[0] ? json : "", body);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* ---- coming in ---- */

static int of_write(const struct content_env *env, const struct request *r, uint64_t *ret)
{
    int32_t format = r->format == UINT32_MAX ? FORMAT_NONE : (int32_t)r->format;
    struct batch *values = batch_new();
    const struct record *value;
    int rc = values ? content_decode(format, env, r->pdu->payload, &r->path, values) : ERR_NOMEM;

    if (rc == ERR_OK) {
        value = batch_find(values, &written);
        if (value && value->value.type == VALUE_INTEGER && value->value.u.integer >= 0)
            *ret = (uint64_t)value->value.u.integer;
        else
            rc = ERR_INVALID;
    }
    batch_free(values);
    return rc;
}

static int of_execute(const struct request *r, uint64_t *ret)
{
    struct view rest = r->pdu->payload, digits;
    size_t lead = strlen(ARGUMENT);

    if (rest.n < lead || memcmp(rest.p, ARGUMENT, lead) != 0)
        return ERR_INVALID;
    rest = view_sub(rest, lead, rest.n);
    return view_split(&rest, '\'', &digits) ? view_u64(digits, SERIAL_MAX - 1, ret) : ERR_INVALID;
}

int serial_parse(const struct content_env *env, const struct request *r, enum serial_kind *ret_kind,
                 unsigned *ret_serial)
{
    const struct path *p = &r->path;
    uint64_t serial = 0;
    int rc = ERR_NOTFOUND;

    if (r->pdu->code == PDU_GET && p->depth == 3 && p->id[0] == READ_OBJECT &&
        p->id[2] == READ_RESOURCE) {
        *ret_kind = SERIAL_READ;
        serial = p->id[1];
        rc = ERR_OK;
    } else if (r->pdu->code == PDU_PUT && path_eq(p, &written)) {
        *ret_kind = SERIAL_WRITE;
        rc = of_write(env, r, &serial);
    } else if (r->pdu->code == PDU_POST && path_eq(p, &executed)) {
        *ret_kind = SERIAL_EXECUTE;
        rc = of_execute(r, &serial);
    }
    if (rc == ERR_OK && serial >= SERIAL_MAX)
        rc = ERR_INVALID;
    *ret_serial = (unsigned)serial;
    return rc;
}

enum serial_verdict serial_track(struct serial_track *t, unsigned serial)
{
    uint64_t bit = UINT64_C(1) << serial;
    enum serial_verdict verdict = serial == t->next  ? SERIAL_IN_ORDER
                                  : serial > t->next ? SERIAL_SKIPPED
                                                     : SERIAL_DISORDER;

    if ((t->seen & bit) != 0)
        return SERIAL_AGAIN;
    t->seen |= bit;
    if (serial >= t->next)
        t->next = (uint8_t)(serial + 1);
    return verdict;
}
