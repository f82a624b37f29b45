#include "model/model.h"

const char *value_type_name(enum value_type t)
{
    static const char *const names[VALUE_TYPE_COUNT] = {
        [VALUE_NONE] = "none",         [VALUE_STRING] = "string", [VALUE_INTEGER] = "integer",
        [VALUE_UNSIGNED] = "unsigned", [VALUE_FLOAT] = "float",   [VALUE_BOOLEAN] = "boolean",
        [VALUE_OPAQUE] = "opaque",     [VALUE_TIME] = "time",     [VALUE_OBJLNK] = "objlnk",
        [VALUE_CORELNK] = "corelnk",
    };

    return (unsigned)t < VALUE_TYPE_COUNT ? names[t] : "unknown";
}

int value_type_parse(struct view v, enum value_type *ret_type)
{
    static const struct {
        const char *name;
        enum value_type type;
    } more[] = {{"", VALUE_NONE}, {"unsigned integer", VALUE_UNSIGNED}};
    char word[20];

    if (v.n >= sizeof word)
        return ERR_MALFORMED;
    for (size_t i = 0; i < v.n; i++)
        word[i] = (char)(v.p[i] >= 'A' && v.p[i] <= 'Z' ? v.p[i] + ('a' - 'A') : v.p[i]);
    word[v.n] = '\0';
    for (size_t i = 0; i < mem_count(more); i++) {
        if (strcmp(word, more[i].name) == 0) {
            *ret_type = more[i].type;
            return ERR_OK;
        }
    }
    for (unsigned t = 0; t < VALUE_TYPE_COUNT; t++) {
        if (strcmp(word, value_type_name((enum value_type)t)) == 0) {
            *ret_type = (enum value_type)t;
            return ERR_OK;
        }
    }
    return ERR_MALFORMED;
}

bool value_eq(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_INTEGER:
    case VALUE_TIME:
        return a->u.integer == b->u.integer;
    case VALUE_UNSIGNED:
        return a->u.unsigned_ == b->u.unsigned_;
    case VALUE_FLOAT:
        /* A value is the same as itself even when it is not a number. */
        return a->u.float_ == b->u.float_ ||
               (a->u.float_ != a->u.float_ && b->u.float_ != b->u.float_);
    case VALUE_BOOLEAN:
        return a->u.boolean == b->u.boolean;
    case VALUE_STRING:
    case VALUE_CORELNK:
    case VALUE_OPAQUE:
        return view_eq(a->u.bytes, b->u.bytes);
    case VALUE_OBJLNK:
        return a->u.link.object == b->u.link.object && a->u.link.instance == b->u.link.instance;
    case VALUE_NONE:
    case VALUE_TYPE_COUNT:
        break;
    }
    return true;
}

/* A number on its way from one type to another: a sign and a magnitude hold every int64 and uint64.
 */
struct number {
    bool negative;
    uint64_t magnitude;
};

static struct number number_of_signed(int64_t v)
{
    return (struct number){v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v};
}

/* 2^63 and 2^64 are exact doubles; every double below 2^64 in magnitude without fraction fits. */
static int number_of_double(double v, struct number *ret_number)
{
    double magnitude = v < 0 ? -v : v;
    struct number n = {v < 0, 0};

    if (v != v)
        return ERR_TYPE;
    if (magnitude >= 18446744073709551616.0)
        return ERR_RANGE;
    n.magnitude = (uint64_t)magnitude;
    if ((double)n.magnitude != magnitude)
        return ERR_TYPE;
    *ret_number = n;
    return ERR_OK;
}

static int number_read(const struct value *v, struct number *ret_number)
{
    if (v->type == VALUE_INTEGER || v->type == VALUE_TIME)
        *ret_number = number_of_signed(v->u.integer);
    else if (v->type == VALUE_UNSIGNED)
        *ret_number = (struct number){false, v->u.unsigned_};
    else if (v->type == VALUE_FLOAT)
        return number_of_double(v->u.float_, ret_number);
    else
        return ERR_TYPE;
    return ERR_OK;
}

static int number_to_signed(struct number n, int64_t *ret_value)
{
    if (n.magnitude > (uint64_t)INT64_MAX + (n.negative ? 1 : 0))
        return ERR_RANGE;
    *ret_value = n.negative ? (int64_t)(0 - n.magnitude) : (int64_t)n.magnitude;
    return ERR_OK;
}

static int number_to_double(struct number n, double *ret_value)
{
    double d = (double)n.magnitude;

    /* Rounding up to 2^64 would not come back. */
    if (d >= 18446744073709551616.0 || (uint64_t)d != n.magnitude)
        return ERR_RANGE;
    *ret_value = n.negative ? -d : d;
    return ERR_OK;
}

static int coerce_number(struct value *v, enum value_type want)
{
    struct value out = {.type = want};
    struct number n;
    int rc = number_read(v, &n);

    if (rc < 0)
        return rc;
    if (want == VALUE_INTEGER || want == VALUE_TIME) {
        rc = number_to_signed(n, &out.u.integer);
    } else if (want == VALUE_UNSIGNED) {
        rc = n.negative && n.magnitude > 0 ? ERR_RANGE : ERR_OK;
        out.u.unsigned_ = n.magnitude;
    } else if (want == VALUE_FLOAT) {
        rc = number_to_double(n, &out.u.float_);
    } else { /* BOOLEAN */
        rc = v->type == VALUE_FLOAT || n.negative || n.magnitude > 1 ? ERR_TYPE : ERR_OK;
        out.u.boolean = n.magnitude == 1;
    }
    if (rc == ERR_OK)
        *v = out;
    return rc;
}

/* "3:0"; 65535 is allowed in either place (no instance, null link). */
static int coerce_objlnk(struct value *v)
{
    struct view rest = v->u.bytes;
    struct view object;
    uint64_t o, i;

    if (v->type != VALUE_STRING && v->type != VALUE_CORELNK)
        return ERR_TYPE;
    /* One of OMA's own examples spells the null link in hexadecimal. */
    if (view_eq_str(rest, "FFFF:FFFF")) {
        o = i = MODEL_ID_NONE;
    } else if (!view_split(&rest, ':', &object) || rest.p == NULL ||
               view_u64(object, UINT16_MAX, &o) < 0 || view_u64(rest, UINT16_MAX, &i) < 0) {
        return ERR_TYPE;
    }
    v->type = VALUE_OBJLNK;
    v->u.link.object = (uint16_t)o;
    v->u.link.instance = (uint16_t)i;
    return ERR_OK;
}

int value_coerce(struct value *v, enum value_type want)
{
    if (v->type == want || want == VALUE_NONE)
        return ERR_OK;
    switch (want) {
    case VALUE_INTEGER:
    case VALUE_UNSIGNED:
    case VALUE_FLOAT:
    case VALUE_TIME:
    case VALUE_BOOLEAN:
        return coerce_number(v, want);
    case VALUE_STRING:
    case VALUE_CORELNK:
        if (v->type != VALUE_STRING && v->type != VALUE_CORELNK)
            return ERR_TYPE;
        v->type = want;
        return ERR_OK;
    case VALUE_OBJLNK:
        return coerce_objlnk(v);
    case VALUE_NONE:
    case VALUE_OPAQUE:
    case VALUE_TYPE_COUNT:
        break;
    }
    return ERR_TYPE;
}

const char *value_origin_name(enum value_origin o)
{
    static const char *const names[ORIGIN_COUNT] = {
        [ORIGIN_READ] = "read",
        [ORIGIN_NOTIFY] = "notify",
        [ORIGIN_SEND] = "send",
        [ORIGIN_WRITE] = "write",
    };

    return (unsigned)o < ORIGIN_COUNT ? names[o] : "unknown";
}
