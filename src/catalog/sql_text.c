/* Standard SQL knows one special byte in a literal, the quote, and doubles it. Hive's grammar, and Spark's after it,
 * take a backslash for an escape, and two quotes side by side for two literals in a row, which Spark joins: doubling
 * would lose the quote. Both replace ${name} in a statement before they parse it. */
#include "catalog/sql_text.h"

#include <string.h>

static enum gm_code append(struct gm_buf *out, const char *text, struct gm_error *err)
{
	return gm_buf_append(out, text, strlen(text), err);
}

static enum gm_code quote_doubled(struct gm_buf *out, char quote, const char *text, struct gm_error *err)
{
	GM_TRY(gm_buf_append(out, &quote, 1, err));
	for (; *text != '\0'; text++) {
		if (*text == quote) GM_TRY(gm_buf_append(out, &quote, 1, err));
		GM_TRY(gm_buf_append(out, text, 1, err));
	}
	return gm_buf_append(out, &quote, 1, err);
}

enum gm_code gm_sql_name(struct gm_buf *out, char quote, const char *name, struct gm_error *err)
{
	return quote_doubled(out, quote, name, err);
}

enum gm_code gm_sql_literal(struct gm_buf *out, const char *text, struct gm_error *err)
{
	return quote_doubled(out, '\'', text, err);
}

static enum gm_code escape(struct gm_buf *out, const char *at, struct gm_error *err)
{
	switch (*at) {
	case '\'': return append(out, "\\'", err);
	case '\\': return append(out, "\\\\", err);
	case '\n': return append(out, "\\n", err);
	case '\r': return append(out, "\\r", err);
	case '\t': return append(out, "\\t", err);
	default: break;
	}
	bool control = (unsigned char)*at < 0x20 || *at == 0x7F, variable = at[0] == '$' && at[1] == '{';
	if (control || variable) return gm_buf_printf(out, err, "\\u%04x", (unsigned)*at);
	return gm_buf_append(out, at, 1, err);
}

enum gm_code gm_sql_hive_literal(struct gm_buf *out, const char *text, struct gm_error *err)
{
	GM_TRY(append(out, "'", err));
	for (; *text != '\0'; text++) GM_TRY(escape(out, text, err));
	return append(out, "'", err);
}

enum gm_code gm_sql_remark(struct gm_buf *out, const char *text, struct gm_error *err)
{
	GM_TRY(append(out, "-- ", err));
	for (; *text != '\0'; text++) {
		bool control = (unsigned char)*text < 0x20 || *text == 0x7F;
		GM_TRY(gm_buf_append(out, control ? " " : text, 1, err));
	}
	return append(out, "\n", err);
}
