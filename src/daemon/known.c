#include "daemon/internal.h"
#include "daemon/profile_file.h"

/* What is known of profile IDs: from the store and from the file. */

/* What the store holds beyond the limit goes from there, too. */
static void forget(struct server *s, const char *id)
{
    struct txn *t = txn_new(TXN_DEL_PROFILE);

    if (!t)
        return;
    t->profile = mem_text(id, strlen(id));
    if (!t->profile || store_submit(s->store, t) < 0)
        txn_free(t);
}

static int add_stored(void *ctx, struct view id, struct view links, enum profile_source source,
                      int64_t since_ms)
{
    struct server *s = ctx;
    struct profiles_effect effect;
    int rc = profiles_set(s->profile_ids, id, links, source, since_ms, &effect);

    if (rc < 0)
        log_warn("a stored profile ID was not loaded", log_view("id", id),
                 log_text("reason", err_text(rc)));
    else if (effect.evicted)
        forget(s, effect.gone);
    return ERR_OK;
}

int known_reload(struct server *s)
{
    const char *file = s->conf.profiles_file;
    unsigned line;
    int rc = profile_file_load(file, s->profile_ids, &line);

    if (rc < 0)
        log_error("the file of profile IDs was refused", log_text("file", file),
                  log_u64("line", line), log_text("reason", err_text(rc)));
    return rc;
}

int known_start(struct server *s)
{
    struct reader *reader = NULL;
    struct random random;
    int rc = random_init_secret(&random);

    if (rc < 0)
        return rc;
    s->profile_ids = profiles_new(s->conf.profiles_limit, s->conf.profiles_learn, &random.key);
    if (!s->profile_ids)
        return ERR_NOMEM;
    rc = read_open(s->database, &reader);
    if (rc == ERR_OK)
        rc = read_profiles(reader, add_stored, s);
    read_close(reader);
    if (rc < 0)
        log_error("the stored profile IDs cannot be loaded", log_text("reason", err_text(rc)));
    return rc < 0 ? rc : known_reload(s);
}

void known_refusal(const struct event *e)
{
    if (e->type == EVENT_REFUSED && e->rc == ERR_PROFILE && e->detail &&
        (strncmp(e->detail, "oma:", 4) == 0 || strncmp(e->detail, "v:", 2) == 0))
        log_warn("a device names a profile that nobody has told us of",
                 log_text("endpoint", e->endpoint), log_text("detail", e->detail));
}
