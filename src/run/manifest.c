#include "run/manifest.h"

#include <inttypes.h>
#include <stdlib.h>

/* One list for writing, reading and adding up. */
#define BALANCE_FIELDS(X) \
	X(records_read)       \
	X(rows_written)       \
	X(duplicates)         \
	X(conflicts)          \
	X(filtered)           \
	X(quarantined)        \
	X(bytes_in)           \
	X(bytes_raw)          \
	X(record_bytes)       \
	X(separator_bytes)    \
	X(quarantined_bytes)  \
	X(duplicate_keys)     \
	X(invalid_utf8)       \
	X(converted_null)

json_t *gm_balance_json(const struct gm_balance *balance)
{
	json_t *object = json_object();
	int failed = object == NULL;
#define X(field) failed |= json_object_set_new(object, #field, json_integer((json_int_t)balance->field));
	BALANCE_FIELDS(X)
#undef X
	if (failed == 0) return object;
	json_decref(object);
	return NULL;
}

/* Books that an earlier version wrote do not know of conflicts. */
static enum gm_code parse_count(const json_t *json, const char *field, uint64_t *count, struct gm_error *err)
{
	*count = 0;
	if (strcmp(field, "conflicts") == 0 && json_object_get(json, field) == NULL) return GM_OK;
	return gm_member_number(json, field, count, err);
}

enum gm_code gm_balance_parse(const json_t *json, struct gm_balance *balance, struct gm_error *err)
{
#define X(field) GM_TRY(parse_count(json, #field, &balance->field, err));
	BALANCE_FIELDS(X)
#undef X
	return GM_OK;
}

void gm_balance_add(struct gm_balance *total, const struct gm_balance *more)
{
#define X(field) total->field += more->field;
	BALANCE_FIELDS(X)
#undef X
}

enum gm_code gm_balance_check(const struct gm_balance *balance, const char *what, struct gm_error *err)
{
	uint64_t records = balance->rows_written + balance->duplicates + balance->filtered + balance->quarantined;
	uint64_t bytes = balance->record_bytes + balance->separator_bytes + balance->quarantined_bytes;
	if (records == balance->records_read && bytes == balance->bytes_raw) return GM_OK;
	(void)gm_error_set(err, GM_UNBALANCED,
	                   "the books do not balance: %" PRIu64 " records read, %" PRIu64 " accounted for; %" PRIu64
	                   " bytes inflated, %" PRIu64 " accounted for",
	                   balance->records_read, records, balance->bytes_raw, bytes);
	(void)gm_error_hint(err, GM_UNBALANCED, "nothing was published; please report this with the object");
	return gm_error_object(err, GM_UNBALANCED, what, strlen(what));
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* Bounds are cut at 256 bytes: a few thousand columns fit. */
static const size_t max_stats_bytes = (size_t)64 << 20;

/* A file's statistics as the log wants them. */
static enum gm_code stats_text(const struct gm_job *job, const struct gm_staged_file *file, struct gm_buf *text)
{
	struct gm_delta_column_stats *columns = malloc((job->column_count + 1) * sizeof *columns);
	if (columns == NULL) return GM_NOMEM;
	for (size_t i = 0; i < job->column_count; i++) {
		const struct gm_parquet_column_stats *from = &file->columns[i];
		columns[i] = (struct gm_delta_column_stats){.name = job->columns[i].name,
		                                            .type = job->columns[i].type,
		                                            .nulls = from->nulls,
		                                            .has_bounds = from->has_bounds && from->nans == 0,
		                                            .min_i64 = from->min.i64,
		                                            .max_i64 = from->max.i64,
		                                            .min_f64 = from->min.f64,
		                                            .max_f64 = from->max.f64,
		                                            .min_bytes = from->min.bytes,
		                                            .max_bytes = from->max.bytes,
		                                            .min_len = from->min.len,
		                                            .max_len = from->max.len};
	}
	enum gm_code rc = gm_delta_stats(file->rows, columns, job->column_count, text, NULL);
	free(columns);
	return rc;
}

static json_t *file_json(const char *path, const char *token, uint64_t bytes, const uint64_t hash[2])
{
	char hex[GM_HEX128_BYTES];
	gm_hex128(hash, hex);
	return json_pack("{s:s, s:s, s:I, s:s}", "path", path, "token", token, "bytes", (json_int_t)bytes, "hash", hex);
}

static json_t *data_file_json(const struct gm_job *job, const struct gm_staged_file *file)
{
	char hex[GM_HEX128_BYTES];
	gm_hex128(file->content_hash, hex);
	struct gm_buf stats;
	gm_buf_init(&stats, max_stats_bytes);
	json_t *object = NULL;
	int failed = stats_text(job, file, &stats) != GM_OK;
	if (failed == 0) object = file_json(file->path, file->token, file->bytes, file->hash);
	failed |= object == NULL;
	failed |= json_object_set_new(object, "partition", json_string(file->partition));
	failed |= json_object_set_new(object, "rows", json_integer((json_int_t)file->rows));
	failed |= json_object_set_new(object, "content_hash", json_string(hex));
	failed |= json_object_set_new(object, "stats", json_stringn((const char *)stats.data, stats.len));
	gm_buf_release(&stats);
	if (failed == 0) return object;
	json_decref(object);
	return NULL;
}

static json_t *objects_json(const struct gm_unit_spec *unit, const struct gm_unit_result *result)
{
	json_t *list = json_array();
	for (size_t i = 0; i < unit->input_count; i++) {
		json_t *balance = gm_balance_json(&result->objects[i]);
		json_t *object =
		    balance != NULL ? json_pack("{s:s, s:o}", "key", unit->inputs[i].key, "balance", balance) : NULL;
		if (object == NULL || json_array_append_new(list, object) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *partitions_json(const struct gm_unit_result *result)
{
	json_t *list = json_array();
	for (size_t i = 0; i < result->partition_count; i++) {
		if (json_array_append_new(list, json_string(result->partitions[i])) == 0) continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

/* What the unit keeps beside its data files, if it has any of it. */
static int add_kept(json_t *manifest, const char *member, const char *path, const struct gm_kept_file *kept)
{
	if (kept->token[0] == '\0') return 0;
	return json_object_set_new(manifest, member, file_json(path, kept->token, kept->bytes, kept->hash));
}

json_t *gm_manifest_json(const struct gm_job *job, const struct gm_plan *plan, const struct gm_unit_spec *unit,
                         const struct gm_unit_result *result)
{
	json_t *files = json_array(), *objects = objects_json(unit, result);
	json_t *manifest = json_pack("{s:i, s:I, s:I, s:I, s:o, s:o}", "format", GM_FORMAT, "plan",
	                             (json_int_t)unit->output.run, "planned_us", (json_int_t)plan->created_us, "unit",
	                             (json_int_t)unit->number, "files", files, "objects", objects);
	int failed = manifest == NULL;
	failed |= json_object_set_new(manifest, "partitions", partitions_json(result));
	failed |= add_kept(manifest, "conflicts", unit->conflicts_key, &result->conflicts);
	failed |= add_kept(manifest, "duplicates", unit->duplicates_key, &result->duplicates);
	for (size_t i = 0; failed == 0 && i < result->outputs.file_count; i++)
		failed |= json_array_append_new(files, data_file_json(job, &result->outputs.files[i]));
	if (failed == 0 && result->quarantine_token[0] != '\0')
		failed |= json_object_set_new(manifest, "quarantine",
		                              file_json(unit->quarantine_key, result->quarantine_token,
		                                        result->quarantine_bytes, result->quarantine_hash));
	if (failed == 0) return manifest;
	json_decref(manifest);
	return NULL;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static enum gm_code copy_string(struct gm_arena *arena, const json_t *object, const char *member, const char **out,
                                struct gm_error *err)
{
	const char *text;
	GM_TRY(gm_member_string(object, member, &text, err));
	*out = gm_arena_strndup(arena, text, strlen(text));
	if (*out == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a manifest");
	return GM_OK;
}

static enum gm_code parse_file(struct gm_arena *arena, const json_t *json, struct gm_manifest_file *file,
                               struct gm_error *err)
{
	GM_TRY(copy_string(arena, json, "path", &file->path, err));
	GM_TRY(copy_string(arena, json, "token", &file->token, err));
	GM_TRY(gm_member_number(json, "bytes", &file->bytes, err));
	if (!gm_store_key_valid(file->path)) GM_FAIL(err, GM_CORRUPT, "a file's path would leave the table");
	return gm_member_hash(json, "hash", file->hash, err);
}

static enum gm_code parse_files(const json_t *json, struct gm_manifest *manifest, struct gm_error *err)
{
	static const char *const kept[] = {"quarantine", "conflicts", "duplicates"};
	enum { KEPT = sizeof kept / sizeof kept[0] };
	const json_t *files;
	GM_TRY(gm_member_array(json, "files", &files, err));
	manifest->files = gm_arena_zalloc(&manifest->arena, (json_array_size(files) + KEPT) * sizeof *manifest->files);
	if (manifest->files == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a manifest");
	for (size_t i = 0; i < json_array_size(files); i++) {
		struct gm_manifest_file *file = &manifest->files[manifest->file_count++];
		const json_t *object = json_array_get(files, i);
		GM_TRY(parse_file(&manifest->arena, object, file, err));
		GM_TRY(copy_string(&manifest->arena, object, "partition", &file->partition, err));
		GM_TRY(copy_string(&manifest->arena, object, "stats", &file->stats, err));
		GM_TRY(gm_member_number(object, "rows", &file->rows, err));
	}
	for (size_t i = 0; i < KEPT; i++) {
		const json_t *object = json_object_get(json, kept[i]);
		if (object == NULL) continue;
		GM_TRY(parse_file(&manifest->arena, object, &manifest->files[manifest->file_count++], err));
	}
	return GM_OK;
}

/* Older manifests do not name the partitions: they are those of the files. */
static enum gm_code parse_partitions(const json_t *json, struct gm_manifest *manifest, struct gm_error *err)
{
	const json_t *list = json_object_get(json, "partitions");
	size_t room = list != NULL ? json_array_size(list) : manifest->file_count;
	manifest->partitions = gm_arena_zalloc(&manifest->arena, (room + 1) * sizeof *manifest->partitions);
	if (manifest->partitions == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a manifest");
	for (size_t i = 0; i < room; i++) {
		const char *partition =
		    list != NULL ? json_string_value(json_array_get(list, i)) : manifest->files[i].partition;
		if (partition == NULL && list != NULL) GM_FAIL(err, GM_CORRUPT, "a partition is no text");
		if (partition == NULL) continue; /* not a data file */
		partition = gm_arena_strndup(&manifest->arena, partition, strlen(partition));
		if (partition == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a manifest");
		manifest->partitions[manifest->partition_count++] = partition;
	}
	return GM_OK;
}

static enum gm_code parse_objects(const json_t *json, struct gm_manifest *manifest, struct gm_error *err)
{
	const json_t *objects;
	GM_TRY(gm_member_array(json, "objects", &objects, err));
	manifest->objects = gm_arena_zalloc(&manifest->arena, (json_array_size(objects) + 1) * sizeof *manifest->objects);
	if (manifest->objects == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a manifest");
	for (size_t i = 0; i < json_array_size(objects); i++) {
		struct gm_object_balance *object = &manifest->objects[manifest->object_count++];
		const json_t *item = json_array_get(objects, i);
		GM_TRY(copy_string(&manifest->arena, item, "key", &object->key, err));
		GM_TRY(gm_balance_parse(json_object_get(item, "balance"), &object->balance, err));
	}
	return GM_OK;
}

enum gm_code gm_manifest_parse(const json_t *json, struct gm_manifest *manifest, struct gm_error *err)
{
	const json_t *planned = json_object_get(json, "planned_us");
	*manifest = (struct gm_manifest){.planned_us = planned != NULL ? json_integer_value(planned) : INT64_MIN};
	gm_arena_init(&manifest->arena, 64 * 1024);
	enum gm_code rc = parse_files(json, manifest, err);
	if (rc == GM_OK) rc = parse_partitions(json, manifest, err);
	if (rc == GM_OK) rc = parse_objects(json, manifest, err);
	if (rc != GM_OK) gm_manifest_release(manifest);
	return rc;
}

void gm_manifest_release(struct gm_manifest *manifest)
{
	gm_arena_release(&manifest->arena);
	*manifest = (struct gm_manifest){0};
}
