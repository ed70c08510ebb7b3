/* The quarantine file, read back with zlib and jansson, and with Python where there is one. */
#include "table/quarantine.h"
#include "../must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include <xxhash.h>
#include <zlib.h>

static const char KEY[] = "_gristmill/j/quarantine/1/u.ndjson.gz";
static const struct gm_reject plain = {.reason = GM_REASON_NOT_JSON,
                                       .record = 7,
                                       .offset = UINT64_C(9007199254740993),
                                       .column = "",
                                       .detail = "a sentence"};

static struct gm_store *open_memory(void)
{
	struct gm_store *store;
	must(gm_store_open_memory(&store, &failure));
	return store;
}

static struct gm_quarantine *open_quarantine(struct gm_store *store)
{
	struct gm_quarantine *quarantine;
	must(gm_quarantine_new(store, KEY, "_gristmill/j/work/1/", &quarantine, &failure));
	return quarantine;
}

/* Finishes, publishes, checks size and hash; the stored file in `file`. */
static void finish(struct gm_store *store, struct gm_quarantine *quarantine, struct gm_buf *file)
{
	char token[GM_TOKEN_BYTES];
	uint64_t bytes, hash[2];
	must(gm_quarantine_finish(quarantine, token, &bytes, hash, &failure));
	gm_quarantine_free(quarantine);
	must(gm_store_publish(store, token, KEY, &failure));
	gm_buf_init(file, 64 << 20);
	must(gm_store_get(store, KEY, file, &failure));
	XXH128_hash_t expected = XXH3_128bits(file->data, file->len);
	assert_int_equal(file->len, bytes);
	assert_true(hash[0] == expected.low64 && hash[1] == expected.high64);
	gm_store_close(store);
}

/* The file's text, inflated by zlib. */
static char *inflate_file(const struct gm_buf *file, size_t *n)
{
	size_t room = 64 << 20;
	char *text = malloc(room);
	z_stream stream = {.next_in = file->data, .avail_in = (uInt)file->len, .next_out = (Bytef *)text};
	assert_non_null(text);
	stream.avail_out = (uInt)room;
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.avail_in, 0); /* one member */
	*n = stream.total_out;
	assert_int_equal(inflateEnd(&stream), Z_OK);
	return text;
}

static uint8_t *decode_base64(const char *text, size_t *n)
{
	size_t length = strlen(text);
	uint8_t *bytes = malloc(length + 1);
	unsigned group = 0, bits = 0;
	assert_non_null(bytes);
	assert_int_equal(length % 4, 0);
	*n = 0;
	for (; *text != '\0' && *text != '='; text++) {
		unsigned char c = (unsigned char)*text;
		unsigned digit = c >= 'a'   ? c - 'a' + 26U
		                 : c >= 'A' ? c - 'A' + 0U
		                 : c >= '0' ? c - '0' + 52U
		                 : c == '+' ? 62U
		                            : 63U;
		group = group << 6 | digit;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			bytes[(*n)++] = (uint8_t)(group >> bits);
		}
	}
	return bytes;
}

/* Reads a line with jansson and compares the raw bytes; returns the object. */
static json_t *check_line(const char *line, size_t n, const void *raw, size_t raw_bytes)
{
	json_error_t error;
	json_t *entry = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (entry == NULL) fail_msg("%s", error.text);
	const json_t *text = json_object_get(entry, "raw");
	assert_int_equal(json_integer_value(json_object_get(entry, "bytes")), raw_bytes);
	if (strcmp(json_string_value(json_object_get(entry, "encoding")), "utf-8") == 0) {
		assert_int_equal(json_string_length(text), raw_bytes);
		assert_memory_equal(json_string_value(text), raw, raw_bytes);
	} else {
		size_t decoded;
		uint8_t *bytes = decode_base64(json_string_value(text), &decoded);
		assert_int_equal(decoded, raw_bytes);
		assert_memory_equal(bytes, raw, raw_bytes);
		free(bytes);
	}
	return entry;
}

static void without_entries_there_is_no_file(void **state)
{
	(void)state;
	char token[GM_TOKEN_BYTES] = "x";
	uint64_t bytes, hash[2];
	struct gm_store *store = open_memory();
	struct gm_quarantine *quarantine = open_quarantine(store);
	must(gm_quarantine_finish(quarantine, token, &bytes, hash, &failure));
	assert_string_equal(token, "");
	gm_quarantine_free(quarantine);
	gm_quarantine_free(NULL);
	gm_store_close(store);
}

static void every_field_is_written(void **state)
{
	(void)state;
	struct gm_store *store = open_memory();
	struct gm_quarantine *quarantine = open_quarantine(store);
	struct gm_buf file;
	struct gm_reject other = plain;
	other.reason = GM_REASON_CONVERSION;
	other.column = "elapse \"ms\"";
	other.detail = "broken \xff\x01 quote";
	must(gm_quarantine_add(quarantine, "a/b.gz", &plain, "{\"x\":1", 6, true, &failure));
	must(gm_quarantine_add(quarantine, "\xff\x01.gz", &other, "", 0, true, &failure));
	must(gm_quarantine_add(quarantine, "c", &plain, "\xc3", 1, true, &failure));
	finish(store, quarantine, &file);
	/* The header is fixed: deflate, no flags, no time, no extra flags, unknown system. */
	assert_memory_equal(file.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	size_t n;
	char *text = inflate_file(&file, &n);
	static const char expected[] =
	    "{\"object\":\"a/b.gz\",\"offset\":9007199254740993,\"record\":7,\"reason\":\"not_json\",\"column\":\"\","
	    "\"detail\":\"a sentence\",\"encoding\":\"utf-8\",\"raw\":\"{\\\"x\\\":1\",\"bytes\":6}\n"
	    "{\"object\":\"\xef\xbf\xbd\\u0001.gz\",\"object_base64\":\"/"
	    "wEuZ3o=\",\"offset\":9007199254740993,\"record\":7,"
	    "\"reason\":\"bad_value\",\"column\":\"elapse \\\"ms\\\"\",\"detail\":\"broken \xef\xbf\xbd\\u0001 quote\","
	    "\"encoding\":\"utf-8\",\"raw\":\"\",\"bytes\":0}\n"
	    "{\"object\":\"c\",\"offset\":9007199254740993,\"record\":7,\"reason\":\"not_json\",\"column\":\"\","
	    "\"detail\":\"a sentence\",\"encoding\":\"base64\",\"raw\":\"ww==\",\"bytes\":1}\n";
	assert_int_equal(n, sizeof expected - 1);
	assert_memory_equal(text, expected, n);
	free(text);
	gm_buf_release(&file);
}

/* Every byte alone, every pair of interest, all lengths around base64 groups and around the limit of small entries. */
static void all_bytes_come_back(void **state)
{
	(void)state;
	enum { LIMIT = 256 << 10, MOST = LIMIT + 10 };
	struct gm_store *store = open_memory();
	struct gm_quarantine *quarantine = open_quarantine(store);
	struct gm_buf file;
	uint8_t *bytes = malloc(MOST);
	assert_non_null(bytes);
	for (unsigned i = 0; i < MOST; i++) bytes[i] = (uint8_t)(i * 37 + i / 256);
	for (unsigned i = 0; i < 256; i++) {
		uint8_t pair[2] = {(uint8_t)i, '"'};
		must(gm_quarantine_add(quarantine, "o", &plain, pair, 2, true, &failure));
	}
	for (unsigned i = 0; i < 20; i++) must(gm_quarantine_add(quarantine, "o", &plain, bytes, i, true, &failure));
	for (unsigned i = LIMIT - 3; i <= MOST; i++)
		must(gm_quarantine_add(quarantine, "o", &plain, bytes, i, true, &failure));
	finish(store, quarantine, &file);
	size_t n, lines = 0;
	char *text = inflate_file(&file, &n);
	for (char *line = text, *end; line < text + n; line = end + 1, lines++) {
		end = memchr(line, '\n', n - (size_t)(line - text));
		assert_non_null(end);
		uint8_t pair[2] = {(uint8_t)lines, '"'};
		const void *raw = lines < 256 ? pair : bytes;
		size_t raw_bytes = lines < 256 ? 2 : lines < 276 ? lines - 256 : LIMIT - 3 + lines - 276;
		json_t *entry = check_line(line, (size_t)(end - line), raw, raw_bytes);
		const char *encoding = json_string_value(json_object_get(entry, "encoding"));
		if (lines < 256) assert_string_equal(encoding, lines < 128 ? "utf-8" : "base64");
		json_decref(entry);
	}
	assert_int_equal(lines, 256 + 20 + MOST - LIMIT + 4);
	free(text);
	free(bytes);
	gm_buf_release(&file);
}

/* Writes the same entries cut into pieces by a seed. */
static void write_in_pieces(unsigned seed, const uint8_t *bytes, const size_t *sizes, size_t count, struct gm_buf *file)
{
	struct gm_store *store = open_memory();
	struct gm_quarantine *quarantine = open_quarantine(store);
	for (size_t i = 0; i < count; i++) {
		size_t at = 0, n;
		bool last = false;
		while (!last) {
			seed = seed * 1664525U + 1013904223U;
			n = seed == 0 ? sizes[i] : (seed >> 8) % (seed >> 30 == 0 ? 5 : 90000);
			if (n > sizes[i] - at) n = sizes[i] - at;
			last = at + n == sizes[i] && (seed >> 29 & 1) == 0; /* sometimes an empty last piece */
			must(gm_quarantine_add(quarantine, "o", &plain, bytes + at, n, last, &failure));
			at += n;
		}
	}
	finish(store, quarantine, file);
}

static void pieces_do_not_change_bytes(void **state)
{
	(void)state;
	enum { MOST = 700000 };
	static const size_t sizes[] = {10, 262143, 262144, 262145, MOST, 0, 1, 300001, 5};
	struct gm_buf first, other;
	uint8_t *bytes = malloc(MOST);
	assert_non_null(bytes);
	for (unsigned i = 0; i < MOST; i++) bytes[i] = (uint8_t)(i % 7 == 0 ? i >> 3 & 127 : 'a' + i % 26);
	for (unsigned seed = 1; seed < 12; seed++) {
		write_in_pieces(seed, bytes, sizes, sizeof sizes / sizeof sizes[0], seed == 1 ? &first : &other);
		if (seed == 1) continue;
		assert_int_equal(first.len, other.len);
		assert_memory_equal(first.data, other.data, first.len);
		gm_buf_release(&other);
	}
	gm_buf_release(&first);
	free(bytes);
}

static void python_reads_it(void **state)
{
	(void)state;
	if (system("python3 -c 'import gzip, json' 2>/dev/null") != 0) skip();
	struct gm_store *store = open_memory();
	struct gm_quarantine *quarantine = open_quarantine(store);
	struct gm_buf file;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t pair[2] = {(uint8_t)i, '\\'};
		must(gm_quarantine_add(quarantine, "o", &plain, pair, 2, true, &failure));
	}
	finish(store, quarantine, &file);
	FILE *python =
	    popen("python3 -c '\n"
	          "import sys, gzip, json, base64\n"
	          "lines = gzip.decompress(sys.stdin.buffer.read()).decode().splitlines()\n"
	          "assert len(lines) == 256\n"
	          "for i, line in enumerate(lines):\n"
	          "    e = json.loads(line)\n"
	          "    raw = e[\"raw\"].encode() if e[\"encoding\"] == \"utf-8\" else base64.b64decode(e[\"raw\"])\n"
	          "    assert raw == bytes([i, 92]) and e[\"bytes\"] == 2, line\n"
	          "'",
	          "w");
	assert_non_null(python);
	assert_int_equal(fwrite(file.data, 1, file.len, python), file.len);
	assert_int_equal(pclose(python), 0);
	gm_buf_release(&file);
}

/* Every store call fails once: an error comes out, and nothing leaks or stays staged. */
static void a_failing_store_is_told(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct gm_store *store, *inner = open_memory();
		char token[GM_TOKEN_BYTES];
		uint64_t bytes, hash[2];
		uint8_t noise[3000];
		for (unsigned i = 0; i < sizeof noise; i++) noise[i] = (uint8_t)(i * i * 2654435761U >> 13);
		must(gm_store_open_faulty(inner, n, GM_NOSPACE, false, NULL, &store, &failure));
		struct gm_quarantine *quarantine = open_quarantine(store);
		enum gm_code code = GM_OK;
		for (int i = 0; i < 40 && code == GM_OK; i++)
			code = gm_quarantine_add(quarantine, "o", &plain, noise, sizeof noise, true, &failure);
		if (code == GM_OK) code = gm_quarantine_finish(quarantine, token, &bytes, hash, &failure);
		gm_quarantine_free(quarantine);
		gm_store_close(store);
		if (code == GM_OK) {
			assert_true(n > 4);
			break;
		}
		assert_int_equal(code, GM_NOSPACE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_entries_there_is_no_file),
	    cmocka_unit_test(every_field_is_written),
	    cmocka_unit_test(all_bytes_come_back),
	    cmocka_unit_test(pieces_do_not_change_bytes),
	    cmocka_unit_test(python_reads_it),
	    cmocka_unit_test(a_failing_store_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
