/* command_plan.c - gristmill plan JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	const char *adopt, *reason;
	uint64_t memory_bytes, limit;
	bool as_new, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_plan_flags[GM_CLI_PLAN_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M", 0, 0},
    {"limit", "N", GM_CLI_COUNT, FIELD(limit), "plan the first N objects in plan order; default: all", 1, 0},
    {"adopt", "ID", GM_CLI_TEXT, FIELD(adopt), "as for run", 0, 0},
    {"new", NULL, GM_CLI_SWITCH, FIELD(as_new), "as for run", 0, 0},
    {"reason", "TEXT", GM_CLI_TEXT, FIELD(reason), "why: kept in the commit that --adopt makes", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object: the plan's number, its units", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};

static void print_text(const struct gm_planned *plan)
{
	char n[2][GM_CLI_NUMBER_BYTES];
	if (plan->plan == 0) {
		fputs("nothing new\n", stdout);
		return;
	}
	printf("plan %llu%s: %s objects, %s, in %zu unit%s\n", (unsigned long long)plan->plan,
	       plan->resumed ? ", unfinished" : "", gm_cli_count(n[0], plan->objects),
	       gm_cli_bytes(n[1], (double)plan->bytes), plan->unit_count, plan->unit_count == 1 ? "" : "s");
	printf("\n  %8s  %9s  %10s\n", "unit", "objects", "size");
	for (size_t i = 0; i < plan->unit_count; i++) {
		const struct gm_planned_unit *unit = &plan->units[i];
		printf("  %8zu  %9s  %10s%s\n", i, gm_cli_count(n[0], unit->objects), gm_cli_bytes(n[1], (double)unit->bytes),
		       unit->done   ? "  done"
		       : unit->keys ? "  keys done"
		                    : "");
	}
}

static json_t *units_json(const struct gm_planned *plan)
{
	json_t *list = json_array();
	for (size_t i = 0; list != NULL && i < plan->unit_count; i++) {
		const struct gm_planned_unit *unit = &plan->units[i];
		json_t *object =
		    json_pack("{s:I, s:I, s:I, s:b, s:b}", "unit", (json_int_t)i, "objects", (json_int_t)unit->objects, "bytes",
		              (json_int_t)unit->bytes, "keys", (int)unit->keys, "done", (int)unit->done);
		if (json_array_append_new(list, object) == 0) continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static bool print_json(const struct gm_planned *plan, const struct gm_error *err)
{
	bool none = plan->plan == 0;
	json_t *object =
	    json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:o}", "plan", gm_cli_json_number(none ? -1 : (int64_t)plan->plan),
	              "parent", gm_cli_json_number(none ? -1 : (int64_t)plan->parent), "version",
	              gm_cli_json_number(plan->version), "resumed", (int)plan->resumed, "objects",
	              (json_int_t)plan->objects, "bytes", (json_int_t)plan->bytes, "units", units_json(plan));
	if (object != NULL && plan->remote &&
	    json_object_set_new(object, "requests", gm_cli_json_requests(&plan->requests)) != 0) {
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print_with(stdout, object, err);
}

static int plan(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_planned planned;
	struct gm_cli_progress progress;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.memory_bytes = o->memory_bytes,
	                                 .limit_objects = o->limit,
	                                 .adopt = o->adopt,
	                                 .as_new = o->as_new,
	                                 .reason = o->reason,
	                                 .stop = gm_cli_catch_signals(),
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	enum gm_code code = gm_run_plan(job, &options, &planned, &err);
	bool reported = true;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = print_json(&planned, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && !o->quiet)
		print_text(&planned);
	gm_planned_clear(&planned);
	gm_job_free(job);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

int gm_cli_plan(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = plan(&o, path);
	free(o.job.settings.at);
	return status;
}
