#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codec/codec.h"

#define OBJECT(inner) "<LWM2M><Object>" inner "</Object></LWM2M>"
#define ITEM(id, inner) "<Item ID=\"" id "\">" inner "</Item>"

static const char full[] =
    "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
    "<!-- licence <Object> -->\n"
    "<LWM2M xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n"
    "  <Object ObjectType=\"MODefinition\">\n"
    "    <Name>  A   thing\n of &quot;two&quot; words </Name>\n"
    "    <Description1><![CDATA[Text with <markup> & more.]]></Description1>\n"
    "    <ObjectID>31000</ObjectID>\n"
    "    <ObjectURN>urn:oma:lwm2m:x:31000:2.1</ObjectURN>\n"
    "    <LWM2MVersion>1.1</LWM2MVersion>\n"
    "    <ObjectVersion>2.1</ObjectVersion>\n"
    "    <MultipleInstances>Multiple</MultipleInstances>\n"
    "    <Mandatory>Optional</Mandatory>\n"
    "    <Resources>\n"
    "      <Item ID=\"26241\"><Name>Go</Name><Operations>E</Operations>\n"
    "        <MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory>\n"
    "        <Type></Type><RangeEnumeration/><Units/><Description>Name</Description></Item>\n"
    "      <Item ID=\"1\"><Name>Level</Name><Operations>RW</Operations>\n"
    "        <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>\n"
    "        <Type>Unsigned Integer</Type><RangeEnumeration>0..100</RangeEnumeration>\n"
    "        <Units>%</Units></Item>\n"
    "    </Resources>\n"
    "    <Description2/>\n"
    "  </Object>\n"
    "</LWM2M>\n";

static void test_full(void **state)
{
    struct object_def *d;
    unsigned line;

    (void)state;
    assert_int_equal(objectxml_parse(view_str(full), &d, &line), ERR_OK);
    assert_int_equal(d->id, 31000);
    assert_string_equal(d->name, "A thing of \"two\" words");
    assert_int_equal(version_cmp(d->version, (struct version){2, 1}), 0);
    assert_int_equal(version_cmp(d->min_enabler, (struct version){1, 1}), 0);
    assert_true(d->multiple);
    assert_false(d->mandatory);
    assert_int_equal(d->resource_count, 2);
    assert_int_equal(d->resources[0].id, 1);
    assert_string_equal(d->resources[0].name, "Level");
    assert_int_equal(d->resources[0].type, VALUE_UNSIGNED);
    assert_int_equal(d->resources[0].ops, RESOURCE_READ | RESOURCE_WRITE);
    assert_true(d->resources[0].multiple);
    assert_false(d->resources[0].mandatory);
    assert_string_equal(d->resources[0].range, "0..100");
    assert_string_equal(d->resources[0].units, "%");
    assert_int_equal(d->resources[1].id, 26241);
    assert_int_equal(d->resources[1].ops, RESOURCE_EXECUTE);
    assert_int_equal(d->resources[1].type, VALUE_NONE);
    assert_true(d->resources[1].mandatory);
    assert_string_equal(d->resources[1].range, "");
    object_def_free(d);
}

static void test_defaults(void **state)
{
    struct object_def *d;
    unsigned line;

    (void)state;
    assert_int_equal(objectxml_parse(VIEW_LIT(OBJECT("<ObjectVersion></ObjectVersion>"
                                                     "<ObjectID> 7 </ObjectID><Resources>" ITEM(
                                                         "0", "<Operations>E</Operations>"
                                                              "<Type>String</Type>")
                                                         ITEM("3", "") "</Resources>")),
                                     &d, &line),
                     ERR_OK);
    assert_string_equal(d->name, "");
    assert_int_equal(version_cmp(d->version, (struct version){1, 0}), 0);
    assert_int_equal(version_cmp(d->min_enabler, (struct version){1, 0}), 0);
    assert_false(d->multiple);
    assert_int_equal(d->resource_count, 2);
    assert_int_equal(d->resources[0].type, VALUE_NONE); /* what is executed has no value */
    assert_string_equal(d->resources[1].name, "");
    assert_int_equal(d->resources[1].ops, 0);
    object_def_free(d);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int rc;
        unsigned line;
    } rows[] = {
        {"", ERR_MALFORMED, 1},
        {"no xml", ERR_MALFORMED, 1},
        {"<LWM2M>\n<Object>\n</LWM2M>", ERR_MALFORMED, 3},
        {"<html>\n</html>", ERR_MALFORMED, 1},
        {"<LWM2M/>", ERR_MALFORMED, 1},
        {OBJECT("<Name>no id</Name>"), ERR_MALFORMED, 1},
        {OBJECT("\n<ObjectID>x</ObjectID>"), ERR_MALFORMED, 2},
        {OBJECT("<ObjectID>65535</ObjectID>"), ERR_RANGE, 1},
        {OBJECT("<ObjectID>1</ObjectID>\n<ObjectVersion>2</ObjectVersion>"), ERR_MALFORMED, 2},
        {OBJECT("<ObjectID>1</ObjectID><Mandatory>Maybe</Mandatory>"), ERR_MALFORMED, 1},
        {OBJECT("<ObjectID>1</ObjectID><Resources>\n\n<Item/></Resources>"), ERR_MALFORMED, 3},
        {OBJECT("<ObjectID>1</ObjectID><Resources>" ITEM("65535", "") "</Resources>"), ERR_RANGE,
         1},
        {OBJECT("<ObjectID>1</ObjectID><Resources>" ITEM("4", "") ITEM("4", "") "</Resources>"),
         ERR_DUPLICATE, 1},
        {OBJECT("<ObjectID>1</ObjectID><Resources>" ITEM("4", "<Type>Text</Type>") "</Resources>"),
         ERR_MALFORMED, 1},
        {OBJECT("<ObjectID>1</ObjectID><Resources>" ITEM(
             "4", "<Operations>X</Operations>") "</Resources>"),
         ERR_MALFORMED, 1},
        {"<LWM2M><Object><ObjectID>1</ObjectID></Object>\n<Object/></LWM2M>", ERR_DUPLICATE, 2},
        {"<!DOCTYPE LWM2M [\n<!ENTITY a \"aaaaaaaaaa\">\n<!ENTITY b \"&a;&a;&a;&a;\">\n]>"
         "<LWM2M><Object><Name>&b;</Name></Object></LWM2M>",
         ERR_FORBIDDEN, 2},
        {"<!DOCTYPE LWM2M [<!ENTITY % p SYSTEM \"file:///etc/passwd\"> %p; ]><LWM2M/>",
         ERR_FORBIDDEN, 1},
        {OBJECT("<ObjectID>1</ObjectID><Name>&undefined;</Name>"), ERR_MALFORMED, 1},
        {OBJECT("<a><a><a><a><a><a><a><a><a><a><a><a><a><a>\n<a/></a></a></a></a></a></a></a></a>"
                "</a></a></a></a></a></a>"),
         ERR_DEPTH, 2},
        {OBJECT("<ObjectID>1<x/></ObjectID></Object><Object>"), ERR_DUPLICATE, 1},
    };

    (void)state;
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct object_def *d = NULL;
        unsigned line = 99;

        assert_int_equal(objectxml_parse(view_str(rows[i].text), &d, &line), rows[i].rc);
        assert_int_equal(line, rows[i].line);
        assert_null(d);
    }
}

/* Markup inside of a text and elements nobody knows are passed over. */
static void test_tolerated(void **state)
{
    struct object_def *d;
    unsigned line;

    (void)state;
    assert_int_equal(
        objectxml_parse(VIEW_LIT(OBJECT("<Name>A <b>bold <i>or</i> not</b>name</Name><Extra><Name>x"
                                        "</Name><Object/></Extra><ObjectID>9</ObjectID>")),
                        &d, &line),
        ERR_OK);
    assert_string_equal(d->name, "A name");
    assert_int_equal(d->resource_count, 0);
    object_def_free(d);
}

static void test_limits(void **state)
{
    struct buf text;
    struct object_def *d = NULL;
    unsigned line;

    (void)state;
    buf_init(&text, (size_t)4 << 20);
    for (unsigned more = 0; more < 2; more++) {
        buf_reset(&text);
        buf_put_str(&text, "<LWM2M><Object><ObjectID>1</ObjectID><Resources>");
        for (unsigned i = 0; i < OBJECT_DEF_RESOURCES_MAX + more; i++)
            buf_fmt(&text, "<Item ID=\"%u\"><Name>n%u</Name></Item>", i, i);
        buf_put_str(&text, "</Resources></Object></LWM2M>");
        assert_int_equal(objectxml_parse(buf_view(&text), &d, &line),
                         more == 0 ? ERR_OK : ERR_LIMIT);
        if (more == 0) {
            assert_string_equal(object_def_resource(d, 4095)->name, "n4095");
            object_def_free(d);
        }
    }
    buf_reset(&text);
    buf_put_str(&text, "<LWM2M><Object><ObjectID>1</ObjectID><Name>");
    for (unsigned i = 0; i < 5000; i++)
        buf_put_u8(&text, 'n');
    buf_put_str(&text, "</Name></Object></LWM2M>");
    assert_int_equal(objectxml_parse(buf_view(&text), &d, &line), ERR_LIMIT);
    while (text.n <= (size_t)1 << 20)
        buf_put_u8(&text, ' ');
    assert_int_equal(objectxml_parse(buf_view(&text), &d, &line), ERR_LIMIT);
    assert_int_equal(line, 0);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),    cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
