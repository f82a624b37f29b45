#include "story.h"

#include "model/objects_data.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TWICE_EVERY 10 /* seeds between two that run twice */

static struct models *models;
static const struct story *current;
static size_t number;
static char hint[64];

struct models *story_models(void)
{
    struct registry *r;
    unsigned line;

    if (models)
        return models;
    r = registry_new();
    assert(r);
    if (registry_load_tsv(r, view_of(objects_data, objects_data_size), &line) < 0)
        abort();
    models = models_new(r);
    assert(models);
    return models;
}

void story_failed(uint64_t seed, uint64_t at_ms, const char *text)
{
    printf("not ok %zu - %s\n", number, current->name);
    printf("# seed %llu, at %llu.%03llu s: %s\n", (unsigned long long)seed,
           (unsigned long long)at_ms / 1000, (unsigned long long)at_ms % 1000, text);
    printf("# to see it again: SEED=%llu SEEDS=1 SIM_TRACE=1 STORY=%zu %s%s\n",
           (unsigned long long)seed, number, hint, program_invocation_name);
    fflush(stdout);
    _Exit(1);
}

void story_hint(const char *text)
{
    snprintf(hint, sizeof(hint), "%s ", text);
}

uint64_t story_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    uint64_t n = otherwise;

    if (text && *text && view_u64(view_str(text), UINT64_MAX, &n) < 0) {
        fprintf(stderr, "%s=%s is no number\n", variable, text);
        exit(2);
    }
    return n;
}

static void run(const struct story *s, uint64_t first, uint64_t seeds)
{
    for (uint64_t i = 0; i < seeds; i++) {
        uint64_t trace = s->tell(first + i);

        if (i % TWICE_EVERY == 0 && s->tell(first + i) != trace)
            story_failed(first + i, 0, "the second run of this seed went another way");
    }
    printf("ok %zu - %s\n", number, s->name);
    fflush(stdout);
}

int story_main(const struct story *stories, size_t count)
{
    uint64_t first = story_number("SEED", 1);
    uint64_t seeds = story_number("SEEDS", 50);
    uint64_t only = story_number("STORY", 0);

    printf("1..%zu\n", only ? 1 : count);
    printf("# %llu seeds from %llu\n", (unsigned long long)seeds, (unsigned long long)first);
    for (size_t i = 0; i < count; i++) {
        current = &stories[i];
        number = i + 1;
        if (only == 0 || only == number)
            run(current, first, seeds);
    }
    if (models)
        models_free(models);
    return 0;
}
