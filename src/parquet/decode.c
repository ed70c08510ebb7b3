#include "parquet/decode.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* False: the bytes end, or it takes more than 64 bits. */
static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 70 && *at < end; shift += 7) {
		uint8_t byte = *(*at)++;
		if (shift == 63 && byte > 1) return false;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) {
			*out = value;
			return true;
		}
	}
	return false;
}

static uint64_t unzigzag(uint64_t value)
{
	return value >> 1 ^ (~(value & 1) + 1);
}

ALWAYS_INLINE uint64_t load64(const uint8_t *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof word);
	return word;
}

ALWAYS_INLINE uint64_t low_bits(unsigned width)
{
	return width < 64 ? (UINT64_C(1) << width) - 1 : UINT64_MAX;
}

/* --- Hybrid runs -------------------------------------------------------------------------------------------------- */

void gm_hybrid_open(struct gm_hybrid_in *in, const uint8_t *bytes, size_t n, unsigned width)
{
	*in = (struct gm_hybrid_in){.at = bytes, .end = bytes + n, .width = width};
}

void gm_hybrid_open_bit_packed(struct gm_hybrid_in *in, const uint8_t *bytes, size_t n, unsigned width)
{
	*in = (struct gm_hybrid_in){.at = bytes, .end = bytes + n, .width = width, .packed = true, .high_first = true};
	in->left = width > 0 ? (uint64_t)n * 8 / width : UINT64_MAX;
}

/* The bytes of a packed run are behind us. */
static void leave_packed(struct gm_hybrid_in *in)
{
	in->at += (in->bit + 7) / 8;
	in->bit = 0;
	in->packed = false;
}

/* A packed run of whole groups; the last one of a page may be cut behind its last value. */
static void begin_packed(struct gm_hybrid_in *in, uint64_t groups)
{
	uint64_t bytes = (uint64_t)(in->end - in->at);
	in->packed = true;
	in->bit = 0;
	if (in->width == 0)
		in->left = groups <= UINT64_MAX / 8 ? groups * 8 : UINT64_MAX;
	else
		in->left = groups <= bytes / in->width ? groups * 8 : bytes * 8 / in->width;
}

static bool begin_repeated(struct gm_hybrid_in *in, uint64_t count)
{
	unsigned bytes = (in->width + 7) / 8;
	if (bytes > (size_t)(in->end - in->at)) return false;
	in->value = 0;
	for (unsigned i = 0; i < bytes; i++) in->value |= (uint32_t)*in->at++ << 8 * i;
	in->left = count;
	return true;
}

/* Makes left > 0; false: there are no more values. */
static bool next_run(struct gm_hybrid_in *in)
{
	if (in->high_first) return false;
	while (in->left == 0) {
		uint64_t header;
		if (in->packed) leave_packed(in);
		if (!get_varint(&in->at, in->end, &header)) return false;
		if (header & 1)
			begin_packed(in, header >> 1);
		else if (!begin_repeated(in, header >> 1))
			return false;
	}
	return true;
}

ALWAYS_INLINE uint32_t packed_value(const struct gm_hybrid_in *in, uint64_t bit)
{
	uint64_t word = load64(in->at + bit / 8);
	if (!in->high_first) return (uint32_t)(word >> bit % 8 & low_bits(in->width));
	return (uint32_t)(__builtin_bswap64(word) << bit % 8 >> (64 - in->width));
}

/* Eight values of one bit each into eight bytes. */
ALWAYS_INLINE void spread_bits(uint8_t bits, uint8_t *out)
{
	/* Each byte gets a copy of all bits, of which its own is kept and moved to the lowest place. */
	uint64_t word = bits * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
	word = (word + UINT64_C(0x7F7F7F7F7F7F7F7F)) >> 7 & UINT64_C(0x0101010101010101);
	memcpy(out, &word, sizeof word);
}

/* The values are uint32_t or, `narrow`, uint8_t: one body, compiled twice. */
ALWAYS_INLINE void unpack(const struct gm_hybrid_in *in, void *out, size_t n, bool narrow)
{
	uint64_t bit = in->bit;
	size_t i = 0;
	if (in->width == 0) {
		memset(out, 0, n * (narrow ? sizeof(uint8_t) : sizeof(uint32_t)));
		return;
	}
	if (narrow && in->width == 1 && !in->high_first && bit % 8 == 0)
		for (; i + 8 <= n; i += 8, bit += 8) spread_bits(in->at[bit / 8], (uint8_t *)out + i);
	for (; i < n; i++, bit += in->width) {
		uint32_t value = packed_value(in, bit);
		if (narrow)
			((uint8_t *)out)[i] = (uint8_t)value;
		else
			((uint32_t *)out)[i] = value;
	}
}

ALWAYS_INLINE void repeat(uint32_t value, void *out, size_t n, bool narrow)
{
	if (narrow) {
		memset(out, (int)(value <= UINT8_MAX ? value : UINT8_MAX), n);
		return;
	}
	uint32_t *values = out;
	for (size_t i = 0; i < n; i++) values[i] = value;
}

ALWAYS_INLINE size_t hybrid_read(struct gm_hybrid_in *in, void *out, size_t n, bool narrow)
{
	size_t have = 0;
	while (have < n) {
		if (in->left == 0 && !next_run(in)) break;
		size_t some = n - have < in->left ? n - have : (size_t)in->left;
		void *into = (uint8_t *)out + have * (narrow ? sizeof(uint8_t) : sizeof(uint32_t));
		if (in->packed) {
			unpack(in, into, some, narrow);
			in->bit += (uint64_t)some * in->width;
		} else {
			repeat(in->value, into, some, narrow);
		}
		in->left -= some;
		have += some;
	}
	return have;
}

size_t gm_hybrid_read(struct gm_hybrid_in *in, uint32_t *out, size_t n)
{
	return hybrid_read(in, out, n, false);
}

size_t gm_hybrid_read_levels(struct gm_hybrid_in *in, uint8_t *out, size_t n)
{
	return hybrid_read(in, out, n, true);
}

/* --- Differences -------------------------------------------------------------------------------------------------- */

/* What the format asks of the sizes of blocks: multiples of 128 values, in miniblocks of multiples of 32. */
enum { BLOCK_MULTIPLE = 128, MINIBLOCK_MULTIPLE = 32 };

bool gm_diffs_open(struct gm_diffs_in *in, const uint8_t *bytes, size_t n)
{
	uint64_t block, miniblocks, count, first;
	*in = (struct gm_diffs_in){.at = bytes, .end = bytes + n};
	if (!get_varint(&in->at, in->end, &block) || !get_varint(&in->at, in->end, &miniblocks) ||
	    !get_varint(&in->at, in->end, &count) || !get_varint(&in->at, in->end, &first))
		return false;
	if (block == 0 || block % BLOCK_MULTIPLE != 0 || block > UINT32_MAX) return false;
	if (miniblocks == 0 || block % miniblocks != 0 || block / miniblocks % MINIBLOCK_MULTIPLE != 0) return false;
	in->miniblock_values = (uint32_t)(block / miniblocks);
	in->miniblocks = in->miniblock = (uint32_t)miniblocks;
	in->left = count;
	in->last = unzigzag(first);
	in->first = count > 0;
	return true;
}

/* Makes the next miniblock the current one. */
static bool next_miniblock(struct gm_diffs_in *in)
{
	if (in->miniblock == in->miniblocks) {
		if (!get_varint(&in->at, in->end, &in->least) || in->miniblocks > (size_t)(in->end - in->at)) return false;
		in->least = unzigzag(in->least);
		in->widths = in->at;
		in->at += in->miniblocks;
		in->miniblock = 0;
	}
	in->width = in->widths[in->miniblock++];
	if (in->width > 64) return false;
	uint64_t bytes = (uint64_t)in->miniblock_values * in->width / 8;
	if (bytes > (uint64_t)(in->end - in->at)) return false;
	in->packed = in->at;
	in->bit = 0;
	in->at += bytes;
	in->miniblock_left = in->miniblock_values;
	return true;
}

ALWAYS_INLINE uint64_t wide_value(const uint8_t *packed, uint64_t bit, unsigned width)
{
	uint64_t value = load64(packed + bit / 8) >> bit % 8;
	/* Beyond 56 bits a value may reach into a ninth byte. */
	if (bit % 8 + width > 64) value |= (uint64_t)packed[bit / 8 + 8] << (64 - bit % 8);
	return value & low_bits(width);
}

static void add_differences(struct gm_diffs_in *in, int64_t *out, size_t n)
{
	uint64_t last = in->last, least = in->least, bit = in->bit;
	unsigned width = in->width;
	if (width == 0) {
		for (size_t i = 0; i < n; i++) out[i] = (int64_t)(last += least);
	} else {
		for (size_t i = 0; i < n; i++, bit += width)
			out[i] = (int64_t)(last += least + wide_value(in->packed, bit, width));
	}
	in->last = last;
	in->bit = bit;
}

size_t gm_diffs_read(struct gm_diffs_in *in, int64_t *out, size_t n)
{
	size_t have = 0;
	if (in->left < n) n = (size_t)in->left;
	if (n > 0 && in->first) {
		out[have++] = (int64_t)in->last;
		in->first = false;
	}
	while (have < n) {
		if (in->miniblock_left == 0 && !next_miniblock(in)) break;
		size_t some = n - have < in->miniblock_left ? n - have : in->miniblock_left;
		add_differences(in, out + have, some);
		in->miniblock_left -= (uint32_t)some;
		have += some;
	}
	in->left -= have;
	return have;
}

const uint8_t *gm_diffs_end(const struct gm_diffs_in *in)
{
	struct gm_diffs_in walk = *in;
	uint64_t left = walk.left > 0 ? walk.left - 1 : 0; /* the first is in the header */
	while (left > 0) {
		if (!next_miniblock(&walk)) return NULL;
		left -= left < walk.miniblock_values ? left : walk.miniblock_values;
	}
	return walk.at;
}

/* --- Plain arrays ------------------------------------------------------------------------------------------------- */

void gm_unpack_booleans(const uint8_t *bits, uint64_t from, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) out[i] = bits[(from + i) / 8] >> (from + i) % 8 & 1;
}

void gm_join_streams(const uint8_t *streams, size_t count, size_t size, size_t from, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < size; k++) out[i * size + k] = streams[k * count + from + i];
}
