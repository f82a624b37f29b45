#include "content_round.h"

/* Composites in all four forms: the lowest bits of the first byte choose, the second byte is that
 * of round_use. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t formats[] = {FORMAT_SENML_ETCH_JSON, FORMAT_SENML_ETCH_CBOR,
                                      FORMAT_SENML_JSON, FORMAT_SENML_CBOR};

    if (size == 0)
        return 0;
    return round_use(formats[data[0] & 3], data[0] & 4 ? CONTENT_PATCH : CONTENT_FETCH, data + 1,
                     size - 1);
}
