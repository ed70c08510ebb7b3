/* Partition paths out of typed values; how a path is spelt is in base/hive.h. */
#include "base/hive.h"
#include "base/time.h"
#include "job/expr_eval.h"

#include <stdio.h>
#include <string.h>

/* The text of a value that is no string; its length. */
static enum gm_code format_value(const struct gm_value *value, char text[GM_TIME_TEXT_BYTES], size_t *n,
                                 struct gm_error *err)
{
	switch (value->type) {
	case GM_TYPE_BOOLEAN:
		*n = (size_t)snprintf(text, GM_TIME_TEXT_BYTES, "%s", value->boolean ? "true" : "false");
		return GM_OK;
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT: *n = (size_t)snprintf(text, GM_TIME_TEXT_BYTES, "%lld", (long long)value->i64); return GM_OK;
	case GM_TYPE_DATE: *n = gm_date_format_iso(value->i64, text); return GM_OK;
	default: GM_FAIL(err, GM_BUG, "a partition cannot be of type %s", gm_type_name(value->type));
	}
}

static enum gm_code append_string(struct gm_buf *out, const char *name, const struct gm_value *value,
                                  struct gm_error *err)
{
	/* Partition values are handed on as C strings. */
	if (memchr(value->bytes, 0, value->len) != NULL)
		GM_FAIL(err, GM_VALUE, "the value of partition %s holds a NUL character", name);
	/* Three bytes for one at worst; so a long value need not be escaped to be refused. */
	size_t before = out->len, escaped = SIZE_MAX;
	if (value->len <= GM_HIVE_VALUE_BYTES_MAX) {
		GM_TRY(gm_hive_append_text(out, name, value->bytes, value->len, err));
		const uint8_t *equals = memchr(out->data + before, '=', out->len - before); /* a name's own is escaped */
		escaped = (size_t)(out->data + out->len - equals) - 1;
	}
	if (escaped > GM_HIVE_VALUE_BYTES_MAX)
		GM_FAIL(err, GM_VALUE, "the value of partition %s is longer than %d bytes", name, GM_HIVE_VALUE_BYTES_MAX);
	return GM_OK;
}

enum gm_code gm_hive_append(struct gm_buf *out, const char *name, const struct gm_value *value, struct gm_error *err)
{
	char text[GM_TIME_TEXT_BYTES];
	size_t n = 0;
	if (value->null || (value->type == GM_TYPE_STRING && value->len == 0)) {
		GM_TRY(gm_hive_append_text(out, name, NULL, 0, err));
	} else if (value->type == GM_TYPE_STRING) {
		GM_TRY(append_string(out, name, value, err));
	} else {
		GM_TRY(format_value(value, text, &n, err));
		GM_TRY(gm_hive_append_text(out, name, text, n, err));
	}
	if (out->len > GM_HIVE_PATH_BYTES_MAX)
		GM_FAIL(err, GM_VALUE, "a partition's path is longer than %d bytes", GM_HIVE_PATH_BYTES_MAX);
	return GM_OK;
}
