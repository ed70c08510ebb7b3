/* command_why.c - gristmill why JOB KEY... */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t memory_bytes;
	bool all, json, quiet;
};

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_why_flags[GM_CLI_WHY_FLAGS] = {
    GM_CLI_JOB_FLAGS,
    {"all", NULL, GM_CLI_SWITCH, FIELD(all),
     "look into every object of the source, also when the table has the row: what 'where' filtered is found only so", 0,
     0},
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json), "print one JSON object: rows, arrivals, and what was looked into", 0, 0},
    {"quiet", NULL, GM_CLI_SWITCH, FIELD(quiet), "show no progress", 0, 0},
};

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

static json_t *text(const char *value)
{
	return gm_cli_json_text(value, strlen(value));
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *row_json(const struct gm_why_row *row)
{
	json_t *object = json_object();
	bool ours = row->job[0] != '\0';
	bool ok = object != NULL && set(object, "path", text(row->path)) &&
	          set(object, "partition", text(row->partition)) && set(object, "row_group", number(row->group)) &&
	          set(object, "row", number(row->row)) && set(object, "job", ours ? text(row->job) : json_null()) &&
	          set(object, "run", ours ? number(row->run) : json_null()) &&
	          set(object, "unit", ours ? number(row->unit) : json_null()) &&
	          set(object, "version", row->version >= 0 ? json_integer(row->version) : json_null());
	if (ok) return object;
	json_decref(object);
	return NULL;
}

static json_t *arrival_json(const struct gm_why_arrival *arrival)
{
	json_t *object = json_object();
	bool ok = object != NULL && set(object, "object", text(arrival->object)) &&
	          set(object, "record", number(arrival->record)) &&
	          set(object, "offset", arrival->offset != UINT64_MAX ? number(arrival->offset) : json_null()) &&
	          set(object, "fate", text(gm_arrival_name(arrival->fate))) &&
	          set(object, "run", arrival->run > 0 ? number(arrival->run) : json_null()) &&
	          set(object, "partition", arrival->partition[0] != '\0' ? text(arrival->partition) : json_null()) &&
	          set(object, "gone", json_boolean(arrival->gone));
	if (ok && arrival->detail[0] != '\0') ok = set(object, "detail", text(arrival->detail));
	if (ok) return object;
	json_decref(object);
	return NULL;
}

static bool report_json(const struct gm_why_result *result, const struct gm_error *err)
{
	json_t *object = json_object(), *rows = json_array(), *arrivals = json_array();
	bool ok = object != NULL;
	for (size_t i = 0; ok && i < result->row_count; i++)
		ok = json_array_append_new(rows, row_json(&result->rows[i])) == 0;
	for (size_t i = 0; ok && i < result->arrival_count; i++)
		ok = json_array_append_new(arrivals, arrival_json(&result->arrivals[i])) == 0;
	ok = ok && set(object, "rows", json_incref(rows)) && set(object, "arrivals", json_incref(arrivals)) &&
	     set(object, "more", number(result->more)) && set(object, "objects_read", number(result->objects_read)) &&
	     set(object, "objects_gone", number(result->objects_gone)) &&
	     set(object, "everywhere", json_boolean(result->everywhere)) &&
	     set(object, "seconds", json_real(result->seconds)) &&
	     (err == NULL || set(object, "error", gm_cli_json_error(err)));
	json_decref(rows);
	json_decref(arrivals);
	if (!ok) {
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print(stdout, object);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

static void print_safe(const char *value)
{
	gm_cli_print_safe(stdout, value, strlen(value));
}

static void print_row(const struct gm_why_row *row)
{
	fputs("row      ", stdout);
	print_safe(row->path);
	printf(", row group %llu, row %llu; ", (unsigned long long)row->group, (unsigned long long)row->row);
	if (row->job[0] != '\0') {
		printf("run %llu of job ", (unsigned long long)row->run);
		print_safe(row->job);
	} else {
		fputs("not by a job of gristmill", stdout);
	}
	if (row->version >= 0) printf(", version %lld", (long long)row->version);
	fputc('\n', stdout);
}

static void print_arrival(const struct gm_why_arrival *arrival)
{
	fputs("arrival  ", stdout);
	print_safe(arrival->object);
	printf(", record %llu", (unsigned long long)arrival->record);
	if (arrival->offset != UINT64_MAX) printf(" at byte %llu", (unsigned long long)arrival->offset);
	if (arrival->run > 0) printf(", run %llu", (unsigned long long)arrival->run);
	printf(": %s", gm_arrival_text(arrival->fate));
	if (arrival->detail[0] != '\0') {
		fputs(": ", stdout);
		print_safe(arrival->detail);
	}
	if (arrival->gone) fputs(" (the object is gone, or has other content now)", stdout);
	fputc('\n', stdout);
}

static void report_text(const struct gm_why_result *result)
{
	char n[2][GM_CLI_NUMBER_BYTES];
	for (size_t i = 0; i < result->row_count; i++) print_row(&result->rows[i]);
	if (result->row_count == 0) puts("row      none: the table does not have this key");
	for (size_t i = 0; i < result->arrival_count; i++) print_arrival(&result->arrivals[i]);
	if (result->more > 0) printf("and %s more arrivals\n", gm_cli_count(n[0], result->more));
	if (result->arrival_count == 0 && result->row_count == 0 && result->objects_gone == 0)
		puts("arrival  none: the key was never seen");
	printf("looked into %s%s objects", result->everywhere ? "all " : "", gm_cli_count(n[0], result->objects_read));
	if (result->objects_gone > 0)
		printf("; %s more are gone or have changed, and may have held it", gm_cli_count(n[1], result->objects_gone));
	printf(", in %s\n", gm_cli_duration(n[0], result->seconds));
}

/* --- The command -------------------------------------------------------------------------------------------------- */

static enum gm_code why(const struct options *o, const struct gm_job *job, const struct gm_cli_operands *operands,
                        struct gm_why_result *result, struct gm_error *err)
{
	struct gm_cli_progress progress;
	gm_cli_progress_init(&progress, o->quiet);
	struct gm_why_options options = {.key = (const char *const *)operands->at + 1,
	                                 .key_count = operands->count - 1,
	                                 .all = o->all,
	                                 .memory_bytes = o->memory_bytes,
	                                 .stop = gm_cli_catch_signals(),
	                                 .progress = gm_cli_progress_show,
	                                 .context = &progress};
	enum gm_code code = gm_why(job, &options, result, err);
	gm_cli_progress_end(&progress);
	return code;
}

static int load_and_look(const struct options *o, const struct gm_cli_operands *operands)
{
	struct gm_job_options options = {o->job.source, o->job.table, o->job.settings.at, o->job.settings.count};
	struct gm_why_result result = {0};
	struct gm_error err;
	struct gm_job *job = NULL;
	enum gm_code code = gm_job_load(operands->at[0], &options, &job, &err);
	int status = gm_cli_load_status(code);
	if (code == GM_OK) {
		code = why(o, job, operands, &result, &err);
		status = gm_cli_status_of(code);
	}
	gm_job_free(job);
	if (code != GM_OK) gm_cli_print_error(&err);
	bool reported = true;
	if (o->json)
		reported = report_json(&result, code != GM_OK ? &err : NULL);
	else if (code == GM_OK)
		report_text(&result);
	gm_why_result_clear(&result);
	return gm_cli_finish(status, reported);
}

int gm_cli_why(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {0};
	struct gm_cli_operands operands;
	int status = gm_cli_parse_all(command, arguments, &o, &operands);
	if (status == GM_CLI_GO_ON) status = load_and_look(&o, &operands);
	free(o.job.settings.at);
	return status;
}
