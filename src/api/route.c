#include "api/internal.h"

#include <stdio.h>

/* Every route. The OpenAPI document says the same, and a test compares the two. */
static const struct route routes[] = {
    {"GET", "/v1/devices", 0, false, false, false, devices_list},
    {"GET", "/v1/devices/{ep}", 0, false, false, false, devices_show},
    {"DELETE", "/v1/devices/{ep}", 0, false, false, false, devices_delete},
    {"GET", "/v1/devices/{ep}/resources/{path}", 0, false, false, false, resources_read},
    {"PUT", "/v1/devices/{ep}/resources/{path}", BODY_JSON | BODY_OPAQUE, false, false, false,
     resources_put},
    {"POST", "/v1/devices/{ep}/resources/{path}", BODY_JSON | BODY_NONE, false, false, false,
     resources_post},
    {"DELETE", "/v1/devices/{ep}/resources/{path}", 0, false, false, false, resources_delete},
    {"GET", "/v1/devices/{ep}/discover/{path}", 0, false, false, false, resources_discover},
    {"GET", "/v1/devices/{ep}/attributes/{path}", 0, false, false, false, attributes_show},
    {"PUT", "/v1/devices/{ep}/attributes/{path}", BODY_JSON, false, false, false, attributes_put},
    {"GET", "/v1/devices/{ep}/observations", 0, false, false, false, observations_list},
    {"POST", "/v1/devices/{ep}/observations", BODY_JSON, false, false, false, observations_add},
    {"DELETE", "/v1/devices/{ep}/observations/{id}", 0, false, false, false, observations_delete},
    {"POST", "/v1/devices/{ep}/resources:read", BODY_JSON, false, false, false, composite_read},
    {"POST", "/v1/devices/{ep}/resources:write", BODY_JSON, false, false, false, composite_write},
    {"GET", "/v1/devices/{ep}/history", 0, false, false, false, history_show},
    {"GET", "/v1/devices/{ep}/timeline", 0, false, false, false, history_timeline},
    {"GET", "/v1/operations", 0, false, false, false, operations_list},
    {"GET", "/v1/operations/{id}", 0, false, false, false, operations_show},
    {"DELETE", "/v1/operations/{id}", 0, false, false, false, operations_cancel},
    {"GET", "/v1/devices/{ep}/send", 0, false, false, false, sending_show},
    {"PUT", "/v1/devices/{ep}/send", BODY_JSON, false, false, false, sending_put},
    {"GET", "/v1/models", 0, false, false, true, definitions_list},
    {"PUT", "/v1/models", BODY_XML, false, false, false, definitions_put},
    {"GET", "/v1/models/{object}", 0, false, false, true, definitions_show},
    {"GET", "/v1/profiles", 0, false, false, true, profiles_list},
    {"GET", "/v1/profiles/{id}", 0, false, false, true, profiles_show},
    {"PUT", "/v1/profiles/{id}", BODY_JSON, false, false, false, profiles_put},
    {"DELETE", "/v1/profiles/{id}", 0, false, false, false, profiles_delete},
    {"GET", "/v1/events", 0, false, false, true, events_stream},
    {"GET", "/v1/openapi.json", 0, false, true, true, openapi_show},
    {"GET", "/metrics", 0, false, false, true, metrics_show},
    {"GET", "/healthz", 0, false, true, true, health_live},
    {"GET", "/readyz", 0, false, true, true, health_ready},
    {"POST", "/admin/reload", BODY_JSON | BODY_NONE, true, false, true, admin_reload},
    {"POST", "/admin/backup", BODY_JSON, true, false, true, admin_backup},
};

size_t route_count(void)
{
    return mem_count(routes);
}

const struct route *route_at(size_t i)
{
    return &routes[i];
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* In place; false on a malformed escape or a decoded NUL. */
static bool percent_decode(char *s)
{
    char *out = s;

    for (; *s; s++) {
        if (*s != '%') {
            *out++ = *s;
            continue;
        }
        int high = hex_digit(s[1]);
        int low = high < 0 ? -1 : hex_digit(s[2]);

        if (low < 0 || (high == 0 && low == 0))
            return false;
        *out++ = (char)(high << 4 | low);
        s += 2;
    }
    *out = '\0';
    return true;
}

/* Split first, decode then: an endpoint name may hold a '/'. */
static bool split_path(struct call *c, const char *url)
{
    char *p = mem_text(url, strlen(url));

    c->path = p;
    if (!p || *p != '/')
        return false;
    while (p) {
        char *next = strchr(p + 1, '/');

        if (c->segment_count == CALL_SEGMENTS_MAX)
            return false;
        *p = '\0';
        c->segments[c->segment_count++] = p + 1;
        p = next;
    }
    for (size_t i = 0; i < c->segment_count; i++) {
        if (!percent_decode(c->segments[i]))
            return false;
    }
    if (c->segment_count > 1 && c->segments[c->segment_count - 1][0] == '\0')
        c->segment_count--; /* one trailing slash */
    return true;
}

static bool is_word(struct view word, const char *name)
{
    return view_eq_str(word, name);
}

/* Whether the segments fit; *ret_path: where {path} begins (or segment_count). */
static bool fits(const struct call *c, const char *pattern, size_t *ret_path)
{
    struct view rest = view_str(pattern + 1), word;
    size_t i = 0;

    *ret_path = c->segment_count;
    while (view_split(&rest, '/', &word)) {
        if (is_word(word, "{path}")) {
            *ret_path = i;
            return c->segment_count - i <= 4;
        }
        if (i == c->segment_count)
            return false;
        if (word.n > 0 && word.p[0] == '{') {
            if (c->segments[i][0] == '\0')
                return false;
        } else if (!is_word(word, c->segments[i])) {
            return false;
        }
        i++;
    }
    return i == c->segment_count;
}

static int parse_object_path(struct call *c, size_t from)
{
    char text[PATH_TEXT_MAX * 2];
    size_t n = 0;

    for (size_t i = from; i < c->segment_count; i++) {
        int w = snprintf(text + n, sizeof(text) - n, "/%s", c->segments[i]);

        if (w < 0 || (size_t)w >= sizeof(text) - n)
            return ERR_PATH;
        n += (size_t)w;
    }
    return path_parse(n == 0 ? VIEW_LIT("/") : view_of(text, n), &c->object_path);
}

static bool take_route(struct call *c, const struct route *r, size_t path_at)
{
    c->route = r;
    if (c->segment_count > 2 && strncmp(r->pattern, "/v1/devices/{ep}", 16) == 0)
        c->endpoint = c->segments[2];
    if (strstr(r->pattern, "{path}") && parse_object_path(c, path_at) < 0) {
        problem_respond(c, ERR_PATH,
                        "an object path is /object/instance/resource/resource-instance");
        return false;
    }
    return true;
}

static void method_not_allowed(struct call *c, const char *const *allowed, size_t count)
{
    char list[64] = "";
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", allowed[i]);
    c->allow = list;
    problem_status(c, 405, "method-not-allowed", "method not allowed", list);
    c->allow = NULL;
}

bool route_find(struct call *c, const char *method, const char *url)
{
    const char *allowed[8];
    size_t allowed_count = 0;

    if (!split_path(c, url)) {
        problem_respond(c, ERR_MALFORMED, "the request path is malformed");
        return false;
    }
    for (size_t i = 0; i < mem_count(routes); i++) {
        size_t path_at;

        if ((routes[i].local && !c->listener->local) || !fits(c, routes[i].pattern, &path_at))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return take_route(c, &routes[i], path_at);
        if (allowed_count < mem_count(allowed))
            allowed[allowed_count++] = routes[i].method;
    }
    if (allowed_count > 0)
        method_not_allowed(c, allowed, allowed_count);
    else
        problem_status(c, 404, "no-such-route", "no such route", NULL);
    return false;
}
