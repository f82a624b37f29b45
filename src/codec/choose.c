/* Which Content-Format to ask for or to send: what the device offered, what its version must know,
 * less what it has refused (LwM2M Core 7.4; wire reference, data formats, section 10). */
#include "codec/codec.h"

#define END FORMAT_NONE
#define FORMATS_MAX 8

/* What can be chosen in a class; a place is a bit of `refused` and `worked`. */
static const int32_t numbered[CHOOSE_CLASS_COUNT][FORMATS_MAX] = {
    [CHOOSE_ONE] = {FORMAT_TEXT, FORMAT_OPAQUE, FORMAT_CBOR, FORMAT_TLV, FORMAT_SENML_JSON,
                    FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, END},
    [CHOOSE_MANY] = {FORMAT_TLV, FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR,
                     FORMAT_LWM2M_JSON, END},
    [CHOOSE_COMPOSITE] = {FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, END},
    [CHOOSE_FETCH] = {FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_SENML_ETCH_JSON,
                      FORMAT_SENML_ETCH_CBOR, END},
    [CHOOSE_PATCH] = {FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_SENML_ETCH_JSON,
                      FORMAT_SENML_ETCH_CBOR, FORMAT_LWM2M_CBOR, END},
};

/* `offered` is taken as far as ct names it, then `known`. */
struct order {
    int32_t offered[FORMATS_MAX];
    int32_t known[FORMATS_MAX];
};

/* By enabler version: 1.0, 1.1, 1.2 and later. Version 1.0 has no composites. */
static const struct order orders[3][CHOOSE_CLASS_COUNT] = {
    {
        [CHOOSE_ONE] = {{END}, {FORMAT_TLV, FORMAT_TEXT, END}},
        [CHOOSE_MANY] = {{END}, {FORMAT_TLV, FORMAT_LWM2M_JSON, END}},
        [CHOOSE_COMPOSITE] = {{END}, {END}},
        [CHOOSE_FETCH] = {{END}, {END}},
        [CHOOSE_PATCH] = {{END}, {END}},
    },
    {
        [CHOOSE_ONE] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END},
                        {FORMAT_TEXT, FORMAT_CBOR, FORMAT_TLV, FORMAT_SENML_CBOR, FORMAT_SENML_JSON,
                         END}},
        [CHOOSE_MANY] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_LWM2M_CBOR, END},
                         {FORMAT_TLV, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END}},
        [CHOOSE_COMPOSITE] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_LWM2M_CBOR, END},
                              {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END}},
        [CHOOSE_FETCH] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END},
                          {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END}},
        [CHOOSE_PATCH] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END},
                          {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END}},
    },
    {
        [CHOOSE_ONE] = {{FORMAT_LWM2M_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END},
                        {FORMAT_TEXT, FORMAT_CBOR, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR,
                         FORMAT_SENML_JSON, FORMAT_TLV, END}},
        [CHOOSE_MANY] = {{FORMAT_LWM2M_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END},
                         {FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, FORMAT_SENML_JSON, FORMAT_TLV,
                          END}},
        [CHOOSE_COMPOSITE] = {{FORMAT_LWM2M_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END},
                              {FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, FORMAT_SENML_JSON, END}},
        [CHOOSE_FETCH] = {{FORMAT_SENML_ETCH_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_ETCH_JSON,
                           FORMAT_SENML_JSON, END},
                          {FORMAT_SENML_CBOR, FORMAT_SENML_ETCH_CBOR, FORMAT_SENML_JSON,
                           FORMAT_SENML_ETCH_JSON, END}},
        [CHOOSE_PATCH] = {{FORMAT_SENML_ETCH_CBOR, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR,
                           FORMAT_SENML_ETCH_JSON, FORMAT_SENML_JSON, END},
                          {FORMAT_SENML_CBOR, FORMAT_SENML_ETCH_CBOR, FORMAT_LWM2M_CBOR,
                           FORMAT_SENML_JSON, FORMAT_SENML_ETCH_JSON, END}},
    },
};

/* Text and TLV do not say what type a value has; these do. For resources that no model describes.
 */
static const int32_t telling[] = {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END};

static const int32_t opaque[] = {FORMAT_OPAQUE, END};

uint8_t choose_bit(enum choose_class class, int32_t format)
{
    for (unsigned i = 0; i < FORMATS_MAX && numbered[class][i] != END; i++)
        if (numbered[class][i] == format)
            return (uint8_t)(1u << i);
    return 0;
}

/* Where a choice is put together. */
struct list_of {
    const struct choose *c;
    enum choose_class class;
    uint8_t wanted;   /* only formats that have one of these bits */
    uint8_t unwanted; /* and none of those */
    int32_t *out;
    size_t n;
};

static bool is_offered(const struct choose *c, int32_t format)
{
    for (unsigned i = 0; i < c->offered_count; i++)
        if (c->offered[i] == format)
            return true;
    return false;
}

static void add(struct list_of *l, const int32_t *order, bool if_offered)
{
    for (; *order != END; order++) {
        uint8_t bit = choose_bit(l->class, *order);
        size_t i = 0;

        if ((if_offered && !is_offered(l->c, *order)) || (bit & l->wanted) == 0 ||
            (bit & l->unwanted) != 0)
            continue;
        while (i < l->n && l->out[i] != *order)
            i++;
        if (i == l->n)
            l->out[l->n++] = *order;
    }
}

static void add_all(struct list_of *l, enum value_type type)
{
    unsigned minor = l->c->version.minor;
    const struct order *o = &orders[minor < 2 ? minor : 2][l->class];

    if (l->class == CHOOSE_ONE && type == VALUE_OPAQUE)
        add(l, opaque, false);
    add(l, o->offered, true);
    if (l->class == CHOOSE_ONE && type == VALUE_NONE && minor > 0)
        add(l, telling, false);
    add(l, o->known, false);
}

size_t choose_formats(const struct choose *c, enum choose_class class, enum value_type type,
                      bool write, int32_t out[CHOOSE_MAX])
{
    struct list_of l = {c, class, c->worked, c->refused, out, 0};

    add_all(&l, type);
    l.wanted = UINT8_MAX;
    add_all(&l, type);
    if (l.n == 0 && write) { /* all refused once: perhaps for the resource, not the device */
        l.unwanted = 0;
        add_all(&l, type);
    }
    if (!write)
        out[l.n++] = FORMAT_NONE;
    return l.n;
}
