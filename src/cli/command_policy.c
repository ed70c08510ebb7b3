/* command_policy.c - gristmill policy JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_policy_flags[GM_CLI_POLICY_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object that holds the policies", 0, 0},
};

/* NULL: none is needed. The object is new; *ok turns false when memory is gone. */
static json_t *parse(const char *text, bool *ok)
{
	json_t *policy = text != NULL ? json_loads(text, 0, NULL) : json_null();
	*ok = *ok && policy != NULL;
	return policy;
}

static bool print_json(const struct gm_policy *policy)
{
	bool ok = true;
	if (policy->source == NULL) {
		json_t *both = parse(policy->both, &ok);
		return gm_cli_json_print(stdout, ok ? json_pack("{s:o}", "policy", both) : NULL);
	}
	json_t *source = parse(policy->source, &ok), *table = parse(policy->table, &ok);
	return gm_cli_json_print(stdout, json_pack("{s:o, s:o}", "source", source, "table", table));
}

static bool print_text(const char *heading, const char *text)
{
	bool ok = true;
	json_t *policy = parse(text, &ok);
	if (heading != NULL) {
		(void)fflush(stdout); /* so that the heading stands above its policy where both go to a terminal */
		fputs(heading, stderr);
	}
	ok = ok && json_dumpf(policy, stdout, JSON_INDENT(2)) == 0 && fputc('\n', stdout) != EOF;
	json_decref(policy);
	return ok;
}

static bool print_all(const struct gm_policy *policy, bool json)
{
	if (policy->both == NULL && policy->source == NULL)
		fputs("source and table lie in directories: no policy is needed\n", stderr);
	if (json) return print_json(policy);
	if (policy->both != NULL) return print_text(NULL, policy->both);
	if (policy->source == NULL) return true;
	return print_text("for the source:\n", policy->source) && print_text("for the table:\n", policy->table);
}

static int show(const struct options *o, const struct gm_job *job)
{
	struct gm_policy policy;
	struct gm_error err;
	enum gm_code code = gm_policy(job, &policy, &err);
	if (code != GM_OK) {
		gm_cli_print_error(&err);
		return gm_cli_finish(gm_cli_status_of(code), !o->json || gm_cli_report_error_json(stdout, &err));
	}
	bool reported = print_all(&policy, o->json);
	gm_policy_clear(&policy);
	return gm_cli_finish(GM_CLI_DONE, reported);
}

int gm_cli_policy(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {.json = false};
	struct gm_job *job = NULL;
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = gm_cli_load_job(&o.job, path, o.json, &job);
	if (status == GM_CLI_GO_ON) status = show(&o, job);
	gm_job_free(job);
	free(o.job.settings.at);
	return status;
}
