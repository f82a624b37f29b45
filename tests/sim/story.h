/*
 * How a simulation program runs: each of its stories for SEEDS seeds (environment, 50 unless given)
 * from SEED on (1), one line of TAP a story. The first failure ends the program and tells how to
 * see it again. A few seeds run twice: the same must happen.
 */
#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "world.h"

struct story {
    const char *name;
    /* Returns the trace of what happened. */
    uint64_t (*tell)(uint64_t seed);
};

int story_main(const struct story *stories, size_t count);
/* For those that cost more: SEEDS / divisor of them, at least one. */
uint64_t story_number(const char *variable, uint64_t otherwise);

/* What else it takes to see a failure of one seed again: "NAME=value". Copied. */
void story_hint(const char *hint);

/* ---- for the world ---- */

void story_failed(uint64_t seed, uint64_t at_ms, const char *text) __attribute__((noreturn));
/* The object definitions that come with the server; shared by all worlds. */
struct models *story_models(void);

#endif
