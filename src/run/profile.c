#include "run/profile.h"

#include <time.h>

static const char *const names[GM_STAGE_COUNT] = {
#define X(name, text, what) [GM_STAGE_##name] = (text),
    GM_STAGES(X)
#undef X
};

static const char *const texts[GM_STAGE_COUNT] = {
#define X(name, text, what) [GM_STAGE_##name] = (what),
    GM_STAGES(X)
#undef X
};

const char *gm_stage_name(enum gm_stage stage)
{
	return names[stage];
}

const char *gm_stage_text(enum gm_stage stage)
{
	return texts[stage];
}

static double process_ns(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void gm_profile_begin(struct gm_profiling *profiling, bool wanted)
{
	*profiling = (struct gm_profiling){.wanted = wanted};
	if (!wanted) return;
	profiling->cpu_ns = process_ns();
	gm_stopwatch_init(&profiling->watch);
	gm_stopwatch_join(&profiling->watch, &profiling->hand, GM_STAGE_PLAN);
}

void gm_profile_end(struct gm_profiling *profiling, struct gm_profile *out)
{
	*out = (struct gm_profile){.taken = profiling->wanted};
	if (!profiling->wanted) return;
	gm_stopwatch_leave(&profiling->hand);
	double all = process_ns() - profiling->cpu_ns, sum = 0;
	for (size_t i = 0; i < GM_STAGE_COUNT; i++) {
		const struct gm_stage_sum *from = &profiling->watch.sums[i];
		bool waits = i != GM_STAGE_TRANSFER && i != GM_STAGE_REST;
		out->stages[i] = (struct gm_stage_time){from->cpu_ns / 1e9, waits ? from->wait_ns / 1e9 : 0, from->bytes};
		sum += from->cpu_ns;
	}
	/* What the process has spent beyond that, it spent in threads that do not take part. */
	if (all > sum) out->stages[GM_STAGE_REST].cpu_seconds += (all - sum) / 1e9;
	out->cpu_seconds = (all > sum ? all : sum) / 1e9;
	gm_stopwatch_release(&profiling->watch);
}
