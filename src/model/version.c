#include "model/model.h"

int version_parse(struct view v, struct version *ret_version)
{
    struct view rest = v, part;
    uint64_t number[3] = {0};
    unsigned n = 0;

    while (view_split(&rest, '.', &part)) {
        int rc = n < 3 ? view_u64(part, UINT8_MAX, &number[n]) : ERR_MALFORMED;

        if (rc < 0)
            return rc;
        n++;
    }
    if (n < 2)
        return ERR_MALFORMED;
    *ret_version = (struct version){(uint8_t)number[0], (uint8_t)number[1]};
    return ERR_OK;
}

int version_cmp(struct version a, struct version b)
{
    if (a.major != b.major)
        return a.major < b.major ? -1 : 1;
    return (a.minor > b.minor) - (a.minor < b.minor);
}
