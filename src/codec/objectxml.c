#include "codec/codec.h"
#include "config.h"

#include <expat.h>

#define XML_SIZE_MAX ((size_t)1 << 20)
#define XML_DEPTH_MAX 16
#define TEXT_MAX 4096 /* of one element we read */
#define STRINGS_MAX ((size_t)1 << 20)

/* Later releases of expat warn of the function that earlier ones have alone. */
#if HAVE_DECL_XML_GETCURRENTLINENUMBER64
#define line_number XML_GetCurrentLineNumber64
#else
#define line_number XML_GetCurrentLineNumber
#endif

/* The elements that lead to the facts, from the outside in. */
enum place { PLACE_TOP, PLACE_LWM2M, PLACE_OBJECT, PLACE_RESOURCES, PLACE_ITEM };

struct reading;

/* An element with text: where it stands and what becomes of the text. */
struct field {
    enum place place;
    const char *element;
    int (*take)(struct reading *x, struct view text);
};

/* Offsets into the strings, which move while they grow; 0 is "". */
struct item_strings {
    size_t name, range, units;
};

struct reading {
    XML_Parser parser;
    int rc; /* first failure of ours */
    enum place place;
    unsigned depth;            /* of open elements */
    unsigned skip;             /* open elements that are none of ours */
    const struct field *field; /* whose text is being collected, or NULL */
    struct buf text;
    struct buf strings;
    bool has_object;
    bool has_id;
    struct object_def draft;
    size_t name;
    struct resource_def *resources;
    struct item_strings *names; /* beside the resources */
    size_t cap;
};

/* ---- what the texts mean ---------------------------------------------------------------- */

static struct resource_def *item(struct reading *x)
{
    return &x->resources[x->draft.resource_count - 1];
}

static struct item_strings *strings_of_item(struct reading *x)
{
    return &x->names[x->draft.resource_count - 1];
}

static int keep_string(struct reading *x, struct view text, size_t *ret_offset)
{
    size_t offset = x->strings.n;

    buf_put_view(&x->strings, text);
    buf_put_u8(&x->strings, 0);
    if (x->strings.rc == ERR_OK)
        *ret_offset = offset;
    return x->strings.rc;
}

static int take_object_name(struct reading *x, struct view text)
{
    return keep_string(x, text, &x->name);
}

static int read_id(struct view text, uint16_t *ret_id)
{
    uint64_t id;
    int rc = view_u64(text, MODEL_ID_NONE - 1, &id);

    if (rc == ERR_OK)
        *ret_id = (uint16_t)id;
    return rc;
}

static int take_object_id(struct reading *x, struct view text)
{
    x->has_id = true;
    return read_id(text, &x->draft.id);
}

/* Elements that are there but empty stand for their default. */
static int take_object_version(struct reading *x, struct view text)
{
    return text.n > 0 ? version_parse(text, &x->draft.version) : ERR_OK;
}

static int take_min_enabler(struct reading *x, struct view text)
{
    return text.n > 0 ? version_parse(text, &x->draft.min_enabler) : ERR_OK;
}

static int take_object_multiple(struct reading *x, struct view text)
{
    return object_def_multiple(text, &x->draft.multiple);
}

static int take_object_mandatory(struct reading *x, struct view text)
{
    return object_def_mandatory(text, &x->draft.mandatory);
}

static int take_item_name(struct reading *x, struct view text)
{
    return keep_string(x, text, &strings_of_item(x)->name);
}

static int take_item_ops(struct reading *x, struct view text)
{
    return object_def_ops(text, &item(x)->ops);
}

static int take_item_multiple(struct reading *x, struct view text)
{
    return object_def_multiple(text, &item(x)->multiple);
}

static int take_item_mandatory(struct reading *x, struct view text)
{
    return object_def_mandatory(text, &item(x)->mandatory);
}

static int take_item_type(struct reading *x, struct view text)
{
    return value_type_parse(text, &item(x)->type);
}

static int take_item_range(struct reading *x, struct view text)
{
    return keep_string(x, text, &strings_of_item(x)->range);
}

static int take_item_units(struct reading *x, struct view text)
{
    return keep_string(x, text, &strings_of_item(x)->units);
}

static const struct field fields[] = {
    {PLACE_OBJECT, "Name", take_object_name},
    {PLACE_OBJECT, "ObjectID", take_object_id},
    {PLACE_OBJECT, "ObjectVersion", take_object_version},
    {PLACE_OBJECT, "LWM2MVersion", take_min_enabler},
    {PLACE_OBJECT, "MultipleInstances", take_object_multiple},
    {PLACE_OBJECT, "Mandatory", take_object_mandatory},
    {PLACE_ITEM, "Name", take_item_name},
    {PLACE_ITEM, "Operations", take_item_ops},
    {PLACE_ITEM, "MultipleInstances", take_item_multiple},
    {PLACE_ITEM, "Mandatory", take_item_mandatory},
    {PLACE_ITEM, "Type", take_item_type},
    {PLACE_ITEM, "RangeEnumeration", take_item_range},
    {PLACE_ITEM, "Units", take_item_units},
};

/* ---- the walk --------------------------------------------------------------------------- */

static void fail(struct reading *x, int rc)
{
    if (rc < 0 && x->rc == ERR_OK) {
        x->rc = rc;
        XML_StopParser(x->parser, XML_FALSE);
    }
}

static int grow_items(struct reading *x)
{
    size_t cap = x->cap > 0 ? x->cap * 2 : 32;
    struct resource_def *resources = mem_resize(x->resources, cap * sizeof *resources);
    struct item_strings *names;

    if (resources == NULL)
        return ERR_NOMEM;
    x->resources = resources;
    names = mem_resize(x->names, cap * sizeof *names);
    if (names == NULL)
        return ERR_NOMEM;
    x->names = names;
    x->cap = cap;
    return ERR_OK;
}

static int begin_item(struct reading *x, const char **attributes)
{
    struct resource_def r = {0};
    int rc = ERR_MALFORMED; /* without ID */

    if (x->draft.resource_count == OBJECT_DEF_RESOURCES_MAX)
        return ERR_LIMIT;
    for (; attributes[0] != NULL; attributes += 2)
        if (strcmp(attributes[0], "ID") == 0)
            rc = read_id(view_str(attributes[1]), &r.id);
    if (rc == ERR_OK && x->draft.resource_count == x->cap)
        rc = grow_items(x);
    if (rc < 0)
        return rc;
    x->resources[x->draft.resource_count] = r;
    x->names[x->draft.resource_count] = (struct item_strings){0};
    x->draft.resource_count++;
    return ERR_OK;
}

/* Goes one place down when `name` is the element below the present place. */
static bool enter(struct reading *x, const char *name)
{
    static const char *const below[] = {
        [PLACE_TOP] = "LWM2M",
        [PLACE_LWM2M] = "Object",
        [PLACE_OBJECT] = "Resources",
        [PLACE_RESOURCES] = "Item",
    };

    if (x->place >= mem_count(below) || strcmp(name, below[x->place]) != 0)
        return false;
    x->place++;
    return true;
}

static const struct field *find_field(enum place place, const char *name)
{
    for (size_t i = 0; i < mem_count(fields); i++)
        if (fields[i].place == place && strcmp(name, fields[i].element) == 0)
            return &fields[i];
    return NULL;
}

static int begin_element(struct reading *x, const char *name, const char **attributes)
{
    if (++x->depth > XML_DEPTH_MAX)
        return ERR_DEPTH;
    if (x->skip > 0 || x->field != NULL) {
        x->skip++;
        return ERR_OK;
    }
    if (enter(x, name)) {
        if (x->place == PLACE_ITEM)
            return begin_item(x, attributes);
        if (x->place == PLACE_OBJECT && x->has_object)
            return ERR_DUPLICATE;
        x->has_object |= x->place == PLACE_OBJECT;
        return ERR_OK;
    }
    x->field = find_field(x->place, name);
    x->skip = x->field == NULL ? 1 : 0;
    buf_reset(&x->text);
    return x->place == PLACE_TOP ? ERR_MALFORMED : ERR_OK; /* not a definition at all */
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *x = ctx;

    fail(x, begin_element(x, name, attributes));
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* In place: no space at either end, one where there were several. */
static struct view tidy(struct buf *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++) {
        if (!is_space(b->p[i]))
            b->p[n++] = b->p[i];
        else if (n > 0 && b->p[n - 1] != ' ')
            b->p[n++] = ' ';
    }
    if (n > 0 && b->p[n - 1] == ' ')
        n--;
    return view_of(b->p, n);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct reading *x = ctx;

    (void)name; /* expat has matched it with its start */
    x->depth--;
    if (x->skip > 0) {
        x->skip--;
    } else if (x->field != NULL) {
        fail(x, x->text.rc < 0 ? x->text.rc : x->field->take(x, tidy(&x->text)));
        x->field = NULL;
    } else {
        x->place--;
    }
}

static void XMLCALL on_text(void *ctx, const XML_Char *s, int n)
{
    struct reading *x = ctx;

    if (x->field != NULL && x->skip == 0)
        buf_put(&x->text, s, (size_t)n);
}

/* Definitions need no entities; whoever declares some wants them expanded. */
static void XMLCALL on_entity(void *ctx, const XML_Char *name, int is_parameter,
                              const XML_Char *value, int value_length, const XML_Char *base,
                              const XML_Char *system_id, const XML_Char *public_id,
                              const XML_Char *notation)
{
    (void)name, (void)is_parameter, (void)value, (void)value_length;
    (void)base, (void)system_id, (void)public_id, (void)notation;
    fail(ctx, ERR_FORBIDDEN);
}

/* ---- the whole -------------------------------------------------------------------------- */

static int parse(struct reading *x, struct view xml)
{
    static const XML_Memory_Handling_Suite memory = {mem_new, mem_resize, mem_free};

    x->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (x->parser == NULL)
        return ERR_NOMEM;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_text);
    XML_SetEntityDeclHandler(x->parser, on_entity);
    if (XML_Parse(x->parser, (const char *)xml.p, (int)xml.n, XML_TRUE) == XML_STATUS_OK)
        return ERR_OK;
    if (x->rc < 0)
        return x->rc;
    return XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY ? ERR_NOMEM : ERR_MALFORMED;
}

/* Turns offsets into pointers, now that the strings stay where they are. */
static int build(struct reading *x, struct object_def **ret_def)
{
    const char *strings = (const char *)x->strings.p;

    if (!x->has_id)
        return ERR_MALFORMED;
    x->draft.name = strings + x->name;
    for (size_t i = 0; i < x->draft.resource_count; i++) {
        struct resource_def *r = &x->resources[i];

        r->name = strings + x->names[i].name;
        r->range = strings + x->names[i].range;
        r->units = strings + x->names[i].units;
        if (r->ops == RESOURCE_EXECUTE)
            r->type = VALUE_NONE; /* whatever the file says of a value it does not have */
    }
    x->draft.resources = x->resources;
    return object_def_new(&x->draft, ret_def);
}

int objectxml_parse(struct view xml, struct object_def **ret_def, unsigned *ret_line)
{
    struct reading x = {.draft = {.version = {1, 0}, .min_enabler = {1, 0}}};
    int rc = xml.n <= XML_SIZE_MAX ? ERR_OK : ERR_LIMIT;

    *ret_line = 0;
    if (rc < 0)
        return rc;
    buf_init(&x.text, TEXT_MAX);
    buf_init(&x.strings, STRINGS_MAX);
    buf_put_u8(&x.strings, 0); /* the string at offset 0 is "" */
    rc = x.strings.rc < 0 ? x.strings.rc : parse(&x, xml);
    if (rc == ERR_OK)
        rc = build(&x, ret_def);
    if (x.parser != NULL) {
        *ret_line = (unsigned)line_number(x.parser);
        XML_ParserFree(x.parser);
    }
    buf_fini(&x.text);
    buf_fini(&x.strings);
    mem_free(x.resources);
    mem_free(x.names);
    return rc;
}
