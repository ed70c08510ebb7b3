/* bloom.h - Parquet's split-block bloom filter.
 *
 * Blocks of eight 32-bit words. A value's XXH64 (seed 0, of its PLAIN form without a string's length) picks a block
 * with its upper half and one bit in each word with its lower half times that word's salt. The number of bytes is a
 * power of two: the format allows others, readers do not. */
#ifndef GM_PARQUET_BLOOM_H
#define GM_PARQUET_BLOOM_H

#include "base/cpu.h"
#include "column/vec.h"

enum { GM_BLOOM_WORDS = 8, GM_BLOOM_BLOCK_BYTES = GM_BLOOM_WORDS * 4 };
#define GM_BLOOM_SALT                                                                                  \
	{                                                                                                  \
		0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31 \
	}

struct gm_bloom {
	uint32_t *words; /* NULL: no filter */
	size_t bytes;
};

/* For up to `values` distinct values at a false positive rate of 1 %. */
size_t gm_bloom_bytes(uint64_t values);
/* An empty filter; NOMEM. Freed by gm_bloom_release. */
enum gm_code gm_bloom_init(struct gm_bloom *bloom, uint64_t values, struct gm_error *err) GM_CHECK;
void gm_bloom_release(struct gm_bloom *bloom);
/* The block of a value with this XXH64. */
static inline uint32_t *gm_bloom_block(const struct gm_bloom *bloom, uint64_t hash)
{
	uint64_t blocks = bloom->bytes / GM_BLOOM_BLOCK_BYTES;
	return bloom->words + ((hash >> 32) * blocks >> 32) * GM_BLOOM_WORDS;
}
/* `count` values in PLAIN form. The second: at each level of processor. */
void gm_bloom_add_plain(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count)
    __attribute__((nonnull));
#define GM_BLOOM_DECLARE(level, name)                                                                        \
	void gm_bloom_add_##level(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count) \
	    __attribute__((nonnull));
GM_CPU_LEVELS(GM_BLOOM_DECLARE)
#undef GM_BLOOM_DECLARE
/* May a value with this XXH64 be among those added? False is certain. */
bool gm_bloom_may_have(const struct gm_bloom *bloom, uint64_t hash);

#endif
