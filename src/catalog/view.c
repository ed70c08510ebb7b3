/* view.c - the catalog's entries as they are, beside what they should be; and their end. Nothing but drop writes. */
#include "catalog/work.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- Drop --------------------------------------------------------------------------------------------------------- */

static enum gm_code drop_entry(const struct gm_catalog_env *env, struct gm_work *work, const char *location,
                               struct gm_catalog_result *result, struct gm_error *err)
{
	enum gm_code rc = gm_glue_get_table(env->glue, work->name, &work->found, err);
	if (rc == GM_NOT_FOUND) return GM_OK;
	if (rc == GM_OK) rc = gm_merge_check(work->found, location, err);
	if (rc == GM_OK) rc = gm_glue_delete_table(env->glue, work->name, err);
	result->dropped += rc == GM_OK;
	if (rc != GM_OK && rc != GM_NOMEM && rc != GM_INTERRUPTED) gm_work_name_error(work, env->job, err);
	return rc;
}

enum gm_code gm_catalog_drop_on(const struct gm_catalog_env *env, struct gm_catalog_result *result,
                                struct gm_error *err)
{
	struct gm_work works[GM_WORK_ENTRIES];
	struct gm_shape shape;
	size_t count;
	GM_TRY(gm_work_list(env->job, works, &count, err));
	/* Of a table whose log cannot be read the location is known all the same. */
	enum gm_code rc = gm_shape_read(env->job, NULL, false, env->log_bytes, &shape, err);
	for (size_t i = 0; rc == GM_OK && i < count; i++) rc = drop_entry(env, &works[i], shape.location, result, err);
	for (size_t i = 0; i < count; i++) gm_work_release(&works[i]);
	gm_shape_release(&shape);
	return rc;
}

/* --- Read --------------------------------------------------------------------------------------------------------- */

struct memory {
	struct gm_arena arena;
};

enum { TEXT_BYTES_MAX = 64 << 20 };

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the catalog's entries");
}

static enum gm_code keep_text(struct gm_arena *arena, const char *text, const char **out, struct gm_error *err)
{
	*out = gm_arena_strndup(arena, text, strlen(text));
	return *out != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code keep_json(struct gm_arena *arena, const json_t *json, const char **out, struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, TEXT_BYTES_MAX);
	enum gm_code rc = gm_json_text(json, &text, err);
	if (rc == GM_OK) {
		*out = gm_arena_strndup(arena, (const char *)text.data, text.len);
		if (*out == NULL) rc = out_of_memory(err);
	}
	gm_buf_release(&text);
	return rc;
}

static enum gm_code keep_lines(struct gm_arena *arena, const struct gm_differences *differences,
                               struct gm_catalog_entry *out, struct gm_error *err)
{
	const char **lines = gm_arena_alloc(arena, (differences->count + 1) * sizeof *lines);
	if (lines == NULL) return out_of_memory(err);
	for (size_t i = 0; i < differences->count; i++) GM_TRY(keep_text(arena, differences->lines[i], &lines[i], err));
	out->differences = lines;
	out->difference_count = differences->count;
	out->more_differences = differences->more;
	return GM_OK;
}

/* What a sync would refuse is part of the answer. */
static enum gm_code keep_refusal(struct gm_arena *arena, enum gm_code rc, const struct gm_error *why,
                                 struct gm_catalog_entry *out, struct gm_error *err)
{
	if (rc != GM_USAGE && rc != GM_UNSUPPORTED) {
		*err = *why;
		return rc;
	}
	GM_TRY(keep_text(arena, why->message, &out->refused, err));
	return keep_text(arena, why->hint, &out->advice, err);
}

static enum gm_code compare_partitions(struct gm_work *work, const struct gm_shape *shape, const json_t *input,
                                       struct gm_catalog_entry *out, struct gm_error *err)
{
	struct gm_registered_counts counts;
	const json_t *columns = json_object_get(json_object_get(input, "StorageDescriptor"), "Columns");
	if (work->registered == NULL) return GM_OK;
	GM_TRY(gm_registered_compare(work->registered, &work->entry, shape, columns, &counts, err));
	out->partitions_missing = counts.missing;
	out->partitions_stale = counts.stale;
	out->partitions_extra = counts.extra;
	out->partitions_foreign = counts.foreign;
	return GM_OK;
}

/* The entry as it should be: what is there, mended, or what would be created. */
static enum gm_code compare(struct gm_work *work, const struct gm_shape *shape, struct gm_differences *differences,
                            json_t **input, struct gm_error *err)
{
	json_t *wanted;
	*input = NULL;
	GM_TRY(gm_entry_table(&work->entry, shape, &wanted, err));
	if (work->found == NULL) {
		*input = wanted;
		return GM_OK;
	}
	enum gm_code rc = gm_merge_table(work->found, wanted, &work->entry, shape, input, differences, err);
	json_decref(wanted);
	return rc;
}

static enum gm_code view_entry(struct gm_work *work, const struct gm_shape *shape, struct gm_arena *arena,
                               struct gm_catalog_entry *out, struct gm_error *err)
{
	struct gm_differences differences;
	struct gm_error why = {.code = GM_OK};
	json_t *input = NULL;
	*out = (struct gm_catalog_entry){.database = shape->database,
	                                 .format = work->entry.kind == GM_ENTRY_DELTA ? "delta" : "hive",
	                                 .refused = "",
	                                 .advice = ""};
	bool there = work->found != NULL;
	GM_TRY(keep_text(arena, shape->database, &out->database, err));
	GM_TRY(keep_text(arena, work->name, &out->name, err));
	if (there) GM_TRY(keep_json(arena, work->found, &out->has, err));
	gm_differences_init(&differences);
	enum gm_code rc = compare(work, shape, &differences, &input, &why);
	if (rc == GM_OK) rc = compare_partitions(work, shape, input, out, &why);
	bool refused = rc != GM_OK;
	if (refused) rc = keep_refusal(arena, rc, &why, out, err);
	if (rc == GM_OK && !refused) rc = keep_json(arena, input, &out->should, err);
	if (rc == GM_OK) rc = keep_lines(arena, &differences, out, err);
	out->current = there && !refused && !gm_differences_any(&differences) &&
	               out->partitions_missing + out->partitions_stale + out->partitions_extra == 0;
	gm_differences_release(&differences);
	json_decref(input);
	return rc;
}

static enum gm_code view_all(const struct gm_catalog_env *env, struct gm_work *works, size_t count,
                             struct gm_catalog_view *out, struct gm_error *err)
{
	struct memory *memory = out->memory;
	struct gm_shape shape;
	for (size_t i = 0; i < count; i++) GM_TRY(gm_work_find(&works[i], env, err));
	enum gm_code rc = gm_shape_read(env->job, env->table, true, env->log_bytes, &shape, err);
	out->current = true;
	for (size_t i = 0; rc == GM_OK && i < count; i++) {
		works[i].entry.rows = true;
		rc = view_entry(&works[i], &shape, &memory->arena, &out->entries[i], err);
		out->current = out->current && out->entries[i].current;
		if (rc == GM_OK) out->entry_count = i + 1;
	}
	gm_shape_release(&shape);
	return rc;
}

enum gm_code gm_catalog_read_on(const struct gm_catalog_env *env, struct gm_catalog_view *out, struct gm_error *err)
{
	struct gm_work works[GM_WORK_ENTRIES];
	size_t count;
	*out = (struct gm_catalog_view){.entry_count = 0};
	GM_TRY(gm_work_list(env->job, works, &count, err));
	struct memory *memory = calloc(1, sizeof *memory);
	if (memory == NULL) return out_of_memory(err);
	gm_arena_init(&memory->arena, 16 << 10);
	out->memory = memory;
	enum gm_code rc = view_all(env, works, count, out, err);
	for (size_t i = 0; i < count; i++) gm_work_release(&works[i]);
	if (rc != GM_OK) out->current = false;
	return rc;
}

void gm_catalog_view_clear(struct gm_catalog_view *view)
{
	struct memory *memory = view->memory;
	if (memory != NULL) gm_arena_release(&memory->arena);
	free(memory);
	*view = (struct gm_catalog_view){.entry_count = 0};
}
