/* Writing an entry: one action a line, commitInfo first, then protocol, metaData, txn and add. The members of an object
 * are in bytewise order, so that the same commit is the same bytes whoever writes it. */
#include "table/delta_internal.h"

#include "base/hive.h"

#include <stdlib.h>
#include <string.h>

/* What writers and readers of our tables must know: appendOnly and invariants come with writer version 2, nothing
 * else. */
enum { READER_VERSION = 1, WRITER_VERSION = 2 };

static const size_t entry_bytes_max = (size_t)1 << 30;

/* Appends {"<kind>": json} and a newline; takes json, NULL is NOMEM. */
static enum gm_code append_line(struct gm_buf *out, const char *kind, json_t *json, struct gm_error *err)
{
	json_t *action = json != NULL ? json_pack("{s:o}", kind, json) : NULL;
	enum gm_code code = gm_json_text(action, out, err);
	json_decref(action);
	return code == GM_OK ? gm_buf_append(out, "\n", 1, err) : code;
}

static json_t *texts_json(const struct gm_delta_text *texts, size_t count)
{
	json_t *map = json_object();
	for (size_t i = 0; i < count; i++)
		if (json_object_set_new(map, texts[i].name, json_string(texts[i].value)) != 0) {
			json_decref(map);
			return NULL;
		}
	return map;
}

static json_t *info_json(const struct gm_delta_commit *commit)
{
	json_t *parameters = texts_json(commit->parameters, commit->parameter_count);
	json_t *metrics = texts_json(commit->metrics, commit->metric_count);
	/* json_pack takes what is given to it, also when it fails. */
	return json_pack("{s:I, s:s, s:o, s:o, s:s, s:b, s:s}", "timestamp", (json_int_t)commit->timestamp_ms, "operation",
	                 commit->operation, "operationParameters", parameters, "operationMetrics", metrics,
	                 "isolationLevel", "Serializable", "isBlindAppend", (int)commit->blind_append, "engineInfo",
	                 commit->engine_info);
}

static json_t *protocol_json(void)
{
	return json_pack("{s:i, s:i}", "minReaderVersion", READER_VERSION, "minWriterVersion", WRITER_VERSION);
}

/* --- metaData ----------------------------------------------------------------------------------------------------- */

/* A JSON object of strings, as the caller has it. */
static enum gm_code parse_map(const char *text, const char *what, json_t **out, struct gm_error *err)
{
	json_t *value;
	const char *name;
	enum gm_code code = gm_delta_json(text, strlen(text), 0, out, err);
	if (code == GM_NOMEM) return code;
	bool fits = json_is_object(*out);
	if (fits) json_object_foreach(*out, name, value) fits = fits && json_is_string(value);
	if (fits) return GM_OK;
	json_decref(*out);
	*out = NULL;
	GM_FAIL(err, GM_BUG, "%s is not a JSON object of strings", what);
}

static json_t *columns_json(const struct gm_delta_metadata *metadata)
{
	json_t *list = json_array();
	for (size_t i = 0; i < metadata->partition_count; i++)
		if (json_array_append_new(list, json_string(metadata->partition_columns[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static enum gm_code append_metadata(struct gm_buf *out, const struct gm_delta_metadata *metadata, struct gm_error *err)
{
	json_t *configuration;
	GM_TRY(parse_map(metadata->configuration, "the table's configuration", &configuration, err));
	json_t *json =
	    json_pack("{s:s, s:{s:s, s:{}}, s:s, s:o, s:o, s:I}", "id", metadata->id, "format", "provider", "parquet",
	              "options", "schemaString", metadata->schema, "partitionColumns", columns_json(metadata),
	              "configuration", configuration, "createdTime", (json_int_t)metadata->created_ms);
	int failed = json == NULL;
	if (metadata->name[0] != '\0') failed |= json_object_set_new(json, "name", json_string(metadata->name));
	if (metadata->description[0] != '\0')
		failed |= json_object_set_new(json, "description", json_string(metadata->description));
	if (failed != 0) {
		json_decref(json);
		json = NULL;
	}
	return append_line(out, "metaData", json, err);
}

/* --- add ---------------------------------------------------------------------------------------------------------- */

static json_t *partition_json(const struct gm_partition_value *values, size_t count)
{
	json_t *map = json_object();
	for (size_t i = 0; i < count; i++) {
		json_t *value = values[i].value != NULL ? json_string(values[i].value) : json_null();
		if (json_object_set_new(map, values[i].name, value) != 0) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static enum gm_code append_add(struct gm_buf *out, const struct gm_delta_file *file, struct gm_arena *arena,
                               struct gm_buf *uri, struct gm_error *err)
{
	struct gm_partition_value *values;
	size_t count;
	json_t *tags = NULL;
	uri->len = 0;
	GM_TRY(gm_delta_uri_escape(file->path, uri, err));
	GM_TRY(gm_partition_parse(file->partition, strlen(file->partition), arena, &values, &count, err));
	if (file->tags != NULL) GM_TRY(parse_map(file->tags, "a file's tags", &tags, err));
	json_t *json = json_pack("{s:s%, s:o, s:I, s:I, s:b}", "path", (const char *)uri->data, uri->len, "partitionValues",
	                         partition_json(values, count), "size", (json_int_t)file->bytes, "modificationTime",
	                         (json_int_t)file->mtime_ms, "dataChange", (int)file->data_change);
	int failed = json == NULL;
	if (file->stats != NULL) failed |= json_object_set_new(json, "stats", json_string(file->stats));
	if (tags != NULL) failed |= json_object_set_new(json, "tags", tags);
	if (failed != 0) {
		json_decref(json);
		json = NULL;
	}
	return append_line(out, "add", json, err);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Two actions for one file in one entry would be read differently by different readers. */
static enum gm_code check_distinct(const struct gm_delta_file *files, size_t count, struct gm_error *err)
{
	const char **paths = malloc((count + 1) * sizeof *paths), *twice = NULL, *bad = NULL;
	if (paths == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for an entry of the Delta log");
	for (size_t i = 0; i < count; i++) {
		paths[i] = files[i].path;
		if (!gm_store_key_valid(paths[i])) bad = paths[i];
	}
	if (count > 1) qsort(paths, count, sizeof *paths, compare_texts);
	for (size_t i = 1; i < count; i++)
		if (strcmp(paths[i - 1], paths[i]) == 0) twice = paths[i];
	free(paths);
	if (bad != NULL) GM_FAIL(err, GM_BUG, "a commit adds a file under the name %.200s", bad);
	if (twice != NULL) GM_FAIL(err, GM_BUG, "a commit adds the file %.200s twice", twice);
	return GM_OK;
}

static enum gm_code append_adds(struct gm_buf *out, const struct gm_delta_file *files, size_t count,
                                struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_buf uri;
	enum gm_code code = check_distinct(files, count, err);
	gm_arena_init(&arena, 4096);
	gm_buf_init(&uri, (size_t)3 * GM_KEY_MAX_BYTES);
	for (size_t i = 0; i < count && code == GM_OK; i++) {
		gm_arena_reset(&arena);
		code = append_add(out, &files[i], &arena, &uri, err);
	}
	gm_buf_release(&uri);
	gm_arena_release(&arena);
	return code;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static enum gm_code append_entry(struct gm_buf *out, const struct gm_delta_commit *commit, struct gm_error *err)
{
	GM_TRY(append_line(out, "commitInfo", info_json(commit), err));
	if (commit->protocol) GM_TRY(append_line(out, "protocol", protocol_json(), err));
	if (commit->metadata != NULL) GM_TRY(append_metadata(out, commit->metadata, err));
	for (size_t i = 0; i < commit->txn_count; i++) {
		const struct gm_delta_txn_action *txn = &commit->txns[i];
		json_t *json = json_pack("{s:s, s:I, s:I}", "appId", txn->app_id, "version", (json_int_t)txn->version,
		                         "lastUpdated", (json_int_t)commit->timestamp_ms);
		GM_TRY(append_line(out, "txn", json, err));
	}
	return append_adds(out, commit->adds, commit->add_count, err);
}

enum gm_code gm_delta_put(struct gm_store *table, int64_t version, const struct gm_delta_commit *commit,
                          struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	struct gm_buf text;
	gm_delta_entry_key(version, key);
	gm_buf_init(&text, entry_bytes_max);
	enum gm_code code = append_entry(&text, commit, err);
	if (code == GM_OK) code = gm_store_put(table, key, text.data, text.len, true, err);
	gm_buf_release(&text);
	return code;
}
