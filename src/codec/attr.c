#include "codec/codec.h"

enum attr_kind { ATTR_SECONDS, ATTR_COUNT_OF, ATTR_DECIMAL, ATTR_STEP, ATTR_FLAG };

enum attr_name {
    ATTR_PMIN,
    ATTR_PMAX,
    ATTR_GT,
    ATTR_LT,
    ATTR_ST,
    ATTR_EPMIN,
    ATTR_EPMAX,
    ATTR_EDGE,
    ATTR_CON,
    ATTR_HQMAX,
    ATTR_NAMES
};

/* LwM2M Core 7.3: the notification class. `top`: the highest level, by depth of the path. */
static const struct {
    const char *key;
    enum attr_kind kind;
    uint8_t top;
} attrs[ATTR_NAMES] = {
    [ATTR_PMIN] = {"pmin", ATTR_SECONDS, 0},   [ATTR_PMAX] = {"pmax", ATTR_SECONDS, 0},
    [ATTR_GT] = {"gt", ATTR_DECIMAL, 3},       [ATTR_LT] = {"lt", ATTR_DECIMAL, 3},
    [ATTR_ST] = {"st", ATTR_STEP, 3},          [ATTR_EPMIN] = {"epmin", ATTR_SECONDS, 0},
    [ATTR_EPMAX] = {"epmax", ATTR_SECONDS, 0}, [ATTR_EDGE] = {"edge", ATTR_FLAG, 3},
    [ATTR_CON] = {"con", ATTR_FLAG, 0},        [ATTR_HQMAX] = {"hqmax", ATTR_COUNT_OF, 1},
};

/* What a query says; whole numbers are kept as doubles, exact up to 32 bits. */
struct attr_set {
    unsigned seen;  /* bits of enum attr_name: named */
    unsigned given; /* named with a value */
    double value[ATTR_NAMES];
};

static int find_attr(struct view key)
{
    for (int i = 0; i < ATTR_NAMES; i++)
        if (view_eq_str(key, attrs[i].key))
            return i;
    return -1;
}

/* Devices read plain decimals; not all of them read an exponent or a leading plus. */
static bool is_plain_decimal(struct view v)
{
    for (size_t i = 0; i < v.n; i++) {
        bool sign = v.p[i] == '-' && i == 0;

        if (!sign && v.p[i] != '.' && (v.p[i] < '0' || v.p[i] > '9'))
            return false;
    }
    return true;
}

static int read_value(enum attr_kind kind, struct view text, double *ret_value,
                      const char **ret_what)
{
    uint64_t whole = 0;

    switch (kind) {
    case ATTR_SECONDS:
    case ATTR_COUNT_OF:
        *ret_what = "the value must be a whole number";
        if (view_u64(text, UINT32_MAX, &whole) < 0)
            return ERR_INVALID;
        *ret_value = (double)whole;
        return ERR_OK;
    case ATTR_FLAG:
        *ret_what = "the value must be 0 or 1";
        if (view_u64(text, 1, &whole) < 0 || text.n != 1)
            return ERR_INVALID;
        *ret_value = (double)whole;
        return ERR_OK;
    case ATTR_DECIMAL:
    case ATTR_STEP:
        *ret_what = "the value must be a plain decimal number";
        if (!is_plain_decimal(text) || view_double(text, ret_value) < 0)
            return ERR_INVALID;
        *ret_what = "a step must not be negative";
        return kind == ATTR_STEP && *ret_value < 0 ? ERR_INVALID : ERR_OK;
    }
    return ERR_INVALID;
}

static int read_part(struct view part, const struct path *p, struct attr_set *set,
                     const char **ret_what)
{
    struct view key = part;
    bool has_value = view_split(&part, '=', &key) && part.p != NULL;
    int name = find_attr(key);

    *ret_what = "unknown attribute";
    if (name < 0)
        return ERR_INVALID;
    *ret_what = "attribute given more than once";
    if ((set->seen & 1u << name) != 0)
        return ERR_DUPLICATE;
    set->seen |= 1u << name;
    *ret_what = "attribute not allowed at this level of the path";
    if (p->depth < attrs[name].top)
        return ERR_INVALID;
    if (!has_value)
        return ERR_OK;
    set->given |= 1u << name;
    return read_value(attrs[name].kind, part, &set->value[name], ret_what);
}

static bool both(const struct attr_set *set, enum attr_name a, enum attr_name b)
{
    unsigned mask = 1u << a | 1u << b;

    return (set->given & mask) == mask;
}

/* The contradiction among the values, or NULL. */
static const char *contradiction(const struct attr_set *set)
{
    const double *v = set->value;

    if (both(set, ATTR_LT, ATTR_GT)) {
        double step = (set->given & 1u << ATTR_ST) != 0 ? v[ATTR_ST] : 0;

        if (v[ATTR_LT] >= v[ATTR_GT])
            return "lt must be less than gt";
        if (v[ATTR_LT] + 2 * step >= v[ATTR_GT])
            return "lt + 2 st must be less than gt";
    }
    /* pmax=0 means none. */
    if (both(set, ATTR_PMIN, ATTR_PMAX) && v[ATTR_PMAX] > 0 && v[ATTR_PMIN] > v[ATTR_PMAX])
        return "pmin must not be greater than pmax";
    if (both(set, ATTR_EPMIN, ATTR_EPMAX) && v[ATTR_EPMIN] >= v[ATTR_EPMAX])
        return "epmin must be less than epmax";
    return NULL;
}

int attr_check(struct view query, const struct path *p, const char **ret_what)
{
    struct attr_set set = {0};
    struct view part;
    const char *what = "no attribute given";
    int rc = query.n > 0 ? ERR_OK : ERR_INVALID;

    while (rc == ERR_OK && view_split(&query, '&', &part))
        rc = read_part(part, p, &set, &what);
    if (rc == ERR_OK) {
        what = contradiction(&set);
        rc = what != NULL ? ERR_ATTRIBUTES : ERR_OK;
    }
    if (rc < 0)
        *ret_what = what;
    return rc;
}
