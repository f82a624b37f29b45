/* Item by item: what reads as a value is written and read again, and skipping it ends where reading
 * did. */
#include "codec/cbor.h"
#include "require.h"

/* A time is written as the integer it is. */
static void write_and_read(const struct value *v)
{
    struct buf out, scratch;
    struct value back = {.type = VALUE_NONE};
    struct cbor c;

    buf_init(&out, (size_t)16 << 20);
    buf_init(&scratch, 16);
    cbor_put_value(&out, v);
    c = cbor_init(buf_view(&out));
    require(cbor_value(&c, &scratch, &back) == ERR_OK && cbor_done(&c) == ERR_OK);
    require(v->type != VALUE_TIME || value_coerce(&back, VALUE_TIME) == ERR_OK);
    require(value_eq(v, &back));
    buf_fini(&out);
    buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cbor reader = cbor_init(view_of(data, size));
    struct buf scratch;

    buf_init(&scratch, size);
    while (!rd_end(&reader.rd)) {
        struct cbor skipper = reader;
        struct value v;

        cbor_skip(&skipper);
        if (cbor_value(&reader, &scratch, &v) == ERR_OK) {
            require(skipper.rd.rc == ERR_OK && skipper.rd.p == reader.rd.p);
            write_and_read(&v);
        } else { /* a container, or broken */
            require(skipper.rd.rc == ERR_OK || rd_end(&skipper.rd));
            reader = skipper;
        }
    }
    buf_fini(&scratch);
    return 0;
}
