#include "content_round.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return round_one(FORMAT_CBOR, data, size);
}
