/* notify.h - tells the service manager how a service is.
 *
 * Source: sd_notify(3) and sd_watchdog_enabled(3), whose protocol is promised to stay: datagrams of lines NAME=VALUE to
 * the socket that $NOTIFY_SOCKET names. Where there is no such variable, nothing is told and nothing fails: a program
 * may always call these. A message that cannot be sent is lost; the manager's own time limits say what follows. */
#ifndef GM_WATCH_NOTIFY_H
#define GM_WATCH_NOTIFY_H

#include "base/error.h"

#include <sys/socket.h>
#include <sys/un.h>

struct gm_notify {
	int socket;          /* -1: nobody is told */
	int64_t watchdog_us; /* a sign of life is wanted at least this often; 0: none is */
	struct sockaddr_un address;
	socklen_t address_bytes;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. The environment is left as it is. USAGE: NOTIFY_SOCKET is no
 * address. gm_notify_close also after a failure. */
enum gm_code gm_notify_open(struct gm_notify *notify, struct gm_error *err) GM_CHECK;
void gm_notify_close(struct gm_notify *notify);
/* The service has started: the manager has waited for this. */
void gm_notify_ready(const struct gm_notify *notify);
/* It is still starting, and wants to be given so much time from now on. */
void gm_notify_extend(const struct gm_notify *notify, int64_t us);
/* It is about to end. */
void gm_notify_stopping(const struct gm_notify *notify);
/* It lives. To be called about twice in each watchdog_us. */
void gm_notify_watchdog(const struct gm_notify *notify);
/* How it is, in one line, shown by `systemctl status`. */
void gm_notify_status(const struct gm_notify *notify, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
