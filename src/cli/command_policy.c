/* command_policy.c - gristmill policy JOB */
#include "cli/cli.h"

#include <stdlib.h>

struct options {
	struct gm_cli_job_flags job;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_policy_flags[GM_CLI_POLICY_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object that holds the policies", 0, 0},
};

static void print_json(const struct gm_policy *policy)
{
	if (policy->source != NULL)
		printf("{\"source\":%s,\"table\":%s", policy->source, policy->table);
	else
		printf("{\"policy\":%s", policy->both != NULL ? policy->both : "null");
	if (policy->catalog != NULL) printf(",\"catalog\":%s", policy->catalog);
	puts("}");
}

static void print_text(const struct gm_policy *policy)
{
	const struct {
		const char *heading, *text;
	} parts[] = {{policy->catalog != NULL ? "for source and table:\n" : "", policy->both},
	             {"for the source:\n", policy->source},
	             {"for the table:\n", policy->table},
	             {"for the catalog:\n", policy->catalog}};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i].text == NULL) continue;
		(void)fflush(stdout); /* so that the heading stands above its policy where both go to a terminal */
		fputs(parts[i].heading, stderr);
		puts(parts[i].text);
	}
}

static int show(const struct options *o, const struct gm_job *job)
{
	struct gm_policy policy;
	struct gm_error err;
	enum gm_code code = gm_policy(job, o->json, &policy, &err);
	if (code != GM_OK) {
		gm_cli_print_error(&err);
		return gm_cli_finish(gm_cli_status_of(code), !o->json || gm_cli_report_error_json(stdout, &err));
	}
	if (policy.both == NULL && policy.source == NULL)
		fputs("source and table lie in directories: no policy is needed\n", stderr);
	if (o->json)
		print_json(&policy);
	else
		print_text(&policy);
	gm_policy_clear(&policy);
	return gm_cli_finish(GM_CLI_DONE, true);
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
