/* call.h - one request to an AWS service: signed, its error read, retried by class with full jitter within a budget.
 *
 * A client is one service at one endpoint with one source of credentials; thread-safe. What may be asked again is asked
 * again here, so that a caller sees only final answers:
 *
 *     class         what                                                            done
 *     connect       not reached                                                     retry
 *     broken        cut off, stalled, truncated header block, short body            retry (response.attempts > 1 and
 *                                                                                   unclear tell the caller)
 *     server        408, 500, 502, 504, InternalError, RequestTimeout,              retry
 *                   ServiceUnavailable, 200 with an error inside
 *     throttle      503, 429, SlowDown, ThrottlingException, RequestLimitExceeded   retry, from a longer delay
 *     checksum      BadDigest, XAmzContentSHA256Mismatch, IncompleteBody            retry
 *     skew          RequestTimeTooSkewed, RequestExpired                            retry once with the server's clock
 *     expired       ExpiredToken, ExpiredTokenException, TokenRefreshRequired       retry once with new credentials
 *     region        301, 307 and 400 AuthorizationHeaderMalformed that name a       retry once there
 *                   region
 *     conflict      409 ConditionalRequestConflict, OperationAborted                retry
 *     final         everything else                                                 to the caller
 *
 * Delay before retry n: uniform in [0, min(20 s, base * 2^n)], base 50 ms (throttle: 500 ms). Attempts of one call:
 * AWS_MAX_ATTEMPTS or max_attempts, default 8; a retry that is made once does not count. Budget of a client: tokens as
 * in the AWS SDKs' standard mode (retry_budget, 2,000; a retry costs 5, of a broken transfer 10; success gives some
 * back), so that an outage ends in an error and not in a storm. */
#ifndef GM_AWS_CALL_H
#define GM_AWS_CALL_H

#include "aws/credentials.h"
#include "aws/http.h"

enum gm_call_kind {
	GM_CALL_LIST,
	GM_CALL_GET,
	GM_CALL_HEAD,
	GM_CALL_PUT,
	GM_CALL_DELETE,
	GM_CALL_MULTIPART,
	GM_CALL_OTHER,
	GM_CALL_KINDS
};
/* What a client has done so far: each attempt is a request, from when it is made. */
struct gm_call_counts {
	uint64_t requests[GM_CALL_KINDS], retries, bytes_out, bytes_in; /* bodies */
};

struct gm_client;
struct gm_client_options {
	const char *service; /* "s3", for signing */
	const char *region;
	const char *endpoint; /* scheme, host, port */
	/* Where the service is in another region, which a server said it is in; NULL: at the same endpoint. */
	enum gm_code (*move)(void *context, const char *region, char endpoint[GM_ENDPOINT_BYTES], struct gm_error *err);
	void *move_context;
	struct gm_http *http;
	struct gm_provider *provider;   /* NULL: requests are not signed */
	unsigned max_attempts;          /* 0: 8 */
	int retry_budget;               /* 0: 2,000, for there are dozens of requests in flight */
	int64_t patience_us;            /* a call that is so old is not retried; 0: for as long as attempts last */
	const volatile int *stop;       /* not 0: nothing is retried, and what is in flight is broken off; may be NULL */
	const volatile int *leaving;    /* not 0: who did not answer is not asked again; may be NULL */
	int64_t (*now_us)(void *clock); /* NULL: the wall clock */
	void *clock;
};
/* Strings are copied; http and provider live longer than the client. */
enum gm_code gm_client_new(const struct gm_client_options *options, struct gm_client **out,
                           struct gm_error *err) GM_CHECK;
void gm_client_free(struct gm_client *client);
void gm_client_counts(const struct gm_client *client, struct gm_call_counts *add_to);

struct gm_call_request {
	enum gm_call_kind kind;
	const char *method;
	const char *host; /* NULL: the endpoint's; else put before it: "bucket" */
	const char *path; /* encoded: "/bucket/key%20x" */
	struct gm_sign_pair query[12];
	size_t query_count;
	struct gm_sign_pair headers[20]; /* beyond what signing adds */
	size_t header_count;
	const void *body;
	size_t body_bytes;
	uint8_t *into;
	size_t into_bytes;
	size_t into_exact;      /* not 0: a 2xx answer with another length of body is a broken transfer */
	bool body_may_be_error; /* a 200 may hold <Error> (CompleteMultipartUpload) */
	bool tagged; /* a 2xx answer without an ETag is a broken transfer: a page of some proxy, and nothing was done */
};
/* What came of it. */
struct gm_call_response {
	struct gm_http_response http; /* of a 200 with an error inside, status is what it should have been */
	unsigned attempts;
	bool unclear;   /* an attempt may have taken effect though it was no success: it was broken off or answered 5xx */
	char error[64]; /* AWS's code ("NoSuchKey"); "" */
	char text[256]; /* AWS's message, cut, without secrets */
	char request_id[80];
};

/* All that the request points to lives until gm_call_end; the struct itself is copied.
 * A call in flight: the first attempt is on its way when gm_call_start returns; further ones are made by
 * gm_call_wait. */
struct gm_call;
enum gm_code gm_call_start(struct gm_client *client, const struct gm_call_request *request, struct gm_call **out,
                           struct gm_error *err) GM_CHECK;
/* Waits for the final answer, and frees nothing: *response lives until gm_call_end, whatever this returns. OK: there is
 * an answer, of whatever status. TRANSIENT: none could be had within attempts and budget; DENIED: no credentials; IO:
 * TLS failed, or what came is larger than request->into (http.end tells); INTERRUPTED: the client's stop; NOMEM. To be
 * called once. */
enum gm_code gm_call_wait(struct gm_call *call, struct gm_call_response **response, struct gm_error *err) GM_CHECK;
/* Cancels what is still in flight. NULL is allowed. */
void gm_call_end(struct gm_call *call);
/* Fills err from an answer that is not 2xx: code by status and AWS's code (403: DENIED, 404: NOT_FOUND, 412: EXISTS,
 * ...), message with AWS's code, text and request id; `doing` is what was tried: "list the objects". */
enum gm_code gm_call_fail(const struct gm_call_response *response, const char *doing, struct gm_error *err);

#endif
