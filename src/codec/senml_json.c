/*
 * application/senml+json (110): RFC 8428 section 5; application/senml-etch+json (320): RFC 8790.
 */
#include "codec/jtext.h"
#include "codec/senml.h"

/* A value as the field has it: bytes of "vd", a large integer under "v". */
static int read_value(enum senml_field f, const json_t *j, struct buf *scratch,
                      struct value *ret_value)
{
    int rc = jtext_value(j, ret_value);

    if (rc == ERR_OK && f == SENML_VALUE)
        return jtext_large(ret_value);
    if (rc == ERR_OK && f == SENML_DATA && ret_value->type == VALUE_STRING) {
        buf_reset(scratch);
        rc = text_unbase64(scratch, ret_value->u.bytes);
        *ret_value = (struct value){.type = VALUE_OPAQUE, .u.bytes = buf_view(scratch)};
    }
    return rc;
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
        r.others |= rc == ERR_OK && f == SENML_IGNORED;
        if (rc < 0 || !senml_known(f))
            continue;
        rc = read_value(f, json_object_iter_value(it), scratch, &v);
        if (rc == ERR_OK)
            rc = senml_set(&r, f, &v);
    }
    return rc < 0 ? rc : senml_take(reader, &r);
}

static int decode(const struct content_env *env, bool etch, struct view body,
                  const struct path *base, struct batch *ret_batch)
{
    struct senml_reader reader;
    struct buf scratch;
    json_t *pack = NULL;
    int rc = jtext_parse(body, &pack);

    buf_init(&scratch, body.n);
    senml_reader_init(&reader, env, etch, base, ret_batch);
    if (rc == ERR_OK && !json_is_array(pack))
        rc = ERR_MALFORMED;
    for (size_t i = 0; rc == ERR_OK && i < json_array_size(pack); i++)
        rc = read_record(json_array_get(pack, i), &scratch, &reader);
    json_decref(pack);
    buf_fini(&scratch);
    return rc;
}

int senml_json_decode(const struct content_env *env, struct view body, const struct path *base,
                      struct batch *ret_batch)
{
    return decode(env, false, body, base, ret_batch);
}

int senml_json_etch_decode(const struct content_env *env, struct view body, const struct path *base,
                           struct batch *ret_batch)
{
    return decode(env, true, body, base, ret_batch);
}

/* ---- encode ------------------------------------------------------------------------------- */

static void put_label(struct buf *out, enum senml_field f, bool *first)
{
    buf_put_str(out, *first ? "\"" : ",\"");
    buf_put_str(out, senml_label(f));
    buf_put_str(out, "\":");
    *first = false;
}

static void put_record(struct buf *out, const struct senml_fields *f, const struct value *v)
{
    bool first = true;

    buf_put_u8(out, '{');
    if (f->has_base_name) {
        put_label(out, SENML_BASE_NAME, &first);
        jtext_put_string(out, view_of(f->base_name, f->base_name_len));
    }
    if (f->has_base_time) {
        put_label(out, SENML_BASE_TIME, &first);
        jtext_put_time(out, f->base_time_ms);
    }
    if (f->has_name) {
        put_label(out, SENML_NAME, &first);
        jtext_put_string(out, view_of(f->name, f->name_len));
    }
    if (f->has_time) {
        put_label(out, SENML_TIME, &first);
        jtext_put_time(out, f->time_ms);
    }
    if (f->value_field != SENML_IGNORED) {
        put_label(out, f->value_field, &first);
        jtext_put_value(out, v, true);
    }
    buf_put_u8(out, '}');
}

static int encode(const struct content_env *env, bool etch, const struct batch *values,
                  struct buf *out)
{
    struct senml_plan plan;
    struct senml_fields f;
    int rc = senml_plan(env, etch, values, &plan);

    if (rc < 0)
        return rc;
    buf_put_u8(out, '[');
    for (size_t i = 0; i < batch_size(values); i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        senml_plan_record(&plan, i, &f);
        put_record(out, &f, &batch_at(values, i)->value);
    }
    buf_put_u8(out, ']');
    return ERR_OK;
}

int senml_json_encode(const struct content_env *env, const struct batch *values,
                      const struct path *base, struct buf *out)
{
    (void)base;
    return encode(env, false, values, out);
}

int senml_json_etch_encode(const struct content_env *env, const struct batch *values,
                           const struct path *base, struct buf *out)
{
    (void)base;
    return encode(env, true, values, out);
}
