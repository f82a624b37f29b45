#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "codec/codec.h"

static const struct hash_key key = {1, 2};

/* Every link as <target>|name=value|name, one after the other. */
static int dump_link(void *ctx, const struct link *l)
{
    struct buf *out = ctx;

    if (l->target.p != NULL)
        buf_fmt(out, "<" VIEW_FMT ">", VIEW_ARG(l->target));
    for (size_t i = 0; i < l->param_count; i++) {
        buf_fmt(out, "|" VIEW_FMT, VIEW_ARG(l->params[i].name));
        if (l->params[i].value.p != NULL)
            buf_fmt(out, "=" VIEW_FMT, VIEW_ARG(l->params[i].value));
    }
    return ERR_OK;
}

static void test_parse(void **state)
{
    static const struct {
        const char *text, *links;
    } rows[] = {
        {"", ""},
        {" \r\n", ""},
        {"</1/0>,</3/0>", "</1/0></3/0>"},
        {"</1/0>, </3/0> ,</4/0>", "</1/0></3/0></4/0>"},
        {"</>;rt=\"oma.lwm2m\";ct=110,</1/0/>", "</>|rt=oma.lwm2m|ct=110</1/0/>"},
        {"</>; ct=\"110 112\" ;hb , </3>;ver=\"1.1\"", "</>|ct=110 112|hb</3>|ver=1.1"},
        {"<a,b;c>;t=\"x,y;z\\\"q\"", "<a,b;c>|t=x,y;z\\\"q"},
        {"<>;a = b;c=;d", "<>|a=b|c=|d"},
        {"</3/0/7>;dim=2;pmin=10;gt=50;lt=42.2,</3/0/7/1>;lt=-45",
         "</3/0/7>|dim=2|pmin=10|gt=50|lt=42.2</3/0/7/1>|lt=-45"},
        {"</a>;title*=UTF-8'de'n%c3%a4", "</a>|title*=UTF-8'de'n%c3%a4"},
        /* Bootstrap-Discover as 1.0 wrote it */
        {"lwm2m=1.0,</0/0>;ssid=1", "|lwm2m=1.0</0/0>|ssid=1"},
        {"lwm2m=\"1.0\";x,</0>", "|lwm2m=1.0|x</0>"},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out;

        buf_init(&out, 1024);
        assert_int_equal(link_parse(view_str(rows[i].text), dump_link, &out), ERR_OK);
        assert_string_equal(buf_cstr(&out), rows[i].links);
        buf_fini(&out);
    }
}

static void test_malformed(void **state)
{
    static const char *const rows[] = {
        "<",          "</1",      "</1>x",     "</1>,",         "</1>,,</2>",    "</1>;",
        "</1>;;a",    "</1>;=b",  "</1>;a=\"", "</1>;a=\"\\\"", "</1> </2>",     ",",
        "</1>;a=b c", "</1>,x=1", ";a",        "\"a\"",         "</1>;a=b\"c\"", "</1>;a\"b\"",
    };
    struct objlist *list = NULL;

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct buf out;

        buf_init(&out, 1024);
        assert_int_equal(link_parse(view_str(rows[i]), dump_link, &out), ERR_MALFORMED);
        buf_fini(&out);
        assert_int_equal(link_objlist(view_str(rows[i]), &key, &list), ERR_MALFORMED);
        assert_null(list);
    }
}

static int stop_at_second(void *ctx, const struct link *l)
{
    unsigned *n = ctx;

    (void)l;
    return ++*n == 2 ? ERR_FULL : ERR_OK;
}

static void test_stop(void **state)
{
    unsigned n = 0;

    (void)state;
    assert_int_equal(link_parse(VIEW_LIT("<a>,<b>,<c>"), stop_at_second, &n), ERR_FULL);
    assert_int_equal(n, 2);
}

static int count_params(void *ctx, const struct link *l)
{
    size_t *n = ctx;

    *n = l->param_count;
    assert_true(view_eq_str(link_param(l, "p0")->value, "v"));
    assert_non_null(link_param(l, "p15"));
    assert_null(link_param(l, "p16"));
    return ERR_OK;
}

static void test_many_params(void **state)
{
    struct buf text;
    size_t n = 0;

    (void)state;
    buf_init(&text, 4096);
    buf_put_str(&text, "</1>");
    for (unsigned i = 0; i < 40; i++)
        buf_fmt(&text, ";p%u=v", i);
    assert_int_equal(link_parse(buf_view(&text), count_params, &n), ERR_OK);
    assert_int_equal(n, LINK_PARAMS_MAX);
    buf_fini(&text);
}

static void test_objlist(void **state)
{
    static const struct {
        const char *text, *canonical, *alt;
        uint16_t count;
        uint8_t formats;
    } rows[] = {
        {"", "", "", 0, 0},
        {"</1/0>,</3/0>", "</1/0>,</3/0>", "", 2, 0},
        /* any order, spaces, trailing slashes, duplicates */
        {"</5>, </3/0/>,</1/1>,</1/0>,</3/0>", "</1/0>,</1/1>,</3/0>,</5>", "", 4, 0},
        /* versions: quoted or not, of several the highest, nonsense is none */
        {"</3>;ver=\"1.1\",</44/0>;ver=2.2,</5>;ver=1,</6>;ver=x.y,</7>;ver=1.0",
         "</3>;ver=1.1,</5>,</6>,</7>;ver=1.0,</44/0>;ver=2.2", "", 5, 0},
        {"</3>,</3>;ver=1.1,</3>;ver=1.2", "</3>;ver=1.2", "", 1, 0},
        /* root link: one number, a list, private flags, rt that changes nothing */
        {"</>;ct=110,</3/0>", "</>;ct=110,</3/0>", "", 1, 1},
        {"</>;rt=\"oma.lwm2m\";ct=\"110 112 60\",</3/0>", "</>;ct=\"110 112 60\",</3/0>", "", 1, 3},
        {"</>;ct=11543;hb,</3/0>", "</>;ct=11543,</3/0>", "", 1, 1},
        {"</>;rt=\"oma.lwm2m\",</3/0>", "</3/0>", "", 1, 0},
        {"</3/0>,</>;ct=\"110 110 x 70000  112\"", "</>;ct=\"110 112\",</3/0>", "", 1, 2},
        /* alternate path, with and without the prefix on the links, wherever it stands */
        {"</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/1/0>,</lwm2m/3/0>",
         "</lwm2m>;rt=\"oma.lwm2m\",</1/0>,</3/0>", "/lwm2m", 2, 0},
        {"</3/0>,</alt/>;ct=\"110 112\";rt=\"x oma.lwm2m\"",
         "</alt>;rt=\"oma.lwm2m\";ct=\"110 112\",</3/0>", "/alt", 1, 2},
        {"</a/b>;rt=oma.lwm2m;ct=112,</a/b/3/0/>,</a/3/1>,</4/0>",
         "</a/b>;rt=\"oma.lwm2m\";ct=112,</3/0>,</4/0>", "/a/b", 2, 1},
        {"</>;ct=112,</x>;rt=\"oma.lwm2m\",</x/3/0>", "</x>;rt=\"oma.lwm2m\";ct=112,</3/0>", "/x",
         1, 1},
        {"</x>;rt=\"oma.lwm2m\";ct=110,</>;ct=112", "</x>;rt=\"oma.lwm2m\";ct=110", "/x", 0, 1},
        /* a numeric segment cannot be an alternate path */
        {"</3>;rt=\"oma.lwm2m\",</3/0>", "</3>,</3/0>", "", 2, 0},
        {"</x/4>;rt=\"oma.lwm2m\",</3/0>", "</3/0>", "", 1, 0},
        {"<x>;rt=\"oma.lwm2m\",</3/0>", "</3/0>", "", 1, 0},
        {"</x>;rt=\"core.x\";title=\"oma.lwm2m\",</3/0>", "</3/0>", "", 1, 0},
        {"</x>;rt,</y>;rt=oma.lwm2m", "</y>;rt=\"oma.lwm2m\"", "/y", 0, 0},
        /* a prefix is whole segments */
        {"</x>;rt=\"oma.lwm2m\",</xy/3/0>,</x3/0>", "</x>;rt=\"oma.lwm2m\"", "/x", 0, 0},
        /* what does not belong here */
        {"</0/0>,</0>,</21/0>,</21>,</23/1>,</1/0>,</3/0/1>,</rd>,<3/0>,</65535/0>,</03/0>,"
         "</2/70000>,</3//>",
         "</1/0>", "", 1, 0},
        {"lwm2m=1.0,</3/0>", "</3/0>", "", 1, 0},
        {"</3303/0>;obs;title=\"a,b\";ver=1.1;if=\"x y\",</3303/1>", "</3303/0>;ver=1.1,</3303/1>",
         "", 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct objlist *list, *again;

        assert_int_equal(link_objlist(view_str(rows[i].text), &key, &list), ERR_OK);
        assert_true(view_eq_str(list->text, rows[i].canonical));
        assert_true(view_eq_str(list->alt_path, rows[i].alt));
        assert_int_equal(list->count, rows[i].count);
        assert_int_equal(list->format_count, rows[i].formats);
        assert_int_equal(list->refs, 1);
        assert_int_equal(list->hash, hash_bytes(&key, list->text));
        /* The canonical text is read as the same list. */
        assert_int_equal(link_objlist(list->text, &key, &again), ERR_OK);
        assert_true(view_eq(again->text, list->text));
        assert_int_equal(again->hash, list->hash);
        assert_int_equal(again->count, list->count);
        for (unsigned e = 0; e < list->count; e++) {
            assert_true(path_eq(&again->entries[e].path, &list->entries[e].path));
            assert_int_equal(version_cmp(again->entries[e].version, list->entries[e].version), 0);
        }
        mem_free(list);
        mem_free(again);
    }
}

static void test_objlist_content(void **state)
{
    struct objlist *list;

    (void)state;
    assert_int_equal(
        link_objlist(VIEW_LIT("</>;ct=\"110 112\",</3303/1>;ver=1.1,</1>"), &key, &list), ERR_OK);
    assert_int_equal(list->formats[0], 110);
    assert_int_equal(list->formats[1], 112);
    assert_int_equal(list->entries[0].path.depth, 1);
    assert_int_equal(list->entries[0].path.id[0], 1);
    assert_int_equal(list->entries[0].version.major, 0);
    assert_int_equal(list->entries[1].path.depth, 2);
    assert_int_equal(list->entries[1].path.id[1], 1);
    assert_int_equal(list->entries[1].version.minor, 1);
    mem_free(list);
}

static void test_objlist_limits(void **state)
{
    struct objlist *list = NULL;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < 4096; i++) /* descending, the longest entries there are */
        buf_fmt(&text, "%s</65534/%u>;ver=255.255", i > 0 ? "," : "", 65534 - i);
    assert_int_equal(link_objlist(buf_view(&text), &key, &list), ERR_OK);
    assert_int_equal(list->count, 4096);
    assert_int_equal(list->entries[0].path.id[1], 65534 - 4095);
    assert_true(view_eq_str(view_sub(list->text, 0, 14), "</65534/61439>"));
    mem_free(list);
    list = NULL;
    buf_put_str(&text, ",</x>");
    assert_int_equal(link_objlist(buf_view(&text), &key, &list), ERR_LIMIT);
    assert_null(list);

    for (unsigned n = 255; n <= 256; n++) {
        buf_reset(&text);
        buf_put_str(&text, "</");
        for (unsigned i = 1; i < n; i++)
            buf_put_u8(&text, 'a');
        buf_put_str(&text, ">;rt=\"oma.lwm2m\";ct=\"1 2 3 4 5 6 7 8 9 10 11 65535 13\"");
        assert_int_equal(link_objlist(buf_view(&text), &key, &list), n == 255 ? ERR_OK : ERR_LIMIT);
        if (n == 255) {
            assert_int_equal(list->alt_path.n, 255);
            assert_int_equal(list->format_count, OBJLIST_FORMATS_MAX);
            mem_free(list);
        }
    }
    buf_fini(&text);
    assert_int_equal(link_objlist(VIEW_LIT("</\xc3>;rt=\"oma.lwm2m\""), &key, &list), ERR_UTF8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),          cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_stop),           cmocka_unit_test(test_many_params),
        cmocka_unit_test(test_objlist),        cmocka_unit_test(test_objlist_content),
        cmocka_unit_test(test_objlist_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
