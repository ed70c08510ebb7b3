#include "watch/schedule.h"

#include "base/time.h"

static const int64_t retry_first_us = GM_US_PER_SECOND, retry_most_us = 300 * GM_US_PER_SECOND;

/* 0 .. 1, by splitmix64 (Steele, Lea, Flood 2014): jitter needs no better chance. */
static double draw(struct gm_schedule *schedule)
{
	uint64_t z = schedule->chance += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0; /* 2^53 */
}

/* Within a tenth of the time given, both ways: watchers that were started together do not stay in step. */
static int64_t jittered(struct gm_schedule *schedule, int64_t us)
{
	return (int64_t)((double)us * (0.9 + 0.2 * draw(schedule)));
}

void gm_schedule_init(struct gm_schedule *schedule, int64_t every_us, uint64_t batch_objects, uint64_t batch_bytes,
                      int64_t batch_age_us, uint64_t seed)
{
	*schedule = (struct gm_schedule){.every_us = every_us,
	                                 .batch_objects = batch_objects,
	                                 .batch_bytes = batch_bytes,
	                                 .batch_age_us = batch_age_us,
	                                 .chance = seed};
}

static bool is_ready(const struct gm_schedule *s, const struct gm_told *told, int64_t now_us)
{
	if (told->objects == 0) return false;
	return told->full || told->quiet || told->objects >= s->batch_objects || told->bytes >= s->batch_bytes ||
	       now_us - told->first_us >= s->batch_age_us;
}

enum gm_wake gm_schedule_look(const struct gm_schedule *schedule, const struct gm_told *told, int64_t now_us,
                              int64_t *until_us)
{
	*until_us = now_us;
	if (!schedule->started) return GM_WAKE_START;
	if (schedule->failures > 0) {
		*until_us = schedule->retry_us;
		return now_us >= schedule->retry_us ? GM_WAKE_RETRY : GM_WAKE_NOT;
	}
	if (is_ready(schedule, told, now_us)) return GM_WAKE_TOLD;
	if (now_us >= schedule->timer_us) return GM_WAKE_TIMER;
	*until_us = schedule->timer_us;
	if (told->objects > 0 && told->first_us + schedule->batch_age_us < *until_us)
		*until_us = told->first_us + schedule->batch_age_us;
	return GM_WAKE_NOT;
}

static int64_t retry_after(struct gm_schedule *s)
{
	int64_t most = s->every_us < retry_most_us ? s->every_us : retry_most_us, us = retry_first_us;
	for (unsigned i = 1; i < s->failures && us < most; i++) us *= 2;
	return jittered(s, us < most ? us : most);
}

int64_t gm_schedule_ended(struct gm_schedule *schedule, enum gm_run_end how, int64_t now_us)
{
	schedule->started = true;
	if (how == GM_RUN_SUCCEEDED) {
		schedule->failures = 0;
		schedule->timer_us = now_us + jittered(schedule, schedule->every_us);
		return 0;
	}
	if (schedule->failures < 64) schedule->failures++;
	int64_t delay = how == GM_RUN_HOPELESS ? jittered(schedule, schedule->every_us) : retry_after(schedule);
	schedule->retry_us = now_us + delay;
	return delay;
}

void gm_schedule_hurry(struct gm_schedule *schedule, int64_t until_us)
{
	if (until_us < schedule->retry_us) schedule->retry_us = until_us;
}
