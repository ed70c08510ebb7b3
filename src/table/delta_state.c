/* The files and applications of a snapshot, while the log is replayed and after.
 *
 * For each path the log names there is one record, also when the file was removed: the record then says which source
 * (checkpoint or entry) removed it last. So a second reading of the same sources can tell for every action whether it
 * is the one that counts, and nothing else of it need be kept in memory. */
#include "table/delta_internal.h"

#include <stdlib.h>

enum {
	CHECK_EVERY = 1024, /* new files, before memory is looked at again */
	FILES_MAX = GM_DICT_PAGE * GM_DICT_MAX_PAGES - 1,
};

static enum gm_code out_of_memory(struct gm_error *err)
{
	return gm_error_set(err, GM_NOMEM, "out of memory for the state of the Delta log");
}

enum gm_code gm_delta_state_init(struct gm_delta_state *state, size_t memory_bytes, struct gm_error *err)
{
	*state = (struct gm_delta_state){.memory_bytes = memory_bytes};
	gm_arena_init(&state->arena, 4096);
	gm_buf_init(&state->scratch, memory_bytes);
	state->paths = gm_dict_new();
	state->partitions = gm_dict_new();
	state->apps = gm_dict_new();
	if (state->paths != NULL && state->partitions != NULL && state->apps != NULL) return GM_OK;
	gm_delta_state_release(state);
	return out_of_memory(err);
}

void gm_delta_state_release(struct gm_delta_state *state)
{
	gm_dict_unref(state->paths);
	gm_dict_unref(state->partitions);
	gm_dict_unref(state->apps);
	free(state->records);
	free(state->app_records);
	gm_arena_release(&state->arena);
	gm_buf_release(&state->scratch);
	*state = (struct gm_delta_state){0};
}

enum gm_code gm_delta_state_check(const struct gm_delta_state *state, size_t more, struct gm_error *err)
{
	size_t used = more + gm_dict_memory_bytes(state->paths) + gm_dict_memory_bytes(state->partitions) +
	              gm_dict_memory_bytes(state->apps) + state->record_room * sizeof *state->records +
	              state->app_room * sizeof *state->app_records;
	if (used <= state->memory_bytes) return GM_OK;
	(void)gm_error_set(err, GM_NOMEM,
	                   "the table has more files than the %zu bytes of memory given can hold (%u so far)",
	                   state->memory_bytes, state->paths->count);
	return gm_error_hint(err, GM_NOMEM, "give more memory (--memory)");
}

uint32_t gm_delta_text_put(struct gm_dict *dict, const char *text)
{
	size_t bytes = strlen(text) + 1;
	if (bytes > UINT32_MAX) return 0;
	const uint8_t *value = (const uint8_t *)text;
	return gm_dict_put(dict, value, (uint32_t)bytes, gm_dict_hash_seeded(value, (uint32_t)bytes, gm_dict_seed(dict)));
}

uint32_t gm_delta_text_find(const struct gm_dict *dict, const char *text)
{
	size_t bytes = strlen(text) + 1;
	if (bytes > UINT32_MAX) return 0;
	const uint8_t *value = (const uint8_t *)text;
	return gm_dict_find(dict, value, (uint32_t)bytes, gm_dict_hash_seeded(value, (uint32_t)bytes, gm_dict_seed(dict)));
}

/* Room for the record of this code, at twice the size whenever it is used up. */
static bool make_room(void **records, size_t *room, uint32_t code, size_t size)
{
	if (code <= *room) return true;
	size_t wanted = *room == 0 ? 64 : *room * 2;
	void *grown = realloc(*records, wanted * size);
	if (grown == NULL) return false;
	*records = grown;
	*room = wanted;
	return true;
}

static enum gm_code record_of(struct gm_delta_state *state, const char *path, struct gm_delta_record **out, bool *new,
                              struct gm_error *err)
{
	uint32_t before = state->paths->count, code;
	if (before >= FILES_MAX) GM_FAIL(err, GM_UNSUPPORTED, "the table has more than %d files", FILES_MAX);
	code = gm_delta_text_put(state->paths, path);
	if (code == 0) return out_of_memory(err);
	*new = code > before;
	void *records = state->records;
	if (!make_room(&records, &state->record_room, code, sizeof *state->records)) return out_of_memory(err);
	state->records = records;
	*out = &state->records[code - 1];
	if (!*new) return GM_OK;
	**out = (struct gm_delta_record){0};
	return code % CHECK_EVERY == 0 || code == state->record_room ? gm_delta_state_check(state, 0, err) : GM_OK;
}

static enum gm_code apply_file(struct gm_delta_state *state, const struct gm_delta_file_action *file, bool add,
                               struct gm_error *err)
{
	struct gm_delta_record *record = NULL;
	bool new = false;
	uint32_t partition = 0;
	gm_arena_reset(&state->arena);
	if (add) {
		GM_TRY(gm_delta_partition_canonical(&file->partition, &state->arena, &state->scratch, err));
		partition = gm_delta_text_put(state->partitions, (const char *)state->scratch.data);
		if (partition == 0) return out_of_memory(err);
	}
	GM_TRY(record_of(state, file->path, &record, &new, err));
	/* The protocol forbids it, and readers differ in which of the two they believe. */
	if (!new && record->source == state->source)
		GM_FAIL(err, GM_CORRUPT, "there is a second action for the file %.200s", file->path);
	state->live += add;
	state->live -= record->partition != 0;
	*record = (struct gm_delta_record){add ? file->bytes : 0, add ? file->time_ms : 0, partition, state->source};
	return GM_OK;
}

static enum gm_code apply_app(struct gm_delta_state *state, const struct gm_delta_app *app, struct gm_error *err)
{
	uint32_t code = gm_delta_text_put(state->apps, app->id);
	void *records = state->app_records;
	if (code == 0 || !make_room(&records, &state->app_room, code, sizeof *state->app_records))
		return out_of_memory(err);
	state->app_records = records;
	state->app_records[code - 1] = (struct gm_delta_app_record){app->version, app->updated_ms, app->has_updated};
	return code % CHECK_EVERY == 0 ? gm_delta_state_check(state, 0, err) : GM_OK;
}

enum gm_code gm_delta_state_apply(struct gm_delta_state *state, const struct gm_delta_action *action,
                                  struct gm_error *err)
{
	switch (action->kind) {
	case GM_DELTA_ADD:
	case GM_DELTA_REMOVE: return apply_file(state, &action->file, action->kind == GM_DELTA_ADD, err);
	case GM_DELTA_TXN: return apply_app(state, &action->app, err);
	default: return GM_OK;
	}
}

const struct gm_delta_record *gm_delta_state_find(const struct gm_delta_state *state, const char *path)
{
	uint32_t code = gm_delta_text_find(state->paths, path);
	return code != 0 ? &state->records[code - 1] : NULL;
}

const char *gm_delta_state_path(const struct gm_delta_state *state, size_t index)
{
	uint32_t bytes;
	return (const char *)gm_dict_get(state->paths, (uint32_t)index + 1, &bytes);
}

const char *gm_delta_state_app(const struct gm_delta_state *state, size_t index)
{
	uint32_t bytes;
	return (const char *)gm_dict_get(state->apps, (uint32_t)index + 1, &bytes);
}

bool gm_delta_txn(const struct gm_delta_log *log, const char *app_id, int64_t *version)
{
	uint32_t code = gm_delta_text_find(log->state.apps, app_id);
	if (code != 0) *version = log->state.app_records[code - 1].version;
	return code != 0;
}

size_t gm_delta_txn_count(const struct gm_delta_log *log)
{
	return log->state.apps->count;
}

struct gm_delta_txn_action gm_delta_txn_at(const struct gm_delta_log *log, size_t index)
{
	return (struct gm_delta_txn_action){gm_delta_state_app(&log->state, index), log->state.app_records[index].version};
}

bool gm_delta_has(const struct gm_delta_log *log, const char *path)
{
	const struct gm_delta_record *record = gm_delta_state_find(&log->state, path);
	return record != NULL && record->partition != 0;
}

bool gm_delta_number(const struct gm_delta_log *log, const char *path, uint32_t *number)
{
	uint32_t code = gm_delta_text_find(log->state.paths, path);
	*number = code - 1;
	return code != 0;
}

const char *gm_delta_numbered(const struct gm_delta_log *log, uint32_t number)
{
	return gm_delta_state_path(&log->state, number);
}

bool gm_delta_knows(const struct gm_delta_log *log, const char *path)
{
	return gm_delta_state_find(&log->state, path) != NULL;
}

int64_t gm_delta_removed_retention_ms(const struct gm_delta_log *log)
{
	static const int64_t week_ms = (int64_t)7 * 24 * 3600 * 1000;
	int64_t retention;
	if (gm_delta_property_interval(&log->head, "delta.deletedFileRetentionDuration", week_ms, &retention, NULL) !=
	    GM_OK)
		retention = week_ms;
	return retention;
}

uint64_t gm_delta_file_count(const struct gm_delta_log *log)
{
	return log->state.live;
}
