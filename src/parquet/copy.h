/* copy.h - copies short values without the price of a call. */
#ifndef GM_PARQUET_COPY_H
#define GM_PARQUET_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 16 bytes at a time, the last ones overlapping; nothing beyond either end is touched. */
static inline void gm_copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n > 64 || n < 8) {
		if (n > 0) memcpy(to, from, n);
		return;
	}
	if (n < 16) {
		uint64_t first, last;
		memcpy(&first, from, 8);
		memcpy(&last, from + n - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + n - 8, &last, 8);
		return;
	}
	for (size_t i = 0; i + 16 < n; i += 16) memcpy(to + i, from + i, 16);
	memcpy(to + n - 16, from + n - 16, 16);
}

#endif
