/*
 * Round trip of a payload format. The first byte of the input picks the path that was asked for and
 * what is known of the device, the rest is its answer. What can be decoded must be encodable, the
 * encoding must decode to the same records, and those to the same encoding.
 */
#ifndef TESTS_FUZZ_CONTENT_ROUND_H
#define TESTS_FUZZ_CONTENT_ROUND_H

#include "codec/codec.h"
#include "require.h"

/* Whatever is read can be written in this many bytes. */
#define ROUND_OUTPUT_MAX ((size_t)64 << 20)

/* Object 7 has one resource of each type, 20 and up the same with instances; object 3 has one
 * instance. */
static inline struct registry *round_registry(void)
{
    static const char *const types[] = {"String", "Integer", "Unsigned Integer",
                                        "Float",  "Boolean", "Opaque",
                                        "Time",   "Objlnk",  "Corelnk"};
    struct registry *r = registry_new();
    struct buf text;
    unsigned line;

    buf_init(&text, 65536);
    buf_put_str(&text,
                "3\t1.0\tA\t9\tB\tR\tSingle\tOptional\tInteger\t\t\tSingle\tOptional\t1.0\n");
    for (size_t i = 0; i < 2 * mem_count(types); i++)
        buf_fmt(&text, "7\t1.0\tA\t%zu\tB\tRW\t%s\tOptional\t%s\t\t\tMultiple\tOptional\t1.0\n",
                i < mem_count(types) ? i : 20 + i - mem_count(types),
                i < mem_count(types) ? "Single" : "Multiple", types[i % mem_count(types)]);
    require(r != NULL && registry_load_tsv(r, buf_view(&text), &line) == ERR_OK);
    buf_fini(&text);
    return r;
}

/* A time keeps its number but not its kind where the model does not know of it. */
static inline bool round_equal(const struct batch *a, const struct batch *b)
{
    bool equal = batch_size(a) == batch_size(b);

    for (size_t i = 0; equal && i < batch_size(a); i++) {
        const struct record *ra = batch_at(a, i), *rb = batch_at(b, i);
        struct value v = rb->value;

        equal = path_eq(&ra->path, &rb->path) &&
                view_eq(batch_prefix(a, ra->prefix), batch_prefix(b, rb->prefix)) &&
                ra->timed == rb->timed && (!ra->timed || ra->time_ms == rb->time_ms) &&
                (ra->value.type != VALUE_TIME || value_coerce(&v, VALUE_TIME) == ERR_OK) &&
                value_eq(&ra->value, &v);
    }
    return equal;
}

static inline bool round_has_none(const struct batch *b)
{
    for (size_t i = 0; i < batch_size(b); i++)
        if (batch_at(b, i)->value.type == VALUE_NONE)
            return true;
    return false;
}

/* TLV cannot hold two values of one path, nor instances with and without identifier; LwM2M CBOR
 * nothing that has no value, nor a request that writes; a bare value not one of nothing. */
static inline bool round_refusable(int32_t format, const struct content_env *env,
                                   const struct batch *b, int rc)
{
    if (format == FORMAT_TLV)
        return rc == ERR_DUPLICATE || (rc == ERR_PATH && env->use == CONTENT_CREATE);
    if (rc != ERR_FORMAT)
        return false;
    if (format == FORMAT_LWM2M_CBOR || !content_format(format)->hierarchical)
        return batch_size(b) == 0 || round_has_none(b);
    return env->use == CONTENT_CREATE && round_has_none(b);
}

static inline void round_again(int32_t format, const struct content_env *env,
                               const struct path *base, struct batch *first)
{
    struct batch *second = batch_new();
    struct buf out, again;
    int rc;

    buf_init(&out, ROUND_OUTPUT_MAX);
    buf_init(&again, ROUND_OUTPUT_MAX);
    rc = content_encode(format, env, first, base, &out);
    require(rc == ERR_OK || round_refusable(format, env, first, rc));
    if (rc == ERR_OK) {
        require(content_decode(format, env, buf_view(&out), base, second) == ERR_OK);
        require(content_encode(format, env, second, base, &again) == ERR_OK);
        require(view_eq(buf_view(&out), buf_view(&again)));
        if (format == FORMAT_TLV || format == FORMAT_LWM2M_CBOR) {
            batch_sort(first);
            batch_sort(second);
        }
        require(round_equal(first, second));
    }
    buf_fini(&out);
    buf_fini(&again);
    batch_free(second);
}

static inline int round_use(int32_t format, enum content_use use, const uint8_t *data, size_t size)
{
    static const char *const bases[] = {
        "/",      "/3",     "/3/0",   "/3/0/9", "/7",     "/7/1", "/7/1/21",   "/7/1/21/2",
        "/7/1/0", "/7/1/3", "/7/1/5", "/7/1/7", "/9/0/1", "/9",   "/7/300/28", "/7/1/25/4000"};
    static struct registry *registry;
    struct content_env env = {.prefix = VIEW_LIT(""), .now_ms = 1750000000000, .use = use};
    struct batch *first = batch_new();
    struct path base;

    if (registry == NULL)
        registry = round_registry();
    if (size > 0) {
        require(path_parse(view_str(bases[data[0] & 15]), &base) == ERR_OK);
        env.registry = data[0] & 16 ? NULL : registry;
        env.prefix = data[0] & 32 ? VIEW_LIT("/lwm2m") : VIEW_LIT("");
        env.gateway = data[0] >> 6 == 1 ? VIEW_LIT("d01") : VIEW_LIT("");
        env.prefixes = data[0] >> 6 == 2;
        if (content_decode(format, &env, view_of(data + 1, size - 1), &base, first) == ERR_OK)
            round_again(format, &env, &base, first);
    }
    batch_free(first);
    return 0;
}

/* As an answer, or as a Create. */
static inline int round_one(int32_t format, const uint8_t *data, size_t size)
{
    bool create =
        size > 0 && data[0] >> 6 == 3 && content_usable(content_format(format), CONTENT_CREATE);

    return round_use(format, create ? CONTENT_CREATE : CONTENT_ANSWER, data, size);
}

#endif
