/*
 * Private to codec/: JSON text for the formats made of it, over jansson. Nesting and the number of
 * containers are bounded before anything is allocated; integers are exact over all of 64 bits.
 */
#ifndef CODEC_JTEXT_H
#define CODEC_JTEXT_H

#include <jansson.h>

#include "model/model.h"

/* One JSON text; the caller releases it with json_decref. Integers above int64 come as strings
 * where they are the "v" of an object (see jtext_large), else as reals. ERR_DUPLICATE for a member
 * given twice; ERR_DEPTH, ERR_LIMIT, ERR_UTF8, ERR_RANGE, ERR_TRUNCATED, ERR_TRAILING and, for
 * anything else, ERR_MALFORMED. */
int jtext_parse(struct view body, json_t **ret_root);
/* Borrowed from j. */
struct view jtext_string(const json_t *j);
/* What stands in the text: a string, an integer, a float, a boolean, or NONE for null; ERR_TYPE for
 * an array or an object. */
int jtext_value(const json_t *j, struct value *ret_value);
/* For the value of a "v": turns a string into the large integer it stands for, else ERR_TYPE. */
int jtext_large(struct value *v);

void jtext_put_string(struct buf *out, struct view v);
/* Floats keep a point or an exponent; opaque is Base64, url-safe without padding if asked for;
 * OBJLNK is "o:i", NONE null. */
void jtext_put_value(struct buf *out, const struct value *v, bool url);
/* Milliseconds as seconds, with three decimals where they are needed. */
void jtext_put_time(struct buf *out, int64_t ms);

#endif
