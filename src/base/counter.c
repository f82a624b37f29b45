#include "base/base.h"

static const char *const counter_names[COUNTER_COUNT] = {
#define COUNTER(name, help) [COUNTER_##name] = #name,
#include "base/counter.def"
#undef COUNTER
};

static const char *const counter_helps[COUNTER_COUNT] = {
#define COUNTER(name, help) [COUNTER_##name] = help,
#include "base/counter.def"
#undef COUNTER
};

const char *counter_name(enum counter which)
{
    return counter_names[which];
}

const char *counter_help(enum counter which)
{
    return counter_helps[which];
}
