/* why_kept.c - what committed runs kept of the records they dropped: the lists of duplicates, and the rejected ones. */
#include "run/why_internal.h"
#include "table/duplicates.h"

#include <stdlib.h>

struct kept {
	struct gm_why *why;
	struct gm_why_scan *scan;
	struct gm_plan *plan; /* of the file in hand; NULL: none was needed yet */
	uint64_t run, unit;
	struct gm_hash128 keys[GM_WHY_ROWS]; /* of the rows, with their partitions */
	uint32_t row;                        /* whose key matched last */
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

static enum gm_code add_duplicate(struct kept *kept, const struct gm_duplicate *duplicate, struct gm_error *err)
{
	struct gm_why_found *found;
	GM_TRY(load_plan(kept, err));
	const struct gm_plan *plan = kept->plan;
	if (kept->unit >= plan->unit_count || duplicate->object >= plan->units[kept->unit].count)
		GM_FAIL(err, GM_CORRUPT, "a list of duplicates names an object that its plan does not have");
	GM_TRY(
	    gm_why_find(kept->why, plan->units[kept->unit].inputs[duplicate->object].key, duplicate->record, &found, err));
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
	hash_rows(kept);
	enum gm_code rc = GM_OK;
	if (why->row_count > 0) rc = each_file(kept, "duplicates", read_duplicates, err);
	gm_plan_free(kept->plan);
	free(kept);
	return rc;
}
