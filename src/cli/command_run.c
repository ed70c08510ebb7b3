/* command_run.c - gristmill run JOB */
#include "cli/cli.h"

#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	const char *adopt, *reason, *scratch;
	uint64_t threads, memory_bytes, limit;
	struct gm_cli_rejects rejects;
	struct gm_cli_after after;
	bool dry_run, abandon, as_new, profile, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_run_flags[GM_CLI_RUN_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"threads", "N", GM_CLI_COUNT, FIELD(threads),
     "how many threads work; 0, the default: one a processor. At most one for each 40 MiB of --memory. The output does "
     "not "
     "depend on it",
     0, 1024},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M. The output does not depend on it", 0, 0},
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch),
     "a local folder for what does not fit into memory; default: the table's own, or $TMPDIR or /var/tmp if the table "
     "is no "
     "directory",
     0, 0},
    {"limit", "N", GM_CLI_COUNT, FIELD(limit), "take the first N objects in plan order; default: all", 1, 0},
    {"max-quarantine", "N|P%", GM_CLI_REJECTS, FIELD(rejects),
     "stop, with nothing published, when more than N records, or P percent of them, cannot be used; default 1%, but at "
     "least 100 records",
     0, 0},
    {"dry-run", NULL, GM_CLI_SWITCH, FIELD(dry_run), "do everything but store", 0, 0},
    {"abandon", NULL, GM_CLI_SWITCH, FIELD(abandon),
     "give up the unfinished run that stands in the way (see status), and do nothing else; its inputs are new again", 0,
     0},
    {"adopt", "ID", GM_CLI_TEXT, FIELD(adopt),
     "before the job's first run on a table: take over what job ID has processed, in a commit of its own", 0, 0},
    {"new", NULL, GM_CLI_SWITCH, FIELD(as_new),
     "process all objects, though another job has processed objects of this source into this table", 0, 0},
    {"reason", "TEXT", GM_CLI_TEXT, FIELD(reason), "why: kept in the commit that --abandon or --adopt makes", 0, 0},
    {"metrics-file", "PATH", GM_CLI_TEXT, FIELD(after.metrics_file),
     "write what the run did and how it ended to PATH (NAME.prom), for the textfile collector of Prometheus's node "
     "exporter; also when it failed",
     0, 0},
    {"on-failure", "COMMAND", GM_CLI_TEXT, FIELD(after.on_failure),
     "if the run fails, run COMMAND by /bin/sh; GRISTMILL_JOB, _STATUS, _MESSAGE, _TABLE and _VERSION tell it what "
     "happened. It is killed after 60 seconds",
     0, 0},
    {"profile", NULL, GM_CLI_SWITCH, FIELD(profile),
     "tell where the time went: of each stage of the work its CPU seconds, nanoseconds a record, and throughput", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object at the end instead of the summary", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static bool report(const struct options *o, const struct gm_run_result *result, const struct gm_error *err)
{
	if (o->json) return gm_cli_report_json(stdout, result, err);
	if (!o->quiet && (err == NULL || err->code == GM_QUARANTINE)) gm_cli_report_text(stdout, result, o->dry_run);
	return true;
}

static enum gm_code run(const struct options *o, const struct gm_job *job, struct gm_run_result *result,
                        struct gm_error *err)
{
	struct gm_cli_progress progress;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.threads = (int)o->threads,
	                                 .memory_bytes = o->memory_bytes,
	                                 .scratch = o->scratch,
	                                 .limit_objects = o->limit,
	                                 .dry_run = o->dry_run,
	                                 .abandon = o->abandon,
	                                 .adopt = o->adopt,
	                                 .as_new = o->as_new,
	                                 .reason = o->reason,
	                                 .profile = o->profile,
	                                 .quarantine_set = o->rejects.set,
	                                 .quarantine_records = o->rejects.records,
	                                 .quarantine_percent = o->rejects.percent,
	                                 .stop = gm_cli_catch_signals(),
	                                 .progress = gm_cli_progress_show,
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	enum gm_code code = gm_run(job, &options, result, err);
	gm_cli_progress_end(&progress);
	return code;
}

int gm_cli_run(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_run_result result = {.version = -1};
	struct gm_error err;
	struct gm_job *job = NULL;
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) {
		struct gm_job_options options = {o.job.source, o.job.table, o.job.settings.at, o.job.settings.count};
		enum gm_code code = gm_job_load(path, &options, &job, &err);
		status = gm_cli_load_status(code);
		if (code == GM_OK) {
			code = run(&o, job, &result, &err);
			status = gm_cli_status_of(code);
			if (o.quiet) gm_cli_warn_catalog(&result, path);
		}
		if (code != GM_OK) gm_cli_print_error(&err);
		bool reported = report(&o, &result, code != GM_OK ? &err : NULL);
		status = gm_cli_finish(status, reported);
		const struct gm_cli_ended ended = {job, path, &result, code, &err, o.dry_run || o.abandon};
		gm_cli_after_run(&o.after, &ended);
	}
	gm_run_result_clear(&result);
	gm_job_free(job);
	free(o.job.settings.at);
	return status;
}
