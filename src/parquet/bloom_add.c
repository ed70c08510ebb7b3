/* bloom_add.c - hashes values and marks them in a bloom filter; compiled once for each level of processor (base/cpu.h).
 *
 * The format is made for vectors of eight words: one multiplication, one shift and one OR of all of them. What the
 * compiler makes of such a vector where there are none as wide is as good as a loop. */
#include "base/cpu.h"
#include "parquet/bloom.h"
#include "parquet/stats.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BATCH = 64 }; /* hashes made before their blocks are needed, so that these are on the way */

typedef uint32_t words __attribute__((vector_size(GM_BLOOM_BLOCK_BYTES), aligned(4)));

static inline void insert(struct gm_bloom *bloom, uint64_t hash)
{
	static const words salt = GM_BLOOM_SALT, one = {1, 1, 1, 1, 1, 1, 1, 1};
	words *block = (words *)(void *)gm_bloom_block(bloom, hash);
	*block |= one << ((uint32_t)hash * salt >> 27);
}

void GM_AT_LEVEL(gm_bloom_add)(struct gm_bloom *bloom, enum gm_type type, const uint8_t *plain, size_t count)
{
	uint64_t hashes[BATCH];
	size_t size = gm_plain_size(type);
	while (count > 0) {
		size_t some = count < BATCH ? count : BATCH;
		for (size_t i = 0; i < some; i++) {
			uint32_t len = (uint32_t)size;
			if (type == GM_TYPE_STRING) {
				memcpy(&len, plain, sizeof len);
				plain += sizeof len;
			}
			hashes[i] = XXH64(plain, len, 0);
			plain += len;
			__builtin_prefetch(gm_bloom_block(bloom, hashes[i]), 1);
		}
		for (size_t i = 0; i < some; i++) insert(bloom, hashes[i]);
		count -= some;
	}
}
