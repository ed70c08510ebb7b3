/* watch.c - runs a job whenever there is something for it to do.
 *
 * One thread waits and runs (this one); the queue has a thread of its own, and so have those who ask for metrics. What
 * is told, by a queue or by a directory, only wakes: each time the whole of a run is made, whose listing says what is
 * new. So an event that is lost, doubled, late or forged costs time and no row, and two watchers on one table are two
 * runners, which the run protocol knows.
 *
 *     told -> schedule says: now -> messages that wait are LOOKED at -> gm_run -> they are done, or wait again
 *
 * Nothing here grows with what happens: messages, lines, folders and messages kept aside have limits of their own. */
#include "job/job.h"
#include "watch/folder.h"
#include "watch/hook.h"
#include "watch/notify.h"
#include "watch/queue.h"
#include "watch/vitals.h"

#include "base/clock.h"
#include "base/flag.h"
#include "base/io.h"
#include "base/time.h"
#include "run/run.h"
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	TICK_MS = 500,        /* a signal that another thread took is seen so late */
	EXTEND_SECONDS = 60,  /* that a first listing asks for, again and again, of who waits for the start */
	SILENCE_SECONDS = 60, /* of a queue; after more it is not well */
	BURST_US = 20000,     /* who writes files writes many: what is told of them is read together */
};
static const int64_t every_alone_us = GM_US_PER_HOUR, every_with_queue_us = 6 * GM_US_PER_HOUR;
static const int64_t every_most_us = 365 * GM_US_PER_DAY;
static const char metrics_address[] = "127.0.0.1:9847";

struct watch {
	const struct gm_job *job;
	const struct gm_watch_options *options;
	struct gm_run_options run; /* the caller's, with functions of ours in between */
	const volatile int *stop;
	const char *queue_url, *on_failure;
	int64_t every_us;

	int wake; /* an eventfd: the queue has something */
	struct gm_schedule schedule;
	struct gm_queue *queue;   /* NULL: none */
	struct gm_folder *folder; /* NULL: the source is no directory, or cannot be watched now */
	bool folder_told;         /* that it cannot */
	bool folder_moved;        /* it went away, or came, and no run has begun since */
	struct gm_metrics *metrics;
	struct gm_http_server *server;
	struct gm_vitals vitals;
	struct gm_notify notify;
	bool ready;          /* the service manager has been told */
	int64_t extended_us; /* when it was last asked for more time to become so */
	int64_t watchdog_us; /* when it was last given a sign of life */
	int64_t success_us;  /* of a run, or the start; by the wall clock */
};

static bool is_stopping(const struct watch *watch)
{
	return gm_flag_is_set(watch->stop);
}

/* --- Telling ------------------------------------------------------------------------------------------------------ */

static void notice(struct watch *watch, const char *line)
{
	if (watch->options->run->notice != NULL) watch->options->run->notice(watch->options->run->context, line);
}

static void get_ready(struct watch *watch)
{
	if (watch->ready) return;
	watch->ready = true;
	gm_notify_ready(&watch->notify);
}

static void give_sign_of_life(struct watch *watch)
{
	int64_t now = gm_clock_steady_us();
	if (!watch->ready && now - watch->extended_us >= EXTEND_SECONDS * GM_US_PER_SECOND / 3) {
		watch->extended_us = now;
		gm_notify_extend(&watch->notify, EXTEND_SECONDS * GM_US_PER_SECOND);
	}
	if (watch->notify.watchdog_us <= 0 || now - watch->watchdog_us < watch->notify.watchdog_us / 3) return;
	watch->watchdog_us = now;
	gm_notify_watchdog(&watch->notify);
}

/* What the queue's thread wants to have told. */
static void tell_queue(struct watch *watch)
{
	char line[GM_QUEUE_LINE_BYTES];
	while (watch->queue != NULL && gm_queue_notice(watch->queue, line)) notice(watch, line);
}

/* What was told and has not led to a run that began since. */
static struct gm_told told_of(struct watch *watch, struct gm_held_undone *undone, int64_t *until_us)
{
	struct gm_told told = {.objects = 0};
	int64_t now = gm_clock_steady_us();
	*undone = (struct gm_held_undone){.oldest_us = INT64_MAX};
	*until_us = INT64_MAX;
	if (watch->queue != NULL) gm_queue_told(watch->queue, &told, undone);
	if (watch->folder == NULL && !watch->folder_moved) return told;
	if (watch->folder != NULL) gm_folder_told(watch->folder, now, &told, until_us);
	if (watch->folder_moved && told.objects == 0) told = (struct gm_told){.objects = 1, .first_us = now, .quiet = true};
	undone->objects = told.objects;
	if (told.objects > 0) undone->oldest_us = gm_clock_wall_us() - (now - told.first_us);
	return told;
}

/* While runs fail nobody knows what waits: it may be all that came since the last success. Before the first run has
 * ended nobody knows either, and nothing is told but what was told of. */
static void tell_lag(struct watch *watch)
{
	struct gm_held_undone undone;
	int64_t ignored;
	(void)told_of(watch, &undone, &ignored);
	if (watch->schedule.failures > 0) {
		if (undone.objects == 0) undone.objects = 1;
		if (watch->success_us < undone.oldest_us) undone.oldest_us = watch->success_us;
	}
	if (!watch->schedule.started && undone.objects == 0) return;
	gm_metrics_set_waiting(watch->metrics, undone.objects, undone.oldest_us);
}

/* A run that has listed the source has looked, however long the rest may take. */
static void on_progress(void *context, const struct gm_progress *progress)
{
	struct watch *watch = context;
	const struct gm_run_options *theirs = watch->options->run;
	if (strcmp(progress->phase, "plan") != 0) get_ready(watch);
	gm_vitals_moved(&watch->vitals, progress->bytes_done);
	give_sign_of_life(watch);
	tell_queue(watch);
	tell_lag(watch);
	if (theirs->progress != NULL) theirs->progress(theirs->context, progress);
}

static void on_notice(void *context, const char *line)
{
	notice(context, line);
}

/* --- A run -------------------------------------------------------------------------------------------------------- */

static enum gm_metrics_wake reason_of(const struct watch *watch, enum gm_wake wake)
{
	switch (wake) {
	case GM_WAKE_TOLD: return watch->queue != NULL ? GM_METRICS_WAKE_MESSAGE : GM_METRICS_WAKE_DIRECTORY;
	case GM_WAKE_TIMER: return watch->queue != NULL ? GM_METRICS_WAKE_LISTING : GM_METRICS_WAKE_INTERVAL;
	case GM_WAKE_RETRY: return GM_METRICS_WAKE_RETRY;
	default: return GM_METRICS_WAKE_START;
	}
}

static const char *reason_name(enum gm_metrics_wake reason)
{
#define X(name, text) [GM_METRICS_WAKE_##name] = (text),
	static const char *const names[] = {GM_METRICS_WAKES(X)};
#undef X
	return names[reason];
}

/* Watches the source if it is a directory and is not watched yet: it may have come only now. */
static void open_folder(struct watch *watch)
{
	const char *path = watch->job->source.location;
	struct gm_error err;
	char line[sizeof err.message + 64];
	if (watch->queue != NULL || watch->folder != NULL || gm_store_is_s3(path)) return;
	bool opened = gm_folder_open(path, &watch->folder, &err) == GM_OK;
	if (!opened && !watch->folder_told) {
		(void)snprintf(line, sizeof line, "changes of the source are found by the timer alone: %s", err.message);
		notice(watch, line);
	}
	watch->folder_told = !opened;
}

static void begin(struct watch *watch, enum gm_metrics_wake reason)
{
	open_folder(watch); /* before the listing: what comes after it is told */
	if (watch->queue != NULL) gm_queue_begin(watch->queue);
	if (watch->folder != NULL) gm_folder_begin(watch->folder);
	watch->folder_moved = false;
	gm_metrics_add_wake(watch->metrics, reason);
	gm_metrics_begin_run(watch->metrics);
}

static void run_hook(struct watch *watch, const struct gm_run_result *result, const struct gm_error *failed)
{
	const struct gm_hook_event event = {
	    .job = watch->job->id, .table = watch->job->table.location, .version = result->version, .error = failed};
	struct gm_error err;
	char line[sizeof err.message + 64];
	if (watch->on_failure == NULL || gm_hook_run(watch->on_failure, &event, watch->stop, &err) == GM_OK) return;
	(void)snprintf(line, sizeof line, "the command of on_failure failed: %s", err.message);
	notice(watch, line);
}

static void tell_run(struct watch *watch, struct gm_watch_run *run)
{
	if (watch->options->run_ended != NULL) watch->options->run_ended(watch->options->run->context, run);
	if (run->failed != NULL)
		gm_notify_status(&watch->notify, "the last run failed: %s", run->failed->message);
	else
		gm_notify_status(&watch->notify, "version %lld; waiting", (long long)run->result->version);
}

/* failed NULL: it succeeded. */
static void end(struct watch *watch, struct gm_watch_run *run)
{
	const struct gm_error *failed = run->failed;
	enum gm_run_end how = failed == NULL                  ? GM_RUN_SUCCEEDED
	                      : failed->code == GM_QUARANTINE ? GM_RUN_HOPELESS
	                                                      : GM_RUN_FAILED;
	if (watch->queue != NULL) gm_queue_end(watch->queue, failed == NULL);
	run->failures = gm_vitals_ended(&watch->vitals, failed) + (failed != NULL);
	run->retry_seconds = (double)gm_schedule_ended(&watch->schedule, how, gm_clock_steady_us()) / GM_US_PER_SECOND;
	if (failed == NULL) watch->success_us = gm_clock_wall_us();
	tell_lag(watch);
	tell_run(watch, run);
	if (failed != NULL) run_hook(watch, run->result, failed);
}

/* A failure is one that ends the watch. */
static enum gm_code run_once(struct watch *watch, enum gm_wake wake, struct gm_error *err)
{
	enum gm_metrics_wake reason = reason_of(watch, wake);
	struct gm_run_result result;
	struct gm_error failed;
	bool first = !watch->schedule.started;
	begin(watch, reason);
	int64_t started_us = gm_clock_wall_us();
	enum gm_code rc = gm_run(watch->job, &watch->run, &result, &failed);
	gm_metrics_end_run(watch->metrics, &result, rc, started_us, gm_clock_wall_us());
	bool fatal = first && (rc == GM_USAGE || rc == GM_JOB);
	if (fatal && err != NULL) *err = failed;
	if ((rc == GM_INTERRUPTED || rc == GM_TRANSIENT) && is_stopping(watch)) {
		/* What was told of waits for the next process. */
	} else if (!fatal) {
		get_ready(watch);
		end(watch, &(struct gm_watch_run){
		               .woke = reason_name(reason), .result = &result, .failed = rc == GM_OK ? NULL : &failed});
	}
	gm_run_result_clear(&result);
	return fatal ? rc : GM_OK;
}

/* --- Waiting ------------------------------------------------------------------------------------------------------ */

/* A source that could not be watched: is it there now? Whatever lies in it has told nobody. */
static void look_for_folder(struct watch *watch)
{
	if (!watch->schedule.started) return;
	open_folder(watch);
	if (watch->folder == NULL) return;
	watch->folder_moved = true;
	gm_schedule_hurry(&watch->schedule, gm_clock_steady_us() + GM_FOLDER_SETTLE_SECONDS * GM_US_PER_SECOND);
}

static void read_folder(struct watch *watch)
{
	struct gm_error err;
	if (watch->folder == NULL) {
		look_for_folder(watch);
		return;
	}
	if (gm_folder_read(watch->folder, gm_clock_steady_us(), &err) != GM_OK) {
		gm_folder_close(watch->folder);
		watch->folder = NULL;
		watch->folder_moved = true;
		return;
	}
	const char *line = gm_folder_notice(watch->folder);
	if (line != NULL) notice(watch, line);
}

/* Until something is told, or the time has come, or it is time to look for signals. */
static void wait_until(struct watch *watch, int64_t until_us)
{
	int64_t us = until_us - gm_clock_steady_us();
	int ms = us <= 0 ? 0 : us >= TICK_MS * INT64_C(1000) ? TICK_MS : (int)(us / 1000) + 1;
	struct pollfd files[2] = {{.fd = watch->wake, .events = POLLIN}, {.fd = -1}};
	if (watch->folder != NULL) files[1] = (struct pollfd){.fd = gm_folder_fd(watch->folder), .events = POLLIN};
	if (poll(files, 2, ms) <= 0) return;
	uint64_t count;
	if ((files[0].revents & POLLIN) != 0) {
		ssize_t ignored = read(watch->wake, &count, sizeof count);
		(void)ignored;
	}
	if (files[1].revents != 0) (void)usleep(BURST_US);
}

static enum gm_code watch_on(struct watch *watch, struct gm_error *err)
{
	while (!is_stopping(watch)) {
		struct gm_held_undone undone;
		int64_t until_us, quiet_us;
		read_folder(watch);
		tell_queue(watch);
		struct gm_told told = told_of(watch, &undone, &quiet_us);
		enum gm_wake wake = gm_schedule_look(&watch->schedule, &told, gm_clock_steady_us(), &until_us);
		if (wake != GM_WAKE_NOT) {
			GM_TRY(run_once(watch, wake, err));
			continue;
		}
		give_sign_of_life(watch);
		tell_lag(watch);
		/* Behind a failure only time counts, and quiet may have come long ago. */
		bool failing = watch->schedule.failures > 0;
		wait_until(watch, !failing && quiet_us < until_us ? quiet_us : until_us);
	}
	return GM_OK;
}

/* --- Beginning and end -------------------------------------------------------------------------------------------- */

static enum gm_code render(void *context, struct gm_buf *page, struct gm_error *err)
{
	const struct watch *watch = context;
	return gm_metrics_render(watch->metrics, GM_METRICS_SERVED, gm_clock_wall_us(), page, err);
}

static bool is_well(void *context, char why[GM_HTTP_WHY_BYTES])
{
	struct watch *watch = context;
	if (!gm_vitals_check(&watch->vitals, why)) return false;
	int64_t silence_us = watch->queue != NULL ? gm_queue_silence(watch->queue) : 0;
	if (silence_us <= SILENCE_SECONDS * GM_US_PER_SECOND) return true;
	(void)snprintf(why, GM_HTTP_WHY_BYTES, "the queue has been out of reach for %lld s",
	               (long long)(silence_us / GM_US_PER_SECOND));
	return false;
}

/* An address that nobody asked for may be taken, by another watcher on the same machine. */
static enum gm_code serve_metrics(struct watch *watch, struct gm_error *err)
{
	const char *given = watch->options->metrics != NULL ? watch->options->metrics : watch->job->watch.metrics;
	char line[sizeof err->message + 128];
	if (given != NULL && strcmp(given, "off") == 0) return GM_OK;
	const struct gm_http_server_options options = {
	    .address = given != NULL ? given : metrics_address, .metrics = render, .health = is_well, .context = watch};
	struct gm_error why;
	enum gm_code rc = gm_http_server_start(&options, &watch->server, &why);
	if (rc != GM_OK && (given != NULL || rc == GM_NOMEM)) {
		if (err != NULL) *err = why;
		return rc;
	}
	if (rc != GM_OK)
		(void)snprintf(line, sizeof line, "metrics are not served at %s: %s", metrics_address, why.message);
	else
		(void)snprintf(line, sizeof line, "metrics and health are served at %s", gm_http_server_url(watch->server));
	notice(watch, line);
	if (rc == GM_OK && !gm_http_server_is_loopback(watch->server))
		notice(watch, "and may be read by whoever reaches this machine: nobody is asked for a password");
	return GM_OK;
}

/* Another for each process, so that many that are started together do not stay together. */
static uint64_t make_seed(void)
{
	char hex[33];
	uint64_t seed = (uint64_t)gm_clock_steady_us() ^ (uint64_t)getpid() << 40;
	return gm_io_random_hex(hex) ? seed ^ strtoull(hex + 16, NULL, 16) : seed;
}

static enum gm_code open_queue(struct watch *watch, struct gm_error *err)
{
	if (watch->queue_url == NULL) return GM_OK;
	const struct gm_queue_options options = {
	    .url = watch->queue_url, .job = watch->job, .run = &watch->run, .metrics = watch->metrics, .wake = watch->wake};
	return gm_queue_open(&options, &watch->queue, err);
}

static enum gm_code open_all(struct watch *watch, struct gm_error *err)
{
	const struct gm_job *job = watch->job;
	struct gm_run_options checked = watch->run;
	if (watch->every_us < GM_US_PER_SECOND || watch->every_us > every_most_us)
		GM_FAIL(err, GM_USAGE, "runs are a second to 365 days apart");
	GM_TRY(gm_run_check_options(&checked, err));
	watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->wake < 0) return gm_error_errno(err, errno, "", "making an event counter");
	GM_TRY(gm_notify_open(&watch->notify, err));
	GM_TRY(gm_metrics_new(job->id, gm_clock_wall_us(), &watch->metrics, err));
	gm_schedule_init(&watch->schedule, watch->every_us, (uint64_t)job->watch.batch_objects, job->watch.batch_bytes,
	                 job->watch.batch_age_us, make_seed());
	GM_TRY(open_queue(watch, err));
	return serve_metrics(watch, err);
}

static void close_all(struct watch *watch)
{
	gm_notify_stopping(&watch->notify);
	tell_queue(watch);
	gm_http_server_stop(watch->server); /* it asks the queue how it is */
	gm_queue_close(watch->queue);
	gm_folder_close(watch->folder);
	gm_metrics_free(watch->metrics);
	gm_notify_close(&watch->notify);
	if (watch->wake >= 0) (void)close(watch->wake);
	gm_vitals_release(&watch->vitals);
}

enum gm_code gm_watch(const struct gm_job *job, const struct gm_watch_options *options, struct gm_error *err)
{
	struct watch watch = {.job = job,
	                      .options = options,
	                      .run = *options->run,
	                      .stop = options->run->stop,
	                      .queue_url = options->queue != NULL ? options->queue : job->watch.queue,
	                      .on_failure = options->on_failure != NULL ? options->on_failure : job->watch.on_failure,
	                      .every_us = options->every_us != 0 ? options->every_us : job->watch.every_us,
	                      .wake = -1,
	                      .notify = {.socket = -1},
	                      .success_us = gm_clock_wall_us()};
	if (watch.every_us == 0) watch.every_us = watch.queue_url != NULL ? every_with_queue_us : every_alone_us;
	watch.run.progress = on_progress;
	watch.run.notice = on_notice;
	watch.run.context = &watch;
	gm_vitals_init(&watch.vitals, watch.every_us);
	enum gm_code rc = open_all(&watch, err);
	if (rc == GM_OK) rc = watch_on(&watch, err);
	close_all(&watch);
	return rc;
}
