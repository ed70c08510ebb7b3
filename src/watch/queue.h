/* queue.h - the queue that tells of new objects, read by a thread of its own.
 *
 * The thread receives messages, reads them, hides them from others for as long as they are held, and deletes them: all
 * that is asked of the service, it asks. Whoever runs the job says when a run begins and how it ended. What goes wrong
 * with the queue never stops anything: it is tried again, ever more slowly, and told once. */
#ifndef GM_WATCH_QUEUE_H
#define GM_WATCH_QUEUE_H

#include "job/job.h"
#include "watch/held.h"
#include "watch/metrics.h"

struct gm_queue_options {
	const char *url;
	const struct gm_job *job;
	const struct gm_run_options *run;
	struct gm_metrics *metrics;
	int wake; /* an eventfd that is written to when there is something to look at */
};
struct gm_queue;
/* Looks at the queue and starts the thread; all that options point to lives longer. USAGE: the URL is wrong, or the
 * source does not lie in S3. NOT_FOUND, DENIED: the queue is not there, or not for us. A passing fault is none. */
enum gm_code gm_queue_open(const struct gm_queue_options *options, struct gm_queue **out,
                           struct gm_error *err) GM_CHECK;
/* Deletes what is done, lets go of the rest, and ends the thread: within a few seconds, or half a minute where the
 * service does not answer. NULL is allowed. */
void gm_queue_close(struct gm_queue *queue);

/* What waits to be looked for, and what is not committed yet; times of the latter by the wall clock. */
void gm_queue_told(struct gm_queue *queue, struct gm_told *told, struct gm_held_undone *undone);
/* For how long it has not answered, in microseconds; 0: it does. For any thread. */
int64_t gm_queue_silence(struct gm_queue *queue);
/* A run begins now: it answers for all that was told before. */
void gm_queue_begin(struct gm_queue *queue);
void gm_queue_end(struct gm_queue *queue, bool succeeded);
/* The next line for people; false: there is none. */
enum { GM_QUEUE_LINE_BYTES = 768 };
bool gm_queue_notice(struct gm_queue *queue, char line[GM_QUEUE_LINE_BYTES]);

#endif
