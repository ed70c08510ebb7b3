/* percent.h - percent-decoding, for url_decode and the access log's URLs. */
#ifndef GM_JOB_FUNCTIONS_PERCENT_H
#define GM_JOB_FUNCTIONS_PERCENT_H

#include <stddef.h>
#include <stdint.h>

/* The value of a hexadecimal digit, or -1. */
static inline int gm_hex_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9') return byte - '0';
	uint8_t lower = byte | 0x20;
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that bytes[0..n), which begins with %, stands for, or -1 if no two hexadecimal digits follow. */
static inline int gm_percent_value(const uint8_t *bytes, size_t n)
{
	if (n < 3) return -1;
	int high = gm_hex_value(bytes[1]), low = gm_hex_value(bytes[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

#endif
