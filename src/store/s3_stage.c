/* s3_stage.c - objects that are written before they may be seen.
 *
 * Up to one part's size an object is kept together and put below the work folder, as on a directory: the token is its
 * key. What becomes larger is a multipart upload to the final key, its parts sent while the object is written: the
 * token is "upload:<upload id> <random> <final key>". Either way any machine can publish it; this process remembers
 * what saves it requests (bytes of small objects, ETags of parts) as far as its share of memory goes. The random part
 * is the token of the put (s3.h): who publishes it a second time, after a lost answer or beside another, finds that it
 * is done.
 *
 *     open     append...    finish            settle           publish                      discard
 *     -        -            PUT work key      its answer       PUT final, If-None-Match     DELETE work key
 *     -        Create,      last UploadPart   its answer       Complete, If-None-Match      Abort, unless completed
 *              UploadPart
 *
 * What is not sent yet (less than a part for each open object) lies in memory; when all of them together come to more
 * than their share, in a file of the scratch folder. */
#include "store/s3_upload.h"

#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SPILL_BYTES = 256 << 10, /* less is not worth a file */
	PUTS_IN_FLIGHT = GM_S3_PARALLEL,
};
static const char upload_mark[] = "upload:";

struct gm_staged {
	struct gm_s3_upload *upload;
	char *work_prefix;
	struct gm_buf tail; /* not sent yet, or in the file */
	int file;           /* -1: in memory */
	size_t tail_bytes;
};

/* --- Memory ------------------------------------------------------------------------------------------------------- */

static void account(struct gm_s3 *s3, int64_t more)
{
	(void)pthread_mutex_lock(&s3->staging);
	s3->staged_bytes = (uint64_t)((int64_t)s3->staged_bytes + more);
	(void)pthread_mutex_unlock(&s3->staging);
}

static bool is_full(struct gm_s3 *s3)
{
	(void)pthread_mutex_lock(&s3->staging);
	bool full = s3->staged_bytes > s3->staged_limit;
	(void)pthread_mutex_unlock(&s3->staging);
	return full;
}

static enum gm_code out_of_memory(struct gm_error *err)
{
	GM_FAIL(err, GM_NOMEM, "out of memory for a staged object");
}

static const char *scratch_of(const struct gm_s3 *s3)
{
	return s3->scratch != NULL ? s3->scratch : "/var/tmp";
}

static enum gm_code spill(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	const char *folder = scratch_of(s3);
	int file = gm_io_temporary(folder);
	if (file < 0) return gm_error_errno(err, errno, folder, "could not make a file for what waits to be sent");
	if (!gm_io_pwrite(file, staged->tail.data, staged->tail_bytes, 0)) {
		int number = errno;
		(void)close(file);
		return gm_error_errno(err, number, folder, "could not write what waits to be sent");
	}
	staged->file = file;
	account(s3, -(int64_t)staged->tail_bytes);
	gm_buf_release(&staged->tail);
	gm_buf_init(&staged->tail, GM_S3_PART_BYTES);
	return GM_OK;
}

static enum gm_code append_tail(struct gm_s3 *s3, struct gm_staged *staged, const void *data, size_t bytes,
                                struct gm_error *err)
{
	if (staged->file < 0 && staged->tail_bytes >= SPILL_BYTES && is_full(s3)) GM_TRY(spill(s3, staged, err));
	if (staged->file >= 0) {
		if (!gm_io_pwrite(staged->file, data, bytes, staged->tail_bytes))
			return gm_error_errno(err, errno, scratch_of(s3), "could not write what waits to be sent");
	} else {
		GM_TRY(gm_buf_append(&staged->tail, data, bytes, err));
		account(s3, (int64_t)bytes);
	}
	staged->tail_bytes += bytes;
	return GM_OK;
}

/* The tail as a block of its own, which counts as memory of the store; the tail is empty then. */
static enum gm_code take_tail(struct gm_s3 *s3, struct gm_staged *staged, uint8_t **data, size_t *bytes,
                              struct gm_error *err)
{
	*bytes = staged->tail_bytes;
	*data = staged->tail.data;
	staged->tail_bytes = 0;
	if (staged->file < 0) {
		gm_buf_init(&staged->tail, GM_S3_PART_BYTES);
		return GM_OK;
	}
	size_t got = 0;
	*data = malloc(*bytes > 0 ? *bytes : 1);
	if (*data == NULL) return out_of_memory(err);
	bool good = gm_io_pread(staged->file, *data, *bytes, 0, &got) && got == *bytes;
	int number = errno;
	(void)close(staged->file);
	staged->file = -1;
	account(s3, (int64_t)*bytes);
	if (good) return GM_OK;
	account(s3, -(int64_t)*bytes);
	free(*data);
	*data = NULL;
	return gm_error_errno(err, number, scratch_of(s3), "could not read back what waits to be sent");
}

/* --- What is on its way ------------------------------------------------------------------------------------------- */

static void free_sending(struct gm_s3 *s3, struct gm_s3_sending *sending)
{
	gm_call_end(sending->call);
	sending->call = NULL;
	gm_arena_release(&sending->arena);
	account(s3, -(int64_t)sending->bytes);
	free(sending->data);
	sending->data = NULL;
	sending->bytes = 0;
}

static enum gm_code failed_before(const struct gm_s3_upload *upload, struct gm_error *err)
{
	if (err != NULL) *err = upload->why;
	return upload->failed;
}

static void fail(struct gm_s3_upload *upload, enum gm_code code, const struct gm_error *why)
{
	if (upload->failed != GM_OK) return;
	upload->failed = code;
	upload->why = *why;
}

/* The bytes of a small object are worth keeping: publishing it sends them again. But half of the room is for what
 * moves. */
static void keep(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_s3_sending *sending)
{
	if (upload->id != NULL || upload->failed != GM_OK) return;
	(void)pthread_mutex_lock(&s3->staging);
	bool room = s3->kept_bytes + sending->bytes <= s3->staged_limit / 2;
	if (room) s3->kept_bytes += sending->bytes;
	(void)pthread_mutex_unlock(&s3->staging);
	if (!room) return;
	upload->kept = sending->data;
	upload->kept_bytes = sending->bytes;
	sending->data = NULL;
	sending->bytes = 0; /* still counted: they are the upload's now */
}

bool gm_s3_kept_take(struct gm_s3_upload *upload, uint8_t **data, size_t *bytes)
{
	(void)pthread_mutex_lock(&upload->lock);
	*data = upload->kept;
	*bytes = upload->kept_bytes;
	upload->kept = NULL;
	(void)pthread_mutex_unlock(&upload->lock);
	return *data != NULL;
}

void gm_s3_kept_give(struct gm_s3_upload *upload, uint8_t *data, size_t bytes)
{
	(void)pthread_mutex_lock(&upload->lock);
	upload->kept = data;
	upload->kept_bytes = bytes;
	(void)pthread_mutex_unlock(&upload->lock);
}

void gm_s3_kept_free(struct gm_s3 *s3, uint8_t *data, size_t bytes)
{
	if (data == NULL) return;
	free(data);
	(void)pthread_mutex_lock(&s3->staging);
	s3->kept_bytes -= bytes;
	s3->staged_bytes -= bytes;
	(void)pthread_mutex_unlock(&s3->staging);
}

static void note_part(struct gm_s3_upload *upload, const struct gm_s3_sending *sending,
                      const struct gm_call_response *response)
{
	struct gm_object_info info;
	(void)gm_s3_info(response, &info, upload->parts.parts[sending->part].etag);
}

/* Waits for the oldest of them. With the upload's lock, or before it is in the list. */
static void land_one(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	struct gm_s3_sending *sending = &upload->sending[upload->first];
	struct gm_call_response *response;
	struct gm_error err;
	enum gm_code rc = gm_call_wait(sending->call, &response, &err);
	if (rc == GM_OK && !gm_s3_good(response))
		rc = gm_s3_fail(s3, response, upload->final_key, "stage the object", &err);
	if (rc == GM_OK && upload->id != NULL) note_part(upload, sending, response);
	if (rc == GM_OK && upload->id != NULL && upload->parts.parts[sending->part].etag[0] == '\0')
		rc = gm_error_set(&err, GM_IO, "the store took a part and gave it no ETag");
	if (rc != GM_OK) fail(upload, gm_s3_name(s3, rc, upload->final_key, &err), &err);
	keep(s3, upload, sending);
	free_sending(s3, sending);
	(void)pthread_mutex_lock(&s3->staging);
	upload->first = (upload->first + 1) % GM_S3_PARTS_IN_FLIGHT;
	upload->count--;
	s3->putting -= upload->id == NULL;
	(void)pthread_mutex_unlock(&s3->staging);
}

/* With the store's lock. */
static void leave_flight(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	if (!upload->in_flight) return;
	*(upload->older != NULL ? &upload->older->newer : &s3->oldest) = upload->newer;
	*(upload->newer != NULL ? &upload->newer->older : &s3->newest) = upload->older;
	upload->in_flight = false;
}

enum gm_code gm_s3_upload_land(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_error *err)
{
	(void)pthread_mutex_lock(&upload->lock);
	while (upload->count > 0) land_one(s3, upload);
	enum gm_code rc = upload->failed != GM_OK ? failed_before(upload, err) : GM_OK;
	(void)pthread_mutex_unlock(&upload->lock);
	if (rc != GM_OK) return rc; /* it stays among them, for whoever settles */
	(void)pthread_mutex_lock(&s3->staging);
	leave_flight(s3, upload);
	(void)pthread_mutex_unlock(&s3->staging);
	return GM_OK;
}

/* Starts a request that owns the bytes it sends; what it points to besides is in sending->arena. */
static enum gm_code send(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_call_request *request,
                         struct gm_s3_sending *sending, struct gm_error *err)
{
	request->body = sending->data;
	request->body_bytes = sending->bytes;
	GM_TRY(gm_call_start(s3->client, request, &sending->call, err));
	upload->sending[(upload->first + upload->count) % GM_S3_PARTS_IN_FLIGHT] = *sending;
	upload->count++;
	return GM_OK;
}

/* --- Multipart uploads -------------------------------------------------------------------------------------------- */

static enum gm_code create_upload(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_MULTIPART, "POST", upload->final_key, err));
	gm_s3_query(&exchange.request, "uploads", "");
	gm_s3_object_headers(s3, &exchange.request, upload->random);
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	if (!gm_s3_good(response))
		rc = gm_s3_fail(s3, response, upload->final_key, "begin an upload", err);
	else
		rc = gm_s3_upload_id_read(response->http.body.data, response->http.body.len, &upload->id, err);
out:
	return gm_s3_end(&exchange, rc, err);
}

static enum gm_code send_part(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	struct gm_s3_upload *upload = staged->upload;
	struct gm_call_request request;
	struct gm_s3_parts *parts = &upload->parts;
	struct gm_s3_sending sending = {.part = parts->count};
	if (upload->id == NULL) GM_TRY(create_upload(s3, upload, err));
	while (upload->count == GM_S3_PARTS_IN_FLIGHT || (upload->count > 0 && is_full(s3))) land_one(s3, upload);
	if (upload->failed != GM_OK) return failed_before(upload, err);
	struct gm_s3_part *grown = gm_grow(parts->parts, parts->count, &parts->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	parts->parts = grown;
	GM_TRY(take_tail(s3, staged, &sending.data, &sending.bytes, err));
	parts->parts[parts->count++] = (struct gm_s3_part){.etag = "", .bytes = sending.bytes};
	gm_arena_init(&sending.arena, 2048);
	enum gm_code rc = gm_s3_request(s3, &sending.arena, GM_CALL_MULTIPART, "PUT", upload->final_key, &request, err);
	char *number = gm_arena_printf(&sending.arena, "%zu", sending.part + 1);
	char *id = gm_arena_strndup(&sending.arena, upload->id, strlen(upload->id));
	char *md5 = gm_arena_alloc(&sending.arena, GM_S3_MD5_BYTES);
	if (rc == GM_OK && (number == NULL || id == NULL || md5 == NULL)) rc = out_of_memory(err);
	if (rc == GM_OK) {
		gm_s3_query(&request, "partNumber", number);
		gm_s3_query(&request, "uploadId", id);
		if (gm_s3_content_md5(sending.data, sending.bytes, md5)) gm_s3_header(&request, "Content-MD5", md5);
		rc = send(s3, upload, &request, &sending, err);
	}
	if (rc != GM_OK) free_sending(s3, &sending);
	return rc;
}

/* --- What is known here ------------------------------------------------------------------------------------------- */

static void cancel(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	for (; upload->count > 0; upload->count--) {
		free_sending(s3, &upload->sending[upload->first]);
		upload->first = (upload->first + 1) % GM_S3_PARTS_IN_FLIGHT;
	}
}

static void free_upload(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	cancel(s3, upload);
	gm_s3_kept_free(s3, upload->kept, upload->kept_bytes);
	gm_s3_parts_release(&upload->parts);
	(void)pthread_mutex_destroy(&upload->lock);
	free(upload->token);
	free(upload->final_key);
	free(upload->id);
	free(upload);
}

/* The list that an upload with this token is in. FNV-1a: tokens differ in their random part. */
static struct gm_s3_upload **list_of(struct gm_s3 *s3, const char *token)
{
	uint32_t hash = 2166136261U;
	for (; *token != '\0'; token++) hash = (hash ^ (unsigned char)*token) * 16777619U;
	return &s3->known[hash % GM_S3_KNOWN];
}

static void make_known(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	(void)pthread_mutex_lock(&s3->staging);
	struct gm_s3_upload **list = list_of(s3, upload->token);
	upload->next = *list;
	*list = upload;
	upload->older = s3->newest;
	*(s3->newest != NULL ? &s3->newest->newer : &s3->oldest) = upload;
	s3->newest = upload;
	upload->in_flight = true;
	s3->putting += upload->id == NULL ? upload->count : 0;
	(void)pthread_mutex_unlock(&s3->staging);
}

struct gm_s3_upload *gm_s3_upload_find(struct gm_s3 *s3, const char *token)
{
	(void)pthread_mutex_lock(&s3->staging);
	struct gm_s3_upload *upload = *list_of(s3, token);
	while (upload != NULL && strcmp(upload->token, token) != 0) upload = upload->next;
	if (upload != NULL) upload->holders++;
	(void)pthread_mutex_unlock(&s3->staging);
	return upload;
}

void gm_s3_upload_let_go(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	if (upload == NULL) return;
	(void)pthread_mutex_lock(&s3->staging);
	bool last = --upload->holders == 0 && upload->forgotten;
	(void)pthread_mutex_unlock(&s3->staging);
	if (last) free_upload(s3, upload);
}

void gm_s3_upload_forget(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	(void)pthread_mutex_lock(&s3->staging);
	if (!upload->forgotten) {
		struct gm_s3_upload **link = list_of(s3, upload->token);
		while (*link != upload) link = &(*link)->next;
		*link = upload->next;
		leave_flight(s3, upload);
		upload->forgotten = true;
	}
	(void)pthread_mutex_unlock(&s3->staging);
}

void gm_s3_forget_uploads(struct gm_s3 *s3)
{
	for (size_t i = 0; i < GM_S3_KNOWN; i++)
		while (s3->known[i] != NULL) {
			struct gm_s3_upload *upload = s3->known[i];
			s3->known[i] = upload->next;
			free_upload(s3, upload);
		}
}

/* With the store's lock: of those in flight the oldest that has something on its way, or any at all; held. */
static struct gm_s3_upload *oldest_of(struct gm_s3 *s3, bool any)
{
	struct gm_s3_upload *upload = s3->oldest;
	while (upload != NULL && upload->count == 0 && !any) upload = upload->newer;
	if (upload != NULL) upload->holders++;
	return upload;
}

/* The oldest that is on its way, when there are too many. */
static struct gm_s3_upload *oldest_of_too_many(struct gm_s3 *s3)
{
	(void)pthread_mutex_lock(&s3->staging);
	bool too_many = s3->putting >= PUTS_IN_FLIGHT || s3->staged_bytes > s3->staged_limit;
	struct gm_s3_upload *oldest = too_many ? oldest_of(s3, false) : NULL;
	(void)pthread_mutex_unlock(&s3->staging);
	return oldest;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static void free_staged(struct gm_s3 *s3, struct gm_staged *staged)
{
	if (staged->file >= 0)
		(void)close(staged->file);
	else
		account(s3, -(int64_t)staged->tail_bytes);
	gm_buf_release(&staged->tail);
	if (staged->upload != NULL) free_upload(s3, staged->upload);
	free(staged->work_prefix);
	free(staged);
}

enum gm_code gm_s3_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                              struct gm_staged **out, struct gm_error *err)
{
	struct gm_staged *staged = calloc(1, sizeof *staged);
	if (staged == NULL) return out_of_memory(err);
	staged->file = -1;
	gm_buf_init(&staged->tail, GM_S3_PART_BYTES);
	staged->work_prefix = strdup(work_prefix);
	staged->upload = calloc(1, sizeof *staged->upload);
	if (staged->upload != NULL) {
		(void)pthread_mutex_init(&staged->upload->lock, NULL);
		staged->upload->final_key = strdup(final_key);
	}
	if (staged->work_prefix == NULL || staged->upload == NULL || staged->upload->final_key == NULL) {
		free_staged(gm_s3_of(store), staged);
		return out_of_memory(err);
	}
	if (!gm_io_random_hex(staged->upload->random)) {
		free_staged(gm_s3_of(store), staged);
		GM_FAIL(err, GM_IO, "the system gives no random bytes");
	}
	*out = staged;
	return GM_OK;
}

enum gm_code gm_s3_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	const uint8_t *at = data;
	while (bytes > 0) {
		/* A full part waits for the byte behind it: an object of exactly one part is a small one. */
		if (staged->tail_bytes == GM_S3_PART_BYTES) GM_TRY(send_part(s3, staged, err));
		size_t n = GM_S3_PART_BYTES - staged->tail_bytes;
		if (n > bytes) n = bytes;
		GM_TRY(append_tail(s3, staged, at, n, err));
		at += n;
		bytes -= n;
	}
	return GM_OK;
}

static enum gm_code name_small(struct gm_staged *staged, struct gm_error *err)
{
	char token[GM_TOKEN_BYTES];
	(void)snprintf(token, sizeof token, "%s%s.staged", staged->work_prefix, staged->upload->random);
	staged->upload->token = strdup(token);
	return staged->upload->token != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code send_small(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	struct gm_s3_upload *upload = staged->upload, *oldest;
	struct gm_call_request request;
	struct gm_s3_sending sending = {.part = 0};
	while ((oldest = oldest_of_too_many(s3)) != NULL) {
		(void)!gm_s3_upload_land(s3, oldest, NULL);
		gm_s3_upload_let_go(s3, oldest);
	}
	GM_TRY(name_small(staged, err));
	GM_TRY(take_tail(s3, staged, &sending.data, &sending.bytes, err));
	gm_arena_init(&sending.arena, 2048);
	enum gm_code rc = gm_s3_request(s3, &sending.arena, GM_CALL_PUT, "PUT", upload->token, &request, err);
	char *checksum = gm_arena_alloc(&sending.arena, GM_S3_CHECKSUM_BYTES);
	if (rc == GM_OK && checksum == NULL) rc = out_of_memory(err);
	if (rc == GM_OK) {
		gm_s3_checksum(sending.data, sending.bytes, checksum);
		gm_s3_object_headers(s3, &request, NULL);
		gm_s3_header(&request, "x-amz-checksum-crc32c", checksum);
		rc = send(s3, upload, &request, &sending, err);
	}
	if (rc != GM_OK) free_sending(s3, &sending);
	return rc;
}

static enum gm_code send_rest(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	struct gm_s3_upload *upload = staged->upload;
	char token[GM_TOKEN_BYTES];
	if (upload->id == NULL) return send_small(s3, staged, err);
	GM_TRY(send_part(s3, staged, err));
	int n = snprintf(token, sizeof token, "%s%s %s %s", upload_mark, upload->id, upload->random, upload->final_key);
	if (n < 0 || (size_t)n >= sizeof token) GM_FAIL(err, GM_UNSUPPORTED, "the store's ids of uploads are too long");
	upload->token = strdup(token);
	return upload->token != NULL ? GM_OK : out_of_memory(err);
}

enum gm_code gm_s3_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token, size_t token_bytes,
                                struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	enum gm_code rc = send_rest(s3, staged, err);
	if (rc != GM_OK) {
		gm_s3_stage_abandon(store, staged);
		return rc;
	}
	struct gm_s3_upload *upload = staged->upload;
	staged->upload = NULL;
	(void)snprintf(token, token_bytes, "%s", upload->token);
	make_known(s3, upload);
	free_staged(s3, staged);
	return GM_OK;
}

void gm_s3_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_upload *upload = staged->upload;
	cancel(s3, upload); /* what is on its way would come to an upload that is gone */
	if (upload->id != NULL) (void)!gm_s3_delete(s3, upload->final_key, upload->id, NULL);
	free_staged(s3, staged);
}

enum gm_code gm_s3_settle(struct gm_store *store, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	for (;;) {
		(void)pthread_mutex_lock(&s3->staging);
		struct gm_s3_upload *upload = oldest_of(s3, true);
		(void)pthread_mutex_unlock(&s3->staging);
		if (upload == NULL) return GM_OK;
		enum gm_code rc = gm_s3_upload_land(s3, upload, err);
		gm_s3_upload_let_go(s3, upload);
		GM_TRY(rc);
	}
}
