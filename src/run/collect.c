/* collect.c - the one place where rows pass in plan order: duplicates go, row groups are cut, books are kept. */
#include "run/engine_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Groups that wait to be encoded hold their chunks: no more of them than can be worked on or kept in memory. */
static bool has_room(const struct gm_engine *engine)
{
	return engine->groups == 0 ||
	       (engine->groups <= (size_t)engine->threads && engine->group_bytes < engine->groups_limit);
}

bool gm_collect_ready(const struct gm_engine *engine)
{
	if (engine->collecting || engine->flushed || !has_room(engine)) return false;
	if (engine->head == engine->unit->input_count) return true;
	const struct gm_object_work *object = &engine->objects[engine->head];
	return object->first != NULL || object->ended;
}

/* The next item of the oldest object; moves on over ended ones. NULL: nothing is ready. */
static struct gm_item *next_item(struct gm_engine *engine, size_t *object)
{
	struct gm_item *item = NULL;
	(void)pthread_mutex_lock(&engine->lock);
	while (engine->head < engine->unit->input_count && has_room(engine)) {
		struct gm_object_work *work = &engine->objects[engine->head];
		item = work->first;
		if (item != NULL) {
			work->first = item->next;
			if (work->first == NULL) work->last = NULL;
			engine->queued_bytes -= item->bytes;
			*object = engine->head;
			break;
		}
		if (!work->ended) break;
		engine->head++;
		__atomic_add_fetch(&engine->progress.objects, 1, __ATOMIC_RELAXED);
		(void)pthread_cond_broadcast(&engine->changed);
	}
	(void)pthread_mutex_unlock(&engine->lock);
	return item;
}

static enum gm_code collect_chunk(struct gm_engine *engine, size_t object, struct gm_chunk *chunk, struct gm_error *err)
{
	uint64_t kept;
	const uint8_t *duplicate = NULL;
	struct gm_object_work *work = &engine->objects[object];
	enum gm_stage outer = gm_stage_enter(GM_STAGE_DEDUPE);
	enum gm_code rc = engine->dedupe != NULL
	                      ? gm_dedupe_chunk(engine->dedupe, chunk, (uint32_t)object, &work->counts, &duplicate, err)
	                      : GM_OK;
	(void)gm_stage_enter(outer);
	GM_TRY(rc);
	if (engine->unit->keys_only) return GM_OK;
	GM_TRY(gm_pending_add(engine->pending, chunk, duplicate, &kept, err));
	work->collected_rows += kept;
	return GM_OK;
}

static void keep_sample(struct gm_engine *engine, const char *key, const struct gm_reject *reject)
{
	if (engine->sample_count == GM_ENGINE_SAMPLES) return;
	bool told = strstr(reject->detail, reject->column) != NULL; /* also when there is no column */
	(void)snprintf(engine->samples[engine->sample_count++], sizeof engine->samples[0],
	               "%s: record %" PRIu64 " at byte %" PRIu64 ": %s%s%s%s%s", key, reject->record, reject->offset,
	               gm_reason_code(reject->reason), told ? "" : ", column ", told ? "" : reject->column,
	               reject->detail[0] != '\0' ? ": " : "", reject->detail);
}

static enum gm_code collect_reject(struct gm_engine *engine, size_t object, struct gm_item *item, struct gm_error *err)
{
	const char *key = item->object != NULL ? item->object : engine->unit->inputs[object].key;
	item->reject.column = item->column;
	item->reject.detail = item->detail;
	if (item->last) keep_sample(engine, key, &item->reject);
	if (engine->quarantine == NULL) return GM_OK;
	return gm_quarantine_add(engine->quarantine, key, &item->reject, item->data, item->data_bytes, item->last, err);
}

enum gm_code gm_collect_cut(void *context, struct gm_row_group *group, struct gm_error *err)
{
	struct gm_engine *engine = context;
	group->columns = calloc(engine->column_count, sizeof(struct gm_parquet_column_chunk *));
	if (group->columns == NULL) {
		gm_row_group_free(group);
		GM_FAIL(err, GM_NOMEM, "out of memory for a row group");
	}
	struct gm_partition *partition = group->partition;
	(void)pthread_mutex_lock(&engine->lock);
	*(engine->last_group != NULL ? &engine->last_group->next : &engine->first_group) = group;
	engine->last_group = group;
	*(partition->last_group != NULL ? &partition->last_group->later : &partition->first_group) = group;
	partition->last_group = group;
	engine->groups++;
	engine->group_bytes += group->bytes;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
	return GM_OK;
}

enum gm_code gm_collect(struct gm_engine *engine, struct gm_error *err)
{
	struct gm_item *item;
	size_t object;
	while ((item = next_item(engine, &object)) != NULL) {
		enum gm_code rc = item->chunk != NULL ? collect_chunk(engine, object, item->chunk, err)
		                                      : collect_reject(engine, object, item, err);
		gm_chunk_unref(item->chunk);
		free(item);
		GM_TRY(rc);
	}
	if (engine->head < engine->unit->input_count) return GM_OK;
	GM_TRY(gm_pending_flush(engine->pending, err));
	(void)pthread_mutex_lock(&engine->lock);
	engine->flushed = true;
	(void)pthread_cond_broadcast(&engine->changed);
	(void)pthread_mutex_unlock(&engine->lock);
	return GM_OK;
}
