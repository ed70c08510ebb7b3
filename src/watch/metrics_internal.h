/* metrics_internal.h - the figures of a struct gm_metrics: metrics.c counts, metrics_text.c tells, metrics_file.c
 * writes. */
#ifndef GM_WATCH_METRICS_INTERNAL_H
#define GM_WATCH_METRICS_INTERNAL_H

#include "watch/metrics.h"

#include <pthread.h>

#define GM_METRICS_UNKNOWN (INT64_MIN) /* a time, or another signed figure */

/* Upper bounds of the histogram of how long runs take, in seconds. */
#define GM_METRICS_BOUNDS(X) X(1) X(5) X(15) X(60) X(300) X(900) X(3600) X(14400)
#define X(bound)             GM_METRICS_UP_TO_##bound,
enum gm_metrics_bucket { GM_METRICS_BOUNDS(X) GM_METRICS_BUCKETS };
#undef X

/* What becomes of records, in the order of the label `outcome`; all of them are those read. */
enum gm_metrics_outcome {
	GM_METRICS_WRITTEN,
	GM_METRICS_DUPLICATE,
	GM_METRICS_FILTERED,
	GM_METRICS_QUARANTINED,
	GM_METRICS_OUTCOMES
};

struct gm_metrics_figures {
	/* Sums over runs. */
	uint64_t objects, records[GM_METRICS_OUTCOMES], conflicts;
	uint64_t source_bytes, source_raw_bytes, written_files, written_bytes;
	uint64_t requests[GM_METRICS_REQUEST_COUNT], retries[GM_METRICS_SERVICE_COUNT];
	uint64_t received_bytes, sent_bytes; /* of bodies, from and to S3 */
	uint64_t runs[GM_METRICS_RESULT_COUNT], wakes[GM_METRICS_WAKE_COUNT];
	uint64_t
	    longer[GM_METRICS_BUCKETS + 1]; /* runs with something to do, by bucket; the last: longer than all bounds */
	int64_t duration_us;                /* of all of those */
	struct gm_metrics_queue queue;
	/* How things are. */
	uint64_t running, succeeded;                          /* a run goes on; the last has succeeded */
	uint64_t last[GM_METRICS_RESULT_COUNT];               /* 1 for how the last ended */
	int64_t last_run_us, last_success_us, last_commit_us; /* when it ended; the others GM_METRICS_UNKNOWN */
	int64_t last_duration_us;
	int64_t version;
	int64_t waiting, oldest_us;
	int64_t in_sync, catalog_us; /* the catalog; when it last was */
};

struct gm_metrics {
	pthread_mutex_t lock; /* of figures */
	struct gm_metrics_figures figures;
	int64_t start_us; /* of the process; this and all below never change */
	char *label;      /* gristmill_job="..." */
};

/* A copy, at one moment. */
void gm_metrics_take(struct gm_metrics *metrics, struct gm_metrics_figures *figures);

#endif
