/* parallel.h - many like calls at once, where each of them is mostly waiting. */
#ifndef GM_BASE_PARALLEL_H
#define GM_BASE_PARALLEL_H

#include "base/error.h"

typedef enum gm_code gm_parallel_fn(void *context, size_t index, struct gm_error *err);

/* Calls fn for 0 .. count - 1, begun in that order, up to `threads` of them at once, this thread's among them. A
 * failure ends the calls behind it that have not begun; those before it are always made, so that of several failures
 * the one with the lowest index is told, whichever came first. threads 0 or 1: one after the other, here, up to the
 * first failure. Threads that cannot be started are done without. */
enum gm_code gm_parallel(size_t count, unsigned threads, gm_parallel_fn *fn, void *context,
                         struct gm_error *err) GM_CHECK;

#endif
