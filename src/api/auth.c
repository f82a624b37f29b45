#include "api/internal.h"

#include <errno.h>
#include <grp.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOKENS_MAX 1024
#define DIGEST_LEN 32
#define GROUPS_MAX 256

struct token {
    char name[64];
    uint8_t digest[DIGEST_LEN];
};

struct auth {
    const char *file, *group;
    pthread_mutex_t lock;
    size_t count;
    struct token *tokens;
};

struct auth *auth_new(const char *token_file, const char *group)
{
    struct auth *a = mem_new(sizeof(*a));

    if (!a)
        return NULL;
    a->file = token_file;
    a->group = group;
    pthread_mutex_init(&a->lock, NULL);
    return a;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    mem_free(a->tokens);
    mem_free(a);
}

/* "name hex", blank lines and # comments between. */
static int parse_token(struct view line, struct token *ret)
{
    struct view rest = line, name, hex;
    size_t n;

    if (!view_split(&rest, ' ', &name) || name.n == 0 || name.n >= sizeof(ret->name))
        return ERR_MALFORMED;
    hex = rest;
    while (hex.n > 0 &&
           (hex.p[hex.n - 1] == '\n' || hex.p[hex.n - 1] == '\r' || hex.p[hex.n - 1] == ' '))
        hex.n--;
    if (text_unhex(hex, ret->digest, DIGEST_LEN, &n) < 0 || n != DIGEST_LEN)
        return ERR_MALFORMED;
    memcpy(ret->name, name.p, name.n);
    ret->name[name.n] = '\0';
    return ERR_OK;
}

static int read_tokens(FILE *f, struct token *tokens, size_t *ret_count)
{
    char line[512];
    size_t count = 0;

    while (fgets(line, sizeof(line), f)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (count == TOKENS_MAX)
            return ERR_LIMIT;
        if (parse_token(view_str(line), &tokens[count]) < 0)
            return ERR_MALFORMED;
        count++;
    }
    *ret_count = count;
    return ERR_OK;
}

int auth_load(struct auth *a)
{
    struct token *next;
    size_t count = 0;
    FILE *f;
    int rc;

    if (!a->file)
        return ERR_OK;
    next = mem_new(sizeof(*next) * TOKENS_MAX);
    if (!next)
        return ERR_NOMEM;
    f = fopen(a->file, "re");
    if (!f) {
        mem_free(next);
        return errno == ENOENT ? ERR_NOTFOUND : ERR_IO;
    }
    rc = read_tokens(f, next, &count);
    fclose(f);
    if (rc < 0) {
        mem_free(next);
        return rc;
    }
    pthread_mutex_lock(&a->lock);
    mem_free(a->tokens);
    a->tokens = next;
    a->count = count;
    pthread_mutex_unlock(&a->lock);
    return ERR_OK;
}

/* ---- bearer tokens ---- */

static bool digest_eq(const uint8_t *a, const uint8_t *b)
{
    uint8_t diff = 0;

    for (size_t i = 0; i < DIGEST_LEN; i++)
        diff |= (uint8_t)(a[i] ^ b[i]);
    return diff == 0;
}

static bool token_known(struct auth *a, const char *token)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    bool known = false;

    if (EVP_Digest(token, strlen(token), digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->count; i++)
        known |= digest_eq(a->tokens[i].digest, digest);
    pthread_mutex_unlock(&a->lock);
    return known;
}

static bool has_token(struct auth *a, struct call *c)
{
    const char *header =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    return header && strncmp(header, "Bearer ", 7) == 0 && token_known(a, header + 7);
}

/* ---- loopback without a token: against DNS rebinding ---- */

/* "localhost", "127.0.0.1:8080", "[::1]:8080" */
static bool names_loopback(struct view host)
{
    struct view name = host;
    struct addr address;
    char text[64];

    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == ':' && (host.p[0] != '[' || (i > 0 && host.p[i - 1] == ']'))) {
            name.n = i;
            break;
        }
    }
    if (view_eq_str(name, "localhost"))
        return true;
    snprintf(text, sizeof(text), VIEW_FMT ":0", VIEW_ARG(view_sub(name, 0, 48)));
    return addr_parse(view_str(text), &address) == ERR_OK && addr_is_loopback(&address);
}

static bool from_here(struct call *c)
{
    const char *host =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    const char *origin =
        MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ORIGIN);
    const char *scheme_end = origin ? strstr(origin, "://") : NULL;

    if (host && !names_loopback(view_str(host)))
        return false;
    return !origin || (scheme_end && names_loopback(view_str(scheme_end + 3)));
}

/* ---- unix socket: peer credentials ---- */

static bool in_group(uid_t uid, gid_t gid, const char *group)
{
    char text[4096];
    struct group g, *found = NULL;
    struct passwd pw, *user = NULL;
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (getgrnam_r(group, &g, text, sizeof(text), &found) != 0 || !found)
        return false;
    gid_t wanted = found->gr_gid;

    if (gid == wanted)
        return true;
    if (getpwuid_r(uid, &pw, text, sizeof(text), &user) != 0 || !user ||
        getgrouplist(user->pw_name, gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++) {
        if (groups[i] == wanted)
            return true;
    }
    return false;
}

static bool peer_allowed(const struct auth *a, struct call *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return false;
    return cred.uid == 0 || cred.uid == getuid() ||
           (a->group && in_group(cred.uid, cred.gid, a->group));
}

bool auth_check(struct auth *a, struct call *c)
{
    if (c->route->open)
        return true;
    if (c->listener->local) {
        if (peer_allowed(a, c))
            return true;
        problem_respond(c, ERR_FORBIDDEN, "this user may not use the socket");
        return false;
    }
    if (c->listener->needs_token) {
        if (has_token(a, c))
            return true;
        problem_respond(c, ERR_UNAUTHORIZED, "a bearer token is required on this address");
        return false;
    }
    if (from_here(c))
        return true;
    problem_respond(c, ERR_FORBIDDEN, "without a token, Host and Origin must name this machine");
    return false;
}
