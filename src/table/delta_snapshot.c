/* A snapshot: the state of the table at one version, replayed from the newest checkpoint that can be read and the
 * entries after it.
 *
 * The folder is listed, then read; meanwhile others append, write checkpoints and clean up. An entry that appears
 * between others while they are listed looks like a hole, and what is removed after it was listed cannot be read: in
 * both cases the folder is listed again. Entries that do not follow each other even so are damage. A checkpoint that
 * cannot be read is none, as long as an older one and all entries since are there: they say the same. */
#include "table/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 3 };

size_t gm_delta_line_bytes_max(size_t memory_bytes)
{
	const size_t least = (size_t)1 << 20, most = (size_t)256 << 20;
	size_t share = memory_bytes / 4;
	return share < least ? least : share > most ? most : share;
}

/* --- Replay ------------------------------------------------------------------------------------------------------- */

struct replay {
	gm_delta_action_fn *each;
	void *context;
	unsigned wanted;
	uint32_t *source;
	bool reading_checkpoint; /* when it failed */
};

/* Checkpoint and entries of a log, in order. */
static enum gm_code replay(const struct gm_delta_log *log, struct replay *to, struct gm_error *err)
{
	if (log->checkpoint >= 0) {
		to->reading_checkpoint = true;
		*to->source = 0;
		GM_TRY(gm_delta_read_checkpoint(log->table, log->checkpoint, log->checkpoint_parts, to->wanted,
		                                log->memory_bytes, to->each, to->context, err));
		to->reading_checkpoint = false;
	}
	size_t line_max = gm_delta_line_bytes_max(log->memory_bytes);
	struct gm_delta_ahead ahead = {.table = log->table, .last = log->version};
	enum gm_code rc = GM_OK;
	for (int64_t version = log->checkpoint + 1; rc == GM_OK && version <= log->version; version++) {
		*to->source = (uint32_t)(version - log->checkpoint);
		rc = gm_delta_ahead_read(&ahead, version, to->wanted, line_max, to->each, to->context, err);
	}
	gm_delta_ahead_release(&ahead);
	return rc;
}

enum gm_code gm_delta_reread(const struct gm_delta_log *log, unsigned wanted, uint32_t *source,
                             gm_delta_action_fn *each, void *context, struct gm_error *err)
{
	uint32_t unused;
	struct replay to = {.each = each, .context = context, .wanted = wanted};
	to.source = source != NULL ? source : &unused;
	enum gm_code code = replay(log, &to, err);
	if (code != GM_NOT_FOUND) return code;
	code = gm_error_set(err, GM_CHANGED,
	                    "what version %" PRId64 " of the Delta log was read from has been cleaned away", log->version);
	return gm_error_hint(err, code, "read the newest version");
}

/* --- Loading ------------------------------------------------------------------------------------------------------ */

static enum gm_code take_action(void *context, const struct gm_delta_action *action, struct gm_error *err)
{
	struct gm_delta_log *log = context;
	gm_delta_head_note(&log->head, action);
	return gm_delta_state_apply(&log->state, action, err);
}

static enum gm_code new_log(struct gm_store *table, int64_t version, unsigned wanted, size_t memory_bytes,
                            struct gm_delta_log **out, struct gm_error *err)
{
	struct gm_delta_log *log = calloc(1, sizeof *log);
	if (log == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for the Delta log");
	log->table = table;
	log->version = version;
	log->wanted = wanted;
	log->memory_bytes = memory_bytes;
	gm_delta_head_init(&log->head);
	enum gm_code code = gm_delta_state_init(&log->state, memory_bytes, err);
	if (code == GM_OK) *out = log;
	if (code != GM_OK) free(log);
	return code;
}

void gm_delta_free(struct gm_delta_log *log)
{
	if (log == NULL) return;
	gm_delta_index_free(log->index);
	gm_delta_state_release(&log->state);
	gm_delta_head_release(&log->head);
	free(log);
}

/* A file elsewhere is none of the table's for a reader of its folder, and not ours to read or to keep. */
static enum gm_code check_inside(const struct gm_delta_log *log, struct gm_error *err)
{
	for (uint32_t i = 0; i < log->state.paths->count; i++) {
		const char *path = gm_delta_state_path(&log->state, i);
		if (path[0] != '/' || log->state.records[i].partition == 0) continue;
		(void)gm_error_set(err, GM_UNSUPPORTED, "the table has a file outside its own folder: %.300s", path + 1);
		return gm_error_hint(err, GM_UNSUPPORTED, "a shallow clone cannot be used; copy its data");
	}
	return GM_OK;
}

static enum gm_code finish(struct gm_delta_log *log, struct gm_error *err)
{
	GM_TRY(gm_delta_head_read(&log->head, err));
	if ((log->wanted & GM_DELTA_WANT_FILES) == 0) return GM_OK;
	GM_TRY(check_inside(log, err));
	return gm_delta_index_new(log, &log->index, err);
}

/* From one checkpoint (NULL: from the first entry). *of_checkpoint: it is the checkpoint that cannot be read. */
static enum gm_code load_from(struct gm_store *table, const struct gm_delta_listed *checkpoint, int64_t version,
                              unsigned wanted, size_t memory_bytes, bool *of_checkpoint, struct gm_delta_log **out,
                              struct gm_error *err)
{
	struct gm_delta_log *log = NULL;
	GM_TRY(new_log(table, version, wanted, memory_bytes, &log, err));
	log->checkpoint = checkpoint != NULL ? checkpoint->version : -1;
	log->checkpoint_parts = checkpoint != NULL ? checkpoint->parts : 0;
	struct replay to = {.each = take_action, .context = log, .wanted = wanted, .source = &log->state.source};
	enum gm_code code = replay(log, &to, err);
	*of_checkpoint = to.reading_checkpoint;
	if (code == GM_OK) code = gm_delta_blame(finish(log, err), version, 0, err);
	if (code != GM_OK)
		gm_delta_free(log);
	else
		*out = log;
	return code;
}

static enum gm_code explain_hole(const struct gm_delta_listing *listing, int64_t version, struct gm_error *err)
{
	for (size_t i = listing->count; i > 0; i--) {
		const struct gm_delta_listed *file = &listing->files[i - 1];
		if (file->kind != GM_DELTA_LISTED_UUID || file->version > version) continue;
		GM_FAIL(err, GM_UNSUPPORTED,
		        "the Delta log needs its checkpoint of version %" PRId64
		        ", which is one of the second kind (v2Checkpoint), which this version cannot read",
		        file->version);
	}
	/* An entry may have been put below a checkpoint by somebody who slept through the cleaning: it is no history. */
	int64_t oldest = gm_delta_listing_oldest(listing);
	const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(listing, INT64_MAX);
	if ((oldest >= 0 && version < oldest) || (checkpoint != NULL && version < checkpoint->version))
		GM_FAIL(err, GM_CHANGED, "version %" PRId64 " can no longer be read: its log entries were cleaned away",
		        version);
	(void)gm_error_set(err, GM_CORRUPT,
	                   "the Delta log has a hole: of the entries up to version %" PRId64 " the last %" PRId64
	                   " are there, but no checkpoint that they build on",
	                   version, oldest >= 0 ? version - oldest + 1 : 0);
	(void)gm_error_hint(err, GM_CORRUPT, "restore the missing entries from a copy of the table");
	return gm_error_object(err, GM_CORRUPT, "_delta_log", strlen("_delta_log"));
}

/* What was read is history only if what it builds on has not been cleaned away meanwhile. */
static enum gm_code check_base(const struct gm_delta_listing *listing, const struct gm_delta_listed *checkpoint,
                               struct gm_delta_log **log, struct gm_error *err)
{
	bool there = false;
	const struct gm_delta_listed *base = checkpoint != NULL ? checkpoint : &listing->files[listing->entries[0]];
	enum gm_code code = gm_delta_still_there((*log)->table, base, &there, err);
	if (code == GM_OK && !there)
		code = gm_error_set(err, GM_CHANGED, "the Delta log was cleaned while version %" PRId64 " was read",
		                    (*log)->version);
	if (code != GM_OK) {
		gm_delta_free(*log);
		*log = NULL;
	}
	return code;
}

enum gm_code gm_delta_load(struct gm_store *table, const struct gm_delta_listing *listing, int64_t version,
                           unsigned wanted, size_t memory_bytes, struct gm_delta_log **out, struct gm_error *err)
{
	struct gm_error first; /* why the newest checkpoint could not be read */
	enum gm_code first_code = GM_OK;
	int64_t at_most = version;
	for (;;) {
		const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(listing, at_most);
		int64_t base = checkpoint != NULL ? checkpoint->version : -1;
		bool of_checkpoint = false;
		if (version - base > UINT32_MAX - 1) GM_FAIL(err, GM_UNSUPPORTED, "the Delta log has too many entries");
		if (!gm_delta_listing_unbroken(listing, base + 1, version)) break;
		enum gm_code code = load_from(table, checkpoint, version, wanted, memory_bytes, &of_checkpoint, out, err);
		if (code == GM_OK) return check_base(listing, checkpoint, out, err);
		if (!of_checkpoint || (code != GM_CORRUPT && code != GM_UNSUPPORTED)) return code;
		if (first_code == GM_OK) {
			first_code = code;
			if (err != NULL) first = *err;
		}
		at_most = base - 1;
	}
	if (first_code == GM_OK) return explain_hole(listing, version, err);
	if (err != NULL) *err = first;
	if (first_code != GM_CORRUPT) return first_code;
	return gm_error_hint(err, first_code, "restore it, or the log's entries before it, from a copy of the table");
}

static enum gm_code choose_version(const struct gm_delta_listing *listing, int64_t wanted, int64_t *version,
                                   struct gm_error *err)
{
	int64_t newest = gm_delta_listing_newest(listing);
	*version = wanted < 0 ? newest : wanted;
	if (newest < 0) GM_FAIL(err, GM_NOT_FOUND, "there is no Delta log");
	if (wanted <= newest) return GM_OK;
	GM_FAIL(err, GM_NOT_FOUND, "the Delta log has no version %" PRId64 ": the newest is %" PRId64, wanted, newest);
}

/* By a listing of what is near the version that is wanted, or that the log is known to have had. Any failure may come
 * from what is not in it. */
static enum gm_code open_near(struct gm_store *table, int64_t near, int64_t version, size_t memory_bytes,
                              struct gm_delta_log **out, struct gm_error *err)
{
	struct gm_delta_listing listing;
	int64_t chosen;
	GM_TRY(gm_delta_list_near(table, near, &listing, err));
	enum gm_code code = choose_version(&listing, version, &chosen, err);
	if (code == GM_OK) code = gm_delta_load(table, &listing, chosen, GM_DELTA_WANT_ALL, memory_bytes, out, err);
	gm_delta_listing_release(&listing);
	return code;
}

enum gm_code gm_delta_open_since(struct gm_store *table, int64_t had, size_t memory_bytes, struct gm_delta_log **out,
                                 struct gm_error *err)
{
	*out = NULL;
	enum gm_code code = had > 0 ? open_near(table, had, GM_DELTA_NEWEST, memory_bytes, out, err) : GM_NOT_FOUND;
	if (code == GM_OK || code == GM_NOMEM) return code;
	return gm_delta_open(table, GM_DELTA_NEWEST, memory_bytes, out, err);
}

enum gm_code gm_delta_open(struct gm_store *table, int64_t version, size_t memory_bytes, struct gm_delta_log **out,
                           struct gm_error *err)
{
	enum gm_code code = GM_NOT_FOUND;
	*out = NULL;
	for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
		struct gm_delta_listing listing;
		int64_t chosen;
		GM_TRY(gm_delta_list(table, &listing, err));
		enum gm_code found = choose_version(&listing, version, &chosen, err);
		if (found == GM_OK) code = gm_delta_load(table, &listing, chosen, GM_DELTA_WANT_ALL, memory_bytes, out, err);
		gm_delta_listing_release(&listing);
		GM_TRY(found);
		/* What was listed is gone, or an entry was put while the folder was listed: look again. */
		if (code != GM_NOT_FOUND && code != GM_CHANGED && code != GM_CORRUPT) return code;
	}
	if (code == GM_NOT_FOUND && err != NULL) err->code = GM_CHANGED;
	return code == GM_NOT_FOUND ? GM_CHANGED : code;
}

enum gm_code gm_delta_is_history(struct gm_store *table, int64_t version, bool *certain, struct gm_error *err)
{
	struct gm_delta_listing listing;
	GM_TRY(gm_delta_list_near(table, version, &listing, err));
	const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(&listing, INT64_MAX);
	if (checkpoint == NULL && listing.from > 0) { /* an older one tells */
		gm_delta_listing_release(&listing);
		GM_TRY(gm_delta_list(table, &listing, err));
		checkpoint = gm_delta_listing_checkpoint(&listing, INT64_MAX);
	}
	int64_t base = checkpoint != NULL ? checkpoint->version : -1;
	*certain = base < version && gm_delta_listing_unbroken(&listing, base + 1, gm_delta_listing_newest(&listing));
	gm_delta_listing_release(&listing);
	return GM_OK;
}

int64_t gm_delta_version(const struct gm_delta_log *log)
{
	return log->version;
}

const struct gm_delta_metadata *gm_delta_metadata(const struct gm_delta_log *log)
{
	return &log->head.public;
}

/* --- All files ---------------------------------------------------------------------------------------------------- */

struct each_file {
	const struct gm_delta_log *log;
	uint32_t source;
	uint64_t given;
	gm_delta_file_fn *each;
	void *context;
	struct gm_arena arena;
};

static enum gm_code give_file(void *context, const struct gm_delta_action *action, struct gm_error *err)
{
	struct each_file *self = context;
	const struct gm_delta_file_action *add = &action->file;
	if (action->kind != GM_DELTA_ADD) return GM_OK;
	const struct gm_delta_record *record = gm_delta_state_find(&self->log->state, add->path);
	if (record == NULL || record->partition == 0 || record->source != self->source) return GM_OK;
	struct gm_delta_file file = {.path = add->path,
	                             .partition = gm_delta_index_hive(self->log->index, record),
	                             .bytes = add->bytes,
	                             .mtime_ms = add->time_ms,
	                             .stats = add->stats,
	                             .data_change = add->data_change};
	gm_arena_reset(&self->arena);
	GM_TRY(gm_delta_pairs_text(&add->tags, &self->arena, &file.tags, err));
	self->given++;
	return self->each(self->context, &file, err);
}

enum gm_code gm_delta_each_file(const struct gm_delta_log *log, gm_delta_file_fn *each, void *context,
                                struct gm_error *err)
{
	struct each_file self = {.log = log, .each = each, .context = context};
	gm_arena_init(&self.arena, 4096);
	unsigned wanted = 1 << GM_DELTA_ADD | GM_DELTA_WANT_DETAILS;
	enum gm_code code = gm_delta_reread(log, wanted, &self.source, give_file, &self, err);
	gm_arena_release(&self.arena);
	if (code == GM_OK && self.given != log->state.live)
		code = gm_error_set(err, GM_CHANGED,
		                    "entries of the Delta log were replaced since version %" PRId64 " was read", log->version);
	return code;
}
