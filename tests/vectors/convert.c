/*
 * The data formats on a pipe, for tests that hold them against other implementations. One request a
 * line, fields apart by tabs:
 *
 *   encode FORMAT USE BASE GATEWAY RECORD…     →  ok HEX
 *   decode FORMAT USE BASE GATEWAY HEX         →  ok RECORD…
 *
 * or "error NAME". USE is a number of enum content_use. GATEWAY is the prefix of the device asked,
 * "-" for none, "*" for records of any. A record is "PREFIX:PATH TYPE VALUE TIME": the prefix may
 * be missing, strings and opaque values are hex, "-" stands for no value and for no time (Unix ms).
 *
 * Objects 34000 and 34010 have one resource of each type from 0 on, in the order of the enum, and
 * from 20 on the same with instances. Of other objects nothing is known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/codec.h"

#define BODY_MAX ((size_t)16 << 20)
#define NOW_MS ((int64_t)1750000000000)

static struct registry *definitions(void)
{
    static const char *const types[] = {"String", "Integer", "Unsigned Integer",
                                        "Float",  "Boolean", "Opaque",
                                        "Time",   "Objlnk",  "Corelnk"};
    struct registry *r = registry_new();
    struct buf text;
    unsigned line;

    buf_init(&text, 65536);
    for (unsigned object = 34000; object <= 34010; object += 10)
        for (size_t i = 0; i < 2 * mem_count(types); i++)
            buf_fmt(&text,
                    "%u\t1.0\tTest\t%zu\tResource\tRW\t%s\tOptional\t%s\t\t\tMultiple\tOptional\t"
                    "1.0\n",
                    object, i < mem_count(types) ? i : 20 + i - mem_count(types),
                    i < mem_count(types) ? "Single" : "Multiple", types[i % mem_count(types)]);
    if (r == NULL || registry_load_tsv(r, buf_view(&text), &line) < 0)
        abort();
    buf_fini(&text);
    return r;
}

static void put_hex(struct buf *out, struct view v)
{
    for (size_t i = 0; i < v.n; i++)
        buf_fmt(out, "%02x", v.p[i]);
}

/* ---- records ------------------------------------------------------------------------------ */

static void put_value(struct buf *out, const struct value *v)
{
    char text[32];

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        put_hex(out, v->u.bytes);
        break;
    case VALUE_INTEGER:
    case VALUE_TIME:
        buf_fmt(out, "%" PRId64, v->u.integer);
        break;
    case VALUE_UNSIGNED:
        buf_fmt(out, "%" PRIu64, v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        text_double(v->u.float_, text);
        buf_put_str(out, text);
        break;
    case VALUE_BOOLEAN:
        buf_put_u8(out, v->u.boolean ? '1' : '0');
        break;
    case VALUE_OBJLNK:
        buf_fmt(out, "%u:%u", v->u.link.object, v->u.link.instance);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        buf_put_u8(out, '-');
        break;
    }
}

static void put_record(struct buf *out, const struct batch *b, const struct record *r)
{
    struct view prefix = batch_prefix(b, r->prefix);
    char path[PATH_TEXT_MAX];

    path_format(&r->path, path);
    buf_put_view(out, prefix);
    buf_fmt(out, "%s%s %s ", prefix.n > 0 ? ":" : "", path, value_type_name(r->value.type));
    put_value(out, &r->value);
    if (r->timed)
        buf_fmt(out, " %" PRId64, r->time_ms);
    else
        buf_put_str(out, " -");
}

static int get_bytes(struct view text, struct buf *scratch, struct view *ret_bytes)
{
    size_t n = text.n / 2;
    uint8_t byte;

    buf_reset(scratch);
    for (size_t i = 0; i < n; i++) {
        int rc = text_unhex(view_sub(text, 2 * i, 2), &byte, 1, &(size_t){0});

        if (rc < 0)
            return rc;
        buf_put_u8(scratch, byte);
    }
    *ret_bytes = buf_view(scratch);
    return scratch->rc;
}

static int get_value(struct view text, struct buf *scratch, struct value *v)
{
    struct value link = {.type = VALUE_STRING, .u.bytes = text};
    int rc = ERR_OK;

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        return get_bytes(text, scratch, &v->u.bytes);
    case VALUE_INTEGER:
    case VALUE_TIME:
        return view_i64(text, &v->u.integer);
    case VALUE_UNSIGNED:
        return view_u64(text, UINT64_MAX, &v->u.unsigned_);
    case VALUE_FLOAT:
        return view_double(text, &v->u.float_);
    case VALUE_BOOLEAN:
        v->u.boolean = view_eq_str(text, "1");
        break;
    case VALUE_OBJLNK:
        rc = value_coerce(&link, VALUE_OBJLNK);
        *v = link;
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
    return rc;
}

/* "/34000/65535/1" too: the instance that a device is to choose. */
static int get_path(struct view text, struct path *ret_path)
{
    struct view rest = text, part;
    struct path p = {.depth = 0};
    uint64_t id;

    if (text.n == 1)
        return path_parse(text, ret_path);
    view_split(&rest, '/', &part);
    while (view_split(&rest, '/', &part)) {
        if (p.depth == 4 || view_u64(part, UINT16_MAX, &id) < 0)
            return ERR_PATH;
        p.id[p.depth++] = (uint16_t)id;
    }
    *ret_path = p;
    return ERR_OK;
}

static int get_record(struct view text, struct buf *scratch, struct batch *b)
{
    struct view rest = text, path, type, value, prefix;
    struct record r = {.timed = false};
    int rc = ERR_OK;

    if (!view_split(&rest, ' ', &path) || !view_split(&rest, ' ', &type) ||
        !view_split(&rest, ' ', &value))
        return ERR_MALFORMED;
    if (path.n > 0 && path.p[0] != '/' && view_split(&path, ':', &prefix))
        rc = batch_prefix_add(b, prefix, &r.prefix);
    if (rc == ERR_OK)
        rc = get_path(path, &r.path);
    if (rc == ERR_OK)
        rc = value_type_parse(type, &r.value.type);
    if (rc == ERR_OK)
        rc = get_value(value, scratch, &r.value);
    r.timed = !view_eq_str(rest, "-");
    if (rc == ERR_OK && r.timed)
        rc = view_i64(rest, &r.time_ms);
    return rc < 0 ? rc : batch_add(b, &r);
}

/* ---- requests ----------------------------------------------------------------------------- */

struct request {
    int32_t format;
    struct content_env env;
    struct path base;
    struct view rest; /* records, or the body */
};

static int get_request(struct view rest, struct request *q)
{
    struct view format, use, base, gateway;
    uint64_t number = 0, kind = 0;

    if (!view_split(&rest, '\t', &format) || !view_split(&rest, '\t', &use) ||
        !view_split(&rest, '\t', &base) || !view_split(&rest, '\t', &gateway) ||
        view_u64(format, UINT16_MAX, &number) < 0 ||
        view_u64(use, CONTENT_USE_COUNT - 1, &kind) < 0)
        return ERR_MALFORMED;
    q->format = (int32_t)number;
    q->env.now_ms = NOW_MS;
    q->env.use = (enum content_use)kind;
    q->env.prefixes = view_eq_str(gateway, "*");
    q->env.gateway = q->env.prefixes || view_eq_str(gateway, "-") ? VIEW_LIT("") : gateway;
    q->rest = rest;
    return get_path(base, &q->base);
}

static int encode(struct request *q, struct batch *b, struct buf *scratch, struct buf *out)
{
    struct view record;
    struct buf body;
    int rc = ERR_OK;

    while (rc == ERR_OK && view_split(&q->rest, '\t', &record))
        rc = get_record(record, scratch, b);
    buf_init(&body, BODY_MAX);
    if (rc == ERR_OK)
        rc = content_encode(q->format, &q->env, b, &q->base, &body);
    if (rc == ERR_OK)
        buf_put_u8(out, '\t');
    put_hex(out, buf_view(&body));
    buf_fini(&body);
    return rc;
}

static int decode(struct request *q, struct batch *b, struct buf *scratch, struct buf *out)
{
    struct view body = VIEW_NONE;
    int rc = get_bytes(q->rest, scratch, &body);

    if (rc == ERR_OK)
        rc = content_decode(q->format, &q->env, body, &q->base, b);
    for (size_t i = 0; rc == ERR_OK && i < batch_size(b); i++) {
        buf_put_u8(out, '\t');
        put_record(out, b, batch_at(b, i));
    }
    return rc;
}

static void answer(const struct registry *registry, struct view line)
{
    struct request q = {.env = {.registry = registry, .prefix = VIEW_LIT("")}};
    struct batch *b = batch_new();
    struct buf scratch, out;
    struct view verb;
    int rc = ERR_MALFORMED;

    buf_init(&scratch, BODY_MAX);
    buf_init(&out, 4 * BODY_MAX);
    if (b != NULL && view_split(&line, '\t', &verb))
        rc = get_request(line, &q);
    if (rc == ERR_OK)
        rc = view_eq_str(verb, "encode") ? encode(&q, b, &scratch, &out)
                                         : decode(&q, b, &scratch, &out);
    if (rc < 0)
        printf("error %s\n", err_name(rc));
    else
        printf("ok" VIEW_FMT "\n", VIEW_ARG(buf_view(&out)));
    fflush(stdout);
    buf_fini(&scratch);
    buf_fini(&out);
    batch_free(b);
}

int main(void)
{
    struct registry *registry = definitions();
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    while ((n = getline(&line, &cap, stdin)) > 0)
        answer(registry, view_of(line, (size_t)n - (line[n - 1] == '\n')));
    free(line);
    registry_unref(registry);
    return 0;
}
