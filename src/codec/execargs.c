#include "codec/codec.h"

/* Printable ASCII without space, double and single quote, backslash. */
static bool is_argument_char(uint8_t c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\';
}

/* The value of an argument, behind its '=': quoted, possibly empty. */
static void skip_value(struct rd *r)
{
    if (rd_u8(r) != '\'')
        rd_fail(r, ERR_MALFORMED);
    while (!rd_end(r) && is_argument_char(*r->p))
        r->p++;
    if (rd_u8(r) != '\'')
        rd_fail(r, ERR_MALFORMED);
}

int execargs_check(struct view text)
{
    struct rd r = rd_init(text);
    unsigned seen = 0;

    while (!rd_end(&r)) {
        unsigned digit = (unsigned)rd_u8(&r) - '0';

        if (digit > 9)
            return ERR_MALFORMED;
        if ((seen & 1u << digit) != 0)
            return ERR_DUPLICATE;
        seen |= 1u << digit;
        if (!rd_end(&r) && *r.p == '=') {
            r.p++;
            skip_value(&r);
        }
        if (rd_end(&r))
            break;
        /* Another argument must follow the comma. */
        if (rd_u8(&r) != ',' || rd_end(&r))
            return ERR_MALFORMED;
    }
    return r.rc == ERR_OK ? ERR_OK : ERR_MALFORMED;
}
