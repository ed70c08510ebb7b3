/* s3_read.c - objects read in segments, several in flight, all of one version of the object.
 *
 * A reader that knows what it is to find (from a listing or a plan) asks with If-Match from the first request on, and
 * begins before it is read from, as far as the store's share of memory for reading ahead goes; readers that found no
 * room wait in line and begin, oldest first, as room is given back. One that knows nothing asks for the first segment
 * and takes size and ETag from the answer. A reader that has nothing in flight may always ask for one segment more, so
 * there is progress whatever the limit. */
#include "store/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIRST_BYTES = 1 << 20, /* asked for first of an object that is not known */
	VERSION_BYTES = 1025,  /* ids of versions have up to 1,024 */
	INTACT_TRIES = 4,      /* of an object that comes damaged */
};

struct segment {
	uint64_t offset;
	size_t room, bytes, used; /* what was asked for, and is counted; what came; what was read of it */
	uint8_t *data;
	struct gm_call *call; /* NULL: it is all there */
	struct gm_arena arena;
};

struct gm_s3_reader {
	struct gm_store_reader reader;
	struct gm_s3_reader *next, *before; /* in the line of those that wait for room */
	bool in_line;
	char *key;
	char etag[GM_S3_ETAG_BYTES], version[VERSION_BYTES];
	char match[GM_S3_ETAG_BYTES + 2]; /* the ETag in quotes; "": it is not known */
	int64_t expected_mtime_us;        /* INT64_MIN: any */
	bool known;                       /* size and ETag are */
	enum gm_code failed;              /* what came is not to be trusted: all that follows fails the same way */
	uint64_t asked;
	struct segment segments[GM_S3_SEGMENTS];
	size_t first, count; /* of the segments: a ring */
};

static struct gm_s3_reader *of(struct gm_store_reader *reader)
{
	return (struct gm_s3_reader *)reader; /* its first member */
}

static struct gm_s3 *store_of(struct gm_s3_reader *reader)
{
	return gm_s3_of(reader->reader.store);
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

static enum gm_code ask_segment(struct gm_s3_reader *reader, struct segment *segment, struct gm_error *err)
{
	struct gm_call_request request;
	bool whole = reader->known && segment->offset == 0 && segment->bytes == reader->reader.info.size;
	GM_TRY(gm_s3_request(store_of(reader), &segment->arena, GM_CALL_GET, "GET", reader->key, &request, err));
	if (!whole) {
		char *range = gm_arena_printf(&segment->arena, "bytes=%llu-%llu", (unsigned long long)segment->offset,
		                              (unsigned long long)(segment->offset + segment->bytes - 1));
		if (range == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for reading");
		gm_s3_header(&request, "Range", range);
	}
	gm_s3_header(&request, "x-amz-checksum-mode", "ENABLED");
	if (reader->version[0] != '\0')
		gm_s3_query(&request, "versionId", reader->version);
	else if (reader->match[0] != '\0')
		gm_s3_header(&request, "If-Match", reader->match);
	request.into = segment->data;
	request.into_bytes = segment->bytes;
	return gm_call_start(store_of(reader)->client, &request, &segment->call, err);
}

static void drop_segment(struct gm_s3_reader *reader)
{
	struct segment *segment = &reader->segments[reader->first];
	gm_call_end(segment->call);
	free(segment->data);
	gm_arena_release(&segment->arena);
	reader->first = (reader->first + 1) % GM_S3_SEGMENTS;
	reader->count--;
	store_of(reader)->ahead_bytes -= segment->room;
}

static enum gm_code add_segment(struct gm_s3_reader *reader, size_t bytes, struct gm_error *err)
{
	struct segment *segment = &reader->segments[(reader->first + reader->count) % GM_S3_SEGMENTS];
	*segment =
	    (struct segment){.offset = reader->asked, .room = bytes, .bytes = bytes, .data = malloc(bytes > 0 ? bytes : 1)};
	gm_arena_init(&segment->arena, 1024);
	reader->count++;
	store_of(reader)->ahead_bytes += bytes;
	enum gm_code rc = GM_OK;
	if (segment->data == NULL) rc = gm_error_set(err, GM_NOMEM, "out of memory for reading an object");
	if (rc == GM_OK) rc = ask_segment(reader, segment, err);
	if (rc == GM_OK) {
		reader->asked += bytes;
		return GM_OK;
	}
	reader->count--;
	store_of(reader)->ahead_bytes -= bytes;
	free(segment->data);
	gm_arena_release(&segment->arena);
	return rc;
}

/* Of an object that is known: what is asked for first. */
static size_t first_bytes(const struct gm_s3 *s3, uint64_t size)
{
	return size <= 2 * s3->segment_bytes ? (size_t)size : s3->segment_bytes;
}

/* With store->reading held. Asks for what comes next, as far as there is room. */
static enum gm_code pump(struct gm_s3_reader *reader, struct gm_error *err)
{
	struct gm_s3 *s3 = store_of(reader);
	uint64_t size = reader->reader.info.size;
	while (reader->known && reader->asked < size && reader->count < GM_S3_SEGMENTS) {
		uint64_t left = size - reader->asked;
		size_t bytes = reader->asked == 0 ? first_bytes(s3, size) : s3->segment_bytes;
		if (bytes > left) bytes = (size_t)left;
		if (s3->ahead_bytes + bytes > s3->ahead_limit && reader->count > 0) return GM_OK;
		GM_TRY(add_segment(reader, bytes, err));
	}
	return GM_OK;
}

/* --- The line of those that wait for room ------------------------------------------------------------------------- */

static void join_line(struct gm_s3 *s3, struct gm_s3_reader *reader)
{
	struct gm_s3_reader *last = s3->waiting;
	while (last != NULL && last->next != NULL) last = last->next;
	reader->before = last;
	reader->next = NULL;
	*(last != NULL ? &last->next : &s3->waiting) = reader;
	reader->in_line = true;
}

static void leave_line(struct gm_s3 *s3, struct gm_s3_reader *reader)
{
	if (!reader->in_line) return;
	*(reader->before != NULL ? &reader->before->next : &s3->waiting) = reader->next;
	if (reader->next != NULL) reader->next->before = reader->before;
	reader->in_line = false;
}

/* A failure to begin is not told here: the reader meets it again when it is read from. */
static void serve_line(struct gm_s3 *s3)
{
	while (s3->waiting != NULL) {
		struct gm_s3_reader *reader = s3->waiting;
		if (s3->ahead_bytes + first_bytes(s3, reader->reader.info.size) > s3->ahead_limit) return;
		leave_line(s3, reader);
		(void)!pump(reader, NULL);
	}
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

static enum gm_code changed(struct gm_s3_reader *reader, struct gm_error *err)
{
	(void)gm_error_set(err, GM_CHANGED, "the object was overwritten while it was read, or since it was listed");
	return gm_s3_name(store_of(reader), GM_CHANGED, reader->key, err);
}

static void pin(struct gm_s3_reader *reader, const char *etag)
{
	(void)snprintf(reader->etag, sizeof reader->etag, "%s", etag);
	reader->reader.info.etag = reader->etag;
	if (etag[0] != '\0') (void)snprintf(reader->match, sizeof reader->match, "\"%s\"", etag);
}

static enum gm_code other_bytes(struct gm_error *err)
{
	(void)gm_error_set(err, GM_IO, "the store answered with other bytes than were asked for");
	return gm_error_hint(err, GM_IO, "is there a proxy or a cache between that changes answers?");
}

/* Are the bytes that came those that were asked for? The size of the whole goes to info. `asked`: as many, but for what
 * lies behind the end of the object. */
static enum gm_code check_bytes(const struct gm_call_response *response, uint64_t offset, size_t asked,
                                struct gm_object_info *info, char etag[GM_S3_ETAG_BYTES], struct gm_error *err)
{
	const char *text = gm_http_header(&response->http, "content-range");
	struct gm_s3_range range = {.first = 0, .bytes = response->http.got, .size = response->http.got};
	bool sized = gm_s3_info(response, info, etag), right;
	if (response->http.status == 206)
		right = text != NULL && gm_s3_range_read(text, &range);
	else
		right = response->http.status == 200 && sized; /* the whole of it */
	info->size = range.size;
	uint64_t due = right && range.size > offset ? range.size - offset : 0;
	if (due > asked) due = asked;
	if (right && range.first == offset && range.bytes == response->http.got && range.bytes == due) return GM_OK;
	return other_bytes(err);
}

static void pin_version(struct gm_s3_reader *reader, const struct gm_call_response *response)
{
	const char *version = gm_http_header(&response->http, "x-amz-version-id");
	if (!store_of(reader)->version_ids || version == NULL || strcmp(version, "null") == 0) return;
	if (strlen(version) < sizeof reader->version) (void)strcpy(reader->version, version);
}

/* What a good answer says of the object must be what is known of it. */
static enum gm_code check_answer(struct gm_s3_reader *reader, const struct segment *segment,
                                 const struct gm_call_response *response, struct gm_error *err)
{
	struct gm_object_info info;
	char etag[GM_S3_ETAG_BYTES];
	enum gm_code rc = check_bytes(response, segment->offset, segment->room, &info, etag, err);
	if (reader->known && reader->etag[0] != '\0' && etag[0] != '\0' && strcmp(etag, reader->etag) != 0)
		return changed(reader, err);
	if (reader->known && rc == GM_OK && info.size != reader->reader.info.size) return changed(reader, err);
	GM_TRY(rc);
	pin_version(reader, response);
	if (!reader->known) {
		reader->reader.info.size = info.size;
		reader->reader.info.mtime_us = info.mtime_us;
		pin(reader, etag);
		reader->known = true;
		return GM_OK;
	}
	bool compared = reader->etag[0] != '\0' && etag[0] != '\0';
	if (compared || reader->expected_mtime_us == INT64_MIN) return GM_OK;
	/* An answer's time has whole seconds. */
	if (info.mtime_us / 1000000 != reader->expected_mtime_us / 1000000) return changed(reader, err);
	if (reader->etag[0] == '\0') pin(reader, etag); /* what follows is compared with that */
	return GM_OK;
}

/* Waits for a segment. *missing: the object has no byte at that offset (416). */
static enum gm_code take_answer(struct gm_s3_reader *reader, struct segment *segment, bool *missing, bool *intact,
                                char seen[GM_S3_MD5_HEX_BYTES], struct gm_error *err)
{
	struct gm_call_response *response;
	*missing = false;
	*intact = true;
	enum gm_code rc = gm_call_wait(segment->call, &response, err);
	if (rc != GM_OK && response->http.end == GM_HTTP_TOO_LARGE) {
		bool whole = reader->known && segment->room == reader->reader.info.size;
		rc = whole ? changed(reader, err) : other_bytes(err);
	} else if (rc == GM_OK && response->http.status == 416 && !reader->known) {
		*missing = true;
	} else if (rc == GM_OK && (response->http.status == 412 || response->http.status == 416)) {
		rc = changed(reader, err);
	} else if (rc == GM_OK && !gm_s3_good(response)) {
		rc = gm_s3_fail(store_of(reader), response, reader->key, "read the object", err);
	} else if (rc == GM_OK) {
		rc = check_answer(reader, segment, response, err);
		segment->bytes = response->http.got; /* fewer only of the first of an object that was not known */
		bool whole = rc == GM_OK && segment->offset == 0 && segment->bytes == reader->reader.info.size;
		if (whole)
			*intact = gm_s3_is_intact(store_of(reader), response, reader->etag, segment->data, segment->bytes, seen);
	}
	gm_call_end(segment->call);
	segment->call = NULL;
	return rc;
}

static enum gm_code take_segment(struct gm_s3_reader *reader, struct segment *segment, bool *missing,
                                 struct gm_error *err)
{
	char seen[GM_S3_MD5_HEX_BYTES] = "";
	bool intact;
	*missing = false;
	if (segment->call == NULL) return GM_OK;
	enum gm_code rc = take_answer(reader, segment, missing, &intact, seen, err);
	for (int i = 1; rc == GM_OK && !intact && i < INTACT_TRIES; i++) {
		rc = ask_segment(reader, segment, err);
		if (rc == GM_OK) rc = take_answer(reader, segment, missing, &intact, seen, err);
	}
	if (rc == GM_OK && !intact) rc = gm_error_set(err, GM_TRANSIENT, "the object comes damaged, time and again");
	if (rc != GM_OK) reader->failed = rc;
	return gm_s3_name(store_of(reader), rc, reader->key, rc != GM_OK ? err : NULL);
}

/* --- The operations ----------------------------------------------------------------------------------------------- */

/* With store->reading held: what did not come needs no room. */
static void shrink(struct gm_s3_reader *reader, struct segment *segment)
{
	uint8_t *smaller = realloc(segment->data, segment->bytes > 0 ? segment->bytes : 1);
	if (smaller != NULL) segment->data = smaller;
	store_of(reader)->ahead_bytes -= segment->room - segment->bytes;
	segment->room = segment->bytes;
}

/* The first segment of an object of which nothing is known. */
static enum gm_code get_acquainted(struct gm_s3_reader *reader, struct gm_error *err)
{
	struct gm_s3 *s3 = store_of(reader);
	bool missing;
	(void)pthread_mutex_lock(&s3->reading);
	enum gm_code rc = add_segment(reader, FIRST_BYTES, err);
	(void)pthread_mutex_unlock(&s3->reading);
	GM_TRY(rc);
	struct segment *segment = &reader->segments[reader->first];
	rc = take_segment(reader, segment, &missing, err);
	(void)pthread_mutex_lock(&s3->reading);
	if (rc == GM_OK && !missing) shrink(reader, segment);
	if (rc != GM_OK || missing) drop_segment(reader);
	reader->asked = missing ? 0 : segment->bytes;
	(void)pthread_mutex_unlock(&s3->reading);
	if (rc == GM_OK && missing) { /* it is empty: no answer to GET tells its ETag */
		char etag[GM_S3_ETAG_BYTES];
		struct gm_object_info info;
		GM_TRY(gm_s3_head(s3, reader->key, &info, etag, NULL, err));
		if (info.size != 0) return changed(reader, err);
		reader->reader.info.mtime_us = info.mtime_us;
		pin(reader, etag);
		reader->known = true;
	}
	return rc;
}

static enum gm_code expect(struct gm_s3_reader *reader, const struct gm_object_info *expected, struct gm_error *err)
{
	struct gm_s3 *s3 = store_of(reader);
	enum gm_code rc = GM_OK;
	reader->reader.info.size = expected->size;
	reader->reader.info.mtime_us = expected->mtime_us;
	reader->expected_mtime_us = expected->mtime_us;
	pin(reader, expected->etag);
	reader->known = true;
	(void)pthread_mutex_lock(&s3->reading);
	if (expected->size == 0)
		rc = add_segment(reader, 0, err); /* whether it still is, one request tells */
	else if (s3->waiting != NULL || s3->ahead_bytes + first_bytes(s3, expected->size) > s3->ahead_limit)
		join_line(s3, reader);
	else
		rc = pump(reader, err);
	(void)pthread_mutex_unlock(&s3->reading);
	return rc;
}

enum gm_code gm_s3_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                               struct gm_store_reader **out, struct gm_error *err)
{
	*out = NULL;
	struct gm_s3_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL || (reader->key = strdup(key)) == NULL) {
		free(reader);
		GM_FAIL(err, GM_NOMEM, "out of memory for reading an object");
	}
	reader->reader = (struct gm_store_reader){.store = store, .info = {.key = reader->key, .etag = reader->etag}};
	reader->expected_mtime_us = INT64_MIN;
	enum gm_code rc = expected != NULL ? expect(reader, expected, err) : get_acquainted(reader, err);
	if (rc != GM_OK) {
		gm_s3_reader_close(&reader->reader);
		return rc;
	}
	*out = &reader->reader;
	return GM_OK;
}

/* Until it is read from, other threads may begin what it asks for. */
static enum gm_code step_out(struct gm_s3_reader *reader, struct gm_error *err)
{
	struct gm_s3 *s3 = store_of(reader);
	(void)pthread_mutex_lock(&s3->reading);
	leave_line(s3, reader);
	(void)pthread_mutex_unlock(&s3->reading);
	if (reader->failed == GM_OK) return GM_OK;
	(void)gm_error_set(err, reader->failed, "reading the object has failed before");
	return gm_s3_name(s3, reader->failed, reader->key, err);
}

/* Makes the front segment one with bytes to be read; none left: the object ends here. */
static enum gm_code come_to_bytes(struct gm_s3_reader *reader, struct gm_error *err)
{
	struct gm_s3 *s3 = store_of(reader);
	bool missing;
	(void)pthread_mutex_lock(&s3->reading);
	if (reader->count > 0 && reader->segments[reader->first].call == NULL &&
	    reader->segments[reader->first].used == reader->segments[reader->first].bytes)
		drop_segment(reader);
	enum gm_code rc = pump(reader, err);
	serve_line(s3);
	(void)pthread_mutex_unlock(&s3->reading);
	GM_TRY(rc);
	return reader->count > 0 ? take_segment(reader, &reader->segments[reader->first], &missing, err) : GM_OK;
}

enum gm_code gm_s3_reader_read(struct gm_store_reader *base, void *into, size_t bytes, size_t *got,
                               struct gm_error *err)
{
	struct gm_s3_reader *reader = of(base);
	*got = 0;
	GM_TRY(step_out(reader, err));
	while (*got < bytes) {
		struct segment *segment = &reader->segments[reader->first];
		if (reader->count == 0 || segment->call != NULL || segment->used == segment->bytes) {
			GM_TRY(come_to_bytes(reader, err));
			segment = &reader->segments[reader->first];
			if (reader->count == 0 || segment->used == segment->bytes) break;
		}
		size_t n = segment->bytes - segment->used, wanted = bytes - *got;
		if (n > wanted) n = wanted;
		memcpy((uint8_t *)into + *got, segment->data + segment->used, n);
		segment->used += n;
		*got += n;
	}
	return GM_OK;
}

/* Every byte came from answers to If-Match: there is nothing left to be asked. But an empty object, or one that was not
 * read to its end, may have said nothing yet; and of one that waited for room nothing was asked. */
enum gm_code gm_s3_reader_check(struct gm_store_reader *base, struct gm_error *err)
{
	struct gm_s3_reader *reader = of(base);
	bool missing;
	GM_TRY(step_out(reader, err));
	if (reader->asked == 0 && reader->count == 0 && reader->reader.info.size > 0) GM_TRY(come_to_bytes(reader, err));
	for (size_t i = 0; i < reader->count; i++)
		GM_TRY(take_segment(reader, &reader->segments[(reader->first + i) % GM_S3_SEGMENTS], &missing, err));
	return GM_OK;
}

void gm_s3_reader_close(struct gm_store_reader *base)
{
	struct gm_s3_reader *reader = of(base);
	struct gm_s3 *s3 = store_of(reader);
	(void)pthread_mutex_lock(&s3->reading);
	leave_line(s3, reader);
	while (reader->count > 0) drop_segment(reader);
	serve_line(s3);
	(void)pthread_mutex_unlock(&s3->reading);
	free(reader->key);
	free(reader);
}

/* --- One look ----------------------------------------------------------------------------------------------------- */

enum gm_code gm_s3_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes, size_t *got,
                        struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_exchange exchange;
	enum gm_code rc;
	*got = 0;
	if (bytes == 0) return GM_OK;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_GET, "GET", key, err));
	char *range = gm_arena_printf(&exchange.arena, "bytes=%llu-%llu", (unsigned long long)offset,
	                              (unsigned long long)(offset + bytes - 1));
	if (range == NULL) {
		rc = gm_error_set(err, GM_NOMEM, "out of memory for reading an object");
		goto out;
	}
	gm_s3_header(&exchange.request, "Range", range);
	exchange.request.into = into;
	exchange.request.into_bytes = bytes;
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	if (gm_s3_good(response)) {
		struct gm_object_info info;
		char etag[GM_S3_ETAG_BYTES];
		GM_TRY_OUT(check_bytes(response, offset, bytes, &info, etag, err));
		*got = response->http.got;
	} else if (response->http.status != 416) { /* behind the end is no error */
		rc = gm_s3_fail(s3, response, key, "read the object", err);
	}
out:
	return gm_s3_end(&exchange, rc, err);
}
