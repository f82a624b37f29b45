/* Configuration files: a file is taken, or refused with at least one line of what is wrong; what is
 * taken lies within the bounds of the option table. */
#include "../../src/daemon/conf.c"

#include "require.h"

#include <sys/mman.h>
#include <unistd.h>

static void check_bounds(const struct conf *c)
{
    for (size_t i = 0; i < mem_count(options); i++) {
        const struct option *o = &options[i];
        const void *field = (const char *)c + o->offset;
        uint64_t n;

        if (o->kind == KIND_TEXT)
            require(*(char *const *)field != NULL);
        if (o->kind != KIND_UINT)
            continue;
        memcpy(&n, field, sizeof(n));
        require(n >= o->min && n <= o->max);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);
    char name[40], *said = NULL;
    size_t said_n = 0;
    FILE *errors = open_memstream(&said, &said_n);
    struct conf c;
    int rc;

    require(fd >= 0 && errors != NULL && write(fd, data, size) == (ssize_t)size);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    rc = conf_load(name, errors, &c);
    fclose(errors);
    require(rc == ERR_OK ? said_n == 0 : rc == ERR_INVALID && said_n > 0);
    if (rc == ERR_OK) {
        check_bounds(&c);
        conf_reload(&c, &c);
        conf_fini(&c);
    }
    free(said);
    close(fd);
    return 0;
}
