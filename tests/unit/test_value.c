#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

#define INT(v)                                                                                     \
    {                                                                                              \
        .type = VALUE_INTEGER, .u.integer = (v)                                                    \
    }
#define UINT(v)                                                                                    \
    {                                                                                              \
        .type = VALUE_UNSIGNED, .u.unsigned_ = (v)                                                 \
    }
#define FLT(v)                                                                                     \
    {                                                                                              \
        .type = VALUE_FLOAT, .u.float_ = (v)                                                       \
    }
#define BOOL(v)                                                                                    \
    {                                                                                              \
        .type = VALUE_BOOLEAN, .u.boolean = (v)                                                    \
    }
#define TIME(v)                                                                                    \
    {                                                                                              \
        .type = VALUE_TIME, .u.integer = (v)                                                       \
    }
#define STR(v)                                                                                     \
    {                                                                                              \
        .type = VALUE_STRING, .u.bytes = {(const uint8_t *)(v), sizeof(v) - 1 }                    \
    }
#define CORE(v)                                                                                    \
    {                                                                                              \
        .type = VALUE_CORELNK, .u.bytes = {(const uint8_t *)(v), sizeof(v) - 1 }                   \
    }
#define OPAQUE(v)                                                                                  \
    {                                                                                              \
        .type = VALUE_OPAQUE, .u.bytes = {(const uint8_t *)(v), sizeof(v) - 1 }                    \
    }
#define LINK(o, i)                                                                                 \
    {                                                                                              \
        .type = VALUE_OBJLNK, .u.link = {(o), (i) }                                                \
    }
#define NONE                                                                                       \
    {                                                                                              \
        .type = VALUE_NONE                                                                         \
    }

static void test_coerce(void **state)
{
    static const struct {
        struct value from;
        enum value_type want;
        int rc;
        struct value to;
    } rows[] = {
        {INT(-5), VALUE_INTEGER, ERR_OK, INT(-5)},
        {INT(-5), VALUE_NONE, ERR_OK, INT(-5)},
        {INT(-5), VALUE_FLOAT, ERR_OK, FLT(-5.0)},
        {INT(-5), VALUE_TIME, ERR_OK, TIME(-5)},
        {INT(5), VALUE_UNSIGNED, ERR_OK, UINT(5)},
        {INT(-5), VALUE_UNSIGNED, ERR_RANGE, NONE},
        {INT(9007199254740993), VALUE_FLOAT, ERR_RANGE, NONE},
        {INT(9007199254740992), VALUE_FLOAT, ERR_OK, FLT(9007199254740992.0)},
        {INT(INT64_MIN), VALUE_FLOAT, ERR_OK, FLT(-9223372036854775808.0)},
        {INT(INT64_MAX), VALUE_FLOAT, ERR_RANGE, NONE},
        {UINT(UINT64_MAX), VALUE_FLOAT, ERR_RANGE, NONE},
        {UINT(UINT64_MAX), VALUE_INTEGER, ERR_RANGE, NONE},
        {UINT(INT64_MAX), VALUE_INTEGER, ERR_OK, INT(INT64_MAX)},
        {UINT(7), VALUE_TIME, ERR_OK, TIME(7)},
        {TIME(7), VALUE_UNSIGNED, ERR_OK, UINT(7)},
        {FLT(3.0), VALUE_INTEGER, ERR_OK, INT(3)},
        {FLT(-3.0), VALUE_INTEGER, ERR_OK, INT(-3)},
        {FLT(-0.0), VALUE_UNSIGNED, ERR_OK, UINT(0)},
        {FLT(3.5), VALUE_INTEGER, ERR_TYPE, NONE},
        {FLT(9223372036854775808.0), VALUE_INTEGER, ERR_RANGE, NONE},
        {FLT(-9223372036854775808.0), VALUE_INTEGER, ERR_OK, INT(INT64_MIN)},
        {FLT(9223372036854775808.0), VALUE_UNSIGNED, ERR_OK, UINT(9223372036854775808u)},
        {FLT(18446744073709551616.0), VALUE_UNSIGNED, ERR_RANGE, NONE},
        {FLT(-1e300), VALUE_INTEGER, ERR_RANGE, NONE},
        {FLT(0.0 / 0.0), VALUE_INTEGER, ERR_TYPE, NONE},
        {INT(1), VALUE_BOOLEAN, ERR_OK, BOOL(true)},
        {UINT(0), VALUE_BOOLEAN, ERR_OK, BOOL(false)},
        {INT(2), VALUE_BOOLEAN, ERR_TYPE, NONE},
        {INT(-1), VALUE_BOOLEAN, ERR_TYPE, NONE},
        {FLT(1.0), VALUE_BOOLEAN, ERR_TYPE, NONE},
        {BOOL(true), VALUE_INTEGER, ERR_TYPE, NONE},
        {STR("</3/0>"), VALUE_CORELNK, ERR_OK, CORE("</3/0>")},
        {CORE("x"), VALUE_STRING, ERR_OK, STR("x")},
        {STR("66:0"), VALUE_OBJLNK, ERR_OK, LINK(66, 0)},
        {STR("65535:65535"), VALUE_OBJLNK, ERR_OK, LINK(65535, 65535)},
        {STR("FFFF:FFFF"), VALUE_OBJLNK, ERR_OK, LINK(65535, 65535)},
        {STR("3:"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR(":3"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR("3"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR(""), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR("3:0:1"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR("65536:0"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {STR("5"), VALUE_INTEGER, ERR_TYPE, NONE},
        {STR("5"), VALUE_OPAQUE, ERR_TYPE, NONE},
        {OPAQUE("5"), VALUE_STRING, ERR_TYPE, NONE},
        {OPAQUE("3:0"), VALUE_OBJLNK, ERR_TYPE, NONE},
        {INT(5), VALUE_STRING, ERR_TYPE, NONE},
        {LINK(3, 0), VALUE_STRING, ERR_TYPE, NONE},
        {NONE, VALUE_INTEGER, ERR_TYPE, NONE},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct value v = rows[i].from;

        assert_int_equal(value_coerce(&v, rows[i].want), rows[i].rc);
        assert_true(value_eq(&v, rows[i].rc == ERR_OK ? &rows[i].to : &rows[i].from));
    }
}

static void test_equal(void **state)
{
    static const struct value all[] = {
        NONE,        INT(1),      INT(2),     UINT(1),    FLT(1.0),   FLT(2.0), FLT(0.0 / 0.0),
        BOOL(true),  BOOL(false), TIME(1),    STR("a"),   STR("ab"),  STR(""),  CORE("a"),
        OPAQUE("a"), OPAQUE("b"), LINK(1, 2), LINK(1, 3), LINK(2, 2),
    };

    (void)state;
    for (size_t i = 0; i < mem_count(all); i++)
        for (size_t j = 0; j < mem_count(all); j++)
            assert_int_equal(value_eq(&all[i], &all[j]), i == j);
}

static void test_type_names(void **state)
{
    enum value_type type;

    (void)state;
    for (unsigned t = 0; t < VALUE_TYPE_COUNT; t++) {
        assert_int_equal(value_type_parse(view_str(value_type_name((enum value_type)t)), &type),
                         ERR_OK);
        assert_int_equal(type, t);
    }
    assert_string_equal(value_type_name(VALUE_UNSIGNED), "unsigned");
    assert_string_equal(value_type_name((enum value_type)99), "unknown");
    assert_int_equal(value_type_parse(VIEW_LIT("Unsigned Integer"), &type), ERR_OK);
    assert_int_equal(type, VALUE_UNSIGNED);
    assert_int_equal(value_type_parse(VIEW_LIT("ObjLnk"), &type), ERR_OK);
    assert_int_equal(type, VALUE_OBJLNK);
    assert_int_equal(value_type_parse(VIEW_LIT(""), &type), ERR_OK);
    assert_int_equal(type, VALUE_NONE);
    assert_int_equal(value_type_parse(VIEW_LIT("Integers"), &type), ERR_MALFORMED);
    assert_int_equal(value_type_parse(VIEW_LIT("unknown"), &type), ERR_MALFORMED);
    assert_int_equal(value_type_parse(VIEW_LIT("an integer with a long name"), &type),
                     ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coerce),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_type_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
