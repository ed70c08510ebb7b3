/* Cleaning: entries and checkpoints that are older than the table's retention are removed.
 *
 * The newest entry that is as old, with all before it, is where history may be cut; the newest checkpoint up to there
 * is kept, with its entry and everything after it, and everything before it is removed. The age of an entry is that of
 * its file in the store: the protocol has it so, and time travel by time follows it. (The writers' own clocks, which
 * commitInfo tells, may be anything; a table that is copied becomes young, and keeps more.) Since those times need not
 * ascend, an entry counts as old only if all before it are.
 *
 * Before anything is removed the checkpoint that will bear the history is read: whatever it is that cannot be read
 * must not become the only one. Files go in the order of their versions, so that who dies here leaves a history that
 * begins later, never one with a hole. */
#include "table/delta_internal.h"

#include <string.h>

static const int64_t day_ms = INT64_C(86400000);
enum {
	RETENTION_DAYS = 30, /* by default */
	RETENTION_DAYS_LEAST = 7,
	STAGED_DAYS = 1, /* what a dead writer of a checkpoint left */
	SWEEPS = 100,
};

/* The newest version that may be the first; -1: none. What lies below a hole is no history: a commit of someone who
 * slept while his version was cleaned away. */
static int64_t cut_version(const struct gm_delta_listing *listing, int64_t cut_us, int64_t at_most)
{
	int64_t version = -1, oldest = gm_delta_listing_oldest(listing);
	for (size_t i = 0; i < listing->entry_count; i++) {
		const struct gm_delta_listed *entry = &listing->files[listing->entries[i]];
		if (entry->version < oldest) continue;
		if (entry->mtime_us > cut_us || entry->version > at_most) break;
		version = entry->version;
	}
	return version;
}

static enum gm_code remove_file(struct gm_store *table, const struct gm_delta_listed *file, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	gm_delta_listed_key(file, key);
	return gm_store_remove(table, key, err);
}

/* Everything before the checkpoint; helps that begin at or before it. */
static enum gm_code remove_before(struct gm_store *table, const struct gm_delta_listing *listing, int64_t first,
                                  struct gm_error *err)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct gm_delta_listed *file = &listing->files[i];
		if (file->kind == GM_DELTA_LISTED_UUID) continue;
		bool compacted = file->kind == GM_DELTA_LISTED_COMPACTED;
		if (file->version < first || (compacted && file->version == first)) GM_TRY(remove_file(table, file, err));
	}
	return GM_OK;
}

static enum gm_code nothing(void *context, const struct gm_delta_action *action, struct gm_error *err)
{
	(void)context, (void)action, (void)err;
	return GM_OK;
}

static enum gm_code clean_log(const struct gm_delta_log *log, int64_t cut_us, struct gm_error *err)
{
	struct gm_delta_listing listing;
	GM_TRY(gm_delta_list(log->table, &listing, err));
	enum gm_code code = GM_OK;
	int64_t cut = cut_version(&listing, cut_us, log->version);
	const struct gm_delta_listed *checkpoint = gm_delta_listing_checkpoint(&listing, cut);
	if (cut >= 0 && checkpoint != NULL && checkpoint->version > listing.files[0].version &&
	    gm_delta_listing_unbroken(&listing, checkpoint->version + 1, log->version)) {
		code =
		    gm_delta_read_checkpoint(log->table, checkpoint->version, checkpoint->parts,
		                             GM_DELTA_WANT_ALL | GM_DELTA_WANT_DETAILS, log->memory_bytes, nothing, NULL, err);
		if (code == GM_OK) code = remove_before(log->table, &listing, checkpoint->version, err);
	}
	gm_delta_listing_release(&listing);
	return code;
}

/* --- What writers of checkpoints left ----------------------------------------------------------------------------- */

struct leftovers {
	int64_t before_us;
	char token[GM_KEY_MAX_BYTES + 1];
};

static enum gm_code note_leftover(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct leftovers *leftovers = context;
	(void)err;
	if (info->mtime_us <= leftovers->before_us)
		(void)snprintf(leftovers->token, sizeof leftovers->token, "%s", info->key);
	return GM_OK;
}

/* One at a time: there is seldom any. Not for ever: some other's file may come back. */
static enum gm_code sweep(struct gm_store *table, int64_t before_us, struct gm_error *err)
{
	struct leftovers leftovers = {.before_us = before_us};
	for (int i = 0; i < SWEEPS; i++) {
		leftovers.token[0] = '\0';
		GM_TRY(gm_store_list(table, GM_DELTA_STAGING, note_leftover, &leftovers, err));
		if (leftovers.token[0] == '\0') return GM_OK;
		GM_TRY(gm_store_remove(table, leftovers.token, err));
	}
	return GM_OK;
}

/* now - days, in microseconds, without overflow. */
static int64_t before(int64_t now_ms, int64_t ms)
{
	int64_t at;
	if (__builtin_sub_overflow(now_ms, ms, &at) || __builtin_mul_overflow(at, 1000, &at)) return INT64_MIN;
	return at;
}

enum gm_code gm_delta_clean(const struct gm_delta_log *log, int64_t now_ms, struct gm_error *err)
{
	int64_t keep_ms;
	GM_TRY(sweep(log->table, before(now_ms, STAGED_DAYS * day_ms), err));
	if (!gm_delta_property_true(&log->head, "delta.enableExpiredLogCleanup", true)) return GM_OK;
	GM_TRY(
	    gm_delta_property_interval(&log->head, "delta.logRetentionDuration", RETENTION_DAYS * day_ms, &keep_ms, err));
	if (keep_ms < RETENTION_DAYS_LEAST * day_ms) keep_ms = RETENTION_DAYS_LEAST * day_ms;
	return clean_log(log, before(now_ms, keep_ms), err);
}
