#include "base/clock.h"

#include <time.h>

static int64_t time_by(clockid_t clock)
{
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t gm_clock_steady_us(void)
{
	return time_by(CLOCK_MONOTONIC);
}

int64_t gm_clock_wall_us(void)
{
	return time_by(CLOCK_REALTIME);
}
