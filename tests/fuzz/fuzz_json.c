/* JSON bodies of writes, as the API reads them: the first byte picks the path. What is read is
 * shown, and that reads as the same. */
#include "api/internal.h"

#include "content_round.h"

static cJSON *parse(struct view text)
{
    struct buf body;
    cJSON *json;

    buf_init(&body, text.n + 1);
    buf_put_view(&body, text);
    json = json_parse(&body);
    buf_fini(&body);
    if (cJSON_IsObject(json))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void read_again(const struct batch *values, const struct path *base,
                       const struct registry *registry)
{
    cJSON *shown = json_values(base, values, "read", 0), *json;
    char *text = cJSON_PrintUnformatted(shown);
    struct batch *again = batch_new();
    const char *what;

    require(text != NULL);
    json = parse(view_str(text));
    require(json_to_batch(json, base, registry, again, &what) == ERR_OK);
    require(batch_size(values) == batch_size(again));
    for (size_t i = 0; i < batch_size(values); i++) {
        const struct record *a = batch_at(values, i), *b = batch_at(again, i);

        require(path_eq(&a->path, &b->path) && value_eq(&a->value, &b->value));
    }
    batch_free(again);
    cJSON_Delete(json);
    cJSON_free(text);
    cJSON_Delete(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const bases[] = {"/7/1/3", "/7/1", "/7", "/", "/7/1/25", "/9/1/1", "/3"};
    static struct registry *registry;
    cJSON *json = size > 0 ? parse(view_of(data + 1, size - 1)) : NULL;
    struct batch *values = batch_new();
    const char *what = NULL;
    struct path base;

    if (registry == NULL)
        registry = round_registry();
    if (json) {
        require(path_parse(view_str(bases[data[0] % mem_count(bases)]), &base) == ERR_OK);
        if (json_to_batch(json, &base, registry, values, &what) == ERR_OK)
            read_again(values, &base, registry);
        else
            require(what != NULL);
    }
    cJSON_Delete(json);
    batch_free(values);
    return 0;
}
