/* unicode_table.h - the layout of the generated tables; read them through unicode.h.
 *
 * Two stages: the index says which block of 1 << SHIFT entries a code point is in. A property byte holds the value of
 * a Nd digit (15: none) and the flags below; a case byte selects one of the pairs of distances to the other case. */
#ifndef GM_BASE_UNICODE_TABLE_H
#define GM_BASE_UNICODE_TABLE_H

#include <stdint.h>

enum {
	GM_UNICODE_DIGIT = 0x0F,     /* mask: 0..9, or 15 */
	GM_UNICODE_WORD = 0x10,      /* underscore, L*, N* */
	GM_UNICODE_SPACE = 0x20,     /* what Python's str.isspace takes */
	GM_UNICODE_CASED = 0x40,     /* Cased and not Case_Ignorable */
	GM_UNICODE_IGNORABLE = 0x80, /* Case_Ignorable */
};
enum { GM_UNICODE_PROPERTY_SHIFT = 7, GM_UNICODE_CASE_SHIFT = 8 };

struct gm_unicode_case {
	int32_t lower, upper;
};

extern const uint8_t gm_unicode_property_index[0x110000 >> GM_UNICODE_PROPERTY_SHIFT];
extern const uint8_t gm_unicode_property_blocks[];
extern const uint8_t gm_unicode_case_index[0x110000 >> GM_UNICODE_CASE_SHIFT];
extern const uint8_t gm_unicode_case_blocks[];
extern const struct gm_unicode_case gm_unicode_cases[];

#endif
