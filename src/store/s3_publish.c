/* s3_publish.c - what was staged appears under its final key, or goes: by who has staged it, or by anybody who has read
 * its token in a manifest. See s3_stage.c for what is staged how. */
#include "store/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COMPLETE_ROUNDS = 4, /* of an upload that is told EXISTS by a key that is gone when it is looked at */
	PAGE_TRIES = 4,
	LIST_BODY_BYTES = 16 << 20,
	RANDOM_HEX = GM_S3_PUT_TOKEN_BYTES - 1,
};
static const char staged_mark[] = ".staged";

static enum gm_code out_of_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for a staged object");
}

/* --- Tokens ------------------------------------------------------------------------------------------------------- */

/* What a token says. Of a key the random part of its name; of an upload its id, too, and the key it is to. */
struct staged_name {
	bool is_key;
	char id[GM_S3_UPLOAD_ID_BYTES], random[GM_S3_PUT_TOKEN_BYTES];
	const char *final_key;
};

static bool is_random(const char *text, size_t bytes)
{
	return bytes == RANDOM_HEX && strspn(text, "0123456789abcdef") >= RANDOM_HEX;
}

/* "<folder>/<random>.staged" */
static bool parse_key(const char *token, struct staged_name *name)
{
	size_t n = strlen(token), end = RANDOM_HEX + sizeof staged_mark - 1;
	if (n <= end || token[n - end - 1] != '/' || !gm_store_key_valid(token)) return false;
	const char *random = token + n - end;
	if (!is_random(random, RANDOM_HEX) || strcmp(random + RANDOM_HEX, staged_mark) != 0) return false;
	(void)snprintf(name->random, sizeof name->random, "%s", random);
	return true;
}

/* "upload:<id> <random> <final key>" */
static bool parse_upload(const char *token, struct staged_name *name)
{
	const char *id = token + strlen("upload:"), *random = strchr(id, ' ');
	size_t id_bytes = random != NULL ? (size_t)(random - id) : 0;
	if (id_bytes == 0 || id_bytes >= sizeof name->id) return false;
	const char *blank = strchr(++random, ' ');
	if (blank == NULL || !is_random(random, (size_t)(blank - random))) return false;
	(void)snprintf(name->id, sizeof name->id, "%.*s", (int)id_bytes, id);
	(void)snprintf(name->random, sizeof name->random, "%s", random);
	name->final_key = blank + 1;
	return gm_store_key_valid(name->final_key);
}

/* Tokens come back from manifests: one that was tampered with must not name anything else. Without its id the abortion
 * of an upload would be the removal of an object. */
static enum gm_code parse_token(struct gm_s3 *s3, const char *token, struct staged_name *name, struct gm_error *err)
{
	*name = (struct staged_name){.is_key = gm_token_is_key(token), .final_key = ""};
	if (name->is_key ? parse_key(token, name) : parse_upload(token, name)) return GM_OK;
	(void)gm_error_set(err, GM_CORRUPT, "not the name of something staged");
	return gm_s3_name(s3, GM_CORRUPT, token, err);
}

/* One answer of ListParts, added to the list. */
static enum gm_code list_more(struct gm_s3 *s3, const struct staged_name *name, struct gm_s3_parts *parts,
                              struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_MULTIPART, "GET", name->final_key, err));
	char *marker = gm_arena_printf(&exchange.arena, "%zu", parts->count);
	if (marker == NULL) {
		rc = out_of_memory(err);
		goto out;
	}
	gm_s3_query(&exchange.request, "uploadId", name->id);
	if (parts->count > 0) gm_s3_query(&exchange.request, "part-number-marker", marker);
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	if (!gm_s3_good(response))
		rc = gm_s3_fail(s3, response, name->final_key, "look at an upload", err);
	else
		rc = gm_s3_parts_read(parts, response->http.body.data, response->http.body.len, err);
out:
	return gm_s3_end(&exchange, rc, err);
}

/* NOT_FOUND: there is no such upload (any more). An answer that is none is asked for again. */
static enum gm_code list_parts(struct gm_s3 *s3, const struct staged_name *name, struct gm_s3_parts *parts,
                               struct gm_error *err)
{
	do {
		enum gm_code rc = GM_CORRUPT;
		for (int i = 0; rc == GM_CORRUPT && i < PAGE_TRIES; i++) rc = list_more(s3, name, parts, err);
		GM_TRY(rc);
	} while (parts->truncated);
	return GM_OK;
}

static uint64_t bytes_of(const struct gm_s3_parts *parts)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < parts->count; i++) bytes += parts->parts[i].bytes;
	return bytes;
}

static enum gm_code size_of_found(struct gm_s3 *s3, const char *token, const struct staged_name *name, uint64_t *bytes,
                                  struct gm_error *err)
{
	if (name->is_key) {
		struct gm_object_info info = {.size = 0};
		char etag[GM_S3_ETAG_BYTES];
		enum gm_code rc = gm_s3_head(s3, token, &info, etag, NULL, err);
		*bytes = info.size;
		return rc;
	}
	struct gm_s3_parts parts = {.count = 0};
	enum gm_code rc = list_parts(s3, name, &parts, err);
	*bytes = bytes_of(&parts);
	gm_s3_parts_release(&parts);
	return rc;
}

/* What this process has sent itself it need not ask for. */
static bool size_of_known(struct gm_s3_upload *upload, uint64_t *bytes)
{
	(void)pthread_mutex_lock(&upload->lock);
	bool known = upload->id != NULL ? !upload->completed : upload->kept != NULL;
	if (known) *bytes = upload->id != NULL ? bytes_of(&upload->parts) : upload->kept_bytes;
	(void)pthread_mutex_unlock(&upload->lock);
	return known;
}

enum gm_code gm_s3_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct staged_name name;
	*bytes = 0;
	GM_TRY(parse_token(s3, token, &name, err));
	struct gm_s3_upload *upload = gm_s3_upload_find(s3, token);
	enum gm_code rc = upload != NULL ? gm_s3_upload_land(s3, upload, err) : GM_OK;
	if (rc == GM_OK && (upload == NULL || !size_of_known(upload, bytes)))
		rc = size_of_found(s3, token, &name, bytes, err);
	gm_s3_upload_let_go(s3, upload);
	return rc;
}

/* --- Publishing --------------------------------------------------------------------------------------------------- */

/* Many may be published at once, by a process that has none of them in memory: they take turns. */
static void wait_for_room(struct gm_s3 *s3, uint64_t bytes)
{
	(void)pthread_mutex_lock(&s3->staging);
	while (s3->fetched_bytes > 0 && s3->fetched_bytes + bytes > s3->staged_limit)
		(void)pthread_cond_wait(&s3->room, &s3->staging);
	s3->fetched_bytes += bytes;
	(void)pthread_mutex_unlock(&s3->staging);
}

static void give_room(struct gm_s3 *s3, uint64_t bytes)
{
	(void)pthread_mutex_lock(&s3->staging);
	s3->fetched_bytes -= bytes;
	(void)pthread_cond_broadcast(&s3->room);
	(void)pthread_mutex_unlock(&s3->staging);
}

/* Of an object that this process has not staged, or has let go. */
static enum gm_code publish_fetched(struct gm_s3 *s3, const char *token, const char *random, const char *final_key,
                                    struct gm_error *err)
{
	struct gm_store_reader *reader;
	GM_TRY(gm_store_reader_open(&s3->store, token, &reader, err));
	size_t bytes = (size_t)reader->info.size, got = 0;
	if (reader->info.size > GM_S3_PART_BYTES) {
		gm_store_reader_close(reader);
		(void)gm_error_set(err, GM_CORRUPT, "a staged object is larger than any");
		return gm_s3_name(s3, GM_CORRUPT, token, err);
	}
	wait_for_room(s3, bytes);
	uint8_t *data = malloc(bytes > 0 ? bytes : 1);
	enum gm_code rc = data != NULL ? GM_OK : out_of_memory(err);
	if (rc == GM_OK) rc = gm_store_reader_read(reader, data, bytes, &got, err);
	if (rc == GM_OK && got != bytes) rc = gm_error_set(err, GM_CHANGED, "a staged object became shorter");
	if (rc == GM_OK) rc = gm_s3_put_as(s3, final_key, data, bytes, random, err);
	free(data);
	give_room(s3, bytes);
	gm_store_reader_close(reader);
	return rc;
}

static enum gm_code publish_small(struct gm_s3 *s3, const char *token, const char *random, struct gm_s3_upload *upload,
                                  const char *final_key, struct gm_error *err)
{
	uint8_t *data;
	size_t bytes;
	if (upload == NULL || !gm_s3_kept_take(upload, &data, &bytes))
		return publish_fetched(s3, token, random, final_key, err);
	enum gm_code rc = gm_s3_put_as(s3, final_key, data, bytes, random, err);
	if (rc == GM_OK)
		gm_s3_kept_free(s3, data, bytes);
	else
		gm_s3_kept_give(upload, data, bytes);
	return rc;
}

static enum gm_code complete_list(const struct gm_s3_part *parts, size_t count, struct gm_buf *out,
                                  struct gm_error *err)
{
	GM_TRY(gm_buf_printf(out, err, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
	for (size_t i = 0; i < count; i++)
		GM_TRY(gm_buf_printf(out, err, "<Part><PartNumber>%zu</PartNumber><ETag>\"%s\"</ETag></Part>", i + 1,
		                     parts[i].etag));
	return gm_buf_printf(out, err, "</CompleteMultipartUpload>");
}

/* *unclear: it may be completed, now or before. NOT_FOUND: the upload is gone, or cannot be completed any more. */
static enum gm_code complete_once(struct gm_s3 *s3, const struct staged_name *name, const struct gm_s3_parts *parts,
                                  bool *unclear, struct gm_error *err)
{
	const char *final_key = name->final_key;
	struct gm_s3_exchange exchange;
	struct gm_call_request *request = &exchange.request;
	struct gm_buf body;
	enum gm_code rc;
	*unclear = false;
	gm_buf_init(&body, LIST_BODY_BYTES);
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_MULTIPART, "POST", final_key, err));
	GM_TRY_OUT(complete_list(parts->parts, parts->count, &body, err));
	gm_s3_query(request, "uploadId", name->id);
	gm_s3_header(request, "Content-Type", "application/xml");
	gm_s3_header(request, "If-None-Match", "*");
	request->body = body.data;
	request->body_bytes = body.len;
	request->body_may_be_error = true;
	rc = gm_s3_ask(&exchange, err);
	const struct gm_call_response *response = exchange.response;
	if (response == NULL || (rc == GM_OK && gm_s3_good(response))) goto out;
	if (rc == GM_OK) {
		rc = gm_s3_fail(s3, response, final_key, "complete an upload", err);
		if (response->http.status == 409)
			rc = gm_error_set(err, GM_NOT_FOUND, "the upload is in conflict with another");
	}
	*unclear = rc == GM_EXISTS || rc == GM_NOT_FOUND || rc == GM_TRANSIENT || response->unclear;
out:
	rc = gm_s3_end(&exchange, rc, err); /* the request points to the body */
	gm_buf_release(&body);
	return rc;
}

static enum gm_code complete(struct gm_s3 *s3, const struct staged_name *name, const struct gm_s3_parts *parts,
                             struct gm_error *err)
{
	enum gm_code rc = GM_OK;
	bool again = true, unclear;
	if (parts->count == 0) {
		(void)gm_error_set(err, GM_CORRUPT, "an upload has no parts");
		return gm_s3_name(s3, GM_CORRUPT, name->final_key, err);
	}
	for (int i = 0; again && i < COMPLETE_ROUNDS; i++) {
		rc = complete_once(s3, name, parts, &unclear, err);
		if (!unclear) return rc;
		rc = gm_s3_look_back(s3, name->final_key, name->random, rc, &again, err);
	}
	return rc;
}

/* An upload of which this process knows no more than its token. */
static enum gm_code complete_found(struct gm_s3 *s3, const struct staged_name *name, struct gm_error *err)
{
	struct gm_s3_parts parts = {.count = 0};
	bool again;
	enum gm_code rc = list_parts(s3, name, &parts, err);
	if (rc == GM_NOT_FOUND) /* because it was completed before? */
		rc = gm_s3_look_back(s3, name->final_key, name->random, rc, &again, err);
	else if (rc == GM_OK)
		rc = complete(s3, name, &parts, err);
	gm_s3_parts_release(&parts);
	return rc;
}

static enum gm_code complete_known(struct gm_s3 *s3, const struct staged_name *name, struct gm_s3_upload *upload,
                                   struct gm_error *err)
{
	enum gm_code rc = complete(s3, name, &upload->parts, err);
	(void)pthread_mutex_lock(&upload->lock);
	upload->completed |= rc == GM_OK;
	(void)pthread_mutex_unlock(&upload->lock);
	return rc;
}

enum gm_code gm_s3_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct staged_name name;
	GM_TRY(parse_token(s3, token, &name, err));
	if (!name.is_key && strcmp(name.final_key, final_key) != 0) {
		(void)gm_error_set(err, GM_CORRUPT, "an upload is to another key than it is to be published under");
		return gm_s3_name(s3, GM_CORRUPT, final_key, err);
	}
	struct gm_s3_upload *upload = gm_s3_upload_find(s3, token);
	enum gm_code rc = upload != NULL ? gm_s3_upload_land(s3, upload, err) : GM_OK;
	if (rc == GM_OK && name.is_key)
		rc = publish_small(s3, token, name.random, upload, final_key, err);
	else if (rc == GM_OK)
		rc = upload != NULL ? complete_known(s3, &name, upload, err) : complete_found(s3, &name, err);
	gm_s3_upload_let_go(s3, upload);
	return rc;
}

enum gm_code gm_s3_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct staged_name name;
	bool completed = false;
	GM_TRY(parse_token(s3, token, &name, err));
	struct gm_s3_upload *upload = gm_s3_upload_find(s3, token);
	if (upload != NULL) {
		(void)!gm_s3_upload_land(s3, upload, NULL); /* or it would come after it was removed */
		(void)pthread_mutex_lock(&upload->lock);
		completed = upload->completed;
		(void)pthread_mutex_unlock(&upload->lock);
		gm_s3_upload_forget(s3, upload);
		gm_s3_upload_let_go(s3, upload);
	}
	if (name.is_key) return gm_s3_remove(store, token, err);
	return completed ? GM_OK : gm_s3_delete(s3, name.final_key, name.id, err);
}
