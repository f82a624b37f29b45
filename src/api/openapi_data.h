/* Private to api: src/api/openapi.json, embedded by the build. */
#ifndef API_OPENAPI_DATA_H
#define API_OPENAPI_DATA_H

#include <stddef.h>

extern const char openapi_data[];
extern const size_t openapi_data_size;

#endif
