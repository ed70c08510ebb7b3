/* keyset.c - see keyset.h.
 *
 * The newest keys are in a table (keytable.h), older ones in runs (keyrun.h), which hold disjoint keys. When the table
 * is spilled, the next older run joins it if it is at most half as large again, the next older if it is at most half as
 * large again as what has come together, and so on; then each run is more than one and a half times the next newer:
 * their number is logarithmic, and so is how often a key is rewritten. (Half as large again, since the table becomes
 * smaller by what filters take.)
 *
 * The budget: 1/16 each for fences and for buffers while runs are merged; of the rest up to 4/16 for bloom filters,
 * which begin with the first run, and the table has what they leave. While the table is spilled there is the filter
 * for its keys, too: not one and a half bytes for the 30 that a key has in the table. */
#include "table/keyset.h"

#include "table/keyrun.h"

#include <stdlib.h>
#include <string.h>

enum {
	MEMORY_MIN = 128 << 10, /* less is taken as this */
	BATCH = 1024,           /* keys looked up together */
	MERGE_BATCH = 2048,
	MERGE_BUFFER_MAX = 8192, /* keys of a source read at a time */
	BLOOM_BITS = 10,         /* a key: about 1 % false positives */
	BLOOM_BITS_MIN = 4,      /* a filter with fewer lets so much through that it is not worth its memory */
};

struct gm_keyset {
	struct gm_keytable table;
	struct gm_keyrun *runs; /* oldest, and largest, first */
	size_t run_count, run_room;
	uint64_t spilled; /* keys in all runs */
	size_t memory_bytes;
	struct gm_key_entry *page; /* room for the largest page of a run */
	char *spill_directory;
};

/* --- spilling ----------------------------------------------------------------------------------------------------- */

static size_t blooms_bytes(const struct gm_keyset *set, size_t runs)
{
	size_t bytes = 0;
	for (size_t i = 0; i < runs; i++) bytes += gm_keyrun_bloom_bytes(&set->runs[i]);
	return bytes;
}

/* How large the table may be beside the runs there are. */
static size_t table_bytes(const struct gm_keyset *set)
{
	return set->memory_bytes / 16 * 14 - blooms_bytes(set, set->run_count);
}

/* What a filter for a run of `count` keys may take: up to BLOOM_BITS a key, and of a short budget its share, for which
 * the largest run's filter must go if need be. */
static size_t bloom_allowance(struct gm_keyset *set, uint64_t count, size_t kept_runs)
{
	size_t budget = set->memory_bytes / 4, used = blooms_bytes(set, kept_runs);
	uint64_t total = set->spilled + set->table.used;
	double want = (double)count * BLOOM_BITS / 8, share = (double)budget * ((double)count / (double)total);
	if (want > share) want = share;
	if (want * 8 < (double)count * BLOOM_BITS_MIN) return 0;
	for (size_t i = 0; i < kept_runs && (double)used + want > (double)budget; i++) {
		used -= gm_keyrun_bloom_bytes(&set->runs[i]);
		gm_keyrun_drop_bloom(&set->runs[i]);
	}
	return (size_t)want;
}

/* Merges the table, which is sorted, and the runs from `first` on, in order. */
static enum gm_code merge_from(const struct gm_keyset *set, size_t first, gm_keyset_fn *each, void *context,
                               struct gm_error *err)
{
	size_t count = set->run_count - first + 1;
	size_t capacity = set->memory_bytes / 16 / sizeof(struct gm_key_entry) / count;
	if (capacity > MERGE_BUFFER_MAX) capacity = MERGE_BUFFER_MAX;
	if (capacity < GM_KEYRUN_PAGE_KEYS) capacity = GM_KEYRUN_PAGE_KEYS;
	struct gm_keysource *sources = calloc(count, sizeof *sources);
	struct gm_key_entry *buffers = malloc((capacity * (count - 1) + MERGE_BATCH) * sizeof *buffers);
	enum gm_code rc = GM_NOMEM;
	if (sources == NULL || buffers == NULL) {
		(void)gm_error_set(err, GM_NOMEM, "out of memory for merging keys");
		goto out;
	}
	for (size_t i = 0; i + 1 < count; i++)
		sources[i] =
		    (struct gm_keysource){.run = &set->runs[first + i], .buffer = buffers + i * capacity, .capacity = capacity};
	sources[count - 1] = (struct gm_keysource){.buffer = set->table.entries, .have = set->table.used};
	rc = gm_keysource_merge(sources, count, buffers + (count - 1) * capacity, MERGE_BATCH, each, context, err);
out:
	free(sources);
	free(buffers);
	return rc;
}

static enum gm_code append_to_run(void *context, const struct gm_key_entry *entries, size_t count, struct gm_error *err)
{
	return gm_keyrun_append(context, entries, count, err);
}

static enum gm_code room_for_run(struct gm_keyset *set, struct gm_error *err)
{
	struct gm_keyrun *runs = gm_grow(set->runs, set->run_count, &set->run_room, sizeof *runs);
	if (runs == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for spilling keys");
	set->runs = runs;
	return GM_OK;
}

/* Writes the table, and the runs that are to be merged with it, to a new run. On failure the set is as it was. */
static enum gm_code spill(struct gm_keyset *set, struct gm_error *err)
{
	size_t first = set->run_count;
	uint64_t count = set->table.used;
	struct gm_keyrun run;
	GM_TRY(room_for_run(set, err));
	while (first > 0 && set->runs[first - 1].count <= count + count / 2) count += set->runs[--first].count;
	for (size_t i = first; i < set->run_count; i++) gm_keyrun_drop_bloom(&set->runs[i]);
	size_t bloom_bytes = bloom_allowance(set, count, first);
	GM_TRY(gm_keyrun_init(&run, set->spill_directory, count, set->memory_bytes / 32, bloom_bytes, err));
	gm_keytable_sort(&set->table);
	enum gm_code code = merge_from(set, first, append_to_run, &run, err);
	if (code == GM_OK && run.filled != count)
		code = gm_error_set(err, GM_BUG, "a run of keys is shorter than announced");
	if (code != GM_OK) {
		gm_keyrun_release(&run);
		gm_keytable_index(&set->table);
		return code;
	}
	for (size_t i = first; i < set->run_count; i++) gm_keyrun_release(&set->runs[i]);
	set->runs[first] = run;
	set->run_count = first + 1;
	set->spilled += set->table.used;
	gm_keytable_clear(&set->table, table_bytes(set));
	return GM_OK;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

/* What is in a run is a duplicate, and of no concern to the table. */
static enum gm_code ask_runs(struct gm_keyset *set, const struct gm_key_batch *batch, struct gm_error *err)
{
	for (size_t i = 0; i < set->run_count; i++) GM_TRY(gm_keyrun_find(&set->runs[i], set->page, batch, err));
	return GM_OK;
}

static enum gm_code add_all(struct gm_keyset *set, const struct gm_key_batch *all, struct gm_error *err)
{
	for (size_t at = 0; at < all->count; at += BATCH) {
		struct gm_key_batch batch = *all;
		batch.count = all->count - at < BATCH ? all->count - at : BATCH;
		batch.keys += at;
		batch.duplicate += at;
		if (all->values != NULL) batch.values += at;
		if (all->skip != NULL) batch.skip += at;
		if (all->found != NULL) batch.found += at;
		if (!gm_keytable_reserve(&set->table, batch.count)) GM_TRY(spill(set, err));
		GM_TRY(ask_runs(set, &batch, err));
		gm_keytable_add(&set->table, &batch);
	}
	return GM_OK;
}

enum gm_code gm_keyset_add(struct gm_keyset *set, const struct gm_hash128 *keys, const uint64_t *values,
                           const uint8_t *skip, uint32_t count, uint8_t *duplicate, uint64_t *found,
                           struct gm_error *err)
{
	struct gm_key_batch batch = {
	    .keys = keys, .values = values, .skip = skip, .count = count, .duplicate = duplicate, .found = found};
	if (count == 0) return GM_OK; /* then there may be no arrays */
	memset(duplicate, 0, count);
	return add_all(set, &batch, err);
}

enum gm_code gm_keyset_put(struct gm_keyset *set, const struct gm_hash128 *keys, const uint8_t *skip, uint32_t count,
                           uint64_t value, struct gm_error *err)
{
	uint8_t duplicate[BATCH];
	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < BATCH ? count - at : BATCH;
		memset(duplicate, 0, n);
		struct gm_key_batch batch = {.keys = keys + at,
		                             .skip = skip != NULL ? skip + at : NULL,
		                             .count = n,
		                             .duplicate = duplicate,
		                             .value = value,
		                             .lower = true};
		GM_TRY(add_all(set, &batch, err));
	}
	return GM_OK;
}

uint64_t gm_keyset_count(const struct gm_keyset *set)
{
	return set->spilled + set->table.used;
}

enum gm_code gm_keyset_each(struct gm_keyset *set, gm_keyset_fn *each, void *context, struct gm_error *err)
{
	gm_keytable_sort(&set->table);
	enum gm_code rc = merge_from(set, 0, each, context, err);
	gm_keytable_index(&set->table);
	return rc;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_keyset_new(size_t memory_bytes, const char *spill_directory, struct gm_keyset **out,
                           struct gm_error *err)
{
	*out = NULL;
	struct gm_keyset *set = calloc(1, sizeof *set);
	if (set == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a set of keys");
	set->memory_bytes = memory_bytes < MEMORY_MIN ? MEMORY_MIN : memory_bytes;
	set->page = malloc(GM_KEYRUN_PAGE_KEYS_MAX * sizeof *set->page);
	set->spill_directory = strdup(spill_directory);
	if (!gm_keytable_init(&set->table, table_bytes(set)) || set->page == NULL || set->spill_directory == NULL) {
		gm_keyset_free(set);
		GM_FAIL(err, GM_NOMEM, "out of memory for a set of keys");
	}
	*out = set;
	return GM_OK;
}

void gm_keyset_free(struct gm_keyset *set)
{
	if (set == NULL) return;
	for (size_t i = 0; i < set->run_count; i++) gm_keyrun_release(&set->runs[i]);
	free(set->runs);
	gm_keytable_release(&set->table);
	free(set->page);
	free(set->spill_directory);
	free(set);
}
