/*
 * Private to codec/: what the payload codecs share. One row of the table in content.c and one file
 * per Content-Format; a codec sees bodies and batches that content.c has already checked.
 */
#ifndef CODEC_CONTENT_H
#define CODEC_CONTENT_H

#include "codec/codec.h"

/* The two faces of a row; the contracts are those of content_decode and content_encode. */
typedef int content_decode_fn(const struct content_env *env, struct view body,
                              const struct path *base, struct batch *ret_batch);
typedef int content_encode_fn(const struct content_env *env, const struct batch *values,
                              const struct path *base, struct buf *out);

content_decode_fn plain_decode, opaque_decode, cbor_one_decode, tlv_decode, senml_json_decode,
    senml_cbor_decode, senml_json_etch_decode, senml_cbor_etch_decode, lwm2m_json_decode,
    lwm2m_cbor_decode;
content_encode_fn plain_encode, opaque_encode, cbor_one_encode, tlv_encode, senml_json_encode,
    senml_cbor_encode, senml_json_etch_encode, senml_cbor_etch_encode, lwm2m_json_encode,
    lwm2m_cbor_encode;

/*
 * Appends a decoded record: it must lie at or below base (ERR_PATH), a value must belong to a
 * resource or a resource instance (ERR_PATH), be coercible to `type` (ERR_TYPE, ERR_RANGE; NONE =
 * take it as it is), be finite (ERR_RANGE) and, as text, be UTF-8 (ERR_UTF8).
 */
int content_put_typed(const struct path *base, const struct record *r, enum value_type type,
                      struct batch *ret_batch);
/* The same with the type the model gives the path, and with the rules of FETCH and PATCH. */
int content_put(const struct content_env *env, const struct path *base, const struct record *r,
                struct batch *ret_batch);

/* Whether base can carry one bare value: ERR_FORMAT for the root (a composite or a Send wants
 * another format), ERR_MALFORMED for an object or an instance. */
int content_leaf(const struct path *base);
/* The one record of a body that holds one bare value: exactly one, of exactly that path, with a
 * value. ERR_FORMAT otherwise: the format cannot carry these values. */
int content_only(const struct batch *values, const struct path *base,
                 const struct record **ret_record);

/* Splits "/d01/3/0" or "d01" into the prefix of a gateway and the rest, which keeps its slash and
 * is "/" at least; false, with *rest as it was, when the name begins with an identifier. */
bool content_split_prefix(struct view *rest, struct view *ret_prefix);
/* The number for the record of that prefix ("" for none): 0 for the device the request was for,
 * else that in the batch; ERR_PATH for a device not asked for or a text that is no prefix. */
int content_prefix(const struct content_env *env, struct view prefix, struct batch *b,
                   uint16_t *ret_number);
/* What to write in front of a record's path: "" or "d01". */
struct view content_prefix_of(const struct content_env *env, const struct batch *values,
                              const struct record *r);

/* ERR_DUPLICATE when two of the records from number `from` on have one path, or one lies below the
 * path of another. */
int content_unique(const struct batch *values, size_t from);
/* The values in the order of batch_cmp: the batch itself, or a copy that *ret_copy owns. */
int content_sorted(const struct batch *values, const struct batch **ret_sorted,
                   struct batch **ret_copy);

/* The definition of an object in the version the device registered, or NULL. */
const struct object_def *content_object(const struct content_env *env, uint16_t object);

#endif
