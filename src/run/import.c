/* import.c - files that others put into the table's folders.
 *
 * To whoever lists folders, a Parquet file in a partition's folder is part of the table. The log does not know it, so
 * readers of the log would miss its rows, and a run would write its keys a second time. So before it plans, a run puts
 * such files into the log, by a commit of its own, and from then on they are like any other.
 *
 * Not every file that the log does not name is one of these:
 * - ours, of a plan that is being published or dead: told by its name. A table that has neither log nor claim has no
 *   such plan: its log and state were lost, and its files are what is left of it. Their keys keep their rows from being
 *   written again; without keys nothing would, and the run is refused;
 * - one that a commit has removed, and that still lies there: the log remembers it for the table's retention (a week).
 *   What is older than half of that and unknown to the log may have been removed and forgotten, so it is left alone,
 *   and told. Where there is no log yet, nothing can have been removed;
 * - one that is not whole yet, that has other columns than the table, or that lies in no partition's folder, such as
 *   "day=unknown" where days are dates: no reader of the log could open the table with such a value in it. Told. */
#include "base/hive.h"
#include "base/time.h"
#include "base/utf8.h"
#include "parquet/reader.h"
#include "run/runner.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	IMPORTS_MAX = 10000, /* files of one commit; the rest comes with the next */
	TOLD = 5,            /* files left alone that are told one by one */
};
static const size_t footer_bytes_max = (size_t)64 << 20;

struct import {
	struct gm_runner *runner;
	const struct gm_delta_log *log; /* NULL: none */
	int64_t oldest_ms;              /* files that are older are left alone */
	struct gm_arena arena;
	struct gm_delta_file *files;
	size_t count, room, left_alone;
};

/* --- Which files -------------------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text)
{
	size_t n = strlen(text);
	return gm_utf8_valid_prefix((const uint8_t *)text, n) == n;
}

static bool has_extension(const char *key)
{
	size_t n = strlen(key);
	return (n > 8 && strcmp(key + n - 8, ".parquet") == 0) || (n > 5 && strcmp(key + n - 5, ".parq") == 0);
}

/* A whole number as we write it: "3" of "03". False: it is none of the type. */
static bool normalize_number(const char *text, enum gm_type type, char out[GM_TIME_TEXT_BYTES])
{
	int64_t n = 0;
	const char *at = text + (*text == '-');
	if (*at == '\0') return false;
	for (; *at != '\0'; at++) {
		int64_t digit = *text == '-' ? '0' - *at : *at - '0';
		if (*at < '0' || *at > '9' || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
			return false;
	}
	(void)snprintf(out, GM_TIME_TEXT_BYTES, "%" PRId64, n);
	return type == GM_TYPE_BIGINT || (n >= INT32_MIN && n <= INT32_MAX);
}

/* A partition's value as the log and our own folders spell it. False: it is none of its column's type. */
static bool normalize(const struct gm_column *column, const char **value, char room[GM_TIME_TEXT_BYTES])
{
	int64_t days;
	if (*value == NULL) return true;
	if (column->type == GM_TYPE_STRING) return is_utf8(*value);
	if (column->type != GM_TYPE_DATE) {
		if (!normalize_number(*value, column->type, room)) return false;
	} else {
		if (!gm_date_parse_iso(*value, strlen(*value), &days)) return false;
		(void)gm_date_format_iso(days, room);
	}
	*value = room;
	return true;
}

/* The path of a partition with these values, as our own folders are named; NULL: it is none of this table. */
static const char *partition_path(struct import *import, const struct gm_partition_value *values, size_t count,
                                  struct gm_error *err)
{
	const struct gm_job *job = import->runner->job;
	char room[GM_TIME_TEXT_BYTES];
	struct gm_buf path;
	bool fits = count == job->table.partition_count;
	gm_buf_init(&path, GM_KEY_MAX_BYTES * 4);
	for (size_t i = 0; fits && i < count; i++) {
		const struct gm_column *column = &job->table.partitions[i];
		const char *value = values[i].value;
		fits = strcmp(values[i].name, column->name) == 0 && normalize(column, &value, room) &&
		       gm_hive_append_text(&path, column->name, value, value != NULL ? strlen(value) : 0, err) == GM_OK;
	}
	const char *out =
	    fits ? gm_arena_strndup(&import->arena, path.len > 0 ? (const char *)path.data : "", path.len) : NULL;
	gm_buf_release(&path);
	return out;
}

/* The partition of the file's folder; NULL: it is none of this table. */
static const char *partition_of(struct import *import, const char *key, struct gm_error *err)
{
	const char *slash = strrchr(key, '/');
	size_t bytes = slash != NULL ? (size_t)(slash - key) : 0, count = 0;
	struct gm_partition_value *values;
	char *partition = gm_arena_strndup(&import->arena, key, bytes);
	if (partition == NULL || gm_partition_parse(partition, bytes, &import->arena, &values, &count, err) != GM_OK)
		return NULL;
	return partition_path(import, values, count, err);
}

/* --- What they hold ----------------------------------------------------------------------------------------------- */

struct opened {
	struct gm_store *table;
	const char *key;
};

static enum gm_code read_at(void *context, uint64_t offset, void *into, size_t bytes, struct gm_error *err)
{
	const struct opened *opened = context;
	size_t got;
	GM_TRY(gm_store_read(opened->table, opened->key, offset, into, bytes, &got, err));
	if (got != bytes) GM_FAIL(err, GM_CORRUPT, "the file is shorter than it was");
	return GM_OK;
}

/* Unsigned numbers of 64 bits would be read as long as they are small enough. */
static bool fits(const struct gm_parquet_leaf *leaf, enum gm_type type)
{
	bool may_overflow = leaf->physical == GM_PHYSICAL_INT64 && type == GM_TYPE_BIGINT && !leaf->as_stored;
	return leaf->readable && leaf->depth == 1 && !may_overflow &&
	       (leaf->type == type || (leaf->type == GM_TYPE_INT && type == GM_TYPE_BIGINT));
}

/* UNSUPPORTED: a column has another type than the table's. */
static enum gm_code check_columns(const struct gm_job *job, const struct gm_parquet_reader *reader,
                                  struct gm_error *err)
{
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	for (size_t i = 0; i < job->column_count; i++) {
		size_t leaf = gm_parquet_reader_find(reader, &job->columns[i].name, 1);
		if (leaf == SIZE_MAX || fits(&info->leaves[leaf], job->columns[i].type)) continue;
		GM_FAIL(err, GM_UNSUPPORTED, "its column %s is %s, the table's is %s", job->columns[i].name,
		        info->leaves[leaf].described, gm_type_name(job->columns[i].type));
	}
	return GM_OK;
}

/* Does a column of this type fit the table's, if that has one of the name? */
static enum gm_code check_type(const struct gm_delta_metadata *table, const char *name, enum gm_type type,
                               struct gm_error *err)
{
	const struct gm_delta_field field = {name, "", type};
	bool changed;
	char *schema;
	GM_TRY(gm_delta_schema_merge(table, &field, 1, table->partition_columns, table->partition_count, &changed, &schema,
	                             err));
	free(schema);
	return GM_OK;
}

/* The columns of the table that the job has not: another job's, or ones that it had once. A reader of the log that
 * meets another type there cannot read the table any more. */
static enum gm_code check_other_columns(const struct import *import, const struct gm_parquet_reader *reader,
                                        struct gm_error *err)
{
	const struct gm_job *job = import->runner->job;
	const struct gm_parquet_file_info *info = gm_parquet_reader_info(reader);
	for (size_t i = 0; import->log != NULL && i < info->leaf_count; i++) {
		const struct gm_parquet_leaf *leaf = &info->leaves[i];
		const char *name = leaf->path[0];
		bool known = leaf->depth != 1 || !leaf->readable;
		for (size_t k = 0; !known && k < job->column_count; k++) known = strcmp(job->columns[k].name, name) == 0;
		for (size_t k = 0; !known && k < job->table.partition_count; k++)
			known = strcmp(job->table.partitions[k].name, name) == 0;
		if (known) continue;
		const struct gm_delta_metadata *table = gm_delta_metadata(import->log);
		enum gm_code rc = check_type(table, name, leaf->type, err);
		if (rc == GM_UNSUPPORTED && leaf->type == GM_TYPE_INT) rc = check_type(table, name, GM_TYPE_BIGINT, err);
		if (rc == GM_UNSUPPORTED)
			GM_FAIL(err, rc, "its column %s is %s, the table's is another", name, leaf->described);
		GM_TRY(rc);
	}
	return GM_OK;
}

static enum gm_code look_into(struct import *import, struct gm_delta_file *file, struct gm_error *err)
{
	struct opened opened = {import->runner->table, file->path};
	struct gm_parquet_input input = {read_at, &opened, file->bytes};
	struct gm_parquet_reader *reader;
	GM_TRY(gm_parquet_reader_open(&input, footer_bytes_max, &reader, err));
	enum gm_code rc = check_columns(import->runner->job, reader, err);
	if (rc == GM_OK) rc = check_other_columns(import, reader, err);
	uint64_t rows = gm_parquet_reader_info(reader)->rows;
	gm_parquet_reader_free(reader);
	GM_TRY(rc);
	file->stats = gm_arena_printf(&import->arena, "{\"numRecords\":%" PRIu64 "}", rows);
	if (file->stats == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for files of others");
	return GM_OK;
}

/* --- The listing -------------------------------------------------------------------------------------------------- */

static void tell(struct import *import, const char *key, const char *why)
{
	if (import->left_alone++ < TOLD && !import->runner->left_alone_told)
		gm_runner_notice(import->runner, "%s lies in the table's folders, and the log does not name it; left alone: %s",
		                 key, why);
}

static enum gm_code add(struct import *import, const struct gm_object_info *info, const char *partition,
                        struct gm_error *err)
{
	struct gm_delta_file *grown = gm_grow(import->files, import->count, &import->room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for files of others");
	import->files = grown;
	struct gm_delta_file *file = &import->files[import->count];
	*file = (struct gm_delta_file){.path = gm_arena_strndup(&import->arena, info->key, strlen(info->key)),
	                               .partition = partition,
	                               .bytes = info->size,
	                               .mtime_ms = info->mtime_us / 1000,
	                               .data_change = true};
	if (file->path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for files of others");
	enum gm_code rc = look_into(import, file, err);
	if (rc == GM_OK) import->count++;
	if (rc != GM_CORRUPT && rc != GM_UNSUPPORTED && rc != GM_NOT_FOUND) return rc;
	tell(import, info->key, err->message);
	return GM_OK;
}

/* Is a file named as ours what is left of a table whose log and state were lost? A claim stands before anything is
 * published. */
static enum gm_code is_remnant(struct import *import, const char *key, bool *remnant, struct gm_error *err)
{
	char claim[GM_KEY_BYTES];
	bool claimed;
	*remnant = false;
	if (import->log != NULL) return GM_OK;
	gm_claim_key(claim, 1);
	GM_TRY(gm_store_has(import->runner->table, claim, &claimed, err));
	*remnant = !claimed;
	if (claimed || import->runner->job->table.unique_count > 0) return GM_OK;
	(void)gm_error_set(err, GM_CORRUPT,
	                   "gristmill wrote this file, and the log and state of its table are gone: all objects would be "
	                   "processed again, and their rows stand twice");
	(void)gm_error_hint(err, GM_CORRUPT,
	                    "restore _delta_log and _gristmill from a copy of the table, or move its files away");
	return gm_error_object(err, GM_CORRUPT, key, strlen(key));
}

static enum gm_code note_file(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct import *import = context;
	struct gm_file_name name;
	if (gm_is_hidden(info->key) || !has_extension(info->key) || import->count >= IMPORTS_MAX) return GM_OK;
	if (import->log != NULL && gm_delta_knows(import->log, info->key)) return GM_OK;
	if (gm_file_name_parse(info->key, &name)) {
		bool remnant;
		GM_TRY(is_remnant(import, info->key, &remnant, err));
		if (!remnant) return GM_OK;
	}
	const char *partition = partition_of(import, info->key, err);
	if (!is_utf8(info->key))
		tell(import, info->key, "its name is not UTF-8");
	else if (partition == NULL)
		tell(import, info->key, "its folder is no partition of the table");
	else if (info->mtime_us / 1000 < import->oldest_ms)
		tell(import, info->key, "a commit may have removed it long ago");
	else
		return add(import, info, partition, err);
	return GM_OK;
}

/* --- The commit --------------------------------------------------------------------------------------------------- */

static enum gm_code commit(struct import *import, struct gm_error *err)
{
	struct gm_runner *runner = import->runner;
	char who[GM_WHO_BYTES];
	struct gm_plan *plan;
	struct gm_plan_request request = {.job = runner->job,
	                                  .log = import->log,
	                                  .parent = runner->history.head,
	                                  .engine = runner->env->engine_id,
	                                  .now_us = runner->env->now_us(runner->env->clock),
	                                  .full_us = runner->history.full_us};
	if (gm_runner_begins_table(runner)) GM_TRY(gm_runner_secret(runner, err));
	GM_TRY(gm_plan_empty(&request, GM_PLAN_IMPORT, &plan, err));
	gm_runner_who(who);
	plan->reason = "files of others lay in the table's folders";
	plan->who = who;
	plan->imports = import->files;
	plan->import_count = import->count;
	enum gm_code rc = gm_runner_change(runner, &runner->layout, plan, err);
	if (rc == GM_OK)
		gm_runner_notice(runner, "put %zu file%s into the log that others had put into the table's folders: %s%s",
		                 import->count, import->count == 1 ? "" : "s", import->files[0].path,
		                 import->count > 1 ? ", ..." : "");
	gm_plan_free(plan);
	return rc;
}

enum gm_code gm_runner_import(struct gm_runner *runner, bool *imported, struct gm_error *err)
{
	struct import import = {.runner = runner, .log = runner->history.log, .oldest_ms = INT64_MIN};
	*imported = false;
	if (import.log != NULL)
		import.oldest_ms =
		    runner->env->now_us(runner->env->clock) / 1000 - gm_delta_removed_retention_ms(import.log) / 2;
	gm_arena_init(&import.arena, 16 * 1024);
	enum gm_code rc = gm_store_list_pruned(runner->table, "", gm_is_hidden_folder, note_file, &import, err);
	if (import.left_alone > TOLD && !runner->left_alone_told)
		gm_runner_notice(runner, "files in the table's folders that were left alone besides: %zu",
		                 import.left_alone - TOLD);
	runner->left_alone_told |= import.left_alone > 0;
	if (rc == GM_OK && import.count > 0) rc = commit(&import, err);
	bool overtaken = rc == GM_LOST || rc == GM_CHANGED; /* look again */
	*imported = overtaken || (rc == GM_OK && import.count > 0);
	free(import.files);
	gm_arena_release(&import.arena);
	return overtaken ? GM_OK : rc;
}
