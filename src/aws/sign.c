/* sign.c - the canonical request, what is signed of it, and the Authorization header.
 *
 *     canonical request = method LF path LF query LF (name ":" value LF)* LF names LF payload hash
 *     to be signed      = "AWS4-HMAC-SHA256" LF date LF scope LF hex(sha256(canonical request))
 *     scope             = YYYYMMDD "/" region "/" service "/aws4_request"
 *     key               = hmac(hmac(hmac(hmac("AWS4" secret, YYYYMMDD), region), service), "aws4_request")
 *     signature         = hex(hmac(key, to be signed))
 *
 * Query: names and values encoded, sorted by name, then by value, as bytes. Headers: names in lower case, sorted; the
 * values of equal names in the order in which they came, with commas between.
 *
 * The canonical request holds the session token, so it is not built but fed to the hash as it comes; only who asks for
 * it gets it as text. */
#include "aws/sign.h"

#include "base/time.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HASH_BYTES = 32,
	HEX_BYTES = 2 * HASH_BYTES,
	DAY_BYTES = 8,            /* "20130524" */
	SECRET_MAX = 1024,        /* AWS gives 40 bytes, others what they like */
	CANONICAL_MAX = 1 << 20,  /* of the text for tests and diagnosis */
	PATH_MAX_BYTES = 1 << 20, /* a key of S3 has 1,024 bytes, encoded 3 KiB */
	PAIRS_MAX = 1 << 12,      /* headers, or parameters of the query */
	TO_SIGN_BYTES = 16 + 1 + 16 + 1 + 512 + 1 + HEX_BYTES + 1,
};

static const char hex_digits[] = "0123456789abcdef";
static const char no_memory[] = "out of memory for signing a request";

/* --- Encoding ----------------------------------------------------------------------------------------------------- */

static bool is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

/* Room for three bytes for each of bytes[0..n); gives the end of what was written. */
static char *encode(char *out, const char *bytes, size_t n, bool keep_slash)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)bytes[i];
		if (is_unreserved(c) || (keep_slash && c == '/')) {
			*out++ = (char)c;
			continue;
		}
		*out++ = '%';
		*out++ = "0123456789ABCDEF"[c >> 4];
		*out++ = "0123456789ABCDEF"[c & 15];
	}
	return out;
}

char *gm_uri_encode(struct gm_arena *arena, const char *bytes, size_t n, bool keep_slash)
{
	char *text = n < SIZE_MAX / 3 ? gm_arena_alloc(arena, 3 * n + 1) : NULL;
	if (text == NULL) return NULL;
	*encode(text, bytes, n, keep_slash) = '\0';
	return text;
}

static int compare_encoded(const void *left, const void *right)
{
	const struct gm_sign_pair *a = left, *b = right;
	int order = strcmp(a->name, b->name);
	return order != 0 ? order : strcmp(a->value, b->value);
}

char *gm_uri_query(struct gm_arena *arena, const struct gm_sign_pair *query, size_t count)
{
	if (count > PAIRS_MAX) return NULL;
	struct gm_sign_pair *sorted = gm_arena_alloc(arena, count * sizeof *sorted);
	size_t bytes = 1;
	if (sorted == NULL) return NULL;
	for (size_t i = 0; i < count; i++) {
		sorted[i].name = gm_uri_encode(arena, query[i].name, strlen(query[i].name), false);
		sorted[i].value = gm_uri_encode(arena, query[i].value, strlen(query[i].value), false);
		if (sorted[i].name == NULL || sorted[i].value == NULL) return NULL;
		bytes += strlen(sorted[i].name) + strlen(sorted[i].value) + 2;
	}
	qsort(sorted, count, sizeof *sorted, compare_encoded);
	char *text = gm_arena_alloc(arena, bytes), *at = text;
	if (text == NULL) return NULL;
	*at = '\0';
	for (size_t i = 0; i < count; i++) {
		if (i > 0) *at++ = '&';
		at = stpcpy(stpcpy(stpcpy(at, sorted[i].name), "="), sorted[i].value);
	}
	return text;
}

/* RFC 3986, section 5.2.4, and what AWS does beyond it: empty segments go, too. In place; it begins with a slash. */
static void normalize_path(char *path)
{
	bool slash = path[0] != '\0' && path[strlen(path) - 1] == '/';
	char *end = path; /* of what is kept: "" or "/a/b" */
	for (const char *at = path; *at != '\0';) {
		while (*at == '/') at++;
		size_t n = strcspn(at, "/");
		if (n == 2 && memcmp(at, "..", 2) == 0) {
			while (end > path && *--end != '/') {
			}
		} else if (n > 0 && !(n == 1 && *at == '.')) {
			*end++ = '/';
			memmove(end, at, n);
			end += n;
		}
		at += n;
	}
	if (slash || end == path) *end++ = '/';
	*end = '\0';
}

/* --- Hashes ------------------------------------------------------------------------------------------------------- */

static void to_hex(const uint8_t hash[HASH_BYTES], char out[HEX_BYTES])
{
	for (size_t i = 0; i < HASH_BYTES; i++) {
		out[2 * i] = hex_digits[hash[i] >> 4];
		out[2 * i + 1] = hex_digits[hash[i] & 15];
	}
}

void gm_sign_date(int64_t now_us, char out[GM_SIGN_DATE_BYTES])
{
	char text[GM_TIME_TEXT_BYTES];
	int64_t us = now_us < GM_TIME_MIN ? GM_TIME_MIN : now_us > GM_TIME_MAX ? GM_TIME_MAX : now_us;
	size_t n = 0;
	(void)gm_time_format_iso(us, 0, text); /* "2013-05-24T00:00:00Z" */
	for (const char *at = text; *at != '\0' && n < GM_SIGN_DATE_BYTES - 1; at++) {
		if (*at != '-' && *at != ':') out[n++] = *at;
	}
	out[n] = '\0';
}

enum gm_code gm_sha256_hex(const void *data, size_t bytes, char out[GM_SHA256_HEX_BYTES], struct gm_error *err)
{
	uint8_t hash[HASH_BYTES];
	if (EVP_Digest(data, bytes, hash, NULL, EVP_sha256(), NULL) != 1)
		GM_FAIL(err, GM_NOMEM, "libcrypto cannot compute a SHA-256");
	to_hex(hash, out);
	out[HEX_BYTES] = '\0';
	return GM_OK;
}

static bool hmac(const uint8_t *key, size_t key_bytes, const char *text, uint8_t out[HASH_BYTES])
{
	return HMAC(EVP_sha256(), key, (int)key_bytes, (const uint8_t *)text, strlen(text), out, NULL) != NULL;
}

/* The signature, with a key made for one day, region and service. */
static bool sign_text(const struct gm_sign_request *request, const char *secret_key, const char *day, const char *text,
                      uint8_t signature[HASH_BYTES])
{
	uint8_t first[4 + SECRET_MAX], a[HASH_BYTES], b[HASH_BYTES];
	size_t n = strlen(secret_key);
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret_key, n);
	bool done = hmac(first, 4 + n, day, a) && hmac(a, sizeof a, request->region, b) &&
	            hmac(b, sizeof b, request->service, a) && hmac(a, sizeof a, "aws4_request", b) &&
	            hmac(b, sizeof b, text, signature);
	explicit_bzero(first, sizeof first);
	explicit_bzero(a, sizeof a);
	explicit_bzero(b, sizeof b);
	return done;
}

/* --- The canonical request ---------------------------------------------------------------------------------------- */

/* Where it goes; the first failure is remembered, so that nobody has to look at each piece. */
struct sink {
	EVP_MD_CTX *digest;
	struct gm_buf *text; /* NULL: not wanted */
	struct gm_error *err;
	enum gm_code rc;
};

static void put_bytes(struct sink *sink, const char *bytes, size_t n)
{
	if (sink->rc != GM_OK) return;
	if (EVP_DigestUpdate(sink->digest, bytes, n) != 1)
		sink->rc = gm_error_set(sink->err, GM_NOMEM, "libcrypto cannot compute a SHA-256");
	else if (sink->text != NULL)
		sink->rc = gm_buf_append(sink->text, bytes, n, sink->err);
}

static void put(struct sink *sink, const char *text)
{
	put_bytes(sink, text, strlen(text));
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without white space at its ends, and one space for each run of it inside. */
static void put_value(struct sink *sink, const char *value)
{
	for (bool first = true;; first = false) {
		while (is_space(*value)) value++;
		if (*value == '\0') return;
		const char *word = value;
		while (*value != '\0' && !is_space(*value)) value++;
		if (!first) put(sink, " ");
		put_bytes(sink, word, (size_t)(value - word));
	}
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int compare_names(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) a++, b++;
	return (int)(uint8_t)lower(*a) - (int)(uint8_t)lower(*b);
}

/* Headers of the same name stay in their order: it is that of the array which is pointed into. */
static int compare_headers(const void *left, const void *right)
{
	const struct gm_sign_pair *a = *(const struct gm_sign_pair *const *)left;
	const struct gm_sign_pair *b = *(const struct gm_sign_pair *const *)right;
	int order = compare_names(a->name, b->name);
	return order != 0 ? order : (a > b) - (a < b);
}

struct headers {
	const struct gm_sign_pair **sorted;
	size_t count;
	char *names; /* "host;x-amz-date" */
};

static enum gm_code sort_headers(const struct gm_sign_request *request, struct gm_arena *arena, struct headers *headers,
                                 struct gm_error *err)
{
	size_t bytes = 1;
	headers->count = request->header_count;
	headers->sorted = gm_arena_alloc(arena, headers->count * sizeof *headers->sorted);
	if (headers->sorted == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	for (size_t i = 0; i < headers->count; i++) {
		headers->sorted[i] = &request->headers[i];
		bytes += strlen(request->headers[i].name) + 1;
	}
	qsort(headers->sorted, headers->count, sizeof *headers->sorted, compare_headers);
	char *at = headers->names = gm_arena_alloc(arena, bytes);
	if (at == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	for (size_t i = 0; i < headers->count; i++) {
		const char *name = headers->sorted[i]->name;
		if (i > 0 && compare_names(headers->sorted[i - 1]->name, name) == 0) continue;
		if (i > 0) *at++ = ';';
		while (*name != '\0') *at++ = lower(*name++);
	}
	*at = '\0';
	return GM_OK;
}

static void put_headers(struct sink *sink, const struct headers *headers)
{
	const char *name = headers->names; /* walks along it */
	for (size_t i = 0; i < headers->count; i++) {
		bool same = i > 0 && compare_names(headers->sorted[i - 1]->name, headers->sorted[i]->name) == 0;
		if (same) {
			put(sink, ",");
		} else {
			size_t n = strlen(headers->sorted[i]->name);
			if (i > 0) put(sink, "\n");
			put_bytes(sink, name, n);
			put(sink, ":");
			name += n + 1;
		}
		put_value(sink, headers->sorted[i]->value);
	}
	if (headers->count > 0) put(sink, "\n");
}

/* The path as it is signed. */
static enum gm_code canonical_path(const struct gm_sign_request *request, struct gm_arena *arena, const char **out,
                                   struct gm_error *err)
{
	*out = request->path[0] == '\0' ? "/" : request->path;
	if (strcmp(request->service, "s3") == 0) return GM_OK;
	char *path = gm_arena_printf(arena, "%s%s", **out == '/' ? "" : "/", *out);
	if (path == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	normalize_path(path);
	*out = gm_uri_encode(arena, path, strlen(path), true);
	if (*out == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	return GM_OK;
}

static enum gm_code hash_request(const struct gm_sign_request *request, const struct headers *headers,
                                 struct gm_arena *arena, struct gm_buf *text, char hash_hex[HEX_BYTES + 1],
                                 struct gm_error *err)
{
	const char *path;
	uint8_t hash[HASH_BYTES];
	const char *query = gm_uri_query(arena, request->query, request->query_count);
	if (query == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	GM_TRY(canonical_path(request, arena, &path, err));
	struct sink sink = {.digest = EVP_MD_CTX_new(), .text = text, .err = err, .rc = GM_OK};
	if (sink.digest == NULL || EVP_DigestInit_ex(sink.digest, EVP_sha256(), NULL) != 1)
		sink.rc = gm_error_set(err, GM_NOMEM, "libcrypto cannot compute a SHA-256");
	const char *const lines[] = {request->method, "\n", path, "\n", query, "\n"};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) put(&sink, lines[i]);
	put_headers(&sink, headers);
	put(&sink, "\n");
	put(&sink, headers->names);
	put(&sink, "\n");
	put(&sink, request->payload_sha256);
	if (sink.rc == GM_OK && EVP_DigestFinal_ex(sink.digest, hash, NULL) != 1)
		sink.rc = gm_error_set(err, GM_NOMEM, "libcrypto cannot compute a SHA-256");
	EVP_MD_CTX_free(sink.digest);
	if (sink.rc != GM_OK) return sink.rc;
	to_hex(hash, hash_hex);
	hash_hex[HEX_BYTES] = '\0';
	return GM_OK;
}

/* --- The header --------------------------------------------------------------------------------------------------- */

static enum gm_code check_sizes(const struct gm_sign_request *request, const struct gm_signer *signer,
                                struct gm_error *err)
{
	if (strlen(signer->secret_key) > SECRET_MAX)
		GM_FAIL(err, GM_USAGE, "the secret access key has more than %d bytes", SECRET_MAX);
	if (strlen(request->region) + strlen(request->service) > 256)
		GM_FAIL(err, GM_USAGE, "region and service have more than 256 bytes");
	if (request->header_count > PAIRS_MAX || request->query_count > PAIRS_MAX || strlen(request->path) > PATH_MAX_BYTES)
		GM_FAIL(err, GM_USAGE, "a request is too large to be signed");
	return GM_OK;
}

/* text: the canonical request goes into it, unless it is NULL. */
static enum gm_code authorize(const struct gm_sign_request *request, const struct gm_signer *signer,
                              struct gm_arena *arena, struct gm_buf *text, const char **authorization,
                              struct gm_error *err)
{
	char date[GM_SIGN_DATE_BYTES], day[DAY_BYTES + 1], scope[300], to_sign[TO_SIGN_BYTES], hex[HEX_BYTES + 1];
	uint8_t signature[HASH_BYTES];
	struct headers headers;
	GM_TRY(check_sizes(request, signer, err));
	GM_TRY(sort_headers(request, arena, &headers, err));
	GM_TRY(hash_request(request, &headers, arena, text, hex, err));
	gm_sign_date(request->now_us, date);
	(void)snprintf(day, sizeof day, "%.*s", DAY_BYTES, date);
	(void)snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, request->region, request->service);
	(void)snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, hex);
	if (!sign_text(request, signer->secret_key, day, to_sign, signature))
		GM_FAIL(err, GM_NOMEM, "libcrypto cannot compute an HMAC");
	to_hex(signature, hex);
	*authorization = gm_arena_printf(arena, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
	                                 signer->access_key, scope, headers.names, hex);
	if (*authorization == NULL) GM_FAIL(err, GM_NOMEM, no_memory);
	return GM_OK;
}

enum gm_code gm_sign(const struct gm_sign_request *request, const struct gm_signer *signer, struct gm_arena *arena,
                     const char **authorization, const char **canonical, struct gm_error *err)
{
	struct gm_buf text;
	gm_buf_init(&text, CANONICAL_MAX);
	enum gm_code rc = authorize(request, signer, arena, canonical != NULL ? &text : NULL, authorization, err);
	if (rc == GM_OK && canonical != NULL) {
		*canonical = gm_arena_strndup(arena, (const char *)text.data, text.len);
		if (*canonical == NULL) rc = gm_error_set(err, GM_NOMEM, no_memory);
	}
	if (text.data != NULL) explicit_bzero(text.data, text.len);
	gm_buf_release(&text);
	return rc;
}
