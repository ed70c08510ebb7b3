#include "column/text.h"

#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert((int)GM_VALUE_TEXT_BYTES >= (int)GM_TIME_TEXT_BYTES, "a time must fit");

static void format(const struct gm_vec *vec, uint32_t row, char scratch[GM_VALUE_TEXT_BYTES])
{
	if (vec->repr == GM_REPR_BOOL)
		(void)snprintf(scratch, GM_VALUE_TEXT_BYTES, "%s", vec->boolean[row] != 0 ? "true" : "false");
	else if (vec->repr == GM_REPR_F64)
		(void)snprintf(scratch, GM_VALUE_TEXT_BYTES, "%.17g", vec->f64[row]);
	else if (vec->type == GM_TYPE_TIMESTAMP)
		(void)gm_time_format_iso(vec->i64[row], 6, scratch);
	else if (vec->type == GM_TYPE_DATE && vec->i64[row] >= INT32_MIN && vec->i64[row] <= INT32_MAX)
		(void)gm_date_format_iso(vec->i64[row], scratch);
	else
		(void)snprintf(scratch, GM_VALUE_TEXT_BYTES, "%" PRId64, vec->i64[row]);
}

void gm_vec_text(const struct gm_vec *vec, uint32_t row, char scratch[GM_VALUE_TEXT_BYTES], const char **text,
                 size_t *bytes)
{
	uint32_t len;
	*text = NULL;
	*bytes = 0;
	if (gm_vec_is_null(vec, row)) return;
	if (vec->repr == GM_REPR_DICT || vec->repr == GM_REPR_PLAIN) {
		*text = (const char *)gm_vec_string(vec, row, &len);
		*bytes = len;
		return;
	}
	format(vec, row, scratch);
	*text = scratch;
	*bytes = strlen(scratch);
}
