/* Queries of Register and Update: what is understood, written again, is understood as the same. */
#include "lwm2m/internal.h"

#include "require.h"

#include <stdio.h>

static void parse(struct arena *a, struct view text, struct params *ret)
{
    struct request req = {.query_count = 0};
    struct view part;

    while (text.n > 0 && req.query_count < REQUEST_QUERIES_MAX && view_split(&text, '&', &part))
        req.queries[req.query_count++] = part;
    params_parse(a, &req, ret);
}

static void put(struct buf *out, const char *key, struct view value)
{
    buf_fmt(out, "%s%s", out->n > 0 ? "&" : "", key);
    for (size_t i = 0; i < value.n; i++)
        buf_fmt(out, "%%%02x", value.p[i]);
}

static void write_again(const struct params *p, struct buf *out)
{
    char binding[8], number[12];

    binding_format(p->binding, binding);
    snprintf(number, sizeof(number), "%u", p->lifetime_s);
    if (p->given & PARAMS_EP)
        put(out, "ep=", p->endpoint);
    if (p->given & PARAMS_LT)
        put(out, "lt=", view_str(number));
    if (p->given & PARAMS_B)
        put(out, "b=", view_str(binding));
    snprintf(number, sizeof(number), "%u.%u", p->version.major, p->version.minor);
    if (p->given & PARAMS_VERSION)
        put(out, "lwm2m=", view_str(number));
    if (p->given & PARAMS_SMS)
        put(out, "sms=+", p->sms);
    if (p->given & PARAMS_PID)
        put(out, "pid=", p->pid);
    if (p->given & PARAMS_Q)
        buf_fmt(out, "%sQ", out->n > 0 ? "&" : "");
    if (p->unknown.n > 0)
        buf_fmt(out, "%s" VIEW_FMT, out->n > 0 ? "&" : "", VIEW_ARG(p->unknown));
}

static void same(const struct params *a, const struct params *b)
{
    require(b->rc == ERR_OK && a->given == b->given && a->binding == b->binding);
    require(version_cmp(a->version, b->version) == 0 && a->lifetime_s == b->lifetime_s);
    require(view_eq(a->endpoint, b->endpoint) && view_eq(a->sms, b->sms));
    require(view_eq(a->pid, b->pid) && view_eq(a->unknown, b->unknown));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new((size_t)1 << 16);
    struct params p, again;
    struct buf out;

    require(a != NULL);
    buf_init(&out, (size_t)1 << 16);
    parse(a, view_of(data, size), &p);
    require((p.rc < 0) == (p.what != NULL));
    require(p.endpoint.n <= ENDPOINT_MAX && p.unknown.n <= 1024 && view_utf8(p.unknown) == ERR_OK);
    if (p.rc == ERR_OK) {
        require(!(p.given & PARAMS_EP) || params_check_endpoint(p.endpoint) == ERR_OK);
        write_again(&p, &out);
        parse(a, buf_view(&out), &again);
        same(&p, &again);
    }
    buf_fini(&out);
    arena_free(a);
    return 0;
}
