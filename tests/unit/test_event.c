#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/model.h"

static void test_references(void **state)
{
    struct event *e = event_new(EVENT_SEND, VIEW_LIT("dev1"), 1700000000000);

    (void)state;
    assert_string_equal(e->endpoint, "dev1");
    assert_int_equal(e->type, EVENT_SEND);
    assert_int_equal(e->time_ms, 1700000000000);
    e->values = batch_new();
    e->detail = mem_text("limit", 5);
    assert_ptr_equal(event_ref(e), e);
    event_unref(e);
    assert_string_equal(e->detail, "limit"); /* one reference is left */
    event_unref(e);
    event_unref(NULL);
}

static void test_endpoint(void **state)
{
    char longest[ENDPOINT_MAX];
    struct event *e = event_new(EVENT_UPDATED, VIEW_NONE, 1);

    (void)state;
    assert_string_equal(e->endpoint, "");
    event_unref(e);
    memset(longest, 'x', sizeof(longest));
    e = event_new(EVENT_UPDATED, view_of(longest, sizeof(longest)), 1);
    memset(longest, 'y', sizeof(longest)); /* the event has a copy */
    assert_int_equal(strlen(e->endpoint), sizeof(longest));
    assert_int_equal(strspn(e->endpoint, "x"), sizeof(longest));
    event_unref(e);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned a = 0; a < EVENT_TYPE_COUNT; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(event_type_name((enum event_type)a),
                                    event_type_name((enum event_type)b));
    assert_string_equal(event_type_name(EVENT_REGISTERED), "registered");
    assert_string_equal(event_type_name(EVENT_TYPE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
