/* command_commit.c - gristmill commit JOB */
#include "cli/cli.h"

#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	const char *scratch;
	uint64_t memory_bytes, plan;
	struct gm_cli_rejects rejects;
	bool json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_commit_flags[GM_CLI_COMMIT_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"plan", "N", GM_CLI_COUNT, FIELD(plan), "the number of the plan, as plan told it", 1, 0},
    {"max-quarantine", "N|P%", GM_CLI_REJECTS, FIELD(rejects), "as for run", 0, 0},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch), "as for run", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object at the end instead of the summary", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static void print_text(const struct options *o, enum gm_step step, const struct gm_run_result *result)
{
	unsigned long long plan = o->plan;
	if (step == GM_STEP_COMMITTED)
		printf("plan %llu is committed, by another call\n", plan);
	else if (step == GM_STEP_DEAD)
		printf("plan %llu is dead: another was committed in its place\n", plan);
	else
		gm_cli_report_text(stdout, result, false);
}

static int commit(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_run_result result;
	struct gm_cli_progress progress;
	struct gm_error err;
	enum gm_step step;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.memory_bytes = o->memory_bytes,
	                                 .scratch = o->scratch,
	                                 .quarantine_set = o->rejects.set,
	                                 .quarantine_records = o->rejects.records,
	                                 .quarantine_percent = o->rejects.percent,
	                                 .stop = gm_cli_catch_signals(),
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	enum gm_code code = gm_run_commit(job, &options, o->plan, &step, &result, &err);
	bool reported = true;
	if (o->quiet) gm_cli_warn_catalog(&result, path);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = gm_cli_json_print(stdout, gm_cli_json_step(&result, o->plan, step, code != GM_OK ? &err : NULL));
	else if (!o->quiet && (code == GM_OK || code == GM_QUARANTINE))
		print_text(o, step, &result);
	gm_run_result_clear(&result);
	gm_job_free(job);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

int gm_cli_commit(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON && o.plan == 0) status = gm_cli_missing(command, "plan");
	if (status == GM_CLI_GO_ON) status = commit(&o, path);
	free(o.job.settings.at);
	return status;
}
