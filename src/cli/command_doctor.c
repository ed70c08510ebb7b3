/* command_doctor.c - gristmill doctor JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	const char *scratch;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_doctor_flags[GM_CLI_DOCTOR_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"scratch", "DIR", GM_CLI_TEXT, FIELD(scratch), "the folder for spill files that runs are given", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object with a member for each step", 0, 0},
};

static const char *const words[] = {[GM_HEALTHY] = "ok", [GM_HEALTH_HINT] = "note", [GM_HEALTH_FAULT] = "FAIL"};

struct ward {
	const struct options *options;
	const char *place; /* told last */
	json_t *steps;
};

static void print_text(struct ward *ward, const struct gm_health_step *step)
{
	if (ward->place == NULL || strcmp(ward->place, step->place) != 0) {
		printf("%s%s  ", ward->place != NULL ? "\n" : "", step->place);
		gm_cli_print_safe(stdout, step->location, strlen(step->location));
		fputc('\n', stdout);
	}
	ward->place = step->place;
	printf("  %-4s  %-13s  ", words[step->health], step->what);
	gm_cli_print_safe(stdout, step->text, strlen(step->text));
	fputc('\n', stdout);
	if (step->advice[0] == '\0') return;
	printf("        %-13s  -> ", "");
	gm_cli_print_safe(stdout, step->advice, strlen(step->advice));
	fputc('\n', stdout);
}

static void keep_json(struct ward *ward, const struct gm_health_step *step)
{
	const struct {
		const char *name, *text;
	} members[] = {{"place", step->place}, {"location", step->location},    {"step", step->what},
	               {"text", step->text},   {"result", words[step->health]}, {"advice", step->advice}};
	json_t *object = json_object();
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
		(void)json_object_set_new(object, members[i].name, gm_cli_json_text(members[i].text, strlen(members[i].text)));
	(void)json_array_append_new(ward->steps, object);
}

static void show_step(void *context, const struct gm_health_step *step)
{
	struct ward *ward = context;
	if (ward->options->json)
		keep_json(ward, step);
	else
		print_text(ward, step);
}

static int examine(const struct options *options, const struct gm_job *job)
{
	struct gm_run_options run = {.scratch = options->scratch};
	struct ward ward = {.options = options, .steps = options->json ? json_array() : NULL};
	struct gm_error err;
	uint64_t faults = 0;
	bool reported = true;
	enum gm_code code = gm_doctor(job, &run, show_step, &ward, &faults, &err);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (options->json)
		reported =
		    gm_cli_json_print_with(stdout, json_pack("{s:I, s:o}", "faults", (json_int_t)faults, "steps", ward.steps),
		                           code != GM_OK ? &err : NULL);
	else if (code == GM_OK && faults == 0)
		printf("\nA run has what it needs.\n");
	else if (code == GM_OK)
		printf("\n%llu %s must be mended.\n", (unsigned long long)faults, faults == 1 ? "thing" : "things");
	if (code != GM_OK) return gm_cli_finish(gm_cli_status_of(code), reported);
	return gm_cli_finish(faults > 0 ? GM_CLI_FAILED : GM_CLI_DONE, reported);
}

int gm_cli_doctor(const struct gm_cli_command *command, char **arguments)
{
	struct options options = {.json = false};
	struct gm_job *job = NULL;
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &options, &path);
	if (status == GM_CLI_GO_ON) status = gm_cli_load_job(&options.job, path, options.json, &job);
	if (status == GM_CLI_GO_ON) status = examine(&options, job);
	gm_job_free(job);
	free(options.job.settings.at);
	return status;
}
