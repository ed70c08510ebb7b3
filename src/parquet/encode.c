#include "parquet/encode.h"

#include <stdbool.h>
#include <string.h>

enum {
	GROUP = 8,  /* values of one bit-packed group */
	SLACK = 16, /* a group is stored by whole words, which may reach over its end */
	VARINT_MAX = 10,
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

unsigned gm_bit_width(uint32_t max)
{
	return max == 0 ? 0 : 32 - (unsigned)__builtin_clz(max);
}

/* Eight values cost at most one packed group, or a share of a repeated run (varint and 4 bytes), and the varint of the
 * packed run that it interrupts. */
size_t gm_hybrid_bound(size_t n, unsigned width)
{
	return (n / GROUP + 1) * ((size_t)width + 8) + 2 * VARINT_MAX + SLACK;
}

/* A repeated run pays when it takes fewer bytes than the groups it replaces and the header of a second packed run. */
static size_t shortest_run(unsigned width)
{
	if (width == 1) return 32;
	return width <= 3 ? 16 : 8;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7) *out++ = (uint8_t)(value | 0x80);
	*out++ = (uint8_t)value;
	return out;
}

/* Eight values into `width` bytes: two halves of up to 64 bits each, joined. */
ALWAYS_INLINE uint8_t *pack_narrow(uint8_t *out, const uint32_t *v, unsigned width)
{
	uint64_t low = v[0] | (uint64_t)v[1] << width | (uint64_t)v[2] << 2 * width | (uint64_t)v[3] << 3 * width;
	uint64_t high = v[4] | (uint64_t)v[5] << width | (uint64_t)v[6] << 2 * width | (uint64_t)v[7] << 3 * width;
	if (width < 16) {
		low |= high << 4 * width;
		high >>= 64 - 4 * width;
	}
	memcpy(out, &low, sizeof low);
	memcpy(out + sizeof low, &high, sizeof high);
	return out + width;
}

static uint8_t *pack_wide(uint8_t *out, const uint32_t *v, unsigned width)
{
	uint64_t bits = 0;
	unsigned have = 0;
	for (unsigned i = 0; i < GROUP; i++) {
		bits |= (uint64_t)v[i] << have;
		for (have += width; have >= 8; have -= 8) {
			*out++ = (uint8_t)bits;
			bits >>= 8;
		}
		/* A value of up to 32 bits never meets more than 7 waiting ones. */
	}
	return out;
}

static uint8_t *pack_group(uint8_t *out, const uint32_t *v, unsigned width)
{
	return width <= 16 ? pack_narrow(out, v, width) : pack_wide(out, v, width);
}

/* Eight bytes that are 0 or 1 into one: the multiplication moves bit 8k to bit 56 + k. */
ALWAYS_INLINE uint8_t pack_bits(const uint8_t *v)
{
	uint64_t word;
	memcpy(&word, v, sizeof word);
	return (uint8_t)((word * UINT64_C(0x0102040810204080)) >> 56);
}

static uint8_t *pack_level_group(uint8_t *out, const uint8_t *v, unsigned width)
{
	if (width == 1) {
		*out++ = pack_bits(v);
		return out;
	}
	uint32_t wide[GROUP];
	for (unsigned i = 0; i < GROUP; i++) wide[i] = v[i];
	return pack_narrow(out, wide, width);
}

/* The values are uint32_t or, `narrow`, uint8_t: one body, compiled twice. */
ALWAYS_INLINE uint32_t value_at(const void *values, size_t i, bool narrow)
{
	return narrow ? ((const uint8_t *)values)[i] : ((const uint32_t *)values)[i];
}

ALWAYS_INLINE bool group_is_equal(const void *values, size_t i, bool narrow)
{
	if (narrow) {
		const uint8_t *v = (const uint8_t *)values + i;
		uint64_t word;
		memcpy(&word, v, sizeof word);
		return word == v[0] * UINT64_C(0x0101010101010101);
	}
	const uint32_t *v = (const uint32_t *)values + i;
	uint32_t first = v[0], differs = 0;
	for (unsigned k = 1; k < GROUP; k++) differs |= first ^ v[k];
	return differs == 0;
}

/* How many values from i on are the same. */
ALWAYS_INLINE size_t run_length(const void *values, size_t i, size_t n, bool narrow)
{
	uint32_t first = value_at(values, i, narrow);
	size_t end = i + 1;
	while (end + GROUP <= n && value_at(values, end, narrow) == first && group_is_equal(values, end, narrow))
		end += GROUP;
	while (end < n && value_at(values, end, narrow) == first) end++;
	return end - i;
}

ALWAYS_INLINE uint8_t *pack_at(uint8_t *out, const void *values, size_t i, unsigned width, bool narrow)
{
	return narrow ? pack_level_group(out, (const uint8_t *)values + i, width)
	              : pack_group(out, (const uint32_t *)values + i, width);
}

/* A packed run of values [from, to), the last group filled up. */
ALWAYS_INLINE uint8_t *put_packed(uint8_t *out, const void *values, size_t from, size_t to, unsigned width, bool narrow)
{
	if (from == to) return out;
	out = put_varint(out, (uint64_t)((to - from + GROUP - 1) / GROUP) << 1 | 1);
	for (; from + GROUP <= to; from += GROUP) out = pack_at(out, values, from, width, narrow);
	if (from < to) {
		uint32_t last[GROUP] = {0};
		for (size_t k = 0; from + k < to; k++) last[k] = value_at(values, from + k, narrow);
		out = pack_group(out, last, width);
	}
	return out;
}

ALWAYS_INLINE uint8_t *encode(uint8_t *out, const void *values, size_t n, unsigned width, bool narrow)
{
	size_t shortest = shortest_run(width), packed_from = 0, i = 0;
	while (i + GROUP <= n) {
		if (!group_is_equal(values, i, narrow)) {
			i += GROUP;
			continue;
		}
		size_t run = run_length(values, i, n, narrow);
		if (run < shortest && i + run < n) {
			i += GROUP;
			continue;
		}
		out = put_packed(out, values, packed_from, i, width, narrow);
		out = gm_hybrid_encode_run(out, value_at(values, i, narrow), run, width);
		packed_from = i += run;
	}
	if (packed_from == i && i < n && run_length(values, i, n, narrow) == n - i)
		return gm_hybrid_encode_run(out, value_at(values, i, narrow), n - i, width);
	return put_packed(out, values, packed_from, n, width, narrow);
}

uint8_t *gm_hybrid_encode(uint8_t *out, const uint32_t *values, size_t n, unsigned width)
{
	return encode(out, values, n, width, false);
}

uint8_t *gm_hybrid_encode_levels(uint8_t *out, const uint8_t *levels, size_t n, unsigned width)
{
	return encode(out, levels, n, width, true);
}

uint8_t *gm_hybrid_encode_run(uint8_t *out, uint32_t value, size_t n, unsigned width)
{
	out = put_varint(out, (uint64_t)n << 1);
	for (unsigned bits = 0; bits < width; bits += 8) *out++ = (uint8_t)(value >> bits);
	return out;
}

uint8_t *gm_pack_booleans(uint8_t *out, const uint8_t *values, size_t n)
{
	size_t i = 0;
	for (; i + GROUP <= n; i += GROUP) *out++ = pack_bits(values + i);
	if (i < n) {
		uint8_t last[GROUP] = {0};
		memcpy(last, values + i, n - i);
		*out++ = pack_bits(last);
	}
	return out;
}
