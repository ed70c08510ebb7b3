/* simd.h - the byte scans of the parser: SSE2 where the compiler has it (every x86-64), words of eight bytes elsewhere.
 *
 * All of them may read up to GM_SLACK bytes past the byte they stop at, so text to be scanned is followed by that many
 * readable bytes, the first of which is NUL: that stops every scan. The portable forms are compiled everywhere, so that
 * a test can compare the two. */
#ifndef GM_SHRED_SIMD_H
#define GM_SHRED_SIMD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	GM_SLACK = 64,
	GM_KEY_TEXT = 32, /* bytes that gm_match_key compares */
};

static inline uint64_t gm_load8(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
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

#ifdef __SSE2__

static inline __m128i gm_load16(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The scan itself only notes whether any byte it has loaded was not ASCII. That may have stood behind the end, so it is
 * looked at again, but hardly ever. */
static inline const uint8_t *gm_scan_string(const uint8_t *p, uint32_t *high)
{
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
	const uint8_t *start = p;
	__m128i seen = _mm_setzero_si128();
	for (;; p += 16) {
		__m128i x = gm_load16(p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
		uint32_t stop = (uint32_t)_mm_movemask_epi8(hit);
		seen = _mm_or_si128(seen, x);
		if (stop == 0) continue;
		if (__builtin_expect(_mm_movemask_epi8(seen) != 0, 0)) return gm_scan_string_portable(start, high);
		return p + __builtin_ctz(stop);
	}
}

static inline bool gm_match_key(const uint8_t *p, const uint8_t *text, uint64_t mask)
{
	__m128i a = _mm_cmpeq_epi8(gm_load16(p), gm_load16(text));
	__m128i b = _mm_cmpeq_epi8(gm_load16(p + 16), gm_load16(text + 16));
	uint64_t equal = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
	return (mask & ~equal) == 0;
}

/* The first line feed or carriage return in p..end, or end. */
static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	const __m128i feed = _mm_set1_epi8('\n'), ret = _mm_set1_epi8('\r');
	for (; p < end; p += 16) {
		__m128i x = gm_load16(p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, feed), _mm_cmpeq_epi8(x, ret));
		uint32_t stop = (uint32_t)_mm_movemask_epi8(hit);
		if (stop == 0) continue;
		p += __builtin_ctz(stop);
		return p < end ? p : end;
	}
	return end;
}

#else

static inline const uint8_t *gm_scan_string(const uint8_t *p, uint32_t *high)
{
	return gm_scan_string_portable(p, high);
}

static inline bool gm_match_key(const uint8_t *p, const uint8_t *text, uint64_t mask)
{
	return gm_match_key_portable(p, text, mask);
}

static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '\n' && *p != '\r') p++;
	return p;
}

#endif

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
