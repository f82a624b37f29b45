/* What an HTTP request carries beside its body: the path, queries, ids of events, names of hosts;
 * and lines of the token file. The first byte picks what the text is read as. */
#include "../../src/api/auth.c"
#include "../../src/api/call.c"
#include "../../src/api/events.c"
#include "../../src/api/route.c"

#include "require.h"

/* An endpoint name is found again in the Location that is made of it. */
static void location(struct call *c)
{
    size_t cap = 3 * strlen(c->endpoint) + 64;
    char *text = mem_new(cap);
    struct call again = {.endpoint = NULL};

    require(text != NULL);
    call_location(c, "observations/1", text, cap);
    require(split_path(&again, text) && again.segment_count == 5);
    require(strcmp(again.segments[2], c->endpoint) == 0);
    mem_free(again.path);
    mem_free(text);
}

static void url(const char *text)
{
    struct call c = {.endpoint = NULL};

    if (split_path(&c, text)) {
        require(c.segment_count > 0 && c.segment_count <= CALL_SEGMENTS_MAX);
        for (size_t i = 0; i < mem_count(routes); i++) {
            size_t path_at;

            if (!fits(&c, routes[i].pattern, &path_at))
                continue;
            require(path_at <= c.segment_count);
            if (parse_object_path(&c, path_at) == ERR_OK)
                require(c.object_path.depth <= 4);
        }
        c.endpoint = c.segment_count > 2 ? c.segments[2] : NULL;
        if (c.endpoint)
            location(&c);
    }
    mem_free(c.path);
}

static void query(const char *text)
{
    char out[ENDPOINT_MAX + 1];

    if (decode_query(text, out, sizeof(out)))
        require(strlen(out) <= strlen(text));
}

static void last_event(const char *text)
{
    struct events *e = events_new(8, NULL);
    struct reader_state r = {.events = e};
    uint32_t types = 0;

    require(e != NULL);
    e->boot = 7;
    e->first = 3;
    e->next = 9;
    if (place(&r, text) == ERR_OK)
        require(r.next >= e->first && r.next <= e->next && (!r.gap || r.next == e->first));
    require(parse_types(text, &types) < 0 || types < UINT32_C(1) << EVENT_TYPE_COUNT);
    e->first = e->next; /* no event was put in */
    events_free(e);
}

static void credentials(const char *text)
{
    struct token token;
    struct view host = view_str(text);

    if (parse_token(host, &token) == ERR_OK)
        require(token.name[0] != '\0' && strlen(token.name) < sizeof(token.name));
    if (names_loopback(host))
        require(host.n > 0 && (host.p[0] == 'l' || host.p[0] == '1' || host.p[0] == '['));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *) = {url, query, last_event, credentials};
    char *text = size > 0 ? mem_text(data + 1, size - 1) : NULL;

    if (text)
        readers[data[0] % mem_count(readers)](text);
    mem_free(text);
    return 0;
}
