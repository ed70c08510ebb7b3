/* command_watch.c - gristmill watch JOB */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	const char *queue, *metrics, *on_failure, *scratch;
	int64_t every_us;
	uint64_t threads, memory_bytes;
	struct gm_cli_rejects rejects;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_watch_flags[GM_CLI_WATCH_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"queue", "URL", GM_CLI_TEXT, FIELD(queue),
     "the SQS queue to which S3 tells of new objects, instead of the job's watch.queue", 0, 0},
    {"every", "DURATION", GM_CLI_DURATION, FIELD(every_us),
     "run that often, whatever is told, such as 30s, 15m, 6h, 1d; default: the job's watch.every, else 1h, with a "
     "queue "
     "6h",
     0, 0},
    {"metrics", "HOST:PORT", GM_CLI_TEXT, FIELD(metrics),
     "where metrics and health are served, or off; default: the job's watch.metrics, else 127.0.0.1:9847", 0, 0},
    {"on-failure", "COMMAND", GM_CLI_TEXT, FIELD(on_failure),
     "when a run fails, run COMMAND by /bin/sh; GRISTMILL_JOB, _STATUS, _MESSAGE, _TABLE and _VERSION tell it what "
     "happened. It is killed after 60 seconds",
     0, 0},
    {"threads", "N", GM_CLI_COUNT, FIELD(threads), "how many threads work, as for run", 0, 1024},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "the memory that a run stays within; default 256M", 0, 0},
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch), "a local folder for what does not fit into memory, as for run", 0,
     0},
    {"max-quarantine", "N|P%", GM_CLI_REJECTS, FIELD(rejects),
     "a run publishes nothing when more than N records, or P percent of them, cannot be used, as for run", 0, 0},
};

/* --- What is printed ---------------------------------------------------------------------------------------------- */

/* One write a line: standard error may be shared with other processes. */
static void print_ended(const struct gm_watch_run *run)
{
	char n[7][GM_CLI_NUMBER_BYTES], line[640];
	const struct gm_run_result *result = run->result;
	const struct gm_balance *all = &result->total;
	(void)snprintf(line, sizeof line,
	               "gristmill: %s: %s objects, %s records: %s written, %s duplicates, %s filtered, %s quarantined; "
	               "version %lld, %s\n",
	               run->woke, gm_cli_count(n[0], result->inputs), gm_cli_count(n[1], all->records_read),
	               gm_cli_count(n[2], all->rows_written), gm_cli_count(n[3], all->duplicates),
	               gm_cli_count(n[4], all->filtered), gm_cli_count(n[5], all->quarantined), (long long)result->version,
	               gm_cli_duration(n[6], result->seconds));
	fputs(line, stderr);
}

static void on_run_ended(void *context, const struct gm_watch_run *run)
{
	char seconds[GM_CLI_NUMBER_BYTES], failures[GM_CLI_NUMBER_BYTES];
	(void)context;
	if (run->failed != NULL) {
		gm_cli_print_error(run->failed);
		fprintf(stderr, "gristmill: %s: the run failed (%s in a row); trying again in %s\n", run->woke,
		        gm_cli_count(failures, run->failures), gm_cli_duration(seconds, run->retry_seconds));
		return;
	}
	if (run->failures > 0)
		fprintf(stderr, "gristmill: runs succeed again, after %s that failed\n", gm_cli_count(failures, run->failures));
	if (run->result->committed || run->result->inputs > 0) print_ended(run);
}

static void on_notice(void *context, const char *line)
{
	(void)context;
	fputs("gristmill: ", stderr);
	gm_cli_print_safe(stderr, line, strlen(line));
	fputc('\n', stderr);
}

/* --- The command -------------------------------------------------------------------------------------------------- */

static enum gm_code watch(const struct options *o, const struct gm_job *job, struct gm_error *err)
{
	const struct gm_run_options run = {.threads = (int)o->threads,
	                                   .memory_bytes = o->memory_bytes,
	                                   .scratch = o->scratch,
	                                   .quarantine_set = o->rejects.set,
	                                   .quarantine_records = o->rejects.records,
	                                   .quarantine_percent = o->rejects.percent,
	                                   .stop = gm_cli_catch_signals(),
	                                   .notice = on_notice};
	const struct gm_watch_options options = {.run = &run,
	                                         .queue = o->queue,
	                                         .every_us = o->every_us,
	                                         .metrics = o->metrics,
	                                         .on_failure = o->on_failure,
	                                         .run_ended = on_run_ended};
	enum gm_code code = gm_watch(job, &options, err);
	if (code == GM_OK) fputs("gristmill: stopped\n", stderr);
	return code;
}

int gm_cli_watch(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_error err;
	struct gm_job *job = NULL;
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = gm_cli_load_job(&o.job, path, false, &job);
	if (status == GM_CLI_GO_ON) {
		(void)setvbuf(stderr, NULL, _IOLBF, 4096); /* whole lines, in a log that several write to */
		enum gm_code code = watch(&o, job, &err);
		if (code != GM_OK) gm_cli_print_error(&err);
		status = code == GM_OK ? GM_CLI_DONE : gm_cli_status_of(code);
	}
	gm_job_free(job);
	free(o.job.settings.at);
	return status;
}
