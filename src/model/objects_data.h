/*
 * The object definitions that come with the server: etc/objects.tsv, embedded by the build. Text
 * for registry_load_tsv; NUL-terminated, the size does not count the NUL.
 */
#ifndef MODEL_OBJECTS_DATA_H
#define MODEL_OBJECTS_DATA_H

#include <stddef.h>

extern const char objects_data[];
extern const size_t objects_data_size;

#endif
