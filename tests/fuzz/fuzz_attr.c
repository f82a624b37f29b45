/* Attributes and Execute arguments: fewer parts of what is accepted are accepted too. */
#include "codec/codec.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct path p = {.id = {3, 0, 9, 1}, .depth = size > 0 ? data[0] % 5 : 0};
    struct view text = view_sub(view_of(data, size), 1, size);
    const char *what = NULL;
    int attr_rc = attr_check(text, &p, &what);
    bool quoted = false;
    int args_rc = execargs_check(text);

    require((attr_rc == ERR_OK) == (what == NULL));
    for (size_t i = 0; i < text.n; i++) {
        quoted ^= text.p[i] == '\'';
        if (attr_rc == ERR_OK && text.p[i] == '&')
            require(attr_check(view_of(text.p, i), &p, &what) == ERR_OK);
        if (args_rc == ERR_OK && text.p[i] == ',' && !quoted)
            require(execargs_check(view_of(text.p, i)) == ERR_OK);
    }
    return 0;
}
