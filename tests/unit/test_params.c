/* Queries of Register and Update: src/lwm2m/params.c. */
#include "domain_fixture.h"

static int setup(void **state)
{
    *state = arena_new(65536);
    return *state == NULL;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static struct params parse(struct arena *a, const char *query)
{
    struct request req = {.query_count = 0};
    struct view rest = view_str(query), part;
    struct params p;

    while (query[0] != '\0' && view_split(&rest, '&', &part))
        req.queries[req.query_count++] = part;
    params_parse(a, &req, &p);
    return p;
}

static void test_nothing(void **state)
{
    struct params p = parse(*state, "");

    assert_int_equal(p.rc, ERR_OK);
    assert_int_equal(p.given, 0);
    assert_int_equal(p.binding, BINDING_U);
    assert_int_equal(p.endpoint.n + p.sms.n + p.pid.n + p.unknown.n, 0);
}

static void test_everything(void **state)
{
    struct params p = parse(
        *state, "Q&b=HMUTSN&lwm2m=1.2&pid=\"oma:a,v:b\"&lt=86400&sms=ext%40example.com&ep=urn:x&z");

    assert_int_equal(p.rc, ERR_OK);
    assert_int_equal(p.given, PARAMS_EP | PARAMS_LT | PARAMS_VERSION | PARAMS_B | PARAMS_Q |
                                  PARAMS_SMS | PARAMS_PID);
    assert_int_equal(p.binding, 63);
    assert_false(p.queue_in_b);
    assert_int_equal(p.version.minor, 2);
    assert_int_equal(p.lifetime_s, 86400);
    assert_true(view_eq_str(p.sms, "ext@example.com"));
    assert_true(view_eq_str(p.pid, "\"oma:a,v:b\""));
    assert_true(view_eq_str(p.endpoint, "urn:x"));
    assert_true(view_eq_str(p.unknown, "z"));
}

static void test_first_fault_is_named(void **state)
{
    static const struct {
        const char *query, *what;
        int rc;
    } rows[] = {
        {"ep=x&lt=1x&b=?", "lt", ERR_MALFORMED},
        {"b=UU&lt=x", "b", ERR_INVALID},
        {"ep", "ep", ERR_INVALID},
        {"sms=", "sms", ERR_INVALID},
        {"pid=", "pid", ERR_MALFORMED},
        {"pid=a%00", "pid", ERR_MALFORMED},
        {"Q&Q", "Q", ERR_DUPLICATE},
        {"lwm2m=1.1&lwm2m=1.1", "lwm2m", ERR_DUPLICATE},
        {"ep=a&ep=b", "ep", ERR_DUPLICATE},
        {"lt=99999999999999999999", "lt", ERR_RANGE},
        {"ep=a%C2%85b", "ep", ERR_INVALID},
        {"ep=%7f", "ep", ERR_INVALID},
    };

    for (size_t i = 0; i < mem_count(rows); i++) {
        struct params p = parse(*state, rows[i].query);

        assert_int_equal(p.rc, rows[i].rc);
        assert_string_equal(p.what, rows[i].what);
    }
}

/* A version is never a fault of the syntax: what cannot be read is not served. */
static void test_versions(void **state)
{
    static const char *const bad[] = {"lwm2m=", "lwm2m=1", "lwm2m=1.x", "lwm2m=1.2.3.4",
                                      "lwm2m=300.1"};

    for (size_t i = 0; i < mem_count(bad); i++) {
        struct params p = parse(*state, bad[i]);

        assert_int_equal(p.rc, ERR_OK);
        assert_int_equal(p.version.major, 0);
    }
    assert_int_equal(parse(*state, "lwm2m=1.0.2").version.major, 1);
}

static void test_percent(void **state)
{
    assert_true(view_eq_str(parse(*state, "ep=%41%62c").endpoint, "Abc"));
    assert_true(view_eq_str(parse(*state, "ep=%4").endpoint, "%4"));
    assert_true(view_eq_str(parse(*state, "ep=%").endpoint, "%"));
    assert_true(view_eq_str(parse(*state, "ep=%4g%25").endpoint, "%4g%"));
    assert_true(view_eq_str(parse(*state, "ep=a%3Db").endpoint, "a=b"));
    assert_true(view_eq_str(parse(*state, "ep=a=b").endpoint, "a=b"));
    assert_true(view_eq_str(parse(*state, "ep=a+b").endpoint, "a+b"));
}

static void test_unknown_ones_are_kept(void **state)
{
    char query[1200] = "";
    struct params p;

    p = parse(*state, "a=1&EP=x&q&lt=5&=&b%3dc");
    assert_int_equal(p.rc, ERR_OK);
    assert_true(view_eq_str(p.unknown, "a=1&EP=x&q&=&b%3dc"));
    /* Not those that are no text, nor without end. */
    p = parse(*state, "a=1&b=\x01");
    assert_int_equal(p.rc, ERR_INVALID);
    p = parse(*state, "a=\x01&c=\xff&d=2");
    assert_true(view_eq_str(p.unknown, "d=2"));
    for (int i = 0; i < 12; i++) {
        size_t n = strlen(query);

        memset(query + n, 'k', 90);
        query[n + 90] = i < 11 ? '&' : '\0';
        query[n + 91] = '\0';
    }
    p = parse(*state, query);
    assert_in_range(p.unknown.n, 900, 1024);
}

static void test_endpoints(void **state)
{
    uint8_t name[300];

    (void)state;
    memset(name, 'n', sizeof(name));
    assert_int_equal(params_check_endpoint(view_of(name, 0)), ERR_INVALID);
    assert_int_equal(params_check_endpoint(view_of(name, 1)), ERR_OK);
    assert_int_equal(params_check_endpoint(view_of(name, 255)), ERR_OK);
    assert_int_equal(params_check_endpoint(view_of(name, 256)), ERR_INVALID);
    assert_int_equal(params_check_endpoint(TEXT("\xe2\x82")), ERR_INVALID);
    assert_int_equal(params_check_endpoint(TEXT("a\tb")), ERR_INVALID);
    assert_int_equal(params_check_endpoint(VIEW_LIT("a\0b")), ERR_INVALID);
    assert_int_equal(params_check_endpoint(TEXT("a b'; drop table \xc3\xa9")), ERR_OK);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_nothing),   ROW(test_everything), ROW(test_first_fault_is_named),
        ROW(test_versions),  ROW(test_percent),    ROW(test_unknown_ones_are_kept),
        ROW(test_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
