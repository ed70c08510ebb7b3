#include "table/keyrun.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BLOCK_WORDS = 8, /* of a block of the bloom filter: 32 bytes, one bit set in each word */
	PREFETCH = 24,   /* keys ahead; measured: less waits, more gains nothing */
};

/* --- bloom filter: the split-block filter that Parquet has, too --------------------------------------------------- */

/* The sort order takes the top bits of `high`, so the filter takes others: the top of `low`, and the bottom of both. */
static inline uint32_t *block_of(const struct gm_keyrun *run, struct gm_hash128 key)
{
	size_t block = (size_t)(((unsigned __int128)key.low * run->bloom_blocks) >> 64);
	return run->bloom + block * BLOCK_WORDS;
}

static inline uint32_t bit_of(struct gm_hash128 key, size_t word)
{
	static const uint32_t salt[BLOCK_WORDS] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
	                                           0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};
	uint32_t bits = (uint32_t)key.low ^ (uint32_t)key.high;
	return 1U << ((bits * salt[word]) >> 27);
}

static void bloom_add(struct gm_keyrun *run, struct gm_hash128 key)
{
	uint32_t *block = block_of(run, key);
	for (size_t i = 0; i < BLOCK_WORDS; i++) block[i] |= bit_of(key, i);
}

static inline bool bloom_may_have(const struct gm_keyrun *run, struct gm_hash128 key)
{
	const uint32_t *block = block_of(run, key);
	uint32_t missing = 0;
	for (size_t i = 0; i < BLOCK_WORDS; i++) missing |= bit_of(key, i) & ~block[i];
	return missing == 0;
}

void gm_keyrun_drop_bloom(struct gm_keyrun *run)
{
	free(run->bloom);
	run->bloom = NULL;
	run->bloom_blocks = 0;
}

size_t gm_keyrun_bloom_bytes(const struct gm_keyrun *run)
{
	return run->bloom_blocks * BLOCK_WORDS * sizeof(uint32_t);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

enum gm_code gm_keyrun_init(struct gm_keyrun *run, const char *spill_directory, uint64_t count, size_t fence_bytes_max,
                            size_t bloom_bytes, struct gm_error *err)
{
	*run = (struct gm_keyrun){.fd = -1, .count = count, .page_keys = GM_KEYRUN_PAGE_KEYS};
	while (count / run->page_keys > fence_bytes_max / sizeof *run->fences && run->page_keys < GM_KEYRUN_PAGE_KEYS_MAX)
		run->page_keys *= 2;
	uint64_t pages = (count + run->page_keys - 1) / run->page_keys;
	if (pages > SIZE_MAX / sizeof *run->fences) GM_FAIL(err, GM_NOMEM, "too many keys for this machine");
	run->fences = malloc((size_t)pages * sizeof *run->fences);
	if (run->fences == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for spilling keys");
	run->bloom_blocks = bloom_bytes / (BLOCK_WORDS * sizeof(uint32_t));
	if (run->bloom_blocks > 0) run->bloom = calloc(run->bloom_blocks, BLOCK_WORDS * sizeof(uint32_t));
	if (run->bloom == NULL) run->bloom_blocks = 0; /* it is right without, only slower */
	run->fd = gm_io_temporary(spill_directory);
	if (run->fd >= 0) return GM_OK;
	enum gm_code code = gm_error_errno(err, errno, spill_directory, "making a temporary file for keys");
	gm_keyrun_release(run);
	return code;
}

void gm_keyrun_release(struct gm_keyrun *run)
{
	if (run->fd >= 0) (void)close(run->fd);
	free(run->fences);
	free(run->bloom);
	*run = (struct gm_keyrun){.fd = -1};
}

enum gm_code gm_keyrun_append(struct gm_keyrun *run, const struct gm_key_entry *entries, size_t count,
                              struct gm_error *err)
{
	if (count > run->count - run->filled) GM_FAIL(err, GM_BUG, "a run of keys is longer than announced");
	for (size_t i = 0; i < count; i++) {
		uint64_t at = run->filled + i;
		if (at % run->page_keys == 0) run->fences[at / run->page_keys] = entries[i].key;
		if (run->bloom != NULL) bloom_add(run, entries[i].key);
	}
	if (!gm_io_pwrite(run->fd, entries, count * sizeof *entries, run->filled * sizeof *entries))
		return gm_error_errno(err, errno, "temporary file", "spilling keys");
	run->filled += count;
	return GM_OK;
}

/* --- looking up --------------------------------------------------------------------------------------------------- */

static enum gm_code read_entries(const struct gm_keyrun *run, uint64_t first, size_t count, struct gm_key_entry *into,
                                 struct gm_error *err)
{
	size_t got, bytes = count * sizeof *into;
	if (!gm_io_pread(run->fd, into, bytes, first * sizeof *into, &got))
		return gm_error_errno(err, errno, "temporary file", "reading spilled keys");
	if (got != bytes) GM_FAIL(err, GM_IO, "a temporary file with keys has become shorter");
	return GM_OK;
}

/* How many of sorted fences[0 .. count) are <= key. */
static size_t rank_of_fence(const struct gm_hash128 *fences, size_t count, struct gm_hash128 key)
{
	size_t low = 0;
	while (count > 0) {
		size_t half = count / 2;
		if (gm_key_less(key, fences[low + half])) {
			count = half;
		} else {
			low += half + 1;
			count -= half + 1;
		}
	}
	return low;
}

/* The key's place among sorted entries; count if it is not there. */
static size_t place_of(const struct gm_key_entry *entries, size_t count, struct gm_hash128 key)
{
	size_t low = 0, left = count;
	while (left > 0) {
		size_t half = left / 2;
		if (gm_key_less(entries[low + half].key, key)) {
			low += half + 1;
			left -= half + 1;
		} else {
			left = half;
		}
	}
	return low < count && gm_key_equal(entries[low].key, key) ? low : count;
}

static enum gm_code lower_value(const struct gm_keyrun *run, uint64_t at, uint64_t value, struct gm_error *err)
{
	uint64_t offset = at * sizeof(struct gm_key_entry) + offsetof(struct gm_key_entry, value);
	if (gm_io_pwrite(run->fd, &value, sizeof value, offset)) return GM_OK;
	return gm_error_errno(err, errno, "temporary file", "spilling keys");
}

/* Some of a run's entries, which are read to look for a key among them. */
struct stretch {
	uint64_t first;
	size_t count;
};

/* Where the key should be in the page, by its fences: hashes are spread evenly. They are off by half the root of the
 * page's keys; the margin is three times that, for pages of all sizes. */
static struct stretch guess(const struct gm_keyrun *run, struct stretch page, size_t number, struct gm_hash128 key)
{
	uint64_t low = run->fences[number].high, last = page.first + page.count;
	uint64_t high = last < run->count ? run->fences[number + 1].high : UINT64_MAX;
	size_t margin = 24 + run->page_keys / 48;
	if (page.count <= 2 * margin || high == low) return page;
	size_t at = (size_t)((unsigned __int128)(key.high - low) * page.count / ((unsigned __int128)(high - low) + 1));
	size_t from = at > margin ? at - margin : 0;
	size_t left = page.count - from;
	return (struct stretch){page.first + from, left < 2 * margin ? left : 2 * margin};
}

/* Reads what should hold the key, or all that could. */
static enum gm_code read_around(const struct gm_keyrun *run, struct gm_key_entry *page, struct gm_hash128 key,
                                size_t number, struct stretch *stretch, struct gm_error *err)
{
	uint64_t first = (uint64_t)number * run->page_keys, left = run->count - first;
	struct stretch all = {first, left < run->page_keys ? (size_t)left : run->page_keys};
	*stretch = guess(run, all, number, key);
	GM_TRY(read_entries(run, stretch->first, stretch->count, page, err));
	bool reaches_down = stretch->first == all.first || !gm_key_less(key, page[0].key);
	bool reaches_up =
	    stretch->first + stretch->count == all.first + all.count || !gm_key_less(page[stretch->count - 1].key, key);
	if (reaches_down && reaches_up) return GM_OK;
	*stretch = all;
	return read_entries(run, all.first, all.count, page, err);
}

static enum gm_code find_one(const struct gm_keyrun *run, struct gm_key_entry *page, const struct gm_key_batch *batch,
                             size_t i, struct gm_error *err)
{
	struct stretch stretch;
	size_t pages = (size_t)((run->count + run->page_keys - 1) / run->page_keys);
	size_t rank = rank_of_fence(run->fences, pages, batch->keys[i]);
	if (rank == 0) return GM_OK;
	GM_TRY(read_around(run, page, batch->keys[i], rank - 1, &stretch, err));
	size_t at = place_of(page, stretch.count, batch->keys[i]);
	if (at == stretch.count) return GM_OK;
	batch->duplicate[i] = 1;
	if (batch->found != NULL) batch->found[i] = page[at].value;
	if (!batch->lower || batch->value >= page[at].value) return GM_OK;
	return lower_value(run, stretch.first + at, batch->value, err);
}

enum gm_code gm_keyrun_find(const struct gm_keyrun *run, struct gm_key_entry *page, const struct gm_key_batch *batch,
                            struct gm_error *err)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (run->bloom != NULL && i + PREFETCH < batch->count)
			__builtin_prefetch(block_of(run, batch->keys[i + PREFETCH]));
		if (batch->duplicate[i] != 0 || (batch->skip != NULL && batch->skip[i] != 0)) continue;
		if (run->bloom != NULL && !bloom_may_have(run, batch->keys[i])) continue;
		GM_TRY(find_one(run, page, batch, i, err));
	}
	return GM_OK;
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

/* Refills the buffer; at the end of the source it has nothing. */
static enum gm_code refill(struct gm_keysource *source, struct gm_error *err)
{
	source->next = source->have = 0;
	if (source->run == NULL) return GM_OK;
	uint64_t left = source->run->count - source->position;
	size_t count = left < source->capacity ? (size_t)left : source->capacity;
	GM_TRY(read_entries(source->run, source->position, count, source->buffer, err));
	source->position += count;
	source->have = count;
	return GM_OK;
}

/* The source whose next key is the smallest. There are a handful, so they are simply compared. */
static size_t smallest(const struct gm_keysource *sources, size_t source_count)
{
	size_t best = 0;
	for (size_t i = 1; i < source_count; i++) {
		if (gm_key_less(sources[i].buffer[sources[i].next].key, sources[best].buffer[sources[best].next].key)) best = i;
	}
	return best;
}

enum gm_code gm_keysource_merge(struct gm_keysource *sources, size_t source_count, struct gm_key_entry *batch,
                                size_t batch_keys, gm_keyset_fn *each, void *context, struct gm_error *err)
{
	size_t filled = 0, live = 0;
	for (size_t i = 0; i < source_count; i++) {
		sources[live] = sources[i];
		if (sources[live].run != NULL) GM_TRY(refill(&sources[live], err));
		if (sources[live].have > 0) live++;
	}
	while (live > 0) {
		struct gm_keysource *source = &sources[smallest(sources, live)];
		batch[filled++] = source->buffer[source->next++];
		if (filled == batch_keys) {
			GM_TRY(each(context, batch, filled, err));
			filled = 0;
		}
		if (source->next < source->have) continue;
		GM_TRY(refill(source, err));
		if (source->have == 0) *source = sources[--live];
	}
	return filled > 0 ? each(context, batch, filled, err) : GM_OK;
}
