/* clock.h - what time it is, in microseconds. Who decides by it takes a clock from its caller, so that tests can. */
#ifndef GM_BASE_CLOCK_H
#define GM_BASE_CLOCK_H

#include <stdint.h>

/* Of a clock that only goes forward, from anywhere. */
int64_t gm_clock_steady_us(void);
/* Since 1970; people set it, back and forth. */
int64_t gm_clock_wall_us(void);

#endif
