/* bytes.h - little-endian numbers of 1 to 8 bytes in files, at any address. */
#ifndef GM_BASE_BYTES_H
#define GM_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void gm_put_le(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t gm_get_le(const uint8_t *in, size_t bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes; i++) value |= (uint64_t)in[i] << (8 * i);
	return value;
}

#endif
