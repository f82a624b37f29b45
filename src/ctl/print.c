#include "ctl/ctl.h"

#include <stdio.h>

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsString(item) ? item->valuestring : "-";
}

static void clean_text(char *text)
{
    for (unsigned char *p = (unsigned char *)text; p && *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) { /* C1 controls in UTF-8 */
            *p++ = '?';
            *p = '?';
        }
    }
}

void print_clean(cJSON *json)
{
    cJSON *item;

    if (!json)
        return;
    clean_text(json->valuestring);
    clean_text(json->string);
    cJSON_ArrayForEach(item, json)
    {
        print_clean(item);
    }
}

/* A value as a person writes it. */
static void put_scalar(const cJSON *item)
{
    char *text;

    if (cJSON_IsString(item)) {
        fputs(item->valuestring, stdout);
        return;
    }
    if (cJSON_IsNumber(item)) {
        char number[32];

        text_double(item->valuedouble, number);
        fputs(number, stdout);
        return;
    }
    text = cJSON_PrintUnformatted(item);
    fputs(text ? text : "-", stdout);
    cJSON_free(text);
}

void print_json(const cJSON *json)
{
    char *text = cJSON_Print(json);

    if (text)
        puts(text);
    cJSON_free(text);
}

void print_devices(const cJSON *page, bool header)
{
    const cJSON *device;

    if (header)
        printf("%-40s %-10s %-4s %8s %-22s %s\n", "ENDPOINT", "STATE", "VER", "LIFETIME", "ADDRESS",
               "UPDATED");
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(page, "devices"))
    {
        const cJSON *lifetime = cJSON_GetObjectItemCaseSensitive(device, "lifetime");

        printf("%-40s %-10s %-4s %8.0f %-22s %s\n", text_of(device, "endpoint"),
               text_of(device, "state"), text_of(device, "version"), cJSON_GetNumberValue(lifetime),
               text_of(device, "address"), text_of(device, "updatedAt"));
    }
}

void print_object(const cJSON *object)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object)
    {
        printf("%-16s ", item->string);
        put_scalar(item);
        putchar('\n');
    }
}

void print_device(const cJSON *device)
{
    const cJSON *item, *object;

    cJSON_ArrayForEach(item, device)
    {
        if (strcmp(item->string, "objects") == 0)
            continue;
        printf("%-16s ", item->string);
        put_scalar(item);
        putchar('\n');
    }
    printf("%-16s", "objects");
    cJSON_ArrayForEach(object, cJSON_GetObjectItemCaseSensitive(device, "objects"))
    {
        printf(" %s", text_of(object, "path"));
    }
    putchar('\n');
}

static void put_value(const cJSON *value)
{
    printf("%-20s ", text_of(value, "path"));
    put_scalar(cJSON_GetObjectItemCaseSensitive(value, "value"));
    printf("  (%s)", text_of(value, "type"));
    if (cJSON_GetObjectItemCaseSensitive(value, "time"))
        printf("  %s", text_of(value, "time"));
    putchar('\n');
}

void print_values(const cJSON *answer)
{
    const cJSON *values = cJSON_GetObjectItemCaseSensitive(answer, "values"), *value;

    if (!values) {
        put_value(answer);
        return;
    }
    cJSON_ArrayForEach(value, values)
    {
        put_value(value);
    }
}

void print_links(const cJSON *answer)
{
    const cJSON *link, *attribute;

    cJSON_ArrayForEach(link, cJSON_GetObjectItemCaseSensitive(answer, "links"))
    {
        printf("%-20s", text_of(link, "path"));
        cJSON_ArrayForEach(attribute, cJSON_GetObjectItemCaseSensitive(link, "attributes"))
        {
            printf(" %s=", attribute->string);
            put_scalar(attribute);
        }
        putchar('\n');
    }
}

void print_observations(const cJSON *page)
{
    const cJSON *o;

    printf("%-18s %-8s %-24s %s\n", "ID", "STATE", "SINCE", "PATHS");
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(page, "observations"))
    {
        const cJSON *path;

        printf("%-18s %-8s %-24s", text_of(o, "id"), text_of(o, "state"), text_of(o, "since"));
        cJSON_ArrayForEach(path, cJSON_GetObjectItemCaseSensitive(o, "paths"))
            printf(" %s", cJSON_IsString(path) ? path->valuestring : "-");
        putchar('\n');
    }
}

void print_operations(const cJSON *page)
{
    const cJSON *o;

    printf("%-36s  %-13s %-16s %-20s %s\n", "ID", "STATE", "KIND", "PATH", "ENDPOINT");
    cJSON_ArrayForEach(o, cJSON_GetObjectItemCaseSensitive(page, "operations"))
        printf("%-36s  %-13s %-16s %-20s %s\n", text_of(o, "id"), text_of(o, "state"),
               text_of(o, "kind"), text_of(o, "path"), text_of(o, "endpoint"));
}

void print_operation(const cJSON *operation)
{
    const cJSON *item, *attempt;

    cJSON_ArrayForEach(item, operation)
    {
        if (strcmp(item->string, "attempts") == 0)
            continue;
        printf("%-16s ", item->string);
        put_scalar(item);
        putchar('\n');
    }
    cJSON_ArrayForEach(attempt, cJSON_GetObjectItemCaseSensitive(operation, "attempts"))
        printf("%-16s sent %s, answered %s, code %s\n", "attempt", text_of(attempt, "sentAt"),
               text_of(attempt, "answeredAt"), text_of(attempt, "code"));
}

void print_timeline(const cJSON *page)
{
    const cJSON *e;

    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(page, "timeline"))
    {
        printf("%s  %-19s", text_of(e, "time"), text_of(e, "type"));
        if (cJSON_GetObjectItemCaseSensitive(e, "detail"))
            printf(" %s", text_of(e, "detail"));
        if (cJSON_GetObjectItemCaseSensitive(e, "reason"))
            printf(" (%s)", text_of(e, "reason"));
        putchar('\n');
    }
}

void print_profiles(const cJSON *page, bool header)
{
    const cJSON *p;

    if (header)
        printf("%-24s %-10s %s\n", "ID", "SOURCE", "LINKS");
    cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(page, "profiles"))
    {
        printf("%-24s %-10s %s\n", text_of(p, "id"), text_of(p, "source"), text_of(p, "links"));
    }
}

void print_models(const cJSON *page)
{
    const cJSON *m;

    printf("%7s %-8s %s\n", "OBJECT", "VERSION", "NAME");
    cJSON_ArrayForEach(m, cJSON_GetObjectItemCaseSensitive(page, "models"))
    {
        printf("%7.0f %-8s %s\n", cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(m, "id")),
               text_of(m, "version"), text_of(m, "name"));
    }
}

void print_event(const cJSON *event)
{
    const cJSON *value;
    const char *path = text_of(event, "path");

    printf("%s  %-19s %s%s%s", text_of(event, "time"), text_of(event, "type"),
           text_of(event, "endpoint"), path[0] == '-' ? "" : " ", path[0] == '-' ? "" : path);
    cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(event, "values"))
    {
        printf("  %s=", text_of(value, "path"));
        put_scalar(cJSON_GetObjectItemCaseSensitive(value, "value"));
    }
    if (cJSON_GetObjectItemCaseSensitive(event, "operation")) {
        const cJSON *o = cJSON_GetObjectItemCaseSensitive(event, "operation");

        printf("  %s %s %s", text_of(o, "kind"), text_of(o, "path"), text_of(o, "state"));
    }
    if (cJSON_GetObjectItemCaseSensitive(event, "reason"))
        printf("  (%s)", text_of(event, "reason"));
    putchar('\n');
    fflush(stdout);
}

enum ctl_exit print_problem(long status, const char *body)
{
    static const char *const details[] = {"endpoint", "path", "detail"};
    cJSON *json = cJSON_Parse(body);

    print_clean(json);
    fprintf(stderr, "lwm2m-serverctl: %s", json ? text_of(json, "title") : "the server refused");
    for (size_t i = 0; i < mem_count(details); i++) {
        if (cJSON_GetObjectItemCaseSensitive(json, details[i]))
            fprintf(stderr, ": %s", text_of(json, details[i]));
    }
    fprintf(stderr, " (%ld)\n", status);
    cJSON_Delete(json);
    if (status == 502)
        return CTL_DEVICE;
    return status == 504 ? CTL_NO_ANSWER : CTL_REFUSED;
}
