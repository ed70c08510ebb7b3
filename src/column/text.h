/* text.h - a value of a column as text, for people and for JSON: times and dates are ISO 8601, a double has the digits
 * that tell it apart from all others. */
#ifndef GM_COLUMN_TEXT_H
#define GM_COLUMN_TEXT_H

#include "column/vec.h"

enum { GM_VALUE_TEXT_BYTES = 48 };

/* *text: the value, *bytes long; NULL: it is null. A string's bytes lie where the vec has them, everything else in
 * scratch. */
void gm_vec_text(const struct gm_vec *vec, uint32_t row, char scratch[GM_VALUE_TEXT_BYTES], const char **text,
                 size_t *bytes);

#endif
