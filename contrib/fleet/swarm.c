#include "fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* 127.0.0.0/16 is left to servers and resolvers, 127.255.255.255 is a broadcast address. */
#define FIRST_ADDRESS 0x7f010000u
#define LAST_ADDRESS 0x7ffffffeu
#define MAGIC 0x31746c6665657461u

struct state_header {
    uint64_t magic;
    uint64_t count;
    uint64_t first;
    char prefix[40];
};

_Static_assert(sizeof(struct swarm_device) == 32, "a device at rest");
_Static_assert(sizeof(struct state_header) == 64, "devices start at a cache line");

static void new_devices(struct swarm *s, uint64_t seed)
{
    struct hash_key key = {seed, MAGIC};

    for (size_t i = 0; i < s->count; i++)
        s->devices[i].mid = (uint16_t)hash_u64(&key, i);
}

/* The file is the memory: a run that is killed loses nothing it was told. */
static int map_state(const struct options *o, struct swarm *s)
{
    struct state_header want = {.magic = MAGIC, .count = s->count, .first = s->first};
    struct state_header *have;
    struct stat st;
    int fd = open(o->state, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return ERR_IO;
    snprintf(want.prefix, sizeof(want.prefix), "%s", o->prefix);
    s->map_size = sizeof(want) + s->count * sizeof(*s->devices);
    if (fstat(fd, &st) < 0 || (st.st_size == 0 && ftruncate(fd, (off_t)s->map_size) < 0)) {
        close(fd);
        return ERR_IO;
    }
    if (st.st_size != 0 && (size_t)st.st_size != s->map_size) {
        close(fd);
        return ERR_INVALID;
    }
    s->map = mmap(NULL, s->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return ERR_NOMEM;
    }
    have = s->map;
    s->devices = (struct swarm_device *)(void *)(have + 1);
    if (st.st_size == 0) {
        *have = want;
        new_devices(s, o->seed);
    } else if (memcmp(have, &want, sizeof(want)) != 0) {
        swarm_close(s);
        return ERR_INVALID;
    }
    return ERR_OK;
}

int swarm_open(const struct options *o, struct swarm *ret_swarm)
{
    struct swarm s = {.count = (size_t)o->devices, .first = (uint32_t)o->first};
    int rc;

    if (o->first + o->devices > LAST_ADDRESS - FIRST_ADDRESS + 1)
        return ERR_LIMIT;
    if (o->state) {
        rc = map_state(o, &s);
        if (rc < 0)
            return rc;
    } else {
        s.devices = mem_new(s.count * sizeof(*s.devices));
        if (!s.devices)
            return ERR_NOMEM;
        new_devices(&s, o->seed);
    }
    for (size_t i = 0; i < s.count; i++)
        s.devices[i].slot = SWARM_NO_SLOT;
    *ret_swarm = s;
    return ERR_OK;
}

void swarm_close(struct swarm *s)
{
    if (s->map)
        munmap(s->map, s->map_size);
    else
        mem_free(s->devices);
    s->map = NULL;
    s->devices = NULL;
}

size_t swarm_registered(const struct swarm *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++)
        n += s->devices[i].id_len > 0;
    return n;
}

uint32_t swarm_address(const struct swarm *s, uint32_t device)
{
    return FIRST_ADDRESS + s->first + device;
}

bool swarm_find(const struct swarm *s, uint32_t address, uint32_t *ret_device)
{
    uint32_t device = address - FIRST_ADDRESS - s->first;

    if (device >= s->count)
        return false;
    *ret_device = device;
    return true;
}

void swarm_take_location(struct swarm_device *dev, const struct pdu *answer)
{
    struct pdu_iter it = pdu_iter_init(answer);
    struct view value;
    uint32_t number;

    while (pdu_iter_next(&it, &number, &value))
        if (number == PDU_LOCATION_PATH && value.n > 0 && value.n <= SWARM_ID_MAX) {
            memcpy(dev->id, value.p, value.n);
            dev->id_len = (uint8_t)value.n;
        }
}
