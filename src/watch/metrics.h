/* metrics.h - what a process has done, counted, and told as Prometheus reads it.
 *
 * Two forms of the same figures. What is *served* by a process that goes on running are counters since its start, from
 * which Prometheus makes rates, besides gauges of how things are and the standard process_* family. What is written to
 * a *file*, for the textfile collector of the node exporter, tells of one run: gauges named gristmill_last_run_*, since
 * a counter that each run sets anew would give rates that mean nothing; and no process_*, which there are the node
 * exporter's own. A name never has two types. docs/metrics.md lists all of both.
 *
 * No label has a value that input could choose: there are as many series after a year as after a minute. */
#ifndef GM_WATCH_METRICS_H
#define GM_WATCH_METRICS_H

#include "base/arena.h"

/* Why the process woke. X(NAME, value of the label `reason`) */
#define GM_METRICS_WAKES(X)                                                  \
	X(START, "start")          /* the first look after the start */          \
	X(MESSAGE, "message")      /* an event came through the queue */         \
	X(DIRECTORY, "directory")  /* the source's folder changed */             \
	X(INTERVAL, "interval")    /* the time of --every is over */             \
	X(LISTING, "full_listing") /* the time for one that finds lost events */ \
	X(RETRY, "retry")          /* after a failure */

/* What is asked of services. X(NAME, label `service`, label `kind`) */
#define GM_METRICS_REQUESTS(X)                \
	X(S3_LIST, "s3", "list")                  \
	X(S3_GET, "s3", "get")                    \
	X(S3_HEAD, "s3", "head")                  \
	X(S3_PUT, "s3", "put")                    \
	X(S3_DELETE, "s3", "delete")              \
	X(S3_MULTIPART, "s3", "multipart")        \
	X(S3_OTHER, "s3", "other")                \
	X(SQS_RECEIVE, "sqs", "receive")          \
	X(SQS_DELETE, "sqs", "delete")            \
	X(SQS_EXTEND, "sqs", "extend_visibility") \
	X(SQS_OTHER, "sqs", "other")              \
	X(GLUE_ANY, "glue", "any")

/* X(NAME, label `service`) */
#define GM_METRICS_SERVICES(X) X(S3, "s3") X(SQS, "sqs") X(GLUE, "glue")

/* How runs end. X(NAME, label `result`) */
#define GM_METRICS_RESULTS(X)                                                             \
	X(OK, "ok")                   /* something was committed */                           \
	X(NOTHING, "nothing")         /* nothing was new, or another runner was first */      \
	X(FAILED, "failed")           /* everything that is none of the others */             \
	X(QUARANTINE, "quarantine")   /* too many records were rejected, nothing published */ \
	X(INTERRUPTED, "interrupted") /* stopped by a signal */

#define X(name, ...) GM_METRICS_WAKE_##name,
enum gm_metrics_wake { GM_METRICS_WAKES(X) GM_METRICS_WAKE_COUNT };
#undef X
#define X(name, ...) GM_METRICS_REQUEST_##name,
enum gm_metrics_request { GM_METRICS_REQUESTS(X) GM_METRICS_REQUEST_COUNT };
#undef X
#define X(name, ...) GM_METRICS_SERVICE_##name,
enum gm_metrics_service { GM_METRICS_SERVICES(X) GM_METRICS_SERVICE_COUNT };
#undef X
#define X(name, ...) GM_METRICS_RESULT_##name,
enum gm_metrics_result { GM_METRICS_RESULTS(X) GM_METRICS_RESULT_COUNT };
#undef X

/* What became of messages; of a queue that is not used all are 0. */
struct gm_metrics_queue {
	uint64_t received; /* also those that come again */
	uint64_t deleted;  /* after what they told of was committed */
	uint64_t extended; /* times that a message's visibility was */
	uint64_t poison;   /* that could not be read, kept aside */
};

enum gm_metrics_form { GM_METRICS_SERVED, GM_METRICS_FILE };

/* Of one job, thread-safe. What is told while a figure is not known: nothing, its line is not there. Times are
 * microseconds since 1970. */
struct gm_metrics;
/* job_id is copied. */
enum gm_code gm_metrics_new(const char *job_id, int64_t now_us, struct gm_metrics **out, struct gm_error *err) GM_CHECK;
void gm_metrics_free(struct gm_metrics *metrics); /* NULL is allowed */

/* A run goes on from now. */
void gm_metrics_begin_run(struct gm_metrics *metrics);
/* It has ended like that. What it asked of S3 and the catalog is in its result and is not told again. */
void gm_metrics_end_run(struct gm_metrics *metrics, const struct gm_run_result *result, enum gm_code code,
                        int64_t started_us, int64_t ended_us);
/* Objects that are known to wait, and when the oldest of them was modified: from that comes the lag, which grows until
 * the next call, also while nothing happens. Without objects the lag is 0. */
void gm_metrics_set_waiting(struct gm_metrics *metrics, uint64_t objects, int64_t oldest_us);
void gm_metrics_add_wake(struct gm_metrics *metrics, enum gm_metrics_wake reason);
void gm_metrics_add_queue(struct gm_metrics *metrics, const struct gm_metrics_queue *more);
void gm_metrics_add_requests(struct gm_metrics *metrics, enum gm_metrics_request kind, uint64_t count);
void gm_metrics_add_retries(struct gm_metrics *metrics, enum gm_metrics_service service, uint64_t count);

/* Text exposition format 0.0.4 behind what is in the buffer, whose maximum of GM_METRICS_BYTES_MAX always does. On
 * failure the buffer is as before. */
enum { GM_METRICS_BYTES_MAX = 64 << 10 };
enum gm_code gm_metrics_render(struct gm_metrics *metrics, enum gm_metrics_form form, int64_t now_us,
                               struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* Writes the file form, whole or not at all: under a hidden name in the same folder, flushed, renamed. What the file
 * has told before of the same job's last success, last commit and last synchronisation of the catalog is carried on
 * where this process knows of none: a run that fails must not take away when one last succeeded. */
enum gm_code gm_metrics_write_file(struct gm_metrics *metrics, int64_t now_us, const char *path,
                                   struct gm_error *err) GM_CHECK;

#endif
