/* stopwatch.h - where the processor's time goes: CPU seconds of each stage of a run, over all its threads.
 *
 * A thread that takes part is always in one stage. Entering another charges what has passed to the one that is left: so
 * an inner stage is taken off the outer one, nothing counts twice and nothing is left out. What the process spends in
 * threads that do not take part shows as GM_STAGE_REST.
 *
 * Stages change some twenty times for a chunk of half a megabyte or a page, never for a record: see stopwatch.c for
 * what that costs. A thread that does not take part pays for a call and a branch. Which watch a thread takes part in is
 * known to the thread alone (thread-local), not to every function on the way down: shredder and encoder need not know
 * whose work they do. */
#ifndef GM_BASE_STOPWATCH_H
#define GM_BASE_STOPWATCH_H

#include <pthread.h>

#include "gristmill.h"

/* Of a stage: how long its threads computed and how long they stood in it otherwise, and what passed through. */
struct gm_stage_sum {
	double cpu_ns, wait_ns;
	uint64_t bytes;
};

/* What all threads that have left have spent. */
struct gm_stopwatch {
	pthread_mutex_t lock;
	struct gm_stage_sum sums[GM_STAGE_COUNT];
};

/* Of a thread that takes part: lives on its stack from gm_stopwatch_join to gm_stopwatch_leave. */
struct gm_stopwatch_hand {
	struct gm_stopwatch *watch;
	struct gm_stopwatch_hand *before; /* of the same thread, to come back */
	enum gm_stage stage;
	uint64_t tick;              /* when it was entered */
	uint64_t cpu_ns, steady_ns; /* when the lap began */
	uint64_t ticks[GM_STAGE_COUNT];
	struct gm_stage_sum sums[GM_STAGE_COUNT];
};

void gm_stopwatch_init(struct gm_stopwatch *watch);
void gm_stopwatch_release(struct gm_stopwatch *watch);

/* The calling thread takes part from now on, beginning in `stage`. watch NULL: it does not. A thread that another one
 * starts takes part in what that one does: hand it gm_stopwatch_mine() and let it join. The watch must live until all
 * have left. */
void gm_stopwatch_join(struct gm_stopwatch *watch, struct gm_stopwatch_hand *hand, enum gm_stage stage);
void gm_stopwatch_leave(struct gm_stopwatch_hand *hand);
/* The watch that the calling thread takes part in, NULL: none; and the stage that it is in. */
struct gm_stopwatch *gm_stopwatch_mine(void);
enum gm_stage gm_stopwatch_stage(void);

/* The calling thread enters a stage. Gives the one that it was in: enter that when the work is done. */
enum gm_stage gm_stage_enter(enum gm_stage stage);
/* That many bytes have passed through the stage. */
void gm_stage_bytes(enum gm_stage stage, uint64_t bytes);

#endif
