/* sign.h - AWS Signature Version 4, in the Authorization header.
 *
 * Source: AWS, "Signature Version 4 signing process" (General Reference) and "Authenticating requests: using the
 * Authorization header" (S3 API Reference). S3 differs from all other services in two points: the path is encoded once,
 * not twice, and never normalized ("//", "." and ".." stay). */
#ifndef GM_AWS_SIGN_H
#define GM_AWS_SIGN_H

#include "base/arena.h"

/* Who signs. Every string is secret but the first. In memory of gm_secret_* (secret_memory.h) where it is kept. */
struct gm_signer {
	const char *access_key, *secret_key;
	const char *session_token; /* "": none */
};

struct gm_sign_pair {
	const char *name, *value;
};
/* What is signed. Names and values are as they are meant, not encoded; encoding is done here. */
struct gm_sign_request {
	const char *service, *region; /* "s3", "eu-west-1" */
	const char *method;
	const char *path; /* as sent, that is encoded with gm_uri_encode; of S3 used as it is, else encoded again */
	const struct gm_sign_pair *query; /* in any order; sorted here */
	size_t query_count;
	const struct gm_sign_pair *headers; /* all are signed: Host, and whatever else the request carries. Names in any
	                                     * case; values are trimmed and inner white space is made one space */
	size_t header_count;
	const char *payload_sha256; /* 64 hex digits, or "UNSIGNED-PAYLOAD" */
	int64_t now_us;
};
enum { GM_SIGN_DATE_BYTES = 17, GM_SHA256_HEX_BYTES = 65 };

/* "20130524T000000Z", the value of X-Amz-Date. */
void gm_sign_date(int64_t now_us, char out[GM_SIGN_DATE_BYTES]);
/* Lower-case hexadecimal SHA-256. */
enum gm_code gm_sha256_hex(const void *data, size_t bytes, char out[GM_SHA256_HEX_BYTES],
                           struct gm_error *err) GM_CHECK;
/* The value of the Authorization header, in the arena. X-Amz-Date and, if the caller has a token,
 * X-Amz-Security-Token must be among the headers. canonical: if not NULL, set to the canonical request, for tests and
 * for telling why a server refuses; it holds the session token. The derived key is wiped. USAGE: too large. */
enum gm_code gm_sign(const struct gm_sign_request *request, const struct gm_signer *signer, struct gm_arena *arena,
                     const char **authorization, const char **canonical, struct gm_error *err) GM_CHECK;

/* RFC 3986: all bytes but A-Z a-z 0-9 - . _ ~ become %XX; '/' stays if keep_slash. In the arena; NULL: no memory. */
char *gm_uri_encode(struct gm_arena *arena, const char *bytes, size_t n, bool keep_slash);
/* The query string in the order in which it is signed, "a=1&b=": the URL must carry exactly this. NULL: no memory, or
 * more than 4,096 parameters. */
char *gm_uri_query(struct gm_arena *arena, const struct gm_sign_pair *query, size_t count);

#endif
