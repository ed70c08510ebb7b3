/* utf8_prefix.c - is it UTF-8? A vector at a time; compiled once for each level of processor (base/cpu.h).
 *
 * The method is that of Keiser and Lemire ("Validating UTF-8 in less than one instruction per byte", 2021): whatever
 * can be wrong within two bytes that follow each other shows in three half bytes, both of the first and the upper of
 * the second. Each of them is looked up in a table that has a bit for every kind of fault that it leaves possible; a
 * bit that all three have is a fault. A byte that continues a continuation is the one such pair that may be right: it
 * must be, two bytes after the lead of three or more, and three bytes after the lead of four. */
#include "base/cpu.h"
#include "base/utf8.h"
#include "base/vector.h"

#include <string.h>

#if GM_VECTOR_LOOKUP

enum {
	LEAD_THEN_OTHER = 1 << 0, /* a lead, and no continuation */
	ASCII_THEN_MORE = 1 << 1, /* ASCII, and a continuation */
	SHORT_OF_THREE = 1 << 2,  /* E0 80..9F: would fit in two */
	PAST_LAST = 1 << 3,       /* F4 90..BF, F5..FF 90..BF: above U+10FFFF */
	SURROGATE = 1 << 4,       /* ED A0..BF */
	SHORT_OF_TWO = 1 << 5,    /* C0..C1: would fit in one */
	PAST_OR_SHORT = 1 << 6,   /* F5..FF 80..8F above U+10FFFF; F0 80..8F would fit in three */
	MORE_THEN_MORE = 1 << 7,  /* two continuations: right behind some leads */
	ANY = LEAD_THEN_OTHER | ASCII_THEN_MORE | MORE_THEN_MORE, /* does not depend on the lower half of the first */
};

static const uint8_t by_first_upper[16] = {
    [0x0 ... 0x7] = ASCII_THEN_MORE,
    [0x8 ... 0xB] = MORE_THEN_MORE,
    [0xC] = LEAD_THEN_OTHER | SHORT_OF_TWO,
    [0xD] = LEAD_THEN_OTHER,
    [0xE] = LEAD_THEN_OTHER | SHORT_OF_THREE | SURROGATE,
    [0xF] = LEAD_THEN_OTHER | PAST_LAST | PAST_OR_SHORT,
};
static const uint8_t by_first_lower[16] = {
    [0x0] = ANY | SHORT_OF_TWO | SHORT_OF_THREE | PAST_OR_SHORT,
    [0x1] = ANY | SHORT_OF_TWO,
    [0x2 ... 0x3] = ANY,
    [0x4] = ANY | PAST_LAST,
    [0x5 ... 0xC] = ANY | PAST_LAST | PAST_OR_SHORT,
    [0xD] = ANY | PAST_LAST | PAST_OR_SHORT | SURROGATE,
    [0xE ... 0xF] = ANY | PAST_LAST | PAST_OR_SHORT,
};
static const uint8_t by_second_upper[16] = {
    [0x0 ... 0x7] = LEAD_THEN_OTHER,
    [0x8] = ASCII_THEN_MORE | MORE_THEN_MORE | SHORT_OF_TWO | SHORT_OF_THREE | PAST_OR_SHORT,
    [0x9] = ASCII_THEN_MORE | MORE_THEN_MORE | SHORT_OF_TWO | SHORT_OF_THREE | PAST_LAST,
    [0xA ... 0xB] = ASCII_THEN_MORE | MORE_THEN_MORE | SHORT_OF_TWO | SURROGATE | PAST_LAST,
    [0xC ... 0xF] = LEAD_THEN_OTHER,
};

/* Whether x, which follows `last`, is right as far as it goes: what begins at its end is looked at with
 * what follows. */
static inline bool is_right(gm_v x, gm_v last)
{
	gm_v first = gm_v_before(x, last, 1);
	gm_v fault = gm_v_and(gm_v_lookup(by_first_upper, gm_v_high_nibble(first)),
	                      gm_v_lookup(by_first_lower, gm_v_and(first, gm_v_splat(0x0F))));
	fault = gm_v_and(fault, gm_v_lookup(by_second_upper, gm_v_high_nibble(x)));
	/* The top bit of what is left: two bytes before is E0 or more, three bytes before is F0 or more. */
	gm_v third = gm_v_less(gm_v_before(x, last, 2), gm_v_splat(0xE0 - 0x80));
	gm_v fourth = gm_v_less(gm_v_before(x, last, 3), gm_v_splat(0xF0 - 0x80));
	gm_v must_continue = gm_v_and(gm_v_or(third, fourth), gm_v_splat(MORE_THEN_MORE));
	return gm_v_is_zero(gm_v_xor(fault, must_continue));
}

/* Where the sequence begins that reaches to bytes[i] or over it, given that all before i is right as far as it
 * goes. */
static size_t start_of_sequence(const uint8_t *bytes, size_t i)
{
	for (size_t back = 1; back <= 3 && back <= i && bytes[i - back] >= 0x80; back++)
		if (bytes[i - back] >= 0xC0) return i - back;
	return i;
}

size_t GM_AT_LEVEL(gm_utf8_quick_prefix)(const uint8_t *bytes, size_t n)
{
	gm_v last = gm_v_splat(0);
	size_t i = 0;
	for (; n - i >= GM_VECTOR_BYTES; i += GM_VECTOR_BYTES) {
		gm_v x = gm_v_load(bytes + i);
		if (gm_v_any_high(gm_v_or(x, last)) && !is_right(x, last)) return start_of_sequence(bytes, i);
		last = x;
	}
	/* The rest, with a NUL behind it that is wrong within a sequence. */
	uint8_t rest[GM_VECTOR_BYTES] = {0};
	memcpy(rest, bytes + i, n - i);
	return is_right(gm_v_load(rest), last) ? n : start_of_sequence(bytes, i);
}

#else

size_t GM_AT_LEVEL(gm_utf8_quick_prefix)(const uint8_t *bytes, size_t n)
{
	(void)bytes, (void)n;
	return 0;
}

#endif
