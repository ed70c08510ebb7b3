/* text.h - the general way of lower and upper, so that tests can compare it with the one for ASCII. */
#ifndef GM_JOB_FUNCTIONS_TEXT_H
#define GM_JOB_FUNCTIONS_TEXT_H

#include "job/function.h"

/* Appends the text with every code point's simple lower or upper case. */
enum gm_code gm_text_map(const struct gm_value *text, bool upper, struct gm_buf *out, struct gm_error *err) GM_CHECK;

#endif
