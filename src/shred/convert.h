/* convert.h - what a JSON value becomes in a column of another type: lossless or not at all.
 *
 * "Number" functions take the text of a valid JSON number, "text" functions the decoded bytes of a JSON string. All
 * return false, with the output untouched, when the value cannot be taken. */
#ifndef GM_SHRED_CONVERT_H
#define GM_SHRED_CONVERT_H

#include "base/error.h"

#include <locale.h>

/* The exact value of 12, 12.0, 1.2e1, 120e-1, if it is an integer within 64 bits. With floor: its integer part, rounded
 * toward minus infinity. No floating point is involved. */
bool gm_number_to_integer(const uint8_t *p, const uint8_t *end, bool floor, int64_t *out);
/* An optional sign and digits, ASCII white space around ignored, within 64 bits. */
bool gm_text_to_integer(const uint8_t *p, const uint8_t *end, int64_t *out);

/* Correctly rounded; false when the magnitude is too large. The byte at `end` must be readable and no part of a number.
 * `c` is the C locale. */
bool gm_number_to_double(const uint8_t *p, const uint8_t *end, locale_t c, double *out);
/* An optional sign, digits, perhaps a fraction and an exponent, ASCII white space around ignored. Same need at `end`.
 */
bool gm_text_to_double(const uint8_t *p, const uint8_t *end, locale_t c, double *out);

/* true or false in any ASCII case. */
bool gm_text_to_boolean(const uint8_t *p, const uint8_t *end, bool *out);
/* YYYY-MM-DD within the years 0001 to 9999, as days since 1970-01-01. */
bool gm_text_to_date(const uint8_t *p, const uint8_t *end, int64_t *out);

#endif
