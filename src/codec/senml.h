/*
 * Private to codec: SenML (RFC 8428, LwM2M Core 7.4.4) as its JSON and CBOR forms share it.
 *
 * The forms turn fields into values and hand them over one record at a time; names, times, base
 * fields and the placing of records happen here. On the way out a plan made from the whole batch
 * tells what each record must carry.
 */
#ifndef CODEC_SENML_H
#define CODEC_SENML_H

#include "codec/content.h"

/* Longest base name, name, and the two together: room for a path behind a generous prefix. */
#define SENML_NAME_MAX 320

enum senml_field {
    SENML_BASE_VERSION,
    SENML_BASE_NAME,
    SENML_BASE_TIME,
    SENML_BASE_VALUE,
    SENML_NAME,
    SENML_TIME,
    SENML_VALUE,
    SENML_STRING,
    SENML_BOOLEAN,
    SENML_DATA,
    SENML_LINK,
    SENML_FIELD_COUNT,
    SENML_IGNORED = SENML_FIELD_COUNT, /* sums, and what others may add */
    SENML_UNIT                         /* either one; ignored too, but a FETCH may have it */
};

/* Label of a field in JSON, and its key in CBOR. */
const char *senml_label(enum senml_field f);
/* SENML_KEY_NONE: the field goes by its label there too (vlo). */
#define SENML_KEY_NONE INT8_MAX
int senml_key(enum senml_field f);
/* Whether the field stands in a record; the others are passed over. */
static inline bool senml_known(enum senml_field f)
{
    return f < SENML_FIELD_COUNT;
}
/* ERR_MALFORMED for an unknown label that ends in '_': RFC 8428 section 4.4 wants it understood. */
int senml_field_of_label(struct view label, enum senml_field *ret_field);
enum senml_field senml_field_of_key(int64_t key);

/* ---- decode ------------------------------------------------------------------------------- */

/* Fields of one record as they stand in it; start with a zeroed one. Bytes are borrowed. */
struct senml_record {
    uint32_t seen; /* 1 << enum senml_field */
    bool others;   /* there was a field that is SENML_IGNORED */
    struct value field[SENML_FIELD_COUNT];
};
/* ERR_TYPE for a value the field cannot have, ERR_DUPLICATE for a field given twice. */
int senml_set(struct senml_record *r, enum senml_field f, const struct value *v);
bool senml_has_value(const struct senml_record *r);

/* What stays in force from record to record. */
struct senml_reader {
    const struct content_env *env;
    bool etch;  /* RFC 8790: null in a PATCH removes */
    bool joins; /* LwM2M 1.0: a slash between base name and name may be missing */
    const struct path *base;
    struct batch *out;
    int64_t base_time_ms;
    struct value base_value; /* NONE when there is none */
    size_t base_name_len;
    char base_name[SENML_NAME_MAX];
};
void senml_reader_init(struct senml_reader *s, const struct content_env *env, bool etch,
                       const struct path *base, struct batch *out);
/* Resolves the record and appends it to the batch. A record without name and value only sets the
 * base fields. In a FETCH names and times are all there may be, in a PATCH every name has a value.
 * A record outside the path asked for is ERR_PATH, unless the base name is the root:
 * then it is the content of a linked object (LwM2M Core 7.4.4) and passed over. */
int senml_take(struct senml_reader *s, const struct senml_record *r);
/* The type that the model gives the path the record names, or NONE; ERR_PATH. */
int senml_type(struct senml_reader *s, const struct senml_record *r, enum value_type *ret_type);

/* ---- encode ------------------------------------------------------------------------------- */

struct senml_plan {
    const struct content_env *env;
    const struct batch *values;
    struct path base;   /* what all names have in common */
    bool named_by_base; /* every record is of that path and needs no name */
    bool has_base_time;
    int64_t base_time_ms;
};
/* ERR_LIMIT when a prefix is too long; ERR_FORMAT for what SenML has no form for: an instance
 * without identifier, a record without value in a request that writes, unless it is the null of a
 * PATCH in the ETCH form. */
int senml_plan(const struct content_env *env, bool etch, const struct batch *values,
               struct senml_plan *ret_plan);

/* What a record has to say; the fields come in this order, then its value. */
struct senml_fields {
    unsigned count; /* of fields, the value included */
    bool has_base_name, has_base_time, has_name, has_time;
    size_t base_name_len, name_len;
    char base_name[SENML_NAME_MAX];
    char name[SENML_NAME_MAX];
    int64_t base_time_ms, time_ms; /* Unix ms; to be written in seconds */
    enum senml_field value_field;  /* SENML_IGNORED when there is no value */
};
void senml_plan_record(const struct senml_plan *plan, size_t i, struct senml_fields *ret_fields);

#endif
