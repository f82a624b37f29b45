/* application/senml+cbor (112): RFC 8428 section 6; senml-etch+cbor (322): RFC 8790. */
#include "codec/cbor.h"
#include "codec/senml.h"

/* Strings that came in chunks are joined here; all of one record must stay until it is taken. */
struct scratch {
    struct buf base_name, name, value;
};

static void scratch_init(struct scratch *s, size_t max)
{
    buf_init(&s->base_name, max);
    buf_init(&s->name, max);
    buf_init(&s->value, max);
}

static void scratch_fini(struct scratch *s)
{
    buf_fini(&s->base_name);
    buf_fini(&s->name);
    buf_fini(&s->value);
}

/* A key of table 6, or its label as text, which some encoders write. */
static int read_field(struct cbor *c, struct buf *scratch, enum senml_field *ret_field)
{
    struct cbor_head h = cbor_head(c);
    struct view label;

    switch (h.major) {
    case CBOR_UINT:
    case CBOR_NEGATIVE:
        if (h.arg > INT32_MAX)
            *ret_field = SENML_IGNORED;
        else
            *ret_field =
                senml_field_of_key(h.major == CBOR_UINT ? (int64_t)h.arg : -1 - (int64_t)h.arg);
        return c->rd.rc;
    case CBOR_TEXT:
        label = cbor_string(c, h, scratch);
        return c->rd.rc < 0 ? c->rd.rc : senml_field_of_label(label, ret_field);
    default:
        return ERR_MALFORMED;
    }
}

static int read_pair(struct cbor *c, struct scratch *s, struct senml_record *r)
{
    enum senml_field f = SENML_IGNORED;
    struct buf *joined = &s->value;
    struct buf label;
    struct value v;
    int rc;

    buf_init(&label, s->value.max);
    rc = read_field(c, &label, &f);
    buf_fini(&label);
    if (rc < 0)
        return rc;
    if (!senml_known(f)) {
        r->others |= f == SENML_IGNORED;
        cbor_skip(c);
        return c->rd.rc;
    }
    if (f == SENML_BASE_NAME)
        joined = &s->base_name;
    else if (f == SENML_NAME)
        joined = &s->name;
    rc = cbor_value(c, joined, &v);
    return rc < 0 ? rc : senml_set(r, f, &v);
}

static int read_record(struct cbor *c, struct scratch *s, struct senml_reader *reader)
{
    struct senml_record r = {.seen = 0};
    struct cbor_scope map;

    cbor_open(c, CBOR_MAP, &map);
    while (cbor_next(c, &map)) {
        int rc = read_pair(c, s, &r);

        if (rc < 0)
            return rc;
    }
    return c->rd.rc < 0 ? c->rd.rc : senml_take(reader, &r);
}

static int decode(const struct content_env *env, bool etch, struct view body,
                  const struct path *base, struct batch *ret_batch)
{
    struct cbor c = cbor_init(body);
    struct cbor_scope pack;
    struct senml_reader reader;
    struct scratch s;
    int rc = ERR_OK;

    senml_reader_init(&reader, env, etch, base, ret_batch);
    scratch_init(&s, body.n);
    cbor_open(&c, CBOR_ARRAY, &pack);
    while (rc == ERR_OK && cbor_next(&c, &pack))
        rc = read_record(&c, &s, &reader);
    scratch_fini(&s);
    return rc < 0 ? rc : cbor_done(&c);
}

int senml_cbor_decode(const struct content_env *env, struct view body, const struct path *base,
                      struct batch *ret_batch)
{
    return decode(env, false, body, base, ret_batch);
}

int senml_cbor_etch_decode(const struct content_env *env, struct view body, const struct path *base,
                           struct batch *ret_batch)
{
    return decode(env, true, body, base, ret_batch);
}

/* ---- encode ------------------------------------------------------------------------------- */

static void put_key(struct buf *out, enum senml_field f)
{
    if (senml_key(f) == SENML_KEY_NONE)
        cbor_put_text(out, view_str(senml_label(f)));
    else
        cbor_put_int(out, senml_key(f));
}

static void put_name(struct buf *out, enum senml_field f, const char *text, size_t n)
{
    put_key(out, f);
    cbor_put_text(out, view_of(text, n));
}

static void put_time(struct buf *out, enum senml_field f, int64_t ms)
{
    put_key(out, f);
    if (ms % 1000 == 0)
        cbor_put_int(out, ms / 1000);
    else
        cbor_put_double(out, (double)ms / 1000);
}

static int encode(const struct content_env *env, bool etch, const struct batch *values,
                  struct buf *out)
{
    struct senml_plan plan;
    struct senml_fields f;
    int rc = senml_plan(env, etch, values, &plan);

    if (rc < 0)
        return rc;
    cbor_put_head(out, CBOR_ARRAY, batch_size(values));
    for (size_t i = 0; i < batch_size(values); i++) {
        senml_plan_record(&plan, i, &f);
        cbor_put_head(out, CBOR_MAP, f.count);
        if (f.has_base_name)
            put_name(out, SENML_BASE_NAME, f.base_name, f.base_name_len);
        if (f.has_base_time)
            put_time(out, SENML_BASE_TIME, f.base_time_ms);
        if (f.has_name)
            put_name(out, SENML_NAME, f.name, f.name_len);
        if (f.has_time)
            put_time(out, SENML_TIME, f.time_ms);
        if (f.value_field != SENML_IGNORED) {
            put_key(out, f.value_field);
            cbor_put_value(out, &batch_at(values, i)->value);
        }
    }
    return ERR_OK;
}

int senml_cbor_encode(const struct content_env *env, const struct batch *values,
                      const struct path *base, struct buf *out)
{
    (void)base;
    return encode(env, false, values, out);
}

int senml_cbor_etch_encode(const struct content_env *env, const struct batch *values,
                           const struct path *base, struct buf *out)
{
    (void)base;
    return encode(env, true, values, out);
}
