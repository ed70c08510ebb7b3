/* profile.h - the time of a call of the public interface, by stages: gm_run_options.profile. */
#ifndef GM_RUN_PROFILE_H
#define GM_RUN_PROFILE_H

#include "base/stopwatch.h"

struct gm_profiling {
	bool wanted;
	double cpu_ns; /* of the process when it began */
	struct gm_stopwatch watch;
	struct gm_stopwatch_hand hand; /* of the calling thread */
};

/* Before the stores are opened and after they are closed, by the same thread: their threads take part. */
void gm_profile_begin(struct gm_profiling *profiling, bool wanted);
void gm_profile_end(struct gm_profiling *profiling, struct gm_profile *out);

#endif
