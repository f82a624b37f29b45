#include "lwm2m/internal.h"

/*
 * Which Content-Format a device is asked for or given: what it offered (ct), what its version must
 * know (spec of the data formats, LwM2M Core 7.4), less what it has refused before.
 */

/* A bit each in device.failed. */
static const int32_t numbered[] = {
    FORMAT_TEXT,       FORMAT_OPAQUE,     FORMAT_CBOR,       FORMAT_TLV,
    FORMAT_SENML_JSON, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, FORMAT_LWM2M_JSON,
};

#define END FORMAT_NONE

/* By enabler version: 1.0, 1.1, 1.2 and later. `offered` is taken as far as ct names it, then
 * `known`. */
struct order {
    int32_t offered[8];
    int32_t known[8];
};

static const struct order orders[3][2] = {
    {
        [SELECT_ONE] = {{FORMAT_TLV, FORMAT_TEXT, END}, {FORMAT_TLV, FORMAT_TEXT, END}},
        [SELECT_MANY] = {{FORMAT_TLV, FORMAT_LWM2M_JSON, END},
                         {FORMAT_TLV, FORMAT_LWM2M_JSON, END}},
    },
    {
        [SELECT_ONE] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END},
                        {FORMAT_TEXT, FORMAT_CBOR, FORMAT_TLV, FORMAT_SENML_CBOR, FORMAT_SENML_JSON,
                         END}},
        [SELECT_MANY] = {{FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_LWM2M_CBOR, END},
                         {FORMAT_TLV, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END}},
    },
    {
        [SELECT_ONE] = {{FORMAT_LWM2M_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END},
                        {FORMAT_TEXT, FORMAT_CBOR, FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR,
                         FORMAT_SENML_JSON, FORMAT_TLV, END}},
        [SELECT_MANY] = {{FORMAT_LWM2M_CBOR, FORMAT_SENML_CBOR, FORMAT_SENML_JSON, END},
                         {FORMAT_SENML_CBOR, FORMAT_LWM2M_CBOR, FORMAT_SENML_JSON, FORMAT_TLV,
                          END}},
    },
};

/* Text and TLV do not say what type a value has; the rest does. For resources that no model
 * describes. */
static const int32_t telling[] = {FORMAT_SENML_CBOR, FORMAT_SENML_JSON, FORMAT_CBOR, END};

static const int32_t opaque[] = {FORMAT_OPAQUE, END};

static uint8_t bit_of(int32_t number)
{
    for (unsigned i = 0; i < mem_count(numbered); i++)
        if (numbered[i] == number)
            return (uint8_t)(1u << i);
    return 0;
}

static bool is_offered(const struct objlist *list, int32_t number)
{
    for (unsigned i = 0; i < list->format_count; i++)
        if (list->formats[i] == number)
            return true;
    return false;
}

struct choice {
    const struct device *dev;
    bool write;
    uint8_t failed;
    int32_t *out;
    size_t n;
};

static bool is_usable(const struct choice *c, int32_t number)
{
    const struct content_format *f = content_format(number);

    if (f == NULL || (c->write ? f->encode == NULL : f->decode == NULL))
        return false;
    return (c->failed & bit_of(number)) == 0;
}

static void add(struct choice *c, const int32_t *order, bool if_offered)
{
    for (; *order != END; order++) {
        size_t i = 0;

        if ((if_offered && !is_offered(c->dev->list, *order)) || !is_usable(c, *order))
            continue;
        while (i < c->n && c->out[i] != *order)
            i++;
        if (i == c->n && c->n < SELECT_MAX - 1)
            c->out[c->n++] = *order;
    }
}

static void add_all(struct choice *c, enum select_class class, enum value_type type)
{
    unsigned minor = c->dev->version.minor;
    const struct order *o = &orders[minor < 2 ? minor : 2][class];

    if (class == SELECT_ONE && type == VALUE_OPAQUE)
        add(c, opaque, false);
    add(c, o->offered, true);
    if (class == SELECT_ONE && type == VALUE_NONE && minor > 0)
        add(c, telling, false);
    add(c, o->known, false);
}

size_t select_format_candidates(const struct device *dev, enum select_class class,
                                enum value_type type, bool write, int32_t out[SELECT_MAX])
{
    struct choice c = {.dev = dev, .write = write, .failed = dev->failed[class], .out = out};

    add_all(&c, class, type);
    if (c.n == 0 && write) { /* all refused once: perhaps for the resource, not the device */
        c.failed = 0;
        add_all(&c, class, type);
    }
    if (!write)
        out[c.n++] = FORMAT_NONE;
    return c.n;
}

void select_format_learn(struct device *dev, enum select_class class, int32_t refused)
{
    dev->failed[class] |= bit_of(refused);
}

/* ---- of an operation ------------------------------------------------------------------------- */

/* Which option the candidates are for; kinds that are not here have neither. */
static const struct {
    bool accepts, writes;
} kinds[OP_KIND_COUNT] = {
    [OP_READ] = {.accepts = true},         [OP_OBSERVE] = {.accepts = true},
    [OP_WRITE_REPLACE] = {.writes = true}, [OP_WRITE_UPDATE] = {.writes = true},
    [OP_CREATE] = {.writes = true},
};

static bool is_one_value(const struct op *op, bool multiple)
{
    if (op->body != NULL || op->path.depth == 4)
        return true;
    if (op->path.depth < 3 || op->kind == OP_WRITE_UPDATE)
        return false;
    if (op->values != NULL)
        return batch_size(op->values) == 1 && batch_at(op->values, 0)->path.depth == 3 &&
               batch_at(op->values, 0)->value.type != VALUE_NONE;
    return !multiple;
}

void select_format_start(struct run *run, uint64_t now)
{
    const struct op *op = run->op;
    struct content_env env;
    enum value_type type;
    bool multiple = false;

    run->candidates[0] = op->format;
    run->candidate_count = 1;
    if (op->format != FORMAT_NONE || !(kinds[op->kind].accepts || kinds[op->kind].writes))
        return;
    domain_env(run->domain, run->device, now, &env);
    type = content_type_of(&env, &op->path, &multiple);
    run->class = is_one_value(op, multiple) ? SELECT_ONE : SELECT_MANY;
    if (op->body != NULL)
        type = VALUE_OPAQUE;
    else if (op->values != NULL && batch_size(op->values) > 0)
        type = batch_at(op->values, 0)->value.type;
    run->candidate_count = (uint8_t)select_format_candidates(
        run->device, run->class, type, kinds[op->kind].writes, run->candidates);
}

bool select_format_next(struct run *run, const struct answer *a)
{
    /* Some clients say 4.15 of an Accept that they do not support; both mean the format. */
    if ((a->code != err_coap_code(ERR_NOTACCEPTABLE) && a->code != err_coap_code(ERR_FORMAT)) ||
        run->step != RUN_ITSELF || run->candidate + 1 >= run->candidate_count)
        return false;
    run->refused |= (uint16_t)(1u << run->candidate++);
    return true;
}

void select_format_accepted(const struct run *run)
{
    for (unsigned i = 0; i < run->candidate; i++)
        if ((run->refused & 1u << i) != 0)
            select_format_learn(run->device, run->class, run->candidates[i]);
}
