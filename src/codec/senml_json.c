/*
 * application/senml+json (110): RFC 8428 section 5.
 *
 * jansson reads integers as int64 and refuses larger ones. So the text is scanned first: an integer
 * that only uint64 holds becomes a string where it stands as "v" (and a string of such an integer
 * is taken for it there); any other integer beyond int64 gets ".0" and is read as a real. The same
 * scan bounds the nesting and the number of containers before any is allocated.
 */
#include "codec/senml.h"

#include <inttypes.h>
#include <jansson.h>
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

/* ---- decode ------------------------------------------------------------------------------- */

static int parse(struct view text, json_t **ret_pack)
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
    json_t *pack =
        json_loadb(text.n > 0 ? (const char *)text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);

    if (pack != NULL) {
        *ret_pack = pack;
        return ERR_OK;
    }
    for (size_t i = 0; i < mem_count(known); i++)
        if (known[i].code == json_error_code(&error))
            return known[i].rc;
    return ERR_MALFORMED;
}

static struct view text_of(const json_t *j)
{
    return view_of(json_string_value(j), json_string_length(j));
}

/* A string as the field needs it: bytes of "vd", a number too large for jansson under "v". */
static int read_string(enum senml_field f, const json_t *j, struct buf *scratch,
                       struct value *ret_value)
{
    struct value v = {.type = VALUE_STRING, .u.bytes = text_of(j)};
    uint64_t number;
    int rc;

    if (f == SENML_VALUE) {
        if (view_u64(text_of(j), UINT64_MAX, &number) < 0 || number <= INT64_MAX)
            return ERR_TYPE;
        v = (struct value){.type = VALUE_UNSIGNED, .u.unsigned_ = number};
    } else if (f == SENML_DATA) {
        buf_reset(scratch);
        rc = text_unbase64(scratch, text_of(j));
        if (rc < 0)
            return rc;
        v = (struct value){.type = VALUE_OPAQUE, .u.bytes = buf_view(scratch)};
    }
    *ret_value = v;
    return ERR_OK;
}

static int read_json(enum senml_field f, const json_t *j, struct buf *scratch,
                     struct value *ret_value)
{
    switch (json_typeof(j)) {
    case JSON_STRING:
        return read_string(f, j, scratch, ret_value);
    case JSON_INTEGER:
        *ret_value = (struct value){.type = VALUE_INTEGER, .u.integer = json_integer_value(j)};
        return ERR_OK;
    case JSON_REAL:
        *ret_value = (struct value){.type = VALUE_FLOAT, .u.float_ = json_real_value(j)};
        return ERR_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret_value = (struct value){.type = VALUE_BOOLEAN, .u.boolean = json_is_true(j)};
        return ERR_OK;
    case JSON_NULL:
        *ret_value = (struct value){.type = VALUE_NONE};
        return ERR_OK;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return ERR_TYPE;
}

static int read_record(json_t *object, struct buf *scratch, struct senml_reader *reader)
{
    struct senml_record r = {.seen = 0};
    int rc = ERR_OK;

    if (!json_is_object(object))
        return ERR_MALFORMED;
    for (void *it = json_object_iter(object); rc == ERR_OK && it != NULL;
         it = json_object_iter_next(object, it)) {
        enum senml_field f = SENML_IGNORED;
        struct value v;

        rc = senml_field_of_label(view_str(json_object_iter_key(it)), &f);
        if (rc < 0 || f == SENML_IGNORED)
            continue;
        rc = read_json(f, json_object_iter_value(it), scratch, &v);
        if (rc == ERR_OK)
            rc = senml_set(&r, f, &v);
    }
    return rc < 0 ? rc : senml_take(reader, &r);
}

int senml_json_decode(const struct content_env *env, struct view body, const struct path *base,
                      struct batch *ret_batch)
{
    struct senml_reader reader;
    struct buf scratch;
    struct view text = VIEW_NONE;
    json_t *pack = NULL;
    int rc;

    /* Two characters more for each integer of at least 19. */
    buf_init(&scratch, body.n + body.n / 8);
    senml_reader_init(&reader, env, base, ret_batch);
    rc = scan_body(body, &scratch, &text);
    if (rc == ERR_OK)
        rc = parse(text, &pack);
    if (rc == ERR_OK && !json_is_array(pack))
        rc = ERR_MALFORMED;
    for (size_t i = 0; rc == ERR_OK && i < json_array_size(pack); i++)
        rc = read_record(json_array_get(pack, i), &scratch, &reader);
    json_decref(pack);
    buf_fini(&scratch);
    return rc;
}

/* ---- encode ------------------------------------------------------------------------------- */

static void put_string(struct buf *out, struct view v)
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

static void put_value(struct buf *out, const struct value *v)
{
    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        put_string(out, v->u.bytes);
        break;
    case VALUE_OPAQUE:
        buf_put_u8(out, '"');
        text_base64(out, v->u.bytes, true);
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
    case VALUE_NONE: /* has no field */
    case VALUE_TYPE_COUNT:
        break;
    }
}

static void put_label(struct buf *out, enum senml_field f, bool *first)
{
    buf_put_str(out, *first ? "\"" : ",\"");
    buf_put_str(out, senml_label(f));
    buf_put_str(out, "\":");
    *first = false;
}

/* Seconds, with three decimals where they are needed. */
static void put_time(struct buf *out, int64_t ms)
{
    uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;

    buf_fmt(out, "%s%" PRIu64, ms < 0 ? "-" : "", size / 1000);
    if (size % 1000 != 0)
        buf_fmt(out, ".%03u", (unsigned)(size % 1000));
}

static void put_record(struct buf *out, const struct senml_fields *f, const struct value *v)
{
    bool first = true;

    buf_put_u8(out, '{');
    if (f->has_base_name) {
        put_label(out, SENML_BASE_NAME, &first);
        put_string(out, view_of(f->base_name, f->base_name_len));
    }
    if (f->has_base_time) {
        put_label(out, SENML_BASE_TIME, &first);
        put_time(out, f->base_time_ms);
    }
    if (f->has_name) {
        put_label(out, SENML_NAME, &first);
        put_string(out, view_of(f->name, f->name_len));
    }
    if (f->has_time) {
        put_label(out, SENML_TIME, &first);
        put_time(out, f->time_ms);
    }
    if (f->value_field != SENML_IGNORED) {
        put_label(out, f->value_field, &first);
        put_value(out, v);
    }
    buf_put_u8(out, '}');
}

int senml_json_encode(const struct content_env *env, const struct batch *values,
                      const struct path *base, struct buf *out)
{
    struct senml_plan plan;
    struct senml_fields f;
    int rc = senml_plan(env, values, &plan);

    (void)base;
    if (rc < 0)
        return rc;
    buf_put_u8(out, '[');
    for (size_t i = 0; i < batch_size(values); i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        senml_plan_record(&plan, values, i, &f);
        put_record(out, &f, &batch_at(values, i)->value);
    }
    buf_put_u8(out, ']');
    return ERR_OK;
}
