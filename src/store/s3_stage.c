/* s3_stage.c - objects that are written before they may be seen.
 *
 * Up to one part's size an object is kept together and put below the work folder, as on a directory: the token is its
 * key. What becomes larger is a multipart upload to the final key, its parts sent while the object is written: the token
 * is "upload:<upload id> <random> <final key>". Either way any machine can publish it; this process remembers what saves
 * it requests (bytes of small objects, ETags of parts) as far as its share of memory goes. The random part is the token
 * of the put (s3.h): who publishes it a second time, after a lost answer or beside another, finds that it is done.
 *
 *     open     append...    finish            settle           publish                      discard
 *     -        -            PUT work key      its answer       PUT final, If-None-Match     DELETE work key
 *     -        Create,      last UploadPart   its answer       Complete, If-None-Match      Abort, unless completed
 *              UploadPart
 *
 * What is not sent yet (less than a part for each open object) lies in memory; when all of them together come to more
 * than their share, in a file of the scratch folder. */
#include "store/s3.h"

#include "aws/xml.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PARTS_IN_FLIGHT = 2,     /* of one object */
	SPILL_BYTES = 256 << 10, /* less is not worth a file */
	PUTS_IN_FLIGHT = GM_S3_PARALLEL,
	UPLOAD_ID_BYTES = 1024,
	LIST_BODY_BYTES = 16 << 20,
};
static const char upload_mark[] = "upload:";

struct part {
	char etag[GM_S3_ETAG_BYTES]; /* "" before its answer */
	uint64_t bytes;
};

/* A request with the bytes it sends. */
struct sending {
	struct gm_call *call; /* NULL: it is over */
	struct gm_arena arena;
	uint8_t *data;
	size_t bytes, part;
};

/* What this process has staged, or is staging. */
struct gm_s3_upload {
	struct gm_s3_upload *next;
	pthread_mutex_t lock; /* of its sendings and parts, once it is in the list */
	char *token, *final_key;
	char random[GM_S3_PUT_TOKEN_BYTES];
	char *id; /* of a multipart upload; NULL: one small object */
	struct part *parts;
	size_t part_count, part_room;
	struct sending sending[PARTS_IN_FLIGHT];
	size_t first, count;
	uint8_t *kept; /* the small object's bytes; NULL: they were let go */
	size_t kept_bytes;
	bool completed;
	enum gm_code failed; /* sending did */
	struct gm_error why;
};

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

static enum gm_code spill(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	const char *folder = s3->scratch != NULL ? s3->scratch : "/var/tmp";
	staged->file = gm_io_temporary(folder);
	if (staged->file < 0) return gm_error_errno(err, errno, folder, "could not make a file for what waits to be sent");
	if (!gm_io_pwrite(staged->file, staged->tail.data, staged->tail_bytes, 0))
		return gm_error_errno(err, errno, folder, "could not write what waits to be sent");
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
			return gm_error_errno(err, errno, "", "could not write what waits to be sent");
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
	return gm_error_errno(err, number, "", "could not read back what waits to be sent");
}

/* --- What is on its way ------------------------------------------------------------------------------------------- */

static void free_sending(struct gm_s3 *s3, struct sending *sending)
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

/* The bytes of a small object are worth keeping: publishing it sends them again. */
static void keep(struct gm_s3 *s3, struct gm_s3_upload *upload, struct sending *sending)
{
	if (upload->id != NULL || upload->failed != GM_OK || is_full(s3)) return;
	upload->kept = sending->data;
	upload->kept_bytes = sending->bytes;
	sending->data = NULL;
	sending->bytes = 0; /* still counted: they are the upload's now */
}

static void note_part(struct gm_s3_upload *upload, const struct sending *sending,
                      const struct gm_call_response *response)
{
	struct gm_object_info info;
	gm_s3_info(response, &info, upload->parts[sending->part].etag);
}

/* Waits for the oldest of them. With the upload's lock, or before it is in the list. */
static void land_one(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	struct sending *sending = &upload->sending[upload->first];
	struct gm_call_response *response;
	struct gm_error err;
	enum gm_code rc = gm_call_wait(sending->call, &response, &err);
	if (rc == GM_OK && !gm_s3_good(response))
		rc = gm_s3_fail(s3, response, upload->final_key, "stage the object", &err);
	if (rc == GM_OK && upload->id != NULL) note_part(upload, sending, response);
	if (rc == GM_OK && upload->id != NULL && upload->parts[sending->part].etag[0] == '\0')
		rc = gm_error_set(&err, GM_IO, "the store took a part and gave it no ETag");
	if (rc != GM_OK) fail(upload, gm_s3_name(s3, rc, upload->final_key, &err), &err);
	keep(s3, upload, sending);
	free_sending(s3, sending);
	(void)pthread_mutex_lock(&s3->staging);
	upload->first = (upload->first + 1) % PARTS_IN_FLIGHT;
	upload->count--;
	s3->putting -= upload->id == NULL;
	(void)pthread_mutex_unlock(&s3->staging);
}

/* Waits for all of it. */
static enum gm_code land(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_error *err)
{
	(void)pthread_mutex_lock(&upload->lock);
	while (upload->count > 0) land_one(s3, upload);
	enum gm_code rc = upload->failed != GM_OK ? failed_before(upload, err) : GM_OK;
	(void)pthread_mutex_unlock(&upload->lock);
	return rc;
}

/* Starts a request that owns the bytes it sends; what it points to besides is in sending->arena. */
static enum gm_code send(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_call_request *request,
                         struct sending *sending, struct gm_error *err)
{
	request->body = sending->data;
	request->body_bytes = sending->bytes;
	GM_TRY(gm_call_start(s3->client, request, &sending->call, err));
	upload->sending[(upload->first + upload->count) % PARTS_IN_FLIGHT] = *sending;
	upload->count++;
	return GM_OK;
}

/* --- Multipart uploads -------------------------------------------------------------------------------------------- */

static enum gm_code note_upload_id(void *context, const char *path, const char *text, size_t bytes,
                                   struct gm_error *err)
{
	char **id = context;
	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0 || bytes == 0 || bytes >= UPLOAD_ID_BYTES)
		return GM_OK;
	if (strchr(text, ' ') != NULL) GM_FAIL(err, GM_CORRUPT, "the store gave an upload an id with a blank in it");
	free(*id);
	*id = strdup(text);
	return *id != NULL ? GM_OK : out_of_memory(err);
}

static enum gm_code create_upload(struct gm_s3 *s3, struct gm_s3_upload *upload, struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_call_request request;
	struct gm_call_response *response;
	struct gm_call *call = NULL;
	enum gm_code rc;
	gm_arena_init(&arena, 4096);
	GM_TRY_OUT(gm_s3_request(s3, &arena, GM_CALL_MULTIPART, "POST", upload->final_key, &request, err));
	gm_s3_query(&request, "uploads", "");
	gm_s3_object_headers(s3, &request, upload->random);
	GM_TRY_OUT(gm_call_perform(s3->client, &request, &call, &response, err));
	if (!gm_s3_good(response))
		rc = gm_s3_fail(s3, response, upload->final_key, "begin an upload", err);
	else
		rc = gm_xml_parse(response->http.body.data, response->http.body.len, note_upload_id, &upload->id, err);
	if (rc == GM_OK && upload->id == NULL) rc = gm_error_set(err, GM_CORRUPT, "the store gave an upload no id");
out:
	gm_call_end(call);
	gm_arena_release(&arena);
	return gm_s3_name(s3, rc, upload->final_key, rc != GM_OK ? err : NULL);
}

static enum gm_code send_part(struct gm_s3 *s3, struct gm_staged *staged, struct gm_error *err)
{
	struct gm_s3_upload *upload = staged->upload;
	struct gm_call_request request;
	struct sending sending = {.part = upload->part_count};
	if (upload->id == NULL) GM_TRY(create_upload(s3, upload, err));
	while (upload->count == PARTS_IN_FLIGHT || (upload->count > 0 && is_full(s3))) land_one(s3, upload);
	if (upload->failed != GM_OK) return failed_before(upload, err);
	struct part *grown = gm_grow(upload->parts, upload->part_count, &upload->part_room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	upload->parts = grown;
	GM_TRY(take_tail(s3, staged, &sending.data, &sending.bytes, err));
	upload->parts[upload->part_count++] = (struct part){.etag = "", .bytes = sending.bytes};
	gm_arena_init(&sending.arena, 2048);
	enum gm_code rc = gm_s3_request(s3, &sending.arena, GM_CALL_MULTIPART, "PUT", upload->final_key, &request, err);
	char *number = gm_arena_printf(&sending.arena, "%zu", sending.part + 1);
	char *id = gm_arena_strndup(&sending.arena, upload->id, strlen(upload->id));
	if (rc == GM_OK && (number == NULL || id == NULL)) rc = out_of_memory(err);
	if (rc == GM_OK) {
		gm_s3_query(&request, "partNumber", number);
		gm_s3_query(&request, "uploadId", id);
		rc = send(s3, upload, &request, &sending, err);
	}
	if (rc != GM_OK) free_sending(s3, &sending);
	return rc;
}

enum gm_code gm_s3_abort(struct gm_s3 *s3, const char *final_key, const char *id, struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_call_request request;
	struct gm_call_response *response;
	struct gm_call *call = NULL;
	enum gm_code rc;
	gm_arena_init(&arena, 4096);
	GM_TRY_OUT(gm_s3_request(s3, &arena, GM_CALL_MULTIPART, "DELETE", final_key, &request, err));
	gm_s3_query(&request, "uploadId", id);
	GM_TRY_OUT(gm_call_perform(s3->client, &request, &call, &response, err));
	bool gone = response->http.status == 404 && strcmp(response->error, "NoSuchBucket") != 0;
	if (!gm_s3_good(response) && !gone) rc = gm_s3_fail(s3, response, final_key, "abort an upload", err);
out:
	gm_call_end(call);
	gm_arena_release(&arena);
	return gm_s3_name(s3, rc, final_key, rc != GM_OK ? err : NULL);
}

/* --- What is known here ------------------------------------------------------------------------------------------- */

static void free_upload(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	for (; upload->count > 0; upload->count--) {
		free_sending(s3, &upload->sending[upload->first]);
		upload->first = (upload->first + 1) % PARTS_IN_FLIGHT;
	}
	if (upload->kept != NULL) account(s3, -(int64_t)upload->kept_bytes);
	(void)pthread_mutex_destroy(&upload->lock);
	free(upload->kept);
	free(upload->parts);
	free(upload->token);
	free(upload->final_key);
	free(upload->id);
	free(upload);
}

void gm_s3_forget_uploads(struct gm_s3 *s3)
{
	while (s3->uploads != NULL) {
		struct gm_s3_upload *upload = s3->uploads;
		s3->uploads = upload->next;
		free_upload(s3, upload);
	}
}

static struct gm_s3_upload *find(struct gm_s3 *s3, const char *token)
{
	(void)pthread_mutex_lock(&s3->staging);
	struct gm_s3_upload *upload = s3->uploads;
	while (upload != NULL && strcmp(upload->token, token) != 0) upload = upload->next;
	(void)pthread_mutex_unlock(&s3->staging);
	return upload;
}

static void forget(struct gm_s3 *s3, struct gm_s3_upload *upload)
{
	(void)pthread_mutex_lock(&s3->staging);
	struct gm_s3_upload **link = &s3->uploads;
	while (*link != upload) link = &(*link)->next;
	*link = upload->next;
	if (upload->id == NULL) s3->putting -= upload->count;
	(void)pthread_mutex_unlock(&s3->staging);
	free_upload(s3, upload);
}

/* The oldest small object that is on its way, when there are too many. */
static struct gm_s3_upload *oldest_of_too_many(struct gm_s3 *s3)
{
	struct gm_s3_upload *oldest = NULL;
	(void)pthread_mutex_lock(&s3->staging);
	if (s3->putting >= PUTS_IN_FLIGHT || s3->staged_bytes > s3->staged_limit)
		for (struct gm_s3_upload *at = s3->uploads; at != NULL; at = at->next)
			if (at->id == NULL && at->count > 0) oldest = at;
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
	struct sending sending = {.part = 0};
	while ((oldest = oldest_of_too_many(s3)) != NULL) (void)!land(s3, oldest, NULL);
	GM_TRY(name_small(staged, err));
	GM_TRY(take_tail(s3, staged, &sending.data, &sending.bytes, err));
	gm_arena_init(&sending.arena, 2048);
	enum gm_code rc = gm_s3_request(s3, &sending.arena, GM_CALL_PUT, "PUT", upload->token, &request, err);
	if (rc == GM_OK) {
		gm_s3_object_headers(s3, &request, NULL);
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
	(void)pthread_mutex_lock(&s3->staging);
	upload->next = s3->uploads;
	s3->uploads = upload;
	s3->putting += upload->id == NULL;
	(void)pthread_mutex_unlock(&s3->staging);
	free_staged(s3, staged);
	return GM_OK;
}

void gm_s3_stage_abandon(struct gm_store *store, struct gm_staged *staged)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_upload *upload = staged->upload;
	while (upload->count > 0) { /* what is on its way would come to an upload that is gone */
		free_sending(s3, &upload->sending[upload->first]);
		upload->first = (upload->first + 1) % PARTS_IN_FLIGHT;
		upload->count--;
	}
	if (upload->id != NULL) (void)!gm_s3_abort(s3, upload->final_key, upload->id, NULL);
	free_staged(s3, staged);
}

enum gm_code gm_s3_settle(struct gm_store *store, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	(void)pthread_mutex_lock(&s3->staging);
	struct gm_s3_upload *upload = s3->uploads;
	(void)pthread_mutex_unlock(&s3->staging);
	for (; upload != NULL; upload = upload->next) GM_TRY(land(s3, upload, err));
	return GM_OK;
}

/* --- Tokens ------------------------------------------------------------------------------------------------------- */

/* What a token says. Of a key the random part of its name; of an upload its id, too, and the key it is to. */
struct staged_name {
	bool is_key;
	char id[UPLOAD_ID_BYTES], random[GM_S3_PUT_TOKEN_BYTES];
	const char *final_key;
};

static struct staged_name parse_token(const char *token)
{
	struct staged_name name = {.is_key = gm_token_is_key(token), .final_key = ""};
	if (name.is_key) {
		const char *slash = strrchr(token, '/');
		(void)snprintf(name.random, sizeof name.random, "%s", slash != NULL ? slash + 1 : token);
		return name;
	}
	token += sizeof upload_mark - 1;
	size_t id = strcspn(token, " "), random = strcspn(token + id + (token[id] == ' '), " ");
	(void)snprintf(name.id, sizeof name.id, "%.*s", (int)id, token);
	token += id + (token[id] == ' ');
	(void)snprintf(name.random, sizeof name.random, "%.*s", (int)random, token);
	name.final_key = token[random] == ' ' ? token + random + 1 : "";
	return name;
}

struct part_list {
	struct part *parts, next;
	size_t count, room;
	bool truncated;
};

static enum gm_code note_listed_part(void *context, const char *path, const char *text, size_t bytes,
                                     struct gm_error *err)
{
	static const char prefix[] = "ListPartsResult/";
	struct part_list *list = context;
	if (strncmp(path, prefix, sizeof prefix - 1) != 0) return GM_OK;
	path += sizeof prefix - 1;
	if (strcmp(path, "IsTruncated") == 0) list->truncated = strcmp(text, "true") == 0;
	if (strcmp(path, "Part/Size") == 0) list->next.bytes = strtoull(text, NULL, 10);
	if (strcmp(path, "Part/PartNumber") == 0 && strtoull(text, NULL, 10) != list->count + 1)
		GM_FAIL(err, GM_CORRUPT, "an upload lacks part %zu", list->count + 1);
	if (strcmp(path, "Part/ETag") == 0) {
		bool quoted = bytes >= 2 && text[0] == '"' && text[bytes - 1] == '"';
		(void)snprintf(list->next.etag, sizeof list->next.etag, "%.*s", (int)(bytes - (quoted ? 2 : 0)), text + quoted);
	}
	if (strcmp(path, "Part") != 0) return GM_OK;
	struct part *grown = gm_grow(list->parts, list->count, &list->room, sizeof *grown);
	if (grown == NULL) return out_of_memory(err);
	list->parts = grown;
	list->parts[list->count++] = list->next;
	list->next = (struct part){.etag = ""};
	return GM_OK;
}

/* NOT_FOUND: there is no such upload (any more). */
static enum gm_code list_parts(struct gm_s3 *s3, const char *final_key, const char *id, struct part_list *list,
                               struct gm_error *err)
{
	struct gm_arena arena;
	struct gm_call_request request;
	struct gm_call_response *response;
	struct gm_call *call = NULL;
	enum gm_code rc;
	gm_arena_init(&arena, 4096);
	do {
		GM_TRY_OUT(gm_s3_request(s3, &arena, GM_CALL_MULTIPART, "GET", final_key, &request, err));
		char *marker = gm_arena_printf(&arena, "%zu", list->count);
		if (marker == NULL) {
			rc = out_of_memory(err);
			break;
		}
		gm_s3_query(&request, "uploadId", id);
		if (list->count > 0) gm_s3_query(&request, "part-number-marker", marker);
		GM_TRY_OUT(gm_call_perform(s3->client, &request, &call, &response, err));
		size_t before = list->count;
		if (!gm_s3_good(response))
			rc = gm_s3_fail(s3, response, final_key, "look at an upload", err);
		else
			rc = gm_xml_parse(response->http.body.data, response->http.body.len, note_listed_part, list, err);
		gm_call_end(call);
		call = NULL;
		if (list->count == before) break;
	} while (rc == GM_OK && list->truncated);
out:
	gm_call_end(call);
	gm_arena_release(&arena);
	return gm_s3_name(s3, rc, final_key, rc != GM_OK ? err : NULL);
}

static enum gm_code size_of_upload(struct gm_s3 *s3, const struct staged_name *name, uint64_t *bytes,
                                   struct gm_error *err)
{
	struct part_list list = {0};
	enum gm_code rc = list_parts(s3, name->final_key, name->id, &list, err);
	for (size_t i = 0; rc == GM_OK && i < list.count; i++) *bytes += list.parts[i].bytes;
	free(list.parts);
	return rc;
}

enum gm_code gm_s3_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_upload *upload = find(s3, token);
	struct staged_name name = parse_token(token);
	*bytes = 0;
	if (upload != NULL && upload->kept != NULL) {
		*bytes = upload->kept_bytes;
		return GM_OK;
	}
	if (upload != NULL && upload->id != NULL && !upload->completed) {
		for (size_t i = 0; i < upload->part_count; i++) *bytes += upload->parts[i].bytes;
		return GM_OK;
	}
	if (!name.is_key) return size_of_upload(s3, &name, bytes, err);
	struct gm_object_info info;
	char etag[GM_S3_ETAG_BYTES];
	GM_TRY(gm_s3_head(s3, token, &info, etag, NULL, err));
	*bytes = info.size;
	return GM_OK;
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
	if (upload == NULL || upload->kept == NULL) return publish_fetched(s3, token, random, final_key, err);
	GM_TRY(gm_s3_put_as(s3, final_key, upload->kept, upload->kept_bytes, random, err));
	account(s3, -(int64_t)upload->kept_bytes);
	free(upload->kept);
	upload->kept = NULL;
	return GM_OK;
}

static enum gm_code complete_list(const struct part *parts, size_t count, struct gm_buf *out, struct gm_error *err)
{
	GM_TRY(gm_buf_printf(out, err, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
	for (size_t i = 0; i < count; i++)
		GM_TRY(gm_buf_printf(out, err, "<Part><PartNumber>%zu</PartNumber><ETag>\"%s\"</ETag></Part>", i + 1,
		                     parts[i].etag));
	return gm_buf_printf(out, err, "</CompleteMultipartUpload>");
}

/* The upload is gone, or was not to be completed: the object under its final key tells whether that is because it was
 * completed before. */
static enum gm_code settle_gone(struct gm_s3 *s3, const struct staged_name *name, struct gm_error *err)
{
	struct gm_object_info info;
	char etag[GM_S3_ETAG_BYTES], random[GM_S3_PUT_TOKEN_BYTES];
	/* NOT_FOUND: what was staged is gone */
	GM_TRY(gm_s3_head(s3, name->final_key, &info, etag, random, err));
	if (strcmp(random, name->random) == 0) return GM_OK;
	(void)gm_error_set(err, GM_EXISTS, "the object exists already");
	return gm_s3_name(s3, GM_EXISTS, name->final_key, err);
}

static enum gm_code complete(struct gm_s3 *s3, const struct staged_name *name, const struct part *parts, size_t count,
                             struct gm_error *err)
{
	const char *final_key = name->final_key;
	struct gm_arena arena;
	struct gm_buf body;
	struct gm_call_request request;
	struct gm_call_response *response;
	struct gm_call *call = NULL;
	bool gone = false;
	enum gm_code rc;
	gm_arena_init(&arena, 4096);
	gm_buf_init(&body, LIST_BODY_BYTES);
	GM_TRY_OUT(complete_list(parts, count, &body, err));
	GM_TRY_OUT(gm_s3_request(s3, &arena, GM_CALL_MULTIPART, "POST", final_key, &request, err));
	gm_s3_query(&request, "uploadId", name->id);
	gm_s3_header(&request, "Content-Type", "application/xml");
	gm_s3_header(&request, "If-None-Match", "*");
	request.body = body.data;
	request.body_bytes = body.len;
	request.body_may_be_error = true;
	GM_TRY_OUT(gm_call_perform(s3->client, &request, &call, &response, err));
	int status = response->http.status;
	gone = status == 404 || status == 409 || status == 412;
	if (!gm_s3_good(response)) rc = gm_s3_fail(s3, response, final_key, "complete an upload", err);
out:
	gm_call_end(call);
	gm_buf_release(&body);
	gm_arena_release(&arena);
	if (gone) return settle_gone(s3, name, err);
	return gm_s3_name(s3, rc, final_key, rc != GM_OK ? err : NULL);
}

/* An upload of which this process knows no more than its token. */
static enum gm_code complete_found(struct gm_s3 *s3, const struct staged_name *name, struct gm_error *err)
{
	struct part_list list = {0};
	enum gm_code rc = list_parts(s3, name->final_key, name->id, &list, err);
	if (rc == GM_NOT_FOUND)
		rc = settle_gone(s3, name, err);
	else if (rc == GM_OK)
		rc = complete(s3, name, list.parts, list.count, err);
	free(list.parts);
	return rc;
}

enum gm_code gm_s3_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_upload *upload = find(s3, token);
	struct staged_name name = parse_token(token);
	if (upload != NULL) GM_TRY(land(s3, upload, err));
	if (name.is_key) return publish_small(s3, token, name.random, upload, final_key, err);
	if (strcmp(name.final_key, final_key) != 0) {
		(void)gm_error_set(err, GM_CORRUPT, "an upload is to another key than it is to be published under");
		return gm_s3_name(s3, GM_CORRUPT, final_key, err);
	}
	if (upload == NULL) return complete_found(s3, &name, err);
	enum gm_code rc = complete(s3, &name, upload->parts, upload->part_count, err);
	upload->completed = rc == GM_OK;
	return rc;
}

enum gm_code gm_s3_discard(struct gm_store *store, const char *token, struct gm_error *err)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	struct gm_s3_upload *upload = find(s3, token);
	struct staged_name name = parse_token(token);
	bool completed = upload != NULL && upload->completed;
	if (upload != NULL) {
		(void)!land(s3, upload, NULL); /* or it would come after it was removed */
		forget(s3, upload);
	}
	if (name.is_key) return gm_s3_remove(store, token, err);
	return completed ? GM_OK : gm_s3_abort(s3, name.final_key, name.id, err);
}
