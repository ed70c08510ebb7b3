/* command_status.c - gristmill status JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t runs, memory_bytes;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_status_flags[GM_CLI_STATUS_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"runs", "N", GM_CLI_COUNT, FIELD(runs), "how many of the last commits to tell; default 10", 1, 100000},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object", 0, 0},
};

/* --- Text --------------------------------------------------------------------------------------------------------- */

/* To the second: what is looked at by people. */
static const char *show_time(char time[GM_CLI_NUMBER_BYTES], int64_t time_us)
{
	return gm_cli_time(time, time_us - time_us % 1000000);
}

static void print_safe(const char *text)
{
	gm_cli_print_safe(stdout, text, strlen(text));
}

static void print_table(const struct gm_status *status)
{
	char time[GM_CLI_NUMBER_BYTES];
	if (!status->table_exists)
		puts("table     does not exist yet: the first run makes it");
	else if (status->version < 0)
		puts("table     has no commit yet");
	else if (status->version_us == 0)
		printf("table     version %lld\n", (long long)status->version);
	else
		printf("table     version %lld, committed %s\n", (long long)status->version,
		       show_time(time, status->version_us));
}

static void print_bookmark(const struct gm_status *status)
{
	char n[2][GM_CLI_NUMBER_BYTES];
	printf("bookmark  %s object%s processed", gm_cli_count(n[0], status->objects), status->objects == 1 ? "" : "s");
	if (status->newest_us != 0) printf(", the newest modified %s", show_time(n[0], status->newest_us));
	fputc('\n', stdout);
	if (status->bookmark_run > 0)
		printf("          written down as of run %llu in %s, %s changes since\n",
		       (unsigned long long)status->bookmark_run, gm_cli_bytes(n[0], (double)status->bookmark_bytes),
		       gm_cli_count(n[1], status->changes));
}

static void print_source(const struct gm_status *status)
{
	char n[2][GM_CLI_NUMBER_BYTES];
	if (status->source_error.code != GM_OK) {
		fputs("source    cannot be listed: ", stdout);
		print_safe(status->source_error.object);
		fputs(status->source_error.object[0] != '\0' ? ": " : "", stdout);
		print_safe(status->source_error.message);
		fputc('\n', stdout);
		return;
	}
	if (status->waiting == 0)
		puts("source    nothing new");
	else
		printf("source    %s new object%s, %s, the oldest modified ", gm_cli_count(n[0], status->waiting),
		       status->waiting == 1 ? "" : "s", gm_cli_bytes(n[1], (double)status->waiting_bytes));
	if (status->waiting > 0) puts(show_time(n[0], status->waiting_oldest_us));
	if (status->changed > 0)
		printf("          %s object%s overwritten after processing\n", gm_cli_count(n[0], status->changed),
		       status->changed == 1 ? "" : "s");
	if (status->listed_since_us != 0)
		printf("          folders of times before %s are looked at once a day\n",
		       show_time(n[0], status->listed_since_us));
}

static void print_plan(const struct gm_status_plan *plan)
{
	char n[4][GM_CLI_NUMBER_BYTES];
	printf("pending   run %llu of job ", (unsigned long long)plan->plan);
	print_safe(plan->job);
	if (plan->units > 0)
		printf(", planned %s: %s objects, %s of %s units done", show_time(n[0], plan->created_us),
		       gm_cli_count(n[1], plan->objects), gm_cli_count(n[2], plan->units_done),
		       gm_cli_count(n[3], plan->units));
	fputs("\n          ", stdout);
	print_safe(plan->state);
	fputs("\n          to do: ", stdout);
	print_safe(plan->advice);
	fputc('\n', stdout);
}

static void print_blocked(const struct gm_status *status)
{
	if (status->blocked[0] == '\0') return;
	fputs("blocked   ", stdout);
	print_safe(status->blocked);
	if (status->blocked_advice[0] != '\0') fputs("\n          to do: ", stdout);
	print_safe(status->blocked_advice);
	fputc('\n', stdout);
}

/* Why a change was made, and by whom: below its row. */
static void print_change(const struct gm_status_run *run)
{
	const char *const texts[] = {run->detail, run->reason, run->who};
	bool first = true;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (texts[i][0] == '\0') continue;
		fputs(first ? "                 " : i == 2 ? ", by " : ": ", stdout);
		print_safe(texts[i]);
		first = false;
	}
	if (!first) fputc('\n', stdout);
}

static void print_runs(const struct gm_status *status)
{
	char n[5][GM_CLI_NUMBER_BYTES];
	if (status->run_count == 0) return;
	printf("\n%6s  %7s  %-7s  %-20s  %9s  %13s  %13s  %10s  %11s\n", "run", "version", "what", "time", "objects",
	       "records", "rows", "duplicates", "quarantined");
	for (size_t i = 0; i < status->run_count; i++) {
		const struct gm_status_run *run = &status->runs[i];
		char time[GM_CLI_NUMBER_BYTES], version[GM_CLI_NUMBER_BYTES] = "-";
		if (run->version >= 0) (void)snprintf(version, sizeof version, "%lld", (long long)run->version);
		show_time(time, run->time_us);
		printf("%6llu  %7s  %-7s  %-20s", (unsigned long long)run->run, version, run->what, time);
		if (run->objects > 0)
			printf("  %9s  %13s  %13s  %10s  %11s", gm_cli_count(n[0], run->objects),
			       gm_cli_count(n[1], run->records_read), gm_cli_count(n[2], run->rows_written),
			       gm_cli_count(n[3], run->duplicates), gm_cli_count(n[4], run->quarantined));
		fputc('\n', stdout);
		print_change(run);
	}
}

static void print_text(const struct gm_status *status)
{
	print_table(status);
	print_bookmark(status);
	print_source(status);
	for (size_t i = 0; i < status->plan_count; i++) print_plan(&status->plans[i]);
	print_blocked(status);
	print_runs(status);
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *text(const char *value)
{
	return value[0] != '\0' ? gm_cli_json_text(value, strlen(value)) : json_null();
}

static json_t *time_json(int64_t time_us)
{
	char value[GM_CLI_NUMBER_BYTES];
	return time_us != 0 ? json_string(gm_cli_time(value, time_us)) : json_null();
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *run_json(const struct gm_status_run *run)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "run", number(run->run),
	                 "what", run->what, "detail", text(run->detail), "reason", text(run->reason), "who", text(run->who),
	                 "version", gm_cli_json_number(run->version), "time", time_json(run->time_us), "objects",
	                 number(run->objects), "files", number(run->files), "records_read", number(run->records_read),
	                 "rows_written", number(run->rows_written), "duplicates", number(run->duplicates), "filtered",
	                 number(run->filtered), "quarantined", number(run->quarantined));
}

static json_t *plan_json(const struct gm_status_plan *plan)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "plan", number(plan->plan), "job",
	                 text(plan->job), "engine", text(plan->engine), "planned", time_json(plan->created_us), "claimed",
	                 (int)plan->claimed, "ours", (int)plan->ours, "objects", number(plan->objects), "bytes",
	                 number(plan->bytes), "units", number(plan->units), "units_done", number(plan->units_done), "state",
	                 text(plan->state), "advice", text(plan->advice));
}

static json_t *runs_json(const struct gm_status *status)
{
	json_t *list = json_array();
	bool ok = list != NULL;
	for (size_t i = 0; ok && i < status->run_count; i++)
		ok = json_array_append_new(list, run_json(&status->runs[i])) == 0;
	if (ok) return list;
	json_decref(list);
	return NULL;
}

static json_t *plans_json(const struct gm_status *status)
{
	json_t *list = json_array();
	bool ok = list != NULL;
	for (size_t i = 0; ok && i < status->plan_count; i++)
		ok = json_array_append_new(list, plan_json(&status->plans[i])) == 0;
	if (ok) return list;
	json_decref(list);
	return NULL;
}

static json_t *bookmark_json(const struct gm_status *status)
{
	bool none = status->bookmark_run == 0;
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "objects", number(status->objects), "newest",
	                 time_json(status->newest_us), "changes", number(status->changes), "run",
	                 none ? json_null() : number(status->bookmark_run), "bytes", number(status->bookmark_bytes));
}

static json_t *source_json(const struct gm_status *status)
{
	bool failed = status->source_error.code != GM_OK;
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "new", failed ? json_null() : number(status->waiting), "bytes",
	                 failed ? json_null() : number(status->waiting_bytes), "oldest",
	                 failed ? json_null() : time_json(status->waiting_oldest_us), "changed",
	                 failed ? json_null() : number(status->changed), "listed_since", time_json(status->listed_since_us),
	                 "error", failed ? gm_cli_json_error(&status->source_error) : json_null());
}

static bool print_json(const struct gm_status *status)
{
	json_t *blocked = status->blocked[0] == '\0' ? json_null()
	                                             : json_pack("{s:o, s:o}", "why", text(status->blocked), "advice",
	                                                         text(status->blocked_advice));
	return gm_cli_json_print(
	    stdout, json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "table", (int)status->table_exists,
	                      "version", gm_cli_json_number(status->version), "committed", time_json(status->version_us),
	                      "last_run", status->last_run > 0 ? number(status->last_run) : json_null(), "bookmark",
	                      bookmark_json(status), "source", source_json(status), "pending", plans_json(status),
	                      "blocked", blocked, "runs", runs_json(status)));
}

static int show(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_status status;
	struct gm_error err;
	int code = gm_cli_load_job(&o->job, path, o->json, &job);
	if (code != GM_CLI_GO_ON) return code;
	struct gm_status_options options = {.runs = o->runs, .memory_bytes = o->memory_bytes};
	enum gm_code rc = gm_status_read(job, &options, &status, &err);
	bool reported = true;
	if (rc != GM_OK) gm_cli_print_error(&err);
	if (rc != GM_OK && o->json)
		reported = gm_cli_report_error_json(stdout, &err);
	else if (rc == GM_OK && o->json)
		reported = print_json(&status);
	else if (rc == GM_OK)
		print_text(&status);
	gm_status_clear(&status);
	gm_job_free(job);
	return gm_cli_finish(gm_cli_status_of(rc), reported);
}

int gm_cli_status(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = show(&o, path);
	free(o.job.settings.at);
	return status;
}
