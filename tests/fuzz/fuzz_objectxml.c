/* Object definition files: bounded, and what is accepted, written again, reads the same. */
#include "codec/codec.h"

#include "require.h"

static void put_element(struct buf *b, const char *name, const char *text)
{
    buf_fmt(b, "<%s>", name);
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            buf_fmt(b, "&#%d;", *text);
        else
            buf_put_u8(b, (uint8_t)*text);
    }
    buf_fmt(b, "</%s>", name);
}

static void put_definition(struct buf *b, const struct object_def *d)
{
    buf_fmt(b, "<LWM2M><Object><ObjectID>%u</ObjectID><ObjectVersion>%u.%u</ObjectVersion>", d->id,
            d->version.major, d->version.minor);
    buf_fmt(b, "<LWM2MVersion>%u.%u</LWM2MVersion>", d->min_enabler.major, d->min_enabler.minor);
    put_element(b, "Name", d->name);
    put_element(b, "MultipleInstances", d->multiple ? "Multiple" : "Single");
    put_element(b, "Mandatory", d->mandatory ? "Mandatory" : "Optional");
    buf_put_str(b, "<Resources>");
    for (size_t i = 0; i < d->resource_count; i++) {
        const struct resource_def *r = &d->resources[i];

        buf_fmt(b, "<Item ID=\"%u\">", r->id);
        put_element(b, "Name", r->name);
        buf_fmt(b, "<Operations>%s%s%s</Operations>", r->ops & RESOURCE_READ ? "R" : "",
                r->ops & RESOURCE_WRITE ? "W" : "", r->ops & RESOURCE_EXECUTE ? "E" : "");
        put_element(b, "MultipleInstances", r->multiple ? "Multiple" : "Single");
        put_element(b, "Mandatory", r->mandatory ? "Mandatory" : "Optional");
        put_element(b, "Type", value_type_name(r->type));
        put_element(b, "RangeEnumeration", r->range);
        put_element(b, "Units", r->units);
        buf_put_str(b, "</Item>");
    }
    buf_put_str(b, "</Resources></Object></LWM2M>");
}

static void same(const struct object_def *a, const struct object_def *b)
{
    require(a->id == b->id && version_cmp(a->version, b->version) == 0);
    require(version_cmp(a->min_enabler, b->min_enabler) == 0 && strcmp(a->name, b->name) == 0);
    require(a->multiple == b->multiple && a->mandatory == b->mandatory);
    require(a->resource_count == b->resource_count);
    for (size_t i = 0; i < a->resource_count; i++) {
        const struct resource_def *x = &a->resources[i], *y = &b->resources[i];

        require(i == 0 || x[-1].id < x->id);
        require(x->id == y->id && x->ops == y->ops && x->type == y->type);
        require(x->multiple == y->multiple && x->mandatory == y->mandatory);
        require(strcmp(x->name, y->name) == 0 && strcmp(x->range, y->range) == 0);
        require(strcmp(x->units, y->units) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct object_def *d, *again;
    struct buf text;
    unsigned line;

    if (objectxml_parse(view_of(data, size), &d, &line) != ERR_OK)
        return 0;
    buf_init(&text, (size_t)1 << 20);
    put_definition(&text, d);
    if (text.rc == ERR_OK) {
        require(objectxml_parse(buf_view(&text), &again, &line) == ERR_OK);
        same(d, again);
        object_def_free(again);
    }
    buf_fini(&text);
    object_def_free(d);
    return 0;
}
