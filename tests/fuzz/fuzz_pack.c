/* Stored values: what is read is written as the same bytes. */
#include "model/model.h"

#include "require.h"

/* Any byte but 0 reads as true. */
static bool same(struct view a, struct view b, const struct batch *values)
{
    for (size_t i = 0; i < batch_size(values); i++)
        if (batch_at(values, i)->value.type == VALUE_BOOLEAN)
            return a.n == b.n;
    return view_eq(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view packed = view_of(data, size);
    struct batch *values, *again;
    struct buf out;

    if (pack_decode(packed, &values) != ERR_OK)
        return 0;
    buf_init(&out, size);
    require(pack_encode(values, &out) == ERR_OK && same(packed, buf_view(&out), values));
    require(pack_decode(buf_view(&out), &again) == ERR_OK);
    require(batch_size(again) == batch_size(values));
    for (size_t i = 0; i < batch_size(values); i++) {
        const struct record *a = batch_at(values, i), *b = batch_at(again, i);

        require(path_eq(&a->path, &b->path) && a->timed == b->timed && a->time_ms == b->time_ms);
        require(value_eq(&a->value, &b->value));
    }
    batch_free(values);
    batch_free(again);
    buf_fini(&out);
    return 0;
}
