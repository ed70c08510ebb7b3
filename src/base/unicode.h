/* unicode.h - the character properties and case mappings of Unicode 14, exactly as CPython 3.11 has them.
 *
 * No library agrees with Python in all of \w, \d, \s and lower case, and a library's next version changes them: rows
 * written last year must come out the same today. Hence a table of our own. */
#ifndef GM_BASE_UNICODE_H
#define GM_BASE_UNICODE_H

#include "base/unicode_table.h"
#include "base/utf8.h"

/* Properties of a code point, which must be at most 0x10FFFF: the flags of unicode_table.h. */
static inline uint8_t gm_unicode_properties(uint32_t code_point)
{
	uint32_t block = gm_unicode_property_index[code_point >> GM_UNICODE_PROPERTY_SHIFT];
	uint32_t within = code_point & ((1u << GM_UNICODE_PROPERTY_SHIFT) - 1);
	return gm_unicode_property_blocks[block << GM_UNICODE_PROPERTY_SHIFT | within];
}
/* \w: underscore, letters and numbers. */
static inline bool gm_unicode_is_word(uint32_t code_point)
{
	return (gm_unicode_properties(code_point) & GM_UNICODE_WORD) != 0;
}
/* \s: white space as in Python, thus also U+001C..001F. */
static inline bool gm_unicode_is_space(uint32_t code_point)
{
	return (gm_unicode_properties(code_point) & GM_UNICODE_SPACE) != 0;
}
/* \d: category Nd. The value is 0..9, or -1 for what is no digit. */
static inline int gm_unicode_digit_value(uint32_t code_point)
{
	int value = gm_unicode_properties(code_point) & GM_UNICODE_DIGIT;
	return value <= 9 ? value : -1;
}
static inline bool gm_unicode_is_digit(uint32_t code_point)
{
	return gm_unicode_digit_value(code_point) >= 0;
}

/* One code point for one (the simple mappings of UnicodeData.txt). */
uint32_t gm_unicode_simple_lower(uint32_t code_point);
uint32_t gm_unicode_simple_upper(uint32_t code_point);

/* Copies n bytes with A-Z made a-z; true if all of them were ASCII (others are copied as they are). to == from is
 * allowed, other overlap is not. */
bool gm_ascii_lower(uint8_t *to, const uint8_t *from, size_t n);
bool gm_ascii_upper(uint8_t *to, const uint8_t *from, size_t n);

/* Appends the lower case of well-formed UTF-8 as Python's str.lower makes it: U+0130 becomes "i" and U+0307, and a
 * capital sigma that ends a word becomes a final one. */
enum gm_code gm_unicode_lower(const uint8_t *bytes, size_t n, struct gm_buf *out, struct gm_error *err) GM_CHECK;
/* The same without the short way for ASCII, which the tests compare it with. */
enum gm_code gm_unicode_lower_general(const uint8_t *bytes, size_t n, struct gm_buf *out,
                                      struct gm_error *err) GM_CHECK;

/* Number of code points. An ill-formed part counts as one. */
size_t gm_utf8_length(const uint8_t *bytes, size_t n);

#endif
