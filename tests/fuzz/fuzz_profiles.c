/* Profile IDs: each part of an accepted pid is an id, lies inside, and is accepted alone. */
#include "model/model.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view pid = view_of(data, size);
    struct profile_ids ids, again;
    enum profile_kind kind, kind_again;

    if (profiles_split(pid, &ids) != ERR_OK)
        return 0;
    require(ids.n > 0 && ids.n <= PROFILE_IDS_MAX);
    for (size_t i = 0; i < ids.n; i++) {
        struct view id = ids.v[i];

        require(id.p >= data && id.p + id.n <= data + size && id.n <= PROFILE_ID_MAX);
        require(profiles_kind(id, &kind) == ERR_OK);
        require(profiles_split(id, &again) == ERR_OK && again.n == 1 && view_eq(again.v[0], id));
        require(profiles_kind(again.v[0], &kind_again) == ERR_OK && kind == kind_again);
        require(memchr(id.p, '"', id.n) == NULL && memchr(id.p, ',', id.n) == NULL);
    }
    return 0;
}
