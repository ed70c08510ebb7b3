/* s3_sweep.c - uploads that were begun and never completed, by runners that died before a manifest named them.
 *
 * They are in no listing of objects and cost money until they are aborted. A bucket's lifecycle rule is the right
 * broom; this one is for buckets without. Age is told by the service's clock alone: when an upload was begun, and what
 * the Date of the answer says. */
#include "store/s3.h"

#include "aws/xml.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

struct upload {
	const char *key, *id; /* whole key */
	int64_t begun_us;
};

struct page {
	struct gm_arena arena;
	struct upload *uploads, next;
	size_t count, room;
	char *key_marker, *id_marker;
	bool truncated;
};

static enum gm_code copy(struct page *page, const char *text, size_t bytes, char **to, struct gm_error *err)
{
	*to = gm_arena_strndup(&page->arena, text, bytes);
	if (*to == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a list of uploads");
	return GM_OK;
}

static enum gm_code end_upload(struct page *page, struct gm_error *err)
{
	if (page->next.key == NULL || page->next.id == NULL)
		GM_FAIL(err, GM_CORRUPT, "a list of uploads names one without its key or id");
	struct upload *grown = gm_grow(page->uploads, page->count, &page->room, sizeof *grown);
	if (grown == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a list of uploads");
	page->uploads = grown;
	page->uploads[page->count++] = page->next;
	page->next = (struct upload){.begun_us = INT64_MAX};
	return GM_OK;
}

static enum gm_code note_element(void *context, const char *path, const char *text, size_t bytes, struct gm_error *err)
{
	static const char top[] = "ListMultipartUploadsResult/";
	struct page *page = context;
	char *value;
	if (strncmp(path, top, sizeof top - 1) != 0) return GM_OK;
	path += sizeof top - 1;
	if (strcmp(path, "Upload") == 0) return end_upload(page, err);
	if (strcmp(path, "IsTruncated") == 0) page->truncated = strcmp(text, "true") == 0;
	if (strcmp(path, "NextKeyMarker") == 0) return copy(page, text, bytes, &page->key_marker, err);
	if (strcmp(path, "NextUploadIdMarker") == 0) return copy(page, text, bytes, &page->id_marker, err);
	if (strcmp(path, "Upload/Initiated") == 0 && !gm_time_parse_iso(text, bytes, &page->next.begun_us))
		page->next.begun_us = INT64_MAX; /* what has no age is left alone */
	bool is_key = strcmp(path, "Upload/Key") == 0;
	if (!is_key && strcmp(path, "Upload/UploadId") != 0) return GM_OK;
	GM_TRY(copy(page, text, bytes, &value, err));
	*(is_key ? &page->next.key : &page->next.id) = value;
	return GM_OK;
}

static bool same(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* The markers that the page before ended with go in; the arena is emptied of all but them. */
static enum gm_code read_page(struct gm_s3 *s3, const char *prefix, struct page *page, int64_t *now_us,
                              struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	struct gm_call_request *request = &exchange.request;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_MULTIPART, "GET", NULL, err));
	gm_s3_query(request, "uploads", "");
	gm_s3_query(request, "prefix", prefix);
	if (page->key_marker != NULL) gm_s3_query(request, "key-marker", page->key_marker);
	if (page->id_marker != NULL) gm_s3_query(request, "upload-id-marker", page->id_marker);
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	if (!gm_s3_good(response)) {
		rc = gm_s3_fail(s3, response, NULL, "list uploads", err);
		goto out;
	}
	/* The same markers again would go on for ever. */
	char *last_key =
	    page->key_marker != NULL ? gm_arena_strndup(&exchange.arena, page->key_marker, strlen(page->key_marker)) : NULL;
	char *last_id =
	    page->id_marker != NULL ? gm_arena_strndup(&exchange.arena, page->id_marker, strlen(page->id_marker)) : NULL;
	const char *date = gm_http_header(&response->http, "date");
	if (date == NULL || !gm_time_parse_http(date, now_us)) *now_us = INT64_MIN;
	gm_arena_reset(&page->arena);
	page->count = 0;
	page->key_marker = page->id_marker = NULL;
	page->truncated = false;
	page->next = (struct upload){.begun_us = INT64_MAX};
	rc = gm_xml_parse(response->http.body.data, response->http.body.len, note_element, page, err);
	if (rc == GM_OK && page->truncated && same(last_key, page->key_marker) && same(last_id, page->id_marker))
		rc = gm_error_set(err, GM_CORRUPT, "a list of uploads breaks off and does not go on");
out:
	return gm_s3_end(&exchange, rc, err);
}

enum gm_code gm_s3_sweep(struct gm_store *store, int64_t age_us, gm_wanted_fn *wanted, void *context, uint64_t *swept,
                         struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	size_t root_bytes = strlen(s3->prefix);
	struct page page = {.truncated = true};
	enum gm_code rc = GM_OK;
	int64_t now_us = INT64_MIN;
	*swept = 0;
	gm_arena_init(&page.arena, 4096);
	while (rc == GM_OK && page.truncated) {
		rc = read_page(s3, s3->prefix, &page, &now_us, err);
		if (rc != GM_OK || now_us == INT64_MIN) break;
		for (size_t i = 0; rc == GM_OK && i < page.count; i++) {
			const struct upload *upload = &page.uploads[i];
			if (strncmp(upload->key, s3->prefix, root_bytes) != 0) continue;
			if (upload->begun_us > now_us - age_us || !wanted(context, upload->key + root_bytes)) continue;
			rc = gm_s3_delete(s3, upload->key + root_bytes, upload->id, err);
			*swept += rc == GM_OK;
		}
	}
	gm_arena_release(&page.arena);
	free(page.uploads);
	return rc;
}
