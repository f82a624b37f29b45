#include "model/model.h"

/* The views of a registration that a copy must own. */
#define VIEW_AT(member) offsetof(struct registration, member)
static const size_t views[] = {
    VIEW_AT(endpoint), VIEW_AT(sms),     VIEW_AT(profile),
    VIEW_AT(links),    VIEW_AT(unknown), VIEW_AT(identity.name),
};

static struct view view_read(const struct registration *r, size_t at)
{
    struct view v;

    memcpy(&v, (const uint8_t *)r + at, sizeof v);
    return v;
}

struct registration *registration_copy(const struct registration *r)
{
    size_t size = sizeof *r;
    struct registration *copy;
    uint8_t *bytes;

    for (size_t i = 0; i < mem_count(views); i++)
        size += view_read(r, views[i]).n;
    copy = mem_new(size);
    if (copy == NULL)
        return NULL;
    *copy = *r;
    bytes = (uint8_t *)(copy + 1);
    for (size_t i = 0; i < mem_count(views); i++) {
        struct view v = view_read(r, views[i]);
        struct view owned = {v.p != NULL ? bytes : NULL, v.n};

        if (v.n > 0)
            memcpy(bytes, v.p, v.n);
        memcpy((uint8_t *)copy + views[i], &owned, sizeof owned);
        bytes += v.n;
    }
    return copy;
}

void registration_id_format(uint64_t id, char out[REGISTRATION_ID_LEN + 1])
{
    uint8_t b[8];

    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(id >> (56 - 8 * i));
    text_hex(b, sizeof b, out);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int registration_id_parse(struct view v, uint64_t *ret_id)
{
    uint64_t id = 0;

    if (v.n != REGISTRATION_ID_LEN)
        return ERR_MALFORMED;
    for (size_t i = 0; i < v.n; i++) {
        int digit = hex_digit(v.p[i]);

        if (digit < 0)
            return ERR_MALFORMED;
        id = id << 4 | (uint64_t)digit;
    }
    *ret_id = id;
    return ERR_OK;
}
