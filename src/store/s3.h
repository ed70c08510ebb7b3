/* s3.h - what the files of the S3 store share.
 *
 * A store is a prefix of a bucket. Requests go through aws/call.h, which signs and retries; here is what they mean.
 *
 *     read     GET with If-Match of the ETag that the listing (or the first answer) told: no object is read as half of
 *              one and half of another. Large objects in segments, several in flight; small ones fetched ahead.
 *     put      PUT with If-None-Match: * where it must not overwrite. 412 alone does not say that another was first: an
 *              earlier attempt of ours, the answer of which was lost, may have been. So each put carries a random token
 *              in the object's metadata, and after a 412, or no answer at all, it is read back and compared.
 *     stage    what fits in one part is put as an object below the work folder, under a random name, and put again
 *              under its final key when it is published: two requests, and any machine can do the second. What is
 *              larger is a multipart upload to the final key, begun while the file is written and completed when it is
 *              published.
 *     publish  PUT or CompleteMultipartUpload, both with If-None-Match: *.
 *
 * Source: Amazon S3 API Reference; conditional writes and their answers: S3 User Guide, "Add preconditions to S3
 * operations with conditional requests". */
#ifndef GM_STORE_S3_H
#define GM_STORE_S3_H

#include "aws/connection.h"
#include "store/s3_answers.h"
#include "store/store.h"

#include <pthread.h>

enum {
	GM_S3_KEY_MAX_BYTES = 1024,
	GM_S3_SEGMENTS = 4, /* of a large object, in flight */
	GM_S3_SEGMENT_MIN_BYTES = 1 << 20,
	GM_S3_SEGMENT_MAX_BYTES = 8 << 20,
	GM_S3_PART_BYTES = 8 << 20, /* of a multipart upload; S3 wants 5 MiB at least */
	GM_S3_PARALLEL = 16,
	GM_S3_KNOWN = 1024, /* lists of uploads, by token */
	GM_S3_PUT_TOKEN_BYTES = 33,
};

struct gm_s3_reader;
struct gm_s3_upload; /* of a staged object */

struct gm_s3 {
	struct gm_store store; /* first: a struct gm_store * of ours is a struct gm_s3 * */
	struct gm_aws_connection connection;
	struct gm_client *client;
	struct gm_aws_endpoint endpoint;
	char *bucket, *prefix; /* the prefix is "" or ends in '/' */
	bool requester_pays, version_ids;
	bool etags_are_md5; /* as far as is known, and where it matters; atomic */
	char *encryption, *kms_key, *given_endpoint, *scratch;

	/* Reading ahead: bytes that segments in flight or not yet read may take, for all readers together. */
	pthread_mutex_t reading;
	uint64_t ahead_bytes, ahead_limit;
	size_t segment_bytes;         /* fetched by one request; what is not larger than two is fetched whole */
	struct gm_s3_reader *waiting; /* opened for an expected object, and not begun for want of room; oldest first */

	/* Staging: what is being put, and what this process knows of what it has staged. */
	pthread_mutex_t staging;
	struct gm_s3_upload *known[GM_S3_KNOWN]; /* by token; see s3_upload.h */
	struct gm_s3_upload *oldest, *newest;    /* of those that may be on their way */
	uint64_t staged_bytes, staged_limit;     /* in memory */
	uint64_t kept_bytes;                     /* of them, of what has been sent already; up to half the limit */
	size_t putting;                          /* small objects on their way */
	uint64_t fetched_bytes;                  /* of staged objects, to be put again */
	pthread_cond_t room;                     /* for more of those */
};

static inline struct gm_s3 *gm_s3_of(struct gm_store *store)
{
	return (struct gm_s3 *)store; /* its first member */
}

/* "s3://bucket/prefix": the prefix is "" or gets one '/' at its end. Both are the caller's to free(). USAGE: the
 * location is none of S3. */
enum gm_code gm_s3_split(const char *location, char **bucket, char **prefix, struct gm_error *err) GM_CHECK;

/* --- requests (s3.c) ---------------------------------------------------------------------------------------------- */

/* Fills in where the object (key relative to the store; NULL: the bucket) is; the path is in the arena. USAGE: the
 * whole key is longer than S3 allows. */
enum gm_code gm_s3_request(struct gm_s3 *s3, struct gm_arena *arena, enum gm_call_kind kind, const char *method,
                           const char *key, struct gm_call_request *out, struct gm_error *err) GM_CHECK;
void gm_s3_query(struct gm_call_request *request, const char *name, const char *value);
void gm_s3_header(struct gm_call_request *request, const char *name, const char *value);
/* What every request that makes an object carries: encryption, type, and the token of this put. */
void gm_s3_object_headers(const struct gm_s3 *s3, struct gm_call_request *request, const char *put_token);
/* What is sent is checked on arrival: CRC-32C, which S3 keeps with the object (x-amz-checksum-crc32c); MD5, which parts
 * and lists of keys may carry everywhere (Content-MD5; false: this OpenSSL may not compute it). Base64. */
enum { GM_S3_CHECKSUM_BYTES = 12, GM_S3_MD5_BYTES = 32, GM_S3_MD5_HEX_BYTES = 33 };
void gm_s3_checksum(const void *data, size_t bytes, char out[GM_S3_CHECKSUM_BYTES]);
bool gm_s3_content_md5(const void *data, size_t bytes, char out[GM_S3_MD5_BYTES]);
/* Is the whole object, as it came, what its store says it is? seen: of the last answer that was not, "" at first. */
bool gm_s3_is_intact(struct gm_s3 *s3, const struct gm_call_response *response, const char *etag, const void *data,
                     size_t bytes, char seen[GM_S3_MD5_HEX_BYTES]);
/* One request and its answer, from gm_s3_begin to gm_s3_end, which is called in any case. */
struct gm_s3_exchange {
	struct gm_s3 *s3;
	const char *key;
	struct gm_arena arena; /* of what the request points to */
	struct gm_call_request request;
	struct gm_call *call;
	struct gm_call_response *response; /* NULL before it was asked */
};
/* As gm_s3_request. */
enum gm_code gm_s3_begin(struct gm_s3 *s3, struct gm_s3_exchange *exchange, enum gm_call_kind kind, const char *method,
                         const char *key, struct gm_error *err) GM_CHECK;
/* As gm_call_wait: OK is an answer of whatever status. */
enum gm_code gm_s3_ask(struct gm_s3_exchange *exchange, struct gm_error *err) GM_CHECK;
/* Gives rc back; a failure names the object. */
enum gm_code gm_s3_end(struct gm_s3_exchange *exchange, enum gm_code rc, struct gm_error *err);
/* DELETE of an object, or (upload_id not NULL) of an upload to it; OK also when it is gone. */
enum gm_code gm_s3_delete(struct gm_s3 *s3, const char *key, const char *upload_id, struct gm_error *err) GM_CHECK;
/* gm_call_fail with the object's name. */
enum gm_code gm_s3_fail(struct gm_s3 *s3, const struct gm_call_response *response, const char *key, const char *doing,
                        struct gm_error *err);
/* An error about an object that call.h made, or this layer: names it "s3://bucket/key". */
enum gm_code gm_s3_name(struct gm_s3 *s3, enum gm_code code, const char *key, struct gm_error *err);
static inline bool gm_s3_good(const struct gm_call_response *response)
{
	return response->http.status >= 200 && response->http.status < 300;
}
/* mtime and ETag of an answer's header, "" if there is none, without its quotes; and the size that Content-Length says.
 * False: it does not say how large the object is. */
bool gm_s3_info(const struct gm_call_response *response, struct gm_object_info *info, char etag[GM_S3_ETAG_BYTES]);
/* HEAD. NOT_FOUND. put_token: the token in the object's metadata, "" if it has none; may be NULL. */
enum gm_code gm_s3_head(struct gm_s3 *s3, const char *key, struct gm_object_info *info, char etag[GM_S3_ETAG_BYTES],
                        char put_token[GM_S3_PUT_TOKEN_BYTES], struct gm_error *err) GM_CHECK;

/* --- operations --------------------------------------------------------------------------------------------------- */

enum gm_code gm_s3_list(struct gm_store *store, const char *prefix, const char *after, gm_prune_fn *prune,
                        gm_list_fn *each, void *context, struct gm_error *err);
enum gm_code gm_s3_read(struct gm_store *store, const char *key, uint64_t offset, void *into, size_t bytes, size_t *got,
                        struct gm_error *err);
enum gm_code gm_s3_reader_open(struct gm_store *store, const char *key, const struct gm_object_info *expected,
                               struct gm_store_reader **out, struct gm_error *err);
enum gm_code gm_s3_reader_read(struct gm_store_reader *base, void *into, size_t bytes, size_t *got,
                               struct gm_error *err);
enum gm_code gm_s3_reader_check(struct gm_store_reader *base, struct gm_error *err);
void gm_s3_reader_close(struct gm_store_reader *base);
enum gm_code gm_s3_put(struct gm_store *store, const char *key, const void *data, size_t bytes, bool if_absent,
                       struct gm_error *err);
/* Put if absent, with a token that is the caller's: OK also when a put with that token, whosever, was there before. */
enum gm_code gm_s3_put_as(struct gm_s3 *s3, const char *key, const void *data, size_t bytes, const char *put_token,
                          struct gm_error *err) GM_CHECK;
/* After a conditional put that answered `rc` and may have taken effect, or been answered for an earlier attempt: OK if
 * the object carries the token, EXISTS if it carries another, else rc, or what looking at it came to where that
 * decides. *again: there was an object, and is none. */
enum gm_code gm_s3_look_back(struct gm_s3 *s3, const char *key, const char *put_token, enum gm_code rc, bool *again,
                             struct gm_error *err) GM_CHECK;
enum gm_code gm_s3_remove(struct gm_store *store, const char *key, struct gm_error *err);
enum gm_code gm_s3_remove_many(struct gm_store *store, const char *const *keys, size_t count, struct gm_error *err);
enum gm_code gm_s3_probe(struct gm_store *store, const char *prefix, struct gm_error *err);
enum gm_code gm_s3_stage_open(struct gm_store *store, const char *final_key, const char *work_prefix,
                              struct gm_staged **out, struct gm_error *err);
enum gm_code gm_s3_stage_append(struct gm_store *store, struct gm_staged *staged, const void *data, size_t bytes,
                                struct gm_error *err);
enum gm_code gm_s3_stage_finish(struct gm_store *store, struct gm_staged *staged, char *token, size_t token_bytes,
                                struct gm_error *err);
void gm_s3_stage_abandon(struct gm_store *store, struct gm_staged *staged);
enum gm_code gm_s3_staged_size(struct gm_store *store, const char *token, uint64_t *bytes, struct gm_error *err);
enum gm_code gm_s3_settle(struct gm_store *store, struct gm_error *err);
enum gm_code gm_s3_publish(struct gm_store *store, const char *token, const char *final_key, struct gm_error *err);
enum gm_code gm_s3_discard(struct gm_store *store, const char *token, struct gm_error *err);
bool gm_s3_diagnose(struct gm_store *store, const char *work_prefix, gm_step_fn *step, void *context);
void gm_s3_forget_uploads(struct gm_s3 *s3);
enum gm_code gm_s3_sweep(struct gm_store *store, int64_t age_us, gm_wanted_fn *wanted, void *context, uint64_t *swept,
                         struct gm_error *err);

#endif
