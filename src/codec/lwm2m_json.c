/*
 * application/vnd.oma.lwm2m+json (11543), LwM2M 1.0 section 6.4.4: {"bn":"/3/0/","bt":…,"e":[…]},
 * each entry a name below bn, a value and a time relative to bt. Devices of later versions do not
 * know it.
 */
#include "codec/jtext.h"
#include "codec/senml.h"

enum field { FIELD_NAME, FIELD_TIME, FIELD_V, FIELD_BV, FIELD_SV, FIELD_OV, FIELD_COUNT };

/* The fields of an entry and what they are in SenML. */
static const struct {
    const char *label;
    enum senml_field senml;
} fields[FIELD_COUNT] = {
    [FIELD_NAME] = {"n", SENML_NAME},  [FIELD_TIME] = {"t", SENML_TIME},
    [FIELD_V] = {"v", SENML_VALUE},    [FIELD_BV] = {"bv", SENML_BOOLEAN},
    [FIELD_SV] = {"sv", SENML_STRING}, [FIELD_OV] = {"ov", SENML_LINK},
};

/* ---- decode ------------------------------------------------------------------------------- */

struct reader {
    struct senml_reader senml; /* names, times and places are as there */
    struct buf scratch;        /* Base64 decoded */
};

/* Base64 where the model says opaque: here strings are used for both. */
static int read_string(struct reader *r, struct senml_record *record)
{
    struct value *text = &record->field[SENML_STRING];
    enum value_type type = VALUE_NONE;
    struct value data = {.type = VALUE_OPAQUE};
    int rc = senml_type(&r->senml, record, &type);

    if (rc < 0 || type != VALUE_OPAQUE)
        return rc;
    buf_reset(&r->scratch);
    rc = text_unbase64(&r->scratch, text->u.bytes);
    if (rc < 0)
        return rc;
    data.u.bytes = buf_view(&r->scratch);
    record->seen &= ~(1u << SENML_STRING);
    return senml_set(record, SENML_DATA, &data);
}

static int read_fields(json_t *entry, struct senml_record *ret_record)
{
    int rc = ERR_OK;

    for (unsigned f = 0; rc == ERR_OK && f < FIELD_COUNT; f++) {
        const json_t *j = json_object_get(entry, fields[f].label);
        struct value v = {.type = VALUE_NONE};

        if (j == NULL)
            continue;
        rc = jtext_value(j, &v);
        if (rc == ERR_OK && f == FIELD_V)
            rc = v.type == VALUE_NONE ? ERR_TYPE : jtext_large(&v);
        if (rc == ERR_OK)
            rc = senml_set(ret_record, fields[f].senml, &v);
    }
    return rc;
}

static int read_entry(struct reader *r, json_t *entry)
{
    struct senml_record record = {.seen = 0};
    int rc;

    if (!json_is_object(entry))
        return ERR_MALFORMED;
    rc = read_fields(entry, &record);
    if (rc == ERR_OK && record.seen >> SENML_STRING & 1)
        rc = read_string(r, &record);
    if (rc == ERR_OK && !senml_has_value(&record))
        rc = ERR_MALFORMED;
    return rc < 0 ? rc : senml_take(&r->senml, &record);
}

/* The base name and time, as a SenML record that has nothing else. Without a base name the path of
 * the request is meant. */
static int read_base(struct reader *r, const json_t *root)
{
    struct senml_record record = {.seen = 0};
    const json_t *bn = json_object_get(root, "bn"), *bt = json_object_get(root, "bt");
    char path[PATH_TEXT_MAX];
    struct value v = {.type = VALUE_STRING};
    int rc = ERR_OK;

    path_format(r->senml.base, path);
    v.u.bytes = view_str(path);
    if (bn != NULL)
        rc = jtext_value(bn, &v);
    if (rc == ERR_OK)
        rc = senml_set(&record, SENML_BASE_NAME, &v);
    if (rc == ERR_OK && bt != NULL)
        rc = jtext_value(bt, &v);
    if (rc == ERR_OK && bt != NULL)
        rc = senml_set(&record, SENML_BASE_TIME, &v);
    return rc < 0 ? rc : senml_take(&r->senml, &record);
}

int lwm2m_json_decode(const struct content_env *env, struct view body, const struct path *base,
                      struct batch *ret_batch)
{
    struct reader r;
    json_t *root = NULL;
    const json_t *entries;
    int rc;

    if (base->depth == 0)
        return ERR_FORMAT;
    rc = jtext_parse(body, &root);
    buf_init(&r.scratch, body.n);
    senml_reader_init(&r.senml, env, false, base, ret_batch);
    r.senml.joins = true;
    entries = json_object_get(root, "e");
    if (rc == ERR_OK && !json_is_array(entries))
        rc = ERR_MALFORMED;
    if (rc == ERR_OK)
        rc = read_base(&r, root);
    for (size_t i = 0; rc == ERR_OK && i < json_array_size(entries); i++)
        rc = read_entry(&r, json_array_get(entries, i));
    json_decref(root);
    buf_fini(&r.scratch);
    return rc;
}

/* ---- encode ------------------------------------------------------------------------------- */

static enum field field_of(enum value_type type)
{
    static const uint8_t of[VALUE_TYPE_COUNT] = {
        [VALUE_NONE] = FIELD_COUNT, [VALUE_STRING] = FIELD_SV, [VALUE_INTEGER] = FIELD_V,
        [VALUE_UNSIGNED] = FIELD_V, [VALUE_FLOAT] = FIELD_V,   [VALUE_BOOLEAN] = FIELD_BV,
        [VALUE_OPAQUE] = FIELD_SV,  [VALUE_TIME] = FIELD_V,    [VALUE_OBJLNK] = FIELD_OV,
        [VALUE_CORELNK] = FIELD_SV,
    };

    return (enum field)of[type];
}

/* What the path says below the base: "9", "6/0", "" for the base itself. */
static const char *name_below(const struct path *base, const struct path *p,
                              char text[PATH_TEXT_MAX])
{
    char above[PATH_TEXT_MAX];

    if (path_eq(base, p))
        return "";
    path_format(base, above);
    path_format(p, text);
    return text + strlen(above) + 1;
}

static void write_entry(struct buf *out, const struct path *base, const struct record *r,
                        const struct senml_fields *f)
{
    char text[PATH_TEXT_MAX];
    const char *name = name_below(base, &r->path, text);

    buf_put_u8(out, '{');
    if (name[0] != '\0')
        buf_fmt(out, "\"n\":\"%s\",", name);
    if (f->has_time) {
        buf_put_str(out, "\"t\":");
        jtext_put_time(out, f->time_ms);
        buf_put_u8(out, ',');
    }
    buf_fmt(out, "\"%s\":", fields[field_of(r->value.type)].label);
    jtext_put_value(out, &r->value, false);
    buf_put_u8(out, '}');
}

/* All records are of the path asked for and need no name. */
static bool is_bare(const struct batch *values, const struct path *base)
{
    for (size_t i = 0; i < batch_size(values); i++)
        if (!path_eq(&batch_at(values, i)->path, base))
            return false;
    return batch_size(values) > 0;
}

static void write_base(struct buf *out, const struct path *base, bool bare,
                       const struct senml_plan *plan)
{
    char path[PATH_TEXT_MAX];

    path_format(base, path);
    buf_fmt(out, "{\"bn\":\"%s%s\",", path, bare ? "" : "/");
    if (plan->has_base_time) {
        buf_put_str(out, "\"bt\":");
        jtext_put_time(out, plan->base_time_ms);
        buf_put_u8(out, ',');
    }
}

int lwm2m_json_encode(const struct content_env *env, const struct batch *values,
                      const struct path *base, struct buf *out)
{
    struct senml_plan plan;
    struct senml_fields f;
    int rc = senml_plan(env, false, values, &plan);

    if (base->depth == 0)
        return ERR_FORMAT;
    for (size_t i = 0; rc == ERR_OK && i < batch_size(values); i++)
        if (batch_at(values, i)->value.type == VALUE_NONE)
            rc = ERR_FORMAT;
    if (rc < 0)
        return rc;
    write_base(out, base, is_bare(values, base), &plan);
    buf_put_str(out, "\"e\":[");
    for (size_t i = 0; i < batch_size(values); i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        senml_plan_record(&plan, i, &f);
        write_entry(out, base, batch_at(values, i), &f);
    }
    buf_put_str(out, "]}");
    return ERR_OK;
}
