#include "store/s3_answers.h"

#include "aws/xml.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

static enum gm_code out_of_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for an answer of the store");
}

bool gm_s3_number(const char *text, uint64_t *out)
{
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n > 19 || text[n] != '\0') return false;
	*out = strtoull(text, NULL, 10);
	return *out <= INT64_MAX;
}

void gm_s3_etag(const char *text, size_t bytes, char out[GM_S3_ETAG_BYTES])
{
	if (bytes >= 2 && memcmp(text, "W/", 2) == 0) text += 2, bytes -= 2;
	if (bytes >= 2 && text[0] == '"' && text[bytes - 1] == '"') text++, bytes -= 2;
	if (bytes >= GM_S3_ETAG_BYTES) bytes = 0;
	memcpy(out, text, bytes);
	out[bytes] = '\0';
}

/* A number up to a given sign; NULL: it is none. */
static const char *number_before(const char *text, char sign, uint64_t *out)
{
	char digits[24];
	const char *end = strchr(text, sign);
	if (end == NULL || (size_t)(end - text) >= sizeof digits) return NULL;
	memcpy(digits, text, (size_t)(end - text));
	digits[end - text] = '\0';
	return gm_s3_number(digits, out) ? end + 1 : NULL;
}

bool gm_s3_range_read(const char *text, struct gm_s3_range *out)
{
	uint64_t last;
	if (strncmp(text, "bytes ", 6) != 0) return false;
	text = number_before(text + 6, '-', &out->first);
	if (text != NULL) text = number_before(text, '/', &last);
	if (text == NULL || !gm_s3_number(text, &out->size) || last < out->first || last >= out->size) return false;
	out->bytes = last - out->first + 1;
	return true;
}

/* --- A page of a listing ------------------------------------------------------------------------------------------ */

/* What has been seen of it so far. Keys are kept as they come: whether they are encoded may be said behind them. */
struct reading {
	struct gm_s3_page *page;
	struct gm_s3_entry next;
	bool has_size, has_time;
	bool listed, truncated, encoded;
};

void gm_s3_page_init(struct gm_s3_page *page)
{
	*page = (struct gm_s3_page){.count = 0};
	gm_arena_init(&page->arena, 64 * 1024);
}

void gm_s3_page_release(struct gm_s3_page *page)
{
	free(page->entries);
	gm_arena_release(&page->arena);
	*page = (struct gm_s3_page){.count = 0};
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'A' && c <= 'F') return c - 'A' + 10;
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	return -1;
}

/* In place. A blank is "+" or "%20". False: it is not URL-encoded, or has a NUL. */
static bool decode(char *text)
{
	char *to = text;
	for (; *text != '\0'; text++) {
		if (*text != '%') {
			*to++ = (char)(*text == '+' ? ' ' : *text);
			continue;
		}
		int high = hex(text[1]), low = high >= 0 ? hex(text[2]) : -1;
		if (low < 0 || (high == 0 && low == 0)) return false;
		*to++ = (char)(high * 16 + low);
		text += 2;
	}
	*to = '\0';
	return true;
}

static enum gm_code end_entry(struct reading *reading, struct gm_error *err)
{
	struct gm_s3_page *page = reading->page;
	if (reading->next.key == NULL || !reading->has_size || !reading->has_time)
		GM_FAIL(err, GM_CORRUPT, "a listing names an object without its key, size or time");
	struct gm_s3_entry *grown = gm_grow(page->entries, page->count, &page->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	page->entries = grown;
	page->entries[page->count++] = reading->next;
	reading->next = (struct gm_s3_entry){.etag = ""};
	reading->has_size = reading->has_time = false;
	return GM_OK;
}

static enum gm_code note_member(struct reading *reading, const char *name, const char *text, size_t bytes,
                                struct gm_error *err)
{
	struct gm_s3_entry *entry = &reading->next;
	if (strcmp(name, "Key") == 0) {
		entry->key = gm_arena_strndup(&reading->page->arena, text, bytes);
		if (entry->key == NULL) return out_of_memory(err);
	} else if (strcmp(name, "Size") == 0) {
		reading->has_size = gm_s3_number(text, &entry->size);
		if (!reading->has_size) GM_FAIL(err, GM_CORRUPT, "a listing holds a size that is none: %.40s", text);
	} else if (strcmp(name, "LastModified") == 0) {
		reading->has_time = gm_time_parse_iso(text, bytes, &entry->mtime_us);
		if (!reading->has_time) GM_FAIL(err, GM_CORRUPT, "a listing holds a time that is none: %.40s", text);
		entry->mtime_us -= entry->mtime_us % GM_US_PER_SECOND; /* some stores tell more here than with the object */
	} else if (strcmp(name, "ETag") == 0) {
		char etag[GM_S3_ETAG_BYTES];
		gm_s3_etag(text, bytes, etag);
		entry->etag = gm_arena_strndup(&reading->page->arena, etag, strlen(etag));
		if (entry->etag == NULL) return out_of_memory(err);
	}
	return GM_OK;
}

static enum gm_code note_listing(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	static const char top[] = "ListBucketResult/", contents[] = "Contents";
	struct reading *reading = context;
	if (strncmp(path, top, sizeof top - 1) != 0) return GM_OK;
	path += sizeof top - 1;
	if (strncmp(path, contents, sizeof contents - 1) == 0) {
		const char *rest = path + sizeof contents - 1;
		if (rest[0] == '\0') return end_entry(reading, err);
		return rest[0] == '/' ? note_member(reading, rest + 1, text, bytes, err) : GM_OK;
	}
	if (strcmp(path, "EncodingType") == 0) reading->encoded = strcmp(text, "url") == 0;
	if (strcmp(path, "IsTruncated") == 0) {
		reading->listed = true;
		reading->truncated = strcmp(text, "true") == 0;
	}
	if (strcmp(path, "NextContinuationToken") == 0) {
		reading->page->token = gm_arena_strndup(&reading->page->arena, text, bytes);
		if (reading->page->token == NULL) return out_of_memory(err);
	}
	return GM_OK;
}

static enum gm_code finish_page(struct reading *reading, struct gm_error *err)
{
	struct gm_s3_page *page = reading->page;
	if (!reading->listed) GM_FAIL(err, GM_CORRUPT, "the answer to a listing is none");
	for (size_t i = 0; i < page->count; i++) /* the key is the arena's, and ours */
		if (reading->encoded && !decode((char *)page->entries[i].key))
			GM_FAIL(err, GM_CORRUPT, "a listing holds a key that is not URL-encoded");
	if (!reading->truncated) page->token = NULL;
	if (reading->truncated && (page->token == NULL || page->token[0] == '\0'))
		GM_FAIL(err, GM_CORRUPT, "a listing breaks off and does not go on");
	return GM_OK;
}

enum gm_code gm_s3_page_read(struct gm_s3_page *page, const void *xml, size_t bytes, struct gm_error *err)
{
	struct reading reading = {.page = page, .next = {.etag = ""}};
	gm_arena_reset(&page->arena);
	page->count = 0;
	page->token = NULL;
	enum gm_code rc = gm_xml_parse(xml, bytes, note_listing, &reading, err);
	if (rc == GM_OK) rc = finish_page(&reading, err);
	if (rc != GM_OK) page->count = 0;
	if (rc != GM_OK) page->token = NULL;
	return rc;
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */

struct part_reading {
	struct gm_s3_parts *parts;
	struct gm_s3_part next;
	bool has_number, has_size, listed;
};

void gm_s3_parts_release(struct gm_s3_parts *parts)
{
	free(parts->parts);
	*parts = (struct gm_s3_parts){.count = 0};
}

static enum gm_code end_part(struct part_reading *reading, struct gm_error *err)
{
	struct gm_s3_parts *parts = reading->parts;
	if (!reading->has_number || !reading->has_size || reading->next.etag[0] == '\0')
		GM_FAIL(err, GM_CORRUPT, "a list of parts names one without its number, size or ETag");
	struct gm_s3_part *grown = gm_grow(parts->parts, parts->count, &parts->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	parts->parts = grown;
	parts->parts[parts->count++] = reading->next;
	reading->next = (struct gm_s3_part){.etag = ""};
	reading->has_number = reading->has_size = false;
	return GM_OK;
}

static enum gm_code note_part(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	static const char top[] = "ListPartsResult/";
	struct part_reading *reading = context;
	uint64_t number;
	if (strncmp(path, top, sizeof top - 1) != 0) return GM_OK;
	path += sizeof top - 1;
	if (strcmp(path, "Part") == 0) return end_part(reading, err);
	if (strcmp(path, "Part/ETag") == 0) gm_s3_etag(text, bytes, reading->next.etag);
	if (strcmp(path, "Part/Size") == 0) reading->has_size = gm_s3_number(text, &reading->next.bytes);
	if (strcmp(path, "IsTruncated") == 0) {
		reading->listed = true;
		reading->parts->truncated = strcmp(text, "true") == 0;
	}
	if (strcmp(path, "Part/PartNumber") == 0) {
		reading->has_number = gm_s3_number(text, &number) && number == reading->parts->count + 1;
		if (!reading->has_number) GM_FAIL(err, GM_CORRUPT, "an upload lacks part %zu", reading->parts->count + 1);
	}
	return GM_OK;
}

enum gm_code gm_s3_parts_read(struct gm_s3_parts *parts, const void *xml, size_t bytes, struct gm_error *err)
{
	struct part_reading reading = {.parts = parts};
	size_t before = parts->count;
	bool truncated = parts->truncated;
	parts->truncated = false;
	enum gm_code rc = gm_xml_parse(xml, bytes, note_part, &reading, err);
	if (rc == GM_OK && !reading.listed) rc = gm_error_set(err, GM_CORRUPT, "the answer to a list of parts is none");
	if (rc == GM_OK && parts->truncated && parts->count == before)
		rc = gm_error_set(err, GM_CORRUPT, "a list of parts breaks off and does not go on");
	if (rc != GM_OK) parts->count = before;
	if (rc != GM_OK) parts->truncated = truncated;
	return rc;
}

/* --- Other -------------------------------------------------------------------------------------------------------- */

static enum gm_code note_upload_id(void *context, const char *path, const char *text, size_t bytes,
                                   struct gm_error *err)
{
	char **id = context;
	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0) return GM_OK;
	if (bytes == 0 || bytes >= GM_S3_UPLOAD_ID_BYTES || strpbrk(text, " \r\n") != NULL)
		GM_FAIL(err, GM_CORRUPT, "the store gave an upload an id that is empty, too long, or has a blank in it");
	free(*id);
	*id = strdup(text);
	return *id != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_s3_upload_id_read(const void *xml, size_t bytes, char **id, struct gm_error *err)
{
	*id = NULL;
	enum gm_code rc = gm_xml_parse(xml, bytes, note_upload_id, id, err);
	if (rc == GM_OK && *id == NULL) rc = gm_error_set(err, GM_CORRUPT, "the store gave an upload no id");
	if (rc != GM_OK) {
		free(*id);
		*id = NULL;
	}
	return rc;
}

struct removed {
	bool result, error;
};

static enum gm_code note_removed(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	struct removed *removed = context;
	(void)text;
	(void)bytes;
	(void)err;
	removed->result |= strcmp(path, "DeleteResult") == 0;
	removed->error |= strcmp(path, "DeleteResult/Error") == 0;
	return GM_OK;
}

bool gm_s3_is_all_removed(const void *xml, size_t bytes)
{
	struct removed removed = {false, false};
	return gm_xml_parse(xml, bytes, note_removed, &removed, NULL) == GM_OK && removed.result && !removed.error;
}
