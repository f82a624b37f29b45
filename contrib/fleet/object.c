#include "fleet.h"

#include "model/objects_data.h"

#include <math.h>
#include <stdio.h>

/*
 * A small device as a table: LwM2M Server, Device, Connectivity Monitoring, Firmware Update,
 * Location, Connectivity Statistics, two temperature sensors and a light. What moves is computed
 * from the device's number and the time, so that a million of them need no memory for it.
 */

const char object_links[] =
    "</>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,"
    "</7/0>,</3303/0>,</3303/1>,</3311/0>";

#define WHOLE UINT16_MAX /* the resource has no instances */
#define TURN 6.283185307179586
#define DAY_MS 86400000

struct row {
    uint16_t object, instance, resource, resource_instance;
    enum value_type type;
    const char *text; /* of a constant */
    int64_t number;
    void (*get)(const struct object_view *v, struct value *out); /* NULL: the constant */
    int (*put)(struct object_view *v, const struct value *in);   /* NULL: read-only */
    void (*execute)(struct object_view *v);                      /* not NULL: executable */
};

/* ---- what is read ---- */

/* A slow wave, another one for each device and sensor. */
static double wave(const struct object_view *v, uint32_t sensor)
{
    uint64_t phase = (uint64_t)v->device * 7919 * 1000 + (uint64_t)sensor * 37000;

    return sin((double)((v->now_ms + phase) % DAY_MS) / 600000.0 * TURN);
}

static double rounded(double x)
{
    return round(x * 100) / 100;
}

static void get_lifetime(const struct object_view *v, struct value *out)
{
    out->u.integer = v->state->lifetime_s;
}

static void get_serial(const struct object_view *v, struct value *out)
{
    out->u.bytes = view_str(v->endpoint);
}

static void get_battery(const struct object_view *v, struct value *out)
{
    out->u.integer = 50 + (int64_t)(wave(v, 9) * 49);
}

static void get_clock(const struct object_view *v, struct value *out)
{
    out->u.integer = v->wall_ms / 1000 + v->state->clock_offset_s;
}

static void get_signal(const struct object_view *v, struct value *out)
{
    out->u.integer = -80 + (int64_t)(wave(v, 4) * 20);
}

static void get_latitude(const struct object_view *v, struct value *out)
{
    out->u.float_ = (double)(v->device % 160) - 80 + 0.25;
}

static void get_longitude(const struct object_view *v, struct value *out)
{
    out->u.float_ = (double)(v->device % 360) - 180 + 0.5;
}

static void get_now(const struct object_view *v, struct value *out)
{
    out->u.integer = v->wall_ms / 1000;
}

static void get_temperature0(const struct object_view *v, struct value *out)
{
    out->u.float_ = rounded(20 + 5 * wave(v, 0));
}

static void get_temperature1(const struct object_view *v, struct value *out)
{
    out->u.float_ = rounded(40 + 5 * wave(v, 1));
}

static void get_application(const struct object_view *v, struct value *out)
{
    out->u.bytes = view_str(v->state->application);
}

static void get_on(const struct object_view *v, struct value *out)
{
    out->u.boolean = v->state->on;
}

static void get_dimmer(const struct object_view *v, struct value *out)
{
    out->u.integer = v->state->dimmer;
}

/* ---- what is written and executed ---- */

static int put_lifetime(struct object_view *v, const struct value *in)
{
    if (in->u.integer < 1 || in->u.integer > UINT32_MAX)
        return ERR_RANGE;
    v->state->lifetime_s = (uint32_t)in->u.integer;
    v->update_wanted = true;
    return ERR_OK;
}

static int put_clock(struct object_view *v, const struct value *in)
{
    int64_t offset = in->u.integer - v->wall_ms / 1000;

    if (offset > INT32_MAX || offset < INT32_MIN)
        return ERR_RANGE;
    v->state->clock_offset_s = (int32_t)offset;
    return ERR_OK;
}

static int put_application(struct object_view *v, const struct value *in)
{
    if (in->u.bytes.n >= sizeof(v->state->application))
        return ERR_TOOLARGE;
    memcpy(v->state->application, in->u.bytes.p, in->u.bytes.n);
    v->state->application[in->u.bytes.n] = '\0';
    return ERR_OK;
}

static int put_on(struct object_view *v, const struct value *in)
{
    v->state->on = in->u.boolean;
    return ERR_OK;
}

static int put_dimmer(struct object_view *v, const struct value *in)
{
    if (in->u.integer < 0 || in->u.integer > 100)
        return ERR_RANGE;
    v->state->dimmer = (int16_t)in->u.integer;
    return ERR_OK;
}

static void trigger_update(struct object_view *v)
{
    v->update_wanted = true;
}

/* The clock has no battery; and an Update says that it is there again. */
static void reboot(struct object_view *v)
{
    v->state->clock_offset_s = 0;
    v->update_wanted = true;
}

static void factory_reset(struct object_view *v)
{
    object_reset(v->state, v->state->lifetime_s);
    v->update_wanted = true;
}

/* ---- the table ---- */

#define R(o, i, r, type_, ...)                                                                     \
    {                                                                                              \
        .object = (o), .instance = (i), .resource = (r), .resource_instance = WHOLE,               \
        .type = VALUE_##type_, __VA_ARGS__                                                         \
    }
#define RI(o, i, r, ri, type_, ...)                                                                \
    {                                                                                              \
        .object = (o), .instance = (i), .resource = (r), .resource_instance = (ri),                \
        .type = VALUE_##type_, __VA_ARGS__                                                         \
    }
#define SENSOR(i, get_)                                                                            \
    R(3303, i, 5601, FLOAT, .number = -20), R(3303, i, 5602, FLOAT, .number = 60),                 \
        R(3303, i, 5700, FLOAT, .get = get_), R(3303, i, 5701, STRING, .text = "Cel")

static const struct row rows[] = {
    R(1, 0, 0, INTEGER, .number = 101),
    R(1, 0, 1, INTEGER, .get = get_lifetime, .put = put_lifetime),
    R(1, 0, 6, BOOLEAN, .number = 1),
    R(1, 0, 7, STRING, .text = "U"),
    R(1, 0, 8, NONE, .execute = trigger_update),
    R(3, 0, 0, STRING, .text = "Fleet"),
    R(3, 0, 1, STRING, .text = "Simulated device"),
    R(3, 0, 2, STRING, .get = get_serial),
    R(3, 0, 3, STRING, .text = "1.0"),
    R(3, 0, 4, NONE, .execute = reboot),
    R(3, 0, 5, NONE, .execute = factory_reset),
    RI(3, 0, 6, 0, INTEGER, .number = 1),
    RI(3, 0, 7, 0, INTEGER, .number = 3800),
    RI(3, 0, 8, 0, INTEGER, .number = 125),
    R(3, 0, 9, INTEGER, .get = get_battery),
    R(3, 0, 10, INTEGER, .number = 15),
    RI(3, 0, 11, 0, INTEGER, .number = 0),
    R(3, 0, 13, TIME, .get = get_clock, .put = put_clock),
    R(3, 0, 16, STRING, .text = "U"),
    R(4, 0, 0, INTEGER, .number = 41),
    RI(4, 0, 1, 0, INTEGER, .number = 41),
    R(4, 0, 2, INTEGER, .get = get_signal),
    RI(4, 0, 4, 0, STRING, .text = "192.0.2.1"),
    R(5, 0, 3, INTEGER, .number = 0),
    R(5, 0, 5, INTEGER, .number = 0),
    RI(5, 0, 8, 0, INTEGER, .number = 0),
    R(5, 0, 9, INTEGER, .number = 0),
    R(6, 0, 0, FLOAT, .get = get_latitude),
    R(6, 0, 1, FLOAT, .get = get_longitude),
    R(6, 0, 5, TIME, .get = get_now),
    R(7, 0, 0, INTEGER, .number = 0),
    R(7, 0, 2, INTEGER, .number = 12),
    R(7, 0, 3, INTEGER, .number = 4),
    SENSOR(0, get_temperature0),
    R(3303, 0, 5750, STRING, .get = get_application, .put = put_application),
    SENSOR(1, get_temperature1),
    R(3311, 0, 5850, BOOLEAN, .get = get_on, .put = put_on),
    R(3311, 0, 5851, INTEGER, .get = get_dimmer, .put = put_dimmer),
};

static struct path path_of(const struct row *r)
{
    return (struct path){.id = {r->object, r->instance, r->resource,
                                r->resource_instance == WHOLE ? 0 : r->resource_instance},
                         .depth = r->resource_instance == WHOLE ? 3 : 4};
}

static void value_of(const struct row *r, const struct object_view *v, struct value *out)
{
    *out = (struct value){.type = r->type};
    if (r->get)
        r->get(v, out);
    else if (r->type == VALUE_STRING)
        out->u.bytes = view_str(r->text);
    else if (r->type == VALUE_FLOAT)
        out->u.float_ = (double)r->number;
    else if (r->type == VALUE_BOOLEAN)
        out->u.boolean = r->number != 0;
    else
        out->u.integer = r->number;
}

static const struct row *find(const struct path *p)
{
    for (size_t i = 0; i < mem_count(rows); i++) {
        struct path at = path_of(&rows[i]);

        if (path_eq(&at, p))
            return &rows[i];
    }
    return NULL;
}

void object_reset(struct object_state *state, uint32_t lifetime_s)
{
    *state = (struct object_state){.lifetime_s = lifetime_s, .dimmer = 50, .application = "fleet"};
}

int object_read(const struct object_view *v, const struct path *p, struct batch *out)
{
    int rc = ERR_NOTFOUND;

    for (size_t i = 0; i < mem_count(rows); i++) {
        struct record record = {.path = path_of(&rows[i])};

        if (!path_covers(p, &record.path))
            continue;
        if (rows[i].execute) {
            rc = rc == ERR_NOTFOUND && p->depth == 3 ? ERR_METHOD : rc;
            continue;
        }
        value_of(&rows[i], v, &record.value);
        rc = batch_add(out, &record);
        if (rc < 0)
            return rc;
    }
    return rc;
}

int object_write(struct object_view *v, const struct path *p, const struct batch *values)
{
    if (p->depth < 2)
        return ERR_METHOD;
    for (size_t i = 0; i < batch_size(values); i++) {
        const struct record *record = batch_at(values, i);
        const struct row *r = find(&record->path);
        struct value value = record->value;
        int rc;

        if (!r)
            return ERR_NOTFOUND;
        if (!r->put)
            return ERR_METHOD;
        rc = value_coerce(&value, r->type);
        if (rc == ERR_OK)
            rc = r->put(v, &value);
        if (rc < 0)
            return rc;
    }
    return ERR_OK;
}

int object_execute(struct object_view *v, const struct path *p)
{
    const struct row *r = find(p);

    if (!r)
        return ERR_NOTFOUND;
    if (!r->execute)
        return ERR_METHOD;
    r->execute(v);
    return ERR_OK;
}

static void put_link(const struct path *p, struct buf *out)
{
    char text[PATH_TEXT_MAX];

    path_format(p, text);
    buf_fmt(out, "%s<%s>", out->n ? "," : "", text);
}

/* An object, its instances, their resources: each once, as deep as the default of Discover. */
int object_discover(const struct path *p, struct buf *out)
{
    struct path last = {.depth = 0};

    for (size_t i = 0; i < mem_count(rows); i++) {
        struct path at = path_of(&rows[i]);

        if (!path_covers(p, &at))
            continue;
        for (uint8_t depth = p->depth; depth <= 3; depth++) {
            struct path part = at;

            part.depth = depth;
            if (last.depth == 0 || !path_covers(&part, &last))
                put_link(&part, out);
        }
        last = at;
    }
    return out->n ? out->rc : ERR_NOTFOUND;
}

int object_definitions(struct registry **ret_registry)
{
    struct registry *r = registry_new();
    unsigned line;
    int rc = r ? registry_load_tsv(r, view_of(objects_data, objects_data_size), &line) : ERR_NOMEM;

    if (rc < 0) {
        registry_unref(r);
        return rc;
    }
    *ret_registry = r;
    return ERR_OK;
}
