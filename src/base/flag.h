/* flag.h - an int that a signal handler or another thread sets, and that others look at: `stop` and its like. What was
 * written before it is set is not made visible by it. */
#ifndef GM_BASE_FLAG_H
#define GM_BASE_FLAG_H

#include <stdbool.h>
#include <stddef.h>

/* Whether it is not 0; NULL never is. */
static inline bool gm_flag_is_set(const volatile int *flag)
{
	return flag != NULL && __atomic_load_n(flag, __ATOMIC_RELAXED) != 0;
}

/* Safe in a signal handler. */
static inline void gm_flag_set(volatile int *flag, int value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELAXED);
}

#endif
