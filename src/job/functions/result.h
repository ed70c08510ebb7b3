/* result.h - small helpers of the native functions: taking arguments apart and setting results. */
#ifndef GM_JOB_FUNCTIONS_RESULT_H
#define GM_JOB_FUNCTIONS_RESULT_H

#include <string.h>

#include "base/utf8.h"
#include "job/functions/functions.h"

static inline enum gm_code gm_result_null(struct gm_value *result, enum gm_type type)
{
	*result = (struct gm_value){.type = type, .null = true};
	return GM_OK;
}

static inline enum gm_code gm_result_bigint(struct gm_value *result, int64_t value)
{
	*result = (struct gm_value){.type = GM_TYPE_BIGINT, .i64 = value};
	return GM_OK;
}

static inline enum gm_code gm_result_boolean(struct gm_value *result, bool value)
{
	*result = (struct gm_value){.type = GM_TYPE_BOOLEAN, .boolean = value};
	return GM_OK;
}

/* The bytes must outlive the call: part of an argument, of scratch->out, or static. */
static inline enum gm_code gm_result_string(struct gm_value *result, const void *bytes, size_t n, struct gm_error *err)
{
	if (n > UINT32_MAX) GM_FAIL(err, GM_VALUE, "a string result would exceed 4 GiB");
	*result = (struct gm_value){.type = GM_TYPE_STRING, .len = (uint32_t)n, .bytes = bytes};
	return GM_OK;
}

static inline enum gm_code gm_result_out(struct gm_value *result, const struct gm_function_scratch *scratch,
                                         struct gm_error *err)
{
	/* Without a byte written data may be NULL, which a string never is. */
	return gm_result_string(result, scratch->out.data != NULL ? scratch->out.data : (const uint8_t *)"",
	                        scratch->out.len, err);
}

/* A literal as result or to compare with. */
#define GM_TEXT(literal) (literal), (sizeof(literal) - 1)

static inline enum gm_code gm_result_literal(struct gm_value *result, const char *text, struct gm_error *err)
{
	return gm_result_string(result, text, strlen(text), err);
}

static inline enum gm_code gm_append_code_point(struct gm_buf *out, uint32_t code_point, struct gm_error *err)
{
	uint8_t bytes[4];
	return gm_buf_append(out, bytes, gm_utf8_encode(code_point, bytes), err);
}

#endif
