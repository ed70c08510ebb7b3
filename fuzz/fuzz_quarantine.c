/* fuzz_quarantine.c - any bytes as a quarantine file: what is read, and how it ends, does not depend on how the bytes
 * are handed over or taken; and each line that is taken is what a JSON parser and a plain decoder of base64 make of it.
 */
#include "table/quarantine_reader.h"
#include "pieces.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 20 }; /* output looked at; a bomb is left alone behind it */

/* Entries one after the other: head, bytes, and how it ended. */
struct text {
	char data[MOST];
	size_t n;
	bool full;
};

static void add(struct text *text, const void *bytes, size_t n)
{
	if (n > MOST - text->n) {
		text->full = true;
		return;
	}
	memcpy(text->data + text->n, bytes, n);
	text->n += n;
}

static void add_word(struct text *text, const char *word)
{
	add(text, word, strlen(word) + 1);
}

static void add_head(struct text *text, const struct gm_quarantine_head *head)
{
	add_word(text, head->object);
	add(text, &head->offset, sizeof head->offset);
	add(text, &head->record, sizeof head->record);
	add_word(text, gm_reason_code(head->reason));
	add_word(text, head->column);
	add_word(text, head->detail);
}

static enum gm_code read_in(const uint8_t *data, size_t n, size_t step, size_t room, struct text *out,
                            struct gm_error *err)
{
	static uint8_t piece[65536];
	struct pieces p = {data, n, 0, step};
	struct gm_quarantine_reader *reader;
	const struct gm_quarantine_head *head;
	enum gm_code rc = gm_quarantine_reader_new(&reader, err);
	out->n = 0;
	out->full = false;
	if (rc != GM_OK) return rc;
	gm_quarantine_reader_begin(reader, give, &p);
	while (!out->full && (rc = gm_quarantine_reader_next(reader, &head, err)) == GM_OK && head != NULL) {
		size_t got = 1;
		add_head(out, head);
		while (got > 0 && !out->full) {
			rc = gm_quarantine_reader_read(reader, piece, room, &got, err);
			if (rc != GM_OK) got = 0;
			add(out, piece, got);
		}
		if (rc != GM_OK) break;
		add_word(out, ".");
	}
	gm_quarantine_reader_free(reader);
	return rc;
}

/* --- The plain way ------------------------------------------------------------------------------------------------ */

static void add_base64(struct text *out, const char *digits)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned group = 0, bits = 0;
	for (; *digits != '\0' && *digits != '='; digits++) {
		const char *at = strchr(alphabet, *digits);
		if (at == NULL) abort();
		group = group << 6 | (unsigned)(at - alphabet);
		bits += 6;
		if (bits < 8) continue;
		bits -= 8;
		uint8_t byte = (uint8_t)(group >> bits);
		add(out, &byte, 1);
	}
}

static const char *word_of(const json_t *line, const char *name)
{
	const char *word = json_string_value(json_object_get(line, name));
	if (word == NULL) abort();
	return word;
}

static void add_line(struct text *out, const json_t *line)
{
	uint64_t offset = (uint64_t)json_integer_value(json_object_get(line, "offset"));
	uint64_t record = (uint64_t)json_integer_value(json_object_get(line, "record"));
	const json_t *raw = json_object_get(line, "raw"), *object = json_object_get(line, "object_base64");
	if (object != NULL) {
		add_base64(out, json_string_value(object));
		add_word(out, "");
	} else {
		add_word(out, word_of(line, "object"));
	}
	add(out, &offset, sizeof offset);
	add(out, &record, sizeof record);
	add_word(out, word_of(line, "reason"));
	add_word(out, word_of(line, "column"));
	add_word(out, word_of(line, "detail"));
	if (strcmp(word_of(line, "encoding"), "base64") == 0)
		add_base64(out, json_string_value(raw));
	else
		add(out, json_string_value(raw), json_string_length(raw));
	add_word(out, ".");
}

/* A file that was taken, uncompressed. */
static void read_lines(const uint8_t *data, size_t n, struct text *out)
{
	out->n = 0;
	out->full = false;
	for (const uint8_t *end; n > 0; n -= (size_t)(end + 1 - data), data = end + 1) {
		json_error_t error;
		end = memchr(data, '\n', n);
		if (end == NULL) abort();
		json_t *line =
		    json_loadb((const char *)data, (size_t)(end - data), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
		if (line == NULL) abort();
		add_line(out, line);
		json_decref(line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = {1, 2, 7, 64, 1000}, rooms[] = {1, 3, 100, 4096, 65536};
	static struct text first, second;
	struct gm_error err, err2;
	if (size < 1) return 0;
	size_t step = steps[data[0] % 5], room = rooms[data[0] / 5 % 5];
	data++, size--;
	enum gm_code rc = read_in(data, size, SIZE_MAX, 65536, &first, &err);
	enum gm_code rc2 = read_in(data, size, step, room, &second, &err2);
	if (first.full || second.full || rc == GM_NOMEM || rc2 == GM_NOMEM) return 0;
	if (rc != GM_OK && rc != GM_CORRUPT && rc != GM_UNSUPPORTED) abort();
	if (rc != rc2) abort();
	/* How much comes before damage depends on the room, but never what. */
	if (rc == GM_OK && first.n != second.n) abort();
	if (memcmp(first.data, second.data, first.n < second.n ? first.n : second.n) != 0) abort();
	bool plain = size == 0 || data[0] == '{';
	if (rc != GM_OK || !plain) return 0;
	read_lines(data, size, &second);
	if (first.n != second.n || memcmp(first.data, second.data, first.n) != 0) abort();
	return 0;
}
