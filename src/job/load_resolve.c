/* load_resolve.c - the resolved job as canonical JSON, and its hash.
 *
 * Holds everything that can change a row or a byte of the table, with defaults filled in: two job files with the same
 * text here are the same job to the run protocol, which puts the hash into plans and file names. Locations, comments,
 * catalog, database and table name are left out: moving or describing a table does not change it; and so is what
 * decides which objects a plan takes (on_change, lookback, plan_objects, plan_bytes): the plan names them. Objects have
 * their keys in byte order, no white space; lists keep their order.
 *
 *   {"columns":[{"expr":..,"from":[..],"name":..,"on_error":..,"required":..,"type":..,"unit":..,"default":..,
 *                "not_after_us":..}],
 *    "id":..,"job":..,"resolved":1,"source":{"format":..,"max_record":..},
 *    "table":{"compression":..,"compression_level":..,"file_size":..,"layout":..,"partition_by":[..],"unique_by":[..],
 *             "unique_within":..,"encoding":..},"where":..}
 * `expr`, `from`, `unit`, `default`, `not_after_us` and `where` stand there only if they apply, `encoding` if it is not
 * standard. `resolved` is the
 * version of this form. */
#include "base/json_text.h"
#include "job/load.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A job file has at most 4 MiB; its resolved form repeats a default or two for each column. */
static const size_t max_resolved_bytes = (size_t)64 << 20;

/* Words of the table for values of the struct: one spelling for both directions. */
const char *gm_load_word(enum gm_key_section section, const char *name, unsigned int value)
{
	for (size_t i = 0; i < gm_key_count; i++)
		if (gm_keys[i].section == section && strcmp(gm_keys[i].name, name) == 0) return gm_keys[i].words[value];
	return "";
}

/* jansson: a NULL value makes _set_new fail, so memory that could not be had shows at the end of each chain. */
static bool set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) == 0;
}

json_t *gm_load_json_path(const struct gm_column *column)
{
	json_t *list = json_array();
	for (size_t i = 0; i < column->from_len; i++)
		if (json_array_append_new(list, json_stringn(column->from[i], column->from_bytes[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *json_column(const struct gm_column *c)
{
	json_t *object = json_object();
	bool ok = set(object, "name", json_string(c->name)) && set(object, "type", json_string(gm_type_name(c->type))) &&
	          set(object, "required", json_boolean(c->required)) &&
	          set(object, "on_error", json_string(gm_load_word(GM_SECTION_COLUMN, "on_error", c->on_error)));
	if (ok && c->from_len > 0) ok = set(object, "from", gm_load_json_path(c));
	if (ok && gm_load_has_unit(c))
		ok = set(object, "unit", json_string(gm_load_word(GM_SECTION_COLUMN, "unit", c->unit)));
	if (ok && c->not_after_us > 0) ok = set(object, "not_after_us", json_integer(c->not_after_us));
	if (ok && c->expr != NULL) ok = set(object, "expr", json_string(c->expr));
	if (ok && c->fallback != NULL) ok = set(object, "default", json_stringn(c->fallback, c->fallback_bytes));
	if (ok) return object;
	json_decref(object);
	return NULL;
}

static json_t *json_partition(const struct gm_column *c)
{
	return json_pack("{s:s, s:s, s:s}", "name", c->name, "type", gm_type_name(c->type), "expr", c->expr);
}

static json_t *json_list(const struct gm_column *columns, size_t count, json_t *(*one)(const struct gm_column *))
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(list, one(&columns[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *json_unique(const struct gm_job *job)
{
	json_t *list = json_array();
	for (size_t i = 0; i < job->table.unique_count; i++)
		if (json_array_append_new(list, json_string(job->columns[job->table.unique_by[i]].name)) != 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *json_table(const struct gm_job *job)
{
	const char *compression = gm_load_word(GM_SECTION_TABLE, "compression", job->table.compression);
	json_t *object =
	    json_pack("{s:s, s:i, s:I, s:s, s:o, s:o, s:s}", "compression", compression, "compression_level",
	              job->table.compression_level, "file_size", (json_int_t)job->table.file_bytes, "layout", "hive",
	              "partition_by", json_list(job->table.partitions, job->table.partition_count, json_partition),
	              "unique_by", json_unique(job), "unique_within", "partition");
	if (job->table.encoding == GM_ENCODING_STANDARD || object == NULL) return object;
	if (set(object, "encoding", json_string(gm_load_word(GM_SECTION_TABLE, "encoding", job->table.encoding))))
		return object;
	json_decref(object);
	return NULL;
}

static json_t *json_job(const struct gm_job *job)
{
	json_t *object =
	    json_pack("{s:i, s:s, s:s, s:{s:s, s:I}, s:o, s:o}", "resolved", 1, "id", job->id, "job", job->name, "source",
	              "format", "json", "max_record", (json_int_t)job->source.max_record_bytes, "table", json_table(job),
	              "columns", json_list(job->columns, job->column_count, json_column));
	if (job->where == NULL || object == NULL) return object;
	/* Not packed with the others as one that may be left out: it would be left out when memory is gone, too. */
	if (json_object_set_new(object, "where", json_string(job->where)) == 0) return object;
	json_decref(object);
	return NULL;
}

enum gm_code gm_load_resolve(struct gm_loader *loader)
{
	struct gm_job *job = loader->job;
	json_t *object = json_job(job);
	struct gm_buf text;
	gm_buf_init(&text, max_resolved_bytes);
	enum gm_code rc = gm_json_text(object, &text, NULL);
	json_decref(object);
	if (rc == GM_OK) job->resolved = gm_arena_strndup(&job->arena, (const char *)text.data, text.len);
	XXH128_hash_t hash = XXH3_128bits(text.data, text.len);
	gm_buf_release(&text);
	if (rc != GM_OK || job->resolved == NULL) return gm_load_nomem(loader);
	job->hash[0] = hash.low64;
	job->hash[1] = hash.high64;
	return GM_OK;
}
