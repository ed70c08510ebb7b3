/* vector.h - a handful of bytes at a time, by what the compiler may use: 32 with AVX2, 16 with SSE2 or NEON, none under
 * GM_NO_VECTOR and on other machines, where GM_VECTOR_BYTES is 0 and whoever includes this has portable loops.
 *
 * Scans are written once in these words and compiled once for each level of processor (base/cpu.h). A comparison gives
 * 0xFF for each byte where it holds and 0 where not. */
#ifndef GM_BASE_VECTOR_H
#define GM_BASE_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#if defined(GM_NO_VECTOR)
#define GM_VECTOR_BYTES 0
#elif defined(__AVX2__)
#include <immintrin.h>
#define GM_VECTOR_BYTES  32
#define GM_VECTOR_LOOKUP 1
#elif defined(__SSE2__)
#define GM_VECTOR_BYTES 16
#ifdef __SSSE3__
#include <tmmintrin.h>
#define GM_VECTOR_LOOKUP 1
#else
#include <emmintrin.h>
#endif
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define GM_VECTOR_BYTES  16
#define GM_VECTOR_LOOKUP 1
#else
#define GM_VECTOR_BYTES 0
#endif

/* Whether gm_v_hits has one bit for each byte, and not several. */
#if GM_VECTOR_BYTES > 0 && defined(__SSE2__)
#define GM_VECTOR_BITS 1
#else
#define GM_VECTOR_BITS 0
#endif
#ifndef GM_VECTOR_LOOKUP
#define GM_VECTOR_LOOKUP 0 /* whether there is gm_v_lookup and what goes with it */
#endif

#if GM_VECTOR_BYTES == 32

typedef __m256i gm_v;

static inline gm_v gm_v_load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void gm_v_store(uint8_t *p, gm_v a)
{
	_mm256_storeu_si256((__m256i *)(void *)p, a);
}
static inline gm_v gm_v_splat(uint8_t byte)
{
	return _mm256_set1_epi8((char)byte);
}
static inline gm_v gm_v_or(gm_v a, gm_v b)
{
	return _mm256_or_si256(a, b);
}
static inline gm_v gm_v_equal(gm_v a, gm_v b)
{
	return _mm256_cmpeq_epi8(a, b);
}
static inline gm_v gm_v_at_most(gm_v a, gm_v limit)
{
	return _mm256_cmpeq_epi8(_mm256_min_epu8(a, limit), a);
}
/* What became of a comparison, as bits, to be tested for 0 and asked by gm_v_first. */
static inline uint64_t gm_v_hits(gm_v equal)
{
	return (uint32_t)_mm256_movemask_epi8(equal);
}
/* Whether a byte of a has its top bit. */
static inline bool gm_v_any_high(gm_v a)
{
	return _mm256_movemask_epi8(a) != 0;
}
static inline bool gm_v_is_zero(gm_v a)
{
	return _mm256_testz_si256(a, a) != 0;
}
static inline gm_v gm_v_and(gm_v a, gm_v b)
{
	return _mm256_and_si256(a, b);
}
static inline gm_v gm_v_xor(gm_v a, gm_v b)
{
	return _mm256_xor_si256(a, b);
}
/* a - b, but not below 0. */
static inline gm_v gm_v_less(gm_v a, gm_v b)
{
	return _mm256_subs_epu8(a, b);
}
static inline gm_v gm_v_high_nibble(gm_v a)
{
	return _mm256_and_si256(_mm256_srli_epi16(a, 4), _mm256_set1_epi8(0x0F));
}
/* A table of 16 bytes, each byte of `at` (0..15) asked for its entry. */
static inline gm_v gm_v_lookup(const uint8_t table[16], gm_v at)
{
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table)), at);
}
/* The bytes n (1..3) places before those of a, where `last` is what came before a. */
#define gm_v_before(a, last, n) _mm256_alignr_epi8(a, _mm256_permute2x128_si256(last, a, 0x21), 16 - (n))

#elif GM_VECTOR_BYTES == 16 && defined(__SSE2__)

typedef __m128i gm_v;

static inline gm_v gm_v_load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline void gm_v_store(uint8_t *p, gm_v a)
{
	_mm_storeu_si128((__m128i *)(void *)p, a);
}
static inline gm_v gm_v_splat(uint8_t byte)
{
	return _mm_set1_epi8((char)byte);
}
static inline gm_v gm_v_or(gm_v a, gm_v b)
{
	return _mm_or_si128(a, b);
}
static inline gm_v gm_v_equal(gm_v a, gm_v b)
{
	return _mm_cmpeq_epi8(a, b);
}
static inline gm_v gm_v_at_most(gm_v a, gm_v limit)
{
	return _mm_cmpeq_epi8(_mm_min_epu8(a, limit), a);
}
static inline uint64_t gm_v_hits(gm_v equal)
{
	return (uint32_t)_mm_movemask_epi8(equal);
}
static inline bool gm_v_any_high(gm_v a)
{
	return _mm_movemask_epi8(a) != 0;
}
static inline bool gm_v_is_zero(gm_v a)
{
	return _mm_movemask_epi8(_mm_cmpeq_epi8(a, _mm_setzero_si128())) == 0xFFFF;
}
static inline gm_v gm_v_and(gm_v a, gm_v b)
{
	return _mm_and_si128(a, b);
}
static inline gm_v gm_v_xor(gm_v a, gm_v b)
{
	return _mm_xor_si128(a, b);
}
static inline gm_v gm_v_less(gm_v a, gm_v b)
{
	return _mm_subs_epu8(a, b);
}
static inline gm_v gm_v_high_nibble(gm_v a)
{
	return _mm_and_si128(_mm_srli_epi16(a, 4), _mm_set1_epi8(0x0F));
}
#if GM_VECTOR_LOOKUP
static inline gm_v gm_v_lookup(const uint8_t table[16], gm_v at)
{
	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)table), at);
}
#define gm_v_before(a, last, n) _mm_alignr_epi8(a, last, 16 - (n))
#endif

#elif GM_VECTOR_BYTES == 16

typedef uint8x16_t gm_v;

static inline gm_v gm_v_load(const uint8_t *p)
{
	return vld1q_u8(p);
}
static inline void gm_v_store(uint8_t *p, gm_v a)
{
	vst1q_u8(p, a);
}
static inline gm_v gm_v_splat(uint8_t byte)
{
	return vdupq_n_u8(byte);
}
static inline gm_v gm_v_or(gm_v a, gm_v b)
{
	return vorrq_u8(a, b);
}
static inline gm_v gm_v_equal(gm_v a, gm_v b)
{
	return vceqq_u8(a, b);
}
static inline gm_v gm_v_at_most(gm_v a, gm_v limit)
{
	return vcleq_u8(a, limit);
}
/* There is no instruction that gathers a bit of each byte, but one that gathers half of each. */
static inline uint64_t gm_v_hits(gm_v equal)
{
	return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(equal), 4)), 0);
}
static inline uint32_t gm_v_first(uint64_t hits)
{
	return (uint32_t)__builtin_ctzll(hits) / 4;
}
static inline bool gm_v_any_high(gm_v a)
{
	return vmaxvq_u8(a) >= 0x80;
}
static inline uint64_t gm_v_high_hits(gm_v a)
{
	return gm_v_hits(vcgeq_u8(a, vdupq_n_u8(0x80)));
}
static inline bool gm_v_is_zero(gm_v a)
{
	return vmaxvq_u8(a) == 0;
}
static inline gm_v gm_v_and(gm_v a, gm_v b)
{
	return vandq_u8(a, b);
}
static inline gm_v gm_v_xor(gm_v a, gm_v b)
{
	return veorq_u8(a, b);
}
static inline gm_v gm_v_less(gm_v a, gm_v b)
{
	return vqsubq_u8(a, b);
}
static inline gm_v gm_v_high_nibble(gm_v a)
{
	return vshrq_n_u8(a, 4);
}
static inline gm_v gm_v_lookup(const uint8_t table[16], gm_v at)
{
	return vqtbl1q_u8(vld1q_u8(table), at);
}
#define gm_v_before(a, last, n) vextq_u8(last, a, 16 - (n))

#endif

#if GM_VECTOR_BITS
/* The number of the first byte with a hit. */
static inline uint32_t gm_v_first(uint64_t hits)
{
	return (uint32_t)__builtin_ctzll(hits);
}
/* Which bytes of a have their top bit. */
static inline uint64_t gm_v_high_hits(gm_v a)
{
	return gm_v_hits(a);
}
#endif

#endif
