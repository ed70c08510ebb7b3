/* Writing a checkpoint, and _last_checkpoint.
 *
 * The file is staged and published, so that it is whole or not there; whoever is second finds it there. What goes into
 * it is read from the log a second time: of each file the action that counts, removes until they have expired, every
 * application's transaction, and the head.
 *
 * _last_checkpoint is overwritten, after a look at what it says: it moves to newer checkpoints only. Two who do so at
 * once may leave the older one there, which costs a reader time and nothing else: all of the log is found by
 * listing. */
#include "table/delta_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAST_CHECKPOINT GM_DELTA_FOLDER "_last_checkpoint"

struct writing {
	const struct gm_delta_log *log;
	struct gm_delta_rows *rows;
	uint32_t source;
	int64_t expired_ms; /* removes up to then are left out */
	uint64_t adds;
	struct gm_store *store;
	struct gm_staged *staged;
};

static enum gm_code append(void *context, const void *data, size_t bytes, struct gm_error *err)
{
	struct writing *writing = context;
	return gm_store_stage_append(writing->store, writing->staged, data, bytes, err);
}

/* An action counts if no later one speaks of its file. */
static enum gm_code take_action(void *context, const struct gm_delta_action *action, struct gm_error *err)
{
	struct writing *writing = context;
	if (action->kind != GM_DELTA_ADD && action->kind != GM_DELTA_REMOVE) return GM_OK;
	const struct gm_delta_file_action *file = &action->file;
	const struct gm_delta_record *record = gm_delta_state_find(&writing->log->state, file->path);
	if (record == NULL || record->source != writing->source) return GM_OK;
	if (action->kind == GM_DELTA_ADD) {
		writing->adds++;
		return gm_delta_rows_add(writing->rows, file, err);
	}
	return file->time_ms > writing->expired_ms ? gm_delta_rows_remove(writing->rows, file, err) : GM_OK;
}

static enum gm_code write_rows(struct writing *writing, uint64_t *count, uint64_t *bytes, struct gm_error *err)
{
	const struct gm_delta_state *state = &writing->log->state;
	GM_TRY(gm_delta_rows_new(append, writing, &writing->rows, err));
	GM_TRY(gm_delta_rows_head(writing->rows, &writing->log->head, err));
	for (uint32_t i = 0; i < state->apps->count; i++) {
		const struct gm_delta_app_record *record = &state->app_records[i];
		struct gm_delta_app app = {gm_delta_state_app(state, i), record->version, record->updated_ms,
		                           record->has_updated};
		GM_TRY(gm_delta_rows_app(writing->rows, &app, err));
	}
	GM_TRY(gm_delta_reread(writing->log, GM_DELTA_WANT_FILES | GM_DELTA_WANT_DETAILS, &writing->source, take_action,
	                       writing, err));
	if (writing->adds != state->live)
		GM_FAIL(err, GM_CHANGED, "entries of the Delta log were replaced since it was read");
	return gm_delta_rows_finish(writing->rows, count, bytes, err);
}

/* EXISTS: somebody else has written it. */
static enum gm_code write_file(const struct gm_delta_log *log, const char *key, int64_t expired_ms, uint64_t *count,
                               uint64_t *bytes, struct gm_error *err)
{
	char token[GM_TOKEN_BYTES];
	struct writing writing = {.log = log, .store = log->table, .expired_ms = expired_ms};
	GM_TRY(gm_store_stage_open(log->table, key, GM_DELTA_STAGING, &writing.staged, err));
	enum gm_code code = write_rows(&writing, count, bytes, err);
	gm_delta_rows_free(writing.rows);
	if (code != GM_OK) {
		gm_store_stage_abandon(log->table, writing.staged);
		return code;
	}
	GM_TRY(gm_store_stage_finish(log->table, writing.staged, token, err));
	code = gm_store_settle(log->table, err);
	if (code == GM_OK) code = gm_store_publish(log->table, token, key, err);
	enum gm_code dropped = gm_store_discard(log->table, token, code == GM_OK ? err : NULL);
	return code == GM_OK ? dropped : code;
}

/* --- _last_checkpoint --------------------------------------------------------------------------------------------- */

/* Is there a checkpoint of that version? *there. */
static enum gm_code exists(struct gm_store *table, int64_t version, int64_t parts, bool *there, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	uint32_t count = parts > 0 && parts <= UINT32_MAX ? (uint32_t)parts : 0;
	gm_delta_checkpoint_key(version, count > 0, count, key);
	return gm_store_has(table, key, there, err);
}

/* Does _last_checkpoint point to this version, or a newer one that is there? What it says may be wrong or no JSON. */
static enum gm_code is_known(struct gm_store *table, int64_t version, bool *known, struct gm_error *err)
{
	struct gm_buf text;
	json_t *json = NULL;
	*known = false;
	gm_buf_init(&text, (size_t)16 << 20);
	enum gm_code code = gm_store_get(table, LAST_CHECKPOINT, &text, err);
	if (code == GM_OK) code = gm_delta_json((const char *)text.data, text.len, 0, &json, err);
	gm_buf_release(&text);
	if (code != GM_OK && code != GM_NOT_FOUND && code != GM_VALUE && code != GM_CHANGED && code != GM_CORRUPT)
		return code;
	const json_t *its = json_object_get(json, "version");
	code = GM_OK;
	if (json_is_integer(its) && json_integer_value(its) >= version)
		code = exists(table, json_integer_value(its), json_integer_value(json_object_get(json, "parts")), known, err);
	json_decref(json);
	return code;
}

static enum gm_code point_to(struct gm_store *table, int64_t version, uint64_t count, uint64_t bytes, uint64_t adds,
                             struct gm_error *err)
{
	char text[200];
	int n = snprintf(text, sizeof text,
	                 "{\"numOfAddFiles\":%" PRIu64 ",\"size\":%" PRIu64 ",\"sizeInBytes\":%" PRIu64
	                 ",\"version\":%" PRId64 "}",
	                 adds, count, bytes, version);
	return gm_store_put(table, LAST_CHECKPOINT, text, (size_t)n, false, err);
}

enum gm_code gm_delta_checkpoint(const struct gm_delta_log *log, int64_t now_ms, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	uint64_t count = 0, bytes = 0, adds = log->state.live;
	int64_t expired_ms;
	bool there, known;
	if (__builtin_sub_overflow(now_ms, gm_delta_removed_retention_ms(log), &expired_ms)) expired_ms = INT64_MIN;
	gm_delta_checkpoint_key(log->version, 0, 0, key);
	GM_TRY(exists(log->table, log->version, 0, &there, err));
	if (!there) {
		enum gm_code code = write_file(log, key, expired_ms, &count, &bytes, err);
		there = code == GM_EXISTS;
		if (!there) GM_TRY(code);
	}
	GM_TRY(is_known(log->table, log->version, &known, err));
	if (known) return GM_OK;
	if (there) GM_TRY(gm_delta_checkpoint_size(log->table, log->version, log->memory_bytes, &count, &bytes, err));
	return point_to(log->table, log->version, count, bytes, adds, err);
}
