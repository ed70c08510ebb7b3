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
	GM_KEY_TEXT = 32, /* bytes of a key that are compared at once, quotes included */
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

/* Whether the bytes at p begin with the `len` bytes of text; both have GM_KEY_TEXT readable bytes. */
static inline bool gm_match_key_portable(const uint8_t *p, const uint8_t *text, uint32_t len)
{
	uint32_t i = 0;
	for (; i + 8 <= len; i += 8)
		if (gm_load8(p + i) != gm_load8(text + i)) return false;
	uint64_t rest = len - i == 0 ? 0 : ~UINT64_C(0) >> (64 - 8 * (len - i));
	return rest == 0 || ((gm_load8(p + i) ^ gm_load8(text + i)) & rest) == 0;
}

#ifdef __SSE2__

static inline const uint8_t *gm_scan_string(const uint8_t *p, uint32_t *high)
{
	const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
	uint32_t seen = 0;
	for (;; p += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash));
		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
		uint32_t stop = (uint32_t)_mm_movemask_epi8(hit), tops = (uint32_t)_mm_movemask_epi8(x);
		if (stop != 0) {
			*high |= seen | (tops & (stop ^ (stop - 1)));
			return p + __builtin_ctz(stop);
		}
		seen |= tops;
	}
}

/* `mask` has a bit for each of the bytes to be compared. */
static inline bool gm_match_key(const uint8_t *p, const uint8_t *text, uint32_t len, uint64_t mask)
{
	(void)len;
	__m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)p),
	                           _mm_loadu_si128((const __m128i *)(const void *)text));
	__m128i b = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16)),
	                           _mm_loadu_si128((const __m128i *)(const void *)(text + 16)));
	uint64_t equal = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
	return (equal & mask) == mask;
}

/* The first line feed or carriage return in p..end, or end. */
static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	const __m128i feed = _mm_set1_epi8('\n'), ret = _mm_set1_epi8('\r');
	for (; p < end; p += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
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

static inline bool gm_match_key(const uint8_t *p, const uint8_t *text, uint32_t len, uint64_t mask)
{
	return mask >> GM_KEY_TEXT == 0 && gm_match_key_portable(p, text, len);
}

static inline const uint8_t *gm_scan_line(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '\n' && *p != '\r') p++;
	return p;
}

#endif

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
