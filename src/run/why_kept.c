/* why_kept.c - what committed runs kept of the records they dropped: the lists of duplicates, and the rejected ones. */
#include "run/quarantine_files.h"
#include "run/replay.h"
#include "run/why_internal.h"
#include "table/duplicates.h"

#include <stdlib.h>

enum { READ_BYTES = 64 * 1024 };

struct kept {
	struct gm_why *why;
	struct gm_why_scan *scan;
	struct gm_plan *plan; /* of the file in hand; NULL: none was needed yet */
	uint64_t run, unit;
	struct gm_hash128 keys[GM_WHY_ROWS]; /* of the rows, with their partitions */
	uint32_t row;                        /* whose key matched last */
	struct gm_quarantine_reader *entries;
	struct gm_store_reader *reader;
	struct gm_buf span; /* of the entry in hand */
};

/* --- Files of runs ------------------------------------------------------------------------------------------------ */

/* "…/<run>/<unit>.<suffix>" of a committed run. */
static bool read_place(struct kept *kept, const char *key, const char *suffix)
{
	char *end;
	const char *name = strrchr(key, '/'), *folder = name;
	if (name == NULL) return false;
	while (folder > key && folder[-1] != '/') folder--;
	kept->run = strtoull(folder, &end, 10);
	if (end != name) return false;
	kept->unit = strtoull(name + 1, &end, 10);
	return end != name + 1 && strcmp(end, suffix) == 0 && gm_bookmark_has_run(kept->why->history.bookmark, kept->run);
}

static enum gm_code each_file(struct kept *kept, const char *folder, gm_list_fn *each, struct gm_error *err)
{
	char prefix[GM_KEY_BYTES];
	(void)snprintf(prefix, sizeof prefix, "%s%s/", kept->why->layout.job, folder);
	return gm_store_list(kept->why->table, prefix, each, kept, err);
}

/* --- Duplicates --------------------------------------------------------------------------------------------------- */

static bool is_key(struct kept *kept, struct gm_hash128 key)
{
	for (size_t i = 0; i < kept->why->row_count; i++) {
		if (kept->keys[i].low != key.low || kept->keys[i].high != key.high) continue;
		kept->row = (uint32_t)i;
		return true;
	}
	return false;
}

static enum gm_code load_plan(struct kept *kept, struct gm_error *err)
{
	if (kept->plan != NULL && kept->plan->number == kept->run) return GM_OK;
	gm_plan_free(kept->plan);
	kept->plan = NULL;
	return gm_plan_read(kept->why->table, &kept->why->layout, kept->run, &kept->plan, err);
}

/* What was replayed is found by its quarantine file, which knows the object. */
static enum gm_code add_duplicate(struct kept *kept, const struct gm_duplicate *duplicate, struct gm_error *err)
{
	struct gm_why_found *found;
	GM_TRY(load_plan(kept, err));
	const struct gm_plan *plan = kept->plan;
	if (kept->unit >= plan->unit_count || duplicate->object >= plan->units[kept->unit].count)
		GM_FAIL(err, GM_CORRUPT, "a list of duplicates names an object that its plan does not have");
	const char *object = plan->units[kept->unit].inputs[duplicate->object].key;
	if (gm_replay_key(object) != NULL) return GM_OK;
	GM_TRY(gm_why_find(kept->why, object, duplicate->record, &found, err));
	if (found == NULL) return GM_OK;
	bool conflict = (duplicate->flags & GM_DUPLICATE_CONFLICT) != 0;
	found->told = true;
	found->arrival.fate = conflict ? GM_ARRIVAL_CONFLICT : GM_ARRIVAL_DUPLICATE;
	found->arrival.run = kept->run;
	found->arrival.partition = kept->why->rows[kept->row].partition;
	return GM_OK;
}

static enum gm_code note_duplicates(void *context, const struct gm_duplicate *entries, size_t count,
                                    struct gm_error *err)
{
	struct kept *kept = context;
	for (size_t i = 0; i < count; i++)
		if (is_key(kept, entries[i].key)) GM_TRY(add_duplicate(kept, &entries[i], err));
	return gm_why_pulse(kept->why, err);
}

static enum gm_code read_duplicates(void *context, const struct gm_object_info *info, struct gm_error *err)
{
	struct kept *kept = context;
	if (!read_place(kept, info->key, ".zst")) return GM_OK;
	kept->why->objects_done++;
	return gm_duplicates_read(kept->why->table, info->key, note_duplicates, kept, err);
}

/* --- Rejected records --------------------------------------------------------------------------------------------- */

static enum gm_code read_kept(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct kept *kept = context;
	return gm_store_reader_read(kept->reader, into, bytes, got, err);
}

/* The bytes of the entry in hand; *lost: they are more than a record may have. */
static enum gm_code read_entry(struct kept *kept, bool *lost, struct gm_error *err)
{
	kept->span.len = 0;
	*lost = false;
	for (;;) {
		size_t room = kept->span.max_bytes - kept->span.len, got;
		if (room == 0) {
			*lost = true;
			return GM_OK;
		}
		if (room > READ_BYTES) room = READ_BYTES;
		GM_TRY(gm_buf_reserve(&kept->span, room, err));
		GM_TRY(gm_quarantine_reader_read(kept->entries, kept->span.data + kept->span.len, room, &got, err));
		if (got == 0) return GM_OK;
		kept->span.len += got;
	}
}

static enum gm_code add_rejected(struct kept *kept, const struct gm_quarantine_file *file,
                                 const struct gm_quarantine_head *head, struct gm_error *err)
{
	struct gm_why_found *found;
	GM_TRY(gm_why_find(kept->why, head->object, head->record, &found, err));
	if (found == NULL) return GM_OK;
	found->told = true;
	found->arrival.fate = GM_ARRIVAL_QUARANTINED;
	found->arrival.offset = head->offset;
	found->arrival.run = file->run;
	found->arrival.detail = gm_reason_code(head->reason);
	found->replayed_by = file->replayed_by;
	return gm_why_keep(kept->why, file->input, strlen(file->input), &found->replay, err);
}

static enum gm_code read_entries(struct kept *kept, const struct gm_quarantine_file *file, struct gm_error *err)
{
	gm_quarantine_reader_begin(kept->entries, read_kept, kept);
	for (;;) {
		const struct gm_quarantine_head *head;
		bool lost, is_key = false;
		GM_TRY(gm_quarantine_reader_next(kept->entries, &head, err));
		if (head == NULL) return GM_OK;
		GM_TRY(read_entry(kept, &lost, err));
		if (!lost) GM_TRY(gm_why_scan_span(kept->scan, kept->span.data, kept->span.len, &is_key, err));
		if (is_key) GM_TRY(add_rejected(kept, file, head, err));
		GM_TRY(gm_why_pulse(kept->why, err));
	}
}

static enum gm_code read_quarantine(void *context, const struct gm_quarantine_file *file, struct gm_error *err)
{
	struct kept *kept = context;
	const char *key = file->info->key;
	GM_TRY(gm_store_reader_open(kept->why->table, key, &kept->reader, err));
	enum gm_code rc = read_entries(kept, file, err);
	gm_store_reader_close(kept->reader);
	kept->reader = NULL;
	kept->why->objects_done++;
	return rc == GM_CORRUPT || rc == GM_UNSUPPORTED ? gm_error_object(err, rc, key, strlen(key)) : rc;
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

/* A duplicate has the partition of its row. */
static void hash_rows(struct kept *kept)
{
	const struct gm_why *why = kept->why;
	for (size_t i = 0; i < why->row_count; i++) {
		const char *path = why->rows[i].partition;
		struct gm_hash128 partition = gm_key_hasher_partition(why->hasher, path, strlen(path));
		kept->keys[i].low = why->hash.low + partition.low;
		kept->keys[i].high = why->hash.high + partition.high;
	}
}

enum gm_code gm_why_find_kept(struct gm_why *why, struct gm_why_scan *scan, struct gm_error *err)
{
	struct kept *kept = calloc(1, sizeof *kept);
	if (kept == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for looking for a key");
	kept->why = why;
	kept->scan = scan;
	gm_buf_init(&kept->span, why->job->source.max_record_bytes);
	hash_rows(kept);
	enum gm_code rc = gm_quarantine_reader_new(&kept->entries, err);
	if (rc == GM_OK && why->row_count > 0) rc = each_file(kept, "duplicates", read_duplicates, err);
	if (rc == GM_OK)
		rc = gm_quarantine_files_each(why->table, &why->layout, why->history.bookmark, read_quarantine, kept, err);
	gm_quarantine_reader_free(kept->entries);
	gm_buf_release(&kept->span);
	gm_plan_free(kept->plan);
	free(kept);
	return rc;
}
