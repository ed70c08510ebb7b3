#include "run/tip.h"

#include <inttypes.h>
#include <stdlib.h>

void gm_tip_init(struct gm_tip *tip, struct gm_store *table, const struct gm_delta_log *log, size_t memory_bytes)
{
	*tip = (struct gm_tip){
	    .table = table, .memory_bytes = memory_bytes, .log = log, .version = log != NULL ? gm_delta_version(log) : -1};
	gm_arena_init(&tip->arena, 4096);
}

void gm_tip_release(struct gm_tip *tip)
{
	free(tip->txns);
	gm_delta_free(tip->own);
	gm_arena_release(&tip->arena);
	*tip = (struct gm_tip){0};
}

static struct gm_tip_txn *find(const struct gm_tip *tip, const char *app_id)
{
	for (size_t i = 0; i < tip->txn_count; i++)
		if (strcmp(tip->txns[i].app_id, app_id) == 0) return &tip->txns[i];
	return NULL;
}

static enum gm_code note_txn(struct gm_tip *tip, const struct gm_delta_txn_action *action, struct gm_error *err)
{
	struct gm_tip_txn *known = find(tip, action->app_id);
	if (known != NULL) {
		known->version = action->version;
		return GM_OK;
	}
	struct gm_tip_txn *grown = gm_grow(tip->txns, tip->txn_count, &tip->txn_room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the log's transactions");
	tip->txns = grown;
	const char *app_id = gm_arena_strndup(&tip->arena, action->app_id, strlen(action->app_id));
	if (app_id == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the log's transactions");
	tip->txns[tip->txn_count++] = (struct gm_tip_txn){app_id, action->version};
	return GM_OK;
}

struct advance {
	struct gm_tip *tip;
	gm_delta_entry_fn *each;
	void *context;
};

static enum gm_code note_entry(void *context, const struct gm_delta_entry *entry, struct gm_error *err)
{
	struct advance *advance = context;
	/* Entries seen before are read again for what they hold; their transactions may be old by now. */
	if (entry->version > advance->tip->version) {
		for (size_t i = 0; i < entry->txn_count; i++) GM_TRY(note_txn(advance->tip, &entry->txns[i], err));
		advance->tip->version = entry->version;
	}
	return advance->each != NULL ? advance->each(advance->context, entry, err) : GM_OK;
}

enum gm_code gm_tip_read(struct gm_tip *tip, int64_t first, gm_delta_entry_fn *each, void *context,
                         struct gm_error *err)
{
	struct advance advance = {tip, each, context};
	enum gm_code rc = gm_delta_entries(tip->table, first, note_entry, &advance, err);
	if (rc == GM_NOT_FOUND || rc == GM_CHANGED) tip->astray = true;
	if (rc != GM_NOT_FOUND) return rc;
	GM_FAIL(err, GM_CHANGED, "the log's entries from version %" PRId64 " on are gone", first);
}

static enum gm_code read_anew(struct gm_tip *tip, struct gm_error *err)
{
	struct gm_delta_log *log;
	GM_TRY(gm_delta_open_since(tip->table, tip->version, tip->memory_bytes, &log, err));
	if (gm_delta_version(log) < tip->version) {
		gm_delta_free(log);
		GM_FAIL(err, GM_CORRUPT, "the log lacks version %" PRId64 ", which it had", tip->version);
	}
	gm_delta_free(tip->own);
	tip->log = tip->own = log;
	tip->version = gm_delta_version(log);
	tip->txn_count = 0;
	tip->astray = false;
	return GM_OK;
}

enum gm_code gm_tip_advance(struct gm_tip *tip, struct gm_error *err)
{
	if (tip->astray) return read_anew(tip, err);
	enum gm_code rc = gm_tip_read(tip, tip->version + 1, NULL, NULL, err);
	return rc == GM_CHANGED ? read_anew(tip, err) : rc;
}

uint64_t gm_tip_txn(const struct gm_tip *tip, const char *app_id)
{
	int64_t version = 0;
	const struct gm_tip_txn *newer = find(tip, app_id);
	if (newer != NULL)
		version = newer->version;
	else if (tip->log == NULL || !gm_delta_txn(tip->log, app_id, &version))
		return 0;
	return version > 0 ? (uint64_t)version : 0;
}

uint64_t gm_tip_head(const struct gm_tip *tip, const char *job_id)
{
	char app[GM_APP_BYTES];
	gm_app_id(app, job_id);
	return gm_tip_txn(tip, app);
}
