/* quarantine_reader.c - see quarantine.h for the format, quarantine_reader.h for how it is read.
 *
 *     {"object":...,"encoding":"utf-8","raw":TEXT,"bytes":N}        parsed as a whole
 *     {"object":...,"encoding":"base64","raw":"DIGITS","bytes":N}   head, digits and tail apart
 *
 * Inside of a JSON string every quote has a backslash before it, so where the words that lead from the head to the
 * digits stand they are no part of a name or sentence. */
#include "table/quarantine_reader.h"

#include "base/json_text.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	OBJECT_BYTES = 4096,   /* of an object's name: a path, at most */
	HEAD_BYTES = 64 << 10, /* that name, each byte an escape of six, and sentences of half a kilobyte */
	LINE_BYTES = HEAD_BYTES + 6 * GM_QUARANTINE_TEXT_BYTES,
	TAIL_BYTES = 64,
	FIRST_BYTES = 2 * HEAD_BYTES,
	GROUP = 4, /* base64 digits */
};
static const uint64_t most = UINT64_C(1) << 62;

enum part {
	PART_LINE, /* a line begins here */
	PART_TEXT, /* an entry's text is in `json`, `taken` bytes of it are given */
	PART_DIGITS,
	PART_END, /* all bytes of the entry are given */
};

struct gm_quarantine_reader {
	struct gm_inflate *inflate;
	enum part part;
	uint64_t line; /* from 1 */
	bool ended;    /* nothing comes behind data[len] */
	uint8_t *data; /* inflated */
	size_t pos, len, cap;
	json_t *json; /* what was parsed of the line: texts of `head` lie in it */
	char *object; /* whose name is not UTF-8; else NULL */
	struct gm_quarantine_head head;
	uint64_t taken;   /* bytes of the entry */
	uint8_t carry[3]; /* decoded, and no room for them yet */
	size_t carried;
};

enum gm_code gm_quarantine_reader_new(struct gm_quarantine_reader **out, struct gm_error *err)
{
	struct gm_quarantine_reader *reader = calloc(1, sizeof *reader);
	*out = NULL;
	if (reader != NULL) {
		reader->inflate = gm_inflate_new();
		reader->data = malloc(FIRST_BYTES);
		reader->cap = FIRST_BYTES;
	}
	if (reader == NULL || reader->inflate == NULL || reader->data == NULL) {
		gm_quarantine_reader_free(reader);
		GM_FAIL(err, GM_NOMEM, "out of memory for reading the quarantine");
	}
	*out = reader;
	return GM_OK;
}

/* What belongs to the entry at hand. */
static void forget_entry(struct gm_quarantine_reader *reader)
{
	json_decref(reader->json);
	reader->json = NULL;
	free(reader->object);
	reader->object = NULL;
	reader->taken = reader->carried = 0;
}

void gm_quarantine_reader_free(struct gm_quarantine_reader *reader)
{
	if (reader == NULL) return;
	forget_entry(reader);
	gm_inflate_free(reader->inflate);
	free(reader->data);
	free(reader);
}

void gm_quarantine_reader_begin(struct gm_quarantine_reader *reader, gm_source_fn *source, void *context)
{
	forget_entry(reader);
	gm_inflate_begin(reader->inflate, source, context);
	reader->part = PART_LINE;
	reader->line = 0;
	reader->ended = false;
	reader->pos = reader->len = 0;
}

uint64_t gm_quarantine_reader_bytes_in(const struct gm_quarantine_reader *reader)
{
	return gm_inflate_bytes_in(reader->inflate);
}

static enum gm_code corrupt(const struct gm_quarantine_reader *reader, const char *what, struct gm_error *err)
{
	return gm_error_set(err, GM_CORRUPT, "line %" PRIu64 " of the quarantine file: %s", reader->line, what);
}

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

/* Moves what is ready to the front, with room for n bytes. */
static enum gm_code make_room(struct gm_quarantine_reader *reader, size_t n, struct gm_error *err)
{
	if (reader->pos > 0) memmove(reader->data, reader->data + reader->pos, reader->len - reader->pos);
	reader->len -= reader->pos;
	reader->pos = 0;
	if (reader->cap >= n) return GM_OK;
	uint8_t *grown = realloc(reader->data, n);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for reading the quarantine");
	reader->data = grown;
	reader->cap = n;
	return GM_OK;
}

/* Makes n bytes ready, fewer only at the end of the file. */
static enum gm_code want(struct gm_quarantine_reader *reader, size_t n, struct gm_error *err)
{
	if (reader->len - reader->pos >= n || reader->ended) return GM_OK;
	GM_TRY(make_room(reader, n, err));
	while (reader->len - reader->pos < n && !reader->ended) {
		size_t got;
		GM_TRY(gm_inflate_read(reader->inflate, reader->data + reader->len, reader->cap - reader->len, &got, err));
		reader->len += got;
		reader->ended = got == 0;
	}
	return GM_OK;
}

static size_t ready(const struct gm_quarantine_reader *reader)
{
	return reader->len - reader->pos;
}

/* --- Base64 ------------------------------------------------------------------------------------------------------- */

static int value_of(uint8_t digit)
{
	if (digit >= 'A' && digit <= 'Z') return digit - 'A';
	if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
	if (digit >= '0' && digit <= '9') return digit - '0' + 52;
	return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* The 1 to 3 bytes of a group, of which only the last may have fewer than 3; 0: it is none. */
static size_t decode_group(const uint8_t digits[GROUP], uint8_t bytes[3])
{
	uint32_t group = 0;
	size_t n = digits[3] != '=' ? 3 : digits[2] != '=' ? 2 : 1;
	for (size_t i = 0; i < GROUP; i++) {
		int value = i <= n ? value_of(digits[i]) : 0;
		if (value < 0) return 0;
		group = group << 6 | (uint32_t)value;
	}
	for (size_t i = 0; i < 3; i++) bytes[i] = (uint8_t)(group >> (16 - 8 * i));
	for (size_t i = n; i < 3; i++)
		if (bytes[i] != 0) return 0; /* bits that belong to no byte */
	return n;
}

/* ,"bytes":N} and a line break behind the digits: N must be what they were. */
static enum gm_code end_digits(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	char tail[TAIL_BYTES];
	GM_TRY(want(reader, TAIL_BYTES, err));
	int n = snprintf(tail, sizeof tail, "\",\"bytes\":%" PRIu64 "}\n", reader->taken);
	if (ready(reader) == 0) return corrupt(reader, "it is cut short", err);
	if (ready(reader) < (size_t)n || memcmp(reader->data + reader->pos, tail, (size_t)n) != 0)
		return corrupt(reader, "the bytes are not as many as they should be", err);
	reader->pos += (size_t)n;
	reader->part = PART_END;
	return GM_OK;
}

/* A group that leaves bytes over, or the last one. */
static enum gm_code take_group(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	GM_TRY(want(reader, GROUP, err));
	if (ready(reader) > 0 && reader->data[reader->pos] == '"') return end_digits(reader, err);
	if (ready(reader) < GROUP) return corrupt(reader, "it is cut short", err);
	reader->carried = decode_group(reader->data + reader->pos, reader->carry);
	if (reader->carried == 0) return corrupt(reader, "the bytes are not valid base64", err);
	reader->pos += GROUP;
	reader->taken += reader->carried;
	if (reader->carried == 3) return GM_OK;
	GM_TRY(want(reader, 1, err));
	if (ready(reader) == 0 || reader->data[reader->pos] != '"')
		return corrupt(reader, "the bytes are not valid base64", err);
	return GM_OK;
}

/* Whole groups, as many as are ready and fit. */
static size_t take_groups(struct gm_quarantine_reader *reader, uint8_t *into, size_t bytes)
{
	size_t n = 0;
	while (bytes - n >= 3 && ready(reader) >= GROUP) {
		const uint8_t *digits = reader->data + reader->pos;
		int a = value_of(digits[0]), b = value_of(digits[1]), c = value_of(digits[2]), d = value_of(digits[3]);
		if ((a | b | c | d) < 0) break;
		uint32_t group = (uint32_t)a << 18 | (uint32_t)b << 12 | (uint32_t)c << 6 | (uint32_t)d;
		into[n++] = (uint8_t)(group >> 16);
		into[n++] = (uint8_t)(group >> 8);
		into[n++] = (uint8_t)group;
		reader->pos += GROUP;
	}
	reader->taken += n;
	return n;
}

static enum gm_code read_digits(struct gm_quarantine_reader *reader, uint8_t *into, size_t bytes, size_t *got,
                                struct gm_error *err)
{
	while (*got < bytes) {
		if (reader->carried > 0) {
			into[(*got)++] = reader->carry[0];
			memmove(reader->carry, reader->carry + 1, --reader->carried);
			continue;
		}
		if (reader->part == PART_END) return GM_OK;
		*got += take_groups(reader, into + *got, bytes - *got);
		if (*got < bytes) GM_TRY(take_group(reader, err));
	}
	return GM_OK;
}

/* --- Heads -------------------------------------------------------------------------------------------------------- */

static enum gm_code parse(struct gm_quarantine_reader *reader, size_t n, struct gm_error *err)
{
	json_error_t problem;
	const char *text = (const char *)reader->data + reader->pos;
	reader->json = gm_json_load(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
	if (reader->json != NULL) return GM_OK;
	if (json_error_code(&problem) == json_error_out_of_memory)
		GM_FAIL(err, GM_NOMEM, "out of memory for reading the quarantine");
	return corrupt(reader, "it is not a JSON object", err);
}

/* A member that must be there, without a NUL. */
static enum gm_code take_text(const struct gm_quarantine_reader *reader, const char *name, const char **out,
                              struct gm_error *err)
{
	const json_t *text = json_object_get(reader->json, name);
	*out = json_string_value(text);
	if (*out != NULL && strlen(*out) == json_string_length(text) && strlen(*out) <= OBJECT_BYTES) return GM_OK;
	return corrupt(reader, "a name, a reason or a sentence is missing, too long or no text", err);
}

static enum gm_code take_number(const struct gm_quarantine_reader *reader, const char *name, uint64_t *out,
                                struct gm_error *err)
{
	const json_t *number = json_object_get(reader->json, name);
	json_int_t value = json_integer_value(number);
	*out = (uint64_t)value;
	if (json_is_integer(number) && value >= 0 && (uint64_t)value < most) return GM_OK;
	return corrupt(reader, "an offset or a number is missing, or none", err);
}

static enum gm_code take_reason(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	const char *code;
	GM_TRY(take_text(reader, "reason", &code, err));
	if (gm_reason_of(code, &reader->head.reason)) return GM_OK;
	(void)gm_error_set(err, GM_UNSUPPORTED, "line %" PRIu64 " of the quarantine file: the unknown reason '%.40s'",
	                   reader->line, code);
	return gm_error_hint(err, GM_UNSUPPORTED, "a newer gristmill may have written it");
}

/* A name that is not UTF-8 stands as base64 beside its mended form. */
static enum gm_code take_object(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	const json_t *encoded = json_object_get(reader->json, "object_base64");
	const uint8_t *digits = (const uint8_t *)json_string_value(encoded);
	size_t n = json_string_length(encoded), bytes = 0;
	GM_TRY(take_text(reader, "object", &reader->head.object, err));
	if (encoded == NULL) return GM_OK;
	if (digits == NULL || n % GROUP != 0 || n / GROUP * 3 > OBJECT_BYTES + 2)
		return corrupt(reader, "the object's name is not valid base64", err);
	reader->object = malloc(n + 1);
	if (reader->object == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for reading the quarantine");
	for (size_t i = 0; i < n; i += GROUP) {
		size_t more = decode_group(digits + i, (uint8_t *)reader->object + bytes);
		if (more == 0 || (more < 3 && i + GROUP < n))
			return corrupt(reader, "the object's name is not valid base64", err);
		bytes += more;
	}
	reader->object[bytes] = '\0';
	reader->head.object = reader->object;
	return strlen(reader->object) == bytes ? GM_OK : corrupt(reader, "the object's name holds a NUL", err);
}

static enum gm_code take_head(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	GM_TRY(take_object(reader, err));
	GM_TRY(take_text(reader, "column", &reader->head.column, err));
	GM_TRY(take_text(reader, "detail", &reader->head.detail, err));
	GM_TRY(take_number(reader, "offset", &reader->head.offset, err));
	GM_TRY(take_number(reader, "record", &reader->head.record, err));
	return take_reason(reader, err);
}

static bool has(const struct gm_quarantine_reader *reader, const char *name)
{
	return json_object_get(reader->json, name) != NULL;
}

/* --- Entries ------------------------------------------------------------------------------------------------------ */

/* The head of an entry whose digits begin behind `words`: closed here, it is an object of its own. */
static enum gm_code open_digits(struct gm_quarantine_reader *reader, uint8_t *words, size_t n, struct gm_error *err)
{
	size_t head = (size_t)(words - (reader->data + reader->pos));
	words[0] = '}';
	GM_TRY(parse(reader, head + 1, err));
	GM_TRY(take_head(reader, err));
	if (has(reader, "encoding") || has(reader, "raw") || has(reader, "bytes"))
		return corrupt(reader, "a member is given twice", err);
	reader->pos += head + n;
	reader->part = PART_DIGITS;
	reader->head.text = false;
	return GM_OK;
}

/* Finds the line break that ends the line at pos. */
static enum gm_code find_end(struct gm_quarantine_reader *reader, size_t *n, struct gm_error *err)
{
	size_t looked = 0;
	for (size_t room = HEAD_BYTES;; room = LINE_BYTES) {
		GM_TRY(want(reader, room, err));
		const uint8_t *line = reader->data + reader->pos;
		size_t have = ready(reader) < room ? ready(reader) : room;
		const uint8_t *end = memchr(line + looked, '\n', have - looked);
		looked = have;
		*n = end != NULL ? (size_t)(end - line) : have;
		if (end != NULL) return GM_OK;
		if (have < room) return corrupt(reader, "it is cut short", err);
		if (room == LINE_BYTES) return corrupt(reader, "it is longer than a line can be", err);
	}
}

static enum gm_code open_text(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	size_t n;
	uint64_t bytes;
	const char *encoding;
	GM_TRY(find_end(reader, &n, err));
	GM_TRY(parse(reader, n, err));
	GM_TRY(take_head(reader, err));
	GM_TRY(take_text(reader, "encoding", &encoding, err));
	GM_TRY(take_number(reader, "bytes", &bytes, err));
	const json_t *raw = json_object_get(reader->json, "raw");
	if (strcmp(encoding, "utf-8") != 0 || !json_is_string(raw)) return corrupt(reader, "it holds no bytes", err);
	if (json_string_length(raw) != bytes || bytes > GM_QUARANTINE_TEXT_BYTES)
		return corrupt(reader, "the bytes are not as many as they should be", err);
	reader->pos += n + 1;
	reader->part = PART_TEXT;
	reader->head.text = true;
	return GM_OK;
}

static enum gm_code skip_entry(struct gm_quarantine_reader *reader, struct gm_error *err)
{
	uint8_t bytes[4096];
	size_t got = 1;
	if (reader->part == PART_TEXT) reader->part = PART_END;
	while (got > 0) GM_TRY(gm_quarantine_reader_read(reader, bytes, sizeof bytes, &got, err));
	return GM_OK;
}

enum gm_code gm_quarantine_reader_next(struct gm_quarantine_reader *reader, const struct gm_quarantine_head **head,
                                       struct gm_error *err)
{
	static const char words[] = ",\"encoding\":\"base64\",\"raw\":\"";
	*head = NULL;
	if (reader->part != PART_LINE) GM_TRY(skip_entry(reader, err));
	forget_entry(reader);
	reader->part = PART_LINE;
	reader->line++;
	GM_TRY(want(reader, HEAD_BYTES, err));
	if (ready(reader) == 0) return GM_OK;
	uint8_t *line = reader->data + reader->pos;
	size_t n = ready(reader) < HEAD_BYTES ? ready(reader) : HEAD_BYTES;
	const uint8_t *end = memchr(line, '\n', n);
	uint8_t *found = memmem(line, end != NULL ? (size_t)(end - line) : n, words, sizeof words - 1);
	if (found != NULL)
		GM_TRY(open_digits(reader, found, sizeof words - 1, err));
	else
		GM_TRY(open_text(reader, err));
	*head = &reader->head;
	return GM_OK;
}

enum gm_code gm_quarantine_reader_read(struct gm_quarantine_reader *reader, void *into, size_t bytes, size_t *got,
                                       struct gm_error *err)
{
	*got = 0;
	if (reader->part == PART_DIGITS || reader->carried > 0) return read_digits(reader, into, bytes, got, err);
	if (reader->part != PART_TEXT) return GM_OK;
	const json_t *raw = json_object_get(reader->json, "raw");
	size_t left = json_string_length(raw) - (size_t)reader->taken;
	*got = left < bytes ? left : bytes;
	memcpy(into, json_string_value(raw) + reader->taken, *got);
	reader->taken += *got;
	if (*got == 0) reader->part = PART_END;
	return GM_OK;
}
