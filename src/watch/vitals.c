#include "watch/vitals.h"

#include "base/clock.h"
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>

void gm_vitals_init(struct gm_vitals *vitals, int64_t every_us)
{
	int64_t least_us = GM_VITALS_SECONDS_MIN * GM_US_PER_SECOND;
	*vitals = (struct gm_vitals){.patience_us = 2 * every_us > least_us ? 2 * every_us : least_us,
	                             .success_us = gm_clock_steady_us()};
	(void)pthread_mutex_init(&vitals->lock, NULL);
}

void gm_vitals_release(struct gm_vitals *vitals)
{
	(void)pthread_mutex_destroy(&vitals->lock);
}

uint64_t gm_vitals_ended(struct gm_vitals *vitals, const struct gm_error *failed)
{
	(void)pthread_mutex_lock(&vitals->lock);
	uint64_t before = vitals->failures;
	if (failed == NULL) {
		vitals->failures = 0;
		vitals->hopeless = false;
		vitals->success_us = gm_clock_steady_us();
	} else {
		vitals->failures++;
		vitals->hopeless = failed->code == GM_QUARANTINE;
		(void)snprintf(vitals->why, sizeof vitals->why, "%.250s", failed->message);
	}
	(void)pthread_mutex_unlock(&vitals->lock);
	return before;
}

void gm_vitals_moved(struct gm_vitals *vitals, uint64_t done)
{
	(void)pthread_mutex_lock(&vitals->lock);
	if (done > vitals->moved) vitals->success_us = gm_clock_steady_us();
	vitals->moved = done;
	(void)pthread_mutex_unlock(&vitals->lock);
}

bool gm_vitals_check(void *context, char why[GM_HTTP_WHY_BYTES])
{
	struct gm_vitals *vitals = context;
	(void)pthread_mutex_lock(&vitals->lock);
	int64_t without_us = gm_clock_steady_us() - vitals->success_us;
	bool failing = vitals->failures >= GM_VITALS_FAILURES || vitals->hopeless, late = without_us > vitals->patience_us;
	if (failing && vitals->failures == 1)
		(void)snprintf(why, GM_HTTP_WHY_BYTES, "the last run failed: %s", vitals->why);
	else if (failing)
		(void)snprintf(why, GM_HTTP_WHY_BYTES, "the last %" PRIu64 " runs failed: %s", vitals->failures, vitals->why);
	else if (late)
		(void)snprintf(why, GM_HTTP_WHY_BYTES, "no run has succeeded for %" PRId64 " s", without_us / GM_US_PER_SECOND);
	(void)pthread_mutex_unlock(&vitals->lock);
	return !failing && !late;
}
