/* command_replay.c - gristmill quarantine JOB replay */
#include "cli/cli.h"

#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	const char *scratch;
	struct gm_cli_counts runs;
	uint64_t threads, memory_bytes;
	struct gm_cli_rejects rejects;
	bool dry_run, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_replay_flags[GM_CLI_REPLAY_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"run", "N", GM_CLI_COUNTS, FIELD(runs), "only what run N rejected; may be repeated", 1, 0},
    {"max-quarantine", "N|P%", GM_CLI_REJECTS, FIELD(rejects),
     "stop, with nothing published, when more than N records, or P percent of them, cannot be used this time either; "
     "default 1%, but at least 100 records",
     0, 0},
    {"dry-run", NULL, GM_CLI_SWITCH, FIELD(dry_run), "do everything but store", 0, 0},
    {"threads", "N", GM_CLI_COUNT, FIELD(threads), "as for run", 0, 1024},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch), "as for run", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object at the end, as run does", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static enum gm_code run(const struct options *o, const struct gm_job *job, struct gm_run_result *result,
                        struct gm_error *err)
{
	struct gm_cli_progress progress;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.threads = (int)o->threads,
	                                 .memory_bytes = o->memory_bytes,
	                                 .scratch = o->scratch,
	                                 .dry_run = o->dry_run,
	                                 .replay = true,
	                                 .replay_runs = o->runs.at,
	                                 .replay_run_count = o->runs.count,
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

static int replay(const struct options *o, const char *path)
{
	struct gm_run_result result = {0};
	struct gm_error err;
	struct gm_job *job = NULL;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	enum gm_code code = run(o, job, &result, &err);
	bool reported = true;
	if (o->quiet) gm_cli_warn_catalog(&result, path);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = gm_cli_report_json(stdout, &result, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && result.inputs == 0 && !o->quiet)
		puts("nothing to replay");
	else if (!o->quiet && (code == GM_OK || code == GM_QUARANTINE))
		gm_cli_report_text(stdout, &result, o->dry_run);
	gm_run_result_clear(&result);
	gm_job_free(job);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

int gm_cli_replay(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = replay(&o, path);
	free(o.job.settings.at);
	free(o.runs.at);
	return status;
}
