#include "api/internal.h"
#include "api/openapi_data.h"

/* The document about the routes; a test compares it with the table. */

void openapi_show(struct call *c)
{
    call_text(c, MHD_HTTP_OK, "application/json", view_of(openapi_data, openapi_data_size));
}
