/* Private to daemon: sd_notify(3), which is one datagram. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "WATCHDOG=1", "STATUS=…"; silent without a service manager. */
void notify_send(const char *state);
/* Half of the interval the service manager wants to hear from us, ms; 0 = no watchdog. */
uint64_t notify_watchdog_ms(void);

#endif
