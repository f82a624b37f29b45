#include "daemon/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void host_descriptors(uint64_t needed)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed)
        log_warn("the descriptor limit is low; raise LimitNOFILE", log_u64("limit", limit.rlim_cur),
                 log_u64("needed", needed));
}

void host_receive_buffer(uint64_t wanted, int granted)
{
    /* Linux answers with twice what it counts for the payload (socket(7)). */
    if (granted > 0 && (uint64_t)granted < wanted)
        log_warn("the socket buffer is small; raise net.core.rmem_max to survive bursts",
                 log_u64("wanted", wanted), log_i64("granted", granted));
}

static bool read_number(const char *path, uint64_t *ret)
{
    char text[32] = "";
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return false;
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    return view_u64(view_of(text, n), UINT64_MAX, ret) == ERR_OK;
}

void host_conntrack(void)
{
    uint64_t max;

    if (read_number("/proc/sys/net/netfilter/nf_conntrack_max", &max) && max < 2000000)
        log_warn(
            "connection tracking is on and may run out of entries; exempt the CoAP ports (notrack)",
            log_u64("nf_conntrack_max", max));
}

int host_folder(const char *path)
{
    struct stat st;
    int why;

    if (mkdir(path, 0750) == 0)
        return ERR_OK;
    why = errno;
    if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ERR_OK;
    return why == EACCES || why == EPERM ? ERR_FORBIDDEN : ERR_IO;
}

int host_lock(const char *data_dir)
{
    char path[4096];
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/lock", data_dir) >= sizeof(path))
        return ERR_LIMIT;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return errno == EACCES ? ERR_FORBIDDEN : ERR_IO;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return ERR_BUSY;
    }
    return ERR_OK; /* the kernel lets go of it with the process */
}
