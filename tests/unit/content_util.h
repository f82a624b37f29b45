/*
 * What the tests of the payload codecs share: a small registry, and records as lines of text, so
 * that a test reads as a table of bodies and the records they hold.
 *
 *   /3/0/9 integer 95               /3303/0/5700 float 22.5 @1700000000000
 *   /0/0/5 opaque 0102ff            /3/0/6                      (no value)
 *   d01:/3/0/9 integer 95           (of a device behind a gateway)
 */
#ifndef TESTS_UNIT_CONTENT_UTIL_H
#define TESTS_UNIT_CONTENT_UTIL_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codec/codec.h"

#define NOW_MS ((int64_t)1750000000000)

struct resource_row {
    const char *object, *version, *objects; /* id, version, Single or Multiple */
    const char *id, *instances, *type;
};

/* Some resources of real objects; object 34000 has one resource of each type, 34001 changed its
 * mind. */
static const struct resource_row resource_rows[] = {
    {"0", "1.2", "Multiple", "5", "Single", "Opaque"},
    {"1", "1.2", "Multiple", "0", "Single", "Integer"},
    {"1", "1.2", "Multiple", "1", "Single", "Integer"},
    {"1", "1.2", "Multiple", "6", "Single", "Boolean"},
    {"1", "1.2", "Multiple", "7", "Single", "String"},
    {"2", "1.0", "Multiple", "0", "Single", "Integer"},
    {"2", "1.0", "Multiple", "1", "Single", "Integer"},
    {"2", "1.0", "Multiple", "2", "Multiple", "Integer"},
    {"2", "1.0", "Multiple", "3", "Single", "Integer"},
    {"3", "1.0", "Single", "0", "Single", "String"},
    {"3", "1.0", "Single", "6", "Multiple", "Integer"},
    {"3", "1.0", "Single", "9", "Single", "Integer"},
    {"3", "1.0", "Single", "13", "Single", "Time"},
    {"3", "1.2", "Single", "0", "Single", "String"},
    {"3", "1.2", "Single", "6", "Multiple", "Integer"},
    {"3", "1.2", "Single", "9", "Single", "Integer"},
    {"3", "1.2", "Single", "13", "Single", "Time"},
    {"3", "1.2", "Single", "22", "Multiple", "Objlnk"},
    {"34", "1.0", "Multiple", "1", "Multiple", "String"},
    {"65", "1.0", "Multiple", "0", "Multiple", "Objlnk"},
    {"65", "1.0", "Multiple", "2", "Single", "Objlnk"},
    {"66", "1.0", "Multiple", "2", "Single", "Integer"},
    {"3303", "1.0", "Multiple", "5700", "Single", "Float"},
    {"34000", "1.0", "Multiple", "0", "Single", "String"},
    {"34000", "1.0", "Multiple", "1", "Single", "Integer"},
    {"34000", "1.0", "Multiple", "2", "Single", "Unsigned Integer"},
    {"34000", "1.0", "Multiple", "3", "Single", "Float"},
    {"34000", "1.0", "Multiple", "4", "Single", "Boolean"},
    {"34000", "1.0", "Multiple", "5", "Single", "Opaque"},
    {"34000", "1.0", "Multiple", "6", "Single", "Time"},
    {"34000", "1.0", "Multiple", "7", "Single", "Objlnk"},
    {"34000", "1.0", "Multiple", "8", "Single", "Corelnk"},
    {"34001", "1.0", "Multiple", "1", "Single", "Integer"},
    {"34001", "2.0", "Multiple", "1", "Single", "String"},
};

static inline struct registry *test_registry(void)
{
    struct registry *r = registry_new();
    struct buf text;
    unsigned line = 0;

    buf_init(&text, 65536);
    for (size_t i = 0; i < mem_count(resource_rows); i++) {
        const struct resource_row *row = &resource_rows[i];

        buf_fmt(&text, "%s\t%s\tTest\t%s\tResource\tRW\t%s\tOptional\t%s\t\t\t%s\tOptional\t1.0\n",
                row->object, row->version, row->id, row->instances, row->type, row->objects);
    }
    assert_non_null(r);
    if (registry_load_tsv(r, buf_view(&text), &line) < 0)
        fail_msg("line %u of the definitions", line);
    buf_fini(&text);
    return r;
}

static inline struct path test_path(const char *text)
{
    struct path p;

    assert_int_equal(path_parse(view_str(text), &p), ERR_OK);
    return p;
}

/* A path of a line, which may have the instance 65535 ("the device is to choose"). */
static inline struct path test_line_path(struct view text)
{
    static const char open[] = "/65535/";
    const char *at = memmem(text.p, text.n, open, strlen(open));
    struct path p;
    char with_0[64];

    if (at == NULL) {
        assert_int_equal(path_parse(text, &p), ERR_OK);
        return p;
    }
    snprintf(with_0, sizeof(with_0), "%.*s/0/%.*s", (int)(at - (const char *)text.p),
             (const char *)text.p,
             (int)(text.n - (size_t)(at - (const char *)text.p) - strlen(open)), at + strlen(open));
    p = test_path(with_0);
    p.id[1] = MODEL_ID_NONE;
    return p;
}

/* Hex digits and blanks to bytes, in a buffer of the caller's. */
static inline struct view test_hex(const char *hex, uint8_t *out, size_t cap)
{
    char digits[4096];
    size_t n = 0;

    for (; *hex != '\0'; hex++)
        if (*hex != ' ' && n < sizeof(digits))
            digits[n++] = *hex;
    assert_int_equal(text_unhex(view_of(digits, n), out, cap, &n), ERR_OK);
    return view_of(out, n);
}

static inline void test_put_hex(struct buf *out, struct view v)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < v.n; i++) {
        buf_put_u8(out, (uint8_t)digits[v.p[i] >> 4]);
        buf_put_u8(out, (uint8_t)digits[v.p[i] & 15]);
    }
}

static inline void test_put_value(struct buf *out, const struct value *v)
{
    char text[32];

    switch (v->type) {
    case VALUE_STRING:
    case VALUE_CORELNK:
        buf_put_view(out, v->u.bytes);
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
        buf_put_str(out, v->u.boolean ? "true" : "false");
        break;
    case VALUE_OPAQUE:
        test_put_hex(out, v->u.bytes);
        break;
    case VALUE_OBJLNK:
        buf_fmt(out, "%u:%u", v->u.link.object, v->u.link.instance);
        break;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
}

/* One line for each record. */
static inline void test_dump(struct buf *out, const struct batch *b)
{
    for (size_t i = 0; i < batch_size(b); i++) {
        const struct record *r = batch_at(b, i);
        char path[PATH_TEXT_MAX];

        path_format(&r->path, path);
        buf_put_str(out, i > 0 ? "\n" : "");
        buf_put_view(out, batch_prefix(b, r->prefix));
        buf_fmt(out, "%s%s", r->prefix > 0 ? ":" : "", path);
        if (r->value.type != VALUE_NONE) {
            buf_fmt(out, " %s ", value_type_name(r->value.type));
            test_put_value(out, &r->value);
        }
        if (r->timed)
            buf_fmt(out, " @%" PRId64, r->time_ms);
    }
}

static inline struct value test_value(struct view type, struct view text, uint8_t *scratch,
                                      size_t cap)
{
    struct value v = {.type = VALUE_STRING, .u.bytes = text};
    double number = 0;
    size_t n = 0;

    if (view_eq_str(type, "opaque")) {
        assert_int_equal(text_unhex(text, scratch, cap, &n), ERR_OK);
        return (struct value){.type = VALUE_OPAQUE, .u.bytes = view_of(scratch, n)};
    }
    if (view_eq_str(type, "boolean"))
        return (struct value){.type = VALUE_BOOLEAN, .u.boolean = view_eq_str(text, "true")};
    if (view_eq_str(type, "float")) {
        assert_int_equal(view_double(text, &number), ERR_OK);
        return (struct value){.type = VALUE_FLOAT, .u.float_ = number};
    }
    if (view_eq_str(type, "integer") || view_eq_str(type, "time")) {
        v.type = view_eq_str(type, "time") ? VALUE_TIME : VALUE_INTEGER;
        assert_int_equal(view_i64(text, &v.u.integer), ERR_OK);
    } else if (view_eq_str(type, "unsigned")) {
        v.type = VALUE_UNSIGNED;
        assert_int_equal(view_u64(text, UINT64_MAX, &v.u.unsigned_), ERR_OK);
    } else if (view_eq_str(type, "objlnk")) {
        assert_int_equal(value_coerce(&v, VALUE_OBJLNK), ERR_OK);
    } else if (view_eq_str(type, "corelnk")) {
        v.type = VALUE_CORELNK;
    } else {
        assert_true(view_eq_str(type, "string"));
    }
    return v;
}

/* The inverse of test_dump. */
static inline struct batch *test_batch(const char *lines)
{
    struct batch *b = batch_new();
    struct view rest = view_str(lines), line, part;
    uint8_t scratch[2048];

    assert_non_null(b);
    while (*lines != '\0' && view_split(&rest, '\n', &line)) {
        struct record r = {.timed = false};
        const uint8_t *at = memrchr(line.p, '@', line.n);

        if (at != NULL) {
            struct view time = view_sub(line, (size_t)(at - line.p) + 1, line.n);

            r.timed = true;
            assert_int_equal(view_i64(time, &r.time_ms), ERR_OK);
            line.n = (size_t)(at - line.p) - 1;
        }
        assert_true(view_split(&line, ' ', &part));
        if (part.p[0] != '/') {
            struct view prefix;

            assert_true(view_split(&part, ':', &prefix));
            assert_int_equal(batch_prefix_add(b, prefix, &r.prefix), ERR_OK);
        }
        r.path = test_line_path(part);
        if (view_split(&line, ' ', &part))
            r.value =
                test_value(part, line.p != NULL ? line : VIEW_LIT(""), scratch, sizeof(scratch));
        assert_int_equal(batch_add(b, &r), ERR_OK);
    }
    return b;
}

/* Decodes and compares with lines of text; NULL when it must fail with rc. */
static inline void test_decode(int32_t format, const struct content_env *env, struct view body,
                               const char *base, const char *lines, int rc)
{
    /* In memory of its own size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(body.n > 0 ? body.n : 1);
    struct batch *b = batch_new();
    struct path p = test_path(base);
    struct buf text;
    int got;

    assert_non_null(exact);
    assert_non_null(b);
    if (body.n > 0)
        memcpy(exact, body.p, body.n);
    got = content_decode(format, env, view_of(exact, body.n), &p, b);
    free(exact);
    buf_init(&text, 1 << 20);
    if (got == ERR_OK)
        test_dump(&text, b);
    buf_put_u8(&text, 0);
    if (got != rc)
        fail_msg("decoding " VIEW_FMT " for %s gave %s, not %s: %s", VIEW_ARG(body), base,
                 err_name(got), err_name(rc), (const char *)text.p);
    if (rc == ERR_OK)
        assert_string_equal((const char *)text.p, lines);
    buf_fini(&text);
    batch_free(b);
}

/* Encodes lines of text into out, which the caller resets. */
static inline int test_encode(int32_t format, const struct content_env *env, const char *lines,
                              const char *base, struct buf *out)
{
    struct batch *b = test_batch(lines);
    struct path p = test_path(base);
    int rc = content_encode(format, env, b, &p, out);

    batch_free(b);
    return rc;
}

#endif
