/* keyset.c - see keyset.h.
 *
 * The table in memory is linear probing kept in order: a key's home is its share of the range of all hashes (high *
 * homes
 * >> 64), which grows with the key, and a key that finds its place taken by a larger one moves that and what follows
 * one slot on. So the table is always a sorted array with gaps: it is written to a run, merged, or grown by one pass
 * from front to back, without sorting, and a search for an absent key ends at the first larger one. There is no
 * wrap-around: SLACK slots follow the last home, of which the very last stays free as the sentinel of every search.
 *
 * Runs hold disjoint keys. When the table is spilled, the next older run joins it if it is no larger, the next older
 * again if it is no larger than what has come together, and so on; then each run is larger than all newer ones
 * together: their number is logarithmic, and so is how often a key is rewritten.
 *
 * The budget: 10/16 for the table, 4/16 for bloom filters, 1/16 each for fences and for buffers while runs are merged.
 */
#include "table/keyset.h"

#include "table/keyrun.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SLACK = 1024,           /* slots behind the last home; clusters of random keys at this load are far shorter */
	MEMORY_MIN = 128 << 10, /* less is taken as this */
	HOMES_START = 2048,     /* roughly, of the first table: small sets stay small */
	PREFETCH = 24,
	BATCH = 1024, /* keys looked up together */
	MERGE_BATCH = 2048,
	MERGE_BUFFER_MAX = 8192, /* keys of a source read at a time */
	BLOOM_BITS = 10,         /* a key: about 1 % false positives */
	BLOOM_BITS_MIN = 4,      /* a filter with fewer lets so much through that it is not worth its memory */
	HUGE_PAGE = 2 << 20,
};

struct gm_keyset {
	struct gm_key_entry *slots; /* homes + SLACK; key zero: free */
	size_t homes, used, homes_max;
	bool has_zero; /* the key 0, which no slot can hold */
	uint64_t zero_value;
	struct gm_keyrun *runs; /* oldest, and largest, first */
	size_t run_count, run_room;
	uint64_t spilled; /* keys in all runs */
	size_t memory_bytes;
	struct gm_key_entry *page; /* room for the largest page of a run */
	char *spill_directory;
};

static bool is_free(struct gm_hash128 key)
{
	return (key.high | key.low) == 0;
}

static size_t home_of(struct gm_hash128 key, size_t homes)
{
	return (size_t)(((unsigned __int128)key.high * homes) >> 64);
}

/* --- the table in memory ------------------------------------------------------------------------------------------ */

static size_t table_bytes(size_t homes)
{
	return (homes + SLACK) * sizeof(struct gm_key_entry);
}

/* Addresses for the largest table this set may have. They cost nothing before they are touched, and a table that is
 * doubled stays where it is: no page is ever cleared twice. */
static struct gm_key_entry *slots_reserve(size_t homes_max)
{
	void *slots =
	    mmap(NULL, table_bytes(homes_max), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return slots != MAP_FAILED ? slots : NULL;
}

/* The slot of the key, which is put there with the value if it is new; NULL: there is no room for it. */
static struct gm_key_entry *table_add(struct gm_key_entry *slots, size_t homes, struct gm_hash128 key, uint64_t value,
                                      bool *added)
{
	const size_t sentinel = homes + SLACK - 1;
	size_t at = home_of(key, homes);
	while (!is_free(slots[at].key) && gm_key_less(slots[at].key, key)) at++;
	*added = !gm_key_equal(slots[at].key, key);
	if (!*added) return &slots[at];
	size_t end = at;
	while (!is_free(slots[end].key)) end++;
	if (end == sentinel) return NULL;
	memmove(slots + at + 1, slots + at, (end - at) * sizeof *slots);
	slots[at] = (struct gm_key_entry){.key = key, .value = value};
	return &slots[at];
}

/* Twice the homes, in place: the table moves to the upper half, then its keys, which come in order, are put to their
 * new places in one pass. That never overtakes itself: a home is at least as far from the end of all homes as it was,
 * and the keys that push a key on are at most as many, so a key's new place is no further behind the last home than its
 * old one was, and the old one has moved with the last home. */
static void table_grow(struct gm_keyset *set)
{
	size_t old = set->homes, homes = 2 * old, next = 0;
	struct gm_key_entry *slots = set->slots;
	set->homes = homes;
	/* Nearly every access to a large table misses the TLB with 4 KiB pages, and hits with huge ones. */
	if (table_bytes(homes) >= 2 * HUGE_PAGE) (void)madvise(slots, table_bytes(homes), MADV_HUGEPAGE);
	memmove(slots + old, slots, table_bytes(old));
	memset(slots, 0, old * sizeof *slots);
	for (size_t from = old; from < homes + SLACK; from++) {
		struct gm_key_entry entry = slots[from];
		if (is_free(entry.key)) continue;
		size_t home = home_of(entry.key, homes);
		if (next < home) next = home;
		slots[from] = (struct gm_key_entry){0};
		slots[next++] = entry;
	}
}

/* --- spilling ----------------------------------------------------------------------------------------------------- */

/* What a filter for a run of `count` keys may take: up to BLOOM_BITS a key, and of a short budget its share, for which
 * the largest run's filter must go if need be. */
static size_t bloom_allowance(struct gm_keyset *set, uint64_t count, size_t kept_runs)
{
	size_t budget = set->memory_bytes / 4, used = 0;
	uint64_t total = set->spilled + set->used;
	double want = (double)count * BLOOM_BITS / 8, share = (double)budget * ((double)count / (double)total);
	if (want > share) want = share;
	if (want * 8 < (double)count * BLOOM_BITS_MIN) return 0;
	for (size_t i = 0; i < kept_runs; i++) used += gm_keyrun_bloom_bytes(&set->runs[i]);
	for (size_t i = 0; i < kept_runs && (double)used + want > (double)budget; i++) {
		used -= gm_keyrun_bloom_bytes(&set->runs[i]);
		gm_keyrun_drop_bloom(&set->runs[i]);
	}
	return (size_t)want;
}

/* Merges the table and the runs from `first` on, in order. */
static enum gm_code merge_from(const struct gm_keyset *set, size_t first, gm_keyset_fn *each, void *context,
                               struct gm_error *err)
{
	size_t count = set->run_count - first + 1;
	size_t capacity = set->memory_bytes / 16 / sizeof(struct gm_key_entry) / count;
	if (capacity > MERGE_BUFFER_MAX) capacity = MERGE_BUFFER_MAX;
	if (capacity < GM_KEYRUN_PAGE_KEYS) capacity = GM_KEYRUN_PAGE_KEYS;
	struct gm_keysource *sources = calloc(count, sizeof *sources);
	struct gm_key_entry *buffers = malloc((capacity * count + MERGE_BATCH) * sizeof *buffers);
	enum gm_code rc = GM_NOMEM;
	if (sources == NULL || buffers == NULL) {
		(void)gm_error_set(err, GM_NOMEM, "out of memory for merging keys");
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		const struct gm_keyrun *run = i + 1 < count ? &set->runs[first + i] : NULL;
		sources[i] = (struct gm_keysource){
		    .run = run,
		    .slots = set->slots,
		    .size = run != NULL ? run->count : set->homes + SLACK,
		    .buffer = buffers + i * capacity,
		    .capacity = capacity,
		};
	}
	rc = gm_keysource_merge(sources, count, buffers + count * capacity, MERGE_BATCH, each, context, err);
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
	uint64_t count = set->used;
	struct gm_keyrun run;
	GM_TRY(room_for_run(set, err));
	while (first > 0 && set->runs[first - 1].count <= count) count += set->runs[--first].count;
	for (size_t i = first; i < set->run_count; i++) gm_keyrun_drop_bloom(&set->runs[i]);
	size_t bloom_bytes = bloom_allowance(set, count, first);
	GM_TRY(gm_keyrun_init(&run, set->spill_directory, count, set->memory_bytes / 32, bloom_bytes, err));
	enum gm_code code = merge_from(set, first, append_to_run, &run, err);
	if (code == GM_OK && run.filled != count)
		code = gm_error_set(err, GM_BUG, "a run of keys is shorter than announced");
	if (code != GM_OK) {
		gm_keyrun_release(&run);
		return code;
	}
	for (size_t i = first; i < set->run_count; i++) gm_keyrun_release(&set->runs[i]);
	set->runs[first] = run;
	set->run_count = first + 1;
	set->spilled += set->used;
	set->used = 0;
	memset(set->slots, 0, table_bytes(set->homes));
	return GM_OK;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

static enum gm_code make_room(struct gm_keyset *set, struct gm_error *err)
{
	if (set->homes >= set->homes_max) return spill(set, err);
	table_grow(set);
	return GM_OK;
}

/* Three quarters full: a search takes 2.5 slots on average. */
static bool has_room(const struct gm_keyset *set, size_t more)
{
	return set->used + more <= set->homes / 4 * 3;
}

/* Keys that are added together, and what becomes of each. */
struct batch {
	const struct gm_hash128 *keys;
	const uint64_t *values; /* NULL: `value` for all of them */
	const uint8_t *skip;    /* NULL: none */
	uint8_t *duplicate;
	uint64_t *found; /* NULL: not asked for */
	size_t count;
	uint64_t value;
	bool lower; /* of a key that is there already the smaller value stays */
};

static void add_zero(struct gm_keyset *set, const struct batch *batch, size_t i, uint64_t value)
{
	batch->duplicate[i] = set->has_zero;
	if (!set->has_zero || (batch->lower && value < set->zero_value)) set->zero_value = value;
	if (batch->found != NULL) batch->found[i] = set->zero_value;
	set->has_zero = true;
}

/* Adds to the table what is not known to be a duplicate; returns how far it came: there may be no room at a key. */
static size_t add_to_table(struct gm_keyset *set, const struct batch *batch)
{
	size_t i = 0;
	for (; i < batch->count; i++) {
		if (i + PREFETCH < batch->count)
			__builtin_prefetch(&set->slots[home_of(batch->keys[i + PREFETCH], set->homes)], 1);
		if (batch->duplicate[i] != 0 || (batch->skip != NULL && batch->skip[i] != 0)) continue;
		uint64_t value = batch->values != NULL ? batch->values[i] : batch->value;
		if (is_free(batch->keys[i])) {
			add_zero(set, batch, i, value);
			continue;
		}
		bool added;
		struct gm_key_entry *entry = table_add(set->slots, set->homes, batch->keys[i], value, &added);
		if (entry == NULL) break;
		batch->duplicate[i] = !added;
		if (batch->lower && value < entry->value) entry->value = value;
		if (batch->found != NULL) batch->found[i] = entry->value;
		set->used += added;
	}
	return i;
}

/* What is in a run is a duplicate, and of no concern to the table. */
static enum gm_code ask_runs(struct gm_keyset *set, const struct batch *batch, struct gm_error *err)
{
	struct gm_keyrun_query query = {.keys = batch->keys,
	                                .skip = batch->skip,
	                                .count = batch->count,
	                                .duplicate = batch->duplicate,
	                                .found = batch->found,
	                                .lower = batch->lower,
	                                .value = batch->value};
	for (size_t i = 0; i < set->run_count; i++) GM_TRY(gm_keyrun_find(&set->runs[i], set->page, &query, err));
	return GM_OK;
}

static enum gm_code add_all(struct gm_keyset *set, struct batch all, struct gm_error *err)
{
	size_t done;
	for (size_t at = 0; at < all.count; at += done) {
		struct batch batch = all;
		batch.count = all.count - at < BATCH ? all.count - at : BATCH;
		batch.keys += at;
		batch.duplicate += at;
		if (all.values != NULL) batch.values += at;
		if (all.skip != NULL) batch.skip += at;
		if (all.found != NULL) batch.found += at;
		while (!has_room(set, batch.count)) GM_TRY(make_room(set, err));
		GM_TRY(ask_runs(set, &batch, err));
		done = add_to_table(set, &batch);
		/* Keys that are not random may crowd at the end. Those not added are asked again: the table may be a run now.
		 */
		if (done < batch.count) GM_TRY(make_room(set, err));
	}
	return GM_OK;
}

enum gm_code gm_keyset_add(struct gm_keyset *set, const struct gm_hash128 *keys, const uint64_t *values,
                           const uint8_t *skip, uint32_t count, uint8_t *duplicate, uint64_t *found,
                           struct gm_error *err)
{
	struct batch batch = {
	    .keys = keys, .values = values, .skip = skip, .count = count, .duplicate = duplicate, .found = found};
	if (count == 0) return GM_OK; /* then there may be no arrays */
	memset(duplicate, 0, count);
	return add_all(set, batch, err);
}

enum gm_code gm_keyset_put(struct gm_keyset *set, const struct gm_hash128 *keys, const uint8_t *skip, uint32_t count,
                           uint64_t value, struct gm_error *err)
{
	uint8_t duplicate[BATCH];
	for (uint32_t at = 0, n; at < count; at += n) {
		n = count - at < BATCH ? count - at : BATCH;
		memset(duplicate, 0, n);
		struct batch batch = {.keys = keys + at,
		                      .skip = skip != NULL ? skip + at : NULL,
		                      .count = n,
		                      .duplicate = duplicate,
		                      .value = value,
		                      .lower = true};
		GM_TRY(add_all(set, batch, err));
	}
	return GM_OK;
}

uint64_t gm_keyset_count(const struct gm_keyset *set)
{
	return set->spilled + set->used + (set->has_zero ? 1 : 0);
}

enum gm_code gm_keyset_each(struct gm_keyset *set, gm_keyset_fn *each, void *context, struct gm_error *err)
{
	const struct gm_key_entry zero = {.value = set->zero_value};
	if (set->has_zero) GM_TRY(each(context, &zero, 1, err));
	return merge_from(set, 0, each, context, err);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

enum gm_code gm_keyset_new(size_t memory_bytes, const char *spill_directory, struct gm_keyset **out,
                           struct gm_error *err)
{
	*out = NULL;
	struct gm_keyset *set = calloc(1, sizeof *set);
	if (set == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a set of keys");
	set->memory_bytes = memory_bytes < MEMORY_MIN ? MEMORY_MIN : memory_bytes;
	size_t most = set->memory_bytes / 8 * 5 / sizeof *set->slots - SLACK;
	set->homes = most;
	while (set->homes / 2 >= HOMES_START) set->homes /= 2;
	set->homes_max = set->homes;
	while (set->homes_max * 2 <= most) set->homes_max *= 2;
	set->slots = slots_reserve(set->homes_max);
	set->page = malloc(GM_KEYRUN_PAGE_KEYS_MAX * sizeof *set->page);
	set->spill_directory = strdup(spill_directory);
	if (set->slots == NULL || set->page == NULL || set->spill_directory == NULL) {
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
	if (set->slots != NULL) (void)munmap(set->slots, table_bytes(set->homes_max));
	free(set->page);
	free(set->spill_directory);
	free(set);
}
