/* describe.c - a resolved job as text for people or as JSON, and the help page made from the tables of keys and
 * functions. */
#include "job/load.h"

#include "base/json_text.h"
#include "job/derive.h"
#include "job/expr.h"
#include "job/function.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 << 20 };

/* --- Pieces of text --------------------------------------------------------------------------------------------- */

/* Columns a terminal needs, near enough: characters. */
static size_t width_of(const char *text)
{
	size_t width = 0;
	for (; *text != '\0'; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
	return width;
}

static enum gm_code pad(struct gm_buf *out, const char *text, size_t width, struct gm_error *err)
{
	size_t have = width_of(text);
	return gm_buf_printf(out, err, "%s%*s", text, have < width ? (int)(width - have) : 0, "");
}

/* Ends the buffer and hands it to the caller. */
static enum gm_code take(struct gm_buf *out, char **text, struct gm_error *err)
{
	GM_TRY(gm_buf_append(out, "", 1, err));
	*text = (char *)out->data;
	gm_buf_init(out, TEXT_MAX);
	return GM_OK;
}

/* What is printed on one line has no line breaks or other control characters, and no runs of blanks. */
static void flatten(char *text)
{
	char *out = text;
	for (; *text != '\0'; text++) {
		bool blank = (unsigned char)*text <= 0x20 || *text == 0x7F;
		if (!blank || (text[1] != '\0' && (unsigned char)text[1] > 0x20)) *out++ = blank ? ' ' : *text;
	}
	*out = '\0';
}

/* Cuts what would make a table too wide; the JSON form has all of it. */
static void shorten(char *text, size_t width)
{
	size_t seen = 0;
	if (width_of(text) <= width) return;
	while (seen < width - 3) {
		text++;
		seen += ((unsigned char)*text & 0xC0) != 0x80;
	}
	memcpy(text, "...", 4);
}

static bool dotted(const struct gm_column *column)
{
	for (size_t i = 0; i < column->from_len; i++)
		if (column->from_bytes[i] == 0 || strpbrk(column->from[i], ".[]\" '") != NULL) return false;
	return true;
}

/* payload.sessionId, or ["payload","a.b"] for keys that hold dots or blanks. */
static char *path_text(struct gm_arena *arena, const struct gm_column *column)
{
	if (!dotted(column)) {
		json_t *list = gm_load_json_path(column);
		char *json = list == NULL ? NULL : json_dumps(list, JSON_COMPACT);
		char *text = json == NULL ? NULL : gm_arena_strndup(arena, json, strlen(json));
		json_decref(list);
		free(json);
		return text;
	}
	char *text = gm_arena_strndup(arena, "", 0);
	for (size_t i = 0; text != NULL && i < column->from_len; i++)
		text = gm_arena_printf(arena, "%s%s%s", text, i == 0 ? "" : ".", column->from[i]);
	return text;
}

/* --- Text ------------------------------------------------------------------------------------------------------- */

enum { CELLS = 6, CELL_WIDTH_MAX = 52 };
struct row {
	char *cell[CELLS]; /* name, type, value, evaluated, rules, comment */
};

static char *value_text(struct gm_arena *arena, const struct gm_column *column)
{
	const char *path = column->from_len == 0 ? "" : path_text(arena, column);
	if (path == NULL) return NULL;
	if (column->expr == NULL) return gm_arena_strndup(arena, path, strlen(path));
	return gm_arena_printf(arena, "%s%s%s", path, column->from_len == 0 ? "" : " -> ", column->expr);
}

static char *rules_text(struct gm_arena *arena, const struct gm_column *column)
{
	char *text = gm_arena_printf(arena, "%s", column->required ? "required" : "");
	if (text != NULL && column->fallback != NULL)
		text = gm_arena_printf(arena, "default %s", gm_load_quote(column->fallback, column->fallback_bytes).text);
	if (text != NULL && column->not_after_us > 0) {
		char beyond[24];
		gm_load_duration_text(column->not_after_us, beyond);
		text = gm_arena_printf(arena, "%s%snot after: run + %s", text, *text == '\0' ? "" : ", ", beyond);
	}
	if (text != NULL && column->on_error != GM_ON_ERROR_NULL)
		text = gm_arena_printf(arena, "%s%serror: %s", text, *text == '\0' ? "" : ", ",
		                       gm_load_word(GM_SECTION_COLUMN, "on_error", column->on_error));
	return text;
}

static enum gm_code fill_row(struct gm_arena *arena, const struct gm_column *column, const char *how, struct row *row,
                             struct gm_error *err)
{
	row->cell[0] = gm_arena_printf(arena, "%s", column->name);
	row->cell[1] = gm_arena_printf(arena, "%s", gm_type_name(column->type));
	row->cell[2] = value_text(arena, column);
	row->cell[3] = gm_arena_printf(arena, "%s", how);
	row->cell[4] = rules_text(arena, column);
	row->cell[5] = gm_arena_printf(arena, "%s", column->comment);
	for (size_t i = 0; i < CELLS; i++) {
		if (row->cell[i] == NULL) GM_FAIL(err, GM_NOMEM, "no memory to describe the job");
		flatten(row->cell[i]);
		if (i < CELLS - 1) shorten(row->cell[i], CELL_WIDTH_MAX);
	}
	return GM_OK;
}

static enum gm_code print_rows(struct gm_buf *out, const struct row *rows, size_t count, struct gm_error *err)
{
	size_t width[CELLS] = {0};
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < CELLS; k++) {
			size_t w = width_of(rows[i].cell[k]);
			if (w > width[k]) width[k] = w;
		}
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < CELLS; k++) {
			if (width[k] == 0) continue;
			GM_TRY(pad(out, rows[i].cell[k], width[k], err));
			GM_TRY(gm_buf_append(out, "  ", 2, err));
		}
		while (out->data[out->len - 1] == ' ') out->len--;
		GM_TRY(gm_buf_append(out, "\n", 1, err));
	}
	return GM_OK;
}

static enum gm_code print_columns(struct gm_buf *out, struct gm_arena *arena, const struct gm_job *job,
                                  struct gm_error *err)
{
	static char *const titles[CELLS] = {"column", "type", "value", "evaluated", "rules", "comment"};
	size_t count = job->column_count + job->table.partition_count + 1, at = 0;
	struct row *rows = gm_arena_zalloc(arena, count * sizeof *rows);
	if (rows == NULL) GM_FAIL(err, GM_NOMEM, "no memory to describe the job");
	memcpy(rows[at++].cell, titles, sizeof titles);
	for (size_t i = 0; i < job->column_count; i++)
		GM_TRY(fill_row(arena, &job->columns[i], gm_program_how(job->program, i), &rows[at++], err));
	for (size_t i = 0; i < job->table.partition_count; i++)
		GM_TRY(fill_row(arena, &job->table.partitions[i], "partition", &rows[at++], err));
	return print_rows(out, rows, count, err);
}

static enum gm_code print_names(struct gm_buf *out, const char *title, const struct gm_job *job, bool unique,
                                struct gm_error *err)
{
	size_t count = unique ? job->table.unique_count : job->table.partition_count;
	GM_TRY(pad(out, title, 11, err));
	for (size_t i = 0; i < count; i++) {
		const char *name = unique ? job->columns[job->table.unique_by[i]].name : job->table.partitions[i].name;
		GM_TRY(gm_buf_printf(out, err, "%s%s", i == 0 ? "" : unique ? ", " : "/", name));
	}
	if (count == 0) GM_TRY(gm_buf_printf(out, err, "%s", unique ? "nothing: duplicates are kept" : "none"));
	return gm_buf_printf(out, err, "%s\n", unique && count > 0 ? ", within a partition" : "");
}

/* How the source is read, where the job asks for something else than all of it and nothing changed. */
static enum gm_code print_listing(struct gm_buf *out, const struct gm_job *job, struct gm_error *err)
{
	char lookback[24];
	gm_load_duration_text(job->source.lookback_us, lookback);
	if (job->source.lookback_us > 0)
		GM_TRY(gm_buf_printf(out, err, "lookback   %s, and everything once a day\n", lookback));
	if (job->source.on_change == GM_ON_CHANGE_FAIL) return GM_OK;
	return gm_buf_printf(out, err, "on change  %s\n",
	                     gm_load_word(GM_SECTION_SOURCE, "on_change", job->source.on_change));
}

static enum gm_code print_head(struct gm_buf *out, struct gm_arena *arena, const struct gm_job *job,
                               struct gm_error *err)
{
	char record[24], file[24], level[24] = "";
	gm_load_size_text(job->source.max_record_bytes, record);
	gm_load_size_text(job->table.file_bytes, file);
	if (job->table.compression == GM_COMPRESSION_ZSTD)
		(void)snprintf(level, sizeof level, " level %d", job->table.compression_level);
	GM_TRY(gm_buf_printf(out, err, "job        %s", job->name));
	if (strcmp(job->name, job->id) != 0) GM_TRY(gm_buf_printf(out, err, ", id %s", job->id));
	GM_TRY(gm_buf_printf(out, err, "\nsource     %s (json, records of at most %s)\n", job->source.location, record));
	GM_TRY(print_listing(out, job, err));
	GM_TRY(gm_buf_printf(out, err, "table      %s (%s%s, %sfiles near %s)\n", job->table.location,
	                     gm_load_word(GM_SECTION_TABLE, "compression", job->table.compression), level,
	                     job->table.encoding == GM_ENCODING_COMPACT ? "compact, " : "", file));
	if (job->table.name[0] != '\0' || job->table.database[0] != '\0')
		GM_TRY(gm_buf_printf(out, err, "name       %s%s%s\n", job->table.database,
		                     job->table.database[0] != '\0' && job->table.name[0] != '\0' ? "." : "", job->table.name));
	if (job->catalog.type != GM_CATALOG_NONE)
		GM_TRY(gm_buf_printf(out, err, "catalog    glue (%s, %s)\n",
		                     gm_load_word(GM_SECTION_CATALOG, "format", job->catalog.format),
		                     gm_load_word(GM_SECTION_CATALOG, "partitions", job->catalog.partitions)));
	GM_TRY(print_names(out, "partition", job, false, err));
	GM_TRY(print_names(out, "unique by", job, true, err));
	if (job->where != NULL) {
		char *where = gm_arena_printf(arena, "%s", job->where);
		if (where == NULL) GM_FAIL(err, GM_NOMEM, "no memory to describe the job");
		flatten(where);
		GM_TRY(gm_buf_printf(out, err, "where      %s\n", where));
	}
	return gm_buf_printf(out, err, "hash       %016" PRIx64 "%016" PRIx64 "\n\n", job->hash[1], job->hash[0]);
}

/* --- JSON ------------------------------------------------------------------------------------------------------- */

/* `resolved` with what it leaves out: locations, names, comments, how columns are evaluated. */
static bool add_columns(const struct gm_job *job, json_t *columns)
{
	for (size_t i = 0; i < job->column_count; i++) {
		json_t *column = json_array_get(columns, i);
		if (json_object_set_new(column, "evaluated", json_string(gm_program_how(job->program, i))) != 0) return false;
		if (json_object_set_new(column, "comment", json_string(job->columns[i].comment)) != 0) return false;
	}
	return true;
}

static bool add_table(const struct gm_job *job, json_t *table)
{
	json_t *partitions = json_object_get(table, "partition_by");
	for (size_t i = 0; i < job->table.partition_count; i++)
		if (json_object_set_new(json_array_get(partitions, i), "comment",
		                        json_string(job->table.partitions[i].comment)) != 0)
			return false;
	return json_object_set_new(table, "location", json_string(job->table.location)) == 0 &&
	       json_object_set_new(table, "database", json_string(job->table.database)) == 0 &&
	       json_object_set_new(table, "name", json_string(job->table.name)) == 0 &&
	       json_object_set_new(table, "comment", json_string(job->table.comment)) == 0;
}

static bool add_source(const struct gm_job *job, json_t *source)
{
	const char *on_change = gm_load_word(GM_SECTION_SOURCE, "on_change", job->source.on_change);
	return json_object_set_new(source, "location", json_string(job->source.location)) == 0 &&
	       json_object_set_new(source, "on_change", json_string(on_change)) == 0 &&
	       json_object_set_new(source, "lookback_us", json_integer(job->source.lookback_us)) == 0 &&
	       json_object_set_new(source, "plan_objects", json_integer(job->source.plan_objects)) == 0 &&
	       json_object_set_new(source, "plan_bytes", json_integer((json_int_t)job->source.plan_bytes)) == 0;
}

static bool add_all(const struct gm_job *job, json_t *object)
{
	char hash[33];
	(void)snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, job->hash[1], job->hash[0]);
	if (json_object_del(object, "resolved") != 0) return false;
	return add_columns(job, json_object_get(object, "columns")) && add_table(job, json_object_get(object, "table")) &&
	       add_source(job, json_object_get(object, "source")) &&
	       json_object_set_new(object, "hash", json_string(hash)) == 0 &&
	       json_object_set_new(object, "catalog",
	                           json_string(gm_load_word(GM_SECTION_CATALOG, "type", job->catalog.type))) == 0;
}

static enum gm_code describe_json(const struct gm_job *job, char **text, struct gm_error *err)
{
	json_error_t why;
	json_t *object = gm_json_load(job->resolved, strlen(job->resolved), 0, &why);
	if (object != NULL && add_all(job, object)) *text = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
	json_decref(object);
	if (*text == NULL) GM_FAIL(err, GM_NOMEM, "no memory to describe the job");
	return GM_OK;
}

enum gm_code gm_job_describe(const struct gm_job *job, bool json, char **text, struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_buf out;
	enum gm_code rc;
	*text = NULL;
	if (json) return describe_json(job, text, err);
	gm_arena_init(&arena, 64 << 10);
	gm_buf_init(&out, TEXT_MAX);
	GM_TRY_OUT(print_head(&out, &arena, job, err));
	GM_TRY_OUT(print_columns(&out, &arena, job, err));
	GM_TRY_OUT(take(&out, text, err));
out:
	gm_buf_release(&out);
	gm_arena_release(&arena);
	return rc;
}

/* --- Help ------------------------------------------------------------------------------------------------------- */

static const char *kind_text(enum gm_key_kind kind)
{
	switch (kind) {
	case GM_KEY_EXPR: return "expression";
	case GM_KEY_VALUE: return "a value of the column's type";
	case GM_KEY_ID:
	case GM_KEY_NAME: return "name";
	case GM_KEY_SIZE: return "size, such as 128MiB or 1G";
	case GM_KEY_DURATION: return "duration, such as 7d, 36h or 30s";
	case GM_KEY_INTEGER: return "whole number";
	case GM_KEY_BOOLEAN: return "true or false";
	case GM_KEY_PATH: return "path";
	case GM_KEY_NAMES: return "list of columns";
	case GM_KEY_SECTION: return "mapping";
	case GM_KEY_LIST: return "list of mappings";
	default: return "text";
	}
}

static enum gm_code print_key(struct gm_buf *out, const struct gm_key *key, struct gm_error *err)
{
	GM_TRY(gm_buf_append(out, "  ", 2, err));
	GM_TRY(pad(out, key->name, 19, err));
	if (key->kind == GM_KEY_WORD)
		for (size_t i = 0; key->words[i] != NULL; i++)
			GM_TRY(gm_buf_printf(out, err, "%s%s", i == 0 ? "" : " | ", key->words[i]));
	else
		GM_TRY(gm_buf_printf(out, err, "%s", kind_text(key->kind)));
	if (key->required) GM_TRY(gm_buf_printf(out, err, "; required"));
	if (key->fallback != NULL) GM_TRY(gm_buf_printf(out, err, "; default %s", key->fallback));
	return gm_buf_printf(out, err, "\n%21s%s\n", "", key->help);
}

static enum gm_code print_keys(struct gm_buf *out, struct gm_error *err)
{
	for (int section = 0; section < GM_SECTION_COUNT; section++) {
		const char *name = gm_section_name((enum gm_key_section)section);
		GM_TRY(gm_buf_printf(out, err, "%s\n", *name == '\0' ? "JOB FILE (YAML)" : name));
		for (size_t i = 0; i < gm_key_count; i++)
			if ((int)gm_keys[i].section == section) GM_TRY(print_key(out, &gm_keys[i], err));
		GM_TRY(gm_buf_append(out, "\n", 1, err));
	}
	return gm_buf_printf(out, err,
	                     "In every value ${NAME} stands for --set NAME=VALUE or the environment's NAME, ${NAME:-text}\n"
	                     "for text where NAME is unset or empty, and $$ for one $.\n\n");
}

static enum gm_code print_function(struct gm_buf *out, const char *signature, const char *help, struct gm_error *err)
{
	return gm_buf_printf(out, err, "  %s\n%21s%s\n", signature, "", help);
}

static enum gm_code print_functions(struct gm_buf *out, struct gm_error *err)
{
	const char *signature, *help;
	GM_TRY(gm_buf_printf(out, err, "FUNCTIONS OF EXPRESSIONS\n"));
	for (size_t i = 0; i < gm_function_count; i++)
		GM_TRY(print_function(out, gm_functions[i].signature, gm_functions[i].help, err));
	for (size_t i = 0; gm_expr_builtin(i, &signature, &help); i++) GM_TRY(print_function(out, signature, help, err));
	return GM_OK;
}

enum gm_code gm_job_help(char **text, struct gm_error *err)
{
	struct gm_buf out;
	enum gm_code rc;
	*text = NULL;
	gm_buf_init(&out, TEXT_MAX);
	GM_TRY_OUT(print_keys(&out, err));
	GM_TRY_OUT(print_functions(&out, err));
	GM_TRY_OUT(take(&out, text, err));
out:
	gm_buf_release(&out);
	return rc;
}
