/* The order in which formats are tried: src/lwm2m/select_format.c. */
#include "domain_fixture.h"

#include <stdio.h>

static void expect(struct fix *f, const char *version, const char *ct, enum choose_class class,
                   enum value_type type, bool write, const char *wanted)
{
    char query[64], links[128], got[128] = "";
    int32_t out[CHOOSE_MAX];
    size_t n;

    snprintf(query, sizeof(query), "ep=dev1&lt=300&lwm2m=%s", version);
    snprintf(links, sizeof(links), "</>;rt=\"oma.lwm2m\"%s%s,</3/0>", ct[0] != '\0' ? ";ct=" : "",
             ct);
    fix_register(f, 1, query, links);
    n = select_format_candidates(fix_find(f, 1), class, type, write, out);
    assert_in_range(n, 1, CHOOSE_MAX);
    for (size_t i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%d", i > 0 ? " " : "", out[i]);
    assert_string_equal(got, wanted);
}

static void test_orders(void **state)
{
    struct fix *f = *state;
    const enum value_type number = VALUE_INTEGER;

    expect(f, "1.0", "", CHOOSE_ONE, number, false, "11542 0 -1");
    expect(f, "1.0", "", CHOOSE_ONE, number, true, "11542 0");
    expect(f, "1.0", "", CHOOSE_ONE, VALUE_OPAQUE, true, "42 11542 0");
    expect(f, "1.0", "", CHOOSE_MANY, number, true, "11542 11543");
    expect(f, "1.1", "", CHOOSE_ONE, number, true, "0 60 11542 112 110");
    expect(f, "1.1", "110", CHOOSE_ONE, number, true, "110 0 60 11542 112");
    expect(f, "1.1", "", CHOOSE_ONE, VALUE_OPAQUE, true, "42 0 60 11542 112 110");
    expect(f, "1.1", "", CHOOSE_MANY, number, true, "11542 112 110");
    expect(f, "1.1", "\"110 112 60\"", CHOOSE_MANY, number, true, "112 110 11542");
    expect(f, "1.2", "", CHOOSE_MANY, number, true, "112 11544 110 11542");
    expect(f, "1.2", "110", CHOOSE_MANY, number, true, "110 112 11544 11542");
    expect(f, "1.2", "\"112 110\"", CHOOSE_ONE, number, false, "112 110 0 60 11544 11542 -1");
    expect(f, "1.3", "", CHOOSE_MANY, number, false, "112 11544 110 11542 -1");
    /* A resource that no model knows: formats that tell the type. */
    expect(f, "1.1", "", CHOOSE_ONE, VALUE_NONE, false, "112 110 60 0 11542 -1");
    expect(f, "1.0", "", CHOOSE_ONE, VALUE_NONE, false, "11542 0 -1");
    /* Numbers that we do not know do no harm. */
    expect(f, "1.1", "\"4711 40 110\"", CHOOSE_MANY, number, true, "110 11542 112");
}

static void test_learning(void **state)
{
    struct fix *f = *state;
    int32_t out[CHOOSE_MAX];
    struct device *dev;

    expect(f, "1.1", "", CHOOSE_MANY, VALUE_NONE, true, "11542 112 110");
    dev = fix_find(f, 1);
    select_format_learn(dev, CHOOSE_MANY, FORMAT_TLV);
    assert_int_equal(select_format_candidates(dev, CHOOSE_MANY, VALUE_NONE, true, out), 2);
    assert_int_equal(out[0], FORMAT_SENML_CBOR);
    /* Single values are another matter. */
    select_format_candidates(dev, CHOOSE_ONE, VALUE_INTEGER, true, out);
    assert_int_equal(out[2], FORMAT_TLV);
    select_format_learn(dev, CHOOSE_MANY, FORMAT_SENML_CBOR);
    select_format_learn(dev, CHOOSE_MANY, FORMAT_SENML_JSON);
    assert_int_equal(select_format_candidates(dev, CHOOSE_MANY, VALUE_NONE, false, out), 1);
    assert_int_equal(out[0], FORMAT_NONE);
    /* One has to write in some format: from the start. */
    assert_int_equal(select_format_candidates(dev, CHOOSE_MANY, VALUE_NONE, true, out), 3);
    /* A new Register forgets. */
    expect(f, "1.1", "", CHOOSE_MANY, VALUE_NONE, true, "11542 112 110");
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_orders),
        ROW(test_learning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
