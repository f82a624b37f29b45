/* Paths: what is accepted has one text, which reads as the same path. */
#include "model/model.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_of(data, size);
    struct path p, again;
    char out[PATH_TEXT_MAX];

    if (path_parse(text, &p) != ERR_OK)
        return 0;
    path_format(&p, out);
    require(path_parse(view_str(out), &again) == ERR_OK && path_eq(&p, &again));
    require(path_cmp(&p, &again) == 0 && path_covers(&p, &again));
    /* Only a slash at the end may be lost. */
    require(view_eq(view_str(out), view_sub(text, 0, strlen(out))) && size - strlen(out) <= 1);
    return 0;
}
