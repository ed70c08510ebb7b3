/* keyrun.h - sorted runs of keys in files: how a keyset keeps what does not fit into memory.
 *
 * A run is an unlinked file of entries, 128-bit key and 64-bit value, ascending by (high, low), native byte order: it
 * never outlives its process. In memory stay the first key of every page ("fences") and, while the budget allows, a
 * split-block bloom filter, so that a key that is absent costs one cache miss and one that is present costs one read of
 * a page. A run never changes, but for values that are lowered in their place. */
#ifndef GM_TABLE_KEYRUN_H
#define GM_TABLE_KEYRUN_H

#include "table/keytable.h"

enum {
	GM_KEYRUN_PAGE_KEYS = 256,      /* 6 KiB: a page or two of what the page cache has anyway */
	GM_KEYRUN_PAGE_KEYS_MAX = 4096, /* of runs whose fences would get too many */
};

struct gm_keyrun {
	int fd; /* -1: none */
	uint64_t count;
	uint32_t page_keys;
	struct gm_hash128 *fences;
	uint64_t filled; /* keys appended so far */
	uint32_t *bloom; /* NULL: none */
	size_t bloom_blocks;
};

/* Starts a run of exactly `count` keys (> 0), to be appended in ascending order. bloom_bytes may be 0. */
enum gm_code gm_keyrun_init(struct gm_keyrun *run, const char *spill_directory, uint64_t count, size_t fence_bytes_max,
                            size_t bloom_bytes, struct gm_error *err) GM_CHECK;
enum gm_code gm_keyrun_append(struct gm_keyrun *run, const struct gm_key_entry *entries, size_t count,
                              struct gm_error *err) GM_CHECK;
void gm_keyrun_drop_bloom(struct gm_keyrun *run);
size_t gm_keyrun_bloom_bytes(const struct gm_keyrun *run);
void gm_keyrun_release(struct gm_keyrun *run);

/* Of the keys of the batch those that are in the run; `page` has room for run->page_keys entries. */
enum gm_code gm_keyrun_find(const struct gm_keyrun *run, struct gm_key_entry *page, const struct gm_key_batch *batch,
                            struct gm_error *err) GM_CHECK;

/* Sorted keys one after the other, out of a run or out of memory. */
struct gm_keysource {
	const struct gm_keyrun *run; /* NULL: all keys are in the buffer, `have` of them */
	uint64_t position;           /* how far the run has been read */
	struct gm_key_entry *buffer;
	size_t capacity, have, next;
};
/* Merges sources, whose keys are all different, and hands them out in ascending order in batches of at most batch_keys.
 */
enum gm_code gm_keysource_merge(struct gm_keysource *sources, size_t source_count, struct gm_key_entry *batch,
                                size_t batch_keys, gm_keyset_fn *each, void *context, struct gm_error *err) GM_CHECK;

#endif
