/* Stored values: what is read and written reads as the same, and is written as the same bytes. */
#include "model/model.h"

#include "require.h"

static void same(const struct batch *a, const struct batch *b)
{
    require(batch_size(a) == batch_size(b));
    for (size_t i = 0; i < batch_size(a); i++) {
        const struct record *x = batch_at(a, i), *y = batch_at(b, i);

        require(path_eq(&x->path, &y->path) && x->timed == y->timed && x->time_ms == y->time_ms);
        require(view_eq(batch_prefix(a, x->prefix), batch_prefix(b, y->prefix)));
        require(value_eq(&x->value, &y->value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch *values, *again;
    struct buf out, out_again;

    if (pack_decode(view_of(data, size), &values) != ERR_OK)
        return 0;
    buf_init(&out, size);
    buf_init(&out_again, size);
    require(pack_encode(values, &out) == ERR_OK);
    require(pack_decode(buf_view(&out), &again) == ERR_OK);
    same(values, again);
    require(pack_encode(again, &out_again) == ERR_OK);
    require(view_eq(buf_view(&out), buf_view(&out_again)));
    batch_free(values);
    batch_free(again);
    buf_fini(&out);
    buf_fini(&out_again);
    return 0;
}
