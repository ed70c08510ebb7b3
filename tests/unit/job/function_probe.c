/* function_probe.c - a shared module through which tests/fuzz_functions.py calls the native functions and the text
 * helpers below them. Not part of what is installed. */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/unicode.h"
#include "job/functions/normalize_url.h"
#include "job/functions/functions.h"
#include "job/functions/text.h"

/* As class Value in fuzz_functions.py. */
struct probe_value {
	const uint8_t *bytes; /* NULL: an integer */
	uint64_t len;
	int64_t integer;
	int32_t null;
};

GM_API int probe_call(const char *name, const struct probe_value *args, size_t count, struct probe_value *result);
GM_API int probe_properties(uint32_t code_point);
GM_API uint32_t probe_simple_case(uint32_t code_point, int upper);

enum { OUT_MAX_BYTES = 1 << 26 };

static gm_function_fn normalize_ascii, normalize_general, full_lower, full_lower_general, lower_general, upper_general,
    mend, iso, date_pattern;

static enum gm_code normalize_ascii(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                    struct gm_value *result, struct gm_error *err)
{
	(void)count;
	bool done;
	GM_TRY(gm_normalize_url_ascii(scratch, args, result, &done, err));
	if (!done) *result = (struct gm_value){.null = true};
	return GM_OK;
}

static enum gm_code normalize_general(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                      struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return gm_normalize_url_general(scratch, args, result, err);
}

static enum gm_code from_out(const struct gm_function_scratch *scratch, struct gm_value *result)
{
	*result = (struct gm_value){.type = GM_TYPE_STRING, .len = (uint32_t)scratch->out.len, .bytes = scratch->out.data};
	return GM_OK;
}

static enum gm_code full_lower(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                               struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_unicode_lower(args->bytes, args->len, &scratch->out, err));
	return from_out(scratch, result);
}

static enum gm_code full_lower_general(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                       struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_unicode_lower_general(args->bytes, args->len, &scratch->out, err));
	return from_out(scratch, result);
}

static enum gm_code lower_general(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                  struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_text_map(args, false, &scratch->out, err));
	return from_out(scratch, result);
}

static enum gm_code upper_general(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                  struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_text_map(args, true, &scratch->out, err));
	return from_out(scratch, result);
}

static enum gm_code mend(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_utf8_mend(args->bytes, args->len, &scratch->out, NULL, err));
	return from_out(scratch, result);
}

static enum gm_code iso(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	(void)count;
	char text[GM_TIME_TEXT_BYTES];
	GM_TRY(gm_buf_append(&scratch->out, text, gm_time_format_iso(args->i64, 6, text), err));
	return from_out(scratch, result);
}

static enum gm_code date_pattern(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                                 struct gm_value *result, struct gm_error *err)
{
	(void)count;
	GM_TRY(gm_time_format(args[0].i64, args[1].bytes, args[1].len, &scratch->out, err));
	return from_out(scratch, result);
}

/* Not the functions' own table: that one needs all functions, and this module the ones tested here alone. */
static const struct {
	const char *name;
	gm_function_fn *call;
} probes[] = {
    {"synapse_normalize_url", gm_fn_synapse_normalize_url},
    {"synapse_client", gm_fn_synapse_client},
    {"synapse_client_version", gm_fn_synapse_client_version},
    {"synapse_entity_id", gm_fn_synapse_entity_id},
    {"strip_leading_zeros", gm_fn_strip_leading_zeros},
    {"lower", gm_fn_lower},
    {"upper", gm_fn_upper},
    {"trim", gm_fn_trim},
    {"ltrim", gm_fn_ltrim},
    {"rtrim", gm_fn_rtrim},
    {"replace", gm_fn_replace},
    {"length", gm_fn_length},
    {"substr", gm_fn_substr},
    {"strpos", gm_fn_strpos},
    {"split_part", gm_fn_split_part},
    {"concat", gm_fn_concat},
    {"url_decode", gm_fn_url_decode},
    {"reverse", gm_fn_reverse},
    {"starts_with", gm_fn_starts_with},
    {"lpad", gm_fn_lpad},
    {"rpad", gm_fn_rpad},
    {"chr", gm_fn_chr},
    {"codepoint", gm_fn_codepoint},
    {"abs", gm_fn_abs},
    {"normalize_ascii", normalize_ascii},
    {"normalize_general", normalize_general},
    {"full_lower", full_lower},
    {"full_lower_general", full_lower_general},
    {"lower_general", lower_general},
    {"upper_general", upper_general},
    {"mend", mend},
    {"iso", iso},
    {"date_pattern", date_pattern},
};

/* Arguments are copied into blocks of their exact size, so that a sanitizer sees what reads past them. */
static bool take_args(const struct probe_value *args, size_t count, struct gm_value *values)
{
	for (size_t i = 0; i < count; i++) {
		values[i] = (struct gm_value){.null = args[i].null != 0, .i64 = args[i].integer};
		if (args[i].bytes == NULL) continue;
		uint8_t *copy = malloc(args[i].len + (args[i].len == 0));
		if (copy == NULL) return false;
		memcpy(copy, args[i].bytes, args[i].len);
		values[i].type = GM_TYPE_STRING;
		values[i].len = (uint32_t)args[i].len;
		values[i].bytes = copy;
	}
	return true;
}

/* The result's bytes are valid until the next call. Returns the function's code, or -1: unknown name, -2: bad call. */
int probe_call(const char *name, const struct probe_value *args, size_t count, struct probe_value *result)
{
	static struct gm_function_scratch scratch = {.out = {.max_bytes = OUT_MAX_BYTES},
	                                             .work = {.max_bytes = OUT_MAX_BYTES}};
	static struct gm_buf kept = {.max_bytes = OUT_MAX_BYTES};
	struct gm_value values[GM_FUNCTION_MAX_ARGS] = {0}, value = {0};
	int rc = -1;
	if (count > GM_FUNCTION_MAX_ARGS) return -2;
	if (!take_args(args, count, values)) rc = -2;
	for (size_t i = 0; rc == -1 && i < sizeof probes / sizeof probes[0]; i++) {
		if (strcmp(name, probes[i].name) != 0) continue;
		scratch.out.len = kept.len = 0;
		rc = (int)probes[i].call(&scratch, values, count, &value, NULL);
		*result = (struct probe_value){.null = value.null, .integer = value.i64};
		if (rc == GM_OK && !value.null && value.type == GM_TYPE_BOOLEAN) result->integer = value.boolean;
		if (rc != GM_OK || value.null || value.type != GM_TYPE_STRING) break;
		if (gm_buf_append(&kept, value.bytes, value.len, NULL) != GM_OK) rc = -2;
		result->bytes = kept.data != NULL ? kept.data : (const uint8_t *)"";
		result->len = value.len;
		break;
	}
	for (size_t i = 0; i < count; i++) {
		if (values[i].type == GM_TYPE_STRING) free((void *)(uintptr_t)values[i].bytes);
	}
	return rc;
}

int probe_properties(uint32_t code_point)
{
	return gm_unicode_properties(code_point);
}

uint32_t probe_simple_case(uint32_t code_point, int upper)
{
	return upper ? gm_unicode_simple_upper(code_point) : gm_unicode_simple_lower(code_point);
}
