/* fuzz_xml.c - any bytes as what S3 and other services answer: pages of a listing, lists of parts, errors, headers. The
 * first byte says which.
 *
 * A page that is taken, written anew with every key encoded, is the same page. A list of parts that is refused leaves
 * what was there. What people are shown of an error is one line. */
#include "aws/service_error.h"
#include "aws/sign.h"
#include "aws/xml.h"
#include "base/time.h"
#include "store/s3_answers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 16 << 20 };

static void check(bool right)
{
	if (!right) abort();
}

/* --- Elements ----------------------------------------------------------------------------------------------------- */

static enum gm_code look(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	size_t *count = context, depth = 1;
	(void)err;
	for (const char *at = path; *at != '\0'; at++) depth += *at == '/';
	check(path[0] != '\0' && strlen(path) < GM_XML_PATH_MAX && depth <= GM_XML_DEPTH_MAX);
	check(bytes < GM_XML_TEXT_MAX && text[bytes] == '\0' && strlen(text) == bytes); /* no XML has a NUL */
	return ++*count == 1000 ? GM_INTERRUPTED : GM_OK;
}

static void read_elements(const uint8_t *data, size_t size)
{
	struct gm_error err = {.message = ""};
	size_t count = 0;
	enum gm_code rc = gm_xml_parse(data, size, look, &count, &err);
	check(rc == GM_OK || rc == GM_CORRUPT || (rc == GM_INTERRUPTED && count == 1000));
	check(rc != GM_OK || count > 0);
	check(rc != GM_CORRUPT || err.message[0] != '\0');
}

/* --- A listing ---------------------------------------------------------------------------------------------------- */

static void append_escaped(struct gm_buf *out, const char *text)
{
	struct gm_error err;
	for (; *text != '\0'; text++)
		check(gm_buf_printf(out, &err, strchr("&<>\r", *text) != NULL ? "&#%d;" : "%c", *text) == GM_OK);
}

static void write_page(const struct gm_s3_page *page, struct gm_buf *out)
{
	struct gm_arena arena;
	struct gm_error err;
	gm_arena_init(&arena, 4096);
	check(gm_buf_printf(out, &err, "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>",
	                    page->token != NULL ? "true" : "false") == GM_OK);
	for (size_t i = 0; i < page->count; i++) {
		const struct gm_s3_entry *entry = &page->entries[i];
		char when[GM_TIME_TEXT_BYTES];
		(void)gm_time_format_iso(entry->mtime_us, 0, when);
		check(gm_buf_printf(out, &err, "<Contents><Size>%" PRIu64 "</Size><Key>%s</Key><LastModified>%s</LastModified>",
		                    entry->size, gm_uri_encode(&arena, entry->key, strlen(entry->key), true), when) == GM_OK);
		check(gm_buf_printf(out, &err, "<ETag>\"") == GM_OK);
		append_escaped(out, entry->etag);
		check(gm_buf_printf(out, &err, "\"</ETag></Contents>") == GM_OK);
	}
	if (page->token != NULL) {
		check(gm_buf_printf(out, &err, "<NextContinuationToken>") == GM_OK);
		append_escaped(out, page->token);
		check(gm_buf_printf(out, &err, "</NextContinuationToken>") == GM_OK);
	}
	check(gm_buf_printf(out, &err, "</ListBucketResult>") == GM_OK);
	gm_arena_release(&arena);
}

static void compare_pages(const struct gm_s3_page *a, const struct gm_s3_page *b)
{
	check(a->count == b->count && (a->token == NULL) == (b->token == NULL));
	check(a->token == NULL || strcmp(a->token, b->token) == 0);
	for (size_t i = 0; i < a->count; i++) {
		const struct gm_s3_entry *x = &a->entries[i], *y = &b->entries[i];
		check(strcmp(x->key, y->key) == 0 && x->size == y->size && x->mtime_us == y->mtime_us);
		check(strcmp(x->etag, y->etag) == 0 && strlen(x->etag) < GM_S3_ETAG_BYTES);
	}
}

static void read_listing(const uint8_t *data, size_t size)
{
	struct gm_s3_page page, again;
	struct gm_error err;
	struct gm_buf text;
	gm_s3_page_init(&page);
	gm_s3_page_init(&again);
	gm_buf_init(&text, TEXT_MAX);
	enum gm_code rc = gm_s3_page_read(&page, data, size, &err);
	check(rc == GM_OK || rc == GM_CORRUPT);
	if (rc == GM_OK) {
		write_page(&page, &text);
		check(gm_s3_page_read(&again, text.data, text.len, &err) == GM_OK);
		compare_pages(&page, &again);
	} else {
		check(page.count == 0 && page.token == NULL);
	}
	gm_buf_release(&text);
	gm_s3_page_release(&page);
	gm_s3_page_release(&again);
}

/* --- Uploads ------------------------------------------------------------------------------------------------------ */

static void read_parts(const uint8_t *data, size_t size)
{
	struct gm_s3_parts parts = {.count = 0};
	struct gm_error err;
	for (int i = 0; i < 2; i++) { /* the second time it goes on where it cannot */
		size_t before = parts.count;
		enum gm_code rc = gm_s3_parts_read(&parts, data, size, &err);
		check(rc == GM_OK || (rc == GM_CORRUPT && parts.count == before));
		check(rc != GM_OK || !parts.truncated || parts.count > before);
		check(i == 0 || rc != GM_OK || parts.count == before);
	}
	for (size_t i = 0; i < parts.count; i++) check(parts.parts[i].etag[0] != '\0' && parts.parts[i].bytes <= INT64_MAX);
	gm_s3_parts_release(&parts);
}

static void read_upload_id(const uint8_t *data, size_t size)
{
	struct gm_error err;
	char *id;
	enum gm_code rc = gm_s3_upload_id_read(data, size, &id, &err);
	check(rc == GM_OK ? id[0] != '\0' && strlen(id) < GM_S3_UPLOAD_ID_BYTES && strpbrk(id, " \r\n") == NULL
	                  : rc == GM_CORRUPT && id == NULL);
	free(id);
}

/* --- Errors and headers ------------------------------------------------------------------------------------------- */

static void check_line(const char *text)
{
	for (; *text != '\0'; text++) check((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void read_error(const uint8_t *data, size_t size)
{
	struct gm_service_error error;
	gm_service_error_read(data, size, &error);
	check_line(error.code);
	check_line(error.text);
	check_line(error.region);
	check_line(error.request_id);
}

static void read_headers(const char *text)
{
	struct gm_s3_range range;
	char etag[GM_S3_ETAG_BYTES], digits[32];
	uint64_t number;
	gm_s3_etag(text, strlen(text), etag);
	check(strlen(etag) < sizeof etag && (etag[0] == '\0' || strstr(text, etag) != NULL));
	if (gm_s3_range_read(text, &range))
		check(range.bytes > 0 && range.first < range.size && range.bytes <= range.size - range.first);
	if (!gm_s3_number(text, &number)) return;
	(void)snprintf(digits, sizeof digits, "%" PRIu64, number);
	while (*text == '0' && text[1] != '\0') text++;
	check(strcmp(digits, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) return 0;
	char *text = malloc(size);
	check(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0]) {
	case 'l': read_listing(data + 1, size - 1); break;
	case 'p': read_parts(data + 1, size - 1); break;
	case 'u': read_upload_id(data + 1, size - 1); break;
	case 'd': (void)gm_s3_is_all_removed(data + 1, size - 1); break;
	case 'e': read_error(data + 1, size - 1); break;
	case 'h': read_headers(text); break;
	default: read_elements(data + 1, size - 1); break;
	}
	free(text);
	return 0;
}
