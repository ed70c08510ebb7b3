/* Whether the files of the log agree with each other. What is read of a log is the newest checkpoint and what came
 * after it; here every other way to the same state is gone, and the states are compared. */
#include "table/delta_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LISTINGS = 3 }; /* a hole may be an entry that was put while the folder was listed */

struct proof {
	struct gm_store *table;
	size_t memory_bytes;
	gm_delta_fault_fn *report;
	void *context;
	struct gm_delta_proof *result;
};

/* --- Holes -------------------------------------------------------------------------------------------------------- */

static bool has_hole(const struct gm_delta_listing *listing)
{
	if (listing->entry_count == 0) return false;
	int64_t first = gm_delta_listing_entry(listing, 0);
	return !gm_delta_listing_unbroken(listing, first, gm_delta_listing_newest(listing));
}

static enum gm_code list(struct gm_store *table, struct gm_delta_listing *listing, struct gm_error *err)
{
	GM_TRY(gm_delta_list(table, listing, err));
	for (int i = 1; i < LISTINGS && has_hole(listing); i++) {
		gm_delta_listing_release(listing);
		GM_TRY(gm_delta_list(table, listing, err));
	}
	return GM_OK;
}

static enum gm_code report_hole(const struct proof *proof, int64_t first, int64_t last, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES], text[128];
	gm_delta_entry_key(first, key);
	if (first == last)
		(void)snprintf(text, sizeof text, "the entry of version %" PRId64 " is missing between others", first);
	else
		(void)snprintf(text, sizeof text,
		               "the entries of versions %" PRId64 " to %" PRId64 " are missing between others", first, last);
	return proof->report(proof->context, GM_DELTA_HOLE, key, text, err);
}

/* The newest version must have an entry, too, also when it has a checkpoint. */
static enum gm_code find_holes(const struct proof *proof, const struct gm_delta_listing *listing, struct gm_error *err)
{
	int64_t newest = gm_delta_listing_newest(listing), next = -1;
	for (size_t i = 0; i < listing->entry_count; i++) {
		int64_t version = gm_delta_listing_entry(listing, i);
		if (next >= 0 && version != next) GM_TRY(report_hole(proof, next, version - 1, err));
		next = version + 1;
	}
	proof->result->entries = listing->entry_count;
	if (next < 0 && newest >= 0) next = newest;
	return next >= 0 && next <= newest ? report_hole(proof, next, newest, err) : GM_OK;
}

/* Can the state at a version be made of what is listed? */
static bool is_known(const struct gm_delta_listing *listing, int64_t version)
{
	const struct gm_delta_listed *base = gm_delta_listing_checkpoint(listing, version);
	return gm_delta_listing_unbroken(listing, base != NULL ? base->version + 1 : 0, version);
}

static int64_t find_first(const struct gm_delta_listing *listing)
{
	int64_t oldest = gm_delta_listing_oldest(listing);
	if (oldest < 0 || is_known(listing, oldest)) return oldest;
	for (size_t i = 0; i < listing->count; i++)
		if (listing->files[i].kind == GM_DELTA_LISTED_CHECKPOINT && listing->files[i].version >= oldest)
			return listing->files[i].version;
	return -1;
}

/* --- Comparing two states ----------------------------------------------------------------------------------------- */

enum { DIFFERENCE_BYTES = 400 };

static const char *partition_of(const struct gm_delta_state *state, const struct gm_delta_record *record)
{
	uint32_t unused;
	return (const char *)gm_dict_get(state->partitions, record->partition, &unused);
}

/* Files that `a` has and `b` has not, or has otherwise; text is filled with the first. */
static uint64_t compare_files(const struct gm_delta_state *a, const struct gm_delta_state *b, const char *how,
                              char text[DIFFERENCE_BYTES])
{
	uint64_t found = 0;
	for (uint32_t i = 0; i < a->paths->count; i++) {
		const struct gm_delta_record *mine = &a->records[i], *other;
		if (mine->partition == 0) continue;
		const char *path = gm_delta_state_path(a, i);
		other = gm_delta_state_find(b, path);
		if (other != NULL && other->partition != 0 && other->bytes == mine->bytes &&
		    strcmp(partition_of(a, mine), partition_of(b, other)) == 0)
			continue;
		if (found++ == 0) (void)snprintf(text, DIFFERENCE_BYTES, how, path);
	}
	return found;
}

static bool compare_apps(const struct gm_delta_state *checkpoint, const struct gm_delta_state *entries,
                         char text[DIFFERENCE_BYTES])
{
	for (uint32_t i = 0; i < entries->apps->count; i++) {
		const char *id = gm_delta_state_app(entries, i);
		uint32_t code = gm_delta_text_find(checkpoint->apps, id);
		if (code != 0 && checkpoint->app_records[code - 1].version == entries->app_records[i].version) continue;
		(void)snprintf(text, DIFFERENCE_BYTES,
		               "it has not the transaction %" PRId64 " of application %.100s that the entries have",
		               entries->app_records[i].version, id);
		return false;
	}
	return true;
}

static bool same_properties(const struct gm_delta_pairs *a, const struct gm_delta_pairs *b)
{
	if (a->count != b->count) return false;
	for (size_t i = 0; i < a->count; i++) {
		size_t k = 0;
		while (k < b->count && strcmp(a->pair[i].name, b->pair[k].name) != 0) k++;
		if (k == b->count || a->pair[i].bytes != b->pair[k].bytes) return false;
		if (a->pair[i].bytes > 0 && memcmp(a->pair[i].value, b->pair[k].value, a->pair[i].bytes) != 0) return false;
	}
	return true;
}

static bool same_head(const struct gm_delta_head *a, const struct gm_delta_head *b)
{
	const struct gm_delta_metadata *x = &a->public, *y = &b->public;
	if (strcmp(x->id, y->id) != 0 || strcmp(x->schema, y->schema) != 0 || x->partition_count != y->partition_count)
		return false;
	for (size_t i = 0; i < x->partition_count; i++)
		if (strcmp(x->partition_columns[i], y->partition_columns[i]) != 0) return false;
	return a->reader == b->reader && a->writer == b->writer && same_properties(&a->properties, &b->properties);
}

/* Says in `text` how a checkpoint differs from what the entries say; false if it does. */
static bool compare(const struct gm_delta_log *checkpoint, const struct gm_delta_log *entries,
                    char text[DIFFERENCE_BYTES])
{
	const struct gm_delta_state *a = &checkpoint->state, *b = &entries->state;
	if (compare_files(b, a, "it does not have the file %.250s as the entries have it", text) > 0) return false;
	if (compare_files(a, b, "it has the file %.250s, which the entries do not have", text) > 0) return false;
	if (!compare_apps(a, b, text)) return false;
	if (same_head(&checkpoint->head, &entries->head)) return true;
	(void)snprintf(text, DIFFERENCE_BYTES, "it has other columns or properties of the table than the entries");
	return false;
}

/* --- Checkpoints -------------------------------------------------------------------------------------------------- */

/* Reads a checkpoint for itself. NULL in *out: it is gone, or has been reported. */
static enum gm_code load_alone(const struct proof *proof, const struct gm_delta_listed *checkpoint,
                               struct gm_delta_log **out, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES];
	struct gm_delta_listed file = *checkpoint;
	size_t none = 0;
	struct gm_delta_listing alone = {.files = &file, .count = 1, .entries = &none};
	*out = NULL;
	enum gm_code rc =
	    gm_delta_load(proof->table, &alone, checkpoint->version, GM_DELTA_WANT_ALL, proof->memory_bytes / 2, out, err);
	if (rc == GM_NOT_FOUND) return GM_OK; /* cleaned away since it was listed */
	if (rc != GM_CORRUPT && rc != GM_UNSUPPORTED) return rc;
	char text[sizeof err->message];
	memcpy(text, err->message, sizeof text);
	gm_delta_checkpoint_key(checkpoint->version, 1, checkpoint->parts, key);
	return proof->report(proof->context, GM_DELTA_CHECKPOINT_DAMAGED, key, text, err);
}

/* The state that the checkpoint should have, from those before it and the entries since. NULL in *out: what it would
 * take is no longer there, or is damaged, which reading the entries shows. */
static enum gm_code load_around(const struct proof *proof, const struct gm_delta_listing *before, int64_t version,
                                struct gm_delta_log **out, struct gm_error *err)
{
	*out = NULL;
	if (!is_known(before, version)) return GM_OK;
	enum gm_code rc =
	    gm_delta_load(proof->table, before, version, GM_DELTA_WANT_ALL, proof->memory_bytes / 2, out, err);
	return rc == GM_NOT_FOUND || rc == GM_CHANGED || rc == GM_CORRUPT || rc == GM_UNSUPPORTED ? GM_OK : rc;
}

/* Against the checkpoint before it and the entries since; where they differ, against an older one and more entries, to
 * the first: entries decide. *agrees stays true if there is nothing to compare with; else `text` has the first
 * difference. */
static enum gm_code agrees(const struct proof *proof, struct gm_delta_listing before, const struct gm_delta_log *alone,
                           bool *agrees, char text[DIFFERENCE_BYTES], struct gm_error *err)
{
	char further[DIFFERENCE_BYTES];
	for (int tried = 0;; tried++) {
		struct gm_delta_log *around;
		GM_TRY(load_around(proof, &before, alone->version, &around, err));
		if (around == NULL) return GM_OK;
		if (tried == 0) proof->result->compared++;
		*agrees = compare(alone, around, tried == 0 ? text : further);
		int64_t base = around->checkpoint;
		gm_delta_free(around);
		if (*agrees || base < 0) return GM_OK;
		while (before.count > 0 && before.files[before.count - 1].version >= base) before.count--;
	}
}

static enum gm_code prove_checkpoint(const struct proof *proof, const struct gm_delta_listing *before,
                                     const struct gm_delta_listed *checkpoint, struct gm_error *err)
{
	char key[GM_DELTA_KEY_BYTES], text[DIFFERENCE_BYTES];
	struct gm_delta_log *alone;
	bool same = true;
	GM_TRY(load_alone(proof, checkpoint, &alone, err));
	if (alone == NULL) return GM_OK;
	proof->result->checkpoints++;
	enum gm_code rc = agrees(proof, *before, alone, &same, text, err);
	gm_delta_free(alone);
	GM_TRY(rc);
	if (same) return GM_OK;
	gm_delta_checkpoint_key(checkpoint->version, 1, checkpoint->parts, key);
	return proof->report(proof->context, GM_DELTA_CHECKPOINT_WRONG, key, text, err);
}

/* Each checkpoint against those of older versions and the entries since. Files are in the order of their versions, and
 * entries are found apart from them, so leaving out the end of the list hides checkpoints and no entry. */
static enum gm_code prove_checkpoints(const struct proof *proof, const struct gm_delta_listing *listing, bool all,
                                      struct gm_error *err)
{
	int64_t newest = gm_delta_listing_newest(listing);
	const struct gm_delta_listed *last = gm_delta_listing_checkpoint(listing, newest);
	struct gm_delta_listing before = *listing;
	before.count = 0;
	for (size_t i = 0; i < listing->count; i++) {
		const struct gm_delta_listed *file = &listing->files[i];
		while (listing->files[before.count].version < file->version) before.count++;
		if (file->kind != GM_DELTA_LISTED_CHECKPOINT || (!all && file->version != last->version)) continue;
		GM_TRY(prove_checkpoint(proof, &before, file, err));
	}
	return GM_OK;
}

enum gm_code gm_delta_prove(struct gm_store *table, bool all, size_t memory_bytes, gm_delta_fault_fn *report,
                            void *context, struct gm_delta_proof *proof, struct gm_error *err)
{
	struct gm_delta_listing listing;
	struct proof self = {table, memory_bytes, report, context, proof};
	*proof = (struct gm_delta_proof){.first = -1};
	GM_TRY(list(table, &listing, err));
	proof->first = find_first(&listing);
	enum gm_code rc = find_holes(&self, &listing, err);
	if (rc == GM_OK) rc = prove_checkpoints(&self, &listing, all, err);
	gm_delta_listing_release(&listing);
	return rc;
}
