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

void txn_uncarry(struct txn *t)
{
    for (size_t i = 0; i < t->carried_observation_count; i++)
        mem_free(t->carried_observations[i]);
    for (size_t i = 0; i < t->carried_operation_count; i++)
        mem_free(t->carried_operations[i]);
    mem_free(t->carried_observations);
    mem_free(t->carried_operations);
    t->carried_observations = NULL;
    t->carried_operations = NULL;
    t->carried_observation_count = t->carried_operation_count = 0;
}

void txn_free(struct txn *t)
{
    if (t == NULL)
        return;
    mem_free(t->registration);
    mem_free(t->renewals);
    mem_free(t->operation);
    for (size_t i = 0; i < t->entry_count; i++)
        batch_free(t->entries[i].values);
    mem_free(t->entries);
    mem_free(t->bytes);
    mem_free(t->profile);
    txn_uncarry(t);
    mem_free(t->text);
    mem_free(t);
}
