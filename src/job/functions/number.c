/* Functions of numbers. */
#include "job/functions/result.h"

enum gm_code gm_fn_abs(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                       struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	int64_t value = args[0].i64;
	if (value == INT64_MIN) GM_FAIL(err, GM_VALUE, "abs: the result exceeds 64 bits");
	return gm_result_bigint(result, value < 0 ? -value : value);
}
