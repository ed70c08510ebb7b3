/* encode.c - from a row group's segments to encoded columns, and those to their file in order. */
#include "run/engine_internal.h"

#include <stdlib.h>

static enum gm_code reserve_slices(struct gm_worker *worker, size_t count, struct gm_error *err)
{
	if (count <= worker->slice_room) return GM_OK;
	size_t room = count * 2;
	struct gm_slice *slices = realloc(worker->slices, room * sizeof *slices);
	if (slices != NULL) worker->slices = slices;
	void **loaded = realloc(worker->loaded, room * sizeof *loaded);
	if (loaded != NULL) worker->loaded = loaded;
	struct gm_vec *vecs = realloc(worker->loaded_vecs, room * sizeof *vecs);
	if (vecs != NULL) worker->loaded_vecs = vecs;
	if (slices == NULL || loaded == NULL || vecs == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for encoding");
	worker->slice_room = room;
	return GM_OK;
}

/* A slice per segment; spilled ones are read back, and *loaded counts those. */
static enum gm_code make_slices(struct gm_worker *worker, const struct gm_row_group *group, size_t leaf, size_t *loaded,
                                struct gm_error *err)
{
	struct gm_engine *engine = worker->engine;
	GM_TRY(reserve_slices(worker, group->segment_count, err));
	for (size_t i = 0; i < group->segment_count; i++) {
		const struct gm_segment *segment = &group->segments[i];
		struct gm_slice *slice = &worker->slices[i];
		*slice = (struct gm_slice){.rows = segment->rows, .first = segment->first, .count = segment->count};
		if (segment->chunk != NULL) {
			slice->vec = &segment->chunk->vec[engine->column_slots[leaf]];
			continue;
		}
		struct gm_vec *vec = &worker->loaded_vecs[*loaded];
		vec->type = engine->options.job->columns[leaf].type;
		GM_TRY(gm_spill_read(engine->spill, worker->spilled, segment->spill_offset, leaf, segment->count, vec,
		                     &worker->loaded[*loaded], err));
		(*loaded)++;
		slice->vec = vec;
	}
	return GM_OK;
}

enum gm_code gm_encode_leaf(struct gm_worker *worker, struct gm_row_group *group, size_t leaf, struct gm_error *err)
{
	size_t loaded = 0;
	enum gm_code rc = make_slices(worker, group, leaf, &loaded, err);
	if (rc == GM_OK) {
		struct gm_parquet_column_data data = {.slices = worker->slices, .slice_count = group->segment_count};
		rc = gm_parquet_encode(worker->encoder, worker->engine->result->outputs.model, leaf, &data,
		                       &group->columns[leaf], err);
	}
	for (size_t i = 0; i < loaded; i++) free(worker->loaded[i]);
	return rc;
}

static void free_columns(struct gm_engine *engine, struct gm_row_group *group)
{
	for (size_t i = 0; group->columns != NULL && i < engine->column_count; i++)
		gm_parquet_column_chunk_free(group->columns[i]);
}

/* The next group of the partition that may be appended, or NULL: the caller then no longer appends. */
static struct gm_row_group *next_to_append(struct gm_engine *engine, struct gm_partition *partition)
{
	struct gm_row_group *group = partition->first_group;
	if (engine->stopped || group == NULL || group->done_leaves < engine->column_count) {
		partition->appending = false;
		return NULL;
	}
	partition->first_group = group->later;
	if (partition->first_group == NULL) partition->last_group = NULL;
	return group;
}

enum gm_code gm_encode_finish(struct gm_engine *engine, struct gm_partition *partition, struct gm_error *err)
{
	struct gm_row_group *group;
	(void)pthread_mutex_lock(&engine->lock);
	if (partition->appending) { /* somebody is at it and will see this group */
		(void)pthread_mutex_unlock(&engine->lock);
		return GM_OK;
	}
	partition->appending = true;
	enum gm_code rc = GM_OK;
	while (rc == GM_OK && (group = next_to_append(engine, partition)) != NULL) {
		(void)pthread_mutex_unlock(&engine->lock);
		size_t bytes = group->bytes;
		rc = gm_outputs_append(&engine->result->outputs, group, err);
		free_columns(engine, group);
		gm_row_group_free(group);
		(void)pthread_mutex_lock(&engine->lock);
		engine->groups--;
		engine->group_bytes -= bytes;
		(void)pthread_cond_broadcast(&engine->changed);
	}
	(void)pthread_mutex_unlock(&engine->lock);
	return rc;
}
