/* load.c - the job file that a command is about. */
#include "cli/cli.h"

int gm_cli_load_job(const struct gm_cli_job_flags *flags, const char *path, bool json, struct gm_job **job)
{
	struct gm_job_options options = {flags->source, flags->table, flags->settings.at, flags->settings.count};
	struct gm_error err;
	enum gm_code code = gm_job_load(path, &options, job, &err);
	if (code == GM_OK) return GM_CLI_GO_ON;
	gm_cli_print_error(&err);
	return gm_cli_finish(gm_cli_load_status(code), !json || gm_cli_report_error_json(stdout, &err));
}
