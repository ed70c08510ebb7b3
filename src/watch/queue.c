/* queue.c - the life of a message:
 *
 *     received --> of no use  --> kept aside --> deleted           (aside.h; what cannot be kept is not held, and comes
 *        |                                                          back when its visibility ends)
 *        +------> says nothing new -------------> deleted
 *        +------> waits --> a run begins --> it succeeds --> deleted
 *                   ^                            | fails
 *                   +----------------------------+
 *
 * A message that is held is hidden again after a third of its visibility. If the process dies it comes back when that
 * ends, and the run that it leads to finds its object processed, or processes it.
 *
 * Waiting for messages takes WAIT_SECONDS at a time, during which a signal is not noticed here: so many seconds later
 * the process ends, and an idle queue is asked 20 times a minute, 900,000 times a month (the first million is free,
 * 0.40 USD for each further one). A wait of 20 seconds would cost less and end worse.
 *
 * The lock is held for memory alone, never during a request. Only the thread adds and drops messages, so that their
 * numbers and receipts stay what they are while it asks; whoever runs the job changes their states. */
#include "watch/queue.h"

#include "base/clock.h"
#include "base/time.h"
#include "store/store.h"
#include "watch/aside.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	WAIT_SECONDS = 3,
	VISIBILITY_SECONDS = 30,    /* SQS's own default, until the queue has said what it wants */
	VISIBILITY_SECONDS_MIN = 3, /* of less than that no third could be met */
	TROUBLE_SECONDS_MAX = 60,   /* between two attempts, when the queue does not answer */
	ASIDE_SECONDS = 60,         /* between two attempts to keep one aside, when the table cannot be written */
	LINES = 8,
	LEAVE_SECONDS = 5, /* for what is to be deleted and let go at the end; the rest comes back by itself */
};

struct gm_queue {
	struct gm_queue_options options;
	struct gm_store_place place; /* of the source */
	struct gm_store_place table; /* all NULL: it does not lie in S3 */
	struct gm_sqs *sqs;
	struct gm_aside *aside;
	unsigned visibility_seconds, wait_seconds;
	pthread_t thread;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t turn;  /* stopping, or a run has ended */
	bool stopping;
	struct gm_held held;
	char lines[LINES][GM_QUEUE_LINE_BYTES];
	size_t first_line, line_count;
	int64_t silent_us; /* since when it has not answered; 0: it does */

	/* The thread's own. */
	int64_t calm_us;  /* when it may ask again */
	unsigned trouble; /* failures in a row */
	bool aside_told;  /* that no more are kept aside */
	int64_t aside_us; /* when one may be tried to be kept again */
	uint64_t retries; /* told so far */
	int64_t leave_us; /* when to be gone; 0: nobody has said so */
};

/* --- Talking ------------------------------------------------------------------------------------------------------ */

static void wake(const struct gm_queue *queue)
{
	const uint64_t one = 1;
	ssize_t ignored = write(queue->options.wake, &one, sizeof one); /* a counter that is full wakes as well */
	(void)ignored;
}

/* More lines than there is room for are not told. */
static void tell(struct gm_queue *queue, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct gm_queue *queue, const char *format, ...)
{
	va_list args;
	(void)pthread_mutex_lock(&queue->lock);
	if (queue->line_count < LINES) {
		size_t at = (queue->first_line + queue->line_count++) % LINES;
		va_start(args, format);
		(void)vsnprintf(queue->lines[at], GM_QUEUE_LINE_BYTES, format, args);
		va_end(args);
	}
	(void)pthread_mutex_unlock(&queue->lock);
	wake(queue);
}

bool gm_queue_notice(struct gm_queue *queue, char line[GM_QUEUE_LINE_BYTES])
{
	(void)pthread_mutex_lock(&queue->lock);
	bool any = queue->line_count > 0;
	if (any) {
		memcpy(line, queue->lines[queue->first_line], GM_QUEUE_LINE_BYTES);
		queue->first_line = (queue->first_line + 1) % LINES;
		queue->line_count--;
	}
	(void)pthread_mutex_unlock(&queue->lock);
	return any;
}

/* Since when the queue has not answered. */
static void note_silence(struct gm_queue *queue, int64_t since_us)
{
	(void)pthread_mutex_lock(&queue->lock);
	queue->silent_us = since_us;
	(void)pthread_mutex_unlock(&queue->lock);
}

/* How a request ended. What fails is asked again later, and all the later the more of it has failed; of a row of
 * failures the first is told, and the end. */
static void note(struct gm_queue *queue, enum gm_metrics_request kind, enum gm_code rc, const struct gm_error *err)
{
	uint64_t retries = gm_sqs_retries(queue->sqs);
	gm_metrics_add_requests(queue->options.metrics, kind, 1);
	gm_metrics_add_retries(queue->options.metrics, GM_METRICS_SERVICE_SQS, retries - queue->retries);
	queue->retries = retries;
	if (rc == GM_OK) {
		if (queue->trouble == 0) return;
		tell(queue, "the queue answers again");
		note_silence(queue, 0);
		queue->trouble = 0;
		return;
	}
	if (queue->trouble == 0) {
		tell(queue, "the queue is out of reach, and is tried again: %s", err->message);
		note_silence(queue, gm_clock_steady_us());
	}
	int64_t seconds = queue->trouble < 6 ? INT64_C(1) << queue->trouble : TROUBLE_SECONDS_MAX;
	queue->trouble++;
	queue->calm_us = gm_clock_steady_us() + seconds * GM_US_PER_SECOND;
}

/* --- What came ---------------------------------------------------------------------------------------------------- */

static void count(struct gm_queue *queue, const struct gm_metrics_queue *more)
{
	gm_metrics_add_queue(queue->options.metrics, more);
}

static bool is_ending(struct gm_queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	bool stopping = queue->stopping;
	(void)pthread_mutex_unlock(&queue->lock);
	return stopping;
}

/* False: it could not be kept, and stays in the queue. A store that does not answer takes its time, and one message a
 * minute may have some of it: others wait to be hidden for longer, and who stops waits for all of them. */
static bool keep_aside(struct gm_queue *queue, const struct gm_sqs_message *message, const char *why)
{
	struct gm_error err;
	if (gm_clock_steady_us() < queue->aside_us || is_ending(queue)) return false;
	enum gm_code rc = gm_aside_put(queue->aside, message, why, &err);
	if (rc == GM_OK) {
		count(queue, &(struct gm_metrics_queue){.poison = 1});
		tell(queue, "message %.100s is kept aside: %s", message->id, why);
	} else if (!queue->aside_told) {
		tell(queue, "message %.100s stays in the queue (%s): %s", message->id, why, err.message);
		queue->aside_told = true; /* once: such messages come back for as long as the queue keeps them */
	}
	if (rc != GM_OK && rc != GM_VALUE) queue->aside_us = gm_clock_steady_us() + ASIDE_SECONDS * GM_US_PER_SECOND;
	return rc == GM_OK;
}

static enum gm_code take_message(void *context, const struct gm_sqs_message *message, struct gm_error *err)
{
	struct gm_queue *queue = context;
	const struct gm_event_scope scope = {.bucket = queue->place.bucket,
	                                     .prefix = queue->place.prefix,
	                                     .table_bucket = queue->table.bucket,
	                                     .table_prefix = queue->table.prefix};
	struct gm_event event;
	GM_TRY(gm_event_read(message->body, message->body_bytes, &scope, &event, err));
	count(queue, &(struct gm_metrics_queue){.received = 1});
	if (event.oldest_us == INT64_MAX) event.oldest_us = gm_clock_wall_us();
	if (event.kind == GM_EVENT_FOREIGN && !keep_aside(queue, message, event.why)) return GM_OK;
	(void)pthread_mutex_lock(&queue->lock);
	enum gm_code rc = gm_held_add(&queue->held, message, &event, gm_clock_steady_us(), err);
	(void)pthread_mutex_unlock(&queue->lock);
	if (rc == GM_OK && event.kind == GM_EVENT_NEW) wake(queue);
	return rc == GM_VALUE ? GM_OK : rc; /* what cannot be held comes back */
}

static void receive(struct gm_queue *queue, size_t room)
{
	struct gm_error err;
	unsigned most = room < GM_SQS_BATCH ? (unsigned)room : GM_SQS_BATCH;
	enum gm_code rc =
	    gm_sqs_receive(queue->sqs, most, queue->wait_seconds, queue->visibility_seconds, take_message, queue, &err);
	note(queue, GM_METRICS_REQUEST_SQS_RECEIVE, rc, &err);
}

/* --- What is held ------------------------------------------------------------------------------------------------- */

typedef void take_fn(const struct gm_held *held, size_t from, struct gm_held_batch *batch);

static bool is_over(const struct gm_queue *queue)
{
	return queue->leave_us != 0 && gm_clock_steady_us() >= queue->leave_us;
}

/* Deletes, or lets go of, all that `take` gives, once each; false when the service failed, or it is time to leave. */
static bool part_with(struct gm_queue *queue, take_fn *take, bool delete)
{
	struct gm_held_batch batch;
	enum gm_sqs_fate fates[GM_SQS_BATCH];
	struct gm_error err;
	for (size_t from = 0;;) {
		(void)pthread_mutex_lock(&queue->lock);
		take(&queue->held, from, &batch);
		(void)pthread_mutex_unlock(&queue->lock);
		if (batch.count == 0) return true;
		if (is_over(queue)) return false;
		enum gm_code rc = delete ? gm_sqs_delete(queue->sqs, batch.receipts, batch.count, fates, &err)
		                         : gm_sqs_extend(queue->sqs, batch.receipts, batch.count, 0, fates, &err);
		note(queue, delete ? GM_METRICS_REQUEST_SQS_DELETE : GM_METRICS_REQUEST_SQS_EXTEND, rc, &err);
		if (rc != GM_OK) return false;
		struct gm_metrics_queue told = {.deleted = 0};
		for (size_t i = 0; i < batch.count; i++) told.deleted += delete &&fates[i] == GM_SQS_DONE;
		count(queue, &told);
		(void)pthread_mutex_lock(&queue->lock);
		size_t gone = gm_held_settle(&queue->held, &batch, fates);
		(void)pthread_mutex_unlock(&queue->lock);
		from = gone > 0 ? batch.at[0] : batch.at[batch.count - 1] + 1; /* what is to be tried again waits its turn */
	}
}

static void hide_longer(struct gm_queue *queue)
{
	struct gm_held_batch batch;
	enum gm_sqs_fate fates[GM_SQS_BATCH];
	struct gm_error err;
	int64_t before_us = gm_clock_steady_us() - queue->visibility_seconds * GM_US_PER_SECOND / 3;
	for (size_t from = 0;; from = batch.at[batch.count - 1] + 1) {
		(void)pthread_mutex_lock(&queue->lock);
		gm_held_take_due(&queue->held, from, before_us, &batch);
		(void)pthread_mutex_unlock(&queue->lock);
		if (batch.count == 0) return;
		enum gm_code rc =
		    gm_sqs_extend(queue->sqs, batch.receipts, batch.count, queue->visibility_seconds, fates, &err);
		note(queue, GM_METRICS_REQUEST_SQS_EXTEND, rc, &err);
		if (rc != GM_OK) return;
		(void)pthread_mutex_lock(&queue->lock);
		size_t hidden = gm_held_extended(&queue->held, &batch, fates, gm_clock_steady_us());
		(void)pthread_mutex_unlock(&queue->lock);
		count(queue, &(struct gm_metrics_queue){.extended = hidden});
	}
}

/* --- The thread --------------------------------------------------------------------------------------------------- */

/* Until something is said, or for so long. */
static void pause_for(struct gm_queue *queue, int64_t us)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + us % GM_US_PER_SECOND * 1000;
	until.tv_sec += us / GM_US_PER_SECOND + ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	(void)pthread_mutex_lock(&queue->lock);
	if (!queue->stopping) (void)pthread_cond_timedwait(&queue->turn, &queue->lock, &until);
	(void)pthread_mutex_unlock(&queue->lock);
}

static bool is_stopping(struct gm_queue *queue, size_t *room)
{
	(void)pthread_mutex_lock(&queue->lock);
	bool stopping = queue->stopping;
	size_t gone = gm_held_expire(&queue->held, gm_clock_steady_us());
	*room = GM_HELD_MAX - queue->held.count;
	(void)pthread_mutex_unlock(&queue->lock);
	if (gone > 0) tell(queue, "%zu messages have waited for 12 hours, and come again", gone);
	return stopping;
}

static void take_turn(struct gm_queue *queue, size_t room)
{
	int64_t wait_us = queue->calm_us - gm_clock_steady_us();
	if (queue->trouble == 0 || wait_us <= 0) {
		if (part_with(queue, gm_held_take_done, true)) hide_longer(queue);
		if (room > 0 && (queue->trouble == 0 || wait_us <= 0)) receive(queue, room);
		wait_us = room > 0 && queue->trouble == 0 ? 0 : GM_US_PER_SECOND;
	}
	if (wait_us > 0) pause_for(queue, wait_us < GM_US_PER_SECOND ? wait_us : GM_US_PER_SECOND);
}

/* Another watcher may have what we let go at once. A queue that was silent twice is not asked a third time. */
static void leave(struct gm_queue *queue)
{
	bool done = queue->trouble > 1;
	queue->leave_us = gm_clock_steady_us() + LEAVE_SECONDS * GM_US_PER_SECOND;
	for (int round = 0; round < 3 && !done && !is_over(queue); round++) {
		done = part_with(queue, gm_held_take_done, true) && part_with(queue, gm_held_take_undone, false);
		done = done && queue->held.count == 0;
	}
}

static void *serve(void *context)
{
	struct gm_queue *queue = context;
	size_t room;
	while (!is_stopping(queue, &room)) take_turn(queue, room);
	leave(queue);
	return NULL;
}

/* --- From outside ------------------------------------------------------------------------------------------------- */

/* What is wrong with the queue for good is a mistake of the job file's, and is told at the start. */
static enum gm_code look(struct gm_queue *queue, struct gm_error *err)
{
	struct gm_sqs_queue found;
	enum gm_code rc = gm_sqs_look(queue->sqs, &found, err);
	if (rc != GM_OK && rc != GM_TRANSIENT) return rc;
	unsigned seconds = rc == GM_OK ? found.visibility_seconds : VISIBILITY_SECONDS;
	if (rc != GM_OK) note(queue, GM_METRICS_REQUEST_SQS_OTHER, rc, err);
	queue->visibility_seconds = seconds < VISIBILITY_SECONDS_MIN ? VISIBILITY_SECONDS_MIN : seconds;
	unsigned third = queue->visibility_seconds / 3;
	queue->wait_seconds = third < WAIT_SECONDS ? third : WAIT_SECONDS;
	return GM_OK;
}

static enum gm_code open_parts(struct gm_queue *queue, struct gm_error *err)
{
	const struct gm_job *job = queue->options.job;
	const struct gm_store_options where = {.profile = job->source.access.profile, .region = job->source.access.region};
	if (!gm_store_is_s3(job->source.location)) {
		(void)gm_error_set(err, GM_USAGE, "a queue tells of objects in S3, and the source is a directory");
		return gm_error_hint(err, GM_USAGE, "a directory is watched without a queue");
	}
	GM_TRY(gm_store_place(job->source.location, &where, &queue->place, err));
	if (gm_store_is_s3(job->table.location)) GM_TRY(gm_store_place(job->table.location, &where, &queue->table, err));
	const struct gm_job_access *access = &job->watch.access;
	const struct gm_aws_options aws = {.profile = access->profile,
	                                   .region = access->region,
	                                   .ca_file = access->ca_file,
	                                   .timeout_us = access->timeout_us};
	GM_TRY(gm_sqs_open(queue->options.url, &aws, access->endpoint, &queue->sqs, err));
	GM_TRY(gm_aside_new(job, queue->options.run, &queue->aside, err));
	return look(queue, err);
}

static void free_queue(struct gm_queue *queue)
{
	gm_held_release(&queue->held);
	gm_aside_free(queue->aside);
	gm_sqs_close(queue->sqs);
	gm_store_place_clear(&queue->place);
	gm_store_place_clear(&queue->table);
	(void)pthread_cond_destroy(&queue->turn);
	(void)pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static void init_locks(struct gm_queue *queue)
{
	pthread_condattr_t monotonic;
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&queue->turn, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_mutex_init(&queue->lock, NULL);
}

enum gm_code gm_queue_open(const struct gm_queue_options *options, struct gm_queue **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_queue *queue = calloc(1, sizeof *queue);
	if (queue == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a queue");
	queue->options = *options;
	gm_held_init(&queue->held);
	init_locks(queue);
	enum gm_code rc = open_parts(queue, err);
	int failed = rc == GM_OK ? pthread_create(&queue->thread, NULL, serve, queue) : 0;
	if (failed != 0) rc = gm_error_errno(err, failed, options->url, "starting a thread for the queue");
	if (rc == GM_OK)
		*out = queue;
	else
		free_queue(queue);
	return rc;
}

void gm_queue_close(struct gm_queue *queue)
{
	if (queue == NULL) return;
	(void)pthread_mutex_lock(&queue->lock);
	queue->stopping = true;
	(void)pthread_cond_signal(&queue->turn);
	(void)pthread_mutex_unlock(&queue->lock);
	(void)pthread_join(queue->thread, NULL);
	free_queue(queue);
}

void gm_queue_told(struct gm_queue *queue, struct gm_told *told, struct gm_held_undone *undone)
{
	(void)pthread_mutex_lock(&queue->lock);
	gm_held_told(&queue->held, told, undone);
	(void)pthread_mutex_unlock(&queue->lock);
}

int64_t gm_queue_silence(struct gm_queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	int64_t us = queue->silent_us != 0 ? gm_clock_steady_us() - queue->silent_us : 0;
	(void)pthread_mutex_unlock(&queue->lock);
	return us;
}

void gm_queue_begin(struct gm_queue *queue)
{
	(void)pthread_mutex_lock(&queue->lock);
	gm_held_begin(&queue->held);
	(void)pthread_mutex_unlock(&queue->lock);
}

void gm_queue_end(struct gm_queue *queue, bool succeeded)
{
	(void)pthread_mutex_lock(&queue->lock);
	gm_held_end(&queue->held, succeeded);
	(void)pthread_cond_signal(&queue->turn);
	(void)pthread_mutex_unlock(&queue->lock);
}
