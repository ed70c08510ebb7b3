/* Functions of text, under the names and with the meaning that they have in Trino and Athena: positions count code
 * points from 1, lower and upper map code point by code point, and what Trino refuses as an invalid argument is a
 * VALUE error here. Arguments are well-formed UTF-8, so that a search for bytes is a search for characters. */
#include <string.h>

#include "base/unicode.h"
#include "job/functions/percent.h"
#include "job/functions/result.h"
#include "job/functions/text.h"

/* Not inlined, or gcc warns of NULL where a sanitizer has checked for it. */
__attribute__((noinline)) const uint8_t *gm_text_find(const uint8_t *text, size_t n, const char *word,
                                                      size_t word_bytes)
{
	return memmem(text, n, word, word_bytes);
}

/* --- Positions ---------------------------------------------------------------------------------------------------- */

static bool is_ascii(const uint8_t *bytes, size_t n)
{
	uint8_t seen = 0;
	for (size_t i = 0; i < n; i++) seen |= bytes[i];
	return seen < 0x80;
}

/* Where code point number `count` (from 0) begins; n if there are not so many. */
static size_t offset_of(const uint8_t *bytes, size_t n, uint64_t count)
{
	if (count >= n) return n; /* a code point has at least a byte */
	if (is_ascii(bytes, (size_t)count)) return (size_t)count;
	size_t i = 0;
	for (; i < n; i++) {
		if ((bytes[i] & 0xC0) != 0x80 && count-- == 0) break;
	}
	return i;
}

enum gm_code gm_fn_length(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                          struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	(void)err;
	return gm_result_bigint(result, (int64_t)gm_utf8_length(args[0].bytes, args[0].len));
}

/* substr(string, start[, length]): start counts from 1, or from the end when negative; 0 and what lies outside is "".
 */
enum gm_code gm_fn_substr(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                          struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	const uint8_t *bytes = args[0].bytes;
	size_t n = args[0].len;
	int64_t start = args[1].i64, length = count > 2 ? args[2].i64 : INT64_MAX;
	if (start < 0) {
		int64_t total = (int64_t)gm_utf8_length(bytes, n);
		start = start < -total ? 0 : start + total + 1;
	}
	if (start == 0 || length <= 0) return gm_result_string(result, bytes, 0, err);
	size_t from = offset_of(bytes, n, (uint64_t)start - 1);
	size_t taken = offset_of(bytes + from, n - from, (uint64_t)length);
	return gm_result_string(result, bytes + from, taken, err);
}

/* The last place of needle in text[0..n) that begins before `before`. */
static const uint8_t *find_last(const uint8_t *text, size_t n, size_t before, const uint8_t *needle,
                                size_t needle_bytes)
{
	if (needle_bytes > n) return NULL;
	size_t i = before < n - needle_bytes + 1 ? before : n - needle_bytes + 1;
	while (i-- > 0) {
		if (memcmp(text + i, needle, needle_bytes) == 0) return text + i;
	}
	return NULL;
}

/* strpos(string, substring[, instance]): 0 if there are not so many; a negative instance counts from the end. */
enum gm_code gm_fn_strpos(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                          struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	const uint8_t *text = args[0].bytes, *needle = args[1].bytes, *at = NULL;
	size_t n = args[0].len, needle_bytes = args[1].len;
	int64_t instance = count > 2 ? args[2].i64 : 1;
	if (instance == 0) GM_FAIL(err, GM_VALUE, "strpos: the instance must not be 0");
	if (needle_bytes == 0) return gm_result_bigint(result, 1);
	size_t next = 0, before = n;
	for (; instance > 0; instance--) {
		at = memmem(text + next, n - next, needle, needle_bytes);
		if (at == NULL) return gm_result_bigint(result, 0);
		next = (size_t)(at - text) + 1;
	}
	for (; instance < 0; instance++) {
		at = find_last(text, n, before, needle, needle_bytes);
		if (at == NULL) return gm_result_bigint(result, 0);
		before = (size_t)(at - text);
	}
	return gm_result_bigint(result, (int64_t)gm_utf8_length(text, (size_t)(at - text)) + 1);
}

enum gm_code gm_fn_starts_with(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                               struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	(void)err;
	size_t n = args[1].len;
	return gm_result_boolean(result, args[0].len >= n && memcmp(args[0].bytes, args[1].bytes, n) == 0);
}

/* With an empty delimiter every character is a field. */
static enum gm_code split_characters(const struct gm_value *text, uint64_t index, struct gm_value *result,
                                     struct gm_error *err)
{
	size_t from = offset_of(text->bytes, text->len, index - 1);
	if (from == text->len) return gm_result_null(result, GM_TYPE_STRING);
	return gm_result_string(result, text->bytes + from, offset_of(text->bytes + from, text->len - from, 1), err);
}

/* split_part(string, delimiter, index): the index-th field from 1, null if there are not so many. */
enum gm_code gm_fn_split_part(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                              struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	const uint8_t *at = args[0].bytes, *end = at + args[0].len, *stop;
	size_t delimiter_bytes = args[1].len;
	int64_t index = args[2].i64;
	if (index <= 0) GM_FAIL(err, GM_VALUE, "split_part: the index must be greater than 0");
	if (delimiter_bytes == 0) return split_characters(&args[0], (uint64_t)index, result, err);
	while ((stop = memmem(at, (size_t)(end - at), args[1].bytes, delimiter_bytes)) != NULL && index > 1) {
		at = stop + delimiter_bytes;
		index--;
	}
	if (index > 1) return gm_result_null(result, GM_TYPE_STRING);
	return gm_result_string(result, at, (size_t)((stop != NULL ? stop : end) - at), err);
}

enum gm_code gm_fn_chr(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                       struct gm_value *result, struct gm_error *err)
{
	(void)count;
	int64_t value = args[0].i64;
	if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
		GM_FAIL(err, GM_VALUE, "chr: %lld is not a Unicode code point", (long long)value);
	GM_TRY(gm_append_code_point(&scratch->out, (uint32_t)value, err));
	return gm_result_out(result, scratch, err);
}

enum gm_code gm_fn_codepoint(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                             struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	(void)count;
	size_t used = 0;
	uint32_t code_point = args[0].len > 0 ? gm_utf8_decode(args[0].bytes, args[0].len, &used) : 0;
	if (used == 0 || used != args[0].len) GM_FAIL(err, GM_VALUE, "codepoint: the string is not a single character");
	return gm_result_bigint(result, code_point);
}

/* --- Letter case -------------------------------------------------------------------------------------------------- */

typedef uint32_t map_code_point(uint32_t code_point);

enum gm_code gm_text_map(const struct gm_value *text, bool upper, struct gm_buf *out, struct gm_error *err)
{
	map_code_point *map = upper ? gm_unicode_simple_upper : gm_unicode_simple_lower;
	for (size_t i = 0, used; i < text->len; i += used) {
		uint32_t code_point = gm_utf8_decode(text->bytes + i, text->len - i, &used);
		GM_TRY(gm_append_code_point(out, map(code_point), err));
	}
	return GM_OK;
}

static enum gm_code change_case(struct gm_function_scratch *scratch, const struct gm_value *text, bool upper,
                                struct gm_value *result, struct gm_error *err)
{
	struct gm_buf *out = &scratch->out;
	GM_TRY(gm_buf_reserve(out, text->len, err));
	bool ascii = true;
	if (text->len > 0) ascii = (upper ? gm_ascii_upper : gm_ascii_lower)(out->data + out->len, text->bytes, text->len);
	if (ascii)
		out->len += text->len;
	else
		GM_TRY(gm_text_map(text, upper, out, err));
	return gm_result_out(result, scratch, err);
}

enum gm_code gm_fn_lower(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return change_case(scratch, &args[0], false, result, err);
}

enum gm_code gm_fn_upper(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return change_case(scratch, &args[0], true, result, err);
}

/* --- Trimming and padding ----------------------------------------------------------------------------------------- */

/* White space as Java's Character.isWhitespace has it, and so Trino: without U+0085 and the spaces that forbid a break.
 */
static bool trimmed_space(uint32_t code_point)
{
	return gm_unicode_is_space(code_point) && code_point != 0x85 && code_point != 0xA0 && code_point != 0x2007 &&
	       code_point != 0x202F;
}

/* Whether the character at bytes[0..n) is to go: white space, or one of those in set. */
static bool trimmed(const uint8_t *bytes, size_t n, const struct gm_value *set)
{
	if (set != NULL) return memmem(set->bytes, set->len, bytes, n) != NULL;
	size_t used;
	return trimmed_space(gm_utf8_decode(bytes, n, &used));
}

static enum gm_code trim(const struct gm_value *args, size_t count, bool left, bool right, struct gm_value *result,
                         struct gm_error *err)
{
	const struct gm_value *set = count > 1 ? &args[1] : NULL;
	const uint8_t *bytes = args[0].bytes;
	size_t from = 0, to = args[0].len;
	while (left && from < to) {
		size_t used;
		(void)gm_utf8_decode(bytes + from, to - from, &used);
		if (!trimmed(bytes + from, used, set)) break;
		from += used;
	}
	while (right && from < to) {
		size_t start = to - 1;
		while (start > from && (bytes[start] & 0xC0) == 0x80) start--;
		if (!trimmed(bytes + start, to - start, set)) break;
		to = start;
	}
	return gm_result_string(result, bytes + from, to - from, err);
}

enum gm_code gm_fn_trim(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	return trim(args, count, true, true, result, err);
}

enum gm_code gm_fn_ltrim(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	return trim(args, count, true, false, result, err);
}

enum gm_code gm_fn_rtrim(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                         struct gm_value *result, struct gm_error *err)
{
	(void)scratch;
	return trim(args, count, false, true, result, err);
}

/* Appends `count` code points of pad, over and over. */
static enum gm_code append_padding(const struct gm_value *pad, uint64_t count, struct gm_buf *out, struct gm_error *err)
{
	uint64_t per_turn = gm_utf8_length(pad->bytes, pad->len);
	for (; count >= per_turn; count -= per_turn) GM_TRY(gm_buf_append(out, pad->bytes, pad->len, err));
	return gm_buf_append(out, pad->bytes, offset_of(pad->bytes, pad->len, count), err);
}

/* lpad, rpad(string, size, pad): cut to size, or filled up to it. */
static enum gm_code pad_to_size(struct gm_function_scratch *scratch, const struct gm_value *args, bool left,
                                struct gm_value *result, struct gm_error *err)
{
	int64_t size = args[1].i64;
	if (args[2].len == 0) GM_FAIL(err, GM_VALUE, "%s: the padding must not be empty", left ? "lpad" : "rpad");
	if (size < 0 || size > INT32_MAX)
		GM_FAIL(err, GM_VALUE, "%s: the size must be between 0 and %d", left ? "lpad" : "rpad", INT32_MAX);
	uint64_t length = gm_utf8_length(args[0].bytes, args[0].len);
	if ((uint64_t)size <= length)
		return gm_result_string(result, args[0].bytes, offset_of(args[0].bytes, args[0].len, (uint64_t)size), err);
	/* At least so many bytes; it also refuses at once what would not fit. */
	GM_TRY(gm_buf_reserve(&scratch->out, args[0].len + (size_t)((uint64_t)size - length), err));
	if (!left) GM_TRY(gm_buf_append(&scratch->out, args[0].bytes, args[0].len, err));
	GM_TRY(append_padding(&args[2], (uint64_t)size - length, &scratch->out, err));
	if (left) GM_TRY(gm_buf_append(&scratch->out, args[0].bytes, args[0].len, err));
	return gm_result_out(result, scratch, err);
}

enum gm_code gm_fn_lpad(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return pad_to_size(scratch, args, true, result, err);
}

enum gm_code gm_fn_rpad(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                        struct gm_value *result, struct gm_error *err)
{
	(void)count;
	return pad_to_size(scratch, args, false, result, err);
}

/* --- New text out of old ------------------------------------------------------------------------------------------ */

enum gm_code gm_fn_concat(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                          struct gm_value *result, struct gm_error *err)
{
	for (size_t i = 0; i < count; i++) GM_TRY(gm_buf_append(&scratch->out, args[i].bytes, args[i].len, err));
	return gm_result_out(result, scratch, err);
}

enum gm_code gm_fn_reverse(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                           struct gm_value *result, struct gm_error *err)
{
	(void)count;
	const uint8_t *bytes = args[0].bytes;
	size_t n = args[0].len;
	GM_TRY(gm_buf_reserve(&scratch->out, n, err));
	for (size_t i = 0, used; i < n; i += used) {
		(void)gm_utf8_decode(bytes + i, n - i, &used);
		memcpy(scratch->out.data + (n - i - used), bytes + i, used);
	}
	scratch->out.len = n;
	return gm_result_out(result, scratch, err);
}

/* An empty search text is found before every character and at the end. */
static enum gm_code replace_everywhere(const struct gm_value *text, const struct gm_value *with, struct gm_buf *out,
                                       struct gm_error *err)
{
	for (size_t i = 0, used; i < text->len; i += used) {
		(void)gm_utf8_decode(text->bytes + i, text->len - i, &used);
		GM_TRY(gm_buf_append(out, with->bytes, with->len, err));
		GM_TRY(gm_buf_append(out, text->bytes + i, used, err));
	}
	return gm_buf_append(out, with->bytes, with->len, err);
}

/* replace(string, search[, with]): without `with` what is found is removed. */
enum gm_code gm_fn_replace(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                           struct gm_value *result, struct gm_error *err)
{
	static const struct gm_value nothing = {.type = GM_TYPE_STRING, .bytes = (const uint8_t *)""};
	const struct gm_value *with = count > 2 ? &args[2] : &nothing;
	struct gm_buf *out = &scratch->out;
	const uint8_t *at = args[0].bytes, *end = at + args[0].len;
	if (args[1].len == 0) {
		GM_TRY(replace_everywhere(&args[0], with, out, err));
		return gm_result_out(result, scratch, err);
	}
	const uint8_t *found = memmem(at, (size_t)(end - at), args[1].bytes, args[1].len);
	if (found == NULL) return gm_result_string(result, at, args[0].len, err);
	do {
		GM_TRY(gm_buf_append(out, at, (size_t)(found - at), err));
		GM_TRY(gm_buf_append(out, with->bytes, with->len, err));
		at = found + args[1].len;
		found = memmem(at, (size_t)(end - at), args[1].bytes, args[1].len);
	} while (found != NULL);
	GM_TRY(gm_buf_append(out, at, (size_t)(end - at), err));
	return gm_result_out(result, scratch, err);
}

/* As Java's URLDecoder with UTF-8: + is a space, ill-formed UTF-8 becomes U+FFFD, a % without two digits is an error.
 */
enum gm_code gm_fn_url_decode(struct gm_function_scratch *scratch, const struct gm_value *args, size_t count,
                              struct gm_value *result, struct gm_error *err)
{
	(void)count;
	const uint8_t *bytes = args[0].bytes;
	size_t n = args[0].len, to = 0;
	if (memchr(bytes, '%', n) == NULL && memchr(bytes, '+', n) == NULL) return gm_result_string(result, bytes, n, err);
	scratch->work.len = 0;
	GM_TRY(gm_buf_reserve(&scratch->work, n, err));
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = bytes[i] == '+' ? ' ' : bytes[i];
		if (byte == '%') {
			int value = gm_percent_value(bytes + i, n - i);
			if (value < 0) GM_FAIL(err, GM_VALUE, "url_decode: a %% is not followed by two hexadecimal digits");
			byte = (uint8_t)value;
			i += 2;
		}
		scratch->work.data[to++] = byte;
	}
	GM_TRY(gm_utf8_mend(scratch->work.data, to, &scratch->out, NULL, err));
	return gm_result_out(result, scratch, err);
}
