/* after.c - what is done about a run once it has ended. */
#include "cli/cli.h"

#include <string.h>

/* The run is what it is: its exit status tells of it, and of nothing else. */
static void print_warning(const char *path, const struct gm_error *err)
{
	fputs("gristmill: warning: ", stderr);
	if (path != NULL) {
		gm_cli_print_safe(stderr, path, strlen(path));
		fputs(": ", stderr);
	}
	gm_cli_print_safe(stderr, err->message, strlen(err->message));
	fputc('\n', stderr);
}

void gm_cli_after_run(const struct gm_cli_after *after, const struct gm_cli_ended *ended)
{
	struct gm_error err;
	if (after->metrics_file != NULL && ended->job != NULL && !ended->idle &&
	    gm_metrics_write(ended->job, ended->result, ended->code, after->metrics_file, &err) != GM_OK)
		print_warning(after->metrics_file, &err);
	if (ended->code == GM_OK || ended->code == GM_INTERRUPTED) return;
	if (gm_on_failure(after->on_failure, ended->job, ended->job_file, ended->result, ended->error,
	                  gm_cli_catch_signals(), &err) != GM_OK)
		print_warning(NULL, &err);
}
