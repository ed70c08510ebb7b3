/* notify.c - the protocol of sd_notify(3), without libsystemd: it is a datagram.
 *
 * $NOTIFY_SOCKET is an absolute path, or '@' and a name: a socket in Linux's abstract namespace, whose address begins
 * with a NUL where the '@' stands and ends where the name does. A datagram holds lines NAME=VALUE; the last needs no
 * line break. $WATCHDOG_USEC is how often a sign of life is wanted at least, in microseconds, of the process
 * $WATCHDOG_PID; without the latter, of any. */
#include "watch/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { STATUS_BYTES = 1024 };

static enum gm_code set_address(struct gm_notify *notify, const char *path, struct gm_error *err)
{
	size_t n = strlen(path);
	struct sockaddr_un *address = &notify->address;
	address->sun_family = AF_UNIX;
	if ((path[0] != '/' && path[0] != '@') || n < 2)
		GM_FAIL(err, GM_USAGE, "NOTIFY_SOCKET is '%s', neither an absolute path nor '@' and a name", path);
	/* A path ends in a NUL, for which there must be room too. */
	if (n + (path[0] == '/') > sizeof address->sun_path)
		GM_FAIL(err, GM_USAGE, "NOTIFY_SOCKET has %zu characters, more than the address of a socket can have", n);
	memcpy(address->sun_path, path, n);
	if (path[0] == '@') address->sun_path[0] = '\0';
	notify->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
	return GM_OK;
}

/* A whole decimal number that is not 0; 0: it is none. */
static int64_t number_of(const char *text)
{
	int64_t number = 0;
	if (text[0] == '\0') return 0;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || number > INT64_MAX / 10 - 1) return 0;
		number = number * 10 + (*text - '0');
	}
	return number;
}

static int64_t read_watchdog(void)
{
	const char *wanted = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
	if (wanted == NULL || (whose != NULL && number_of(whose) != (int64_t)getpid())) return 0;
	return number_of(wanted);
}

enum gm_code gm_notify_open(struct gm_notify *notify, struct gm_error *err)
{
	static const struct timeval patience = {.tv_sec = 1};
	const char *path = getenv("NOTIFY_SOCKET");
	*notify = (struct gm_notify){.socket = -1};
	if (path == NULL || path[0] == '\0') return GM_OK;
	GM_TRY(set_address(notify, path, err));
	notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify->socket < 0) return gm_error_errno(err, errno, path, "telling the service manager");
	/* Not for ever, where the manager does not read: a service must not hang because of who watches it. */
	(void)setsockopt(notify->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	notify->watchdog_us = read_watchdog();
	return GM_OK;
}

void gm_notify_close(struct gm_notify *notify)
{
	if (notify->socket >= 0) (void)close(notify->socket);
	*notify = (struct gm_notify){.socket = -1};
}

/* The address is looked up each time: a manager that was started anew has another socket there. */
static void tell(const struct gm_notify *notify, const char *text)
{
	const struct sockaddr *to = (const struct sockaddr *)&notify->address;
	ssize_t sent;
	if (notify->socket < 0) return;
	do sent = sendto(notify->socket, text, strlen(text), MSG_NOSIGNAL, to, notify->address_bytes);
	while (sent < 0 && errno == EINTR);
}

void gm_notify_ready(const struct gm_notify *notify)
{
	tell(notify, "READY=1");
}

void gm_notify_extend(const struct gm_notify *notify, int64_t us)
{
	char text[64];
	(void)snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%" PRId64, us);
	tell(notify, text);
}

void gm_notify_stopping(const struct gm_notify *notify)
{
	tell(notify, "STOPPING=1");
}

void gm_notify_watchdog(const struct gm_notify *notify)
{
	tell(notify, "WATCHDOG=1");
}

void gm_notify_status(const struct gm_notify *notify, const char *format, ...)
{
	char text[STATUS_BYTES] = "STATUS=";
	size_t n = strlen(text);
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text + n, sizeof text - n, format, args);
	va_end(args);
	for (char *at = text; *at != '\0'; at++)
		if (*at == '\n') *at = ' '; /* what follows would be another message */
	tell(notify, text);
}
