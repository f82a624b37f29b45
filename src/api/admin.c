#include "api/internal.h"

/* What only the unix socket offers. */

void admin_reload(struct call *c)
{
    int rc = c->api->deps.reload(c->api->deps.ctx);

    if (rc < 0)
        problem_respond(c, rc, "the configuration was refused; the log names the lines");
    else
        call_empty(c, MHD_HTTP_ACCEPTED);
}

void admin_backup(struct call *c)
{
    const cJSON *file = c->json ? cJSON_GetObjectItemCaseSensitive(c->json, "file") : NULL;
    struct reader *reader = api_reader(c->api);
    int rc;

    if (!file || !cJSON_IsString(file) || file->valuestring[0] != '/') {
        problem_respond(c, ERR_INVALID, "file is an absolute path on the server");
        return;
    }
    rc = reader ? read_backup(reader, file->valuestring) : ERR_STORE;
    if (rc < 0)
        problem_respond(c, rc, "the backup was not written");
    else
        call_empty(c, MHD_HTTP_NO_CONTENT);
}
