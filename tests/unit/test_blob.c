#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void test_memory(void **state)
{
    char bytes[] = "a\0b";
    struct blob *b = blob_new(view_of(bytes, 3));

    (void)state;
    bytes[0] = 'x';
    assert_int_equal(b->size, 3);
    assert_int_equal(b->fd, -1);
    assert_memory_equal(b->p, "a\0b", 3);
    blob_free(b);
    b = blob_new(VIEW_NONE);
    assert_int_equal(b->size, 0);
    blob_free(b);
    blob_free(NULL);
}

static void test_file(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct blob *b = blob_new_fd(fd, 1000);

    (void)state;
    assert_true(fd >= 0);
    assert_null(b->p);
    assert_int_equal(b->size, 1000);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    blob_free(b);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
