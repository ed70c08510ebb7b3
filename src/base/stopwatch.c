/* stopwatch.c - two clocks, since the right one is dear.
 *
 * What a thread has computed, preempted or not, only the kernel knows. CLOCK_THREAD_CPUTIME_ID is a system call: 0.2
 * microseconds on bare metal, 3 in some virtual machines. The processor's counter of ticks costs hundredths of that,
 * but goes on while the thread sleeps or somebody else has the processor. So the kernel is asked where a stage begins
 * or ends that may wait for something (reading, writing, syncing, having nothing to do). What it says of the lap
 * between two such questions, all of it computing, is shared out among the lap's stages by their ticks. Losing the
 * processor in a lap may hit any stage, in proportion to its length: over many laps that evens out. */
#include "base/stopwatch.h"

#include <string.h>
#include <time.h>

static _Thread_local struct gm_stopwatch_hand *mine; /* NULL: this thread takes part in nothing */

/* Stages in which a thread may sleep. GM_STAGE_REST is not among them, though whoever waits for the workers is in it:
 * it comes from such a stage and goes to one, and between its turns a worker passes through it often. */
static const bool may_wait[GM_STAGE_COUNT] = {
    [GM_STAGE_PLAN] = true,    [GM_STAGE_READ] = true,     [GM_STAGE_WRITE] = true,
    [GM_STAGE_SYNC] = true,    [GM_STAGE_PUBLISH] = true,  [GM_STAGE_COMMIT] = true,
    [GM_STAGE_CATALOG] = true, [GM_STAGE_TRANSFER] = true, [GM_STAGE_IDLE] = true,
};

static uint64_t ns_of(clockid_t clock)
{
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Of whatever length: only their proportions count. */
static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return ns_of(CLOCK_MONOTONIC);
#endif
}

static void charge(struct gm_stopwatch_hand *hand)
{
	uint64_t now = ticks_now();
	/* Counters of two processors may differ by a little. */
	if (now > hand->tick) hand->ticks[hand->stage] += now - hand->tick;
	hand->tick = now;
}

/* Shares out the lap that ends here; the next one begins. */
static void end_lap(struct gm_stopwatch_hand *hand)
{
	uint64_t cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID), steady_ns = ns_of(CLOCK_MONOTONIC);
	double cpu = (double)(cpu_ns - hand->cpu_ns), steady = (double)(steady_ns - hand->steady_ns), all = 0;
	double wait = steady > cpu ? steady - cpu : 0;
	for (size_t i = 0; i < GM_STAGE_COUNT; i++) all += (double)hand->ticks[i];
	if (all <= 0) hand->ticks[hand->stage] = 1, all = 1;
	for (size_t i = 0; i < GM_STAGE_COUNT; i++) {
		hand->sums[i].cpu_ns += cpu * (double)hand->ticks[i] / all;
		hand->sums[i].wait_ns += wait * (double)hand->ticks[i] / all;
	}
	memset(hand->ticks, 0, sizeof hand->ticks);
	hand->cpu_ns = cpu_ns;
	hand->steady_ns = steady_ns;
}

void gm_stopwatch_init(struct gm_stopwatch *watch)
{
	*watch = (struct gm_stopwatch){0};
	(void)pthread_mutex_init(&watch->lock, NULL);
}

void gm_stopwatch_release(struct gm_stopwatch *watch)
{
	(void)pthread_mutex_destroy(&watch->lock);
}

void gm_stopwatch_join(struct gm_stopwatch *watch, struct gm_stopwatch_hand *hand, enum gm_stage stage)
{
	*hand = (struct gm_stopwatch_hand){.watch = watch, .before = mine, .stage = stage};
	if (watch == NULL) return;
	mine = hand;
	hand->cpu_ns = ns_of(CLOCK_THREAD_CPUTIME_ID);
	hand->steady_ns = ns_of(CLOCK_MONOTONIC);
	hand->tick = ticks_now();
}

void gm_stopwatch_leave(struct gm_stopwatch_hand *hand)
{
	struct gm_stopwatch *watch = hand->watch;
	if (watch == NULL) return;
	charge(hand);
	end_lap(hand);
	mine = hand->before;
	(void)pthread_mutex_lock(&watch->lock);
	for (size_t i = 0; i < GM_STAGE_COUNT; i++) {
		watch->sums[i].cpu_ns += hand->sums[i].cpu_ns;
		watch->sums[i].wait_ns += hand->sums[i].wait_ns;
		watch->sums[i].bytes += hand->sums[i].bytes;
	}
	(void)pthread_mutex_unlock(&watch->lock);
}

struct gm_stopwatch *gm_stopwatch_mine(void)
{
	return mine != NULL ? mine->watch : NULL;
}

enum gm_stage gm_stopwatch_stage(void)
{
	return mine != NULL ? mine->stage : GM_STAGE_REST;
}

static enum gm_stage change(struct gm_stopwatch_hand *hand, enum gm_stage stage)
{
	enum gm_stage before = hand->stage;
	if (stage == before) return before;
	charge(hand);
	if (may_wait[before] || may_wait[stage]) end_lap(hand);
	hand->stage = stage;
	return before;
}

enum gm_stage gm_stage_enter(enum gm_stage stage)
{
	struct gm_stopwatch_hand *hand = mine;
	return hand != NULL ? change(hand, stage) : stage;
}

void gm_stage_bytes(enum gm_stage stage, uint64_t bytes)
{
	if (mine != NULL) mine->sums[stage].bytes += bytes;
}
