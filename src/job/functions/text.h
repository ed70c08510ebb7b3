/* text.h - words in text; and the general way of lower and upper, so that tests can compare it with the one for ASCII.
 */
#ifndef GM_JOB_FUNCTIONS_TEXT_H
#define GM_JOB_FUNCTIONS_TEXT_H

#include "job/function.h"

#include <string.h>

static inline bool gm_text_begins(const uint8_t *text, size_t n, const char *word, size_t word_bytes)
{
	return n >= word_bytes && memcmp(text, word, word_bytes) == 0;
}
/* The first place of a word in text, or NULL. */
const uint8_t *gm_text_find(const uint8_t *text, size_t n, const char *word, size_t word_bytes);

/* Appends the text with every code point's simple lower or upper case. */
enum gm_code gm_text_map(const struct gm_value *text, bool upper, struct gm_buf *out, struct gm_error *err) GM_CHECK;

#endif
