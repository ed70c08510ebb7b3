/* command_preview.c - gristmill preview JOB */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	struct gm_cli_job_flags job;
	uint64_t rows, memory_bytes;
	bool json;
};

enum { PIPE_WIDTH = 120 }; /* where there is no terminal to fit */

#define FIELD(name) offsetof(struct options, name)
const struct gm_cli_flag gm_cli_preview_flags[GM_CLI_PREVIEW_FLAGS] = {
    {"rows", "N", GM_CLI_COUNT, FIELD(rows), "how many rows; default 10", 1, 100000},
    GM_CLI_JOB_FLAGS,
    {"memory", "SIZE", GM_CLI_SIZE, FIELD(memory_bytes),
     "the memory to stay within, such as 256M, 1GiB or bytes; default 256M", 0, 0},
    {"json", NULL, GM_CLI_SWITCH, FIELD(json),
     "print one JSON object: columns, rows (values as text or null, whole), balance", 0, 0},
};

struct rows {
	bool json, no_memory;
	struct gm_cli_grid grid;
	json_t *columns, *rows;
};

static json_t *row_object(const char *const *names, const char *const *values, const size_t *bytes, size_t count)
{
	json_t *object = json_object();
	for (size_t i = 0; object != NULL && i < count; i++) {
		json_t *value = values[i] != NULL ? gm_cli_json_text(values[i], bytes[i]) : json_null();
		if (json_object_set_new(object, names[i], value) == 0) continue;
		json_decref(object);
		object = NULL;
	}
	return object;
}

static bool add_json(struct rows *rows, const char *const *names, const char *const *values, const size_t *bytes,
                     size_t count)
{
	for (size_t i = json_array_size(rows->columns); i < count; i++) {
		if (json_array_append_new(rows->columns, gm_cli_json_text(names[i], strlen(names[i]))) != 0) return false;
	}
	return json_array_append_new(rows->rows, row_object(names, values, bytes, count)) == 0;
}

static bool add_row(void *context, const char *const *names, const char *const *values, const size_t *bytes,
                    size_t count)
{
	struct rows *rows = context;
	rows->no_memory = rows->json ? !add_json(rows, names, values, bytes, count)
	                             : !gm_cli_grid_add(&rows->grid, names, values, bytes, count);
	return !rows->no_memory;
}

static enum gm_code preview(const struct options *o, const struct gm_job *job, struct rows *rows,
                            struct gm_balance *balance, struct gm_error *err)
{
	struct gm_cli_progress progress;
	gm_cli_progress_init(&progress, true);
	struct gm_run_options options = {.threads = 1,
	                                 .memory_bytes = o->memory_bytes,
	                                 .stop = gm_cli_catch_signals(),
	                                 .notice = gm_cli_progress_notice,
	                                 .context = &progress};
	return gm_preview(job, o->rows, &options, add_row, rows, balance, err);
}

static bool report(struct rows *rows, const struct gm_balance *balance, const struct gm_error *err)
{
	if (!rows->json) {
		if (err == NULL) gm_cli_grid_print(stdout, &rows->grid, gm_cli_width(STDOUT_FILENO, PIPE_WIDTH));
		return true;
	}
	json_t *object = json_object();
	bool ok = object != NULL && json_object_set(object, "columns", rows->columns) == 0 &&
	          json_object_set(object, "rows", rows->rows) == 0 &&
	          json_object_set_new(object, "balance", gm_cli_json_balance(balance)) == 0 &&
	          (err == NULL || json_object_set_new(object, "error", gm_cli_json_error(err)) == 0);
	if (!ok) {
		json_decref(object);
		object = NULL;
	}
	return gm_cli_json_print(stdout, object);
}

/* Loads, previews and prints; returns the exit status. */
static int load_and_preview(const struct options *o, const char *path, struct rows *rows)
{
	struct gm_job_options options = {o->job.source, o->job.table, o->job.settings.at, o->job.settings.count};
	struct gm_balance balance = {0};
	struct gm_error err;
	struct gm_job *job = NULL;
	enum gm_code code = gm_job_load(path, &options, &job, &err);
	int status = gm_cli_load_status(code);
	if (code == GM_OK) {
		code = preview(o, job, rows, &balance, &err);
		status = gm_cli_status_of(code);
	}
	gm_job_free(job);
	if (code != GM_OK) gm_cli_print_error(&err);
	if (rows->no_memory) {
		fputs("gristmill: out of memory for the rows\n", stderr);
		return GM_CLI_FAILED;
	}
	return gm_cli_finish(status, report(rows, &balance, code != GM_OK ? &err : NULL));
}

int gm_cli_preview(const struct gm_cli_command *command, char **arguments)
{
	struct options o = {.rows = 10};
	const char *path = NULL;
	int status = gm_cli_parse(command, arguments, &o, &path);
	if (status == GM_CLI_GO_ON) {
		struct rows rows = {.json = o.json, .columns = json_array(), .rows = json_array()};
		status = load_and_preview(&o, path, &rows);
		json_decref(rows.columns);
		json_decref(rows.rows);
		gm_cli_grid_release(&rows.grid);
	}
	free(o.job.settings.at);
	return status;
}
