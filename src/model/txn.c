#include "model/model.h"

struct txn *txn_new(enum txn_kind kind)
{
    struct txn *t = mem_new(sizeof *t);

    if (t == NULL)
        return NULL;
    t->kind = kind;
    t->observation.format = FORMAT_NONE;
    return t;
}

void txn_free(struct txn *t)
{
    if (t == NULL)
        return;
    mem_free(t->registration);
    mem_free(t->renewals);
    mem_free(t->text);
    mem_free(t);
}
