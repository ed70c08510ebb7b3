/* Drives the Delta log for tests/test_delta_log.py: reads commands, one JSON object a line, and answers each with one.
 *
 *     {"put": {"version": 0, ...}}    {"checkpoint": {"now_ms": 0}}    {"clean": {"now_ms": 0}}
 *     {"dump": {"version": -1}}       {"entries": {"first": 0}}
 *     {"schema": {"fields": [["id", "bigint", "a number"], ...]}}
 *     {"stats": {"rows": 3, "columns": [{"name": "id", "type": "bigint", "nulls": 0, "min": 1, "max": 3}, ...]}}
 *
 * usage: delta_tool TABLE */
#include "table/delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

enum { MEMORY = 256 << 20 };

static struct gm_store *store;
static struct gm_error err;

static void *need(void *memory)
{
	if (memory == NULL) abort();
	return memory;
}

static const char *text_of(const json_t *object, const char *member, const char *absent)
{
	const char *text = json_string_value(json_object_get(object, member));
	return text != NULL ? text : absent;
}

static int64_t int_of(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* --- put ---------------------------------------------------------------------------------------------------------- */

static struct gm_delta_text *texts_of(json_t *object, size_t *count)
{
	struct gm_delta_text *texts = need(calloc(json_object_size(object) + 1, sizeof *texts));
	const char *name;
	json_t *value;
	*count = 0;
	json_object_foreach(object, name, value) texts[(*count)++] = (struct gm_delta_text){name, json_string_value(value)};
	return texts;
}

static const char **columns_of(const json_t *list, size_t *count)
{
	*count = json_array_size(list);
	const char **columns = need(calloc(*count + 1, sizeof *columns));
	for (size_t i = 0; i < *count; i++) columns[i] = json_string_value(json_array_get(list, i));
	return columns;
}

static struct gm_delta_file *files_of(const json_t *list, size_t *count)
{
	*count = json_array_size(list);
	struct gm_delta_file *files = need(calloc(*count + 1, sizeof *files));
	for (size_t i = 0; i < *count; i++) {
		const json_t *file = json_array_get(list, i);
		files[i] = (struct gm_delta_file){.path = text_of(file, "path", ""),
		                                  .partition = text_of(file, "partition", ""),
		                                  .bytes = (uint64_t)int_of(file, "bytes"),
		                                  .mtime_ms = int_of(file, "mtime_ms"),
		                                  .stats = text_of(file, "stats", NULL),
		                                  .tags = text_of(file, "tags", NULL),
		                                  .data_change = true};
	}
	return files;
}

static enum gm_code put(const json_t *arguments)
{
	const json_t *described = json_object_get(arguments, "metadata"), *list = json_object_get(arguments, "txns");
	struct gm_delta_metadata metadata = {.id = text_of(described, "id", ""),
	                                     .name = text_of(described, "name", ""),
	                                     .description = text_of(described, "description", ""),
	                                     .schema = text_of(described, "schema", ""),
	                                     .configuration = text_of(described, "configuration", "{}"),
	                                     .created_ms = int_of(described, "created_ms")};
	struct gm_delta_commit commit = {.timestamp_ms = int_of(arguments, "timestamp_ms"),
	                                 .operation = text_of(arguments, "operation", "WRITE"),
	                                 .engine_info = "gristmill/0.1.0",
	                                 .blind_append = true,
	                                 .protocol = described != NULL,
	                                 .metadata = described != NULL ? &metadata : NULL,
	                                 .txn_count = json_array_size(list)};
	struct gm_delta_txn_action *txns = need(calloc(commit.txn_count + 1, sizeof *txns));
	const char **columns = columns_of(json_object_get(described, "partition_columns"), &metadata.partition_count);
	for (size_t i = 0; i < commit.txn_count; i++) {
		const json_t *txn = json_array_get(list, i);
		txns[i].app_id = json_string_value(json_array_get(txn, 0));
		txns[i].version = json_integer_value(json_array_get(txn, 1));
	}
	struct gm_delta_text *parameters = texts_of(json_object_get(arguments, "parameters"), &commit.parameter_count);
	struct gm_delta_text *metrics = texts_of(json_object_get(arguments, "metrics"), &commit.metric_count);
	struct gm_delta_file *adds = files_of(json_object_get(arguments, "adds"), &commit.add_count);
	metadata.partition_columns = columns;
	commit.parameters = parameters;
	commit.metrics = metrics;
	commit.txns = txns;
	commit.adds = adds;
	enum gm_code code = gm_delta_put(store, int_of(arguments, "version"), &commit, &err);
	free(adds);
	free(metrics);
	free(parameters);
	free(columns);
	free(txns);
	return code;
}

/* --- dump --------------------------------------------------------------------------------------------------------- */

static json_t *file_json(const struct gm_delta_file *file)
{
	return json_pack("{s:s, s:s?, s:I, s:I, s:s?, s:s?, s:b}", "path", file->path, "partition", file->partition,
	                 "bytes", (json_int_t)file->bytes, "mtime_ms", (json_int_t)file->mtime_ms, "stats", file->stats,
	                 "tags", file->tags, "data_change", (int)file->data_change);
}

static enum gm_code note_file(void *context, const struct gm_delta_file *file, struct gm_error *failure)
{
	(void)failure;
	return json_array_append_new(context, file_json(file)) == 0 ? GM_OK : GM_NOMEM;
}

static json_t *metadata_json(const struct gm_delta_metadata *metadata)
{
	json_t *columns = json_array();
	for (size_t i = 0; i < metadata->partition_count; i++)
		(void)json_array_append_new(columns, json_string(metadata->partition_columns[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "id", metadata->id, "name", metadata->name, "description",
	                 metadata->description, "schema", metadata->schema, "configuration", metadata->configuration,
	                 "partition_columns", columns, "created_ms", (json_int_t)metadata->created_ms);
}

static enum gm_code dump(const json_t *arguments, json_t *answer)
{
	struct gm_delta_log *log;
	const json_t *version = json_object_get(arguments, "version"), *apps = json_object_get(arguments, "apps");
	int64_t wanted = json_is_integer(version) ? json_integer_value(version) : GM_DELTA_NEWEST;
	enum gm_code code = gm_delta_open(store, wanted, MEMORY, &log, &err);
	if (code != GM_OK) return code;
	json_t *files = json_array(), *txns = json_object();
	code = gm_delta_each_file(log, note_file, files, &err);
	for (size_t i = 0; i < json_array_size(apps); i++) {
		const char *app = json_string_value(json_array_get(apps, i));
		int64_t n;
		if (gm_delta_txn(log, app, &n)) (void)json_object_set_new(txns, app, json_integer(n));
	}
	struct gm_error refused = {0};
	bool writable = gm_delta_check_writable(log, &refused) == GM_OK;
	(void)json_object_set_new(answer, "version", json_integer(gm_delta_version(log)));
	(void)json_object_set_new(answer, "count", json_integer((json_int_t)gm_delta_file_count(log)));
	(void)json_object_set_new(answer, "metadata", metadata_json(gm_delta_metadata(log)));
	(void)json_object_set_new(answer, "refused", writable ? json_null() : json_string(refused.message));
	(void)json_object_set_new(answer, "files", files);
	(void)json_object_set_new(answer, "txns", txns);
	gm_delta_free(log);
	return code;
}

static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *failure)
{
	(void)failure;
	json_t *adds = json_array(), *removes = json_array(), *txns = json_object();
	for (size_t i = 0; i < entry->add_count; i++) (void)json_array_append_new(adds, file_json(&entry->adds[i]));
	for (size_t i = 0; i < entry->remove_count; i++)
		(void)json_array_append_new(removes, file_json(&entry->removes[i]));
	for (size_t i = 0; i < entry->txn_count; i++)
		(void)json_object_set_new(txns, entry->txns[i].app_id, json_integer(entry->txns[i].version));
	return json_array_append_new(context, json_pack("{s:I, s:I, s:s?, s:b, s:b, s:o, s:o, s:o}", "version",
	                                                (json_int_t)entry->version, "timestamp_ms",
	                                                (json_int_t)entry->timestamp_ms, "commit_info", entry->commit_info,
	                                                "metadata", (int)entry->metadata, "protocol", (int)entry->protocol,
	                                                "txns", txns, "adds", adds, "removes", removes)) == 0
	           ? GM_OK
	           : GM_NOMEM;
}

static enum gm_code entries(const json_t *arguments, json_t *answer)
{
	json_t *list = json_array();
	(void)json_object_set_new(answer, "entries", list);
	return gm_delta_entries(store, int_of(arguments, "first"), note_entry, list, &err);
}

/* --- other commands ----------------------------------------------------------------------------------------------- */

static enum gm_code keep_house(const json_t *arguments, bool checkpoint)
{
	struct gm_delta_log *log;
	const json_t *version = json_object_get(arguments, "version");
	int64_t wanted = json_is_integer(version) ? json_integer_value(version) : GM_DELTA_NEWEST;
	enum gm_code code = gm_delta_open(store, wanted, MEMORY, &log, &err);
	if (code != GM_OK) return code;
	int64_t now_ms = int_of(arguments, "now_ms");
	code = checkpoint ? gm_delta_checkpoint(log, now_ms, &err) : gm_delta_clean(log, now_ms, &err);
	gm_delta_free(log);
	return code;
}

static enum gm_type type_of(const char *name)
{
	for (enum gm_type type = GM_TYPE_BOOLEAN; type < GM_TYPE_TIMESTAMP; type++)
		if (strcmp(gm_type_name(type), name) == 0) return type;
	return GM_TYPE_TIMESTAMP;
}

static enum gm_code schema(const json_t *arguments, json_t *answer)
{
	const json_t *list = json_object_get(arguments, "fields");
	struct gm_delta_field *fields = need(calloc(json_array_size(list) + 1, sizeof *fields));
	char *text = NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *field = json_array_get(list, i);
		fields[i] = (struct gm_delta_field){json_string_value(json_array_get(field, 0)),
		                                    json_string_value(json_array_get(field, 2)),
		                                    type_of(json_string_value(json_array_get(field, 1)))};
	}
	enum gm_code code = gm_delta_schema(fields, json_array_size(list), &text, &err);
	if (code == GM_OK) (void)json_object_set_new(answer, "schema", json_string(text));
	free(text);
	free(fields);
	return code;
}

static enum gm_code stats(const json_t *arguments, json_t *answer)
{
	const json_t *list = json_object_get(arguments, "columns");
	struct gm_delta_column_stats *columns = need(calloc(json_array_size(list) + 1, sizeof *columns));
	struct gm_buf text;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *column = json_array_get(list, i), *min = json_object_get(column, "min");
		const json_t *max = json_object_get(column, "max");
		columns[i] = (struct gm_delta_column_stats){.name = text_of(column, "name", ""),
		                                            .type = type_of(text_of(column, "type", "")),
		                                            .nulls = (uint64_t)int_of(column, "nulls"),
		                                            .has_bounds = min != NULL,
		                                            .min_i64 = json_integer_value(min),
		                                            .max_i64 = json_integer_value(max),
		                                            .min_f64 = json_number_value(min),
		                                            .max_f64 = json_number_value(max),
		                                            .min_bytes = (const uint8_t *)json_string_value(min),
		                                            .max_bytes = (const uint8_t *)json_string_value(max),
		                                            .min_len = json_string_length(min),
		                                            .max_len = json_string_length(max)};
	}
	gm_buf_init(&text, 1 << 20);
	enum gm_code code =
	    gm_delta_stats((uint64_t)int_of(arguments, "rows"), columns, json_array_size(list), &text, &err);
	if (code == GM_OK) (void)json_object_set_new(answer, "stats", json_stringn((char *)text.data, text.len));
	gm_buf_release(&text);
	free(columns);
	return code;
}

static enum gm_code run(const json_t *command, json_t *answer)
{
	const char *name = json_object_iter_key(json_object_iter((json_t *)command));
	const json_t *arguments = json_object_get(command, name);
	if (strcmp(name, "put") == 0) return put(arguments);
	if (strcmp(name, "dump") == 0) return dump(arguments, answer);
	if (strcmp(name, "entries") == 0) return entries(arguments, answer);
	if (strcmp(name, "schema") == 0) return schema(arguments, answer);
	if (strcmp(name, "stats") == 0) return stats(arguments, answer);
	return keep_house(arguments, strcmp(name, "checkpoint") == 0);
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;
	if (argc != 2 || gm_store_open_directory(argv[1], true, &store, &err) != GM_OK) return 2;
	while (getline(&line, &room, stdin) > 0) {
		json_t *command = need(json_loads(line, 0, NULL)), *answer = need(json_object());
		enum gm_code code = run(command, answer);
		if (code != GM_OK) {
			(void)json_object_set_new(answer, "error", json_string(gm_code_name(code)));
			(void)json_object_set_new(answer, "message", json_string(err.message));
			(void)json_object_set_new(answer, "object", json_string(err.object));
			(void)json_object_set_new(answer, "line", json_integer(err.line));
		}
		(void)json_dumpf(answer, stdout, JSON_COMPACT);
		(void)putchar('\n');
		json_decref(answer);
		json_decref(command);
	}
	free(line);
	gm_store_close(store);
	return 0;
}
