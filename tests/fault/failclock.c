/* failclock.c - a clock that is wrong.
 *
 *   FAULT_CLOCK_SHIFT=S    the wall clock is off by S seconds, which may be negative
 *   FAULT_CLOCK_FROM=N     only from the Nth reading on: it is set while the program runs
 *   FAULT_CLOCK_REPORT=F   at exit "<readings> <shifted>" is appended to the file F
 *
 * Only the wall clock: what measures time that passes is never set. File systems stamp files with the kernel's
 * clock. */
#include "shim.h"

#include <sys/time.h>
#include <time.h>

static struct shim shim;
static int64_t shift;

__attribute__((constructor)) static void arm(void)
{
	char text[32];
	shim_setting("FAULT_CLOCK_SHIFT", text, sizeof text);
	shift = strtoll(text, NULL, 10);
	shim.at = shim_number("FAULT_CLOCK_FROM");
	if (shim.at == 0) shim.at = 1;
	shim.from = true;
	shim_setting("FAULT_CLOCK_REPORT", shim.report, sizeof shim.report);
	shim.armed = true;
}

__attribute__((destructor)) static void report(void)
{
	shim_report(&shim);
	shim.armed = false;
}

static int64_t offset(void)
{
	return shim.armed && shim_is_due(&shim, shim_next(&shim)) ? shift : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, now);
	if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
	return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int failed = (int)syscall(SYS_gettimeofday, now, zone);
	if (failed == 0) now->tv_sec += offset();
	return failed;
}

time_t time(time_t *out)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
	if (out != NULL) *out = now.tv_sec;
	return now.tv_sec;
}
