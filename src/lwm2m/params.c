#include "lwm2m/internal.h"

/* LwM2M Core table 6.2.1.2-1. What an unknown client adds is kept, within this bound. */
#define UNKNOWN_MAX 1024

/* ---- values ---------------------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Not every client encodes its queries, so only a well-formed %XX is taken for one. */
static struct view decode(struct arena *a, struct view v)
{
    uint8_t *out;
    size_t n = 0;

    if (v.n == 0 || memchr(v.p, '%', v.n) == NULL)
        return v;
    out = arena_alloc(a, v.n);
    if (out == NULL)
        return v;
    for (size_t i = 0; i < v.n; i++) {
        int high = i + 2 < v.n && v.p[i] == '%' ? hex_digit(v.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(v.p[i + 2]) : -1;

        out[n++] = low >= 0 ? (uint8_t)(high << 4 | low) : v.p[i];
        if (low >= 0)
            i += 2;
    }
    return view_of(out, n);
}

/* UTF-8 without control characters, C1 (0x80 to 0x9f, as c2 80 …) included. */
static bool is_clean(struct view v)
{
    if (view_utf8(v) < 0)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        bool c1 = v.p[i] == 0xc2 && i + 1 < v.n && v.p[i + 1] < 0xa0;

        if (v.p[i] < 0x20 || v.p[i] == 0x7f || c1)
            return false;
    }
    return true;
}

int params_check_endpoint(struct view v)
{
    if (v.n == 0 || v.n > ENDPOINT_MAX || !is_clean(v))
        return ERR_INVALID;
    return ERR_OK;
}

static int take_ep(struct params *p, struct view v)
{
    int rc = params_check_endpoint(v);

    if (rc == ERR_OK)
        p->endpoint = v;
    return rc;
}

static int take_lt(struct params *p, struct view v)
{
    uint64_t seconds;
    int rc = view_u64(v, UINT32_MAX, &seconds);

    if (rc == ERR_OK)
        p->lifetime_s = (uint32_t)seconds;
    return rc;
}

/* What cannot be read is no version that we serve: clients step down on 4.12 only. */
static int take_version(struct params *p, struct view v)
{
    (void)version_parse(v, &p->version);
    return ERR_OK;
}

static int take_b(struct params *p, struct view v)
{
    if (v.n == 0) {
        p->binding = BINDING_U;
        return ERR_OK;
    }
    return binding_parse(v, &p->binding, &p->queue_in_b);
}

/* 3GPP TS 23.003 has no plus in front; clients have. */
static int take_sms(struct params *p, struct view v)
{
    if (v.n > 0 && v.p[0] == '+')
        v = view_sub(v, 1, v.n);
    if (v.n == 0 || !is_clean(v))
        return ERR_INVALID;
    p->sms = v;
    return ERR_OK;
}

static int take_pid(struct params *p, struct view v)
{
    struct profile_ids ids;
    int rc = profiles_split(v, &ids);

    if (rc == ERR_OK)
        p->pid = v;
    return rc;
}

/* ---- the query ------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    uint8_t given;
    int (*take)(struct params *p, struct view v); /* NULL: a flag, without '=' */
} keys[] = {
    {"ep", PARAMS_EP, take_ep},    {"lt", PARAMS_LT, take_lt},
    {"b", PARAMS_B, take_b},       {"lwm2m", PARAMS_VERSION, take_version},
    {"Q", PARAMS_Q, NULL},         {"sms", PARAMS_SMS, take_sms},
    {"pid", PARAMS_PID, take_pid},
};

static void fail(struct params *p, int rc, const char *what)
{
    if (p->rc < 0)
        return;
    p->rc = rc;
    p->what = what;
}

static void take_known(struct params *p, size_t i, struct arena *a, struct view value)
{
    bool has_value = value.p != NULL;
    int rc = ERR_INVALID;

    if ((p->given & keys[i].given) != 0) {
        fail(p, ERR_DUPLICATE, keys[i].key);
        return;
    }
    p->given |= keys[i].given;
    if (keys[i].take == NULL)
        rc = has_value ? ERR_INVALID : ERR_OK;
    else if (has_value)
        rc = keys[i].take(p, decode(a, value));
    if (rc < 0)
        fail(p, rc, keys[i].key);
}

/* Keeps a parameter that we do not know, as it was sent. */
static void take_unknown(struct params *p, struct arena *a, struct view query)
{
    size_t n = p->unknown.n + (p->unknown.n > 0) + query.n;
    uint8_t *all;

    if (query.n == 0 || n > UNKNOWN_MAX || !is_clean(query))
        return;
    all = arena_alloc(a, n);
    if (all == NULL)
        return;
    if (p->unknown.n > 0) {
        memcpy(all, p->unknown.p, p->unknown.n);
        all[p->unknown.n] = '&';
    }
    memcpy(all + n - query.n, query.p, query.n);
    p->unknown = view_of(all, n);
}

void params_parse(struct arena *a, const struct request *req, struct params *ret)
{
    *ret = (struct params){.binding = BINDING_U};
    for (unsigned q = 0; q < req->query_count; q++) {
        struct view value = req->queries[q], key = VIEW_NONE;
        size_t i = 0;

        (void)view_split(&value, '=', &key);
        while (i < mem_count(keys) && !view_eq_str(key, keys[i].key))
            i++;
        if (i < mem_count(keys))
            take_known(ret, i, a, value);
        else
            take_unknown(ret, a, req->queries[q]);
    }
}
