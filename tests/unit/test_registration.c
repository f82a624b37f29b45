#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_copy(void **state)
{
    char bytes[] = "endpoint|+49|6:1234|</3/0>|x=y|name";
    struct registration r = {
        .row = 7,
        .id = 0x0102030405060708,
        .lifetime_s = 300,
        .queue_mode = true,
        .endpoint = view_of(bytes, 8),
        .sms = view_of(bytes + 9, 3),
        .profile = view_of(bytes + 13, 6),
        .links = view_of(bytes + 20, 6),
        .unknown = VIEW_NONE,
        .identity = {IDENTITY_PSK, view_of(bytes + 31, 4)},
        .expires_ms = INT64_MAX,
    };
    struct registration *copy = registration_copy(&r);

    (void)state;
    memset(bytes, '#', sizeof bytes - 1);
    assert_int_equal(copy->row, 7);
    assert_int_equal(copy->id, r.id);
    assert_int_equal(copy->lifetime_s, 300);
    assert_true(copy->queue_mode);
    assert_int_equal(copy->expires_ms, INT64_MAX);
    assert_true(view_eq_str(copy->endpoint, "endpoint"));
    assert_true(view_eq_str(copy->sms, "+49"));
    assert_true(view_eq_str(copy->profile, "6:1234"));
    assert_true(view_eq_str(copy->links, "</3/0>"));
    assert_int_equal(copy->unknown.n, 0);
    assert_int_equal(copy->identity.type, IDENTITY_PSK);
    assert_true(view_eq_str(copy->identity.name, "name"));
    mem_free(copy); /* the one allocation: nothing else is left */
}

static void test_id(void **state)
{
    static const char *const refused[] = {
        "",
        "0123456789abcde",
        "0123456789abcdef0",
        "0123456789abcdeg",
        "0123456789ABCDEF",
        "0x23456789abcdef",
        "+123456789abcdef",
    };
    char text[REGISTRATION_ID_LEN + 1];
    uint64_t id = 0;

    (void)state;
    registration_id_format(0xa5000000000000ffu, text);
    assert_string_equal(text, "a5000000000000ff");
    assert_int_equal(registration_id_parse(view_str(text), &id), ERR_OK);
    assert_int_equal(id, 0xa5000000000000ffu);
    assert_int_equal(registration_id_parse(VIEW_LIT("0123456789abcdef"), &id), ERR_OK);
    assert_int_equal(id, 0x0123456789abcdef);
    for (size_t i = 0; i < mem_count(refused); i++)
        assert_int_equal(registration_id_parse(view_str(refused[i]), &id), ERR_MALFORMED);
    assert_int_equal(id, 0x0123456789abcdef);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
