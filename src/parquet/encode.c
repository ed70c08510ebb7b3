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

/* The same for more than 16 bits each: two values at a time, stored whenever there are 64 bits. */
ALWAYS_INLINE uint8_t *pack_wide(uint8_t *out, const uint32_t *v, unsigned width)
{
	uint64_t bits = 0;
	unsigned have = 0;
	for (unsigned i = 0; i < GROUP; i += 2) {
		uint64_t pair = v[i] | (uint64_t)v[i + 1] << width;
		bits |= pair << have;
		if (have + 2 * width < 64) {
			have += 2 * width;
			continue;
		}
		memcpy(out, &bits, sizeof bits);
		out += sizeof bits;
		bits = have == 0 ? 0 : pair >> (64 - have);
		have = have + 2 * width - 64;
	}
	memcpy(out, &bits, sizeof bits);
	return out + have / 8;
}

/* Eight bytes that are 0 or 1 into one: the multiplication moves bit 8k to bit 56 + k. */
ALWAYS_INLINE uint8_t pack_bits(const uint8_t *v)
{
	uint64_t word;
	memcpy(&word, v, sizeof word);
	return (uint8_t)((word * UINT64_C(0x0102040810204080)) >> 56);
}

/* Eight bytes that hold values of `width` bits each: neighbours are joined, then pairs, then fours. */
ALWAYS_INLINE uint8_t *pack_bytes(uint8_t *out, const uint8_t *v, unsigned width)
{
	const uint64_t pairs = UINT64_C(0x00FF00FF00FF00FF), fours = UINT64_C(0x0000FFFF0000FFFF);
	uint64_t word;
	memcpy(&word, v, sizeof word);
	word = (word & pairs) | (word & ~pairs) >> (8 - width);
	word = (word & fours) | (word & ~fours) >> (16 - 2 * width);
	word = (word & UINT32_MAX) | word >> 32 << 4 * width;
	memcpy(out, &word, sizeof word);
	return out + width;
}

/* The values are uint32_t or, `narrow`, uint8_t: one body, compiled twice. */
ALWAYS_INLINE uint32_t value_at(const void *values, size_t i, bool narrow)
{
	return narrow ? ((const uint8_t *)values)[i] : ((const uint32_t *)values)[i];
}

/* Are the eight values from i on `first`? */
ALWAYS_INLINE bool group_is(const void *values, size_t i, uint32_t first, bool narrow)
{
	if (narrow) {
		uint64_t word;
		memcpy(&word, (const uint8_t *)values + i, sizeof word);
		return word == first * UINT64_C(0x0101010101010101);
	}
	uint64_t pair[GROUP / 2], both = first | (uint64_t)first << 32;
	memcpy(pair, (const uint32_t *)values + i, sizeof pair);
	return ((both ^ pair[0]) | (both ^ pair[1]) | (both ^ pair[2]) | (both ^ pair[3])) == 0;
}

/* Does the shortest run that pays begin at i? All of it is looked at in any case: whether eight values of a few are the
 * same is a coin's toss, and the processor would guess wrong as often. */
ALWAYS_INLINE bool run_begins(const void *values, size_t i, size_t shortest, bool narrow)
{
	uint32_t first = value_at(values, i, narrow), equal = 1;
	for (size_t k = 0; k < shortest; k += GROUP) equal &= group_is(values, i + k, first, narrow);
	return equal != 0;
}

/* How many values from i on are the same, of which `known` are known to be. */
ALWAYS_INLINE size_t run_length(const void *values, size_t i, size_t n, size_t known, bool narrow)
{
	uint32_t first = value_at(values, i, narrow);
	size_t end = i + known;
	while (end + GROUP <= n && group_is(values, end, first, narrow)) end += GROUP;
	while (end < n && value_at(values, end, narrow) == first) end++;
	return end - i;
}

/* The last values, and zeros for what is missing of their group. */
ALWAYS_INLINE uint8_t *pack_last(uint8_t *out, const void *values, size_t from, size_t count, unsigned width,
                                 bool narrow)
{
	uint32_t group[GROUP] = {0};
	for (size_t k = 0; k < count; k++) group[k] = value_at(values, from + k, narrow);
	return width <= 16 ? pack_narrow(out, group, width) : pack_wide(out, group, width);
}

/* A packed run of values [from, to), the last group filled up. */
ALWAYS_INLINE uint8_t *put_packed(uint8_t *out, const void *values, size_t from, size_t to, unsigned width, bool narrow)
{
	if (from == to) return out;
	out = put_varint(out, (uint64_t)((to - from + GROUP - 1) / GROUP) << 1 | 1);
	for (; from + GROUP <= to; from += GROUP) {
		if (narrow && width == 1)
			*out++ = pack_bits((const uint8_t *)values + from);
		else if (narrow)
			out = pack_bytes(out, (const uint8_t *)values + from, width);
		else if (width <= 16)
			out = pack_narrow(out, (const uint32_t *)values + from, width);
		else
			out = pack_wide(out, (const uint32_t *)values + from, width);
	}
	return from < to ? pack_last(out, values, from, to - from, width, narrow) : out;
}

/* Packed groups, but for runs that pay: of at least `shortest` values, or all the values that are left. */
ALWAYS_INLINE uint8_t *encode(uint8_t *out, const void *values, size_t n, unsigned width, size_t shortest, bool narrow)
{
	size_t packed_from = 0, i = 0;
	while (i + shortest <= n) {
		if (!run_begins(values, i, shortest, narrow)) {
			i += GROUP;
			continue;
		}
		size_t run = run_length(values, i, n, shortest, narrow);
		out = put_packed(out, values, packed_from, i, width, narrow);
		out = gm_hybrid_encode_run(out, value_at(values, i, narrow), run, width);
		packed_from = i += run;
	}
	for (; i < n && (i + GROUP <= n || i == packed_from); i += GROUP) {
		if (run_length(values, i, n, 1, narrow) < n - i) continue;
		out = put_packed(out, values, packed_from, i, width, narrow);
		return gm_hybrid_encode_run(out, value_at(values, i, narrow), n - i, width);
	}
	return put_packed(out, values, packed_from, n, width, narrow);
}

/* A repeated run pays when it takes fewer bytes than the groups it replaces and the header of a second packed run. */
ALWAYS_INLINE uint8_t *encode_width(uint8_t *out, const void *values, size_t n, unsigned width, bool narrow)
{
	if (width == 1) return encode(out, values, n, 1, 32, narrow);
	if (width <= 3) return encode(out, values, n, width, 16, narrow);
	return encode(out, values, n, width, 8, narrow);
}

uint8_t *gm_hybrid_encode(uint8_t *out, const uint32_t *values, size_t n, unsigned width)
{
	return encode_width(out, values, n, width, false);
}

uint8_t *gm_hybrid_encode_bytes(uint8_t *out, const uint8_t *values, size_t n, unsigned width)
{
	return encode_width(out, values, n, width, true);
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
