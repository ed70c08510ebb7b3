#include "parquet/recode.h"
#include "parquet/encode.h"
#include "parquet/scratch.h"
#include "parquet/stats.h"

#include <string.h>

enum {
	/* The sizes that parquet-java and Arrow use, and so the ones that every reader has met. */
	BLOCK = 128,
	MINIBLOCKS = 4,
	MINIBLOCK = BLOCK / MINIBLOCKS,
	VARINT_MAX = 10,
	SLACK = 32,
};

void gm_recoder_init(struct gm_recoder *recoder)
{
	*recoder = (struct gm_recoder){0};
	gm_buf_init(&recoder->out, SIZE_MAX / 2);
}

void gm_recoder_release(struct gm_recoder *recoder)
{
	gm_buf_release(&recoder->out);
	free(recoder->first);
	free(recoder->second);
}

size_t gm_recode_choices(enum gm_type type, const enum gm_format_encoding **choices)
{
	static const enum gm_format_encoding booleans[] = {GM_FORMAT_RLE}, numbers[] = {GM_FORMAT_DELTA_BINARY_PACKED},
	                                     strings[] = {GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY, GM_FORMAT_DELTA_BYTE_ARRAY};
	switch (type) {
	case GM_TYPE_BOOLEAN: *choices = booleans; return sizeof booleans / sizeof *booleans;
	case GM_TYPE_STRING: *choices = strings; return sizeof strings / sizeof *strings;
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT:
	case GM_TYPE_DATE:
	case GM_TYPE_TIMESTAMP: *choices = numbers; return sizeof numbers / sizeof *numbers;
	case GM_TYPE_DOUBLE: break;
	}
	*choices = NULL;
	return 0;
}

/* --- Differences -------------------------------------------------------------------------------------------------- */

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7) *out++ = (uint8_t)(value | 0x80);
	*out++ = (uint8_t)value;
	return out;
}

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

/* A miniblock: a multiple of 32 bits, so that what is left at the end is nothing or half a word. */
static uint8_t *pack(uint8_t *out, const uint64_t values[MINIBLOCK], unsigned width)
{
	uint64_t bits = 0;
	unsigned have = 0;
	if (width == 0) return out;
	for (unsigned i = 0; i < MINIBLOCK; i++) {
		bits |= values[i] << have;
		have += width;
		if (have < 64) continue;
		memcpy(out, &bits, sizeof bits);
		out += sizeof bits;
		have -= 64;
		bits = have > 0 ? values[i] >> (width - have) : 0;
	}
	memcpy(out, &bits, sizeof bits);
	return out + have / 8;
}

/* The differences of up to a block of values to their predecessors, the least one taken off. */
static uint8_t *put_block(uint8_t *out, const int64_t *values, size_t n, bool narrow)
{
	int64_t difference[BLOCK], least = INT64_MAX;
	uint64_t over[BLOCK] = {0};
	for (size_t i = 0; i < n; i++) {
		int64_t d = (int64_t)((uint64_t)values[i] - (uint64_t)values[(ptrdiff_t)i - 1]);
		if (narrow) d = (int32_t)(uint32_t)(uint64_t)d;
		difference[i] = d;
		least = d < least ? d : least;
	}
	for (size_t i = 0; i < n; i++) over[i] = (uint64_t)difference[i] - (uint64_t)least;
	out = put_varint(out, zigzag(least));
	uint8_t *widths = out;
	out += MINIBLOCKS;
	for (size_t m = 0; m < MINIBLOCKS; m++) {
		uint64_t all = 0;
		for (size_t i = 0; i < MINIBLOCK; i++) all |= over[m * MINIBLOCK + i];
		widths[m] = all == 0 ? 0 : (uint8_t)(64 - __builtin_clzll(all));
		out = pack(out, over + m * MINIBLOCK, widths[m]);
	}
	return out;
}

static size_t numbers_bound(size_t count)
{
	return (size_t)4 * VARINT_MAX + (count / BLOCK + 1) * (VARINT_MAX + MINIBLOCKS + BLOCK * sizeof(int64_t));
}

/* DELTA_BINARY_PACKED; `narrow`: values of 32 bits. */
static enum gm_code put_numbers(struct gm_recoder *recoder, const int64_t *values, size_t count, bool narrow,
                                struct gm_error *err)
{
	struct gm_buf *buf = &recoder->out;
	GM_TRY(gm_buf_reserve(buf, numbers_bound(count) + SLACK, err));
	uint8_t *out = buf->data + buf->len;
	out = put_varint(out, BLOCK);
	out = put_varint(out, MINIBLOCKS);
	out = put_varint(out, count);
	out = put_varint(out, zigzag(count > 0 ? values[0] : 0));
	for (size_t i = 1; i < count; i += BLOCK)
		out = put_block(out, values + i, count - i < BLOCK ? count - i : BLOCK, narrow);
	buf->len = (size_t)(out - buf->data);
	return GM_OK;
}

static enum gm_code recode_numbers(struct gm_recoder *recoder, const uint8_t *plain, size_t count, bool narrow,
                                   struct gm_error *err)
{
	int64_t *numbers = recoder->first;
	if (!narrow && count > 0) memcpy(numbers, plain, count * sizeof *numbers);
	for (size_t i = 0; narrow && i < count; i++) {
		int32_t value;
		memcpy(&value, plain + i * sizeof value, sizeof value);
		numbers[i] = value;
	}
	return put_numbers(recoder, numbers, count, narrow, err);
}

/* --- Strings ------------------------------------------------------------------------------------------------------ */

static uint32_t length_at(const uint8_t *plain)
{
	uint32_t len;
	memcpy(&len, plain, sizeof len);
	return len;
}

static uint32_t shared_prefix(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	uint32_t most = a_len < b_len ? a_len : b_len, n = 0;
	while (n < most && a[n] == b[n]) n++;
	return n;
}

/* Of each string in plain[0..bytes) what is behind its prefix; prefixes is NULL where nothing is shared. */
static enum gm_code put_bytes(struct gm_recoder *recoder, const uint8_t *plain, size_t bytes, const int64_t *prefixes,
                              struct gm_error *err)
{
	GM_TRY(gm_buf_reserve(&recoder->out, bytes + SLACK, err));
	uint8_t *out = recoder->out.data + recoder->out.len;
	for (const uint8_t *end = plain + bytes; plain < end;) {
		uint32_t len = length_at(plain), prefix = prefixes == NULL ? 0 : (uint32_t)*prefixes++;
		plain += sizeof len;
		memcpy(out, plain + prefix, len - prefix);
		out += len - prefix;
		plain += len;
	}
	recoder->out.len = (size_t)(out - recoder->out.data);
	return GM_OK;
}

static enum gm_code recode_lengths(struct gm_recoder *recoder, const uint8_t *plain, size_t count, struct gm_error *err)
{
	const uint8_t *at = plain;
	for (size_t i = 0; i < count; i++) {
		uint32_t len = length_at(at);
		recoder->first[i] = len;
		at += sizeof len + len;
	}
	GM_TRY(put_numbers(recoder, recoder->first, count, true, err));
	return put_bytes(recoder, plain, (size_t)(at - plain), NULL, err);
}

static enum gm_code recode_prefixes(struct gm_recoder *recoder, const uint8_t *plain, size_t count,
                                    struct gm_error *err)
{
	const uint8_t *at = plain, *before = plain;
	uint32_t before_len = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t len = length_at(at), shared;
		at += sizeof len;
		shared = shared_prefix(before, before_len, at, len);
		recoder->first[i] = shared;
		recoder->second[i] = len - shared;
		before = at;
		before_len = len;
		at += len;
	}
	GM_TRY(put_numbers(recoder, recoder->first, count, true, err));
	GM_TRY(put_numbers(recoder, recoder->second, count, true, err));
	return put_bytes(recoder, plain, (size_t)(at - plain), recoder->first, err);
}

/* --- Booleans ----------------------------------------------------------------------------------------------------- */

static enum gm_code recode_booleans(struct gm_recoder *recoder, const uint8_t *plain, size_t count,
                                    struct gm_error *err)
{
	struct gm_buf *buf = &recoder->out;
	uint32_t len;
	GM_TRY(gm_buf_reserve(buf, sizeof len + gm_hybrid_bound(count, 1) + SLACK, err));
	uint8_t *start = buf->data + buf->len, *end = gm_hybrid_encode_bytes(start + sizeof len, plain, count, 1);
	len = (uint32_t)(end - start - (ptrdiff_t)sizeof len);
	memcpy(start, &len, sizeof len);
	buf->len = (size_t)(end - buf->data);
	return GM_OK;
}

/* PLAIN booleans are bits. */
static enum gm_code pack_booleans(struct gm_recoder *recoder, const uint8_t *plain, size_t count, struct gm_error *err)
{
	struct gm_buf *buf = &recoder->out;
	GM_TRY(gm_buf_reserve(buf, count / 8 + SLACK, err));
	buf->len = (size_t)(gm_pack_booleans(buf->data + buf->len, plain, count) - buf->data);
	return GM_OK;
}

enum gm_code gm_recode(struct gm_recoder *recoder, enum gm_format_encoding encoding, enum gm_type type,
                       const uint8_t *plain, size_t count, size_t gap, struct gm_error *err)
{
	recoder->out.len = 0;
	GM_TRY(gm_buf_reserve(&recoder->out, gap + SLACK, err));
	recoder->out.len = gap;
	if (!GM_SCRATCH_GROW(recoder->first, recoder->first_cap, count + 1) ||
	    !GM_SCRATCH_GROW(recoder->second, recoder->second_cap, count + 1))
		GM_FAIL(err, GM_NOMEM, "out of memory for a page");
	switch (encoding) {
	case GM_FORMAT_DELTA_BINARY_PACKED:
		return recode_numbers(recoder, plain, count, gm_plain_size(type) == sizeof(int32_t), err);
	case GM_FORMAT_DELTA_LENGTH_BYTE_ARRAY: return recode_lengths(recoder, plain, count, err);
	case GM_FORMAT_DELTA_BYTE_ARRAY: return recode_prefixes(recoder, plain, count, err);
	case GM_FORMAT_RLE: return recode_booleans(recoder, plain, count, err);
	case GM_FORMAT_PLAIN: return pack_booleans(recoder, plain, count, err);
	default: GM_FAIL(err, GM_BUG, "values cannot be written in encoding %d", encoding);
	}
}
