/* Private to daemon: what the host must offer, said at start-up. */
#ifndef DAEMON_HOST_H
#define DAEMON_HOST_H

#include "base/base.h"

/* Raises the descriptor limit as far as allowed and warns when it stays below `needed`. */
void host_descriptors(uint64_t needed);
/* Warns when the kernel granted less receive buffer than was asked for. */
void host_receive_buffer(uint64_t wanted, int granted);
/* Warns when connection tracking would count every device. */
void host_conntrack(void);
/* Makes the folder when it is missing (0750). */
int host_folder(const char *path);
/* Takes the lock of a data folder for the life of the process. ERR_BUSY: another server has it. */
int host_lock(const char *data_dir);

#endif
