/* simd.h - the byte scans of the parser: by vectors where the compiler has them (base/vector.h), words of eight bytes
 * elsewhere.
 *
 * All of them may read up to GM_SLACK bytes past the byte they stop at, so text to be scanned is followed by that many
 * readable bytes, the first of which is NUL: that stops every scan. The portable forms are compiled everywhere, so
 * that a test can compare the two. */
#ifndef GM_SHRED_SIMD_H
#define GM_SHRED_SIMD_H

#include "base/vector.h"

#include <string.h>

enum {
	GM_SLACK = 64,
	GM_KEY_TEXT = 32, /* bytes that gm_match_key compares */
	GM_COPY_SLACK = 32,
};

static inline uint64_t gm_load8(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof word);
	return word;
}

/* The first byte that ends a run of plain string bytes: a quote, a backslash or a control character. *high becomes
 * other than 0 if a byte before it is not ASCII. */
static inline const uint8_t *gm_scan_string_portable(const uint8_t *p, uint32_t *high)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
	uint64_t seen = 0;
	for (;; p += 8) {
		uint64_t word = gm_load8(p);
		uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
		/* Borrows make false hits only above a true one: the lowest hit is right. */
		uint64_t stop = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word);
		stop &= tops;
		if (stop != 0) {
			seen |= word & (stop ^ (stop - 1)) & tops;
			*high |= (uint32_t)(seen != 0);
			return p + __builtin_ctzll(stop) / 8;
		}
		seen |= word & tops;
	}
}

/* gm_scan_string that copies what it passes to *to, which moves along: until what ends the run, or until *to has passed
 * limit. Up to GM_COPY_SLACK bytes behind limit are written. */
static inline const uint8_t *gm_copy_string_portable(const uint8_t *p, uint8_t **to, const uint8_t *limit,
                                                     uint32_t *high)
{
	while (*to <= limit) {
		const uint8_t *stop = gm_scan_string_portable(p, high);
		size_t n = (size_t)(stop - p), room = (size_t)(limit - *to) + 1;
		bool all = n <= room;
		if (!all) n = room;
		memcpy(*to, p, n);
		*to += n;
		p += n;
		if (all) break;
	}
	return p;
}

/* Whether the bytes at p equal those at text wherever the mask has a bit; 32 bytes can be read at both. A mask with a
 * bit above the lowest 32 never matches. */
static inline bool gm_match_key_portable(const uint8_t *p, const uint8_t *text, uint64_t mask)
{
	if (mask >> GM_KEY_TEXT != 0) return false;
	for (; mask != 0; mask >>= 8, p += 8, text += 8) {
		/* Each of eight bits becomes a byte. */
		uint64_t bytes = (mask & 0xFF) * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
		bytes = ((bytes + UINT64_C(0x7F7F7F7F7F7F7F7F)) | bytes) >> 7 & UINT64_C(0x0101010101010101);
		if (((gm_load8(p) ^ gm_load8(text)) & bytes * 0xFF) != 0) return false;
	}
	return true;
}

#if GM_VECTOR_BYTES > 0

/* Whether a byte was not ASCII is asked once, at the end, and where in the last vector it stands only if one was. */
static inline const uint8_t *gm_scan_string(const uint8_t *p, uint32_t *high)
{
	const gm_v quote = gm_v_splat('"'), slash = gm_v_splat('\\'), control = gm_v_splat(0x1F);
	gm_v seen = gm_v_splat(0); /* the vectors before the one at p */
	for (;; p += GM_VECTOR_BYTES) {
		gm_v x = gm_v_load(p);
		gm_v hit = gm_v_or(gm_v_or(gm_v_equal(x, quote), gm_v_equal(x, slash)), gm_v_at_most(x, control));
		uint64_t stop = gm_v_hits(hit), before = stop - 1;
		if (stop == 0) {
			seen = gm_v_or(seen, x);
			continue;
		}
		if (__builtin_expect(gm_v_any_high(gm_v_or(seen, x)), 0))
			*high |= gm_v_any_high(seen) || (gm_v_high_hits(x) & before) != 0;
		return p + gm_v_first(stop);
	}
}

static inline const uint8_t *gm_copy_string(const uint8_t *p, uint8_t **to, const uint8_t *limit, uint32_t *high)
{
	const gm_v quote = gm_v_splat('"'), slash = gm_v_splat('\\'), control = gm_v_splat(0x1F);
	gm_v seen = gm_v_splat(0);
	uint8_t *at = *to;
	uint64_t last = 0; /* bytes of the last vector that are not ASCII */
	for (; at <= limit; p += GM_VECTOR_BYTES, at += GM_VECTOR_BYTES) {
		gm_v x = gm_v_load(p);
		gm_v_store(at, x);
		gm_v hit = gm_v_or(gm_v_or(gm_v_equal(x, quote), gm_v_equal(x, slash)), gm_v_at_most(x, control));
		uint64_t stop = gm_v_hits(hit);
		if (stop == 0) {
			seen = gm_v_or(seen, x);
			continue;
		}
		last = gm_v_high_hits(x) & (stop - 1);
		uint32_t n = gm_v_first(stop);
		p += n;
		at += n;
		break;
	}
	*high |= (uint32_t)gm_v_any_high(seen) | (uint32_t)(last != 0);
	*to = at;
	return p;
}

/* The first line feed or carriage return in p..end, or end. */
static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	const gm_v feed = gm_v_splat('\n'), ret = gm_v_splat('\r');
	for (; p < end; p += GM_VECTOR_BYTES) {
		gm_v x = gm_v_load(p);
		uint64_t stop = gm_v_hits(gm_v_or(gm_v_equal(x, feed), gm_v_equal(x, ret)));
		if (stop == 0) continue;
		p += gm_v_first(stop);
		return p < end ? p : end;
	}
	return end;
}

#else

static inline const uint8_t *gm_scan_string(const uint8_t *p, uint32_t *high)
{
	return gm_scan_string_portable(p, high);
}

static inline const uint8_t *gm_copy_string(const uint8_t *p, uint8_t **to, const uint8_t *limit, uint32_t *high)
{
	return gm_copy_string_portable(p, to, limit, high);
}

static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '\n' && *p != '\r') p++;
	return p;
}

#endif

static inline bool gm_match_key(const uint8_t *p, const uint8_t *text, uint64_t mask)
{
#if GM_VECTOR_BITS
	uint64_t equal = 0;
	for (unsigned i = 0; i < GM_KEY_TEXT; i += GM_VECTOR_BYTES)
		equal |= gm_v_hits(gm_v_equal(gm_v_load(p + i), gm_v_load(text + i))) << i;
	return (mask & ~equal) == 0;
#else
	return gm_match_key_portable(p, text, mask);
#endif
}

/* How many of the eight bytes at p, from the first on, are digits. */
static inline uint32_t gm_count_digits(uint64_t word)
{
	/* 0..9 stay below the top bit when 0x46 is added and when 0x30 is taken off. Carries and borrows reach only bytes
	 * above one that is no digit. */
	uint64_t other =
	    ((word + UINT64_C(0x4646464646464646)) | (word - UINT64_C(0x3030303030303030))) & UINT64_C(0x8080808080808080);
	return other == 0 ? 8 : (uint32_t)__builtin_ctzll(other) / 8;
}

/* The value of the first n (1..8) digits of word. */
static inline uint64_t gm_digits_value(uint64_t word, uint32_t n)
{
	word = (word << (64 - 8 * n)) & UINT64_C(0x0F0F0F0F0F0F0F0F); /* leading zeros take the place of the rest */
	word = word * 10 + (word >> 8);
	word &= UINT64_C(0x00FF00FF00FF00FF);
	word = (word & 0xFFFF) * 1000000 + (word >> 16 & 0xFFFF) * 10000 + (word >> 32 & 0xFFFF) * 100 + (word >> 48);
	return word;
}

static inline bool gm_is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* JSON's white space. Text without any costs one comparison. */
static inline const uint8_t *gm_skip_space(const uint8_t *p)
{
	while (*p <= ' ' && gm_is_space(*p)) p++;
	return p;
}

#endif
