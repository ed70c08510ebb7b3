/* why_rows.c - the rows of the table that have the key: of each live file what the log's bounds, then the footer's and
 * the bloom filters do not exclude is read, and of it the key columns alone. */
#include "run/why_internal.h"

#include "run/bounds.h"
#include "table/key_filter.h"

#include <stdlib.h>

enum { READER_SHARE = 8 }; /* of memory */

/* --- Which files -------------------------------------------------------------------------------------------------- */

/* Do the log's bounds say that no value of a key's column can be the key's? */
static bool is_excluded(const struct gm_why *why, const json_t *stats)
{
	for (size_t i = 0; i < why->key_count; i++) {
		struct gm_bounds bounds;
		gm_bounds_from_log(stats, why->columns[i].name, why->columns[i].type, &bounds);
		if (gm_bounds_fit(&bounds, why->key[i].vec) && gm_bounds_place(&bounds, why->key[i].vec, 0) != 0) return true;
	}
	return false;
}

/* --- Rows --------------------------------------------------------------------------------------------------------- */

/* What the log's tags say of a file of ours. */
static enum gm_code read_tags(struct gm_why *why, const char *tags, struct gm_why_row *row, struct gm_error *err)
{
	json_t *json;
	if (tags == NULL) return GM_OK;
	enum gm_code rc = gm_json_parse(tags, strlen(tags), 0, &json, err);
	if (rc == GM_CORRUPT) return GM_OK;
	GM_TRY(rc);
	const char *job = json_string_value(json_object_get(json, "gristmill.job"));
	const char *run = json_string_value(json_object_get(json, "gristmill.run"));
	const char *unit = json_string_value(json_object_get(json, "gristmill.unit"));
	if (job != NULL && run != NULL && unit != NULL) {
		row->run = strtoull(run, NULL, 10);
		row->unit = strtoull(unit, NULL, 10);
		rc = gm_why_keep(why, job, strlen(job), &row->job, err);
	}
	json_decref(json);
	return rc;
}

/* Files of runs that were taken over from before there was a log have no tags; their names say the same. */
static enum gm_code read_name(struct gm_why *why, const char *path, struct gm_why_row *row, struct gm_error *err)
{
	struct gm_file_name name;
	if (row->run > 0 || !gm_file_name_parse(path, &name) || strcmp(name.job8, why->layout.job8) != 0) return GM_OK;
	row->run = name.run;
	row->unit = name.unit;
	return gm_why_keep(why, why->job->id, strlen(why->job->id), &row->job, err);
}

static enum gm_code add_row(struct gm_why *why, const struct gm_delta_file *file, uint64_t group, uint64_t number,
                            struct gm_error *err)
{
	if (why->row_count == GM_WHY_ROWS) return GM_OK;
	struct gm_why_row *row = &why->rows[why->row_count];
	*row = (struct gm_why_row){.group = group, .row = number, .job = "", .version = -1};
	GM_TRY(gm_why_keep(why, file->path, strlen(file->path), &row->path, err));
	GM_TRY(gm_why_keep(why, file->partition, strlen(file->partition), &row->partition, err));
	GM_TRY(read_tags(why, file->tags, row, err));
	GM_TRY(read_name(why, file->path, row, err));
	why->row_count++;
	return GM_OK;
}

static enum gm_code read_group(struct gm_why *why, const struct gm_delta_file *file,
                               const struct gm_rows_file *rows_file, size_t group, struct gm_error *err)
{
	struct gm_rows *rows;
	const struct gm_vec_rows *columns;
	uint32_t count;
	uint64_t first = 0;
	enum gm_code rc = gm_rows_open(rows_file, group, 0, why->key_count, &rows, err);
	if (rc != GM_OK) return rc;
	do {
		rc = gm_rows_next(rows, &count, &columns, err);
		bool any = rc == GM_OK && gm_why_compare(why, columns, count);
		for (uint32_t i = 0; rc == GM_OK && any && i < count; i++)
			if (why->match[i] != 0) rc = add_row(why, file, group, first + i, err);
		first += count;
		if (rc == GM_OK) rc = gm_why_pulse(why, err);
	} while (rc == GM_OK && count > 0);
	gm_rows_close(rows);
	return rc;
}

/* Bounds first, which the footer has; bloom filters have to be read. */
static enum gm_code may_have(const struct gm_why *why, const struct gm_rows_file *rows_file, size_t group, bool *may,
                             struct gm_error *err)
{
	struct gm_key_filter *filter;
	GM_TRY(gm_key_filter_read(rows_file, group, why->key_count, &filter, err));
	enum gm_code rc = GM_OK;
	*may = filter == NULL || gm_key_filter_may_have(filter, why->key, 0);
	if (filter != NULL && *may && gm_key_filter_has_more(filter)) {
		rc = gm_key_filter_read_more(filter, rows_file, group, err);
		*may = rc == GM_OK && gm_key_filter_may_have(filter, why->key, 0);
	}
	gm_key_filter_free(filter);
	return rc;
}

static enum gm_code ask_group(struct gm_why *why, const struct gm_delta_file *file,
                              const struct gm_rows_file *rows_file, size_t group, struct gm_error *err)
{
	bool may;
	for (size_t i = 0; i < why->key_count; i++)
		if (gm_rows_file_leaf(rows_file, i) == SIZE_MAX) return GM_OK; /* its rows have no key */
	GM_TRY(may_have(why, rows_file, group, &may, err));
	return may ? read_group(why, file, rows_file, group, err) : GM_OK;
}

static enum gm_code note_file(void *context, const struct gm_delta_file *file, struct gm_error *err)
{
	struct gm_why *why = context;
	struct gm_rows_file *rows_file;
	json_t *stats = NULL;
	why->objects_done++;
	GM_TRY(gm_why_pulse(why, err));
	enum gm_code rc = file->stats != NULL ? gm_json_parse(file->stats, strlen(file->stats), 0, &stats, err) : GM_OK;
	if (rc != GM_CORRUPT) GM_TRY(rc);
	bool excluded = is_excluded(why, stats);
	json_decref(stats);
	if (excluded) return GM_OK;
	GM_TRY(gm_rows_file_open(why->table, file->path, file->bytes, why->columns, why->key_count,
	                         why->memory_bytes / READER_SHARE, &rows_file, err));
	rc = GM_OK;
	for (size_t group = 0; rc == GM_OK && group < gm_rows_file_info(rows_file)->group_count; group++)
		rc = ask_group(why, file, rows_file, group, err);
	gm_rows_file_close(rows_file);
	return rc;
}

/* --- Versions ----------------------------------------------------------------------------------------------------- */

/* The last entry that adds a row's file. */
static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	struct gm_why *why = context;
	for (size_t i = 0; i < entry->add_count; i++)
		for (size_t k = 0; k < why->row_count; k++)
			if (strcmp(why->rows[k].path, entry->adds[i].path) == 0) why->rows[k].version = entry->version;
	return gm_why_pulse(why, err);
}

/* Entries that were cleaned away, or cannot be read, tell nothing. */
static enum gm_code find_versions(struct gm_why *why, struct gm_error *err)
{
	int64_t oldest;
	if (why->row_count == 0) return GM_OK;
	enum gm_code rc = gm_delta_oldest(why->table, &oldest, err);
	if (rc == GM_OK) rc = gm_delta_entries(why->table, oldest, note_entry, why, err);
	return rc == GM_NOT_FOUND || rc == GM_CHANGED || rc == GM_CORRUPT ? GM_OK : rc;
}

enum gm_code gm_why_find_rows(struct gm_why *why, struct gm_error *err)
{
	const struct gm_delta_log *log = why->history.log;
	if (log == NULL) return GM_OK;
	why->objects = gm_delta_file_count(log);
	GM_TRY(gm_delta_each_file(log, note_file, why, err));
	return find_versions(why, err);
}
