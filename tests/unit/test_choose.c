/* The order in which formats are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "codec/codec.h"

#define OFFERED_MAX 8

/* "112 60" to numbers. */
static uint8_t parse(const char *text, int32_t out[OFFERED_MAX])
{
    struct view rest = view_str(text), word;
    uint8_t n = 0;
    uint64_t number;

    while (text[0] != '\0' && view_split(&rest, ' ', &word)) {
        assert_int_equal(view_u64(word, UINT16_MAX, &number), ERR_OK);
        out[n++] = (int32_t)number;
    }
    return n;
}

static uint8_t bits(enum choose_class class, const char *text)
{
    int32_t formats[OFFERED_MAX];
    uint8_t n = parse(text, formats), all = 0;

    for (unsigned i = 0; i < n; i++) {
        assert_int_not_equal(choose_bit(class, formats[i]), 0);
        all |= choose_bit(class, formats[i]);
    }
    return all;
}

static const struct {
    uint8_t minor;
    const char *ct;
    enum choose_class class;
    enum value_type type;
    bool write;
    const char *refused, *worked;
    const char *wanted;
} rows[] = {
    /* spec 04 section 10: 1.0 has TLV and text, and nothing else whatever it offers */
    {0, "", CHOOSE_ONE, VALUE_INTEGER, false, "", "", "11542 0 -1"},
    {0, "", CHOOSE_ONE, VALUE_NONE, false, "", "", "11542 0 -1"},
    {0, "", CHOOSE_ONE, VALUE_OPAQUE, true, "", "", "42 11542 0"},
    {0, "", CHOOSE_MANY, VALUE_NONE, true, "", "", "11542 11543"},
    {0, "112 60 11544", CHOOSE_ONE, VALUE_INTEGER, true, "", "", "11542 0"},
    {0, "112 60 11544", CHOOSE_MANY, VALUE_NONE, false, "", "", "11542 11543 -1"},
    {0, "112 322", CHOOSE_COMPOSITE, VALUE_NONE, false, "", "", "-1"},
    {0, "112 322", CHOOSE_FETCH, VALUE_NONE, true, "", "", ""},
    {0, "112 322", CHOOSE_PATCH, VALUE_NONE, true, "", "", ""},
    /* 1.1: as ct, else 0 or 60; else TLV */
    {1, "", CHOOSE_ONE, VALUE_INTEGER, true, "", "", "0 60 11542 112 110"},
    {1, "60", CHOOSE_ONE, VALUE_INTEGER, true, "", "", "60 0 11542 112 110"},
    {1, "60 110", CHOOSE_ONE, VALUE_OPAQUE, true, "", "", "42 110 60 0 11542 112"},
    {1, "", CHOOSE_ONE, VALUE_NONE, false, "", "", "112 110 60 0 11542 -1"},
    {1, "", CHOOSE_MANY, VALUE_NONE, false, "", "", "11542 112 110 -1"},
    {1, "110 112", CHOOSE_MANY, VALUE_NONE, true, "", "", "112 110 11542"},
    {1, "11544", CHOOSE_MANY, VALUE_NONE, true, "", "", "11544 11542 112 110"},
    {1, "", CHOOSE_COMPOSITE, VALUE_NONE, false, "", "", "112 110 -1"},
    {1, "110", CHOOSE_FETCH, VALUE_NONE, true, "", "", "110 112"},
    {1, "322", CHOOSE_FETCH, VALUE_NONE, true, "", "", "112 110"},
    {1, "", CHOOSE_PATCH, VALUE_NONE, true, "", "", "112 110"},
    /* 1.2 */
    {2, "", CHOOSE_ONE, VALUE_INTEGER, true, "", "", "0 60 112 11544 110 11542"},
    {2, "11544 112 110 60", CHOOSE_ONE, VALUE_OPAQUE, false, "", "",
     "42 11544 112 110 60 0 11542 -1"},
    {2, "", CHOOSE_MANY, VALUE_NONE, true, "", "", "112 11544 110 11542"},
    {2, "110", CHOOSE_MANY, VALUE_NONE, true, "", "", "110 112 11544 11542"},
    {2, "11544 112", CHOOSE_MANY, VALUE_NONE, false, "", "", "11544 112 110 11542 -1"},
    {2, "", CHOOSE_COMPOSITE, VALUE_NONE, false, "", "", "112 11544 110 -1"},
    {2, "11544", CHOOSE_COMPOSITE, VALUE_NONE, false, "", "", "11544 112 110 -1"},
    {2, "", CHOOSE_FETCH, VALUE_NONE, true, "", "", "112 322 110 320"},
    {2, "320", CHOOSE_FETCH, VALUE_NONE, true, "", "", "320 112 322 110"},
    {2, "110 112 320 322", CHOOSE_FETCH, VALUE_NONE, true, "", "", "322 112 320 110"},
    {2, "", CHOOSE_PATCH, VALUE_NONE, true, "", "", "112 322 11544 110 320"},
    {2, "11544", CHOOSE_PATCH, VALUE_NONE, true, "", "", "11544 112 322 110 320"},
    {7, "", CHOOSE_MANY, VALUE_NONE, true, "", "", "112 11544 110 11542"},
    /* what was refused is left out; when that is all, one has to write somehow */
    {2, "", CHOOSE_MANY, VALUE_NONE, true, "112", "", "11544 110 11542"},
    {2, "112", CHOOSE_MANY, VALUE_NONE, false, "112 110", "", "11544 11542 -1"},
    {1, "", CHOOSE_MANY, VALUE_NONE, true, "11542 112 110", "", "11542 112 110"},
    {1, "", CHOOSE_MANY, VALUE_NONE, false, "11542 112 110", "", "-1"},
    {2, "", CHOOSE_FETCH, VALUE_NONE, true, "112 110", "", "322 320"},
    /* what it took comes first, unless it was refused since */
    {2, "112", CHOOSE_MANY, VALUE_NONE, true, "", "11544", "11544 112 110 11542"},
    {2, "", CHOOSE_MANY, VALUE_NONE, true, "11544", "11544", "112 110 11542"},
    {0, "", CHOOSE_MANY, VALUE_NONE, true, "", "112", "11542 11543"},
    {1, "4711 40", CHOOSE_MANY, VALUE_NONE, true, "", "", "11542 112 110"},
};

static void test_orders(void **state)
{
    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        int32_t numbers[OFFERED_MAX], out[CHOOSE_MAX];
        uint16_t offered[OFFERED_MAX];
        struct choose c = {.version = {1, rows[i].minor}, .offered = offered};
        char got[128] = "";
        size_t n;

        c.offered_count = parse(rows[i].ct, numbers);
        for (unsigned k = 0; k < c.offered_count; k++)
            offered[k] = (uint16_t)numbers[k];
        c.refused = bits(rows[i].class, rows[i].refused);
        c.worked = bits(rows[i].class, rows[i].worked);
        n = choose_formats(&c, rows[i].class, rows[i].type, rows[i].write, out);
        for (size_t k = 0; k < n; k++)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d", k > 0 ? " " : "",
                     out[k]);
        if (strcmp(got, rows[i].wanted) != 0)
            fail_msg("row %zu: %s, not %s", i, got, rows[i].wanted);
    }
}

/* Nothing is chosen that the version does not know (unless offered), or for a use the format does
 * not have. */
static void test_all_agree_with_the_table(void **state)
{
    static const enum content_use uses[CHOOSE_CLASS_COUNT] = {
        CONTENT_WRITE, CONTENT_UPDATE, CONTENT_COMPOSITE, CONTENT_FETCH, CONTENT_PATCH};
    static const enum value_type types[] = {VALUE_NONE, VALUE_INTEGER, VALUE_OPAQUE};

    (void)state;
    for (unsigned minor = 0; minor < 3; minor++) {
        for (unsigned class = 0; class < CHOOSE_CLASS_COUNT; class ++) {
            const struct choose c = {.version = {1, (uint8_t)minor}};

            for (size_t t = 0; t < mem_count(types); t++) {
                int32_t out[CHOOSE_MAX];
                size_t n = choose_formats(&c, (enum choose_class) class, types[t], true, out);

                for (size_t i = 0; i < n; i++) {
                    const struct content_format *f = content_format(out[i]);

                    assert_non_null(f);
                    assert_true(version_cmp(f->since, c.version) <= 0);
                    assert_true(f->until.major == 0 || version_cmp(c.version, f->until) <= 0);
                    assert_true(content_usable(f, uses[class]));
                }
            }
        }
    }
    assert_int_equal(choose_bit(CHOOSE_ONE, FORMAT_LINK), 0);
    assert_int_equal(choose_bit(CHOOSE_FETCH, FORMAT_NONE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_all_agree_with_the_table),
    };

    return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
