/* command_catalog_glue.c - gristmill catalog JOB sync | show | drop */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t memory_bytes;
	bool json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_catalog_change_flags[GM_CLI_CATALOG_CHANGE_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "print nothing but errors (and the JSON object)", 0, 0},
};
const struct gm_cli_flag gm_cli_catalog_show_flags[GM_CLI_CATALOG_SHOW_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes), "as for run", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object, with each entry as it is and as it should be", 0,
     0},
};

/* --- sync, drop --------------------------------------------------------------------------------------------------- */

typedef enum gm_code change_fn(const struct gm_job *job, const struct gm_catalog_options *options,
                               struct gm_catalog_result *result, struct gm_error *err);

static int change(const struct options *o, const char *path, change_fn *doing)
{
	struct gm_job *job = NULL;
	struct gm_catalog_result result;
	struct gm_cli_progress progress;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	gm_cli_progress_init(&progress, o->quiet);
	const struct gm_catalog_options options = {.memory_bytes = o->memory_bytes,
	                                           .stop = gm_cli_catch_signals(),
	                                           .notice = gm_cli_progress_notice,
	                                           .context = &progress};
	enum gm_code code = doing(job, &options, &result, &err);
	gm_job_free(job);
	bool reported = true;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = gm_cli_json_print(stdout, gm_cli_json_catalog(&result, code != GM_OK ? &err : NULL));
	else if (code == GM_OK && !o->quiet)
		gm_cli_print_catalog(stdout, &result);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

static int main_change(const struct gm_cli_command *command, char **arguments, change_fn *doing)
{
	struct options o = {.json = false};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = change(&o, path, doing);
	free(o.job.settings.at);
	return status;
}

int gm_cli_catalog_sync(const struct gm_cli_command *command, char **arguments)
{
	return main_change(command, arguments, gm_catalog_sync);
}

int gm_cli_catalog_drop(const struct gm_cli_command *command, char **arguments)
{
	return main_change(command, arguments, gm_catalog_drop);
}

/* --- show --------------------------------------------------------------------------------------------------------- */

static const char *state_of(const struct gm_catalog_entry *entry)
{
	if (entry->refused[0] != '\0') return "refused";
	if (entry->has == NULL) return "missing";
	return entry->current ? "current" : "differs";
}

static json_t *parsed_or_null(const char *text)
{
	return text != NULL ? json_loads(text, 0, NULL) : json_null();
}

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? gm_cli_json_text(text, strlen(text)) : json_null();
}

static json_t *entry_json(const struct gm_catalog_entry *entry)
{
	json_t *lines = json_array();
	for (size_t i = 0; i < entry->difference_count; i++)
		(void)json_array_append_new(lines, gm_cli_json_text(entry->differences[i], strlen(entry->differences[i])));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:o, s:o}", "database",
	                 entry->database, "name", entry->name, "format", entry->format, "state", state_of(entry), "refused",
	                 text_or_null(entry->refused), "advice", text_or_null(entry->advice), "differences", lines,
	                 "more_differences", (json_int_t)entry->more_differences, "partitions", "missing",
	                 (json_int_t)entry->partitions_missing, "stale", (json_int_t)entry->partitions_stale, "extra",
	                 (json_int_t)entry->partitions_extra, "foreign", (json_int_t)entry->partitions_foreign, "has",
	                 parsed_or_null(entry->has), "should", parsed_or_null(entry->should));
}

static bool print_json(const struct gm_catalog_view *view, const struct gm_error *err)
{
	json_t *entries = json_array();
	for (size_t i = 0; i < view->entry_count; i++) {
		if (json_array_append_new(entries, entry_json(&view->entries[i])) == 0) continue;
		json_decref(entries);
		entries = NULL;
	}
	json_t *object = json_pack("{s:b, s:o, s:I, s:I}", "current", (int)view->current, "entries", entries, "requests",
	                           (json_int_t)view->requests, "retries", (json_int_t)view->retries);
	return gm_cli_json_print_with(stdout, object, err);
}

static void print_line(const char *before, const char *text)
{
	fputs(before, stdout);
	gm_cli_print_safe(stdout, text, strlen(text));
	fputc('\n', stdout);
}

static void print_number(const char *what, uint64_t count)
{
	char n[GM_CLI_NUMBER_BYTES];
	if (count > 0) printf("    %s: %s\n", what, gm_cli_count(n, count));
}

/* A member of an entry's JSON, as people read it. */
static void print_member(const char *label, const char *text, const char *first, const char *second)
{
	json_t *json = json_loads(text, 0, NULL);
	const json_t *member = json_object_get(json, first);
	if (second != NULL) member = json_object_get(member, second);
	if (json_is_string(member)) print_line(label, json_string_value(member));
	if (json_is_array(member)) printf("%s%zu\n", label, json_array_size(member));
	json_decref(json);
}

static void print_parameters(const char *text)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *value;
	const char *name;
	json_object_foreach(json_object_get(json, "Parameters"), name, value)
	{
		if (strncmp(name, "projection.", strlen("projection.")) != 0 || !json_is_string(value)) continue;
		fputs("    ", stdout);
		gm_cli_print_safe(stdout, name, strlen(name));
		print_line(" = ", json_string_value(value));
	}
	json_decref(json);
}

static void print_entry(const struct gm_catalog_entry *entry)
{
	const char *shown = entry->has != NULL ? entry->has : entry->should;
	gm_cli_print_safe(stdout, entry->database, strlen(entry->database));
	fputc('.', stdout);
	gm_cli_print_safe(stdout, entry->name, strlen(entry->name));
	printf("  %s: %s\n", entry->format, state_of(entry));
	if (shown != NULL) {
		print_member("    location           ", shown, "StorageDescriptor", "Location");
		print_member("    columns            ", shown, "StorageDescriptor", "Columns");
		print_member("    partition columns  ", shown, "PartitionKeys", NULL);
		print_member("    version            ", shown, "VersionId", NULL);
		print_parameters(shown);
	}
	if (entry->refused[0] != '\0') print_line("    a sync is refused: ", entry->refused);
	if (entry->advice[0] != '\0') print_line("    -> ", entry->advice);
	for (size_t i = 0; i < entry->difference_count; i++) print_line("    differs: ", entry->differences[i]);
	print_number("further differences", entry->more_differences);
	print_number("partitions that are not registered", entry->partitions_missing);
	print_number("partitions that are registered otherwise", entry->partitions_stale);
	print_number("registered partitions that the table does not have", entry->partitions_extra);
	print_number("partitions that somebody registered with folders elsewhere", entry->partitions_foreign);
}

static int show(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_catalog_view view;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	const struct gm_catalog_options options = {.memory_bytes = o->memory_bytes, .stop = gm_cli_catch_signals()};
	enum gm_code code = gm_catalog_read(job, &options, &view, &err);
	gm_job_free(job);
	bool reported = true, current = view.current;
	if (code != GM_OK) gm_cli_print_error(&err);
	if (o->json)
		reported = print_json(&view, code != GM_OK ? &err : NULL);
	else if (code == GM_OK)
		for (size_t i = 0; i < view.entry_count; i++) print_entry(&view.entries[i]);
	gm_catalog_view_clear(&view);
	if (code != GM_OK) return gm_cli_finish(gm_cli_status_of(code), reported);
	return gm_cli_finish(current ? GM_CLI_DONE : GM_CLI_FAILED, reported);
}

int gm_cli_catalog_show(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {.json = false};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = show(&o, path);
	free(o.job.settings.at);
	return status;
}
