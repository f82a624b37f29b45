#include "ctl/ctl.h"

#include <curl/curl.h>
#include <stdio.h>

#define REPLY_MAX (256 * 1024 * 1024)
#define REQUEST_TIMEOUT_S 300L

struct request {
    CURL *curl;
    struct curl_slist *headers;
    char url[4096];
};

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0), *copy;

    if (!escaped)
        return NULL;
    copy = mem_text(escaped, strlen(escaped));
    curl_free(escaped);
    return copy;
}

static int begin(const struct ctl *ctl, const char *method, const char *path, struct request *r)
{
    char header[1024];

    *r = (struct request){.curl = curl_easy_init()};
    if (!r->curl)
        return ERR_NOMEM;
    if ((size_t)snprintf(r->url, sizeof(r->url), "%s%s", ctl->url ? ctl->url : "http://localhost",
                         path) >= sizeof(r->url)) {
        curl_easy_cleanup(r->curl);
        return ERR_LIMIT;
    }
    curl_easy_setopt(r->curl, CURLOPT_URL, r->url);
    curl_easy_setopt(r->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->curl, CURLOPT_PATH_AS_IS, 1L);
    if (!ctl->url)
        curl_easy_setopt(r->curl, CURLOPT_UNIX_SOCKET_PATH, ctl->socket);
    if (ctl->token) {
        snprintf(header, sizeof(header), "Authorization: Bearer %s", ctl->token);
        r->headers = curl_slist_append(r->headers, header);
    }
    if (ctl->key) {
        snprintf(header, sizeof(header), "Idempotency-Key: %s", ctl->key);
        r->headers = curl_slist_append(r->headers, header);
    }
    if (ctl->prefer) {
        snprintf(header, sizeof(header), "Prefer: %s", ctl->prefer);
        r->headers = curl_slist_append(r->headers, header);
    }
    r->headers = curl_slist_append(r->headers, "Expect:");
    return ERR_OK;
}

static int finish(const struct ctl *ctl, struct request *r)
{
    CURLcode code;

    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers);
    code = curl_easy_perform(r->curl);
    curl_slist_free_all(r->headers);
    r->headers = NULL;
    if (code == CURLE_OK || code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_WRITE_ERROR)
        return ERR_OK;
    fprintf(stderr, "lwm2m-serverctl: %s: %s\n", ctl->url ? ctl->url : ctl->socket,
            curl_easy_strerror(code));
    return ERR_UNREACHABLE;
}

static size_t collect(char *data, size_t size, size_t count, void *ctx)
{
    struct buf *b = ctx;

    buf_put(b, data, size * count);
    return b->rc < 0 ? 0 : size * count;
}

static size_t find_location(char *data, size_t size, size_t count, void *ctx)
{
    static const char name[] = "location: ";
    struct http_reply *reply = ctx;
    size_t n = size * count;

    if (n > sizeof(name) + 1 && strncasecmp(data, name, sizeof(name) - 1) == 0) {
        mem_free(reply->location);
        reply->location = mem_text(data + sizeof(name) - 1, n - (sizeof(name) - 1) - 2); /* CR LF */
    }
    return n;
}

int http_request(const struct ctl *ctl, const char *method, const char *path, const char *body,
                 size_t size, const char *type, struct http_reply *ret_reply)
{
    struct http_reply reply = {0};
    char header[128];
    struct request r;
    struct buf out;
    int rc = begin(ctl, method, path, &r);

    if (rc < 0)
        return rc;
    buf_init(&out, REPLY_MAX);
    if (body) {
        snprintf(header, sizeof(header), "Content-Type: %s", type ? type : "application/json");
        r.headers = curl_slist_append(r.headers, header);
        curl_easy_setopt(r.curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(r.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    }
    curl_easy_setopt(r.curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(r.curl, CURLOPT_WRITEDATA, &out);
    curl_easy_setopt(r.curl, CURLOPT_HEADERFUNCTION, find_location);
    curl_easy_setopt(r.curl, CURLOPT_HEADERDATA, &reply);
    curl_easy_setopt(r.curl, CURLOPT_TIMEOUT, REQUEST_TIMEOUT_S);
    rc = finish(ctl, &r);
    curl_easy_getinfo(r.curl, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_cleanup(r.curl);
    if (rc == ERR_OK) {
        reply.body = mem_text(out.n ? out.p : (const uint8_t *)"", out.n);
        *ret_reply = reply;
    } else {
        mem_free(reply.location);
    }
    buf_fini(&out);
    return rc;
}

void http_reply_free(struct http_reply *r)
{
    mem_free(r->body);
    mem_free(r->location);
}

/* ---- streams ---- */

struct stream {
    CURL *curl;
    struct buf line;
    int (*each)(void *ctx, const char *text);
    void *ctx;
};

static size_t split_lines(char *data, size_t size, size_t count, void *ctx)
{
    struct stream *s = ctx;
    struct view rest = view_of(data, size * count), part;
    long status = 0;

    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    while (rest.n > 0) {
        bool whole = memchr(rest.p, '\n', rest.n) != NULL;
        const char *text;

        view_split(&rest, '\n', &part);
        buf_put_view(&s->line, part);
        if (!whole)
            break;
        text = buf_cstr(&s->line);
        if (!text || (status == 200 && s->each(s->ctx, text) < 0))
            return 0;
        buf_reset(&s->line);
    }
    return size * count;
}

int http_stream(const struct ctl *ctl, const char *path, int (*line)(void *ctx, const char *text),
                void *ctx)
{
    struct stream s = {.each = line, .ctx = ctx};
    struct request r;
    long status = 0;
    int rc = begin(ctl, "GET", path, &r);

    if (rc < 0)
        return rc;
    s.curl = r.curl;
    buf_init(&s.line, REPLY_MAX);
    curl_easy_setopt(r.curl, CURLOPT_WRITEFUNCTION, split_lines);
    curl_easy_setopt(r.curl, CURLOPT_WRITEDATA, &s);
    rc = finish(ctl, &r);
    curl_easy_getinfo(r.curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(r.curl);
    buf_fini(&s.line);
    if (rc == ERR_OK && status != 200) {
        fprintf(stderr, "lwm2m-serverctl: the server answered %ld\n", status);
        return ERR_INVALID;
    }
    return rc;
}
