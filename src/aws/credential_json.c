/* credential_json.c - RFC 8259, read in place.
 *
 * A string is never longer decoded than written, so it is decoded over itself, and its closing quotation mark makes
 * room for the NUL. */
#include "aws/credential_json.h"

#include "base/utf8.h"

#include <string.h>

enum { DEPTH_MAX = 32, INTEGER_DIGITS_MAX = 15 };

struct reader {
	char *text;
	size_t at, n;
	struct gm_error *err;
};

static enum gm_code fail(const struct reader *reader, const char *what)
{
	GM_FAIL(reader->err, GM_CORRUPT, "it is not the JSON that it should be: %s at byte %zu", what, reader->at);
}

/* The next byte that is not white space, '\0' at the end. */
static char peek(struct reader *reader)
{
	while (reader->at < reader->n && memchr(" \t\r\n", reader->text[reader->at], 4) != NULL) reader->at++;
	return reader->at < reader->n ? reader->text[reader->at] : '\0';
}

static enum gm_code expect(struct reader *reader, char c, const char *what)
{
	if (peek(reader) != c || reader->at == reader->n) return fail(reader, what);
	reader->at++;
	return GM_OK;
}

/* --- Strings ------------------------------------------------------------------------------------------------------ */

static bool read_hex4(struct reader *reader, uint32_t *unit)
{
	*unit = 0;
	if (reader->n - reader->at < 4) return false;
	for (size_t i = 0; i < 4; i++) {
		char c = reader->text[reader->at + i];
		uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
		                 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
		                 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
		                                        : 16;
		if (digit == 16) return false;
		*unit = *unit << 4 | digit;
	}
	reader->at += 4;
	return true;
}

/* Behind "\u". Six bytes become at most three, twelve become four. */
static enum gm_code read_unicode(struct reader *reader, char **to)
{
	uint32_t unit, low;
	if (!read_hex4(reader, &unit)) return fail(reader, "a \\u without four digits");
	if (unit >= 0xD800 && unit < 0xDC00) {
		bool pair = reader->n - reader->at >= 2 && memcmp(reader->text + reader->at, "\\u", 2) == 0;
		if (pair) reader->at += 2;
		if (!pair || !read_hex4(reader, &low) || low < 0xDC00 || low > 0xDFFF) return fail(reader, "half a character");
		unit = 0x10000 + ((unit - 0xD800) << 10 | (low - 0xDC00));
	} else if (unit >= 0xDC00 && unit <= 0xDFFF) {
		return fail(reader, "half a character");
	}
	if (unit == 0) return fail(reader, "a NUL");
	*to += gm_utf8_encode(unit, (uint8_t *)*to);
	return GM_OK;
}

static enum gm_code read_escape(struct reader *reader, char **to)
{
	static const char written[] = "\"\\/bfnrtu", meant[] = "\"\\/\b\f\n\r\t";
	const char *which = reader->at < reader->n ? memchr(written, reader->text[reader->at], sizeof written - 1) : NULL;
	if (which == NULL) return fail(reader, "an unknown escape");
	reader->at++;
	if (*which == 'u') return read_unicode(reader, to);
	*(*to)++ = meant[which - written];
	return GM_OK;
}

/* At a quotation mark. */
static enum gm_code read_string(struct reader *reader, char **out)
{
	if (peek(reader) != '"') return fail(reader, "no string");
	char *start = reader->text + ++reader->at, *to = start;
	while (reader->at < reader->n && reader->text[reader->at] != '"') {
		char c = reader->text[reader->at++];
		if ((unsigned char)c < ' ') return fail(reader, "a control character");
		if (c == '\\')
			GM_TRY(read_escape(reader, &to));
		else
			*to++ = c;
	}
	if (reader->at == reader->n) return fail(reader, "a string without an end");
	reader->at++;
	*to = '\0';
	if (gm_utf8_valid_prefix((const uint8_t *)start, (size_t)(to - start)) != (size_t)(to - start))
		return fail(reader, "a string that is not UTF-8");
	*out = start;
	return GM_OK;
}

/* --- Other values ------------------------------------------------------------------------------------------------- */

static size_t read_digits(struct reader *reader)
{
	size_t from = reader->at;
	while (reader->at < reader->n && reader->text[reader->at] >= '0' && reader->text[reader->at] <= '9') reader->at++;
	return reader->at - from;
}

static bool take(struct reader *reader, const char *any)
{
	bool taken =
	    reader->at < reader->n && strchr(any, reader->text[reader->at]) != NULL && reader->text[reader->at] != '\0';
	reader->at += taken;
	return taken;
}

static enum gm_code read_number(struct reader *reader, bool *is_integer)
{
	(void)take(reader, "-");
	size_t from = reader->at, digits = read_digits(reader);
	if (digits == 0 || (digits > 1 && reader->text[from] == '0')) return fail(reader, "no value");
	*is_integer = true;
	if (take(reader, ".")) {
		*is_integer = false;
		if (read_digits(reader) == 0) return fail(reader, "half a number");
	}
	if (take(reader, "eE")) {
		*is_integer = false;
		(void)take(reader, "+-");
		if (read_digits(reader) == 0) return fail(reader, "half a number");
	}
	return GM_OK;
}

static bool take_word(struct reader *reader, const char *word)
{
	size_t n = strlen(word);
	if (reader->n - reader->at < n || memcmp(reader->text + reader->at, word, n) != 0) return false;
	reader->at += n;
	return true;
}

/* Anything but an object or array. */
static enum gm_code skip_scalar(struct reader *reader)
{
	char *unused;
	bool is_integer;
	if (peek(reader) == '"') return read_string(reader, &unused);
	if (take_word(reader, "true") || take_word(reader, "false") || take_word(reader, "null")) return GM_OK;
	return read_number(reader, &is_integer);
}

/* Behind a value inside of `depth` brackets, of which a bit of `objects` says whether it is an object: goes on to where
 * the next value begins, or to the end of all. */
static enum gm_code skip_to_next(struct reader *reader, uint32_t *objects, unsigned *depth)
{
	char *name;
	while (*depth > 0) {
		bool object = (*objects & 1) != 0;
		char c = peek(reader);
		if (c == (object ? '}' : ']')) {
			reader->at++;
			*objects >>= 1;
			(*depth)--;
			continue;
		}
		GM_TRY(expect(reader, ',', "no comma"));
		if (!object) return GM_OK;
		GM_TRY(read_string(reader, &name));
		return expect(reader, ':', "no colon");
	}
	return GM_OK;
}

static enum gm_code skip_value(struct reader *reader)
{
	uint32_t objects = 0;
	unsigned depth = 0;
	char *name;
	do {
		char c = peek(reader);
		if (c != '{' && c != '[') {
			GM_TRY(skip_scalar(reader));
			GM_TRY(skip_to_next(reader, &objects, &depth));
			continue;
		}
		if (depth == DEPTH_MAX - 1) return fail(reader, "nesting too deep");
		reader->at++;
		objects = objects << 1 | (c == '{');
		depth++;
		if (peek(reader) == (c == '{' ? '}' : ']')) {
			GM_TRY(skip_to_next(reader, &objects, &depth));
		} else if (c == '{') {
			GM_TRY(read_string(reader, &name));
			GM_TRY(expect(reader, ':', "no colon"));
		}
	} while (depth > 0);
	return GM_OK;
}

/* --- Members ------------------------------------------------------------------------------------------------------ */

static enum gm_code read_integer(struct reader *reader, int64_t *out)
{
	bool is_integer;
	size_t from = reader->at;
	GM_TRY(read_number(reader, &is_integer));
	bool negative = reader->text[from] == '-';
	from += negative;
	if (!is_integer || reader->at - from > INTEGER_DIGITS_MAX) return fail(reader, "no integer");
	*out = 0;
	for (; from < reader->at; from++) *out = *out * 10 + (reader->text[from] - '0');
	if (negative) *out = -*out;
	return GM_OK;
}

static enum gm_code read_member(struct reader *reader, struct gm_json_member *member)
{
	char *text;
	if (member->there) GM_FAIL(reader->err, GM_CORRUPT, "it has %s twice", member->name);
	char c = peek(reader);
	if (c == 'n') return skip_value(reader);
	bool right = member->is_integer ? c == '-' || (c >= '0' && c <= '9') : c == '"';
	if (!right)
		GM_FAIL(reader->err, GM_CORRUPT, "its %s is not %s", member->name,
		        member->is_integer ? "an integer" : "a string");
	member->there = true;
	if (member->is_integer) return read_integer(reader, &member->integer);
	GM_TRY(read_string(reader, &text));
	member->text = text;
	return GM_OK;
}

static struct gm_json_member *find(struct gm_json_member *members, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(members[i].name, name) == 0) return &members[i];
	return NULL;
}

enum gm_code gm_credential_json_read(char *text, size_t n, struct gm_json_member *members, size_t count,
                                     struct gm_error *err)
{
	struct reader reader = {text, 0, n, err};
	char *name;
	for (size_t i = 0; i < count; i++) {
		members[i].there = false;
		members[i].text = NULL;
		members[i].integer = 0;
	}
	GM_TRY(expect(&reader, '{', "no object"));
	if (peek(&reader) != '}') {
		do {
			GM_TRY(read_string(&reader, &name));
			GM_TRY(expect(&reader, ':', "no colon"));
			struct gm_json_member *member = find(members, count, name);
			GM_TRY(member != NULL ? read_member(&reader, member) : skip_value(&reader));
		} while (peek(&reader) == ',' && reader.at++ < n);
	}
	GM_TRY(expect(&reader, '}', "no comma"));
	(void)peek(&reader);
	return reader.at == n ? GM_OK : fail(&reader, "something behind its end");
}
