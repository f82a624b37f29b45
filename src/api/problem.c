#include "api/internal.h"

#include <ctype.h>
#include <stdio.h>

#define TYPE_PREFIX "urn:lwm2m-serverd:problem:"

/* Where the error table's general status is not what an HTTP client should see. */
static const struct {
    int rc;
    unsigned status;
} statuses[] = {
    {ERR_UNREGISTERED, 404},
    {ERR_FULL, 429}, /* of one device; a shard's queue answers 503 in call_submit */
    {ERR_PATH, 422},
};

static unsigned status_of(int rc)
{
    for (size_t i = 0; i < mem_count(statuses); i++) {
        if (statuses[i].rc == rc)
            return statuses[i].status;
    }
    return err_http_status(rc);
}

static void put_text(cJSON *object, const char *key, const char *text)
{
    if (text && text[0] != '\0')
        cJSON_AddStringToObject(object, key, text);
}

static void respond(struct call *c, unsigned status, const char *slug, const char *title,
                    const char *detail, const struct op *op)
{
    cJSON *json = cJSON_CreateObject();
    char type[96], text[PATH_TEXT_MAX];

    snprintf(type, sizeof(type), TYPE_PREFIX "%s", slug);
    cJSON_AddStringToObject(json, "type", type);
    cJSON_AddStringToObject(json, "title", title);
    cJSON_AddNumberToObject(json, "status", status);
    put_text(json, "detail", detail);
    put_text(json, "endpoint", c->endpoint);
    if (c->endpoint && c->object_path.depth > 0) {
        path_format(&c->object_path, text);
        cJSON_AddStringToObject(json, "path", text);
    }
    if (op) {
        char id[37];

        op_id_format(&op->id, id);
        cJSON_AddStringToObject(json, "operation", id);
        if (op->result.coap_code != 0) {
            pdu_code_format(op->result.coap_code, text);
            cJSON_AddStringToObject(json, "coapCode", text);
        }
    }
    call_json(c, status, json);
}

/* "NOTACCEPTABLE" → "notacceptable" */
static void slug_of(int rc, char out[32])
{
    const char *name = err_name(rc);
    size_t i = 0;

    for (; i < 31 && name[i]; i++)
        out[i] = (char)tolower((unsigned char)name[i]);
    out[i] = '\0';
}

void problem_respond(struct call *c, int rc, const char *detail)
{
    char slug[32];

    slug_of(rc, slug);
    respond(c, status_of(rc), slug, err_text(rc), detail, NULL);
}

void problem_status(struct call *c, unsigned status, const char *slug, const char *title,
                    const char *detail)
{
    respond(c, status, slug, title, detail, NULL);
}

void problem_of_op(struct call *c, const struct op *op)
{
    char slug[32], title[64], code[5];

    if (op->result.rc == ERR_DEVICE) {
        pdu_code_format(op->result.coap_code, code);
        snprintf(title, sizeof(title), "Device answered %s", code);
        respond(c, 502, "device-response", title, op->result.text, op);
        return;
    }
    slug_of(op->result.rc, slug);
    respond(c, status_of(op->result.rc), slug, err_text(op->result.rc), op->result.text, op);
}
