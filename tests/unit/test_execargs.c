#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/codec.h"

static void test_accepted(void **state)
{
    static const char *const rows[] = {
        "",          "5",
        "2='10.3'",  "0,1,2,3,4",
        "0='U'",     "7,0='https://example.com/x?a=b,c'",
        "1=''",      "0,1,2,3,4,5,6,7,8,9",
        "0='!#&(['", "0='</33629/1>,</33629/2>'",
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        assert_int_equal(execargs_check(view_str(rows[i])), ERR_OK);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int rc;
    } rows[] = {
        {"a", ERR_MALFORMED},       {"10", ERR_MALFORMED},        {"0,", ERR_MALFORMED},
        {",0", ERR_MALFORMED},      {"0,,1", ERR_MALFORMED},      {"0=", ERR_MALFORMED},
        {"0=U", ERR_MALFORMED},     {"0='", ERR_MALFORMED},       {"0='U", ERR_MALFORMED},
        {"0='a b'", ERR_MALFORMED}, {"0='a\"b'", ERR_MALFORMED},  {"0='a\\b'", ERR_MALFORMED},
        {"0='a'b'", ERR_MALFORMED}, {"0='\x7f'", ERR_MALFORMED},  {"0='\xc3\xa4'", ERR_MALFORMED},
        {"0 ", ERR_MALFORMED},      {" 0", ERR_MALFORMED},        {"0='a';1", ERR_MALFORMED},
        {"0,0", ERR_DUPLICATE},     {"1='a',2,1", ERR_DUPLICATE},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++)
        assert_int_equal(execargs_check(view_str(rows[i].text)), rows[i].rc);
    assert_int_equal(execargs_check(view_of("0\0", 2)), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
