#include "parquet/bloom.h"
#include "parquet/stats.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	WORDS = 8, /* of a block */
	BLOCK_BYTES = WORDS * 4,
	BATCH = 64, /* hashes made before their blocks are needed, so that these are on the way */
};

/* More bits than this are not worth their place in a file: above it the rate of false positives grows. */
static const size_t max_bytes = (size_t)16 * 1024 * 1024;

/* From the formula for split-block filters, -8 n / ln(1 - 0.01^(1/8)) bits: 9.68 for each value. */
size_t gm_bloom_bytes(uint64_t values)
{
	size_t bytes = BLOCK_BYTES;
	while (bytes < max_bytes && bytes * 8 * 100 < values * 968) bytes *= 2;
	return bytes;
}

enum gm_code gm_bloom_init(struct gm_bloom *bloom, uint64_t values, struct gm_error *err)
{
	bloom->bytes = gm_bloom_bytes(values);
	bloom->words = calloc(bloom->bytes, 1);
	if (bloom->words == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a bloom filter of %zu bytes", bloom->bytes);
	return GM_OK;
}

void gm_bloom_release(struct gm_bloom *bloom)
{
	free(bloom->words);
	*bloom = (struct gm_bloom){0};
}

static uint32_t *block_of(const struct gm_bloom *bloom, uint64_t hash)
{
	uint64_t blocks = bloom->bytes / BLOCK_BYTES;
	return bloom->words + ((hash >> 32) * blocks >> 32) * WORDS;
}

static const uint32_t salt[WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                     0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

static void insert(uint32_t *block, uint32_t hash)
{
	for (unsigned i = 0; i < WORDS; i++) block[i] |= UINT32_C(1) << (hash * salt[i] >> 27);
}

static void insert_batch(struct gm_bloom *bloom, const uint64_t *hashes, size_t count)
{
	for (size_t i = 0; i < count; i++) insert(block_of(bloom, hashes[i]), (uint32_t)hashes[i]);
}

void gm_bloom_add_plain(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count)
{
	uint64_t hashes[BATCH];
	size_t have = 0, size = gm_plain_size(type);
	for (size_t i = 0; i < count; i++) {
		uint32_t len = (uint32_t)size;
		if (type == GM_TYPE_STRING) {
			memcpy(&len, plain, sizeof len);
			plain += sizeof len;
		}
		hashes[have] = XXH64(plain, len, 0);
		plain += len;
		__builtin_prefetch(block_of(bloom, hashes[have]), 1);
		if (++have == BATCH) {
			insert_batch(bloom, hashes, have);
			have = 0;
		}
	}
	insert_batch(bloom, hashes, have);
}

bool gm_bloom_may_have(const struct gm_bloom *bloom, uint64_t hash)
{
	const uint32_t *block = block_of(bloom, hash);
	uint32_t missing = 0;
	for (unsigned i = 0; i < WORDS; i++) missing |= ~block[i] & UINT32_C(1) << ((uint32_t)hash * salt[i] >> 27);
	return missing == 0;
}
