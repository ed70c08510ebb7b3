/* hash.h - what hashes of keys and of contents have in common. */
#ifndef GM_TABLE_HASH_H
#define GM_TABLE_HASH_H

#include <stdint.h>
#include <string.h>

/* One bit pattern for both zeros, and one for all NaNs. */
static inline uint64_t gm_double_bits(double value)
{
	uint64_t bits;
	if (value == 0) value = 0; /* -0.0 */
	if (value != value) return 0x7ff8000000000000U;
	memcpy(&bits, &value, sizeof bits);
	return bits;
}

#endif
