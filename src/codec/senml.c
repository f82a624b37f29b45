#include "codec/senml.h"

#include <math.h>

/* RFC 8428 section 4.5.3: times below are relative to now. */
#define ABSOLUTE_MS ((int64_t)1000 << 28)
/* Seconds either way that a time may name; far past every date of use, and sums stay in range. */
#define TIME_MAX_S ((int64_t)1 << 40)
/* RFC 8428 section 4.4: newer versions must not be read. */
#define VERSION_MAX 10
#define KEY_UNIT 1
#define KEY_BASE_UNIT (-4)

#define TYPE(t) (1u << VALUE_##t)
#define NUMBER (TYPE(INTEGER) | TYPE(UNSIGNED) | TYPE(FLOAT) | TYPE(TIME))
#define SEEN(f) (1u << SENML_##f)
#define VALUES (SEEN(VALUE) | SEEN(STRING) | SEEN(BOOLEAN) | SEEN(DATA) | SEEN(LINK))

/* RFC 8428 table 4 and the LwM2M extension vlo. A null value names a thing that has none. */
static const struct {
    const char *label;
    int8_t key;
    uint16_t types; /* of values the field can have */
} fields[SENML_FIELD_COUNT] = {
    [SENML_BASE_VERSION] = {"bver", -1, NUMBER},
    [SENML_BASE_NAME] = {"bn", -2, TYPE(STRING)},
    [SENML_BASE_TIME] = {"bt", -3, NUMBER},
    [SENML_BASE_VALUE] = {"bv", -5, NUMBER},
    [SENML_NAME] = {"n", 0, TYPE(STRING)},
    [SENML_TIME] = {"t", 6, NUMBER},
    [SENML_VALUE] = {"v", 2, NUMBER | TYPE(NONE)},
    [SENML_STRING] = {"vs", 3, TYPE(STRING)},
    [SENML_BOOLEAN] = {"vb", 4, TYPE(BOOLEAN)},
    [SENML_DATA] = {"vd", 8, TYPE(OPAQUE)},
    [SENML_LINK] = {"vlo", SENML_KEY_NONE, TYPE(STRING)},
};

const char *senml_label(enum senml_field f)
{
    return fields[f].label;
}

int senml_key(enum senml_field f)
{
    return fields[f].key;
}

int senml_field_of_label(struct view label, enum senml_field *ret_field)
{
    for (unsigned f = 0; f < SENML_FIELD_COUNT; f++) {
        if (view_eq_str(label, fields[f].label)) {
            *ret_field = (enum senml_field)f;
            return ERR_OK;
        }
    }
    if (label.n > 0 && label.p[label.n - 1] == '_')
        return ERR_MALFORMED;
    *ret_field = view_eq_str(label, "u") || view_eq_str(label, "bu") ? SENML_UNIT : SENML_IGNORED;
    return ERR_OK;
}

enum senml_field senml_field_of_key(int64_t key)
{
    for (unsigned f = 0; f < SENML_FIELD_COUNT; f++)
        if (fields[f].key == key && key != SENML_KEY_NONE)
            return (enum senml_field)f;
    return key == KEY_UNIT || key == KEY_BASE_UNIT ? SENML_UNIT : SENML_IGNORED;
}

/* ---- decode ------------------------------------------------------------------------------- */

int senml_set(struct senml_record *r, enum senml_field f, const struct value *v)
{
    if ((fields[f].types >> v->type & 1) == 0)
        return ERR_TYPE;
    if (r->seen >> f & 1)
        return ERR_DUPLICATE;
    r->seen |= 1u << f;
    r->field[f] = *v;
    return ERR_OK;
}

bool senml_has_value(const struct senml_record *r)
{
    return (r->seen & VALUES) != 0;
}

void senml_reader_init(struct senml_reader *s, const struct content_env *env, bool etch,
                       const struct path *base, struct batch *out)
{
    s->env = env;
    s->etch = etch;
    s->joins = false;
    s->base = base;
    s->out = out;
    s->base_time_ms = 0;
    s->base_value = (struct value){.type = VALUE_NONE};
    s->base_name_len = 0;
}

static double number_of(const struct value *v)
{
    if (v->type == VALUE_FLOAT)
        return v->u.float_;
    return v->type == VALUE_UNSIGNED ? (double)v->u.unsigned_ : (double)v->u.integer;
}

/* Seconds to milliseconds; whole seconds exactly. */
static int time_of(const struct value *v, int64_t *ret_ms)
{
    double seconds = number_of(v);

    if (!(fabs(seconds) <= (double)TIME_MAX_S))
        return ERR_RANGE;
    if (v->type == VALUE_INTEGER || v->type == VALUE_TIME)
        *ret_ms = v->u.integer * 1000;
    else
        *ret_ms = llround(seconds * 1000);
    return ERR_OK;
}

static __int128 wide_of(const struct value *v)
{
    return v->type == VALUE_UNSIGNED ? (__int128)v->u.unsigned_ : (__int128)v->u.integer;
}

/* Base value plus value: exact for integers. */
static int add_numbers(const struct value *base, struct value *v)
{
    __int128 sum;

    if (base->type == VALUE_FLOAT || v->type == VALUE_FLOAT) {
        *v = (struct value){.type = VALUE_FLOAT, .u.float_ = number_of(base) + number_of(v)};
        return ERR_OK;
    }
    sum = wide_of(base) + wide_of(v);
    if (sum >= INT64_MIN && sum <= INT64_MAX)
        *v = (struct value){.type = VALUE_INTEGER, .u.integer = (int64_t)sum};
    else if (sum >= 0 && sum <= UINT64_MAX)
        *v = (struct value){.type = VALUE_UNSIGNED, .u.unsigned_ = (uint64_t)sum};
    else
        return ERR_RANGE;
    return ERR_OK;
}

static int take_base(struct senml_reader *s, const struct senml_record *r)
{
    const struct value *name = &r->field[SENML_BASE_NAME];
    int rc = ERR_OK;

    if (r->seen & SEEN(BASE_VERSION) && !(number_of(&r->field[SENML_BASE_VERSION]) <= VERSION_MAX))
        return ERR_MALFORMED;
    if (r->seen & SEEN(BASE_NAME)) {
        if (name->u.bytes.n >= sizeof(s->base_name))
            return ERR_PATH;
        s->base_name_len = name->u.bytes.n;
        if (name->u.bytes.n > 0)
            memcpy(s->base_name, name->u.bytes.p, name->u.bytes.n);
    }
    if (r->seen & SEEN(BASE_VALUE))
        s->base_value = r->field[SENML_BASE_VALUE];
    if (r->seen & SEEN(BASE_TIME))
        rc = time_of(&r->field[SENML_BASE_TIME], &s->base_time_ms);
    return rc;
}

/* Without the alternate path the device should have put in front (it is not always there). */
static struct view strip_prefix(struct view name, struct view prefix)
{
    struct view rest = view_sub(name, prefix.n, name.n);

    if (prefix.n == 0 || name.n < prefix.n || !view_eq(view_sub(name, 0, prefix.n), prefix))
        return name;
    if (rest.n == 0)
        return VIEW_LIT("/");
    return rest.p[0] == '/' ? rest : name;
}

/* The text of a name without alternate path and prefix. */
static struct view split_name(const struct senml_reader *s, struct view name,
                              struct view *ret_prefix)
{
    struct view rest = strip_prefix(name, s->env->prefix);

    *ret_prefix = VIEW_LIT("");
    if (rest.n > 0 && rest.p[0] == '/')
        content_split_prefix(&rest, ret_prefix);
    return rest;
}

/* Base name and name in one. An example of the gateway's specification has a slash on either side
 * of the seam, devices of version 1.0 may have none. */
static int join_name(const struct senml_reader *s, const struct senml_record *r,
                     char out[SENML_NAME_MAX], size_t *ret_n)
{
    struct view name = r->seen & SEEN(NAME) ? r->field[SENML_NAME].u.bytes : VIEW_NONE;
    size_t n = s->base_name_len;
    bool ends = n > 0 && s->base_name[n - 1] == '/';
    bool begins = name.n > 0 && name.p[0] == '/';

    n -= ends && begins;
    if (name.n > SENML_NAME_MAX - 1 - n)
        return ERR_PATH;
    memcpy(out, s->base_name, n);
    if (s->joins && n > 0 && name.n > 0 && !ends && !begins)
        out[n++] = '/';
    if (name.n > 0)
        memcpy(out + n, name.p, name.n);
    *ret_n = n + name.n;
    return ERR_OK;
}

/* The path a record names. */
static int resolve_name(const struct senml_reader *s, const struct senml_record *r,
                        struct record *record)
{
    char joined[SENML_NAME_MAX];
    struct view prefix;
    size_t n = 0;
    int rc = join_name(s, r, joined, &n);

    if (rc < 0)
        return rc;
    rc = path_parse(split_name(s, view_of(joined, n), &prefix), &record->path);
    return rc < 0 ? rc : content_prefix(s->env, prefix, s->out, &record->prefix);
}

int senml_type(struct senml_reader *s, const struct senml_record *r, enum value_type *ret_type)
{
    struct record record = {.timed = false};
    int rc = resolve_name(s, r, &record);

    if (rc == ERR_OK)
        *ret_type = content_type_of(s->env, &record.path, NULL);
    return rc;
}

/* Zero means what no time at all means: about now (RFC 8428 section 4.5.3). */
static int resolve_time(const struct senml_reader *s, const struct senml_record *r,
                        struct record *record)
{
    int64_t ms = 0;
    int rc = ERR_OK;

    if (r->seen & SEEN(TIME))
        rc = time_of(&r->field[SENML_TIME], &ms);
    ms += s->base_time_ms;
    if (ms > TIME_MAX_S * 1000 || ms < -TIME_MAX_S * 1000)
        return ERR_RANGE;
    record->timed = ms != 0;
    record->time_ms = ms == 0 || ms >= ABSOLUTE_MS ? ms : s->env->now_ms + ms;
    return rc;
}

/* RFC 8790 sections 3.1 and 3.2. */
static int check_use(const struct senml_reader *s, const struct senml_record *r)
{
    const uint32_t fetch = SEEN(BASE_NAME) | SEEN(BASE_TIME) | SEEN(NAME) | SEEN(TIME);

    if (s->env->use == CONTENT_FETCH && (r->others || (r->seen & ~fetch) != 0))
        return ERR_MALFORMED;
    if (s->env->use != CONTENT_PATCH || (r->seen & (SEEN(NAME) | VALUES)) == 0)
        return ERR_OK;
    if ((r->seen & VALUES) == 0)
        return ERR_MALFORMED;
    return r->seen & SEEN(VALUE) && r->field[SENML_VALUE].type == VALUE_NONE && !s->etch
               ? ERR_MALFORMED
               : ERR_OK;
}

static int resolve_value(const struct senml_reader *s, const struct senml_record *r,
                         struct value *ret_value)
{
    uint32_t given = r->seen & VALUES;
    enum senml_field f;

    *ret_value = (struct value){.type = VALUE_NONE};
    if (given == 0)
        return ERR_OK;
    if (given & (given - 1)) /* more than one */
        return ERR_MALFORMED;
    f = (enum senml_field)__builtin_ctz(given);
    *ret_value = r->field[f];
    if (f == SENML_LINK)
        return value_coerce(ret_value, VALUE_OBJLNK);
    if (f == SENML_VALUE && ret_value->type != VALUE_NONE && s->base_value.type != VALUE_NONE)
        return add_numbers(&s->base_value, ret_value);
    return ERR_OK;
}

/* Names are given from the root on, so that the answer can hold more than was asked for. */
static bool from_root(const struct senml_reader *s)
{
    struct view prefix;

    return view_eq_str(split_name(s, view_of(s->base_name, s->base_name_len), &prefix), "/");
}

/* A base name alone is a name in a FETCH. */
static bool is_record(const struct senml_reader *s, const struct senml_record *r)
{
    if (r->seen & (VALUES | SEEN(NAME)))
        return true;
    return s->env->use == CONTENT_FETCH && r->seen & SEEN(BASE_NAME);
}

int senml_take(struct senml_reader *s, const struct senml_record *r)
{
    struct record record = {.timed = false};
    int rc = check_use(s, r);

    if (rc == ERR_OK)
        rc = take_base(s, r);
    if (rc < 0 || !is_record(s, r))
        return rc;
    rc = resolve_name(s, r, &record);
    if (rc == ERR_OK)
        rc = resolve_time(s, r, &record);
    if (rc == ERR_OK)
        rc = resolve_value(s, r, &record.value);
    if (rc < 0)
        return rc;
    if (!path_covers(s->base, &record.path) && from_root(s))
        return ERR_OK;
    return content_put(s->env, s->base, &record, s->out);
}

/* ---- encode ------------------------------------------------------------------------------- */

static unsigned common_depth(const struct path *a, const struct path *b, unsigned most)
{
    unsigned depth = 0;

    while (depth < most && depth < a->depth && depth < b->depth && a->id[depth] == b->id[depth])
        depth++;
    return depth;
}

static int check_record(const struct content_env *env, bool etch, const struct batch *values,
                        const struct record *r)
{
    bool writes =
        env->use != CONTENT_ANSWER && env->use != CONTENT_COMPOSITE && env->use != CONTENT_FETCH;

    if (env->prefix.n + 1 + content_prefix_of(env, values, r).n > SENML_NAME_MAX - PATH_TEXT_MAX)
        return ERR_LIMIT;
    if (r->path.depth >= 2 && r->path.id[1] == MODEL_ID_NONE)
        return ERR_FORMAT;
    if (r->value.type == VALUE_NONE && writes && !(etch && env->use == CONTENT_PATCH))
        return ERR_FORMAT;
    return ERR_OK;
}

/*
 * Several records below one path share it as their base name; a history of one resource is named by
 * the base name alone. Times become offsets of a base time when every record has one that is
 * absolute.
 */
int senml_plan(const struct content_env *env, bool etch, const struct batch *values,
               struct senml_plan *ret_plan)
{
    const struct record *first = batch_at(values, 0);
    struct senml_plan p = {.env = env, .values = values};
    unsigned common = 4, shallowest = 4;
    bool all_same = true;
    bool all_timed = true;
    size_t n = batch_size(values);

    for (size_t i = 0; i < n; i++) {
        const struct record *r = batch_at(values, i);
        int rc = check_record(env, etch, values, r);

        if (rc < 0)
            return rc;
        common = r->prefix == first->prefix ? common_depth(&first->path, &r->path, common) : 0;
        shallowest = r->path.depth < shallowest ? r->path.depth : shallowest;
        all_same = all_same && r->prefix == first->prefix && path_eq(&first->path, &r->path) &&
                   r->value.type != VALUE_NONE;
        all_timed = all_timed && r->timed && r->time_ms >= ABSOLUTE_MS;
    }
    if (n > 1) {
        p.named_by_base = all_same;
        p.base = first->path;
        p.base.depth = (uint8_t)common;
        if (!all_same && common == shallowest && common > 0)
            p.base.depth--; /* a name must remain */
        p.has_base_time = all_timed;
        p.base_time_ms = all_timed ? first->time_ms : 0;
    }
    *ret_plan = p;
    return ERR_OK;
}

static size_t put_text(char *out, size_t at, const char *text, size_t n)
{
    memcpy(out + at, text, n);
    return at + n;
}

/* The alternate path and the prefix of a device behind a gateway. */
static size_t put_prefix(const struct senml_plan *plan, const struct record *r, char *out)
{
    struct view alternate = plan->env->prefix;
    struct view gateway = content_prefix_of(plan->env, plan->values, r);
    size_t n = 0;

    if (alternate.n > 0)
        n = put_text(out, n, (const char *)alternate.p, alternate.n);
    if (gateway.n > 0) {
        out[n++] = '/';
        n = put_text(out, n, (const char *)gateway.p, gateway.n);
    }
    return n;
}

/* What the path says below the base: "9", "6/0"; all of it without a base. */
static void put_names(const struct senml_plan *plan, const struct record *r, struct senml_fields *f)
{
    char text[PATH_TEXT_MAX], base[PATH_TEXT_MAX];
    size_t base_len = 0;

    path_format(&r->path, text);
    if (plan->base.depth == 0) {
        f->name_len = put_prefix(plan, r, f->name);
    } else {
        path_format(&plan->base, base);
        base_len = strlen(base);
        if (!plan->named_by_base)
            base[base_len++] = '/';
        if (f->has_base_name) {
            f->base_name_len = put_prefix(plan, r, f->base_name);
            f->base_name_len = put_text(f->base_name, f->base_name_len, base, base_len);
        }
        f->name_len = 0;
    }
    f->has_name = !plan->named_by_base;
    if (f->has_name)
        f->name_len = put_text(f->name, f->name_len, text + base_len, strlen(text) - base_len);
}

static void put_times(const struct senml_plan *plan, const struct record *r, struct senml_fields *f)
{
    f->base_time_ms = plan->base_time_ms;
    f->time_ms = r->time_ms;
    if (plan->has_base_time)
        f->time_ms -= plan->base_time_ms;
    else if (r->time_ms < ABSOLUTE_MS)
        f->time_ms -= plan->env->now_ms;
    f->has_time = r->timed && f->time_ms != 0;
}

static enum senml_field field_of(enum value_type type)
{
    static const uint8_t of[VALUE_TYPE_COUNT] = {
        [VALUE_NONE] = SENML_IGNORED,  [VALUE_STRING] = SENML_STRING,
        [VALUE_INTEGER] = SENML_VALUE, [VALUE_UNSIGNED] = SENML_VALUE,
        [VALUE_FLOAT] = SENML_VALUE,   [VALUE_BOOLEAN] = SENML_BOOLEAN,
        [VALUE_OPAQUE] = SENML_DATA,   [VALUE_TIME] = SENML_VALUE,
        [VALUE_OBJLNK] = SENML_LINK,   [VALUE_CORELNK] = SENML_STRING,
    };

    return (enum senml_field)of[type];
}

void senml_plan_record(const struct senml_plan *plan, size_t i, struct senml_fields *ret_fields)
{
    const struct record *r = batch_at(plan->values, i);

    ret_fields->has_base_name = i == 0 && plan->base.depth > 0;
    ret_fields->has_base_time = i == 0 && plan->has_base_time;
    put_times(plan, r, ret_fields);
    put_names(plan, r, ret_fields);
    ret_fields->value_field = field_of(r->value.type);
    if (r->value.type == VALUE_NONE && plan->env->use == CONTENT_PATCH)
        ret_fields->value_field = SENML_VALUE; /* null */
    ret_fields->count = (unsigned)ret_fields->has_base_name + ret_fields->has_base_time +
                        ret_fields->has_name + ret_fields->has_time +
                        (ret_fields->value_field != SENML_IGNORED);
}
