#include "parquet/bloom.h"
#include "base/cpu.h"

#include <stdlib.h>

/* More bits than this are not worth their place in a file: above it the rate of false positives grows. */
static const size_t max_bytes = (size_t)16 * 1024 * 1024;

/* From the formula for split-block filters, -8 n / ln(1 - 0.01^(1/8)) bits: 9.68 for each value. */
size_t gm_bloom_bytes(uint64_t values)
{
	size_t bytes = GM_BLOOM_BLOCK_BYTES;
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

void gm_bloom_add_plain(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count)
{
	static void (*const add[GM_CPU_COUNT])(struct gm_bloom *, enum gm_type, const uint8_t *, size_t) = {
#define ENTRY(level, name) gm_bloom_add_##level,
	    GM_CPU_LEVELS(ENTRY)
#undef ENTRY
	};
	add[gm_cpu_level()](bloom, type, plain, count);
}

bool gm_bloom_may_have(const struct gm_bloom *bloom, uint64_t hash)
{
	static const uint32_t salt[] = GM_BLOOM_SALT;
	const uint32_t *block = gm_bloom_block(bloom, hash);
	uint32_t missing = 0;
	for (unsigned i = 0; i < GM_BLOOM_WORDS; i++)
		missing |= ~block[i] & UINT32_C(1) << ((uint32_t)hash * salt[i] >> 27);
	return missing == 0;
}
