/* utf8.h - reading and mending UTF-8 (Unicode 14, section 3.9). Ill-formed bytes become U+FFFD, one for each maximal
 * ill-formed part (Unicode's "substitution of maximal subparts", what Python's errors="replace" does). */
#ifndef GM_BASE_UTF8_H
#define GM_BASE_UTF8_H

#include "base/arena.h"
#include "base/cpu.h"

enum { GM_REPLACEMENT = 0xFFFD };

/* Length of the well-formed prefix; == n when all of it is well-formed. */
size_t gm_utf8_valid_prefix(const uint8_t *bytes, size_t n);
/* The vector part of it: the length of a well-formed prefix that may be shorter, which ends at most a vector and a
 * sequence before the first fault. */
#define GM_UTF8_DECLARE(level, name) size_t gm_utf8_quick_prefix_##level(const uint8_t *bytes, size_t n);
GM_CPU_LEVELS(GM_UTF8_DECLARE)
#undef GM_UTF8_DECLARE
/* One code point from bytes[0..n), n > 0: sets *used (1..4). An ill-formed part gives GM_REPLACEMENT and its length. */
uint32_t gm_utf8_decode(const uint8_t *bytes, size_t n, size_t *used);
/* Writes 1..4 bytes; returns how many. code_point must be a scalar value. */
static inline size_t gm_utf8_encode(uint32_t code_point, uint8_t out[4])
{
	if (code_point < 0x80) {
		out[0] = (uint8_t)code_point;
		return 1;
	}
	if (code_point < 0x800) {
		out[0] = (uint8_t)(0xC0 | code_point >> 6);
		out[1] = (uint8_t)(0x80 | (code_point & 0x3F));
		return 2;
	}
	if (code_point < 0x10000) {
		out[0] = (uint8_t)(0xE0 | code_point >> 12);
		out[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
		out[2] = (uint8_t)(0x80 | (code_point & 0x3F));
		return 3;
	}
	out[0] = (uint8_t)(0xF0 | code_point >> 18);
	out[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3F));
	out[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
	out[3] = (uint8_t)(0x80 | (code_point & 0x3F));
	return 4;
}
/* Appends bytes with ill-formed parts replaced; *replaced, if not NULL, is increased by their number. */
enum gm_code gm_utf8_mend(const uint8_t *bytes, size_t n, struct gm_buf *out, uint64_t *replaced,
                          struct gm_error *err) GM_CHECK;

#endif
