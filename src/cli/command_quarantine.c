/* command_quarantine.c - gristmill quarantine JOB list | show; replay is in command_replay.c */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t run, limit;
	const char *object, *reason;
	bool json;
};

#define FIELD(name) offsetof(struct options, name)
static const struct gm_cli_flag list_flags[] = {
    GM_CLI_JOB_FLAGS,
    {"run", "N", GM_CLI_COUNT, FIELD(run), "only what run N rejected", 1, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object", 0, 0},
};
static const struct gm_cli_flag show_flags[] = {
    GM_CLI_JOB_FLAGS,
    {"run", "N", GM_CLI_COUNT, FIELD(run), "only what run N rejected", 1, 0},
    {"object", "KEY", GM_CLI_TEXT, FIELD(object), "only what stood in this object of the source", 0, 0},
    {"reason", "CODE", GM_CLI_TEXT, FIELD(reason), "only what was rejected for this reason, as list names it", 0, 0},
    {"limit", "N", GM_CLI_COUNT, FIELD(limit), "stop after N entries; default: all", 1, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object a line for each entry", 0, 0},
};

static struct gm_quarantine_filter filter_of(const struct options *o)
{
	return (struct gm_quarantine_filter){
	    .run = o->run, .object = o->object, .reason = o->reason, .stop = gm_cli_catch_signals()};
}

/* --- list --------------------------------------------------------------------------------------------------------- */

struct list {
	json_t *groups; /* NULL: for people */
	bool failed, headed;
	uint64_t entries, bytes, waiting;
};

static bool list_json(struct list *list, const struct gm_quarantine_group *group)
{
	int64_t by = group->replayed_by > 0 ? (int64_t)group->replayed_by : -1;
	return json_array_append_new(list->groups,
	                             json_pack("{s:I, s:s, s:I, s:I, s:I, s:o}", "run", (json_int_t)group->run, "reason",
	                                       group->reason, "entries", (json_int_t)group->entries, "bytes",
	                                       (json_int_t)group->bytes, "objects", (json_int_t)group->objects,
	                                       "replayed_by", gm_cli_json_number(by))) == 0;
}

static void list_text(struct list *list, const struct gm_quarantine_group *group)
{
	char n[3][GM_CLI_NUMBER_BYTES], replayed[GM_CLI_NUMBER_BYTES] = "";
	if (!list->headed)
		printf("%8s  %-18s  %12s  %12s  %9s  %s\n", "run", "reason", "entries", "bytes", "objects", "replayed");
	list->headed = true;
	if (group->replayed_by > 0)
		(void)snprintf(replayed, sizeof replayed, "by run %llu", (unsigned long long)group->replayed_by);
	printf("%8llu  %-18s  %12s  %12s  %9s  %s\n", (unsigned long long)group->run, group->reason,
	       gm_cli_count(n[0], group->entries), gm_cli_count(n[1], group->bytes), gm_cli_count(n[2], group->objects),
	       group->replayed_by > 0 ? replayed : "not yet");
}

static bool list_group(void *context, const struct gm_quarantine_group *group)
{
	struct list *list = context;
	list->entries += group->entries;
	list->bytes += group->bytes;
	list->waiting += group->replayed_by == 0 ? group->entries : 0;
	if (list->groups != NULL)
		list->failed = !list_json(list, group);
	else
		list_text(list, group);
	return !list->failed && ferror(stdout) == 0;
}

static bool print_list(struct list *list, const struct gm_error *err)
{
	json_t *object = json_pack("{s:O, s:I, s:I, s:I}", "groups", list->groups, "entries", (json_int_t)list->entries,
	                           "bytes", (json_int_t)list->bytes, "not_replayed", (json_int_t)list->waiting);
	return gm_cli_json_print_with(stdout, object, err);
}

static int list(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	struct gm_quarantine_filter filter = filter_of(o);
	struct list list = {.groups = o->json ? json_array() : NULL};
	list.failed = o->json && list.groups == NULL;
	enum gm_code code = gm_quarantine_list(job, &filter, list_group, &list, &err);
	gm_job_free(job);
	if (code != GM_OK) gm_cli_print_error(&err);
	bool reported = !list.failed;
	if (o->json && reported)
		reported = print_list(&list, code != GM_OK ? &err : NULL);
	else if (code == GM_OK && !list.headed)
		puts("nothing is in quarantine");
	json_decref(list.groups);
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

/* --- show --------------------------------------------------------------------------------------------------------- */

struct show {
	const struct options *options;
	uint64_t entries, bytes; /* bytes: of the entry at hand, so far */
	bool failed;
};

/* Groups of three bytes; the last may have fewer. */
static void print_base64(const uint8_t *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned group =
		    (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
		putchar(digits[group >> 18]);
		putchar(digits[group >> 12 & 63]);
		putchar(left > 1 ? digits[group >> 6 & 63] : '=');
		putchar(left > 2 ? digits[group & 63] : '=');
	}
}

/* All but the bytes; the closing brace is left out. */
static bool print_head(const struct gm_quarantine_entry *entry)
{
	int64_t by = entry->replayed_by > 0 ? (int64_t)entry->replayed_by : -1;
	json_t *head =
	    json_pack("{s:I, s:o, s:o, s:I, s:I, s:s, s:o, s:o, s:s}", "run", (json_int_t)entry->run, "replayed_by",
	              gm_cli_json_number(by), "object", gm_cli_json_text(entry->object, strlen(entry->object)), "offset",
	              (json_int_t)entry->offset, "record", (json_int_t)entry->record, "reason", entry->reason, "column",
	              gm_cli_json_text(entry->column, strlen(entry->column)), "detail",
	              gm_cli_json_text(entry->detail, strlen(entry->detail)), "encoding", entry->text ? "utf-8" : "base64");
	char *text = head != NULL ? json_dumps(head, JSON_COMPACT) : NULL;
	json_decref(head);
	if (text == NULL) return false;
	fwrite(text, 1, strlen(text) - 1, stdout);
	fputs(",\"raw\":", stdout);
	free(text);
	return true;
}

static bool print_raw_text(const void *bytes, size_t n)
{
	json_t *string = json_stringn(bytes, n);
	char *text = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	json_decref(string);
	if (text == NULL) return false;
	fputs(text, stdout);
	free(text);
	return true;
}

static bool show_json(struct show *show, const struct gm_quarantine_entry *entry, const void *bytes, size_t n,
                      bool first, bool last)
{
	if (first && !print_head(entry)) return false;
	if (entry->text) {
		if (!print_raw_text(bytes, n)) return false;
	} else {
		if (first) putchar('"');
		print_base64(bytes, n);
		if (last) putchar('"');
	}
	if (last) printf(",\"bytes\":%llu}\n", (unsigned long long)show->bytes);
	return true;
}

static void print_labelled(const char *label, const char *text)
{
	if (text[0] == '\0') return;
	printf("%s", label);
	gm_cli_print_safe(stdout, text, strlen(text));
}

static void show_text(const struct gm_quarantine_entry *entry, const void *bytes, size_t n, bool first, bool last)
{
	if (first) {
		printf("run %llu  ", (unsigned long long)entry->run);
		gm_cli_print_safe(stdout, entry->object, strlen(entry->object));
		printf("  record %llu at byte %llu: %s", (unsigned long long)entry->record, (unsigned long long)entry->offset,
		       entry->reason);
		print_labelled(", column ", entry->column);
		print_labelled(": ", entry->detail);
		if (entry->replayed_by > 0) printf(" (replayed by run %llu)", (unsigned long long)entry->replayed_by);
		fputs("\n  ", stdout);
	}
	gm_cli_print_safe(stdout, bytes, n);
	if (last) putchar('\n');
}

static bool show_entry(void *context, const struct gm_quarantine_entry *entry, const void *bytes, size_t n, bool first,
                       bool last)
{
	struct show *show = context;
	show->bytes = first ? n : show->bytes + n;
	if (!show->options->json)
		show_text(entry, bytes, n, first, last);
	else if (!show_json(show, entry, bytes, n, first, last))
		show->failed = true;
	show->entries += last;
	if (show->failed || ferror(stdout) != 0) return false;
	return !last || show->options->limit == 0 || show->entries < show->options->limit;
}

static int show(const struct options *o, const char *path)
{
	struct gm_job *job = NULL;
	struct gm_error err;
	int status = gm_cli_load_job(&o->job, path, o->json, &job);
	if (status != GM_CLI_GO_ON) return status;
	struct gm_quarantine_filter filter = filter_of(o);
	struct show show = {.options = o};
	enum gm_code code = gm_quarantine_show(job, &filter, show_entry, &show, &err);
	gm_job_free(job);
	if (show.failed) fputs("gristmill: out of memory for a JSON object\n", stderr);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (code == GM_OK && !o->json && show.entries == 0) puts("nothing of that is in quarantine");
	bool reported = !show.failed && (code == GM_OK || !o->json || gm_cli_report_error_json(stdout, &err));
	return gm_cli_finish(gm_cli_status_of(code), reported);
}

/* --- Words -------------------------------------------------------------------------------------------------------- */

static int parse_and(int (*what)(const struct options *o, const char *path), const struct gm_cli_command *command,
                     char **arguments)
{
	struct options o = {0};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) status = what(&o, path);
	free(o.job.settings.at);
	return status;
}

static int main_list(const struct gm_cli_command *command, char **arguments)
{
	return parse_and(list, command, arguments);
}

static int main_show(const struct gm_cli_command *command, char **arguments)
{
	return parse_and(show, command, arguments);
}

const struct gm_cli_command gm_cli_quarantine_words[] = {
    {.name = "quarantine list",
     .operand = "JOB",
     .brief = "count what is in quarantine, by run and reason",
     .text = "Counts the entries that committed runs left, the newest run first, by reason, and says whether they have "
             "been replayed, and by which run. An entry is a span of bytes that could not be used: mostly one record. "
             "Writes nothing.",
     .flags = list_flags,
     .flag_count = sizeof list_flags / sizeof list_flags[0],
     .main = main_list},
    {.name = "quarantine show",
     .operand = "JOB",
     .brief = "print the entries",
     .text =
         "Prints the entries, the newest run first: where the bytes stood, why they could not be used, and the bytes, "
         "made safe for a terminal. Writes nothing.",
     .flags = show_flags,
     .flag_count = sizeof show_flags / sizeof show_flags[0],
     .main = main_show},
    {.name = "quarantine replay",
     .operand = "JOB",
     .brief = "read the entries again, with the job file as it is now",
     .text =
         "Reads again what committed runs rejected and no run has replayed yet, as a run like any other: with the job "
         "file as it is now, without duplicates, balanced, committed at once, and only once. What cannot be used this "
         "time either goes to the quarantine of the new run, as it stood in its object, and can be replayed again.",
     .flags = gm_cli_replay_flags,
     .flag_count = GM_CLI_REPLAY_FLAGS,
     .main = gm_cli_replay},
    {.name = NULL},
};
