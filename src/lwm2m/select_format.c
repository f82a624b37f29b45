#include "lwm2m/run.h"

/* The formats of an operation, from what the device is and has refused before (codec/choose.c). */

size_t select_format_candidates(const struct device *dev, enum choose_class class,
                                enum value_type type, bool write, int32_t out[CHOOSE_MAX])
{
    const struct choose c = {
        .version = dev->version,
        .offered = dev->list->formats,
        .offered_count = dev->list->format_count,
        .refused = dev->failed[class],
    };

    return choose_formats(&c, class, type, write, out);
}

void select_format_learn(struct device *dev, enum choose_class class, int32_t refused)
{
    dev->failed[class] |= choose_bit(class, refused);
}

/* ---- of an operation ------------------------------------------------------------------------- */

/* Which option the candidates are for; kinds that are not here have neither. */
static const struct {
    bool accepts, writes;
} kinds[OP_KIND_COUNT] = {
    [OP_READ] = {.accepts = true},           [OP_OBSERVE] = {.accepts = true},
    [OP_WRITE_REPLACE] = {.writes = true},   [OP_WRITE_UPDATE] = {.writes = true},
    [OP_CREATE] = {.writes = true},          [OP_READ_COMPOSITE] = {.writes = true},
    [OP_WRITE_COMPOSITE] = {.writes = true}, [OP_OBSERVE_COMPOSITE] = {.writes = true},
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
    const struct op *op = composite_subject(run);
    struct content_env env;
    enum value_type type;
    bool multiple = false;

    if (composite_is(op)) {
        composite_formats(run);
        return;
    }
    run->candidates[0] = op->format;
    run->candidate_count = 1;
    if (op->format != FORMAT_NONE || !(kinds[op->kind].accepts || kinds[op->kind].writes))
        return;
    domain_env(run->domain, run->device, now, &env);
    type = content_type_of(&env, &op->path, &multiple);
    run->class = is_one_value(op, multiple) ? CHOOSE_ONE : CHOOSE_MANY;
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
        (run->step != RUN_ITSELF && run->step != RUN_PART) ||
        run->candidate + 1 >= run->candidate_count)
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
