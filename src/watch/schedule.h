/* schedule.h - when the next run begins, and why. It knows no clock and waits for nothing: it is told the time (of a
 * clock that only goes forward) and chance, and says when.
 *
 * Whatever begins first:
 *   - at the start, at once;
 *   - what was told of: batch_objects of them, or batch_bytes, or batch_age after the first, or no more can be held;
 *   - `every`, with jitter, after the last run that succeeded, told of or not: what was told and got lost is found so;
 *   - after a run that failed, and then nothing else: a second, doubled each time up to five minutes or `every`. */
#ifndef GM_WATCH_SCHEDULE_H
#define GM_WATCH_SCHEDULE_H

#include "base/error.h"

/* What waits. */
struct gm_told {
	uint64_t objects, bytes;
	int64_t first_us; /* when the first was told of, by the clock of the schedule */
	bool full;        /* no more can be held */
	bool quiet;       /* nothing more is coming: why wait? */
};

enum gm_wake { GM_WAKE_NOT, GM_WAKE_START, GM_WAKE_TOLD, GM_WAKE_TIMER, GM_WAKE_RETRY };

struct gm_schedule {
	int64_t every_us, batch_age_us;
	uint64_t batch_objects, batch_bytes;
	unsigned failures; /* in a row */
	bool started;
	int64_t timer_us, retry_us; /* when; retry_us counts while there are failures */
	uint64_t chance;            /* state of the sequence that jitter comes from */
};

/* The limits are those of the job; seed: any number, other for each process. */
void gm_schedule_init(struct gm_schedule *schedule, int64_t every_us, uint64_t batch_objects, uint64_t batch_bytes,
                      int64_t batch_age_us, uint64_t seed);
/* Is it time? If not, *until_us is when to ask again, if nothing more is told before. */
enum gm_wake gm_schedule_look(const struct gm_schedule *schedule, const struct gm_told *told, int64_t now_us,
                              int64_t *until_us);
/* How a run has ended. What is HOPELESS costs much and fails again until somebody mends something: it is not tried
 * before `every` is over. Returns when the next is tried after a failure, as a delay; 0 after success. */
enum gm_run_end { GM_RUN_SUCCEEDED, GM_RUN_FAILED, GM_RUN_HOPELESS };
int64_t gm_schedule_ended(struct gm_schedule *schedule, enum gm_run_end how, int64_t now_us);
/* What may have stood in the way is gone: after a failure the next attempt is made at this time, if not before. */
void gm_schedule_hurry(struct gm_schedule *schedule, int64_t until_us);

#endif
