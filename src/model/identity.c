#include "model/model.h"

const char *identity_type_name(enum identity_type t)
{
    static const char *const names[IDENTITY_TYPE_COUNT] = {
        [IDENTITY_NONE] = "none", [IDENTITY_PSK] = "psk",       [IDENTITY_RPK] = "rpk",
        [IDENTITY_X509] = "x509", [IDENTITY_OSCORE] = "oscore",
    };

    return (unsigned)t < IDENTITY_TYPE_COUNT ? names[t] : "unknown";
}

bool identity_eq(const struct identity *a, const struct identity *b)
{
    return a->type == b->type && view_eq(a->name, b->name);
}

uint64_t identity_hash(const struct hash_key *key, const struct identity *id)
{
    uint64_t h;

    if (id->type == IDENTITY_NONE)
        return 0;
    h = hash_bytes(key, id->name) ^ hash_u64(key, (uint64_t)id->type);
    return h ? h : 1;
}
