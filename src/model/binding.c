#include "model/model.h"

/* In the order in which they are written. */
static const struct {
    char letter;
    uint8_t bit;
} bindings[] = {
    {'U', BINDING_U}, {'M', BINDING_M}, {'H', BINDING_H},
    {'T', BINDING_T}, {'S', BINDING_S}, {'N', BINDING_N},
};

void binding_format(uint8_t bits, char out[8])
{
    size_t n = 0;

    for (size_t i = 0; i < mem_count(bindings); i++)
        if ((bits & bindings[i].bit) != 0)
            out[n++] = bindings[i].letter;
    out[n] = '\0';
}

static uint8_t bit_of(uint8_t letter)
{
    for (size_t i = 0; i < mem_count(bindings); i++)
        if ((uint8_t)bindings[i].letter == letter)
            return bindings[i].bit;
    return 0;
}

int binding_parse(struct view v, uint8_t *ret_bits, bool *ret_queue)
{
    uint8_t bits = 0;
    bool queue = false;

    for (size_t i = 0; i < v.n; i++) {
        uint8_t bit = bit_of(v.p[i]);

        /* LwM2M 1.0 writes queue mode as a Q after each letter it applies to. */
        if (v.p[i] == 'Q' && i > 0 && v.p[i - 1] != 'Q') {
            queue = true;
            continue;
        }
        if (bit == 0 || (bits & bit) != 0)
            return ERR_INVALID;
        bits |= bit;
    }
    if (bits == 0)
        return ERR_INVALID;
    *ret_bits = bits;
    *ret_queue = queue;
    return ERR_OK;
}
