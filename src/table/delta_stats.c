/* Statistics of an added file, a JSON text inside the action:
 *
 *     {"numRecords":3,"minValues":{"id":1,"at":"2024-03-10T22:01:24.084Z"},"maxValues":{...},"nullCount":{"id":0}}
 *
 * Readers leave out files by them, so a bound may be wide but never tight in the wrong direction. Timestamps have
 * milliseconds, the maximum rounded up. Strings are cut at 32 characters, a maximum's last character then being raised.
 * The first 32 columns are told of.
 *
 * A value that JSON or ISO 8601 cannot hold has no bound, and then the file has none at all. The protocol would let
 * just that column be left out, but delta-rs, where a file has any bounds, takes a column without them for "at least
 * null" when it makes an Arrow data set of the table, and leaves out the file whatever is asked of that column. */
#include "table/delta_internal.h"

#include "base/time.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

enum {
	COLUMNS = 32,
	CHARACTERS = 32,
};

/* --- Strings ------------------------------------------------------------------------------------------------------ */

/* The first characters of a string: how many bytes. Bytes that are no UTF-8 end it. */
static size_t prefix_bytes(const uint8_t *bytes, size_t n)
{
	size_t at = 0, used;
	n = gm_utf8_valid_prefix(bytes, n);
	for (int i = 0; i < CHARACTERS && at < n; i++) {
		(void)gm_utf8_decode(bytes + at, n - at, &used);
		at += used;
	}
	return at;
}

static size_t last_character(const uint8_t *bytes, size_t n)
{
	while (n > 0 && (bytes[n - 1] & 0xC0) == 0x80) n--;
	return n - 1;
}

/* The next code point that is a character, surrogates being none; 0: there is none. */
static uint32_t successor(uint32_t character)
{
	if (character == 0x10FFFF) return 0;
	return character == 0xD7FF ? 0xE000 : character + 1;
}

static json_t *min_string(const struct gm_delta_column_stats *column)
{
	return json_stringn((const char *)column->min_bytes, prefix_bytes(column->min_bytes, column->min_len));
}

/* Above every string that begins as max does: the prefix with its last character raised, or the one before it. */
static json_t *max_string(const struct gm_delta_column_stats *column)
{
	uint8_t text[CHARACTERS * 4 + 4];
	size_t n = prefix_bytes(column->max_bytes, column->max_len), used;
	if (n == column->max_len) return json_stringn((const char *)column->max_bytes, n);
	memcpy(text, column->max_bytes, n);
	while (n > 0) {
		n = last_character(text, n);
		uint32_t raised = successor(gm_utf8_decode(text + n, sizeof text - n, &used));
		if (raised == 0) continue;
		n += gm_utf8_encode(raised, text + n);
		return json_stringn((const char *)text, n);
	}
	return json_null();
}

/* --- Bounds ------------------------------------------------------------------------------------------------------- */

static json_t *time_json(int64_t us, bool up)
{
	char text[GM_TIME_TEXT_BYTES];
	if (us < GM_TIME_MIN || us > GM_TIME_MAX) return json_null();
	int64_t past = (us % 1000 + 1000) % 1000;
	if (up && past != 0) us += 1000 - past;
	if (us > GM_TIME_MAX) return json_null();
	return json_stringn(text, gm_time_format_iso(us, 3, text));
}

static json_t *date_json(int64_t days)
{
	char text[GM_TIME_TEXT_BYTES];
	int64_t first = GM_TIME_MIN / GM_US_PER_DAY, last = GM_TIME_MAX / GM_US_PER_DAY;
	return days < first || days > last ? json_null() : json_stringn(text, gm_date_format_iso(days, text));
}

/* A bound as JSON, null if there is none to tell; NULL: memory is gone. */
static json_t *bound_json(const struct gm_delta_column_stats *column, bool max)
{
	int64_t i64 = max ? column->max_i64 : column->min_i64;
	double f64 = max ? column->max_f64 : column->min_f64;
	switch (column->type) {
	case GM_TYPE_BOOLEAN: return json_boolean(i64 != 0);
	case GM_TYPE_INT:
	case GM_TYPE_BIGINT: return json_integer((json_int_t)i64);
	case GM_TYPE_DOUBLE: return isfinite(f64) ? json_real(f64) : json_null();
	case GM_TYPE_STRING: return max ? max_string(column) : min_string(column);
	case GM_TYPE_DATE: return date_json(i64);
	case GM_TYPE_TIMESTAMP: return time_json(i64, max);
	}
	return json_null();
}

/* *complete: becomes false if the column has values and no bound. */
static int set_bound(json_t *bounds, const struct gm_delta_column_stats *column, bool max, bool *complete)
{
	json_t *bound = column->has_bounds ? bound_json(column, max) : json_null();
	if (!json_is_null(bound)) return json_object_set_new(bounds, column->name, bound);
	*complete = false;
	return 0;
}

enum gm_code gm_delta_stats(uint64_t rows, const struct gm_delta_column_stats *columns, size_t count,
                            struct gm_buf *out, struct gm_error *err)
{
	json_t *min = json_object(), *max = json_object(), *nulls = json_object();
	json_t *stats = json_pack("{s:I, s:o, s:o, s:o}", "numRecords", (json_int_t)rows, "minValues", min, "maxValues",
	                          max, "nullCount", nulls);
	int failed = stats == NULL;
	bool complete = true;
	for (size_t i = 0; failed == 0 && i < count && i < COLUMNS; i++) {
		const struct gm_delta_column_stats *column = &columns[i];
		failed |= json_object_set_new(nulls, column->name, json_integer((json_int_t)column->nulls));
		if (column->nulls >= rows) continue;
		failed |= set_bound(min, column, false, &complete);
		failed |= set_bound(max, column, true, &complete);
	}
	if (failed == 0 && !complete) {
		(void)json_object_del(stats, "minValues");
		(void)json_object_del(stats, "maxValues");
	}
	enum gm_code code = gm_json_text(failed == 0 ? stats : NULL, out, err);
	json_decref(stats);
	return code;
}
