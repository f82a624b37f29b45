/* text/plain (0): one value as people write it (LwM2M Core 7.4.1). */
#include "codec/content.h"

#include <inttypes.h>
#include <stdlib.h>

/* Base64 only grows, so what it encodes is never longer than the body. */
static int parse_opaque(struct view body, struct buf *scratch, struct value *ret_value)
{
    int rc = text_unbase64(scratch, body);

    if (rc == ERR_OK)
        *ret_value = (struct value){.type = VALUE_OPAQUE, .u.bytes = buf_view(scratch)};
    return rc;
}

static int parse_float(struct view body, struct buf *scratch, struct value *ret_value)
{
    double number;
    int rc = view_double(body, &number);

    (void)scratch;
    if (rc == ERR_OK)
        *ret_value = (struct value){.type = VALUE_FLOAT, .u.float_ = number};
    return rc;
}

/* Exact over all of 64 bits; "12.0" is taken where an integer is asked for (spec 12 section 6). */
static int parse_integer(struct view body, struct buf *scratch, struct value *ret_value)
{
    int64_t number;
    uint64_t large;
    int rc = view_i64(body, &number);

    if (rc == ERR_MALFORMED)
        return parse_float(body, scratch, ret_value);
    if (rc == ERR_OK)
        *ret_value = (struct value){.type = VALUE_INTEGER, .u.integer = number};
    else if (view_u64(body, UINT64_MAX, &large) == ERR_OK)
        *ret_value = (struct value){.type = VALUE_UNSIGNED, .u.unsigned_ = large};
    else
        return ERR_RANGE;
    return ERR_OK;
}

static int parse_boolean(struct view body, struct buf *scratch, struct value *ret_value)
{
    (void)scratch;
    if (body.n != 1 || (body.p[0] != '0' && body.p[0] != '1'))
        return ERR_MALFORMED;
    *ret_value = (struct value){.type = VALUE_BOOLEAN, .u.boolean = body.p[0] == '1'};
    return ERR_OK;
}

/* Strings, links, and whatever the model does not know. */
static int parse_string(struct view body, struct buf *scratch, struct value *ret_value)
{
    (void)scratch;
    *ret_value = (struct value){.type = VALUE_STRING, .u.bytes = body};
    return ERR_OK;
}

static int (*const parsers[VALUE_TYPE_COUNT])(struct view, struct buf *, struct value *) = {
    [VALUE_NONE] = parse_string,     [VALUE_STRING] = parse_string,
    [VALUE_INTEGER] = parse_integer, [VALUE_UNSIGNED] = parse_integer,
    [VALUE_FLOAT] = parse_float,     [VALUE_BOOLEAN] = parse_boolean,
    [VALUE_OPAQUE] = parse_opaque,   [VALUE_TIME] = parse_integer,
    [VALUE_OBJLNK] = parse_string,   [VALUE_CORELNK] = parse_string,
};

int plain_decode(const struct content_env *env, struct view body, const struct path *base,
                 struct batch *ret_batch)
{
    enum value_type type = content_type_of(env, base, NULL);
    struct record r = {.path = *base};
    struct buf scratch;
    int rc = content_leaf(base);

    if (rc < 0)
        return rc;
    buf_init(&scratch, body.n);
    rc = parsers[type](body, &scratch, &r.value);
    if (rc == ERR_OK)
        rc = content_put_typed(base, &r, type, ret_batch);
    buf_fini(&scratch);
    return rc;
}

/* The shortest digits that read back as the same number, without the exponent that devices' parsers
 * do not know. */
static void put_float(struct buf *out, double v)
{
    char text[32];
    char digits[32];
    const char *exponent;
    size_t n = 0;
    long point; /* where the decimal point stands among the digits */

    text_double(v, text);
    exponent = strchr(text, 'e');
    if (exponent == NULL) {
        buf_put_str(out, text);
        return;
    }
    for (const char *s = text; s < exponent; s++) {
        if (*s == '-')
            buf_put_u8(out, '-');
        else if (*s != '.')
            digits[n++] = *s;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    point = 1 + strtol(exponent + 1, NULL, 10); /* one digit stood before it */
    if (point <= 0) {
        buf_put_str(out, "0.");
        for (; point < 0; point++)
            buf_put_u8(out, '0');
        buf_put(out, digits, n);
        return;
    }
    for (long i = 0; i < point || (size_t)i < n; i++) {
        if (i == point)
            buf_put_u8(out, '.');
        buf_put_u8(out, (size_t)i < n ? (uint8_t)digits[i] : '0');
    }
}

int plain_encode(const struct content_env *env, const struct batch *values, const struct path *base,
                 struct buf *out)
{
    const struct record *r = NULL;
    int rc = content_only(values, base, &r);

    (void)env;
    if (rc < 0)
        return rc;
    switch (r->value.type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        buf_put_view(out, r->value.u.bytes);
        break;
    case VALUE_INTEGER:
    case VALUE_TIME:
        buf_fmt(out, "%" PRId64, r->value.u.integer);
        break;
    case VALUE_UNSIGNED:
        buf_fmt(out, "%" PRIu64, r->value.u.unsigned_);
        break;
    case VALUE_FLOAT:
        put_float(out, r->value.u.float_);
        break;
    case VALUE_BOOLEAN:
        buf_put_u8(out, r->value.u.boolean ? '1' : '0');
        break;
    case VALUE_OPAQUE:
        text_base64(out, r->value.u.bytes, false);
        break;
    case VALUE_OBJLNK:
        buf_fmt(out, "%u:%u", r->value.u.link.object, r->value.u.link.instance);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        return ERR_TYPE;
    }
    return ERR_OK;
}
