/* s3_bucket.h - an S3 store at a server in the test's own process: a bucket that answers as real ones do, as far as no
 * script says otherwise. */
#ifndef GM_TEST_STORE_S3_BUCKET_H
#define GM_TEST_STORE_S3_BUCKET_H

#include "../aws/server.h"
#include "common.h"

#include <stdatomic.h>

#define MIB         ((size_t)1 << 20)
#define RANDOM      "0123456789abcdef0123456789abcdef"
#define TAG         "ETag: \"e\"\r\n"
#define ERROR(code) "<Error><Code>" code "</Code></Error>"

#define ITEM(key, size)                                                                 \
	"<Contents><Key>" key "</Key><LastModified>2024-03-10T11:12:13.456Z</LastModified>" \
	"<ETag>&quot;e&quot;</ETag><Size>" size "</Size></Contents>"
#define LISTED(items) "<ListBucketResult><IsTruncated>false</IsTruncated>" items "</ListBucketResult>"
#define URL           "<EncodingType>url</EncodingType>"

#define PART(number, etag, size) \
	"<Part><PartNumber>" number "</PartNumber><ETag>" etag "</ETag><Size>" size "</Size></Part>"
#define PARTS(more, parts) "<ListPartsResult><IsTruncated>" more "</IsTruncated>" parts "</ListPartsResult>"
static const char upload_token[] = "upload:U1 " RANDOM " y/f";

static struct server server;

/* --- A bucket, as far as no script answers ------------------------------------------------------------------------ */

enum there { NOTHING, OURS, OTHERS };

struct bucket {
	enum there there; /* what HEAD finds: with the token of the last put, or another */
	_Atomic size_t flying, most_flying;
	useconds_t pause_us; /* before bytes are given */
};
static struct bucket bucket;

static inline uint8_t pattern(size_t at)
{
	return (uint8_t)(at ^ (at >> 8) ^ (at >> 16));
}

/* The token of the last put. */
static void find_token(char token[64])
{
	(void)snprintf(token, 64, RANDOM);
	(void)pthread_mutex_lock(&server.lock);
	for (size_t i = 0; i < server.seen_count; i++) {
		const char *value = head_value(server.seen[i]->head, "x-amz-meta-gristmill-put");
		if (value != NULL) (void)snprintf(token, 64, "%s", value);
	}
	(void)pthread_mutex_unlock(&server.lock);
}

static char *serve_head(size_t *n)
{
	char token[64], headers[256];
	if (bucket.there == NOTHING) return whole_answer(404, "", "", 0, n);
	find_token(token);
	if (bucket.there == OTHERS) token[0] = 'x';
	(void)snprintf(headers, sizeof headers, TAG "x-amz-meta-gristmill-put: %s\r\n", token);
	return whole_answer(200, headers, "", 0, n);
}

/* Bytes of the pattern: a range of an object of 64 MiB; or all, of one that is called "whole-1048576" for its size. */
static char *serve_bytes(const struct seen *request, size_t *n)
{
	unsigned long first = 0, last = 0;
	char headers[256] = TAG;
	const char *range = head_value(request->head, "range"), *digits = strstr(request->head, "/whole-");
	bool part = range != NULL && sscanf(range, "bytes=%lu-%lu", &first, &last) == 2;
	if (!part && digits != NULL) last = strtoul(digits + strlen("/whole-"), NULL, 10) - 1;
	size_t bytes = last - first + 1;
	uint8_t *data = malloc(bytes);
	for (size_t i = 0; i < bytes; i++) data[i] = pattern(first + i);
	if (part)
		(void)snprintf(headers, sizeof headers, TAG "Content-Range: bytes %lu-%lu/%zu\r\n", first, last, 64 * MIB);
	char *whole = whole_answer(part ? 206 : 200, headers, data, bytes, n);
	free(data);
	return whole;
}

static void serve_bucket(struct server *of, const struct seen *request, char **bytes, size_t *n)
{
	static const char begun[] =
	    "<InitiateMultipartUploadResult><UploadId>U1</UploadId></InitiateMultipartUploadResult>";
	const char *head = request->head;
	(void)of;
	size_t flying = atomic_fetch_add(&bucket.flying, 1) + 1;
	if (flying > bucket.most_flying) bucket.most_flying = flying;
	if (bucket.pause_us > 0) (void)usleep(bucket.pause_us);
	if (strncmp(head, "HEAD", 4) == 0)
		*bytes = serve_head(n);
	else if (strncmp(head, "GET", 3) == 0)
		*bytes = serve_bytes(request, n);
	else if (strncmp(head, "POST", 4) == 0 && strstr(head, "uploadId=") == NULL)
		*bytes = whole_answer(200, "", begun, sizeof begun - 1, n);
	else if (strncmp(head, "DELETE", 6) == 0)
		*bytes = whole_answer(204, "", "", 0, n);
	else
		*bytes = whole_answer(200, TAG, "", 0, n);
	atomic_fetch_sub(&bucket.flying, 1);
}

static int open_bucket(void **state, uint64_t memory_bytes, const char *scratch)
{
	char endpoint[64];
	struct gm_store *store;
	server_start(&server);
	bucket.there = NOTHING;
	bucket.most_flying = 0;
	bucket.pause_us = 0;
	server.serve = serve_bucket;
	(void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", server.port);
	const struct gm_store_options options = {
	    .endpoint = endpoint, .path_style = 1, .memory_bytes = memory_bytes, .scratch = scratch};
	must(gm_store_open("s3://bucket/p", &options, false, &store, &failure));
	*state = store;
	return 0;
}

static int begin(void **state)
{
	return open_bucket(state, 0, NULL);
}

static int end(void **state)
{
	gm_store_close(*state);
	server_stop(&server);
	return 0;
}

/* --- What was asked, and what is answered ------------------------------------------------------------------------- */

static inline size_t count_seen(const char *what)
{
	size_t count = 0;
	(void)pthread_mutex_lock(&server.lock);
	for (size_t i = 0; i < server.seen_count; i++) count += strstr(server.seen[i]->head, what) != NULL;
	(void)pthread_mutex_unlock(&server.lock);
	return count;
}

static inline const struct seen *find_seen(const char *what)
{
	for (size_t i = 0; i < seen_count(&server); i++)
		if (strstr(seen_at(&server, i)->head, what) != NULL) return seen_at(&server, i);
	fail_msg("nobody asked for %s", what);
	return NULL;
}

/* Each word is an answer, "404 body", or "cut": one that is lost. */
static inline void play(const char *match, const char *const *words)
{
	for (; *words != NULL; words++) {
		const char *body = strchr(*words, ' ');
		if (strcmp(*words, "cut") == 0)
			answer_raw(&server, match, "")->cuts = true;
		else
			answer(&server, match, atoi(*words), TAG, body != NULL ? body + 1 : "");
	}
}

/* The whole of an object of which nothing is known. */
static inline enum gm_code get_as_text(struct gm_store *store, char text[64])
{
	struct gm_buf buf;
	gm_buf_init(&buf, 63);
	enum gm_code rc = gm_store_get(store, "k", &buf, &failure);
	if (buf.len > 0) memcpy(text, buf.data, buf.len);
	text[buf.len] = '\0';
	gm_buf_release(&buf);
	return rc;
}

#define TEST(name, begin) cmocka_unit_test_setup_teardown(name, begin, end)

/* For main. */
static void set_environment(void)
{
	static const char *const env[][2] = {{"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"},
	                                     {"AWS_SECRET_ACCESS_KEY", "secret"},
	                                     {"AWS_REGION", "us-east-1"},
	                                     {"AWS_CONFIG_FILE", "/dev/null"},
	                                     {"AWS_MAX_ATTEMPTS", "3"},
	                                     {"AWS_SHARED_CREDENTIALS_FILE", "/dev/null"}};
	for (size_t i = 0; i < sizeof env / sizeof env[0]; i++) (void)setenv(env[i][0], env[i][1], 1);
}

#endif
