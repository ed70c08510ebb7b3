#include "store/s3.h"

#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t default_memory_bytes = (uint64_t)32 << 20;
static const char put_token_header[] = "x-amz-meta-gristmill-put";

/* --- Requests ----------------------------------------------------------------------------------------------------- */

enum gm_code gm_s3_request(struct gm_s3 *s3, struct gm_arena *arena, enum gm_call_kind kind, const char *method,
                           const char *key, struct gm_call_request *out, struct gm_error *err)
{
	*out = (struct gm_call_request){.kind = kind, .method = method};
	char *whole = gm_arena_printf(arena, "%s%s", s3->prefix, key != NULL ? key : "");
	if (key == NULL && whole != NULL) whole[0] = '\0';
	if (whole != NULL && strlen(whole) > GM_S3_KEY_MAX_BYTES) {
		(void)gm_error_set(err, GM_USAGE, "with the prefix of its location the key is longer than %d bytes",
		                   GM_S3_KEY_MAX_BYTES);
		return gm_s3_name(s3, GM_USAGE, key, err);
	}
	char *path = whole != NULL ? gm_uri_encode(arena, whole, strlen(whole), true) : NULL;
	if (path != NULL && s3->endpoint.path_style)
		path = gm_arena_printf(arena, key != NULL ? "/%s/%s" : "/%s", s3->bucket, path);
	else if (path != NULL)
		path = gm_arena_printf(arena, "/%s", path);
	if (path == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a request");
	out->path = path;
	out->host = s3->endpoint.path_style ? NULL : s3->bucket;
	out->tagged = key != NULL && (kind == GM_CALL_GET || kind == GM_CALL_HEAD || strcmp(method, "PUT") == 0);
	if (s3->requester_pays) gm_s3_header(out, "x-amz-request-payer", "requester");
	return GM_OK;
}

void gm_s3_query(struct gm_call_request *request, const char *name, const char *value)
{
	request->query[request->query_count++] = (struct gm_sign_pair){name, value};
}

void gm_s3_header(struct gm_call_request *request, const char *name, const char *value)
{
	request->headers[request->header_count++] = (struct gm_sign_pair){name, value};
}

void gm_s3_object_headers(const struct gm_s3 *s3, struct gm_call_request *request, const char *put_token)
{
	gm_s3_header(request, "Content-Type", "application/octet-stream");
	if (put_token != NULL) gm_s3_header(request, put_token_header, put_token);
	if (s3->encryption != NULL) gm_s3_header(request, "x-amz-server-side-encryption", s3->encryption);
	if (s3->kms_key != NULL) gm_s3_header(request, "x-amz-server-side-encryption-aws-kms-key-id", s3->kms_key);
}

enum gm_code gm_s3_name(struct gm_s3 *s3, enum gm_code code, const char *key, struct gm_error *err)
{
	char name[sizeof err->object];
	if (err == NULL || err->object[0] != '\0') return code;
	(void)snprintf(name, sizeof name, "s3://%s/%s%s", s3->bucket, s3->prefix, key != NULL ? key : "");
	return gm_error_object(err, code, name, strlen(name));
}

enum gm_code gm_s3_fail(struct gm_s3 *s3, const struct gm_call_response *response, const char *key, const char *doing,
                        struct gm_error *err)
{
	enum gm_code code = gm_call_fail(response, doing, err);
	if (strcmp(response->error, "NoSuchBucket") == 0) {
		code = gm_error_set(err, GM_USAGE, "there is no bucket %s at %.200s", s3->bucket, s3->endpoint.url);
		(void)gm_error_hint(err, code, "buckets are not made here: make it, or mend the location or the endpoint");
	}
	return gm_s3_name(s3, code, key, err);
}

/* --- What an object is -------------------------------------------------------------------------------------------- */

bool gm_s3_info(const struct gm_call_response *response, struct gm_object_info *info, char etag[GM_S3_ETAG_BYTES])
{
	const char *length = gm_http_header(&response->http, "content-length");
	const char *modified = gm_http_header(&response->http, "last-modified");
	const char *tag = gm_http_header(&response->http, "etag");
	info->size = 0;
	info->mtime_us = 0;
	if (modified != NULL) (void)!gm_time_parse_http(modified, &info->mtime_us);
	if (tag == NULL) tag = "";
	gm_s3_etag(tag, strlen(tag), etag);
	info->etag = etag;
	return length != NULL && gm_s3_number(length, &info->size);
}

/* --- Exchanges ---------------------------------------------------------------------------------------------------- */

enum gm_code gm_s3_begin(struct gm_s3 *s3, struct gm_s3_exchange *exchange, enum gm_call_kind kind, const char *method,
                         const char *key, struct gm_error *err)
{
	*exchange = (struct gm_s3_exchange){.s3 = s3, .key = key};
	gm_arena_init(&exchange->arena, 4096);
	return gm_s3_request(s3, &exchange->arena, kind, method, key, &exchange->request, err);
}

enum gm_code gm_s3_ask(struct gm_s3_exchange *exchange, struct gm_error *err)
{
	GM_TRY(gm_call_start(exchange->s3->client, &exchange->request, &exchange->call, err));
	return gm_call_wait(exchange->call, &exchange->response, err);
}

enum gm_code gm_s3_end(struct gm_s3_exchange *exchange, enum gm_code rc, struct gm_error *err)
{
	gm_call_end(exchange->call);
	gm_arena_release(&exchange->arena);
	return rc == GM_OK ? GM_OK : gm_s3_name(exchange->s3, rc, exchange->key, err);
}

enum gm_code gm_s3_delete(struct gm_s3 *s3, const char *key, const char *upload_id, struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	enum gm_call_kind kind = upload_id != NULL ? GM_CALL_MULTIPART : GM_CALL_DELETE;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, kind, "DELETE", key, err));
	if (upload_id != NULL) gm_s3_query(&exchange.request, "uploadId", upload_id);
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	const struct gm_call_response *response = exchange.response;
	bool gone = response->http.status == 404 && strcmp(response->error, "NoSuchBucket") != 0;
	if (!gm_s3_good(response) && !gone)
		rc = gm_s3_fail(s3, response, key, upload_id != NULL ? "abort an upload" : "remove the object", err);
out:
	return gm_s3_end(&exchange, rc, err);
}

enum gm_code gm_s3_head(struct gm_s3 *s3, const char *key, struct gm_object_info *info, char etag[GM_S3_ETAG_BYTES],
                        char put_token[GM_S3_PUT_TOKEN_BYTES], struct gm_error *err)
{
	struct gm_s3_exchange exchange;
	enum gm_code rc;
	GM_TRY_OUT(gm_s3_begin(s3, &exchange, GM_CALL_HEAD, "HEAD", key, err));
	GM_TRY_OUT(gm_s3_ask(&exchange, err));
	if (!gm_s3_good(exchange.response)) {
		rc = gm_s3_fail(s3, exchange.response, key, "look at the object", err);
		goto out;
	}
	if (!gm_s3_info(exchange.response, info, etag)) {
		rc = gm_error_set(err, GM_IO, "the store does not say how large the object is");
		goto out;
	}
	const char *token = gm_http_header(&exchange.response->http, put_token_header);
	if (put_token != NULL) (void)snprintf(put_token, GM_S3_PUT_TOKEN_BYTES, "%s", token != NULL ? token : "");
out:
	return gm_s3_end(&exchange, rc, err);
}

static enum gm_code s3_stat(struct gm_store *store, const char *key, struct gm_object_info *info,
                            struct gm_arena *arena, struct gm_error *err)
{
	char etag[GM_S3_ETAG_BYTES];
	GM_TRY(gm_s3_head(gm_s3_of(store), key, info, etag, NULL, err));
	info->key = gm_arena_strndup(arena, key, strlen(key));
	info->etag = gm_arena_strndup(arena, etag, strlen(etag));
	if (info->key == NULL || info->etag == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for an object's name");
	return GM_OK;
}

static void s3_counts(struct gm_store *store, struct gm_store_counts *add_to)
{
	struct gm_call_counts counts = {{0}, 0, 0, 0};
	gm_client_counts(gm_s3_of(store)->client, &counts);
	add_to->list += counts.requests[GM_CALL_LIST];
	add_to->get += counts.requests[GM_CALL_GET];
	add_to->head += counts.requests[GM_CALL_HEAD];
	add_to->put += counts.requests[GM_CALL_PUT];
	add_to->delete_ += counts.requests[GM_CALL_DELETE];
	add_to->multipart += counts.requests[GM_CALL_MULTIPART];
	add_to->other += counts.requests[GM_CALL_OTHER];
	add_to->retries += counts.retries;
	add_to->bytes_in += counts.bytes_in;
	add_to->bytes_out += counts.bytes_out;
}

/* --- Opening ------------------------------------------------------------------------------------------------------ */

static void s3_close(struct gm_store *store)
{
	struct gm_s3 *s3 = gm_s3_of(store);
	gm_s3_forget_uploads(s3);
	gm_client_free(s3->client);
	gm_aws_disconnect(&s3->connection);
	(void)pthread_mutex_destroy(&s3->reading);
	(void)pthread_mutex_destroy(&s3->staging);
	(void)pthread_cond_destroy(&s3->room);
	free(s3->bucket);
	free(s3->prefix);
	free(s3->encryption);
	free(s3->kms_key);
	free(s3->given_endpoint);
	free(s3->scratch);
	free(s3->store.location);
	free(s3);
}

static const struct gm_store_ops s3_ops = {.list = gm_s3_list,
                                           .stat = s3_stat,
                                           .read = gm_s3_read,
                                           .reader_open = gm_s3_reader_open,
                                           .reader_read = gm_s3_reader_read,
                                           .reader_check = gm_s3_reader_check,
                                           .reader_close = gm_s3_reader_close,
                                           .put = gm_s3_put,
                                           .remove = gm_s3_remove,
                                           .remove_many = gm_s3_remove_many,
                                           .stage_open = gm_s3_stage_open,
                                           .stage_append = gm_s3_stage_append,
                                           .stage_finish = gm_s3_stage_finish,
                                           .stage_abandon = gm_s3_stage_abandon,
                                           .staged_size = gm_s3_staged_size,
                                           .settle = gm_s3_settle,
                                           .publish = gm_s3_publish,
                                           .discard = gm_s3_discard,
                                           .probe = gm_s3_probe,
                                           .sweep = gm_s3_sweep,
                                           .diagnose = gm_s3_diagnose,
                                           .counts = s3_counts,
                                           .close = s3_close};

static enum gm_code parse_location(struct gm_s3 *s3, const char *location, struct gm_error *err)
{
	GM_TRY(gm_s3_split(location, &s3->bucket, &s3->prefix, err));
	size_t bytes = strlen(s3->bucket) + strlen(s3->prefix) + 8, n = strlen(s3->prefix);
	s3->store.location = malloc(bytes);
	if (s3->store.location == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a store");
	/* Without the slash at the prefix's end. */
	(void)snprintf(s3->store.location, bytes, "s3://%s%s%.*s", s3->bucket, n > 0 ? "/" : "", n > 0 ? (int)n - 1 : 0,
	               s3->prefix);
	return GM_OK;
}

static bool copy(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from == NULL || *to != NULL;
}

static enum gm_code keep_options(struct gm_s3 *s3, const struct gm_store_options *options, struct gm_error *err)
{
	const char *encryption = options->encryption;
	if (encryption != NULL && strcmp(encryption, "none") == 0) encryption = NULL;
	if (encryption == NULL && options->kms_key != NULL) encryption = "aws:kms"; /* what else would the key be for */
	if (!copy(&s3->encryption, encryption) || !copy(&s3->kms_key, options->kms_key) ||
	    !copy(&s3->given_endpoint, options->endpoint) || !copy(&s3->scratch, options->scratch))
		GM_FAIL(err, GM_NOMEM, "out of memory for a store");
	s3->requester_pays = options->requester_pays;
	s3->version_ids = options->version_ids;
	uint64_t memory_bytes = options->memory_bytes > 0 ? options->memory_bytes : default_memory_bytes;
	/* A source is read and a table is staged to: neither needs both shares at once. What is staged comes in bursts, a
	 * row group at a time, and is soon sent: with less room a worker would wait for answers. */
	s3->ahead_limit = memory_bytes;
	s3->staged_limit = 3 * memory_bytes;
	s3->segment_bytes = memory_bytes / GM_S3_SEGMENTS;
	if (s3->segment_bytes > GM_S3_SEGMENT_MAX_BYTES) s3->segment_bytes = GM_S3_SEGMENT_MAX_BYTES;
	if (s3->segment_bytes < GM_S3_SEGMENT_MIN_BYTES) s3->segment_bytes = GM_S3_SEGMENT_MIN_BYTES;
	return GM_OK;
}

/* The bucket turned out to be in another region. */
static enum gm_code move(void *context, const char *region, char endpoint[GM_ENDPOINT_BYTES], struct gm_error *err)
{
	struct gm_s3 *s3 = context;
	struct gm_aws_endpoint there;
	GM_TRY(gm_aws_endpoint(s3->connection.config, "s3", region, s3->given_endpoint, &there, err));
	memcpy(endpoint, there.url, GM_ENDPOINT_BYTES);
	return GM_OK;
}

static enum gm_code choose_endpoint(struct gm_s3 *s3, const char *region, int path_style, struct gm_error *err)
{
	GM_TRY(gm_aws_endpoint(s3->connection.config, "s3", region, s3->given_endpoint, &s3->endpoint, err));
	if (path_style >= 0) s3->endpoint.path_style = path_style > 0;
	/* A wildcard certificate holds one label: "a.b.s3.amazonaws.com" would not be good for it. */
	bool https = strncmp(s3->endpoint.url, "https:", 6) == 0;
	if (https && strchr(s3->bucket, '.') != NULL) s3->endpoint.path_style = true;
	return GM_OK;
}

/* Where no region is named and the one assumed is not right, the service says which is. */
static enum gm_code connect_to(struct gm_s3 *s3, const struct gm_store_options *options, struct gm_error *err)
{
	const struct gm_aws_options aws = {.profile = options->profile,
	                                   .region = options->region,
	                                   .ca_file = options->ca_file,
	                                   .timeout_us = options->timeout_us};
	struct gm_aws_connection *connection = &s3->connection;
	GM_TRY(gm_aws_connect(&aws, connection, err));
	GM_TRY(choose_endpoint(s3, connection->region, options->path_style, err));
	s3->etags_are_md5 = strncmp(s3->endpoint.url, "http:", 5) == 0;
	struct gm_client_options client = {.service = "s3",
	                                   .region = connection->region,
	                                   .endpoint = s3->endpoint.url,
	                                   .move = move,
	                                   .move_context = s3,
	                                   .http = connection->http,
	                                   .provider = connection->provider,
	                                   .max_attempts = connection->max_attempts,
	                                   .leaving = options->leaving};
	return gm_client_new(&client, &s3->client, err);
}

enum gm_code gm_store_open_s3(const char *location, const struct gm_store_options *options, struct gm_store **out,
                              struct gm_error *err)
{
	static const struct gm_store_options defaults = {.path_style = -1};
	*out = NULL;
	if (options == NULL) options = &defaults;
	struct gm_s3 *s3 = calloc(1, sizeof *s3);
	if (s3 == NULL) GM_FAIL(err, GM_NOMEM, "out of memory for a store");
	s3->store.ops = &s3_ops;
	s3->store.parallel = GM_S3_PARALLEL;
	s3->store.free_keys = true;
	(void)pthread_mutex_init(&s3->reading, NULL);
	(void)pthread_mutex_init(&s3->staging, NULL);
	(void)pthread_cond_init(&s3->room, NULL);
	enum gm_code rc = parse_location(s3, location, err);
	if (rc == GM_OK) rc = keep_options(s3, options, err);
	if (rc == GM_OK) rc = connect_to(s3, options, err);
	if (rc != GM_OK) {
		if (err != NULL && err->object[0] == '\0') (void)gm_error_object(err, rc, location, strlen(location));
		s3_close(&s3->store);
		return rc;
	}
	*out = &s3->store;
	return GM_OK;
}
