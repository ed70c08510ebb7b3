/* vitals.h - is the process well? What /healthz answers, from another thread. */
#ifndef GM_WATCH_VITALS_H
#define GM_WATCH_VITALS_H

#include "watch/http_server.h"

#include <pthread.h>

enum {
	GM_VITALS_FAILURES = 2,     /* runs that failed one after the other: it is not well */
	GM_VITALS_SECONDS_MIN = 60, /* without success, at least, before it is not well */
};
struct gm_vitals {
	pthread_mutex_t lock; /* of all below */
	int64_t patience_us;  /* without success for longer: it is not well */
	int64_t success_us;   /* the last, or the beginning, or when a run last got on; by a clock that only goes forward */
	uint64_t moved;       /* what a run had done then */
	uint64_t failures;    /* in a row */
	bool hopeless;        /* the last of them was one that waits for somebody to mend something */
	char why[256];        /* of the last failure */
};
void gm_vitals_init(struct gm_vitals *vitals, int64_t every_us);
void gm_vitals_release(struct gm_vitals *vitals);
/* A run has ended; failed NULL: it succeeded. Returns how many had failed in a row before. */
uint64_t gm_vitals_ended(struct gm_vitals *vitals, const struct gm_error *failed);
/* A run goes on and has done so much: as long as that grows, a long run is no sign of trouble. */
void gm_vitals_moved(struct gm_vitals *vitals, uint64_t done);
gm_http_health_fn gm_vitals_check; /* of a struct gm_vitals */

#endif
