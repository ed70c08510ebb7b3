/* command_check.c - gristmill check JOB */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_check_flags[GM_CLI_CHECK_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object", 0, 0},
};

static enum gm_code describe(const struct options *o, const char *path, char **text, struct gm_error *err)
{
	struct gm_job_options options = {o->job.source, o->job.table, o->job.settings.at, o->job.settings.count};
	struct gm_job *job = NULL;
	enum gm_code code = gm_job_load(path, &options, &job, err);
	if (code == GM_OK) code = gm_job_describe(job, o->json, text, err);
	gm_job_free(job);
	return code;
}

int gm_cli_check(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_error err;
	const char *path = NULL;
	char *text = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) {
		bool reported = true;
		enum gm_code code = describe(&o, path, &text, &err);
		if (code == GM_OK) {
			size_t n = strlen(text);
			fputs(text, stdout);
			if (n == 0 || text[n - 1] != '\n') fputc('\n', stdout);
		} else {
			gm_cli_print_error(&err);
			if (o.json) reported = gm_cli_report_error_json(stdout, &err);
		}
		status = gm_cli_finish(gm_cli_load_status(code), reported);
	}
	free(text);
	free(o.job.settings.at);
	return status;
}
