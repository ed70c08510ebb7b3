/* command_work.c - gristmill work JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	const char *scratch;
	uint64_t threads, memory_bytes, plan, unit;
	bool keys, write, profile, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_work_flags[GM_CLI_WORK_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"plan", "N", GM_CLI_COUNT, FIELD(plan), "the number of the plan, as plan told it", 1, 0},
    {"unit", "N", GM_CLI_COUNT, FIELD(unit), "the number of the unit, from 0", 0, 0},
    {"keys", NULL, GM_CLI_SWITCH, FIELD(keys), "make the unit's key list alone, which needs no other unit", 0, 0},
    {"write", NULL, GM_CLI_SWITCH, FIELD(write),
     "write the unit's files, by its key list and those of all units before it", 0, 0},
    {"threads", "N", GM_CLI_COUNT, FIELD(threads), "as for run", 0, 1024},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch), "as for run", 0, 0},
    {"profile", NULL, GM_CLI_SWITCH, FIELD(profile), "as for run", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object at the end instead of the summary", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static void print_text(const struct options *o, enum gm_step step, const struct gm_run_result *result)
{
	unsigned long long plan = o->plan, unit = o->unit;
	char n[GM_CLI_NUMBER_BYTES];
	switch (step) {
	case GM_STEP_COMMITTED: printf("plan %llu is committed: there is nothing to do\n", plan); return;
	case GM_STEP_DEAD: printf("plan %llu is dead: another was committed in its place\n", plan); return;
	case GM_STEP_BEFORE: printf("unit %llu of plan %llu was done before\n", unit, plan); return;
	default: break;
	}
	printf("unit %llu of plan %llu%s, in %s\n", unit, plan, o->keys ? ": its key list" : "",
	       gm_cli_duration(n, result->seconds));
	if (o->keys) return;
	gm_cli_print_balance(stdout, &result->total);
	gm_cli_print_partitions(stdout, result);
	gm_cli_print_profile(stdout, result);
}

static bool print_json(const struct options *o, enum gm_step step, const struct gm_run_result *result,
                       const struct gm_error *err)
{
	static const char *const of_runs[] = {"run", "runs", "committed"};
	json_t *object = gm_cli_json_step(result, o->plan, step, err);
	for (size_t i = 0; object != NULL && i < sizeof of_runs / sizeof of_runs[0]; i++)
		(void)json_object_del(object, of_runs[i]);
	if (object != NULL && json_object_set_new(object, "unit", json_integer((json_int_t)o->unit)) != 0) {
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print(stdout, object);
}

static int work(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_run_result result;
	struct gm_cli_progress progress;
	struct gm_error err;
	enum gm_step step;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.threads = (int)o->threads,
	                                 .memory_bytes = o->memory_bytes,
	                                 .scratch = o->scratch,
	                                 .profile = o->profile,
	                                 .stop = gm_cli_catch_signals(),
	                                 .progress = gm_cli_progress_show,
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	enum gm_work_part part = o->keys ? GM_WORK_KEYS : o->write ? GM_WORK_WRITE : GM_WORK_WHOLE;
	enum gm_code code = gm_run_work(job, &options, o->plan, o->unit, part, &step, &result, &err);
	gm_cli_progress_end(&progress);
	bool reported = true;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = print_json(o, step, &result, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && !o->quiet)
		print_text(o, step, &result);
	gm_run_result_clear(&result);
	gm_job_free(job);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

int gm_cli_work(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {.unit = UINT64_MAX};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON && o.plan == 0) status = gm_cli_missing(command, "plan");
	if (status == GM_CLI_GO_ON && o.unit == UINT64_MAX) status = gm_cli_missing(command, "unit");
	if (status == GM_CLI_GO_ON && o.keys && o.write)
		status = gm_cli_usage("without either both are done at once", "work: --keys or --write, not both");
	if (status == GM_CLI_GO_ON) status = work(&o, path);
	free(o.job.settings.at);
	return status;
}
