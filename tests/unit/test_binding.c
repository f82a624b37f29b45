#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int rc;
        const char *formatted;
        bool queue;
    } rows[] = {
        {"U", ERR_OK, "U", false},       {"UT", ERR_OK, "UT", false},
        {"TU", ERR_OK, "UT", false},     {"NSTHMU", ERR_OK, "UMHTSN", false},
        {"UQ", ERR_OK, "U", true},       {"UQS", ERR_OK, "US", true},
        {"UQSQ", ERR_OK, "US", true},    {"SQ", ERR_OK, "S", true},
        {"", ERR_INVALID, "", false},    {"Q", ERR_INVALID, "", false},
        {"QU", ERR_INVALID, "", false},  {"UU", ERR_INVALID, "", false},
        {"UQQ", ERR_INVALID, "", false}, {"u", ERR_INVALID, "", false},
        {"UX", ERR_INVALID, "", false},  {"U ", ERR_INVALID, "", false},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        uint8_t bits = 0;
        bool queue = false;
        char out[8];

        assert_int_equal(binding_parse(view_str(rows[i].text), &bits, &queue), rows[i].rc);
        binding_format(bits, out);
        assert_string_equal(out, rows[i].formatted);
        assert_int_equal(queue, rows[i].queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
