#include "lwm2m/internal.h"

/* LwM2M Core 6.2.1: a profile ID stands for objects and instances that the list leaves out. What it
 * stands for is defined outside of LwM2M; model/profiles.c keeps it. */

#define OBJECT_SERVER 1
#define OBJECT_DEVICE 3

/* The ids of a pid with what is known of them. */
struct known {
    struct profile_ids ids;
    struct profile_entry *entries[PROFILE_IDS_MAX]; /* references; NULL: not known */
    struct view unknown;                            /* the first of those; into the pid */
    size_t bytes;                                   /* of all links, with a comma each */
    uint8_t n;                                      /* known ones */
};

static int look_up(struct domain *d, struct view pid, struct known *k)
{
    int rc;

    *k = (struct known){.n = 0};
    rc = profiles_split(pid, &k->ids);
    if (rc < 0)
        return rc;
    for (uint8_t i = 0; i < k->ids.n; i++) {
        struct profile_entry *e =
            d->cfg.profile_ids != NULL ? profiles_get(d->cfg.profile_ids, k->ids.v[i]) : NULL;

        k->entries[i] = e;
        if (e != NULL) {
            k->bytes += e->links.n + 1;
            k->n++;
        } else if (k->unknown.n == 0) {
            k->unknown = k->ids.v[i];
        }
    }
    return ERR_OK;
}

static void let_go(struct known *k)
{
    for (uint8_t i = 0; i < k->ids.n; i++)
        profiles_unref(k->entries[i]);
}

bool pid_stands_alone(const struct objlist *list)
{
    return objlist_pool_find(list, OBJECT_SERVER) != NULL &&
           objlist_pool_find(list, OBJECT_DEVICE) != NULL;
}

bool pid_known(struct domain *d, struct view pid)
{
    struct known k;
    bool all;

    if (look_up(d, pid, &k) < 0)
        return false;
    all = k.unknown.n == 0;
    let_go(&k);
    return all;
}

/* A hash that is alone: only that can be learned, or refused in a way that teaches. */
static bool is_single_hash(const struct profile_ids *ids)
{
    enum profile_kind kind;

    return ids->n == 1 && profiles_kind(ids->v[0], &kind) == ERR_OK && kind == PROFILE_DYNAMIC;
}

/* ---- the union ------------------------------------------------------------------------------- */

static int parse(struct domain *d, const struct pid_question *q, struct view text,
                 struct objlist **ret_list)
{
    return q->old != NULL ? objlist_pool_update(d, q->old, text, ret_list)
                          : objlist_pool_parse(d, text, ret_list);
}

/* `told`: the list of the payload, NULL when there is none. */
static int unite(struct domain *d, const struct pid_question *q, const struct known *k,
                 const struct objlist *told, struct objlist **ret_list)
{
    const struct profile_entry *only = k->ids.n == 1 ? k->entries[0] : NULL;
    size_t n = told != NULL ? told->text.n : 0;
    uint8_t *text;

    /* Most devices: an id and nothing else, with a text that has been seen before. */
    if (only != NULL && n == 0)
        return parse(d, q, only->links, ret_list);
    text = arena_alloc(d->arena, n + k->bytes + 1);
    if (text == NULL)
        return ERR_NOMEM;
    if (n > 0)
        memcpy(text, told->text.p, n);
    for (uint8_t i = 0; i < k->ids.n; i++) {
        if (k->entries[i] == NULL)
            continue;
        if (n > 0)
            text[n++] = ',';
        memcpy(text + n, k->entries[i]->links.p, k->entries[i]->links.n);
        n += k->entries[i]->links.n;
    }
    return parse(d, q, view_of(text, n), ret_list);
}

static bool teaches(struct domain *d, const struct pid_question *q, const struct known *k)
{
    return d->cfg.profile_ids != NULL && q->endpoint.n > 0 && is_single_hash(&k->ids) &&
           (k->entries[0] == NULL || k->entries[0]->source == PROFILE_LEARNED) &&
           profiles_was_refused(d->cfg.profile_ids, q->endpoint, k->ids.v[0]);
}

static int resolve(struct domain *d, const struct pid_question *q, const struct known *k,
                   struct pid_answer *ret)
{
    struct objlist *told = NULL;
    bool whole;
    int rc;

    if (q->payload.n > 0) {
        rc = parse(d, q, q->payload, &told);
        if (rc < 0)
            return rc;
    }
    whole = told != NULL && pid_stands_alone(told);
    ret->teaches = whole && teaches(d, q, k);
    if (whole && (k->n == 0 || ret->teaches)) {
        ret->list = told;
        return ERR_OK;
    }
    rc = k->unknown.n > 0 && !whole ? ERR_PROFILE : unite(d, q, k, told, &ret->list);
    objlist_pool_unref(d, told);
    return rc;
}

int pid_resolve(struct domain *d, const struct pid_question *q, struct pid_answer *ret)
{
    struct known k;
    int rc = look_up(d, q->pid, &k);

    *ret = (struct pid_answer){.list = NULL};
    if (rc < 0)
        return rc;
    rc = resolve(d, q, &k, ret);
    ret->unknown = k.unknown;
    let_go(&k);
    return rc;
}

/* ---- refused, learned ------------------------------------------------------------------------ */

char *pid_detail(struct view unknown)
{
    struct buf b;
    char *text = NULL;

    buf_init(&b, PROFILE_ID_MAX + 64);
    buf_put_view(&b, unknown);
    buf_put_str(&b, " is not a known profile");
    if (b.rc == ERR_OK)
        text = mem_text(b.p, b.n);
    buf_fini(&b);
    return text;
}

/* Links that name no object, such as a root link, leave it alone. */
static bool is_alone(struct domain *d, struct view payload)
{
    struct objlist *list;
    bool alone;

    if (payload.n == 0)
        return true;
    if (objlist_pool_parse(d, payload, &list) < 0)
        return false;
    alone = list->count == 0;
    objlist_pool_unref(d, list);
    return alone;
}

void pid_refused(struct domain *d, const struct pid_question *q)
{
    struct profile_ids ids;

    counter_add(d->counters, COUNTER_profiles_unknown, 1);
    if (d->cfg.profile_ids != NULL && profiles_split(q->pid, &ids) == ERR_OK &&
        is_single_hash(&ids) && is_alone(d, q->payload))
        profiles_note_refusal(d->cfg.profile_ids, q->endpoint, ids.v[0]);
}

/* Without memory, or with a store that is full, it is known until the next restart. */
static void store(struct domain *d, enum txn_kind kind, struct view id, struct view links)
{
    struct txn *t = txn_new(kind);

    if (t == NULL)
        return;
    t->profile = mem_text(id.p, id.n);
    t->text = kind == TXN_PUT_PROFILE ? mem_text(links.p, links.n) : NULL;
    t->source = PROFILE_LEARNED;
    if (t->profile == NULL || (kind == TXN_PUT_PROFILE && t->text == NULL))
        txn_free(t);
    else
        (void)job_submit(d, NULL, t);
}

void pid_learn(struct domain *d, const struct device *dev, uint64_t now)
{
    struct view links = link_entries(dev->list);
    struct profiles_effect effect = {.changed = false};
    struct profile_ids ids;
    int rc = ERR_NOTFOUND;

    if (dev->rare != NULL && dev->rare->pid != NULL)
        rc = profiles_split(view_str(dev->rare->pid), &ids);
    if (rc == ERR_OK)
        rc = profiles_learn(d->cfg.profile_ids, ids.v[0], links, domain_unix_ms(d, now), &effect);
    if (rc < 0 && rc != ERR_EXISTS)
        counter_add(d->counters, COUNTER_profiles_dropped, 1);
    if (rc < 0)
        return;
    profiles_clear_refusal(d->cfg.profile_ids, device_endpoint(dev), ids.v[0]);
    if (!effect.changed)
        return;
    counter_add(d->counters, COUNTER_profiles_learned, 1);
    if (effect.conflict)
        counter_add(d->counters, COUNTER_profiles_conflicts, 1);
    if (effect.evicted) {
        counter_add(d->counters, COUNTER_profiles_evicted, 1);
        store(d, TXN_DEL_PROFILE, view_str(effect.gone), VIEW_NONE);
    }
    store(d, TXN_PUT_PROFILE, ids.v[0], links);
}
