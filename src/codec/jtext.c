/*
 * JSON text (RFC 8259) for the formats made of it.
 *
 * jansson reads integers as int64 and refuses larger ones. So the text is scanned first: an integer
 * that only uint64 holds becomes a string where it stands as "v" (and a string of such an integer
 * is taken for it there); any other integer beyond int64 gets ".0" and is read as a real. The same
 * scan bounds the nesting and the number of containers before any is allocated.
 */
#include "codec/jtext.h"

#include <inttypes.h>
#include <math.h>

#define JSON_DEPTH_MAX 16
/* Twice the records a batch holds: the pack, its records, and as many containers in fields unknown.
 */
#define JSON_CONTAINERS_MAX 131072u
#define INT64_DIGITS 19

/* ---- scan --------------------------------------------------------------------------------- */

struct scan {
    struct view text;
    size_t at;
    size_t copied; /* bytes of text that out already has, as they are or rewritten */
    size_t containers;
    unsigned depth;
    struct view string; /* the last one, without quotes */
    bool for_v;         /* what follows is the value of a "v" */
    struct buf *out;
};

static bool is_number_part(uint8_t ch)
{
    return (ch >= '0' && ch <= '9') || ch == '-' || ch == '+' || ch == '.' || ch == 'e' ||
           ch == 'E';
}

static void scan_string(struct scan *s)
{
    size_t from = ++s->at;

    while (s->at < s->text.n && s->text.p[s->at] != '"')
        s->at += s->text.p[s->at] == '\\' ? 2 : 1;
    s->string = view_sub(s->text, from, (s->at < s->text.n ? s->at : s->text.n) - from);
    s->at++;
}

static void scan_number(struct scan *s)
{
    size_t from = s->at;
    struct view token;
    int64_t small;
    uint64_t large;

    while (s->at < s->text.n && is_number_part(s->text.p[s->at]))
        s->at++;
    token = view_sub(s->text, from, s->at - from);
    if (token.n < INT64_DIGITS || view_i64(token, &small) != ERR_RANGE)
        return;
    buf_put_view(s->out, view_sub(s->text, s->copied, from - s->copied));
    if (s->for_v && token.p[0] != '0' && view_u64(token, UINT64_MAX, &large) == ERR_OK) {
        buf_put_u8(s->out, '"');
        buf_put_view(s->out, token);
        buf_put_u8(s->out, '"');
    } else {
        buf_put_view(s->out, token);
        buf_put_str(s->out, ".0");
    }
    s->copied = s->at;
}

static int scan_open(struct scan *s)
{
    s->at++;
    s->for_v = false;
    if (++s->containers > JSON_CONTAINERS_MAX)
        return ERR_LIMIT;
    return ++s->depth > JSON_DEPTH_MAX ? ERR_DEPTH : ERR_OK;
}

static int scan_token(struct scan *s)
{
    uint8_t ch = s->text.p[s->at];

    switch (ch) {
    case '"':
        scan_string(s);
        return ERR_OK;
    case '[':
    case '{':
        return scan_open(s);
    case ']':
    case '}':
        s->depth -= s->depth > 0;
        break;
    case ':':
        s->for_v = view_eq_str(s->string, "v");
        break;
    case ',':
        s->for_v = false;
        break;
    default:
        if (is_number_part(ch)) {
            scan_number(s);
            return ERR_OK;
        }
        break;
    }
    s->at++;
    return ERR_OK;
}

/* The text jansson is to read: body itself, or what was written to scratch. */
static int scan_body(struct view body, struct buf *scratch, struct view *ret_text)
{
    struct scan s = {.text = body, .out = scratch};
    int rc = ERR_OK;

    while (rc == ERR_OK && s.at < body.n)
        rc = scan_token(&s);
    if (rc < 0)
        return rc;
    if (s.copied == 0) {
        *ret_text = body;
        return ERR_OK;
    }
    buf_put_view(scratch, view_sub(body, s.copied, body.n));
    if (scratch->rc < 0)
        return scratch->rc;
    *ret_text = buf_view(scratch);
    return ERR_OK;
}

/* ---- parse -------------------------------------------------------------------------------- */

static int parse(struct view text, json_t **ret_root)
{
    static const struct {
        enum json_error_code code;
        int rc;
    } known[] = {
        {json_error_out_of_memory, ERR_NOMEM},
        {json_error_premature_end_of_input, ERR_TRUNCATED},
        {json_error_end_of_input_expected, ERR_TRAILING},
        {json_error_invalid_utf8, ERR_UTF8},
        {json_error_null_character, ERR_UTF8},
        {json_error_duplicate_key, ERR_DUPLICATE},
        {json_error_numeric_overflow, ERR_RANGE},
    };
    json_error_t error;
    json_t *root =
        json_loadb(text.n > 0 ? (const char *)text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);

    if (root != NULL) {
        *ret_root = root;
        return ERR_OK;
    }
    for (size_t i = 0; i < mem_count(known); i++)
        if (known[i].code == json_error_code(&error))
            return known[i].rc;
    return ERR_MALFORMED;
}

int jtext_parse(struct view body, json_t **ret_root)
{
    struct view text = VIEW_NONE;
    struct buf scratch;
    int rc;

    /* Two characters more for each integer of at least 19. */
    buf_init(&scratch, body.n + body.n / 8);
    rc = scan_body(body, &scratch, &text);
    if (rc == ERR_OK)
        rc = parse(text, ret_root);
    buf_fini(&scratch);
    return rc;
}

struct view jtext_string(const json_t *j)
{
    return view_of(json_string_value(j), json_string_length(j));
}

int jtext_value(const json_t *j, struct value *ret_value)
{
    struct value v = {.type = VALUE_STRING};

    switch (json_typeof(j)) {
    case JSON_STRING:
        v.u.bytes = jtext_string(j);
        break;
    case JSON_INTEGER:
        v = (struct value){.type = VALUE_INTEGER, .u.integer = json_integer_value(j)};
        break;
    case JSON_REAL:
        v = (struct value){.type = VALUE_FLOAT, .u.float_ = json_real_value(j)};
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = (struct value){.type = VALUE_BOOLEAN, .u.boolean = json_is_true(j)};
        break;
    case JSON_NULL:
        v.type = VALUE_NONE;
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return ERR_TYPE;
    }
    *ret_value = v;
    return ERR_OK;
}

int jtext_large(struct value *v)
{
    uint64_t number;

    if (v->type != VALUE_STRING)
        return ERR_OK;
    if (view_u64(v->u.bytes, UINT64_MAX, &number) < 0 || number <= INT64_MAX)
        return ERR_TYPE;
    *v = (struct value){.type = VALUE_UNSIGNED, .u.unsigned_ = number};
    return ERR_OK;
}

/* ---- write -------------------------------------------------------------------------------- */

void jtext_put_string(struct buf *out, struct view v)
{
    size_t from = 0;

    buf_put_u8(out, '"');
    for (size_t i = 0; i < v.n; i++) {
        uint8_t ch = v.p[i];

        if (ch >= 0x20 && ch != '"' && ch != '\\')
            continue;
        buf_put_view(out, view_sub(v, from, i - from));
        if (ch < 0x20)
            buf_fmt(out, "\\u%04x", ch);
        else
            buf_fmt(out, "\\%c", ch);
        from = i + 1;
    }
    buf_put_view(out, view_sub(v, from, v.n));
    buf_put_u8(out, '"');
}

/* A float stays one: the receiver may tell 22.0 from 22. */
static void put_float(struct buf *out, double v)
{
    char text[32];

    text_double(v, text);
    buf_put_str(out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_put_str(out, ".0");
}

void jtext_put_value(struct buf *out, const struct value *v, bool url)
{
    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        jtext_put_string(out, v->u.bytes);
        break;
    case VALUE_OPAQUE:
        buf_put_u8(out, '"');
        text_base64(out, v->u.bytes, url);
        buf_put_u8(out, '"');
        break;
    case VALUE_INTEGER:
    case VALUE_TIME:
        buf_fmt(out, "%" PRId64, v->u.integer);
        break;
    case VALUE_UNSIGNED:
        buf_fmt(out, "%" PRIu64, v->u.unsigned_);
        break;
    case VALUE_FLOAT:
        put_float(out, v->u.float_);
        break;
    case VALUE_BOOLEAN:
        buf_put_str(out, v->u.boolean ? "true" : "false");
        break;
    case VALUE_OBJLNK:
        buf_fmt(out, "\"%u:%u\"", v->u.link.object, v->u.link.instance);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        buf_put_str(out, "null");
        break;
    }
}

void jtext_put_time(struct buf *out, int64_t ms)
{
    uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    buf_fmt(out, "%s%" PRIu64, ms < 0 ? "-" : "", size / 1000);
    if (size % 1000 != 0)
        buf_fmt(out, ".%03u", (unsigned)(size % 1000));
}
