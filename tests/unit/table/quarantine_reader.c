/* Quarantine files read back: what gristmill wrote, what Python wrote, and what nobody should have written. */
#include "table/quarantine_reader.h"
#include "../must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A file given in pieces of at most `step` bytes. */
struct file {
	const uint8_t *bytes;
	size_t n, pos, step;
};

static enum gm_code give(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	struct file *file = context;
	(void)err;
	*got = file->n - file->pos;
	if (*got > bytes) *got = bytes;
	if (*got > file->step) *got = file->step;
	memcpy(into, file->bytes + file->pos, *got);
	file->pos += *got;
	return GM_OK;
}

static struct gm_quarantine_reader *open_reader(struct file *file)
{
	struct gm_quarantine_reader *reader;
	must(gm_quarantine_reader_new(&reader, &failure));
	gm_quarantine_reader_begin(reader, give, file);
	return reader;
}

/* The bytes of the entry at hand, read `room` at a time. */
static enum gm_code read_bytes(struct gm_quarantine_reader *reader, size_t room, struct gm_buf *bytes)
{
	uint8_t piece[8192];
	size_t got = 1;
	bytes->len = 0;
	while (got > 0) {
		GM_TRY(gm_quarantine_reader_read(reader, piece, room, &got, &failure));
		GM_TRY(gm_buf_append(bytes, piece, got, &failure));
	}
	return GM_OK;
}

/* Reads all of a file; the entries before a failure are counted. */
static enum gm_code read_file(struct file file, size_t *entries)
{
	const struct gm_quarantine_head *head;
	struct gm_buf bytes;
	struct gm_quarantine_reader *reader = open_reader(&file);
	gm_buf_init(&bytes, 1 << 20);
	enum gm_code rc = gm_quarantine_reader_next(reader, &head, &failure);
	for (*entries = 0; rc == GM_OK && head != NULL; (*entries)++) {
		rc = read_bytes(reader, 1000, &bytes);
		if (rc == GM_OK) rc = gm_quarantine_reader_next(reader, &head, &failure);
	}
	gm_buf_release(&bytes);
	gm_quarantine_reader_free(reader);
	return rc;
}

static enum gm_code read_text(const char *text, size_t *entries)
{
	return read_file((struct file){(const uint8_t *)text, strlen(text), 0, SIZE_MAX}, entries);
}

/* --- What gristmill wrote ----------------------------------------------------------------------------------------- */

static const char key[] = "_gristmill/j/quarantine/1/u.ndjson.gz";
enum { MOST = 3 << 20 };

static uint8_t noise[MOST];

/* Entry number i: its length and where in the noise it lies. The first 96 KiB of the noise are text. */
static size_t length_of(unsigned i)
{
	static const size_t large[] = {
	    GM_QUARANTINE_TEXT_BYTES - 1, GM_QUARANTINE_TEXT_BYTES, GM_QUARANTINE_TEXT_BYTES + 1, MOST, MOST - 1, MOST - 2};
	return i < 300 ? i : large[(i - 300) % 6];
}
static const uint8_t *bytes_of(unsigned i)
{
	return noise + (i < 300 && i % 2 == 0 ? (96 << 10) : 0);
}
enum { ENTRIES = 306 };

static struct gm_reject reject_of(unsigned i)
{
	static const char *const sentences[] = {"", "a sentence", "with \"quotes\", \\ and \x01", "caf\xc3\xa9"};
	static char column[32];
	(void)snprintf(column, sizeof column, "column %u", i);
	return (struct gm_reject){.reason = (enum gm_reason)(i % (GM_REASON_EXPRESSION + 1)),
	                          .record = UINT64_C(1) << i % 62,
	                          .offset = (UINT64_C(1) << i % 62) - 1,
	                          .column = column,
	                          .detail = sentences[i % 4]};
}

static const char *object_of(unsigned i)
{
	static const char *const names[] = {"a.gz", "day=\xc3\xa9/\"b\"\\.gz", "\xff\xfe,\"raw\":\"", "\x01",
	                                    ",\"encoding\":\"base64\",\"raw\":\""};
	return names[i % 5];
}

static void make_noise(void)
{
	uint32_t state = 1;
	for (size_t i = 0; i < MOST; i++) {
		state = state * 1664525U + 1013904223U;
		noise[i] = (uint8_t)(state >> 24);
	}
	for (size_t i = 0; i < 96 << 10; i++) noise[i] &= 0x7F;
}

static void write_entries(struct gm_buf *file)
{
	struct gm_store *store;
	struct gm_quarantine *quarantine;
	char token[GM_TOKEN_BYTES];
	uint64_t bytes, hash[2];
	must(gm_store_open_memory(&store, &failure));
	must(gm_quarantine_new(store, key, "_gristmill/j/work/1/", &quarantine, &failure));
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct gm_reject reject = reject_of(i);
		must(gm_quarantine_add(quarantine, object_of(i), &reject, bytes_of(i), length_of(i), true, &failure));
	}
	must(gm_quarantine_finish(quarantine, token, &bytes, hash, &failure));
	gm_quarantine_free(quarantine);
	must(gm_store_publish(store, token, key, &failure));
	gm_buf_init(file, 64 << 20);
	must(gm_store_get(store, key, file, &failure));
	gm_store_close(store);
}

static void check_head(const struct gm_quarantine_head *head, unsigned i)
{
	struct gm_reject reject = reject_of(i);
	assert_string_equal(head->object, object_of(i));
	assert_string_equal(head->column, reject.column);
	assert_string_equal(head->detail, reject.detail);
	assert_true(head->offset == reject.offset && head->record == reject.record);
	assert_int_equal(head->reason, reject.reason);
	if (length_of(i) > GM_QUARANTINE_TEXT_BYTES) assert_false(head->text);
}

/* room 0: nothing of the bytes is read, or with every third entry a few. */
static void read_entries(struct file file, size_t room)
{
	const struct gm_quarantine_head *head;
	struct gm_quarantine_reader *reader = open_reader(&file);
	struct gm_buf bytes;
	gm_buf_init(&bytes, MOST);
	for (unsigned i = 0; i < ENTRIES; i++) {
		must(gm_quarantine_reader_next(reader, &head, &failure));
		assert_non_null(head);
		check_head(head, i);
		if (room > 0) {
			must(read_bytes(reader, room, &bytes));
			assert_int_equal(bytes.len, length_of(i));
			if (bytes.len > 0) assert_memory_equal(bytes.data, bytes_of(i), bytes.len);
		} else if (i % 3 == 0) {
			uint8_t few[7];
			size_t got;
			must(gm_quarantine_reader_read(reader, few, sizeof few, &got, &failure));
			assert_memory_equal(few, bytes_of(i), got);
		}
	}
	must(gm_quarantine_reader_next(reader, &head, &failure));
	assert_null(head);
	assert_int_equal(gm_quarantine_reader_bytes_in(reader), file.n);
	gm_buf_release(&bytes);
	gm_quarantine_reader_free(reader);
}

static void entries_come_back(void **state)
{
	(void)state;
	static const size_t rooms[] = {0, 1, 2, 3, 5, 4096, 8192};
	struct gm_buf file;
	make_noise();
	write_entries(&file);
	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
		read_entries((struct file){file.data, file.len, 0, i % 2 == 0 ? SIZE_MAX : 777}, rooms[i]);
	gm_buf_release(&file);
}

/* A match may be found at another distance as well. */
static bool inflates_to(const uint8_t *file, size_t n, const char *text)
{
	char out[2000];
	z_stream z = {.next_in = (Bytef *)(uintptr_t)file, .avail_in = (uInt)n, .next_out = (Bytef *)out};
	z.avail_out = sizeof out;
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	bool ended = inflate(&z, Z_FINISH) == Z_STREAM_END;
	assert_int_equal(inflateEnd(&z), Z_OK);
	return ended && z.total_out == strlen(text) && memcmp(out, text, strlen(text)) == 0;
}

/* Cut anywhere, or with a byte changed anywhere, a compressed file is never taken for another one. */
static void damage_is_found(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"object\":\"o\",\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
	    "\"encoding\":\"utf-8\",\"raw\":\"{\\\"x\\\":\\n\",\"bytes\":6}\n"
	    "{\"object\":\"o\",\"offset\":9,\"record\":3,\"reason\":\"truncated\",\"column\":\"\",\"detail\":\"\","
	    "\"encoding\":\"base64\",\"raw\":\"AAECAwT/\",\"bytes\":6}\n";
	uint8_t file[1000];
	size_t entries;
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = sizeof text - 1, .next_out = file};
	z.avail_out = sizeof file;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t n = z.total_out;
	assert_int_equal(deflateEnd(&z), Z_OK);
	must(read_file((struct file){file, n, 0, SIZE_MAX}, &entries));
	assert_int_equal(entries, 2);
	for (size_t cut = 1; cut < n; cut++)
		if (read_file((struct file){file, cut, 0, SIZE_MAX}, &entries) != GM_CORRUPT) fail_msg("cut at %zu", cut);
	for (size_t at = 0; at < n; at++) {
		if (at >= 4 && at < 10) continue; /* time, flags and system of a gzip header say nothing */
		file[at] ^= 0x10;
		enum gm_code code = read_file((struct file){file, n, 0, SIZE_MAX}, &entries);
		if (code != GM_CORRUPT && (code != GM_OK || !inflates_to(file, n, text)))
			fail_msg("byte %zu: %s", at, gm_code_name(code));
		file[at] ^= 0x10;
	}
}

/* --- Foreign files ------------------------------------------------------------------------------------------------ */

#define BEFORE "{\"object\":\"o\",\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
#define GOOD   BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n"

static void a_file_without_entries(void **state)
{
	(void)state;
	size_t entries;
	must(read_text("", &entries));
	assert_int_equal(entries, 0);
	must(read_text(GOOD GOOD, &entries));
	assert_int_equal(entries, 2);
}

/* What another program makes of the same entry is read as well, as long as it is one line. */
static void text_is_json(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"bytes\": 9, \"raw\": \"\\u00e9\\ud83d\\ude00\\/\\u0000\\b\", \"encoding\": \"utf-8\", \"more\": [1], "
	    "\"detail\": \"\", \"column\": \"\", \"reason\": \"not_json\", \"record\": 0, \"offset\": 0, \"object\": "
	    "\"o\"}\n";
	struct file file = {(const uint8_t *)text, sizeof text - 1, 0, 5};
	const struct gm_quarantine_head *head;
	struct gm_quarantine_reader *reader = open_reader(&file);
	uint8_t bytes[20];
	size_t got;
	must(gm_quarantine_reader_next(reader, &head, &failure));
	must(gm_quarantine_reader_read(reader, bytes, sizeof bytes, &got, &failure));
	assert_int_equal(got, 9);
	assert_memory_equal(bytes, "\xc3\xa9\xf0\x9f\x98\x80/\0\b", 9);
	gm_quarantine_reader_free(reader);
}

static void wrong_lines_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
	    "\n",
	    "{}\n",
	    "[]\n",
	    "x\n",
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}",                 /* no line break */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":2}\n",               /* another number of bytes */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\"}\n",                           /* none */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":1,\"bytes\":1}\n",                   /* no text */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"\xff\",\"bytes\":1}\n",            /* not UTF-8 */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"\\ud800\",\"bytes\":3}\n",         /* a lone surrogate */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\ny\",\"bytes\":3}\n",            /* a line break in a string */
	    BEFORE "\"encoding\":\"hex\",\"raw\":\"41\",\"bytes\":1}\n",                /* no encoding of ours */
	    BEFORE "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1} x\n",             /* something behind */
	    BEFORE "\"raw\":\"y\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n", /* twice */
	    BEFORE "\"bytes\":3,\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":3}\n",
	    BEFORE "\"raw\":\"x\",\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":3}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAA\",\"bytes\":2}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":2}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":4}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":33}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":3} \n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":3}",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\",\"bytes\":",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA\"",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAAA",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAA",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AA=A\",\"bytes\":1}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"A===\",\"bytes\":0}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"====\",\"bytes\":0}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AB==\",\"bytes\":1}\n", /* bits of no byte */
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AAB=\",\"bytes\":2}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AA==AAAA\",\"bytes\":4}\n", /* goes on behind its end */
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AA-_\",\"bytes\":3}\n",     /* another alphabet */
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AA\\/A\",\"bytes\":3}\n",
	    BEFORE "\"encoding\":\"base64\",\"raw\":\"AA\nAA\",\"bytes\":3}\n",
	    "{\"object\":\"a\\u0000b\",\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
	    "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"object_base64\":\"AAAA\",\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":"
	    "\"\","
	    "\"detail\":\"\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"object_base64\":\"AA==AAAA\",\"offset\":1,\"record\":2,\"reason\":\"not_json\","
	    "\"column\":\"\",\"detail\":\"\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"object_base64\":7,\"offset\":1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\","
	    "\"detail\":\"\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"offset\":-1,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
	    "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"offset\":4611686018427387904,\"record\":2,\"reason\":\"not_json\",\"column\":\"\","
	    "\"detail\":\"\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	    "{\"object\":\"a\",\"offset\":1.0,\"record\":2,\"reason\":\"not_json\",\"column\":\"\",\"detail\":\"\","
	    "\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n",
	};
	char text[2000];
	size_t entries;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		(void)snprintf(text, sizeof text, "%s%s", GOOD, wrong[i]);
		if (read_text(text, &entries) != GM_CORRUPT) fail_msg("taken: %s", wrong[i]);
		if (strstr(failure.message, "line 2 ") == NULL) fail_msg("%s: %s", wrong[i], failure.message);
	}
}

static void an_unknown_reason_is_told(void **state)
{
	(void)state;
	size_t entries;
	static const char text[] = "{\"object\":\"o\",\"offset\":1,\"record\":2,\"reason\":\"too_blue\",\"column\":\"\","
	                           "\"detail\":\"\",\"encoding\":\"utf-8\",\"raw\":\"x\",\"bytes\":1}\n";
	assert_int_equal(read_text(text, &entries), GM_UNSUPPORTED);
	assert_non_null(strstr(failure.message, "too_blue"));
	assert_non_null(strstr(failure.message, "line 1 "));
}

/* A line without end is given up, whatever it holds: memory stays bounded. */
static void endless_lines_are_refused(void **state)
{
	(void)state;
	static const char *const starts[] = {"", "{\"object\":\"", BEFORE "\"encoding\":\"utf-8\",\"raw\":\""};
	size_t entries, room = 8 << 20;
	char *text = malloc(room);
	assert_non_null(text);
	for (size_t i = 0; i < 3; i++) {
		memset(text, 'x', room);
		memcpy(text, starts[i], strlen(starts[i]));
		struct file file = {(const uint8_t *)text, room, 0, SIZE_MAX};
		assert_int_equal(read_file(file, &entries), GM_CORRUPT);
		assert_non_null(strstr(failure.message, "longer than"));
	}
	/* A text that has more bytes than one may have. */
	int n =
	    snprintf(text, room, "%s\"encoding\":\"utf-8\",\"bytes\":%d,\"raw\":\"", BEFORE, GM_QUARANTINE_TEXT_BYTES + 1);
	memset(text + n, 'x', GM_QUARANTINE_TEXT_BYTES + 1);
	strcpy(text + n + GM_QUARANTINE_TEXT_BYTES + 1, "\"}\n");
	assert_int_equal(read_text(text, &entries), GM_CORRUPT);
	free(text);
}

static enum gm_code no_source(void *context, void *into, size_t bytes, size_t *got, struct gm_error *err)
{
	(void)context, (void)into, (void)bytes;
	*got = 0;
	return gm_error_set(err, GM_TRANSIENT, "the network is down");
}

static void a_failing_source_is_told(void **state)
{
	(void)state;
	const struct gm_quarantine_head *head;
	struct gm_quarantine_reader *reader;
	must(gm_quarantine_reader_new(&reader, &failure));
	gm_quarantine_reader_begin(reader, no_source, NULL);
	assert_int_equal(gm_quarantine_reader_next(reader, &head, &failure), GM_TRANSIENT);
	gm_quarantine_reader_free(reader);
	gm_quarantine_reader_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_come_back),         cmocka_unit_test(damage_is_found),
	    cmocka_unit_test(a_file_without_entries),    cmocka_unit_test(text_is_json),
	    cmocka_unit_test(wrong_lines_are_refused),   cmocka_unit_test(an_unknown_reason_is_told),
	    cmocka_unit_test(endless_lines_are_refused), cmocka_unit_test(a_failing_source_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
