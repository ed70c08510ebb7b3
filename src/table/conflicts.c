#include "table/conflicts.h"

#include "base/time.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = GM_TIME_TEXT_BYTES > 40 ? GM_TIME_TEXT_BYTES : 40 };

/* Not in the middle of a character. */
static uint32_t cut_text(const uint8_t *text, uint32_t len, uint32_t most)
{
	if (len <= most) return len;
	while (most > 0 && (text[most] & 0xC0) == 0x80) most--;
	return most;
}

/* A value that is no string, as text; *quoted: JSON needs it in quotes. */
static void format_value(const struct gm_vec *vec, uint32_t row, char text[NUMBER_BYTES], bool *quoted)
{
	*quoted = vec->type == GM_TYPE_DATE || vec->type == GM_TYPE_TIMESTAMP;
	if (vec->repr == GM_REPR_BOOL) {
		(void)snprintf(text, NUMBER_BYTES, "%s", vec->boolean[row] != 0 ? "true" : "false");
	} else if (vec->repr == GM_REPR_F64) {
		*quoted = !isfinite(vec->f64[row]);
		(void)snprintf(text, NUMBER_BYTES, "%.17g", vec->f64[row]);
	} else if (vec->repr != GM_REPR_I64) {
		(void)snprintf(text, NUMBER_BYTES, "null");
	} else if (vec->type == GM_TYPE_TIMESTAMP) {
		(void)gm_time_format_iso(vec->i64[row], 6, text);
	} else if (vec->type == GM_TYPE_DATE && vec->i64[row] >= INT32_MIN && vec->i64[row] <= INT32_MAX) {
		(void)gm_date_format_iso(vec->i64[row], text);
	} else {
		(void)snprintf(text, NUMBER_BYTES, "%" PRId64, vec->i64[row]);
	}
}

static bool is_string(const struct gm_vec *vec)
{
	return vec->repr == GM_REPR_DICT || vec->repr == GM_REPR_PLAIN;
}

static enum gm_code write_value(struct gm_ndjson *file, const struct gm_vec *vec, uint32_t row, struct gm_error *err)
{
	char text[NUMBER_BYTES];
	bool quoted;
	if (gm_vec_is_null(vec, row)) return gm_ndjson_word(file, "null", err);
	if (is_string(vec)) {
		uint32_t len;
		const uint8_t *bytes = gm_vec_string(vec, row, &len);
		return gm_ndjson_mended(file, bytes, cut_text(bytes, len, GM_CONFLICT_TEXT_BYTES), err);
	}
	format_value(vec, row, text, &quoted);
	if (quoted) return gm_ndjson_string(file, (const uint8_t *)text, strlen(text), err);
	return gm_ndjson_word(file, text, err);
}

enum gm_code gm_conflict_write(struct gm_ndjson *file, const struct gm_conflict *conflict, struct gm_error *err)
{
	char numbers[80];
	const char *winner = conflict->winner != NULL ? conflict->winner : "run";
	GM_TRY(gm_ndjson_word(file, "{", err));
	GM_TRY(gm_ndjson_object(file, conflict->object, err));
	(void)snprintf(numbers, sizeof numbers,
	               ",\"record\":%" PRIu64 ",\"offset\":%" PRIu64 ",\"partition\":", conflict->record, conflict->offset);
	GM_TRY(gm_ndjson_word(file, numbers, err));
	GM_TRY(gm_ndjson_mended(file, conflict->partition, conflict->partition_bytes, err));
	for (size_t i = 0; i < conflict->key_count; i++) {
		GM_TRY(gm_ndjson_word(file, i == 0 ? ",\"key\":[" : ",", err));
		GM_TRY(write_value(file, conflict->key[i].vec, conflict->key[i].first + conflict->row, err));
	}
	GM_TRY(gm_ndjson_word(file, "],\"winner\":", err));
	GM_TRY(gm_ndjson_mended(file, (const uint8_t *)winner, strlen(winner), err));
	return gm_ndjson_word(file, "}\n", err);
}

static void say_value(const struct gm_vec *vec, uint32_t row, char *text, size_t room)
{
	enum { SHOWN = 80 };
	char number[NUMBER_BYTES];
	bool quoted;
	if (!is_string(vec)) {
		format_value(vec, row, number, &quoted);
		(void)snprintf(text, room, "%s", number);
		return;
	}
	uint32_t len;
	const uint8_t *bytes = gm_vec_string(vec, row, &len);
	uint32_t shown = cut_text(bytes, len, SHOWN);
	(void)snprintf(text, room, "\"%.*s%s\"", (int)shown, (const char *)bytes, shown < len ? "..." : "");
}

void gm_conflict_say(const struct gm_conflict *conflict, char *line, size_t room)
{
	char value[120];
	size_t n = 0;
	int wrote = snprintf(line, room, "%s: record %" PRIu64 " at byte %" PRIu64 ": key ", conflict->object,
	                     conflict->record, conflict->offset);
	for (size_t i = 0; wrote >= 0 && i < conflict->key_count; i++) {
		n += (size_t)wrote;
		if (n >= room) return;
		say_value(conflict->key[i].vec, conflict->key[i].first + conflict->row, value, sizeof value);
		wrote = snprintf(line + n, room - n, "%s%s", i > 0 ? ", " : "", value);
	}
	n += wrote > 0 ? (size_t)wrote : 0;
	if (n >= room) return;
	(void)snprintf(line + n, room - n, " says something else than the row that was kept, %s%s",
	               conflict->winner != NULL ? "in " : "of an earlier record",
	               conflict->winner != NULL ? conflict->winner : "");
}
