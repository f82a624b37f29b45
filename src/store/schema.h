/*
 * schema: the steps of the database schema, made from sql/NNNN_*.sql by the build.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <stddef.h>

struct schema_step {
    unsigned version; /* the NNNN of its file; user_version once it is complete */
    const char *text;
};
/* Ascending version. */
extern const struct schema_step schema_steps[];
extern const size_t schema_steps_count;

#endif
