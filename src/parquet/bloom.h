/* bloom.h - Parquet's split-block bloom filter.
 *
 * Blocks of eight 32-bit words. A value's XXH64 (seed 0, of its PLAIN form without a string's length) picks a block
 * with its upper half and one bit in each word with its lower half times that word's salt. The number of bytes is a
 * power of two: the format allows others, readers do not. */
#ifndef GM_PARQUET_BLOOM_H
#define GM_PARQUET_BLOOM_H

#include "column/vec.h"

struct gm_bloom {
	uint32_t *words; /* NULL: no filter */
	size_t bytes;
};

/* For up to `values` distinct values at a false positive rate of 1 %. */
size_t gm_bloom_bytes(uint64_t values);
/* An empty filter; NOMEM. Freed by gm_bloom_release. */
enum gm_code gm_bloom_init(struct gm_bloom *bloom, uint64_t values, struct gm_error *err) GM_CHECK;
void gm_bloom_release(struct gm_bloom *bloom);
/* `count` values in PLAIN form. */
void gm_bloom_add_plain(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count)
    __attribute__((nonnull));
/* May a value with this XXH64 be among those added? False is certain. */
bool gm_bloom_may_have(const struct gm_bloom *bloom, uint64_t hash);

#endif
