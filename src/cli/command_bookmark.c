/* command_bookmark.c - gristmill bookmark JOB show | rewind | forget */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	const char *prefix, *reason;
	int64_t to_us; /* INT64_MIN: not given */
	uint64_t memory_bytes;
	bool dry_run, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
static const struct gm_cli_flag show_flags[] = {
    GM_CLI_JOB_FLAGS,
    {"prefix", "TEXT", GM_CLI_TEXT, FIELD(prefix), "only objects whose keys begin so", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object a line for each object", 0, 0},
};

#define CHANGE_FLAGS                                                                                        \
	{"reason", "TEXT", GM_CLI_TEXT, FIELD(reason), "why: kept in the commit, with who it was", 0, 0},       \
	    {"dry-run", NULL, GM_CLI_SWITCH, FIELD(dry_run), "tell how many objects would be forgotten", 0, 0}, \
	    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},                           \
	    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object", 0, 0},                          \
	{                                                                                                       \
		"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0  \
	}
static const struct gm_cli_flag rewind_flags[] = {
    GM_CLI_JOB_FLAGS,
    {"to", "TIME", GM_CLI_TIME, FIELD(to_us), "forget the objects that were modified later than this time in UTC", 0,
     0},
    CHANGE_FLAGS,
};
static const struct gm_cli_flag forget_flags[] = {GM_CLI_JOB_FLAGS, CHANGE_FLAGS};

/* --- show --------------------------------------------------------------------------------------------------------- */

struct show {
	bool json, failed, headed;
};

static bool show_json(const struct gm_processed *entry)
{
	char time[GM_CLI_NUMBER_BYTES];
	return gm_cli_json_print(stdout,
	                         json_pack("{s:o, s:I, s:s, s:I}", "key", gm_cli_json_text(entry->key, strlen(entry->key)),
	                                   "bytes", (json_int_t)entry->bytes, "modified",
	                                   gm_cli_time(time, entry->modified_us), "run", (json_int_t)entry->run));
}

static bool show_entry(void *context, const struct gm_processed *entry)
{
	struct show *show = context;
	char time[GM_CLI_NUMBER_BYTES], bytes[GM_CLI_NUMBER_BYTES];
	if (ferror(stdout) != 0 || gm_cli_signal() != 0) return false;
	if (show->json) {
		show->failed = !show_json(entry);
		return !show->failed;
	}
	if (!show->headed) printf("%8s  %-27s  %15s  %s\n", "run", "modified", "bytes", "object");
	show->headed = true;
	printf("%8llu  %-27s  %15s  ", (unsigned long long)entry->run, gm_cli_time(time, entry->modified_us),
	       gm_cli_count(bytes, entry->bytes));
	gm_cli_print_safe(stdout, entry->key, strlen(entry->key));
	fputc('\n', stdout);
	return true;
}

static int show(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_error err;
	struct show show = {.json = o->json};
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	(void)gm_cli_catch_signals();
	enum gm_code code = gm_bookmark_list(job, o->prefix, show_entry, &show, &err);
	gm_job_free(job);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (code == GM_OK && !o->json && !show.headed)
		puts(o->prefix != NULL ? "no processed object's key begins so" : "nothing is processed yet");
	bool reported = !show.failed && (code == GM_OK || !o->json || gm_cli_report_error_json(stdout, &err));
	status = gm_cli_finish(gm_cli_status_of(code), reported);
	return gm_cli_signal() != 0 ? gm_cli_status_of(GM_INTERRUPTED) : status;
}

static int main_show(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = show(&o, path);
	free(o.job.settings.at);
	return status;
}

/* --- rewind, forget ----------------------------------------------------------------------------------------------- */

static void print_text(const struct options *o, const struct gm_bookmark_edited *result)
{
	char n[GM_CLI_NUMBER_BYTES];
	bool one = result->objects == 1;
	const char *objects = one ? "object" : "objects";
	if (result->objects == 0)
		fputs("no processed object was modified later: nothing to forget\n", stdout);
	else if (o->dry_run)
		printf("%s %s would be forgotten and processed again\n", gm_cli_count(n, result->objects), objects);
	else
		printf("run %llu: %s %s forgotten; the next run processes %s again\n", (unsigned long long)result->run,
		       gm_cli_count(n, result->objects), objects, one ? "it" : "them");
}

static bool print_json(const struct options *o, const struct gm_bookmark_edited *result, const struct gm_error *err)
{
	json_t *object =
	    json_pack("{s:o, s:o, s:b, s:I, s:b}", "run", gm_cli_json_number(result->run > 0 ? (int64_t)result->run : -1),
	              "version", gm_cli_json_number(result->version), "committed", (int)(result->run > 0), "objects",
	              (json_int_t)result->objects, "dry_run", (int)o->dry_run);
	return gm_cli_json_print_with(stdout, object, err);
}

static int change(const struct options *o, const char *path, const struct gm_bookmark_edit *edit)
{
	struct gm_job *job = NULL;
	struct gm_bookmark_edited result;
	struct gm_cli_progress progress;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_run_options options = {.memory_bytes = o->memory_bytes,
	                                 .dry_run = o->dry_run,
	                                 .reason = o->reason,
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	enum gm_code code = gm_bookmark_change(job, edit, &options, &result, &err);
	gm_job_free(job);
	bool reported = true;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = print_json(o, &result, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && !o->quiet)
		print_text(o, &result);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

static int main_rewind(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {.to_us = INT64_MIN};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON && o.to_us == INT64_MIN) status = gm_cli_missing(command, "to");
	if (status == GM_CLI_GO_ON && o.reason == NULL && !o.dry_run) status = gm_cli_missing(command, "reason");
	struct gm_bookmark_edit edit = {.rewind = true, .to_us = o.to_us};
	if (status == GM_CLI_GO_ON) status = change(&o, path, &edit);
	free(o.job.settings.at);
	return status;
}

static int main_forget(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_cli_operands operands = {0};
	int status = gm_cli_parse_all(command, arguments, &o, &operands);
	if (status == GM_CLI_GO_ON && o.reason == NULL && !o.dry_run) status = gm_cli_missing(command, "reason");
	if (status == GM_CLI_GO_ON) {
		struct gm_bookmark_edit edit = {.keys = (const char *const *)&operands.at[1], .key_count = operands.count - 1};
		status = change(&o, operands.at[0], &edit);
	}
	free(o.job.settings.at);
	return status;
}

const struct gm_cli_command gm_cli_bookmark_words[] = {
    {.name = "bookmark show",
     .operand = "JOB",
     .brief = "list the objects that are processed",
     .text =
         "Lists the objects that the job has processed, in the order of their keys, as they were then: the run that "
         "processed each, when it was modified, its size. Writes nothing.",
     .flags = show_flags,
     .flag_count = sizeof show_flags / sizeof show_flags[0],
     .main = main_show},
    {.name = "bookmark rewind",
     .operand = "JOB",
     .brief = "process again what was modified later than a time",
     .text = "Forgets every processed object that was modified later than --to, by the time that was recorded when it "
             "was processed; the next run processes them again. That is a commit of its own. Rows that the table holds "
             "are told by the unique key, so a job without table.unique_by is refused.",
     .flags = rewind_flags,
     .flag_count = sizeof rewind_flags / sizeof rewind_flags[0],
     .main = main_rewind},
    {.name = "bookmark forget",
     .operand = "JOB",
     .more = "KEY...",
     .brief = "process some objects again",
     .text =
         "Forgets the objects KEY..., as show names them; the next run processes them again. That is a commit of its "
         "own. If one of them is not processed nothing is forgotten. A job without table.unique_by is refused, as for "
         "rewind.",
     .flags = forget_flags,
     .flag_count = sizeof forget_flags / sizeof forget_flags[0],
     .main = main_forget},
    {.name = NULL},
};
